//! Paying.

use std::time::Duration;

use aggregates::{
    AttemptId, Booking, BookingStatus, Concert, Payment, PaymentError, PaymentId,
    concert::AllotmentState,
    payment::{PAYMENT_KEY_CHARS_MAX, is_payment_key},
};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use journal::{ExecuteError, Position};
use payments::{Approval, ApproveError, RETRY_AFTER_MIN};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::Caller,
    concerts::Amount,
    headers::{At, FOLLOW_UP_WAIT_MAX, IdempotencyKey, Language, MinPosition, Trail},
    json::{ApiJson, Id},
    problem::{Kind, Problem, ProblemDocument},
    state::Api,
    users::reached,
};

/// A payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaymentAnswer {
    payment_id: Uuid,
    booking_id: Uuid,
    concert_id: Uuid,
    user_id: Uuid,
    qty: u32,
    #[schema(example = "PaymentApproved")]
    status: &'static str,
    amount: Amount,
    /// Until when it can be paid.
    expires_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_at: Option<DateTime<Utc>>,
    /// Whether a try to pay is under way whose outcome is not known yet.
    in_flight: bool,
    /// Whether money is on its way back.
    refund_due: bool,
}

impl PaymentAnswer {
    fn of(payment: &Payment) -> Option<Self> {
        let (request, status, expires_at) = (payment.request()?, payment.status()?, payment.expires_at()?);
        Some(Self {
            payment_id: request.payment_id.0,
            booking_id: request.booking_id.0,
            concert_id: request.concert_id.0,
            user_id: request.user_id.0,
            qty: request.qty.get(),
            status: status.as_str(),
            amount: request.amount.into(),
            expires_at,
            approved_at: payment.approved().map(|approved| approved.approved_at),
            in_flight: payment.in_flight().is_some(),
            refund_due: payment.refund_due().is_some(),
        })
    }
}

/// How to pay.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Approve {
    /// What the provider's payment window gave; made up where there is none, as with the simulator.
    #[schema(max_length = 200)]
    payment_key: Option<String>,
}

/// One payment.
#[utoipa::path(get, path = "/payments/{id}", tag = "payments", params(("id" = Uuid, Path)), security(("token" = [])), responses(
    (status = 200, body = PaymentAnswer),
    (status = 403, description = "somebody else's", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn read(
    State(api): State<Api>,
    caller: Caller,
    min: MinPosition,
    Id(id): Id,
) -> Result<Json<PaymentAnswer>, Problem> {
    min.wait(|position| reached(&api, position)).await?;
    let payment = owned(&api, caller, id).await?;
    PaymentAnswer::of(&payment).map(Json).ok_or_else(|| Problem::not_found("payment"))
}

async fn owned(api: &Api, caller: Caller, id: Uuid) -> Result<Payment, Problem> {
    let payment = api.journal.load::<Payment>(id).await?.state;
    let request = payment.request().ok_or_else(|| Problem::not_found("payment"))?;
    caller.may_see(api, request.user_id, request.concert_id).await?;
    Ok(payment)
}

/// Pay: the provider is asked, and the booking approved.
#[utoipa::path(post, path = "/payments/{id}/approve", tag = "payments", params(("id" = Uuid, Path)), request_body = Approve,
    security(("token" = [])), responses(
    (status = 200, description = "paid, now or before", body = PaymentAnswer),
    (status = 400, description = "not JSON", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 401, description = "nobody is signed in", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 402, description = "declined: try again while tickets are held", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 403, description = "somebody else's", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, description = "no such payment", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 409, description = "not payable (any more)", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 413, description = "the body is too large", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 422, description = "a wrong field, or an Idempotency-Key of another request", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 500, description = "something is wrong on our side", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 502, description = "the payment provider does not take our calls: the operator must look", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 503, description = "pay a little later", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn approve(
    State(api): State<Api>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    language: Language,
    trail: Trail,
    Id(id): Id,
    ApiJson { value: Approve { payment_key }, bytes }: ApiJson<Approve>,
) -> Result<At<Json<PaymentAnswer>>, Problem> {
    if payment_key.as_ref().is_some_and(|key| !is_payment_key(key)) {
        return Err(Problem::field("paymentKey", format!("has 1 to {PAYMENT_KEY_CHARS_MAX} visible characters")));
    }
    owned(&api, caller, id).await?;
    let payment = PaymentId(id);
    let attempt = match &key {
        Some(key) => {
            let scope = format!("POST /payments/{id}/approve {}", caller.user);
            api.idempotency.reserve(&scope, key, &bytes).await?;
            AttemptId::derived(payment, key)
        }
        None => AttemptId(Uuid::now_v7()),
    };
    let payment_key = payment_key.unwrap_or_else(|| attempt.to_string());
    let cashier = api
        .cashier
        .clone()
        .ok_or_else(|| Problem::new(Kind::PaymentBusy, "no payment provider is configured here; ask the operator"))?;
    let metadata = trail.metadata(caller.user);
    // Money may move: the work goes on to its end, also when the client hangs up.
    let work = api.tasks.spawn(async move { cashier.approve(payment, attempt, payment_key, &metadata).await });
    match work.await.map_err(|error| Problem::internal(&error))? {
        Ok(Approval::Approved { payment, position }) => approved(&api, &payment, position).await,
        Ok(Approval::Declined { code, message, position }) => {
            Err(Problem::new(Kind::PaymentDeclined, message).with("code", code).at(position))
        }
        Ok(Approval::Later { retry_after, kept, position }) => Err(later(language, retry_after, kept).at(position)),
        Err(ApproveError::Provider(error)) => Err(Problem::new(Kind::ProviderRefuses, error.to_string())),
        Err(ApproveError::Execute(error @ ExecuteError::Refused(_))) => {
            Err(Problem::of_command(error, |error| refused(error, language)).at(api.journal.position()))
        }
        Err(ApproveError::Execute(error)) => Err(Problem::of_command(error, |error| refused(error, language))),
    }
}

/// The tickets are spoken of only where they are still there when it is time to come again.
fn later(language: Language, retry_after: Duration, kept: bool) -> Problem {
    let detail = match (language, kept) {
        (Language::Korean, true) => {
            "지금은 결제가 몰려 있습니다. 예약하신 티켓은 그대로 있으니 잠시 후에 다시 결제해 주세요."
        }
        (Language::Korean, false) => "지금은 결제가 몰려 있습니다. 잠시 후에 다시 결제해 주세요.",
        (Language::English, true) => {
            "The payment provider is busy. Your tickets are kept for you; please pay a little later."
        }
        (Language::English, false) => "The payment provider is busy; please try to pay a little later.",
    };
    let seconds = u16::try_from(retry_after.as_millis().div_ceil(1_000)).unwrap_or(u16::MAX);
    Problem::new(Kind::PaymentBusy, detail).retry_after(seconds)
}

/// Waits, within a bound, until the booking is approved and its tickets are sold, so that whoever looks next at the
/// answer's position finds it so.
async fn approved(api: &Api, payment: &Payment, position: Position) -> Result<At<Json<PaymentAnswer>>, Problem> {
    let request = payment.request().ok_or_else(|| Problem::not_found("payment"))?;
    let waiting = api.wake.on([request.booking_id.0]);
    let deadline = Instant::now() + FOLLOW_UP_WAIT_MAX;
    let mut position = position;
    loop {
        let booking = api.journal.load::<Booking>(request.booking_id.0).await?.state;
        match booking.status() {
            Some(BookingStatus::BookingApproved) => {
                position = position.max(api.journal.position());
                let concert = api.journal.load::<Concert>(request.concert_id.0).await?.state;
                if concert.allotment(request.booking_id).is_none_or(|allotment| allotment.state != AllotmentState::Held)
                {
                    position = api.journal.position();
                    break;
                }
            }
            Some(BookingStatus::BookingRequested) | None => {}
            Some(ended) => {
                let detail = format!("the booking ended as {ended} before the money came; it goes back to you");
                return Err(Problem::new(Kind::PaymentNotPayable, detail).at(api.journal.position()));
            }
        }
        if timeout_at(deadline, waiting.woken()).await.is_err() {
            break;
        }
    }
    let answer = PaymentAnswer::of(payment).ok_or_else(|| Problem::not_found("payment"))?;
    Ok(At(position, Json(answer)))
}

fn refused(error: PaymentError, language: Language) -> Problem {
    match error {
        PaymentError::NoSuchPayment => Problem::not_found("payment"),
        PaymentError::AttemptInFlight(_) => later(language, RETRY_AFTER_MIN, false),
        PaymentError::PaymentKeyOutOfRange => Problem::field("paymentKey", error.to_string()),
        PaymentError::AlreadyApproved
        | PaymentError::Canceled
        | PaymentError::Expired(_)
        | PaymentError::TooManyAttempts => Problem::new(Kind::PaymentNotPayable, error.to_string()),
        PaymentError::RequestedOtherwise | PaymentError::NotInFlight(_) | PaymentError::NoRefundDue => {
            Problem::internal(&error)
        }
    }
}
