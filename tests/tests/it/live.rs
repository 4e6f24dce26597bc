//! The counts of a concert as they change, pushed to whoever looks on.

use crate::support::{Boxoffice, Live};

#[tokio::test]
async fn the_live_counts_follow_every_change() {
    let system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let concert = organizer.register_concert(10).await;
    let fan = system.fan().await;
    // Anybody may look on, several at once.
    let mut live = Live::open(&system.anonymous(), &concert).await;
    let mut other = Live::open(&fan, &concert).await;
    assert_eq!(live.counts().await, [10, 0, 0, 10], "the counts of now come first");

    let booked = fan.book(&concert, 4).await.ok(201);
    live.until([10, 4, 0, 6]).await;
    fan.pays(&booked.text_at("/paymentId")).await;
    live.until([10, 0, 4, 6]).await;
    let path = format!("/concerts/{concert}");
    let more = organizer.request(reqwest::Method::PATCH, &path).json(&serde_json::json!({"ticketQty": 12}));
    organizer.send(more).await.ok(200);
    live.until([12, 0, 4, 8]).await;
    fan.cancel(&booked.text_at("/bookingId")).await.ok(200);
    live.until([12, 0, 0, 12]).await;
    other.until([12, 0, 0, 12]).await;

    // Another concert's changes are none of theirs: the next event they see is of this one.
    let elsewhere = organizer.register_concert(5).await;
    fan.book(&elsewhere, 1).await.ok(201);
    fan.book(&concert, 1).await.ok(201);
    assert_eq!(live.counts().await, [12, 1, 0, 11]);
}

#[tokio::test]
async fn there_are_no_live_counts_of_an_unknown_concert() {
    let system = Boxoffice::start().await;
    let path = format!("/concerts/{}/tickets/live", uuid::Uuid::now_v7());
    system.anonymous().get(&path).await.problem(404, "not-found");
}
