//! The client and the origin: they send what they are told, one request of a connection at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// The longest a byte may be awaited; more than the stepper takes.
const LIMIT: Duration = Duration::from_secs(90);
/// The body of every answer.
pub const BODY: &[u8] = b"0123456789abcdef0123456789abcdef";
/// What TCP mode carries there and back.
const PING: &[u8] = b"ping 0123456789 0123456789 0123\n";

/// What comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// So many connections, each asking again and again, all at once and then all answered.
    KeepAlive(usize),
    /// A connection for each request.
    Connections,
    /// One connection of TCP mode, one message back for each.
    PingPong,
}

/// The connections of a load.
pub struct Client {
    load: Load,
    address: SocketAddr,
    streams: Vec<TcpStream>,
}

impl Client {
    /// Connects as `load` has it.
    pub fn new(load: Load, address: SocketAddr) -> Client {
        let count = match load {
            Load::KeepAlive(count) => count,
            Load::Connections => 0,
            Load::PingPong => 1,
        };
        Client { load, address, streams: (0..count).map(|_| connect(address)).collect() }
    }

    /// Sends `count` requests and takes their answers.
    pub fn run(&mut self, count: usize) {
        match self.load {
            Load::KeepAlive(connections) => {
                for _ in 0..count / connections {
                    self.streams.iter_mut().for_each(ask);
                    self.streams.iter_mut().for_each(answered);
                }
            }
            Load::Connections => {
                for _ in 0..count {
                    let mut stream = connect(self.address);
                    ask(&mut stream);
                    answered(&mut stream);
                }
            }
            Load::PingPong => {
                for _ in 0..count {
                    self.streams[0].write_all(PING).expect("a message is sent");
                    let mut back = [0; PING.len()];
                    self.streams[0].read_exact(&mut back).expect("the message comes back");
                    assert_eq!(back, PING);
                }
            }
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the proxy accepts");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream
}

fn ask(stream: &mut TcpStream) {
    let request =
        b"GET /v1/things?x=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: guard\r\nAccept: */*\r\n\r\n";
    stream.write_all(request).expect("a request is sent");
}

fn answered(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while !bytes.ends_with(BODY) {
        let length = match stream.read(&mut part) {
            // A read with a time limit ends when the tracer's signals come.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result.expect("an answer comes"),
        };
        assert_ne!(length, 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&part[..length]);
    }
    assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&bytes));
}

/// Starts an origin for a load and returns its address.
pub fn origin(load: Load) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            std::thread::spawn(move || if load == Load::PingPong { echo(stream) } else { serve(stream) });
        }
    });
    address
}

fn echo(mut stream: TcpStream) {
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        if stream.write_all(&part[..length]).is_err() {
            return;
        }
    }
}

fn serve(mut stream: TcpStream) {
    let head = format!("HTTP/1.1 200 OK\r\nServer: guard\r\nContent-Length: {}\r\n\r\n", BODY.len());
    let answer = [head.as_bytes(), BODY].concat();
    let mut got = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        got.extend_from_slice(&part[..length]);
        if got.ends_with(b"\r\n\r\n") {
            got.clear();
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// A receiver of log lines, which reads none: it must only be there.
pub fn sink() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}
