//! The log's mirror in JetStream, read with the credentials that anybody gets who may only read.

use async_nats::{
    ConnectOptions, HeaderMap, ServerAddr,
    jetstream::{
        self,
        consumer::{DeliverPolicy, pull::OrderedConfig},
        stream::{State, Stream},
    },
};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use sqlx::PgPool;
use tokio::time::timeout;

use super::{Boxoffice, Entry, Log, SOON, eventually};

const STREAM: &str = "BOXOFFICE";

/// One message of the stream.
#[derive(Debug)]
pub struct Message {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// What it was published on.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        let header = self.headers.get(name);
        header.unwrap_or_else(|| panic!("message {} has no header {name}: {:?}", self.sequence, self.headers)).as_str()
    }

    fn assert_is(&self, entry: &Entry) {
        let place = entry.position;
        assert_eq!(self.sequence, place);
        assert_eq!(self.subject, format!("boxoffice.events.{}.{}", entry.aggregate, entry.event_type), "at {place}");
        assert_eq!(self.body, entry.payload, "the body at {place}");
        assert_eq!(self.header("Boxoffice-Aggregate-Id"), entry.aggregate_id, "at {place}");
        assert_eq!(self.header("Boxoffice-Sequence"), entry.sequence.to_string(), "at {place}");
        assert_eq!(self.header("Boxoffice-Metadata"), entry.metadata, "at {place}");
        let recorded_at: DateTime<Utc> = self.header("Boxoffice-Recorded-At").parse().unwrap();
        assert_eq!(recorded_at, entry.recorded_at, "at {place}");
    }
}

async fn stream(system: &Boxoffice) -> Stream {
    let address: ServerAddr = system.setting("NATS_READER_URL").parse().unwrap();
    let user = address.username().expect("a reader's name").to_owned();
    let password = address.password().expect("a reader's password").to_owned();
    let client = ConnectOptions::with_user_and_password(user, password).connect(address).await.unwrap();
    jetstream::new(client).get_stream(STREAM).await.unwrap()
}

/// What the server says of the stream.
pub async fn stream_state(system: &Boxoffice) -> State {
    stream(system).await.get_info().await.unwrap().state
}

/// Every message, from the first to the last there is now.
pub async fn messages(system: &Boxoffice) -> Vec<Message> {
    let stream = stream(system).await;
    let count = stream.get_info().await.unwrap().state.messages;
    let deliver_policy = DeliverPolicy::All;
    let config = OrderedConfig { deliver_policy, ..OrderedConfig::default() };
    let mut delivered = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let mut messages = Vec::new();
    for _ in 0..count {
        let message = timeout(SOON, delivered.next()).await.expect("a message in time").unwrap().unwrap();
        messages.push(Message {
            sequence: message.info().unwrap().stream_sequence,
            subject: message.subject.to_string(),
            headers: message.headers.clone().unwrap_or_default(),
            body: String::from_utf8(message.payload.to_vec()).unwrap(),
        });
    }
    messages
}

/// Waits until the mirror has caught up, then compares it with the log, message by message.
pub async fn assert_mirrored(system: &Boxoffice, postgres: &PgPool) {
    let stream = stream(system).await;
    eventually("the mirror to have the whole log", SOON, || async {
        let state = stream.get_info().await.unwrap().state;
        state.last_sequence == Log::head(postgres).await
    })
    .await;
    let (count, head): (i64, i64) =
        sqlx::query_as("SELECT count(*), max(position) FROM events").fetch_one(postgres).await.unwrap();
    let State { messages: mirrored, first_sequence, last_sequence, .. } = stream.get_info().await.unwrap().state;
    let (count, head) = (count.cast_unsigned(), head.cast_unsigned());
    assert_eq!((mirrored, first_sequence, last_sequence), (count, 1, head));
    let (log, messages) = (Log::read(postgres).await, messages(system).await);
    assert_eq!(messages.len(), log.0.len());
    for (message, entry) in messages.iter().zip(&log.0) {
        message.assert_is(entry);
    }
}
