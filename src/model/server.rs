//! `server` lines (manual, section 5.2).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::balance::HashKey;
use crate::diag::Span;
use crate::health::CheckSpec;
pub use crate::health::observe::Observe;
use crate::resolvers::Resolvers;
use crate::resolvers::options::Options;
use crate::sample::Expr;
use crate::sample::proxy_header::ProxyHeader;
use crate::state::ServerState;
use crate::state::server::Configured;
use crate::tls::connector::Connector;
use crate::wire::dns::Name;

/// One server of a backend.
#[derive(Debug)]
pub struct Server {
    /// Its name.
    pub name: Box<str>,
    /// Its number, forced by `id` or counted from 1.
    pub id: u32,
    /// Whether `id` forced it.
    pub id_forced: bool,
    /// Its line.
    pub span: Span,
    /// Its live state.
    pub state: Arc<ServerState>,
    /// What the live state becomes when the model comes into force.
    pub configured: Arc<Configured>,
    /// `backup`.
    pub backup: bool,
    /// `cookie`.
    pub cookie: Option<Box<str>>,
    /// `maxconn`; 0 is no limit.
    pub maxconn: u32,
    /// `minconn`: with it the limit moves between `minconn` and `maxconn` with the backend's load.
    pub minconn: u32,
    /// `maxqueue`; 0 is no limit.
    pub maxqueue: u32,
    /// `slowstart`, in milliseconds.
    pub slowstart_ms: u64,
    /// `source`.
    pub source: Option<SourceAddress>,
    /// `source ... usesrc`: whose address the server sees.
    pub use_source: Option<UseSource>,
    /// `source ... interface`.
    pub source_interface: Option<Arc<str>>,
    /// `redir`.
    pub redirect_prefix: Option<Box<str>>,
    /// `check` and all that belongs to it; `None` without `check`.
    pub check: Option<Arc<CheckSpec>>,
    /// `agent-check` and all that belongs to it.
    pub agent: Option<Arc<CheckSpec>>,
    /// `track backend/server`, resolved.
    pub track: Option<Arc<ServerState>>,
    /// `observe`.
    pub observe: Observe,
    /// `error-limit` (10 by default).
    pub error_limit: u32,
    /// `on-error`.
    pub on_error: OnError,
    /// `on-marked-down shutdown-sessions`.
    pub shutdown_sessions_on_down: bool,
    /// `on-marked-up shutdown-backup-sessions`.
    pub shutdown_backup_sessions_on_up: bool,
    /// `pool-max-conn` (-1: no limit), `pool-purge-delay` in milliseconds, `max-reuse`.
    pub pool_max_conn: i64,
    /// `pool-low-conn`: fewer idle connections than this are left to the cores that have them.
    pub pool_low_conn: u32,
    /// `init-addr` begins with `last`: the address that its name had in an earlier process counts.
    pub keeps_last_address: bool,
    /// Whether idle connections count in `maxconn`.
    pub strict_maxconn: bool,
    /// See `pool_max_conn`.
    pub pool_purge_delay_ms: u64,
    /// See `pool_max_conn`.
    pub max_reuse: i64,
    /// `non-stick`: `stick` rules do not remember it.
    pub non_stick: bool,
    /// `send-proxy` and its kin: what goes in front of everything that the server is sent.
    pub proxy_header: Option<Arc<ProxyHeader>>,
    /// `tfo`.
    pub tcp_fast_open: bool,
    /// `tcp-ut`, in milliseconds.
    pub tcp_user_timeout_ms: Option<u64>,
    /// `hash-key`.
    pub hash_key: HashKey,
    /// The host name given instead of an address.
    pub hostname: Option<Box<str>>,
    /// `resolvers` and its options: which name servers tell the addresses of the name while running.
    pub resolution: Option<Arc<Resolution>>,
    /// `disabled`.
    pub disabled: bool,
    /// `ssl`
    pub tls: Option<ServerTls>,
    /// `guid`
    pub guid: Option<Box<str>>,
}

/// How a server is spoken to by TLS.
#[derive(Debug)]
pub struct ServerTls {
    /// Settings and sessions.
    pub connector: Arc<Connector>,
    /// What it is called.
    pub name: TlsName,
}

/// The name that a server is told to be meant by (SNI).
#[derive(Debug)]
pub enum TlsName {
    /// None.
    None,
    /// `sni`
    Expr(Expr),
    /// The host that the request names (`sni-auto`).
    Host,
}

/// How a server's name is resolved while running.
#[derive(Debug)]
pub struct Resolution {
    /// The section whose name servers are asked.
    pub resolvers: Arc<Resolvers>,
    /// Which addresses are wanted.
    pub options: Arc<Options>,
    /// The service that names host and port of the server; a host otherwise.
    pub service: Option<Name>,
}

/// The address that connections to a server come from (`source`).
#[derive(Clone, Debug)]
pub struct SourceAddress {
    /// Its port is 0 where the kernel chooses one, and the first of the range where there is one.
    address: SocketAddr,
    ports: Option<Arc<PortRange>>,
}

/// Ports of which each connection takes the next one.
#[derive(Debug)]
struct PortRange {
    first: u16,
    last: u16,
    taken: AtomicU32,
}

impl SourceAddress {
    /// The ports `first..=last` of an address; 0 for both leaves the choice to the kernel.
    pub fn new(address: IpAddr, first: u16, last: u16) -> SourceAddress {
        let range = (first < last).then(|| Arc::new(PortRange { first, last, taken: AtomicU32::new(0) }));
        SourceAddress { address: SocketAddr::new(address, first), ports: range }
    }
    /// The address for the next connection.
    pub fn next(&self) -> SocketAddr {
        let Some(ports) = &self.ports else { return self.address };
        let count = u32::from(ports.last - ports.first) + 1;
        let offset = ports.taken.fetch_add(1, Relaxed) % count;
        SocketAddr::new(self.address.ip(), ports.first + offset as u16)
    }
    /// Whether another port may do where one is in use.
    pub fn has_range(&self) -> bool {
        self.ports.is_some()
    }
}

/// Whose address connections show to a server (`source ... usesrc`).
#[derive(Clone, Debug)]
pub enum UseSource {
    /// This one.
    Address(SocketAddr),
    /// The client's, with its port.
    Client,
    /// The client's address.
    ClientIp,
    /// The address that a field of the request holds (`hdr_ip(name,occurrence)`).
    Header(Arc<Expr>),
}

/// `on-error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OnError {
    FastInter,
    #[default]
    FailCheck,
    SuddenDeath,
    MarkDown,
}
