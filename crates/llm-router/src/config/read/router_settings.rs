//! `router_settings`.

use std::sync::Arc;
use std::time::Duration;

use router_core::{FallbackKind, Place, Strategy};

use super::{classifier, policy, redis};
use crate::builder::{PoolSettings, RouterBuilder, strategy_named};
use crate::config::keys::{POOL, Policy};
use crate::config::yaml::{Node, Section};

pub(super) fn read(mut builder: RouterBuilder, section: Section<'_>) -> RouterBuilder {
    macro_rules! set {
        ($name:literal, $read:ident, $set:ident) => {
            if let Some(node) = section.get($name) {
                builder.at(Place::Setting($name), node.path(), node.location());
                if let Some(value) = node.$read() {
                    builder = builder.$set(value);
                }
            }
        };
    }
    set!("num_retries", count, num_retries);
    set!("retry_after", seconds, retry_after);
    set!("timeout", seconds, timeout);
    set!("stream_timeout", seconds, stream_timeout);
    set!("total_timeout", seconds, total_timeout);
    set!("cooldown_time", seconds, cooldown_time);
    set!("allowed_fails", count, allowed_fails);
    set!("max_fallbacks", count, max_fallbacks);
    set!("queue_timeout", seconds, queue_timeout);
    set!("enable_pre_call_checks", boolean, enable_pre_call_checks);
    set!("enable_tag_filtering", boolean, enable_tag_filtering);
    set!("enable_mid_stream_fallback_continuation", boolean, enable_mid_stream_fallback_continuation);
    set!("default_max_parallel_requests", count, default_max_parallel_requests);
    set!("strict_limits", boolean, strict_limits);
    if section.get("disable_cooldowns").and_then(|node| node.boolean()) == Some(true) {
        builder = builder.cooldown_time(Duration::ZERO);
    }
    if let Some(found) = section.get("retry_policy").and_then(|node| policy::read(&node, Policy::Retries)) {
        builder = builder.retry_policy(found);
    }
    let allowed_fails = section.get("allowed_fails_policy");
    if let Some(found) = allowed_fails.and_then(|node| policy::read(&node, Policy::AllowedFails)) {
        builder = builder.allowed_fails_policy(found);
    }
    if let Some(node) = section.get("default_fallbacks") {
        builder = default_fallbacks(builder, &node);
    }
    for (name, node) in section.get("model_group_alias").iter().flat_map(Node::entries) {
        builder.at(Place::Alias(builder.alias_count()), node.path(), node.location());
        if let Some(target) = alias_target(&node) {
            builder = builder.model_group_alias(name, target);
        }
    }
    if let Some(found) = strategy(&section) {
        builder = builder.routing_strategy(found);
    }
    for kind in [FallbackKind::General, FallbackKind::ContextWindow, FallbackKind::ContentPolicy] {
        if let Some(node) = section.get(kind.setting()) {
            builder = fallbacks(builder, kind, &node);
        }
    }
    for (alias, node) in section.get("model_group_retry_policy").iter().flat_map(Node::entries) {
        builder.at(Place::Pool(builder.pool_count()), node.path(), node.location());
        if let Some(found) = policy::read(&node, Policy::Retries) {
            builder = builder.pool(alias, PoolSettings::new().retry_policy(found));
        }
    }
    for (alias, node) in section.get("pools").iter().flat_map(Node::entries) {
        let Some(pool) = node.section(&POOL) else { continue };
        builder.at(Place::Pool(builder.pool_count()), node.path(), node.location());
        let mut settings = PoolSettings::new();
        if let Some(found) = strategy(&pool) {
            settings = settings.routing_strategy(found);
        }
        if let Some(retries) = pool.get("num_retries").and_then(|node| node.count()) {
            settings = settings.num_retries(retries);
        }
        if let Some(found) = pool.get("retry_policy").and_then(|node| policy::read(&node, Policy::Retries)) {
            settings = settings.retry_policy(found);
        }
        builder = builder.pool(alias, settings);
        pool.finish();
    }
    if let Some(node) = section.get("classifier") {
        builder = classifier::read(builder, &node);
    }
    builder = redis::read(builder, &section);
    section.finish();
    builder
}

fn strategy(section: &Section<'_>) -> Option<Arc<dyn Strategy>> {
    let node = section.get("routing_strategy")?;
    let name = node.string()?;
    match strategy_named(&name) {
        Ok(strategy) => Some(strategy),
        Err(known) => {
            node.complain(format!("there is no strategy `{name}`: known are {known}"));
            None
        }
    }
}

/// The target of a further name. Whether it is `hidden` makes no difference: further names are never listed.
fn alias_target(node: &Node<'_>) -> Option<String> {
    if !node.is_mapping() {
        return node.string();
    }
    let mut target = None;
    for (name, value) in node.entries() {
        match name.as_str() {
            "model" => target = Some(value.string()?),
            "hidden" => {
                value.boolean()?;
            }
            _ => {
                value.complain("expected `model` and `hidden` only");
                return None;
            }
        }
    }
    if target.is_none() {
        node.complain("`model` is missing: expected an alias");
    }
    target
}

pub(super) fn default_fallbacks(mut builder: RouterBuilder, node: &Node<'_>) -> RouterBuilder {
    let list = builder.fallback_count();
    let mut to = Vec::new();
    for target in node.list() {
        builder.at(Place::FallbackTo(list, to.len()), target.path(), target.location());
        to.extend(target.string());
    }
    builder.default_fallbacks(to)
}

/// Reads LiteLLM's list of one-entry mappings, `- fast: [capable]`.
pub(super) fn fallbacks(mut builder: RouterBuilder, kind: FallbackKind, node: &Node<'_>) -> RouterBuilder {
    for item in node.list() {
        for (from, targets) in item.entries() {
            let list = builder.fallback_count();
            builder.at(Place::FallbackFrom(list), targets.path(), targets.location());
            let mut to = Vec::new();
            for target in targets.list() {
                builder.at(Place::FallbackTo(list, to.len()), target.path(), target.location());
                if let Some(alias) = target.string() {
                    to.push(alias);
                }
            }
            builder = builder.fallback_edges(kind, from, to);
        }
    }
    builder
}
