//! Receipts: made from the log, checked without it, and every forgery called by its name.

use aggregates::{
    Booking, BookingCommand, BookingId, Concert, ConcertCommand, ConcertId, Qty, UserId, booking::CancelReason,
};
use journal::{Metadata, Position, read_after};
use seals::{Checkpoint, Hash, KeyFile, LeafHasher, Receipt, ReceiptError, ReceiptFault, VerifierKey, verify_receipt};
use uuid::Uuid;

use crate::support::{World, concert, metadata, request};

/// What a forger does.
type Change<'a> = &'a dyn Fn(&mut Receipt);

/// A booking that is requested and held, and cancelled and released, among others; its receipt and the log's key.
async fn receipt() -> (World, Receipt, Vec<VerifierKey>) {
    receipt_of(CancelReason::ByFan).await
}

/// The same, cancelled for this reason.
async fn receipt_of(reason: CancelReason) -> (World, Receipt, Vec<VerifierKey>) {
    let world = World::start().await;
    let running = world.seal().await;
    let journal = &world.journal;
    world.append(300).await;
    let (on_sale, booking) = (concert(journal, 100).await, Uuid::now_v7());
    let at = journal.execute::<Booking>(booking, request(booking, on_sale), &metadata()).await.unwrap().position;
    let caused = async |at: Position| {
        let event = read_after(journal.pool(), Position(at.0 - 1), 1).await.unwrap().remove(0);
        Metadata::following(&"saga".into(), &event)
    };
    let hold = ConcertCommand::Hold {
        concert_id: ConcertId(on_sale),
        booking_id: BookingId(booking),
        user_id: UserId(Uuid::nil()),
        qty: Qty::new(1).unwrap(),
        now: chrono::DateTime::UNIX_EPOCH,
    };
    journal.execute::<Concert>(on_sale, hold, &caused(at).await).await.unwrap();
    world.append(50).await;
    let because = if reason == CancelReason::ConcertCanceled {
        let off = journal.execute::<Concert>(on_sale, ConcertCommand::Cancel, &metadata()).await.unwrap();
        caused(off.position).await
    } else {
        metadata()
    };
    let cancel = BookingCommand::Cancel { reason };
    let at = journal.execute::<Booking>(booking, cancel, &because).await.unwrap().position;
    let release = ConcertCommand::Release { booking_id: BookingId(booking) };
    journal.execute::<Concert>(on_sale, release, &caused(at).await).await.unwrap();
    let receipt = Receipt::of(&running.log, BookingId(booking)).await.unwrap();
    let keys = running.keys.clone();
    assert!(matches!(Receipt::of(&running.log, BookingId(Uuid::nil())).await, Err(ReceiptError::NoSuchBooking)));
    running.stop().await;
    (world, receipt, keys)
}

#[tokio::test]
async fn a_booking_that_was_cancelled_with_its_concert_has_a_receipt_with_the_reason() {
    let (_world, receipt, keys) = receipt_of(CancelReason::ConcertCanceled).await;
    assert_eq!(verify_receipt(&receipt, &keys).unwrap().events, 5);
    let names: Vec<_> = receipt.events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(names, ["BookingRequested", "TicketsHeld", "ConcertCanceled", "BookingCanceled", "TicketsReleased"]);
    // Without the event that it explains it says nothing of the booking.
    let mut apart = receipt;
    apart.events.retain(|event| event.event_type != "BookingCanceled");
    assert!(matches!(verify_receipt(&apart, &keys), Err(ReceiptFault::Foreign { .. })));
}

#[tokio::test]
async fn a_receipt_proves_a_booking_s_events_without_the_database() {
    let (world, receipt, keys) = receipt().await;
    drop(world);
    let text = serde_json::to_string(&receipt).unwrap();
    let read: Receipt = serde_json::from_str(&text).unwrap();
    assert_eq!(read, receipt);
    let proved = verify_receipt(&read, &keys).unwrap();
    assert_eq!(proved.events, 4);
    assert!(proved.checkpoint.size >= 355, "{}", proved.checkpoint.size);
    let names: Vec<_> = read.events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(names, ["BookingRequested", "TicketsHeld", "BookingCanceled", "TicketsReleased"]);
}

#[tokio::test]
async fn every_forgery_has_its_own_reason() {
    let (_world, receipt, keys) = receipt().await;
    let forged = |change: Change<'_>| {
        let mut forged = receipt.clone();
        change(&mut forged);
        verify_receipt(&forged, &keys).unwrap_err()
    };
    let changes: [(&str, Change<'_>); 5] = [
        ("payload", &|receipt| receipt.events[0].payload = receipt.events[0].payload.replace("\"qty\":1", "\"qty\":4")),
        ("metadata", &|receipt| receipt.events[0].metadata.push(' ')),
        ("time", &|receipt| receipt.events[0].recorded_at = "2026-01-01T00:00:00.000000Z".to_owned()),
        ("name", &|receipt| receipt.events[2].event_type = "BookingApproved".to_owned()),
        ("version", &|receipt| receipt.events[2].event_version.push('0')),
    ];
    for (what, change) in changes {
        let fault = forged(change);
        assert!(matches!(fault, ReceiptFault::Changed { .. }), "{what}: {fault}");
    }
    let time = forged(&|receipt| receipt.events[0].recorded_at.push_str("[UTC]"));
    assert!(matches!(time, ReceiptFault::Time { .. }), "{time}");
    // Whoever changes the event and says so in its hash has no proof for it.
    let rehashed = forged(&|receipt| {
        let event = &mut receipt.events[0];
        event.metadata.push(' ');
        event.leaf_hash = LeafHasher::default().hash(&event.row().unwrap());
    });
    assert!(matches!(rehashed, ReceiptFault::Proof { .. }), "{rehashed}");
    let proof = forged(&|receipt| receipt.events[0].inclusion_proof[0] = Hash([7; 32]));
    assert!(matches!(proof, ReceiptFault::Proof { .. }), "{proof}");
    let moved = forged(&|receipt| receipt.events[3].position += 1);
    assert!(matches!(moved, ReceiptFault::Changed { .. }), "{moved}");
    let left_out = forged(&|receipt| drop(receipt.events.remove(0)));
    assert!(matches!(left_out, ReceiptFault::Incomplete(_)), "{left_out}");
    let other = forged(&|receipt| receipt.concert_id = Uuid::nil());
    assert!(matches!(other, ReceiptFault::Foreign { .. }), "{other}");
    let order = forged(&|receipt| receipt.events.swap(1, 2));
    assert!(matches!(order, ReceiptFault::Foreign { .. }), "{order}");
    assert!(matches!(forged(&|receipt| receipt.version = 2), ReceiptFault::Version(2)));

    let note = forged(&|receipt| receipt.checkpoint = receipt.checkpoint.replacen('\n', "x\n", 1));
    assert!(note.to_string().contains("not over this text"), "{note}");
    let dir = tempfile::tempdir().unwrap();
    let other = |origin: &str, file: &str| KeyFile::new(dir.path().join(file)).rotate(origin).unwrap().remove(0);
    let origin = keys[0].origin().to_owned();
    let same_name = other(&origin, "same");
    let fault = verify_receipt(&receipt, &[same_name.verifier().clone()]).unwrap_err();
    assert!(fault.to_string().contains("none of the known keys"), "{fault}");
    // Signed anew by somebody else, over the very same root.
    let resigned = forged(&|receipt| {
        let checkpoint = Checkpoint::verify(&receipt.checkpoint, &keys).unwrap();
        receipt.checkpoint = checkpoint.sign(&[other("boxoffice/elsewhere", "other")]).unwrap();
    });
    assert!(resigned.to_string().contains("boxoffice/elsewhere"), "{resigned}");
}

#[tokio::test]
async fn what_is_not_sealed_yet_has_no_receipt_yet() {
    let world = World::start().await;
    let running = world.seal().await;
    running.sealed(Position(0)).await;
    let log = running.log.clone();
    running.stop().await;
    let booking = Uuid::now_v7();
    world.journal.execute::<Booking>(booking, request(booking, Uuid::nil()), &metadata()).await.unwrap();
    let error = Receipt::of(&log, BookingId(booking)).await.unwrap_err();
    let expected = (Position(0), Position(1));
    assert!(matches!(error, ReceiptError::NotYet { sealed, wanted } if (sealed, wanted) == expected), "{error}");
}
