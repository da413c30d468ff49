//! Process-wide settings (manual, section 3).

use crate::http::h1::case::HeaderCase;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::clock;
use crate::http::status_set::CountedStatuses;
use crate::log::target::Targets;
use crate::sample::facts::{Direction, ProcessFacts, TransactionFacts};
use crate::sample::value::Value;
use crate::sample::vars::{SetCondition, VarLimits, VarName};
use crate::sample::{Context, Expr, LogFormat};
use crate::tls::options::RecordSizes;
use crate::wire::dns::Families;

use super::Bind;

/// Which driver carries the data path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Driver {
    /// io_uring if the kernel allows it, else epoll.
    #[default]
    Auto,
    IoUring,
    Epoll,
}

/// What a configuration changes of the process's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentChanges {
    /// `resetenv`: nothing is kept but what is listed.
    pub reset: bool,
    /// Variables by name; `None` is one taken away.
    pub changes: Vec<(String, Option<String>)>,
}

/// The `global` section.
#[derive(Debug, Default)]
pub struct Global {
    /// Data threads (`nbthread`); `None` is one per usable CPU.
    pub nbthread: Option<usize>,
    /// `cpu-map`: CPUs per data thread (from 1).
    pub cpu_map: Vec<(usize, Vec<usize>)>,
    /// `tune.driver`.
    pub driver: Driver,
    /// `maxconn`; `None` is derived from the limit on descriptors.
    pub maxconn: Option<u32>,
    /// `ulimit-n`.
    pub ulimit_n: Option<u64>,
    /// `strict-limits`: without the descriptors that `maxconn` asks for, the process does not start.
    pub strict_limits: bool,
    /// `maxconnrate`, `maxsessrate`: per second, 0 is no limit.
    pub maxconnrate: u32,
    /// `maxsslconn`, `maxsslrate`: connections and handshakes by TLS with clients, 0 is no limit.
    pub maxsslconn: u32,
    /// See `maxsslconn`.
    pub maxsslrate: u32,
    /// See `maxconnrate`.
    pub maxsessrate: u32,
    /// `daemon`.
    pub daemon: bool,
    /// `pp2-never-send-local`.
    pub pp2_never_send_local: bool,
    /// `quiet`.
    pub quiet: bool,
    /// `zero-warning`.
    pub zero_warning: bool,
    /// `master-worker`, `-W`.
    pub master_worker: bool,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `user`/`uid`, resolved.
    pub uid: Option<u32>,
    /// `group`/`gid`, resolved.
    pub gid: Option<u32>,
    /// `chroot`.
    pub chroot: Option<PathBuf>,
    /// `set-dumpable`: a crash may leave a core.
    pub dumpable: bool,
    /// `insecure-setuid-wanted`: programs that this process starts may gain rights.
    pub insecure_setuid: bool,
    /// `close-spread-time`.
    pub close_spread: CloseSpread,
    /// `harden.reject-privileged-ports.tcp on`: clients with ports below 1024 are not served.
    pub reject_privileged_ports: bool,
    /// `setenv` and its kin, and the predefined variables.
    pub environment: EnvironmentChanges,
    /// `noreuseport`, `-dR`: the threads share a socket.
    pub no_reuseport: bool,
    /// `stats socket` lines.
    pub stats_sockets: Vec<Bind>,
    /// `stats timeout`, in milliseconds (10 s by default).
    pub stats_timeout_ms: u64,
    /// `stats maxconn` (10 by default).
    pub stats_maxconn: u32,
    /// `server-state-base`
    pub server_state_base: Option<String>,
    /// `tune.renice.runtime`
    pub nice: Option<i8>,
    /// `server-state-file`
    pub server_state_file: Option<String>,
    /// `log` lines.
    pub log: Targets,
    /// `log-tag`; see [`Global::tag`].
    pub log_tag: Option<String>,
    /// `log-send-hostname`: the host name to put into syslog headers.
    pub log_hostname: Option<String>,
    /// `node`.
    pub node: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `hard-stop-after`, in milliseconds.
    pub hard_stop_after_ms: Option<u64>,
    /// `spread-checks`, in percent.
    pub spread_checks: u32,
    /// `max-spread-checks`, in milliseconds; 0 is no limit.
    pub max_spread_checks_ms: u64,
    /// `tune.vars.*-max-size`
    pub var_limits: VarLimits,
    /// `tune.bufsize` (16384 by default).
    pub bufsize: usize,
    /// `tune.maxrewrite` (1024 by default).
    pub maxrewrite: usize,
    /// `tune.http.maxhdr` (101 by default).
    pub headers_max: usize,
    /// `tune.h2.*`: what HTTP/2 connections of clients take.
    pub h2: crate::http::h2::Settings,
    /// `tune.http.logurilen` (1024 by default).
    pub log_uri_len: usize,
    /// `h1-case-adjust`, `h1-case-adjust-file`.
    pub header_case: HeaderCase,
    /// `tune.http.cookielen` (63 by default).
    pub cookie_len: usize,
    /// `tune.maxaccept`: connections taken per wake-up of a listener.
    pub maxaccept: usize,
    /// `tune.pipesize`, `maxpipes`.
    pub pipesize: usize,
    /// See `pipesize`.
    pub maxpipes: Option<usize>,
    /// `nosplice`.
    pub nosplice: bool,
    /// `map-writeback`: maps (by name) whose changes at run time are written back to their files.
    pub map_writeback: MapWriteback,
    /// `tune.idle-pool.shared off`: accepted; pools are per core here.
    pub idle_pool_shared: bool,
    /// `tune.ssl.maxrecord`, `tune.ssl.hard-maxrecord`, `tune.idletimer`.
    pub tls_records: RecordSizes,
    /// `localpeer`, `-L`.
    pub localpeer: Option<String>,
    /// `set-var`, `set-var-fmt`: variables of the process, in order.
    pub set_vars: Vec<(VarName, Box<[SetCondition]>, VarSource)>,
    /// `http-err-codes`, `http-fail-codes`.
    pub counted_statuses: CountedStatuses,
    /// `dns-accept-family`, `-4`.
    pub accept_family: AcceptFamily,
}

/// Which families of addresses are asked for while running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptFamily {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
    /// IPv4, and IPv6 while the system has a route for it.
    pub auto: bool,
}

impl Default for AcceptFamily {
    fn default() -> Self {
        AcceptFamily { v4: false, v6: false, auto: true }
    }
}

impl AcceptFamily {
    /// The families, if `v6_is_routed` tells whether IPv6 can be reached.
    pub fn families(self, v6_is_routed: bool) -> Families {
        Families { v4: self.v4 || self.auto, v6: self.v6 || self.auto && v6_is_routed }
    }
}

/// What a variable of the process starts with.
#[derive(Debug)]
pub enum VarSource {
    /// `set-var`
    Expr(Expr),
    /// `set-var-fmt`
    Format(LogFormat),
}

/// The tag of log lines without `log-tag`. HAProxy takes the name it was started by, which its users know as
/// this one: filters of syslog servers go on matching.
const LOG_TAG_DEFAULT: &str = "haproxy";

impl Global {
    /// The tag of log lines that no proxy's `log-tag` names.
    pub fn tag(&self) -> Arc<str> {
        self.log_tag.as_deref().unwrap_or(LOG_TAG_DEFAULT).into()
    }

    /// Gives the variables of the process their first values, each of which may use those before it.
    pub fn set_variables(&self, process: &ProcessFacts) {
        let txn = TransactionFacts::default();
        let context = Context {
            session: None,
            txn: &txn,
            direction: Direction::Request,
            now: clock::cached(),
            process,
            check_vars: None,
        };
        for (name, conditions, source) in &self.set_vars {
            let value = match source {
                VarSource::Expr(expr) => expr.eval(&context),
                VarSource::Format(format) => {
                    let mut text = Vec::new();
                    format.write(&context, false, &mut text);
                    Some(Value::Str(text.into()))
                }
            };
            if let Some(value) = value {
                name.set_if(conditions, &context, value);
            }
        }
    }
}

/// Which maps are written back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MapWriteback {
    /// None.
    #[default]
    Off,
    /// Every map file.
    All,
    /// These.
    Files(Vec<String>),
}

/// When a stopping process closes the connections of clients (manual, section 3.1 `close-spread-time`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseSpread {
    /// Those that rest at once, others behind their next response.
    #[default]
    AtOnce,
    /// The same, one after the other over so many milliseconds.
    Over(u64),
    /// Not before their timeouts.
    Never,
}
