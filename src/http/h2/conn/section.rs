//! Field sections that come: HEADERS and CONTINUATION (RFC 9113 sections 6.2, 6.10 and 8.1).

use super::{Conn, Event, Fault, Heads};
use crate::base::clock::Millis;
use crate::http::h2::frame::{self, FrameHead, flag};
use crate::http::h2::head::{self, Bad, RequestHead, ResponseHead, Rules};
use crate::http::h2::hpack::Bounds;
use crate::http::h2::settings::{WINDOW, WINDOW_MAX};
use crate::http::h2::stream::{By, Stream, Upgrade};
use crate::http::h2::{Reason, Role, StreamId};
use crate::http::{Method, Response};

/// A header block of which fragments have come.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) stream: StreamId,
    ends: bool,
    block: Vec<u8>,
    fragments: u32,
}

/// A block in more fragments than this is suspicious where they are small (CVE-2024-27316 and its family).
const FRAGMENTS_MAX: u32 = 4;
/// A fragment of this many bytes is not small.
const FRAGMENT_LEN: usize = 1024;

/// No field is kept: the block is read for the state of the decoder alone.
const NOTHING: Bounds = Bounds { fields_max: 0, bytes_max: 0 };

impl Conn {
    /// Section 6.2.
    pub(super) fn headers(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        heads: &mut Heads,
        now: Millis,
    ) -> Result<Option<Event<'static>>, Fault> {
        self.counts.headers_received += 1;
        self.flood.useful_frame();
        let wrong = |why| Fault::Connection(Reason::PROTOCOL_ERROR, why);
        let mut fragment = frame::unpadded(head, payload).ok_or(wrong("more padding than payload"))?;
        let mut fault = None;
        if head.has(flag::PRIORITY) {
            let short = Fault::Connection(Reason::FRAME_SIZE_ERROR, "HEADERS without room for its priority");
            let (priority, rest) = fragment.split_at_checked(5).ok_or(short)?;
            fault = self.check_dependency(head.stream, priority).err();
            fragment = rest;
        }
        if let Some(fault) = fault {
            // The connection goes: the block would have to be read before the stream could.
            return Err(match fault {
                Fault::Stream(_, reason, why) => Fault::Connection(reason, why),
                other => other,
            });
        }
        let ends = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.section(head.stream, ends, fragment, heads, now);
        }
        self.pending =
            Some(Box::new(Pending { stream: head.stream, ends, block: fragment.to_vec(), fragments: 1 }));
        Ok(None)
    }
    /// Section 6.10. The order was judged with the head.
    pub(super) fn continuation(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        heads: &mut Heads,
        now: Millis,
    ) -> Result<Option<Event<'static>>, Fault> {
        let Some(mut pending) = self.pending.take() else { return Ok(None) };
        pending.fragments += 1;
        pending.block.extend_from_slice(payload);
        if pending.fragments > FRAGMENTS_MAX && payload.len() < FRAGMENT_LEN {
            self.glitch();
            self.flood.idle_frame(now)?;
        }
        if pending.block.len() > self.settings.buffer_size as usize {
            return Err(Fault::Connection(Reason::ENHANCE_YOUR_CALM, "header block larger than the buffer"));
        }
        if head.has(flag::END_HEADERS) {
            return self.section(pending.stream, pending.ends, &pending.block, heads, now);
        }
        self.pending = Some(pending);
        Ok(None)
    }
    /// A whole block.
    fn section(
        &mut self,
        id: StreamId,
        ends: bool,
        block: &[u8],
        heads: &mut Heads,
        now: Millis,
    ) -> Result<Option<Event<'static>>, Fault> {
        if self.role == Role::Server && !id.is_of_client() {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR, "HEADERS on a stream of the server"));
        }
        if self.is_idle(id) {
            return match self.role {
                Role::Server => self.request(id, ends, block, heads, now),
                Role::Client => Err(Fault::Connection(Reason::PROTOCOL_ERROR, "HEADERS on an idle stream")),
            };
        }
        let Some(stream) = self.streams.get(&id) else { return self.late_section(id, block, heads) };
        let (closed, receiving, has_head) = (stream.closed, stream.receiving, stream.has_head);
        if closed.is_some() || !receiving {
            self.read_over(block, heads)?;
            return match closed {
                Some(closed) if closed.by == By::Here => Ok(None),
                _ => Err(Fault::Stream(id, Reason::STREAM_CLOSED, "HEADERS behind the end")),
            };
        }
        if has_head { self.trailers(id, ends, block, heads) } else { self.response(id, ends, block, heads) }
    }
    /// A section on a stream that is gone.
    fn late_section(
        &mut self,
        id: StreamId,
        block: &[u8],
        heads: &mut Heads,
    ) -> Result<Option<Event<'static>>, Fault> {
        match self.ended(id) {
            Some(ended) if ended.reset_here => {
                self.read_over(block, heads)?;
                Ok(None)
            }
            // Section 5.1: behind the end of both sides.
            Some(_) => Err(Fault::Connection(Reason::STREAM_CLOSED, "HEADERS on a closed stream")),
            // Section 5.1.1: the number is lower than that of another stream.
            None if self.role == Role::Server => {
                Err(Fault::Connection(Reason::PROTOCOL_ERROR, "HEADERS on a stream of the past"))
            }
            None => {
                self.read_over(block, heads)?;
                Err(Fault::Stream(id, Reason::STREAM_CLOSED, "HEADERS on a closed stream"))
            }
        }
    }
    /// Reads a block for the decoder alone.
    fn read_over(&mut self, block: &[u8], heads: &mut Heads) -> Result<(), Fault> {
        match head::trailers(self.decoder.block(block, NOTHING), &mut heads.trailers, Rules::default()) {
            Err(Bad::Block(error)) => Err(lost(error)),
            _ => Ok(()),
        }
    }
    fn bounds(&self) -> Bounds {
        let settings = &self.settings;
        Bounds { fields_max: settings.fields_max as usize, bytes_max: settings.buffer_size as usize }
    }
    fn rules(&self) -> Rules {
        let settings = &self.settings;
        Rules { accept_unsafe: settings.accept_unsafe, extended_connect: settings.extended_connect }
    }
    /// A new stream of a client.
    fn request(
        &mut self,
        id: StreamId,
        ends: bool,
        block: &[u8],
        heads: &mut Heads,
        now: Millis,
    ) -> Result<Option<Event<'static>>, Fault> {
        if id > self.last_accepted {
            self.read_over(block, heads)?;
            return self.beyond_the_last(now).map(|()| None);
        }
        self.last_peer = id;
        self.counts.streams += 1;
        let max = self.settings.streams_max;
        if max != 0 && self.open >= max {
            self.read_over(block, heads)?;
            return self
                .refuse(id, Reason::REFUSED_STREAM, 503, "more streams than announced", now)
                .map(Some);
        }
        let (bounds, rules) = (self.bounds(), self.rules());
        match head::request(self.decoder.block(block, bounds), &mut heads.request, rules) {
            Ok(RequestHead { length, is_extended }) => {
                // What follows a CONNECT belongs to the tunnel (RFC 9110 section 9.3.6).
                let is_tunnel = is_extended || heads.request.method == Method::Connect;
                let length = length.filter(|_| !is_tunnel);
                if ends && length.is_some_and(|length| length > 0) {
                    return self
                        .refuse(id, Reason::PROTOCOL_ERROR, 400, "less DATA than content-length", now)
                        .map(Some);
                }
                let mut stream = Stream::new(self.peer.window, self.first_window());
                stream.has_head = true;
                stream.body_left = length;
                stream.upgrade = is_extended.then(Box::default);
                self.insert(id, stream);
                match ends {
                    true => self.end_receiving(id),
                    false => self.grant(id),
                }
                self.renew_after_total(id);
                Ok(Some(Event::Request { stream: id, end: ends, length }))
            }
            Err(Bad::Malformed(why)) => self.refuse(id, Reason::PROTOCOL_ERROR, 400, why, now).map(Some),
            Err(Bad::Denied(why)) => self.answer(id, ends, 400, why, now).map(Some),
            Err(Bad::TooLarge) => self.answer(id, ends, 431, "request head too large", now).map(Some),
            Err(Bad::Block(error)) => Err(lost(error)),
        }
    }
    /// The window of a stream that is opened now: the peer may not have seen this side's settings yet.
    pub(super) fn first_window(&self) -> u32 {
        if self.is_acknowledged { self.settings.window.min(WINDOW_MAX) } else { WINDOW }
    }
    pub(super) fn insert(&mut self, id: StreamId, stream: Stream) {
        self.streams.insert(id, stream);
        self.open += 1;
        self.receiving += 1;
    }
    /// Refuses a request that never gets a place in the table.
    fn refuse(
        &mut self,
        id: StreamId,
        reason: Reason,
        status: u16,
        why: &'static str,
        now: Millis,
    ) -> Result<Event<'static>, Fault> {
        self.counts.stream_errors += 1;
        self.glitch();
        self.flood.reset(now)?;
        self.stage_reset(id, reason);
        self.remember(id, true);
        Ok(Event::Refused { stream: id, status, why })
    }
    /// Refuses a request by a response, as over HTTP/1; its body is not wanted. As HAProxy counts, it is no glitch.
    fn answer(
        &mut self,
        id: StreamId,
        ends: bool,
        status: u16,
        why: &'static str,
        now: Millis,
    ) -> Result<Event<'static>, Fault> {
        self.flood.reset(now)?;
        let response = Response { status, ..Response::default() };
        self.stage_section(id, true, |encoder, out| {
            head::write_response(encoder, &response, Some(0), false, out);
        });
        if !ends {
            self.stage_reset(id, Reason::NO_ERROR);
        }
        self.remember(id, !ends);
        Ok(Event::Refused { stream: id, status, why })
    }
    /// The head of a response, interim or final.
    fn response(
        &mut self,
        id: StreamId,
        ends: bool,
        block: &[u8],
        heads: &mut Heads,
    ) -> Result<Option<Event<'static>>, Fault> {
        let wrong = |why| Err(Fault::Stream(id, Reason::PROTOCOL_ERROR, why));
        let (bounds, rules) = (self.bounds(), self.rules());
        let read = head::response(self.decoder.block(block, bounds), &mut heads.response, rules);
        let ResponseHead { length, is_interim } = match read {
            Ok(head) => head,
            Err(bad) => return Err(unusable(id, bad, "response head too large")),
        };
        if is_interim {
            return match ends {
                true => wrong("1xx that ends the stream"),
                false => Ok(Some(Event::Interim { stream: id })),
            };
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(None) };
        stream.has_head = true;
        let response = &mut heads.response;
        let is_tunnel = stream.is_connect && (200..300).contains(&response.status);
        let is_bodyless = stream.is_head || matches!(response.status, 204 | 304);
        stream.body_left = match () {
            _ if is_tunnel => None,
            _ if is_bodyless => Some(0),
            _ => length,
        };
        if ends && stream.body_left.is_some_and(|left| left > 0) {
            return wrong("less DATA than content-length");
        }
        if let Some(upgrade) = stream.upgrade.take().filter(|_| is_tunnel) {
            switch(response, &upgrade);
        }
        match ends {
            true => self.end_receiving(id),
            false => self.grant(id),
        }
        Ok(Some(Event::Response { stream: id, end: ends, length }))
    }
    fn trailers(
        &mut self,
        id: StreamId,
        ends: bool,
        block: &[u8],
        heads: &mut Heads,
    ) -> Result<Option<Event<'static>>, Fault> {
        let wrong = |why| Err(Fault::Stream(id, Reason::PROTOCOL_ERROR, why));
        let (bounds, rules) = (self.bounds(), self.rules());
        match head::trailers(self.decoder.block(block, bounds), &mut heads.trailers, rules) {
            Ok(()) if !ends => return wrong("trailers that do not end the stream"),
            Ok(()) => {}
            Err(bad) => return Err(unusable(id, bad, "trailers too large")),
        }
        if self.streams.get(&id).and_then(|stream| stream.body_left).is_some_and(|left| left > 0) {
            return wrong("less DATA than content-length");
        }
        self.end_receiving(id);
        Ok(Some(Event::Trailers { stream: id }))
    }
}

/// What a section that cannot be used ends.
fn unusable(id: StreamId, bad: Bad, too_large: &'static str) -> Fault {
    match bad {
        Bad::Malformed(why) | Bad::Denied(why) => Fault::Stream(id, Reason::PROTOCOL_ERROR, why),
        Bad::TooLarge => Fault::Stream(id, Reason::ENHANCE_YOUR_CALM, too_large),
        Bad::Block(error) => lost(error),
    }
}

/// The state of the decoder is lost with a block that cannot be read.
fn lost(error: crate::http::h2::hpack::Error) -> Fault {
    Fault::Connection(Reason::COMPRESSION_ERROR, error.reason())
}

/// Makes the response that grants an extended CONNECT the one that grants an upgrade (RFC 8441 section 5).
fn switch(response: &mut Response, upgrade: &Upgrade) {
    response.set_status(101, b"Switching Protocols");
    response.fields.append(b"connection", b"Upgrade");
    response.fields.append(b"upgrade", &upgrade.protocol);
    if let Some(accept) = &upgrade.accept {
        response.fields.append(b"sec-websocket-accept", accept.as_bytes());
    }
}

/// Whether a method's responses have no body.
pub(super) fn is_head(method: Method) -> bool {
    method == Method::Head
}
