//! The TLS half of a stream: moves records between a session and its socket.
//!
//! What is ready is plaintext, not the socket: a socket that is readable may hold half a record or a ticket, and
//! one that is empty may have given a record that was not read yet. So readiness is asked of this, which
//! decrypts first, and says yes only if a read would give something.
//!
//! A write counts once its records are wholly with the kernel. What is sealed and does not fit the socket stays
//! here, and the same bytes have to be offered again; the caller's account of what is written is then true,
//! and no flush is forgotten.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::task::{Context, Poll};

use super::Departure;
use super::buffer::Scratch;
use super::reactor::{self, Key, Side};
use crate::base::clock::{self, Millis};
use crate::sys::socket;
use crate::tls::buffer::{RECORD_MAX, RecordBuffer};
use crate::tls::options::RecordSizes;
use crate::tls::session::{Failure, PLAINTEXT_MAX, Received, Session};

/// The most bytes that may wait for the rest of a message: the longest handshake message, and a record more.
const INPUT_MAX: usize = 64 * 1024 + RECORD_MAX;
/// Records of limited size after an idle time, before the others have their full size.
const SMALL_RECORDS: u64 = 16;

thread_local! {
    static SIZES: Cell<RecordSizes> = const { Cell::new(RecordSizes { first: 0, most: 0, idle_ms: 1000 }) };
}

/// Sets the sizes of this core's records, once, before there is a session.
pub fn configure(sizes: RecordSizes) {
    SIZES.with(|cell| cell.set(sizes));
}

/// Why a handshake or a session ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Broken {
    /// The session failed, on either side.
    Failed(Failure),
    /// The peer closed the connection before the handshake was over.
    Closed,
    /// The socket broke.
    Socket(ErrorKind),
    /// A message is longer than any that makes sense.
    TooLong,
}

/// What the receiving direction has come to.
#[derive(Debug)]
enum Incoming {
    Open,
    Ended,
    Broken(Box<Broken>),
}

/// What our direction has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outgoing {
    Open,
    /// `close_notify` is sealed; the socket's direction ends behind it.
    Closing,
    Closed,
    /// It is not to be ended in order.
    Abandoned,
}

/// The socket that a session moves over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    pub(super) fd: RawFd,
    pub(super) key: Key,
}

/// A session, and what of it is on its way.
#[derive(Debug)]
pub(super) struct Secure {
    session: Session,
    input: RecordBuffer,
    /// The session has not seen all of the input yet.
    unseen: bool,
    output: RecordBuffer,
    plaintext: Vec<u8>,
    plaintext_at: usize,
    /// Bytes of the caller's that stand sealed in the output and do not count as written yet.
    owed: usize,
    incoming: Incoming,
    outgoing: Outgoing,
    /// When bytes were last sealed, and how many since the last idle time.
    sealed_ms: Millis,
    sealed: u64,
    /// Over what it says goodbye; nothing while it is between two cores.
    own: Option<Wire>,
}

impl Drop for Secure {
    fn drop(&mut self) {
        if let Some(wire) = self.own {
            self.leave(wire);
        }
    }
}

impl Secure {
    /// A session that has received these bytes; what it has to say first stands in `output`.
    pub(super) fn new(session: Session, received: &[u8], output: RecordBuffer, wire: Wire) -> Box<Secure> {
        let mut input = RecordBuffer::default();
        if !received.is_empty() {
            input.free(received.len())[..received.len()].copy_from_slice(received);
            input.add(received.len());
        }
        Box::new(Secure {
            session,
            unseen: !input.is_empty(),
            input,
            output,
            plaintext: Vec::new(),
            plaintext_at: 0,
            owed: 0,
            incoming: Incoming::Open,
            outgoing: Outgoing::Open,
            sealed_ms: 0,
            sealed: 0,
            own: Some(wire),
        })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }
    /// It is moved by this from now on.
    pub(super) fn moves(&mut self, wire: Option<Wire>) {
        self.own = wire;
    }

    /// Receives and decrypts until a read would give something: bytes, the end, an error. Tries the socket if it
    /// counts as ready, or once if `look`. False: nothing is there.
    fn gather(&mut self, wire: Wire, mut look: bool) -> bool {
        loop {
            if self.plaintext_at < self.plaintext.len() || !matches!(self.incoming, Incoming::Open) {
                return true;
            }
            if self.unseen {
                match self.session.receive(&mut self.input, &mut self.output) {
                    Ok(Received::Plaintext(bytes)) => {
                        (self.plaintext, self.plaintext_at) = (bytes, 0);
                        self.unseen = !self.input.is_empty();
                    }
                    Ok(Received::NeedsMore) => self.unseen = false,
                    Ok(Received::Ended) => self.incoming = Incoming::Ended,
                    Err(failure) => {
                        let _ = self.flush(wire, false); // the alert
                        self.breaks(Broken::Failed(failure));
                    }
                }
                continue;
            }
            if !std::mem::take(&mut look) && !reactor::is_ready(wire.key, Side::Read) {
                return false;
            }
            if !self.receive(wire) {
                return false;
            }
        }
    }

    fn breaks(&mut self, why: Broken) {
        self.incoming = Incoming::Broken(Box::new(why));
        self.input.consume(usize::MAX);
        self.unseen = false;
    }

    /// Receives once. False: nothing is there.
    fn receive(&mut self, wire: Wire) -> bool {
        let is_full = !self.input.is_empty() && self.input.len() == self.input.room();
        if self.input.len() >= INPUT_MAX {
            self.breaks(Broken::TooLong);
            return true;
        }
        let room = self.input.free(if is_full { RECORD_MAX } else { 1 });
        let wanted = room.len();
        let received = socket::receive(wire.fd, room);
        match &received {
            Ok(0) => self.incoming = Incoming::Ended,
            Ok(count) => {
                self.input.add(*count);
                self.unseen = true;
                if *count < wanted {
                    reactor::clear_short(wire.key);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => reactor::clear(wire.key, Side::Read),
            Err(error) => self.breaks(Broken::Socket(error.kind())),
        }
        self.input.consume(0); // lets an unused room go
        !received.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends what is sealed; ready when nothing is left.
    fn flush(&mut self, wire: Wire, more: bool) -> io::Result<()> {
        while !self.output.is_empty() {
            match socket::send(wire.fd, self.output.filled(), more) {
                Ok(count) => self.output.consume(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() == ErrorKind::WouldBlock {
                        reactor::clear(wire.key, Side::Write);
                    }
                    return Err(error);
                }
            }
        }
        if self.outgoing == Outgoing::Closing {
            self.outgoing = Outgoing::Closed;
            let _ = socket::shutdown(wire.fd, Shutdown::Write);
        }
        Ok(())
    }

    /// Sends what the session itself has to say, without a writer that waits for it.
    fn flush_own(&mut self, wire: Wire, context: Option<&mut Context<'_>>) {
        if self.owed > 0 || (self.output.is_empty() && self.outgoing != Outgoing::Closing) {
            return;
        }
        let Some(context) = context else {
            let _ = self.flush(wire, false);
            return;
        };
        while reactor::poll(wire.key, Side::Write, context).is_ready() {
            match self.flush(wire, false) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }

    /// Reads plaintext; as the socket's own read does, fewer bytes than asked for mean that there are no more.
    pub(super) fn read(&mut self, wire: Wire, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() && self.gather(wire, done == 0) {
            let rest = &self.plaintext[self.plaintext_at..];
            if rest.is_empty() {
                return match &self.incoming {
                    Incoming::Broken(_) if done == 0 => Err(ErrorKind::ConnectionReset.into()),
                    _ => Ok(done),
                };
            }
            let count = rest.len().min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&rest[..count]);
            done += count;
            self.plaintext_at += count;
            if self.plaintext_at == self.plaintext.len() {
                (self.plaintext, self.plaintext_at) = (Vec::new(), 0);
            }
        }
        if done == 0 && !buffer.is_empty() {
            self.flush_own(wire, None);
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(done)
    }

    /// Ready when a read would give something. What the session has to say goes out meanwhile.
    pub(super) fn poll_readable(&mut self, wire: Wire, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.gather(wire, false) {
                return Poll::Ready(());
            }
            self.flush_own(wire, Some(context));
            if reactor::poll(wire.key, Side::Read, context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Ready when the handshake is over.
    pub(super) fn poll_handshake(
        &mut self,
        wire: Wire,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            let decided = self.gather(wire, false);
            if let Incoming::Broken(why) = &self.incoming {
                return Poll::Ready(Err((**why).clone()));
            }
            if !self.session.is_handshaking() {
                // A server's tickets ride with its first answer; anything else is waited for.
                let rides =
                    self.session.is_server() && self.session.agreed().is_some_and(|a| a.version > 0x0303);
                if !rides {
                    self.flush_own(wire, Some(context));
                }
                return Poll::Ready(Ok(()));
            }
            if decided {
                return Poll::Ready(Err(Broken::Closed));
            }
            self.flush_own(wire, Some(context));
            if reactor::poll(wire.key, Side::Read, context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// How much plaintext the next record may carry.
    fn record_limit(&mut self) -> usize {
        let sizes = SIZES.with(Cell::get);
        let mut limit = PLAINTEXT_MAX;
        if sizes.first != 0 {
            let now = clock::cached().millis();
            if now.saturating_sub(self.sealed_ms) > sizes.idle_ms {
                self.sealed = 0;
            }
            self.sealed_ms = now;
            if self.sealed < SMALL_RECORDS * sizes.first as u64 {
                limit = limit.min(sizes.first);
            }
        }
        if sizes.most != 0 { limit.min(sizes.most) } else { limit }
    }

    /// Writes a part of the pieces; how many bytes of them are with the kernel. After an error of
    /// [`ErrorKind::WouldBlock`] the same bytes must be offered again.
    pub(super) fn write(&mut self, wire: Wire, pieces: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        if self.owed == 0 {
            if matches!(self.outgoing, Outgoing::Closed | Outgoing::Closing) {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let limit = self.record_limit();
            let mut pieces = pieces.iter().filter(|piece| !piece.is_empty()).peekable();
            let Some(first) = pieces.next() else { return Ok(0) };
            let mut joined = Scratch::default();
            let bytes: &[u8] = match pieces.peek() {
                Some(_) if first.len() < limit => {
                    // One record for a head and what stands behind it.
                    joined.extend_from_slice(first);
                    for piece in pieces {
                        let room = limit - joined.len();
                        joined.extend_from_slice(&piece[..piece.len().min(room)]);
                    }
                    &joined
                }
                _ => &first[..first.len().min(limit)],
            };
            let sealed = self.session.seal(&mut self.input, bytes, &mut self.output);
            self.owed = sealed.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            self.sealed += self.owed as u64;
        }
        self.flush(wire, more)?;
        Ok(std::mem::take(&mut self.owed))
    }

    /// Ends our direction behind all that was written.
    pub(super) fn shutdown_write(&mut self, wire: Wire) {
        if self.outgoing == Outgoing::Open {
            self.owed = 0;
            self.session.close(&mut self.input, &mut self.output);
            self.outgoing = Outgoing::Closing;
            let _ = self.flush(wire, false);
        }
    }
    /// Has the connection end without a word.
    pub(super) fn abandon(&mut self) {
        self.outgoing = Outgoing::Abandoned;
    }
    /// Says goodbye, as far as that goes without waiting, unless it has been said.
    fn leave(&mut self, wire: Wire) {
        let broken = matches!(self.incoming, Incoming::Broken(_));
        if self.outgoing == Outgoing::Open && !broken && self.owed == 0 && !self.session.is_handshaking() {
            self.session.close(&mut self.input, &mut self.output);
        }
        // The reactor may be gone: a thread that ends drops its tasks last.
        while self.outgoing != Outgoing::Abandoned && !self.output.is_empty() {
            match socket::send(wire.fd, self.output.filled(), false) {
                Ok(count) => self.output.consume(count),
                Err(_) => return,
            }
        }
    }

    /// How the peer has left, if it has; looks at the socket.
    pub(super) fn departure(&mut self, wire: Wire) -> Option<Departure> {
        if !self.gather(wire, true) || self.plaintext_at < self.plaintext.len() {
            return None;
        }
        match self.incoming {
            Incoming::Open => None,
            Incoming::Ended => Some(Departure::Ended),
            Incoming::Broken(_) => Some(Departure::Broken),
        }
    }
    /// Whether the peer lives and has sent nothing that is unread; looks at the socket.
    pub(super) fn is_empty(&mut self, wire: Wire) -> bool {
        !self.gather(wire, true)
    }
}
