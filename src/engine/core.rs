//! What one data thread owns, and its life.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::task::Poll;

use arc_swap::ArcSwap;

use super::accept::{Listener, ListenerState, LocalBindLine};
use super::borrow::{self, Questions};
use super::fault::{Fault, Point};
use super::idle::IdlePool;
use super::mailbox::{Door, Mailbox, Order};
use super::orders::{SESSIONS_AT_ONCE, Shown};
use super::queue::Waiting;
use super::resolve::{Names, ResolveOrder};
use super::snapshot::{Snapshot, SnapshotCell};
use crate::base::clock::{self, Millis};
use crate::base::core_id;
use crate::base::id::{ProxyIndex, ServerId, ServerIndex};
use crate::base::rng::Rng;
use crate::http::h2::conn::Heads;
use crate::log::queue::{Line, LogQueue};
use crate::log::target;
use crate::model::global::CloseSpread;
use crate::model::{BindAddress, Mode, Model, Proxy, Server};
use crate::net::timer::{Kill, Ticket, Wheel};
use crate::net::{Stream, buffer, descriptors, driver, executor, reactor, splice};
use crate::rules::MapOrder;
use crate::sample::facts::{ProcessFacts, TransactionFacts};
use crate::state::server::Endpoint;
use crate::stats::info::InfoFacts;
use crate::stats::post::PageOrder;
use crate::sys::memory;

/// What every data thread is started with.
#[derive(Clone)]
pub struct Setup {
    /// The model in force; a reload replaces it, and tells every core so.
    pub model: Arc<ArcSwap<Model>>,
    /// Facts of the process.
    pub process: Arc<ProcessFacts>,
    /// The way to the log writer.
    pub log: Arc<LogQueue>,
    /// The driver.
    pub driver: driver::Choice,
    /// Every core's mailbox, by index from 0 (core id minus 1).
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// `maxconn` of the process in force, changeable at run time.
    pub maxconn: Arc<AtomicU32>,
    /// Connections and sessions per second of the process, and their limits.
    pub rates: Arc<ProcessRates>,
    /// The way of the statistics page's orders to the control thread.
    pub page_orders: Arc<dyn Fn(PageOrder) + Send + Sync>,
    /// Carries rules' changes of maps out.
    pub map_orders: Arc<dyn Fn(MapOrder) + Send + Sync>,
    /// Takes what rules ask of name servers to the control thread.
    pub resolve_orders: Arc<dyn Fn(ResolveOrder) + Send + Sync>,
    /// Facts for the statistics page.
    pub info: Arc<dyn Fn() -> InfoFacts + Send + Sync>,
    /// The fault that an operator has ordered, if any.
    pub fault: Arc<Fault>,
    /// Takes the reason why a data thread cannot go on; the process ends then.
    pub failures: Arc<dyn Fn(String) + Send + Sync>,
}

/// Rates of the process, for `maxconnrate`, `maxsessrate` and `show info`.
#[derive(Debug, Default)]
pub struct ProcessRates {
    /// Accepted connections.
    pub connections: crate::base::rate::Rate,
    /// Sessions (connections that passed the connection rules).
    pub sessions: crate::base::rate::Rate,
    /// Connections and sessions within the last second, for the limits.
    pub connections_window: crate::base::rate::Window,
    /// See `connections_window`.
    pub sessions_window: crate::base::rate::Window,
    /// `maxconnrate`, changeable at run time; 0 is no limit.
    pub connections_max: AtomicU32,
    /// `maxsessrate`, changeable at run time; 0 is no limit.
    pub sessions_max: AtomicU32,
    /// When it was last told that descriptors are short.
    pub shortage_told_ms: AtomicU64,
}

/// A session in progress, as the rest of the core sees it.
pub struct SessionEntry {
    /// Its deadline and order to die.
    pub ticket: Rc<Ticket>,
    /// The model that it uses now; the places below are those of this model.
    pub snapshot: SnapshotCell,
    /// Its backend now, the place in the model, and its server, the place in the backend.
    pub serves: Cell<Option<(ProxyIndex, Option<ServerIndex>)>>,
    /// Whether it waits for a request on a kept-alive connection (a soft stop closes it).
    pub idle: Cell<bool>,
    /// Its number.
    pub number: u64,
    /// Where it came in.
    pub line: LocalBindLine,
    /// The client's address.
    pub source: Option<std::net::SocketAddr>,
    /// When it began.
    pub since_ms: u64,
    /// Transactions that have ended, and their bytes from and to the client.
    pub ended: Cell<(u64, u64, u64)>,
}

impl SessionEntry {
    /// That of a session which begins, known to its core.
    pub(super) fn begin(
        core: &Core,
        line: LocalBindLine,
        snapshot: Rc<Snapshot>,
        source: Option<std::net::SocketAddr>,
    ) -> Rc<SessionEntry> {
        let entry = Rc::new(SessionEntry {
            ticket: Rc::default(),
            serves: Cell::new(None),
            idle: Cell::new(false),
            number: core.next_number(),
            line,
            snapshot: SnapshotCell::new(snapshot),
            source,
            since_ms: clock::cached().millis(),
            ended: Cell::new((0, 0, 0)),
        });
        core.register(&entry);
        entry
    }
}

// Each idle connection has one, with two counts before it in one room of the allocator.
const _: () = assert!(size_of::<SessionEntry>() <= 112);

/// One data thread.
pub struct Core {
    /// From 1.
    pub index: usize,
    /// Shared with all threads.
    pub setup: Setup,
    /// Deadlines.
    pub wheel: Wheel,
    /// Requests of this core that wait in queues.
    pub waiting: Waiting,
    /// Idle server connections.
    pub idle: IdlePool,
    /// What it has asked of other cores.
    pub questions: Questions,
    /// Names that rules have resolved.
    pub names: Names,
    /// Where HTTP/2 connections leave the heads that have come.
    pub heads: RefCell<Heads>,
    /// Random numbers.
    pub rng: RefCell<Rng>,
    /// Set by a soft stop: no keep-alive any more.
    pub stopping: Cell<bool>,
    /// When that began.
    stopped_at_ms: Cell<Millis>,
    /// The newest model.
    snapshot: RefCell<Rc<Snapshot>>,
    sessions: RefCell<Vec<Weak<SessionEntry>>>,
    /// What [`memory::shortages`] said last, and until when nothing is accepted for that.
    shortages_seen: Cell<u64>,
    short_until_ms: Cell<Millis>,
    session_numbers: Cell<u64>,
    #[expect(
        clippy::vec_box,
        reason = "a transaction takes the box itself; moving the facts out would copy them"
    )]
    transactions: RefCell<Vec<Box<TransactionFacts>>>,
    listeners: RefCell<Vec<Rc<Listener>>>,
    /// Whether [`renew_resting`] runs.
    renewing: Cell<bool>,
}

/// How long nothing is accepted after memory was short.
const SHORT_MS: Millis = 200;
/// Sessions that are closed at each look that finds memory short.
const CLOSED_PER_LOOK: usize = 64;

/// The syslog level of what ends service (emerg).
pub(super) const LEVEL_EMERGENCY: u8 = 0;
/// How often the limit on descriptors is read, since anybody may change it from outside.
const LIMITS_EVERY_MS: clock::Millis = 1000;
/// Transaction facts a core keeps for reuse (their arenas are warm).
const TRANSACTIONS_KEPT: usize = 64;

impl Core {
    /// The mailbox of this core.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.setup.mailboxes[self.index - 1]
    }
    /// The newest model. What runs holds the one that it began with.
    pub fn snapshot(&self) -> Rc<Snapshot> {
        self.snapshot.borrow().clone()
    }
    /// Whether no newer model has come since.
    pub fn is_newest(&self, snapshot: &Rc<Snapshot>) -> bool {
        Rc::ptr_eq(&self.snapshot.borrow(), snapshot)
    }
    /// The tag of log lines without one of their own.
    pub fn tag(&self) -> Arc<str> {
        self.snapshot.borrow().tag.clone()
    }
    /// The model, and its frontend, for a connection that comes by a line: the newest one that has that frontend.
    pub fn enter(&self, line: &LocalBindLine) -> (Rc<Snapshot>, Arc<Proxy>) {
        let newest = self.snapshot();
        match newest.frontend(&line.proxy) {
            Some(frontend) => {
                let frontend = frontend.clone();
                (newest, frontend)
            }
            // Another core accepted it under a model that has come here not yet, or has gone.
            None => (Snapshot::new(line.model.clone(), &self.setup.mailboxes), line.proxy.clone()),
        }
    }
    /// Has a connection that begins something new use the newest model. Whether that has its frontend still;
    /// if not, the connection goes on with what it had, and ends soon.
    pub fn renew(&self, entry: &SessionEntry, frontend: &mut Arc<Proxy>) -> bool {
        let newest = self.snapshot.borrow();
        let Some(found) = newest.frontend(frontend) else { return false };
        if !Arc::ptr_eq(found, frontend) {
            *frontend = found.clone();
        }
        if !Rc::ptr_eq(&newest, &entry.snapshot.get()) {
            entry.snapshot.set(newest.clone());
        }
        true
    }
    /// Has some of the sessions that wait for a request hold the newest model, from a place in their list on; false
    /// behind its end. It may get shorter between two calls: who is missed is looked at after the next change.
    fn renew_some(&self, from: usize) -> bool {
        let newest = self.snapshot();
        let sessions = self.sessions.borrow();
        let Some(rest) = sessions.get(from..).filter(|rest| !rest.is_empty()) else { return false };
        for session in rest.iter().take(RENEWED_AT_ONCE).filter_map(Weak::upgrade) {
            let is_of_it = newest.model.ident == session.snapshot.get().model.ident;
            if session.idle.get() && is_of_it && session.serves.get().is_none() {
                session.snapshot.set(newest.clone());
            }
        }
        true
    }
    /// Facts for a new transaction.
    pub fn take_transaction(&self) -> Box<TransactionFacts> {
        self.transactions.borrow_mut().pop().unwrap_or_default()
    }
    /// Gives facts back for reuse.
    pub fn return_transaction(&self, mut facts: Box<TransactionFacts>) {
        let mut kept = self.transactions.borrow_mut();
        if kept.len() < TRANSACTIONS_KEPT {
            facts.reset();
            kept.push(facts);
        }
    }
    /// The next session number: unique over cores and readable (core in the low bits).
    pub fn next_number(&self) -> u64 {
        let number = self.session_numbers.get() + 1;
        self.session_numbers.set(number);
        number * self.setup.mailboxes.len() as u64 + (self.index as u64 - 1)
    }
    /// Makes a session known to the core.
    pub fn register(&self, entry: &Rc<SessionEntry>) {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.len() == sessions.capacity() {
            sessions.retain(|weak| weak.strong_count() > 0);
            // With half of it free the next look is far away, however many sessions live long.
            let alive = sessions.len();
            sessions.reserve(alive.max(16));
        }
        sessions.push(Rc::downgrade(entry));
    }
    fn each_session(&self, mut act: impl FnMut(&Rc<SessionEntry>)) {
        let entries: Vec<_> = self.sessions.borrow().iter().filter_map(Weak::upgrade).collect();
        entries.iter().for_each(&mut act);
    }
    /// Looks whether the system gives no more memory; then the newest sessions are closed, so that the others
    /// can go on, and none is accepted for a moment.
    fn watch_memory(&self, now: Millis) {
        let shortages = memory::shortages();
        if self.shortages_seen.replace(shortages) == shortages {
            return;
        }
        let was_short = self.is_short_of_memory(now);
        self.short_until_ms.set(now + SHORT_MS);
        self.idle.clear();
        let sessions = self.sessions.borrow();
        let newest = sessions.iter().rev().filter_map(Weak::upgrade);
        let alive = newest.filter(|session| session.ticket.killed().is_none());
        alive.take(CLOSED_PER_LOOK).for_each(|session| session.ticket.kill(Kill::Resource));
        drop(sessions);
        if !was_short {
            self.alert("the system gives no more memory: the newest sessions are closed, and new ones wait");
        }
    }
    /// Whether memory was short a moment ago.
    pub fn is_short_of_memory(&self, now: Millis) -> bool {
        now < self.short_until_ms.get()
    }
    /// Whether a client's connection ends behind its response, since the process stops. The later in the
    /// window of `close-spread-time`, the likelier.
    pub fn closes_clients(&self) -> bool {
        self.stopping.get()
            && match self.snapshot.borrow().model.global.close_spread {
                CloseSpread::AtOnce => true,
                CloseSpread::Never => false,
                CloseSpread::Over(window_ms) => {
                    let passed = clock::cached().millis().saturating_sub(self.stopped_at_ms.get());
                    self.rng.borrow_mut().below(window_ms) < passed
                }
            }
    }
    /// Closes one of `among` connections that wait for a request.
    fn close_resting(&self, among: u64) {
        self.each_session(|session| {
            if session.idle.get() && self.rng.borrow_mut().below(among) == 0 {
                session.ticket.kill(Kill::Shutdown);
            }
        });
    }
    fn obey(self: &Rc<Self>, order: Order) -> bool {
        match order {
            Order::Wake { token } => self.waiting.wake(token),
            Order::ShutdownServer(server, kill) => self.each_session(|session| {
                let snapshot = session.snapshot.get();
                if server_of(session, &snapshot).is_some_and(|of| Arc::ptr_eq(&of.state, &server)) {
                    session.ticket.kill(kill);
                }
            }),
            Order::ShutdownSession(number) => self.each_session(|session| {
                if session.number == number {
                    session.ticket.kill(Kill::Operator);
                }
            }),
            Order::Adopt { line, fd, source } => {
                let known =
                    self.listeners.borrow().iter().find(|known| Arc::ptr_eq(&known.line, &line)).cloned();
                let line = known.map_or_else(|| Rc::new(line), |known| known.line.clone());
                super::accept::adopt(self, &line, fd, source);
            }
            Order::Lend { wanted, server, borrower, token } => {
                borrow::lend(self, wanted, &server, borrower, token);
            }
            Order::Model { model, doors } => self.adopt_model(model, doors),
            Order::Change { model, gone } => self.change_model(model, gone),
            Order::CloseAllIdle(server) => self.idle.forget(server),
            Order::CloseIdle(server) => {
                self.idle.close_one(server);
            }
            Order::Lent { token, connection } => borrow::receive(self, token, connection),
            Order::Resolved { token, address } => self.names.answer(token, address),
            Order::Pause(proxy) => self.set_listeners(&proxy, ListenerState::Paused),
            Order::Resume(proxy) => self.set_listeners(&proxy, ListenerState::Open),
            Order::StopFrontend(proxy) => self.set_listeners(&proxy, ListenerState::Closed),
            Order::ListSessions(after, tell) => tell(self.list_sessions(after)),
            Order::GiveListeners(tell) => {
                tell(self.listeners.borrow().iter().filter_map(|listener| listener.give()).collect());
            }
            Order::CountIdle(tell) => tell(self.idle.counts()),
            Order::SoftStop => {
                self.stopping.set(true);
                let listeners = self.listeners.borrow().clone();
                for listener in &listeners {
                    listener.set(self, ListenerState::Closed);
                }
                self.mailbox().closed.store(true, SeqCst);
                self.idle.clear();
                self.stopped_at_ms.set(clock::cached().millis());
                let spread = self.snapshot.borrow().model.global.close_spread;
                match spread {
                    CloseSpread::AtOnce => self.close_resting(1),
                    CloseSpread::Over(window_ms) => executor::spawn(close_over(self.clone(), window_ms)),
                    CloseSpread::Never => {}
                }
            }
            Order::Trim => {
                buffer::trim();
                self.transactions.borrow_mut().clear();
                memory::give_back();
            }
            Order::Stop => return false,
        }
        true
    }

    fn set_listeners(self: &Rc<Self>, proxy: &Arc<crate::state::ProxyState>, state: ListenerState) {
        let listeners = self.listeners.borrow().clone();
        for listener in listeners.iter().filter(|l| Arc::ptr_eq(&l.line.proxy.state, proxy)) {
            if !listener.set(self, state) {
                let message = format!("frontend {}: its port was taken while it was paused", proxy.name);
                self.alert(&message);
            }
        }
    }

    /// Says something on standard error, by the log's writer: a terminal that is read by nobody must not
    /// hold up a data thread.
    pub(super) fn alert(&self, message: &str) {
        self.setup.log.send(Line {
            targets: target::events("stderr"),
            level: LEVEL_EMERGENCY,
            wall_us: clock::cached().wall_us,
            tag: self.tag(),
            message: format!("[ALERT]    ({}) : {message}", std::process::id()).into_bytes(),
            structured_data: None,
        });
    }

    /// Puts another model in force for what begins from now on. Listeners that it keeps go on with their sockets;
    /// the others take what waits there, and close.
    fn adopt_model(self: &Rc<Self>, model: Arc<Model>, doors: Vec<Door>) {
        if self.stopping.get() {
            return;
        }
        self.snapshot.replace(Snapshot::new(model, &self.setup.mailboxes));
        // A connection that was made as another model said may not be what this one wants.
        self.idle.clear();
        let before = self.listeners.take();
        let mut now = Vec::new();
        for door in doors {
            match door {
                // A core has several sockets of a line that came from a process with more threads.
                Door::Keep { ident, line } => {
                    let kept = before.iter().filter(|old| old.line.ident == ident);
                    now.extend(kept.map(|old| old.succeed(line.clone())));
                }
                Door::Open(socket) => match Listener::new(socket) {
                    Ok(listener) => now.push(listener),
                    Err(error) => self.alert(&format!("a new listener cannot be waited for: {error}")),
                },
            }
        }
        *self.listeners.borrow_mut() = now.clone();
        for listener in now {
            executor::spawn(super::accept::run(self.clone(), listener));
        }
        for listener in before {
            listener.set(self, ListenerState::Closed);
        }
        let snapshot = self.snapshot();
        self.each_session(|session| {
            if session.idle.get() && snapshot.frontend(&session.line.proxy).is_none() {
                session.ticket.kill(Kill::Shutdown);
            }
        });
    }

    /// Puts a model in force that has a server or a backend more or less. All that both have goes on.
    fn change_model(self: &Rc<Self>, model: Arc<Model>, gone: Option<ServerId>) {
        let changed = self.snapshot().changed(model);
        self.snapshot.replace(changed);
        if let Some(server) = gone {
            self.idle.forget(server);
        }
        if !self.renewing.replace(true) {
            executor::spawn(renew_resting(self.clone()));
        }
    }

    /// Sessions with the next numbers behind `after`.
    fn list_sessions(&self, after: u64) -> Vec<Shown> {
        let now = clock::refresh().millis();
        let sessions = self.sessions.borrow();
        // They were registered in the order of their numbers.
        let next = sessions.iter().filter_map(Weak::upgrade).filter(|session| session.number > after);
        next.take(SESSIONS_AT_ONCE).map(|session| self.describe(&session, now)).collect()
    }

    fn describe(&self, session: &SessionEntry, now: u64) -> Shown {
        let named = |proxy: &Proxy| ((proxy.name.clone(), proxy.id), proxy.mode == Mode::Http);
        let line = &session.line;
        let snapshot = session.snapshot.get();
        Shown {
            number: session.number,
            thread: self.index,
            source: session.source,
            listener: (line.bind.name.clone(), line.bind.id, address_of(&line.bind.address)),
            frontend: named(&line.proxy),
            backend: session.serves.get().map(|(backend, _)| named(snapshot.proxy(backend))),
            server: server_of(session, &snapshot).map(|server| {
                let id = server.state.id.load(Relaxed);
                ((Arc::from(&*server.state.name), id), endpoint_of(&server.state.endpoint.load()))
            }),
            age_ms: now.saturating_sub(session.since_ms),
            expires_ms: session.ticket.deadline().map(|deadline| deadline as i64 - now as i64),
            is_idle: session.idle.get(),
            is_killed: session.ticket.killed().is_some(),
            ended: session.ended.get(),
        }
    }
}

/// The server of a session, in the model that the session uses.
fn server_of<'s>(session: &SessionEntry, snapshot: &'s Snapshot) -> Option<&'s Arc<Server>> {
    let (backend, server) = session.serves.get()?;
    snapshot.proxy(backend).servers.get(server? as usize)
}

fn address_of(address: &BindAddress) -> String {
    match address {
        BindAddress::Inet(address) => address.to_string(),
        BindAddress::Unix(path) => format!("unix@{}", path.display()),
        BindAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
        BindAddress::Fd(number) => format!("fd@{number}"),
    }
}

fn endpoint_of(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Inet { address, .. } => address.to_string(),
        Endpoint::Unix(path) => format!("unix@{}", String::from_utf8_lossy(path).replace('\0', "@")),
        Endpoint::Unresolved { .. } => "-".to_owned(),
    }
}

/// Runs data thread `index` until it is told to stop. `sockets` are its listening sockets.
pub fn run(index: usize, setup: Setup, sockets: Vec<super::accept::Socket>) -> std::io::Result<()> {
    core_id::set_current(index);
    let model = setup.model.load_full();
    let global = &model.global;
    buffer::configure(global.bufsize);
    crate::net::secure::configure(global.tls_records);
    let threads = setup.mailboxes.len();
    let maxpipes = global.maxpipes.unwrap_or(setup.maxconn.load(Relaxed) as usize / 4) / threads;
    splice::configure(if global.nosplice { 0 } else { maxpipes.max(1) }, global.pipesize);
    reactor::install(&setup.driver)?;
    let core = make(index, setup, model.clone());
    drop(model);
    for socket in sockets {
        let listener = Listener::new(socket)?;
        core.listeners.borrow_mut().push(listener.clone());
        executor::spawn(super::accept::run(core.clone(), listener));
    }
    executor::spawn(take_orders(core.clone(), core.mailbox().doorbell()?));
    let mut limits_due = 0;
    let result = executor::run(
        || core.wheel.idle(),
        |now| {
            core.mailbox().panics.store(executor::panics(), Relaxed);
            if let Some(error) = reactor::take_failure() {
                core.mailbox().fell_back.store(true, Relaxed);
                core.alert(&format!("data thread {index}: io_uring failed ({error}), epoll takes its place"));
            }
            core.setup.fault.strike(Point::Thread);
            core.watch_memory(now);
            if now >= limits_due {
                limits_due = now + LIMITS_EVERY_MS;
                descriptors::refresh();
            }
            // After a stop of the process, or a wait that a signal has cut short, bytes may be there that the
            // last look did not see.
            core.wheel.advance(now, reactor::look);
            core.idle.purge(now);
        },
    );
    core.idle.clear();
    core.listeners.borrow_mut().clear();
    reactor::remove();
    result
}

fn make(index: usize, setup: Setup, model: Arc<Model>) -> Rc<Core> {
    Rc::new(Core {
        index,
        wheel: Wheel::default(),
        waiting: Waiting::default(),
        idle: IdlePool::default(),
        questions: Questions::default(),
        names: Names::default(),
        heads: RefCell::default(),
        // The seed differs per core so that cores do not choose in step.
        rng: RefCell::new(Rng::new(0x4861_7269_6e67 ^ (index as u64) << 32)),
        stopping: Cell::new(false),
        stopped_at_ms: Cell::new(0),
        snapshot: RefCell::new(Snapshot::new(model, &setup.mailboxes)),
        sessions: RefCell::default(),
        shortages_seen: Cell::new(memory::shortages()),
        short_until_ms: Cell::new(0),
        session_numbers: Cell::new(0),
        transactions: RefCell::default(),
        listeners: RefCell::default(),
        renewing: Cell::new(false),
        setup,
    })
}

async fn take_orders(core: Rc<Core>, bell: std::os::fd::OwnedFd) {
    let mut bell = Stream::new(bell);
    loop {
        poll_fn(|context| bell.poll_readable(context)).await;
        bell.was_empty();
        core.mailbox().answer();
        while let Some(order) = core.mailbox().take() {
            if !core.obey(order) {
                core.mailbox().ended.store(true, SeqCst);
                executor::stop();
                return;
            }
        }
    }
}

/// Steps in which resting connections are closed over a window.
const CLOSING_STEPS: u64 = 32;

/// How long servers may come and go before resting connections are looked at once.
const RENEWED_AFTER_MS: u64 = 500;
/// Connections that are looked at in one turn.
const RENEWED_AT_ONCE: usize = 256;

/// Has connections that wait for a request hold the newest model, so that a model ends with the requests that
/// began under it: each holds a list of all proxies.
async fn renew_resting(core: Rc<Core>) {
    pause(&core, RENEWED_AFTER_MS).await;
    core.renewing.set(false);
    let mut at = 0;
    while core.renew_some(at) {
        at += RENEWED_AT_ONCE;
        pause(&core, 1).await;
    }
}

async fn pause(core: &Rc<Core>, ms: u64) {
    let ticket = Rc::default();
    let _ = super::wait::until::<()>(core, &ticket, super::wait::after(Some(ms)), |_| Poll::Pending).await;
}

/// Closes resting connections over a window, at its end all that are left.
async fn close_over(core: Rc<Core>, window_ms: u64) {
    for left in (1..=CLOSING_STEPS).rev() {
        pause(&core, (window_ms / CLOSING_STEPS).max(1)).await;
        core.close_resting(left);
    }
}
