//! Actions and the directives near them, as clients and servers see them.

use std::io::Write;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::support::*;

/// A frontend with lines over a backend with lines and one origin.
fn start(driver: Driver, origin: &Origin, frontend: &str, backend: &str) -> Proxy {
    start_with(driver, origin, "", frontend, backend)
}

fn start_with(driver: Driver, origin: &Origin, global: &str, frontend: &str, backend: &str) -> Proxy {
    let config = format!(
        "global\n    {global}\n{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    \
         {frontend}\n    default_backend be\nbackend be\n    {backend}\n    server s1 {}\n",
        origin.address()
    );
    Proxy::start(driver, &config)
}

/// An origin that answers with the head it got.
fn echo() -> Origin {
    Origin::http(|request| Reply::ok(&request.head))
}

#[test]
fn response_bodies_are_waited_for() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, number, seen| {
            let mut buffer = Vec::new();
            while let Some(request) = origin::read_request(&mut stream, &mut buffer, number) {
                seen.note(&request);
                let (head, rest) = match request.path() {
                    "/whole" => ("Content-Length: 5", Some("lo")),
                    "/chunks" => ("Transfer-Encoding: chunked", Some("\r\n0\r\n\r\n")),
                    "/broken" => ("Transfer-Encoding: chunked", Some("zz\r\n")),
                    _ => ("Content-Length: 5", None),
                };
                let start = if head.starts_with('T') { "3\r\nhel" } else { "hel" };
                let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{start}");
                let Some(rest) = rest else { continue };
                let _ = stream.write_all(rest.as_bytes());
            }
        });
        let rules = "http-request set-var(txn.path) path\n    \
                     http-response wait-for-body time 150ms at-least 3 if { var(txn.path) -m str /enough }\n    \
                     http-response wait-for-body time 150ms unless { var(txn.path) -m str /enough }\n    \
                     http-response set-header X-Judged yes";
        let proxy = start(driver, &origin, "", rules);
        for (path, status) in [("/whole", 200), ("/chunks", 200), ("/never", 504), ("/broken", 502)] {
            let mut client = proxy.client("fe");
            let response = client.get(path, "");
            assert_eq!(response.status, status, "{path}");
            if status == 200 {
                assert_eq!(response.header("x-judged"), Some("yes"), "{path}");
                assert!(response.text().starts_with("hel"), "{path}: {}", response.text());
            }
        }
        // Enough is there: the head goes out although the rest never comes.
        let mut client = proxy.client("fe");
        client.send("GET /enough HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.line().unwrap().as_deref(), Some("HTTP/1.1 200 OK"));
    });
}

#[test]
fn a_body_that_is_broken_off_reaches_no_server() {
    both_drivers(|driver| {
        let origin = echo();
        let mut syslog = Syslog::start();
        let lines =
            format!("option http-buffer-request\n    option httplog\n    log {} local0", syslog.address());
        let proxy = start(driver, &origin, &lines, "");
        let mut client = proxy.client("fe");
        client.send("POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
        client.finish_sending();
        assert_eq!(client.response().status, 400);
        let line = syslog.wait_for(&["/half"]);
        assert!(line.contains(" be/<NOSRV> ") && line.contains(" 400 ") && line.contains(" CR-- "), "{line}");
        assert_eq!(origin.requests(), 0);
    });
}

#[test]
fn pauses_hold_the_message_back() {
    both_drivers(|driver| {
        let origin = echo();
        let rules = "http-request set-var(txn.path) path\n    \
                     http-request pause 60ms if { path /request }\n    \
                     http-response pause hdr(x-nothing) if { var(txn.path) -m str /request }\n    \
                     http-response pause int(60) if { var(txn.path) -m str /response }";
        let proxy = start(driver, &origin, "", rules);
        let mut client = proxy.client("fe");
        for path in ["/request", "/response"] {
            let began = Instant::now();
            assert_eq!(client.get(path, "").status, 200);
            assert!(began.elapsed() >= Duration::from_millis(60), "{path} took {:?}", began.elapsed());
        }
    });
}

#[test]
fn early_hints_come_before_the_response() {
    both_drivers(|driver| {
        let origin = echo();
        let rules = "http-request early-hint Link </a>;rel=preload\n    http-request early-hint X-B %[path]\n    \
                     http-request set-header X-Next 1\n    http-request early-hint X-C c if { path /two }";
        let proxy = start(driver, &origin, rules, "");
        let mut client = proxy.client("fe");
        client.send("GET /two HTTP/1.1\r\nHost: a\r\n\r\n");
        let hints = client.response();
        assert_eq!(
            (hints.status, hints.header("link"), hints.header("x-b")),
            (103, Some("</a>;rel=preload"), Some("/two"))
        );
        assert!(hints.head.starts_with("HTTP/1.1 103 Early Hints\r\n"), "{}", hints.head);
        let more = client.response();
        assert_eq!((more.status, more.header("x-c")), (103, Some("c")));
        assert_eq!(client.response().status, 200);
        let mut old = proxy.client("fe");
        old.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(old.response().status, 200, "HTTP/1.0 has no interim responses");
    });
}

#[test]
fn log_lines_are_written_on_demand() {
    both_drivers(|driver| {
        let origin = echo();
        let mut syslog = Syslog::start();
        let lines = format!(
            "log {} local0\n    log-format \"%HP %ST\"\n    http-request do-log if {{ path /twice }}\n    \
             http-request return status 204",
            syslog.address()
        );
        let proxy = start(driver, &origin, &lines, "");
        assert_eq!(proxy.client("fe").get("/twice", "").status, 204);
        syslog.wait_for(&["/twice -1"]);
        syslog.wait_for(&["/twice 204"]);
    });
}

#[test]
fn targets_are_normalized() {
    both_drivers(|driver| {
        let origin = echo();
        let rules = "http-request normalize-uri path-merge-slashes\n    http-request normalize-uri path-strip-dotdot full\n    \
                     http-request normalize-uri percent-to-uppercase strict\n    http-request normalize-uri query-sort-by-name";
        let proxy = start_with(driver, &origin, "expose-experimental-directives", rules, "");
        let mut client = proxy.client("fe");
        assert_eq!(client.get("//a/../../b%2f?c=1&a=2", "").status, 200);
        assert_eq!(origin.last().path(), "/b%2F?a=2&c=1");
        assert_eq!(client.get("/%zz", "").status, 400);
    });
}

#[test]
fn a_queue_obeys_priorities() {
    both_drivers(|driver| {
        let gate = std::sync::Arc::new(Barrier::new(2));
        let at_origin = gate.clone();
        let origin = Origin::http(move |request| {
            if request.path() == "/first" {
                at_origin.wait();
            }
            Reply::ok("")
        });
        let config = format!(
            "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    \
             http-request set-priority-class req.hdr(class)\n    http-request set-priority-offset req.hdr(offset)\n    \
             server s1 {} maxconn 1\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let mut waiting: Vec<Client> = Vec::new();
        for (number, (path, lines)) in [
            ("/first", ""),
            ("/late", "offset: 5000\r\n"),
            ("/plain", ""),
            ("/low", "class: 7\r\n"),
            ("/high", "class: -7\r\n"),
        ]
        .into_iter()
        .enumerate()
        {
            let mut client = proxy.client("fe");
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
            waiting.push(client);
            let queued = || proxy.stat("be", "BACKEND", "qcur") == number.to_string();
            assert!(
                wait_until(Duration::from_secs(5), || origin.requests() == 1 && queued()),
                "{path} queues"
            );
        }
        gate.wait();
        for client in &mut waiting {
            assert_eq!(client.response().status, 200);
        }
        let order: Vec<_> = origin.seen().iter().map(|request| request.path().to_owned()).collect();
        assert_eq!(order, ["/first", "/high", "/plain", "/late", "/low"]);
    });
}

#[test]
fn retries_are_set_by_rules() {
    both_drivers(|driver| {
        let mut origin = echo();
        let rules = "http-request set-retries 0 if { path /none }\n    http-request set-retries int(2) unless { path /none }";
        let proxy = start(driver, &origin, "", &format!("retries 1\n    timeout connect 50ms\n    {rules}"));
        origin.stop();
        for (path, expected) in [("/none", "0"), ("/two", "2")] {
            assert_eq!(proxy.client("fe").get(path, "").status, 503, "{path}");
            assert_eq!(proxy.stat("be", "BACKEND", "wretr"), expected, "{path}");
        }
    });
}

#[test]
fn a_session_changes_from_tcp_to_http() {
    both_drivers(|driver| {
        let origin = echo();
        let config = |rule: &str| {
            format!(
                "{HTTP_DEFAULTS}\nfrontend fe\n    mode tcp\n    bind @fe@\n    {rule}\n    default_backend be\n\
                 backend be\n    http-request set-header X-Backend yes\n    server s1 {}\n",
                origin.address()
            )
        };
        let switch = "tcp-request inspect-delay 5s\n    tcp-request content switch-mode http if HTTP\n    \
                      http-request set-header X-Frontend yes";
        for (rule, frontend) in [("", None), (switch, Some("yes"))] {
            let proxy = Proxy::start(driver, &config(rule));
            let mut client = proxy.client("fe");
            for path in ["/1", "/2"] {
                assert_eq!(client.get(path, "").status, 200, "{rule} {path}");
                let request = origin.last();
                assert_eq!((request.path(), request.header("x-backend")), (path, Some("yes")), "{rule}");
                assert_eq!(request.header("x-frontend"), frontend, "{rule}");
            }
        }
    });
}

#[test]
fn servers_are_told_what_the_options_say() {
    both_drivers(|driver| {
        let origin = echo();
        let global = "h1-case-adjust x-odd X-oDD\n    h1-case-adjust content-length Content-LENGTH";
        let backend = "http-send-name-header X-Server\n    option h1-case-adjust-bogus-server\n    \
                       option forwarded proto host by-expr str(edge) for for_port-expr int(7)\n    \
                       http-request set-tos 16\n    http-request set-bc-tos 8\n    http-request set-fc-mark 1";
        let proxy = start_with(driver, &origin, global, "option h1-case-adjust-bogus-client", backend);
        let mut client = proxy.client("fe");
        let response = client.get("/", "X-Server: forged\r\nx-odd: 1\r\n");
        assert!(response.head.contains("\r\nContent-LENGTH: "), "{}", response.head);
        let head = response.text() + "\r\n";
        for part in [
            "\r\nx-server: s1\r\n",
            "\r\nX-oDD: 1\r\n",
            "\r\nforwarded: proto=http;host=\"",
            "\";by=_edge;for=\"127.0.0.1:7\"\r\n",
        ] {
            assert!(head.contains(part), "{part:?} in {head}");
        }
        assert!(!head.contains("forged"), "{head}");
    });
}

#[test]
fn trailers_are_dropped_on_demand() {
    both_drivers(|driver| {
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let raw = seen.clone();
        let origin = Origin::raw(move |mut stream, _, _| {
            use std::io::Read;
            let mut bytes = Vec::new();
            let mut part = [0; 1024];
            while !bytes.ends_with(b"0\r\n\r\n") && !bytes.ends_with(b"x-t: 1\r\n\r\n") {
                match stream.read(&mut part) {
                    Ok(count @ 1..) => bytes.extend_from_slice(&part[..count]),
                    _ => return,
                }
            }
            *raw.lock().unwrap() = bytes;
            let answer =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-R: 1\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        });
        for (frontend, backend, dropped) in [
            ("", "", false),
            ("option http-drop-response-trailers", "option http-drop-request-trailers", true),
        ] {
            let proxy = start(driver, &origin, frontend, backend);
            let mut client = proxy.client("fe");
            client.send(
                "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            client.send("1\r\nx\r\n0\r\nx-t: 1\r\n\r\n");
            let response = String::from_utf8_lossy(&client.read_to_end()).to_lowercase();
            assert_eq!(!response.contains("x-r: 1"), dropped, "{response}");
            let sent = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
            assert_eq!(!sent.contains("x-t: 1"), dropped, "{sent}");
        }
    });
}

#[test]
fn cacheable_cookies_are_refused() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| {
            let control = request.header("x-control").unwrap_or("private").to_owned();
            Reply::status(200, &format!("Set-Cookie: a=b\r\nCache-Control: {control}\r\n"), "")
        });
        let proxy = start(driver, &origin, "", "option checkcache");
        for (control, status) in [("max-age=9", 502), ("private", 200), ("public, max-age=9", 502)] {
            let response = proxy.client("fe").get("/", &format!("X-Control: {control}\r\n"));
            assert_eq!(response.status, status, "{control}");
        }
    });
}

#[test]
fn monitor_requests_are_not_logged() {
    both_drivers(|driver| {
        let origin = echo();
        let mut syslog = Syslog::start();
        let lines = format!("monitor-uri /alive\n    option httplog\n    log {} local0", syslog.address());
        let proxy = start(driver, &origin, &lines, "");
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/alive", "").status, 200);
        assert_eq!(client.get("/next", "").status, 200);
        let line = syslog.wait_line(Duration::from_secs(5), |_| true);
        assert!(line.as_ref().is_some_and(|line| line.contains("/next")), "{line:?}");
    });
}

#[test]
fn idle_connections_are_lent_between_cores() {
    both_drivers(|driver| {
        let origin = echo();
        let config = format!(
            "global\n    nbthread 4\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    http-reuse always\n    server s1 {}\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        // One after the other, each on a core that the kernel chooses: one connection serves them all.
        for number in 0..32 {
            assert_eq!(proxy.client("fe").get(&format!("/{number}"), "").status, 200);
            // The client has its answer a moment before the connection is kept.
            let kept = || proxy.stat("be", "s1", "srv_icur") == "1";
            assert!(wait_until(Duration::from_secs(5), kept), "the connection is kept");
        }
        assert_eq!(origin.connections(), 1);
    });
}

#[test]
fn variables_of_the_request_end_with_it() {
    both_drivers(|driver| {
        let origin = echo();
        let rules = "http-request set-var(req.a) str(1)\n    http-request set-var(txn.a) str(2)\n    \
                     http-response set-header X-Vars \"[%[var(req.a)]%[var(txn.a)]]\"";
        let proxy = start(driver, &origin, rules, "");
        assert_eq!(proxy.client("fe").get("/", "").header("x-vars"), Some("[2]"));
    });
}

#[test]
fn httpclose_closes_the_side_that_asks_for_it() {
    both_drivers(|driver| {
        let origin = echo();
        for (frontend, backend, client_stays) in
            [("option httpclose", "", false), ("", "option httpclose", true)]
        {
            let proxy = start(driver, &origin, frontend, backend);
            let mut client = proxy.client("fe");
            let response = client.get("/", "");
            assert_eq!(
                response.header("connection"),
                (!client_stays).then_some("close"),
                "{frontend} {backend}"
            );
            if client_stays {
                assert_eq!(origin.last().header("connection"), Some("close"));
                assert_eq!(client.get("/again", "").status, 200);
            }
        }
    });
}

/// The figures of the time-outs and retries in force, for a header field.
const IN_FORCE: &str = "\"%[cur_client_timeout] %[cur_server_timeout] %[cur_connect_timeout] %[cur_queue_timeout] \
                        %[cur_tunnel_timeout] %[cur_tarpit_timeout] %[cur_max_retries]\"";

#[test]
fn what_a_listen_said_of_its_servers_ends_where_another_backend_takes_over() {
    both_drivers(|driver| {
        let origin = echo();
        let overrides: String =
            ["client 11s", "server 12s", "connect 13s", "queue 14s", "tunnel 15s", "tarpit 16s"]
                .iter()
                .map(|word| format!("    http-request set-timeout {word}\n"))
                .collect();
        let own = "    timeout server 22s\n    timeout connect 23s\n    timeout queue 24s\n    timeout tunnel 25s\n    \
                   timeout tarpit 26s\n    retries 9\n";
        let config = format!(
            "{HTTP_DEFAULTS}\nlisten fe\n    bind @fe@\n{overrides}    http-request set-retries 17\n    \
             use_backend other if {{ path /other }}\n    use_backend set if {{ path /set }}\n    \
             http-response set-header X-Now {IN_FORCE}\n    server s1 {address}\nbackend other\n{own}    \
             server s1 {address}\nbackend set\n{own}    http-request set-timeout server 32s\n    \
             http-request set-retries int(33)\n    server s1 {address}\n",
            address = origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("fe");
        // One connection: what one request sets is not there for the next.
        for (path, expected) in [
            ("/", "11000 12000 13000 14000 15000 16000 17"),
            ("/other", "11000 22000 23000 24000 25000 16000 9"),
            ("/set", "11000 32000 23000 24000 25000 16000 33"),
            ("/other", "11000 22000 23000 24000 25000 16000 9"),
        ] {
            assert_eq!(client.get(path, "").header("x-now"), Some(expected), "{path}");
        }
    });
}

#[test]
fn the_statistics_page_comes_between_rules_and_redirections() {
    both_drivers(|driver| {
        let origin = echo();
        let proxy = start(
            driver,
            &origin,
            "stats uri /stats\n    http-request deny if { path /stats/denied }\n    redirect location /elsewhere",
            "",
        );
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/stats;csv", "").status, 200);
        assert_eq!(client.get("/stats/denied", "").status, 403);
        assert_eq!(client.get("/other", "").header("location"), Some("/elsewhere"));
    });
}

#[test]
fn who_asks_for_a_password_shows_the_proxys_own_page() {
    both_drivers(|driver| {
        let origin = echo();
        let builder = Proxy::build(driver);
        builder.write(
            "401.http",
            "HTTP/1.0 401 Unauthorized\r\nX-Own: page\r\nContent-Type: text/plain\r\n\r\nours",
        );
        let config = format!(
            "{HTTP_DEFAULTS}    errorfile 401 {page}\nfrontend fe\n    bind @fe@\n    stats uri /stats\n    \
             stats auth joe:secret\n    http-request auth if {{ path /named }}\n    \
             http-request auth realm Vault if {{ path /vault }}\n    default_backend be\n\
             frontend rules\n    bind @rules@\n    stats uri /stats\n    \
             stats http-request auth unless {{ hdr(x-let) me }}\n    default_backend be\n\
             backend be\n    server s1 {address}\n",
            page = builder.path("401.http"),
            address = origin.address()
        );
        let proxy = builder.start(&config);
        for (frontend, path, realm) in [
            ("fe", "/named", "fe"),
            ("fe", "/vault", "Vault"),
            ("fe", "/stats", "HAProxy Statistics"),
            ("rules", "/stats", "HAProxy Statistics"),
        ] {
            let response = proxy.client(frontend).get(path, "");
            assert_eq!((response.status, response.text()), (401, "ours".to_owned()), "{frontend} {path}");
            let challenge = format!("Basic realm=\"{realm}\"");
            assert_eq!(response.headers("www-authenticate"), [challenge], "{frontend} {path}");
            assert_eq!(response.header("x-own"), Some("page"));
        }
        assert_eq!(proxy.client("rules").get("/stats;csv", "X-Let: me\r\n").status, 200);
    });
}

#[test]
fn what_the_request_said_is_gone_when_rules_judge_the_response() {
    both_drivers(|driver| {
        let origin = echo();
        let proxy = start(
            driver,
            &origin,
            "",
            "http-response deny if { path /a }\n    http-response deny if { method POST }",
        );
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/a", "").status, 200, "as the load warned");
        client.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response().status, 502, "the method is remembered");
    });
}

#[test]
fn contents_are_captured_in_tcp_mode() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let origin = Origin::raw(|mut stream, _, _| {
            let _ = stream.write_all(b"told");
        });
        let config = format!(
            "global\n    log {} local0\n{TCP_DEFAULTS}    log global\nfrontend fe\n    bind @fe@\n    \
             declare capture request len 4\n    declare capture response len 9\n    \
             log-format \"%hr %hs [%[capture.req.hdr(2)]] %U\"\n    \
             tcp-request inspect-delay 10s\n    tcp-request content capture src len 16\n    \
             tcp-request content capture req.payload(0,5) len 25\n    \
             tcp-request content set-var(txn.x) str(declared),capture-req(0)\n    \
             tcp-request content accept\n    use_backend be if {{ capture.req.hdr(2) hello }}\nbackend be\n    \
             server s1 {}\n",
            syslog.address(),
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("fe");
        client.send("hel");
        client.send("lo there");
        assert_eq!(client.read_exact(4), b"told");
        drop(client);
        syslog.wait_for(&["{decl|127.0.0.1|hello} {} [hello] 11"]);
    });
}

#[test]
fn connections_that_said_something_are_logged_whatever_becomes_of_them() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let config = format!(
            "global\n    log {} local0\n{TCP_DEFAULTS}    log global\n    option dontlognull\n    \
             log-format \"%f %ts %U\"\nfrontend nowhere\n    bind @nowhere@\nfrontend refused\n    bind @refused@\n    \
             tcp-request inspect-delay 10s\n    tcp-request content reject if {{ req.len gt 2 }}\n    \
             tcp-request content accept if {{ req.len gt 0 }}\n    default_backend empty\nbackend empty\n",
            syslog.address(),
        );
        let proxy = Proxy::start(driver, &config);
        for (frontend, text, expected) in [
            ("nowhere", "abc", "nowhere SC 3"),
            ("refused", "abcd", "refused PR 4"),
            ("refused", "ab", "refused SC 2"),
        ] {
            // A frontend without a backend looks once at what has come: the text is there before the connection is
            // taken.
            proxy.freeze();
            let mut client = proxy.client(frontend);
            client.send(text);
            proxy.signal(libc::SIGCONT);
            let _ = client.is_closed_within(LIMIT);
            syslog.wait_for(&[expected]);
        }
        // A client that sends nothing has no line: the line that comes is that of the next client.
        let client = proxy.client("refused");
        client.finish_sending();
        drop(client);
        let mut client = proxy.client("refused");
        client.send("last");
        let _ = client.is_closed_within(LIMIT);
        let told = std::cell::RefCell::new(Vec::new());
        let found = syslog.wait_line(LIMIT, |line| {
            told.borrow_mut().push(line.to_owned());
            line.contains("refused PR 4")
        });
        assert!(found.is_some() && told.borrow().len() == 1, "{told:?}");
    });
}

#[test]
fn what_a_rule_changes_in_a_map_is_there_for_the_next_request_on_any_core() {
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        builder.write("seen.map", "");
        let proxy = builder.start(&format!(
            "global\n    nbthread 2\n{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    \
             http-request return status 200 content-type text/plain lf-string %[path,map(@dir@/seen.map,none)] if {{ method GET }}\n    \
             http-request set-map(@dir@/seen.map) %[path] %[req.hdr(x)]\n    \
             http-request return status 200 content-type text/plain string set\n"
        ));
        let address = proxy.address("fe");
        for number in 0..300 {
            let path = format!("/{}", number % 7);
            let mut writer = Client::connect(address);
            writer
                .send(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nx: v{number}\r\nContent-Length: 0\r\n\r\n"));
            assert_eq!(writer.response().text(), "set");
            // Another connection, which may be on another core.
            assert_eq!(Client::connect(address).get(&path, "").text(), format!("v{number}"));
        }
    });
}

#[test]
fn long_heads_are_rewritten_while_they_fit_the_buffer() {
    both_drivers(|driver| {
        let origin = echo();
        let rules = "http-request replace-header Cookie ^a(.*) b\\1 if { req.hdr(cookie) -m found }\n    \
                     http-request replace-value X-List ^c d if { req.hdr(x-list) -m found }\n    \
                     http-request replace-path /x(.*) /y\\1 if { path_beg /x }\n    \
                     http-request set-query now=%[query,length] if { query -m found }";
        let proxy = start(driver, &origin, rules, "");
        let mut client = proxy.client("fe");
        let long = "a".repeat(11_000);
        for (path, lines) in [
            (format!("/x{long}"), String::new()),
            (format!("/?{long}"), String::new()),
            ("/".to_owned(), format!("Cookie: {long}\r\n")),
            ("/".to_owned(), format!("X-List: c, {long}\r\n")),
        ] {
            let response = client.get(&path, &lines);
            assert_eq!(response.status, 200);
            let head = response.text();
            let changed = ["GET /yaaa", "?now=11000 ", ": baaa", ": d, aaa"];
            assert!(changed.iter().any(|part| head.contains(part)), "{}", &head[..60]);
        }
    });
}

#[test]
fn a_value_cannot_forge_a_line_of_the_log() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let origin = Origin::named("one");
        let lines = format!(
            "log {} local0\n    http-request set-var(txn.v) url_param(v),url_dec\n    \
             log-format \"<%[var(txn.v)]> %{{+Q}}[var(txn.v)] end\"",
            syslog.address()
        );
        let proxy = start(driver, &origin, &lines, "");
        assert_eq!(proxy.client("fe").get("/?v=a%250d%250ab%250009", "").status, 200);
        syslog.wait_for(&["<a%0d%0ab"]);
        assert_eq!(proxy.client("fe").get("/?v=a%0d%0ab%09c%1b", "").status, 200);
        syslog.wait_for(&["<a#0D#0Ab\tc#1B> \"a#0D#0Ab\tc#1B\" end"]);
    });
}

#[test]
fn a_chain_of_values_ends_at_a_buffer() {
    both_drivers(|driver| {
        let origin = echo();
        let rules = "http-request set-var(sess.a) var(sess.a),concat(,sess.a) if { var(sess.a) -m found }\n    \
                     http-request set-var(sess.a,ifnotset) req.hdr(x)\n    \
                     http-request set-var-fmt(sess.b) \"%[var(sess.b)]%[req.hdr(x)]\"\n    \
                     http-response set-header X-Size \"%[var(sess.a),length] %[var(sess.b),length]\"";
        let proxy = start(driver, &origin, rules, "");
        let mut client = proxy.client("fe");
        let x = format!("X: {}\r\n", "x".repeat(1000));
        let last = (0..40).map(|_| client.get("/", &x).header("x-size").unwrap().to_owned()).last().unwrap();
        assert_eq!(last, "16384 16384");
    });
}

#[test]
fn variables_keep_to_their_limits() {
    both_drivers(|driver| {
        let origin = echo();
        let rules = "http-request set-var(txn.a) req.hdr(x)\n    http-request set-var(txn.b) req.hdr(x)\n    \
                     http-request set-var(sess.c) req.hdr(x)\n    \
                     http-response set-header X-Size \"%[var(txn.a),length]/%[var(txn.b),length]/%[var(sess.c),length]\"";
        let proxy = start_with(driver, &origin, "tune.vars.txn-max-size 1000", rules, "");
        let mut client = proxy.client("fe");
        for (len, expected) in
            [(400, "400/400/400"), (600, "600//600"), (1200, "//1200"), (400, "400/400/400")]
        {
            let response = client.get("/", &format!("X: {}\r\n", "x".repeat(len)));
            assert_eq!(response.header("x-size"), Some(expected), "{len}");
        }
    });
}
