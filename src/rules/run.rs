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
            let Some(Value::Str(text)) = &text else { return None };
            let name = std::str::from_utf8(text).ok().and_then(|text| Name::parse(text).ok());
            if name.is_none() {
                run.process.failed_resolutions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            let name = name?;
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
mod tests;
