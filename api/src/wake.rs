//! Waking whoever waits for something to happen to an aggregate.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aggregates::{AggregateType, UserId};
use journal::{Journal, RecordedEvent};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::accounts::Accounts;

/// Events looked at in one go, at most.
const BATCH_EVENTS_MAX: usize = 4_096;
/// Pause after the log could not be read.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Who waits for which aggregates. As many as there are requests that wait; each leaves when it is answered.
#[derive(Clone, Default)]
pub(crate) struct Wake {
    waiting: Arc<Mutex<HashMap<Uuid, Vec<Arc<Notify>>>>>,
}

/// A wait; it ends when dropped.
pub(crate) struct Waiting {
    wake: Wake,
    ids: Vec<Uuid>,
    notify: Arc<Notify>,
}

impl Wake {
    /// Waits for any event of any of these aggregates that decides something, from now on.
    pub fn on(&self, ids: impl IntoIterator<Item = Uuid>) -> Waiting {
        let (ids, notify): (Vec<Uuid>, _) = (ids.into_iter().collect(), Arc::new(Notify::new()));
        let mut waiting = self.waiting.lock();
        for id in &ids {
            waiting.entry(*id).or_default().push(Arc::clone(&notify));
        }
        drop(waiting);
        Waiting { wake: self.clone(), ids, notify }
    }

    /// Wakes by the log as it grows, until told to stop; voids the tokens of erased users on the way.
    pub async fn run(self, journal: Journal, accounts: Accounts, stop: CancellationToken) {
        let mut follower = journal.follow(journal.position());
        loop {
            let events = tokio::select! {
                () = stop.cancelled() => return,
                events = follower.next(BATCH_EVENTS_MAX) => events,
            };
            match events {
                Ok(events) => {
                    let waiting = self.waiting.lock();
                    for event in events {
                        for id in concerned(&event) {
                            for notify in waiting.get(&id).into_iter().flatten() {
                                notify.notify_one();
                            }
                        }
                        if &*event.event_type == "UserErased" {
                            accounts.note_erased(UserId(event.aggregate_id));
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the log cannot be followed; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

/// What leads on to something else at once, in a booking that is being made. Who waits for the booking waits for where that
/// leads; to look before would be in vain, and cost a query.
const ON_THE_WAY: [&str; 3] = ["BookingRequested", "TicketsHeld", "TicketsRefused"];

/// The event's own aggregate; for a concert's, also the booking it is about, so that nobody has to wait for a concert,
/// to which something happens all the time.
fn concerned(event: &RecordedEvent) -> impl Iterator<Item = Uuid> {
    const FIELD: &str = r#""bookingId":""#;
    const UUID_CHARS: usize = 36;
    let is_awaited = !ON_THE_WAY.contains(&&*event.event_type);
    let booking = || {
        let from = event.payload.find(FIELD)? + FIELD.len();
        event.payload.get(from..from + UUID_CHARS)?.parse().ok()
    };
    let other = if is_awaited && event.aggregate == AggregateType::Concert { booking() } else { None };
    [is_awaited.then_some(event.aggregate_id), other].into_iter().flatten()
}

impl Waiting {
    /// Something has happened since the wait began, or since the last time this was asked.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.wake.waiting.lock();
        for id in &self.ids {
            if let Some(notifies) = waiting.get_mut(id) {
                notifies.retain(|notify| !Arc::ptr_eq(notify, &self.notify));
                if notifies.is_empty() {
                    waiting.remove(id);
                }
            }
        }
    }
}
