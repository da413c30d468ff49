//! Bytes -> frames: the preface, heads, and what takes which payload.
//!
//! The payload of DATA goes through as it comes; all others are short and are gathered, from several calls if need be.

use std::borrow::Cow;

use super::{Conn, Event, Fault, Heads};
use crate::base::clock::Millis;
use crate::http::h2::frame::{FrameHead, HEAD_LEN, Kind, PREFACE, flag};
use crate::http::h2::{Reason, Role, StreamId};

/// Where in the bytes of the peer this side is.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) reading: Reading,
    /// The start of what `reading` waits for.
    part: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The preface, of which so much has come.
    Preface(usize),
    Head,
    Payload(FrameHead),
    /// The length of the padding of DATA.
    PadLength(FrameHead),
    Data(Data),
    Skip(u32),
}

/// A DATA frame of which the head was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) stream: StreamId,
    /// Bytes of payload that have not come.
    pub(super) left: u32,
    /// Bytes of padding that have not come, behind the payload.
    pub(super) padding: u32,
    pub(super) ends: bool,
    /// No stream wants it.
    pub(super) is_discarded: bool,
}

/// How far one step came.
enum Step<'b> {
    /// There is more to do.
    More,
    Event(Event<'b>),
    /// The bytes are used up, or nothing more is taken now.
    Stop,
}

impl Input {
    pub(super) fn new(role: Role) -> Input {
        let reading = if role == Role::Server { Reading::Preface(0) } else { Reading::Head };
        Input { reading, part: Vec::new() }
    }
    /// The next `len` bytes as one piece, once they have come.
    fn gather<'b>(&mut self, bytes: &mut &'b [u8], len: usize) -> Option<Cow<'b, [u8]>> {
        if self.part.is_empty()
            && let Some((piece, rest)) = bytes.split_at_checked(len)
        {
            *bytes = rest;
            return Some(Cow::Borrowed(piece));
        }
        let (piece, rest) = bytes.split_at((len - self.part.len()).min(bytes.len()));
        self.part.extend_from_slice(piece);
        *bytes = rest;
        (self.part.len() == len).then(|| Cow::Owned(std::mem::take(&mut self.part)))
    }
}

impl Conn {
    /// Takes bytes of the peer, moving `bytes` behind what was taken, until something has happened. To be called
    /// until there are no more events. Bytes are left while [`Conn::wants_input`] says no, to be given again.
    pub fn received<'b>(
        &mut self,
        bytes: &mut &'b [u8],
        heads: &mut Heads,
        now: Millis,
    ) -> Option<Event<'b>> {
        if !bytes.is_empty() {
            self.heard = now;
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.is_over() {
                *bytes = &[];
                return None;
            }
            if self.is_backed_up() {
                return None;
            }
            let glitches = self.flood.glitches();
            let step = self.step(bytes, heads, now);
            if self.flood.glitches() != glitches {
                self.judge_glitches(now);
            }
            match step {
                Ok(Step::More) => {}
                Ok(Step::Event(event)) => return Some(event),
                Ok(Step::Stop) => {
                    (self.frames_now, self.resets_now) = (0, 0);
                    return None;
                }
                Err(fault) => self.fault(fault, now),
            }
        }
    }
    /// Whether as many streams as the peer may open are here, some of them reset and not released: the next one waits.
    pub(super) fn is_crowded(&self) -> bool {
        let max = self.settings.streams_max;
        match self.input.reading {
            Reading::Payload(head) => {
                self.role == Role::Server
                    && head.kind == Kind::HEADERS
                    && head.stream > self.last_peer
                    && max != 0
                    && self.streams.len() >= max as usize
                    && self.open < max
            }
            _ => false,
        }
    }
    fn step<'b>(&mut self, bytes: &mut &'b [u8], heads: &mut Heads, now: Millis) -> Result<Step<'b>, Fault> {
        match self.input.reading {
            Reading::Preface(at) => self.preface(at, bytes),
            Reading::Head => {
                let Some(head) = self.input.gather(bytes, HEAD_LEN) else { return Ok(Step::Stop) };
                let head = FrameHead::parse(head[..].try_into().unwrap_or(&[0; HEAD_LEN]));
                // What is wrong with a frame of a stream does not keep its payload from being read over.
                self.input.reading = Reading::Skip(head.len);
                self.begin(head, now)?;
                Ok(Step::More)
            }
            Reading::Payload(head) => {
                if self.is_crowded() {
                    return Ok(Step::Stop);
                }
                let Some(payload) = self.input.gather(bytes, head.len as usize) else {
                    return Ok(Step::Stop);
                };
                self.input.reading = Reading::Head;
                self.count_frame();
                Ok(self.payload(head, &payload, heads, now)?.map_or(Step::More, Step::Event))
            }
            Reading::PadLength(head) => {
                let Some((&padding, rest)) = bytes.split_first() else { return Ok(Step::Stop) };
                *bytes = rest;
                self.padded_data(head, padding, now)?;
                Ok(Step::More)
            }
            Reading::Data(data) => {
                let event = self.data(data, bytes);
                let is_stuck = event.is_none() && self.input.reading != Reading::Head;
                let next = if is_stuck { Step::Stop } else { Step::More };
                Ok(event.map_or(next, Step::Event))
            }
            Reading::Skip(left) => {
                let len = bytes.len().min(left as usize);
                *bytes = &bytes[len..];
                let left = left - len as u32;
                self.input.reading = if left == 0 { Reading::Head } else { Reading::Skip(left) };
                Ok(if left == 0 { Step::More } else { Step::Stop })
            }
        }
    }
    /// RFC 9113 section 3.4.
    fn preface<'b>(&mut self, at: usize, bytes: &mut &'b [u8]) -> Result<Step<'b>, Fault> {
        let len = bytes.len().min(PREFACE.len() - at);
        let (piece, rest) = bytes.split_at(len);
        *bytes = rest;
        if piece != &PREFACE[at..at + len] {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR, "invalid connection preface"));
        }
        if at + len < PREFACE.len() {
            self.input.reading = Reading::Preface(at + len);
            return Ok(Step::Stop);
        }
        self.input.reading = Reading::Head;
        Ok(Step::More)
    }
    /// Counts a frame, and lets others run when there were enough.
    pub(super) fn count_frame(&mut self) {
        self.frames_now += 1;
        if self.settings.frames_at_once != 0 && self.frames_now >= self.settings.frames_at_once {
            self.pause();
        }
    }
    pub(super) fn pause(&mut self) {
        (self.frames_now, self.resets_now) = (0, 0);
        self.events.push_back(Event::Pause);
    }
    /// Judges the head of a frame by itself and by where it stands, and says what reads its payload.
    fn begin(&mut self, head: FrameHead, now: Millis) -> Result<(), Fault> {
        let error = |reason, why| Err(Fault::Connection(reason, why));
        if !self.has_settings && (head.kind != Kind::SETTINGS || head.has(flag::ACK)) {
            return error(Reason::PROTOCOL_ERROR, "the first frame is not SETTINGS");
        }
        if head.len > self.settings.payload_max() {
            return error(Reason::FRAME_SIZE_ERROR, "frame larger than announced");
        }
        let stream = self.pending.as_ref().map(|pending| pending.stream);
        if stream.is_some_and(|stream| head.kind != Kind::CONTINUATION || head.stream != stream) {
            return error(Reason::PROTOCOL_ERROR, "frame within a header block");
        }
        check_stream(head)?;
        check_length(head)?;
        self.input.reading = match head.kind {
            Kind::DATA => return self.begin_data(head, now),
            Kind::PUSH_PROMISE => return error(Reason::PROTOCOL_ERROR, "PUSH_PROMISE"),
            Kind::CONTINUATION if stream.is_none() => {
                return error(Reason::PROTOCOL_ERROR, "CONTINUATION without HEADERS");
            }
            Kind(..=9) => Reading::Payload(head),
            // Section 5.5: to be ignored.
            _ => {
                self.count_frame();
                self.flood.idle_frame(now)?;
                return Ok(());
            }
        };
        Ok(())
    }
    fn payload(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        heads: &mut Heads,
        now: Millis,
    ) -> Result<Option<Event<'static>>, Fault> {
        match head.kind {
            Kind::HEADERS => return self.headers(head, payload, heads, now),
            Kind::CONTINUATION => return self.continuation(head, payload, heads, now),
            Kind::PRIORITY => self.priority(head, payload, now)?,
            Kind::RST_STREAM => return self.reset_received(head, payload, now),
            Kind::SETTINGS => self.settings(head, payload, now)?,
            Kind::PING => self.ping(head, payload, now)?,
            Kind::GOAWAY => self.goaway(payload, now)?,
            _ => self.window_update(head, payload, now)?,
        }
        Ok(None)
    }
}

/// Which frames belong to a stream and which to the connection.
fn check_stream(head: FrameHead) -> Result<(), Fault> {
    let of_connection = head.stream == StreamId::CONNECTION;
    let is_right = match head.kind {
        Kind::SETTINGS | Kind::PING | Kind::GOAWAY => of_connection,
        Kind::WINDOW_UPDATE => true,
        Kind(..=9) => !of_connection,
        _ => true,
    };
    if is_right { Ok(()) } else { Err(Fault::Connection(Reason::PROTOCOL_ERROR, "frame of a wrong stream")) }
}

/// The lengths that are fixed (section 4.2 and those of the types).
fn check_length(head: FrameHead) -> Result<(), Fault> {
    let is_right = match head.kind {
        Kind::PRIORITY => head.len == 5,
        Kind::RST_STREAM | Kind::WINDOW_UPDATE => head.len == 4,
        Kind::SETTINGS if head.has(flag::ACK) => head.len == 0,
        Kind::SETTINGS => head.len.is_multiple_of(6),
        Kind::PING => head.len == 8,
        Kind::GOAWAY => head.len >= 8,
        _ => true,
    };
    const WHY: &str = "frame of a wrong length";
    match head.kind {
        _ if is_right => Ok(()),
        // Section 6.3.
        Kind::PRIORITY => Err(Fault::Stream(head.stream, Reason::FRAME_SIZE_ERROR, WHY)),
        _ => Err(Fault::Connection(Reason::FRAME_SIZE_ERROR, WHY)),
    }
}
