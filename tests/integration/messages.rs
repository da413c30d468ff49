//! HTTP/1 messages as clients send them: bodies, versions, connections, and what is refused.

use std::io::Write;
use std::time::Duration;

use crate::support::*;

/// A `listen` section over one origin, with more lines.
fn listen(origin: &Origin, lines: &str) -> String {
    format!("{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n    {lines}\n", origin.address())
}

fn start(driver: Driver, origin: &Origin, lines: &str) -> Proxy {
    Proxy::start(driver, &listen(origin, lines))
}

fn chunked(parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
    parts + "0\r\n\r\n"
}

#[test]
fn requests_of_a_connection_are_answered_in_order() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| Reply::ok(request.path()));
        let proxy = start(driver, &origin, "");
        let mut client = proxy.client("fe");
        for number in 0..50 {
            let path = format!("/{number}");
            assert_eq!(client.get(&path, "").text(), path);
        }
        // All at once, the answers in order nevertheless.
        let burst: String =
            (0..30).map(|number| format!("GET /p{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.send(burst);
        for number in 0..30 {
            assert_eq!(client.response().text(), format!("/p{number}"));
        }
        assert_eq!(origin.connections(), 1, "the connection to the server is used again");
    });
}

#[test]
fn bytes_are_counted_on_each_side() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let proxy = start(
            driver,
            &origin,
            "http-request set-header x-added 123456789\n    http-response del-header x-served-by\n\
             frontend m\n    bind @metrics@\n    http-request use-service prometheus-exporter if { path /metrics }",
        );
        let requests = [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        let mut client = proxy.client("fe");
        client.send(requests.concat());
        let received: usize =
            requests.map(|_| client.response()).iter().map(|got| got.head.len() + 4 + got.body.len()).sum();
        drop(client);
        let sent: usize = requests.map(str::len).iter().sum();
        let (added, removed) = (3 * "x-added: 123456789\r\n".len(), 3 * "X-Served-By: a\r\n".len());
        assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"));
        for row in ["FRONTEND", "BACKEND", "s1"] {
            let stat = |name| proxy.stat("be", row, name).parse::<usize>().unwrap();
            let names = ["bin", "reqbin", "reqbout", "resbin", "resbout", "bout"];
            let expected = [sent, sent, sent + added, received + removed, received, received];
            assert_eq!(names.map(stat), expected, "{row}");
        }
        // The exporter tells the same of each side.
        let metrics = proxy.client("metrics").get("/metrics", "").text();
        let metric = |line: &str| {
            let value = metrics.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
            value
                .and_then(|value| value.parse::<usize>().ok())
                .unwrap_or_else(|| panic!("no {line} in {metrics}"))
        };
        for (row, kind, labels) in [
            ("FRONTEND", "frontend", "proxy=\"be\""),
            ("BACKEND", "backend", "proxy=\"be\""),
            ("s1", "server", "proxy=\"be\",server=\"s1\""),
        ] {
            for (name, column) in [
                ("bytes_in", "bin"),
                ("bytes_out", "bout"),
                ("req_bytes_in", "reqbin"),
                ("req_bytes_out", "reqbout"),
                ("res_bytes_in", "resbin"),
                ("res_bytes_out", "resbout"),
            ] {
                let expected: usize = proxy.stat("be", row, column).parse().unwrap();
                assert!(expected > 0, "{row} {column}");
                assert_eq!(
                    metric(&format!("haproxy_{kind}_{name}_total{{{labels}}}")),
                    expected,
                    "{row} {name}"
                );
            }
        }
    });
}

#[test]
fn bodies_pass_by_length_and_in_chunks() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| match request.path() {
            "/chunks" => Reply::raw(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                chunked(&["abc", "", "defgh"].map(|part| if part.is_empty() { "-" } else { part }))
            )),
            _ => Reply::ok(&request.body),
        });
        let proxy = start(driver, &origin, "");
        let mut client = proxy.client("fe");
        for size in [0_usize, 1, 1_000, 16_383, 16_384, 16_385, 70_000, 3_000_000] {
            let body = vec![b'a' + (size % 26) as u8; size];
            client.send(format!("POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
            client.send(&body);
            let response = client.response();
            assert!(response.body == body, "{size}: {} bytes came back", response.body.len());
            client.send("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            for part in body.chunks(9_999) {
                client.send(format!("{:x};ext=1\r\n", part.len()));
                client.send(part);
                client.send("\r\n");
            }
            client.send("0\r\n\r\n");
            let response = client.response();
            assert!(response.body == body, "{size} in chunks: {} bytes came back", response.body.len());
        }
        assert_eq!(client.get("/chunks", "").text(), "abc-defgh");
        // Byte by byte, so that every state of the parser ends a read once.
        for byte in
            b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
        {
            client.send([*byte]);
        }
        assert_eq!(client.response().text(), "xyz");
    });
}

#[test]
fn expect_100_reaches_the_origin_and_its_answer_the_client() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, number, seen| {
            let mut buffer = Vec::new();
            // The head alone first: the body comes after the invitation.
            let Some(request) = origin::read_head(&mut stream, &mut buffer, number) else { return };
            assert_eq!(request.header("expect"), Some("100-continue"));
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            let Some(request) = origin::read_body(&mut stream, &mut buffer, request) else { return };
            seen.note(&request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
        let proxy = start(driver, &origin, "");
        let mut client = proxy.client("fe");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(client.response().status, 100);
        client.send("hello");
        assert_eq!(client.response().status, 200);
        assert_eq!(origin.last().body, b"hello");
    });
}

#[test]
fn http_1_0_is_answered_and_closed_unless_asked() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| Reply::ok(request.path()));
        let proxy = start(driver, &origin, "");
        let mut client = proxy.client("fe");
        client.send("GET /old HTTP/1.0\r\n\r\n");
        assert_eq!(client.response().text(), "/old");
        assert!(client.is_closed_within(LIMIT));
        let mut client = proxy.client("fe");
        for path in ["/one", "/two"] {
            client.send(format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
            let response = client.response();
            assert_eq!(response.text(), path);
            let kept = response.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("keep-alive"));
            assert!(kept, "{}", response.head);
        }
        let mut client = proxy.client("fe");
        let response = client.get("/new", "Connection: close\r\n");
        assert_eq!(response.text(), "/new");
        assert!(client.is_closed_within(LIMIT));
    });
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    both_drivers(|driver| {
        let origin = Origin::http(|_| Reply::raw("HTTP/1.1 200 OK\r\n\r\nuntil the end").and_close());
        let proxy = start(driver, &origin, "");
        let response = proxy.client("fe").get("/", "");
        assert_eq!((response.text().as_str(), response.truncated), ("until the end", false));
    });
}

#[test]
fn a_client_that_has_said_everything_still_gets_its_answer() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| {
            std::thread::sleep(Duration::from_millis(100));
            Reply::ok(&request.body)
        });
        let proxy = start(driver, &origin, "no option abortonclose");
        let mut client = proxy.client("fe");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        client.finish_sending();
        assert_eq!(client.response().text(), "body");
        assert!(client.is_closed_within(LIMIT));
    });
}

#[test]
fn malformed_and_ambiguous_requests_are_refused() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| Reply::ok(request.path()));
        let proxy = start(driver, &origin, "");
        for request in [
            "GET /\r\n\r\n ",
            "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ] {
            let mut client = proxy.client("fe");
            client.send(request);
            let status = client.response().status;
            assert!(matches!(status, 400 | 422 | 501 | 505), "{request:?}: {status}");
            assert!(client.is_closed_within(LIMIT), "{request:?}: nothing is read after a refusal");
        }
        assert_eq!(origin.requests(), 0, "none of it reached the origin");
        // What both ends could read differently is sent on with one reading.
        let mut client = proxy.client("fe");
        client.send(format!(
            "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            chunked(&["abcdef"])
        ));
        match client.try_response_to("POST") {
            Ok(response) if response.status == 400 => assert_eq!(origin.requests(), 0),
            Ok(response) => {
                assert_eq!((response.status, response.text().as_str()), (200, "/both"));
                let request = origin.last();
                assert_eq!(request.header("content-length"), None, "{}", request.head);
                assert_eq!(request.body, b"abcdef");
            }
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn a_head_that_does_not_fit_is_refused() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let config = format!("global\n    tune.bufsize 16384\n{}", listen(&origin, ""));
        let proxy = Proxy::start(driver, &config);
        let request =
            |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(length));
        let mut client = proxy.client("fe");
        client.send(request(12_000));
        assert_eq!(client.response().status, 200);
        let mut client = proxy.client("fe");
        client.send(request(20_000));
        let status = client.response().status;
        assert!(matches!(status, 400 | 431), "{status}");
        let fields: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
        let mut client = proxy.client("fe");
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        let status = client.response().status;
        assert!(matches!(status, 400 | 431), "{status}");
        assert_eq!(origin.requests(), 1);
    });
}

#[test]
fn a_server_that_is_not_there_is_tried_again_and_then_given_up() {
    both_drivers(|driver| {
        let mut dead = Origin::named("dead");
        dead.stop();
        let alive = Origin::named("alive");
        let config = format!(
            "{HTTP_DEFAULTS}
    retries 2
    timeout connect 300ms
frontend fe
    bind @fe@
    use_backend two if {{ path /two }}
    default_backend one
backend one
    server dead {dead}
backend two
    option redispatch 1
    server dead {dead}
    server alive {alive}
",
            dead = dead.address(),
            alive = alive.address()
        );
        let proxy = Proxy::start(driver, &config);
        assert_eq!(proxy.client("fe").get("/one", "").status, 503);
        assert_eq!(proxy.stat("one", "dead", "wretr"), "2");
        assert_eq!(proxy.stat("one", "dead", "econ"), "1");
        for _ in 0..6 {
            assert_eq!(proxy.client("fe").get("/two", "").text(), "alive");
        }
        assert_ne!(proxy.stat("two", "BACKEND", "wredis"), "0");
    });
}

#[test]
fn fields_of_a_connection_are_not_passed_on() {
    both_drivers(|driver| {
        let origin = Origin::http(|_| {
            Reply::status(200, "Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 2\r\n", "")
        });
        let proxy = start(driver, &origin, "option forwardfor");
        let mut client = proxy.client("fe");
        let response = client.get("/", "Connection: keep-alive\r\nX-Kept: yes\r\n");
        assert_eq!(response.header("x-end"), Some("2"));
        let request = origin.last();
        assert_eq!(request.header("x-kept"), Some("yes"));
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.header("host"), Some("test"));
        assert_ne!(request.header("connection"), Some("close"), "{}", request.head);
    });
}

#[test]
fn an_upgrade_that_the_server_declines_stays_http() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| Reply::ok(request.path()));
        let proxy = start(driver, &origin, "");
        let mut client = proxy.client("fe");
        let response = client.get("/plain", "Connection: Upgrade\r\nUpgrade: example/1\r\n");
        assert_eq!((response.status, response.text().as_str()), (200, "/plain"));
        assert_eq!(client.get("/next", "").text(), "/next");
    });
}

#[test]
fn a_broken_request_body_breaks_nothing_else() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| Reply::ok(request.path()));
        let proxy = start(driver, &origin, "");
        let mut client = proxy.client("fe");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX\r\n");
        let status = client.try_response_to("POST").map_or(400, |response| response.status);
        assert_eq!(status, 400);
        // One that leaves in the middle.
        let mut client = proxy.client("fe");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
        drop(client);
        for _ in 0..5 {
            assert_eq!(proxy.client("fe").get("/after", "").text(), "/after");
        }
        assert!(origin.seen().iter().all(|request| request.path() == "/after"));
    });
}
