//! The libFuzzer program: feeds the target that `FUZZ_TARGET` names.
#![no_main]

#[path = "../entries.rs"]
mod entries;

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<&entries::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let known = || entries::TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let found = entries::TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("FUZZ_TARGET must be one of: {}", known()))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));

// One change in four puts a word of the target's language in; the rest is libFuzzer's own.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let words = TARGET.words;
    let word = words[seed as usize / 4 % words.len()].as_bytes();
    if seed % 4 != 0 || size + word.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    let at = seed as usize / 1024 % (size + 1);
    data.copy_within(at..size, at + word.len());
    data[at..at + word.len()].copy_from_slice(word);
    size + word.len()
});
