//! An event of a concert, against its counts and against the booking that it is about. The concert's own decision reads
//! all its bookings; here each stands by itself, so that a concert of any size is checked in little memory.

use aggregates::{
    Concert, ConcertCommand, ConcertEvent, ConcertId, Money, Qty,
    concert::{Allotment, AllotmentState, Allotted, CAPACITY_MAX, RefusalReason, Register, Terms},
};
use journal::Position;

use super::{
    Check,
    check::Findings,
    ledger::Place,
    records::{BookingRecord, ConcertRecord},
};

/// Takes a concert's next event; `booking` is the one that it is about, if it is about one.
pub(super) fn push(
    place: Place,
    concert: &mut ConcertRecord,
    booking: Option<&mut BookingRecord>,
    event: ConcertEvent,
    findings: &mut Findings,
) {
    let wrong = unlawful(ConcertId(place.id), concert, booking.as_deref(), &event);
    for (expected, found) in wrong {
        findings.breach(Check::Transitions, place.breach(expected, found));
    }
    apply(place.position, concert, booking, event);
    findings.count(Check::Oversell, 1);
    let ConcertRecord { capacity, held, sold, .. } = *concert;
    if held < 0 || sold < 0 || held + sold > capacity {
        let found = format!("held {held} + sold {sold}, capacity {capacity}");
        findings.breach(Check::Oversell, place.breach("0 <= held, 0 <= sold, held + sold <= capacity", found));
    }
}

/// What could not be so: each as expected and found.
fn unlawful(
    id: ConcertId,
    concert: &ConcertRecord,
    booking: Option<&BookingRecord>,
    event: &ConcertEvent,
) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, expected: &dyn Fn() -> String, found: &dyn Fn() -> String| {
        if !holds {
            wrong.push((expected(), found()));
        }
    };
    let name = || event.name().to_owned();
    let registered = concert.terms.as_ref();
    let open = registered.is_some() && !concert.canceled;
    match event {
        ConcertEvent::ConcertRegistered { .. } => {
            let decided = register(event).map(|terms| Concert::default().decide(ConcertCommand::Register(terms)));
            let lawful = matches!(&decided, Some(Ok(events)) if events.first() == Some(event));
            must(lawful, &|| format!("terms within their ranges: {decided:?}"), &|| format!("{event:?}"));
            must(registered.is_none(), &|| "a concert that is not registered yet".to_owned(), &name);
        }
        ConcertEvent::CapacityChanged { previous, capacity, .. } => {
            must(open, &|| "a concert that is on sale".to_owned(), &name);
            let was = concert.capacity;
            must(i64::from(*previous) == was, &|| format!("previous {was}"), &|| format!("previous {previous}"));
            let least = (concert.held + concert.sold).max(1);
            let fits = *capacity != *previous && *capacity <= CAPACITY_MAX && i64::from(*capacity) >= least;
            must(fits, &|| format!("another capacity, {least} to {CAPACITY_MAX}"), &|| capacity.to_string());
        }
        ConcertEvent::TicketsHeld { user_id, qty, amount, .. } => {
            let verdict = refusal(concert, *qty);
            must(verdict.is_none(), &|| format!("TicketsRefused: {verdict:?}"), &name);
            let price = registered.map(|terms| terms.price.times(*qty));
            must(price == Some(*amount), &|| shown(price), &|| shown(Some(*amount)));
            let request = booking.and_then(|booking| booking.booking.request());
            let asked = request.map(|request| (request.concert_id, request.user_id, request.qty));
            must(asked == Some((id, *user_id, *qty)), &|| "BookingRequested of the same before it".to_owned(), &|| {
                request.map_or_else(|| "none".to_owned(), |request| format!("{request:?}"))
            });
            none_yet(booking, &mut must);
        }
        ConcertEvent::TicketsRefused { qty, reason, available, .. } => {
            let verdict = refusal(concert, *qty);
            must(verdict == Some(*reason), &|| format!("{verdict:?}"), &|| format!("refused: {reason:?}"));
            let left = concert.available();
            must(left == i64::from(*available), &|| format!("{left} available"), &|| available.to_string());
            let request = booking.and_then(|booking| booking.booking.request());
            let asked = request.map(|request| (request.concert_id, request.qty));
            must(asked == Some((id, *qty)), &|| "BookingRequested of the same before it".to_owned(), &|| {
                request.map_or_else(|| "none".to_owned(), |request| format!("{request:?}"))
            });
            none_yet(booking, &mut must);
        }
        ConcertEvent::TicketsSold { qty, .. } => {
            has(booking, AllotmentState::Held, *qty, &mut must);
            let approved = booking.is_some_and(|booking| booking.was_approved);
            must(approved, &|| "BookingApproved before it".to_owned(), &|| "none".to_owned());
        }
        ConcertEvent::TicketsReleased { qty, was, .. } => {
            let state = match was {
                Allotted::Held => AllotmentState::Held,
                Allotted::Sold => AllotmentState::Sold,
            };
            has(booking, state, *qty, &mut must);
            let status = booking.and_then(|booking| booking.booking.status());
            let ended = status.is_some_and(|status| !status.is_live());
            must(ended, &|| "a booking that has ended".to_owned(), &|| {
                status.map_or_else(|| "none".to_owned(), |status| status.to_string())
            });
        }
        ConcertEvent::ConcertCanceled { .. } => must(open, &|| "a concert that is on sale".to_owned(), &name),
    }
    wrong
}

type Must<'a> = dyn FnMut(bool, &dyn Fn() -> String, &dyn Fn() -> String) + 'a;

/// The booking was given nothing and refused nothing so far.
fn none_yet(booking: Option<&BookingRecord>, must: &mut Must<'_>) {
    let tickets = booking.and_then(|booking| booking.tickets);
    must(tickets.is_none(), &|| "a booking that was not answered before".to_owned(), &|| shown(tickets));
}

/// The booking has these tickets.
fn has(booking: Option<&BookingRecord>, state: AllotmentState, qty: Qty, must: &mut Must<'_>) {
    let tickets = booking.and_then(|booking| booking.tickets);
    let is = tickets.is_some_and(|tickets| tickets.state == state && tickets.qty == qty);
    must(is, &|| format!("a booking with {} tickets, {state:?}", qty.get()), &|| shown(tickets));
}

fn shown<T: std::fmt::Debug>(it: Option<T>) -> String {
    it.map_or_else(|| "none".to_owned(), |it| format!("{it:?}"))
}

/// Why so many tickets must be refused now, if they must: the concert's own rule, by its counts.
fn refusal(concert: &ConcertRecord, qty: Qty) -> Option<RefusalReason> {
    let Some(terms) = &concert.terms else { return Some(RefusalReason::NoSuchConcert) };
    if concert.canceled {
        Some(RefusalReason::ConcertCanceled)
    } else if terms.max_per_booking.is_some_and(|max| qty > max) {
        Some(RefusalReason::MaxPerBooking)
    } else if i64::from(qty.get()) > concert.available() {
        Some(RefusalReason::SoldOut)
    } else {
        None
    }
}

fn register(event: &ConcertEvent) -> Option<Register> {
    let ConcertEvent::ConcertRegistered {
        concert_id,
        organizer_id,
        name,
        venue,
        starts_at,
        capacity,
        price,
        max_per_booking,
        hold_seconds,
    } = event
    else {
        return None;
    };
    Some(Register {
        concert_id: *concert_id,
        organizer_id: *organizer_id,
        name: name.clone(),
        venue: venue.clone(),
        starts_at: *starts_at,
        capacity: *capacity,
        price: *price,
        max_per_booking: *max_per_booking,
        hold_seconds: *hold_seconds,
    })
}

fn apply(position: Position, concert: &mut ConcertRecord, booking: Option<&mut BookingRecord>, event: ConcertEvent) {
    match event {
        ConcertEvent::ConcertRegistered {
            concert_id,
            organizer_id,
            name,
            venue,
            starts_at,
            capacity,
            price,
            max_per_booking,
            hold_seconds,
        } => {
            concert.capacity = i64::from(capacity);
            (concert.registered_at, concert.changed_at) = (position, position);
            concert.terms = Some(Terms {
                concert_id,
                organizer_id,
                name,
                venue,
                starts_at,
                capacity_registered: capacity,
                price,
                max_per_booking,
                hold_seconds,
            });
        }
        ConcertEvent::CapacityChanged { capacity, .. } => {
            concert.capacity = i64::from(capacity);
            concert.changed_at = position;
        }
        ConcertEvent::TicketsHeld { booking_id, qty, amount, expires_at, .. } => {
            concert.held += i64::from(qty.get());
            concert.changed_at = position;
            let held = Allotment { qty, state: AllotmentState::Held, held_until: Some(expires_at) };
            allot(position, concert, booking, booking_id, held, Some(amount));
        }
        ConcertEvent::TicketsRefused { booking_id, qty, .. } => {
            let refused = Allotment { qty, state: AllotmentState::Refused, held_until: None };
            allot(position, concert, booking, booking_id, refused, None);
        }
        ConcertEvent::TicketsSold { booking_id, qty, .. } => {
            concert.held -= i64::from(qty.get());
            concert.sold += i64::from(qty.get());
            concert.changed_at = position;
            let sold = Allotment { qty, state: AllotmentState::Sold, held_until: None };
            allot(position, concert, booking, booking_id, sold, None);
        }
        ConcertEvent::TicketsReleased { booking_id, qty, was, .. } => {
            match was {
                Allotted::Held => concert.held -= i64::from(qty.get()),
                Allotted::Sold => concert.sold -= i64::from(qty.get()),
            }
            concert.changed_at = position;
            let released = Allotment { qty, state: AllotmentState::Released, held_until: None };
            allot(position, concert, booking, booking_id, released, None);
        }
        ConcertEvent::ConcertCanceled { .. } => {
            concert.canceled = true;
            concert.changed_at = position;
        }
    }
}

fn allot(
    position: Position,
    concert: &mut ConcertRecord,
    booking: Option<&mut BookingRecord>,
    id: aggregates::BookingId,
    tickets: Allotment,
    price: Option<Money>,
) {
    let Some(booking) = booking else { return };
    if let Some(before) = booking.tickets.replace(tickets) {
        concert.allotments.remove(id, &before);
    }
    concert.allotments.add(id, &tickets);
    booking.price = price.or(booking.price);
    booking.last = position;
}
