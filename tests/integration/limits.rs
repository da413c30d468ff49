//! Limits: connections, slots of servers, descriptors; that each is reached, held and given back.

use std::time::Duration;

use crate::support::*;

#[test]
fn maxconn_holds_at_every_place_and_is_given_back() {
    for (global, proxy_lines, bind) in [("", "maxconn 3", ""), ("", "", "maxconn 3"), ("maxconn 3", "", "")] {
        both_drivers(|driver| {
            let origin = Origin::named("a");
            let proxy = Proxy::start(
                driver,
                &format!(
                    "global\n    nbthread 2\n    {global}\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@ {bind}\n    \
                     {proxy_lines}\n    server s1 {}\n",
                    origin.address()
                ),
            );
            let place = format!("{global:?} {proxy_lines:?} {bind:?}");
            // The probe of the start may still hold a place.
            assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"));
            let mut clients: Vec<_> = (0..6).map(|_| proxy.client("fe")).collect();
            let mut served = Vec::new();
            for (at, client) in clients.iter_mut().enumerate() {
                client.read_limit(Duration::from_millis(400));
                if client.try_get("/", "").is_ok() {
                    served.push(at);
                }
            }
            assert_eq!(served.len(), 3, "{place}");
            let mut waiting = Vec::new();
            for (at, client) in clients.into_iter().enumerate() {
                if !served.contains(&at) {
                    client.read_limit(LIMIT);
                    waiting.push(client);
                }
            }
            for mut client in waiting {
                assert_eq!(client.response().status, 200, "{place}: a place came free");
            }
            assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"));
            assert_eq!(proxy.stat("be", "FRONTEND", "smax"), "3", "{place}");
        });
    }
}

#[test]
fn a_limit_on_memory_bounds_connections() {
    let origin = Origin::named("a");
    let config = format!(
        "global\n    maxconn 5000\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n",
        origin.address()
    );
    let proxy = Proxy::build(Driver::Epoll).argument("-m").argument("64").start(&config);
    proxy.wait_stderr(&["1365 connections fit, not 5000"]);
    assert!(proxy.admin("show info").contains("\nMaxconn: 1365\n"));
    assert_eq!(proxy.client("fe").get("/", "").status, 200);
    let small = Proxy::build(Driver::Epoll).argument("-m").argument("8").try_start(&config);
    assert!(small.is_err_and(|said| said.contains("use 17 or more")));
}

#[test]
fn slots_come_back_from_aborts_time_outs_and_kills() {
    both_drivers(|driver| {
        let origin = Origin::http(|_| {
            std::thread::sleep(Duration::from_millis(3));
            Reply::ok("ok")
        });
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    nbthread 2\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    timeout queue 200ms\n    \
                 server s1 {0} maxconn 1\n    server s2 {0} maxconn 1\n",
                origin.address()
            ),
        );
        std::thread::scope(|scope| {
            for number in 0..16 {
                let proxy = &proxy;
                scope.spawn(move || {
                    for round in 0..10 {
                        let mut client = proxy.client("fe");
                        match (number + round) % 4 {
                            0 => client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                            1 => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"),
                            2 => {
                                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                                client.finish_sending();
                                client.read_to_end();
                            }
                            _ => {
                                let _ = client.try_get("/", "");
                            }
                        }
                    }
                });
            }
            for command in ["shutdown sessions server be/s1", "set server be/s1 state drain"] {
                std::thread::sleep(Duration::from_millis(20));
                proxy.admin(command);
            }
            std::thread::sleep(Duration::from_millis(20));
            proxy.admin("set server be/s1 state ready");
        });
        for row in ["FRONTEND", "BACKEND", "s1", "s2"] {
            assert!(wait_until(LIMIT, || proxy.stat("be", row, "scur") == "0"), "{row}");
        }
        for row in ["BACKEND", "s1", "s2"] {
            assert_eq!(proxy.stat("be", row, "qcur"), "0", "{row}");
        }
        for server in ["s1", "s2"] {
            assert_eq!(proxy.stat("be", server, "smax"), "1", "maxconn is exact");
        }
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
    });
}

#[test]
fn descriptors_are_given_back() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {} pool-purge-delay 1s\n",
                origin.address()
            ),
        );
        let open = || std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap().count();
        let sessions = |rounds: usize| {
            for round in 0..rounds {
                let mut client = proxy.client("fe");
                match round % 5 {
                    0 => drop(client.get("/", "")),
                    1 => client.send("GET / HT"),
                    2 => client.send("junk\r\n\r\n"),
                    3 => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"),
                    _ => drop(client.get("/", "Connection: close\r\n")),
                }
            }
        };
        // What a thread opens at its first session of a kind and keeps is there before they are counted. Each
        // thread has to see each kind, and the kernel chooses the threads.
        sessions(200);
        // The idle server connections of these requests go within a second or two.
        assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"));
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "srv_icur") == "0"));
        let before = open();
        sessions(200);
        assert!(wait_until(LIMIT, || open() <= before), "{} before, {} after", before, open());
    });
}

#[test]
fn connections_that_stay_are_spread_and_counted_once() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    nbthread 4\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n",
                origin.address()
            ),
        );
        assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"));
        // One after the other they all meet the core that wakes first, unless it gives some away.
        let mut clients: Vec<_> = (0..80).map(|_| proxy.client("fe")).collect();
        for _ in 0..2 {
            for client in &mut clients {
                assert_eq!(client.get("/", "").status, 200);
            }
        }
        assert_eq!(proxy.stat("be", "FRONTEND", "scur"), "80");
        drop(clients);
        assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"));
    });
}

/// No system grants as many descriptors as the largest `maxconn` asks for.
#[test]
fn descriptors_that_the_system_refuses_are_told() {
    let origin = Origin::named("a");
    let config = |lines: &str| {
        format!(
            "global\n    {lines}\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n",
            origin.address()
        )
    };
    let start = |lines: &str| Proxy::build(Driver::Epoll).try_start(&config(lines));
    let refused = start("maxconn 2000000000\n    strict-limits").err().expect("it does not start");
    for part in ["cannot raise the limit on descriptors to 40000000", "LimitNOFILE", "[ALERT]"] {
        assert!(refused.contains(part), "{refused}");
    }
    for lines in ["maxconn 2000000000", "maxconn 2000000000\n    strict-limits\n    no strict-limits"] {
        let lenient = start(lines).expect("it starts");
        lenient.wait_stderr(&["[WARNING]", "cannot raise the limit"]);
        assert_eq!(lenient.client("fe").get("/", "").status, 200);
    }
    let own = start("maxconn 500\n    ulimit-n 200").expect("it starts");
    own.wait_stderr(&["'ulimit-n 200' is too low for 'maxconn 500'"]);
    assert_eq!(own.client("fe").get("/", "").status, 200);
}
