//! Heads by table: fields in, the message that rules see or the reason why there is none.

use super::*;
use crate::http::h2::hpack::{Bounds, Decoder, Encoder, TABLE_SIZE};
use crate::http::{Request, Response};

const BOUNDS: Bounds = Bounds { fields_max: 101, bytes_max: 16_384 };
const STRICT: Rules = Rules { accept_unsafe: false, extended_connect: true };
const LAX: Rules = Rules { accept_unsafe: true, extended_connect: false };

/// A block of fields written `name=value`, separated by ` | `, with escapes of Rust in values.
fn block(fields: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields.split(" | ").filter(|field| !field.is_empty()) {
        let at = field[1..].find('=').map_or(field.len(), |at| at + 1);
        let (name, value) = (&field.as_bytes()[..at], field.as_bytes().get(at + 1..).unwrap_or_default());
        let value = unescape(value);
        out.extend_from_slice(&[0, name.len() as u8]);
        out.extend_from_slice(name);
        assert!(value.len() < 127);
        out.push(value.len() as u8);
        out.extend_from_slice(&value);
    }
    out
}

/// `^X` stands for the control character of X, `^~` for 0x80.
fn unescape(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        out.push(match (byte, byte == &b'^') {
            (_, true) => match bytes.next().expect("a character behind ^") {
                b'~' => 0x80,
                b'?' => 0x7f,
                letter => letter - b'@',
            },
            (byte, false) => *byte,
        });
    }
    out
}

fn show(fields: &Fields) -> String {
    let field = |(name, value): (&[u8], &[u8])| format!("{}={}", name.escape_ascii(), value.escape_ascii());
    fields.iter().map(field).collect::<Vec<_>>().join(" | ")
}

fn read_request(fields: &str, rules: Rules) -> String {
    let mut message = Request::default();
    match request(Decoder::new(TABLE_SIZE).block(&block(fields), BOUNDS), &mut message, rules) {
        Ok(head) => {
            let length = head.length.map_or(String::new(), |length| format!(" [{length}]"));
            let line = [message.method_bytes(), message.target()].map(|part| part.escape_ascii().to_string());
            format!("{}{length} {}", line.join(" "), show(&message.fields))
        }
        Err(Bad::Malformed(reason)) => reason.into(),
        Err(Bad::Denied(reason)) => format!("400 {reason}"),
        Err(bad) => format!("{bad:?}"),
    }
}

/// The pseudo-header fields of a plain request.
const GET: &str = ":method=GET | :scheme=https | :authority=a.example | :path=/p?q";

#[test]
fn requests() {
    let get = |more: &str| format!("{GET} | {more}");
    let cases = [
        (GET.to_string(), "GET https://a.example/p?q host=a.example"),
        (get("host=b"), "GET https://a.example/p?q host=a.example"),
        (get("a=b | c="), "GET https://a.example/p?q host=a.example | a=b | c="),
        (get("cookie=a=1 | x=y | cookie=b=2 | cookie=c=3"), "GET https://a.example/p?q host=a.example | x=y | cookie=a=1; b=2; c=3"),
        (get("cookie=a=1"), "GET https://a.example/p?q host=a.example | cookie=a=1"),
        (get("te=trailers"), "GET https://a.example/p?q host=a.example | te=trailers"),
        (get("content-length=5"), "GET https://a.example/p?q [5] host=a.example | content-length=5"),
        (get("content-length=5 | content-length=5"), "GET https://a.example/p?q [5] host=a.example | content-length=5"),
        (get("content-length=5, 5"), "GET https://a.example/p?q [5] host=a.example | content-length=5, 5"),
        (":method=GET | :scheme=https | :path=/ | host=h | a=b".into(), "GET / host=h | a=b"),
        (":method=GET | :scheme=https | :path=/".into(), "GET / "),
        (":scheme=http | :path=/x | :method=M-SEARCH | :authority=h:80".into(), "M-SEARCH http://h/x host=h"),
        (":method=GET | :scheme=https | :path=/ | :authority=h:443".into(), "GET https://h/ host=h"),
        (":method=GET | :scheme=https | :path=/ | :authority=h:80".into(), "GET https://h:80/ host=h:80"),
        (":method=GET | :scheme=http | :path=/ | :authority=[::1]:8080".into(), "GET http://[::1]:8080/ host=[::1]:8080"),
        (":method=OPTIONS | :scheme=https | :path=* | :authority=h".into(), "OPTIONS * host=h"),
        (":method=BREW | :scheme=https | :path=* | :authority=h".into(), "BREW * host=h"),
        (":method=CONNECT | :authority=h:443 | a=b".into(), "CONNECT h:443 host=h:443 | a=b"),
        (
            ":method=CONNECT | :protocol=websocket | :scheme=https | :path=/c | :authority=h | sec-websocket-version=13".into(),
            "GET https://h/c host=h | sec-websocket-version=13 | connection=Upgrade | upgrade=websocket",
        ),
        (get("a=^~"), "GET https://a.example/p?q host=a.example | a=\\x80"),
        (get("a=b^Ic"), "GET https://a.example/p?q host=a.example | a=b\\tc"),
    ];
    for (fields, expected) in cases {
        assert_eq!(read_request(&fields, STRICT), expected, "{fields}");
    }
}

#[test]
fn a_target_is_put_together_for_the_web_alone() {
    for (fields, expected) in [
        (GET, true),
        (":method=GET | :scheme=http | :path=/ | host=h", false),
        (":method=GET | :scheme=ftp | :authority=h | :path=/", false),
        (":method=OPTIONS | :scheme=https | :authority=h | :path=*", false),
    ] {
        let mut message = Request::default();
        request(Decoder::new(TABLE_SIZE).block(&block(fields), BOUNDS), &mut message, STRICT).unwrap();
        assert_eq!(message.has_parts, expected, "{fields}");
    }
}

#[test]
fn requests_that_are_none() {
    const REST: &str = " | :scheme=https | :authority=h | :path=/";
    let get = |more: &str| format!("{GET} | {more}");
    let cases = [
        (String::new(), "no :method"),
        (format!(":method={REST}"), "empty :method"),
        (format!(":method=G T{REST}"), "400 invalid :method"),
        (format!(":method=GET?{REST}"), "400 invalid :method"),
        (format!(":method=G^JT{REST}"), "invalid character in a field value"),
        (":method=GET | :authority=h | :path=/".into(), "no :scheme"),
        (":method=GET | :scheme= | :authority=h | :path=/".into(), "400 invalid :scheme"),
        (":method=GET | :scheme=1 | :authority=h | :path=/".into(), "400 invalid :scheme"),
        (":method=GET | :scheme=https://x/? | :authority=h | :path=/".into(), "400 invalid :scheme"),
        (":method=GET | :scheme=h^J | :authority=h | :path=/".into(), "invalid character in a field value"),
        (":method=GET | :scheme=https | :authority=h".into(), "no :path"),
        (":method=GET | :scheme=https | :authority=h | :path=".into(), "invalid :path"),
        (":method=GET | :scheme=https | :authority=h | :path=*".into(), "invalid :path"),
        (":method=PRI | :scheme=https | :authority=h | :path=*".into(), "400 HTTP/2 preface as a request"),
        (":method=GET | :scheme=https | :authority=h | :path=*x".into(), "invalid :path"),
        (":method=GET | :scheme=https | :authority=h | :path=x".into(), "invalid :path"),
        (":method=GET | :scheme=https | :authority=h | :path=http://h/".into(), "invalid :path"),
        (
            ":method=GET | :scheme=https | :authority=h | :path=/ HTTP/1.1".into(),
            "invalid character in :path",
        ),
        (":method=GET | :scheme=https | :authority=h | :path=/^M^J".into(), "invalid character in :path"),
        (":method=GET | :scheme=https | :authority=h | :path=/#f".into(), "invalid character in :path"),
        (":method=GET | :scheme=https | :authority=h | :path=/^~".into(), "invalid character in :path"),
        (":method=GET | :scheme=https | :authority=h | :path=/^@".into(), "invalid character in :path"),
        (":method=GET | :scheme=https | :authority= | :path=/".into(), "empty :authority"),
        (":method=GET | :scheme=https | :authority=:80 | :path=/".into(), "empty :authority"),
        (":method=GET | :scheme=https | :authority=u@h | :path=/".into(), "invalid character in :authority"),
        (":method=GET | :scheme=https | :authority=h/x | :path=/".into(), "invalid character in :authority"),
        (":method=GET | :scheme=https | :authority=h h | :path=/".into(), "invalid character in :authority"),
        (":method=GET | :scheme=https | :authority=h,i | :path=/".into(), "invalid character in :authority"),
        (
            ":method=GET | :scheme=https | :authority=h::80 | :path=/".into(),
            "invalid character in :authority",
        ),
        (
            ":method=GET | :scheme=https | :authority=h^J | :path=/".into(),
            "invalid character in a field value",
        ),
        (get(":path=/"), "repeated pseudo-header field"),
        (format!(":method=GET | :method=GET{REST}"), "repeated pseudo-header field"),
        (get("a=b | :path=/"), "pseudo-header field behind a field"),
        (get(":status=200"), "unknown pseudo-header field"),
        (get(":x=y"), "unknown pseudo-header field"),
        (get(":Path=/"), "unknown pseudo-header field"),
        (get(":protocol=websocket"), ":protocol without CONNECT"),
        (":method=CONNECT | :protocol=websocket | :authority=h".into(), "no :scheme"),
        (":method=CONNECT | :protocol= | :scheme=https | :path=/ | :authority=h".into(), "invalid :protocol"),
        (
            ":method=CONNECT | :protocol=web^J | :scheme=https | :path=/ | :authority=h".into(),
            "invalid :protocol",
        ),
        (
            ":method=CONNECT | :protocol=websocket | :scheme=https | :path=/".into(),
            "CONNECT without :authority",
        ),
        (":method=CONNECT".into(), "CONNECT without :authority"),
        (":method=CONNECT | :authority=h".into(), "CONNECT without a port"),
        (":method=CONNECT | :authority=h:".into(), "CONNECT without a port"),
        (":method=CONNECT | :authority=h:1 | :path=/".into(), "CONNECT with :scheme or :path"),
        (":method=CONNECT | :authority=h:1 | :scheme=https".into(), "CONNECT with :scheme or :path"),
        (get("A=b"), "invalid character in a field name"),
        (get("a b=c"), "invalid character in a field name"),
        (get("a:=c"), "invalid character in a field name"),
        (get("a=b | Content-Length=1"), "invalid character in a field name"),
        (get("a=b^@"), "invalid character in a field value"),
        (get("a=b^Jc: d"), "invalid character in a field value"),
        (get("a=b^Mc"), "invalid character in a field value"),
        (get("a=^A"), "invalid character in a field value"),
        (get("a=^?"), "invalid character in a field value"),
        (get("a= b"), "blank around a field value"),
        (get("a=b^I"), "blank around a field value"),
        (get("connection=close"), "field of a connection"),
        (get("connection="), "field of a connection"),
        (get("keep-alive=1"), "field of a connection"),
        (get("proxy-connection=x"), "field of a connection"),
        (get("transfer-encoding=chunked"), "field of a connection"),
        (get("upgrade=h2c"), "field of a connection"),
        (get("te=trailers, gzip"), "te with something other than trailers"),
        (get("te="), "te with something other than trailers"),
        (get("content-length=x"), "invalid content-length"),
        (get("content-length="), "invalid content-length"),
        (get("content-length=+1"), "invalid content-length"),
        (get("content-length=1,"), "invalid content-length"),
        (get("content-length=9223372036854775808"), "invalid content-length"),
        (get("content-length=1 | content-length=2"), "content-length fields that differ"),
        (get("content-length=1, 2"), "content-length fields that differ"),
        (":method=GET | :scheme=https | :path=/ | host=a | host=a".into(), "several Host fields"),
        (":method=GET | :scheme=https | :path=/ | host=a/b".into(), "invalid character in Host"),
    ];
    for (fields, expected) in cases {
        assert_eq!(read_request(&fields, STRICT), expected, "{fields}");
    }
    // An empty name.
    let mut bytes = block(GET);
    bytes.extend_from_slice(&[0, 0, 1, b'x']);
    let read = request(Decoder::new(TABLE_SIZE).block(&bytes, BOUNDS), &mut Request::default(), STRICT);
    assert_eq!(read, Err(Bad::Malformed("invalid character in a field name")));
}

#[test]
fn accepted_violations() {
    for (fields, expected) in [
        (":method=GET | :scheme=https | :authority=h | :path=/#^~", "GET https://h/#\\x80 host=h"),
        (
            ":method=GET | :scheme=https | :authority=h | :path=/ | a= b^A",
            "GET https://h/ host=h | a= b\\x01",
        ),
        (":method=GET | :scheme=https | :authority=h | :path=/ | a=^J", "invalid character in a field value"),
        (":method=GET | :scheme=https | :authority=h | :path=/ ", "invalid character in :path"),
        (
            ":method=CONNECT | :protocol=websocket | :scheme=https | :path=/ | :authority=h",
            "unknown pseudo-header field",
        ),
    ] {
        assert_eq!(read_request(fields, LAX), expected, "{fields}");
    }
}

#[test]
fn responses() {
    for (fields, expected) in [
        (":status=200", "200 "),
        (":status=204 | server=x | a=b", "204 server=x | a=b"),
        (":status=200 | content-length=7 | content-length=7", "200 [7] content-length=7"),
        (":status=100", "100 interim "),
        (":status=103 | link=x", "103 interim link=x"),
        (":status=999", "999 "),
        ("", "no :status"),
        ("a=b", "no :status"),
        (":status=101", "status 101"),
        (":status=", "invalid :status"),
        (":status=20", "invalid :status"),
        (":status=099", "invalid :status"),
        (":status=2000", "invalid :status"),
        (":status=2a0", "invalid :status"),
        (":status=200 | :status=200", "repeated pseudo-header field"),
        (":status=200 | :path=/", "unknown pseudo-header field"),
        ("a=b | :status=200", "pseudo-header field behind a field"),
        (":status=200 | connection=close", "field of a connection"),
        (":status=200 | transfer-encoding=chunked", "field of a connection"),
        (":status=200 | a=b^M^Jc: d", "invalid character in a field value"),
        (":status=200 | A=b", "invalid character in a field name"),
        (":status=200 | content-length=-1", "invalid content-length"),
    ] {
        let mut message = Response::default();
        let found =
            match response(Decoder::new(TABLE_SIZE).block(&block(fields), BOUNDS), &mut message, STRICT) {
                Ok(head) => {
                    let length = head.length.map_or(String::new(), |length| format!("[{length}] "));
                    let interim = if head.is_interim { "interim " } else { "" };
                    format!("{} {length}{interim}{}", message.status, show(&message.fields))
                }
                Err(Bad::Malformed(reason)) => reason.into(),
                Err(bad) => format!("{bad:?}"),
            };
        assert_eq!(found, expected, "{fields}");
    }
}

#[test]
fn trailer_sections() {
    for (fields, expected) in [
        ("", Ok("")),
        ("grpc-status=0 | x=y", Ok("grpc-status=0 | x=y")),
        ("content-length=5 | x=y | host=h | authorization=a", Ok("x=y")),
        (":path=/", Err(Bad::Malformed("pseudo-header field in trailers"))),
        (":status=200", Err(Bad::Malformed("pseudo-header field in trailers"))),
        ("X=y", Err(Bad::Malformed("invalid character in a field name"))),
        ("connection=x", Err(Bad::Malformed("field of a connection"))),
    ] {
        let mut message = Fields::default();
        let read = trailers(Decoder::new(TABLE_SIZE).block(&block(fields), BOUNDS), &mut message, STRICT);
        assert_eq!(read.map(|()| show(&message)), expected.map(str::to_owned), "{fields}");
    }
}

#[test]
fn what_is_too_large_or_malformed_keeps_the_connection_in_step() {
    let mut decoder = Decoder::new(TABLE_SIZE);
    let mut bytes = block(&format!("{GET} | A=b"));
    bytes.extend_from_slice(b"\x40\x01a\x01b");
    let read = request(decoder.block(&bytes, BOUNDS), &mut Request::default(), STRICT);
    assert_eq!(read, Err(Bad::Malformed("invalid character in a field name")));
    let tight = Bounds { fields_max: 4, bytes_max: 16_384 };
    let mut bytes = block(GET);
    bytes.extend_from_slice(b"\xbe\x40\x01c\x01d");
    let mut message = Request::default();
    assert_eq!(request(decoder.block(&bytes, tight), &mut message, STRICT), Err(Bad::TooLarge));
    assert_eq!(message.fields.arena_len(), 0);
    let mut bytes = block(GET);
    bytes.extend_from_slice(b"\xbe\xbf");
    request(decoder.block(&bytes, BOUNDS), &mut message, STRICT).unwrap();
    assert_eq!(show(&message.fields), "host=a.example | c=d | a=b");
    let read = request(decoder.block(b"\xff\xff\xff\xff\x0f", BOUNDS), &mut message, STRICT);
    assert!(matches!(read, Err(Bad::Block(_))));
    // Each cookie counts (the bomb of June 2026, CVE-2026-49975).
    let mut bytes = block(GET);
    bytes.extend_from_slice(&[0x60, 0].repeat(200));
    assert_eq!(request(decoder.block(&bytes, BOUNDS), &mut message, STRICT), Err(Bad::TooLarge));
}

/// Writes a head, reads it as HTTP/2 field lines.
fn written(write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut Encoder::default(), &mut out);
    let mut decoder = Decoder::new(TABLE_SIZE);
    let (mut block, mut fields) = (decoder.block(&out, BOUNDS), Fields::default());
    while let Some(field) = block.next(&mut fields).unwrap() {
        fields.push(field.name, field.value);
    }
    show(&fields)
}

#[test]
fn requests_to_servers() {
    use crate::http::h1::head::{Limits, parse_request};
    let line = RequestLine { scheme: b"https", protocol: None, length: None };
    let websocket = RequestLine { protocol: Some(b"websocket"), ..line };
    for (head, line, expected) in [
        (
            "GET /a?b HTTP/1.1\r\nHost: h\r\nX-A: B\r\n",
            line,
            ":method=GET | :scheme=https | :authority=h | :path=/a?b | x-a=B",
        ),
        (
            "GET http://h:8080?b HTTP/1.1\r\n",
            line,
            ":method=GET | :scheme=http | :authority=h:8080 | :path=/?b",
        ),
        ("GET http://h HTTP/1.1\r\nHost: h\r\n", line, ":method=GET | :scheme=http | :authority=h | :path=/"),
        (
            "OPTIONS * HTTP/1.1\r\nHost: h\r\n",
            line,
            ":method=OPTIONS | :scheme=https | :authority=h | :path=*",
        ),
        (
            "OPTIONS http://h HTTP/1.1\r\nHost: h\r\n",
            line,
            ":method=OPTIONS | :scheme=http | :authority=h | :path=*",
        ),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n", line, ":method=CONNECT | :authority=h:443"),
        ("GET / HTTP/1.0\r\n", line, ":method=GET | :scheme=https | :path=/"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: close, TE\r\nTE: gzip, trailers\r\nKeep-Alive: 1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nUpgrade: x\r\n",
            RequestLine { length: Some(3), ..line },
            ":method=POST | :scheme=https | :authority=h | :path=/ | content-length=3 | te=trailers",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nTE: gzip\r\n",
            line,
            ":method=GET | :scheme=https | :authority=h | :path=/",
        ),
        (
            "GET /c HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
            websocket,
            ":method=CONNECT | :scheme=https | :authority=h | :path=/c | :protocol=websocket | sec-websocket-version=13",
        ),
    ] {
        let mut message = Request::default();
        let limits = Limits { fields_max: 101, bytes_max: 15_360, accept_unsafe: false };
        parse_request(format!("{head}\r\n").as_bytes(), &mut message, &limits).unwrap();
        let found = written(|encoder, out| write_request(encoder, &message, line, out));
        assert_eq!(found, expected, "{head}");
    }
}

#[test]
fn a_request_survives_two_hops() {
    for fields in [
        GET.to_string(),
        format!("{GET} | a=b | cookie=a=1; b=2"),
        ":method=OPTIONS | :scheme=https | :authority=h | :path=*".into(),
        ":method=CONNECT | :authority=h:443".into(),
        ":method=GET | :scheme=http | :authority=[::1]:8080 | :path=/".into(),
    ] {
        let mut message = Request::default();
        request(Decoder::new(TABLE_SIZE).block(&block(&fields), BOUNDS), &mut message, STRICT).unwrap();
        let line = RequestLine { scheme: b"https", protocol: None, length: None };
        assert_eq!(written(|encoder, out| write_request(encoder, &message, line, out)), fields);
    }
}

#[test]
fn responses_to_clients() {
    let mut message = Response { status: 200, ..Response::default() };
    for (name, value) in [
        ("Server", "x"),
        ("Connection", "close"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "9"),
        ("Set-Cookie", "a=b"),
    ] {
        message.fields.append(name.as_bytes(), value.as_bytes());
    }
    let write = |message: &Response, length, tunnel| {
        written(|encoder, out| write_response(encoder, message, length, tunnel, out))
    };
    assert_eq!(write(&message, None, false), ":status=200 | server=x | set-cookie=a=b");
    assert_eq!(write(&message, Some(0), false), ":status=200 | content-length=0 | server=x | set-cookie=a=b");
    let mut switch = Response { status: 101, ..Response::default() };
    for (name, value) in [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "x"),
        ("Sec-WebSocket-Protocol", "chat"),
    ] {
        switch.fields.append(name.as_bytes(), value.as_bytes());
    }
    assert_eq!(write(&switch, None, true), ":status=200 | sec-websocket-protocol=chat");
    let trailers = written(|encoder, out| write_trailers(encoder, &message.fields, out));
    assert_eq!(trailers, "server=x | set-cookie=a=b");
}
