//! Origins that die, come back, break off or talk nonsense while traffic flows.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::support::*;

#[test]
fn no_client_notices_a_server_that_dies_and_returns() {
    both_drivers(|driver| {
        let mut origins = [Origin::named("one"), Origin::named("two"), Origin::named("three")];
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
listen be
    bind @fe@
    balance roundrobin
    option redispatch
    retries 3
    retry-on conn-failure empty-response response-timeout
    default-server inter 50ms fall 1 rise 1 check
    server s1 {}
    server s2 {}
    server s3 {}
",
                origins[0].address(),
                origins[1].address(),
                origins[2].address()
            ),
        );
        let ended = AtomicBool::new(false);
        let (good, bad, broken) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let stops = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let mut client = proxy.client("fe");
                    while !ended.load(SeqCst) {
                        match client.try_get("/", "") {
                            Ok(response) if response.status == 200 && !response.truncated => {
                                good.fetch_add(1, SeqCst);
                            }
                            Ok(response) => {
                                println!("{}", response.head);
                                bad.fetch_add(1, SeqCst);
                                client = proxy.client("fe");
                            }
                            Err(_) => {
                                broken.fetch_add(1, SeqCst);
                                client = proxy.client("fe");
                            }
                        }
                    }
                });
            }
            let deadline = Instant::now() + Duration::from_secs(4);
            // A failure is told when the clients have ended: the scope waits for them.
            let (mut flows, mut returns) = (true, true);
            while flows && returns && Instant::now() < deadline {
                let goal = good.load(SeqCst) + 100;
                origins[0].stop();
                stops.fetch_add(1, SeqCst);
                flows = wait_until(LIMIT, || good.load(SeqCst) >= goal);
                origins[0].restart();
                origins[0].forget();
                returns = wait_until(LIMIT, || origins[0].requests() > 10);
            }
            ended.store(true, SeqCst);
            assert!(flows, "traffic flows without it");
            assert!(returns, "and comes back to it");
        });
        let (bad, broken, stops) = (bad.load(SeqCst), broken.load(SeqCst), stops.load(SeqCst));
        // An answer that was under way when its server died cannot be had twice: those only.
        assert_eq!(bad, 0, "of {} with {stops} stops", good.load(SeqCst));
        assert!(broken <= stops * 2, "{broken} broken off by {stops} stops");
        assert!(good.load(SeqCst) > 1_000 && stops >= 3);
    });
}

fn start(driver: Driver, extra: &str, origin: &Origin) -> Proxy {
    Proxy::start(
        driver,
        &format!("{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n{extra}\n    server s1 {}\n", origin.address()),
    )
}

#[test]
fn kept_connections_that_close_at_once_cost_nobody_a_request() {
    both_drivers(|driver| {
        // Says that it keeps the connection, and closes it.
        let origin = Origin::http(|_| Reply::ok("fine").and_close());
        let proxy = start(driver, "    http-reuse always", &origin);
        let mut client = proxy.client("fe");
        for number in 0..300 {
            let response = client.get("/", "");
            assert_eq!((response.status, response.text().as_str()), (200, "fine"), "request {number}");
        }
    });
}

#[test]
fn a_kept_connection_that_closes_under_the_next_request_is_replaced() {
    both_drivers(|driver| {
        // Answers once on each connection, reads the next request and closes without a word.
        let origin = Origin::raw(|mut stream, number, seen| {
            let mut buffer = Vec::new();
            let Some(request) = origin::read_request(&mut stream, &mut buffer, number) else { return };
            seen.note(&request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            let _ = origin::read_request(&mut stream, &mut buffer, number);
        });
        let proxy = start(driver, "    retry-on conn-failure empty-response", &origin);
        let mut client = proxy.client("fe");
        for number in 0..50 {
            assert_eq!(client.get("/", "").status, 200, "request {number}");
        }
        assert_eq!(origin.requests(), 50);
        let first = origin.seen()[0].connection;
        assert!(origin.seen().iter().skip(1).all(|request| request.connection != first));
    });
}

#[test]
fn answers_that_are_no_answers() {
    both_drivers(|driver| {
        for (bytes, close, expected) in [
            (&b"this is not HTTP at all\r\n\r\n"[..], false, 502),
            (b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", false, 502),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", false, 502),
            (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false, 502),
            (b"HTTP/1.1 200 OK\r\nBad Header: 1\r\n\r\n", false, 502),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\n", false, 502),
            (b"HTTP/1.1 200 OK\r\nContent-Le", true, 502),
            (b"", true, 502),
            (b"\0\0\0\0", true, 502),
        ] {
            let origin = Origin::http(move |_| {
                let reply = Reply::raw(bytes);
                if close { reply.and_close() } else { reply }
            });
            let proxy = start(driver, "", &origin);
            let response = proxy.client("fe").get("/", "");
            assert_eq!(response.status, expected, "{}", String::from_utf8_lossy(bytes));
            let failed = proxy.stat("be", "s1", "eresp");
            assert_eq!(failed, "1", "{}", String::from_utf8_lossy(bytes));
        }
    });
}

#[test]
fn a_body_that_breaks_off_reaches_the_client_broken_off() {
    both_drivers(|driver| {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        ] {
            let origin = Origin::http(move |_| Reply::raw(bytes).and_close());
            let proxy = start(driver, "", &origin);
            let mut client = proxy.client("fe");
            let response = client.get("/", "");
            assert_eq!(response.status, 200);
            assert!(response.truncated, "{}", response.head);
            assert_eq!(response.text(), "only this");
        }
    });
}

#[test]
fn an_early_answer_to_a_large_upload_arrives() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, _, _| {
            let mut part = [0; 1024];
            let _ = stream.read(&mut part);
            let _ =
                stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.shutdown(std::net::Shutdown::Write);
            while matches!(stream.read(&mut part), Ok(1..)) {}
        });
        let proxy = start(driver, "", &origin);
        let mut client = proxy.client("fe");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
        client.send(vec![b'x'; 100_000]);
        assert_eq!(client.response().status, 413);
    });
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    both_drivers(|driver| {
        let served = std::sync::Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        let origin = Origin::http(move |_| {
            count.fetch_add(1, SeqCst);
            Reply::ok(vec![b'x'; 3_000_000])
        });
        let proxy = start(driver, "", &origin);
        for number in 0..30 {
            let mut client = proxy.client("fe");
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            if number % 2 == 0 {
                client.read_exact(1000);
            }
        }
        assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"), "client sessions end");
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "scur") == "0"), "server sessions end");
        assert_eq!(proxy.client("fe").get("/", "").body.len(), 3_000_000);
    });
}
