//! What becomes of the servers when their owner is killed: this test binary runs itself as that owner.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use stack::testing::eventually;
use stack::{Nats, NatsOptions, Postgres, PostgresOptions};

const SOON: Duration = Duration::from_secs(15);
/// Set for the child process only: the directory to start the servers in.
const OWNER_DIR: &str = "STACK_TEST_OWNER_DIR";

/// Not a test by itself: starts both servers, prints their pids, and goes on until it is killed.
#[tokio::test]
async fn owner() {
    let Ok(dir) = std::env::var(OWNER_DIR) else { return };
    let dir = Path::new(&dir);
    let postgres = Postgres::start(PostgresOptions::new(dir.join("postgres"))).await.unwrap();
    let nats = Nats::start(NatsOptions::new(dir.join("nats"))).await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    sqlx::query("CREATE TABLE kept (id int)").execute(&mut connection).await.unwrap();
    println!("\npids {} {}", postgres.pid(), nats.pid());
    std::future::pending::<()>().await;
}

fn spawn_owner(dir: &Path) -> (Child, Vec<i32>) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "orphans::owner", "--nocapture"])
        .env(OWNER_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pids = lines.into_iter().find_map(|line| line.strip_prefix("pids ").map(str::to_owned)).expect("it starts");
    (owner, pids.split(' ').map(|pid| pid.parse().unwrap()).collect())
}

/// Not a zombie either, in case nobody reaps orphans here.
fn runs(pid: i32) -> bool {
    let stat = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap().stdout;
    !stat.is_empty() && !stat.starts_with(b"Z")
}

async fn starts_with_its_data(dir: &Path) {
    let postgres = Postgres::start(PostgresOptions::new(dir.join("postgres"))).await.unwrap();
    let _nats = Nats::start(NatsOptions::new(dir.join("nats"))).await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    sqlx::query("SELECT id FROM kept").execute(&mut connection).await.expect("the table is still there");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn servers_die_with_an_owner_that_is_killed() {
    let temp = tempfile::tempdir().unwrap();
    let (mut owner, pids) = spawn_owner(temp.path());
    assert!(pids.iter().all(|&pid| runs(pid)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the servers to be gone", SOON, || async { !pids.iter().any(|&pid| runs(pid)) }).await;
    starts_with_its_data(temp.path()).await;
}

#[tokio::test]
async fn servers_that_outlived_their_owner_are_stopped_first() {
    let temp = tempfile::tempdir().unwrap();
    let (mut owner, pids) = spawn_owner(temp.path());
    // To whoever comes next the owner has vanished: its locks are on files that are no longer there.
    for server in ["postgres", "nats"] {
        std::fs::remove_file(temp.path().join(server).join("lock")).unwrap();
    }
    assert!(pids.iter().all(|&pid| runs(pid)));
    starts_with_its_data(temp.path()).await;
    // Their real parent is here to reap them.
    assert!(!pids.iter().any(|&pid| runs(pid)));
    owner.kill().unwrap();
    owner.wait().unwrap();
}
