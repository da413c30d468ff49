//! Deadlines: one coarse wheel per core, lazily re-queued.
//!
//! A session has one [`Ticket`] for its life. Setting a deadline is a store into it; the wheel
//! looks at a ticket only when the slot it was put in comes up, and puts it back when the deadline
//! has moved on meanwhile. So a request costs no timer operation. A ticket also carries the order
//! to die (`shutdown session`), since each wait must look at both.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

use crate::base::clock::{self, Millis};

/// Width of a slot: deadlines are kept to this precision, always late, never early.
const TICK_MS: u64 = 8;
/// Slots of the wheel; farther deadlines are looked at once per turn of it.
const SLOTS: usize = 1024;
const _: () = assert!(SLOTS.is_power_of_two());

/// A deadline far away: none.
pub const NEVER: Millis = u64::MAX;

/// Why a wait ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The deadline passed.
    Timeout,
    /// An operator or a server's death ended the session.
    Killed(Kill),
}

/// Which side ended the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// `shutdown session`, `shutdown sessions server`.
    Operator,
    /// `on-marked-down shutdown-sessions`.
    ServerDown,
    /// `on-marked-up shutdown-backup-sessions`, on a backup server.
    ServerUp,
    /// The process ends.
    Shutdown,
    /// There is no memory for it.
    Resource,
}

/// A session's deadline and order to die.
#[derive(Debug, Default)]
pub struct Ticket {
    deadline: Cell<Millis>,
    /// The wheel tick it is queued for; 0 when it is in no slot.
    queued: Cell<u64>,
    kill: Cell<Option<Kill>>,
    waker: RefCell<Option<Waker>>,
}

impl Ticket {
    /// Orders the session to die.
    pub fn kill(&self, why: Kill) {
        self.kill.set(Some(why));
        self.wake();
    }
    /// When it expires, if ever.
    pub fn deadline(&self) -> Option<Millis> {
        Some(self.deadline.get()).filter(|deadline| *deadline != NEVER)
    }
    /// Whether it was ordered to die.
    pub fn killed(&self) -> Option<Kill> {
        self.kill.get()
    }
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
    fn keep_waker(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        match &*slot {
            Some(old) if old.will_wake(waker) => {}
            _ => *slot = Some(waker.clone()),
        }
    }
}

/// The wheel of one core.
#[derive(Debug)]
pub struct Wheel {
    slots: RefCell<Vec<Vec<Weak<Ticket>>>>,
    /// The last tick whose slot was looked at.
    done: Cell<u64>,
    /// No slot between `done` and this tick holds anything: saves looking at each, every turn.
    empty_to: Cell<u64>,
}

impl Default for Wheel {
    fn default() -> Self {
        let slots = RefCell::new(vec![Vec::new(); SLOTS]);
        let done = Cell::new(clock::read().millis() / TICK_MS);
        Wheel { slots, done, empty_to: Cell::new(0) }
    }
}

impl Wheel {
    /// Arms `ticket` for `deadline` (see [`NEVER`]) and tells why to stop waiting, if so. Called at
    /// each poll of a wait.
    pub fn check(&self, ticket: &Rc<Ticket>, deadline: Millis, waker: &Waker) -> Option<Stop> {
        if let Some(kill) = ticket.kill.get() {
            return Some(Stop::Killed(kill));
        }
        ticket.keep_waker(waker);
        ticket.deadline.set(deadline);
        if deadline == NEVER {
            return None;
        }
        if deadline <= clock::cached().millis() {
            return Some(Stop::Timeout);
        }
        let tick = deadline / TICK_MS + 1;
        let queued = ticket.queued.get();
        if queued == 0 || queued > tick {
            self.queue(ticket, tick);
        }
        None
    }

    fn queue(&self, ticket: &Rc<Ticket>, tick: u64) {
        // No farther than a turn, no nearer than the next slot.
        let tick = tick.clamp(self.done.get() + 1, self.done.get() + SLOTS as u64 - 1);
        ticket.queued.set(tick);
        self.empty_to.set(self.empty_to.get().min(tick));
        self.slots.borrow_mut()[tick as usize % SLOTS].push(Rc::downgrade(ticket));
    }

    /// Looks at every slot that came up since the last call, and wakes those whose time is over. What is to
    /// happen before any task is woken, if one is, stands in `before`: what has come in by now is not late.
    pub fn advance(&self, now: Millis, before: impl FnOnce()) {
        let late = self.late(now);
        if !late.is_empty() {
            before();
            late.iter().for_each(|ticket| ticket.wake());
        }
    }

    /// The tickets whose time is over.
    fn late(&self, now: Millis) -> Vec<Rc<Ticket>> {
        let mut late = Vec::new();
        let current = now / TICK_MS;
        while self.done.get() < current {
            let tick = self.done.get() + 1;
            self.done.set(tick);
            let due = std::mem::take(&mut self.slots.borrow_mut()[tick as usize % SLOTS]);
            for weak in &due {
                let Some(ticket) = weak.upgrade() else { continue };
                if ticket.queued.get() != tick {
                    continue; // an earlier deadline put it into another slot as well
                }
                ticket.queued.set(0);
                let deadline = ticket.deadline.get();
                if deadline <= now {
                    late.push(ticket);
                } else if deadline != NEVER {
                    self.queue(&ticket, deadline / TICK_MS + 1);
                }
            }
            // The slot's list keeps its capacity.
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[tick as usize % SLOTS];
            if slot.is_empty() {
                let mut due = due;
                due.clear();
                *slot = due;
            }
        }
        late
    }

    /// How long nothing is due: up to the next slot that holds something, a second at most.
    pub fn idle(&self) -> Duration {
        let now = clock::cached().millis();
        let done = self.done.get();
        if self.empty_to.get() <= done {
            let slots = self.slots.borrow();
            let holds = |n: &u64| !slots[(done + n) as usize % SLOTS].is_empty();
            let ahead = (1..IDLE_TICKS_MAX).find(holds).unwrap_or(IDLE_TICKS_MAX);
            self.empty_to.set(done + ahead);
        }
        Duration::from_millis((self.empty_to.get() * TICK_MS).saturating_sub(now))
    }
}

/// The longest that a core sleeps, in ticks: about a second.
const IDLE_TICKS_MAX: u64 = 125;
const _: () = assert!((IDLE_TICKS_MAX as usize) < SLOTS);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    struct Count(AtomicU32);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn wakes_late_but_once_and_follows_a_moved_deadline() {
        let wheel = Wheel::default();
        let ticket = Rc::new(Ticket::default());
        let count = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(count.clone());
        let now = clock::refresh().millis();
        assert_eq!(wheel.check(&ticket, now + 100, &waker), None);
        assert_eq!(wheel.check(&ticket, now + 300, &waker), None, "moved on");
        wheel.advance(now + 150, || panic!("nobody is late"));
        assert_eq!(count.0.load(Relaxed), 0);
        wheel.advance(now + 300 + 2 * TICK_MS, || {});
        assert_eq!(count.0.load(Relaxed), 1);
        assert_eq!(wheel.check(&ticket, now, &waker), Some(Stop::Timeout));
        ticket.kill(Kill::Operator);
        assert_eq!(wheel.check(&ticket, NEVER, &waker), Some(Stop::Killed(Kill::Operator)));
    }

    #[test]
    fn a_deadline_beyond_a_turn_of_the_wheel_is_kept() {
        let wheel = Wheel::default();
        let ticket = Rc::new(Ticket::default());
        let count = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(count.clone());
        let now = clock::refresh().millis();
        let far = now + 3 * SLOTS as u64 * TICK_MS;
        assert_eq!(wheel.check(&ticket, far, &waker), None);
        wheel.advance(far - 2 * TICK_MS, || {});
        assert_eq!(count.0.load(Relaxed), 0);
        wheel.advance(far + 2 * TICK_MS, || {});
        assert_eq!(count.0.load(Relaxed), 1);
    }
}
