//! An event as a message, and back.

use std::sync::Arc;

use aggregates::AggregateType;
use chrono::DateTime;
use futures::StreamExt;
use journal::{Position, RecordedEvent, Sequence};
use nats::{EnvelopeError, Received, ensure_stream, from_message, to_message};
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::World;

fn text() -> impl Strategy<Value = Arc<str>> {
    any::<String>().prop_map(Arc::from)
}

/// Metadata as the journal writes it: one line of JSON.
fn metadata() -> impl Strategy<Value = Arc<str>> {
    proptest::collection::hash_map("actor|correlation|causation|traceparent|unit", any::<String>(), 0..5)
        .prop_map(|map| serde_json::to_string(&map).unwrap().into())
}

prop_compose! {
    fn event()(
        position in 1..=i64::MAX.cast_unsigned(), micros in 0..4_000_000_000_000_000_i64,
        aggregate in proptest::sample::select(vec![
            AggregateType::User, AggregateType::Concert, AggregateType::Booking, AggregateType::Payment,
        ]),
        id in any::<u128>(), sequence in 1..=u64::MAX, event_type in "[A-Z][A-Za-z]{0,30}",
        event_version in "[0-9]\\.[0-9]", payload in text(), metadata in metadata(),
    ) -> RecordedEvent {
        RecordedEvent {
            position: Position(position), recorded_at: DateTime::from_timestamp_micros(micros).unwrap(),
            aggregate, aggregate_id: Uuid::from_u128(id), sequence: Sequence(sequence),
            event_type: event_type.into(), event_version: event_version.into(), payload, metadata,
        }
    }
}

proptest! {
    #[test]
    fn an_event_comes_back_as_it_was(event in event()) {
        let message = to_message(&event);
        let received = Received {
            subject: &message.subject, headers: Some(&message.headers), payload: &message.payload,
            sequence: event.position.0,
        };
        prop_assert_eq!(message.payload.as_ref(), event.payload.as_bytes());
        prop_assert_eq!(from_message(received).unwrap(), event);
    }
}

#[tokio::test]
async fn it_comes_back_over_the_wire_from_a_consumer_and_from_the_stream_itself() {
    let world = World::start().await;
    world.append(1).await;
    let event = world.row(1).await;
    let context = world.context().await;
    let stream = ensure_stream(&context, nats::StreamOptions::default()).await.unwrap();
    let message = to_message(&event);
    context.publish_with_headers(message.subject, message.headers, message.payload).await.unwrap().await.unwrap();

    let direct = stream.direct_get(1).await.unwrap();
    assert_eq!(from_message(Received::from(&direct)).unwrap(), event);
    let raw = stream.get_raw_message(1).await.unwrap();
    assert_eq!(from_message(Received::from(&raw)).unwrap(), event);
    let consumer = stream.create_consumer(async_nats::jetstream::consumer::pull::Config::default()).await.unwrap();
    let pulled = consumer.messages().await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(from_message(Received::try_from(&pulled).unwrap()).unwrap(), event);
}

#[tokio::test]
async fn the_names_on_the_wire_are_those_of_the_contract() {
    let world = World::start().await;
    world.append(1).await;
    let event = world.row(1).await;
    let message = to_message(&event);
    assert_eq!(&*message.subject, "boxoffice.events.booking.BookingRequested");
    assert_eq!(message.payload, event.payload.as_bytes());
    let header = |name: &str| message.headers.get(name).unwrap_or_else(|| panic!("{name}")).to_string();
    assert_eq!(header("Boxoffice-Aggregate-Id"), event.aggregate_id.to_string());
    assert_eq!(header("Boxoffice-Sequence"), "1");
    assert_eq!(header("Boxoffice-Metadata"), *event.metadata);
    assert_eq!(header("Boxoffice-Event-Version"), *event.event_version);
    assert_eq!(header("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(header("Nats-Expected-Last-Sequence"), "0");
    let recorded_at = header("Boxoffice-Recorded-At");
    assert_eq!(recorded_at.parse::<DateTime<chrono::Utc>>().unwrap(), event.recorded_at);
    assert_eq!(recorded_at.len(), "2026-01-01T00:00:00.000000Z".len());
}

#[tokio::test]
async fn what_is_no_event_of_ours_is_named() {
    let world = World::start().await;
    world.append(1).await;
    let message = to_message(&world.row(1).await);
    let received = |sequence| Received {
        subject: &message.subject,
        headers: Some(&message.headers),
        payload: &message.payload,
        sequence,
    };
    assert!(matches!(from_message(received(2)), Err(EnvelopeError::Misplaced { sequence: 2, .. })));
    let other = |subject| from_message(Received { subject, ..received(1) });
    assert!(matches!(other("orders.new"), Err(EnvelopeError::Subject(_))));
    assert!(matches!(other("boxoffice.events.refund.Made"), Err(EnvelopeError::Aggregate(_))));
    let bare = from_message(Received { headers: None, ..received(1) });
    assert!(matches!(bare, Err(EnvelopeError::HeaderMissing { sequence: 1, .. })), "{bare:?}");
    let garbled = from_message(Received { payload: &[0xff], ..received(1) });
    assert!(matches!(garbled, Err(EnvelopeError::Body(1))), "{garbled:?}");
}
