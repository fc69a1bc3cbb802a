//! What a file says beyond the router itself: for the gateway, or whoever else serves it.

use std::time::Duration;

#[cfg(feature = "redis")]
use router_state::RedisAddress;
use secrecy::SecretString;

use super::Location;

/// `general_settings`: who may call, and how much the gateway takes on. What is not set is `None`.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct GeneralSettings {
    /// The key that may do everything.
    pub master_key: Option<SecretString>,
    /// Keys for others.
    pub virtual_keys: Vec<VirtualKeySettings>,
    /// Requests under way at a time, for keys that set none.
    pub max_parallel_requests: Option<u32>,
    /// Requests under way at a time.
    pub global_max_parallel_requests: Option<u32>,
    /// The largest request body, in megabytes.
    pub max_request_size_mb: Option<u32>,
    /// Open connections at a time.
    pub max_connections: Option<u32>,
    /// How long a client may take to send a head, or be idle.
    pub head_timeout: Option<Duration>,
    /// How long a client may take to send a body.
    pub body_timeout: Option<Duration>,
    /// How long a client may read nothing of an answer.
    pub write_timeout: Option<Duration>,
    /// Origins whose pages may call from a browser.
    pub cors_origins: Vec<String>,
}

/// One entry of `virtual_keys`.
#[derive(Debug)]
#[non_exhaustive]
pub struct VirtualKeySettings {
    /// Where it stands.
    pub location: Location,
    /// Its path in the file.
    pub path: String,
    /// The key, or its hash.
    pub key: KeySetting,
    /// Its name.
    pub key_alias: Option<String>,
    /// Aliases it may call.
    pub models: Vec<String>,
    /// Further names for aliases.
    pub aliases: Vec<(String, String)>,
    /// Requests per minute.
    pub rpm_limit: Option<u64>,
    /// Tokens per minute.
    pub tpm_limit: Option<u64>,
    /// Requests under way at a time.
    pub max_parallel_requests: Option<u32>,
    /// Dollars it may spend.
    pub max_budget: Option<f64>,
    /// When its budget starts anew, as written.
    pub budget_duration: Option<String>,
    /// Whether requests and tokens hold exactly across processes.
    pub strict_limits: bool,
    /// Whether it is refused.
    pub blocked: bool,
}

/// A key, as a file has it.
#[derive(Debug)]
pub enum KeySetting {
    /// Itself.
    Plain(SecretString),
    /// Its SHA-256, in hexadecimal.
    Hash(String),
}

/// `litellm_settings.cache_params`, when `cache` is on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CacheSettings {
    /// How long an answer is kept.
    pub ttl: Option<Duration>,
    /// Whether requests are cached that do not ask for it.
    pub default_on: bool,
    /// Keeps entries apart from those of other users of the same cache.
    pub namespace: Option<String>,
    /// What is cached, in LiteLLM's words; everything when `None`.
    pub supported_call_types: Option<Vec<String>>,
    /// How much memory it may take, in megabytes.
    pub max_size_in_memory_mb: Option<u32>,
    /// The Redis that keeps the answers; `None` for the memory of this process.
    #[cfg(feature = "redis")]
    pub redis: Option<RedisAddress>,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            ttl: None,
            default_on: true,
            namespace: None,
            supported_call_types: None,
            max_size_in_memory_mb: None,
            #[cfg(feature = "redis")]
            redis: None,
        }
    }
}

/// Where the accounts of requests go, by the names of sinks, and what those need to know.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Callbacks {
    /// `callbacks`: for every request.
    pub all: Vec<String>,
    /// `success_callback`: for those that were answered.
    pub successes: Vec<String>,
    /// `failure_callback`: for those that were not.
    pub failures: Vec<String>,
    /// `callback_settings`, by name.
    pub settings: Vec<(String, CallbackSettings)>,
}

impl Callbacks {
    /// Returns the settings of a callback; empty ones where the file has none.
    pub fn settings_of(&self, name: &str) -> CallbackSettings {
        let found = self.settings.iter().find(|(known, _)| known == name);
        found.map(|(_, settings)| settings.clone()).unwrap_or_default()
    }
}

/// What a callback needs to know.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CallbackSettings {
    /// The file.
    pub path: Option<String>,
    /// The address, which may hold a password.
    pub url: Option<SecretString>,
    /// Who writes.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<SecretString>,
    /// The table.
    pub table: Option<String>,
}
