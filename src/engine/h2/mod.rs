//! HTTP/2 towards clients: one task owns the connection, and each of its streams is a task that walks an exchange.
//!
//! The connection's task alone reads and writes the socket. What it reads goes to [`Conn`], which says what has
//! happened: a request begins a task, bytes of a body wait in the connection until the stream's task takes them
//! through its [`Http2Stream`]. What streams send is staged in the connection; their wake-up brings its task to the
//! end of the executor's queue, so that what several streams send in one turn leaves in one write.

mod settings;
mod stream;

pub(super) use stream::Http2Stream;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;

use super::Core;
use super::core::SessionEntry;
use super::exchange::{Exchange, Next};
use super::front::Wire;
use super::http::Client;
use super::silence::Drain;
use super::wait;
use crate::base::clock::{self, Millis};
use crate::base::id::ServerId;
use crate::http::Version;
use crate::http::h2::conn::Event;
use crate::http::h2::{Conn, Reason, StreamId, frame};
use crate::model::Proxy;
use crate::net::buffer::Filled;
use crate::net::timer::{Kill, NEVER, Stop};
use crate::net::{Buffer, Stream, Then, executor};
use crate::sample::TransactionFacts;
use crate::sample::facts::Http2Facts;
use crate::sys::pooled::Pooled;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The preface of HTTP/2 (RFC 9113 section 3.4): no HTTP/1 request begins so.
    Preface,
    /// The preface or a request: the next bytes tell.
    Either,
    /// Something else.
    Other,
}

/// What the first bytes of a connection are.
pub(super) fn first(bytes: &[u8]) -> First {
    const LINE: &[u8] = b"PRI * HTTP/2.0\r\n";
    let len = bytes.len().min(LINE.len());
    match bytes[..len] == frame::PREFACE[..len] {
        true if len == LINE.len() => First::Preface,
        true => First::Either,
        false => First::Other,
    }
}

/// What the connection's task and its streams share.
struct Shared {
    conn: RefCell<Conn>,
    streams: RefCell<FxHashMap<StreamId, Weak<Http2Stream>>>,
    /// Wakes the connection's task.
    waker: Cell<Option<Waker>>,
    /// The socket; -1 once it is closed.
    fd: Cell<i32>,
    /// The client must not learn that the connection is over (`silent-drop`).
    is_silent: Cell<bool>,
    /// The server of the last request (`option prefer-last-server`).
    last_server: Cell<Option<ServerId>>,
}

impl Shared {
    /// Has the connection's task look again.
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
    fn stream(&self, id: StreamId) -> Option<Rc<Http2Stream>> {
        self.streams.borrow().get(&id)?.upgrade()
    }
    /// Ends all streams before their time.
    fn reset_all(&self) {
        let all: Vec<_> = self.streams.borrow().values().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|one| one.was_reset());
    }
}

/// Serves a client's connection that speaks HTTP/2.
pub(super) async fn serve(core: Rc<Core>, frontend: Arc<Proxy>, mut client: Box<Client>) {
    let settings = {
        let snapshot = client.entry.snapshot.get();
        settings::towards_clients(&snapshot.model.global, &frontend, &client.entry.line.bind)
    };
    let facts = Http2Facts { streams_max: settings.streams_max, ..Http2Facts::default() };
    client.session.transport.http2 = Some(Rc::new(facts));
    let now = clock::cached().millis();
    let shared = Rc::new(Shared {
        conn: RefCell::new(Conn::server(Arc::new(settings), now)),
        streams: RefCell::default(),
        waker: Cell::new(None),
        fd: Cell::new(client.stream.fd()),
        is_silent: Cell::new(false),
        last_server: Cell::new(client.last_server),
    });
    let mut connection = Connection {
        shared: shared.clone(),
        is_resting: true,
        rested: now,
        heard: now,
        blocked: None,
        drain: Drain::default(),
        is_small: false,
        has_served: false,
        is_leaving: false,
        ended: false,
        core,
        frontend,
        client,
    };
    std::future::poll_fn(|context| connection.poll(context)).await;
    connection.close().await;
}

/// How often a turn of the connection's task reads and writes.
const ROUNDS_MAX: u32 = 16;

/// How long a connection without streams keeps the memory that its next stream would need.
const SMALL_AFTER_MS: Millis = 1000;

/// How many buffers a turn reads: a client that sends without an end must not keep the thread from the others.
const READS_MAX: u32 = 4;

/// How reading ended for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    /// All is read that there is: the socket tells when there is more.
    All,
    /// Others come first.
    Pause,
    /// No more is taken now.
    Enough,
}

/// The connection, as its task has it.
struct Connection {
    core: Rc<Core>,
    frontend: Arc<Proxy>,
    client: Box<Client>,
    shared: Rc<Shared>,
    /// It has no stream, and since when.
    is_resting: bool,
    rested: Millis,
    /// When bytes last came.
    heard: Millis,
    /// Since when staged bytes wait for room in the socket, or since the client last took some of them.
    blocked: Option<Millis>,
    drain: Drain,
    /// What an idle connection does not need has been given back.
    is_small: bool,
    /// It has had a stream.
    has_served: bool,
    /// The client was asked to open no more streams.
    is_leaving: bool,
    /// The client has ended its direction, or broken the connection.
    ended: bool,
}

impl Connection {
    /// Ready when the connection is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.shared.is_silent.get() {
            return Poll::Ready(());
        }
        self.shared.waker.set(Some(context.waker().clone()));
        if !self.is_leaving && (self.client.retired || self.core.closes_clients()) {
            self.is_leaving = true; // asked once: asked again, the connection does not wait for streams on their way
            self.shared.conn.borrow_mut().shut_down(clock::cached().millis());
        }
        for round in 0.. {
            let received = self.receive(context);
            self.wake_writers();
            if self.flush(context).is_err() {
                return Poll::Ready(());
            }
            // Room in the output may have let input be taken again.
            if received != Received::Enough || self.ended || !self.shared.conn.borrow().wants_input() {
                break;
            }
            if round >= ROUNDS_MAX {
                executor::yield_now(context);
                break;
            }
        }
        if self.is_over() {
            return Poll::Ready(());
        }
        self.wait(context)
    }

    fn is_over(&self) -> bool {
        let conn = self.shared.conn.borrow();
        conn.is_done() || (self.ended && conn.streams() == 0)
    }

    /// Reads what there is, and acts on it.
    fn receive(&mut self, context: &mut Context<'_>) -> Received {
        for _ in 0..READS_MAX {
            if self.take_buffered() {
                executor::yield_now(context);
                return Received::Pause;
            }
            if self.ended || !self.shared.conn.borrow().wants_input() {
                return Received::Enough;
            }
            if self.client.stream.poll_readable(context).is_pending() {
                return Received::All;
            }
            let buffer = self.client.buffer.get_or_insert_with(Buffer::lease);
            let filled = buffer.fill(&mut self.client.stream);
            if buffer.is_empty() {
                self.client.buffer = None;
            }
            match filled {
                Ok(Filled::Bytes { .. }) => self.heard = clock::cached().millis(),
                Ok(Filled::Nothing) => {}
                Ok(Filled::Full) => return Received::Enough,
                Ok(Filled::End) | Err(_) => {
                    self.ended = true;
                    self.client.buffer = None;
                    self.shared.conn.borrow_mut().hung_up();
                }
            }
        }
        executor::yield_now(context);
        Received::Pause
    }

    /// Has the connection take what is in the buffer; whether it asks for a pause.
    fn take_buffered(&mut self) -> bool {
        let Some(mut buffer) = self.client.buffer.take() else { return self.take(&mut &[][..]) };
        let mut bytes = buffer.filled();
        let pauses = self.take(&mut bytes);
        let taken = buffer.len() - bytes.len();
        buffer.consume(taken);
        if !buffer.is_empty() {
            self.client.buffer = Some(buffer);
        }
        pauses
    }

    /// Has the connection take bytes, and acts on what happens; whether it asks for a pause.
    fn take(&mut self, bytes: &mut &[u8]) -> bool {
        let now = clock::cached().millis();
        loop {
            let event = self.shared.conn.borrow_mut().received(bytes, &mut self.core.heads.borrow_mut(), now);
            if let Some(facts) = &self.client.session.transport.http2 {
                let conn = self.shared.conn.borrow();
                facts.glitches.set(conn.glitches());
                facts.streams.set(u32::try_from(conn.streams()).unwrap_or(u32::MAX));
            }
            match event {
                None => return false,
                Some(Event::Pause) => return true,
                Some(event) => self.act(event),
            }
        }
    }

    fn act(&mut self, event: Event<'_>) {
        match event {
            Event::Request { stream, end, length } => self.begin(stream, end, length),
            Event::Data { stream, bytes, .. } => {
                self.shared.conn.borrow_mut().hold(stream, bytes);
                if let Some(one) = self.shared.stream(stream) {
                    one.has_bytes();
                }
            }
            Event::Trailers { stream } => {
                if let Some(one) = self.shared.stream(stream) {
                    one.has_trailers(Box::new(std::mem::take(&mut self.core.heads.borrow_mut().trailers)));
                }
            }
            Event::Reset { stream, .. } => {
                if let Some(one) = self.shared.stream(stream) {
                    one.was_reset();
                }
            }
            Event::Refused { status, .. } => self.refuse(status),
            Event::Failed { .. } => self.shared.reset_all(),
            // A client sends no responses, and its GOAWAY is obeyed by the connection itself.
            Event::Interim { .. }
            | Event::Response { .. }
            | Event::Settings
            | Event::GoAway { .. }
            | Event::Pause => {}
        }
    }

    /// Begins the exchange of a request.
    fn begin(&mut self, stream: StreamId, end: bool, length: Option<u64>) {
        // Swapped: both arenas are used again.
        let mut txn = self.core.take_transaction();
        std::mem::swap(&mut txn.request, &mut self.core.heads.borrow_mut().request);
        txn.request.version = Version::Http2;
        txn.time.start_us = clock::cached().mono_us;
        let own_stream = Rc::new(Http2Stream::new(stream, self.shared.clone()));
        self.shared.streams.borrow_mut().insert(stream, Rc::downgrade(&own_stream));
        self.has_served = true;
        self.client.retired |= !self.core.renew(&self.client.entry, &mut self.frontend);
        let own = &self.client.entry;
        let entry = SessionEntry::begin(&self.core, own.line.clone(), own.snapshot.get(), own.source);
        let session = self.client.session.of_stream();
        self.client.session.requests += 1;
        let client = Box::new(Client {
            stream: Stream::shared(own_stream.clone()),
            buffer: None,
            entry,
            session,
            place: None,
            backend_place: None,
            last_server: self.shared.last_server.get(),
            retired: false,
            switched: None,
            wire: Wire::H2(own_stream),
            established: None,
        });
        let asked = Asked { txn, end, length };
        executor::spawn(serve_stream(self.core.clone(), self.frontend.clone(), client, asked));
    }

    /// Counts a request that the connection has refused.
    fn refuse(&mut self, status: u16) {
        use crate::state::proxy::fe;
        let counters = &self.frontend.state.frontend;
        counters.add(fe::FAILED_REQUESTS, 1);
        counters.add(fe::HRSP_1XX + usize::from(status / 100).clamp(1, 5) - 1, 1);
    }

    /// Wakes the streams that may send again.
    fn wake_writers(&self) {
        loop {
            let next = self.shared.conn.borrow_mut().next_writable();
            let Some(id) = next else { return };
            if let Some(one) = self.shared.stream(id) {
                one.may_write();
            }
        }
    }

    /// Writes what is staged, as far as the socket takes it.
    fn flush(&mut self, context: &mut Context<'_>) -> Result<(), ()> {
        loop {
            let mut conn = self.shared.conn.borrow_mut();
            if conn.output().is_empty() {
                self.blocked = None;
                return Ok(());
            }
            if self.client.stream.poll_writable(context).is_pending() {
                self.blocked.get_or_insert(clock::cached().millis());
                return Ok(());
            }
            match self.client.stream.try_write(conn.output(), Then::Nothing) {
                Ok(count) => {
                    conn.wrote(count);
                    self.blocked = None;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(()),
            }
            drop(conn);
            self.wake_writers();
        }
    }

    /// Waits for whatever comes next.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = clock::cached().millis();
        let is_idle = self.shared.conn.borrow().streams() == 0;
        if is_idle && !self.is_resting {
            self.rested = now;
        }
        self.is_resting = is_idle;
        self.is_small &= is_idle;
        if is_idle && now >= self.rested + SMALL_AFTER_MS && !std::mem::replace(&mut self.is_small, true) {
            self.shared.conn.borrow_mut().rest();
        }
        self.look_at_reader(now);
        self.client.entry.idle.set(is_idle && self.has_served);
        let due = self.due(is_idle);
        match self.core.wheel.check(&self.client.entry.ticket, due, context.waker()) {
            None => Poll::Pending,
            Some(Stop::Timeout) => self.time_is_over(is_idle, context),
            Some(Stop::Killed(Kill::Shutdown)) => {
                self.shared.conn.borrow_mut().abort(Reason::NO_ERROR, "the process stops");
                let _ = self.flush(context);
                Poll::Ready(())
            }
            Some(Stop::Killed(_)) => Poll::Ready(()),
        }
    }

    /// Sees whether a client whose socket is full takes anything of it.
    fn look_at_reader(&mut self, now: Millis) {
        let (Some(since), Some(limit)) = (self.blocked, self.frontend.timeouts.client_ms) else { return };
        let stream = &self.client.stream;
        if self.drain.look(now, since, limit, || stream.unacknowledged()) {
            self.blocked = Some(now);
        }
    }

    /// When it has waited for too long: a client without streams for its next request, or one that takes nothing.
    fn limit(&self, is_idle: bool) -> Millis {
        let timeouts = &self.frontend.timeouts;
        // What the client says, a PING's answer among it, is a sign of life, and no request.
        let of_request = match self.has_served {
            true => timeouts.http_keep_alive_ms.or(timeouts.http_request_ms),
            false => timeouts.http_request_ms,
        };
        let (since, limit) = match (self.blocked, is_idle, of_request) {
            (Some(since), ..) => (since, timeouts.client_ms),
            (None, false, _) => return NEVER,
            (None, true, Some(limit)) => (self.rested, Some(limit)),
            (None, true, None) => (self.rested.max(self.heard), timeouts.client_ms),
        };
        limit.map_or(NEVER, |limit| since.saturating_add(limit))
    }

    fn due(&self, is_idle: bool) -> Millis {
        let own = self.shared.conn.borrow().deadline().unwrap_or(NEVER);
        let small = if is_idle && !self.is_small { self.rested + SMALL_AFTER_MS } else { NEVER };
        let look = match (self.blocked, self.frontend.timeouts.client_ms) {
            (Some(_), Some(limit)) => self.drain.next(limit),
            _ => NEVER,
        };
        own.min(self.limit(is_idle)).min(small).min(look)
    }

    fn time_is_over(&mut self, is_idle: bool, context: &mut Context<'_>) -> Poll<()> {
        let now = clock::cached().millis();
        if now >= self.limit(is_idle) {
            self.shared.conn.borrow_mut().abort(Reason::NO_ERROR, "the client is silent");
            let _ = self.flush(context);
            return Poll::Ready(());
        }
        self.shared.conn.borrow_mut().tick(now);
        // What fell due may have staged something, or ended streams.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends the streams that are left, and the connection.
    async fn close(self) {
        let Connection { core, mut client, shared, ended, .. } = self;
        shared.fd.set(-1);
        shared.reset_all();
        if shared.is_silent.get() {
            return;
        }
        client.stream.shutdown_write();
        client.buffer = None;
        if !ended {
            // One of its own: that of the session may have been told to end.
            let ticket = Rc::default();
            wait::drain(&core, &ticket, &mut client.stream).await;
        }
    }
}

/// A request as it came.
struct Asked {
    txn: Box<TransactionFacts>,
    end: bool,
    length: Option<u64>,
}

/// Serves one stream to its end.
async fn serve_stream(core: Rc<Core>, frontend: Arc<Proxy>, mut client: Box<Client>, asked: Asked) {
    let mut attached = None;
    let (next, txn) = Pooled::new(|| async {
        let mut txn = asked.txn;
        let snapshot = client.entry.snapshot.get();
        let mut exchange = Exchange::new(&core, &snapshot, &frontend, &mut client, &mut txn, &mut attached);
        let next = exchange.run_asked(asked.end, asked.length).await;
        (next, txn)
    })
    .await;
    if let Some(stream) = client.wire.http2() {
        stream.was_served_by(client.last_server);
    }
    match next {
        Next::Tunnel => Box::pin(super::http::tunnel(core, frontend, client, txn)).await,
        Next::KeepAlive | Next::Close => core.return_transaction(txn),
    }
}
