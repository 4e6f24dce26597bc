//! A Python client of NATS, which knows nothing of us, reads the same log as we do from Postgres.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::support::{Boxoffice, Log, assert_mirrored};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/independent/read_stream.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/independent/requirements.txt");
/// The program's exit code where its client library is missing.
const NO_LIBRARY: i32 = 3;

/// Runs the program, with the library from `packages` where it is not installed anyway.
fn read_stream(url: &str, packages: &Path) -> std::io::Result<Output> {
    Command::new("python3")
        .arg(PROGRAM)
        .arg(url)
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
}

/// Installs the library into `packages`; else why not.
fn install(packages: &Path) -> Result<(), String> {
    let pip = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"])
        .args(["--only-binary=:all:", "--target"])
        .arg(packages)
        .args(["-r", REQUIREMENTS])
        .output()
        .map_err(|error| error.to_string())?;
    if pip.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&pip.stderr).into_owned()) }
}

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

    let (url, packages) = (system.setting("NATS_READER_URL").to_owned(), tempfile::tempdir().unwrap());
    let read = tokio::task::spawn_blocking(move || {
        let read = read_stream(&url, packages.path()).map_err(|error| format!("python3: {error}"))?;
        if read.status.code() != Some(NO_LIBRARY) {
            return Ok(read);
        }
        install(packages.path())?;
        read_stream(&url, packages.path()).map_err(|error| format!("python3: {error}"))
    });
    let read = match read.await.unwrap() {
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
