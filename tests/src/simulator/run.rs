//! The loop: takes the next event off the agenda and drives the route it belongs to.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "moments are rounded to a microsecond"
)]

use std::sync::Arc;
use std::time::Duration;

use router_core::{
    Admission, Attempt, Catalog, Config, Demand, DeploymentIndex, Dice, FallbackConfig, FallbackKind, Fleet,
    Lesson, PoolConfig, PoolIndex, ProviderError, ProviderErrorKind, RequestKind, Reservation, Route, Step,
    Timestamp, Usage, Usd,
};

use super::agenda::{Agenda, Event};
use super::chance::{Lengths, exponential, happens};
use super::provider::{Answer, Upstream};
use super::report::{DeploymentReport, PoolReport, Report, Slices, micros};
use super::{SimulatedPool, World};

/// The world begins in January 2027.
const BEGINNING_MILLIS: u64 = 1_800_000_000_000;

pub(super) fn run(world: World, requests: u64, span: Duration) -> Report {
    let mut run = Run::new(world, requests, micros(span));
    while let Some((moment, event)) = run.agenda.next() {
        run.now = moment;
        match event {
            Event::Arrival(pool) => run.arrive(pool),
            Event::Wake(slot) => run.wake(slot),
        }
    }
    run.report()
}

struct Run {
    now: u64,
    agenda: Agenda,
    fleet: Arc<Fleet>,
    traffic: Vec<Traffic>,
    upstreams: Vec<Upstream>,
    slots: Slots,
    seeds: Dice,
    /// Requests still to come.
    to_come: u64,
    /// When the last may come.
    until: u64,
    pools: Vec<PoolReport>,
    deployments: Vec<DeploymentReport>,
    strays: u64,
}

/// What comes to one pool.
struct Traffic {
    pool: PoolIndex,
    per_micro: f64,
    prompts: Lengths,
    completions: Lengths,
    streamed: f64,
    is_priced: bool,
    dice: Dice,
    /// Who got the last first attempt, and how many in a row.
    last: Option<(DeploymentIndex, u64)>,
}

/// One request under way.
struct Request {
    pool: usize,
    arrived: u64,
    kind: RequestKind,
    prompt: u64,
    completion: u64,
    cheapest: Usd,
    attempts: u64,
    route: Route,
    dice: Dice,
    stage: Stage,
}

enum Stage {
    /// It asks its route what to do.
    Asking,
    /// It is being answered, or will hear of a failure.
    Calling(Attempt, Answer),
    /// Its first token came; the rest is on its way.
    Streaming(Reservation, Answer),
}

/// The requests under way, and the empty places between them.
#[derive(Default)]
struct Slots {
    requests: Vec<Option<Request>>,
    free: Vec<usize>,
}

impl Slots {
    fn put(&mut self, request: Request) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.requests.push(None);
            self.requests.len() - 1
        });
        self.requests[slot] = Some(request);
        slot
    }

    fn at(&mut self, slot: usize) -> &mut Request {
        self.requests[slot].as_mut().unwrap()
    }

    fn take(&mut self, slot: usize) -> Request {
        self.free.push(slot);
        self.requests[slot].take().unwrap()
    }
}

impl Run {
    fn new(world: World, requests: u64, until: u64) -> Self {
        let World { seed, pools: simulated, settings, slice } = world;
        let mut seeds = Dice::from_seed(seed);
        let catalog = Arc::new(catalog(&simulated, settings));
        let (mut traffic, mut pools) = (Vec::new(), Vec::new());
        let (mut upstreams, mut deployments) = (Vec::new(), Vec::new());
        let mut agenda = Agenda::default();
        for (position, pool) in simulated.into_iter().enumerate() {
            let index = catalog.pool(pool.alias.as_str()).unwrap();
            traffic.push(Traffic {
                pool: index,
                per_micro: pool.per_second / 1e6,
                prompts: pool.prompts,
                completions: pool.completions,
                streamed: pool.streamed,
                is_priced: pool.providers.iter().any(|provider| provider.config.price.is_some()),
                dice: Dice::from_seed(seeds.next_u64()),
                last: None,
            });
            pools.push(pool_report(pool.alias.as_str(), catalog.attempt_bound(index), slice));
            // Dice by position, so that one provider more changes nothing for the others.
            let provider_seed = seeds.next_u64();
            for (n, provider) in pool.providers.into_iter().enumerate() {
                let id = provider.config.id.as_ref().unwrap().to_string();
                deployments.push(deployment_report(id, position, slice));
                upstreams.push(Upstream::new(provider, provider_seed ^ (n as u64) << 32));
            }
            agenda.plan(0, Event::Arrival(position));
        }
        Self {
            now: 0,
            agenda,
            fleet: Arc::new(Fleet::new(catalog)),
            traffic,
            upstreams,
            slots: Slots::default(),
            seeds,
            to_come: requests,
            until,
            pools,
            deployments,
            strays: 0,
        }
    }

    fn clock(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING_MILLIS + self.now / 1000)
    }

    /// Starts the next request of a pool and plans the one after it.
    fn arrive(&mut self, pool: usize) {
        let traffic = &mut self.traffic[pool];
        if traffic.per_micro <= 0.0 || self.to_come == 0 || self.now >= self.until {
            return;
        }
        self.to_come -= 1;
        let gap = exponential(&mut traffic.dice, traffic.per_micro) as u64;
        self.agenda.plan(self.now + gap, Event::Arrival(pool));
        let prompt = traffic.prompts.draw(&mut traffic.dice);
        let completion = traffic.completions.draw(&mut traffic.dice);
        let streamed = happens(&mut traffic.dice, traffic.streamed);
        let demand = if streamed { Demand::stream() } else { Demand::whole() }.with_prompt_tokens(prompt);
        let (kind, index, is_priced) = (demand.kind, traffic.pool, traffic.is_priced);
        let report = &mut self.pools[pool];
        report.arrived += 1;
        report.slices.at(self.now).arrived += 1;
        let request = Request {
            pool,
            arrived: self.now,
            kind,
            prompt,
            completion,
            cheapest: if is_priced { self.cheapest(index, &demand, completion) } else { Usd::default() },
            attempts: 0,
            route: Route::new(Arc::clone(&self.fleet), index, demand, self.clock()),
            dice: Dice::from_seed(self.seeds.next_u64()),
            stage: Stage::Asking,
        };
        let slot = self.slots.put(request);
        self.wake(slot);
    }

    /// What a request costs at whoever is cheapest for its real lengths and ready; of all, when nobody is.
    fn cheapest(&self, pool: PoolIndex, demand: &Demand, completion: u64) -> Usd {
        let now = self.clock();
        let members = self.fleet.catalog()[pool].members();
        let cost = |member: &DeploymentIndex| {
            self.fleet.catalog()[*member].price().map(|price| price.of(demand.prompt_tokens, completion))
        };
        let ready =
            |member: &&DeploymentIndex| self.fleet.admission(**member, demand, now) == Admission::Ready;
        let best = members.iter().filter(ready).filter_map(cost).min();
        best.or_else(|| members.iter().filter_map(cost).min()).unwrap_or_default()
    }

    /// Goes on with a request: tells its route what it heard, and does what that says.
    fn wake(&mut self, slot: usize) {
        let now = self.clock();
        let Some(request) = self.slots.requests[slot].as_mut() else {
            self.strays += 1;
            return;
        };
        match std::mem::replace(&mut request.stage, Stage::Asking) {
            Stage::Asking => self.ask(slot, now),
            Stage::Calling(attempt, answer) => self.hear(slot, attempt, answer, now),
            Stage::Streaming(reservation, answer) => self.finish_stream(slot, reservation, answer, now),
        }
    }

    fn ask(&mut self, slot: usize, now: Timestamp) {
        let request = self.slots.at(slot);
        match request.route.next(now, &mut request.dice) {
            Step::Attempt(attempt) => self.call(slot, attempt),
            Step::Wait(span) => self.agenda.plan(self.now + micros(span), Event::Wake(slot)),
            Step::Done(verdict) => {
                if let Err(failure) = verdict {
                    self.pools[request.pool].count_failure(failure);
                }
                self.end(slot);
            }
        }
    }

    fn call(&mut self, slot: usize, attempt: Attempt) {
        let request = self.slots.at(slot);
        let index = attempt.deployment();
        if request.attempts == 0 {
            let traffic = &mut self.traffic[request.pool];
            let run = traffic.last.filter(|(last, _)| *last == index).map_or(1, |(_, run)| run + 1);
            traffic.last = Some((index, run));
            let longest = &mut self.pools[request.pool].longest_run;
            *longest = run.max(*longest);
        }
        request.attempts += 1;
        let deployment = &mut self.deployments[index.get()];
        deployment.calls += 1;
        deployment.probes += u64::from(attempt.is_probe());
        deployment.slices.at(self.now).calls += 1;

        let mut answer = self.upstreams[index.get()].call(self.now, request.completion);
        let heard = match request.kind {
            RequestKind::Whole => answer.end,
            RequestKind::Stream => answer.first.min(answer.end),
        };
        let timeout = micros(attempt.timeout());
        if heard > timeout {
            answer.error = Some(ProviderError::new(ProviderErrorKind::Timeout, ""));
            (answer.first, answer.end) = (timeout, timeout);
        }
        self.agenda.plan(self.now + heard.min(timeout), Event::Wake(slot));
        request.stage = Stage::Calling(attempt, answer);
    }

    /// Something came back: a whole reply, a stream's first token, or a failure before either.
    fn hear(&mut self, slot: usize, attempt: Attempt, answer: Answer, now: Timestamp) {
        let request = self.slots.at(slot);
        if request.kind == RequestKind::Stream && (answer.first < answer.end || answer.error.is_none()) {
            let reservation = request.route.record_first_token(attempt, now);
            self.agenda.plan(request_end(self.now, &answer), Event::Wake(slot));
            request.stage = Stage::Streaming(reservation, answer);
            self.count_answer(slot);
            return;
        }
        let deployment = attempt.deployment();
        match answer.error {
            None => {
                let lesson = lesson(request, answer.headroom);
                let _ = request.route.record(attempt, Ok(lesson), now);
                self.count_answer(slot);
                self.count_spend(slot, deployment);
            }
            Some(error) => {
                self.count_error(deployment, &error);
                let _ = self.slots.at(slot).route.record(attempt, Err(error), now);
            }
        }
        self.ask(slot, now);
    }

    fn finish_stream(&mut self, slot: usize, reservation: Reservation, answer: Answer, now: Timestamp) {
        let deployment = reservation.deployment();
        let request = self.slots.at(slot);
        match answer.error {
            None => {
                let lesson = lesson(request, answer.headroom);
                let _ = reservation.settle(None, lesson, now);
                self.count_spend(slot, deployment);
            }
            Some(_) => {
                let error = ProviderError::new(ProviderErrorKind::StreamInterrupted, "");
                self.pools[request.pool].interrupted += 1;
                self.count_error(deployment, &error);
                let _ = reservation.settle(Some(&error), Lesson::default(), now);
            }
        }
        self.ask(slot, now);
    }

    fn count_answer(&mut self, slot: usize) {
        let request = self.slots.at(slot);
        let pool = &mut self.pools[request.pool];
        pool.answered += 1;
        let slice = pool.slices.at(request.arrived);
        slice.answered += 1;
        slice.latency.add(self.now - request.arrived);
    }

    fn count_spend(&mut self, slot: usize, deployment: DeploymentIndex) {
        let request = self.slots.at(slot);
        if let Some(price) = self.fleet.catalog()[deployment].price() {
            let pool = &mut self.pools[request.pool];
            pool.spend = pool.spend.plus(price.of(request.prompt, request.completion));
            pool.cheapest = pool.cheapest.plus(request.cheapest);
        }
    }

    fn count_error(&mut self, deployment: DeploymentIndex, error: &ProviderError) {
        let deployment = &mut self.deployments[deployment.get()];
        deployment.errors += 1;
        deployment.rate_limited += u64::from(error.kind() == ProviderErrorKind::RateLimited);
        deployment.slices.at(self.now).errors += 1;
    }

    fn end(&mut self, slot: usize) {
        let request = self.slots.take(slot);
        let pool = &mut self.pools[request.pool];
        pool.attempts += request.attempts;
        pool.most_attempts = pool.most_attempts.max(request.attempts);
    }

    fn report(mut self) -> Report {
        for (index, deployment) in self.fleet.catalog().indices().zip(&mut self.deployments) {
            deployment.in_flight = self.fleet.in_flight(index);
        }
        let under_way = self.slots.requests.iter().flatten().count() as u64;
        Report {
            pools: self.pools,
            deployments: self.deployments,
            lost: under_way + self.strays,
            ended: Duration::from_micros(self.now),
        }
    }
}

/// When a stream whose first token comes now has ended.
const fn request_end(now: u64, answer: &Answer) -> u64 {
    now + answer.end.saturating_sub(answer.first)
}

fn lesson(request: &Request, headroom: Option<router_core::Headroom>) -> Lesson {
    let usage = Usage { prompt: request.prompt, completion: request.completion, ..Usage::default() };
    Lesson::default().with_usage(Some(usage)).with_headroom(headroom)
}

fn catalog(pools: &[SimulatedPool], settings: router_core::Settings) -> Catalog {
    let mut config = Config { settings, ..Config::default() };
    for pool in pools {
        config.deployments.extend(pool.providers.iter().map(|provider| {
            let mut deployment = provider.config.clone();
            deployment.alias = pool.alias.clone();
            deployment
        }));
        config.pools.push(PoolConfig {
            alias: pool.alias.clone(),
            routing_strategy: Some(Arc::clone(&pool.strategy)),
            num_retries: None,
            retry_policy: None,
        });
        if !pool.fallbacks.is_empty() {
            config.fallbacks.push(FallbackConfig {
                kind: FallbackKind::General,
                from: Some(pool.alias.clone()),
                to: pool.fallbacks.clone(),
            });
        }
    }
    Catalog::new(config).unwrap()
}

fn pool_report(alias: &str, attempt_bound: u64, slice: Duration) -> PoolReport {
    PoolReport {
        alias: alias.to_owned(),
        arrived: 0,
        answered: 0,
        attempted: 0,
        unavailable: 0,
        otherwise: 0,
        interrupted: 0,
        attempts: 0,
        most_attempts: 0,
        attempt_bound,
        longest_run: 0,
        spend: Usd::default(),
        cheapest: Usd::default(),
        slices: Slices::new(slice),
    }
}

fn deployment_report(id: String, pool: usize, slice: Duration) -> DeploymentReport {
    DeploymentReport {
        id,
        pool,
        calls: 0,
        errors: 0,
        rate_limited: 0,
        probes: 0,
        in_flight: 0,
        slices: Slices::new(slice),
    }
}
