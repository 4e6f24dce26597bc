//! The seam through which events of older versions reach today's code.

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::AggregateType;

/// Turns stored events of older versions into today's shape before they are decoded. The stored text never changes.
#[derive(Default)]
pub struct Upcasters(Vec<Box<dyn EventUpcaster>>);

impl Upcasters {
    /// Those of this version of the product. None yet: every event is still in its first shape.
    pub fn current() -> Self {
        Self::default()
    }

    /// Adds one; they are asked in the order in which they were added, each seeing what the one before made.
    pub fn with(mut self, upcaster: impl EventUpcaster + 'static) -> Self {
        self.0.push(Box::new(upcaster));
        self
    }

    pub(crate) fn read<E: DeserializeOwned>(
        &self,
        aggregate: AggregateType,
        event_type: &str,
        event_version: &str,
        payload: &str,
    ) -> Result<E, serde_json::Error> {
        if !self.0.iter().any(|upcaster| upcaster.can_upcast(event_type, event_version)) {
            return serde_json::from_str(payload);
        }
        self.read_value(SerializedEvent {
            aggregate_id: String::new(),
            sequence: 0,
            aggregate_type: aggregate.as_str().to_owned(),
            event_type: event_type.to_owned(),
            event_version: event_version.to_owned(),
            payload: serde_json::from_str(payload)?,
            metadata: Value::Null,
        })
    }

    /// Reads an event as a cqrs-es repository hands it out.
    pub fn read_value<E: DeserializeOwned>(&self, stored: SerializedEvent) -> Result<E, serde_json::Error> {
        let upcast = self.0.iter().fold(stored, |event, upcaster| {
            if upcaster.can_upcast(&event.event_type, &event.event_version) { upcaster.upcast(event) } else { event }
        });
        serde_json::from_value(upcast.payload)
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::persist::SemanticVersionEventUpcaster;
    use serde_json::json;

    use super::*;
    use crate::{BookingEvent, Event};

    /// The worked example: suppose version 0.9 wrote `tickets` where we write `qty`.
    fn tickets_became_qty() -> SemanticVersionEventUpcaster {
        SemanticVersionEventUpcaster::new(
            "BookingRequested",
            "1.0.0",
            Box::new(|mut payload| {
                if let Some(fields) = payload.get_mut("BookingRequested").and_then(Value::as_object_mut)
                    && let Some(tickets) = fields.remove("tickets")
                {
                    fields.insert("qty".to_owned(), tickets);
                }
                payload
            }),
        )
    }

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    #[test]
    fn an_event_of_an_older_version_is_read_in_todays_shape() {
        let old =
            json!({"BookingRequested": {"bookingId": ID, "concertId": ID, "userId": ID, "tickets": 2}}).to_string();
        let decode = |upcasters| Event::decode(&upcasters, AggregateType::Booking, "BookingRequested", "0.9", &old);
        let Ok(Event::Booking(BookingEvent::BookingRequested { qty, .. })) =
            decode(Upcasters::current().with(tickets_became_qty()))
        else {
            panic!("the upcaster was not applied");
        };
        assert_eq!(qty.get(), 2);
        assert!(decode(Upcasters::current()).is_err(), "without the upcaster the old shape is refused, not guessed");
    }

    #[test]
    fn an_event_of_todays_version_passes_untouched() {
        let new = json!({"BookingRequested": {"bookingId": ID, "concertId": ID, "userId": ID, "qty": 3}}).to_string();
        let upcasters = Upcasters::current().with(tickets_became_qty());
        assert!(Event::decode(&upcasters, AggregateType::Booking, "BookingRequested", "1.0", &new).is_ok());
    }
}
