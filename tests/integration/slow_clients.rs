//! Clients that are slow on purpose: heads that trickle, bodies that stop, answers that are not read. They
//! are cut in time, others are served meanwhile, and nothing of them stays.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::programs::{output, program};
use crate::support::*;

/// Attackers of each kind.
const COUNT: usize = 60;

fn resident_kib(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its size");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Descriptors of the process, but for pipes: each thread keeps some for the next body that it splices.
fn descriptors(proxy: &Proxy) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("it runs");
    let is_pipe = |path: std::path::PathBuf| path.to_string_lossy().starts_with("pipe:");
    open.flatten().filter(|entry| !std::fs::read_link(entry.path()).is_ok_and(is_pipe)).count()
}

fn connect(proxy: &Proxy, first: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address("fe")).expect("it accepts");
    stream.write_all(first.as_bytes()).expect("it takes the first bytes");
    stream.set_nonblocking(true).expect("a mode");
    stream
}

/// Whether the other side has closed (what it said before is thrown away).
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn slow_clients_are_cut_and_others_served() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| match request.path() {
            "/large" => Reply::ok(vec![b'x'; 6_000_000]),
            _ => Reply::ok("ok"),
        });
        for head_limit in ["timeout http-request 600ms", ""] {
            let proxy = Proxy::start(
                driver,
                &format!(
                    "global\n    nbthread 2\n{HTTP_DEFAULTS}\nfrontend patient\n    bind @patient@\n    default_backend be\n\
                     listen be\n    timeout client 700ms\n    {head_limit}\n    bind @fe@\n    \
                     server s1 {} pool-max-conn 0\n",
                    origin.address()
                ),
            );
            let current = || proxy.stat("be", "FRONTEND", "scur").parse::<usize>().expect("a number");
            assert_eq!(proxy.client("fe").get("/large", "").status, 200);
            assert!(wait_until(LIMIT, || current() == 0));
            let (open, memory) = (descriptors(&proxy), resident_kib(&proxy));
            let mut trickling: Vec<_> =
                (0..COUNT).map(|_| connect(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n")).collect();
            let mut stopped: Vec<_> = (0..COUNT)
                .map(|_| connect(&proxy, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun"))
                .collect();
            let deaf: Vec<_> =
                (0..COUNT).map(|_| connect(&proxy, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
            let started = Instant::now();
            let mut served = 0;
            // The others' short time-outs do not concern these clients, however busy the machine is.
            let mut client = proxy.client("patient");
            while !(trickling.is_empty() && stopped.is_empty() && current() == 0) {
                assert!(started.elapsed() < LIMIT, "{} still there {head_limit:?}", current());
                // A field of the head now and then: never silent for as long as `timeout client`.
                trickling.retain_mut(|stream| !is_closed(stream) && stream.write_all(b"X-a: b\r\n").is_ok());
                stopped.retain_mut(|stream| !is_closed(stream));
                assert_eq!(client.get("/", "").status, 200);
                served += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(served >= 5, "{served} served beside them");
            drop((client, deaf));
            assert!(wait_until(LIMIT, || current() == 0 && descriptors(&proxy) <= open), "{open} before");
            let grown = resident_kib(&proxy).saturating_sub(memory);
            assert!(grown < 8 * 1024, "{grown} KiB more than before");
        }
    });
}

#[test]
fn a_frontend_without_time_outs_has_safe_ones() {
    let origin = Origin::named("a");
    let listen = |lines: &str| {
        let config =
            format!("listen be\n    mode http\n    bind @fe@\n{lines}    server s1 {}\n", origin.address());
        let proxy = Proxy::start(Driver::Epoll, &config);
        let mut client = proxy.client("fe");
        client.read_limit(Duration::from_secs(60));
        client.send("GET / HTTP/1.1\r\n");
        (proxy, client)
    };
    let started = Instant::now();
    let (proxy, mut client) = listen("");
    proxy.wait_stderr(&["'timeout http-request 10s'"]);
    let (_asked_for, mut patient) = listen("    timeout client 0\n    timeout http-request 0\n");
    assert_eq!(client.response().status, 408);
    assert!(started.elapsed() >= Duration::from_secs(10));
    // A proxy that asks for no limit gets none.
    patient.send("Host: a\r\n\r\n");
    assert_eq!(patient.response().status, 200);
}

/// slowhttptest in its three forms at once: slow heads, slow bodies, answers that are read slowly.
#[test]
fn slowhttptest_keeps_nobody_from_being_served() {
    both_drivers(|driver| {
        if program("slowhttptest").is_none() {
            return;
        }
        let origin = Origin::http(|request| match request.path() {
            "/large" => Reply::ok(vec![b'x'; 2_000_000]),
            _ => Reply::ok("ok"),
        });
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    nbthread 2\n{HTTP_DEFAULTS}\nlisten fe\n    timeout client 2s\n    timeout http-request 1s\n    \
                 bind @fe@\n    server s1 {} pool-max-conn 0\nlisten others\n    bind @others@\n    server s1 {}\n",
                origin.address(),
                origin.address()
            ),
        );
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
        let current = || proxy.stat("fe", "FRONTEND", "scur").parse::<usize>().expect("a number");
        assert!(wait_until(LIMIT, || current() == 0));
        let open = descriptors(&proxy);
        let forms: [(&str, &[&str]); 3] = [
            ("/", &["-H", "-i", "1", "-x", "8"]),
            ("/", &["-B", "-i", "1", "-s", "4096", "-t", "POST"]),
            ("/large", &["-X", "-w", "64", "-y", "128", "-n", "1", "-z", "16"]),
        ];
        let attacks: Vec<_> = forms
            .iter()
            .map(|(path, form)| {
                let mut command = program("slowhttptest").expect("it was there");
                command.args(*form).args(["-c", "100", "-r", "100", "-l", "5", "-p", "3", "-u"]);
                command.arg(proxy.url("fe", path));
                std::thread::spawn(move || output(&mut command))
            })
            .collect();
        let mut served = 0;
        let mut most = 0;
        let mut client = proxy.client("others");
        while attacks.iter().any(|attack| !attack.is_finished()) {
            assert_eq!(client.get("/", "").status, 200);
            served += 1;
            most = most.max(current());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(served >= 20, "{served} served beside the attacks");
        assert!(most >= 100, "only {most} attackers were seen at a time");
        for (attack, (_, form)) in attacks.into_iter().zip(forms) {
            let told = attack.join().expect("it ran");
            assert!(told.contains("Exit status"), "{form:?}: {told}");
        }
        drop(client);
        assert!(wait_until(LIMIT, || current() == 0), "{} still there", current());
        assert!(
            wait_until(LIMIT, || descriptors(&proxy) <= open + 2),
            "{} were open, {open} before",
            descriptors(&proxy)
        );
    });
}
