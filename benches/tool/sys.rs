//! The few system calls that the standard library does not offer: epoll, and a connect that does not wait.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Bytes moved by one call at most.
pub const BUFFER: usize = 64 * 1024;

/// Events taken by one wait at most; as many as HAProxy takes.
const EVENTS_MAX: usize = 200;

/// One thing that happened.
#[derive(Clone, Copy)]
pub struct Event {
    /// What `add` was given for it.
    pub token: usize,
    /// The peer has closed its side, or the connection broke: a reader that stops early misses that.
    pub ended: bool,
}

/// An edge-triggered epoll.
pub struct Poll {
    fd: OwnedFd,
    raw: Vec<libc::epoll_event>,
}

impl Poll {
    /// An empty one.
    pub fn new() -> io::Result<Poll> {
        // SAFETY: no pointer is passed; the descriptor is checked before it is owned.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: epoll_create1 has just returned it, so it has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poll { fd, raw: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX] })
    }

    /// Watches both directions of a socket until it is closed.
    pub fn add(&self, socket: &impl AsRawFd, token: usize) -> io::Result<()> {
        let flags = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        self.control(socket.as_raw_fd(), flags as u32, token)
    }

    /// Watches a listener; level-triggered, so that a batch of connections may be left for the next turn.
    pub fn listen(&self, socket: &impl AsRawFd, token: usize) -> io::Result<()> {
        self.control(socket.as_raw_fd(), libc::EPOLLIN as u32, token)
    }

    fn control(&self, fd: RawFd, events: u32, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token as u64 };
        // SAFETY: the event lives through the call, which copies it.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })?;
        Ok(())
    }

    /// Waits for events, for ever without a time; fills `out`.
    pub fn wait(&mut self, time: Option<Duration>, out: &mut Vec<Event>) -> io::Result<()> {
        out.clear();
        let time = time.map(|time| libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: time.subsec_nanos().into(),
        });
        let pointer = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the buffer holds EVENTS_MAX events and the time outlives the call. epoll_pwait2 is called by
        // number because not every C library has it; unlike epoll_wait it takes less than a millisecond.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.raw.as_mut_ptr(),
                EVENTS_MAX as libc::c_int,
                pointer,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        let count = match check(count as libc::c_int) {
            Ok(count) => count as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        let ended = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
        out.extend(
            self.raw[..count]
                .iter()
                .map(|event| Event { token: event.u64 as usize, ended: event.events & ended != 0 }),
        );
        Ok(())
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A listener that does not block.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Every connection that waits at a listener, up to a batch; ready for `Poll::add`.
pub fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(Some(stream))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        // The client went away before it was accepted.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
        Err(error) => Err(error),
    }
}

/// Starts a connection; it is up when it can be written to.
pub fn connect(address: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        bind_late(&socket)?;
        socket.bind(&SocketAddr::from(SocketAddrV4::new(source, 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// Leaves the choice of the port to connect(2), so that it is unique for the whole connection only, and not for
/// every connection from this address.
fn bind_late(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option is an int which outlives the call, and its size is passed.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            std::ptr::from_ref(&on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Lets timers of this thread fire when they are due, not up to 50 microseconds later.
pub fn exact_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes a number and no pointer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}
