//! A world of simulated providers on a virtual clock: days of traffic through the real routes in seconds, and the same
//! seed always tells the same story.
//!
//! Describe a [`World`] of [`SimulatedPool`]s, each with a strategy, its traffic and its [`SimulatedProvider`]s; run it; ask the
//! [`Report`]. There is no runtime and nothing sleeps: an agenda of events drives `Route::next` and `Route::record` exactly as
//! the engine does, with as many routes under way at a time as the traffic brings.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use router_core::PeakEwma;
//! use system_tests::simulator::{SimulatedPool, SimulatedProvider, World};
//!
//! let report = World::new(7)
//!     .pool(
//!         SimulatedPool::new("chat", Arc::new(PeakEwma))
//!             .arrivals_per_second(50.0)
//!             .provider(SimulatedProvider::new("steady").latency(Duration::from_millis(300), 0.4))
//!             .provider(
//!                 SimulatedProvider::new("shaky")
//!                     .error_rate(0.02)
//!                     .outage(Duration::from_secs(60)..Duration::from_secs(90)),
//!             ),
//!     )
//!     .run_requests(20_000);
//! println!("{report}");
//! ```
//!
//! Every source of chance has dice of its own, seeded from the world's seed: the arrivals and lengths of a pool do not change
//! when a provider is added to it, so two worlds with one seed can be compared request by request.

mod agenda;
mod chance;
mod histogram;
mod provider;
mod report;
mod run;

use std::sync::Arc;
use std::time::Duration;

use router_core::{Alias, Settings, Strategy};

pub use self::chance::Lengths;
pub use self::histogram::Histogram;
pub use self::provider::{BrownOut, RateLimit, SimulatedProvider};
pub use self::report::{DeploymentReport, PoolReport, Report};

/// Everything a run depends on.
#[derive(Debug)]
pub struct World {
    seed: u64,
    pools: Vec<SimulatedPool>,
    settings: Settings,
    slice: Duration,
}

/// A pool: how it chooses, what traffic it gets, who answers.
#[derive(Debug)]
pub struct SimulatedPool {
    alias: Alias,
    strategy: Arc<dyn Strategy>,
    per_second: f64,
    prompts: Lengths,
    completions: Lengths,
    streamed: f64,
    fallbacks: Vec<Alias>,
    providers: Vec<SimulatedProvider>,
}

impl World {
    /// Makes a world without pools, with the router's default settings.
    pub fn new(seed: u64) -> Self {
        Self { seed, pools: Vec::new(), settings: Settings::default(), slice: Duration::from_secs(5) }
    }

    /// Adds a pool.
    #[must_use]
    pub fn pool(mut self, pool: SimulatedPool) -> Self {
        self.pools.push(pool);
        self
    }

    /// Changes the router's settings.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Sets the width of the slices by which the report tells what happened when. Default 5 s.
    #[must_use]
    pub const fn slice(mut self, width: Duration) -> Self {
        self.slice = width;
        self
    }

    /// Runs until this many requests have arrived and ended.
    pub fn run_requests(self, count: u64) -> Report {
        run::run(self, count, Duration::MAX)
    }

    /// Runs until requests have arrived for this long and all have ended.
    pub fn run_for(self, span: Duration) -> Report {
        run::run(self, u64::MAX, span)
    }
}

impl SimulatedPool {
    /// Makes a pool without providers: 20 requests a second, prompts around 400 tokens, answers around 200, none streamed.
    pub fn new(alias: &str, strategy: Arc<dyn Strategy>) -> Self {
        Self {
            alias: name(alias),
            strategy,
            per_second: 20.0,
            prompts: Lengths::around(400.0, 0.8),
            completions: Lengths::around(200.0, 0.8),
            streamed: 0.0,
            fallbacks: Vec::new(),
            providers: Vec::new(),
        }
    }

    /// Sets how many requests arrive in a second on average; the gaps between them are exponential.
    #[must_use]
    pub const fn arrivals_per_second(mut self, rate: f64) -> Self {
        self.per_second = rate;
        self
    }

    /// Sets the lengths of prompts and of answers, in tokens. The router knows those of prompts only.
    #[must_use]
    pub const fn lengths(mut self, prompts: Lengths, completions: Lengths) -> Self {
        self.prompts = prompts;
        self.completions = completions;
        self
    }

    /// Sets the share of requests that ask for a stream.
    #[must_use]
    pub const fn streamed(mut self, share: f64) -> Self {
        self.streamed = share;
        self
    }

    /// Adds an alias to fall back to.
    #[must_use]
    pub fn fallback(mut self, alias: &str) -> Self {
        self.fallbacks.push(name(alias));
        self
    }

    /// Adds a deployment, by the provider that answers for it.
    #[must_use]
    pub fn provider(mut self, provider: SimulatedProvider) -> Self {
        self.providers.push(provider);
        self
    }

    /// Adds several.
    #[must_use]
    pub fn providers(mut self, providers: impl IntoIterator<Item = SimulatedProvider>) -> Self {
        self.providers.extend(providers);
        self
    }
}

fn name(alias: &str) -> Alias {
    Alias::try_from(alias).unwrap()
}
