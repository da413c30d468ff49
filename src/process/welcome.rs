//! What a person is shown: where to look when the process serves, and the servers' states on SIGHUP.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use crate::control::Control;
use crate::control::log_sink::tell;
use crate::control::servers::announce;
use crate::diag::Level;
use crate::model::proxy::Mode;
use crate::model::{BindAddress, Proxy};
use crate::state::proxy::{be, fe};
use crate::state::server::{Operational, counter};

/// Most addresses shown; a large configuration is not a person's first one.
const SHOWN_MAX: usize = 8;

/// Tells the addresses that a browser can open.
pub fn show(control: &Control) {
    let model = control.model();
    let mut lines = BTreeSet::new();
    for proxy in model.proxies.iter().filter(|proxy| proxy.mode == Mode::Http && !proxy.disabled) {
        for bind in &proxy.binds {
            let Some(address) = url(&bind.address) else { continue };
            let scheme = if bind.tls.is_some() { "https" } else { "http" };
            let page = proxy.stats.as_ref().map_or("/", |stats| &*stats.uri);
            let what = if proxy.stats.is_some() { "statistics" } else { "frontend" };
            lines.insert(format!("{what} {}: {scheme}://{address}{page}", proxy.name));
        }
    }
    for line in lines.iter().take(SHOWN_MAX) {
        tell(control, Level::Notice, line);
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

/// Tells the state of every server (SIGHUP; manual: management, section 4).
pub fn dump_servers(control: &Control) {
    const LEVEL_NOTICE: u8 = 5;
    tell(control, Level::Warning, "SIGHUP received, dumping servers states.");
    for proxy in control.model().proxies.iter() {
        let log = |text: &str| announce::log(control, proxy, LEVEL_NOTICE, text);
        log(&format!("SIGHUP received, dumping servers states for proxy {}.", proxy.name));
        for server in &proxy.servers {
            let state = if server.state.operational() == Operational::Stopped { "DOWN" } else { "UP" };
            let text = format!(
                "SIGHUP: Server {}/{} is {state}. Conn: {} act, {} pend, {} tot.",
                proxy.name,
                server.name,
                server.state.served.load(Relaxed),
                server.state.queue.len(),
                server.state.counters.sum(counter::SESSIONS),
            );
            tell(control, Level::Warning, &text);
            log(&text);
        }
        let text = summary(proxy);
        tell(control, Level::Warning, &text);
        log(&text);
    }
}

fn summary(proxy: &Proxy) -> String {
    let state = &proxy.state;
    let usable = |backup: bool| {
        let servers = proxy.servers.iter().filter(|server| server.backup == backup);
        servers.filter(|server| server.state.is_eligible()).count()
    };
    let (active, backup) = (usable(false), usable(true));
    let what = if proxy.servers.is_empty() {
        "has no servers.".to_owned()
    } else if active > 0 {
        format!("has {active} active servers and {backup} backup servers available.")
    } else if backup > 0 {
        "is running on backup servers !".to_owned()
    } else {
        "has no server available !".to_owned()
    };
    let unassigned = state.queue.len();
    let pending = proxy.servers.iter().map(|server| server.state.queue.len()).sum::<u32>() + unassigned;
    format!(
        "SIGHUP: Proxy {} {what} Conn: act(FE+BE): {}+{}, {pending} pend ({unassigned} unass), tot(FE+BE): {}+{}.",
        proxy.name,
        state.frontend_current.load(Relaxed),
        state.backend_current.load(Relaxed),
        state.frontend.sum(fe::CONNECTIONS),
        state.backend.sum(be::SESSIONS),
    )
}
