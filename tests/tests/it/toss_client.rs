//! Public client libraries made for the real provider work against its simulator, unmodified.

use serde_json::{Value, json};

use crate::support::{Client, Provider, free_port, python_unless_skipped};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/toss/pay.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/toss/requirements.txt");

#[tokio::test]
async fn client_libraries_of_the_real_provider_pay_refund_and_look_up_at_its_simulator() {
    let webhooks = free_port();
    let provider = Provider::start(&["--webhook-url", &format!("http://127.0.0.1:{webhooks}/webhooks")]).await;
    let arguments = vec![provider.url().to_owned(), webhooks.to_string()];
    let Some(paid) = python_unless_skipped(PROGRAM, REQUIREMENTS, arguments).await else { return };
    assert!(paid.status.success(), "{}", String::from_utf8_lossy(&paid.stderr));
    let said: Value = serde_json::from_slice(&paid.stdout).unwrap();
    let books = Client::new(provider.url()).get("/_sim").await.ok(200);
    assert_eq!(said, json!({"charged": books.number_at("/charged"), "refunded": books.number_at("/refunded")}));
    assert_eq!((books.number_at("/approvals"), books.number_at("/cancellations")), (2, 5));
}
