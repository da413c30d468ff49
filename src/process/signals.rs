//! The signals of the manual (management, section 4) and what each does.

use std::rc::Rc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::recorded::Recorded;
use super::reload::Reloader;
use super::welcome;
use crate::control::log_sink::tell;
use crate::control::{Control, servers::announce};
use crate::diag::Level;
use crate::engine::threads::CoreHandles;
use crate::model::Proxy;
use crate::state::proxy::{FrontendStatus, be, fe};

/// How often a soft stop looks whether the last session has ended.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Why the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGINT, SIGTERM.
    Now(i32),
    /// SIGUSR1, and the last session has ended.
    Drained,
    /// A data thread cannot go on: a process that serves with a part of its cores would fail in ways that no operator
    /// can see.
    Failed(String),
}

/// The signals, from the moment they are taken.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    user1: Signal,
    hangup: Signal,
    user2: Signal,
    quit: Signal,
    pause: Signal,
    resume: Signal,
    /// Data threads that failed.
    failures: mpsc::UnboundedReceiver<String>,
}

/// What the signals change beside the control thread's own.
pub struct Around<'a> {
    /// The data threads.
    pub cores: &'a CoreHandles,
    /// What reloads.
    pub(super) reloader: Rc<Reloader>,
    /// Whether the process stands for a master, which reloads on SIGHUP.
    pub is_master: bool,
    /// What accepts on the sockets of the runtime API.
    pub api: JoinHandle<()>,
}

impl Signals {
    /// Takes them; `failures` tells of data threads that end by themselves.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn take(failures: mpsc::UnboundedReceiver<String>) -> std::io::Result<Self> {
        // Handled and passed over, as in HAProxy: the default would end the process.
        let _ = signal(SignalKind::alarm())?;
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
            quit: signal(SignalKind::quit())?,
            pause: signal(SignalKind::from_raw(libc::SIGTTOU))?,
            resume: signal(SignalKind::from_raw(libc::SIGTTIN))?,
            failures,
        })
    }

    /// Waits for the end, and does on the way what the other signals ask.
    pub async fn wait(&mut self, control: &Rc<Control>, around: &Around<'_>) -> End {
        let mut stopping = false;
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            let drained = async {
                if !stopping {
                    return std::future::pending().await;
                }
                // In this order: a core that closes its listeners takes the connections that wait there first.
                while !(around.cores.are_closed() && control.process.connections.load(SeqCst) == 0) {
                    if deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline) {
                        return;
                    }
                    tokio::time::sleep(DRAIN_LOOK).await;
                }
            };
            tokio::select! {
                // A stop is not held up by what else was asked.
                biased;
                _ = self.interrupt.recv() => return End::Now(libc::SIGINT),
                _ = self.terminate.recv() => return End::Now(libc::SIGTERM),
                Some(failure) = self.failures.recv() => return End::Failed(failure),
                _ = self.user1.recv() => {
                    if !stopping {
                        stopping = true;
                        let hard_stop = control.model().global.hard_stop_after_ms;
                        deadline = hard_stop.map(|ms| tokio::time::Instant::now() + Duration::from_millis(ms));
                        // Its sockets belong to the next process from now on; clients that are connected may go on.
                        around.api.abort();
                        soft_stop(control);
                    }
                }
                _ = self.pause.recv(), if !stopping => pause_all(control),
                _ = self.resume.recv(), if !stopping => resume_all(control),
                _ = self.quit.recv() => trim(control),
                _ = self.hangup.recv() => match around.is_master {
                    true => reload(&around.reloader),
                    false => welcome::dump_servers(control),
                },
                _ = self.user2.recv() => reload(&around.reloader),
                () = drained => return End::Drained,
            }
        }
    }
}

/// Reloads, while signals are waited for.
fn reload(reloader: &Rc<Reloader>) {
    let reloader = reloader.clone();
    tokio::task::spawn_local(async move {
        let _ = reloader.run(Recorded::default()).await; // it has told
    });
}

/// Accepts nowhere any more, lets what is there end.
fn soft_stop(control: &Rc<Control>) {
    control.admin.stopping.set(true);
    control.process.stopping.store(true, Relaxed);
    control.cores.soft_stop();
    for proxy in control.model().proxies.iter().filter(|proxy| !proxy.disabled) {
        let of_clients = proxy.state.frontend.sum(fe::CONNECTIONS);
        let of_servers = proxy.state.backend.sum(be::SESSIONS);
        let name = &proxy.name;
        let text = format!("Proxy {name} stopped (cumulated conns: FE: {of_clients}, BE: {of_servers}).");
        warn(control, proxy, &text);
    }
}

/// SIGTTOU: all frontends release their ports.
fn pause_all(control: &Rc<Control>) {
    for proxy in frontends_in(control, &[FrontendStatus::Open, FrontendStatus::Full]) {
        control.cores.pause_frontend(&proxy.state);
        warn(control, &proxy, &format!("Paused {} {}.", kind(&proxy), proxy.name));
    }
}

/// SIGTTIN: all paused frontends listen again.
fn resume_all(control: &Rc<Control>) {
    for proxy in frontends_in(control, &[FrontendStatus::Paused]) {
        control.cores.resume_frontend(&proxy.state);
        warn(control, &proxy, &format!("Resumed {} {}.", kind(&proxy), proxy.name));
    }
}

fn frontends_in(control: &Control, states: &[FrontendStatus]) -> Vec<std::sync::Arc<Proxy>> {
    let is_wanted = |proxy: &Proxy| {
        let now = proxy.state.frontend_status.load(Relaxed);
        proxy.is_frontend && !proxy.disabled && states.iter().any(|state| *state as u8 == now)
    };
    control.model().proxies.iter().filter(|proxy| is_wanted(proxy)).cloned().collect()
}

fn kind(proxy: &Proxy) -> &'static str {
    if proxy.is_backend { "proxy" } else { "frontend" }
}

/// A warning on standard error and in the proxy's log.
fn warn(control: &Control, proxy: &Proxy, text: &str) {
    const LEVEL_WARNING: u8 = 4;
    tell(control, Level::Warning, text);
    announce::log(control, proxy, LEVEL_WARNING, text);
}

/// SIGQUIT: memory that waits for reuse goes back to the system.
fn trim(control: &Control) {
    control.cores.trim();
    crate::sys::memory::give_back();
    tell(control, Level::Notice, "SIGQUIT received: memory that waited for reuse was given back.");
}
