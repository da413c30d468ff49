//! The directives that describe checks: `option httpchk` and its kin, `http-check`, `tcp-check`.
//!
//! A backend gathers them in order; the last `option` decides which of the gathered rules count.

use std::sync::Arc;

use super::http_check::Request;
use super::parse::{self, Args};
use super::protocols::{self, MysqlClient};
use super::script::{Connect, Emit, Expect, Kind, Pattern, Port, Rule, Script, Step};
use super::{CheckSpec, ServerCheck};
use crate::diag::{Span, did_you_mean};
use crate::sample::ParseContext;

/// The `option`s that choose a kind of check, for the keyword tables.
pub const OPTIONS: &[&str] = &[
    "httpchk",
    "tcp-check",
    "smtpchk",
    "mysql-check",
    "pgsql-check",
    "redis-check",
    "ldap-check",
    "ssl-hello-chk",
];

/// One word after `http-check` or `tcp-check`; the keyword tables of `config` hold its documentation.
#[derive(Debug)]
pub struct Directive {
    /// The word.
    pub name: &'static str,
    /// Whether `http-check` has it.
    pub http: bool,
    /// Whether `tcp-check` has it.
    pub tcp: bool,
    parse: fn(&mut Args<'_, '_, '_>) -> Option<Parsed>,
}

/// What a directive gives.
enum Parsed {
    Step(Step, Option<Box<str>>),
    DisableOn404,
    SendState,
}

/// Every word after `http-check` and `tcp-check`.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "comment",
        http: true,
        tcp: true,
        parse: |args| {
            let text = args.argument("expects a string as argument")?;
            Some(Parsed::Step(Step::Comment, Some(text.into())))
        },
    },
    Directive {
        name: "connect",
        http: true,
        tcp: true,
        parse: |args| {
            parse::connect(args).map(|(connect, comment)| Parsed::Step(Step::Connect(connect), comment))
        },
    },
    Directive {
        name: "disable-on-404",
        http: true,
        tcp: false,
        parse: |args| args.end().map(|()| Parsed::DisableOn404),
    },
    Directive {
        name: "expect",
        http: true,
        tcp: true,
        parse: |args| {
            parse::expect(args).map(|(expect, comment)| Parsed::Step(Step::Expect(Box::new(expect)), comment))
        },
    },
    Directive {
        name: "send",
        http: true,
        tcp: true,
        parse: |args| {
            if args.is_http {
                let (request, comment) = parse::send_http(args)?;
                return Some(Parsed::Step(Step::Emit(Emit::Http(Box::new(request))), comment));
            }
            emit(args)
        },
    },
    Directive { name: "send-binary", http: false, tcp: true, parse: emit },
    Directive { name: "send-binary-lf", http: false, tcp: true, parse: emit },
    Directive { name: "send-lf", http: false, tcp: true, parse: emit },
    Directive {
        name: "send-state",
        http: true,
        tcp: false,
        parse: |args| args.end().map(|()| Parsed::SendState),
    },
    Directive {
        name: "set-var",
        http: true,
        tcp: true,
        parse: |args| parse::set_var(args).map(|step| Parsed::Step(step, None)),
    },
    Directive {
        name: "set-var-fmt",
        http: true,
        tcp: true,
        parse: |args| parse::set_var_format(args).map(|step| Parsed::Step(step, None)),
    },
    Directive {
        name: "unset-var",
        http: true,
        tcp: true,
        parse: |args| parse::unset_var(args).map(|step| Parsed::Step(step, None)),
    },
];

fn emit(args: &mut Args<'_, '_, '_>) -> Option<Parsed> {
    parse::send(args).map(|(emit, comment)| Parsed::Step(Step::Emit(emit), comment))
}

/// What the last `option` chose.
#[derive(Debug, Default)]
enum Chosen {
    #[default]
    Nothing,
    Tcp,
    Http,
    Protocol(Script),
}

/// The `http-check` lines of one section, with the request of its `option httpchk` among them.
#[derive(Debug, Default)]
struct HttpRules {
    rules: Vec<Rule>,
    disable_on_404: bool,
    send_state: bool,
}

/// The check directives of one proxy. A section's rules of a kind are one list, which its proxies use
/// as a whole or, once they have a rule or an `option` of that kind of their own, not at all.
#[derive(Debug, Default)]
pub struct CheckDirectives {
    chosen: Chosen,
    http: HttpRules,
    tcp: Vec<Rule>,
    /// The list of a defaults section that is in force, until the own one replaces it.
    inherited_http: Option<HttpRules>,
    inherited_tcp: Option<Vec<Rule>>,
    /// The request that `option httpchk` gave a replaced list.
    inherited_request: Option<Request>,
    /// Rules stand here whose `option` was not seen.
    http_unused: bool,
    tcp_unused: bool,
}

impl CheckDirectives {
    /// Everything so far came from a defaults section: of it, the list that is in force stays.
    pub fn inherited(&mut self) {
        let http = std::mem::take(&mut self.http);
        let tcp = std::mem::take(&mut self.tcp);
        let (kept_http, kept_tcp) = (self.inherited_http.take(), self.inherited_tcp.take());
        match self.chosen {
            Chosen::Http => self.inherited_http = Some(with_flags(kept_http, http)),
            Chosen::Tcp => self.inherited_tcp = Some(kept_tcp.unwrap_or(tcp)),
            Chosen::Nothing | Chosen::Protocol(_) => {}
        }
        (self.http_unused, self.tcp_unused) = (false, false);
    }

    /// `option httpchk ...`: `words` start with the option's name; `no` undoes it.
    pub fn option(&mut self, no: bool, words: &[&str], span: Span, context: &mut ParseContext<'_>) {
        let Some((&name, arguments)) = words.split_first() else { return };
        if no {
            context.report.alert(span, format!("negation/default is not supported for option '{name}'."));
            return;
        }
        let most = match name {
            "httpchk" => 4,
            "smtpchk" | "pgsql-check" => 2,
            "mysql-check" => 3,
            _ => 0,
        };
        if arguments.len() > most {
            let text = format!("'option {name}' cannot handle unexpected argument '{}'.", arguments[most]);
            context.report.alert(span, text);
            return;
        }
        match name {
            "httpchk" => {
                if let Some(request) = option_httpchk(arguments, span, context) {
                    self.chosen = Chosen::Http;
                    (self.inherited_http, self.inherited_request, self.http_unused) = (None, None, false);
                    add_request(&mut self.http.rules, request);
                }
            }
            "tcp-check" => {
                self.chosen = Chosen::Tcp;
                (self.inherited_tcp, self.tcp_unused) = (None, false);
            }
            "smtpchk" => {
                let greeting = match arguments {
                    ["EHLO" | "HELO", _] => arguments.join(" "),
                    _ => "HELO localhost".to_owned(),
                };
                self.chosen = Chosen::Protocol(protocols::smtp(&greeting));
            }
            "mysql-check" => {
                if let Some(user) = option_mysql(arguments, span, context) {
                    self.chosen = Chosen::Protocol(protocols::mysql(user));
                }
            }
            "pgsql-check" => match arguments {
                ["user", user] => self.chosen = Chosen::Protocol(protocols::pgsql(user)),
                [] | [_] => {
                    let text = "'option pgsql-check' expects 'user <username>' as argument.";
                    context.report.alert(span, text);
                }
                _ => {
                    let text = "'option pgsql-check' only supports optional values: 'user'.";
                    context.report.alert(span, text);
                }
            },
            "redis-check" => self.chosen = Chosen::Protocol(protocols::redis()),
            "ldap-check" => self.chosen = Chosen::Protocol(protocols::ldap()),
            "ssl-hello-chk" => self.chosen = Chosen::Protocol(protocols::ssl_hello()),
            _ => {
                let help = did_you_mean(name, OPTIONS.iter().copied());
                context.report.alert(span, format!("unknown option '{name}'.")).help = help;
            }
        }
    }

    /// `http-check ...`: `words` start after the keyword.
    pub fn http_check(&mut self, words: &[&str], span: Span, context: &mut ParseContext<'_>) {
        self.directive(true, words, span, context);
    }
    /// `tcp-check ...`: `words` start after the keyword.
    pub fn tcp_check(&mut self, words: &[&str], span: Span, context: &mut ParseContext<'_>) {
        self.directive(false, words, span, context);
    }

    fn directive(&mut self, http: bool, words: &[&str], span: Span, context: &mut ParseContext<'_>) {
        let keyword = if http { "http-check" } else { "tcp-check" };
        let word = words.first().copied().unwrap_or("");
        let name = word.split('(').next().unwrap_or(word);
        let mut known = DIRECTIVES.iter().filter(|row| if http { row.http } else { row.tcp });
        let Some(row) = known.clone().find(|row| row.name == name) else {
            let names: Vec<_> = known.clone().map(|row| format!("'{}'", row.name)).collect();
            let text = format!("'{keyword}' only supports {}. but got '{word}'.", names.join(", "));
            let help = did_you_mean(name, known.by_ref().map(|row| row.name));
            context.report.alert(span, text).help = help;
            return;
        };
        let rules = if http { &mut self.http.rules } else { &mut self.tcp };
        let mut args = Args::new(keyword, http, words, span, context, rules);
        let parsed = (row.parse)(&mut args);
        match parsed {
            None => {}
            Some(Parsed::DisableOn404) => self.http.disable_on_404 = true,
            Some(Parsed::SendState) => self.http.send_state = true,
            Some(Parsed::Step(step, comment)) => {
                let index = match rules.last() {
                    Some(last) if !last.is_from_option() => last.index + 1,
                    _ => 0,
                };
                let is_in_force = match self.chosen {
                    Chosen::Http => http,
                    Chosen::Tcp => !http,
                    Chosen::Nothing | Chosen::Protocol(_) => false,
                };
                // The order counts for a list in use only.
                if http
                    && is_in_force
                    && let Some(text) = out_of_order(rules, &step, index)
                {
                    let text = format!("'{keyword} {word}' : {text}.");
                    context.report.alert(span, text);
                    return;
                }
                let rule = Rule { index, comment, step };
                if !is_in_force {
                    *(if http { &mut self.http_unused } else { &mut self.tcp_unused }) = true;
                    rules.push(rule);
                } else if http {
                    self.http_unused = false;
                    if let Some(replaced) = self.inherited_http.take() {
                        self.inherited_request = replaced.rules.into_iter().find_map(Rule::into_request);
                    }
                    add_rule(&mut self.http.rules, rule);
                } else {
                    (self.inherited_tcp, self.tcp_unused) = (None, false);
                    rules.push(rule);
                }
            }
        }
    }

    /// Ends the gathering: checks what only the whole tells, and makes the script all servers of the
    /// backend share; `proxy` names it in messages.
    pub fn finish(mut self, proxy: &str, span: Span, context: &mut ParseContext<'_>) -> CheckScript {
        let mut ignored = |keyword: &str, option: &str| {
            let text =
                format!("{proxy} uses {keyword} rules without 'option {option}', so the rules are ignored.");
            context.report.warning(span, text);
        };
        if self.http_unused {
            ignored("http-check", "httpchk");
        }
        if self.tcp_unused {
            ignored("tcp-check", "tcp-check");
        }
        let mut script = match self.chosen {
            Chosen::Nothing => Script::default(),
            Chosen::Tcp => {
                Script { kind: Kind::Tcp, rules: self.inherited_tcp.unwrap_or(self.tcp), ..Script::default() }
            }
            Chosen::Http => {
                let mut http = with_flags(self.inherited_http, self.http);
                if let Some(request) = self.inherited_request.take()
                    && !http.rules.iter().any(|rule| matches!(rule.step, Step::Emit(_)))
                {
                    add_request(&mut http.rules, request);
                }
                Script {
                    kind: Kind::Http,
                    rules: http_rules(http.rules),
                    disable_on_404: http.disable_on_404,
                    send_state: http.send_state,
                }
            }
            Chosen::Protocol(script) => script,
        };
        complete(&mut script);
        CheckScript(Arc::new(script))
    }
}

/// The list in force: an inherited one gets what own lines without a rule add to it.
fn with_flags(inherited: Option<HttpRules>, own: HttpRules) -> HttpRules {
    match inherited {
        Some(list) => HttpRules {
            disable_on_404: list.disable_on_404 || own.disable_on_404,
            send_state: list.send_state || own.send_state,
            ..list
        },
        None => own,
    }
}

impl Rule {
    /// Whether it is the request of `option httpchk` that no `http-check send` completed.
    pub(super) fn is_from_option(&self) -> bool {
        matches!(&self.step, Step::Emit(Emit::Http(request)) if request.from_option)
    }
    /// The request it sends.
    fn into_request(self) -> Option<Request> {
        match self.step {
            Step::Emit(Emit::Http(request)) => Some(*request),
            _ => None,
        }
    }
}

/// What is wrong about a rule after those that came before, in `http-check`.
fn out_of_order(rules: &[Rule], step: &Step, index: usize) -> Option<String> {
    let last = rules.iter().rev().find(|rule| rule.step.is_io() && !rule.is_from_option())?;
    let (what, missing) = match (&last.step, step) {
        (Step::Emit(_) | Step::Expect(_), Step::Emit(_)) => ("send", "connect"),
        (Step::Connect(_), Step::Expect(_)) => ("expect", "send"),
        (Step::Connect(_) | Step::Emit(_), Step::Connect(_)) => ("connect", "expect"),
        _ => return None,
    };
    Some(format!("unable to add http-check {what} rule at step {} (missing {missing} rule)", index + 1))
}

/// Adds the request of `option httpchk` to a list: an explicit request that stands first takes over
/// what it says, the request of an earlier line gives way to it.
fn add_request(rules: &mut Vec<Rule>, mut request: Request) {
    request.from_option = true;
    let mut io = (0..rules.len()).filter(|at| rules[*at].step.is_io());
    let mut first = io.next();
    if first.is_some_and(|at| matches!(rules[at].step, Step::Connect(_))) {
        first = io.next();
    }
    if let Some(at) = first
        && let Step::Emit(Emit::Http(known)) = &mut rules[at].step
    {
        if !known.from_option {
            known.overwrite(request);
            return;
        }
        rules.remove(at);
    }
    let step = Step::Emit(Emit::Http(Box::new(request)));
    rules.insert(0, Rule { index: 0, comment: None, step });
}

/// Appends a rule; a request completes that of `option httpchk`, if this still waits for one.
fn add_rule(rules: &mut Vec<Rule>, mut rule: Rule) {
    if let Step::Emit(Emit::Http(request)) = &mut rule.step
        && let Some(first) = rules.iter().position(|rule| rule.step.is_io())
        && rules[first].is_from_option()
    {
        let option = rules.remove(first);
        // Messages count the two as one step, at the place of the first.
        rule.index = option.index;
        let mut made = option.into_request().unwrap_or_default();
        made.overwrite(std::mem::take(&mut **request));
        made.from_option = false;
        **request = made;
    }
    rules.push(rule);
}

/// Puts the request of `option httpchk` behind the first connect, and the expectation that goes
/// without saying at the end.
fn http_rules(mut rules: Vec<Rule>) -> Vec<Rule> {
    let mut io = (0..rules.len()).filter(|at| rules[*at].step.is_io());
    if let (Some(first), Some(next)) = (io.next(), io.next())
        && rules[first].is_from_option()
        && matches!(rules[next].step, Step::Connect(_))
    {
        let mut request = rules.remove(first);
        request.index = rules[next - 1].index + 1;
        rules.insert(next, request);
    }
    let last = rules.iter().rev().find(|rule| rule.step.is_io());
    if let Some(Rule { index, step: Step::Emit(_), .. }) = last {
        let index = index + 1;
        let step = Step::Expect(Box::new(Expect::new(Pattern::Status(vec![(200, 399)]))));
        rules.push(Rule { index, comment: None, step });
    }
    rules
}

/// What holds for every script: a connect first, comments on the steps they explain, chains of expects linked.
fn complete(script: &mut Script) {
    let first = script.rules.iter().find(|rule| rule.step.is_io());
    if !matches!(first, Some(Rule { step: Step::Connect(_), .. })) {
        let step = Step::Connect(Connect { implicit: true, default: true, ..Connect::default() });
        script.rules.insert(0, Rule { index: 0, comment: None, step });
    }
    spread_comments(&mut script.rules);
    let mut holds = true;
    for rule in script.rules.iter_mut().rev() {
        match &mut rule.step {
            Step::Connect(connect) => (connect.holds_ack, holds) = (holds, false),
            Step::Emit(_) => holds = true,
            Step::Expect(_) => holds = false,
            _ => {}
        }
    }
    // An expect that waits makes all of its chain from the first inverted one judge anew.
    let mut head = None;
    for (at, rule) in script.rules.iter_mut().enumerate() {
        match &mut rule.step {
            Step::Expect(expect) => {
                expect.head = head.unwrap_or(at);
                if expect.inverted {
                    head = head.or(Some(at));
                }
            }
            Step::Connect(_) | Step::Emit(_) => head = None,
            _ => {}
        }
    }
}

/// A comment goes to the steps of one kind that follow it, unless they have their own.
fn spread_comments(rules: &mut Vec<Rule>) {
    let mut comment: Option<Box<str>> = None;
    let mut of: Option<std::mem::Discriminant<Step>> = None;
    rules.retain_mut(|rule| {
        if matches!(rule.step, Step::Comment) {
            comment = rule.comment.take();
            of = None;
            return false;
        }
        let kind = std::mem::discriminant(&rule.step);
        if of.is_some_and(|of| of != kind) {
            comment = None;
        }
        of = Some(kind);
        if rule.step.is_io() && rule.comment.is_none() {
            rule.comment.clone_from(&comment);
        }
        if !matches!(rule.step, Step::Emit(_) | Step::Expect(_)) {
            comment = None;
        }
        true
    });
}

fn option_httpchk(arguments: &[&str], span: Span, context: &mut ParseContext<'_>) -> Option<Request> {
    let (method, uri, version, host) = match *arguments {
        [] => (None, None, None, None),
        [uri] => (None, Some(uri), None, None),
        [method, uri] => (Some(method), Some(uri), None, None),
        [method, uri, version] => (Some(method), Some(uri), Some(version), None),
        [method, uri, version, host, ..] => (Some(method), Some(uri), Some(version), Some(host)),
    };
    if version.is_some_and(|version| version.contains("\r\n")) {
        let text = "'option httpchk' : hiding headers or body at the end of the version string is unsupported.\
                    Use 'http-check send' directive instead.";
        context.report.alert(span, text);
        return None;
    }
    let mut fields = Vec::new();
    if let Some(host) = host {
        fields.push(("host".into(), parse::text(host, span, context)?));
    }
    Some(Request {
        method: method.map(Into::into),
        target: uri.map(|uri| super::script::Text::Literal(uri.as_bytes().to_vec())),
        version: version.map(Into::into),
        fields,
        body: None,
        from_option: true,
    })
}

#[allow(clippy::type_complexity)]
fn option_mysql<'w>(
    arguments: &[&'w str],
    span: Span,
    context: &mut ParseContext<'_>,
) -> Option<Option<(&'w str, MysqlClient)>> {
    let text = match *arguments {
        [] => return Some(None),
        ["user"] => "'option mysql-check user' expects <username> as argument.".to_owned(),
        ["user", user] | ["user", user, "post-41"] => return Some(Some((user, MysqlClient::Since41))),
        ["user", user, "pre-41"] => return Some(Some((user, MysqlClient::Before41))),
        ["user", user, "post-80"] => return Some(Some((user, MysqlClient::Since80))),
        ["user", _, other, ..] => {
            format!("keyword 'user' only supports 'post-41', 'pre-41' and 'post-80' (got '{other}').")
        }
        [other, ..] => {
            format!("'option mysql-check' only supports optional values: 'user' (got '{other}').")
        }
    };
    context.report.alert(span, text);
    None
}

/// The script that the servers of a backend share.
#[derive(Clone, Debug)]
pub struct CheckScript(Arc<Script>);

impl CheckScript {
    /// The check of one server.
    pub fn for_server(&self, server: ServerCheck) -> Arc<CheckSpec> {
        Arc::new(CheckSpec { server, script: self.0.clone() })
    }
    /// Whether a connection of it speaks TLS whatever the server line says.
    pub fn speaks_tls(&self) -> bool {
        self.0.rules.iter().any(|rule| matches!(&rule.step, Step::Connect(connect) if connect.tls))
    }
    /// What its first connection that says so offers by ALPN.
    pub fn tls_protocols(&self) -> Option<Arc<str>> {
        self.0.rules.iter().find_map(|rule| match &rule.step {
            Step::Connect(connect) => connect.tls_protocols.clone(),
            _ => None,
        })
    }
    /// Whether it speaks HTTP.
    pub fn is_http(&self) -> bool {
        self.0.kind == Kind::Http
    }
    /// What is wrong with it for a server that has neither a port of its own nor one for checks, if
    /// anything: every connection must then bring a port. The text goes behind `server 'name' has `.
    pub fn needs_port(&self) -> Option<&'static str> {
        let mut connects = self.0.rules.iter().filter_map(|rule| match &rule.step {
            Step::Connect(connect) => Some(connect),
            _ => None,
        });
        let has_port = |connect: &Connect| !matches!(connect.port, Port::Server);
        match connects.next() {
            Some(first) if first.implicit && self.0.rules.len() == 1 => {
                Some("neither service port nor check port.")
            }
            Some(first) if has_port(first) => (!connects.all(has_port)).then_some(
                "neither service port nor check port, and a tcp_check rule 'connect' with no port information.",
            ),
            _ => Some(
                "neither service port nor check port nor tcp_check rule 'connect' with port information.",
            ),
        }
    }
}

/// The agent check of one server (`agent-check`).
pub fn agent(server: ServerCheck) -> Arc<CheckSpec> {
    let mut script = protocols::agent(server.agent_send.as_deref());
    complete(&mut script);
    Arc::new(CheckSpec { server, script: Arc::new(script) })
}

#[cfg(test)]
mod tests {
    use super::super::script_for_tests as parse;

    #[test]
    fn mistakes_are_explained() {
        for (lines, expected) in [
            (
                &["http-check expekt status 200"][..],
                "'http-check' only supports 'comment', 'connect', 'disable-on-404',",
            ),
            (&["tcp-check expect"], "'tcp-check expect' : expects at least a matching pattern as arguments."),
            (
                &["tcp-check connect via-socks4"],
                "'tcp-check connect' : 'via-socks4' is not available in checks yet.",
            ),
            (&["tcp-check send-binary 5g"], "'tcp-check send-binary' : '5g' invalid binary string."),
            (
                &["tcp-check connect port 70000"],
                "'tcp-check connect' : expects a valid TCP port (from range 1 to 65535)",
            ),
            (
                &["http-check expect status 2xx"],
                "'http-check expect' : invalid character 'x' in the list of status codes.",
            ),
            (
                &["http-check expect status 300-200"],
                "'http-check expect' : invalid range of status codes '300-200'.",
            ),
            (&["tcp-check expect string a string b"], "'tcp-check expect' : only one pattern expected."),
            (
                &["tcp-check expect rstring ("],
                "'tcp-check expect' : regex '(' is invalid (error=missing closing parenthesis, erroffset=1).",
            ),
            (
                &["tcp-check expect ok-status L9OK string x"],
                "'tcp-check expect' : 'ok-status' only supports 'L4OK', 'L6OK', 'L7OK' or 'L7OKC' status (got 'L9OK').",
            ),
            (
                &["tcp-check set-var(txn.x) int(1)"],
                "'tcp-check set-var(txn.x)' : invalid variable name 'txn.x'.",
            ),
            (
                &["http-check set-var(check.x,ifst) int(1)"],
                "'http-check set-var(check.x,ifst)' : unknown condition \"ifst\".",
            ),
            (
                &["tcp-check send x", "tcp-check connect"],
                "'tcp-check connect' : first step MUST also be a 'connect'",
            ),
            (
                &["option httpchk", "http-check connect", "http-check expect string x"],
                "'http-check expect' : unable to add http-check expect rule at step 2 (missing send rule).",
            ),
            (
                &["option mysql-check user x pre-40"],
                "keyword 'user' only supports 'post-41', 'pre-41' and 'post-80' (got 'pre-40').",
            ),
            (&["option pgsql-check"], "'option pgsql-check' expects 'user <username>' as argument."),
            (&["option redis-check now"], "'option redis-check' cannot handle unexpected argument 'now'."),
            (
                &["http-check expect string x"],
                "backend 'be' uses http-check rules without 'option httpchk', so the rules are ignored.",
            ),
        ] {
            let (_, findings) = parse(lines);
            assert!(findings.iter().any(|found| found.starts_with(expected)), "{lines:?}: {findings:?}");
        }
    }

    #[test]
    fn comments_go_to_the_steps_they_explain() {
        let (script, findings) = parse(&[
            "option tcp-check",
            "tcp-check comment hello",
            "tcp-check send a",
            "tcp-check send b comment own",
            "tcp-check expect string x",
        ]);
        assert!(findings.is_empty(), "{findings:?}");
        let comments: Vec<_> = script.0.rules.iter().map(|rule| rule.comment.as_deref()).collect();
        assert_eq!(comments, [None, Some("hello"), Some("own"), None]);
        let indexes: Vec<_> = script.0.rules.iter().map(|rule| rule.index).collect();
        assert_eq!(indexes, [0, 1, 2, 3]);
    }

    #[test]
    fn own_rules_replace_inherited_ones() {
        let rules = |lines: &[&str]| parse(lines).0.0.rules.len();
        let base = ["option httpchk", "http-check expect status 200", "inherited"];
        // Connect, send, and one expect: the inherited one, or the own one.
        assert_eq!(rules(&base), 3);
        assert_eq!(rules(&[&base[..], &["http-check expect status 201"]].concat()), 3);
        assert_eq!(rules(&[&base[..2], &["http-check expect status 201"]].concat()), 4);
    }

    #[test]
    fn a_server_without_port_needs_one_in_every_connect() {
        for (lines, expected) in [
            (&[][..], Some("neither service port nor check port.")),
            (&["option tcp-check", "tcp-check connect port 1"], None),
            (
                &["option tcp-check", "tcp-check connect port 1", "tcp-check connect"],
                Some("neither service port nor check port, and"),
            ),
            (&["option smtpchk"], Some("neither service port nor check port nor")),
        ] {
            let found = parse(lines).0.needs_port();
            assert_eq!(found.is_some(), expected.is_some(), "{lines:?}");
            assert!(found.unwrap_or("").starts_with(expected.unwrap_or("")), "{found:?}");
        }
    }
}
