//! Connections to servers, and those of this core that wait for their next request.
//!
//! An idle connection keeps its wait for readability in flight: if it fires, the server has closed
//! or said something unasked, and the connection is not used again.

use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::task::{Context, Waker};

use rustc_hash::{FxHashMap, FxHasher};

use crate::base::clock::{self, Millis};
use crate::base::core_id;
use crate::base::hash;
use crate::model::Server;
use crate::net::Stream;
use crate::rules::PacketFields;
use crate::state::server::EndpointVersion;

/// A connection to a server.
#[derive(Debug)]
pub struct ServerConnection {
    /// The socket.
    pub stream: Stream,
    /// The server.
    pub server: Arc<Server>,
    /// The backend's place in the model and the server's in the backend.
    pub key: (u32, u32),
    /// Its own address and the server's.
    pub addresses: (Option<SocketAddr>, Option<SocketAddr>),
    /// Requests it has served.
    pub requests: u32,
    /// Whether it speaks for one client, who authenticated the connection itself (NTLM, Negotiate):
    /// nobody else may have it.
    pub private: bool,
    /// What sets it apart from others to the same server.
    pub identity: Identity,
    /// The PROXY protocol header it began with: it speaks for the client of that header, and only a
    /// request that would send the very same one may have it again.
    pub header: Option<Box<[u8]>>,
    /// Since when it idles.
    since: Millis,
}

impl ServerConnection {
    /// A fresh one; in a box, since it moves from hand to hand.
    pub fn new(stream: Stream, server: Arc<Server>, key: (u32, u32), identity: Identity) -> Box<Self> {
        Box::new(ServerConnection {
            stream,
            server,
            key,
            addresses: (None, None),
            requests: 0,
            private: false,
            identity,
            header: None,
            since: 0,
        })
    }
}

/// What sets a connection apart from others to the same server: only requests that want the same use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Mark and TOS of its packets.
    pub packets: PacketFields,
    /// The address it shows in place of ours (`source ... usesrc`).
    pub shown: Option<SocketAddr>,
    /// Where it goes, if the server's address leaves that to the client (`set-dst` and kin).
    pub destination: Option<SocketAddr>,
    /// Which of the server's endpoints it was made to.
    pub version: EndpointVersion,
}

impl ServerConnection {
    /// Whether it was made to the server as that is now: another address, a server that went away and came
    /// back, may be somebody else.
    pub fn is_current(&self) -> bool {
        self.identity.version == self.server.state.endpoint.version() && self.server.state.is_running()
    }
}

/// A connection that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The backend's place in the model and the server's in the backend.
    pub key: (u32, u32),
    /// How picky the request is.
    pub demand: Demand,
    /// What it must be.
    pub identity: Identity,
}

/// How picky a request is about a reused connection (`http-reuse`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Any idle connection.
    Any,
    /// One that has been reused before: the server honours keep-alive.
    Proven,
}

/// How often dead and old connections are looked for.
const PURGE_EVERY_MS: u64 = 1000;

/// A core's bit in the mask of those that may have idle connections of a server; cores beyond the
/// mask keep theirs to themselves.
pub fn core_bit(core: usize) -> u64 {
    match core {
        1..=64 => 1 << (core - 1),
        _ => 0,
    }
}

/// Backend, server, and a hash of what only few requests have in common; 0 without any of that.
type PoolKey = (u32, u32, u64);

fn pool_key(key: (u32, u32), identity: &Identity, header: Option<&[u8]>) -> PoolKey {
    let mut rest = header.map_or(0, |header| hash::xxh3(header, 0) | 1);
    if let Some(destination) = identity.destination {
        let mut hasher = FxHasher::default();
        (rest, destination).hash(&mut hasher);
        rest = hasher.finish() | 1;
    }
    (key.0, key.1, rest)
}

/// The idle server connections of one core, newest first.
#[derive(Default)]
pub struct IdlePool {
    #[expect(
        clippy::vec_box,
        reason = "an exchange takes the box itself; moving the connection out would copy it"
    )]
    by_server: RefCell<FxHashMap<PoolKey, Vec<Box<ServerConnection>>>>,
    purged: Cell<Millis>,
}

impl IdlePool {
    /// Takes a living connection to a server that began with this PROXY protocol header.
    pub fn take(
        &self,
        wanted: &Wanted,
        header: Option<&[u8]>,
        context: &mut Context<'_>,
    ) -> Option<Box<ServerConnection>> {
        let mut pool = self.by_server.borrow_mut();
        let key = pool_key(wanted.key, &wanted.identity, header);
        let list = pool.get_mut(&key)?;
        let mut at = list.len();
        while at > 0 {
            at -= 1;
            let unproven = wanted.demand == Demand::Proven && list[at].requests < 2;
            // The hash brings here; identity and header decide.
            if unproven || list[at].identity != wanted.identity || list[at].header.as_deref() != header {
                continue;
            }
            let mut connection = list.remove(at);
            connection.server.state.idle.fetch_sub(1, Relaxed);
            if connection.is_current() && connection.stream.poll_readable(context).is_pending() {
                // There are few servers, but as many headers as clients.
                if list.is_empty() && key.2 != 0 {
                    pool.remove(&key);
                }
                return Some(connection);
            }
        }
        None
    }
    /// Keeps a connection, unless the server's limit on idle ones is reached.
    pub fn put(&self, mut connection: Box<ServerConnection>) {
        let server = &connection.server;
        let limit = server.pool_max_conn;
        let idle = server.state.idle.load(Relaxed);
        let worn = server.max_reuse >= 0 && i64::from(connection.requests) > server.max_reuse;
        if (limit >= 0 && i64::from(idle) >= limit) || worn || !connection.is_current() {
            return;
        }
        server.state.idle.fetch_add(1, Relaxed);
        connection.since = clock::cached().millis();
        // Arms the wait, so that the next request finds it in flight and a death is seen.
        let mut context = Context::from_waker(Waker::noop());
        while connection.stream.poll_readable(&mut context).is_ready() {
            // Bytes that nobody asked for make it as useless as an end.
            if !connection.stream.is_empty() {
                connection.server.state.idle.fetch_sub(1, Relaxed);
                return;
            }
        }
        let bit = core_bit(core_id::current());
        if connection.header.is_none() && connection.server.state.idle_cores.load(Relaxed) & bit == 0 {
            connection.server.state.idle_cores.fetch_or(bit, Relaxed);
        }
        let key = pool_key(connection.key, &connection.identity, connection.header.as_deref());
        self.by_server.borrow_mut().entry(key).or_default().push(connection);
    }
    /// Whether connections of a server are here that any request may have.
    pub fn has(&self, key: (u32, u32)) -> bool {
        self.by_server.borrow().get(&(key.0, key.1, 0)).is_some_and(|list| !list.is_empty())
    }
    /// Closes connections that died or have idled for longer than `pool-purge-delay`.
    pub fn purge(&self, now: Millis) {
        if now < self.purged.get() + PURGE_EVERY_MS {
            return;
        }
        self.purged.set(now);
        let mut context = Context::from_waker(Waker::noop());
        self.by_server.borrow_mut().retain(|key, list| {
            list.retain_mut(|connection| {
                let old = connection.since + connection.server.pool_purge_delay_ms <= now;
                let keep = !old
                    && connection.is_current()
                    && connection.stream.poll_readable(&mut context).is_pending();
                if !keep {
                    connection.server.state.idle.fetch_sub(1, Relaxed);
                }
                keep
            });
            key.2 == 0 || !list.is_empty()
        });
    }
    /// How many are kept per server.
    pub fn counts(&self) -> Vec<((u32, u32), u32)> {
        let pool = self.by_server.borrow();
        pool.iter().map(|(key, list)| ((key.0, key.1), list.len() as u32)).collect()
    }
    /// Closes all.
    pub fn clear(&self) {
        for (_, list) in self.by_server.borrow_mut().drain() {
            for connection in list {
                connection.server.state.idle.fetch_sub(1, Relaxed);
            }
        }
    }
}
