//! What an event does to a concert's row.

use aggregates::{ConcertEvent, ConcertId, Counts, Event, Qty, concert::Allotted};
use journal::Position;

use super::ConcertView;

/// The concert whose row `event` changes.
pub(super) const fn changed_by(event: &Event) -> Option<ConcertId> {
    match event {
        Event::Concert(event) => match *event {
            ConcertEvent::ConcertRegistered { concert_id, .. }
            | ConcertEvent::CapacityChanged { concert_id, .. }
            | ConcertEvent::TicketsHeld { concert_id, .. }
            | ConcertEvent::TicketsSold { concert_id, .. }
            | ConcertEvent::TicketsReleased { concert_id, .. }
            | ConcertEvent::ConcertCanceled { concert_id } => Some(concert_id),
            // Nothing was given and nothing taken; there may not even be such a concert.
            ConcertEvent::TicketsRefused { .. } => None,
        },
        Event::User(_) | Event::Booking(_) | Event::Payment(_) => None,
    }
}

/// Changes `row`, the concert's if there is one, by `event`, recorded at `position`; or gives the first row of a concert.
/// Where the event breaks something it says what, and the row is as it was.
pub(super) fn evolve(
    row: Option<&mut ConcertView>,
    event: &ConcertEvent,
    position: Position,
) -> Result<Option<ConcertView>, &'static str> {
    let row = match (row, registered(event, position)) {
        (None, Some(row)) => return Ok(Some(row)),
        (Some(_), Some(_)) => return Err("the concert is registered already"),
        (None, None) => return Err("the concert was never registered"),
        (Some(row), None) => row,
    };
    let (mut counts, mut canceled) = (row.counts, row.canceled);
    let more = |tickets: u32, qty: Qty| tickets.checked_add(qty.get()).ok_or("more tickets than can be counted");
    let less = |tickets: u32, qty: Qty| tickets.checked_sub(qty.get()).ok_or("more tickets are taken than were given");
    match *event {
        ConcertEvent::CapacityChanged { capacity, .. } => counts.capacity = capacity,
        ConcertEvent::TicketsHeld { qty, .. } => counts.held = more(counts.held, qty)?,
        ConcertEvent::TicketsSold { qty, .. } => {
            counts.held = less(counts.held, qty)?;
            counts.sold = more(counts.sold, qty)?;
        }
        ConcertEvent::TicketsReleased { qty, was: Allotted::Held, .. } => counts.held = less(counts.held, qty)?,
        ConcertEvent::TicketsReleased { qty, was: Allotted::Sold, .. } => counts.sold = less(counts.sold, qty)?,
        ConcertEvent::ConcertCanceled { .. } => canceled = true,
        ConcertEvent::ConcertRegistered { .. } | ConcertEvent::TicketsRefused { .. } => return Ok(None),
    }
    if u64::from(counts.held) + u64::from(counts.sold) > u64::from(counts.capacity) {
        return Err("more tickets are held and sold than there are");
    }
    (row.counts, row.canceled, row.position) = (counts, canceled, position);
    Ok(None)
}

/// The first row of a concert, where `event` is its registration.
fn registered(event: &ConcertEvent, position: Position) -> Option<ConcertView> {
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
    Some(ConcertView {
        id: *concert_id,
        organizer_id: *organizer_id,
        name: name.clone(),
        venue: venue.clone(),
        starts_at: *starts_at,
        price: *price,
        max_per_booking: *max_per_booking,
        hold_seconds: *hold_seconds,
        canceled: false,
        counts: Counts { capacity: *capacity, held: 0, sold: 0 },
        registered_position: position,
        position,
    })
}
