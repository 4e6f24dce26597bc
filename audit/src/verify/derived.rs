//! What is made from the log, against a fold of it at the place up to which it was made: ticket counts and histories.

use std::{
    collections::{HashMap, HashSet},
    hash::BuildHasher as _,
};

use aggregates::{AggregateType, BookingId, ConcertId};
use foldhash::fast::RandomState;
use journal::Position;
use projections::{BookingHistory, ConcertView, Parked, mypage::StoredHistories, ticket_counts::StoredCounts};
use sqlx::{Executor as _, PgConnection};

use super::{Breach, Check, check::Findings, ledger::Ledger};
use crate::Error;

/// Histories are summed by the bookings' ids in so many buckets, so that a wrong one is found without keeping them all.
const BUCKETS: usize = 4_096;
/// Histories of wrong buckets that are looked at one by one.
const LOOKED_AT_MAX: usize = 200_000;
/// Parked events that are told; the rest is counted.
const PARKED_SHOWN_MAX: usize = 5;

/// Compares the stored ticket counts with the concerts as they are now in the fold.
pub(super) async fn counts(connection: &mut PgConnection, ledger: &mut Ledger, at: Position) -> Result<(), Error> {
    // Going back to here lets go of the table, so that a rebuild which wants to switch need not wait for the end.
    connection.execute("SAVEPOINT counts").await?;
    compare_counts(connection, ledger, at).await?;
    connection.execute("ROLLBACK TO SAVEPOINT counts").await?;
    Ok(())
}

async fn compare_counts(connection: &mut PgConnection, ledger: &mut Ledger, at: Position) -> Result<(), Error> {
    let mut findings = Findings::default();
    let mut stored = StoredCounts::open(connection).await?;
    let parked: HashSet<ConcertId> = stored.parked.iter().map(|parked| ConcertId(parked.aggregate_id)).collect();
    note_parked(Check::TicketCounts, stored.parked.iter(), &mut findings);
    let mut known = 0_u64;
    loop {
        let rows = stored.next().await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            findings.count(Check::TicketCounts, 1);
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    let breach = Breach::at(at, "a row of the ticket counts", "one that we wrote", error);
                    findings.breach(Check::TicketCounts, breach);
                    continue;
                }
            };
            let expected = ledger.concerts.get(row.id.0)?.and_then(|record| record.view(row.id));
            known += u64::from(expected.is_some());
            if expected.as_ref() != Some(&row) && !parked.contains(&row.id) {
                let (expected, found) = view_difference(expected.as_ref(), &row);
                let breach = Breach::of(at, AggregateType::Concert, row.id.0, expected, found);
                findings.breach(Check::TicketCounts, breach);
            }
        }
    }
    if known < ledger.registered_concerts {
        missing(connection, ledger, at, parked, &mut findings).await?;
    }
    ledger.findings.merge(findings);
    Ok(())
}

/// Names the concerts that have no row. Only looked for where there are some, so that it may cost memory.
async fn missing(
    connection: &mut PgConnection,
    ledger: &Ledger,
    at: Position,
    parked: HashSet<ConcertId>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut stored = StoredCounts::open(connection).await?;
    // One that is parked from its beginning has no row.
    let mut seen = parked;
    loop {
        let rows = stored.next().await?;
        if rows.is_empty() {
            break;
        }
        seen.extend(rows.into_iter().flatten().map(|row| row.id));
    }
    ledger.concerts.for_each(|id, record| {
        if record.terms.is_some() && !seen.contains(&ConcertId(id)) {
            let expected = format!("a row: capacity {}, held {}, sold {}", record.capacity, record.held, record.sold);
            findings.breach(Check::TicketCounts, Breach::of(at, AggregateType::Concert, id, expected, "no row"));
        }
        Ok(())
    })
}

/// Says which rows are not compared, and why.
fn note_parked<'a>(check: Check, parked: impl Iterator<Item = &'a Parked>, findings: &mut Findings) {
    let mut parked: Vec<&Parked> = parked.collect();
    parked.sort_by_key(|parked| parked.position);
    for Parked { aggregate, aggregate_id, position, waiting, error, .. } in parked.iter().take(PARKED_SHOWN_MAX) {
        let note = format!(
            "the row of {aggregate} {aggregate_id} is not compared: its event at position {position} is parked ({error}), \
             and {waiting} wait behind it"
        );
        findings.note(check, note);
    }
    if parked.len() > PARKED_SHOWN_MAX {
        findings.note(check, format!("and {} more", parked.len() - PARKED_SHOWN_MAX));
    }
}

fn view_difference(expected: Option<&ConcertView>, found: &ConcertView) -> (String, String) {
    let Some(expected) = expected else { return ("no row: it was never registered".to_owned(), format!("{found:?}")) };
    let tickets = |view: &ConcertView| {
        let counts = view.counts;
        format!("capacity {}, held {}, sold {}", counts.capacity, counts.held, counts.sold)
    };
    if expected.counts == found.counts {
        (format!("{expected:?}"), format!("{found:?}"))
    } else {
        (tickets(expected), tickets(found))
    }
}

/// A set of histories as sums of hashes. Their key is this process' own.
struct Buckets {
    hashers: [RandomState; 2],
    sums: Vec<(u64, u64)>,
}

impl Buckets {
    fn bucket(&self, booking: BookingId) -> usize {
        usize::try_from(self.hashers[0].hash_one(booking) % (BUCKETS as u64)).unwrap_or_default()
    }

    /// Adds what is expected, takes away what is found: where all agree nothing is left.
    fn add(&mut self, line: &Line, sign: fn(u64, u64) -> u64) {
        let bucket = self.bucket(line.0.booking_id);
        let (one, two) = (self.hashers[0].hash_one(key(line)), self.hashers[1].hash_one(key(line)));
        let sum = &mut self.sums[bucket];
        *sum = (sign(sum.0, one), sign(sum.1, two));
    }
}

/// A history with the position of the event that changed it last.
type Line = (BookingHistory, Position);

fn key((history, position): &Line) -> impl std::hash::Hash + use<> {
    let BookingHistory {
        id,
        booking_id,
        concert_id,
        user_id,
        status,
        qty,
        amount,
        payment_id,
        requested_at,
        updated_at,
    } = *history;
    let times = (requested_at.timestamp_micros(), updated_at.timestamp_micros());
    ((id, booking_id, concert_id, user_id, status), (qty, amount, payment_id), times, *position)
}

/// Compares the stored histories with the bookings as they are now in the fold.
pub(super) fn histories(stored: &StoredHistories, ledger: &mut Ledger, at: Position) -> Result<(), Error> {
    let mut findings = Findings::default();
    let hashers = [RandomState::default(), RandomState::default()];
    let mut buckets = Buckets { hashers, sums: vec![(0, 0); BUCKETS] };
    let mut rows = 0;
    stored.for_each(|row| {
        rows += 1;
        match row {
            Ok(line) if stored.waits(&line.0) => {}
            Ok(line) => buckets.add(&line, u64::wrapping_sub),
            Err(error) => {
                let breach = Breach::at(at, "a row of the booking histories", "one that we wrote", error);
                findings.breach(Check::Histories, breach);
            }
        }
    })?;
    findings.count(Check::Histories, rows);
    note_parked(Check::Histories, stored.parked(), &mut findings);
    expected(stored, ledger, |line| buckets.add(&line, u64::wrapping_add))?;
    let wrong: HashSet<usize> = (0..BUCKETS).filter(|bucket| buckets.sums[*bucket] != (0, 0)).collect();
    if !wrong.is_empty() {
        closer(stored, ledger, at, |booking| wrong.contains(&buckets.bucket(booking)), &mut findings)?;
    }
    ledger.findings.merge(findings);
    Ok(())
}

/// The histories that there should be.
fn expected(stored: &StoredHistories, ledger: &Ledger, mut each: impl FnMut(Line)) -> Result<(), Error> {
    ledger.bookings.for_each(|_, record| {
        if let Some(line) = record.history() {
            let erased = ledger.erased.get(&line.0.user_id);
            if erased.is_none_or(|erased| *erased < line.0.id) && !stored.waits(&line.0) {
                each(line);
            }
        }
        Ok(())
    })
}

/// Names the histories that are wrong, among those of buckets that are.
fn closer(
    stored: &StoredHistories,
    ledger: &Ledger,
    at: Position,
    is_wrong: impl Fn(BookingId) -> bool,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut should: HashMap<BookingId, Line> = HashMap::new();
    let mut left_out = 0_u64;
    expected(stored, ledger, |line| {
        if is_wrong(line.0.booking_id) {
            if should.len() < LOOKED_AT_MAX {
                should.insert(line.0.booking_id, line);
            } else {
                left_out += 1;
            }
        }
    })?;
    let mut told = 0;
    let mut tell = |booking: BookingId, expected: String, found: String| {
        told += 1;
        findings.breach(Check::Histories, Breach::of(at, AggregateType::Booking, booking.0, expected, found));
    };
    stored.for_each(|row| {
        let Ok(line) = row else { return };
        let booking = line.0.booking_id;
        if !is_wrong(booking) || stored.waits(&line.0) {
            return;
        }
        match should.remove(&booking) {
            Some(expected) if expected == line => {}
            Some(expected) => tell(booking, shown(&expected), shown(&line)),
            None if left_out == 0 => tell(booking, "no row".to_owned(), shown(&line)),
            // Whether there should be one is not known here.
            None => {}
        }
    })?;
    for (booking, expected) in should {
        tell(booking, shown(&expected), "no row".to_owned());
    }
    if left_out > 0 || told == 0 {
        let note = format!("more than {LOOKED_AT_MAX} were to be looked at one by one; {left_out} were not");
        findings.note(Check::Histories, note);
        if told == 0 {
            let breach = Breach::at(at, "the booking histories", "those of the log", "others");
            findings.breach(Check::Histories, breach);
        }
    }
    Ok(())
}

fn shown((history, position): &Line) -> String {
    let BookingHistory { id, concert_id, user_id, status, qty, amount, .. } = history;
    let amount = amount.map_or_else(|| "none".to_owned(), |amount| amount.amount.to_string());
    format!(
        "{status} at {position}, requested at {id} by user {user_id}, concert {concert_id}, qty {}, amount {amount}",
        qty.get()
    )
}
