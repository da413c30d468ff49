//! Kept connections to servers: which requests may use one again, and when it is none any more.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::support::*;

/// Two origins at one port, each at an address of its own.
fn twins() -> [Origin; 2] {
    let first = Origin::named("one");
    let second = Origin::named_at(first.address().port(), "two");
    [first, second]
}

#[test]
fn a_server_of_zeros_is_where_the_client_wanted_to_go_and_nowhere_else() {
    for server in ["0.0.0.0:PORT", "0.0.0.0", "0.0.0.0:0", "*", "*:PORT", ":::PORT", "*:+0"] {
        for reuse in ["always", "safe", "never"] {
            both_drivers(|driver| {
                let origins = twins();
                let port = origins[0].address().port();
                let server = server.replace("PORT", &port.to_string());
                let proxy = Proxy::start(
                    driver,
                    &format!(
                        "global\n    nbthread 1\n{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    \
                         http-request set-dst url_param(ip)\n    http-request set-dst-port int({port})\n    \
                         default_backend any\nbackend any\n    http-reuse {reuse}\n    server s {server}\n"
                    ),
                );
                let mut clients = [proxy.client("fe"), proxy.client("fe")];
                for turn in 0..8 {
                    let origin = &origins[turn % 2];
                    let path = format!("/?ip={}", origin.address().ip());
                    let response = clients[turn / 2 % 2].get(&path, "");
                    let name = ["one", "two"][turn % 2];
                    assert_eq!(
                        (response.status, response.text()),
                        (200, name.to_owned()),
                        "{server} {reuse}"
                    );
                }
                if reuse == "always" {
                    let connections = origins.each_ref().map(Origin::connections);
                    assert_eq!(connections, [1, 1], "what goes to the same place is used again: {server}");
                }
            });
        }
    }
}

#[test]
fn a_borrowed_connection_goes_where_the_request_wants() {
    both_drivers(|driver| {
        let origins = twins();
        let port = origins[0].address().port();
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    nbthread 4\n{HTTP_DEFAULTS}\nlisten fe\n    bind @fe@\n    http-reuse always\n    \
                 http-request set-dst url_param(ip)\n    server s 0.0.0.0:{port}\n"
            ),
        );
        for turn in 0..60 {
            let origin = &origins[turn / 3 % 2];
            let response = proxy.client("fe").get(&format!("/?ip={}", origin.address().ip()), "");
            assert_eq!(response.text(), ["one", "two"][turn / 3 % 2]);
        }
    });
}

#[test]
fn zeros_stand_for_the_destination_in_tcp_mode_too() {
    both_drivers(|driver| {
        let origins = twins();
        let [one, two] = origins.each_ref().map(|origin| origin.address());
        let proxy = Proxy::start(
            driver,
            &format!(
                "{TCP_DEFAULTS}\nlisten one\n    bind @one@\n    tcp-request content set-dst str({})\n    \
                 server s 0.0.0.0:{port}\nlisten two\n    bind @two@\n    tcp-request content set-dst str({})\n    \
                 tcp-request content set-dst-port int({port})\n    server s *\n",
                one.ip(),
                two.ip(),
                port = one.port(),
            ),
        );
        for name in ["one", "two", "one"] {
            assert_eq!(proxy.client(name).get("/", "").text(), name);
        }
    });
}

/// An origin that answers with its name when it is told to, and the means to tell it and to await its requests.
fn patient(name: &'static str) -> (Origin, Sender<()>, Receiver<()>) {
    let (go, may_go) = channel::<()>();
    let (came, has_come) = channel();
    let (may_go, came) = (Arc::new(Mutex::new(may_go)), Mutex::new(came));
    let origin = Origin::http(move |request| {
        if request.path() == "/wait" {
            let _ = came.lock().unwrap().send(());
            let _ = may_go.lock().unwrap().recv_timeout(LIMIT);
        }
        Reply::ok(name)
    });
    (origin, go, has_come)
}

#[test]
fn a_server_that_moves_leaves_its_connections_behind() {
    // What happens while a request is under way, and which server answers the next one. Which client asks it: under
    // `http-reuse never` a connection belongs to its client.
    for (command, next) in [
        ("set server be/s addr ADDRESS port PORT", "new"),
        ("set server be/s addr ADDRESS", "new"),
        ("set server be/s state maint;set server be/s state ready", "old"),
        ("disable server be/s;enable server be/s", "old"),
        ("set server be/s health down;set server be/s health up", "old"),
        ("set weight be/s 7", "old"),
    ] {
        for reuse in ["always", "never"] {
            both_drivers(|driver| {
                let (old, go, has_come) = patient("old");
                let new = Origin::named_at(old.address().port(), "new");
                let address = old.address();
                let proxy = Proxy::start(
                    driver,
                    &format!(
                        "global\n    nbthread 1\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    \
                         http-reuse {reuse}\n    server s {address}\n"
                    ),
                );
                let mut client = proxy.client("fe");
                client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
                has_come.recv_timeout(LIMIT).unwrap();
                let command = command
                    .replace("ADDRESS", &new.address().ip().to_string())
                    .replace("PORT", &new.address().port().to_string());
                for command in command.split(';') {
                    proxy.admin(command);
                }
                go.send(()).unwrap();
                assert_eq!(client.response().text(), "old", "what is under way ends where it began");
                let mut other = if reuse == "never" { client } else { proxy.client("fe") };
                assert_eq!(other.get("/", "").text(), next, "{command} {reuse}");
                assert_eq!(other.get("/", "").text(), next, "{command} {reuse}");
                if next == "old" {
                    let fresh = if command.contains("weight") { 1 } else { 2 };
                    assert_eq!(old.connections(), fresh, "{command} {reuse}");
                }
            });
        }
    }
}

#[test]
fn an_authenticated_connection_does_not_outlive_its_server() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, number, seen| {
            let mut buffer = Vec::new();
            while let Some(request) = origin::read_request(&mut stream, &mut buffer, number) {
                seen.note(&request);
                let answer = "HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let new = Origin::named_at(origin.address().port(), "new");
        let address = origin.address();
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    http-response del-header www-authenticate\n    \
                      http-response set-status 403\n    server s {address}\n"
            ),
        );
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/", "").status, 403);
        assert_eq!(client.get("/", "").status, 403);
        assert_eq!(origin.connections(), 1);
        // No other client may have it, whatever rules make of the answer.
        assert_eq!(proxy.client("fe").get("/", "").status, 403);
        assert_eq!(origin.connections(), 2);
        proxy.admin(&format!("set server be/s addr {}", new.address().ip()));
        assert_eq!(client.get("/", "").header("x-served-by"), Some("new"));
    });
}

#[test]
fn strictly_counted_connections_are_never_more_than_maxconn() {
    for (strict, reuse, threads) in [
        ("strict-maxconn", "never", 1),
        ("strict-maxconn", "safe", 2),
        ("strict-maxconn", "always", 4),
        ("", "never", 1),
    ] {
        both_drivers(|driver| {
            let open = Arc::new(AtomicUsize::new(0));
            let count = open.clone();
            let origin = Origin::raw(move |mut stream, number, _| {
                count.fetch_add(1, SeqCst);
                let mut buffer = Vec::new();
                while origin::read_request(&mut stream, &mut buffer, number).is_some() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
                count.fetch_sub(1, SeqCst);
            });
            let address = origin.address();
            let proxy = Proxy::start(
                driver,
                &format!(
                    "global\n    nbthread {threads}\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    \
                     http-reuse {reuse}\n    server s {address} maxconn 2 {strict}\n"
                ),
            );
            let mut clients: Vec<_> = (0..12).map(|_| proxy.client("fe")).collect();
            for _ in 0..3 {
                for client in &mut clients {
                    assert_eq!(client.get("/", "").text(), "ok", "{strict} {reuse} {threads}");
                }
            }
            // All clients still stand; what was closed for another is closed by now, or soon.
            if strict.is_empty() {
                assert_eq!(open.load(SeqCst), 12, "each client keeps one of its own");
            } else {
                assert!(wait_until(LIMIT, || open.load(SeqCst) <= 2), "{reuse} {threads}: {open:?}");
            }
        });
    }
}

#[test]
fn idle_clients_are_closed_on_by_a_soft_stop_unless_an_option_lets_them_ask_once_more() {
    for (option, answered) in [("", false), ("option idle-close-on-response", true)] {
        both_drivers(|driver| {
            let origin = Origin::named("a");
            let address = origin.address();
            let mut proxy = Proxy::start(
                driver,
                &format!("{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    {option}\n    server s {address}\n"),
            );
            let mut client = proxy.client("fe");
            assert_eq!(client.get("/", "").text(), "a");
            proxy.signal(libc::SIGUSR1);
            if answered {
                // The signal may not have reached the client's thread yet.
                while client.get("/", "").header("connection") != Some("close") {}
            }
            assert!(client.read_to_end().is_empty());
            assert_eq!(proxy.wait_exit(LIMIT), Some(0));
        });
    }
}

#[test]
fn what_a_server_says_unasked_reaches_no_client() {
    both_drivers(|driver| {
        // Two answers to one request: at once, or a moment later, when its connection is idle.
        let said = Arc::new(AtomicUsize::new(0));
        let counted = said.clone();
        let origin = Origin::raw(move |mut stream, connection, seen| {
            let mut buffer = Vec::new();
            while let Some(request) = origin::read_request(&mut stream, &mut buffer, connection) {
                seen.note(&request);
                let asked = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nasked";
                let unasked = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";
                let (first, second) = match request.path() {
                    "/at-once" => (format!("{asked}{unasked}"), ""),
                    "/later" => (asked.to_owned(), unasked),
                    _ => (asked.to_owned(), ""),
                };
                let _ = stream.write_all(first.as_bytes());
                if !second.is_empty() {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    let _ = stream.write_all(second.as_bytes());
                    counted.fetch_add(1, SeqCst);
                }
            }
        });
        let proxy = Proxy::start(
            driver,
            &format!(
                "    nbthread 1\n{HTTP_DEFAULTS}listen be\n    bind @fe@\n    http-reuse always\n    server s1 {}\n",
                origin.address()
            ),
        );
        for path in ["/at-once", "/later"] {
            assert_eq!(proxy.client("fe").get(path, "").text(), "asked", "{path}");
            assert!(wait_until(LIMIT, || path == "/at-once" || said.load(SeqCst) == 1));
            // The connection is out of step, and is closed when that is seen.
            assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "srv_icur") == "0"), "{path}");
            let before = origin.connections();
            assert_eq!(proxy.client("fe").get("/next", "").text(), "asked", "{path}");
            assert_eq!(origin.connections(), before + 1, "{path}");
        }
    });
}
