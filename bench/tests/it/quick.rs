//! Every scenario once, for an instant: its figures are there, and what was acknowledged is in the log.

use std::{env, fs, path::Path, process::Command};

use serde_json::Value;

const SCENARIOS: [&str; 5] = ["http-limit", "journal-limit", "book", "accept", "lifecycle"];
const FIGURES: [&str; 6] = ["perSecond", "p50Ms", "p99Ms", "p999Ms", "serverCpuSeconds", "rssMb"];

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bench"))
}

/// Whether there is a product to measure: `./dev test` builds it and names it.
fn product() -> bool {
    let beside = || Path::new(env!("CARGO_BIN_EXE_bench")).with_file_name("boxoffice").is_file();
    env::var_os("BOXOFFICE_BIN").is_some() || beside()
}

#[test]
fn every_scenario_has_its_figures_and_sells_what_it_says() {
    assert!(product(), "run `cargo build -p api --bin boxoffice`, or `./dev test`");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("figures.json");
    let run = ["--quick", "--rounds", "1", "--seconds", "0.3", "--connections", "8"];
    let output = bench().args(run).arg("--json").arg(&file).output().unwrap();
    let (table, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{table}\n{said}");

    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for scenario in SCENARIOS {
        assert!(table.contains(scenario), "{table}");
        let figures = &report["scenarios"][scenario];
        for name in FIGURES {
            // Memory and processor time are known on Linux only.
            let known = figures[name].is_number() || (cfg!(not(target_os = "linux")) && name == "rssMb");
            assert!(known, "{scenario} has no {name}: {figures}");
        }
        assert!(figures["rounds"][0]["done"].as_u64() > Some(0), "{scenario}: {figures}");
        assert_eq!(figures.get("failures"), None, "{scenario}: {figures}");
    }
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() >= 8 && checks.iter().all(|check| check["holds"] == true), "{checks:#?}");
}

#[test]
fn what_cannot_be_asked_for_is_refused_by_name() {
    for (arguments, named) in [
        (["--connections", "0"], "--connections"),
        (["--seconds", "0"], "--seconds"),
        (["--rounds", "0"], "--rounds"),
        (["--only", "everything"], "--only"),
    ] {
        let output = bench().args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(named), "{said}");
    }
}
