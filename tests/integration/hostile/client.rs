//! The client of these tests: sends bytes as they are and reads strictly what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::oracle::{self, Response};

/// How long a read waits at once, and how many of them in a row may come back with nothing. Waits are counted
/// rather than time: a machine that stands still for a while, as virtual ones do, has not hung the proxy.
const WAIT: Duration = Duration::from_millis(200);
const WAITS_MAX: u32 = 40;

/// A connection to the proxy.
pub struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
    ended: bool,
}

impl RawClient {
    /// Connects.
    pub fn connect(address: SocketAddr) -> RawClient {
        RawClient::over(TcpStream::connect(address).expect("the proxy accepts"))
    }

    /// Connects from an address of the loopback network.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> RawClient {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(source, 0).into()).expect("a free port");
        socket.connect(&address.into()).expect("the proxy accepts");
        RawClient::over(socket.into())
    }

    fn over(stream: TcpStream) -> RawClient {
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(WAIT)).expect("a socket");
        stream.set_write_timeout(Some(WAIT * WAITS_MAX)).expect("a socket");
        RawClient { stream, received: Vec::new(), ended: false }
    }

    /// Its own address as the proxy writes it.
    pub fn name(&self) -> String {
        self.stream.local_addr().expect("an address").to_string()
    }

    /// Sends bytes in pieces; a proxy that has closed already is no error.
    pub fn send(&mut self, bytes: &[u8], piece: usize) {
        for part in bytes.chunks(piece.max(1)) {
            if self.stream.write_all(part).is_err() {
                return;
            }
        }
    }

    /// Says that no more will come.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next response, none if the connection ended before it.
    pub fn response(&mut self, is_head: bool) -> Result<Option<Response>, String> {
        loop {
            let head_only = |response: &Response| answers_head(response, is_head);
            let read = oracle::response(&self.received, head_only, self.ended).map_err(|reason| {
                format!("the client got no response: {reason} in \"{}\"", self.received.escape_ascii())
            })?;
            if let Some((response, len)) = read {
                self.received.drain(..len);
                return Ok(Some(response));
            }
            if self.ended {
                return if self.received.is_empty() {
                    Ok(None)
                } else {
                    Err(format!("a truncated response: \"{}\"", self.received.escape_ascii()))
                };
            }
            self.read()?;
        }
    }

    /// What is left, read to the end.
    pub fn rest(&mut self) -> Result<Vec<u8>, String> {
        while !self.ended {
            self.read()?;
        }
        Ok(std::mem::take(&mut self.received))
    }

    /// Reads until the bytes received hold `wanted` of a tunnel.
    pub fn tunnel(&mut self, wanted: &[u8]) -> Result<(), String> {
        while self.received.len() < wanted.len() && !self.ended {
            self.read()?;
        }
        if self.received == wanted {
            Ok(())
        } else {
            Err(format!("tunnel: \"{}\"", self.received.escape_ascii()))
        }
    }

    fn read(&mut self) -> Result<(), String> {
        let mut buffer = [0; 16384];
        for _ in 0..WAITS_MAX {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    self.ended = true;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    continue;
                }
                Err(error) => return Err(error.to_string()),
            }
            return Ok(());
        }
        Err(format!("hangs; received \"{}\"", self.received.escape_ascii()))
    }
}

/// Whether a response has no body because its request was HEAD: the origin tells, or the caller knows.
fn answers_head(response: &Response, is_head: bool) -> bool {
    let origin = oracle::text(&response.fields, "x-origin");
    if !origin.is_empty() {
        return origin.split(' ').nth(1) == Some("HEAD");
    }
    // A head that could not be read is refused with a body whatever its method, and the connection closes.
    is_head && oracle::value(&response.fields, "connection") != Some(b"close")
}
