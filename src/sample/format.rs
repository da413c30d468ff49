//! Log-format strings (manual, section 8.2.6): compiled once, evaluated per line or per header.
//!
//! A format is a list of pieces: text, `%aliases` (rows of [`ALIASES`]) and `%[expressions]`.
//! Writing appends to the caller's buffer and allocates nothing itself.

use super::expr::{Expr, Fault, ParseContext, Phase};
use super::facts::Context;
pub use super::format_alias::{ALIASES, Alias};
use super::value::Value;
use crate::base::text::decode_raw;
use crate::diag::{Span, did_you_mean};

/// A compiled format string.
#[derive(Debug, Default)]
pub struct LogFormat {
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    Text(Box<[u8]>),
    /// Spaces of a log line: one, unless a space was just written.
    Space,
    Alias(&'static Alias, Options),
    Expr(Box<Expr>, Options),
}

/// `%{+Q,+X,+E,+bin}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Options {
    quote: bool,
    hex: bool,
    escape: bool,
    /// Not one of the flags: whoever writes wants the bytes as they are.
    raw: bool,
    binary: bool,
}

/// Formats of the predefined log options (manual, sections 8.2.2 to 8.2.4).
pub mod predefined {
    /// `option httplog`.
    pub const HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
                            %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
    /// `option httplog clf`.
    pub const HTTP_CLF: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta \
                                %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";
    /// `option tcplog`.
    pub const TCP: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
    /// `option tcplog clf`.
    pub const TCP_CLF: &str = "%{+Q}o %{-Q}ci - - [%T] \"TCP \" 000 %B \"\" \"\" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U \
                               %ts-- %ac %fc %bc %sc %rc %sq %bq \"\" \"\" ";
}

impl LogFormat {
    /// Compiles `text`; on a mistake reports it and returns `None`.
    pub fn parse(text: &str, span: Span, context: &mut ParseContext<'_>) -> Option<LogFormat> {
        match LogFormat::try_parse(text, span, context) {
            Ok(format) => Some(format),
            Err(fault) => {
                context.report.alert(span, fault.message).help = fault.help;
                None
            }
        }
    }

    fn try_parse(text: &str, span: Span, context: &mut ParseContext<'_>) -> Result<LogFormat, Fault> {
        // In log lines runs of spaces are one separator, elsewhere they are text.
        let merge_spaces = context.phase == Phase::Log;
        let mut format = LogFormat::default();
        let mut defaults = Options::default();
        let mut literal = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b' ' if merge_spaces => {
                    format.push_text(&mut literal);
                    if !matches!(format.items.last(), Some(Item::Space)) {
                        format.items.push(Item::Space);
                    }
                    at += 1;
                }
                b'%' => {
                    at += 1;
                    match bytes.get(at) {
                        None => return Err("truncated line after '%'".to_owned().into()),
                        Some(b'%') => {
                            literal.push(b'%');
                            at += 1;
                        }
                        Some(_) => {
                            format.push_text(&mut literal);
                            let item = Piece::read(text, at, defaults, span, context)?;
                            at = item.end;
                            match item.kind {
                                PieceKind::Item(item) => format.items.push(item),
                                PieceKind::Defaults(options) => defaults = options,
                                PieceKind::Literal => literal.push(b'%'),
                            }
                        }
                    }
                }
                byte => {
                    literal.push(byte);
                    at += 1;
                }
            }
        }
        format.push_text(&mut literal);
        Ok(format)
    }

    fn push_text(&mut self, literal: &mut Vec<u8>) {
        if !literal.is_empty() {
            self.items.push(Item::Text(decode_raw(literal).into()));
            literal.clear();
        }
    }

    /// Appends the formatted text; with `dash_for_empty` an absent value prints `-`, as logs want it.
    ///
    /// Without it, which is for headers, bodies and the like, bytes that a header field may not
    /// carry are written as `%XX`.
    pub fn write(&self, context: &Context<'_>, dash_for_empty: bool, out: &mut Vec<u8>) {
        self.write_with(context, dash_for_empty, false, out);
    }

    /// Appends the formatted text with every byte of its values as it is, for fields that count
    /// their bytes.
    pub fn write_bytes(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        self.write_with(context, false, true, out);
    }

    fn write_with(&self, context: &Context<'_>, dash: bool, raw: bool, out: &mut Vec<u8>) {
        let start = out.len();
        // Where the last separator ended: what wrote nothing since needs no other one.
        let mut separated = start;
        for item in &self.items {
            match item {
                Item::Text(text) => out.extend_from_slice(text),
                Item::Space => {
                    if out.len() > separated {
                        out.push(b' ');
                        separated = out.len();
                    }
                }
                Item::Alias(alias, options) => {
                    (alias.write)(&mut Writer { context, out, options: *options, dash });
                }
                Item::Expr(expr, options) => {
                    let options = Options { raw, ..*options };
                    let mut writer = Writer { context, out, options, dash };
                    writer.value(expr.eval(context).as_ref());
                }
            }
        }
    }

    /// Whether it is the same text every time.
    pub fn is_literal(&self) -> bool {
        self.literal().is_some()
    }
    /// The text, if it is the same every time.
    pub fn literal(&self) -> Option<&[u8]> {
        match &*self.items {
            [] => Some(b""),
            [Item::Text(text)] => Some(text),
            _ => None,
        }
    }
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// What stands after a `%`.
struct Piece {
    kind: PieceKind,
    end: usize,
}

enum PieceKind {
    Item(Item),
    /// `%{...}o`: options of all that follows.
    Defaults(Options),
    /// A `%` that starts nothing.
    Literal,
}

impl Piece {
    fn read(
        text: &str,
        mut at: usize,
        defaults: Options,
        span: Span,
        context: &mut ParseContext<'_>,
    ) -> Result<Piece, Fault> {
        let bytes = text.as_bytes();
        let start = at;
        if bytes.get(at) == Some(&b'(') {
            at = item_name(text, at)?;
        }
        let mut options = defaults;
        let mut braces = None;
        if bytes.get(at) == Some(&b'{') {
            let len = text[at..].find('}').ok_or_else(|| truncated(&text[at + 1..]))?;
            let flags = &text[at + 1..at + len];
            options = options.changed(flags, span, context)?;
            braces = Some(flags);
            at += len + 1;
        }
        match bytes.get(at) {
            Some(b'[') => {
                let (expr, end) = expression(text, at + 1, span, context)?;
                Ok(Piece { kind: PieceKind::Item(Item::Expr(Box::new(expr), options)), end })
            }
            Some(byte) if byte.is_ascii_alphabetic() || braces.is_some() && byte.is_ascii_digit() => {
                let len = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                let name = &text[at..at + len];
                let end = at + len;
                if name == "o" {
                    return Ok(Piece { kind: PieceKind::Defaults(options), end });
                }
                let alias = ALIASES.iter().find(|alias| alias.name == name).ok_or_else(|| Fault {
                    message: format!(
                        "no such format alias '{name}'. If you wanted to emit the '%' character verbatim, \
                         you need to use '%%'"
                    ),
                    help: did_you_mean(name, ALIASES.iter().map(|alias| alias.name)),
                })?;
                Ok(Piece { kind: PieceKind::Item(Item::Alias(alias, options)), end })
            }
            _ if braces.is_some() => {
                let flags = braces.unwrap_or_default();
                Err(format!("parse argument modifier without alias name near '%{{{flags}}}'").into())
            }
            Some(byte) if byte.is_ascii_digit() || matches!(byte, b' ' | b'\t') => Err(format!(
                "unexpected alias name near '{}' at position {at} line : '{text}'. \
                 Maybe you want to write a single '%', use the syntax '%%'",
                *byte as char
            )
            .into()),
            None => Err(truncated("%")),
            Some(_) => Ok(Piece { kind: PieceKind::Literal, end: start }),
        }
    }
}

fn truncated(after: &str) -> Fault {
    format!("truncated line after '{after}'").into()
}

/// `(name)` or `(name:type)`, of use for encodings only; returns where it ends.
fn item_name(text: &str, at: usize) -> Result<usize, Fault> {
    let len = text[at..].find(')').ok_or_else(|| truncated("%"))?;
    let (name, wanted) = match text[at + 1..at + len].split_once(':') {
        Some((name, wanted)) => (name, Some(wanted)),
        None => (&text[at + 1..at + len], None),
    };
    if let Some(bad) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-')) {
        return Err(format!(
            "invalid character in custom name near '{bad}' at position {at} line : '{text}'"
        )
        .into());
    }
    if let Some(wanted) = wanted.filter(|wanted| !matches!(*wanted, "str" | "sint" | "bool" | "raw")) {
        return Err(format!(
            "unexpected output type '{wanted}' at position {at} line : '{text}'. Supported types are: str, sint, bool, raw"
        )
        .into());
    }
    Ok(at + len + 1)
}

/// The expression after `%[`; returns it and where the text goes on after its `]`.
fn expression(
    text: &str,
    at: usize,
    span: Span,
    context: &mut ParseContext<'_>,
) -> Result<(Expr, usize), Fault> {
    let rest = &text[at..];
    let shown = &rest[..rest.find(']').unwrap_or(rest.len())];
    let (expr, len) = Expr::parse_prefix(rest, span, context).map_err(|mut fault| {
        fault.message = format!("failed to parse sample expression <{shown}> : {}", fault.message);
        fault
    })?;
    match rest.as_bytes().get(len) {
        Some(b']') => (),
        Some(other) => {
            return Err(
                format!("expected ']' after '{}', but found '{}'", &rest[..len], *other as char).into()
            );
        }
        None => return Err(format!("missing ']' after '{}'", &rest[..len]).into()),
    }
    if !expr.source().exists_in(context.phase) {
        return Err(Fault {
            message: format!(
                "sample fetch <{}> may not be reliably used here because it needs '{}' which is not available here",
                expr.fetch_name(),
                expr.source().name()
            ),
            help: expr.source().advice(context.phase).map(str::to_owned),
        });
    }
    Ok((expr, at + len + 1))
}

impl Options {
    /// With the flags of a `{...}` applied.
    fn changed(mut self, flags: &str, span: Span, context: &mut ParseContext<'_>) -> Result<Options, Fault> {
        for flag in flags.split(',').map(str::trim).filter(|flag| !flag.is_empty()) {
            let (on, name) = match flag.as_bytes()[0] {
                b'+' => (true, &flag[1..]),
                b'-' => (false, &flag[1..]),
                _ => (true, flag),
            };
            match name {
                "Q" => self.quote = on,
                "X" => self.hex = on,
                "E" => self.escape = on,
                "bin" => self.binary = on,
                "json" | "cbor" => {
                    return Err(Fault {
                        message: format!("format flag '{name}' is not supported"),
                        help: Some("'option httplog json' writes whole lines as JSON".to_owned()),
                    });
                }
                _ => {
                    let message = format!("unknown format flag '{flag}' is ignored");
                    context.report.warning(span, message).help = did_you_mean(name, ["Q", "X", "E", "bin"]);
                }
            }
        }
        Ok(self)
    }
}

/// What an alias writes with.
pub struct Writer<'w, 'c> {
    /// What is known.
    pub context: &'w Context<'c>,
    /// Where it goes.
    pub out: &'w mut Vec<u8>,
    options: Options,
    dash: bool,
}

/// Sets of bytes that are written as their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsafe {
    /// In request lines: `"`, `#` and what is not printable ASCII, as `#XX`.
    Uri,
    /// In captures: also `{`, `|` and `}`.
    Header,
    /// What a header field may not carry, as `%XX`.
    Field,
}

impl Unsafe {
    #[inline]
    fn has(self, byte: u8) -> bool {
        match self {
            Unsafe::Uri => !(32..127).contains(&byte) || matches!(byte, b'"' | b'#'),
            Unsafe::Header => !(32..127).contains(&byte) || matches!(byte, b'"' | b'#' | b'{' | b'|' | b'}'),
            Unsafe::Field => byte < 32 && byte != b'\t' || byte == 127,
        }
    }
    fn mark(self) -> u8 {
        if self == Unsafe::Field { b'%' } else { b'#' }
    }
}

/// Appends `text`, writing unsafe bytes as their number.
pub fn encode(text: &[u8], unsafe_bytes: Unsafe, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| unsafe_bytes.has(*byte)) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        out.extend([unsafe_bytes.mark(), DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

impl Writer<'_, '_> {
    /// Whether addresses and numbers are wanted in hexadecimal.
    pub fn hex(&self) -> bool {
        self.options.hex
    }
    /// Between quotes, if they are wanted.
    pub fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.options.quote {
            self.out.push(b'"');
        }
        write(self.out);
        if self.options.quote {
            self.out.push(b'"');
        }
    }
    /// Text that may be missing.
    pub fn text(&mut self, text: &[u8]) {
        if text.is_empty() && !self.options.quote {
            if self.dash {
                self.out.push(b'-');
            }
            return;
        }
        let escape = self.options.escape;
        self.quoted(|out| {
            if escape {
                write_escaped(text, out);
            } else {
                out.extend_from_slice(text);
            }
        });
    }
    /// Text in which unsafe bytes are written as their number.
    pub fn encoded(&mut self, text: &[u8], unsafe_bytes: Unsafe) {
        self.quoted(|out| encode(text, unsafe_bytes, out));
    }
    /// A list's element: encoded, or `-` where it is missing and there are no quotes to show it.
    pub fn element(&mut self, text: Option<&[u8]>, unsafe_bytes: Unsafe) {
        match text {
            None if !self.options.quote => self.out.push(b'-'),
            text => self.encoded(text.unwrap_or_default(), unsafe_bytes),
        }
    }
    /// A number, which quotes never surround.
    pub fn int(&mut self, n: i64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }
    /// A number that takes part in `+X`, then with at least `digits` digits.
    pub fn int_or_hex(&mut self, n: u64, digits: usize) {
        use std::io::Write;
        if self.options.hex {
            // Writing to a vector cannot fail.
            drop(write!(self.out, "{n:0digits$X}"));
        } else {
            self.int(n as i64);
        }
    }
    /// A number that still grows when the line is written early, and then gets a `+`.
    pub fn growing(&mut self, n: i64) {
        if self.context.txn.logged_early {
            self.out.push(b'+');
        }
        self.int(n);
    }
    /// The value of an expression, or nothing.
    fn value(&mut self, value: Option<&Value<'_>>) {
        let Some(value) = value else { return self.text(b"") };
        match value {
            Value::Bin(bytes) if self.options.binary => self.out.extend_from_slice(bytes),
            Value::Str(text) | Value::Method(_, text) if self.dash || self.options.raw => self.text(text),
            _ => {
                let start = self.out.len();
                if self.options.quote {
                    self.out.push(b'"');
                }
                let inside = self.out.len();
                value.write(self.out);
                let is_empty = self.out.len() == inside;
                if is_empty && !self.options.quote {
                    self.out.truncate(start);
                    return self.text(b"");
                }
                if !self.dash && self.out[inside..].iter().any(|byte| Unsafe::Field.has(*byte)) {
                    let raw = self.out.split_off(inside);
                    encode(&raw, Unsafe::Field, self.out);
                }
                if self.options.quote {
                    self.out.push(b'"');
                }
            }
        }
    }
}

/// Appends `text` with a backslash in front of `"`, `\` and `]` (RFC 5424 section 6.3.3).
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        if matches!(byte, b'"' | b'\\' | b']') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{World, told};

    fn format(world: &World, text: &str, phase: Phase) -> LogFormat {
        let (format, report) = world.parsing(phase, |context| LogFormat::parse(text, Span::NONE, context));
        format.unwrap_or_else(|| panic!("{text}: {}", told(&report)))
    }

    fn written(world: &World, text: &str, phase: Phase, dash: bool) -> String {
        let mut out = Vec::new();
        format(world, text, phase).write(&world.context(), dash, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_expressions_and_flags() {
        let world = World::request("GET /a?b HTTP/1.1", &["Host: h", "X-Q: say \"hi\" \\ ]"]);
        for (text, dash, expected) in [
            ("plain", false, "plain"),
            ("a%%b", false, "a%b"),
            ("%[path]", false, "/a"),
            ("http://%[req.hdr(host)]%[pathq]", false, "http://h/a?b"),
            ("<%[req.hdr(absent)]>", false, "<>"),
            ("<%[req.hdr(absent)]>", true, "<->"),
            ("<%{+Q}[req.hdr(absent)]>", true, "<\"\">"),
            ("%{+Q}[path]", true, "\"/a\""),
            ("%{+Q,+E}[req.hdr(x-q)]", true, "\"say \\\"hi\\\" \\\\ \\]\""),
            ("%{+Q}o %[path] %{-Q}[path]", true, " \"/a\" /a"),
            ("%[str('a]b')]", false, "a]b"),
            ("%[bin(0a41)]", false, "%0AA"),
            ("%(name)[path] %(:str)[path]", false, "/a /a"),
            ("a  b", false, "a  b"),
            ("100%-", false, "100%-"),
            ("%[int(5)]/%[src]", false, "5/192.0.2.1"),
        ] {
            assert_eq!(written(&world, text, Phase::HttpRequest, dash), expected, "{text}");
        }
        assert_eq!(written(&world, "  a   %hr  b", Phase::Log, true), "a b", "spaces of log lines merge");
    }

    #[test]
    fn literals_are_known() {
        let world = World::default();
        for (text, expected) in [("", Some("")), ("a%%b c", Some("a%b c")), ("%[src]", None), ("a%b", None)] {
            let format = format(&world, text, Phase::HttpRequest);
            assert_eq!(format.literal(), expected.map(str::as_bytes), "{text}");
            assert_eq!(format.is_literal(), expected.is_some());
        }
    }

    #[test]
    fn mistakes_are_told_in_known_words() {
        let world = World::default();
        for (text, phase, message) in [
            (
                "%zz",
                Phase::Log,
                "no such format alias 'zz'. If you wanted to emit the '%' character verbatim, you need to use '%%'",
            ),
            (
                "50% of",
                Phase::Log,
                "unexpected alias name near ' ' at position 3 line : '50% of'. Maybe you want to write a single '%'",
            ),
            ("%", Phase::Log, "truncated line after '%'"),
            ("%{+Q", Phase::Log, "truncated line after '+Q'"),
            ("%{+Q} x", Phase::Log, "parse argument modifier without alias name near '%{+Q}'"),
            ("%[src", Phase::Log, "missing ']' after 'src'"),
            ("%[src x]", Phase::Log, "expected ']' after 'src', but found ' '"),
            ("%[srcc]", Phase::Log, "failed to parse sample expression <srcc> : unknown fetch method 'srcc'"),
            (
                "%[req.hdr(host)]",
                Phase::Log,
                "sample fetch <req.hdr> may not be reliably used here because it needs 'HTTP request headers' which is \
                 not available here",
            ),
            ("%(a b)[src]", Phase::Log, "invalid character in custom name near ' '"),
            ("%{+json}o", Phase::Log, "format flag 'json' is not supported"),
        ] {
            let (format, report) =
                world.parsing(phase, |context| LogFormat::parse(text, Span::NONE, context));
            assert!(format.is_none(), "{text}");
            assert!(told(&report).contains(message), "{text}: {}", told(&report));
        }
    }
}
