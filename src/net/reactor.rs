//! Readiness of this core's descriptors, kept as flags that edges set and short reads clear.
//!
//! A descriptor is watched from the first time someone must wait for it until it is closed. An edge
//! sets its flag and wakes the task that waits; a read that gave less than was asked for, or a write that was
//! cut, clears it. So a keep-alive request costs no operation of the driver beside the wait of the
//! whole core, and watching a client for its abort, or an idle server connection for its death,
//! costs nothing at all.
//!
//! A ring that fails while it runs (the kernel may refuse to enter it, or its descriptor may be lost) is
//! replaced by epoll in place: every flag is set and every task woken, so that each tries its descriptor and
//! waits anew. The ring never holds bytes, so nothing is lost with it.

use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::driver::Choice;
use crate::sys::epoll::Epoll;
use crate::sys::ring::Ring;

/// Submission queue entries of a core's ring. A full queue is handed over early, so this bounds
/// batches, not connections.
const RING_ENTRIES: u32 = 512;
/// Completion queue entries; more edges than that between two turns wait in the kernel.
const COMPLETIONS: u32 = 8192;
/// How long the end of a thread waits for the kernel to let go of what it watched.
const RELEASE_MAX: Duration = Duration::from_secs(1);
/// The same for a ring that has failed, while the core waits.
const RELEASE_BROKEN_MAX: Duration = Duration::from_millis(10);
/// How soon a watch is tried again that the kernel had no room for.
const RETRY: Duration = Duration::from_millis(10);

/// A direction of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Bytes, an end or an error to read.
    Read,
    /// Room to write, or a connection that stands or failed.
    Write,
}

/// The watch of one descriptor: its key in the reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    index: u32,
    generation: u32,
}

#[derive(Debug, Default)]
struct Half {
    ready: bool,
    /// The peer has ended its direction: no further edge will come, so only an empty read may clear `ready`.
    ending: bool,
    watched: bool,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Slot {
    fd: RawFd,
    generation: u32,
    read: Half,
    write: Half,
}

enum Driver {
    Uring(Box<Ring>),
    Epoll(Epoll),
}

/// The reactor of one core.
pub struct Reactor {
    driver: Driver,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Tasks that wait for a descriptor that could not be watched: woken after the next wait.
    unwatched: Vec<Waker>,
    /// Polls of closed descriptors that could not be taken back yet.
    stray: Vec<u64>,
    /// Why the ring was given up, until it is reported.
    failure: Option<io::Error>,
}

thread_local! {
    static REACTOR: RefCell<Option<Reactor>> = const { RefCell::new(None) };
}

/// Makes this thread's reactor.
pub fn install(choice: &Choice) -> io::Result<()> {
    let driver = match choice.uring {
        true => Driver::Uring(Box::new(Ring::new(RING_ENTRIES, COMPLETIONS)?)),
        false => Driver::Epoll(Epoll::new()?),
    };
    let reactor = Reactor {
        driver,
        slots: Vec::new(),
        free: Vec::new(),
        unwatched: Vec::new(),
        stray: Vec::new(),
        failure: None,
    };
    REACTOR.with(|cell| *cell.borrow_mut() = Some(reactor));
    Ok(())
}

/// Why the ring was given up for epoll, once, if it was.
pub fn take_failure() -> Option<io::Error> {
    with(|reactor| reactor.failure.take())
}

/// Takes this thread's reactor down; descriptors that are still open are closed by their owners. Returns once
/// the kernel holds none of the files that were watched.
pub fn remove() {
    let reactor = REACTOR.with(|cell| cell.borrow_mut().take());
    if let Some(Reactor { driver: Driver::Uring(mut ring), .. }) = reactor {
        // A ring that fails here is taken down by the kernel a little later.
        let _ = ring.release(RELEASE_MAX);
    }
}

/// Whether a watch keeps its file open after its descriptor was closed.
pub fn holds_files() -> bool {
    with(|reactor| matches!(reactor.driver, Driver::Uring(_)))
}

fn with<T>(act: impl FnOnce(&mut Reactor) -> T) -> T {
    REACTOR
        .with(|cell| act(cell.borrow_mut().as_mut().expect("a data thread has its reactor before its tasks")))
}

/// Makes a descriptor known. Nothing is watched until someone waits; both sides count as ready, so
/// that the first try decides.
pub fn add(fd: RawFd) -> Key {
    with(|reactor| {
        let index = reactor.free.pop().unwrap_or_else(|| {
            reactor.slots.push(Slot::default());
            reactor.slots.len() as u32 - 1
        });
        let slot = &mut reactor.slots[index as usize];
        slot.fd = fd;
        slot.read.ready = true;
        slot.write.ready = true;
        Key { index, generation: slot.generation }
    })
}

/// Forgets a descriptor that is about to be closed.
pub fn forget(key: Key) {
    // At the end of the thread the reactor goes first.
    let _ = REACTOR.try_with(|cell| {
        let Ok(mut reactor) = cell.try_borrow_mut() else { return };
        let Some(reactor) = reactor.as_mut() else { return };
        let slot = &mut reactor.slots[key.index as usize];
        if let Driver::Uring(ring) = &mut reactor.driver {
            // The poll holds the file open: without this the peer would never see the close.
            for (half, side) in [(&slot.read, Side::Read), (&slot.write, Side::Write)] {
                if half.watched && ring.unwatch(token(key, side)).is_err() {
                    reactor.stray.push(token(key, side));
                }
            }
        }
        *slot = Slot { generation: slot.generation.wrapping_add(1), ..Slot::default() };
        reactor.free.push(key.index);
    });
}

/// Stops watching a descriptor that lives on elsewhere; [`forget`] must follow.
pub fn unwatch(key: Key, fd: RawFd) {
    // At the end of the thread the reactor goes first.
    let _ = REACTOR.try_with(|cell| {
        let Ok(mut reactor) = cell.try_borrow_mut() else { return };
        let Some(reactor) = reactor.as_mut() else { return };
        let slot = &mut reactor.slots[key.index as usize];
        if let Driver::Epoll(epoll) = &mut reactor.driver
            && (slot.read.watched || slot.write.watched)
        {
            epoll.unwatch(fd); // a poll of io_uring is taken back when the descriptor is forgotten
        }
    });
}

/// Whether `side` is ready; if not, arranges for the waker.
pub fn poll(key: Key, side: Side, context: &mut Context<'_>) -> Poll<()> {
    with(|reactor| {
        let slot = &mut reactor.slots[key.index as usize];
        let fd = slot.fd;
        let other_watched = match side {
            Side::Read => slot.write.watched,
            Side::Write => slot.read.watched,
        };
        let half = match side {
            Side::Read => &mut slot.read,
            Side::Write => &mut slot.write,
        };
        if half.ready {
            return Poll::Ready(());
        }
        match &half.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => half.waker = Some(context.waker().clone()),
        }
        if !half.watched {
            let result = match &mut reactor.driver {
                Driver::Uring(ring) => {
                    let events = match side {
                        Side::Read => libc::POLLIN | libc::POLLRDHUP,
                        Side::Write => libc::POLLOUT,
                    };
                    ring.watch(fd, events, token(key, side))
                }
                Driver::Epoll(epoll) => {
                    let read = libc::EPOLLIN | libc::EPOLLRDHUP;
                    let events = match (side, other_watched) {
                        (Side::Read, false) => read,
                        _ => read | libc::EPOLLOUT,
                    };
                    epoll.watch(fd, events as u32, token(key, Side::Read), other_watched)
                }
            };
            if result.is_err() {
                // The kernel is short of something, or the descriptor cannot be watched: it is tried in
                // a while, when the call itself tells what is wrong. At once would be a busy loop.
                half.ready = true;
                reactor.unwatched.push(context.waker().clone());
                return Poll::Pending;
            }
            half.watched = true;
            if matches!(reactor.driver, Driver::Epoll(_)) {
                // One watch serves both sides; the read side comes with it.
                slot.read.watched = true;
            }
        }
        Poll::Pending
    })
}

/// Whether `side` counts as ready, without waiting for it.
#[inline]
pub fn is_ready(key: Key, side: Side) -> bool {
    with(|reactor| {
        let slot = &reactor.slots[key.index as usize];
        match side {
            Side::Read => slot.read.ready,
            Side::Write => slot.write.ready,
        }
    })
}

/// A read gave less than was asked for: there is no more for now, unless the end is next.
#[inline]
pub fn clear_short(key: Key) {
    with(|reactor| {
        let half = &mut reactor.slots[key.index as usize].read;
        half.ready = half.ending;
    });
}

/// A try showed that `side` is not ready any more.
#[inline]
pub fn clear(key: Key, side: Side) {
    with(|reactor| {
        let slot = &mut reactor.slots[key.index as usize];
        match side {
            Side::Read => slot.read.ready = false,
            Side::Write => slot.write.ready = false,
        }
    });
}

fn token(key: Key, side: Side) -> u64 {
    let side = u64::from(side == Side::Write);
    u64::from(key.generation & 0x7fff_ffff) << 33 | u64::from(key.index) << 1 | side
}

/// Waits until something is ready or the time has passed, and wakes the tasks that wait for it.
pub fn wait(timeout: Option<Duration>) -> io::Result<()> {
    with(|reactor| {
        let timeout = match reactor.unwatched.is_empty() && reactor.stray.is_empty() {
            true => timeout,
            false => Some(timeout.map_or(RETRY, |timeout| timeout.min(RETRY))),
        };
        let result = reactor.gather(timeout);
        if let (Err(_), Driver::Uring(_)) = (&result, &reactor.driver) {
            let epoll = Epoll::new()?;
            reactor.failure = result.err();
            reactor.fall_back(epoll);
            return Ok(());
        }
        result?;
        reactor.unwatched.drain(..).for_each(Waker::wake);
        if let Driver::Uring(ring) = &mut reactor.driver {
            reactor.stray.retain(|token| ring.unwatch(*token).is_err());
        }
        Ok(())
    })
}

/// Takes notice of all that is ready by now, and waits for nothing.
pub fn look() {
    // A failure is seen by the next wait.
    while let Ok(true) = with(|reactor| reactor.gather(Some(Duration::ZERO))) {}
}

impl Reactor {
    /// Goes on with epoll: nothing is watched, everything may be ready.
    fn fall_back(&mut self, epoll: Epoll) {
        // With the ring go its polls, at once if it can still be told so.
        if let Driver::Uring(mut ring) = std::mem::replace(&mut self.driver, Driver::Epoll(epoll)) {
            let _ = ring.release(RELEASE_BROKEN_MAX);
        }
        self.stray.clear();
        for slot in &mut self.slots {
            for half in [&mut slot.read, &mut slot.write] {
                half.watched = false;
                half.ready = true;
                if let Some(waker) = half.waker.take() {
                    waker.wake();
                }
            }
        }
        self.unwatched.drain(..).for_each(Waker::wake);
    }

    /// Waits once, sets flags and wakes. Tells whether there may be more.
    fn gather(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let Reactor { driver, slots, .. } = self;
        // poll(2) and epoll share the values of these bits.
        const OVER: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        const ENDING: u32 = OVER | libc::EPOLLRDHUP as u32;
        let mut fire = |token: u64, read: bool, write: bool, events: u32, armed: bool| {
            let Some(slot) = slots.get_mut((token >> 1) as u32 as usize) else { return };
            if u64::from(slot.generation & 0x7fff_ffff) != token >> 33 {
                return; // the slot has another descriptor by now
            }
            slot.read.ending |= events & ENDING != 0;
            for (half, fired, of_token) in
                [(&mut slot.read, read, token & 1 == 0), (&mut slot.write, write, token & 1 == 1)]
            {
                if fired {
                    half.ready = true;
                    if let Some(waker) = half.waker.take() {
                        waker.wake();
                    }
                }
                if of_token && !armed {
                    half.watched = false;
                }
            }
        };
        match driver {
            Driver::Uring(ring) => {
                ring.wait(timeout, |fired| {
                    let write = fired.token & 1 == 1;
                    fire(fired.token, !write, write, fired.events, fired.armed);
                })?;
                Ok(false)
            }
            Driver::Epoll(epoll) => epoll.wait(timeout, |token, events| {
                let read = events & (ENDING | libc::EPOLLIN as u32) != 0;
                let write = events & (OVER | libc::EPOLLOUT as u32) != 0;
                fire(token, read, write, events, true);
            }),
        }
    }
}
