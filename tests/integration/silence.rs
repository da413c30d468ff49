//! Limits of time: which side's silence ends a session, after how long, and which side is blamed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::*;

/// Sends a large body, or anything, as long as the peer takes it.
fn pours(stream: &mut TcpStream) {
    let piece = vec![b'x'; 64 * 1024];
    while stream.write_all(&piece).is_ok() {}
}

/// Reads a request's head.
fn read_head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while client::find(&bytes, b"\r\n\r\n").is_none() {
        match stream.read(&mut part) {
            Ok(length @ 1..) => bytes.extend_from_slice(&part[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Holds a connection without reading until the other side ends it.
fn hold(stream: &TcpStream) {
    // An error of the socket, which a reset is, tells of the end without a read.
    wait_until(LIMIT, || !matches!(stream.take_error(), Ok(None)));
}

/// What a session is timed by: a frontend whose silent connection ends later than a limit that is kept, and
/// earlier than one that counts twice.
fn marked(lines: &str, marker_ms: u32, log: &Syslog) -> String {
    format!(
        "global\n    nbthread 1\n    log {} local0\n{lines}\nlisten marker\n    mode http\n    log global\n    timeout \
         client {marker_ms}ms\n    log-format \"marker %ST end\"\n    bind @marker@\n    server s 127.0.0.1:1\n",
        log.address()
    )
}

const TIMED: &str = "log global\n    log-format \"%f %ts %ST end\"";

#[test]
fn a_stalled_side_is_given_its_limit_once_and_is_blamed() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let pouring = Origin::raw(|mut stream, _, _| {
            read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n");
            pours(&mut stream);
        });
        let deaf = Origin::raw(|stream, _, _| hold(&stream));
        let lines = format!(
            "{HTTP_DEFAULTS}    {TIMED}\nlisten down\n    timeout client 3s\n    bind @down@\n    server s {0}\nlisten up\n    \
             timeout server 3s\n    bind @up@\n    server s {1}\nlisten tcpdown\n    mode tcp\n    timeout client 3s\n    \
             timeout server 700ms\n    bind @tcpdown@\n    server s {0}\nlisten tcpup\n    mode tcp\n    timeout client \
             700ms\n    timeout server 3s\n    bind @tcpup@\n    server s {1}\n",
            pouring.address(),
            deaf.address()
        );
        let proxy = Proxy::start(driver, &marked(&lines, 5500, &syslog));
        let sessions = [("down", "cD"), ("tcpdown", "cD"), ("up", "sH"), ("tcpup", "sD")];
        let _clients = sessions.map(|(name, _)| {
            let mut client = proxy.client(name);
            if name.ends_with("down") {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            } else {
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000000\r\n\r\n");
                let mut stream = client.stream().try_clone().expect("a copy");
                std::thread::spawn(move || pours(&mut stream));
            }
            client
        });
        let _marker = proxy.client("marker");
        // The lines come in the order of the ends.
        let lines: Vec<String> = (0..5).map(|_| syslog.wait_for(&[" end"])).collect();
        for (name, letters) in sessions {
            assert!(
                lines[..4].iter().any(|line| line.contains(&format!(" {name} {letters} "))),
                "{name}: {lines:?}"
            );
        }
        assert!(lines[4].contains("marker"), "{lines:?}");
    });
}

#[test]
fn a_half_closed_side_has_its_own_limit() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let silent = Origin::raw(|mut stream, _, _| {
            let _ = stream.read_to_end(&mut Vec::new());
            hold(&stream);
        });
        let ending = Origin::raw(|stream, _, _| {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            hold(&stream);
        });
        let text = format!(
            "global\n    log {} local0\n{TCP_DEFAULTS}    {TIMED}\n    timeout client 60s\n    timeout server 60s\nlisten server\n    \
             timeout server-fin 300ms\n    timeout client-fin 60s\n    bind @server@\n    server s {}\nlisten client\n    timeout \
             client-fin 300ms\n    timeout server-fin 60s\n    bind @client@\n    server s {}\n",
            syslog.address(),
            silent.address(),
            ending.address()
        );
        let proxy = Proxy::start(driver, &text);
        let client = proxy.client("server");
        client.finish_sending();
        assert!(syslog.wait_for(&["server "]).contains(" sD "), "the server is still to speak");
        let _client = proxy.client("client");
        assert!(syslog.wait_for(&["client "]).contains(" cD "), "the client is still to speak");
    });
}

#[test]
fn a_limit_that_a_rule_sets_holds_everywhere() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, _, _| {
            if read_head(&mut stream).starts_with("GET") {
                let _ =
                    stream.write_all(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            }
            hold(&stream);
        });
        let mut syslog = Syslog::start();
        let text = format!(
            "global\n    log {} local0\n{HTTP_DEFAULTS}    log global\n    log-format \"%HP %ts %ST end\"\n    timeout client \
             60s\n    timeout server 60s\nfrontend fe\n    bind @fe@\n    http-request set-timeout client 300ms\n    use_backend \
             buffering if {{ path /buffered }}\n    default_backend be\nbackend be\n    server s {1}\nbackend buffering\n    option \
             http-buffer-request\n    server s {1}\n",
            syslog.address(),
            origin.address()
        );
        let proxy = Proxy::start(driver, &text);
        let body = "Content-Length: 9\r\n\r\nabc";
        let upgrade = "Connection: upgrade\r\nUpgrade: x\r\n\r\n";
        for (request, letters) in [
            (format!("POST /upload HTTP/1.1\r\nHost: a\r\n{body}"), "cH 408"),
            (format!("POST /buffered HTTP/1.1\r\nHost: a\r\n{body}"), "cR 408"),
            (format!("GET /tunnel HTTP/1.1\r\nHost: a\r\n{upgrade}"), "cD 101"),
        ] {
            let mut client = proxy.client("fe");
            client.send(&request);
            let line = syslog.wait_for(&[" end"]);
            assert!(line.contains(letters), "{request}: {line}");
        }
    });
}

#[test]
fn a_rule_gives_a_slow_upload_more_time() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let text = format!(
            "{HTTP_DEFAULTS}    timeout client 400ms\nlisten be\n    bind @fe@\n    http-request set-timeout client 60s\n    server s \
             {}\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &text);
        let mut client = proxy.client("fe");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
        std::thread::sleep(Duration::from_millis(4000));
        client.send("def");
        assert_eq!(client.response().status, 200);
    });
}

#[test]
fn a_response_head_must_come_within_one_limit() {
    both_drivers(|driver| {
        for start in ["HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 103 Early Hints\r\nX: "] {
            let origin = Origin::raw(move |mut stream, _, _| {
                read_head(&mut stream);
                let _ = stream.write_all(start.as_bytes());
                while stream.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            let text = format!(
                "{HTTP_DEFAULTS}    timeout server 500ms\nlisten be\n    bind @fe@\n    server s {}\n",
                origin.address()
            );
            let proxy = Proxy::start(driver, &text);
            assert_eq!(proxy.client("fe").get("/", "").status, 504, "{start}");
        }
        // Each interim response is a head of its own.
        let origin = Origin::raw(|mut stream, _, _| {
            read_head(&mut stream);
            for _ in 0..4 {
                let _ = stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n");
                std::thread::sleep(Duration::from_millis(700));
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let text = format!(
            "{HTTP_DEFAULTS}    timeout server 2s\nlisten be\n    bind @fe@\n    server s {}\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &text);
        let mut client = proxy.client("fe");
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let statuses: Vec<_> = (0..5).map(|_| client.response().status).collect();
        assert_eq!(statuses, [103, 103, 103, 103, 200]);
    });
}

#[test]
fn what_came_while_the_process_was_stopped_is_not_late() {
    both_drivers(|driver| {
        assert_eq!(stopped_in_a_wait(driver), ["in time", "in time"]);
    });
}

/// Stops a process that waits for a server and for a client for longer than they may be silent, while both speak;
/// what the clients get then.
fn stopped_in_a_wait(driver: Driver) -> [String; 2] {
    let gate = std::sync::Arc::new(std::sync::Barrier::new(2));
    let opened = gate.clone();
    let origin = Origin::http(move |request| {
        if request.path() == "/held" {
            opened.wait();
        }
        Reply::ok("in time")
    });
    let text = format!(
        "global\n    nbthread 1\n{HTTP_DEFAULTS}    timeout server 600ms\n    timeout http-keep-alive 600ms\nlisten be\n    bind \
         @fe@\n    server s {}\n",
        origin.address()
    );
    let proxy = Proxy::start(driver, &text);
    let mut kept = proxy.client("fe");
    assert_eq!(kept.get("/", "").status, 200);
    let mut held = proxy.client("fe");
    held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(wait_until(LIMIT, || origin.requests() == 2));
    proxy.freeze();
    gate.wait();
    kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(1200));
    proxy.signal(libc::SIGCONT);
    let told = |client: &mut Client| {
        client.try_response_to("GET").map_or_else(|error| error.to_string(), |response| response.text())
    };
    [told(&mut held), told(&mut kept)]
}

#[test]
fn logs_tell_the_time_of_who_said_nothing_and_of_what_was_denied() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let origin = Origin::http(|request| {
            std::thread::sleep(Duration::from_millis(60));
            match request.path() {
                "/late" => Reply::raw("HTTP/1.1 200 OK\r\nX: "),
                _ => Reply::status(200, "X: 1\r\n", ""),
            }
        });
        let text = format!(
            "global\n    log {} local0\n{HTTP_DEFAULTS}    log global\n    log-format \"%ST Ti=%Ti Tr=%Tr Ta=%Ta Tt=%Tt end\"\n\
             listen hasty\n    bind @hasty@\n    timeout client 300ms\n\
             listen late\n    bind @late@\n    timeout server 300ms\n    server s {}\nlisten be\n    bind @fe@\n    http-response deny if {{ res.hdr(x) 1 \
             }}\n    server s {}\n",
            syslog.address(),
            origin.address(),
            origin.address()
        );
        let proxy = Proxy::start(driver, &text);
        let number = |line: &str, name: &str| -> i64 {
            let from = line.find(&format!("{name}=")).expect("the timer") + name.len() + 1;
            line[from..].split(' ').next().and_then(|text| text.parse().ok()).expect("a number")
        };
        let silent = proxy.client("hasty");
        let line = syslog.wait_for(&["408 "]);
        assert!(number(&line, "Ti") == 0 && number(&line, "Ta") >= 300, "{line}");
        assert_eq!(number(&line, "Ta"), number(&line, "Tt"), "{line}");
        drop(silent);
        let closing = proxy.client("fe");
        std::thread::sleep(Duration::from_millis(50));
        drop(closing);
        let line = syslog.wait_for(&["400 "]);
        assert!(number(&line, "Ta") >= 50 && number(&line, "Ti") == 0, "{line}");
        assert_eq!(proxy.client("fe").get("/", "").status, 502);
        let line = syslog.wait_for(&["502 "]);
        assert!(number(&line, "Tr") >= 60, "the response came, though a rule refused it: {line}");
        assert_eq!(proxy.client("late").get("/late", "").status, 504);
        let line = syslog.wait_for(&["504 "]);
        assert_eq!(number(&line, "Tr"), -1, "{line}");
    });
}

#[test]
fn a_body_that_is_waited_for_may_be_slow_but_not_silent() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let config = format!(
            "{HTTP_DEFAULTS}    timeout client 2s\nlisten buffers\n    bind @buffers@\n    \
             option http-buffer-request\n    server s {0}\nlisten waits\n    bind @waits@\n    \
             http-request wait-for-body time 60s\n    server s {0}\nlisten whole\n    bind @whole@\n    \
             timeout http-request 60s\n    option http-buffer-request\n    server s {0}\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
        let names = ["buffers", "waits", "whole"];
        // Longer than the limit as a whole, and never silent for so long.
        let mut slow = names.map(|name| proxy.client(name));
        slow.iter_mut().for_each(|client| client.send(head));
        for byte in ["a", "b", "c", "d"] {
            std::thread::sleep(Duration::from_millis(700));
            slow.iter_mut().for_each(|client| client.send(byte));
        }
        for (mut client, name) in slow.into_iter().zip(names) {
            assert_eq!(client.response().status, 200, "{name}: slow");
        }
        let asked = origin.requests();
        let mut silent = names.map(|name| proxy.client(name));
        silent.iter_mut().for_each(|client| client.send(format!("{head}a")));
        for (mut client, name) in silent.into_iter().zip(names) {
            assert_eq!(client.response().status, 408, "{name}: silent");
        }
        // A head, too, may be silent for as long only, whatever the whole of it may take.
        let mut client = proxy.client("whole");
        client.send("GET / HT");
        assert_eq!(client.response().status, 408);
        assert_eq!(proxy.client("whole").response().status, 408, "nothing was sent");
        assert_eq!(origin.requests(), asked, "no server saw them");
    });
}

#[test]
fn a_silent_client_is_not_inspected_any_longer() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let origin = Origin::raw(|stream, _, _| hold(&stream));
        let config = format!(
            "global\n    log {} local0\n{TCP_DEFAULTS}    log global\n    timeout client 500ms\nlisten f\n    \
             bind @f@\n    log-format \"%f %ts end\"\n    tcp-request inspect-delay 60s\n    \
             tcp-request content accept if {{ req.len gt 6 }}\n    server s {}\n",
            syslog.address(),
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("f");
        client.send("x");
        syslog.wait_for(&["f cR end"]);
        assert_eq!(origin.connections(), 0, "no server was asked");
    });
}
