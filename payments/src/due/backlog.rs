//! How much waits to be done, and for how long: for whoever watches the metrics.

use std::time::Duration;

use journal::Journal;

use super::Kind;

/// How often it is counted.
const EVERY: Duration = Duration::from_secs(5);
/// What webhooks are called among the kinds of work.
const WEBHOOK: &str = "webhook";

/// Counts for as long as it is run.
pub(super) async fn watch(journal: &Journal) {
    loop {
        match measured(journal).await {
            Ok(waiting) => tell(&waiting),
            // The work itself fails as well then, and says so.
            Err(error) => tracing::debug!(%error, "the due payments are not counted"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Who does not hold the office has nothing waiting.
pub(super) fn forget() {
    tell(&[]);
}

type Waiting = (String, i64, f64);

/// By kind: how many should have been done by now, and since how many seconds the oldest.
async fn measured(journal: &Journal) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as(
        "SELECT kind, count(*), extract(epoch FROM now() - min(since))::float8
         FROM payment_work WHERE since <= now() GROUP BY kind
         UNION ALL
         SELECT $1, count(*), coalesce(extract(epoch FROM now() - min(received_at)), 0)::float8
         FROM payment_webhooks WHERE heeded_at IS NULL",
    )
    .bind(WEBHOOK)
    .fetch_all(journal.pool())
    .await
}

#[expect(clippy::cast_precision_loss, reason = "counts of payments are far below 2^52")]
fn tell(waiting: &[Waiting]) {
    for kind in Kind::ALL.map(Kind::as_str).into_iter().chain([WEBHOOK]) {
        let (count, seconds) = waiting
            .iter()
            .find(|(waiting, ..)| waiting == kind)
            .map_or((0, 0.0), |(_, count, seconds)| (*count, *seconds));
        metrics::gauge!("payment_work_due", "kind" => kind).set(count as f64);
        metrics::gauge!("payment_work_oldest_seconds", "kind" => kind).set(seconds);
    }
}
