//! Signed tokens (JWT, RFC 7519, HS256): who somebody is and what they may do, until when.

use std::time::Duration;

use aggregates::{Role, UserId};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// How long a token is good for.
pub const TOKEN_TTL: Duration = Duration::from_hours(12);

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
}

impl Tokens {
    /// Under a key of the installation's secret.
    pub fn new(secret: &Secret) -> Self {
        let key = secret.key("tokens");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        Self { sign: EncodingKey::from_secret(&key), check: DecodingKey::from_secret(&key), validation }
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
        jsonwebtoken::decode::<Claims>(token, &self.check, &self.validation).ok().map(|token| token.claims)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

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
