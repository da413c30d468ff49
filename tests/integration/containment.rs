//! What fails inside the process costs as little as it can: a panic one connection, a ring nothing, a
//! thread the process with a word and a code that a supervisor understands.

use std::time::Duration;

use crate::support::*;

/// A server with one slot, so that a slot that is not given back is seen by the next request.
fn start(driver: Driver, mode: &str, origin: &Origin) -> Proxy {
    Proxy::start(
        driver,
        &format!(
            "global\n    nbthread 2\n{HTTP_DEFAULTS}    mode {mode}\n    timeout queue 5s\nlisten be\n    bind @fe@\n    \
             server s1 {} maxconn 1 pool-max-conn 0\n",
            origin.address()
        ),
    )
}

fn activity(proxy: &Proxy, name: &str) -> String {
    let text = proxy.admin("show activity");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no '{name}' in\n{text}")).to_owned()
}

fn expert(proxy: &Proxy, command: &str) -> String {
    proxy.admin(&format!("expert-mode on; {command}"))
}

/// Descriptors whose link in /proc begins so.
fn descriptors(proxy: &Proxy, kind: &str) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("it runs").flatten();
    let of_kind = entries.filter(|entry| {
        std::fs::read_link(entry.path()).is_ok_and(|link| link.to_string_lossy().starts_with(kind))
    });
    of_kind.map(|entry| entry.file_name().into_string().expect("a number")).collect()
}

#[test]
fn a_panic_costs_one_connection_and_gives_everything_back() {
    both_drivers(|driver| {
        for (mode, points) in [("http", &["request", "connect", "response"][..]), ("tcp", &["tunnel"])] {
            let origin = Origin::named("a");
            let proxy = start(driver, mode, &origin);
            let mut bystander = (mode == "http").then(|| proxy.client("fe"));
            if let Some(bystander) = &mut bystander {
                assert_eq!(bystander.get("/", "").status, 200);
            }
            let sockets = || descriptors(&proxy, "socket:").len();
            for (number, point) in points.iter().enumerate() {
                assert_eq!(expert(&proxy, &format!("debug dev panic {point}")).trim(), "", "{point}");
                let mut victim = proxy.client("fe");
                assert!(victim.try_get("/", "").is_err(), "{point}: it is cut off without an answer");
                let panics = (number + 1).to_string();
                assert!(wait_until(LIMIT, || activity(&proxy, "panics") == panics), "{point}");
                // Its slot, places and counts are free, and no other connection has noticed.
                for row in ["s1", "BACKEND"] {
                    assert!(wait_until(LIMIT, || proxy.stat("be", row, "scur") == "0"), "{point} {row}");
                    assert_eq!(proxy.stat("be", row, "qcur"), "0", "{point} {row}");
                }
                let kept = usize::from(bystander.is_some()).to_string();
                assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == kept), "{point}");
                let before = sockets();
                for _ in 0..3 {
                    assert_eq!(proxy.client("fe").get("/", "Connection: close\r\n").status, 200, "{point}");
                }
                assert!(wait_until(LIMIT, || sockets() <= before), "{point}: no socket is left behind");
                if let Some(bystander) = &mut bystander {
                    assert_eq!(bystander.get("/", "").status, 200, "{point}");
                }
            }
        }
    });
}

#[test]
fn a_panic_wakes_who_waits_for_its_slot() {
    both_drivers(|driver| {
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = std::sync::Mutex::new(gate);
        let origin = Origin::http(move |request| {
            if request.path() == "/first" {
                let _ = gate.lock().unwrap().recv_timeout(LIMIT);
            }
            Reply::ok("ok")
        });
        let proxy = start(driver, "http", &origin);
        let mut first = proxy.client("fe");
        first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || origin.requests() == 1));
        let mut second = proxy.client("fe");
        second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || proxy.stat("be", "BACKEND", "qcur") == "1"));
        expert(&proxy, "debug dev panic response");
        release.send(()).unwrap();
        assert!(first.try_response_to("GET").is_err());
        assert_eq!(second.response().status, 200);
        assert!(wait_until(LIMIT, || activity(&proxy, "panics") == "1"));
    });
}

#[test]
fn a_ring_that_fails_is_replaced_under_traffic() {
    if haring::net::driver::choose(haring::model::global::Driver::IoUring).is_err() {
        println!("-- io_uring is skipped: the kernel refuses it");
        return;
    }
    let origin = Origin::http(|request| match request.path() {
        "/big" => Reply::ok(vec![b'x'; 4_000_000]),
        _ => Reply::ok("small"),
    });
    let proxy = start(Driver::IoUring, "http", &origin);
    // Connections in every state: idle, in the middle of a head, in the middle of an answer.
    let mut idle = proxy.client("fe");
    assert_eq!(idle.get("/", "").status, 200);
    let mut head = proxy.client("fe");
    head.send("GET / HTTP/1.1\r\nHo");
    let mut reading = proxy.client("fe");
    reading.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    reading.read_exact(1000);
    let rings = descriptors(&proxy, "anon_inode:[io_uring]");
    assert_eq!(rings.len(), 2, "one for each data thread");
    for ring in &rings {
        assert!(expert(&proxy, &format!("debug dev close {ring}")).contains("leads nowhere"), "{ring}");
    }
    assert!(wait_until(LIMIT, || activity(&proxy, "rings_failed") == "2"), "{}", proxy.stderr());
    proxy.wait_stderr(&["epoll takes its place"]);
    assert!(proxy.admin("show info").contains("2 of 2 threads fell back to epoll"));
    assert_eq!(descriptors(&proxy, "anon_inode:[io_uring]").len(), 0);
    reading.read_exact(3_999_000);
    head.send("st: a\r\n\r\n");
    assert_eq!(head.response().status, 200);
    assert_eq!(idle.get("/", "").status, 200);
    for _ in 0..20 {
        assert_eq!(proxy.client("fe").get("/big", "Connection: close\r\n").body.len(), 4_000_000);
    }
    drop((idle, head, reading));
    assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0"));
}

#[test]
fn a_thread_that_dies_ends_the_process_with_a_word() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let mut proxy = start(driver, "http", &origin);
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
        expert(&proxy, "debug dev panic thread");
        assert_eq!(proxy.wait_exit(LIMIT), Some(1), "a process with a part of its threads must not go on");
        proxy.wait_stderr(&["data thread"]);
    });
}

#[test]
fn an_expert_ends_the_process_with_a_code() {
    let origin = Origin::named("a");
    let mut proxy = start(Driver::Epoll, "http", &origin);
    assert!(proxy.admin("debug dev exit 7").contains("expert"));
    assert!(proxy.is_running());
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| expert(&proxy, "debug dev exit 7")));
    assert_eq!(proxy.wait_exit(Duration::from_secs(5)), Some(7));
}
