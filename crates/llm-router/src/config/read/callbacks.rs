//! `callbacks`, `success_callback` and `failure_callback` of `litellm_settings`, and `callback_settings`.

use crate::config::keys::CALLBACK;
use crate::config::settings::{CallbackSettings, Callbacks};
use crate::config::yaml::{Node, Section};

/// Reads the names from `litellm_settings`.
pub(super) fn read_names(section: &Section<'_>, callbacks: &mut Callbacks) {
    let names = |key| {
        let list = section.get(key).map(|node| node.list()).unwrap_or_default();
        list.iter().filter_map(Node::string).collect()
    };
    callbacks.all = names("callbacks");
    callbacks.successes = names("success_callback");
    callbacks.failures = names("failure_callback");
}

/// Reads the settings of each.
pub(super) fn read_settings(node: &Node<'_>, callbacks: &mut Callbacks) {
    for (name, node) in node.entries() {
        let Some(section) = node.section(&CALLBACK) else { continue };
        let text = |key| section.get(key).and_then(|node| node.string());
        let settings = CallbackSettings {
            path: text("path"),
            url: section.get("url").and_then(|node| node.secret()),
            user: text("user"),
            password: section.get("password").and_then(|node| node.secret()),
            table: text("table"),
        };
        section.finish();
        callbacks.settings.push((name, settings));
    }
}
