//! Rules rewrite a message between its two sides; each side's framing and connection follow what that side sent
//! or got, and what rules write of a connection is meant.

use std::io::Write;
use std::time::Duration;

use crate::support::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nbodybod";

fn listen(driver: Driver, origin: &Origin, lines: &str) -> Proxy {
    let address = origin.address();
    Proxy::start(
        driver,
        &format!("{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    {lines}\n    server s1 {address}\n"),
    )
}

/// An origin that answers every request with the same bytes; HEAD with the head alone.
fn answering(answer: &'static str) -> Origin {
    Origin::http(move |_| Reply::raw(answer))
}

#[test]
fn a_rewritten_method_or_status_leaves_the_client_in_step() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let none = "HTTP/1.1 204 None\r\n\r\n";
    let unchanged = "HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n";
    // What the client sends first, the rule, what the server answers; the status, the length that the client is
    // told, and the body that it gets.
    for (method, rule, answer, status, length, body) in [
        ("HEAD", "http-request set-method GET", OK, 200, Some("7"), ""),
        ("HEAD", "http-request set-method POST", OK, 200, Some("7"), ""),
        ("HEAD", "http-request set-method GET", chunked, 200, None, ""),
        ("GET", "http-request set-method HEAD", OK, 200, Some("0"), ""),
        ("GET", "http-request set-method HEAD", chunked, 200, Some("0"), ""),
        ("GET", "http-response set-status 204", OK, 204, None, ""),
        ("GET", "http-response set-status 304", OK, 304, Some("7"), ""),
        ("GET", "http-response set-status 204", chunked, 204, None, ""),
        ("GET", "http-after-response set-status 204", OK, 204, None, ""),
        ("GET", "http-response set-status 200", none, 200, Some("0"), ""),
        ("GET", "http-response set-status 200", unchanged, 200, Some("0"), ""),
        ("HEAD", "http-response set-status 200", unchanged, 200, Some("9"), ""),
        ("GET", "http-request return status 200 content-type a/b string abc", OK, 200, Some("3"), "abc"),
        ("HEAD", "http-request return status 200 content-type a/b string abc", OK, 200, Some("3"), ""),
    ] {
        both_drivers(|driver| {
            let origin = answering(answer);
            let rule = format!("{rule} if {{ path /first }}");
            let rule = if rule.contains("response") {
                format!(
                    "http-request set-var(txn.path) path\n    {}",
                    rule.replace("path /f", "var(txn.path) -m str /f")
                )
            } else {
                rule
            };
            let proxy = listen(driver, &origin, &rule);
            let mut client = proxy.client("fe");
            client.send(format!("{method} /first HTTP/1.1\r\nHost: a\r\n\r\n"));
            let first = client.response_to(method);
            let got = (first.status, first.header("content-length"), first.text());
            assert_eq!(got, (status, length, body.to_owned()), "{method} {rule}");
            let plain = if answer == chunked {
                "abc"
            } else if answer == OK {
                "bodybod"
            } else {
                ""
            };
            for _ in 0..2 {
                assert_eq!(client.get("/next", "").text(), plain, "{method} {rule}");
            }
        });
    }
}

#[test]
fn a_final_answer_that_a_rule_makes_an_interim_one_ends_the_connection() {
    both_drivers(|driver| {
        let origin = answering(OK);
        let proxy = listen(driver, &origin, "http-response set-status 103");
        let mut client = proxy.client("fe");
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let got = String::from_utf8(client.read_to_end()).unwrap();
        assert!(got.starts_with("HTTP/1.1 103 ") && got.ends_with("\r\n\r\n"), "{got:?}");
        assert!(!got.contains("bodybod"));
    });
}

#[test]
fn a_tunnel_stands_only_where_both_sides_agree_on_it() {
    let switch = "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nraw";
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n";
    let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let opened = "HTTP/1.1 200 OK\r\n\r\nraw";
    // The last column: whether what the client sends on reaches the server.
    for (rules, request, answer, status, goes_up) in [
        ("", upgrade, switch, 101, true),
        ("", connect, opened, 200, true),
        ("", get, switch, 502, false),
        ("http-request del-header upgrade", upgrade, switch, 502, false),
        ("http-response set-status 200", upgrade, switch, 200, false),
        ("http-request set-method GET", connect, opened, 200, false),
        ("http-request set-method CONNECT", get, opened, 200, false),
        ("http-response set-status 403", connect, opened, 403, false),
        (
            "http-response set-status 200",
            connect,
            "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nraw",
            200,
            false,
        ),
        (
            "http-request set-header Upgrade foo\n    http-request set-header Connection upgrade",
            get,
            switch,
            101,
            true,
        ),
    ] {
        both_drivers(|driver| {
            let (tell, told) = std::sync::mpsc::channel();
            let tell = std::sync::Mutex::new(tell);
            let origin = Origin::raw(move |mut stream, _, _| {
                let mut buffer = Vec::new();
                if origin::read_request(&mut stream, &mut buffer, 0).is_none() {
                    return;
                }
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let mut more = Vec::new();
                let _ = std::io::Read::read_to_end(&mut stream, &mut more);
                let _ = tell.lock().unwrap().send(more);
            });
            let proxy = listen(driver, &origin, rules);
            let mut client = proxy.client("fe");
            client.send(request);
            let head = client.line().unwrap().unwrap_or_default();
            assert_eq!(head.split(' ').nth(1), Some(&*status.to_string()), "{rules} {request:?}");
            let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
            let _ = client.stream().shutdown(std::net::Shutdown::Write);
            client.read_to_end();
            drop(client);
            let up = String::from_utf8(told.recv_timeout(LIMIT).unwrap()).unwrap();
            assert_eq!(up.contains("/smuggled"), goes_up, "{rules} {request:?}: {up:?}");
        });
    }
}

#[test]
fn a_switch_of_protocols_waits_for_the_whole_request() {
    // The tunnel began in the middle of a chunk, and the server read chunk sizes as the other protocol.
    for (answer, lines) in [
        (
            "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nraw",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
        ),
        (
            "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nraw",
            "Content-Length: 9\r\n\r\nabcd",
        ),
    ] {
        both_drivers(|driver| {
            let origin = Origin::raw(move |mut stream, _, _| {
                let mut buffer = Vec::new();
                let _ = origin::read_head(&mut stream, &mut buffer, 0);
                let _ = stream.write_all(answer.as_bytes());
                let _ = std::io::Read::read_to_end(&mut stream, &mut buffer);
            });
            let proxy = listen(driver, &origin, "");
            let mut client = proxy.client("fe");
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n{lines}"
            ));
            assert_eq!(client.response().status, 502);
        });
    }
}

#[test]
fn what_rules_and_files_write_of_the_connection_is_sent_and_meant() {
    // The rule, and how many requests of three the client's connection serves; a line that the answer has.
    for (rule, served, line) in [
        ("http-response set-header Connection close", 1, "connection: close"),
        ("http-after-response set-header Connection close", 1, "connection: close"),
        ("http-response add-header Connection x-own,close", 1, "Connection: x-own"),
        ("http-response set-header Connection keep-alive", 3, "content-length: 7"),
        ("http-request return status 200 hdr Connection close", 1, "connection: close"),
        ("http-request return status 200 hdr Keep-Alive timeout=5", 3, "Keep-Alive: timeout=5"),
        ("http-request deny deny_status 403 hdr Connection close", 1, "connection: close"),
        ("errorfile 403 @dir@/403.http\n    http-request deny", 1, "connection: close"),
        ("http-error status 403 hdr Connection close\n    http-request deny", 1, "connection: close"),
        ("http-response set-header Keep-Alive timeout=9", 3, "Keep-Alive: timeout=9"),
        ("http-response set-header Proxy-Connection a", 3, "Proxy-Connection: a"),
        ("http-response set-header Upgrade foo", 3, "Upgrade: foo"),
        (
            "http-response set-header Connection upgrade\n    http-response set-header Upgrade foo",
            3,
            "connection: upgrade",
        ),
        ("http-response set-header content-length 5", 3, "content-length: 7"),
        ("http-response set-header transfer-encoding chunked", 3, "content-length: 7"),
        ("http-response del-header content-length", 3, "content-length: 7"),
    ] {
        both_drivers(|driver| {
            let origin = answering(OK);
            let address = origin.address();
            let builder = Proxy::build(driver);
            builder.write("403.http", "HTTP/1.0 403 No\r\nConnection: close\r\nX-File: 1\r\n\r\nno");
            let proxy = builder.start(&format!(
                "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    {rule}\n    server s1 {address}\n"
            ));
            let mut client = proxy.client("fe");
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
            let mut answers = 0;
            while answers < 3
                && let Ok(response) = client.try_response_to("GET")
            {
                assert!(response.head.lines().any(|found| found == line), "{rule}: {}", response.head);
                answers += 1;
            }
            assert_eq!(answers, served, "{rule}");
        });
    }
}

#[test]
fn what_rules_write_of_the_servers_connection_is_sent_and_meant() {
    // The rule, the lines that the server gets beside the Host, and the connections that three requests take.
    for (rule, lines, connections) in [
        ("http-request set-header Connection close", "connection: close", 3),
        ("http-request set-header Connection x-own", "Connection: x-own", 1),
        ("http-request set-header Keep-Alive a", "Keep-Alive: a", 1),
        ("http-request set-header Proxy-Connection a", "Proxy-Connection: a", 1),
        ("http-request set-header Upgrade foo", "Upgrade: foo", 1),
        (
            "http-request set-header Upgrade foo\n    http-request set-header Connection upgrade",
            "Upgrade: foo\r\nconnection: upgrade",
            1,
        ),
        ("http-request set-header content-length 5", "", 1),
        ("http-request set-header transfer-encoding chunked", "", 1),
    ] {
        both_drivers(|driver| {
            let origin = answering(OK);
            let proxy = listen(driver, &origin, rule);
            let mut client = proxy.client("fe");
            for _ in 0..3 {
                // What the client says of its own connection stays behind.
                let response = client.get("/", "Keep-Alive: peer\r\nProxy-Connection: peer\r\n");
                assert_eq!(response.text(), "bodybod", "{rule}");
            }
            let head = origin.last().head;
            let (_, rest) = head.split_once("Host: test").unwrap();
            assert_eq!(rest.trim(), lines, "{rule}");
            assert_eq!(origin.connections(), connections, "{rule}");
        });
    }
}

#[test]
fn a_204_has_a_length_only_if_a_rule_writes_one() {
    for (rule, length) in [
        ("http-response set-header content-length 0 if { status 204 }", Some("0")),
        ("http-response set-header x y", None),
    ] {
        both_drivers(|driver| {
            let origin = answering("HTTP/1.1 204 None\r\nContent-Length: 3\r\n\r\n");
            let proxy = listen(driver, &origin, rule);
            let mut client = proxy.client("fe");
            for _ in 0..2 {
                assert_eq!(client.get("/", "").header("content-length"), length);
            }
        });
    }
}

#[test]
fn an_upgrade_that_a_server_offers_is_told() {
    for (answer, connection, upgrade) in [
        (
            "426 No\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n",
            Some("upgrade"),
            Some("TLS/1.2, HTTP/1.1"),
        ),
        ("200 OK\r\nConnection: close, Upgrade\r\nUpgrade: foo\r\n", Some("upgrade"), Some("foo")),
        ("200 OK\r\nUpgrade: foo\r\n", None, Some("foo")),
        ("200 OK\r\nConnection: Upgrade\r\n", None, None),
        ("200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", None, None),
    ] {
        let answer: &'static str = format!("HTTP/1.1 {answer}Content-Length: 2\r\n\r\nno").leak();
        both_drivers(|driver| {
            let origin = answering(answer);
            let proxy = listen(driver, &origin, "");
            let mut client = proxy.client("fe");
            for _ in 0..2 {
                let response = client.get("/", "");
                assert_eq!(
                    (response.header("connection"), response.header("upgrade")),
                    (connection, upgrade)
                );
            }
        });
    }
}

#[test]
fn an_invitation_to_send_the_body_follows_what_the_client_sent() {
    let wait = "http-request wait-for-body time 10s";
    let deleted = "http-request del-header expect\n    http-request wait-for-body time 10s";
    for (rules, version, fields, body, invited) in [
        (wait, "1.1", "Expect: 100-continue\r\nContent-Length: 2\r\n", "ab", true),
        (deleted, "1.1", "Expect: 100-continue\r\nContent-Length: 2\r\n", "ab", true),
        (wait, "1.1", "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n", true),
        (wait, "1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", "", false),
        (wait, "1.1", "Expect: 100-continue\r\n", "", false),
        (wait, "1.0", "Expect: 100-continue\r\nContent-Length: 2\r\n", "ab", false),
        (wait, "1.1", "Content-Length: 2\r\n", "ab", false),
    ] {
        both_drivers(|driver| {
            let origin = answering(OK);
            let proxy = listen(driver, &origin, rules);
            let mut client = proxy.client("fe");
            client.send(format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"));
            if invited {
                assert_eq!(client.response().status, 100);
            }
            client.send(body);
            assert_eq!(client.response().status, 200, "{rules} {version} {fields:?}");
            let decoded = if body.is_empty() { "" } else { "ab" };
            assert_eq!(origin.last().body, decoded.as_bytes());
        });
    }
}

#[test]
fn logs_tell_the_request_line_as_it_came() {
    both_drivers(|driver| {
        let mut log = Syslog::start();
        let origin = answering(OK);
        let lines = format!(
            "log {} local0\n    log-format \"<%HM|%HU|%r>\"\n    http-request set-method GET\n    \
             http-request set-path /other\n    http-request set-header x-method %[method]",
            log.address()
        );
        let proxy = listen(driver, &origin, &lines);
        let mut client = proxy.client("fe");
        client.send("HEAD /as-it-came HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response_to("HEAD").status, 200);
        log.wait_for(&["<HEAD|/as-it-came|HEAD /as-it-came HTTP/1.1>"]);
        assert_eq!((origin.last().method(), origin.last().header("x-method")), ("GET", Some("HEAD")));
    });
}

#[test]
fn an_early_answer_leaves_the_client_its_connection() {
    const PART: usize = 50_000;
    const PARTS: usize = 40;
    let body = |chunked: bool| match chunked {
        false => "x".repeat(PART),
        true => format!("{PART:x}\r\n{}\r\n", "x".repeat(PART)),
    };
    for (rules, status) in [
        ("", 413),
        ("http-request deny", 403),
        ("http-request wait-for-body time 10s at-least 1k\n    http-request deny", 403),
        ("http-response deny deny_status 500", 500),
        (
            "use-server none if TRUE\n    server none 127.0.0.1:1 disabled\n    http-request return status 200",
            200,
        ),
    ] {
        for chunked in [false, true] {
            both_drivers(|driver| {
                // It answers the head at once and never reads the body.
                let origin = Origin::raw(|mut stream, _, _| {
                    let mut buffer = Vec::new();
                    let _ = origin::read_head(&mut stream, &mut buffer, 0);
                    let _ = stream
                        .write_all(b"HTTP/1.1 413 Big\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlong");
                });
                let proxy = listen(driver, &origin, rules);
                let mut client = proxy.client("fe");
                for _ in 0..2 {
                    client.send(match chunked {
                        true => "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                        false => {
                            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", PART * PARTS)
                        }
                    });
                    for _ in 0..PARTS {
                        client.send(body(chunked));
                    }
                    if chunked {
                        client.send("0\r\n\r\n");
                    }
                    let response = client.response();
                    assert_eq!((response.status, response.header("connection")), (status, None), "{rules}");
                }
            });
        }
    }
}

#[test]
fn a_server_that_answers_early_gets_the_rest_of_the_body() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, number, seen| {
            let mut buffer = Vec::new();
            while let Some(request) = origin::read_head(&mut stream, &mut buffer, number) {
                let _ = stream.write_all(OK.as_bytes());
                let Some(request) = origin::read_body(&mut stream, &mut buffer, request) else { return };
                seen.note(&request);
            }
        });
        let proxy = listen(driver, &origin, "");
        let mut client = proxy.client("fe");
        for _ in 0..2 {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
            assert_eq!(client.response().text(), "bodybod");
            client.send("y".repeat(400_000));
        }
        assert_eq!(client.get("/", "").text(), "bodybod");
        let bodies: Vec<_> = origin.seen().iter().map(|request| request.body.len()).collect();
        assert_eq!(bodies[..2], [400_000, 400_000]);
        assert_eq!(origin.connections(), 1, "it is used again");
    });
}

#[test]
fn a_client_that_stops_after_an_early_answer_is_waited_for_once() {
    both_drivers(|driver| {
        let mut log = Syslog::start();
        let origin = Origin::raw(|mut stream, _, _| {
            let mut buffer = Vec::new();
            let _ = origin::read_head(&mut stream, &mut buffer, 0);
            let _ = stream.write_all(b"HTTP/1.1 413 Big\r\nContent-Length: 4\r\n\r\nlong");
            let _ = std::io::Read::read_to_end(&mut stream, &mut buffer);
        });
        let lines =
            format!("timeout client 300ms\n    log {} local0\n    log-format \"<%ts %ST>\"", log.address());
        let proxy = listen(driver, &origin, &lines);
        let mut client = proxy.client("fe");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\nsome");
        assert_eq!(client.response().status, 413);
        assert!(client.is_closed_within(Duration::from_secs(5)));
        log.wait_for(&["<cL 413>"]);
    });
}

/// The value of a column in the statistics, for a proxy's line.
fn statistic(proxy: &Proxy, line: &str, column: &str) -> String {
    let csv = proxy.admin("show stat");
    let mut lines = csv.lines();
    let header = lines.next().unwrap().trim_start_matches("# ").to_owned();
    let at = header.split(',').position(|name| name == column).unwrap();
    let row = lines.find(|row| row.starts_with(line)).unwrap_or_else(|| panic!("no {line}: {csv}"));
    row.split(',').nth(at).unwrap().to_owned()
}

#[test]
fn a_rewrite_that_fails_ends_the_rules_with_a_500_and_counts_where_it_happened() {
    // Two of them, or one beside the field that the client sent, do not fit.
    let long = "add-header X %[var(txn.a)]";
    let fill = "http-request set-var-fmt(txn.a) %[req.hdr(fill)]";
    // The list, and the failures that frontend, backend and server count. The page that tells the error runs
    // into the after-response rules again.
    for (list, failed) in [
        ("http-request", ["2", "0", "0"]),
        ("http-response", ["2", "2", "2"]),
        ("http-after-response", ["3", "3", "2"]),
    ] {
        both_drivers(|driver| {
            let origin = answering(OK);
            let first = if list == "http-request" { String::new() } else { format!("{list} {long}") };
            let rules = format!(
                "{fill}\n    {list} strict-mode off if {{ var(txn.soft) -m found }}\n    {first}\n    {list} {long}"
            );
            let rules = format!("http-request set-var(txn.soft) str(1) if {{ path /soft }}\n    {rules}");
            let proxy = listen(driver, &origin, &rules);
            for (path, status) in [("/", 500), ("/soft", 200)] {
                let mut client = proxy.client("fe");
                client
                    .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nFill: {}\r\n\r\n", "f".repeat(10_000)));
                assert_eq!(client.response().status, status, "{list} {path}");
            }
            for (line, failed) in ["be,FRONTEND", "be,BACKEND", "be,s1"].into_iter().zip(failed) {
                assert_eq!(statistic(&proxy, line, "wrew"), failed, "{list} {line}");
                let errors = if failed == "0" { "0" } else { "1" };
                assert_eq!(statistic(&proxy, line, "eint"), errors, "{list} {line}");
            }
        });
    }
    // An answer of the proxy itself, which these rules also see.
    both_drivers(|driver| {
        let origin = answering(OK);
        let proxy = listen(
            driver,
            &origin,
            &format!(
                "{fill}\n    http-request return status 200{}",
                format!("\n    http-after-response {long}").repeat(2)
            ),
        );
        let mut client = proxy.client("fe");
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nFill: {}\r\n\r\n", "f".repeat(10_000)));
        assert_eq!(client.response().status, 500);
    });
}
