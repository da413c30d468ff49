//! Waiting for a server's slot, exact across cores (see [`crate::state::queue`]).
//!
//! Whatever may have freed a place, by a session that ends, a limit that rises or a server that comes up,
//! calls [`fill`], which grants all that are free; whoever begins to wait looks once itself. So nobody has
//! to be woken only to try.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;

use super::Core;
use super::mailbox::{Mailbox, Order};
use crate::base::clock::{self, Millis};
use crate::base::id::ServerId;
use crate::model::Proxy;
use crate::rules::Priority;
use crate::state::places::effective_maxconn;
use crate::state::queue::{Fate, Left, Queue, Rank, Waiter};
use crate::state::server::counter;
use crate::state::{ProxyState, ServerState};

/// The requests of one core that wait.
#[derive(Default)]
pub struct Waiting {
    next: Cell<u64>,
    wakers: RefCell<FxHashMap<u64, Waker>>,
}

impl Waiting {
    /// Wakes the request known as `token`, if it still waits.
    pub fn wake(&self, token: u64) {
        if let Some(waker) = self.wakers.borrow_mut().remove(&token) {
            waker.wake();
        }
    }
}

/// Whose queue it is.
#[derive(Clone)]
pub enum QueueOf {
    /// A server's: persistence or a hash wants that one.
    Server(Arc<ServerState>),
    /// The backend's: any server will do.
    Backend(Arc<ProxyState>),
}

impl QueueOf {
    fn queue(&self) -> &Queue {
        match self {
            QueueOf::Server(server) => &server.queue,
            QueueOf::Backend(backend) => &backend.queue,
        }
    }
    fn is(&self, other: &QueueOf) -> bool {
        std::ptr::eq(self.queue(), other.queue())
    }
}

/// A place in a queue; leaving it by any way takes it out.
pub struct QueuePlace {
    core: Rc<Core>,
    queue: QueueOf,
    waiter: Arc<Waiter>,
    /// Whether it has to look for a slot itself, as those who are first have.
    pub first: bool,
    settled: bool,
    /// Its backend, as the model has it under which the request began.
    backend: Arc<Proxy>,
}

/// The rank of a request that begins to wait now.
pub fn rank(backend: &ProxyState, priority: Priority) -> Rank {
    let time_ms = clock::cached().millis().saturating_add_signed(priority.offset_ms.into());
    Rank { class: priority.class, time_ms, number: backend.waited.fetch_add(1, Relaxed) }
}

impl QueuePlace {
    /// Queues a request of this core.
    pub fn take(core: &Rc<Core>, queue: QueueOf, rank: Rank, backend: &Arc<Proxy>) -> QueuePlace {
        let token = core.waiting.next.get() + 1;
        core.waiting.next.set(token);
        let waiter = Waiter::new(core.index, token, rank, backend.server_idents.clone());
        backend.state.waiting.fetch_add(1, SeqCst);
        let (before, first) = queue.queue().push(waiter.clone());
        if let QueueOf::Server(server) = &queue {
            server.counters.raise(counter::QUEUE_MAX, u64::from(before) + 1);
        }
        let backend = backend.clone();
        backend.state.backend.raise(crate::state::proxy::be::QUEUE_MAX, u64::from(before) + 1);
        QueuePlace { core: core.clone(), queue, waiter, first, settled: false, backend }
    }
    /// Whether it is a place in this queue.
    pub fn is_in(&self, queue: &QueueOf) -> bool {
        self.queue.is(queue)
    }
    /// Whether it waits for one server.
    pub fn is_bound(&self) -> bool {
        matches!(self.queue, QueueOf::Server(_))
    }
    /// It stays: the same was chosen again. What came free meanwhile it has to look for itself.
    pub fn confirm(&mut self) {
        self.queue.queue().confirm(&self.waiter);
        self.first = true;
    }
    /// Waits for its fate: a slot, or the need to choose again.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Fate> {
        match self.waiter.fate() {
            Fate::Waits => {
                self.core.waiting.wakers.borrow_mut().insert(self.waiter.token, context.waker().clone());
                // Granted between the look and the insertion: the wake-up order comes later and finds us.
                Poll::Pending
            }
            Fate::Doubted => Poll::Ready(Fate::Doubted),
            granted => {
                self.settled = true;
                self.enter(granted);
                Poll::Ready(granted)
            }
        }
    }
    /// Takes note of a slot.
    fn enter(&self, fate: Fate) {
        if let Fate::Granted(server) = fate
            && let Some((_, server)) = self.backend.server(server)
        {
            server.state.entering.fetch_sub(1, Relaxed);
        }
    }
    /// Gives up waiting; the slot, if it was granted in this very moment.
    pub fn leave(&mut self) -> Option<ServerId> {
        if std::mem::replace(&mut self.settled, true) {
            return None;
        }
        let left = self.queue.queue().leave(&self.waiter);
        if let Left::Granted(server) = left {
            self.enter(Fate::Granted(server));
            return Some(server);
        }
        self.backend.state.waiting.fetch_sub(1, SeqCst);
        if left == Left::Unblocked {
            fill_all(&self.core.setup.mailboxes, &self.backend.state, clock::cached().millis());
        }
        None
    }
    /// Requests that the queue served while it waited; to be asked when it has left or was granted a slot.
    pub fn served_meanwhile(&self) -> u32 {
        self.waiter.served_meanwhile()
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.core.waiting.wakers.borrow_mut().remove(&self.waiter.token);
        // Granted while the request went away: the slot goes to the next in line.
        if let Some(granted) = self.leave()
            && let Some((_, server)) = self.backend.server(granted)
        {
            release(&self.core.setup.mailboxes, &self.backend.state, &server.state);
        }
    }
}

fn wake(mailboxes: &[Arc<Mailbox>], waiter: &Waiter) {
    mailboxes[waiter.core - 1].send(Order::Wake { token: waiter.token });
}

/// Grants a slot to whoever comes first of those that want this server and those that want any.
fn grant_next(backend: &ProxyState, server: &ServerState, takes_new: bool) -> Option<Arc<Waiter>> {
    let ident = server.ident;
    let (first, second) = (&server.queue, &backend.queue);
    if !takes_new || !second.has_ready() {
        return first.grant_next(ident);
    }
    let backend_first = match (first.first_rank(ident), second.first_rank(ident)) {
        (Some(own), Some(any)) => any < own,
        (own, _) => own.is_none(),
    };
    let (first, second) = if backend_first { (second, first) } else { (first, second) };
    first.grant_next(ident).or_else(|| second.grant_next(ident))
}

/// Grants all places of a server that are free, first come, first served.
pub fn fill(mailboxes: &[Arc<Mailbox>], backend: &ProxyState, server: &ServerState, now: Millis) {
    fill_if(mailboxes, backend, server, now, || backend.takes_new(server));
}

/// The same where it is known how to tell whether the server `takes_new` requests.
///
/// A server's own queue is served whatever its state is: a request that waits there although the server is down
/// was told to (`option persist`, `force-persist`).
fn fill_if(
    mailboxes: &[Arc<Mailbox>],
    backend: &ProxyState,
    server: &ServerState,
    now: Millis,
    takes_new: impl Fn() -> bool,
) {
    let is_wanted = |queue: &Queue| queue.first_rank(server.ident).is_some();
    while backend.waiting.load(SeqCst) > 0 {
        let takes_new = is_wanted(&backend.queue) && takes_new();
        if !takes_new && !is_wanted(&server.queue) {
            return;
        }
        if !server.try_take_slot(effective_maxconn(backend, server, now)) {
            return;
        }
        server.entering.fetch_add(1, Relaxed);
        match grant_next(backend, server, takes_new) {
            Some(waiter) => {
                backend.waiting.fetch_sub(1, SeqCst);
                wake(mailboxes, &waiter);
            }
            None => {
                // The waiter has left meanwhile; another may have come.
                server.entering.fetch_sub(1, Relaxed);
                server.release_slot();
            }
        }
    }
}

/// Gives a server's slot back, to the requests that wait for it.
pub fn release(mailboxes: &[Arc<Mailbox>], backend: &ProxyState, server: &ServerState) {
    server.release_slot();
    if backend.waiting.load(SeqCst) > 0 {
        fill(mailboxes, backend, server, clock::cached().millis());
    }
}

/// Grants what is free on all servers of a backend: a limit has risen, a server came up.
pub fn fill_all(mailboxes: &[Arc<Mailbox>], backend: &ProxyState, now: Millis) {
    if backend.waiting.load(SeqCst) == 0 {
        return;
    }
    let in_charge = backend.in_charge();
    for server in backend.servers.load().iter() {
        fill_if(mailboxes, backend, server, now, || in_charge.has(server));
    }
    // With no server left nobody will ever free a place: they choose again, and are told.
    if backend.queue.has_ready() && backend.usable_servers() == 0 {
        choose_again(mailboxes, &backend.queue);
    }
}

/// Has those who wait for a server choose again, since what they chose by has changed: it went away, or
/// takes its own sessions only. Tells how many they are.
pub fn hand_on(mailboxes: &[Arc<Mailbox>], server: &ServerState) -> u32 {
    choose_again(mailboxes, &server.queue)
}

fn choose_again(mailboxes: &[Arc<Mailbox>], queue: &Queue) -> u32 {
    let doubted = queue.doubt_all();
    doubted.iter().for_each(|waiter| wake(mailboxes, waiter));
    doubted.len() as u32
}
