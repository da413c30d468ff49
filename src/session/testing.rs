//! Models small enough for the tests of this module.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diag::Span;
use crate::model::proxy::{HttpReuse, Options, RetryOn, Timeouts};
use crate::model::server::{Observe, OnError};
use crate::model::{Mode, Model, Proxy, Server};
use crate::rules::testing::parsing;
use crate::sample::expr::Phase;
use crate::sample::facts::{Direction, ProcessFacts};
use crate::sample::vars::Vars;
use crate::sample::{Condition, Context, Expr, LogFormat, SessionFacts, TransactionFacts};
use crate::state::{ProxyState, ServerState};

/// A proxy that is both sides, in HTTP mode, without anything else.
pub fn proxy(name: &str) -> Proxy {
    Proxy {
        name: name.into(),
        id: 2,
        id_forced: false,
        index: 0,
        span: Span::NONE,
        state: Arc::new(ProxyState::new(name, 1)),
        is_frontend: true,
        is_backend: true,
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
        balance: Default::default(),
        balance_key: Default::default(),
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

/// A running server.
pub fn server(backend: &str, name: &str) -> Server {
    Server {
        name: name.into(),
        id: 1,
        id_forced: false,
        span: Span::NONE,
        state: Arc::new(ServerState::new(backend, name, 1)),
        backup: false,
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
        observe: Observe::default(),
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
    }
}

/// A model without proxies.
pub fn model() -> Model {
    Model {
        global: Default::default(),
        proxies: Vec::new(),
        frontends: HashMap::new(),
        backends: HashMap::new(),
        registry: crate::state::Registry::new(1),
        rings: HashMap::new(),
        userlists: HashMap::new(),
        http_errors: HashMap::new(),
        acls: Vec::new(),
    }
}

/// What expressions see of a GET of `target`.
pub fn with_context<T>(target: &str, look: impl FnOnce(&Context<'_>) -> T) -> T {
    let mut txn = TransactionFacts { has_request: true, ..TransactionFacts::default() };
    txn.request.set_target(target.as_bytes());
    let (session, process) = (session(), ProcessFacts::default());
    look(&Context {
        session: Some(&session),
        txn: &txn,
        direction: Direction::Request,
        now: Default::default(),
        process: &process,
        check_vars: None,
    })
}

/// A condition: the words from `if` on.
pub fn condition(text: &str) -> Condition {
    let words: Vec<&str> = text.split(' ').collect();
    let (condition, told) = parsing(|context| {
        context.phase = Phase::Switching;
        Condition::parse(&words, Span::NONE, context)
    });
    condition.unwrap_or_else(|| panic!("{text}: {told:?}"))
}

/// A format.
pub fn format(text: &str) -> LogFormat {
    let (format, told) = parsing(|context| {
        context.phase = Phase::Switching;
        LogFormat::parse(text, Span::NONE, context)
    });
    format.unwrap_or_else(|| panic!("{text}: {told:?}"))
}

/// An expression.
pub fn expr(text: &str) -> Expr {
    let (expr, told) = parsing(|context| {
        context.phase = Phase::Switching;
        Expr::parse(text, Span::NONE, context)
    });
    expr.unwrap_or_else(|| panic!("{text}: {told:?}"))
}

/// A session from 192.0.2.1:4000 to 192.0.2.2:80.
pub fn session() -> SessionFacts {
    SessionFacts {
        number: 1,
        frontend: Arc::new(ProxyState::new("fe", 1)),
        is_http: true,
        listener_id: 1,
        listener_name: None,
        source: Some(([192, 0, 2, 1], 4000).into()),
        destination: Some(([192, 0, 2, 2], 80).into()),
        connection: None,
        handshake_ms: 0,
        accepted: Default::default(),
        requests: 1,
        vars: Vars::default(),
        bytes_in: 0,
        bytes_out: 0,
        transport: Default::default(),
        tracked: None,
    }
}
