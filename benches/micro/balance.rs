//! The choice of a server, with one server, with sixteen and with a thousand.
//!
//! The bound: with a thousand servers a request may cost 3 % more than with one. At 10 microseconds a request
//! that leaves 0.3 microseconds for the choice.

use std::sync::Arc;

use divan::{Bencher, black_box};
use haring::balance::{Algorithm, Candidate, HashFunction, HashType, Key, Pick, Picker, Settings};
use haring::base::rng::Rng;
use haring::state::{ProxyState, ServerState};

const SERVERS: &[usize] = &[1, 16, 1000];

fn pick(bencher: Bencher, servers: usize, settings: Settings, keyed: bool) {
    let candidate = |place: usize| {
        let state = ServerState::new("b", &format!("s{place}"), 1);
        state.set_initial_weight(1);
        let index = place as u32;
        Candidate {
            state: Arc::new(state),
            index,
            id: index + 1,
            backup: false,
            hash_key: Default::default(),
        }
    };
    let picker = Picker::new(1, (0..servers).map(candidate).collect(), settings);
    let backend = ProxyState::new("b", 1);
    let mut rng = Rng::new(1);
    let mut number = 0u32;
    bencher.bench_local(move || {
        number = number.wrapping_add(0x9e37_79b9);
        let bytes = number.to_le_bytes();
        let key = keyed.then_some(Key::Bytes(&bytes));
        let chosen = picker.pick(&mut Pick { backend: &backend, key, avoid: None, rng: &mut rng });
        black_box(chosen.expect("a server"))
    });
}

fn algorithm(algorithm: Algorithm) -> Settings {
    Settings { algorithm, ..Settings::default() }
}

#[divan::bench(args = SERVERS)]
fn round_robin(bencher: Bencher, servers: usize) {
    pick(bencher, servers, algorithm(Algorithm::RoundRobin), false);
}

#[divan::bench(args = SERVERS)]
fn leastconn(bencher: Bencher, servers: usize) {
    pick(bencher, servers, algorithm(Algorithm::LeastConn), false);
}

#[divan::bench(args = SERVERS)]
fn random(bencher: Bencher, servers: usize) {
    pick(bencher, servers, algorithm(Algorithm::Random { draws: 2 }), false);
}

#[divan::bench(args = SERVERS)]
fn hash(bencher: Bencher, servers: usize) {
    pick(bencher, servers, algorithm(Algorithm::Hash), true);
}

#[divan::bench(args = SERVERS)]
fn hash_consistent(bencher: Bencher, servers: usize) {
    let hash = HashType { consistent: true, function: HashFunction::Sdbm, avalanche: true };
    pick(bencher, servers, Settings { hash, ..algorithm(Algorithm::Hash) }, true);
}
