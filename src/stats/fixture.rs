//! A small model for tests: frontend `fe`, backend `be` with servers `s1` and `s2` (a backup).

use std::collections::HashMap;
use std::sync::Arc;

use crate::balance;
use crate::diag::Span;
use crate::model::bind::{Bind, BindAddress, CliLevel};
use crate::model::proxy::{BalanceKey, HttpReuse, Mode, Options, Proxy, RetryOn, StatsPage, Timeouts};
use crate::model::server::{Observe, OnError};
use crate::model::{Global, Model, Server};
use crate::state::Registry;
use crate::state::server::Endpoint;

/// A `server` line with the address `127.0.0.1:port`.
pub fn server(registry: &Registry, backend: &str, name: &str, id: u32, backup: bool) -> Arc<Server> {
    let (state, _) = registry.server(backend, name);
    state.id.store(id, std::sync::atomic::Ordering::Relaxed);
    let address = ([127, 0, 0, 1], 8000 + id as u16).into();
    state.endpoint.store(Arc::new(Endpoint::Inet { address, port_offset: None }));
    Arc::new(Server {
        name: name.into(),
        id,
        id_forced: false,
        span: Span::NONE,
        state,
        backup,
        cookie: None,
        maxconn: 0,
        minconn: 0,
        maxqueue: 0,
        slowstart_ms: 0,
        source: None,
        use_source: None,
        source_interface: None,
        redirect_prefix: None,
        check: None,
        agent: None,
        track: None,
        observe: Observe::None,
        error_limit: 10,
        on_error: OnError::default(),
        shutdown_sessions_on_down: false,
        shutdown_backup_sessions_on_up: false,

        pool_max_conn: -1,
        pool_low_conn: 0,
        strict_maxconn: false,
        pool_purge_delay_ms: 5000,
        max_reuse: -1,
        non_stick: false,
        proxy_header: None,
        tcp_fast_open: false,
        tcp_user_timeout_ms: None,
        hash_key: None,
        hostname: None,
        disabled: false,
    })
}

/// An HTTP proxy.
pub fn proxy(registry: &Registry, name: &str, id: u32, index: u32) -> Proxy {
    Proxy {
        name: name.into(),
        id,
        id_forced: false,
        index,
        span: Span::NONE,
        state: registry.proxy(name),
        is_frontend: false,
        is_backend: false,
        mode: Mode::Http,
        disabled: false,
        description: None,
        timeouts: Timeouts::default(),
        options: Options::default(),
        maxconn: 0,
        fullconn: None,
        backlog: None,
        rate_limit_sessions: 0,
        binds: Vec::new(),
        default_backend: None,
        default_backend_name: None,
        use_backend: Vec::new(),
        use_server: Vec::new(),
        tcp_connection: Vec::new(),
        tcp_session: Vec::new(),
        tcp_content: Vec::new(),
        tcp_inspect_delay_ms: None,
        tcp_response: Vec::new(),
        tcp_response_inspect_delay_ms: None,
        http_request: Vec::new(),
        http_response: Vec::new(),
        http_after_response: Vec::new(),
        redirects: Vec::new(),
        balance: balance::Settings::default(),
        balance_key: BalanceKey::None,
        balance_name: "roundrobin",
        servers: Vec::new(),
        cookie: None,
        persist_rdp_cookie: None,
        force_persist: Vec::new(),
        ignore_persist: Vec::new(),
        retries: 3,
        redispatch_after: 0,
        retry_on: RetryOn::default(),
        http_reuse: HttpReuse::default(),
        log: Arc::new([]),
        log_tag: None,
        log_format: None,
        log_format_sd: None,
        error_log_format: None,
        unique_id_format: None,
        unique_id_header: None,
        request_captures: Vec::new(),
        response_captures: Vec::new(),
        cookie_capture: None,
        monitor_uri: None,
        monitor_fail: Vec::new(),
        stats: None,
        error_pages: HashMap::new(),
        send_name_header: None,
        source: None,
        use_source: None,
        source_interface: None,

        hash_preserve_affinity: Default::default(),
        stick_request: Vec::new(),
        stick_response: Vec::new(),
        table: None,
    }
}

/// A TCP listening address.
pub fn bind(port: u16, id: u32) -> Bind {
    Bind {
        address: BindAddress::Inet(([127, 0, 0, 1], port).into()),
        span: Span::NONE,
        name: None,
        id,
        maxconn: 0,
        backlog: None,
        accept_proxy: false,
        v6only: None,
        transparent: false,
        interface: None,
        tcp_fast_open: false,
        defer_accept: false,
        tcp_user_timeout_ms: None,
        mss: None,
        threads: Vec::new(),
        unix_mode: None,
        unix_uid: None,
        unix_gid: None,
        level: CliLevel::Operator,
        expose_fd: false,
    }
}

/// The page at `/stats`, without authentication.
pub fn page() -> StatsPage {
    StatsPage {
        uri: "/stats".into(),
        realm: None,
        users: Vec::new(),
        refresh_s: None,
        hide_version: true,
        show_legends: false,
        show_node: None,
        show_description: None,
        show_modules: false,
        scope: Vec::new(),
        admin: Vec::new(),
        rules: Vec::new(),
    }
}

/// The model.
pub fn model() -> Model {
    let registry = Registry::new(1);
    let mut frontend = proxy(&registry, "fe", 2, 0);
    frontend.is_frontend = true;
    frontend.default_backend = Some(1);
    frontend.maxconn = 200;
    frontend.binds = vec![bind(8080, 1)];
    let mut backend = proxy(&registry, "be", 3, 1);
    backend.is_backend = true;
    backend.servers = vec![server(&registry, "be", "s1", 1, false), server(&registry, "be", "s2", 2, true)];
    let states = backend.servers.iter().map(|server| server.state.clone()).collect();
    backend.state.servers.store(Arc::new(states));
    Model {
        global: Global { stats_timeout_ms: 10_000, stats_maxconn: 10, ..Global::default() },
        proxies: vec![Arc::new(frontend), Arc::new(backend)],
        frontends: [("fe".to_owned(), 0)].into(),
        backends: [("be".to_owned(), 1)].into(),
        registry,
        rings: HashMap::new(),
        userlists: HashMap::new(),
        http_errors: HashMap::new(),
        acls: Vec::new(),
    }
}
