//! One fuzz target for each format's stream decoder, reply decoder and error mapper; `FUZZ_TARGET` says which.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/fuzz_targets.rs"]
mod fuzz_targets;

use fuzz_targets::FuzzTarget;

fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<FuzzTarget> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        FuzzTarget::all().into_iter().find(|target| target.name() == name).expect("a known target")
    });
    target.run(data);
});
