//! A concert as people see it.

use aggregates::{ConcertId, Counts, Money, Qty, UserId};
use chrono::{DateTime, Utc};
use journal::Position;
use serde::{Serialize, Serializer};

/// A concert and its tickets at [`ConcertView::position`]. Serializes as `GET /concerts/{id}` answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConcertView {
    /// Which concert.
    pub id: ConcertId,
    /// Who sells it.
    pub organizer_id: UserId,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub venue: Option<String>,
    /// When it begins.
    pub starts_at: Option<DateTime<Utc>>,
    /// Of one ticket.
    pub price: Money,
    /// Tickets one booking may have.
    pub max_per_booking: Option<Qty>,
    /// Seconds from hold to expiry.
    pub hold_seconds: u32,
    /// Whether it was called off.
    pub canceled: bool,
    /// Tickets by what they are.
    #[serde(rename = "tickets", serialize_with = "with_available")]
    pub counts: Counts,
    /// Position of its registration; later concerts have higher ones. The cursor of a page.
    pub registered_position: Position,
    /// Position of the last event that changed it.
    pub position: Position,
}

fn with_available<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Tickets {
        capacity: u32,
        held: u32,
        sold: u32,
        available: u32,
    }
    let Counts { capacity, held, sold } = *counts;
    Tickets { capacity, held, sold, available: counts.available() }.serialize(serializer)
}
