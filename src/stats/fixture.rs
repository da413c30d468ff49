//! A small model for tests: frontend `fe`, backend `be` with servers `s1` and `s2` (a backup).

use std::sync::Arc;

use crate::model::bind::{Bind, BindAddress};
use crate::model::proxy::{Proxy, StatsPage};
use crate::model::{Global, Model, Server, Shared};
use crate::state::Registry;
use crate::state::server::Endpoint;

/// A `server` line with the address `127.0.0.1:port`.
pub(crate) fn server(registry: &Registry, backend: &str, name: &str, id: u32, backup: bool) -> Arc<Server> {
    let (state, _) = registry.server(backend, name);
    state.id.store(id, std::sync::atomic::Ordering::Relaxed);
    let address = ([127, 0, 0, 1], 8000 + id as u16).into();
    state.endpoint.store(Arc::new(Endpoint::Inet { address, port_offset: None }));
    Arc::new(Server { id, backup, ..Server::bare(state) })
}

/// An HTTP proxy.
pub(crate) fn proxy(registry: &Registry, name: &str, id: u32, index: u32) -> Proxy {
    let mut proxy = Proxy::bare(registry.proxy(name));
    (proxy.id, proxy.index) = (id, index);
    proxy
}

/// A TCP listening address.
pub(crate) fn bind(port: u16, id: u32) -> Bind {
    let address = BindAddress::Inet(([127, 0, 0, 1], port).into());
    Bind { id, ..Bind::bare(address) }
}

/// The page at `/stats`, without authentication.
pub(crate) fn page() -> StatsPage {
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
pub(crate) fn model() -> Model {
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
    let shared = Shared {
        global: Global { stats_timeout_ms: 10_000, stats_maxconn: 10, ..Global::default() },
        frontends: [("fe".to_owned(), 0)].into(),
        ..Shared::bare(registry)
    };
    Model::new(shared, vec![Arc::new(frontend), Arc::new(backend)], [("be".to_owned(), 1)].into())
}
