use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use async_nats::{Client, ConnectOptions, HeaderMap, ServerAddr};
use futures::StreamExt;
use stack::testing::eventually;
use stack::{Error, Nats, NatsOptions, SyncInterval};

const SOON: Duration = Duration::from_secs(10);

/// async-nats does not look at the user and password of a URL by itself.
async fn connect(url: String) -> Result<Client, async_nats::ConnectError> {
    let address: ServerAddr = url.parse().unwrap();
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let (user, password) = (part(address.username()), part(address.password()));
    ConnectOptions::with_user_and_password(user, password).connect(address).await
}

async fn relay(nats: &Nats) -> jetstream::Context {
    jetstream::new(connect(nats.url()).await.expect("relay is let in"))
}

async fn reader(nats: &Nats) -> Client {
    connect(nats.reader_url()).await.expect("reader is let in")
}

async fn stream_of_one(nats: &Nats) -> jetstream::Context {
    let relay = relay(nats).await;
    let subjects = vec!["boxoffice.events.>".to_owned()];
    let config = stream::Config { name: "BOXOFFICE".to_owned(), subjects, allow_direct: true, ..Default::default() };
    relay.create_stream(config).await.unwrap();
    publish(&relay).await;
    relay
}

async fn publish(relay: &jetstream::Context) {
    relay.publish("boxoffice.events.concert.TicketsHeld", "{}".into()).await.unwrap().await.unwrap();
}

async fn last_sequence(relay: &jetstream::Context) -> u64 {
    relay.get_stream("BOXOFFICE").await.unwrap().get_info().await.unwrap().state.last_sequence
}

#[tokio::test]
async fn the_stream_survives_being_killed() {
    let nats = Nats::temp_with(|options| NatsOptions { sync_interval: SyncInterval::Always, ..options }).await.unwrap();
    stream_of_one(&nats).await;
    let (url, pid) = (nats.url(), nats.pid());
    nats.kill().await.unwrap();
    assert!(!nats.is_running());
    nats.start_again().await.unwrap();
    assert_eq!(last_sequence(&relay(&nats).await).await, 1);
    assert_eq!(nats.url(), url);
    assert_ne!(nats.pid(), pid);
}

#[tokio::test]
async fn the_stream_is_gone_once_its_store_is() {
    let nats = Nats::temp().await.unwrap();
    stream_of_one(&nats).await;
    nats.stop().await.unwrap();
    nats.wait_exit().await;
    std::fs::remove_dir_all(nats.store_dir()).unwrap();
    nats.start_again().await.unwrap();
    relay(&nats).await.get_stream("BOXOFFICE").await.expect_err("there is no stream");
}

#[tokio::test]
async fn a_reader_follows_the_events() {
    let nats = Nats::temp().await.unwrap();
    let relay = stream_of_one(&nats).await;
    let reader = jetstream::new(reader(&nats).await);
    let stream = reader.get_stream("BOXOFFICE").await.expect("a reader may look at the stream");
    assert_eq!(stream.direct_get(1).await.expect("a reader may get a message").sequence, 1);

    let pull = stream.create_consumer(consumer::pull::OrderedConfig::default()).await.unwrap();
    let mut pulled = pull.messages().await.unwrap();
    publish(&relay).await;
    for expected in [1, 2] {
        let pulled = tokio::time::timeout(SOON, pulled.next()).await.expect("an event").unwrap().unwrap();
        assert_eq!(pulled.info().unwrap().stream_sequence, expected);
    }

    let durable = consumer::pull::Config { durable_name: Some("mypage".to_owned()), ..Default::default() };
    let durable = stream.create_consumer(durable).await.unwrap();
    let first = durable.fetch().max_messages(1).messages().await.unwrap().next().await.unwrap().unwrap();
    first.double_ack().await.expect("an acknowledgement gets through");
}

#[tokio::test]
async fn a_reader_can_neither_write_events_nor_change_the_stream() {
    let nats = Nats::temp().await.unwrap();
    let relay = stream_of_one(&nats).await;
    let client = reader(&nats).await;
    client.publish("boxoffice.events.concert.TicketsHeld", "forged".into()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", "1");
    client.publish_with_headers("boxoffice.events.x", headers, "forged".into()).await.unwrap();
    for request in ["PURGE.BOXOFFICE", "DELETE.BOXOFFICE", "MSG.DELETE.BOXOFFICE", "UPDATE.BOXOFFICE", "CREATE.OTHER"] {
        let answer = client.request(format!("$JS.API.STREAM.{request}"), r#"{"seq":1}"#.into());
        // The server drops it, so no answer comes; a short wait is all that can be asked for.
        tokio::time::timeout(Duration::from_millis(100), answer).await.expect_err(request);
    }
    // Nor can it make the server write there for it, by having an answer sent to such a subject.
    for request in ["$JS.API.STREAM.INFO.BOXOFFICE", "$JS.API.INFO", "$JS.API.CONSUMER.NAMES.BOXOFFICE"] {
        client.publish_with_reply(request, "boxoffice.events.forged", "".into()).await.unwrap();
    }
    client.flush().await.unwrap();
    assert_eq!(last_sequence(&relay).await, 1);
}

#[tokio::test]
async fn a_stranger_is_not_let_in() {
    let nats = Nats::temp().await.unwrap();
    connect(format!("nats://127.0.0.1:{}", nats.port())).await.expect_err("no password");
    connect(format!("nats://relay:wrong@127.0.0.1:{}", nats.port())).await.expect_err("a wrong password");
}

#[tokio::test]
async fn a_wrong_setting_is_shown_in_the_words_of_the_server() {
    let refused = Nats::temp_with(|options| NatsOptions { extra_config: "no_such_setting: 1".to_owned(), ..options });
    assert!(refused.await.unwrap_err().to_string().contains("no_such_setting"));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = Nats::temp_with(move |options| NatsOptions { port: Some(port), ..options }).await;
    assert!(matches!(refused, Err(Error::PortTaken(named)) if named == port), "{refused:?}");
}

#[tokio::test]
async fn a_dropped_one_leaves_nothing() {
    let nats = Nats::temp().await.unwrap();
    let (dir, port) = (nats.dir().to_owned(), nats.port());
    drop(nats);
    assert!(!dir.exists());
    eventually("the port to be free", SOON, || async move { std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() })
        .await;
}
