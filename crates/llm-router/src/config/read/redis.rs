//! Where state is shared: `redis_*` and the nodes of Sentinels and clusters.

use router_core::Place;
use router_state::RedisAddress;

use crate::builder::RouterBuilder;
use crate::config::CacheSettings;
use crate::config::yaml::{Node, Section};

/// Redis's own port, and that of Sentinels.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

pub(super) fn read(mut builder: RouterBuilder, section: &Section<'_>) -> RouterBuilder {
    for name in ["redis_required", "redis_url", "redis_host"] {
        if let Some(node) = section.get(name) {
            builder.at(Place::Setting("redis"), node.path(), node.location());
        }
    }
    if section.get("redis_required").and_then(|node| node.boolean()) == Some(true) {
        builder = builder.redis_required();
    }
    match address(section) {
        Some(address) => builder.redis(address),
        None => builder,
    }
}

/// Reads whether answers are kept in Redis, and in which: its own, else the one of `router_settings`, else one on this machine.
pub(super) fn read_cache(
    section: &Section<'_>,
    router_settings: Option<&Section<'_>>,
    settings: &mut CacheSettings,
) {
    let kind = section.get("type").and_then(|node| node.choice(&["local", "redis"]));
    let url = section.get("url").and_then(|node| url(&node));
    let host = section.get("host").and_then(|node| node.string()).filter(|host| !host.is_empty());
    let port = section.get("port").and_then(|node| port(&node)).unwrap_or(PORT);
    let username = section.get("username").and_then(|node| node.string());
    let password = section.get("password").and_then(|node| node.secret());
    let is_encrypted = section.get("ssl").and_then(|node| node.boolean()) == Some(true);
    if kind.as_deref() != Some("redis") {
        return;
    }
    let mut own = url.or_else(|| host.map(|host| RedisAddress::server(host, port)));
    if let Some(username) = username {
        own = own.map(|address| address.with_username(username));
    }
    if let Some(password) = password {
        own = own.map(|address| address.with_password(password));
    }
    if is_encrypted {
        own = own.map(RedisAddress::with_tls);
    }
    let shared = || router_settings.and_then(address);
    settings.redis = own.or_else(shared).or_else(|| Some(RedisAddress::server("127.0.0.1", PORT)));
}

/// Everything is read, whether it is needed or not: what is wrong is said.
fn address(section: &Section<'_>) -> Option<RedisAddress> {
    let username = section.get("redis_username").and_then(|node| node.string());
    let password = section.get("redis_password").and_then(|node| node.secret());
    let database = section.get("redis_db").and_then(|node| node.count());
    let is_encrypted = section.get("redis_ssl").and_then(|node| node.boolean()) == Some(true);
    let mut address = place(section)?;
    if let Some(username) = username {
        address = address.with_username(username);
    }
    if let Some(password) = password {
        address = address.with_password(password);
    }
    if let Some(database) = database {
        address = address.with_database(i64::from(database));
    }
    Some(if is_encrypted { address.with_tls() } else { address })
}

/// A cluster, Sentinels or one server: the first of them that is named.
fn place(section: &Section<'_>) -> Option<RedisAddress> {
    let cluster = section.get("redis_cluster_nodes").and_then(|node| nodes(&node, PORT));
    let sentinels = section.get("sentinel_nodes").and_then(|node| nodes(&node, SENTINEL_PORT));
    let service = section.get("service_name").and_then(|node| node.string());
    let sentinel_password = section.get("sentinel_password").and_then(|node| node.secret());
    let url = section.get("redis_url").and_then(|node| url(&node));
    let host = section.get("redis_host").and_then(|node| node.string()).filter(|host| !host.is_empty());
    let port = section.get("redis_port").and_then(|node| port(&node)).unwrap_or(PORT);
    if let Some(nodes) = cluster {
        return Some(RedisAddress::cluster(nodes));
    }
    if let Some(nodes) = sentinels {
        let address = RedisAddress::sentinel(nodes, service.unwrap_or_else(|| "mymaster".to_owned()));
        return Some(match sentinel_password {
            Some(password) => address.with_sentinel_password(password),
            None => address,
        });
    }
    url.or_else(|| host.map(|host| RedisAddress::server(host, port)))
}

/// `[host, port]` or `{host: ..., port: ...}` each.
fn nodes(list: &Node<'_>, usual: u16) -> Option<Vec<(String, u16)>> {
    let mut found = Vec::new();
    for node in list.list() {
        let parts: Vec<(String, Node<'_>)> = if node.is_mapping() {
            node.entries()
        } else {
            let names = ["host", "port", "more"].map(str::to_owned).into_iter();
            names.zip(node.list()).collect()
        };
        if parts.iter().any(|(key, _)| key != "host" && key != "port") {
            node.complain("expected `host` and `port` only");
            return None;
        }
        let part = |name: &str| parts.iter().find(|(key, _)| key == name).map(|(_, node)| node);
        let Some(host) = part("host") else {
            node.complain("expected `[host, port]` or `{host: ..., port: ...}`");
            return None;
        };
        found.push((host.string()?, part("port").map_or(Some(usual), port)?));
    }
    if found.is_empty() {
        list.complain("there is no node in it");
        return None;
    }
    Some(found)
}

fn url(node: &Node<'_>) -> Option<RedisAddress> {
    let address = RedisAddress::url(&node.string()?);
    address.map_err(|error| node.complain(error.to_string())).ok()
}

/// People write ports in quotes, too.
fn port(node: &Node<'_>) -> Option<u16> {
    let text = node.string()?;
    let port = text.parse().ok().filter(|port| *port > 0);
    if port.is_none() {
        node.complain(format!("expected a port from 1 to 65535, found `{text}`"));
    }
    port
}
