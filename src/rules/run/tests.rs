//! What rules do to a session, rule by rule.

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
        assert_eq!((reply.status, found, text(&reply.body)), (status, expected, body.to_owned()), "{rule}");
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
    let rules =
        [testing::rule(TcpContent, "accept if { req.len gt 3 }", 1), testing::rule(TcpContent, "reject", 2)];
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
            assert_eq!((bench.txn.request.target(), bench.txn.response.reason()), (&b"/"[..], &b"OK"[..]));
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
        &["set-src hdr(x-src)", "set-src-port int(7)", "set-dst ipv4(10.0.0.2)", "set-dst-port int(99999)"],
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
        [order("/m.map", MapChange::Set, "/p", "GET"), order("/a.acl", MapChange::DeletePattern, "x", "")]
    );
}

#[test]
fn responses_change() {
    let mut bench = Bench::get("/", &[]).respond(200, &[("Server", "x")]);
    bench.run(HttpResponse, &["set-status 418 reason Tea", "set-header S %[status]", "del-header server"]);
    assert_eq!((bench.txn.response.status, bench.txn.response.reason()), (418, &b"Tea"[..]));
    assert_eq!(bench.response_lines(), ["S: 418"]);
    bench.run(HttpAfterResponse, &["set-status 404"]);
    assert_eq!(bench.txn.response.reason(), b"Not Found");
}
