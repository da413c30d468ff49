//! Idle server connections that one core has and another needs (`tune.idle-pool.shared`).
//!
//! Who finds none of its own asks the cores that have some, one after the other; a connection changes
//! hands as a bare descriptor, and its TLS session with it. Asking costs two doorbells, about as much as a
//! new connection, but servers see fewer connections and those that are there are used. The steady state
//! asks nobody: then each core has connections of its own.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;

use super::Core;
use super::idle::{Identity, OpenPlace, ServerConnection, Wanted, core_bit};
use super::mailbox::Order;
use super::wait;
use crate::model::{Global, Server};
use crate::net::timer::Ticket;
use crate::net::{Detached, Stream};
use crate::state::ServerState;
use crate::tls::connection::TlsFacts;

/// The most cores asked for one connection.
const CORES_ASKED_MAX: usize = 4;
/// How long a core may take to answer. It takes microseconds unless the machine is overloaded, when a
/// needless connection would add to the load.
const PATIENCE_MS: u64 = 50;

/// A connection that changes hands.
pub struct Handed {
    stream: Detached,
    server: Arc<Server>,
    requests: u32,
    identity: Identity,
    addresses: (Option<SocketAddr>, Option<SocketAddr>),
    place: Option<OpenPlace>,
    tls: Option<Arc<TlsFacts>>,
}

impl Handed {
    /// Nothing where others share the connection.
    fn give(connection: ServerConnection) -> Option<Handed> {
        let ServerConnection { stream, place, server, requests, identity, addresses, tls, .. } = connection;
        let stream = stream.detach()?;
        Some(Handed { stream, server, requests, identity, addresses, place, tls })
    }
    fn take(self) -> Box<ServerConnection> {
        let Handed { stream, server, requests, identity, addresses, place, tls } = self;
        let mut connection = ServerConnection::new(Stream::attach(stream), server, identity);
        connection.requests = requests;
        connection.addresses = addresses;
        connection.place = place;
        connection.tls = tls;
        connection
    }
}

/// A question that waits for its answer.
#[derive(Default)]
struct Question {
    answer: Option<Option<Box<Handed>>>,
    waker: Option<Waker>,
}

/// The questions of one core.
#[derive(Default)]
pub struct Questions {
    next: Cell<u64>,
    open: RefCell<FxHashMap<u64, Question>>,
}

/// Asks other cores for an idle connection.
pub(super) async fn borrow(
    core: &Core,
    global: &Global,
    ticket: &Rc<Ticket>,
    server: &Server,
    wanted: Wanted,
) -> Option<Box<ServerConnection>> {
    if !global.idle_pool_shared || core.setup.mailboxes.len() < 2 {
        return None;
    }
    let idle = server.state.idle.load(Relaxed);
    if idle == 0 || idle < server.pool_low_conn {
        return None;
    }
    let mask = server.state.idle_cores.load(Relaxed) & !core_bit(core.index);
    let cores = core.setup.mailboxes.len();
    // Each begins with its neighbour, so that not all ask the first.
    let others = (0..cores).map(|step| (core.index - 1 + step) % cores + 1);
    for other in others.filter(|other| core_bit(*other) & mask != 0).take(CORES_ASKED_MAX) {
        if let Some(connection) = ask(core, ticket, other, server, wanted).await {
            return Some(connection);
        }
    }
    None
}

async fn ask(
    core: &Core,
    ticket: &Rc<Ticket>,
    other: usize,
    server: &Server,
    wanted: Wanted,
) -> Option<Box<ServerConnection>> {
    let token = core.questions.next.get() + 1;
    core.questions.next.set(token);
    core.questions.open.borrow_mut().insert(token, Question::default());
    let server = server.state.clone();
    core.setup.mailboxes[other - 1].send(Order::Lend { wanted, server, borrower: core.index, token });
    let waited = wait::until(core, ticket, wait::after(Some(PATIENCE_MS)), |context| {
        let mut open = core.questions.open.borrow_mut();
        match open.get_mut(&token) {
            Some(Question { answer: Some(answer), .. }) => Poll::Ready(answer.take()),
            Some(question) => {
                question.waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    })
    .await;
    core.questions.open.borrow_mut().remove(&token);
    let mut connection = waited.ok()??.take();
    // It may have ended on its way, and its server may have become another.
    if !connection.is_current() {
        return None;
    }
    let context = &mut Context::from_waker(Waker::noop());
    while connection.stream.poll_readable(context).is_ready() {
        if !connection.stream.is_empty() {
            return None;
        }
    }
    Some(connection)
}

/// Gives a connection to the core that asks for it, if there is one.
pub(super) fn lend(core: &Core, wanted: Wanted, server: &ServerState, borrower: usize, token: u64) {
    let context = &mut Context::from_waker(Waker::noop());
    let connection =
        core.idle.take(&wanted, None, context).and_then(|found| Handed::give(*found)).map(Box::new);
    // A server whose address follows the client has as many kinds as there are destinations.
    let plain = wanted.identity.destination.is_none() && wanted.identity.name.is_none();
    if connection.is_none() && plain && !core.idle.has(wanted.server) {
        server.idle_cores.fetch_and(!core_bit(core.index), Relaxed);
    }
    core.setup.mailboxes[borrower - 1].send(Order::Lent { token, connection });
}

/// Takes the answer of another core; what comes too late is kept for the next request.
pub(super) fn receive(core: &Core, token: u64, connection: Option<Box<Handed>>) {
    let mut open = core.questions.open.borrow_mut();
    if let Some(question) = open.get_mut(&token) {
        question.answer = Some(connection);
        if let Some(waker) = question.waker.take() {
            waker.wake();
        }
        return;
    }
    drop(open);
    if let Some(connection) = connection
        && !core.stopping.get()
    {
        core.idle.put(connection.take());
    }
}
