//! The libFuzzer program: feeds the target that `FUZZ_TARGET` names.
#![no_main]

// The words are for the short run; libFuzzer finds its own.
#[allow(dead_code)]
#[path = "../entries.rs"]
mod entries;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&entries::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let known = || entries::TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let found = entries::TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("FUZZ_TARGET must be one of: {}", known()))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
