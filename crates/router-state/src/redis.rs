//! The store that reaches other processes, through Redis.

mod account_script;
mod accounts;
mod address;
mod cache;
mod latency_board;
mod ledger;
mod link;
mod scripts;
mod session;
mod status;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use router_core::{Claim, HealthChange, Hold, Peer, Reserved, Settlement, StateStore, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use self::accounts::Accounts;
pub use self::address::RedisAddress;
pub use self::cache::{RedisCache, RedisCacheStatus};
use self::session::{Session, Told};
pub use self::status::RedisStatus;
use self::status::StatusCell;

/// Changes that wait for the connection. When more are made, everything that cools is told again instead.
const QUEUE: usize = 1024;

/// Carries cooldowns and what was consumed of limits between processes, through a Redis server, Sentinel or cluster.
///
/// A task in the background does all the talking; routers read their own memory and never wait for it. Cooldowns are sent at once;
/// what was consumed is sent, and what others consumed fetched, every [`EXCHANGE_EVERY`](Self::EXCHANGE_EVERY). So while a limit of
/// `L` a minute is shared by `n` processes, each may admit what its own view leaves until the next exchange: in a steady
/// stream the overshoot is what the others admit within one exchange and a round trip; at worst, when all begin at once with an
/// empty minute, each admits `L` on its own.
///
/// When Redis cannot be reached, is full, read-only or slow, routing goes on with what is known here. That is logged once, and
/// [`status`](Self::status) tells; the task connects again after a pause that doubles from 100 ms to 300 ms, and then tells everything
/// that still cools.
///
/// Limits that must hold exactly are kept by one script that grants places and takes note of what became of them; see
/// [`RESERVE_PATIENCE`](Self::RESERVE_PATIENCE).
///
/// Keys begin with `llm-router:v1:` and have a time to live, each. Windows and budget periods go by the server's clock; cooldowns travel as spans, so clocks of processes may differ.
///
/// ```no_run
/// use router_state::{RedisAddress, RedisStore};
/// use std::sync::Arc;
///
/// # async fn start() -> Result<(), router_state::RedisError> {
/// let address = RedisAddress::url("redis://127.0.0.1:6379")?;
/// let store = Arc::new(RedisStore::start(address)?);
/// // Hand it to `Router::builder().state_store(store)`.
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    shared: Arc<Shared>,
    accounts: Arc<Accounts>,
    changes: mpsc::Sender<Told>,
    task: JoinHandle<()>,
    address: RedisAddress,
}

/// What the store and its task both know.
#[derive(Default)]
struct Shared {
    peers: Mutex<Vec<Weak<dyn Peer>>>,
    status: Arc<StatusCell>,
    /// Somebody joined, or a change found no place in the queue: everything has to be exchanged anew.
    renew: Notify,
}

/// A store that could not be started, or a server that refuses it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The address is none.
    #[error("`{what}` is no address of a Redis server: {message}")]
    Address {
        /// What was given, without its password.
        what: String,
        /// What is wrong with it.
        message: String,
    },
    /// There is no tokio runtime to work in.
    #[error("a Redis store needs a tokio runtime: start it inside one")]
    NoRuntime,
    /// The server cannot be reached or does not accept us.
    #[error("redis at {address}: {message}")]
    Refused {
        /// Which server.
        address: String,
        /// What it says.
        message: String,
    },
}

impl RedisStore {
    /// How long a request under a limit that must hold exactly waits for its place, at most. Then, and while Redis is away, local
    /// limits decide.
    pub const RESERVE_PATIENCE: std::time::Duration = accounts::PATIENCE;

    /// How often what was consumed of limits is exchanged.
    pub const EXCHANGE_EVERY: std::time::Duration = session::EXCHANGE_EVERY;

    /// Starts the task that talks to Redis, in the present tokio runtime. It does not wait for the first connection.
    ///
    /// # Errors
    /// When there is no runtime.
    pub fn start(address: RedisAddress) -> Result<Self, RedisError> {
        let runtime = Handle::try_current().map_err(|_| RedisError::NoRuntime)?;
        let shared = Arc::new(Shared::default());
        let (changes, queue) = mpsc::channel(QUEUE);
        let accounts = Arc::new(Accounts::new(runtime.clone(), Arc::clone(&shared.status)));
        let session = session::run(address.clone(), Arc::clone(&shared), Arc::clone(&accounts), queue);
        let task = runtime.spawn(session);
        Ok(Self { shared, accounts, changes, task, address })
    }

    /// Connects once and returns what came of it, for who wants to know before serving.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses the password, within a few seconds.
    pub async fn probe(address: &RedisAddress) -> Result<(), RedisError> {
        Session::open(address).await.map(|_| ())
    }

    /// Returns where it is.
    pub const fn address(&self) -> &RedisAddress {
        &self.address
    }

    /// Returns how the connection is.
    pub fn status(&self) -> RedisStatus {
        self.shared.status.get()
    }
}

#[async_trait]
impl StateStore for RedisStore {
    fn publish(&self, change: &HealthChange, now: Timestamp) {
        if let Some(told) = Told::new(change, now)
            && self.changes.try_send(told).is_err()
        {
            self.shared.status.dropped();
            self.shared.renew.notify_one();
        }
    }

    fn join(&self, peer: Weak<dyn Peer>) {
        let mut peers = self.shared.lock();
        peers.retain(|peer| peer.strong_count() > 0);
        peers.push(peer);
        drop(peers);
        self.shared.renew.notify_one();
    }

    async fn reserve(&self, claim: &Claim, _now: Timestamp) -> Reserved {
        self.accounts.reserve(claim).await
    }

    fn settle(&self, hold: Hold, settlement: Settlement, _now: Timestamp) {
        self.accounts.settle(&hold, settlement);
    }
}

impl Shared {
    fn present(&self) -> Vec<Arc<dyn Peer>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Peer>>> {
        // A panic elsewhere cannot leave a list half-changed.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("address", &self.address).field("status", &self.status()).finish()
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.task.abort();
    }
}
