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
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(3), "{took:?}");
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
        proxy.signal(libc::SIGHUP);
        assert!(wait_until(LIMIT, || proxy.stderr().contains("s1")), "{}", proxy.stderr());
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
    });
}
