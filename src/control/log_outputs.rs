//! The outputs of the log writer: sockets of datagrams and descriptors, each with a backlog of its own, bounded in
//! bytes.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::sys::log_fd;

/// Bytes kept for a target that takes nothing for now; more is dropped.
pub(super) const BACKLOG_MAX: usize = 4 << 20;
/// What a datagram in a backlog costs beside its bytes.
const DATAGRAM_OVERHEAD: usize = 32;
/// A Unix socket that refused is not tried again before this.
const RECONNECT: Duration = Duration::from_millis(100);

/// A target of datagrams.
#[derive(Debug)]
pub(super) struct Datagrams<S> {
    socket: Option<S>,
    /// When it could not be opened last.
    failed: Option<Instant>,
    pub(super) waiting: VecDeque<Box<[u8]>>,
    pub(super) bytes: usize,
    /// It is short of something that cannot be waited for.
    pub(super) short: bool,
}

/// Whole lines wait here, so that one write takes many and none is torn.
#[derive(Debug, Default)]
pub(super) struct FdOutput {
    pub(super) backlog: Vec<u8>,
}

/// A socket whose datagrams go to one place.
pub(super) trait Connected: AsRawFd + Sized {
    type Place: ?Sized;
    /// Whether a refusal tells of an earlier datagram, and the next may pass.
    const REFUSAL_IS_OLD: bool;
    fn open(place: &Self::Place) -> io::Result<Self>;
    fn send(&self, frame: &[u8]) -> io::Result<usize>;
}

impl Connected for UdpSocket {
    type Place = SocketAddr;
    const REFUSAL_IS_OLD: bool = true;
    /// Connected, so that the kernel looks for the way once and not per line.
    fn open(to: &SocketAddr) -> io::Result<UdpSocket> {
        let any: IpAddr =
            if to.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
    fn send(&self, frame: &[u8]) -> io::Result<usize> {
        UdpSocket::send(self, frame)
    }
}

impl Connected for UnixDatagram {
    type Place = str;
    const REFUSAL_IS_OLD: bool = false;
    fn open(path: &str) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
    fn send(&self, frame: &[u8]) -> io::Result<usize> {
        UnixDatagram::send(self, frame)
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Yes,
    Later,
    Never,
}

impl<S: Connected> Datagrams<S> {
    pub(super) fn new() -> Self {
        Datagrams { socket: None, failed: None, waiting: VecDeque::new(), bytes: 0, short: false }
    }
    /// Sends a datagram, or has it wait behind others; false if it is lost.
    pub(super) fn send(&mut self, place: &S::Place, frame: &[u8]) -> bool {
        if self.waiting.is_empty() {
            match self.try_send(place, frame) {
                Sent::Yes => return true,
                Sent::Never => return false,
                Sent::Later => {}
            }
        }
        let cost = frame.len() + DATAGRAM_OVERHEAD;
        let fits = self.bytes + cost <= BACKLOG_MAX;
        if fits {
            self.bytes += cost;
            self.waiting.push_back(frame.into());
        }
        fits
    }
    /// Sends what waits, as far as it is taken; returns how many were lost.
    pub(super) fn flush(&mut self, place: &S::Place) -> u64 {
        let mut lost = 0;
        while let Some(frame) = self.waiting.pop_front() {
            match self.try_send(place, &frame) {
                Sent::Later => {
                    self.waiting.push_front(frame);
                    break;
                }
                sent => lost += u64::from(sent == Sent::Never),
            }
            self.bytes -= frame.len() + DATAGRAM_OVERHEAD;
        }
        lost
    }
    fn try_send(&mut self, place: &S::Place, frame: &[u8]) -> Sent {
        self.short = false;
        for _ in 0..2 {
            if self.socket.is_none() && !self.open(place) {
                return Sent::Never;
            }
            let Some(socket) = &self.socket else { return Sent::Never };
            match socket.send(frame) {
                Ok(_) => return Sent::Yes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Later,
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM)) => {
                    self.short = true;
                    return Sent::Later;
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => return Sent::Never,
                Err(error) if S::REFUSAL_IS_OLD && error.kind() == io::ErrorKind::ConnectionRefused => {}
                // The log daemon was restarted and its new socket has to be found, or the way has changed.
                Err(_) => self.socket = None,
            }
        }
        Sent::Never
    }
    fn open(&mut self, place: &S::Place) -> bool {
        if self.failed.is_some_and(|at| at.elapsed() < RECONNECT) {
            return false;
        }
        self.socket = S::open(place).ok();
        self.failed = self.socket.is_none().then(Instant::now);
        self.socket.is_some()
    }
    /// The descriptor to wait for, if datagrams wait.
    pub(super) fn wanted(&self) -> Option<(RawFd, bool)> {
        if self.waiting.is_empty() {
            return None;
        }
        self.socket.as_ref().map(|socket| (socket.as_raw_fd(), self.short))
    }
}

impl FdOutput {
    /// Takes lines in, writing when many have come; false if they do not fit.
    pub(super) fn send(&mut self, number: i32, frame: &[u8]) -> bool {
        if self.backlog.len() + frame.len() > log_fd::ATOMIC_MAX && self.flush(number).is_err() {
            return false;
        }
        let fits = self.backlog.len() + frame.len() <= BACKLOG_MAX;
        if fits {
            self.backlog.extend_from_slice(frame);
        }
        fits
    }
    /// Writes as many whole lines as the descriptor takes; an error means that they were lost.
    pub(super) fn flush(&mut self, number: i32) -> io::Result<()> {
        let mut done = 0;
        let outcome = loop {
            let rest = &self.backlog[done..];
            if rest.is_empty() {
                break Ok(());
            }
            match log_fd::write_if_ready(number, &rest[..whole_lines(rest)]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => {
                    done = self.backlog.len();
                    break Err(error);
                }
            }
        };
        self.backlog.drain(..done);
        outcome
    }
}

/// The length of the whole lines that one write may have; a line that is longer goes in pieces.
fn whole_lines(bytes: &[u8]) -> usize {
    if bytes.len() <= log_fd::ATOMIC_MAX {
        return bytes.len();
    }
    let window = &bytes[..log_fd::ATOMIC_MAX];
    memchr::memrchr(b'\n', window).map_or(window.len(), |at| at + 1)
}
