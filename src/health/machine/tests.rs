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
    assert_eq!(sent, "connect;OPTIONS / HTTP/1.0\r\nconnection: close\r\n\r\n");
    let lines = &[
        "option httpchk POST /up HTTP/1.1 www",
        "http-check send body ping hdr X-B two hdr Content-Length 9",
        "http-check send-state",
    ];
    let sent = check(lines, &["HTTP/1.1 503 Gone away\r\n\r\n"], L7Status, 503, "Gone away");
    assert_eq!(
        sent,
        "connect;POST /up HTTP/1.1\r\nx-b: two\r\nx-haproxy-server-state: UP\r\nconnection: close\r\n\
         content-length: 4\r\n\r\nping"
    );
    check(&["option httpchk"], &["HTTP/1.0 20", "4 x\r\n", "\r\n"], L7Ok, 204, "");
    check(&["option httpchk"], &["..."], L7Timeout, 0, "");
    check(&["option httpchk"], &[], L7Response, 0, "TCPCHK got an empty response at step 2");
    check(&["option httpchk"], &["SSH-2.0-x\r\n"], L7Response, 0, "TCPCHK got an empty response at step 2");
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
