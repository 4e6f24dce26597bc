//! A user is forgotten. Their key is deleted in the same commit; the log itself never changes.

use super::{User, UserError, UserEvent};

impl User {
    pub(super) fn erase(&self) -> Result<Vec<UserEvent>, UserError> {
        let registered = self.registered().ok_or(UserError::NoSuchUser)?;
        if self.is_erased() {
            return Ok(Vec::new());
        }
        Ok(vec![UserEvent::UserErased { user_id: registered.user_id }])
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::{
        super::{
            UserCommand::Erase,
            register::tests::{USER, registered},
        },
        *,
    };

    #[test]
    fn a_user_is_erased_once() {
        let erased = || UserEvent::UserErased { user_id: USER };
        TestFramework::<User>::with(()).given(vec![registered()]).when(Erase).then_expect_events(vec![erased()]);
        TestFramework::<User>::with(()).given(vec![registered(), erased()]).when(Erase).then_expect_events(vec![]);
    }

    #[test]
    fn an_unknown_user_refuses() {
        TestFramework::<User>::with(()).given_no_previous_events().when(Erase).then_expect_error(UserError::NoSuchUser);
    }
}
