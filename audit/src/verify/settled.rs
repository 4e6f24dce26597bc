//! What must be true of each booking once nothing of it is under way: invariants 4 and 8, and that what had to follow has
//! followed. What the saga has not come past yet, and money that the provider has yet to give back, is no breach.

use aggregates::{AggregateType, BookingStatus, PaymentStatus, concert::AllotmentState};
use journal::Position;
use uuid::Uuid;

use super::{Breach, Check, check::Findings, records::BookingRecord};

/// What is still on its way.
#[derive(Default)]
pub(super) struct UnderWay {
    pub before_the_saga: u64,
    pub refunds: u64,
}

/// Checks one booking at the end of the log; the saga has reacted to everything up to `saga`.
pub(super) fn check(
    id: Uuid,
    record: &BookingRecord,
    saga: Position,
    under_way: &mut UnderWay,
    findings: &mut Findings,
) {
    let Some(status) = record.booking.status() else { return };
    findings.count(Check::FollowUps, 1);
    if !status.is_live() {
        findings.count(Check::DeadBookings, 1);
    }
    if record.last > saga {
        under_way.before_the_saga += 1;
        return;
    }
    let payment = record.payment.as_deref();
    let money = payment.and_then(|payment| Some((payment.status()?, payment.is_cancel_requested())));
    let tickets = record.tickets.map(|tickets| tickets.state);
    let seen = || {
        let tickets = tickets.map_or_else(|| "none".to_owned(), |state| format!("{state:?}"));
        let money = money.map_or_else(
            || "none".to_owned(),
            |(status, ending)| match (status, ending) {
                (PaymentStatus::PaymentRequested | PaymentStatus::PaymentApproved, true) => {
                    format!("{status}, to be cancelled")
                }
                _ => status.to_string(),
            },
        );
        format!("a booking that is {status}, tickets: {tickets}, payment: {money}")
    };
    let mut breach = |check, expected: &str| {
        findings.breach(check, Breach::of(record.last, AggregateType::Booking, id, expected, seen()));
    };
    let has_tickets = matches!(tickets, Some(AllotmentState::Held | AllotmentState::Sold));
    match (status, money) {
        (
            BookingStatus::BookingRequested | BookingStatus::BookingApproved,
            Some((PaymentStatus::PaymentApproved, true)),
        )
        | (BookingStatus::BookingRequested, Some((PaymentStatus::PaymentApproved, false))) => {
            breach(Check::Money, "BookingApproved, or its money on the way back because it has ended");
        }
        (BookingStatus::BookingApproved, Some((PaymentStatus::PaymentApproved, false))) => {
            if tickets != Some(AllotmentState::Sold) {
                breach(Check::FollowUps, "TicketsSold after BookingApproved");
            }
        }
        (
            BookingStatus::BookingApproved,
            None | Some((PaymentStatus::PaymentRequested | PaymentStatus::PaymentCanceled, _)),
        ) => {
            breach(Check::FollowUps, "an approved booking with its payment");
        }
        (BookingStatus::BookingRequested, None | Some((PaymentStatus::PaymentRequested, false))) => match tickets {
            Some(AllotmentState::Held) if money.is_some() => {}
            Some(AllotmentState::Held) => breach(Check::FollowUps, "PaymentRequested after TicketsHeld"),
            None => breach(Check::FollowUps, "TicketsHeld or TicketsRefused after BookingRequested"),
            Some(AllotmentState::Refused) => breach(Check::FollowUps, "BookingRejected after TicketsRefused"),
            Some(AllotmentState::Sold | AllotmentState::Released) => {
                breach(Check::FollowUps, "a booking whose tickets are held");
            }
        },
        (
            BookingStatus::BookingRequested,
            Some((PaymentStatus::PaymentRequested | PaymentStatus::PaymentCanceled, _)),
        ) => {
            breach(Check::FollowUps, "a payment that ends only when its booking has ended");
        }
        (BookingStatus::BookingRejected | BookingStatus::BookingCanceled | BookingStatus::BookingExpired, money) => {
            match money {
                Some((PaymentStatus::PaymentApproved, false)) => {
                    breach(Check::Money, "its money on the way back: the booking has ended");
                }
                Some((PaymentStatus::PaymentRequested, false)) => {
                    breach(Check::FollowUps, "a payment that ends with its booking");
                }
                // The provider has yet to say what became of it; the tickets stay until then.
                Some((PaymentStatus::PaymentApproved | PaymentStatus::PaymentRequested, true)) => {
                    under_way.refunds += 1;
                }
                Some((PaymentStatus::PaymentCanceled, _)) | None => {
                    if has_tickets {
                        breach(Check::DeadBookings, "no tickets: the booking has ended");
                    }
                }
            }
        }
    }
}
