//! `boxoffice rebuild` beside a system at work: nobody notices, whatever is killed when, and the result is the log's.

use std::{
    process::{Child, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde_json::Value;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::support::{Boxoffice, Client, Crowd, Fan, Log, SOON, assert_mirrored, command, eventually};

/// Fans who book all the time.
const FANS: usize = 4;
const TICKETS: u64 = 100_000;
/// What they are told before, and again after, something is done.
const TOLD: usize = 30;
/// Histories on the longest page.
const PAGE: usize = 200;
/// The advisory lock that a gate waits at.
const GATE: i64 = 47_110_815;

/// The binary, on the data of `system`.
fn on(system: &Boxoffice, arguments: &[&str]) -> std::process::Command {
    let mut command = command();
    command.args(arguments).arg("--data").arg(system.data()).current_dir("/").stdin(Stdio::null());
    command
}

async fn run(system: &Boxoffice, arguments: &[&str]) -> Output {
    let mut command = on(system, arguments);
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn json(system: &Boxoffice, arguments: &[&str], code: i32) -> Value {
    let output = run(system, &[arguments, &["--json"]].concat()).await;
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Readers who look at counts and histories all the time; each read must succeed and show what was acknowledged before.
struct Readers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<u64>>,
}

impl Readers {
    fn start(system: &Boxoffice, postgres: &PgPool, fans: &[Fan], concert: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = fans.iter().map(|fan| {
            let reader =
                look(system.anonymous(), fan.reconnected(), postgres.clone(), concert.to_owned(), Arc::clone(&stop));
            tokio::spawn(reader)
        });
        Self { tasks: tasks.collect(), stop }
    }

    /// How often they have looked.
    async fn end(self) -> u64 {
        self.stop.store(true, Relaxed);
        let mut looks = 0;
        for task in self.tasks {
            looks += task.await.unwrap();
        }
        looks
    }
}

async fn look(anonymous: Client, fan: Fan, postgres: PgPool, concert: String, stop: Arc<AtomicBool>) -> u64 {
    let requested = "SELECT count(*) FROM events WHERE event_type = 'BookingRequested' AND position <= $1
                     AND payload -> 'BookingRequested' ->> 'userId' = $2";
    let mut looks = 0;
    while !stop.load(Relaxed) {
        let end = Log::head(&postgres).await;
        let shown = anonymous.get_at(&format!("/concerts/{concert}"), end).await.ok(200);
        let [capacity, held, sold, available] = shown.tickets();
        assert_eq!(capacity, held + sold + available, "{}", shown.text);
        let seen = fan.get_at(&format!("/bookingHistories/{}?limit={PAGE}", fan.id), end).await.ok(200);
        let seen = seen.body.as_array().unwrap().len();
        let requested: i64 =
            sqlx::query_scalar(requested).bind(end.cast_signed()).bind(&fan.id).fetch_one(&postgres).await.unwrap();
        let due = usize::try_from(requested).unwrap().min(PAGE);
        assert!(seen >= due, "stale: {seen} bookings of {due} at {end}");
        looks += 1;
    }
    looks
}

/// What is read must be what the log says.
async fn assert_read_as_logged(system: &Boxoffice, postgres: &PgPool, concert: &str, fans: &[Fan]) {
    let log = Log::settled(postgres).await;
    let shown = system.anonymous().get_at(&format!("/concerts/{concert}"), log.last()).await.ok(200);
    assert_eq!(shown.tickets(), log.fold().tickets(concert));
    for fan in fans {
        assert!(!fan.reconnected().histories_at(log.last()).await.is_empty());
    }
    // A copy made by nobody but us, from the log alone, must be equal in every row.
    for dry in json(system, &["rebuild", "--all", "--dry-run"], 0).await.as_array().unwrap() {
        assert_eq!((&dry["differences"], &dry["switched"]), (&0.into(), &false.into()), "{dry}");
        assert_eq!(dry["position"], log.last(), "{dry}");
    }
}

#[tokio::test]
async fn rebuilds_under_a_load_of_bookings_and_reads_are_noticed_by_nobody() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(TICKETS).await;
    let fans = system.fans(FANS).await;
    let mut crowd = Crowd::enters(&fans, &concert);
    crowd.is_told(TOLD).await;
    let readers = Readers::start(&system, &postgres, &fans, &concert);
    for from in ["journal", "jetstream", "journal"] {
        let outcomes = json(&system, &["rebuild", "--all", "--from", from], 0).await;
        for outcome in outcomes.as_array().unwrap() {
            assert_eq!((&outcome["differences"], &outcome["switched"]), (&0.into(), &true.into()), "{outcome}");
        }
        crowd.is_told(TOLD).await;
    }
    crowd.leaves().await;
    assert!(readers.end().await > 20, "hardly anybody looked");
    assert_read_as_logged(&system, &postgres, &concert, &fans).await;
    let dropped = json(&system, &["rebuild", "--drop-old"], 0).await;
    assert_eq!((&dropped["ticket-counts"], &dropped["mypage"]), (&3.into(), &3.into()), "{dropped}");
    let listed = json(&system, &["projections", "list"], 0).await;
    for projection in listed.as_array().unwrap() {
        assert_eq!((&projection["generation"], &projection["old"]), (&4.into(), &0.into()), "{projection}");
        assert_eq!(projection["parked"], serde_json::json!([]));
    }
}

/// A rebuild that stands at a gate: it has said that it enters a phase, and is not through with saying so.
struct Gated {
    child: Child,
    gate: PgConnection,
}

impl Gated {
    async fn at(system: &Boxoffice, projection: &str, phase: &str) -> Self {
        let mut gate = PgConnection::connect(system.setting("DATABASE_URL")).await.unwrap();
        sqlx::query("SELECT pg_advisory_lock($1)").bind(GATE).execute(&mut gate).await.unwrap();
        let trigger = format!(
            "CREATE OR REPLACE FUNCTION rebuild_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.phase = '{phase}' THEN PERFORM pg_advisory_xact_lock({GATE}); END IF; RETURN NEW; END $$;
             CREATE OR REPLACE TRIGGER gate BEFORE INSERT OR UPDATE ON projection_rebuilds
                 FOR EACH ROW EXECUTE FUNCTION rebuild_gate()"
        );
        sqlx::raw_sql(&trigger).execute(&mut gate).await.unwrap();
        let mut command = on(system, &["rebuild", projection]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let waiting =
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $1::bigint::oid";
        let postgres = system.postgres().await;
        eventually(&format!("the rebuild of {projection} to be {phase}"), SOON, async || {
            sqlx::query_scalar::<_, i64>(waiting).bind(GATE).fetch_one(&postgres).await.unwrap() == 1
        })
        .await;
        Self { child, gate }
    }

    /// SIGKILL, right there.
    async fn dies(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Its session still waits at the gate; let through, it finds nobody to answer.
        sqlx::query("SELECT pg_advisory_unlock($1)").bind(GATE).execute(&mut self.gate).await.unwrap();
        sqlx::raw_sql("DROP TRIGGER gate ON projection_rebuilds").execute(&mut self.gate).await.unwrap();
        self.gate.close().await.unwrap();
    }
}

#[tokio::test]
async fn killed_in_any_phase_a_rebuild_leaves_the_live_copy_and_goes_on_when_run_again() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(TICKETS).await;
    let fans = system.fans(FANS).await;
    let mut crowd = Crowd::enters(&fans, &concert);
    crowd.is_told(TOLD).await;
    let readers = Readers::start(&system, &postgres, &fans, &concert);
    for projection in ["ticket-counts", "mypage"] {
        for phase in ["loading", "indexing", "following", "comparing", "switching", "switched"] {
            Gated::at(&system, projection, phase).await.dies().await;
            crowd.is_told(5).await;
            // Until Postgres has seen that its session is gone, the killed one is taken to be at it.
            let last = std::sync::Mutex::new(Value::Null);
            eventually(&format!("a rebuild of {projection} after one was killed while {phase}"), SOON, async || {
                let output = run(&system, &["rebuild", projection, "--json"]).await;
                let is_through = output.status.success();
                assert!(is_through || String::from_utf8_lossy(&output.stderr).contains("being rebuilt"), "{output:?}");
                *last.lock().unwrap() = serde_json::from_slice(&output.stdout).unwrap_or_default();
                is_through
            })
            .await;
            let outcomes = last.into_inner().unwrap();
            assert_eq!(outcomes[0]["differences"], 0, "killed while {phase}: {outcomes}");
        }
    }
    crowd.leaves().await;
    assert!(readers.end().await > 20, "hardly anybody looked");
    assert_read_as_logged(&system, &postgres, &concert, &fans).await;
}

#[tokio::test]
async fn what_an_older_version_made_is_made_anew_at_start_and_served_until_then() {
    let mut system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(TICKETS).await;
    let fans = system.fans(1).await;
    let booked = fans[0].book(&concert, 2).await.ok(201);
    let paid = fans[0].pays(&booked.text_at("/paymentId")).await.position();
    let postgres = system.postgres().await;
    sqlx::query("UPDATE projection_generations SET version = 0").execute(&postgres).await.unwrap();
    postgres.close().await;
    system.kill();
    let file = rusqlite::Connection::open(system.setting("MYPAGE_PATH")).unwrap();
    file.execute_batch("PRAGMA user_version = 0; UPDATE generations SET version = 0;").unwrap();
    drop(file);
    system.start_again().await;
    // Nothing is missing at any time.
    let fan = fans[0].reconnected();
    assert_eq!(fan.histories_at(paid).await.len(), 1);
    fan.tickets_become(&concert, [TICKETS, 0, 2, TICKETS - 2]).await;
    let last = std::sync::Mutex::new(Value::Null);
    eventually("both to be made anew", SOON, async || {
        let listed = json(&system, &["projections", "list"], 0).await;
        let is_new =
            |projection: &Value| projection["version"] == projection["current"] && projection["generation"] == 2;
        let all = listed.as_array().unwrap().iter().all(is_new);
        *last.lock().unwrap() = listed;
        all
    })
    .await;
    let postgres = system.postgres().await;
    assert_read_as_logged(&system, &postgres, &concert, &fans).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_projected_is_shown_stops_a_rebuild_and_can_be_tried_again() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let organizer = system.organizer().await;
    let (spoilt, other) = (organizer.register_concert(10).await, organizer.register_concert(10).await);
    let fan = system.fan().await;
    let position = fan.book(&other, 1).await.ok(201).position();
    // Registered in a way that no version reads; what the live copy has of it, it forgets.
    let spoil = async |from: &str, to: &str| {
        let sql = "UPDATE events SET payload = replace(payload::text, $2, $3)::json
                   WHERE aggregate_id = $1 AND event_type = 'ConcertRegistered'";
        let done = sqlx::query(sql).bind(&spoilt).bind(from).bind(to).execute(&postgres).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    };
    spoil("\"capacity\":", "\"seats\":").await;
    let failed = run(&system, &["rebuild", "ticket-counts"]).await;
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.contains(&spoilt) && said.contains("position") && said.contains("seats"), "{said}");

    let park = "INSERT INTO projection_parked (projection, aggregate_id, aggregate_type, position, event_type, error, attempts)
                SELECT 'ticket-counts', aggregate_id::uuid, aggregate_type, position, event_type, 'as before', 1
                FROM events WHERE aggregate_id = $1";
    sqlx::query(park).bind(&spoilt).execute(&postgres).await.unwrap();
    sqlx::query("DELETE FROM ticket_counts_v1 WHERE concert_id = $1::uuid")
        .bind(&spoilt)
        .execute(&postgres)
        .await
        .unwrap();
    sqlx::query("UPDATE projection_generations SET revision = revision + 1").execute(&postgres).await.unwrap();

    // The other concert goes on, and it is said what does not.
    fan.book(&other, 1).await.ok(201);
    system.anonymous().get_at(&format!("/concerts/{other}"), position).await.ok(200);
    let report = std::sync::Mutex::new(Value::Null);
    eventually("the status to tell of it", SOON, async || {
        let seen = json(&system, &["status"], 0).await;
        let is_told = seen["parked"][0]["count"] == 1 && seen["ok"] == false;
        *report.lock().unwrap() = seen;
        is_told
    })
    .await;
    let report = report.into_inner().unwrap();
    assert!(report["troubles"].to_string().contains("projections retry"), "{}", report["troubles"]);
    assert!(
        system.anonymous().get("/metrics").await.ok(200).text.contains("projection_parked{name=\"ticket-counts\"} 1")
    );

    let tried = json(&system, &["projections", "retry", "ticket-counts"], 1).await;
    assert_eq!(tried[0]["retried"][0]["left"]["attempts"], 2, "{tried}");
    spoil("\"seats\":", "\"capacity\":").await;
    let tried = json(&system, &["projections", "retry"], 0).await;
    assert_eq!(tried[0]["retried"][0]["left"], Value::Null, "{tried}");
    fan.tickets_become(&spoilt, [10, 0, 0, 10]).await;
    assert_eq!(fan.book(&spoilt, 2).await.ok(201).status, 201);
    fan.tickets_become(&spoilt, [10, 2, 0, 8]).await;
}

#[tokio::test]
async fn the_stream_is_refilled_while_people_book_and_a_kill_in_the_middle_does_no_harm() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(TICKETS).await;
    let fans = system.fans(FANS).await;
    let mut crowd = Crowd::enters(&fans, &concert);
    crowd.is_told(TOLD).await;
    let readers = Readers::start(&system, &postgres, &fans, &concert);
    for _ in 0..3 {
        let refilled = json(&system, &["mirror", "rebuild"], 0).await;
        assert_eq!((&refilled["first"], &refilled["byTheRelay"]), (&1.into(), &true.into()), "{refilled}");
        crowd.is_told(TOLD).await;
        let mut killed =
            on(&system, &["mirror", "rebuild"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        crowd.is_told(3).await;
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    crowd.leaves().await;
    assert!(readers.end().await > 20, "hardly anybody looked");
    Log::settled(&postgres).await;
    assert_mirrored(&system, &postgres).await;
    let ready = system.anonymous().get("/readyz").await.ok(200);
    assert_eq!(ready.body["relay"], "live", "{}", ready.text);
}

#[tokio::test]
async fn what_a_restored_database_lost_is_told_and_kept() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    fan.book(&concert, 1).await.ok(201);
    let kept = Log::settled(&postgres).await.last();
    assert_mirrored(&system, &postgres).await;
    let nothing = json(&system, &["restore-check"], 0).await;
    assert_eq!((&nothing["lost"], &nothing["agreed"]), (&0.into(), &kept.into()), "{nothing}");

    let booked = fan.book(&concert, 2).await.ok(201);
    let log = Log::settled(&postgres).await;
    assert_mirrored(&system, &postgres).await;
    // As a backup does that was made before this booking.
    let mut restoring = postgres.begin().await.unwrap();
    for sql in ["DELETE FROM events WHERE position > $1", "UPDATE journal_head SET position = $1"] {
        sqlx::query(sql).bind(kept.cast_signed()).execute(&mut *restoring).await.unwrap();
    }
    restoring.commit().await.unwrap();
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("lost.jsonl");
    let found = json(&system, &["restore-check", "--export", file.to_str().unwrap()], 1).await;
    assert_eq!((&found["lost"], &found["agreed"]), (&(log.last() - kept).into(), &kept.into()), "{found}");
    assert_eq!(found["byType"]["BookingRequested"], 1, "{found}");
    let exported = std::fs::read_to_string(&file).unwrap();
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lost: Vec<_> = log.0.iter().filter(|entry| entry.position > kept).collect();
    assert_eq!(exported.len(), lost.len());
    for (exported, lost) in exported.iter().zip(lost) {
        assert_eq!(
            (&exported["position"], &exported["eventType"]),
            (&lost.position.into(), &lost.event_type.as_str().into())
        );
        let payload: Value = serde_json::from_str(&lost.payload).unwrap();
        assert_eq!(exported["payload"], payload);
    }
    let text = run(&system, &["restore-check"]).await;
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(&booked.text_at("/bookingId")) && text.contains("what to do next"), "{text}");
    // Nothing else has them, so the stream is not dropped by mistake.
    let kept_back = run(&system, &["mirror", "rebuild"]).await;
    let said = String::from_utf8(kept_back.stderr).unwrap();
    assert_eq!(kept_back.status.code(), Some(1), "{said}");
    assert!(said.contains("restore-check --export") && said.contains("--give-up"), "{said}");
    assert_eq!(json(&system, &["restore-check"], 1).await["lost"], log.last() - kept);
}
