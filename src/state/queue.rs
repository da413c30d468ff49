//! Requests that wait for a server's slot: one list per server and one per backend, exact across cores.
//!
//! A waiter keeps its place whatever changes meanwhile. When a change puts in question what it waits for
//! (its server goes away), it is *doubted*: it stays where it is and is granted nothing until its owner has
//! chosen again, and either says that it stays or leaves with its rank.
//!
//! The list is behind a mutex that is held for a few instructions and never across a system call;
//! it is touched only when `maxconn` is reached, when waiting is what the request does anyway.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::sync::{Arc, Mutex};

use crate::base::id::ServerId;

/// The order of requests: by class, then by time (`set-priority-class`, `set-priority-offset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Lower ones come first.
    pub class: i16,
    /// When it came, moved by its offset, in milliseconds.
    pub time_ms: u64,
    /// Its number among all that ever waited in the backend, for those of the same millisecond.
    pub number: u64,
}

/// A request that waits. The session that frees a slot grants it; the owner may leave first.
#[derive(Debug)]
pub struct Waiter {
    /// The core that owns the request.
    pub core: usize,
    /// The owner's key for it, echoed in the wake-up.
    pub token: u64,
    /// Its place among the others.
    pub rank: Rank,
    /// [`WAITING`], [`DOUBTED`], [`GRANTED`] or [`LEFT`]; changed under the queue's lock.
    state: AtomicU32,
    /// The servers that its backend has in its model, one list for all of a model: a slot of another server is of no
    /// use to it.
    known: Arc<[ServerId]>,
    /// The server whose slot was granted.
    server: AtomicU32,
    /// First, how many the queue had granted when it came; at the end, how many it granted since.
    passed: AtomicU32,
}

const WAITING: u32 = 0;
const DOUBTED: u32 = 1;
const GRANTED: u32 = 2;
const LEFT: u32 = 3;

/// What became of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Waits,
    /// What it waits for is to be chosen again.
    Doubted,
    /// It has a slot of this server.
    Granted(ServerId),
}

impl Waiter {
    /// A waiter of `core`, known there as `token`.
    pub fn new(core: usize, token: u64, rank: Rank, known: Arc<[ServerId]>) -> Arc<Self> {
        Arc::new(Waiter {
            core,
            token,
            rank,
            known,
            state: AtomicU32::new(WAITING),
            server: AtomicU32::new(0),
            passed: AtomicU32::new(0),
        })
    }
    /// What became of it so far.
    pub fn fate(&self) -> Fate {
        match self.state.load(Acquire) {
            GRANTED => Fate::Granted(ServerId::from_number(self.server.load(Relaxed))),
            DOUBTED => Fate::Doubted,
            _ => Fate::Waits,
        }
    }
    /// Requests that the queue served while it waited, itself included (manual, section 8.2.3 `%sq`); to be
    /// asked when it waits no more.
    pub fn served_meanwhile(&self) -> u32 {
        self.passed.load(Relaxed) + 1
    }
    fn is(&self, state: u32) -> bool {
        self.state.load(Relaxed) == state
    }
}

/// What comes of [`Queue::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is out.
    Quietly,
    /// It is out, and others were held up behind it: the caller looks for a slot for them.
    Unblocked,
    /// It was granted a slot of this server meanwhile, which is the owner's to use or pass on.
    Granted(ServerId),
}

/// A list of waiters in the order of their ranks.
///
/// Slots are granted to the first alone. While it is doubted the others wait for it to choose, which takes
/// its core a turn: else those whose cores are quicker would pass it.
#[derive(Debug, Default)]
pub struct Queue {
    len: AtomicU32,
    /// Whether anyone can be granted a slot.
    ready: AtomicBool,
    /// How many were ever granted one; wraps.
    granted: AtomicU32,
    waiters: Mutex<VecDeque<Arc<Waiter>>>,
}

type List = VecDeque<Arc<Waiter>>;

/// The place of the waiter that is granted the next slot of `server`: the first whose model has that server. So
/// requests that began under a model before and those that began under the newest one wait in one list.
fn next_for(list: &List, server: ServerId) -> Option<usize> {
    let at = list.iter().position(|waiter| waiter.known.contains(&server))?;
    list[at].is(WAITING).then_some(at)
}

impl Queue {
    /// Does something with the list and keeps account of it.
    fn with<R>(&self, act: impl FnOnce(&mut List) -> R) -> R {
        let mut list = self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let result = act(&mut list);
        // A request that queues raises these and then looks for a slot; a session that frees a slot does so and then
        // looks at these: one of both sees the other only in a single order of all four.
        self.len.store(list.len() as u32, SeqCst);
        self.ready.store(list.front().is_some_and(|first| first.is(WAITING)), SeqCst);
        result
    }
    /// How many wait.
    pub fn len(&self) -> u32 {
        self.len.load(SeqCst)
    }
    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether anyone can be granted a slot.
    pub fn has_ready(&self) -> bool {
        self.ready.load(SeqCst)
    }
    /// The rank of the waiter that is granted the next slot of `server`.
    pub fn first_rank(&self, server: ServerId) -> Option<Rank> {
        if !self.has_ready() {
            return None;
        }
        self.with(|list| next_for(list, server).map(|at| list[at].rank))
    }
    /// Whether a request waits that could use a slot of `server`.
    pub fn concerns(&self, server: ServerId) -> bool {
        !self.is_empty() && self.with(|list| list.iter().any(|waiter| waiter.known.contains(&server)))
    }
    /// Adds a waiter; returns how many stand before it, and whether it has to look for a slot itself: the first has,
    /// and one that stands behind requests of another model, which may have looked at other servers.
    pub fn push(&self, waiter: Arc<Waiter>) -> (u32, bool) {
        self.with(|list| {
            // Nearly always it is the last: only a rule, or a choice made again, gives another place.
            let behind = list.iter().rev().take_while(|other| other.rank > waiter.rank).count();
            let place = list.len() - behind;
            waiter.passed.store(self.granted.load(Relaxed), Relaxed);
            let looks = place == 0 || !Arc::ptr_eq(&list[0].known, &waiter.known);
            list.insert(place, waiter);
            (place as u32, looks)
        })
    }
    /// Grants a slot of `server` to the first waiter that knows it and returns that, unless it is doubted.
    pub fn grant_next(&self, server: ServerId) -> Option<Arc<Waiter>> {
        if !self.has_ready() {
            return None;
        }
        self.with(|list| {
            let waiter = list.remove(next_for(list, server)?)?;
            self.settle_account(&waiter);
            self.granted.fetch_add(1, Relaxed);
            waiter.server.store(server.number(), Relaxed);
            waiter.state.store(GRANTED, Release);
            Some(waiter)
        })
    }
    fn settle_account(&self, waiter: &Waiter) {
        let came = waiter.passed.load(Relaxed);
        waiter.passed.store(self.granted.load(Relaxed).wrapping_sub(came), Relaxed);
    }
    /// Has every waiter choose again; returns those that are to be told.
    pub fn doubt_all(&self) -> Vec<Arc<Waiter>> {
        if self.is_empty() {
            return Vec::new();
        }
        self.with(|list| {
            let doubted: Vec<_> = list.iter().filter(|waiter| waiter.is(WAITING)).cloned().collect();
            for waiter in &doubted {
                waiter.state.store(DOUBTED, Release);
            }
            doubted
        })
    }
    /// A waiter that was doubted stays: its owner has chosen the same again. The owner then looks for slots,
    /// since none was granted meanwhile.
    pub fn confirm(&self, waiter: &Waiter) {
        self.with(|_| {
            if waiter.is(DOUBTED) {
                waiter.state.store(WAITING, Release);
            }
        });
    }
    /// Takes out a waiter that gives up or goes elsewhere.
    pub fn leave(&self, waiter: &Arc<Waiter>) -> Left {
        self.with(|list| {
            if let Fate::Granted(server) = waiter.fate() {
                return Left::Granted(server);
            }
            let Some(at) = list.iter().position(|other| Arc::ptr_eq(other, waiter)) else {
                return Left::Quietly;
            };
            list.remove(at);
            self.settle_account(waiter);
            let blocked = at == 0 && waiter.is(DOUBTED);
            waiter.state.store(LEFT, Release);
            if blocked && list.front().is_some_and(|first| first.is(WAITING)) {
                return Left::Unblocked;
            }
            Left::Quietly
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(number: u64) -> Arc<Waiter> {
        knowing(number, &[0, 7, 8])
    }

    fn knowing(number: u64, servers: &[u32]) -> Arc<Waiter> {
        let known = servers.iter().map(|server| ServerId::from_number(*server)).collect();
        Waiter::new(1, number, Rank { number, ..Rank::default() }, known)
    }

    fn granted(queue: &Queue, server: u32) -> Option<(u64, Fate)> {
        queue.grant_next(ServerId::from_number(server)).map(|waiter| (waiter.token, waiter.fate()))
    }

    #[test]
    fn grants_in_order_and_skips_who_left() {
        let queue = Queue::default();
        let [a, b, c] = [1, 2, 3].map(waiter);
        for (waiter, before) in [(&a, 0), (&b, 1), (&c, 2)] {
            assert_eq!(queue.push(waiter.clone()).0, before);
        }
        assert_eq!(queue.leave(&b), Left::Quietly);
        assert_eq!(granted(&queue, 7), Some((1, Fate::Granted(ServerId::from_number(7)))));
        assert_eq!(granted(&queue, 8), Some((3, Fate::Granted(ServerId::from_number(8)))));
        assert!(queue.grant_next(ServerId::from_number(0)).is_none() && queue.is_empty());
        assert_eq!(
            queue.leave(&c),
            Left::Granted(ServerId::from_number(8)),
            "its owner must use or return the slot"
        );
        assert_eq!([&a, &b, &c].map(|waiter| waiter.served_meanwhile()), [1, 1, 2]);
    }

    #[test]
    fn who_is_doubted_keeps_its_place_and_is_not_passed() {
        let queue = Queue::default();
        let [a, b, c] = [1, 2, 3].map(waiter);
        queue.push(a.clone());
        queue.push(b.clone());
        let told: Vec<_> = queue.doubt_all().iter().map(|waiter| waiter.token).collect();
        assert_eq!(told, [1, 2]);
        assert_eq!((a.fate(), queue.len(), queue.has_ready()), (Fate::Doubted, 2, false));
        assert!(queue.grant_next(ServerId::from_number(0)).is_none());
        assert!(queue.doubt_all().is_empty(), "nobody is told twice");
        assert_eq!(queue.push(c.clone()).0, 2);
        queue.confirm(&b);
        assert!(!queue.has_ready(), "b does not pass a");
        assert_eq!(queue.leave(&a), Left::Unblocked, "a goes elsewhere");
        assert_eq!(queue.first_rank(ServerId::from_number(0)), Some(b.rank));
        assert_eq!(granted(&queue, 0).map(|(token, _)| token), Some(2));
        // It comes back with its rank.
        assert_eq!(queue.push(waiter(1)), (0, true));
        assert_eq!(granted(&queue, 0).map(|(token, _)| token), Some(1));
        assert_eq!(granted(&queue, 0).map(|(token, _)| token), Some(3));
    }
    #[test]
    fn a_slot_goes_to_the_first_whose_model_has_the_server() {
        let queue = Queue::default();
        let [old, new] = [knowing(1, &[1, 2]), knowing(2, &[2, 3])];
        assert_eq!(queue.push(old.clone()), (0, true));
        assert_eq!(queue.push(new.clone()), (1, true), "it may know of servers that the first does not");
        assert!([1, 2, 3].iter().all(|server| queue.concerns(ServerId::from_number(*server))));
        assert!(!queue.concerns(ServerId::from_number(4)));
        let kin = Waiter::new(1, 9, Rank { number: 9, ..Rank::default() }, old.known.clone());
        assert_eq!(queue.push(kin.clone()), (2, false), "the first has looked for both");
        queue.leave(&kin);
        assert_eq!(queue.first_rank(ServerId::from_number(4)), None);
        assert!(queue.grant_next(ServerId::from_number(4)).is_none());
        assert_eq!(
            granted(&queue, 3),
            Some((2, Fate::Granted(ServerId::from_number(3)))),
            "passing the other"
        );
        queue.push(knowing(3, &[2, 3]));
        assert_eq!(granted(&queue, 2).map(|(token, _)| token), Some(1), "in order where both know it");
        assert!(queue.grant_next(ServerId::from_number(1)).is_none());
        assert_eq!(queue.len(), 1);
    }
}
