//! Reaching NATS, and knowing whom one has reached.

use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr, connection::State};
use thiserror::Error;

/// Servers older than this lack what the mirror relies on.
pub const VERSION_REFUSED_BELOW: [u32; 3] = [2, 10, 0];
/// Servers older than this lack security fixes.
pub const VERSION_WARNED_BELOW: [u32; 3] = [2, 12, 7];

/// Longest wait for a server to take a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest pause between two tries to reconnect; the tries never end.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// First pause between two tries; it doubles from there.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(20);
/// How often a silent connection is asked whether it still lives.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Why there is no connection, and why trying again would not help. A server that cannot be reached is no error: the
/// client goes on trying.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL is none.
    #[error("the NATS URL cannot be used: {0}")]
    Url(std::io::Error),
    /// The server does not let us in, or not like this.
    #[error("NATS does not let us in: {0}")]
    Refused(#[from] async_nats::ConnectError),
    /// The server is too old.
    #[error(
        "nats-server {version} is too old: install {major}.{minor} or later",
        major = VERSION_WARNED_BELOW[0], minor = VERSION_WARNED_BELOW[1]
    )]
    TooOld {
        /// What it calls itself.
        version: String,
    },
}

/// How a server's version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As it should be.
    Full,
    /// It works, but has known security holes.
    Outdated,
    /// It does not do what is needed.
    Refused,
}

/// Connects with the user and password of `url`, and reconnects for ever. `name` is how the server lists us. A server
/// that does not answer yet is tried again in the background; its version is then for the user of the client to check.
pub async fn connect(url: &str, name: &str) -> Result<Client, ConnectError> {
    let address = address(url)?;
    match options(&address, name).connect(&address).await {
        Ok(client) => {
            require_support(&client)?;
            Ok(client)
        }
        Err(error) => match error.kind() {
            ConnectErrorKind::Io | ConnectErrorKind::TimedOut | ConnectErrorKind::Dns => {
                tracing::warn!(%error, name, "NATS cannot be reached; trying on");
                Ok(options(&address, name).retry_on_initial_connect().connect(&address).await?)
            }
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Authentication
            | ConnectErrorKind::AuthorizationViolation
            | ConnectErrorKind::Tls
            | ConnectErrorKind::MaxReconnects => Err(ConnectError::Refused(error)),
        },
    }
}

/// Whether there is a server at the other end now; [`connect`] waits for none.
pub fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// How the server with this version stands; what is no version is refused.
pub fn support(version: &str) -> Support {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else { return Support::Refused };
    let version = [major, minor, numbers.next().unwrap_or_default()];
    if version < VERSION_REFUSED_BELOW {
        Support::Refused
    } else if version < VERSION_WARNED_BELOW {
        Support::Outdated
    } else {
        Support::Full
    }
}

/// Refuses a server that is too old, and warns of one that is outdated.
pub(crate) fn require_support(client: &Client) -> Result<(), ConnectError> {
    let version = client.server_info().version;
    match support(&version) {
        Support::Full => Ok(()),
        Support::Outdated => {
            tracing::warn!(version, "this nats-server lacks security fixes; install 2.12.7 or later");
            Ok(())
        }
        Support::Refused => Err(ConnectError::TooOld { version }),
    }
}

/// async-nats does not look at the user and password of a URL by itself.
/// Whether `url` is one that [`connect`] understands, without connecting.
pub fn check_url(url: &str) -> Result<(), ConnectError> {
    address(url).map(|_| ())
}

fn address(url: &str) -> Result<ServerAddr, ConnectError> {
    url.parse().map_err(ConnectError::Url)
}

fn options(address: &ServerAddr, name: &str) -> ConnectOptions {
    let options = match address.username() {
        Some(user) => {
            let password = address.password().unwrap_or_default();
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        None => ConnectOptions::new(),
    };
    options
        .name(name)
        .connection_timeout(CONNECT_MAX)
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| {
            let doublings = u32::try_from(attempt).unwrap_or(u32::MAX).min(16);
            RECONNECT_PAUSE_MIN.saturating_mul(1 << doublings).min(RECONNECT_PAUSE_MAX)
        })
        .ping_interval(PING_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for (version, expected) in [
            ("2.15.1", Support::Full),
            ("2.12.7", Support::Full),
            ("2.12.6", Support::Outdated),
            ("2.10.0-beta.1", Support::Outdated),
            ("2.9.25", Support::Refused),
            ("1.4.1", Support::Refused),
            ("", Support::Refused),
        ] {
            assert_eq!(support(version), expected, "{version}");
        }
    }
}
