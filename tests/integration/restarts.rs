//! Restarts under load: what a process leaves behind, and what the next one finds.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::thread::JoinHandle;

use crate::support::programs::program;
use crate::support::*;

/// Clients that make a connection for each request, until they are told to end.
struct Crowd {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn start(address: SocketAddr, clients: usize) -> Crowd {
        let (over, answered, lost) = (Arc::default(), Arc::default(), Arc::default());
        let mut crowd = Crowd { over, answered, lost, threads: Vec::new() };
        for _ in 0..clients {
            let (over, answered, lost) = (crowd.over.clone(), crowd.answered.clone(), crowd.lost.clone());
            crowd.threads.push(std::thread::spawn(move || {
                while !over.load(Relaxed) {
                    let counter = if ask(address) { &answered } else { &lost };
                    counter.fetch_add(1, Relaxed);
                }
            }));
        }
        crowd
    }

    /// Waits for so many more answers.
    fn answers(&self, count: u32) -> bool {
        let goal = self.answered.load(Relaxed) + count;
        wait_until(LIMIT, || self.answered.load(Relaxed) >= goal)
    }

    /// Ends them: answered and lost requests.
    fn end(self) -> (u32, u32) {
        self.over.store(true, Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.answered.load(Relaxed), self.lost.load(Relaxed))
    }
}

/// One request on a connection of its own; false if no answer came.
fn ask(address: SocketAddr) -> bool {
    use std::io::{Read, Write};
    let ask = || -> std::io::Result<bool> {
        let mut stream = std::net::TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}

fn config(address: SocketAddr) -> String {
    format!(
        "global\n    nbthread 2\n{HTTP_DEFAULTS}\nlisten fe\n    bind {address}\n    http-request return status 200 content-type text/plain string ok\n"
    )
}

/// Ends a process in some way and starts the next one at once, again and again.
fn restart(driver: Driver, signal: i32) {
    let address = SocketAddr::new(own_address(), 8080);
    let mut proxy = Proxy::start(driver, &config(address));
    let crowd = Crowd::start(address, 4);
    for round in 0..12 {
        assert!(crowd.answers(20), "round {round} serves");
        proxy.signal(signal);
        proxy.wait_exit(LIMIT);
        // The process has ended: no connection is accepted any more, and the port is free at once.
        let refused = Client::try_connect(address).is_err();
        assert!(refused, "round {round}: a socket outlives its process");
        proxy = Proxy::start(driver, &config(address));
    }
    crowd.end();
}

#[test]
fn a_process_that_ends_leaves_no_socket_and_no_port_behind() {
    for signal in [libc::SIGTERM, libc::SIGUSR1, libc::SIGINT, libc::SIGKILL] {
        both_drivers(|driver| restart(driver, signal));
    }
}

/// Starts the next process with `-sf` or `-st` of the one before.
fn next(old: &Proxy, driver: Driver, flag: &str, config: &str) -> Result<Proxy, String> {
    let builder = Proxy::build(driver).folder(old.folder());
    builder.argument(flag).argument(&old.pid().to_string()).try_start(config)
}

#[test]
fn a_hand_over_loses_no_request() {
    both_drivers(|driver| {
        let address = SocketAddr::new(own_address(), 8080);
        let mut proxy = Proxy::start(driver, &config(address));
        let crowd = Crowd::start(address, 4);
        for round in 0..12 {
            assert!(crowd.answers(50), "round {round} serves");
            let new = next(&proxy, driver, "-sf", &config(address)).unwrap();
            assert_eq!(proxy.wait_exit(LIMIT), Some(0), "round {round}: the old process finishes");
            proxy = new;
        }
        assert!(crowd.answers(50));
        let (answered, lost) = crowd.end();
        // The kernel may be in the middle of a handshake when a socket closes: one in thousands.
        assert!(lost * 500 <= answered, "{lost} lost of {answered}");
    });
}

#[test]
fn a_hand_over_takes_the_runtime_api_along() {
    both_drivers(|driver| {
        let address = own_address();
        let api = SocketAddr::new(address, 9999);
        let config =
            format!("global\n    stats socket {api} level admin\n{}", config(SocketAddr::new(address, 8080)));
        let mut old = Proxy::start(driver, &config);
        let new = next(&old, driver, "-sf", &config).unwrap();
        assert_eq!(old.wait_exit(LIMIT), Some(0));
        let pid = format!("Pid: {}\n", new.pid());
        assert!(new.admin("show info").contains(&pid), "the path leads to the new process");
        for _ in 0..10 {
            let mut client = Client::connect(api);
            client.send("show info\n");
            assert!(String::from_utf8_lossy(&client.read_to_end()).contains(&pid), "so does the port");
        }
        let names = std::fs::read_dir(new.folder().path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(names.iter().all(|name| !name.ends_with(".bak") && !name.ends_with(".tmp")), "{names:?}");
    });
}

#[test]
fn a_hard_hand_over_cuts_what_the_old_process_has() {
    both_drivers(|driver| {
        let address = SocketAddr::new(own_address(), 8080);
        let mut old = Proxy::start(driver, &config(address));
        let mut idle = Client::connect(address);
        assert_eq!(idle.get("/", "").status, 200);
        let _new = next(&old, driver, "-st", &config(address)).unwrap();
        assert_eq!(old.wait_exit(LIMIT), Some(0));
        assert!(idle.is_closed_within(LIMIT));
        assert!(ask(address));
    });
}

#[test]
fn a_start_that_fails_leaves_the_old_process_untouched() {
    both_drivers(|driver| {
        let address = own_address();
        let good = SocketAddr::new(address, 8080);
        let mut old = Proxy::start(driver, &config(good));
        // A listener that does not share its port.
        let stranger = TcpListener::bind((address, 8081)).unwrap();
        let crowd = Crowd::start(good, 2);
        for wrong in ["bind @dir@/no/such/folder/s.sock", "bind 192.0.2.1:80", "bind @taken@"] {
            let wrong = wrong.replace("@taken@", &stranger.local_addr().unwrap().to_string());
            let config = format!("{}\nlisten wrong\n    {wrong}\n", config(good));
            let said = next(&old, driver, "-sf", &config).map(|_| ()).unwrap_err();
            assert!(said.contains("cannot bind socket ("), "{said}");
            assert!(
                !said.contains("Fatal errors found in configuration"),
                "the configuration is right: {said}"
            );
            assert!(crowd.answers(50), "the old process serves after: {wrong}");
            assert!(old.is_running());
            assert!(old.admin("show info").contains(&format!("Pid: {}\n", old.pid())), "{wrong}");
        }
        crowd.end();
    });
}

#[test]
fn the_threads_may_share_a_socket() {
    both_drivers(|driver| {
        let address = SocketAddr::new(own_address(), 8080);
        let config = config(address).replace("nbthread 2", "nbthread 2\n    noreuseport");
        let mut proxy = Proxy::start(driver, &config);
        let crowd = Crowd::start(address, 4);
        for _ in 0..3 {
            assert!(crowd.answers(50));
            let new = next(&proxy, driver, "-sf", &config).unwrap();
            assert_eq!(proxy.wait_exit(LIMIT), Some(0), "{}", proxy.stderr());
            proxy = new;
        }
        assert!(crowd.answers(50));
        crowd.end();
    });
}

#[test]
fn addresses_that_overlap_within_a_file_are_served() {
    both_drivers(|driver| {
        let free = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let specific = SocketAddr::new(own_address(), port);
        let config = format!(
            "{HTTP_DEFAULTS}\nfrontend all\n    bind :{port}\n    http-request return status 200 content-type text/plain string all\n\
             frontend one\n    bind {specific}\n    bind {specific}\n    http-request return status 200 content-type text/plain string one\n"
        );
        let proxy = Proxy::start(driver, &config);
        assert_eq!(Client::connect(specific).get("/", "").text(), "one");
        let other = SocketAddr::new(own_address(), port);
        assert_eq!(Client::connect(other).get("/", "").text(), "all");
        drop(proxy);
    });
}

#[test]
fn a_port_taken_by_a_stranger_is_told_with_its_line() {
    let stranger = TcpListener::bind((own_address(), 8080)).unwrap();
    let address = stranger.local_addr().unwrap();
    let said = Proxy::build(Driver::Epoll).try_start(&config(address)).map(|_| ()).unwrap_err();
    let expected = format!("] for frontend fe: cannot bind socket (Address already in use) for [{address}]");
    assert!(said.contains("Binding [") && said.contains(&expected.replace("frontend", "proxy")), "{said}");
    assert!(said.contains("Some protocols failed to start their listeners"), "{said}");
}

#[test]
fn a_paused_frontend_gives_its_port_up_until_it_resumes() {
    both_drivers(|driver| {
        let address = SocketAddr::new(own_address(), 8080);
        let proxy = Proxy::start(driver, &config(address));
        let mut kept = Client::connect(address);
        assert_eq!(kept.get("/", "").status, 200);
        for by_signal in [false, true] {
            match by_signal {
                false => drop(proxy.admin("disable frontend fe")),
                true => proxy.signal(libc::SIGTTOU),
            }
            assert!(wait_until(LIMIT, || Client::try_connect(address).is_err()), "clients are refused");
            // It does not listen: a process that another test starts holds a copy of it until its exec, and a
            // copy that listens would keep the proxy from listening again.
            let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            other.set_reuse_address(true).unwrap();
            assert!(wait_until(LIMIT, || other.bind(&address.into()).is_ok()), "the port is free");
            drop(other);
            assert_eq!(kept.get("/", "").status, 200, "a connected client goes on");
            match by_signal {
                false => drop(proxy.admin("enable frontend fe")),
                true => proxy.signal(libc::SIGTTIN),
            }
            assert!(wait_until(LIMIT, || ask(address)), "it listens again");
        }
        proxy.admin("shutdown frontend fe");
        assert!(wait_until(LIMIT, || TcpListener::bind(address).is_ok()), "the port is free for good");
    });
}

#[test]
fn a_listener_of_one_thread_keeps_its_connections() {
    both_drivers(|driver| {
        let address = own_address();
        let (one, all) = (SocketAddr::new(address, 8080), SocketAddr::new(address, 8081));
        let answer = "http-request return status 200 content-type text/plain string";
        let proxy = Proxy::start(
            driver,
            &format!(
                "global\n    nbthread 2\n{HTTP_DEFAULTS}\nfrontend one\n    bind {one} thread 2\n    {answer} one\n\
                 frontend all\n    bind {all}\n    {answer} all\n"
            ),
        );
        // More than a core may be ahead of the others before it gives connections away.
        let mut clients: Vec<_> = (0..30).map(|_| Client::connect(one)).collect();
        assert!(clients.iter_mut().all(|client| client.get("/", "").text() == "one"));
        let mut clients: Vec<_> = (0..30).map(|_| Client::connect(all)).collect();
        assert!(clients.iter_mut().all(|client| client.get("/", "").text() == "all"));
        drop(proxy);
    });
}

/// The stats socket that gives the listening sockets away.
fn giving(config: &str) -> String {
    format!("global\n    stats socket @dir@/give.sock level admin expose-fd listeners\n{config}")
}

/// Starts the next process with the sockets of the one that answers at `give`, which is told to finish.
fn take(give: &str, pid: u32, driver: Driver, folder: &std::sync::Arc<Folder>, config: &str) -> Proxy {
    let builder = Proxy::build(driver).folder(folder);
    builder.argument("-x").argument(give).argument("-sf").argument(&pid.to_string()).start(config)
}

#[test]
fn sockets_that_are_handed_over_lose_no_request() {
    both_drivers(|driver| {
        let address = SocketAddr::new(own_address(), 8080);
        let threads =
            |count: u32| giving(&config(address).replace("nbthread 2", &format!("nbthread {count}")));
        let mut proxy = Proxy::start(driver, &threads(2));
        let crowd = Crowd::start(address, 4);
        // More threads than sockets, and fewer.
        for count in [1, 3, 2, 2] {
            assert!(crowd.answers(50), "before {count} threads");
            let give = format!("{}/give.sock", proxy.folder().path().display());
            let new = take(&give, proxy.pid(), driver, proxy.folder(), &threads(count));
            assert_eq!(proxy.wait_exit(LIMIT), Some(0), "the old process finishes");
            proxy = new;
        }
        assert!(crowd.answers(50));
        let (answered, lost) = crowd.end();
        assert_eq!(lost, 0, "of {answered}");
        // They are this process's own now: the port is free behind its end.
        proxy.signal(libc::SIGUSR1);
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
        assert!(Client::try_connect(address).is_err());
    });
}

#[test]
fn sockets_of_every_kind_are_handed_over() {
    both_drivers(|driver| {
        let address = own_address();
        let (plain, six) = (SocketAddr::new(address, 8080), "[::1]:0");
        let six = TcpListener::bind(six).and_then(|free| free.local_addr()).unwrap();
        let name = format!("haring-{}-{}", std::process::id(), six.port());
        let config = giving(&format!(
            "global\n    nbthread 2\n    noreuseport\n{HTTP_DEFAULTS}\nfrontend fe\n    bind {plain}\n    bind {six} v6only\n    \
             bind abns@{name} accept-proxy\n    bind @dir@/path.sock\n    \
             http-request return status 200 content-type text/plain lf-string %[pid]\n\
             listen through\n    bind @through@\n    server s abns@{name} send-proxy\n"
        ));
        let mut old = Proxy::start(driver, &config);
        let give = format!("{}/give.sock", old.folder().path().display());
        let new = take(&give, old.pid(), driver, old.folder(), &config);
        assert_eq!(old.wait_exit(LIMIT), Some(0));
        for place in [plain, six, new.address("through")] {
            assert_eq!(Client::connect(place).get("/", "").text(), new.pid().to_string(), "{place}");
        }
    });
}

/// A program that ends with the test, however the test ends.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sockets_are_taken_from_haproxy_and_given_to_it() {
    let Some(mut haproxy) = program("haproxy") else { return };
    let address = SocketAddr::new(own_address(), 8080);
    let folder = std::sync::Arc::new(Folder::new());
    let place = folder.path().display().to_string();
    let text = giving(&config(address)).replace("@dir@", &place).replace("give.sock", "haproxy.sock");
    let file = folder.write("haproxy.cfg", &text);
    let run = |command: &mut std::process::Command| {
        let null = std::process::Stdio::null;
        Killed(command.stdin(null()).stdout(null()).stderr(null()).spawn().expect("HAProxy starts"))
    };
    let mut first = run(haproxy.args(["-db", "-f", &file]));
    assert!(wait_until(LIMIT, || ask(address)));
    let crowd = Crowd::start(address, 4);
    assert!(crowd.answers(50));
    let from_haproxy = format!("{place}/haproxy.sock");
    let mut proxy = take(&from_haproxy, first.0.id(), Driver::IoUring, &folder, &giving(&config(address)));
    assert!(wait_until(LIMIT, || first.0.try_wait().unwrap().is_some()), "HAProxy finishes");
    assert!(crowd.answers(50));
    let give = format!("{place}/give.sock");
    let last = run(program("haproxy")
        .unwrap()
        .args(["-db", "-f", &file, "-x", &give])
        .args(["-sf", &proxy.pid().to_string()]));
    assert_eq!(proxy.wait_exit(LIMIT), Some(0), "this program finishes");
    assert!(crowd.answers(50));
    let (answered, lost) = crowd.end();
    drop(last);
    assert_eq!(lost, 0, "of {answered}");
}

#[test]
fn sockets_that_are_not_given_are_an_error_that_says_why() {
    let address = SocketAddr::new(own_address(), 8080);
    let mut old = Proxy::start(Driver::IoUring, &config(address));
    let own = old.admin_path().display().to_string();
    let log = std::os::unix::net::UnixListener::bind(old.folder().path().join("silent.sock")).unwrap();
    let silent = log.local_addr().unwrap().as_pathname().unwrap().display().to_string();
    for (path, reason) in [
        (own.as_str(), "'expose-fd listeners' is missing there"),
        ("/no/such.sock", "cannot connect"),
        (silent.as_str(), "no listening sockets came"),
    ] {
        let builder = Proxy::build(Driver::IoUring).argument("-x").argument(path);
        let said = builder.try_start(&config(address)).map(|_| ()).unwrap_err();
        assert!(said.contains(&format!("-x {path}: ")) && said.contains(reason), "{said}");
        assert!(ask(address) && old.is_running(), "the old process serves");
    }
}
