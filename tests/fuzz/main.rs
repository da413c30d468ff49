//! A short run of every fuzz target: its corpus, then inputs mutated from it, the same ones each
//! time. `FUZZ_INPUTS` sets how many (the long runs are libFuzzer's, run by `tests/fuzz/long`).

mod entries;
mod mutate;
#[path = "../hostile/text.rs"]
mod text;

use std::path::Path;

use entries::{TARGETS, Target};
use mutate::Mutator;

/// The longest hostile message taken: heads are read anew at each of their bytes.
const HOSTILE_MAX: usize = 500;

/// Mutated inputs of each target; some seconds in a debug build.
const INPUTS: usize = 4000;

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target.name);
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a directory entry").path()).collect();
    paths.sort();
    let mut inputs: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a corpus file")).collect();
    inputs.extend(hostile(target.name));
    inputs
}

/// What the corpus of hostile messages has for a target: heads, or the bodies behind them.
fn hostile(target: &str) -> Vec<Vec<u8>> {
    let folder = if target == "response_head" { "responses" } else { "requests" };
    let entries = text::folder(folder);
    let messages = entries.iter().map(text::raw).filter(|bytes| bytes.len() <= HOSTILE_MAX);
    let mut found: Vec<Vec<u8>> = match target {
        "request_head" | "response_head" => messages.collect(),
        "chunked" => messages.filter_map(|bytes| body(&bytes).map(<[u8]>::to_vec)).collect(),
        _ => Vec::new(),
    };
    found.sort();
    found.dedup();
    found
}

/// What follows the head of a message that says it is chunked.
fn body(message: &[u8]) -> Option<&[u8]> {
    let head = message.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
    let is_chunked = message[..head].windows(7).any(|part| part.eq_ignore_ascii_case(b"chunked"));
    (is_chunked && head < message.len()).then(|| &message[head..])
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

tests! { request_head response_head chunked header_block http2_server http2_client proxy_protocol client_hello
name_server_answer expression log_format chain pem ocsp cipher_string token configuration }
