//! What the sealer says about itself.

use std::{fmt, sync::Arc};

/// What the sealer is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealState {
    /// Another one is elected; this one would take over.
    Standby,
    /// It signs what is appended.
    Sealing,
    /// Something failed that may pass by itself; it tries on.
    Interrupted(Arc<str>),
    /// Seals and log contradict each other. Nothing is signed until it is started anew.
    Halted(Arc<SealHalt>),
}

/// Why nothing is signed, or published, any more, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealHalt {
    /// What it found.
    pub reason: String,
    /// What its operator should do.
    pub remedy: &'static str,
}

impl fmt::Display for SealHalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

impl std::error::Error for SealHalt {}

impl fmt::Display for SealState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standby => f.write_str("standby"),
            Self::Sealing => f.write_str("sealing"),
            Self::Interrupted(why) => write!(f, "interrupted: {why}"),
            Self::Halted(halt) => write!(f, "halted: {halt}"),
        }
    }
}

/// The sealer at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealStatus {
    /// What it is doing.
    pub state: SealState,
    /// The size of the newest tree that this one signed or found signed.
    pub size: u64,
    /// Why what is signed is not published any more: what was published contradicts the database. Sealing goes on.
    pub unpublished: Option<Arc<SealHalt>>,
}
