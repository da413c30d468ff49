//! What only the whole tells: targets that do not exist, modes that do not fit, lines without an
//! effect. The wording is HAProxy's.

use super::draft::{Draft, LogLine, TargetName};
use super::finish::Names;
use super::loading::Loading;
use super::section::server::ServerDraft;
use crate::base::id::ProxyIndex;
use crate::diag::Span;
use crate::health::config::CheckScript;
use crate::log::formats;
use crate::log::target::Address;
use crate::model::bind::BindAddress;
use crate::model::{Global, Mode, Model, Proxy};
use crate::sample::Condition;
use crate::state::ServerState;
use crate::state::registry::Reference;
use crate::state::server::{Endpoint, InitState};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
    }
}

/// Reports a name that is not there, with the nearest known one as help.
fn missing(loading: &mut Loading<'_>, name: &str, span: Span, message: String, near: Option<&str>) {
    // It may stand in a line that could not be read, whose mistake is reported.
    if loading.lost_lines || loading.lost_names.iter().any(|lost| lost == name) {
        return;
    }
    let found = loading.report.alert(span, message);
    if let Some(near) = near {
        found.help(format!("did you mean '{near}'?"));
    }
}

/// Tells of addresses on which two lines listen: the kernel shares the connections out among them, which may be
/// meant, as where each has threads of its own.
pub fn shared_addresses(proxies: &[Arc<Proxy>], loading: &mut Loading<'_>) {
    let mut lines = HashMap::new();
    let mut told = HashSet::new();
    for bind in proxies.iter().flat_map(|proxy| &proxy.binds) {
        let BindAddress::Inet(address) = bind.address else { continue };
        if address.port() == 0 || !bind.threads.is_empty() {
            continue;
        }
        let first = *lines.entry((address, &bind.interface)).or_insert(bind.span);
        let (here, there) = ((bind.span.file, bind.span.line), (first.file, first.line));
        if here != there && told.insert((here, there)) {
            let message = format!("{address} is an address of {} too", loading.place(first));
            let help = "each connection goes to either line; remove one unless that is meant";
            loading.report.notice(bind.span, message).help(help);
        }
    }
}

/// Looks at every proxy and server that an expression names (`nbsrv(app)`, `srv_conn(app/s1)`). They may be
/// declared after their use, so this comes last.
pub fn references(names: &Names, loading: &mut Loading<'_>) -> HashSet<(String, Option<String>)> {
    let mut found = HashSet::new();
    for reference in loading.registry.take_references() {
        let proxies = if reference.frontend { &names.frontends } else { &names.backends };
        let kind = if reference.frontend { "frontend" } else { "backend" };
        let keyword = reference.keyword;
        let Some(index) = proxies.get(&reference.proxy) else {
            let near = loading.nearest(&reference.proxy, proxies.keys().map(String::as_str));
            let message = format!("unable to find {kind} '{}' referenced by '{keyword}'", reference.proxy);
            missing(loading, &reference.proxy, reference.span, message, near.as_deref());
            continue;
        };
        found.insert((reference.proxy.clone(), reference.server.clone()));
        let Some(server) = reference.server else { continue };
        let servers = &names.facts[*index as usize].server_index;
        if !servers.contains_key(server.as_str()) {
            let near = loading.nearest(&server, servers.keys().map(|known| &**known));
            let message =
                format!("unable to find server '{}/{server}' referenced by '{keyword}'", reference.proxy);
            missing(loading, &server, reference.span, message, near.as_deref());
        }
    }
    found
}

/// The same for a backend that is added while running: what its expressions name must be there.
pub fn references_to(model: &Model, loading: &mut Loading<'_>) {
    for reference in loading.registry.take_references() {
        let Reference { frontend, proxy, server, keyword, .. } = reference;
        let found = match frontend {
            true => model.frontends.get(&proxy).map(|index| &model.proxies[*index as usize]),
            false => model.backend(&proxy),
        };
        let is_there = found.is_some_and(|found| {
            server.as_ref().is_none_or(|name| found.servers.iter().any(|server| *server.name == **name))
        });
        if !is_there {
            let server = server.map(|server| format!("/{server}")).unwrap_or_default();
            let message = format!("unable to find '{proxy}{server}' referenced by '{keyword}'");
            loading.report.alert(Span::NONE, message);
        }
    }
}

/// Looks at every backend and server that a proxy names. True if traffic of a TCP proxy may go to
/// an HTTP backend: then its HTTP lines have an effect.
pub fn targets(draft: &mut Draft, index: ProxyIndex, names: &Names, loading: &mut Loading<'_>) -> bool {
    if !draft.kind.is_frontend() {
        draft.default_backend = None;
        draft.use_backend.clear();
    }
    let mut upgrades = false;
    let look = |name: &str, span: Span, rule: &str, loading: &mut Loading<'_>| -> bool {
        let role =
            if rule == "default_backend" { "as its default backend" } else { "in a 'use_backend' rule" };
        let Some(&target) = names.backends.get(name) else {
            let near = loading.nearest(name, names.backends.keys().map(String::as_str));
            let message = format!("Proxy '{}': unable to find required {rule}: '{name}'", draft.name);
            missing(loading, name, span, message, near.as_deref());
            return false;
        };
        let facts = &names.facts[target as usize];
        if target == index {
            let message = format!("Proxy '{}': loop detected for {rule}: '{name}'", draft.name);
            loading.report.alert(span, message);
        } else if facts.mode != draft.mode && !(draft.mode == Mode::Tcp && facts.mode == Mode::Http) {
            let message = format!(
                "{} {} '{}' ({}) tries to use incompatible {} {} '{name}' ({}) {role} (see 'mode')",
                mode_word(draft.mode),
                draft.kind.word(),
                draft.name,
                loading.place(draft.span),
                mode_word(facts.mode),
                facts.kind.word(),
                loading.place(facts.span)
            );
            loading.report.alert(span, message);
        }
        facts.mode == Mode::Http
    };
    if let Some((name, span)) = &draft.default_backend {
        upgrades |= look(name, *span, "default_backend", loading);
    }
    for line in &draft.use_backend {
        match &line.target {
            TargetName::Static(name) => upgrades |= look(name, line.span, "use_backend", loading),
            TargetName::Dynamic(_) => upgrades = true,
        }
    }
    // A backend that is added while running has no servers yet.
    let servers = names.facts.get(index as usize).map(|facts| &facts.server_index);
    for line in &draft.use_server {
        if let TargetName::Static(name) = &line.target
            && servers.is_none_or(|servers| !servers.contains_key(name))
        {
            let known = servers.iter().flat_map(|servers| servers.keys());
            let near = loading.nearest(name, known.map(|known| &**known));
            let message = format!(
                "{} : unable to find server '{name}' referenced in a 'use-server' rule",
                draft.title()
            );
            missing(loading, name, line.span, message, near.as_deref());
        }
    }
    if draft.default_backend.is_some() && !draft.servers.is_empty() {
        let message = format!(
            "In proxy '{}', the 'default_backend' rule always has precedence over the servers, which will never be \
             used",
            draft.name
        );
        loading.report.warning(draft.span, message);
    }
    upgrades
}

/// What clients of a frontend in HTTP mode have when nothing is said, in milliseconds.
const CLIENT_DEFAULT_MS: u64 = 60_000;
/// The same for the heads of their requests.
const HTTP_REQUEST_DEFAULT_MS: u64 = 10_000;

/// Looks at a proxy as a whole, and takes away what has no effect in its mode.
pub fn proxy(draft: &mut Draft, global: &Global, upgrades: bool, loading: &mut Loading<'_>) {
    // HAProxy does not look at what it will not start.
    if draft.disabled {
        return;
    }
    let title = draft.title();
    let (frontend, backend) = (draft.kind.is_frontend(), draft.kind.is_backend());
    let incomplete = loading.lost_settings;
    content_rules(draft, loading);
    let mut warn = |span: Span, message: String| {
        loading.report.warning(span, message);
    };
    if frontend && !draft.has_bind_line {
        let message =
            format!("{title} has no 'bind' directive. Please declare it as a backend if this was intended");
        warn(draft.span, message);
    }
    if let Some(threads) = global.nbthread {
        for bind in draft.binds.iter().filter(|bind| !bind.settings.threads.is_empty()) {
            if bind.settings.threads.iter().all(|thread| *thread > threads) {
                let message = format!("{title}: 'thread' names none of the {threads} threads that there are");
                loading.report.alert(bind.span, message);
            }
        }
    }
    let mut warn = |span: Span, message: String| {
        loading.report.warning(span, message);
    };
    let timeouts = &draft.timeouts;
    let http = draft.mode == Mode::Http;
    // Any client could hold connections of such a frontend for ever. What TCP carries may be silent for hours
    // by right, so there it stays at HAProxy's warning.
    let unprotected = frontend && http && timeouts.client_ms.is_none() && !timeouts.client_unlimited;
    let no_server_timeout = timeouts.server_ms.is_none() && (http || timeouts.tunnel_ms.is_none());
    let missing_timeouts = (frontend && timeouts.client_ms.is_none())
        || (backend && !draft.servers.is_empty() && (timeouts.connect_ms.is_none() || no_server_timeout));
    if missing_timeouts && !incomplete {
        let defaults = if unprotected {
            "\n   | Until then its clients have 'timeout client 1m' and 'timeout http-request 10s'"
        } else {
            ""
        };
        let message = format!(
            "missing timeouts for {title}.\n   | While not properly invalid, you will certainly encounter various \
             problems\n   | with such a configuration. To fix this, please ensure that all following\n   | timeouts \
             are set to a non-zero value: 'client', 'connect', 'server'{defaults}"
        );
        warn(draft.span, message);
    }
    if unprotected {
        draft.timeouts.client_ms = Some(CLIENT_DEFAULT_MS);
        if draft.timeouts.http_request_ms.is_none() && !draft.timeouts.http_request_unlimited {
            draft.timeouts.http_request_ms = Some(HTTP_REQUEST_DEFAULT_MS);
        }
    }
    if let Some(capture) = draft.cookie_capture.as_mut().filter(|capture| capture.len >= global.cookie_len) {
        capture.len = global.cookie_len.saturating_sub(1);
        warn(draft.span, format!("truncating capture length to {} bytes for {title}", capture.len));
    }
    let logs = draft.log.iter().any(|line| match line {
        LogLine::Global => !global.log.is_empty(),
        LogLine::Target(_) => true,
    });
    if frontend && !logs && (draft.log_format.is_some() || draft.log_format_sd.is_some()) {
        let span = draft.log_format.as_ref().map_or(draft.span, |format| format.span);
        warn(span, format!("log format ignored for {title} since it has no log address"));
    }
    if draft.stats.enabled
        && !draft.stats.rules.is_empty()
        && (draft.stats.realm.is_some() || !draft.stats.users.is_empty())
    {
        let message = format!(
            "proxy '{}': stats 'auth'/'realm' and 'http-request' can't be used at the same time",
            draft.name
        );
        loading.report.alert(draft.span, message);
    }
    if draft.stats.show_description.as_deref() == Some("") && global.description.is_none() {
        let message =
            "'stats show-desc' requires a parameter or 'description' to be set in the global section";
        loading.report.warning(draft.span, message);
    }
    if !http {
        tcp(draft, upgrades, loading);
    }
}

/// Rules on contents that do not wait for them, or that ask for what HTTP mode has parsed away.
fn content_rules(draft: &Draft, loading: &mut Loading<'_>) {
    for rule in &draft.tcp_content {
        let waits = draft.tcp_inspect_delay_ms.is_some() || !draft.kind.is_frontend();
        if !waits && rule.asks_contents() {
            let message = format!(
                "{} : this rule depends on the contents of the request without any 'tcp-request inspect-delay' \
                 setting, so it finds them or not by chance",
                draft.title()
            );
            loading
                .report
                .warning(rule.span, message)
                .help("set 'tcp-request inspect-delay', or use 'tcp-request connection' without contents");
        }
        let buffers = rule.condition.as_ref().is_some_and(Condition::asks_buffers);
        if draft.mode == Mode::Http && buffers {
            let message = format!("Proxy '{}': L6 sample fetches ignored on HTTP proxies", draft.name);
            loading.report.warning(rule.span, message);
        }
    }
}

/// A TCP proxy: what needs HTTP is ignored with a warning.
fn tcp(draft: &mut Draft, upgrades: bool, loading: &mut Loading<'_>) {
    let title = draft.title();
    let span = draft.span;
    if draft.cookie.take().is_some() {
        loading.report.warning(span, format!("cookie will be ignored for {title} (needs 'mode http')"));
    }
    if draft.balance.as_ref().is_some_and(|balance| balance.needs_http) {
        use crate::balance::Algorithm;
        use crate::model::proxy::BalanceKey;
        let message =
            format!("Layer 7 hash not possible for {title} (needs 'mode http'). Falling back to round robin");
        loading.report.warning(span, message);
        draft.balance = Some(super::draft::BalanceDraft {
            algorithm: Algorithm::RoundRobin,
            key: BalanceKey::None,
            name: "roundrobin",
            needs_http: false,
        });
    }
    if let Some(format) = &mut draft.log_format
        && let Some(option) = format.option
        && option.starts_with("option http")
    {
        let (modern, text) = if option == "option httplog clf" {
            ("option tcplog clf", formats::TCP_CLF)
        } else {
            ("option tcplog", formats::TCP)
        };
        let message =
            format!("'{option}' not usable with {title} (needs 'mode http'). Falling back to '{modern}'");
        loading.report.warning(format.span, message);
        format.option = Some(modern);
        format.text = text.into();
    }
    for server in &draft.servers {
        if server.settings.redirect_prefix.is_some() {
            let message = format!("{title} : server cannot have cookie or redirect prefix in non-HTTP mode");
            loading.report.alert(server.span, message);
        }
        if server.settings.cookie.is_some() {
            let message =
                format!("{title} : ignoring cookie for server '{}' as HTTP mode is disabled", server.name);
            loading.report.warning(server.span, message);
        }
    }
    if upgrades {
        return;
    }
    if draft.options.forwardfor.is_some() {
        let message = format!("'option forwardfor' ignored for {title} as it requires HTTP mode");
        loading.report.warning(span, message);
    }
    if std::mem::take(&mut draft.stats).enabled {
        loading
            .report
            .warning(span, format!("'stats' statement ignored for {title} as it requires HTTP mode"));
    }
    if draft.cookie_capture.take().is_some() {
        loading
            .report
            .warning(span, format!("'capture' statement ignored for {title} as it requires HTTP mode"));
    }
    if draft.monitor_uri.take().is_some() {
        let message = format!("'monitor-uri' statement ignored for {title} as it requires HTTP mode");
        loading.report.warning(span, message);
    }
    for (name, any) in [
        ("http-request", !draft.http_request.is_empty()),
        ("http-response", !draft.http_response.is_empty()),
        ("http-after-response", !draft.http_after_response.is_empty()),
        ("redirect", !draft.redirects.is_empty()),
    ] {
        if any {
            let message = format!("'{name}' rules ignored for {title} as they require HTTP mode");
            loading.report.warning(span, message);
        }
    }
    for name in &draft.http_options {
        loading.report.warning(span, format!("'{name}' ignored for {title} as it requires HTTP mode"));
    }
}

/// What a server's checks need: a port from somewhere, and no tracking besides.
pub fn checks(draft: &Draft, server: &ServerDraft, script: &CheckScript, loading: &mut Loading<'_>) {
    if draft.disabled {
        return;
    }
    let settings = &server.settings;
    if settings.agent_check && settings.agent.port.is_none_or(|port| port == 0) {
        let message =
            format!("server {} does not have agent port. Agent check has been disabled", server.name);
        loading.report.alert(server.span, message);
    }
    let has_port = settings.check.port.is_some_and(|port| port != 0)
        || server.address.port != 0
        // The service tells the port.
        || server.address.is_service()
        || (settings.check.addr.is_none() && matches!(server.address.endpoint, Endpoint::Unix(_)))
        // No address at all: the check has nowhere to go, and says so.
        || (settings.check.addr.is_none()
            && server.address.endpoint.ip().is_some_and(|address| address.is_unspecified()));
    if settings.checked
        && !has_port
        && let Some(problem) = script.needs_port()
    {
        let message = format!("{}: server '{}' has {problem}", draft.title(), server.name);
        loading.report.alert(server.span, message).help("add 'port <port>' to the server's line");
    }
    if settings.checked && settings.track.is_some() {
        let message = "unable to enable checks and tracking at the same time!";
        loading.report.alert(server.span, message);
    }
}

/// Forced numbers of servers must differ.
pub fn server_ids(draft: &Draft, lines: &[ServerDraft], loading: &mut Loading<'_>) {
    let mut first = std::collections::HashMap::new();
    for line in lines {
        let Some(id) = line.settings.id else { continue };
        if let Some(other) = first.insert(id, &line.name) {
            let message = format!(
                "'server {}/{}' : custom id {id} is already used by server '{other}'",
                draft.name, line.name
            );
            loading.report.alert(line.span, message);
        }
    }
}

/// The longest chain of tracking servers that is followed; a longer one is taken for a loop.
const TRACK_MAX: usize = 1000;

/// The server that a line tracks.
pub fn track(
    line: &ServerDraft,
    proxy: ProxyIndex,
    server: u32,
    names: &Names,
    loading: &mut Loading<'_>,
) -> Option<Arc<ServerState>> {
    let (name, span) = line.settings.track.as_ref()?;
    if line.settings.init_state != InitState::None {
        loading.report.alert(*span, "unable to set init-state and tracking at the same time");
    }
    let (mut proxy_at, mut server_at) = match find_server(name, proxy, names, loading) {
        Ok(found) => found,
        Err((message, near)) => {
            missing(loading, name, *span, message, near.as_deref());
            return None;
        }
    };
    let tracked = names.facts[proxy_at as usize].servers[server_at as usize].state.clone();
    // To the end of the chain: the last server must have a check.
    let mut steps = 0;
    loop {
        let facts = &names.facts[proxy_at as usize].servers[server_at as usize];
        let Some(next) = &facts.track else {
            if facts.is_checked {
                return Some(tracked);
            }
            let message = format!(
                "unable to use {}/{} for tracking as it does not have any check nor agent enabled",
                facts.state.backend, facts.state.name
            );
            loading.report.alert(*span, message);
            return None;
        };
        steps += 1;
        if (proxy_at, server_at) == (proxy, server) || steps > TRACK_MAX {
            let message = format!(
                "unable to track {0}/{1} as it belongs to a tracking chain looping back to {0}/{1}",
                tracked.backend, tracked.name
            );
            loading.report.alert(*span, message);
            return None;
        }
        // A wrong name there is reported at its own line.
        (proxy_at, server_at) = find_server(next, proxy_at, names, loading).ok()?;
    }
}

/// `[<backend>/]<server>` seen from a proxy; otherwise the message and the nearest name.
fn find_server(
    name: &str,
    from: ProxyIndex,
    names: &Names,
    loading: &Loading<'_>,
) -> Result<(ProxyIndex, u32), (String, Option<String>)> {
    let (proxy, server) = match name.split_once('/') {
        Some((backend, server)) => match names.backends.get(backend) {
            Some(&proxy) => (proxy, server),
            None => {
                let near = loading.nearest(backend, names.backends.keys().map(String::as_str));
                return Err((format!("unable to find required proxy '{backend}' for tracking"), near));
            }
        },
        None => (from, name),
    };
    let servers = &names.facts[proxy as usize].server_index;
    match servers.get(server) {
        Some(&at) => Ok((proxy, at)),
        None => {
            let near = loading.nearest(server, servers.keys().map(|known| &**known));
            Err((format!("unable to find required server '{server}' for tracking"), near))
        }
    }
}

/// `ring@name` must name a ring.
pub fn rings(global: &Global, drafts: &[Draft], known: &[String], loading: &mut Loading<'_>) {
    let check = |address: &Address, loading: &mut Loading<'_>, span: Span| {
        if let Address::Ring(name) = address
            && !known.contains(name)
        {
            let near = loading.nearest(name, known.iter().map(String::as_str));
            missing(
                loading,
                name,
                span,
                format!("no ring called '{name}' for a 'log' line"),
                near.as_deref(),
            );
        }
    };
    for target in global.log.iter() {
        check(&target.address, loading, target.span);
    }
    for draft in drafts {
        for line in &draft.log {
            if let LogLine::Target(target) = line {
                check(&target.address, loading, target.span);
            }
        }
    }
}
