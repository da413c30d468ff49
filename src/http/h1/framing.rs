//! How long a message's body is (RFC 9112 section 6.3), decided once and strictly.
//!
//! The decision is made from the fields as received; from then on it is state, and no rule that
//! edits `Content-Length` or `Transfer-Encoding` changes where a message ends.

use super::as_sent::AsSent;
use super::head::Refusal;
use crate::base::text::trim;
use crate::http::{Fields, Known, Method, Request, Response, Version, list};

/// What follows a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// That many bytes. Zero of them means the message said so.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Everything until the connection closes (responses only).
    UntilClose,
}

impl Body {
    /// Whether no byte of body follows.
    pub fn is_empty(self) -> bool {
        matches!(self, Body::None | Body::Length(0))
    }
}

/// The framing of a message and what it means for the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// What follows the head.
    pub body: Body,
    /// The message carried both `Content-Length` and `Transfer-Encoding` (or the latter in
    /// HTTP/1.0), or it ends with its connection: the connection must close after it.
    pub must_close: bool,
}

/// What HAProxy's global options change about framing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// `h1-accept-payload-with-any-method`.
    pub payload_with_any_method: bool,
    /// `h1-do-not-close-on-insecure-transfer-encoding`.
    pub keep_after_insecure_encoding: bool,
}

/// The largest `Content-Length`: sizes are summed and some peers keep them signed.
const LENGTH_MAX: u64 = i64::MAX as u64;

/// Judges a request's framing.
pub fn of_request(request: &Request) -> Result<Framing, Refusal> {
    of_request_under(request, Policy::default())
}

/// Judges a request's framing under `policy`.
pub fn of_request_under(request: &Request, policy: Policy) -> Result<Framing, Refusal> {
    let fields = &request.fields;
    if !fields.has(Known::ContentLength) && !fields.has(Known::TransferEncoding) {
        return Ok(Framing::default());
    }
    let Described { length, encoding, must_close } = describe(fields, request.version, policy, 400)?;
    let body = match encoding {
        // RFC 9112 section 6.3 point 4: a request whose last coding is not chunked cannot be read.
        Some(Coding { chunked: false, at, .. }) => {
            return Err(Refusal::new(400, "transfer coding of a request does not end with chunked", at));
        }
        // RFC 9112 section 6.1 would have 501; HAProxy answers 422, which its users test for.
        Some(Coding { other: true, at, .. }) => {
            return Err(Refusal::new(422, "unknown transfer coding", at));
        }
        Some(_) => Body::Chunked,
        None => length.map_or(Body::None, Body::Length),
    };
    if request.method == Method::Connect {
        // RFC 9110 section 9.3.6: what follows belongs to the tunnel.
        return Ok(Framing { body: Body::None, must_close });
    }
    let unusual = matches!(request.method, Method::Get | Method::Head | Method::Delete);
    if unusual && request.version == Version::Http10 && !body.is_empty() && !policy.payload_with_any_method {
        // HTTP/1.0 servers ignore such a body and take it for the next request.
        return Err(Refusal::new(413, "HTTP/1.0 GET, HEAD or DELETE with a body", 0));
    }
    Ok(Framing { body, must_close })
}

/// Judges a response's framing; `method` is that of the request it answers.
///
/// 1xx, 204, 304 and answers to HEAD have no body whatever they say; 2xx to CONNECT and 101 turn
/// the connection into a tunnel, which the caller sees from the status.
pub fn of_response(response: &Response, method: Method) -> Result<Framing, Refusal> {
    of_response_under(response, method, Policy::default())
}

/// Judges a response's framing under `policy`.
pub fn of_response_under(response: &Response, method: Method, policy: Policy) -> Result<Framing, Refusal> {
    let described = described_under(response, policy)?;
    Ok(if has_no_body(response.status, method) {
        Framing { body: Body::None, must_close: described.must_close && described.body != Body::UntilClose }
    } else if method == Method::Connect && (200..300).contains(&response.status) {
        // RFC 9110 section 9.3.6: the tunnel starts right after the head, whatever it says.
        Framing { body: Body::UntilClose, must_close: true }
    } else {
        described
    })
}

/// The body a response's fields describe, sent or not: what [`super::encode::response`] writes for
/// answers to HEAD and for 304, where the fields tell of the body that GET would have had.
pub fn described(response: &Response) -> Result<Body, Refusal> {
    described_under(response, Policy::default()).map(|framing| framing.body)
}

fn described_under(response: &Response, policy: Policy) -> Result<Framing, Refusal> {
    let fields = &response.fields;
    if !fields.has(Known::ContentLength) && !fields.has(Known::TransferEncoding) {
        return Ok(Framing { body: Body::UntilClose, must_close: true });
    }
    let Described { length, encoding, must_close } = describe(fields, response.version, policy, 502)?;
    match (encoding, length) {
        (Some(Coding { other: true, at, .. }), _) => Err(Refusal::new(502, "unknown transfer coding", at)),
        (Some(_), _) => Ok(Framing { body: Body::Chunked, must_close }),
        (None, Some(length)) => Ok(Framing { body: Body::Length(length), must_close }),
        (None, None) => Ok(Framing { body: Body::UntilClose, must_close: true }),
    }
}

/// Whether a response to `method` has no body whatever its fields say (RFC 9112 section 6.3).
pub fn has_no_body(status: u16, method: Method) -> bool {
    matches!(status, 100..=199 | 204 | 304) || method == Method::Head
}

/// How a response goes to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What follows the head on the wire.
    pub body: Body,
    /// What the head says of it, for [`super::encode::response`].
    pub told: Body,
    /// The client's connection ends with it.
    pub closes: bool,
}

/// How a response goes to the client: by what that client asked and by the response as rules left it. `received`
/// is what the server sends behind its head, by what the server was asked.
///
/// An HTTP/1.0 client reads no chunks: it gets them unwrapped, until the connection closes. A body
/// that ends with the server's connection ends with the client's too, so that a truncation stays
/// visible.
pub fn for_client(received: Body, response: &Response, asked: &AsSent) -> Delivery {
    let old = asked.version == Version::Http10;
    let until_close = Delivery { body: Body::UntilClose, told: Body::UntilClose, closes: true };
    if has_no_body(response.status, asked.method) {
        // RFC 9110 sections 9.3.2 and 15.4.5: the fields tell what a GET would have brought.
        let told = match described(response) {
            Ok(Body::Chunked) if old => Body::UntilClose,
            Ok(told) => told,
            Err(_) => Body::UntilClose,
        };
        // A final answer that a rule made an interim one leaves its client waiting for another.
        return Delivery { body: Body::None, told, closes: response.status < 200 };
    }
    match received {
        // This client takes what follows for a tunnel's bytes, although the server opened none.
        _ if asked.method == Method::Connect && (200..300).contains(&response.status) => until_close,
        // The server had nothing to send, this client expects something.
        Body::None => Delivery { body: Body::None, told: Body::Length(0), closes: false },
        Body::Chunked if old => until_close,
        Body::UntilClose => until_close,
        other => Delivery { body: other, told: other, closes: false },
    }
}

/// The version a request goes to the server with: the client's, unless chunks, which HTTP/1.0 does
/// not have, will follow. (Keeping 1.0 keeps servers from answering with chunks or 100.)
pub fn for_server(body: Body, client: Version) -> Version {
    if body == Body::Chunked { Version::Http11 } else { client.min(Version::Http11) }
}

struct Described {
    length: Option<u64>,
    encoding: Option<Coding>,
    must_close: bool,
}

/// What `Transfer-Encoding` says.
#[derive(Clone, Copy)]
struct Coding {
    /// Chunked is the last coding.
    chunked: bool,
    /// There is another coding.
    other: bool,
    at: usize,
}

fn describe(fields: &Fields, version: Version, policy: Policy, status: u16) -> Result<Described, Refusal> {
    let length = content_length(fields, status)?;
    let encoding = transfer_encoding(fields, status)?;
    // RFC 9112 section 6.1: the encoding overrides the length, and neither both nor an encoding in
    // HTTP/1.0 can be trusted to have been understood likewise by everyone on the way.
    let both = encoding.is_some() && length.is_some() && !policy.keep_after_insecure_encoding;
    let too_old = encoding.is_some() && length.is_none() && version == Version::Http10;
    Ok(Described { length, encoding, must_close: both || too_old })
}

/// The one length all `Content-Length` values agree on (RFC 9112 section 6.3 point 5).
fn content_length(fields: &Fields, status: u16) -> Result<Option<u64>, Refusal> {
    let mut length = None;
    if !fields.has(Known::ContentLength) {
        return Ok(None);
    }
    for field in fields.list().iter().filter(|field| field.known == Known::ContentLength) {
        let refuse = |reason| Err(Refusal::new(status, reason, field.value.start()));
        for item in fields.bytes(field.value).split(|&byte| byte == b',') {
            let Some(value) = parse_length(trim(item)) else { return refuse("invalid Content-Length") };
            if length.is_some_and(|length| length != value) {
                return refuse("several Content-Length values that differ");
            }
            length = Some(value);
        }
    }
    Ok(length)
}

/// `1*DIGIT` and nothing else (RFC 9110 section 8.6); leading zeros count for nothing.
fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut length = 0_u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        length = length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (length <= LENGTH_MAX).then_some(length)
}

fn transfer_encoding(fields: &Fields, status: u16) -> Result<Option<Coding>, Refusal> {
    if !fields.has(Known::TransferEncoding) {
        return Ok(None);
    }
    let mut coding: Option<Coding> = None;
    for field in fields.list().iter().filter(|field| field.known == Known::TransferEncoding) {
        let at = field.value.start();
        for item in list::items(fields.bytes(field.value)) {
            let so_far = coding.unwrap_or(Coding { chunked: false, other: false, at });
            if item.is_empty() {
                return Err(Refusal::new(status, "empty transfer coding", at));
            }
            // RFC 9112 section 6.1: chunked stands once and last.
            if so_far.chunked {
                return Err(Refusal::new(status, "transfer coding after chunked", at));
            }
            coding = Some(if item.eq_ignore_ascii_case(b"chunked") {
                Coding { chunked: true, ..so_far }
            } else {
                Coding { other: true, ..so_far }
            });
        }
    }
    Ok(coding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::head::{Limits, Progress, parse_request, parse_response};

    const LIMITS: Limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: false };

    fn request(start: &str, fields: &str) -> Result<Framing, u16> {
        let mut request = Request::default();
        let head = format!("{start}\r\nHost: a\r\n{fields}\r\n");
        match parse_request(head.as_bytes(), &mut request, &LIMITS) {
            Ok(Progress::Complete { .. }) => of_request(&request).map_err(|refusal| refusal.status),
            other => panic!("{head:?}: {other:?}"),
        }
    }

    fn response(start: &str, fields: &str, method: Method) -> Result<Framing, u16> {
        let mut response = Response::default();
        let head = format!("{start}\r\n{fields}\r\n");
        match parse_response(head.as_bytes(), &mut response, &LIMITS) {
            Ok(Progress::Complete { .. }) => of_response(&response, method).map_err(|refusal| refusal.status),
            other => panic!("{head:?}: {other:?}"),
        }
    }

    fn keep(body: Body) -> Result<Framing, u16> {
        Ok(Framing { body, must_close: false })
    }

    fn close(body: Body) -> Result<Framing, u16> {
        Ok(Framing { body, must_close: true })
    }

    #[test]
    fn requests() {
        let (new, old) = ("POST / HTTP/1.1", "POST / HTTP/1.0");
        for (start, fields, expected) in [
            (new, "", keep(Body::None)),
            (new, "Content-Length: 0\r\n", keep(Body::Length(0))),
            (new, "Content-Length: 5\r\n", keep(Body::Length(5))),
            (new, "Content-Length: 0005\r\n", keep(Body::Length(5))),
            (new, "Content-Length: 5, 5\r\n", keep(Body::Length(5))),
            (new, "Content-Length: 5\r\ncontent-length: 5\r\n", keep(Body::Length(5))),
            (new, "Content-Length: 5\r\ncontent-length: 6\r\n", Err(400)),
            (new, "Content-Length: 5,\r\n", Err(400)),
            (new, "Content-Length:\r\n", Err(400)),
            (new, "Content-Length: +5\r\n", Err(400)),
            (new, "Content-Length: -1\r\n", Err(400)),
            (new, "Content-Length: 0x5\r\n", Err(400)),
            (new, "Content-Length: 5_0\r\n", Err(400)),
            (new, "Content-Length: 5 0\r\n", Err(400)),
            (new, "Content-Length: 5a\r\n", Err(400)),
            (new, "Content-Length: 9223372036854775807\r\n", keep(Body::Length(LENGTH_MAX))),
            (new, "Content-Length: 9223372036854775808\r\n", Err(400)),
            (new, "Content-Length: 18446744073709551621\r\n", Err(400)),
            (new, "Transfer-Encoding: Chunked\r\n", keep(Body::Chunked)),
            (new, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", close(Body::Chunked)),
            (new, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", close(Body::Chunked)),
            (new, "Content-Length: x\r\nTransfer-Encoding: chunked\r\n", Err(400)),
            (old, "Transfer-Encoding: chunked\r\n", close(Body::Chunked)),
            (new, "Transfer-Encoding: chunked, chunked\r\n", Err(400)),
            (new, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(400)),
            (new, "Transfer-Encoding: chunked, gzip\r\n", Err(400)),
            (new, "Transfer-Encoding: gzip, chunked\r\n", Err(422)),
            (new, "Transfer-Encoding: gzip\r\n", Err(400)),
            (new, "Transfer-Encoding: identity\r\n", Err(400)),
            (new, "Transfer-Encoding: xchunked\r\n", Err(400)),
            (new, "Transfer-Encoding: chunked;x=1\r\n", Err(400)),
            (new, "Transfer-Encoding: \"chunked\"\r\n", Err(400)),
            (new, "Transfer-Encoding:\r\n", Err(400)),
            (new, "Transfer-Encoding: ,chunked\r\n", Err(400)),
            (new, "Transfer-Encoding: chunked,\r\n", Err(400)),
            ("GET / HTTP/1.1", "Content-Length: 5\r\n", keep(Body::Length(5))),
            ("GET / HTTP/1.0", "Content-Length: 0\r\n", keep(Body::Length(0))),
            ("GET / HTTP/1.0", "Content-Length: 5\r\n", Err(413)),
            ("DELETE / HTTP/1.0", "Transfer-Encoding: chunked\r\n", Err(413)),
            (old, "Content-Length: 5\r\n", keep(Body::Length(5))),
            ("CONNECT a:80 HTTP/1.1", "Content-Length: 5\r\n", keep(Body::None)),
        ] {
            assert_eq!(request(start, fields), expected, "{start} {fields:?}");
        }
    }

    #[test]
    fn responses() {
        use Method::*;
        for (start, fields, method, expected) in [
            ("HTTP/1.1 200 OK", "", Get, close(Body::UntilClose)),
            ("HTTP/1.1 200 OK", "Content-Length: 7\r\n", Get, keep(Body::Length(7))),
            ("HTTP/1.1 200 OK", "Content-Length: 7\r\n", Head, keep(Body::None)),
            ("HTTP/1.1 200 OK", "", Head, keep(Body::None)),
            ("HTTP/1.1 200 OK", "Content-Length: 7x\r\n", Head, Err(502)),
            ("HTTP/1.1 304 Not Modified", "Content-Length: 7\r\n", Get, keep(Body::None)),
            ("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked\r\n", Get, keep(Body::None)),
            ("HTTP/1.1 100 Continue", "", Post, keep(Body::None)),
            ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", Get, keep(Body::Chunked)),
            (
                "HTTP/1.1 200 OK",
                "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
                Get,
                close(Body::Chunked),
            ),
            ("HTTP/1.0 200 OK", "Transfer-Encoding: chunked\r\n", Get, close(Body::Chunked)),
            ("HTTP/1.1 200 OK", "Transfer-Encoding: gzip\r\n", Get, Err(502)),
            ("HTTP/1.1 200 OK", "Content-Length: 1\r\nContent-Length: 2\r\n", Get, Err(502)),
            ("HTTP/1.1 200 OK", "Content-Length: 7\r\n", Connect, close(Body::UntilClose)),
            ("HTTP/1.1 403 No", "Content-Length: 7\r\n", Connect, keep(Body::Length(7))),
        ] {
            assert_eq!(response(start, fields, method), expected, "{start} {fields:?} {method:?}");
        }
    }

    #[test]
    fn towards_clients() {
        use Body::*;
        use Version::*;
        let get = |version| AsSent { version, ..AsSent::default() };
        let to = |method, version| AsSent { method, version, ..AsSent::default() };
        // What the server sends and said of it, what the client asked, the status it gets; what goes out and is
        // told, and whether the connection ends.
        for (received, fields, asked, status, expected) in [
            (Chunked, "", get(Http11), 200, (Chunked, Chunked, false)),
            (Chunked, "", get(Http10), 200, (UntilClose, UntilClose, true)),
            (UntilClose, "", get(Http11), 200, (UntilClose, UntilClose, true)),
            (Length(3), "3", get(Http10), 200, (Length(3), Length(3), false)),
            (None, "", to(Method::Head, Http11), 200, (None, UntilClose, false)),
            (None, "7", to(Method::Head, Http11), 200, (None, Length(7), false)),
            // Another method than the server got, either way.
            (Length(7), "7", to(Method::Head, Http11), 200, (None, Length(7), false)),
            (None, "7", get(Http11), 200, (None, Length(0), false)),
            (Length(7), "7", to(Method::Connect, Http11), 200, (UntilClose, UntilClose, true)),
            (UntilClose, "", to(Method::Connect, Http11), 403, (UntilClose, UntilClose, true)),
            // Another status than the server sent.
            (Length(7), "7", get(Http11), 304, (None, Length(7), false)),
            (Length(7), "7", get(Http11), 204, (None, Length(7), false)),
            (Length(7), "7", get(Http11), 103, (None, Length(7), true)),
            (UntilClose, "", get(Http11), 304, (None, UntilClose, false)),
        ] {
            let mut response = Response { status, ..Response::default() };
            if !fields.is_empty() {
                response.fields.append(b"content-length", fields.as_bytes());
            }
            let Delivery { body, told, closes } = for_client(received, &response, &asked);
            assert_eq!((body, told, closes), expected, "{received:?} {fields} {asked:?} {status}");
        }
        let mut chunked = Response { status: 200, ..Response::default() };
        chunked.fields.append(b"transfer-encoding", b"chunked");
        for (version, told) in [(Http11, Chunked), (Http10, UntilClose)] {
            assert_eq!(for_client(None, &chunked, &to(Method::Head, version)).told, told);
        }
        assert_eq!(for_server(Chunked, Version::Http10), Version::Http11);
        assert_eq!(for_server(Length(1), Version::Http10), Version::Http10);
    }
}
