//! The client of these tests: sends bytes as they are and reads strictly what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::oracle::{self, Response};

/// The longest an exchange may take: what lasts longer hangs.
pub const HANG: Duration = Duration::from_secs(8);

/// A connection to the proxy.
pub struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
    ended: bool,
}

impl RawClient {
    /// Connects.
    pub fn connect(address: SocketAddr) -> RawClient {
        let stream = TcpStream::connect(address).expect("the proxy accepts");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(HANG)).expect("a socket");
        stream.set_write_timeout(Some(HANG)).expect("a socket");
        RawClient { stream, received: Vec::new(), ended: false }
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
        let started = Instant::now();
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
            self.read(started)?;
        }
    }

    /// What is left, read to the end.
    pub fn rest(&mut self) -> Result<Vec<u8>, String> {
        let started = Instant::now();
        while !self.ended {
            self.read(started)?;
        }
        Ok(std::mem::take(&mut self.received))
    }

    /// Reads until the bytes received hold `wanted` of a tunnel.
    pub fn tunnel(&mut self, wanted: &[u8]) -> Result<(), String> {
        let started = Instant::now();
        while self.received.len() < wanted.len() && !self.ended {
            self.read(started)?;
        }
        if self.received == wanted {
            Ok(())
        } else {
            Err(format!("tunnel: \"{}\"", self.received.escape_ascii()))
        }
    }

    fn read(&mut self, started: Instant) -> Result<(), String> {
        let mut buffer = [0; 16384];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                self.ended = true;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(format!("hangs ({error}); received \"{}\"", self.received.escape_ascii()));
            }
        }
        if started.elapsed() > HANG {
            return Err(format!("hangs; received \"{}\"", self.received.escape_ascii()));
        }
        Ok(())
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
