//! What a webhook says, as far as we read it.

use aggregates::{Payment, PaymentId};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{ProviderPayment, ProviderStatus, toss};

/// The one event that we know.
const PAYMENT_STATUS_CHANGED: &str = "PAYMENT_STATUS_CHANGED";
/// Characters in the provider's name of a payment or of a movement of money, at most (API reference, Payment object).
pub const KEY_CHARS_MAX: usize = toss::PAYMENT_KEY_CHARS_MAX;
/// Characters in a status, at most: far more than any that is documented.
pub const STATUS_CHARS_MAX: usize = 32;

/// A change of one payment, as it is told. Two webhooks are of the same change when all of it is the same, whenever and
/// however often they are sent: that is its identity. Nothing of it is believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Our name for the payment.
    pub payment: PaymentId,
    /// The provider's name for it.
    pub payment_key: String,
    /// What is said to have become of it; perhaps a status that we do not know.
    pub status: String,
    /// The provider's name for the last movement of its money; empty where there was none.
    pub transaction_key: String,
}

/// What a webhook is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A change of a payment whose name could be one of ours.
    Change(Change),
    /// A payment of somebody else: our names are UUIDs.
    NotOurs,
    /// An event that we do not know.
    Unknown,
}

/// What is wrong with a webhook's body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {detail}")]
pub struct WrongShape {
    /// Which field.
    pub field: &'static str,
    /// What it should be.
    pub detail: String,
}

/// Reads a webhook of this type with this `data`. Members that we do not need are left unread.
pub fn read(event_type: &str, data: &Value) -> Result<Heard, WrongShape> {
    if event_type != PAYMENT_STATUS_CHANGED {
        return Ok(Heard::Unknown);
    }
    let wrong = || WrongShape { field: "data", detail: "must be a Payment object".to_owned() };
    let data = data.as_object().ok_or_else(wrong)?;
    let order = text(data, "orderId", "data.orderId", KEY_CHARS_MAX)?;
    let payment_key = text(data, "paymentKey", "data.paymentKey", KEY_CHARS_MAX)?;
    let status = text(data, "status", "data.status", STATUS_CHARS_MAX)?;
    let transaction_key = match data.get("lastTransactionKey") {
        None | Some(Value::Null) => "",
        Some(_) => text(data, "lastTransactionKey", "data.lastTransactionKey", KEY_CHARS_MAX)?,
    };
    let Ok(payment) = order.parse() else { return Ok(Heard::NotOurs) };
    let [payment_key, status, transaction_key] = [payment_key, status, transaction_key].map(str::to_owned);
    Ok(Heard::Change(Change { payment, payment_key, status, transaction_key }))
}

/// A text that can be stored as it is, and is not longer than anything true.
fn text<'a>(
    data: &'a Map<String, Value>,
    name: &str,
    field: &'static str,
    chars_max: usize,
) -> Result<&'a str, WrongShape> {
    data.get(name)
        .and_then(Value::as_str)
        .filter(|text| (1..=chars_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| WrongShape { field, detail: format!("must be a text of 1 to {chars_max} visible characters") })
}

impl Change {
    /// The status it tells of, where that is one we know.
    pub fn claimed(&self) -> Option<ProviderStatus> {
        toss::status_named(&self.status)
    }

    /// What the provider would say if this were true; `None` where we do not know that status, or of no such payment.
    pub(super) fn as_told_of(&self, payment: &Payment) -> Option<ProviderPayment> {
        let (status, amount) = (self.claimed()?, payment.request()?.amount);
        Some(ProviderPayment {
            payment_key: self.payment_key.clone(),
            order_id: self.payment,
            status,
            amount,
            balance: amount,
            approved_at: None,
            cancels: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const ORDER: Uuid = Uuid::from_u128(7);

    fn payment() -> Value {
        json!({"orderId": ORDER, "paymentKey": "key", "status": "DONE", "lastTransactionKey": "t", "card": {"number": "1"}})
    }

    fn with(field: &str, value: Value) -> Value {
        let mut data = payment();
        data[field] = value;
        data
    }

    fn change(data: &Value) -> Change {
        match read(PAYMENT_STATUS_CHANGED, data).unwrap() {
            Heard::Change(change) => change,
            other @ (Heard::NotOurs | Heard::Unknown) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_change_is_the_same_whatever_else_is_told_with_it() {
        let told = change(&payment());
        assert_eq!((told.payment, told.claimed()), (PaymentId(ORDER), Some(ProviderStatus::Done)));
        assert_eq!(told, change(&with("card", json!(null))));
        assert_eq!(told, change(&with("orderId", json!(ORDER.simple().to_string()))), "another spelling");
        let others = [("paymentKey", "other"), ("status", "CANCELED"), ("lastTransactionKey", "u")];
        for (field, value) in others {
            assert_ne!(told, change(&with(field, json!(value))), "{field}");
        }
    }

    #[test]
    fn what_never_moved_money_has_no_movement() {
        let told = change(&with("lastTransactionKey", Value::Null));
        assert_eq!(told.transaction_key, "");
        let mut data = payment();
        data.as_object_mut().unwrap().remove("lastTransactionKey");
        assert_eq!(told, change(&data));
    }

    #[test]
    fn a_status_of_next_year_is_a_change_too() {
        assert_eq!(change(&with("status", json!("REVIEWED"))).claimed(), None);
    }

    #[test]
    fn what_is_wrong_is_said_by_its_name() {
        for (field, wrong) in [
            ("orderId", json!(null)),
            ("orderId", json!("")),
            ("paymentKey", json!(7)),
            ("paymentKey", json!("k".repeat(KEY_CHARS_MAX + 1))),
            ("paymentKey", json!("a\u{0}")),
            ("status", json!("DO NE")),
            ("status", json!("S".repeat(STATUS_CHARS_MAX + 1))),
            ("lastTransactionKey", json!({})),
        ] {
            let error = read(PAYMENT_STATUS_CHANGED, &with(field, wrong.clone())).unwrap_err();
            assert_eq!(error.field, format!("data.{field}"), "{wrong}");
        }
        for wrong in [json!(null), json!([]), json!("text")] {
            assert_eq!(read(PAYMENT_STATUS_CHANGED, &wrong).unwrap_err().field, "data");
        }
    }

    #[test]
    fn what_is_not_for_us_is_no_error() {
        assert_eq!(read("METHOD_UPDATED", &json!(null)), Ok(Heard::Unknown));
        assert_eq!(read(PAYMENT_STATUS_CHANGED, &with("orderId", json!("order-7"))), Ok(Heard::NotOurs));
    }
}
