//! The status of objects in HAProxy's words (`UP 1/3`, `DRAIN`, `MAINT (via be/srv)`, `OPEN`).

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

use super::subject::{BackendFacts, ServerFacts};
use crate::model::Proxy;
use crate::state::proxy::FrontendStatus;
use crate::state::server::{CheckReport, Operational, admin};

/// A check is running right now (a bit of [`CheckReport::state_flags`]).
const IN_PROGRESS: u8 = 0x01;
/// Checks pause while the server is in maintenance (a bit of [`CheckReport::state_flags`]).
const PAUSED: u8 = 0x08;

/// Whether a check is configured and switched on.
pub fn is_enabled(check: &CheckReport) -> bool {
    check.configured && check.enabled
}

/// Whether a check is switched on and not paused by maintenance: its results are current.
pub fn is_active(check: &CheckReport) -> bool {
    is_enabled(check) && check.state_flags & PAUSED == 0
}

/// The label of the last result, after `* ` while the next check runs.
pub fn check_label(check: &CheckReport) -> Cow<'static, str> {
    let label = if check.label.is_empty() { "INI" } else { check.label };
    if check.state_flags & IN_PROGRESS != 0 { format!("* {label}").into() } else { label.into() }
}

/// How a server stands apart from maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Standing {
    Down,
    DownAgent,
    GoingUp,
    UpGoingDown,
    Up,
    NolbGoingDown,
    Nolb,
    DrainGoingDown,
    Drain,
    DrainAgent,
    NoCheck,
}

/// Works out a server's standing from its state and the checks that decide about it.
pub fn standing(facts: &ServerFacts<'_>) -> Standing {
    let check = &facts.deciding;
    let full = check.health >= check.rise + check.fall - 1;
    match facts.state.operational() {
        Operational::Running | Operational::Starting => {
            let going_down = is_enabled(check) && !full;
            if facts.state.admin() & admin::DRAIN != 0 {
                return match (is_enabled(&facts.deciding_agent), going_down) {
                    (true, _) => Standing::DrainAgent,
                    (false, true) => Standing::DrainGoingDown,
                    (false, false) => Standing::Drain,
                };
            }
            match (going_down, is_enabled(check)) {
                (true, _) => Standing::UpGoingDown,
                (false, true) => Standing::Up,
                (false, false) => Standing::NoCheck,
            }
        }
        Operational::Stopping => {
            let tracks = facts.config.is_some_and(|server| server.track.is_some());
            if (!is_enabled(&facts.check) && !tracks) || full {
                Standing::Nolb
            } else {
                Standing::NolbGoingDown
            }
        }
        Operational::Stopped => {
            let agent = &facts.deciding_agent;
            if is_enabled(agent) && agent.health == 0 {
                Standing::DownAgent
            } else if is_enabled(check) && check.health == 0 {
                Standing::Down
            } else if is_enabled(agent) || is_enabled(check) {
                Standing::GoingUp
            } else {
                Standing::Down
            }
        }
    }
}

/// The status of a server.
pub fn server(facts: &ServerFacts<'_>) -> Cow<'static, str> {
    let flags = facts.state.admin();
    if flags & admin::RMAINT != 0 {
        return "MAINT (resolution)".into();
    }
    if flags & admin::IMAINT != 0 {
        let via = facts.config.and_then(|server| server.track.as_ref()).unwrap_or(facts.state);
        return format!("MAINT (via {}/{})", via.backend, via.name).into();
    }
    if flags & admin::MAINT != 0 {
        return "MAINT".into();
    }
    let check = &facts.deciding;
    // Checks passed of those needed, counted from the side the server is on.
    let (passed, needed) = if facts.deciding_is_up {
        (check.health - check.rise + 1, check.fall)
    } else {
        (check.health, check.rise)
    };
    match standing(facts) {
        Standing::Down => "DOWN".into(),
        Standing::DownAgent => "DOWN (agent)".into(),
        Standing::GoingUp => format!("DOWN {passed}/{needed}").into(),
        Standing::UpGoingDown => format!("UP {passed}/{needed}").into(),
        Standing::Up => "UP".into(),
        Standing::NolbGoingDown => format!("NOLB {passed}/{needed}").into(),
        Standing::Nolb => "NOLB".into(),
        Standing::DrainGoingDown => format!("DRAIN {passed}/{needed}").into(),
        Standing::Drain => "DRAIN".into(),
        Standing::DrainAgent => "DRAIN (agent)".into(),
        Standing::NoCheck => "no check".into(),
    }
}

/// The status of a backend: up as long as it has a usable server, or none at all.
pub fn backend(facts: &BackendFacts, count_servers: bool) -> Cow<'static, str> {
    let word = if facts.weight > 0 || facts.servers == 0 { "UP" } else { "DOWN" };
    if count_servers { format!("{word} ({}/{})", facts.up, facts.servers).into() } else { word.into() }
}

/// The status of a frontend.
pub fn frontend(proxy: &Proxy) -> &'static str {
    const FULL: u8 = FrontendStatus::Full as u8;
    const PAUSED: u8 = FrontendStatus::Paused as u8;
    const STOPPED: u8 = FrontendStatus::Stopped as u8;
    match proxy.state.frontend_status.load(Relaxed) {
        _ if proxy.disabled => "STOP",
        FULL => "FULL",
        PAUSED => "PAUSED",
        STOPPED => "STOP",
        _ => "OPEN",
    }
}

/// The status of a listener.
pub fn listener(proxy: &Proxy) -> &'static str {
    match frontend(proxy) {
        "FULL" => "FULL",
        "OPEN" => "OPEN",
        _ => "WAITING",
    }
}
