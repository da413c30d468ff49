//! Every kind of check against answers, as a table of talks.

use super::super::config::agent as agent_check;
use super::super::script_for_tests as parse;
use super::super::{CheckScript, ServerCheck};
use super::*;

/// What a run did and how it ended: the server's answers come one by one, then it closes, or
/// falls silent when the last answer is `...`.
fn run(script: &CheckScript, answers: &[&str]) -> (String, Finding) {
    run_spec(script.for_server(ServerCheck::default()), answers)
}

fn run_spec(spec: Arc<CheckSpec>, answers: &[&str]) -> (String, Finding) {
    let process = ProcessFacts::default();
    let env = Env {
        now: Now { mono_us: 1, wall_us: 0 },
        process: &process,
        is_stopped: false,
        server_state: Some("UP"),
    };
    let mut machine = Machine::new(spec, 16384);
    let mut answers = answers.iter();
    let mut sent = String::new();
    loop {
        match machine.next(&env) {
            Want::Connect(target) => {
                sent += &target.port.map_or("connect;".to_owned(), |port| format!("connect {port};"));
                match answers.as_slice().first() {
                    Some(&"refused") => {
                        return (
                            sent,
                            machine.fail(&Failure::Connection("ECONNREFUSED returned by OS".into())),
                        );
                    }
                    Some(&"unreachable") => {
                        answers.next();
                        let text = "General socket error (Network is unreachable)";
                        return (sent, machine.fail(&Failure::Connection(text.into())));
                    }
                    Some(&"accepted") => drop(answers.next()),
                    _ => {}
                }
                machine.connected();
            }
            Want::Write(bytes) => sent += &String::from_utf8_lossy(&bytes),
            Want::Read => match answers.next() {
                Some(&"...") => return (sent, machine.fail(&Failure::Timeout)),
                Some(answer) => machine.received(answer.as_bytes()),
                None => machine.closed(),
            },
            Want::Agent(reply) => {
                let (status, info) = reply.finding(None);
                return (sent, Finding::new(status, info));
            }
            Want::Done(finding) => return (sent, finding),
        }
    }
}

fn check(lines: &[&str], answers: &[&str], status: Status, code: u32, info: &str) -> String {
    let (script, findings) = parse(lines);
    assert_eq!(findings, Vec::<String>::new(), "{lines:?}");
    let (sent, finding) = run(&script, answers);
    assert_eq!(
        (finding.status, finding.code, finding.info.as_str()),
        (status, code, info),
        "{lines:?} {answers:?}"
    );
    sent
}

#[test]
fn a_plain_check_only_connects() {
    use Status::*;
    assert_eq!(check(&[], &[], L4Ok, 0, ""), "connect;");
    check(&[], &["refused"], L4Connection, 0, "ECONNREFUSED returned by OS");
    check(&[], &["unreachable"], L4Connection, 0, "General socket error (Network is unreachable)");
    let place = "ECONNREFUSED returned by OS at initial connection step of tcp-check";
    check(&["option tcp-check"], &["refused"], L4Connection, 0, place);
}

#[test]
fn tcp_checks_name_the_step() {
    use Status::*;
    let ports = &["option tcp-check", "tcp-check connect port 8", "tcp-check connect port 1"];
    assert_eq!(check(ports, &[], L4Ok, 0, "(tcp-check)"), "connect 8;connect 1;");
    let text = "ECONNREFUSED returned by OS at step 1 of tcp-check (connect port 8)";
    check(ports, &["refused"], L4Connection, 0, text);
    let text = "ECONNREFUSED returned by OS at step 2 of tcp-check (connect port 1)";
    check(ports, &["accepted", "refused"], L4Connection, 0, text);

    let talk = &[
        "option tcp-check",
        "tcp-check connect",
        "tcp-check expect !rstring ^error comment negative",
        "tcp-check expect string valid comment positive",
        "tcp-check send 0123456789",
        "tcp-check expect string valid",
    ];
    let text = " at step 2 of tcp-check (expect regex) comment: 'negative'";
    check(talk, &["valid", "..."], L7Timeout, 0, text);
    let text = "TCPCHK matched unwanted content (regex) at step 2 comment: negative";
    check(talk, &["error"], L7Response, 0, text);
    // No bytes at all match no unwanted one either; the next step misses its own.
    let text = "TCPCHK got an empty response at step 3 comment: positive";
    check(&talk[..4], &[], L7Response, 0, text);
}

#[test]
fn min_recv_makes_a_mismatch_final() {
    use Status::*;
    let talk = &[
        "option tcp-check",
        "tcp-check connect",
        "tcp-check expect min-recv 5 !rstring ^error",
        "tcp-check expect string valid",
        "tcp-check send 0123456789",
        "tcp-check expect string valid",
    ];
    assert_eq!(check(talk, &["val", "id", "valid"], L7Ok, 0, "(tcp-check)"), "connect;0123456789");
    let text = "TCPCHK did not match content 'valid' at step 3";
    check(talk, &["vaLid"], L7Response, 0, text);
}

#[test]
fn binary_patterns_and_statuses() {
    use Status::*;
    let talk = &[
        "option tcp-check",
        "tcp-check send-binary 50494e47",
        "tcp-check expect rbinary ^504F ok-status L6OK error-status L4CON on-error no!",
    ];
    assert_eq!(check(talk, &["PONG"], L6Ok, 0, "(tcp-check)"), "connect;PING");
    check(talk, &["PING"], L4Connection, 0, "no!");
    check(&["option tcp-check", "tcp-check expect binary 0d0a"], &["x\r", "\n"], L7Ok, 0, "(tcp-check)");
}

const OK: &str = "HTTP/1.0 200 OK\r\nX-A: one, two\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn http_checks_ask_and_judge() {
    use Status::*;
    let sent = check(&["option httpchk"], &[OK], L7Ok, 200, "");
    assert_eq!(sent, "connect;OPTIONS / HTTP/1.0\r\n\r\n");
    let lines = &[
        "option httpchk POST /up HTTP/1.1 www",
        "http-check send body ping hdr X-B two hdr Content-Length 9",
        "http-check send-state",
    ];
    let sent = check(lines, &["HTTP/1.1 503 Gone away\r\n\r\n"], L7Status, 503, "Gone away");
    assert_eq!(
        sent,
        "connect;POST /up HTTP/1.1\r\nx-b: two\r\nx-haproxy-server-state: UP\r\ncontent-length: 4\r\n\
         connection: close\r\n\r\nping"
    );
    check(&["option httpchk"], &["HTTP/1.0 20", "4 x\r\n", "\r\n"], L7Ok, 204, "");
    check(&["option httpchk"], &["..."], L7Timeout, 0, "");
    for silent_or_foreign in
        [&[][..], &["SSH-2.0-x\r\n"], &["HTTP/1.1 200 OK\r\nx: y\r\n"], &["HTTP/1.1\r\n\r\n"]]
    {
        check(&["option httpchk"], silent_or_foreign, SocketError, 0, "");
    }
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    check(
        &["option httpchk"],
        &[chunks],
        L7Response,
        0,
        "TCPCHK did not match content(status codes) at step 2",
    );
    // Servers of databases put several strings into one message.
    let error = "E\0\0\0\x19SFATAL\0C28000\0Mno entry\0\0";
    check(&["option pgsql-check user u"], &[error], L7Response, 0, "FATAL");
    check(&["option redis-check"], &["  -ERR x\n"], L7Status, 0, "  -ERR x");
    let gentle = &["option httpchk /", "http-check disable-on-404", "http-check expect status 200"];
    check(gentle, &["HTTP/1.0 404 No\r\n\r\n"], L7OkConditional, 404, "");
}

#[test]
fn http_expectations() {
    use Status::*;
    let judge = |rule: &str, status, code, info: &str| {
        check(&["option httpchk", &format!("http-check expect {rule}")], &[OK], status, code, info);
    };
    judge("status 100,200-299", L7Ok, 200, "");
    judge("! status 200", L7Status, 200, "OK");
    judge("rstatus ^[23]", L7Ok, 200, "");
    judge("string ell", L7Ok, 200, "");
    judge("rstring ^el", L7Response, 200, "HTTP content check did not match");
    judge("!string hello", L7Response, 200, "HTTP check matched unwanted content");
    judge("hdr name x-a", L7Ok, 200, "");
    judge("hdr name -m beg X- value two", L7Ok, 200, "");
    judge("hdr name -m end -A value -m reg ^t.o$", L7Ok, 200, "");
    judge("fhdr name x-a value two", L7Status, 200, "OK");
    judge("fhdr name x-a value -m sub e,", L7Ok, 200, "");
    judge("hdr name -m sub zz comment why", L7Status, 200, "OK comment: why");
    judge("status 201 on-error bad error-status L7RSP", L7Response, 200, "bad");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let rule = &["option httpchk", "http-check expect string abcd"];
    check(rule, &[chunked, "2\r\nde\r\n0\r\n\r\n"], L7Ok, 200, "");
    check(rule, &[chunked, "..."], L7Timeout, 200, "");
}

#[test]
fn variables_and_formats() {
    use Status::*;
    let answer = "HTTP/1.0 202 Fine\r\nX-Test1: true, next\r\nX-Name: x-test1\r\n\r\n";
    let lines = [
        "option httpchk",
        "http-check send hdr X-Sent %[var(check.early)]",
        "http-check expect status 200-399",
        "http-check set-var(check.name) res.fhdr(x-name)",
        "http-check expect hdr name-lf -m str %[var(check.name)]",
        "http-check expect hdr name-lf %[res.fhdr(x-name)] value next",
        "http-check set-var-fmt(check.value) x-%[str(test1)]",
        "http-check expect fhdr name x-name value-lf %[var(check.value)]",
        "http-check set-var(check.value,ifnotexists) str(other)",
        "http-check expect hdr name -m beg x- value-lf -m str %[var(check.value)] \
         on-success %[var(check.value)] status-code int(7)",
    ];
    let sent = check(&lines, &[answer], L7Ok, 7, "x-test1");
    assert!(!sent.contains("x-sent"), "a field without a value is left out");
    let unset = [&lines[..7], &["http-check unset-var(check.value)", lines[7]]].concat();
    check(&unset, &[answer], L7Response, 202, "log-format string evaluated to an empty string");
    let talk = &[
        "option tcp-check",
        "tcp-check set-var(check.port) int(81)",
        "tcp-check connect port var(check.port)",
        "tcp-check set-var(check.word) str(ping)",
        "tcp-check send-lf %[var(check.word),upper]",
        "tcp-check expect string-lf re:%[var(check.word)] on-success got=%[res.payload(3,0)]",
    ];
    assert_eq!(check(talk, &["re:ping"], L7Ok, 0, "got=ping"), "connect 81;PING");
}

#[test]
fn protocols_speak_their_words() {
    use Status::*;
    let smtp = &["option smtpchk"];
    let sent = check(smtp, &["220 hi\r\n", "25", "0 ok\r\n", "221 ok\r\n"], L7Ok, 221, "ok");
    assert_eq!(sent, "connect;HELO localhost\r\nQUIT\r\n");
    check(smtp, &["554 go away\r\n"], L7Status, 554, "go away");
    check(smtp, &["..."], L7Timeout, 0, "");
    let sent = check(&["option redis-check"], &["+PONG\r\n"], L7Ok, 0, "Redis server is ok");
    assert!(sent.ends_with("PING\r\n"));
    check(&["option redis-check"], &["-NOAUTH no\r\n"], L7Status, 0, "-NOAUTH no");
    check(&["option ssl-hello-chk"], &["\x15\x03\x00\x00\x02"], L6Ok, 0, "");
    check(&["option ssl-hello-chk"], &["HTTP/1.0 400"], L6Response, 0, "");
    check(&["option ssl-hello-chk"], &["..."], L6Timeout, 0, "");
    let handshake = "\x0a\0\0\0\x0a5.7.9-x\0\0";
    check(&["option mysql-check"], &[handshake], L7Ok, 0, "5.7.9-x");
    let user = &["option mysql-check user bob"];
    check(user, &[handshake, "\x03\0\0\x02\0\0\0"], L7Ok, 0, "5.7.9-x");
    check(&["option pgsql-check user bob"], &["R\0\0\0\x08\0\0\0\x05"], L7Ok, 0, "PostgreSQL server is ok");
    let bound = "0\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0";
    check(&["option ldap-check"], &[bound], L7Ok, 0, "Success");
    check(&["option ldap-check"], &["HTTP/1.0 400 bad"], L7Response, 0, "Not LDAPv3 protocol");
}

#[test]
fn agents_are_listened_to() {
    let spec = |send: Option<&str>| {
        agent_check(ServerCheck { agent_send: send.map(|text| text.into()), ..ServerCheck::default() })
    };
    let (sent, finding) = run_spec(spec(Some("hi\n")), &["up # fi", "ne\n"]);
    assert_eq!((sent.as_str(), finding.status), ("connect;hi\n", Status::L7Ok));
    assert_eq!(finding.info, "via agent : up (fine)");
    let (_, finding) = run_spec(spec(None), &["up"]);
    assert_eq!(finding.info, "Ignoring incomplete line from agent");
    assert_eq!(finding.status, Status::Checked);
}

/// The request that a script of `option httpchk` sends.
fn asked(lines: &[&str]) -> String {
    let (script, findings) = parse(lines);
    assert_eq!(findings, Vec::<String>::new(), "{lines:?}");
    run(&script, &[OK]).0.replacen("connect;", "", 1).replace("\r\n", "|")
}

#[test]
fn the_request_says_what_its_version_needs() {
    for (send, expected) in [
        ("ver HTTP/1.1", "OPTIONS / HTTP/1.1|connection: close||"),
        ("ver HTTP/2.0", "OPTIONS / HTTP/1.1|connection: close||"),
        ("hdr Connection keep-alive", "OPTIONS / HTTP/1.0|connection: keep-alive||"),
        ("hdr Connection close", "OPTIONS / HTTP/1.0||"),
        ("ver HTTP/1.1 hdr Connection keep-alive hdr a b", "OPTIONS / HTTP/1.1|a: b||"),
        ("ver HTTP/1.1 hdr Connection close,foo", "OPTIONS / HTTP/1.1|connection: foo|connection: close||"),
        (
            "ver HTTP/1.1 hdr Upgrade x hdr Connection upgrade",
            "OPTIONS / HTTP/1.1|upgrade: x|connection: upgrade||",
        ),
        ("meth PUT hdr transfer-encoding chunked", "PUT / HTTP/1.0|content-length: 0||"),
        ("uri http://a.example:81/x", "OPTIONS http://a.example:81/x HTTP/1.0||"),
        ("uri http://a.example/x hdr Host b", "OPTIONS http://b/x HTTP/1.0|host: b||"),
        ("uri /x?u=http://a/ hdr Host b", "OPTIONS /x?u=http://a/ HTTP/1.0|host: b||"),
        ("uri-lf %[var(check.none)]", "OPTIONS / HTTP/1.0||"),
    ] {
        assert_eq!(asked(&["option httpchk", &format!("http-check send {send}")]), expected, "{send}");
    }
}

#[test]
fn the_later_of_option_and_send_wins() {
    let full = "option httpchk HEAD /x HTTP/1.1 h.example";
    let send = "http-check send meth GET hdr X-A b body foo";
    for (lines, expected) in [
        (vec![full, send], "GET /x HTTP/1.1|x-a: b|content-length: 3|connection: close||foo"),
        (vec![send, full], "HEAD /x HTTP/1.1|host: h.example|content-length: 3|connection: close||foo"),
        (vec![send, "option httpchk"], "GET / HTTP/1.0|x-a: b|content-length: 3||foo"),
        (vec![full, "option httpchk /y", send], "GET /y HTTP/1.0|x-a: b|content-length: 3||foo"),
        (vec![full, "http-check connect", "http-check expect string x"], "HEAD"),
    ] {
        if expected == "HEAD" {
            // The request stands between the connection and what it expects.
            let (_, findings) = parse(&lines);
            assert!(findings[0].contains("missing send rule"), "{findings:?}");
        } else {
            assert_eq!(asked(&lines), expected, "{lines:?}");
        }
    }
}

#[test]
fn rules_of_a_defaults_section_hold_until_the_proxy_has_its_own() {
    let with_option = ["option httpchk GET /d", "http-check send-state", "http-check expect status 200"];
    let without = ["http-check expect status 300", "http-check send uri /d", "tcp-check send D"];
    let state = "x-haproxy-server-state: UP|";
    let own = |base: &[&str], lines: &[&str]| {
        let lines = [base, &["inherited"], lines].concat();
        asked(&lines)
    };
    for (base, lines, expected) in [
        (&with_option[..], &[][..], format!("GET /d HTTP/1.0|{state}|")),
        (&with_option, &["option httpchk"], "OPTIONS / HTTP/1.0||".to_owned()),
        (&with_option, &["http-check send uri /own"], "OPTIONS /own HTTP/1.0||".to_owned()),
        // A list that sends nothing keeps the request that it was meant for.
        (&with_option, &["http-check expect status 200"], "GET /d HTTP/1.0||".to_owned()),
        (&with_option, &["http-check set-var(check.x) int(1)"], "GET /d HTTP/1.0||".to_owned()),
        (&with_option, &["option tcp-check"], String::new()),
        (&with_option, &["option tcp-check", "tcp-check send x"], "x".to_owned()),
        // Without its option a list is not inherited.
        (&without, &[], String::new()),
        (&without, &["option httpchk"], "OPTIONS / HTTP/1.0||".to_owned()),
        (&without, &["option tcp-check"], String::new()),
        (&["option tcp-check", "tcp-check send D"], &[], "D".to_owned()),
        (&["option tcp-check", "tcp-check send D"], &["tcp-check send E"], "E".to_owned()),
        (&["option tcp-check", "tcp-check send D"], &["option tcp-check"], String::new()),
        (&["option redis-check"], &["option httpchk"], "OPTIONS / HTTP/1.0||".to_owned()),
    ] {
        assert_eq!(own(base, lines), expected, "{base:?} {lines:?}");
    }
    // A section between hands on what it inherited.
    let chain = [&with_option[..], &["inherited", "inherited"]].concat();
    assert_eq!(asked(&chain), format!("GET /d HTTP/1.0|{state}|"));
}

#[test]
fn only_own_unused_rules_are_told_of() {
    let told = |lines: &[&str]| parse(lines).1.len();
    for (lines, expected) in [
        (&["http-check expect status 200", "tcp-check send a"][..], 2),
        (&["http-check expect status 200", "tcp-check send a", "inherited"], 0),
        (&["option httpchk", "http-check expect status 200", "option tcp-check"], 0),
        (&["http-check expect status 200", "option tcp-check"], 1),
        (&["option httpchk", "inherited", "tcp-check send a"], 1),
        // The order counts in a list that is used.
        (&["http-check expect status 200", "http-check send uri /x", "inherited"], 0),
    ] {
        assert_eq!(told(lines), expected, "{lines:?}");
    }
}

#[test]
fn expressions_see_the_server_its_backend_and_the_connection() {
    let registry = crate::state::Registry::new(1);
    let backend = registry.proxy("app");
    let server = Arc::new(ServerState::new("app", "s7", 1));
    server.id.store(7, std::sync::atomic::Ordering::Relaxed);
    let look =
        "%[srv_name]~%[srv_id]~%[be_name]~%[bc_src_port]~%[bc_dst]~%[bc_dst_port]~%b~%s~%si:%sp~%[bc_err]";
    let expected = "s7 7 app 1234 192.0.2.1 80 app s7 192.0.2.1:80 0";
    for lines in [
        &["option httpchk", "http-check send uri-lf LOOK"][..],
        &["option httpchk", "http-check send meth POST body-lf LOOK"],
        &["option httpchk", "http-check send hdr x LOOK"],
        &["option tcp-check", "tcp-check send-lf LOOK"],
        &[
            "option tcp-check",
            "tcp-check connect",
            "tcp-check set-var-fmt(check.x) LOOK",
            "tcp-check send-lf %[var(check.x)]",
        ],
    ] {
        let process = ProcessFacts::default();
        let now = Now { mono_us: 1, wall_us: 0 };
        let env = Env { now, process: &process, is_stopped: false, server_state: None };
        let lines: Vec<String> = lines.iter().map(|line| line.replace("LOOK", look)).collect();
        let (script, findings) = parse(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(findings, Vec::<String>::new());
        let spec = script.for_server(ServerCheck::default());
        let mut machine = Machine::new(spec, 16384).about(Some(backend.clone()), server.clone());
        let found = loop {
            match machine.next(&env) {
                Want::Connect(_) => {
                    let at = |text: &str| Some(text.parse().expect("an address"));
                    machine.dialled(Some(1), at("192.0.2.9:1234"), at("192.0.2.1:80"));
                    machine.connected();
                }
                Want::Write(bytes) => break String::from_utf8(bytes).expect("text"),
                other => panic!("{lines:?}: {other:?}"),
            }
        };
        assert!(found.contains(expected), "{lines:?}: {found}");
    }
}

#[test]
fn what_never_has_a_value_in_a_check_is_told() {
    for (expr, expected) in [
        ("src", "sample fetch 'src' never has a value in health checks"),
        ("unique-id", "sample fetch 'unique-id' never has a value"),
        ("src_conn_cnt(t)", ""),
        ("fe_name", "needs 'client address' which is not available here"),
        ("so_id", "needs 'client address' which is not available here"),
        ("req.hdr(host)", "needs 'HTTP request headers' which is not available here"),
        ("srv_name", ""),
        ("be_id", ""),
        ("res.hdr(x)", ""),
    ] {
        let (_, findings) = parse(&["option httpchk", &format!("http-check send hdr x %[{expr}]")]);
        if expected.is_empty() {
            assert!(!findings.iter().any(|found| found.contains("available here")), "{expr}: {findings:?}");
        } else {
            assert!(findings.iter().any(|found| found.contains(expected)), "{expr}: {findings:?}");
        }
    }
}
