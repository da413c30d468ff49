//! Facts of the process: `show info` as lines, typed lines and JSON (management manual, section 9.3).

use std::sync::atomic::Ordering::Relaxed;

use super::field::{Tags, Value};
use super::{columns, csv, json, typed};
use crate::base::clock::Now;
use crate::model::{Global, Model, Proxy};
use crate::sample::facts::ProcessFacts;
use crate::state::proxy::{FrontendStatus, fe};

/// The name tools look for.
pub const PRODUCT: &str = "HAProxy";
/// The release of HAProxy whose interfaces are answered; tools compare it.
pub const VERSION: &str = "3.5-dev5-haring";
/// The date of that release.
pub const RELEASE_DATE: &str = "2026/08/21";
/// What really runs.
pub const BUILD: &str = concat!("Haring ", env!("CARGO_PKG_VERSION"), " (HAProxy 3.5-dev5 interfaces)");

/// What the process tells about itself beyond the model and its state.
#[derive(Clone, Debug, Default)]
pub struct InfoFacts {
    /// Data threads.
    pub threads: usize,
    /// When the process started.
    pub started: Now,
    /// Milliseconds from the start until it was ready.
    pub boot_ms: u64,
    /// `maxconn` in force.
    pub maxconn: u32,
    /// The highest `maxconn` that the limit on descriptors allows.
    pub maxconn_hard: u32,
    /// The limit on descriptors.
    pub descriptors_max: u64,
    /// The driver of the data path and why it was chosen.
    pub driver: String,
    /// Log lines dropped.
    pub logs_dropped: u64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Whether the process is stopping.
    pub stopping: bool,
    /// Warnings given while loading the configuration.
    pub warnings: u64,
    /// Limits of new connections and sessions per second in force.
    pub connection_rate_limit: u32,
    /// See `connection_rate_limit`.
    pub session_rate_limit: u32,
    /// Map and ACL entries added and removed at run time.
    pub patterns_added: u64,
    /// See `patterns_added`.
    pub patterns_freed: u64,
}

/// What the fields look at.
pub struct Source<'a> {
    /// The process.
    pub info: &'a InfoFacts,
    /// Its shared facts.
    pub process: &'a ProcessFacts,
    /// The configuration.
    pub model: &'a Model,
    /// When.
    pub now: Now,
    /// Rates and durations with fractions (`float`).
    pub float: bool,
}

impl Source<'_> {
    fn global(&self) -> &Global {
        &self.model.global
    }
    fn uptime_us(&self) -> u64 {
        self.now.mono_us.saturating_sub(self.info.started.mono_us)
    }
    fn frontends(&self) -> impl Iterator<Item = &Proxy> {
        self.model.proxies.iter().map(|proxy| &**proxy).filter(|proxy| proxy.is_frontend)
    }
    fn sum(&self, field: usize) -> u64 {
        self.frontends().map(|proxy| proxy.state.frontend.sum(field)).sum()
    }
    fn seconds<'v>(&self, us: u64) -> Value<'v> {
        if self.float { Value::Float(us as f64 / 1e6) } else { Value::U32((us / 1_000_000) as u32) }
    }
    fn rate<'v>(&self, rate: u32) -> Value<'v> {
        if self.float { Value::Float(f64::from(rate)) } else { Value::U32(rate) }
    }
    fn listeners(&self) -> usize {
        let stopped = FrontendStatus::Stopped as u8;
        let open = self
            .frontends()
            .filter(|proxy| !proxy.disabled && proxy.state.frontend_status.load(Relaxed) != stopped);
        open.map(|proxy| proxy.binds.len()).sum::<usize>() + self.global().stats_sockets.len()
    }
    fn connection_rate(&self) -> u32 {
        let now = self.now.millis();
        self.frontends().map(|proxy| proxy.state.frontend_connection_rate.read(now)).sum()
    }
    fn session_rate(&self) -> u32 {
        let now = self.now.millis();
        self.frontends().map(|proxy| proxy.state.frontend_session_rate.read(now)).sum()
    }
}

/// One fact.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Origin, nature and scope.
    pub tags: Tags,
    /// What it means.
    pub text: &'static str,
    /// Finds its value.
    pub read: for<'a> fn(&'a Source<'a>) -> Value<'a>,
}

const fn field(
    name: &'static str,
    tags: &'static str,
    text: &'static str,
    read: for<'a> fn(&'a Source<'a>) -> Value<'a>,
) -> Field {
    Field { name, tags: Tags(tags), text, read }
}

fn zero<'a>(_: &'a Source<'a>) -> Value<'a> {
    Value::U32(0)
}

fn nothing<'a>(_: &'a Source<'a>) -> Value<'a> {
    Value::Empty
}

const MEBIBYTE: u64 = 1 << 20;

/// Every fact, in the order tools rely on; what Haring adds stands at the end.
#[rustfmt::skip]
pub static TABLE: &[Field] = &[
    field("Name", "POS", "Name of the product whose interfaces these are", |_| Value::text(PRODUCT)),
    field("Version", "POS", "Release of those interfaces", |_| Value::text(VERSION)),
    field("Release_date", "POS", "Date of that release", |_| Value::text(RELEASE_DATE)),
    field("Nbthread", "CGS", "Data threads", |s| Value::U32(s.info.threads as u32)),
    field("Nbproc", "CGS", "Processes, always 1", |_| Value::U32(1)),
    field("Process_num", "KGP", "Number of this process, always 1", |_| Value::U32(1)),
    field("Pid", "SGP", "Process id", |s| Value::U32(s.process.pid)),
    field("Uptime", "MDP", "Time since the start", |s| Value::text(uptime(s.uptime_us() / 1_000_000))),
    field("Uptime_sec", "MDP", "Seconds since the start", |s| s.seconds(s.uptime_us())),
    field("Memmax_MB", "CLP", "Memory limit in MB; 0 is none", |s| Value::U32(s.process.memory_limit_mb as u32)),
    field("PoolAlloc_MB", "MGP", "Resident memory in MB", |s| Value::U32((s.info.memory_bytes / MEBIBYTE) as u32)),
    field("PoolUsed_MB", "MGP", "Resident memory in MB; the allocator keeps no pools of its own", |s| Value::U32((s.info.memory_bytes / MEBIBYTE) as u32)),
    field("PoolFailed", "MCP", "Allocations that failed; not counted", zero),
    field("Ulimit-n", "CLP", "Limit on descriptors", |s| Value::U32(s.info.descriptors_max as u32)),
    field("Maxsock", "CLP", "Limit on sockets: that on descriptors", |s| Value::U32(s.info.descriptors_max as u32)),
    field("Maxconn", "CLP", "Limit on connections in force", |s| Value::U32(s.info.maxconn)),
    field("Hard_maxconn", "CLP", "Highest limit on connections that may be set", |s| Value::U32(s.info.maxconn_hard)),
    field("CurrConns", "MGP", "Connections now", |s| Value::U32(s.process.connections.load(Relaxed))),
    field("CumConns", "MCP", "Connections so far", |s| Value::U32(s.sum(fe::CONNECTIONS) as u32)),
    field("CumReq", "MCP", "Requests so far", |s| Value::U32(s.process.requests.load(Relaxed) as u32)),
    field("MaxSslConns", "MMP", "Limit on TLS connections; 0 is none", |s| Value::U32(s.global().maxsslconn)),
    field("CurrSslConns", "MGP", "TLS connections now", |s| Value::U32(s.process.tls.current())),
    field("CumSslConns", "MCP", "TLS connections so far", |s| Value::U32(s.process.tls.total() as u32)),
    field("Maxpipes", "CLP", "Limit on pipes for splicing; 0 is none", |s| Value::U32(s.global().maxpipes.unwrap_or(0) as u32)),
    field("PipesUsed", "MGP", "Pipes in use; not counted", zero),
    field("PipesFree", "MGP", "Pipes kept for use; not counted", zero),
    field("ConnRate", "MRP", "Connections over the last second", |s| s.rate(s.connection_rate())),
    field("ConnRateLimit", "CLP", "Limit of connections per second; 0 is none", |s| Value::U32(s.info.connection_rate_limit)),
    field("MaxConnRate", "MMP", "Most connections in one second, of any frontend", |s| Value::U32(s.frontends().map(|p| p.state.frontend_connection_rate.max()).max().unwrap_or(0))),
    field("SessRate", "MRP", "Sessions over the last second", |s| s.rate(s.session_rate())),
    field("SessRateLimit", "CLP", "Limit of sessions per second; 0 is none", |s| Value::U32(s.info.session_rate_limit)),
    field("MaxSessRate", "MRP", "Most sessions in one second, of any frontend", |s| Value::U32(s.frontends().map(|p| p.state.frontend_session_rate.max()).max().unwrap_or(0))),
    field("SslRate", "MRP", "TLS connections over the last second", |s| s.rate(s.process.tls.clients.read(s.now.millis()))),
    field("SslRateLimit", "CLP", "Limit of TLS connections per second; 0 is none", |s| Value::U32(s.global().maxsslrate)),
    field("MaxSslRate", "MMP", "Most TLS connections in one second", |s| Value::U32(s.process.tls.clients.max())),
    field("SslFrontendKeyRate", "MGP", "TLS keys made for clients over the last second", |s| s.rate(s.process.tls.client_keys.read(s.now.millis()))),
    field("SslFrontendMaxKeyRate", "MMP", "Most TLS keys made for clients in one second", |s| Value::U32(s.process.tls.client_keys.max())),
    field("SslFrontendSessionReuse_pct", "MGP", "TLS sessions resumed, in percent", |s| s.rate(s.process.tls.resumed_percent(s.now.millis()))),
    field("SslBackendKeyRate", "MRP", "TLS keys made for servers over the last second", |s| s.rate(s.process.tls.server_keys.read(s.now.millis()))),
    field("SslBackendMaxKeyRate", "MMP", "Most TLS keys made for servers in one second", |s| Value::U32(s.process.tls.server_keys.max())),
    field("SslCacheLookups", "MCP", "Look-ups in the TLS session cache; not counted", zero),
    field("SslCacheMisses", "MCP", "Look-ups that found nothing; not counted", zero),
    field("CompressBpsIn", "MRP", "Bytes given to the compressor over the last second", |s| s.rate(0)),
    field("CompressBpsOut", "MRP", "Bytes the compressor made over the last second", |s| s.rate(0)),
    field("CompressBpsRateLim", "CLP", "Limit of compressed bytes per second; 0 is none", zero),
    field("ZlibMemUsage", "MGP", "Memory of the compressor", nothing),
    field("MaxZlibMemUsage", "CLP", "Limit of the compressor's memory", nothing),
    field("Tasks", "MGP", "Tasks: one per connection", |s| Value::U32(s.process.connections.load(Relaxed))),
    field("Run_queue", "MGP", "Tasks ready to run; not counted", zero),
    field("Idle_pct", "MaP", "Share of the last second spent waiting; not measured, reported as 100", |_| Value::U32(100)),
    field("node", "COS", "Node name", |s| Value::text(s.process.node.as_str())),
    field("description", "COS", "Description of the node", |s| s.global().description.as_deref().map_or(Value::Empty, Value::text)),
    field("Stopping", "MGP", "1 while the process stops", |s| Value::U32(u32::from(s.info.stopping))),
    field("Jobs", "MGP", "Connections and listeners", |s| Value::U32(s.process.connections.load(Relaxed) + s.listeners() as u32)),
    field("Unstoppable Jobs", "MGP", "Jobs that do not delay a stop", |s| Value::U32(s.global().stats_sockets.len() as u32)),
    field("Listeners", "MGP", "Listening addresses", |s| Value::U32(s.listeners() as u32)),
    field("ActivePeers", "MGP", "Peers connected and verified", zero),
    field("ConnectedPeers", "MGP", "Peers connected", zero),
    field("DroppedLogs", "MGP", "Log lines dropped because a target or the queue was full", |s| Value::U32(s.info.logs_dropped as u32)),
    field("BusyPolling", "MGP", "1 when busy polling is on", zero),
    field("FailedResolutions", "MGP", "What rules took for host names, and what is none", |s| Value::U32(s.process.failed_resolutions.load(Relaxed) as u32)),
    field("TotalBytesOut", "MGP", "Bytes sent to clients so far", |s| Value::U64(s.sum(fe::BYTES_OUT))),
    field("TotalSplicedBytesOut", "MGP", "Bytes of them sent by splicing; not told apart, reported as 0", |_| Value::U64(0)),
    field("BytesOutRate", "MRP", "Bytes sent over the last second; not measured", |_| Value::U64(0)),
    field("DebugCommandsIssued", "MGP", "Debugging commands used", |s| Value::U32(s.process.debug_commands.load(Relaxed) as u32)),
    field("CumRecvLogs", "MCP", "Log lines received for forwarding", zero),
    field("Build info", "POS", "What really runs", |_| Value::text(BUILD)),
    field("Memmax_bytes", "CLP", "Memory limit in bytes; 0 is none", |s| Value::U64(s.process.memory_limit_mb * MEBIBYTE)),
    field("PoolAlloc_bytes", "MGP", "Resident memory in bytes", |s| Value::U64(s.info.memory_bytes)),
    field("PoolUsed_bytes", "MGP", "Resident memory in bytes", |s| Value::U64(s.info.memory_bytes)),
    field("Start_time_sec", "MDP", "Second of the start since the epoch", |s| s.seconds(s.info.started.wall_us)),
    field("Tainted", "SGP", "Experimental features used, as bits; not kept", |_| Value::text("0")),
    field("TotalWarnings", "MCP", "Warnings given", |s| Value::U32(s.info.warnings as u32)),
    field("MaxconnReached", "MCP", "Times the limit on connections was reached; not counted", zero),
    field("BootTime_ms", "MDP", "Milliseconds from the start until it was ready", |s| Value::U32(s.info.boot_ms as u32)),
    field("Niced_tasks", "MGP", "Tasks with a priority of their own", zero),
    field("CurrStreams", "MGP", "Streams now: one per connection", |s| Value::U64(u64::from(s.process.connections.load(Relaxed)))),
    field("CumStreams", "MGP", "Streams so far", |s| Value::U64(s.process.requests.load(Relaxed).max(s.sum(fe::SESSIONS)))),
    field("BlockedTrafficWarnings", "MGP", "Warnings about tasks that held up traffic; not given", zero),
    field("PatternsAdded", "MGP", "Map and ACL entries added at run time", |s| Value::U64(s.info.patterns_added)),
    field("PatternsFreed", "MGP", "Map and ACL entries removed at run time", |s| Value::U64(s.info.patterns_freed)),
    field("NbThreadGroups", "CGS", "Thread groups, always 1", |_| Value::U32(1)),
    field("Driver", "SOP", "Driver of the data path, and why", |s| if s.info.driver.is_empty() { Value::Empty } else { Value::text(s.info.driver.replace(": ", "; ")) }),
];

/// The place of a fact known to be there; evaluated while compiling, where a slip is an error.
pub const fn index(name: &str) -> usize {
    let mut at = 0;
    while at < TABLE.len() {
        if columns::is_same(TABLE[at].name.as_bytes(), name.as_bytes()) {
            return at;
        }
        at += 1;
    }
    panic!("no such fact")
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Form {
    #[default]
    Lines,
    Typed,
    Json,
}

/// Renders every fact; `describe` adds what each means.
pub fn render(source: &Source<'_>, form: Form, describe: bool, out: &mut Vec<u8>) {
    if form == Form::Json {
        out.push(b'[');
    }
    let mut is_first = true;
    for (position, field) in TABLE.iter().enumerate() {
        let value = (field.read)(source);
        if value.is_empty() {
            continue;
        }
        match form {
            Form::Lines => {
                out.extend_from_slice(field.name.as_bytes());
                out.extend_from_slice(b": ");
                match &value {
                    Value::Text(text) => csv::quote(text, out),
                    number => number.write_plain(out),
                }
                if describe {
                    out.extend_from_slice(b":\"");
                    out.extend_from_slice(field.text.as_bytes());
                    out.push(b'"');
                }
                out.push(b'\n');
            }
            Form::Typed => {
                out.extend_from_slice(format!("{position}.{}.1:", field.name).as_bytes());
                typed::field(&value, field.tags, false, describe.then_some(field.text), out);
            }
            Form::Json => {
                if !std::mem::take(&mut is_first) {
                    out.push(b',');
                }
                out.push(b'{');
                json::field(position, field.name, &value, field.tags, out);
            }
        }
    }
    if form == Form::Json {
        out.extend_from_slice(b"]\n");
    }
}

/// `0d 0h01m05s`.
pub fn uptime(seconds: u64) -> String {
    format!("{}d {}h{:02}m{:02}s", seconds / 86400, seconds % 86400 / 3600, seconds % 3600 / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_keep_their_positions() {
        for (name, expected) in
            [("Name", 0), ("Pid", 6), ("Maxconn", 15), ("DroppedLogs", 58), ("NbThreadGroups", 81)]
        {
            let position = TABLE.iter().position(|field| field.name == name);
            assert_eq!(position, Some(expected), "{name}");
        }
    }

    /// What does not exist here, so that 0 is the value: compression, peers, log forwarding, busy polling,
    /// priorities of tasks.
    const ABSENT: &[&str] = &[
        "CompressBpsIn",
        "CompressBpsOut",
        "CompressBpsRateLim",
        "ZlibMemUsage",
        "MaxZlibMemUsage",
        "ActivePeers",
        "ConnectedPeers",
        "CumRecvLogs",
        "BusyPolling",
        "Niced_tasks",
    ];

    #[test]
    fn what_is_always_the_same_is_documented() {
        let mut model = super::super::fixture::model();
        let global = &mut model.global;
        (global.maxsslconn, global.maxsslrate, global.maxpipes) = (1, 1, Some(1));
        global.description = Some("d".into());
        let sides = &model.proxies[0].state;
        for rate in [&sides.frontend_connection_rate, &sides.frontend_session_rate] {
            rate.add(1, 1);
        }
        for field in [fe::CONNECTIONS, fe::SESSIONS, fe::BYTES_OUT] {
            sides.frontend.add(field, 7);
        }
        let process =
            ProcessFacts { pid: 1, node: "n".into(), memory_limit_mb: 1, ..ProcessFacts::default() };
        for counter in [&process.requests, &process.debug_commands, &process.failed_resolutions] {
            counter.store(1, Relaxed);
        }
        process.connections.store(1, Relaxed);
        let info = InfoFacts {
            threads: 1,
            started: Now { wall_us: 5_000_000, ..Now::default() },
            boot_ms: 1,
            maxconn: 1,
            maxconn_hard: 1,
            descriptors_max: 1,
            driver: "epoll".into(),
            logs_dropped: 1,
            memory_bytes: 2 * MEBIBYTE,
            stopping: true,
            warnings: 1,
            connection_rate_limit: 1,
            session_rate_limit: 1,
            patterns_added: 1,
            patterns_freed: 1,
        };
        let now = Now { mono_us: 3_000_000, ..Now::default() };
        let source = Source { info: &info, process: &process, model: &model, now, float: false };
        let documented = include_str!("../../docs/differences.md");
        for field in TABLE {
            let value = (field.read)(&source);
            let is_constant = match &value {
                Value::Empty => true,
                Value::Text(text) => &**text == "0",
                number => {
                    let mut text = Vec::new();
                    number.write_plain(&mut text);
                    text == b"0" || text == b"100"
                }
            };
            let by_handshakes = field.name.contains("Ssl") && !field.name.starts_with("SslCache");
            // This model has no socket of the runtime API, and this second no connection.
            let by_model = matches!(field.name, "ConnRate" | "SessRate" | "Unstoppable Jobs");
            if is_constant && !by_handshakes && !by_model && !ABSENT.contains(&field.name) {
                assert!(
                    documented.contains(&format!("`{}`", field.name)),
                    "'{}' is always the same",
                    field.name
                );
            }
        }
    }

    #[test]
    fn uptime_is_padded_as_known() {
        assert_eq!(uptime(0), "0d 0h00m00s");
        assert_eq!(uptime(2 * 86400 + 3 * 3600 + 4 * 60 + 5), "2d 3h04m05s");
    }
}
