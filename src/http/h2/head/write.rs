//! Messages -> blocks. As in HTTP/1, what frames a message is written anew and what a peer said of its own
//! connection is not passed on; here nothing is to be said of a connection at all.

use crate::http::h2::hpack::Encoder;
use crate::http::{Fields, Known, Request, Response, uri};

/// What a request's block starts with beside what the message holds.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// `http` or `https`, for a target without a scheme.
    pub scheme: &'a [u8],
    /// The protocol of an extended CONNECT.
    pub protocol: Option<&'a [u8]>,
    /// The length of the body, if it is known.
    pub length: Option<u64>,
}

/// Appends the block of a request.
pub fn write_request(encoder: &mut Encoder, request: &Request, line: RequestLine<'_>, out: &mut Vec<u8>) {
    encoder.begin(out);
    let target = request.target();
    let parts = uri::split(target);
    let is_connect = request.method == crate::http::Method::Connect;
    let method = if line.protocol.is_some() { b"CONNECT" } else { request.method_bytes() };
    encoder.field(b":method", method, out);
    let host = request.fields.all_known(Known::Host).next();
    let authority = if is_connect { Some(target) } else { host.or(parts.authority) };
    if !is_connect {
        let scheme = parts.scheme.and_then(|scheme| scheme.strip_suffix(b"://")).unwrap_or(line.scheme);
        encoder.field(b":scheme", scheme, out);
    }
    // Section 8.3.1: no empty authority; an absent one leaves it to the server what it makes of the request.
    if let Some(authority) = authority.filter(|authority| !authority.is_empty()) {
        encoder.field(b":authority", authority, out);
    }
    if !is_connect {
        write_path(encoder, request, parts, out);
    }
    if let Some(protocol) = line.protocol {
        encoder.field(b":protocol", protocol, out);
    }
    write_length(encoder, line.length, out);
    let skipped = |known, name: &[u8]| {
        known == Known::Host || (line.protocol.is_some() && name.eq_ignore_ascii_case(b"sec-websocket-key"))
    };
    write_fields(encoder, &request.fields, skipped, out);
}

fn write_path(encoder: &mut Encoder, request: &Request, parts: uri::Parts<'_>, out: &mut Vec<u8>) {
    match parts.path_and_query {
        Some(path) if path.starts_with(b"/") => {
            // A fragment has no place in a request.
            let end = memchr::memchr(b'#', path).unwrap_or(path.len());
            encoder.field(b":path", &path[..end], out);
        }
        // `http://host?query`.
        Some(query) if query.starts_with(b"?") => {
            encoder.field(b":path", &[b"/", query].concat(), out);
        }
        // Section 8.3.1: OPTIONS of a server as a whole.
        _ if request.method == crate::http::Method::Options => encoder.field(b":path", b"*", out),
        _ => encoder.field(b":path", b"/", out),
    }
}

/// Appends the block of a response; `is_tunnel` makes the 101 that grants an upgrade the 200 that grants an extended
/// CONNECT (RFC 8441 section 5).
pub fn write_response(
    encoder: &mut Encoder,
    response: &Response,
    length: Option<u64>,
    is_tunnel: bool,
    out: &mut Vec<u8>,
) {
    encoder.begin(out);
    let grants = is_tunnel && response.status == 101;
    let status = if grants { 200 } else { response.status };
    encoder.field(b":status", itoa::Buffer::new().format(status).as_bytes(), out);
    write_length(encoder, length, out);
    let skipped = |_, name: &[u8]| grants && name.eq_ignore_ascii_case(b"sec-websocket-accept");
    write_fields(encoder, &response.fields, skipped, out);
}

/// Appends the block of trailers.
pub fn write_trailers(encoder: &mut Encoder, fields: &Fields, out: &mut Vec<u8>) {
    encoder.begin(out);
    write_fields(encoder, fields, |_, _| false, out);
}

fn write_length(encoder: &mut Encoder, length: Option<u64>, out: &mut Vec<u8>) {
    if let Some(length) = length {
        encoder.field(b"content-length", itoa::Buffer::new().format(length).as_bytes(), out);
    }
}

/// The fields that are the message's (section 8.2.2).
fn write_fields(
    encoder: &mut Encoder,
    fields: &Fields,
    skipped: impl Fn(Known, &[u8]) -> bool,
    out: &mut Vec<u8>,
) {
    for field in fields.list() {
        let (name, value) = (fields.bytes(field.name), fields.bytes(field.value));
        match field.known {
            Known::Connection
            | Known::ProxyConnection
            | Known::KeepAlive
            | Known::Upgrade
            | Known::TransferEncoding
            | Known::ContentLength => {}
            Known::Te if !crate::http::list::contains(value, b"trailers") => {}
            Known::Te => encoder.field(name, b"trailers", out),
            known if skipped(known, name) => {}
            _ => encoder.field(name, value, out),
        }
    }
}
