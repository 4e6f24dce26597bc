//! An organizer puts a concert on sale.

use chrono::{DateTime, Datelike, Utc};

use super::{Concert, ConcertError, ConcertEvent};
use crate::{ConcertId, Money, Qty, UserId};

/// Tickets of one concert, at most.
pub const CAPACITY_MAX: u32 = 10_000_000;
/// Seconds a hold lasts where the organizer does not say.
pub const HOLD_SECONDS_DEFAULT: u32 = 600;
/// Seconds a hold lasts at least: less than a person needs to pay.
pub const HOLD_SECONDS_MIN: u32 = 1;
/// Seconds a hold lasts at most: a week.
pub const HOLD_SECONDS_MAX: u32 = 7 * 24 * 3600;
/// Characters in a name or a venue, at most.
pub const NAME_CHARS_MAX: usize = 200;

/// The terms of a sale.
#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    /// Which concert.
    pub concert_id: ConcertId,
    /// Who sells it.
    pub organizer_id: UserId,
    /// What it is called: 1 to [`NAME_CHARS_MAX`] characters.
    pub name: String,
    /// Where it is: 1 to [`NAME_CHARS_MAX`] characters.
    pub venue: Option<String>,
    /// When it begins.
    pub starts_at: Option<DateTime<Utc>>,
    /// Tickets: 1 to [`CAPACITY_MAX`].
    pub capacity: u32,
    /// Of one ticket: 1 to [`Money::PRICE_MAX`] minor units.
    pub price: Money,
    /// Tickets one booking may have.
    pub max_per_booking: Option<Qty>,
    /// Seconds from hold to expiry: [`HOLD_SECONDS_MIN`] to [`HOLD_SECONDS_MAX`].
    pub hold_seconds: u32,
}

impl Register {
    fn check(&self) -> Result<(), ConcertError> {
        let is_text = |text: &String| {
            !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
        };
        let rules = [
            ("name", is_text(&self.name), "1 to 200 printable characters"),
            ("venue", self.venue.as_ref().is_none_or(is_text), "1 to 200 printable characters"),
            ("startsAt", self.starts_at.is_none_or(|at| (1..=9_999).contains(&at.year())), "a year from 1 to 9999"),
            ("ticketQty", (1..=CAPACITY_MAX).contains(&self.capacity), "1 to 10000000 tickets"),
            ("price", (1..=Money::PRICE_MAX).contains(&self.price.amount), "1 to 1000000000 minor units"),
            ("holdSeconds", (HOLD_SECONDS_MIN..=HOLD_SECONDS_MAX).contains(&self.hold_seconds), "1 to 604800 seconds"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((term, _, rule)) => Err(ConcertError::TermOutOfRange { term, rule }),
            None => Ok(()),
        }
    }
}

impl Concert {
    pub(super) fn register(&self, terms: Register) -> Result<Vec<ConcertEvent>, ConcertError> {
        terms.check()?;
        if let Some(known) = &self.terms {
            let same = known.concert_id == terms.concert_id
                && known.organizer_id == terms.organizer_id
                && known.name == terms.name
                && known.venue == terms.venue
                && known.starts_at == terms.starts_at
                && known.capacity_registered == terms.capacity
                && known.price == terms.price
                && known.max_per_booking == terms.max_per_booking
                && known.hold_seconds == terms.hold_seconds;
            return if same { Ok(Vec::new()) } else { Err(ConcertError::AlreadyRegistered) };
        }
        Ok(vec![ConcertEvent::ConcertRegistered {
            concert_id: terms.concert_id,
            organizer_id: terms.organizer_id,
            name: terms.name,
            venue: terms.venue,
            starts_at: terms.starts_at,
            capacity: terms.capacity,
            price: terms.price,
            max_per_booking: terms.max_per_booking,
            hold_seconds: terms.hold_seconds,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ConcertCommand, state::given::*},
        *,
    };

    fn terms() -> Register {
        Register {
            concert_id: CONCERT,
            organizer_id: ORGANIZER,
            name: "Autumn".to_owned(),
            venue: None,
            starts_at: None,
            capacity: 100,
            price: Money::krw(110_000),
            max_per_booking: Some(qty(4)),
            hold_seconds: 600,
        }
    }

    #[test]
    fn a_concert_goes_on_sale() {
        concert()
            .given_no_previous_events()
            .when(ConcertCommand::Register(terms()))
            .then_expect_events(vec![registered(100)]);
    }

    #[test]
    fn the_same_terms_again_have_no_effect() {
        concert().given(vec![registered(100)]).when(ConcertCommand::Register(terms())).then_expect_events(vec![]);
    }

    #[test]
    fn other_terms_under_the_same_id_are_refused() {
        let other = Register { name: "Winter".to_owned(), ..terms() };
        concert()
            .given(vec![registered(100)])
            .when(ConcertCommand::Register(other))
            .then_expect_error(ConcertError::AlreadyRegistered);
    }

    #[test]
    fn every_term_has_its_range() {
        for (term, wrong) in [
            ("name", Register { name: " ".to_owned(), ..terms() }),
            ("name", Register { name: "x".repeat(NAME_CHARS_MAX + 1), ..terms() }),
            ("name", Register { name: "a\u{0}".to_owned(), ..terms() }),
            ("venue", Register { venue: Some(String::new()), ..terms() }),
            ("startsAt", Register { starts_at: Some(DateTime::<Utc>::MIN_UTC), ..terms() }),
            ("ticketQty", Register { capacity: 0, ..terms() }),
            ("ticketQty", Register { capacity: CAPACITY_MAX + 1, ..terms() }),
            ("price", Register { price: Money::krw(0), ..terms() }),
            ("price", Register { price: Money::krw(Money::PRICE_MAX + 1), ..terms() }),
            ("holdSeconds", Register { hold_seconds: 0, ..terms() }),
            ("holdSeconds", Register { hold_seconds: HOLD_SECONDS_MAX + 1, ..terms() }),
        ] {
            match Concert::default().register(wrong) {
                Err(ConcertError::TermOutOfRange { term: named, .. }) => assert_eq!(named, term),
                other => panic!("{term}: {other:?}"),
            }
        }
    }
}
