//! The sockets of checks: connecting without blocking, and errors in HAProxy's words.

use std::io;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpStream, UnixStream};

use super::secure::Secure;
use crate::base::text::of_error;
use crate::health::machine::{Failure, Machine, Target};
use crate::state::ServerState;
use crate::state::server::Endpoint;
use crate::tls::connector::Connector;

/// A connection of a check.
pub(super) struct Socket {
    raw: Raw,
    tls: Option<Secure>,
    linger: bool,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// How many bytes one read takes.
const READ_MAX: usize = 16384;

/// Connects to the target; what it leaves open is the server's.
pub(super) async fn connect(
    state: &ServerState,
    target: Target,
    source: Option<SocketAddr>,
) -> Result<Socket, Failure> {
    let endpoint = Endpoint::clone(&state.endpoint.load());
    let linger = target.linger;
    let address = match (&endpoint, target.address) {
        (Endpoint::Inet { address, .. }, ip) => {
            Some(SocketAddr::new(ip.unwrap_or(address.ip()), target.port.unwrap_or(address.port())))
        }
        (_, Some(ip)) => Some(SocketAddr::new(ip, target.port.unwrap_or(0))),
        (Endpoint::Unix(_) | Endpoint::Unresolved { .. }, None) => None,
    };
    let stream = match (address, &endpoint) {
        (Some(address), _) => Stream::Tcp(connect_tcp(address, &target, source).await?),
        (None, Endpoint::Unix(path)) => Stream::Unix(connect_unix(path).await?),
        (None, _) => return Err(Failure::NoTarget(String::new())),
    };
    Ok(Socket { raw: Raw(stream), tls: None, linger })
}

/// What failed at once, in words.
fn at_once(error: io::Error) -> Failure {
    Failure::Connection(match error.raw_os_error() {
        Some(libc::EMFILE) => format!("Too many sockets on the process ({})", of_error(&error)),
        Some(libc::ENFILE) => format!("Too many sockets on the system ({})", of_error(&error)),
        Some(libc::ENOBUFS | libc::ENOMEM) => format!("Out of system buffers ({})", of_error(&error)),
        Some(libc::EADDRINUSE) => {
            format!("Local source address already in use ({})", of_error(&error))
        }
        Some(libc::EAGAIN | libc::EADDRNOTAVAIL) => {
            format!("Out of local source ports on the system ({})", of_error(&error))
        }
        _ => format!("General socket error ({})", of_error(&error)),
    })
}

/// What the kernel said about an attempt or a connection in progress.
pub(super) fn by_kernel(error: &io::Error) -> String {
    let name = match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => "ECONNREFUSED",
        Some(libc::ECONNRESET) => "ECONNRESET",
        Some(libc::EHOSTUNREACH | libc::ENETUNREACH) => "ENETUNREACH",
        Some(libc::ENOMEM) => "ENOMEM",
        Some(libc::EBADF) => "EBADF",
        Some(libc::EFAULT) => "EFAULT",
        Some(libc::EINVAL) => "EINVAL",
        Some(libc::ENOTCONN) => "ENCONN",
        Some(libc::ENOTSOCK) => "ENSOCK",
        Some(libc::ENOBUFS) => "ENOBUFS",
        Some(libc::EPIPE) => "EPIPE",
        _ => return format!("General socket error ({})", of_error(error)),
    };
    format!("{name} returned by OS ({})", of_error(error))
}

async fn connect_tcp(
    address: SocketAddr,
    target: &Target,
    source: Option<SocketAddr>,
) -> Result<TcpStream, Failure> {
    let open = || -> io::Result<RawSocket> {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        Ok(socket)
    };
    let socket = open().map_err(at_once)?;
    if target.holds_ack {
        // The acknowledgement leaves with the data; or, when a reset follows, never: the server's
        // program then does not even learn of the connection.
        let _ = socket.set_tcp_quickack(false);
    }
    if let Some(source) = source
        && let Err(error) = socket.bind(&SockAddr::from(source))
    {
        let text = format!("Can't bind to source address ({})", of_error(&error));
        return Err(Failure::Connection(text));
    }
    match socket.connect(&SockAddr::from(address)) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(at_once(error)),
    }
    let stream = TcpStream::from_std(StdTcpStream::from(socket)).map_err(at_once)?;
    // Ready to write means: decided.
    let ready = stream.writable().await;
    match ready.and_then(|()| stream.take_error()) {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err(Failure::Connection(by_kernel(&error))),
    }
}

async fn connect_unix(path: &[u8]) -> Result<UnixStream, Failure> {
    use std::os::unix::ffi::OsStrExt as _;
    let open = || -> io::Result<RawSocket> {
        let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // A leading NUL names the abstract space.
        socket.connect(&SockAddr::unix(std::ffi::OsStr::from_bytes(path))?)?;
        Ok(socket)
    };
    let socket = open().map_err(at_once)?;
    UnixStream::from_std(StdUnixStream::from(socket)).map_err(at_once)
}

/// The socket under a check, with TLS or without.
pub(super) struct Raw(Stream);

impl Raw {
    async fn readable(&self) -> io::Result<()> {
        match &self.0 {
            Stream::Tcp(stream) => stream.readable().await,
            Stream::Unix(stream) => stream.readable().await,
        }
    }
    /// Reads once, waiting for the first byte; 0 at the end.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.readable().await.and_then(|()| match &self.0 {
                Stream::Tcp(stream) => stream.try_read(buffer),
                Stream::Unix(stream) => stream.try_read(buffer),
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
    /// Writes once, waiting for room.
    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let ready = match &self.0 {
                Stream::Tcp(stream) => stream.writable().await,
                Stream::Unix(stream) => stream.writable().await,
            };
            match ready.and_then(|()| self.send(bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
    }
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
        }
    }
    /// Writes what there is room for now; what else there is is lost.
    pub(super) fn try_write(&self, bytes: &[u8]) {
        let _ = self.send(bytes);
    }
}

impl Socket {
    /// Agrees on TLS.
    pub(super) async fn shake_hands(
        &mut self,
        connector: &Connector,
        name: Option<&str>,
    ) -> Result<(), Failure> {
        self.tls = Some(Secure::over(&self.raw, connector, name.map(str::as_bytes)).await?);
        Ok(())
    }

    /// Its own address and the server's, if it is an IP connection.
    pub(super) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match &self.raw.0 {
            Stream::Tcp(stream) => (stream.local_addr().ok(), stream.peer_addr().ok()),
            Stream::Unix(_) => (None, None),
        }
    }

    /// Its descriptor, for figures of the connection.
    pub(super) fn descriptor(&self) -> Option<i32> {
        match &self.raw.0 {
            Stream::Tcp(stream) => Some(stream.as_raw_fd()),
            Stream::Unix(_) => None,
        }
    }

    /// Sends all of it.
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        if let Some(tls) = &mut self.tls {
            return tls.write_all(&self.raw, bytes).await;
        }
        while !bytes.is_empty() {
            let sent = self.raw.write(bytes).await;
            bytes = &bytes[sent.map_err(|error| Failure::Broken(by_kernel(&error)))?..];
        }
        Ok(())
    }

    /// Reads what is there, waiting for the first byte.
    pub(super) async fn read(&mut self, machine: &mut Machine) -> Result<(), Failure> {
        let room = machine.room().min(READ_MAX);
        if room == 0 {
            machine.received(&[]);
            return Ok(());
        }
        let mut buffer = [0; READ_MAX];
        let read = match &mut self.tls {
            // What does not fit is cut off, as the machine takes no more anyway.
            Some(tls) => tls.read(&self.raw).await.map(|bytes| {
                let count = bytes.len().min(room);
                buffer[..count].copy_from_slice(&bytes[..count]);
                count
            }),
            None => self.raw.read(&mut buffer[..room]).await,
        };
        match read {
            Ok(0) => machine.closed(),
            Ok(read) => machine.received(&buffer[..read]),
            // Servers often reset right behind their answer: let that be judged.
            Err(_) if machine.has_input() => machine.closed(),
            Err(error) => return Err(Failure::Broken(by_kernel(&error))),
        }
        Ok(())
    }

    /// Closes; by a reset, unless the other side has closed or `linger` asks for politeness.
    pub(super) fn close(mut self, is_closed: bool) {
        if let Some(tls) = &mut self.tls {
            tls.close(&self.raw);
        }
        if let Stream::Tcp(stream) = &self.raw.0
            && !self.linger
            && !is_closed
        {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}
