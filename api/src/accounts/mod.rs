//! Accounts: who may sign in, and the keys under which names and e-mails are sealed.
//!
//! None of this is in the log, which is for ever: credentials and keys are rows that commit with the user's events and
//! can be deleted.

mod idempotency;
mod passwords;
mod rows;
mod sealing;
mod tokens;

use std::{collections::HashSet, sync::Arc};

use aggregates::{Role, User, UserCommand, UserError, UserId};
pub use idempotency::{Idempotency, KeyReused, Reserved};
use journal::{AppendError, ExecuteError, Journal, Metadata, Position};
use parking_lot::RwLock;
pub use passwords::PasswordError;
use passwords::Passwords;
pub(crate) use rows::installation_secret;
use rows::{Credential, Opened, Removed};
use thiserror::Error;
pub use tokens::{Claims, TOKEN_TTL, Tokens};

use crate::secret::{Secret, keyed_hash};

/// What a person gives to sign up.
pub struct NewAccount {
    /// Their name.
    pub name: String,
    /// Their e-mail, as typed.
    pub email: String,
    /// Their password.
    pub password: String,
}

/// A user as they themselves may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Who.
    pub user_id: UserId,
    /// What they may do.
    pub role: Role,
    /// Their name.
    pub name: String,
    /// Their e-mail.
    pub email: String,
}

/// Why an account could not be used.
#[derive(Debug, Error)]
pub enum AccountError {
    /// Somebody signed up with this e-mail.
    #[error("this e-mail is taken")]
    EmailTaken,
    /// E-mail or password is wrong; which of them is not said.
    #[error("e-mail or password is wrong")]
    WrongCredentials,
    /// There is no such user, or not any more.
    #[error("there is no such user")]
    NoSuchUser,
    /// The password could not be hashed or checked now.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The journal did not take it.
    #[error(transparent)]
    Execute(ExecuteError<UserError>),
    /// Postgres did not answer.
    #[error("the accounts cannot be read: {0}")]
    Database(#[from] sqlx::Error),
    /// A name or e-mail in the log is not readable with the user's key.
    #[error("the personal data of user {0} cannot be opened with their key")]
    Sealed(UserId),
}

/// All accounts.
#[derive(Clone)]
pub struct Accounts {
    journal: Journal,
    passwords: Passwords,
    email_key: [u8; 32],
    /// Users erased lately, whose tokens have not run out yet.
    erased: Arc<RwLock<HashSet<UserId>>>,
}

impl Accounts {
    /// Creates the tables if need be.
    pub async fn open(journal: Journal, secret: &Secret) -> Result<Self, sqlx::Error> {
        rows::create(journal.pool()).await?;
        let erased = rows::erased_within(journal.pool(), TOKEN_TTL).await?;
        Ok(Self {
            journal,
            passwords: Passwords::new(),
            email_key: secret.key("e-mails"),
            erased: Arc::new(RwLock::new(erased)),
        })
    }

    /// Signs somebody up under the id `user_id`.
    pub async fn register(
        &self,
        user_id: UserId,
        role: Role,
        account: NewAccount,
        metadata: &Metadata,
    ) -> Result<(Profile, Position), AccountError> {
        let NewAccount { name, email, password } = account;
        let key: [u8; 32] = rand::random();
        let seal = |text: &str| sealing::seal(&key, user_id, text);
        let command = UserCommand::Register { user_id, role, name: seal(&name), email: seal(email.trim()) };
        let opened = Opened {
            user_id,
            email_hash: self.email_hash(&email),
            password_hash: self.passwords.hash(password).await?,
            role,
            key,
        };
        match self.journal.execute_with::<User>(user_id.0, command, metadata, Arc::new(opened)).await {
            Ok(done) => {
                let email = email.trim().to_owned();
                Ok((Profile { user_id, role, name, email }, done.position))
            }
            // The id is reserved for one request, so this is that request again.
            Err(ExecuteError::Refused(UserError::AlreadyRegistered)) => {
                Ok((self.profile(user_id).await?, self.journal.position()))
            }
            Err(ExecuteError::Append(AppendError::Constraint { constraint })) if constraint == rows::EMAIL_UNIQUE => {
                Err(AccountError::EmailTaken)
            }
            Err(error) => Err(AccountError::Execute(error)),
        }
    }

    /// Who signs in with this e-mail and password.
    pub async fn sign_in(&self, email: &str, password: String) -> Result<(UserId, Role), AccountError> {
        let credential = rows::credential(self.journal.pool(), self.email_hash(email)).await?;
        let (hash, known) = match credential {
            Some(Credential { user_id, password_hash, role }) => (Some(password_hash), Some((user_id, role))),
            None => (None, None),
        };
        let right = self.passwords.verify(password, hash).await?;
        known.filter(|_| right).ok_or(AccountError::WrongCredentials)
    }

    /// The user's own data, opened with their key.
    pub async fn profile(&self, user_id: UserId) -> Result<Profile, AccountError> {
        let user = self.journal.load::<User>(user_id.0).await.map_err(|error| AccountError::Execute(error.into()))?;
        let (Some(known), false) = (user.state.registered(), user.state.is_erased()) else {
            return Err(AccountError::NoSuchUser);
        };
        let key = rows::key(self.journal.pool(), user_id).await?.ok_or(AccountError::NoSuchUser)?;
        let open = |sealed| sealing::open(&key, user_id, sealed).ok_or(AccountError::Sealed(user_id));
        Ok(Profile { user_id, role: known.role, name: open(&known.name)?, email: open(&known.email)? })
    }

    /// Forgets a user: key and credentials are deleted in the commit of the event.
    pub async fn erase(&self, user_id: UserId, metadata: &Metadata) -> Result<Position, AccountError> {
        let removed = Arc::new(Removed { user_id });
        let done = self.journal.execute_with::<User>(user_id.0, UserCommand::Erase, metadata, removed).await;
        match done {
            Ok(done) => {
                self.note_erased(user_id);
                Ok(done.position)
            }
            Err(ExecuteError::Refused(UserError::NoSuchUser)) => Err(AccountError::NoSuchUser),
            Err(error) => Err(AccountError::Execute(error)),
        }
    }

    /// Takes note of an erasure, here or in another process: the user's tokens are void.
    pub fn note_erased(&self, user_id: UserId) {
        self.erased.write().insert(user_id);
    }

    /// Whether a user's tokens are void.
    pub fn is_erased(&self, user_id: UserId) -> bool {
        self.erased.read().contains(&user_id)
    }

    /// E-mails are compared without case and surrounding blanks.
    fn email_hash(&self, email: &str) -> [u8; 32] {
        keyed_hash(&self.email_key, email.trim().to_lowercase().as_bytes())
    }
}
