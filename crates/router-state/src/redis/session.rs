//! The task that talks to Redis: connects, exchanges, and comes back when the connection breaks.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, RedisResult, Value};
use router_core::{AccountId, Consumed, DeploymentId, HealthChange, ProviderErrorKind, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::accounts::Accounts;
use super::latency_board;
use super::ledger::Ledger;
use super::link::Link;
use super::scripts::{CHANNEL, CONSUME, COOL, COOLING, SLOT_MILLIS, SLOTS, STILL_COOLING, slot_key};
use super::{RedisAddress, RedisError, Shared};
use crate::latencies::Latencies;

pub(super) const EXCHANGE_EVERY: Duration = Duration::from_millis(250);

/// Latencies are written down every so many exchanges, every two seconds: they change slowly, and are for newcomers only.
const WRITE_LATENCIES_EVERY: u64 = 8;

/// How long one command, or connecting, may take. Everything is small, so a server that needs longer hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait before connecting again, doubling from the one to the other. A server that comes back is found within a second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// A slot's key outlives the minute it belongs to.
const SLOT_LIFE_MILLIS: u64 = 90_000;

/// A change on its way to Redis.
#[derive(Debug)]
pub(super) enum Told {
    /// It cools until this instant.
    Cooled(DeploymentId, Instant, ProviderErrorKind),
    Recovered(DeploymentId),
}

impl Told {
    pub(super) fn new(change: &HealthChange, now: Timestamp) -> Option<Self> {
        match change {
            HealthChange::Cooled { deployment, until, cause } => {
                Some(Self::Cooled(deployment.clone(), Instant::now() + until.since(now), *cause))
            }
            HealthChange::Recovered { deployment } => Some(Self::Recovered(deployment.clone())),
            // What a later version of the core tells is for later versions of this store.
            _ => None,
        }
    }
}

/// Talks to Redis until the store is dropped.
pub(super) async fn run(
    address: RedisAddress,
    shared: Arc<Shared>,
    accounts: Arc<Accounts>,
    mut queue: mpsc::Receiver<Told>,
) {
    let mut ledger = Ledger::default();
    let mut pause = FIRST_PAUSE;
    let (chance, mut attempt) = (RandomState::new(), 0_u64);
    loop {
        let error = match Session::open(&address).await {
            Ok(mut session) => {
                let ended = session.talk(&shared, &accounts, &mut queue, &mut ledger, &mut pause).await;
                accounts.connect(None);
                match ended {
                    Ok(()) => return,
                    Err(error) => refused(&address, &error),
                }
            }
            Err(error) => error,
        };
        if shared.status.failed() {
            tracing::warn!(%error, "shared state is away: routing goes on with what is known here");
        }
        // Up to half as much again, so that processes which lost the same server do not come back in step.
        let [some, ..] = chance.hash_one(attempt).to_le_bytes();
        tokio::time::sleep(pause + pause / 512 * u32::from(some)).await;
        attempt += 1;
        pause = (pause * 2).min(LONGEST_PAUSE);
        // What cools will be told with everything else.
        while queue.try_recv().is_ok() {}
    }
}

fn refused(address: &RedisAddress, error: &redis::RedisError) -> RedisError {
    RedisError::Refused { address: address.to_string(), message: error.to_string() }
}

/// One connection for commands and one to hear by.
pub(super) struct Session {
    link: Link,
    messages: PubSubStream,
    /// Dropping it would end the subscription.
    _subscription: PubSubSink,
    /// What the server's clock said at an instant of ours, in milliseconds.
    clock: Option<(Instant, u64)>,
}

impl Session {
    pub(super) async fn open(address: &RedisAddress) -> Result<Self, RedisError> {
        let opened = tokio::time::timeout(PATIENCE * 2, Self::connect(address)).await;
        match opened {
            Ok(session) => session.map_err(|error| refused(address, &error)),
            Err(_) => {
                let message = format!("no answer within {} s", (PATIENCE * 2).as_secs());
                Err(RedisError::Refused { address: address.to_string(), message })
            }
        }
    }

    async fn connect(address: &RedisAddress) -> RedisResult<Self> {
        let client = address.client().await?;
        let (mut subscription, messages) = client.get_async_pubsub().await?.split();
        subscription.subscribe(CHANNEL).await?;
        let link = Link::open(address).await?;
        Ok(Self { link, messages, _subscription: subscription, clock: None })
    }

    /// Exchanges until the connection breaks; ends well when the store is gone.
    async fn talk(
        &mut self,
        shared: &Shared,
        accounts: &Arc<Accounts>,
        queue: &mut mpsc::Receiver<Told>,
        ledger: &mut Ledger,
        pause: &mut Duration,
    ) -> RedisResult<()> {
        self.renew(shared, accounts, ledger).await?;
        accounts.connect(Some(self.link.clone()));
        shared.status.connected();
        *pause = FIRST_PAUSE;
        tracing::info!("shared state is connected");
        let mut exchanges = 0_u64;
        let mut exchange = tokio::time::interval(EXCHANGE_EVERY);
        exchange.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = queue.recv() => match told {
                    Some(told) => self.tell(shared, &told).await?,
                    None => return Ok(()),
                },
                message = self.messages.next() => match message {
                    Some(message) => hear(shared, &message),
                    None => return Err((redis::ErrorKind::Io, "the subscription was closed").into()),
                },
                () = shared.renew.notified() => self.renew(shared, accounts, ledger).await?,
                _ = exchange.tick() => {
                    self.exchange(shared, ledger).await?;
                    accounts.look_after();
                    exchanges += 1;
                    if exchanges.is_multiple_of(WRITE_LATENCIES_EVERY) {
                        self.write_latencies(shared, accounts).await?;
                    }
                }
            }
        }
    }

    /// Exchanges everything: what cools here and there, and the minute that is past.
    async fn renew(&mut self, shared: &Shared, accounts: &Accounts, ledger: &mut Ledger) -> RedisResult<()> {
        let cooling: Vec<String> = STILL_COOLING.key(COOLING).invoke_async(&mut self.link).await?;
        shared.status.sent(1);
        for entry in cooling.chunks_exact(3) {
            if let [deployment, remaining, cause] = entry {
                hear_cooled(shared, deployment, remaining, cause);
            }
        }
        let mut here = Vec::new();
        for peer in shared.present() {
            let now = peer.now();
            peer.tell_cooling(&mut |change| here.extend(Told::new(&change, now)));
        }
        for told in &here {
            self.tell(shared, told).await?;
        }
        let latencies = latency_board::read(&mut self.link, accounts.worker()).await?;
        shared.status.sent(1);
        shared.present().iter().for_each(|peer| latencies.tell(&**peer));
        let present = self.exchange(shared, ledger).await?;
        let mut past = redis::pipe();
        let slots = present.saturating_sub(SLOTS)..present.saturating_sub(1);
        for slot in slots.clone() {
            past.hgetall(slot_key(slot));
        }
        let sums: Vec<HashMap<String, i64>> = past.query_async(&mut self.link).await?;
        shared.status.sent(SLOTS);
        for (slot, sums) in slots.zip(sums) {
            self.read(shared, ledger, slot, &sums);
        }
        Ok(())
    }

    /// Writes down how fast deployments are here, for those who come later.
    async fn write_latencies(&mut self, shared: &Shared, accounts: &Accounts) -> RedisResult<()> {
        let mut known = Latencies::default();
        shared.present().iter().for_each(|peer| known.collect(&**peer));
        if latency_board::write(&mut self.link, accounts.worker(), &known).await? {
            shared.status.sent(1);
        }
        Ok(())
    }

    async fn tell(&mut self, shared: &Shared, told: &Told) -> RedisResult<()> {
        shared.status.sent(1);
        match told {
            Told::Cooled(deployment, until, cause) => {
                let remaining = until.saturating_duration_since(Instant::now()).as_millis();
                let Ok(remaining @ 1..) = u64::try_from(remaining) else { return Ok(()) };
                let mut cool = COOL.key(COOLING);
                cool.arg(deployment.as_str()).arg(remaining).arg(cause.as_str()).arg(CHANNEL);
                cool.invoke_async(&mut self.link).await
            }
            Told::Recovered(deployment) => {
                redis::cmd("HDEL").arg(COOLING).arg(deployment.as_str()).query_async(&mut self.link).await
            }
        }
    }

    /// Tells what was consumed here, hears what was consumed elsewhere, and returns the present slot.
    async fn exchange(&mut self, shared: &Shared, ledger: &mut Ledger) -> RedisResult<u64> {
        collect(shared, ledger);
        loop {
            let first = self.estimate().await? / SLOT_MILLIS - 2;
            let mut consume = CONSUME.prepare_invoke();
            for slot in first..first + 4 {
                consume.key(slot_key(slot));
            }
            consume.arg(first).arg(SLOT_MILLIS).arg(SLOT_LIFE_MILLIS);
            for (account, consumed) in ledger.untold() {
                consume.arg(account.as_str()).arg(consumed.requests).arg(consumed.tokens);
            }
            let asked = Instant::now();
            let reply: Vec<Value> = consume.invoke_async(&mut self.link).await?;
            shared.status.sent(1);
            let mut reply = reply.into_iter();
            let stamp: u64 = redis::from_redis_value(reply.next().unwrap_or(Value::Nil))?;
            self.clock = Some((asked, stamp));
            let (Some(present), Some(before)) = (reply.next(), reply.next()) else {
                // Our estimate of the server's clock was off by a slot or more; now it is not.
                continue;
            };
            let slot = stamp / SLOT_MILLIS;
            ledger.sent(slot);
            self.read(shared, ledger, slot - 1, &redis::from_redis_value(before)?);
            self.read(shared, ledger, slot, &redis::from_redis_value(present)?);
            return Ok(slot);
        }
    }

    /// What the server's clock says now, in milliseconds, as far as we know.
    async fn estimate(&mut self) -> RedisResult<u64> {
        let (asked, stamp) = match self.clock {
            Some(clock) => clock,
            None => {
                let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut self.link).await?;
                *self.clock.insert((Instant::now(), seconds * 1_000 + micros / 1_000))
            }
        };
        Ok(stamp + u64::try_from(asked.elapsed().as_millis()).unwrap_or(0))
    }

    /// Tells every router what others consumed in a slot.
    fn read(&self, shared: &Shared, ledger: &mut Ledger, slot: u64, sums: &HashMap<String, i64>) {
        let mut by_account: HashMap<AccountId, Consumed> = HashMap::new();
        for (field, sum) in sums {
            let Some((account, measure)) = field.rsplit_once('|') else { continue };
            let Some(account) = AccountId::parse(account) else { continue };
            let consumed = by_account.entry(account).or_default();
            match measure {
                "r" => consumed.requests = *sum,
                "t" => consumed.tokens = *sum,
                _ => {}
            }
        }
        let now = self.clock.map_or(0, |(_, stamp)| stamp);
        let ago = Duration::from_millis(now.saturating_sub((slot + 1) * SLOT_MILLIS - 1));
        let peers = shared.present();
        ledger.read(slot, &by_account, |account, consumed| {
            for peer in &peers {
                peer.hear_consumed(account, consumed, ago);
            }
        });
    }
}

/// Asks every router of this process what it consumed; its siblings hear of it at once.
fn collect(shared: &Shared, ledger: &mut Ledger) {
    let peers = shared.present();
    for (n, from) in peers.iter().enumerate() {
        from.tell_consumed(&mut |account, consumed| {
            ledger.add(account, consumed);
            for (_, to) in peers.iter().enumerate().filter(|(other, _)| *other != n) {
                to.hear_consumed(account, consumed, Duration::ZERO);
            }
        });
    }
}

fn hear(shared: &Shared, message: &Msg) {
    let Ok(text) = message.get_payload::<String>() else { return };
    let mut parts = text.splitn(3, '|');
    if let (Some(remaining), Some(cause), Some(deployment)) = (parts.next(), parts.next(), parts.next()) {
        hear_cooled(shared, deployment, remaining, cause);
    }
}

/// Takes note of a cooldown. What cannot be read was written by something else, and is passed over.
fn hear_cooled(shared: &Shared, deployment: &str, remaining: &str, cause: &str) {
    let (Ok(deployment), Ok(remaining)) = (DeploymentId::try_from(deployment), remaining.parse()) else {
        return;
    };
    let cause = ProviderErrorKind::called(cause).unwrap_or(ProviderErrorKind::Server);
    for peer in shared.present() {
        let until = peer.now() + Duration::from_millis(remaining);
        peer.hear(&HealthChange::Cooled { deployment: deployment.clone(), until, cause });
    }
}
