//! A payment as the service shows it: the Payment object (`https://docs.tosspayments.com/reference`, API version
//! 2022-11-16) of a card payment, with every member that the reference names.

use aggregates::{Currency, Money};
use serde::Serialize;
use serde_json::{Number, Value};
use uuid::Uuid;

use super::{
    answer::Refusal,
    korea,
    language::Language,
    record::{Record, Refund, Status},
};
use crate::toss;

/// The API's version, and ours of the merchant, which has at most 14 characters.
const VERSION: &str = "2022-11-16";
const MERCHANT: &str = "boxoffice-sim";

/// Where receipts would be, were there any: RFC 2606 keeps this name from ever being one.
const NOWHERE: &str = "https://boxoffice-simulator.invalid";

/// Shinhan Card, in the codes of institutions.
const ISSUER: &str = "41";

/// Members that no card payment has are null.
type Null = ();

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentObject<'a> {
    m_id: &'static str,
    version: &'static str,
    last_transaction_key: Option<String>,
    payment_key: &'a str,
    order_id: &'a str,
    order_name: &'static str,
    r#type: &'static str,
    method: &'static str,
    country: &'static str,
    currency: &'static str,
    status: &'static str,
    total_amount: Option<Number>,
    balance_amount: Option<Number>,
    supplied_amount: Option<Number>,
    vat: Option<Number>,
    tax_free_amount: u64,
    tax_exemption_amount: u64,
    requested_at: String,
    approved_at: Option<String>,
    use_escrow: bool,
    culture_expense: bool,
    is_partial_cancelable: bool,
    card: Option<CardObject>,
    cancels: Option<Vec<CancelObject<'a>>>,
    failure: Option<Failure>,
    receipt: Option<Link>,
    checkout: Link,
    virtual_account: Null,
    transfer: Null,
    mobile_phone: Null,
    gift_certificate: Null,
    easy_pay: Null,
    cash_receipt: Null,
    cash_receipts: Null,
    discount: Null,
    secret: Null,
    metadata: Null,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardObject {
    amount: Option<Number>,
    issuer_code: &'static str,
    acquirer_code: &'static str,
    number: &'static str,
    installment_plan_months: u64,
    is_interest_free: bool,
    interest_payer: Null,
    approve_no: &'static str,
    use_card_point: bool,
    card_type: &'static str,
    owner_type: &'static str,
    acquire_status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CancelObject<'a> {
    transaction_key: String,
    cancel_amount: Option<Number>,
    cancel_reason: &'a str,
    tax_free_amount: u64,
    tax_exemption_amount: u64,
    refundable_amount: Option<Number>,
    card_discount_amount: u64,
    transfer_discount_amount: u64,
    easy_pay_discount_amount: u64,
    canceled_at: String,
    receipt_key: Null,
    cancel_status: &'static str,
    cancel_request_id: Null,
}

#[derive(Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Link {
    url: String,
}

impl Record {
    /// The Payment object.
    pub fn to_json(&self, language: Language) -> serde_json::Result<Value> {
        let last = self.refunds.last().map_or(self.transaction, |refund| refund.transaction);
        let is_paid = self.approved_at.is_some();
        let vat = vat(self.balance());
        serde_json::to_value(PaymentObject {
            m_id: MERCHANT,
            version: VERSION,
            last_transaction_key: is_paid.then(|| name(last)),
            payment_key: &self.key,
            order_id: &self.order,
            order_name: "tickets",
            r#type: "NORMAL",
            method: language.pick("카드", "CARD"),
            country: "KR",
            currency: toss::code(self.amount.currency),
            status: self.status.name(),
            total_amount: self.number(self.amount.amount),
            balance_amount: self.number(self.balance()),
            supplied_amount: self.number(self.balance() - vat),
            vat: self.number(vat),
            tax_free_amount: 0,
            tax_exemption_amount: 0,
            requested_at: korea::time(self.requested_at),
            approved_at: self.approved_at.map(korea::time),
            use_escrow: false,
            culture_expense: false,
            is_partial_cancelable: true,
            card: is_paid.then(|| self.card(language)),
            cancels: (!self.refunds.is_empty()).then(|| self.cancels()),
            failure: self.failure(language),
            receipt: is_paid.then(|| Link { url: format!("{NOWHERE}/receipts/{}", name(self.transaction)) }),
            checkout: Link { url: format!("{NOWHERE}/checkouts/{}", name(self.transaction)) },
            virtual_account: (),
            transfer: (),
            mobile_phone: (),
            gift_certificate: (),
            easy_pay: (),
            cash_receipt: (),
            cash_receipts: (),
            discount: (),
            secret: (),
            metadata: (),
        })
    }

    fn card(&self, language: Language) -> CardObject {
        CardObject {
            amount: self.number(self.amount.amount),
            issuer_code: ISSUER,
            acquirer_code: ISSUER,
            number: "12345678****000*",
            installment_plan_months: 0,
            is_interest_free: false,
            interest_payer: (),
            approve_no: "00000000",
            use_card_point: false,
            card_type: language.pick("신용", "CREDIT"),
            owner_type: language.pick("개인", "PERSONAL"),
            acquire_status: "READY",
        }
    }

    fn cancels(&self) -> Vec<CancelObject<'_>> {
        let refunds = self.refunds.iter().scan(self.amount.amount, |left, refund| {
            *left = left.saturating_sub(refund.amount);
            Some(refund.shown(self.amount.currency, *left))
        });
        refunds.collect()
    }

    fn failure(&self, language: Language) -> Option<Failure> {
        let why = Refusal::CardDeclined;
        match self.status {
            Status::Aborted => Some(Failure { code: why.code(), message: why.message(language) }),
            Status::Done | Status::PartialCanceled | Status::Canceled => None,
        }
    }

    fn number(&self, amount: u64) -> Option<Number> {
        toss::to_number(Money { amount, ..self.amount })
    }
}

impl Refund {
    fn shown(&self, currency: Currency, left: u64) -> CancelObject<'_> {
        CancelObject {
            transaction_key: name(self.transaction),
            cancel_amount: toss::to_number(Money { amount: self.amount, currency }),
            cancel_reason: &self.reason,
            tax_free_amount: 0,
            tax_exemption_amount: 0,
            refundable_amount: toss::to_number(Money { amount: left, currency }),
            card_discount_amount: 0,
            transfer_discount_amount: 0,
            easy_pay_discount_amount: 0,
            canceled_at: korea::time(self.at),
            receipt_key: (),
            cancel_status: "DONE",
            cancel_request_id: (),
        }
    }
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "ABORTED",
            Self::Done => "DONE",
            Self::PartialCanceled => "PARTIAL_CANCELED",
            Self::Canceled => "CANCELED",
        }
    }
}

fn name(transaction: Uuid) -> String {
    transaction.simple().to_string()
}

/// What of an amount is value added tax: the eleventh part, rounded.
const fn vat(amount: u64) -> u64 {
    amount / 11 + (amount % 11 > 5) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tax_is_that_of_the_service_s_examples() {
        for (amount, expected) in [(0, 0), (1_000, 91), (15_000, 1_364), (37_400, 3_400), (50_000, 4_545)] {
            assert_eq!(vat(amount), expected, "{amount}");
        }
        assert_eq!(vat(u64::MAX), u64::MAX / 11);
    }
}
