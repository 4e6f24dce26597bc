//! What a projection is to its runner.

use aggregates::AggregateType;
use futures::future::BoxFuture;

use crate::{Batch, Checkpoint, Error, ParkedBoard, Progress};

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Its effect and the checkpoint are committed.
    Committed,
    /// The checkpoint was not where the batch builds on: another runner was there first. Nothing was applied.
    Moved,
}

/// A name, a version, and what events do to it.
///
/// The version is part of every stored name, so that a new one can be built beside the old.
pub trait Projection: Send + 'static {
    /// Its name, as on the command line.
    fn name(&self) -> &'static str;

    /// The version of its tables and of what events do to them.
    fn version(&self) -> u32;

    /// Where it is kept, for people: what to delete so that it is built again.
    fn place(&self) -> String;

    /// How far it has come, for those who wait on it.
    fn progress(&self) -> &Progress;

    /// Whether events of this name of such aggregates change anything in it. The others are not even decoded for it, so a
    /// name that is not known must be wanted.
    fn wants(&self, aggregate: AggregateType, event_type: &str) -> bool;

    /// The events it could not project, for those who look at it.
    fn parked(&self) -> &ParkedBoard;

    /// Where its checkpoint is now, by what is committed.
    fn checkpoint(&mut self) -> BoxFuture<'_, Result<Checkpoint, Error>>;

    /// Applies all of `batch` and moves the checkpoint from its beginning to its end, in one transaction; or, where the
    /// checkpoint is elsewhere, does nothing. What cannot be applied is parked in the same transaction, up to
    /// [`crate::PARKED_MAX`].
    fn apply<'a>(&'a mut self, batch: &'a Batch) -> BoxFuture<'a, Result<Applied, Error>>;
}
