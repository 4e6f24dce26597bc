//! The user: a person of whom the log knows a role and, sealed under a key of their own, a name and an e-mail.

mod command;
mod erase;
mod event;
mod register;
mod state;

pub use command::{UserCommand, UserError};
pub use event::{Role, Sealed, UserEvent};
pub use state::User;

crate::decide::aggregate!(User, User, "user", UserCommand, UserEvent { UserRegistered, UserErased }, UserError);
