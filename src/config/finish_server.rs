//! A `server` line -> the model's server: TLS for traffic and for checks, limits, what may change while running.

use std::sync::Arc;

use super::draft::Draft;
use super::loading::Loading;
use super::section::server::{HashKey, InitAddr, ServerDraft};
use crate::balance;
use crate::health::config::CheckScript;
use crate::health::{self, CheckTls, ServerCheck};
use crate::model::server::{Resolution, ServerTls, TlsName};
use crate::model::{Mode, Server};
use crate::sample::Expr;
use crate::sample::acl::AclSet;
use crate::sample::expr::Phase;
use crate::sample::proxy_header::ProxyHeader;
use crate::state::ServerState;
use crate::state::server::Configured;

/// How a server is spoken to by TLS, if it is.
pub(super) fn tls(line: &ServerDraft, draft: &Draft, loading: &mut Loading<'_>) -> Option<ServerTls> {
    let settings = &line.settings.tls;
    if settings.ssl.is_none() && settings.check_ssl.is_none() {
        super::tls::look_at_authorities(&settings.options, line.span, loading);
    }
    let span = settings.ssl?;
    let is_http = draft.mode == Mode::Http;
    let owner = format!("server {}/{}", draft.name, line.name);
    let connector = super::tls::connector(settings, &owner, is_http, span, loading)?;
    let name = match &settings.name {
        Some(word) => {
            let none = AclSet::default();
            let mut context = loading.context(Phase::Switching, Some(&draft.name), &none);
            TlsName::Expr(Expr::parse(&word.text, word.span, &mut context)?)
        }
        None if is_http && !settings.no_name_of_host => TlsName::Host,
        None => TlsName::None,
    };
    Some(ServerTls { connector, name })
}

/// TLS in the checks of a server, if it may be spoken there.
pub(super) fn check_tls(
    line: &ServerDraft,
    tls: Option<&ServerTls>,
    draft: &Draft,
    script: &CheckScript,
    loading: &mut Loading<'_>,
) -> Option<Arc<CheckTls>> {
    let (settings, check) = (&line.settings.tls, &line.settings.check);
    let own_place = check.port.is_some() || check.addr.is_some();
    let is_default = settings.check_ssl.is_some() || (tls.is_some() && !own_place && !settings.plain_checks);
    if !line.settings.checked || !(is_default || script.speaks_tls()) {
        return None;
    }
    let protocols = script.tls_protocols().and_then(|text| crate::tls::options::protocols(&text).ok());
    let protocols = protocols.or_else(|| settings.check_protocols.clone());
    let connector = match (tls, protocols) {
        (Some(tls), None) => tls.connector.clone(),
        (_, protocols) => {
            let mut settings = settings.clone();
            settings.options.protocols = protocols.or(settings.options.protocols);
            let owner = format!("server {}/{}", draft.name, line.name);
            super::tls::connector(&settings, &owner, script.is_http(), line.span, loading)?
        }
    };
    let name = settings.check_name.clone();
    let takes_host = !settings.no_check_name_of_host;
    Some(Arc::new(CheckTls { connector, is_default, name, takes_host }))
}

/// Parts of a server that are made apart.
pub(super) struct ServerParts {
    pub(super) id: u32,
    pub(super) state: Arc<ServerState>,
    pub(super) track: Option<Arc<ServerState>>,
    pub(super) resolution: Option<Arc<Resolution>>,
    pub(super) proxy_header: Option<Arc<ProxyHeader>>,
    pub(super) tls: Option<ServerTls>,
    /// It is added while running.
    pub(super) added: bool,
}

/// Makes a server of its line and its parts.
pub(super) fn server(line: ServerDraft, parts: ServerParts, draft: &Draft, script: &CheckScript) -> Server {
    let ServerParts { id, state, track, resolution, proxy_header, tls, added } = parts;
    let settings = line.settings;
    let times = |check: ServerCheck| ServerCheck {
        timeout_check_ms: draft.timeouts.check_ms,
        timeout_connect_ms: draft.timeouts.connect_ms,
        ..check
    };
    let thresholds = |check: &ServerCheck| (check.rise, check.fall);
    // `minconn` alone, or not below `maxconn`, is a fixed limit (manual, section 5.2 "minconn").
    let (minconn, maxconn) = if settings.minconn >= settings.maxconn {
        (0, settings.minconn.max(settings.maxconn))
    } else {
        (settings.minconn, settings.maxconn)
    };
    // A server without an address or a GUID is placed by its number.
    let hash_key = match settings.hash_key {
        HashKey::Id => balance::HashKey::Id,
        HashKey::Id32 => balance::HashKey::Id32,
        HashKey::Addr => balance::HashKey::Addr,
        HashKey::AddrPort => balance::HashKey::AddrPort,
        HashKey::Guid => {
            settings.guid.as_deref().map_or_else(Default::default, |guid| balance::HashKey::Guid(guid.into()))
        }
    };
    let is_service = line.address.is_service();
    let configured = Arc::new(Configured {
        id,
        endpoint: line.address.endpoint.clone(),
        hostname: line.address.hostname.clone().filter(|_| !is_service),
        resolves: resolution.is_some(),
        weight: settings.weight,
        maxconn,
        minconn,
        maxqueue: settings.maxqueue,
        backup: settings.backup,
        disabled: settings.disabled,
        check: settings.checked.then(|| thresholds(&settings.check)),
        agent: settings.agent_check.then(|| thresholds(&settings.agent)),
        init_state: settings.init_state,
        added,
    });
    Server {
        name: line.name,
        id,
        id_forced: settings.id.is_some(),
        span: line.span,
        state,
        configured,
        keeps_last_address: settings.init_addr.first().is_none_or(|first| *first == InitAddr::Last),
        backup: settings.backup,
        cookie: settings.cookie,
        maxconn,
        minconn,
        maxqueue: settings.maxqueue,
        slowstart_ms: settings.slowstart_ms,
        source: settings.source.address,
        use_source: settings.source.shown.clone(),
        source_interface: settings.source.interface.clone(),
        redirect_prefix: settings.redirect_prefix,
        check: settings.checked.then(|| script.for_server(times(settings.check))),
        agent: settings.agent_check.then(|| health::config::agent(times(settings.agent))),
        track,
        observe: settings.observe,
        error_limit: settings.error_limit,
        on_error: settings.on_error,
        shutdown_sessions_on_down: settings.shutdown_sessions_on_down,
        shutdown_backup_sessions_on_up: settings.shutdown_backup_sessions_on_up,

        pool_max_conn: settings.pool_max_conn,
        pool_low_conn: settings.pool_low_conn,
        strict_maxconn: settings.strict_maxconn,
        pool_purge_delay_ms: settings.pool_purge_delay_ms,
        max_reuse: settings.max_reuse,
        non_stick: settings.non_stick,
        proxy_header,
        tcp_fast_open: settings.tcp_fast_open,
        tcp_user_timeout_ms: settings.tcp_user_timeout_ms,
        hash_key,
        guid: settings.guid,
        hostname: line.address.hostname.map(Into::into),
        resolution,
        disabled: settings.disabled,
        tls,
    }
}
