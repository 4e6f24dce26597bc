//! Seals of a running system, checked by those who do not trust it: by the standards, over HTTP, and after the worst.

use std::{
    path::PathBuf,
    process::{Child, Output},
};

use futures::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Nats, Postgres};
use uuid::Uuid;

use crate::support::{Answer, Boxoffice, Client, Fan, Log, SOON, command, eventually, free_port, python};

/// How often a process ends in order.
const ENDS: usize = 3;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/independent/check_seals.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/independent/requirements-seals.txt");

/// The size of the tree in a checkpoint.
fn size(checkpoint: &str) -> u64 {
    checkpoint.lines().nth(1).unwrap().parse().unwrap()
}

/// The newest checkpoint, once the whole log is in it.
async fn whole(system: &Boxoffice) -> String {
    let postgres = system.postgres().await;
    let head = Log::head(&postgres).await;
    let anonymous = system.anonymous();
    eventually(&format!("position {head} to be sealed"), SOON, async || {
        let answer = anonymous.get("/checkpoint").await;
        answer.status == 200 && size(&answer.text) >= head
    })
    .await;
    anonymous.get("/checkpoint").await.ok(200).text
}

/// Bookings of all kinds of one concert; the last of them is paid.
async fn sell(system: &Boxoffice, bookings: usize) -> (Fan, String) {
    let concert = system.organizer().await.register_concert(1_000).await;
    let fan = system.fan().await;
    let booked = join_all((0..bookings).map(|_| fan.book(&concert, 1))).await;
    let ids: Vec<_> = booked.into_iter().map(|answer| answer.ok(201)).collect();
    fan.pays(&ids[0].text_at("/paymentId")).await;
    (fan, ids[0].text_at("/bookingId"))
}

async fn receipt(client: &Client, booking: &str) -> Answer {
    client.get(&format!("/bookings/{booking}/receipt")).await
}

fn write(system: &Boxoffice, name: &str, text: &str) -> PathBuf {
    let file = system.data().parent().unwrap().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_program_that_knows_only_the_standards_checks_them() {
    let mut system = Boxoffice::start().await;
    sell(&system, 30).await;
    let kept = write(&system, "kept", &whole(&system).await);
    // Killed in the middle of it, twice.
    for _ in 0..2 {
        sell(&system, 40).await;
        system.kill();
        system.start_again().await;
    }
    let (fan, booking) = sell(&system, 60).await;
    let receipt = write(&system, "receipt", &receipt(&fan, &booking).await.ok(200).text);
    whole(&system).await;
    let organizer = system.organizer().await;
    let key = system.setting("BOXOFFICE_SEAL_KEY").to_owned();
    let shown = |path: &PathBuf| path.display().to_string();
    let arguments = vec![
        system.setting("BOXOFFICE_URL").to_owned(),
        key,
        organizer.token().to_owned(),
        shown(&kept),
        shown(&receipt),
    ];
    let checked = match python(PROGRAM, REQUIREMENTS, arguments.clone()).await {
        Ok(checked) => checked,
        Err(why) => return eprintln!("SKIPPED: there is no `cryptography` for Python here: {why}"),
    };
    assert!(checked.status.success(), "{}", said(&checked));
    let found: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(found["size"].as_u64().unwrap() > 400 && found["size"] == found["entries"], "{found}");
    assert_eq!(found["receiptEvents"], json!(7), "{found}");

    // It can also say no: of a checkpoint that somebody else made, and of a receipt that was changed.
    let text = std::fs::read_to_string(&kept).unwrap();
    let forged = write(&system, "forged", &text.replacen(&format!("\n{}\n", size(&text)), "\n17\n", 1));
    let mut other = arguments.clone();
    other[3] = shown(&forged);
    assert!(
        said(&python(PROGRAM, REQUIREMENTS, other).await.unwrap()).contains("signature of the checkpoint is wrong")
    );
    let text = std::fs::read_to_string(&receipt).unwrap();
    let forged = write(&system, "forged", &text.replace("\\\"qty\\\":1", "\\\"qty\\\":2"));
    let mut other = arguments;
    other[4] = shown(&forged);
    assert!(said(&python(PROGRAM, REQUIREMENTS, other).await.unwrap()).contains("is not proved to be in the tree"));
}

#[tokio::test]
async fn a_receipt_is_the_fan_s_own_and_is_checked_without_the_system() {
    let mut system = Boxoffice::start().await;
    let (fan, booking) = sell(&system, 3).await;
    let key = system.setting("BOXOFFICE_SEAL_KEY").to_owned();
    let answer = receipt(&fan, &booking).await.ok(200);
    let names: Vec<_> = answer.body["events"].as_array().unwrap().iter().map(|event| &event["eventType"]).collect();
    let all = [
        "BookingRequested",
        "TicketsHeld",
        "PaymentRequested",
        "PaymentAttempted",
        "PaymentApproved",
        "BookingApproved",
    ];
    assert_eq!(names[..6], all, "{}", answer.text);
    let stranger = system.fan().await;
    receipt(&stranger, &booking).await.problem(403, "forbidden");
    receipt(&system.anonymous(), &booking).await.problem(401, "unauthenticated");
    receipt(&system.organizer().await, &booking).await.ok(200);
    receipt(&fan, "00000000-0000-0000-0000-000000000000").await.problem(404, "not-found");

    let data = system.data().display().to_string();
    let made = run(&["audit", "receipt", &booking, "--data", &data]);
    assert!(made.status.success(), "{}", said(&made));
    let printed = run(&["seals", "key", "--data", &data]);
    assert_eq!(String::from_utf8_lossy(&printed.stdout).trim(), key);
    system.kill();

    let verify = |text: &str, key: &str| {
        let file = write(&system, "receipt", text);
        run(&["audit", "verify-receipt", &file.display().to_string(), "--key", key])
    };
    let text = String::from_utf8(made.stdout).unwrap();
    for text in [&text, &answer.text] {
        let verified = verify(text, &key);
        assert!(verified.status.success(), "{}", said(&verified));
        assert!(said(&verified).contains("BookingApproved") && said(&verified).contains("What this proves"));
    }
    let other_key = "boxoffice/x+96ed1ec1+AVI1ZMW6SLTe8cD6gnNhXC1dYfUPVYl0mRSaSXCFX6To";
    for (forged, key, reason) in [
        (text.replace("BookingApproved", "BookingRejected"), key.as_str(), "was changed"),
        (
            text.replacen(
                "\"inclusionProof\": [",
                "\"inclusionProof\": [\"TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\",",
                1,
            ),
            &key,
            "proof",
        ),
        (text.replacen("boxoffice/", "boxoffice/x", 1), &key, "checkpoint"),
        ("{}".to_owned(), &key, "no receipt"),
        (text.clone(), other_key, "--key"),
    ] {
        let refused = verify(&forged, key);
        let code = if reason == "--key" { 2 } else { 1 };
        assert_eq!(refused.status.code(), Some(code), "{}", said(&refused));
        assert!(said(&refused).contains(reason), "{reason}: {}", said(&refused));
    }
}

#[tokio::test]
async fn tiles_are_for_everybody_and_entries_for_organizers() {
    let system = Boxoffice::start().await;
    sell(&system, 90).await;
    let size = size(&whole(&system).await);
    let anonymous = system.anonymous();
    let checkpoint = anonymous.get("/checkpoint").await.ok(200);
    assert_eq!(checkpoint.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(checkpoint.text.starts_with("boxoffice/"), "{}", checkpoint.text);
    let full = anonymous.get("/tile/0/000").await.ok(200);
    assert_eq!(full.header("content-type"), Some("application/octet-stream"));
    assert_eq!(full.header("content-length"), Some("8192"));
    assert!(full.header("cache-control").is_some_and(|cache| cache.contains("immutable")));
    let width = size % 256;
    let partial = anonymous.get(&format!("/tile/0/001.p/{width}")).await.ok(200);
    assert_eq!(partial.header("content-length").map(str::to_owned), Some((width * 32).to_string()));
    for nothing in ["/tile/0/001", "/tile/0/x001/000", "/tile/9/000", "/tile/0/0", "/tile/00/000", "/tile/0/000.p/256"]
    {
        anonymous.get(nothing).await.problem(404, "not-found");
    }
    anonymous.get("/tile/entries/000").await.problem(401, "unauthenticated");
    system.fan().await.get("/tile/entries/000").await.problem(403, "forbidden");
    let entries = system.organizer().await.get("/tile/entries/000").await.ok(200);
    assert!(entries.text.contains("ConcertRegistered"));
    system.organizer().await.get("/tile/entries/001").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_key_is_rotated_while_it_runs_and_the_next_checkpoints_carry_both() {
    let system = Boxoffice::start().await;
    sell(&system, 2).await;
    let before = whole(&system).await;
    let data = system.data().display().to_string();
    let rotated = run(&["seals", "rotate", "--data", &data]);
    assert!(rotated.status.success(), "{}", said(&rotated));
    assert_eq!(String::from_utf8_lossy(&rotated.stdout).lines().count(), 2);
    sell(&system, 2).await;
    let after = whole(&system).await;
    let signatures = |note: &str| note.lines().filter(|line| line.starts_with('—')).count();
    assert_eq!((signatures(&before), signatures(&after)), (1, 2));
    assert!(run(&["seals", "retire", "--data", &data]).status.success());
    sell(&system, 2).await;
    assert_eq!(signatures(&whole(&system).await), 1);
    let all = run(&["seals", "key", "--all", "--data", &data]);
    assert_eq!(String::from_utf8_lossy(&all.stdout).lines().count(), 2, "{}", said(&all));
}

/// JetStream by the login of a setting.
async fn jetstream(system: &Boxoffice, setting: &str) -> async_nats::jetstream::Context {
    let address: async_nats::ServerAddr = system.setting(setting).parse().unwrap();
    let (user, password) = (address.username().unwrap().to_owned(), address.password().unwrap().to_owned());
    let client = async_nats::ConnectOptions::with_user_and_password(user, password).connect(address).await.unwrap();
    async_nats::jetstream::new(client)
}

#[tokio::test]
async fn checkpoints_are_in_the_stream_too() {
    let system = Boxoffice::start().await;
    sell(&system, 2).await;
    whole(&system).await;
    let postgres = system.postgres().await;
    let context = jetstream(&system, "NATS_READER_URL").await;
    let stored = async || -> Vec<String> {
        sqlx::query_scalar("SELECT note FROM seal_checkpoints ORDER BY number").fetch_all(&postgres).await.unwrap()
    };
    eventually("every checkpoint to be published", SOON, async || {
        let Ok(stream) = context.get_stream("BOXOFFICE_CHECKPOINTS").await else { return false };
        let last = stream.cached_info().state.last_sequence;
        let stored = stored().await;
        if last == 0 || last != stored.len() as u64 {
            return false;
        }
        for (number, note) in (1..).zip(&stored) {
            assert_eq!(stream.get_raw_message(number).await.unwrap().payload, note.as_bytes());
        }
        true
    })
    .await;
}

#[tokio::test]
async fn a_changed_end_of_the_log_is_not_signed_over_and_somebody_is_told() {
    let mut system = Boxoffice::start().await;
    sell(&system, 5).await;
    let sealed = size(&whole(&system).await);
    let postgres = system.postgres().await;
    let change = "UPDATE events SET metadata = (metadata::text || ' ')::json WHERE position = $1";
    sqlx::query(change).bind(sealed.cast_signed()).execute(&postgres).await.unwrap();
    postgres.close().await;
    system.kill();
    system.start_again().await;
    let anonymous = system.anonymous();
    eventually("the sealer to halt", SOON, async || {
        let ready = anonymous.get("/readyz").await.ok(200);
        ready.body["seals"].as_str().unwrap().starts_with("halted") && ready.body["status"] == "degraded"
    })
    .await;
    let data = system.data().display().to_string();
    eventually("`status` to say so", SOON, async || {
        let status = said(&run(&["status", "--data", &data]));
        status.contains("seals of") && status.contains(&format!("position {sealed}"))
    })
    .await;
    assert!(system.stderr().contains("the sealer is halted"));
    // Booking goes on.
    sell(&system, 1).await;
    assert_eq!(size(&anonymous.get("/checkpoint").await.ok(200).text), sealed);
}

#[tokio::test]
async fn a_foreign_checkpoint_in_the_stream_stops_the_publishing_and_somebody_is_told() {
    let mut system = Boxoffice::start().await;
    sell(&system, 2).await;
    whole(&system).await;
    let context = jetstream(&system, "NATS_URL").await;
    // By somebody with the rights of the relay.
    context.publish("boxoffice.checkpoints", "not ours".into()).await.unwrap().await.unwrap();
    sell(&system, 2).await;
    let anonymous = system.anonymous();
    eventually("the publishing to halt", SOON, async || {
        let ready = anonymous.get("/readyz").await.ok(200);
        let seals = ready.body["seals"].as_str().unwrap();
        seals.starts_with("sealing; publishing is halted: checkpoint ") && ready.body["status"] == "degraded"
    })
    .await;
    let data = system.data().display().to_string();
    eventually("`status` to say so", SOON, async || {
        let status: Value = serde_json::from_slice(&run(&["status", "--json", "--data", &data]).stdout).unwrap();
        let told = status["troubles"].as_array().unwrap().iter().map(|trouble| trouble["what"].as_str().unwrap());
        let told: Vec<_> = told.filter(|what| what.starts_with("checkpoint publisher of")).collect();
        told.len() == 1 && told[0].contains("docs/seals.md") && status["ok"] == false
    })
    .await;
    // Sealing and booking go on, and an audit names it.
    sell(&system, 1).await;
    whole(&system).await;
    let audited = run(&["audit", "verify", "--without", "histories", "--data", &data]);
    assert_eq!(audited.status.code(), Some(1), "{}", said(&audited));
    assert!(said(&audited).contains("published checkpoint "), "{}", said(&audited));

    // The way back, as docs/seals.md has it.
    context.delete_stream("BOXOFFICE_CHECKPOINTS").await.unwrap();
    system.kill();
    system.start_again().await;
    let anonymous = system.anonymous();
    let postgres = system.postgres().await;
    let context = jetstream(&system, "NATS_URL").await;
    eventually("all of them to be published", SOON, async || {
        let Ok(stream) = context.get_stream("BOXOFFICE_CHECKPOINTS").await else { return false };
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM seal_checkpoints").fetch_one(&postgres).await.unwrap();
        stream.cached_info().state.last_sequence == count.cast_unsigned()
    })
    .await;
    let ready = anonymous.get("/readyz").await.ok(200);
    assert_eq!(ready.body["seals"], "sealing", "{}", ready.text);
    let audited = run(&["audit", "verify", "--data", &data]);
    assert!(audited.status.success(), "{}", said(&audited));
}

/// A process that does not outlive a test that fails.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended_or_gone = self.0.kill();
    }
}

#[tokio::test]
async fn after_an_orderly_end_the_whole_log_is_sealed_and_published() {
    let (postgres, nats) = tokio::join!(Postgres::temp(), Nats::temp());
    let (postgres, nats) = (postgres.unwrap(), nats.unwrap());
    let dir = tempfile::tempdir().unwrap();
    let with_settings = || {
        let mut command = command();
        command.env("DATABASE_URL", postgres.url()).env("NATS_URL", nats.url());
        command.env("NATS_READER_URL", nats.reader_url()).env("MYPAGE_PATH", dir.path().join("mypage.db"));
        command
    };
    let database = sqlx::PgPool::connect(&postgres.url()).await.unwrap();
    for _ in 0..ENDS {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut serving = Serving(with_settings().args(["serve", "--listen", &listen]).spawn().unwrap());
        let anonymous = Client::new(&format!("http://{listen}"));
        eventually("it to answer", SOON, async || {
            let asked = anonymous.try_send(anonymous.request(Method::GET, "/readyz")).await;
            asked.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        for _ in 0..10 {
            let user =
                json!({"name": "Kim", "email": format!("{}@example.org", Uuid::new_v4()), "password": "correct horse"});
            anonymous.post("/users", &user).await.ok(201);
        }
        // Before the next checkpoint is due.
        kill(Pid::from_raw(serving.0.id().cast_signed()), Signal::SIGTERM).unwrap();
        let status = tokio::task::spawn_blocking(move || serving.0.wait().unwrap()).await.unwrap();
        assert!(status.success(), "{status}");
        let audited = with_settings().args(["audit", "verify", "--json"]).output().unwrap();
        assert!(audited.status.success(), "{}", said(&audited));
        let report: Value = serde_json::from_slice(&audited.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let seals = checks.iter().find(|check| check["check"] == "seals").unwrap();
        assert!(!seals.to_string().contains("not sealed yet"), "{seals}");
        let signed: i64 =
            sqlx::query_scalar("SELECT count(*) FROM seal_checkpoints").fetch_one(&database).await.unwrap();
        let published = format!("published: {signed} compared, of numbers 1 to {signed}; {signed} are signed");
        assert!(seals["notes"].as_array().unwrap().contains(&published.clone().into()), "{published}: {seals}");
    }
}
