//! A payment provider in trouble, as an operator sees it.

use serde_json::json;

use crate::support::{Boxoffice, SOON, eventually};

/// A metric's value, by its name and labels as Prometheus writes them.
async fn metric(system: &Boxoffice, name: &str) -> Option<f64> {
    let metrics = system.anonymous().get("/metrics").await.ok(200).text;
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn a_breaker_that_opened_says_so_and_is_half_open_in_time_though_nobody_pays() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(100).await;
    let fan = system.fan().await;
    let payment = fan.book(&concert, 1).await.ok(201).text_at("/paymentId");
    let says = async || system.anonymous().get("/readyz").await.ok(200).text_at("/payments");
    let shows =
        async |state: &str| metric(&system, &format!("payments_breaker{{state=\"{state}\"}}")).await == Some(1.0);
    assert_eq!((says().await.as_str(), shows("closed").await), ("open", true));

    system.provider().set_faults(json!({"down": true})).await;
    eventually("the breaker to open", SOON, || async {
        fan.pay(&payment).await.problem(503, "payment-busy").retry_after();
        says().await == "put off"
    })
    .await;
    // Bookings do not depend on it.
    fan.book(&concert, 1).await.ok(201);
    eventually("the breaker to let somebody through", SOON, || async { says().await == "half-open" }).await;
    assert!(shows("half-open").await && !shows("open").await && !shows("closed").await);

    system.provider().set_faults(json!({"down": false})).await;
    fan.pays(&payment).await;
    // One that gets through is not enough; what needs no provider any more is no probe.
    eventually("the breaker to close", SOON, || async {
        let payment = fan.book(&concert, 1).await.ok(201).text_at("/paymentId");
        fan.pays(&payment).await;
        says().await == "open"
    })
    .await;
    // A line for each change, and none for each call.
    let stderr = system.stderr();
    let lines = |what: &str| stderr.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines("the circuit breaker puts payments off"), 1, "{stderr}");
    assert_eq!(lines("the circuit breaker is closed"), 1, "{stderr}");
}

#[tokio::test]
async fn refunds_that_are_not_through_can_be_seen_and_calls_of_the_provider_are_counted() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 1).await.ok(201);
    fan.pays(&booked.text_at("/paymentId")).await;
    system.provider().set_faults(json!({"down": true})).await;
    fan.cancel(&booked.text_at("/bookingId")).await.ok(200);
    let waiting = async || metric(&system, "payment_work_due{kind=\"refund\"}").await;
    eventually("the refund to be seen waiting", SOON, || async {
        let since = metric(&system, "payment_work_oldest_seconds{kind=\"refund\"}").await;
        waiting().await == Some(1.0) && since.is_some_and(|seconds| seconds > 0.0)
    })
    .await;
    system.provider().set_faults(json!({"down": false})).await;
    eventually("the refund to be through", SOON, || async { waiting().await == Some(0.0) }).await;
    for call in ["confirm\",outcome=\"answered", "cancel\",outcome=\"fault", "cancel\",outcome=\"answered"] {
        let name = format!("payments_provider_calls_total{{call=\"{call}\"}}");
        assert!(metric(&system, &name).await.is_some_and(|calls| calls > 0.0), "{name}");
    }
    assert!(metric(&system, "payments_provider_seconds_count{call=\"cancel\"}").await.is_some());
}
