//! Where log lines go: the parsed form of a `log` line (manual, section 4.2 `log`).

use crate::diag::Span;
use std::net::SocketAddr;
use std::sync::Arc;

pub use crate::wire::syslog::Format;

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// UDP.
    Udp(SocketAddr),
    /// A datagram Unix socket, such as `/dev/log`.
    Unix(String),
    /// A file descriptor: `stdout` is 1, `stderr` 2, `fd@N` N.
    Fd(i32),
    /// A `ring` section by name.
    Ring(String),
}

/// `sample <ranges>:<size>`: which lines of every `size` are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Inclusive ranges within `1..=size`.
    pub ranges: Vec<(u32, u32)>,
    /// The period.
    pub size: u32,
}

/// One `log` line.
#[derive(Debug)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// The line that asks for it.
    pub span: Span,
    /// How.
    pub format: Format,
    /// Longest line in bytes (`len`), 1024 by default.
    pub len: usize,
    /// Syslog facility number (`kern` 0 ... `local7` 23).
    pub facility: u8,
    /// The least urgent level sent (7 = debug).
    pub level: u8,
    /// The most urgent level kept: what is more urgent is lowered to it (`minlevel`).
    pub level_min: u8,
    /// Which lines are sent.
    pub sampling: Option<Sampling>,
    /// Lines seen, for sampling.
    pub seen: std::sync::atomic::AtomicU32,
}

/// The `log` lines of a proxy, `log global` resolved.
pub type Targets = Arc<[Arc<Target>]>;

/// Where lines of `debug` go: a ring, or one of the standard outputs, as they are.
pub fn events(sink: &str) -> Targets {
    let address = match sink {
        "stdout" => Address::Fd(1),
        "stderr" => Address::Fd(2),
        ring => Address::Ring(ring.to_owned()),
    };
    let target = Target {
        address,
        span: Span::NONE,
        format: Format::Raw,
        len: EVENT_LEN,
        facility: 0,
        level: 7,
        level_min: 0,
        sampling: None,
        seen: std::sync::atomic::AtomicU32::new(0),
    };
    Arc::new([Arc::new(target)])
}

/// The longest line of `debug`.
const EVENT_LEN: usize = 16384;
