//! Too few descriptors: connections wait, accepted clients are served or refused with an answer, nothing spins, the
//! runtime API answers, and all is well once there are enough again.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::support::*;

/// Sets the process's limit on descriptors from outside, as prlimit(1) does.
fn limit_descriptors(proxy: &Proxy, count: u64) {
    let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
    let pid = i32::try_from(proxy.pid()).expect("a pid");
    // SAFETY: the pointer names a struct that lives for the call, and nothing is written back.
    let result = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "the limit is set");
    // The data threads read it once a second.
    std::thread::sleep(Duration::from_millis(1100));
}

/// Processor time of the process so far, in ticks of 10 ms.
fn ticks(proxy: &Proxy) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks")
}

fn descriptors(proxy: &Proxy) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("it runs").count()
}

fn start(driver: Driver, origin: &Origin) -> Proxy {
    Proxy::start(
        driver,
        &format!(
            "global\n    nbthread 2\n    maxconn 1000\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    retries 0\n    \
             server s1 {} pool-max-conn 0\n",
            origin.address()
        ),
    )
}

#[test]
fn connections_wait_for_descriptors_and_nothing_spins() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let proxy = start(driver, &origin);
        limit_descriptors(&proxy, 100);
        let mut first = proxy.client("fe");
        assert_eq!(first.get("/", "").status, 200);
        let waiting: Vec<_> = (0..150)
            .map(|_| TcpStream::connect(proxy.address("fe")).expect("a queue of the system's"))
            .collect();
        let told = || proxy.stderr().matches("cannot accept").count();
        assert!(wait_until(LIMIT, || told() > 0));
        // The last descriptors are left to others: servers for accepted clients, the runtime API.
        assert!(descriptors(&proxy) <= 75, "{} are open", descriptors(&proxy));
        let (busy, said) = (ticks(&proxy), told());
        std::thread::sleep(Duration::from_secs(2));
        assert!(ticks(&proxy) - busy <= 20, "{} ticks of 200", ticks(&proxy) - busy);
        assert!((1..=3).contains(&(told() - said)), "{} lines in 2 s", told() - said);
        assert!(proxy.admin("show info").contains("Ulimit-n"));
        for _ in 0..5 {
            assert_eq!(first.get("/", "").status, 200, "who is in is served");
        }
        drop(waiting);
        assert_eq!(proxy.client("fe").get("/", "").status, 200, "accepting goes on");
        assert!(wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "1"));
        drop(first);
    });
}

#[test]
fn no_descriptor_for_a_server_is_a_503_at_once() {
    both_drivers(|driver| {
        static OPEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
        *OPEN.0.lock().unwrap() = false;
        let origin = Origin::http(|_| {
            let (open, changed) = (&OPEN.0, &OPEN.1);
            let _ = changed.wait_timeout_while(open.lock().unwrap(), LIMIT, |open| !*open);
            Reply::ok("late")
        });
        let proxy = start(driver, &origin);
        limit_descriptors(&proxy, 100);
        // More than there are descriptors for both sides of, fewer than would stop accepting.
        let room = 100 - 32 - descriptors(&proxy) - 2;
        let mut clients: Vec<_> = (0..room).map(|_| proxy.client("fe")).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        let refused = || proxy.stat("be", "BACKEND", "hrsp_5xx").parse::<usize>().expect("a number");
        // Some may wait to be accepted: what asks for the numbers takes descriptors as well.
        let both = wait_until(LIMIT, || refused() > 0 && origin.requests() >= 16);
        assert!(both, "{} refused, {} served of {room}", refused(), origin.requests());
        assert!(proxy.admin("show info").contains("Ulimit-n"), "the runtime API has descriptors still");
        *OPEN.0.lock().unwrap() = true;
        OPEN.1.notify_all();
        let statuses: Vec<_> = clients.iter_mut().map(|client| client.response().status).collect();
        let served = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(served, origin.requests());
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
        drop(clients);
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "scur") == "0"));
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
    });
}

#[test]
fn a_process_without_memory_closes_the_newest_sessions_and_lives() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let mut proxy = Proxy::build(driver).address_space(140_000 << 10).start(&format!(
            "global\n    nbthread 1\n    maxconn 2000\n    tune.bufsize 65536\n{HTTP_DEFAULTS}listen be\n    bind @fe@\n    \
             option http-buffer-request\n    timeout http-request 1m\n    server s1 {}\n",
            origin.address()
        ));
        let mut first = proxy.client("fe");
        assert_eq!(first.get("/", "").status, 200);
        // Each holds a buffer, and together they are more than may be had.
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n";
        let text = [head.as_bytes(), &[b'x'; 2000]].concat();
        let mut clients = Vec::new();
        for _ in 0..900 {
            let mut client = TcpStream::connect(proxy.address("fe")).expect("a queue of the system's");
            let _ = client.write_all(&text);
            clients.push(client);
        }
        proxy.wait_stderr(&["the system gives no more memory"]);
        assert!(proxy.is_running());
        drop(clients);
        let left = || proxy.stat("be", "FRONTEND", "scur").parse::<u32>().expect("a number");
        assert!(wait_until(LIMIT, || left() <= 1), "{} sessions are left", left());
        // An echo of the shortage may close a session still, until the allocator has its pages back.
        let serves = || proxy.client("fe").try_get("/", "").is_ok_and(|response| response.status == 200);
        assert!(wait_until(LIMIT, serves), "it goes on");
    });
}
