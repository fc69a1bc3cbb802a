//! A seed tells one story.

use system_tests::simulator::{SimulatedPool, SimulatedProvider, World};

use crate::{for_each_seed, of_seed, secs};

fn world(seed: u64) -> World {
    World::new(seed).pool(
        SimulatedPool::new("pool", of_seed(seed))
            .streamed(0.3)
            .provider(SimulatedProvider::new("a").error_rate(0.05).price(0.1, 0.4))
            .provider(SimulatedProvider::new("b").outage(secs(20)..secs(40)).price(0.2, 0.3)),
    )
}

#[test]
fn the_same_seed_gives_the_same_report_to_the_byte() {
    for_each_seed(0..12, |seed| {
        let [one, other] = [(); 2].map(|()| world(seed).run_requests(3_000));
        assert_eq!(one, other, "seed {seed}");
        assert_eq!(format!("{one}{one:?}"), format!("{other}{other:?}"), "seed {seed}");
    });
}

#[test]
fn another_seed_gives_another_report() {
    let [one, other] = [1, 7].map(|seed| world(seed).run_requests(3_000));
    assert_ne!(one, other);
}
