//! Who is calling.

use aggregates::{Concert, ConcertId, Role, UserId};
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

use super::{
    problem::{Kind, Problem},
    state::Api,
};

/// Somebody who is signed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub user: UserId,
    pub role: Role,
}

impl Caller {
    /// A fan sees and does only its own; an organizer sees all.
    pub fn must_be(self, user: UserId) -> Result<(), Problem> {
        match self.role {
            Role::Organizer => Ok(()),
            Role::Fan if self.user == user => Ok(()),
            Role::Fan => Err(Problem::new(Kind::Forbidden, "this belongs to somebody else")),
        }
    }

    /// What is somebody's at a concert is that one's, and the business of whoever organizes this concert: no other
    /// organizer's.
    pub async fn may_see(self, api: &Api, owner: UserId, concert: ConcertId) -> Result<(), Problem> {
        if self.user == owner {
            return Ok(());
        }
        let organizes = match self.role {
            Role::Fan => false,
            Role::Organizer => {
                let concert = api.journal.load::<Concert>(concert.0).await?.state;
                concert.terms().is_some_and(|terms| terms.organizer_id == self.user)
            }
        };
        if organizes { Ok(()) } else { Err(Problem::new(Kind::Forbidden, "this belongs to somebody else")) }
    }
}

impl Caller {
    /// Personal data is its owner's, whatever anybody else may do.
    pub fn must_be_self(self, user: UserId) -> Result<(), Problem> {
        if self.user == user { Ok(()) } else { Err(Problem::new(Kind::Forbidden, "this is somebody else")) }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let refused = |detail| Err(Problem::new(Kind::Unauthenticated, detail));
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return refused("Authorization: Bearer … is missing");
        };
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let Some(claims) = token.and_then(|token| api.tokens.check(token)) else {
            return refused("the token is not one of ours, or is over");
        };
        if api.accounts.is_erased(claims.sub) {
            return refused("the user of this token was erased");
        }
        Ok(Self { user: claims.sub, role: claims.role })
    }
}

/// A signed-in organizer.
pub(super) struct Organizer(pub UserId);

impl FromRequestParts<Api> for Organizer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Caller { user, role } = Caller::from_request_parts(parts, api).await?;
        match role {
            Role::Organizer => Ok(Self(user)),
            Role::Fan => Err(Problem::new(Kind::Forbidden, "only organizers may do this")),
        }
    }
}
