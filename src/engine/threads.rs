//! All data threads: start, orders to every core, end.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;

use super::accept::Socket;
use super::core::{self, ProcessRates, Setup};
use super::fault::{Fault, Point};
use super::mailbox::{Door, Mailbox, Order};
use super::orders::{Accidents, Cores, Given, ProcessLimit, Shown, Tell, core_of};
use super::queue;
use crate::base::clock;
use crate::base::id::ServerId;
use crate::model::Model;
use crate::net::timer::Kill;
use crate::state::proxy::FrontendStatus;
use crate::state::{ProxyState, ServerState};

/// The running data threads.
pub struct Threads {
    cores: CoreHandles,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts one thread per list of sockets; `cpus[i]` pins thread i if it names CPUs.
    ///
    /// # Errors
    /// A thread could not be started. A core that fails later tells the control thread, which ends the process.
    pub fn start(setup: &Setup, sockets: Vec<Vec<Socket>>, cpus: &[Vec<usize>]) -> io::Result<Threads> {
        let mut handles = Vec::new();
        for (at, sockets) in sockets.into_iter().enumerate() {
            let setup = setup.clone();
            let cpus = cpus.get(at).cloned().unwrap_or_default();
            let thread = std::thread::Builder::new().name(format!("haring/{}", at + 1));
            handles.push(thread.spawn(move || {
                if let Some(cpu) = cpus.first() {
                    core_affinity::set_for_current(core_affinity::CoreId { id: *cpu });
                }
                let mailbox = setup.mailboxes[at].clone();
                let failures = setup.failures.clone();
                // Panics of connections are caught one by one; this one is of the thread itself, and
                // would end it without a word.
                let run = AssertUnwindSafe(|| core::run(at + 1, setup, sockets));
                let result = catch_unwind(run).unwrap_or_else(|_| Err(io::Error::other("it panicked")));
                if let Err(error) = result {
                    failures(format!("data thread {} failed: {error}", at + 1));
                }
                mailbox.ended.store(true, SeqCst);
            })?);
        }
        let cores = CoreHandles {
            mailboxes: setup.mailboxes.clone(),
            maxconn: setup.maxconn.clone(),
            rates: setup.rates.clone(),
            fault: setup.fault.clone(),
            model: setup.model.clone(),
        };
        Ok(Threads { cores, handles })
    }
    /// A handle for the control thread.
    pub fn cores(&self) -> CoreHandles {
        self.cores.clone()
    }
    /// Stops every core now and waits for the threads to end.
    pub fn stop(self) {
        self.cores.send_all(|| Order::Stop);
        for handle in self.handles {
            let _ = handle.join();
        }
    }
}

/// What went wrong on these cores.
pub fn accidents(mailboxes: &[Arc<Mailbox>]) -> Accidents {
    Accidents {
        panics: mailboxes.iter().map(|mailbox| mailbox.panics.load(Relaxed)).sum(),
        rings_failed: mailboxes.iter().filter(|mailbox| mailbox.fell_back.load(Relaxed)).count(),
    }
}

/// The mailboxes of all cores.
#[derive(Clone)]
pub struct CoreHandles {
    mailboxes: Arc<[Arc<Mailbox>]>,
    maxconn: Arc<AtomicU32>,
    rates: Arc<ProcessRates>,
    fault: Arc<Fault>,
    /// The model in force, for the data threads' own use.
    model: Arc<ArcSwap<Model>>,
}

impl CoreHandles {
    fn send_all(&self, order: impl Fn() -> Order) {
        for mailbox in self.mailboxes.iter() {
            mailbox.send(order());
        }
    }
    /// Has a core use another model, with these listeners.
    pub fn change_model(&self, core: usize, model: Arc<Model>, doors: Vec<Door>) {
        if let Some(mailbox) = self.mailboxes.get(core) {
            mailbox.send(Order::Model { model, doors });
        }
    }
    /// Whether no core accepts any more: the connections that there are now are the last.
    pub fn are_closed(&self) -> bool {
        self.mailboxes.iter().all(|mailbox| mailbox.closed.load(SeqCst))
    }
}

impl Cores for CoreHandles {
    fn shutdown_server_sessions(&self, server: &Arc<ServerState>, why: Kill) {
        self.send_all(|| Order::ShutdownServer(server.clone(), why));
    }
    fn wake_queue(&self, backend: &Arc<ProxyState>) {
        queue::fill_all(&self.mailboxes, backend, clock::read().millis());
    }
    fn hand_on_queue(&self, server: &Arc<ServerState>) -> u32 {
        queue::hand_on(&self.mailboxes, server)
    }
    fn change_model(&self, model: &Arc<Model>, gone: Option<ServerId>) {
        self.model.store(model.clone());
        self.send_all(|| Order::Change { model: model.clone(), gone });
    }
    fn close_idle(&self, server: &Arc<ServerState>) {
        self.send_all(|| Order::CloseAllIdle(server.ident));
    }
    fn pause_frontend(&self, frontend: &Arc<ProxyState>) {
        frontend.frontend_status.store(FrontendStatus::Paused as u8, Release);
        self.send_all(|| Order::Pause(frontend.clone()));
    }
    fn resume_frontend(&self, frontend: &Arc<ProxyState>) {
        frontend.frontend_status.store(FrontendStatus::Open as u8, Release);
        self.send_all(|| Order::Resume(frontend.clone()));
    }
    fn stop_frontend(&self, frontend: &Arc<ProxyState>) {
        frontend.frontend_status.store(FrontendStatus::Stopped as u8, Release);
        self.send_all(|| Order::StopFrontend(frontend.clone()));
    }
    fn resolved(&self, core: usize, token: u64, address: Option<std::net::IpAddr>) {
        if let Some(mailbox) = core.checked_sub(1).and_then(|at| self.mailboxes.get(at)) {
            mailbox.send(Order::Resolved { token, address });
        }
    }
    fn sessions(&self, core: usize, after: u64, tell: Tell<Shown>) {
        match self.mailboxes.get(core) {
            Some(mailbox) => mailbox.send(Order::ListSessions(after, tell)),
            None => tell(Vec::new()),
        }
    }
    fn idle(&self, core: usize, tell: Tell<(ServerId, u32)>) {
        match self.mailboxes.get(core) {
            Some(mailbox) => mailbox.send(Order::CountIdle(tell)),
            None => tell(Vec::new()),
        }
    }
    fn give_listeners(&self, core: usize, tell: Tell<Given>) {
        match self.mailboxes.get(core) {
            Some(mailbox) => mailbox.send(Order::GiveListeners(tell)),
            None => tell(Vec::new()),
        }
    }
    fn shutdown_session(&self, number: u64) {
        if let Some(mailbox) = self.mailboxes.get(core_of(number, self.mailboxes.len())) {
            mailbox.send(Order::ShutdownSession(number));
        }
    }
    fn limit_process(&self, limit: ProcessLimit) -> bool {
        let (cell, value) = match limit {
            ProcessLimit::Connections(value) => (&*self.maxconn, value),
            ProcessLimit::ConnectionRate(value) => (&self.rates.connections_max, value),
            ProcessLimit::SessionRate(value) => (&self.rates.sessions_max, value),
        };
        cell.store(value, Relaxed);
        true
    }
    fn trim(&self) {
        self.send_all(|| Order::Trim);
    }
    fn soft_stop(&self) {
        self.send_all(|| Order::SoftStop);
    }
    fn accidents(&self) -> Accidents {
        accidents(&self.mailboxes)
    }
    fn order_fault(&self, point: Point) {
        self.fault.order(point);
        // A core that sleeps looks at once.
        self.mailboxes.iter().for_each(|mailbox| mailbox.wake());
    }
}
