//! Takes the listening sockets of another process over (`-x`), of HAProxy or of this program.
//!
//! The sockets stay open all the time, and connections that wait in them are served by whichever process
//! accepts first: no client notices. See [`crate::wire::socket_transfer`] for what is sent.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::files::cause;
use crate::model::BindAddress;
use crate::sys::passing;
use crate::sys::socket::BindOptions;
use crate::wire::socket_transfer::{BATCH, Label, REQUEST, SOCKETS_MAX};

/// How long the other process may be silent.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of the longest label.
const LABEL_MAX: usize = 2 * (1 + 255) + 4;

/// The sockets that no line has claimed yet.
#[derive(Debug, Default)]
pub struct Taken(Vec<TakenSocket>);

#[derive(Debug)]
struct TakenSocket {
    fd: OwnedFd,
    address: Address,
    /// Only for IPv6.
    v6only: Option<bool>,
    interface: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Address {
    Inet(SocketAddr),
    Abstract(Vec<u8>),
}

impl Taken {
    /// Asks the process behind this socket for all it has. Sockets of no use here are closed: datagrams, Unix
    /// paths (their names are taken over), other network namespaces.
    ///
    /// # Errors
    /// No process answers there, or the answer cannot be understood; the text says what and why.
    pub fn from_process(path: &str) -> Result<Taken, String> {
        let failed = |what: &str, error: &io::Error| format!("-x {path}: {what}: {}", cause(error));
        let mut stream = UnixStream::connect(path).map_err(|error| failed("cannot connect", &error))?;
        let request = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(REQUEST));
        request.map_err(|error| failed("cannot ask for the listening sockets", &error))?;
        let received =
            receive_all(&mut stream).map_err(|error| failed("no listening sockets came", &error))?;
        Ok(Taken(received.into_iter().filter_map(|(fd, label)| look_at(fd, label)).collect()))
    }
    /// How many are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Takes out those for an address.
    pub fn claim(&mut self, address: &BindAddress, options: &BindOptions) -> Vec<OwnedFd> {
        let wanted = match address {
            BindAddress::Inet(address) => Address::Inet(*address),
            BindAddress::Abstract(name) => Address::Abstract(name.clone()),
            BindAddress::Unix(_) | BindAddress::Fd(_) => return Vec::new(),
        };
        let fits = |taken: &mut TakenSocket| {
            taken.address == wanted
                && taken.interface == options.interface
                && (options.v6only.is_none() || taken.v6only.is_none() || taken.v6only == options.v6only)
        };
        self.0.extract_if(.., fits).map(|taken| taken.fd).collect()
    }
}

/// Receives the number of sockets, then the sockets, each message acknowledged.
fn receive_all(stream: &mut UnixStream) -> io::Result<Vec<(OwnedFd, Label)>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut number = [0; 4];
    let mut filled = 0;
    while filled < number.len() {
        match passing::receive(stream.as_raw_fd(), &mut number[filled..])?.0 {
            0 => return Err(invalid("the process gives none ('expose-fd listeners' is missing there)")),
            count => filled += count,
        }
    }
    let expected = u32::from_ne_bytes(number);
    if expected > SOCKETS_MAX {
        return Err(invalid("what answers there is no runtime API"));
    }
    let (mut fds, mut labels) = (Vec::new(), Vec::new());
    let mut piece = vec![0; BATCH * LABEL_MAX];
    while fds.len() < expected as usize {
        let (count, passed) = passing::receive(stream.as_raw_fd(), &mut piece)?;
        if count == 0 {
            return Err(invalid("the process left before it had given all"));
        }
        labels.extend_from_slice(&piece[..count]);
        if !passed.is_empty() {
            fds.extend(passed);
            // Once all are here the other process may leave without waiting for the last acknowledgement.
            let acknowledged = stream.write_all(&(fds.len() as u32).to_ne_bytes());
            if fds.len() < expected as usize {
                acknowledged?;
            }
        }
        if fds.len() > expected as usize || labels.len() > expected as usize * LABEL_MAX {
            return Err(invalid("more came than was announced"));
        }
    }
    let mut rest = &labels[..];
    fds.into_iter()
        .map(|fd| {
            Label::read(&mut rest).map(|label| (fd, label)).ok_or_else(|| invalid("a label is missing"))
        })
        .collect()
}

/// Asks a socket what it is; nothing if it is of no use here.
fn look_at(fd: OwnedFd, label: Label) -> Option<TakenSocket> {
    let socket = socket2::SockRef::from(&fd);
    let is_stream = socket.r#type().is_ok_and(|kind| kind == socket2::Type::STREAM);
    if !is_stream || !label.namespace.is_empty() {
        return None;
    }
    socket.set_nonblocking(true).ok()?;
    let bound = socket.local_addr().ok()?;
    let address = match bound.as_socket() {
        Some(address) => Address::Inet(address),
        None => Address::Abstract(bound.as_abstract_namespace()?.to_vec()),
    };
    let v6only = bound.is_ipv6().then(|| socket.only_v6().unwrap_or(false));
    let interface =
        (!label.interface.is_empty()).then(|| String::from_utf8_lossy(&label.interface).into_owned());
    Some(TakenSocket { fd, address, v6only, interface })
}
