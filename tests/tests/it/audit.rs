//! The log as evidence, on the command line and over HTTP.

use std::{
    io::{BufRead, BufReader},
    process::{Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Boxoffice, Fan, Log, SOON, assert_mirrored, assert_verified, audit, command, eventually, said};

/// A concert of three, and how three bookings of it ended.
struct Sale {
    system: Boxoffice,
    concert: String,
    paid: String,
    canceled: String,
    refused: String,
    fan: Fan,
    /// Position of the last event.
    last: u64,
}

impl Sale {
    async fn through() -> Self {
        let system = Boxoffice::start().await;
        let organizer = system.organizer().await;
        let terms = json!({"name": "Autumn, \"late\"", "ticketQty": 3, "maxPerBooking": 2,
            "price": {"amount": 110_000, "currency": "KRW"}});
        let concert = organizer.post("/concerts", &terms).await.ok(201).text_at("/id");
        let (fan, other) = (system.fan().await, system.fan().await);
        let booked = fan.book(&concert, 2).await.ok(201);
        fan.pays(&booked.text_at("/paymentId")).await;
        let paid = booked.text_at("/bookingId");
        let held = other.book(&concert, 1).await.ok(201).text_at("/bookingId");
        other.book(&concert, 1).await.problem(409, "sold-out");
        other.cancel(&held).await.ok(200);
        let log = Log::settled(&system.postgres().await).await;
        let refused = log.0.iter().find(|entry| entry.event_type == "BookingRejected").unwrap().aggregate_id.clone();
        let last = log.last();
        Self { system, concert, paid, canceled: held, refused, fan, last }
    }

    async fn audit(&self, arguments: &[&str]) -> Output {
        audit(&self.system, arguments).await
    }

    /// What an audit says, a JSON document a line.
    async fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let text = said(&self.audit(arguments).await);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn document(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&said(&self.audit(arguments).await)).unwrap()
    }
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["eventType"].as_str().unwrap()).collect()
}

/// The exit code and what was said of it.
#[track_caller]
fn refused(output: &Output, code: i32, says: &str) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(stderr.contains(says), "{says:?} is not in {stderr}");
}

#[tokio::test]
async fn a_system_that_runs_verifies_and_a_changed_event_does_not() {
    let sale = Sale::through().await;
    let postgres = sale.system.postgres().await;
    assert_mirrored(&sale.system, &postgres).await;
    let report = assert_verified(&sale.system).await;
    assert_eq!((&report["position"], &report["events"]), (&sale.last.into(), &sale.last.into()));
    let shown = said(&sale.audit(&["verify"]).await);
    for text in ["nothing is wrong", "no-oversell", "booking-histories", "message N in JetStream is row N in Postgres"]
    {
        assert!(shown.contains(text), "{text} is not in {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "colours where there is no terminal: {shown}");

    let changed = "UPDATE events SET payload = replace(payload::text, '\"qty\":2', '\"qty\":1')::json
                   WHERE event_type = 'TicketsHeld' AND payload::text LIKE '%\"qty\":2%'";
    assert_eq!(sqlx::query(changed).execute(&postgres).await.unwrap().rows_affected(), 1);
    let output = sale.audit(&["verify"]).await;
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for text in ["BREACH", "position ", &format!("concert {}", sale.concert), "expected", "found"] {
        assert!(shown.contains(text), "{text} is not in {shown}");
    }
}

#[tokio::test]
async fn a_checkpoint_that_was_kept_is_checked_and_named_where_the_log_does_not_fit_it() {
    let sale = Sale::through().await;
    let anonymous = sale.system.anonymous();
    eventually("the log to be sealed", SOON, async || {
        let answer = anonymous.get("/checkpoint").await;
        answer.status == 200 && answer.text.lines().nth(1).unwrap().parse::<u64>().unwrap() >= sale.last
    })
    .await;
    let kept = sale.system.data().join("kept");
    let kept = kept.to_str().unwrap();
    std::fs::write(kept, anonymous.get("/checkpoint").await.ok(200).text).unwrap();
    let key = sale.system.setting("BOXOFFICE_SEAL_KEY");
    let verify = ["verify", "--checkpoint", kept, "--key", key];
    let shown = said(&sale.audit(&verify).await);
    assert!(shown.contains("1 kept outside") && shown.contains("ok   seals"), "{shown}");
    // What else there is outside the database is found by itself, and by the rights of a reader.
    let last_signed =
        format!("compared, from {}", sale.system.setting("BOXOFFICE_SEAL_KEY_FILE").replace(".key", ".checkpoint"));
    for text in ["published: ", " compared, of numbers 1 to ", &last_signed] {
        assert!(shown.contains(text), "{text} is not in {shown}");
    }

    let postgres = sale.system.postgres().await;
    let changed = "UPDATE events SET metadata = (metadata::text || ' ')::json WHERE position = 2";
    sqlx::query(changed).execute(&postgres).await.unwrap();
    let output = sale.audit(&["verify", "--without", "mirror", "--checkpoint", kept]).await;
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains(&format!("the checkpoint in {kept}")) && shown.contains("position 2, "), "{shown}");
    assert!(shown.contains("published: not compared, as the mirror is left out"), "{shown}");
    said(&sale.audit(&["verify", "--without", "mirror,seals"]).await);
    refused(&sale.audit(&["verify", "--without", "seals", "--checkpoint", kept]).await, 2, "--checkpoint");
    refused(&sale.audit(&["verify", "--without", "seals", "--key", key]).await, 2, "--key");
    refused(&sale.audit(&["verify", "--checkpoint", "/nowhere"]).await, 2, "/nowhere");
    refused(&sale.audit(&["verify", "--checkpoint", kept, "--key", "x"]).await, 2, "--key");
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_said_with_another_exit_code() {
    let mut sale = Sale::through().await;
    let nowhere = command().args(["audit", "verify", "--data", "/nowhere"]).output().unwrap();
    refused(&nowhere, 2, "--data");
    std::fs::remove_file(sale.system.setting("MYPAGE_PATH")).unwrap();
    let output = sale.audit(&["verify"]).await;
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(shown.contains("could not look"), "{shown}");
    said(&sale.audit(&["verify", "--without", "histories"]).await);
    sale.system.kill();
    refused(&sale.audit(&["verify"]).await, 2, "Postgres");
}

#[tokio::test]
async fn the_history_and_the_states_of_an_aggregate_are_told() {
    let sale = Sale::through().await;
    let (paid, concert) = (sale.paid.as_str(), sale.concert.as_str());
    let events = sale.lines(&["history", "booking", paid, "--json"]).await;
    assert_eq!(names(&events), ["BookingRequested", "BookingApproved"]);
    assert_eq!(events[0]["actor"], format!("user:{}", sale.fan.id));
    let cause: u64 = events[1]["causation"].as_str().unwrap().strip_prefix("event:").unwrap().parse().unwrap();
    let told = said(&sale.audit(&["history", "bookings", paid]).await);
    assert!(
        told.contains("BookingApproved") && told.contains("saga") && told.contains(&format!("event:{cause}")),
        "{told}"
    );
    let user = said(&sale.audit(&["history", "user", &sale.fan.id]).await);
    assert!(user.contains("UserRegistered") && user.contains("sealed") && !user.contains("Ingeborg"), "{user}");

    let all = sale.lines(&["history", "booking", "--concert", concert, "--json"]).await;
    assert_eq!(all.len(), 6, "three bookings, each asked for and ended: {:?}", names(&all));
    let own = sale.lines(&["history", "booking", "--user", &sale.fan.id, "--json"]).await;
    assert_eq!(own, events);
    let from = all[3]["position"].to_string();
    assert_eq!(sale.lines(&["history", "booking", "--concert", concert, "--from", &from, "--json"]).await, all[3..]);
    assert_eq!(sale.lines(&["history", "booking", "--concert", concert, "--to", &from, "--json"]).await, all[..=3]);
    let since = all[3]["recordedAt"].as_str().unwrap();
    let later = sale.lines(&["history", "booking", "--concert", concert, "--since", since, "--json"]).await;
    assert!(later.len() < all.len() && later.ends_with(&all[4..]), "{:?}", names(&later));

    let now = sale.document(&["replay", "concert", concert, "--json"]).await;
    assert_eq!(now["state"]["tickets"], json!({"capacity": 3, "held": 0, "sold": 2, "available": 1}));
    assert_eq!(now["state"]["bookings"], json!({"held": 0, "sold": 1, "released": 1, "refused": 1}));
    let held = sale.lines(&["history", "concert", concert, "--json"]).await[1]["position"].to_string();
    let then = sale.document(&["replay", "concert", concert, "--at", &held, "--json"]).await;
    assert_eq!(then["state"]["tickets"], json!({"capacity": 3, "held": 2, "sold": 0, "available": 1}));
    let by_time =
        sale.document(&["replay", "concert", concert, "--at", then["recordedAt"].as_str().unwrap(), "--json"]).await;
    assert_eq!(by_time, then);
    let changes = sale.lines(&["replay", "booking", paid, "--diff", "--json"]).await;
    assert_eq!(changes[1]["changes"], json!({"status": ["BookingRequested", "BookingApproved"]}));
    let shown = said(&sale.audit(&["replay", "booking", paid, "--diff"]).await);
    assert!(shown.contains("status: BookingRequested -> BookingApproved"), "{shown}");

    let nobody = "00000000-0000-0000-0000-000000000000";
    refused(&sale.audit(&["history", "booking", nobody]).await, 1, nobody);
    refused(&sale.audit(&["replay", "concert", nobody]).await, 1, nobody);
    refused(&sale.audit(&["replay", "concert", concert, "--at", "1"]).await, 1, "yet");
    refused(&sale.audit(&["replay", "concert", concert, "--at", "then"]).await, 2, "then");
    refused(&sale.audit(&["history", "bookins", paid]).await, 2, "bookins");
    refused(&sale.audit(&["history", "booking", "17"]).await, 2, "17");
    refused(&sale.audit(&["history", "concert", "--user", nobody]).await, 2, "--user");
    refused(&sale.audit(&["history", "booking"]).await, 2, "ID");
}

#[tokio::test]
async fn an_export_is_the_log_to_the_letter() {
    let sale = Sale::through().await;
    let log = Log::read(&sale.system.postgres().await).await;
    let exported = sale.lines(&["export"]).await;
    assert_eq!(exported.len() as u64, sale.last);
    for (line, entry) in exported.iter().zip(&log.0) {
        assert_eq!(line["position"], entry.position);
        assert_eq!(
            (&line["payload"], &line["metadata"]),
            (&entry.payload.as_str().into(), &entry.metadata.as_str().into())
        );
        let fields = ["recordedAt", "aggregateType", "aggregateId", "sequence", "eventType", "eventVersion"];
        assert!(fields.iter().all(|field| !line[field].is_null()), "{line}");
    }
    // RFC 4180: a quote is two of them.
    let csv = said(&sale.audit(&["export", "--format", "csv", "--from", "2", "--to", "3"]).await);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[0].starts_with("position,recordedAt,aggregateType,"), "{csv}");
    assert!(csv.contains(&format!("\"{}\"", log.0[1].payload.replace('"', "\"\""))), "{csv}");

    // Whoever has seen enough closes the pipe.
    let mut child = command()
        .args(["audit", "export", "--data"])
        .arg(sale.system.data())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()));
    refused(&sale.audit(&["export", "--from", "3", "--to", "2"]).await, 2, "--from");
}

#[tokio::test]
async fn why_a_booking_ended_is_told() {
    let sale = Sale::through().await;
    let sold_out = sale.document(&["why", &sale.refused, "--json"]).await;
    assert_eq!(sold_out["status"], "BookingRejected");
    assert_eq!(sold_out["decidedBy"]["eventType"], "TicketsRefused");
    assert_eq!(sold_out["ticketsThen"], json!({"capacity": 3, "held": 1, "sold": 2, "available": 0}));
    let holders = sold_out["holders"].as_array().unwrap();
    let had: Vec<_> = holders.iter().map(|holder| (holder["bookingId"].as_str().unwrap(), &holder["sold"])).collect();
    assert_eq!(had, [(sale.canceled.as_str(), &false.into()), (sale.paid.as_str(), &true.into())]);
    let shown = said(&sale.audit(&["why", &sale.refused]).await);
    assert!(shown.contains("asked for 1 tickets and 0 were left: of 3, 2 were sold and 1 held"), "{shown}");
    assert!(shown.contains(&sale.paid) && shown.contains("2 bookings had tickets then"), "{shown}");

    let canceled = said(&sale.audit(&["why", &sale.canceled]).await);
    assert!(canceled.contains("the fan called it off (user:"), "{canceled}");
    assert!(canceled.contains("110000 KRW was asked for, and none was taken"), "{canceled}");
    let paid = said(&sale.audit(&["why", &sale.paid]).await);
    assert!(paid.contains("nothing was refused") && paid.contains("220000 KRW was taken"), "{paid}");
    refused(&sale.audit(&["why", &sale.concert]).await, 1, &sale.concert);
}

#[tokio::test]
async fn a_sale_is_drawn_and_replayed_under_other_terms() {
    let sale = Sale::through().await;
    let concert = sale.concert.as_str();
    let csv = said(&sale.audit(&["curve", concert]).await);
    let tickets: Vec<&str> = csv.lines().skip(1).map(|line| line.splitn(3, ',').nth(2).unwrap()).collect();
    assert_eq!(tickets, ["3,0,0,3", "3,2,0,1", "3,0,2,1", "3,1,2,0", "3,0,2,1"], "{csv}");
    let points = sale.lines(&["curve", concert, "--json"]).await;
    assert_eq!(points.iter().map(|point| point["available"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 1, 1, 0, 1]);
    let picture = sale.system.data().join("curve.svg");
    said(&sale.audit(&["curve", concert, "--plot", picture.to_str().unwrap()]).await);
    let drawn = std::fs::read_to_string(picture).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("Autumn"), "{drawn}");
    refused(&sale.audit(&["curve", concert, "--plot", "curve.png"]).await, 2, "svg");

    let more = sale.document(&["what-if", concert, "--capacity", "5", "--json"]).await;
    let of = |what: &str, field: &str| more[what][field].as_u64().unwrap();
    assert_eq!((of("asItWas", "sold"), of("asItWas", "refusedSoldOut")), (2, 1));
    assert_eq!(more["modelAsItWas"]["sold"], more["asItWas"]["sold"], "{more}");
    assert_eq!((of("asItWouldBe", "refusedSoldOut"), of("asItWouldBe", "capacity")), (0, 5));
    assert_eq!(more["assumptions"].as_array().unwrap().len(), 5);
    let fewer = sale.document(&["what-if", concert, "--max-per-booking", "1", "--json"]).await;
    assert_eq!(fewer["asItWouldBe"]["refusedMaxPerBooking"], 1, "{fewer}");
    let shown = said(&sale.audit(&["what-if", concert, "--hold-seconds", "1"]).await);
    assert!(shown.contains("as it was") && shown.contains("This assumes that"), "{shown}");
    refused(&sale.audit(&["what-if", concert]).await, 2, "--hold-seconds");
    refused(&sale.audit(&["what-if", concert, "--capacity", "0"]).await, 2, "--capacity");
}

#[tokio::test]
async fn organizers_audit_over_http_and_fans_do_not() {
    let sale = Sale::through().await;
    let organizer = sale.system.organizer().await;
    let (paid, concert) = (&sale.paid, &sale.concert);
    for path in [
        format!("/audit/bookings/{paid}/events"),
        format!("/audit/concert/{concert}"),
        format!("/audit/bookings/{paid}/why"),
    ] {
        sale.fan.get(&path).await.problem(403, "forbidden");
        sale.system.anonymous().get(&path).await.problem(401, "unauthenticated");
        organizer.get(&path).await.ok(200);
    }
    let all = organizer.get(&format!("/audit/concerts/{concert}/events")).await.ok(200);
    let all = all.body.as_array().unwrap().clone();
    let first = organizer.get(&format!("/audit/concert/{concert}/events?limit=2")).await.ok(200);
    assert_eq!(first.body.as_array().unwrap()[..], all[..2]);
    let after = all[1]["position"].as_u64().unwrap();
    let rest = organizer.get(&format!("/audit/concert/{concert}/events?after={after}")).await.ok(200);
    assert_eq!(rest.body.as_array().unwrap()[..], all[2..]);
    let end = organizer.get(&format!("/audit/concert/{concert}/events?after={}", sale.last)).await.ok(200);
    assert_eq!(end.body, json!([]));
    assert_eq!(sale.lines(&["history", "concert", concert, "--json"]).await, all);

    let then = organizer.get(&format!("/audit/concerts/{concert}?at={after}")).await.ok(200);
    assert_eq!(then.body["state"]["tickets"], json!({"capacity": 3, "held": 2, "sold": 0, "available": 1}));
    assert_eq!(then.body, sale.document(&["replay", "concert", concert, "--at", &after.to_string(), "--json"]).await);
    let why = organizer.get(&format!("/audit/bookings/{}/why", sale.refused)).await.ok(200);
    assert_eq!(why.body, sale.document(&["why", &sale.refused, "--json"]).await);

    organizer.get(&format!("/audit/concerts/{concert}?at=1")).await.problem(404, "not-found");
    organizer.get(&format!("/audit/concerts/{concert}?at=x")).await.problem(422, "invalid-request");
    organizer.get(&format!("/audit/concerts/{concert}/events?limit=0")).await.problem(422, "invalid-request");
    for nothing in ["concerts/00000000-0000-0000-0000-000000000000", "tickets/1", "concerts/1"] {
        organizer.get(&format!("/audit/{nothing}")).await.problem(404, "not-found");
    }
    organizer.get(&format!("/audit/concerts/{concert}/why")).await.problem(404, "not-found");
}
