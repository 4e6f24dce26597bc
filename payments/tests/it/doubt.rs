//! Calls whose effect cannot be known from their answer.

use payments::{Doubt, Provider, ProviderError, ProviderStatus};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::desk::{Desk, SECRET, adapter, adapter_with, cancel, confirm, in_time, install_cryptography, new_payment};

/// Short, for a call that is meant to take longer.
const IMPATIENCE_MS: u64 = 100;

#[tokio::test]
async fn after_a_timeout_only_the_lookup_tells() {
    let desk = Desk::open().await;
    desk.fault(json!({"latencyMs": [10_000, 10_000]})).await;
    let wanted = confirm(new_payment());
    let impatient = adapter_with(desk.address, SECRET, IMPATIENCE_MS);
    let error = impatient.confirm(wanted.clone()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(Doubt::Timeout)), "{error:?}");
    assert!(!error.is_certain() && error.is_retryable());

    desk.fault(json!({"latencyMs": [0, 0]})).await;
    let known = desk.toss.lookup_order(wanted.order_id).await.unwrap().unwrap();
    assert_eq!((known.status, known.amount), (ProviderStatus::Done, wanted.amount));
    // The safe way on: the same call again.
    assert_eq!(desk.toss.confirm(wanted).await.unwrap(), known);
    assert_eq!(desk.counts().money_movements, 1);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_effect() {
    let desk = Desk::open().await;
    // So that the next call goes over a connection that is kept open, where a client might be tempted to repeat it.
    desk.toss.lookup_key("nothing").await.unwrap();
    desk.fault(json!({"loseAnswerRate": 1})).await;
    let wanted = confirm(new_payment());
    let error = desk.toss.confirm(wanted.clone()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(Doubt::Lost(_))), "{error:?}");
    assert!(!error.is_certain() && error.is_retryable());
    assert_eq!((desk.counts().calls, desk.counts().money_movements), (2, 1));

    // Lookups are not lost.
    let known = desk.toss.lookup_order(wanted.order_id).await.unwrap().unwrap();
    assert_eq!(known.status, ProviderStatus::Done);
    let error = desk.toss.cancel(cancel(&wanted)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(Doubt::Lost(_))), "{error:?}");
    desk.fault(json!({"loseAnswerRate": 0})).await;
    let refunded = desk.toss.cancel(cancel(&wanted)).await.unwrap();
    assert_eq!(refunded.status, ProviderStatus::Canceled);
    assert_eq!(desk.counts().money_movements, 2);
}

#[tokio::test]
async fn of_a_lost_answer_not_a_byte_arrives() {
    let desk = Desk::open().await;
    desk.fault(json!({"loseAnswerRate": 1})).await;
    let mut stream = TcpStream::connect(desk.address).await.unwrap();
    let body = r#"{"paymentKey":"k","orderId":"order-1","amount":5}"#;
    let head = "POST /v1/payments/confirm HTTP/1.1\r\nhost: t\r\nauthorization: Basic azo=";
    let call = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(call.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as an orderly one.
    let _ = in_time("the end of the connection", stream.read_to_end(&mut answer)).await;
    assert_eq!(String::from_utf8_lossy(&answer), "");
    assert_eq!(desk.counts().charged, 5);
}

#[tokio::test]
async fn a_fault_of_the_provider_promises_nothing() {
    let desk = Desk::open().await;
    desk.fault(json!({"failRate": 1})).await;
    let wanted = confirm(new_payment());
    let error = desk.toss.confirm(wanted.clone()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(Doubt::Fault { status: 500, .. })), "{error:?}");
    let error = desk.toss.lookup_order(wanted.order_id).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(_)), "{error:?}");

    desk.fault(json!({"failRate": 0, "down": true})).await;
    let error = desk.toss.confirm(wanted.clone()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(Doubt::Fault { status: 503, .. })), "{error:?}");
    assert_eq!(desk.counts().money_movements, 0);

    // No fault is remembered: the same attempt goes on.
    desk.fault(json!({"down": false})).await;
    desk.toss.confirm(wanted).await.unwrap();
}

#[tokio::test]
async fn where_nobody_listens_nothing_happened() {
    install_cryptography();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = adapter(address).confirm(confirm(new_payment())).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unreachable(_)), "{error:?}");
    assert!(error.is_certain() && error.is_retryable());
}

#[tokio::test]
async fn what_cannot_be_read_is_doubt() {
    let error = answered_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    assert!(matches!(error, ProviderError::Unknown(Doubt::Unreadable(_))), "{error:?}");
    let error = answered_with("HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n{").await;
    assert!(matches!(error, ProviderError::Unknown(Doubt::Lost(_))), "{error:?}");
    let error = answered_with("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\noops").await;
    assert!(matches!(error, ProviderError::Unknown(Doubt::Fault { status: 404, .. })), "{error:?}");
    let error = answered_with("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(error, ProviderError::Unknown(Doubt::Fault { status: 302, .. })), "{error:?}");
    let error = answered_with("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(error, ProviderError::Busy), "{error:?}");
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 400000\r\n\r\n{}", " ".repeat(400_000));
    let error = answered_with(&long).await;
    assert!(matches!(error, ProviderError::Unknown(Doubt::Unreadable(_))), "{error:?}");
}

/// What the adapter makes of `answer`, byte for byte, to a confirmation.
async fn answered_with(answer: &str) -> ProviderError {
    install_cryptography();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toss = adapter(listener.local_addr().unwrap());
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut call = Vec::new();
        while !call.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut call).await.unwrap(), 0, "the call ended early");
        }
        // The adapter may have hung up on a long answer.
        let _ = stream.write_all(answer.as_bytes()).await;
    };
    let (result, ()) =
        in_time("the answer", async { tokio::join!(toss.confirm(confirm(new_payment())), serving) }).await;
    result.unwrap_err()
}
