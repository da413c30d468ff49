//! Checks, agents and observation decide which servers get traffic, and the log tells it.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::*;

/// Answers every connection with the text of the moment, as an agent does.
fn agent(text: &Arc<Mutex<String>>) -> Origin {
    let text = text.clone();
    Origin::raw(move |mut stream, _, _| {
        let line = format!("{}\n", text.lock().unwrap());
        let _ = stream.write_all(line.as_bytes());
    })
}

#[test]
fn changes_of_health_are_logged() {
    both_drivers(|driver| {
        let up = Arc::new(AtomicBool::new(true));
        let state = up.clone();
        let one =
            Origin::http(
                move |_| {
                    if state.load(SeqCst) { Reply::ok("fine") } else { Reply::status(404, "", "") }
                },
            );
        let mut syslog = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &format!(
                "global
    log {} local0
{HTTP_DEFAULTS}
    log global
    option log-health-checks
backend be
    option httpchk
    http-check send meth HEAD uri /alive ver HTTP/1.1 hdr Host origin
    http-check expect status 200-299
    server s1 {} check inter 30ms fall 2 rise 2
",
                syslog.address(),
                one.address()
            ),
        );
        syslog.wait_for(&["Health check for server be/s1 succeeded", "code: 200", "status: 2/2 UP"]);
        assert_eq!(one.last().head.lines().next(), Some("HEAD /alive HTTP/1.1"));
        assert_eq!(one.last().header("Host"), Some("origin"));
        up.store(false, SeqCst);
        syslog.wait_for(&[
            "Health check for server be/s1 failed",
            "Layer7 wrong status",
            "code: 404",
            "1/2 UP",
        ]);
        syslog.wait_for(&[
            "Server be/s1 is DOWN",
            "0 active and 0 backup servers left",
            "0 sessions active, 0 requeued, 0 remaining in queue",
        ]);
        syslog.wait_for(&["backend be has no server available!"]);
        up.store(true, SeqCst);
        syslog.wait_for(&["Server be/s1 is UP", "1 active and 0 backup servers online"]);
        assert_eq!(proxy.stat("be", "s1", "status"), "UP");
    });
}

#[test]
fn a_tcp_check_speaks_a_protocol() {
    both_drivers(|driver| {
        let good = Arc::new(AtomicBool::new(true));
        let state = good.clone();
        let one = Origin::raw(move |mut stream, _, _| {
            let mut buffer = [0; 6];
            if std::io::Read::read_exact(&mut stream, &mut buffer).is_ok() && &buffer == b"PING\r\n" {
                let answer: &[u8] = if state.load(SeqCst) { b"+PONG\r\n" } else { b"-LOADING\r\n" };
                let _ = stream.write_all(answer);
            }
        });
        let proxy = Proxy::start(
            driver,
            &format!(
                "{TCP_DEFAULTS}
backend be
    option tcp-check
    tcp-check send PING\\r\\n
    tcp-check expect string +PONG
    server s1 {} check inter 30ms fall 1 rise 1
",
                one.address()
            ),
        );
        proxy.wait_status("be", "s1", "UP");
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "check_status") == "L7OK"));
        good.store(false, SeqCst);
        proxy.wait_status("be", "s1", "DOWN");
        good.store(true, SeqCst);
        proxy.wait_status("be", "s1", "UP");
    });
}

#[test]
fn an_agent_takes_a_server_out_and_weighs_it() {
    both_drivers(|driver| {
        let says = Arc::new(Mutex::new("100%".to_owned()));
        let agent = agent(&says);
        let (one, two) = (Origin::named("one"), Origin::named("two"));
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
listen be
    bind @fe@
    balance roundrobin
    server s1 {} weight 100 agent-check agent-addr {} agent-port {} agent-inter 30ms
    server s2 {} weight 100
",
                one.address(),
                agent.address().ip(),
                agent.address().port(),
                two.address()
            ),
        );
        let say = |text: &str| *says.lock().unwrap() = text.to_owned();
        let shares = |requests: usize| {
            one.forget();
            two.forget();
            let mut client = proxy.client("fe");
            for _ in 0..requests {
                assert_eq!(client.get("/", "").status, 200);
            }
            (one.requests(), two.requests())
        };
        assert!(wait_until(LIMIT, || agent.connections() > 0));
        assert_eq!(shares(20), (10, 10));
        say("25%");
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "weight") == "25"));
        assert_eq!(shares(50), (10, 40));
        say("down #maintenance window");
        proxy.wait_status("be", "s1", "DOWN");
        assert_eq!(shares(10), (0, 10));
        say("up 100%");
        // With an agent alone, a server that is up has no check.
        proxy.wait_status("be", "s1", "no check");
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "weight") == "100"));
        assert_eq!(shares(20), (10, 10));
        say("drain");
        proxy.wait_status("be", "s1", "DRAIN");
        assert_eq!(shares(10), (0, 10));
        say("ready");
        proxy.wait_status("be", "s1", "no check");
    });
}

#[test]
fn a_server_marked_down_takes_its_sessions_along() {
    both_drivers(|driver| {
        let one = Origin::raw(|mut stream, _, _| {
            let _ = std::io::copy(&mut stream.try_clone().unwrap(), &mut stream);
        });
        let check = TcpListener::bind((own_address(), 0)).unwrap();
        let mut check = Some(check);
        let address = check.as_ref().unwrap().local_addr().unwrap();
        let proxy = Proxy::start(
            driver,
            &format!(
                "{TCP_DEFAULTS}
listen be
    bind @fe@
    server s1 {} check addr {} port {} inter 40ms fall 1 rise 1 on-marked-down shutdown-sessions
",
                one.address(),
                address.ip(),
                address.port()
            ),
        );
        let mut client = proxy.client("fe");
        client.send("hello");
        assert_eq!(client.read_exact(5), b"hello");
        check.take();
        proxy.wait_status("be", "s1", "DOWN");
        assert!(client.is_closed_within(LIMIT), "the session ends with its server");
    });
}

#[test]
fn traffic_itself_is_observed() {
    both_drivers(|driver| {
        let one = Origin::http(|request| {
            if request.path() == "/bad" { Reply::status(500, "", "") } else { Reply::ok("one") }
        });
        let two = Origin::named("two");
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
listen be
    bind @fe@
    balance first
    server s1 {} check inter 60s observe layer7 error-limit 5 on-error mark-down
    server s2 {}
",
                one.address(),
                two.address()
            ),
        );
        let mut client = proxy.client("fe");
        for round in 0..3 {
            for _ in 0..4 {
                assert_eq!(client.get("/bad", "").status, 500);
            }
            assert_eq!(client.get("/good", "").text(), "one", "round {round}: good answers count too");
        }
        for _ in 0..30 {
            client.get("/bad", "");
        }
        proxy.wait_status("be", "s1", "DOWN");
        assert_eq!(client.get("/good", "").text(), "two");
    });
}

#[test]
fn no_request_goes_to_a_disabled_server_while_traffic_flows() {
    both_drivers(|driver| {
        let origins = [Origin::named("one"), Origin::named("two")];
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
listen be
    bind @fe@
    balance roundrobin
    server s1 {}
    server s2 {}
",
                origins[0].address(),
                origins[1].address()
            ),
        );
        let ended = AtomicBool::new(false);
        let served = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = proxy.client("fe");
                    while !ended.load(SeqCst) {
                        assert_eq!(client.get("/", "").status, 200);
                        served.fetch_add(1, SeqCst);
                    }
                });
            }
            for round in 0..10 {
                let server = round % 2;
                assert_eq!(proxy.admin(&format!("disable server be/s{}", server + 1)), "\n");
                proxy.wait_status("be", &format!("s{}", server + 1), "MAINT");
                // Requests chosen before the command may be on their way.
                let idle = || proxy.stat("be", &format!("s{}", server + 1), "scur") == "0";
                assert!(wait_until(LIMIT, idle));
                let before = origins[server].requests();
                let goal = served.load(SeqCst) + 50;
                assert!(wait_until(LIMIT, || served.load(SeqCst) >= goal), "traffic flows");
                assert_eq!(origins[server].requests(), before, "round {round}");
                assert_eq!(proxy.admin(&format!("enable server be/s{}", server + 1)), "\n");
                assert!(wait_until(LIMIT, || origins[server].requests() > before), "back in round {round}");
            }
            ended.store(true, SeqCst);
        });
        assert_eq!(proxy.stat("be", "FRONTEND", "hrsp_5xx"), "0");
    });
}

#[test]
fn a_dead_server_is_down_with_the_first_check() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let live = Origin::named("live");
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = Proxy::start(
            driver,
            &format!(
                "global
    log {} local0
{HTTP_DEFAULTS}
    log global
    option httpchk GET /own
    http-check send-state
    http-check expect status 200
backend be
    http-check send uri-lf /chk hdr Host %[srv_name].%[be_name]
    http-check expect status 200
    server live {} check inter 300ms rise 40 fall 500
    server dead {closed} check inter 300ms rise 40 fall 500
    server shadow {closed} track be/dead
",
                syslog.address(),
                live.address(),
            ),
        );
        syslog.wait_for(&["Server be/dead is DOWN", "ECONNREFUSED returned by OS (Connection refused)"]);
        proxy.wait_status("be", "shadow", "DOWN");
        assert!(wait_until(LIMIT, || live.requests() > 0));
        let last = live.last();
        assert_eq!(last.head.lines().next(), Some("OPTIONS /chk HTTP/1.0"));
        assert_eq!(last.header("host"), Some("live.be"));
        assert_eq!(last.header("x-haproxy-server-state"), None, "the list of the defaults is replaced");
        assert_eq!(proxy.stat("be", "live", "status"), "UP");
    });
}

#[test]
fn checks_keep_their_pace() {
    both_drivers(|driver| {
        let one = Origin::named("one");
        let _proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
backend be
    option httpchk GET /
    server s1 {} check inter 100ms
",
                one.address()
            ),
        );
        assert!(wait_until(LIMIT, || one.requests() > 0));
        let begun = std::time::Instant::now();
        assert!(wait_until(LIMIT, || one.requests() > 10));
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(700), "ten checks of 100 ms in {took:?}");
    });
}

#[test]
fn a_server_begins_and_returns_as_its_line_says() {
    both_drivers(|driver| {
        let gate = Arc::new(AtomicBool::new(false));
        let held = |gate: &Arc<AtomicBool>| {
            let gate = gate.clone();
            Origin::http(move |_| {
                wait_until(LIMIT, || gate.load(SeqCst));
                Reply::ok("fine")
            })
        };
        let origins = [(); 4].map(|()| held(&gate));
        let states = ["fully-up", "up", "down", "fully-down"];
        let mut config = format!(
            "{HTTP_DEFAULTS}listen be\n    bind @fe@\n    option httpchk\n    default-server check inter 50ms rise 3 fall 2\n"
        );
        for (origin, state) in origins.iter().zip(states) {
            config += &format!("    server {state} {} init-state {state}\n", origin.address());
        }
        let proxy = Proxy::start(driver, &config);
        // No check ends: what is seen is where each began.
        assert!(wait_until(LIMIT, || origins.iter().all(|origin| origin.connections() > 0)));
        let status = |state: &str| proxy.stat("be", state, "status");
        for (state, expected) in states.into_iter().zip(["UP", "UP", "DOWN", "DOWN"]) {
            assert!(status(state).starts_with(expected), "{state}: {}", status(state));
        }
        // So it is when maintenance is left.
        for state in states {
            proxy.admin(&format!("set server be/{state} state maint"));
            assert_eq!(status(state), "MAINT");
            proxy.admin(&format!("set server be/{state} state ready"));
        }
        for (state, expected) in states.into_iter().zip(["UP", "UP", "DOWN", "DOWN"]) {
            assert!(status(state).starts_with(expected), "{state}: {}", status(state));
        }
        gate.store(true, SeqCst);
        for state in states {
            proxy.wait_status("be", state, "UP");
        }
        assert!(origins[3].requests() >= 3, "all of 'rise'");
    });
}

#[test]
fn the_state_of_servers_survives_a_restart() {
    both_drivers(|driver| {
        let folder = Arc::new(Folder::new());
        let config = |own: &str, weight: u32| {
            format!(
                "    server-state-file @dir@/all\n    server-state-base @dir@\n{HTTP_DEFAULTS}    \
                 load-server-state-from-file global\nlisten be\n    bind @fe@\n    server s1 127.0.0.1:1 weight {weight}\n    \
                 server s2 127.0.0.1:2\n    server s3 127.0.0.1:3\n    server s4 127.0.0.1:4\nbackend own\n    \
                 load-server-state-from-file local\n{own}    server s1 127.0.0.1:1\n"
            )
        };
        let start = |config: &str| Proxy::build(driver).folder(&folder).start(config);
        let proxy = start(&config("", 10));
        proxy.wait_stderr(&["server-state-file: cannot open", "proxy 'own': cannot open"]);
        for command in [
            "set weight be/s1 5",
            "set server be/s2 state maint",
            "set server be/s3 state drain",
            "set server be/s4 health down",
            "set server own/s1 state maint",
        ] {
            assert_eq!(proxy.admin(command).trim(), "", "{command}");
        }
        folder.write("all", &proxy.admin("show servers state"));
        folder.write("own", &proxy.admin("show servers state own"));
        drop(proxy);
        let status = |proxy: &Proxy| {
            let of = |backend: &str, server: &str| proxy.stat(backend, server, "status");
            ["s2", "s3", "s4"].map(|server| of("be", server)).join(" ") + " " + &of("own", "s1")
        };
        let proxy = start(&config("", 10));
        assert_eq!(proxy.stat("be", "s1", "weight"), "5");
        assert_eq!(status(&proxy), "MAINT DRAIN DOWN MAINT");
        drop(proxy);
        // What the configuration changed wins; another file is another state.
        let proxy = start(&config("    server-state-file-name none\n", 20));
        assert_eq!(proxy.stat("be", "s1", "weight"), "20");
        assert_eq!(status(&proxy), "MAINT DRAIN DOWN no check");
        drop(proxy);
        // A file that is damaged changes nothing.
        let all = std::fs::read_to_string(folder.path().join("all")).expect("it was written");
        folder.write("all", &format!("{}\nbe_id\n", all.trim_end()));
        let proxy = start(&config("", 10));
        proxy.wait_stderr(&["is corrupted at line"]);
        assert_eq!(status(&proxy), "no check no check no check MAINT");
    });
}
