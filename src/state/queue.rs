//! Requests that wait for a server's slot: one list per server and one per backend, exact across cores.
//!
//! The list is behind a mutex that is held for a few instructions and never across a system call;
//! it is touched only when `maxconn` is reached, when waiting is what the request does anyway.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex};

/// What decides who comes first: the class, then the time (`set-priority-class`, `set-priority-offset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Lower ones come first.
    pub class: i16,
    /// When it came, moved by its offset, in milliseconds.
    pub time_ms: u64,
}

/// A request that waits. Whoever frees a slot grants it; the owner may leave first.
#[derive(Debug)]
pub struct Waiter {
    /// The core that owns the request.
    pub core: usize,
    /// The owner's key for it, echoed in the wake-up.
    pub token: u64,
    /// Its place among the others.
    pub rank: Rank,
    /// 0 waiting, 1 granted, 2 left; decided once by compare-and-swap.
    state: AtomicU32,
    /// The server whose slot was granted: its place in the backend.
    server: AtomicU32,
}

impl Waiter {
    /// A waiter of `core`, known there as `token`.
    pub fn new(core: usize, token: u64) -> Arc<Self> {
        Self::with_rank(core, token, Rank::default())
    }
    /// A waiter with a place of its own.
    pub fn with_rank(core: usize, token: u64, rank: Rank) -> Arc<Self> {
        Arc::new(Waiter { core, token, rank, state: AtomicU32::new(0), server: AtomicU32::new(u32::MAX) })
    }
    /// The server whose slot was granted, or `None` when it was only told to try again.
    pub fn server(&self) -> Option<u32> {
        Some(self.server.load(Acquire)).filter(|index| *index != u32::MAX)
    }
    /// Grants it a slot of `server`; false if it left already.
    pub fn grant(&self, server: Option<u32>) -> bool {
        self.server.store(server.unwrap_or(u32::MAX), Release);
        self.state.compare_exchange(0, 1, AcqRel, Acquire).is_ok()
    }
    /// Leaves; false if it was granted already, and then the grant is the owner's to use or pass on.
    pub fn leave(&self) -> bool {
        self.state.compare_exchange(0, 2, AcqRel, Acquire).is_ok()
    }
    /// Whether it was granted.
    pub fn is_granted(&self) -> bool {
        self.state.load(Acquire) == 1
    }
}

/// A list of waiters in the order of their ranks, those of the same rank as they came.
#[derive(Debug, Default)]
pub struct Queue {
    len: AtomicU32,
    /// Waiters ever queued, for the position that logs show.
    pushed: AtomicU64,
    waiters: Mutex<VecDeque<Arc<Waiter>>>,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> u32 {
        self.len.load(SeqCst)
    }
    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The rank of who comes first.
    pub fn first_rank(&self) -> Option<Rank> {
        let list = self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        list.front().map(|waiter| waiter.rank)
    }
    /// Adds a waiter; returns how many stand before it.
    pub fn push(&self, waiter: Arc<Waiter>) -> u32 {
        let mut list = self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Nearly always it is the last: only a rule gives another place.
        let behind = list.iter().rev().take_while(|other| other.rank > waiter.rank).count();
        let place = list.len() - behind;
        list.insert(place, waiter);
        self.pushed.fetch_add(1, Relaxed);
        // Whoever queues raises this and then looks for a slot; whoever frees a slot does so and then
        // looks at this: one of both sees the other only in a single order of all four.
        self.len.fetch_add(1, SeqCst);
        place as u32
    }
    /// Grants a slot of `server` (or another try) to the first waiter that has not left, and returns it.
    pub fn grant_next(&self, server: Option<u32>) -> Option<Arc<Waiter>> {
        if self.is_empty() {
            return None;
        }
        let mut list = self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while let Some(waiter) = list.pop_front() {
            self.len.fetch_sub(1, AcqRel);
            if waiter.grant(server) {
                return Some(waiter);
            }
        }
        None
    }
    /// Takes out a waiter that gives up; false if it was granted meanwhile.
    pub fn leave(&self, waiter: &Arc<Waiter>) -> bool {
        let mut list = self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(at) = list.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            list.remove(at);
            self.len.fetch_sub(1, AcqRel);
        }
        waiter.leave()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_in_order_and_skips_who_left() {
        let queue = Queue::default();
        let [a, b, c] = [1, 2, 3].map(|token| Waiter::new(1, token));
        for (waiter, before) in [(&a, 0), (&b, 1), (&c, 2)] {
            assert_eq!(queue.push(waiter.clone()), before);
        }
        assert!(queue.leave(&b));
        assert_eq!(queue.grant_next(Some(7)).map(|w| (w.token, w.server())), Some((1, Some(7))));
        assert_eq!(queue.grant_next(None).map(|w| (w.token, w.server())), Some((3, None)));
        assert!(queue.grant_next(None).is_none() && queue.is_empty());
        assert!(!queue.leave(&c), "c was granted, its owner must use or return the slot");
    }
}
