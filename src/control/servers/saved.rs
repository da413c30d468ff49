//! Server-state files: what `show servers state` told of an earlier process is given to the servers of this one,
//! before traffic comes (manual, section 4.2 `load-server-state-from-file`).
//!
//! What the configuration changed since then wins over what was changed at run time. A file that is damaged
//! changes nothing, a line that is damaged changes no other server.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::reports;
use crate::base::text::of_error;
use crate::diag::{Level, Report, Span};
use crate::health::status::{self, flag};
use crate::model::proxy::SavedState;
use crate::model::{Model, Proxy, Server};
use crate::state::server::{Endpoint, Operational, admin};

/// Fields of a line, at least and at most.
const FIELDS: std::ops::RangeInclusive<usize> = 20..=25;
/// The greatest weight.
const WEIGHT_MAX: u32 = 256;

/// Lines by the names of backend and server.
type Lines<'t> = HashMap<(&'t str, &'t str), Vec<&'t str>>;

/// Gives the servers of a model what its state files say; `now_s` is the wall clock in seconds. What is wrong
/// with a file is a warning, that there is none a notice.
pub fn restore(model: &Model, now_s: u64, read: impl Fn(&str) -> io::Result<Vec<u8>>, report: &mut Report) {
    let base = model.global.server_state_base.as_deref();
    let path = |name: &str| match base {
        Some(base) if !name.starts_with('/') => format!("{}/{name}", base.trim_end_matches('/')),
        _ => name.to_owned(),
    };
    let open = |whose: &str, path: &str, report: &mut Report| match read(path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            let level = if error.kind() == io::ErrorKind::NotFound { Level::Notice } else { Level::Warning };
            report.push(level, Span::NONE, format!("{whose}: cannot open '{path}' ({})", of_error(&error)));
            None
        }
    };
    let global = model.global.server_state_file.as_deref().map(path);
    let global_text = global.as_ref().and_then(|path| open("server-state-file", path, report));
    let global_lines = match (&global, &global_text) {
        (Some(path), Some(text)) => parse(path, text, report),
        _ => None,
    };
    let proxies = || model.proxies.iter().filter(|proxy| proxy.is_backend && !proxy.disabled);
    if global.is_none()
        && let Some(proxy) = proxies().find(|proxy| matches!(proxy.saved_state, SavedState::Global))
    {
        let message =
            format!("proxy '{}': 'load-server-state-from-file global' has no file to read", proxy.name);
        report.warning(Span::NONE, message).help("name it with 'server-state-file' in 'global'");
    }
    for proxy in proxies() {
        match &proxy.saved_state {
            SavedState::None => {}
            SavedState::Global => {
                let Some(lines) = &global_lines else { continue };
                for server in &proxy.servers {
                    if let Some(fields) = lines.get(&(&*proxy.name, &*server.name)) {
                        give(proxy, server, fields, now_s, report);
                    }
                }
            }
            SavedState::Local(name) if !proxy.servers.is_empty() => {
                let path = path(name);
                let Some(text) = open(&format!("proxy '{}'", proxy.name), &path, report) else { continue };
                if let Some(lines) = parse(&path, &text, report) {
                    give_local(proxy, &path, lines, now_s, report);
                }
            }
            SavedState::Local(_) => {}
        }
    }
}

/// The lines of a file; none, with a warning, if any of it is damaged.
fn parse<'t>(path: &str, text: &'t str, report: &mut Report) -> Option<Lines<'t>> {
    let mut rows = text.split_inclusive('\n').enumerate();
    match rows.next() {
        None => {
            report.notice(Span::NONE, format!("the server state file '{path}' is empty"));
            return None;
        }
        Some((_, "1\n")) => {}
        Some(_) => {
            let message = format!("the server state file '{path}' does not begin with a known version");
            report.warning(Span::NONE, message).help("it is what 'show servers state' writes");
            return None;
        }
    }
    let mut lines = Lines::new();
    for (number, row) in rows {
        let fields: Vec<&str> = row.split_ascii_whitespace().collect();
        if fields.first().is_none_or(|first| first.starts_with('#')) {
            continue;
        }
        if !row.ends_with('\n') || !FIELDS.contains(&fields.len()) {
            let message = format!("the server state file '{path}' is corrupted at line {}", number + 1);
            report.warning(Span::NONE, message).help("nothing of it is used");
            return None;
        }
        lines.entry((fields[1], fields[3])).or_insert(fields);
    }
    Some(lines)
}

/// Lines of a backend's own file, which may name it otherwise.
fn give_local(proxy: &Proxy, path: &str, lines: Lines<'_>, now_s: u64, report: &mut Report) {
    for ((backend, name), fields) in lines {
        let same_id = fields[0].parse() == Ok(proxy.id);
        let same_name = backend == &*proxy.name;
        if !same_id && !same_name {
            continue;
        }
        if !same_name {
            let message = format!("proxy '{}': '{path}' calls the backend '{backend}'", proxy.name);
            report.warning(Span::NONE, message);
            // Its number was given by hand, so it is the same one under another name.
            if fields[15] != "1" {
                continue;
            }
        } else if !same_id {
            let message = format!(
                "proxy '{}': '{path}' gives it the id {}, it has {}",
                proxy.name, fields[0], proxy.id
            );
            report.warning(Span::NONE, message);
        }
        match proxy.servers.iter().find(|server| *server.name == *name) {
            Some(server) => give(proxy, server, &fields, now_s, report),
            None => {
                let message =
                    format!("proxy '{}': '{path}' has a server '{name}' that is not there", proxy.name);
                report.warning(Span::NONE, message);
            }
        }
    }
}

/// What a line says, read and checked.
struct Saved {
    operational: Operational,
    admin: u8,
    user_weight: u32,
    initial_weight: u32,
    since_s: u64,
    check_result: u8,
    health: i32,
    check_state: u8,
    agent_state: u8,
    port: u16,
}

fn read_fields(fields: &[&str]) -> Result<Saved, String> {
    fn number<T: std::str::FromStr>(fields: &[&str], at: usize, name: &str) -> Result<T, String> {
        fields[at].parse().map_err(|_| format!("invalid {name} value '{}'", fields[at]))
    }
    let invalid = |at: usize, name: &str| Err(format!("invalid {name} value '{}'", fields[at]));
    let operational = match fields[5] {
        "0" => Operational::Stopped,
        // A server that was warming up has had its time by now.
        "1" | "2" => Operational::Running,
        "3" => Operational::Stopping,
        _ => return invalid(5, "srv_op_state"),
    };
    // What is inherited, and what resolution says, is found anew.
    let inherited = admin::IMAINT | admin::IDRAIN | admin::RMAINT | FQDN_CHANGED;
    let admin = number::<u8>(fields, 6, "srv_admin_state")? & !inherited;
    if admin & !(admin::FMAINT | admin::CMAINT | admin::FDRAIN) != 0 {
        return invalid(6, "srv_admin_state");
    }
    let saved = Saved {
        operational,
        admin,
        user_weight: number(fields, 7, "srv_uweight")?,
        initial_weight: number(fields, 8, "srv_iweight")?,
        since_s: number(fields, 9, "srv_time_since_last_change")?,
        check_result: number(fields, 11, "srv_check_result")?,
        health: number(fields, 12, "srv_check_health")?,
        check_state: number(fields, 13, "srv_check_state")?,
        agent_state: number(fields, 14, "srv_agent_state")?,
        port: number(fields, 18, "srv_port")?,
    };
    if saved.user_weight > WEIGHT_MAX {
        return invalid(7, "srv_uweight");
    }
    if saved.check_result > 4 {
        return invalid(11, "srv_check_result");
    }
    Ok(saved)
}

/// `srv_admin_state`: the name was set at run time.
const FQDN_CHANGED: u8 = 0x40;

/// Gives one server what its line says.
fn give(proxy: &Proxy, server: &Server, fields: &[&str], now_s: u64, report: &mut Report) {
    let saved = match read_fields(fields) {
        Ok(saved) => saved,
        Err(problem) => {
            let message = format!(
                "server-state application failed for server '{}/{}', {problem}",
                proxy.name, server.name
            );
            report.warning(Span::NONE, message);
            return;
        }
    };
    let state = &server.state;
    let mut operational = saved.operational;
    reports::change(&state.check, |report| {
        if !report.configured {
            return;
        }
        let rise = report.rise;
        report.health = match operational {
            Operational::Stopped => 0,
            // A single failed check takes it down, so there is no state in between.
            Operational::Stopping if report.fall == 1 => {
                operational = Operational::Stopped;
                0
            }
            Operational::Stopping if (rise..rise + report.fall - 1).contains(&saved.health) => saved.health,
            Operational::Stopping => rise,
            Operational::Running | Operational::Starting => status::health_max(report),
        };
        report.result = saved.check_result;
        if saved.check_state & flag::CONFIGURED != 0 && saved.check_state & flag::ENABLED == 0 {
            switch_off(report);
        }
    });
    reports::change(&state.agent, |report| {
        if report.configured
            && saved.agent_state & flag::CONFIGURED != 0
            && saved.agent_state & flag::ENABLED == 0
        {
            switch_off(report);
        }
    });
    state.set_operational(operational);
    give_admin(server, &saved);
    if saved.initial_weight == state.initial_weight() {
        state.set_user_weight(saved.user_weight);
    }
    state.last_change_s.store(now_s.saturating_sub(saved.since_s), Relaxed);
    give_address(server, fields, saved.port);
}

fn switch_off(report: &mut crate::state::server::CheckReport) {
    report.enabled = false;
    report.state_flags &= !flag::ENABLED;
}

/// Maintenance and drain: the configuration's word counts where it has changed.
fn give_admin(server: &Server, saved: &Saved) {
    let state = &server.state;
    let mut flags = state.admin();
    if (saved.admin ^ flags) & admin::CMAINT == 0 {
        match (saved.admin & admin::FMAINT != 0, flags & admin::CMAINT != 0) {
            (true, false) => flags |= admin::FMAINT,
            (false, true) => flags &= !admin::FMAINT,
            _ => {}
        }
    }
    // A configured weight of 0 drains as well: that is over when the weight has changed.
    let drained = saved.admin & admin::FDRAIN != 0;
    if drained && flags & admin::FMAINT == 0 && (saved.initial_weight > 0 || state.initial_weight() == 0) {
        flags |= admin::FDRAIN;
    }
    state.set_admin(flags);
}

/// The address that a name had, as `init-addr last` wants it, and the ports.
fn give_address(server: &Server, fields: &[&str], port: u16) {
    let state = &server.state;
    let same_name = server.hostname.as_deref() == Some(fields[17]);
    let last = fields[4].parse().ok().filter(|_| same_name && server.keeps_last_address);
    match &**state.endpoint.load() {
        Endpoint::Inet { address, port_offset: None } if port != 0 => {
            let mut address = *address;
            address.set_port(port);
            if let Some(last) = last {
                address.set_ip(last);
            }
            state.endpoint.store(Arc::new(Endpoint::Inet { address, port_offset: None }));
        }
        Endpoint::Unresolved { port: configured, port_offset } => {
            if let Some(last) = last {
                let port = if port_offset.is_some() { *configured } else { port };
                let address = std::net::SocketAddr::new(last, port);
                state.endpoint.store(Arc::new(Endpoint::Inet { address, port_offset: *port_offset }));
                state.set_admin(state.admin() & !admin::RMAINT);
            }
        }
        _ => {}
    }
    let field = |at: usize| fields.get(at).copied().unwrap_or("-");
    for (cell, ip, port) in [(&state.check, 22, 21), (&state.agent, 23, 24)] {
        reports::change(cell, |report| {
            if report.configured {
                report.address = field(ip).parse().ok().or(report.address);
                report.port = field(port).parse().ok().filter(|port| *port != 0).or(report.port);
            }
        });
    }
}
