//! The origin that writes down what it receives: one thread over all connections, so that what arrived first
//! is recorded first, and answers leave after all that had arrived was read.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::oracle::{self, Framing, Request};

/// What happened on a connection of the origin.
#[derive(Clone, Debug)]
pub enum Event {
    /// A whole request, by the strict reader.
    Request(Request),
    /// A request that was broken off: its line.
    Partial(String),
    /// Bytes that no proxy should send.
    Bad(String),
    /// The proxy closed it.
    Closed,
}

/// What to answer in place of the usual.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The bytes as they are.
    pub bytes: Vec<u8>,
    /// Close after them.
    pub close: bool,
}

/// What the thread and the test share.
#[derive(Default)]
pub struct Shared {
    /// What happened, with the connection's number.
    pub events: Vec<(usize, Event)>,
    /// Answers for the next requests; those for `/sentinel` get the usual one always.
    pub replies: VecDeque<Reply>,
    /// Requests answered in the usual way.
    pub answered: u64,
    /// Requests answered that no client has claimed: the number and the client that asked (only if `claims`).
    pub unclaimed: BTreeMap<u64, String>,
    /// Whether to keep `unclaimed` in place of `events` of whole requests.
    pub claims: bool,
    /// Connections in the middle of a request.
    pub busy: usize,
    /// The connections open now, by number.
    pub open: BTreeMap<usize, TcpStream>,
}

/// A running recorder.
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Connection {
    number: usize,
    stream: TcpStream,
    received: Vec<u8>,
    out: Vec<u8>,
    close: bool,
    /// It became a tunnel or was broken: what comes is no request.
    deaf: bool,
}

impl Recorder {
    /// Starts one.
    pub fn start() -> Recorder {
        let listener = TcpListener::bind((crate::support::own_address(), 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (shared, stop) = (shared.clone(), stop.clone());
            std::thread::spawn(move || serve(&listener, &shared, &stop))
        };
        Recorder { address, shared, stop, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it shares.
    pub fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("the recorder lives")
    }

    /// Forgets what happened and takes the answers for what comes.
    pub fn begin(&self, replies: Vec<Reply>) {
        let mut shared = self.shared();
        shared.events.clear();
        shared.replies = replies.into();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, shared: &Mutex<Shared>, stop: &AtomicBool) {
    let mut connections: Vec<Connection> = Vec::new();
    let mut number = 0;
    while !stop.load(Relaxed) {
        let mut polled = vec![interest(listener.as_raw_fd(), true, false)];
        polled.extend(connections.iter().map(|c| interest(c.stream.as_raw_fd(), true, !c.out.is_empty())));
        let count = libc::nfds_t::try_from(polled.len()).expect("few connections");
        // SAFETY: the pointer and the count describe `polled`, which outlives the call.
        unsafe { libc::poll(polled.as_mut_ptr(), count, 1000) };
        // New ones first: what is read next came before what is answered.
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).expect("a socket");
            stream.set_nodelay(true).expect("a socket");
            number += 1;
            let copy = stream.try_clone().expect("a second descriptor");
            shared.lock().expect("the test lives").open.insert(number, copy);
            let (received, out) = (Vec::new(), Vec::new());
            connections.push(Connection { number, stream, received, out, close: false, deaf: false });
            polled.push(interest(-1, false, false));
        }
        let mut shared = shared.lock().expect("the test lives");
        let mut ready = polled[1..].iter().map(|one| one.revents != 0 || one.fd < 0);
        connections.retain_mut(|connection| {
            let keep = !ready.next().unwrap_or(true) || connection.read(&mut shared);
            if !keep {
                shared.open.remove(&connection.number);
            }
            keep
        });
        shared.busy = connections.iter().filter(|c| !c.received.is_empty() && !c.deaf).count();
        drop(shared);
        for connection in &mut connections {
            connection.write();
        }
    }
}

fn interest(fd: i32, read: bool, write: bool) -> libc::pollfd {
    let events = if read { libc::POLLIN } else { 0 } | if write { libc::POLLOUT } else { 0 };
    libc::pollfd { fd, events, revents: 0 }
}

impl Connection {
    /// Takes what has come; false once the connection is over.
    fn read(&mut self, shared: &mut Shared) -> bool {
        let mut buffer = [0; 65536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) if self.deaf => {}
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.parse(shared);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.parse(shared);
        if !self.received.is_empty() && !self.deaf && !shared.claims {
            let line = oracle::request_head(&self.received);
            let text = line.unwrap_or_else(|| format!("? {}", self.received.escape_ascii()));
            shared.events.push((self.number, Event::Partial(text)));
        }
        if !shared.claims {
            shared.events.push((self.number, Event::Closed));
        }
        false
    }

    fn parse(&mut self, shared: &mut Shared) {
        while !self.deaf && !self.received.is_empty() {
            match oracle::request(&self.received) {
                Ok(None) => return,
                Ok(Some((request, len))) => {
                    self.received.drain(..len);
                    self.answer(shared, request);
                }
                Err(reason) => {
                    let text = format!("{reason}\nin \"{}\"", self.received.escape_ascii());
                    shared.events.push((self.number, Event::Bad(text)));
                    self.deaf = true;
                    self.close = true;
                }
            }
        }
    }

    fn answer(&mut self, shared: &mut Shared, request: Request) {
        let scripted =
            if request.target.starts_with("/sentinel") { None } else { shared.replies.pop_front() };
        if let Some(reply) = scripted {
            self.out.extend_from_slice(&reply.bytes);
            self.close |= reply.close;
            // 2xx to CONNECT and 101 make a tunnel.
            let tunnel = reply.bytes.starts_with(b"HTTP/1.1 101")
                || (request.method == "CONNECT" && reply.bytes.starts_with(b"HTTP/1.1 2"));
            self.deaf |= tunnel;
        } else {
            shared.answered += 1;
            let client = oracle::text(&request.fields, oracle::CLIENT);
            let status = if request.method == "CONNECT" { "405 No" } else { "200 OK" };
            let body = if request.method == "HEAD" { "" } else { "seen" };
            self.out.extend_from_slice(
                format!(
                    "HTTP/1.1 {status}\r\nContent-Length: 4\r\nX-Origin: {} {} {client}\r\n\r\n{body}",
                    shared.answered, request.method
                )
                .as_bytes(),
            );
            if shared.claims {
                let number = shared.answered;
                shared.unclaimed.insert(number, format!("{client} {} {}", request.method, request.target));
            }
        }
        if !shared.claims {
            shared.events.push((self.number, Event::Request(request)));
        }
    }

    fn write(&mut self) {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.out.clear(),
            }
        }
        if self.close {
            let _ = self.stream.shutdown(Shutdown::Write);
            self.close = false;
        }
    }
}

impl Event {
    /// A whole request as the corpus writes it.
    pub fn show(&self) -> String {
        match self {
            Event::Request(request) => {
                let Request { method, target, framing, body, .. } = request;
                let framing = match framing {
                    Framing::None | Framing::UntilClose => "none".to_owned(),
                    Framing::Length(length) => format!("length {length}"),
                    Framing::Chunked => format!("chunked {}", body.len()),
                };
                let start = format!("{method} {target} {framing} ");
                [start.as_bytes(), body].concat().trim_ascii_end().escape_ascii().to_string()
            }
            Event::Partial(line) => format!("partial {}", line.as_bytes().escape_ascii()),
            Event::Bad(reason) => format!("BAD {reason}"),
            Event::Closed => "closed".to_owned(),
        }
    }
}
