//! The organizer calls the concert off. Its bookings are cancelled by the saga, one by one.

use super::{Concert, ConcertError, ConcertEvent};

impl Concert {
    pub(super) fn cancel(&self) -> Result<Vec<ConcertEvent>, ConcertError> {
        let terms = self.terms.as_ref().ok_or(ConcertError::NoSuchConcert)?;
        if self.canceled {
            return Ok(Vec::new());
        }
        Ok(vec![ConcertEvent::ConcertCanceled { concert_id: terms.concert_id }])
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ConcertCommand::Cancel, state::given::*},
        *,
    };

    #[test]
    fn a_concert_is_called_off_once() {
        concert().given(vec![registered(3)]).when(Cancel).then_expect_events(vec![canceled()]);
        concert().given(vec![registered(3), canceled()]).when(Cancel).then_expect_events(vec![]);
    }

    #[test]
    fn an_unknown_concert_refuses() {
        concert().given_no_previous_events().when(Cancel).then_expect_error(ConcertError::NoSuchConcert);
    }
}
