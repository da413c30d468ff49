//! Drafts -> model: names become places, formats are compiled, live objects are found or made.
//!
//! It runs when everything was read, since any line may name what comes after it.

use std::collections::HashMap;
use std::sync::Arc;

use super::audit;
use super::build::{Built, number};
use super::draft::{Draft, ErrorLine, FormatText, Kind, LogLine, TargetName};
use super::finish_server::{self, ServerParts};
use super::loading::Loading;
use super::section::bind::BindDraft;
use super::section::global;
use super::section::server::ServerSettings;
use super::section::{server_proxy_protocol, server_resolve};
use crate::balance;
use crate::base::id::{ModelId, ProxyIndex};
use crate::diag::Span;
use crate::health::config::CheckScript;
use crate::log::target::{Target, Targets};
use crate::model::bind::Bind;
use crate::model::proxy::*;
use crate::model::{Global, Mode, Model, Proxy, Server, Shared};
use crate::sample::LogFormat;
use crate::sample::acl::AclSet;
use crate::sample::expr::Phase;
use crate::state::ServerState;
use crate::tls::terminator::Terminator;

/// The first number of proxies: 1 is the runtime API's in statistics.
const FIRST_PROXY_ID: u32 = 2;

/// Every proxy by name, before any is built.
pub struct Names {
    /// Backend sides.
    pub backends: HashMap<String, ProxyIndex>,
    /// Frontend sides.
    pub frontends: HashMap<String, ProxyIndex>,
    /// What messages say of each proxy.
    pub facts: Vec<Facts>,
}

/// What others may ask of a proxy that is not built yet.
pub struct Facts {
    /// Its kind.
    pub kind: Kind,
    /// Its mode.
    pub mode: Mode,
    /// Its section.
    pub span: Span,
    /// Its servers: live state, whether health is known, which server each tracks.
    pub servers: Vec<ServerFacts>,
    /// Its servers by name.
    pub server_index: HashMap<Box<str>, u32>,
}

/// What others may ask of a server that is not built yet.
pub struct ServerFacts {
    /// Its live state.
    pub state: Arc<ServerState>,
    /// It has checks or an agent.
    pub is_checked: bool,
    /// The server that it tracks, as written.
    pub track: Option<Box<str>>,
}

/// What backends lend to servers that are added to them, by their names.
pub type Bases = HashMap<Box<str>, BackendBase>;

/// What a backend lends to servers that are added to it while running.
#[derive(Debug)]
pub struct BackendBase {
    /// Its line.
    pub span: Span,
    /// Its `timeout` lines.
    pub timeouts: Timeouts,
    /// `default-server`, without a name and with one.
    pub default_server: ServerSettings,
    /// Whether there is a line without a name.
    pub has_default_server: bool,
    /// See `default_server`.
    pub named: HashMap<Box<str>, ServerSettings>,
    /// The options of its servers, which others may begin with.
    pub servers: HashMap<Box<str>, ServerSettings>,
    /// How its servers are checked.
    pub script: CheckScript,
}

impl BackendBase {
    fn of(draft: &Draft, script: &CheckScript) -> BackendBase {
        let servers = draft.servers.iter();
        BackendBase {
            span: draft.span,
            timeouts: draft.timeouts.clone(),
            default_server: draft.default_server.clone(),
            has_default_server: draft.has_default_server,
            named: draft.named_default_servers.clone(),
            servers: servers.map(|line| (line.name.clone(), line.settings.clone())).collect(),
            script: script.clone(),
        }
    }
}

/// A backend that is added while running, at its place and with its number; its lines name no proxy of the model.
pub fn added(
    draft: Draft,
    (index, id): (ProxyIndex, u32),
    model: &Model,
    loading: &mut Loading<'_>,
) -> (Proxy, Option<BackendBase>) {
    let names = Names { backends: HashMap::new(), frontends: HashMap::new(), facts: Vec::new() };
    let made = proxy(draft, index, id, &model.global, &names, loading);
    audit::references_to(model, loading);
    made
}

/// Builds the model, and what is kept for additions to it.
pub fn finish(built: Built, loading: &mut Loading<'_>) -> (Model, Bases) {
    let mut global = global::finish(built.global, loading);
    global.environment = loading.environment.changes();
    loading.tls.store.set_base(loading.tls.crt_base.clone());
    let mut drafts = built.proxies;
    let ids = proxy_ids(&drafts, loading);
    let names = names(&drafts, loading);
    let rings: Vec<&str> = loading.rings.keys().map(String::as_str).collect();
    audit::rings(&global, &drafts, &rings.into_iter().map(str::to_owned).collect::<Vec<_>>(), loading);
    let mut bases = Bases::new();
    let proxies: Vec<Arc<Proxy>> = drafts
        .drain(..)
        .enumerate()
        .map(|(index, draft)| {
            let (proxy, base) = proxy(draft, index as ProxyIndex, ids[index], &global, &names, loading);
            bases.extend(base.map(|base| ((*proxy.name).into(), base)));
            Arc::new(proxy)
        })
        .collect();
    let references = audit::references(&names, loading);
    audit::shared_addresses(&proxies, loading);
    let shared = Shared {
        ident: ModelId::next(),
        global,
        frontends: names.frontends,
        registry: loading.registry.root().clone(),
        rings: std::mem::take(&mut loading.rings),
        resolvers: std::mem::take(&mut loading.resolvers),
        userlists: std::mem::take(&mut loading.named.userlists),
        http_errors: std::mem::take(&mut loading.http_errors),
        acls: std::mem::take(&mut loading.acls),
        certificates: loading.tls.store.clone(),
        maker: None,
        references,
    };
    (Model::new(shared, proxies, names.backends), bases)
}

fn proxy_ids(drafts: &[Draft], loading: &mut Loading<'_>) -> Vec<u32> {
    let mut first: HashMap<u32, usize> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let Some(id) = draft.id else { continue };
        let earlier = *first.entry(id).or_insert(index);
        if earlier != index {
            let other = &drafts[earlier];
            let message = format!(
                "{} {} reuses same custom id as {} {} (declared at {})",
                draft.kind.word(),
                draft.name,
                other.kind.word(),
                other.name,
                loading.place(other.span)
            );
            loading.report.alert(draft.span, message);
        }
    }
    number(&drafts.iter().map(|draft| draft.id).collect::<Vec<_>>(), FIRST_PROXY_ID)
}

fn names(drafts: &[Draft], loading: &mut Loading<'_>) -> Names {
    let mut names = Names {
        backends: HashMap::new(),
        frontends: HashMap::new(),
        facts: Vec::with_capacity(drafts.len()),
    };
    for (index, draft) in drafts.iter().enumerate() {
        let name = draft.name.to_string();
        if draft.kind.is_backend() {
            names.backends.entry(name.clone()).or_insert(index as ProxyIndex);
        }
        if draft.kind.is_frontend() {
            names.frontends.entry(name).or_insert(index as ProxyIndex);
        }
        let servers = draft.servers.iter().map(|server| ServerFacts {
            state: loading.registry.server(&draft.name, &server.name).0,
            is_checked: server.settings.checked || server.settings.agent_check,
            track: server.settings.track.as_ref().map(|(name, _)| name.clone()),
        });
        let server_index =
            draft.servers.iter().enumerate().map(|(at, server)| (server.name.clone(), at as u32)).collect();
        names.facts.push(Facts {
            kind: draft.kind,
            mode: draft.mode,
            span: draft.span,
            servers: servers.collect(),
            server_index,
        });
    }
    names
}

fn proxy(
    mut draft: Draft,
    index: ProxyIndex,
    id: u32,
    global: &Global,
    names: &Names,
    loading: &mut Loading<'_>,
) -> (Proxy, Option<BackendBase>) {
    loading.enter(draft.span);
    super::wire::rules(&mut draft, loading);
    let upgrades = audit::targets(&mut draft, index, names, loading);
    audit::proxy(&mut draft, global, upgrades, loading);
    let state = loading.registry.proxy(&draft.name);
    let kind = draft.kind;
    let (frontend, backend) = (kind.is_frontend(), kind.is_backend());
    let mut listener_id = 1;
    let mut binds = Vec::new();
    for bind in draft.binds.drain(..) {
        let is_http = draft.mode == Mode::Http;
        let settings = &bind.settings.tls;
        let tls = super::tls::terminator(settings, "bind", is_http, &[], loading);
        if settings.ssl.is_none() {
            super::tls::look_at_files(settings, bind.span, loading);
        }
        binds.extend(listeners(bind, tls, &mut listener_id));
    }
    let log = targets(&draft.log, &global.log);
    let mut format = |text: &Option<FormatText>, phase| {
        let text = text.as_ref()?;
        let mut context = loading.context(phase, Some(&draft.name), &draft.acls);
        LogFormat::parse(&text.text, text.span, &mut context)
    };
    let log_format = if frontend { format(&draft.log_format, Phase::Log) } else { None };
    let log_format_sd = if frontend { format(&draft.log_format_sd, Phase::Log) } else { None };
    let error_log_format = if frontend { format(&draft.error_log_format, Phase::Log) } else { None };
    let unique_id_format = format(&draft.unique_id_format, Phase::HttpRequest);
    let (servers, base) = servers(&mut draft, index, global.pp2_never_send_local, names, loading);
    loading.acls.push(std::mem::take(&mut draft.acls));
    let balance = draft.balance.take();
    // Without `balance` HAProxy draws two servers and takes the less loaded one (manual, 4.2 "balance").
    let (algorithm, balance_key, balance_name) = balance
        .map_or((balance::Algorithm::Random { draws: 2 }, BalanceKey::None, "random"), |balance| {
            (balance.algorithm, balance.key, balance.name)
        });
    let mut cookie = draft.cookie.take();
    if let Some(cookie) = cookie.as_mut().filter(|_| draft.cookie_dynamic) {
        cookie.dynamic_key = draft.dynamic_cookie_key.take();
    }
    // Historically both came from the connect time-out, and still do without values of their own.
    draft.timeouts.tarpit_ms = draft.timeouts.tarpit_ms.or(draft.timeouts.connect_ms);
    if backend {
        draft.timeouts.queue_ms = draft.timeouts.queue_ms.or(draft.timeouts.connect_ms);
    }
    let mut options = draft.options.clone();
    options.abortonclose = draft.abortonclose.unwrap_or(draft.mode == Mode::Http);
    options.httplog = draft.log_format.as_ref().and_then(|f| f.option).is_some_and(|o| o.contains("http"));
    options.tcplog = draft.log_format.as_ref().and_then(|f| f.option).is_some_and(|o| o.contains("tcp"));
    let use_backend = std::mem::take(&mut draft.use_backend);
    let use_server = std::mem::take(&mut draft.use_server);
    let default_backend_name = draft.default_backend.take().map(|(name, _)| name);
    let default_backend = default_backend_name.as_ref().and_then(|name| names.backends.get(&**name).copied());
    let own = index as usize;
    let stats = stats(&mut draft, global);
    let error_pages = error_pages(&draft.error_lines, loading);
    let section = Section {
        name: draft.name.clone(),
        id,
        id_forced: draft.id.is_some(),
        index,
        span: draft.span,
        state,
        is_frontend: frontend,
        is_backend: backend,
        mode: draft.mode,
        disabled: draft.disabled,
        description: draft.description,
        timeouts: draft.timeouts,
        options,
        maxconn: draft.maxconn,
        fullconn: draft.fullconn,
        backlog: draft.backlog,
        rate_limit_sessions: draft.rate_limit_sessions,
        binds,
        default_backend,
        default_backend_name,
        use_backend: use_backend
            .into_iter()
            .filter_map(|line| {
                let target = match line.target {
                    TargetName::Static(name) => BackendTarget::Static(*names.backends.get(&*name)?),
                    TargetName::Dynamic(format) => BackendTarget::Dynamic(format),
                };
                Some(UseBackend { target, condition: line.condition, span: line.span })
            })
            .collect(),
        use_server: use_server
            .into_iter()
            .filter_map(|line| {
                let target = match line.target {
                    TargetName::Static(name) => {
                        let at = *names.facts[own].server_index.get(&name)?;
                        ServerTarget::Static(names.facts[own].servers[at as usize].state.ident)
                    }
                    TargetName::Dynamic(format) => ServerTarget::Dynamic(format),
                };
                Some(UseServer { target, condition: line.condition })
            })
            .collect(),
        tcp_connection: draft.tcp_connection,
        tcp_session: draft.tcp_session,
        tcp_content: draft.tcp_content,
        tcp_inspect_delay_ms: draft.tcp_inspect_delay_ms,
        tcp_response: draft.tcp_response,
        tcp_response_inspect_delay_ms: draft.tcp_response_inspect_delay_ms,
        http_request: draft.http_request,
        http_response: draft.http_response,
        http_after_response: draft.http_after_response,
        redirects: draft.redirects,
        balance: balance::Settings {
            algorithm,
            hash: draft.hash,
            hash_balance_factor: draft.hash_balance_factor,
            all_backups: draft.all_backups,
        },
        balance_key,
        balance_name,
        cookie,
        persist_rdp_cookie: draft.persist_rdp_cookie,
        force_persist: draft.force_persist,
        ignore_persist: draft.ignore_persist,
        retries: draft.retries,
        redispatch_after: draft.redispatch_after,
        retry_on: draft.retry_on,
        http_reuse: draft.http_reuse,
        log,
        log_tag: draft.log_tag,
        log_format,
        log_format_sd,
        error_log_format,
        unique_id_format,
        unique_id_header: draft.unique_id_header,
        request_captures: draft.request_captures,
        response_captures: draft.response_captures,
        cookie_capture: draft.cookie_capture,
        monitor_uri: draft.monitor_uri,
        monitor_fail: draft.monitor_fail,
        stats,
        error_pages,
        saved_state: match draft.saved_state {
            SavedState::Local(_) => {
                SavedState::Local(draft.state_file.unwrap_or_else(|| (*draft.name).into()))
            }
            other => other,
        },
        send_name_header: draft.send_name_header.clone(),
        source: draft.source.address,
        use_source: draft.source.shown.clone(),
        source_interface: draft.source.interface.clone(),

        hash_preserve_affinity: draft.hash_preserve_affinity,
        stick_request: draft.stick_request,
        stick_response: draft.stick_response,
        table: draft.table,
        guid: draft.guid,
        is_unpublished: draft.is_unpublished,
        force_switch: draft.force_switch,
        base: None,
    };
    let proxy = Proxy::new(section, servers);
    // A live proxy changes when the model comes into force; nothing uses a new one yet.
    if proxy.state.id.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        proxy.adopt();
    }
    (proxy, base)
}

/// The targets of a proxy's log lines, `log global` resolved.
fn targets(lines: &[LogLine], global: &Targets) -> Targets {
    // By far the most common case shares the list.
    if let [LogLine::Global] = lines {
        return global.clone();
    }
    let mut targets: Vec<Arc<Target>> = Vec::new();
    for line in lines {
        match line {
            LogLine::Global => targets.extend(global.iter().cloned()),
            LogLine::Target(target) => targets.push(target.clone()),
        }
    }
    targets.into()
}

/// The listeners of one line, numbered on from `next_id`.
pub fn listeners(draft: BindDraft, tls: Option<Arc<Terminator>>, next_id: &mut u32) -> Vec<Bind> {
    let BindDraft { addresses, settings, span } = draft;
    let name: Option<Arc<str>> = settings.name.as_deref().map(Arc::from);
    addresses
        .into_iter()
        .enumerate()
        .map(|(at, address)| {
            let id = settings.id.map_or(*next_id, |forced| forced + at as u32);
            *next_id = (*next_id).max(id) + 1;
            Bind {
                address,
                span,
                name: name.clone(),
                id,
                maxconn: settings.maxconn,
                backlog: settings.backlog,
                accept_proxy: settings.accept_proxy,
                v6only: settings.v6only,
                transparent: settings.transparent,
                interface: settings.interface.clone(),
                tcp_fast_open: settings.tcp_fast_open,
                defer_accept: settings.defer_accept,
                tcp_user_timeout_ms: settings.tcp_user_timeout_ms,
                mss: settings.mss,
                protocol: settings.protocol,
                idle_ping_ms: settings.idle_ping_ms,
                threads: settings.threads.clone(),
                unix_mode: settings.unix_mode,
                unix_uid: settings.unix_uid,
                unix_gid: settings.unix_gid,
                level: settings.level,
                expose_fd: settings.expose_fd,
                tls: tls.clone(),
            }
        })
        .collect()
}

fn servers(
    draft: &mut Draft,
    index: ProxyIndex,
    never_local: bool,
    names: &Names,
    loading: &mut Loading<'_>,
) -> (Vec<Arc<Server>>, Option<BackendBase>) {
    if !draft.kind.is_backend() {
        return (Vec::new(), None);
    }
    let checks = std::mem::take(&mut draft.checks);
    let none = AclSet::default();
    let script = {
        let proxy = draft.title();
        let mut context = loading.context(Phase::Check, Some(&draft.name), &none);
        checks.finish(&proxy, draft.span, &mut context)
    };
    let base = BackendBase::of(draft, &script);
    let lines = std::mem::take(&mut draft.servers);
    let ids = number(&lines.iter().map(|line| line.settings.id).collect::<Vec<_>>(), 1);
    audit::server_ids(draft, &lines, loading);
    let mut servers = Vec::with_capacity(lines.len());
    for (at, mut line) in lines.into_iter().enumerate() {
        let state = names.facts[index as usize].servers[at].state.clone();
        audit::checks(draft, &line, &script, loading);
        let track = audit::track(&line, index, at as u32, names, loading);
        let resolution = server_resolve::finish(&line, draft, loading);
        let settings = &mut line.settings;
        let proxy_header =
            server_proxy_protocol::finish(&settings.proxy, &mut settings.check, never_local, draft, loading);
        let tls = finish_server::tls(&line, draft, loading);
        line.settings.check.tls = finish_server::check_tls(&line, tls.as_ref(), draft, &script, loading);
        let parts = ServerParts { id: ids[at], state, track, resolution, proxy_header, tls, added: false };
        servers.push(Arc::new(finish_server::server(line, parts, draft, &script)));
    }
    (servers, Some(base))
}

/// Where the statistics page is without `stats uri`.
const STATS_URI: &str = "/haproxy?stats";

fn stats(draft: &mut Draft, global: &Global) -> Option<Arc<StatsPage>> {
    let stats = std::mem::take(&mut draft.stats);
    if !stats.enabled {
        return None;
    }
    let or_global = |own: Option<Box<str>>, global: &Option<String>| match own {
        Some(text) if text.is_empty() => global.as_deref().map(Box::from),
        own => own,
    };
    Some(Arc::new(StatsPage {
        uri: stats.uri.unwrap_or_else(|| STATS_URI.into()),
        realm: stats.realm,
        users: stats.users,
        refresh_s: stats.refresh_s,
        hide_version: !stats.show_version,
        show_legends: stats.show_legends,
        show_node: or_global(stats.show_node, &global.node),
        show_description: or_global(stats.show_description, &global.description),
        show_modules: stats.show_modules,
        scope: stats.scope,
        admin: stats.admin,
        rules: stats.rules,
    }))
}

fn error_pages(lines: &[ErrorLine], loading: &mut Loading<'_>) -> HashMap<u16, Arc<ErrorPage>> {
    let mut pages = HashMap::new();
    for line in lines {
        match line {
            ErrorLine::Page(status, page) => {
                pages.insert(*status, page.clone());
            }
            ErrorLine::BuiltIn(status) => {
                pages.remove(status);
            }
            ErrorLine::Section(name, statuses, span) => {
                let Some(section) = loading.http_errors.get(&**name) else {
                    let near = loading.nearest(name, loading.http_errors.keys().map(String::as_str));
                    let message = format!("unable to find errorfiles '{name}'");
                    let found = loading.report.alert(*span, message);
                    if let Some(near) = near {
                        found.help(format!("did you mean '{near}'?"));
                    }
                    continue;
                };
                if statuses.is_empty() {
                    pages.extend(section.iter().map(|(status, page)| (*status, page.clone())));
                    continue;
                }
                for status in statuses {
                    match section.get(status) {
                        Some(page) => {
                            pages.insert(*status, page.clone());
                        }
                        None => {
                            let message =
                                format!("http-errors section '{name}' has no page for status {status}");
                            loading.report.warning(*span, message);
                        }
                    }
                }
            }
        }
    }
    pages
}
