//! The columns of the statistics, in the order tools rely on (management manual, section 9.1).
//!
//! New columns go to the end only: tools address them by position.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

use super::field::{Column, Kind, Tags, Value};
use super::status::{check_label, is_active, is_enabled};
use super::subject::{Of, ServerFacts, Subject, shown_weight};
use crate::model::bind::BindAddress;
use crate::model::{Mode, server::Observe};
use crate::state::proxy::{be, fe};
use crate::state::server::{CheckReport, Endpoint, Operational, admin, counter};

type Read = for<'a> fn(&'a Subject<'a>) -> Value<'a>;

/// A column whose value belongs to this process run.
const fn col(
    name: &'static str,
    tags: &'static str,
    on: &'static str,
    text: &'static str,
    read: Read,
) -> Column {
    Column { name, tags: Tags(tags), persistent: false, on, text, read }
}

/// A column whose value may outlive the process (a shared counter in HAProxy's words).
const fn kept(
    name: &'static str,
    tags: &'static str,
    on: &'static str,
    text: &'static str,
    read: Read,
) -> Column {
    Column { name, tags: Tags(tags), persistent: true, on, text, read }
}

/// The three letters of a column for a kind of object: a backend's counts of servers are metrics
/// where a server's own are its status, and its highest rate is a plain gauge.
pub fn tags(column: &Column, kind: Kind) -> Tags {
    match (column.name, kind) {
        ("act" | "bck" | "rate_max", Kind::Backend) => Tags("MGP"),
        _ => column.tags,
    }
}

/// Every column.
#[rustfmt::skip]
pub static TABLE: &[Column] = &[
    col("pxname", "KNS", "LFBS", "Name of the proxy", |s| Value::text(&*s.proxy.name)),
    col("svname", "KNS", "LFBS", "Name of the server or listener, or FRONTEND, or BACKEND", |s| Value::Text(s.name())),
    col("qcur", "MGP", "BS", "Requests waiting in the queue now", |s| gauge(match &s.of { Of::Server(f) => f.state.queue.len(), _ => s.proxy.state.queue.len() })),
    col("qmax", "MMP", "BS", "Most requests that waited at once", |s| highest(s, NONE, be::QUEUE_MAX, counter::QUEUE_MAX)),
    col("scur", "MGP", "LFBS", "Sessions in progress now", |s| match &s.of {
        Of::Frontend => gauge(s.proxy.state.frontend_current.load(Relaxed)),
        Of::Listener(_) if s.proxy.binds.len() == 1 => gauge(s.proxy.state.frontend_current.load(Relaxed)),
        Of::Listener(_) => Value::Empty,
        Of::Server(f) => gauge(f.state.served.load(Relaxed)),
        Of::Backend(_) => gauge(s.proxy.state.backend_current.load(Relaxed)),
    }),
    col("smax", "MMP", "LFBS", "Most sessions at once", |s| highest(s, fe::SESSIONS_MAX, be::SESSIONS_MAX, counter::SESSIONS_MAX)),
    col("slim", "CLP", "LFBS", "Limit of sessions: maxconn, or fullconn of a backend", |s| match &s.of {
        Of::Frontend => Value::U32(s.view.frontend_limit(s.proxy)),
        Of::Listener(bind) => Value::U32(bind.maxconn),
        Of::Backend(_) => Value::U32(s.view.fullconn(s.proxy)),
        Of::Server(f) => unless_zero(f.state.maxconn.load(Relaxed)),
    }),
    kept("stot", "MCP", "LFBS", "Sessions so far", |s| total(s, fe::SESSIONS, be::SESSIONS, counter::SESSIONS)),
    kept("bin", "MCP", "LFBS", "Bytes of requests so far", |s| total(s, fe::BYTES_IN, be::BYTES_IN, counter::BYTES_IN)),
    kept("bout", "MCP", "LFBS", "Bytes of responses so far", |s| total(s, fe::BYTES_OUT, be::BYTES_OUT, counter::BYTES_OUT)),
    kept("dreq", "MCP", "LFB", "Requests denied by rules", |s| total(s, fe::DENIED_REQUESTS, be::DENIED_REQUESTS, NONE)),
    kept("dresp", "MCP", "LFBS", "Responses denied by rules", |s| total(s, fe::DENIED_RESPONSES, be::DENIED_RESPONSES, counter::DENIED_RESPONSES)),
    kept("ereq", "MCP", "LF", "Requests that were invalid, aborted early or timed out", |s| total(s, fe::FAILED_REQUESTS, NONE, NONE)),
    kept("econ", "MCP", "BS", "Connections to servers that failed", |s| total(s, NONE, be::FAILED_CONNECTS, counter::FAILED_CONNECTS)),
    kept("eresp", "MCP", "BS", "Responses that were invalid or broken off", |s| total(s, NONE, be::FAILED_RESPONSES, counter::FAILED_RESPONSES)),
    kept("wretr", "MCP", "BS", "Connections that were tried again", |s| total(s, NONE, be::RETRIES, counter::RETRIES)),
    kept("wredis", "MCP", "BS", "Requests sent to another server after failures", |s| total(s, NONE, be::REDISPATCHES, counter::REDISPATCHES)),
    col("status", "SGP", "LFBS", "Status: OPEN, FULL, PAUSED, STOP, UP, DOWN, NOLB, DRAIN, MAINT, no check", |s| Value::Text(s.status())),
    col("weight", "MaP", "BS", "Effective weight, or the sum over usable servers", |s| match &s.of {
        Of::Server(f) => Value::U32(shown_weight(f.state)),
        Of::Backend(f) => Value::U32(f.weight),
        _ => Value::Empty,
    }),
    col("act", "SGP", "BS", "Active servers: those usable, or whether this one is active", |s| match &s.of {
        Of::Server(f) => Value::U32(u32::from(!is_backup(f))),
        Of::Backend(f) => Value::U32(f.active),
        _ => Value::Empty,
    }),
    col("bck", "SGP", "BS", "Backup servers: those usable, or whether this one is a backup", |s| match &s.of {
        Of::Server(f) => Value::U32(u32::from(is_backup(f))),
        Of::Backend(f) => Value::U32(f.backup),
        _ => Value::Empty,
    }),
    kept("chkfail", "MCP", "S", "Checks that failed while the server was up", |s| checked(s, |f| Value::U64(f.state.failed_checks.load(Relaxed)))),
    kept("chkdown", "MCP", "BS", "Transitions from up to down", |s| match &s.of {
        Of::Server(_) => checked(s, |f| Value::U64(f.state.down_transitions.load(Relaxed))),
        _ => Value::U64(s.proxy.state.down_transitions.load(Relaxed)),
    }),
    kept("lastchg", "MAP", "BS", "Seconds since the last change of state", |s| Value::U32(s.view.age(match &s.of {
        Of::Server(f) => f.state.last_change_s.load(Relaxed),
        _ => s.proxy.state.last_change_s.load(Relaxed),
    }))),
    col("downtime", "MCP", "BS", "Seconds spent down", |s| match &s.of {
        Of::Server(_) => checked(s, |f| {
            let is_down = f.state.operational() == Operational::Stopped;
            down_time(s, is_down, f.state.down_time_s.load(Relaxed), f.state.last_change_s.load(Relaxed))
        }),
        Of::Backend(f) if f.servers > 0 => {
            let state = &s.proxy.state;
            down_time(s, f.weight == 0, state.down_time_s.load(Relaxed), state.last_change_s.load(Relaxed))
        }
        _ => Value::Empty,
    }),
    col("qlimit", "CGS", "S", "Most requests that may wait for the server (maxqueue)", |s| of_server(s, |f| unless_zero(f.config.map_or(0, |server| server.maxqueue)))),
    col("pid", "KGP", "LFBS", "Number of the process, always 1", |_| Value::U32(1)),
    col("iid", "KGS", "LFBS", "Number of the proxy (id)", |s| Value::U32(s.proxy.id)),
    col("sid", "KGS", "LFBS", "Number of the server or listener (id)", |s| Value::U32(s.number())),
    col("throttle", "MaP", "S", "Share of its weight a warming server has, in percent", |s| of_server(s, |f| {
        let is_warming = f.state.operational() == Operational::Starting && f.state.admin() & admin::DRAIN == 0;
        if is_warming { Value::U32(u32::from(f.state.throttle_percent.load(Relaxed))) } else { Value::Empty }
    })),
    kept("lbtot", "MCP", "BS", "Times a server was chosen by balancing", |s| total(s, NONE, be::LBTOT, counter::LBTOT)),
    col("tracked", "CNS", "S", "The server whose state this one follows", |s| of_server(s, |f| match f.config.and_then(|server| server.track.as_ref()) {
        Some(other) => Value::text(format!("{}/{}", other.backend, other.name)),
        None => Value::Empty,
    })),
    col("type", "CGS", "LFBS", "Kind of object: 0 frontend, 1 backend, 2 server, 3 listener", |s| Value::U32(s.kind() as u32)),
    kept("rate", "MRP", "FBS", "Sessions over the last second", |s| rate(s, |rate, now| rate.read(now))),
    col("rate_lim", "CLP", "F", "Limit of new sessions per second", |s| Value::U32(s.proxy.rate_limit_sessions)),
    col("rate_max", "MMP", "FBS", "Most sessions in one second", |s| rate(s, |rate, _| rate.max())),
    col("check_status", "MOP", "S", "Result of the last health check; * while the next one runs", |s| of_server(s, |f| label(&f.check))),
    col("check_code", "MOP", "S", "Layer 5 to 7 code of the last health check", |s| of_server(s, |f| code(&f.check))),
    col("check_duration", "MDP", "S", "Duration of the last health check in milliseconds", |s| of_server(s, |f| duration(&f.check))),
    kept("hrsp_1xx", "MCP", "FBS", "Responses with status 100 to 199", |s| http(s, 0)),
    kept("hrsp_2xx", "MCP", "FBS", "Responses with status 200 to 299", |s| http(s, 1)),
    kept("hrsp_3xx", "MCP", "FBS", "Responses with status 300 to 399", |s| http(s, 2)),
    kept("hrsp_4xx", "MCP", "FBS", "Responses with status 400 to 499", |s| http(s, 3)),
    kept("hrsp_5xx", "MCP", "FBS", "Responses with status 500 to 599", |s| http(s, 4)),
    kept("hrsp_other", "MCP", "FBS", "Responses with any other status", |s| http(s, 5)),
    kept("hanafail", "MCP", "S", "Checks failed by what traffic showed (observe)", |s| of_server(s, |f| {
        let observes = f.config.is_some_and(|server| server.observe != Observe::None);
        if observes { Value::U64(f.state.failed_hana.load(Relaxed)) } else { Value::Empty }
    })),
    kept("req_rate", "MRP", "F", "Requests over the last second", |s| Value::U32(s.proxy.state.frontend_request_rate.read(s.view.now.millis()))),
    col("req_rate_max", "MMP", "F", "Most requests in one second", |s| Value::U32(s.proxy.state.frontend_request_rate.max())),
    kept("req_tot", "MCP", "FBS", "Requests so far", |s| {
        let value = total(s, fe::REQUESTS, be::REQUESTS, counter::REQUESTS);
        // A frontend in TCP mode may upgrade to HTTP, and says 0 until then.
        if s.kind() == Kind::Frontend { value } else { when_http(s, value) }
    }),
    kept("cli_abrt", "MCP", "BS", "Transfers broken off by the client", |s| total(s, NONE, be::CLIENT_ABORTS, counter::CLIENT_ABORTS)),
    kept("srv_abrt", "MCP", "BS", "Transfers broken off by the server", |s| total(s, NONE, be::SERVER_ABORTS, counter::SERVER_ABORTS)),
    kept("comp_in", "MCP", "FB", "Response bytes given to the compressor", |_| Value::U64(0)),
    kept("comp_out", "MCP", "FB", "Response bytes the compressor made", |_| Value::U64(0)),
    kept("comp_byp", "MCP", "FB", "Response bytes that went past the compressor", |_| Value::U64(0)),
    kept("comp_rsp", "MCP", "FB", "Responses compressed", |_| Value::U64(0)),
    kept("lastsess", "MAP", "BS", "Seconds since the last session; -1 before the first", |s| {
        let second = match &s.of {
            Of::Server(f) => f.state.last_session_s.load(Relaxed),
            _ => s.proxy.state.last_session_s.load(Relaxed),
        };
        Value::S32(if second < 0 { -1 } else { s.view.now.wall_secs().saturating_sub(second as u64) as i32 })
    }),
    col("last_chk", "MOP", "S", "What the last health check reported", |s| of_server(s, |f| info(&f.check))),
    col("last_agt", "MOP", "S", "What the last agent check reported", |s| of_server(s, |f| info(&f.agent))),
    col("qtime", "MaP", "BS", "Milliseconds in the queue, on average", |s| average(s, be::QTIME_SUM, counter::QTIME_SUM)),
    col("ctime", "MaP", "BS", "Milliseconds to connect, on average", |s| average(s, be::CTIME_SUM, counter::CTIME_SUM)),
    col("rtime", "MaP", "BS", "Milliseconds to the response, on average", |s| average(s, be::RTIME_SUM, counter::RTIME_SUM)),
    col("ttime", "MaP", "BS", "Milliseconds in all, on average", |s| average(s, be::TTIME_SUM, counter::TTIME_SUM)),
    col("agent_status", "MOP", "S", "Result of the last agent check; * while the next one runs", |s| of_server(s, |f| label(&f.agent))),
    col("agent_code", "MOP", "S", "Code of the last agent check", |s| of_server(s, |f| code(&f.agent))),
    col("agent_duration", "MDP", "S", "Duration of the last agent check in milliseconds", |s| of_server(s, |f| duration(&f.agent))),
    col("check_desc", "MOP", "S", "The result of the last health check in words", |s| of_server(s, |f| description(&f.check))),
    col("agent_desc", "MOP", "S", "The result of the last agent check in words", |s| of_server(s, |f| description(&f.agent))),
    col("check_rise", "CGS", "S", "Passed health checks that bring the server up", |s| of_server(s, |f| when_active(&f.check, f.deciding.rise))),
    col("check_fall", "CGS", "S", "Failed health checks that bring the server down", |s| of_server(s, |f| when_active(&f.check, f.deciding.fall))),
    col("check_health", "CGS", "S", "Where the health check stands between down and up", |s| of_server(s, |f| when_active(&f.check, f.deciding.health))),
    col("agent_rise", "CGS", "S", "Passed agent checks that bring the server up", |s| of_server(s, |f| when_active(&f.agent, f.agent.rise))),
    col("agent_fall", "CGS", "S", "Failed agent checks that bring the server down", |s| of_server(s, |f| when_active(&f.agent, f.agent.fall))),
    col("agent_health", "CGS", "S", "Where the agent check stands between down and up", |s| of_server(s, |f| when_active(&f.agent, f.agent.health))),
    col("addr", "CGS", "LS", "Address and port (shown to operators and with show-legends)", |s| match &s.of {
        _ if !s.view.legends => Value::Empty,
        Of::Listener(bind) => listener_address(&bind.address),
        Of::Server(f) => endpoint_text(&f.endpoint),
        _ => Value::Empty,
    }),
    col("cookie", "CNS", "BS", "Cookie name of the backend or value of the server (shown as addr is)", |s| match &s.of {
        _ if !s.view.legends => Value::Empty,
        Of::Server(f) => f.config.and_then(|server| server.cookie.as_deref()).map_or(Value::Empty, Value::text),
        _ => s.proxy.cookie.as_ref().map_or(Value::Empty, |cookie| Value::text(&*cookie.name)),
    }),
    col("mode", "CGS", "LFBS", "Mode of the proxy: tcp or http", |s| Value::text(if is_http(s) { "http" } else { "tcp" })),
    col("algo", "CGS", "B", "Balancing algorithm (shown as addr is)", |s| if s.view.legends { Value::text(s.proxy.balance_name) } else { Value::Empty }),
    kept("conn_rate", "MRP", "F", "Connections over the last second", |s| Value::U32(s.proxy.state.frontend_connection_rate.read(s.view.now.millis()))),
    col("conn_rate_max", "MMP", "F", "Most connections in one second", |s| Value::U32(s.proxy.state.frontend_connection_rate.max())),
    kept("conn_tot", "MCP", "LF", "Connections so far", |s| total(s, fe::CONNECTIONS, NONE, NONE)),
    kept("intercepted", "MCP", "F", "Requests answered here (redirects, statistics, services)", |s| when_http(s, total(s, fe::INTERCEPTED, NONE, NONE))),
    kept("dcon", "MCP", "LF", "Connections denied by tcp-request connection rules", |s| total(s, fe::DENIED_CONNECTIONS, NONE, NONE)),
    kept("dses", "MCP", "LF", "Sessions denied by tcp-request session rules", |s| total(s, fe::DENIED_SESSIONS, NONE, NONE)),
    kept("wrew", "MCP", "LFBS", "Header rewrites that failed", |s| total(s, fe::FAILED_REWRITES, be::FAILED_REWRITES, counter::FAILED_REWRITES)),
    kept("connect", "MCP", "BS", "Connections tried to servers", |s| total(s, NONE, be::CONNECT, counter::CONNECT)),
    kept("reuse", "MCP", "BS", "Times an idle connection was used again", |s| total(s, NONE, be::REUSE, counter::REUSE)),
    kept("cache_lookups", "MCP", "FB", "Requests looked up in the cache", |s| when_http(s, Value::U64(0))),
    kept("cache_hits", "MCP", "FB", "Requests answered from the cache", |s| when_http(s, Value::U64(0))),
    col("srv_icur", "MGP", "S", "Idle connections kept to the server", |s| of_server(s, |f| gauge(f.state.idle.load(Relaxed)))),
    // The name lost a letter long ago and tools know it so.
    col("src_ilim", "CLP", "S", "Most idle connections kept (pool-max-conn)", |s| of_server(s, |f| match f.config.map(|server| server.pool_max_conn) {
        Some(limit) if limit >= 0 => Value::U32(limit as u32),
        _ => Value::Empty,
    })),
    col("qtime_max", "MMP", "BS", "Most milliseconds in the queue", |s| highest(s, NONE, be::QTIME_MAX, counter::QTIME_MAX)),
    col("ctime_max", "MMP", "BS", "Most milliseconds to connect", |s| highest(s, NONE, be::CTIME_MAX, counter::CTIME_MAX)),
    col("rtime_max", "MMP", "BS", "Most milliseconds to the response", |s| highest(s, NONE, be::RTIME_MAX, counter::RTIME_MAX)),
    col("ttime_max", "MMP", "BS", "Most milliseconds in all", |s| highest(s, NONE, be::TTIME_MAX, counter::TTIME_MAX)),
    kept("eint", "MCP", "LFBS", "Internal errors", |s| total(s, fe::INTERNAL_ERRORS, be::INTERNAL_ERRORS, counter::INTERNAL_ERRORS)),
    col("idle_conn_cur", "MGP", "S", "Idle connections not proven safe to reuse; none are kept here", |_| Value::U32(0)),
    col("safe_conn_cur", "MGP", "S", "Idle connections safe to reuse", |s| of_server(s, |f| gauge(f.state.idle.load(Relaxed)))),
    col("used_conn_cur", "MGP", "S", "Connections in use", |s| of_server(s, |f| gauge(f.state.served.load(Relaxed)))),
    col("need_conn_est", "MGP", "S", "Connections thought to be needed: those in use", |s| of_server(s, |f| gauge(f.state.served.load(Relaxed)))),
    col("uweight", "MaP", "BS", "Weight as set by the user, or the sum over usable servers", |s| match &s.of {
        Of::Server(f) => Value::U32(f.state.user_weight()),
        Of::Backend(f) => Value::U32(f.user_weight),
        _ => Value::Empty,
    }),
    col("agg_server_status", "MGP", "B", "Used by the Prometheus exporter only", |_| Value::U32(0)),
    col("agg_server_check_status", "MGP", "B", "Used by the Prometheus exporter only", |_| Value::U32(0)),
    col("agg_check_status", "MGP", "B", "Used by the Prometheus exporter only", |_| Value::U32(0)),
    col("srid", "MCP", "S", "Revision of the server's number", |_| Value::U32(0)),
    col("sess_other", "MCP", "F", "Sessions other than HTTP", |s| if is_http(s) { Value::U64(0) } else { total(s, fe::SESSIONS, NONE, NONE) }),
    kept("h1sess", "MCP", "F", "HTTP/1 sessions", |s| if is_http(s) { total(s, fe::SESSIONS, NONE, NONE) } else { Value::U64(0) }),
    kept("h2sess", "MCP", "F", "HTTP/2 sessions", |_| Value::U64(0)),
    kept("h3sess", "MCP", "F", "HTTP/3 sessions", |_| Value::U64(0)),
    kept("req_other", "MCP", "F", "Requests other than HTTP", |_| Value::U64(0)),
    kept("h1req", "MCP", "F", "HTTP/1 requests", |s| total(s, fe::REQUESTS, NONE, NONE)),
    kept("h2req", "MCP", "F", "HTTP/2 requests", |_| Value::U64(0)),
    kept("h3req", "MCP", "F", "HTTP/3 requests", |_| Value::U64(0)),
    col("proto", "SGP", "L", "Protocol of the listener", |s| match &s.of {
        Of::Listener(bind) => Value::text(match &bind.address {
            BindAddress::Inet(address) if address.is_ipv6() => "tcpv6",
            BindAddress::Inet(_) | BindAddress::Fd(_) => "tcpv4",
            BindAddress::Unix(_) | BindAddress::Abstract(_) => "unix_stream",
        }),
        _ => Value::Empty,
    }),
    col("priv_idle_cur", "MGP", "S", "Idle connections that belong to one client; none are kept here", |_| Value::U32(0)),
    kept("reqbin", "MCP", "LFBS", "Request bytes received", |s| total(s, fe::BYTES_IN, be::BYTES_IN, counter::BYTES_IN)),
    kept("reqbout", "MCP", "LFBS", "Request bytes sent", |s| total(s, fe::REQ_BYTES_OUT, be::REQ_BYTES_OUT, counter::REQ_BYTES_OUT)),
    kept("resbin", "MCP", "LFBS", "Response bytes received", |s| total(s, fe::RES_BYTES_IN, be::RES_BYTES_IN, counter::RES_BYTES_IN)),
    kept("resbout", "MCP", "LFBS", "Response bytes sent", |s| total(s, fe::BYTES_OUT, be::BYTES_OUT, counter::BYTES_OUT)),
    kept("cache_hint_hits", "MCP", "FB", "Early hints sent from the cache", |s| when_http(s, Value::U64(0))),
];

/// The place of the column called `name`.
pub fn position(name: &str) -> Option<usize> {
    TABLE.iter().position(|column| column.name == name)
}

/// The place of a column known to be there; evaluated while compiling, where a slip is an error.
pub const fn index(name: &str) -> usize {
    let mut at = 0;
    while at < TABLE.len() {
        if is_same(TABLE[at].name.as_bytes(), name.as_bytes()) {
            return at;
        }
        at += 1;
    }
    panic!("no such column")
}

/// Whether two names are equal; `==` cannot be evaluated while compiling.
pub(super) const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    a.len() == b.len() && at == a.len()
}

/// Marks an object that has no such counter.
const NONE: usize = usize::MAX;

/// One status of checks from which on a layer 5 to 7 code is there (management manual, section 9.1).
const STATUS_WITH_CODE: u8 = 14;
/// The first status that stands for a finished check.
const STATUS_FINISHED: u8 = 3;

fn gauge<'a>(number: u32) -> Value<'a> {
    Value::U32(number)
}

fn unless_zero<'a>(number: u32) -> Value<'a> {
    if number == 0 { Value::Empty } else { Value::U32(number) }
}

/// A counter by its place on each kind of object. A frontend's only listener has counted all that
/// the frontend has; several listeners are not told apart, so theirs stay empty.
fn total<'a>(s: &Subject<'_>, frontend: usize, backend: usize, server: usize) -> Value<'a> {
    match &s.of {
        Of::Frontend => Value::U64(s.proxy.state.frontend.sum(frontend)),
        Of::Listener(_) if s.proxy.binds.len() == 1 => Value::U64(s.proxy.state.frontend.sum(frontend)),
        Of::Listener(_) => Value::Empty,
        Of::Backend(_) => Value::U64(s.proxy.state.backend.sum(backend)),
        Of::Server(f) => Value::U64(f.state.counters.sum(server)),
    }
}

/// A maximum by its place on each kind of object.
fn highest<'a>(s: &Subject<'_>, frontend: usize, backend: usize, server: usize) -> Value<'a> {
    let value = match &s.of {
        Of::Frontend => s.proxy.state.frontend.max(frontend),
        Of::Listener(_) if s.proxy.binds.len() == 1 => s.proxy.state.frontend.max(frontend),
        Of::Listener(_) => return Value::Empty,
        Of::Backend(_) => s.proxy.state.backend.max(backend),
        Of::Server(f) => f.state.counters.max(server),
    };
    Value::U32(value as u32)
}

/// Responses by the first digit of their status.
fn http<'a>(s: &Subject<'_>, class: usize) -> Value<'a> {
    when_http(s, total(s, fe::HRSP_1XX + class, be::HRSP_1XX + class, counter::HRSP_1XX + class))
}

fn is_http(s: &Subject<'_>) -> bool {
    s.proxy.mode == Mode::Http
}

fn when_http<'a>(s: &Subject<'_>, value: Value<'a>) -> Value<'a> {
    if is_http(s) { value } else { Value::Empty }
}

fn of_server<'a>(s: &'a Subject<'a>, read: impl FnOnce(&'a ServerFacts<'a>) -> Value<'a>) -> Value<'a> {
    match &s.of {
        Of::Server(facts) => read(facts),
        _ => Value::Empty,
    }
}

/// A value that only servers with a health check have.
fn checked<'a>(s: &'a Subject<'a>, read: impl FnOnce(&'a ServerFacts<'a>) -> Value<'a>) -> Value<'a> {
    of_server(s, |facts| if is_enabled(&facts.check) { read(facts) } else { Value::Empty })
}

fn is_backup(facts: &ServerFacts<'_>) -> bool {
    facts.config.is_some_and(|server| server.backup)
}

fn down_time<'a>(s: &Subject<'_>, is_down: bool, so_far: u64, since: u64) -> Value<'a> {
    let now = if is_down { u64::from(s.view.age(since)) } else { 0 };
    Value::U32((so_far + now) as u32)
}

fn rate<'a>(s: &Subject<'_>, read: impl Fn(&crate::base::rate::Rate, u64) -> u32) -> Value<'a> {
    let now = s.view.now.millis();
    Value::U32(match &s.of {
        Of::Server(f) => read(&f.state.session_rate, now),
        Of::Backend(_) => read(&s.proxy.state.backend_session_rate, now),
        _ => read(&s.proxy.state.frontend_session_rate, now),
    })
}

/// A time on average over all requests, or sessions in TCP mode. (HAProxy weighs the last 1024;
/// a sum per core needs no shared write on the data path.)
fn average<'a>(s: &Subject<'_>, backend: usize, server: usize) -> Value<'a> {
    let (sum, count) = match &s.of {
        Of::Server(f) => {
            let field = if is_http(s) { counter::REQUESTS } else { counter::LBTOT };
            (f.state.counters.sum(server), f.state.counters.sum(field))
        }
        _ => {
            let field = if is_http(s) { be::REQUESTS } else { be::LBTOT };
            (s.proxy.state.backend.sum(backend), s.proxy.state.backend.sum(field))
        }
    };
    Value::U32(sum.checked_div(count).unwrap_or(0) as u32)
}

fn label<'a>(check: &CheckReport) -> Value<'a> {
    if is_active(check) { Value::Text(check_label(check)) } else { Value::Empty }
}

fn code<'a>(check: &CheckReport) -> Value<'a> {
    let has_code = is_active(check) && check.status >= STATUS_WITH_CODE;
    if has_code { Value::U32(check.code.unwrap_or(0)) } else { Value::Empty }
}

fn duration<'a>(check: &CheckReport) -> Value<'a> {
    let is_over = is_active(check) && check.status >= STATUS_FINISHED;
    if is_over { Value::U64(check.duration_ms.unwrap_or(0)) } else { Value::Empty }
}

fn description<'a>(check: &CheckReport) -> Value<'a> {
    match check.description {
        _ if !is_active(check) => Value::Empty,
        "" => Value::text("Initializing"),
        text => Value::text(text),
    }
}

fn info(check: &CheckReport) -> Value<'_> {
    if is_active(check) { Value::text(check.info.as_str()) } else { Value::Empty }
}

fn when_active<'a>(check: &CheckReport, number: i32) -> Value<'a> {
    if is_active(check) { Value::U32(number.max(0) as u32) } else { Value::Empty }
}

fn listener_address<'a>(address: &BindAddress) -> Value<'a> {
    match address {
        BindAddress::Inet(address) => Value::text(address.to_string()),
        BindAddress::Unix(_) | BindAddress::Abstract(_) => Value::text("unix"),
        BindAddress::Fd(_) => Value::Empty,
    }
}

fn endpoint_text<'a>(endpoint: &Endpoint) -> Value<'a> {
    let text: Cow<'static, str> = match endpoint {
        Endpoint::Inet { address, .. } => address.to_string().into(),
        Endpoint::Unix(_) => "unix".into(),
        Endpoint::Unresolved { .. } => return Value::Empty,
    };
    Value::Text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_positions() {
        assert_eq!(TABLE.len(), 119);
        for (name, expected) in [
            ("pxname", 0),
            ("status", 17),
            ("check_status", 36),
            ("hrsp_1xx", 39),
            ("addr", 73),
            ("src_ilim", 89),
            ("uweight", 99),
            ("cache_hint_hits", 118),
        ] {
            assert_eq!(position(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn every_column_is_tagged_and_described() {
        for column in TABLE {
            let (origin, nature, scope) = column.tags.words();
            assert!([origin, nature, scope].iter().all(|word| *word != "Unknown"), "{}", column.name);
            assert!(!column.text.is_empty() && !column.on.is_empty(), "{}", column.name);
        }
    }
}
