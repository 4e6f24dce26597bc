//! `scan-limit`: the whole log read out of Postgres by `COPY` and parsed, with nothing done about it.

use futures::{FutureExt as _, TryStreamExt as _, future::BoxFuture};
use serde::de::IgnoredAny;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::{Check, Round, Scenario, Stage};
use crate::{
    error::Error,
    load::{Load, Outcome},
};

const COPY: &str =
    "COPY (SELECT position, aggregate_type, aggregate_id, sequence, event_type, payload FROM events) TO STDOUT";
/// Its columns.
const COLUMNS: usize = 6;

/// What a scan has seen.
#[derive(Clone, Copy, Default)]
struct Seen {
    rows: u64,
    positions: u64,
    last: u64,
    wrong: u64,
}

/// The scenario.
#[derive(Default)]
pub(super) struct ScanLimit {
    last: Seen,
}

impl Seen {
    /// Takes in a row: numbers are parsed, and the payload is read as JSON to its end.
    fn row(&mut self, line: &[u8]) {
        let parsed = || {
            let mut columns = [&[] as &[u8]; COLUMNS];
            let mut rest = line.split(|byte| *byte == b'\t');
            for column in &mut columns {
                *column = rest.next()?;
            }
            let [position, _, _, sequence, _, payload] = columns;
            let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
            let _sequence = number(sequence)?;
            // The text form of `COPY` doubles backslashes.
            let is_json = if payload.contains(&b'\\') {
                let payload = String::from_utf8_lossy(payload).replace("\\\\", "\\");
                serde_json::from_str::<IgnoredAny>(&payload).is_ok()
            } else {
                serde_json::from_slice::<IgnoredAny>(payload).is_ok()
            };
            is_json.then(|| number(position)).flatten()
        };
        self.rows += 1;
        match parsed() {
            Some(position) => {
                self.positions += position;
                self.last = self.last.max(position);
            }
            None => self.wrong += 1,
        }
    }
}

impl Scenario for ScanLimit {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, _: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let mut connection = PgConnection::connect(stage.product.setting("DATABASE_URL")?).await?;
            let begin = Instant::now();
            let mut seen = Seen::default();
            let mut rows = connection.copy_out_raw(COPY).await?;
            // A message of the protocol is a row.
            while let Some(row) = rows.try_next().await? {
                seen.row(row.strip_suffix(b"\n").unwrap_or(&row));
            }
            drop(rows);
            let took = begin.elapsed();
            connection.close().await?;
            self.last = seen;
            let outcome = Outcome { in_time: seen.rows, done: seen.rows, ..Outcome::default() };
            Ok(Round { took: Some(took), ..Round::of(outcome) })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, _: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        let Seen { rows, positions, last, wrong } = self.last;
        let checks = vec![
            Check::equal("scan-limit: rows", last, rows),
            Check::equal("scan-limit: sum of positions", last * (last + 1) / 2, positions),
            Check::equal("scan-limit: rows that are none", 0, wrong),
        ];
        async move { Ok(checks) }.boxed()
    }
}
