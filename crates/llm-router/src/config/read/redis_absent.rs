//! `redis_*` in a build without Redis: said, and not passed over in silence.

use crate::builder::RouterBuilder;
use crate::config::CacheSettings;
use crate::config::yaml::Section;

const COMPLAINT: &str =
    "this build shares nothing through Redis: build `llm-router` with its feature `redis`, or remove the key";

/// Complains about a cache in Redis.
pub(super) fn read_cache(
    section: &Section<'_>,
    _router_settings: Option<&Section<'_>>,
    _settings: &mut CacheSettings,
) {
    if let Some(node) = section.get("type")
        && node.choice(&["local", "redis"]).as_deref() == Some("redis")
    {
        node.complain(COMPLAINT);
    }
    for name in ["host", "port", "url", "username", "password", "ssl"] {
        let _ = section.get(name);
    }
}

/// Complains about each key that would need it. Those that only say who we are there are read, and mean nothing by themselves.
pub(super) fn read(builder: RouterBuilder, section: &Section<'_>) -> RouterBuilder {
    const WHERE: [&str; 4] = ["redis_url", "redis_host", "redis_cluster_nodes", "sentinel_nodes"];
    const WHO: [&str; 7] = [
        "redis_port",
        "redis_username",
        "redis_password",
        "redis_db",
        "redis_ssl",
        "service_name",
        "sentinel_password",
    ];
    for node in WHERE.iter().filter_map(|name| section.get(name)) {
        node.complain(COMPLAINT);
    }
    if let Some(node) = section.get("redis_required")
        && node.boolean() == Some(true)
    {
        node.complain(COMPLAINT);
    }
    for name in WHO {
        let _ = section.get(name);
    }
    builder
}

#[cfg(test)]
mod tests {
    use crate::ConfigFile;

    #[test]
    fn a_configuration_that_needs_redis_is_refused_by_name_and_one_that_only_could_is_not() {
        let read = |settings: &str| {
            let text = format!(
                "model_list:\n  - model_name: a\n    litellm_params: {{ model: m, api_key: k }}\nrouter_settings:\n{settings}"
            );
            ConfigFile::parse(&text, "config.yaml", &|_| None).map(|_| ()).map_err(|error| error.to_string())
        };
        for key in ["redis_host: localhost", "redis_url: 'redis://localhost'", "redis_required: true"] {
            let error = read(&format!("  {key}\n")).unwrap_err();
            let name = key.split(':').next().unwrap();
            assert!(error.contains(name) && error.contains("feature `redis`"), "{error}");
        }
        assert_eq!(read("  redis_port: 6379\n  redis_required: false\n"), Ok(()));
    }
}
