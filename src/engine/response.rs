//! From the server to the client: wait for the response head while the request body goes up,
//! judge it, forward it, and decide what becomes of both connections.

use std::task::{Context, Poll};

use super::body::{Pump, PumpError, Splice};
use super::capture::Fault;
use super::exchange::{End, Exchange, Next};
use super::fault::Point;
use super::front::Head;
use super::front::UploadState;
use super::idle::ServerConnection;
use super::silence::{self, Awaited, Side};
use super::tunnel::{self, Established, Tunnel};
use super::upstream::{Failure, RetryCause};
use super::wait_body::BodyCopy;
use crate::base::clock::{self, Millis};
use crate::health::observe::{self, Event};
use crate::http::h1::framing::{self, Body};
use crate::http::h1::{encode, head, persist};
use crate::http::{Method, Version};
use crate::model::Proxy;
use crate::model::proxy::HttpReuse;
use crate::net::buffer::Filled;
use crate::net::timer::Stop;
use crate::net::{Buffer, Departure, Stream};
use crate::sample::facts::{Ended, EndedIn};
use crate::state::proxy::{be, fe};
use crate::state::server::counter;
use crate::state::tracked::Event as Counted;

/// Bytes of an unwanted body that are read to keep the server's connection.
const SKIP_BYTES_MAX: u64 = 64 * 1024;
/// Interim responses that one request may cause before the server is taken for broken.
const INTERIM_MAX: u32 = 64;

/// A response head with what was read behind it.
pub struct Received {
    /// How its body is framed.
    pub(super) framing: framing::Framing,
    /// The server speaks another protocol from here on (101, 2xx to CONNECT).
    pub(super) switches: bool,
    /// Bytes behind the head.
    pub(super) rest: Option<Buffer>,
    /// How far they were decoded for rules.
    pub(super) copy: BodyCopy,
}

/// The request body on its way up.
pub struct Upload {
    pump: Pump,
    error: Option<PumpError>,
}

impl Upload {
    /// A body that starts.
    pub fn new(pump: Pump) -> Self {
        Upload { pump, error: None }
    }
    /// Moves what can be moved; an error stays to be seen by whoever forwards the response.
    pub(super) fn drive(&mut self, context: &mut Context<'_>, client: &mut Stream, server: &mut Stream) {
        if !self.is_over()
            && let Poll::Ready(Err(error)) = self.pump.poll(context, client, server)
        {
            self.error = Some(error);
        }
    }
    fn is_over(&self) -> bool {
        self.pump.is_complete() || self.error.is_some()
    }
    /// Whether the request can be sent again as it was.
    pub(super) fn may_replay(&self) -> bool {
        self.pump.is_kept()
    }
    /// What came of the body so far, if the request can be sent again.
    pub(super) fn take_kept(&mut self) -> Option<Vec<u8>> {
        self.pump.take_kept()
    }
    /// Whether the client's body can still be read to its end.
    fn may_complete(&self) -> bool {
        matches!(self.error, None | Some(PumpError::DestinationBroken))
    }
}

impl Exchange<'_> {
    /// Sends the request and reads the response head, forwarding interim responses.
    pub(super) async fn receive(
        &mut self,
        connection: &mut ServerConnection,
        upload: &mut Upload,
    ) -> Result<Received, Failure> {
        let backend = self.backend();
        let global = &self.snapshot.model.global;
        let limits = head::Limits {
            fields_max: global.headers_max,
            bytes_max: global.bufsize.saturating_sub(global.maxrewrite),
            accept_unsafe: backend.options.accept_unsafe_response,
        };
        let silence_limits = self.limits();
        let mut buffer: Option<Buffer> = None;
        let mut interim = 0;
        let mut pieces = head::Pieces::default();
        // The whole head must come within `timeout server`, however it trickles; each interim response is a head.
        let mut since: Millis = clock::cached().millis();
        let mut late = Side::Server;
        loop {
            // A server that has begun to speak may have begun to act: its silence is not a stale connection's.
            let may_replay = upload.may_replay() && interim == 0;
            // Parse what is there.
            if let Some(bytes) =
                buffer.as_ref().map(|buffer| buffer.filled()).filter(|bytes| !bytes.is_empty())
            {
                let parsed = match pieces.is_due(bytes, &limits) {
                    true => head::parse_response(bytes, &mut self.txn.response, &limits),
                    false => Ok(head::Progress::Partial),
                };
                match parsed {
                    Ok(head::Progress::Complete { len }) => {
                        pieces = head::Pieces::default(); // of the final answer, behind an interim one
                        let status = self.txn.response.status;
                        if (100..200).contains(&status) && status != 101 {
                            interim += 1;
                            if interim > INTERIM_MAX {
                                self.capture_response(
                                    connection,
                                    bytes,
                                    Fault::at_start("too many interim responses"),
                                );
                                return Err(self.bad_response(connection, RetryCause::JunkResponse, false));
                            }
                            if let Some(buffer) = &mut buffer {
                                buffer.consume(len);
                            }
                            self.forward_interim().await.map_err(Failure::Final)?;
                            since = clock::cached().millis();
                            continue;
                        }
                        let asked = self.reach.sent;
                        let mut framing = match framing::of_response(&self.txn.response, asked.method) {
                            Ok(framing) => framing,
                            Err(refusal) => {
                                self.capture_response(connection, bytes, refusal);
                                return Err(self.bad_response(
                                    connection,
                                    RetryCause::JunkResponse,
                                    may_replay,
                                ));
                            }
                        };
                        let switches = status == 101
                            || (asked.method == Method::Connect && (200..300).contains(&status));
                        if switches {
                            let granted = status != 101
                                || asked.upgrade
                                    && persist::response_upgrades(&self.txn.response)
                                    && self.is_websocket_proven();
                            // What is left of the body would be the first bytes of the other protocol.
                            if !granted || !upload.pump.is_complete() {
                                let fault = Fault::at_start("a switch of protocols that nobody asked for");
                                self.capture_response(connection, bytes, fault);
                                return Err(self.bad_response(connection, RetryCause::JunkResponse, false));
                            }
                            // Whatever rules make of the head, other bytes follow.
                            framing = framing::Framing { body: Body::UntilClose, must_close: true };
                        }
                        if may_replay
                            && backend.retry_on.statuses.contains(&status)
                            && self.retries_on(backend, RetryCause::Status)
                        {
                            let end = self.error_end(status, Ended::Server, EndedIn::Headers);
                            return Err(Failure::Retry { cause: RetryCause::Status, end });
                        }
                        self.txn.time.response_us = clock::cached().mono_us;
                        if let Some(buffer) = &mut buffer {
                            buffer.consume(len);
                        }
                        return Ok(Received { framing, switches, rest: buffer, copy: BodyCopy::default() });
                    }
                    Ok(head::Progress::Partial) => {}
                    Err(refusal) => {
                        self.capture_response(connection, bytes, refusal);
                        return Err(self.bad_response(connection, RetryCause::JunkResponse, may_replay));
                    }
                }
            }
            // Wait: for the body to go up, the response to come, the client to go.
            let core = self.core;
            let ticket = self.client.entry.ticket.clone();
            let abort_matters = self.abort_matters();
            let mut gone = None;
            let waited = std::future::poll_fn(|context| {
                if !upload.is_over() {
                    let client = &mut self.client.stream;
                    if let Poll::Ready(Err(error)) = upload.pump.poll(context, client, &mut connection.stream)
                    {
                        upload.error = Some(error);
                        // The server may have answered before it stopped reading: look first.
                        if matches!(
                            error,
                            PumpError::SourceEnded | PumpError::SourceBroken | PumpError::BadChunk
                        ) {
                            return Poll::Ready(Ok(()));
                        }
                    }
                }
                if connection.stream.poll_readable(context).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                if upload.is_over() && !upload.pump.has_rest() {
                    gone = self.client_departure(context, abort_matters);
                    if gone.is_some() {
                        return Poll::Ready(Ok(()));
                    }
                }
                let awaited = match upload.is_over() {
                    true => Awaited::words_of(Side::Server, since.max(upload.pump.last_ms)),
                    false => Awaited::by(&mut upload.pump, Side::Client, &connection.stream, &silence_limits),
                };
                let last_ms = since.max(upload.pump.last_ms);
                let deadline;
                (deadline, late) = silence::next(&[Some(awaited)], &silence_limits, last_ms);
                match core.wheel.check(&ticket, deadline, context.waker()) {
                    Some(stop) => Poll::Ready(Err(stop)),
                    None => Poll::Pending,
                }
            })
            .await;
            match waited {
                Ok(()) if gone.is_some() => {
                    // A reset ends both directions, the one that the answer would take as well.
                    let ended_in = match gone {
                        Some(Departure::Broken) => EndedIn::Data,
                        _ => EndedIn::Headers,
                    };
                    self.client_left(ended_in);
                    if self.client.wire.is_shared() {
                        // The stream is gone: no answer would reach its client.
                        (self.txn.ended_in, self.txn.status) = (EndedIn::Headers, 400);
                        return Err(Failure::Final(End::Close));
                    }
                    // The client may have closed its sending side only: it is told why.
                    return Err(Failure::Final(End::answer(self.error_page(400)).closing()));
                }
                Ok(()) => {}
                Err(Stop::Killed(kill)) => return Err(self.killed_by(kill, EndedIn::Headers)),
                Err(Stop::Timeout) if late == Side::Client => {
                    // The server's head is what is waited for, though the client is who stopped (manual,
                    // section 8.5, "cH").
                    let end = self.error_end(408, Ended::ClientTimeout, EndedIn::Headers);
                    return Err(Failure::Final(end.closing()));
                }
                Err(Stop::Timeout) => {
                    connection.server.state.counters.add(counter::FAILED_RESPONSES, 1);
                    backend.state.backend.add(be::FAILED_RESPONSES, 1);
                    observe_l7(connection, Err(Event::ReadTimeout));
                    let end = self.error_end(504, Ended::ServerTimeout, EndedIn::Headers);
                    let end = if upload.is_over() { end } else { end.closing() };
                    return Err(retry_if(may_replay, RetryCause::ResponseTimeout, end));
                }
            }
            // Read what came.
            let filled = buffer.get_or_insert_with(Buffer::lease).fill(&mut connection.stream);
            let empty = buffer.as_ref().is_none_or(|buffer| buffer.is_empty());
            match filled {
                Ok(Filled::Bytes { count, .. }) => {
                    self.txn.bytes_from_server += count as u64;
                }
                Ok(Filled::Nothing) => {
                    if empty {
                        buffer = None;
                    }
                    if let Some(PumpError::SourceEnded | PumpError::SourceBroken | PumpError::BadChunk) =
                        upload.error
                    {
                        return Err(self.upload_failed(upload));
                    }
                }
                Ok(Filled::Full) => {
                    let bytes = buffer.as_ref().map_or(&[][..], |buffer| buffer.filled());
                    self.capture_response(connection, bytes, Fault::too_long(bytes));
                    return Err(self.bad_response(connection, RetryCause::JunkResponse, may_replay));
                }
                Ok(Filled::End) | Err(_) => {
                    if let Some(PumpError::SourceEnded | PumpError::SourceBroken) = upload.error {
                        return Err(self.upload_failed(upload));
                    }
                    let cause = if empty { RetryCause::EmptyResponse } else { RetryCause::JunkResponse };
                    let failure = self.bad_response(connection, cause, may_replay);
                    self.txn.ended = Ended::Server; // a part of a head is no fault that the proxy found
                    return Err(failure);
                }
            }
        }
    }

    /// The client broke off its body, or it was not one.
    fn upload_failed(&mut self, upload: &mut Upload) -> Failure {
        let end = if upload.error == Some(PumpError::BadChunk) {
            if let Some((bytes, fault)) = upload.pump.refused() {
                self.capture_request(bytes, fault);
            }
            self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
            self.error_end(400, Ended::Proxy, EndedIn::Headers)
        } else {
            self.client_left(EndedIn::Headers);
            // It may have closed its sending side only.
            End::answer(self.error_page(400))
        };
        Failure::Final(end.closing())
    }

    /// No response, or none that is valid.
    fn bad_response(
        &mut self,
        connection: &ServerConnection,
        cause: RetryCause,
        may_replay: bool,
    ) -> Failure {
        let backend = self.backend();
        connection.server.state.counters.add(counter::FAILED_RESPONSES, 1);
        backend.state.backend.add(be::FAILED_RESPONSES, 1);
        let event = match cause {
            RetryCause::EmptyResponse => Event::Closed,
            _ => Event::ResponseHead,
        };
        observe_l7(connection, Err(event));
        self.txn.response.clear();
        self.txn.time.response_us = 0;
        let ended = match cause {
            RetryCause::EmptyResponse => Ended::Server,
            _ => Ended::Proxy,
        };
        let mut end = self.error_end(502, ended, EndedIn::Headers);
        if cause == RetryCause::EmptyResponse && connection.requests > 1 {
            // A kept connection that ended in the moment of its reuse: only the client knows whether
            // the request may be repeated, and an end without an answer tells it that it may try.
            end = End::Close;
            self.txn.status = 0;
        }
        retry_if(may_replay, cause, end)
    }

    /// Passes an interim response on (RFC 9110 section 15.2: never to HTTP/1.0).
    async fn forward_interim(&mut self) -> Result<(), End> {
        if self.txn.as_sent().version == Version::Http10 {
            return Ok(());
        }
        let response = std::mem::take(&mut self.txn.response);
        let sent = self.send_interim(&response).await;
        self.txn.response = response;
        self.txn.bytes_to_client += sent.map_err(|_| self.client_left(EndedIn::Headers))?;
        Ok(())
    }

    /// Takes what an upload that is given up leaves: the bytes behind the body are the next request.
    pub(super) fn take_back(&mut self, upload: &mut Upload) {
        self.front.received += std::mem::take(&mut upload.pump.bytes_in);
        if upload.pump.is_complete() || self.front.body.is_empty() {
            self.front.upload_state = UploadState::Done;
            self.client.buffer = upload.pump.take_rest();
            return;
        }
        self.front.upload_state = UploadState::Partial;
        // What a client broke off, or what is no body, has no rest to read.
        self.front.unfinished = upload.may_complete().then(|| Box::new(upload.pump.take()));
    }

    /// Judges the response and forwards it.
    pub(super) async fn respond(
        &mut self,
        mut connection: Box<ServerConnection>,
        mut received: Received,
        upload: &mut Upload,
    ) -> Result<Next, End> {
        self.core.setup.fault.strike(Point::Response);
        // Whether the server keeps its connection is asked before rules can touch the fields.
        let server_keeps = persist::server_keeps_alive(&self.txn.response) && !received.framing.must_close;
        connection.private |= self.authenticates_connection();
        match self.judge(&mut connection, &mut received, upload).await {
            Ok(true) => self.tunnel(connection, received, upload).await,
            Ok(false) => self.forward(connection, received, upload, server_keeps).await,
            Err(end) => {
                self.take_back(upload);
                Err(end)
            }
        }
    }

    /// Writes the head and the body to the client.
    async fn forward(
        &mut self,
        mut connection: Box<ServerConnection>,
        received: Received,
        upload: &mut Upload,
        server_keeps: bool,
    ) -> Result<Next, End> {
        let backend = self.backend();
        let input = received.framing.body;
        let delivery = framing::for_client(input, &self.txn.response, &self.txn.as_sent());
        let framing::Delivery { body: output, closes, .. } = delivery;
        let stays = self.front.keep_alive
            && !closes
            && upload.may_complete()
            && !persist::closes(&self.txn.response.fields)
            && !self.client.retired
            && !self.core.closes_clients();
        // What this client does not get, although the server sends it, stays behind the head.
        let unwanted = output == Body::None && input != Body::None;
        let splice = tunnel::splices_down(self.frontend, backend);
        let input_wanted = if unwanted { Body::None } else { input };
        let mut pump = Pump::new(input_wanted, self.framing_to_client(output), received.rest, splice);
        pump.trailers_go = self.trailers_to_client();
        pump.ends_destination = !stays;
        let head = Head { delivery, connection: self.connection_towards_client(stays) };
        let staged = self.stage_head(&mut pump, &head);
        let head_len = match staged {
            Ok(len) => len,
            Err(_) => {
                self.account(&pump, upload);
                self.take_back(upload);
                return Err(self.client_left(EndedIn::Data));
            }
        };
        self.txn.status = self.txn.response.status;
        if self.frontend.options.logasap {
            self.log_now(head_len);
        }
        let result = self.exchange_bodies(&mut connection, &mut pump, upload, backend).await;
        self.account(&pump, upload);
        if let Err(end) = result {
            self.take_back(upload);
            return Err(end);
        }
        if let Some(trailers) = pump.trailers.take() {
            self.client.stream.end_with(&trailers);
        } else if !stays {
            // Sends what was held back for it.
            self.client.stream.shutdown_write();
        }
        self.txn.time.end_us = clock::cached().mono_us;
        let mut server_keeps = server_keeps && input != Body::UntilClose && self.keeps_server(backend);
        if unwanted && server_keeps {
            server_keeps = self.skip_body(&mut connection, input, &mut pump).await;
        }
        if server_keeps && !upload.is_over() {
            server_keeps = self.finish_upload(&mut connection, upload).await;
        }
        if let Some(PumpError::SourceEnded | PumpError::SourceBroken) = upload.error {
            // The client has its answer and left the rest of its body out.
            (self.txn.ended, self.txn.ended_in) = (Ended::Client, EndedIn::Last);
            connection.server.state.counters.add(counter::CLIENT_ABORTS, 1);
            backend.state.backend.add(be::CLIENT_ABORTS, 1);
        }
        let unasked = pump.take_rest().is_some();
        let clean = upload.pump.is_complete() && upload.error.is_none();
        self.take_back(upload);
        if clean && !unasked && server_keeps && !self.effects.close_server {
            // The slot goes back before the connection is offered, so that a waiter finds both.
            self.keep(connection, backend);
        } else {
            drop(connection);
        }
        self.reach.assigned = None;
        if clean {
            return Ok(if stays { Next::KeepAlive } else { Next::Close });
        }
        // The server answered before it had the whole body: what the client is still sending must not
        // reset the connection under the answer.
        Ok(self.after_answer(stays).await)
    }

    /// The `Connection` field of a final answer: what the client's version does not imply.
    pub(super) fn connection_towards_client(&self, stays: bool) -> encode::Connection {
        match (stays, self.txn.as_sent().version) {
            (false, _) => encode::Connection::Close,
            (true, Version::Http10) => encode::Connection::KeepAlive,
            (true, Version::Http11 | Version::Http2) => encode::Connection::Default,
        }
    }

    /// Reads the body of a response that has none for this client, as far as that is cheaper than another
    /// connection; whether that was all of it.
    async fn skip_body(&mut self, connection: &mut ServerConnection, input: Body, pump: &mut Pump) -> bool {
        let mut rest = Pump::new(input, Body::None, pump.take_rest(), Splice::Never);
        let limit = self.limits().server;
        let ticket = self.client.entry.ticket.clone();
        let core = self.core;
        let whole = std::future::poll_fn(|context| {
            let polled = rest.poll_discard(context, &mut connection.stream);
            if let Poll::Ready(result) = polled {
                return Poll::Ready(result.is_ok());
            }
            let deadline = rest.last_ms.saturating_add(limit);
            let too_much = rest.bytes_in > SKIP_BYTES_MAX;
            if too_much || core.wheel.check(&ticket, deadline, context.waker()).is_some() {
                return Poll::Ready(false);
            }
            Poll::Pending
        })
        .await;
        self.txn.bytes_from_server += rest.bytes_in;
        *pump = rest;
        whole
    }

    /// Goes on with an upload whose answer is out already: a server that said so early may want the rest
    /// nevertheless. Whether it took all of it.
    async fn finish_upload(&mut self, connection: &mut ServerConnection, upload: &mut Upload) -> bool {
        let limits = self.limits();
        let ticket = self.client.entry.ticket.clone();
        let core = self.core;
        let client = &mut self.client.stream;
        let before = upload.pump.bytes_out;
        std::future::poll_fn(|context| {
            upload.drive(context, client, &mut connection.stream);
            if upload.is_over() {
                return Poll::Ready(());
            }
            // A server that says or ends something now wants no more.
            if connection.stream.poll_readable(context).is_ready() && !connection.stream.is_empty() {
                return Poll::Ready(());
            }
            let awaited = Awaited::by(&mut upload.pump, Side::Client, &connection.stream, &limits);
            let (deadline, _) = silence::next(&[Some(awaited)], &limits, upload.pump.last_ms);
            match core.wheel.check(&ticket, deadline, context.waker()) {
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
            }
        })
        .await;
        self.txn.bytes_to_server += upload.pump.bytes_out - before;
        self.txn.time.end_us = clock::cached().mono_us;
        upload.pump.is_complete() && upload.error.is_none()
    }

    /// Writes names in the case that a client needs (`option h1-case-adjust-bogus-client`).
    pub(super) fn adjust_case(&self, head: &mut [u8]) {
        if self.frontend.options.adjust_case_client {
            self.snapshot.model.global.header_case.apply(head);
        }
    }

    fn keep(&mut self, mut connection: Box<ServerConnection>, backend: &Proxy) {
        if !connection.private && backend.http_reuse == HttpReuse::Never && connection.place.is_some() {
            return; // nobody else could have its place while its client idles
        }
        if !self.core.is_newest(self.snapshot) {
            return; // requests of the newest model want connections that were made as it says
        }
        if connection.private || backend.http_reuse == HttpReuse::Never {
            connection.rests();
            *self.reach.attached = Some(connection);
        } else {
            self.core.idle.put(connection);
        }
    }

    /// Whether the response asks for one of the schemes that authenticate the connection instead of
    /// the request (manual, section 4.2 `http-reuse`).
    fn authenticates_connection(&self) -> bool {
        let name: &[u8] = match self.txn.response.status {
            401 => b"www-authenticate",
            407 => b"proxy-authenticate",
            _ => return false,
        };
        let begins = |value: &[u8], scheme: &[u8]| {
            value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        let mut schemes = self.txn.response.fields.all(name);
        schemes.any(|value| begins(value, b"negotiate") || begins(value, b"ntlm"))
    }

    /// Moves both bodies; the response decides when it is over.
    async fn exchange_bodies(
        &mut self,
        connection: &mut ServerConnection,
        pump: &mut Pump,
        upload: &mut Upload,
        backend: &Proxy,
    ) -> Result<(), End> {
        let core = self.core;
        let ticket = self.client.entry.ticket.clone();
        let limits = self.limits();
        let mut late = Side::Server;
        let abort_matters = self.abort_matters();
        let more = &mut self.front.has_more;
        let client = &mut self.client.stream;
        let poll = |context: &mut Context<'_>| {
            upload.drive(context, client, &mut connection.stream);
            if let Poll::Ready(result) = pump.poll(context, &mut connection.stream, client) {
                return Poll::Ready(Ok(result));
            }
            if upload.is_over()
                && !*more
                && !upload.pump.has_rest()
                && let Poll::Ready(departure) = client.poll_departure(context)
            {
                // A reset ends both directions, whatever the option says of the end of one.
                match departure {
                    Some(Departure::Broken) => return Poll::Ready(Ok(Err(PumpError::DestinationBroken))),
                    Some(Departure::Ended) if abort_matters => {
                        return Poll::Ready(Ok(Err(PumpError::DestinationBroken)));
                    }
                    // Its direction has ended, or the next request is there: it is read when its turn comes.
                    _ => *more = true,
                }
            }
            let server = &connection.stream;
            let up =
                (!upload.is_over()).then(|| Awaited::by(&mut upload.pump, Side::Client, server, &limits));
            let down = Some(Awaited::by(pump, Side::Server, client, &limits));
            let last_ms = pump.last_ms.max(upload.pump.last_ms);
            let deadline;
            (deadline, late) = silence::next(&[up, down], &limits, last_ms);
            match core.wheel.check(&ticket, deadline, context.waker()) {
                Some(stop) => Poll::Ready(Err(stop)),
                None => Poll::Pending,
            }
        };
        let result = std::future::poll_fn(poll).await;
        if let (Ok(Err(PumpError::BadChunk)), Some((bytes, fault))) = (&result, pump.refused()) {
            self.capture_response(connection, bytes, fault);
        }
        let (ended, ended_in) = match result {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(PumpError::DestinationBroken)) => {
                connection.server.state.counters.add(counter::CLIENT_ABORTS, 1);
                backend.state.backend.add(be::CLIENT_ABORTS, 1);
                (Ended::Client, EndedIn::Data)
            }
            Ok(Err(PumpError::BadChunk)) if pump.bytes_out == 0 && !self.client.wire.is_shared() => {
                // Nothing is out yet: the client gets a whole answer in place of half of one.
                connection.server.state.counters.add(counter::FAILED_RESPONSES, 1);
                backend.state.backend.add(be::FAILED_RESPONSES, 1);
                observe_l7(connection, Err(Event::ResponseHead));
                self.txn.response.clear();
                self.txn.time.response_us = 0;
                self.count_tracked(Counted::ServerFailure);
                return Err(self.error_end(502, Ended::Proxy, EndedIn::Headers));
            }
            Ok(Err(PumpError::BadChunk)) => {
                connection.server.state.counters.add(counter::FAILED_RESPONSES, 1);
                backend.state.backend.add(be::FAILED_RESPONSES, 1);
                (Ended::Proxy, EndedIn::Data)
            }
            Ok(Err(PumpError::SourceEnded | PumpError::SourceBroken)) => {
                connection.server.state.counters.add(counter::SERVER_ABORTS, 1);
                backend.state.backend.add(be::SERVER_ABORTS, 1);
                (Ended::Server, EndedIn::Data)
            }
            // A client that has ended its direction, and gets nothing, has left before the server stopped.
            Err(Stop::Timeout) if late == Side::Server && self.client.stream.is_dead() => {
                connection.server.state.counters.add(counter::CLIENT_ABORTS, 1);
                backend.state.backend.add(be::CLIENT_ABORTS, 1);
                (Ended::Client, EndedIn::Data)
            }
            Err(Stop::Timeout) => (late.timed_out(), EndedIn::Data),
            Err(Stop::Killed(kill)) => return Err(self.killed(kill, EndedIn::Data)),
        };
        if matches!(ended, Ended::Server | Ended::ServerTimeout) {
            self.count_tracked(Counted::ServerFailure);
        }
        // The head is out: the response can only be cut short, and the client sees that it was.
        self.txn.ended = ended;
        self.txn.ended_in = ended_in;
        Err(End::Close)
    }

    /// Adds what the pumps moved to the counts of the transaction; what the client sent is counted when the
    /// upload is given up.
    fn account(&mut self, pump: &Pump, upload: &Upload) {
        self.txn.bytes_to_client += pump.bytes_out;
        self.txn.bytes_to_server += upload.pump.bytes_out;
        self.txn.bytes_from_server += pump.bytes_in;
        // From here on the connection may be closed, or serve others.
        self.txn.server_socket = None;
    }

    /// Both connections become a tunnel (101, or 2xx to CONNECT).
    async fn tunnel(
        &mut self,
        connection: Box<ServerConnection>,
        received: Received,
        upload: &mut Upload,
    ) -> Result<Next, End> {
        let backend = self.backend();
        let mut down = Pump::tunnel(received.rest, tunnel::splices_down(self.frontend, backend));
        let tunnel = Body::UntilClose;
        // Neither 101 nor 2xx to CONNECT has a length (RFC 9110 section 8.6).
        let delivery = framing::Delivery { body: tunnel, told: tunnel, closes: true };
        let Ok(head_len) =
            self.stage_head(&mut down, &Head { delivery, connection: encode::Connection::Default })
        else {
            self.take_back(upload);
            return Err(self.client_left(EndedIn::Data));
        };
        self.txn.status = self.txn.response.status;
        if self.frontend.options.logasap {
            self.log_now(head_len);
        }
        self.take_back(upload);
        self.txn.bytes_to_server += upload.pump.bytes_out;
        self.txn.bytes_from_client = self.front.received;
        let up = Pump::tunnel(self.client.buffer.take(), tunnel::splices_up(self.frontend, backend));
        let tunnel = Tunnel::new(up, down, self.frontend, backend, &self.effects);
        let Some(assigned) = self.reach.assigned.take() else {
            return Err(self.error_end(500, Ended::Internal, EndedIn::Headers));
        };
        let ServerConnection { stream, place, .. } = *connection;
        self.client.established =
            Some(Box::new(Established { backend: backend.clone(), stream, place, assigned, tunnel }));
        Ok(Next::Tunnel)
    }

    /// Writes the log line before the end (`option logasap`).
    fn log_now(&mut self, head_len: usize) {
        self.txn.bytes_to_client += head_len as u64;
        self.write_log(true);
        self.txn.bytes_to_client -= head_len as u64; // counted when it is sent
    }

    /// Counts a response that the client gets.
    pub(super) fn count_response(&self) {
        let status = self.txn.status;
        let class = match status {
            100..=599 => usize::from(status / 100) - 1,
            _ => 5,
        };
        self.frontend.state.frontend.add(fe::HRSP_1XX + class, 1);
        if self.in_backend() {
            self.backend().state.backend.add(be::HRSP_1XX + class, 1);
        }
    }
}

fn retry_if(may_replay: bool, cause: RetryCause, end: End) -> Failure {
    if may_replay { Failure::Retry { cause, end } } else { Failure::Final(end) }
}

/// Tells passive observation what came of a request.
pub(super) fn observe_l7(connection: &ServerConnection, result: Result<u16, Event>) {
    let server = &connection.server;
    observe::record_l7(&server.state, server.observe, server.error_limit, result);
}
