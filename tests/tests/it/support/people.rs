//! Fans, and what they are called.

use std::ops::Deref;

use futures::{StreamExt, stream};
use uuid::Uuid;

use super::Client;

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";

/// Sign-ups at once: each costs the system a deliberately slow hash.
const AT_ONCE: usize = 8;

/// A fan who is signed in. It is a [`Client`] with a token.
#[derive(Clone)]
pub struct Fan {
    client: Client,
    /// The fan's user id.
    pub id: String,
    /// What the fan is called.
    pub name: String,
    /// Where the fan gets mail.
    pub email: String,
}

impl Deref for Fan {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Fan {
    /// Signs up somebody new, and in.
    pub async fn sign_up(client: &Client) -> Self {
        let unique = Uuid::new_v4();
        let (name, email) = (format!("Ingeborg Zwölfender {unique}"), format!("ingeborg.{unique}@example.org"));
        let signed_up = client.sign_up(&name, &email, PASSWORD).await.ok(201);
        assert!(!signed_up.text.contains(PASSWORD), "an answer repeats the password: {}", signed_up.text);
        let id = signed_up.text_at("/id");
        let signed_in = client.sign_in(&email, PASSWORD).await.ok(200);
        assert_eq!((signed_in.text_at("/userId"), signed_in.text_at("/role")), (id.clone(), "fan".to_owned()));
        assert!(signed_in.body["expiresAt"].is_string(), "{}", signed_in.text);
        Self { client: signed_in.token_client(client), id, name, email }
    }

    /// Signs up many, some at once.
    pub async fn sign_up_many(client: &Client, count: usize) -> Vec<Self> {
        stream::iter(0..count).map(|_| Self::sign_up(client)).buffer_unordered(AT_ONCE).collect().await
    }

    /// The same person on connections of their own.
    pub fn reconnected(&self) -> Self {
        Self { client: self.client.fresh(), ..self.clone() }
    }

    /// The fan's booking histories.
    pub async fn histories_at(&self, position: u64) -> Vec<serde_json::Value> {
        let answer = self.client.get_at(&format!("/bookingHistories/{}", self.id), position).await.ok(200);
        answer.body.as_array().unwrap_or_else(|| panic!("not a list: {}", answer.text)).clone()
    }
}
