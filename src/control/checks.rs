//! Runs health and agent checks over sockets: one small task per check, all on the control thread.
//!
//! A task sleeps until its check is due, drives the machine of [`crate::health::machine`] over a
//! non-blocking socket, and hands what it found to [`super::servers`]. Tasks belong to a
//! [`ServerState`], which outlives models: [`start`] after a reload keeps the tasks of servers that
//! stay, ends those of servers that went, and starts new ones. What it is not: no decision about a
//! server is made here.

mod dial;
mod secure;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Control;
use super::servers::{self, CheckKind};
use crate::base::clock;
use crate::base::rng::Rng;
use crate::health::machine::{Env, Failure, Machine, Target, Want};
use crate::health::observe::Observe;
use crate::health::status::{self, Finding, flag};
use crate::health::{CheckSpec, schedule};
use crate::model::Server;
use crate::model::server::SourceAddress;
use crate::state::ServerState;
use crate::state::server::{CheckReport, Operational};

/// How often servers with `observe` are looked at for the data threads' flag.
const OBSERVE_TICK: Duration = Duration::from_millis(50);

/// The buffer of a check when the configuration does not say (`tune.bufsize`).
const BUFFER_DEFAULT: usize = 16384;

/// What a running task and the rest of the control thread share.
struct Entry {
    state: Arc<ServerState>,
    kind: CheckKind,
    /// What to check; a reload may replace it.
    spec: RefCell<Arc<CheckSpec>>,
    /// Look at the clock and the state again.
    wake: Notify,
    /// The next interval is `fastinter`, whatever the count says.
    hurry: Cell<bool>,
}

impl Entry {
    /// Its report as it stands.
    fn report(&self) -> arc_swap::Guard<Arc<CheckReport>> {
        match self.kind {
            CheckKind::Health => self.state.check.load(),
            CheckKind::Agent => self.state.agent.load(),
        }
    }
}

/// A running task.
struct Task {
    entry: Rc<Entry>,
    handle: JoinHandle<()>,
}

type Key = (*const ServerState, CheckKind);

thread_local! {
    static TASKS: RefCell<HashMap<Key, Task>> = RefCell::default();
    static OBSERVER: RefCell<Option<JoinHandle<()>>> = const { RefCell::new(None) };
    static CONTROL: RefCell<Weak<Control>> = const { RefCell::new(Weak::new()) };
}

/// Starts the checks of every server of the model in force; call it again when another one is.
pub fn start(control: &Rc<Control>) {
    CONTROL.with(|cell| *cell.borrow_mut() = Rc::downgrade(control));
    servers::settle(control);
    let model = control.model();
    let mut wanted = Vec::new();
    for server in model.proxies.iter().filter(|proxy| !proxy.disabled).flat_map(|proxy| &proxy.servers) {
        let checks = [(&server.check, CheckKind::Health), (&server.agent, CheckKind::Agent)];
        for (spec, kind) in checks {
            if let Some(spec) = spec {
                wanted.push((server.state.clone(), kind, spec.clone()));
            }
        }
    }
    end_unless(|key| wanted.iter().any(|(state, kind, _)| (Arc::as_ptr(state), *kind) == *key));
    let interval = |(state, kind, spec): &(Arc<ServerState>, CheckKind, Arc<CheckSpec>)| {
        interval_ms(state, *kind, spec, false)
    };
    let stagger_ms = schedule::stagger_ms(wanted.iter().map(interval));
    let count = wanted.len();
    let spread_max_ms = model.global.max_spread_checks_ms;
    for (position, item) in wanted.into_iter().enumerate() {
        let first_ms = schedule::first_ms(stagger_ms, interval(&item), position, count, spread_max_ms);
        start_one(item, Duration::from_millis(first_ms));
    }
    watch_observed(control);
}

/// Starts the checks of a server that was added while running.
pub fn begin(control: &Control, server: &Server) {
    for (spec, kind) in [(&server.check, CheckKind::Health), (&server.agent, CheckKind::Agent)] {
        if let Some(spec) = spec {
            start_one((server.state.clone(), kind, spec.clone()), Duration::ZERO);
        }
    }
    if server.observe != Observe::None {
        watch_observed(control);
    }
}

/// Ends the checks of a server that is deleted.
pub fn end(control: &Control, server: &Server) {
    let state = Arc::as_ptr(&server.state);
    end_unless(|key| key.0 != state);
    if server.observe != Observe::None {
        watch_observed(control);
    }
}

/// Watches the servers of the model in force that traffic judges, too.
fn watch_observed(control: &Control) {
    let model = control.model();
    let observed: Vec<_> = model
        .proxies
        .iter()
        .flat_map(|proxy| &proxy.servers)
        .filter(|server| server.observe != Observe::None)
        .map(|server| server.state.clone())
        .collect();
    let watcher = (!observed.is_empty()).then(|| spawn(|control| observe(control, observed))).flatten();
    OBSERVER.with(|cell| {
        if let Some(old) = std::mem::replace(&mut *cell.borrow_mut(), watcher) {
            old.abort();
        }
    });
}

/// Ends every check; what is in progress is given up.
#[cfg(test)]
fn stop_all() {
    end_unless(|_| false);
    OBSERVER.with(|cell| {
        if let Some(old) = cell.borrow_mut().take() {
            old.abort();
        }
    });
}

fn end_unless(stays: impl Fn(&Key) -> bool) {
    TASKS.with(|tasks| {
        tasks.borrow_mut().retain(|key, task| {
            let stays = stays(key);
            if !stays {
                task.handle.abort();
                servers::check_abandoned(&task.entry.state, task.entry.kind);
            }
            stays
        });
    });
}

fn start_one((state, kind, spec): (Arc<ServerState>, CheckKind, Arc<CheckSpec>), first: Duration) {
    let key = (Arc::as_ptr(&state), kind);
    let kept = TASKS.with(|tasks| {
        let tasks = tasks.borrow();
        let task = tasks.get(&key).filter(|task| !task.handle.is_finished())?;
        task.entry.spec.replace(spec.clone());
        task.entry.wake.notify_one();
        Some(())
    });
    if kept.is_some() {
        return;
    }
    let entry = Rc::new(Entry {
        state,
        kind,
        spec: RefCell::new(spec),
        wake: Notify::new(),
        hurry: Cell::new(false),
    });
    let due = Instant::now() + first;
    let runner = entry.clone();
    if let Some(handle) = spawn(move |control| run(control, runner, due)) {
        TASKS.with(|tasks| tasks.borrow_mut().insert(key, Task { entry, handle }));
    }
}

/// Starts a task of the control thread; `None` when no control thread runs (in unit tests).
pub(super) fn spawn<F>(task: impl FnOnce(Rc<Control>) -> F) -> Option<JoinHandle<()>>
where
    F: Future<Output = ()> + 'static,
{
    let control = CONTROL.with(|cell| cell.borrow().upgrade())?;
    Some(tokio::task::spawn_local(task(control)))
}

/// Makes the checks of a server look at its state again.
pub fn wake(state: &Arc<ServerState>) {
    with_entries(state, |entry| entry.wake.notify_one());
}

/// Makes the next health check come after `fastinter`.
pub fn hurry(state: &Arc<ServerState>) {
    with_entries(state, |entry| {
        if entry.kind == CheckKind::Health {
            entry.hurry.set(true);
            entry.wake.notify_one();
        }
    });
}

/// `set server ... agent-send`: what the agent is told from the next check on.
pub fn set_agent_send(state: &Arc<ServerState>, text: &[u8]) {
    with_entries(state, |entry| {
        if entry.kind == CheckKind::Agent {
            let mut server = entry.spec.borrow().server.clone();
            server.agent_send = Some(text.to_vec());
            entry.spec.replace(crate::health::config::agent(server));
        }
    });
}

fn with_entries(state: &Arc<ServerState>, act: impl Fn(&Entry)) {
    TASKS.with(|tasks| {
        let tasks = tasks.borrow();
        for kind in [CheckKind::Health, CheckKind::Agent] {
            if let Some(task) = tasks.get(&(Arc::as_ptr(state), kind)) {
                act(&task.entry);
            }
        }
    });
}

fn interval_ms(state: &ServerState, kind: CheckKind, spec: &CheckSpec, hurry: bool) -> u64 {
    let report = match kind {
        CheckKind::Health => state.check.load(),
        CheckKind::Agent => state.agent.load(),
    };
    let is_stopped = state.operational() == Operational::Stopped;
    schedule::interval_ms(&spec.server, &report, is_stopped, hurry).max(1)
}

/// The life of one check.
async fn run(control: Rc<Control>, entry: Rc<Entry>, mut due: Instant) {
    let seed = clock::read().wall_us ^ (Arc::as_ptr(&entry.state) as u64).rotate_left(32);
    let mut rng = Rng::new(seed);
    loop {
        wait_until(&entry, &mut due).await;
        let spec = entry.spec.borrow().clone();
        if !is_on(&entry) {
            due += Duration::from_millis(spec.server.inter_ms.max(1));
            due = due.max(Instant::now());
            continue;
        }
        servers::check_begins(&entry.state, entry.kind);
        let begun = Instant::now();
        let end = perform(&control, &entry, &spec).await;
        let duration_ms = Some(begun.elapsed().as_millis() as u64);
        match end {
            End::Found(finding) => {
                let finding = Finding { duration_ms, ..finding };
                servers::check_ends(&control, &entry.state, entry.kind, &finding);
            }
            End::Agent(reply) => servers::agent_says(&control, &entry.state, &reply, duration_ms),
        }
        let interval = interval_ms(&entry.state, entry.kind, &spec, entry.hurry.take());
        let percent = control.model().global.spread_checks;
        due = Instant::now() + Duration::from_millis(schedule::spread_ms(interval, percent, &mut rng));
    }
}

/// Sleeps until the check is due; a wake-up may bring that forward.
async fn wait_until(entry: &Entry, due: &mut Instant) {
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(*due) => return,
            () = entry.wake.notified() => {
                let spec = entry.spec.borrow().clone();
                let interval = interval_ms(&entry.state, entry.kind, &spec, entry.hurry.get());
                *due = (*due).min(Instant::now() + Duration::from_millis(interval));
            }
        }
    }
}

fn is_on(entry: &Entry) -> bool {
    let report = entry.report();
    report.enabled && report.state_flags & flag::PAUSED == 0
}

/// How a run ended.
enum End {
    Found(Finding),
    Agent(crate::health::agent::Reply),
}

/// Drives one machine to its end.
async fn perform(control: &Rc<Control>, entry: &Entry, spec: &Arc<CheckSpec>) -> End {
    let input_max = match control.model().global.bufsize {
        0 => BUFFER_DEFAULT,
        size => size,
    };
    let backend = servers::View::of(control, &entry.state).proxy.map(|proxy| proxy.state.clone());
    let mut machine = Machine::new(spec.clone(), input_max).about(backend, entry.state.clone());
    let mut socket: Option<dial::Socket> = None;
    // The first connect sets it; until then nothing waits.
    let mut deadline = Instant::now() + Duration::from_millis(spec.server.inter_ms.max(1));
    let state_header = spec.script.send_state.then(|| server_state(control, entry));
    let end = loop {
        let env = Env {
            now: clock::read(),
            process: &control.process,
            is_stopped: entry.state.operational() == Operational::Stopped,
            server_state: state_header.as_deref(),
        };
        let failed = match machine.next(&env) {
            Want::Done(finding) => break End::Found(finding),
            Want::Agent(reply) => break End::Agent(reply),
            Want::Connect(target) => {
                close(&mut socket, &machine);
                deadline = connect_deadline(spec);
                let view = servers::View::of(control, &entry.state);
                let source = view.server.as_ref().and_then(|line| line.source.as_ref());
                let of_backend = || view.proxy.as_ref().and_then(|proxy| proxy.source.as_ref());
                let source = source.or_else(of_backend).map(SourceAddress::next);
                let tls = target.tls.clone();
                match limit(deadline, dial::connect(&entry.state, own_target(entry, spec, target), source))
                    .await
                {
                    Ok(made) => {
                        let made = socket.insert(made);
                        let (local, peer) = made.addresses();
                        machine.dialled(made.descriptor(), local, peer);
                        let sent = match machine.proxy_header(&env, local, peer) {
                            Some(header) => limit(deadline, made.write_all(&header)).await,
                            None => Ok(()),
                        };
                        if let (Ok(()), Some(name), Some(ours)) = (&sent, tls, &spec.server.tls) {
                            machine.shakes_hands();
                            let shaken = made.shake_hands(&ours.connector, name.as_deref());
                            if let Err(failure) = limit(deadline, shaken).await {
                                break End::Found(machine.fail(&failure));
                            }
                        }
                        machine.connected();
                        if let Some(timeout) = spec.server.timeout_check_ms {
                            deadline = Instant::now() + Duration::from_millis(timeout);
                        }
                        match sent {
                            Ok(()) => continue,
                            Err(failure) => failure,
                        }
                    }
                    Err(failure) => failure,
                }
            }
            Want::Write(bytes) => match &mut socket {
                Some(socket) => match limit(deadline, socket.write_all(&bytes)).await {
                    Ok(()) => continue,
                    Err(failure) => failure,
                },
                None => Failure::Broken(String::new()),
            },
            Want::Read => match &mut socket {
                Some(socket) => match limit(deadline, socket.read(&mut machine)).await {
                    Ok(()) => continue,
                    Err(failure) => failure,
                },
                None => Failure::Broken(String::new()),
            },
        };
        break End::Found(machine.fail(&failed));
    };
    close(&mut socket, &machine);
    end
}

/// Where to connect as far as the script, the runtime API and the `server` line say, in this order.
fn own_target(entry: &Entry, spec: &CheckSpec, target: Target) -> Target {
    let report = entry.report();
    // A port of 0 given at run time falls back on the server's.
    let port = report.port.or(spec.server.port).filter(|port| *port != 0);
    Target {
        address: target.address.or(report.address).or(spec.server.addr),
        port: target.port.or(port),
        ..target
    }
}

/// A connection must stand within the interval, and within `timeout connect` when `timeout check`
/// takes over afterwards (manual, `timeout check`).
fn connect_deadline(spec: &CheckSpec) -> Instant {
    let mut limit_ms = spec.server.inter_ms.max(1);
    if let (Some(_), Some(connect)) = (spec.server.timeout_check_ms, spec.server.timeout_connect_ms) {
        limit_ms = limit_ms.min(connect);
    }
    Instant::now() + Duration::from_millis(limit_ms)
}

async fn limit<T>(deadline: Instant, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(Failure::Timeout))
}

/// Closes by a reset, which leaves nothing behind, unless the other side closed or politeness is asked for.
fn close(socket: &mut Option<dial::Socket>, machine: &Machine) {
    if let Some(socket) = socket.take() {
        socket.close(machine.is_closed());
    }
}

/// The value of `X-Haproxy-Server-State` (manual, section 4.2 `http-check send-state`).
fn server_state(control: &Rc<Control>, entry: &Entry) -> String {
    use std::fmt::Write as _;
    let state = &entry.state;
    let report = state.check.load();
    let is_stopped = state.operational() == Operational::Stopped;
    let is_full = report.health == status::health_max(&report);
    let word = match (is_stopped, state.operational() == Operational::Stopping) {
        (true, _) => "DOWN",
        (false, true) => "NOLB",
        (false, false) => "UP",
    };
    let (step, of) = if is_stopped {
        (report.health, report.rise)
    } else {
        (report.health - report.rise + 1, report.fall)
    };
    let mut text = if (is_stopped && report.health == 0) || (!is_stopped && is_full) {
        word.to_owned()
    } else {
        format!("{word} {step}/{of}")
    };
    let (address, port) = match &**state.endpoint.load() {
        crate::state::server::Endpoint::Inet { address, .. } => {
            (address.ip().to_string(), address.port().to_string())
        }
        _ => (String::new(), String::new()),
    };
    let view = servers::View::of(control, state);
    let weights = |states: &[Arc<ServerState>]| -> u32 {
        states.iter().filter(|state| state.is_eligible()).map(|state| state.effective_weight()).sum()
    };
    let (total, current, queued) = match &view.proxy {
        Some(proxy) => (
            weights(&proxy.state.servers.load()).div_ceil(16),
            proxy.state.backend_current.load(Relaxed),
            proxy.state.queue.len(),
        ),
        None => (0, 0, 0),
    };
    let node = &control.process.node;
    let _ = write!(
        text,
        "; address={address}; port={port}; name={}; node={node}; weight={}/{total}; scur={}/{}; qcur={}",
        state.full_name(),
        state.effective_weight().div_ceil(16),
        state.served.load(Relaxed),
        current.saturating_sub(queued),
        state.queue.len(),
    );
    if state.operational() == Operational::Starting {
        let _ = write!(text, "; throttle={}%", state.throttle_percent.load(Relaxed));
    }
    text
}

/// Watches the flag that data threads raise after `error-limit` errors in a row.
async fn observe(control: Rc<Control>, observed: Vec<Arc<ServerState>>) {
    loop {
        tokio::time::sleep(OBSERVE_TICK).await;
        for state in &observed {
            if state.error_limit_hit.swap(false, AcqRel) {
                servers::errors_observed(&control, state);
            }
        }
    }
}
