//! The arguments of `http-check` and `tcp-check` directives.

use super::http_check::Request;
use super::machine::unhex;
use super::script::{
    Code, Connect, Emit, Expect, Matcher, NewValue, Note, Pattern, Port, Rule, SetVariable, Step, Text,
};
use super::status::Status;
use crate::diag::{Span, did_you_mean};
use crate::pattern::Regex;
use crate::sample::vars::{Scope, SetCondition, VarName};
use crate::sample::{Expr, LogFormat, ParseContext};

/// The words of one directive, read from left to right.
pub(super) struct Args<'a, 'w, 'c> {
    keyword: &'static str,
    /// `http-check` rather than `tcp-check`.
    pub is_http: bool,
    words: &'w [&'w str],
    at: usize,
    span: Span,
    context: &'a mut ParseContext<'c>,
    /// The steps before it.
    rules: &'a [Rule],
}

type Comment = Option<Box<str>>;

/// The options that `connect` knows.
const CONNECT_OPTIONS: &[&str] = &[
    "default",
    "addr",
    "port",
    "proto",
    "comment",
    "send-proxy",
    "via-socks4",
    "linger",
    "ssl",
    "sni",
    "alpn",
];
/// The options that `http-check send` knows.
const SEND_OPTIONS: &[&str] = &["meth", "uri", "uri-lf", "ver", "hdr", "body", "body-lf", "comment"];
/// The options that `expect` knows besides its patterns.
const EXPECT_OPTIONS: &[&str] = &[
    "min-recv",
    "comment",
    "ok-status",
    "error-status",
    "tout-status",
    "on-success",
    "on-error",
    "status-code",
];
/// The patterns of `tcp-check expect`.
const TCP_PATTERNS: &[&str] = &["string", "rstring", "string-lf", "binary", "rbinary", "binary-lf"];
/// The patterns of `http-check expect`.
const HTTP_PATTERNS: &[&str] = &["string", "rstring", "string-lf", "status", "rstatus", "hdr", "fhdr"];

impl<'a, 'w, 'c> Args<'a, 'w, 'c> {
    /// The words of a directive; the first one names it.
    pub(super) fn new(
        keyword: &'static str,
        is_http: bool,
        words: &'w [&'w str],
        span: Span,
        context: &'a mut ParseContext<'c>,
        rules: &'a [Rule],
    ) -> Self {
        Args { keyword, is_http, words, at: 1, span, context, rules }
    }
    fn name(&self) -> &'w str {
        self.words[0]
    }
    fn next(&mut self) -> Option<&'w str> {
        let word = self.words.get(self.at).copied()?;
        self.at += 1;
        Some(word)
    }
    fn peek(&self) -> Option<&'w str> {
        self.words.get(self.at).copied()
    }
    fn refuse<T>(&mut self, text: impl std::fmt::Display) -> Option<T> {
        let text = format!("'{} {}' : {text}.", self.keyword, self.name());
        self.context.report.alert(self.span, text);
        None
    }
    fn refuse_word<T>(&mut self, word: &str, known: &[&str], text: impl std::fmt::Display) -> Option<T> {
        let text = format!("'{} {}' : {text}.", self.keyword, self.name());
        let help = did_you_mean(word, known.iter().copied());
        self.context.report.alert(self.span, text).help = help;
        None
    }
    /// The only argument.
    pub(super) fn argument(&mut self, missing: &str) -> Option<&'w str> {
        match self.next() {
            Some(word) => self.end().map(|()| word),
            None => self.refuse(missing),
        }
    }
    /// No words are left.
    pub(super) fn end(&mut self) -> Option<()> {
        match self.peek() {
            None => Some(()),
            Some(word) => self.refuse(format_args!("unexpected argument '{word}'")),
        }
    }
    fn value(&mut self, option: &str, what: &str) -> Option<&'w str> {
        match self.next() {
            Some(word) => Some(word),
            None => self.refuse(format_args!("'{option}' expects {what} as argument")),
        }
    }
    fn format(&mut self, text: &str) -> Option<LogFormat> {
        LogFormat::parse(text, self.span, self.context)
    }
    fn expr(&mut self, text: &str) -> Option<Expr> {
        Expr::parse(text, self.span, self.context)
    }
    fn regex(&mut self, pattern: &str, ignore_case: bool) -> Option<Regex> {
        match self.context.regex(pattern, ignore_case, self.span) {
            Ok(regex) => Some(regex),
            Err(error) => self.refuse(format_args!("{error}")),
        }
    }
    fn bytes(&mut self, text: &str) -> Option<Vec<u8>> {
        match unhex(text.as_bytes()) {
            Some(bytes) => Some(bytes),
            None => self.refuse(format_args!("'{text}' invalid binary string")),
        }
    }
    fn text(&mut self, text: &str, is_format: bool) -> Option<Text> {
        if is_format {
            self::text(text, self.span, self.context)
        } else {
            Some(Text::Literal(text.as_bytes().to_vec()))
        }
    }
}

/// A log-format text; without a `%` it stands for itself.
pub(super) fn text(text: &str, span: Span, context: &mut ParseContext<'_>) -> Option<Text> {
    if text.contains('%') {
        LogFormat::parse(text, span, context).map(Text::Format)
    } else {
        Some(Text::Literal(text.as_bytes().to_vec()))
    }
}

/// `connect ...`.
pub(super) fn connect(args: &mut Args<'_, '_, '_>) -> Option<(Connect, Comment)> {
    let first = (args.rules.iter().filter(|rule| !rule.is_from_option()))
        .map(|rule| &rule.step)
        .find(|step| step.is_io());
    if !matches!(first, None | Some(Step::Connect(_))) {
        return args.refuse(
            "first step MUST also be a 'connect', optionally preceded by a 'set-var', an 'unset-var' or a \
             'comment', when there is a 'connect' step in the tcp-check ruleset",
        );
    }
    let mut connect = Connect::default();
    let mut comment = None;
    while let Some(word) = args.next() {
        match word {
            "default" => connect.default = true,
            "linger" => connect.linger = true,
            "comment" => comment = Some(args.value(word, "a string")?.into()),
            "addr" => {
                let address = args.value(word, "<ipv4|ipv6>")?;
                match address_port(address) {
                    Some((ip, port)) => {
                        connect.address = Some(ip);
                        if let (Some(port), Port::Server) = (port, &connect.port) {
                            connect.port = Port::Fixed(port);
                        }
                    }
                    None => return args.refuse(format_args!("'addr' : invalid address '{address}'")),
                }
            }
            "port" => {
                let port = args.value(word, "a port number or a sample expression")?;
                connect.port = match port.parse::<u32>() {
                    Ok(number) => match u16::try_from(number) {
                        Ok(number) if number != 0 => Port::Fixed(number),
                        _ => {
                            return args.refuse(format_args!(
                                "expects a valid TCP port (from range 1 to 65535) or a sample expression, \
                                 got {port}"
                            ));
                        }
                    },
                    Err(_) => Port::Expr(args.expr(port)?),
                };
            }
            "proto" => {
                let proto = args.value(word, "a MUX protocol")?;
                let own = if args.is_http { "h1" } else { "none" };
                if proto != own {
                    return args.refuse(format_args!("'proto' : unknown MUX protocol '{proto}'"));
                }
            }
            "send-proxy" => connect.send_proxy = true,
            "ssl" => connect.tls = true,
            "sni" => connect.tls_name = Some(args.value(word, "a string")?.into()),
            "alpn" => connect.tls_protocols = Some(args.value(word, "a list of protocols")?.into()),
            "via-socks4" => {
                return args.refuse(format_args!("'{word}' is not available in checks yet"));
            }
            _ => {
                let text = format!(
                    "expects 'comment', 'port', 'addr', 'send-proxy', 'ssl', 'sni', 'alpn' or 'via-socks4', \
                     'linger', 'default' but got '{word}' as argument"
                );
                return args.refuse_word(word, CONNECT_OPTIONS, text);
            }
        }
    }
    Some((connect, comment))
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80`, with or without a family's prefix.
fn address_port(text: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    let text = ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    if let Ok(ip) = text.parse() {
        return Some((ip, None));
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some((address.ip(), Some(address.port()).filter(|port| *port != 0)));
    }
    // The manual allows an IPv6 address and a port without brackets: the last colon separates.
    let (ip, port) = text.rsplit_once(':')?;
    Some((ip.trim_matches(['[', ']']).parse().ok()?, Some(port.parse().ok()?)))
}

/// `send`, `send-lf`, `send-binary`, `send-binary-lf` of `tcp-check`.
pub(super) fn send(args: &mut Args<'_, '_, '_>) -> Option<(Emit, Comment)> {
    let name = args.name();
    let what = if name == "send-binary" { "a binary string" } else { "a string" };
    let data = args.value(name, what)?;
    let mut comment = None;
    while let Some(word) = args.next() {
        match word {
            "comment" => comment = Some(args.value(word, "a string")?.into()),
            _ => return args.refuse(format_args!("expects 'comment' but got '{word}' as argument")),
        }
    }
    let emit = match name {
        "send-binary" => Emit::Bytes(args.bytes(data)?),
        "send-binary-lf" => Emit::Hex(args.format(data)?),
        "send-lf" => Emit::Text(args.format(data)?),
        _ => Emit::Bytes(data.as_bytes().to_vec()),
    };
    Some((emit, comment))
}

/// `http-check send ...`.
pub(super) fn send_http(args: &mut Args<'_, '_, '_>) -> Option<(Request, Comment)> {
    let mut request = Request::default();
    let mut comment = None;
    while let Some(word) = args.next() {
        match word {
            "meth" => request.method = Some(args.value(word, "a string")?.into()),
            "uri" | "uri-lf" => {
                let uri = args.value(word, "a string")?;
                request.target = Some(args.text(uri, word == "uri-lf")?);
            }
            "ver" => request.version = Some(args.value(word, "a string")?.into()),
            "body" | "body-lf" => {
                let body = args.value(word, "a string")?;
                request.body = Some(args.text(body, word == "body-lf")?);
            }
            "comment" => comment = Some(args.value(word, "a string")?.into()),
            "hdr" => {
                let (Some(name), Some(value)) = (args.next(), args.next()) else {
                    return args.refuse("'hdr' expects <name> and <value> as arguments");
                };
                let is = |other: &str| name.eq_ignore_ascii_case(other);
                if is("host") && request.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
                    return args.refuse(format_args!("'{name}' header already defined"));
                }
                // The framing is the check's own affair (manual, `http-check send`).
                if !is("content-length") && !is("transfer-encoding") {
                    let value = args.text(value, true)?;
                    request.fields.push((name.into(), value));
                }
            }
            _ => {
                let text = format!(
                    "expects 'comment', 'meth', 'uri', 'uri-lf', 'ver', 'hdr', 'body' or 'body-lf' but got \
                     '{word}' as argument"
                );
                return args.refuse_word(word, SEND_OPTIONS, text);
            }
        }
    }
    Some((request, comment))
}

/// `expect ...`.
pub(super) fn expect(args: &mut Args<'_, '_, '_>) -> Option<(Expect, Comment)> {
    if args.peek().is_none() {
        return args.refuse("expects at least a matching pattern as arguments");
    }
    let mut expect = Expect::new(Pattern::Bytes { data: Vec::new(), binary: false });
    let mut pattern: Option<Pattern> = None;
    let mut comment = None;
    let mut inverted = false;
    while let Some(mut word) = args.next() {
        let bare = word.trim_start_matches('!');
        let is_inverting = bare.len() != word.len();
        if is_inverting {
            inverted ^= (word.len() - bare.len()) % 2 == 1;
            word = match bare {
                "" => match args.next() {
                    Some(next) => next,
                    None => return args.refuse("pattern not found"),
                },
                _ => bare,
            };
            if EXPECT_OPTIONS.contains(&word) {
                return args.refuse(format_args!("[!] not supported with '{word}'"));
            }
        }
        match word {
            "min-recv" => {
                let text = args.value(word, "a integer")?;
                expect.min_recv = match text.parse::<i32>() {
                    Ok(-1) => None,
                    Ok(number) if number >= 0 => Some(number as usize),
                    _ => return args.refuse("'min-recv' expects -1 or an integer from 0 to INT_MAX"),
                };
            }
            "comment" => comment = Some(args.value(word, "a string")?.into()),
            "on-success" | "on-error" => {
                let text = args.value(word, "a string")?;
                let note = match args.text(text, true)? {
                    Text::Format(format) => Note::Format(format),
                    Text::Literal(_) => Note::Fixed(text.into()),
                };
                *(if word == "on-error" { &mut expect.on_error } else { &mut expect.on_success }) =
                    Some(note);
            }
            "status-code" => {
                let text = args.value(word, "an expression")?;
                expect.code = Some(Code::Expr(args.expr(text)?));
            }
            "ok-status" => {
                let known = [
                    ("L7OK", Status::L7Ok),
                    ("L7OKC", Status::L7OkConditional),
                    ("L6OK", Status::L6Ok),
                    ("L4OK", Status::L4Ok),
                ];
                let words = "'L4OK', 'L6OK', 'L7OK' or 'L7OKC'";
                expect.ok_status = Some(status(args, word, &known, words)?);
            }
            "error-status" => {
                let known = [
                    ("L7RSP", Status::L7Response),
                    ("L7STS", Status::L7Status),
                    ("L7OKC", Status::L7OkConditional),
                    ("L6RSP", Status::L6Response),
                    ("L4CON", Status::L4Connection),
                ];
                let words = "'L4CON', 'L6RSP', 'L7RSP' or 'L7STS'";
                expect.error_status = Some(status(args, word, &known, words)?);
            }
            "tout-status" => {
                let known = [
                    ("L7TOUT", Status::L7Timeout),
                    ("L6TOUT", Status::L6Timeout),
                    ("L4TOUT", Status::L4Timeout),
                ];
                let words = "'L4TOUT', 'L6TOUT' or 'L7TOUT'";
                expect.timeout_status = Some(status(args, word, &known, words)?);
            }
            _ => {
                let known = if args.is_http { HTTP_PATTERNS } else { TCP_PATTERNS };
                if !known.contains(&word) {
                    let text = if args.is_http {
                        format!(
                            "'only supports min-recv, [!]string', '[!]rstring', '[!]string-lf', '[!]status', \
                             '[!]rstatus', [!]hdr, [!]fhdr or comment but got '{word}' as argument"
                        )
                    } else {
                        format!(
                            "'only supports min-recv, '[!]binary', '[!]string', '[!]rstring', '[!]string-lf'\
                             '[!]rbinary', '[!]binary-lf' or comment but got '{word}' as argument"
                        )
                    };
                    let known: Vec<&str> = known.iter().chain(EXPECT_OPTIONS).copied().collect();
                    return args.refuse_word(word, &known, text);
                }
                if pattern.is_some() {
                    return args.refuse("only one pattern expected");
                }
                pattern = Some(read_pattern(args, word)?);
            }
        }
    }
    let Some(pattern) = pattern else { return args.refuse("pattern not found") };
    expect.pattern = pattern;
    expect.inverted = inverted;
    Some((expect, comment))
}

fn status(
    args: &mut Args<'_, '_, '_>,
    option: &str,
    known: &[(&str, Status)],
    words: &str,
) -> Option<Status> {
    let word = args.value(option, "a string")?;
    match known.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        Some((_, status)) => Some(*status),
        None => {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let text = format!("'{option}' only supports {words} status (got '{word}')");
            args.refuse_word(word, &names, text)
        }
    }
}

fn read_pattern(args: &mut Args<'_, '_, '_>, word: &str) -> Option<Pattern> {
    if word == "hdr" || word == "fhdr" {
        return header(args, word);
    }
    let text = args.value(word, "a <pattern>")?;
    Some(match (word, args.is_http) {
        ("string", false) => Pattern::Bytes { data: text.as_bytes().to_vec(), binary: false },
        ("string", true) => Pattern::Body(text.as_bytes().to_vec()),
        ("rstring", false) => Pattern::Regex { regex: args.regex(text, false)?, binary: false },
        ("rstring", true) => Pattern::BodyRegex(args.regex(text, false)?),
        ("string-lf", false) => Pattern::Format { format: args.format(text)?, binary: false },
        ("string-lf", true) => Pattern::BodyFormat(args.format(text)?),
        ("binary", _) => Pattern::Bytes { data: args.bytes(text)?, binary: true },
        ("rbinary", _) => Pattern::Regex { regex: args.regex(text, false)?, binary: true },
        ("binary-lf", _) => Pattern::Format { format: args.format(text)?, binary: true },
        ("rstatus", _) => Pattern::StatusRegex(args.regex(text, false)?),
        _ => Pattern::Status(status_ranges(args, text)?),
    })
}

/// `200,300-310`.
fn status_ranges(args: &mut Args<'_, '_, '_>, text: &str) -> Option<Vec<(u32, u32)>> {
    let mut ranges = Vec::new();
    for part in text.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (Ok(low), Ok(high)) = (low.parse(), high.parse()) else {
            let odd = part.chars().find(|c| !c.is_ascii_digit() && *c != '-');
            return match odd {
                Some(odd) => {
                    args.refuse(format_args!("invalid character '{odd}' in the list of status codes"))
                }
                None => args.refuse(format_args!("invalid range of status codes '{text}'")),
            };
        };
        if low > high {
            return args.refuse(format_args!("invalid range of status codes '{text}'"));
        }
        ranges.push((low, high));
    }
    Some(ranges)
}

/// `hdr name [-m meth] <pattern> [value [-m meth] <pattern>]`.
fn header(args: &mut Args<'_, '_, '_>, word: &str) -> Option<Pattern> {
    let is_format = match args.next() {
        Some("name") => false,
        Some("name-lf") => true,
        _ => {
            return args.refuse(format_args!(
                "'{word}' expects at the name keyword as first argument followed by a pattern"
            ));
        }
    };
    let name = matcher(args, word, is_format, true)?;
    let value = match args.peek() {
        Some(kind @ ("value" | "value-lf")) => {
            args.next();
            Some(matcher(args, word, kind == "value-lf", false)?)
        }
        _ => None,
    };
    Some(Pattern::Header { name, value, full: word == "fhdr" })
}

fn matcher(args: &mut Args<'_, '_, '_>, word: &str, is_format: bool, is_name: bool) -> Option<Matcher> {
    let mut method = "str";
    if args.peek() == Some("-m") {
        args.next();
        method = match args.next() {
            Some(method @ ("str" | "beg" | "end" | "sub" | "reg")) => method,
            other => {
                let got = other.map(|other| format!(" (got '{other}')")).unwrap_or_default();
                let text = format!("'{word}' : '-m' only supports 'str', 'beg', 'end', 'sub' or 'reg'{got}");
                return args.refuse(text);
            }
        };
    }
    let Some(pattern) = args.next() else {
        let which = if is_name { "name" } else { "value" };
        return args.refuse(format_args!("'{word}' expect a pattern with the {which} keyword"));
    };
    if method == "reg" {
        if is_format {
            return args.refuse(format_args!(
                "'{word}': log-format string is not supported with a regex matching method"
            ));
        }
        // Names of fields know no case, their values do.
        return Some(Matcher::Regex(args.regex(pattern, is_name)?));
    }
    let text = args.text(pattern, is_format)?;
    Some(match method {
        "beg" => Matcher::Begins(text),
        "end" => Matcher::Ends(text),
        "sub" => Matcher::Contains(text),
        _ => Matcher::Is(text),
    })
}

/// The inside of `set-var(...)`: a variable that checks may touch, and conditions.
fn variable(args: &mut Args<'_, '_, '_>) -> Option<(VarName, Vec<SetCondition>)> {
    let word = args.name();
    let inside = word.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let Some(inside) = inside.filter(|inside| !inside.is_empty()) else {
        return args.refuse("invalid or incomplete action. Expects '(<var-name>)'");
    };
    let mut words = inside.split(',').map(str::trim);
    let name = words.next().unwrap_or(inside);
    let variable = match VarName::parse(name) {
        Ok(variable) => variable,
        Err(text) => return args.refuse(text),
    };
    // There is neither a client's session nor a transaction (manual, `http-check set-var`); the session
    // that HAProxy makes for a check lives as long as the check.
    if variable.scope == Scope::Sess {
        return args
            .refuse(format_args!("'{name}' would live no longer than the check: use the scope 'check'"));
    }
    if !matches!(variable.scope, Scope::Proc | Scope::Check) {
        return args
            .refuse(format_args!("invalid variable name '{name}'. The scope can be 'proc' or 'check' here"));
    }
    let mut conditions = Vec::new();
    for word in words {
        match SetCondition::find(word.as_bytes()) {
            Some(condition) => conditions.push(condition),
            None => {
                let known: Vec<&str> = SetCondition::NAMES.iter().map(|(name, _)| *name).collect();
                let text = format!("unknown condition \"{word}\"");
                return args.refuse_word(word, &known, text);
            }
        }
    }
    Some((variable, conditions))
}

/// `set-var(name[,cond]) <expr>`; the expression may stand in several words.
pub(super) fn set_var(args: &mut Args<'_, '_, '_>) -> Option<Step> {
    let (variable, conditions) = variable(args)?;
    let mut expr = args.value("set-var", "a sample expression")?.to_owned();
    while let Some(word) = args.next() {
        expr.push(' ');
        expr.push_str(word);
    }
    let value = NewValue::Expr(args.expr(&expr)?);
    Some(Step::Set(SetVariable { variable, conditions, value }))
}

/// `set-var-fmt(name[,cond]) <format>`.
pub(super) fn set_var_format(args: &mut Args<'_, '_, '_>) -> Option<Step> {
    let (variable, conditions) = variable(args)?;
    let format = args.value("set-var-fmt", "a log-format string")?;
    args.end()?;
    let value = NewValue::Format(args.format(format)?);
    Some(Step::Set(SetVariable { variable, conditions, value }))
}

/// `unset-var(name)`.
pub(super) fn unset_var(args: &mut Args<'_, '_, '_>) -> Option<Step> {
    let (variable, conditions) = variable(args)?;
    if !conditions.is_empty() {
        return args.refuse("no conditions are allowed here");
    }
    args.end()?;
    Some(Step::Unset(variable))
}
