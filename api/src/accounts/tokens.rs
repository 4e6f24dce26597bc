//! Signed tokens (JWT, RFC 7519, HS256): who somebody is and what they may do, until when.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use aggregates::{Role, UserId};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lru::LruCache;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// How long a token is good for.
pub const TOKEN_TTL: Duration = Duration::from_hours(12);
/// Tokens of which it is remembered that they were found to be ours, about 300 bytes each; the one used least recently is
/// forgotten, and checked again when it comes.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(20_000 - 1);

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who.
    pub sub: UserId,
    /// What they may do.
    pub role: Role,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Good until, seconds since 1970.
    pub exp: i64,
}

/// Signs and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    sign: EncodingKey,
    check: DecodingKey,
    validation: Validation,
    /// A fan who is at it asks all the time with the same token, and to check one takes some microseconds of every request.
    remembered: Arc<Mutex<LruCache<Box<str>, Claims>>>,
}

impl Tokens {
    /// Under a key of the installation's secret.
    pub fn new(secret: &Secret) -> Self {
        let key = secret.key("tokens");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let remembered = Arc::new(Mutex::new(LruCache::new(REMEMBERED_MAX)));
        Self { sign: EncodingKey::from_secret(&key), check: DecodingKey::from_secret(&key), validation, remembered }
    }

    /// A token for `user`, issued at `now`; the same again for the same second.
    pub fn issue(&self, user: UserId, role: Role, now: DateTime<Utc>) -> (String, DateTime<Utc>) {
        let expires_at = now + TOKEN_TTL;
        let claims = Claims { sub: user, role, iat: now.timestamp(), exp: expires_at.timestamp() };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .unwrap_or_else(|error| unreachable!("claims are JSON and the key fits: {error}"));
        (token, expires_at)
    }

    /// What a token says, if it is ours and not over.
    pub fn check(&self, token: &str) -> Option<Claims> {
        if let Some(claims) = self.remembered(token, Utc::now()) {
            return Some(claims);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.check, &self.validation).ok()?.claims;
        self.remembered.lock().put(token.into(), claims);
        Some(claims)
    }

    /// What a token says that was found to be ours before, if it is not over at `now`.
    fn remembered(&self, token: &str, now: DateTime<Utc>) -> Option<Claims> {
        self.remembered.lock().get(token).copied().filter(|claims| claims.exp >= now.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_remembered_token_is_over_when_it_is_over_and_no_other_is_remembered() {
        let (ours, theirs) = (Tokens::new(&Secret::random()), Tokens::new(&Secret::random()));
        let (token, expires_at) = ours.issue(UserId(Uuid::from_u128(1)), Role::Fan, Utc::now());
        assert_eq!(ours.remembered(&token, Utc::now()), None);
        let claims = ours.check(&token);
        assert!(claims.is_some());
        assert_eq!(ours.check(&token), claims);
        assert_eq!(ours.remembered(&token, expires_at), claims);
        assert_eq!(ours.remembered(&token, expires_at + Duration::from_secs(1)), None);

        assert_eq!(theirs.check(&token), None);
        assert_eq!(theirs.check(&token), None, "nor the second time");
        let forged = format!("{token}x");
        assert_eq!(ours.check(&forged), None);
        assert_eq!(ours.remembered.lock().len(), 1);
    }

    #[test]
    fn a_token_is_good_until_it_is_over_and_only_if_it_is_ours() {
        let (ours, theirs) = (Tokens::new(&Secret::random()), Tokens::new(&Secret::random()));
        let user = UserId(Uuid::from_u128(1));
        let (token, expires_at) = ours.issue(user, Role::Fan, Utc::now());
        assert!(expires_at > Utc::now());
        assert_eq!(ours.check(&token).map(|claims| (claims.sub, claims.role)), Some((user, Role::Fan)));
        assert_eq!(theirs.check(&token), None);
        let (over, _) = ours.issue(user, Role::Fan, Utc::now() - TOKEN_TTL - Duration::from_secs(1));
        assert_eq!(ours.check(&over), None);
        assert_eq!(ours.check("nonsense"), None);
    }
}
