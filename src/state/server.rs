//! One server as it is now: administrative state x health x weight x address.
//!
//! The control thread is the only writer of health, administrative state, weight and address;
//! data threads read them with one atomic load each and write only the session figures. Every
//! change that affects balancing raises the backend's generation
//! ([`crate::state::ProxyState::touch`]), on which each core rebuilds its table.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::*,
};

use super::counter::Counters;
use super::queue::Queue;
use crate::base::clock::Millis;
use crate::base::id::ServerId;
use crate::base::rate::Rate;
use arc_swap::{ArcSwap, ArcSwapOption};

/// Operational state, numbered as in `show servers state` (`srv_op_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operational {
    /// Down.
    Stopped = 0,
    /// Up, warming up (slowstart).
    Starting = 1,
    /// Up.
    Running = 2,
    /// Up for its own sessions only (`disable-on-404`, agent `stopped` soft).
    Stopping = 3,
}

impl Operational {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Operational::Stopped,
            1 => Operational::Starting,
            3 => Operational::Stopping,
            _ => Operational::Running,
        }
    }
}

/// Administrative flags, numbered as in `show servers state` (`srv_admin_state`).
pub mod admin {
    /// Forced maintenance by an operator.
    pub const FMAINT: u8 = 0x01;
    /// Maintenance inherited from the tracked server.
    pub const IMAINT: u8 = 0x02;
    /// `disabled` in the configuration (set together with FMAINT).
    pub const CMAINT: u8 = 0x04;
    /// Forced drain by an operator.
    pub const FDRAIN: u8 = 0x08;
    /// Drain inherited from the tracked server.
    pub const IDRAIN: u8 = 0x10;
    /// Its name does not resolve.
    pub const RMAINT: u8 = 0x20;
    /// Its host name is not the configured one any more; this alone is no maintenance.
    pub const FQDN_CHANGED: u8 = 0x40;
    /// Any reason for maintenance. CMAINT only remembers where FMAINT came from and outlives it.
    pub const MAINT: u8 = FMAINT | IMAINT | RMAINT;
    /// Any reason for drain.
    pub const DRAIN: u8 = FDRAIN | IDRAIN;
}

/// Where a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An IP address and port; port 0 means the port the client connected to, moved by `port_offset`.
    Inet {
        /// Address and port.
        address: SocketAddr,
        /// Added to the client's destination port when the configuration gave `+N`, `-N` or no port.
        port_offset: Option<i32>,
    },
    /// A Unix socket's path; a leading NUL stands for the abstract name space.
    Unix(Box<[u8]>),
    /// Not known (yet): the name does not resolve. The port is as for [`Endpoint::Inet`].
    Unresolved {
        /// The port.
        port: u16,
        /// See [`Endpoint::Inet`].
        port_offset: Option<i32>,
    },
}

impl Default for Endpoint {
    fn default() -> Self {
        Endpoint::UNKNOWN
    }
}

impl Endpoint {
    /// Nothing is known, not even a port.
    pub const UNKNOWN: Endpoint = Endpoint::Unresolved { port: 0, port_offset: None };

    /// Whether there is an address.
    pub fn is_resolved(&self) -> bool {
        !matches!(self, Endpoint::Unresolved { .. })
    }
    /// The IP address.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Inet { address, .. } => Some(address.ip()),
            Endpoint::Unix(_) | Endpoint::Unresolved { .. } => None,
        }
    }
    /// The port, and the offset that makes it one of the client's; nothing for a path.
    pub fn port(&self) -> Option<(u16, Option<i32>)> {
        match self {
            Endpoint::Inet { address, port_offset } => Some((address.port(), *port_offset)),
            Endpoint::Unresolved { port, port_offset } => Some((*port, *port_offset)),
            Endpoint::Unix(_) => None,
        }
    }
    /// Whether connections go where their client wanted to go, in part at least: an address of zeros stands for
    /// the client's destination, a mapped port for its port (manual, section 4.2 `server`).
    pub fn follows_client(&self) -> bool {
        match self {
            Endpoint::Inet { address, port_offset } => address.ip().is_unspecified() || port_offset.is_some(),
            Endpoint::Unix(_) | Endpoint::Unresolved { .. } => false,
        }
    }
}

/// Which of a server's endpoints a connection was made to; the next one begins with every change of the
/// address, and whenever the server goes down or into maintenance: what was connected before may not be what
/// comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointVersion(u32);

impl EndpointVersion {
    /// See [`Endpoint::follows_client`].
    #[inline]
    pub fn follows_client(self) -> bool {
        self.0 & 1 != 0
    }
    fn next(self, follows_client: bool) -> EndpointVersion {
        EndpointVersion(((self.0 >> 1).wrapping_add(1) << 1) | u32::from(follows_client))
    }
}

/// A server's endpoint with its version: one cannot be changed without the other.
#[derive(Debug)]
pub struct EndpointCell {
    endpoint: ArcSwap<Endpoint>,
    version: AtomicU32,
}

impl EndpointCell {
    fn new() -> EndpointCell {
        EndpointCell { endpoint: ArcSwap::from_pointee(Endpoint::UNKNOWN), version: AtomicU32::new(0) }
    }
    /// The endpoint.
    pub fn load(&self) -> arc_swap::Guard<Arc<Endpoint>> {
        self.endpoint.load()
    }
    /// The endpoint, to be kept.
    pub fn load_full(&self) -> Arc<Endpoint> {
        self.endpoint.load_full()
    }
    /// Its version. To be read before the endpoint: a connection that takes the newer endpoint for the older
    /// one is used once, the other way round it would be kept.
    #[inline]
    pub fn version(&self) -> EndpointVersion {
        EndpointVersion(self.version.load(Acquire))
    }
    /// Another endpoint (control thread only).
    pub fn store(&self, endpoint: Arc<Endpoint>) {
        let follows_client = endpoint.follows_client();
        self.endpoint.store(endpoint);
        self.version.store(self.version().next(follows_client).0, Release);
    }
    /// Connections that were made until now are not used again (control thread only).
    fn retire(&self) {
        let version = self.version();
        self.version.store(version.next(version.follows_client()).0, Release);
    }
}

/// Counters of a server, by their place in [`ServerState::counters`].
#[allow(missing_docs)]
pub mod counter {
    // What every request adds to comes first: with many servers each line of memory is a cache miss.
    pub const BYTES_IN: usize = 0;
    pub const BYTES_OUT: usize = 1;
    pub const REQ_BYTES_OUT: usize = 2;
    pub const RES_BYTES_IN: usize = 3;
    pub const SESSIONS: usize = 4;
    pub const LBTOT: usize = 5;
    pub const REUSE: usize = 6;
    pub const REQUESTS: usize = 7;
    pub const HRSP_1XX: usize = 8;
    pub const HRSP_OTHER: usize = 13;
    pub const CONNECT: usize = 14;
    pub const SESSIONS_MAX: usize = 15;
    pub const QUEUE_MAX: usize = 16;
    pub const FAILED_CONNECTS: usize = 17;
    pub const FAILED_RESPONSES: usize = 18;
    pub const RETRIES: usize = 19;
    pub const REDISPATCHES: usize = 20;
    pub const CLIENT_ABORTS: usize = 21;
    pub const SERVER_ABORTS: usize = 22;
    pub const DENIED_RESPONSES: usize = 23;
    pub const FAILED_REWRITES: usize = 24;
    pub const INTERNAL_ERRORS: usize = 25;
    pub const QTIME_SUM: usize = 26;
    pub const CTIME_SUM: usize = 27;
    pub const RTIME_SUM: usize = 28;
    pub const TTIME_SUM: usize = 29;
    pub const QTIME_MAX: usize = 30;
    pub const CTIME_MAX: usize = 31;
    pub const RTIME_MAX: usize = 32;
    pub const TTIME_MAX: usize = 33;
    pub const COUNT: usize = 34;
}

/// What a model says of a server that may also change at run time. It is kept beside the live
/// values, so that a reload changes what the configuration changed and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// `id`
    pub id: u32,
    /// The address; a name's first one.
    pub endpoint: Endpoint,
    /// The host name given instead of an address.
    pub hostname: Option<String>,
    /// `resolvers`: the name is resolved while running, and the address of the load is only the first one.
    pub resolves: bool,
    /// `weight`
    pub weight: u32,
    /// `maxconn`
    pub maxconn: u32,
    /// `minconn`; 0 when the limit does not move with the load.
    pub minconn: u32,
    /// `maxqueue`; 0 is no limit.
    pub maxqueue: u32,
    /// `backup`
    pub backup: bool,
    /// `disabled`
    pub disabled: bool,
    /// `check`, with `rise` and `fall`.
    pub check: Option<(u32, u32)>,
    /// `agent-check`, with its rise and fall.
    pub agent: Option<(u32, u32)>,
    /// `init-state`
    pub init_state: InitState,
    /// Whether it was added while running, and no file speaks of it.
    pub added: bool,
}

impl Configured {
    /// Whether the model before says the same of where the server is. What the system's resolver told the load
    /// is of no account where name servers are asked anyway: a name of several addresses would move all servers
    /// that have it to whichever came first.
    fn is_reached_as(&self, old: &Configured) -> bool {
        let is_same_place = if self.resolves && old.resolves && self.hostname.is_some() {
            self.endpoint.port() == old.endpoint.port()
        } else {
            self.endpoint == old.endpoint
        };
        is_same_place && self.hostname == old.hostname
    }
}

/// Where a server stands before its first check, and when it leaves maintenance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitState {
    /// Up, and one failed check takes it down; after maintenance it warms up.
    #[default]
    None,
    /// Up, and all of `fall` checks must fail.
    FullyUp,
    /// Up, and one failed check takes it down.
    Up,
    /// Down, and one passed check brings it up.
    Down,
    /// Down, and all of `rise` checks must pass.
    FullyDown,
}

impl InitState {
    /// The state, and the health of a check with these thresholds; nothing if it is not managed.
    pub fn place(self, rise: i32, fall: i32) -> Option<(Operational, i32)> {
        match self {
            InitState::None => None,
            InitState::FullyUp => Some((Operational::Running, rise + fall - 1)),
            InitState::Up => Some((Operational::Running, rise)),
            InitState::Down => Some((Operational::Stopped, rise - 1)),
            InitState::FullyDown => Some((Operational::Stopped, 0)),
        }
    }
}

/// `srv_check_state`: configured and enabled.
const CHECK_READY: u8 = 0x06;
/// `srv_check_status` before the first check.
const CHECK_INITIAL: u8 = 1;

impl CheckReport {
    /// The report of a check that was not made yet. It starts one failure away from down: a server
    /// is taken for up until its first check says otherwise.
    fn initial(configured: Option<(u32, u32)>) -> Self {
        let Some((rise, fall)) = configured else { return CheckReport::default() };
        CheckReport {
            status: CHECK_INITIAL,
            label: "INI",
            description: "Initializing",
            state_flags: CHECK_READY,
            health: rise as i32,
            rise: rise as i32,
            fall: fall as i32,
            configured: true,
            enabled: true,
            ..CheckReport::default()
        }
    }
}

/// Results of health checks, as the statistics show them; written by the control thread.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// The status's number (`srv_check_status` in `show servers state`).
    pub status: u8,
    /// Its short name (`L4OK`, `L7STS`, ...); empty before the first.
    pub label: &'static str,
    /// Its text (`Layer4 check passed`).
    pub description: &'static str,
    /// The layer-7 code (an HTTP status), if any.
    pub code: Option<u32>,
    /// How long it took, in milliseconds; `None` while none has finished.
    pub duration_ms: Option<u64>,
    /// The last information text (`check_desc` details, `last_chk`).
    pub info: String,
    /// Result: 0 unknown, 1 neutral, 2 failed, 3 passed, 4 conditionally passed (`srv_check_result`).
    pub result: u8,
    /// 0 none, 1 inactive configured ... flags as `srv_check_state` shows them.
    pub state_flags: u8,
    /// Current health, `0..rise+fall-1`.
    pub health: i32,
    /// Passed checks that bring it up.
    pub rise: i32,
    /// Failed checks that bring it down.
    pub fall: i32,
    /// Whether this kind of check is configured.
    pub configured: bool,
    /// Whether it is switched on (`enable|disable health|agent`).
    pub enabled: bool,
    /// The address to check, when it was changed at run time (`set server ... check-addr|agent-addr`).
    pub address: Option<std::net::IpAddr>,
    /// The port to check, when it was changed at run time; `Some(0)` unsets the configured one.
    pub port: Option<u16>,
}

/// One server, shared by all cores, the control thread and successive models.
///
/// In the order of use: with many servers each line of memory is a cache miss. The first line holds what
/// every request writes, whichever core serves it; the second what it reads; what follows is seldom needed.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ServerState {
    /// Sessions in progress on it, over all cores (exact: `maxconn` counts on it).
    pub served: AtomicU32,
    /// Those of them that were granted to requests of a queue which have not noticed it yet.
    pub entering: AtomicU32,
    /// Idle connections kept to it, over all cores.
    pub idle: AtomicU32,
    /// The cores that may have some of them, a bit each from core 1 on.
    pub idle_cores: AtomicU64,
    /// New sessions per second.
    pub session_rate: Rate,
    /// Wall clock seconds of the last session; -1 before the first.
    pub last_session_s: AtomicI64,
    /// Consecutive errors seen by `observe`.
    pub consecutive_errors: AtomicU32,
    /// The last of them, as `health::observe::Event` numbers it.
    pub last_error: AtomicU8,
    /// Set by a data thread when `observe` saw `error-limit` errors: the control thread acts.
    pub error_limit_hit: AtomicBool,
    operational: AtomicU8,
    admin: AtomicU8,
    /// Counters by [`counter`].
    pub counters: Counters<{ counter::COUNT }>,
    /// Where to connect; changed by `set server ... addr` and by name resolution.
    pub endpoint: EndpointCell,
    /// `maxconn`, as changed at run time; 0 means no limit.
    pub maxconn: AtomicU32,
    /// `minconn`; 0 when the limit does not move with the load.
    pub minconn: AtomicU32,
    /// `backup`
    pub backup: AtomicBool,
    /// What tells it from all others.
    pub ident: ServerId,
    /// The weight balancing uses now, in units of 1/16 (slowstart gives fractions); see `effective_weight`.
    effective_weight: AtomicI32,
    /// Requests waiting for one of its slots.
    pub queue: Queue,
    user_weight: AtomicU16,
    initial_weight: AtomicU16,
    /// `maxqueue`; 0 is no limit.
    pub maxqueue: AtomicU32,
    /// When the warm-up began (monotonic milliseconds), and how long it takes.
    warm_up: [AtomicU64; 2],
    /// Where throttling (slowstart) stands, in percent; 100 when done.
    pub throttle_percent: AtomicU8,
    /// The backend's name.
    pub backend: Box<str>,
    /// The server's name.
    pub name: Box<str>,
    /// The server's number in its backend (`id`), set by the newest model.
    pub id: AtomicU32,
    /// Results of the health check, for statistics.
    pub check: ArcSwap<CheckReport>,
    /// Results of the agent check.
    pub agent: ArcSwap<CheckReport>,
    /// The name to resolve, if its address is a name (`set server ... fqdn`).
    pub hostname: ArcSwapOption<String>,
    /// Wall clock seconds of the last change of operational state.
    pub last_change_s: AtomicU64,
    /// Seconds of accumulated down time, without the current one.
    pub down_time_s: AtomicU64,
    /// Transitions from up to down.
    pub down_transitions: AtomicU64,
    /// Checks that failed while the server was up.
    pub failed_checks: AtomicU64,
    /// Responses that `observe` counted as failed.
    pub failed_hana: AtomicU64,
    /// Connections that are open, where `strict-maxconn` has them counted.
    pub connections: AtomicU32,
    /// What the model in force says.
    configured: ArcSwapOption<Configured>,
}

const _: () = {
    assert!(std::mem::offset_of!(ServerState, counters) <= 64);
    assert!(std::mem::offset_of!(ServerState, queue) <= 128);
};

impl ServerState {
    /// A server that runs with weight 1 until its model says more.
    pub fn new(backend: &str, name: &str, cores: usize) -> Self {
        ServerState {
            backend: backend.into(),
            name: name.into(),
            served: AtomicU32::new(0),
            entering: AtomicU32::new(0),
            idle: AtomicU32::new(0),
            idle_cores: AtomicU64::new(0),
            queue: Queue::default(),
            counters: Counters::new(cores),
            session_rate: Rate::default(),
            id: AtomicU32::new(0),
            endpoint: EndpointCell::new(),
            maxconn: AtomicU32::new(0),
            minconn: AtomicU32::new(0),
            maxqueue: AtomicU32::new(0),
            backup: AtomicBool::new(false),
            ident: ServerId::next(),
            warm_up: [const { AtomicU64::new(0) }; 2],
            check: ArcSwap::default(),
            agent: ArcSwap::default(),
            hostname: ArcSwapOption::empty(),
            consecutive_errors: AtomicU32::new(0),
            last_error: AtomicU8::new(0),
            error_limit_hit: AtomicBool::new(false),
            last_change_s: AtomicU64::new(0),
            down_time_s: AtomicU64::new(0),
            down_transitions: AtomicU64::new(0),
            failed_checks: AtomicU64::new(0),
            failed_hana: AtomicU64::new(0),
            connections: AtomicU32::new(0),
            last_session_s: AtomicI64::new(-1),
            throttle_percent: AtomicU8::new(100),
            operational: AtomicU8::new(Operational::Running as u8),
            admin: AtomicU8::new(0),
            user_weight: AtomicU16::new(1),
            initial_weight: AtomicU16::new(1),
            effective_weight: AtomicI32::new(16),
            configured: ArcSwapOption::empty(),
        }
    }

    /// Whether a model speaks of it.
    pub fn is_configured(&self) -> bool {
        self.configured.load().is_some()
    }

    /// Takes over what the newest model changed; what was changed at run time stays.
    pub fn adopt(&self, new: &Arc<Configured>) {
        let old = self.configured.swap(Some(new.clone()));
        // What an operator has added begins anew when a file has it, too.
        let old = old.filter(|old| !old.added || new.added);
        let changed = |same: &dyn Fn(&Configured) -> bool| old.as_deref().is_none_or(|old| !same(old));
        self.id.store(new.id, Relaxed);
        self.minconn.store(new.minconn, Relaxed);
        self.maxqueue.store(new.maxqueue, Relaxed);
        self.backup.store(new.backup, Relaxed);
        if changed(&|old| new.is_reached_as(old)) {
            self.endpoint.store(Arc::new(new.endpoint.clone()));
            self.hostname.store(new.hostname.clone().map(Arc::new));
            let resolves = if new.endpoint.is_resolved() { 0 } else { admin::RMAINT };
            self.set_admin(self.admin() & !admin::RMAINT | resolves);
        }
        if changed(&|old| old.weight == new.weight) {
            self.set_initial_weight(new.weight);
        }
        if changed(&|old| old.maxconn == new.maxconn) {
            self.maxconn.store(new.maxconn, Relaxed);
        }
        if changed(&|old| old.disabled == new.disabled) {
            const DISABLED: u8 = admin::FMAINT | admin::CMAINT;
            let flags = if new.disabled { DISABLED } else { 0 };
            self.set_admin(self.admin() & !DISABLED | flags);
        }
        for (report, is, was) in [
            (&self.check, new.check, old.as_deref().map(|old| old.check)),
            (&self.agent, new.agent, old.as_deref().map(|old| old.agent)),
        ] {
            if was != Some(is) {
                report.store(Arc::new(CheckReport::initial(is)));
            }
        }
        let (rise, fall) = new.check.map_or((1, 1), |(rise, fall)| (rise as i32, fall as i32));
        if let (None, false, Some((operational, health))) =
            (&old, new.disabled, new.init_state.place(rise, fall))
        {
            self.set_operational(operational);
            let mut report = CheckReport::clone(&self.check.load());
            report.health = health;
            self.check.store(Arc::new(report));
        }
    }

    /// `init-state`, as the model in force says.
    pub fn init_state(&self) -> InitState {
        self.configured.load().as_ref().map_or(InitState::None, |configured| configured.init_state)
    }

    /// Operational state.
    #[inline]
    pub fn operational(&self) -> Operational {
        Operational::from_u8(self.operational.load(Acquire))
    }
    /// Sets the operational state (control thread only).
    pub fn set_operational(&self, state: Operational) {
        let was_running = self.is_running();
        self.operational.store(state as u8, Release);
        self.retire_after(was_running);
    }
    /// Administrative flags ([`admin`]).
    #[inline]
    pub fn admin(&self) -> u8 {
        self.admin.load(Acquire)
    }
    /// Sets the administrative flags (control thread only).
    pub fn set_admin(&self, flags: u8) {
        let was_running = self.is_running();
        self.admin.store(flags, Release);
        self.retire_after(was_running);
    }
    fn retire_after(&self, was_running: bool) {
        if was_running && !self.is_running() {
            self.endpoint.retire();
        }
    }
    /// Weight as set by the user or an agent, 0 to 256.
    pub fn user_weight(&self) -> u32 {
        u32::from(self.user_weight.load(Relaxed))
    }
    /// Weight as configured.
    pub fn initial_weight(&self) -> u32 {
        u32::from(self.initial_weight.load(Relaxed))
    }
    /// Sets the user weight and, with it, the effective one (control thread only).
    pub fn set_user_weight(&self, weight: u32) {
        self.user_weight.store(weight.min(256) as u16, Relaxed);
        self.refresh_weight();
    }
    /// Sets the weight the configuration gives, and the user weight with it.
    pub fn set_initial_weight(&self, weight: u32) {
        self.initial_weight.store(weight.min(256) as u16, Relaxed);
        self.set_user_weight(weight);
    }
    /// Recomputes the effective weight from the user weight and the slowstart throttle.
    pub fn refresh_weight(&self) {
        let throttle = u32::from(self.throttle_percent.load(Relaxed));
        // A warming server gets at least 1/16 of a unit so that it sees traffic at all.
        let scaled = self.user_weight() * 16;
        let effective =
            if throttle >= 100 || scaled == 0 { scaled } else { (scaled * throttle / 100).max(1) };
        self.effective_weight.store(effective as i32, Release);
    }
    /// Notes that a warm-up begins; it counts while the server is [`Operational::Starting`].
    pub fn begin_warm_up(&self, now: Millis, takes_ms: u64) {
        self.warm_up[0].store(now, Relaxed);
        self.warm_up[1].store(takes_ms, Relaxed);
    }
    /// How much of its warm-up is over, and how long it takes; `None` outside of one.
    pub fn warmth(&self, now: Millis) -> Option<(u64, u64)> {
        if self.operational() != Operational::Starting {
            return None;
        }
        let [began, takes] = [0, 1].map(|at: usize| self.warm_up[at].load(Relaxed));
        let elapsed = now.saturating_sub(began);
        (elapsed < takes).then_some((elapsed, takes))
    }
    /// Weight for balancing now, in 1/16: 16 times the user weight unless the server warms up.
    #[inline]
    pub fn effective_weight(&self) -> u32 {
        self.effective_weight.load(Acquire) as u32
    }
    /// Whether it may get new sessions by balancing: up, not in maintenance, not draining, weight not 0.
    #[inline]
    pub fn is_eligible(&self) -> bool {
        self.is_running()
            && self.operational() != Operational::Stopping
            && self.admin() & admin::DRAIN == 0
            && self.effective_weight() > 0
    }
    /// Whether it may get sessions that belong to it (persistence): up and not in maintenance.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.operational() != Operational::Stopped && self.admin() & admin::MAINT == 0
    }
    /// Whether a slot is free under `limit` (0: no limit); takes it if so.
    pub fn try_take_slot(&self, limit: u32) -> bool {
        let taken = if limit == 0 {
            self.served.fetch_add(1, SeqCst)
        } else {
            // Not taken and given back: a session that frees a slot in between would leave others waiting.
            let below = |served: u32| (served < limit).then_some(served + 1);
            match self.served.fetch_update(SeqCst, SeqCst, below) {
                Ok(taken) => taken,
                Err(_) => return false,
            }
        };
        self.counters.raise(counter::SESSIONS_MAX, u64::from(taken) + 1);
        true
    }
    /// Sessions that use it, without those that are only about to.
    pub fn sessions(&self) -> u32 {
        self.served.load(Relaxed).saturating_sub(self.entering.load(Relaxed))
    }
    /// Gives a slot back.
    pub fn release_slot(&self) {
        self.served.fetch_sub(1, SeqCst);
    }
    /// A handle for queues and lists.
    pub fn full_name(self: &Arc<Self>) -> String {
        format!("{}/{}", self.backend, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> Configured {
        Configured {
            init_state: InitState::None,
            added: false,
            id: 1,
            endpoint: Endpoint::Inet { address: ([10, 0, 0, 1], 80).into(), port_offset: None },
            hostname: None,
            resolves: false,
            weight: 10,
            maxconn: 5,
            minconn: 0,
            maxqueue: 0,
            backup: false,
            disabled: false,
            check: Some((2, 3)),
            agent: None,
        }
    }

    #[test]
    fn a_reload_changes_what_the_configuration_changed() {
        let server = ServerState::new("be", "s", 1);
        let adopt = |configured| server.adopt(&Arc::new(configured));
        adopt(configured());
        assert_eq!((server.user_weight(), server.check.load().health, server.admin()), (10, 2, 0));
        // At run time: another weight and a maintenance.
        server.set_user_weight(3);
        server.set_admin(admin::FMAINT);
        adopt(Configured { maxconn: 7, ..configured() });
        assert_eq!(
            (server.maxconn.load(Relaxed), server.user_weight(), server.admin()),
            (7, 3, admin::FMAINT)
        );
        adopt(Configured { weight: 20, disabled: true, ..configured() });
        assert_eq!((server.user_weight(), server.admin()), (20, admin::FMAINT | admin::CMAINT));
    }

    #[test]
    fn a_reload_moves_a_server_whose_name_is_resolved_only_if_its_line_says_so() {
        let line = |host: &str, address: Option<&str>, port, resolves| Configured {
            hostname: Some(host.to_owned()),
            endpoint: match address {
                Some(ip) => {
                    Endpoint::Inet { address: SocketAddr::new(ip.parse().unwrap(), port), port_offset: None }
                }
                None => Endpoint::Unresolved { port, port_offset: None },
            },
            resolves,
            ..configured()
        };
        for (next, moves) in [
            (line("a", Some("10.0.0.2"), 80, true), false),
            (line("a", None, 80, true), false),
            (line("a", Some("10.0.0.1"), 81, true), true),
            (line("b", Some("10.0.0.1"), 80, true), true),
            (line("a", Some("10.0.0.2"), 80, false), true),
        ] {
            let server = ServerState::new("be", "s", 1);
            server.adopt(&Arc::new(line("a", Some("10.0.0.1"), 80, true)));
            let told = Endpoint::Inet { address: "10.0.0.9:80".parse().unwrap(), port_offset: None };
            server.endpoint.store(Arc::new(told.clone()));
            server.adopt(&Arc::new(next.clone()));
            let expected = if moves { &next.endpoint } else { &told };
            assert_eq!(&**server.endpoint.load(), expected, "{next:?}");
        }
    }

    #[test]
    fn whatever_may_change_who_answers_begins_another_version() {
        let server = ServerState::new("b", "s", 1);
        let inet = |address: &str, port_offset| {
            Arc::new(Endpoint::Inet { address: address.parse().unwrap(), port_offset })
        };
        let mut seen = vec![server.endpoint.version()];
        let mut expect = |server: &ServerState, changes: bool, what: &str| {
            let version = server.endpoint.version();
            assert_eq!(!seen.contains(&version), changes, "{what}");
            seen.push(version);
        };
        server.endpoint.store(inet("10.0.0.1:80", None));
        expect(&server, true, "an address");
        server.set_operational(Operational::Stopping);
        expect(&server, false, "it still runs");
        server.set_operational(Operational::Stopped);
        expect(&server, true, "down");
        server.set_operational(Operational::Running);
        expect(&server, false, "up again");
        server.set_admin(admin::FDRAIN);
        expect(&server, false, "drain");
        server.set_admin(admin::FMAINT);
        expect(&server, true, "maintenance");
        server.set_admin(0);
        expect(&server, false, "ready again");
        for (address, offset, follows) in [
            ("10.0.0.1:80", None, false),
            ("0.0.0.0:80", None, true),
            ("[::]:80", None, true),
            ("10.0.0.1:0", Some(0), true),
        ] {
            server.endpoint.store(inet(address, offset));
            expect(&server, true, address);
            assert_eq!(server.endpoint.version().follows_client(), follows, "{address}");
            server.set_admin(admin::FMAINT);
            server.set_admin(0);
            assert_eq!(server.endpoint.version().follows_client(), follows, "{address}");
        }
    }

    #[test]
    fn a_new_server_stands_where_its_line_says() {
        use Operational::{Running, Stopped};
        for (init_state, expected) in [
            (InitState::None, (Running, 2)),
            (InitState::FullyUp, (Running, 4)),
            (InitState::Up, (Running, 2)),
            (InitState::Down, (Stopped, 1)),
            (InitState::FullyDown, (Stopped, 0)),
        ] {
            let server = ServerState::new("b", "s", 1);
            server.adopt(&Arc::new(Configured { init_state, check: Some((2, 3)), ..configured() }));
            assert_eq!((server.operational(), server.check.load().health), expected, "{init_state:?}");
            // A model that follows moves nothing.
            server.set_operational(Running);
            server.adopt(&Arc::new(Configured {
                init_state,
                check: Some((2, 3)),
                weight: 7,
                ..configured()
            }));
            assert_eq!(server.operational(), Running);
        }
    }
}
