//! Names that are resolved while running: servers that follow them, rules that ask for them, and name servers of
//! all kinds.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::support::nameserver::Nameserver;
use crate::support::programs::program;
use crate::support::{
    Driver, Folder, HTTP_DEFAULTS, LIMIT, Origin, Proxy, TCP_DEFAULTS, both_drivers, wait_until,
};

/// A `resolvers` section that asks often and gives up soon.
fn section(nameservers: &[&Nameserver], more: &str) -> String {
    let lines: String = nameservers
        .iter()
        .enumerate()
        .map(|(at, server)| format!("    nameserver ns{at} {}\n", server.address()))
        .collect();
    format!(
        "global\n    dns-accept-family ipv4\nresolvers dns\n{lines}    timeout resolve 100ms\n    timeout retry 100ms\n    \
         hold nx 200ms\n    hold refused 200ms\n    hold timeout 200ms\n    hold other 200ms\n{more}\n"
    )
}

/// The addresses of a backend's servers in order, `-` where there is none.
fn addresses(proxy: &Proxy, backend: &str) -> Vec<String> {
    let table = proxy.admin(&format!("show servers state {backend}"));
    table
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()) && line.len() > 2)
        .map(|line| line.split(' ').nth(4).unwrap_or_default().to_owned())
        .collect()
}

fn wait_addresses(proxy: &Proxy, backend: &str, expected: &[&str]) {
    let mut last = Vec::new();
    let reached = wait_until(LIMIT, || {
        last = addresses(proxy, backend);
        last == expected
    });
    assert!(reached, "{last:?}, not {expected:?}\n{}", proxy.stderr());
}

fn wait_said(proxy: &Proxy, text: &str) {
    assert!(
        wait_until(LIMIT, || proxy.stderr().contains(text)),
        "'{text}' was not said:\n{}",
        proxy.stderr()
    );
}

/// A counter of a name server in `show resolvers dns`.
fn counter(proxy: &Proxy, nameserver: &str, name: &str) -> u64 {
    let shown = proxy.admin("show resolvers dns");
    let part = shown.split(&format!(" nameserver {nameserver}:\n")).nth(1).unwrap_or_default();
    let line = part.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}:")));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no '{name}' in\n{shown}"))
}

/// The origins that answer `count` requests.
fn served_by(proxy: &Proxy, listener: &str, count: usize) -> Vec<String> {
    (0..count).map(|_| proxy.client(listener).get("/", "").text()).collect()
}

const PORT: u16 = 8080;

/// Origins that tell their names, and their addresses.
fn three_origins() -> ([Origin; 3], [String; 3]) {
    let origins = ["one", "two", "three"].map(|name| Origin::named_at(PORT, name));
    let ips = origins.each_ref().map(|origin| origin.address().ip().to_string());
    (origins, ips)
}

#[test]
fn a_template_follows_the_scale() {
    both_drivers(|driver| {
        let (_origins, ips) = three_origins();
        let nameserver = Nameserver::of("web.test", &[&ips[0]]);
        let proxy = Proxy::start(
            driver,
            &format!(
                "{}{HTTP_DEFAULTS}
                listen fe
                    bind @fe@
                    balance roundrobin
                    server-template web 5 web.test:{PORT} resolvers dns init-addr none check inter 100ms",
                section(&[&nameserver], "")
            ),
        );
        wait_addresses(&proxy, "fe", &[&ips[0], "-", "-", "-", "-"]);
        proxy.wait_status("fe", "web2", "MAINT (resolution)");
        assert_eq!(served_by(&proxy, "fe", 4), ["one"; 4]);
        nameserver.tell("web.test", &[&ips[0], &ips[1], &ips[2]]);
        wait_addresses(&proxy, "fe", &[&ips[0], &ips[1], &ips[2], "-", "-"]);
        for server in ["web2", "web3"] {
            proxy.wait_status("fe", server, "UP");
        }
        let mut seen = served_by(&proxy, "fe", 9);
        seen.sort();
        assert_eq!(seen, ["one", "one", "one", "three", "three", "three", "two", "two", "two"]);
        // One goes: the others keep their slots and counters, and its slot is free for another.
        nameserver.tell("web.test", &[&ips[2], &ips[0]]);
        wait_addresses(&proxy, "fe", &[&ips[0], "-", &ips[2], "-", "-"]);
        assert_eq!(proxy.stat("fe", "web1", "stot"), "7");
        assert_eq!(proxy.stat("fe", "web3", "stot"), "3");
        nameserver.tell("web.test", &[&ips[2], &ips[0], &ips[1]]);
        wait_addresses(&proxy, "fe", &[&ips[0], &ips[1], &ips[2], "-", "-"]);
        proxy.wait_status("fe", "web2", "UP");
        assert_eq!(proxy.stat("fe", "web2", "stot"), "3");
        let said = proxy.stderr();
        for line in [
            format!("fe/web1: IP changed from '(none)' to '{}' by 'dns/ns0'.", ips[0]),
            format!("fe/web2: IP changed from '(none)' to '{}' by 'DNS cache'.", ips[1]),
            "Server fe/web1 administratively READY thanks to valid DNS answer.".to_owned(),
            "Server fe/web2 ('web.test') is UP/READY (resolves again).".to_owned(),
            "Server fe/web2 is going DOWN for maintenance (No IP for server ).".to_owned(),
        ] {
            assert!(said.contains(&line), "{line}\n{said}");
        }
        assert!(counter(&proxy, "ns0", "update") >= 1 && counter(&proxy, "ns0", "valid") >= 4);
    });
}

#[test]
fn requests_go_on_while_addresses_move() {
    both_drivers(|driver| {
        let (_origins, ips) = three_origins();
        let nameserver = Nameserver::of("web.test", &[&ips[0]]);
        let proxy = Proxy::start(
            driver,
            &format!(
                "{}{HTTP_DEFAULTS}
                listen fe
                    bind @fe@
                    server web web.test:{PORT} resolvers dns init-addr none",
                section(&[&nameserver], "")
            ),
        );
        wait_addresses(&proxy, "fe", &[&ips[0]]);
        let mut client = proxy.client("fe");
        for (ip, name) in ips.iter().zip(["one", "two", "three"]).cycle().take(9) {
            nameserver.tell("web.test", &[ip]);
            wait_addresses(&proxy, "fe", &[ip]);
            assert_eq!(client.get("/", "").text(), name);
        }
        assert_eq!(proxy.stat("fe", "web", "stot"), "9");
        assert_eq!(proxy.stat("fe", "web", "status"), "no check");
    });
}

#[test]
fn a_lying_name_server_is_not_believed() {
    let origin = Origin::named_at(PORT, "good");
    let good = origin.address().ip().to_string();
    let honest = good.clone();
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let nameserver = Nameserver::new(move |asked| {
        let lie = asked.answer(&["127.6.6.6"]);
        // From elsewhere, as if somebody had guessed port and number.
        let _ = stranger.send_to(&lie, asked.from);
        let mut other_id = lie.clone();
        other_id[0] ^= 0x55;
        let mut other_name = lie.clone();
        other_name[13] ^= 1;
        let mut question = lie.clone();
        question[2] &= 0x7f;
        let mut other_kind = lie.clone();
        let at = 12 + asked.name.len() + 2 + 1;
        other_kind[at] ^= 0x1c ^ 1;
        vec![
            other_id,
            other_name,
            question,
            other_kind,
            Vec::new(),
            vec![0],
            lie[..11].to_vec(),
            asked.answer(&[&honest]),
            asked.answer(&["127.6.6.6"]),
        ]
    });
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server web web.test:{PORT} resolvers dns init-addr none",
            section(&[&nameserver], "")
        ),
    );
    wait_addresses(&proxy, "fe", &[&good]);
    nameserver.wait_asked(10);
    assert_eq!(addresses(&proxy, "fe"), [good]);
    assert!(!proxy.stderr().contains("6.6.6"), "{}", proxy.stderr());
    assert!(counter(&proxy, "ns0", "invalid") >= 10 && counter(&proxy, "ns0", "outdated") >= 10);
    // Numbers and ports differ from question to question.
    let asked = nameserver.asked();
    let numbers: std::collections::HashSet<_> = asked.iter().map(|asked| &asked.bytes[..2]).collect();
    let ports: std::collections::HashSet<_> = asked.iter().map(|asked| asked.from.port()).collect();
    assert!(numbers.len() > asked.len() / 2 && ports.len() > 1, "{numbers:?} {ports:?}");
}

#[test]
fn records_of_other_names_bring_a_server_down_and_not_elsewhere() {
    let nameserver = Nameserver::of("web.test", &["127.0.0.9"]);
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server web web.test:{PORT} resolvers dns init-addr none",
            section(&[&nameserver], "")
        ),
    );
    wait_addresses(&proxy, "fe", &["127.0.0.9"]);
    nameserver.set(|asked| vec![asked.answer_for("evil.test", &["127.6.6.6"])]);
    wait_said(&proxy, "Server fe/web is going DOWN for maintenance (unspecified DNS error).");
    assert_eq!(addresses(&proxy, "fe"), ["-"]);
    nameserver.tell("web.test", &["cname:a.test", "cname:b.test", "127.0.0.8"]);
    wait_addresses(&proxy, "fe", &["127.0.0.8"]);
    assert!(counter(&proxy, "ns0", "cname") >= 1);
}

#[test]
fn errors_are_held_then_told() {
    for (says, cause) in [
        ("NXDOMAIN", "DNS NX status"),
        ("REFUSED", "DNS refused status"),
        ("SERVFAIL", "unspecified DNS error"),
        ("", "DNS timeout status"),
    ] {
        let nameserver = Nameserver::of("web.test", &["127.0.0.9"]);
        let proxy = Proxy::start(
            Driver::Epoll,
            &format!(
                "{}{HTTP_DEFAULTS}
                listen fe
                    bind @fe@
                    server web web.test:{PORT} resolvers dns init-addr none",
                section(&[&nameserver], "")
            ),
        );
        wait_addresses(&proxy, "fe", &["127.0.0.9"]);
        nameserver.set(move |asked| if says.is_empty() { Vec::new() } else { vec![asked.error(says)] });
        wait_said(&proxy, &format!("Server fe/web is going DOWN for maintenance ({cause})."));
        proxy.wait_status("fe", "web", "MAINT (resolution)");
        assert_eq!(proxy.client("fe").get("/", "").status, 503);
        nameserver.tell("web.test", &["127.0.0.9"]);
        wait_said(&proxy, "Server fe/web ('web.test') is UP/READY (resolves again).");
        let counted = match says {
            "NXDOMAIN" => "nx",
            "REFUSED" => "refused",
            "SERVFAIL" => "other",
            _ => "timeout",
        };
        assert!(counter(&proxy, "ns0", counted) >= 3, "{counted}");
    }
}

#[test]
fn one_good_name_server_is_enough() {
    let silent = Nameserver::new(|_| Vec::new());
    let broken = Nameserver::new(|asked| vec![asked.error("SERVFAIL"), vec![0xff; 100]]);
    let good = Nameserver::of("web.test", &["127.0.0.9"]);
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server web web.test:{PORT} resolvers dns init-addr none",
            section(&[&silent, &broken, &good], "")
        ),
    );
    wait_addresses(&proxy, "fe", &["127.0.0.9"]);
    good.wait_asked(20);
    assert_eq!(addresses(&proxy, "fe"), ["127.0.0.9"]);
    assert!(!proxy.stderr().contains("maintenance"), "{}", proxy.stderr());
    assert!(counter(&proxy, "ns2", "valid") >= 20 && counter(&proxy, "ns0", "valid") == 0);
}

#[test]
fn a_flapping_name_server_moves_no_server_that_it_still_names() {
    let mut turn = 0;
    let nameserver = Nameserver::new(move |asked| {
        turn += 1;
        match turn % 4 {
            0 => vec![asked.error("SERVFAIL")],
            1 => vec![asked.answer(&["127.0.0.8", "127.0.0.9"])],
            2 => Vec::new(),
            _ => vec![asked.answer(&["127.0.0.9", "127.0.0.8"])],
        }
    });
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server-template web 2 web.test:{PORT} resolvers dns init-addr none",
            section(&[&nameserver], "    hold other 60s\n    hold timeout 60s")
        ),
    );
    assert!(wait_until(LIMIT, || addresses(&proxy, "fe").iter().all(|address| address != "-")));
    let first = addresses(&proxy, "fe");
    nameserver.wait_asked(40);
    assert_eq!(addresses(&proxy, "fe"), first);
    assert_eq!(proxy.stderr().matches("IP changed").count(), 2, "{}", proxy.stderr());
}

#[test]
fn long_answers_come_over_tcp() {
    let many: Vec<String> = (1..=100).map(|at| format!("127.0.1.{at}")).collect();
    let nameserver = Nameserver::new(move |asked| {
        let records: Vec<&str> = many.iter().map(String::as_str).collect();
        vec![if asked.over_tcp { asked.answer(&records) } else { asked.truncated() }]
    });
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server-template web 100 web.test:{PORT} resolvers dns init-addr none",
            section(&[&nameserver], "")
        ),
    );
    let reached = wait_until(LIMIT, || addresses(&proxy, "fe").iter().all(|ip| ip.starts_with("127.0.1.")));
    assert!(reached, "{:?}\n{}", addresses(&proxy, "fe"), proxy.admin("show resolvers dns"));
    let mut all = addresses(&proxy, "fe");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 100, "each has one of its own");
    assert!(counter(&proxy, "ns0", "truncated") >= 1);
}

#[test]
fn name_servers_over_tcp_are_asked_over_tcp_alone() {
    let nameserver = Nameserver::of("web.test", &["127.0.0.9"]);
    let config = |port: u16| {
        format!(
            "global\n    dns-accept-family ipv4\nresolvers dns\n    nameserver ns0 tcp@{}:{port} maxconn 2\n    \
             timeout resolve 100ms\n    timeout retry 100ms\n    hold timeout 100ms\n{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server-template web 3 web.test:{PORT} resolvers dns init-addr none",
            nameserver.address().ip()
        )
    };
    let proxy = Proxy::start(Driver::Epoll, &config(nameserver.address().port()));
    wait_addresses(&proxy, "fe", &["127.0.0.9", "-", "-"]);
    nameserver.wait_asked(5);
    let asked = nameserver.asked();
    assert!(asked.iter().all(|asked| asked.over_tcp));
    let connections: std::collections::HashSet<_> = asked.iter().map(|asked| asked.from).collect();
    assert_eq!(connections.len(), 1, "the connection is kept");
    drop(proxy);
    // No name server listens there.
    let proxy = Proxy::start(Driver::Epoll, &config(1));
    assert!(wait_until(LIMIT, || counter(&proxy, "ns0", "snd_error") >= 3));
    assert_eq!(addresses(&proxy, "fe"), ["-", "-", "-"]);
}

#[test]
fn services_tell_hosts_ports_and_weights() {
    both_drivers(|driver| {
        let origins: Vec<_> = ["one", "two", "three"].map(Origin::named).into();
        let place = |at: usize| {
            let address = origins[at].address();
            (address.ip().to_string(), address.port())
        };
        let [(ip1, port1), (ip2, port2), (ip3, port3)] = [0, 1, 2].map(place);
        let nameserver = Nameserver::new(|_| Vec::new());
        let tell = |services: Vec<String>| {
            let ip2 = ip2.clone();
            nameserver.set(move |asked| {
                let texts: Vec<&str> = services.iter().map(String::as_str).collect();
                vec![match (asked.kind, asked.name.as_str()) {
                    ("SRV", "_http._tcp.test") => asked.answer(&texts),
                    ("A", "two.test") => asked.answer(&[&ip2]),
                    _ => asked.error("NXDOMAIN"),
                }]
            });
        };
        // The second one's address does not come along.
        tell(vec![format!("one.test:{port1}:2560={ip1}"), format!("two.test:{port2}:1")]);
        let proxy = Proxy::start(
            driver,
            &format!(
                "{}{HTTP_DEFAULTS}
                listen fe
                    bind @fe@
                    balance roundrobin
                    server-template web 3 _http._tcp.test resolvers dns init-addr none",
                section(&[&nameserver], "")
            ),
        );
        wait_addresses(&proxy, "fe", &[&ip1, &ip2, "-"]);
        assert_eq!(proxy.stat("fe", "web1", "weight"), "10");
        assert_eq!(proxy.stat("fe", "web2", "weight"), "1");
        let seen = served_by(&proxy, "fe", 11);
        assert_eq!(seen.iter().filter(|name| *name == "two").count(), 1, "{seen:?}");
        let state = proxy.admin("show servers state fe");
        assert!(state.contains(&format!(" one.test {port1} _http._tcp.test ")), "{state}");
        for line in [
            format!(
                "fe/web1: IP changed from '(none)' to '{ip1}', port changed from '+0' to '{port1}' by 'DNS additional record'."
            ),
            format!("fe/web2: IP changed from '(none)' to '{ip2}' by 'dns/ns0'."),
        ] {
            wait_said(&proxy, &line);
        }
        tell(vec![format!("two.test:{port2}:256"), format!("three.test:{port3}:256={ip3}")]);
        wait_addresses(&proxy, "fe", &["-", &ip2, &ip3]);
        wait_said(&proxy, "Server fe/web1 is going DOWN for maintenance (entry removed from SRV record).");
        let mut seen = served_by(&proxy, "fe", 4);
        seen.sort();
        assert_eq!(seen, ["three", "three", "two", "two"]);
        let refused = proxy.admin("set server fe/web1 fqdn a.test");
        assert_eq!(refused.trim(), "set server <b>/<s> fqdn failed because SRV resolution is configured.");
    });
}

#[test]
fn operators_change_names() {
    let nameserver = Nameserver::new(|asked| {
        vec![match asked.name.as_str() {
            "one.test" => asked.answer(&["127.0.0.1"]),
            "two.test" => asked.answer(&["127.0.0.2"]),
            _ => asked.error("NXDOMAIN"),
        }]
    });
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server web one.test:{PORT} resolvers dns init-addr none
                server fixed 127.0.0.9:{PORT}",
            section(&[&nameserver], "")
        ),
    );
    wait_addresses(&proxy, "fe", &["127.0.0.1", "127.0.0.9"]);
    for (order, answer) in [
        (
            "set server fe/web fqdn two.test",
            "fe/web changed its FQDN from one.test to two.test by 'stats socket command'",
        ),
        ("set server fe/web fqdn two.test", "no need to change the FDQN by 'stats socket command'"),
        ("set server fe/web fqdn a=b", "invalid fqdn 'a=b' by 'stats socket command'"),
        ("set server fe/web fqdn", "set server <b>/<s> fqdn requires a FQDN."),
        (
            "set server fe/fixed fqdn two.test",
            "set server <b>/<s> fqdn failed because no resolution is configured.",
        ),
    ] {
        assert_eq!(proxy.admin(order).trim(), answer, "{order}");
    }
    wait_addresses(&proxy, "fe", &["127.0.0.2", "127.0.0.9"]);
    // A name that does not resolve takes the server down, not to its old address.
    proxy.admin("set server fe/web fqdn none.test");
    wait_addresses(&proxy, "fe", &["-", "127.0.0.9"]);
    assert_eq!(proxy.admin("show resolvers other").trim(), "Can't find that resolvers section");
}

/// A backend whose server is where a rule says.
fn forward(nameservers: &[&Nameserver]) -> String {
    format!(
        "{}{HTTP_DEFAULTS}
        frontend fe
            bind @fe@
            http-request set-header X-Before yes
            http-request do-resolve(txn.ip,dns,ipv4) hdr(host),host_only
            http-request set-header X-Address %[var(txn.ip)]
            use_backend unknown unless {{ var(txn.ip) -m found }}
            default_backend be
        backend unknown
            http-request return status 502 content-type text/plain string unknown
        backend be
            http-request deny if {{ var(txn.ip) -m ip 127.6.0.0/16 }}
            http-request set-dst var(txn.ip)
            http-request set-dst-port int({PORT})
            server clear 0.0.0.0:0",
        section(nameservers, "    hold valid 60s")
    )
}

#[test]
fn rules_resolve_names_and_requests_follow() {
    both_drivers(|driver| {
        let origins = ["one", "two"].map(|name| Origin::named_at(PORT, name));
        let ips = [0, 1].map(|at: usize| origins[at].address().ip().to_string());
        let of = ips.clone();
        let nameserver = Nameserver::new(move |asked| {
            vec![match asked.name.as_str() {
                "one.test" => asked.answer(&[&of[0]]),
                "two.test" => asked.answer(&[&of[1]]),
                "inside.test" => asked.answer(&["127.6.0.1"]),
                "gone.test" => asked.error("NXDOMAIN"),
                _ => return Vec::new(),
            }]
        });
        let proxy = Proxy::start(driver, &forward(&[&nameserver]));
        let mut client = proxy.client("fe");
        let mut ask = |host: &str| {
            client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let response = client.response();
            (response.status, response.text())
        };
        for (host, status, text) in [
            ("one.test", 200, "one"),
            ("two.test:81", 200, "two"),
            ("ONE.test", 200, "one"),
            ("gone.test", 502, "unknown"),
            ("silent.test", 502, "unknown"),
            ("a..test", 502, "unknown"),
            ("one.test", 200, "one"),
        ] {
            assert_eq!(ask(host), (status, text.to_owned()), "{host}");
        }
        assert_eq!(ask("inside.test").0, 403);
        // Of all these, one is no name.
        assert!(proxy.admin("show info").contains("\nFailedResolutions: 1\n"));
        // What is known is not asked for again.
        let asked = nameserver.asked();
        assert_eq!(asked.iter().filter(|asked| asked.name == "one.test").count(), 1);
        assert_eq!(origins[0].seen()[0].header("x-address"), Some(&*ips[0]));
    });
}

#[test]
fn a_client_that_leaves_a_resolution_leaves_nothing_behind() {
    both_drivers(|driver| {
        let nameserver = Nameserver::new(|_| Vec::new());
        let config = forward(&[&nameserver]).replace("timeout retry 100ms", "timeout retry 60s");
        let proxy = Proxy::start(driver, &config);
        for _ in 0..20 {
            let mut client = proxy.client("fe");
            let before = nameserver.count();
            client.send("GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n");
            assert!(wait_until(LIMIT, || nameserver.count() > before), "each asks anew");
            drop(client);
            assert!(wait_until(LIMIT, || proxy.stat("fe", "FRONTEND", "scur") == "0"));
        }
        // The name is asked for anew: no rule waits for the old question any more.
        let origin = Origin::named_at(PORT, "late");
        let ip = origin.address().ip().to_string();
        nameserver.set(move |asked| vec![asked.answer(&[&ip])]);
        let mut client = proxy.client("fe");
        client.send("GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "late".to_owned()));
    });
}

#[test]
fn inspection_resolves_names_too() {
    both_drivers(|driver| {
        let origin = Origin::raw_at(PORT, |mut stream, _, _| {
            use std::io::Write;
            let _ = stream.write_all(b"hello");
        });
        let ip = origin.address().ip().to_string();
        let nameserver = Nameserver::of("tcp.test", &[&ip]);
        let proxy = Proxy::start(
            driver,
            &format!(
                "{}{TCP_DEFAULTS}
                listen fe
                    bind @fe@
                    tcp-request inspect-delay 5s
                    tcp-request content do-resolve(sess.ip,dns,ipv4) str(tcp.test)
                    tcp-request content set-dst var(sess.ip)
                    tcp-request content set-dst-port int({PORT})
                    server clear 0.0.0.0:0
                listen late
                    bind @late@
                    tcp-request inspect-delay 200ms
                    tcp-request content do-resolve(sess.ip,slow,ipv4) str(tcp.test)
                    tcp-request content reject if !{{ var(sess.ip) -m found }}
                    server clear 0.0.0.0:0
                resolvers slow
                    nameserver silent 127.0.0.1:1
                    timeout retry 60s",
                section(&[&nameserver], "")
            ),
        );
        assert_eq!(proxy.client("fe").read_to_end(), b"hello");
        assert_eq!(proxy.client("late").read_to_end(), b"");
    });
}

#[test]
fn a_slow_name_server_is_waited_for() {
    let nameserver = Nameserver::of("web.test", &["127.0.0.9"]);
    // Later than the time for a retry, earlier than the end of all of them.
    nameserver.answer_after(Duration::from_millis(150));
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server web web.test:{PORT} resolvers dns init-addr none",
            section(&[&nameserver], "")
        ),
    );
    wait_addresses(&proxy, "fe", &["127.0.0.9"]);
    nameserver.wait_asked(10);
    assert_eq!(addresses(&proxy, "fe"), ["127.0.0.9"]);
    assert!(counter(&proxy, "ns0", "timeout") >= 1);
}

/// dnsmasq with a file of hosts that it reads again when told to.
struct Dnsmasq {
    child: std::process::Child,
    folder: Folder,
    address: std::net::SocketAddr,
}

impl Dnsmasq {
    fn start(hosts: &str, options: &[&str]) -> Option<Dnsmasq> {
        let mut command = program("dnsmasq")?;
        let folder = Folder::new();
        let hosts = folder.write("hosts", hosts);
        let address = std::net::SocketAddr::new(crate::support::own_address(), 5353);
        command
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
                "--pid-file=",
                "--conf-file=/dev/null",
                "--user=root",
            ])
            .arg(format!("--listen-address={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .arg(format!("--addn-hosts={hosts}"))
            .args(options)
            .stderr(std::process::Stdio::null());
        let child = command.spawn().expect("dnsmasq starts");
        // Before that a signal would end it.
        assert!(wait_until(LIMIT, || answers(address)), "dnsmasq does not answer");
        Some(Dnsmasq { child, folder, address })
    }
    fn change(&self, hosts: &str) {
        self.folder.write("hosts", hosts);
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: no memory is involved, and the child was not waited for, so the pid is still its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGHUP) }, 0);
    }
}

/// Whether somebody answers a question there.
fn answers(address: std::net::SocketAddr) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let name = haring::wire::dns::Name::parse("gateway").expect("a name");
    let question = haring::wire::dns::query(1, &name, haring::wire::dns::Kind::A, 512);
    socket.send_to(&question, address).is_ok() && socket.recv(&mut [0; 512]).is_ok()
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn dnsmasq_scales_a_backend() {
    let (_origins, ips) = three_origins();
    let hosts = |count: usize| ips[..count].iter().map(|ip| format!("{ip} gateway\n")).collect::<String>();
    let service = format!("--srv-host=_http._tcp.local,gateway,{PORT},0,300");
    let Some(dnsmasq) = Dnsmasq::start(&hosts(1), &[&service]) else { return };
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "global
                dns-accept-family ipv4
            resolvers docker
                nameserver local {0}
                nameserver again tcp@{0}
                timeout resolve 100ms
                timeout retry 200ms
                hold obsolete 0s
            {HTTP_DEFAULTS}
            listen fe
                bind @fe@
                balance roundrobin
                default-server resolvers docker init-addr none resolve-prefer ipv4
                server-template gateway 5 gateway:{PORT}
            backend service
                server web _http._tcp.local resolvers docker init-addr none",
            dnsmasq.address
        ),
    );
    for count in [1, 3, 2, 1, 3] {
        dnsmasq.change(&hosts(count));
        let up = || addresses(&proxy, "fe").into_iter().filter(|ip| ip != "-").collect::<Vec<_>>();
        let mut expected = ips[..count].to_vec();
        expected.sort();
        let reached = wait_until(LIMIT, || {
            let mut now = up();
            now.sort();
            now == expected
        });
        assert!(reached, "{:?}, not {expected:?}\n{}", up(), proxy.admin("show resolvers"));
        let mut seen = served_by(&proxy, "fe", 3 * count);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "{seen:?}");
    }
    assert!(wait_until(LIMIT, || proxy.stat("service", "web", "weight") == "2"));
    let statistics = proxy.admin("show stat domain resolvers");
    assert!(
        statistics.starts_with("# id,pid,sent,") && statistics.contains("\nlocal,docker,"),
        "{statistics}"
    );
}

#[test]
fn many_names_cost_no_request_anything() {
    let nameserver = Nameserver::new(|asked| vec![asked.answer(&["127.0.0.9"])]);
    let servers: String = (0..2000)
        .map(|at| format!("    server s{at} n{at}.test:80 resolvers dns init-addr none\n"))
        .collect();
    let origin = Origin::named("fast");
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server web {}
            backend many\n{servers}",
            section(&[&nameserver], "").replace("timeout resolve 100ms", "timeout resolve 1s"),
            origin.address()
        ),
    );
    let all = || addresses(&proxy, "many").iter().filter(|address| *address == "127.0.0.9").count();
    let begun = Instant::now();
    assert!(wait_until(LIMIT, || all() == 2000), "{} of 2000 after {:?}", all(), begun.elapsed());
    let mut client = proxy.client("fe");
    for _ in 0..100 {
        assert_eq!(client.get("/", "").text(), "fast");
    }
}

#[test]
fn metrics_tell_of_name_servers() {
    let nameserver = Nameserver::of("web.test", &["127.0.0.9"]);
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                http-request use-service prometheus-exporter if {{ path /metrics }}
                server web web.test:{PORT} resolvers dns init-addr none",
            section(&[&nameserver], "")
        ),
    );
    wait_addresses(&proxy, "fe", &["127.0.0.9"]);
    let text = proxy.client("fe").get("/metrics?scope=resolver", "").text();
    assert!(text.contains("\n# TYPE haproxy_resolver_valid gauge\nhaproxy_resolver_valid{resolver=\"dns\",nameserver=\"ns0\"} "), "{text}");
    assert!(!text.contains("haproxy_server"), "{text}");
}

#[test]
fn a_reload_keeps_addresses_and_slots() {
    let nameserver = Nameserver::new(|asked| {
        vec![match asked.kind {
            "SRV" => asked.answer(&["b.test:81:256=127.0.0.2", "a.test:80:256=127.0.0.1"]),
            _ => asked.answer(&["127.0.0.7", "127.0.0.8"]),
        }]
    });
    let config = |more: &str| {
        format!(
            "{}{HTTP_DEFAULTS}
            frontend fe
                bind @fe@
                default_backend names
            backend names
                server-template web 2 web.test:80 resolvers dns init-addr none
            backend services
                server-template web 2 _http._tcp.test resolvers dns init-addr none{more}",
            section(&[&nameserver], "")
        )
    };
    let proxy = Proxy::start(Driver::Epoll, &config(""));
    wait_addresses(&proxy, "names", &["127.0.0.7", "127.0.0.8"]);
    wait_addresses(&proxy, "services", &["127.0.0.2", "127.0.0.1"]);
    let sent = counter(&proxy, "ns0", "sent");
    // From now on in another order.
    nameserver.set(|asked| {
        vec![match asked.kind {
            "SRV" => asked.answer(&["a.test:80:256=127.0.0.1", "b.test:81:256=127.0.0.2"]),
            _ => asked.answer(&["127.0.0.8", "127.0.0.7"]),
        }]
    });
    proxy.rewrite(&config("\n                server more 127.0.0.9:80"));
    proxy.reload();
    nameserver.wait_asked(10);
    assert_eq!(addresses(&proxy, "names"), ["127.0.0.7", "127.0.0.8"]);
    assert_eq!(addresses(&proxy, "services"), ["127.0.0.2", "127.0.0.1", "127.0.0.9"]);
    assert!(counter(&proxy, "ns0", "sent") > sent, "counters go on");
    assert!(!proxy.stderr().contains("going DOWN"), "{}", proxy.stderr());
}

#[test]
fn a_reload_moves_no_server_to_a_lower_slot_that_is_free() {
    let nameserver = Nameserver::of("web.test", &["127.0.0.7", "127.0.0.8", "127.0.0.9"]);
    let config = |more: &str| {
        format!(
            "{}{HTTP_DEFAULTS}
            listen fe
                bind @fe@
                server-template web 3 web.test:80 resolvers dns init-addr none
                server moved web.test:80 resolvers dns init-addr none{more}",
            section(&[&nameserver], "")
        )
    };
    let proxy = Proxy::start(Driver::Epoll, &config(""));
    wait_addresses(&proxy, "fe", &["127.0.0.7", "127.0.0.8", "127.0.0.9", "-"]);
    nameserver.tell("web.test", &["127.0.0.9"]);
    wait_addresses(&proxy, "fe", &["-", "-", "127.0.0.9", "-"]);
    // An address that an operator has set stays as long as it would without a reload.
    nameserver.tell("web.test", &["127.0.0.9", "127.0.0.6"]);
    wait_addresses(&proxy, "fe", &["127.0.0.6", "-", "127.0.0.9", "-"]);
    assert!(proxy.admin("set server fe/web1 addr 127.0.0.60").contains("IP changed"));
    let shown = ["127.0.0.60", "-", "127.0.0.9", "-", "127.0.0.10"];
    let said = proxy.stderr().len();
    proxy.rewrite(&config("\n                server more 127.0.0.10:80"));
    proxy.reload();
    nameserver.wait_asked(3);
    assert_eq!(addresses(&proxy, "fe"), shown);
    let said = proxy.stderr()[said..].to_owned();
    assert!(!said.contains("going DOWN") && !said.contains("IP changed"), "{said}");
}
