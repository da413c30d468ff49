//! The tokeniser of heads that httparse does not take: obsolete line folding, what `option
//! accept-unsafe-violations-in-http-*` lets pass, and heads to be refused, of which it finds the
//! place and the reason.
//!
//! It reads byte by byte and stops at the first byte it does not understand, so that a bad head is
//! refused as soon as it is bad and not when it ends.

use super::head::{Limits, Progress, Refusal};
use crate::base::text::trim;
use crate::http::{Fields, Known, Method, Request, Response, Text, Version};

/// Why reading stopped before the end of the head.
enum Stop {
    NeedMore,
    Bad(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Bad(refusal)
    }
}

/// Reads a request head; it must not start with an empty line.
pub(super) fn request(head: &[u8], request: &mut Request, limits: &Limits) -> Result<Progress, Refusal> {
    let mut scanner = Scanner {
        head,
        at: 0,
        status: REQUEST_STATUS,
        accept_unsafe: limits.accept_unsafe,
        fields_max: limits.fields_max,
    };
    match scanner.request_line().and_then(|line| Ok((line, scanner.fields(line.ends_head)?))) {
        Ok((line, section)) => {
            request.fields.store(&head[..scanner.at]);
            request.method = Method::from_token(&head[line.method.start()..line.method.end()]);
            request.method_text = line.method;
            request.target = line.target;
            request.version = line.version;
            section.store(head, &mut request.fields);
            Ok(Progress::Complete { len: scanner.at })
        }
        Err(Stop::NeedMore) => Ok(Progress::Partial),
        Err(Stop::Bad(refusal)) => Err(refusal),
    }
}

/// Reads a response head; it must not start with an empty line.
pub(super) fn response(head: &[u8], response: &mut Response, limits: &Limits) -> Result<Progress, Refusal> {
    let mut scanner = Scanner {
        head,
        at: 0,
        status: 502,
        accept_unsafe: limits.accept_unsafe,
        fields_max: limits.fields_max,
    };
    match scanner.status_line().and_then(|line| Ok((line, scanner.fields(false)?))) {
        Ok((line, section)) => {
            response.fields.store(&head[..scanner.at]);
            response.status = line.status;
            response.reason = line.reason;
            response.version = line.version;
            section.store(head, &mut response.fields);
            Ok(Progress::Complete { len: scanner.at })
        }
        Err(Stop::NeedMore) => Ok(Progress::Partial),
        Err(Stop::Bad(refusal)) => Err(refusal),
    }
}

/// Reads a field section that stands alone (trailers), up to and including its empty line.
pub(super) fn trailers(section: &[u8], fields: &mut Fields) -> Result<(), Refusal> {
    let mut scanner =
        Scanner { head: section, at: 0, status: 400, accept_unsafe: false, fields_max: usize::MAX };
    match scanner.fields(false) {
        Ok(found) => {
            fields.store(section);
            found.store(section, fields);
            Ok(())
        }
        Err(Stop::NeedMore) => Err(Refusal::new(400, "trailer section without an end", section.len())),
        Err(Stop::Bad(refusal)) => Err(refusal),
    }
}

/// The status that refuses a request; tells requests from responses while scanning.
const REQUEST_STATUS: u16 = 400;

struct Scanner<'a> {
    head: &'a [u8],
    at: usize,
    /// The status of a refusal: 400, or 502 for responses.
    status: u16,
    accept_unsafe: bool,
    fields_max: usize,
}

#[derive(Clone, Copy)]
struct RequestLine {
    method: Text,
    target: Text,
    version: Version,
    /// An HTTP/0.9 request is its line alone.
    ends_head: bool,
}

#[derive(Clone, Copy)]
struct StatusLine {
    version: Version,
    status: u16,
    reason: Text,
}

/// A field section read but not stored.
#[derive(Default)]
struct Section {
    fields: Vec<(Text, Text)>,
    /// Line ends within folded values, to be made spaces (RFC 9112 section 5.2).
    folds: Vec<Text>,
}

impl Section {
    /// Moves it into a message whose arena starts with the head.
    fn store(self, head: &[u8], fields: &mut Fields) {
        for fold in self.folds {
            fields.bytes_mut(fold).fill(b' ');
        }
        for (name, value) in self.fields {
            let raw = &head[value.start()..value.end()];
            // Line ends at either side of a folded value are spaces by now.
            let lead = raw.iter().take_while(|byte| is_blank(**byte)).count();
            let tail = raw[lead..].iter().rev().take_while(|byte| is_blank(**byte)).count();
            fields.push(name, Text::new(value.start() + lead, raw.len() - lead - tail));
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A character of a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Scanner<'_> {
    fn peek(&self) -> Result<u8, Stop> {
        self.head.get(self.at).copied().ok_or(Stop::NeedMore)
    }

    fn bad<T>(&self, reason: &'static str) -> Result<T, Stop> {
        Err(Stop::Bad(Refusal::new(self.status, reason, self.at)))
    }

    /// Passes bytes while `belongs` holds; there must be another byte after them.
    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> Result<Text, Stop> {
        let start = self.at;
        while belongs(self.peek()?) {
            self.at += 1;
        }
        Ok(Text::new(start, self.at - start))
    }

    /// Passes a line end. RFC 9112 section 2.2 allows to take a bare LF for one, as HAProxy does
    /// in heads; a bare CR is never one.
    fn line_end(&mut self) -> Result<(), Stop> {
        if self.peek()? == b'\r' {
            self.at += 1;
            if self.peek()? != b'\n' {
                return self.bad("bare CR");
            }
        } else if self.peek()? != b'\n' {
            return self.bad("line end expected");
        }
        self.at += 1;
        Ok(())
    }

    /// Passes the space between two parts of a start line: RFC 9112 section 3 has one SP there. Runs of
    /// spaces are taken in requests, as HAProxy takes them: the line is written anew with single spaces,
    /// so that no server can read it otherwise. In responses they are taken only where violations are.
    fn separator(&mut self) -> Result<(), Stop> {
        if self.accept_unsafe {
            self.take_while(|byte| matches!(byte, b' ' | b'\t'))?;
            return Ok(());
        }
        if self.peek()? != b' ' {
            return self.bad("one space expected in the start line");
        }
        self.at += 1;
        if self.status == REQUEST_STATUS {
            self.take_while(|byte| byte == b' ')?;
        }
        match self.peek()? {
            b' ' | b'\t' => self.bad("extra blank in the start line"),
            _ => Ok(()),
        }
    }

    fn request_line(&mut self) -> Result<RequestLine, Stop> {
        let method = self.take_while(is_token)?;
        if method.is_empty() || !matches!(self.peek()?, b' ' | b'\t' | b'\r' | b'\n') {
            return self.bad("invalid character in the method");
        }
        let is_get = &self.head[..method.end()] == b"GET";
        if matches!(self.peek()?, b'\r' | b'\n') {
            return self.bad("request line without a target");
        }
        self.separator()?;
        let unsafe_too = self.accept_unsafe;
        let target = self.take_while(|byte| match byte {
            b'#' | 0x80.. => unsafe_too,
            0x21..=0x7e => true,
            _ => false,
        })?;
        if target.is_empty() {
            return self.bad("request line without a target");
        }
        match self.peek()? {
            b' ' | b'\t' => {}
            b'\r' | b'\n' => return self.old_request(method, target, is_get),
            _ => return self.bad("invalid character in the request target"),
        }
        self.separator()?;
        if unsafe_too && matches!(self.peek()?, b'\r' | b'\n') {
            return self.old_request(method, target, is_get);
        }
        let is_preface = &self.head[..method.end()] == b"PRI";
        let version = match self.version()? {
            Ok(version) => version,
            Err(at) if is_preface => {
                return Err(Stop::Bad(Refusal::new(400, "HTTP/2 preface on an HTTP/1 connection", at)));
            }
            Err(at) => return Err(Stop::Bad(Refusal::new(505, "HTTP version not supported", at))),
        };
        self.line_end()?;
        Ok(RequestLine { method, target, version, ends_head: false })
    }

    /// An HTTP/0.9 request: `GET /path` alone (RFC 1945 section 4.1), answered as HTTP/1.0.
    fn old_request(&mut self, method: Text, target: Text, is_get: bool) -> Result<RequestLine, Stop> {
        if !self.accept_unsafe || !is_get {
            return self.bad("request line without a version");
        }
        self.line_end()?;
        Ok(RequestLine { method, target, version: Version::Http10, ends_head: true })
    }

    /// Reads `HTTP/digit.digit`; the inner error is the place of a major version other than 1.
    fn version(&mut self) -> Result<Result<Version, usize>, Stop> {
        for &expected in b"HTTP/" {
            if self.peek()? != expected {
                return self.bad("invalid HTTP version");
            }
            self.at += 1;
        }
        let major_at = self.at;
        let mut digits = [0; 2];
        for (index, digit) in digits.iter_mut().enumerate() {
            if index == 1 {
                if self.peek()? != b'.' {
                    return self.bad("invalid HTTP version");
                }
                self.at += 1;
            }
            *digit = self.peek()?;
            if !digit.is_ascii_digit() {
                return self.bad("invalid HTTP version");
            }
            self.at += 1;
        }
        if !matches!(self.peek()?, b' ' | b'\t' | b'\r' | b'\n') {
            return self.bad("invalid HTTP version");
        }
        Ok(match digits {
            [b'1', b'0'] => Ok(Version::Http10),
            // RFC 9110 section 2.5: a higher minor version is understood as the highest one known.
            [b'1', _] => Ok(Version::Http11),
            _ => Err(major_at),
        })
    }

    fn status_line(&mut self) -> Result<StatusLine, Stop> {
        let version = match self.version()? {
            Ok(version) => version,
            Err(_) => return self.bad("HTTP version not supported"),
        };
        self.separator()?;
        let digits = self.take_while(|byte| byte.is_ascii_digit())?;
        let status = self.head[digits.start()..digits.end()]
            .iter()
            .fold(0_u32, |status, digit| (status * 10 + u32::from(digit - b'0')).min(10_000));
        if digits.len() != 3 || status < 100 {
            self.at = digits.start();
            return self.bad("invalid status code");
        }
        if !matches!(self.peek()?, b' ' | b'\t' | b'\r' | b'\n') {
            return self.bad("invalid character in the status code");
        }
        let unsafe_too = self.accept_unsafe;
        let phrase = self.take_while(|byte| match byte {
            b'\r' | b'\n' | 0 => false,
            b'\t' | 0x20..=0x7e | 0x80.. => true,
            _ => unsafe_too,
        })?;
        if !matches!(self.peek()?, b'\r' | b'\n') {
            return self.bad("invalid character in the reason phrase");
        }
        let reason = self.trimmed(phrase);
        self.line_end()?;
        Ok(StatusLine { version, status: status as u16, reason })
    }

    fn trimmed(&self, text: Text) -> Text {
        let raw = &self.head[text.start()..text.end()];
        let lead = raw.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        Text::new(text.start() + lead, trim(raw).len())
    }

    /// Reads the field section up to its empty line; there is none after an HTTP/0.9 line.
    fn fields(&mut self, ended_already: bool) -> Result<Section, Stop> {
        let mut section = Section::default();
        if ended_already {
            return Ok(section);
        }
        while !matches!(self.peek()?, b'\r' | b'\n') {
            self.field(&mut section)?;
        }
        self.line_end()?;
        Ok(section)
    }

    fn field(&mut self, section: &mut Section) -> Result<(), Stop> {
        let mut name = self.take_while(is_token)?;
        let mut is_valid = true;
        if self.peek()? != b':' {
            if !self.accept_unsafe {
                return self.bad(match self.peek()? {
                    b' ' | b'\t' if name.is_empty() => "blank before the first header field",
                    b' ' | b'\t' => "blank before the colon of a header field",
                    b'\r' | b'\n' => "header field without a colon",
                    _ => "invalid character in a header field name",
                });
            }
            // With violations accepted such a field is dropped, not forwarded.
            is_valid = false;
            let rest = self.take_while(|byte| !matches!(byte, b':' | b'\n'))?;
            name = Text::new(name.start(), name.len() + rest.len());
            if self.peek()? != b':' {
                return self.bad("header field without a colon");
            }
        }
        if name.is_empty() {
            return self.bad("empty header field name");
        }
        self.at += 1;
        let start = self.at;
        let unsafe_too = self.accept_unsafe;
        let first_fold = section.folds.len();
        loop {
            self.take_while(|byte| match byte {
                b'\r' | b'\n' => false,
                b'\t' | 0x20..=0x7e | 0x80.. => true,
                _ => unsafe_too,
            })?;
            if !matches!(self.peek()?, b'\r' | b'\n') {
                return self.bad("control character in a header field value");
            }
            let end = self.at;
            self.line_end()?;
            if !matches!(self.peek()?, b' ' | b'\t') {
                if is_valid {
                    section.fields.push((name, Text::new(start, end - start)));
                    // The start line counts.
                    if section.fields.len() + 1 > self.fields_max {
                        return self.bad(super::head::TOO_MANY_FIELDS);
                    }
                }
                break;
            }
            section.folds.push(Text::new(end, self.at - end));
        }
        // A recipient that does not unfold would frame the message otherwise.
        let known = Known::of(&self.head[name.start()..name.end()]);
        if section.folds.len() > first_fold
            && !self.accept_unsafe
            && matches!(known, Known::ContentLength | Known::TransferEncoding | Known::Host)
        {
            self.at = start;
            return self.bad("obsolete line folding in a field that frames or routes the message");
        }
        Ok(())
    }
}
