//! Answers that the proxy makes itself, and what becomes of the client connection after them.

use super::body::{Pump, PumpError, Splice};
use super::exchange::{End, Exchange, Next};
use super::front::UploadState;
use super::{packets, wait};
use crate::base::clock;
use crate::http::h1::as_sent::AsSent;
use crate::http::h1::framing::{self, Body};
use crate::http::h1::{encode, persist};
use crate::http::reply::Reply;
use crate::http::status;
use crate::http::{Method, Version};
use crate::model::Proxy;
use crate::model::proxy::StatsPage;
use crate::net::Then;
use crate::net::timer::Stop;
use crate::rules::{RuleSet, Verdict};
use crate::sample::facts::{Direction, Ended, EndedIn};
use std::sync::Arc;
use std::task::Poll;

/// Bytes of an unread body that are read and thrown away so that the answer arrives: closing with unread bytes
/// would reset the connection under it (RFC 9112 section 9.6).
const DRAIN_BYTES_MAX: u64 = 1 << 30;
/// How long the client of such a body may be silent without a `timeout client`.
const DRAIN_SILENCE_MS: u64 = 10_000;

impl Exchange<'_> {
    /// Carries an end out.
    pub(super) async fn answer(&mut self, end: End) -> Next {
        self.reach.assigned = None;
        let (reply, body, may_keep_alive) = match end {
            End::Answer(answer) => (Some(answer.reply), answer.streamed, answer.may_keep_alive),
            End::Close => (None, None, false),
            End::Silence { hop_limit } => {
                packets::drop_silently(&mut self.client.stream, hop_limit);
                if let Some(stream) = self.client.wire.http2() {
                    stream.fall_silent();
                }
                (None, None, false)
            }
        };
        // An empty `errorfile` (`/dev/null`) asks for no answer.
        // A redirection to an error page (`errorloc`) is logged with the error's status.
        if let Some(reply) = reply.as_ref().filter(|_| self.txn.status == 0) {
            self.txn.status = reply.status;
        }
        let reply = reply.filter(|reply| reply.raw.as_ref().is_none_or(|file| !file.is_empty()));
        let Some(reply) = reply else {
            self.txn.time.end_us = clock::cached().mono_us;
            return Next::Close;
        };
        let unread = self.has_unread_body();
        let sent = self.txn.as_sent();
        // Its length is known when it is over; an older client sees that by the end of the connection.
        let streamed = body.as_ref().map(|_| match sent.version {
            Version::Http11 => Body::Chunked,
            Version::Http10 | Version::Http2 => Body::UntilClose,
        });
        // Who waits to be told to send its body may send it now or not: nobody could tell where it ends.
        let undecided =
            sent.expects_continue && !self.front.invited && self.front.upload_state == UploadState::NotBegun;
        let may_stay = may_keep_alive
            && streamed != Some(Body::UntilClose)
            && self.front.keep_alive
            && !reply.close
            && !(unread && (undecided || self.front.broken_off))
            && (self.front.upload_state != UploadState::Partial
                || self.front.unfinished.is_some()
                || !unread)
            && !self.client.retired
            && !self.core.closes_clients();
        let (bytes, stays) = self.encode_reply(&reply, may_stay, streamed);
        self.txn.bytes_to_client += bytes.len() as u64;
        let ticket = self.client.entry.ticket.clone();
        let timeout = self.client_timeout_ms();
        let then = if stays || streamed.is_some() { Then::Nothing } else { Then::End };
        let mut written =
            wait::write_all(self.core, &ticket, timeout, &mut self.client.stream, &bytes, then).await;
        if let (Ok(()), Some(mut body), Some(framing)) = (&written, body, streamed)
            && sent.method != Method::Head
            && status::allows_body(self.txn.status)
        {
            written = self.send_streamed(&mut body, framing).await;
            if written.is_ok() && self.client.wire.is_shared() {
                self.client.stream.shutdown_write();
            }
        }
        self.txn.time.end_us = clock::cached().mono_us;
        if written.is_err() {
            return Next::Close;
        }
        // An answer of the proxy's own is logged as it was given, whatever becomes of the body.
        let outcome = (self.txn.ended, self.txn.ended_in, self.txn.time.end_us);
        let next = self.after_answer(stays).await;
        (self.txn.ended, self.txn.ended_in, self.txn.time.end_us) = outcome;
        next
    }

    /// Whether a part of the request's body may still come. What is at hand of it and complete is taken out of
    /// the buffer.
    fn has_unread_body(&mut self) -> bool {
        match (self.front.upload_state, self.front.body) {
            (UploadState::Done, _) => false,
            (_, body) if body.is_empty() => false,
            (UploadState::NotBegun, Body::Length(length)) => {
                let Some(buffer) = self.client.buffer.as_mut().filter(|b| b.len() as u64 >= length) else {
                    return true;
                };
                buffer.consume(usize::try_from(length).unwrap_or(usize::MAX));
                self.front.upload_state = UploadState::Done;
                false
            }
            _ => true,
        }
    }

    /// What becomes of the connection once the answer is out: the rest of the request's body is read away, so
    /// that the client can finish, see its answer, and (with `stays`) ask again.
    pub(super) async fn after_answer(&mut self, stays: bool) -> Next {
        if self.client.wire.is_shared() {
            return Next::Close; // the stream's end tells the client that the rest is not wanted
        }
        if self.has_unread_body() {
            let pump = match (self.front.unfinished.take(), self.front.upload_state) {
                (Some(pump), _) => Some(*pump),
                (None, UploadState::NotBegun) if !self.front.broken_off => {
                    let body = self.front.body;
                    Some(Pump::new(body, body, self.client.buffer.take(), Splice::Never))
                }
                _ => None,
            };
            // A client that was silent for its whole limit is not waited for again.
            let gave_up = self.txn.ended == Ended::ClientTimeout;
            match pump.filter(|_| !gave_up) {
                Some(pump) => match self.drain_body(pump, stays).await {
                    Ok(()) if stays => return Next::KeepAlive,
                    Err(PumpError::BadChunk) => self.drain().await,
                    _ => {}
                },
                None => self.drain().await,
            }
            return Next::Close;
        }
        if stays {
            return Next::KeepAlive;
        }
        if self.txn.bad_request {
            self.drain().await;
        }
        Next::Close
    }

    /// Reads the rest of a request's body and forgets it. The limit is the client's silence: one that sends is
    /// still sending its request.
    async fn drain_body(&mut self, mut pump: Pump, stays: bool) -> Result<(), PumpError> {
        if !stays {
            self.client.stream.shutdown_write();
        }
        let silence_ms = self.client_timeout_ms().unwrap_or(DRAIN_SILENCE_MS);
        let ticket = self.client.entry.ticket.clone();
        let core = self.core;
        let client = &mut self.client.stream;
        let before = pump.bytes_in;
        let outcome = std::future::poll_fn(|context| {
            if let Poll::Ready(result) = pump.poll_discard(context, client) {
                return Poll::Ready(Ok(result));
            }
            if pump.bytes_in - before > DRAIN_BYTES_MAX {
                return Poll::Ready(Ok(Err(PumpError::SourceBroken)));
            }
            match core.wheel.check(&ticket, pump.last_ms + silence_ms, context.waker()) {
                Some(stop) => Poll::Ready(Err(stop)),
                None => Poll::Pending,
            }
        })
        .await;
        self.front.received += pump.bytes_in - before;
        self.client.buffer = pump.take_rest();
        // The request lasts as long as its body is read.
        self.txn.time.end_us = clock::cached().mono_us;
        let (result, ended) = match outcome {
            Ok(result @ Err(PumpError::SourceEnded | PumpError::SourceBroken)) => (result, Ended::Client),
            Ok(result) => return result,
            Err(Stop::Timeout) => (Err(PumpError::SourceEnded), Ended::ClientTimeout),
            Err(Stop::Killed(kill)) => (Err(PumpError::SourceEnded), wait::killed(kill)),
        };
        if self.txn.ended == Ended::Normally {
            (self.txn.ended, self.txn.ended_in) = (ended, EndedIn::Last);
        }
        result
    }

    /// Makes the head of a reply the response that rules see.
    fn take_as_response(&mut self, reply: &Reply) {
        let txn = &mut *self.txn;
        txn.response.clear();
        let reason = match &reply.reason {
            Some(reason) => reason.as_slice(),
            None => status::reason(reply.status).as_bytes(),
        };
        txn.response.set_status(reply.status, reason);
        for (name, value) in &reply.fields {
            txn.response.fields.append(name, value);
        }
        txn.has_response = true;
    }

    /// Runs the after-response rules of both proxies over a reply; whether none ended them with an error.
    fn after_response_rules(&mut self) -> bool {
        // What never was a request is refused before any rule (manual, section 4.2 `http-after-response`).
        let frontend = (!self.txn.bad_request).then_some(self.frontend);
        let backend = self.reach.backend.filter(|backend| !Arc::ptr_eq(backend, self.frontend));
        [backend, frontend].into_iter().flatten().all(|proxy| {
            let verdict = self.run_rules(&proxy.http_after_response, 0, RuleSet::HttpAfterResponse);
            !matches!(verdict, Verdict::Invalid)
        })
    }

    /// Makes the response head of a reply, runs the after-response rules over it, and gives its bytes.
    /// A body that will be streamed brings its framing; the reply's own has a known length. Whether the
    /// connection stays is known behind the rules only.
    fn encode_reply(&mut self, reply: &Reply, may_stay: bool, streamed: Option<Body>) -> (Vec<u8>, bool) {
        let parsed;
        let reply = match reply.raw.as_deref().map(Reply::from_errorfile) {
            Some(Ok(from_file)) => {
                parsed = from_file;
                &parsed
            }
            _ => reply,
        };
        self.take_as_response(reply);
        self.txn.request_vars.clear();
        // The page that tells an error is not replaced by itself.
        let tells_error = self.effects.internal_error;
        let is_invalid = !self.after_response_rules() && !tells_error;
        let page;
        let reply = if is_invalid && streamed.is_none() {
            // The page that tells it goes out, with what these rules make of it before they fail again.
            let found = self.error_page(500);
            page = match found.raw.as_deref().map(Reply::from_errorfile) {
                Some(Ok(from_file)) => from_file,
                _ => found,
            };
            self.take_as_response(&page);
            self.after_response_rules();
            (self.txn.ended, self.txn.status) = (Ended::Proxy, page.status);
            &page
        } else {
            reply
        };
        let txn = &mut *self.txn;
        if txn.response.status != reply.status {
            txn.status = txn.response.status; // a rule has changed it
        }
        // What was refused in the middle of its head asked for nothing that is known.
        let method = if txn.has_request { txn.as_sent().method } else { Method::default() };
        let sent = AsSent { method, ..txn.as_sent() };
        let framing::Delivery { body, told, closes } = framing::for_client(
            streamed.unwrap_or(Body::Length(reply.body.len() as u64)),
            &txn.response,
            &sent,
        );
        let stays = may_stay && !closes && !persist::closes(&txn.response.fields);
        // What HEAD and 304 are told is what GET would have been told, which the fields here do not say.
        let told = match (told, streamed) {
            (told, _) if body != Body::None => told,
            (_, Some(streamed)) => streamed,
            (_, None) if txn.response.status == 304 && reply.body.is_empty() => Body::None,
            (_, None) => Body::Length(reply.body.len() as u64),
        };
        let mut bytes = Vec::with_capacity(256 + reply.body.len());
        if let Some(stream) = self.client.wire.http2() {
            let ends = body == Body::None || (streamed.is_none() && reply.body.is_empty());
            // A client that has reset the stream is noticed by what follows.
            let head = stream.send_head(&self.txn.response, told, ends).unwrap_or(0);
            self.txn.bytes_to_client += head as u64;
        } else {
            let mode = self.connection_towards_client(stays);
            encode::response(&self.txn.response, told, mode, &mut bytes);
            self.adjust_case(&mut bytes);
        }
        if streamed.is_none() && body != Body::None {
            bytes.extend_from_slice(&reply.body);
        }
        (bytes, stays)
    }

    /// Ends our direction and reads, within bounds, what the client still sends that is no request.
    async fn drain(&mut self) {
        self.client.stream.shutdown_write();
        self.client.buffer = None;
        let ticket = self.client.entry.ticket.clone();
        wait::drain(self.core, &ticket, &mut self.client.stream).await;
    }

    /// The statistics page.
    pub(super) async fn statistics(&mut self, proxy: &Arc<Proxy>, page: &StatsPage) -> Result<End, End> {
        let allowed = {
            let context = self.context(Direction::Request);
            page.admin.iter().any(|condition| condition.holds(&context))
        };
        if self.txn.request.method == Method::Post {
            self.buffer_body(0, self.client_timeout_ms()).await?;
            self.refuse_broken_off()?;
        }
        self.txn.by_service = true;
        let outcome = crate::stats::page::serve(
            &self.txn.request,
            &self.txn.body,
            page,
            proxy,
            &self.snapshot.model,
            allowed,
        );
        for order in outcome.orders {
            (self.core.setup.page_orders)(order);
        }
        self.served_by("<STATS>");
        let end = match outcome.dump {
            Some(dump) => self.stream(dump, outcome.reply),
            None => self.local(outcome.reply),
        };
        self.txn.ended_in = EndedIn::Request;
        self.txn.ended = Ended::Local;
        Ok(end)
    }
}
