//! Origins that cost little. An exchange is: receive so many bytes, then send so many, again and again; that
//! makes an echo (64:64), a sender (1:1048576) and a sink (1048576:1). The HTTP one reads a request and its body
//! to the end before it answers, which nginx does not do when it has no use for the body.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::sys::{self, BUFFER, Poll};
use crate::{Options, numbers};

/// The longest request head.
const HEAD_MAX: usize = 16 * 1024;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[derive(Clone, Copy)]
enum Kind {
    Exchange { receive: usize, send: usize },
    Http,
}

struct Connection {
    stream: TcpStream,
    kind: Kind,
    /// Still to receive before the next answer; none while an HTTP head is being read.
    wanted: Option<usize>,
    head: Vec<u8>,
    /// Bytes of answers still to send, and how far into an answer the next one is.
    owed: usize,
    offset: usize,
}

impl Connection {
    /// Takes received bytes into account.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), ()> {
        while !bytes.is_empty() {
            let Some(wanted) = self.wanted else {
                let before = self.head.len();
                self.head.extend_from_slice(bytes);
                let Some(end) = head_end(&self.head) else {
                    return if self.head.len() < HEAD_MAX { Ok(()) } else { Err(()) };
                };
                bytes = &bytes[end - before..];
                self.head.truncate(end);
                self.wanted = Some(content_length(&self.head).unwrap_or(0));
                self.head.clear();
                self.answer_if_done();
                continue;
            };
            let count = wanted.min(bytes.len());
            bytes = &bytes[count..];
            self.wanted = Some(wanted - count);
            self.answer_if_done();
        }
        Ok(())
    }

    fn answer_if_done(&mut self) {
        if self.wanted != Some(0) {
            return;
        }
        match self.kind {
            Kind::Exchange { receive, send } => {
                self.owed += send;
                self.wanted = Some(receive);
            }
            Kind::Http => {
                self.owed += ANSWER.len();
                self.wanted = None;
            }
        }
    }

    /// Receives and sends until neither goes on.
    fn run(&mut self, buffer: &mut [u8], filler: &[u8]) -> Result<(), ()> {
        loop {
            while self.owed > 0 {
                let sent = match self.kind {
                    Kind::Exchange { .. } => self.stream.write(&filler[..self.owed.min(filler.len())]),
                    Kind::Http => self.stream.write(&ANSWER[self.offset..]),
                };
                match sent {
                    Ok(count) => {
                        self.owed -= count;
                        self.offset = (self.offset + count) % ANSWER.len();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(_) => return Err(()),
                }
            }
            match self.stream.read(buffer) {
                Ok(0) => return Err(()),
                Ok(count) => self.take(&buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(()),
            }
        }
    }
}

/// Where the body starts.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The length that a head gives for its body.
pub fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).last();
    length.and_then(|(_, value)| value.trim().parse().ok())
}

/// Answers for ever.
pub fn run(options: &Options) -> Result<(), String> {
    let mut poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
    let mut listeners: Vec<(TcpListener, Kind)> = Vec::new();
    let mut open = |port: usize, kind: Kind| {
        let port = u16::try_from(port).map_err(|_| format!("{port} is no port"))?;
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let listener = sys::listen(address).map_err(|error| format!("{address}: {error}"))?;
        poll.listen(&listener, listeners.len()).map_err(|error| format!("epoll: {error}"))?;
        listeners.push((listener, kind));
        Ok::<(), String>(())
    };
    for word in options.all("exchange") {
        let [port, receive, send] = numbers(word)?;
        open(port, Kind::Exchange { receive: receive.max(1), send })?;
    }
    for word in options.all("http") {
        open(numbers::<1>(word)?[0], Kind::Http)?;
    }
    let first = listeners.len();
    if first == 0 {
        return Err("an origin needs --exchange or --http".into());
    }
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let (mut free, mut leaving) = (Vec::new(), Vec::new());
    let (mut buffer, filler) = (vec![0; BUFFER], vec![b'x'; BUFFER]);
    let mut events = Vec::new();
    loop {
        poll.wait(None, &mut events).map_err(|error| format!("epoll: {error}"))?;
        for event in &events {
            if let Some((listener, kind)) = listeners.get(event.token) {
                while let Some(stream) = sys::accept(listener).map_err(|error| format!("accept: {error}"))? {
                    let at = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    poll.add(&stream, first + at).map_err(|error| format!("epoll: {error}"))?;
                    let wanted = match kind {
                        Kind::Exchange { receive, .. } => Some(*receive),
                        Kind::Http => None,
                    };
                    let kind = *kind;
                    let head = Vec::new();
                    connections[at] = Some(Connection { stream, kind, wanted, head, owed: 0, offset: 0 });
                }
                continue;
            }
            let at = event.token - first;
            let Some(connection) = &mut connections[at] else { continue };
            if connection.run(&mut buffer, &filler).is_err() {
                connections[at] = None;
                leaving.push(at);
            }
        }
        free.append(&mut leaving);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let cases: &[(&[u8], Option<usize>, Option<usize>)] = &[
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(27), None),
            (b"HTTP/1.1 200 OK\r\ncontent-length:  12\r\n\r\nabc", Some(40), Some(12)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n", None, Some(12)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Some(38), None),
        ];
        for (head, end, length) in cases {
            assert_eq!((head_end(head), content_length(head)), (*end, *length), "{head:?}");
        }
    }
}
