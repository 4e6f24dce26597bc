//! What a payment looks like on the wire, beside the API reference.

use payments::Provider;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Desk, confirm, new_payment};

/// Every member that the reference names for the Payment object of a card payment, API version 2022-11-16.
const MEMBERS: [&str; 37] = [
    "approvedAt",
    "balanceAmount",
    "cancels",
    "card",
    "cashReceipt",
    "cashReceipts",
    "checkout",
    "country",
    "cultureExpense",
    "currency",
    "discount",
    "easyPay",
    "failure",
    "giftCertificate",
    "isPartialCancelable",
    "lastTransactionKey",
    "mId",
    "metadata",
    "method",
    "mobilePhone",
    "orderId",
    "orderName",
    "paymentKey",
    "receipt",
    "requestedAt",
    "secret",
    "status",
    "suppliedAmount",
    "taxExemptionAmount",
    "taxFreeAmount",
    "totalAmount",
    "transfer",
    "type",
    "useEscrow",
    "vat",
    "version",
    "virtualAccount",
];

fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_payment_has_every_member_of_the_reference() {
    let desk = Desk::open().await;
    let wanted = confirm(new_payment());
    desk.toss.confirm(wanted.clone()).await.unwrap();
    let path = format!("/v1/payments/{}/cancel", wanted.payment_key);
    let body = json!({"cancelReason": "one of two", "cancelAmount": 55_000, "refundableAmount": 110_000});
    let (status, payment) = desk.call(Method::POST, &path, &[], &body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{payment}");
    assert_eq!(members(&payment), MEMBERS);
    assert_eq!(payment["status"], "PARTIAL_CANCELED");
    let amounts = ["totalAmount", "balanceAmount", "suppliedAmount", "vat"].map(|name| payment[name].as_u64().unwrap());
    assert_eq!(amounts, [110_000, 55_000, 50_000, 5_000]);
    assert!(payment["mId"].as_str().unwrap().len() <= 14);
    let [refund] = payment["cancels"].as_array().unwrap().as_slice() else { panic!("one refund: {payment}") };
    assert_eq!((&refund["cancelAmount"], &refund["refundableAmount"]), (&json!(55_000), &json!(55_000)));
    assert_eq!((&refund["cancelStatus"], &refund["cancelReason"]), (&json!("DONE"), &json!("one of two")));
    assert_eq!(refund["transactionKey"], payment["lastTransactionKey"]);

    let (status, refusal) = desk.call(Method::POST, &path, &[], &body.to_string()).await;
    assert_eq!((status, &refusal["code"]), (StatusCode::BAD_REQUEST, &json!("NOT_MATCHES_REFUNDABLE_AMOUNT")));
}

#[tokio::test]
async fn a_declined_payment_says_why_and_has_no_card() {
    let desk = Desk::open().await;
    let body = json!({"paymentKey": "decline-1", "orderId": "order-1", "amount": 500}).to_string();
    let (status, refusal) = desk.call(Method::POST, "/v1/payments/confirm", &[], &body).await;
    assert_eq!((status, &refusal["code"]), (StatusCode::FORBIDDEN, &json!("REJECT_CARD_PAYMENT")));
    let (_, payment) = desk.call(Method::GET, "/v1/payments/orders/order-1", &[], "").await;
    assert_eq!(members(&payment), MEMBERS);
    assert_eq!((&payment["status"], &payment["failure"]), (&json!("ABORTED"), &refusal));
    assert!(payment["card"].is_null() && payment["approvedAt"].is_null() && payment["receipt"].is_null(), "{payment}");
}

#[tokio::test]
async fn words_are_korean_unless_english_is_asked_for() {
    let desk = Desk::open().await;
    let body = json!({"paymentKey": "key-1", "orderId": "order-1", "amount": 500}).to_string();
    let (_, korean) = desk.call(Method::POST, "/v1/payments/confirm", &[], &body).await;
    assert_eq!((&korean["method"], &korean["card"]["cardType"]), (&json!("카드"), &json!("신용")));
    let english = &[("accept-language", "en-US")];
    let (_, shown) = desk.call(Method::GET, "/v1/payments/key-1", english, "").await;
    assert_eq!((&shown["method"], &shown["card"]["cardType"]), (&json!("CARD"), &json!("CREDIT")));

    let (_, korean) = desk.call(Method::POST, "/v1/payments/confirm", &[], &body).await;
    assert_eq!(korean, json!({"code": "ALREADY_PROCESSED_PAYMENT", "message": "이미 처리된 결제 입니다."}));
    let (_, english) = desk.call(Method::POST, "/v1/payments/confirm", english, &body).await;
    assert_eq!(english["code"], "ALREADY_PROCESSED_PAYMENT");
    assert!(english["message"].as_str().is_some_and(str::is_ascii), "{english}");
}
