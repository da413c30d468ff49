//! Proxies, servers and listeners with nothing but defaults. Tests set what they are about.

use std::collections::HashMap;
use std::sync::Arc;

#[cfg(test)]
use super::bind::CliLevel;
use super::proxy::{HttpReuse, Options, RetryOn, SavedState, Section, Timeouts};
#[cfg(test)]
use super::server::{Observe, OnError};
#[cfg(test)]
use super::{Bind, BindAddress, Global, Server, Shared};
use super::{Mode, Proxy};
#[cfg(test)]
use crate::base::id::ModelId;
use crate::base::id::ProxyIndex;
use crate::diag::Span;
use crate::state::ProxyState;
#[cfg(test)]
use crate::state::server::Configured;
#[cfg(test)]
use crate::state::{Registry, ServerState};

#[cfg(test)]
impl Shared {
    /// Nothing but live objects.
    pub fn bare(registry: Arc<Registry>) -> Shared {
        Shared {
            ident: ModelId::next(),
            global: Global::default(),
            frontends: HashMap::new(),
            registry,
            rings: HashMap::new(),
            resolvers: Vec::new(),
            userlists: HashMap::new(),
            http_errors: HashMap::new(),
            certificates: Default::default(),
            maker: None,
            references: Default::default(),
            acls: Vec::new(),
        }
    }
}

impl Proxy {
    /// A proxy in HTTP mode that is neither side.
    pub fn bare(state: Arc<ProxyState>) -> Proxy {
        let section = Section {
            name: (&*state.name).into(),
            id: 2,
            id_forced: false,
            index: 0,
            span: Span::NONE,
            state,
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
            balance: Default::default(),
            balance_key: Default::default(),
            balance_name: "roundrobin",
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
            saved_state: SavedState::None,
            send_name_header: None,
            source: None,
            use_source: None,
            source_interface: None,

            hash_preserve_affinity: Default::default(),
            stick_request: Vec::new(),
            stick_response: Vec::new(),
            table: None,
            guid: None,
            is_unpublished: false,
            force_switch: Vec::new(),
            base: None,
        };
        Proxy::new(section, Vec::new())
    }
    /// What stands at the place of a backend that was deleted.
    pub fn vacant(index: ProxyIndex) -> Proxy {
        let mut proxy = Proxy::bare(Arc::new(ProxyState::new("", 1)));
        proxy.id = 0;
        proxy.index = index;
        proxy.disabled = true;
        proxy
    }
    /// Adds a server.
    #[cfg(test)]
    pub fn push(&mut self, server: impl Into<Arc<Server>>) {
        self.servers.push(server.into());
        self.server_idents = self.servers.iter().map(|server| server.state.ident).collect();
    }
}

#[cfg(test)]
impl Server {
    /// A server that is not checked and has no limits.
    pub fn bare(state: Arc<ServerState>) -> Server {
        Server {
            name: state.name.clone(),
            id: 1,
            id_forced: false,
            span: Span::NONE,
            state,
            configured: Arc::new(Configured::default()),
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
            keeps_last_address: false,
            pool_purge_delay_ms: 5000,
            max_reuse: -1,
            non_stick: false,
            proxy_header: None,
            tcp_fast_open: false,
            tcp_user_timeout_ms: None,
            hash_key: Default::default(),
            hostname: None,
            resolution: None,
            disabled: false,
            tls: None,
            guid: None,
        }
    }
}

#[cfg(test)]
impl Bind {
    /// A line with an address alone.
    pub fn bare(address: BindAddress) -> Bind {
        Bind {
            address,
            span: Span::NONE,
            name: None,
            id: 1,
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
            protocol: None,
            idle_ping_ms: None,
            threads: Vec::new(),
            unix_mode: None,
            unix_uid: None,
            unix_gid: None,
            level: CliLevel::default(),
            expose_fd: false,
            tls: None,
        }
    }
}
