//! The HTTP side of `option httpchk`: making the request, reading the response.
//!
//! A check's response is bounded by the buffer (`tune.bufsize`) and read whole, so the reader starts
//! anew on all bytes at each call: simple, and never more than a few kilobytes.

use super::script::Text;
use crate::http::h1::framing::{self, Body};
use crate::http::h1::head::{self, Limits, Progress};
use crate::http::{Method, Response};
use crate::sample::LogFormat;
use crate::sample::facts::Context;

/// `http-check send`, or what `option httpchk` gives.
#[derive(Debug, Default)]
pub struct Request {
    /// The method; `OPTIONS` by default.
    pub method: Option<Box<str>>,
    /// The target; `/` by default.
    pub target: Option<Text>,
    /// The version; `HTTP/1.0` by default.
    pub version: Option<Box<str>>,
    /// Header fields.
    pub fields: Vec<(Box<str>, Text)>,
    /// The body.
    pub body: Option<Text>,
    /// It is that of `option httpchk`, as it stands.
    pub from_option: bool,
}

impl Request {
    /// The value of a field, if the request has it.
    pub fn field(&self, name: &str, context: &Context<'_>) -> Option<Vec<u8>> {
        let (_, text) = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(text.render(context))
    }
    /// Takes over what `newer` says; the fields as a whole.
    pub fn overwrite(&mut self, newer: Request) {
        if newer.method.is_some() {
            self.method = newer.method;
        }
        if newer.target.is_some() {
            self.target = newer.target;
        }
        if newer.version.is_some() {
            self.version = newer.version;
        }
        if !newer.fields.is_empty() {
            self.fields = newer.fields;
        }
        if newer.body.is_some() {
            self.body = newer.body;
        }
    }
    /// Its bytes; `state` is the value of `X-Haproxy-Server-State`, if that is sent.
    pub fn bytes(&self, context: &Context<'_>, state: Option<&str>) -> Vec<u8> {
        let method = self.method.as_deref().unwrap_or("OPTIONS");
        let is_11 = self.version.as_deref().is_some_and(is_11_or_later);
        let mut target = self.target.as_ref().map(|text| text.render(context)).unwrap_or_default();
        if target.is_empty() {
            target.push(b'/');
        }
        let body = self.body.as_ref().map(|text| text.render(context)).unwrap_or_default();
        let mut fields = Vec::with_capacity(512);
        let mut field = |name: &str, value: &[u8]| {
            fields.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
            fields.extend_from_slice(b": ");
            fields.extend_from_slice(value);
            fields.extend_from_slice(b"\r\n");
        };
        let (mut closes, mut keeps, mut has_connection) = (false, false, false);
        for (name, value) in &self.fields {
            let mut value = value.render(context);
            if value.is_empty() {
                continue;
            }
            if name.eq_ignore_ascii_case("host") {
                target = with_authority(target, &value);
            }
            if name.eq_ignore_ascii_case("connection") {
                has_connection = true;
                let others: Vec<&[u8]> = (value.split(|byte| *byte == b','))
                    .map(<[u8]>::trim_ascii)
                    .filter(|option| {
                        let (close, keep) = (
                            option.eq_ignore_ascii_case(b"close"),
                            option.eq_ignore_ascii_case(b"keep-alive"),
                        );
                        closes |= close;
                        keeps |= keep;
                        !close && !keep
                    })
                    .collect();
                value = others.join(&b", "[..]);
                if value.is_empty() {
                    continue;
                }
            }
            field(name, &value);
        }
        if let Some(state) = state {
            field("x-haproxy-server-state", state.as_bytes());
        }
        if !body.is_empty() || !matches!(method, "OPTIONS" | "GET" | "HEAD" | "DELETE") {
            field("content-length", body.len().to_string().as_bytes());
        }
        // What a version means anyway is not said (RFC 9112 section 9.3).
        match is_11 {
            true if closes || !has_connection => field("connection", b"close"),
            false if keeps && !closes => field("connection", b"keep-alive"),
            _ => {}
        }
        let version: &[u8] = if is_11 { b"HTTP/1.1" } else { b"HTTP/1.0" };
        let line = [method.as_bytes(), b" ", &target, b" ", version, b"\r\n"].concat();
        [&line[..], &fields, b"\r\n", &body].concat()
    }
}

/// Whether a request of this version is sent as one of HTTP/1.1, the highest that checks speak.
fn is_11_or_later(version: &str) -> bool {
    match version.as_bytes() {
        [_, _, _, _, _, b'2'] => true,
        [_, _, _, _, _, major, _, minor] => *major > b'1' || (*major == b'1' && *minor >= b'1'),
        _ => false,
    }
}

/// An absolute target names the host that `Host` names (RFC 9112 section 3.2.2); others stay.
fn with_authority(target: Vec<u8>, host: &[u8]) -> Vec<u8> {
    let Some(start) = memchr::memmem::find(&target, b"://").filter(|_| target[0] != b'/') else {
        return target;
    };
    let start = start + 3;
    let len = target[start..].iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let end = len.map_or(target.len(), |len| start + len);
    [&target[..start], host, &target[end..]].concat()
}

impl Text {
    /// The text, computed if it must be.
    pub fn render(&self, context: &Context<'_>) -> Vec<u8> {
        match self {
            Text::Literal(bytes) => bytes.clone(),
            Text::Format(format) => render(format, context),
        }
    }
}

/// A format's text; what is absent leaves nothing.
pub fn render(format: &LogFormat, context: &Context<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    format.write(context, false, &mut out);
    out
}

/// The most lines in a response's head, as `tune.http.maxhdr` has it by default.
const LINES_MAX: usize = 101;

/// How far a response was understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Its head has not ended.
    #[default]
    Head,
    /// The head is there; the body may go on.
    Body,
    /// All of it is there.
    Complete,
    /// It is not HTTP.
    Invalid,
    /// The head is there; what follows is no body.
    BadBody,
}

/// Reads what has come so far of a response to a `method` request; `closed` tells that no more will.
pub fn read(
    input: &[u8],
    method: Method,
    closed: bool,
    response: &mut Response,
    body: &mut Vec<u8>,
) -> Reading {
    body.clear();
    let limits = Limits { fields_max: LINES_MAX, bytes_max: input.len().max(1) + 1, accept_unsafe: false };
    let mut start = 0;
    loop {
        match head::parse_response(&input[start..], response, &limits) {
            Ok(Progress::Partial) if closed && input.len() > start => return Reading::Invalid,
            Ok(Progress::Partial) => return Reading::Head,
            // Interim responses announce the real one (RFC 9110 section 15.2).
            Ok(Progress::Complete { len })
                if (100..200).contains(&response.status) && response.status != 101 =>
            {
                start += len;
            }
            Ok(Progress::Complete { len }) => {
                start += len;
                break;
            }
            Err(_) => return Reading::Invalid,
        }
    }
    let rest = &input[start..];
    let complete = match framing::of_response(response, method) {
        Err(_) => return Reading::Invalid,
        Ok(found) => match found.body {
            Body::None => true,
            Body::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                body.extend_from_slice(&rest[..rest.len().min(length)]);
                rest.len() >= length
            }
            Body::UntilClose => {
                body.extend_from_slice(rest);
                closed
            }
            Body::Chunked => match chunks(rest, body) {
                Some(complete) => complete,
                None => return Reading::BadBody,
            },
        },
    };
    if complete || closed { Reading::Complete } else { Reading::Body }
}

/// Decodes chunks as far as they came; whether the last one has, or `None` when they are broken.
fn chunks(mut rest: &[u8], body: &mut Vec<u8>) -> Option<bool> {
    use crate::http::h1::chunked::{Decoder, Event};
    let mut decoder = Decoder::new();
    loop {
        match decoder.next(rest).ok()? {
            Event::NeedMore { .. } => return Some(false),
            Event::Data { start, end } => {
                body.extend_from_slice(&rest[start..end]);
                rest = &rest[end..];
            }
            Event::End { .. } => return Some(true),
        }
    }
}
