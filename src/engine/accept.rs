//! Accepting: batches per wake-up, limits exact across cores, a pause when the system runs short.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::task::{Poll, Waker};

use super::Core;
use super::core::{LEVEL_EMERGENCY, SessionEntry};
use super::mailbox::Order;
use super::orders::Given;
use super::snapshot::Snapshot;
use crate::base::clock::{self, Millis};
use crate::base::id::{ListenerId, ProxyIndex};
use crate::base::rate::Window;
use crate::log::queue;
use crate::model::proxy::Mode;
use crate::model::{Bind, Model, Proxy};
use crate::net::descriptors::{self, Use};
use crate::net::{Acceptor, Stream, executor};
use crate::sample::facts::{SessionFacts, Transport};
use crate::state::proxy::{FrontendStatus, fe};
use crate::sys::socket;

/// The first port that is not a privileged one (RFC 6335 section 6).
const PRIVILEGED_PORTS_END: u16 = 1024;
/// Connections taken between two turns of the others, so that a storm does not starve them.
const BATCH_DEFAULT: usize = 16;
/// How long to wait when a limit is reached before looking again, if nothing tells of a free place.
const PAUSE_MS: u64 = 5;
/// How long to wait when the system is out of descriptors or memory.
const EXHAUSTED_PAUSE_MS: u64 = 50;
/// How often that is told at most.
const TELL_EVERY_MS: u64 = 1000;
/// How long to wait when the listening socket itself fails.
const USELESS_PAUSE_MS: u64 = 1000;

/// A listener as all cores know it: one address of a `bind` line, as one model has it.
pub struct BindLine {
    /// What it is known by as long as models in succession have it.
    pub ident: ListenerId,
    /// The model.
    pub model: Arc<Model>,
    /// Its frontend.
    pub proxy: Arc<Proxy>,
    /// The line.
    pub bind: Bind,
    /// Connections that came by it, over all cores, for its `maxconn`.
    pub connections: Arc<AtomicU32>,
    /// The one address its connections can have come to, if there is one: it need not be asked for.
    pub address: Option<SocketAddr>,
    /// Whether every core has a socket of it (not with `thread`).
    pub everywhere: bool,
}

/// A line as the connections of one core hold it: without a count in memory that all cores write.
pub type LocalBindLine = Rc<Arc<BindLine>>;

/// A listening socket of one core.
pub struct Socket {
    /// Its descriptor.
    pub fd: OwnedFd,
    /// What it belongs to.
    pub line: Arc<BindLine>,
    /// Other threads, or other processes, accept on the same socket.
    pub shared: bool,
    /// What it is told to listen with, again after a pause.
    pub backlog: i32,
    /// The threads have duplicates of one socket.
    pub among_threads: bool,
}

/// Whether a listener accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerState {
    /// It does.
    Open,
    /// Not now.
    Paused,
    /// Never again.
    Closed,
}

/// A listener of this core.
pub struct Listener {
    /// What it is.
    pub line: LocalBindLine,
    /// The socket, until it is closed: connections outlive it, and keep the line.
    socket: RefCell<Option<Acceptor>>,
    backlog: i32,
    state: Cell<ListenerState>,
    waker: RefCell<Option<Waker>>,
    /// The threads share one socket.
    among_threads: bool,
}

impl Listener {
    /// Takes a socket over.
    ///
    /// # Errors
    /// The system is short of descriptors.
    pub fn new(socket: Socket) -> std::io::Result<Rc<Self>> {
        let acceptor = Acceptor::new(socket.fd, socket.shared)?;
        Ok(Rc::new(Listener {
            line: Rc::new(socket.line),
            among_threads: socket.among_threads,
            socket: RefCell::new(Some(acceptor)),
            backlog: socket.backlog,
            state: Cell::new(ListenerState::Open),
            waker: RefCell::default(),
        }))
    }
    /// The listener that goes on with this one's socket, for another model's line. This one ends; its
    /// connections keep what they came by.
    pub(super) fn succeed(&self, line: Arc<BindLine>) -> Rc<Listener> {
        let state = self.state.replace(ListenerState::Closed);
        let next = Listener {
            line: Rc::new(line),
            socket: RefCell::new(self.socket.borrow_mut().take()),
            backlog: self.backlog,
            state: Cell::new(state),
            waker: RefCell::default(),
            among_threads: self.among_threads,
        };
        self.wake();
        Rc::new(next)
    }
    /// Changes whether it accepts; false if it cannot listen again, since its port was taken meanwhile.
    pub fn set(self: &Rc<Self>, core: &Rc<Core>, state: ListenerState) -> bool {
        let before = self.state.get();
        if before == ListenerState::Closed {
            return true;
        }
        if before == state {
            self.wake();
            return true;
        }
        if before == ListenerState::Open {
            accept_rest(core, self);
        }
        match (state, self.socket.borrow().as_ref()) {
            (ListenerState::Paused, Some(socket)) => socket.suspend(),
            (ListenerState::Open, Some(socket)) if socket.resume(self.backlog).is_err() => return false,
            _ => {}
        }
        self.state.set(state);
        if state == ListenerState::Closed {
            // The port must be free while connections of this listener live on.
            self.socket.borrow_mut().take();
        }
        self.wake();
        true
    }
    /// A duplicate of its socket for another process, unless it is closed or the system is short of descriptors.
    pub fn give(&self) -> Option<Given> {
        let fd = self.socket.borrow_mut().as_mut()?.share().ok()?;
        Some(Given {
            fd,
            interface: self.line.bind.interface.clone(),
            line: self.line.ident,
            is_shared: self.among_threads,
        })
    }
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
    /// Waits until a connection is there, or the state allows no waiting. False when closed.
    async fn ready(&self) -> bool {
        poll_fn(|context| {
            *self.waker.borrow_mut() = Some(context.waker().clone());
            match self.state.get() {
                ListenerState::Closed => Poll::Ready(false),
                ListenerState::Paused => Poll::Pending,
                ListenerState::Open => match self.socket.borrow_mut().as_mut() {
                    Some(socket) => socket.poll_readable(context).map(|()| true),
                    None => Poll::Ready(false),
                },
            }
        })
        .await
    }
}

/// A place in every count a client connection takes; given back when dropped, whatever happens.
pub struct Place {
    core: Rc<Core>,
    line: LocalBindLine,
    /// Another core holds the shared part of it now.
    handed_over: bool,
}

impl Place {
    /// Takes a place if every limit has one left.
    fn take(core: &Rc<Core>, line: &LocalBindLine) -> Option<Place> {
        let process = &core.setup.process.connections;
        let limit = core.setup.maxconn.load(Relaxed);
        if process.fetch_add(1, AcqRel) >= limit {
            process.fetch_sub(1, AcqRel);
            return None;
        }
        let state = &line.proxy.state;
        let limit = state.maxconn.load(Relaxed);
        let taken = state.frontend_current.fetch_add(1, AcqRel);
        let of_line = line.connections.fetch_add(1, AcqRel);
        let full = (limit != 0 && taken >= limit) || (line.bind.maxconn != 0 && of_line >= line.bind.maxconn);
        if full {
            line.connections.fetch_sub(1, AcqRel);
            state.frontend_current.fetch_sub(1, AcqRel);
            process.fetch_sub(1, AcqRel);
            let open = FrontendStatus::Open as u8;
            let _ = state.frontend_status.compare_exchange(open, FrontendStatus::Full as u8, AcqRel, Relaxed);
            return None;
        }
        core.mailbox().connections.fetch_add(1, Relaxed);
        Some(Place { core: core.clone(), line: line.clone(), handed_over: false })
    }
    /// Leaves the shared counts to the core that [`Place::adopt`]s the connection.
    fn hand_over(mut self) {
        self.handed_over = true;
    }
    /// The place of a connection that another core has accepted and counted.
    fn adopt(core: &Rc<Core>, line: &LocalBindLine) -> Place {
        core.mailbox().connections.fetch_add(1, Relaxed);
        Place { core: core.clone(), line: line.clone(), handed_over: false }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.mailbox().connections.fetch_sub(1, Relaxed);
        if self.handed_over {
            return;
        }
        let state = &self.line.proxy.state;
        state.frontend_current.fetch_sub(1, AcqRel);
        let full = FrontendStatus::Full as u8;
        let _ = state.frontend_status.compare_exchange(full, FrontendStatus::Open as u8, AcqRel, Relaxed);
        self.core.setup.process.connections.fetch_sub(1, AcqRel);
        self.line.connections.fetch_sub(1, AcqRel);
    }
}

/// A place in the count of a backend's sessions; given back when dropped.
pub struct BackendPlace(Rc<Snapshot>, ProxyIndex);

impl BackendPlace {
    /// Takes one, and how many are taken now.
    pub fn take(snapshot: &Rc<Snapshot>, backend: ProxyIndex) -> (BackendPlace, u32) {
        let taken = snapshot.proxy(backend).state.backend_current.fetch_add(1, Relaxed) + 1;
        (BackendPlace(snapshot.clone(), backend), taken)
    }
}

impl Drop for BackendPlace {
    fn drop(&mut self) {
        self.0.proxy(self.1).state.backend_current.fetch_sub(1, Relaxed);
    }
}

/// Places under the limits of rates, taken before a connection is accepted and given back when there is none.
struct Rates<'a> {
    core: &'a Core,
    proxy: &'a Proxy,
    at: Millis,
    taken: u8,
}

impl<'a> Rates<'a> {
    /// Checks and counts in one step, or tells how long nothing can pass.
    fn take(core: &'a Core, proxy: &'a Proxy, at: Millis) -> Result<Self, Millis> {
        let mut rates = Rates { core, proxy, at, taken: 0 };
        for number in 0..RATES {
            let (limit, window) = rates.of(number);
            if limit != 0 {
                window.take(at, limit)?; // what was taken before is given back
                rates.taken |= 1 << number;
            }
        }
        Ok(rates)
    }
    fn of(&self, number: u8) -> (u32, &'a Window) {
        let process = &self.core.setup.rates;
        match number {
            0 => (process.connections_max.load(Relaxed), &process.connections_window),
            1 => (process.sessions_max.load(Relaxed), &process.sessions_window),
            _ => (self.proxy.rate_limit_sessions, &self.proxy.state.frontend_session_window),
        }
    }
    /// The connection has come.
    fn keep(mut self) {
        self.taken = 0;
    }
}

/// How many limits [`Rates::of`] knows.
const RATES: u8 = 3;

impl Drop for Rates<'_> {
    fn drop(&mut self) {
        for number in (0..RATES).filter(|number| self.taken & 1 << number != 0) {
            self.of(number).1.give_back(self.at);
        }
    }
}

/// A connection that rules have refused was no session: limits of sessions count it no more.
pub(super) fn was_no_session(core: &Core, proxy: &Proxy, accepted: Millis) {
    let process = &core.setup.rates;
    if process.sessions_max.load(Relaxed) != 0 {
        process.sessions_window.give_back(accepted);
    }
    if proxy.rate_limit_sessions != 0 {
        proxy.state.frontend_session_window.give_back(accepted);
    }
}

/// Accepts on one listener until it is closed.
pub async fn run(core: Rc<Core>, listener: Rc<Listener>) {
    let batch = match listener.line.model.global.maxaccept {
        0 => BATCH_DEFAULT,
        set => set,
    };
    while listener.ready().await {
        let now = clock::refresh();
        match accept_batch(&core, &listener, batch, now) {
            Batch::Empty => {}
            // Those who are served already come before the next batch.
            Batch::Full => yield_once().await,
            Batch::Wait(milliseconds) => pause(&core, &listener, milliseconds).await,
            Batch::Exhausted => await_resources(&core, &listener).await,
        }
    }
}

/// How a batch ended.
enum Batch {
    /// Nobody waits any more.
    Empty,
    /// It has its size; others may wait.
    Full,
    /// A limit is reached: nothing passes for so long.
    Wait(Millis),
    /// The system is short of descriptors or memory.
    Exhausted,
}

fn accept_batch(core: &Rc<Core>, listener: &Rc<Listener>, batch: usize, now: clock::Now) -> Batch {
    if core.is_short_of_memory(now.millis()) {
        return Batch::Wait(PAUSE_MS);
    }
    for _ in 0..batch {
        if listener.state.get() != ListenerState::Open {
            return Batch::Empty;
        }
        let rates = match Rates::take(core, &listener.line.proxy, now.millis()) {
            Ok(rates) => rates,
            Err(delay_ms) => return Batch::Wait(delay_ms),
        };
        // A place is given back on any core; looking again soon is simpler than being told by all.
        let Some(place) = Place::take(core, &listener.line) else { return Batch::Wait(PAUSE_MS) };
        let Some(accepted) = listener.socket.borrow().as_ref().map(Acceptor::accept) else {
            return Batch::Empty;
        };
        let error = match accepted {
            // Dropping it closes it: nothing has counted it.
            Ok((_, source)) if is_refused(listener, source) => continue,
            Ok((fd, source)) => {
                rates.keep();
                let was_last = descriptors::is_reserved(fd.as_raw_fd(), Use::Client);
                place_connection(core, &listener.line, place, fd, source, now);
                if was_last {
                    return Batch::Exhausted;
                }
                continue;
            }
            Err(error) => error,
        };
        if error.kind() == ErrorKind::WouldBlock {
            return Batch::Empty;
        }
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => return Batch::Exhausted,
            // The listener itself is of no use, as one that another process has shut down: without a pause
            // the thread would try for ever.
            Some(libc::EINVAL | libc::EBADF | libc::ENOTSOCK | libc::EOPNOTSUPP | libc::EPERM) => {
                return Batch::Wait(USELESS_PAUSE_MS);
            }
            // Of this one connection (accept(2)).
            _ => {}
        }
    }
    Batch::Full
}

/// Whether a client may not be served because of its port (`harden.reject-privileged-ports.tcp`).
fn is_refused(listener: &Listener, source: Option<SocketAddr>) -> bool {
    listener.line.model.global.reject_privileged_ports
        && source.is_some_and(|source| (1..PRIVILEGED_PORTS_END).contains(&source.port()))
}

/// Lets the other tasks of the core have a turn.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        executor::yield_now(context);
        Poll::Pending
    })
    .await;
}

/// Takes the connections that wait on a listener whose port is about to be given up: closing it would reset
/// them, although their clients were told that they are connected.
fn accept_rest(core: &Rc<Core>, listener: &Rc<Listener>) {
    let now = clock::refresh();
    while let Some(place) = Place::take(core, &listener.line) {
        let Some(Ok((fd, source))) = listener.socket.borrow().as_ref().map(Acceptor::accept) else { return };
        if !is_refused(listener, source) {
            place_connection(core, &listener.line, place, fd, source, now);
        }
    }
}

/// Tells that the system is short of descriptors or memory, once a second over all cores, and waits until
/// it is so no more.
async fn await_resources(core: &Core, listener: &Listener) {
    loop {
        let (now, told) = (clock::cached(), &core.setup.rates.shortage_told_ms);
        let last = told.load(Relaxed);
        let due = now.millis() >= last + TELL_EVERY_MS;
        if due && told.compare_exchange(last, now.millis(), Relaxed, Relaxed).is_ok() {
            tell_shortage(core, &listener.line.proxy, now);
        }
        pause(core, listener, EXHAUSTED_PAUSE_MS).await;
        if descriptors::has_free(Use::Client) || listener.state.get() != ListenerState::Open {
            return;
        }
    }
}

fn tell_shortage(core: &Core, proxy: &Proxy, now: clock::Now) {
    let message = format!(
        "proxy {} cannot accept: the limit on descriptors ({}) is reached. Connections wait in the system's \
         queue. Raise 'ulimit-n', or lower 'maxconn'.",
        proxy.name,
        descriptors::limit()
    );
    if !proxy.log.is_empty() {
        core.setup.log.send(queue::Line {
            targets: proxy.log.clone(),
            level: LEVEL_EMERGENCY,
            wall_us: now.wall_us,
            tag: core.tag(),
            message: message.clone().into_bytes(),
            structured_data: None,
        });
    }
    core.alert(&message);
}

/// Waits, unless the listener is to accept no more.
async fn pause(core: &Core, listener: &Listener, milliseconds: u64) {
    let ticket = Rc::default();
    let deadline = super::wait::after(Some(milliseconds));
    let _ = super::wait::until(core, &ticket, deadline, |context| {
        *listener.waker.borrow_mut() = Some(context.waker().clone());
        match listener.state.get() {
            ListenerState::Open => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

/// Connections by which a core may be ahead of the mean before it gives fresh ones away, beside an
/// eighth of the mean: below that, moving a connection costs more than the balance is worth.
const AHEAD_MAX: u32 = 4;

/// The core that should have a fresh connection instead of the one that accepted it.
///
/// SO_REUSEPORT spreads by hash, which is even over many connections; a few that stay for hours
/// (WebSockets) may pile up on one core.
fn less_loaded(mine: usize, loads: &[u32]) -> Option<usize> {
    let mean = loads.iter().sum::<u32>() / loads.len() as u32;
    if loads[mine] <= mean + mean / 8 + AHEAD_MAX {
        return None;
    }
    (0..loads.len()).min_by_key(|core| loads[*core]).filter(|core| *core != mine)
}

/// Serves a fresh connection here, or hands it to a core that has clearly fewer.
fn place_connection(
    core: &Rc<Core>,
    line: &LocalBindLine,
    place: Place,
    fd: OwnedFd,
    source: Option<SocketAddr>,
    now: clock::Now,
) {
    let mailboxes = &core.setup.mailboxes;
    // A core that has no such listener serves none of its connections.
    if mailboxes.len() > 1 && line.everywhere {
        let loads: smallvec::SmallVec<[u32; 16]> =
            mailboxes.iter().map(|mailbox| mailbox.connections.load(Relaxed)).collect();
        if let Some(other) = less_loaded(core.index - 1, &loads) {
            place.hand_over();
            mailboxes[other].send(Order::Adopt { line: Arc::clone(line), fd, source });
            return;
        }
    }
    begin(core, line, place, fd, source, now);
}

/// Serves a connection that another core has accepted.
pub(super) fn adopt(core: &Rc<Core>, line: &LocalBindLine, fd: OwnedFd, source: Option<SocketAddr>) {
    let place = Place::adopt(core, line);
    begin(core, line, place, fd, source, clock::cached());
}

fn begin(
    core: &Rc<Core>,
    line: &LocalBindLine,
    place: Place,
    fd: OwnedFd,
    source: Option<SocketAddr>,
    now: clock::Now,
) {
    let (snapshot, proxy) = core.enter(line);
    let millis = now.millis();
    proxy.state.frontend.add(fe::CONNECTIONS, 1);
    // Not when the place is taken: a place is taken before it is known whether anyone is there.
    proxy.state.frontend.raise(fe::SESSIONS_MAX, proxy.state.frontend_current.load(Relaxed).into());
    proxy.state.frontend_connection_rate.add(millis, 1);
    core.setup.rates.connections.add(millis, 1);
    let raw = fd.as_raw_fd();
    if source.is_some() {
        socket::set_nodelay(raw);
        if proxy.options.clitcpka {
            socket::set_keepalive(
                raw,
                socket::KeepAlive {
                    count: proxy.options.clitcpka_cnt,
                    idle_s: proxy.options.clitcpka_idle_s,
                    interval_s: proxy.options.clitcpka_intvl_s,
                },
            );
        }
        if proxy.options.nolinger {
            socket::set_reset_on_close(raw);
        }
    }
    let stream = Stream::new(fd);
    let entry = SessionEntry::begin(core, line.clone(), snapshot, source);
    let session = SessionFacts {
        number: entry.number,
        frontend: proxy.state.clone(),
        is_http: proxy.mode == Mode::Http,
        listener_id: line.bind.id,
        listener_name: line.bind.name.clone(),
        source,
        destination: line.address.or_else(|| stream.local_address()),
        connection: None,
        handshake_ms: 0,
        accepted: now,
        requests: 0,
        vars: Default::default(),
        bytes_in: 0,
        bytes_out: 0,
        transport: Transport {
            socket: Some(raw),
            listener_connections: Some(line.connections.clone()),
            http2: None,
        },
        tracked: None,
    };
    let client = Box::new(super::http::Client {
        stream,
        buffer: None,
        entry,
        session,
        place: Some(place),
        wire: super::front::Wire::H1,
        backend_place: None,
        last_server: None,
        retired: false,
        switched: None,
        established: None,
    });
    match proxy.mode {
        Mode::Http => executor::spawn(super::http::serve(core.clone(), proxy, client)),
        Mode::Tcp => executor::spawn(super::tcp::serve(core.clone(), proxy, client)),
    }
}

#[cfg(test)]
mod tests {
    use super::less_loaded;

    #[test]
    fn a_core_gives_away_only_when_it_is_clearly_ahead() {
        for (mine, loads, expected) in [
            (0, &[5, 0][..], None),
            (0, &[8, 0], None),
            (0, &[9, 0], Some(1)),
            (1, &[100, 116, 90, 100], None),
            (1, &[100, 140, 90, 100], Some(2)),
            (2, &[100, 140, 90, 100], None),
            (0, &[1000], None),
        ] {
            assert_eq!(less_loaded(mine, loads), expected, "{mine} of {loads:?}");
        }
    }
}
