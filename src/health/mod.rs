//! Health checks as machines without I/O: what to send, what to expect, what it means.
//!
//! The control thread drives them over sockets (`control::checks`); nothing here waits.
#![forbid(unsafe_code)]

pub mod agent;
mod answers;
pub mod config;
pub mod hello;
pub mod http_check;
pub mod machine;
mod matching;
pub mod observe;
mod parse;
mod protocols;
pub mod schedule;
pub mod script;
pub mod status;
pub mod variables;
mod wording;

use std::net::IpAddr;
use std::sync::Arc;

pub use config::CheckScript;

use crate::sample::proxy_header::ProxyHeader;
use crate::tls::connector::Connector;

/// What a server's check looks like (`check`, `option httpchk`, `tcp-check`, ...).
#[derive(Debug)]
pub struct CheckSpec {
    /// The `server` line's part.
    pub server: ServerCheck,
    /// What to do, shared by the servers of the backend.
    pub script: Arc<script::Script>,
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
    /// `check-send-proxy`, or `send-proxy` for checks of the service's own address and port.
    pub send_proxy: bool,
    /// The header that the server gets; `None` is the plain one of version 1.
    pub proxy_header: Option<Arc<ProxyHeader>>,
    /// `check-via-socks4`... are refused until they are built.
    pub observe_only: bool,
    /// TLS towards the server, for checks that speak it.
    pub tls: Option<Arc<CheckTls>>,
}

/// TLS in the checks of a server.
#[derive(Debug)]
pub struct CheckTls {
    /// Settings and sessions.
    pub connector: Arc<Connector>,
    /// Connections that do not say otherwise speak it (`check-ssl`, or `ssl` without a port or an address for checks).
    pub is_default: bool,
    /// `check-sni`
    pub name: Option<Arc<str>>,
    /// `check-sni-auto`: the name is that of the request's host.
    pub takes_host: bool,
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
            send_proxy: false,
            proxy_header: None,
            observe_only: false,
            tls: None,
        }
    }
}

/// The script that some configuration lines make, and the findings about them; `~` is a blank within a word.
#[cfg(test)]
pub(crate) fn script_for_tests(lines: &[&str]) -> (CheckScript, Vec<String>) {
    use crate::diag::{Report, Span};
    use crate::sample::ParseContext;
    use crate::sample::acl::AclSet;
    use crate::sample::expr::{Files, Phase};
    use crate::state::Registry;

    struct NoFiles;
    impl Files for NoFiles {
        fn read(&self, _path: &str) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }
    let mut report = Report::default();
    let (registry, acls) = (Registry::new(1), AclSet::default());
    let mut context = ParseContext {
        report: &mut report,
        registry: &registry,
        files: &NoFiles,
        phase: Phase::Check,
        proxy: Some("be"),
        acls: &acls,
        named: &Default::default(),
    };
    let mut directives = config::CheckDirectives::default();
    for line in lines {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('~', " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[0] {
            "option" => directives.option(false, &words[1..], Span::NONE, &mut context),
            "inherited" => directives.inherited(),
            "http-check" => directives.http_check(&words[1..], Span::NONE, &mut context),
            _ => directives.tcp_check(&words[1..], Span::NONE, &mut context),
        }
    }
    let script = directives.finish("backend 'be'", Span::NONE, &mut context);
    (script, report.diagnostics.into_iter().map(|found| found.message).collect())
}
