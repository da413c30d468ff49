//! Changes of servers' state: every way a server goes up, down, into maintenance or drain, changes
//! weight or address, with HAProxy's log lines and all consequences (tracking, queues, sessions).
//!
//! The only writer of [`ServerState`]'s health, administrative state, weight and address.

pub mod announce;
pub mod endpoint;
pub mod roster;
pub mod saved;
mod transition;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;

use super::{Control, checks};
use crate::health::agent;
use crate::health::observe::{Event, Observe};
use crate::health::status::{self, Finding, Outcome, Status, flag};
use crate::model::server::OnError;
use crate::model::{Model, Proxy, Server};
use crate::state::ServerState;
use crate::state::server::{Endpoint, Operational, admin};
use announce::{Cause, level, say};
use transition::{clear_flag, set_flag, set_running, set_stopped, set_stopping};

/// `set server b/s state ...`, `enable|disable server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AdminOrder {
    Ready,
    Drain,
    Maint,
}

/// Which of a server's two checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum CheckKind {
    Health,
    Agent,
}

/// A server's state and what the model in force says about it.
pub struct View {
    /// The model.
    pub model: Arc<Model>,
    /// Its backend; `None` when the model knows it no more.
    pub proxy: Option<Arc<Proxy>>,
    /// Its line; `None` when the model knows it no more.
    pub server: Option<Arc<Server>>,
    /// Its state.
    pub state: Arc<ServerState>,
}

impl View {
    /// Looks a server up.
    pub fn of(control: &Control, state: &Arc<ServerState>) -> View {
        let model = control.model();
        let proxy = model.backend(&state.backend).cloned();
        let find = |proxy: &Arc<Proxy>| {
            proxy.servers.iter().find(|server| Arc::ptr_eq(&server.state, state)).cloned()
        };
        let server = proxy.as_ref().and_then(find);
        View { model, proxy, server, state: state.clone() }
    }
    /// Tells every core to look again.
    pub fn touch(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.state.touch();
        }
    }
    fn is_backup(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.backup)
    }
    fn is_in_maintenance(&self) -> bool {
        self.state.admin() & admin::MAINT != 0
    }
    fn hostname(&self) -> String {
        let name = self.state.hostname.load();
        let name = name.as_deref().map(String::as_str);
        name.or(self.server.as_ref().and_then(|server| server.hostname.as_deref())).unwrap_or("").to_owned()
    }
    /// How many active and backup servers of the backend take new sessions.
    fn usable(&self) -> (usize, usize) {
        let Some(proxy) = &self.proxy else { return (0, 0) };
        let mut count = (0, 0);
        for line in proxy.servers.iter().filter(|line| line.state.is_eligible()) {
            *(if line.backup { &mut count.1 } else { &mut count.0 }) += 1;
        }
        count
    }
    /// The servers that track this one, in the order in which HAProxy tells of them: the last one first.
    fn followers(&self) -> Vec<Arc<ServerState>> {
        let tracks = |server: &&Arc<Server>| {
            server.track.as_ref().is_some_and(|tracked| Arc::ptr_eq(tracked, &self.state))
        };
        let servers = self.model.proxies.iter().flat_map(|proxy| &proxy.servers);
        servers.rev().filter(tracks).map(|server| server.state.clone()).collect()
    }
}

/// Changes to published reports; only the control thread makes them.
mod reports {
    use arc_swap::ArcSwap;

    use crate::state::server::CheckReport;

    /// Changes a copy and publishes it.
    pub(super) fn change<R>(cell: &ArcSwap<CheckReport>, change: impl FnOnce(&mut CheckReport) -> R) -> R {
        let mut report = CheckReport::clone(&cell.load());
        let result = change(&mut report);
        cell.store(report.into());
        result
    }
}

/// The model in force takes a server out of maintenance that the one before had in it: what follows is what follows
/// from an operator's order.
pub fn leaves_maintenance(control: &Control, server: &Arc<ServerState>) {
    server.set_admin(server.admin() | admin::FMAINT);
    clear_flag(control, server, admin::FMAINT);
}

/// Carries out an administrative order.
pub fn set_admin(control: &Control, server: &Arc<ServerState>, order: AdminOrder, cause: &str) {
    match order {
        AdminOrder::Maint => {
            set_flag(control, server, admin::FMAINT, cause);
            clear_flag(control, server, admin::FDRAIN);
        }
        AdminOrder::Drain => {
            set_flag(control, server, admin::FDRAIN, cause);
            clear_flag(control, server, admin::FMAINT);
        }
        AdminOrder::Ready => {
            clear_flag(control, server, admin::FDRAIN);
            clear_flag(control, server, admin::FMAINT);
        }
    }
}

/// `set server b/s weight ...`: `text` is `N` or `N%` (of the initial weight).
pub fn set_weight(control: &Control, server: &Arc<ServerState>, text: &str) -> Result<(), String> {
    let refuse = |text: &str| Err(text.to_owned());
    if text.is_empty() {
        return refuse("Require <weight> or <weight%>.");
    }
    let Some((number, rest)) = leading_number(text) else {
        return refuse("Empty weight string empty or preceded by garbage");
    };
    let initial = i64::from(server.initial_weight());
    let weight = match rest {
        "%" if number < 0 => return refuse("Relative weight must be positive."),
        "%" => (initial * number.min(25600) / 100).min(256),
        _ if !(0..=256).contains(&number) => {
            return refuse("Absolute weight can only be between 0 and 256 inclusive.");
        }
        "" => number,
        _ => return refuse("Trailing garbage in weight string"),
    };
    if weight != 0 && weight != initial && !transition::weights_are_dynamic(&View::of(control, server)) {
        return refuse("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.");
    }
    transition::change_weight(control, server, weight as u32);
    Ok(())
}

/// `set maxconn server b/s N`, and an agent's `maxconn:N`.
pub fn set_maxconn(control: &Control, server: &Arc<ServerState>, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("Require <maxconn>.".to_owned());
    }
    match leading_number(text) {
        None => Err("maxconn string empty or preceded by garbage".to_owned()),
        Some((_, rest)) if !rest.is_empty() => Err("Trailing garbage in maxconn string".to_owned()),
        Some((number, _)) => {
            server.maxconn.store(u32::try_from(number.max(0)).unwrap_or(u32::MAX), Release);
            if let Some(proxy) = View::of(control, server).proxy {
                control.cores.wake_queue(&proxy.state);
            }
            Ok(())
        }
    }
}

/// The number at the start and what follows it.
pub(super) fn leading_number(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let len = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let end = text.len() - digits.len() + len;
    let number = text[..end].parse().ok()?;
    Some((number, &text[end..]))
}

/// `set server b/s health up|stopping|down`.
pub fn set_health(control: &Control, server: &Arc<ServerState>, word: &str) -> Result<(), String> {
    let view = View::of(control, server);
    if view.server.is_some_and(|server| server.track.is_some()) {
        return Err("cannot change health on a tracking server.".to_owned());
    }
    let cause = Cause::Text("changed from CLI");
    let set = |top: bool| {
        reports::change(&server.check, |report| {
            report.health = if top { status::health_max(report) } else { 0 }
        });
    };
    match word {
        "up" => {
            set(true);
            set_running(control, server, cause);
        }
        "stopping" => {
            set(true);
            set_stopping(control, server, cause);
        }
        "down" => {
            set(false);
            set_stopped(control, server, cause);
        }
        _ => return Err("'set server <srv> health' expects 'up', 'stopping', or 'down'.".to_owned()),
    }
    Ok(())
}

/// `set server b/s agent up|down`.
pub fn set_agent(control: &Control, server: &Arc<ServerState>, word: &str) -> Result<(), String> {
    if !server.agent.load().enabled {
        return Err("agent checks are not enabled on this server.".to_owned());
    }
    let cause = Cause::Text("changed from CLI");
    match word {
        "up" => {
            reports::change(&server.agent, |report| report.health = status::health_max(report));
            set_running(control, server, cause);
        }
        "down" => {
            reports::change(&server.agent, |report| report.health = 0);
            set_stopped(control, server, cause);
        }
        _ => return Err("'set server <srv> agent' expects 'up' or 'down'.".to_owned()),
    }
    Ok(())
}

/// `enable|disable health|agent b/s`.
pub fn enable_check(server: &Arc<ServerState>, kind: CheckKind, on: bool) -> Result<(), String> {
    let (cell, missing) = match kind {
        CheckKind::Health => {
            (&server.check, "Health check was not configured on this server, cannot enable.")
        }
        CheckKind::Agent => (&server.agent, "Agent was not configured on this server, cannot enable."),
    };
    if on && !cell.load().configured {
        return Err(missing.to_owned());
    }
    reports::change(cell, |report| {
        report.enabled = on;
        if on {
            report.state_flags |= flag::ENABLED;
        } else {
            report.state_flags &= !flag::ENABLED;
        }
    });
    checks::wake(server);
    Ok(())
}

/// `set server b/s check-addr|check-port|agent-addr|agent-port`.
pub fn set_check_target(
    server: &Arc<ServerState>,
    kind: CheckKind,
    address: Option<&str>,
    port: Option<&str>,
) -> Result<(), String> {
    if !cell(server, kind).load().enabled {
        let which = if kind == CheckKind::Agent { "agent" } else { "health" };
        return Err(format!("{which} checks are not enabled on this server"));
    }
    let address: Option<IpAddr> = match address {
        Some(text) => Some(text.parse().map_err(|_| format!("invalid addr '{text}'"))?),
        None => None,
    };
    let port = match port.map(str::parse::<i64>) {
        None => None,
        Some(Err(_)) => return Err("provided port is not an integer".to_owned()),
        Some(Ok(number)) => Some(u16::try_from(number).map_err(|_| "provided port is invalid".to_owned())?),
    };
    let is_mapped = matches!(&**server.endpoint.load(), Endpoint::Inet { port_offset: Some(_), .. });
    if port == Some(0) && is_mapped {
        return Err("can't unset 'port' since MAPPORTS is in use".to_owned());
    }
    reports::change(cell(server, kind), |report| {
        report.address = address.or(report.address);
        report.port = port.or(report.port);
    });
    Ok(())
}

/// `set server b/s agent-send`.
pub fn set_agent_send(server: &Arc<ServerState>, text: &str) -> Result<(), String> {
    if !server.agent.load().enabled {
        return Err("agent checks are not enabled on this server.".to_owned());
    }
    checks::set_agent_send(server, text.as_bytes());
    Ok(())
}

/// A check starts.
pub fn check_begins(server: &Arc<ServerState>, kind: CheckKind) {
    reports::change(cell(server, kind), status::begin);
}

/// A check was given up without a result (its server left the configuration).
pub fn check_abandoned(server: &Arc<ServerState>, kind: CheckKind) {
    reports::change(cell(server, kind), |report| report.state_flags &= !flag::IN_PROGRESS);
}

fn cell(server: &Arc<ServerState>, kind: CheckKind) -> &arc_swap::ArcSwap<crate::state::server::CheckReport> {
    match kind {
        CheckKind::Health => &server.check,
        CheckKind::Agent => &server.agent,
    }
}

/// A check has ended: keeps its report, tells about it, and draws the consequences.
pub fn check_ends(control: &Control, server: &Arc<ServerState>, kind: CheckKind, finding: &Finding) {
    enter(control, server, kind, finding);
    let outcome = finding.status.outcome();
    match outcome {
        Outcome::Failed => after_failure(control, server, kind, finding.status),
        Outcome::Passed => after_success(control, server, kind),
        Outcome::ConditionallyPassed => after_conditional_success(control, server, kind),
        Outcome::Unknown | Outcome::Neutral => {}
    }
}

/// Keeps a finding in the report and logs it if it means progress.
fn enter(control: &Control, server: &Arc<ServerState>, kind: CheckKind, finding: &Finding) {
    let agent = kind == CheckKind::Agent;
    let applied = reports::change(cell(server, kind), |report| status::apply(report, finding, agent));
    if applied.counted_failure {
        server.failed_checks.fetch_add(1, Relaxed);
    }
    let view = View::of(control, server);
    if finding.status.outcome() >= Outcome::Passed
        && view.server.as_ref().is_some_and(|line| line.observe != Observe::None)
    {
        server.consecutive_errors.store(0, Relaxed);
    }
    if applied.progress && logs_checks(&view) {
        let report = cell(server, kind).load();
        let name = server.full_name();
        let line = status::log_line(&report, &name, view.is_backup(), agent, server.user_weight());
        say(control, &view, level::NOTICE, &format!("{line}."));
    }
}

fn logs_checks(view: &View) -> bool {
    view.proxy.as_ref().is_some_and(|proxy| proxy.options.log_health_checks)
}

/// The cause to name in the line about the server: not twice what the check's own line said.
fn cause_of(view: &View, kind: CheckKind) -> Cause<'static> {
    let tracks = view.server.as_ref().is_some_and(|server| server.track.is_some());
    match kind {
        _ if tracks || logs_checks(view) => Cause::None,
        CheckKind::Health => Cause::Health,
        CheckKind::Agent => Cause::Agent,
    }
}

fn after_failure(control: &Control, server: &Arc<ServerState>, kind: CheckKind, found: Status) {
    // Only an agent's explicit word takes a server down (manual, `agent-check`).
    if kind == CheckKind::Agent && found != Status::L7Status {
        return;
    }
    // Perhaps it has another address by now.
    if kind == CheckKind::Health && matches!(found, Status::L4Timeout | Status::L4Connection) {
        super::resolvers::trigger(server);
    }
    if cell(server, kind).load().health > 0 {
        return;
    }
    set_stopped(control, server, cause_of(&View::of(control, server), kind));
}

/// Whether nothing else holds a server down: maintenance, the server it tracks, its other check.
fn may_run(view: &View) -> bool {
    let tracked = view.server.as_ref().and_then(|server| server.track.as_ref());
    let good = |report: &crate::state::server::CheckReport| !report.enabled || status::is_up(report);
    !view.is_in_maintenance()
        && tracked.is_none_or(|tracked| tracked.operational() != Operational::Stopped)
        && good(&view.state.check.load())
        && good(&view.state.agent.load())
}

fn after_success(control: &Control, server: &Arc<ServerState>, kind: CheckKind) {
    let view = View::of(control, server);
    // An agent's word does not end what `disable-on-404` began.
    let held = kind == CheckKind::Agent && server.operational() == Operational::Stopping;
    if may_run(&view) && !held {
        set_running(control, server, cause_of(&view, kind));
    }
}

fn after_conditional_success(control: &Control, server: &Arc<ServerState>, kind: CheckKind) {
    let view = View::of(control, server);
    if kind == CheckKind::Health && may_run(&view) {
        set_stopping(control, server, cause_of(&view, kind));
    }
}

/// An agent has spoken: administration first, then weight and `maxconn`, then health.
pub fn agent_says(
    control: &Control,
    server: &Arc<ServerState>,
    reply: &agent::Reply,
    duration_ms: Option<u64>,
) {
    // It may have been switched off while it was asked: then it has nothing to say.
    if !server.agent.load().enabled {
        check_abandoned(server, CheckKind::Agent);
        return;
    }
    match reply.health {
        Some((_, Status::L7Ok)) => {
            reports::change(&server.agent, |report| report.health = status::health_max(report));
        }
        Some(_) => reports::change(&server.agent, |report| report.health = 0),
        None => {}
    }
    match reply.admin {
        Some(agent::Admin::Drain) => set_admin(control, server, AdminOrder::Drain, ""),
        Some(agent::Admin::Maint) => set_admin(control, server, AdminOrder::Maint, ""),
        Some(agent::Admin::Ready) => set_admin(control, server, AdminOrder::Ready, ""),
        None => {}
    }
    let weight = reply.weight.as_deref().and_then(|text| set_weight(control, server, text).err());
    let maxconn = reply.maxconn.as_deref().and_then(|text| set_maxconn(control, server, text).err());
    let (status, info) = reply.finding(weight.or(maxconn).as_deref());
    let finding = Finding { duration_ms, ..Finding::new(status, info) };
    check_ends(control, server, CheckKind::Agent, &finding);
}

/// Data threads saw `error-limit` errors in a row (manual, section 5.2 `on-error`).
pub fn errors_observed(control: &Control, server: &Arc<ServerState>) {
    let view = View::of(control, server);
    let Some(line) = view.server.clone() else { return };
    let count = server.consecutive_errors.load(Relaxed);
    let event = Event::text(server.last_error.load(Relaxed));
    let text = format!("Detected {count} consecutive errors, last one was: {event}");
    match line.on_error {
        OnError::FastInter => {}
        OnError::SuddenDeath | OnError::FailCheck | OnError::MarkDown => {
            reports::change(&server.check, |report| {
                if line.on_error == OnError::MarkDown {
                    report.health = report.rise;
                } else if line.on_error == OnError::SuddenDeath && report.health > report.rise {
                    report.health = report.rise + 1;
                }
            });
            let finding = Finding::new(Status::Observed, text);
            check_ends(control, server, CheckKind::Health, &finding);
        }
    }
    server.consecutive_errors.store(0, Relaxed);
    server.failed_hana.fetch_add(1, Relaxed);
    checks::hurry(server);
}

/// Brings the state of a model's servers in order when it comes into force: what maintenance means
/// for checks, what tracking servers inherit, whether backends are up. Says nothing: it is no change.
pub fn settle(control: &Control) {
    let model = control.model();
    for server in model.proxies.iter().flat_map(|proxy| &proxy.servers) {
        settle_reports(server);
    }
    // Chains of tracking are short; each pass carries a state one link further.
    for _ in 0..TRACK_DEPTH_MAX {
        let mut changed = false;
        for server in model.proxies.iter().flat_map(|proxy| &proxy.servers) {
            let Some(tracked) = &server.track else { continue };
            let state = &server.state;
            let mut flags = state.admin() & !(admin::IMAINT | admin::IDRAIN);
            if tracked.admin() & admin::MAINT != 0 {
                flags |= admin::IMAINT;
            }
            if tracked.admin() & admin::DRAIN != 0 {
                flags |= admin::IDRAIN;
            }
            let next = if flags & admin::MAINT != 0 { Operational::Stopped } else { tracked.operational() };
            changed |= flags != state.admin() || next != state.operational();
            state.set_admin(flags);
            state.set_operational(next);
        }
        if !changed {
            break;
        }
    }
    for proxy in model.proxies.iter().filter(|proxy| proxy.is_backend) {
        let up = proxy.servers.is_empty() || proxy.servers.iter().any(|server| server.state.is_eligible());
        proxy.state.is_up.store(up, Release);
        proxy.state.touch();
    }
}

/// Brings the reports of a server in order with its line and its maintenance.
fn settle_reports(server: &Server) {
    let state = &server.state;
    settle_report(&state.check, server.check.as_deref(), false);
    settle_report(&state.agent, server.agent.as_deref(), true);
    if state.admin() & admin::MAINT != 0 {
        state.set_operational(Operational::Stopped);
        reports::change(&state.check, |report| {
            report.health = 0;
            if report.configured {
                report.state_flags |= flag::PAUSED;
            }
        });
    }
}

/// The longest chain of servers that track each other which [`settle`] follows.
const TRACK_DEPTH_MAX: usize = 64;

/// A report that was never filled, or whose check changed its settings.
fn settle_report(
    cell: &arc_swap::ArcSwap<crate::state::server::CheckReport>,
    spec: Option<&crate::health::CheckSpec>,
    agent: bool,
) {
    reports::change(cell, |report| match spec {
        Some(spec) => {
            let (rise, fall) = (spec.server.rise, spec.server.fall);
            if report.configured && (report.rise, report.fall) != (rise as i32, fall as i32) {
                let (was_up, was_full) = (status::is_up(report), report.health == status::health_max(report));
                (report.rise, report.fall) = (rise as i32, fall as i32);
                report.health = match (was_up, was_full) {
                    (true, true) => status::health_max(report),
                    (true, false) => report.rise,
                    (false, _) => report.health.min(report.rise - 1),
                };
            } else if !report.configured {
                *report = status::initial(rise, fall, true, agent);
            }
        }
        None if report.configured || report.status == 0 => {
            // Without a check a server is as good as its first success would make it.
            let rise = if report.rise > 0 { report.rise as u32 } else { 1 };
            *report = status::initial(rise, 1, false, agent);
        }
        None => {}
    });
}
