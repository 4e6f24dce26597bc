//! Where it looks, and what it says when it cannot.

use stack::{Nats, Postgres};

use super::{caught_up, listens_on, place, report_where, run, said};
use crate::support::{Boxoffice, SOON, eventually};

#[tokio::test]
async fn status_finds_a_system_by_its_data_or_by_the_environment() {
    let system = Boxoffice::start().await;
    report_where("everybody to have caught up", &system, caught_up).await;
    let (postgres, reader) = (system.setting("DATABASE_URL"), system.setting("NATS_READER_URL"));
    let (nats, data) = (system.setting("NATS_URL"), system.data());
    for (arguments, environment) in [
        (&["--data", place(&data)][..], &[][..]),
        (&[], &[("BOXOFFICE_DATA", place(&data))]),
        (&[], &[("DATABASE_URL", postgres), ("NATS_READER_URL", reader)]),
        (&[], &[("DATABASE_URL", postgres), ("NATS_URL", nats)]),
        // What is named goes before what is set.
        (
            &["--data", place(&data)],
            &[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/no"), ("NATS_URL", "nats://x:1")],
        ),
    ] {
        let output = run(arguments, environment).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        let (text, stderr) = (said(&output.stdout), said(&output.stderr));
        assert!(text.starts_with("ok ") && text.contains(&listens_on(&system)), "{arguments:?}: {text}{stderr}");
        assert!(!text.contains('\u{1b}'), "colours where there is no terminal: {text:?}");
        assert_eq!(stderr, "");
    }
}

#[tokio::test]
async fn what_status_needs_to_know_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let postgres = ("DATABASE_URL", "postgres://boxoffice:a-secret@127.0.0.1:1/boxoffice");
    let wrong = ("DATABASE_URL", "postgres://boxoffice:a-secret@[not-a-host/boxoffice");
    let nats = ("NATS_URL", "nats://127.0.0.1:1");
    for (arguments, environment, named) in [
        (&[][..], &[][..], &["DATABASE_URL", "NATS_READER_URL", "--data", ".boxoffice/env"][..]),
        (&[], &[("BOXOFFICE_DATA", place(&nowhere))], &["DATABASE_URL", place(&nowhere)]),
        (&["--data", place(&nowhere)], &[], &["--data", place(&nowhere)]),
        (&[], &[postgres], &["NATS_READER_URL", "NATS_URL"]),
        (&[], &[wrong, nats], &["DATABASE_URL"]),
        (&[], &[postgres, ("NATS_URL", "not a url")], &["NATS_URL"]),
        (&["--nonsense"], &[], &["--nonsense"]),
    ] {
        let output = run(arguments, environment).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {environment:?}: {output:?}");
        let stderr = said(&output.stderr);
        for name in named {
            assert!(stderr.contains(name), "{name} is not named: {stderr}");
        }
        assert!(!stderr.contains("a-secret"), "{stderr}");
        assert_eq!(said(&output.stdout), "");
    }
    let help = run(&["--help"], &[]).await;
    assert_eq!(help.status.code(), Some(0), "{help:?}");
    for option in ["--data", "--watch", "--json"] {
        assert!(said(&help.stdout).contains(option), "{option}: {help:?}");
    }
}

#[tokio::test]
async fn a_system_that_cannot_be_reached_is_said_to_be_so() {
    let mut system = Boxoffice::start().await;
    let data = system.data();
    system.kill();
    eventually("its servers to be gone", SOON, async || system.processes().is_empty()).await;
    for arguments in
        [&["--data", place(&data)][..], &["--json", "--data", place(&data)], &["--watch", "--data", place(&data)]]
    {
        let output = run(arguments, &[]).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(said(&output.stderr).contains(data.join("env").to_str().unwrap()), "{output:?}");
        assert_eq!(said(&output.stdout), "");
    }
}

#[tokio::test]
async fn a_database_of_somebody_else_is_told_from_ours() {
    let (postgres, nats) = tokio::join!(Postgres::temp(), Nats::temp());
    let (postgres, nats) = (postgres.unwrap(), nats.unwrap());
    let output = run(&[], &[("DATABASE_URL", &postgres.url()), ("NATS_URL", &nats.url())]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output.stderr).contains("holds no log of Boxoffice"), "{output:?}");
}
