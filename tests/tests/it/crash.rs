//! SIGKILL, of everything or of one server, in the middle of bookings, payments and cancellations.

use crate::support::{
    Boxoffice, Crowd, Fan, Log, Promise, SOON, Server, alive, assert_in_log, assert_mirrored, assert_still_said,
    assert_verified, eventually,
};

/// Fans who book all the time.
const FANS: usize = 8;
/// Tickets enough for all that they book.
const TICKETS: u64 = 100_000;
/// What the fans are told before, and again after, something is killed.
const TOLD: usize = 60;
/// How often everything is killed, each time on the data that the last kill left.
const KILLS: usize = 3;

/// The state after it has recovered: it books again, everything promised is there, and everything agrees.
async fn assert_whole(system: &Boxoffice, concert: &str, promises: &[Promise]) {
    let postgres = system.postgres().await;
    let fan: Fan = promises[0].0.reconnected();
    let after = fan.book(concert, 1).await.ok(201);
    fan.pays(&after.text_at("/paymentId")).await;
    let log = Log::settled(&postgres).await;
    assert_in_log(&log, promises);
    assert_still_said(promises).await;
    let shown = fan.get_at(&format!("/concerts/{concert}"), log.last()).await.ok(200);
    assert_eq!(shown.tickets(), log.fold().tickets(concert));
    assert_mirrored(system, &postgres).await;
    assert_verified(system).await;
}

#[tokio::test]
async fn killed_in_the_middle_of_it_and_started_again_nothing_promised_is_missing() {
    let mut system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(TICKETS).await;
    let fans = system.fans(FANS).await;
    let mut promises = Vec::new();
    for _ in 0..KILLS {
        let mut crowd = Crowd::enters(&fans, &concert);
        promises.extend(crowd.is_told(TOLD).await);
        system.kill();
        promises.extend(crowd.leaves().await);
        system.start_again().await;
        assert_whole(&system, &concert, &promises).await;
    }
}

#[tokio::test]
async fn what_was_paid_before_the_kill_can_be_cancelled_after_it() {
    let mut system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 2).await.ok(201);
    fan.pays(&booked.text_at("/paymentId")).await;
    let unpaid = fan.book(&concert, 1).await.ok(201);
    system.kill();
    system.start_again().await;

    let fan = fan.reconnected();
    fan.cancel(&booked.text_at("/bookingId")).await.ok(200);
    fan.pays(&unpaid.text_at("/paymentId")).await;
    let postgres = system.postgres().await;
    let log = Log::settled(&postgres).await;
    assert_eq!(log.names_of(&booked.text_at("/paymentId")).last(), Some(&"PaymentCanceled"));
    let histories = fan.histories_at(log.last()).await;
    assert_eq!(
        (&histories[0]["status"], &histories[1]["status"]),
        (&"BookingApproved".into(), &"PaymentCanceled".into())
    );
}

#[tokio::test]
async fn killed_while_it_is_being_set_up_it_starts_again() {
    let mut system = Boxoffice::new();
    // In the order in which they come to be.
    for file in ["postgres", "postgres/data", "nats/nats.pid", "postgres/data/postmaster.pid", "env"] {
        system.start_and_kill_at(file).await;
    }
    system.start_again().await;
    let concert = system.organizer().await.register_concert(10).await;
    let booked = system.fan().await.book(&concert, 1).await.ok(201);
    booked.text_at("/bookingId");
    assert_mirrored(&system, &system.postgres().await).await;
}

#[tokio::test]
async fn what_is_derived_comes_back_from_the_log_when_it_is_lost() {
    let mut system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 2).await.ok(201);
    let paid = fan.pays(&booked.text_at("/paymentId")).await.position();
    let before = fan.histories_at(paid).await;
    system.kill();
    std::fs::remove_dir_all(system.data().join("nats")).unwrap();
    std::fs::remove_file(system.setting("MYPAGE_PATH")).unwrap();
    system.start_again().await;

    let postgres = system.postgres().await;
    assert_mirrored(&system, &postgres).await;
    let fan = fan.reconnected();
    assert_eq!(fan.histories_at(paid).await, before);
    let after = fan.book(&concert, 1).await.ok(201).position();
    assert_eq!(fan.histories_at(after).await.len(), 2);
    assert_mirrored(&system, &postgres).await;
}

/// Kills one server while fans book on, and wants them to be served again without anybody's help.
async fn goes_on_without(server: Server) {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(TICKETS).await;
    let fans = system.fans(FANS).await;
    let mut crowd = Crowd::enters(&fans, &concert);
    let mut promises = crowd.is_told(TOLD).await;
    let killed = system.kill_server(server);
    eventually(&format!("{server:?} to be started again"), SOON, || async {
        system.server_pid(server).is_some_and(|pid| pid != killed && alive(pid))
    })
    .await;
    promises.extend(crowd.is_told(TOLD).await);
    promises.extend(crowd.leaves().await);
    eventually("it to be ready", SOON, || async { system.anonymous().get("/readyz").await.status == 200 }).await;
    assert_whole(&system, &concert, &promises).await;
}

#[tokio::test]
async fn postgres_killed_alone_is_started_again_and_booking_goes_on() {
    goes_on_without(Server::Postgres).await;
}

#[tokio::test]
async fn nats_killed_alone_is_started_again_and_booking_goes_on() {
    goes_on_without(Server::Nats).await;
}
