//! What this process signed last, kept outside the database: a database that was restored from a backup, or rewritten with
//! all its hashes and checkpoints, does not fit it.

use std::path::{Path, PathBuf};

use crate::{Checkpoint, Log, SealError, SigningKey, VerifierKey, key_file::write_private, reader::Signed};

/// The end of the file's name.
const EXTENSION: &str = "checkpoint";

/// Where the sealer that signs with the keys of `key_file` keeps the checkpoint that it signed last.
pub fn last_checkpoint_file(key_file: &Path) -> PathBuf {
    key_file.with_extension(EXTENSION)
}

/// The file, beside that of the keys.
#[derive(Clone, Debug)]
pub(super) struct Memory(PathBuf);

impl Memory {
    pub fn beside(key_file: &Path) -> Self {
        Self(last_checkpoint_file(key_file))
    }

    /// Remembers what was signed. A failure costs only that this one is not remembered.
    pub async fn keep(&self, signed: &Signed) {
        let (file, note) = (self.0.clone(), signed.note.clone());
        let kept = tokio::task::spawn_blocking(move || write_private(&file, &note)).await;
        if let Err(error) = kept.map_err(std::io::Error::other).flatten() {
            tracing::warn!(%error, file = %self.0.display(), "the newest checkpoint is not kept outside the database");
        }
    }

    /// Whether the sealed log still begins with what is remembered. What is there and is no checkpoint of this log, signed by
    /// one of its keys, is nothing to go by.
    pub async fn check(&self, log: &Log, signed: u64, keys: &[SigningKey]) -> Result<(), SealError> {
        let Ok(note) = std::fs::read_to_string(&self.0) else { return Ok(()) };
        let mut known: Vec<VerifierKey> = keys.iter().map(|key| key.verifier().clone()).collect();
        for key in log.keys().await?.into_iter().map(|known| known.key) {
            if !known.contains(&key) {
                known.push(key);
            }
        }
        let file = self.0.display();
        let remembered = match Checkpoint::verify(&note, &known) {
            Ok(remembered) if remembered.origin == log.origin() => remembered,
            Ok(Checkpoint { origin, .. }) => {
                tracing::warn!(%file, origin, "the checkpoint that was kept is of another log, and of no use");
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(%file, %error, "the checkpoint that was kept is of no use");
                return Ok(());
            }
        };
        if remembered.size > signed {
            tracing::error!(
                %file, signed = remembered.size, stored = signed,
                "more was signed than this database knows of: it was restored from an older state. If that was meant, move the \
                 file away; whoever kept a checkpoint from after that state can show that the log was cut"
            );
        }
        log.goes_on_from(&remembered).await
    }
}
