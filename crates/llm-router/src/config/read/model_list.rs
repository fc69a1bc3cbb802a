//! `model_list`.

use router_core::Place;

use super::policy;
use crate::builder::{Deployment, RouterBuilder};
use crate::config::keys::{DEPLOYMENT, LITELLM_PARAMS, MODEL_INFO, Policy};
use crate::config::yaml::{Node, Section};

/// Reads the deployments of every file, those of the main one first.
pub(super) fn read(mut builder: RouterBuilder, root: &Section<'_>) -> RouterBuilder {
    let lists = root.all("model_list");
    match lists.first() {
        Some(list) => builder.at(Place::Deployments, list.path(), list.location()),
        None => drop(root.require("model_list", "a list of deployments")),
    }
    for (n, entry) in lists.iter().flat_map(Node::list).enumerate() {
        if let Some(deployment) = deployment(&mut builder, n, &entry) {
            builder = builder.deployment(deployment);
        }
    }
    builder
}

fn deployment(builder: &mut RouterBuilder, n: usize, entry: &Node<'_>) -> Option<Deployment> {
    let section = entry.section(&DEPLOYMENT)?.strict();
    let alias = section.require("model_name", "the alias that applications call")?.string();
    let params_node = section.require("litellm_params", "a mapping with `model`")?;
    // Nobody wants to find out by the first request that a credential or an address was left out.
    let params = params_node.section(&LITELLM_PARAMS)?.strict();
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
    set!(params, "base_url", string, api_base);
    set!(params, "api_base", string, api_base);
    set!(params, "api_version", string, api_version);
    set!(params, "azure_ad_token", secret, azure_ad_token);
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
    set!(params, "drop_params", boolean, drop_params);
    set!(params, "weight", number, weight);
    set!(section, "rpm", integer, rpm);
    set!(section, "tpm", integer, tpm);
    set!(params, "rpm", integer, rpm);
    set!(params, "tpm", integer, tpm);
    set!(params, "strict_limits", boolean, strict_limits);
    set!(params, "request_timeout", seconds, timeout);
    set!(params, "timeout", seconds, timeout);
    set!(params, "stream_timeout", seconds, stream_timeout);
    set!(params, "cooldown_time", seconds, cooldown_time);
    set!(params, "order", count, order);
    set!(params, "max_parallel_requests", count, max_parallel_requests);
    set!(params, "input_cost_per_token", number, input_cost_per_token);
    set!(params, "output_cost_per_token", number, output_cost_per_token);
    set!(params, "base_model", string, base_model);
    for name in
        ["cache_read_input_token_cost", "cache_creation_input_token_cost", "output_cost_per_reasoning_token"]
    {
        if let Some(node) = params.get(name) {
            place(name, &node);
            match node.number() {
                Some(dollars) => deployment = deployment.price(name, dollars),
                None => ok = false,
            }
        }
    }
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
        let info = info.section(&MODEL_INFO)?;
        set!(info, "id", string, id);
        set!(info, "max_input_tokens", integer, max_input_tokens);
        set!(info, "cooldown_time", seconds, cooldown_time);
        set!(info, "allowed_fails", count, allowed_fails);
        set!(info, "order", count, order);
        set!(info, "supports_assistant_prefill", boolean, supports_assistant_prefill);
        set!(info, "supports_function_calling", boolean, supports_function_calling);
        set!(info, "supports_vision", boolean, supports_vision);
        set!(info, "base_model", string, base_model);
        set!(info, "input_cost_per_token", number, input_cost_per_token);
        set!(info, "output_cost_per_token", number, output_cost_per_token);
        if let Some(node) = info.get("allowed_fails_policy") {
            deployment = deployment.allowed_fails_policy(policy::read(&node, Policy::AllowedFails)?);
        }
        info.finish();
    }
    params.finish();
    section.finish();
    ok.then_some(deployment)
}
