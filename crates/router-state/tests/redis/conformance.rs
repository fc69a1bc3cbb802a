//! What every store keeps to. Each scenario runs over each store.

use std::sync::Arc;
use std::time::Duration;

use router_core::{
    AccountLimits, Claim, Hold, ProviderErrorKind, Refused, Reserved, Settlement, StateStore, Timestamp, Usd,
};
use router_state::MemoryStore;

use crate::away::eventually;
use crate::peer::Router;
use crate::server::Server;
use crate::strict::{budget, claim, spent};

/// Where routers meet, each with a store of its own kind.
enum Place {
    Memory(Arc<MemoryStore>),
    Redis(Server),
}

impl Place {
    /// A store that is ready to be asked for places.
    async fn ready(&self) -> Arc<dyn StateStore> {
        match self {
            Self::Memory(_) => self.store(),
            Self::Redis(server) => {
                let store = server.store();
                eventually("a connection", || store.status().is_connected).await;
                store
            }
        }
    }

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
    a_router_that_joins_late_knows_how_fast_deployments_are_from_all_the_others,
    a_strict_limit_admits_exactly_itself_and_says_when_there_is_room,
    what_was_really_used_takes_the_place_of_a_claim,
    a_budget_counts_what_is_held_and_what_was_spent,
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

async fn a_router_that_joins_late_knows_how_fast_deployments_are_from_all_the_others(place: Place) {
    let ms = Duration::from_millis;
    let early = [(); 2].map(|()| Router::join(place.store(), 1_000));
    // Twenty requests each, of which every deployment gets half: slow ones for one, as many that are slower for the other.
    for _ in 0..20 {
        early[0].request_taking(ms(200));
        early[1].request_taking(ms(600));
    }
    let is_known = |router: &Router| router.p50("a").is_some() && router.p50("b").is_some();
    // They may have to be told to Redis first.
    let mut late = Router::join(place.store(), 1_000);
    for _ in 0..100 {
        if is_known(&late) {
            break;
        }
        tokio::time::sleep(ms(100)).await;
        late = Router::join(place.store(), 1_000);
        tokio::time::sleep(ms(100)).await;
    }
    for model in ["a", "b"] {
        let p50 = late.p50(model).unwrap();
        assert!((ms(170)..=ms(680)).contains(&p50), "{model}: {p50:?}");
    }
    // What one saw for itself stands.
    assert!(early[0].p50("a").unwrap() <= ms(201), "{:?}", early[0].p50("a"));
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

/// The routers of a process go by one clock, which a test may choose; Redis goes by its own.
const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

async fn a_strict_limit_admits_exactly_itself_and_says_when_there_is_room(place: Place) {
    let stores = [place.ready().await, place.ready().await];
    let limits = AccountLimits { requests: Some(7), ..AccountLimits::default() };
    let mut granted = 0;
    for store in stores.iter().cycle().take(20) {
        match store.reserve(&claim(limits, 1, 0), NOW).await {
            Reserved::Granted(hold) => {
                granted += 1;
                store.settle(hold, spent(0), NOW);
            }
            Reserved::Refused(Refused::Requests(wait)) => {
                assert!((60..=65).contains(&wait.as_secs()), "{wait:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(granted, 7);
}

async fn what_was_really_used_takes_the_place_of_a_claim(place: Place) {
    let stores = [place.ready().await, place.ready().await];
    let limits = AccountLimits { tokens: Some(1_000), ..AccountLimits::default() };
    let [one, other] = &stores;
    let ask = async |store: &Arc<dyn StateStore>, tokens| store.reserve(&claim(limits, tokens, 0), NOW).await;
    let used = |tokens| Settlement::Used { tokens: Some(tokens), cost: Usd::default() };
    let Reserved::Granted(hold) = ask(one, 900).await else { panic!() };
    assert!(matches!(ask(other, 200).await, Reserved::Refused(Refused::Tokens(_))));
    stores[0].settle(hold, used(100), NOW);
    let hold = granted_soon(&stores[1], &claim(limits, 600, 0)).await;
    stores[1].settle(hold, used(850), NOW);
    let refused = refused_soon(one, &claim(limits, 51, 0)).await;
    assert!(matches!(refused, Refused::Tokens(_)), "100 and 850 are used");
    let hold = granted_soon(one, &claim(limits, 50, 0)).await;
    stores[0].settle(hold, Settlement::Unused, NOW);
    drop(granted_soon(&stores[1], &claim(limits, 50, 0)).await);
    // A claim that says nothing of its use keeps what it claimed.
    assert!(matches!(refused_soon(one, &claim(limits, 1, 0)).await, Refused::Tokens(_)));
}

async fn a_budget_counts_what_is_held_and_what_was_spent(place: Place) {
    let stores = [place.ready().await, place.ready().await];
    let Reserved::Granted(first) = stores[0].reserve(&claim(budget(100), 1, 60), NOW).await else { panic!() };
    let refused = stores[1].reserve(&claim(budget(100), 1, 50), NOW).await;
    assert_eq!(refused, Reserved::Refused(Refused::Budget(None)), "60 are held");
    stores[0].settle(first, spent(20), NOW);
    let second = granted_soon(&stores[1], &claim(budget(100), 1, 80)).await;
    stores[1].settle(second, spent(80), NOW);
    let refused = refused_soon(&stores[0], &claim(budget(100), 1, 0)).await;
    assert_eq!(refused, Refused::Budget(None), "all is spent, whatever this one costs");
}

/// Asks until what the other settled has arrived and there is no room; gives back what it is granted until then.
async fn refused_soon(store: &Arc<dyn StateStore>, claim: &Claim) -> Refused {
    for _ in 0..1_000 {
        match store.reserve(claim, NOW).await {
            Reserved::Granted(hold) => store.settle(hold, Settlement::Unused, NOW),
            Reserved::Refused(refused) => return refused,
            Reserved::Away { .. } => panic!("it is there"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{claim:?} is granted");
}

/// Asks until a settlement that is on its way has arrived.
async fn granted_soon(store: &Arc<dyn StateStore>, claim: &Claim) -> Hold {
    for _ in 0..1_000 {
        if let Reserved::Granted(hold) = store.reserve(claim, NOW).await {
            return hold;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{claim:?} is not granted");
}
