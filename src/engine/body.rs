//! Moves one direction's bytes: a message body by its framing, or a tunnel until its end.
//!
//! A pump copies through one leased buffer while pieces are small, and hands a large body or a direction
//! that streams to splice(2), as soon as an option asks for that, or a little later by itself: a megabyte
//! that is copied cost HAProxy 1.1 to 1.6 times the processor time of one that is spliced
//! (`docs/benchmark`). It holds a buffer or a pipe only while bytes are in it.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use super::capture::Fault;
use super::silence::Drain;
use crate::base::clock::{self, Millis};
use crate::http::Fields;
use crate::http::h1::chunked::{self, Decoder, Event};
use crate::http::h1::framing::Body;
use crate::http::h1::trailers;
use crate::net::buffer::{Filled, Scratch};
use crate::net::splice::LentPipe;
use crate::net::{Buffer, Stream, Then, executor};
use crate::sys::pipe;

/// Full reads that make a direction a stream where an option asks for splicing, and where none does.
const STREAMING_READS: u32 = 2;
const STREAMING_READS_UNASKED: u32 = 8;
/// Bytes a direction may move per turn before the other tasks of the core come first: a piece or two. Who
/// empties one socket while its peer fills it from another processor contends with it for the socket, piece
/// by piece: with a mebibyte here, one cost 1.3 to 1.9 times as much (8 connections).
const TURN_BYTES: u64 = 32 * 1024;
/// The longest piece of a body that is copied behind its head rather than gathered by the kernel.
const JOIN_MAX: usize = 2048;
/// The most one splice call moves.
const SPLICE_MAX: usize = 1 << 20;
/// Bytes that make a pipe worth its two extra calls.
const SPLICE_MIN: u64 = 16 * 1024;
/// Bytes of a length-framed body that is spliced from its start, asked or not.
const SPLICE_LARGE: u64 = 128 * 1024;

/// When a direction is handed to splice(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splice {
    /// Never: there is no pipe, or the socket is of the wrong kind.
    Never,
    /// Where it is sure to pay.
    Unasked,
    /// Where it may pay (`option splice-auto` and its kin).
    Asked,
}

impl Splice {
    /// What the options of both proxies say.
    pub fn of(asked: bool) -> Splice {
        if asked { Splice::Asked } else { Splice::Unasked }
    }
}

/// How the direction is framed.
#[derive(Debug)]
enum Mode {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks in, chunks out.
    Chunked(Decoder),
    /// Chunks in, bare bytes out (towards HTTP/1.0).
    Dechunk(Decoder),
    /// Bytes until the end of the stream, chunks out.
    Rechunk,
    /// Bytes until the end of the stream.
    UntilClose,
}

/// Why a direction stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpError {
    /// The source ended in the middle of the body.
    SourceEnded,
    /// The source broke.
    SourceBroken,
    /// The source's chunks are not chunks.
    BadChunk,
    /// The destination broke.
    DestinationBroken,
}

/// What becomes of the fields behind a body (RFC 9110 section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailers {
    /// They go behind the last chunk, where chunks go out; nowhere else is room for them.
    InChunks,
    /// They are kept in [`Pump::trailers`], for a wire that has them apart from the bytes.
    Apart,
    /// They are left out (`option http-drop-request-trailers`, `option http-drop-response-trailers`).
    Nowhere,
}

/// Whom the pump waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The source, to send.
    Source,
    /// The destination, to take.
    Destination,
}

/// One direction.
#[derive(Debug)]
pub struct Pump {
    mode: Mode,
    buffer: Option<Buffer>,
    /// What was put together here: the head, a small body behind it, the output of the chunked modes; and how
    /// much of it is written.
    staged: Scratch,
    staged_done: usize,
    pipe: Option<LentPipe>,
    splice: Splice,
    /// The body was large when it began.
    large: bool,
    /// The destination's direction ends behind the body, and at once: the last bytes leave with that end, in
    /// one segment, so they wait for it in the kernel.
    pub ends_destination: bool,
    /// What becomes of fields behind the body.
    pub trailers_go: Trailers,
    /// Those that are to follow the body apart from its bytes.
    pub trailers: Option<Box<Fields>>,
    /// The kernel holds bytes back for a full segment.
    held_back: bool,
    /// What was read so far, to be sent again to another server, while it fits a buffer.
    record: Option<Vec<u8>>,
    full_reads: u32,
    source_ended: bool,
    complete: bool,
    /// Bytes taken from the source.
    pub bytes_in: u64,
    /// Bytes given to the destination.
    pub bytes_out: u64,
    /// When bytes last moved.
    pub last_ms: Millis,
    /// Whom it waits for.
    pub blocked: Blocked,
    /// What is seen of the destination while it is waited for.
    pub drain: Drain,
}

impl Pump {
    /// A pump for a body framed `input` at the source and `output` at the destination; `buffer`
    /// holds what was read behind the head. A body of none or 0 bytes is complete at once.
    pub fn new(input: Body, output: Body, buffer: Option<Buffer>, splice: Splice) -> Pump {
        let mode = match (input, output) {
            (Body::None, _) => Mode::Length(0),
            (Body::Length(length), _) => Mode::Length(length),
            (Body::Chunked, Body::Chunked) => Mode::Chunked(Decoder::new()),
            (Body::Chunked, _) => Mode::Dechunk(Decoder::new()),
            (Body::UntilClose, Body::Chunked) => Mode::Rechunk,
            (Body::UntilClose, _) => Mode::UntilClose,
        };
        let complete = matches!(mode, Mode::Length(0));
        let large = matches!(mode, Mode::Length(length) if length >= SPLICE_LARGE);
        Pump {
            mode,
            buffer: buffer.filter(|b| !b.is_empty()),
            staged: Scratch::default(),
            staged_done: 0,
            pipe: None,
            splice,
            large,
            ends_destination: false,
            trailers_go: Trailers::InChunks,
            trailers: None,
            held_back: false,
            record: None,
            full_reads: 0,
            source_ended: false,
            complete,
            bytes_in: 0,
            bytes_out: 0,
            last_ms: clock::cached().millis(),
            blocked: Blocked::Source,
            drain: Drain::default(),
        }
    }
    /// Keeps what is read, as long as it fits a buffer, behind what was read before.
    pub fn keep(&mut self, before: Vec<u8>) {
        self.record = Some(before);
    }
    /// Whether all that was read so far is kept.
    pub fn is_kept(&self) -> bool {
        self.record.is_some()
    }
    /// What was read so far, if it was kept; from here on nothing is.
    pub fn take_kept(&mut self) -> Option<Vec<u8>> {
        self.record.take()
    }
    /// A tunnel: bytes until the source's end.
    pub fn tunnel(buffer: Option<Buffer>, splice: Splice) -> Pump {
        Pump::new(Body::UntilClose, Body::UntilClose, buffer, splice)
    }
    /// Whether all is written.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
    /// Puts `head` in front of what is to be written (the message's head).
    pub fn stage(&mut self, head: &[u8]) {
        self.staged.extend_from_slice(head);
        self.complete = false;
    }
    /// Has `write` put a head behind what is staged; that head, as it will be sent.
    pub fn stage_head(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut [u8] {
        let start = self.staged.len();
        write(&mut self.staged);
        self.complete = false;
        &mut self.staged[start..]
    }
    /// Whether bytes that do not belong to the body wait behind it.
    pub fn has_rest(&self) -> bool {
        self.complete && self.buffer.is_some()
    }
    /// What was read and does not belong to the body: the next pipelined request, or bytes that a
    /// server should not have sent.
    pub fn take_rest(&mut self) -> Option<Buffer> {
        self.buffer.take().filter(|buffer| !buffer.is_empty())
    }
    /// Takes it over as it stands; what is left behind is complete.
    pub fn take(&mut self) -> Pump {
        std::mem::replace(self, Pump::new(Body::None, Body::None, None, Splice::Never))
    }
    /// Reads the rest of the body and forgets it, and whatever was to be written. Ready when the body is wholly
    /// read, or on an error.
    pub fn poll_discard(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
    ) -> Poll<Result<(), PumpError>> {
        self.pipe = None;
        self.splice = Splice::Never;
        let mut moved = 0;
        loop {
            moved += self.discard()?;
            if self.complete {
                return Poll::Ready(Ok(()));
            }
            if moved >= TURN_BYTES {
                executor::yield_now(context);
                return Poll::Pending;
            }
            match self.read(context, source) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
    }

    /// Forgets what is at hand of the body.
    fn discard(&mut self) -> Result<u64, PumpError> {
        let mut count = 0;
        loop {
            self.transform()?;
            let staged = self.staged.len();
            self.staged.give_back();
            self.staged_done = 0;
            let have = self.buffer.as_ref().map_or(0, Buffer::len);
            let plain = match &mut self.mode {
                Mode::Length(left) => {
                    let take = have.min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= take as u64;
                    take
                }
                Mode::UntilClose | Mode::Rechunk => have,
                Mode::Chunked(_) | Mode::Dechunk(_) => 0,
            };
            if let Some(buffer) = self.buffer.as_mut().filter(|_| plain > 0) {
                buffer.consume(plain);
                if buffer.is_empty() {
                    self.buffer = None;
                }
            }
            if staged + plain == 0 {
                self.complete = self.mode_is_done();
                return Ok(count);
            }
            count += (staged + plain) as u64;
        }
    }

    /// Moves what can be moved. Ready when the body is wholly written, or on an error.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        destination: &mut Stream,
    ) -> Poll<Result<(), PumpError>> {
        if !source.is_plain() || !destination.is_plain() {
            self.splice = Splice::Never; // the sockets hold records, or frames
        }
        let mut moved = 0;
        loop {
            match self.write(context, destination) {
                Poll::Ready(Ok(count)) => moved += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            if self.complete {
                return Poll::Ready(Ok(()));
            }
            if moved >= TURN_BYTES {
                executor::yield_now(context);
                return Poll::Pending;
            }
            match self.read(context, source) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if std::mem::take(&mut self.held_back) {
                        destination.push(); // what was expected has not come: nobody waits for it
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes all that is at hand; ready with the count once nothing is left to write.
    fn write(&mut self, context: &mut Context<'_>, destination: &mut Stream) -> Poll<Result<u64, PumpError>> {
        let mut moved = 0;
        loop {
            self.transform()?;
            // Asked first: a socket that was full has room again when the kernel says so. What a try squeezes in
            // before is no sign of the reader's life, and would start its limit anew.
            if self.has_body_output() && destination.poll_writable(context).is_pending() {
                self.blocked = Blocked::Destination;
                return Poll::Pending;
            }
            let then = match self.ends_destination && self.trailers.is_none() && self.has_all() {
                true => Then::End,
                false if self.expects_more() => Then::More,
                false => Then::Nothing,
            };
            let result = if let Some(lent) = self.pipe.as_mut().filter(|pipe| pipe.held > 0) {
                let result = pipe::splice(
                    lent.pipe().read.as_raw_fd(),
                    destination.fd(),
                    lent.held,
                    then != Then::Nothing,
                );
                match &result {
                    Ok(count) => lent.held -= count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => destination.was_full(),
                    Err(_) => {}
                }
                result
            } else {
                self.join_small_body();
                let staged = &self.staged[self.staged_done..];
                let plain = match (&self.mode, &self.buffer) {
                    (Mode::Length(left), Some(buffer)) => {
                        let take = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                        &buffer.filled()[..take]
                    }
                    (Mode::UntilClose, Some(buffer)) => buffer.filled(),
                    _ => &[],
                };
                let result = match (staged.is_empty(), plain.is_empty()) {
                    (true, true) => {
                        self.complete = self.mode_is_done();
                        return Poll::Ready(Ok(moved));
                    }
                    (true, false) => destination.try_write(plain, then),
                    (false, true) => destination.try_write(staged, then),
                    (false, false) => destination.try_write_both(staged, plain, then),
                };
                if let Ok(count) = result {
                    self.wrote(count);
                }
                result
            };
            match result {
                Ok(count) => {
                    self.held_back = then != Then::Nothing;
                    moved += count as u64;
                    self.bytes_out += count as u64;
                    self.last_ms = clock::cached().millis();
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Poll::Ready(Err(PumpError::DestinationBroken)),
            }
            if self.mode_is_done() && !self.has_body_output() {
                self.complete = true;
                return Poll::Ready(Ok(moved));
            }
        }
    }

    /// Whether the body goes on behind what is at hand, and at once: the last read filled all the room it had.
    /// Its pieces then leave as full segments. Not so from a pipe, whose pages would be split for that.
    fn expects_more(&self) -> bool {
        match (&self.mode, &self.pipe, &self.buffer) {
            (Mode::Length(left), None, Some(buffer)) => *left > buffer.len() as u64 && buffer.reaches_end(),
            _ => false,
        }
    }

    /// Whether the rest of the body is at hand.
    fn has_all(&self) -> bool {
        match (&self.mode, &self.pipe, &self.buffer) {
            (Mode::Length(left), Some(pipe), _) if pipe.held > 0 => *left == 0,
            (Mode::Length(left), _, buffer) => *left <= buffer.as_ref().map_or(0, |b| b.len() as u64),
            _ => self.mode_is_done(),
        }
    }

    /// Puts a small body right behind its head: one plain send costs less than a gathering one.
    fn join_small_body(&mut self) {
        let (Mode::Length(left), Some(buffer)) = (&mut self.mode, &mut self.buffer) else { return };
        let take = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        if self.staged.is_empty() || take > JOIN_MAX {
            return;
        }
        self.staged.extend_from_slice(&buffer.filled()[..take]);
        buffer.consume(take);
        *left -= take as u64;
        if buffer.is_empty() {
            self.buffer = None;
        }
    }

    fn mode_is_done(&self) -> bool {
        match &self.mode {
            Mode::Length(left) => *left == 0,
            Mode::UntilClose => self.source_ended,
            Mode::Chunked(_) | Mode::Dechunk(_) | Mode::Rechunk => self.source_ended,
        }
    }

    /// Whether bytes of this message (not of what follows it) are still to be written.
    fn has_body_output(&self) -> bool {
        let plain = match &self.mode {
            Mode::Length(left) => *left > 0 && self.buffer.is_some(),
            Mode::UntilClose => self.buffer.is_some(),
            _ => false,
        };
        plain || self.staged_done < self.staged.len() || self.pipe.as_ref().is_some_and(|pipe| pipe.held > 0)
    }

    /// Accounts for `count` bytes written: first staged ones, then plain ones from the buffer.
    fn wrote(&mut self, count: usize) {
        let from_staged = count.min(self.staged.len() - self.staged_done);
        self.staged_done += from_staged;
        if self.staged_done == self.staged.len() {
            self.staged.give_back(); // an idle direction holds none
            self.staged_done = 0;
        }
        let plain = count - from_staged;
        if plain > 0 {
            if let Mode::Length(left) = &mut self.mode {
                *left -= plain as u64;
            }
            if let Some(buffer) = &mut self.buffer {
                buffer.consume(plain);
                if buffer.is_empty() {
                    self.buffer = None;
                }
            }
        }
    }

    /// Turns what was read into staged output, in the chunked modes.
    fn transform(&mut self) -> Result<(), PumpError> {
        if self.source_ended && !matches!(self.mode, Mode::Rechunk) {
            return Ok(());
        }
        // Bounds the staged bytes: more is decoded once these are written.
        if self.staged.len() > 4 * crate::net::buffer::Buffer::lease_size() {
            return Ok(());
        }
        let keep_chunks = matches!(self.mode, Mode::Chunked(_));
        match &mut self.mode {
            Mode::Length(_) | Mode::UntilClose => Ok(()),
            Mode::Rechunk => {
                if let Some(buffer) = self.buffer.take() {
                    chunked::write_size_line(buffer.len(), &mut self.staged);
                    self.staged.extend_from_slice(buffer.filled());
                    self.staged.extend_from_slice(b"\r\n");
                }
                Ok(())
            }
            Mode::Chunked(decoder) | Mode::Dechunk(decoder) => {
                while let Some(buffer) = &mut self.buffer {
                    match decoder.next(buffer.filled()).map_err(|_| PumpError::BadChunk)? {
                        Event::NeedMore { consumed } => {
                            buffer.consume(consumed);
                            if buffer.is_empty() {
                                self.buffer = None;
                            }
                            return Ok(());
                        }
                        Event::Data { start, end } => {
                            let data = &buffer.filled()[start..end];
                            if keep_chunks {
                                chunked::write_size_line(data.len(), &mut self.staged);
                            }
                            self.staged.extend_from_slice(data);
                            if keep_chunks {
                                self.staged.extend_from_slice(b"\r\n");
                            }
                            buffer.consume(end);
                        }
                        Event::End { trailers_start, end } => {
                            // Fields that may not stand here would act on a message already judged.
                            let mut fields = Fields::default();
                            if keep_chunks || self.trailers_go == Trailers::Apart {
                                let section = &buffer.filled()[trailers_start..end];
                                trailers::parse(section, &mut fields).map_err(|_| PumpError::BadChunk)?;
                            }
                            if self.trailers_go == Trailers::Apart && !fields.list().is_empty() {
                                self.trailers = Some(Box::new(fields));
                            } else if keep_chunks {
                                self.staged.extend_from_slice(chunked::LAST_CHUNK);
                                if self.trailers_go == Trailers::Nowhere {
                                    fields.clear();
                                }
                                trailers::write(&fields, &mut self.staged);
                            }
                            buffer.consume(end);
                            if buffer.is_empty() {
                                self.buffer = None;
                            }
                            self.source_ended = true;
                            return Ok(());
                        }
                    }
                    if buffer.is_empty() {
                        self.buffer = None;
                    }
                }
                Ok(())
            }
        }
    }

    /// What it could not decode, and why, behind [`PumpError::BadChunk`].
    pub(super) fn refused(&mut self) -> Option<(&[u8], Fault)> {
        let (Mode::Chunked(decoder) | Mode::Dechunk(decoder)) = &mut self.mode else { return None };
        let bytes = self.buffer.as_ref()?.filled();
        Some(match decoder.next(bytes) {
            Err(bad) => (bytes, bad.into()),
            Ok(Event::End { trailers_start, .. }) => (bytes, Fault::trailers(trailers_start)),
            Ok(_) => (bytes, Fault::too_long(bytes)),
        })
    }

    /// Reads once, into the pipe or the buffer; waits when nothing is there.
    fn read(&mut self, context: &mut Context<'_>, source: &mut Stream) -> Poll<Result<(), PumpError>> {
        if self.source_ended {
            return Poll::Ready(Ok(())); // what is staged is written first, then `complete` is set
        }
        if self.streams() {
            return self.read_spliced(context, source);
        }
        loop {
            // Asked first: after a short read, a try would only be told that nothing is there.
            if source.poll_readable(context).is_pending() {
                self.blocked = Blocked::Source;
                return Poll::Pending;
            }
            let buffer = self.buffer.get_or_insert_with(Buffer::lease);
            let filled = buffer.fill(source);
            let is_full = buffer.is_full();
            if buffer.is_empty() {
                self.buffer = None; // an idle direction holds no buffer
            }
            match filled {
                Ok(Filled::Bytes { count, .. }) => {
                    self.record_last(count);
                    self.bytes_in += count as u64;
                    self.last_ms = clock::cached().millis();
                    self.full_reads = if is_full { self.full_reads + 1 } else { 0 };
                    return Poll::Ready(Ok(()));
                }
                Ok(Filled::End) => return Poll::Ready(self.end_of_source(source)),
                // A chunk's framing longer than a buffer: nothing valid looks like that.
                Ok(Filled::Full) => return Poll::Ready(Err(PumpError::BadChunk)),
                Ok(Filled::Nothing) => {}
                Err(_) => return Poll::Ready(Err(PumpError::SourceBroken)),
            }
        }
    }

    /// Keeps the `count` bytes that were read last, if they may be needed again and fit.
    fn record_last(&mut self, count: usize) {
        let (Some(record), Some(buffer)) = (&mut self.record, &self.buffer) else { return };
        if record.len() + count > Buffer::lease_size() {
            self.record = None;
            return;
        }
        record.extend_from_slice(&buffer.filled()[buffer.len() - count..]);
    }

    fn streams(&self) -> bool {
        let wide = match self.mode {
            Mode::Length(left) => left >= SPLICE_MIN,
            Mode::UntilClose => true,
            _ => false,
        };
        let streams = match self.splice {
            Splice::Never => false,
            Splice::Unasked => self.large || self.full_reads >= STREAMING_READS_UNASKED,
            Splice::Asked => self.large || self.full_reads >= STREAMING_READS,
        };
        streams && wide && self.buffer.is_none() && self.record.is_none()
    }

    fn read_spliced(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
    ) -> Poll<Result<(), PumpError>> {
        if self.pipe.is_none() {
            match LentPipe::lend() {
                Ok(pipe) => self.pipe = Some(pipe),
                Err(_) => {
                    // No pipe to be had: the rest is copied.
                    self.splice = Splice::Never;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let most = match self.mode {
            Mode::Length(left) => usize::try_from(left).unwrap_or(usize::MAX).min(SPLICE_MAX),
            _ => SPLICE_MAX,
        };
        loop {
            let Some(lent) = &mut self.pipe else { return Poll::Ready(Ok(())) };
            match pipe::splice(source.fd(), lent.pipe().write.as_raw_fd(), most, false) {
                Ok(0) => {
                    self.pipe = None;
                    return Poll::Ready(self.end_of_source(source));
                }
                Ok(count) => {
                    lent.held += count;
                    self.bytes_in += count as u64;
                    // A stream that has become a trickle is copied again.
                    self.full_reads = match (count as u64) < SPLICE_MIN {
                        true => self.full_reads.saturating_sub(1),
                        false => (self.full_reads + 1).min(STREAMING_READS_UNASKED + STREAMING_READS),
                    };
                    self.last_ms = clock::cached().millis();
                    if let Mode::Length(left) = &mut self.mode {
                        *left -= count as u64;
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    source.was_empty();
                    self.pipe = None;
                    self.blocked = Blocked::Source;
                    if source.poll_readable(context).is_pending() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    // This kind of socket cannot be spliced.
                    self.pipe = None;
                    self.splice = Splice::Never;
                    return Poll::Ready(Ok(()));
                }
                Err(_) => return Poll::Ready(Err(PumpError::SourceBroken)),
            }
        }
    }

    fn end_of_source(&mut self, source: &mut Stream) -> Result<(), PumpError> {
        let trailers = match self.trailers_go {
            Trailers::Nowhere => None,
            Trailers::InChunks | Trailers::Apart => source.take_trailers(),
        };
        match &self.mode {
            Mode::UntilClose => {
                self.source_ended = true;
                self.trailers = trailers.filter(|_| self.trailers_go == Trailers::Apart);
                self.complete = !self.has_body_output();
                Ok(())
            }
            Mode::Rechunk => {
                self.source_ended = true;
                self.staged.extend_from_slice(chunked::LAST_CHUNK);
                trailers::write(&trailers.map(|fields| *fields).unwrap_or_default(), &mut self.staged);
                Ok(())
            }
            Mode::Length(_) | Mode::Chunked(_) | Mode::Dechunk(_) => Err(PumpError::SourceEnded),
        }
    }
}
