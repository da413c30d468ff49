//! What `show info` tells about TLS, over all cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::base::clock::Millis;
use crate::base::rate::{Rate, Window};

/// Counts of the process. A handshake costs far more than what is counted for it.
#[derive(Debug, Default)]
pub struct TlsCounters {
    current: AtomicU32,
    total: AtomicU64,
    /// Handshakes with clients, resumed or not.
    pub clients: Rate,
    /// Handshakes begun within the last second, for `maxsslrate`.
    pub clients_window: Window,
    /// Full handshakes with clients.
    pub client_keys: Rate,
    /// Full handshakes with servers.
    pub server_keys: Rate,
}

/// The place of a connection among those that there are now.
#[derive(Debug)]
pub struct Counted(Arc<TlsCounters>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.current.fetch_sub(1, Relaxed);
    }
}

impl TlsCounters {
    /// Takes the place of a connection whose handshake begins, if there are fewer than `limit` (0: no limit).
    pub fn enter(self: &Arc<Self>, limit: u32) -> Option<Counted> {
        let counted = Counted(self.clone());
        let before = self.current.fetch_add(1, Relaxed);
        (limit == 0 || before < limit).then_some(counted)
    }
    /// Counts a handshake that is over.
    pub fn count(&self, with_client: bool, is_resumed: bool, now: Millis) {
        self.total.fetch_add(1, Relaxed);
        if with_client {
            self.clients.add(now, 1);
        }
        if !is_resumed {
            let keys = if with_client { &self.client_keys } else { &self.server_keys };
            keys.add(now, 1);
        }
    }
    /// Connections now.
    pub fn current(&self) -> u32 {
        self.current.load(Relaxed)
    }
    /// Connections so far.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
    /// How many of the last second's handshakes with clients resumed a session, in percent.
    pub fn resumed_percent(&self, now: Millis) -> u32 {
        let (all, full) = (self.clients.read(now), self.client_keys.read(now));
        (all.saturating_sub(full) * 100).checked_div(all).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_keys_are_counted() {
        let counters = Arc::new(TlsCounters::default());
        let kept = counters.enter(1);
        assert!(kept.is_some() && counters.enter(1).is_none(), "the limit is exact");
        assert!(counters.enter(2).is_some() && counters.enter(0).is_some());
        counters.count(true, false, 1000);
        counters.count(true, true, 1000);
        counters.count(false, false, 1000);
        assert_eq!((counters.current(), counters.total()), (1, 3));
        assert_eq!(counters.resumed_percent(1000), 50);
        assert_eq!((counters.client_keys.read(1000), counters.server_keys.read(1000)), (1, 1));
        drop(kept);
        assert_eq!(counters.current(), 0);
        assert_eq!(counters.resumed_percent(9000), 0, "nothing happened lately");
    }
}
