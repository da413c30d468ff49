//! Lines of the log: their fields, the letters that say how a session ended, and where they go.

use std::io::Read;
use std::time::Duration;

use crate::support::*;

/// The fields of `option httplog` behind the header of syslog.
struct HttpLine(Vec<String>);

impl HttpLine {
    fn parse(line: &str) -> Self {
        let (_, message) = line.split_once("]: ").unwrap_or_else(|| panic!("no process in {line}"));
        HttpLine(message.split(' ').map(str::to_owned).collect())
    }
    fn client(&self) -> &str {
        &self.0[0]
    }
    fn frontend(&self) -> &str {
        &self.0[2]
    }
    fn server(&self) -> &str {
        &self.0[3]
    }
    fn timers(&self) -> Vec<i64> {
        self.0[4].split('/').map(|timer| timer.parse().unwrap()).collect()
    }
    fn status(&self) -> &str {
        &self.0[5]
    }
    fn bytes(&self) -> i64 {
        self.0[6].parse().unwrap()
    }
    fn letters(&self) -> &str {
        &self.0[9]
    }
    fn connections(&self) -> &str {
        &self.0[10]
    }
    fn queues(&self) -> &str {
        &self.0[11]
    }
    fn rest(&self) -> String {
        self.0[12..].join(" ")
    }
}

fn config(syslog: &Syslog, rest: &str) -> String {
    format!(
        "global\n    log {} local0\n{HTTP_DEFAULTS}\n    log global\n    option httplog\n{rest}",
        syslog.address()
    )
}

fn slow_origin(delay: Duration) -> Origin {
    Origin::http(move |request| {
        if request.path().starts_with("/slow") {
            std::thread::sleep(delay);
        }
        Reply::ok("answer")
    })
}

#[test]
fn an_http_line_has_every_field() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let mut syslog = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &config(
                &syslog,
                &format!(
                    "
frontend fe
    bind @fe@
    capture request header Host len 20
    capture request header User-Agent len 5
    capture response header X-Served-By len 10
    default_backend be
backend be
    server s1 {}
",
                    origin.address()
                ),
            ),
        );
        let mut client = proxy.client("fe");
        let response = client.get("/path?q=1", "User-Agent: Mozilla\r\n");
        let line = syslog.wait_for(&["GET /path?q=1"]);
        assert!(line.starts_with("<134>"), "local0.info: {line}");
        let header: Vec<&str> = line.split("]: ").next().unwrap().split_whitespace().collect();
        assert_eq!(header.len(), 4, "no host name unless asked for: {line}");
        assert_eq!(header[3], format!("haproxy[{}", proxy.pid()));
        let line = HttpLine::parse(&line);
        assert_eq!(line.client(), client.local_address().to_string());
        assert!(
            line.0[1].starts_with('[') && line.0[1].ends_with(']') && line.0[1].len() == 26,
            "{}",
            line.0[1]
        );
        assert_eq!((line.frontend(), line.server(), line.status()), ("fe", "be/s1", "200"));
        let timers = line.timers();
        assert_eq!(timers.len(), 5);
        assert!(timers.iter().all(|timer| (0..5000).contains(timer)), "{timers:?}");
        assert_eq!(line.bytes(), (response.head.len() + 4 + response.body.len()) as i64);
        assert_eq!((line.0[7].as_str(), line.0[8].as_str()), ("-", "-"));
        assert_eq!((line.letters(), line.connections(), line.queues()), ("----", "1/1/0/0/0", "0/0"));
        assert_eq!(line.rest(), "{test|Mozil} {one} \"GET /path?q=1 HTTP/1.1\"");
    });
}

#[test]
fn a_tcp_line_has_every_field() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, _, _| {
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
            let _ = std::io::Write::write_all(&mut stream, b"goodbye");
        });
        let mut syslog = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    log {} local3 info\n{TCP_DEFAULTS}\n    log global\n    option tcplog\n\
                 listen relay\n    bind @fe@\n    server s1 {}\n",
                syslog.address(),
                origin.address()
            ),
        );
        let mut client = proxy.client("fe");
        client.send("hello");
        client.finish_sending();
        assert_eq!(client.read_to_end(), b"goodbye");
        let line = syslog.wait_for(&["relay relay/s1 "]);
        assert!(line.starts_with("<158>"), "local3.info: {line}");
        let fields: Vec<&str> = line.split_once("]: ").unwrap().1.split(' ').collect();
        assert_eq!(fields[0], client.local_address().to_string());
        assert_eq!(fields[4].split('/').count(), 3);
        assert_eq!(fields[5..], ["7", "--", "1/1/0/0/0", "0/0"], "{line}");
    });
}

#[test]
fn letters_tell_who_ended_it_and_when() {
    both_drivers(|driver| {
        let slow = slow_origin(Duration::from_millis(600));
        let cut =
            Origin::http(|_| Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").and_close());
        let garbage = Origin::http(|_| Reply::raw("nonsense\r\n\r\n").and_close());
        // A listener without accepts, with its queue full: connecting to it takes for ever.
        let full = FullListener::new();
        let closed = Origin::named("closed");
        let closed = {
            let mut closed = closed;
            closed.stop();
            closed
        };
        let mut syslog = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &config(
                &syslog,
                &format!(
                    "    retries 0
    timeout http-request 250ms
    timeout queue 150ms
frontend fe
    bind @fe@
    http-request deny if {{ path /denied }}
    http-request redirect location /elsewhere if {{ path /redirected }}
    http-request return status 204 if {{ path /returned }}
    use_backend %[path,field(2,/)]
    default_backend nobody
backend nobody
backend slow
    server s1 {slow}
backend timeout
    timeout server 150ms
    server s1 {slow}
backend queue
    server s1 {slow} maxconn 1
backend refused
    server s1 {closed}
backend connect
    timeout connect 150ms
    server s1 {full}
backend cut
    server s1 {cut}
backend garbage
    server s1 {garbage}
",
                    slow = slow.address(),
                    closed = closed.address(),
                    full = full.address,
                    cut = cut.address(),
                    garbage = garbage.address(),
                ),
            ),
        );
        let get = |path: &str| proxy.client("fe").get(path, "").status;
        let mut expect = |path: &str, status: &str, server: &str, letters: &str| {
            let line = syslog.wait_for(&[&format!(" {path} ")]);
            let fields = HttpLine::parse(&line);
            assert_eq!(
                (fields.status(), fields.server(), fields.letters()),
                (status, server, letters),
                "{line}"
            );
        };
        assert_eq!(get("/nowhere"), 503);
        expect("/nowhere", "503", "nobody/<NOSRV>", "SC--");
        assert_eq!(get("/denied"), 403);
        expect("/denied", "403", "fe/<NOSRV>", "PR--");
        assert_eq!(get("/redirected"), 302);
        expect("/redirected", "302", "fe/<NOSRV>", "LR--");
        assert_eq!(get("/returned"), 204);
        expect("/returned", "204", "fe/<NOSRV>", "LR--");
        assert_eq!(get("/timeout/slow"), 200, "not slow: the origin looks at the start of the path");
        expect("/timeout/slow", "200", "timeout/s1", "----");
        assert_eq!(get("/refused/x"), 503);
        expect("/refused/x", "503", "refused/s1", "SC--");
        assert_eq!(get("/connect/x"), 503);
        expect("/connect/x", "503", "connect/s1", "sC--");
        assert_eq!(get("/garbage/x"), 502);
        expect("/garbage/x", "502", "garbage/s1", "PH--");
        let response = proxy.client("fe").get("/cut/x", "");
        assert!(response.truncated);
        expect("/cut/x", "200", "cut/s1", "SD--");
    });
}

#[test]
fn letters_of_timeouts_and_aborts() {
    both_drivers(|driver| {
        let slow = slow_origin(Duration::from_millis(700));
        let endless = Origin::http(|_| Reply::ok(vec![b'x'; 8_000_000]));
        let mut syslog = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &config(
                &syslog,
                &format!(
                    "    timeout http-request 250ms
    timeout queue 150ms
    option abortonclose
frontend fe
    bind @fe@
    use_backend timeout if {{ url_param(be) timeout }}
    use_backend queue if {{ url_param(be) queue }}
    use_backend endless if {{ url_param(be) endless }}
    default_backend slow
backend slow
    server s1 {slow}
backend timeout
    timeout server 150ms
    server s1 {slow}
backend queue
    server s1 {slow} maxconn 1
backend endless
    server s1 {endless}
",
                    slow = slow.address(),
                    endless = endless.address(),
                ),
            ),
        );
        let mut line_of = |parts: &[&str]| {
            let line = syslog.wait_for(parts);
            let fields = HttpLine::parse(&line);
            (fields.status().to_owned(), fields.server().to_owned(), fields.letters().to_owned())
        };
        let expected = |status: &str, server: &str, letters: &str| {
            (status.to_owned(), server.to_owned(), letters.to_owned())
        };
        // The server is too slow.
        assert_eq!(proxy.client("fe").get("/slow1?be=timeout", "").status, 504);
        assert_eq!(line_of(&["/slow1"]), expected("504", "timeout/s1", "sH--"));
        // The queue is.
        let mut first = proxy.client("fe");
        first.send("GET /slow2?be=queue HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || slow.seen().iter().any(|request| request.path().starts_with("/slow2"))));
        assert_eq!(proxy.client("fe").get("/queued?be=queue", "").status, 503);
        assert_eq!(line_of(&["/queued"]), expected("503", "queue/<NOSRV>", "sQ--"));
        assert_eq!(first.response().status, 200);
        // A head that never ends.
        let mut client = proxy.client("fe");
        client.send("GET /never HTTP/1.1\r\nHost: a\r\n");
        assert_eq!(client.response().status, 408);
        assert_eq!(line_of(&["<BADREQ>", "cR"]), expected("408", "fe/<NOSRV>", "cR--"));
        // A head that is wrong.
        let mut client = proxy.client("fe");
        client.send("GET /bad\u{1}path HTTP/1.1\r\nHost: a b c\r\nNo colon\r\n\r\n");
        assert_eq!(client.response().status, 400);
        assert_eq!(line_of(&["<BADREQ>", "PR"]), expected("400", "fe/<NOSRV>", "PR--"));
        // A client that leaves before the head ended: no answer, but a line.
        let mut client = proxy.client("fe");
        client.send("GET /left HTTP/1.1\r\n");
        drop(client);
        let (_, server, letters) = line_of(&["<BADREQ>", "CR"]);
        assert_eq!((server.as_str(), letters.as_str()), ("fe/<NOSRV>", "CR--"));
        // One that leaves while the server thinks.
        let mut client = proxy.client("fe");
        client.send("GET /slow3 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || slow.seen().iter().any(|request| request.path() == "/slow3")));
        drop(client);
        let (_, server, letters) = line_of(&["/slow3"]);
        assert_eq!((server.as_str(), letters.as_str()), ("slow/s1", "CH--"));
        // One that leaves in the middle of the body.
        let mut client = proxy.client("fe");
        client.send("GET /endless?be=endless HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_exact(1000);
        drop(client);
        assert_eq!(line_of(&["/endless"]), expected("200", "endless/s1", "CD--"));
    });
}

/// A listening socket with a full queue: it neither accepts nor refuses.
struct FullListener {
    address: std::net::SocketAddr,
    _socket: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
}

impl FullListener {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::new(own_address(), 0).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let waiting = (0..4)
            .map(|_| {
                let client =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                client.set_nonblocking(true).unwrap();
                let _ = client.connect(&address.into());
                client
            })
            .collect();
        FullListener { address, _socket: socket, _waiting: waiting }
    }
}

#[test]
fn an_order_to_end_says_nothing_about_the_server() {
    both_drivers(|driver| {
        let full = FullListener::new();
        let checked = Origin::named("checked");
        let proxy = Proxy::start(
            driver,
            &format!(
                "{TCP_DEFAULTS}    timeout connect 1m
listen be
    bind @fe@
    retries 0
    server s1 {} check addr {} port {} inter 60s observe layer4 error-limit 1 on-error mark-down
",
                full.address,
                checked.address().ip(),
                checked.address().port()
            ),
        );
        let mut client = proxy.client("fe");
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "scur") == "1"), "it connects");
        proxy.admin("shutdown sessions server be/s1");
        assert!(client.read_to_end().is_empty());
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "scur") == "0"));
        proxy.wait_status("be", "s1", "UP");
        let of_server = ["econ", "hanafail"].map(|field| proxy.stat("be", "s1", field));
        assert_eq!(of_server, ["0", "0"]);
        assert_eq!(proxy.stat("be", "BACKEND", "econ"), "0");
    });
}

#[test]
fn a_format_of_ones_own() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let mut syslog = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &config(
                &syslog,
                &format!(
                    "
frontend fe
    bind @fe@
    log-format \"%ci|%f|%b|%s|%ST|%HM|%HP|%HQ|%[var(txn.id)]|%{{+Q}}r|%[var(txn.kind)]|%rc|%%\"
    http-request set-var(txn.kind) str(special)
    http-request set-var(txn.id) req.hdr(X-Id)
    default_backend be
backend be
    server s1 {}
",
                    origin.address()
                ),
            ),
        );
        proxy.client("fe").get("/a/b?c=d", "X-Id: 42\r\n");
        let line = syslog.wait_for(&["|/a/b|"]);
        let message = line.split_once("]: ").unwrap().1;
        assert_eq!(message, "127.0.0.1|fe|be|s1|200|GET|/a/b|?c=d|42|\"GET /a/b?c=d HTTP/1.1\"|special|0|%");
    });
}

#[test]
fn formats_of_the_line_and_sampling() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let (mut modern, mut sampled) = (Syslog::start(), Syslog::start());
        let mut proxy = Proxy::start(
            driver,
            &format!(
                "
global
    log {} len 4096 format rfc5424 local1 info
    log {} sample 1:4 local0
    log stdout format raw local0
{HTTP_DEFAULTS}
    log global
    option httplog
listen be
    bind @fe@
    server s1 {}
",
                modern.address(),
                sampled.address(),
                origin.address()
            ),
        );
        let mut client = proxy.client("fe");
        for number in 0..20 {
            client.get(&format!("/request{number}"), "");
        }
        let line = modern.wait_for(&["/request7 "]);
        let fields: Vec<&str> = line.splitn(8, ' ').collect();
        assert_eq!(fields[0], "<142>1", "local1.info: {line}");
        assert!(fields[1].contains('T') && fields[1].contains('.'), "{line}");
        assert_eq!(fields[3..7], ["haproxy", &proxy.pid().to_string(), "-", "-"], "{line}");
        assert!(fields[7].contains("be/s1"), "{line}");
        assert!(wait_until(LIMIT, || proxy.stdout().lines().count() >= 20), "{}", proxy.stdout());
        for (number, line) in proxy.stdout().lines().filter(|line| line.contains("/request")).enumerate() {
            assert!(line.starts_with("127.0.0.1:"), "raw lines have no header: {line}");
            assert!(line.ends_with(&format!("\"GET /request{number} HTTP/1.1\"")), "{line}");
        }
        proxy.signal(libc::SIGTERM);
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
        let lines = sampled.rest(Duration::from_millis(100));
        let requests = lines.iter().filter(|line| line.contains("/request")).count();
        assert_eq!(requests, 5, "one of four: {lines:#?}");
    });
}

#[test]
fn a_dead_receiver_never_blocks_traffic() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let silent = std::os::unix::net::UnixDatagram::unbound().unwrap();
        drop(silent);
        let builder = Proxy::build(driver);
        let path = builder.path("log.sock");
        // It has no reader, so it is full after a few lines.
        let _full = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let gone = Syslog::start().address();
        let proxy = builder.start(&format!(
            "global\n    log {path} local0\n    log {gone} local0\n{HTTP_DEFAULTS}\n    log global\n    option httplog\n\
             listen be\n    bind @fe@\n    server s1 {}\n",
            origin.address()
        ));
        let mut client = proxy.client("fe");
        for _ in 0..2_000 {
            assert_eq!(client.get("/", "").status, 200);
        }
        assert!(proxy.admin("show info").contains("Name: HAProxy"));
    });
}

#[test]
fn silent_connections_and_normal_ones_can_be_left_out() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| {
            if request.path() == "/bad" { Reply::status(500, "", "") } else { Reply::ok("one") }
        });
        let mut syslog = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &config(
                &syslog,
                &format!(
                    "    option dontlognull\n    option dontlog-normal\nlisten be\n    bind @fe@\n    server s1 {}\n",
                    origin.address()
                ),
            ),
        );
        drop(proxy.client("fe"));
        proxy.client("fe").get("/good", "");
        proxy.client("fe").get("/bad", "");
        syslog.wait_for(&["/bad"]);
        let rest = syslog.rest(Duration::from_millis(200));
        let sessions: Vec<_> = rest.iter().filter(|line| line.contains(" be ")).collect();
        assert!(sessions.is_empty(), "{sessions:#?}");
    });
}

#[test]
fn a_line_of_json_has_clear_names() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let mut proxy = Proxy::start(
            driver,
            &format!(
                "global\n    log stdout format raw local0\n{HTTP_DEFAULTS}
    log global
    option httplog json
listen be
    bind @fe@
    capture request header User-Agent len 20
    server s1 {}
",
                origin.address()
            ),
        );
        proxy.client("fe").get("/a/b?c=\"d\"", "User-Agent: \"x\" \\ \u{e9}\r\n");
        assert!(wait_until(LIMIT, || proxy.stdout().contains("/a/b")));
        proxy.signal(libc::SIGTERM);
        proxy.wait_exit(LIMIT);
        let lines = proxy.stdout();
        let line = lines.lines().find(|line| line.contains("/a/b")).unwrap();
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for (key, expected) in [
            ("frontend", serde_json::json!("be")),
            ("backend", "be".into()),
            ("server", "s1".into()),
            ("client_ip", "127.0.0.1".into()),
            ("method", "GET".into()),
            ("path", "/a/b".into()),
            ("status", 200.into()),
            ("retries", 0.into()),
            ("redispatched", false.into()),
            ("termination_state", "----".into()),
            ("tls_version", "".into()),
            ("frontend_connections", 1.into()),
        ] {
            assert_eq!(object[key], expected, "{key}: {line}");
        }
        assert!(object["client_port"].as_u64().is_some_and(|port| port > 0), "{line}");
        assert!(object["total_ms"].as_i64().is_some_and(|ms| ms >= 0), "{line}");
        let time = object["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        assert!(object["captured_request_headers"].as_str().unwrap().starts_with("{#22x#22"), "{line}");
    });
}

#[test]
fn httpslog_has_nothing_to_tell_of_a_plain_connection() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let mut syslog = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &config(
                &syslog,
                &format!(
                    "    option httpslog\nlisten be\n    bind @fe@\n    server s1 {}\n",
                    origin.address()
                ),
            )
            .replace("    option httplog\n", ""),
        );
        proxy.client("fe").get("/plain", "");
        let line = syslog.wait_for(&["/plain"]);
        let last: Vec<&str> = line.rsplit(' ').take(2).collect();
        assert_eq!(last, ["-/-/-", "0/-/-/-/0"], "{line}");
    });
}

#[test]
fn users_are_let_in_by_list() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let hash = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";
        let proxy = Proxy::start(
            driver,
            &format!(
                "userlist staff
    group admins users ann
    user ann password {hash}
    user bob insecure-password secret
{HTTP_DEFAULTS}
listen be
    bind @fe@
    acl known http_auth(staff)
    http-request auth realm Staff unless known
    http-request deny if {{ path /admin }} !{{ http_auth_group(staff) admins }}
    http-request set-header X-User %[http_auth_user]
    server s1 {}
",
                origin.address()
            ),
        );
        let mut client = proxy.client("fe");
        for (path, credentials, status) in [
            ("/", "", 401),
            ("/", "Authorization: Basic Ym9iOndyb25n\r\n", 401), // bob:wrong
            ("/", "Authorization: Basic Ym9iOnNlY3JldA==\r\n", 200), // bob:secret
            ("/admin", "Authorization: Basic Ym9iOnNlY3JldA==\r\n", 403),
            ("/admin", "Authorization: Basic YW5uOnNlY3JldA==\r\n", 200), // ann:secret
            ("/admin", "Authorization: Basic YW5uOnNlY3JldA==\r\n", 200),
            ("/", "Authorization: Basic YW5uOndyb25n\r\n", 401), // ann:wrong
        ] {
            let response = client.get(path, credentials);
            assert_eq!(response.status, status, "{path} {credentials}");
            if status == 401 {
                assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"Staff\""));
            }
        }
        assert_eq!(origin.last().header("x-user"), Some("ann"));
    });
}

/// So many requests from so many clients at once, a connection for each.
fn crowd(proxy: &Proxy, clients: usize, each: usize) {
    let address = proxy.address("fe");
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            std::thread::spawn(move || {
                for number in 0..each {
                    let path = format!("/{client}.{number}");
                    assert_eq!(Client::connect(address).get(&path, "Connection: close\r\n").status, 200);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

const ANSWER: &str = "
frontend fe
    bind @fe@
    http-request return status 200 content-type text/plain string ok
";

fn dropped(proxy: &Proxy) -> u64 {
    let info = proxy.admin("show info");
    let value = info.lines().find_map(|line| line.strip_prefix("DroppedLogs: ")).unwrap_or_default();
    value.parse().unwrap()
}

#[test]
fn a_burst_reaches_the_reader_of_a_unix_socket_whole() {
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        let path = builder.path("log.sock");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let reader = std::thread::spawn(move || {
            let mut seen = std::collections::HashSet::new();
            let mut line = [0; 2048];
            while seen.len() < 3000 {
                let Ok(length) = socket.recv(&mut line) else { break };
                let text = String::from_utf8_lossy(&line[..length]).into_owned();
                seen.extend(text.split('"').nth(1).map(str::to_owned));
            }
            seen.len()
        });
        let global =
            format!("global\n    log {path} local0\n{HTTP_DEFAULTS}\n    log global\n    option httplog\n");
        let proxy = builder.start(&format!("{global}{ANSWER}"));
        crowd(&proxy, 20, 150);
        assert_eq!(reader.join().unwrap(), 3000);
        assert_eq!(dropped(&proxy), 0);
    });
}

#[test]
fn a_dead_reader_holds_up_neither_the_process_nor_other_readers() {
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        let path = builder.path("dead.sock");
        let _dead = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let gone = builder.path("gone.sock");
        let mut proxy = builder.start(&format!(
            "global\n    log {path} local0\n    log {gone} local0\n    log stdout format raw local0\n{HTTP_DEFAULTS}\n    \
             log global\n    option httplog\n{ANSWER}"
        ));
        crowd(&proxy, 4, 100);
        let lines = || proxy.stdout().matches("GET /").count();
        assert!(wait_until(LIMIT, || lines() == 400), "who reads gets all: {}", lines());
        assert!(dropped(&proxy) >= 400, "what nobody can get is counted");
        proxy.signal(libc::SIGTERM);
        assert_eq!(proxy.wait_exit(LIMIT), Some(0), "and the end is not held up");
    });
}
