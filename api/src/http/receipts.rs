//! Receipts: what a fan can show to anybody who has the log's public key.

use aggregates::{Booking, BookingId};
use axum::{Json, extract::State};
use seals::Receipt;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::Caller,
    json::Id,
    problem::{Kind, Problem, ProblemDocument},
    state::Api,
};

/// Receipts made at once, at most: each reads a few thousand rows. Whoever asks for one more is told to come again.
const RECEIPTS_AT_ONCE_MAX: usize = 8;

static RECEIPTS: Semaphore = Semaphore::const_new(RECEIPTS_AT_ONCE_MAX);

/// A booking's events, their inclusion proofs, and the signed checkpoint that they lead to.
#[derive(ToSchema)]
#[schema(as = Receipt, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its shape is told; the document itself is that of the crate seals")]
struct ReceiptDocument {
    /// 1.
    version: u32,
    booking_id: Uuid,
    payment_id: Uuid,
    concert_id: Uuid,
    /// The signed checkpoint (C2SP tlog-checkpoint).
    checkpoint: String,
    /// Every event of the booking and of its payment, and those of the concert that are known to be about it.
    events: Vec<ReceiptEventDocument>,
}

/// A row of the log to the byte, and the proof that it is there.
#[derive(ToSchema)]
#[schema(as = ReceiptEvent, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its shape is told; the document itself is that of the crate seals")]
struct ReceiptEventDocument {
    /// Place in the log, from 1; its leaf is the one before, from 0.
    position: u64,
    /// RFC 3339, to the microsecond.
    recorded_at: String,
    aggregate_type: String,
    aggregate_id: String,
    sequence: u64,
    event_type: String,
    event_version: String,
    /// JSON text, to the byte.
    payload: String,
    /// JSON text, to the byte.
    metadata: String,
    /// Base64 of the leaf's hash.
    leaf_hash: String,
    /// Base64 of the hashes from the leaf to the root, nearest first.
    inclusion_proof: Vec<String>,
}

/// A booking's receipt: waits until its last event is sealed.
#[utoipa::path(get, path = "/bookings/{id}/receipt", tag = "seals", params(("id" = Uuid, Path)), security(("token" = [])), responses(
    (status = 200, body = ReceiptDocument),
    (status = 403, description = "somebody else's", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    (status = 503, description = "not sealed yet: look again a little later", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn read(State(api): State<Api>, caller: Caller, Id(id): Id) -> Result<Json<Receipt>, Problem> {
    let booking = api.journal.load::<Booking>(id).await?.state;
    let request = booking.request().ok_or_else(|| Problem::not_found("booking"))?;
    caller.may_see(&api, request.user_id, request.concert_id).await?;
    let _place = RECEIPTS
        .try_acquire()
        .map_err(|_| Problem::new(Kind::Overloaded, "others are asking for receipts, try again a little later"))?;
    Ok(Json(Receipt::of(&api.seals, BookingId(id)).await?))
}
