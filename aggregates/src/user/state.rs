//! A user as their events have made them.

use serde::{Deserialize, Serialize};

use super::{Role, Sealed, UserEvent};
use crate::UserId;

/// The state of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    registered: Option<Registered>,
    erased: bool,
}

/// What a user signed up with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Who.
    pub user_id: UserId,
    /// What they may do.
    pub role: Role,
    /// Their name, sealed.
    pub name: Sealed,
    /// Their e-mail, sealed.
    pub email: Sealed,
}

impl User {
    /// What they signed up with; `None` where there is no such user.
    pub fn registered(&self) -> Option<&Registered> {
        self.registered.as_ref()
    }

    /// Whether they were forgotten.
    pub const fn is_erased(&self) -> bool {
        self.erased
    }

    pub(super) fn evolve(&mut self, event: UserEvent) {
        match event {
            UserEvent::UserRegistered { user_id, role, name, email } => {
                self.registered = Some(Registered { user_id, role, name, email });
            }
            UserEvent::UserErased { .. } => self.erased = true,
        }
    }
}
