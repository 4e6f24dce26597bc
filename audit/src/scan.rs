//! The limit that every reader of the whole log is measured against: it is read, and nothing is done with it.

use journal::Position;

use crate::{Error, Row, Snapshot, log::Copy};

/// Reads every row of the log as [`crate::verify`] does, and only takes it apart into its columns. Returns how many rows
/// there were.
pub async fn scan(snapshot: &mut Snapshot) -> Result<u64, Error> {
    let head = snapshot.head;
    let mut copy = Copy::of_positions(&mut snapshot.connection, Position(0), head).await?;
    let mut rows = 0;
    while let Some(message) = copy.next().await? {
        rows += u64::from(Row::parse(&message)?.is_some());
    }
    Ok(rows)
}
