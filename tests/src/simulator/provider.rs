//! A provider as a random process: how long it takes, when it fails, what it allows, what it charges.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are rounded to a microsecond"
)]

use std::ops::Range;
use std::time::Duration;

use router_core::{
    DeploymentConfig, DeploymentId, Dice, Headroom, Price, ProviderError, ProviderErrorKind, Usd,
};

use super::chance::{happens, log_mean, log_normal};
use super::name;

/// How long a refusal takes: a closed port, a 429.
const REFUSAL_MICROS: u64 = 5_000;
const MINUTE_MICROS: u64 = 60_000_000;

/// A deployment and the provider behind it. All moments count from the beginning of the world.
#[derive(Debug, Clone)]
pub struct SimulatedProvider {
    pub(super) config: DeploymentConfig,
    log_mean: f64,
    spread: f64,
    per_token: f64,
    error_rate: f64,
    rate_limit: Option<RateLimit>,
    outages: Vec<Range<u64>>,
    slow_start: Option<(Duration, f64)>,
    brown_outs: Vec<BrownOut>,
}

/// A token bucket: so many requests a minute, so many at once. Beyond it there is a 429 with Retry-After.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    per_minute: u64,
    burst: u64,
    headers: bool,
}

/// A time in which a provider answers, but badly.
#[derive(Debug, Clone)]
pub struct BrownOut {
    during: Range<Duration>,
    latency_factor: f64,
    error_rate: f64,
}

impl RateLimit {
    /// Allows this many requests a minute, and all of them at once.
    pub const fn per_minute(requests: u64) -> Self {
        Self { per_minute: requests, burst: requests, headers: false }
    }

    /// Allows only this many at once.
    #[must_use]
    pub const fn burst(mut self, requests: u64) -> Self {
        self.burst = requests;
        self
    }

    /// Tells what is left in the headers of every answer.
    #[must_use]
    pub const fn with_headers(mut self) -> Self {
        self.headers = true;
        self
    }
}

impl BrownOut {
    /// Makes every answer take `factor` times as long.
    pub const fn slow(during: Range<Duration>, factor: f64) -> Self {
        Self { during, latency_factor: factor, error_rate: 0.0 }
    }

    /// Makes this share of the calls fail with a server error.
    pub const fn failing(during: Range<Duration>, error_rate: f64) -> Self {
        Self { during, latency_factor: 1.0, error_rate }
    }

    /// Makes this share of the calls fail, too.
    #[must_use]
    pub const fn with_errors(mut self, error_rate: f64) -> Self {
        self.error_rate = error_rate;
        self
    }
}

impl SimulatedProvider {
    /// Makes a provider that answers in 200 ms on average, without fail, without limit and without price. The name becomes
    /// the deployment's id.
    pub fn new(id: &str) -> Self {
        let mut config = DeploymentConfig::new(name(id), id, id);
        config.id = DeploymentId::try_from(id).ok();
        Self {
            config,
            log_mean: log_mean(200_000.0, 0.3),
            spread: 0.3,
            per_token: 0.0,
            error_rate: 0.0,
            rate_limit: None,
            outages: Vec::new(),
            slow_start: None,
            brown_outs: Vec::new(),
        }
    }

    /// Sets the time to an answer's first token, log-normal: its mean, and the standard deviation of its logarithm.
    #[must_use]
    pub fn latency(mut self, mean: Duration, spread: f64) -> Self {
        self.log_mean = log_mean(mean.as_micros() as f64, spread);
        self.spread = spread;
        self
    }

    /// Sets the time each token of the answer takes on top.
    #[must_use]
    pub const fn per_token(mut self, span: Duration) -> Self {
        self.per_token = span.as_micros() as f64;
        self
    }

    /// Sets the share of calls that fail with a server error.
    #[must_use]
    pub const fn error_rate(mut self, share: f64) -> Self {
        self.error_rate = share;
        self
    }

    /// Sets what the provider allows.
    #[must_use]
    pub const fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Adds a time in which nothing answers: connections are refused, and calls under way break off.
    #[must_use]
    pub fn outage(mut self, during: Range<Duration>) -> Self {
        self.outages.push(during.start.as_micros() as u64..during.end.as_micros() as u64);
        self
    }

    /// After each outage, latencies start `factor` times as long and come down to normal within `span`.
    #[must_use]
    pub const fn slow_start(mut self, span: Duration, factor: f64) -> Self {
        self.slow_start = Some((span, factor));
        self
    }

    /// Adds a time in which it answers badly.
    #[must_use]
    pub fn brown_out(mut self, brown_out: BrownOut) -> Self {
        self.brown_outs.push(brown_out);
        self
    }

    /// Sets what a million tokens cost, of prompts and of answers, in dollars.
    #[must_use]
    pub fn price(mut self, input: f64, output: f64) -> Self {
        let per_token = |per_million: f64| Usd::from_dollars(per_million / 1e6).unwrap();
        self.config.price = Some(Price { input: per_token(input), output: per_token(output) });
        self
    }

    /// Changes what the router is told of the deployment: its weight, its rpm, its timeout.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut DeploymentConfig)) -> Self {
        change(&mut self.config);
        self
    }
}

/// A provider with its dice and what is left of its limit.
#[derive(Debug)]
pub(super) struct Upstream {
    model: SimulatedProvider,
    dice: Dice,
    /// Requests left in the bucket, in parts of a minute's microseconds, so that refilling is exact.
    left: u64,
    refilled: u64,
}

/// What comes of one call, known when it begins. Spans are in microseconds from there.
#[derive(Debug)]
pub(super) struct Answer {
    /// When a stream's first token comes.
    pub(super) first: u64,
    /// When the call ends.
    pub(super) end: u64,
    /// Why it fails, if it does.
    pub(super) error: Option<ProviderError>,
    /// What the headers said.
    pub(super) headroom: Option<Headroom>,
}

impl Answer {
    fn failing(after: u64, kind: ProviderErrorKind) -> Self {
        Self { first: after, end: after, error: Some(ProviderError::new(kind, "")), headroom: None }
    }
}

impl Upstream {
    pub(super) fn new(model: SimulatedProvider, seed: u64) -> Self {
        let left = model.rate_limit.map_or(0, |limit| limit.burst * MINUTE_MICROS);
        Self { model, dice: Dice::from_seed(seed), left, refilled: 0 }
    }

    /// Decides what comes of a call that begins now.
    pub(super) fn call(&mut self, now: u64, completion: u64) -> Answer {
        // Thrown whatever happens, so that calls stay comparable between worlds.
        let to_first = log_normal(&mut self.dice, self.model.log_mean, self.model.spread);
        let mut factor = 1.0;
        let mut error_rate = self.model.error_rate;
        for brown_out in &self.model.brown_outs {
            if brown_out.during.contains(&Duration::from_micros(now)) {
                factor *= brown_out.latency_factor;
                error_rate = error_rate.max(brown_out.error_rate);
            }
        }
        let fails = happens(&mut self.dice, error_rate);
        if self.model.outages.iter().any(|outage| outage.contains(&now)) {
            return Answer::failing(REFUSAL_MICROS, ProviderErrorKind::Connection);
        }
        let headroom = match self.admit(now) {
            Ok(headroom) => headroom,
            Err(retry_after) => {
                let error =
                    ProviderError::new(ProviderErrorKind::RateLimited, "").with_retry_after(retry_after);
                return Answer {
                    error: Some(error),
                    ..Answer::failing(REFUSAL_MICROS, ProviderErrorKind::RateLimited)
                };
            }
        };
        factor *= self.warming(now);
        let first = (to_first * factor) as u64;
        if fails {
            return Answer::failing(first, ProviderErrorKind::Server);
        }
        let end = first + (completion as f64 * self.model.per_token * factor) as u64;
        if let Some(outage) =
            self.model.outages.iter().find(|outage| (now..now + end).contains(&outage.start))
        {
            let cut = outage.start - now;
            return Answer { first, ..Answer::failing(cut, ProviderErrorKind::Connection) };
        }
        Answer { first, end, error: None, headroom }
    }

    /// Takes a request from the bucket. Returns the headers, or when there will be one.
    fn admit(&mut self, now: u64) -> Result<Option<Headroom>, Duration> {
        let Some(limit) = self.model.rate_limit else { return Ok(None) };
        let full = limit.burst * MINUTE_MICROS;
        self.left = full.min(self.left + (now - self.refilled) * limit.per_minute);
        self.refilled = now;
        if self.left < MINUTE_MICROS {
            let micros = (MINUTE_MICROS - self.left).div_ceil(limit.per_minute);
            // Retry-After counts whole seconds.
            return Err(Duration::from_secs(micros.div_ceil(1_000_000)));
        }
        self.left -= MINUTE_MICROS;
        Ok(limit.headers.then(|| {
            let mut headroom = Headroom::default();
            headroom.requests_limit = Some(limit.burst);
            headroom.requests_remaining = Some(self.left / MINUTE_MICROS);
            headroom.requests_reset =
                Some(Duration::from_micros((full - self.left).div_ceil(limit.per_minute)));
            headroom
        }))
    }

    /// By how much latencies are still longer than usual after an outage.
    fn warming(&self, now: u64) -> f64 {
        let Some((span, factor)) = self.model.slow_start else { return 1.0 };
        let ends = self.model.outages.iter().map(|outage| outage.end).filter(|end| *end <= now);
        ends.max().map_or(1.0, |end| {
            let left = 1.0 - (now - end) as f64 / span.as_micros() as f64;
            1.0 + (factor - 1.0) * left.max(0.0)
        })
    }
}
