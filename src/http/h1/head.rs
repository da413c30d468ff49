//! Bytes -> request or response head.
//!
//! The contract: parsing starts anew at each call with all the bytes of the head so far; it
//! refuses what RFC 9112 forbids and repairs nothing unless the named HAProxy option asks.
//!
//! Two tokenisers stand behind it. httparse reads nearly every head, fast, and errs on the strict
//! side; whatever it does not take goes to [`super::scan`], which knows obsolete folding, the
//! relaxed forms and where exactly a head went wrong. Where both accept they agree (a test holds
//! them to it). What a head *means* is judged afterwards, once for both: the request target and
//! `Host` by [`super::target`], framing by [`super::framing`].
//!
//! Reading a head that trickles in byte by byte anew at each byte would be quadratic;
//! [`Pieces`] tells in time linear in the new bytes whether a call is worth it.

use std::mem::MaybeUninit;

use super::{persist, scan, target};
use crate::base::text::trim;
use crate::http::{Fields, Known, Method, Request, Response, Text, Version};

/// What bounds a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `tune.http.maxhdr`: lines in a head, the start line included.
    pub fields_max: usize,
    /// `tune.bufsize - tune.maxrewrite`: bytes in a head.
    pub bytes_max: usize,
    /// `option accept-unsafe-violations-in-http-request|response`.
    pub accept_unsafe: bool,
}

/// How far a parse came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The head has not ended yet; read more.
    Partial,
    /// The head takes the first `len` bytes.
    Complete {
        /// Bytes from the start of the buffer to the first one after the head.
        len: usize,
    },
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status to answer with (400, 413, 414, 422, 431, 501, 505; 502 for responses).
    pub status: u16,
    /// What is wrong, for `show errors` and logs.
    pub reason: &'static str,
    /// Where in the buffer.
    pub offset: usize,
}

impl Refusal {
    pub(super) fn new(status: u16, reason: &'static str, offset: usize) -> Refusal {
        Refusal { status, reason, offset }
    }
}

/// Empty lines skipped before a start line: RFC 9112 section 2.2 asks for at least one; a client
/// that sends nothing else must not hold a connection busy.
const BLANK_LINES_MAX: usize = 16;

/// Fields that httparse has room for on the stack. A head with more of them is read by the slower
/// tokeniser; HAProxy's default limit is 101 lines.
const FAST_FIELDS: usize = 128;

/// Parses a request head at the start of `bytes` into `request` (cleared first).
pub fn parse_request(bytes: &[u8], request: &mut Request, limits: &Limits) -> Result<Progress, Refusal> {
    request.clear();
    let start = skip_blank_lines(bytes, 400)?;
    let head = &bytes[start..];
    let shift = |refusal: Refusal| Refusal { offset: refusal.offset + start, ..refusal };
    let len = match read_request(head, request, limits).map_err(shift)? {
        Progress::Complete { len } => len,
        Progress::Partial => {
            request.clear();
            if head.len() < limits.bytes_max {
                return Ok(Progress::Partial);
            }
            return Err(if memchr::memchr(b'\n', head).is_none() {
                Refusal::new(414, "request line does not fit in the buffer", bytes.len())
            } else {
                Refusal::new(431, "request head does not fit in the buffer", bytes.len())
            });
        }
    };
    if len > limits.bytes_max {
        return Err(Refusal::new(431, "request head too large", start + limits.bytes_max));
    }
    check_count(&request.fields, limits, 400, start + len)?;
    judge_request(request, limits.accept_unsafe).map_err(shift)?;
    persist::drop_nominated(&mut request.fields);
    Ok(Progress::Complete { len: start + len })
}

/// Parses a response head at the start of `bytes` into `response` (cleared first).
pub fn parse_response(bytes: &[u8], response: &mut Response, limits: &Limits) -> Result<Progress, Refusal> {
    response.clear();
    let start = skip_blank_lines(bytes, 502)?;
    let head = &bytes[start..];
    let shift = |refusal: Refusal| Refusal { offset: refusal.offset + start, ..refusal };
    let len = match read_response(head, response, limits).map_err(shift)? {
        Progress::Complete { len } => len,
        Progress::Partial => {
            response.clear();
            if head.len() < limits.bytes_max {
                return Ok(Progress::Partial);
            }
            return Err(Refusal::new(502, "response head does not fit in the buffer", bytes.len()));
        }
    };
    if len > limits.bytes_max {
        return Err(Refusal::new(502, "response head too large", start + limits.bytes_max));
    }
    check_count(&response.fields, limits, 502, start + len)?;
    judge_response(response, limits.accept_unsafe).map_err(shift)?;
    persist::drop_nominated(&mut response.fields);
    Ok(Progress::Complete { len: start + len })
}

/// Says when a head that comes in pieces is worth a parse: at first, and behind each line. Parsing it at
/// each byte would be quadratic, and so would parsing it at each line of a value that is folded without end:
/// where there are more lines than fields may be, each parse waits for twice as many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pieces {
    seen: usize,
    /// Line ends within `seen`, once they were counted.
    lines: Option<usize>,
    lines_due: usize,
}

impl Pieces {
    /// Whether to parse `bytes`, the whole head so far.
    pub fn is_due(&mut self, bytes: &[u8], limits: &Limits) -> bool {
        let seen = std::mem::replace(&mut self.seen, bytes.len()).min(bytes.len());
        if seen == 0 || bytes.len() >= limits.bytes_max {
            return true;
        }
        // Most heads come in one piece: what came first is counted once there is more.
        let count = |bytes| memchr::memchr_iter(b'\n', bytes).count();
        let new = count(&bytes[seen..]);
        let lines = self.lines.unwrap_or_else(|| count(&bytes[..seen])) + new;
        self.lines = Some(lines);
        if new == 0 || lines < self.lines_due {
            return new > 0 && may_have_ended(bytes, seen);
        }
        if lines > limits.fields_max {
            self.lines_due = lines * 2;
        }
        true
    }
}

/// Whether a head that had not ended within the first `seen` bytes may end within `bytes`. It never says no
/// to a head that has ended, HTTP/0.9's single line aside (which only [`Limits::accept_unsafe`] takes for one).
fn may_have_ended(bytes: &[u8], seen: usize) -> bool {
    // The last line feed of an empty line may come first in the new bytes, after `\n` or `\n\r`.
    let mut from = seen.saturating_sub(2);
    while let Some(at) = memchr::memchr(b'\n', &bytes[from..]).map(|at| from + at) {
        if matches!(bytes[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]) {
            return true;
        }
        from = at + 1;
    }
    false
}

/// RFC 9112 section 2.2: empty lines before a start line are ignored.
fn skip_blank_lines(bytes: &[u8], status: u16) -> Result<usize, Refusal> {
    let mut start = 0;
    for _ in 0..=BLANK_LINES_MAX {
        match bytes[start..] {
            [b'\n', ..] => start += 1,
            [b'\r', b'\n', ..] => start += 2,
            // Whether a lone CR is half of an empty line is not known yet.
            [b'\r'] => return Ok(bytes.len()),
            _ => return Ok(start),
        }
    }
    Err(Refusal::new(status, "too many empty lines before the start line", start))
}

fn read_request(head: &[u8], request: &mut Request, limits: &Limits) -> Result<Progress, Refusal> {
    let mut slots = [const { MaybeUninit::uninit() }; FAST_FIELDS];
    let slots = &mut slots[..limits.fields_max.min(FAST_FIELDS)];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, slots) {
        Ok(httparse::Status::Partial) => return Ok(Progress::Partial),
        Ok(httparse::Status::Complete(len)) => {
            let method = parsed.method.unwrap_or_default().as_bytes();
            let target = parsed.path.unwrap_or_default().as_bytes();
            if target_is_clean(target) {
                request.fields.store(&head[..len]);
                request.method = Method::from_token(method);
                request.method_text = text_in(head, method);
                request.target = text_in(head, target);
                request.version = version_of(parsed.version);
                push_all(&mut request.fields, head, parsed.headers);
                return Ok(Progress::Complete { len });
            }
        }
        Err(_) => {}
    }
    scan::request(head, request, limits)
}

fn read_response(head: &[u8], response: &mut Response, limits: &Limits) -> Result<Progress, Refusal> {
    let mut slots = [const { MaybeUninit::uninit() }; FAST_FIELDS];
    let slots = &mut slots[..limits.fields_max.min(FAST_FIELDS)];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, head, slots) {
        Ok(httparse::Status::Partial) => return Ok(Progress::Partial),
        Ok(httparse::Status::Complete(len)) => {
            let status = parsed.code.unwrap_or_default();
            if status >= 100 {
                response.fields.store(&head[..len]);
                response.status = status;
                response.reason = reason_in(head);
                response.version = version_of(parsed.version);
                push_all(&mut response.fields, head, parsed.headers);
                return Ok(Progress::Complete { len });
            }
        }
        Err(_) => {}
    }
    scan::response(head, response, limits)
}

/// httparse lets 8-bit bytes and `#` pass, which RFC 3986 does not allow in a target.
fn target_is_clean(target: &[u8]) -> bool {
    !target.is_empty() && target.is_ascii() && memchr::memchr(b'#', target).is_none()
}

fn version_of(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

/// The place of `part`, a slice of `head`, whose bytes the arena holds from its start on.
#[inline]
fn text_in(head: &[u8], part: &[u8]) -> Text {
    Text::new(part.as_ptr() as usize - head.as_ptr() as usize, part.len())
}

fn push_all(fields: &mut Fields, head: &[u8], headers: &[httparse::Header<'_>]) {
    for header in headers {
        // An empty value may be a constant of httparse instead of a slice of the head.
        let value = trim(header.value);
        let value = if value.is_empty() { Text::default() } else { text_in(head, value) };
        fields.push(text_in(head, header.name.as_bytes()), value);
    }
}

/// The reason phrase of a well-formed status line: what follows the status and its space.
/// (httparse gives none when it holds 8-bit bytes.)
pub(super) fn reason_in(head: &[u8]) -> Text {
    const REASON_START: usize = "HTTP/1.1 200".len();
    let line_end = memchr::memchr(b'\n', head).unwrap_or(head.len());
    let reason =
        trim(head[REASON_START..line_end].strip_suffix(b"\r").unwrap_or(&head[REASON_START..line_end]));
    if reason.is_empty() { Text::default() } else { text_in(head, reason) }
}

/// Why a head with more than `tune.http.maxhdr` lines is refused.
pub(super) const TOO_MANY_FIELDS: &str = "too many header fields";

/// `tune.http.maxhdr` counts the start line.
fn check_count(fields: &Fields, limits: &Limits, status: u16, offset: usize) -> Result<(), Refusal> {
    if fields.list().len() + 1 > limits.fields_max {
        return Err(Refusal::new(status, TOO_MANY_FIELDS, offset));
    }
    Ok(())
}

fn judge_request(request: &mut Request, accept_unsafe: bool) -> Result<(), Refusal> {
    target::judge(request, accept_unsafe)?;
    if !accept_unsafe && is_websocket(&request.fields) {
        // RFC 6455 section 4.1: the base64 of 16 bytes.
        let key = request.fields.first(b"sec-websocket-key");
        if key.is_none_or(|key| key.len() != 24) {
            return Err(Refusal::new(400, "WebSocket handshake without a valid key", 0));
        }
    }
    Ok(())
}

fn judge_response(response: &mut Response, accept_unsafe: bool) -> Result<(), Refusal> {
    if !accept_unsafe
        && response.status == 101
        && is_websocket(&response.fields)
        && !response.fields.contains(b"sec-websocket-accept")
    {
        return Err(Refusal::new(502, "WebSocket handshake without Sec-WebSocket-Accept", 0));
    }
    Ok(())
}

fn is_websocket(fields: &Fields) -> bool {
    fields.has(Known::Upgrade)
        && persist::names(fields, b"upgrade")
        && fields.all_known(Known::Upgrade).any(|value| crate::http::list::contains(value, b"websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const LIMITS: Limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: false };
    const LAX: Limits = Limits { accept_unsafe: true, ..LIMITS };

    /// `method target version | name=value ...`, or the status and the reason of the refusal.
    fn request(head: &[u8], limits: &Limits) -> String {
        let mut request = Request::default();
        match parse_request(head, &mut request, limits) {
            Ok(Progress::Partial) => "partial".into(),
            Ok(Progress::Complete { len }) => {
                let line =
                    [request.method_bytes(), request.target()].map(|part| part.escape_ascii().to_string());
                let left = if len < head.len() { format!(" +{}", head.len() - len) } else { String::new() };
                format!("{} {} {}{left}", line.join(" "), request.version.number(), show(&request.fields))
            }
            Err(Refusal { status, reason, .. }) => format!("{status} {reason}"),
        }
    }

    fn response(head: &[u8], limits: &Limits) -> String {
        let mut response = Response::default();
        match parse_response(head, &mut response, limits) {
            Ok(Progress::Partial) => "partial".into(),
            Ok(Progress::Complete { .. }) => format!(
                "{} {} {:?} {}",
                response.version.number(),
                response.status,
                response.reason().escape_ascii().to_string(),
                show(&response.fields)
            ),
            Err(Refusal { status, reason, .. }) => format!("{status} {reason}"),
        }
    }

    fn show(fields: &Fields) -> String {
        let field =
            |(name, value): (&[u8], &[u8])| format!("{}={}", name.escape_ascii(), value.escape_ascii());
        format!("| {}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn requests() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", "GET / 1.1 | "),
            ("GET / HTTP/1.0\r\nHost: a\r\n\r\nrest", "GET / 1.0 | Host=a +4"),
            ("\r\n\n\r\nGET / HTTP/1.1\r\n\r\n", "GET / 1.1 | "),
            ("GET / HTTP/1.1\nHost: a\n\n", "GET / 1.1 | Host=a"),
            ("GET / HTTP/1.7\r\n\r\n", "GET / 1.1 | "),
            ("GET  /  HTTP/1.1\r\n\r\n", "GET / 1.1 | "),
            ("M-SEARCH / HTTP/1.1\r\nX:\r\nY: \t v v \t\r\n\r\n", "M-SEARCH / 1.1 | X=, Y=v v"),
            ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\tc\r\nY: d\r\n\r\n", "GET / 1.1 | X=a   b  \\tc, Y=d"),
            ("GET / HTTP/1.1\r\nX:\r\n a\r\n\r\n", "GET / 1.1 | X=a"),
            ("GET / HTTP/1.1\r\nX: a\r\n \r\n\r\n", "GET / 1.1 | X=a"),
            ("GET /{a}|\"<b>\\^` HTTP/1.1\r\n\r\n", "GET /{a}|\\\"<b>\\\\^` 1.1 | "),
            ("GET / HTTP/1.1\r\nX: \u{e9}\r\n\r\n", "GET / 1.1 | X=\\xc3\\xa9"),
            ("", "partial"),
            ("\r", "partial"),
            ("GET", "partial"),
            ("GET / HTTP/1.1\r\nHost: a\r\n", "partial"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r", "partial"),
            ("GET / HTTP/1.1\r\nHost: a\r\n ", "partial"),
            ("GET\t/ HTTP/1.1\r\n\r\n", "400 one space expected in the start line"),
            ("GET / HTTP/1.1 \r\n\r\n", "400 line end expected"),
            (" GET / HTTP/1.1\r\n\r\n", "400 invalid character in the method"),
            ("G@T / HTTP/1.1\r\n\r\n", "400 invalid character in the method"),
            ("GET\r\n\r\n", "400 request line without a target"),
            ("GET /\r\n", "400 request line without a version"),
            ("GET /a#b HTTP/1.1\r\n\r\n", "400 invalid character in the request target"),
            ("GET /\u{e9} HTTP/1.1\r\n\r\n", "400 invalid character in the request target"),
            ("GET /\x7f HTTP/1.1\r\n\r\n", "400 invalid character in the request target"),
            ("GET / HTTP/1.10\r\n\r\n", "400 invalid HTTP version"),
            ("GET / HTTP/1\r\n\r\n", "400 invalid HTTP version"),
            ("GET / http/1.1\r\n\r\n", "400 invalid HTTP version"),
            ("GET / HTTP/2.0\r\n\r\n", "505 HTTP version not supported"),
            ("PRI * HTTP/2.0\r\n\r\n", "400 HTTP/2 preface on an HTTP/1 connection"),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 blank before the colon of a header field"),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 blank before the first header field"),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", "400 empty header field name"),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", "400 header field without a colon"),
            ("GET / HTTP/1.1\r\nH@st: a\r\n\r\n", "400 invalid character in a header field name"),
            ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", "400 bare CR"),
            ("GET / HTTP/1.1\rX: a\r\n\r\n", "400 bare CR"),
            ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", "400 control character in a header field value"),
            ("GET / HTTP/1.1\r\nX: a\x01b\r\n\r\n", "400 control character in a header field value"),
            ("GET / HTTP/1.1\r\nX: \x7f\r\n\r\n", "400 control character in a header field value"),
            (
                "GET / HTTP/1.1\r\nContent-Length:\r\n 5\r\n\r\n",
                "400 obsolete line folding in a field that frames or routes the message",
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 several Host fields that differ"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 several Host fields"),
            ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400 invalid character in Host"),
            (
                "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
                "400 WebSocket handshake without a valid key",
            ),
            (
                "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                "GET / 1.1 | Connection=Upgrade, Upgrade=WebSocket, Sec-WebSocket-Key=dGhlIHNhbXBsZSBub25jZQ==",
            ),
            ("GET / HTTP/1.1\r\nConnection: x-a\r\nX-A: 1\r\n\r\n", "GET / 1.1 | Connection=x-a"),
        ] {
            assert_eq!(request(head.as_bytes(), &LIMITS), expected, "{head:?}");
        }
    }

    #[test]
    fn requests_with_violations_accepted() {
        for (head, expected) in [
            ("GET  /  HTTP/1.1\r\n\r\n", "GET / 1.1 | "),
            ("GET /a#b\u{e9} HTTP/1.1\r\n\r\n", "GET /a#b\\xc3\\xa9 1.1 | "),
            ("GET /old\r\nnext", "GET /old 1.0 |  +4"),
            ("POST /old\r\n", "400 request line without a version"),
            ("GET / HTTP/1.1\r\nB@d: 1\r\nGood: 2\r\nHost : x\r\n\r\n", "GET / 1.1 | Good=2"),
            ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", "GET / 1.1 | X=a\\x00b"),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: A\r\n\r\n", "GET / 1.1 | Host=a"),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", "400 several Host fields that differ"),
            ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "GET http://a/ 1.1 | Host=b"),
            (
                "GET http://hostname#frag HTTP/1.1\r\nHost: hostname\r\n\r\n",
                "GET http://hostname#frag 1.1 | Host=hostname",
            ),
        ] {
            assert_eq!(request(head.as_bytes(), &LAX), expected, "{head:?}");
        }
    }

    #[test]
    fn targets_and_hosts() {
        // Request line, Host, and the target and the Host that follow from them; 400 without.
        for (line, host, expected) in [
            ("OPTIONS *", "", Some(("*", ""))),
            ("OPTIONS /", "", Some(("/", ""))),
            ("OPTIONS http://h", "h", Some(("http://h", "h"))),
            ("OPTIONS */test", "", None),
            ("GET *", "", None),
            ("BREW *", "", Some(("*", ""))),
            ("GET h:80", "h", None),
            ("GET admin", "", None),
            ("GET admin/a/b", "", None),
            ("CONNECT h:80", "h:80", Some(("h:80", "h"))),
            ("CONNECT h:80", "h", Some(("h:80", "h"))),
            ("CONNECT h:80", "h:", Some(("h:80", "h:"))),
            ("CONNECT h:443", "h:443", Some(("h:443", "h"))),
            ("CONNECT h:8443", "h:8443", Some(("h:8443", "h:8443"))),
            ("CONNECT h:8443", "", Some(("h:8443", ""))),
            ("CONNECT h", "h", None),
            ("CONNECT h:", "h", None),
            ("CONNECT h:80/", "h", None),
            ("CONNECT h:80/a", "h", None),
            ("CONNECT h:80?a", "h", None),
            ("CONNECT u@h:80", "h", None),
            ("CONNECT /", "h", None),
            ("CONNECT *", "h", None),
            ("CONNECT http://h:80", "h", None),
            ("CONNECT h1:80", "h2:80", None),
            ("CONNECT h:80", "h:443", None),
            ("CONNECT h:8080", "h", None),
            ("GET http://u:p@h:80/c1", "h:80", Some(("http://u:p@h/c1", "h"))),
            ("GET http://h:8080/c2", "h:8080", Some(("http://h:8080/c2", "h:8080"))),
            ("GET https://h:443/c3", "h:443", Some(("https://h/c3", "h"))),
            ("GET https://h:80/c4", "h:80", Some(("https://h:80/c4", "h:80"))),
            ("GET http://h1/", "h2", None),
            ("GET http://h:80/", "h:81", None),
            ("GET http://h:8080/", "h", None),
            ("GET http://h/", "h:81", None),
            ("GET http://h:80/c20", "h", Some(("http://h/c20", "h"))),
            ("GET http://h/c22", "h:80", Some(("http://h/c22", "h:80"))),
            ("GET https://h/c23", "h:443", Some(("https://h/c23", "h:443"))),
            ("GET http://h:/c24", "h", Some(("http://h/c24", "h"))),
            ("GET http://h/c26", "h:", Some(("http://h/c26", "h:"))),
            ("GET http://h:80/c28", "h:", Some(("http://h/c28", "h"))),
            ("GET http://h:/c29", "h:80", Some(("http://h/c29", "h"))),
            ("GET https://h:/c31", "h:443", Some(("https://h/c31", "h"))),
            ("GET http://:", ":80", Some(("http:///", "-"))),
            ("GET https://:", ":443", Some(("https:///", "-"))),
            ("GET http://:", ":", Some(("http:///", "-"))),
            ("GET http://h", "h", Some(("http://h/", "h"))),
            ("GET http://h:80", "h", Some(("http://h/", "h"))),
            ("GET http://h:81", "h:81", Some(("http://h:81/", "h:81"))),
            ("GET http://h?a=b", "h", Some(("http://h?a=b", "h"))),
            ("GET http://h:80?c=d", "h:80", Some(("http://h?c=d", "h"))),
            ("GET HTTP://H:80/", "h", Some(("HTTP://H/", "H"))),
            ("GET http://a[b/", "", None),
            ("GET http://a:80/", "", Some(("http://a/", ""))),
        ] {
            let field = if host.is_empty() { String::new() } else { format!("Host: {host}\r\n") };
            let found = request(format!("{line} HTTP/1.1\r\n{field}\r\n").as_bytes(), &LIMITS);
            let method = line.split(' ').next().unwrap();
            match expected {
                Some((target, "")) => assert_eq!(found, format!("{method} {target} 1.1 | "), "{line} {host}"),
                Some((target, "-")) => {
                    assert_eq!(found, format!("{method} {target} 1.1 | Host="), "{line} {host}")
                }
                Some((target, host)) => {
                    assert_eq!(found, format!("{method} {target} 1.1 | Host={host}"), "{line} {host}");
                }
                None => assert!(found.starts_with("400 "), "{line} {host}: {found}"),
            }
        }
    }

    #[test]
    fn responses() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "1.1 200 \"OK\" | A=b"),
            ("HTTP/1.0 404 Not Found\r\n\r\n", "1.0 404 \"Not Found\" | "),
            ("HTTP/1.1 200\r\n\r\n", "1.1 200 \"\" | "),
            ("HTTP/1.1 200 \r\n\r\n", "1.1 200 \"\" | "),
            ("HTTP/1.1 200 caf\u{e9}\r\nA: b\r\n c\r\n\r\n", "1.1 200 \"caf\\\\xc3\\\\xa9\" | A=b   c"),
            ("HTTP/1.1 999 x\n\n", "1.1 999 \"x\" | "),
            ("HTTP/1.1 20", "partial"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "502 invalid status code"),
            ("HTTP/1.1 099 OK\r\n\r\n", "502 invalid status code"),
            ("HTTP/1.1 20 OK\r\n\r\n", "502 invalid status code"),
            ("HTTP/1.1  200 OK\r\n\r\n", "502 extra blank in the start line"),
            ("HTTP/2.0 200 OK\r\n\r\n", "502 HTTP version not supported"),
            ("ICY 200 OK\r\n\r\n", "502 invalid HTTP version"),
            ("HTTP/1.1 200 O\x01K\r\n\r\n", "502 invalid character in the reason phrase"),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "502 blank before the colon of a header field"),
            (
                "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                "502 WebSocket handshake without Sec-WebSocket-Accept",
            ),
        ] {
            assert_eq!(response(head.as_bytes(), &LIMITS), expected, "{head:?}");
        }
        assert_eq!(response(b"HTTP/1.1 200 OK\r\nA : b\r\nC: d\r\n\r\n", &LAX), "1.1 200 \"OK\" | C=d");
    }

    #[test]
    fn limits() {
        let fields = |count: usize| "A: b\r\n".repeat(count);
        for (head, bytes_max, expected) in [
            (format!("GET / HTTP/1.1\r\n{}\r\n", fields(101)), 15360, "400 too many header fields"),
            (format!("GET / HTTP/1.1\r\n{}\r\n", fields(300)), 15360, "400 too many header fields"),
            (format!("GET /{}", "a".repeat(100)), 100, "414 request line does not fit in the buffer"),
            (
                format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(90)),
                100,
                "431 request head does not fit in the buffer",
            ),
            (format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(90)), 100, "431 request head too large"),
            ("\r\n".repeat(40), 100, "400 too many empty lines before the start line"),
        ] {
            let limits = Limits { bytes_max, ..LIMITS };
            assert_eq!(request(head.as_bytes(), &limits), expected, "{head:?}");
        }
        let head = format!("GET / HTTP/1.1\r\n{}\r\n", fields(100));
        assert!(request(head.as_bytes(), &LIMITS).starts_with("GET / 1.1"), "100 fields and the line");
        let head = format!("GET / HTTP/1.1\r\n{}\r\n", fields(400));
        let wide = Limits { fields_max: 1000, ..LIMITS };
        assert!(request(head.as_bytes(), &wide).starts_with("GET / 1.1"), "more than httparse has room for");
    }

    /// Heads that are nearly right.
    fn mutant(rng: &mut Rng, seeds: &[&[u8]]) -> Vec<u8> {
        const PIECES: [&[u8]; 16] = [
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b":",
            b"\0",
            b"\x7f",
            b"\xff",
            b"#",
            b"HTTP/1.0",
            b"Host: b\r\n",
            b"Connection: x\r\n",
            b",",
            b"\r\n ",
            b"A",
        ];
        let mut head = seeds[rng.below(seeds.len() as u64) as usize].to_vec();
        for _ in 0..rng.below(4) {
            let at = rng.below(head.len() as u64 + 1) as usize;
            let to = (at + rng.below(3) as usize).min(head.len());
            let piece = PIECES[rng.below(16) as usize];
            head.splice(at..to, piece.iter().copied());
        }
        head
    }

    const REQUESTS: [&[u8]; 3] = [
        b"GET /path?q=1 HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nX:\r\n\r\nbody",
        b"POST http://a.example:80/x HTTP/1.0\r\nhost: a.example\r\nContent-Length: 3\r\nConnection: a\r\nA: b\r\n\r\n",
        b"CONNECT h:443 HTTP/1.1\nHost: h\n\n",
    ];

    #[test]
    fn both_tokenisers_agree() {
        let mut rng = Rng::new(3);
        let responses: [&[u8]; 2] =
            [b"HTTP/1.1 200 OK\r\nServer: x\r\nA:  b \r\n\r\n", b"HTTP/1.0 404\nX: y\n\n"];
        let (mut fast, mut slow) = (Request::default(), Request::default());
        let (mut fast_response, mut slow_response) = (Response::default(), Response::default());
        let mut complete = 0;
        for _ in 0..30_000 {
            let head = mutant(&mut rng, &REQUESTS);
            let context = head.escape_ascii().to_string();
            if !matches!(head[..], [b'\r' | b'\n', ..]) {
                fast.clear();
                slow.clear();
                let (found, expected) =
                    (read_request(&head, &mut fast, &LIMITS), scan::request(&head, &mut slow, &LIMITS));
                if !(found == Ok(Progress::Partial) && expected.is_err()) {
                    assert_eq!(found, expected, "{context}");
                }
                assert_eq!(
                    (fast.method_bytes(), fast.target()),
                    (slow.method_bytes(), slow.target()),
                    "{context}"
                );
                assert_eq!(show(&fast.fields), show(&slow.fields), "{context}");
                complete += u32::from(found.is_ok_and(|progress| progress != Progress::Partial));
            }
            let head = mutant(&mut rng, &responses);
            let context = head.escape_ascii().to_string();
            if !matches!(head[..], [b'\r' | b'\n', ..]) {
                fast_response.clear();
                slow_response.clear();
                let found = read_response(&head, &mut fast_response, &LIMITS);
                let expected = scan::response(&head, &mut slow_response, &LIMITS);
                if !(found == Ok(Progress::Partial) && expected.is_err()) {
                    assert_eq!(found, expected, "{context}");
                }
                assert_eq!(fast_response.reason(), slow_response.reason(), "{context}");
                assert_eq!(show(&fast_response.fields), show(&slow_response.fields), "{context}");
            }
        }
        assert!(complete > 5000, "only {complete} mutants are heads");
    }

    #[test]
    fn a_head_is_the_same_however_it_arrives() {
        let mut rng = Rng::new(5);
        for _ in 0..3000 {
            let head = mutant(&mut rng, &REQUESTS);
            for limits in [&LIMITS, &LAX] {
                // What is left after the head differs, of course.
                let head_alone = |bytes: &[u8]| {
                    let shown = request(bytes, limits);
                    shown.split(" +").next().unwrap_or_default().to_string()
                };
                let whole = head_alone(&head);
                for cut in 0..head.len() {
                    let part = head_alone(&head[..cut]);
                    let ended = part != "partial" && !part.starts_with("4") && !part.starts_with("5");
                    assert!(
                        !ended || whole.starts_with(&part),
                        "{:?} {cut}: {part}, {whole}",
                        head.escape_ascii().to_string()
                    );
                    if part != "partial" && !ended {
                        assert!(
                            whole.starts_with("4") || whole.starts_with("5"),
                            "{:?} {cut}: {part}, {whole}",
                            head.escape_ascii().to_string()
                        );
                    }
                    if whole != "partial" && part == "partial" && !whole.starts_with("4") {
                        assert!(
                            may_have_ended(&head, cut) || limits.accept_unsafe,
                            "{:?} {cut}",
                            head.escape_ascii().to_string()
                        );
                    }
                }
            }
        }
    }

    /// Feeds a head byte by byte, as the reader does; how often it was parsed, and what came of it.
    fn trickle(head: &[u8], limits: &Limits) -> (usize, Result<Progress, Refusal>) {
        let (mut pieces, mut request, mut parses) = (Pieces::default(), Request::default(), 0);
        for end in 1..=head.len() {
            if !pieces.is_due(&head[..end], limits) {
                continue;
            }
            parses += 1;
            match parse_request(&head[..end], &mut request, limits) {
                Ok(Progress::Partial) => {}
                outcome => return (parses, outcome),
            }
        }
        (parses, Ok(Progress::Partial))
    }

    #[test]
    fn a_head_that_trickles_is_parsed_once_per_line_at_most() {
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(14_000));
        let (parses, outcome) = trickle(long.as_bytes(), &LIMITS);
        assert_eq!(outcome, Ok(Progress::Complete { len: long.len() }));
        assert!(parses <= 5, "{parses}");
        // A value that is folded without end has as many lines as it likes.
        let folded = format!("GET / HTTP/1.1\nX: a{}\n\n", "\n x".repeat(4_000));
        let (parses, outcome) = trickle(folded.as_bytes(), &LIMITS);
        assert_eq!(outcome, Ok(Progress::Complete { len: folded.len() }));
        assert!(parses <= 112, "{parses}");
        // Where the head ends within a piece, other bytes follow at once.
        let mut pieces = Pieces::default();
        let cut = folded.len() - 3;
        for end in 1..cut {
            pieces.is_due(&folded.as_bytes()[..end], &LIMITS);
        }
        assert!(pieces.is_due(format!("{folded}body").as_bytes(), &LIMITS));
    }

    #[test]
    fn too_many_fields_are_refused_as_soon_as_they_are_there() {
        let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "x: y\r\n".repeat(count - 1));
        for (count, expected) in [(100, Ok(Progress::Partial)), (102, Err(400))] {
            let mut request = Request::default();
            let outcome = parse_request(fields(count).as_bytes(), &mut request, &LIMITS);
            assert_eq!(outcome.map_err(|refusal| refusal.status), expected, "{count}");
        }
        let whole = format!("{}\r\n", fields(100));
        assert_eq!(trickle(whole.as_bytes(), &LIMITS).1, Ok(Progress::Complete { len: whole.len() }));
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let mut rng = Rng::new(13);
        for _ in 0..20_000 {
            let head: Vec<_> = (0..rng.below(60))
                .map(|_| b"GET /:HTP1.0\r\n\r\n a\x00\xff*#[]@,"[rng.below(26) as usize])
                .collect();
            let _ = (
                request(&head, &LIMITS),
                request(&head, &LAX),
                response(&head, &LIMITS),
                response(&head, &LAX),
            );
        }
    }
}
