//! Bad wires on both sides of the proxy: every fault at every state of a message. A client that can be
//! answered is answered rightly, the log has the right letters, nothing stays behind and the next client sees none
//! of it.

use std::time::{Duration, Instant};

use crate::support::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n";
const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789";
const CHUNKS: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\nc\r\n890123456789\r\n0\r\n\r\n";
/// Where the chunked body begins.
const CHUNKS_HEAD: usize = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".len();

struct Scene {
    proxy: Proxy,
    syslog: Syslog,
    _origin: Origin,
    /// Between proxy and origin.
    wire: Wire,
}

/// The wire to the server may have a `fault`; `asking` is that of the client's wire.
fn scene(driver: Driver, fault: Fault, asking: Fault) -> Scene {
    let origin = Origin::http(|request| match request.path() {
        "/chunks" => Reply::raw(CHUNKS),
        "/large" => Reply::ok(vec![b'x'; 8_000_000]),
        _ => Reply::raw(LENGTH),
    });
    let (wire, syslog) = (Wire::to(origin.address(), Way::Back, fault), Syslog::start());
    // Only what stops is to be given up; what goes on may take as long as a busy machine needs for it.
    let [server, client] =
        [fault, asking].map(|fault| if matches!(fault, Fault::Hole(_)) { "300ms" } else { "30s" });
    let config = format!(
        "global\n    log {} local0\n{HTTP_DEFAULTS}
    log global
    retries 0
    timeout http-request {client}
    timeout client {client}
    timeout server {server}
    log-format \"%HU %ST %tsc\"
listen be
    bind @fe@
    server s1 {} maxconn 2
frontend clean
    bind @clean@
    timeout http-request 30s
    timeout client 30s
    default_backend be
",
        syslog.address(),
        wire.address()
    );
    Scene { proxy: Proxy::start(driver, &config), syslog, _origin: origin, wire }
}

impl Scene {
    /// Nothing stays behind, and the next clients are served as if nothing had been.
    fn is_clean(&self, place: &str) {
        for row in ["FRONTEND", "s1"] {
            assert!(wait_until(LIMIT, || self.proxy.stat("be", row, "scur") == "0"), "{place}: {row}");
        }
        let mut next = self.proxy.client("clean");
        for path in ["/next", "/chunks", "/next"] {
            let response = next.get(path, "");
            assert_eq!((response.status, response.text().as_str()), (200, "01234567890123456789"), "{place}");
            assert!(!response.truncated, "{place}");
        }
    }
}

/// What a client gets: a status with a whole body, a body that breaks off, or nothing.
fn outcome(client: &mut Client, request: &str) -> String {
    client.send(request);
    match client.try_response_to("GET") {
        Ok(response) if response.truncated => format!("{} broken off", response.status),
        Ok(response) => response.status.to_string(),
        Err(_) => "nothing".into(),
    }
}

#[test]
fn the_wire_to_the_server() {
    let (head, chunks) = (HEAD.len(), CHUNKS_HEAD);
    both_drivers(|driver| {
        let started = Instant::now();
        for (path, fault, expected, letters) in [
            ("/length", Fault::Bytes, "200", "----"),
            ("/chunks", Fault::Bytes, "200", "----"),
            ("/length", Fault::Slow(7, 20), "200", "----"),
            ("/length", Fault::Reset(1), "502", "SH--"),
            ("/length", Fault::Close(0), "502", "SH--"),
            ("/length", Fault::HalfClose(0), "502", "SH--"),
            ("/length", Fault::Hole(0), "504", "sH--"),
            ("/length", Fault::Reset(12), "502", "SH--"),
            ("/length", Fault::Close(12), "502", "SH--"),
            ("/length", Fault::HalfClose(12), "502", "SH--"),
            ("/length", Fault::Hole(12), "504", "sH--"),
            ("/length", Fault::Close(head), "200 broken off", "SD--"),
            ("/length", Fault::HalfClose(head), "200 broken off", "SD--"),
            ("/length", Fault::Hole(head), "200 broken off", "sD--"),
            ("/length", Fault::Close(head + 5), "200 broken off", "SD--"),
            ("/length", Fault::HalfClose(head + 5), "200 broken off", "SD--"),
            ("/length", Fault::Hole(head + 5), "200 broken off", "sD--"),
            ("/chunks", Fault::Close(chunks + 1), "200 broken off", "SD--"),
            ("/chunks", Fault::Close(chunks + 6), "200 broken off", "SD--"),
            ("/chunks", Fault::HalfClose(chunks + 13), "200 broken off", "SD--"),
            ("/chunks", Fault::Hole(chunks + 6), "200 broken off", "sD--"),
            ("/chunks", Fault::Hole(chunks + 14), "200 broken off", "sD--"),
        ] {
            let place = format!("{path} {fault:?}");
            let mut scene = scene(driver, fault, Fault::Bytes);
            assert!(wait_until(LIMIT, || scene.proxy.stat("be", "FRONTEND", "scur") == "0"));
            scene.wire.spoil();
            let mut client = scene.proxy.client("fe");
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(outcome(&mut client, &request), expected, "{place}");
            assert!(scene.wire.has_struck(), "{place}");
            drop(client);
            let status = &expected[..3];
            let line = scene.syslog.wait_for(&[path]);
            assert!(line.ends_with(&format!("{path} {status} {letters}")), "{place}: {line}");
            scene.is_clean(&place);
        }
        println!("{:?}", started.elapsed());
    });
}

#[test]
fn a_reset_in_a_response_never_seems_a_whole_one() {
    both_drivers(|driver| {
        for (path, at) in [("/length", HEAD.len()), ("/length", HEAD.len() + 5), ("/chunks", CHUNKS_HEAD + 6)]
        {
            // The reset may overtake bytes that were not read yet, so it may hit the head as well.
            let scene = scene(driver, Fault::Reset(at), Fault::Bytes);
            scene.wire.spoil();
            let mut client = scene.proxy.client("fe");
            let got = outcome(&mut client, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert!(matches!(&*got, "502" | "200 broken off"), "{path} {at}: {got}");
            drop(client);
            scene.is_clean(path);
        }
    });
}

#[test]
fn the_wire_from_the_client() {
    let post = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n01234567890123456789";
    let chunked = "POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   14\r\n01234567890123456789\r\n0\r\n\r\n";
    both_drivers(|driver| {
        for (request, fault, expected) in [
            (post, Fault::Bytes, "200"),
            (chunked, Fault::Bytes, "200"),
            (post, Fault::Slow(20, 20), "200"),
            (post, Fault::Hole(10), "408"),
            (post, Fault::Hole(0), "408"),
            (chunked, Fault::Hole(10), "408"),
            (post, Fault::HalfClose(10), "400"),
            (post, Fault::Close(10), "nothing"),
            (post, Fault::Reset(10), "nothing"),
            (post, Fault::Reset(55), "nothing"),
            (chunked, Fault::Reset(70), "nothing"),
            (chunked, Fault::Close(70), "nothing"),
        ] {
            let place = format!("{request:?} {fault:?}");
            let scene = scene(driver, Fault::Bytes, fault);
            let wire = Wire::to(scene.proxy.address("fe"), Way::There, fault);
            wire.spoil();
            let mut client = Client::connect(wire.address());
            assert_eq!(outcome(&mut client, request), expected, "{place}");
            drop(client);
            scene.is_clean(&place);
        }
    });
}

#[test]
fn a_body_that_stops_half_way_is_given_up() {
    both_drivers(|driver| {
        let heads = [
            "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n01234",
            "POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234",
        ];
        for request in heads {
            let scene = scene(driver, Fault::Bytes, Fault::Hole(0));
            let mut client = scene.proxy.client("fe");
            // The server waits for the rest, the client for an answer: timeout client ends it.
            let got = outcome(&mut client, request);
            assert_eq!(got, "408", "{request:?}");
            scene.is_clean(request);
        }
    });
}

#[test]
fn the_wire_to_the_client() {
    both_drivers(|driver| {
        for fault in
            [Fault::Hole(100_000), Fault::Reset(100_000), Fault::Close(100_000), Fault::Slow(4096, 1)]
        {
            let place = format!("{fault:?}");
            let scene = scene(driver, Fault::Bytes, fault);
            let wire = Wire::to(scene.proxy.address("fe"), Way::Back, fault);
            wire.spoil();
            let mut client = Client::connect(wire.address());
            client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
            if fault == Fault::Slow(4096, 1) {
                let response = client.response();
                assert!(!response.truncated && response.body.len() == 8_000_000, "{place}");
            } else {
                client.read_limit(Duration::from_secs(2));
                assert!(wait_until(LIMIT, || wire.has_struck()), "{place}");
            }
            if fault != Fault::Hole(100_000) {
                drop(client);
            }
            scene.is_clean(&place);
        }
    });
}
