//! Names that are resolved while running (manual, section 5.3): what a `resolvers` section says, and the
//! machine that asks, waits, asks again and remembers, without I/O.
//!
//! [`machine::Machine`] is told what is wanted, what came and what time it is; it hands out datagrams and
//! events. The control thread carries both out. No name is resolved by anybody else while requests are served.
#![forbid(unsafe_code)]

pub mod counters;
mod ids;
pub mod machine;
pub mod options;
mod ports;
pub mod records;

use std::net::SocketAddr;
use std::sync::Arc;

use self::counters::Counters;
use crate::diag::Span;

/// The size of answers that is announced without `accepted_payload_size` (RFC 6891 section 6.2.3).
pub const PAYLOAD_DEFAULT: u16 = 512;

/// A `resolvers` section.
#[derive(Clone, Debug)]
pub struct Resolvers {
    /// Its name.
    pub name: Box<str>,
    /// Its line; none for the section `default` that is not written.
    pub span: Span,
    /// It was made from `/etc/resolv.conf` since the configuration has no section `default`.
    pub is_implicit: bool,
    /// `accepted_payload_size`, in bytes.
    pub payload_max: u16,
    /// `resolve_retries`: questions before a resolution fails.
    pub retries: u32,
    /// `timeout resolve`, in milliseconds: the time between two resolutions of a name.
    pub timeout_resolve_ms: u64,
    /// `timeout retry`, in milliseconds: the time between two questions of a resolution.
    pub timeout_retry_ms: u64,
    /// `hold`.
    pub hold: Hold,
    /// The name servers, all of which are asked.
    pub nameservers: Vec<Nameserver>,
}

impl Resolvers {
    /// A section with HAProxy's defaults and without name servers.
    pub fn new(name: &str, span: Span) -> Resolvers {
        Resolvers {
            name: name.into(),
            span,
            is_implicit: false,
            payload_max: PAYLOAD_DEFAULT,
            retries: 3,
            timeout_resolve_ms: 1000,
            timeout_retry_ms: 1000,
            hold: Hold::default(),
            nameservers: Vec::new(),
        }
    }
}

/// How long what was known stays in force after an answer of a kind, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long rules take an answer from memory.
    pub valid: u64,
    /// There is no such name.
    pub nx: u64,
    /// No name server answers.
    pub timeout: u64,
    /// The name servers refuse.
    pub refused: u64,
    /// Other errors.
    pub other: u64,
    /// How long a record is kept that answers have no more.
    pub obsolete: u64,
}

impl Default for Hold {
    fn default() -> Self {
        Hold { valid: 10_000, nx: 30_000, timeout: 30_000, refused: 30_000, other: 30_000, obsolete: 0 }
    }
}

/// A name server.
#[derive(Clone, Debug)]
pub struct Nameserver {
    /// Its name.
    pub name: Box<str>,
    /// How it is reached.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// The most connections over TCP; 0 is no limit of its own.
    pub connections_max: u32,
    /// What was sent to it and came from it.
    pub counters: Arc<Counters>,
}

/// How a name server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By datagrams; over TCP where an answer does not fit.
    Udp,
    /// Over TCP alone.
    Tcp,
}
