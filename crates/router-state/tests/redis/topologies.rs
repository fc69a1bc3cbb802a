//! Sentinels that name another master, and a cluster of three nodes.

use std::time::Duration;

use router_core::ProviderErrorKind;
use router_state::{RedisAddress, RedisStore};

use crate::away::eventually;
use crate::peer::Router;
use crate::server::{Server, cli, free_port, until_it_listens};

#[tokio::test]
async fn when_sentinels_name_another_master_the_store_follows() {
    let mut master = Server::start(&[]).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).await;
    let port = free_port();
    let config = master.folder.join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
        master.port
    );
    std::fs::write(&config, text).unwrap();
    let mut sentinel = std::process::Command::new("redis-server")
        .arg(&config)
        .arg("--sentinel")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until_it_listens(port).await;
    eventually("the sentinel's knowledge of the replica", || {
        cli(port, &["sentinel", "replicas", "main"]).contains(&replica.port.to_string())
    })
    .await;
    let address = RedisAddress::sentinel(vec![("127.0.0.1".to_owned(), port)], "main");
    let stores = [(); 2].map(|()| std::sync::Arc::new(RedisStore::start(address.clone()).unwrap()));
    let routers = stores.clone().map(|store| Router::join(store, 100));
    routers[0].cool("a", Duration::from_secs(120), ProviderErrorKind::Server);
    routers[1].until("the cooldown", |router| router.cools("a").is_some()).await;
    master.kill();
    eventually("the loss", || stores.iter().all(|store| !store.status().is_connected)).await;
    eventually("the new master", || stores.iter().all(|store| store.status().is_connected)).await;
    routers[1].cool("b", Duration::from_secs(120), ProviderErrorKind::Timeout);
    routers[0].until("the other cooldown", |router| router.cools("b").is_some()).await;
    assert_ne!(replica.cli(&["exists", "llm-router:v1:{state}:cooling"]), "0");
    sentinel.kill().unwrap();
    sentinel.wait().unwrap();
}

#[tokio::test]
async fn a_cluster_of_three_nodes_serves_as_one() {
    let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    let nodes =
        [Server::start(&arguments).await, Server::start(&arguments).await, Server::start(&arguments).await];
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.extend(["--cluster-replicas", "0", "--cluster-yes"]);
    nodes[0].cli(&create);
    for node in &nodes {
        eventually("a whole cluster", || node.cli(&["cluster", "info"]).contains("cluster_state:ok")).await;
    }
    let address = |n: usize| RedisAddress::cluster(vec![("127.0.0.1".to_owned(), nodes[n].port)]);
    // Each enters by another node.
    let routers =
        [0, 2].map(|n| Router::join(std::sync::Arc::new(RedisStore::start(address(n)).unwrap()), 100));
    routers[0].cool("a", Duration::from_secs(60), ProviderErrorKind::RateLimited);
    routers[1].until("the cooldown", |router| router.cools("a").is_some()).await;
    for _ in 0..9 {
        assert!(routers[0].request());
    }
    routers[1].until("the requests", |router| router.used("b") == 9).await;
}
