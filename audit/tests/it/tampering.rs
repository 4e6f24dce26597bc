//! Somebody with every right on the database changes something behind everybody's back: each is found and named, and gone
//! once it is undone.

use audit::verify::{Check, Report};
use rusqlite::Connection;

use crate::world::{World, assert_found, assert_only, assert_passes, size};

/// Changes something by SQL, verifies, changes it back.
async fn tampered(world: &World, change: &str, undo: &str) -> Report {
    world.sql(change).await;
    let report = world.verify().await;
    world.sql(undo).await;
    report
}

/// Position of the `nth` event of a name.
async fn nth(world: &World, event_type: &str, nth: u64) -> u64 {
    let events = format!("SELECT position FROM events WHERE event_type = '{event_type}'");
    world.number(&format!("{events} ORDER BY position OFFSET {nth} LIMIT 1")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_changed_in_the_log_is_found_and_named() {
    let world = World::start().await;
    world.sell(size()).await;
    world.derive().await;
    assert_passes(&world.verify().await);
    let end = world.journal.position().0;

    // A changed payload.
    let billed = nth(&world, "PaymentRequested", 7).await;
    let to = |from: &str, to: &str, at: u64| {
        format!("UPDATE events SET payload = replace(payload::text, '{from}', '{to}')::json WHERE position = {at}")
    };
    let (paid_55, paid_1) = ("\"amount\":{\"amount\":", "\"amount\":{\"amount\":9");
    let report = tampered(&world, &to(paid_55, paid_1, billed), &to(paid_1, paid_55, billed)).await;
    assert_found(&report, Check::Bills, billed, &["payment ", "TicketsHeld of", "for 9"]);
    assert_found(&report, Check::Mirror, billed, &["its body", "payment "]);
    assert_found(&report, Check::Seals, billed, &["payment ", "which was sealed"]);

    // A payload that is none.
    let report = tampered(&world, &to("bookingId", "bookingIt", billed), &to("bookingIt", "bookingId", billed)).await;
    assert_found(&report, Check::Decode, billed, &["payment ", "bookingIt"]);

    // Changed metadata.
    let blamed = |from: &str, to: &str| {
        format!(
            "UPDATE events SET metadata = replace(metadata::text, '{from}', '{to}')::json WHERE position = {billed}"
        )
    };
    let report = tampered(&world, &blamed("saga", "sage"), &blamed("sage", "saga")).await;
    assert_found(&report, Check::Mirror, billed, &["Boxoffice-Metadata", "sage"]);
    assert_only(&report, &[Check::Mirror, Check::Seals]);
    let report = tampered(&world, &blamed("event:", "event:9"), &blamed("event:9", "event:")).await;
    assert_found(&report, Check::Origin, billed, &["causation"]);

    // A deleted row.
    world.sql(&format!("CREATE TABLE kept AS SELECT * FROM events WHERE position = {billed}")).await;
    let deleted = format!("DELETE FROM events WHERE position = {billed}");
    let report = tampered(&world, &deleted, "INSERT INTO events SELECT * FROM kept; DROP TABLE kept").await;
    assert_found(&report, Check::Order, billed, &["it is missing"]);
    assert_found(&report, Check::Mirror, billed, &["a message"]);
    assert_found(&report, Check::Seals, billed, &["which was sealed"]);

    // A swapped pair, of different bookings in the same instant.
    let (one, two) = (nth(&world, "BookingRequested", 3).await, nth(&world, "BookingRequested", 4).await);
    let swap = format!(
        "UPDATE events SET position = {end} + 9 WHERE position = {one};
         UPDATE events SET position = {one} WHERE position = {two};
         UPDATE events SET position = {two} WHERE position = {end} + 9"
    );
    let report = tampered(&world, &swap, &swap).await;
    for position in [one, two] {
        assert_found(&report, Check::Mirror, position, &["its body", "booking "]);
    }
    assert_found(&report, Check::Histories, end, &["booking ", &format!("requested at {one}")]);
    assert_only(&report, &[Check::Histories, Check::Mirror, Check::Seals]);

    // A swapped pair, of cause and effect.
    let held = world
        .number(&format!(
            "SELECT substring(metadata ->> 'causation' from 7)::bigint FROM events WHERE position = {billed}"
        ))
        .await;
    let swap =
        swap.replace(&format!("= {one}"), &format!("= {held}")).replace(&format!("= {two}"), &format!("= {billed}"));
    let report = tampered(&world, &swap, &swap).await;
    assert_found(&report, Check::Bills, held, &["TicketsHeld of", "found none"]);

    // A forged extra event.
    let open = world
        .number(
            "SELECT position FROM events e WHERE event_type = 'PaymentRequested' AND NOT EXISTS (SELECT FROM events f
                 WHERE f.aggregate_id = e.aggregate_id AND f.sequence = 2) ORDER BY position LIMIT 1",
        )
        .await;
    let forge = format!(
        "INSERT INTO events SELECT aggregate_type, aggregate_id, 2, 'PaymentApproved', event_version,
             (replace(replace(payload::text, 'PaymentRequested', 'PaymentApproved'), '\"expiresAt\"',
                '\"attemptId\":\"00000000-0000-0000-0000-000000000001\",\"paymentKey\":\"k\",\"approvedAt\"'))::json,
             metadata, {end} + 1, (SELECT max(recorded_at) FROM events) FROM events WHERE position = {open}"
    );
    let and_head = |by: i64| format!("UPDATE journal_head SET position = position + {by}");
    let gone = format!("DELETE FROM events WHERE position = {end} + 1");
    let forged = tampered(&world, &format!("{forge};{}", and_head(1)), &format!("{gone};{}", and_head(-1))).await;
    assert_found(&forged, Check::Transitions, end + 1, &["payment ", "is not in flight", "PaymentApproved"]);
    let report = tampered(&world, &forge, &gone).await;
    assert_found(&report, Check::Head, end + 1, &["journal_head"]);

    // Tickets that come from nowhere.
    let held = nth(&world, "TicketsHeld", 5).await;
    let report = tampered(&world, &to("\"qty\":", "\"qty\":99", held), &to("\"qty\":99", "\"qty\":", held)).await;
    assert_found(&report, Check::Transitions, held, &["concert "]);

    // Time that goes back.
    let back =
        |by: &str| format!("UPDATE events SET recorded_at = recorded_at {by} interval '1 day' WHERE position = {held}");
    let report = tampered(&world, &back("-"), &back("+")).await;
    assert_found(&report, Check::Order, held, &["recorded_at not before"]);

    // A follower that is beyond the end.
    let moved = |by: i64| format!("UPDATE checkpoints SET position = position + {by} WHERE name = 'saga'");
    let report = tampered(&world, &moved(1), &moved(-1)).await;
    assert_found(&report, Check::Head, end, &["checkpoint saga"]);

    assert_passes(&world.verify().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_from_the_log_and_changed_is_found_and_named() {
    let world = World::start().await;
    let sale = world.sell(size()).await;
    world.derive().await;
    let end = world.journal.position().0;
    let (concert, booking) = (sale.concert.to_string(), sale.bookings[333].to_string());

    // A snapshot: its counts, a booking in it, and where it says it was taken.
    assert!(world.number("SELECT count(*) FROM snapshots").await > 0, "there is no snapshot");
    let taken_at = world
        .number("SELECT position FROM events JOIN snapshots USING (aggregate_type, aggregate_id) WHERE sequence = last_sequence")
        .await;
    let replaced = |from: &str, to: &str| {
        format!("UPDATE snapshots SET payload = regexp_replace(payload::text, '{from}', '{to}')::json")
    };
    let report = tampered(&world, &replaced("\"sold\":", "\"sold\":1"), &replaced("\"sold\":1", "\"sold\":")).await;
    assert_found(&report, Check::Snapshots, taken_at, &[&concert, "sold 1"]);
    let (from, to) = ("\"qty\":1,", "\"qty\":1000,");
    let report = tampered(&world, &replaced(from, to), &replaced(to, from)).await;
    assert_found(&report, Check::Snapshots, taken_at, &[&concert, "booking ", "1000 tickets"]);
    assert_only(&report, &[Check::Snapshots]);
    let moved = |by: i64| format!("UPDATE snapshots SET last_sequence = last_sequence + {by}");
    assert_only(&tampered(&world, &moved(1), &moved(-1)).await, &[Check::Snapshots]);
    assert_only(&tampered(&world, &moved(1_000_000), &moved(-1_000_000)).await, &[Check::Snapshots]);

    // The ticket counts: a row that is wrong, one that is gone.
    let held = |by: i64| format!("UPDATE ticket_counts_v1 SET held = held + {by} WHERE concert_id = '{concert}'");
    let report = tampered(&world, &held(1), &held(-1)).await;
    assert_found(&report, Check::TicketCounts, end, &[&concert, "capacity", "held"]);
    assert_only(&report, &[Check::TicketCounts]);
    world.sql("CREATE TABLE kept AS SELECT * FROM ticket_counts_v1; ALTER TABLE kept DROP COLUMN available").await;
    let columns = "concert_id, organizer_id, name, venue, starts_at, price_amount, price_currency, max_per_booking, \
                   hold_seconds, canceled, capacity, held, sold, registered_position, position";
    let delete = format!("DELETE FROM ticket_counts_v1 WHERE concert_id = '{concert}'");
    let again =
        format!("INSERT INTO ticket_counts_v1 ({columns}) SELECT {columns} FROM kept WHERE concert_id = '{concert}'");
    let report = tampered(&world, &delete, &again).await;
    assert_found(&report, Check::TicketCounts, end, &[&concert, "no row"]);

    // The histories: a row that is wrong, one that is gone, one that should not be there.
    let file = Connection::open(&world.mypage).unwrap();
    let row = format!("WHERE booking_id = x'{}'", booking.replace('-', ""));
    let sqlite = async |change: &str, undo: &str| {
        file.execute_batch(change).unwrap();
        let report = world.verify().await;
        file.execute_batch(undo).unwrap();
        report
    };
    let qty = |by: i64| format!("UPDATE histories SET qty = qty + {by} {row}");
    let report = sqlite(&qty(10), &qty(-10)).await;
    assert_found(&report, Check::Histories, end, &[&booking, "qty 1"]);
    assert_only(&report, &[Check::Histories]);
    let gone = format!("CREATE TABLE kept AS SELECT * FROM histories {row}; DELETE FROM histories {row}");
    let report = sqlite(&gone, "INSERT INTO histories SELECT * FROM kept; DROP TABLE kept").await;
    assert_found(&report, Check::Histories, end, &[&booking, "found no row"]);
    let forged =
        "INSERT INTO histories SELECT 999999999, x'00000000000000000000000000000001', concert_id, user_id, status, qty,
                  amount, currency, payment_id, requested_at, updated_at, position FROM histories LIMIT 1";
    let report = sqlite(forged, "DELETE FROM histories WHERE id = 999999999").await;
    assert_found(&report, Check::Histories, end, &["00000000-0000-0000-0000-000000000001", "expected no row"]);
    let status = |from: &str, to: &str| format!("UPDATE histories SET status = '{to}' {row} AND status = '{from}'");
    let told: String = file.query_row(&format!("SELECT status FROM histories {row}"), [], |row| row.get(0)).unwrap();
    let report = sqlite(&status(&told, "Nonsense"), &status("Nonsense", &told)).await;
    assert_found(&report, Check::Histories, end, &["one that we wrote"]);

    assert_passes(&world.verify().await);
}
