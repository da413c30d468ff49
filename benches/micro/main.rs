//! Micro benchmarks: what one step of a request costs by itself.
//!
//! ```text
//! cargo bench --bench micro                 all of them
//! cargo bench --bench micro -- balance      those with a part of their name
//! ```
//!
//! They show where a change of a step came from; what a request costs as a whole is `benches/quick`'s to say.
//! One program with all of them: it is linked with the optimizations of a release, which takes minutes.

mod balance;
mod configuration;
mod http;
mod http2;
mod lookup;
mod sample;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}
