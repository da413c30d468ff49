//! Requests that wait for a server: in which order they are served, how many at once, and what becomes of
//! them when servers and limits change meanwhile.

use std::sync::{Arc, Condvar, Mutex};

use crate::support::*;

/// An origin that answers a request for each permit; requests for `/free` need none.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    permits: usize,
    /// Requests that are held now.
    held: usize,
}

impl Gate {
    fn origin(&self, name: &str) -> Origin {
        let (gate, name) = (self.clone(), name.to_owned());
        Origin::http(move |request| {
            if request.path() != "/free" {
                let mut state = gate.0.0.lock().expect("no panic");
                state.held += 1;
                let (mut state, _) =
                    gate.0.1.wait_timeout_while(state, LIMIT, |s| s.permits == 0).expect("no panic");
                state.permits = state.permits.saturating_sub(1);
                state.held -= 1;
            }
            Reply::ok(&name)
        })
    }
    fn permit(&self, count: usize) {
        self.0.0.lock().expect("no panic").permits += count;
        self.0.1.notify_all();
    }
    fn held(&self) -> usize {
        self.0.0.lock().expect("no panic").held
    }
    fn wait_held(&self, count: usize) {
        assert!(wait_until(LIMIT, || self.held() == count), "{} are held, not {count}", self.held());
    }
}

/// Requests waiting in the backend `be` and for its servers.
fn waiting(proxy: &Proxy, servers: &[&str]) -> usize {
    let queue = |row: &str| proxy.stat("be", row, "qcur").parse::<usize>().expect("a number");
    queue("BACKEND") + servers.iter().map(|server| queue(server)).sum::<usize>()
}

fn send(proxy: &Proxy, path: &str, header_lines: &str) -> Client {
    let mut client = proxy.client("fe");
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header_lines}\r\n"));
    client
}

fn config(lines: &str, servers: &[(&Origin, &str)]) -> String {
    let servers = servers
        .iter()
        .enumerate()
        .map(|(at, (origin, options))| format!("    server s{} {} {options}\n", at + 1, origin.address()));
    format!(
        "global\n    nbthread 2\n{HTTP_DEFAULTS}    timeout queue 60s\n    timeout client 60s\n    timeout server \
         60s\nlisten be\n    bind @fe@\n    {lines}\n{}",
        servers.collect::<String>()
    )
}

#[test]
fn who_waits_for_a_server_that_goes_away_chooses_again() {
    let cookie = ("cookie S insert indirect", "Cookie: S=s1\r\n");
    let rule = ("use-server s1 if { hdr(x) 1 }", "X: 1\r\n");
    let stick = ("stick-table type string size 10\n    stick on hdr(x)", "X: 1\r\n");
    let hash = ("balance hdr(x)\n    hash-type consistent", "X: 1\r\n");
    both_drivers(|driver| {
        for (lines, field) in [cookie, rule, stick, hash] {
            for redispatch in ["", "option redispatch", "retries 0"] {
                for order in ["health down", "state maint", "state drain"] {
                    if order == "state drain" && lines != hash.0 {
                        continue; // persistence keeps to a server that drains
                    }
                    let (one, two) = (Gate::default(), Gate::default());
                    let (origin, other) = (one.origin("s1"), two.origin("s2"));
                    let servers = [(&origin, "cookie s1 maxconn 1"), (&other, "cookie s2 maxconn 1")];
                    let proxy =
                        Proxy::start(driver, &config(&format!("{lines}\n    {redispatch}"), &servers));
                    let case = format!("{lines} {redispatch} {order}");
                    assert_eq!(proxy.client("fe").get("/free", field).status, 200);
                    let first = send(&proxy, "/", field);
                    assert!(wait_until(LIMIT, || one.held() + two.held() == 1), "{case}");
                    // A hash chooses one of both; this one goes away.
                    let (at, gate, free) =
                        if one.held() == 1 { ("s1", &one, &two) } else { ("s2", &two, &one) };
                    let mut others: Vec<_> = (0..3).map(|_| send(&proxy, "/", field)).collect();
                    assert!(wait_until(LIMIT, || proxy.stat("be", at, "qcur") == "3"), "{case}");
                    free.permit(3);
                    proxy.admin(&format!("set server be/{at} {order}"));
                    for client in &mut others {
                        let response = client.response();
                        assert_eq!(response.status, 200, "{case}");
                        assert_ne!(response.text(), at, "{case}");
                    }
                    assert_eq!(waiting(&proxy, &["s1", "s2"]), 0, "{case}");
                    gate.permit(1);
                    drop(first);
                }
            }
        }
    });
}

#[test]
fn forced_persistence_waits_on() {
    both_drivers(|driver| {
        for lines in ["force-persist if { hdr(x) 1 }\n    option redispatch", "option persist"] {
            let gate = Gate::default();
            let (origin, other) = (gate.origin("s1"), Origin::named("s2"));
            let lines = format!("cookie S insert indirect\n    {lines}");
            let servers = [(&origin, "cookie s1 maxconn 1"), (&other, "cookie s2")];
            let proxy = Proxy::start(driver, &config(&lines, &servers));
            let field = "Cookie: S=s1\r\nX: 1\r\n";
            let mut clients: Vec<_> = (0..3).map(|_| send(&proxy, "/", field)).collect();
            gate.wait_held(1);
            assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "qcur") == "2"));
            proxy.admin("set server be/s1 state maint");
            // A later client stands behind them.
            clients.push(send(&proxy, "/", field));
            assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "qcur") == "3"), "{lines}");
            gate.permit(4);
            for client in &mut clients {
                assert_eq!(client.response().text(), "s1", "{lines}");
            }
        }
    });
}

#[test]
fn in_tcp_mode_who_waits_chooses_again() {
    both_drivers(|driver| {
        for order in ["health down", "state maint"] {
            let gate = Gate::default();
            let (origin, other) = (gate.origin("s1"), Origin::named("s2"));
            let proxy = Proxy::start(
                driver,
                &format!(
                    "{TCP_DEFAULTS}    timeout queue 60s\nlisten be\n    bind @fe@\n    use-server s1 if TRUE\n    server s1 \
                     {} maxconn 1\n    server s2 {}\n",
                    origin.address(),
                    other.address()
                ),
            );
            let _first = send(&proxy, "/", "");
            gate.wait_held(1);
            let mut others: Vec<_> = (0..2).map(|_| send(&proxy, "/", "")).collect();
            assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "qcur") == "2"));
            proxy.admin(&format!("set server be/s1 {order}"));
            for client in &mut others {
                assert_eq!(client.response().text(), "s2", "{order}");
            }
            gate.permit(1);
        }
    });
}

#[test]
fn with_no_server_left_who_waits_is_told() {
    both_drivers(|driver| {
        let gate = Gate::default();
        let origin = gate.origin("s1");
        let lines = "cookie S insert indirect";
        let proxy = Proxy::start(driver, &config(lines, &[(&origin, "cookie s1 maxconn 1")]));
        let _first = send(&proxy, "/", "");
        gate.wait_held(1);
        let mut others = [send(&proxy, "/", ""), send(&proxy, "/", "Cookie: S=s1\r\n")];
        assert!(wait_until(LIMIT, || waiting(&proxy, &["s1"]) == 2));
        proxy.admin("set server be/s1 health down");
        for client in &mut others {
            assert_eq!(client.response().status, 503);
        }
        gate.permit(1);
    });
}

#[test]
fn changes_of_servers_keep_the_order_of_arrival() {
    const CLIENTS: usize = 16;
    both_drivers(|driver| {
        for field in ["Cookie: S=s1\r\n", "X: any\r\n"] {
            let gate = Gate::default();
            let (origin, full, down) = (gate.origin("s1"), Gate::default(), Origin::named("s3"));
            let busy = full.origin("s2");
            let proxy = Proxy::start(
                driver,
                &config(
                    "cookie S insert indirect",
                    &[
                        (&origin, "cookie s1 maxconn 1"),
                        (&busy, "cookie s2 maxconn 1 weight 100"),
                        (&down, "cookie s3 disabled"),
                    ],
                ),
            );
            // Both servers are busy before any request waits.
            let holders = ["S=s1", "S=s2"].map(|own| send(&proxy, "/held", &format!("Cookie: {own}\r\n")));
            gate.wait_held(1);
            full.wait_held(1);
            let mut clients = Vec::new();
            for number in 0..CLIENTS {
                clients.push(send(&proxy, &format!("/{number}"), field));
                assert!(wait_until(LIMIT, || waiting(&proxy, &["s1", "s2"]) == number + 1));
            }
            for number in 0..CLIENTS {
                for command in [
                    format!("set weight be/s2 {}", 10 + number),
                    "set server be/s2 state drain".to_owned(),
                    "set server be/s2 state ready".to_owned(),
                    "set server be/s1 state drain".to_owned(),
                    "set server be/s1 state ready".to_owned(),
                    "set maxconn server be/s1 1".to_owned(),
                    "set server be/s1 addr 127.0.0.1 port 1".to_owned(),
                    format!(
                        "set server be/s1 addr {} port {}",
                        origin.address().ip(),
                        origin.address().port()
                    ),
                ] {
                    proxy.admin(&command);
                }
                gate.permit(1);
                assert!(wait_until(LIMIT, || origin.requests() == number + 2));
            }
            gate.permit(1);
            let order: Vec<_> = origin.seen().iter().map(|request| request.path().to_owned()).collect();
            let expected: Vec<_> = (0..CLIENTS).map(|number| format!("/{number}")).collect();
            assert_eq!(order[1..], expected, "{field}");
            full.permit(1);
            drop(holders);
        }
    });
}

#[test]
fn a_limit_that_grows_fills_all_places() {
    both_drivers(|driver| {
        // With the load: every two sessions of the backend give each server one place more.
        let gate = Gate::default();
        let origin = gate.origin("s");
        let lines = "fullconn 20";
        let servers = [(&origin, "minconn 1 maxconn 10"), (&origin, "minconn 1 maxconn 10")];
        let proxy = Proxy::start(driver, &config(lines, &servers));
        let mut clients: Vec<_> = (0..8).map(|_| send(&proxy, "/", "")).collect();
        gate.wait_held(8);
        gate.permit(8);
        clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
        drop(clients);
        assert!(wait_until(LIMIT, || proxy.stat("be", "BACKEND", "scur") == "0"));
        // 12 cookies name one server: 6 at once there, and the others as they leave.
        let lines = "fullconn 20\n    cookie S insert indirect";
        let proxy = Proxy::start(driver, &config(lines, &[(&origin, "cookie a minconn 1 maxconn 10")]));
        let mut clients = Vec::new();
        for number in 1..=12 {
            clients.push(send(&proxy, "/", "Cookie: S=a\r\n"));
            let places = std::cmp::max(1, number / 2);
            gate.wait_held(places);
            assert!(wait_until(LIMIT, || waiting(&proxy, &["s1"]) == number - places), "{number}");
        }
        gate.permit(12);
        clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
        drop(clients);
        // By an order of several places at once.
        let lines = "cookie S insert indirect";
        let proxy = Proxy::start(driver, &config(lines, &[(&origin, "cookie a maxconn 1")]));
        let clients: Vec<_> =
            ["Cookie: S=a\r\n", ""].repeat(4).iter().map(|own| send(&proxy, "/", own)).collect();
        gate.wait_held(1);
        assert!(wait_until(LIMIT, || waiting(&proxy, &["s1"]) == 7));
        proxy.admin("set maxconn server be/s1 6");
        gate.wait_held(6);
        assert_eq!(waiting(&proxy, &["s1"]), 2);
        gate.permit(8);
        drop(clients);
    });
}

#[test]
fn a_slow_start_limits_sessions_and_lets_more_in_while_they_wait() {
    both_drivers(|driver| {
        let gate = Gate::default();
        let origin = gate.origin("s");
        for (slowstart, grows) in [("600s", false), ("3s", true)] {
            let servers = [(&origin, &*format!("maxconn 4 slowstart {slowstart}"))];
            let proxy = Proxy::start(driver, &config("", &servers));
            proxy.admin("set server be/s1 state maint");
            proxy.admin("set server be/s1 state ready");
            let mut clients: Vec<_> = (0..6).map(|_| send(&proxy, "/", "")).collect();
            gate.wait_held(1);
            if grows {
                // No session ends, and yet more are let in.
                gate.wait_held(4);
                assert_eq!(proxy.stat("be", "BACKEND", "qcur"), "2");
            } else {
                assert!(wait_until(LIMIT, || proxy.stat("be", "BACKEND", "qcur") == "5"));
                for number in 1..=3 {
                    gate.permit(1);
                    assert!(wait_until(LIMIT, || gate.held() == 1 && waiting(&proxy, &["s1"]) == 5 - number));
                }
                assert_eq!(proxy.stat("be", "s1", "smax"), "1");
            }
            gate.permit(6);
            assert!(wait_until(LIMIT, || gate.held() == 0));
            clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
            // What was not used is not left for the next round.
            gate.0.0.lock().expect("no panic").permits = 0;
        }
    });
}

#[test]
fn backups_count_only_when_they_stand_in() {
    both_drivers(|driver| {
        let (mut one, two) = (Origin::named("s1"), Origin::named("s2"));
        let lines = "http-request return status 200 hdr x \"%[nbsrv(be)] %[be_conn_free(be)] %[avg_queue(be)]\" if { path \
                     /count }\n    option redispatch\n    retries 3\n    timeout connect 3s";
        let proxy = Proxy::start(driver, &config(lines, &[(&one, "maxconn 5"), (&two, "maxconn 7 backup")]));
        let counted = || proxy.client("fe").get("/count", "").header("x").expect("a count").to_owned();
        assert_eq!(counted(), "1 5 0");
        // The active server is away for a moment. Another one would not do, so it is tried again after a pause.
        one.stop();
        let mut client = send(&proxy, "/", "");
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "wretr") != "0"));
        one.restart();
        assert_eq!(client.response().text(), "s1");
        proxy.admin("set server be/s1 state maint");
        assert_eq!(counted(), "1 7 0");
        proxy.admin("set server be/s2 state maint");
        assert_eq!(counted(), "0 0 0");
    });
}

#[test]
fn logs_tell_how_many_were_served_before() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let gate = Gate::default();
        let origin = gate.origin("s1");
        let lines = format!(
            "cookie S insert indirect\n    log {} local0\n    log-format \"%HP %sq/%bq %ts %ST sc=%sc end\"\n    timeout queue \
             60s",
            syslog.address()
        );
        let proxy = Proxy::start(driver, &config(&lines, &[(&origin, "cookie a maxconn 1")]));
        let mut clients = vec![send(&proxy, "/0", "")];
        gate.wait_held(1);
        for (number, own) in [(1, ""), (2, ""), (3, "Cookie: S=a\r\n"), (4, ""), (5, "Cookie: S=a\r\n")] {
            clients.push(send(&proxy, &format!("/{number}"), own));
            assert!(wait_until(LIMIT, || waiting(&proxy, &["s1"]) == number));
        }
        gate.permit(6);
        clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
        for (path, expected) in
            [("/0", "0/0"), ("/1", "0/1"), ("/2", "0/2"), ("/3", "1/0"), ("/4", "0/3"), ("/5", "2/0")]
        {
            let line = syslog.wait_for(&[&format!("{path} ")]);
            assert!(line.contains(&format!("{path} {expected} ")), "{path} {expected}: {line}");
            assert!(line.contains(" sc=0 "), "who comes next is not there yet: {line}");
        }
        // The same for a client that is not served at last.
        gate.0.0.lock().expect("no panic").permits = 0;
        let lines = lines.replace("60s", "100ms");
        let proxy = Proxy::start(driver, &config(&lines, &[(&origin, "cookie a maxconn 1")]));
        let _first = send(&proxy, "/a", "");
        gate.wait_held(1);
        assert_eq!(send(&proxy, "/b", "").response().status, 503);
        let line = syslog.wait_for(&["/b "]);
        assert!(line.contains("/b 0/1 sQ 503"), "{line}");
        gate.permit(1);
    });
}
