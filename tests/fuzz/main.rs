//! A short run of every fuzz target: its corpus, then inputs mutated from it, the same ones each
//! time. `FUZZ_INPUTS` sets how many (the long runs are libFuzzer's, run by `tests/fuzz/long`).

mod entries;
mod mutate;

use std::path::Path;

use entries::{TARGETS, Target};
use mutate::Mutator;

/// Mutated inputs of each target; some seconds in a debug build.
const INPUTS: usize = 4000;

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target.name);
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a directory entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a corpus file")).collect()
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let corpus = corpus(target);
    let inputs = std::env::var("FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(INPUTS);
    let mut mutator = Mutator::new(0x5eed, &corpus, target.words);
    let mutated = std::iter::repeat_with(|| mutator.input()).take(inputs);
    for input in corpus.iter().cloned().chain(mutated) {
        let outcome = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(outcome.is_ok(), "{name} fails on \"{}\"", input.escape_ascii());
    }
}

/// One test per target, so that they run side by side and are named when they fail.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*
        /// Every target stands in the list above.
        #[test]
        fn every_target_runs() {
            let run = [$(stringify!($name)),*];
            let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(known, run);
        }
    };
}

tests! { request_head response_head chunked proxy_protocol client_hello expression log_format configuration }
