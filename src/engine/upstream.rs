//! Towards the server: assign, connect or reuse, retry, send the request.

use std::sync::Arc;
use std::task::Poll;

use super::body::{Pump, Trailers};
use super::borrow;
use super::connect::{self, DialError, NothingToShow};
use super::exchange::{End, Exchange, Next};
use super::fault::Point;
use super::front::UploadState;
use super::http::Client;
use super::idle::{Demand, Identity, NameDigest, OpenPlace, ServerConnection, Wanted};
use super::mailbox::Order;
use super::redispatch;
use super::response::Upload;
use super::select::{self, NoServer, Wait, Wish};
use super::{tunnel, wait};
use crate::balance::HashFunction;
use crate::base::clock;
use crate::http::h1::as_sent::AsSent;
use crate::http::h1::framing::Body;
use crate::http::h1::{encode, persist};
use crate::http::h2::websocket;
use crate::http::reply::Reply;
use crate::http::{Method, Version};
use crate::model::proxy::{BalanceKey, ConnectionMode, HttpReuse};
use crate::model::server::{TlsName, UseSource};
use crate::model::{Proxy, Server};
use crate::net::Buffer;
use crate::net::timer::{Kill, Stop};
use crate::rules::redirect;
use crate::sample::Expr;
use crate::sample::connection::ConnectionError;
use crate::sample::facts::{Context as SampleContext, CookieRequest, Direction, Ended, EndedIn};
use crate::sample::value::Type;
use crate::session::sticking::Stores;
use crate::session::{balance_key, cookie, sticking, switching};
use crate::state::places::free_slots;
use crate::state::proxy::be;
use crate::state::server::counter;
use crate::state::tracked::Event;
use sha2::Digest as _;

/// How long a place among strictly counted connections is waited for without `timeout connect`, and how long
/// between two looks: other cores answer within microseconds.
const PLACE_PATIENCE_MS: u64 = 1000;
const PLACE_PAUSE_MS: u64 = 1;

/// Why an attempt on a server failed before a response was there.
pub(super) enum Failure {
    /// Nothing of the response came, and the request can be sent again as it was.
    Retry {
        /// Which `retry-on` condition it is.
        cause: RetryCause,
        /// What to answer when no retry is left.
        end: End,
    },
    /// It cannot be tried again.
    Final(End),
}

/// The conditions of `retry-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryCause {
    EmptyResponse,
    JunkResponse,
    ResponseTimeout,
    Status,
}

impl Exchange<'_> {
    /// Brings the request to a server and the response back.
    pub(super) async fn through_server(&mut self) -> Result<Next, End> {
        let backend = self.backend();
        let mut preferred = self.persistent_server(backend, false);
        let mut avoid = None;
        let mut stale_retried = false;
        loop {
            if self.reach.assigned.is_none() {
                self.assign(backend, &mut preferred, avoid).await?;
            }
            if let Some(reply) = self.redirected_to_server() {
                let end = self.local(reply);
                self.txn.ended_in = EndedIn::Connect;
                return Err(end);
            }
            let mut connection = match self.obtain(backend, stale_retried).await {
                Ok(connection) => connection,
                Err(end) => {
                    self.retry_connect(backend, end, &mut preferred, &mut avoid).await?;
                    continue;
                }
            };
            let reused = connection.requests > 0;
            let mut upload = self.prepare_upload(&mut connection, backend);
            let result = self.receive(&mut connection, &mut upload).await;
            let kept = upload.take_kept();
            match result {
                Ok(received) => return self.respond(connection, received, &mut upload).await,
                Err(Failure::Final(end)) => {
                    self.take_back(&mut upload);
                    self.count_failure(&end);
                    return Err(end);
                }
                Err(Failure::Retry { cause, end }) => {
                    self.take_back(&mut upload);
                    drop(connection);
                    // A kept connection that the server closed in the very moment of its reuse is nobody's
                    // fault: a request that may be repeated goes out again at once (RFC 9110 section 9.2.2).
                    let stale = reused && cause == RetryCause::EmptyResponse && !stale_retried;
                    let may_repeat = self.reach.sent.method.is_idempotent();
                    let asked = self.retries_on(backend, cause);
                    let Some(kept) = kept.filter(|_| (stale && may_repeat) || asked) else {
                        self.count_failure(&end);
                        return Err(end);
                    };
                    (self.txn.ended, self.txn.ended_in) = (Ended::Normally, EndedIn::Nothing);
                    if asked {
                        self.again(backend, false, &mut preferred, &mut avoid).await?;
                    } else {
                        stale_retried = true;
                    }
                    self.restore_body(&kept);
                }
            }
        }
    }

    /// Counts a server that gave no usable response in time, in the entries that are tracked.
    fn count_failure(&self, end: &End) {
        if matches!(end.status(), Some(502 | 504)) {
            self.count_tracked(Event::ServerFailure);
        }
    }

    /// The server that use-server, the cookie or a `stick` rule demands; `again` when it was asked before, and
    /// servers may have changed since.
    fn persistent_server(&mut self, backend: &Arc<Proxy>, again: bool) -> Option<u32> {
        self.reach.persistence = switching::persistence(backend, &self.context(Direction::Request));
        let wanted =
            switching::use_server(backend, self.reach.persistence, &self.context(Direction::Request));
        self.reach.persistence.assigned = wanted.is_some();
        if again {
            cookie::again(backend, self.reach.persistence, self.txn, &mut self.reach.cookie);
        } else if backend.cookie.is_some() {
            self.reach.cookie =
                cookie::on_request(backend, self.reach.persistence, self.txn, clock::cached());
        }
        let mut wanted = wanted.or(self.reach.cookie.server);
        if !backend.stick_request.is_empty() {
            let mut stores = Stores::default();
            let context = self.context(Direction::Request);
            let assigned = wanted.is_some();
            let found =
                sticking::on_request(backend, self.reach.persistence, assigned, &context, &mut stores);
            wanted = wanted.or(found);
            self.reach.stores = stores;
        }
        // What was authenticated is a connection: its client stays with it, if nothing else decides.
        let private = self.reach.attached.as_ref().filter(|connection| {
            connection.private
                && connection.identity.model == self.snapshot.model.ident
                && connection.is_current()
        });
        let private = private.and_then(|connection| backend.server(connection.server.state.ident));
        wanted.or(private.map(|(index, _)| index)).or_else(|| self.last_server(backend))
    }

    /// The server of the connection's last request, if the backend prefers it and it has a slot free. Keys
    /// that are hashed choose for themselves.
    fn last_server(&self, backend: &Proxy) -> Option<u32> {
        if !backend.options.prefer_last_server || !matches!(backend.balance_key, BalanceKey::None) {
            return None;
        }
        let (index, server) = backend.server(self.client.last_server?)?;
        let free = free_slots(&backend.state, &server.state, clock::cached().millis()) != Some(0);
        (free && server.state.is_eligible()).then_some(index)
    }

    /// The answer for a server that clients are to ask themselves (`redir`).
    fn redirected_to_server(&self) -> Option<Reply> {
        let prefix = self.reach.assigned.as_ref()?.server().redirect_prefix.as_ref()?;
        match self.txn.as_sent().method {
            Method::Get | Method::Head => redirect::to_server(prefix.as_bytes(), &self.txn.request),
            _ => None,
        }
    }

    /// Assigns a server, or says why not.
    async fn assign(
        &mut self,
        backend: &Arc<Proxy>,
        preferred: &mut Option<u32>,
        avoid: Option<u32>,
    ) -> Result<(), End> {
        let mut queued = Wait::after(self.txn.server_queue, self.txn.backend_queue);
        // Whom it was let go from decides no more.
        let mut released = avoid.is_some();
        let core = self.core;
        let entry = self.client.entry.clone();
        let abort_matters = self.abort_matters() && !self.has_pipelined();
        loop {
            let outcome = {
                // The key borrows the request, the watch borrows the socket: they are different fields.
                let Client { stream, session, .. } = &mut *self.client;
                let context = SampleContext {
                    session: Some(session),
                    txn: self.txn,
                    direction: Direction::Request,
                    now: clock::cached(),
                    process: &core.setup.process,
                    check_vars: None,
                };
                let as_number = backend.balance.hash.function == HashFunction::None;
                let key = match *preferred {
                    None => balance_key::of(&backend.balance_key, as_number, &context),
                    Some(_) => None,
                };
                let more = &mut self.front.has_more;
                let watch = |context: &mut std::task::Context<'_>| {
                    abort_matters && !*more && {
                        let polled = stream.poll_departure(context);
                        *more = polled == Poll::Ready(None);
                        matches!(polled, Poll::Ready(Some(_)))
                    }
                };
                let key = key.as_ref().map(balance_key::Key::as_pick);
                let timeout_ms = self.effects.queue_timeout_ms;
                let priority = self.effects.priority;
                let wish = Wish {
                    snapshot: self.snapshot,
                    backend,
                    preferred: *preferred,
                    key,
                    avoid,
                    timeout_ms,
                    priority,
                };
                select::assign(core, &entry, wish, &mut queued, watch).await
            };
            self.txn.server_queue = queued.positions.server;
            self.txn.backend_queue = queued.positions.backend;
            let error = match outcome {
                Ok(assigned) => {
                    self.client.entry.serves.set(Some((backend.index, Some(assigned.index))));
                    if preferred.is_none() {
                        assigned.server().state.counters.add(counter::LBTOT, 1);
                        backend.state.backend.add(be::LBTOT, 1);
                    }
                    self.txn.server = Some(assigned.server().state.clone());
                    self.client.last_server = Some(assigned.server().state.ident);
                    self.reach.assigned = Some(assigned);
                    self.txn.time.queued_us = clock::cached().mono_us;
                    return Ok(());
                }
                Err(error) => error,
            };
            if error == NoServer::ChooseAgain {
                if !released {
                    *preferred = self.persistent_server(backend, true);
                }
                continue;
            }
            let may_leave = backend.redispatch_after != 0 && !self.reach.persistence.force;
            if error == NoServer::QueueFull && may_leave && preferred.take().is_some() {
                // The demanded server's queue is full: any other will do.
                self.txn.cookie_request = CookieRequest::Down;
                released = true;
                continue;
            }
            if matches!(error, NoServer::QueueTimeout | NoServer::ClientGone | NoServer::Killed(_)) {
                // The time in the queue is known although it led nowhere.
                self.txn.time.queued_us = clock::cached().mono_us;
            }
            return Err(match error {
                NoServer::ChooseAgain | NoServer::NoneUp => {
                    backend.state.backend.add(be::FAILED_CONNECTS, 1);
                    self.error_end(503, Ended::Server, EndedIn::Connect)
                }
                NoServer::QueueFull => self.error_end(503, Ended::Server, EndedIn::Queue),
                NoServer::QueueTimeout => {
                    backend.state.backend.add(be::FAILED_CONNECTS, 1);
                    self.error_end(503, Ended::ServerTimeout, EndedIn::Queue)
                }
                NoServer::ClientGone => self.client_left(EndedIn::Queue),
                NoServer::Killed(kill) => self.killed(kill, EndedIn::Queue),
            });
        }
    }

    /// The client closed before it was served.
    pub(super) fn client_left(&mut self, ended_in: EndedIn) -> End {
        self.txn.ended = Ended::Client;
        self.txn.ended_in = ended_in;
        // An attempt that failed before may have left its own.
        self.txn.status = 0;
        self.backend().state.backend.add(be::CLIENT_ABORTS, 1);
        if let Some(assigned) = &self.reach.assigned {
            assigned.server().state.counters.add(counter::CLIENT_ABORTS, 1);
        }
        End::Close
    }

    /// Whether a client that closes its side gives up its request (`option abortonclose`).
    pub(super) fn abort_matters(&self) -> bool {
        self.backend().options.abortonclose
    }

    /// A connection to the assigned server: reused if the mode allows it, else dialled.
    async fn obtain(&mut self, backend: &Arc<Proxy>, fresh: bool) -> Result<Box<ServerConnection>, End> {
        let Some(assigned) = &self.reach.assigned else {
            return Err(self.error_end(500, Ended::Internal, EndedIn::Connect));
        };
        // Not a reference of its own: counting it is a write that cores contend for.
        let server = &backend.servers[assigned.index as usize];
        let core = self.core;
        let name = self.server_name(server);
        let Ok(identity) = self.identity(backend, server, name.as_deref()) else {
            // From our own address the server would take it for somebody else's.
            return Err(self.error_end(500, Ended::Internal, EndedIn::Connect));
        };
        let header = server.proxy_header.as_deref().map(|header| {
            let mut bytes = Vec::new();
            header.for_client(&self.context(Direction::Request), &mut bytes);
            bytes.into_boxed_slice()
        });
        let reused = match fresh {
            true => None,
            false => self.reuse(backend, server, identity, header.as_deref()).await,
        };
        if let Some(connection) = reused {
            server.state.counters.add(counter::REUSE, 1);
            backend.state.backend.add(be::REUSE, 1);
            (self.txn.backend_source, self.txn.backend_destination) = connection.addresses;
            self.txn.server_socket = Some(connection.stream.fd());
            self.txn.server_tls = connection.tls.clone();
            self.txn.server_reused = true;
            self.txn.time.connected_us = clock::cached().mono_us;
            return Ok(connection);
        }
        let place = match server.strict_maxconn {
            true => Some(self.open_place(backend, server).await?),
            false => None,
        };
        server.state.counters.add(counter::CONNECT, 1);
        backend.state.backend.add(be::CONNECT, 1);
        let ticket = self.client.entry.ticket.clone();
        let destination = self.client.session.destination;
        let abort_matters = self.abort_matters();
        let wish = connect::Dial {
            backend,
            server,
            destination,
            timeout_ms: self.effects.connect_timeout_ms,
            identity,
            name: name.as_deref(),
            preface: header.as_deref(),
        };
        let dialled =
            connect::dial(core, &ticket, wish, |context| abort_matters && self.client_gone(context)).await;
        if let Err(error) = &dialled {
            self.txn.backend_error = error.connection_error();
            connect::log_source(core, backend, server, error, self.txn);
        }
        match dialled {
            Ok(stream) => {
                observe_l4(server, true);
                self.txn.backend_source = stream.local_address();
                self.txn.backend_destination = connect::address_of(server, destination);
                self.txn.time.connected_us = clock::cached().mono_us;
                self.txn.backend_error = ConnectionError::NONE;
                self.txn.server_socket = Some(stream.fd());
                self.txn.server_reused = false;
                let tls = connect::tls_facts(core, &stream, name);
                self.txn.server_tls.clone_from(&tls);
                let mut connection = ServerConnection::new(stream, server.clone(), identity);
                connection.tls = tls;
                connection.header = header;
                connection.place = place;
                connection.addresses = (self.txn.backend_source, self.txn.backend_destination);
                Ok(connection)
            }
            Err(DialError::ClientGone) => Err(self.client_left(EndedIn::Connect)),
            Err(DialError::Killed(kill)) => Err(self.killed(kill, EndedIn::Connect)),
            Err(DialError::Timeout) => {
                observe_l4(server, false);
                Err(self.error_end(503, Ended::ServerTimeout, EndedIn::Connect))
            }
            Err(DialError::Resource(_)) => Err(self.error_end(503, Ended::Resource, EndedIn::Connect)),
            Err(DialError::Source(..)) => Err(self.error_end(503, Ended::Server, EndedIn::Connect)),
            Err(DialError::Failed(_) | DialError::Handshake(_)) => {
                observe_l4(server, false);
                Err(self.error_end(503, Ended::Server, EndedIn::Connect))
            }
        }
    }

    /// A place for another connection to a server of `strict-maxconn`. Who is here has one of its slots: there
    /// is a place, or an idle connection holds it. Such a one is closed, on this core or another.
    async fn open_place(&mut self, backend: &Proxy, server: &Server) -> Result<OpenPlace, End> {
        let ident = server.state.ident;
        let core = self.core;
        let ticket = self.client.entry.ticket.clone();
        let patience_ms = self.effects.connect_timeout_ms.or(backend.timeouts.connect_ms);
        let deadline = wait::after(patience_ms.or(Some(PLACE_PATIENCE_MS)));
        self.reach.attached.take_if(|attached| attached.server.state.ident == ident);
        loop {
            if let Some(place) = OpenPlace::take(&server.state) {
                return Ok(place);
            }
            if core.idle.close_one(ident) {
                continue;
            }
            if clock::cached().millis() >= deadline {
                return Err(self.error_end(503, Ended::Resource, EndedIn::Connect));
            }
            for mailbox in core.setup.mailboxes.iter().enumerate().filter(|(at, _)| at + 1 != core.index) {
                mailbox.1.send(Order::CloseIdle(ident));
            }
            if let Err(Stop::Killed(kill)) = wait::sleep(core, &ticket, PLACE_PAUSE_MS).await {
                return Err(self.killed(kill, EndedIn::Connect));
            }
        }
    }

    /// What sets a connection to the server apart from others to it.
    fn identity(
        &self,
        backend: &Proxy,
        server: &Server,
        name: Option<&[u8]>,
    ) -> Result<Identity, NothingToShow> {
        let header = match server.use_source.as_ref().or(backend.use_source.as_ref()) {
            Some(UseSource::Header(expr)) => {
                expr.eval(&self.context(Direction::Request)).and_then(|address| address.as_ip())
            }
            _ => None,
        };
        let session = &self.client.session;
        let shown = connect::shown(backend, server, session.source, header)?;
        let version = server.state.endpoint.version();
        let destination = match version.follows_client() {
            true => connect::address_of(server, session.destination),
            false => None,
        };
        let packets = self.effects.server_packets;
        let name = name.map(digest_of_name);
        Ok(Identity { model: self.snapshot.model.ident, packets, shown, destination, version, name })
    }

    /// The name that TLS tells the server: `sni`, or the host of the request (`sni-auto`).
    fn server_name(&self, server: &Server) -> Option<Box<[u8]>> {
        let name = match &server.tls.as_ref()?.name {
            TlsName::None => return None,
            TlsName::Expr(expr) => name_of(expr, &self.context(Direction::Request))?,
            TlsName::Host => {
                let host = self.txn.request.fields.first(b"host")?;
                host.split(|byte| *byte == b':').next().unwrap_or_default().to_vec()
            }
        };
        (!name.is_empty()).then(|| name.into_boxed_slice())
    }

    async fn reuse(
        &mut self,
        backend: &Proxy,
        server: &Server,
        identity: Identity,
        header: Option<&[u8]>,
    ) -> Option<Box<ServerConnection>> {
        if let Some(connection) = self.reach.attached.take()
            && connection.server.state.ident == server.state.ident
            && connection.identity == identity
            && connection.header.as_deref() == header
            && connection.is_current()
        {
            let mut connection = connection;
            let alive = std::future::poll_fn(|context| Poll::Ready(connection.is_quiet(context))).await;
            if alive {
                return Some(connection);
            }
        }
        let first = self.client.session.requests <= 1;
        let demand = match (backend.http_reuse, first) {
            (HttpReuse::Never, _) | (HttpReuse::Safe, true) => return None,
            (HttpReuse::Aggressive, true) => Demand::Proven,
            _ => Demand::Any,
        };
        let core = self.core;
        let wanted = Wanted { server: server.state.ident, demand, identity };
        let own = std::future::poll_fn(|context| Poll::Ready(core.idle.take(&wanted, header, context))).await;
        // What began with a header speaks for one client: such a connection stays where it is.
        if own.is_some() || header.is_some() {
            return own;
        }
        let global = &self.snapshot.model.global;
        borrow::borrow(core, global, &self.client.entry.ticket, server, wanted).await
    }

    /// Decides whether and where a failed attempt is repeated; the given end when it is not.
    async fn retry_connect(
        &mut self,
        backend: &Arc<Proxy>,
        end: End,
        preferred: &mut Option<u32>,
        avoid: &mut Option<u32>,
    ) -> Result<(), End> {
        let Some(assigned) = &self.reach.assigned else { return Err(end) };
        let server = assigned.server().clone();
        let hopeless = matches!(self.txn.ended, Ended::Client | Ended::Internal)
            || self.txn.ended.by_order()
            || !backend.retry_on.conn_failure;
        if hopeless || self.txn.retries >= self.retries_max(backend) {
            if self.txn.ended != Ended::Client && !self.txn.ended.by_order() {
                server.state.counters.add(counter::FAILED_CONNECTS, 1);
                backend.state.backend.add(be::FAILED_CONNECTS, 1);
            }
            return Err(end);
        }
        // An address that cannot be bound will not be there in a second either, but another server may have
        // another.
        let refused = self.txn.ended == Ended::Server && self.txn.backend_error != ConnectionError::CANT_BIND;
        (self.txn.ended, self.txn.ended_in) = (Ended::Normally, EndedIn::Nothing);
        // A time-out was pause enough.
        self.again(backend, refused, preferred, avoid).await
    }

    /// Counts a retry and decides on which server it is made; `pause` waits before the same one.
    async fn again(
        &mut self,
        backend: &Arc<Proxy>,
        pause: bool,
        preferred: &mut Option<u32>,
        avoid: &mut Option<u32>,
    ) -> Result<(), End> {
        let Some(assigned) = &self.reach.assigned else { return Ok(()) };
        let server = assigned.server().clone();
        let index = assigned.index;
        self.txn.retries += 1;
        let demanded = preferred.is_some();
        // Without the option, a valid cookie keeps to its server even when that is down.
        let bound = self.reach.persistence.force
            || backend.redispatch_after == 0 && self.txn.cookie_request == CookieRequest::Valid;
        if !bound && redispatch::leaves_server(backend, &server.state, self.txn.retries, demanded) {
            server.state.counters.add(counter::REDISPATCHES, 1);
            backend.state.backend.add(be::REDISPATCHES, 1);
            self.txn.redispatched = true;
            if preferred.take().is_some() && self.txn.cookie_request == CookieRequest::Valid {
                self.txn.cookie_request = CookieRequest::Down;
            }
            *avoid = Some(index);
            self.reach.assigned = None;
            return Ok(());
        }
        server.state.counters.add(counter::RETRIES, 1);
        backend.state.backend.add(be::RETRIES, 1);
        if !pause {
            return Ok(());
        }
        let deadline = clock::cached().millis() + redispatch::pause_ms(backend);
        let core = self.core;
        let ticket = self.client.entry.ticket.clone();
        let abort_matters = self.abort_matters();
        let waited = wait::until(core, &ticket, deadline, |context| {
            if abort_matters && self.client_gone(context) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        match waited {
            Err(Stop::Timeout) => Ok(()),
            Ok(()) => Err(self.client_left(EndedIn::Connect)),
            Err(Stop::Killed(kill)) => Err(self.killed(kill, EndedIn::Connect)),
        }
    }

    /// How often the request may be tried again: `retries`, unless a rule says otherwise.
    fn retries_max(&self, backend: &Proxy) -> u32 {
        self.effects.retries.unwrap_or(backend.retries)
    }

    /// Whether `retry-on` has a request sent again for this cause.
    pub(super) fn retries_on(&self, backend: &Proxy, cause: RetryCause) -> bool {
        let on = &backend.retry_on;
        !self.effects.no_l7_retry
            && self.txn.retries < self.retries_max(backend)
            && match cause {
                RetryCause::EmptyResponse => on.empty_response,
                RetryCause::JunkResponse => on.junk_response,
                RetryCause::ResponseTimeout => on.response_timeout,
                RetryCause::Status => true,
            }
    }

    /// What is at hand of the body, where a failure would have it sent again and all of it may fit a buffer; empty
    /// when there is none.
    fn body_to_keep(&self, backend: &Proxy) -> Option<Vec<u8>> {
        let fits = match self.front.body {
            Body::Length(length) => length <= Buffer::lease_size() as u64,
            Body::None | Body::Chunked | Body::UntilClose => true,
        };
        if self.front.body.is_empty() || !fits {
            return fits.then(Vec::new);
        }
        let l7 = backend.retry_on.empty_response
            || backend.retry_on.junk_response
            || backend.retry_on.response_timeout
            || !backend.retry_on.statuses.is_empty();
        let worth = l7 || self.txn.request.method.is_idempotent();
        worth.then(|| self.client.buffer.as_ref().map_or(Vec::new(), |buffer| buffer.filled().to_vec()))
    }

    /// Puts back what came of the body, with what the client sent behind it.
    fn restore_body(&mut self, kept: &[u8]) {
        self.front.upload_state = UploadState::NotBegun;
        self.front.unfinished = None;
        // Without a body, what came behind the head is back in its buffer already.
        if self.front.body.is_empty() {
            return;
        }
        self.client.buffer = (!kept.is_empty()).then(|| {
            let mut buffer = Buffer::lease();
            buffer.append(kept);
            buffer
        });
    }

    /// The request as it goes to the server: its head, and its body as far as the client sends it.
    fn prepare_upload(&mut self, connection: &mut ServerConnection, backend: &Proxy) -> Upload {
        self.prove_websocket();
        self.reach.sent = AsSent::of(&self.txn.request);
        let keeps = self.keeps_server(backend);
        let pretends = backend.options.http_pretend_keepalive && !persist::closes(&self.txn.request.fields);
        let mode = if keeps || pretends {
            match self.txn.request.version {
                // RFC 9112 section 9.3: in HTTP/1.0 persistence must be asked for.
                Version::Http10 => encode::Connection::KeepAlive,
                Version::Http11 | Version::Http2 => encode::Connection::Default,
            }
        } else {
            encode::Connection::Close
        };
        connection.requests += 1;
        self.core.setup.fault.strike(Point::Connect);
        if let Some(name) = &backend.send_name_header {
            self.txn.request.fields.set(name.as_bytes(), connection.server.name.as_bytes());
        }
        let splice = tunnel::splices_up(self.frontend, backend);
        let keep = self.body_to_keep(backend);
        let input = self.front.body;
        // A body whose end its wire tells apart from its bytes goes in chunks.
        let output = if input == Body::UntilClose { Body::Chunked } else { input };
        let mut pump = Pump::new(input, output, self.client.buffer.take(), splice);
        if let Some(bytes) = keep {
            pump.keep(bytes);
        }
        if backend.options.drop_request_trailers {
            pump.trailers_go = Trailers::Nowhere;
        }
        // In front of TLS it has gone out already.
        if let (1, Some(header), false) =
            (connection.requests, &connection.header, connection.stream.is_secure())
        {
            pump.stage(header);
        }
        let head = pump.stage_head(|out| encode::request(&self.txn.request, output, mode, out));
        if backend.options.adjust_case_server {
            self.snapshot.model.global.header_case.apply(head);
        }
        Upload::new(pump)
    }

    /// Gives a WebSocket that came without a key, as HTTP/2 has none, the key that HTTP/1 wants (RFC 8441
    /// section 5): the server shows by its answer that it has understood.
    fn prove_websocket(&mut self) {
        let request = &mut self.txn.request;
        let is_websocket = request.fields.bytes(request.protocol).eq_ignore_ascii_case(b"websocket");
        if is_websocket && !request.fields.contains(b"sec-websocket-key") {
            let mut rng = self.core.rng.borrow_mut();
            let halves = [rng.next_u64(), rng.next_u64()].map(u64::to_ne_bytes);
            let mut random = [0; 16];
            random.copy_from_slice(halves.as_flattened());
            request.fields.append(b"sec-websocket-key", websocket::key(random).as_bytes());
        }
    }

    /// Whether the server has understood the WebSocket that it grants, where the key is the proxy's own.
    pub(super) fn is_websocket_proven(&self) -> bool {
        let request = &self.txn.request;
        if request.protocol.is_empty() {
            return true; // the client judges it
        }
        let Some(key) = request.fields.first(b"sec-websocket-key") else { return true };
        let accept = self.txn.response.fields.first(b"sec-websocket-accept");
        accept.is_some_and(|accept| accept == websocket::accept(key).as_bytes())
    }

    /// Whether the server connection may live on after this exchange.
    pub(super) fn keeps_server(&self, backend: &Proxy) -> bool {
        backend.options.connection_mode == ConnectionMode::KeepAlive
            && self.frontend.options.connection_mode == ConnectionMode::KeepAlive
            && !persist::closes(&self.txn.request.fields)
            && !self.core.stopping.get()
    }

    /// The letters and the end of a death on the server's side.
    pub(super) fn killed_by(&mut self, kill: Kill, ended_in: EndedIn) -> Failure {
        Failure::Final(self.killed(kill, ended_in))
    }
}

/// Tells passive observation how a connection attempt ended.
/// The name that an expression gives.
pub(super) fn name_of(expr: &Expr, context: &SampleContext<'_>) -> Option<Vec<u8>> {
    Some(expr.eval(context)?.into_bytes(Type::Str)?.into_owned())
}

/// What tells connections apart that were made for different names.
fn digest_of_name(name: &[u8]) -> NameDigest {
    let whole = sha2::Sha256::digest(name);
    let mut digest = NameDigest::default();
    digest.copy_from_slice(&whole[..16]);
    digest
}

pub(super) fn observe_l4(server: &crate::model::Server, success: bool) {
    crate::health::observe::record_l4(&server.state, server.observe, server.error_limit, success);
}
