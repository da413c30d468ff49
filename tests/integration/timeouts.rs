//! Time-outs: what each one waits for, when it ends the wait, and what the other side is told.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::*;

/// A `listen` section over one origin, with more lines.
fn start(driver: Driver, defaults: &str, origin: &Origin, lines: &str) -> Proxy {
    let address = origin.address();
    Proxy::start(
        driver,
        &format!("{defaults}\nlisten be\n    bind @fe@\n    server s1 {address}\n    {lines}\n"),
    )
}

#[test]
fn a_slow_client_gets_408_and_a_silent_one_nothing() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let proxy = start(
            driver,
            HTTP_DEFAULTS,
            &origin,
            "timeout http-request 300ms\n    timeout http-keep-alive 300ms",
        );
        let begun = Instant::now();
        let mut client = proxy.client("fe");
        client.send("GET / HTTP/1.1\r\nHo");
        let response = client.response();
        assert_eq!(response.status, 408, "{}", response.head);
        assert!(begun.elapsed() >= Duration::from_millis(280), "{:?}", begun.elapsed());
        assert!(client.is_closed_within(LIMIT));
        // A trickle does not buy time.
        let mut client = proxy.client("fe");
        let mut status = None;
        client.read_limit(Duration::from_millis(20));
        for byte in "GET / HTTP/1.1\r\nX-Slow: ".bytes().chain(std::iter::repeat_n(b'x', 200)) {
            if client.try_send([byte]).is_err() {
                break;
            }
            if let Ok(response) = client.try_response_to("GET") {
                status = Some(response.status);
                break;
            }
        }
        assert_eq!(status, Some(408));
        // Between requests the end comes without a word.
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/", "").status, 200);
        assert!(client.read_to_end().is_empty());
    });
}

#[test]
fn a_slow_server_is_a_504() {
    both_drivers(|driver| {
        let origin = Origin::http(|_| {
            std::thread::sleep(Duration::from_millis(1500));
            Reply::ok("late")
        });
        let proxy = start(driver, HTTP_DEFAULTS, &origin, "timeout server 300ms");
        assert_eq!(proxy.client("fe").get("/", "").status, 504);
    });
}

#[test]
fn requests_wait_in_the_queue_of_a_full_server() {
    both_drivers(|driver| {
        let gate = std::sync::Arc::new(std::sync::Barrier::new(2));
        let opened = gate.clone();
        let origin = Origin::http(move |request| {
            match request.path() {
                "/held" => drop(opened.wait()),
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
            Reply::ok(request.path())
        });
        let config = format!(
            "global\n    nbthread 2\n{HTTP_DEFAULTS}
    timeout queue 10s
listen be
    bind @fe@
    server s1 {} maxconn 1
listen short
    bind @short@
    timeout queue 150ms
    server s1 {} maxconn 1
",
            origin.address(),
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let statuses = |name: &'static str| -> Vec<u16> {
            let threads: Vec<_> = (0..6)
                .map(|_| {
                    let mut client = proxy.client(name);
                    std::thread::spawn(move || client.get("/", "Connection: close\r\n").status)
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        };
        let begun = Instant::now();
        assert_eq!(statuses("fe"), [200; 6]);
        assert!(begun.elapsed() >= Duration::from_millis(590), "one at a time: {:?}", begun.elapsed());
        assert_eq!(proxy.stat("be", "s1", "smax"), "1", "maxconn is exact");
        // Nothing binds these requests to the server, so they wait in the backend's queue.
        assert_ne!(proxy.stat("be", "BACKEND", "qmax"), "0");
        // One that waits for longer than the limit, while the server is busy with another.
        let mut holder = proxy.client("short");
        holder.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || proxy.stat("short", "s1", "scur") == "1"));
        assert_eq!(proxy.client("short").get("/", "").status, 503);
        gate.wait();
        assert_eq!(holder.response().status, 200);
        assert_eq!(proxy.stat("short", "BACKEND", "qcur"), "0");
    });
}

#[test]
fn silence_ends_a_session_by_the_timeouts() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let origin = Origin::raw(|mut stream, _, _| {
            let mut bytes = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                let _ = stream.write_all(&bytes[..length]);
            }
        });
        let lines = format!(
            "timeout client 2s\n    timeout server 2s\n    option tcplog\n    log {} local0",
            syslog.address()
        );
        let proxy = start(driver, TCP_DEFAULTS, &origin, &lines);
        let mut client = proxy.client("fe");
        let begun = Instant::now();
        // What is said holds it open.
        for _ in 0..6 {
            client.send("x");
            assert_eq!(client.read_exact(1), b"x");
            std::thread::sleep(Duration::from_millis(450));
        }
        assert!(begun.elapsed() >= Duration::from_secs(2));
        assert!(client.is_closed_within(LIMIT));
        let line = syslog.wait_for(&["be", "be/s1"]);
        assert!(line.contains(" cD ") || line.contains(" sD "), "{line}");
    });
}

#[test]
fn a_tunnel_timeout_replaces_the_others() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, _, _| {
            let _ = stream.write_all(b"hi");
            let mut byte = [0];
            let _ = stream.read(&mut byte);
        });
        let proxy = start(
            driver,
            TCP_DEFAULTS,
            &origin,
            "timeout client 200ms\n    timeout server 200ms\n    timeout tunnel 1500ms",
        );
        let begun = Instant::now();
        let mut client = proxy.client("fe");
        assert_eq!(client.read_exact(2), b"hi");
        assert!(client.is_closed_within(LIMIT));
        assert!(begun.elapsed() > Duration::from_millis(1300), "{:?}", begun.elapsed());
    });
}
