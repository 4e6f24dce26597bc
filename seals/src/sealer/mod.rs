//! The sealer: lets the tree grow with the log, and signs it every few seconds.

mod memory;
mod session;
mod status;

use std::{path::PathBuf, sync::Arc, time::Duration};

use journal::{Journal, elect};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{memory::Memory, session::Session};
pub use self::{
    memory::last_checkpoint_file,
    status::{SealHalt, SealState, SealStatus},
};
use crate::{KeyFile, Log, Publisher, SealError, SigningKey, publish, rows};

/// The office that a sealer is elected to.
pub const LEASE: &str = "sealer";
/// How far the log is sealed, among the checkpoints of all that follow it.
pub const CHECKPOINT: &str = "seals";
/// How long after a checkpoint the next is signed, where anything was appended.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);
/// How long sealing and publishing the end of the log may take when it is told to stop. What is left then is sealed by the next.
pub const FINISH_MAX: Duration = Duration::from_secs(3);
/// Pause after a failure that may pass by itself.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What to do where seals and log contradict each other.
const REMEDY: &str = "nothing is signed until this is put right, everything else goes on: run `boxoffice audit verify`, with a \
                      checkpoint that was kept outside, to see what was changed; then restore it, and start the process again";

/// What to do where what was published and the database contradict each other.
const PUBLISHER_REMEDY: &str = "sealing goes on, and nothing is added to what was published, which is evidence: `boxoffice audit \
                                verify` says which of it the database contradicts, and docs/seals.md how to go on";

/// Seals the log of a journal, as the one that is elected.
pub struct Sealer {
    journal: Journal,
    log: Log,
    key_file: KeyFile,
    memory: Memory,
    keys: Vec<SigningKey>,
    publisher: Option<Arc<dyn Publisher>>,
    interval: Duration,
    board: watch::Sender<SealStatus>,
}

impl Sealer {
    /// A sealer that signs with the keys of `key_file`, not running yet. Makes the tables, and a first key if there is no
    /// file.
    pub async fn open(journal: Journal, key_file: impl Into<PathBuf>) -> Result<Self, SealError> {
        let log = Log::new(journal.pool().clone(), rows::create(journal.pool()).await?);
        let key_file = KeyFile::new(key_file);
        let (keys, made) = key_file.open(log.origin())?;
        if made {
            announce(&log, &key_file, &keys).await?;
        }
        let memory = Memory::beside(key_file.path());
        let board = watch::Sender::new(SealStatus { state: SealState::Standby, size: 0, unpublished: None });
        Ok(Self { journal, log, key_file, memory, keys, publisher: None, interval: CHECKPOINT_INTERVAL, board })
    }

    /// Also publishes what it signs.
    pub fn publishing(mut self, publisher: Arc<dyn Publisher>) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// Signs after another interval, for tests that cannot wait.
    pub const fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// What it is doing, from now on.
    pub fn status(&self) -> watch::Receiver<SealStatus> {
        self.board.subscribe()
    }

    /// The log as it is sealed.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// The keys it signs with, newest first.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// Runs until told to stop: stands for election, seals while elected, stands again when the lease is lost. Once halted it
    /// gives the lease up and signs nothing for the rest of its life. Told to stop while elected, it seals and publishes what was
    /// appended until then, as far as that goes in [`FINISH_MAX`].
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.set_state(SealState::Standby);
            let options = self.journal.connect_options().clone();
            let Some(mut lease) = elect(&options, LEASE, &stop).await else { return };
            let halted = tokio::select! {
                () = stop.cancelled() => Some(false),
                () = self.seal() => Some(true),
                () = lease.lost() => None,
            };
            if halted == Some(false) {
                self.finish().await;
            }
            lease.release().await;
            match halted {
                Some(false) => return,
                Some(true) => return stop.cancelled().await,
                None => {}
            }
        }
    }

    /// Seals without being elected, until it is halted. Two that do so at once get in each other's way, but cannot sign
    /// what contradicts each other. [`Sealer::run`] is what a process wants.
    pub async fn seal(&mut self) {
        let (log, publisher, board) = (self.log.clone(), self.publisher.clone(), self.board.clone());
        let publishing = async {
            // Once halted it stays so, whoever is elected meanwhile.
            if let Some(publisher) = publisher.filter(|_| board.borrow().unpublished.is_none()) {
                let what = publish::run(&log, publisher.as_ref(), board.subscribe()).await;
                tracing::error!(%what, remedy = PUBLISHER_REMEDY, "checkpoints are no longer published");
                metrics::gauge!("seals_publishing_halted").set(1.0);
                let halt = SealHalt { reason: what, remedy: PUBLISHER_REMEDY };
                board.send_modify(|status| status.unpublished = Some(Arc::new(halt)));
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.sessions() => {}
            () = publishing => {}
        }
    }

    /// One session after another, each from what is stored, until one finds that this contradicts itself.
    async fn sessions(&mut self) {
        loop {
            let error = match Session::open(self).await {
                Ok(session) => session.run().await,
                Err(error) => error,
            };
            if error.is_contradiction() {
                return self.halt(&error);
            }
            match &error {
                SealError::Raced => tracing::info!("another sealer signed; going on from there"),
                error => {
                    tracing::warn!(%error, "sealing is interrupted; trying again");
                    self.set_state(SealState::Interrupted(Arc::from(error.to_string())));
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Seals up to the end of the log as it is now, and publishes that. A failure costs only that it is done later.
    async fn finish(&mut self) {
        let head = self.journal.position();
        let finishing = async {
            loop {
                match Session::open(self).await?.seal_up_to(head).await {
                    // By us, in the commit that was under way when we were told to stop.
                    Err(SealError::Raced) => tokio::time::sleep(RETRY_PAUSE).await,
                    sealed => break sealed?,
                }
            }
            if let Some(publisher) = self.publisher.as_ref().filter(|_| self.board.borrow().unpublished.is_none()) {
                publish::rest(&self.log, publisher.as_ref()).await;
            }
            Ok::<_, SealError>(())
        };
        match timeout(FINISH_MAX, finishing).await {
            Ok(Ok(())) => tracing::debug!(%head, "the log is sealed up to its end"),
            Ok(Err(error)) if error.is_contradiction() => {
                tracing::error!(%error, %head, "the end of the log is not sealed, and will not be: see docs/seals.md");
            }
            Ok(Err(error)) => tracing::warn!(%error, %head, "the end of the log is not sealed yet; the next does that"),
            Err(_) => {
                tracing::warn!(%head, "the end of the log is not all sealed and published yet; the next does that");
            }
        }
    }

    fn halt(&self, error: &SealError) {
        let halt = SealHalt { reason: error.to_string(), remedy: REMEDY };
        tracing::error!(reason = %halt.reason, remedy = halt.remedy, "the sealer is halted");
        self.set_state(SealState::Halted(Arc::new(halt)));
    }

    fn set_state(&self, state: SealState) {
        metrics::gauge!("seals_halted").set(f64::from(u8::from(matches!(state, SealState::Halted(_)))));
        self.board.send_if_modified(|status| {
            let changed = status.state != state;
            status.state = state;
            changed
        });
    }
}

/// Says that a key was made, and what it means where there had been one.
async fn announce(log: &Log, key_file: &KeyFile, made: &[SigningKey]) -> Result<(), SealError> {
    let file = key_file.path().display();
    let key = made.first().map(|key| key.verifier().to_string()).unwrap_or_default();
    match log.keys().await?.last() {
        None => tracing::info!(%file, key, "a key was made to sign checkpoints with"),
        Some(before) => tracing::warn!(
            %file, key, before = %before.key,
            "there was no file of seal keys, so a new key was made. Checkpoints that were signed before stay valid under the key \
             before; whoever checks needs the new one from now on. If the file was lost and not moved, think about who has it: \
             they can sign in this log's name",
        ),
    }
    Ok(())
}
