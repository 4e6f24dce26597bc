//! What a newcomer finds: two logins and a concert on sale.

use aggregates::{
    Concert, ConcertCommand, ConcertId, Money, Role, UserId,
    concert::{HOLD_SECONDS_DEFAULT, Register},
};
use journal::Metadata;
use uuid::Uuid;

use super::{
    AnyError,
    env_file::{Env, Login},
};
use crate::{
    System,
    accounts::{AccountError, NewAccount},
};

/// Names the demo concert, so that a second start does not open a second one.
const DEMO: Uuid = Uuid::from_u128(0x0019_2a5b_7c00_7000_8000_6465_6d6f_0001);
/// Tickets of the demo concert.
const DEMO_TICKETS: u32 = 1_000;
/// Won for one of them.
const DEMO_PRICE_KRW: u64 = 110_000;

/// Makes the logins of `env`, unless they are there.
pub(super) async fn accounts(system: &System, env: &Env) -> Result<(), AnyError> {
    for (name, login, role) in [("Organizer", &env.organizer, Role::Organizer), ("Fan", &env.fan, Role::Fan)] {
        sign_up(system, name, login, role).await?;
    }
    Ok(())
}

/// Makes an organizer's login, unless it is there.
pub(crate) async fn organizer(system: &System, email: &str, password: String) -> Result<(), AnyError> {
    let login = Login { email: email.to_owned(), password };
    sign_up(system, "Organizer", &login, Role::Organizer).await?;
    Ok(())
}

async fn sign_up(system: &System, name: &str, login: &Login, role: Role) -> Result<(), AccountError> {
    let Login { email, password } = login;
    let account = NewAccount { name: name.to_owned(), email: email.clone(), password: password.clone() };
    match system.accounts.register(UserId(Uuid::now_v7()), role, account, &metadata()).await {
        Ok(_) | Err(AccountError::EmailTaken) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens the demo concert, unless it is open.
pub(super) async fn concert(system: &System, env: &Env) -> Result<(), AnyError> {
    if system.journal.load::<Concert>(DEMO).await?.state.terms().is_some() {
        return Ok(());
    }
    let (organizer_id, _) = system.accounts.sign_in(&env.organizer.email, env.organizer.password.clone()).await?;
    let register = ConcertCommand::Register(Register {
        concert_id: ConcertId(DEMO),
        organizer_id,
        name: "가을밤 Autumn Night".to_owned(),
        venue: Some("Olympic Hall, Seoul".to_owned()),
        starts_at: None,
        capacity: DEMO_TICKETS,
        price: Money::krw(DEMO_PRICE_KRW),
        max_per_booking: None,
        hold_seconds: HOLD_SECONDS_DEFAULT,
    });
    system.journal.execute::<Concert>(DEMO, register, &metadata()).await?;
    Ok(())
}

fn metadata() -> Metadata {
    Metadata::of_request("system", "demo")
}
