//! What a rebuild says about itself while it is under way: to who started it, and in Postgres to everybody else.

use std::{
    fmt,
    time::{Duration, Instant},
};

use journal::Position;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::watch;

use crate::Error;

/// How often it is written to Postgres how far it is.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// What a rebuild is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It folds the log into the new copy.
    #[default]
    Loading,
    /// It makes the indexes of what was loaded.
    Indexing,
    /// It takes in what came meanwhile.
    Following,
    /// The live copy is held back, and compared with the new one.
    Comparing,
    /// The new copy takes the live one's place.
    Switching,
    /// It has.
    Switched,
}

impl Phase {
    /// Its name, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Indexing => "indexing",
            Self::Following => "following",
            Self::Comparing => "comparing",
            Self::Switching => "switching",
            Self::Switched => "switched",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// What it is doing.
    pub phase: Phase,
    /// Of the copy that is being made.
    pub generation: u32,
    /// The log up to here is in it.
    pub position: Position,
    /// Where the live copy is.
    pub target: Position,
}

/// Tells of the stages of one rebuild.
pub(crate) struct Stages {
    pool: PgPool,
    projection: &'static str,
    place: String,
    tell: watch::Sender<Stage>,
    written_at: Option<Instant>,
}

impl Stages {
    pub fn new(pool: PgPool, projection: &'static str, place: String, tell: watch::Sender<Stage>) -> Self {
        Self { pool, projection, place, tell, written_at: None }
    }

    /// Whoever asks how far it is inside of a segment.
    pub fn teller(&self) -> watch::Sender<Stage> {
        self.tell.clone()
    }

    /// A new generation, or one that is gone on with.
    pub fn of(&self, generation: u32) {
        self.tell.send_modify(|stage| stage.generation = generation);
    }

    /// Says that it is about to do something else, before it does.
    pub async fn enter(&mut self, phase: Phase) -> Result<(), Error> {
        self.tell.send_modify(|stage| stage.phase = phase);
        tracing::debug!(projection = self.projection, %phase, "rebuilding");
        self.write().await
    }

    /// Says how far it is.
    pub async fn at(&mut self, position: Position, target: Position) -> Result<(), Error> {
        self.tell.send_modify(|stage| (stage.position, stage.target) = (position, target));
        if self.written_at.is_some_and(|at| at.elapsed() < WRITE_INTERVAL) {
            return Ok(());
        }
        self.write().await
    }

    async fn write(&mut self) -> Result<(), Error> {
        let stage = *self.tell.borrow();
        sqlx::query(
            "INSERT INTO projection_rebuilds (projection, place, generation, phase, position, target)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (projection, place) DO UPDATE SET generation = excluded.generation, phase = excluded.phase,
                 position = excluded.position, target = excluded.target, updated_at = now()",
        )
        .bind(self.projection)
        .bind(&self.place)
        .bind(stage.generation.cast_signed())
        .bind(stage.phase.as_str())
        .bind(stage.position.to_sql())
        .bind(stage.target.to_sql())
        .execute(&self.pool)
        .await?;
        self.written_at = Some(Instant::now());
        Ok(())
    }

    /// It is over, well or badly.
    pub async fn end(&self) -> Result<(), Error> {
        sqlx::query("DELETE FROM projection_rebuilds WHERE projection = $1 AND place = $2")
            .bind(self.projection)
            .bind(&self.place)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
