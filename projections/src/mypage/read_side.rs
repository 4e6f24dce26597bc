//! The read side, and where the write side comes from.

use std::{path::Path, sync::Arc, time::Duration};

use aggregates::UserId;
use journal::Position;

use super::{
    BookingHistory, MyPageProjection, file,
    readers::Readers,
    writer::{blocking, read_checkpoint},
};
use crate::{Error, Progress};

/// The booking histories as this process knows them; clones are the same.
#[derive(Clone)]
pub struct MyPage {
    readers: Arc<Readers>,
    progress: Progress,
}

impl MyPage {
    /// Opens the file at `path`, or makes a new one where there is none. One that is corrupt or of another version is
    /// put aside (as `<path>.aside`) with a warning, and all is read from the log again.
    ///
    /// The projection that comes with it is for a [`crate::Runner`] in this process.
    pub async fn open(path: impl AsRef<Path>) -> Result<(Self, MyPageProjection), Error> {
        let path = path.as_ref().to_owned();
        blocking(move || {
            let connection = file::open_or_create(&path)?;
            let progress = Progress::new(read_checkpoint(&connection)?.position);
            let readers = Readers::open(&path)?;
            let writer = MyPageProjection::new(&path, connection, progress.clone())?;
            Ok((Self { readers, progress }, writer))
        })
        .await
    }

    /// Histories, newest first: of `user`, or of all; `limit` at most, and never more than
    /// [`super::HISTORIES_LIMIT_MAX`]; those before `before`, a [`BookingHistory::id`].
    pub async fn histories(
        &self,
        user: Option<UserId>,
        limit: usize,
        before: Option<Position>,
    ) -> Result<Vec<BookingHistory>, Error> {
        self.readers.histories(user, limit, before).await
    }

    /// Whether the histories in the file were made by an older version of this code, and should be rebuilt.
    pub async fn is_outdated(path: impl AsRef<Path>) -> Result<bool, Error> {
        Ok(file::state(path).await?.is_outdated())
    }

    /// Everything up to here can be read.
    pub fn position(&self) -> Position {
        self.progress.position()
    }

    /// Waits until everything up to `position` can be read, `timeout` at most; whether it can.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        self.progress.reached(position, timeout).await
    }
}
