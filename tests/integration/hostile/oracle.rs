//! A strict reader of HTTP/1 as a proxy should write it: the oracle of these tests.
//!
//! It shares no code with the proxy and forgives nothing: what RFC 9112 merely tolerates is wrong here, since
//! the proxy writes every head anew and every server on the way must read it alike.

/// A request as a server reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub minor: u8,
    pub fields: Vec<(String, Vec<u8>)>,
    pub framing: Framing,
    pub body: Vec<u8>,
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A response as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, Vec<u8>)>,
    pub framing: Framing,
    pub body: Vec<u8>,
}

/// Nothing whole yet, a message and its length, or what is wrong.
pub type Read<T> = Result<Option<(T, usize)>, String>;

/// The client that made the request, told by the proxy's own field: a request without one is none of the proxy's.
pub const CLIENT: &str = "x-client";

/// Fields that a trailer section never has: they would act on a message that was judged already.
const NOT_IN_TRAILERS: &[&str] = &[
    "content-length",
    "transfer-encoding",
    "host",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "authorization",
    "cookie",
    "content-type",
    "expect",
];

/// The first value of a field.
pub fn value<'a>(fields: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    let named = |(own, _): &&(String, Vec<u8>)| own.eq_ignore_ascii_case(name);
    fields.iter().find(named).map(|(_, value)| value.as_slice())
}

/// The first value of a field as text.
pub fn text(fields: &[(String, Vec<u8>)], name: &str) -> String {
    value(fields, name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

/// Reads the request at the start of `bytes`.
pub fn request(bytes: &[u8]) -> Read<Request> {
    let Some((line, mut at)) = line(bytes)? else { return Ok(None) };
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else { return Err(bad("request line", line)) };
    if method.is_empty() || !method.iter().copied().all(is_token) {
        return Err(bad("method", line));
    }
    let minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => return Err(bad("version", line)),
    };
    if target.is_empty() || !target.iter().all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'#') {
        return Err(bad("target", line));
    }
    let absolute = target.windows(3).any(|part| part == b"://") && target[0].is_ascii_alphabetic();
    if !(target[0] == b'/' || target == b"*" || absolute || method == b"CONNECT") {
        return Err(bad("form of the target", line));
    }
    let Some((fields, end)) = fields(&bytes[at..])? else { return Ok(None) };
    at += end;
    let count = |name: &str| fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).count();
    if count("host") > 1 || count(CLIENT) != 1 {
        return Err(format!(
            "not a request that the proxy made: {:?} {fields:?}",
            line.escape_ascii().to_string()
        ));
    }
    for name in ["keep-alive", "proxy-connection"] {
        if count(name) > 0 {
            return Err(format!("{name} belongs to the connection before"));
        }
    }
    let framing = framing(&fields, minor)?;
    let head = Request {
        method: String::from_utf8_lossy(method).into(),
        target: String::from_utf8_lossy(target).into(),
        minor,
        fields,
        framing,
        body: Vec::new(),
    };
    let Some((body, len)) = body(framing, &bytes[at..])? else { return Ok(None) };
    Ok(Some((Request { body, ..head }, at + len)))
}

/// Reads the head of the request at the start of `bytes` only, to tell what was broken off.
pub fn request_head(bytes: &[u8]) -> Option<String> {
    let (line, _) = line(bytes).ok()??;
    Some(String::from_utf8_lossy(line.strip_suffix(b" HTTP/1.1").unwrap_or(line)).into_owned())
}

/// Reads the response at the start of `bytes`; `head_only` if it answers HEAD, `ended` if no more will come.
pub fn response(bytes: &[u8], head_only: impl FnOnce(&Response) -> bool, ended: bool) -> Read<Response> {
    let Some((line, mut at)) = line(bytes)? else { return Ok(None) };
    let version = line.get(..9).unwrap_or_default();
    let status = line.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let (Some(status), b"HTTP/1.1 " | b"HTTP/1.0 ") = (status, version) else {
        return Err(bad("status line", line));
    };
    if !(100..=999).contains(&status) || line.get(12) != Some(&b' ') {
        return Err(bad("status", line));
    }
    if line[13..].iter().any(|byte| !(*byte == b'\t' || (b' '..=b'~').contains(byte) || *byte >= 0x80)) {
        return Err(bad("reason", line));
    }
    let Some((fields, end)) = fields(&bytes[at..])? else { return Ok(None) };
    at += end;
    let minor = version[7] - b'0';
    let mut framing = framing(&fields, minor)?;
    let mut head = Response { status, fields, framing, body: Vec::new() };
    if matches!(status, 100..=199 | 204) && framing != Framing::None {
        return Err(format!("framing in a {status}: {framing:?}"));
    }
    if matches!(status, 100..=199 | 204 | 304) || head_only(&head) {
        return Ok(Some((head, at)));
    }
    if framing == Framing::None {
        framing = Framing::UntilClose;
        head.framing = framing;
    }
    if framing == Framing::UntilClose {
        let body = bytes[at..].to_vec();
        return Ok(ended.then_some((Response { body, ..head }, bytes.len())));
    }
    let Some((body, len)) = body(framing, &bytes[at..])? else { return Ok(None) };
    Ok(Some((Response { body, ..head }, at + len)))
}

fn bad(what: &str, line: &[u8]) -> String {
    format!("{what}: \"{}\"", line.escape_ascii())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A line that ends with CRLF and holds neither CR, LF nor NUL, and where the next one starts.
fn line(bytes: &[u8]) -> Read<&[u8]> {
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' => match bytes.get(at + 1) {
                Some(b'\n') => return Ok(Some((&bytes[..at], at + 2))),
                Some(_) => return Err(bad("bare CR", &bytes[..at])),
                None => return Ok(None),
            },
            b'\n' => return Err(bad("bare LF", &bytes[..at])),
            0 => return Err(bad("NUL", &bytes[..at])),
            _ => {}
        }
    }
    Ok(None)
}

/// A field section with the empty line that ends it.
fn fields(bytes: &[u8]) -> Read<Vec<(String, Vec<u8>)>> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let Some((line, len)) = line(&bytes[at..])? else { return Ok(None) };
        at += len;
        if line.is_empty() {
            return Ok(Some((fields, at)));
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| bad("no colon", line))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(bad("field name", line));
        }
        let value = value.strip_prefix(b" ").ok_or_else(|| bad("one space after the colon", line))?;
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if is_blank(value.first()) || is_blank(value.last()) {
            return Err(bad("blanks around a value", line));
        }
        if value.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
            return Err(bad("control character", line));
        }
        fields.push((String::from_utf8_lossy(name).into(), value.to_vec()));
    }
}

/// The framing that fields written by the proxy tell: one field, in the proxy's own lower case.
fn framing(fields: &[(String, Vec<u8>)], minor: u8) -> Result<Framing, String> {
    let mut found = Framing::None;
    for (name, value) in fields {
        let one = match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let digits = std::str::from_utf8(value).unwrap_or_default();
                let length: u64 = digits.parse().map_err(|_| bad("content-length", value))?;
                if length.to_string() != digits {
                    return Err(bad("content-length not canonical", value));
                }
                Framing::Length(length)
            }
            "transfer-encoding" if value == b"chunked" && minor == 1 => Framing::Chunked,
            "transfer-encoding" => return Err(bad("transfer-encoding", value)),
            "connection" if !matches!(&value[..], b"close" | b"keep-alive" | b"upgrade") => {
                return Err(bad("connection", value));
            }
            "te" if value != b"trailers" => return Err(bad("te", value)),
            _ => continue,
        };
        if found != Framing::None || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("framing fields that the proxy did not write: {fields:?}"));
        }
        found = one;
    }
    Ok(found)
}

fn body(framing: Framing, bytes: &[u8]) -> Read<Vec<u8>> {
    match framing {
        Framing::None | Framing::UntilClose => Ok(Some((Vec::new(), 0))),
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Ok((bytes.len() >= length).then(|| (bytes[..length].to_vec(), length)))
        }
        Framing::Chunked => chunks(bytes),
    }
}

fn chunks(bytes: &[u8]) -> Read<Vec<u8>> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some((size, len)) = line(&bytes[at..])? else { return Ok(None) };
        at += len;
        if size.is_empty() || size.len() > 13 || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad("chunk size", size));
        }
        let length = usize::from_str_radix(&String::from_utf8_lossy(size), 16).map_err(|e| e.to_string())?;
        if length == 0 {
            let Some((trailers, len)) = fields(&bytes[at..])? else { return Ok(None) };
            let wrong = |(name, _): &&(String, Vec<u8>)| {
                NOT_IN_TRAILERS.iter().any(|other| name.eq_ignore_ascii_case(other))
            };
            if let Some(field) = trailers.iter().find(wrong) {
                return Err(format!("a trailer that must not be: {field:?}"));
            }
            return Ok(Some((body, at + len)));
        }
        let Some(data) = bytes.get(at..at.saturating_add(length)) else { return Ok(None) };
        match bytes.get(at + length..at + length + 2) {
            None => return Ok(None),
            Some(b"\r\n") => {}
            Some(other) => return Err(bad("after a chunk", other)),
        }
        body.extend_from_slice(data);
        at += length + 2;
    }
}

/// What the oracle itself says of messages, so that it is known to refuse.
#[test]
fn the_oracle_is_strict() {
    let head = "GET / HTTP/1.1\r\nx-client: a\r\n";
    for (fields, expected) in [
        ("\r\n", Ok(Framing::None)),
        ("content-length: 0\r\n\r\n", Ok(Framing::Length(0))),
        ("content-length: 3\r\n\r\nabc", Ok(Framing::Length(3))),
        ("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Ok(Framing::Chunked)),
        ("Content-Length: 3\r\n\r\nabc", Err("did not write")),
        ("content-length: 03\r\n\r\nabc", Err("not canonical")),
        ("content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", Err("did not write")),
        ("transfer-encoding: chunked, chunked\r\n\r\n", Err("transfer-encoding")),
        ("transfer-encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\n\r\n", Err("chunk size")),
        ("transfer-encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n", Err("trailer")),
        ("x:y\r\n\r\n", Err("one space")),
        ("x: y \r\n\r\n", Err("blanks")),
        ("x: \r\n y\r\n\r\n", Err("no colon")),
        ("x : y\r\n\r\n", Err("field name")),
        ("x: y\n\r\n", Err("bare LF")),
        ("x: y\rz\r\n\r\n", Err("bare CR")),
        ("x: \x01\r\n\r\n", Err("control")),
        ("x-client: b\r\n\r\n", Err("not a request that the proxy made")),
        ("connection: x\r\n\r\n", Err("connection")),
    ] {
        let found = request(format!("{head}{fields}").as_bytes());
        match (found, expected) {
            (Ok(Some((request, _))), Ok(framing)) => assert_eq!(request.framing, framing, "{fields:?}"),
            (Err(found), Err(reason)) => assert!(found.contains(reason), "{fields:?}: {found}"),
            (found, _) => panic!("{fields:?}: {found:?}"),
        }
    }
    for line in
        ["GET /a b HTTP/1.1", "GET  / HTTP/1.1", "GET /# HTTP/1.1", "GET x HTTP/1.1", "GET / HTTP/1.2"]
    {
        assert!(request(format!("{line}\r\nx-client: a\r\n\r\n").as_bytes()).is_err(), "{line}");
    }
}
