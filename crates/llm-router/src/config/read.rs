//! The sections of a configuration file, one function each.

use router_core::{FallbackKind, KindPolicy, Place, ProviderErrorKind};

use super::yaml::{Environment, Node, Reader, Section};
use super::{ConfigFile, ConfigFileError};
use crate::builder::{Deployment, PoolSettings, RouterBuilder, strategy_named};

pub(super) fn read(
    text: &str,
    file: &str,
    environment: Environment<'_>,
) -> Result<ConfigFile, ConfigFileError> {
    let reader = Reader::new(file, environment);
    let mut builder = RouterBuilder::default();
    let yaml = reader.parse(text).map_err(ConfigFileError::Unreadable)?;
    if let Some(root) = reader.root(&yaml).section() {
        if let Some(variables) = root.get("environment_variables") {
            environment_variables(&reader, &variables);
        }
        if let Some(list) = root.require("model_list", "a list of deployments") {
            builder.at(Place::Deployments, list.path(), list.location());
            for (n, entry) in list.list().into_iter().enumerate() {
                if let Some(deployment) = deployment(&mut builder, n, &entry) {
                    builder = builder.deployment(deployment);
                }
            }
        }
        if let Some(settings) = root.get("router_settings") {
            builder = router_settings(builder, &settings);
        }
        if let Some(settings) = root.get("litellm_settings") {
            builder = litellm_settings(builder, &settings);
        }
        root.finish();
    }
    let (problems, ignored) = reader.finish();
    if problems.is_empty() {
        Ok(ConfigFile { builder, ignored })
    } else {
        Err(ConfigFileError::Wrong(problems))
    }
}

fn environment_variables(reader: &Reader<'_>, section: &Node<'_>) {
    for (name, value) in section.entries() {
        if let Some(value) = value.string() {
            reader.add_variable(name, value);
        }
    }
}

fn deployment(builder: &mut RouterBuilder, n: usize, entry: &Node<'_>) -> Option<Deployment> {
    let section = entry.section()?;
    let alias = section.require("model_name", "the alias that applications call")?.string();
    let params_node = section.require("litellm_params", "a mapping with `model`")?;
    let params = params_node.section()?;
    let model_node = params.require("model", "a model such as `openai/gpt-4o`")?;
    let model = model_node.string();
    builder.at(Place::Deployment(n, "model"), model_node.path(), model_node.location());

    let mut place = |setting: &'static str, node: &Node<'_>| {
        builder.at(Place::Deployment(n, setting), node.path(), node.location());
    };
    let mut deployment = Deployment::new(alias?, model?);
    let mut ok = true;
    // A key that is there and cannot be read is a problem by now; a key that is not there is none.
    macro_rules! set {
        ($section:ident, $name:literal, $read:ident, $set:ident) => {
            if let Some(node) = $section.get($name) {
                place($name, &node);
                match node.$read() {
                    Some(value) => deployment = deployment.$set(value),
                    None => ok = false,
                }
            }
        };
    }
    set!(params, "api_key", secret, api_key);
    set!(params, "api_base", string, api_base);
    set!(params, "api_version", string, api_version);
    set!(params, "azure_ad_token", secret, azure_ad_token);
    set!(params, "drop_params", boolean, drop_params);
    set!(params, "organization", string, organization);
    set!(params, "vertex_project", string, vertex_project);
    set!(params, "vertex_location", string, vertex_location);
    set!(params, "vertex_credentials", secret, vertex_credentials);
    set!(params, "aws_access_key_id", string, aws_access_key_id);
    set!(params, "aws_secret_access_key", secret, aws_secret_access_key);
    set!(params, "aws_session_token", secret, aws_session_token);
    set!(params, "aws_region_name", string, aws_region_name);
    set!(params, "aws_bedrock_runtime_endpoint", string, aws_bedrock_runtime_endpoint);
    set!(params, "custom_llm_provider", string, custom_llm_provider);
    set!(params, "weight", number, weight);
    set!(section, "rpm", integer, rpm);
    set!(section, "tpm", integer, tpm);
    set!(params, "rpm", integer, rpm);
    set!(params, "tpm", integer, tpm);
    set!(params, "timeout", seconds, timeout);
    set!(params, "stream_timeout", seconds, stream_timeout);
    set!(params, "cooldown_time", seconds, cooldown_time);
    set!(params, "order", count, order);
    set!(params, "max_parallel_requests", count, max_parallel_requests);
    set!(params, "input_cost_per_token", number, input_cost_per_token);
    set!(params, "output_cost_per_token", number, output_cost_per_token);
    if let Some(tags) = params.get("tags") {
        place("tags", &tags);
        for tag in tags.list() {
            deployment = deployment.tag(tag.string()?);
        }
    }
    if let Some(headers) = params.get("extra_headers") {
        place("extra_headers", &headers);
        for (name, value) in headers.entries() {
            deployment = deployment.header(name, value.secret()?);
        }
    }
    if let Some(info) = section.get("model_info") {
        let info = info.section()?;
        set!(info, "id", string, id);
        set!(info, "max_input_tokens", integer, max_input_tokens);
        set!(info, "cooldown_time", seconds, cooldown_time);
        set!(info, "allowed_fails", count, allowed_fails);
        set!(info, "order", count, order);
        set!(info, "supports_assistant_prefill", boolean, supports_assistant_prefill);
        set!(info, "supports_function_calling", boolean, supports_function_calling);
        set!(info, "supports_vision", boolean, supports_vision);
        set!(info, "input_cost_per_token", number, input_cost_per_token);
        set!(info, "output_cost_per_token", number, output_cost_per_token);
        if let Some(node) = info.get("allowed_fails_policy") {
            deployment = deployment.allowed_fails_policy(kind_policy(&node, "AllowedFails")?);
        }
        info.finish();
    }
    params.finish();
    section.finish();
    ok.then_some(deployment)
}

fn router_settings(mut builder: RouterBuilder, node: &Node<'_>) -> RouterBuilder {
    let Some(section) = node.section() else {
        return builder;
    };
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
    if let Some(policy) = section.get("retry_policy").and_then(|node| kind_policy(&node, "Retries")) {
        builder = builder.retry_policy(policy);
    }
    if let Some(policy) =
        section.get("allowed_fails_policy").and_then(|node| kind_policy(&node, "AllowedFails"))
    {
        builder = builder.allowed_fails_policy(policy);
    }
    if let Some(node) = section.get("default_fallbacks") {
        let list = builder.fallback_count();
        let mut to = Vec::new();
        for target in node.list() {
            builder.at(Place::FallbackTo(list, to.len()), target.path(), target.location());
            to.extend(target.string());
        }
        builder = builder.default_fallbacks(to);
    }
    if let Some(aliases) = section.get("model_group_alias") {
        for (name, node) in aliases.entries() {
            builder.at(Place::Alias(builder.alias_count()), node.path(), node.location());
            if let Some(target) = node.string() {
                builder = builder.model_group_alias(name, target);
            }
        }
    }
    if let Some(strategy) = strategy(&section) {
        builder = builder.routing_strategy(strategy);
    }
    for kind in [FallbackKind::General, FallbackKind::ContextWindow, FallbackKind::ContentPolicy] {
        if let Some(node) = section.get(kind.setting()) {
            builder = fallbacks(builder, kind, &node);
        }
    }
    if let Some(pools) = section.get("pools") {
        for (alias, node) in pools.entries() {
            let Some(pool) = node.section() else { continue };
            builder.at(Place::Pool(builder.pool_count()), node.path(), node.location());
            let mut settings = PoolSettings::new();
            if let Some(strategy) = strategy(&pool) {
                settings = settings.routing_strategy(strategy);
            }
            if let Some(retries) = pool.get("num_retries").and_then(|node| node.count()) {
                settings = settings.num_retries(retries);
            }
            if let Some(policy) = pool.get("retry_policy").and_then(|node| kind_policy(&node, "Retries")) {
                settings = settings.retry_policy(policy);
            }
            builder = builder.pool(alias, settings);
            pool.finish();
        }
    }
    section.finish();
    builder
}

fn litellm_settings(mut builder: RouterBuilder, node: &Node<'_>) -> RouterBuilder {
    let Some(section) = node.section() else { return builder };
    if let Some(drop) = section.get("drop_params").and_then(|node| node.boolean()) {
        builder = builder.drop_params(drop);
    }
    section.finish();
    builder
}

fn strategy(section: &Section<'_>) -> Option<std::sync::Arc<dyn router_core::Strategy>> {
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

/// Reads LiteLLM's list of one-entry mappings, `- fast: [capable]`.
fn fallbacks(mut builder: RouterBuilder, kind: FallbackKind, node: &Node<'_>) -> RouterBuilder {
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

/// Reads LiteLLM's numbers by exception class, such as `RateLimitErrorRetries: 3`.
fn kind_policy(node: &Node<'_>, suffix: &str) -> Option<KindPolicy> {
    let mut numbers = Vec::new();
    for (name, value) in node.entries() {
        let Some(kinds) = name.strip_suffix(suffix).and_then(kinds_of) else {
            let known: Vec<String> = CLASSES.iter().map(|(class, _)| format!("{class}{suffix}")).collect();
            value.complain(format!("there is no `{name}`: known are {}", known.join(", ")));
            return None;
        };
        let number = value.count()?;
        numbers.extend(kinds.iter().map(|kind| (*kind, number)));
    }
    Some(KindPolicy::new(numbers))
}

fn kinds_of(class: &str) -> Option<&'static [ProviderErrorKind]> {
    CLASSES.iter().find(|(known, _)| *known == class).map(|(_, kinds)| *kinds)
}

/// LiteLLM's exception classes, and the kinds of error that they are here. A wrong request has no entry: nothing helps it.
const CLASSES: [(&str, &[ProviderErrorKind]); 7] = [
    ("AuthenticationError", &[ProviderErrorKind::Authentication, ProviderErrorKind::Permission]),
    ("TimeoutError", &[ProviderErrorKind::Timeout]),
    ("RateLimitError", &[ProviderErrorKind::RateLimited, ProviderErrorKind::QuotaExhausted]),
    (
        "InternalServerError",
        &[
            ProviderErrorKind::Server,
            ProviderErrorKind::Connection,
            ProviderErrorKind::MalformedReply,
            ProviderErrorKind::StreamInterrupted,
        ],
    ),
    ("ServiceUnavailableError", &[ProviderErrorKind::Overloaded]),
    ("BadGatewayError", &[ProviderErrorKind::Connection]),
    ("NotFoundError", &[ProviderErrorKind::NotFound]),
];
