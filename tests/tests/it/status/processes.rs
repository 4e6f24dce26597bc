//! Processes that come and go, and whoever watches them.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::{caught_up, place, report_where, run, said, status, troubles};
use crate::support::{Boxoffice, command, free_port};

/// A process that is killed when the test is done with it.
struct Serving(Child);

impl Serving {
    fn start(system: &Boxoffice, mypage: &Path) -> Self {
        let mut command = command();
        for name in ["DATABASE_URL", "NATS_URL", "NATS_READER_URL"] {
            command.env(name, system.setting(name));
        }
        command.env("MYPAGE_PATH", mypage).args(["serve", "--listen", &format!("127.0.0.1:{}", free_port())]);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn is_in(&self, report: &Value, live: bool) -> bool {
        let processes = report["processes"].as_array().unwrap();
        processes.iter().any(|process| process["pid"] == self.0.id() && process["live"] == live)
    }

    fn end(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_process_that_was_killed_is_missed_and_one_that_ended_is_not() {
    let (system, dir) = (Boxoffice::start().await, tempfile::tempdir().unwrap());
    let mut ended = Serving::start(&system, &dir.path().join("ended.db"));
    let mut killed = Serving::start(&system, &dir.path().join("killed.db"));
    let report = report_where("three processes", &system, |report| {
        caught_up(report) && ended.is_in(report, true) && killed.is_in(report, true)
    })
    .await;
    let followers = report["followers"].as_array().unwrap();
    assert_eq!(followers.iter().filter(|follower| follower["name"] == "mypage").count(), 3, "{followers:?}");

    ended.end(Signal::SIGTERM);
    killed.end(Signal::SIGKILL);
    let report = report_where("one of them to be missed", &system, |report| killed.is_in(report, false)).await;
    let named = format!(":{} was last seen ", killed.0.id());
    assert!(report["ok"] == false && troubles(&report).contains(&named), "{}", troubles(&report));
    assert_eq!(report["processes"].as_array().unwrap().len(), 2, "{}", report["processes"]);
    let output = run(&["--data", place(&system.data())], &[]).await;
    assert!(said(&output.stdout).starts_with("wrong ") && said(&output.stdout).contains(&named), "{output:?}");
}

/// Its first lines that are so, and its exit code after Ctrl-C.
fn watched(mut command: Command, lines: usize, is_counted: impl Fn(&str) -> bool) -> (Vec<String>, Option<i32>) {
    let mut child = Serving(command.stdout(Stdio::piped()).spawn().unwrap());
    let stdout = BufReader::new(child.0.stdout.take().unwrap());
    let seen: Vec<String> = stdout.lines().map(Result::unwrap).filter(|line| is_counted(line)).take(lines).collect();
    kill(Pid::from_raw(child.0.id().cast_signed()), Signal::SIGINT).unwrap();
    (seen, child.0.wait().unwrap().code())
}

#[tokio::test]
async fn watching_tells_it_again_and_again_until_ctrl_c() {
    let system = Boxoffice::start().await;
    let data = system.data();
    let command = status(&["--watch", "--json", "--data", place(&data)], &[]);
    let (lines, code) = spawn_blocking(move || watched(command, 2, |_| true)).await.unwrap();
    assert_eq!((lines.len(), code), (2, Some(0)), "{lines:?}");
    let reports: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times = reports.iter().map(|report| report["at"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(times[0] < times[1], "{times:?}");

    let command = status(&["--watch", "--data", place(&data)], &[]);
    let (lines, code) = spawn_blocking(move || watched(command, 2, |line| line.starts_with("journal"))).await.unwrap();
    assert_eq!((lines.len(), code), (2, Some(0)), "{lines:?}");
}

#[tokio::test]
async fn watching_survives_a_restart_of_postgres() {
    let system = Boxoffice::start().await;
    let data = system.data();
    let mut command = status(&["--watch", "--json", "--data", place(&data)], &[]);
    let mut watching = Serving(command.stdout(Stdio::piped()).spawn().unwrap());
    let stdout = BufReader::new(watching.0.stdout.take().unwrap());
    let mut reports = stdout.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert!(reports.next().unwrap()["journal"]["position"].is_u64());
    let postgres = system.postgres().await;
    // The session ends as it would if the server had.
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'boxoffice status'")
        .execute(&postgres)
        .await
        .unwrap();
    let (blind, seeing) = spawn_blocking(move || {
        let blind = reports.by_ref().take(10).find(|report| report["journal"].is_null());
        (blind, reports.take(10).find(|report| !report["journal"].is_null()))
    })
    .await
    .unwrap();
    let blind = blind.expect("a look without Postgres");
    assert!(blind["ok"] == false && troubles(&blind).contains("Postgres"), "{blind}");
    assert!(seeing.is_some(), "it sees again");
}
