//! What a request says about the cache, in LiteLLM's words: `"cache": {"no-cache": true}`.

use std::time::Duration;

use serde::Deserialize;

/// The field `cache` of a request. What is not said is as the configuration has it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Control {
    /// Ask, whatever is kept.
    #[serde(rename = "no-cache")]
    pub(crate) no_cache: bool,
    /// Do not keep the answer.
    #[serde(rename = "no-store")]
    pub(crate) no_store: bool,
    /// Use the cache where requests have to ask for it.
    #[serde(rename = "use-cache")]
    pub(crate) use_cache: bool,
    /// Seconds to keep the answer.
    ttl: Option<f64>,
    /// Seconds since an answer was given that are not too many.
    #[serde(rename = "s-maxage", alias = "s-max-age")]
    max_age: Option<f64>,
    /// Keeps the answer apart.
    pub(crate) namespace: Option<String>,
}

impl Control {
    pub(crate) const FIELD: &str = "cache";
    pub(crate) const EXPECTED: &str = "an object such as {\"no-cache\": true}";

    pub(crate) fn ttl(&self) -> Option<Duration> {
        self.ttl.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    pub(crate) fn max_age(&self) -> Option<Duration> {
        self.max_age.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}
