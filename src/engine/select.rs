//! Phase 9, SelectServer: use-server, then the cookie, then balancing; and the wait for a slot.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::Core;
use super::core::SessionEntry;
use super::queue::{self, QueueOf, QueuePlace};
use super::wait;
use crate::balance::{Key, Pick};
use crate::base::clock;
use crate::base::id::ProxyIndex;
use crate::model::{Proxy, Server};
use crate::net::timer::{Kill, NEVER, Stop};
use crate::rules::Priority;
use crate::state::server::counter;

/// A slot on a server, given back when dropped.
pub struct Assigned {
    /// The server.
    pub server: Arc<Server>,
    /// Its place in the backend.
    pub index: u32,
    backend: ProxyIndex,
    core: Rc<Core>,
}

impl Drop for Assigned {
    fn drop(&mut self) {
        let backend = &self.core.proxy(self.backend).state;
        queue::release(&self.core.setup.mailboxes, backend, &self.server.state, self.index);
    }
}

/// Why no server was assigned.
#[derive(Debug, PartialEq, Eq)]
pub enum NoServer {
    /// None is up.
    NoneUp,
    /// The queue it would wait in is full.
    QueueFull,
    /// `timeout queue` passed.
    QueueTimeout,
    /// The client went away while it waited.
    ClientGone,
    /// The session was killed while it waited.
    Killed(Kill),
}

/// What is wanted.
pub struct Wish<'a> {
    /// The backend.
    pub backend: &'a Arc<Proxy>,
    /// The server that persistence or use-server demands.
    pub preferred: Option<u32>,
    /// The key of a hashing algorithm.
    pub key: Option<Key<'a>>,
    /// The server that failed just now.
    pub avoid: Option<u32>,
    /// The longest wait in a queue, if a rule set it.
    pub timeout_ms: Option<u64>,
    /// Where it comes in a queue.
    pub priority: Priority,
}

/// Positions in queues, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueuePositions {
    /// In the server's queue.
    pub server: u32,
    /// In the backend's queue.
    pub backend: u32,
}

/// The most sessions a server may have now: `maxconn`, or between `minconn` and it by the backend's load.
pub fn effective_maxconn(backend: &Proxy, server: &Server) -> u32 {
    let maxconn = server.state.maxconn.load(Relaxed);
    if server.minconn == 0 || maxconn == 0 || server.minconn >= maxconn {
        return maxconn;
    }
    let load = backend.state.backend_current.load(Relaxed);
    match backend.fullconn {
        Some(full) if full > 0 && load < full => {
            let scaled = (u64::from(load) * u64::from(maxconn) / u64::from(full)) as u32;
            scaled.max(server.minconn)
        }
        _ => maxconn,
    }
}

/// Assigns a server with a slot on it, waiting in a queue if it must.
pub async fn assign(
    core: &Rc<Core>,
    entry: &SessionEntry,
    wish: Wish<'_>,
    positions: &mut QueuePositions,
    mut client_gone: impl FnMut(&mut Context<'_>) -> bool,
) -> Result<Assigned, NoServer> {
    let backend = wish.backend;
    let deadline = wish
        .timeout_ms
        .or(backend.timeouts.queue_ms)
        .or(backend.timeouts.connect_ms)
        .map_or(NEVER, |ms| clock::cached().millis() + ms);
    loop {
        let picked = match wish.preferred {
            Some(index) => Some(index),
            None => core.picker(backend).pick(&mut Pick {
                backend: &backend.state,
                key: wish.key,
                avoid: wish.avoid,
                rng: &mut core.rng.borrow_mut(),
            }),
        };
        let Some(index) = picked else { return Err(NoServer::NoneUp) };
        let server = &backend.servers[index as usize];
        let limit = effective_maxconn(backend, server);
        // A server that persistence or a hash chose is waited for; else any will do.
        // Who waits already comes first, or a stream of newcomers would starve the queue.
        let bound = wish.preferred.is_some() || wish.key.is_some();
        let free = server.state.queue.is_empty() && (bound || backend.state.queue.is_empty());
        if (limit == 0 || free) && server.state.try_take_slot(limit) {
            return Ok(assigned(core, backend, index));
        }
        let of = match bound {
            true => QueueOf::Server(server.state.clone()),
            false => QueueOf::Backend(backend.state.clone()),
        };
        if bound && server.maxqueue > 0 && server.state.queue.len() >= server.maxqueue {
            return Err(NoServer::QueueFull);
        }
        let servers: Rc<[_]> = backend.servers.iter().map(|server| server.state.clone()).collect();
        let mut place = QueuePlace::take(core, of, wish.priority, &backend.state, servers);
        match bound {
            true => positions.server = place.position,
            false => positions.backend = place.position,
        }
        // A slot freed between the attempt and the queueing would wake nobody: on the server that was
        // picked, or on another one that the picker took for full.
        let freed = (place.position == 0).then(|| {
            let takes = |&at: &u32| {
                let other = &backend.servers[at as usize];
                let limit = effective_maxconn(backend, other);
                (at == index || other.state.is_eligible() && !other.backup)
                    && other.state.try_take_slot(limit)
            };
            let count = if bound { 0 } else { backend.servers.len() as u32 };
            std::iter::once(index).chain(0..count).find(takes)
        });
        if let Some(index) = freed.flatten() {
            if let Some(granted) = place.leave() {
                queue::release(
                    &core.setup.mailboxes,
                    &backend.state,
                    &backend.servers[granted as usize].state,
                    granted,
                );
            }
            return Ok(assigned(core, backend, index));
        }
        let mut gone = false;
        let waited = wait::until(core, &entry.ticket, deadline, |context| {
            if let Poll::Ready(granted) = place.poll(context) {
                return Poll::Ready(granted);
            }
            if client_gone(context) {
                gone = true;
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await;
        match waited {
            Ok(Some(index)) => return Ok(assigned(core, backend, index)),
            Ok(None) if gone => return Err(NoServer::ClientGone),
            Ok(None) => {}
            Err(Stop::Timeout) => return Err(NoServer::QueueTimeout),
            Err(Stop::Killed(kill)) => return Err(NoServer::Killed(kill)),
        }
    }
}

/// Wraps a slot that is taken already.
fn assigned(core: &Rc<Core>, backend: &Arc<Proxy>, index: u32) -> Assigned {
    let server = backend.servers[index as usize].clone();
    let now = clock::cached();
    server.state.counters.add(counter::SESSIONS, 1);
    server.state.session_rate.add(now.millis(), 1);
    server.state.last_session_s.store(now.wall_secs() as i64, Relaxed);
    Assigned { server, index, backend: backend.index, core: core.clone() }
}
