//! Runs a rule set.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::action::{Action, Delay, Number, PacketField, Side, Slot, TimeoutKind};
use super::normalize::Refused;
use super::reply::{Built, ReplySpec};
use super::rewrite::{self, Failed};
use super::{MapChange, MapOrder, Rule, RuleSet, Run, Verdict};
use crate::http::reply::Reply;
use crate::http::{Fields, Version, status};
use crate::sample::acl::Truth;
use crate::sample::facts::{self, Direction};
use crate::sample::value::Type;
use crate::sample::{Context, Expr, LogFormat, Value};
use crate::state::tracked::Event;
use crate::wire::dns::Name;

/// Runs `rules` from number `from` on.
///
/// A verdict other than the list's end leaves the file and line of its rule in the transaction.
pub fn run(rules: &[Rule], from: usize, run: &mut Run<'_>) -> Verdict {
    run.txn.waiting_rule = None;
    if from == 0 {
        // Every list starts strict (manual, section 4.4 `strict-mode`).
        run.effects.rewrites_may_fail = false;
    }
    for (number, rule) in rules.iter().enumerate().skip(from) {
        match holds(rule, run) {
            Truth::No => continue,
            Truth::Unknown => {
                run.txn.waiting_rule = Some((rule.file.clone(), rule.span.line));
                return Verdict::WaitData { rule: number };
            }
            Truth::Yes => {}
        }
        if let Some(verdict) = execute(rules, number, run) {
            let place = Some((rule.file.clone(), rule.span.line));
            match verdict.resumes() {
                true => run.txn.waiting_rule = place,
                false => run.txn.last_rule = place,
            }
            return verdict;
        }
    }
    Verdict::Continue
}

/// Whether a rule's condition holds. Only content inspection can wait for the answer; everywhere
/// else, and once no more bytes will come, what is not known does not hold.
fn holds(rule: &Rule, run: &Run<'_>) -> Truth {
    let Some(condition) = &rule.condition else { return Truth::Yes };
    let context = run.context();
    let waits = matches!(run.set, RuleSet::TcpContent | RuleSet::TcpResponse);
    if waits && !run.txn.inspection_over {
        return condition.test(&context);
    }
    if condition.holds(&context) { Truth::Yes } else { Truth::No }
}

impl Run<'_> {
    /// What expressions see.
    pub fn context(&self) -> Context<'_> {
        Context {
            session: Some(self.session),
            txn: self.txn,
            direction: self.set.direction(),
            now: self.now,
            process: self.process,
            check_vars: None,
        }
    }
    /// The fields that the list is about.
    fn fields(&mut self) -> &mut Fields {
        match self.set.direction() {
            Direction::Request => &mut self.txn.request.fields,
            Direction::Response => &mut self.txn.response.fields,
        }
    }
    /// Writes a format into the scratch buffer and hands it over with the run.
    fn with_text<T>(&mut self, format: &LogFormat, use_text: impl FnOnce(&mut Self, &[u8]) -> T) -> T {
        let mut text = std::mem::take(&mut self.effects.scratch);
        text.clear();
        format.write(&self.context(), false, &mut text);
        let result = use_text(self, &text);
        self.effects.scratch = text;
        result
    }
    /// Counts an event in every tracked entry.
    pub(super) fn count(&self, event: Event) {
        facts::count_tracked(self.session, self.txn, event, self.now.millis());
    }
    /// What an expression yields, kept beyond the transaction's borrow.
    pub(super) fn value(&self, expr: &Expr) -> Option<Value<'static>> {
        expr.eval(&self.context()).map(Value::into_owned)
    }
    /// A duration in milliseconds, unless its expression yields none.
    fn millis(&self, delay: &Delay) -> Option<u64> {
        match delay {
            Delay::Millis(millis) => Some(*millis),
            Delay::Expr(expr) => u64::try_from(self.value(expr)?.as_int()?).ok(),
        }
    }
    /// A number, unless its expression yields none that fits.
    fn number(&self, number: &Number) -> Option<u32> {
        match number {
            Number::Fixed(number) => Some(*number),
            Number::Expr(expr) => u32::try_from(self.value(expr)?.as_int()?).ok(),
        }
    }
    /// Counts a rewrite that failed; in strict mode it ends the transaction.
    fn after_rewrite(&mut self, result: Result<(), Failed>) -> Option<Verdict> {
        if result.is_ok() {
            return None;
        }
        self.effects.failed_rewrites += 1;
        (!self.effects.rewrites_may_fail).then_some(Verdict::Invalid)
    }
}

/// The most that `set-retries` may ask for (manual, section 4.4).
pub(super) const RETRIES_MAX: u32 = 100;
/// The furthest class of `set-priority-class` either way.
const CLASS_MAX: i64 = 2047;
/// The furthest offset of `set-priority-offset` either way.
const OFFSET_MAX_MS: i64 = 524_287;

impl Verdict {
    /// Whether the list goes on once the engine has done its part.
    fn resumes(&self) -> bool {
        matches!(
            self,
            Verdict::WaitData { .. }
                | Verdict::WaitBody { .. }
                | Verdict::Pause { .. }
                | Verdict::Resolve { .. }
                | Verdict::SendHints { .. }
                | Verdict::Log { .. }
        )
    }
}

/// Does what a rule says; a verdict ends the run.
fn execute(rules: &[Rule], number: usize, run: &mut Run<'_>) -> Option<Verdict> {
    let rule = &rules[number];
    let max = run.head_max;
    match &rule.action {
        Action::Allow => return Some(Verdict::Allow),
        Action::Reject => return Some(Verdict::Reject),
        Action::SilentDrop(rst_ttl) => return Some(Verdict::SilentDrop(*rst_ttl)),
        Action::SwitchToHttp => return Some(Verdict::SwitchToHttp),
        Action::CloseServer => {
            run.effects.close_server = true;
            return Some(Verdict::Allow);
        }
        Action::UseService(service) => return Some(Verdict::Service(*service)),
        Action::Deny(spec) => {
            let (status, reply) = refusal(spec, run);
            return Some(Verdict::Deny { status, reply });
        }
        Action::Tarpit(spec) => {
            let (status, reply) = refusal(spec, run);
            return Some(Verdict::Tarpit { status, reply });
        }
        Action::Return(spec) => {
            return Some(Verdict::Respond(match spec.build(&run.context()) {
                Built::Own(reply) => reply,
                Built::ErrorPage => {
                    run.effects.error_page = true;
                    Box::new(Reply::error(spec.status))
                }
            }));
        }
        Action::Redirect(redirect) => {
            let reply = redirect.reply(&run.context(), &run.txn.request)?;
            return Some(Verdict::Respond(Box::new(reply)));
        }
        Action::Auth(realm) => {
            run.count(Event::ClientError);
            return Some(Verdict::Unauthorized(realm.clone()));
        }
        Action::WaitForBody { time_ms, at_least } => {
            let is_complete = match run.set.direction() {
                Direction::Request => run.txn.body_complete,
                Direction::Response => run.txn.response_body_complete,
            };
            if is_complete {
                return None;
            }
            return Some(Verdict::WaitBody { rule: number + 1, at_least: *at_least, timeout_ms: *time_ms });
        }
        Action::AddHeader(name, format) => {
            let result = run.with_text(format, |run, text| rewrite::add(run.fields(), name, text, max));
            return run.after_rewrite(result);
        }
        Action::SetHeader(name, format) => {
            let result = run.with_text(format, |run, text| rewrite::set(run.fields(), name, text, max));
            if run.set == RuleSet::HttpRequest && name.eq_ignore_ascii_case(b"host") {
                rewrite::follow_host(&mut run.txn.request);
            }
            return run.after_rewrite(result);
        }
        Action::DelHeader(names) => rewrite::remove(run.fields(), names),
        Action::ReplaceHeader(name, regex, format) | Action::ReplaceValue(name, regex, format) => {
            let by_element = matches!(rule.action, Action::ReplaceValue(..));
            let result = run.with_text(format, |run, text| {
                rewrite::replace_values(run.fields(), name, regex, text, by_element, max)
            });
            return run.after_rewrite(result);
        }
        Action::SetTarget(part, format) => {
            let result = run
                .with_text(format, |run, text| rewrite::set_target(&mut run.txn.request, *part, text, max));
            return run.after_rewrite(result);
        }
        Action::ReplaceTarget(part, regex, format) => {
            let result = run.with_text(format, |run, text| {
                rewrite::replace_target(&mut run.txn.request, *part, regex, text, max)
            });
            return run.after_rewrite(result);
        }
        Action::SetStatus(code, reason) => {
            let reason = reason.as_deref().unwrap_or_else(|| status::reason(*code));
            let result = rewrite::set_status(&mut run.txn.response, *code, reason.as_bytes(), max);
            return run.after_rewrite(result);
        }
        Action::StrictMode(is_strict) => run.effects.rewrites_may_fail = !is_strict,
        Action::DisableRetry => run.effects.no_l7_retry = true,
        Action::SetLogLevel(level) => run.txn.log_level = Some(*level),
        Action::SetNice | Action::WaitForHandshake => {}
        Action::Log => return Some(Verdict::Log { rule: number + 1 }),
        Action::Pause(delay) => {
            let time_ms = run.millis(delay).filter(|millis| *millis > 0)?;
            return Some(Verdict::Pause { rule: number + 1, time_ms });
        }
        Action::Resolve(ask) => {
            // What is no host name is not asked for.
            let text = run.value(&ask.name).and_then(|value| value.cast(Type::Str));
            let name = match &text {
                Some(Value::Str(text)) => Name::parse(std::str::from_utf8(text).ok()?).ok()?,
                _ => return None,
            };
            return Some(Verdict::Resolve { rule: number + 1, ask: ask.clone(), name });
        }
        Action::EarlyHint(name, format) => {
            // RFC 9110 section 15.2: HTTP/1.0 has no interim responses.
            if run.txn.request.version == Version::Http10 {
                return None;
            }
            // A hint that does not fit is no rewrite that may fail.
            if run
                .with_text(format, |run, text| rewrite::add(&mut run.effects.early_hints, name, text, max))
                .is_err()
            {
                run.effects.early_hints.clear();
                return Some(Verdict::Invalid);
            }
            // Hints that surely follow go into the same response.
            let follows = rules
                .get(number + 1)
                .is_some_and(|next| matches!(next.action, Action::EarlyHint(..)) && next.condition.is_none());
            return (!follows).then_some(Verdict::SendHints { rule: number + 1 });
        }
        Action::NormalizeUri(normalizer) => {
            return match normalizer.apply(&mut run.txn.request, max) {
                Ok(()) => None,
                Err(Refused::Malformed) => Some(Verdict::BadRequest),
                Err(Refused::Failed) => run.after_rewrite(Err(Failed)),
            };
        }
        Action::ChangeFields(expr, change) => {
            let Some(Value::Bin(list)) = run.value(expr).and_then(|value| value.cast(Type::Bin)) else {
                return None;
            };
            let result = change.apply(&list, run.fields(), max);
            return run.after_rewrite(result);
        }
        Action::SetRetries(number) => {
            run.effects.retries =
                run.number(number).filter(|count| *count <= RETRIES_MAX).or(run.effects.retries);
            run.txn.timeouts.retries = run.effects.retries;
        }
        Action::SetPriorityClass(expr) => {
            if let Some(class) = run.value(expr).and_then(|value| value.as_int()) {
                run.effects.priority.class = class.clamp(-CLASS_MAX, CLASS_MAX) as i16;
            }
        }
        Action::SetPriorityOffset(expr) => {
            if let Some(offset) = run.value(expr).and_then(|value| value.as_int()) {
                run.effects.priority.offset_ms = offset.clamp(-OFFSET_MAX_MS, OFFSET_MAX_MS) as i32;
            }
        }
        Action::SetPacketField(side, field, number) => {
            let value = run.number(number)?;
            let fields = match side {
                Side::Client => &mut run.effects.client_packets,
                Side::Server => &mut run.effects.server_packets,
            };
            match field {
                PacketField::Mark => fields.mark = Some(value),
                PacketField::Tos => fields.tos = Some(value as u8),
            }
        }
        Action::Track(track) => return track.run(number, run),
        Action::ChangeCounter(number, change) => change.run(*number, run),
        Action::ExpectProxy => run.effects.expects_proxy_header = true,
        Action::SetVar(name, tests, expr) => {
            if let Some(value) = run.value(expr) {
                name.set_if(tests, &run.context(), value);
            }
        }
        Action::SetVarFormat(name, tests, format) => run.with_text(format, |run, text| {
            name.set_if(tests, &run.context(), Value::Str(text.into()));
        }),
        Action::UnsetVar(name) => {
            name.unset(&run.context());
        }
        Action::Capture(expr, slot) => {
            if run.set == RuleSet::TcpContent && !run.txn.inspection_over {
                let context = run.context();
                let is_present = expr.eval(&context).is_some();
                if expr.may_change(&context, is_present) {
                    return Some(Verdict::WaitData { rule: number });
                }
            }
            capture(expr, *slot, run);
        }
        Action::SetTimeout(kind, delay) => set_timeout(*kind, delay, run),
        Action::SetSource(expr) => {
            if let Some(address) = run.value(expr).and_then(|value| value.as_ip()) {
                change_address(run, End::Source, |old| SocketAddr::new(address, old.port()));
            }
        }
        Action::SetDestination(expr) => {
            if let Some(address) = run.value(expr).and_then(|value| value.as_ip()) {
                change_address(run, End::Destination, |old| SocketAddr::new(address, old.port()));
            }
        }
        Action::SetSourcePort(expr) | Action::SetDestinationPort(expr) => {
            let port = run.value(expr).and_then(|value| value.as_int());
            if let Some(port) = port.and_then(|port| u16::try_from(port).ok()) {
                let is_source = matches!(rule.action, Action::SetSourcePort(_));
                let end = if is_source { End::Source } else { End::Destination };
                change_address(run, end, |old| SocketAddr::new(old.ip(), port));
            }
        }
        Action::ChangeMap(file, change, key, value) => {
            let mut order =
                MapOrder { file: file.clone(), change: *change, key: Box::default(), value: Box::default() };
            run.with_text(key, |_, text| order.key = text.into());
            if let (MapChange::Set, Some(value)) = (change, value) {
                run.with_text(value, |_, text| order.value = text.into());
            }
            run.effects.map_orders.push(order);
        }
    }
    None
}

/// The status of a refusal, and its reply unless the proxy's page is meant.
fn refusal(spec: &ReplySpec, run: &Run<'_>) -> (u16, Option<Box<Reply>>) {
    match spec.build(&run.context()) {
        Built::ErrorPage => (spec.status, None),
        Built::Own(reply) => (spec.status, Some(reply)),
    }
}

/// Keeps a value in a slot, cut to the slot's size. A slot that this frontend has not is passed over.
fn capture(expr: &Expr, slot: Slot, run: &mut Run<'_>) {
    let (number, len) = match slot {
        Slot::New { number, len } => (number, Some(len)),
        Slot::Declared(number) => (Some(number), None),
    };
    let Some(number) = number else { return };
    let Some(value) = run.value(expr) else { return };
    let mut text = Vec::new();
    value.write(&mut text);
    let txn = &mut *run.txn;
    txn.settle_captures();
    let (slots, sizes) = match run.set.direction() {
        Direction::Request => (&mut txn.request_captures, &txn.request_capture_sizes),
        Direction::Response => (&mut txn.response_captures, &txn.response_capture_sizes),
    };
    let (Some(slot), Some(len)) = (slots.get_mut(number), len.or_else(|| sizes.get(number).copied())) else {
        return;
    };
    text.truncate(len);
    *slot = Some(text.into());
}

fn set_timeout(kind: TimeoutKind, delay: &Delay, run: &mut Run<'_>) {
    let millis = run.millis(delay);
    // A time-out of nothing would end the session at once; HAProxy keeps the old one too.
    let Some(millis) = millis.filter(|millis| *millis > 0) else { return };
    let effects = &mut *run.effects;
    let slot = match kind {
        TimeoutKind::Client => &mut effects.client_timeout_ms,
        TimeoutKind::Connect => &mut effects.connect_timeout_ms,
        TimeoutKind::Queue => &mut effects.queue_timeout_ms,
        TimeoutKind::Server => &mut effects.server_timeout_ms,
        TimeoutKind::Tarpit => &mut effects.tarpit_timeout_ms,
        TimeoutKind::Tunnel => &mut effects.tunnel_timeout_ms,
    };
    *slot = Some(millis);
    let timeouts = &mut run.txn.timeouts;
    let slot = match kind {
        TimeoutKind::Client => &mut timeouts.client_ms,
        TimeoutKind::Connect => &mut timeouts.connect_ms,
        TimeoutKind::Queue => &mut timeouts.queue_ms,
        TimeoutKind::Server => &mut timeouts.server_ms,
        TimeoutKind::Tarpit => &mut timeouts.tarpit_ms,
        TimeoutKind::Tunnel => &mut timeouts.tunnel_ms,
    };
    *slot = Some(millis);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

/// Changes an address as later rules, logs and servers see it.
///
/// A connection's rules change what the connection itself shows, a session's what all its
/// transactions start from, and a transaction's only what this one sees.
fn change_address(run: &mut Run<'_>, end: End, change: impl Fn(SocketAddr) -> SocketAddr) {
    const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    if matches!(run.set, RuleSet::TcpContent | RuleSet::HttpRequest) {
        let before = (run.session.source, run.session.destination);
        run.txn.session_addresses.get_or_insert(before);
    }
    let session = &mut *run.session;
    if run.set == RuleSet::TcpSession {
        session.own_connection();
    }
    let slot = match end {
        End::Source => &mut session.source,
        End::Destination => &mut session.destination,
    };
    *slot = Some(change(slot.unwrap_or(NOWHERE)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{self, Bench};
    use RuleSet::*;

    fn header(bench: &Bench, name: &str) -> Option<String> {
        let value = bench.txn.request.fields.first(name.as_bytes());
        value.map(|value| String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn request_fields_are_edited_in_order() {
        for (rules, expected) in [
            (&["set-header X-Path %[path]"][..], &["Host: h", "X-A: 1, 2", "X-Path: /p"][..]),
            (&["add-header X-A 3"], &["Host: h", "X-A: 1, 2", "X-A: 3"]),
            (&["set-header x-a 3"], &["Host: h", "x-a: 3"]),
            (&["set-header X-A '%[req.fhdr(x-a)], 3'"], &["Host: h", "X-A: 1, 2, 3"]),
            (&["del-header x- -m beg"], &["Host: h"]),
            (&["del-header X-a"], &["Host: h"]),
            (&["replace-header X-A (.*) [\\1]"], &["Host: h", "X-A: [1, 2]"]),
            (&["replace-value X-A (.*) [\\1]"], &["Host: h", "X-A: [1],[2]"]),
            (
                &["set-header X-B 1 if { path /p }", "set-header X-C 1 unless { path /p }"],
                &["Host: h", "X-A: 1, 2", "X-B: 1"],
            ),
            (&["allow if { path /p }", "set-header X-B 1"], &["Host: h", "X-A: 1, 2"]),
        ] {
            let mut bench = Bench::get("/p?q=1", &[("Host", "h"), ("X-A", "1, 2")]);
            bench.run(HttpRequest, rules);
            assert_eq!(bench.request_lines(), expected, "{rules:?}");
        }
    }

    #[test]
    fn targets_follow_the_rules() {
        // The rules of a published scenario: path, then pattern, then query.
        let rules = [
            "set-path /fe%[path]",
            "replace-path (.*) /foo\\1",
            "replace-path (.*) \\1/bar",
            "set-pathq %[path]?app=regtest&%[query]",
            "replace-pathq /([^?]*)\\?app=([^&]*)&?(.*) /\\2/\\1?\\3",
        ];
        for (before, after) in [
            ("/req1?a=1&b=2", "/regtest/foo/fe/req1/bar?a=1&b=2"),
            ("http://127.0.0.1/req2?a=1", "http://127.0.0.1/regtest/foo/fe/req2/bar?a=1"),
        ] {
            let mut bench = Bench::get(before, &[]);
            bench.run(HttpRequest, &rules);
            assert_eq!(String::from_utf8_lossy(bench.txn.request.target()), after);
        }
    }

    #[test]
    fn verdicts_and_the_rule_that_gave_them() {
        let check = |set, rules: &[&str], expected: &str, line: Option<u32>| {
            let mut bench = Bench::get("/p", &[]).respond(200, &[]);
            let verdict = match bench.run(set, rules) {
                Verdict::Respond(reply) => format!("respond {}", reply.status),
                Verdict::Deny { status, reply } => format!("deny {status} {}", reply.is_some()),
                Verdict::Tarpit { status, reply } => format!("tarpit {status} {}", reply.is_some()),
                other => format!("{other:?}"),
            };
            assert_eq!(verdict, expected, "{rules:?}");
            let place = bench.txn.last_rule.map(|(file, line)| (file.to_string(), line));
            assert_eq!(place, line.map(|line| ("test.cfg".to_owned(), line)), "{rules:?}");
        };
        check(HttpRequest, &[], "Continue", None);
        check(HttpRequest, &["set-header a b", "deny if { path /p }"], "deny 403 false", Some(2));
        check(HttpRequest, &["deny if { path /x }"], "Continue", None);
        check(HttpRequest, &["deny deny_status 429"], "deny 429 false", Some(1));
        check(HttpRequest, &["deny status 429"], "deny 429 true", Some(1));
        check(HttpRequest, &["deny status 400 content-type text/plain string no"], "deny 400 true", Some(1));
        check(HttpRequest, &["tarpit"], "tarpit 500 false", Some(1));
        check(HttpRequest, &["tarpit deny_status 403"], "tarpit 403 false", Some(1));
        check(HttpRequest, &["return"], "respond 200", Some(1));
        check(HttpRequest, &["return status 403"], "respond 403", Some(1));
        check(HttpRequest, &["auth"], "Unauthorized(\"web\")", Some(1));
        check(HttpRequest, &["redirect location /"], "respond 302", Some(1));
        check(HttpRequest, &["redirect location %[str()] ignore-empty", "allow"], "Allow", Some(2));
        check(HttpRequest, &["reject"], "Reject", Some(1));
        check(HttpRequest, &["silent-drop"], "SilentDrop(None)", Some(1));
        check(HttpResponse, &["silent-drop rst-ttl 3"], "SilentDrop(Some(3))", Some(1));
        check(HttpRequest, &["pause 20ms", "deny"], "Pause { rule: 1, time_ms: 20 }", None);
        check(HttpRequest, &["pause int(0)", "pause int(-1)", "allow"], "Allow", Some(3));
        check(HttpRequest, &["do-log if { path /p }"], "Log { rule: 1 }", None);
        check(TcpContent, &["switch-mode http"], "SwitchToHttp", Some(1));
        check(
            HttpRequest,
            &["wait-for-handshake", "normalize-uri percent-to-uppercase strict"],
            "Continue",
            None,
        );
        check(
            HttpResponse,
            &["wait-for-body time 1s"],
            "WaitBody { rule: 1, at_least: 0, timeout_ms: 1000 }",
            None,
        );
        check(
            HttpRequest,
            &["wait-for-body time 1s at-least 2k"],
            "WaitBody { rule: 1, at_least: 2048, timeout_ms: 1000 }",
            None,
        );
        check(HttpResponse, &["deny"], "deny 502 false", Some(1));
        check(HttpResponse, &["allow"], "Allow", Some(1));
        check(TcpConnection, &["reject if { src 192.0.2.0/24 }"], "Reject", Some(1));
        check(TcpConnection, &["accept", "reject"], "Allow", Some(1));
        check(TcpResponse, &["close"], "Allow", Some(1));
    }

    #[test]
    fn replies_are_built() {
        let check = |rule: &str, status, fields: &[(&str, &str)], body: &str| {
            let mut bench = Bench::get("/p", &[]);
            let Verdict::Respond(reply) = bench.run(HttpRequest, &[rule]) else { panic!("{rule}") };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let found: Vec<_> = reply.fields.iter().map(|(name, value)| (text(name), text(value))).collect();
            let expected: Vec<_> = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(
                (reply.status, found, text(&reply.body)),
                (status, expected, body.to_owned()),
                "{rule}"
            );
        };
        check("return hdr X-Url %[url]", 200, &[("X-Url", "/p")], "");
        check("return content-type text/plain string hello", 200, &[("content-type", "text/plain")], "hello");
        check(
            "return content-type text/plain lf-string 'path is %[path]'",
            200,
            &[("content-type", "text/plain")],
            "path is /p",
        );
        check(
            "return content-type text/plain lf-file /text",
            200,
            &[("content-type", "text/plain")],
            "path is /p\n",
        );
        check(
            "return content-type text/plain file /text",
            200,
            &[("content-type", "text/plain")],
            "path is %[path]\n",
        );
        check("return file /empty hdr A b", 200, &[("A", "b")], "");
        let mut bench = Bench::get("/p", &[]);
        let Verdict::Respond(reply) = bench.run(HttpRequest, &["return status 403 errorfile /page"]) else {
            panic!("a reply")
        };
        assert_eq!(reply.raw.as_deref(), Some(&b"HTTP/1.1 403 No\r\n\r\n"[..]));
        assert!(!bench.effects.error_page);
        bench.run(HttpRequest, &["return status 403 default-errorfiles"]);
        assert!(bench.effects.error_page);
    }

    #[test]
    fn content_rules_wait_for_bytes() {
        let rules = [
            testing::rule(TcpContent, "accept if { req.len gt 3 }", 1),
            testing::rule(TcpContent, "reject", 2),
        ];
        let mut bench = Bench::get("/", &[]);
        bench.txn.has_request = false;
        bench.session.is_http = false;
        assert!(matches!(bench.run_from(TcpContent, &rules, 0), Verdict::WaitData { rule: 0 }));
        assert_eq!(bench.txn.waiting_rule.as_ref().map(|(_, line)| *line), Some(1));
        bench.txn.request_payload = b"abcd".to_vec();
        assert!(matches!(bench.run_from(TcpContent, &rules, 0), Verdict::Allow));
        bench.txn.request_payload.truncate(2);
        bench.txn.inspection_over = true;
        assert!(matches!(bench.run_from(TcpContent, &rules, 0), Verdict::Reject));
    }

    #[test]
    fn a_wait_resumes_behind_itself() {
        let rules = [
            testing::rule(HttpRequest, "wait-for-body time 1s", 1),
            testing::rule(HttpRequest, "set-header X-Len %[req.body_len]", 2),
        ];
        let mut bench = Bench::get("/", &[]);
        let Verdict::WaitBody { rule, .. } = bench.run_from(HttpRequest, &rules, 0) else { panic!("a wait") };
        bench.txn.body = b"abc".to_vec();
        bench.txn.body_complete = true;
        assert!(matches!(bench.run_from(HttpRequest, &rules, rule), Verdict::Continue));
        assert_eq!(header(&bench, "x-len").as_deref(), Some("3"));
        assert!(matches!(bench.run_from(HttpRequest, &rules, 0), Verdict::Continue), "nothing to wait for");
    }

    #[test]
    fn failed_rewrites_count_and_end_strict_lists() {
        let mut bench = Bench::get("/", &[]);
        bench.head_max = 30;
        let long = "set-header X-Long 0123456789012345678901234567890123456789";
        assert!(matches!(bench.run(HttpRequest, &[long]), Verdict::Invalid));
        assert_eq!(bench.effects.failed_rewrites, 1);
        assert!(matches!(bench.run(HttpRequest, &["strict-mode off", long]), Verdict::Continue));
        assert_eq!(bench.effects.failed_rewrites, 2);
        assert_eq!(header(&bench, "x-long"), None);
        assert!(matches!(bench.run(HttpRequest, &[long]), Verdict::Invalid), "each list starts strict");
    }

    #[test]
    fn every_kind_of_rewrite_can_fail() {
        let long = "0123456789".repeat(10);
        let request = [
            "set-header X @",
            "add-header X @",
            "replace-header Own ^.*$ @",
            "replace-value Own ^.*$ @",
            "set-path /@",
            "set-pathq /@",
            "set-query @",
            "set-uri /@",
            "set-method @",
            "replace-path ^.*$ /@",
            "replace-pathq ^.*$ /@",
            "replace-uri ^.*$ /@",
        ];
        let response = [
            "set-header X @",
            "add-header X @",
            "replace-header Own ^.*$ @",
            "replace-value Own ^.*$ @",
            "set-status 200 reason @",
        ];
        for (set, rules) in
            [(HttpRequest, &request[..]), (HttpResponse, &response[..]), (HttpAfterResponse, &response[..])]
        {
            for rule in rules {
                let rule = rule.replace('@', &long);
                let mut bench = Bench::get("/", &[("Own", "a")]);
                bench.txn.response.set_status(200, b"OK");
                bench.txn.response.fields.append(b"Own", b"a");
                bench.head_max = 60;
                assert!(matches!(bench.run(set, &[&rule]), Verdict::Invalid), "{set:?} {rule}");
                assert_eq!(bench.effects.failed_rewrites, 1, "{set:?} {rule}");
                let softly = bench.run(set, &["strict-mode off", &rule]);
                assert!(matches!(softly, Verdict::Continue), "{set:?} {rule}");
                assert_eq!(bench.effects.failed_rewrites, 2, "{set:?} {rule}");
                let unchanged = [(&bench.txn.request.fields, "own"), (&bench.txn.response.fields, "own")];
                assert!(unchanged.iter().all(|(fields, name)| fields.first(name.as_bytes()) == Some(b"a")));
                assert_eq!(
                    (bench.txn.request.target(), bench.txn.response.reason()),
                    (&b"/"[..], &b"OK"[..])
                );
            }
        }
        let mut bench = Bench::get("/", &[]);
        bench.head_max = 60;
        let hint = format!("early-hint Link {long}");
        assert!(matches!(bench.run(HttpRequest, &["strict-mode off", &hint]), Verdict::Invalid));
    }

    #[test]
    fn variables_are_set_under_conditions() {
        for (rules, expected) in [
            (&["set-var(txn.rv) str(a)"][..], "a"),
            (&["set-var-fmt(txn.rv) %[path]!"], "/p!"),
            (&["set-var(txn.rv) str(a)", "set-var(txn.rv,ifnotexists) str(b)"], "a"),
            (&["set-var(txn.rv,ifexists) str(a)"], ""),
            (&["set-var(txn.rv) str(a)", "set-var(txn.rv,ifnotempty) str()"], "a"),
            (&["set-var(txn.rv) int(5)", "set-var(txn.rv,ifgt) int(4)"], "4"),
            (&["set-var(txn.rv) int(5)", "set-var(txn.rv,iflt) int(4)"], "5"),
            (&["set-var(txn.rv) str(a)", "unset-var(txn.rv)"], ""),
        ] {
            let mut bench = Bench::get("/p", &[]);
            bench.run(HttpRequest, rules);
            bench.run(HttpRequest, &["set-header V %[var(txn.rv)]"]);
            assert_eq!(header(&bench, "v").as_deref(), Some(expected), "{rules:?}");
        }
    }

    #[test]
    fn addresses_change_for_the_transaction() {
        let mut bench = Bench::get("/", &[("x-src", "10.0.0.1")]);
        let before = (bench.session.source, bench.session.destination);
        bench.run(
            HttpRequest,
            &[
                "set-src hdr(x-src)",
                "set-src-port int(7)",
                "set-dst ipv4(10.0.0.2)",
                "set-dst-port int(99999)",
            ],
        );
        assert_eq!(bench.session.source, Some("10.0.0.1:7".parse().unwrap()));
        assert_eq!(bench.session.destination, Some("10.0.0.2:80".parse().unwrap()), "no such port");
        assert_eq!(bench.txn.session_addresses, Some(before));
        assert_eq!(bench.session.connection_addresses(&bench.txn), before);
    }

    #[test]
    fn connection_rules_change_the_connection_and_session_rules_do_not() {
        let mut bench = Bench::get("/", &[]);
        bench.run(TcpConnection, &["set-src ipv4(10.0.0.3)", "set-dst ipv4(10.0.0.4)"]);
        let own = (Some("10.0.0.3:4000".parse().unwrap()), Some("10.0.0.4:80".parse().unwrap()));
        assert_eq!(bench.session.connection_addresses(&bench.txn), own);
        bench.run(TcpSession, &["set-src ipv4(10.0.0.5)", "set-dst ipv4(10.0.0.6)"]);
        bench.run(HttpRequest, &["set-src ipv4(10.0.0.7)"]);
        assert_eq!(bench.session.connection_addresses(&bench.txn), own);
        assert_eq!(bench.session.source, Some("10.0.0.7:4000".parse().unwrap()));
        assert_eq!(bench.session.destination, Some("10.0.0.6:80".parse().unwrap()));
    }

    #[test]
    fn captures_go_to_their_slots() {
        let mut rules = [
            testing::rule(HttpRequest, "capture hdr(a) len 3", 1),
            testing::rule(HttpRequest, "capture hdr(b) id 1", 2),
            testing::rule(HttpRequest, "capture hdr(b) id 9", 3),
        ];
        assert_eq!(rules.each_ref().map(Rule::wanted_capture), [Some(3), None, None]);
        rules[0].assign_capture(0);
        assert_eq!(rules[0].wanted_capture(), None);
        let mut bench = Bench::get("/", &[("a", "12345"), ("b", "678")]);
        bench.txn.request_captures = vec![None, None];
        bench.txn.request_capture_sizes = vec![3, 2];
        bench.run_from(HttpRequest, &rules, 0);
        let kept: Vec<_> = bench.txn.request_captures.iter().map(|slot| slot.as_deref()).collect();
        assert_eq!(kept, [Some(&b"123"[..]), Some(b"67")]);
    }

    #[test]
    fn effects_are_left_for_the_engine() {
        let mut bench = Bench::get("/p", &[]).respond(200, &[]);
        bench.run(
            HttpRequest,
            &[
                "set-timeout server 5s",
                "set-timeout tunnel int(700)",
                "set-timeout client int(0)",
                "disable-l7-retry",
                "set-log-level silent",
                "set-map(/m.map) %[path] %[method]",
                "del-acl(file@/a.acl) x",
            ],
        );
        let effects = &bench.effects;
        assert_eq!(effects.server_timeout_ms, Some(5000));
        assert_eq!((effects.tunnel_timeout_ms, effects.client_timeout_ms), (Some(700), None));
        assert!(effects.no_l7_retry);
        assert_eq!(bench.txn.log_level, Some(None));
        let order = |file: &str, change, key: &str, value: &str| MapOrder {
            file: file.into(),
            change,
            key: key.as_bytes().into(),
            value: value.as_bytes().into(),
        };
        assert_eq!(
            effects.map_orders,
            [
                order("/m.map", MapChange::Set, "/p", "GET"),
                order("/a.acl", MapChange::DeletePattern, "x", "")
            ]
        );
    }

    #[test]
    fn responses_change() {
        let mut bench = Bench::get("/", &[]).respond(200, &[("Server", "x")]);
        bench
            .run(HttpResponse, &["set-status 418 reason Tea", "set-header S %[status]", "del-header server"]);
        assert_eq!((bench.txn.response.status, bench.txn.response.reason()), (418, &b"Tea"[..]));
        assert_eq!(bench.response_lines(), ["S: 418"]);
        bench.run(HttpAfterResponse, &["set-status 404"]);
        assert_eq!(bench.txn.response.reason(), b"Not Found");
    }
}
