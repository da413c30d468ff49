//! Frontends and limits of the process.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::stat::integer;
use crate::control::ProcessLimit;
use crate::control::admin::{Call, Command, Flow, Severity};
use crate::model::Proxy;
use crate::model::bind::CliLevel::Admin;
use crate::state::proxy::FrontendStatus;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["disable", "frontend"], arguments: "<frontend>", text: "temporarily stop accepting on a frontend", level: Admin, run: disable },
    Command { words: &["enable", "frontend"], arguments: "<frontend>", text: "accept again on a frontend", level: Admin, run: enable },
    Command { words: &["shutdown", "frontend"], arguments: "<frontend>", text: "stop a frontend for good", level: Admin, run: shutdown },
    Command { words: &["set", "maxconn", "frontend"], arguments: "<frontend> <value>", text: "change a frontend's maxconn setting", level: Admin, run: set_maxconn },
    Command { words: &["set", "maxconn", "global"], arguments: "<value>", text: "change the process's maxconn setting", level: Admin, run: set_maxconn_global },
    Command { words: &["set", "rate-limit"], arguments: "<setting> <value>", text: "change a rate limit of the process", level: Admin, run: set_rate_limit },
];

const STOPPED: u8 = FrontendStatus::Stopped as u8;
const PAUSED: u8 = FrontendStatus::Paused as u8;

fn find(call: &mut Call<'_>, index: usize) -> Option<Arc<Proxy>> {
    if call.arg(index).is_empty() {
        call.error("A frontend name is expected.");
        return None;
    }
    let model = call.control.model();
    let Some(place) = model.frontends.get(call.arg(index)) else {
        call.error("No such frontend.");
        return None;
    };
    Some(model.proxies[*place as usize].clone())
}

fn is_stopped(proxy: &Proxy) -> bool {
    proxy.disabled || proxy.state.frontend_status.load(Relaxed) == STOPPED
}

fn disable(call: &mut Call<'_>) -> Flow {
    let Some(proxy) = find(call, 2) else { return Flow::Done };
    if is_stopped(&proxy) {
        return call.say(Severity::Notice, "Frontend was previously shut down, cannot disable.");
    }
    if proxy.state.frontend_status.swap(PAUSED, Release) == PAUSED {
        return call.say(Severity::Notice, "All sockets are already disabled.");
    }
    call.control.cores.pause_frontend(&proxy.state);
    Flow::Done
}

fn enable(call: &mut Call<'_>) -> Flow {
    let Some(proxy) = find(call, 2) else { return Flow::Done };
    if is_stopped(&proxy) {
        return call.error("Frontend was previously shut down, cannot enable.");
    }
    if proxy.state.frontend_status.load(Relaxed) != PAUSED {
        return call.say(Severity::Notice, "All sockets are already enabled.");
    }
    proxy.state.frontend_status.store(FrontendStatus::Open as u8, Release);
    call.control.cores.resume_frontend(&proxy.state);
    Flow::Done
}

fn shutdown(call: &mut Call<'_>) -> Flow {
    let Some(proxy) = find(call, 2) else { return Flow::Done };
    if is_stopped(&proxy) {
        return call.say(Severity::Notice, "Frontend was already shut down.");
    }
    proxy.state.frontend_status.store(STOPPED, Release);
    call.control.cores.stop_frontend(&proxy.state);
    Flow::Done
}

fn set_maxconn(call: &mut Call<'_>) -> Flow {
    let Some(proxy) = find(call, 3) else { return Flow::Done };
    if call.arg(4).is_empty() {
        return call.error("Integer value expected.");
    }
    match u32::try_from(integer(call.arg(4))) {
        Ok(limit) => {
            proxy.state.maxconn.store(limit, Release);
            // Accept loops that wait for a place under the old limit look again.
            if proxy.state.frontend_status.load(Relaxed) != PAUSED && !is_stopped(&proxy) {
                call.control.cores.resume_frontend(&proxy.state);
            }
            Flow::Done
        }
        Err(_) => call.error("Value out of range."),
    }
}

fn set_maxconn_global(call: &mut Call<'_>) -> Flow {
    if call.arg(3).is_empty() {
        return call.error("Expects an integer value.");
    }
    let highest = hard_maxconn(call);
    let limit = match integer(call.arg(3)) {
        ..=0 => highest,
        wanted => match u32::try_from(wanted) {
            Ok(limit) if limit <= highest => limit,
            _ => return call.error("Value out of range."),
        },
    };
    if !call.control.cores.limit_process(ProcessLimit::Connections(limit)) {
        return call.error("'set maxconn global' is not available: change the configuration and reload.");
    }
    call.control.maxconn.set(limit);
    Flow::Done
}

/// The highest limit on connections: what was configured, or else what started.
fn hard_maxconn(call: &Call<'_>) -> u32 {
    call.control.model().global.maxconn.unwrap_or(0).max(call.control.maxconn.get())
}

fn set_rate_limit(call: &mut Call<'_>) -> Flow {
    let what = call.arg(2).to_owned();
    if call.arg(3) != "global" || !matches!(&*what, "connections" | "sessions") {
        return call.error(
            "'set rate-limit' only supports :\n   \
             - 'connections global' to set the per-process maximum connection rate\n   \
             - 'sessions global' to set the per-process maximum session rate",
        );
    }
    if call.arg(4).is_empty() {
        return call.error("Expects an integer value.");
    }
    let Ok(value) = u32::try_from(integer(call.arg(4))) else { return call.error("Value out of range.") };
    let shared = &call.control.admin;
    let (limit, kept) = match &*what {
        "connections" => (ProcessLimit::ConnectionRate(value), &shared.connection_rate_limit),
        _ => (ProcessLimit::SessionRate(value), &shared.session_rate_limit),
    };
    if !call.control.cores.limit_process(limit) {
        return call.error("'set rate-limit' is not available: change the configuration and reload.");
    }
    kept.set(Some(value));
    Flow::Done
}

#[cfg(test)]
mod tests {
    use crate::control::mock::{ask, calls, control};
    use crate::model::bind::CliLevel::Admin;

    #[test]
    fn frontends_pause_resume_and_stop() {
        let control = control();
        for (line, expected, asked) in [
            ("disable frontend", "A frontend name is expected.\n", None),
            ("disable frontend be", "No such frontend.\n", None),
            ("enable frontend fe", "All sockets are already enabled.\n", None),
            ("disable frontend fe", "", Some("pause fe")),
            ("disable frontend fe", "All sockets are already disabled.\n", None),
            ("enable frontend fe", "", Some("resume fe")),
            ("set maxconn frontend fe 9", "", Some("resume fe")),
            ("set maxconn frontend fe", "Integer value expected.\n", None),
            ("set maxconn frontend fe -1", "Value out of range.\n", None),
            ("shutdown frontend fe", "", Some("stop fe")),
            ("shutdown frontend fe", "Frontend was already shut down.\n", None),
            ("enable frontend fe", "Frontend was previously shut down, cannot enable.\n", None),
            ("disable frontend fe", "Frontend was previously shut down, cannot disable.\n", None),
        ] {
            assert_eq!(ask(&control, Admin, line), expected, "{line}");
            assert_eq!(calls().first().map(String::as_str), asked, "{line}");
        }
    }

    #[test]
    fn limits_of_the_process() {
        let control = control();
        for (line, expected) in [
            ("set maxconn global", "Expects an integer value.\n"),
            ("set maxconn global 99999999", "Value out of range.\n"),
            ("set maxconn global 500", ""),
            ("set rate-limit sessions global 10", ""),
            ("set rate-limit sessions global -1", "Value out of range.\n"),
        ] {
            assert_eq!(ask(&control, Admin, line), expected, "{line}");
        }
        assert_eq!(control.maxconn.get(), 500);
        let info = ask(&control, Admin, "show info");
        assert!(info.contains("\nMaxconn: 500\n") && info.contains("\nSessRateLimit: 10\n"), "{info}");
    }
}
