//! Which servers of a backend count, and how many sessions each may have now.
//!
//! Every part that asks either question asks here: the balancing, the queues, the fetches, redispatches. Both
//! answers change by themselves (with the backend's load, with a warm-up, with servers that come and go), so
//! they are not kept.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{ProxyState, ServerState};
use crate::base::clock::Millis;

/// The most sessions that a server may have now; 0 is no limit.
///
/// `maxconn`; between `minconn` and it by the backend's load (manual, section 5.2 `minconn`); and in a warm-up
/// the part of that which `slowstart` has given so far, at least one.
pub fn effective_maxconn(backend: &ProxyState, server: &ServerState, now: Millis) -> u32 {
    let maxconn = server.maxconn.load(Relaxed);
    if maxconn == 0 {
        return 0;
    }
    let minconn = server.minconn.load(Relaxed);
    let limit = if minconn == 0 || minconn >= maxconn {
        maxconn
    } else {
        let full = backend.fullconn.load(Relaxed);
        match backend.backend_current.load(Relaxed) {
            load if load >= full => maxconn,
            load => scaled(maxconn, load.into(), full.into()).max(minconn),
        }
    };
    match server.warmth(now) {
        None => limit,
        Some((elapsed_ms, whole_ms)) => scaled(limit, elapsed_ms, whole_ms).max(1),
    }
}

fn scaled(number: u32, part: u64, whole: u64) -> u32 {
    (u64::from(number) * part / whole) as u32
}

/// How many sessions a server can take beside those it has; `None` without a limit.
pub fn free_slots(backend: &ProxyState, server: &ServerState, now: Millis) -> Option<u32> {
    match effective_maxconn(backend, server, now) {
        0 => None,
        limit => Some(limit.saturating_sub(server.served.load(Relaxed))),
    }
}

/// Which servers of a backend take what any server may take.
#[derive(Debug)]
pub enum InCharge {
    /// Those that are no backups.
    Active,
    /// The first backup that can (without `option allbackups`).
    FirstBackup(Arc<ServerState>),
    /// All backups.
    Backups,
}

impl InCharge {
    /// Whether a server is among them.
    pub fn has(&self, server: &ServerState) -> bool {
        server.is_eligible()
            && match self {
                InCharge::Active => !server.backup.load(Relaxed),
                InCharge::FirstBackup(first) => std::ptr::eq(&**first, server),
                InCharge::Backups => server.backup.load(Relaxed),
            }
    }
}

impl ProxyState {
    /// Which servers are in charge now: the active ones or, when none of them is left, backups.
    pub fn in_charge(&self) -> InCharge {
        let servers = self.servers.load();
        let is_backup = |server: &ServerState| server.backup.load(Relaxed);
        if servers.iter().any(|server| !is_backup(server) && server.is_eligible()) {
            return InCharge::Active;
        }
        if self.all_backups.load(Relaxed) {
            return InCharge::Backups;
        }
        let first = servers.iter().find(|server| is_backup(server) && server.is_eligible());
        first.map_or(InCharge::Active, |first| InCharge::FirstBackup(first.clone()))
    }
    /// Whether a server takes what any server may take.
    pub fn takes_new(&self, server: &ServerState) -> bool {
        // Only a backup depends on others.
        server.is_eligible() && (!server.backup.load(Relaxed) || self.in_charge().has(server))
    }
    /// How many servers can take new sessions (`nbsrv`).
    pub fn usable_servers(&self) -> usize {
        let in_charge = self.in_charge();
        self.servers.load().iter().filter(|server| in_charge.has(server)).count()
    }
    /// How many of its servers that are no backups can take new sessions.
    pub fn active_servers(&self) -> usize {
        self.servers.load().iter().filter(|server| InCharge::Active.has(server)).count()
    }
    /// Whether limits of its servers move with its load.
    pub fn has_moving_limits(&self) -> bool {
        self.moving_limits.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::server::Operational;

    fn backend(names: &[&str]) -> (ProxyState, Vec<Arc<ServerState>>) {
        let servers: Vec<_> = names.iter().map(|name| Arc::new(ServerState::new("b", name, 1))).collect();
        let backend = ProxyState::new("b", 1);
        backend.servers.store(Arc::new(servers.clone()));
        (backend, servers)
    }

    #[test]
    fn the_limit_follows_the_load_and_the_warm_up() {
        let (backend, servers) = backend(&["s"]);
        let server = &servers[0];
        // minconn, maxconn, fullconn, load, how much of the warm-up of 10 s is over; the limit.
        for (minconn, maxconn, fullconn, load, warm_ms, expected) in [
            (0, 0, 100, 50, None, 0),
            (0, 20, 100, 0, None, 20),
            (2, 20, 100, 0, None, 2),
            (2, 20, 100, 24, None, 4),
            (2, 20, 100, 100, None, 20),
            (2, 20, 100, 400, None, 20),
            (2, 20, 0, 0, None, 20),
            (30, 20, 100, 0, None, 20),
            (0, 50, 100, 0, Some(0), 1),
            (0, 50, 100, 0, Some(1_000), 5),
            (0, 50, 100, 0, Some(9_999), 49),
            (0, 50, 100, 0, Some(10_000), 50),
            (2, 20, 100, 50, Some(5_000), 5),
            (0, 0, 100, 0, Some(1_000), 0),
        ] {
            server.minconn.store(minconn, Relaxed);
            server.maxconn.store(maxconn, Relaxed);
            backend.fullconn.store(fullconn, Relaxed);
            backend.backend_current.store(load, Relaxed);
            server.set_operational(Operational::Running);
            if warm_ms.is_some() {
                server.set_operational(Operational::Starting);
                server.begin_warm_up(70_000, 10_000);
            }
            let now = 70_000 + warm_ms.unwrap_or(0);
            let case = format!("{minconn} {maxconn} {fullconn} {load} {warm_ms:?}");
            assert_eq!(effective_maxconn(&backend, server, now), expected, "{case}");
        }
        server.maxconn.store(20, Relaxed);
        server.set_operational(Operational::Running);
        assert_eq!(effective_maxconn(&backend, server, 70_000), 20, "the warm-up was over before its time");
    }

    #[test]
    fn backups_count_when_no_other_server_is_left() {
        let (backend, servers) = backend(&["s1", "s2", "b1", "b2"]);
        let down = |at: usize| servers[at].set_operational(Operational::Stopped);
        servers[2].backup.store(true, Relaxed);
        servers[3].backup.store(true, Relaxed);
        let found = || {
            let takes = servers.iter().map(|server| u8::from(backend.takes_new(server)));
            (backend.usable_servers(), backend.active_servers(), takes.collect::<Vec<_>>())
        };
        assert_eq!(found(), (2, 2, vec![1, 1, 0, 0]));
        down(0);
        assert_eq!(found(), (1, 1, vec![0, 1, 0, 0]));
        down(1);
        assert_eq!(found(), (1, 0, vec![0, 0, 1, 0]));
        backend.all_backups.store(true, Relaxed);
        assert_eq!(found(), (2, 0, vec![0, 0, 1, 1]));
        down(2);
        assert_eq!(found(), (1, 0, vec![0, 0, 0, 1]));
        down(3);
        assert_eq!(found(), (0, 0, vec![0, 0, 0, 0]));
    }
}
