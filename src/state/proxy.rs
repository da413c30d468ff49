//! One proxy (frontend, backend or both) as it is now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::*};

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;

use super::counter::Counters;
use super::queue::Queue;
use super::server::ServerState;
use super::snapshot::Snapshots;
use crate::base::id::ProxyId;
use crate::base::rate::{Rate, Window};

/// Counters of a proxy's frontend side, by their place in [`ProxyState::frontend`].
#[allow(missing_docs)]
pub mod fe {
    // What every request adds to comes first: it lies in two lines of memory.
    pub const BYTES_IN: usize = 0;
    pub const BYTES_OUT: usize = 1;
    pub const REQ_BYTES_OUT: usize = 2;
    pub const RES_BYTES_IN: usize = 3;
    pub const CONNECTIONS: usize = 4;
    pub const SESSIONS: usize = 5;
    pub const SESSIONS_MAX: usize = 6;
    pub const REQUESTS: usize = 7;
    pub const HRSP_1XX: usize = 8;
    pub const HRSP_OTHER: usize = 13;
    pub const DENIED_REQUESTS: usize = 14;
    pub const DENIED_RESPONSES: usize = 15;
    pub const FAILED_REQUESTS: usize = 16;
    pub const DENIED_CONNECTIONS: usize = 17;
    pub const DENIED_SESSIONS: usize = 18;
    pub const FAILED_REWRITES: usize = 19;
    pub const INTERNAL_ERRORS: usize = 20;
    pub const INTERCEPTED: usize = 21;
    pub const COUNT: usize = 22;
}

/// Counters of a proxy's backend side, by their place in [`ProxyState::backend`].
#[allow(missing_docs)]
pub mod be {
    // What every request adds to comes first: it lies in two lines of memory.
    pub const BYTES_IN: usize = 0;
    pub const BYTES_OUT: usize = 1;
    pub const REQ_BYTES_OUT: usize = 2;
    pub const RES_BYTES_IN: usize = 3;
    pub const SESSIONS: usize = 4;
    pub const SESSIONS_MAX: usize = 5;
    pub const REQUESTS: usize = 6;
    pub const LBTOT: usize = 7;
    pub const REUSE: usize = 8;
    pub const HRSP_1XX: usize = 9;
    pub const HRSP_OTHER: usize = 14;
    pub const CONNECT: usize = 15;
    pub const DENIED_REQUESTS: usize = 16;
    pub const DENIED_RESPONSES: usize = 17;
    pub const FAILED_CONNECTS: usize = 18;
    pub const FAILED_RESPONSES: usize = 19;
    pub const RETRIES: usize = 20;
    pub const REDISPATCHES: usize = 21;
    pub const CLIENT_ABORTS: usize = 22;
    pub const SERVER_ABORTS: usize = 23;
    pub const FAILED_REWRITES: usize = 24;
    pub const INTERNAL_ERRORS: usize = 25;
    pub const QUEUE_MAX: usize = 26;
    pub const QTIME_SUM: usize = 27;
    pub const CTIME_SUM: usize = 28;
    pub const RTIME_SUM: usize = 29;
    pub const TTIME_SUM: usize = 30;
    pub const QTIME_MAX: usize = 31;
    pub const CTIME_MAX: usize = 32;
    pub const RTIME_MAX: usize = 33;
    pub const TTIME_MAX: usize = 34;
    pub const INTERCEPTED: usize = 35;
    pub const COUNT: usize = 36;
}

/// Whether a frontend accepts, as the statistics say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrontendStatus {
    /// Accepting.
    Open = 0,
    /// At its `maxconn`.
    Full = 1,
    /// Not accepting by an operator's order (`disable frontend`).
    Paused = 2,
    /// Stopped for good.
    Stopped = 3,
}

/// The sides of a proxy, as bits.
pub mod side {
    /// It accepts connections.
    pub const FRONTEND: u8 = 1;
    /// It has servers.
    pub const BACKEND: u8 = 2;
}

/// What the newest model says of a proxy, for expressions that ask; times in milliseconds.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Configured {
    pub client_timeout_ms: Option<u64>,
    pub server_timeout_ms: Option<u64>,
    pub connect_timeout_ms: Option<u64>,
    pub queue_timeout_ms: Option<u64>,
    pub tarpit_timeout_ms: Option<u64>,
    pub tunnel_timeout_ms: Option<u64>,
    /// `retries`.
    pub retries: u32,
    /// `default_backend`.
    pub default_backend: Option<Box<str>>,
    /// `be-unpublished`
    pub is_unpublished: bool,
}

/// One proxy, shared by all cores, the control thread and successive models.
#[derive(Debug)]
pub struct ProxyState {
    /// What tells it from all others.
    pub ident: ProxyId,
    /// Its name.
    pub name: Box<str>,
    /// Which sides it has ([`side`]), set by the newest model.
    pub sides: AtomicU8,
    /// Its number (`id`), set by the newest model.
    pub id: AtomicU32,
    /// Connections of its frontend side now, over all cores (exact: `maxconn` counts on it).
    pub frontend_current: CachePadded<AtomicU32>,
    /// Sessions of its backend side now, over all cores.
    pub backend_current: CachePadded<AtomicU32>,
    /// Frontend counters by [`fe`].
    pub frontend: Counters<{ fe::COUNT }>,
    /// Backend counters by [`be`].
    pub backend: Counters<{ be::COUNT }>,
    /// New sessions per second of the frontend side.
    pub frontend_session_rate: Rate,
    /// New sessions within the last second, for `rate-limit sessions`.
    pub frontend_session_window: Window,
    /// New connections per second of the frontend side.
    pub frontend_connection_rate: Rate,
    /// Requests per second of the frontend side.
    pub frontend_request_rate: Rate,
    /// New sessions per second of the backend side.
    pub backend_session_rate: Rate,
    /// Requests that wait for any server of the backend.
    pub queue: Queue,
    /// Requests that wait for it or for one of its servers.
    pub waiting: AtomicU32,
    /// Requests that ever waited, for the order of those of the same millisecond.
    pub waited: AtomicU64,
    /// `fullconn` in force: the load at which servers have their full `maxconn`.
    pub fullconn: AtomicU32,
    /// Whether a server has a `minconn`, so that its limit moves with the load.
    pub moving_limits: AtomicBool,
    /// `option allbackups`.
    pub all_backups: AtomicBool,
    /// The strictly global round-robin position of the backend.
    pub cursor: CachePadded<AtomicU64>,
    /// Raised by every change that balancing must see.
    pub generation: AtomicU32,
    /// What the newest model says of it.
    pub configured: ArcSwap<Configured>,
    /// Its servers, in the order of the newest model, dynamic ones at the end.
    pub servers: ArcSwap<Vec<Arc<ServerState>>>,
    /// [`FrontendStatus`] as a number.
    pub frontend_status: AtomicU8,
    /// `maxconn` as changed at run time; 0 means no limit of its own.
    pub maxconn: AtomicU32,
    /// Wall clock seconds of the last session; -1 before the first.
    pub last_session_s: AtomicI64,
    /// Wall clock seconds of the last change of the backend between up and down.
    pub last_change_s: AtomicU64,
    /// Seconds of accumulated down time, without the current one.
    pub down_time_s: AtomicU64,
    /// Transitions of the backend from up to down.
    pub down_transitions: AtomicU64,
    /// Log lines that counted themselves (`%lc`).
    pub log_count: AtomicU32,
    /// No rule chooses it as a backend, unless one forces that.
    pub is_unpublished: AtomicBool,
    /// Whether the backend has a server (kept by the control thread).
    pub is_up: AtomicBool,
    /// The last invalid messages.
    pub snapshots: Snapshots,
}

impl ProxyState {
    /// A proxy without servers or history.
    pub fn new(name: &str, cores: usize) -> Self {
        ProxyState {
            ident: ProxyId::next(),
            name: name.into(),
            sides: AtomicU8::new(0),
            id: AtomicU32::new(0),
            frontend_current: CachePadded::new(AtomicU32::new(0)),
            backend_current: CachePadded::new(AtomicU32::new(0)),
            frontend: Counters::new(cores),
            backend: Counters::new(cores),
            frontend_session_rate: Rate::default(),
            frontend_session_window: Window::default(),
            frontend_connection_rate: Rate::default(),
            frontend_request_rate: Rate::default(),
            backend_session_rate: Rate::default(),
            queue: Queue::default(),
            waiting: AtomicU32::new(0),
            waited: AtomicU64::new(0),
            fullconn: AtomicU32::new(0),
            moving_limits: AtomicBool::new(false),
            all_backups: AtomicBool::new(false),
            cursor: CachePadded::new(AtomicU64::new(0)),
            generation: AtomicU32::new(1),
            configured: ArcSwap::default(),
            servers: ArcSwap::default(),
            frontend_status: AtomicU8::new(0),
            maxconn: AtomicU32::new(0),
            last_session_s: AtomicI64::new(-1),
            last_change_s: AtomicU64::new(0),
            down_time_s: AtomicU64::new(0),
            down_transitions: AtomicU64::new(0),
            log_count: AtomicU32::new(0),
            is_unpublished: AtomicBool::new(false),
            is_up: AtomicBool::new(true),
            snapshots: Snapshots::default(),
        }
    }
    /// Tells every core to rebuild its balancing table of this backend.
    pub fn touch(&self) {
        self.generation.fetch_add(1, AcqRel);
    }
}
