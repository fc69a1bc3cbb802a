//! Accounts whose limits hold exactly: asks Redis for places, and tells it what became of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use router_core::{AccountId, Claim, Hold, Reserved, Settlement, Usd};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::account_script::exchange;
use super::link::Link;
use super::status::StatusCell;
use crate::account::{Books, Given, Spans};

/// How long a request waits for its place. Redis answers in well under a millisecond; who waited this long goes by local limits.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// How long nobody asks after somebody waited in vain, so that a server that hangs does not hold every request up.
const REST: Duration = Duration::from_secs(1);

/// How long a message may take before it is sent again. Nobody waits for it any more; it is for what it tells.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(2);

/// The accounts of one store.
#[derive(Debug)]
pub(super) struct Accounts {
    runtime: Handle,
    worker: u64,
    started: (Instant, u64),
    status: Arc<StatusCell>,
    lines: Mutex<HashMap<AccountId, Arc<Line>>>,
    route: Mutex<Route>,
}

/// How Redis is reached.
#[derive(Debug, Default)]
struct Route {
    link: Option<Link>,
    rest_until: Option<Instant>,
}

/// One account. One message of it is under way at a time; whoever comes meanwhile goes with the next.
#[derive(Debug)]
struct Line {
    account: AccountId,
    desk: Mutex<Desk>,
}

#[derive(Debug)]
struct Desk {
    books: Books<oneshot::Sender<Place>>,
    is_talking: bool,
}

/// What somebody is given. A place that nobody took is given back.
#[derive(Debug)]
struct Place {
    accounts: Arc<Accounts>,
    line: Arc<Line>,
    given: Option<Given>,
}

impl Place {
    fn take(mut self) -> Option<Given> {
        self.given.take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(Given::Place { slot, tokens, cost }) = self.given.take() {
            self.line.desk().books.settle(slot, tokens, cost, Settlement::Unused);
            self.accounts.wake(&self.line);
        }
    }
}

impl Line {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // A panic elsewhere cannot leave the books half-written: they hold plain numbers.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    pub(super) fn new(runtime: Handle, status: Arc<StatusCell>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            runtime,
            // Every hasher of the standard library starts from randomness of its own.
            worker: RandomState::new().hash_one(since),
            started: (Instant::now(), u64::try_from(since.as_millis()).unwrap_or(0)),
            status,
            lines: Mutex::default(),
            route: Mutex::default(),
        }
    }

    /// Returns the number that tells this process from others.
    pub(super) const fn worker(&self) -> u64 {
        self.worker
    }

    /// Asks for a place. Waits for [`PATIENCE`] at most, and not at all while Redis is away.
    pub(super) async fn reserve(self: &Arc<Self>, claim: &Claim) -> Reserved {
        let line = self.line(&claim.account);
        let away = || Reserved::Away { spent: Some(line.desk().books.known_spent(self.now())) };
        if !self.is_reachable() {
            // What is spent meanwhile is told later, and counts in its period.
            line.desk().books.know(claim.limits);
            return away();
        }
        let (tell, told) = oneshot::channel();
        line.desk().books.claim(tell, claim.limits, claim.tokens, claim.cost);
        self.wake(&line);
        let place = match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(place)) => place.take(),
            Ok(Err(_)) => None,
            Err(_) => {
                self.route().rest_until = Some(Instant::now() + REST);
                None
            }
        };
        match place {
            Some(Given::Place { slot, tokens, cost }) => Reserved::Granted(Hold {
                account: claim.account.clone(),
                slot,
                tokens,
                cost: Usd::from_pico(cost),
            }),
            Some(Given::Nothing(refused)) => Reserved::Refused(refused),
            None => away(),
        }
    }

    pub(super) fn settle(self: &Arc<Self>, hold: &Hold, settlement: Settlement) {
        let line = self.line(&hold.account);
        line.desk().books.settle(hold.slot, hold.tokens, hold.cost.as_pico(), settlement);
        self.wake(&line);
    }

    /// Takes note of how Redis is reached, or that it is not.
    pub(super) fn connect(self: &Arc<Self>, link: Option<Link>) {
        *self.route() = Route { link, rest_until: None };
        self.look_after();
    }

    /// Says what is left to say: after a message was lost, and of money that is held on to.
    pub(super) fn look_after(self: &Arc<Self>) {
        let lines: Vec<Arc<Line>> = self.lines().values().cloned().collect();
        for line in lines {
            if line.desk().books.has_news(self.now()) {
                self.wake(&line);
            }
        }
    }

    fn wake(self: &Arc<Self>, line: &Arc<Line>) {
        {
            let mut desk = line.desk();
            if desk.is_talking {
                return;
            }
            desk.is_talking = true;
        }
        self.runtime.spawn(Arc::clone(self).talk(Arc::clone(line)));
    }

    /// Talks until everything is said, or Redis does not answer; then [`look_after`](Self::look_after) begins anew.
    async fn talk(self: Arc<Self>, line: Arc<Line>) {
        loop {
            let link = self.route().link.clone();
            let message = {
                let mut desk = line.desk();
                desk.books.forget(oneshot::Sender::is_closed);
                let message = link.is_some().then(|| desk.books.message(self.now()).cloned()).flatten();
                if message.is_none() {
                    desk.is_talking = false;
                }
                message
            };
            let (Some(mut link), Some(message)) = (link, message) else { return };
            let asked = exchange(&mut link, &line.account, &message, Spans::USUAL, self.now());
            self.status.sent(1);
            let Ok(Ok(reply)) = tokio::time::timeout(MESSAGE_PATIENCE, asked).await else {
                line.desk().is_talking = false;
                return;
            };
            let given = line.desk().books.hear(reply, self.now());
            for (who, given) in given {
                let place =
                    Place { accounts: Arc::clone(&self), line: Arc::clone(&line), given: Some(given) };
                // Who left meanwhile gives it back by dropping it.
                drop(who.send(place));
            }
        }
    }

    fn is_reachable(&self) -> bool {
        let mut route = self.route();
        if route.rest_until.is_some_and(|until| until <= Instant::now()) {
            route.rest_until = None;
        }
        route.link.is_some() && route.rest_until.is_none()
    }

    fn line(&self, account: &AccountId) -> Arc<Line> {
        let mut lines = self.lines();
        if let Some(line) = lines.get(account) {
            return Arc::clone(line);
        }
        let books = Books::new(self.worker, Spans::USUAL);
        let desk = Mutex::new(Desk { books, is_talking: false });
        let line = Arc::new(Line { account: account.clone(), desk });
        lines.insert(account.clone(), Arc::clone(&line));
        line
    }

    /// Milliseconds of our clock: that of the wall at the start, and steady from then on.
    fn now(&self) -> u64 {
        let (instant, millis) = self.started;
        millis + u64::try_from(instant.elapsed().as_millis()).unwrap_or(0)
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<AccountId, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn route(&self) -> MutexGuard<'_, Route> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
