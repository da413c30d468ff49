//! Where a server is: its address, port and host name, as operators and name servers change them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::announce::{level, log, say};
use super::transition::{clear_flag, set_flag};
use super::{Control, View, leading_number};
use crate::state::ServerState;
use crate::state::server::{Endpoint, admin};
use crate::wire::dns::Name;

/// The answer to an order that changes nothing.
const NOTHING_CHANGED: &str = "nothing changed";

/// The port of a server, and the offset that makes it one of the client's.
type Port = (u16, Option<i32>);

/// What an endpoint of addresses holds; `None` for a path, which nothing changes at run time.
fn parts(endpoint: &Endpoint) -> Option<(Option<IpAddr>, Port)> {
    match endpoint {
        Endpoint::Inet { address, port_offset } => Some((Some(address.ip()), (address.port(), *port_offset))),
        Endpoint::Unresolved { port, port_offset } => Some((None, (*port, *port_offset))),
        Endpoint::Unix(_) => None,
    }
}

/// `set server b/s addr A [port P]`: the answer to print.
pub fn set_address(
    control: &Control,
    server: &Arc<ServerState>,
    address: Option<&str>,
    port: Option<&str>,
    by: &str,
) -> Result<String, String> {
    // A server whose name was never resolved has no family either: its address is not an operator's to tell.
    let Some((Some(old_ip), old_port)) = parts(&server.endpoint.load()) else {
        return Err(
            "Update for the current server address family is only supported through configuration file."
                .to_owned(),
        );
    };
    let ip: IpAddr = match address {
        Some(text) => text.parse().map_err(|_| format!("Invalid addr '{text}'"))?,
        None => old_ip,
    };
    let port = match port {
        None => old_port,
        Some(text) => {
            let invalid = || format!("problem converting port '{text}' to an int");
            let (number, _) = leading_number(text).ok_or_else(invalid)?;
            // A number beyond a port's range would silently become another port.
            if text.starts_with(['+', '-']) {
                let offset = i32::try_from(number).ok().filter(|offset| offset.abs() <= i32::from(u16::MAX));
                (0, Some(offset.ok_or_else(invalid)?))
            } else {
                (u16::try_from(number).map_err(|_| invalid())?, None)
            }
        }
    };
    change(control, server, ip, port, by, |_| ())
}

/// Moves a server. `tell` gets the line about it before what follows from it is told.
fn change(
    control: &Control,
    server: &Arc<ServerState>,
    ip: IpAddr,
    port: Port,
    by: &str,
    tell: impl FnOnce(&str),
) -> Result<String, String> {
    let Some((old_ip, old_port)) = parts(&server.endpoint.load()) else {
        return Ok(NOTHING_CHANGED.to_owned());
    };
    let mut said = Vec::new();
    if old_ip != Some(ip) {
        let old = old_ip.map_or_else(|| "(none)".to_owned(), |old| old.to_string());
        said.push(format!("IP changed from '{old}' to '{ip}'"));
    }
    if port != old_port {
        let has_own_port = View::of(control, server)
            .server
            .and_then(|server| server.check.as_ref().map(|check| check.server.port.is_some()))
            .unwrap_or(true);
        if port.1.is_some() && old_port.1.is_none() && server.check.load().enabled && !has_own_port {
            said.push(
                "can't change <port> to port map because it is incompatible with current health check port \
                 configuration (use 'port' statement from the 'server' directive)."
                    .to_owned(),
            );
            return Err(said.join(", "));
        }
        let text = |(port, offset): Port| match offset {
            Some(offset) => format!("{offset:+}"),
            None => port.to_string(),
        };
        said.push(format!("port changed from '{}' to '{}'", text(old_port), text(port)));
    }
    if said.is_empty() {
        return Ok(NOTHING_CHANGED.to_owned());
    }
    let by = if by.is_empty() { String::new() } else { format!(" by '{by}'") };
    let text = format!("{}{by}", said.join(", "));
    let address = SocketAddr::new(ip, port.0);
    server.endpoint.store(Arc::new(Endpoint::Inet { address, port_offset: port.1 }));
    View::of(control, server).touch();
    tell(&text);
    clear_flag(control, server, admin::RMAINT);
    Ok(text)
}

/// A name server has told where a server is; `port` comes with a service. True if that is somewhere else than
/// before.
pub fn resolved(
    control: &Control,
    server: &Arc<ServerState>,
    ip: IpAddr,
    port: Option<u16>,
    by: &str,
) -> bool {
    let Some((_, old_port)) = parts(&server.endpoint.load()) else { return false };
    let port = port.map_or(old_port, |port| (port, None));
    let was_lost = server.admin() & admin::RMAINT != 0;
    let changed = change(control, server, ip, port, by, |text| {
        let line = format!("{}: {text}.", server.full_name());
        say(control, &View::of(control, server), level::NOTICE, &line);
    });
    let changed = changed.is_ok_and(|text| text != NOTHING_CHANGED);
    if changed && was_lost {
        let line =
            format!("Server {} administratively READY thanks to valid DNS answer.", server.full_name());
        say(control, &View::of(control, server), level::NOTICE, &line);
    }
    changed
}

/// A service has told the port of a server whose address is resolved by itself.
pub fn set_port(control: &Control, server: &Arc<ServerState>, port: u16) {
    let endpoint = match parts(&server.endpoint.load()) {
        Some((_, old)) if old == (port, None) => return,
        Some((Some(ip), _)) => Endpoint::Inet { address: SocketAddr::new(ip, port), port_offset: None },
        Some((None, _)) => Endpoint::Unresolved { port, port_offset: None },
        None => return,
    };
    server.endpoint.store(Arc::new(endpoint));
    View::of(control, server).touch();
}

/// The name of a server has no address (any more): maintenance, with the cause. False if it was in that already.
pub fn lost(control: &Control, server: &Arc<ServerState>, cause: &str) -> bool {
    if server.admin() & admin::RMAINT != 0 {
        return false;
    }
    let Some((_, (port, port_offset))) = parts(&server.endpoint.load()) else { return false };
    set_flag(control, server, admin::RMAINT, cause);
    server.endpoint.store(Arc::new(Endpoint::Unresolved { port, port_offset }));
    View::of(control, server).touch();
    true
}

/// A service has no use for a server any more: neither name nor address are left.
pub fn released(control: &Control, server: &Arc<ServerState>) {
    lost(control, server, "entry removed from SRV record");
    server.hostname.store(None);
}

/// `set server b/s fqdn N`, or a service's word: the line about it, or why not. The caller has the new name
/// resolved.
pub fn set_name(server: &Arc<ServerState>, name: &str, by: &str) -> Result<(String, Name), String> {
    let known = server.hostname.load();
    let known = known.as_deref().map(String::as_str);
    if known == Some(name) {
        return Err(format!("no need to change the FDQN by '{by}'"));
    }
    let parsed = Name::parse(name).map_err(|_| format!("invalid fqdn '{name}' by '{by}'"))?;
    let line = format!(
        "{} changed its FQDN from {} to {name} by '{by}'",
        server.full_name(),
        known.unwrap_or("(null)")
    );
    server.hostname.store(Some(Arc::new(name.to_owned())));
    server.set_admin(server.admin() | admin::FQDN_CHANGED);
    Ok((line, parsed))
}

/// Logs a line about a name to the backend's targets.
pub fn log_name(control: &Control, server: &Arc<ServerState>, line: &str) {
    if let Some(proxy) = &View::of(control, server).proxy {
        log(control, proxy, level::NOTICE, line);
    }
}
