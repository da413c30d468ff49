//! Bodies that come: DATA, windows, and what consumers take (RFC 9113 sections 6.1 and 6.9).

use super::input::{Data, Reading};
use super::{Conn, Event, Fault};
use crate::base::clock::Millis;
use crate::http::h2::flood::SMALL_DATA;
use crate::http::h2::frame::{self, FrameHead, flag};
use crate::http::h2::settings::{WINDOW, WINDOW_MAX};
use crate::http::h2::stream::By;
use crate::http::h2::{Reason, StreamId};

impl Conn {
    /// The head of a DATA frame.
    pub(super) fn begin_data(&mut self, head: FrameHead, now: Millis) -> Result<(), Fault> {
        self.counts.data_received += 1;
        self.count_frame();
        if self.is_idle(head.stream) {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR, "DATA on an idle stream"));
        }
        if !self.receive.fits(head.len) {
            return Err(Fault::Connection(Reason::FLOW_CONTROL_ERROR, "DATA beyond the connection's window"));
        }
        if head.len == 0 && !head.has(flag::END_STREAM) {
            self.flood.idle_frame(now)?;
        } else if head.len < SMALL_DATA && !head.has(flag::END_STREAM) {
            self.flood.small_frame(now);
        }
        if head.has(flag::PADDED) {
            if head.len == 0 {
                return Err(Fault::Connection(Reason::FRAME_SIZE_ERROR, "padded DATA without a length"));
            }
            self.input.reading = Reading::PadLength(head);
            return Ok(());
        }
        self.admit_data(head, head.len, 0, now)
    }
    /// The length of the padding of a DATA frame.
    pub(super) fn padded_data(&mut self, head: FrameHead, padding: u8, now: Millis) -> Result<(), Fault> {
        let padding = u32::from(padding);
        let Some(left) = (head.len - 1).checked_sub(padding) else {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR, "more padding than payload"));
        };
        if padding > 0 && left == 0 && !head.has(flag::END_STREAM) {
            self.flood.idle_frame(now)?;
        }
        let outcome = self.admit_data(head, left, padding, now);
        // The octet of the length counts, and is taken at once.
        self.pass(head.stream, 1, 1);
        outcome
    }
    /// Decides whether a stream wants the DATA of a frame.
    fn admit_data(&mut self, head: FrameHead, left: u32, padding: u32, now: Millis) -> Result<(), Fault> {
        let id = head.stream;
        let ends = head.has(flag::END_STREAM);
        let outcome = self.judge_data(head, left, ends);
        let is_discarded = !matches!(outcome, Ok(true));
        if is_discarded && head.len < SMALL_DATA {
            // Large ones cost their sender as much as they cost here.
            self.flood.idle_frame(now)?;
        } else if left > 0 && !is_discarded {
            self.flood.useful_frame();
        }
        self.input.reading = Reading::Data(Data { stream: id, left, padding, ends, is_discarded });
        outcome.map(|_| ())
    }
    fn judge_data(&mut self, head: FrameHead, left: u32, ends: bool) -> Result<bool, Fault> {
        let id = head.stream;
        let error = |reason, why| Err(Fault::Stream(id, reason, why));
        let Some(stream) = self.streams.get_mut(&id) else {
            // Section 5.1: what was on its way when this side reset the stream is ignored.
            if self.ended(id).is_some_and(|ended| ended.reset_here) || id > self.last_accepted {
                return Ok(false);
            }
            return error(Reason::STREAM_CLOSED, "DATA on a closed stream");
        };
        match stream.closed {
            Some(closed) if closed.by == By::Here => return Ok(false),
            Some(_) => return error(Reason::STREAM_CLOSED, "DATA on a stream that was reset"),
            None if !stream.receiving => return error(Reason::STREAM_CLOSED, "DATA behind the end"),
            None if !stream.has_head => return error(Reason::PROTOCOL_ERROR, "DATA before HEADERS"),
            None => {}
        }
        if !stream.receive.fits(head.len) {
            return error(Reason::FLOW_CONTROL_ERROR, "DATA beyond the stream's window");
        }
        if !stream.counts(u64::from(left)) {
            return error(Reason::PROTOCOL_ERROR, "more DATA than content-length");
        }
        if ends && stream.body_left.is_some_and(|left| left > 0) {
            return error(Reason::PROTOCOL_ERROR, "less DATA than content-length");
        }
        Ok(true)
    }
    /// The next piece of a DATA frame.
    pub(super) fn data<'b>(&mut self, mut data: Data, bytes: &mut &'b [u8]) -> Option<Event<'b>> {
        let id = data.stream;
        // The stream may have been reset between two pieces.
        data.is_discarded |= self.streams.get(&id).is_none_or(|stream| stream.closed.is_some());
        let (piece, rest) = bytes.split_at(bytes.len().min(data.left as usize));
        data.left -= piece.len() as u32;
        let (padding, rest) = rest.split_at(match data.left {
            0 => rest.len().min(data.padding as usize),
            _ => 0,
        });
        data.padding -= padding.len() as u32;
        *bytes = rest;
        let is_last = data.left == 0 && data.ends;
        // The end is told once: with the last byte, not with the padding.
        data.ends &= !is_last;
        self.input.reading =
            if data.left == 0 && data.padding == 0 { Reading::Head } else { Reading::Data(data) };
        let len = piece.len() as u32;
        if data.is_discarded {
            self.pass(id, len + padding.len() as u32, len + padding.len() as u32);
            return None;
        }
        self.pass(id, len + padding.len() as u32, padding.len() as u32);
        if is_last {
            self.end_receiving(id);
        } else if piece.is_empty() {
            return None;
        }
        self.grant(id);
        Some(Event::Data { stream: id, bytes: piece, end: is_last })
    }
    /// Counts bytes that have come in both windows, and those of them that no consumer will take.
    fn pass(&mut self, id: StreamId, len: u32, taken: u32) {
        // That they fit was asked when the frame began.
        let _ = self.receive.received(len);
        self.receive.taken(taken);
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.closed.is_none()) {
            let _ = stream.receive.received(len);
            stream.receive.taken(taken);
        }
        self.grant_connection();
    }
    /// Bytes that wait for the consumer of a stream.
    pub fn held(&self, stream: StreamId) -> &[u8] {
        self.streams.get(&stream).map_or(&[], |stream| stream.held())
    }
    /// Keeps bytes of an [`Event::Data`] until the consumer takes them. They are within the stream's window.
    pub fn hold(&mut self, stream: StreamId, bytes: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.hold(bytes);
        }
    }
    /// Whether what [`Conn::held`] gives ends the message: nothing more comes.
    pub fn is_complete(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|stream| stream.complete)
    }
    /// The consumer has taken `len` bytes: from the start of what is held, or of an [`Event::Data`] while nothing
    /// is. Only this lets the peer send more.
    pub fn taken(&mut self, stream: StreamId, len: usize) {
        let id = stream;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        // After a reset everything was taken for good.
        let counted = (len as u32).min(stream.receive.held());
        stream.taken(len);
        stream.receive.taken(counted);
        self.receive.taken(counted);
        self.grant_connection();
        self.grant(id);
    }
    /// Lets the peer send more on a stream and the connection, as far as that is due.
    pub(super) fn grant(&mut self, id: StreamId) {
        let (least, shared) = (self.settings.window.min(WINDOW_MAX), self.stream_window());
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.receiving) else { return };
        // As HAProxy: a body that fits the configured window needs no more.
        let needs_more = stream.body_left.is_none_or(|left| left > u64::from(least));
        let size = if needs_more { shared } else { least };
        if let Some(increment) = stream.receive.grant(size) {
            frame::write_window_update(id, increment, &mut self.output);
        }
    }
    /// No consumer will take `len` bytes that were held.
    pub(super) fn pay_back(&mut self, len: u32) {
        if len > 0 {
            self.receive.taken(len);
            self.grant_connection();
        }
    }
    pub(super) fn grant_connection(&mut self) {
        let size = self.settings.receive_buffer.max(WINDOW);
        if !self.is_over()
            && let Some(increment) = self.receive.grant(size)
        {
            frame::write_window_update(StreamId::CONNECTION, increment, &mut self.output);
        }
    }
    /// `tune.h2.fe|be.rxbuf`: one buffer for each stream, and seven eighths of those that are left over shared among
    /// the streams that receive.
    fn stream_window(&self) -> u32 {
        let size = self.settings.buffer_size.max(1);
        let receiving = self.receiving.max(1);
        let buffers = self.settings.receive_buffer.div_ceil(size).max(receiving);
        let share = (u64::from(buffers - receiving) * 7 / 8) as u32 / receiving;
        let all = self.settings.receive_buffer.max(WINDOW);
        size.saturating_mul(share + 1).max(self.settings.window).min(all)
    }
}
