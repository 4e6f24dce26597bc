//! People: signing up and in, and being forgotten.

use sqlx::PgPool;

use crate::support::{Boxoffice, Log, PASSWORD, messages};

/// The tables in which a text stands, as text or as bytes.
async fn tables_with(postgres: &PgPool, text: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_all(postgres)
    .await
    .unwrap();
    assert!(tables.contains(&"public.events".to_owned()), "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let sql = format!(
            "SELECT count(*) FROM {table} AS t WHERE position(lower($1) IN lower(t::text)) > 0
             OR position(encode(convert_to($1, 'UTF8'), 'hex') IN t::text) > 0
             OR position(encode(convert_to($1, 'UTF8'), 'base64') IN t::text) > 0"
        );
        let rows: i64 = sqlx::query_scalar(&sql).bind(text).fetch_one(postgres).await.unwrap();
        if rows > 0 {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn a_user_sees_themselves_and_nobody_else() {
    let system = Boxoffice::start().await;
    let (fan, other) = (system.fan().await, system.fan().await);
    let shown = fan.get(&format!("/users/{}", fan.id)).await.ok(200);
    assert_eq!(
        (shown.text_at("/id"), shown.text_at("/name"), shown.text_at("/email")),
        (fan.id.clone(), fan.name.clone(), fan.email.clone())
    );
    assert!(!shown.text.contains("password"), "{}", shown.text);
    fan.get(&format!("/users/{}", other.id)).await.problem(403, "forbidden");
    system.anonymous().get(&format!("/users/{}", fan.id)).await.problem(401, "unauthenticated");
    assert_eq!(shown.text_at("/id").parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn an_e_mail_signs_up_once_however_it_is_written() {
    let system = Boxoffice::start().await;
    let fan = system.fan().await;
    let anonymous = system.anonymous();
    for email in [fan.email.clone(), fan.email.to_uppercase()] {
        anonymous.sign_up("Somebody else", &email, PASSWORD).await.problem(409, "email-taken");
        anonymous.sign_in(&email, PASSWORD).await.ok(200);
    }
    let wrong = anonymous.sign_in(&fan.email, "something else entirely").await.problem(401, "unauthenticated");
    let unknown = anonymous.sign_in("nobody@example.org", PASSWORD).await.problem(401, "unauthenticated");
    assert_eq!(wrong.body["detail"], unknown.body["detail"], "whether somebody is a user is nobody's business");
}

#[tokio::test]
async fn of_20_who_sign_up_with_one_e_mail_at_once_one_does() {
    let system = Boxoffice::start().await;
    let anonymous = system.anonymous();
    let tries = (0..20).map(|_| anonymous.sign_up("Somebody", "somebody@example.org", PASSWORD));
    let (won, lost): (Vec<_>, Vec<_>) =
        futures::future::join_all(tries).await.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.problem(409, "email-taken");
    }
}

#[tokio::test]
async fn a_name_and_an_e_mail_stand_nowhere_in_clear() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 1).await.ok(201);
    fan.pays(&booked.text_at("/paymentId")).await;
    system.anonymous().sign_in(&fan.email, "something else entirely").await.problem(401, "unauthenticated");
    Log::settled(&postgres).await;
    assert!(tables_with(&postgres, &fan.id).await.len() > 1, "the search finds what is there");
    for text in [&*fan.name, &*fan.email, PASSWORD] {
        assert_eq!(tables_with(&postgres, text).await, [""; 0], "{text} can be read");
        assert!(!system.stderr().contains(text), "{text} is in what the system says of itself");
    }
    for message in messages(&system).await {
        let headers = format!("{:?}", message.headers);
        for text in [&*fan.name, &*fan.email] {
            assert!(!message.body.contains(text) && !headers.contains(text), "{message:?}");
        }
    }
}

#[tokio::test]
async fn whoever_is_erased_is_unreadable_for_ever_and_their_e_mail_is_free() {
    let mut system = Boxoffice::start().await;
    let fan = system.fan().await;
    let path = format!("/users/{}", fan.id);
    let registered = Log::read(&system.postgres().await).await.names_of(&fan.id).len();
    assert_eq!(registered, 1);
    system.fan().await.delete(&path).await.problem(403, "forbidden");

    let erased = fan.delete(&path).await.ok(204);
    assert!(erased.text.is_empty());
    assert!(matches!(fan.get(&path).await.status, 401 | 404), "a token outlives its user");
    assert!(!fan.get(&path).await.text.contains(&fan.name));
    assert!(matches!(system.organizer().await.get(&path).await.status, 403 | 404));
    let anonymous = system.anonymous();
    anonymous.sign_in(&fan.email, PASSWORD).await.problem(401, "unauthenticated");
    let postgres = system.postgres().await;
    let log = Log::settled(&postgres).await;
    assert_eq!(log.names_of(&fan.id), ["UserRegistered", "UserErased"]);
    assert!(log.last() >= erased.position());
    let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM user_keys WHERE user_id = $1::uuid")
        .bind(&fan.id)
        .fetch_one(&postgres)
        .await
        .unwrap();
    assert_eq!(keys, 0, "the key to the sealed data still exists");

    // Neither does it come back with a restart, nor with somebody else under the same e-mail.
    system.kill();
    system.start_again().await;
    let anonymous = system.anonymous();
    let next = anonymous.sign_up("Somebody else", &fan.email, PASSWORD).await.ok(201);
    assert_ne!(next.text_at("/id"), fan.id);
    let next = anonymous.sign_in(&fan.email, PASSWORD).await.ok(200).token_client(&anonymous);
    next.get(&path).await.problem(403, "forbidden");
    assert!(matches!(fan.reconnected().get(&path).await.status, 401 | 404));
    assert!(matches!(system.organizer().await.get(&path).await.status, 403 | 404));
}
