//! A client that sends exactly the bytes it is told and understands whole responses.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::LIMIT;

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The head as received, up to the empty line.
    pub head: String,
    /// The body with its framing taken off.
    pub body: Vec<u8>,
    /// Whether the body ended with the connection, although it should not.
    pub truncated: bool,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        header_values(&self.head, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The values of a header in a head.
pub fn header_values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

impl Client {
    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
    /// Connects, or fails the test.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Client { stream, buffer: Vec::new() })
    }

    /// Connects from an address of this machine, or fails the test.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let made = Self::try_connect_from(source, address);
        made.unwrap_or_else(|error| panic!("cannot connect from {source} to {address}: {error}"))
    }

    /// Connects from an address of this machine.
    pub fn try_connect_from(source: IpAddr, address: SocketAddr) -> std::io::Result<Self> {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&address.into(), LIMIT)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Client { stream, buffer: Vec::new() })
    }

    /// How long a read may take from now on.
    pub fn read_limit(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).expect("a timeout");
    }

    /// This end's address.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("an address")
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("bytes are sent");
    }

    /// Sends bytes where the other side may be gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Ends this direction.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("half a close");
    }

    /// Resets the connection.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }

    /// A GET with header lines (each ending in CRLF) and its response.
    pub fn get(&mut self, path: &str, header_lines: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{header_lines}\r\n"));
        self.response()
    }

    /// The same where it may fail.
    pub fn try_get(&mut self, path: &str, header_lines: &str) -> std::io::Result<Response> {
        self.try_send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{header_lines}\r\n"))?;
        self.try_response_to("GET")
    }

    /// The next response to anything but HEAD.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The next response, which depends on the method.
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response_to(method).unwrap_or_else(|error| {
            panic!("no response: {error}; so far {:?}", String::from_utf8_lossy(&self.buffer))
        })
    }

    /// The next response; an error when there is none.
    pub fn try_response_to(&mut self, method: &str) -> std::io::Result<Response> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if self.fill()? == 0 {
                return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed"));
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut response = Response { status, head, ..Response::default() };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return Ok(response);
        }
        if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            self.read_chunks(&mut response)?;
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length");
            while self.buffer.len() < length && !response.truncated {
                response.truncated = self.fill()? == 0;
            }
            let length = length.min(self.buffer.len());
            response.body = self.buffer.drain(..length).collect();
        } else {
            while self.fill()? != 0 {}
            response.body = std::mem::take(&mut self.buffer);
        }
        Ok(response)
    }

    fn read_chunks(&mut self, response: &mut Response) -> std::io::Result<()> {
        loop {
            let Some(line) = self.line()? else {
                response.truncated = true;
                return Ok(());
            };
            let size = line.split(';').next().unwrap_or_default().trim().to_owned();
            let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
            if size == 0 {
                while self.line()?.is_some_and(|line| !line.is_empty()) {}
                return Ok(());
            }
            while self.buffer.len() < size + 2 {
                if self.fill()? == 0 {
                    response.truncated = true;
                    response.body.append(&mut self.buffer);
                    return Ok(());
                }
            }
            response.body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
        }
    }

    /// The next line without its end, none at the end of the connection.
    pub fn line(&mut self) -> std::io::Result<Option<String>> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Exactly this many bytes.
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert_ne!(self.fill().expect("bytes arrive"), 0, "closed before {length} bytes came");
        }
        self.buffer.drain(..length).collect()
    }

    /// Everything until the other side closes; a reset counts as the end.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("no end of the connection: {error}"),
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// Whether the other side has closed, waiting for it up to `limit`.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.read_limit(limit);
        let closed = match self.fill() {
            Ok(length) => length == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        };
        self.read_limit(LIMIT);
        closed
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut part = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut part) {
                Ok(length) => {
                    self.buffer.extend_from_slice(&part[..length]);
                    return Ok(length);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where `needle` begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
