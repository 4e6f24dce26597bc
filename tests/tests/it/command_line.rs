//! The binary's other commands, and what they say when something is missing.

use std::process::Output;

use crate::{operations::assert_documents_every_route, support::command};

/// Runs the binary with these arguments and environment to its end.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command().args(arguments).envs(environment.iter().copied()).output().unwrap()
}

fn said(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

#[test]
fn serve_names_the_settings_that_are_missing() {
    let output = run(&["serve"], &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let stderr = said(&output.stderr);
    for name in ["DATABASE_URL", "NATS_URL", "MYPAGE_PATH"] {
        assert!(stderr.contains(name), "{name} is not named: {stderr}");
    }
    assert_eq!(said(&output.stdout), "");
}

#[test]
fn serve_names_the_setting_that_is_wrong() {
    let right = [
        ("DATABASE_URL", "postgres://boxoffice@127.0.0.1:1/boxoffice"),
        ("NATS_URL", "nats://127.0.0.1:1"),
        ("MYPAGE_PATH", "/nowhere/mypage.db"),
    ];
    for (name, value) in [("DATABASE_URL", "mysql://somewhere"), ("DATABASE_URL", ""), ("NATS_URL", "not a url at all")]
    {
        let mut environment = right.to_vec();
        environment.push((name, value));
        let output = run(&["serve", "--listen", "127.0.0.1:0"], &environment);
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {output:?}");
        assert!(said(&output.stderr).contains(name), "{name}={value}: {output:?}");
    }
    let output = run(&["serve", "--listen", "nowhere"], &right);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said(&output.stderr).contains("--listen"), "{output:?}");
}

#[test]
fn a_wrong_setting_does_not_show_its_password() {
    let url = [("DATABASE_URL", "postgres://boxoffice:a-secret@[not-a-host/boxoffice")];
    let output = run(&["serve"], &url);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!said(&output.stderr).contains("a-secret"), "{output:?}");
}

#[test]
fn help_is_everywhere_and_on_stdout() {
    for arguments in
        [&["--help"][..], &["up", "--help"], &["serve", "--help"], &["openapi", "--help"], &["provider", "--help"]]
    {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(said(&output.stdout).contains("Usage:"), "{arguments:?}: {output:?}");
        assert_eq!(said(&output.stderr), "", "{arguments:?}");
    }
    let commands = said(&run(&["--help"], &[]).stdout);
    for name in ["up", "serve", "openapi", "provider"] {
        assert!(
            commands.lines().any(|line| line.trim_start().starts_with(name)),
            "{name} is not in the help: {commands}"
        );
    }
    let up = said(&run(&["up", "--help"], &[]).stdout);
    for option in ["--data", "--listen", "--no-demo"] {
        assert!(up.contains(option), "{option} is not in the help: {up}");
    }
}

#[test]
fn what_is_no_command_is_refused() {
    for arguments in [&["nonsense"][..], &["up", "--nonsense"], &[]] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert_eq!(said(&output.stdout), "", "{arguments:?}");
        assert!(said(&output.stderr).contains("Usage:"), "{arguments:?}: {output:?}");
    }
}

#[test]
fn openapi_prints_the_document() {
    let output = run(&["openapi"], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_documents_every_route(&serde_json::from_slice(&output.stdout).unwrap());
}
