//! One request and its response: the walk through the phases of [`crate::session::phase`].

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::Core;
use super::accept::BackendPlace;
use super::http::Client;
use super::idle::ServerConnection;
use super::select::Assigned;
use super::wait;
use crate::base::clock;
use crate::http::Method;
use crate::http::h1::framing::{self, Body};
use crate::http::h1::{head, persist};
use crate::http::reply::Reply;
use crate::model::Proxy;
use crate::model::proxy::{BalanceKey, ConnectionMode, Mode, RestrictNames};
use crate::net::Buffer;
use crate::net::buffer::Filled;
use crate::net::timer::{Kill, NEVER, Stop};
use crate::rules::run::run;
use crate::rules::{Effects, Rule, RuleSet, Run, Service, Verdict};
use crate::sample::TransactionFacts;
use crate::sample::facts::{self, Context as SampleContext, Direction, Ended, EndedIn};
use crate::session::cookie::{Persistence, RequestCookie};
use crate::session::sticking::Stores;
use crate::session::{captures, error_page, forwarded, switching, unique_id};
use crate::state::proxy::{be, fe};
use crate::state::tracked::{self, Event};

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

/// How far the request body has come on its way to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// It is unread, but for what the client's buffer holds.
    NotBegun,
    /// A part of it is gone.
    Partial,
    /// It is gone; the client's buffer holds what came behind it.
    Done,
}

/// Why an exchange ends before its response was forwarded.
#[derive(Debug)]
pub struct End {
    /// What to answer; `None` closes without a word.
    pub reply: Option<Reply>,
    /// Whether the client connection may live on after the reply.
    pub may_keep_alive: bool,
    /// Reset rather than close (`silent-drop`).
    pub silent: bool,
}

impl End {
    /// Closes without an answer.
    pub fn close() -> End {
        End { reply: None, may_keep_alive: false, silent: false }
    }
}

/// One exchange on a client connection.
pub struct Exchange<'a> {
    pub(super) core: &'a Rc<Core>,
    pub(super) frontend: &'a Arc<Proxy>,
    pub(super) client: &'a mut Client,
    pub(super) txn: &'a mut TransactionFacts,
    /// The backend's proxy, once it is chosen; the frontend's own for a `listen`.
    pub(super) backend: Option<Arc<Proxy>>,
    pub(super) effects: Effects,
    pub(super) request_body: Body,
    pub(super) upload_state: UploadState,
    /// Whether the client lets its connection live on.
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// The server connection of this session under `http-reuse never`.
    pub(super) attached: &'a mut Option<ServerConnection>,
    /// The slot on the server.
    pub(super) assigned: Option<Assigned>,
    /// A pipelined request was seen behind this one: the watch for an abort is over.
    pub(super) client_has_more: bool,
    pub(super) in_backend: bool,
    /// What the persistence cookie said, and how far it counts.
    pub(super) cookie: RequestCookie,
    /// See `cookie`.
    pub(super) persistence: Persistence,
    /// What `stick` rules keep once the server answered.
    pub(super) stores: Stores,
}

impl<'a> Exchange<'a> {
    /// An exchange that begins.
    pub fn new(
        core: &'a Rc<Core>,
        frontend: &'a Arc<Proxy>,
        client: &'a mut Client,
        txn: &'a mut TransactionFacts,
        attached: &'a mut Option<ServerConnection>,
    ) -> Self {
        Exchange {
            core,
            frontend,
            client,
            txn,
            backend: None,
            effects: Effects::default(),
            request_body: Body::None,
            upload_state: UploadState::NotBegun,
            keep_alive: false,
            upgrade: false,
            attached,
            assigned: None,
            client_has_more: false,
            in_backend: false,
            cookie: RequestCookie::default(),
            persistence: Persistence::default(),
            stores: Stores::default(),
        }
    }

    /// Walks the exchange to its end.
    pub async fn run(&mut self) -> Next {
        let now = clock::cached();
        self.txn.time.first_byte_us = now.mono_us;
        self.txn.time.first_byte_wall_us = now.wall_us;
        let next = match self.walk().await {
            Ok(next) => next,
            Err(end) => self.answer(end).await,
        };
        if next != Next::Tunnel {
            self.finish();
        }
        next
    }

    /// The phases in order (see [`crate::session::phase`]).
    async fn walk(&mut self) -> Result<Next, End> {
        self.read_request().await?; // 4 ReadRequest
        self.request_frontend().await?; // 3 InspectFrontend, 5 RequestFrontend
        self.switch()?; // 6 Switch
        self.request_backend().await?; // 7 InspectBackend, RequestBackend
        self.before_server().await?;
        self.through_server().await // 9 SelectServer ... 14 Forward
    }

    /// Answers a connection that sent nothing: 408 after a time-out, nothing after an end.
    pub async fn refuse_empty(&mut self, ended: Ended) {
        self.txn.ended = ended;
        self.txn.ended_in = EndedIn::Request;
        let now = clock::cached();
        self.txn.time.first_byte_us = now.mono_us;
        self.txn.time.first_byte_wall_us = now.wall_us;
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
            self.answer(End { may_keep_alive: false, ..end }).await;
        } else if self.frontend.options.dontlognull || probe {
            return;
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

    /// The proxy whose settings govern the server side.
    pub(super) fn backend(&self) -> &Arc<Proxy> {
        self.backend.as_ref().unwrap_or(self.frontend)
    }

    /// An error answer with its letters, from the proxies' own pages if they have one.
    pub(super) fn error_end(&mut self, status: u16, ended: Ended, ended_in: EndedIn) -> End {
        self.txn.ended = ended;
        self.txn.ended_in = ended_in;
        End { reply: Some(self.error_page(status)), may_keep_alive: true, silent: false }
    }

    /// The page for an error status.
    pub(super) fn error_page(&self, status: u16) -> Reply {
        error_page::find(self.frontend, self.backend(), status, &self.context(Direction::Request))
    }

    /// Counts an event in the entries of stick tables that are tracked.
    pub(super) fn count_tracked(&self, event: Event) {
        facts::count_tracked(&self.client.session, self.txn, event, clock::cached().millis());
    }

    /// A request head that cannot be used.
    fn bad_request(&mut self, status: u16) -> End {
        self.txn.bad_request = true;
        self.count_tracked(Event::Request);
        if (400..500).contains(&status) {
            self.count_tracked(Event::ClientError);
        }
        self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
        let end = self.error_end(status, Ended::Proxy, EndedIn::Request);
        End { may_keep_alive: false, ..end }
    }

    /// Reads until the head is complete, and judges it.
    async fn read_request(&mut self) -> Result<(), End> {
        let global = &self.core.model.global;
        let limits = head::Limits {
            fields_max: global.headers_max,
            bytes_max: global.bufsize.saturating_sub(global.maxrewrite),
            accept_unsafe: self.frontend.options.accept_unsafe_request,
        };
        let timeouts = &self.frontend.timeouts;
        let started = self.txn.time.first_byte_us / 1000;
        // The whole head must come within `timeout http-request`, however it trickles.
        let deadline = timeouts.http_request_ms.map(|ms| started + ms);
        loop {
            let bytes = self.client.buffer.as_ref().map_or(&[][..], |buffer| buffer.filled());
            match head::parse_request(bytes, &mut self.txn.request, &limits) {
                Ok(head::Progress::Complete { len }) => {
                    if let Some(buffer) = &mut self.client.buffer {
                        buffer.consume(len);
                    }
                    self.txn.bytes_from_client += len as u64;
                    break;
                }
                Ok(head::Progress::Partial) => {}
                Err(refusal) => return Err(self.bad_request(refusal.status)),
            }
            let buffer = self.client.buffer.get_or_insert_with(Buffer::lease);
            match buffer.fill(&self.client.stream) {
                Ok(Filled::Bytes { .. }) => {}
                Ok(Filled::Full) => return Err(self.bad_request(431)),
                Ok(Filled::End) | Err(_) => {
                    self.txn.bad_request = true;
                    self.count_tracked(Event::Request);
                    self.count_tracked(Event::ClientError);
                    self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
                    let end = self.error_end(400, Ended::Client, EndedIn::Request);
                    return Err(End { may_keep_alive: false, ..end });
                }
                Ok(Filled::Nothing) => {
                    let until = deadline.unwrap_or_else(|| wait::after(timeouts.client_ms));
                    let ticket = &self.client.entry.ticket;
                    match wait::readable(self.core, ticket, until, &mut self.client.stream).await {
                        Ok(()) => {}
                        Err(Stop::Timeout) => {
                            self.txn.bad_request = true;
                            self.count_tracked(Event::Request);
                            self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
                            let end = self.error_end(408, Ended::ClientTimeout, EndedIn::Request);
                            return Err(End { may_keep_alive: false, ..end });
                        }
                        Err(Stop::Killed(kill)) => return Err(self.killed(kill, EndedIn::Request)),
                    }
                }
            }
        }
        let framing = match framing::of_request(&self.txn.request) {
            Ok(framing) => framing,
            Err(refusal) => return Err(self.bad_request(refusal.status)),
        };
        let now = clock::cached();
        self.txn.has_request = true;
        if !self.frontend.log.is_empty() {
            self.keep_request_line();
        }
        self.txn.time.request_us = now.mono_us;
        self.request_body = framing.body;
        self.txn.body_length = match framing.body {
            Body::Length(length) => Some(length),
            _ => None,
        };
        self.keep_alive = persist::client_keeps_alive(&self.txn.request)
            && !framing.must_close
            && self.frontend.options.connection_mode != ConnectionMode::Close;
        self.upgrade = persist::request_upgrades(&self.txn.request);
        self.client.session.requests += 1;
        let millis = now.millis();
        self.frontend.state.frontend.add(fe::REQUESTS, 1);
        self.frontend.state.frontend_request_rate.add(millis, 1);
        self.core.setup.process.requests.fetch_add(1, Relaxed);
        self.count_tracked(Event::Request);
        Ok(())
    }

    /// Keeps the request line for the log, whatever rules make of the request.
    fn keep_request_line(&mut self) {
        let request = &self.txn.request;
        let line = &mut self.txn.request_line;
        line.clear();
        for part in [request.method_bytes(), b" ", request.target(), b" ", request.version.token().as_bytes()]
        {
            line.extend_from_slice(part);
        }
        line.truncate(self.core.model.global.log_uri_len);
    }

    pub(super) fn killed(&mut self, kill: Kill, ended_in: EndedIn) -> End {
        self.txn.ended = match kill {
            Kill::Operator | Kill::Shutdown => Ended::Killed,
            Kill::ServerDown => Ended::Down,
        };
        self.txn.ended_in = ended_in;
        End::close()
    }

    /// Content inspection and request rules of the frontend, its own answers.
    async fn request_frontend(&mut self) -> Result<(), End> {
        let frontend = self.frontend.clone();
        captures::prepare(&frontend, self.txn);
        captures::request(&frontend, self.txn);
        if let Some(status) = switching::monitor(&frontend, &self.context(Direction::Request)) {
            let reply = self.error_page(status);
            return Err(self.local(reply));
        }
        if frontend.options.http_buffer_request {
            self.buffer_body(0, frontend.timeouts.http_request_ms.or(frontend.timeouts.client_ms)).await?;
        }
        self.process_request(&frontend).await
    }

    /// Deletes or refuses header names that some servers would read as others (`X_Real_Ip`), as
    /// `option http-restrict-req-hdr-names` says.
    fn restrict_names(&mut self, proxy: &Proxy) -> Result<(), End> {
        let is_odd = |name: &[u8]| name.iter().any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
        let fields = &mut self.txn.request.fields;
        match proxy.options.http_restrict_names {
            RestrictNames::Preserve => Ok(()),
            RestrictNames::Delete => {
                fields.remove_where(|name, _| is_odd(name));
                Ok(())
            }
            RestrictNames::Reject if fields.iter().any(|(name, _)| is_odd(name)) => {
                self.count_denied(proxy);
                self.count_tracked(Event::ClientError);
                Err(self.error_end(403, Ended::Proxy, EndedIn::Request))
            }
            RestrictNames::Reject => Ok(()),
        }
    }

    /// Rules, redirections and the statistics page of one proxy.
    async fn process_request(&mut self, proxy: &Arc<Proxy>) -> Result<(), End> {
        self.restrict_names(proxy)?;
        self.request_rules(proxy, &proxy.tcp_content, RuleSet::TcpContent).await?;
        self.request_rules(proxy, &proxy.http_request, RuleSet::HttpRequest).await?;
        for (redirect, condition) in &proxy.redirects {
            let context = self.context(Direction::Request);
            if condition.as_ref().is_none_or(|condition| condition.holds(&context))
                && let Some(reply) = redirect.reply(&context, &self.txn.request)
            {
                return Err(self.local(reply));
            }
        }
        if let Some(page) = switching::stats_page(proxy, &self.txn.request) {
            if let Some(refusal) = switching::stats_refusal(page, &self.txn.request) {
                self.count_tracked(Event::ClientError);
                return Err(self.local(refusal));
            }
            // `stats http-request` rules may refuse what the password allows.
            let rules = Arc::clone(proxy);
            if let Some(page) = &rules.stats {
                self.request_rules(proxy, &page.rules, RuleSet::HttpRequest).await?;
            }
            return Err(self.statistics(proxy, page).await?);
        }
        Ok(())
    }

    /// An answer by the proxy itself.
    pub(super) fn local(&mut self, reply: Reply) -> End {
        self.txn.ended = Ended::Local;
        self.txn.ended_in = EndedIn::Request;
        if self.in_backend {
            self.backend().state.backend.add(be::INTERCEPTED, 1);
        } else {
            self.frontend.state.frontend.add(fe::INTERCEPTED, 1);
        }
        End { reply: Some(reply), may_keep_alive: true, silent: false }
    }

    async fn request_rules(&mut self, proxy: &Arc<Proxy>, rules: &[Rule], set: RuleSet) -> Result<(), End> {
        let mut from = 0;
        while from < rules.len() {
            let verdict = run(
                rules,
                from,
                &mut Run {
                    set,
                    session: &mut self.client.session,
                    txn: self.txn,
                    process: &self.core.setup.process,
                    now: clock::cached(),
                    head_max: self.core.model.global.bufsize,
                    effects: &mut self.effects,
                },
            );
            self.send_map_orders();
            match verdict {
                Verdict::Continue | Verdict::Allow => return Ok(()),
                Verdict::WaitData { rule } => {
                    // A whole request is there: what is not known now will not be.
                    self.txn.inspection_over = true;
                    from = rule;
                }
                Verdict::WaitBody { rule, at_least, timeout_ms } => {
                    self.buffer_body(at_least, Some(timeout_ms)).await?;
                    from = rule;
                }
                Verdict::Respond(reply) => {
                    let reply = if self.effects.error_page { self.error_page(reply.status) } else { *reply };
                    return Err(self.local(reply));
                }
                Verdict::Deny { status, reply } => {
                    self.count_denied(proxy);
                    self.count_tracked(Event::ClientError);
                    let end = self.error_end(status, Ended::Proxy, EndedIn::Request);
                    return Err(End { reply: reply.map(|r| *r).or(end.reply), ..end });
                }
                Verdict::Tarpit { status, reply } => {
                    self.count_denied(proxy);
                    self.count_tracked(Event::ClientError);
                    self.tarpit(proxy).await?;
                    let end = self.error_end(status, Ended::Proxy, EndedIn::Tarpit);
                    return Err(End { reply: reply.map(|r| *r).or(end.reply), may_keep_alive: false, ..end });
                }
                Verdict::Reject => {
                    self.count_denied(proxy);
                    self.txn.ended = Ended::Proxy;
                    self.txn.ended_in = EndedIn::Request;
                    return Err(End::close());
                }
                Verdict::SilentDrop => {
                    self.count_denied(proxy);
                    self.txn.ended = Ended::Proxy;
                    self.txn.ended_in = EndedIn::Request;
                    return Err(End { silent: true, ..End::close() });
                }
                Verdict::Service(Service::Stats | Service::PrometheusExporter) | Verdict::Invalid => {
                    proxy.state.frontend.add(fe::INTERNAL_ERRORS, 1);
                    return Err(self.error_end(500, Ended::Proxy, EndedIn::Request));
                }
            }
        }
        Ok(())
    }

    /// Hands changes of maps that rules asked for to the control thread.
    pub(super) fn send_map_orders(&mut self) {
        for order in self.effects.map_orders.drain(..) {
            (self.core.setup.map_orders)(order);
        }
    }

    fn count_denied(&self, proxy: &Proxy) {
        if self.in_backend {
            proxy.state.backend.add(be::DENIED_REQUESTS, 1);
        }
        self.frontend.state.frontend.add(fe::DENIED_REQUESTS, 1);
    }

    /// Holds the request for the tarpit's time, or until the client gives up.
    async fn tarpit(&mut self, proxy: &Proxy) -> Result<(), End> {
        let own = self.effects.tarpit_timeout_ms.or(proxy.timeouts.tarpit_ms);
        let timeout = own.or(proxy.timeouts.connect_ms).unwrap_or(0);
        let deadline = clock::cached().millis() + timeout;
        let ticket = self.client.entry.ticket.clone();
        let core = self.core.clone();
        let gone = wait::until(&core, &ticket, deadline, |context| match self.client_gone(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        match gone {
            Err(Stop::Timeout) => Ok(()),
            Err(Stop::Killed(kill)) => Err(self.killed(kill, EndedIn::Tarpit)),
            Ok(()) => {
                self.txn.ended = Ended::Client;
                self.txn.ended_in = EndedIn::Tarpit;
                Err(End::close())
            }
        }
    }

    /// Chooses the backend.
    fn switch(&mut self) -> Result<(), End> {
        let chosen = switching::backend(&self.core.model, self.frontend, &self.context(Direction::Request));
        let Some(index) = chosen else {
            return Err(self.error_end(503, Ended::Server, EndedIn::Connect));
        };
        let backend = self.core.proxy(index).clone();
        self.in_backend = true;
        let (place, taken) = BackendPlace::take(&backend.state);
        self.client.backend_place = Some(place);
        backend.state.backend.raise(be::SESSIONS_MAX, u64::from(taken));
        backend.state.backend.add(be::SESSIONS, 1);
        backend.state.backend.add(be::REQUESTS, 1);
        let now = clock::cached();
        backend.state.backend_session_rate.add(now.millis(), 1);
        backend.state.last_session_s.store(now.wall_secs() as i64, Relaxed);
        self.txn.backend = Some(backend.state.clone());
        *self.client.entry.backend.borrow_mut() = Some(backend.name.clone());
        self.backend = Some(backend);
        Ok(())
    }

    /// Content inspection and request rules of the backend; the fields that are added last.
    async fn request_backend(&mut self) -> Result<(), End> {
        let backend = self.backend().clone();
        if backend.mode != Mode::Http {
            // A frontend in HTTP mode hands its request to servers that are spoken to in TCP mode.
            return Err(self.error_end(500, Ended::Internal, EndedIn::Request));
        }
        if backend.options.http_buffer_request && !self.frontend.options.http_buffer_request {
            self.buffer_body(0, backend.timeouts.http_request_ms.or(self.frontend.timeouts.client_ms))
                .await?;
        }
        if !Arc::ptr_eq(&backend, self.frontend) {
            self.process_request(&backend).await?;
        }
        Ok(())
    }

    /// What is added to the request when nothing refuses it any more.
    async fn before_server(&mut self) -> Result<(), End> {
        let backend = self.backend().clone();
        let id = unique_id::make(self.frontend, &self.context(Direction::Request));
        unique_id::keep(self.frontend, id, self.txn);
        let session = &self.client.session;
        let fields = &mut self.txn.request.fields;
        forwarded::add(self.frontend, &backend, session.source, session.destination, fields);
        if self.balances_by_body(&backend) {
            self.buffer_body(0, self.frontend.timeouts.http_request_ms.or(self.frontend.timeouts.client_ms))
                .await?;
        }
        Ok(())
    }

    /// Whether the balancing key may stand in the body (`balance url_param ... check_post`).
    fn balances_by_body(&self, backend: &Proxy) -> bool {
        let check_post = matches!(backend.balance_key, BalanceKey::UrlParam { check_post: true, .. });
        check_post && self.txn.request.method == Method::Post
    }

    /// Whether the client has gone away; to be polled while waiting for something else.
    pub(super) fn client_gone(&mut self, context: &mut Context<'_>) -> bool {
        if self.client_has_more || self.has_pipelined() {
            return false;
        }
        match self.client.stream.poll_readable(context) {
            Poll::Pending => false,
            Poll::Ready(()) => {
                if self.client.stream.is_dead() {
                    return true;
                }
                // Bytes of the body or of the next request: they are read when their turn comes.
                self.client_has_more = true;
                false
            }
        }
    }

    /// Whether the client sent another request behind this one before it was sent on: who closes its
    /// side after that has not given up.
    pub(super) fn has_pipelined(&self) -> bool {
        let waiting = self.client.buffer.as_ref().map_or(0, |buffer| buffer.len() as u64);
        match self.request_body {
            Body::None => waiting > 0,
            Body::Length(length) => waiting > length,
            Body::Chunked | Body::UntilClose => false,
        }
    }

    /// Reads the request body into the transaction until it is complete, `at_least` bytes came, the
    /// buffer is full, or the time is over.
    pub(super) async fn buffer_body(&mut self, at_least: u64, timeout_ms: Option<u64>) -> Result<(), End> {
        if self.request_body == Body::None {
            self.txn.body_complete = true;
            return Ok(());
        }
        if self.txn.body_complete {
            return Ok(());
        }
        self.continue_if_expected().await?;
        let deadline = timeout_ms.map_or(NEVER, |ms| clock::cached().millis() + ms);
        loop {
            self.decode_body()?;
            let enough = at_least > 0 && self.txn.body.len() as u64 >= at_least;
            if self.txn.body_complete || enough {
                return Ok(());
            }
            let buffer = self.client.buffer.get_or_insert_with(Buffer::lease);
            match buffer.fill(&self.client.stream) {
                Ok(Filled::Bytes { .. }) => {}
                Ok(Filled::Full) => return Ok(()),
                Ok(Filled::End) | Err(_) => {
                    self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
                    let end = self.error_end(400, Ended::Client, EndedIn::Request);
                    return Err(End { may_keep_alive: false, ..end });
                }
                Ok(Filled::Nothing) => {
                    let ticket = self.client.entry.ticket.clone();
                    match wait::readable(self.core, &ticket, deadline, &mut self.client.stream).await {
                        Ok(()) => {}
                        Err(Stop::Timeout) => {
                            self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
                            let end = self.error_end(408, Ended::ClientTimeout, EndedIn::Request);
                            return Err(End { may_keep_alive: false, ..end });
                        }
                        Err(Stop::Killed(kill)) => return Err(self.killed(kill, EndedIn::Request)),
                    }
                }
            }
        }
    }

    /// Decodes what the buffer holds of the body into `txn.body`, for rules to see; the buffer keeps
    /// the raw bytes, which are forwarded later.
    fn decode_body(&mut self) -> Result<(), End> {
        let bytes = self.client.buffer.as_ref().map_or(&[][..], |buffer| buffer.filled());
        self.txn.body.clear();
        match self.request_body {
            Body::Length(length) => {
                let have = bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
                self.txn.body.extend_from_slice(&bytes[..have]);
                self.txn.body_complete = have as u64 == length;
            }
            Body::Chunked => {
                use crate::http::h1::chunked::{Decoder, Event};
                let mut decoder = Decoder::new();
                let mut at = 0;
                loop {
                    match decoder.next(&bytes[at..]) {
                        Ok(Event::NeedMore { .. }) => break,
                        Ok(Event::Data { start, end }) => {
                            self.txn.body.extend_from_slice(&bytes[at + start..at + end]);
                            at += end;
                        }
                        Ok(Event::End { .. }) => {
                            self.txn.body_complete = true;
                            break;
                        }
                        Err(_) => {
                            self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
                            self.count_tracked(tracked::Event::ClientError);
                            let end = self.error_end(400, Ended::Proxy, EndedIn::Request);
                            return Err(End { may_keep_alive: false, ..end });
                        }
                    }
                }
            }
            Body::None | Body::UntilClose => self.txn.body_complete = true,
        }
        Ok(())
    }

    /// Answers `Expect: 100-continue` when the proxy itself needs the body first (RFC 9110 section 10.1.1).
    async fn continue_if_expected(&mut self) -> Result<(), End> {
        let expects =
            self.txn.request.fields.first(b"expect").is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
        let nothing_yet = self.client.buffer.as_ref().is_none_or(|buffer| buffer.is_empty());
        if expects {
            // The body is asked for here: the server must not be made to ask again.
            self.txn.request.fields.remove(b"expect");
        }
        if !(expects && nothing_yet) {
            return Ok(());
        }
        let ticket = self.client.entry.ticket.clone();
        let line = b"HTTP/1.1 100 Continue\r\n\r\n";
        let timeout = self.frontend.timeouts.client_ms;
        match wait::write_all(self.core, &ticket, timeout, &mut self.client.stream, line).await {
            Ok(()) => Ok(()),
            Err(_) => {
                self.txn.ended = Ended::Client;
                self.txn.ended_in = EndedIn::Request;
                Err(End::close())
            }
        }
    }
}
