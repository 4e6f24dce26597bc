//! A Python client of NATS, which knows nothing of us, reads the same log as we do from Postgres.

use serde_json::{Value, json};

use crate::support::{Boxoffice, Log, assert_mirrored, python};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/independent/read_stream.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/independent/requirements.txt");

#[tokio::test]
async fn a_client_that_knows_nothing_of_us_reads_the_same_events() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(50).await;
    let fan = system.fan().await;
    for _ in 0..50 {
        let booked = fan.book(&concert, 1).await.ok(201);
        fan.pays(&booked.text_at("/paymentId")).await;
    }
    fan.book(&concert, 1).await.problem(409, "sold-out");
    Log::settled(&postgres).await;
    assert_mirrored(&system, &postgres).await;

    let read = match python(PROGRAM, REQUIREMENTS, vec![system.setting("NATS_READER_URL").to_owned()]).await {
        Ok(read) => read,
        Err(why) => return eprintln!("SKIPPED: there is no Python client of NATS here: {why}"),
    };
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let seen: Value = serde_json::from_slice(&read.stdout).unwrap();
    let (count, last, sha256): (i64, i64, String) = sqlx::query_as(
        "SELECT count(*), max(position),
                encode(sha256(string_agg(convert_to(payload::text || E'\\n', 'UTF8'), ''::bytea ORDER BY position)), 'hex')
         FROM events",
    )
    .fetch_one(&postgres)
    .await
    .unwrap();
    assert!(count > 200, "{count} events");
    assert_eq!(seen, json!({"count": count, "lastSequence": last, "sha256": sha256}));
}
