use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use stack::testing::eventually;
use stack::{Error, Postgres, PostgresOptions};

const SOON: Duration = Duration::from_secs(10);

async fn connect(postgres: &Postgres) -> PgConnection {
    PgConnection::connect(&postgres.url()).await.expect("postgres accepts connections")
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(connection).await.unwrap()
}

async fn write_row(postgres: &Postgres) {
    let mut connection = connect(postgres).await;
    sqlx::query("CREATE TABLE kept (id int)").execute(&mut connection).await.unwrap();
    sqlx::query("INSERT INTO kept VALUES (7)").execute(&mut connection).await.unwrap();
}

async fn read_row(postgres: &Postgres) -> i32 {
    sqlx::query_scalar("SELECT id FROM kept").fetch_one(&mut connect(postgres).await).await.unwrap()
}

#[tokio::test]
async fn a_fresh_one_is_durable_utf8_and_asks_for_a_password() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("not/yet/there");
    let postgres = Postgres::start(PostgresOptions::new(&dir).setting("max_connections", "17")).await.unwrap();
    let mut connection = connect(&postgres).await;
    for (name, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("unix_socket_directories", ""),
        ("listen_addresses", "127.0.0.1"),
        ("max_connections", "17"),
    ] {
        let found: Option<String> = sqlx::query_scalar("SELECT setting FROM pg_settings WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await
            .unwrap();
        // lc_collate is no longer a setting since Postgres 16.
        assert_eq!(found.as_deref().unwrap_or(value), value, "{name}");
    }
    let wrong = format!("postgres://boxoffice:wrong@127.0.0.1:{}/boxoffice", postgres.port());
    let refusal = PgConnection::connect(&wrong).await.expect_err("a wrong password is refused");
    assert!(refusal.to_string().contains("password"), "{refusal}");
}

#[tokio::test]
async fn acknowledged_rows_survive_being_killed_with_clients_at_work() {
    let postgres = Postgres::temp().await.unwrap();
    write_row(&postgres).await;
    let mut busy = connect(&postgres).await;
    let (url, port, pid) = (postgres.url(), postgres.port(), postgres.pid());
    let work = tokio::spawn(async move { sqlx::query("SELECT pg_sleep(600)").execute(&mut busy).await.map(drop) });
    let mut watcher = connect(&postgres).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.unwrap() == 0 {}

    postgres.kill().await.unwrap();
    assert!(!postgres.is_running());
    work.await.unwrap().expect_err("its backend was killed");
    postgres.start_again().await.unwrap();

    assert_eq!(read_row(&postgres).await, 7);
    assert_eq!((postgres.url(), postgres.port()), (url, port));
    assert_ne!(postgres.pid(), pid);
}

#[tokio::test]
async fn a_stop_is_in_order_although_a_client_is_connected() {
    let postgres = Postgres::temp().await.unwrap();
    write_row(&postgres).await;
    let _client = connect(&postgres).await;
    postgres.stop().await.unwrap();
    assert!(postgres.wait_exit().await.success());
    assert!(!postgres.dir().join("data/postmaster.pid").exists(), "an orderly end removes it");
    postgres.start_again().await.unwrap();
    assert_eq!(read_row(&postgres).await, 7);
}

#[tokio::test]
async fn its_unexpected_end_is_noticed() {
    let postgres = Postgres::temp().await.unwrap();
    kill(Pid::from_raw(postgres.pid().cast_signed()), Signal::SIGKILL).unwrap();
    let status = tokio::time::timeout(SOON, postgres.wait_exit()).await.expect("the end is noticed");
    assert!(!status.success());
    postgres.start_again().await.unwrap();
    assert_eq!(setting(&mut connect(&postgres).await, "fsync").await, "on");
}

#[tokio::test]
async fn a_directory_has_one_owner_at_a_time() {
    let postgres = Postgres::temp().await.unwrap();
    let second = Postgres::start(PostgresOptions::new(postgres.dir())).await;
    assert!(matches!(second, Err(Error::InUse(_))), "{second:?}");
    write_row(&postgres).await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = Postgres::temp_with(move |options| PostgresOptions { port: Some(port), ..options }).await;
    assert!(matches!(refused, Err(Error::PortTaken(named)) if named == port), "{refused:?}");
}

#[tokio::test]
async fn a_wrong_setting_is_shown_in_the_words_of_postgres() {
    let refused = Postgres::temp_with(|options| options.setting("no_such_setting", "1")).await;
    assert!(refused.unwrap_err().to_string().contains("no_such_setting"));
}

#[tokio::test]
async fn a_dropped_one_leaves_neither_processes_nor_files() {
    let postgres = Postgres::temp().await.unwrap();
    let _client = connect(&postgres).await;
    let (pid, dir) = (postgres.pid(), postgres.dir().to_owned());
    let panicked = tokio::task::spawn_blocking(move || {
        let _moved_here = postgres;
        panic!("on purpose");
    });
    panicked.await.expect_err("it panicked");
    assert!(!dir.exists());
    assert!(kill(Pid::from_raw(pid.cast_signed()), None).is_err(), "the postmaster is gone");
}

#[tokio::test]
async fn a_stale_pid_file_that_names_a_stranger_is_no_obstacle() {
    let temp = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(PostgresOptions::new(temp.path())).await.unwrap();
    write_row(&postgres).await;
    let pid_file = temp.path().join("data/postmaster.pid");
    let left = std::fs::read_to_string(&pid_file).unwrap();
    drop(postgres);
    // After a reboot, the pid of the dead postmaster may be that of anybody.
    let stranger = left.replacen(left.lines().next().unwrap(), &std::process::id().to_string(), 1);
    std::fs::write(&pid_file, stranger).unwrap();
    let postgres = Postgres::start(PostgresOptions::new(temp.path())).await.unwrap();
    assert_eq!(read_row(&postgres).await, 7);
}

#[tokio::test]
async fn many_start_at_the_same_time() {
    let all = (0..4).map(|_| tokio::spawn(Postgres::temp()));
    for started in futures::future::join_all(all).await {
        let postgres = started.unwrap().unwrap();
        eventually("a connection", SOON, || async { PgConnection::connect(&postgres.url()).await.is_ok() }).await;
    }
}
