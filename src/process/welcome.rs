//! What a person is shown: where to look when the process serves, and the servers' states on SIGHUP.

use std::collections::BTreeSet;

use crate::model::proxy::Mode;
use crate::model::{BindAddress, Model, Proxy};
use crate::state::server::Operational;

/// Most addresses shown; a large configuration is not a person's first one.
const SHOWN_MAX: usize = 8;

/// Prints the addresses that a browser can open.
pub fn show(model: &Model) {
    let mut lines = BTreeSet::new();
    for proxy in model.proxies.iter().filter(|proxy| proxy.mode == Mode::Http && !proxy.disabled) {
        for address in proxy.binds.iter().filter_map(|bind| url(&bind.address)) {
            let page = proxy.stats.as_ref().map_or("/", |stats| &*stats.uri);
            let what = if proxy.stats.is_some() { "statistics" } else { "frontend" };
            lines.insert(format!("{what} {}: http://{address}{page}", proxy.name));
        }
    }
    for line in lines.iter().take(SHOWN_MAX) {
        eprintln!("[NOTICE]   ({}) : {line}", std::process::id());
    }
}

fn url(address: &BindAddress) -> Option<String> {
    match address {
        BindAddress::Inet(address) if address.ip().is_unspecified() => {
            Some(format!("localhost:{}", address.port()))
        }
        BindAddress::Inet(address) => Some(address.to_string()),
        BindAddress::Unix(_) | BindAddress::Abstract(_) | BindAddress::Fd(_) => None,
    }
}

/// Prints the state of every server (SIGHUP; manual: management, section 4).
pub fn dump_servers(model: &Model) {
    for proxy in model.proxies.iter().filter(|proxy| proxy.is_backend) {
        for server in &proxy.servers {
            let state = match server.state.operational() {
                Operational::Stopped => "DOWN",
                Operational::Stopping => "NOLB",
                Operational::Starting | Operational::Running => "UP",
            };
            let sessions = server.state.served.load(std::sync::atomic::Ordering::Relaxed);
            eprintln!(
                "[NOTICE]   ({}) : Server {}/{} is {state}. Conn: {sessions} act, {} pend.",
                std::process::id(),
                proxy.name,
                server.name,
                server.state.queue.len(),
            );
        }
        eprintln!("[NOTICE]   ({}) : {}", std::process::id(), summary(proxy));
    }
}

fn summary(proxy: &Proxy) -> String {
    let usable = proxy.state.usable_servers();
    if usable == 0 {
        return format!("Proxy {} has no server available !", proxy.name);
    }
    format!("Proxy {} has {usable} usable server(s) of {}.", proxy.name, proxy.servers.len())
}
