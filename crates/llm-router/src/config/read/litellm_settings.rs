//! `litellm_settings`: defaults for the router, and the cache.

use router_core::{FallbackKind, Place};
use router_telemetry::Prices;

use super::redis;
use super::router_settings::{default_fallbacks, fallbacks};
use crate::builder::RouterBuilder;
use crate::config::CacheSettings;
use crate::config::keys::CACHE_PARAMS;
use crate::config::yaml::{Node, Section};

/// Reads the section; fallbacks that `router_settings` has too are left to it.
pub(super) fn read(
    mut builder: RouterBuilder,
    section: Section<'_>,
    router_settings: Option<&Section<'_>>,
) -> (RouterBuilder, Option<CacheSettings>) {
    macro_rules! set {
        ($name:literal, $read:ident, $set:ident) => {
            if let Some(node) = section.get($name) {
                builder.at(Place::Setting(stringify!($set)), node.path(), node.location());
                if let Some(value) = node.$read() {
                    builder = builder.$set(value);
                }
            }
        };
    }
    set!("num_retries", count, num_retries);
    set!("request_timeout", seconds, timeout);
    set!("allowed_fails", count, allowed_fails);
    set!("drop_params", boolean, drop_params);
    set!("forward_traceparent_to_llm_provider", boolean, forward_trace);
    if let Some(node) = section.get("model_prices")
        && let Some(path) = node.string()
    {
        match Prices::built_in().with_file(&path) {
            Ok(prices) => builder = builder.prices(prices),
            Err(error) => node.complain(format!("{path} {error}")),
        }
    }
    let is_left_to_router = |name| router_settings.is_some_and(|section| section.get(name).is_some());
    if let Some(node) = section.get("default_fallbacks")
        && !is_left_to_router("default_fallbacks")
    {
        builder = default_fallbacks(builder, &node);
    }
    for kind in [FallbackKind::General, FallbackKind::ContextWindow, FallbackKind::ContentPolicy] {
        if let Some(node) = section.get(kind.setting())
            && !is_left_to_router(kind.setting())
        {
            builder = fallbacks(builder, kind, &node);
        }
    }
    let is_on = section.get("cache").and_then(|node| node.boolean()) == Some(true);
    let params = section.get("cache_params").map(|node| cache(&node, router_settings));
    let cache = if is_on { Some(params.unwrap_or_default()) } else { None };
    section.finish();
    (builder, cache)
}

fn cache(node: &Node<'_>, router_settings: Option<&Section<'_>>) -> CacheSettings {
    let mut settings = CacheSettings::default();
    let Some(section) = node.section(&CACHE_PARAMS) else { return settings };
    redis::read_cache(&section, router_settings, &mut settings);
    settings.ttl = section.get("ttl").and_then(|node| node.seconds());
    let mode = section.get("mode").and_then(|node| node.choice(&["default_on", "default_off"]));
    settings.default_on = mode.as_deref() != Some("default_off");
    settings.namespace = section.get("namespace").and_then(|node| node.string());
    settings.supported_call_types =
        section.get("supported_call_types").map(|node| node.list().iter().filter_map(Node::string).collect());
    settings.max_size_in_memory_mb = section.get("max_size_in_memory_mb").and_then(|node| node.count());
    section.finish();
    settings
}
