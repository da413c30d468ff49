//! Sockets: accept, receive, send, connect, options.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, size_of};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::check;
use crate::sample::facts::TcpFigures;

/// Takes a connection from a listening socket; the peer's address is `None` for Unix sockets.
pub fn accept(listener: RawFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the pointers name a storage of `len` bytes that outlives the call.
    let fd = unsafe {
        libc::accept4(
            listener,
            storage.as_mut_ptr().cast(),
            &mut len,
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    };
    let fd = check(fd.into())? as RawFd;
    // SAFETY: accept4 made `fd` and it has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: zeroed and then filled by the kernel: initialised in any case.
    let storage = unsafe { storage.assume_init() };
    Ok((fd, inet(&storage)))
}

/// The IP address in a storage, if it is one.
fn inet(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in, which is smaller.
            let v4 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let address = u32::from_be(v4.sin_addr.s_addr).into();
            Some(SocketAddrV4::new(address, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a sockaddr_in6, which is smaller.
            let v6 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let address = v6.sin6_addr.s6_addr.into();
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(address, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Receives into `buffer`; `Ok(0)` is the end of the stream.
#[inline]
pub fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // By number: libc's own function is a cancellation point of threads, which costs two atomic
    // operations where a process has several.
    let none = std::ptr::null::<u8>();
    // SAFETY: pointer and length describe `buffer`, exclusively borrowed for the call.
    check(unsafe { libc::syscall(libc::SYS_recvfrom, fd, buffer.as_mut_ptr(), buffer.len(), 0, none, none) })
}

/// Looks at the first byte to come without taking it.
pub fn peek(fd: RawFd) -> io::Result<usize> {
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: one byte is at the pointer for the call.
    check(unsafe { libc::recv(fd, std::ptr::from_mut(&mut byte).cast(), 1, flags) } as libc::c_long)
}

/// Sends from `bytes`; more is true when more will follow at once, so that the kernel may wait for a full segment.
#[inline]
pub fn send(fd: RawFd, bytes: &[u8], more: bool) -> io::Result<usize> {
    let flags = send_flags(more);
    let none = std::ptr::null::<u8>();
    // SAFETY: pointer and length describe `bytes`, borrowed for the call.
    check(unsafe { libc::syscall(libc::SYS_sendto, fd, bytes.as_ptr(), bytes.len(), flags, none, 0) })
}

fn send_flags(more: bool) -> c_int {
    libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 }
}

/// Sends from several pieces with one call; `more` as for [`send`].
#[inline]
pub fn send_vectored(fd: RawFd, pieces: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
    let flags = send_flags(more);
    // SAFETY: an all-zero msghdr is a valid empty one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // IoSlice is guaranteed to have the layout of iovec.
    message.msg_iov = pieces.as_ptr().cast_mut().cast();
    message.msg_iovlen = pieces.len() as _;
    // SAFETY: the header names `pieces`, which sendmsg only reads, borrowed for the call.
    check(unsafe { libc::syscall(libc::SYS_sendmsg, fd, &raw const message, flags) })
}

/// Ends one or both directions of a connection; an error means that it was over already.
pub fn shutdown(fd: RawFd, how: std::net::Shutdown) -> io::Result<()> {
    let how = match how {
        std::net::Shutdown::Read => libc::SHUT_RD,
        std::net::Shutdown::Write => libc::SHUT_WR,
        std::net::Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: no memory is involved.
    check(unsafe { libc::shutdown(fd, how) }.into()).map(drop)
}

fn borrow<T>(fd: RawFd, act: impl FnOnce(socket2::SockRef<'_>) -> T) -> T {
    // SAFETY: the borrow ends with this call; callers pass descriptors that they own.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    act(socket2::SockRef::from(&fd))
}

/// The local address of a connection, if it is an IP address.
pub fn local_address(fd: RawFd) -> Option<SocketAddr> {
    borrow(fd, |socket| socket.local_addr().ok().and_then(|address| address.as_socket()))
}

/// Whether a socket has a peer: a connection that is still being made, or has failed, has none.
pub fn is_connected(fd: RawFd) -> bool {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::uninit();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the pointers name a storage of `len` bytes that outlives the call; it is not read.
    unsafe { libc::getpeername(fd, storage.as_mut_ptr().cast(), &mut len) == 0 }
}

/// Takes the pending error of a socket, which tells how a connect ended.
pub fn take_error(fd: RawFd) -> io::Result<()> {
    match borrow(fd, |socket| socket.take_error())? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Sends small segments at once; ignored by sockets that are not TCP.
pub fn set_nodelay(fd: RawFd) {
    let _ = borrow(fd, |socket| socket.set_tcp_nodelay(true));
}

/// Makes close() reset the connection instead of lingering (`option nolinger`, aborted checks).
pub fn set_reset_on_close(fd: RawFd) {
    let _ = borrow(fd, |socket| socket.set_linger(Some(std::time::Duration::ZERO)));
}

/// TCP keep-alive probes (`option tcpka` and its kin).
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAlive {
    /// Probes before giving up.
    pub count: Option<u32>,
    /// Seconds of silence before the first probe.
    pub idle_s: Option<u32>,
    /// Seconds between probes.
    pub interval_s: Option<u32>,
}

/// Switches keep-alive probes on.
pub fn set_keepalive(fd: RawFd, how: KeepAlive) {
    let mut settings = socket2::TcpKeepalive::new();
    if let Some(idle) = how.idle_s {
        settings = settings.with_time(std::time::Duration::from_secs(idle.into()));
    }
    if let Some(interval) = how.interval_s {
        settings = settings.with_interval(std::time::Duration::from_secs(interval.into()));
    }
    if let Some(count) = how.count {
        settings = settings.with_retries(count);
    }
    let _ = borrow(fd, |socket| {
        socket.set_keepalive(true)?;
        socket.set_tcp_keepalive(&settings)
    });
}

fn set_option(fd: RawFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the pointer names an int that lives for the call, and the length is its size.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    check(result.into()).map(drop)
}

/// What the kernel knows of a TCP connection; nothing of another socket.
pub fn tcp_figures(fd: RawFd) -> Option<TcpFigures> {
    // SAFETY: the structure is made of integers only, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into the structure, which lives for the call.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            std::ptr::from_mut(&mut info).cast(),
            std::ptr::from_mut(&mut len),
        )
    };
    (result == 0).then_some(TcpFigures {
        rtt_us: info.tcpi_rtt,
        rtt_variance_us: info.tcpi_rttvar,
        unacked: info.tcpi_unacked,
        sacked: info.tcpi_sacked,
        lost: info.tcpi_lost,
        retrans: info.tcpi_retrans,
        fackets: info.tcpi_fackets,
        reordering: info.tcpi_reordering,
    })
}

/// How many written bytes the peer has not acknowledged yet; nothing where the kernel does not tell.
pub fn unacknowledged(fd: RawFd) -> Option<usize> {
    let mut count: c_int = 0;
    // SAFETY: the kernel writes one int, which lives for the call.
    let result = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, std::ptr::from_mut(&mut count)) };
    (result == 0).then(|| usize::try_from(count).unwrap_or(0))
}

/// Lets nothing that is sent from now on pass more than so many routers (`silent-drop`).
pub fn set_hop_limit(fd: RawFd, hops: u8) {
    let _ = set_option(fd, libc::IPPROTO_IP, libc::IP_TTL, hops.into());
    let _ = set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, hops.into());
}

/// Puts a connection under repair, so that closing it sends nothing; false if that is not allowed.
pub fn set_repair(fd: RawFd) -> bool {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_REPAIR, 1).is_ok()
}

/// Marks the packets that a connection sends, for netfilter and routing; a refusal is passed over.
pub fn set_mark(fd: RawFd, mark: u32) {
    let _ = set_option(fd, libc::SOL_SOCKET, libc::SO_MARK, mark.cast_signed());
}

/// Sets the TOS byte, or the traffic class, of the packets that a connection sends.
pub fn set_tos(fd: RawFd, tos: u8) {
    let _ = set_option(fd, libc::IPPROTO_IP, libc::IP_TOS, tos.into());
    let _ = set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, tos.into());
}

/// `tcp-ut`: how long sent data may stay unacknowledged.
pub fn set_user_timeout(fd: RawFd, milliseconds: u64) {
    let value = c_int::try_from(milliseconds).unwrap_or(c_int::MAX);
    let _ = set_option(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, value);
}

/// Lets a socket use addresses that are not this machine's; needs CAP_NET_ADMIN.
fn set_transparent(fd: RawFd, address: SocketAddr) -> io::Result<()> {
    let (level, option) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TRANSPARENT),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT),
    };
    set_option(fd, level, option, 1)
}

/// What a socket to listen on is made with (`bind` options).
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct BindOptions {
    pub reuse_port: bool,
    pub v6only: Option<bool>,
    pub transparent: bool,
    pub interface: Option<String>,
    /// How many connections may wait that have sent bytes with their SYN.
    pub tcp_fast_open: Option<i32>,
    pub defer_accept: bool,
    pub user_timeout_ms: Option<u64>,
    pub mss: Option<i32>,
}

/// Lets a bound socket listen.
pub fn listen(fd: RawFd, backlog: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::listen(fd, backlog) }.into()).map(drop)
}

/// Makes a TCP socket that is bound and does not [`listen`] yet.
pub fn bind_inet(address: SocketAddr, options: &BindOptions) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    let fd = socket.as_raw_fd();
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if let (true, Some(only)) = (address.is_ipv6(), options.v6only) {
        socket.set_only_v6(only)?; // without `v4v6` or `v6only` the system's setting stands
    }
    if options.transparent {
        set_transparent(fd, address)?;
    }
    if let Some(interface) = &options.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(mss) = options.mss {
        set_option(fd, libc::IPPROTO_TCP, libc::TCP_MAXSEG, mss)?;
    }
    if options.defer_accept {
        set_option(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 1)?;
    }
    if let Some(ms) = options.user_timeout_ms {
        set_user_timeout(fd, ms);
    }
    socket.bind(&address.into())?;
    if let Some(waiting) = options.tcp_fast_open {
        set_option(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, waiting)?;
    }
    Ok(socket.into())
}

/// Makes a Unix socket that is bound and does not [`listen`] yet; `path` may start with NUL for the abstract
/// space.
pub fn bind_unix(path: &[u8]) -> io::Result<OwnedFd> {
    use std::os::unix::ffi::OsStrExt;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(path)))?)?;
    Ok(socket.into())
}

/// Takes over an inherited descriptor for one thread: a duplicate of it, non-blocking and
/// close-on-exec. Fails when it is not a listening socket.
pub fn adopt_listener(fd: RawFd) -> io::Result<OwnedFd> {
    let copy = copy_listener(fd)?;
    socket2::SockRef::from(&copy).set_nonblocking(true)?;
    Ok(copy)
}

/// Whether an inherited descriptor is a listening socket; nothing of it is changed.
pub fn check_listener(fd: RawFd) -> io::Result<()> {
    copy_listener(fd).map(drop)
}

fn copy_listener(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved; a bad descriptor is an error.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    let copy = check(copy.into())? as RawFd;
    // SAFETY: the duplicate was made just now and has no other owner.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    if !socket2::SockRef::from(&copy).is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is not a listening socket"));
    }
    Ok(copy)
}

/// Closes an inherited descriptor once every thread has its duplicate: while it is open, the kernel
/// takes connections for it even after every listener was closed.
pub fn release_inherited(fd: RawFd) {
    if fd > libc::STDERR_FILENO {
        // SAFETY: the descriptor was given to this process to be listened on, and the duplicates
        // are all that is used of it.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}

/// What an outgoing connection is made with.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct ConnectOptions<'a> {
    pub source: Option<SocketAddr>,
    pub tcp_fast_open: bool,
    pub user_timeout_ms: Option<u64>,
    pub keep_alive: Option<KeepAlive>,
    pub interface: Option<&'a str>,
    pub mark: Option<u32>,
    pub tos: Option<u8>,
    /// Allow a source address that is not this machine's (`usesrc`).
    pub transparent: bool,
}

/// Why a connection could not be started.
#[derive(Debug)]
pub enum ConnectError {
    /// The source address cannot be bound.
    Source(io::Error),
    /// Anything else.
    Other(io::Error),
}

impl ConnectError {
    /// What the system said.
    pub fn error(&self) -> &io::Error {
        match self {
            ConnectError::Source(error) | ConnectError::Other(error) => error,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        ConnectError::Other(error)
    }
}

/// Starts connecting to an IP address; completion is told by writability and [`take_error`].
pub fn connect_inet(address: SocketAddr, options: &ConnectOptions<'_>) -> Result<OwnedFd, ConnectError> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    let fd = socket.as_raw_fd();
    let _ = socket.set_tcp_nodelay(true);
    if let Some(mark) = options.mark {
        set_mark(fd, mark);
    }
    if let Some(tos) = options.tos {
        set_tos(fd, tos);
    }
    if options.transparent {
        set_transparent(fd, address).map_err(ConnectError::Source)?;
    }
    if let Some(interface) = options.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(source) = options.source {
        if source.port() == 0 {
            // The port is chosen at connect time, so that many connections can share the address.
            let _ = set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
        }
        let _ = socket.set_reuse_address(true);
        socket.bind(&source.into()).map_err(ConnectError::Source)?;
    }
    if let Some(ms) = options.user_timeout_ms {
        set_user_timeout(fd, ms);
    }
    if let Some(how) = options.keep_alive {
        set_keepalive(fd, how);
    }
    if options.tcp_fast_open {
        let _ = set_option(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1);
    }
    Ok(finish_connect(socket.connect(&address.into()), socket)?)
}

/// Starts connecting to a Unix socket; `path` may start with NUL for the abstract space.
pub fn connect_unix(path: &[u8]) -> io::Result<OwnedFd> {
    use std::os::unix::ffi::OsStrExt;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    let address = SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(path)))?;
    finish_connect(socket.connect(&address), socket)
}

fn finish_connect(result: io::Result<()>, socket: Socket) -> io::Result<OwnedFd> {
    match result {
        Ok(()) => Ok(socket.into()),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error),
    }
}
