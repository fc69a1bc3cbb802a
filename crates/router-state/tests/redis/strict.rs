//! Limits that hold exactly, over a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use router_core::{
    AccountId, AccountLimits, Budget, BudgetPeriod, Claim, Hold, Refused, Reserved, Settlement, StateStore,
    Timestamp, Usd,
};
use router_state::RedisStore;

use crate::away::eventually;
use crate::server::Server;

const NOW: Timestamp = Timestamp::from_millis(0);

pub(crate) fn claim(limits: AccountLimits, tokens: u64, pico: u64) -> Claim {
    Claim { account: AccountId::of_key("test"), limits, tokens, cost: Usd::from_pico(pico) }
}

pub(crate) const fn budget(pico: u64) -> AccountLimits {
    let budget = Budget { most: Usd::from_pico(pico), period: BudgetPeriod::Forever };
    AccountLimits { requests: None, tokens: None, budget: Some(budget) }
}

pub(crate) const fn spent(pico: u64) -> Settlement {
    Settlement::Used { tokens: None, cost: Usd::from_pico(pico) }
}

async fn connected(server: &Server) -> Arc<RedisStore> {
    let store = server.store();
    eventually("a connection", || store.status().is_connected).await;
    store
}

/// Each of eight stores asks for so many places, 64 at a time.
async fn eight_ask(
    stores: &[Arc<RedisStore>],
    requests: u64,
    claim: &Claim,
    then: Option<Settlement>,
) -> Asked {
    let asked = Arc::new(Asked::default());
    let mut tasks = Vec::new();
    for store in stores {
        let left = Arc::new(AtomicU64::new(requests));
        for _ in 0..64 {
            let (store, claim, asked, left) =
                (Arc::clone(store), claim.clone(), Arc::clone(&asked), Arc::clone(&left));
            tasks.push(tokio::spawn(async move {
                while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                    match store.reserve(&claim, NOW).await {
                        Reserved::Granted(hold) => {
                            asked.granted.fetch_add(1, Relaxed);
                            if let Some(settlement) = then {
                                store.settle(hold, settlement, NOW);
                            }
                        }
                        Reserved::Refused(_) => _ = asked.refused.fetch_add(1, Relaxed),
                        Reserved::Away { .. } => _ = asked.away.fetch_add(1, Relaxed),
                    }
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    Arc::into_inner(asked).unwrap()
}

#[derive(Debug, Default)]
struct Asked {
    granted: AtomicU64,
    refused: AtomicU64,
    away: AtomicU64,
}

impl Asked {
    fn counts(&self) -> (u64, u64, u64) {
        (self.granted.load(Relaxed), self.refused.load(Relaxed), self.away.load(Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_thousand_requests_over_eight_workers_exactly_the_limit_is_admitted() {
    const LIMIT: u64 = 30_000;
    let server = Server::start(&[]).await;
    let mut stores = Vec::new();
    for _ in 0..8 {
        stores.push(connected(&server).await);
    }
    let begun = Instant::now();
    let limits = AccountLimits { requests: Some(LIMIT), ..AccountLimits::default() };
    let asked = eight_ask(&stores, 12_500, &claim(limits, 10, 0), Some(spent(0))).await;
    let span = begun.elapsed();
    assert!(span < Duration::from_secs(60), "{span:?}: the minute must not pass");
    let commands: u64 = stores.iter().map(|store| store.status().commands).sum();
    let (granted, refused, away) = asked.counts();
    println!("100000 requests in {span:?}: {granted} admitted of {LIMIT}; {commands} commands");
    assert_eq!((granted, refused, away), (LIMIT, 100_000 - LIMIT, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_spent_to_the_last_unit_and_never_over_it() {
    let server = Server::start(&[]).await;
    let mut stores = Vec::new();
    for _ in 0..8 {
        stores.push(connected(&server).await);
    }
    // Each may cost 10 and costs 7. While all hold theirs, some are refused; once they are settled nobody is without reason.
    let limits = budget(7_000);
    let asked = eight_ask(&stores, 500, &claim(limits, 1, 10), Some(spent(7))).await;
    let (mut granted, _, away) = asked.counts();
    assert!(granted <= 1_000 && away == 0, "{granted} of 7 each, {away}");
    loop {
        match stores[0].reserve(&claim(limits, 1, 7), NOW).await {
            Reserved::Granted(hold) => {
                stores[0].settle(hold, spent(7), NOW);
                granted += 1;
            }
            refused => {
                assert!(matches!(refused, Reserved::Refused(Refused::Budget(None))), "{refused:?}");
                break;
            }
        }
    }
    assert_eq!(granted, 1_000, "not one too few");
}

#[tokio::test]
async fn whoever_leaves_before_the_answer_leaves_nothing_behind() {
    let server = Server::start(&[]).await;
    let store = connected(&server).await;
    let limits = AccountLimits { requests: Some(50), tokens: Some(5_000), ..budget(500) };
    for n in 0..500_u64 {
        let claim = claim(limits, 100, 10);
        let reserve = store.reserve(&claim, NOW);
        // Dropped at once, or after the answer may have come.
        let _ = tokio::time::timeout(Duration::from_micros(n % 300), reserve).await.map(|reserved| {
            if let Reserved::Granted(hold) = reserved {
                store.settle(hold, Settlement::Unused, NOW);
            }
        });
    }
    let key = "llm-router:v1:{key:test}";
    eventually("that everything is given back", || {
        let fields = server.cli(&["hgetall", key]);
        let lines: Vec<&str> = fields.lines().collect();
        lines.chunks(2).all(|pair| match pair {
            [field, value] if field.starts_with("r:") || field.starts_with("t:") => *value == "0",
            [field, value] if field.starts_with("w:") => value.split(' ').nth(1) == Some("0"),
            _ => true,
        })
    })
    .await;
    let mut holds = Vec::new();
    while let Reserved::Granted(hold) = store.reserve(&claim(limits, 100, 10), NOW).await {
        holds.push(hold);
    }
    assert_eq!(holds.len(), 50);
    assert_ne!(server.cli(&["pttl", key]), "-1", "the key has its time to live");
}

#[tokio::test]
async fn a_server_that_is_away_decides_nothing_and_holds_nobody_up_for_long() {
    let mut server = Server::start(&[]).await;
    let store = connected(&server).await;
    let ask = || async { store.reserve(&claim(budget(100), 1, 10), NOW).await };
    let Reserved::Granted(hold) = ask().await else { panic!("there is room") };
    server.signal("-STOP");
    let begun = Instant::now();
    for _ in 0..200 {
        assert!(matches!(ask().await, Reserved::Away { .. }));
    }
    let span = begun.elapsed();
    assert!(span < 3 * RedisStore::RESERVE_PATIENCE, "{span:?}: only the first waited");
    server.kill();
    eventually("the loss", || !store.status().is_connected).await;
    store.settle(hold, spent(10), NOW);
    assert_eq!(ask().await, Reserved::Away { spent: Some(Usd::from_pico(10)) }, "what is known here");
    // It comes back empty, and is told.
    server.restart().await;
    eventually("a connection", || store.status().is_connected).await;
    let other = connected(&server).await;
    eventually("what was spent before", || server.cli(&["hget", "llm-router:v1:{key:test}", "s"]) == "10")
        .await;
    let mut holds: Vec<Hold> = Vec::new();
    while let Reserved::Granted(hold) = other.reserve(&claim(budget(100), 1, 10), NOW).await {
        holds.push(hold);
    }
    assert_eq!(holds.len(), 9, "the budget remembers");
}
