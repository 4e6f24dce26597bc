//! Rows that commit with events, or not at all.

use std::sync::Arc;

use aggregates::Booking;
use futures::future::BoxFuture;
use journal::{AppendError, Attachment, ExecuteError};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::support::{World, metadata, request};

struct Name(&'static str);

impl Attachment for Name {
    fn write<'a>(&'a self, transaction: &'a mut PgConnection) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async {
            sqlx::query("INSERT INTO names (name) VALUES ($1)").bind(self.0).execute(transaction).await.map(|_| ())
        })
    }
}

#[tokio::test]
async fn a_constraint_of_an_attachment_refuses_the_events_with_it_and_no_others() {
    let world = World::start().await;
    sqlx::query("CREATE TABLE names (name text CONSTRAINT names_unique UNIQUE)")
        .execute(world.journal.pool())
        .await
        .unwrap();
    let ask = |name| {
        let journal = world.journal.clone();
        let id = Uuid::now_v7();
        async move { journal.execute_with::<Booking>(id, request(id, 1), &metadata(), Arc::new(Name(name))).await }
    };
    ask("kim").await.unwrap();
    let id = Uuid::now_v7();
    let metadata = metadata();
    let (again, other, plain) =
        tokio::join!(ask("kim"), ask("lee"), world.journal.execute_new::<Booking>(id, request(id, 1), &metadata));
    match again {
        Err(ExecuteError::Append(AppendError::Constraint { constraint })) => assert_eq!(constraint, "names_unique"),
        outcome => panic!("{outcome:?}"),
    }
    other.unwrap();
    plain.unwrap();
    assert_eq!(world.log().await.len(), 3);
    let names: i64 = sqlx::query_scalar("SELECT count(*) FROM names").fetch_one(world.journal.pool()).await.unwrap();
    assert_eq!(names, 2);
}
