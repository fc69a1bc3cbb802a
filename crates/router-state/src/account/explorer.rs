//! Tries every interleaving of a small world: workers that claim, settle, leave and crash; messages that are lost on their way, lost
//! on their way back, or arrive late; time that passes. Both sides are the real ones.

use std::collections::HashSet;
use std::time::Duration;

use router_core::{AccountLimits, Budget, BudgetPeriod, Settlement, Usd};

use super::{Account, Books, Given, Message, Reply, Spans};

const SPANS: Spans = Spans { slot: 1_000, lease: 300, memory: 100_000, patience: 0 };
/// A step of time: a third of a lease.
const STEP: u64 = 100;
const MONEY: u64 = 3;
const REQUESTS: u64 = 4;

fn limits() -> AccountLimits {
    let period = BudgetPeriod::Every(Duration::from_secs(1_000_000));
    let budget = Some(Budget { most: Usd::from_pico(MONEY), period });
    AccountLimits { requests: Some(REQUESTS), tokens: None, budget }
}

/// What is left to happen, of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Left {
    claims: u8,
    losses: u8,
    crashes: u8,
    steps: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    account: Account,
    workers: Vec<Worker>,
    now: u64,
    left: Left,
    /// What was really spent, in all.
    spent: u64,
    /// What crashed workers took with them: settled and not told, or under way.
    lost: u64,
    /// Requests that were made.
    made: u64,
    /// A message that was given up and may arrive late.
    straggler: Option<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Worker {
    id: u64,
    books: Books<u8>,
    /// What is on the wire.
    wire: Wire,
    holds: Vec<(u64, u64)>,
    /// Settled, and not yet answered for by the server.
    untold: u64,
    in_message: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Wire {
    Quiet,
    Asking(Message),
    Answering(Reply),
}

impl Worker {
    fn new(id: u64) -> Self {
        let books = Books::new(id, SPANS);
        Self { id, books, wire: Wire::Quiet, holds: Vec::new(), untold: 0, in_message: 0 }
    }

    fn held(&self) -> u64 {
        self.holds.iter().map(|(_, cost)| cost).sum()
    }

    fn is_idle(&self, now: u64) -> bool {
        self.wire == Wire::Quiet && self.holds.is_empty() && !self.books.has_news(now)
    }
}

impl World {
    fn new(workers: u64, left: Left) -> Self {
        Self {
            account: Account::default(),
            workers: (1..=workers).map(Worker::new).collect(),
            now: 1_000,
            left,
            spent: 0,
            lost: 0,
            made: 0,
            straggler: None,
        }
    }

    /// Everything that can happen next.
    fn next(&self) -> Vec<Self> {
        let mut worlds = Vec::new();
        for n in 0..self.workers.len() {
            let mut change = |change: &dyn Fn(&mut Self, usize) -> bool| {
                let mut next = self.clone();
                if change(&mut next, n) {
                    worlds.push(next);
                }
            };
            for cost in [1, 2] {
                change(&|world, n| world.claim(n, cost));
            }
            change(&Self::send);
            change(&Self::serve);
            change(&|world, n| world.deliver(n, true));
            change(&|world, n| world.deliver(n, false));
            change(&|world, n| world.lose(n, false));
            change(&|world, n| world.lose(n, true));
            change(&|world, n| world.settle(n, Some(0)));
            change(&|world, n| world.settle(n, Some(1)));
            change(&|world, n| world.settle(n, None));
            change(&Self::crash);
        }
        let mut later = self.clone();
        if later.pass() {
            worlds.push(later);
        }
        let mut late = self.clone();
        if let Some(message) = late.straggler.take() {
            let _ = late.account.exchange(&message, late.now, SPANS);
            worlds.push(late);
        }
        worlds
    }

    fn claim(&mut self, n: usize, cost: u64) -> bool {
        let left = self.left.claims > 0;
        if left {
            self.left.claims -= 1;
            self.workers[n].books.claim(0, limits(), 1, Usd::from_pico(cost));
        }
        left
    }

    fn send(&mut self, n: usize) -> bool {
        let worker = &mut self.workers[n];
        if worker.wire != Wire::Quiet {
            return false;
        }
        let is_new = worker.in_message == 0;
        let Some(message) = worker.books.message(self.now) else { return false };
        worker.wire = Wire::Asking(message.clone());
        if is_new && message.spent > 0 {
            worker.in_message = message.spent;
        }
        true
    }

    fn serve(&mut self, n: usize) -> bool {
        let Wire::Asking(message) = &self.workers[n].wire else { return false };
        let reply = self.account.exchange(message, self.now, SPANS);
        self.workers[n].wire = Wire::Answering(reply);
        true
    }

    /// Who asked is there and takes what it is given, or left and gives it back.
    fn deliver(&mut self, n: usize, is_there: bool) -> bool {
        let now = self.now;
        let worker = &mut self.workers[n];
        let Wire::Answering(reply) = worker.wire.clone() else { return false };
        worker.wire = Wire::Quiet;
        worker.untold -= worker.in_message;
        worker.in_message = 0;
        let given = worker.books.hear(reply, now);
        for (_, given) in &given {
            if let Given::Place { slot, tokens, cost } = given {
                if is_there {
                    worker.holds.push((*slot, *cost));
                } else {
                    worker.books.settle(*slot, *tokens, *cost, Settlement::Unused);
                }
            }
        }
        is_there || !given.is_empty()
    }

    /// A message is lost before or after the server saw it; it may yet arrive late.
    fn lose(&mut self, n: usize, arrives_late: bool) -> bool {
        if self.left.losses == 0 {
            return false;
        }
        let wire = std::mem::replace(&mut self.workers[n].wire, Wire::Quiet);
        match wire {
            Wire::Quiet => return false,
            Wire::Asking(message) if arrives_late => self.straggler = Some(message),
            Wire::Asking(_) => {}
            Wire::Answering(_) if arrives_late => return false,
            Wire::Answering(_) => {}
        }
        self.left.losses -= 1;
        true
    }

    /// A call ends: it cost so much less than it was granted, or was never made.
    fn settle(&mut self, n: usize, less: Option<u64>) -> bool {
        let worker = &mut self.workers[n];
        let Some((slot, cost)) = worker.holds.pop() else { return false };
        let settlement = match less {
            None => Settlement::Unused,
            Some(less) => {
                let really = cost.saturating_sub(less);
                self.spent += really;
                self.made += 1;
                worker.untold += really;
                Settlement::Used { tokens: None, cost: Usd::from_pico(really) }
            }
        };
        worker.books.settle(slot, 1, cost, settlement);
        true
    }

    /// A worker ends at once, and another takes its place.
    fn crash(&mut self, n: usize) -> bool {
        if self.left.crashes == 0 {
            return false;
        }
        self.left.crashes -= 1;
        let id = self.workers.iter().map(|worker| worker.id).max().unwrap_or(0) + 1;
        let worker = std::mem::replace(&mut self.workers[n], Worker::new(id));
        // Its calls were sent, and what they cost nobody will say.
        let under_way = worker.held();
        self.spent += under_way;
        self.made += worker.holds.len() as u64;
        self.lost += worker.untold + under_way;
        if let Wire::Asking(message) = worker.wire {
            self.straggler = Some(message);
        }
        true
    }

    /// Time passes. A message takes less than a third of a lease, since nobody waits that long for it, and workers that hold something
    /// have spoken in time.
    fn pass(&mut self) -> bool {
        let in_time = |worker: &Worker| worker.wire == Wire::Quiet && !worker.books.has_news(self.now);
        if self.left.steps == 0 || !self.workers.iter().all(in_time) {
            return false;
        }
        self.left.steps -= 1;
        self.now += STEP;
        true
    }

    fn check(&self) {
        let held: u64 = self.workers.iter().map(Worker::held).sum();
        assert!(
            self.spent + held <= MONEY + self.lost,
            "overspent: {} spent, {held} held, {} lost with crashed workers\n{self:#?}",
            self.spent,
            self.lost
        );
        let made = self.made + self.workers.iter().map(|worker| worker.holds.len() as u64).sum::<u64>();
        assert!(made <= REQUESTS, "{made} requests\n{self:#?}");
        if self.straggler.is_none() && self.workers.iter().all(|worker| worker.is_idle(self.now)) {
            self.check_nothing_leaked();
        }
    }

    /// Everything is settled and told, and crashed workers' leases are over: what is left can be had, to the last unit.
    fn check_nothing_leaked(&self) {
        let mut world = self.clone();
        let nobody_crashed = self.workers.iter().all(|worker| worker.id <= self.workers.len() as u64);
        let now = if nobody_crashed { world.now } else { world.now + SPANS.lease };
        let room = (MONEY + self.lost).saturating_sub(self.spent).min(MONEY);
        let is_granted = |world: &mut Self, money: u64| {
            let mut books = Books::new(99, SPANS);
            books.claim(0, AccountLimits { requests: None, ..limits() }, 0, Usd::from_pico(money));
            let message = books.message(now).unwrap().clone();
            let reply = world.account.exchange(&message, now, SPANS);
            matches!(books.hear(reply, now).as_slice(), [(_, Given::Place { .. })])
        };
        if room > 0 && self.lost == 0 {
            assert!(is_granted(&mut world.clone(), room), "{room} leaked\n{self:#?}");
        }
        let requests = |most| {
            let mut books = Books::new(99, SPANS);
            books.claim(
                0,
                AccountLimits { requests: Some(most), ..AccountLimits::default() },
                0,
                Usd::default(),
            );
            let message = books.message(now).unwrap().clone();
            let reply = self.account.clone().exchange(&message, now, SPANS);
            matches!(books.hear(reply, now).as_slice(), [(_, Given::Place { .. })])
        };
        // What a crashed worker was granted and never knew of counts until it leaves the minute.
        if nobody_crashed {
            assert!(requests(self.made + 1) && !requests(self.made), "{} were made\n{self:#?}", self.made);
        }
        assert!(!is_granted(&mut world, room + 1), "more than {room} is to be had\n{self:#?}");
    }
}

fn explore(workers: u64, left: Left) -> usize {
    let first = World::new(workers, left);
    let mut seen = HashSet::from([first.clone()]);
    let mut open = vec![first];
    while let Some(world) = open.pop() {
        world.check();
        assert!(seen.len() < 2_000_000, "it does not come to rest");
        for next in world.next() {
            if !seen.contains(&next) {
                seen.insert(next.clone());
                open.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn no_interleaving_of_two_workers_overspends_or_leaks() {
    let states = explore(2, Left { claims: 3, losses: 1, crashes: 0, steps: 0 });
    assert!(states > 10_000, "{states}");
}

#[test]
fn nor_does_one_with_crashes_and_time_that_passes() {
    let states = explore(2, Left { claims: 2, losses: 0, crashes: 1, steps: 3 });
    assert!(states > 10_000, "{states}");
}

#[test]
fn nor_does_one_of_three_workers() {
    let states = explore(3, Left { claims: 3, losses: 0, crashes: 0, steps: 0 });
    assert!(states > 10_000, "{states}");
}
