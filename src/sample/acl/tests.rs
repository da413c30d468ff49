//! Tests of ACL lines, as data behind a few check functions.

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
        let mut world = World::request("GET / HTTP/1.1", &[field])
            .file("groups", "x\nadmins\n")
            .file("strangers", "ops\nnobody\n");
        let groups = ["admins", "ops", "x"].map(Into::into).to_vec();
        let list = UserList { users: users.clone(), groups };
        world.named.userlists.insert("users".to_owned(), Arc::new(list));
        check(
            &world,
            &[
                ("if { http_auth(users) }", known),
                ("if { http_auth_group(users) admins }", admin),
                ("if { http_auth_group(users) -i x admins }", admin),
                ("if { http_auth_group(users) -f groups }", admin),
                ("if { http_auth_group(users) -m str ann }", name),
                ("if { http_auth_group(users) -m found }", known),
            ],
        );
        for (text, message) in [
            ("if { http_auth_group(users) admin }", "invalid group 'admin'"),
            ("if { http_auth_group(users) ops ann }", "invalid group 'ann'"),
            ("if { http_auth_group(users) -f strangers }", "invalid group 'nobody'"),
            ("if { http_auth_group(users) -- }", "no groups specified"),
        ] {
            let (condition, report) = condition(&world, text, Phase::HttpRequest);
            assert!(condition.is_none() && told(&report).contains(message), "{text}: {}", told(&report));
        }
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
fn patterns_in_all_their_forms() {
    let world = World::request(
        "GET /static/img/Logo.png?x=5 HTTP/1.1",
        &["Host: www.Example.com:80", "X-Tag: one, two", "X-N: -4"],
    )
    .file("one.lst", "/static/img/logo.png\n")
    .file("two.map", "/other 1\n/static/img/Logo.png 2\n");
    check(
        &world,
        &[
            ("if { hdr_cnt(x-tag) 1-3 }", true),
            ("if { hdr_cnt(x-tag) -- -1 }", false),
            ("if { hdr_cnt(x-tag) gt 1-3 5 }", true),
            ("if { hdr_cnt(x-tag) gt 1-1 5 }", false),
            ("if { hdr_cnt(x-tag) gt 5 lt 3 }", true),
            ("if { req.hdr_val(x-n) lt 0 }", true),
            ("if { req.hdr_val(x-n) -- -3 }", true),
            ("if { src 192.0.0.1/255.0.0.255 }", true),
            ("if { src 193.0.0.1/255.0.0.255 }", false),
            ("if { src 192.513 }", true),
            ("if { src 192.514 }", false),
            ("if { str(127.0.0.9) -m ip 127.9 }", true),
            ("if { str(::ffff:10.0.0.7) -m ip 10.0.0.0/255.0.0.255 }", false),
            ("if { str(::ffff:10.0.0.7) -m ip 10.0.0.7/255.0.0.255 }", true),
            ("if { path -f one.lst }", false),
            ("if { path -i -f one.lst }", true),
            ("if { path -f one.lst -i /STATIC/img/Logo.png }", true),
            ("if { path -f one.lst -i }", false),
            ("if { path -f one.lst -M -f two.map }", true),
            ("if { path -M -f two.map -- /x }", true),
            ("if { method -i get }", false),
            ("if { method -i -m str get }", true),
            ("if { str(1) -m bool }", true),
            ("if { path -m reg (?i)LOGO\\.png$ }", true),
            ("if { path -m reg ^(?!/api)/ }", true),
            ("if { path -m reg -i (?<=IMG/)l }", true),
            ("if { int(3) -m found }", true),
        ],
    );
}

#[test]
fn runtime_changes_of_a_line_are_seen() {
    let mut world = World::request("GET /b HTTP/1.1", &[]);
    assert_eq!(told(&add(&mut world, &["mine path -u 7 /a", "other path /a"])), "");
    check(&world, &[("if mine", false), ("if other", false)]);
    let maps = world.registry.maps();
    let (_, list) = maps.iter().find(|(id, _)| *id == 7).expect("the number that -u gave");
    assert_eq!(list.description(), "acl 'path' file '' line 0");
    list.add(b"/b", b"").unwrap();
    check(&world, &[("if mine", true), ("if other", false)]);
    list.clear();
    check(&world, &[("if mine", false)]);
    let version = list.prepare();
    list.add_to(version, b"/b", b"").unwrap().unwrap();
    check(&world, &[("if mine", false)]);
    assert!(list.commit(version));
    check(&world, &[("if mine", true)]);
    assert!(list.add(b"/b", b"").is_ok() && list.remove(b"/b") == 2);
    check(&world, &[("if mine", false)]);
    assert!(told(&add(&mut world, &["more path -u 7 /c"])).contains("the id is already used"));
}

#[test]
fn an_acl_never_asks_for_itself() {
    let mut world = World::default();
    assert_eq!(told(&add(&mut world, &["a always_false", "b acl(a)"])), "");
    for line in ["a acl(a)", "a acl(b)", "a acl(!b)", "a str(x),when(acl,a) -m str x"] {
        let told = told(&add(&mut world, &[line]));
        assert!(told.contains("have a recursive loop"), "{line}: {told}");
    }
}

#[test]
fn tells_what_was_probably_not_meant() {
    let mut world = World::default();
    for (line, level, message) in [
        ("x path", Some(Level::Warning), "no pattern to match against"),
        ("x path --", None, ""),
        ("x always_true", None, ""),
        ("x path (a", Some(Level::Warning), "likely a mistake"),
        ("x path -- (a", None, ""),
        ("x path_beg -m end a", Some(Level::Warning), "original matching method 'path_beg' was overwritten"),
        ("x path -m end a", None, ""),
        ("x path a || b", Some(Level::Diag), "failed attempt at using an operator"),
        ("x path a # b", Some(Level::Diag), "commenting an end of line"),
        ("x path a path_beg", Some(Level::Diag), "known acl keyword"),
        ("x path a src", Some(Level::Diag), "known sample fetch keyword"),
        ("x path_reg ^(?=a)", Some(Level::Diag), "needs back-tracking"),
        ("x path_reg ^a", None, ""),
    ] {
        let report = add(&mut world, &[line]);
        let found = report.diagnostics.first();
        assert_eq!(found.map(|found| found.level), level, "{line}: {}", told(&report));
        assert!(told(&report).contains(message), "{line}: {}", told(&report));
    }
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
        &[("if both", true), ("if pages", true), ("if !pages", false), ("if pages !local or local", true)],
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
        ("x always_true -m ip", "matching method 'ip' cannot be used with fetch keyword 'always_true'", ""),
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
        ("if is_static and is_static", "no such ACL : 'and'", "leave the word out"),
        ("if {path /}", "no such ACL : '{path'", "needs a blank"),
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
