//! At start: what an older version of this code made is made anew, while it is served as it is.

use std::{path::PathBuf, time::Duration};

use projections::{
    Error, MyPage,
    rebuild::{self, Job, Outcome},
    ticket_counts,
};
use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Pause before it is tried again, where somebody else is at it or a database did not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What may be of an older version.
#[derive(Clone, Debug)]
pub(crate) enum Outdated {
    /// The counts, which all processes share.
    TicketCounts,
    /// The file of this process.
    Mypage(PathBuf),
}

impl Outdated {
    const fn name(&self) -> &'static str {
        match self {
            Self::TicketCounts => "ticket-counts",
            Self::Mypage(_) => "mypage",
        }
    }

    async fn is_so(&self, pool: &PgPool) -> Result<bool, Error> {
        match self {
            Self::TicketCounts => ticket_counts::is_outdated(pool).await,
            Self::Mypage(path) => MyPage::is_outdated(path).await,
        }
    }

    async fn rebuild(&self, pool: &PgPool) -> Result<Outcome, Error> {
        let job = Job::new(pool.clone(), rebuild::journal(pool.clone()));
        match self {
            Self::TicketCounts => rebuild::run_ticket_counts(job).await,
            Self::Mypage(path) => rebuild::run_mypage(path, job).await,
        }
    }
}

/// Rebuilds it if it is outdated. An event that cannot be projected ends that, and the older copy goes on being served.
pub(crate) async fn if_outdated(what: Outdated, pool: PgPool, stop: CancellationToken) {
    let work = async {
        loop {
            let name = what.name();
            let done = match what.is_so(&pool).await {
                Ok(false) => return,
                Ok(true) => what.rebuild(&pool).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(Outcome { generation, position, differences, .. }) => {
                    tracing::info!(name, generation, %position, differences, "made anew by this version");
                }
                Err(error @ (Error::BeingRebuilt(_) | Error::LeaseLost | Error::NoSwitch(_))) => {
                    tracing::debug!(%error, name, "not made anew yet");
                }
                Err(error) if error.is_transient() => tracing::warn!(%error, name, "not made anew yet"),
                Err(error) => {
                    tracing::error!(%error, name, "cannot be made anew; what an older version made is still served");
                    return;
                }
            }
            sleep(RETRY_PAUSE).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}
