//! Keys and limits as `general_settings` has them.

use llm_router::{
    Alias, ConfigFileError, GeneralSettings, KeySetting, Problem, Router, Usd, VirtualKeySettings,
};
use secrecy::ExposeSecret;

use super::key::ALL_MODELS;
use super::{Access, BudgetPeriod, KeyHash, KeyLimits, VirtualKey};

impl Access {
    /// Lets in whom the settings name; everybody when they name nobody.
    ///
    /// # Errors
    /// Every key that is none, with its place.
    pub fn from_settings(settings: &GeneralSettings) -> Result<Self, ConfigFileError> {
        let mut problems = Vec::new();
        let master = settings.master_key.as_ref().map(|key| KeyHash::of(key.expose_secret()));
        if settings.master_key.as_ref().is_some_and(|key| key.expose_secret().is_empty()) {
            let message = "an empty key would let everybody in".to_owned();
            problems.push(Problem {
                location: None,
                path: "general_settings.master_key".to_owned(),
                message,
            });
        }
        let mut keys: Vec<VirtualKey> = Vec::new();
        for (n, entry) in settings.virtual_keys.iter().enumerate() {
            let problem = |key: &str, message: String| Problem {
                location: Some(entry.location.clone()),
                path: if key.is_empty() { entry.path.clone() } else { format!("{}.{key}", entry.path) },
                message,
            };
            match virtual_key(entry, n, settings.max_parallel_requests) {
                Ok(key)
                    if keys.iter().any(|other| other.hash() == key.hash()) || master == Some(key.hash()) =>
                {
                    problems.push(problem("", "this key is listed twice: leave one".to_owned()));
                }
                Ok(key) => keys.push(key),
                Err((name, message)) => problems.push(problem(name, message)),
            }
        }
        if !problems.is_empty() {
            return Err(ConfigFileError::Wrong(problems));
        }
        let is_open = master.is_none() && keys.is_empty();
        Ok(if is_open { Self::open() } else { Self::with_keys(master, keys) })
    }
}

/// Returns what the keys name and the router does not have.
pub(crate) fn unknown_aliases(settings: &GeneralSettings, router: &Router) -> Vec<Problem> {
    let catalog = router.fleet().catalog();
    let aliases = router.aliases();
    let is_known = |name: &str| {
        name == ALL_MODELS
            || name.contains('*')
            || catalog.pool(name).is_some()
            || aliases.iter().any(|alias| alias.as_str() == name)
    };
    let mut problems = Vec::new();
    for key in &settings.virtual_keys {
        let named = key.models.iter().chain(key.aliases.iter().map(|(_, alias)| alias));
        for name in named.filter(|name| !is_known(name) && !key.aliases.iter().any(|(own, _)| own == *name)) {
            let known = aliases.iter().map(Alias::as_str).collect::<Vec<_>>().join(", ");
            problems.push(Problem {
                location: Some(key.location.clone()),
                path: key.path.clone(),
                message: format!("there is no alias `{name}`: known are {known}"),
            });
        }
    }
    problems
}

fn virtual_key(
    entry: &VirtualKeySettings,
    n: usize,
    usual_parallel_requests: Option<u32>,
) -> Result<VirtualKey, (&'static str, String)> {
    let hash = match &entry.key {
        KeySetting::Plain(key) if key.expose_secret().is_empty() => {
            return Err(("key", "an empty key would let everybody in".to_owned()));
        }
        KeySetting::Plain(key) => KeyHash::of(key.expose_secret()),
        KeySetting::Hash(hex) => KeyHash::from_hex(hex).map_err(|_| {
            (
                "key_hash",
                "expected 64 hexadecimal digits, as `printf %s \"$KEY\" | sha256sum` prints them".to_owned(),
            )
        })?,
    };
    let period = match entry.budget_duration.as_deref() {
        None => BudgetPeriod::Forever,
        Some(text) => BudgetPeriod::parse(text).ok_or_else(|| {
            (
                "budget_duration",
                format!("expected a time such as `day`, `month`, `12h` or `7d`, found `{text}`"),
            )
        })?,
    };
    let amount = |dollars| {
        Usd::from_dollars(dollars)
            .ok_or_else(|| ("max_budget", "expected dollars, not less than 0".to_owned()))
    };
    let limits = KeyLimits {
        requests_per_minute: entry.rpm_limit,
        tokens_per_minute: entry.tpm_limit,
        parallel_requests: entry.max_parallel_requests.or(usual_parallel_requests),
        budget: entry.max_budget.map(amount).transpose()?.map(|amount| (amount, period)),
        strict: entry.strict_limits,
    };
    let name = entry.key_alias.clone().unwrap_or_else(|| format!("virtual_keys[{n}]"));
    Ok(VirtualKey::new(hash, name)
        .with_models(entry.models.iter().cloned())
        .with_aliases(entry.aliases.iter().cloned())
        .with_limits(limits)
        .blocked(entry.blocked))
}
