//! What was published, and what the sealer left beside its key, against a database that says something else.

use async_nats::jetstream;
use audit::verify::{Check, Evidence, Report, Verdict};
use nats::{CHECKPOINTS_STREAM, CHECKPOINTS_SUBJECT, connect};
use seals::{KeyFile, VerifierKey, last_checkpoint_file};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::world::{World, assert_found, assert_only, assert_passes, checked};

/// Events of these logs.
const EVENTS: usize = 1_500;

/// A booking of the sale.
const BOOKING: usize = 33;

const NO_SEALS: &str = "DELETE FROM seal_tiles; DELETE FROM seal_checkpoints;
                        UPDATE checkpoints SET position = 0 WHERE name = 'seals'";

/// A log that was sealed and published twice, with some events between; the size of the first tree.
async fn published() -> (World, u64) {
    let world = World::start().await;
    world.sell(EVENTS).await;
    world.derive().await;
    let size = world.journal.position().0;
    world.sell(EVENTS).await;
    world.derive().await;
    (world, size)
}

fn notes(report: &Report) -> String {
    checked(report, Check::Seals).notes.join("\n")
}

/// What else there is, without what the sealer keeps beside its key.
fn only_published(world: &World) -> Evidence {
    Evidence { last_signed: None, ..world.evidence() }
}

fn told(report: &Report) -> Vec<String> {
    checked(report, Check::Seals).first_breaches.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_rewritten_and_signed_anew_is_found_by_what_was_published() {
    let mut world = World::start().await;
    let sale = world.sell(EVENTS).await;
    world.derive().await;
    let sealed = world.journal.position().0;
    let numbers = world.number("SELECT max(number) FROM seal_checkpoints").await;
    let report = world.verify().await;
    assert_passes(&report);
    assert!(
        notes(&report).contains(&format!("published: {numbers} compared, of numbers 1 to {numbers}")),
        "{report:?}"
    );
    assert!(notes(&report).contains("the sealer's last: compared"), "{report:?}");

    let its_fan = BOOKING % sale.fans.len();
    let (fan, other, booking) = (sale.fans[its_fan], sale.fans[its_fan - 1], sale.bookings[BOOKING]);
    let of_it = format!("SELECT count(*) FROM events WHERE payload::text LIKE '%{booking}%{fan}%'");
    assert!(world.number(&of_it).await > 0, "there is nothing to rewrite");
    world
        .sql(&format!(
            "UPDATE events SET payload = replace(payload::text, '{fan}', '{other}')::json
             WHERE payload::text LIKE '%{booking}%'"
        ))
        .await;
    world.sql(NO_SEALS).await;
    std::fs::remove_file(last_checkpoint_file(&world.key_file())).unwrap();
    world.start_again().await;
    // With the real key. What was published stays as it was.
    world.seal_alone().await;
    let report = world.verify_by(only_published(&world)).await;
    let seals = checked(&report, Check::Seals);
    assert_eq!(seals.breaches, numbers - 1, "all but that of the empty log: {:?}", told(&report));
    assert_found(
        &report,
        Check::Seals,
        sealed,
        &[&format!("published checkpoint {numbers}"), "the root", "changed, removed or put in since", "database"],
    );

    // Nor does it help to be followed by another log that is as long: the forger cannot publish.
    let report = world.verify_by(Evidence { nats_url: None, ..only_published(&world) }).await;
    assert_eq!(checked(&report, Check::Seals).verdict, Verdict::Sound);
    assert!(notes(&report).contains("published: not compared, as the mirror is left out"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_and_the_database_lacks_is_named() {
    let (world, first) = published().await;
    let last = world.number("SELECT max(number) FROM seal_checkpoints").await;
    let head = world.journal.position().0;
    assert_passes(&world.verify().await);

    // As a backup that was made in between has it, but for the events.
    let numbered = format!("(SELECT max(number) FROM seal_checkpoints WHERE size <= {first})");
    let newest = world.number(&format!("SELECT {numbered}")).await;
    world.sql("CREATE TABLE kept AS TABLE seal_checkpoints").await;
    world.sql(&format!("DELETE FROM seal_checkpoints WHERE number > {numbered}")).await;
    let report = world.verify_by(only_published(&world)).await;
    let gone = [&format!("published checkpoint {last}"), "its newest is", "restore-check", "the events up to here are"];
    assert_found(&report, Check::Seals, head, &gone.map(|text| text as &str));
    assert_eq!(checked(&report, Check::Seals).breaches, last - newest, "{:?}", told(&report));
    assert_only(&report, &[Check::Seals]);
    // The sealer remembers it too.
    let report = world.verify_by(Evidence { nats_url: None, ..world.evidence() }).await;
    assert_found(&report, Check::Seals, head, &["the sealer's last checkpoint, in ", "seal.checkpoint", "restored"]);
    assert_eq!(checked(&report, Check::Seals).breaches, 1, "{:?}", told(&report));

    // One in the middle.
    world.sql("DELETE FROM seal_checkpoints; INSERT INTO seal_checkpoints SELECT * FROM kept").await;
    assert_passes(&world.verify().await);
    let size = world.number("SELECT size FROM seal_checkpoints WHERE number = 2").await;
    world.sql("DELETE FROM seal_checkpoints WHERE number = 2").await;
    let report = world.verify().await;
    assert_found(&report, Check::Seals, size, &["published checkpoint 2", "the database has no checkpoint 2"]);

    // Emptied: that is not a database which never had any.
    world.sql("DELETE FROM seal_checkpoints; DELETE FROM seal_tiles").await;
    for evidence in [only_published(&world), Evidence { nats_url: None, ..world.evidence() }] {
        let report = world.verify_by(evidence).await;
        assert_found(&report, Check::Seals, head, &["its seals were removed"]);
    }
    world.sql("DELETE FROM seal_log").await;
    let report = world.verify_by(only_published(&world)).await;
    let said = told(&report);
    assert!(said[0].contains(&format!("published checkpoint {last}, over {head} events")), "{said:?}");
    let report = world.verify_by(Evidence { nats_url: None, ..world.evidence() }).await;
    let said = told(&report);
    assert!(said.len() == 1 && said[0].contains("the sealer's last checkpoint, in "), "{said:?}");
    // Without either nobody can know.
    let report = world.verify_by(Evidence::default()).await;
    assert!(matches!(checked(&report, Check::Seals).verdict, Verdict::Skipped(_)), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_published_that_is_said_and_where_something_was_deleted_that_is_found() {
    let (world, _) = published().await;
    let context = jetstream::new(connect(&world.nats.url(), "forger").await.unwrap());
    let stream = context.get_stream(CHECKPOINTS_STREAM).await.unwrap();
    let mut config = stream.cached_info().config.clone();
    let last = stream.cached_info().state.last_sequence;

    // One that is not ours.
    context.publish(CHECKPOINTS_SUBJECT, "something else".into()).await.unwrap().await.unwrap();
    let report = world.verify().await;
    let said = told(&report);
    assert!(said[0].contains(&format!("published checkpoint {}", last + 1)), "{said:?}");
    assert!(said[0].contains("not a signed note") && said[0].contains("restored from a backup"), "{said:?}");
    assert_eq!(said.len(), 1);

    // The oldest may go.
    config.max_messages = 3;
    context.update_stream(&config).await.unwrap();
    let report = world.verify().await;
    assert!(notes(&report).contains(&format!("published: 3 compared, of numbers {} to", last - 1)), "{report:?}");
    // What is between them may not.
    context.delete_stream(CHECKPOINTS_STREAM).await.unwrap();
    let report = world.verify().await;
    assert_passes(&report);
    assert!(notes(&report).contains(", there is no stream"), "{report:?}");
    let config = jetstream::stream::Config { deny_delete: false, max_messages: -1, ..config };
    let stream = context.create_stream(config).await.unwrap();
    let report = world.verify().await;
    assert_passes(&report);
    assert!(notes(&report).contains("published: none yet"), "{report:?}");
    let notes = "SELECT note FROM seal_checkpoints ORDER BY number";
    let notes: Vec<String> = sqlx::query_scalar(notes).fetch_all(world.journal.pool()).await.unwrap();
    for note in notes {
        context.publish(CHECKPOINTS_SUBJECT, note.into()).await.unwrap().await.unwrap();
    }
    assert_passes(&world.verify().await);
    stream.delete_message(2).await.unwrap();
    let said = told(&world.verify().await);
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("published checkpoint 2: expected to be in the stream; found nothing"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_is_believed_after_a_rotation_and_whatever_keys_the_database_names() {
    let (world, _) = published().await;
    let file = KeyFile::new(world.key_file());
    let (key, origin) = (file.read().unwrap().remove(0).verifier().clone(), key_origin(&file));
    file.rotate(&origin).unwrap();
    world.sell(EVENTS).await;
    world.derive().await;
    file.retire(&origin).unwrap();
    world.sell(EVENTS).await;
    world.derive().await;
    let newest: VerifierKey = file.read().unwrap().remove(0).verifier().clone();
    for trusted in [vec![], vec![key.clone()], vec![newest]] {
        assert_passes(&world.verify_by(Evidence { trusted, ..world.evidence() }).await);
    }
    // Somebody makes the database forget the first key and what it signed.
    world.sql(&format!("DELETE FROM seal_keys WHERE verifier = '{key}'")).await;
    world.sql(NO_SEALS).await;
    std::fs::remove_file(last_checkpoint_file(&world.key_file())).unwrap();
    world.seal_alone().await;
    let said = told(&world.verify_by(only_published(&world)).await);
    assert!(said.iter().any(|said| said.contains("none of the known keys signed it")), "{said:?}");
    let said = told(&world.verify_by(Evidence { trusted: vec![key], ..only_published(&world) }).await);
    assert!(said.iter().all(|said| said.contains("the events up to here are")), "{said:?}");
}

fn key_origin(file: &KeyFile) -> String {
    file.read().unwrap()[0].verifier().origin().to_owned()
}

/// A server that answers pings and nothing else, as one does to whom may not ask.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (reading, mut writing) = socket.into_split();
                let info =
                    "INFO {\"server_id\":\"x\",\"version\":\"2.15.1\",\"max_payload\":1048576,\"headers\":true}\r\n";
                writing.write_all(info.as_bytes()).await.unwrap();
                let mut lines = BufReader::new(reading).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "PING" && writing.write_all(b"PONG\r\n").await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn where_what_was_published_cannot_be_seen_that_is_said_and_the_rest_is_checked() {
    let (world, _) = published().await;
    // Away.
    let evidence = Evidence { nats_url: Some("nats://127.0.0.1:1".to_owned()), ..world.evidence() };
    let report = world.verify_by(evidence).await;
    let seals = checked(&report, Check::Seals);
    assert!(matches!(&seals.verdict, Verdict::Unseen(why) if why.contains("cannot be read")), "{report:?}");
    assert!(notes(&report).contains("published: not compared: "), "{report:?}");
    assert!(report.sound && !report.complete && seals.count > 0, "{report:?}");
    // There, but of no use for this, while the mirror may be read.
    let report = world.verify_by(Evidence { nats_url: Some(silent().await), ..world.evidence() }).await;
    let seals = checked(&report, Check::Seals);
    assert!(matches!(&seals.verdict, Verdict::Unseen(why) if why.contains("cannot be read")), "{report:?}");
    assert!(report.sound && !report.complete && seals.count > 0, "{report:?}");
}
