//! Many routers on one server: how soon they know, and how much they admit together.

use std::time::{Duration, Instant};

use router_core::ProviderErrorKind;

use crate::away::eventually;
use crate::peer::Router;
use crate::server::Server;

#[tokio::test]
async fn eight_routers_hear_of_a_cooldown_within_fifty_milliseconds() {
    let server = Server::start(&[]).await;
    let stores = [(); 8].map(|()| server.store());
    let routers = stores.clone().map(|store| Router::join(store, 100));
    for store in &stores {
        eventually("a connection", || store.status().is_connected).await;
    }
    let mut spans = Vec::new();
    for n in 0..40_u64 {
        // Each a little longer than the one before, or it would be no news.
        let least = Duration::from_secs(100 + 10 * n);
        routers[usize::try_from(n % 8).unwrap()].cool("a", least, ProviderErrorKind::Server);
        let begun = Instant::now();
        for router in &routers {
            let longer = |router: &Router| {
                router.cools("a").is_some_and(|(left, _)| left > least - Duration::from_secs(5))
            };
            router.until("the cooldown", longer).await;
            spans.push(begun.elapsed());
        }
    }
    spans.sort_unstable();
    let nine_of_ten = spans[spans.len() * 9 / 10];
    println!("known everywhere after: median {:?}, p90 {nine_of_ten:?}", spans[spans.len() / 2]);
    // The slowest of a hundred says more about who else uses the machine.
    assert!(nine_of_ten < Duration::from_millis(50), "{nine_of_ten:?}");
}

#[tokio::test]
async fn a_limit_shared_by_eight_is_overshot_by_no_more_than_one_exchange() {
    const LIMIT: u64 = 600;
    let server = Server::start(&[]).await;
    let stores = [(); 8].map(|()| server.store());
    let routers = stores.clone().map(|store| Router::join(store, LIMIT / 2));
    for store in &stores {
        eventually("a connection", || store.status().is_connected).await;
    }
    // Both deployments together allow LIMIT a minute. Offered: 8 routers, each 5 every 20 ms, 2,000 a second in all.
    let mut admitted = 0_u64;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        tick.tick().await;
        for router in &routers {
            admitted += (0..5).filter(|_| router.request()).count() as u64;
        }
    }
    println!("{admitted} of {LIMIT} a minute admitted");
    // Before the first exchange everybody knows only of themselves: 2,000 a second for up to 250 ms and the time of a loaded machine.
    assert!((LIMIT..=LIMIT + 1_000).contains(&admitted), "{admitted}");
    let before = admitted;
    let commands: u64 = stores.iter().map(|store| store.status().commands).sum();
    println!("{commands} commands in {:?}", begun.elapsed());
    assert!(
        routers.iter().all(|router| !router.request()),
        "{before} were admitted: the minute is full for all"
    );
}
