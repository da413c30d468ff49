//! Head -> bytes. Framing and persistence fields are written anew, never copied.
//!
//! Names go out as they came in. What this proxy writes itself is in lower case, as HAProxy does.

use super::framing::Body;
use super::persist;
use crate::http::{Fields, Known, Request, Response, Version, list, status};

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
    /// `Upgrade`, beside the message's own `Upgrade` field, which is kept only in this case.
    Upgrade,
}

/// Appends the head of a request as it goes to a server.
pub fn request(request: &Request, body: Body, connection: Connection, out: &mut Vec<u8>) {
    out.reserve(request.fields.arena_len() + FRAMING_ROOM);
    out.extend_from_slice(request.method_bytes());
    out.push(b' ');
    out.extend_from_slice(request.target());
    out.push(b' ');
    out.extend_from_slice(super::framing::for_server(body, request.version).token().as_bytes());
    out.extend_from_slice(b"\r\n");
    fields(&request.fields, connection, out);
    framing(body, out);
    persistence(connection, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a response as it goes to a client.
///
/// `body` frames what will follow; for a response without a body to HEAD or a 304 pass the body
/// its fields described so that `Content-Length` survives.
pub fn response(response: &Response, body: Body, connection: Connection, out: &mut Vec<u8>) {
    out.reserve(response.fields.arena_len() + FRAMING_ROOM);
    let version = if body == Body::Chunked { Version::Http11 } else { response.version };
    status_line(version, response.status, response.reason(), out);
    fields(&response.fields, connection, out);
    match (response.status, body) {
        // RFC 9110 section 8.6 and RFC 9112 section 6.1: neither field in 1xx and 204.
        (100..=199 | 204, _) | (304, Body::None) => {}
        (_, Body::None) => framing(Body::Length(0), out),
        (_, body) => framing(body, out),
    }
    persistence(connection, out);
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
pub fn persistence(connection: Connection, out: &mut Vec<u8>) {
    out.extend_from_slice(match connection {
        Connection::Default => b"",
        Connection::Close => b"connection: close\r\n",
        Connection::KeepAlive => b"connection: keep-alive\r\n",
        Connection::Upgrade => b"connection: upgrade\r\n",
    });
}

/// Room for separators and the fields written anew, so that a head takes one allocation at most.
const FRAMING_ROOM: usize = 512;

/// The fields that are the message's and not the connection's (RFC 9110 section 7.6.1).
fn fields(fields: &Fields, connection: Connection, out: &mut Vec<u8>) {
    for one in fields.list() {
        let (name, value) = (fields.bytes(one.name), fields.bytes(one.value));
        match one.known {
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
                if connection == Connection::Upgrade {
                    upgrade(name, value, out);
                }
            }
            _ => field(name, value, out),
        }
    }
}

/// An `Upgrade` field without the protocols that do not go through.
fn upgrade(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let mut separator: &[u8] = b": ";
    for protocol in list::items(value).filter(|protocol| persist::is_upgradable(protocol)) {
        if separator == b": " {
            out.extend_from_slice(name);
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(protocol);
        separator = b", ";
    }
    if separator != b": " {
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::head::{Limits, parse_request, parse_response};

    const LIMITS: Limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: false };

    #[test]
    fn requests() {
        let head = "POST /p?q HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\nConnection: close, X-Hop\r\n\
            X-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip, trailers\r\nUpgrade: h2c, foo\r\nCooKie: a=b\r\n\r\n";
        let mut parsed = Request::default();
        parse_request(head.as_bytes(), &mut parsed, &LIMITS).unwrap();
        for (body, connection, expected) in [
            (
                Body::Length(5),
                Connection::Default,
                "POST /p?q HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nCooKie: a=b\r\ncontent-length: 5\r\n\r\n",
            ),
            (
                Body::Chunked,
                Connection::Close,
                "POST /p?q HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nCooKie: a=b\r\ntransfer-encoding: chunked\r\n\
                 connection: close\r\n\r\n",
            ),
            (
                Body::None,
                Connection::Upgrade,
                "POST /p?q HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nUpgrade: foo\r\nCooKie: a=b\r\n\
                 connection: upgrade\r\n\r\n",
            ),
        ] {
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
}
