//! Where the proxy listens and where its connections come from.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::support::programs::free_address;
use crate::support::{Client, HTTP_DEFAULTS, LIMIT, Origin, Proxy, Syslog, both_drivers, origin};

/// Sockets that listen on an IPv4 address, as the kernel lists them.
fn listening_sockets(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { panic!("{address} is no IPv4 address") };
    // The kernel prints the address as the number that its bytes are in memory.
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel lists its sockets");
    let listens = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&"0A")
    };
    table.lines().filter(listens).count()
}

#[test]
fn a_listener_is_served_by_the_threads_that_its_line_names() {
    both_drivers(|driver| {
        let [all, one, two] = [free_address(), free_address(), free_address()];
        let config = format!(
            "global\n    nbthread 3\n{HTTP_DEFAULTS}frontend f\n    bind @ready@\n    bind {all}\n    bind {one} thread 2\n    \
             bind {two} thread 1/2-3,9\n    http-request return status 200\n"
        );
        let proxy = Proxy::start(driver, &config);
        assert_eq!(proxy.client("ready").get("/", "").status, 200);
        for (address, sockets) in [(all, 3), (one, 1), (two, 2)] {
            assert_eq!(listening_sockets(address), sockets, "{address}");
            assert_eq!(Client::connect(address).get("/", "").status, 200, "{address}");
        }
    });
}

#[test]
fn every_thread_has_a_socket_of_its_own_whatever_shards_say() {
    both_drivers(|driver| {
        let shards = ["", "shards 1", "shards 2", "shards by-thread", "shards by-group"]
            .map(|words| (words, free_address()));
        let binds: String =
            shards.iter().map(|(words, address)| format!("    bind {address} {words}\n")).collect();
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    nbthread 3\n    tune.listener.default-shards by-process\n{HTTP_DEFAULTS}frontend f\n    \
                 bind @ready@\n{binds}    http-request return status 200\n"
            ),
        );
        assert_eq!(proxy.client("ready").get("/", "").status, 200);
        for (words, address) in shards {
            assert_eq!(listening_sockets(address), 3, "{words}");
            assert_eq!(Client::connect(address).get("/", "").status, 200, "{words}");
        }
    });
}

#[test]
fn connections_take_the_free_ports_of_a_source_range() {
    both_drivers(|driver| {
        // An address that nothing else in these tests uses, so that its ports are free.
        let taken = TcpListener::bind("127.0.0.77:0").expect("loopback addresses can be bound");
        let port = taken.local_addr().expect("it is bound").port();
        let (first, last) = (port - 1, port + 1);
        let origin = Origin::named("a");
        let config = format!(
            "{HTTP_DEFAULTS}listen f\n    bind @f@\n    http-reuse never\n    retries 0\n    \
             http-response set-header x-port %[bc_src_port]\n    server s {} source 127.0.0.77:{first}-{last}\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let (mut one, mut two, mut three) = (proxy.client("f"), proxy.client("f"), proxy.client("f"));
        let mut ports: Vec<u16> = [&mut one, &mut two]
            .into_iter()
            .map(|client| client.get("/", "").header("x-port").expect("a port").parse().expect("a number"))
            .collect();
        ports.sort_unstable();
        assert_eq!(ports, [first, last], "the port in between is taken");
        assert_eq!(three.get("/", "").status, 503, "no port is left");
    });
}

#[test]
fn a_source_address_that_cannot_be_used_is_told() {
    both_drivers(|driver| {
        let (origin, mut syslog) = (Origin::named("a"), Syslog::start());
        let config = format!(
            "global\n    log {} local0\n{HTTP_DEFAULTS}    log global\n    option httplog\n    retries 2\nlisten f\n    \
             bind @f@\n    server s {origin} source 192.0.2.77\nlisten t\n    mode tcp\n    bind @t@\n    \
             server s {origin} source 192.0.2.78\n",
            syslog.address(),
            origin = origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        assert_eq!(proxy.client("f").get("/", "").status, 503);
        let line = syslog.wait_for(&["Cannot bind to source address before connect() for backend f"]);
        assert!(
            line.starts_with("<128>") && line.contains("192.0.2.77 for server f/s: Cannot assign"),
            "{line}"
        );
        let line = syslog.wait_for(&[" f f/s "]);
        assert!(
            line.contains(" SC-- ") && line.contains("/2 0/0 "),
            "no pause, and the other retries: {line}"
        );
        assert!(proxy.client("t").is_closed_within(LIMIT));
        syslog.wait_for(&["192.0.2.78 for server t/s"]);
        assert_eq!(origin.connections(), 0);
        let more = syslog.rest(Duration::from_millis(50));
        assert!(!more.iter().any(|line| line.contains("Cannot bind")), "once a session: {more:?}");
    });
}

#[test]
fn a_server_sees_the_address_that_the_request_names_or_nothing() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, connection, seen| {
            let mut buffer = Vec::new();
            let peer = stream.peer_addr().expect("a peer").ip().to_string();
            while let Some(request) = origin::read_request(&mut stream, &mut buffer, connection) {
                seen.note(&request);
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{peer}", peer.len());
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let config = format!(
            "{HTTP_DEFAULTS}listen f\n    bind @f@\n    server s {} source 0.0.0.0 usesrc hdr_ip(x-src)\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("f");
        for (fields, status, shown) in [
            ("X-Src: 127.0.0.8\r\n", 200, "127.0.0.8"),
            ("X-Src: ::ffff:127.0.0.9\r\n", 200, "127.0.0.9"),
            ("", 500, ""),
            ("X-Src: somebody\r\n", 500, ""),
            ("X-Src: 2001:db8::1\r\n", 503, ""),
        ] {
            let response = client.get("/", fields);
            assert_eq!(response.status, status, "{fields}");
            assert!(status != 200 || response.text() == shown, "{fields}: {}", response.text());
        }
        assert_eq!(origin.requests(), 2, "nothing is sent from our own address");
    });
}
