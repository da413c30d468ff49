//! `resolvers` sections, and what names one.

use super::*;
use crate::resolvers::options::{Network, Prefer};
use crate::resolvers::{Hold, Transport};

#[test]
fn sections_say_whom_to_ask_and_how_long_to_hold() {
    let model = clean(
        "resolvers dns\nnameserver a 10.0.0.1:53\nnameserver b tcp@[::1]:5353 maxconn 3\nnameserver c udp4@10.0.0.2:53\n\
         accepted_payload_size 4096\nresolve_retries 7\ntimeout resolve 2s\ntimeout retry 300ms\nhold valid 1s\n\
         hold nx 2s\nhold timeout 3s\nhold refused 4s\nhold other 5s\nhold obsolete 6s",
    );
    let [dns] = &model.resolvers[..] else { panic!("{:?}", model.resolvers) };
    let shown: Vec<_> = dns
        .nameservers
        .iter()
        .map(|server| (&*server.name, server.transport, server.address.to_string(), server.connections_max))
        .collect();
    assert_eq!(
        shown,
        [
            ("a", Transport::Udp, "10.0.0.1:53".to_owned(), 0),
            ("b", Transport::Tcp, "[::1]:5353".to_owned(), 3),
            ("c", Transport::Udp, "10.0.0.2:53".to_owned(), 0),
        ]
    );
    assert_eq!((dns.payload_max, dns.retries), (4096, 7));
    assert_eq!((dns.timeout_resolve_ms, dns.timeout_retry_ms), (2000, 300));
    let hold = Hold { valid: 1000, nx: 2000, timeout: 3000, refused: 4000, other: 5000, obsolete: 6000 };
    assert_eq!(dns.hold, hold);
}

#[test]
fn the_systems_name_servers_are_the_default() {
    let file = b"# a comment\nnameserver 10.0.0.1\nnameserver\t10.0.0.2 \nnameservers x\nnameserver\n\
        nameserver 10.0.0.1\nnameserver fe80::1%eth0\noptions edns0\n";
    let world = Memory::default().file("/etc/resolv.conf", file);
    let load = |text: &str| {
        let mut report = Report::default();
        let input = Input { name: "t.cfg".into(), bytes: format!("{text}\n").into_bytes() };
        let model =
            crate::config::load(&[input], &Settings::default(), &Registry::new(1), &world, &mut report);
        let found: Vec<_> = report.diagnostics.iter().map(|found| found.message.clone()).collect();
        (model.expect("no alert"), found)
    };
    let names = |model: &Model, at: usize| {
        let names = model.resolvers[at].nameservers.iter().map(|server| server.name.to_string());
        (model.resolvers[at].name.to_string(), names.collect::<Vec<_>>())
    };
    let (model, found) = load("global");
    assert_eq!(names(&model, 0), ("default".to_owned(), vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()]));
    assert!(model.resolvers[0].is_implicit && found.is_empty(), "{found:?}");
    // What is wrong with the file is told where somebody asks for it.
    let (model, found) = load("resolvers default\nnameserver 10.0.0.2 127.0.0.1:53\nparse-resolv-conf");
    assert_eq!(model.resolvers.len(), 1);
    assert_eq!(names(&model, 0).1, ["10.0.0.2", "10.0.0.1"]);
    for part in
        ["[/etc/resolv.conf:3]", ":5] : nameserver line is missing address", "conf:6]", "'fe80::1%eth0'"]
    {
        assert!(found.iter().any(|message| message.contains(part)), "{part}: {found:#?}");
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn servers_say_which_addresses_they_want() {
    let model = clean(&format!(
        "{TIMEOUTS}resolvers dns\nnameserver a 10.0.0.1:53\nbackend b\ndefault-server resolvers dns init-addr none \
         resolve-prefer ipv4 resolve-net 10.0.0.0/8\nserver plain x.test:80\nserver-template t 2 _http._tcp.x.test \
         resolve-opts allow-dup-ip,ignore-weight resolve-net 2001:db8::/32"
    ));
    let servers = &model.proxies[0].servers;
    let first = servers[0].resolution.as_ref().expect("it is resolved");
    assert!(Arc::ptr_eq(&first.resolvers, &model.resolvers[0]) && first.service.is_none());
    assert_eq!(first.options.prefer, Prefer::V4);
    assert!(!first.options.allow_duplicates && !first.options.ignore_weight);
    let network = |address: &str, length| Network { address: address.parse().unwrap(), length };
    assert_eq!(first.options.networks, [network("10.0.0.0", 8)]);
    let second = servers[2].resolution.as_ref().expect("it is resolved");
    assert_eq!(second.service.as_ref().map(|name| name.as_str()), Some("_http._tcp.x.test"));
    assert!(second.options.allow_duplicates && second.options.ignore_weight);
    assert_eq!(second.options.networks, [network("10.0.0.0", 8), network("2001:db8::", 32)]);
}

#[test]
fn findings_of_resolvers() {
    use Level::{Alert, Notice, Warning};
    let long = format!("{}.test", "a".repeat(64));
    let label = format!("server s {long}:80 resolvers dns init-addr none");
    for (line, level, part) in [
        ("nameserver b", Alert, "'nameserver' expects <name> and <addr>[:<port>] as arguments"),
        ("nameserver b 10.0.0.1", Alert, "missing port specification in '10.0.0.1'"),
        ("nameserver b /run/dns", Alert, "only an IP address is acceptable here"),
        ("nameserver b quic4@10.0.0.1:53", Alert, "QUIC is not available yet"),
        ("nameserver b tcp@10.0.0.1:53 ssl", Alert, "TLS to name servers is not available yet"),
        ("nameserver b tcp@10.0.0.1:53 source 10.0.0.9", Alert, "'source' is not available yet"),
        ("nameserver a 10.0.0.1:53", Alert, "has same name as another nameserver (declared at t.cfg:7)"),
        ("nameserver a! 10.0.0.1:53", Alert, "character '!' is not permitted"),
        ("parse-resolv-conf", Alert, "failed to open /etc/resolv.conf"),
        ("hold nx", Alert, "'hold' expects an <event> and a <time> as arguments"),
        ("hold valide 1s", Alert, "'hold' unknown <event>: 'valide'"),
        ("hold nx 5", Warning, "'hold nx 5' looks suspiciously small"),
        ("timeout retry", Alert, "'timeout retry' expects <time> as argument"),
        ("timeout connect 1s", Alert, "got 'connect'"),
        ("timeout resolve 20", Warning, "('20ms')"),
        ("accepted_payload_size 11", Alert, "must be between 12 and 65535 inclusive (was 11)"),
        ("resolve_retries 0", Alert, "must be between 1 and"),
        ("resolve_retires 3", Alert, "did you mean 'resolve_retries' maybe ?"),
        ("resolution_pool_size 3", Alert, "is not supported anymore"),
        ("resolvers dns", Alert, "has same name as another resolvers (declared at t.cfg:6)"),
        ("backend b\nserver s x.test:80 resolvers dsn init-addr none", Alert, "did you mean 'dns'?"),
        (
            "backend b\nserver s _http._tcp.x.test",
            Alert,
            "no method found to resolve address '_http._tcp.x.test'",
        ),
        (
            "backend b\nserver s x.test:80 resolvers dns",
            Notice,
            "could not resolve address 'x.test', disabling server",
        ),
        (
            "backend b\nserver s x.test:80 resolvers dns resolve-prefer v4",
            Alert,
            "expects either ipv4 or ipv6",
        ),
        ("backend b\nserver s x.test:80 resolve-opts dup", Alert, "unknown resolve-opts option 'dup'"),
        ("backend b\nserver s 10.0.0.1:80 resolve-net 10.0.0.0/33", Alert, "invalid network '10.0.0.0/33'"),
        (
            "backend b\nserver s 10.0.0.1:80 resolve-net 1.0.0.0/8,2.0.0.0/8,3.0.0.0/8,4.0.0.0/8,5.0.0.0/8,::/0",
            Alert,
            "exceed 5 networks",
        ),
        (&format!("backend b\n{label}"), Alert, "a name's labels have 1 to 63 characters"),
        (
            "frontend f\nbind :1\nhttp-request do-resolve(txn.a) str(x)",
            Alert,
            "Can't parse 'do-resolve(txn.a)'",
        ),
        (
            "frontend f\nbind :1\nhttp-request do-resolve(txn.a,dns,v4) str(x)",
            Alert,
            "Available options are 'ipv4' and 'ipv6'",
        ),
        (
            "frontend f\nbind :1\nhttp-request do-resolve(txn.a,dsn) str(x)",
            Alert,
            "Can't find resolvers section 'dsn'",
        ),
        (
            "frontend f\nbind :1\nhttp-request do-resolve(txn.a,dns)",
            Alert,
            "Can't parse 'do-resolve(txn.a,dns)'",
        ),
    ] {
        let text = format!("{TIMEOUTS}resolvers dns\nnameserver a 10.0.0.9:53\n{line}");
        let at = 7 + line.lines().count() as u32;
        let relevant = load_text(&text).1.diagnostics;
        let found = relevant.iter().find(|found| {
            found.level == level
                && (found.message.contains(part)
                    || found.help.as_deref().is_some_and(|help| help.contains(part)))
        });
        let found = found.unwrap_or_else(|| panic!("{line}: no '{part}' in {relevant:#?}"));
        assert_eq!(found.span.line, at, "{line}");
    }
}
