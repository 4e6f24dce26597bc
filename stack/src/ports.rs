use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use crate::Error;

/// Which port a server is to listen on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Port {
    /// Any free one.
    Any,
    /// This one, or none: whoever asked for it should hear at once that it is taken.
    Given(u16),
    /// The one it had before, which clients know: worth waiting for a little.
    Again(u16),
}

impl From<Option<u16>> for Port {
    fn from(port: Option<u16>) -> Self {
        port.map_or(Self::Any, Self::Given)
    }
}

impl Port {
    /// Calls `start` until it gets its port (`Some`), for as long as another try makes sense.
    pub(crate) fn bind<T>(self, mut start: impl FnMut(u16) -> Result<Option<T>, Error>) -> Result<(u16, T), Error> {
        let deadline = Instant::now() + AGAIN_MAX;
        let mut tries = 0;
        loop {
            let port = match self {
                Self::Any => free()?,
                Self::Given(port) | Self::Again(port) => port,
            };
            if let Some(started) = start(port)? {
                return Ok((port, started));
            }
            tries += 1;
            let over = match self {
                Self::Any => tries >= TRIES_MAX,
                Self::Given(_) => true,
                Self::Again(_) => Instant::now() >= deadline,
            };
            if over {
                return Err(Error::PortTaken(port));
            }
        }
    }
}

/// How often another free port is tried when somebody else took the one just picked.
const TRIES_MAX: usize = 5;
/// How long to wait for a port that was ours.
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// A port of loopback that was free a moment ago. Whoever uses it must cope with having lost the race for it.
fn free() -> Result<u16, Error> {
    let io = |source| Error::Io { doing: "looking for a free port on 127.0.0.1".to_owned(), source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
    Ok(listener.local_addr().map_err(io)?.port())
}

/// The log's way of saying that the port belongs to another process; Postgres and Go word it almost alike.
pub(crate) fn is_taken(log: &str) -> bool {
    log.to_ascii_lowercase().contains("address already in use")
}
