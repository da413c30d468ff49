//! Stick tables as limits: a client that is too fast is refused and no other, and no event is lost or
//! counted twice, however many cores count.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::examples::at_home;
use crate::support::*;

/// An address that clients of a test come from.
fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 3, last).into()
}

#[test]
fn the_example_refuses_who_is_too_fast_and_nobody_else() {
    both_drivers(|driver| {
        let origin = Origin::named("origin");
        let own = own_address();
        let text = at_home("rate-limit.cfg", own, origin.address());
        let proxy = Proxy::start(driver, &text.replacen("global", "global\n    nbthread 4", 1));
        let web = SocketAddr::new(own, 8080);
        let mut fast = Client::connect_from(address(1), web);
        let mut served = 0;
        let refused = loop {
            assert!(served < 250, "the limit is 100 in ten seconds");
            let response = fast.get("/", "");
            if response.status != 200 {
                break response;
            }
            served += 1;
        };
        assert!(served >= 100, "{served}");
        assert_eq!((refused.status, refused.header("Retry-After")), (429, Some("10")));
        assert_eq!(refused.text(), "Too many requests.\n");
        // The limit is the address's: another connection makes no difference, another address does.
        assert_eq!(Client::connect_from(address(1), web).get("/", "").status, 429);
        let mut slow = Client::connect_from(address(2), web);
        for _ in 0..20 {
            assert_eq!(slow.get("/", "").status, 200);
        }
        // A client that goes on regardless is dropped.
        let is_refused = || {
            let client = Client::try_connect_from(address(1), web);
            client
                .and_then(|mut client| {
                    // Nothing tells a client that it was dropped: it has to stop waiting by itself.
                    client.read_limit(Duration::from_secs(1));
                    (0..10).try_for_each(|_| client.try_get("/", "").map(drop))
                })
                .is_ok()
        };
        assert!((0..100).any(|_| !is_refused()), "300 refusals in a minute are enough");
        assert!(!is_refused());
        assert_eq!(slow.get("/", "").status, 200);
        drop(proxy);
    });
}

/// A proxy that counts in two tables (`session` by connection, `transaction` by request), and a
/// frontend `fe2` that tells what it counted.
fn counting(driver: Driver, origin: SocketAddr, extra: &str) -> Proxy {
    let store = "conn_cnt,conn_cur,sess_cnt,http_req_cnt,http_err_cnt,bytes_in_cnt,gpc(2)";
    Proxy::start(
        driver,
        &format!(
            "global\n    nbthread 4\n{HTTP_DEFAULTS}\n\
             backend session\n    stick-table type ip size 1k expire 10m store {store}\n\
             backend transaction\n    stick-table type ip size 1k expire 10m store {store}\n\
             frontend told\n    bind @fe2@\n    http-request set-var(txn.ip) url_param(ip)\n    \
             http-request set-var-fmt(txn.one) \"{}\" if {{ path /session }}\n    \
             http-request set-var-fmt(txn.one) \"{}\" if {{ path /transaction }}\n    \
             http-request return status 200 content-type text/plain lf-string %[var(txn.one)]\n\
             frontend counted\n    bind @fe@\n    tcp-request connection track-sc0 src table session\n    \
             http-request track-sc1 src table transaction\n    http-request sc-inc-gpc0(0)\n    \
             http-response sc-add-gpc(1,1) int(2)\n    http-request deny if {{ path /denied }}\n    \
             default_backend app\nbackend app\n    server s1 {origin}\n{extra}",
            figures("session"),
            figures("transaction"),
        ),
    )
}

/// The format that tells the counters of an address in a table.
fn figures(table: &str) -> String {
    ["conn_cnt", "conn_cur", "sess_cnt", "http_req_cnt", "http_err_cnt", "kbytes_in", "gpc0"]
        .map(|datum| format!("{datum}=%[var(txn.ip),table_{datum}({table})]"))
        .join(" ")
        + &format!(" gpc=%[var(txn.ip),table_gpc(1,{table})]")
}

/// What a table counted of an address.
fn told(proxy: &Proxy, table: &str, ip: IpAddr) -> String {
    proxy.client("fe2").get(&format!("/{table}?ip={ip}"), "").text()
}

#[test]
fn nothing_is_lost_or_counted_twice() {
    const ADDRESSES: u8 = 4;
    const CLIENTS: usize = 6;
    const CONNECTIONS: usize = 4;
    const REQUESTS: usize = 25;
    both_drivers(|driver| {
        let origin = Origin::named("origin");
        let proxy = counting(driver, origin.address(), "");
        let request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
        std::thread::scope(|scope| {
            for client in 0..CLIENTS * usize::from(ADDRESSES) {
                let proxy = &proxy;
                scope.spawn(move || {
                    let source = address(1 + (client % usize::from(ADDRESSES)) as u8);
                    for _ in 0..CONNECTIONS {
                        let mut client = Client::connect_from(source, proxy.address("fe"));
                        for _ in 0..REQUESTS {
                            client.send(request);
                            assert_eq!(client.response().status, 200);
                        }
                        assert_eq!(client.get("/denied", "").status, 403);
                    }
                });
            }
        });
        let connections = CLIENTS * CONNECTIONS;
        let (served, denied) = (connections * REQUESTS, connections);
        let denied_bytes = "GET /denied HTTP/1.1\r\nHost: test\r\n\r\n".len();
        let kilobytes = (served * request.len() + denied * denied_bytes) >> 10;
        let requests = served + denied;
        for last in 1..=ADDRESSES {
            for (table, expected) in [
                (
                    "session",
                    format!(
                        "conn_cnt={connections} conn_cur=0 sess_cnt={connections} http_req_cnt={requests} \
                         http_err_cnt={denied} kbytes_in={kilobytes} gpc0={requests} gpc=0"
                    ),
                ),
                (
                    "transaction",
                    format!(
                        "conn_cnt={requests} conn_cur=0 sess_cnt=0 http_req_cnt={requests} \
                         http_err_cnt={denied} kbytes_in={kilobytes} gpc0=0 gpc={}",
                        2 * served
                    ),
                ),
            ] {
                // The last ends of connections are seen a moment after the client made them.
                wait_until(LIMIT, || told(&proxy, table, address(last)) == expected);
                assert_eq!(told(&proxy, table, address(last)), expected, "{table} {last}");
            }
        }
        assert_eq!(told(&proxy, "session", address(99)).matches("=0").count(), 8, "nobody else came");
    });
}

#[test]
fn connections_are_counted_while_they_are_there() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| match request.path() {
            "/slow" => {
                std::thread::sleep(std::time::Duration::from_millis(20));
                Reply::ok("slow")
            }
            _ => Reply::ok("ok"),
        });
        let tunnel = Origin::raw(|mut stream, _, _| {
            let _ = std::io::copy(&mut stream.try_clone().expect("a copy"), &mut stream);
        });
        let extra = format!(
            "frontend tunnels\n    mode tcp\n    bind @fe3@\n    tcp-request connection track-sc0 src table session\n    \
             tcp-request content track-sc1 src table transaction\n    default_backend tunnel\nbackend tunnel\n    \
             mode tcp\n    server s1 {}\n",
            tunnel.address()
        );
        let proxy = counting(driver, origin.address(), &extra);
        let current = |table: &str, expected: usize| {
            let wanted = format!(" conn_cur={expected} ");
            wait_until(LIMIT, || told(&proxy, table, address(7)).contains(&wanted));
            let told = told(&proxy, table, address(7));
            assert!(told.contains(&wanted), "{table}: {told}");
        };
        let connect = |name: &str| Client::connect_from(address(7), proxy.address(name));
        // Idle ones count by the connection, not by the request.
        let mut kept: Vec<_> = (0..5).map(|_| connect("fe")).collect();
        kept.iter_mut().for_each(|client| assert_eq!(client.get("/", "").status, 200));
        current("session", 5);
        current("transaction", 0);
        // Tunnels count as both while they last.
        let mut tunnels: Vec<_> = (0..3).map(|_| connect("fe3")).collect();
        for client in &mut tunnels {
            client.send("hello");
            assert_eq!(client.read_exact(5), b"hello");
        }
        current("session", 8);
        current("transaction", 3);
        // However they end: in the middle of a request, of a response, of a tunnel.
        for (number, client) in kept.iter_mut().enumerate() {
            match number {
                0 => client.send("GET / HT"),
                1 => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"),
                2 => client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"),
                3 => client.send("nonsense\r\n\r\n"),
                _ => client.finish_sending(),
            }
        }
        drop((kept, tunnels));
        current("session", 0);
        current("transaction", 0);
    });
}

#[test]
fn no_second_sees_more_than_a_limit_of_the_rate() {
    const LIMIT_PER_SECOND: usize = 10;
    const CLIENTS: usize = 34;
    both_drivers(|driver| {
        for (global, frontend) in
            [("", "rate-limit sessions 10"), ("maxsessrate 10", ""), ("maxconnrate 10", "")]
        {
            let mut syslog = Syslog::start();
            let text = format!(
                "global\n    nbthread 2\n    log {} local0\n    {global}\n{HTTP_DEFAULTS}    log global\nlisten fe\n    bind \
                 @fe@\n    log-format \"at %Ts %ms end\"\n    {frontend}\n    http-request return status 200\n",
                syslog.address()
            );
            let proxy = Proxy::start(driver, &text);
            let mut clients: Vec<_> = (0..CLIENTS).map(|_| proxy.client("fe")).collect();
            for client in &mut clients {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
            let mut accepted: Vec<u64> = (0..CLIENTS)
                .map(|_| {
                    let line = syslog.wait_for(&["at ", " end"]);
                    let numbers = &line[line.find("at ").expect("its start") + 3..];
                    let mut numbers = numbers.split(' ').map(|number| number.parse::<u64>().unwrap_or(0));
                    numbers.next().expect("seconds") * 1000 + numbers.next().expect("milliseconds")
                })
                .collect();
            accepted.sort_unstable();
            for (first, later) in accepted.iter().zip(&accepted[LIMIT_PER_SECOND..]) {
                assert!(later - first >= 990, "{global}{frontend}: {accepted:?}");
            }
        }
    });
}

#[test]
fn who_is_served_already_comes_before_the_next_batch() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let text = format!(
            "global\n    nbthread 1\n    tune.maxaccept 4\n    log {} local0\n{HTTP_DEFAULTS}    log global\nlisten fe\n    bind \
             @fe@\n    log-format \"%HP %ac end\"\n    http-request return status 200\n",
            syslog.address()
        );
        let proxy = Proxy::start(driver, &text);
        let mut established = proxy.client("fe");
        assert_eq!(established.get("/before", "").status, 200);
        // The process finds all of this at once.
        proxy.freeze();
        let others: Vec<_> = (0..100).map(|_| proxy.client("fe")).collect();
        established.send("GET /established HTTP/1.1\r\nHost: a\r\n\r\n");
        proxy.signal(libc::SIGCONT);
        assert_eq!(established.response().status, 200);
        let line = syslog.wait_for(&["/established "]);
        let count = line[line.find("/established ").expect("the path") + 13..].split(' ').next();
        let connections: usize = count.and_then(|text| text.parse().ok()).expect("a number");
        assert!(connections < 60, "{connections} were accepted first");
        drop(others);
    });
}

#[test]
fn a_listener_that_fails_does_not_keep_its_thread_busy() {
    both_drivers(|driver| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let copy = listener.try_clone().expect("a copy");
        let text = format!(
            "global\n    nbthread 1\n{HTTP_DEFAULTS}listen fe\n    bind @fe@\n    bind @other@\n    http-request return status \
             200\n"
        );
        let proxy = Proxy::build(driver).listener("fe", listener).start(&text);
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
        // SAFETY: no memory is involved.
        assert_eq!(unsafe { libc::shutdown(std::os::fd::AsRawFd::as_raw_fd(&copy), libc::SHUT_RDWR) }, 0);
        assert_eq!(proxy.client("other").get("/", "").status, 200);
        let ticks = || -> u64 {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid())).expect("the process lives");
            let fields: Vec<_> = stat[stat.rfind(')').expect("its name")..].split(' ').collect();
            [12, 13].map(|at| fields[at].parse::<u64>().expect("a number")).iter().sum()
        };
        let before = ticks();
        std::thread::sleep(std::time::Duration::from_secs(1));
        // A hundred are a second of one processor.
        assert!(ticks() - before < 40, "{} ticks", ticks() - before);
    });
}
