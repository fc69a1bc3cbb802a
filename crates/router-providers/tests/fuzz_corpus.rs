//! Inputs that the fuzzer found worth keeping, and recorded ones, through every fuzz target.

use std::path::Path;

#[path = "support/fuzz_targets.rs"]
mod fuzz_targets;

use fuzz_targets::FuzzTarget;

#[test]
fn the_corpus_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for target in FuzzTarget::all() {
        let folder = corpus.join(target.name());
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for entry in entries {
            target.run(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} has inputs", target.name());
    }
}
