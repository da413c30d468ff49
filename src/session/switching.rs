//! Where a request goes: `use_backend`, `use-server`, `monitor-uri`, the statistics page, and
//! whether persistence counts (manual, section 4.2).

use std::sync::atomic::Ordering::Relaxed;

use crate::base::id::{ProxyIndex, ServerIndex};
use crate::http::{Method, Request, uri};
use crate::model::proxy::{BackendTarget, ServerTarget, StatsPage};
use crate::model::{Model, Proxy};
use crate::sample::{Context, password};

use super::cookie::Persistence;

/// The backend for this transaction; `None` when there is neither a rule that holds nor a default
/// (the answer is then 503). A listen without either serves the request itself.
pub fn backend(model: &Model, frontend: &Proxy, context: &Context<'_>) -> Option<ProxyIndex> {
    let is_forced = || frontend.force_switch.iter().any(|condition| condition.holds(context));
    let is_usable = |index: &ProxyIndex| {
        let backend = model.proxies.get(*index as usize).filter(|proxy| proxy.is_backend);
        let is_hidden = |proxy: &Proxy| proxy.disabled || proxy.state.is_unpublished.load(Relaxed);
        backend.is_some_and(|backend| !is_hidden(backend) || is_forced())
    };
    let mut chosen = None;
    for rule in &frontend.use_backend {
        if rule.condition.as_ref().is_some_and(|condition| !condition.holds(context)) {
            continue;
        }
        match &rule.target {
            BackendTarget::Static(index) => chosen = Some(*index),
            BackendTarget::Dynamic(format) => {
                let mut name = Vec::new();
                format.write(context, false, &mut name);
                let name = std::str::from_utf8(&name).ok();
                chosen = name.and_then(|name| model.backends.get(name)).copied();
            }
        }
        // A backend that is disabled or unpublished lets the next rule try; a name without a backend does not: it
        // ends the list, and the default backend takes over.
        if chosen.as_ref().is_none_or(is_usable) {
            break;
        }
        chosen = None;
    }
    chosen
        .or_else(|| frontend.default_backend.filter(is_usable))
        .or_else(|| frontend.is_backend.then_some(frontend.index))
}

/// The server that a `use-server` line of the backend assigns.
///
/// A line whose server is down lets the next one try. A dynamic name without a server ends the list.
pub fn use_server(backend: &Proxy, persistence: Persistence, context: &Context<'_>) -> Option<ServerIndex> {
    for rule in &backend.use_server {
        if rule.condition.as_ref().is_some_and(|condition| !condition.holds(context)) {
            continue;
        }
        let index = match &rule.target {
            ServerTarget::Static(ident) => backend.server(*ident)?.0,
            ServerTarget::Dynamic(format) => {
                let mut name = Vec::new();
                format.write(context, false, &mut name);
                let found = backend.servers.iter().position(|server| server.name.as_bytes() == name);
                found? as ServerIndex
            }
        };
        let server = backend.servers.get(index as usize)?;
        if server.state.is_running() || backend.options.persist || persistence.force {
            return Some(index);
        }
    }
    None
}

/// Whether persistence is forced or ignored in this backend; forced wins.
pub fn persistence(backend: &Proxy, context: &Context<'_>) -> Persistence {
    let force = backend.force_persist.iter().any(|condition| condition.holds(context));
    let ignore = !force && backend.ignore_persist.iter().any(|condition| condition.holds(context));
    Persistence { ignore, force, assigned: false }
}

/// The answer to a request for the frontend's `monitor-uri`: 503 if a `monitor fail` condition
/// holds, else 200. The caller takes the page for it from [`super::error_page`].
///
/// A configured path is compared with the request's path (and query), anything else with the whole
/// target; neither compares as a beginning.
pub fn monitor(frontend: &Proxy, context: &Context<'_>) -> Option<u16> {
    let wanted = frontend.monitor_uri.as_ref()?.as_bytes();
    let target = context.txn.request.target();
    let by_path = wanted.starts_with(b"/") && uri::path_and_query(target) == Some(wanted);
    if !by_path && target != wanted {
        return None;
    }
    let fails = frontend.monitor_fail.iter().any(|condition| condition.holds(context));
    Some(if fails { 503 } else { 200 })
}

/// Whether a request is for the statistics page of `proxy`: a GET, HEAD or POST whose target
/// starts with `stats uri`.
pub fn stats_page<'a>(proxy: &'a Proxy, request: &Request) -> Option<&'a StatsPage> {
    let page = proxy.stats.as_deref()?;
    if !matches!(request.method, Method::Get | Method::Head | Method::Post) {
        return None;
    }
    let wanted = page.uri.as_bytes();
    let target = request.target();
    let target =
        if wanted.starts_with(b"/") { uri::path_and_query(target).unwrap_or_default() } else { target };
    target.starts_with(wanted).then_some(page)
}

/// The realm in which a request for the statistics page must bring a name and a password that
/// `stats auth` lists; `None` lets it pass.
pub fn stats_refusal<'a>(page: &'a StatsPage, request: &Request) -> Option<&'a str> {
    use base64::Engine;
    if page.users.is_empty() {
        return None;
    }
    let given = request.fields.first(b"authorization").and_then(|value| {
        let (scheme, rest) = value.split_at_checked(6)?;
        let rest = scheme.eq_ignore_ascii_case(b"basic ").then(|| crate::base::text::trim(rest))?;
        base64::engine::general_purpose::STANDARD.decode(rest).ok()
    });
    let is_known = given.is_some_and(|given| {
        // Every pair is compared, so that the time taken does not tell which name exists.
        page.users.iter().fold(false, |known, (user, password)| {
            let wanted = [user.as_bytes(), b":", password.as_bytes()].concat();
            known | password::equals(&wanted, &given)
        })
    });
    if is_known {
        return None;
    }
    Some(page.realm.as_deref().unwrap_or(crate::rules::reply::STATS_REALM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;
    use std::sync::Arc;

    #[test]
    fn the_monitor_answers_its_uri_only() {
        for (configured, target, expected) in [
            ("/health", "/health", Some(200)),
            ("/health", "http://www.example.org/health", Some(200)),
            ("/health", "/hEAlth", None),
            ("/health", "/health/x", None),
            ("/health", "/health?x", None),
            ("http://www.example.org/health", "http://www.example.org/health", Some(200)),
            ("http://www.example.org/health", "/health", None),
        ] {
            let mut frontend = testing::proxy("fe");
            frontend.monitor_uri = Some(configured.into());
            let found = testing::with_context(target, |context| monitor(&frontend, context));
            assert_eq!(found, expected, "{configured} {target}");
        }
    }

    fn page(users: &[(&str, &str)]) -> StatsPage {
        StatsPage {
            uri: "/stats".into(),
            realm: None,
            users: users.iter().map(|(user, password)| ((*user).into(), (*password).into())).collect(),
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

    #[test]
    fn the_statistics_page_is_a_beginning() {
        let mut proxy = testing::proxy("fe");
        proxy.stats = Some(page(&[]).into());
        for (method, target, expected) in [
            ("GET", "/stats", true),
            ("HEAD", "/stats;csv", true),
            ("POST", "http://h/stats", true),
            ("PUT", "/stats", false),
            ("GET", "/x/stats", false),
        ] {
            let mut request = Request::default();
            request.set_method(method.as_bytes());
            request.set_target(target.as_bytes());
            assert_eq!(stats_page(&proxy, &request).is_some(), expected, "{method} {target}");
        }
    }

    #[test]
    fn the_statistics_page_asks_for_a_password() {
        let page = page(&[("admin", "secret"), ("me", "too")]);
        for (given, passes) in [
            (None, false),
            (Some("Basic YWRtaW46c2VjcmV0"), true),
            (Some("basic bWU6dG9v"), true),
            (Some("Basic YWRtaW46d3Jvbmc="), false),
            (Some("Bearer YWRtaW46c2VjcmV0"), false),
        ] {
            let mut request = Request::default();
            if let Some(given) = given {
                request.fields.append(b"Authorization", given.as_bytes());
            }
            let refusal = stats_refusal(&page, &request);
            assert_eq!(refusal.is_none(), passes, "{given:?}");
            assert_eq!(refusal, (!passes).then_some("HAProxy Statistics"), "{given:?}");
        }
    }

    #[test]
    fn an_assigned_server_must_run() {
        use crate::model::proxy::UseServer;
        use crate::state::server::Operational;
        let mut backend = testing::proxy("be");
        for name in ["s1", "s2"] {
            backend.push(testing::server("be", name));
        }
        let idents = backend.server_idents.clone();
        for ident in idents.iter() {
            backend.use_server.push(UseServer { target: ServerTarget::Static(*ident), condition: None });
        }
        let pick = |backend: &Proxy, force| {
            let persistence = Persistence { force, ..Persistence::default() };
            testing::with_context("/", |context| use_server(backend, persistence, context))
        };
        assert_eq!(pick(&backend, false), Some(0));
        backend.servers[0].state.set_operational(Operational::Stopped);
        assert_eq!(pick(&backend, false), Some(1), "the next line takes over");
        assert_eq!(pick(&backend, true), Some(0), "force-persist uses it anyway");
        backend.servers[1].state.set_operational(Operational::Stopped);
        assert_eq!(pick(&backend, false), None);
        backend.options.persist = true;
        assert_eq!(pick(&backend, false), Some(0));
    }

    #[test]
    fn switching_falls_back_to_the_default() {
        use crate::diag::Span;
        use crate::model::proxy::UseBackend;
        let mut frontend = testing::proxy("fe");
        frontend.is_backend = false;
        let mut model = testing::model();
        for (index, name) in ["a", "b"].into_iter().enumerate() {
            let mut proxy = testing::proxy(name);
            proxy.index = index as u32;
            proxy.disabled = name == "a";
            model.proxies.push(proxy.into());
        }
        let go = |frontend: &Proxy| testing::with_context("/", |context| backend(&model, frontend, context));
        assert_eq!(go(&frontend), None);
        frontend.default_backend = Some(1);
        assert_eq!(go(&frontend), Some(1));
        let to =
            |index| UseBackend { target: BackendTarget::Static(index), condition: None, span: Span::NONE };
        frontend.use_backend = vec![to(0)];
        assert_eq!(go(&frontend), Some(1), "a disabled backend is passed over");
        frontend.default_backend = None;
        frontend.use_backend.push(to(1));
        assert_eq!(go(&frontend), Some(1), "the next line takes over");
    }

    #[test]
    fn names_are_looked_up_per_request() {
        use crate::diag::Span;
        use crate::model::proxy::UseBackend;
        let mut model = testing::model();
        for (index, name) in ["a", "b", "fallback"].into_iter().enumerate() {
            let mut proxy = testing::proxy(name);
            proxy.index = index as u32;
            model.proxies.push(proxy.into());
            Arc::make_mut(&mut model.backends).insert(name.into(), index as u32);
        }
        let mut frontend = testing::proxy("fe");
        frontend.default_backend = Some(2);
        let rule = |target, condition: Option<&str>| UseBackend {
            target,
            condition: condition.map(testing::condition),
            span: Span::NONE,
        };
        frontend.use_backend = vec![
            rule(BackendTarget::Static(0), Some("if { path_beg /a }")),
            rule(BackendTarget::Dynamic(testing::format("%[query]")), Some("unless { path /none }")),
            rule(BackendTarget::Static(0), None),
        ];
        for (target, expected) in
            [("/about", Some(0)), ("/x?b", Some(1)), ("/x?unknown", Some(2)), ("/none", Some(0))]
        {
            let found = testing::with_context(target, |context| backend(&model, &frontend, context));
            assert_eq!(found, expected, "{target}");
        }
    }

    #[test]
    fn conditions_fail_the_monitor_and_force_persistence() {
        let mut proxy = testing::proxy("fe");
        proxy.monitor_uri = Some("/health".into());
        proxy.monitor_fail = vec![testing::condition("if FALSE"), testing::condition("if TRUE")];
        assert_eq!(testing::with_context("/health", |context| monitor(&proxy, context)), Some(503));
        proxy.force_persist = vec![testing::condition("if { path /f }")];
        proxy.ignore_persist = vec![testing::condition("unless { path /n }")];
        for (target, force, ignore) in [("/f", true, false), ("/i", false, true), ("/n", false, false)] {
            let found = testing::with_context(target, |context| persistence(&proxy, context));
            assert_eq!((found.force, found.ignore), (force, ignore), "{target}");
        }
    }
}
