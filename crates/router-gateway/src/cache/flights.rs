//! Identical requests that are under way at the same time: one asks, the others wait for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{CacheKey, CachedAnswer};

/// The requests under way, by what they ask.
#[derive(Debug, Default)]
pub(super) struct Flights {
    open: Mutex<HashMap<CacheKey, watch::Receiver<Option<Landing>>>>,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub(super) enum Landing {
    /// It was answered.
    Stored(Arc<CachedAnswer>),
    /// It was not.
    Failed,
    /// Whoever asked it has left.
    GivenUp,
}

/// The part of a newcomer.
#[derive(Debug)]
pub(super) enum Joined {
    /// It asks.
    Leader(Flight),
    /// Somebody else asks already.
    Follower(Waiting),
}

/// A request that is being asked.
#[derive(Debug)]
pub(super) struct Flight {
    flights: Arc<Flights>,
    key: CacheKey,
    told: watch::Sender<Option<Landing>>,
}

/// Waits for what another request brings.
#[derive(Debug)]
pub(super) struct Waiting(watch::Receiver<Option<Landing>>);

impl Flights {
    pub(super) fn join(self: &Arc<Self>, key: CacheKey) -> Joined {
        match self.open().entry(key) {
            Entry::Occupied(open) => Joined::Follower(Waiting(open.get().clone())),
            Entry::Vacant(place) => {
                let (told, hearing) = watch::channel(None);
                place.insert(hearing);
                Joined::Leader(Flight { flights: Arc::clone(self), key, told })
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<CacheKey, watch::Receiver<Option<Landing>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Tells everybody who waits.
    pub(super) fn land(self, landing: Landing) {
        self.told.send_replace(Some(landing));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Whoever comes now begins anew; whoever waits hears that there is no sender any more.
        self.flights.open().remove(&self.key);
    }
}

impl Waiting {
    pub(super) async fn landing(mut self) -> Landing {
        match self.0.wait_for(Option::is_some).await {
            Ok(landing) => landing.clone().unwrap_or(Landing::GivenUp),
            Err(_) => Landing::GivenUp,
        }
    }
}
