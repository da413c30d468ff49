//! A small origin server of threads, that answers what a closure says and remembers what it got.
//!
//! Each has a loopback address of its own: it can go away and come back at the same place without
//! anybody taking the port in between.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::client::{find, header_values};
use super::{LIMIT, own_address, wait_until};

/// A request an origin got.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head as received, up to the empty line.
    pub head: String,
    /// The body with chunks taken off.
    pub body: Vec<u8>,
    /// Which connection of the origin it came on, from 0.
    pub connection: usize,
}

impl Request {
    /// The method.
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        header_values(&self.head, name)
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Reply {
    bytes: Vec<u8>,
    close: bool,
}

impl Reply {
    /// A plain answer with a length.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::status(200, "", body)
    }

    /// The same with a status and header lines, each ending in CRLF.
    pub fn status(status: u16, header_lines: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes =
            format!("HTTP/1.1 {status} Reason\r\n{header_lines}Content-Length: {}\r\n\r\n", body.len())
                .into_bytes();
        bytes.extend_from_slice(body);
        Reply { bytes, close: false }
    }

    /// These bytes and nothing else.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Reply { bytes: bytes.as_ref().to_vec(), close: false }
    }

    /// Closes the connection after it.
    pub fn and_close(mut self) -> Self {
        self.close = true;
        self
    }
}

/// Serves one connection; the number counts connections from 0.
type Service = dyn Fn(TcpStream, usize, &Seen) + Send + Sync;

/// What an origin has seen.
#[derive(Default)]
pub struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    heads: Mutex<Vec<Request>>,
}

struct Running {
    stop: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: JoinHandle<()>,
}

/// An origin; stopped when dropped.
pub struct Origin {
    address: SocketAddr,
    service: Arc<Service>,
    seen: Arc<Seen>,
    running: Option<Running>,
}

/// More requests than this are counted but not kept.
const KEPT: usize = 20_000;

impl Origin {
    /// Answers HTTP/1.1 requests, many on a connection.
    pub fn http(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::raw(move |stream, number, seen| serve_http(stream, number, seen, &answer))
    }

    /// Answers every request with its name, and `X-Served-By`.
    pub fn named(name: &str) -> Self {
        Self::named_at(0, name)
    }

    /// The same at a port of one's choice.
    pub fn named_at(port: u16, name: &str) -> Self {
        let (name, header) = (name.to_owned(), format!("X-Served-By: {name}\r\n"));
        let answer = move |_: &Request| Reply::status(200, &header, &name);
        Self::raw_at(port, move |stream, number, seen| serve_http(stream, number, seen, &answer))
    }

    /// Does with each connection what a closure says.
    pub fn raw(service: impl Fn(TcpStream, usize, &Seen) + Send + Sync + 'static) -> Self {
        Self::raw_at(0, service)
    }

    /// The same at a port of one's choice: the address is its own.
    pub fn raw_at(port: u16, service: impl Fn(TcpStream, usize, &Seen) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((own_address(), port)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut origin = Origin { address, service: Arc::new(service), seen: Arc::default(), running: None };
        origin.run(listener);
        origin
    }

    /// Where it listens, or did.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    /// Requests read so far.
    pub fn requests(&self) -> usize {
        self.seen.requests.load(SeqCst)
    }

    /// The requests so far, oldest first.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.heads.lock().expect("no panic while noting").clone()
    }

    /// The newest request.
    pub fn last(&self) -> Request {
        self.seen().pop().expect("a request reached the origin")
    }

    /// Forgets counts and requests.
    pub fn forget(&self) {
        self.seen.requests.store(0, SeqCst);
        self.seen.connections.store(0, SeqCst);
        self.seen.heads.lock().expect("no panic while noting").clear();
    }

    /// Stops listening and closes every connection.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.stop.store(true, SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the accept
        let _ = running.thread.join();
        for stream in running.open.lock().expect("no panic while noting").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // A process that another test starts at this moment holds a copy of the listener between its fork and its
        // exec: until then connections would be taken and then reset.
        wait_until(LIMIT, || TcpStream::connect(self.address).is_err());
    }

    /// Listens again at the same place.
    ///
    /// It may take more than one try: a process that another test starts at this moment holds a copy of
    /// the listener between its fork and its exec.
    pub fn restart(&mut self) {
        self.stop();
        let mut listener = None;
        wait_until(LIMIT, || {
            listener = TcpListener::bind(self.address).ok();
            listener.is_some()
        });
        self.run(listener.expect("the port of before"));
    }

    fn run(&mut self, listener: TcpListener) {
        let stop = Arc::new(AtomicBool::new(false));
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (service, seen) = (self.service.clone(), self.seen.clone());
        let (ending, streams) = (stop.clone(), open.clone());
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ending.load(SeqCst) {
                    break;
                }
                let _ = stream.set_nodelay(true);
                if let Ok(copy) = stream.try_clone() {
                    streams.lock().expect("no panic while noting").push(copy);
                }
                let number = seen.connections.fetch_add(1, SeqCst);
                let (service, seen, streams) = (service.clone(), seen.clone(), streams.clone());
                std::thread::spawn(move || {
                    let peer = stream.peer_addr().ok();
                    service(stream, number, &seen);
                    // The copy kept for the stop would hold the connection open.
                    let mut streams = streams.lock().expect("no panic while noting");
                    streams.retain(|copy| copy.peer_addr().ok() != peer || peer.is_none());
                });
            }
        });
        self.running = Some(Running { stop, open, thread });
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads requests and answers them until the connection ends.
fn serve_http(mut stream: TcpStream, connection: usize, seen: &Seen, answer: &dyn Fn(&Request) -> Reply) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, connection) {
        seen.note(&request);
        let reply = answer(&request);
        let bytes = if request.method() == "HEAD" {
            let end = find(&reply.bytes, b"\r\n\r\n").map_or(reply.bytes.len(), |at| at + 4);
            &reply.bytes[..end]
        } else {
            &reply.bytes[..]
        };
        if stream.write_all(bytes).is_err() || reply.close {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

impl Seen {
    /// Keeps a request.
    pub fn note(&self, request: &Request) {
        self.requests.fetch_add(1, SeqCst);
        let mut heads = self.heads.lock().expect("no panic while noting");
        if heads.len() < KEPT {
            heads.push(request.clone());
        }
    }
}

/// Reads one request; none when the connection ends first.
pub fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Request> {
    let request = read_head(stream, buffer, connection)?;
    read_body(stream, buffer, request)
}

/// Reads a request up to its body.
pub fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Request> {
    let end = until(stream, buffer, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    Some(Request { head, body: Vec::new(), connection })
}

/// Reads the body of a request whose head was read.
pub fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, mut request: Request) -> Option<Request> {
    if request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let line_end = until(stream, buffer, b"\r\n")?;
            let line = String::from_utf8_lossy(&buffer[..line_end]).into_owned();
            buffer.drain(..line_end + 2);
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                // Trailers, up to the empty line.
                while until(stream, buffer, b"\r\n")? != 0 {
                    let line_end = until(stream, buffer, b"\r\n")?;
                    buffer.drain(..line_end + 2);
                }
                buffer.drain(..2);
                break;
            }
            while buffer.len() < size + 2 {
                fill(stream, buffer)?;
            }
            request.body.extend(buffer.drain(..size));
            buffer.drain(..2);
        }
    } else if let Some(length) = request.header("content-length").and_then(|value| value.parse().ok()) {
        while buffer.len() < length {
            fill(stream, buffer)?;
        }
        request.body = buffer.drain(..length).collect();
    }
    Some(request)
}

fn until(stream: &mut TcpStream, buffer: &mut Vec<u8>, needle: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = find(buffer, needle) {
            return Some(at);
        }
        fill(stream, buffer)?;
    }
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 16 * 1024];
    match stream.read(&mut part) {
        Ok(length @ 1..) => {
            buffer.extend_from_slice(&part[..length]);
            Some(())
        }
        _ => None,
    }
}
