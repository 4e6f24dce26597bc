//! Who wants to know at once when a concert's counts change.

use std::{collections::HashMap, sync::Arc};

use aggregates::ConcertId;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::ConcertView;
use crate::Error;

/// Concerts watched at the same time, at most; watching another one is refused. Any number may watch one concert.
pub const WATCHED_CONCERTS_MAX: usize = 10_000;

/// One channel a watched concert, holding its latest view only.
#[derive(Default)]
pub(super) struct Watchers(Mutex<HashMap<ConcertId, watch::Sender<Arc<ConcertView>>>>);

impl Watchers {
    /// Watches `view`'s concert from `view` on. Whoever calls must look again for a newer view afterwards, and
    /// [`Watchers::publish`] it: one may have come between reading `view` and this.
    pub fn subscribe(&self, view: Arc<ConcertView>) -> Result<watch::Receiver<Arc<ConcertView>>, Error> {
        let mut watched = self.0.lock();
        if let Some(sender) = watched.get(&view.id) {
            return Ok(sender.subscribe());
        }
        if watched.len() >= WATCHED_CONCERTS_MAX {
            watched.retain(|_, sender| sender.receiver_count() > 0);
        }
        if watched.len() >= WATCHED_CONCERTS_MAX {
            return Err(Error::TooManyWatched);
        }
        let (sender, receiver) = watch::channel(Arc::clone(&view));
        watched.insert(view.id, sender);
        Ok(receiver)
    }

    /// What is being watched.
    pub fn ids(&self) -> Vec<ConcertId> {
        self.0.lock().keys().copied().collect()
    }

    /// Tells whoever watches, if it is news: later, or (after a rebuild) another row at the same position.
    pub fn publish(&self, view: &Arc<ConcertView>) {
        let mut watched = self.0.lock();
        let Some(sender) = watched.get(&view.id) else { return };
        if sender.receiver_count() == 0 {
            watched.remove(&view.id);
            return;
        }
        sender.send_if_modified(|known| {
            let news = known.position < view.position || (known.position == view.position && **known != **view);
            if news {
                *known = Arc::clone(view);
            }
            news
        });
    }
}
