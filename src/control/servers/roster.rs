//! Servers and backends that come and go while running.
//!
//! Each change makes a model of the one in force that has everything else in common with it, and tells every
//! core. What runs ends under the model that it began with; so a server is deleted only when nothing uses it, and
//! whoever holds the older model finds it in maintenance.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::{Control, reports};
use crate::balance::Algorithm;
use crate::base::clock;
use crate::base::id::ServerId;
use crate::control::checks;
use crate::health::status::flag;
use crate::model::proxy::{BackendTarget, ServerTarget};
use crate::model::{Model, Proxy, Server};
use crate::state::server::{Operational, admin};

/// Why something cannot be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It has to be something else first: waiting does not help.
    Never(&'static str),
    /// It is in use.
    NotYet(&'static str),
}

impl Obstacle {
    /// It in words.
    pub fn text(self) -> &'static str {
        match self {
            Obstacle::Never(text) | Obstacle::NotYet(text) => text,
        }
    }
}

const REFERENCED_SERVER: &str =
    "This server cannot be removed at runtime due to other configuration elements pointing to it.";
const REFERENCED_PROXY: &str =
    "This proxy cannot be removed at runtime due to other configuration elements pointing to it.";

/// Why a backend takes no servers while running, if it takes none: its table of servers is made once.
pub fn fixed(backend: &Proxy) -> Option<String> {
    let is_dynamic = match backend.balance.algorithm {
        Algorithm::StaticRoundRobin => false,
        Algorithm::Hash => backend.balance.hash.consistent,
        Algorithm::RoundRobin | Algorithm::LeastConn | Algorithm::First | Algorithm::Random { .. } => true,
    };
    let kind = if backend.is_frontend { "proxy" } else { "backend" };
    (!is_dynamic).then(|| format!("{kind} '{}' uses a non dynamic load balancing method", backend.name))
}

/// Puts a model in force that was made from the one in force.
fn publish(control: &Control, model: Model, gone: Option<ServerId>) {
    let model = Arc::new(model);
    control.model.replace(model.clone());
    control.cores.change_model(&model, gone);
}

/// Adds a server at the end of a backend. It begins in maintenance, its checks are off.
pub fn add_server(control: &Control, backend: &Arc<Proxy>, server: Server) {
    let server = Arc::new(server);
    let state = &server.state;
    state.adopt(&server.configured);
    state.last_change_s.store(clock::read().wall_secs(), Relaxed);
    state.set_operational(Operational::Stopped);
    let inherited = server.track.as_ref().map_or(0, |tracked| {
        let of = |any, mine| if tracked.admin() & any != 0 { mine } else { 0 };
        of(admin::MAINT, admin::IMAINT) | of(admin::DRAIN, admin::IDRAIN)
    });
    state.set_admin(state.admin() & admin::RMAINT | admin::FMAINT | inherited);
    super::settle_reports(&server);
    for report in [&state.check, &state.agent] {
        reports::change(report, |report| {
            report.enabled = false;
            // What is enabled in maintenance runs, as in HAProxy.
            report.state_flags &= !(flag::ENABLED | flag::PAUSED);
        });
    }
    let model = control.model();
    model.registry.insert_server(state);
    let mut servers = backend.servers.clone();
    servers.push(server.clone());
    let backend = Arc::new(backend.with_servers(servers));
    publish(control, model.with_proxy(backend.clone()), None);
    backend.adopt_servers();
    checks::begin(control, &server);
}

/// A server that can be deleted now, with its backend.
pub fn removable_server(
    control: &Control,
    backend: &str,
    name: &str,
) -> Result<(Arc<Proxy>, Arc<Server>), Obstacle> {
    let model = control.model();
    let proxy = model.backend(backend).ok_or(Obstacle::Never("No such backend."))?;
    let number = name.strip_prefix('#').and_then(|number| number.parse::<u32>().ok());
    let is_it = |server: &&Arc<Server>| match number {
        Some(number) => server.id == number,
        None => *server.name == *name,
    };
    let server = proxy.servers.iter().find(is_it).ok_or(Obstacle::Never("No such server."))?;
    if is_referenced(&model, proxy, server) {
        return Err(Obstacle::Never(REFERENCED_SERVER));
    }
    let state = &server.state;
    if state.admin() & admin::MAINT == 0 {
        return Err(Obstacle::Never("Only servers in maintenance mode can be deleted."));
    }
    if state.served.load(Acquire) > 0 || state.idle.load(Acquire) > 0 || !state.queue.is_empty() {
        // What was put to rest while it went into maintenance, nobody else would look for at once.
        control.cores.close_idle(state);
        return Err(Obstacle::NotYet("Server still has connections attached to it, cannot remove it."));
    }
    Ok((proxy.clone(), server.clone()))
}

/// Whether something in the configuration names a server, or its name is resolved.
fn is_referenced(model: &Model, proxy: &Proxy, server: &Server) -> bool {
    let ident = server.state.ident;
    let is_assigned = proxy
        .use_server
        .iter()
        .any(|line| matches!(line.target, ServerTarget::Static(named) if named == ident));
    let tracks = |other: &Arc<Server>| other.track.as_ref().is_some_and(|tracked| tracked.ident == ident);
    let named = (proxy.name.to_string(), Some(server.name.to_string()));
    server.resolution.is_some()
        || is_assigned
        || model.references.contains(&named)
        || model.proxies.iter().flat_map(|proxy| &proxy.servers).any(tracks)
}

/// Deletes a server that [`removable_server`] has found.
pub fn remove_server(control: &Control, backend: &Proxy, server: &Server) {
    let ident = server.state.ident;
    let model = control.model();
    let mut servers = backend.servers.clone();
    servers.retain(|other| other.state.ident != ident);
    let backend = Arc::new(backend.with_servers(servers));
    publish(control, model.with_proxy(backend.clone()), Some(ident));
    backend.adopt_servers();
    checks::end(control, server);
    model.registry.forget_server(&server.state);
}

/// Adds a backend, which is not published yet.
pub fn add_backend(control: &Control, backend: Proxy) {
    let backend = Arc::new(backend);
    backend.adopt();
    backend.state.is_unpublished.store(true, Relaxed);
    let model = control.model().with_backend(backend);
    model.apply_fullconn(control.maxconn.get());
    publish(control, model, None);
}

/// A backend that can be deleted now.
pub fn removable_backend(control: &Control, name: &str) -> Result<Arc<Proxy>, Obstacle> {
    use Obstacle::{Never, NotYet};
    let model = control.model();
    let proxy = model.backend(name).ok_or(Never("No such backend."))?;
    if proxy.is_frontend {
        return Err(Never("Cannot delete a listen section."));
    }
    if proxy.table.is_some() {
        return Err(Never("Cannot remove a backend with stick-table."));
    }
    let is_target = |other: &Arc<Proxy>| {
        other.default_backend == Some(proxy.index)
            || other
                .use_backend
                .iter()
                .any(|line| matches!(line.target, BackendTarget::Static(index) if index == proxy.index))
    };
    if model.references.iter().any(|(backend, _)| *backend == *proxy.name)
        || model.proxies.iter().any(is_target)
    {
        return Err(Never(REFERENCED_PROXY));
    }
    if !proxy.state.is_unpublished.load(Relaxed) {
        return Err(Never("Backend must be unpublished prior to its deletion."));
    }
    if !proxy.servers.is_empty() {
        return Err(Never("Only a backend without server can be deleted."));
    }
    if proxy.state.backend_current.load(Acquire) > 0 {
        return Err(NotYet("Backend still has attached streams on it."));
    }
    Ok(proxy.clone())
}

/// Deletes a backend that [`removable_backend`] has found.
pub fn remove_backend(control: &Control, backend: &Proxy) {
    let model = control.model();
    publish(control, model.without_backend(backend), None);
    model.registry.forget_proxy(&backend.state);
}
