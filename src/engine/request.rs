//! The request head, complete or refused.

use std::sync::atomic::Ordering::Relaxed;

use super::capture::Fault;
use super::exchange::{End, Exchange};
use super::h2;
use super::{silence, wait};
use crate::base::clock;
use crate::http::h1::as_sent::AsSent;
use crate::http::h1::framing::{self, Body};
use crate::http::h1::{head, persist};
use crate::model::proxy::ConnectionMode;
use crate::net::Buffer;
use crate::net::buffer::Filled;
use crate::net::timer::{NEVER, Stop};
use crate::sample::facts::{Ended, EndedIn};
use crate::state::proxy::fe;
use crate::state::tracked::Event;

impl Exchange<'_> {
    /// A request head that cannot be used.
    pub(super) fn bad_request(&mut self, status: u16) -> End {
        self.txn.bad_request = true;
        self.count_tracked(Event::Request);
        if (400..500).contains(&status) {
            self.count_tracked(Event::ClientError);
        }
        self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
        let end = self.error_end(status, Ended::Proxy, EndedIn::Request);
        end.closing()
    }

    /// Reads until the head is complete, and judges it.
    pub(super) async fn read_request(&mut self) -> Result<(), End> {
        let global = &self.snapshot.model.global;
        let limits = head::Limits {
            fields_max: global.headers_max,
            bytes_max: global.bufsize.saturating_sub(global.maxrewrite),
            accept_unsafe: self.frontend.options.accept_unsafe_request,
        };
        let timeouts = &self.frontend.timeouts;
        let started = self.txn.time.first_byte_us / 1000;
        // The whole head must come within `timeout http-request`, however it trickles. Without one, `timeout
        // client` bounds it as a whole: a client that is never silent for so long, yet needs longer for a
        // head, is an attack (slowloris), not a slow line.
        let deadline = timeouts.http_request_ms.or(timeouts.client_ms).map_or(NEVER, |ms| started + ms);
        let mut pieces = head::Pieces::default();
        let framing = loop {
            let bytes = self.client.buffer.as_ref().map_or(&[][..], |buffer| buffer.filled());
            let parsed = match pieces.is_due(bytes, &limits) {
                true => head::parse_request(bytes, &mut self.txn.request, &limits),
                false => Ok(head::Progress::Partial),
            };
            match parsed {
                Ok(head::Progress::Complete { len }) => {
                    let framing = match framing::of_request(&self.txn.request) {
                        Ok(framing) => framing,
                        Err(refusal) => {
                            self.capture_request(bytes, refusal);
                            return Err(self.bad_request(refusal.status));
                        }
                    };
                    if let Some(buffer) = &mut self.client.buffer {
                        buffer.consume(len);
                    }
                    self.txn.bytes_from_client += len as u64;
                    break framing;
                }
                Ok(head::Progress::Partial) => {}
                Err(refusal) => {
                    self.capture_request(bytes, refusal);
                    // The preface of HTTP/2, where that is not spoken, is a request with a method that does not exist.
                    let is_preface = h2::first(bytes) == h2::First::Preface;
                    return Err(self.bad_request(if is_preface { 405 } else { refusal.status }));
                }
            }
            let buffer = self.client.buffer.get_or_insert_with(Buffer::lease);
            match buffer.fill(&mut self.client.stream) {
                Ok(Filled::Bytes { count, .. }) => self.front.received += count as u64,
                Ok(Filled::Full) => {
                    let bytes = self.client.buffer.as_ref().map_or(&[][..], |buffer| buffer.filled());
                    self.capture_request(bytes, Fault::too_long(bytes));
                    return Err(self.bad_request(431));
                }
                Ok(Filled::End) | Err(_) => {
                    self.txn.bad_request = true;
                    self.count_tracked(Event::Request);
                    self.count_tracked(Event::ClientError);
                    self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
                    let end = self.error_end(400, Ended::Client, EndedIn::Request);
                    return Err(end.closing());
                }
                Ok(Filled::Nothing) => {
                    let ticket = &self.client.entry.ticket;
                    let due = silence::client_due(deadline, timeouts.client_ms, clock::cached().millis());
                    match wait::readable(self.core, ticket, due, &mut self.client.stream).await {
                        Ok(()) => {}
                        Err(Stop::Timeout) => {
                            self.txn.bad_request = true;
                            self.count_tracked(Event::Request);
                            self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
                            let end = self.error_end(408, Ended::ClientTimeout, EndedIn::Request);
                            return Err(end.closing());
                        }
                        Err(Stop::Killed(kill)) => return Err(self.killed(kill, EndedIn::Request)),
                    }
                }
            }
        };
        self.front.body = framing.body;
        self.front.keep_alive = persist::client_keeps_alive(&self.txn.request)
            && !framing.must_close
            && self.frontend.options.connection_mode != ConnectionMode::Close;
        self.has_request();
        Ok(())
    }

    /// Counts a request whose head is there, and keeps what is asked of it later, whatever rules make of it.
    pub(super) fn has_request(&mut self) {
        let now = clock::cached();
        self.txn.has_request = true;
        if !self.frontend.log.is_empty() {
            self.keep_request_line();
        }
        self.txn.time.request_us = now.mono_us;
        self.txn.body_length = match self.front.body {
            Body::Length(length) => Some(length),
            _ => None,
        };
        self.txn.sent_by_client = Some(AsSent::of(&self.txn.request));
        self.client.session.requests += 1;
        let millis = now.millis();
        self.frontend.state.frontend.add(fe::REQUESTS, 1);
        self.frontend.state.frontend_request_rate.add(millis, 1);
        self.core.setup.process.requests.fetch_add(1, Relaxed);
        self.count_tracked(Event::Request);
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
        line.truncate(self.snapshot.model.global.log_uri_len);
    }
}
