//! Dials a server.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use super::Core;
use super::idle::Identity;
use super::wait::{self, after};
use crate::base::clock::{self, Millis};
use crate::base::text::of_error;
use crate::model::server::{ServerTls, SourceAddress, UseSource};
use crate::model::{Proxy, Server};
use crate::net::secure::Broken;
use crate::net::timer::{Stop, Ticket};
use crate::net::{Stream, descriptors};
use crate::sample::TransactionFacts;
use crate::sample::connection::ConnectionError;
use crate::state::server::Endpoint;
use crate::sys::socket::{self, ConnectError, ConnectOptions, KeepAlive};
use crate::tls::buffer::RecordBuffer;
use crate::tls::connection::TlsFacts;
use std::rc::Rc;
use std::sync::Arc;

/// Why there is no connection.
#[derive(Debug)]
pub enum DialError {
    /// Refused, unreachable, or the address is not known.
    Failed(std::io::Error),
    /// The source address cannot be used.
    Source(SocketAddr, std::io::Error),
    /// `timeout connect` passed.
    Timeout,
    /// The client went away meanwhile.
    ClientGone,
    /// The session was killed.
    Killed(crate::net::timer::Kill),
    /// The system has no descriptor or local port left.
    Resource(std::io::Error),
    /// TLS could not be agreed on.
    Handshake(Broken),
}

impl DialError {
    /// What `bc_err` says of it; nothing of what is not the connection's fault.
    pub fn connection_error(&self) -> ConnectionError {
        let error = match self {
            DialError::Failed(error) | DialError::Resource(error) => error,
            DialError::Source(..) => return ConnectionError::CANT_BIND,
            DialError::Handshake(Broken::Closed) => return ConnectionError::SSL_EMPTY,
            DialError::Handshake(Broken::Socket(_)) => return ConnectionError::SSL_ABORT,
            DialError::Handshake(_) => return ConnectionError::SSL_HANDSHAKE,
            _ => return ConnectionError::NONE,
        };
        match error.raw_os_error() {
            Some(libc::EMFILE) => ConnectionError::PROC_FDLIM,
            Some(libc::ENFILE) => ConnectionError::SYS_FDLIM,
            Some(libc::ENOBUFS | libc::ENOMEM) => ConnectionError::SYS_MEMLIM,
            Some(libc::EADDRNOTAVAIL) => ConnectionError::FREE_PORTS,
            Some(libc::EADDRINUSE) => ConnectionError::ADDR_INUSE,
            Some(libc::ECONNREFUSED) => ConnectionError::EREFUSED,
            Some(libc::ECONNRESET) => ConnectionError::ERESET,
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH) => ConnectionError::EUNREACH,
            Some(libc::EBADF) => ConnectionError::EBADF,
            Some(libc::EFAULT) => ConnectionError::EFAULT,
            Some(libc::EINVAL) => ConnectionError::EINVAL,
            Some(libc::ENOTCONN) => ConnectionError::ENCONN,
            Some(libc::ENOTSOCK) => ConnectionError::ENSOCK,
            Some(libc::EPIPE) => ConnectionError::EPIPE,
            _ => ConnectionError::SOCK_ERR,
        }
    }
}

/// The address a server has now for a client that wanted to go to `destination`. An address of zeros stands for
/// that destination; port 0 is replaced by its port, moved by the offset (manual, section 4.2 `server`).
pub fn address_of(server: &Server, destination: Option<SocketAddr>) -> Option<SocketAddr> {
    resolve(&server.state.endpoint.load(), destination)
}

fn resolve(endpoint: &Endpoint, destination: Option<SocketAddr>) -> Option<SocketAddr> {
    let Endpoint::Inet { mut address, port_offset } = *endpoint else { return None };
    if address.ip().is_unspecified() {
        address.set_ip(destination?.ip());
    }
    if let Some(offset) = port_offset {
        let port = i32::from(destination.map_or(0, |destination| destination.port())) + offset;
        address.set_port(u16::try_from(port).ok()?);
    }
    Some(address)
}

/// A connection that is to show another's address has none to show: the client came over a Unix socket, or its
/// request lacks the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingToShow;

/// The address that connections to a server show in place of ours (`source ... usesrc`), if they do; `header`
/// is the one that the request holds. An IPv4 address that came as a mapped one is shown as what it is.
pub fn shown(
    backend: &Proxy,
    server: &Server,
    client: Option<SocketAddr>,
    header: Option<std::net::IpAddr>,
) -> Result<Option<SocketAddr>, NothingToShow> {
    let Some(what) = server.use_source.as_ref().or(backend.use_source.as_ref()) else { return Ok(None) };
    let shown = match what {
        UseSource::Address(address) => Some(*address),
        UseSource::Client => client,
        UseSource::ClientIp => client.map(|client| SocketAddr::new(client.ip(), 0)),
        UseSource::Header(_) => header.map(|address| SocketAddr::new(address, 0)),
    };
    let shown = shown.ok_or(NothingToShow)?;
    Ok(Some(SocketAddr::new(shown.ip().to_canonical(), shown.port())))
}

/// Sends a log line of a source address that cannot be used, once a session and server: the time-outs and
/// retries that follow do not tell why.
pub(super) fn log_source(
    core: &Core,
    backend: &Proxy,
    server: &Server,
    error: &DialError,
    txn: &TransactionFacts,
) {
    let DialError::Source(address, error) = error else { return };
    if txn.retries > 0 && !txn.redispatched {
        return;
    }
    let message = format!(
        "Cannot bind to source address before connect() for backend {}: {} for server {}/{}: {}",
        backend.name,
        address.ip(),
        backend.name,
        server.name,
        of_error(error),
    );
    super::finish::log_event(core, backend, LEVEL_EMERGENCY, message);
}

/// Syslog level `emerg`, as HAProxy tells of source addresses.
const LEVEL_EMERGENCY: u8 = 0;

/// A connection that is wanted.
pub struct Dial<'a> {
    /// Whose time-outs and options count.
    pub backend: &'a Proxy,
    /// Where to.
    pub server: &'a Server,
    /// The address the client connected to, for servers without one of their own.
    pub destination: Option<SocketAddr>,
    /// `timeout connect` as a rule has set it.
    pub timeout_ms: Option<u64>,
    /// What sets it apart from others to the same server.
    pub identity: Identity,
    /// The name that TLS tells the server.
    pub name: Option<&'a [u8]>,
    /// What goes in front of TLS: a PROXY protocol header.
    pub preface: Option<&'a [u8]>,
}

/// Ports of a `source` range that one attempt tries.
const SOURCE_PORTS_TRIED: usize = 10;

/// Connects to a server, and agrees on TLS with one that speaks it, within one time-out. `client_gone` is polled
/// along and ends the attempt when it says so.
pub async fn dial(
    core: &Core,
    ticket: &Rc<Ticket>,
    dial: Dial<'_>,
    mut client_gone: impl FnMut(&mut Context<'_>) -> bool,
) -> Result<Stream, DialError> {
    let deadline = after(dial.timeout_ms.or(dial.backend.timeouts.connect_ms));
    let (name, preface, server) = (dial.name, dial.preface, dial.server);
    let mut stream = reach(core, ticket, dial, deadline, &mut client_gone).await?;
    if let Some(tls) = &server.tls {
        let shaken = shake_hands(core, ticket, tls, name, preface, deadline, &mut stream, &mut client_gone);
        Box::pin(shaken).await?;
    }
    Ok(stream)
}

/// What TLS agreed on with a server, if it is spoken.
pub fn tls_facts(core: &Core, stream: &Stream, name: Option<Box<[u8]>>) -> Option<Arc<TlsFacts>> {
    let session = stream.session()?;
    let peer = session.peer_certificates().iter().map(|der| Box::from(&**der)).collect();
    let agreed = session.agreed()?;
    let counters = &core.setup.process.tls;
    counters.count(false, agreed.is_resumed, clock::cached().millis());
    let counted = counters.enter(0)?;
    Some(Arc::new(TlsFacts { agreed, name, shown: None, peer, checked: None, counted }))
}

/// Agrees on TLS with a server.
#[expect(clippy::too_many_arguments, reason = "it is the second half of the function above")]
async fn shake_hands(
    core: &Core,
    ticket: &Rc<Ticket>,
    tls: &ServerTls,
    name: Option<&[u8]>,
    preface: Option<&[u8]>,
    deadline: Millis,
    stream: &mut Stream,
    client_gone: &mut impl FnMut(&mut Context<'_>) -> bool,
) -> Result<(), DialError> {
    let mut output = RecordBuffer::default();
    if let Some(preface) = preface {
        output.free(preface.len())[..preface.len()].copy_from_slice(preface);
        output.add(preface.len());
    }
    let session = tls.connector.session(name, &mut output);
    let session = session.map_err(|failure| DialError::Handshake(Broken::Failed(failure)))?;
    stream.secure(session, &[], output);
    let mut gone = false;
    let waited = wait::until(core, ticket, deadline, |context| {
        if client_gone(context) {
            gone = true;
            return Poll::Ready(Ok(()));
        }
        stream.poll_handshake(context)
    })
    .await;
    match waited {
        Ok(_) if gone => Err(DialError::ClientGone),
        Ok(result) => result.map_err(DialError::Handshake),
        Err(Stop::Timeout) => Err(DialError::Timeout),
        Err(Stop::Killed(kill)) => Err(DialError::Killed(kill)),
    }
}

/// Connects the socket.
async fn reach(
    core: &Core,
    ticket: &Rc<Ticket>,
    dial: Dial<'_>,
    deadline: Millis,
    client_gone: &mut impl FnMut(&mut Context<'_>) -> bool,
) -> Result<Stream, DialError> {
    let Dial { backend, server, destination, .. } = dial;
    let source = server.source.as_ref().or(backend.source.as_ref());
    let mut options = ConnectOptions {
        source: dial.identity.shown.or_else(|| source.map(SourceAddress::next)),
        transparent: dial.identity.shown.is_some(),
        interface: server.source_interface.as_ref().or(backend.source_interface.as_ref()).map(|name| &**name),
        mark: dial.identity.packets.mark,
        tos: dial.identity.packets.tos,
        tcp_fast_open: server.tcp_fast_open,
        user_timeout_ms: server.tcp_user_timeout_ms,
        keep_alive: backend.options.srvtcpka.then_some(KeepAlive {
            count: backend.options.srvtcpka_cnt,
            idle_s: backend.options.srvtcpka_idle_s,
            interval_s: backend.options.srvtcpka_intvl_s,
        }),
    };
    let endpoint = server.state.endpoint.load_full();
    let started = match &*endpoint {
        Endpoint::Unix(path) => socket::connect_unix(path).map_err(ConnectError::from),
        Endpoint::Inet { .. } => match resolve(&endpoint, destination) {
            Some(address) => {
                let mut started = socket::connect_inet(address, &options);
                // Of a range of ports, the next one may be free.
                let ranged = source.filter(|source| source.has_range() && dial.identity.shown.is_none());
                for _ in 1..SOURCE_PORTS_TRIED {
                    let (Err(error), Some(source)) = (&started, ranged) else { break };
                    if !is_port_shortage(error.error()) {
                        break;
                    }
                    options.source = Some(source.next());
                    started = socket::connect_inet(address, &options);
                }
                started
            }
            None => Err(std::io::Error::from(std::io::ErrorKind::AddrNotAvailable).into()),
        },
        Endpoint::Unresolved { .. } => Err(std::io::Error::from(std::io::ErrorKind::HostUnreachable).into()),
    };
    let fd = started.map_err(|error| match (error, options.source) {
        (ConnectError::Source(error), Some(address)) if error.kind() != ErrorKind::AddrInUse => {
            DialError::Source(address, error)
        }
        (ConnectError::Source(error) | ConnectError::Other(error), _) => match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => DialError::Resource(error),
            _ if is_port_shortage(&error) => DialError::Resource(error),
            _ => DialError::Failed(error),
        },
    })?;
    if descriptors::is_reserved(fd.as_raw_fd(), descriptors::Use::Server) {
        return Err(DialError::Resource(std::io::Error::from_raw_os_error(libc::EMFILE)));
    }
    // A server nearby has often answered within the call: then nothing need be armed and waited for.
    if socket::is_connected(fd.as_raw_fd()) {
        return Ok(Stream::connected(fd));
    }
    let mut stream = Stream::connecting(fd);
    let mut gone = false;
    let waited = wait::until(core, ticket, deadline, |context| {
        if client_gone(context) {
            gone = true;
            return Poll::Ready(());
        }
        stream.poll_writable(context)
    })
    .await;
    match waited {
        Ok(()) if gone => Err(DialError::ClientGone),
        Ok(()) => socket::take_error(stream.fd()).map(|()| stream).map_err(DialError::Failed),
        Err(Stop::Timeout) => Err(DialError::Timeout),
        Err(Stop::Killed(kill)) => Err(DialError::Killed(kill)),
    }
}

/// Whether another port may do.
fn is_port_shortage(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_stand_for_what_the_client_wanted() {
        let client = Some("192.0.2.7:8000");
        for (address, port_offset, destination, expected) in [
            ("10.0.0.1:80", None, client, Some("10.0.0.1:80")),
            ("10.0.0.1:0", Some(0), client, Some("10.0.0.1:8000")),
            ("10.0.0.1:0", Some(-7000), client, Some("10.0.0.1:1000")),
            ("10.0.0.1:0", Some(-9000), client, None),
            ("0.0.0.0:80", None, client, Some("192.0.2.7:80")),
            ("0.0.0.0:0", Some(1), client, Some("192.0.2.7:8001")),
            ("[::]:80", None, client, Some("192.0.2.7:80")),
            ("0.0.0.0:80", None, Some("[2001:db8::1]:443"), Some("[2001:db8::1]:80")),
            ("0.0.0.0:80", None, None, None),
        ] {
            let endpoint = Endpoint::Inet { address: address.parse().unwrap(), port_offset };
            let parse = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            assert_eq!(resolve(&endpoint, parse(destination)), parse(expected), "{address} {port_offset:?}");
        }
    }
}
