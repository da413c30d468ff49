//! A session in TCP mode: admit, inspect, choose, connect, tunnel.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use super::Core;
use super::accept::BackendPlace;
use super::body::{Pump, PumpError};
use super::connect::{self, DialError};
use super::finish;
use super::http::{self, Client};
use super::idle::Identity;
use super::packets;
use super::redispatch;
use super::resolve::Asked;
use super::rule_list::Subject;
use super::select::{self, Assigned, NoServer, Wait, Wish};
use super::silence::{self, Awaited, Limits, Side};
use super::snapshot::Snapshot;
use super::tunnel::{self, Established, Tunnel};
use super::wait;
use crate::balance::HashFunction;
use crate::base::clock::{self, Millis};
use crate::base::id::ProxyIndex;
use crate::http::h1::as_sent::AsSent;
use crate::http::h1::head;
use crate::model::proxy::Mode;
use crate::model::server::TlsName;
use crate::model::{Proxy, Server};
use crate::net::buffer::Filled;
use crate::net::timer::{NEVER, Stop};
use crate::net::{Buffer, Departure, Stream};
use crate::rules::action::ResolveName;
use crate::rules::{Effects, Rule, RuleSet, Verdict};
use crate::sample::TransactionFacts;
use crate::sample::connection::ConnectionError;
use crate::sample::facts::{Context as SampleContext, Direction, Ended, EndedIn};
use crate::sample::proxy_header::ProxyHeader;
use crate::session::sticking::{self, Stores};
use crate::session::{balance_key, captures, switching, tracking, unique_id};
use crate::state::proxy::{be, fe};
use crate::state::server::{EndpointVersion, counter};
use crate::state::tracked::Event;
use crate::wire::dns::Name;

/// Brings a connection that was accepted to its session: connection rules, the PROXY protocol header,
/// session rules. False closes it.
pub(super) async fn admit(core: &Rc<Core>, frontend: &Arc<Proxy>, client: &mut Client) -> bool {
    let refused = |client: &Client| {
        super::accept::was_no_session(core, frontend, client.session.accepted.millis());
        false
    };
    let Some(effects) = passes(core, frontend, client, RuleSet::TcpConnection) else {
        return refused(client);
    };
    let expects_header = client.expects_proxy_header() || effects.expects_proxy_header;
    drop(effects); // not carried over the wait
    // Boxed: few listeners wait here, and all connections would carry the room.
    if expects_header && !Box::pin(super::handshake::receive_proxy_header(core, frontend, client)).await {
        return false;
    }
    if let Some(terminator) = client.terminator()
        && !Box::pin(super::handshake::terminate_tls(core, frontend, client, &terminator)).await
    {
        return false;
    }
    if passes(core, frontend, client, RuleSet::TcpSession).is_none() {
        return refused(client);
    }
    let millis = clock::cached().millis();
    if let Some(tracked) = &client.session.tracked {
        tracked.count(Event::Session, millis);
    }
    frontend.state.frontend.add(fe::SESSIONS, 1);
    frontend.state.frontend_session_rate.add(millis, 1);
    core.setup.rates.sessions.add(millis, 1);
    true
}

/// Runs the connection or the session rules, and says what else they wish; nothing when they close.
fn passes(core: &Core, frontend: &Proxy, client: &mut Client, set: RuleSet) -> Option<Effects> {
    let (rules, denied) = match set {
        RuleSet::TcpConnection => (&frontend.tcp_connection, fe::DENIED_CONNECTIONS),
        _ => (&frontend.tcp_session, fe::DENIED_SESSIONS),
    };
    let mut effects = Effects::default();
    if rules.is_empty() {
        return Some(effects);
    }
    let mut txn = core.take_transaction();
    let head_max = client.entry.snapshot.get().model.global.bufsize;
    let Client { stream, session, .. } = &mut *client;
    let (txn_facts, effects_now) = (&mut *txn, &mut effects);
    let mut subject =
        Subject { core, frontend, client: stream, session, txn: txn_facts, effects: effects_now, head_max };
    let verdict = subject.run(rules, 0, set);
    core.return_transaction(txn);
    if matches!(verdict, Verdict::Continue | Verdict::Allow) {
        return Some(effects);
    }
    frontend.state.frontend.add(denied, 1);
    match verdict {
        Verdict::SilentDrop(rst_ttl) => packets::drop_silently(&mut client.stream, rst_ttl),
        _ => client.stream.reset_on_close(),
    }
    None
}

/// Walks a session to its tunnel.
async fn establish(
    core: &Rc<Core>,
    frontend: &Arc<Proxy>,
    client: &mut Client,
    txn: &mut TransactionFacts,
) -> Result<Box<Established>, Ending> {
    let (effects, stores) = (Effects::default(), Stores::default());
    let snapshot = client.entry.snapshot.get();
    TcpSession { core, snapshot, frontend, client, txn, effects, stores }.establish().await
}

/// Serves a client connection in TCP mode to its end.
pub async fn serve(core: Rc<Core>, frontend: Arc<Proxy>, mut client: Box<Client>) {
    if !admit(&core, &frontend, &mut client).await {
        return;
    }
    let mut txn = core.take_transaction();
    let now = clock::cached();
    txn.time.first_byte_us = client.session.accepted.mono_us;
    txn.time.first_byte_wall_us = client.session.accepted.wall_us;
    txn.time.request_us = now.mono_us;
    captures::prepare(&frontend, &mut txn);
    // Boxed so that a tunnel, which may idle for hours, does not carry the room of what came before it.
    let established = Box::pin(establish(&core, &frontend, &mut client, &mut txn)).await;
    let backend = match established {
        Ok(mut established) => {
            if frontend.options.logasap {
                finish::log(&core, &frontend, &client.session, &mut txn, true);
            }
            let Client { entry, stream, .. } = &mut *client;
            let outcome = established.tunnel.run(&core, &entry.ticket, stream, &mut established.stream).await;
            established.account(outcome, &mut txn);
            Some(established.backend)
        }
        Err(Ending::Over(chosen)) => {
            // What came in counts, although nobody got it; what was not looked at yet comes in now.
            if client.buffer.is_none() && txn.bytes_from_client == 0 {
                let _ = client.buffer.get_or_insert_with(Buffer::lease).fill(&mut client.stream);
            }
            txn.bytes_from_client += client.buffer.as_ref().map_or(0, |buffer| buffer.filled().len()) as u64;
            chosen
        }
        Err(Ending::Http(chosen)) => {
            crate::session::addresses::restore(&mut client.session, &mut txn);
            core.return_transaction(txn);
            client.session.is_http = true;
            client.switched = Some(chosen);
            return Box::pin(http::serve_requests(core, frontend, client)).await;
        }
    };
    finish_session(&core, &frontend, &mut client, &mut txn, backend.as_deref());
    core.return_transaction(txn);
}

/// What came of a session in place of a tunnel.
enum Ending {
    /// It is over; the backend if one was chosen. The letters are set.
    Over(Option<Arc<Proxy>>),
    /// It goes on in HTTP mode: by a rule, or since this backend is in HTTP mode.
    Http(Option<ProxyIndex>),
}

/// Counts a session that ended and logs it.
fn finish_session(
    core: &Core,
    frontend: &Proxy,
    client: &mut Client,
    txn: &mut TransactionFacts,
    backend: Option<&Proxy>,
) {
    txn.time.end_us = clock::cached().mono_us;
    let counters = &frontend.state.frontend;
    counters.add(fe::BYTES_IN, txn.bytes_from_client);
    counters.add(fe::BYTES_OUT, txn.bytes_to_client);
    counters.add(fe::REQ_BYTES_OUT, txn.bytes_to_server);
    counters.add(fe::RES_BYTES_IN, txn.bytes_from_server);
    if let Some(backend) = backend {
        finish::finish_backend(backend, txn);
    }
    tracking::finish(&client.session, txn, clock::cached().millis());
    // The line tells how many others are left, as HAProxy's does.
    client.backend_place = None;
    let null = txn.bytes_from_client == 0 && txn.bytes_to_client == 0;
    let unwanted = null && frontend.options.dontlognull;
    if !unwanted && !txn.logged_early {
        finish::log(core, frontend, &client.session, txn, false);
    }
}

/// How long the inspection of a response may wait.
#[derive(Clone, Copy)]
enum Until {
    /// For what the server says first: until a side has been silent for too long, since this moment.
    Silence(Millis),
    /// Until this moment (`tcp-response inspect-delay`).
    Moment(Millis),
}

struct TcpSession<'a> {
    core: &'a Rc<Core>,
    snapshot: Rc<Snapshot>,
    frontend: &'a Arc<Proxy>,
    client: &'a mut Client,
    txn: &'a mut TransactionFacts,
    effects: Effects,
    /// What `stick` rules keep once the server is reached.
    stores: Stores,
}

impl TcpSession<'_> {
    fn context(&self) -> SampleContext<'_> {
        SampleContext {
            session: Some(&self.client.session),
            txn: self.txn,
            direction: Direction::Request,
            now: clock::cached(),
            process: &self.core.setup.process,
            check_vars: None,
        }
    }

    /// Has `stick` rules remember the server, by what it said first if its words were inspected.
    fn store_server(&mut self, backend: &Proxy, assigned: &Assigned) {
        if self.stores.is_empty() && backend.stick_response.is_empty() {
            return;
        }
        let mut stores = std::mem::take(&mut self.stores);
        let context = SampleContext { direction: Direction::Response, ..self.context() };
        sticking::on_response(backend, assigned.server(), &context, &mut stores);
    }

    fn ends(&mut self, ended: Ended, ended_in: EndedIn) {
        self.txn.ended = ended;
        self.txn.ended_in = ended_in;
    }

    /// Everything before the tunnel. An error says what came of the session in its place.
    async fn establish(&mut self) -> Result<Box<Established>, Ending> {
        let frontend = self.frontend.clone();
        self.inspect(&frontend, frontend.tcp_inspect_delay_ms).await?;
        let Some(index) = switching::backend(&self.snapshot.model, &frontend, &self.context()) else {
            self.ends(Ended::Server, EndedIn::Connect);
            return Err(Ending::Over(None));
        };
        let backend = self.snapshot.proxy(index).clone();
        if backend.mode == Mode::Http {
            return Err(Ending::Http(Some(index)));
        }
        if !Arc::ptr_eq(&backend, &frontend) {
            self.effects.leave_listen(&mut self.txn.timeouts);
        }
        let now = clock::cached();
        let state = &backend.state;
        let (place, taken) = BackendPlace::take(&self.snapshot, index);
        self.client.backend_place = Some(place);
        state.backend.raise(be::SESSIONS_MAX, u64::from(taken));
        state.backend.add(be::SESSIONS, 1);
        state.backend_session_rate.add(now.millis(), 1);
        state.last_session_s.store(now.wall_secs() as i64, Relaxed);
        self.txn.backend = Some(state.clone());
        self.client.entry.serves.set(Some((index, None)));
        match self.reach(&backend).await {
            Ok((mut stream, assigned)) => {
                let buffer = self.client.buffer.take();
                self.txn.bytes_from_client +=
                    buffer.as_ref().map_or(0, |buffer| buffer.filled().len()) as u64;
                let mut up = Pump::tunnel(buffer, tunnel::splices_up(&frontend, &backend));
                let header = assigned.server().proxy_header.clone().filter(|_| !stream.is_secure());
                if let Some(header) = &header {
                    up.stage(&self.proxy_header(header));
                }
                let Ok(first) = self.inspect_response(&backend, &mut stream, &mut up).await else {
                    return Err(Ending::Over(Some(backend)));
                };
                self.store_server(&backend, &assigned);
                self.txn.bytes_from_server += first.as_ref().map_or(0, |buffer| buffer.filled().len()) as u64;
                let down = Pump::tunnel(first, tunnel::splices_down(&frontend, &backend));
                let tunnel = Tunnel::new(up, down, &frontend, &backend, &self.effects);
                Ok(Box::new(Established { backend, stream, place: None, assigned, tunnel }))
            }
            Err(()) => Err(Ending::Over(Some(backend))),
        }
    }

    /// The PROXY protocol header that goes in front of TLS to a server.
    fn preface(&mut self, server: &Server) -> Option<Vec<u8>> {
        let header = server.proxy_header.as_ref().filter(|_| server.tls.is_some())?;
        Some(self.proxy_header(header))
    }

    /// The name that TLS tells a server (`sni`).
    fn server_name(&self, server: &Server) -> Option<Box<[u8]>> {
        let TlsName::Expr(expr) = &server.tls.as_ref()?.name else { return None };
        let name = super::upstream::name_of(expr, &self.context())?;
        (!name.is_empty()).then(|| name.into_boxed_slice())
    }

    /// The PROXY protocol header that goes before the client's bytes.
    fn proxy_header(&mut self, header: &ProxyHeader) -> Vec<u8> {
        if header.options.unique_id {
            let id = unique_id::make(self.frontend, &self.context());
            unique_id::keep(self.frontend, id, self.txn);
        }
        let mut bytes = Vec::new();
        header.for_client(&self.context(), &mut bytes);
        bytes
    }

    /// The server that use-server, an RDP cookie or a `stick` rule demands, and whether `force-persist` holds.
    fn persistent_server(&mut self, backend: &Arc<Proxy>) -> (Option<u32>, bool) {
        let persistence = switching::persistence(backend, &self.context());
        let mut preferred = switching::use_server(backend, persistence, &self.context());
        if preferred.is_none()
            && backend.persist_rdp_cookie.is_some()
            && let Some(buffer) = &self.client.buffer
        {
            preferred = balance_key::rdp_server(backend, buffer.filled());
        }
        if !backend.stick_request.is_empty() {
            let mut stores = Stores::default();
            let assigned = preferred.is_some();
            let found = sticking::on_request(backend, persistence, assigned, &self.context(), &mut stores);
            preferred = preferred.or(found);
            self.stores = stores;
        }
        (preferred, persistence.force)
    }

    async fn reach(&mut self, backend: &Arc<Proxy>) -> Result<(Stream, Assigned), ()> {
        if !Arc::ptr_eq(backend, self.frontend) {
            self.inspect(backend, backend.tcp_inspect_delay_ms).await.map_err(|_| ())?;
        }
        let core = self.core.clone();
        let entry = self.client.entry.clone();
        let ticket = entry.ticket.clone();
        let (mut preferred, mut forced) = self.persistent_server(backend);
        let mut avoid = None;
        let mut released = false;
        let mut queued = Wait::default();
        loop {
            let assigned = {
                let context = self.context();
                let as_number = backend.balance.hash.function == HashFunction::None;
                let key = match preferred {
                    None => balance_key::of(&backend.balance_key, as_number, &context),
                    Some(_) => None,
                };
                let key = key.as_ref().map(balance_key::Key::as_pick);
                let timeout_ms = self.effects.queue_timeout_ms;
                let priority = self.effects.priority;
                let wish =
                    Wish { snapshot: &self.snapshot, backend, preferred, key, avoid, timeout_ms, priority };
                select::assign(&core, &entry, wish, &mut queued, |_| false).await
            };
            self.txn.server_queue = queued.positions.server;
            self.txn.backend_queue = queued.positions.backend;
            let assigned = match assigned {
                Ok(assigned) => assigned,
                Err(NoServer::ChooseAgain) => {
                    if !released {
                        (preferred, forced) = self.persistent_server(backend);
                    }
                    continue;
                }
                Err(NoServer::QueueFull)
                    if backend.redispatch_after != 0 && !forced && preferred.take().is_some() =>
                {
                    // The demanded server's queue is full: any other will do.
                    released = true;
                    continue;
                }
                Err(why) => {
                    // As in HTTP mode: a full queue, a client that left and an order are no failed connections.
                    if matches!(why, NoServer::ChooseAgain | NoServer::NoneUp | NoServer::QueueTimeout) {
                        backend.state.backend.add(be::FAILED_CONNECTS, 1);
                    }
                    match why {
                        NoServer::ChooseAgain | NoServer::NoneUp => {
                            self.ends(Ended::Server, EndedIn::Connect)
                        }
                        NoServer::QueueFull => self.ends(Ended::Server, EndedIn::Queue),
                        NoServer::QueueTimeout => self.ends(Ended::ServerTimeout, EndedIn::Queue),
                        NoServer::ClientGone => self.ends(Ended::Client, EndedIn::Queue),
                        NoServer::Killed(kill) => self.ends(wait::killed(kill), EndedIn::Queue),
                    }
                    return Err(());
                }
            };
            queued = Wait::after(queued.positions.server, queued.positions.backend);
            let server = assigned.server().clone();
            self.txn.time.queued_us = clock::cached().mono_us;
            self.txn.server = Some(server.state.clone());
            entry.serves.set(Some((backend.index, Some(assigned.index))));
            if preferred.is_none() {
                server.state.counters.add(counter::LBTOT, 1);
                backend.state.backend.add(be::LBTOT, 1);
            }
            loop {
                server.state.counters.add(counter::CONNECT, 1);
                backend.state.backend.add(be::CONNECT, 1);
                let destination = self.client.session.destination;
                let Ok(shown) = connect::shown(backend, &server, self.client.session.source, None) else {
                    backend.state.backend.add(be::FAILED_CONNECTS, 1);
                    self.ends(Ended::Internal, EndedIn::Connect);
                    return Err(());
                };
                let preface = self.preface(&server);
                let name = self.server_name(&server);
                let wish = connect::Dial {
                    backend,
                    server: &server,
                    destination,
                    timeout_ms: self.effects.connect_timeout_ms,
                    identity: Identity {
                        model: self.snapshot.model.ident,
                        packets: self.effects.server_packets,
                        shown,
                        destination: None,
                        version: EndpointVersion::default(),
                        name: None,
                    },
                    name: name.as_deref(),
                    preface: preface.as_deref(),
                };
                let error = match connect::dial(&core, &ticket, wish, |_| false).await {
                    Ok(stream) => {
                        super::upstream::observe_l4(&server, true);
                        self.txn.backend_source = stream.local_address();
                        self.txn.backend_error = ConnectionError::NONE;
                        self.txn.backend_destination = connect::address_of(&server, destination);
                        self.txn.server_socket = Some(stream.fd());
                        self.txn.server_tls = connect::tls_facts(&core, &stream, name);
                        self.txn.time.connected_us = clock::cached().mono_us;
                        return Ok((stream, assigned));
                    }
                    Err(error) => error,
                };
                self.txn.backend_error = error.connection_error();
                connect::log_source(&core, backend, &server, &error, self.txn);
                let (ended, refused) = match error {
                    DialError::Failed(_) | DialError::Handshake(_) => (Ended::Server, true),
                    DialError::Timeout => (Ended::ServerTimeout, false),
                    DialError::Source(..) => (Ended::Server, false),
                    DialError::Resource(_) => (Ended::Resource, false),
                    DialError::ClientGone => (Ended::Client, false),
                    DialError::Killed(kill) => (wait::killed(kill), false),
                };
                // A shortage of this process's own and an order say nothing about the server.
                if matches!(error, DialError::Failed(_) | DialError::Timeout) {
                    super::upstream::observe_l4(&server, false);
                }
                let hopeless = ended == Ended::Client || ended.by_order();
                if hopeless || self.txn.retries >= self.effects.retries.unwrap_or(backend.retries) {
                    if !hopeless {
                        server.state.counters.add(counter::FAILED_CONNECTS, 1);
                        backend.state.backend.add(be::FAILED_CONNECTS, 1);
                    }
                    self.ends(ended, EndedIn::Connect);
                    return Err(());
                }
                self.txn.retries += 1;
                let demanded = preferred.is_some();
                if !forced && redispatch::leaves_server(backend, &server.state, self.txn.retries, demanded) {
                    server.state.counters.add(counter::REDISPATCHES, 1);
                    backend.state.backend.add(be::REDISPATCHES, 1);
                    self.txn.redispatched = true;
                    preferred = None;
                    released = true;
                    avoid = Some(assigned.index);
                    break;
                }
                server.state.counters.add(counter::RETRIES, 1);
                backend.state.backend.add(be::RETRIES, 1);
                if refused
                    && let Err(Stop::Killed(kill)) =
                        wait::sleep(&core, &ticket, redispatch::pause_ms(backend)).await
                {
                    self.ends(wait::killed(kill), EndedIn::Connect);
                    return Err(());
                }
            }
        }
    }

    /// Runs the content rules of a proxy, reading as much as they need within the inspect delay.
    async fn inspect(&mut self, proxy: &Arc<Proxy>, delay_ms: Option<u64>) -> Result<(), Ending> {
        let rules: &[Rule] = &proxy.tcp_content;
        if rules.is_empty() {
            return Ok(());
        }
        let started = clock::cached().millis();
        let deadline = delay_ms.map_or(started, |ms| started + ms);
        let mut from = 0;
        self.txn.inspection_over = delay_ms.is_none();
        let mut pieces = head::Pieces::default();
        self.txn.request_payload.clear();
        while from < rules.len() {
            // Rules look at a copy: inspection is rare, and the bytes must stay whole for the server.
            if let Some(buffer) = &self.client.buffer {
                let new = buffer.filled().get(self.txn.request_payload.len()..).unwrap_or_default();
                self.txn.request_payload.extend_from_slice(new);
            }
            let global = &self.snapshot.model.global;
            let limits = head::Limits {
                fields_max: global.headers_max,
                bytes_max: global.bufsize.saturating_sub(global.maxrewrite),
                accept_unsafe: self.frontend.options.accept_unsafe_request,
            };
            look_for_http(self.txn, &mut pieces, &limits);
            match self.judge(rules, from, RuleSet::TcpContent) {
                Verdict::Continue | Verdict::Allow => return Ok(()),
                Verdict::WaitData { rule } | Verdict::WaitBody { rule, .. } => {
                    from = rule;
                    self.more_bytes(deadline).await.map_err(|()| Ending::Over(None))?;
                }
                Verdict::Resolve { rule, ask, name } => {
                    // `inspect-delay` bounds the wait if there is one; the resolution ends by itself.
                    let limit = if delay_ms.is_some() { deadline } else { NEVER };
                    self.resolve(&ask, name, limit).await.map_err(|()| Ending::Over(None))?;
                    from = rule;
                }
                Verdict::SwitchToHttp => return Err(Ending::Http(None)),
                verdict => {
                    proxy.state.frontend.add(fe::DENIED_REQUESTS, 1);
                    self.ends(Ended::Proxy, EndedIn::Request);
                    if let Verdict::SilentDrop(rst_ttl) = verdict {
                        packets::drop_silently(&mut self.client.stream, rst_ttl);
                    }
                    return Err(Ending::Over(None));
                }
            }
        }
        Ok(())
    }

    /// Waits for the address of a name, until `deadline` at most.
    async fn resolve(&mut self, ask: &ResolveName, name: Name, deadline: Millis) -> Result<(), ()> {
        let ticket = self.client.entry.ticket.clone();
        let core = self.core;
        let mut asked = Asked::ask(core, &ask.resolvers, name, ask.prefer);
        let stream = &mut self.client.stream;
        let waited = wait::until(core, &ticket, deadline, |context| match asked.poll(context) {
            Poll::Ready(address) => Poll::Ready(Ok(address)),
            Poll::Pending
                if stream.poll_readable(context).is_ready()
                    && stream.departure() == Some(Departure::Broken) =>
            {
                Poll::Ready(Err(()))
            }
            Poll::Pending => Poll::Pending,
        })
        .await;
        match waited {
            Ok(Ok(address)) => ask.keep(address, &self.context()),
            Ok(Err(())) => {
                self.ends(Ended::Client, EndedIn::Request);
                return Err(());
            }
            Err(Stop::Timeout) => {}
            Err(Stop::Killed(kill)) => {
                self.ends(wait::killed(kill), EndedIn::Request);
                return Err(());
            }
        }
        Ok(())
    }

    /// Runs a set of content rules from number `from` on.
    fn judge(&mut self, rules: &[Rule], from: usize, set: RuleSet) -> Verdict {
        let mut subject = Subject {
            core: self.core,
            frontend: self.frontend,
            client: &self.client.stream,
            session: &mut self.client.session,
            txn: self.txn,
            effects: &mut self.effects,
            head_max: self.snapshot.model.global.bufsize,
        };
        subject.run(rules, from, set)
    }

    /// Runs the backend's `tcp-response content` rules on the server's first bytes, which are given back,
    /// while the client's bytes go up: the server may wait for them.
    async fn inspect_response(
        &mut self,
        backend: &Arc<Proxy>,
        stream: &mut Stream,
        up: &mut Pump,
    ) -> Result<Option<Buffer>, ()> {
        let rules: &[Rule] = &backend.tcp_response;
        let delay_ms = backend.tcp_response_inspect_delay_ms;
        let mut buffer = None;
        // Nothing can be judged before the server says something; how long that may take is a matter of silence.
        let mut until = Until::Silence(clock::cached().millis());
        let mut from = 0;
        self.txn.inspection_over = false;
        while from < rules.len() {
            self.more_response_bytes(backend, stream, up, &mut buffer, until).await?;
            let Some(filled) = &buffer else { return Ok(None) };
            if self.txn.response_payload.is_empty() {
                until = Until::Moment(wait::after(Some(delay_ms.unwrap_or(0))));
            }
            self.txn.response_payload.clear();
            self.txn.response_payload.extend_from_slice(filled.filled());
            self.txn.inspection_over |= delay_ms.is_none();
            match self.judge(rules, from, RuleSet::TcpResponse) {
                // `close` ends the server's connection: nothing that it says goes on to the client.
                Verdict::Continue | Verdict::Allow if self.effects.close_server => return Err(()),
                Verdict::Continue | Verdict::Allow => break,
                Verdict::WaitData { rule } | Verdict::WaitBody { rule, .. } => from = rule,
                verdict => {
                    if let Verdict::SilentDrop(rst_ttl) = verdict {
                        packets::drop_silently(&mut self.client.stream, rst_ttl);
                    }
                    backend.state.backend.add(be::DENIED_RESPONSES, 1);
                    self.frontend.state.frontend.add(fe::DENIED_RESPONSES, 1);
                    self.ends(Ended::Proxy, EndedIn::Data);
                    return Err(());
                }
            }
        }
        Ok(buffer)
    }

    /// Reads more of the server for inspection; says in the transaction when nothing more will come.
    async fn more_response_bytes(
        &mut self,
        backend: &Proxy,
        stream: &mut Stream,
        up: &mut Pump,
        buffer: &mut Option<Buffer>,
        until: Until,
    ) -> Result<(), ()> {
        let ticket = self.client.entry.ticket.clone();
        let limits = Limits::of(&self.effects, self.frontend, backend);
        let mut late = Side::Server;
        let mut up_over = false;
        loop {
            let mut broken = None;
            let client = &mut self.client.stream;
            let core = self.core;
            let waited = std::future::poll_fn(|context| {
                match up.poll(context, client, stream) {
                    Poll::Ready(Err(error)) => {
                        broken = Some(error);
                        return Poll::Ready(Ok(()));
                    }
                    polled => up_over = polled.is_ready(),
                }
                if stream.poll_readable(context).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                let deadline = match until {
                    Until::Moment(moment) => moment,
                    Until::Silence(begun) => {
                        let waits = [
                            (!up_over).then(|| Awaited::by(up, Side::Client, stream, &limits)),
                            Some(Awaited::words_of(Side::Server, begun)),
                        ];
                        let deadline;
                        (deadline, late) = silence::next(&waits, &limits, begun.max(up.last_ms));
                        deadline
                    }
                };
                match core.wheel.check(&ticket, deadline, context.waker()) {
                    Some(stop) => Poll::Ready(Err(stop)),
                    None => Poll::Pending,
                }
            })
            .await;
            match (waited, broken) {
                (Ok(()), None) => {}
                (Ok(()), Some(PumpError::DestinationBroken)) => {
                    self.ends(Ended::Server, EndedIn::Data);
                    return Err(());
                }
                (Ok(()), Some(_)) => {
                    self.ends(Ended::Client, EndedIn::Data);
                    return Err(());
                }
                (Err(Stop::Timeout), _) if matches!(until, Until::Silence(_)) => {
                    self.ends(late.timed_out(), EndedIn::Data);
                    return Err(());
                }
                (Err(Stop::Timeout), _) => {
                    self.txn.inspection_over = true;
                    return Ok(());
                }
                (Err(Stop::Killed(kill)), _) => {
                    self.ends(wait::killed(kill), EndedIn::Data);
                    return Err(());
                }
            }
            let filled = buffer.get_or_insert_with(Buffer::lease).fill(stream);
            match filled {
                Ok(Filled::Bytes { .. }) => return Ok(()),
                Ok(Filled::Nothing) => {}
                Ok(Filled::Full | Filled::End) | Err(_) => {
                    self.txn.inspection_over = true;
                    return Ok(());
                }
            }
        }
    }

    /// Reads more for inspection; when nothing more can come, says so in the transaction.
    async fn more_bytes(&mut self, deadline: u64) -> Result<(), ()> {
        loop {
            let buffer = self.client.buffer.get_or_insert_with(Buffer::lease);
            match buffer.fill(&mut self.client.stream) {
                Ok(Filled::Bytes { .. }) => return Ok(()),
                Ok(Filled::Full | Filled::End) => {
                    self.txn.inspection_over = true;
                    return Ok(());
                }
                Ok(Filled::Nothing) => {
                    let ticket = self.client.entry.ticket.clone();
                    let client_ms = silence::client_ms(&self.effects, self.frontend);
                    let due = silence::client_due(deadline, client_ms, clock::cached().millis());
                    match wait::readable(self.core, &ticket, due, &mut self.client.stream).await {
                        Ok(()) => {}
                        Err(Stop::Timeout) if due < deadline => {
                            self.ends(Ended::ClientTimeout, EndedIn::Request);
                            return Err(());
                        }
                        Err(Stop::Timeout) => {
                            self.txn.inspection_over = true;
                            return Ok(());
                        }
                        Err(Stop::Killed(kill)) => {
                            self.ends(wait::killed(kill), EndedIn::Request);
                            return Err(());
                        }
                    }
                }
                Err(_) => {
                    self.ends(Ended::Client, EndedIn::Request);
                    return Err(());
                }
            }
        }
    }
}

/// Reads the bytes as an HTTP request, for rules that ask whether they are one or what it wants (`HTTP`,
/// `hdr(host)`, ...), and says whether it had to. They go on untouched whatever comes out.
fn look_for_http(txn: &mut TransactionFacts, pieces: &mut head::Pieces, limits: &head::Limits) -> bool {
    let known = txn.has_request || txn.bad_request || txn.request_payload.is_empty();
    if known || !pieces.is_due(&txn.request_payload, limits) {
        return false;
    }
    match head::parse_request(&txn.request_payload, &mut txn.request, limits) {
        Ok(head::Progress::Complete { .. }) => {
            txn.has_request = true;
            txn.sent_by_client = Some(AsSent::of(&txn.request));
        }
        Ok(head::Progress::Partial) => {}
        Err(_) => {
            txn.request.clear();
            txn.bad_request = true;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_comes_in_pieces_is_read_once_a_line() {
        let head = format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "v".repeat(4000));
        let limits = head::Limits { fields_max: 100, bytes_max: 16384, accept_unsafe: false };
        for (step, reads) in [(1, 1 + 4), (7, 1 + 4), (head.len(), 1)] {
            let (mut txn, mut pieces) = (TransactionFacts::default(), head::Pieces::default());
            let mut count = 0;
            for piece in head.as_bytes().chunks(step) {
                assert!(!txn.has_request && !txn.bad_request);
                txn.request_payload.extend_from_slice(piece);
                count += usize::from(look_for_http(&mut txn, &mut pieces, &limits));
            }
            assert!(txn.has_request && txn.request.target() == b"/x", "in steps of {step}");
            assert!(count <= reads, "in steps of {step}: {count}");
            assert!(!look_for_http(&mut txn, &mut pieces, &limits), "it is known");
        }
    }
}
