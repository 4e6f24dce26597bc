//! `boxoffice status`: what it says of a system is so, and it says something of one in trouble.

mod contents;
mod places;
mod processes;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::support::{Boxoffice, SOON, command, eventually};

/// The command, in a directory where nothing can be found by accident.
fn status(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = command();
    command.env_remove("NATS_READER_URL").envs(environment.iter().copied());
    command.arg("status").args(arguments).current_dir("/").stdin(Stdio::null());
    command
}

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = status(arguments, environment);
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

fn place(data: &Path) -> &str {
    data.to_str().unwrap()
}

/// The document of `status --json`.
async fn report(system: &Boxoffice) -> Value {
    let output = run(&["--json", "--data", place(&system.data())], &[]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(said(&output.stderr), "");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The first document that is as wanted.
async fn report_where(what: &str, system: &Boxoffice, wanted: impl Fn(&Value) -> bool) -> Value {
    let last = std::sync::Mutex::new(Value::Null);
    eventually(what, SOON, async || {
        let report = report(system).await;
        let is_wanted = wanted(&report);
        *last.lock().unwrap() = report;
        is_wanted
    })
    .await;
    last.into_inner().unwrap()
}

fn follower<'a>(report: &'a Value, name: &str) -> &'a Value {
    let followers = report["followers"].as_array().unwrap();
    followers.iter().find(|follower| follower["name"] == name).unwrap_or_else(|| panic!("no {name} in {followers:?}"))
}

/// Whether nothing is wrong and everybody is at the end of the log; what processes write of their views comes a little
/// later than the rest.
fn caught_up(report: &Value) -> bool {
    let followers = report["followers"].as_array().unwrap();
    let is_at_end =
        |follower: &Value| follower["lagEvents"] == 0 && follower["position"] == report["journal"]["position"];
    report["ok"] == true
        && followers.iter().all(is_at_end)
        && followers.iter().any(|follower| follower["name"] == "mypage")
}

fn troubles(report: &Value) -> String {
    report["troubles"].to_string()
}

fn listens_on(system: &Boxoffice) -> String {
    format!("127.0.0.1:{}", system.port())
}
