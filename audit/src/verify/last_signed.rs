//! The checkpoint that the sealer signed last, as it keeps it beside its key.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

use super::{Check, Kept, Recorder, Verdict};
use crate::Error;

/// What there is of it.
pub(super) enum LastSigned {
    /// It is not known where it would be.
    Nowhere,
    /// There is no such file.
    Missing(String),
    /// It cannot be read.
    Unread { file: String, why: String },
    /// This.
    There(Kept),
}

impl LastSigned {
    /// Reads it.
    pub async fn read(file: Option<PathBuf>) -> Result<Self, Error> {
        let Some(file) = file else { return Ok(Self::Nowhere) };
        spawn_blocking(move || Self::of(&file)).await.map_err(|_| Error::Ended)
    }

    fn of(file: &Path) -> Self {
        let name = || file.display().to_string();
        match Kept::read(file) {
            Ok(kept) => Self::There(kept),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Missing(name()),
            Err(error) => Self::Unread { file: name(), why: error.to_string() },
        }
    }

    /// Says whether it was compared.
    pub fn tell(&self, recorder: &mut Recorder<'_>) {
        let told = match self {
            Self::Nowhere => return,
            Self::There(Kept { name, .. }) => format!("the sealer's last: compared, from {name}"),
            Self::Missing(file) => format!("the sealer's last: not compared, there is no {file}"),
            Self::Unread { file, why } => format!("the sealer's last: not compared, {file} cannot be read: {why}"),
        };
        recorder.note(Check::Seals, told.clone());
        if let Self::Unread { .. } = self {
            recorder.not_checked(Check::Seals, Verdict::Unseen(told));
        }
    }
}
