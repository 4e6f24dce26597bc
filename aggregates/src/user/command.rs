//! What can be asked of a user, and why it can be refused.

use thiserror::Error;

use super::{Role, Sealed, User, UserEvent};
use crate::UserId;

/// A request to a user.
#[derive(Clone, Debug, PartialEq)]
pub enum UserCommand {
    /// Sign up.
    Register {
        /// Who.
        user_id: UserId,
        /// What they may do.
        role: Role,
        /// Their name, sealed.
        name: Sealed,
        /// Their e-mail, sealed.
        email: Sealed,
    },
    /// Forget them.
    Erase,
}

/// Why a user refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UserError {
    /// Nobody signed up under this id.
    #[error("there is no such user")]
    NoSuchUser,
    /// The id is taken.
    #[error("a user with this id is registered already")]
    AlreadyRegistered,
}

impl User {
    /// What follows from `command`.
    pub fn decide(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserError> {
        match command {
            UserCommand::Register { user_id, role, name, email } => self.register(user_id, role, name, email),
            UserCommand::Erase => self.erase(),
        }
    }
}
