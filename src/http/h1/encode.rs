//! Head -> bytes. Framing and persistence fields are written anew, never copied; what rules and error files
//! wrote of the connection is said, what a peer said of its own is not.
//!
//! Names go out as they came in. What this proxy writes itself is in lower case, as HAProxy does.

use super::framing::Body;
use super::persist;
use crate::http::message::Field;
use crate::http::{Fields, Known, Method, Request, Response, Version, list, status, uri};

/// The `Connection` field to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connection {
    /// None: what the version implies.
    #[default]
    Default,
    /// `close`.
    Close,
    /// `keep-alive` (towards HTTP/1.0 peers).
    KeepAlive,
}

/// Appends the head of a request as it goes to a server.
pub fn request(request: &Request, body: Body, connection: Connection, out: &mut Vec<u8>) {
    out.reserve(request.fields.arena_len() + FRAMING_ROOM);
    out.extend_from_slice(request.method_bytes());
    out.push(b' ');
    target(request, out);
    out.push(b' ');
    out.extend_from_slice(super::framing::for_server(body, request.version).token().as_bytes());
    out.extend_from_slice(b"\r\n");
    let upgrades = persist::request_upgrades(request);
    let upgrade = fields(&request.fields, |field| upgrades || field.written, out);
    framing(body, out);
    // A switch of protocols takes the connection with it: nothing is to be said of its persistence.
    options(upgrade, if upgrades { Connection::Default } else { connection }, out);
    out.extend_from_slice(b"\r\n");
}

/// The target as it goes to a server: the client's own, or the origin form of what HTTP/2 said in parts.
fn target(request: &Request, out: &mut Vec<u8>) {
    if !request.has_parts {
        return out.extend_from_slice(request.target());
    }
    match uri::split(request.target()).path_and_query {
        Some(path) if path.starts_with(b"/") => out.extend_from_slice(path),
        // RFC 9112 section 3.2.4: an absolute form without a path.
        None if request.method == Method::Options => out.push(b'*'),
        rest => {
            out.push(b'/');
            out.extend_from_slice(rest.unwrap_or_default());
        }
    }
}

/// Appends the head of a response as it goes to a client.
///
/// `body` frames what will follow; for a response without a body to HEAD or a 304 pass the body
/// its fields described so that `Content-Length` survives.
pub fn response(response: &Response, body: Body, connection: Connection, out: &mut Vec<u8>) {
    out.reserve(response.fields.arena_len() + FRAMING_ROOM);
    let version = if body == Body::Chunked { Version::Http11 } else { response.version.min(Version::Http11) };
    status_line(version, response.status, response.reason(), out);
    // An `Upgrade` tells what the server could switch to; 426 must have it (RFC 9110 section 15.5.22).
    let upgrade = fields(&response.fields, |_| true, out);
    match (response.status, body) {
        // RFC 9110 section 8.6 and RFC 9112 section 6.1: neither field in 1xx and 204, unless it is written here.
        (204, _) => {
            for length in response.fields.written(Known::ContentLength) {
                field(b"content-length", length, out);
            }
        }
        (100..=199, _) | (304, Body::None) => {}
        (_, Body::None) => framing(Body::Length(0), out),
        (_, body) => framing(body, out),
    }
    options(upgrade, connection, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a status line; an empty `reason` stands for the status's own.
pub fn status_line(version: Version, code: u16, reason: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(version.token().as_bytes());
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
    out.push(b' ');
    out.extend_from_slice(if reason.is_empty() { status::reason(code).as_bytes() } else { reason });
    out.extend_from_slice(b"\r\n");
}

/// Appends a field.
#[inline]
pub fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the `content-length` or `transfer-encoding` field of a body.
pub fn framing(body: Body, out: &mut Vec<u8>) {
    match body {
        Body::None | Body::UntilClose => {}
        Body::Length(length) => {
            field(b"content-length", itoa::Buffer::new().format(length).as_bytes(), out);
        }
        Body::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

/// Appends the `connection` field.
fn options(upgrade: bool, connection: Connection, out: &mut Vec<u8>) {
    out.extend_from_slice(match (connection, upgrade) {
        (Connection::Default, false) => b"",
        (Connection::Default, true) => b"connection: upgrade\r\n",
        (Connection::Close, false) => b"connection: close\r\n",
        (Connection::Close, true) => b"connection: close, upgrade\r\n",
        (Connection::KeepAlive, false) => b"connection: keep-alive\r\n",
        (Connection::KeepAlive, true) => b"connection: keep-alive, upgrade\r\n",
    });
}

/// Room for separators and the fields written anew, so that a head takes one allocation at most.
const FRAMING_ROOM: usize = 512;

/// The fields that are the message's and not the connection's (RFC 9110 section 7.6.1), and those of the
/// connection that are written here. `upgrades` tells which `Upgrade` fields go through. Whether `Connection`
/// is to name `upgrade`.
fn fields(fields: &Fields, upgrades: impl Fn(&Field) -> bool, out: &mut Vec<u8>) -> bool {
    let (mut protocols, mut option) = (false, false);
    for one in fields.list() {
        let (name, value) = (fields.bytes(one.name), fields.bytes(one.value));
        match one.known {
            Known::Connection if one.written => option |= own_options(name, value, out),
            Known::KeepAlive | Known::ProxyConnection if one.written => field(name, value, out),
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ContentLength
            | Known::TransferEncoding => {}
            // RFC 9110 section 10.1.4: only trailers can be vouched for on the next hop.
            Known::Te => {
                if list::contains(value, b"trailers") {
                    field(name, b"trailers", out);
                }
            }
            Known::Upgrade => {
                if upgrades(one) {
                    protocols |= upgrade(name, value, out);
                }
            }
            _ => field(name, value, out),
        }
    }
    option || (protocols && persist::names(fields, b"upgrade"))
}

/// A `Connection` field that is written here, but for the options that the caller decides on; whether it names
/// `upgrade`.
fn own_options(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> bool {
    const DECIDED: [&[u8]; 4] = [b"", b"close", b"keep-alive", b"upgrade"];
    let others =
        list::items(value).filter(|option| !DECIDED.iter().any(|word| option.eq_ignore_ascii_case(word)));
    join(name, others, out);
    list::contains(value, b"upgrade")
}

/// An `Upgrade` field without the protocols that do not go through; whether one is left.
fn upgrade(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> bool {
    join(name, list::items(value).filter(|protocol| persist::is_upgradable(protocol)), out)
}

/// Appends a field with these members of a list; none at all without members. Whether there were any.
fn join<'a>(name: &[u8], members: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) -> bool {
    let mut separator: &[u8] = b": ";
    for member in members {
        if separator == b": " {
            out.extend_from_slice(name);
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(member);
        separator = b", ";
    }
    let any = separator != b": ";
    if any {
        out.extend_from_slice(b"\r\n");
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::head::{Limits, parse_request, parse_response};

    const LIMITS: Limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: false };

    #[test]
    fn targets_in_parts_take_the_origin_form() {
        for (method, target, expected) in [
            ("GET", "https://h/a?b", "GET /a?b HTTP/1.1"),
            ("GET", "https://h", "GET / HTTP/1.1"),
            ("GET", "https://h?a", "GET /?a HTTP/1.1"),
            ("OPTIONS", "https://h", "OPTIONS * HTTP/1.1"),
            ("GET", "/a", "GET /a HTTP/1.1"),
        ] {
            let mut message = Request { has_parts: true, version: Version::Http2, ..Request::default() };
            message.set_method(method.as_bytes());
            message.set_target(target.as_bytes());
            let mut out = Vec::new();
            request(&message, Body::None, Connection::Default, &mut out);
            assert_eq!(out.escape_ascii().to_string(), format!("{expected}\\r\\n\\r\\n"));
        }
    }

    #[test]
    fn requests() {
        let plain = "close, X-Hop";
        for (options, body, connection, expected) in [
            (
                plain,
                Body::Length(5),
                Connection::Default,
                "POST /p?q HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nCooKie: a=b\r\ncontent-length: 5\r\n\r\n",
            ),
            (
                plain,
                Body::Chunked,
                Connection::Close,
                "POST /p?q HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nCooKie: a=b\r\ntransfer-encoding: chunked\r\n\
                 connection: close\r\n\r\n",
            ),
            (
                "X-Hop, Upgrade",
                Body::None,
                Connection::Close,
                "POST /p?q HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nUpgrade: foo\r\nCooKie: a=b\r\n\
                 connection: upgrade\r\n\r\n",
            ),
        ] {
            let head = format!(
                "POST /p?q HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\nConnection: {options}\r\nX-Hop: 1\r\n\
                 Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip, trailers\r\nUpgrade: h2c, foo\r\nCooKie: a=b\r\n\r\n"
            );
            let mut parsed = Request::default();
            parse_request(head.as_bytes(), &mut parsed, &LIMITS).unwrap();
            let mut out = Vec::new();
            request(&parsed, body, connection, &mut out);
            assert_eq!(str::from_utf8(&out).unwrap(), expected);
        }
    }

    #[test]
    fn responses() {
        for (head, body, expected) in [
            (
                "HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 3\r\n\r\n",
                Body::Length(3),
                "HTTP/1.1 200 Fine\r\nA: b\r\ncontent-length: 3\r\n\r\n",
            ),
            ("HTTP/1.1 200 Fine\r\n\r\n", Body::None, "HTTP/1.1 200 Fine\r\ncontent-length: 0\r\n\r\n"),
            ("HTTP/1.1 200 Fine\r\n\r\n", Body::UntilClose, "HTTP/1.1 200 Fine\r\n\r\n"),
            (
                "HTTP/1.0 200 Fine\r\n\r\n",
                Body::Chunked,
                "HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                "HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n",
                Body::Length(9),
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
            ),
            ("HTTP/1.1 304 \r\n\r\n", Body::None, "HTTP/1.1 304 Not Modified\r\n\r\n"),
            ("HTTP/1.1 204 x\r\nContent-Length: 9\r\n\r\n", Body::Length(9), "HTTP/1.1 204 x\r\n\r\n"),
            ("HTTP/1.1 100 Continue\r\n\r\n", Body::None, "HTTP/1.1 100 Continue\r\n\r\n"),
        ] {
            let mut parsed = Response::default();
            parse_response(head.as_bytes(), &mut parsed, &LIMITS).unwrap();
            let mut out = Vec::new();
            response(&parsed, body, Connection::Default, &mut out);
            assert_eq!(str::from_utf8(&out).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_written_here_of_the_connection_is_sent() {
        let mut parsed = Request::default();
        parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: no\r\n\r\n", &mut parsed, &LIMITS).unwrap();
        for (name, value) in [
            ("Connection", "x-own, close, Upgrade"),
            ("Keep-Alive", "timeout=3"),
            ("Proxy-Connection", "y"),
            ("Content-Length", "7"),
            ("Transfer-Encoding", "chunked"),
        ] {
            parsed.fields.append(name.as_bytes(), value.as_bytes());
        }
        let mut out = Vec::new();
        request(&parsed, Body::None, Connection::Close, &mut out);
        let expected = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: no\r\nConnection: x-own\r\nKeep-Alive: timeout=3\r\n\
            Proxy-Connection: y\r\nconnection: upgrade\r\n\r\n";
        assert_eq!(str::from_utf8(&out).unwrap(), expected);

        let answer =
            b"HTTP/1.1 426 x\r\nConnection: close, upgrade\r\nUpgrade: h2c, TLS/1.2\r\nKeep-Alive: 5\r\n\r\n";
        let mut parsed = Response::default();
        parse_response(answer, &mut parsed, &LIMITS).unwrap();
        let mut out = Vec::new();
        response(&parsed, Body::Length(0), Connection::Default, &mut out);
        let expected =
            "HTTP/1.1 426 x\r\nUpgrade: TLS/1.2\r\ncontent-length: 0\r\nconnection: upgrade\r\n\r\n";
        assert_eq!(str::from_utf8(&out).unwrap(), expected);

        let mut parsed = Response { status: 204, ..Response::default() };
        parsed.fields.append(b"content-length", b"0");
        parsed.fields.append(b"upgrade", b"foo");
        let mut out = Vec::new();
        response(&parsed, Body::None, Connection::Close, &mut out);
        let expected =
            "HTTP/1.1 204 No Content\r\nupgrade: foo\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_eq!(str::from_utf8(&out).unwrap(), expected);
    }
}
