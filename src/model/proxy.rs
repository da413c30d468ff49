//! Frontends, backends and listens (manual, section 4).

use std::any::Any;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::{Bind, Server};
use crate::balance;
use crate::base::clock;
use crate::base::id::{ProxyIndex, ServerId, ServerIndex};
use crate::diag::Span;
use crate::log::target::Targets;
use crate::rules::Rule;
use crate::rules::redirect::Redirect;
use crate::rules::reply::ReplySpec;
use crate::sample::{Condition, Expr, LogFormat};
use crate::state::proxy::{Configured, side};
use crate::state::{ProxyState, Table};

/// `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Mode {
    #[default]
    Tcp,
    Http,
}

/// One proxy. A `listen` is both sides in one.
#[derive(Debug)]
pub struct Proxy {
    section: Arc<Section>,
    /// `server` lines in order, then servers that were added while running.
    pub servers: Vec<Arc<Server>>,
    /// Their identities in the same order, for queues.
    pub server_idents: Arc<[ServerId]>,
}

impl Deref for Proxy {
    type Target = Section;

    fn deref(&self) -> &Section {
        &self.section
    }
}

impl DerefMut for Proxy {
    /// While a model is built, nobody else has its sections.
    fn deref_mut(&mut self) -> &mut Section {
        Arc::get_mut(&mut self.section).expect("the section of one proxy only")
    }
}

/// All that is said of a proxy but its servers: models that differ in servers have it in common.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: Arc<str>,
    /// Its number, forced by `id` or counted from 2.
    pub id: u32,
    /// Whether `id` forced it.
    pub id_forced: bool,
    /// Its place in the model.
    pub index: ProxyIndex,
    /// The line of its section.
    pub span: Span,
    /// Its live state.
    pub state: Arc<ProxyState>,
    /// It accepts connections (`frontend`, `listen`).
    pub is_frontend: bool,
    /// It has servers (`backend`, `listen`).
    pub is_backend: bool,
    /// `mode`.
    pub mode: Mode,
    /// `disabled`.
    pub disabled: bool,
    /// `description`.
    pub description: Option<String>,
    /// `timeout` lines.
    pub timeouts: Timeouts,
    /// `option` lines.
    pub options: Options,
    /// `maxconn`; 0 takes the process's.
    pub maxconn: u32,
    /// `fullconn`; `None` is a tenth of the frontends' maxconn that may use it.
    pub fullconn: Option<u32>,
    /// `backlog`.
    pub backlog: Option<u32>,
    /// `rate-limit sessions`; 0 is no limit.
    pub rate_limit_sessions: u32,
    /// `bind` lines, one per address.
    pub binds: Vec<Bind>,
    /// `default_backend`.
    pub default_backend: Option<ProxyIndex>,
    /// Its name.
    pub default_backend_name: Option<Box<str>>,
    /// `use_backend` lines in order.
    pub use_backend: Vec<UseBackend>,
    /// `use-server` lines in order.
    pub use_server: Vec<UseServer>,
    /// `tcp-request connection`.
    pub tcp_connection: Vec<Rule>,
    /// `tcp-request session`.
    pub tcp_session: Vec<Rule>,
    /// `tcp-request content`.
    pub tcp_content: Vec<Rule>,
    /// `tcp-request inspect-delay`, in milliseconds.
    pub tcp_inspect_delay_ms: Option<u64>,
    /// `tcp-response content`.
    pub tcp_response: Vec<Rule>,
    /// `tcp-response inspect-delay`, in milliseconds.
    pub tcp_response_inspect_delay_ms: Option<u64>,
    /// `http-request`.
    pub http_request: Vec<Rule>,
    /// `http-response`.
    pub http_response: Vec<Rule>,
    /// `http-after-response`.
    pub http_after_response: Vec<Rule>,
    /// `redirect` lines, which run after `http-request` ones.
    pub redirects: Vec<(Redirect, Option<Condition>)>,
    /// `balance` and `hash-type`.
    pub balance: balance::Settings,
    /// What a hashing algorithm hashes.
    pub balance_key: BalanceKey,
    /// The name of the algorithm for statistics (`roundrobin`, `hdr`, ...).
    pub balance_name: &'static str,
    /// `cookie`.
    pub cookie: Option<Cookie>,
    /// `persist rdp-cookie`.
    pub persist_rdp_cookie: Option<Box<str>>,
    /// `force-persist`, `ignore-persist` conditions.
    pub force_persist: Vec<Condition>,
    /// See `force_persist`.
    pub ignore_persist: Vec<Condition>,
    /// `retries` (3 by default).
    pub retries: u32,
    /// `option redispatch [N]`: 0 is off; N > 0: every Nth retry; -1 (the default with the option): the last one.
    pub redispatch_after: i32,
    /// `retry-on`.
    pub retry_on: RetryOn,
    /// `http-reuse`.
    pub http_reuse: HttpReuse,
    /// `log` lines with `log global` resolved.
    pub log: Targets,
    /// `log-tag`.
    pub log_tag: Option<Arc<str>>,
    /// What is logged at the end of a session; `None`: the connect message, if there are targets.
    pub log_format: Option<LogFormat>,
    /// `log-format-sd`.
    pub log_format_sd: Option<LogFormat>,
    /// `error-log-format`.
    pub error_log_format: Option<LogFormat>,
    /// `unique-id-format`.
    pub unique_id_format: Option<LogFormat>,
    /// `unique-id-header`.
    pub unique_id_header: Option<Box<str>>,
    /// `capture request header`: name and length per slot; the rest of the slots belong to rules.
    pub request_captures: Vec<Capture>,
    /// `capture response header`.
    pub response_captures: Vec<Capture>,
    /// `capture cookie`.
    pub cookie_capture: Option<CookieCapture>,
    /// `load-server-state-from-file`
    pub saved_state: SavedState,
    /// `http-send-name-header`.
    pub send_name_header: Option<Box<str>>,
    /// `monitor-uri`.
    pub monitor_uri: Option<Box<str>>,
    /// `monitor fail` conditions.
    pub monitor_fail: Vec<Condition>,
    /// `stats` lines: the page.
    pub stats: Option<Arc<StatsPage>>,
    /// `errorfile`, `errorloc*`, `http-error`: answers by status.
    pub error_pages: HashMap<u16, Arc<ErrorPage>>,
    /// `source` of a backend.
    pub source: Option<super::server::SourceAddress>,
    /// `source ... usesrc`: whose address the server sees.
    pub use_source: Option<super::server::UseSource>,
    /// `source ... interface`.
    pub source_interface: Option<Arc<str>>,
    /// `hash-preserve-affinity`.
    pub hash_preserve_affinity: balance::Affinity,
    /// `stick match`, `stick on` and `stick store-request` in order.
    pub stick_request: Vec<StickRule>,
    /// `stick store-response` in order.
    pub stick_response: Vec<StickRule>,
    /// `stick-table`
    pub table: Option<Arc<Table>>,
    /// `guid`
    pub guid: Option<Box<str>>,
    /// `be-unpublished`
    pub is_unpublished: bool,
    /// `force-be-switch` conditions.
    pub force_switch: Vec<Condition>,
    /// What [`super::maker::Maker`] keeps of a backend that was added while running.
    pub base: Option<Arc<dyn Any + Send + Sync>>,
}

impl Proxy {
    /// A section with its servers.
    pub fn new(section: Section, servers: Vec<Arc<Server>>) -> Proxy {
        Proxy::of(Arc::new(section), servers)
    }
    fn of(section: Arc<Section>, servers: Vec<Arc<Server>>) -> Proxy {
        let server_idents = servers.iter().map(|server| server.state.ident).collect();
        Proxy { section, servers, server_idents }
    }
    /// The same proxy with other servers.
    pub fn with_servers(&self, servers: Vec<Arc<Server>>) -> Proxy {
        Proxy::of(self.section.clone(), servers)
    }
    /// Its server of that identity, and the server's place.
    pub fn server(&self, ident: ServerId) -> Option<(ServerIndex, &Arc<Server>)> {
        let at = self.server_idents.iter().position(|known| *known == ident)?;
        Some((at as ServerIndex, &self.servers[at]))
    }
    /// Makes the live proxy what this one says it is.
    pub fn adopt(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        let now_s = clock::cached().wall_secs();
        if self.state.id.swap(self.id, Relaxed) == 0 {
            self.state.last_change_s.store(now_s, Relaxed);
        }
        let sides = [(self.is_frontend, side::FRONTEND), (self.is_backend, side::BACKEND)];
        let sides = sides.into_iter().filter(|(has, _)| *has).fold(0, |sides, (_, side)| sides | side);
        self.state.sides.store(sides, Relaxed);
        self.state.maxconn.store(self.maxconn, Relaxed);
        let timeouts = &self.timeouts;
        // What the runtime API has said since stays, unless the configuration says something else now.
        if self.state.configured.load().is_unpublished != self.is_unpublished {
            self.state.is_unpublished.store(self.is_unpublished, Relaxed);
        }
        self.state.configured.store(Arc::new(Configured {
            client_timeout_ms: timeouts.client_ms,
            server_timeout_ms: timeouts.server_ms,
            connect_timeout_ms: timeouts.connect_ms,
            // Without time-outs of their own, both wait as long as a connection may take.
            queue_timeout_ms: timeouts.queue_ms.or(timeouts.connect_ms),
            tarpit_timeout_ms: timeouts.tarpit_ms.or(timeouts.connect_ms),
            tunnel_timeout_ms: timeouts.tunnel_ms,
            retries: self.retries,
            default_backend: self.default_backend_name.clone(),
            is_unpublished: self.is_unpublished,
        }));
        self.state.all_backups.store(self.balance.all_backups, Relaxed);
        for server in &self.servers {
            if !server.state.is_configured() {
                server.state.last_change_s.store(now_s, Relaxed);
            }
            server.state.adopt(&server.configured);
        }
        self.adopt_servers();
    }
    /// Makes the live proxy's list of servers the one of this proxy.
    pub fn adopt_servers(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        self.state.moving_limits.store(self.servers.iter().any(|server| server.minconn > 0), Relaxed);
        self.state.servers.store(Arc::new(self.servers.iter().map(|server| server.state.clone()).collect()));
        self.state.touch();
    }
}

/// `timeout` lines, in milliseconds; `None` is none.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Timeouts {
    pub client_ms: Option<u64>,
    pub client_hs_ms: Option<u64>,
    pub server_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub queue_ms: Option<u64>,
    pub http_request_ms: Option<u64>,
    /// `timeout client 0` was written: no default takes its place.
    pub client_unlimited: bool,
    /// The same for `timeout http-request 0`.
    pub http_request_unlimited: bool,
    pub http_keep_alive_ms: Option<u64>,
    pub check_ms: Option<u64>,
    pub tunnel_ms: Option<u64>,
    pub tarpit_ms: Option<u64>,
    pub client_fin_ms: Option<u64>,
    pub server_fin_ms: Option<u64>,
}

/// How connections live on after a response (`option httpclose` and its kin).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConnectionMode {
    #[default]
    KeepAlive,
    ServerClose,
    Close,
}

/// `option` lines.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Options {
    pub connection_mode: ConnectionMode,
    pub forwardfor: Option<ForwardFor>,
    pub originalto: Option<ForwardFor>,
    /// On unless `no option abortonclose` (HTTP mode).
    pub abortonclose: bool,
    pub httplog: bool,
    pub tcplog: bool,
    pub dontlognull: bool,
    pub dontlog_normal: bool,
    pub logasap: bool,
    pub log_separate_errors: bool,
    pub log_health_checks: bool,
    pub http_buffer_request: bool,
    pub http_ignore_probes: bool,
    pub accept_unsafe_request: bool,
    pub accept_unsafe_response: bool,
    pub persist: bool,
    pub prefer_last_server: bool,
    pub nolinger: bool,
    pub socket_stats: bool,
    pub splice_auto: bool,
    pub splice_request: bool,
    pub splice_response: bool,
    pub clitcpka: bool,
    pub srvtcpka: bool,
    pub http_pretend_keepalive: bool,
    pub idle_close_on_response: bool,
    pub forwarded: Option<Arc<Forwarded>>,
    pub drop_request_trailers: bool,
    pub drop_response_trailers: bool,
    pub adjust_case_client: bool,
    pub adjust_case_server: bool,
    pub independent_streams: bool,
    /// `disable-h2-upgrade`
    pub disable_h2_upgrade: bool,
    pub checkcache: bool,
    pub transparent: bool,
    pub http_restrict_names: RestrictNames,
    pub clitcpka_cnt: Option<u32>,
    pub clitcpka_idle_s: Option<u32>,
    pub clitcpka_intvl_s: Option<u32>,
    pub srvtcpka_cnt: Option<u32>,
    pub srvtcpka_idle_s: Option<u32>,
    pub srvtcpka_intvl_s: Option<u32>,
}

/// `option http-restrict-req-hdr-names`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RestrictNames {
    #[default]
    Preserve,
    Delete,
    Reject,
}

/// `option forwardfor` and `option originalto`.
#[derive(Clone, Debug)]
pub struct ForwardFor {
    /// The field's name.
    pub header: Box<str>,
    /// `except`: network and prefix length.
    pub except: Option<(std::net::IpAddr, u8)>,
    /// `if-none`.
    pub if_none: bool,
}

/// `option forwarded`.
#[derive(Debug)]
pub struct Forwarded {
    /// `proto`: how the client speaks.
    pub proto: bool,
    /// `host`, `host-expr`.
    pub host: ForwardedPart,
    /// `by` and `by_port` with their expressions.
    pub by: ForwardedNode,
    /// `for` and `for_port` with their expressions.
    pub of: ForwardedNode,
}

/// A node of `option forwarded`; a port counts only beside a name.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct ForwardedNode {
    pub name: ForwardedPart,
    pub port: ForwardedPart,
}

/// Where a part of `option forwarded` comes from.
#[derive(Debug, Default)]
pub enum ForwardedPart {
    /// It is left out.
    #[default]
    None,
    /// From the request and its connection.
    Own,
    /// From an expression.
    Expr(Expr),
}

/// One `use_backend` line.
#[derive(Debug)]
pub struct UseBackend {
    /// Which backend.
    pub target: BackendTarget,
    /// When; `None` is always.
    pub condition: Option<Condition>,
    /// Where it stands.
    pub span: Span,
}

/// A backend by name or by an expression that yields its name.
#[derive(Debug)]
pub enum BackendTarget {
    /// Known at load.
    Static(ProxyIndex),
    /// `%[...]`: looked up per request; an unknown name ends the list, and the default backend takes over.
    Dynamic(LogFormat),
}

/// A `stick` rule: what it takes of a request or a response leads to a server.
#[derive(Debug)]
pub struct StickRule {
    /// What is taken.
    pub key: Expr,
    /// Where it is looked up or kept.
    pub table: Arc<Table>,
    /// The entry's server is used (`match`, `on`).
    pub matches: bool,
    /// The server is remembered (`store-request`, `store-response`, `on`).
    pub stores: bool,
    /// When.
    pub condition: Option<Condition>,
}

/// One `use-server` line.
#[derive(Debug)]
pub struct UseServer {
    /// The server, or a format that yields its name.
    pub target: ServerTarget,
    /// When.
    pub condition: Option<Condition>,
}

/// A server by identity or by name.
#[derive(Debug)]
pub enum ServerTarget {
    /// Known at load; by its identity, since places move when servers are deleted.
    Static(ServerId),
    /// Looked up per request.
    Dynamic(LogFormat),
}

/// What a hashing algorithm hashes.
#[derive(Debug, Default)]
pub enum BalanceKey {
    /// Nothing: the algorithm does not hash.
    #[default]
    None,
    /// `source`.
    Source,
    /// `uri [whole] [len n] [depth n] [path-only]`.
    Uri {
        /// Include the query.
        whole: bool,
        /// The most bytes; 0 is all.
        len: usize,
        /// The most directories; 0 is all.
        depth: usize,
        /// Leave scheme and authority out.
        path_only: bool,
    },
    /// `url_param name [check_post]`.
    UrlParam {
        /// The parameter.
        name: Box<str>,
        /// Look into the body of a POST too.
        check_post: bool,
    },
    /// `hdr(name) [use_domain_only]`.
    Header {
        /// The field.
        name: Box<str>,
        /// Hash the domain's main part only.
        domain_only: bool,
    },
    /// `rdp-cookie(name)`.
    RdpCookie(Box<str>),
    /// `hash <expr>`.
    Expr(Expr),
}

/// `cookie`.
#[derive(Clone, Debug)]
pub struct Cookie {
    /// Its name.
    pub name: Box<str>,
    /// `rewrite`, `insert`, `prefix`; none of them is passive.
    pub mode: CookieMode,
    /// `indirect`.
    pub indirect: bool,
    /// `nocache`.
    pub nocache: bool,
    /// `postonly`.
    pub postonly: bool,
    /// `preserve`.
    pub preserve: bool,
    /// `httponly`.
    pub httponly: bool,
    /// `secure`.
    pub secure: bool,
    /// `domain` values.
    pub domains: Vec<Box<str>>,
    /// `maxidle`, in seconds.
    pub maxidle_s: Option<u64>,
    /// `maxlife`, in seconds.
    pub maxlife_s: Option<u64>,
    /// `attr` values.
    pub attributes: Vec<Box<str>>,
    /// `dynamic`, with `dynamic-cookie-key`.
    pub dynamic_key: Option<Box<str>>,
}

/// How the cookie is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CookieMode {
    #[default]
    Passive,
    Insert,
    Rewrite,
    Prefix,
}

/// `retry-on`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct RetryOn {
    pub conn_failure: bool,
    pub empty_response: bool,
    pub junk_response: bool,
    pub response_timeout: bool,
    pub statuses: Vec<u16>,
}

impl Default for RetryOn {
    fn default() -> Self {
        RetryOn {
            conn_failure: true,
            empty_response: false,
            junk_response: false,
            response_timeout: false,
            statuses: Vec::new(),
        }
    }
}

/// `http-reuse`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HttpReuse {
    Never,
    #[default]
    Safe,
    Aggressive,
    Always,
}

/// A capture slot.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The field's name; `None` for a slot declared for rules (`declare capture`, `http-request capture`).
    pub name: Option<Box<str>>,
    /// The most bytes kept.
    pub len: usize,
}

/// `capture cookie`.
#[derive(Clone, Debug)]
pub struct CookieCapture {
    /// The cookie's name, or its beginning.
    pub name: Box<str>,
    /// `name` is a beginning (no `=` after it).
    pub is_prefix: bool,
    /// The most bytes kept.
    pub len: usize,
}

/// The statistics page of a proxy.
#[derive(Debug)]
pub struct StatsPage {
    /// `stats uri` (`/haproxy?stats` by default): a beginning of the request target.
    pub uri: Box<str>,
    /// `stats realm`.
    pub realm: Option<Box<str>>,
    /// `stats auth`: user and password pairs.
    pub users: Vec<(Box<str>, Box<str>)>,
    /// `stats refresh`, in seconds.
    pub refresh_s: Option<u64>,
    /// `stats hide-version` (the default since 3.4; `show-version` undoes it).
    pub hide_version: bool,
    /// `stats show-legends`.
    pub show_legends: bool,
    /// `stats show-node`.
    pub show_node: Option<Box<str>>,
    /// `stats show-desc`.
    pub show_description: Option<Box<str>>,
    /// `stats show-modules`.
    pub show_modules: bool,
    /// `stats scope` names; empty is all; `.` is the proxy itself.
    pub scope: Vec<Box<str>>,
    /// `stats admin` conditions: one that holds allows actions.
    pub admin: Vec<Condition>,
    /// `stats http-request` rules.
    pub rules: Vec<Rule>,
}

/// An answer configured for a status.
#[derive(Debug)]
pub enum ErrorPage {
    /// `errorfile`: the raw bytes of a whole response; empty closes without one.
    File(Arc<[u8]>),
    /// `errorloc302`, `errorloc303`: a redirection.
    Location {
        /// 302 or 303.
        code: u16,
        /// The target.
        location: Box<str>,
    },
    /// `http-error` with an answer made per request.
    Reply(Box<ReplySpec>),
}

/// Where the state of a backend's servers comes from at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SavedState {
    /// Nowhere.
    #[default]
    None,
    /// The file of `server-state-file`.
    Global,
    /// A file of the backend's own.
    Local(Box<str>),
}
