//! Servers and backends that come and go while running.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::support::*;

const ADDED: &str = "New server registered.\n\n";
const DELETED: &str = "Server deleted.\n\n";

/// A number of `show stat`.
fn count(proxy: &Proxy, row: (&str, &str), field: &str) -> usize {
    proxy.stat(row.0, row.1, field).parse().unwrap_or(0)
}

#[test]
fn servers_come_and_go_under_traffic() {
    const CYCLES: usize = 500;
    both_drivers(|driver| {
        let (one, other) = (Origin::named("one"), Origin::named("other"));
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    nbthread 2\n{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    default_backend be\n\
                 backend be\n    balance roundrobin\n    server s1 {}\nbackend more\n    server s1 127.0.0.1:9\n",
                one.address()
            ),
        );
        let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (proxy, stop, served) = (&proxy, &stop, &served);
                scope.spawn(move || {
                    let mut client = proxy.client("fe");
                    while !stop.load(SeqCst) {
                        let response = client.get("/", "");
                        assert_eq!(response.status, 200, "{}", response.head);
                        served.fetch_add(1, SeqCst);
                        // Some keep their connection for all of it, others come anew.
                        if number % 2 == 0 {
                            client = proxy.client("fe");
                        }
                    }
                });
            }
            let _stop = Stop(&stop);
            for cycle in 0..CYCLES {
                let answer = proxy.admin(&format!(
                    "add server be/x {} id 7; enable server be/x; get weight be/x",
                    other.address()
                ));
                assert_eq!(answer, format!("{ADDED}\n1 (initial 1)\n\n"), "{cycle}");
                let before = other.requests();
                assert!(wait_until(LIMIT, || other.requests() > before), "it is used: {cycle}");
                let answer = proxy.admin("disable server be/x; wait 10s srv-removable be/x; del server be/x");
                assert_eq!(answer, format!("\nDone.\n\n{DELETED}"), "{cycle}");
            }
        });
        let served = served.load(SeqCst);
        assert!(wait_until(LIMIT, || count(&proxy, ("be", "BACKEND"), "scur") == 0));
        for (row, field) in [
            (("fe", "FRONTEND"), "hrsp_2xx"),
            (("fe", "FRONTEND"), "req_tot"),
            (("be", "BACKEND"), "hrsp_2xx"),
            (("be", "BACKEND"), "stot"),
        ] {
            assert_eq!(count(&proxy, row, field), served, "{row:?} {field}");
        }
        assert_eq!(one.requests() + other.requests(), served);
        assert_eq!(count(&proxy, ("be", "s1"), "stot"), one.requests());
        for field in ["econ", "eresp", "wretr", "wredis", "qcur"] {
            assert_eq!(count(&proxy, ("be", "BACKEND"), field), 0, "{field}");
        }
        assert_eq!(count(&proxy, ("be", "s1"), "scur"), 0, "every place was given back");
        assert_eq!(proxy.admin("show servers conn be").lines().count(), 3);
    });
}

/// Ends the clients even when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn what_is_in_use_is_not_deleted() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let held = Origin::raw(|stream, _, _| {
            let mut stream = stream;
            // Until the other side closes.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    default_backend be\nbackend be\n    server a 127.0.0.1:9 \
                 disabled\n    server b 127.0.0.1:9 disabled\n    use-server two if {{ path /two }}\n    server two {}\n\
                 frontend raw\n    mode tcp\n    bind @raw@\n    default_backend tcp\nbackend tcp\n    mode tcp\n",
                origin.address()
            ),
        );
        // Servers behind one that is deleted are found where they are now.
        assert_eq!(proxy.admin("del server be/a"), DELETED);
        assert_eq!(proxy.client("fe").get("/two", "").text(), "one");
        assert_eq!(
            proxy.admin("disable server be/two; del server be/two; enable server be/two"),
            "\nThis server cannot be removed at runtime due to other configuration elements pointing to it.\n\n\n"
        );
        // An idle connection is closed with the server's maintenance.
        assert_eq!(
            proxy.admin(&format!("add server be/x {}; enable server be/x", origin.address())),
            format!("{ADDED}\n")
        );
        let mut client = proxy.client("fe");
        for _ in 0..2 {
            assert_eq!(client.get("/", "").text(), "one");
        }
        assert_eq!(
            proxy.admin("disable server be/x; wait 10s srv-removable be/x; del server be/x"),
            format!("\nDone.\n\n{DELETED}")
        );
        assert_eq!(client.get("/", "").text(), "one", "the client's connection goes on");
        // A tunnel has its server as long as it lasts.
        let add = format!("add server tcp/x {} maxconn 1; enable server tcp/x", held.address());
        assert_eq!(proxy.admin(&add), format!("{ADDED}\n"));
        let mut tunnel = proxy.client("raw");
        tunnel.send("x");
        assert!(wait_until(LIMIT, || held.connections() == 1));
        let used = "Server still has connections attached to it, cannot remove it.\n\n";
        assert_eq!(proxy.admin("disable server tcp/x; del server tcp/x"), format!("\n{used}"));
        assert_eq!(proxy.admin("wait 20 srv-removable tcp/x"), format!("Wait delay expired. {used}"));
        drop(tunnel);
        assert_eq!(
            proxy.admin("wait 10s srv-removable tcp/x; del server tcp/x"),
            format!("Done.\n\n{DELETED}")
        );
        assert_eq!(proxy.admin("wait 1s srv-removable tcp/x"), "Failed. No such server.\n\n");
        // Its successor has all places free.
        assert_eq!(proxy.admin(&add), format!("{ADDED}\n"));
        let mut tunnel = proxy.client("raw");
        tunnel.send("x");
        assert!(wait_until(LIMIT, || held.connections() == 2));
        assert_eq!(proxy.stat("tcp", "x", "scur"), "1");
        proxy.admin("disable server tcp/x; shutdown sessions server tcp/x; wait 10s srv-removable tcp/x");
        assert_eq!(proxy.admin("del server tcp/x"), DELETED);
    });
}

#[test]
fn checks_begin_and_end_with_their_server() {
    let checked = Origin::http(|request| match request.path() {
        "/health" => Reply::ok("well"),
        _ => Reply::ok("served"),
    });
    let other = Origin::named("other");
    let proxy = Proxy::start(
        Driver::Epoll,
        &format!(
            "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    default_backend be\nbackend be\n    option httpchk GET /health\n    \
             server s1 {} check inter 20ms\nbackend followers\n    server f1 127.0.0.1:9 track be/s1\n",
            other.address()
        ),
    );
    let address = checked.address();
    assert_eq!(proxy.admin(&format!("add server be/x {address} check inter 20ms rise 2 fall 2")), ADDED);
    assert_eq!(proxy.stat("be", "x", "status"), "MAINT");
    let rounds = |more: usize| {
        let before = other.requests();
        assert!(wait_until(LIMIT, || other.requests() >= before + more));
    };
    rounds(5);
    assert_eq!(checked.requests(), 0, "checks are off until they are enabled");
    assert_eq!(proxy.admin("enable health be/x; enable server be/x"), "\n\n");
    proxy.wait_status("be", "x", "UP");
    assert!(wait_until(LIMIT, || checked.requests() >= 3));
    assert!(proxy.admin("show servers state be").contains(" x "));
    // One that follows a server of the file.
    assert_eq!(
        proxy.admin("add server followers/f2 127.0.0.1:9 track be/s1; enable server followers/f2"),
        format!("{ADDED}\n")
    );
    proxy.wait_status("followers", "f2", "UP");
    proxy.admin("disable server be/s1");
    proxy.wait_status("followers", "f2", "MAINT (via be/s1)");
    proxy.admin("enable server be/s1");
    proxy.wait_status("followers", "f2", "UP");
    // Prometheus and JSON have it like any other.
    assert!(proxy.admin("show stat json").contains("\"f2\""));
    assert_eq!(
        proxy.admin("disable server be/x; wait 10s srv-removable be/x; del server be/x"),
        format!("\nDone.\n\n{DELETED}")
    );
    // A check that was under way may have ended just now.
    rounds(2);
    let checks = checked.requests();
    rounds(5);
    assert_eq!(checked.requests(), checks, "no check is left");
    assert!(!proxy.admin("show servers state").contains(" x "));
}

#[test]
fn tls_is_spoken_to_added_servers() {
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        let certificate = Certificate::new(&["example.com"]);
        builder.write("a.pem", &certificate.both());
        let path = builder.path("a.pem");
        let proxy = builder.start(&format!(
            "global\n    nbthread 2\n{HTTP_DEFAULTS}\nfrontend term\n    bind @term@ ssl crt {path}\n    http-request return \
             status 200 content-type text/plain string secret\nfrontend fe\n    bind @fe@\n    default_backend be\n\
             backend be\n    option httpchk\n    server known 127.0.0.1:9 ssl ca-file {path} disabled\n"
        ));
        let term = proxy.address("term");
        let get = || proxy.client("fe").get("/", "");
        for options in
            ["ssl verify none".to_owned(), format!("ssl ca-file {path} verify required sni str(example.com)")]
        {
            assert_eq!(
                proxy.admin(&format!("add server be/x {term} {options}; enable server be/x")),
                format!("{ADDED}\n")
            );
            assert_eq!(get().text(), "secret", "{options}");
            let answer = proxy.admin("disable server be/x; wait 10s srv-removable be/x; del server be/x");
            assert_eq!(answer, format!("\nDone.\n\n{DELETED}"), "{options}");
            assert_eq!(get().status, 503);
        }
        // Authorities that the configuration does not name are told first.
        let name = |verb: &str| format!("{verb} ssl ca-file own.pem");
        let payload = format!("{} <<\n{}\n", name("set"), certificate.both());
        let trusting = format!("add server be/x {term} ssl ca-file own.pem sni str(example.com)");
        assert!(proxy.admin(&trusting).contains("'ca-file' : unable to load 'own.pem'"));
        assert_eq!(proxy.admin(&name("new")), "New CA file created 'own.pem'!\n\n");
        assert_eq!(proxy.admin(&payload), "transaction created for CA own.pem!\n\n");
        assert_eq!(proxy.admin(&name("commit")), "Committing own.pem\nSuccess!\n\n");
        assert_eq!(proxy.admin(&format!("{trusting}; enable server be/x")), format!("{ADDED}\n"));
        assert_eq!(get().text(), "secret");
        assert!(
            proxy.admin(&name("show")).starts_with("Filename: own.pem\nStatus: Used\n \nCertificate #1:\n")
        );
        assert_eq!(proxy.admin(&name("del")), "CA file 'own.pem' in use, can't be deleted!\n\n");
        proxy.admin("disable server be/x; wait 10s srv-removable be/x; del server be/x");
        assert!(wait_until(LIMIT, || proxy.admin(&name("del")) == "CA file 'own.pem' deleted!\n\n"));
        // Without the name of who signs it, nobody is trusted.
        let answer = proxy.admin(&format!("add server be/x {term} ssl"));
        assert!(answer.contains("nothing says who signs it"), "{answer}");
        // A check speaks TLS where it is said only.
        for (number, (options, status)) in
            [("check", "DOWN"), ("check check-ssl", "UP")].into_iter().enumerate()
        {
            let words = format!("{term} ssl verify none {options} inter 20ms rise 1 fall 1");
            proxy.admin(&format!(
                "add server be/c{number} {words}; enable health be/c{number}; enable server be/c{number}"
            ));
            assert!(
                wait_until(LIMIT, || {
                    let checked = proxy.stat("be", &format!("c{number}"), "check_status");
                    !checked.is_empty() && !checked.contains("INI")
                }),
                "{options}"
            );
            proxy.wait_status("be", &format!("c{number}"), status);
        }
    });
}

/// Reloads, and tells what was said.
fn reload(proxy: &Proxy, config: &str) -> String {
    proxy.rewrite(config);
    proxy.reload()
}

#[test]
fn a_reload_keeps_added_servers_that_the_file_has_now() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let config = |more: &str| {
        format!(
            "{HTTP_DEFAULTS}\ndefaults named\n    mode http\n    timeout connect 5s\n    timeout server 5s\nfrontend fe from \
             named\n    bind @fe@\n    timeout client 5s\n    use_backend %[path,field(2,/)]\nbackend be from named\n    \
             option httpchk\n    server s1 {} check inter 50ms\n{more}",
            one.address()
        )
    };
    let proxy = Proxy::start(Driver::Epoll, &config(""));
    let answers = |proxy: &Proxy, path: &str| {
        let mut found = BTreeMap::new();
        for _ in 0..8 {
            *found.entry(proxy.client("fe").get(path, "").text()).or_insert(0) += 1;
        }
        found.into_keys().collect::<Vec<_>>()
    };
    proxy.admin(&format!("add server be/kept {} check inter 50ms", two.address()));
    proxy.admin(&format!("add server be/gone {}; enable server be/gone", two.address()));
    assert_eq!(proxy.admin("add backend dynamic from named"), "New backend registered.\n\n");
    assert_eq!(
        proxy.admin(&format!("add server dynamic/s {}; enable server dynamic/s", two.address())),
        format!("{ADDED}\n")
    );
    assert_eq!(proxy.client("fe").get("/dynamic", "").status, 503, "it is not published");
    assert_eq!(proxy.admin("publish backend dynamic"), "Backend published.\n\n");
    assert_eq!(answers(&proxy, "/dynamic"), ["two"]);
    assert_eq!(answers(&proxy, "/be"), ["one", "two"]);
    let kept = format!("    server kept {} check inter 50ms\n", two.address());
    let said = reload(&proxy, &config(&kept));
    assert!(
        said.contains("'be/gone'") && said.contains("'dynamic/s'") && !said.contains("'be/kept'"),
        "{said}"
    );
    let state = proxy.admin("show servers state");
    assert!(state.contains(" kept ") && !state.contains(" gone ") && !state.contains("dynamic"), "{state}");
    // It begins as a server of the file does: neither in maintenance nor without checks.
    proxy.wait_status("be", "kept", "UP");
    let before = two.requests();
    assert!(wait_until(LIMIT, || two.requests() > before + 2), "its checks run");
    assert_eq!(answers(&proxy, "/be"), ["one", "two"]);
    assert_eq!(proxy.client("fe").get("/dynamic", "").status, 503);
    // What was added before the reload can be added again.
    assert_eq!(proxy.admin(&format!("add server be/gone {}", two.address())), ADDED);
    assert_eq!(proxy.admin("add backend dynamic from named"), "New backend registered.\n\n");
}

#[test]
fn backends_are_published_and_forced() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    force-be-switch if {{ req.hdr(x-admin) 1 }}\n    \
                 use_backend new if {{ path /new }}\n    default_backend old\nbackend old\n    http-request return status 204\n\
                 backend new\n    be-unpublished\n    server s1 {}\nfrontend raw\n    mode tcp\n    bind @raw@\n    \
                 default_backend tcp\nbackend tcp\n    mode tcp\n    server s1 {}\n",
                origin.address(),
                origin.address()
            ),
        );
        let status = |fields: &str| proxy.client("fe").get("/new", fields).status;
        assert_eq!((status(""), status("x-admin: 1\r\n")), (204, 200));
        assert_eq!(proxy.admin("publish backend new"), "Backend published.\n\n");
        assert_eq!((status(""), status("x-admin: 1\r\n")), (200, 200));
        assert_eq!(proxy.admin("unpublish backend new"), "Backend unpublished.\n\n");
        assert_eq!(status(""), 204);
        assert_eq!(proxy.client("raw").get("/", "").text(), "one");
        assert_eq!(proxy.admin("unpublish backend tcp"), "Backend unpublished.\n\n");
        assert!(proxy.client("raw").try_get("/", "").is_err(), "no backend is left for it");
        assert_eq!(proxy.stat("tcp", "BACKEND", "stot"), "1");
    });
}
