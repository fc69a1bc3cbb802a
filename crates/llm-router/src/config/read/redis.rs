//! Where state is shared: `redis_*` and the nodes of Sentinels and clusters.

use router_core::Place;
use router_state::RedisAddress;

use crate::builder::RouterBuilder;
use crate::config::yaml::{Node, Section};

/// Redis's own port, and that of Sentinels.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

pub(super) fn read(mut builder: RouterBuilder, section: &Section<'_>) -> RouterBuilder {
    let is_required = section.get("redis_required").and_then(|node| node.boolean()) == Some(true);
    let Some(address) = address(section) else {
        if is_required && let Some(node) = section.get("redis_required") {
            node.complain("there is no Redis to require: set `redis_host` or `redis_url`");
        }
        return builder;
    };
    if let Some(node) = section.get("redis_host").or_else(|| section.get("redis_url")) {
        builder.at(Place::Setting("redis"), node.path(), node.location());
    }
    builder = builder.redis(address);
    if is_required { builder.redis_required() } else { builder }
}

fn address(section: &Section<'_>) -> Option<RedisAddress> {
    let mut address = kind(section)?;
    if let Some(name) = section.get("redis_username").and_then(|node| node.string()) {
        address = address.with_username(name);
    }
    if let Some(password) = section.get("redis_password").and_then(|node| node.secret()) {
        address = address.with_password(password);
    }
    if let Some(number) = section.get("redis_db").and_then(|node| node.count()) {
        address = address.with_database(i64::from(number));
    }
    if section.get("redis_ssl").and_then(|node| node.boolean()) == Some(true) {
        address = address.with_tls();
    }
    Some(address)
}

/// A cluster, Sentinels or one server: the first of them that is named.
fn kind(section: &Section<'_>) -> Option<RedisAddress> {
    if let Some(node) = section.get("redis_cluster_nodes") {
        return Some(RedisAddress::cluster(nodes(&node, PORT)?));
    }
    if let Some(node) = section.get("sentinel_nodes") {
        let service = section.get("service_name").and_then(|node| node.string());
        let mut address = RedisAddress::sentinel(
            nodes(&node, SENTINEL_PORT)?,
            service.unwrap_or_else(|| "mymaster".to_owned()),
        );
        if let Some(password) = section.get("sentinel_password").and_then(|node| node.secret()) {
            address = address.with_sentinel_password(password);
        }
        return Some(address);
    }
    if let Some(node) = section.get("redis_url") {
        let url = node.string()?;
        return match RedisAddress::url(&url) {
            Ok(address) => Some(address),
            Err(error) => {
                node.complain(error.to_string());
                None
            }
        };
    }
    let host = section.get("redis_host")?.string().filter(|host| !host.is_empty())?;
    let port = section.get("redis_port").and_then(|node| port(&node)).unwrap_or(PORT);
    Some(RedisAddress::server(host, port))
}

/// `[host, port]` or `{host: ..., port: ...}` each.
fn nodes(list: &Node<'_>, usual: u16) -> Option<Vec<(String, u16)>> {
    let mut found = Vec::new();
    for node in list.list() {
        let parts: Vec<(String, Node<'_>)> = if node.is_mapping() {
            node.entries()
        } else {
            ["host", "port"].map(str::to_owned).into_iter().zip(node.list()).collect()
        };
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

/// People write ports in quotes, too.
fn port(node: &Node<'_>) -> Option<u16> {
    let text = node.string()?;
    let port = text.parse().ok().filter(|port| *port > 0);
    if port.is_none() {
        node.complain(format!("expected a port from 1 to 65535, found `{text}`"));
    }
    port
}
