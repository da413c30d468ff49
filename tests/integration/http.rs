//! HTTP between a client and a server: framing, what is pipelined, retries, early answers, reuse.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::support::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn listen(driver: Driver, origin: &Origin, lines: &str) -> Proxy {
    Proxy::start(
        driver,
        &format!(
            "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    {lines}\n    server s1 {}\n",
            origin.address()
        ),
    )
}

/// An origin whose connections answer their requests with these bytes in turn; the last stands for
/// all that follow. Empty bytes close the connection instead.
fn scripted(answers: &'static [&'static str]) -> Origin {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    Origin::http(move |_| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let bytes = answers[turn.min(answers.len() - 1)];
        let reply = Reply::raw(bytes);
        if bytes.is_empty() { reply.and_close() } else { reply }
    })
}

#[test]
fn answers_without_a_body_keep_what_they_tell_of_it() {
    // A HEAD was answered with a length of 0, a 304 with none, and 2xx to CONNECT with one.
    for (request, answer, expected) in [
        (
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
        ),
        (
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
        (
            GET,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n",
        ),
        (GET, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\n\r\nhello",
        ),
    ] {
        let origin = Origin::raw(move |mut stream, _, _| {
            let mut buffer = Vec::new();
            if origin::read_request(&mut stream, &mut buffer, 0).is_some() {
                let _ = stream.write_all(answer.as_bytes());
                let _ = origin::read_request(&mut stream, &mut buffer, 0);
            }
        });
        both_drivers(|driver| {
            let proxy = listen(driver, &origin, "");
            let mut client = proxy.client("fe");
            client.send(request);
            let got = client.read_exact(expected.len());
            assert_eq!(String::from_utf8_lossy(&got), expected, "{request:?}");
        });
    }
}

#[test]
fn what_is_pipelined_behind_a_failure_is_served() {
    // Requests behind one that failed were dropped with its upload, and the client waited for ever.
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    for (lines, first, statuses) in [
        ("", GET, [502, 200]),
        ("", post, [502, 200]),
        ("retry-on empty-response", GET, [200, 200]),
        ("retry-on empty-response", post, [200, 200]),
        (
            "http-response deny deny_status 403 if { status 200 } { capture.req.method POST }",
            post,
            [502, 200],
        ),
    ] {
        both_drivers(|driver| {
            let origin = scripted(&["", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]);
            let proxy = listen(driver, &origin, lines);
            let mut client = proxy.client("fe");
            client.send(format!("{first}{GET}"));
            let got = [client.response().status, client.response().status];
            assert_eq!(got, statuses, "{lines:?} {first:?}");
            for request in origin.seen() {
                let body: &[u8] = if request.method() == "POST" { b"hello" } else { b"" };
                assert_eq!(request.body, body);
            }
        });
    }
}

#[test]
fn what_is_pipelined_behind_a_refused_answer_is_served() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let rule = "http-response deny deny_status 403 if { capture.req.method POST }";
        let proxy = listen(driver, &origin, rule);
        let mut client = proxy.client("fe");
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello{GET}"));
        assert_eq!([client.response().status, client.response().status], [403, 200]);
    });
}

#[test]
fn retries_on_layer_7_are_made_where_asked_and_only_there() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";
    let fastest_us = AtomicU64::new(u64::MAX);
    for (lines, answers, status, reason, requests) in [
        ("retry-on 503", &[BUSY, OK][..], 200, "OK", 2),
        ("retry-on 503\n    retries 0", &[BUSY, OK], 503, "Busy", 1),
        ("retry-on 503\n    http-request disable-l7-retry", &[BUSY, OK], 503, "Busy", 1),
        ("retry-on empty-response", &["", OK], 200, "OK", 2),
        ("retry-on junk-response", &["junk\r\n\r\n", OK], 200, "OK", 2),
        ("retry-on conn-failure", &["", OK], 502, "Bad Gateway", 1),
        ("", &["", OK], 502, "Bad Gateway", 1),
    ] {
        let answers: &'static [&'static str] = answers;
        both_drivers(|driver| {
            let origin = scripted(answers);
            let proxy = listen(driver, &origin, lines);
            let started = std::time::Instant::now();
            let response = proxy.client("fe").get("/", "");
            assert_eq!((response.status, origin.requests()), (status, requests), "{lines:?}");
            assert!(response.head.starts_with(&format!("HTTP/1.1 {status} {reason}")), "{}", response.head);
            if requests > 1 {
                fastest_us.fetch_min(started.elapsed().as_micros() as u64, Relaxed);
            }
        });
    }
    // Any one is enough: a busy machine makes some slow.
    assert!(fastest_us.into_inner() < 1_000_000, "a retry on layer 7 does not pause for a second");
}

#[test]
fn a_request_is_sent_again_with_its_body_however_that_comes_while_it_fits_a_buffer() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";
    let large = "x".repeat(100_000);
    let length = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let chunk = |body: &str| format!("{:x}\r\n{body}\r\n", body.len());
    // What is sent before the server has the head, what is sent then, and what the last server has got.
    for (first, second, body) in [
        (format!("{}hello", length("hello")), String::new(), Some("hello")),
        (format!("{}he", length("hello")), "llo".into(), Some("hello")),
        (length("hello"), "hello".into(), Some("hello")),
        (format!("{chunked}{}0\r\n\r\n", chunk("hello")), String::new(), Some("hello")),
        (format!("{chunked}{}", chunk("he")), format!("{}0\r\n\r\n", chunk("llo")), Some("hello")),
        (chunked.clone(), format!("{}0\r\n\r\n", chunk("hello")), Some("hello")),
        (length(&large), large.clone(), None),
        (chunked.clone(), format!("{}0\r\n\r\n", chunk(&large)), None),
    ] {
        // The first server fails with all of the body, or as soon as it has a byte of the second piece or more.
        for (answer, waits) in [(&b""[..], true), (BUSY, true), (b"", false), (BUSY, false)] {
            both_drivers(|driver| {
                let origin = Origin::raw(move |mut stream, number, seen| {
                    let mut buffer = Vec::new();
                    let Some(head) = origin::read_head(&mut stream, &mut buffer, number) else { return };
                    if number == 0 && !waits {
                        seen.note(&head);
                        let _ = stream.write_all(answer);
                        return;
                    }
                    // The second piece is sent once the head is here.
                    seen.note(&head);
                    let Some(whole) = origin::read_body(&mut stream, &mut buffer, head) else { return };
                    seen.note(&whole);
                    let _ = stream.write_all(if number == 0 { answer } else { OK });
                });
                let proxy = listen(driver, &origin, "retry-on all-retryable-errors");
                let mut client = proxy.client("fe");
                client.send(&first);
                assert!(wait_until(LIMIT, || origin.requests() > 0));
                let _ = client.try_send(&second);
                let place = format!("{first:?} {answer:?} {waits}");
                let response = client.try_response_to("POST");
                let Some(body) = body else {
                    // Whether it was still small enough at the first failure is a matter of luck without the wait.
                    if waits {
                        assert_ne!(response.map(|response| response.status).ok(), Some(200), "{place}");
                        assert_eq!(origin.connections(), 1, "{place}");
                    }
                    return;
                };
                assert_eq!(response.map(|response| response.status).ok(), Some(200), "{place}");
                assert_eq!(origin.connections(), 2, "{place}");
                assert_eq!(origin.last().body, body.as_bytes(), "{place}");
            });
        }
    }
}

#[test]
fn a_kept_connection_that_died_is_replaced_for_a_request_that_may_be_repeated() {
    // The second request of each origin connection is read and not answered.
    let dying = || {
        Origin::raw(|mut stream, _, seen| {
            let mut buffer = Vec::new();
            for turn in 0..2 {
                let Some(request) = origin::read_request(&mut stream, &mut buffer, 0) else { return };
                seen.note(&request);
                if turn == 0 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            }
        })
    };
    both_drivers(|driver| {
        let origin = dying();
        let proxy = listen(driver, &origin, "");
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/1", "").status, 200);
        assert_eq!(client.get("/2", "").status, 200, "a GET goes out again");
        assert_eq!(origin.requests(), 3);
        client.send("POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
        assert_eq!(client.read_to_end(), b"", "a POST does not: the client is left to decide");
        assert_eq!(origin.requests(), 4);
    });
}

#[test]
fn trailers_carry_no_fields_that_act_on_the_message() {
    both_drivers(|driver| {
        let (tell, told) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        let origin = Origin::raw(move |mut stream, _, _| {
            let (mut all, mut part) = (Vec::new(), [0; 4096]);
            while !all.ends_with(b"\r\n\r\n") || all.iter().filter(|byte| **byte == b'z').count() < 1 {
                match std::io::Read::read(&mut stream, &mut part) {
                    Ok(length @ 1..) => all.extend_from_slice(&part[..length]),
                    _ => break,
                }
            }
            let _ = tell.lock().unwrap().send(String::from_utf8_lossy(&all).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let proxy = listen(driver, &origin, "");
        let mut client = proxy.client("fe");
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\
             Authorization: c\r\nSum: z\r\n\r\n",
        );
        assert_eq!(client.response().status, 200);
        let told = told.recv_timeout(LIMIT).unwrap();
        assert!(told.ends_with("\r\n\r\n0\r\nSum: z\r\n\r\n"), "{told:?}");
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_ends_it() {
    // It was noticed only when the server sent more.
    for (line, expected) in [("", "CD"), ("no option abortonclose", "--")] {
        both_drivers(|driver| {
            let mut log = Syslog::start();
            let origin = Origin::raw(|mut stream, _, _| {
                let mut buffer = Vec::new();
                let _ = origin::read_request(&mut stream, &mut buffer, 0);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
                std::thread::sleep(Duration::from_millis(600));
                let _ = stream.write_all(b"def");
            });
            let lines = format!("{line}\n    log {} local0\n    option httplog", log.address());
            let proxy = listen(driver, &origin, &lines);
            let mut client = proxy.client("fe");
            client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
            // The head of the answer is on its way back by then: before, it is a matter of queueing.
            assert!(client.line().unwrap().is_some_and(|line| line.contains("200")));
            client.finish_sending();
            log.wait_for(&[&format!(" {expected}-- "), "/left"]);
            let whole = client.read_to_end().ends_with(b"abcdef");
            assert_eq!(whole, expected == "--", "{line:?}");
        });
    }
}

#[test]
fn chunks_that_are_none_are_a_bad_gateway_while_nothing_was_sent() {
    both_drivers(|driver| {
        let origin = scripted(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]);
        let proxy = listen(driver, &origin, "");
        assert_eq!(proxy.client("fe").get("/", "").status, 502);
    });
}

#[test]
fn a_connection_that_was_authenticated_is_nobody_elses() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| match request.path() {
            "/ntlm" => Reply::status(401, "WWW-Authenticate: NTLM\r\n", "who?"),
            _ => Reply::status(200, &format!("X-Connection: {}\r\n", request.connection), "ok"),
        });
        let proxy = listen(driver, &origin, "http-reuse always");
        let mut first = proxy.client("fe");
        assert_eq!(first.get("/ntlm", "").status, 401);
        let mut second = proxy.client("fe");
        let of_second = second.get("/", "").header("x-connection").map(str::to_owned);
        let of_first = first.get("/", "").header("x-connection").map(str::to_owned);
        assert_eq!(of_first.as_deref(), Some("0"), "its client keeps it");
        assert_ne!(of_second, of_first);
        assert_eq!(origin.connections(), 2);
    });
}

#[test]
fn trailers_pieces_and_pipelining_reach_the_server_as_they_were_meant() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let proxy = listen(driver, &origin, "");
        let mut client = proxy.client("fe");
        let post = "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
            5;x=\"y\"\r\nhello\r\n1\r\n!\r\n0\r\nTr: 1\r\n\r\n";
        let all = format!("{post}POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc{GET}");
        for piece in all.as_bytes().chunks(7) {
            client.send(piece);
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..3 {
            assert_eq!(client.response().status, 200);
        }
        let bodies: Vec<_> =
            origin.seen().iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect();
        assert_eq!(bodies, ["hello!", "abc", ""]);
    });
}

#[test]
fn odd_header_names_are_kept_deleted_or_refused() {
    for (option, status, seen) in [("preserve", 200, true), ("delete", 200, false), ("reject", 403, false)] {
        both_drivers(|driver| {
            let origin = Origin::http(|request| {
                Reply::ok(if request.header("x_odd").is_some() { "seen" } else { "not" })
            });
            let proxy = Proxy::start(
                driver,
                &format!(
                    "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    option http-restrict-req-hdr-names {option}\n    \
                     server s1 {}\n",
                    origin.address()
                ),
            );
            let response = proxy.client("fe").get("/", "X_Odd: 1\r\nX-Even: 2\r\n");
            assert_eq!(response.status, status, "{option}");
            assert_eq!(response.text() == "seen", seen, "{option}");
        });
    }
}

#[test]
fn a_connection_may_prefer_its_last_server() {
    both_drivers(|driver| {
        let origins = [Origin::named("a"), Origin::named("b")];
        for (option, alternates) in [("", true), ("option prefer-last-server", false)] {
            let proxy = Proxy::start(
                driver,
                &format!(
                    "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    balance roundrobin\n    {option}\n    \
                     server s1 {}\n    server s2 {}\n",
                    origins[0].address(),
                    origins[1].address()
                ),
            );
            let mut client = proxy.client("fe");
            let names: Vec<_> =
                (0..4).map(|_| client.get("/", "").header("x-served-by").map(str::to_owned)).collect();
            assert_eq!(names[0] != names[1], alternates, "{option:?}: {names:?}");
            assert_eq!(names[0], names[2], "{option:?}: {names:?}");
        }
    });
}

#[test]
fn what_is_no_request_is_refused_before_any_rule() {
    both_drivers(|driver| {
        let config = format!(
            "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    http-after-response set-header after yes\n    \
             http-request deny\n"
        );
        let proxy = Proxy::start(driver, &config);
        assert_eq!(proxy.client("fe").get("/", "").header("after"), Some("yes"));
        let mut client = proxy.client("fe");
        client.send("GET / HTTP/1.1\r\nbad field\r\n\r\n");
        let answer = client.response();
        assert_eq!((answer.status, answer.header("after")), (400, None));
    });
}
