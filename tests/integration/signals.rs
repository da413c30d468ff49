//! Signals: at once, softly, and to ask.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::support::*;

/// A door that requests wait at.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let _open = self.0.1.wait_timeout_while(open, LIMIT, |open| !*open).unwrap();
    }
}

fn slow_origin(door: &Door) -> Origin {
    let door = door.clone();
    Origin::http(move |request| {
        if request.path() == "/slow" {
            door.pass();
        }
        Reply::ok(request.path())
    })
}

fn start(driver: Driver, origin: &Origin) -> Proxy {
    Proxy::start(
        driver,
        &format!("{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n", origin.address()),
    )
}

#[test]
fn sigterm_ends_at_once() {
    both_drivers(|driver| {
        let door = Door::default();
        let origin = slow_origin(&door);
        let mut proxy = start(driver, &origin);
        let mut client = proxy.client("fe");
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || origin.requests() == 1));
        proxy.signal(libc::SIGTERM);
        assert_eq!(proxy.wait_exit(LIMIT), Some(0), "the request is not waited for");
        assert!(client.read_to_end().is_empty());
        door.open();
    });
}

#[test]
fn sigusr1_lets_requests_finish() {
    both_drivers(|driver| {
        let door = Door::default();
        let origin = slow_origin(&door);
        let mut proxy = start(driver, &origin);
        let address = proxy.address("fe");
        let mut idle = proxy.client("fe");
        assert_eq!(idle.get("/idle", "").status, 200);
        let mut busy = proxy.client("fe");
        busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || origin.requests() == 2));
        proxy.signal(libc::SIGUSR1);
        assert!(idle.is_closed_within(LIMIT), "an idle connection is closed");
        let refused = wait_until(LIMIT, || Client::try_connect(address).is_err());
        assert!(refused, "new connections are refused");
        assert!(proxy.is_running(), "it waits for the request");
        door.open();
        let response = busy.response();
        assert_eq!((response.status, response.text().as_str()), (200, "/slow"));
        assert!(busy.is_closed_within(LIMIT));
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
    });
}

#[test]
fn close_spread_time_leaves_clients_their_connections_until_their_turn() {
    for (spread, stays) in [("infinite", true), ("20d", true), ("40ms", false), ("0", false)] {
        both_drivers(|driver| {
            let origin = Origin::named("one");
            let mut proxy = Proxy::start(
                driver,
                &format!(
                    "global\n    close-spread-time {spread}\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n",
                    origin.address()
                ),
            );
            let address = proxy.address("fe");
            let mut clients: Vec<_> = (0..8).map(|_| proxy.client("fe")).collect();
            clients.iter_mut().for_each(|client| assert_eq!(client.get("/", "").status, 200));
            proxy.signal(libc::SIGUSR1);
            assert!(wait_until(LIMIT, || Client::try_connect(address).is_err()));
            for client in &mut clients {
                if stays {
                    assert_eq!(client.get("/", "").header("connection"), None, "{spread}");
                    assert_eq!(client.get("/", "").status, 200, "{spread}");
                } else {
                    assert!(client.is_closed_within(LIMIT), "{spread}");
                }
            }
            drop(clients);
            assert_eq!(proxy.wait_exit(LIMIT), Some(0));
        });
    }
}

#[test]
fn a_port_of_its_own_is_free_during_the_soft_stop() {
    both_drivers(|driver| {
        let door = Door::default();
        let origin = slow_origin(&door);
        let address = std::net::SocketAddr::new(own_address(), 8080);
        let config = |origin: &Origin| {
            format!("{HTTP_DEFAULTS}\nlisten be\n    bind {address}\n    server s1 {}\n", origin.address())
        };
        let mut old = Proxy::start(driver, &config(&origin));
        let mut busy = Client::connect(address);
        busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || origin.requests() == 1));
        old.signal(libc::SIGUSR1);
        assert!(wait_until(LIMIT, || Client::try_connect(address).is_err()), "the port is given up");
        // The next process takes it while the old one still works.
        let next_origin = Origin::named("next");
        let _next = Proxy::start(driver, &config(&next_origin));
        for _ in 0..20 {
            assert_eq!(Client::connect(address).get("/", "").text(), "next");
        }
        assert!(old.is_running());
        door.open();
        assert_eq!(busy.response().text(), "/slow");
        assert_eq!(old.wait_exit(LIMIT), Some(0));
    });
}

#[test]
fn sigusr1_without_work_ends_it() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let mut proxy = start(driver, &origin);
        proxy.signal(libc::SIGUSR1);
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
    });
}

#[test]
fn hard_stop_after_bounds_the_soft_stop() {
    both_drivers(|driver| {
        let door = Door::default();
        let origin = slow_origin(&door);
        let mut proxy = Proxy::start(
            driver,
            &format!(
                "global\n    hard-stop-after 300ms\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n",
                origin.address()
            ),
        );
        let mut client = proxy.client("fe");
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || origin.requests() == 1));
        let begun = Instant::now();
        proxy.signal(libc::SIGUSR1);
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
        assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
        door.open();
    });
}

#[test]
fn a_pid_file_names_the_process() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let builder = Proxy::build(driver);
        let pidfile = builder.path("pid");
        let proxy = builder.argument("-W").argument("-p").argument(&pidfile).start(&format!(
            "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n",
            origin.address()
        ));
        assert_eq!(std::fs::read_to_string(&pidfile).unwrap().trim(), proxy.pid().to_string());
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
    });
}

#[test]
fn sighup_tells_the_servers() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let proxy = start(driver, &origin);
        // The connection that looked whether it serves may be there still.
        assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"));
        proxy.signal(libc::SIGHUP);
        for part in [
            "SIGHUP received, dumping servers states.\n",
            " : SIGHUP: Server be/s1 is UP. Conn: 0 act, 0 pend, 0 tot.\n",
            " : SIGHUP: Proxy be has 1 active servers and 0 backup servers available. Conn: act(FE+BE): 0+0, 0 pend (0 unass), tot(FE+BE): 0+0.\n",
        ] {
            assert!(wait_until(LIMIT, || proxy.stderr().contains(part)), "{}", proxy.stderr());
        }
        proxy.wait_stderr(&["[WARNING]  ("]);
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
    });
}

#[test]
fn sigquit_gives_memory_back_and_sigalrm_does_nothing() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let mut proxy = start(driver, &origin);
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/", "").status, 200);
        proxy.signal(libc::SIGALRM);
        proxy.signal(libc::SIGQUIT);
        assert!(wait_until(LIMIT, || proxy.stderr().contains("SIGQUIT")), "{}", proxy.stderr());
        assert_eq!(client.get("/", "").status, 200, "who is connected goes on");
        assert!(proxy.is_running());
    });
}

#[test]
fn a_paused_process_ends_by_its_signals_too() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        for signal in [libc::SIGTERM, libc::SIGUSR1] {
            let mut proxy = start(driver, &origin);
            proxy.signal(libc::SIGTTOU);
            assert!(wait_until(LIMIT, || proxy.stderr().contains("Paused proxy be.")), "{}", proxy.stderr());
            proxy.signal(signal);
            assert_eq!(proxy.wait_exit(LIMIT), Some(0));
        }
    });
}

#[test]
fn what_nobody_reads_on_standard_error_stops_nothing() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let config = format!(
            "global\n    nbthread 1\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n    server s2 {}\n",
            origin.address(),
            origin.address()
        );
        let mut proxy = Proxy::build(driver).stderr_unread().start(&config);
        // More than a pipe holds, several times over.
        let flap = "set server be/s2 state maint; set server be/s2 state ready; ".repeat(40);
        for _ in 0..60 {
            proxy.admin(&flap);
            proxy.signal(libc::SIGHUP);
        }
        for _ in 0..3 {
            assert_eq!(proxy.admin("expert-mode on; debug dev panic request").trim(), "");
            assert!(proxy.client("fe").try_get("/", "").is_err(), "a panic costs one connection");
            assert_eq!(proxy.client("fe").get("/", "").status, 200, "and not its thread");
        }
        assert!(proxy.admin("show info").contains("Pid: "));
        proxy.signal(libc::SIGTERM);
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
    });
}

#[test]
fn variables_of_the_configuration_are_the_processs_own() {
    both_drivers(|driver| {
        let proxy = Proxy::build(driver).environment("GIVEN", "from outside").environment("TAKEN", "x").start(&format!(
            "global\n    setenv APPX v\n    presetenv APPY w\n    presetenv GIVEN no\n    unsetenv TAKEN\n{HTTP_DEFAULTS}\n\
             frontend fe\n    bind @fe@\n    http-request return status 200 content-type text/plain lf-string \
             \"%[env(APPX)] %[env(APPY)] %[env(GIVEN)] [%[env(TAKEN)]] %[env(HAPROXY_BRANCH)]\"\n"
        ));
        assert_eq!(proxy.client("fe").get("/", "").text(), "v w from outside [] 3.5");
        assert_eq!(proxy.admin("show env APPX").trim(), "APPX=v");
        assert!(proxy.admin("show env TAKEN").contains("Variable not found"));
        let all = proxy.admin("show env");
        for name in
            ["HAPROXY_BRANCH=3.5\n", "HAPROXY_CFGFILES=/", "HAPROXY_CLI=unix@/", "HAPROXY_TCP_LOG_FMT="]
        {
            assert!(all.contains(name), "{name} in {all}");
        }
    });
}

#[test]
fn what_was_said_at_the_start_is_kept_and_counted() {
    let builder = Proxy::build(Driver::Epoll);
    builder.write("list", "a\nb\nc\n");
    let proxy = builder.argument("-W").argument("-S").argument("/tmp/unused.sock").start(&format!(
        "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    http-request deny if {{ path -f @dir@/list }}\n"
    ));
    let said = proxy.admin("show startup-logs");
    assert!(said.contains("[WARNING]  (") && said.contains("-S: there is no master process"), "{said}");
    let field = |name: &str| -> u64 {
        let info = proxy.admin("show info");
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
        value.parse().unwrap()
    };
    let lines = said.lines().filter(|line| line.starts_with("[WARNING]")).count() as u64;
    assert_eq!(field("TotalWarnings"), lines, "{said}");
    assert!(field("PatternsAdded") >= 3);
    // Warnings at run time count too.
    proxy.signal(libc::SIGTTOU);
    assert!(wait_until(LIMIT, || field("TotalWarnings") == lines + 1));
}
