//! What every store keeps to. Each scenario runs over each store.

use std::sync::Arc;
use std::time::Duration;

use router_core::{ProviderErrorKind, StateStore};
use router_state::MemoryStore;

use crate::peer::Router;
use crate::server::Server;

/// Where routers meet, each with a store of its own kind.
enum Place {
    Memory(Arc<MemoryStore>),
    Redis(Server),
}

impl Place {
    fn store(&self) -> Arc<dyn StateStore> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Redis(server) => server.store(),
        }
    }

    /// Redis carries by itself; a store in memory when it is told to.
    fn carry(&self) {
        match self {
            Self::Memory(store) => store.exchange(),
            Self::Redis(_) => {}
        }
    }
}

/// One test for each scenario and store.
macro_rules! conformance {
    ($($scenario:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Place::Memory(std::sync::Arc::default())).await;
            })*
        }
        mod redis {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Place::Redis(super::Server::start(&[]).await)).await;
            })*
        }
    };
}

conformance!(
    what_cools_in_one_cools_in_the_others_for_the_same_reason_and_time,
    a_shorter_cooldown_does_not_shorten_a_longer_one,
    what_is_consumed_in_one_counts_in_the_others_once,
    clocks_that_differ_do_no_harm,
);

async fn what_cools_in_one_cools_in_the_others_for_the_same_reason_and_time(place: Place) {
    let routers = [(); 3].map(|()| Router::join(place.store(), 100));
    routers[0].cool("a", Duration::from_secs(30), ProviderErrorKind::RateLimited);
    for router in &routers {
        router.until("the cooldown", |router| router.cools("a").is_some()).await;
        let (left, cause) = router.cools("a").unwrap();
        assert_eq!(cause, ProviderErrorKind::RateLimited);
        assert!((28..=30).contains(&left.as_secs()), "{left:?}");
        assert_eq!(router.cools("b"), None);
    }
}

async fn a_shorter_cooldown_does_not_shorten_a_longer_one(place: Place) {
    let routers = [(); 2].map(|()| Router::join(place.store(), 100));
    routers[0].cool("a", Duration::from_secs(50), ProviderErrorKind::Authentication);
    routers[1].until("the cooldown", |router| router.cools("a").is_some()).await;
    routers[0].cool("a", Duration::from_secs(5), ProviderErrorKind::Server);
    routers[0].cool("b", Duration::from_secs(5), ProviderErrorKind::Server);
    routers[1].until("what was told last", |router| router.cools("b").is_some()).await;
    let (left, cause) = routers[1].cools("a").unwrap();
    assert!(left > Duration::from_secs(40) && cause == ProviderErrorKind::Authentication, "{left:?} {cause}");
}

async fn what_is_consumed_in_one_counts_in_the_others_once(place: Place) {
    let routers = [(); 2].map(|()| Router::join(place.store(), 100));
    for _ in 0..10 {
        assert!(routers[0].request());
    }
    let all = |router: &Router| router.used("a") + router.used("b");
    place.carry();
    routers[1].until("ten requests", |router| all(router) == 10).await;
    for _ in 0..5 {
        assert!(routers[1].request());
    }
    place.carry();
    routers[0].until("fifteen requests", |router| all(router) == 15).await;
    place.carry();
    // What one heard is not told on: another round changes nothing.
    let third = Router::join(place.store(), 100);
    assert!(third.request());
    place.carry();
    routers[1].until("sixteen requests", |router| all(router) == 16).await;
    assert_eq!(all(&routers[0]).max(15), all(&routers[0]));
    routers[0].until("sixteen requests", |router| all(router) == 16).await;
}

async fn clocks_that_differ_do_no_harm(place: Place) {
    if matches!(place, Place::Memory(_)) {
        // Skipped: the routers of a process have one clock.
        return;
    }
    let right = Router::join(place.store(), 100);
    let ahead = Router::join_ahead(place.store(), 100, Duration::from_secs(3_600));
    ahead.cool("a", Duration::from_secs(20), ProviderErrorKind::Overloaded);
    right.until("the cooldown", |router| router.cools("a").is_some()).await;
    let (left, _) = right.cools("a").unwrap();
    assert!((18..=20).contains(&left.as_secs()), "{left:?}");
    assert!(ahead.request());
    right.until("the request", |router| router.used("b") == 1).await;
    assert!(right.request());
    ahead.until("the other request", |router| router.used("b") == 2).await;
}
