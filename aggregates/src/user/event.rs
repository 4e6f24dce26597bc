//! What can have happened to a user.

use serde::{Deserialize, Serialize};

use crate::UserId;

/// A fact about a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum UserEvent {
    /// Somebody signed up.
    UserRegistered {
        /// Who.
        user_id: UserId,
        /// What they may do.
        role: Role,
        /// Their name, sealed.
        name: Sealed,
        /// Their e-mail, sealed.
        email: Sealed,
    },
    /// Their key was destroyed: name and e-mail can never be read again.
    UserErased {
        /// Who.
        user_id: UserId,
    },
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Books for themselves.
    Fan,
    /// Sells concerts.
    Organizer,
}

impl Role {
    /// The name, as in answers and tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fan => "fan",
            Self::Organizer => "organizer",
        }
    }
}

/// Text that only the holder of the user's key can read: base64 of nonce and ciphertext.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(..)")
    }
}
