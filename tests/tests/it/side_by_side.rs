//! Several systems on one machine do not know of each other.

use std::{os::unix::fs::MetadataExt, path::Path, process::Stdio};

use nix::unistd::{User, geteuid};

use crate::support::{Boxoffice, Log, binary, command, free_port};

#[tokio::test]
async fn two_systems_run_side_by_side() {
    let (one, other) = tokio::join!(Boxoffice::start(), Boxoffice::start());
    let (organizer, other_organizer) = (one.organizer().await, other.organizer().await);
    let concert = organizer.register_concert(10).await;
    let other_concert = other_organizer.register_concert(20).await;
    let (fan, other_fan) = (one.fan().await, other.fan().await);
    fan.book(&concert, 1).await.ok(201);
    other_fan.book(&other_concert, 2).await.ok(201);
    fan.tickets_become(&concert, [10, 1, 0, 9]).await;
    other_fan.tickets_become(&other_concert, [20, 2, 0, 18]).await;
    fan.get(&format!("/concerts/{other_concert}")).await.problem(404, "not-found");

    // Neither passwords nor tokens of one are of use in the other.
    assert_ne!(one.setting("ORGANIZER_PASSWORD"), other.setting("ORGANIZER_PASSWORD"));
    assert_ne!(one.setting("DATABASE_URL"), other.setting("DATABASE_URL"));
    let stranger = other.anonymous().sign_in(&fan.email, crate::support::PASSWORD).await;
    stranger.problem(401, "unauthenticated");
    let token = fan.token().to_owned();
    other.anonymous().with_token(&token).get("/bookingHistories").await.problem(401, "unauthenticated");

    drop(one);
    other_fan.book(&other_concert, 1).await.ok(201);
    assert_eq!(Log::read(&other.postgres().await).await.count("TicketsHeld"), 2);
}

#[tokio::test]
async fn a_data_directory_serves_one_system_at_a_time() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let data = system.data();
    let second = tokio::task::spawn_blocking(move || {
        let mut command = command();
        command.arg("up").arg("--data").arg(data).args([
            "--listen",
            &format!("127.0.0.1:{}", free_port()),
            "--no-demo",
        ]);
        command.stdin(Stdio::null()).output().unwrap()
    });
    let second = second.await.unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code().is_some_and(|code| code != 0), "{}: {said}", second.status);
    assert!(said.contains(&system.data().display().to_string()), "it does not name the directory: {said}");
    system.fan().await.book(&concert, 1).await.ok(201);
}

#[tokio::test]
async fn it_runs_as_a_plain_user_too() {
    let Some(nobody) = User::from_name("nobody").unwrap().filter(|_| geteuid().is_root()) else {
        return eprintln!("SKIPPED: the other tests are run by a plain user already");
    };
    let passable = |dir: &Path| dir.metadata().is_ok_and(|meta| meta.mode() & 0o001 != 0);
    if !binary().ancestors().all(passable) {
        return eprintln!("SKIPPED: nobody else than root may run {}", binary().display());
    }
    let mut system = Boxoffice::of(nobody.clone());
    system.start_again().await;
    let concert = system.organizer().await.register_concert(10).await;
    system.fan().await.book(&concert, 1).await.ok(201);
    for file in ["env", "postgres/data/PG_VERSION", "nats/nats.conf"] {
        assert_eq!(system.data().join(file).metadata().unwrap().uid(), nobody.uid.as_raw(), "{file}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let system = Boxoffice::start().await;
    let (port, dir) = (system.port(), tempfile::tempdir().unwrap());
    let data = dir.path().to_owned();
    let second = tokio::task::spawn_blocking(move || {
        let mut command = command();
        command.arg("up").arg("--data").arg(data).args(["--listen", &format!("127.0.0.1:{port}"), "--no-demo"]);
        command.stdin(Stdio::null()).output().unwrap()
    });
    let second = second.await.unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code().is_some_and(|code| code != 0), "{}: {said}", second.status);
    assert!(said.contains(&port.to_string()), "it does not name the port: {said}");
    system.anonymous().get("/readyz").await.ok(200);
}
