//! Health checks as machines without I/O: what to send, what to expect, what it means.
//!
//! The control thread drives them over sockets (`control::checks`); nothing here waits.
#![forbid(unsafe_code)]

pub mod config;
pub mod schedule;
pub mod status;

use std::net::IpAddr;

/// What a server's check looks like (`check`, `option httpchk`, `tcp-check`, ...).
#[derive(Debug)]
pub struct CheckSpec {
    /// The `server` line's part.
    pub server: ServerCheck,
}

/// The check settings of a `server` line (manual, section 5.2), defaults applied.
#[derive(Clone, Debug)]
pub struct ServerCheck {
    /// `inter`, in milliseconds (2000 by default).
    pub inter_ms: u64,
    /// `fastinter`; `None` is `inter`.
    pub fastinter_ms: Option<u64>,
    /// `downinter`; `None` is `inter`.
    pub downinter_ms: Option<u64>,
    /// `rise` (2 by default; 1 for agents).
    pub rise: u32,
    /// `fall` (3 by default; 1 for agents).
    pub fall: u32,
    /// `port` / `agent-port`; `None` is the server's.
    pub port: Option<u16>,
    /// `addr` / `agent-addr`; `None` is the server's.
    pub addr: Option<IpAddr>,
    /// `agent-send`.
    pub agent_send: Option<Vec<u8>>,
    /// `timeout check` of the backend, in milliseconds.
    pub timeout_check_ms: Option<u64>,
    /// `timeout connect` of the backend, in milliseconds.
    pub timeout_connect_ms: Option<u64>,
    /// `check-send-proxy`, `check-ssl`, `check-via-socks4`... are refused until they are built.
    pub observe_only: bool,
}

impl Default for ServerCheck {
    fn default() -> Self {
        ServerCheck {
            inter_ms: 2000,
            fastinter_ms: None,
            downinter_ms: None,
            rise: 2,
            fall: 3,
            port: None,
            addr: None,
            agent_send: None,
            timeout_check_ms: None,
            timeout_connect_ms: None,
            observe_only: false,
        }
    }
}
