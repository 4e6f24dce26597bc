//! `boxoffice audit`, as an auditor calls it.

use std::process::Output;

use serde_json::Value;

use super::{Boxoffice, command};

/// Runs `boxoffice audit` with these arguments on the data directory of a system, to its end.
pub async fn audit(system: &Boxoffice, arguments: &[&str]) -> Output {
    let mut audit = command();
    audit.arg("audit").args(arguments).arg("--data").arg(system.data());
    tokio::task::spawn_blocking(move || audit.output().unwrap()).await.unwrap()
}

/// What it says on standard output, where it ends well.
#[track_caller]
pub fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// `audit verify` finds nothing wrong, and could look at everything. Returns its report.
pub async fn assert_verified(system: &Boxoffice) -> Value {
    let output = audit(system, &["verify", "--json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let checks = report["checks"].as_array().unwrap();
    let wrong: Vec<&Value> =
        checks.iter().filter(|check| !["sound", "skipped"].contains(&check["verdict"].as_str().unwrap())).collect();
    assert!(wrong.is_empty(), "`audit verify` says: {wrong:#?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!((&report["sound"], &report["complete"]), (&true.into(), &true.into()), "{report}");
    report
}
