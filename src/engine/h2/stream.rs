//! A stream of an HTTP/2 connection, as the exchange that it carries sees it.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Shared;
use crate::base::clock;
use crate::base::id::ServerId;
use crate::http::h1::framing::Body;
use crate::http::h2::StreamId;
use crate::http::h2::conn::Gone;
use crate::http::{Fields, Response};
use crate::net::{Substream, Then};

/// One stream. It is released with the last reference to it.
pub(in crate::engine) struct Http2Stream {
    id: StreamId,
    shared: Rc<Shared>,
    /// Wakes the task that waits for bytes, for room, for a reset.
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    watcher: Cell<Option<Waker>>,
    /// What was offered last was not taken whole.
    is_full: Cell<bool>,
    is_reset: Cell<bool>,
    trailers: RefCell<Option<Box<Fields>>>,
}

fn wake(waker: &Cell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Http2Stream {
    pub(super) fn new(id: StreamId, shared: Rc<Shared>) -> Http2Stream {
        Http2Stream {
            id,
            shared,
            reader: Cell::default(),
            writer: Cell::default(),
            watcher: Cell::default(),
            is_full: Cell::new(false),
            is_reset: Cell::new(false),
            trailers: RefCell::default(),
        }
    }
    /// Bytes of the body have come, or its end.
    pub(super) fn has_bytes(&self) {
        wake(&self.reader);
    }
    /// The body has ended, with these fields.
    pub(super) fn has_trailers(&self, fields: Box<Fields>) {
        self.trailers.replace(Some(fields));
        wake(&self.reader);
    }
    /// It may send again.
    pub(super) fn may_write(&self) {
        self.is_full.set(false);
        wake(&self.writer);
    }
    /// It is over before its time.
    pub(super) fn was_reset(&self) {
        self.is_reset.set(true);
        for waker in [&self.reader, &self.writer, &self.watcher] {
            wake(waker);
        }
    }
    /// Ends the connection with all its streams, and says nothing of it.
    pub(in crate::engine) fn fall_silent(&self) {
        self.shared.is_silent.set(true);
        self.shared.wake();
    }
    /// The server of its request, if there was one, is the one that the connection's next requests may prefer.
    pub(super) fn was_served_by(&self, server: Option<ServerId>) {
        self.shared.last_server.set(server);
    }
    /// Sends an interim response; its bytes. While too much waits to be written it is left out, as it may be.
    pub(in crate::engine) fn send_interim(&self, response: &Response) -> Result<u64, Gone> {
        self.staging(|conn| conn.send_interim(self.id, response)).map(|(bytes, _)| bytes as u64)
    }
    /// Sends the head of a response that tells of this body, and ends the stream with it if nothing follows; its
    /// bytes.
    pub(in crate::engine) fn send_head(
        &self,
        response: &Response,
        told: Body,
        ends: bool,
    ) -> Result<usize, Gone> {
        let length = match told {
            Body::Length(length) => Some(length),
            Body::None | Body::Chunked | Body::UntilClose => None,
        };
        self.staging(|conn| conn.send_response(self.id, response, length, ends)).map(|(bytes, ())| bytes)
    }
    /// Stages something; how many bytes, and what came of it.
    fn staging<T>(
        &self,
        stage: impl FnOnce(&mut crate::http::h2::Conn) -> Result<T, Gone>,
    ) -> Result<(usize, T), Gone> {
        let (staged, result) = {
            let mut conn = self.shared.conn.borrow_mut();
            let before = conn.output().len();
            let result = stage(&mut conn);
            (conn.output().len() - before, result)
        };
        if staged > 0 {
            self.shared.wake();
        }
        result.map(|value| (staged, value))
    }
    fn over() -> io::Error {
        io::Error::from(ErrorKind::ConnectionReset)
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        self.shared.streams.borrow_mut().remove(&self.id);
        self.shared.conn.borrow_mut().release(self.id);
        self.shared.wake();
    }
}

impl Substream for Http2Stream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_reset.get() {
            return Err(Http2Stream::over());
        }
        let mut conn = self.shared.conn.borrow_mut();
        let held = conn.held(self.id);
        let count = held.len().min(buffer.len());
        if count == 0 {
            return if conn.is_complete(self.id) { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        buffer[..count].copy_from_slice(&held[..count]);
        let before = conn.output().len();
        conn.taken(self.id, count);
        if conn.output().len() > before {
            self.shared.wake(); // the client may send more, and is to know
        }
        Ok(count)
    }
    fn write(&self, bytes: &[u8], then: Then) -> io::Result<usize> {
        if self.is_reset.get() {
            return Err(Http2Stream::over());
        }
        let now = clock::cached().millis();
        let sent = self.staging(|conn| conn.send_data(self.id, bytes, then == Then::End, now));
        let (_, count) = sent.map_err(|_| Http2Stream::over())?;
        self.is_full.set(count < bytes.len());
        if self.is_full.get() {
            self.shared.wake(); // it says when there is room, and there may be already
        }
        if count == 0 && !bytes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
    fn end(&self) {
        // An end that was sent already is no fault.
        let _ = self.staging(|conn| conn.send_trailers(self.id, &Fields::default()));
    }
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        let conn = self.shared.conn.borrow();
        if self.is_reset.get() || !conn.held(self.id).is_empty() || conn.is_complete(self.id) {
            return Poll::Ready(());
        }
        self.reader.set(Some(context.waker().clone()));
        Poll::Pending
    }
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_reset.get() || !self.is_full.get() {
            return Poll::Ready(());
        }
        self.writer.set(Some(context.waker().clone()));
        Poll::Pending
    }
    fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_reset.get() {
            return Poll::Ready(());
        }
        self.watcher.set(Some(context.waker().clone()));
        Poll::Pending
    }
    fn is_reset(&self) -> bool {
        self.is_reset.get()
    }
    fn take_trailers(&self) -> Option<Box<Fields>> {
        self.trailers.take()
    }
    fn end_with(&self, trailers: &Fields) {
        let _ = self.staging(|conn| conn.send_trailers(self.id, trailers));
    }
    fn fd(&self) -> i32 {
        self.shared.fd.get()
    }
}
