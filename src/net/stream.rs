//! A connected socket of this core: direct non-blocking calls, and waits for their readiness. TLS lies over it
//! where there is some ([`super::secure`]): then bytes are plaintext, and readiness is that of plaintext.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

use super::reactor::{self, Key, Side};
use super::secure::{Broken, Secure, Wire};
use crate::sys::socket;
use crate::tls::buffer::RecordBuffer;
use crate::tls::session::Session;

/// How a peer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It has ended its direction; it may read still.
    Ended,
    /// The connection is broken in both directions.
    Broken,
}

/// A connection (TCP, Unix, or a doorbell).
#[derive(Debug)]
pub struct Stream {
    // In this order: what is to be said is said first, then the descriptor is forgotten, then closed.
    tls: Option<Box<Secure>>,
    watch: Watch,
    fd: OwnedFd,
}

/// A connection between two cores: watched by neither.
#[derive(Debug)]
pub struct Detached {
    fd: OwnedFd,
    tls: Option<Box<Secure>>,
}

/// What the reactor knows of a descriptor; it forgets it with this.
#[derive(Debug)]
pub(super) struct Watch(pub(super) Key);

impl Drop for Watch {
    fn drop(&mut self) {
        reactor::forget(self.0);
    }
}

impl Stream {
    /// Takes a non-blocking descriptor over.
    pub fn new(fd: OwnedFd) -> Stream {
        let watch = Watch(reactor::add(fd.as_raw_fd()));
        Stream { watch, fd, tls: None }
    }
    /// A socket whose connection is being made: not ready until the kernel says so.
    pub fn connecting(fd: OwnedFd) -> Stream {
        let stream = Stream::new(fd);
        reactor::clear(stream.watch.0, Side::Write);
        reactor::clear(stream.watch.0, Side::Read);
        stream
    }
    /// A socket whose connection stands: there is room to write, and nothing to read yet.
    pub fn connected(fd: OwnedFd) -> Stream {
        let stream = Stream::new(fd);
        reactor::clear(stream.watch.0, Side::Read);
        stream
    }
    /// Gives the connection away, for [`Stream::attach`] on another core.
    pub fn detach(self) -> Detached {
        let Stream { mut tls, watch, fd } = self;
        reactor::unwatch(watch.0, fd.as_raw_fd());
        if let Some(tls) = &mut tls {
            tls.moves(None);
        }
        Detached { fd, tls }
    }
    /// Takes a connection over from another core.
    pub fn attach(detached: Detached) -> Stream {
        let Detached { fd, tls } = detached;
        let mut stream = Stream { tls, ..Stream::new(fd) };
        let wire = stream.wire();
        if let Some(tls) = &mut stream.tls {
            tls.moves(Some(wire));
        }
        stream
    }
    /// Lays TLS over the socket: a session that has received these bytes, and what it has to say first.
    pub fn secure(&mut self, session: Session, received: &[u8], output: RecordBuffer) {
        let wire = self.wire();
        self.tls = Some(Secure::new(session, received, output, wire));
    }
    /// Whether TLS lies over the socket.
    #[inline]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
    /// The TLS session, if there is one.
    pub fn session(&self) -> Option<&Session> {
        self.tls.as_ref().map(|tls| tls.session())
    }
    /// Ready when the TLS handshake is over; at once without TLS.
    pub fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let wire = self.wire();
        match &mut self.tls {
            Some(tls) => tls.poll_handshake(wire, context),
            None => Poll::Ready(Ok(())),
        }
    }
    #[inline]
    fn wire(&self) -> Wire {
        Wire { fd: self.fd.as_raw_fd(), key: self.watch.0 }
    }
    /// Its descriptor, for system calls during its life.
    #[inline]
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
    /// Receives once. Fewer bytes than asked for mean that the socket is empty for now.
    #[inline]
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.read(wire, buffer);
        }
        let wanted = buffer.len();
        let result = socket::receive(self.fd(), buffer);
        match &result {
            // The end of the stream is still there for the next read.
            Ok(count) if *count < wanted && *count > 0 => reactor::clear_short(self.watch.0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => reactor::clear(self.watch.0, Side::Read),
            _ => {}
        }
        result
    }
    fn wrote(&self, result: io::Result<usize>) -> io::Result<usize> {
        if let Err(error) = &result
            && error.kind() == ErrorKind::WouldBlock
        {
            reactor::clear(self.watch.0, Side::Write);
        }
        result
    }
    /// Sends once; what could not be sent has to be offered again before anything else. With `more`, other bytes
    /// follow soon and the kernel may wait for a full segment.
    #[inline]
    pub fn try_write_before(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.write(wire, &[IoSlice::new(bytes)], more);
        }
        self.wrote(socket::send(self.fd(), bytes, more))
    }
    /// Sends several pieces with one call; `more` as above.
    #[inline]
    pub fn try_write_vectored(&mut self, pieces: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.write(wire, pieces, more);
        }
        self.wrote(socket::send_vectored(self.fd(), pieces, more))
    }
    /// Sends what the kernel holds back for a full segment.
    pub fn push(&self) {
        socket::set_nodelay(self.fd()); // it is set already; setting it again pushes (tcp(7))
    }
    /// A call of splice(2) found nothing to read here.
    pub fn was_empty(&self) {
        reactor::clear(self.watch.0, Side::Read);
    }
    /// A call of splice(2) found no room to write here.
    pub fn was_full(&self) {
        reactor::clear(self.watch.0, Side::Write);
    }
    /// Ends our direction.
    pub fn shutdown_write(&mut self) {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.shutdown_write(wire);
        }
        let _ = socket::shutdown(self.fd(), Shutdown::Write);
    }
    /// The local address, if it is an IP address.
    pub fn local_address(&self) -> Option<SocketAddr> {
        socket::local_address(self.fd())
    }
    /// Waits until there may be bytes, an end or an error to read. Try, and wait again.
    #[inline]
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.poll_readable(wire, context);
        }
        reactor::poll(self.watch.0, Side::Read, context)
    }
    /// Waits until there may be room to write.
    #[inline]
    pub fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        reactor::poll(self.watch.0, Side::Write, context)
    }
    /// How many written bytes the peer has not acknowledged yet, where the kernel tells.
    pub fn unacknowledged(&self) -> Option<usize> {
        socket::unacknowledged(self.fd())
    }
    /// Whether the peer has ended or broken the connection, as far as can be seen without taking bytes.
    pub fn is_dead(&mut self) -> bool {
        self.departure().is_some()
    }
    /// How the peer has left, if it has.
    pub fn departure(&mut self) -> Option<Departure> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.departure(wire);
        }
        match socket::peek(self.fd()) {
            Ok(0) => Some(Departure::Ended),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                reactor::clear(self.watch.0, Side::Read);
                None
            }
            Err(_) => Some(Departure::Broken),
        }
    }
    /// Whether the peer lives and has sent nothing that is unread.
    pub fn is_empty(&mut self) -> bool {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.is_empty(wire);
        }
        match socket::peek(self.fd()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                reactor::clear(self.watch.0, Side::Read);
                true
            }
            _ => false,
        }
    }
    /// Makes the coming close reset the connection.
    pub fn reset_on_close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.abandon();
        }
        socket::set_reset_on_close(self.fd());
    }
}
