//! Every metric: one row names it, the column or fact it shows, and how its number is written.
//!
//! Names and types are those of HAProxy's exporter, odd ones included, since dashboards and alerts
//! know them. A row takes its objects, its type and, unless it has a text of its own, its help from
//! its column, so that the exporter cannot say anything else than `show stat` does.

use crate::stats::field::{Column, Kind};
use crate::stats::{columns, info};

/// How the number of a column becomes samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As it is; NaN where the column is empty.
    Plain,
    /// Milliseconds written as seconds; no sample where the column is empty.
    Seconds,
    /// As it is, with the label `code`.
    Code(&'static str),
    /// A sample per status the object may have: 1 for the one it has.
    Status,
    /// A sample per result its check may have: 1 for the last one. Only where the check is active.
    CheckStatus(Check),
    /// The layer 5 to 7 code, 0 without one. Only where the check is active.
    CheckCode(Check),
    /// A sample per status of servers: how many of the backend's have it.
    ServersByStatus,
    /// A sample per result of checks: how many of the backend's servers have it.
    ServersByCheck,
}

/// One of a server's two checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Check {
    Health,
    Agent,
}

/// One metric of proxies, listeners and servers.
pub struct Metric {
    /// Its name behind `haproxy_<kind>_`.
    pub name: &'static str,
    /// The objects that have it, by their letters; empty are those of its column.
    on: &'static str,
    /// Only proxies in HTTP mode have it.
    pub http: bool,
    /// How it is written.
    pub shape: Shape,
    /// What it means, where the column's own text would not do.
    help: &'static str,
    column: usize,
}

impl Metric {
    /// The column it shows.
    pub fn column(&self) -> &'static Column {
        &columns::TABLE[self.column]
    }
    /// Whether objects of that kind have it.
    pub fn is_on(&self, kind: Kind) -> bool {
        let on = if self.on.is_empty() { self.column().on } else { self.on };
        on.contains(kind.letter())
    }
    /// What it means.
    pub fn help(&self) -> &'static str {
        if self.help.is_empty() { self.column().text } else { self.help }
    }
    /// Its type for objects of that kind.
    pub fn type_name(&self, kind: Kind) -> &'static str {
        let is_counter = columns::tags(self.column(), kind).0.as_bytes().get(1) == Some(&b'C');
        if is_counter { "counter" } else { "gauge" }
    }
    const fn only_on(mut self, on: &'static str) -> Metric {
        self.on = on;
        self
    }
    const fn http(mut self) -> Metric {
        self.http = true;
        self
    }
    const fn means(mut self, help: &'static str) -> Metric {
        self.help = help;
        self
    }
}

const fn metric(column: &'static str, name: &'static str, shape: Shape) -> Metric {
    Metric { name, on: "", http: false, shape, help: "", column: columns::index(column) }
}

const fn plain(column: &'static str, name: &'static str) -> Metric {
    metric(column, name, Shape::Plain)
}

const fn seconds(column: &'static str, name: &'static str, help: &'static str) -> Metric {
    metric(column, name, Shape::Seconds).means(help)
}

const fn responses(column: &'static str, code: &'static str) -> Metric {
    metric(column, "http_responses_total", Shape::Code(code))
        .http()
        .means("HTTP responses by class of status")
}

/// Metrics of frontends, listeners, backends and servers, in the order of their columns. Rows of
/// the same name follow each other: they are one metric.
pub static OBJECTS: &[Metric] = &[
    plain("qcur", "current_queue"),
    plain("qmax", "max_queue"),
    plain("scur", "current_sessions"),
    plain("smax", "max_sessions"),
    plain("slim", "limit_sessions"),
    plain("stot", "sessions_total"),
    plain("bin", "bytes_in_total"),
    plain("bout", "bytes_out_total"),
    plain("dreq", "requests_denied_total"),
    plain("dresp", "responses_denied_total"),
    plain("ereq", "request_errors_total"),
    plain("econ", "connection_errors_total"),
    plain("eresp", "response_errors_total"),
    plain("wretr", "retry_warnings_total"),
    plain("wredis", "redispatch_warnings_total"),
    metric("status", "status", Shape::Status).means("Status: 1 for the state that holds, 0 for the others"),
    plain("weight", "weight"),
    plain("act", "active_servers").only_on("B").means("Active servers that are usable"),
    plain("act", "active").only_on("S").means("Whether the server is an active one, not a backup"),
    plain("bck", "backup_servers").only_on("B").means("Backup servers that are usable"),
    plain("bck", "backup").only_on("S").means("Whether the server is a backup"),
    plain("chkfail", "check_failures_total"),
    plain("chkdown", "check_up_down_total"),
    plain("lastchg", "check_last_change_seconds"),
    plain("downtime", "downtime_seconds_total"),
    plain("qlimit", "queue_limit"),
    plain("throttle", "current_throttle"),
    plain("lbtot", "loadbalanced_total"),
    plain("rate", "current_session_rate"),
    plain("rate_lim", "limit_session_rate"),
    plain("rate_max", "max_session_rate"),
    metric("check_status", "check_status", Shape::CheckStatus(Check::Health))
        .means("Result of the last health check: 1 for the one it had, 0 for the others"),
    metric("check_code", "check_code", Shape::CheckCode(Check::Health)),
    seconds("check_duration", "check_duration_seconds", "Seconds the last health check took"),
    responses("hrsp_1xx", "1xx"),
    responses("hrsp_2xx", "2xx"),
    responses("hrsp_3xx", "3xx"),
    responses("hrsp_4xx", "4xx"),
    responses("hrsp_5xx", "5xx"),
    responses("hrsp_other", "other"),
    plain("req_rate_max", "http_requests_rate_max").http(),
    plain("req_tot", "http_requests_total").http(),
    plain("cli_abrt", "client_aborts_total"),
    plain("srv_abrt", "server_aborts_total"),
    plain("comp_in", "http_comp_bytes_in_total").http(),
    plain("comp_out", "http_comp_bytes_out_total").http(),
    plain("comp_byp", "http_comp_bytes_bypassed_total").http(),
    plain("comp_rsp", "http_comp_responses_total").http(),
    plain("lastsess", "last_session_seconds"),
    seconds("qtime", "queue_time_average_seconds", "Seconds in the queue, on average"),
    seconds("ctime", "connect_time_average_seconds", "Seconds to connect, on average"),
    seconds("rtime", "response_time_average_seconds", "Seconds to the response, on average"),
    seconds("ttime", "total_time_average_seconds", "Seconds in all, on average"),
    metric("agent_status", "agent_status", Shape::CheckStatus(Check::Agent))
        .means("Result of the last agent check: 1 for the one it had, 0 for the others"),
    metric("agent_code", "agent_code", Shape::CheckCode(Check::Agent)),
    seconds("agent_duration", "agent_duration_seconds", "Seconds the last agent check took"),
    plain("conn_rate_max", "connections_rate_max"),
    plain("conn_tot", "connections_total"),
    plain("intercepted", "intercepted_requests_total").http(),
    plain("dcon", "denied_connections_total"),
    plain("dses", "denied_sessions_total"),
    plain("wrew", "failed_header_rewriting_total"),
    plain("connect", "connection_attempts_total"),
    plain("reuse", "connection_reuses_total"),
    plain("cache_lookups", "http_cache_lookups_total").http(),
    plain("cache_hits", "http_cache_hits_total").http(),
    plain("srv_icur", "idle_connections_current"),
    plain("src_ilim", "idle_connections_limit"),
    seconds("qtime_max", "max_queue_time_seconds", "Most seconds in the queue"),
    seconds("ctime_max", "max_connect_time_seconds", "Most seconds to connect"),
    seconds("rtime_max", "max_response_time_seconds", "Most seconds to the response"),
    seconds("ttime_max", "max_total_time_seconds", "Most seconds in all"),
    plain("eint", "internal_errors_total"),
    plain("idle_conn_cur", "unsafe_idle_connections_current"),
    plain("safe_conn_cur", "safe_idle_connections_current"),
    plain("used_conn_cur", "used_connections_current"),
    plain("need_conn_est", "need_connections_current"),
    plain("uweight", "uweight"),
    metric("agg_server_status", "agg_server_status", Shape::ServersByStatus).means("Servers by their status"),
    metric("agg_server_check_status", "agg_server_check_status", Shape::ServersByStatus)
        .means("Servers by their status (the older name of agg_server_status)"),
    metric("agg_check_status", "agg_check_status", Shape::ServersByCheck)
        .means("Servers by the result of their last health check"),
    plain("priv_idle_cur", "private_idle_connections_current"),
    plain("reqbin", "req_bytes_in_total"),
    plain("reqbout", "req_bytes_out_total"),
    plain("resbin", "res_bytes_in_total"),
    plain("resbout", "res_bytes_out_total"),
    plain("cache_hint_hits", "http_cache_hint_hits_total").http(),
];

/// What a sample of a process metric shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The fact's number.
    Number,
    /// 1, and the fact's text as this label.
    Label(&'static str),
    /// 1, and the release of the interfaces as the label `version`.
    Version,
    /// 1, and the description as the label `desc`; no sample without one.
    Description,
}

/// One metric of the process.
pub struct ProcessMetric {
    /// Its name behind `haproxy_process_`.
    pub name: &'static str,
    /// Its type.
    pub type_name: &'static str,
    /// What it shows.
    pub fact: Fact,
    field: usize,
}

impl ProcessMetric {
    /// The fact of `show info` it shows.
    pub fn field(&self) -> &'static info::Field {
        &info::TABLE[self.field]
    }
}

const fn gauge(field: &'static str, name: &'static str) -> ProcessMetric {
    ProcessMetric { name, type_name: "gauge", fact: Fact::Number, field: info::index(field) }
}

const fn counter(field: &'static str, name: &'static str) -> ProcessMetric {
    ProcessMetric { type_name: "counter", ..gauge(field, name) }
}

const fn labelled(field: &'static str, name: &'static str, fact: Fact) -> ProcessMetric {
    ProcessMetric { fact, ..gauge(field, name) }
}

/// Metrics of the process.
pub static PROCESS: &[ProcessMetric] = &[
    gauge("Nbthread", "nbthread"),
    gauge("Nbproc", "nbproc"),
    gauge("Process_num", "relative_process_id"),
    gauge("Uptime_sec", "uptime_seconds"),
    counter("PoolFailed", "pool_failures_total"),
    gauge("Ulimit-n", "max_fds"),
    gauge("Maxsock", "max_sockets"),
    gauge("Maxconn", "max_connections"),
    gauge("Hard_maxconn", "hard_max_connections"),
    gauge("CurrConns", "current_connections"),
    counter("CumConns", "connections_total"),
    counter("CumReq", "requests_total"),
    gauge("MaxSslConns", "max_ssl_connections"),
    gauge("CurrSslConns", "current_ssl_connections"),
    counter("CumSslConns", "ssl_connections_total"),
    gauge("Maxpipes", "max_pipes"),
    counter("PipesUsed", "pipes_used_total"),
    counter("PipesFree", "pipes_free_total"),
    gauge("ConnRate", "current_connection_rate"),
    gauge("ConnRateLimit", "limit_connection_rate"),
    gauge("MaxConnRate", "max_connection_rate"),
    gauge("SessRate", "current_session_rate"),
    gauge("SessRateLimit", "limit_session_rate"),
    gauge("MaxSessRate", "max_session_rate"),
    gauge("SslRate", "current_ssl_rate"),
    gauge("SslRateLimit", "limit_ssl_rate"),
    gauge("MaxSslRate", "max_ssl_rate"),
    gauge("SslFrontendKeyRate", "current_frontend_ssl_key_rate"),
    gauge("SslFrontendMaxKeyRate", "max_frontend_ssl_key_rate"),
    gauge("SslFrontendSessionReuse_pct", "frontend_ssl_reuse"),
    gauge("SslBackendKeyRate", "current_backend_ssl_key_rate"),
    gauge("SslBackendMaxKeyRate", "max_backend_ssl_key_rate"),
    counter("SslCacheLookups", "ssl_cache_lookups_total"),
    counter("SslCacheMisses", "ssl_cache_misses_total"),
    counter("CompressBpsIn", "http_comp_bytes_in_total"),
    counter("CompressBpsOut", "http_comp_bytes_out_total"),
    gauge("CompressBpsRateLim", "limit_http_comp"),
    gauge("ZlibMemUsage", "current_zlib_memory"),
    gauge("MaxZlibMemUsage", "max_zlib_memory"),
    gauge("Tasks", "current_tasks"),
    gauge("Run_queue", "current_run_queue"),
    gauge("Idle_pct", "idle_time_percent"),
    labelled("node", "node", Fact::Label("node")),
    labelled("description", "description", Fact::Description),
    gauge("Stopping", "stopping"),
    gauge("Jobs", "jobs"),
    gauge("Unstoppable Jobs", "unstoppable_jobs"),
    gauge("Listeners", "listeners"),
    gauge("ActivePeers", "active_peers"),
    gauge("ConnectedPeers", "connected_peers"),
    counter("DroppedLogs", "dropped_logs_total"),
    gauge("BusyPolling", "busy_polling_enabled"),
    counter("FailedResolutions", "failed_resolutions"),
    counter("TotalBytesOut", "bytes_out_total"),
    counter("TotalSplicedBytesOut", "spliced_bytes_out_total"),
    gauge("BytesOutRate", "bytes_out_rate"),
    counter("CumRecvLogs", "recv_logs_total"),
    labelled("Build info", "build_info", Fact::Version),
    gauge("Memmax_bytes", "max_memory_bytes"),
    gauge("PoolAlloc_bytes", "pool_allocated_bytes"),
    gauge("PoolUsed_bytes", "pool_used_bytes"),
    gauge("Start_time_sec", "start_time_seconds"),
    counter("TotalWarnings", "total_warnings"),
    gauge("PatternsAdded", "patterns_added_total"),
    gauge("PatternsFreed", "patterns_freed_total"),
    gauge("NbThreadGroups", "nb_thread_groups"),
];

/// One metric of stick tables.
pub struct TableMetric {
    /// Its name behind `haproxy_sticktable_`.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Finds its number.
    pub read: fn(&crate::state::Table) -> usize,
}

/// Metrics of stick tables, all of them gauges.
pub static TABLES: &[TableMetric] = &[
    TableMetric { name: "size", help: "Most entries of the stick table", read: |table| table.settings.size },
    TableMetric { name: "used", help: "Entries in the stick table now", read: |table| table.len() },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn is_name(name: &str) -> bool {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    }

    #[test]
    fn names_are_names_and_one_metric_stands_in_one_place() {
        for kind in [Kind::Frontend, Kind::Listener, Kind::Backend, Kind::Server] {
            let mut names: Vec<_> =
                OBJECTS.iter().filter(|metric| metric.is_on(kind)).map(|metric| metric.name).collect();
            names.dedup();
            let in_order = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), in_order, "{kind:?}: rows of one name follow each other");
        }
        let names = PROCESS.iter().map(|metric| metric.name).chain(OBJECTS.iter().map(|metric| metric.name));
        assert!(names.chain(TABLES.iter().map(|metric| metric.name)).all(is_name));
    }

    #[test]
    fn helps_stay_on_their_line_and_tell_the_unit() {
        let process = PROCESS.iter().map(|metric| (metric.name, metric.field().text));
        for (name, help) in process.chain(OBJECTS.iter().map(|metric| (metric.name, metric.help()))) {
            assert!(!help.is_empty() && !help.contains(['\n', '\\']), "{name}: {help}");
            assert!(!help.to_ascii_lowercase().contains("milliseconds"), "{name}: {help}");
        }
    }

    #[test]
    fn every_column_is_on_the_objects_of_its_metric() {
        for metric in OBJECTS {
            let on = metric.column().on;
            assert!(metric.on.chars().all(|letter| on.contains(letter)), "{}", metric.name);
        }
    }
}
