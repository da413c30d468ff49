//! ACLs: named or anonymous tests of an expression against patterns (manual, section 7.1). What joins
//! them by and, or, not is a [`Condition`].

use std::sync::{Arc, OnceLock};

pub use super::condition::Condition;

use super::conv::map;
use super::expr::{Expr, Fault, Named, ParseContext, Phase, identifier, unknown_fetch};
use super::facts::{Context, Direction};
use super::fetch;
use super::userlist::UserList;
use super::value::{Type, Value};
use crate::base::text::decode_raw;
use crate::diag::{Level, Report, Source, Span, did_you_mean};
use crate::http::method::Method;
use crate::pattern::{
    Input, Kind, PatternSet, Subject, parse_int_range, parse_ip_prefix, parse_masked_v4, parse_version_range,
};
use crate::state::Registry;
use crate::state::maps::LiveMap;

/// The named ACLs of one proxy; the same name twice means "or".
#[derive(Debug, Default)]
pub struct AclSet {
    list: Vec<Arc<Acl>>,
    /// Names of those whose line is wrong: that is reported once, and not again at each use.
    broken: Vec<Box<str>>,
    /// Predefined ones, made when first asked for.
    predefined: std::sync::Mutex<Vec<Arc<Acl>>>,
}

/// One ACL: tests of which one must hold. Conditions share it, and see tests added later.
#[derive(Debug)]
pub struct Acl {
    /// Its name; empty for an anonymous one.
    pub name: Box<str>,
    pub(super) first: Node,
}

/// A list that only grows at its end, so that readers need no lock.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) test: Test,
    next: OnceLock<Arc<Node>>,
}

/// One test: an expression and what it is compared with.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) expr: Expr,
    kind: Kind,
    ignore_case: bool,
    /// Whether it compares methods as such: those that are known have one spelling, whatever `-i` says.
    is_method: bool,
    /// Patterns written in the configuration, as they were written.
    inline: PatternSet,
    /// The same as the runtime API shows and changes them: consulted once they were changed.
    live: Arc<LiveMap>,
    /// Pattern files, and whether each is compared without case.
    files: Vec<(Arc<LiveMap>, bool)>,
    /// The value is a user of this list, whose groups are compared in its place (`http_auth_group`).
    groups_of: Option<Arc<UserList>>,
}

/// Three-valued truth: TCP content rules must wait for more bytes before some tests can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Truth {
    No,
    /// It may still change: the data it needs have not arrived.
    Unknown,
    Yes,
}

impl Truth {
    pub(super) fn negate_if(self, negated: bool) -> Truth {
        match (self, negated) {
            (Truth::Yes, true) => Truth::No,
            (Truth::No, true) => Truth::Yes,
            (truth, _) => truth,
        }
    }
}

/// ACLs that every proxy knows (manual, section 7.4).
pub(crate) const PREDEFINED: &[(&str, &[&str])] = &[
    ("TRUE", &["always_true"]),
    ("FALSE", &["always_false"]),
    ("LOCALHOST", &["src", "127.0.0.1/8", "::1"]),
    ("HTTP", &["req.proto_http"]),
    ("HTTP_1.0", &["req.ver", "1.0"]),
    ("HTTP_1.1", &["req.ver", "1.1"]),
    ("HTTP_2.0", &["req.ver", "2.0"]),
    ("HTTP_3.0", &["req.ver", "3.0"]),
    ("METH_CONNECT", &["method", "CONNECT"]),
    ("METH_DELETE", &["method", "DELETE"]),
    ("METH_GET", &["method", "GET", "HEAD"]),
    ("METH_HEAD", &["method", "HEAD"]),
    ("METH_OPTIONS", &["method", "OPTIONS"]),
    ("METH_POST", &["method", "POST"]),
    ("METH_PUT", &["method", "PUT"]),
    ("METH_TRACE", &["method", "TRACE"]),
    ("HTTP_URL_ABS", &["url_reg", "^[^/:]*://"]),
    ("HTTP_URL_SLASH", &["url_beg", "/"]),
    ("HTTP_URL_STAR", &["url", "*"]),
    ("HTTP_CONTENT", &["req.hdr_val(content-length)", "gt", "0"]),
    ("RDP_COOKIE", &["req.rdp_cookie_cnt", "gt", "0"]),
    ("REQ_CONTENT", &["req.len", "gt", "0"]),
    ("WAIT_END", &["wait_end"]),
];

/// Criteria that name a fetch and, by their suffix, a kind: `path_beg`, `hdr_dom`... Each is
/// also known without a suffix.
const CRITERIA: &[(&str, &str)] = &[
    ("base", "base"),
    ("cook", "req.cook"),
    ("hdr", "req.hdr"),
    ("path", "path"),
    ("scook", "res.cook"),
    ("shdr", "res.hdr"),
    ("url", "url"),
    ("urlp", "urlp"),
];
const SUFFIXES: &[&str] = &["beg", "dir", "dom", "end", "len", "reg", "sub"];

/// Criteria with a kind of their own, known under one name each.
const SINGLE_CRITERIA: &[(&str, &str, Kind)] = &[
    ("method", "method", Kind::Str),
    ("payload", "req.payload", Kind::Bin),
    ("payload_lv", "req.payload_lv", Kind::Bin),
    ("req_rdp_cookie", "req.rdp_cookie", Kind::Str),
    ("req_rdp_cookie_cnt", "req.rdp_cookie_cnt", Kind::Int),
    ("req_ssl_sni", "req.ssl_sni", Kind::Str),
    ("req_ssl_ver", "req.ssl_ver", Kind::Int),
    ("req_ver", "req.ver", Kind::Str),
    ("resp_ver", "res.ver", Kind::Str),
    ("ssl_fc_sni_end", "ssl_fc_sni", Kind::End),
    ("ssl_fc_sni_reg", "ssl_fc_sni", Kind::Reg),
];

/// The fetch and the kind that a criterion stands for.
pub(crate) fn criterion(name: &str) -> Option<(&'static str, Kind)> {
    let single = SINGLE_CRITERIA.iter().find(|(criterion, ..)| *criterion == name);
    if let Some((_, fetch, kind)) = single {
        return Some((fetch, *kind));
    }
    CRITERIA.iter().find_map(|(criterion, fetch)| match name.strip_prefix(criterion)? {
        "" => Some((*fetch, Kind::Str)),
        suffix => {
            let suffix = suffix.strip_prefix('_').filter(|suffix| SUFFIXES.contains(suffix))?;
            Some((*fetch, Kind::from_name(suffix)?))
        }
    })
}

/// Whether `name` is a criterion of its own (`path_beg`), beside the fetches that are.
#[cfg(test)]
pub(crate) fn is_criterion(name: &str) -> bool {
    criterion(name).is_some() || super::fetch::find(name).is_some()
}

impl AclSet {
    /// Parses the words after `acl` (name, criterion, flags, patterns) and adds the ACL.
    pub fn add(&mut self, words: &[&str], span: Span, context: &mut ParseContext<'_>) {
        let [name, body @ ..] = words else {
            context
                .report
                .alert(span, "acl: missing ACL name")
                .help("acl <name> <criterion> [flags] <patterns>");
            return;
        };
        let bad = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'));
        if let Some(bad) = name.chars().find(bad) {
            context.report.alert(span, format!("invalid character in ACL name : '{bad}'"));
            return;
        }
        if PREDEFINED.iter().any(|(other, _)| other == name) {
            let message = format!("acl name '{name}' hides the predefined ACL of this name");
            context.report.notice(span, message);
        }
        if name.eq_ignore_ascii_case("or") {
            let message = format!(
                "acl name '{name}' will never match. 'or' is used to express a disjunction within a condition"
            );
            context.report.warning(span, message);
        }
        // Its own ACLs are the ones that an `acl(...)` in it may name, whatever the caller has at hand.
        let parsed = {
            let mut own = ParseContext {
                report: context.report,
                registry: context.registry,
                files: context.files,
                phase: context.phase,
                proxy: context.proxy,
                acls: &*self,
                named: context.named,
            };
            Test::parse(body, span, &mut own)
        };
        match parsed {
            Err(fault) => {
                let message = format!("error detected while parsing ACL '{name}' : {}", fault.message);
                context.report.alert(span, message).help = fault.help;
                self.broken.push((*name).into());
            }
            Ok(test) => match self.list.iter().find(|acl| *acl.name == **name) {
                Some(acl) if test.refers_to(acl) => {
                    let message =
                        format!("error detected while parsing ACL '{name}' : have a recursive loop");
                    context.report.alert(span, message);
                }
                Some(acl) => acl.push(test),
                None => self.list.push(Arc::new(Acl::new(name, test))),
            },
        }
    }
    /// The same ACLs in a set of their own, for an `acl` line that refers to those before it.
    pub fn share(&self) -> AclSet {
        AclSet { list: self.list.clone(), broken: self.broken.clone(), ..AclSet::default() }
    }
    /// Whether a line that should have made this ACL is wrong.
    pub fn is_broken(&self, name: &str) -> bool {
        self.broken.iter().any(|broken| **broken == *name)
    }
    /// The ACL called `name`, predefined ones included.
    /// `place`, a file and a line, is what a predefined one is known by in the runtime API.
    pub fn get(&self, name: &str, registry: &Arc<Registry>, place: (&str, u32)) -> Option<Arc<Acl>> {
        if let Some(acl) = self.list.iter().find(|acl| *acl.name == *name) {
            return Some(acl.clone());
        }
        let (name, words) = PREDEFINED.iter().find(|(other, _)| *other == name)?;
        let mut made = self.predefined.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(acl) = made.iter().find(|acl| *acl.name == **name) {
            return Some(acl.clone());
        }
        let none = AclSet::default();
        let mut report = Report::default();
        report.sources.push(Source { name: place.0.to_owned(), lines: Vec::new() });
        let span = Span { file: 0, line: place.1, start: 0, end: 0 };
        let mut context = ParseContext {
            report: &mut report,
            registry,
            files: &NoFiles,
            phase: Phase::TcpRequestContent,
            proxy: None,
            acls: &none,
            named: &Named::default(),
        };
        let acl = Arc::new(Acl::new(name, Test::parse(words, span, &mut context).ok()?));
        made.push(acl.clone());
        Some(acl)
    }
    /// The names of all ACLs that a condition may use, its own first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|acl| &*acl.name).chain(PREDEFINED.iter().map(|(name, _)| *name))
    }
    /// How many were declared.
    pub fn len(&self) -> usize {
        self.list.len()
    }
    /// Whether none was declared.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

struct NoFiles;

impl super::expr::Files for NoFiles {
    fn read(&self, _: &str) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

impl Acl {
    pub(super) fn new(name: &str, test: Test) -> Acl {
        Acl { name: name.into(), first: Node { test, next: OnceLock::new() } }
    }
    fn push(&self, test: Test) {
        let mut last = &self.first;
        while let Some(next) = last.next.get() {
            last = next;
        }
        // Only the parser adds, and it does so on one thread: the end is still the end.
        let _ = last.next.set(Arc::new(Node { test, next: OnceLock::new() }));
    }
    pub(super) fn tests(&self) -> impl Iterator<Item = &Test> {
        std::iter::successors(Some(&self.first), |node| node.next.get().map(|next| &**next))
            .map(|node| &node.test)
    }
    /// Whether one of its tests holds. With `is_final`, what has not come by now never will.
    pub fn test(&self, context: &Context<'_>, is_final: bool) -> Truth {
        let mut truth = Truth::No;
        for test in self.tests() {
            truth = truth.max(test.run(context, is_final));
            if truth == Truth::Yes {
                break;
            }
        }
        truth
    }
}

impl Test {
    /// Parses a criterion, flags and patterns.
    pub(super) fn parse(words: &[&str], span: Span, context: &mut ParseContext<'_>) -> Result<Test, Fault> {
        let Some((criterion, mut rest)) = words.split_first() else {
            return Err("missing fetch method in ACL expression".to_owned().into());
        };
        let (expr, keyword, suffix_kind) =
            parse_criterion(criterion, span, context).map_err(|mut fault| {
                fault.message = format!("{} in ACL expression '{criterion}'", fault.message);
                fault
            })?;
        let untyped = || {
            Fault::from(format!(
                "matching method must be specified first (using '-m') when using a sample fetch of this type ('{keyword}')"
            ))
        };
        let output = expr.output();
        let mut kind = suffix_kind.or(default_kind(output));
        if kind.is_some() && output != Type::Bool && rest.is_empty() {
            context.report.warning(span, never_matches(criterion)).help(
                "'--' behind the criterion says that this is meant, '-m found' tests for existence, '-m bool' \
                 makes a number a truth",
            );
        }
        if !criterion.contains('(') && rest.first().is_some_and(|word| word.starts_with('(')) {
            let message = format!(
                "matching '{criterion}' for pattern '{}' is likely a mistake and probably not what you want",
                rest[0]
            );
            context
                .report
                .warning(span, message)
                .help("remove the space before '(', or insert '--' between the match and the pattern");
        }
        let mut flags = Flags::default();
        let mut files = Vec::new();
        while let Some((flag, after)) = rest.split_first().filter(|(word, _)| word.starts_with('-')) {
            rest = after;
            let mut argument = |what: &str| {
                let (word, after) =
                    rest.split_first().ok_or_else(|| Fault::from(format!("'{flag}' expects {what}")))?;
                rest = after;
                Ok::<&str, Fault>(word)
            };
            match *flag {
                "-i" => flags.ignore_case = true,
                "-n" => flags.no_names = true,
                "-M" => flags.is_map = true,
                "-u" => flags.id = Some(take_id(argument("an id")?, span, context)?),
                "-m" => {
                    let name = argument("a matching method")?;
                    if !files.is_empty() {
                        let message =
                            "'-m' must only be specified before patterns and files in parsing ACL expression";
                        return Err(message.to_owned().into());
                    }
                    if flags.forced {
                        let message = "only one explicit matching method can be defined with '-m' parameter. \
                                       if migrating from an old version, just keep the last one";
                        return Err(message.to_owned().into());
                    }
                    let wanted = Kind::from_name(name).ok_or_else(|| Fault {
                        message: format!("unknown matching method '{name}' when parsing ACL expression"),
                        help: did_you_mean(name, Kind::NAMES.iter().map(|(name, _)| *name)),
                    })?;
                    if wanted != Kind::Found && !output.casts_to(cast_for(wanted)) {
                        return Err(format!(
                            "matching method '{name}' cannot be used with fetch keyword '{keyword}'"
                        )
                        .into());
                    }
                    let own = suffix_kind.filter(|own| {
                        !matches!(own, Kind::Str | Kind::Int | Kind::Bin) || keyword == "method"
                    });
                    if own.is_some_and(|own| own != wanted) {
                        let message = format!(
                            "original matching method '{keyword}' was overwritten and will not be applied as expected"
                        );
                        context.report.warning(span, message);
                    }
                    kind = Some(wanted);
                    flags.forced = true;
                }
                "-f" => {
                    let name = argument("a file name")?;
                    let kind = kind.ok_or_else(untyped)?;
                    let file = map::load(name, flags.is_map, flags.is_map, span, context)?;
                    file.also_used_by_acls();
                    map::ready(&file, kind, flags.ignore_case, span, context)?;
                    files.push((file, flags.ignore_case));
                }
                "--" => break,
                _ => {
                    return Err(Fault {
                        message: format!(
                            "'{flag}' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'"
                        ),
                        help: did_you_mean(flag, ["-i", "-f", "-m", "-M", "-n", "-u", "--"]),
                    });
                }
            }
        }
        let kind = kind.ok_or_else(untyped)?;
        let is_version = !flags.forced && VERSIONS.contains(&&*keyword) && !expr.has_converters();
        let patterns = written(rest, kind, is_version, flags.no_names, span, context)?;
        let inline = inline(&patterns, kind, flags.ignore_case, span, context)?;
        let live = live(&keyword, &patterns, &inline, kind, &flags, span, context);
        let is_method = keyword == "method" && !flags.forced;
        let asks_groups = expr.fetch_name() == "http_auth_group" && !expr.has_converters() && !flags.forced;
        let groups_of = if asks_groups { expr.userlist().cloned() } else { None };
        if let Some(list) = &groups_of {
            known_groups(list, &patterns, &files)?;
        }
        Ok(Test { expr, kind, ignore_case: flags.ignore_case, is_method, inline, live, files, groups_of })
    }

    /// Whether it asks for `acl` itself: it would never end.
    fn refers_to(&self, acl: &Arc<Acl>) -> bool {
        self.expr.acls().any(|other| Arc::ptr_eq(other, acl) || other.tests().any(|test| test.refers_to(acl)))
    }

    fn run(&self, context: &Context<'_>, is_final: bool) -> Truth {
        let is_final = is_final || context.txn.inspection_over;
        if self.expr.waits() {
            return if is_final { Truth::Yes } else { Truth::Unknown };
        }
        // The request has left when rules look at its response: parsing warned of that already.
        if context.direction == Direction::Response
            && matches!(self.expr.source(), fetch::Source::RequestHeaders | fetch::Source::RequestBuffer)
        {
            return Truth::No;
        }
        let (seen, matched) = self.expr.any(context, |value| self.matches(value));
        if matched {
            Truth::Yes
        } else if !is_final && self.expr.may_change(context, seen) {
            Truth::Unknown
        } else {
            Truth::No
        }
    }

    fn matches(&self, value: Value<'_>) -> bool {
        match self.kind {
            Kind::Found => return true,
            Kind::Bool => return value.as_bool() == Some(true),
            _ => (),
        }
        let is_exact = self.is_method && !matches!(value, Value::Method(Method::Other, _));
        let Some(value) = value.cast(cast_for(self.kind)) else { return false };
        let Some(subject) = map::subject(self.kind, &value) else { return false };
        let is_in = |set: &PatternSet, ignore_case: bool, subject: Subject<'_>| {
            set.find(self.kind, ignore_case && !is_exact, subject).is_some()
        };
        let is_known = |subject: Subject<'_>| {
            let inline = if self.live.is_changed() {
                is_in(&self.live.load(), self.ignore_case, subject)
            } else {
                !self.inline.is_empty() && is_in(&self.inline, self.ignore_case, subject)
            };
            inline || self.files.iter().any(|(file, ignore_case)| is_in(&file.load(), *ignore_case, subject))
        };
        if let Some(list) = &self.groups_of {
            let name = value.bytes().and_then(|name| std::str::from_utf8(name).ok());
            let Some(user) = name.and_then(|name| list.users.get(name)) else { return false };
            return user.groups.iter().any(|group| is_known(Subject::Bytes(group.as_bytes())));
        }
        is_known(subject)
    }
}

/// Refuses patterns that are no group of the list: a mistyped one would let in no user, or every user.
fn known_groups(list: &UserList, patterns: &[String], files: &[(Arc<LiveMap>, bool)]) -> Result<(), Fault> {
    let from_files: Vec<String> = files
        .iter()
        .flat_map(|(file, _)| {
            let set = file.snapshot();
            let names =
                set.entries().into_iter().map(|entry| String::from_utf8_lossy(entry.key).into_owned());
            names.collect::<Vec<_>>()
        })
        .collect();
    let mut names = patterns.iter().chain(&from_files).map(String::as_str).peekable();
    if names.peek().is_none() {
        return Err("no groups specified".to_owned().into());
    }
    let groups = || list.groups.iter().map(|group| &**group);
    match names.find(|name| !groups().any(|group| group == *name)) {
        Some(name) => {
            Err(Fault { message: format!("invalid group '{name}'"), help: did_you_mean(name, groups()) })
        }
        None => Ok(()),
    }
}

/// What the flags of a line say.
#[derive(Debug, Default)]
struct Flags {
    /// `-i`
    ignore_case: bool,
    /// `-n`
    no_names: bool,
    /// `-M`
    is_map: bool,
    /// `-u`
    id: Option<u32>,
    /// `-m`
    forced: bool,
}

/// Criteria whose patterns are versions such as `3.1`.
const VERSIONS: [&str; 2] = ["req.ssl_ver", "req_ssl_ver"];

fn never_matches(criterion: &str) -> String {
    format!(
        "acl keyword '{criterion}': no pattern to match against were provided, so this ACL will never match"
    )
}

/// The number behind `-u`, which no other line may have.
fn take_id(text: &str, span: Span, context: &ParseContext<'_>) -> Result<u32, Fault> {
    let id = text.parse().map_err(|_| Fault::from("the argument of -u must be an integer".to_owned()))?;
    let mut taken = context.named.acl_ids.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match taken.insert(id, span) {
        // A line of a defaults section is read for every proxy that uses it.
        Some(other) if other != span || span == Span::NONE => Err("the id is already used".to_owned().into()),
        _ => Ok(id),
    }
}

/// The patterns of a line as the runtime API shows them: operators made ranges, hosts made addresses.
fn written(
    words: &[&str],
    kind: Kind,
    is_version: bool,
    no_names: bool,
    span: Span,
    context: &mut ParseContext<'_>,
) -> Result<Vec<String>, Fault> {
    let is_number = matches!(kind, Kind::Int | Kind::Len);
    let parse = if is_version { parse_version_range } else { parse_int_range };
    let mut operator = "eq";
    let mut patterns = Vec::with_capacity(words.len());
    for word in words {
        hint_at_mistake(word, span, context);
        if !is_number {
            let host = (kind == Kind::Ip && !no_names).then(|| address_of(word, context)).flatten();
            patterns.push(host.unwrap_or_else(|| (*word).to_owned()));
            continue;
        }
        if matches!(*word, "eq" | "ge" | "gt" | "le" | "lt") {
            operator = word;
            continue;
        }
        // What has a separator is a range, whatever stands before it.
        let is_range = word.contains([':', '-']);
        if operator == "eq" || is_range {
            let what = match (is_range, is_version) {
                (true, false) => "a valid number range",
                (false, false) => "a number",
                (true, true) => "a valid dotted number range",
                (false, true) => "a dotted number",
            };
            let (low, high) =
                parse(word.as_bytes()).ok_or_else(|| Fault::from(format!("'{word}' is not {what}")))?;
            patterns.push(if is_version { format!("{low}:{high}") } else { (*word).to_owned() });
            continue;
        }
        let number = parse(word.as_bytes())
            .map(|(number, _)| number)
            .ok_or_else(|| Fault::from(format!("'{word}' is neither a number nor a supported operator")))?;
        patterns.push(match operator {
            "ge" => format!("{number}:"),
            "gt" => format!("{}:", number.saturating_add(1)),
            "le" => format!(":{number}"),
            _ => format!(":{}", number.saturating_sub(1)),
        });
    }
    Ok(patterns)
}

/// A pattern with the address of its host, if it names one (manual, section 7.1.6).
fn address_of(word: &str, context: &ParseContext<'_>) -> Option<String> {
    let is_address = parse_ip_prefix(word.as_bytes()).is_some() || parse_masked_v4(word.as_bytes()).is_some();
    let (host, mask) = word.split_at(word.find('/').unwrap_or(word.len()));
    // Digits and dots alone are an address that went wrong; no resolver knows better.
    if is_address || host.contains(':') || !host.contains(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    Some(format!("{}{mask}", context.files.host(host)?))
}

/// Lets `-dD` point at patterns that were probably meant to be something else.
fn hint_at_mistake(word: &str, span: Span, context: &mut ParseContext<'_>) {
    let looks = match word {
        "&&" | "and" | "||" | "or" => {
            "looks like a failed attempt at using an operator inside a pattern list"
        }
        "#" | "//" => "looks like a failed attempt at commenting an end of line",
        _ => {
            let (name, _) = identifier(word, 0);
            if criterion(name).is_some() {
                "suspiciously looks like a known acl keyword"
            } else if !name.is_empty() && fetch::find(name).is_some() {
                "suspiciously looks like a known sample fetch keyword"
            } else {
                return;
            }
        }
    };
    context.report.push(Level::Diag, span, format!("pattern '{word}' {looks}"));
}

/// The set of a line's patterns, ready for its kind.
fn inline(
    patterns: &[String],
    kind: Kind,
    ignore_case: bool,
    span: Span,
    context: &mut ParseContext<'_>,
) -> Result<PatternSet, Fault> {
    let mut set = PatternSet::default();
    for pattern in patterns {
        set.add(&decode_raw(pattern.as_bytes()), b"").map_err(|bad| Fault::from(bad.0))?;
    }
    // A truth is its own test, and existence is enough: both ignore patterns.
    if !matches!(kind, Kind::Bool | Kind::Found) {
        set.prepare(kind, ignore_case).map_err(|bad| Fault::from(bad.0))?;
    }
    for regex in set.slow_regexes(kind, ignore_case) {
        context.name_if_slow(regex, span);
    }
    Ok(set)
}

/// The same patterns for the runtime API.
fn live(
    keyword: &str,
    patterns: &[String],
    set: &PatternSet,
    kind: Kind,
    flags: &Flags,
    span: Span,
    context: &ParseContext<'_>,
) -> Arc<LiveMap> {
    let (file, line) = context.place(span);
    let description = format!("acl '{keyword}' file '{file}' line {line}");
    let identity = format!("{description} {} {kind:?} {flags:?} {patterns:?}", span.start);
    context.registry.line_patterns(identity, || {
        LiveMap::of_line(flags.id, &description, set.clone(), kind, flags.ignore_case)
    })
}

/// The type that a kind compares.
fn cast_for(kind: Kind) -> Type {
    match (kind, kind.input()) {
        (Kind::Bin, _) => Type::Bin,
        (_, Input::Any) => Type::Any,
        (_, Input::Bool | Input::Int) => Type::Int,
        (_, Input::Ip) => Type::Ip,
        (_, Input::Bytes) => Type::Str,
    }
}

/// How values of a type are compared when nothing says otherwise.
fn default_kind(output: Type) -> Option<Kind> {
    match output {
        Type::Bool => Some(Kind::Bool),
        Type::Int => Some(Kind::Int),
        Type::Ip => Some(Kind::Ip),
        Type::Str | Type::Method => Some(Kind::Str),
        Type::Bin | Type::Any => None,
    }
}

/// The expression of a criterion, its keyword, and the kind that its suffix says.
fn parse_criterion(
    text: &str,
    span: Span,
    context: &mut ParseContext<'_>,
) -> Result<(Expr, String, Option<Kind>), Fault> {
    let (name, after) = identifier(text, 0);
    let (fetch_name, kind) = match criterion(name) {
        Some((fetch, kind)) => (fetch, Some(kind)),
        None => (name, None),
    };
    if name.is_empty() {
        return Err("missing fetch method".to_owned().into());
    }
    let row = fetch::find(fetch_name).ok_or_else(|| {
        let mut fault = unknown_fetch(name);
        let suffixed = || CRITERIA.iter().flat_map(|(c, _)| SUFFIXES.iter().map(move |s| format!("{c}_{s}")));
        let all: Vec<String> = fetch::names().map(str::to_owned).chain(suffixed()).collect();
        if fetch::why_absent(name).is_none() {
            fault.help = did_you_mean(name, all.iter().map(String::as_str)).or(fault.help);
        }
        fault
    })?;
    let (expr, end) = Expr::parse_from(row, text, after, span, context)?;
    if end < text.len() {
        return Err(expr.trailing(&text[end..]));
    }
    // A converter makes something else of the value: its type decides then.
    let kind = kind.filter(|_| !expr.has_converters());
    Ok((expr, name.to_owned(), kind))
}

#[cfg(test)]
mod tests;
