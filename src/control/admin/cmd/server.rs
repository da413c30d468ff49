//! Servers: look at them, switch them on and off.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::base::clock;
use crate::base::id::ServerId;
use crate::control::admin::{Call, Command, Flow, Later, PART_BYTES, Parts, ask};
use crate::control::servers::{self, AdminOrder, CheckKind};
use crate::model::bind::CliLevel::{Admin, User};
use crate::model::{Proxy, Server};
use crate::net::timer::Kill;
use crate::state::ServerState;
use crate::state::server::{Endpoint, counter};
use crate::stats::{rows, servers_state};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "servers", "state"], arguments: "[<backend>]", text: "show what a server-state file holds (all or one backend)", level: User, run: show_state },
    Command { words: &["show", "servers", "conn"], arguments: "[<backend>]", text: "show the connections of servers (all or one backend)", level: User, run: show_connections },
    Command { words: &["show", "backend"], arguments: "", text: "list the backends", level: User, run: show_backend },
    Command { words: &["enable", "server"], arguments: "<bk>/<srv>", text: "end a server's maintenance (see 'set server')", level: Admin, run: |call| order(call, AdminOrder::Ready) },
    Command { words: &["disable", "server"], arguments: "<bk>/<srv>", text: "put a server into maintenance (see 'set server')", level: Admin, run: |call| order(call, AdminOrder::Maint) },
    Command { words: &["enable", "health"], arguments: "<bk>/<srv>", text: "enable health checks", level: Admin, run: |call| switch(call, CheckKind::Health, true) },
    Command { words: &["disable", "health"], arguments: "<bk>/<srv>", text: "disable health checks", level: Admin, run: |call| switch(call, CheckKind::Health, false) },
    Command { words: &["enable", "agent"], arguments: "<bk>/<srv>", text: "enable agent checks", level: Admin, run: |call| switch(call, CheckKind::Agent, true) },
    Command { words: &["disable", "agent"], arguments: "<bk>/<srv>", text: "disable agent checks", level: Admin, run: |call| switch(call, CheckKind::Agent, false) },
    Command { words: &["get", "weight"], arguments: "<bk>/<srv>", text: "report a server's current weight", level: User, run: get_weight },
    Command { words: &["shutdown", "sessions", "server"], arguments: "<bk>/<srv>", text: "kill sessions on a server", level: Admin, run: shutdown_sessions },
];

/// The origin of a server's change, in log lines and answers.
pub const CAUSE: &str = "stats socket command";

/// The server that word number `index` names (`be/srv`, `#2/#1`), or what is wrong with it.
pub fn find_server_quietly(
    call: &Call<'_>,
    index: usize,
) -> Result<(Arc<Proxy>, Arc<ServerState>), &'static str> {
    let named = call.arg(index).split_once('/').filter(|(_, server)| !server.is_empty());
    let Some((backend, server)) = named else { return Err("Require 'backend/server'.") };
    let model = call.control.model();
    let numbered = |word: &str| word.strip_prefix('#').and_then(|number| number.parse::<u32>().ok());
    let proxy = match numbered(backend) {
        Some(number) => model.proxies.iter().find(|proxy| proxy.is_backend && proxy.id == number),
        None => model.backend(backend),
    };
    let Some(proxy) = proxy else { return Err("No such backend.") };
    let live = proxy.state.servers.load();
    let number = numbered(server);
    let found = rows::servers(proxy, &live).map(|(state, _)| state).find(|state| match number {
        Some(number) => state.id.load(Relaxed) == number,
        None => *state.name == *server,
    });
    match found {
        Some(state) => Ok((proxy.clone(), state.clone())),
        None => Err("No such server."),
    }
}

/// The server that word number `index` names; says what is wrong if there is none.
pub fn find_server(call: &mut Call<'_>, index: usize) -> Option<(Arc<Proxy>, Arc<ServerState>)> {
    match find_server_quietly(call, index) {
        Ok((proxy, _)) if proxy.disabled => {
            call.error("Proxy is disabled.");
            None
        }
        Ok(found) => Some(found),
        Err(text) => {
            call.error(text);
            None
        }
    }
}

/// The backends wanted: all, or the one that word 3 names.
fn backends(call: &mut Call<'_>) -> Option<Vec<Arc<Proxy>>> {
    let model = call.control.model();
    if call.arg(3).is_empty() {
        return Some(model.proxies.iter().filter(|proxy| proxy.is_backend).cloned().collect());
    }
    let Some(proxy) = model.backend(call.arg(3)) else {
        call.error("Can't find backend.");
        return None;
    };
    Some(vec![proxy.clone()])
}

fn show_state(call: &mut Call<'_>) -> Flow {
    let Some(backends) = backends(call) else { return Flow::Done };
    call.print(servers_state::HEADER);
    let now = clock::read().wall_secs();
    each_server(backends, move |proxy, _, config, out| {
        if let Some(server) = config {
            out.extend_from_slice(servers_state::row(proxy, server, now).as_bytes());
        }
    })
}

/// An answer with what `row` makes of every server.
fn each_server(
    backends: Vec<Arc<Proxy>>,
    mut row: impl FnMut(&Proxy, &Arc<ServerState>, Option<&Server>, &mut Vec<u8>) + 'static,
) -> Flow {
    let (mut at, mut server) = (0, 0);
    Flow::Parts(Parts::new(move |out| {
        while out.len() < PART_BYTES {
            let Some(proxy) = backends.get(at) else { return false };
            let live = proxy.state.servers.load();
            match rows::server(proxy, &live, server) {
                Some((state, config)) => {
                    row(proxy, state, config, out);
                    server += 1;
                }
                None => (at, server) = (at + 1, 0),
            }
        }
        true
    }))
}

fn show_connections(call: &mut Call<'_>) -> Flow {
    let Some(backends) = backends(call) else { return Flow::Done };
    let control = call.control.clone();
    Later::flow(async move {
        let mut idle: HashMap<ServerId, Vec<u32>> = HashMap::new();
        for thread in 0..control.threads {
            // A server has several counts where connections differ by the header they began with.
            for (key, count) in ask(|tell| control.cores.idle(thread, tell)).await {
                idle.entry(key).or_insert_with(|| vec![0; control.threads])[thread] += count;
            }
        }
        let head = format!(
            "# bkname/svname bkid/svid addr port - purge_delay served used_cur used_max need_est \
             idle_sess unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[{}]\n",
            control.threads
        );
        let none = vec![0; control.threads];
        let rows = each_server(backends, move |proxy, state, config, out| {
            let per_thread = idle.get(&state.ident).unwrap_or(&none);
            connections(proxy, state, config, per_thread, out);
        });
        (head.into_bytes(), rows)
    })
}

/// The line of a server in `show servers conn`.
fn connections(
    proxy: &Proxy,
    state: &ServerState,
    config: Option<&Server>,
    idle_per_thread: &[u32],
    out: &mut Vec<u8>,
) {
    let (address, port) = match &**state.endpoint.load() {
        Endpoint::Inet { address, .. } => (address.ip().to_string(), address.port()),
        Endpoint::Unix(_) | Endpoint::Unresolved { .. } => ("-".to_owned(), 0),
    };
    let (served, idle) = (state.served.load(Relaxed), state.idle.load(Relaxed));
    let most = state.counters.max(counter::SESSIONS_MAX);
    let purge = config.map_or(5000, |server| server.pool_purge_delay_ms);
    let limit = config.map_or(-1, |server| server.pool_max_conn);
    // Idle connections are in pools, not with sessions, and all of them safe.
    let text = format!(
        "{}/{} {}/{} {address} {port} - {purge} {served} {served} {most} {served} 0 0 {idle} {limit} {idle}",
        proxy.name,
        state.name,
        proxy.id,
        state.id.load(Relaxed),
    );
    out.extend_from_slice(text.as_bytes());
    for count in idle_per_thread {
        out.extend_from_slice(format!(" {count}").as_bytes());
    }
    out.push(b'\n');
}

fn show_backend(call: &mut Call<'_>) -> Flow {
    let mut text = String::from("# name\n");
    for proxy in call.control.model().proxies.iter().filter(|proxy| proxy.is_backend) {
        let _ = writeln!(text, "{}", proxy.name);
    }
    call.print(text);
    Flow::Done
}

fn order(call: &mut Call<'_>, order: AdminOrder) -> Flow {
    if let Some((_, state)) = find_server(call, 2) {
        servers::set_admin(call.control, &state, order, "");
    }
    Flow::Done
}

fn switch(call: &mut Call<'_>, kind: CheckKind, on: bool) -> Flow {
    let Some((_, state)) = find_server(call, 2) else { return Flow::Done };
    match servers::enable_check(&state, kind, on) {
        Ok(()) => Flow::Done,
        Err(text) => call.error(&text),
    }
}

fn get_weight(call: &mut Call<'_>) -> Flow {
    match find_server_quietly(call, 2) {
        Ok((_, state)) => {
            call.print(format!("{} (initial {})\n", state.user_weight(), state.initial_weight()));
            Flow::Done
        }
        Err(text) => call.error(text),
    }
}

fn shutdown_sessions(call: &mut Call<'_>) -> Flow {
    if let Some((_, state)) = find_server(call, 3) {
        call.control.cores.shutdown_server_sessions(&state, Kill::Operator);
    }
    Flow::Done
}

#[cfg(test)]
mod tests {
    use crate::control::mock::{ask, control};
    use crate::model::bind::CliLevel::{Admin, Operator};

    #[test]
    fn servers_are_found_or_not() {
        let control = control();
        for (line, expected) in [
            ("get weight be/s1", "1 (initial 1)\n"),
            ("get weight #3/#2", "1 (initial 1)\n"),
            ("get weight be", "Require 'backend/server'.\n"),
            ("get weight be/", "Require 'backend/server'.\n"),
            ("get weight fe/s1", "No such backend.\n"),
            ("get weight be/s9", "No such server.\n"),
            ("disable server nope", "Require 'backend/server'.\n"),
            ("enable agent be/s1", "Agent was not configured on this server, cannot enable.\n"),
            ("show backend", "# name\nbe\n"),
            ("show servers state nope", "Can't find backend.\n"),
        ] {
            assert_eq!(ask(&control, Admin, line), expected, "{line}");
        }
        assert_eq!(ask(&control, Operator, "disable server be/s1"), "Permission denied\n");
    }

    #[test]
    fn states_and_connections_have_a_line_each() {
        let control = control();
        let text = ask(&control, Operator, "show servers state be");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[2].starts_with("3 be 1 s1 127.0.0.1 2 0 1 1 "), "{text}");
        let text = ask(&control, Operator, "show servers conn");
        assert!(text.contains("\nbe/s1 3/1 127.0.0.1 8001 - 5000 0 0 0 0 0 0 0 -1 0 3 4\n"), "{text}");
    }

    #[test]
    fn checks_are_switched() {
        let control = control();
        let state = control.model().proxies[1].servers[0].state.clone();
        let configured = crate::state::server::CheckReport { configured: true, ..Default::default() };
        state.check.store(std::sync::Arc::new(configured));
        assert_eq!(ask(&control, Admin, "enable health be/s1"), "");
        assert!(state.check.load().enabled);
        assert_eq!(ask(&control, Admin, "disable health be/s1"), "");
        assert!(!state.check.load().enabled);
    }
}
