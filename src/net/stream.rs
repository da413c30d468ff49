//! A stream of bytes of this core: direct non-blocking calls, and waits for their readiness.
//!
//! It is a connected socket. TLS lies over it where there is some ([`super::secure`]): then bytes are plaintext, and
//! readiness is that of plaintext. Or it is one of several streams that share a connection ([`Substream`]).

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::reactor::{self, Key, Side};
use super::secure::{Broken, Secure, Wire};
use crate::http::Fields;
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

/// What follows the bytes that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing that is known of: they leave at once.
    Nothing,
    /// Other bytes, and soon: they may wait for those.
    More,
    /// The end of our direction, by [`Stream::shutdown_write`]: it leaves with them.
    End,
}

/// One of the streams that share a connection (HTTP/2): the body of a message each way.
///
/// All calls are of the core that owns the connection. A stream is reset when the last reference to it goes before
/// both of its directions have ended.
pub trait Substream {
    /// Takes bytes that have come; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` while there are none; `ConnectionReset` when the stream is over before its time.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Sends what windows and buffers allow, and ends our direction behind it if all of it went and `Then::End` says
    /// so.
    ///
    /// # Errors
    /// `WouldBlock` while nothing can be sent; `ConnectionReset` when the stream is over.
    fn write(&self, bytes: &[u8], then: Then) -> io::Result<usize>;
    /// Ends our direction, if it has not ended.
    fn end(&self);
    /// Waits for bytes, the end, or a reset.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()>;
    /// Waits for room.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()>;
    /// Waits until the stream is over before its time.
    fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()>;
    /// Whether it is over before its time.
    fn is_reset(&self) -> bool;
    /// Fields that came behind the last byte, once.
    fn take_trailers(&self) -> Option<Box<Fields>>;
    /// Ends our direction with these fields.
    fn end_with(&self, trailers: &Fields);
    /// The descriptor of the connection; -1 when that is closed.
    fn fd(&self) -> RawFd;
}

/// A connection (TCP, Unix, or a doorbell), or one of the streams that share one.
pub struct Stream(Kind);

enum Kind {
    Socket(Socket),
    /// Behind a pointer of its own: an idle connection is no larger for it.
    Shared(Box<Rc<dyn Substream>>),
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.fd()).finish()
    }
}

#[derive(Debug)]
struct Socket {
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
        Stream(Kind::Socket(Socket::new(fd)))
    }
    /// A socket whose connection is being made: not ready until the kernel says so.
    pub fn connecting(fd: OwnedFd) -> Stream {
        let socket = Socket::new(fd);
        reactor::clear(socket.watch.0, Side::Write);
        reactor::clear(socket.watch.0, Side::Read);
        Stream(Kind::Socket(socket))
    }
    /// A socket whose connection stands: there is room to write, and nothing to read yet.
    pub fn connected(fd: OwnedFd) -> Stream {
        let socket = Socket::new(fd);
        reactor::clear(socket.watch.0, Side::Read);
        Stream(Kind::Socket(socket))
    }
    /// One of the streams that share a connection.
    pub fn shared(stream: Rc<dyn Substream>) -> Stream {
        Stream(Kind::Shared(Box::new(stream)))
    }
    /// Gives the connection away, for [`Stream::attach`] on another core; nothing where others share it.
    pub fn detach(self) -> Option<Detached> {
        let Kind::Socket(Socket { mut tls, watch, fd }) = self.0 else { return None };
        reactor::unwatch(watch.0, fd.as_raw_fd());
        if let Some(tls) = &mut tls {
            tls.moves(None);
        }
        Some(Detached { fd, tls })
    }
    /// Takes a connection over from another core.
    pub fn attach(detached: Detached) -> Stream {
        let Detached { fd, tls } = detached;
        let mut socket = Socket { tls, ..Socket::new(fd) };
        let wire = socket.wire();
        if let Some(tls) = &mut socket.tls {
            tls.moves(Some(wire));
        }
        Stream(Kind::Socket(socket))
    }
    /// Lays TLS over the socket: a session that has received these bytes, and what it has to say first.
    pub fn secure(&mut self, session: Session, received: &[u8], output: RecordBuffer) {
        if let Kind::Socket(socket) = &mut self.0 {
            let wire = socket.wire();
            socket.tls = Some(Secure::new(session, received, output, wire));
        }
    }
    /// Whether what is read and written is what the socket carries.
    #[inline]
    pub fn is_plain(&self) -> bool {
        matches!(&self.0, Kind::Socket(socket) if socket.tls.is_none())
    }
    /// Whether TLS lies over the socket.
    #[inline]
    pub fn is_secure(&self) -> bool {
        matches!(&self.0, Kind::Socket(socket) if socket.tls.is_some())
    }
    /// The TLS session, if there is one.
    pub fn session(&self) -> Option<&Session> {
        match &self.0 {
            Kind::Socket(socket) => socket.tls.as_ref().map(|tls| tls.session()),
            Kind::Shared(_) => None,
        }
    }
    /// Ready when the TLS handshake is over; at once without TLS.
    pub fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match &mut self.0 {
            Kind::Socket(socket) => {
                let wire = socket.wire();
                match &mut socket.tls {
                    Some(tls) => tls.poll_handshake(wire, context),
                    None => Poll::Ready(Ok(())),
                }
            }
            Kind::Shared(_) => Poll::Ready(Ok(())),
        }
    }
    /// Its descriptor, for system calls during its life.
    #[inline]
    pub fn fd(&self) -> RawFd {
        match &self.0 {
            Kind::Socket(socket) => socket.fd.as_raw_fd(),
            Kind::Shared(stream) => stream.fd(),
        }
    }
    /// Receives once. Fewer bytes than asked for mean that there are no more for now.
    #[inline]
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Socket(socket) => socket.try_read(buffer),
            Kind::Shared(stream) => stream.read(buffer),
        }
    }
    /// Sends once; what could not be sent has to be offered again before anything else.
    #[inline]
    pub fn try_write(&mut self, bytes: &[u8], then: Then) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Socket(socket) => socket.try_write(bytes, then != Then::Nothing),
            Kind::Shared(stream) => stream.write(bytes, then),
        }
    }
    /// Sends two pieces with one call.
    #[inline]
    pub fn try_write_both(&mut self, first: &[u8], second: &[u8], then: Then) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Socket(socket) => {
                let pieces = [IoSlice::new(first), IoSlice::new(second)];
                socket.try_write_vectored(&pieces, then != Then::Nothing)
            }
            Kind::Shared(stream) => {
                let count = stream.write(first, Then::More)?;
                if count < first.len() {
                    return Ok(count);
                }
                match stream.write(second, then) {
                    Ok(more) => Ok(count + more),
                    Err(_) if count > 0 => Ok(count), // the next call tells it
                    Err(error) => Err(error),
                }
            }
        }
    }
    /// Sends what the kernel holds back for a full segment.
    pub fn push(&self) {
        if let Kind::Socket(socket) = &self.0 {
            socket::set_nodelay(socket.fd.as_raw_fd()); // it is set already; setting it again pushes (tcp(7))
        }
    }
    /// A call of splice(2) found nothing to read here.
    pub fn was_empty(&self) {
        if let Kind::Socket(socket) = &self.0 {
            reactor::clear(socket.watch.0, Side::Read);
        }
    }
    /// A call of splice(2) found no room to write here.
    pub fn was_full(&self) {
        if let Kind::Socket(socket) = &self.0 {
            reactor::clear(socket.watch.0, Side::Write);
        }
    }
    /// Ends our direction.
    pub fn shutdown_write(&mut self) {
        match &mut self.0 {
            Kind::Socket(socket) => {
                let wire = socket.wire();
                match &mut socket.tls {
                    Some(tls) => tls.shutdown_write(wire),
                    None => drop(socket::shutdown(wire.fd, Shutdown::Write)),
                }
            }
            Kind::Shared(stream) => stream.end(),
        }
    }
    /// Fields that came behind the last byte, for messages whose wire has them apart from the bytes; once.
    pub fn take_trailers(&mut self) -> Option<Box<Fields>> {
        match &self.0 {
            Kind::Socket(_) => None,
            Kind::Shared(stream) => stream.take_trailers(),
        }
    }
    /// Ends our direction with these fields, where the wire has them apart from the bytes.
    pub fn end_with(&mut self, trailers: &Fields) {
        if let Kind::Shared(stream) = &self.0 {
            stream.end_with(trailers);
        }
    }
    /// The local address, if it is an IP address.
    pub fn local_address(&self) -> Option<SocketAddr> {
        socket::local_address(self.fd())
    }
    /// Waits until there may be bytes, an end or an error to read. Try, and wait again.
    #[inline]
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::Socket(socket) => {
                let wire = socket.wire();
                match &mut socket.tls {
                    Some(tls) => tls.poll_readable(wire, context),
                    None => reactor::poll(wire.key, Side::Read, context),
                }
            }
            Kind::Shared(stream) => stream.poll_readable(context),
        }
    }
    /// Waits until there may be room to write.
    #[inline]
    pub fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::Socket(socket) => reactor::poll(socket.watch.0, Side::Write, context),
            Kind::Shared(stream) => stream.poll_writable(context),
        }
    }
    /// Waits until the peer has left, or has sent something: then there is no departure to tell. A stream that
    /// shares its connection ends with its message, and leaves by a reset only.
    #[inline]
    pub fn poll_departure(&mut self, context: &mut Context<'_>) -> Poll<Option<Departure>> {
        match &mut self.0 {
            Kind::Socket(_) => match self.poll_readable(context) {
                Poll::Ready(()) => Poll::Ready(self.departure()),
                Poll::Pending => Poll::Pending,
            },
            Kind::Shared(stream) => stream.poll_reset(context).map(|()| Some(Departure::Broken)),
        }
    }
    /// How many written bytes the peer has not acknowledged yet, where the kernel tells.
    pub fn unacknowledged(&self) -> Option<usize> {
        match &self.0 {
            Kind::Socket(socket) => socket::unacknowledged(socket.fd.as_raw_fd()),
            Kind::Shared(_) => None,
        }
    }
    /// Whether the peer has ended or broken the connection, as far as can be seen without taking bytes.
    pub fn is_dead(&mut self) -> bool {
        self.departure().is_some()
    }
    /// How the peer has left, if it has.
    pub fn departure(&mut self) -> Option<Departure> {
        match &mut self.0 {
            Kind::Socket(socket) => socket.departure(),
            Kind::Shared(stream) => stream.is_reset().then_some(Departure::Broken),
        }
    }
    /// Whether the peer lives and has sent nothing that is unread.
    pub fn is_empty(&mut self) -> bool {
        match &mut self.0 {
            Kind::Socket(socket) => socket.is_empty(),
            Kind::Shared(stream) => !stream.is_reset(),
        }
    }
    /// Makes the coming close reset the connection.
    pub fn reset_on_close(&mut self) {
        if let Kind::Socket(socket) = &mut self.0 {
            if let Some(tls) = &mut socket.tls {
                tls.abandon();
            }
            socket::set_reset_on_close(socket.fd.as_raw_fd());
        }
    }
}

impl Socket {
    fn new(fd: OwnedFd) -> Socket {
        let watch = Watch(reactor::add(fd.as_raw_fd()));
        Socket { watch, fd, tls: None }
    }
    #[inline]
    fn wire(&self) -> Wire {
        Wire { fd: self.fd.as_raw_fd(), key: self.watch.0 }
    }
    #[inline]
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.read(wire, buffer);
        }
        let wanted = buffer.len();
        let result = socket::receive(wire.fd, buffer);
        match &result {
            // The end of the stream is still there for the next read.
            Ok(count) if *count < wanted && *count > 0 => reactor::clear_short(wire.key),
            Err(error) if error.kind() == ErrorKind::WouldBlock => reactor::clear(wire.key, Side::Read),
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
    /// With `more`, other bytes or the end follow soon, and the kernel may wait for a full segment.
    #[inline]
    fn try_write(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.write(wire, &[IoSlice::new(bytes)], more);
        }
        self.wrote(socket::send(wire.fd, bytes, more))
    }
    #[inline]
    fn try_write_vectored(&mut self, pieces: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.write(wire, pieces, more);
        }
        self.wrote(socket::send_vectored(wire.fd, pieces, more))
    }
    fn departure(&mut self) -> Option<Departure> {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.departure(wire);
        }
        match socket::peek(wire.fd) {
            Ok(0) => Some(Departure::Ended),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                reactor::clear(wire.key, Side::Read);
                None
            }
            Err(_) => Some(Departure::Broken),
        }
    }
    fn is_empty(&mut self) -> bool {
        let wire = self.wire();
        if let Some(tls) = &mut self.tls {
            return tls.is_empty(wire);
        }
        match socket::peek(wire.fd) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                reactor::clear(wire.key, Side::Read);
                true
            }
            _ => false,
        }
    }
}
