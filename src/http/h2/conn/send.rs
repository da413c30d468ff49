//! What a user of the connection sends: heads, bodies, trailers, resets (RFC 9113 section 8.1).

use super::end::Leaving;
use super::section::is_head;
use super::{Conn, OUTPUT_MAX};
use crate::base::clock::Millis;
use crate::http::h1::persist;
use crate::http::h2::frame::{self, FrameHead, HEAD_LEN, Kind, flag};
use crate::http::h2::head::{self, RequestLine};
use crate::http::h2::hpack::Encoder;
use crate::http::h2::stream::{By, Stream, Upgrade};
use crate::http::h2::{Reason, Role, StreamId, websocket};
use crate::http::{Fields, Known, Method, Request, Response};

/// The stream is over: nothing can be sent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The code that ended it; CANCEL if it is not known any more.
    pub reason: Reason,
}

/// Why no stream can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotOpen {
    /// As many as may be are open, or too much waits to be sent.
    Full,
    /// The connection takes no new ones any more.
    Leaving,
    /// The request asks for an upgrade, and the server does not know extended CONNECT.
    NoUpgrade,
}

/// A frame of DATA whose bytes its user writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its head.
    pub head: [u8; HEAD_LEN],
    /// How many bytes follow it.
    pub len: usize,
}

/// How a request goes to a server.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// `http` or `https`, for a target without a scheme.
    pub scheme: &'a [u8],
    /// The length of the body, if it is known.
    pub length: Option<u64>,
    /// No body follows.
    pub end: bool,
}

impl Conn {
    /// How many streams may be opened now.
    pub fn slots(&self) -> u32 {
        if self.role == Role::Server || !self.takes_new() {
            return 0;
        }
        // Before the server's settings are here HAProxy takes its own limit for the server's.
        let ours = if self.settings.streams_max == 0 { u32::MAX } else { self.settings.streams_max };
        ours.min(self.peer.streams_max.unwrap_or(u32::MAX)).saturating_sub(self.open)
    }
    /// Whether the connection takes new streams at all.
    pub fn takes_new(&self) -> bool {
        matches!(self.leaving, Leaving::No) && !self.peer_leaves && self.next_own <= StreamId::MAX.0
    }
    /// Whether the peer knows extended CONNECT, as far as its settings are here.
    pub fn knows_extended_connect(&self) -> bool {
        self.peer.extended_connect
    }
    /// Sends the head of a request on a new stream. One that asks to upgrade becomes an extended CONNECT.
    pub fn open(&mut self, request: &Request, opening: Opening<'_>) -> Result<StreamId, CannotOpen> {
        if !self.takes_new() {
            return Err(CannotOpen::Leaving);
        }
        if self.slots() == 0 || self.output().len() >= OUTPUT_MAX {
            return Err(CannotOpen::Full);
        }
        let upgrade = persist::request_upgrades(request).then(|| upgrade(request));
        if upgrade.is_some() && !self.peer.extended_connect {
            return Err(CannotOpen::NoUpgrade);
        }
        let id = StreamId(self.next_own);
        self.next_own += 2;
        self.counts.streams += 1;
        let mut stream = Stream::new(self.peer.window, self.first_window());
        stream.is_head = is_head(request.method);
        stream.is_connect = request.method == Method::Connect || upgrade.is_some();
        let end = opening.end && !stream.is_connect;
        let protocol = upgrade.as_ref().map(|upgrade| upgrade.protocol.clone());
        stream.upgrade = upgrade.map(Box::new);
        self.insert(id, stream);
        let line =
            RequestLine { scheme: opening.scheme, protocol: protocol.as_deref(), length: opening.length };
        self.stage_section(id, end, |encoder, out| head::write_request(encoder, request, line, out));
        if end {
            self.end_sending(id);
        }
        Ok(id)
    }
    /// Sends a 1xx response; `false` and nothing is sent while too much waits to be written.
    pub fn send_interim(&mut self, stream: StreamId, response: &Response) -> Result<bool, Gone> {
        self.sending(stream)?;
        if self.output().len() >= OUTPUT_MAX {
            return Ok(false);
        }
        self.stage_section(stream, false, |encoder, out| {
            head::write_response(encoder, response, None, false, out);
        });
        Ok(true)
    }
    /// Sends the final head of a response. `length` is what its `Content-Length` is to say; `end` says that no body
    /// follows.
    pub fn send_response(
        &mut self,
        stream: StreamId,
        response: &Response,
        length: Option<u64>,
        end: bool,
    ) -> Result<(), Gone> {
        let is_tunnel = self.sending(stream)?.upgrade.is_some();
        self.stage_section(stream, end, |encoder, out| {
            head::write_response(encoder, response, length, is_tunnel, out);
        });
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.answered = true;
        }
        if end {
            self.end_sending(stream);
        }
        Ok(())
    }
    /// Sends bytes of a body, as many as may be sent now; `end` says that nothing follows them. Returns how many were
    /// taken: where that is not all, the stream waits and [`Conn::next_writable`] names it when it may go on.
    pub fn send_data(
        &mut self,
        stream: StreamId,
        bytes: &[u8],
        end: bool,
        now: Millis,
    ) -> Result<usize, Gone> {
        let id = stream;
        self.sending(id)?;
        let len = self.allow(id, bytes.len());
        let is_whole = len == bytes.len();
        self.count_sent(id, len);
        self.stage_data(id, &bytes[..len], end && is_whole);
        self.after_sending(id, len, !is_whole, now);
        if end && is_whole {
            self.end_sending(id);
        }
        Ok(len)
    }
    /// As [`Conn::send_data`], for bytes that the user writes itself instead of having them copied: one frame, and none
    /// if nothing may be sent now. What [`Conn::output`] has goes first, then [`Claim::head`], then [`Claim::len`]
    /// bytes. What of these is not written at once has to be given to [`Conn::stage`] before anything else is sent.
    pub fn claim_data(
        &mut self,
        stream: StreamId,
        len: usize,
        end: bool,
        now: Millis,
    ) -> Result<Option<Claim>, Gone> {
        let id = stream;
        self.sending(id)?;
        let claimed = self.allow(id, len.min(self.peer.payload_max as usize));
        let is_whole = claimed == len;
        self.count_sent(id, claimed);
        self.after_sending(id, claimed, !is_whole, now);
        let ends = end && is_whole;
        if ends {
            self.end_sending(id);
        }
        let flags = if ends { flag::END_STREAM } else { 0 };
        let head = FrameHead { len: claimed as u32, kind: Kind::DATA, flags, stream: id };
        Ok((claimed > 0 || ends).then(|| Claim { head: head.bytes(), len: claimed }))
    }
    /// Stages what of a claimed frame was not written.
    pub fn stage(&mut self, rest: &[u8]) {
        self.output.extend_from_slice(rest);
    }
    /// Sends the end of a message, with fields unless `trailers` is empty.
    pub fn send_trailers(&mut self, stream: StreamId, trailers: &Fields) -> Result<(), Gone> {
        self.sending(stream)?;
        if trailers.list().is_empty() {
            self.stage_data(stream, &[], true);
        } else {
            self.stage_section(stream, true, |encoder, out| head::write_trailers(encoder, trailers, out));
        }
        self.end_sending(stream);
        Ok(())
    }
    /// Ends a stream before its time.
    pub fn reset(&mut self, stream: StreamId, reason: Reason) {
        if self.streams.get(&stream).is_some_and(Stream::is_open) {
            self.stage_reset(stream, reason);
            self.shut(stream, reason, By::Here);
        }
    }
    /// The user is done with a stream. One that is still open is reset: with NO_ERROR where a client was answered
    /// before it had sent its request, with CANCEL elsewhere.
    pub fn release(&mut self, stream: StreamId) {
        let Some(one) = self.streams.get(&stream) else { return };
        let is_answered = self.role == Role::Server && !one.sending;
        self.reset(stream, if is_answered { Reason::NO_ERROR } else { Reason::CANCEL });
        let Some(mut one) = self.streams.remove(&stream) else { return };
        self.turns.leave(stream, &mut one);
        self.pay_back(one.receive.abandon());
        self.remember(stream, one.closed.is_some_and(|closed| closed.by == By::Here));
    }
    /// Takes bytes of DATA off both windows.
    fn count_sent(&mut self, id: StreamId, len: usize) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|_| len > 0) {
            stream.window.sent(len);
            self.window.sent(len);
            self.flood.useful_frame();
        }
    }
    /// A stream on which this side may still send.
    fn sending(&self, id: StreamId) -> Result<&Stream, Gone> {
        let stream = self.streams.get(&id).ok_or(Gone { reason: Reason::CANCEL })?;
        match stream.closed {
            Some(closed) => Err(Gone { reason: closed.reason }),
            None if !stream.sending => Err(Gone { reason: Reason::STREAM_CLOSED }),
            None => Ok(stream),
        }
    }
    /// Appends a section in as many frames as the peer's limit makes of it.
    pub(super) fn stage_section(
        &mut self,
        id: StreamId,
        end: bool,
        write: impl FnOnce(&mut Encoder, &mut Vec<u8>),
    ) {
        let out = &mut self.output;
        let start = out.len();
        out.extend_from_slice(&[0; HEAD_LEN]);
        write(&mut self.encoder, out);
        let ends = if end { flag::END_STREAM } else { 0 };
        let max = self.peer.payload_max as usize;
        let len = out.len() - start - HEAD_LEN;
        let first = FrameHead {
            len: len.min(max) as u32,
            kind: Kind::HEADERS,
            flags: ends | if len <= max { flag::END_HEADERS } else { 0 },
            stream: id,
        };
        out[start..start + HEAD_LEN].copy_from_slice(&first.bytes());
        if len <= max {
            return;
        }
        let rest = out.split_off(start + HEAD_LEN + max);
        let last = rest.len().div_ceil(max) - 1;
        for (at, fragment) in rest.chunks(max).enumerate() {
            let flags = if at == last { flag::END_HEADERS } else { 0 };
            frame::write(Kind::CONTINUATION, flags, id, fragment, out);
        }
    }
    /// Appends DATA that the windows allow.
    fn stage_data(&mut self, id: StreamId, bytes: &[u8], end: bool) {
        let max = self.peer.payload_max as usize;
        let ends = if end { flag::END_STREAM } else { 0 };
        let mut rest = bytes;
        while rest.len() > max {
            let (piece, tail) = rest.split_at(max);
            frame::write(Kind::DATA, 0, id, piece, &mut self.output);
            rest = tail;
        }
        if end || !rest.is_empty() {
            frame::write(Kind::DATA, ends, id, rest, &mut self.output);
        }
    }
    pub(super) fn stage_reset(&mut self, id: StreamId, reason: Reason) {
        self.counts.resets_sent += 1;
        frame::write_reset(id, reason, &mut self.output);
    }
}

/// What a request asks to upgrade to.
fn upgrade(request: &Request) -> Upgrade {
    let fields = &request.fields;
    let mut protocols = fields.all_known(Known::Upgrade).flat_map(crate::http::list::items);
    let protocol = protocols.find(|protocol| !protocol.is_empty()).unwrap_or_default();
    let accept = fields.first(b"sec-websocket-key").map(websocket::accept);
    Upgrade { protocol: protocol.to_ascii_lowercase(), accept }
}
