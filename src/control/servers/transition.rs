//! The transitions themselves: what a change of state or of administrative flags brings with it.
//!
//! One change runs in this order, which the log lines and the statistics show: the state is set and
//! published to the cores, sessions and queues follow, the line is sent, the times and counters of
//! the server and then of its backend are kept.

use std::sync::Arc;
use std::sync::atomic::Ordering::*;

use super::super::{Control, checks};
use super::View;
use super::announce::{Cause, level, say};
use super::reports;
use crate::balance::Algorithm;
use crate::base::clock;
use crate::health::status::{self, flag};
use crate::net::timer::Kill;
use crate::state::ServerState;
use crate::state::server::{Operational, admin};

/// Whether balancing follows weights that change while running.
pub(super) fn weights_are_dynamic(view: &View) -> bool {
    let Some(proxy) = &view.proxy else { return true };
    match proxy.balance.algorithm {
        Algorithm::StaticRoundRobin => false,
        Algorithm::Hash => proxy.balance.hash.consistent,
        _ => true,
    }
}

/// Marks a server down, and those that follow it. Servers in maintenance are left alone.
pub(super) fn set_stopped(control: &Control, state: &Arc<ServerState>, cause: Cause<'_>) {
    if state.admin() & admin::MAINT != 0 || state.operational() == Operational::Stopped {
        return;
    }
    let view = View::of(control, state);
    let before = Before::of(&view);
    publish(control, &view, Operational::Stopped);
    if view.server.as_ref().is_some_and(|server| server.shutdown_sessions_on_down) {
        control.cores.shutdown_server_sessions(state, Kill::ServerDown);
    }
    let requeued = requeue(control, &view);
    let text = format!(
        "{} is DOWN{}{}{}.",
        view.title(),
        view.cause(cause),
        view.via(false),
        view.balance_of(requeued)
    );
    // A server that was leaving anyway is no emergency.
    say(control, &view, if before.was_leaving { level::NOTICE } else { level::ALERT }, &text);
    before.account(control, &view);
    for follower in view.followers() {
        set_stopped(control, &follower, Cause::None);
    }
}

/// Marks a server up (warming up with `slowstart`), and those that follow it.
pub(super) fn set_running(control: &Control, state: &Arc<ServerState>, cause: Cause<'_>) {
    if state.admin() & admin::MAINT != 0
        || matches!(state.operational(), Operational::Running | Operational::Starting)
    {
        return;
    }
    let view = View::of(control, state);
    let before = Before::of(&view);
    start(control, &view);
    shut_backups(control, &view);
    let requeued = requeue(control, &view);
    let text = format!(
        "{} is UP{}{}{}.",
        view.title(),
        view.cause(cause),
        view.via(false),
        view.balance_of(requeued)
    );
    say(control, &view, level::NOTICE, &text);
    before.account(control, &view);
    warm_up_if_starting(state);
    for follower in view.followers() {
        set_running(control, &follower, Cause::None);
    }
}

/// Takes a server out of balancing gently, and those that follow it.
pub(super) fn set_stopping(control: &Control, state: &Arc<ServerState>, cause: Cause<'_>) {
    if state.admin() & admin::MAINT != 0 || state.operational() == Operational::Stopping {
        return;
    }
    let view = View::of(control, state);
    let before = Before::of(&view);
    publish(control, &view, Operational::Stopping);
    let requeued = requeue(control, &view);
    let text = format!(
        "{} is stopping{}{}{}.",
        view.title(),
        view.cause(cause),
        view.via(false),
        view.balance_of(requeued)
    );
    say(control, &view, level::NOTICE, &text);
    before.account(control, &view);
    for follower in view.followers() {
        set_stopping(control, &follower, Cause::None);
    }
}

/// Sets one administrative flag; `cause` stands in parentheses at the end of the line, if not empty.
pub(super) fn set_flag(control: &Control, state: &Arc<ServerState>, mode: u8, cause: &str) {
    let old = state.admin();
    if old & mode != 0 {
        return;
    }
    let view = View::of(control, state);
    let before = Before::of(&view);
    let new = old | mode;
    state.set_admin(new);
    let why = if cause.is_empty() { String::new() } else { format!(" ({cause})") };
    if old & admin::MAINT == 0 && new & admin::MAINT != 0 {
        enter_maintenance(control, &view, &before, new, &why);
    } else if old & admin::DRAIN == 0 && new & admin::DRAIN != 0 && new & admin::MAINT == 0 {
        view.touch();
        let requeued = requeue(control, &view);
        let forced = new & admin::FDRAIN != 0;
        let text = format!(
            "{} enters drain state{why}{}{}.",
            view.title(),
            view.via(forced),
            view.balance_of(requeued)
        );
        say(control, &view, level::NOTICE, &text);
    }
    if old & new & admin::DRAIN != 0 && new & admin::MAINT == 0 {
        remain_in_drain(control, &view, new);
    }
    view.touch();
    before.account(control, &view);
    // Followers know already when another flag of the kind was there.
    let kind = kind_of(mode);
    if new & !mode & kind != 0 {
        return;
    }
    for follower in view.followers() {
        set_flag(control, &follower, inherited(mode), cause);
    }
}

fn enter_maintenance(control: &Control, view: &View, before: &Before, new: u8, why: &str) {
    let state = &view.state;
    let forced = new & admin::FMAINT != 0;
    reports::change(&state.check, |report| {
        if report.enabled {
            report.state_flags |= flag::PAUSED;
            report.health = 0;
        }
    });
    if before.operational == Operational::Stopped {
        let text = format!("{} was DOWN and now enters maintenance{why}{}.", view.title(), view.via(forced));
        say(control, view, level::NOTICE, &text);
        return;
    }
    reports::change(&state.check, |report| report.health = 0);
    publish(control, view, Operational::Stopped);
    if view.server.as_ref().is_some_and(|server| server.shutdown_sessions_on_down) {
        control.cores.shutdown_server_sessions(state, Kill::ServerDown);
    }
    let requeued = requeue(control, view);
    let text = format!(
        "{} is going DOWN for maintenance{why}{}{}.",
        view.title(),
        view.via(forced),
        view.balance_of(requeued)
    );
    say(control, view, if before.was_leaving { level::NOTICE } else { level::ALERT }, &text);
}

/// Clears one administrative flag.
pub(super) fn clear_flag(control: &Control, state: &Arc<ServerState>, mode: u8) {
    let old = state.admin();
    if old & mode == 0 {
        return;
    }
    let view = View::of(control, state);
    let before = Before::of(&view);
    let new = old & !mode;
    state.set_admin(new);
    let mut starts = false;
    if old & admin::MAINT != 0 && new & admin::MAINT == 0 {
        leave_maintenance(control, &view, old, new);
        starts = true;
    } else if new & admin::MAINT != 0 {
        remain_in_maintenance(control, &view, old, new);
    }
    if new & admin::MAINT == 0 {
        drain_cleared(control, &view, old, new);
    }
    view.touch();
    before.account(control, &view);
    if starts {
        warm_up_if_starting(state);
    }
    let kind = kind_of(mode);
    if new & kind != 0 {
        return;
    }
    for follower in view.followers() {
        clear_flag(control, &follower, inherited(mode));
    }
}

fn leave_maintenance(control: &Control, view: &View, old: u8, new: u8) {
    let state = &view.state;
    reports::change(&state.check, |report| {
        if report.enabled {
            report.state_flags &= !flag::PAUSED;
            // Up, but one failure away from down: checked at once.
            report.health = report.rise;
        }
    });
    let tracked = view.server.as_ref().and_then(|server| server.track.clone());
    let tracked = tracked.map(|tracked| tracked.operational());
    let good = |report: &crate::state::server::CheckReport| !report.enabled || status::is_up(report);
    let placed = reports::change(&state.check, |report| {
        let placed = state.init_state().place(report.rise, report.fall)?;
        report.health = placed.1;
        Some(placed.0)
    });
    if let Some(placed) = placed.filter(|_| new & admin::CMAINT == 0) {
        publish(control, view, placed);
    } else if tracked != Some(Operational::Stopped) && good(&state.agent.load()) && good(&state.check.load())
    {
        if tracked == Some(Operational::Stopping) {
            publish(control, view, Operational::Stopping);
        } else {
            start(control, view);
        }
    }
    let up = if state.operational() == Operational::Stopped { "DOWN" } else { "UP" };
    let ready = if new & admin::DRAIN != 0 { "DRAIN" } else { "READY" };
    let left = old & !new;
    let text = if left & admin::FMAINT != 0 {
        format!("{} is {up}/{ready} (leaving forced maintenance).", view.title())
    } else if left & admin::RMAINT != 0 {
        format!("{} ('{}') is {up}/{ready} (resolves again).", view.title(), view.hostname())
    } else {
        format!("{} is {up}/{ready} (leaving maintenance).", view.title())
    };
    say(control, view, level::NOTICE, &text);
    shut_backups(control, view);
    requeue(control, view);
    checks::wake(state);
}

fn remain_in_maintenance(control: &Control, view: &View, old: u8, new: u8) {
    let left = old & !new;
    let via = view.via(false);
    let text = if left & admin::FMAINT != 0 {
        format!("{} is leaving forced maintenance but remains in maintenance{via}.", view.title())
    } else if left & admin::RMAINT != 0 {
        format!("{} ('{}') resolves again but remains in maintenance{via}.", view.title(), view.hostname())
    } else if left & admin::IMAINT != 0 {
        format!("{} remains in forced maintenance.", view.title())
    } else {
        return;
    };
    say(control, view, level::NOTICE, &text);
}

fn drain_cleared(control: &Control, view: &View, old: u8, new: u8) {
    if old & admin::DRAIN == 0 {
        return;
    }
    if new & admin::DRAIN != 0 {
        remain_in_drain(control, view, new);
        return;
    }
    let up = if view.state.operational() == Operational::Stopped { "DOWN" } else { "UP" };
    let text = if old & admin::FDRAIN != 0 {
        format!("{} is {up} (leaving forced drain).", view.title())
    } else {
        format!("{} is {up} (leaving drain){}.", view.title(), view.via(false))
    };
    say(control, view, level::NOTICE, &text);
    requeue(control, view);
}

fn remain_in_drain(control: &Control, view: &View, new: u8) {
    let text = if new & admin::FDRAIN == 0 {
        format!("{} remains in drain mode{}.", view.title(), view.via(false))
    } else {
        format!("{} remains in forced drain mode.", view.title())
    };
    say(control, view, level::NOTICE, &text);
}

fn kind_of(mode: u8) -> u8 {
    if mode & admin::MAINT != 0 { admin::MAINT } else { admin::DRAIN }
}

fn inherited(mode: u8) -> u8 {
    if mode & admin::MAINT != 0 { admin::IMAINT } else { admin::IDRAIN }
}

/// Another weight: tells the cores and keeps the backend's account.
pub(super) fn change_weight(control: &Control, state: &Arc<ServerState>, weight: u32) {
    let view = View::of(control, state);
    let before = Before::of(&view);
    state.set_user_weight(weight);
    view.touch();
    before.account(control, &view);
    requeue(control, &view);
}

/// How things stood before a change.
pub(super) struct Before {
    operational: Operational,
    was_leaving: bool,
    usable: usize,
}

impl Before {
    /// Now.
    pub(super) fn of(view: &View) -> Before {
        let operational = view.state.operational();
        let (active, backup) = view.usable();
        Before {
            operational,
            was_leaving: operational == Operational::Stopping || view.state.admin() & admin::DRAIN != 0,
            usable: active + backup,
        }
    }

    /// Keeps times and counters of the server and its backend after the change.
    pub(super) fn account(&self, control: &Control, view: &View) {
        let state = &view.state;
        let now_s = clock::read().wall_secs();
        if state.operational() != self.operational {
            let since_s = now_s.saturating_sub(state.last_change_s.load(Relaxed));
            if self.operational == Operational::Stopped {
                state.down_time_s.fetch_add(since_s, Relaxed);
            } else if state.operational() == Operational::Stopped {
                state.down_transitions.fetch_add(1, Relaxed);
            }
            state.last_change_s.store(now_s, Relaxed);
        }
        let Some(proxy) = &view.proxy else { return };
        let backend = &proxy.state;
        let (active, backup) = view.usable();
        let usable = active + backup;
        backend.is_up.store(usable > 0, Release);
        if self.usable > 0 && usable == 0 {
            backend.last_change_s.store(now_s, Relaxed);
            backend.down_transitions.fetch_add(1, Relaxed);
            let kind = if proxy.is_frontend { "proxy" } else { "backend" };
            let text = format!("{kind} {} has no server available!", proxy.name);
            say(control, view, level::EMERG, &text);
        } else if self.usable == 0 && usable > 0 {
            let since_s = now_s.saturating_sub(backend.last_change_s.load(Relaxed));
            backend.down_time_s.fetch_add(since_s, Relaxed);
            backend.last_change_s.store(now_s, Relaxed);
        }
    }
}

/// Sets the state and tells every core.
fn publish(control: &Control, view: &View, next: Operational) {
    view.state.set_operational(next);
    view.touch();
    if next == Operational::Stopped && view.state.idle.load(Relaxed) > 0 {
        // None of them is used again, and a server that is to be deleted must have none.
        control.cores.close_idle(&view.state);
    }
}

/// Up, or on the way up when it has to warm up.
fn start(control: &Control, view: &View) {
    let slowstart_ms = view.server.as_ref().map_or(0, |server| server.slowstart_ms);
    let slow = slowstart_ms > 0;
    view.state.begin_warm_up(clock::read().millis(), slowstart_ms);
    set_throttle(view, if slow { 1 } else { 100 });
    publish(control, view, if slow { Operational::Starting } else { Operational::Running });
}

/// How much of its weight a server gets; algorithms with static weights only limit connections by it.
pub(super) fn set_throttle(view: &View, percent: u8) {
    view.state.throttle_percent.store(percent, Release);
    if percent >= 100 || weights_are_dynamic(view) {
        view.state.refresh_weight();
    }
    view.touch();
}

/// Raises the weight step by step until the warm-up is over or the server leaves that state.
fn warm_up_if_starting(state: &Arc<ServerState>) {
    if state.operational() != Operational::Starting {
        return;
    }
    let state = state.clone();
    checks::spawn(move |control| async move {
        let begun = clock::read().millis();
        loop {
            let slowstart_ms = View::of(&control, &state).server.map_or(0, |server| server.slowstart_ms);
            tokio::time::sleep(std::time::Duration::from_millis((slowstart_ms / 20).max(1000))).await;
            if state.operational() != Operational::Starting {
                return;
            }
            let view = View::of(&control, &state);
            let before = Before::of(&view);
            let elapsed_ms = clock::read().millis() - begun;
            let percent = (elapsed_ms * 100).checked_div(slowstart_ms).unwrap_or(100).clamp(1, 100);
            if percent == 100 {
                view.state.set_operational(Operational::Running);
            }
            set_throttle(&view, percent as u8);
            requeue(&control, &view);
            if percent == 100 {
                before.account(&control, &view);
                return;
            }
        }
    });
}

/// `on-marked-up shutdown-backup-sessions`: traffic returns to the server that is back.
fn shut_backups(control: &Control, view: &View) {
    let (Some(proxy), Some(server)) = (&view.proxy, &view.server) else { return };
    if !server.shutdown_backup_sessions_on_up || server.backup || view.state.effective_weight() == 0 {
        return;
    }
    for other in proxy.servers.iter().filter(|other| other.backup) {
        control.cores.shutdown_server_sessions(&other.state, Kill::ServerUp);
    }
}

/// Gives waiting requests what the change has freed. Requests that wait for a server that balancing leaves out now
/// choose again; tells how many they are.
fn requeue(control: &Control, view: &View) -> u32 {
    let handed_on = match view.state.is_eligible() {
        true => 0,
        false => control.cores.hand_on_queue(&view.state),
    };
    if let Some(proxy) = &view.proxy {
        control.cores.wake_queue(&proxy.state);
    }
    handed_on
}
