//! What fuzzing feeds with bytes: one function per parser of foreign input, each with the promises
//! that must hold whatever the bytes are. A panic is a finding.
//!
//! Two drivers share the list: `main.rs` beside this file (a short run with every `cargo test`) and
//! `libfuzzer/` (long runs that follow coverage).

#[path = "answers.rs"]
mod answers;
#[path = "certificates.rs"]
mod certificates;
#[path = "http2.rs"]
mod http2;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use haring::base::clock::Now;
use haring::config::{Input, Settings, World};
use haring::diag::{Report, Span, render_haproxy, render_rich};
use haring::http::h1::encode::Connection;
use haring::http::h1::framing;
use haring::http::h1::head::{Limits, Progress, parse_request, parse_response};
use haring::http::h1::{chunked, encode};
use haring::http::{Method, Request, Response};
use haring::sample::acl::AclSet;
use haring::sample::expr::{Files, Named, Phase};
use haring::sample::facts::{Direction, ProcessFacts};
use haring::sample::{Context, Expr, LogFormat, ParseContext, SessionFacts, TransactionFacts};
use haring::state::Registry;
use haring::wire::{client_hello, proxy_protocol};

/// One parser and the function that feeds it.
pub struct Target {
    /// Its name: of its corpus, of its libFuzzer program.
    pub name: &'static str,
    /// Feeds it and checks what it promises.
    pub run: fn(&[u8]),
    /// Words that mutation strews in.
    pub words: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "request_head", run: request_head, words: HTTP_WORDS },
    Target { name: "response_head", run: response_head, words: HTTP_WORDS },
    Target {
        name: "chunked",
        run: chunked_body,
        words: &["0\r\n\r\n", "\r\n", ";a=\"b\"", "ffffffffffff", "A: b\r\n"],
    },
    Target { name: "header_block", run: http2::block, words: http2::WORDS },
    Target { name: "http2_server", run: http2::server, words: http2::WORDS },
    Target { name: "http2_client", run: http2::client, words: http2::WORDS },
    Target { name: "proxy_protocol", run: proxy_header, words: PROXY_WORDS },
    Target { name: "client_hello", run: hello, words: HELLO_WORDS },
    Target { name: "name_server_answer", run: answers::run, words: answers::WORDS },
    Target { name: "expression", run: expression, words: LANGUAGE_WORDS },
    Target { name: "log_format", run: log_format, words: LANGUAGE_WORDS },
    Target { name: "chain", run: certificates::chain, words: certificates::DER_WORDS },
    Target { name: "pem", run: certificates::pem_file, words: certificates::PEM_WORDS },
    Target { name: "ocsp", run: certificates::ocsp_response, words: certificates::DER_WORDS },
    Target { name: "cipher_string", run: certificates::cipher_string, words: certificates::CIPHER_WORDS },
    Target { name: "token", run: certificates::token, words: certificates::TOKEN_WORDS },
    Target { name: "configuration", run: configuration, words: CONFIGURATION_WORDS },
];

const HTTP_WORDS: &[&str] = &[
    "\r\n",
    "\r\n ",
    "\r\n\r\n",
    "Host: ",
    "Content-Length: ",
    "Transfer-Encoding: chunked",
    "Connection: close",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "Upgrade: websocket",
    ",",
    "\0",
    "\t",
    "http://",
    "CONNECT ",
    "*",
    "%00",
    "18446744073709551616",
    "\u{b}",
    ":",
];
const PROXY_WORDS: &[&str] = &[
    "PROXY ",
    "TCP4 ",
    "TCP6 ",
    "UNKNOWN",
    "1.2.3.4 ",
    "::1 ",
    " 65535",
    "\r\n",
    "\r\n\r\n\0\r\nQUIT\n",
    "!",
    "\x11",
    "\x20",
    "\x01\0\x02ab",
    "\x03\0\x04abcd",
    "\0\x0c",
    "\0\x24",
];
const HELLO_WORDS: &[&str] = &[
    "\x16\x03\x01",
    "\x01\0",
    "\x03\x03",
    "\0\0",
    "\0\x05\0\x03\0\0\0",
    "\0\x10",
    "\0\x0a",
    "\0\x2b",
    "\x0a\x0a",
    "example.com",
];
const LANGUAGE_WORDS: &[&str] = &[
    "%[",
    "]",
    "%{+Q}",
    "%{+X}o",
    "%{+json}o ",
    "%(name)",
    "req.hdr(",
    "var(txn.",
    "src",
    "path",
    ",lower",
    ",map(",
    ",regsub(",
    ",json_query('$.a')",
    ",concat(",
    ",bytes(",
    ",field(",
    ",hex",
    ",sub(",
    "int(",
    "str(",
    "bin(",
    ")",
    "(",
    ",",
    "'",
    "\"",
    "\\",
    "-9223372036854775808",
    "%ci",
    "%ts",
    "%hr",
    "0x",
    "acl(",
    "url_param(",
    ",ipmask(",
];
const CONFIGURATION_WORDS: &[&str] = &[
    "\nfrontend f\n",
    "\nbackend b\n",
    "\nlisten l\n",
    "\nglobal\n",
    "\ndefaults d\n",
    "\nuserlist u\n",
    " from d\n",
    "bind :80\n",
    "mode http\n",
    "server s 127.0.0.1:1 check\n",
    "acl a path_beg /\n",
    "use_backend b if a\n",
    "http-request set-header a %[path]\n",
    "stick-table type ip size 1k store http_req_rate(10s)\n",
    "if {",
    "}",
    "\"${A-b}\"",
    ".if ",
    ".endif\n",
    "timeout client 1s\n",
    "\\",
    "\"",
    "'",
    "#",
    "no option ",
    "balance ",
    "cookie ",
];

/// Parses a head at once and grown byte by byte: both must say the same, and no prefix may be
/// taken for more than it is. What is accepted must survive being written and read again.
fn request_head(bytes: &[u8]) {
    for accept_unsafe in [false, true] {
        let limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe };
        let mut request = Request::default();
        let whole = parse_request(bytes, &mut request, &limits);
        let Ok(Progress::Complete { len }) = whole else { continue };
        assert!(len <= bytes.len());
        let mut again = Request::default();
        for cut in 0..len {
            let partial = parse_request(&bytes[..cut], &mut again, &limits);
            assert!(!matches!(partial, Ok(Progress::Complete { .. })), "complete after {cut} of {len} bytes");
        }
        let Ok(framing) = framing::of_request(&request) else { continue };
        let mut written = Vec::new();
        encode::request(&request, framing.body, Connection::Default, &mut written);
        // What goes to a server is strict, whatever was accepted.
        let strict = Limits { fields_max: 200, bytes_max: 1 << 20, accept_unsafe };
        match parse_request(&written, &mut again, &strict) {
            Ok(Progress::Complete { len }) => {
                assert_eq!(len, written.len(), "more than one head was written")
            }
            other => panic!("what was written is not a head: {other:?}"),
        }
        assert_eq!((request.method_bytes(), request.target()), (again.method_bytes(), again.target()));
        let reread = framing::of_request(&again).expect("a framing that was written");
        assert_eq!(framing.body, reread.body, "two readers disagree about the body");
    }
}

/// As [`request_head`], of responses.
fn response_head(bytes: &[u8]) {
    let limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: false };
    let mut response = Response::default();
    let Ok(Progress::Complete { len }) = parse_response(bytes, &mut response, &limits) else { return };
    let mut again = Response::default();
    for cut in 0..len {
        let partial = parse_response(&bytes[..cut], &mut again, &limits);
        assert!(!matches!(partial, Ok(Progress::Complete { .. })), "complete after {cut} of {len} bytes");
    }
    for method in [Method::Get, Method::Head, Method::Connect] {
        let Ok(framing) = framing::of_response(&response, method) else { continue };
        let mut written = Vec::new();
        encode::response(&response, framing.body, Connection::Default, &mut written);
        match parse_response(&written, &mut again, &Limits { fields_max: 200, bytes_max: 1 << 20, ..limits })
        {
            Ok(Progress::Complete { len }) => {
                assert_eq!(len, written.len(), "more than one head was written")
            }
            other => panic!("what was written is not a head: {other:?}"),
        }
        assert_eq!(response.status, again.status);
    }
}

/// Decodes a chunked body at once and in pieces: the same bytes must come out, or the same refusal.
fn chunked_body(bytes: &[u8]) {
    let whole = decode(bytes, bytes.len().max(1));
    for piece in [1, 2, 7] {
        assert_eq!(whole, decode(bytes, piece), "in pieces of {piece}");
    }
}

/// The body and whether it ended, decoding as a connection does that gets `piece` bytes at a time.
fn decode(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, bool), ()> {
    let mut decoder = chunked::Decoder::new();
    let (mut body, mut buffer) = (Vec::new(), Vec::new());
    for part in bytes.chunks(piece) {
        buffer.extend_from_slice(part);
        loop {
            match decoder.next(&buffer).map_err(|_| ())? {
                chunked::Event::NeedMore { consumed } => {
                    buffer.drain(..consumed);
                    break;
                }
                chunked::Event::Data { start, end } => {
                    assert!(start <= end && end <= buffer.len());
                    body.extend_from_slice(&buffer[start..end]);
                    buffer.drain(..end);
                }
                chunked::Event::End { trailers_start, end } => {
                    assert!(trailers_start <= end && end <= buffer.len());
                    return Ok((body, true));
                }
            }
        }
    }
    Ok((body, false))
}

/// Reads a PROXY protocol header at once and grown byte by byte: no prefix may be taken for the whole
/// or refused, and addresses that were read must survive being written in either version.
fn proxy_header(bytes: &[u8]) {
    let Ok(proxy_protocol::Progress::Complete { header, len }) = proxy_protocol::parse(bytes) else { return };
    assert!(len <= bytes.len());
    for cut in 0..len {
        let partial = proxy_protocol::parse(&bytes[..cut]);
        assert!(
            matches!(partial, Ok(proxy_protocol::Progress::Partial)),
            "{partial:?} after {cut} of {len} bytes"
        );
    }
    for kind in 0..=u8::MAX {
        let total: usize = header.fields.of_kind(kind).map(<[u8]>::len).sum();
        assert!(total <= len, "fields are longer than the header");
    }
    let Some((source, destination)) = header.addresses else { return };
    let mut written = Vec::new();
    proxy_protocol::write_v1(Some(source), Some(destination), &mut written);
    match proxy_protocol::parse(&written) {
        Ok(proxy_protocol::Progress::Complete { header: again, len }) => {
            assert_eq!(len, written.len());
            if source.is_ipv4() == destination.is_ipv4() {
                assert_eq!(again.addresses, header.addresses);
            }
        }
        other => panic!("what was written is not a header: {other:?}"),
    }
}

/// Looks for a ClientHello in all of the bytes and in every beginning of them: what is known of a
/// beginning may not change when more comes, and every place lies within the hello.
fn hello(bytes: &[u8]) {
    use client_hello::{ClientHello, Extension, Found};
    let whole = client_hello::message_type(bytes);
    let cuts = (0..bytes.len()).step_by(1 + bytes.len() / 64);
    for cut in cuts {
        match client_hello::message_type(&bytes[..cut]) {
            Found::Partial => {}
            known => assert_eq!(known, whole, "known after {cut} of {} bytes", bytes.len()),
        }
        client_hello::offered_version(&bytes[..cut]);
    }
    let Found::Complete(hello) = ClientHello::parse(bytes) else { return };
    let mut protocols = 0;
    hello.protocols(|place| {
        protocols += hello.bytes(place).len();
        true
    });
    assert!(protocols <= bytes.len());
    for place in [hello.server_name(), Some(hello.ciphers()), hello.numbers(Extension::SupportedGroups)]
        .into_iter()
        .flatten()
    {
        assert!(hello.bytes(place).len() <= bytes.len());
    }
    hello.key_share_groups();
}

/// Files with a little of everything; no host name resolves.
struct Memory;

impl Files for Memory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if path.len().is_multiple_of(3) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(b"# comment\nexample.com one\n/path two\n10.0.0.0/8 3\n\n42 4\n".to_vec())
    }
}

impl World for Memory {
    fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn env(&self, name: &str) -> Option<String> {
        (!name.len().is_multiple_of(2)).then(|| "value \"of\" it".to_owned())
    }
}

/// A request and a response for expressions to look at; the request's head is the input's second
/// part, if it is one.
fn with_context(head: &[u8], look: impl FnOnce(&Context<'_>, &Arc<Registry>)) {
    let registry = Registry::new(1);
    let now = Now { mono_us: 12_000_000, wall_us: 1_700_000_010_123_456 };
    let mut session = SessionFacts::new(registry.proxy("web"), now);
    session.is_http = true;
    session.source = Some("192.0.2.1:50000".parse().expect("an address"));
    session.destination = Some("[2001:db8::1]:80".parse().expect("an address"));
    let mut txn = TransactionFacts::default();
    let limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: true };
    let fallback = b"GET /a/b;c?d=e&f=%20 HTTP/1.1\r\nHost: example.com:8080\r\nCookie: a=b; c=\"d\"\r\nX-N: -1, 2\r\n\r\n";
    if !matches!(parse_request(head, &mut txn.request, &limits), Ok(Progress::Complete { .. })) {
        let _ = parse_request(fallback, &mut txn.request, &limits);
    }
    txn.has_request = true;
    txn.body = head.to_vec();
    txn.body_complete = true;
    txn.request_payload = head.to_vec();
    let response = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; path=/\r\nX: 1,2\r\n\r\n";
    let _ = parse_response(response, &mut txn.response, &limits);
    txn.has_response = true;
    txn.inspection_over = true;
    let process = ProcessFacts { hostname: "box".into(), pid: 1, node: "box".into(), ..Default::default() };
    let context = Context {
        session: Some(&session),
        txn: &txn,
        direction: Direction::Request,
        now,
        process: &process,
        check_vars: None,
    };
    look(&context, &registry);
}

/// Reads the text up to the first line end with a parser of the language, then hands on what it
/// made together with a context in which to use it.
fn in_language<T>(
    bytes: &[u8],
    parse: impl Fn(&str, &mut ParseContext<'_>) -> Option<T>,
    use_it: impl Fn(&T, &Context<'_>),
) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Ok(text) = std::str::from_utf8(&bytes[..end]) else { return };
    with_context(bytes.get(end + 1..).unwrap_or_default(), |context, registry| {
        for phase in [Phase::HttpRequest, Phase::HttpResponse, Phase::Log, Phase::TcpRequestContent] {
            let mut report = Report::default();
            let acls = AclSet::default();
            let made = parse(
                text,
                &mut ParseContext {
                    report: &mut report,
                    registry,
                    files: &Memory,
                    phase,
                    proxy: Some("web"),
                    acls: &acls,
                    named: &Named::default(),
                },
            );
            assert_eq!(made.is_none(), report.has_alerts(), "a refusal has an alert, and only a refusal");
            if let Some(made) = made {
                let direction =
                    if phase == Phase::HttpResponse { Direction::Response } else { Direction::Request };
                use_it(&made, &Context { direction, ..*context });
            }
        }
    });
}

/// Parses an expression in several phases and evaluates what is accepted.
fn expression(bytes: &[u8]) {
    in_language(
        bytes,
        |text, context| Expr::parse(text, Span::NONE, context),
        |expr, context| {
            let mut out = Vec::new();
            let is_there = expr.eval_string(context, &mut out);
            assert_eq!(is_there, expr.eval_bytes(context).is_some(), "two ways to evaluate disagree");
        },
    );
}

/// Compiles a log format and writes it.
fn log_format(bytes: &[u8]) {
    in_language(
        bytes,
        |text, context| LogFormat::parse(text, Span::NONE, context),
        |format, context| {
            for dash in [false, true] {
                format.write(context, dash, &mut Vec::new());
            }
        },
    );
}

/// Loads a configuration; every finding must render, with its place in the file.
fn configuration(bytes: &[u8]) {
    if asks_for_much(bytes) {
        return;
    }
    let registry = Registry::new(1);
    let mut report = Report::default();
    let inputs = [Input { name: "fuzz.cfg".into(), bytes: bytes.to_vec() }];
    let model = haring::config::load(&inputs, &Settings::default(), &registry, &Memory, &mut report);
    assert_eq!(model.is_none(), report.has_alerts(), "a refusal has an alert, and only a refusal");
    for found in &report.diagnostics {
        assert!(!found.message.is_empty());
        render_haproxy(&report, found, 1);
        render_rich(&report, found, false);
    }
    if let Some(model) = model {
        model.adopt();
    }
}

/// Whether a text asks for objects by the hundred thousand: that is the user's right and no finding.
fn asks_for_much(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut numbers = HashMap::new();
    let words = ["server-template", "bind", "nbthread", "ring", "size", "tune."];
    let heavy = text.lines().filter(|line| words.iter().any(|word| line.contains(word)));
    for line in heavy {
        for number in line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok()) {
            *numbers.entry(number > 2000).or_insert(0) += 1;
        }
    }
    numbers.contains_key(&true)
}
