//! The words in which frames are written in `tests/hostile/http2`, and what a connection makes of them.
//!
//! `frames` lines hold frames separated by ` | `; a frame is a word and its arguments:
//!
//! ```text
//! preface                      the client's preface
//! settings 4=0 3=1             SETTINGS by number; settings-ack
//! headers 1 FLAGS FIELDS       HEADERS; fields are get, post, post=5 (its length), ok, trailers, A=b,C=d or 0xHEX;
//! continuation 1 FLAGS FIELDS  flags are letters: e END_STREAM, h END_HEADERS, p PADDED, y PRIORITY, - none
//! data 1 FLAGS 100             DATA of so many bytes (with p: the first octet is the length of the padding: 0xHEX)
//! reset 1 8 | ping | ping-ack | goaway 0 0 | window 1 10 | priority 1 3 | push 1
//! frame KIND FLAGS STREAM HEX  any frame; head LEN KIND FLAGS STREAM its head alone; hex HEX bytes
//! N*frame                      so many of them; a `+` behind a stream's number adds 2 each time
//! answer 1 | answered 1        the user sends a response's head, or a whole response
//! body 1 100 | take 1 100      the user sends body bytes, or takes received ones
//! rapid 1 | made FRAME         a request reset at once, one that this side is made to reset by a frame
//! answered-and-reset 1 | small 1   a request answered and another one reset, a byte taken at once
//! release 1 | open | tick 500  the user releases a stream, opens one (client), lets so many ms pass
//! ```

use std::sync::Arc;

use haring::http::h2::conn::{Event, Heads, Opening};
use haring::http::h2::frame::{self, FrameHead, HEAD_LEN, Kind, flag};
use haring::http::h2::{By, Conn, Reason, Role, Settings, StreamId};
use haring::http::{Request, Response};

/// A connection under test, with all that it said.
pub struct Bench {
    pub conn: Conn,
    heads: Heads,
    now: u64,
    /// Events and frames, in order, but for what every connection says.
    pub said: Vec<String>,
    /// Bytes of output that were not looked at yet.
    input: Vec<u8>,
}

impl Bench {
    pub fn new(role: Role, settings: Settings) -> Bench {
        let settings = Arc::new(settings);
        let conn = match role {
            Role::Server => Conn::server(settings, 1000),
            Role::Client => Conn::client(settings, 1000),
        };
        let mut bench =
            Bench { conn, heads: Heads::default(), now: 1000, said: Vec::new(), input: Vec::new() };
        bench.drain();
        bench.said.clear();
        bench
    }
    /// Runs a line of frames, in pieces of `piece` bytes.
    pub fn run(&mut self, line: &str, piece: usize) {
        for word in line.split(" | ") {
            let (count, word) = match word.split_once('*') {
                Some((count, word)) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (count.parse().expect("a count"), word)
                }
                _ => (1, word),
            };
            for at in 0..count {
                self.one(word, at, piece);
            }
        }
    }
    fn one(&mut self, word: &str, at: u32, piece: usize) {
        let mut words: Vec<_> = word.split_whitespace().collect();
        let name = words.remove(0);
        let number = |index: usize| number_of(words.get(index).copied().unwrap_or("0"), at);
        let stream = StreamId(words.first().map_or(0, |word| number_of_stream(word, at)));
        match name {
            "answer" | "answered" => {
                let response = Response { status: 200, ..Response::default() };
                let _ = self.conn.send_response(stream, &response, None, name == "answered");
            }
            "body" => {
                while self.conn.next_writable().is_some() {}
                let body = vec![b'b'; number(1) as usize];
                let sent = self.conn.send_data(stream, &body, false, self.now);
                if let Ok(sent) = sent {
                    self.said.push(format!("sent {sent}"));
                }
            }
            "take" => self.conn.taken(stream, number(1) as usize),
            "release" => self.conn.release(stream),
            "open" => self.open(words.first().copied().unwrap_or("GET")),
            "leave" => self.conn.shut_down(self.now),
            "tick" => {
                self.now += u64::from(number(0));
                self.conn.tick(self.now);
                self.feed(&[]);
            }
            // A request and its reset, all in one; the user is done at once.
            "rapid" => {
                let mut bytes = bytes_of("headers", &[&stream.to_string(), "eh", "get"], 0);
                bytes.extend(bytes_of("reset", &[&stream.to_string(), "8"], 0));
                self.feed(&bytes);
                self.conn.release(stream);
            }
            // A request that is answered, and one that is reset.
            "answered-and-reset" => {
                for (id, is_answered) in [(2 * stream.0 - 1, true), (2 * stream.0 + 1, false)] {
                    let mut bytes = bytes_of("headers", &[&id.to_string(), "eh", "get"], 0);
                    if !is_answered {
                        bytes.extend(bytes_of("reset", &[&id.to_string(), "8"], 0));
                    }
                    self.feed(&bytes);
                    let response = Response { status: 200, ..Response::default() };
                    let _ = self.conn.send_response(StreamId(id), &response, None, true);
                    self.conn.release(StreamId(id));
                }
            }
            // A request and what makes this side reset it.
            "made" => {
                let stream = StreamId(number_of(words[1], at));
                self.feed(&bytes_of("headers", &[&stream.to_string(), "eh", "get"], 0));
                let frame = words.remove(0);
                self.feed(&bytes_of(frame, &words, at));
                self.conn.release(stream);
            }
            // A byte that is taken at once.
            "small" => {
                self.feed(&bytes_of("data", &[words[0], "-", "1"], 0));
                self.conn.taken(stream, 1);
            }
            _ => {
                let bytes = bytes_of(name, &words, at);
                for piece in bytes.chunks(piece.max(1)) {
                    self.feed(piece);
                }
                if bytes.is_empty() {
                    self.feed(&[]);
                }
            }
        }
        self.drain();
    }
    fn open(&mut self, method: &str) {
        let mut request = Request::default();
        request.set_method(method.as_bytes());
        request.set_target(b"/");
        request.fields.append(b"host", b"h");
        match self.conn.open(&request, Opening { scheme: b"https", length: None, end: method != "POST" }) {
            Ok(stream) => self.said.push(format!("open {stream}")),
            Err(why) => self.said.push(format!("{why:?}")),
        }
    }
    /// Gives bytes of the peer to the connection.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            while let Some(event) = self.conn.received(&mut rest, &mut self.heads, self.now) {
                // What this made it send stands before what it says of it.
                self.drain();
                self.said.extend(show(event));
            }
            // A peer that reads all answers makes room for more.
            let before = rest.len();
            self.drain();
            if rest.is_empty() || (rest.len() == before && !self.conn.wants_input()) {
                return;
            }
        }
    }
    /// Reads what the connection wants to send.
    pub fn drain(&mut self) {
        self.input.extend_from_slice(self.conn.output());
        self.conn.wrote(self.conn.output().len());
        if self.input.starts_with(frame::PREFACE) {
            self.input.drain(..frame::PREFACE.len());
        }
        while let Some(head) = self.input.get(..HEAD_LEN) {
            let head = FrameHead::parse(head.try_into().expect("nine bytes"));
            let payload = self.input[HEAD_LEN..HEAD_LEN + head.len as usize].to_vec();
            self.input.drain(..HEAD_LEN + payload.len());
            self.said.extend(show_frame(head, &payload));
        }
    }
}

fn show(event: Event<'_>) -> Option<String> {
    Some(match event {
        Event::Request { stream, end, .. } => format!("request {stream}{}", if end { " end" } else { "" }),
        Event::Interim { stream } => format!("interim {stream}"),
        Event::Response { stream, end, .. } => format!("response {stream}{}", if end { " end" } else { "" }),
        Event::Data { stream, bytes, end } => {
            format!("data {stream} {}{}", bytes.len(), if end { " end" } else { "" })
        }
        Event::Trailers { stream } => format!("trailers {stream}"),
        Event::Reset { stream, reason, by, can_retry, .. } => {
            let by = if by == By::Peer { "by peer" } else { "here" };
            format!("gone {stream} {} {by}{}", reason.name(), if can_retry { " retry" } else { "" })
        }
        Event::Refused { stream, status, .. } => format!("refused {stream} {status}"),
        Event::Settings => return None,
        Event::GoAway { last, reason } => format!("leaves {last} {}", reason.name()),
        Event::Pause => "pause".into(),
        Event::Failed { reason, .. } => format!("failed {}", reason.name()),
    })
}

fn show_frame(head: FrameHead, payload: &[u8]) -> Option<String> {
    let end = if head.has(flag::END_STREAM) { " END" } else { "" };
    let reason = |from: usize| Reason(frame::number(&payload[from..])).name();
    Some(match head.kind {
        Kind::SETTINGS => return None,
        Kind::WINDOW_UPDATE => format!("WINDOW {} {}", head.stream, frame::number(payload)),
        Kind::RST_STREAM => format!("RST {} {}", head.stream, reason(0)),
        Kind::GOAWAY => format!("GOAWAY {} {}", frame::number(payload), reason(4)),
        Kind::PING => format!("PING{}", if head.has(flag::ACK) { " ACK" } else { "" }),
        Kind::HEADERS => format!("HEADERS {}{end}", head.stream),
        Kind::DATA => format!("DATA {} {}{end}", head.stream, payload.len()),
        kind => format!("{kind:?}"),
    })
}

fn number_of(word: &str, at: u32) -> u32 {
    match word.strip_suffix('+') {
        Some(word) => number_of(word, 0) + 2 * at,
        None => word.parse().unwrap_or_else(|_| panic!("no number: {word}")),
    }
}

/// The bytes of a frame.
pub fn bytes_of(name: &str, words: &[&str], at: u32) -> Vec<u8> {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let number = |index: usize| number_of(words.get(index).copied().unwrap_or("0"), at);
    let stream =
        StreamId(if words.is_empty() || word(0).contains('=') { 0 } else { number_of_stream(word(0), at) });
    let mut out = Vec::new();
    let flags = flags_of(word(1));
    match name {
        "preface" => out.extend_from_slice(frame::PREFACE),
        "settings" => {
            let pair =
                |pair: &str| pair.split_once('=').map(|(a, b)| (number_of(a, 0) as u16, number_of(b, 0)));
            let list: Vec<_> = words.iter().filter_map(|word| pair(word)).collect();
            frame::write_settings(&list, &mut out);
        }
        "settings-ack" => frame::write(Kind::SETTINGS, flag::ACK, StreamId(0), &[], &mut out),
        "headers" => frame::write(Kind::HEADERS, flags, stream, &block(&words[2..].join(" ")), &mut out),
        "continuation" => {
            frame::write(Kind::CONTINUATION, flags, stream, &block(&words[2..].join(" ")), &mut out);
        }
        "data" => match word(2).strip_prefix("0x") {
            Some(hex) => frame::write(Kind::DATA, flags, stream, &unhex(hex), &mut out),
            None => frame::write(Kind::DATA, flags, stream, &vec![b'd'; number(2) as usize], &mut out),
        },
        "reset" => frame::write_reset(stream, Reason(number(1)), &mut out),
        "ping" => frame::write_ping(0, *b"pingping", &mut out),
        "ping-ack" => frame::write_ping(flag::ACK, *b"leaving\0", &mut out),
        "goaway" => frame::write_goaway(stream, Reason(number(1)), &mut out),
        "window" => frame::write_window_update(stream, number(1), &mut out),
        "priority" => {
            let mut payload = number(1).to_be_bytes().to_vec();
            payload.push(16);
            frame::write(Kind::PRIORITY, 0, stream, &payload, &mut out);
        }
        "push" => frame::write(Kind::PUSH_PROMISE, flag::END_HEADERS, stream, &[0, 0, 0, 2, 0x82], &mut out),
        "frame" => frame::write(Kind(number(0) as u8), flags, StreamId(number(2)), &unhex(word(3)), &mut out),
        "head" => {
            let head = FrameHead {
                len: number(0),
                kind: Kind(number(1) as u8),
                flags: flags_of(word(2)),
                stream: StreamId(number(3)),
            };
            out.extend_from_slice(&head.bytes());
        }
        "hex" => out.extend(unhex(&words.concat())),
        _ => panic!("no such word: {name}"),
    }
    out
}

fn number_of_stream(word: &str, at: u32) -> u32 {
    word.trim_end_matches('+')
        .parse::<u32>()
        .map_or(0, |number| number + if word.ends_with('+') { 2 * at } else { 0 })
}

fn flags_of(letters: &str) -> u8 {
    if let Some(hex) = letters.strip_prefix("0x") {
        return unhex(hex)[0];
    }
    letters
        .bytes()
        .map(|letter| match letter {
            b'e' => flag::END_STREAM,
            b'h' => flag::END_HEADERS,
            b'p' => flag::PADDED,
            b'y' => flag::PRIORITY,
            _ => 0,
        })
        .fold(0, |all, one| all | one)
}

/// A header block without compression.
fn block(fields: &str) -> Vec<u8> {
    if let Some(hex) = fields.strip_prefix("0x") {
        return unhex(hex);
    }
    let plain = ":method=GET,:scheme=https,:authority=h,:path=/";
    let fields = match fields {
        "get" => plain.to_owned(),
        "post" => plain.replace("GET", "POST"),
        "ok" => ":status=200".to_owned(),
        "trailers" => "x=y".to_owned(),
        _ => match fields.strip_prefix("post=") {
            Some(length) => format!("{},content-length={length}", plain.replace("GET", "POST")),
            None => fields.replace("get,", &format!("{plain},")),
        },
    };
    let mut out = Vec::new();
    for field in fields.split(',').filter(|field| !field.is_empty()) {
        let at = field.bytes().skip(1).position(|byte| byte == b'=').expect("a name and a value") + 1;
        let (name, value) = (&field[..at], &field[at + 1..]);
        let value = value.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0");
        out.extend_from_slice(&[0, name.len() as u8]);
        out.extend_from_slice(name.as_bytes());
        out.push(value.len() as u8);
        out.extend_from_slice(value.as_bytes());
    }
    out
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|byte| char::from(byte).to_digit(16).map(|digit| digit as u8)).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
