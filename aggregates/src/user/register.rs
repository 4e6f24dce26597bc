//! Somebody signs up. That an e-mail is used once is kept by the credentials table, since the log cannot read it.

use super::{Role, Sealed, User, UserError, UserEvent};
use crate::UserId;

impl User {
    pub(super) fn register(
        &self,
        user_id: UserId,
        role: Role,
        name: Sealed,
        email: Sealed,
    ) -> Result<Vec<UserEvent>, UserError> {
        match self.registered() {
            Some(_) => Err(UserError::AlreadyRegistered),
            None => Ok(vec![UserEvent::UserRegistered { user_id, role, name, email }]),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::{super::UserCommand, *};

    pub const USER: UserId = UserId(Uuid::from_u128(1));

    fn sealed(text: &str) -> Sealed {
        Sealed(text.to_owned())
    }

    pub fn registered() -> UserEvent {
        UserEvent::UserRegistered { user_id: USER, role: Role::Fan, name: sealed("n"), email: sealed("e") }
    }

    fn register() -> UserCommand {
        UserCommand::Register { user_id: USER, role: Role::Fan, name: sealed("n"), email: sealed("e") }
    }

    #[test]
    fn somebody_signs_up() {
        TestFramework::<User>::with(())
            .given_no_previous_events()
            .when(register())
            .then_expect_events(vec![registered()]);
    }

    #[test]
    fn an_id_is_used_once() {
        TestFramework::<User>::with(())
            .given(vec![registered()])
            .when(register())
            .then_expect_error(UserError::AlreadyRegistered);
    }
}
