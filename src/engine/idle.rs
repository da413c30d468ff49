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
use crate::base::id::{ModelId, ServerId};
use crate::model::Server;
use crate::net::Stream;
use crate::rules::PacketFields;
use crate::state::ServerState;
use crate::state::server::EndpointVersion;
use crate::tls::connection::TlsFacts;

/// The place of a connection among those that `strict-maxconn` allows, given back with it.
#[derive(Debug)]
pub struct OpenPlace(Arc<ServerState>);

impl OpenPlace {
    /// Takes one, if one is free.
    pub fn take(server: &Arc<ServerState>) -> Option<OpenPlace> {
        let limit = server.maxconn.load(Relaxed);
        let below = |open: u32| (limit == 0 || open < limit).then_some(open + 1);
        server.connections.fetch_update(SeqCst, SeqCst, below).ok().map(|_| OpenPlace(server.clone()))
    }
}

impl Drop for OpenPlace {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, SeqCst);
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct ServerConnection {
    /// The socket.
    pub stream: Stream,
    /// Behind the socket: it is closed before its place is free.
    pub place: Option<OpenPlace>,
    /// The server.
    pub server: Arc<Server>,
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
    /// What TLS agreed on with the server.
    pub tls: Option<Arc<TlsFacts>>,
    /// Since when it idles, and the turn of its core in which that began.
    since: Millis,
    turn: u64,
}

impl ServerConnection {
    /// A fresh one; in a box, since it moves from hand to hand.
    pub fn new(stream: Stream, server: Arc<Server>, identity: Identity) -> Box<Self> {
        Box::new(ServerConnection {
            stream,
            place: None,
            server,
            addresses: (None, None),
            requests: 0,
            private: false,
            identity,
            header: None,
            tls: None,
            since: 0,
            turn: 0,
        })
    }
}

/// What sets a connection apart from others to the same server: only requests that want the same use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The model by which it was made: another may say other things of the server, even where the server is.
    pub model: ModelId,
    /// Mark and TOS of its packets.
    pub packets: PacketFields,
    /// The address it shows in place of ours (`source ... usesrc`).
    pub shown: Option<SocketAddr>,
    /// Where it goes, if the server's address leaves that to the client (`set-dst` and kin).
    pub destination: Option<SocketAddr>,
    /// Which of the server's endpoints it was made to.
    pub version: EndpointVersion,
    /// A digest of the name that TLS told the server, if it told one.
    pub name: Option<NameDigest>,
}

/// A digest by which names are told apart: clients choose names, and must not find two of one digest.
pub type NameDigest = [u8; 16];

impl ServerConnection {
    /// Notes that it idles from now on.
    pub fn rests(&mut self) {
        let now = clock::cached();
        (self.since, self.turn) = (now.millis(), now.mono_us);
    }
    /// Whether the server has neither ended it nor said anything since. Its readiness tells, but only what
    /// the last wait of this core has seen: who comes before the next one has to look.
    pub fn is_quiet(&mut self, context: &mut Context<'_>) -> bool {
        self.stream.poll_readable(context).is_pending()
            && (self.turn != clock::cached().mono_us || self.stream.is_empty())
    }
    /// Whether it was made to the server as that is now: another address, a server that went away and came
    /// back, may be somebody else.
    pub fn is_current(&self) -> bool {
        self.identity.version == self.server.state.endpoint.version() && self.server.state.is_running()
    }
}

/// A connection that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The server.
    pub server: ServerId,
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

/// The server, and a hash of what only few requests have in common; 0 without any of that.
type PoolKey = (ServerId, u64);

fn pool_key(server: ServerId, identity: &Identity, header: Option<&[u8]>) -> PoolKey {
    let mut rest = header.map_or(0, |header| hash::xxh3(header, 0) | 1);
    if identity.destination.is_some() || identity.name.is_some() {
        let mut hasher = FxHasher::default();
        (rest, identity.destination, identity.name).hash(&mut hasher);
        rest = hasher.finish() | 1;
    }
    (server, rest)
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
        let key = pool_key(wanted.server, &wanted.identity, header);
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
            if connection.is_current() && connection.is_quiet(context) {
                // There are few servers, but as many headers as clients.
                if list.is_empty() && key.1 != 0 {
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
        connection.rests();
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
        let key = pool_key(connection.server.state.ident, &connection.identity, connection.header.as_deref());
        self.by_server.borrow_mut().entry(key).or_default().push(connection);
    }
    /// Closes one idle connection of a server, whatever it is named by; whether there was one.
    pub fn close_one(&self, server: ServerId) -> bool {
        let mut pool = self.by_server.borrow_mut();
        let found = pool.iter_mut().find(|(key, list)| key.0 == server && !list.is_empty());
        let Some(connection) = found.and_then(|(_, list)| list.pop()) else { return false };
        connection.server.state.idle.fetch_sub(1, Relaxed);
        true
    }
    /// Closes all idle connections of a server, and forgets it.
    pub fn forget(&self, server: ServerId) {
        self.by_server.borrow_mut().retain(|key, list| {
            let is_it = key.0 == server;
            for connection in list.iter().filter(|_| is_it) {
                connection.server.state.idle.fetch_sub(1, Relaxed);
            }
            !is_it
        });
    }
    /// Whether connections of a server are here that any request may have.
    pub fn has(&self, server: ServerId) -> bool {
        self.by_server.borrow().get(&(server, 0)).is_some_and(|list| !list.is_empty())
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
            key.1 == 0 || !list.is_empty()
        });
    }
    /// How many are kept per server.
    pub fn counts(&self) -> Vec<(ServerId, u32)> {
        let pool = self.by_server.borrow();
        pool.iter().map(|(key, list)| (key.0, list.len() as u32)).collect()
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
