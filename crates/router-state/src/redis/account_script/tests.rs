//! The script against the state machine that it repeats, on a real server.

use std::time::Duration;

use router_core::{AccountLimits, Budget, BudgetPeriod, Dice, Settlement, Usd};

use super::*;
use crate::account::{Account, Books, Given};

#[path = "../../../tests/redis/server.rs"]
#[expect(dead_code, reason = "other tests do more with it")]
mod server;

use server::Server;

/// Slot, tokens and cost of each.
type Holds = Vec<(u64, u64, u64)>;

async fn link(server: &Server) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Random workers with random luck; slots, leases and memories short enough to pass while they are at it. Redis's time is told to the
/// state machine, so both see the same.
#[tokio::test]
async fn the_script_does_what_the_state_machine_does() {
    let spans = Spans { slot: 8, lease: 40, memory: 90, patience: 0 };
    let server = Server::start(&[]).await;
    let mut link = link(&server).await;
    let id = AccountId::of_key("random");
    let mut seen = [0_u32; 5];
    for seed in 0..6 {
        redis::cmd("FLUSHALL").exec_async(&mut link).await.unwrap();
        let mut dice = Dice::from_seed(seed);
        let period = BudgetPeriod::Every(Duration::from_secs(if seed % 2 == 0 { 1 } else { 1_000_000 }));
        let limits = AccountLimits {
            requests: (seed != 1).then_some(60),
            tokens: (seed != 2).then_some(4_000),
            budget: (seed != 3).then_some(Budget { most: Usd::from_pico(2_500), period }),
        };
        let mut account = Account::default();
        let mut workers: Vec<(Books<u64>, Holds)> =
            (1..=4).map(|worker| (Books::new(worker, spans), Vec::new())).collect();
        let mut now = 0;
        for step in 0..1_500 {
            let (books, holds) = &mut workers[usize::try_from(dice.below(4)).unwrap()];
            for _ in 0..dice.below(4) {
                books.claim(step, limits, dice.below(150), Usd::from_pico(dice.below(120)));
            }
            if let Some((slot, tokens, cost)) = holds.pop() {
                let settlement = match dice.below(4) {
                    0 => Settlement::Unused,
                    1 => Settlement::Used { tokens: None, cost: Usd::from_pico(cost) },
                    _ => Settlement::Used {
                        tokens: Some(dice.below(200)),
                        cost: Usd::from_pico(dice.below(cost + 1)),
                    },
                };
                books.settle(slot, tokens, cost, settlement);
            }
            if dice.below(200) == 0 {
                // It crashes, and what it held is nobody's.
                *books = Books::new(1_000 + step, spans);
                holds.clear();
            }
            let Some(message) = books.message(now).cloned() else { continue };
            // Some arrive twice.
            for _ in 0..=u64::from(dice.below(5) == 0) {
                let reply = exchange(&mut link, &id, &message, spans, now).await.unwrap();
                now = reply.now;
                let expected = account.exchange(&message, now, spans);
                assert_eq!(reply, expected, "seed {seed}, step {step}: {message:?}\n{account:?}");
                if let Answer::Done { verdicts, .. } = &reply.answer {
                    for verdict in verdicts {
                        seen[match verdict {
                            Verdict::Granted => 0,
                            Verdict::Requests(_) => 1,
                            Verdict::Tokens(_) => 2,
                            Verdict::Budget => 3,
                        }] += 1;
                    }
                } else {
                    seen[4] += 1;
                }
            }
            // And some answers are lost.
            if dice.below(6) > 0 {
                let reply = account.exchange(&message, now, spans);
                for (_, given) in books.hear(reply, now) {
                    if let Given::Place { slot, tokens, cost } = given {
                        holds.push((slot, tokens, cost));
                    }
                }
            }
        }
        let life: i64 = redis::cmd("PTTL").arg(account_key(&id)).query_async(&mut link).await.unwrap();
        assert!(life > 0, "every key has its time to live");
    }
    assert!(seen.iter().all(|count| *count > 2), "each verdict was seen: {seen:?}");
}

#[tokio::test]
async fn what_a_crashed_worker_held_comes_back_when_its_lease_is_over() {
    let spans = Spans { slot: 5_000, lease: 150, memory: 600_000, patience: 0 };
    let server = Server::start(&[]).await;
    let mut link = link(&server).await;
    let id = AccountId::of_key("crash");
    let budget = Some(Budget { most: Usd::from_pico(100), period: BudgetPeriod::Forever });
    let limits = AccountLimits { budget, ..AccountLimits::default() };
    let mut ask = async |worker: u64| {
        let mut books = Books::new(worker, spans);
        books.claim((), limits, 1, Usd::from_pico(100));
        let message = books.message(0).unwrap().clone();
        let reply = exchange(&mut link, &id, &message, spans, 0).await.unwrap();
        matches!(books.hear(reply, 0).as_slice(), [((), Given::Place { .. })])
    };
    assert!(ask(1).await);
    assert!(!ask(2).await, "the first holds everything");
    // The second look is by another worker each time: nobody's lease is renewed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(ask(3).await);
}
