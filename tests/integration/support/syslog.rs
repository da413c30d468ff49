//! A syslog receiver over UDP.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::{LIMIT, own_address};

/// One receiver and the lines it got.
pub struct Syslog {
    socket: UdpSocket,
    lines: Vec<String>,
}

impl Syslog {
    /// Listens on a port of its own.
    pub fn start() -> Self {
        let socket = UdpSocket::bind((own_address(), 0)).expect("a free port");
        Syslog { socket, lines: Vec::new() }
    }

    /// What to write behind `log`.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    /// The first line that contains all of these, waiting for it; it is taken out.
    pub fn wait_for(&mut self, parts: &[&str]) -> String {
        self.wait_line(LIMIT, |line| parts.iter().all(|part| line.contains(part)))
            .unwrap_or_else(|| panic!("no line with {parts:?} among {:#?}", self.lines))
    }

    /// The first line a test wants, waiting for it; it is taken out.
    pub fn wait_line(&mut self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.lines.iter().position(|line| wanted(line)) {
                return Some(self.lines.remove(at));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.receive(left) {
                return None;
            }
        }
    }

    /// What came and was not taken, after a silence of `quiet`.
    pub fn rest(&mut self, quiet: Duration) -> Vec<String> {
        while self.receive(quiet) {}
        std::mem::take(&mut self.lines)
    }

    fn receive(&mut self, limit: Duration) -> bool {
        self.socket.set_read_timeout(Some(limit)).expect("a timeout");
        let mut datagram = vec![0; 65536];
        match self.socket.recv(&mut datagram) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
                self.lines.extend(text.lines().map(str::to_owned));
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("the receiver of the log: {error}"),
        }
    }
}
