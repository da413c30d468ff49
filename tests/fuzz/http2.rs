//! HTTP/2: header blocks, and what a connection of either side makes of any bytes.

use std::collections::HashMap;
use std::sync::Arc;

use haring::http::h1::encode::{self, Connection};
use haring::http::h1::framing::Body;
use haring::http::h1::head::{Limits, Progress, parse_request};
use haring::http::h2::conn::{Event, Heads, OUTPUT_MAX, Opening, REPLIES_MAX};
use haring::http::h2::head::{self, Rules};
use haring::http::h2::hpack::{Bounds, Decoder, Encoder, TABLE_SIZE};
use haring::http::h2::{Conn, Settings, StreamId};
use haring::http::{Fields, Known, Method, Request, Response, uri};

/// Heads of frames, settings, fields.
pub const WORDS: &[&str] = &[
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\0\0\0\x04\0\0\0\0\0",
    "\0\0\0\x04\x01\0\0\0\0",
    "\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0",
    "\0\0\x05\x01\x05\0\0\0\x01",
    "\0\0\x05\x01\x04\0\0\0\x03",
    "\0\0\x01\x09\x04\0\0\0\x01",
    "\0\0\x05\0\0\0\0\0\x01hello",
    "\0\0\x05\0\x01\0\0\0\x01hello",
    "\0\0\x05\0\x09\0\0\0\x01\x02",
    "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    "\0\0\x08\x06\0\0\0\0\0pingping",
    "\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0",
    "\0\0\x04\x08\0\0\0\0\0\0\0\x7f\x7f",
    "\0\0\x05\x02\0\0\0\0\x01\0\0\0\x03\x10",
    "\0\x0a:authority\x01h",
    "\0\x07:method\x07CONNECT",
    "\0\x09:protocol\x09websocket",
    "@\x01a\x01b",
    "\0\x06cookie\x03a=b",
    "\0\x0econtent-length\x015",
    "\0\x04host\x01h",
    "\0\x02te\x08trailers",
    "?\x71\x1f",
    "\x20",
    "\r\n",
    " ",
];

const BOUNDS: Bounds = Bounds { fields_max: 101, bytes_max: 16_384 };

/// A block is read within its bounds. A request that it makes is one request of HTTP/1, to the same host and path; its
/// fields survive being compressed.
pub fn block(bytes: &[u8]) {
    for accept_unsafe in [false, true] {
        let rules = Rules { accept_unsafe, extended_connect: true };
        let mut decoder = Decoder::new(TABLE_SIZE);
        let mut request = Request::default();
        let read = head::request(decoder.block(bytes, BOUNDS), &mut request, rules);
        // Names and values, the target and the cookies put together: each is there twice at most.
        assert!(request.fields.arena_len() <= 3 * BOUNDS.bytes_max, "{}", request.fields.arena_len());
        if read.is_ok() {
            downgrade(&request, accept_unsafe);
        }
        let mut response = Response::default();
        let _ = head::response(Decoder::new(TABLE_SIZE).block(bytes, BOUNDS), &mut response, rules);
        let mut trailers = Fields::default();
        if head::trailers(Decoder::new(TABLE_SIZE).block(bytes, BOUNDS), &mut trailers, rules).is_ok() {
            let (mut out, mut again) = (Vec::new(), Fields::default());
            head::write_trailers(&mut Encoder::default(), &trailers, &mut out);
            let twice = Bounds { fields_max: 101, bytes_max: 32_768 };
            head::trailers(Decoder::new(TABLE_SIZE).block(&out, twice), &mut again, rules)
                .expect("what was written is read");
            assert!(again.iter().eq(trailers.iter()), "fields change on their way");
        }
    }
}

/// What goes to an HTTP/1 server is one request, and the one that was judged.
fn downgrade(request: &Request, accept_unsafe: bool) {
    let mut sent = request.clone();
    let path = uri::split(request.target()).path_and_query.map(<[u8]>::to_vec);
    if request.fields.has(Known::Upgrade) {
        sent.fields.append(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==");
    }
    let mut written = Vec::new();
    encode::request(&sent, Body::None, Connection::Default, &mut written);
    let limits = Limits { fields_max: 200, bytes_max: 1 << 20, accept_unsafe };
    let mut again = Request::default();
    match parse_request(&written, &mut again, &limits) {
        Ok(Progress::Complete { len }) => assert_eq!(len, written.len(), "more than one head was written"),
        // A CONNECT or a Host that HTTP/1 has rules for is refused there, not misread.
        Err(refusal) => assert_eq!(refusal.status, 400),
        other => panic!("what was written is not a head: {other:?}"),
    }
    if again.method_bytes().is_empty() {
        return;
    }
    assert_eq!(again.method_bytes(), request.method_bytes());
    if request.method == Method::Connect {
        return assert_eq!(again.target(), request.target());
    }
    assert_eq!(uri::split(again.target()).path_and_query.map(<[u8]>::to_vec), path);
    let host = |request: &Request| request.fields.all_known(Known::Host).next().map(<[u8]>::to_vec);
    assert_eq!(host(&again), host(request));
}

/// The bytes of a client, as they are and as the sizes and types of frames.
pub fn server(bytes: &[u8]) {
    talk(true, bytes);
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    frames(bytes, b"\0\x0a:authority\x01h\x82\x84\x87", &mut out);
    talk(true, &out);
}

/// The bytes of a server that was asked three things, likewise.
pub fn client(bytes: &[u8]) {
    talk(false, bytes);
    let mut out = b"\0\0\0\x04\0\0\0\0\0".to_vec();
    frames(bytes, b"\x88", &mut out);
    talk(false, &out);
}

/// Makes frames with right lengths of any bytes, which would hardly ever have them: type, flags, stream and length,
/// then the payload, where HEADERS may start with `head`.
fn frames(bytes: &[u8], head: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some((&[kind, flags, stream, len], tail)) = rest.split_first_chunk() {
        let (payload, tail) = tail.split_at((usize::from(len) % 40).min(tail.len()));
        rest = tail;
        let kind = if kind < 0xf0 { kind % 10 } else { kind };
        let payload = match kind {
            1 if len >= 40 => [head, payload].concat(),
            _ => payload.to_vec(),
        };
        // Blocks mostly end.
        let flags = if kind == 1 && stream < 0xe0 { flags | 4 } else { flags };
        out.extend_from_slice(&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream % 12]);
        out.extend(payload);
    }
}

fn talk(is_server: bool, bytes: &[u8]) {
    let whole = Talk::new(is_server).run(bytes, bytes.len().max(1));
    for piece in [1, 3, 50] {
        assert_eq!(whole, Talk::new(is_server).run(bytes, piece), "in pieces of {piece}");
    }
}

struct Talk {
    conn: Conn,
    heads: Heads,
    said: Vec<String>,
    /// Bytes that wait for consumers, by stream.
    held: HashMap<StreamId, usize>,
}

const STREAMS_MAX: u32 = 8;
const RECEIVE_BUFFER: u32 = 70_000;

impl Talk {
    fn new(is_server: bool) -> Talk {
        let settings = Arc::new(Settings {
            streams_max: STREAMS_MAX,
            receive_buffer: RECEIVE_BUFFER,
            streams_total: 40,
            glitches_threshold: 100,
            ..Settings::default()
        });
        let conn = if is_server { Conn::server(settings, 1) } else { Conn::client(settings, 1) };
        let mut talk = Talk { conn, heads: Heads::default(), said: Vec::new(), held: HashMap::new() };
        for method in ["GET", "POST", "HEAD"] {
            let mut request = Request::default();
            request.set_method(method.as_bytes());
            request.set_target(b"/");
            let opening = Opening { scheme: b"https", length: None, end: method != "POST" };
            assert_eq!(talk.conn.open(&request, opening).is_ok(), !is_server);
        }
        talk
    }
    /// What is said of the bytes, however they are cut.
    fn run(mut self, bytes: &[u8], piece: usize) -> Vec<String> {
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            loop {
                let before = rest.len();
                while let Some(event) = self.conn.received(&mut rest, &mut self.heads, 1) {
                    self.event(event);
                }
                let len = self.conn.output().len();
                assert!(len <= 2 * OUTPUT_MAX + REPLIES_MAX + 20_000, "{len} bytes are staged");
                self.conn.wrote(len);
                assert!(self.conn.streams() <= STREAMS_MAX as usize);
                let held: usize = self.held.values().sum();
                assert!(held <= RECEIVE_BUFFER as usize, "{held} bytes are held");
                if rest.is_empty() || rest.len() == before {
                    break;
                }
            }
            if !rest.is_empty() {
                // As many streams as may be were reset: their user lets them go.
                assert!(!self.conn.wants_input());
                self.said.push("crowded".into());
                return self.said;
            }
        }
        self.said
    }
    fn event(&mut self, event: Event<'_>) {
        let text = match event {
            Event::Data { stream, bytes, end } => {
                *self.held.entry(stream).or_default() += bytes.len();
                self.conn.hold(stream, bytes);
                assert!(self.conn.held(stream).ends_with(bytes));
                // Every other stream has a consumer that takes what there is; the rest have one that does not.
                if stream.0 % 4 == 1 {
                    let len = self.conn.held(stream).len();
                    self.conn.taken(stream, len);
                    self.held.remove(&stream);
                }
                if let Some(last) = self.said.last_mut().filter(|last| **last == format!("data {stream}")) {
                    last.push_str(if end { " end" } else { "" });
                    return;
                }
                if bytes.is_empty() && !end {
                    return;
                }
                format!("data {stream}{}", if end { " end" } else { "" })
            }
            Event::Request { stream, end, .. } => {
                if stream.0 % 3 == 0 {
                    self.answer(stream);
                }
                format!("request {stream} {end}")
            }
            Event::Reset { stream, .. } => {
                self.release(stream);
                format!("{event:?}")
            }
            Event::Trailers { stream } if stream.0 % 3 == 1 => {
                self.release(stream);
                format!("{event:?}")
            }
            _ => format!("{event:?}"),
        };
        self.said.push(text);
    }
    fn answer(&mut self, stream: StreamId) {
        let response = Response { status: 200, ..Response::default() };
        let _ = self.conn.send_response(stream, &response, None, false);
        while self.conn.next_writable().is_some() {}
        if let Ok(100) = self.conn.send_data(stream, &[b'x'; 100], true, 1) {
            self.release(stream);
        }
    }
    fn release(&mut self, stream: StreamId) {
        self.conn.release(stream);
        self.held.remove(&stream);
    }
}
