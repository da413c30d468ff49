//! ACLs: named or anonymous tests of an expression against patterns (manual, section 7.1). What joins
//! them by and, or, not is a [`Condition`].

use std::sync::{Arc, OnceLock};

pub use super::condition::Condition;

use super::conv::map;
use super::expr::{Expr, Fault, Named, ParseContext, Phase, identifier, unknown_fetch};
use super::facts::Context;
use super::fetch;
use super::userlist::UserList;
use super::value::{Type, Value};
use crate::base::text::decode_raw;
use crate::diag::{Report, Span, did_you_mean};
use crate::pattern::{Input, Kind, PatternSet, Subject};
use crate::state::Registry;
use crate::state::maps::LiveMap;

/// The named ACLs of one proxy; the same name twice means "or".
#[derive(Debug, Default)]
pub struct AclSet {
    list: Vec<Arc<Acl>>,
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
    /// Patterns written in the configuration.
    inline: PatternSet,
    /// Pattern files.
    files: Vec<Arc<LiveMap>>,
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
            }
            Ok(test) => match self.list.iter().find(|acl| *acl.name == **name) {
                Some(acl) => acl.push(test),
                None => self.list.push(Arc::new(Acl::new(name, test))),
            },
        }
    }
    /// The same ACLs in a set of their own, for an `acl` line that refers to those before it.
    pub fn share(&self) -> AclSet {
        AclSet { list: self.list.clone(), ..AclSet::default() }
    }
    /// The ACL called `name`, predefined ones included.
    pub fn get(&self, name: &str, registry: &Arc<Registry>) -> Option<Arc<Acl>> {
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
        let mut context = ParseContext {
            report: &mut report,
            registry,
            files: &NoFiles,
            phase: Phase::TcpRequestContent,
            proxy: None,
            acls: &none,
            named: &Named::default(),
        };
        let acl = Arc::new(Acl::new(name, Test::parse(words, Span::NONE, &mut context).ok()?));
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
        let untyped = |keyword: &str| {
            Fault::from(format!(
                "matching method must be specified first (using '-m') when using a sample fetch of this type ('{keyword}')"
            ))
        };
        let mut kind = suffix_kind.or(default_kind(expr.output()));
        let mut test = Test {
            kind: Kind::Found,
            expr,
            ignore_case: false,
            inline: PatternSet::default(),
            files: Vec::new(),
            groups_of: None,
        };
        let mut forced = false;
        while let Some((flag, after)) = rest.split_first().filter(|(word, _)| word.starts_with('-')) {
            rest = after;
            let mut argument = |what: &str| {
                let (word, after) =
                    rest.split_first().ok_or_else(|| Fault::from(format!("'{flag}' expects {what}")))?;
                rest = after;
                Ok::<&str, Fault>(word)
            };
            match *flag {
                "-i" => test.ignore_case = true,
                // Names are never resolved in patterns, so '-n' asks for what is done anyway.
                "-n" => (),
                // Without values to use, '-M' differs from a list only in what the file may hold.
                "-M" => (),
                "-u" => {
                    let id = argument("an id")?;
                    id.parse::<u32>()
                        .map_err(|_| Fault::from("the argument of -u must be an integer".to_owned()))?;
                }
                "-m" => {
                    let name = argument("a matching method")?;
                    if !test.files.is_empty() {
                        let message =
                            "'-m' must only be specified before patterns and files in parsing ACL expression";
                        return Err(message.to_owned().into());
                    }
                    if forced {
                        let message = "only one explicit matching method can be defined with '-m' parameter. \
                                       if migrating from an old version, just keep the last one";
                        return Err(message.to_owned().into());
                    }
                    let wanted = Kind::from_name(name).ok_or_else(|| Fault {
                        message: format!("unknown matching method '{name}' when parsing ACL expression"),
                        help: did_you_mean(name, Kind::NAMES.iter().map(|(name, _)| *name)),
                    })?;
                    if wanted != Kind::Found && !test.expr.output().casts_to(cast_for(wanted)) {
                        return Err(format!(
                            "matching method '{name}' cannot be used with fetch keyword '{keyword}'"
                        )
                        .into());
                    }
                    if suffix_kind.is_some_and(|own| own != Kind::Str && own != wanted) {
                        let message = format!(
                            "original matching method '{keyword}' was overwritten and will not be applied as expected."
                        );
                        context.report.warning(span, message);
                    }
                    kind = Some(wanted);
                    forced = true;
                }
                "-f" => {
                    let name = argument("a file name")?;
                    let kind = kind.ok_or_else(|| untyped(&keyword))?;
                    let is_map = words.contains(&"-M");
                    let file = map::load(name, is_map, context)?;
                    file.use_as(kind, test.ignore_case)
                        .map_err(|bad| Fault::from(format!("{} in file '{}'", bad.0, file.name)))?;
                    test.files.push(file);
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
        test.kind = kind.ok_or_else(|| untyped(&keyword))?;
        if test.expr.fetch_name() == "http_auth_group" && !test.expr.has_converters() && !forced {
            test.groups_of = test.expr.userlist().cloned();
        }
        test.patterns(rest)?;
        // A flag after `-f` has come to stay only now.
        for file in &test.files {
            file.use_as(test.kind, test.ignore_case).map_err(|bad| Fault::from(bad.0))?;
        }
        Ok(test)
    }

    /// Adds the patterns of the line; numbers may have an operator in front.
    fn patterns(&mut self, words: &[&str]) -> Result<(), Fault> {
        let is_number = matches!(self.kind, Kind::Int | Kind::Len);
        let mut operator = "eq";
        for word in words {
            if is_number && matches!(*word, "eq" | "ge" | "gt" | "le" | "lt") {
                operator = word;
                continue;
            }
            let mut pattern = match self.expr.fetch_name() {
                "req.ssl_ver" | "req_ssl_ver" if self.kind == Kind::Int && !self.expr.has_converters() => {
                    dotted_version(word)?
                }
                _ => (*word).to_owned(),
            };
            if is_number && operator != "eq" && !pattern.contains(':') {
                let n: i64 = pattern.parse().map_err(|_| {
                    Fault::from(format!("'{word}' is neither a number nor a supported operator"))
                })?;
                pattern = match operator {
                    "ge" => format!("{n}:"),
                    "gt" => format!("{}:", n.saturating_add(1)),
                    "le" => format!(":{n}"),
                    _ => format!(":{}", n.saturating_sub(1)),
                };
            }
            if self.kind == Kind::Bool {
                // A truth is its own test; HAProxy ignores patterns here.
                continue;
            }
            self.inline.add(&decode_raw(pattern.as_bytes()), b"").map_err(|bad| Fault::from(bad.0))?;
        }
        if !matches!(self.kind, Kind::Bool | Kind::Found) {
            self.inline.prepare(self.kind, self.ignore_case).map_err(|bad| match self.kind {
                Kind::Int | Kind::Len => Fault::from(format!("{} nor a supported operator", bad.0)),
                _ => Fault::from(bad.0),
            })?;
        }
        Ok(())
    }

    fn run(&self, context: &Context<'_>, is_final: bool) -> Truth {
        let is_final = is_final || context.txn.inspection_over;
        if self.expr.waits() {
            return if is_final { Truth::Yes } else { Truth::Unknown };
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
        let Some(value) = value.cast(cast_for(self.kind)) else { return false };
        let Some(subject) = map::subject(self.kind, &value) else { return false };
        if let Some(list) = &self.groups_of {
            let name = value.bytes().and_then(|name| std::str::from_utf8(name).ok());
            let Some(user) = name.and_then(|name| list.users.get(name)) else { return false };
            return user.groups.iter().any(|group| self.has(Subject::Bytes(group.as_bytes())));
        }
        self.has(subject)
    }

    /// Whether one of the patterns fits.
    fn has(&self, subject: Subject<'_>) -> bool {
        let inline =
            !self.inline.is_empty() && self.inline.find(self.kind, self.ignore_case, subject).is_some();
        inline
            || self.files.iter().any(|file| file.load().find(self.kind, self.ignore_case, subject).is_some())
    }
}

/// A version or a range of them, `3.1` or `3.1:3.3`, as the numbers that `req.ssl_ver` yields.
fn dotted_version(word: &str) -> Result<String, Fault> {
    let number = |version: &str| {
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        match (version, major.parse::<u16>(), minor.parse::<u16>()) {
            ("", ..) => Ok(String::new()),
            (_, Ok(major), Ok(minor)) => Ok((u32::from(major) << 16 | u32::from(minor)).to_string()),
            _ => Err(Fault::from(format!("'{word}' is not a dotted number, such as 3.1"))),
        }
    };
    match word.split_once([':', '-']) {
        Some((low, high)) => Ok(format!("{}:{}", number(low)?, number(high)?)),
        None => number(word),
    }
}

/// The type that a kind compares.
fn cast_for(kind: Kind) -> Type {
    match (kind, kind.input()) {
        (Kind::Bin, _) => Type::Bin,
        (_, Input::Any) => Type::Any,
        (_, Input::Bool) => Type::Bool,
        (_, Input::Int) => Type::Int,
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
    let (fetch_name, kind) = CRITERIA
        .iter()
        .find_map(|(criterion, fetch)| match name.strip_prefix(criterion)? {
            "" => Some((*fetch, Some(Kind::Str))),
            suffix => {
                let suffix = suffix.strip_prefix('_').filter(|suffix| SUFFIXES.contains(suffix))?;
                Some((*fetch, Kind::from_name(suffix)))
            }
        })
        .unwrap_or((name, None));
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
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::sample::testing::{World, told};
    use crate::sample::userlist::{Password, User};

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    /// Adds `acl` lines to a world; returns what was reported.
    fn add(world: &mut World, lines: &[&str]) -> Report {
        let mut all = Report::default();
        for line in lines {
            let mut acls = std::mem::take(&mut world.acls);
            let (_, report) =
                world.parsing(Phase::HttpRequest, |context| acls.add(&words(line), Span::NONE, context));
            all.diagnostics.extend(report.diagnostics);
            world.acls = acls;
        }
        all
    }

    fn condition(world: &World, text: &str, phase: Phase) -> (Option<Condition>, Report) {
        world.parsing(phase, |context| Condition::parse(&words(text), Span::NONE, context))
    }

    fn check(world: &World, cases: &[(&str, bool)]) {
        for (text, expected) in cases {
            let (condition, report) = condition(world, text, Phase::HttpRequest);
            let condition = condition.unwrap_or_else(|| panic!("{text}: {}", told(&report)));
            assert_eq!(condition.holds(&world.context()), *expected, "{text}");
        }
    }

    #[test]
    fn groups_of_users() {
        let user = |groups: &[&str]| User {
            password: Password::Plain("pw".into()),
            groups: groups.iter().map(|group| (*group).into()).collect(),
        };
        let users = HashMap::from([("ann".into(), user(&["admins", "ops"])), ("bob".into(), user(&[]))]);
        for (field, known, admin, name) in [
            ("Authorization: Basic YW5uOnB3", true, true, true), // ann:pw
            ("Authorization: basic   Ym9iOnB3", true, false, false), // bob:pw
            ("Authorization: Basic YW5uOmJhZA==", false, false, false), // ann:bad
            ("Authorization: Bearer YW5uOnB3", false, false, false),
            ("X-None: 1", false, false, false),
        ] {
            let mut world = World::request("GET / HTTP/1.1", &[field]).file("groups", "x\nadmins\n");
            let list = UserList { users: users.clone(), groups: Vec::new() };
            world.named.userlists.insert("users".to_owned(), Arc::new(list));
            check(
                &world,
                &[
                    ("if { http_auth(users) }", known),
                    ("if { http_auth_group(users) admins }", admin),
                    ("if { http_auth_group(users) -i x ADMINS }", admin),
                    ("if { http_auth_group(users) -f groups }", admin),
                    ("if { http_auth_group(users) -m str ann }", name),
                    ("if { http_auth_group(users) ann }", false),
                    ("if { http_auth_group(users) -m found }", known),
                ],
            );
        }
    }

    #[test]
    fn criteria_flags_and_operators() {
        let world = World::request(
            "GET /static/img/Logo.png?x=5 HTTP/1.1",
            &[
                "Host: www.Example.com:80",
                "X-Tag: one, two",
                "X-Region: North",
                "Content-Length: 12",
                "Cookie: a=b",
            ],
        )
        .file("hosts.lst", "# list\nexample.org\nwww.example.com:80\n")
        .file("nets.lst", "192.0.2.0/24\n10.0.0.0/8\n");
        check(
            &world,
            &[
                ("if { path_beg /static /api }", true),
                ("if { path_beg /stat }", true),
                ("if { path_beg /api }", false),
                ("if { path_end .png }", true),
                ("if { path_sub img }", true),
                ("if { path_dir img }", true),
                ("if { path_dir mg }", false),
                ("if { path_reg ^/static/.*\\.png$ }", true),
                ("if { path_len 20 }", true),
                ("if { path_len gt 20 }", false),
                ("if { path -i /STATIC/img/logo.PNG }", true),
                ("if { path -m beg /static }", true),
                ("if { hdr(host) -i www.example.com:80 }", true),
                ("if { hdr_dom(host) -i example.com }", true),
                ("if { hdr(x-tag) one }", true),
                ("if { hdr(x-tag) two }", true),
                ("if { hdr(x-tag) three }", false),
                ("if { req.header(X-Region) -i north }", true),
                ("if { hdr_cnt(x-tag) eq 2 }", true),
                ("if { hdr_cnt(x-tag) ge 3 }", false),
                ("if { hdr_val(content-length) lt 13 }", true),
                ("if { req.hdr_val(content-length) 10:12 }", true),
                ("if { hdr(absent) -m found }", false),
                ("if { hdr(x-tag) -m found }", true),
                ("if !{ hdr(absent) -m found }", true),
                ("if ! { hdr(absent) -m found }", true),
                ("unless { hdr(absent) -m found }", true),
                ("if { src 192.0.2.0/24 }", true),
                ("if { src -f nets.lst }", true),
                ("if { src 10.0.0.0/8 }", false),
                ("if { hdr(host) -i -f hosts.lst }", true),
                ("if { hdr(host) -f hosts.lst }", false),
                ("if { method GET }", true),
                ("if { method POST PUT }", false),
                ("if { urlp(x) 5 }", true),
                ("if { cook(a) b }", true),
                ("if { path,lower -m end .png }", true),
                ("if { path,length gt 5 }", true),
                ("if { always_true }", true),
                ("if { always_false } or { always_true }", true),
                ("if { always_true } { always_false }", false),
                ("if { always_true } { always_false } || METH_GET HTTP_1.1", true),
                ("if METH_POST", false),
                ("if LOCALHOST", false),
                ("if !LOCALHOST HTTP", true),
                ("if HTTP_URL_SLASH !HTTP_URL_ABS", true),
                ("if HTTP_CONTENT", true),
                ("if WAIT_END", true),
                ("unless WAIT_END", false),
                ("if { path -- -x }", false),
                ("if { path_beg }", false),
            ],
        );
    }

    #[test]
    fn the_same_name_twice_is_or() {
        let mut world = World::request("GET /b HTTP/1.1", &["Host: h"]);
        let report = add(&mut world, &["pages path_beg /a"]);
        assert_eq!(told(&report), "");
        let (early, _) = condition(&world, "if pages", Phase::HttpRequest);
        let early = early.unwrap();
        assert!(!early.holds(&world.context()));
        add(&mut world, &["pages path_beg /b", "local src 192.0.2.1"]);
        assert!(early.holds(&world.context()), "a line further down counts");
        assert_eq!(told(&add(&mut world, &["both acl(pages,local)"])), "");
        check(
            &world,
            &[
                ("if both", true),
                ("if pages", true),
                ("if !pages", false),
                ("if pages !local or local", true),
            ],
        );
        assert_eq!(world.acls.names().take(2).collect::<Vec<_>>(), ["pages", "local"]);
    }

    #[test]
    fn mistakes_are_told_in_known_words() {
        let mut world = World::default();
        for (line, message, help) in [
            (
                "is_north req.headr(X) -i North",
                "error detected while parsing ACL 'is_north' : unknown fetch method 'req.headr' in ACL expression \
                 'req.headr(X)'",
                "did you mean",
            ),
            ("a/b path /", "invalid character in ACL name : '/'", ""),
            ("x path_bge /", "unknown fetch method 'path_bge'", "path_beg"),
            ("x path -z /", "'-z' is not a valid ACL option", ""),
            ("x path -m begg /", "unknown matching method 'begg'", "beg"),
            ("x src -m beg 1", "", ""),
            ("x req.payload(0,1) a", "matching method must be specified first", ""),
            ("x hdr_cnt(a) ge x", "'x' is neither a number nor a supported operator", ""),
            ("x src 1.2.3.4.5", "'1.2.3.4.5' is not a valid IPv4 or IPv6 address", ""),
            ("x path_reg (", "regex '(' is invalid", ""),
            ("x path -f none.lst", "failed to open pattern file <none.lst>", ""),
            (
                "x always_true -m ip",
                "matching method 'ip' cannot be used with fetch keyword 'always_true'",
                "",
            ),
        ] {
            let report = add(&mut world, &[line]);
            let hint = report.diagnostics.first().and_then(|found| found.help.clone()).unwrap_or_default();
            assert!(told(&report).contains(message), "{line}: {}", told(&report));
            assert!(hint.contains(help), "{line}: {hint}");
        }
        add(&mut world, &["is_static path_beg /static"]);
        for (text, message, help) in [
            ("if is_statc", "no such ACL : 'is_statc'", "did you mean 'is_static'?"),
            ("if { path /", "missing closing '}' in condition", ""),
            ("when x", "conditions must start with either 'if' or 'unless'", ""),
            ("if", "a condition without any ACL", ""),
        ] {
            let (condition, report) = condition(&world, text, Phase::HttpRequest);
            let hint = report.diagnostics.first().and_then(|found| found.help.clone()).unwrap_or_default();
            assert!(condition.is_none() && told(&report).contains(message), "{text}: {}", told(&report));
            assert!(hint.contains(help), "{text}: {hint}");
        }
    }

    #[test]
    fn warns_of_what_never_matches() {
        let mut world = World::default();
        add(&mut world, &["answered status 200"]);
        for (text, phase, warning) in [
            ("if answered", Phase::HttpRequest, "acl 'answered' will never match"),
            ("if { res.hdr(x) -m found }", Phase::HttpRequest, "anonymous acl will never match"),
            ("if answered", Phase::HttpResponse, ""),
            ("if METH_GET", Phase::HttpResponse, ""),
        ] {
            let (condition, report) = condition(&world, text, phase);
            assert!(condition.is_some() && !report.has_alerts());
            assert_eq!(told(&report).contains("never match"), !warning.is_empty(), "{text}");
            assert!(told(&report).contains(warning));
        }
    }

    #[test]
    fn content_inspection_waits_for_what_may_come() {
        use Truth::*;
        let mut world = World::default();
        for (payload, over, cases) in [
            (&b""[..], false, [Unknown, Unknown, Unknown, Unknown, Yes, Unknown]),
            (b"ab", false, [Unknown, Unknown, Yes, Unknown, Yes, Unknown]),
            (b"abcd", false, [Yes, No, Yes, Unknown, Yes, Unknown]),
            (b"ab", true, [No, Yes, Yes, Yes, Yes, No]),
        ] {
            world.txn.request_payload = payload.to_vec();
            world.txn.inspection_over = over;
            let texts = [
                "if { req.payload(0,4) -m str abcd }",
                "unless { req.payload(0,4) -m str abcd }",
                "if REQ_CONTENT",
                "if WAIT_END",
                "if { src 192.0.2.1 } or { req.len 99 }",
                "if HTTP",
            ];
            for (text, expected) in texts.iter().zip(cases) {
                let (condition, report) = condition(&world, text, Phase::TcpRequestContent);
                let condition = condition.unwrap_or_else(|| panic!("{text}: {}", told(&report)));
                assert_eq!(condition.test(&world.context()), expected, "{text} of {payload:?}");
            }
        }
    }
}
