//! Whether a failed attempt is repeated on the same server or on another (manual, `option
//! redispatch`), and how long the same one is given before.

use crate::balance::Algorithm;
use crate::model::Proxy;
use crate::state::ServerState;

/// The longest pause before a failed server is tried again (manual, section 4.2 `retries`).
const RETRY_PAUSE_MS: u64 = 1000;

/// Whether retry number `retry` (from 1) leaves the server. `demanded` tells that the server was
/// chosen by persistence and not by the balancing.
pub(super) fn leaves_server(backend: &Proxy, server: &ServerState, retry: u32, demanded: bool) -> bool {
    if backend.servers.len() < 2 {
        return false;
    }
    let due = match backend.redispatch_after {
        0 => return !server.is_running(),
        every if every > 0 => retry.is_multiple_of(every.unsigned_abs()),
        // -1: on the last retry, -2 on the one before it, ...
        before => retry + before.unsigned_abs() == backend.retries + 1,
    };
    // Nobody asked for this very server: where another would have done as well, it does now,
    // without a pause. A hash asks for it: its keys stay as long as they can.
    let indifferent = !demanded && backend.balance.algorithm != Algorithm::Hash;
    due || !server.is_running() || (indifferent && backend.state.active_servers() > 1)
}

/// How long to wait before the same server is tried again after it refused.
pub(super) fn pause_ms(backend: &Proxy) -> u64 {
    backend.timeouts.connect_ms.unwrap_or(RETRY_PAUSE_MS).min(RETRY_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;
    use crate::state::server::Operational;

    #[test]
    fn another_server_is_taken_when_due_or_as_good() {
        // redispatch, algorithm, servers, demanded, running; whether the retries 1, 2, 3 of 3 leave.
        for (after, algorithm, servers, demanded, running, expected) in [
            (0, Algorithm::RoundRobin, 2, false, true, [false; 3]),
            (0, Algorithm::RoundRobin, 2, false, false, [true; 3]),
            (-1, Algorithm::RoundRobin, 2, false, true, [true; 3]),
            (-1, Algorithm::RoundRobin, 2, true, true, [false, false, true]),
            (-2, Algorithm::Hash, 2, false, true, [false, true, false]),
            (2, Algorithm::Hash, 2, false, true, [false, true, false]),
            (-1, Algorithm::Hash, 2, true, false, [true; 3]),
            (-1, Algorithm::RoundRobin, 1, false, true, [false; 3]),
        ] {
            let mut backend = testing::proxy("be");
            backend.retries = 3;
            backend.redispatch_after = after;
            backend.balance.algorithm = algorithm;
            for number in 0..servers {
                backend.push(testing::server("be", &format!("s{number}")));
            }
            let states: Vec<_> = backend.servers.iter().map(|server| server.state.clone()).collect();
            if !running {
                states[0].set_operational(Operational::Stopped);
            }
            let state = states[0].clone();
            backend.state.servers.store(states.into());
            let left = [1, 2, 3].map(|retry| leaves_server(&backend, &state, retry, demanded));
            assert_eq!(left, expected, "{after} {algorithm:?} {servers} {demanded} {running}");
        }
    }
}
