//! Sessions that are kept here, for clients that resume by an id instead of a ticket (`no-tls-tickets`).
//!
//! The store is split into shards, each with a lock of its own that is held for a look-up only: a core that
//! meets another one there waits for some nanoseconds. Each shard forgets its oldest sessions first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use rustls::server::StoresServerSessions;

use crate::base::clock;

const SHARDS: usize = 64;
/// The longest session that is kept: one with a client's chain of certificates.
const SESSION_BYTES_MAX: usize = 32 * 1024;

#[derive(Debug, Default)]
struct Shard {
    sessions: HashMap<Vec<u8>, (u64, Vec<u8>)>,
    /// Ids in order of arrival; those of sessions that were taken away are stepped over.
    order: VecDeque<Vec<u8>>,
}

/// The sessions of one policy of a listener.
#[derive(Debug)]
pub struct Sessions {
    shards: Vec<Mutex<Shard>>,
    per_shard: usize,
    lifetime_s: u64,
}

impl Sessions {
    /// Room for `most` sessions, each kept for `lifetime_s` seconds.
    pub fn new(most: usize, lifetime_s: u32) -> Sessions {
        let shards = if most == 0 { 0 } else { SHARDS };
        Sessions {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            per_shard: most.div_ceil(SHARDS),
            lifetime_s: lifetime_s.into(),
        }
    }
    fn shard(&self, id: &[u8]) -> Option<MutexGuard<'_, Shard>> {
        // Ids are random, except those of attackers, which gain nothing by a full shard.
        let at = id.iter().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        let shard = self.shards.get(at % SHARDS)?;
        Some(shard.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
    fn is_fresh(&self, made_s: u64) -> bool {
        clock::cached().wall_secs().saturating_sub(made_s) <= self.lifetime_s
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        if session.len() > SESSION_BYTES_MAX {
            return false;
        }
        let Some(mut shard) = self.shard(&id) else { return false };
        while shard.order.len() >= self.per_shard {
            let Some(oldest) = shard.order.pop_front() else { break };
            shard.sessions.remove(&oldest);
        }
        if shard.sessions.insert(id.clone(), (clock::cached().wall_secs(), session)).is_none() {
            shard.order.push_back(id);
        }
        true
    }
    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        let shard = self.shard(id)?;
        let (made_s, session) = shard.sessions.get(id)?;
        self.is_fresh(*made_s).then(|| session.clone())
    }
    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        let (made_s, session) = self.shard(id)?.sessions.remove(id)?;
        self.is_fresh(made_s).then_some(session)
    }
    fn can_cache(&self) -> bool {
        !self.shards.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_kept_within_bounds() {
        let sessions = Sessions::new(SHARDS * 2, 300);
        for id in 0..1000u32 {
            assert!(sessions.put(id.to_be_bytes().to_vec(), vec![id as u8]));
        }
        let kept = (0..1000u32).filter(|id| sessions.get(&id.to_be_bytes()).is_some()).count();
        assert!((1..=SHARDS * 2).contains(&kept), "{kept}");
        let last = 999u32.to_be_bytes();
        assert_eq!(sessions.get(&last), Some(vec![999u32 as u8]), "the newest are kept");
        assert_eq!(sessions.take(&last), Some(vec![999u32 as u8]));
        assert_eq!(sessions.take(&last), None, "a session that is taken is gone");
        assert!(!sessions.put(vec![1], vec![0; SESSION_BYTES_MAX + 1]));
        let none = Sessions::new(0, 300);
        assert!(!none.can_cache() && !none.put(vec![1], vec![2]) && none.get(&[1]).is_none());
    }
}
