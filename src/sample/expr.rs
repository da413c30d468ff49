//! An expression: a fetch and its converters, parsed, checked and evaluated.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use super::acl::Acl;
use super::arg::{self, Arg, Args, CheckContext};
use super::conv::{self, Converter};
use super::facts::Context;
use super::fetch::{self, Fetch, Source};
use super::userlist::UserList;
use super::value::{Type, Value};
use crate::base::text::decode_raw;
use crate::diag::{Level, Report, Span, did_you_mean};
use crate::pattern::Regex;
use crate::resolvers::Resolvers;
use crate::state::{Registry, Table};

/// What parsing an expression may need beyond its text.
pub struct ParseContext<'a> {
    /// Findings go here.
    pub report: &'a mut Report,
    /// Live objects: maps, proxies, servers that arguments name.
    pub registry: &'a Arc<Registry>,
    /// Reads a file (a map, an ACL's patterns); tests give memory.
    pub files: &'a dyn Files,
    /// Where the expression is used: decides which data exist.
    pub phase: Phase,
    /// The proxy that the expression belongs to (`nbsrv` without an argument), if any.
    pub proxy: Option<&'a str>,
    /// Named ACLs known so far in this proxy.
    pub acls: &'a super::acl::AclSet,
    /// Objects of other sections that arguments name.
    pub named: &'a Named,
}

impl ParseContext<'_> {
    /// Compiles a regular expression, and lets `-dD` name it if it back-tracks.
    pub fn regex(
        &mut self,
        pattern: impl AsRef<[u8]>,
        ignore_case: bool,
        span: Span,
    ) -> Result<Regex, String> {
        let regex = Regex::new(decode_raw(pattern.as_ref()), ignore_case)?;
        self.name_if_slow(&regex, span);
        Ok(regex)
    }
    /// The name of the file and the line that a span lies in.
    pub fn place(&self, span: Span) -> (&str, u32) {
        let source = self.report.sources.get(span.file as usize);
        (source.map_or("", |source| source.name.as_str()), span.line)
    }
    /// Lets `-dD` name a regular expression that back-tracks.
    pub fn name_if_slow(&mut self, regex: &Regex, span: Span) {
        if let Some((message, help)) = regex.warning() {
            self.report.push(Level::Diag, span, message).help(help);
        }
    }
}

/// Objects that expressions and rules name wherever they were declared: all are known before the
/// first expression is read.
#[derive(Debug, Default)]
pub struct Named {
    /// Stick tables.
    pub tables: HashMap<String, Arc<Table>>,
    /// `userlist` sections.
    pub userlists: HashMap<String, Arc<UserList>>,
    /// Numbers given to ACLs with `-u`, and the line that has each.
    pub acl_ids: Mutex<HashMap<u32, Span>>,
    /// `resolvers` sections.
    pub resolvers: HashMap<String, Arc<Resolvers>>,
    /// `ring` sections.
    pub rings: HashSet<String>,
    /// `tune.stick-counters`, where it is set.
    pub stick_counters: Option<u8>,
    /// `expose-experimental-directives`.
    pub experimental: bool,
}

/// How an experimental directive may be used.
pub const EXPOSE: &str = "write 'expose-experimental-directives' in the global section, above it";

impl Named {
    /// The same objects for another reader.
    pub fn share(&self) -> Named {
        Named {
            tables: self.tables.clone(),
            userlists: self.userlists.clone(),
            acl_ids: Mutex::default(),
            resolvers: self.resolvers.clone(),
            rings: self.rings.clone(),
            stick_counters: self.stick_counters,
            experimental: self.experimental,
        }
    }
    /// How many entries a session can track: the numbers of `track-sc` rules are below this
    /// (manual, section 3.2 `tune.stick-counters`).
    pub fn stick_counters(&self) -> u8 {
        self.stick_counters.unwrap_or(3)
    }
}

/// Reads files, and asks for hosts, for the configuration.
pub trait Files {
    /// The bytes of a file.
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>>;
    /// The IPv4 address of a host that an ACL's pattern names; a world without a resolver knows none.
    fn host(&self, _name: &str) -> Option<Ipv4Addr> {
        None
    }
    /// A variable of the environment, as the configuration leaves it.
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Where an expression is evaluated, in order of a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Phase {
    /// Global section, `-cc`, `set-var` of `proc.`.
    Config,
    TcpConnection,
    TcpSession,
    TcpRequestContent,
    HttpRequest,
    /// `use_backend`, `use-server`, `balance hash`, `stick`, ...: request data of either mode.
    Switching,
    TcpResponseContent,
    HttpResponse,
    HttpAfterResponse,
    /// Log formats: everything that was known.
    Log,
    /// `http-check`, `tcp-check`.
    Check,
}

impl Phase {
    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Config => "the configuration",
            Phase::TcpConnection => "tcp-request connection",
            Phase::TcpSession => "tcp-request session",
            Phase::TcpRequestContent => "tcp-request content",
            Phase::HttpRequest => "http-request",
            Phase::Switching => "switching",
            Phase::TcpResponseContent => "tcp-response content",
            Phase::HttpResponse => "http-response",
            Phase::HttpAfterResponse => "http-after-response",
            Phase::Log => "log formats",
            Phase::Check => "health checks",
        }
    }
}

/// A checked expression.
#[derive(Debug)]
pub struct Expr {
    /// Its text as written.
    pub text: Box<str>,
    fetch: &'static Fetch,
    args: Box<[Arg]>,
    steps: Box<[Step]>,
    output: Type,
}

/// One converter with its arguments.
#[derive(Debug)]
struct Step {
    row: &'static Converter,
    args: Box<[Arg]>,
}

/// What is wrong with an expression, and what to do about it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub message: String,
    pub help: Option<String>,
}

impl From<String> for Fault {
    fn from(message: String) -> Fault {
        Fault { message, help: None }
    }
}

impl Expr {
    /// Parses `text`; on a mistake reports it at `span` and returns `None`.
    pub fn parse(text: &str, span: Span, context: &mut ParseContext<'_>) -> Option<Expr> {
        let parsed = Expr::parse_prefix(text, span, context).and_then(|(expr, end)| match &text[end..] {
            "" => Ok(expr),
            rest => Err(expr.trailing(rest)),
        });
        let checked = parsed.and_then(|expr| expr.check_phase(span, context).map(|()| expr));
        match checked {
            Ok(expr) => Some(expr),
            Err(fault) => {
                context.report.alert(span, fault.message).help = fault.help;
                None
            }
        }
    }

    /// What follows an expression without a comma.
    pub(crate) fn trailing(&self, _rest: &str) -> Fault {
        match self.steps.last() {
            Some(step) => format!("missing comma after converter '{}'", step.row.name).into(),
            None => "missing comma after fetch keyword".to_owned().into(),
        }
    }

    /// Parses the expression that `text` begins with; returns it and where it ends. Which data
    /// exist is not looked at.
    pub(crate) fn parse_prefix(
        text: &str,
        span: Span,
        context: &mut ParseContext<'_>,
    ) -> Result<(Expr, usize), Fault> {
        let (name, after_name) = identifier(text, 0);
        if name.is_empty() {
            return Err("missing fetch method".to_owned().into());
        }
        let row = fetch::find(name).ok_or_else(|| unknown_fetch(name))?;
        Expr::parse_from(row, text, after_name, span, context)
    }

    /// As [`Expr::parse_prefix`], when the fetch is known already (an ACL's `path_beg`).
    pub(crate) fn parse_from(
        row: &'static Fetch,
        text: &str,
        after_name: usize,
        span: Span,
        context: &mut ParseContext<'_>,
    ) -> Result<(Expr, usize), Fault> {
        let bytes = text.as_bytes();
        let mut check = CheckContext { context, keyword: row.name, span };
        let (mut args, mut at) = arg::parse(bytes, after_name, row.args, row.required, &mut check)
            .map_err(|(_, error)| Fault::from(format!("fetch method '{}' : {error}", row.name)))?;
        if let Some(refine) = row.check {
            refine(&mut args, &mut check).map_err(|error| {
                Fault::from(format!("invalid args in fetch method '{}' : {error}", row.name))
            })?;
        }
        let mut output = row.output;
        let mut steps = Vec::new();
        while bytes.get(at) == Some(&b',') {
            // Commas too many do no harm.
            at += bytes[at..].iter().take_while(|byte| **byte == b',').count();
            if at == bytes.len() {
                break;
            }
            let (name, after_name) = identifier(text, at);
            let row = conv::find(name).ok_or_else(|| unknown_converter(name))?;
            if !output.casts_to(row.input) {
                let help = format!("it takes '{}', but gets '{}'", row.input.name(), output.name());
                let message = format!("converter '{name}' cannot be applied");
                return Err(Fault { message, help: Some(help) });
            }
            let mut check = CheckContext { context: check.context, keyword: row.name, span };
            if row.args.is_empty()
                && bytes.get(after_name) == Some(&b'(')
                && bytes.get(after_name + 1) != Some(&b')')
            {
                return Err(format!("converter '{name}' does not support any args").into());
            }
            let (mut args, end) = arg::parse(bytes, after_name, row.args, row.required, &mut check).map_err(
                |(place, error)| {
                    Fault::from(format!("invalid arg {} in converter '{name}' : {error}", place + 1))
                },
            )?;
            if let Some(refine) = row.check {
                refine(&mut args, &mut check)
                    .map_err(|error| Fault::from(format!("invalid args in converter '{name}' : {error}")))?;
            }
            // `set-var` and `debug` hand on what they get.
            output = if row.same_output { output } else { row.output };
            steps.push(Step { row, args: args.into() });
            at = end;
        }
        let expr =
            Expr { text: text[..at].into(), fetch: row, args: args.into(), steps: steps.into(), output };
        Ok((expr, at))
    }

    /// Whether the data it needs exist in the phase of the configuration.
    fn check_phase(&self, span: Span, context: &mut ParseContext<'_>) -> Result<(), Fault> {
        let phase = context.phase;
        if self.is_allowed(span, context) {
            return Ok(());
        }
        let name = self.fetch.name;
        let needs = self.fetch.source.name();
        Err(Fault {
            message: format!(
                "fetch method '{name}' extracts information from '{needs}', none of which is available here ('{}')",
                phase.name()
            ),
            help: self.fetch.source.advice(phase).map(str::to_owned),
        })
    }

    /// Whether it may stand in the phase at all; warns of one that never has a value there.
    pub(crate) fn is_allowed(&self, span: Span, context: &mut ParseContext<'_>) -> bool {
        let phase = context.phase;
        if !self.fetch.is_empty_in(phase) {
            return self.fetch.source.exists_in(phase);
        }
        let name = self.fetch.name;
        let message = format!("sample fetch '{name}' never has a value in {}", phase.name());
        context.report.warning(span, message).help = Some("a check has no client".to_owned());
        true
    }

    /// The type it yields.
    pub fn output(&self) -> Type {
        self.output
    }
    /// The name of its fetch.
    pub fn fetch_name(&self) -> &'static str {
        self.fetch.name
    }
    /// The list of users that it takes, if it takes one.
    pub(crate) fn userlist(&self) -> Option<&Arc<UserList>> {
        self.args.userlist(0)
    }
    pub(crate) fn source(&self) -> Source {
        self.fetch.source
    }
    /// The ACLs that it asks for, by `acl(...)` or `when(acl,...)`.
    pub(crate) fn acls(&self) -> impl Iterator<Item = &Arc<Acl>> {
        let all = self.args.iter().chain(self.steps.iter().flat_map(|step| step.args.iter()));
        all.flat_map(|arg| if let Arg::Acls(acls) = arg { &acls[..] } else { &[] }).map(|(_, acl)| acl)
    }
    pub(crate) fn has_converters(&self) -> bool {
        !self.steps.is_empty()
    }
    /// Its value; `None` when the data are absent.
    #[inline]
    pub fn eval<'a>(&'a self, context: &Context<'a>) -> Option<Value<'a>> {
        let value = (self.fetch.get)(&self.args, context)?;
        self.convert(value, context)
    }
    #[inline]
    fn convert<'a>(&'a self, mut value: Value<'a>, context: &Context<'a>) -> Option<Value<'a>> {
        for step in &self.steps {
            value = (step.row.apply)(value.cast(step.row.input)?, &step.args, context)?;
            // Chains and variables would else let a value grow without end.
            if value.made_len() > context.process.limits.buffer {
                value = if step.row.cuts { value.cut(context.process.limits.buffer) } else { return None };
            }
        }
        Some(value)
    }
    /// Calls `matches` with each value in turn until it says yes: what ACLs do with headers,
    /// cookies and parameters that occur several times. Returns whether there was any value, and
    /// whether one matched.
    pub(crate) fn any<'a>(
        &'a self,
        context: &Context<'a>,
        mut matches: impl FnMut(Value<'a>) -> bool,
    ) -> (bool, bool) {
        let Some(each) = self.fetch.each else {
            return match self.eval(context) {
                None => (false, false),
                Some(value) => (true, matches(value)),
            };
        };
        let (mut seen, mut matched) = (false, false);
        each(&self.args, context, &mut |value| {
            if let Some(value) = self.convert(value, context) {
                seen = true;
                matched = matches(value);
            }
            matched
        });
        (seen, matched)
    }
    /// Whether its value may still come or change, while content is inspected.
    pub(crate) fn may_change(&self, context: &Context<'_>, is_present: bool) -> bool {
        let txn = context.txn;
        match self.fetch.source {
            _ if self.fetch.waits => true,
            Source::RequestBuffer | Source::ResponseBuffer | Source::EitherBuffer if is_present => {
                let settled = self.steps.iter().any(|step| step.row.settles);
                !settled && (self.fetch.grows)(&self.args)
            }
            Source::RequestBuffer | Source::ResponseBuffer | Source::EitherBuffer => {
                !(self.fetch.hopeless)(&self.args, context)
            }
            Source::RequestHeaders | Source::Request => !txn.has_request && !txn.bad_request,
            Source::ResponseHeaders | Source::Response => !txn.has_response,
            _ => false,
        }
    }
    /// Whether it only tells that waiting is over (`wait_end`).
    pub(crate) fn waits(&self) -> bool {
        self.fetch.waits
    }
    /// Appends its value as a string; false when it is absent.
    pub fn eval_string(&self, context: &Context<'_>, out: &mut Vec<u8>) -> bool {
        match self.eval(context) {
            Some(value) => {
                value.write(out);
                true
            }
            None => false,
        }
    }
    /// Its value as a string, borrowed where it can be.
    pub fn eval_bytes<'a>(&'a self, context: &Context<'a>) -> Option<Cow<'a, [u8]>> {
        self.eval(context)?.into_bytes(Type::Str)
    }
}

/// The name that starts at `at`, and where it ends.
pub(crate) fn identifier(text: &str, at: usize) -> (&str, usize) {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b':');
    let len = text.as_bytes()[at..].iter().take_while(|byte| is_part(byte)).count();
    (&text[at..at + len], at + len)
}

pub(crate) fn unknown_fetch(name: &str) -> Fault {
    let help = fetch::why_absent(name)
        .map(str::to_owned)
        .or_else(|| {
            conv::find(name).map(|_| format!("'{name}' is a converter: it follows a fetch and a comma"))
        })
        .or_else(|| did_you_mean(name, fetch::names()));
    Fault { message: format!("unknown fetch method '{name}'"), help }
}

fn unknown_converter(name: &str) -> Fault {
    let help = conv::why_absent(name).map(str::to_owned).or_else(|| did_you_mean(name, conv::names()));
    Fault { message: format!("unknown converter '{name}'"), help }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{World, alert, parse};

    #[test]
    fn mistakes_are_told_in_known_words() {
        for (text, message, help) in [
            ("req.hdrr(x)", "unknown fetch method 'req.hdrr'", "did you mean 'req.hdr'?"),
            ("path,lowr", "unknown converter 'lowr'", "did you mean 'lower'?"),
            ("", "missing fetch method", ""),
            ("path lower", "missing comma after fetch keyword", ""),
            ("path,lower(x)", "converter 'lower' does not support any args", ""),
            (
                "path,field(x,/)",
                "invalid arg 1 in converter 'field' : failed to parse 'x' as type 'integer'",
                "",
            ),
            ("path,field(1)", "invalid arg 2 in converter 'field' : missing arguments (got 1/2)", ""),
            ("int(1", "fetch method 'int' : expected ')'", ""),
            ("int(1,2)", "fetch method 'int' : expected ')' before ',2)'", ""),
            ("src,json_query('$.a'),be2hex,sub(1),lower,zzzzzzzzz", "unknown converter 'zzzzzzzzz'", ""),
            ("path,,lower,", "", ""),
            ("lower", "unknown fetch method 'lower'", "is a converter"),
            ("req.payload(0,4),add(1)", "converter 'add' cannot be applied", "gets 'bin'"),
            ("var(foo)", "must be start by its scope", ""),
        ] {
            let (found, hint) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
            assert!(hint.contains(help), "{text}: {hint}");
        }
    }

    #[test]
    fn absent_data_are_a_diagnostic() {
        for (text, phase, fails) in [
            ("req.hdr(host)", Phase::HttpRequest, false),
            ("req.hdr(host)", Phase::Log, true),
            ("req.hdr(host)", Phase::TcpConnection, true),
            ("res.hdr(x)", Phase::HttpRequest, true),
            ("res.hdr(x)", Phase::HttpResponse, false),
            ("hdr(x)", Phase::HttpResponse, false),
            ("method", Phase::HttpResponse, false),
            ("src", Phase::TcpConnection, false),
            ("src", Phase::Config, true),
            ("int(1)", Phase::Config, false),
            ("status", Phase::Log, false),
            ("srv_name", Phase::HttpRequest, true),
        ] {
            let (message, _) = alert(text, phase);
            assert_eq!(
                message.contains("none of which is available here"),
                fails,
                "{text} {phase:?}: {message}"
            );
        }
    }

    #[test]
    fn no_value_outgrows_a_buffer() {
        let many = |text: &str, count: usize| text.repeat(count);
        let mut world = World::request("GET / HTTP/1.1", &[&format!("X: {}", many("/", 60))]);
        world.process.limits.buffer = 100;
        for (text, expected) in [
            // Some cut, as HAProxy's do; the others have no value.
            ("req.hdr(x),concat(/,,/),length", Some("62")),
            ("req.hdr(x),set-var(txn.grow),concat(,txn.grow),length", Some("100")),
            ("req.hdr(x),set-var(txn.grow),add_item(;,txn.grow),length", Some("100")),
            ("req.hdr(x),regsub(/,ab,g),length", Some("100")),
            ("req.hdr(x),json", None),
            ("req.hdr(x),url_enc", None),
            ("req.hdr(x),hex", None),
            ("req.hdr(x),bytes(0,40),hex,length", Some("80")),
            ("req.hdr(x),bytes(0,40),json,length", Some("80")),
            ("req.hdr(x),bytes(0,40),json,json,length", None),
        ] {
            let expr = parse(text, Phase::HttpRequest);
            let mut out = Vec::new();
            let found = expr.eval_string(&world.context(), &mut out).then(|| String::from_utf8(out).unwrap());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        // A variable that is put into itself again and again.
        let expr = parse("var(txn.twice),concat(xx,txn.twice),set-var(txn.twice),length", Phase::HttpRequest);
        parse("str(x),set-var(txn.twice)", Phase::HttpRequest).eval(&world.context());
        for _ in 0..100 {
            let len = expr.eval(&world.context()).and_then(|value| value.as_int()).unwrap();
            assert!(len <= 100, "{len}");
        }
    }

    #[test]
    fn evaluates_chains() {
        let world = World::request("GET /Static/a.PNG?x=1&y=2 HTTP/1.1", &["Host: Example.com", "X-N: 41"]);
        for (text, expected) in [
            ("path", Some("/Static/a.PNG")),
            ("path,lower", Some("/static/a.png")),
            ("req.hdr(x-n),add(1)", Some("42")),
            ("req.header(host)", Some("Example.com")),
            ("req.hdr(absent)", None),
            ("src,ipmask(24)", Some("192.0.2.0")),
        ] {
            let expr = parse(text, Phase::HttpRequest);
            let mut out = Vec::new();
            let found = expr.eval_string(&world.context(), &mut out).then(|| String::from_utf8(out).unwrap());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
