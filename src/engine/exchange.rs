//! One request and its response, from the first byte to the log line.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::Core;
use super::accept::BackendPlace;
use super::fault::Point;
use super::front::{Front, Wire};
use super::http::Client;
use super::idle::ServerConnection;
use super::reach::Reach;
use super::silence;
use super::snapshot::Snapshot;
use super::streamed::Streamed;
use super::wait;
use crate::base::clock::{self, Now};
use crate::http::Method;
use crate::http::h1::framing::Body;
use crate::http::reply::Reply;
use crate::model::Proxy;
use crate::model::proxy::{BalanceKey, Mode};
use crate::net::Departure;
use crate::net::timer::Kill;
use crate::rules::Effects;
use crate::sample::TransactionFacts;
use crate::sample::facts::{self, Context as SampleContext, Direction, Ended, EndedIn};
use crate::session::{captures, error_page, forwarded, rfc7239, switching, unique_id};
use crate::state::proxy::{be, fe};
use crate::state::tracked::Event;

/// What the connection does after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for another request.
    KeepAlive,
    /// End.
    Close,
    /// Become the tunnel that stands in [`Client::established`]; the exchange ends with it.
    Tunnel,
}

/// How an exchange ends before a response was forwarded.
pub enum End {
    /// With an answer of the proxy's own.
    Answer(Answer),
    /// The connection closes without one.
    Close,
    /// The client must not learn that the connection is over (`silent-drop`).
    Silence {
        /// The hop limit of the packet that resets it, as `rst-ttl` says.
        hop_limit: Option<u8>,
    },
}

/// An answer of the proxy's own.
pub struct Answer {
    /// Its head, and its body unless that is streamed.
    pub reply: Reply,
    /// The body that follows the head in parts.
    pub(super) streamed: Option<Box<Streamed>>,
    /// Whether the client's connection may live on after it.
    pub may_keep_alive: bool,
}

impl End {
    /// An answer after which the client's connection may live on.
    pub fn answer(reply: Reply) -> End {
        End::Answer(Answer { reply, streamed: None, may_keep_alive: true })
    }
    /// The same end, and the client's connection ends with it.
    pub fn closing(mut self) -> End {
        if let End::Answer(answer) = &mut self {
            answer.may_keep_alive = false;
        }
        self
    }
    /// The same end with another reply, if there is one.
    pub fn with(mut self, other: Option<Box<Reply>>) -> End {
        if let (End::Answer(answer), Some(other)) = (&mut self, other) {
            answer.reply = *other;
        }
        self
    }
    /// The same end, whose answer has this body behind its head.
    pub(super) fn followed_by(mut self, body: Box<Streamed>) -> End {
        if let End::Answer(answer) = &mut self {
            answer.streamed = Some(body);
        }
        self
    }
    /// The status of the answer, if there is one.
    pub fn status(&self) -> Option<u16> {
        match self {
            End::Answer(answer) => Some(answer.reply.status),
            End::Close | End::Silence { .. } => None,
        }
    }
}

/// One exchange on a client connection.
pub struct Exchange<'a> {
    pub(super) core: &'a Rc<Core>,
    /// The model under which the exchange began; it ends under the same.
    pub(super) snapshot: &'a Rc<Snapshot>,
    pub(super) frontend: &'a Arc<Proxy>,
    pub(super) client: &'a mut Client,
    pub(super) txn: &'a mut TransactionFacts,
    pub(super) effects: Effects,
    /// The request as it comes from the client.
    pub(super) front: Front,
    /// The server that it goes to.
    pub(super) reach: Reach<'a>,
}

impl<'a> Exchange<'a> {
    /// An exchange that begins.
    pub fn new(
        core: &'a Rc<Core>,
        snapshot: &'a Rc<Snapshot>,
        frontend: &'a Arc<Proxy>,
        client: &'a mut Client,
        txn: &'a mut TransactionFacts,
        attached: &'a mut Option<Box<ServerConnection>>,
    ) -> Self {
        Exchange {
            core,
            snapshot,
            frontend,
            client,
            txn,
            effects: Effects::default(),
            front: Front::default(),
            reach: Reach::new(attached),
        }
    }

    /// Walks the exchange of a request that came whole, the body aside: `end` says that none follows.
    pub(super) async fn run_asked(&mut self, end: bool, length: Option<u64>) -> Next {
        let is_tunnel = self.txn.request.method == Method::Connect || !self.txn.request.protocol.is_empty();
        self.front.body = match (end, length) {
            _ if is_tunnel => Body::None, // what follows is the tunnel's
            (true, Some(0)) => Body::Length(0),
            (true, _) => Body::None,
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClose,
        };
        self.txn.has_request = true;
        self.came_at(clock::cached());
        self.run().await
    }

    /// Walks the exchange to its end.
    pub async fn run(&mut self) -> Next {
        self.front.received = self.client.buffer.as_ref().map_or(0, |buffer| buffer.len() as u64);
        let next = match self.walk().await {
            Ok(next) => next,
            Err(end) => self.answer(end).await,
        };
        if next != Next::Tunnel {
            // What came behind it is the next request's.
            let rest = self.client.buffer.as_ref().map_or(0, |buffer| buffer.len() as u64);
            self.txn.bytes_from_client = self.front.received.saturating_sub(rest);
            self.finish();
        }
        next
    }

    /// Its first bytes came then: what bounds the request counts from there.
    pub(super) fn came_at(&mut self, moment: Now) {
        self.txn.time.first_byte_us = moment.mono_us;
        self.txn.time.first_byte_wall_us = moment.wall_us;
    }

    /// The phases of an exchange in order. Each ends it by an error, which is answered.
    async fn walk(&mut self) -> Result<Next, End> {
        match &self.client.wire {
            Wire::H1 => self.read_request().await?,
            Wire::H2(_) => self.has_request(),
        }
        self.core.setup.fault.strike(Point::Request);
        self.request_frontend().await?;
        self.switch()?;
        self.request_backend().await?;
        self.before_server().await?;
        self.through_server().await
    }

    /// Answers a connection that sent nothing: 408 after a time-out, nothing after an end.
    pub async fn refuse_empty(&mut self, ended: Ended) {
        self.txn.ended = ended;
        self.txn.ended_in = EndedIn::Request;
        // It was active from the start: there was no first byte that would have ended an idle time.
        self.came_at(self.client.session.accepted);
        self.txn.bad_request = true;
        let probe = self.frontend.options.http_ignore_probes;
        if !probe {
            // It opened a connection to ask for something, and did not: that counts as HAProxy counts it.
            self.count_tracked(Event::Request);
            if ended == Ended::Client {
                self.count_tracked(Event::ClientError);
            }
        }
        if self.txn.ended == Ended::ClientTimeout && !probe {
            self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
            let end = self.error_end(408, Ended::ClientTimeout, EndedIn::Request);
            self.answer(end.closing()).await;
        } else if self.frontend.options.dontlognull || probe {
            return;
        } else if ended == Ended::Client {
            // What would have been answered, had there been anybody to hear it.
            self.txn.status = 400;
        }
        self.finish();
    }

    /// The context in which expressions are evaluated now.
    pub(super) fn context(&self, direction: Direction) -> SampleContext<'_> {
        SampleContext {
            session: Some(&self.client.session),
            txn: self.txn,
            direction,
            now: clock::cached(),
            process: &self.core.setup.process,
            check_vars: None,
        }
    }

    /// `timeout client` as it is now.
    pub(super) fn client_timeout_ms(&self) -> Option<u64> {
        silence::client_ms(&self.effects, self.frontend)
    }

    /// How long each side may be silent now.
    pub(super) fn limits(&self) -> silence::Limits {
        silence::Limits::of(&self.effects, self.frontend, self.backend())
    }

    /// The proxy whose settings govern the server side.
    ///
    /// Borrowed from the snapshot, not from the exchange: a count of references in shared memory costs
    /// more than most of what is done with it.
    pub(super) fn backend(&self) -> &'a Arc<Proxy> {
        self.reach.backend.unwrap_or(self.frontend)
    }

    /// Whether the request has entered its backend.
    pub(super) fn in_backend(&self) -> bool {
        self.reach.backend.is_some()
    }

    /// An error answer with its letters, from the proxies' own pages if they have one.
    pub(super) fn error_end(&mut self, status: u16, ended: Ended, ended_in: EndedIn) -> End {
        self.txn.ended = ended;
        self.txn.ended_in = ended_in;
        self.txn.status = status;
        End::answer(self.error_page(status))
    }

    /// The page for an error status.
    pub(super) fn error_page(&self, status: u16) -> Reply {
        error_page::find(self.frontend, self.backend(), status, &self.context(Direction::Request))
    }

    /// Counts an event in the entries of stick tables that are tracked.
    pub(super) fn count_tracked(&self, event: Event) {
        facts::count_tracked(&self.client.session, self.txn, event, clock::cached().millis());
    }

    /// The session was ordered to end: its client gets the end of the connection, which says that it may try
    /// again, and no answer.
    pub(super) fn killed(&mut self, kill: Kill, ended_in: EndedIn) -> End {
        self.txn.ended = wait::killed(kill);
        self.txn.ended_in = ended_in;
        if ended_in != EndedIn::Data {
            self.txn.status = 500; // an attempt that failed before may have left its own
        }
        End::Close
    }

    /// Content inspection and request rules of the frontend, its own answers.
    async fn request_frontend(&mut self) -> Result<(), End> {
        let frontend = self.frontend;
        captures::prepare(frontend, self.txn);
        captures::request(frontend, self.txn);
        if let Some(status) = switching::monitor(frontend, &self.context(Direction::Request)) {
            let reply = self.error_page(status);
            self.txn.log_level = Some(None); // manual, section 4.2 `monitor-uri`: it is not logged
            return Err(self.local(reply));
        }
        if frontend.options.http_buffer_request {
            let timeout_ms = frontend.timeouts.http_request_ms;
            self.buffer_whole_body(timeout_ms).await?;
        }
        self.process_request(frontend).await
    }

    /// An answer by the proxy itself.
    pub(super) fn local(&mut self, reply: Reply) -> End {
        self.txn.ended = Ended::Local;
        self.txn.ended_in = EndedIn::Request;
        self.txn.status = 0;
        if self.in_backend() {
            self.backend().state.backend.add(be::INTERCEPTED, 1);
        } else {
            self.frontend.state.frontend.add(fe::INTERCEPTED, 1);
        }
        End::answer(reply)
    }

    /// Chooses the backend.
    fn switch(&mut self) -> Result<(), End> {
        let chosen = match self.client.switched.take() {
            Some(Some(chosen)) => Some(chosen),
            _ => switching::backend(&self.snapshot.model, self.frontend, &self.context(Direction::Request)),
        };
        let Some(index) = chosen else {
            return Err(self.error_end(503, Ended::Server, EndedIn::Connect));
        };
        let backend = self.snapshot.proxy(index);
        let (place, taken) = BackendPlace::take(self.snapshot, index);
        self.client.backend_place = Some(place);
        backend.state.backend.raise(be::SESSIONS_MAX, u64::from(taken));
        backend.state.backend.add(be::SESSIONS, 1);
        backend.state.backend.add(be::REQUESTS, 1);
        let now = clock::cached();
        backend.state.backend_session_rate.add(now.millis(), 1);
        backend.state.last_session_s.store(now.wall_secs() as i64, Relaxed);
        self.txn.backend = Some(backend.state.clone());
        self.client.entry.serves.set(Some((index, None)));
        if !Arc::ptr_eq(backend, self.frontend) {
            self.effects.leave_listen(&mut self.txn.timeouts);
        }
        self.reach.backend = Some(backend);
        Ok(())
    }

    /// Content inspection and request rules of the backend; the fields that are added last.
    async fn request_backend(&mut self) -> Result<(), End> {
        let backend = self.backend();
        if backend.mode != Mode::Http {
            // A frontend in HTTP mode hands its request to servers that are spoken to in TCP mode.
            return Err(self.error_end(500, Ended::Internal, EndedIn::Request));
        }
        if backend.options.http_buffer_request && !self.frontend.options.http_buffer_request {
            let timeout_ms = backend.timeouts.http_request_ms;
            self.buffer_whole_body(timeout_ms).await?;
        }
        if !Arc::ptr_eq(backend, self.frontend) {
            self.process_request(backend).await?;
        }
        Ok(())
    }

    /// What is added to the request when nothing refuses it any more.
    async fn before_server(&mut self) -> Result<(), End> {
        self.refuse_broken_off()?;
        let backend = self.backend();
        let id = unique_id::make(self.frontend, &self.context(Direction::Request));
        unique_id::keep(self.frontend, id, self.txn);
        if let Some(option) = &backend.options.forwarded {
            let value = rfc7239::value(option, &self.context(Direction::Request));
            self.txn.request.fields.append(b"forwarded", &value);
        }
        let session = &self.client.session;
        let fields = &mut self.txn.request.fields;
        forwarded::add(self.frontend, backend, session.source, session.destination, fields);
        if self.balances_by_body(backend) {
            let timeout_ms = self.frontend.timeouts.http_request_ms;
            self.buffer_body(0, timeout_ms).await?;
        }
        self.refuse_broken_off()
    }

    /// Whether the balancing key may stand in the body (`balance url_param ... check_post`).
    fn balances_by_body(&self, backend: &Proxy) -> bool {
        let check_post = matches!(backend.balance_key, BalanceKey::UrlParam { check_post: true, .. });
        check_post && self.txn.as_sent().method == Method::Post
    }

    /// Whether the client has gone away; to be polled while waiting for something else.
    pub(super) fn client_gone(&mut self, context: &mut Context<'_>) -> bool {
        self.client_departure(context, true).is_some()
    }

    /// How the client has left; the end of its direction counts if `ends_matter`, a reset always does.
    pub(super) fn client_departure(
        &mut self,
        context: &mut Context<'_>,
        ends_matter: bool,
    ) -> Option<Departure> {
        if self.front.has_more || self.has_pipelined() {
            return None;
        }
        let Poll::Ready(departure) = self.client.stream.poll_departure(context) else { return None };
        let counts = departure.filter(|how| ends_matter || *how == Departure::Broken);
        // An end that does not matter, bytes of the body or of the next request: they are read when their turn
        // comes.
        self.front.has_more = counts.is_none();
        counts
    }

    /// Whether the client sent another request behind this one before it was sent on: who closes its
    /// side after that has not given up.
    pub(super) fn has_pipelined(&self) -> bool {
        let waiting = self.client.buffer.as_ref().map_or(0, |buffer| buffer.len() as u64);
        match self.front.body {
            Body::None => waiting > 0,
            Body::Length(length) => waiting > length,
            Body::Chunked | Body::UntilClose => false,
        }
    }
}
