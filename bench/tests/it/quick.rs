//! Every scenario once, for an instant: its figures are there, and what was acknowledged is in the log.

use std::{env, fs, path::Path, process::Command};

use serde_json::Value;

const SCENARIOS: [&str; 14] = [
    "http-limit",
    "journal-limit",
    "scan-limit",
    "crud-peer",
    "crud-peer-lifecycle",
    "naive-es-peer",
    "accept",
    "book",
    "lifecycle",
    "reads-history",
    "reads-concert",
    "sell-out",
    "growth",
    "many",
];
/// Commands of the product; one that it does not have is said not to be there.
const COMMANDS: [&str; 3] = ["rebuild-ticket-counts", "rebuild-mypage", "verify"];
/// Those whose rounds have no latency.
const WITHOUT_LATENCY: [&str; 4] = ["scan-limit", "rebuild-ticket-counts", "rebuild-mypage", "verify"];
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
    let (file, plots) = (dir.path().join("figures.json"), dir.path().join("plots"));
    let run = ["--quick", "--rounds", "1", "--seconds", "0.3", "--connections", "8"];
    let small = ["--events", "7000", "--concerts", "10", "--tickets", "50"];
    let mut command = bench();
    let output = command.args(run).args(small).arg("--json").arg(&file).arg("--out").arg(&plots).output().unwrap();
    let (table, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{table}\n{said}");

    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for scenario in SCENARIOS.into_iter().chain(COMMANDS) {
        assert!(table.contains(scenario), "{table}");
        let figures = &report["scenarios"][scenario];
        if COMMANDS.contains(&scenario) && figures["notThere"].is_string() {
            assert!(FIGURES.iter().all(|name| figures[name].is_null()), "a number for nothing: {figures}");
            continue;
        }
        for name in FIGURES {
            // Memory and processor time are known on Linux only.
            let known = figures[name].is_number() || (cfg!(not(target_os = "linux")) && name == "rssMb");
            let meant = !(name.starts_with('p') && name.ends_with("Ms") && WITHOUT_LATENCY.contains(&scenario));
            assert_eq!(known, meant, "{scenario}: {name} in {figures}");
        }
        assert!(figures["rounds"][0]["done"].as_u64() > Some(0), "{scenario}: {figures}");
        assert_eq!(figures.get("failures"), None, "{scenario}: {figures}");
    }
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["holds"] == true), "{checks:#?}");
    for scenario in SCENARIOS.iter().chain(&["fresh", "grown"]) {
        let of_it = |check: &&Value| check["what"].as_str().is_some_and(|what| what.starts_with(scenario));
        assert!(checks.iter().any(|check| of_it(&check)), "nothing was checked of {scenario}: {checks:#?}");
    }
    assert!(report["memory"]["grown"]["events"].as_u64() >= Some(7_000), "{}", report["memory"]);
    let targets = report["targets"].as_array().unwrap();
    let found = |target: &&Value| target["found"].is_number() == target["met"].is_boolean();
    assert!(targets.len() >= 20 && targets.iter().all(|target| found(&target)), "{targets:#?}");
    for plot in ["throughput.svg", "latency.svg", "growth.svg"] {
        let svg = fs::read_to_string(plots.join(plot)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("</svg>") && svg.contains("book"), "{plot}: {svg}");
    }
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
