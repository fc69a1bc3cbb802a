//! `general_settings`: for the gateway.

use crate::config::keys::VIRTUAL_KEY;
use crate::config::yaml::{Node, Section};
use crate::config::{GeneralSettings, KeySetting, VirtualKeySettings};

pub(super) fn read(section: Section<'_>) -> GeneralSettings {
    // A gateway whose key is not set would be open.
    let section = section.strict();
    let count = |name| section.get(name).and_then(|node| node.count());
    let seconds = |name| section.get(name).and_then(|node| node.seconds());
    let settings = GeneralSettings {
        master_key: section.get("master_key").and_then(|node| node.secret()),
        virtual_keys: section
            .all("virtual_keys")
            .iter()
            .flat_map(Node::list)
            .filter_map(|key| virtual_key(&key))
            .collect(),
        max_parallel_requests: count("max_parallel_requests"),
        global_max_parallel_requests: count("global_max_parallel_requests"),
        max_request_size_mb: count("max_request_size_mb"),
        max_connections: count("max_connections"),
        head_timeout: seconds("head_timeout"),
        body_timeout: seconds("body_timeout"),
        write_timeout: seconds("write_timeout"),
        cors_origins: section
            .get("cors_origins")
            .iter()
            .flat_map(Node::list)
            .filter_map(|origin| origin.string())
            .collect(),
    };
    section.finish();
    settings
}

fn virtual_key(node: &Node<'_>) -> Option<VirtualKeySettings> {
    let section = node.section(&VIRTUAL_KEY)?.strict();
    let texts =
        |name| section.get(name).iter().flat_map(Node::list).filter_map(|text| text.string()).collect();
    let key = match (section.get("key"), section.get("key_hash")) {
        (Some(key), None) => key.secret().map(KeySetting::Plain),
        (None, Some(hash)) => hash.string().map(KeySetting::Hash),
        (Some(_), Some(hash)) => {
            hash.complain("expected `key` or `key_hash`, found both");
            None
        }
        (None, None) => {
            node.complain("`key` is missing: expected the key, or `key_hash`");
            None
        }
    };
    let settings = VirtualKeySettings {
        location: node.location(),
        path: node.path().to_owned(),
        key: key?,
        key_alias: section.get("key_alias").and_then(|node| node.string()),
        models: texts("models"),
        aliases: section
            .get("aliases")
            .iter()
            .flat_map(Node::entries)
            .filter_map(|(name, alias)| Some((name, alias.string()?)))
            .collect(),
        rpm_limit: section.get("rpm_limit").and_then(|node| node.integer()),
        tpm_limit: section.get("tpm_limit").and_then(|node| node.integer()),
        max_parallel_requests: section.get("max_parallel_requests").and_then(|node| node.count()),
        max_budget: section.get("max_budget").and_then(|node| node.number()),
        budget_duration: section.get("budget_duration").and_then(|node| node.string()),
        strict_limits: section.get("strict_limits").and_then(|node| node.boolean()).unwrap_or(false),
        blocked: section.get("blocked").and_then(|node| node.boolean()).unwrap_or(false),
    };
    section.finish();
    Some(settings)
}
