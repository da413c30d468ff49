//! The letters of `%ts` and `%tsc`: each situation of the manual's section 8.5, provoked.

use std::io::Write as _;
use std::time::Duration;

use crate::support::*;

/// What one line says: status, `backend/server`, letters.
type Told = (String, String, String);

fn told(status: &str, server: &str, letters: &str) -> Told {
    (status.to_owned(), server.to_owned(), letters.to_owned())
}

/// A proxy whose lines are short, the origin behind it, and what reads the lines.
struct Scene {
    proxy: Proxy,
    syslog: Syslog,
    origin: Origin,
}

/// An origin that behaves as the path says.
fn moody() -> Origin {
    Origin::raw(|mut stream, connection, seen| {
        let mut buffer = Vec::new();
        while let Some(request) = origin::read_head(&mut stream, &mut buffer, connection) {
            seen.note(&request);
            let path = request.path().to_owned();
            let says = |part: &str| path.contains(part);
            let answer: &[u8] = if says("silent") {
                stay(&mut stream);
                return;
            } else if says("hesitate") {
                std::thread::sleep(Duration::from_millis(300));
                return;
            } else if says("reset") {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return;
            } else if says("leave") {
                return;
            } else if says("garbage") {
                b"nonsense\r\n\r\n"
            } else if says("stall") {
                b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
            } else if says("short") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                return;
            } else if says("badchunk") {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
            } else if says("endless") {
                b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"
            };
            if stream.write_all(answer).is_err() {
                return;
            }
            if says("endless") {
                let block = vec![b'x'; 100_000];
                while stream.write_all(&block).is_ok() {}
                return;
            }
            if says("badchunk") {
                // What is wrong comes once the right part is through.
                std::thread::sleep(Duration::from_millis(100));
                let _ = stream.write_all(b"zz\r\n\r\n");
            }
            if says("stall") || says("early") {
                stay(&mut stream);
                return;
            }
        }
    })
}

/// Says nothing until the other side ends the connection.
fn stay(stream: &mut std::net::TcpStream) {
    stream.set_read_timeout(Some(2 * LIMIT)).expect("a timeout");
    let mut part = [0; 4096];
    while let Ok(1..) = std::io::Read::read(stream, &mut part) {}
}

fn scene(driver: Driver, rest: &str) -> Scene {
    let (origin, syslog) = (moody(), Syslog::start());
    let config = format!(
        "global\n    log {log} local0\n{HTTP_DEFAULTS}
    log global
    retries 0
    timeout http-request 250ms
    timeout queue 150ms
    timeout tarpit 200ms
frontend fe
    bind @fe@
    log-format \"|%ST|%b/%s|%tsc|%TR/%Tw/%Tc/%Tr/Ta=%Ta| %r |end\"
    stats enable
    stats uri /stats
    {rest}
    default_backend be
backend be
    server s1 {origin}
backend impatient
    timeout server 200ms
    server s1 {origin}
backend patient
    no option abortonclose
    server s1 {origin}
backend hasty
    no option abortonclose
    timeout server 300ms
    server s1 {origin}
backend moved
    server s1 {origin} redir http://other
backend closed
    tcp-response content close
    server s1 {origin}
backend none
backend one
    server s1 {origin} maxconn 1
backend refusing
    retries 100
    server s1 {refusing}
",
        log = syslog.address(),
        origin = origin.address(),
        refusing = std::net::SocketAddr::new(own_address(), 1),
    );
    Scene { proxy: Proxy::start(driver, &config), syslog, origin }
}

impl Scene {
    /// The line that has `part` in its request.
    fn line(&mut self, part: &str) -> (Told, String) {
        let line = self.syslog.wait_for(&[part, "|end"]);
        let fields: Vec<&str> = line.split('|').collect();
        let field = |at: usize| fields[at + 1].to_owned();
        ((field(0), field(1), field(2)), field(3))
    }
    #[track_caller]
    fn expect(&mut self, part: &str, expected: Told) {
        assert_eq!(self.line(part).0, expected, "{part}");
    }
    /// Sends a request and waits until the origin has it.
    fn begin(&self, request: &str) -> Client {
        let mut client = self.proxy.client("fe");
        client.send(request);
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(wait_until(LIMIT, || self.origin.seen().iter().any(|seen| seen.path() == path)), "{path}");
        client
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn answers_of_the_proxy_itself() {
    both_drivers(|driver| {
        let mut scene = scene(
            driver,
            "http-request deny if { path /deny }
    http-request tarpit if { path_beg /tarpit }
    http-request reject if { path /reject }
    http-request redirect location /x if { path /redirect }
    http-request set-var(txn.path) path
    use_backend moved if { path_beg /moved }
    use_backend none if { path /none }
    http-response deny if { var(txn.path) -m str /resdeny }
    http-response redirect location /x if { var(txn.path) -m str /resredirect }
    http-response return status 200 if { var(txn.path) -m str /resreturn }
",
        );
        for (path, status, expected) in [
            ("/deny", 403, told("403", "fe/<NOSRV>", "PR--")),
            ("/redirect", 302, told("302", "fe/<NOSRV>", "LR--")),
            ("/moved/x", 302, told("302", "moved/s1", "LC--")),
            ("/none", 503, told("503", "none/<NOSRV>", "SC--")),
            ("/stats", 200, told("200", "fe/<STATS>", "LR--")),
            ("/resdeny", 502, told("502", "be/s1", "PH--")),
            ("/resredirect", 302, told("302", "be/s1", "LH--")),
            ("/resreturn", 200, told("200", "be/s1", "LH--")),
            ("/normal", 200, told("200", "be/s1", "----")),
        ] {
            assert_eq!(scene.proxy.client("fe").get(path, "").status, status, "{path}");
            scene.expect(&format!(" {path} "), expected);
        }
        let mut client = scene.proxy.client("fe");
        client.send(get("/reject"));
        assert!(client.is_closed_within(LIMIT));
        scene.expect("/reject", told("-1", "fe/<NOSRV>", "PR--"));
        assert_eq!(scene.proxy.client("fe").get("/tarpit", "").status, 500);
        let (letters, timers) = scene.line("/tarpit ");
        assert_eq!(letters, told("500", "fe/<NOSRV>", "PT--"));
        let held: i64 = timers.split('/').nth(1).unwrap().parse().unwrap();
        assert!((150..2000).contains(&held), "Tw tells how long it was held: {timers}");
        let mut client = scene.proxy.client("fe");
        client.send(get("/tarpit2"));
        drop(client);
        scene.expect("/tarpit2", told("-1", "fe/<NOSRV>", "CT--"));
    });
}

#[test]
fn requests_that_never_come() {
    both_drivers(|driver| {
        let mut scene = scene(driver, "");
        let mut client = scene.proxy.client("fe");
        client.send("GET /slow HTTP/1.1\r\n");
        assert_eq!(client.response().status, 408);
        scene.expect("<BADREQ>", told("408", "fe/<NOSRV>", "cR--"));
        assert_eq!(scene.proxy.client("fe").response().status, 408);
        scene.expect("<BADREQ>", told("408", "fe/<NOSRV>", "cR--"));
        let mut client = scene.proxy.client("fe");
        client.send("GET /left HTTP/1.1\r\n");
        drop(client);
        scene.expect("<BADREQ>", told("400", "fe/<NOSRV>", "CR--"));
        drop(scene.proxy.client("fe"));
        scene.expect("<BADREQ>", told("400", "fe/<NOSRV>", "CR--"));
        let mut client = scene.proxy.client("fe");
        client.send("GET / HTTP/1.1\r\nno colon\r\n\r\n");
        assert_eq!(client.response().status, 400);
        scene.expect("<BADREQ>", told("400", "fe/<NOSRV>", "PR--"));
    });
}

#[test]
fn servers_that_fail() {
    both_drivers(|driver| {
        let mut scene = scene(driver, "use_backend impatient if { path_beg /impatient }");
        for (path, status, expected) in [
            ("/reset", 502, told("502", "be/s1", "SH--")),
            ("/leave", 502, told("502", "be/s1", "SH--")),
            ("/garbage", 502, told("502", "be/s1", "PH--")),
            ("/impatient/silent", 504, told("504", "impatient/s1", "sH--")),
        ] {
            assert_eq!(scene.proxy.client("fe").get(path, "").status, status, "{path}");
            scene.expect(path, expected);
        }
        for (path, expected) in [
            ("/short", told("200", "be/s1", "SD--")),
            ("/impatient/stall", told("200", "impatient/s1", "sD--")),
            ("/badchunk", told("200", "be/s1", "PD--")),
        ] {
            assert!(scene.proxy.client("fe").get(path, "").truncated, "{path}");
            scene.expect(path, expected);
        }
    });
}

#[test]
fn clients_that_leave_or_stop() {
    both_drivers(|driver| {
        let mut scene = scene(
            driver,
            "timeout client 400ms\n    use_backend one if { path_beg /one }\n    \
             use_backend refusing if { path_beg /refused }",
        );
        drop(scene.begin(&get("/silent1")));
        scene.expect("/silent1", told("400", "be/s1", "CH--"));
        scene.begin(&get("/silent2")).reset();
        scene.expect("/silent2", told("400", "be/s1", "CD--"));
        let mut client = scene.begin(&get("/endless1"));
        client.read_exact(1000);
        drop(client);
        scene.expect("/endless1", told("200", "be/s1", "CD--"));
        let client = scene.begin(&get("/endless2"));
        scene.expect("/endless2", told("200", "be/s1", "cD--"));
        drop(client);
        // It leaves while a server that refused is about to be tried again: what that had given is not told.
        let mut client = scene.proxy.client("fe");
        client.send(get("/refused/left"));
        assert!(wait_until(LIMIT, || scene.proxy.stat("refusing", "s1", "wretr") != "0"));
        drop(client);
        scene.expect("/refused/left", told("-1", "refusing/s1", "CC--"));
        // The only slot is taken: one client that waits for it leaves, another waits too long.
        let holder = scene.begin(&get("/one/silent"));
        let mut waiting = scene.proxy.client("fe");
        waiting.send(get("/one/left"));
        assert!(wait_until(LIMIT, || scene.proxy.stat("one", "BACKEND", "qcur") == "1"));
        drop(waiting);
        scene.expect("/one/left", told("-1", "one/<NOSRV>", "CQ--"));
        assert_eq!(scene.proxy.client("fe").get("/one/late", "").status, 503);
        scene.expect("/one/late", told("503", "one/<NOSRV>", "sQ--"));
        drop(holder);
        // The body of a request stops, while the server waits for it.
        let mut client = scene.begin("POST /silent3 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
        assert_eq!(client.response().status, 408);
        scene.expect("/silent3", told("408", "be/s1", "cH--"));
        // Or the client goes with half of it sent.
        drop(scene.begin("POST /silent4 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"));
        scene.expect("/silent4", told("400", "be/s1", "CH--"));
    });
}

#[test]
fn a_reset_ends_what_an_end_need_not() {
    both_drivers(|driver| {
        let mut scene = scene(driver, "use_backend hasty if { path /stall2 }\n    use_backend patient");
        scene.begin(&get("/silent1")).reset();
        scene.expect("/silent1", told("400", "patient/s1", "CD--"));
        let body = "POST /silent2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
        scene.begin(body).reset();
        scene.expect("/silent2", told("400", "patient/s1", "CD--"));
        // Half a close is none: the answer is waited for, which this server does not give.
        let mut client = scene.begin(&get("/hesitate"));
        client.finish_sending();
        assert_eq!(client.response().status, 502);
        scene.expect("/hesitate", told("502", "patient/s1", "SH--"));
        // The answer has begun and stalls.
        let mut client = scene.begin(&get("/stall1"));
        client.read_exact(30);
        client.reset();
        scene.expect("/stall1", told("200", "patient/s1", "CD--"));
        scene.proxy.freeze();
        let mut client = scene.proxy.client("fe");
        client.send(get("/stall2"));
        client.finish_sending();
        scene.proxy.signal(libc::SIGCONT);
        scene.expect("/stall2", told("200", "hasty/s1", "CD--"));
    });
}

#[test]
fn an_answer_before_the_end_of_the_request_lasts_as_long_as_the_request() {
    both_drivers(|driver| {
        let mut scene = scene(driver, "");
        let mut hurried = self::scene(driver, "timeout client 400ms");
        let upload =
            |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
        let time = |line: &str| -> i64 {
            let end = line.split('/').find_map(|part| part.strip_prefix("Ta=")).expect("a time");
            end.split('|').next().expect("a number").parse().expect("a number")
        };
        let mut client = hurried.begin(&upload("/early1"));
        assert_eq!(client.response().status, 200);
        let (told_of, line) = hurried.line("/early1");
        assert_eq!(told_of, told("200", "be/s1", "cL--"));
        assert!(time(&line) >= 400, "{line}");
        // It leaves with its answer.
        let mut client = scene.begin(&upload("/early2"));
        assert_eq!(client.response().status, 200);
        drop(client);
        scene.expect("/early2", told("200", "be/s1", "CL--"));
    });
}

#[test]
fn what_a_closed_server_said_goes_no_further() {
    both_drivers(|driver| {
        let mut scene = scene(driver, "use_backend closed");
        assert_eq!(scene.proxy.client("fe").get("/closed", "").status, 502);
        scene.expect("/closed", told("502", "closed/s1", "SH--"));
    });
}

#[test]
fn orders_to_end() {
    both_drivers(|driver| {
        let mut scene = scene(driver, "");
        let mut client = scene.begin(&get("/silent1"));
        scene.proxy.admin("shutdown sessions server be/s1");
        assert!(client.is_closed_within(LIMIT), "it may try again");
        scene.expect("/silent1", told("500", "be/s1", "KH--"));
        let mut client = scene.begin(&get("/stall1"));
        client.read_exact(30);
        scene.proxy.admin("shutdown sessions server be/s1");
        assert!(client.is_closed_within(LIMIT));
        scene.expect("/stall1", told("200", "be/s1", "KD--"));
    });
}

#[test]
fn a_server_that_goes_down_takes_its_sessions_along() {
    both_drivers(|driver| {
        let (origin, mut syslog) = (moody(), Syslog::start());
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    log {log} local0\n{HTTP_DEFAULTS}
    log global
    option httplog
listen be
    bind @fe@
    server s1 {origin} on-marked-down shutdown-sessions
listen relay
    mode tcp
    option tcplog
    bind @tcp@
    server s1 {origin} on-marked-down shutdown-sessions
",
                log = syslog.address(),
                origin = origin.address(),
            ),
        );
        let mut client = proxy.client("fe");
        client.send(get("/silent"));
        let mut relayed = proxy.client("tcp");
        relayed.send(get("/stall"));
        relayed.read_exact(30);
        assert!(wait_until(LIMIT, || origin.seen().len() == 2));
        proxy.admin("set server be/s1 state maint");
        proxy.admin("set server relay/s1 state maint");
        assert!(syslog.wait_for(&["GET /silent "]).contains(" 500 "));
        assert!(syslog.wait_for(&[" relay relay/s1 "]).contains(" DD "));
        assert!(client.is_closed_within(LIMIT));
    });
}

#[test]
fn logasap_writes_once_and_early() {
    both_drivers(|driver| {
        let (origin, mut syslog) = (moody(), Syslog::start());
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    log {log} local0\n{HTTP_DEFAULTS}
    log global
    option logasap
listen be
    bind @fe@
    log-format \"%OG %tsc %B %Ta %HP\"
    server s1 {origin}
listen relay
    mode tcp
    option tcplog
    bind @tcp@
    server s1 {origin}
",
                log = syslog.address(),
                origin = origin.address(),
            ),
        );
        let mut client = proxy.client("fe");
        client.send(get("/stall"));
        let line = syslog.wait_for(&["/stall"]);
        let message: Vec<&str> = line.split_once("]: ").unwrap().1.split(' ').collect();
        assert_eq!((message[0], message[1]), ("txn_response", "----"), "{line}");
        assert_eq!(message[2], "+40", "the bytes of the head: {line}");
        assert!(message[3].starts_with('+'), "{line}");
        let mut relayed = proxy.client("tcp");
        let line = syslog.wait_for(&[" relay/s1 "]);
        assert!(line.contains(" +0 -- "), "{line}");
        relayed.send(get("/normal"));
        drop((client, relayed));
        let rest = syslog.rest(Duration::from_millis(300));
        assert!(!rest.iter().any(|line| line.contains("/stall") || line.contains("relay/s1")), "{rest:#?}");
    });
}
