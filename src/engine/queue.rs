//! Waiting for a server's slot, exact across cores (see [`crate::state::queue`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;

use super::Core;
use super::mailbox::{Mailbox, Order};
use crate::base::clock;
use crate::rules::Priority;
use crate::state::queue::{Queue, Rank, Waiter};
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

/// A place in a queue; leaving it by any way takes it out.
pub struct QueuePlace {
    core: Rc<Core>,
    queue: QueueOf,
    waiter: Arc<Waiter>,
    /// Requests that stood before it.
    pub position: u32,
    settled: bool,
    backend: Arc<ProxyState>,
    servers: Rc<[Arc<ServerState>]>,
}

/// Whose queue it is.
#[derive(Clone)]
pub enum QueueOf {
    /// A server's: persistence wants that one.
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
}

impl QueuePlace {
    /// Queues a request of this core.
    pub fn take(
        core: &Rc<Core>,
        queue: QueueOf,
        priority: Priority,
        backend: &Arc<ProxyState>,
        servers: Rc<[Arc<ServerState>]>,
    ) -> QueuePlace {
        let token = core.waiting.next.get() + 1;
        core.waiting.next.set(token);
        let time_ms = clock::cached().millis().saturating_add_signed(priority.offset_ms.into());
        let waiter = Waiter::with_rank(core.index, token, Rank { class: priority.class, time_ms });
        let position = queue.queue().push(waiter.clone());
        if let QueueOf::Server(server) = &queue {
            server.counters.raise(counter::QUEUE_MAX, u64::from(position) + 1);
        }
        let backend = backend.clone();
        backend.backend.raise(crate::state::proxy::be::QUEUE_MAX, u64::from(position) + 1);
        QueuePlace { core: core.clone(), queue, waiter, position, settled: false, backend, servers }
    }
    /// Whether it was granted: ready with the server whose slot it holds now, or with `None` to try anew.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<u32>> {
        if self.waiter.is_granted() {
            self.settled = true;
            return Poll::Ready(self.waiter.server());
        }
        self.core.waiting.wakers.borrow_mut().insert(self.waiter.token, context.waker().clone());
        // Granted between the look and the insertion: the wake-up order comes later and finds us.
        Poll::Pending
    }
    /// Gives up waiting; the slot, if it was granted in this very moment.
    pub fn leave(mut self) -> Option<u32> {
        self.settled = true;
        if self.queue.queue().leave(&self.waiter) { None } else { self.waiter.server() }
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.core.waiting.wakers.borrow_mut().remove(&self.waiter.token);
        if !self.settled && !self.queue.queue().leave(&self.waiter) {
            // Granted while the request went away: the slot goes to the next in line.
            if let Some(index) = self.waiter.server() {
                release(&self.core.setup.mailboxes, &self.backend, &self.servers[index as usize], index);
            }
        }
    }
}

/// Grants a slot to whoever comes first of those who want this server and those who want any.
fn grant_next(backend: &ProxyState, server: &ServerState, eligible: bool, index: u32) -> Option<Arc<Waiter>> {
    let (first, second) = (&server.queue, &backend.queue);
    if !eligible || second.is_empty() {
        return first.grant_next(Some(index));
    }
    let backend_first = match (first.first_rank(), second.first_rank()) {
        (Some(own), Some(any)) => any < own,
        (own, _) => own.is_none(),
    };
    let (first, second) = if backend_first { (second, first) } else { (first, second) };
    first.grant_next(Some(index)).or_else(|| second.grant_next(Some(index)))
}

/// Gives a server's slot back: to the next waiter of the server, else of the backend, else to all.
pub fn release(mailboxes: &[Arc<Mailbox>], backend: &Arc<ProxyState>, server: &Arc<ServerState>, index: u32) {
    loop {
        let limit = server.maxconn.load(Relaxed);
        // A limit that was lowered is reached by not passing slots on.
        let over = limit != 0 && server.served.load(Relaxed) > limit;
        // A server that drains serves its own queue, but no longer the backend's.
        let (usable, eligible) = (server.is_running() && !over, server.is_eligible());
        if usable && let Some(waiter) = grant_next(backend, server, eligible, index) {
            // The slot passes on: `served` stays as it is.
            mailboxes[waiter.core - 1].send(Order::Wake { token: waiter.token });
            return;
        }
        server.release_slot();
        // Someone may have queued between the look and the release.
        let waits = !server.queue.is_empty() || (eligible && !backend.queue.is_empty());
        if !usable || !waits || !server.try_take_slot(limit) {
            return;
        }
    }
}

/// Tells every waiter of a backend to try anew: a server came up, or its limit was raised.
pub fn wake_all(mailboxes: &[Arc<Mailbox>], backend: &ProxyState) {
    let servers = backend.servers.load();
    let queues = std::iter::once(&backend.queue).chain(servers.iter().map(|server| &server.queue));
    for queue in queues {
        while let Some(waiter) = queue.grant_next(None) {
            mailboxes[waiter.core - 1].send(Order::Wake { token: waiter.token });
        }
    }
}
