//! `set server` and `set weight`: every way an operator changes a server.

use std::sync::Arc;

use super::server::{CAUSE, find_server};
use crate::control::admin::{Call, Command, Flow, Severity};
use crate::control::resolvers::{self, NoName};
use crate::control::servers::{self, AdminOrder, CheckKind};
use crate::model::Proxy;
use crate::model::bind::CliLevel::Admin;
use crate::state::ServerState;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["set", "server"], arguments: "<bk>/<srv> [opts]", text: "change a server's state, health, weight or address", level: Admin, run: set_server },
    Command { words: &["set", "weight"], arguments: "<bk>/<srv> <weight>", text: "change a server's weight (see 'set server')", level: Admin, run: set_weight },
    Command { words: &["set", "maxconn", "server"], arguments: "<bk>/<srv> <value>", text: "change a server's maxconn setting", level: Admin, run: set_maxconn },
];

/// One thing `set server` changes.
struct Setting {
    word: &'static str,
    run: fn(&mut Call<'_>, &Arc<Proxy>, &Arc<ServerState>) -> Flow,
}

/// Words 4 and on are the setting's own.
#[rustfmt::skip]
static SETTINGS: &[Setting] = &[
    Setting { word: "addr", run: address },
    Setting { word: "agent", run: agent },
    Setting { word: "agent-addr", run: |call, _, server| check_address(call, server, CheckKind::Agent) },
    Setting { word: "agent-port", run: |call, _, server| check_port(call, server, CheckKind::Agent) },
    Setting { word: "agent-send", run: agent_send },
    Setting { word: "check-addr", run: |call, _, server| check_address(call, server, CheckKind::Health) },
    Setting { word: "check-port", run: |call, _, server| check_port(call, server, CheckKind::Health) },
    Setting { word: "fqdn", run: fqdn },
    Setting { word: "health", run: health },
    Setting { word: "name", run: |call, _, _| call.error("set server <b>/<s> name is not available: names come from the configuration.") },
    Setting { word: "ssl", run: |call, _, _| call.say(Severity::Notice, "server ssl setting not supported.") },
    Setting { word: "state", run: state },
    Setting { word: "weight", run: |call, _, server| weight(call, server, 4) },
];

fn set_server(call: &mut Call<'_>) -> Flow {
    let Some((proxy, server)) = find_server(call, 2) else { return Flow::Done };
    match SETTINGS.iter().find(|setting| setting.word == call.arg(3)) {
        Some(setting) => (setting.run)(call, &proxy, &server),
        None => {
            let words: Vec<_> = SETTINGS.iter().map(|setting| setting.word).collect();
            call.error(&format!("usage: set server <backend>/<server> {}", words.join(" | ")))
        }
    }
}

fn state(call: &mut Call<'_>, _: &Arc<Proxy>, server: &Arc<ServerState>) -> Flow {
    let order = match call.arg(4) {
        "ready" => AdminOrder::Ready,
        "drain" => AdminOrder::Drain,
        "maint" => AdminOrder::Maint,
        _ => return call.error("'set server <srv> state' expects 'ready', 'drain' and 'maint'."),
    };
    servers::set_admin(call.control, server, order, "");
    Flow::Done
}

fn health(call: &mut Call<'_>, _: &Arc<Proxy>, server: &Arc<ServerState>) -> Flow {
    let done = servers::set_health(call.control, server, call.arg(4));
    finish(call, done)
}

fn agent(call: &mut Call<'_>, _: &Arc<Proxy>, server: &Arc<ServerState>) -> Flow {
    let done = servers::set_agent(call.control, server, call.arg(4));
    finish(call, done)
}

fn weight(call: &mut Call<'_>, server: &Arc<ServerState>, index: usize) -> Flow {
    let done = servers::set_weight(call.control, server, call.arg(index));
    finish(call, done)
}

fn address(call: &mut Call<'_>, _: &Arc<Proxy>, server: &Arc<ServerState>) -> Flow {
    if call.arg(4).is_empty() {
        return call.error("set server <b>/<s> addr requires an address and optionally a port.");
    }
    let port = (call.arg(5) == "port").then(|| call.arg(6));
    let changed = servers::endpoint::set_address(call.control, server, Some(call.arg(4)), port, CAUSE);
    match changed {
        Ok(text) | Err(text) if text.is_empty() => Flow::Done,
        Ok(text) | Err(text) => call.say(Severity::Warning, &text),
    }
}

fn fqdn(call: &mut Call<'_>, _: &Arc<Proxy>, server: &Arc<ServerState>) -> Flow {
    if call.arg(4).is_empty() {
        return call.error("set server <b>/<s> fqdn requires a FQDN.");
    }
    match resolvers::set_name(server, call.arg(4), CAUSE) {
        Ok(text) | Err(NoName::Refused(text)) => call.say(Severity::Warning, &text),
        Err(NoName::NotResolved) => {
            call.error("set server <b>/<s> fqdn failed because no resolution is configured.")
        }
        Err(NoName::OfService) => {
            call.error("set server <b>/<s> fqdn failed because SRV resolution is configured.")
        }
    }
}

fn check_address(call: &mut Call<'_>, server: &Arc<ServerState>, kind: CheckKind) -> Flow {
    if call.arg(4).is_empty() {
        let which = call.arg(3).to_owned();
        return call.error(&format!("set server <b>/<s> {which} requires an address and optionally a port."));
    }
    let port = (call.arg(5) == "port").then(|| call.arg(6));
    let done = servers::set_check_target(server, kind, Some(call.arg(4)), port);
    finish(call, done)
}

fn check_port(call: &mut Call<'_>, server: &Arc<ServerState>, kind: CheckKind) -> Flow {
    if call.arg(4).is_empty() {
        let which = call.arg(3).to_owned();
        return call.error(&format!("set server <b>/<s> {which} requires a port."));
    }
    let done = servers::set_check_target(server, kind, None, Some(call.arg(4)));
    finish(call, done)
}

fn agent_send(call: &mut Call<'_>, _: &Arc<Proxy>, server: &Arc<ServerState>) -> Flow {
    if call.arg(4).is_empty() {
        return call.error("'set server <srv> agent-send' expects a string.");
    }
    let done = servers::set_agent_send(server, call.arg(4));
    finish(call, done)
}

fn finish(call: &mut Call<'_>, done: Result<(), String>) -> Flow {
    match done {
        Ok(()) => Flow::Done,
        Err(text) => call.error(&text),
    }
}

fn set_weight(call: &mut Call<'_>) -> Flow {
    let Some((_, server)) = find_server(call, 2) else { return Flow::Done };
    weight(call, &server, 3)
}

fn set_maxconn(call: &mut Call<'_>) -> Flow {
    let Some((_, server)) = find_server(call, 3) else { return Flow::Done };
    let done = servers::set_maxconn(call.control, &server, call.arg(4));
    finish(call, done)
}

#[cfg(test)]
mod tests {
    use crate::control::mock::{ask, control};
    use crate::model::bind::CliLevel::Admin;

    #[test]
    fn mistakes_are_told() {
        let control = control();
        for (line, expected) in [
            ("set server be/s1 state up", "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"),
            ("set server be/s1 health", "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n"),
            ("set server be/s1 agent up", "agent checks are not enabled on this server.\n"),
            ("set server be/s1 agent-send x", "agent checks are not enabled on this server.\n"),
            ("set server be/s1 agent-addr ::1", "agent checks are not enabled on this server\n"),
            ("set server be/s1 check-port 80", "health checks are not enabled on this server\n"),
            ("set server be/s1 check-port", "set server <b>/<s> check-port requires a port.\n"),
            (
                "set server be/s1 check-addr",
                "set server <b>/<s> check-addr requires an address and optionally a port.\n",
            ),
            ("set server be/s1 weight", "Require <weight> or <weight%>.\n"),
            ("set server be/s1 addr", "set server <b>/<s> addr requires an address and optionally a port.\n"),
            (
                "set server be/s1",
                "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | \
                 check-addr | check-port | fqdn | health | name | ssl | state | weight\n",
            ),
            ("set maxconn server be/s1", "Require <maxconn>.\n"),
            ("set maxconn server be/s1 x", "maxconn string empty or preceded by garbage\n"),
            ("set maxconn server be/s1 5x", "Trailing garbage in maxconn string\n"),
        ] {
            assert_eq!(ask(&control, Admin, line), expected, "{line}");
        }
    }

    #[test]
    fn a_server_without_an_address_gets_none() {
        let control = control();
        let state = control.model().proxies[1].servers[0].state.clone();
        state.endpoint.store(std::sync::Arc::new(crate::state::server::Endpoint::UNKNOWN));
        assert_eq!(
            ask(&control, Admin, "set server be/s1 addr 127.0.0.1 port 80"),
            "Update for the current server address family is only supported through configuration file.\n"
        );
        assert!(!state.endpoint.load().is_resolved());
    }

    #[test]
    fn maxconn_changes_and_wakes() {
        let control = control();
        assert_eq!(ask(&control, Admin, "set maxconn server be/s1 7"), "");
        let model = control.model();
        let state = &model.proxies[1].servers[0].state;
        assert_eq!(state.maxconn.load(std::sync::atomic::Ordering::Relaxed), 7);
        assert_eq!(crate::control::mock::calls(), ["wake_queue be"]);
    }
}
