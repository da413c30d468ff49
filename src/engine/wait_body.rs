//! Waiting for a message's body, or for enough of it, so that rules can look at it.

use std::task::Poll;

use super::exchange::{End, Exchange};
use super::idle::ServerConnection;
use super::response::{Received, Upload};
use super::{silence, wait};
use crate::base::clock::{self, Millis};
use crate::http::h1::chunked::{BadChunk, Decoder, Event};
use crate::http::h1::framing::Body;
use crate::http::{Response, Version};
use crate::net::Buffer;
use crate::net::buffer::Filled;
use crate::net::timer::{NEVER, Stop};
use crate::sample::facts::{Ended, EndedIn};
use crate::state::proxy::{be, fe};
use crate::state::server::counter;
use crate::state::tracked;

/// A body that rules look at, decoded as it comes: what was decoded once is not read again.
#[derive(Debug, Default)]
pub(super) struct BodyCopy {
    decoder: Decoder,
    /// Bytes from the front of the body that are in the copy, or were framing.
    done: usize,
    complete: bool,
}

impl BodyCopy {
    /// Decodes what `bytes`, all that came of a body framed `body` so far, hold beyond what is in `out` already;
    /// whether that is all of it.
    fn advance(&mut self, body: Body, bytes: &[u8], out: &mut Vec<u8>) -> Result<bool, BadChunk> {
        while !self.complete {
            let new = bytes.get(self.done..).unwrap_or_default();
            let (data, passed) = match body {
                Body::None => {
                    self.complete = true;
                    break;
                }
                Body::UntilClose => (0..new.len(), new.len()),
                Body::Length(length) => {
                    let left = usize::try_from(length - self.done as u64).unwrap_or(usize::MAX);
                    let take = new.len().min(left);
                    self.complete = take == left;
                    (0..take, take)
                }
                Body::Chunked => match self.decoder.next(new) {
                    Ok(Event::NeedMore { consumed }) => {
                        self.done += consumed;
                        break;
                    }
                    Ok(Event::Data { start, end }) => (start..end, end),
                    Ok(Event::End { end, .. }) => {
                        self.complete = true;
                        (0..0, end)
                    }
                    Err(bad) => return Err(BadChunk { offset: bad.offset + self.done, ..bad }),
                },
            };
            out.extend_from_slice(&new[data]);
            self.done += passed;
            if passed == 0 {
                break;
            }
        }
        Ok(self.complete)
    }
}

impl Exchange<'_> {
    /// Reads the request body into the transaction until it is complete, `at_least` bytes came, the
    /// buffer is full, or the time is over: `timeout_ms` for all of it, and `timeout client` for each silence.
    pub(super) async fn buffer_body(&mut self, at_least: u64, timeout_ms: Option<u64>) -> Result<(), End> {
        if self.front.body.is_empty() {
            self.txn.body_complete = true;
            return Ok(());
        }
        if self.txn.body_complete || self.front.broken_off {
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
            match buffer.fill(&mut self.client.stream) {
                Ok(Filled::Bytes { count, .. }) => self.front.received += count as u64,
                Ok(Filled::Full) => return Ok(()),
                Ok(Filled::End) if self.front.body == Body::UntilClose => {
                    self.txn.body_complete = true;
                    return Ok(());
                }
                Ok(Filled::End) | Err(_) => {
                    // Nothing more will come: the rules see what there is, and no server does.
                    self.front.broken_off = true;
                    return Ok(());
                }
                Ok(Filled::Nothing) => {
                    let ticket = self.client.entry.ticket.clone();
                    let now = clock::cached().millis();
                    let due = silence::client_due(deadline, self.client_timeout_ms(), now);
                    match wait::readable(self.core, &ticket, due, &mut self.client.stream).await {
                        Ok(()) => {}
                        Err(Stop::Timeout) => {
                            self.txn.time.request_us = 0; // it never became complete
                            self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
                            let end = self.error_end(408, Ended::ClientTimeout, EndedIn::Request);
                            return Err(end.closing());
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
        match self.front.copy.advance(self.front.body, bytes, &mut self.txn.body) {
            Ok(complete) => {
                self.txn.body_complete = complete;
                Ok(())
            }
            Err(bad) => {
                self.capture_request(bytes, bad);
                self.txn.time.request_us = 0;
                Err(self.unusable())
            }
        }
    }

    /// Answers `Expect: 100-continue` when the proxy itself needs the body first (RFC 9110 section 10.1.1).
    async fn continue_if_expected(&mut self) -> Result<(), End> {
        let expects = self.txn.as_sent().expects_continue;
        let nothing_yet = self.client.buffer.as_ref().is_none_or(|buffer| buffer.is_empty());
        if expects {
            // The body is asked for here: the server must not be made to ask again.
            self.txn.request.fields.remove(b"expect");
        }
        if !(expects && nothing_yet) || self.front.invited {
            return Ok(());
        }
        self.front.invited = true;
        let mut invitation = Response { version: Version::Http11, ..Response::default() };
        invitation.set_status(100, b"Continue");
        match self.send_interim(&invitation).await {
            Ok(_) => Ok(()),
            Err(_) => {
                self.txn.ended = Ended::Client;
                self.txn.ended_in = EndedIn::Request;
                Err(End::Close)
            }
        }
    }

    /// A request whose head was good and that cannot be used nevertheless.
    pub(super) fn unusable(&mut self) -> End {
        self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
        self.count_tracked(tracked::Event::ClientError);
        let end = self.error_end(400, Ended::Proxy, EndedIn::Request);
        end.closing()
    }

    /// `option http-buffer-request`: the time of the request runs until its body is there.
    pub(super) async fn buffer_whole_body(&mut self, timeout_ms: Option<u64>) -> Result<(), End> {
        self.buffer_body(0, timeout_ms).await?;
        self.txn.time.request_us = clock::cached().mono_us;
        Ok(())
    }

    /// The end of a request whose body the client broke off while it was waited for.
    pub(super) fn refuse_broken_off(&mut self) -> Result<(), End> {
        if !self.front.broken_off {
            return Ok(());
        }
        self.frontend.state.frontend.add(fe::FAILED_REQUESTS, 1);
        let end = self.error_end(400, Ended::Client, EndedIn::Request);
        Err(end.closing())
    }

    /// Reads the response body into the transaction until it is complete, `at_least` bytes came, the
    /// buffer is full, the server ends it, or the time is over: then the answer is 504.
    pub(super) async fn buffer_response(
        &mut self,
        connection: &mut ServerConnection,
        received: &mut Received,
        upload: &mut Upload,
        at_least: u64,
        timeout_ms: u64,
    ) -> Result<(), End> {
        if received.switches {
            return Ok(()); // no message follows
        }
        let deadline = clock::cached().millis() + timeout_ms;
        loop {
            let bytes = received.rest.as_ref().map_or(&[][..], |buffer| buffer.filled());
            match received.copy.advance(received.framing.body, bytes, &mut self.txn.response_body) {
                Ok(complete) => self.txn.response_body_complete = complete,
                Err(bad) => {
                    self.capture_response(connection, bytes, bad);
                    self.count_failed_response(connection);
                    return Err(self.error_end(502, Ended::Proxy, EndedIn::Headers));
                }
            }
            let enough = at_least > 0 && self.txn.response_body.len() as u64 >= at_least;
            if self.txn.response_body_complete || enough {
                return Ok(());
            }
            match self.wait_on_server(connection, upload, deadline, true).await {
                Ok(()) => {}
                Err(Stop::Timeout) => {
                    self.count_failed_response(connection);
                    return Err(self.error_end(504, Ended::ServerTimeout, EndedIn::Headers));
                }
                Err(Stop::Killed(kill)) => return Err(self.killed(kill, EndedIn::Headers)),
            }
            let buffer = received.rest.get_or_insert_with(Buffer::lease);
            let filled = buffer.fill(&mut connection.stream);
            if buffer.is_empty() {
                received.rest = None;
            }
            match filled {
                Ok(Filled::Bytes { count, .. }) => self.txn.bytes_from_server += count as u64,
                Ok(Filled::Nothing) => {}
                // Whether an end was due is for the forwarding to see.
                Ok(Filled::End) | Err(_) => {
                    self.txn.response_body_complete = received.framing.body == Body::UntilClose;
                    return Ok(());
                }
                Ok(Filled::Full) => return Ok(()),
            }
        }
    }

    fn count_failed_response(&self, connection: &ServerConnection) {
        connection.server.state.counters.add(counter::FAILED_RESPONSES, 1);
        self.backend().state.backend.add(be::FAILED_RESPONSES, 1);
    }

    /// Waits for the server to say something (`readable`) or just for the deadline, while the request
    /// body goes on its way.
    pub(super) async fn wait_on_server(
        &mut self,
        connection: &mut ServerConnection,
        upload: &mut Upload,
        deadline: Millis,
        readable: bool,
    ) -> Result<(), Stop> {
        let ticket = self.client.entry.ticket.clone();
        let client = &mut self.client.stream;
        wait::until(self.core, &ticket, deadline, |context| {
            upload.drive(context, client, &mut connection.stream);
            match readable {
                true => connection.stream.poll_readable(context),
                false => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_decoded_once_however_it_comes() {
        for (body, wire, decoded) in [
            (Body::Length(10), "0123456789next", "0123456789"),
            (Body::Chunked, "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\nnext", "abcde"),
            (Body::UntilClose, "abcdef", "abcdef"),
            (Body::None, "next", ""),
        ] {
            for step in 1..=wire.len() {
                let (mut copy, mut out) = (BodyCopy::default(), Vec::new());
                let mut bytes = Vec::new();
                let mut complete = false;
                for piece in wire.as_bytes().chunks(step) {
                    bytes.extend_from_slice(piece);
                    complete = copy.advance(body, &bytes, &mut out).is_ok_and(|complete| complete);
                    // What it has passed it does not look at again.
                    let done = copy.done.min(bytes.len());
                    bytes[..done].fill(b'!');
                }
                assert_eq!(String::from_utf8_lossy(&out), decoded, "{body:?} in steps of {step}");
                assert_eq!(complete, body != Body::UntilClose, "{body:?} in steps of {step}");
            }
        }
        let mut copy = BodyCopy::default();
        assert!(copy.advance(Body::Chunked, b"zz\r\n", &mut Vec::new()).is_err());
    }
}
