//! `bind` and `stats socket` lines: where to listen and how (manual, section 5.1).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diag::Span;
use crate::tls::terminator::Terminator;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// TCP.
    Inet(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
    /// A name in the abstract space (`abns@`), without the leading NUL.
    Abstract(Vec<u8>),
    /// An inherited descriptor that listens already (`fd@`).
    Fd(i32),
}

impl std::fmt::Display for BindAddress {
    /// With its family, as HAProxy names addresses to others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BindAddress::Inet(address) if address.is_ipv6() => write!(f, "ipv6@{address}"),
            BindAddress::Inet(address) => write!(f, "ipv4@{address}"),
            BindAddress::Unix(path) => write!(f, "unix@{}", path.display()),
            BindAddress::Abstract(name) => write!(f, "abns@{}", String::from_utf8_lossy(name)),
            BindAddress::Fd(number) => write!(f, "fd@{number}"),
        }
    }
}

/// The rights of a `stats socket` connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum CliLevel {
    User,
    #[default]
    Operator,
    Admin,
}

impl CliLevel {
    /// Its name after `level`.
    pub fn name(self) -> &'static str {
        match self {
            CliLevel::User => "user",
            CliLevel::Operator => "operator",
            CliLevel::Admin => "admin",
        }
    }
}

/// The versions of HTTP that a line may be told to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.
    H1,
    /// HTTP/2.
    H2,
}

/// One listening address with the settings of its line. A line with several addresses or a range
/// of ports gives several of these.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Where.
    pub address: BindAddress,
    /// Its line in the configuration, for errors at start.
    pub span: Span,
    /// `name`.
    pub name: Option<Arc<str>>,
    /// `id`, or its number in the proxy from 1.
    pub id: u32,
    /// `maxconn` of the listener; 0 is no limit.
    pub maxconn: u32,
    /// `backlog`; `None` takes the proxy's or the default.
    pub backlog: Option<u32>,
    /// `accept-proxy`: every connection begins with a PROXY protocol header.
    pub accept_proxy: bool,
    /// `v4v6`/`v6only`: `Some(true)` is IPv6 only.
    pub v6only: Option<bool>,
    /// `transparent`.
    pub transparent: bool,
    /// `interface`.
    pub interface: Option<String>,
    /// `tfo`.
    pub tcp_fast_open: bool,
    /// `defer-accept`.
    pub defer_accept: bool,
    /// `tcp-ut`, in milliseconds.
    pub tcp_user_timeout_ms: Option<u64>,
    /// `mss`.
    pub mss: Option<i32>,
    /// `proto`: what is spoken, whatever TLS agrees on and the first bytes are.
    pub protocol: Option<Protocol>,
    /// `idle-ping`, in milliseconds.
    pub idle_ping_ms: Option<u64>,
    /// `thread`: numbers of the data threads that serve it, from 1; none for all.
    pub threads: Vec<usize>,
    /// `mode`, `uid`, `gid` of a Unix socket.
    pub unix_mode: Option<u32>,
    /// See `unix_mode`.
    pub unix_uid: Option<u32>,
    /// See `unix_mode`.
    pub unix_gid: Option<u32>,
    /// `level` of a stats socket.
    pub level: CliLevel,
    /// `expose-fd listeners`.
    pub expose_fd: bool,
    /// `ssl`: what clients are answered with.
    pub tls: Option<Arc<Terminator>>,
}
