//! Lines that decide: ACLs, rules, switching, redirections, conditions (manual, sections 4.2, 7).

use super::ProxyParser;
use crate::config::draft::{Draft, Kind, Step, TargetName, UseLine};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::model::proxy::Capture;
use crate::rules::action::{Action, TimeoutKind};
use crate::rules::{self, Rule, RuleSet};
use crate::sample::LogFormat;
use crate::sample::acl::AclSet;
use crate::sample::expr::Phase;
use crate::sample::facts::Direction;

keywords! {
    /// Decisions.
    pub TABLE: ProxyParser, "4.2";
    "acl" "<name> <criterion> [flags] [operator] <value> ..." RULES => Parse(acl), "Names a test, for conditions.";
    "default_backend" "<backend>" FRONT => Parse(default_backend), "The backend of what no 'use_backend' sent elsewhere.";
    "use_backend" "<backend> [{ if | unless } <condition>]" FRONTEND => Parse(use_backend), "Sends to a backend under a condition; the first one that holds decides.";
    "use-server" "<server> { if | unless } <condition>" BACKEND => Parse(use_server), "Sends to a server under a condition.";
    "redirect" "{ location | prefix | scheme } <to> [code <code>] <options> [{ if | unless } <condition>]" PROXIES => Parse(redirect), "Answers with a redirection.";
    "http-request" "<action> [options...] [{ if | unless } <condition>]" RULES => Parse(http_request), "What to do with requests.";
    "http-response" "<action> [options...] [{ if | unless } <condition>]" RULES => Parse(http_response), "What to do with responses.";
    "http-after-response" "<action> [options...] [{ if | unless } <condition>]" RULES => Parse(http_after_response), "What to do with all responses, those made here too.";
    "tcp-request connection" "<action> [options...] [{ if | unless } <condition>]" FRONT_RULES => Parse(tcp_connection), "What to do with connections as they are accepted.";
    "tcp-request session" "<action> [options...] [{ if | unless } <condition>]" FRONT_RULES => Parse(tcp_session), "What to do with connections once their handshakes are done.";
    "tcp-request content" "<action> [options...] [{ if | unless } <condition>]" RULES => Parse(tcp_content), "What to do with what a client sends.";
    "tcp-request inspect-delay" "<timeout>" RULES => Parse(request_delay), "How long 'tcp-request content' rules may wait for data.";
    "tcp-response content" "<action> [options...] [{ if | unless } <condition>]" BACK_RULES => Parse(tcp_response), "What to do with what a server sends.";
    "tcp-response inspect-delay" "<timeout>" BACK_RULES => Parse(response_delay), "How long 'tcp-response content' rules may wait for data.";
    "quic-initial" "<action> [{ if | unless } <condition>]" FRONT_RULES => Refused("QUIC is not available yet"), "What to do with first packets of QUIC connections.";
    "monitor fail" "{ if | unless } <condition>" FRONTEND => Parse(monitor_fail), "When 'monitor-uri' answers with an error.";
    "force-be-switch" "{ if | unless } <condition>" FRONTEND => Parse(force_switch), "Lets a backend be chosen that is disabled or unpublished.";
    "be-unpublished" "" BACKEND => Parse(unpublished), "The backend is not chosen until it is published.";
    "block" "{ if | unless } <condition>" PROXIES => Removed("use 'http-request deny' which uses the exact same syntax"), "Refuses requests.";
    "reqadd" "<string>" ALL => Removed("use 'http-request add-header' instead"), "Adds a header field.";
    "reqallow" "<regex>" ALL => Removed("use 'http-request allow' instead"), "Accepts a request.";
    "reqiallow" "<regex>" ALL => Removed("use 'http-request allow' instead"), "Accepts a request.";
    "reqdel" "<regex>" ALL => Removed("use 'http-request del-header' instead"), "Deletes header fields.";
    "reqidel" "<regex>" ALL => Removed("use 'http-request del-header' instead"), "Deletes header fields.";
    "reqdeny" "<regex>" ALL => Removed("use 'http-request deny' instead"), "Refuses a request.";
    "reqideny" "<regex>" ALL => Removed("use 'http-request deny' instead"), "Refuses a request.";
    "reqpass" "<regex>" ALL => Removed("use 'http-request' rules with conditions instead"), "Passes a request.";
    "reqipass" "<regex>" ALL => Removed("use 'http-request' rules with conditions instead"), "Passes a request.";
    "reqrep" "<regex> <string>" ALL => Removed("use 'http-request replace-path', 'http-request replace-uri' or 'http-request replace-header' instead"), "Rewrites a line of a request.";
    "reqirep" "<regex> <string>" ALL => Removed("use 'http-request replace-header' instead"), "Rewrites a line of a request.";
    "reqtarpit" "<regex>" ALL => Removed("use 'http-request tarpit' instead"), "Holds a request.";
    "reqitarpit" "<regex>" ALL => Removed("use 'http-request tarpit' instead"), "Holds a request.";
    "reqsetbe" "<regex> <backend>" ALL => Removed("use 'use_backend' with a condition instead"), "Switches to a backend.";
    "reqisetbe" "<regex> <backend>" ALL => Removed("use 'use_backend' with a condition instead"), "Switches to a backend.";
    "rspadd" "<string>" ALL => Removed("use 'http-response add-header' instead"), "Adds a header field.";
    "rspdel" "<regex>" ALL => Removed("use 'http-response del-header' instead"), "Deletes header fields.";
    "rspidel" "<regex>" ALL => Removed("use 'http-response del-header' instead"), "Deletes header fields.";
    "rspdeny" "<regex>" ALL => Removed("use 'http-response deny' instead"), "Refuses a response.";
    "rspideny" "<regex>" ALL => Removed("use 'http-response deny' instead"), "Refuses a response.";
    "rsprep" "<regex> <string>" ALL => Removed("use 'http-response replace-header' instead"), "Rewrites a line of a response.";
    "rspirep" "<regex> <string>" ALL => Removed("use 'http-response replace-header' instead"), "Rewrites a line of a response.";
    "monitor-net" "<source>" FRONT => Removed("use 'http-request return status 200 if { src <source> }' instead"), "Answers requests of a network by itself.";
}

fn acl(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(name) = words.peek() else {
        loading.report.alert(words.span(), "missing ACL name");
        return;
    };
    let bad = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.:".contains(*c));
    let name_span = words.line.words[1].span;
    if let Some(bad) = bad {
        let message = format!("character '{bad}' is not permitted in acl name '{name}'");
        loading.report.alert(name_span, message);
        return;
    }
    if name.eq_ignore_ascii_case("or") {
        let message = format!(
            "acl name '{name}' will never match. 'or' is used to express a logical disjunction within a condition"
        );
        loading.report.alert(name_span, message);
        return;
    }
    let span = words.span();
    let rest = words.take_rest();
    // Only `acl()` and `when(acl,...)` refer to other ACLs; a copy of their list for every line would make
    // long lists quadratic.
    let refers = rest.iter().any(|word| word.contains("acl"));
    let known = if refers { draft.acls.share() } else { AclSet::default() };
    let mut context = loading.context(Phase::Log, Some(&draft.name), &known);
    draft.acls.add(&rest, span, &mut context);
}

fn default_backend(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(name) = words.expect(loading.report, "a backend name") else { return };
    draft.default_backend = Some((name.text.as_str().into(), name.span));
    words.end(loading.report);
}

/// The name of a backend or server, or a format that yields it.
fn target(
    draft: &Draft,
    words: &mut Words<'_>,
    what: &str,
    loading: &mut Loading<'_>,
) -> Option<(TargetName, crate::diag::Span)> {
    let word = words.expect(loading.report, what)?;
    if !word.text.contains('%') {
        return Some((TargetName::Static(word.text.as_str().into()), word.span));
    }
    let mut context = loading.context(Phase::Switching, Some(&draft.name), &draft.acls);
    let format = LogFormat::parse(&word.text, word.span, &mut context)?;
    Some((TargetName::Dynamic(format), word.span))
}

fn use_backend(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.place(Step::UseBackend, words, loading);
    let Some((target, span)) = target(draft, words, "a backend name", loading) else { return };
    if let Ok(condition) = draft.condition(words, Phase::Switching, loading) {
        draft.use_backend.push(UseLine { target, condition, span });
    }
}

fn use_server(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.place(Step::UseServer, words, loading);
    let Some((target, span)) = target(draft, words, "a server name", loading) else { return };
    if let Some(condition) = draft.required_condition(words, Phase::Switching, loading) {
        draft.use_server.push(UseLine { target, condition: Some(condition), span });
    }
}

fn redirect(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.place(Step::Redirect, words, loading);
    let span = words.span();
    let rest = words.take_rest();
    let mut context = loading.context(Phase::HttpRequest, Some(&draft.name), &draft.acls);
    draft.redirects.extend(rules::redirect::parse(&rest, span, &mut context));
}

fn rule(
    draft: &mut Draft,
    words: &mut Words<'_>,
    set: RuleSet,
    phase: Phase,
    step: Step,
    loading: &mut Loading<'_>,
) -> Option<Rule> {
    draft.place(step, words, loading);
    let span = words.span();
    draft.rule_spans.any.get_or_insert(span);
    if words.is_done() {
        let message = format!("'{}' expects an action", words.keyword());
        loading.report.alert(span, message);
        return None;
    }
    let before = match set {
        RuleSet::HttpRequest => draft.http_request.last(),
        RuleSet::HttpResponse => draft.http_response.last(),
        RuleSet::HttpAfterResponse => draft.http_after_response.last(),
        _ => None,
    };
    // What a section of defaults says is a list of its own.
    let before = before.filter(|rule| rule.span.file == draft.span.file && rule.span.line > draft.span.line);
    if before.is_some_and(|rule| rule.condition.is_none() && rule.action.is_final()) {
        let message = format!(
            "previous '{}' action is final and has no condition attached, further entries are NOOP.",
            set.name()
        );
        loading.report.warning(span, message);
    }
    let rest = words.take_rest();
    let mut context = loading.context(phase, Some(&draft.name), &draft.acls);
    let mut rule = rules::keyword::parse(set, &rest, span, &mut context)?;
    if let Some(problem) = misplaced(draft, &rule.action) {
        loading.report.alert(span, format!("error detected in proxy '{}': {problem}", draft.name));
        return None;
    }
    // A slot of its own, in the order of the lines that declare slots: their numbers are used by name.
    if let Some(len) = rule.wanted_capture() {
        if draft.kind == Kind::Backend {
            let message = format!("proxy '{}' has no frontend capability", draft.name);
            loading.report.alert(span, message).help("use 'id' with a slot that the frontend declares");
            return None;
        }
        let slots = match set.direction() {
            Direction::Request => &mut draft.request_captures,
            Direction::Response => &mut draft.response_captures,
        };
        rule.assign_capture(slots.len());
        slots.push(Capture { name: None, len });
    }
    Some(rule)
}

/// Why an action cannot stand in this kind of section: each acts on one side of a proxy.
fn misplaced(draft: &Draft, action: &Action) -> Option<String> {
    let kind = draft.kind;
    let side = match action {
        _ if kind.is_defaults() => {
            let retries = matches!(action, Action::SetRetries(_));
            return retries.then(|| "'set-retries' is not allowed in 'defaults' sections".to_owned());
        }
        Action::SwitchToHttp | Action::SetTimeout(TimeoutKind::Client, _) if !kind.is_frontend() => {
            "frontend"
        }
        Action::SetTimeout(TimeoutKind::Client | TimeoutKind::Tarpit, _) => return None,
        Action::SetTimeout(..) | Action::SetRetries(_) if !kind.is_backend() => "backend",
        _ => return None,
    };
    Some(format!("'{}' has no {side} capability", draft.name))
}

fn http_request(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let rule = rule(draft, words, RuleSet::HttpRequest, Phase::HttpRequest, Step::HttpRequest, loading);
    draft.http_request.extend(rule);
}

fn http_response(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let rule = rule(draft, words, RuleSet::HttpResponse, Phase::HttpResponse, Step::HttpResponse, loading);
    draft.http_response.extend(rule);
}

fn http_after_response(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let set = RuleSet::HttpAfterResponse;
    let rule = rule(draft, words, set, Phase::HttpAfterResponse, Step::HttpAfterResponse, loading);
    draft.http_after_response.extend(rule);
}

fn tcp_connection(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.rule_spans.connection.get_or_insert(words.span());
    let rule = rule(draft, words, RuleSet::TcpConnection, Phase::TcpConnection, Step::TcpConnection, loading);
    draft.tcp_connection.extend(rule);
}

fn tcp_session(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.rule_spans.connection.get_or_insert(words.span());
    let rule = rule(draft, words, RuleSet::TcpSession, Phase::TcpSession, Step::TcpSession, loading);
    draft.tcp_session.extend(rule);
}

fn tcp_content(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let rule = rule(draft, words, RuleSet::TcpContent, Phase::TcpRequestContent, Step::TcpContent, loading);
    draft.tcp_content.extend(rule);
}

fn tcp_response(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.rule_spans.tcp_response.get_or_insert(words.span());
    let rule =
        rule(draft, words, RuleSet::TcpResponse, Phase::TcpResponseContent, Step::TcpResponse, loading);
    draft.tcp_response.extend(rule);
}

fn request_delay(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(delay) = words.time_ms(loading.report) {
        draft.tcp_inspect_delay_ms = Some(delay);
    }
    words.end(loading.report);
}

fn response_delay(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(delay) = words.time_ms(loading.report) {
        draft.tcp_response_inspect_delay_ms = Some(delay);
    }
    words.end(loading.report);
}

fn force_switch(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let condition = draft.required_condition(words, Phase::Switching, loading);
    draft.force_switch.extend(condition);
}

fn unpublished(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    words.end(loading.report);
    draft.is_unpublished = true;
}

fn monitor_fail(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.place(Step::MonitorFail, words, loading);
    let condition = draft.required_condition(words, Phase::HttpRequest, loading);
    draft.monitor_fail.extend(condition);
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, load_text};
    use crate::diag::Level::Alert;

    const TABLES: &str =
        "backend t\nstick-table type ip size 9 store gpc0\nbackend n\nstick-table type integer size 9\n";

    #[test]
    fn rules_find_their_tables() {
        for (lines, expected) in [
            ("backend b\nhttp-request track-sc0 src table t\nmode http", &[][..]),
            // The proxy's own table, wherever its line stands.
            (
                "backend b\nmode http\nhttp-request track-sc0 src\nhttp-request deny if { src_conn_cnt gt 3 }\n\
                 stick-table type ip size 9",
                &[],
            ),
            ("backend b\nmode http\nhttp-request track-sc0 path,length table n", &[]),
            (
                "backend b\nmode http\nhttp-request deny if { sc0_conn_cnt(t) gt 3 } { src,table_gpc0(t) 1 }",
                &[],
            ),
            (
                "backend b\nmode http\nhttp-request track-sc0 src",
                &[(Alert, 7, "unable to find table 'b' referenced by track-sc0")],
            ),
            (
                "backend b\nmode http\nhttp-request track-sc0 src table T",
                &[(Alert, 7, "unable to find table 'T'")],
            ),
            (
                "backend b\nmode http\nhttp-request deny if { src_conn_cnt gt 3 }",
                &[(Alert, 7, "proxy 'b' has no stick-table")],
            ),
            (
                "backend b\nmode http\nhttp-request track-sc0 bool(true) table t",
                &[(Alert, 7, "stick-table 't' uses a type incompatible with the 'track-sc0' rule")],
            ),
            (
                "backend b\nmode http\nhttp-after-response track-sc0 src table t",
                &[(Alert, 7, "'http-after-response' expects")],
            ),
        ] {
            finds(&format!("{TABLES}{lines}"), expected);
        }
    }

    #[test]
    fn the_number_of_tracked_entries_is_set() {
        let rules = |counters: &str, number: &str| {
            format!(
                "global\n{counters}\n{TABLES}backend b\nmode http\nhttp-request track-sc{number} src table t\n\
                 http-request sc-inc-gpc0({number})"
            )
        };
        for (counters, number) in
            [("", "2"), ("tune.stick-counters 100", "99"), ("tune.stick-counters 1", "0")]
        {
            finds(&rules(counters, number), &[]);
        }
        for (counters, number, message) in [
            ("", "3", "3 track-sc number exceeding 2 (tune.stick-counters-1) value"),
            ("tune.stick-counters 1", "1", "1 track-sc number exceeding 0"),
            ("tune.stick-counters 0", "0", "'tune.stick-counters 0' disables tracking"),
        ] {
            finds(&rules(counters, number), &[(Alert, 9, message), (Alert, 10, message)]);
        }
        finds("global\ntune.stick-counters 101", &[(Alert, 2, "tune.stick-counters")]);
    }

    #[test]
    fn counted_statuses_are_set() {
        let text = "global\nhttp-err-codes 400-499 -404 +500\nhttp-fail-codes -503,504";
        let counted = load_text(text).0.expect("a model").global.counted_statuses;
        let errors = [400, 404, 499, 500, 501].map(|status| counted.errors.contains(status));
        let failures = [500, 501, 502, 503, 504, 505].map(|status| counted.failures.contains(status));
        assert_eq!(errors, [true, false, true, true, false]);
        assert_eq!(failures, [true, false, true, false, false, false]);
        finds("global\nhttp-err-codes", &[(Alert, 2, "expects ranges of statuses")]);
        finds("global\nhttp-err-codes 40", &[(Alert, 2, "'40' in '40' is not a status from 100 to 599")]);
    }
}
