//! Log-format strings (manual, section 8.2.6): compiled once, evaluated per line or per header.
//!
//! A format is a list of pieces: text, `%aliases` (rows of [`ALIASES`]) and `%[expressions]`.
//! Writing appends to the caller's buffer and allocates nothing itself.

use super::encoding::Encoding;
use super::expr::{Expr, Fault, ParseContext, Phase};
use super::facts::Context;
pub use super::format_alias::{ALIASES, Alias};
use super::value::{Type, Value};
use crate::base::text::{self, decode_raw};
use crate::diag::{Span, did_you_mean};

/// A compiled format string.
#[derive(Debug, Default)]
pub struct LogFormat {
    items: Vec<Item>,
    /// `%{+json}o`: the whole is one object of the items that have names.
    encoding: Option<Encoding>,
}

#[derive(Debug)]
enum Item {
    Text(Box<[u8]>),
    /// Spaces of a log line: one, unless a space was just written.
    Space,
    Field(Field),
}

/// What is known at run time only.
#[derive(Debug)]
struct Field {
    what: What,
    options: Options,
    /// `%(name)`: its key in an object.
    name: Option<Box<str>>,
    /// `%(name:type)`: what an encoded value must be.
    wanted: Wanted,
}

#[derive(Debug)]
enum What {
    Alias(&'static Alias),
    Expr(Box<Expr>),
}

/// The type that `%(name:type)` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    /// What the value is.
    #[default]
    Own,
    Str,
    Int,
    Bool,
    /// The bytes as they are, without any encoding.
    Raw,
}

/// `%{+Q,+X,+E,+bin,+json,+cbor}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Options {
    quote: bool,
    hex: bool,
    escape: bool,
    /// Not one of the flags: the writer wants the bytes as they are.
    raw: bool,
    binary: bool,
    encoding: Option<Encoding>,
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
                                PieceKind::Defaults(options) => {
                                    defaults = options;
                                    format.encoding = defaults.encoding.or(format.encoding);
                                }
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
        if let Some(encoding) = self.encoding {
            return self.write_object(context, encoding, out);
        }
        let start = out.len();
        let end = start + context.process.limits.buffer;
        // Where the last separator ended: what wrote nothing since needs no other one.
        let mut separated = start;
        for item in &self.items {
            if out.len() > end {
                break;
            }
            match item {
                Item::Text(text) => out.extend_from_slice(text),
                Item::Space => {
                    if out.len() > separated {
                        out.push(b' ');
                        separated = out.len();
                    }
                }
                Item::Field(field) => match field.options.encoding {
                    Some(encoding) => field.encode(context, encoding, out),
                    None => field.write(context, dash, raw, out),
                },
            }
        }
        // A text is made in a buffer; what does not fit is not made.
        out.truncate(end);
    }

    /// Appends the text as a line of a log: nothing in it ends the line, unless it is made of bytes by intent.
    pub fn write_line(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.write_with(context, true, false, out);
        if !self.is_binary() {
            text::one_line(out, start);
        }
    }

    /// An object of the items that have names; what stands between them is left out.
    fn write_object(&self, context: &Context<'_>, encoding: Encoding, out: &mut Vec<u8>) {
        let end = out.len() + context.process.limits.buffer;
        let mut object = encoding.object(self.is_binary(), out);
        for item in &self.items {
            // What does not fit is left out; the object stays one.
            if out.len() < end
                && let Item::Field(field) = item
                && let Some(name) = &field.name
            {
                object.key(name, out);
                field.encode(context, encoding, out);
            }
        }
        object.end(out);
    }

    fn is_binary(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Field(field) if field.options.binary))
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
        let (mut key, mut wanted) = (None, Wanted::Own);
        if bytes.get(at) == Some(&b'(') {
            (key, wanted, at) = item_name(text, at)?;
        }
        let mut options = defaults;
        let mut braces = None;
        if bytes.get(at) == Some(&b'{') {
            let len = text[at..].find('}').ok_or_else(|| truncated(&text[at + 1..]))?;
            let flags = &text[at + 1..at + len];
            options = options.changed(flags, span, context);
            braces = Some(flags);
            at += len + 1;
        }
        // `bin` is for the whole format or not at all.
        let own = Options { binary: defaults.binary, ..options };
        match bytes.get(at) {
            Some(b'[') => {
                let (expr, end) = expression(text, at + 1, span, context)?;
                let field = Field { what: What::Expr(Box::new(expr)), options: own, name: key, wanted };
                Ok(Piece { kind: PieceKind::Item(Item::Field(field)), end })
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
                let field = Field { what: What::Alias(alias), options: own, name: key, wanted };
                Ok(Piece { kind: PieceKind::Item(Item::Field(field)), end })
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

/// `(name)` or `(name:type)`, of use for encodings only; returns them and where they end.
fn item_name(text: &str, at: usize) -> Result<(Option<Box<str>>, Wanted, usize), Fault> {
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
    let wanted = match wanted {
        None | Some("") => Wanted::Own,
        Some("str") => Wanted::Str,
        Some("sint") => Wanted::Int,
        Some("bool") => Wanted::Bool,
        Some("raw") => Wanted::Raw,
        Some(other) => {
            return Err(format!(
                "unexpected output type '{other}' at position {at} line : '{text}'. Supported types are: str, sint, bool, raw"
            )
            .into());
        }
    };
    Ok(((!name.is_empty()).then(|| name.into()), wanted, at + len + 1))
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
    if !expr.is_allowed(span, context) {
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
    fn changed(mut self, flags: &str, span: Span, context: &mut ParseContext<'_>) -> Options {
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
                "json" => self.set(Encoding::Json, on),
                "cbor" => self.set(Encoding::Cbor, on),
                _ => {
                    let message = format!("unknown format flag '{flag}' is ignored");
                    context.report.warning(span, message).help =
                        did_you_mean(name, ["Q", "X", "E", "bin", "json", "cbor"]);
                }
            }
        }
        self
    }

    fn set(&mut self, encoding: Encoding, on: bool) {
        match on {
            true => self.encoding = Some(encoding),
            false => self.encoding = self.encoding.filter(|other| *other != encoding),
        }
    }
}

impl Field {
    /// Appends the value as text.
    fn write(&self, context: &Context<'_>, dash: bool, raw: bool, out: &mut Vec<u8>) {
        let options = Options { raw, ..self.options };
        let mut writer = Writer { context, out, options, dash, number: None };
        match &self.what {
            What::Alias(alias) => (alias.write)(&mut writer),
            What::Expr(expr) => writer.value(expr.eval(context).as_ref()),
        }
    }

    /// Appends the value in an encoding, by its own type or the one that is asked for.
    fn encode(&self, context: &Context<'_>, encoding: Encoding, out: &mut Vec<u8>) {
        // What an alias prints is taken as it is: no quotes, no escapes, no dash for nothing.
        let options = Options { hex: self.options.hex, encoding: Some(encoding), ..Options::default() };
        let encoder = encoding.values(self.options.binary);
        match &self.what {
            What::Alias(alias) => {
                let mut text = Vec::new();
                let mut writer = Writer { context, out: &mut text, options, dash: false, number: None };
                (alias.write)(&mut writer);
                let number = writer.number;
                match (self.wanted, number) {
                    (Wanted::Raw, _) => out.extend_from_slice(&text),
                    (Wanted::Bool, Some(n)) => encoder.bool(n != 0, out),
                    (Wanted::Own | Wanted::Int, Some(n)) => encoder.int(n, out),
                    _ => encoder.text(&text, out),
                }
            }
            What::Expr(expr) => {
                let value = expr.eval(context);
                let value = match self.wanted {
                    Wanted::Raw => {
                        if let Some(value) = value {
                            value.write(out);
                        }
                        return;
                    }
                    Wanted::Own => value,
                    Wanted::Str => value.and_then(|value| value.cast(Type::Str)),
                    Wanted::Int => value.and_then(|value| value.cast(Type::Int)),
                    Wanted::Bool => value.and_then(|value| value.cast(Type::Bool)),
                };
                match value {
                    None => encoder.text(b"", out),
                    Some(Value::Bool(flag)) => encoder.bool(flag, out),
                    Some(Value::Int(n)) => encoder.int(n, out),
                    Some(Value::Bin(bytes)) if encoding == Encoding::Cbor => encoder.bytes(&bytes, out),
                    Some(Value::Str(text) | Value::Method(_, text)) => encoder.text(&text, out),
                    Some(other) => {
                        let mut text = Vec::new();
                        other.write(&mut text);
                        encoder.text(&text, out);
                    }
                }
            }
        }
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
    /// The number that was written, for encodings that know numbers.
    number: Option<i64>,
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
        self.number = Some(n);
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
    /// A number with zeros in front.
    pub fn int_padded(&mut self, n: u64, width: u32) {
        super::format_alias::write_padded(n, width, self.out);
        self.number = Some(n as i64);
    }
    /// A number that still grows when the line is written early, and then gets a `+`.
    pub fn growing(&mut self, n: i64) {
        if self.context.txn.logged_early && self.options.encoding.is_none() {
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
    fn no_text_outgrows_a_buffer() {
        let mut world = World::request("GET / HTTP/1.1", &[&format!("X: {}", "x".repeat(60))]);
        world.process.limits.buffer = 100;
        for (text, expected) in [
            ("%[req.hdr(x)]", 60),
            ("%[req.hdr(x)]%[req.hdr(x)]", 100),
            ("%[req.hdr(x)]%[req.hdr(x)]%[req.hdr(x)]%[req.hdr(x)] and more", 100),
        ] {
            assert_eq!(written(&world, text, Phase::HttpRequest, false).len(), expected, "{text}");
        }
        let object = "%{+json}o %(a)[req.hdr(x)] %(b)[req.hdr(x)] %(c)[req.hdr(x)]";
        let made = written(&world, object, Phase::HttpRequest, false);
        assert!(made.len() < 200 && made.ends_with('}'), "{made}");
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
            ("%{+bin}[bin(0a41)]", false, "%0AA"),
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
    fn objects_of_named_items() {
        let mut world = World::request("GET /a?b HTTP/1.1", &["Host: h", "X-Q: say \"hi\" \\ \x01\u{e9}"]);
        world.txn.logged_early = true;
        world.txn.bytes_to_client = 7;
        world.txn.redispatched = true;
        for (text, expected) in [
            ("%{+json}o text %(m)HM, %HU %(n)B", r#"{"m": "GET", "n": 7}"#),
            ("%{+json}o %(q)[req.hdr(x-q)]", "{\"q\": \"say \\\"hi\\\" \\\\ \\u0001\u{e9}\"}"),
            ("%{+json}o %(none)[req.hdr(no)] %(cc)CC %(rc)rc", r#"{"none": "", "cc": "", "rc": 0}"#),
            ("%{+json}o %(p:str)cp %(b:bool)cp %(x)[int(5)]", r#"{"p": "50000", "b": true, "x": 5}"#),
            ("%{+json}o %(t)[always_true] %(t2:sint)[always_true]", r#"{"t": true, "t2": 1}"#),
            ("%{+json}o %(s:sint)[str(12)] %(u:bool)[int(0)]", r#"{"s": 12, "u": false}"#),
            ("%{+json,+Q,+E}o %(ip)ci %(x){+X}ci", r#"{"ip": "192.0.2.1", "x": "C0000201"}"#),
            ("%{+json}o %(r:raw)[str(as is)] %(ms)ms", r#"{"r": as is, "ms": 123}"#),
            ("%{+json}o %(bin)[bin(ff22)]", r#"{"bin": "\u00FF\""}"#),
            ("%{+json}o", "{}"),
            ("a %{+json}HM %{+json}[int(-1)] %(n:str){+json}[int(3)]", r#"a "GET" -1 "3""#),
            ("%{+cbor}o %(m)HM %(n)[int(500)]", "BF616D63474554616E1901F4FF"),
            ("%{+cbor}o %(n)[int(-1)] %(t)[always_true] %(b)[bin(00ff)]", "BF616E206174F561624200FFFF"),
            ("%{+cbor}[str(ab)] %{+cbor}[int(70000)]", "626162 1A00011170"),
        ] {
            assert_eq!(written(&world, text, Phase::HttpRequest, true), expected, "{text}");
        }
        let mut out = Vec::new();
        format(&world, "%{+cbor,+bin}o %(m)HM", Phase::Log).write(&world.context(), true, &mut out);
        assert_eq!(out, b"\xbf\x61m\x63GET\xff");
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
            ("%(a:text)[src]", Phase::Log, "unexpected output type 'text'"),
        ] {
            let (format, report) =
                world.parsing(phase, |context| LogFormat::parse(text, Span::NONE, context));
            assert!(format.is_none(), "{text}");
            assert!(told(&report).contains(message), "{text}: {}", told(&report));
        }
    }
}
