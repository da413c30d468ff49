//! A client connection in HTTP mode: wait for a request, walk it through its phases, again.
//!
//! While it waits it holds no buffer and no transaction: an idle connection is its socket, its
//! facts and its place in the counts.

use std::rc::Rc;
use std::sync::Arc;

use super::Core;
use super::accept::{BackendPlace, Place};
use super::core::SessionEntry;
use super::exchange::{Exchange, Next};
use super::front::Wire;
use super::h2;
use super::idle::ServerConnection;
use super::tunnel::Established;
use super::{silence, wait};
use crate::base::calls;
use crate::base::clock::{self, Millis};
use crate::base::id::{ProxyIndex, ServerId};
use crate::model::bind::Protocol;
use crate::model::{Bind, Proxy};
use crate::net::buffer::Filled;
use crate::net::timer::{NEVER, Stop};
use crate::net::{Buffer, Stream};
use crate::sample::facts::Ended;
use crate::sample::{SessionFacts, TransactionFacts};
use crate::sys::pooled::Pooled;
use crate::tls::terminator::Terminator;

/// A client connection and what belongs to it.
pub struct Client {
    /// The socket.
    pub stream: Stream,
    /// Bytes received and not yet used.
    pub buffer: Option<Buffer>,
    /// How the rest of the core sees it.
    pub entry: Rc<SessionEntry>,
    /// Its facts.
    pub session: SessionFacts,
    /// Its place in every count, given back with it; a stream that shares a connection has none of its own.
    pub place: Option<Place>,
    /// Its place in the count of the backend that serves it now.
    pub backend_place: Option<BackendPlace>,
    /// The server of its last request (`option prefer-last-server`).
    pub last_server: Option<ServerId>,
    /// Its frontend is in no newer model: the connection ends behind the next response.
    pub retired: bool,
    /// It came from TCP mode and has not had a request: the backend if one was chosen there.
    pub switched: Option<Option<ProxyIndex>>,
    /// What it speaks.
    pub(super) wire: Wire,
    /// The tunnel that its exchange has become (101, CONNECT).
    pub established: Option<Box<Established>>,
}

impl Client {
    /// The line that it came by.
    fn bind(&self) -> &Bind {
        &self.entry.line.bind
    }
    /// Whether its listener has every connection begin with a PROXY protocol header.
    pub(super) fn expects_proxy_header(&self) -> bool {
        self.bind().accept_proxy
    }
    /// The version of HTTP that was agreed on: by the listener's `proto`, or by TLS.
    fn agreed(&self) -> Option<Protocol> {
        let tls = || {
            let tls = self.session.connection.as_ref()?.tls.as_ref()?;
            let agreed = tls.agreed.protocol.as_deref()?;
            Some(if agreed == b"h2" { Protocol::H2 } else { Protocol::H1 })
        };
        self.bind().protocol.or_else(tls)
    }
    /// What its listener answers TLS clients with, if it speaks TLS.
    pub(super) fn terminator(&self) -> Option<Arc<Terminator>> {
        self.bind().tls.clone()
    }
}

/// What waiting for a request gave.
enum Awaited {
    /// Its first bytes are in the buffer.
    Request,
    /// Nothing, and nothing to say about it.
    Close,
    /// The connection ended or timed out without a first request.
    Empty(Ended),
}

/// Serves a client connection to its end.
///
/// The client comes in a box, since a future keeps its arguments twice.
pub async fn serve(core: Rc<Core>, frontend: Arc<Proxy>, mut client: Box<Client>) {
    if super::tcp::admit(&core, &frontend, &mut client).await {
        serve_requests(core, frontend, client).await;
    }
}

/// Serves the requests of a client that was admitted.
pub(super) async fn serve_requests(core: Rc<Core>, mut frontend: Arc<Proxy>, mut client: Box<Client>) {
    // Boxed: every idle connection carries the room, few ever have one.
    let mut attached: Option<Box<ServerConnection>> = None;
    let started = clock::cached();
    loop {
        let first = client.session.requests == 0;
        let begun = if first { started } else { clock::cached() };
        let ended = match wait_for_request(&core, &frontend, &mut client, first, begun.millis()).await {
            Awaited::Request => None,
            Awaited::Close => return,
            Awaited::Empty(ended) => Some(ended),
        };
        let came = clock::cached();
        if first && ended.is_none() && speaks_h2(&core, &frontend, &mut client, came.millis()).await {
            client.entry.idle.set(false);
            return Box::pin(h2::serve(core, frontend, client)).await;
        }
        // What came from TCP mode has chosen by its model already.
        if client.switched.is_none() {
            client.retired |= !core.renew(&client.entry, &mut frontend);
        }
        let begun = Begun { start_us: if first { 0 } else { begun.mono_us }, came };
        // In a room of its own, so that the idle connection does not carry that of a transaction.
        let (next, txn) =
            Pooled::new(|| exchange(&core, &frontend, &mut client, &mut attached, begun, ended)).await;
        match next {
            Next::KeepAlive => core.return_transaction(txn),
            Next::Close => return core.return_transaction(txn),
            Next::Tunnel => return Box::pin(tunnel(core, frontend, client, txn)).await,
        }
    }
}

/// When a request began, as its exchange wants to know it.
#[derive(Clone, Copy)]
struct Begun {
    /// When the connection began to wait for it, in microseconds; 0 for the first one.
    start_us: u64,
    /// When its first bytes came.
    came: clock::Now,
}

/// One exchange; with `ended`, the end of a connection that sent nothing.
async fn exchange(
    core: &Rc<Core>,
    frontend: &Arc<Proxy>,
    client: &mut Client,
    attached: &mut Option<Box<ServerConnection>>,
    begun: Begun,
    ended: Option<Ended>,
) -> (Next, Box<TransactionFacts>) {
    let mut txn = core.take_transaction();
    txn.time.start_us = begun.start_us;
    if begun.start_us != 0 {
        txn.calls_before = calls::current();
    }
    let snapshot = client.entry.snapshot.get();
    let mut exchange = Exchange::new(core, &snapshot, frontend, client, &mut txn, attached);
    let next = match ended {
        Some(ended) => {
            exchange.refuse_empty(ended).await;
            Next::Close
        }
        None => {
            exchange.came_at(begun.came);
            exchange.run().await
        }
    };
    (next, txn)
}

/// Runs the tunnel that an exchange has become: small, since it may idle for hours.
pub(super) async fn tunnel(
    core: Rc<Core>,
    frontend: Arc<Proxy>,
    mut client: Box<Client>,
    mut txn: Box<TransactionFacts>,
) {
    let Some(mut established) = client.established.take() else { return };
    let Client { entry, stream, .. } = &mut *client;
    let outcome = established.tunnel.run(&core, &entry.ticket, stream, &mut established.stream).await;
    established.account(outcome, &mut txn);
    let snapshot = client.entry.snapshot.get();
    Exchange::new(&core, &snapshot, &frontend, &mut client, &mut txn, &mut None).finish_tunnel(established);
    core.return_transaction(txn);
}

/// Whether a connection whose first bytes are here speaks HTTP/2: that was agreed on, or the preface says so
/// (RFC 9113 section 3.3).
async fn speaks_h2(core: &Core, frontend: &Proxy, client: &mut Client, since: Millis) -> bool {
    match client.agreed() {
        Some(agreed) => return agreed == Protocol::H2,
        None if frontend.options.disable_h2_upgrade => return false,
        None => {}
    }
    let timeouts = &frontend.timeouts;
    let deadline = timeouts.http_request_ms.or(timeouts.client_ms).map_or(NEVER, |ms| since + ms);
    loop {
        let bytes = client.buffer.as_ref().map_or(&[][..], |buffer| buffer.filled());
        match h2::first(bytes) {
            h2::First::Preface => return true,
            h2::First::Other => return false,
            h2::First::Either => {}
        }
        // A client that says no more, or ends, is answered as one that breaks its request off.
        if wait::readable(core, &client.entry.ticket, deadline, &mut client.stream).await.is_err() {
            return false;
        }
        let buffer = client.buffer.get_or_insert_with(Buffer::lease);
        if !matches!(buffer.fill(&mut client.stream), Ok(Filled::Bytes { .. } | Filled::Nothing)) {
            return false;
        }
    }
}

/// Waits until the first bytes of a request are there.
async fn wait_for_request(
    core: &Core,
    frontend: &Proxy,
    client: &mut Client,
    first: bool,
    since: Millis,
) -> Awaited {
    if client.buffer.as_ref().is_some_and(|buffer| !buffer.is_empty()) {
        return Awaited::Request;
    }
    client.buffer = None;
    let timeouts = &frontend.timeouts;
    let timeout = if first {
        timeouts.http_request_ms.or(timeouts.client_ms)
    } else {
        timeouts.http_keep_alive_ms.or(timeouts.http_request_ms).or(timeouts.client_ms)
    };
    let mut deadline = timeout.map_or(NEVER, |ms| since + ms);
    if first {
        deadline = silence::client_due(deadline, timeouts.client_ms, since);
    }
    // Where idle clients are not closed on, the answer to their next request tells them to close.
    client.entry.idle.set(!first && !frontend.options.idle_close_on_response);
    loop {
        // The first request is often there at once; a kept connection has just been read empty.
        if first || client.buffer.is_some() {
            let buffer = client.buffer.get_or_insert_with(Buffer::lease);
            match buffer.fill(&mut client.stream) {
                Ok(Filled::Bytes { .. } | Filled::Full) => {
                    client.entry.idle.set(false);
                    return Awaited::Request;
                }
                Ok(Filled::End) if first => return Awaited::Empty(Ended::Client),
                Ok(Filled::End) | Err(_) => return Awaited::Close,
                Ok(Filled::Nothing) => client.buffer = None,
            }
        }
        match wait::readable(core, &client.entry.ticket, deadline, &mut client.stream).await {
            Ok(()) => client.buffer = Some(Buffer::lease()),
            Err(Stop::Timeout) if first => return Awaited::Empty(Ended::ClientTimeout),
            Err(_) => return Awaited::Close,
        }
    }
}
