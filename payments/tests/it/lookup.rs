use payments::{Confirm, Provider};

use crate::desk::{Desk, cancel, confirm, new_payment};

#[tokio::test]
async fn a_payment_is_found_by_either_name() {
    let desk = Desk::open().await;
    let wanted = confirm(new_payment());
    let paid = desk.toss.confirm(wanted.clone()).await.unwrap();
    assert_eq!(desk.toss.lookup_order(wanted.order_id).await.unwrap(), Some(paid.clone()));
    assert_eq!(desk.toss.lookup_key(&wanted.payment_key).await.unwrap(), Some(paid));
    let refunded = desk.toss.cancel(cancel(&wanted)).await.unwrap();
    assert_eq!(desk.toss.lookup_order(wanted.order_id).await.unwrap(), Some(refunded));
}

#[tokio::test]
async fn what_the_provider_does_not_know_is_none() {
    let desk = Desk::open().await;
    assert_eq!(desk.toss.lookup_order(new_payment()).await.unwrap(), None);
    assert_eq!(desk.toss.lookup_key("never-seen").await.unwrap(), None);
}

#[tokio::test]
async fn a_payment_key_may_hold_any_character() {
    let desk = Desk::open().await;
    let odd = "열쇠/../a b?c#d%2F";
    let wanted = Confirm { payment_key: odd.into(), ..confirm(new_payment()) };
    desk.toss.confirm(wanted.clone()).await.unwrap();
    assert_eq!(desk.toss.lookup_key(odd).await.unwrap().unwrap().order_id, wanted.order_id);
    desk.toss.cancel(cancel(&wanted)).await.unwrap();
}
