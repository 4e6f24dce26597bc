//! What it says of the log, of money, and of what is not there.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{caught_up, follower, listens_on, place, report, report_where, run, said, troubles};
use crate::support::{Boxoffice, Log};

#[tokio::test]
async fn what_status_says_of_a_small_log_is_so() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 2).await.ok(201);
    report_where("the hold to be told of", &system, |report| report["holds"]["waiting"] == 1).await;

    fan.pays(&booked.text_at("/paymentId")).await;
    fan.cancel(&booked.text_at("/bookingId")).await.ok(200);
    let log = Log::settled(&postgres).await;
    let report = report_where("everybody to have caught up", &system, |report| {
        caught_up(report) && report["journal"]["position"] == log.last()
    })
    .await;

    let last = log.0.last().unwrap();
    let recorded_at: DateTime<Utc> = report["journal"]["recordedAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(recorded_at, last.recorded_at);
    for name in ["relay", "saga", "seals", "payment-work.v1", "ticket-counts.v1", "concerts", "mypage"] {
        let follower = follower(&report, name);
        assert_eq!(follower["position"], last.position, "{follower}");
        assert_eq!(follower["lagSeconds"], 0.0, "{follower}");
    }
    assert_eq!(report["troubles"], json!([]));
    assert_eq!(report["relay"], json!({"state": "live", "halted": null, "unreachable": null}));
    assert_eq!(report["payments"]["configured"], true);
    assert_eq!(report["payments"]["breaker"], "closed");
    for kind in ["settle", "refund", "verify", "webhook"] {
        assert_eq!(report["payments"]["work"][kind]["waiting"], 0, "{kind}: {}", report["payments"]);
    }
    assert_eq!(report["concertCancellations"], json!([]));
    let [process] = &report["processes"].as_array().unwrap()[..] else { panic!("not one: {}", report["processes"]) };
    assert_eq!((&process["live"], process["listen"].as_str()), (&json!(true), Some(&*listens_on(&system))));
    assert!(system.processes().contains(&i32::try_from(process["pid"].as_u64().unwrap()).unwrap()), "{process}");
    for office in report["offices"].as_array().unwrap() {
        assert_eq!((&office["held"], &office["process"]), (&json!(true), &process["process"]), "{office}");
    }
    assert_eq!(report["offices"].as_array().unwrap().len(), 4);
    let look_ups = process["cache"]["hits"].as_u64().unwrap() + process["cache"]["misses"].as_u64().unwrap();
    assert!(look_ups > 0 && report["cache"]["lookUps"] == look_ups, "{report}");
}

#[tokio::test]
async fn the_rate_is_of_the_last_ten_seconds() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    sqlx::query("UPDATE events SET recorded_at = recorded_at - interval '1 minute'").execute(&postgres).await.unwrap();
    assert_rate(&postgres, &report(&system).await).await;
    fan.book(&concert, 1).await.ok(201);
    assert_rate(&postgres, &report(&system).await).await;
}

/// Counts what the rate is said to be of.
async fn assert_rate(postgres: &PgPool, report: &Value) {
    let (at, position) = (&report["at"], report["journal"]["position"].as_i64().unwrap());
    let recent =
        "SELECT count(*) FROM events WHERE position <= $2 AND recorded_at >= $1::timestamptz - interval '10 s'";
    let recent: i64 = sqlx::query_scalar(recent).bind(at.as_str()).bind(position).fetch_one(postgres).await.unwrap();
    let rate = json!(f64::from(i32::try_from(recent).unwrap()) / 10.0);
    assert_eq!(report["journal"]["eventsPerSecond"], rate, "of {recent} events before {at}");
}

#[tokio::test]
async fn refunds_that_fail_are_shown_with_the_reason_until_they_are_through() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 1).await.ok(201);
    let payment = booked.text_at("/paymentId");
    fan.pays(&payment).await;
    let provider = system.provider();
    provider.set_faults(json!({"down": true})).await;
    fan.cancel(&booked.text_at("/bookingId")).await.ok(200);

    let refund = |report: &Value| report["payments"]["work"]["refund"].clone();
    let report = report_where("three tries in vain", &system, |report| {
        refund(report)["worst"]["tries"].as_u64().is_some_and(|tries| tries >= 3)
    })
    .await;
    let refund_now = refund(&report);
    assert_eq!((&refund_now["waiting"], &refund_now["failed"]), (&json!(1), &json!(1)), "{refund_now}");
    assert_eq!(refund_now["worst"]["paymentId"], payment, "{refund_now}");
    assert!(refund_now["worst"]["lastError"].as_str().is_some_and(|error| !error.is_empty()), "{refund_now}");
    assert!(troubles(&report).contains("1 of 1 refund failed"), "{}", troubles(&report));

    provider.delete("/_sim").await;
    report_where("the refund to be through", &system, |report| refund(report)["waiting"] == 0 && caught_up(report))
        .await;
}

#[tokio::test]
async fn a_concert_that_is_called_off_is_shown_with_how_far_that_is() {
    let system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let concert = organizer.register_concert(10).await;
    let fan = system.fan().await;
    for _ in 0..3 {
        let booked = fan.book(&concert, 1).await.ok(201);
        fan.pays(&booked.text_at("/paymentId")).await;
    }
    fan.book(&concert, 1).await.ok(201);
    let provider = system.provider();
    provider.set_faults(json!({"down": true})).await;
    organizer.delete(&format!("/concerts/{concert}")).await;
    // All are cancelled, and only who had not paid is through: it is not finished while money is on its way back.
    let report = report_where("its bookings to be cancelled, and one to be through", &system, |report| {
        let cancellation = &report["concertCancellations"][0];
        cancellation["canceled"] == 4 && cancellation["released"] == 1
    })
    .await;
    assert!(report["concertCancellations"][0]["finishedAt"].is_null(), "{}", report["concertCancellations"]);
    provider.delete("/_sim").await;
    let report = report_where("all money to be back", &system, |report| {
        report["concertCancellations"][0]["finishedAt"].is_string()
    })
    .await;
    let cancellation = &report["concertCancellations"][0];
    assert_eq!((&cancellation["bookings"], &cancellation["released"]), (&json!(4), &json!(4)), "{cancellation}");
    assert_eq!((cancellation["concertId"].as_str(), cancellation["name"].as_str()), (Some(&*concert), Some("Autumn")));
    let text = said(&run(&["--data", place(&system.data())], &[]).await.stdout);
    assert!(text.lines().any(|line| line.starts_with("Autumn ") && line.ends_with("through")), "{text}");
}

#[tokio::test]
async fn tables_that_are_not_there_are_no_trouble() {
    let system = Boxoffice::start().await;
    report_where("everybody to have caught up", &system, caught_up).await;
    let postgres = system.postgres().await;
    // As an older version made them, which has called a concert off and owes somebody money.
    let older =
        "INSERT INTO payment_work (payment_id, kind, due_at) VALUES (gen_random_uuid(), 'refund', now() + '1 hour');
                 INSERT INTO concert_cancellations (concert_id, position, bookings) VALUES (gen_random_uuid(), 1, 1);
                 ALTER TABLE payment_work DROP COLUMN for_a_person, DROP COLUMN since;
                 ALTER TABLE concert_cancellations DROP COLUMN through_at;
                 DROP TABLE projection_rebuilds";
    sqlx::raw_sql(older).execute(&postgres).await.unwrap();
    let seen = report(&system).await;
    let refund = &seen["payments"]["work"]["refund"];
    assert_eq!((&refund["waiting"], &refund["forAPerson"]), (&json!(1), &json!(0)), "{refund}");
    assert_eq!((&seen["concertCancellations"], &seen["rebuilds"]), (&json!([]), &json!([])));
    sqlx::raw_sql("DROP TABLE concert_cancellations; DROP TABLE process_vitals; DELETE FROM payment_work")
        .execute(&postgres)
        .await
        .unwrap();
    let seen = report(&system).await;
    assert_eq!(seen["concertCancellations"], json!([]));
    // Whoever writes to it makes it again.
    report_where("the process to be seen again", &system, caught_up).await;
}

#[tokio::test]
async fn without_jetstream_status_says_so_and_all_else() {
    let system = Boxoffice::start().await;
    let environment = [("DATABASE_URL", system.setting("DATABASE_URL")), ("NATS_URL", "nats://reader@127.0.0.1:1")];
    let output = run(&["--json"], &environment).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert!(troubles(&report).contains("JetStream"), "{}", troubles(&report));
    assert!(report["relay"]["unreachable"].is_string(), "{}", report["relay"]);
    assert_eq!(follower(&report, "relay")["position"], Value::Null);
    assert!(follower(&report, "saga")["position"].is_u64());
}
