//! Reloads in place: what is in progress ends as it began, what begins takes the new configuration, and a
//! configuration that is wrong changes nothing.

use std::io::{Read, Write};
use std::sync::{Condvar, Mutex};

use crate::support::*;

/// Puts another configuration in force.
fn change(proxy: &Proxy, config: &str) {
    proxy.rewrite(config);
    let (succeeded, said) = proxy.ask_reload();
    assert!(succeeded, "{said}");
}

/// A gate that requests wait at.
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    const fn new() -> Self {
        Gate(Mutex::new(false), Condvar::new())
    }
    fn set(&self, open: bool) {
        *self.0.lock().unwrap() = open;
        self.1.notify_all();
    }
    fn pass(&self) {
        let _ = self.1.wait_timeout_while(self.0.lock().unwrap(), LIMIT, |open| !*open);
    }
}

#[test]
fn a_kept_connection_takes_the_new_model_with_its_next_request() {
    both_drivers(|driver| {
        static GATE: Gate = Gate::new();
        GATE.set(false);
        let slow = Origin::http(|_| {
            GATE.pass();
            Reply::ok("slow")
        });
        let (one, two) = (Origin::named("one"), Origin::named("two"));
        let config = |front: &str, origin: &Origin| {
            format!(
                "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    http-response set-header x-model {front}\n    \
                 use_backend slow if {{ path /slow }}\n    default_backend app\n\
                 backend slow\n    server s1 {}\nbackend app\n    server s1 {}\n",
                slow.address(),
                origin.address()
            )
        };
        let proxy = Proxy::start(driver, &config("first", &one));
        let mut kept = proxy.client("fe");
        assert_eq!(kept.get("/", "").text(), "one");
        let mut waiting = proxy.client("fe");
        waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || slow.requests() == 1));
        // A backend before the others moves all places.
        let another = config("second", &two)
            .replace("frontend fe", "backend more\n    server s1 127.0.0.1:9\nfrontend fe");
        change(&proxy, &another);
        for _ in 0..3 {
            let answer = kept.get("/", "");
            assert_eq!((answer.text().as_str(), answer.header("x-model")), ("two", Some("second")));
        }
        GATE.set(true);
        let late = waiting.response();
        assert_eq!(
            (late.text().as_str(), late.header("x-model")),
            ("slow", Some("first")),
            "it ends as it began"
        );
        assert_eq!(waiting.get("/", "").header("x-model"), Some("second"));
        // Counters and the connections of clients live on.
        assert_eq!(proxy.stat("fe", "FRONTEND", "conn_tot"), "2");
        assert!(wait_until(LIMIT, || proxy.stat("app", "BACKEND", "stot") == "5"));
        assert!(wait_until(LIMIT, || proxy.stat("slow", "s1", "scur") == "0"));
        assert!(wait_until(LIMIT, || proxy.stat("app", "s1", "scur") == "0"));
    });
}

#[test]
fn tunnels_and_queued_requests_live_on() {
    both_drivers(|driver| {
        static GATE: Gate = Gate::new();
        GATE.set(false);
        let echo = || {
            Origin::raw(|mut stream, _, _| {
                let mut bytes = [0; 100];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
            })
        };
        let (old_echo, new_echo) = (echo(), echo());
        let gated = || {
            Origin::http(|_| {
                GATE.pass();
                Reply::ok("served")
            })
        };
        let (old, new) = (gated(), gated());
        let config = |echo: &Origin, servers: &str| {
            format!(
                "{HTTP_DEFAULTS}\n    timeout queue 20s\nlisten tunnel\n    mode tcp\n    bind @tunnel@\n    server s1 {}\n\
                 listen web\n    bind @web@\n    balance roundrobin\n{servers}",
                echo.address()
            )
        };
        let line =
            |name: &str, origin: &Origin| format!("    server {name} {} maxconn 1\n", origin.address());
        let proxy = Proxy::start(driver, &config(&old_echo, &line("s1", &old)));
        let mut tunnel = proxy.client("tunnel");
        tunnel.send("before");
        assert_eq!(tunnel.read_exact(6), b"before");
        let ask = || {
            let mut client = proxy.client("web");
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        };
        // One is served, two wait under the old model.
        let mut early: Vec<_> = (0..3).map(|_| ask()).collect();
        assert!(wait_until(LIMIT, || proxy.stat("web", "BACKEND", "qcur") == "2" && old.requests() == 1));
        // The server that they wait for is there under another name and another place.
        change(&proxy, &config(&new_echo, &(line("s2", &new) + &line("s1", &old))));
        tunnel.send("after");
        assert_eq!(tunnel.read_exact(5), b"after");
        assert_eq!((old_echo.connections(), new_echo.connections()), (1, 0));
        let mut fresh = proxy.client("tunnel");
        fresh.send("fresh");
        assert_eq!(fresh.read_exact(5), b"fresh");
        assert_eq!(new_echo.connections(), 1);
        // The new server has a place for what comes now, though others wait.
        let mut late: Vec<_> = (0..2).map(|_| ask()).collect();
        assert!(wait_until(LIMIT, || new.requests() == 1), "{}", proxy.admin("show stat"));
        GATE.set(true);
        for client in early.iter_mut().chain(&mut late) {
            assert_eq!(client.response().text(), "served");
        }
        assert!(old.requests() >= 3, "those from before know the old server alone: {}", old.requests());
        for server in ["s1", "s2"] {
            assert!(wait_until(LIMIT, || proxy.stat("web", server, "scur") == "0"), "{server}");
        }
        assert_eq!(proxy.stat("web", "BACKEND", "qcur"), "0");
        // A server that goes while requests wait for it serves them still.
        GATE.set(false);
        change(&proxy, &config(&new_echo, &line("s1", &old)));
        let mut early: Vec<_> = (0..3).map(|_| ask()).collect();
        assert!(wait_until(LIMIT, || proxy.stat("web", "BACKEND", "qcur") == "2"));
        change(&proxy, &config(&new_echo, &line("s3", &new)));
        GATE.set(true);
        for client in &mut early {
            assert_eq!(client.response().text(), "served");
        }
        assert_eq!(proxy.client("web").get("/", "").text(), "served");
    });
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut syslog = Syslog::start();
        let global = format!("global\n    log {} local0\n", syslog.address());
        let good = format!(
            "{global}{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    http-request set-header x %[path,map(@dir@/a.map,none)]\n    \
             server s1 {} weight 10\n",
            origin.address()
        );
        let builder = Proxy::build(driver).argument("-Ws");
        builder.write("a.map", "/a first\n");
        let proxy = builder.start(&good);
        proxy.admin("set server be/s1 weight 3");
        let state = || ["weight", "status", "addr", "sid", "slim"].map(|field| proxy.stat("be", "s1", field));
        let before = state();
        proxy.folder().write("a.map", "/a second\n");
        for (config, expected) in [
            (good.replace("weight 10", "weight 20\n    nonsense"), "unknown keyword 'nonsense'"),
            (
                good.replace("weight 10", &format!("weight 20\n    bind {}", taken.local_addr().unwrap())),
                "cannot bind socket (Address already in use)",
            ),
            (good.replace("weight 10", "weight 20\n    bind fd@999"), "inherited at the start only"),
            (
                global.clone() + HTTP_DEFAULTS + "\nbackend new\n    server s1 127.0.0.1:9 cookie\n",
                "'cookie'",
            ),
        ] {
            proxy.rewrite(&config);
            let (succeeded, said) = proxy.ask_reload();
            assert!(!succeeded && said.contains(expected), "{said}");
            assert!(said.contains("Reload failed: ") && said.contains("[ALERT] "), "{said}");
            let line = syslog.wait_for(&["Reload failed"]);
            assert!(line.starts_with("<129>"), "local0.alert: {line}");
            assert!(proxy.notified().expect("it begins").starts_with("RELOADING=1\nMONOTONIC_USEC="));
            let ended = proxy.notified().expect("and ends");
            assert!(ended.starts_with("READY=1\nSTATUS=Reload failed"), "{ended}");
            assert_eq!(state(), before);
            proxy.client("fe").get("/a", "");
            assert_eq!(origin.last().header("x"), Some("first"), "the map is the old one");
            assert!(!proxy.admin("show stat").contains("new,"));
        }
        proxy.rewrite(&good.replace("weight 10", "weight 20"));
        for signal in [libc::SIGUSR2, libc::SIGHUP] {
            proxy.signal(signal);
            assert!(proxy.notified().expect("it begins").starts_with("RELOADING=1"));
            assert_eq!(proxy.notified().expect("and ends"), "READY=1\nSTATUS=Ready.\n");
        }
        syslog.wait_for(&["Loading success."]);
        proxy.client("fe").get("/a", "");
        assert_eq!(origin.last().header("x"), Some("second"));
        assert_eq!(proxy.stat("be", "s1", "weight"), "20");
    });
}

#[test]
fn listeners_come_go_and_stay() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let added = programs::free_address();
        let config = |lines: &str, name: &str| {
            format!(
                "{HTTP_DEFAULTS}\nlisten {name}\n    bind @kept@\n{lines}    server s1 {}\n",
                origin.address()
            )
        };
        let proxy = Proxy::start(driver, &config("    bind @gone@\n", "be"));
        let mut at_gone = proxy.client("gone");
        assert_eq!(at_gone.get("/", "").status, 200);
        // Clients come all the time: none of them may notice.
        let address = proxy.address("kept");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let crowd = scope.spawn(|| {
                let mut served = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let mut client = Client::connect(address);
                    assert_eq!(client.get("/", "Connection: close\r\n").status, 200);
                    served += 1;
                }
                served
            });
            // An address that one reload gives up is wanted again by the next but one, at once.
            for _ in 0..10 {
                change(&proxy, &config(&format!("    bind {added}\n"), "be"));
                assert_eq!(Client::connect(added).get("/", "").status, 200);
                change(&proxy, &config("", "renamed"));
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(crowd.join().expect("every client is served") > 0);
        });
        assert!(wait_until(LIMIT, || Client::try_connect(added).is_err()));
        assert!(at_gone.is_closed_within(LIMIT), "its frontend is there no more");
        assert_eq!(proxy.client("kept").get("/", "").status, 200);
        let status = proxy.admin("show stat");
        assert!(status.contains("renamed,FRONTEND") && !status.contains("be,FRONTEND"), "{status}");
        assert!(
            wait_until(LIMIT, || proxy.admin("show info").contains("CurrConns: 0\n")),
            "all places came back"
        );
    });
}

#[test]
fn servers_keep_what_the_file_does_not_change() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let config = |first: &str, second: &str| {
            format!(
                "{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    balance roundrobin\n    stick-table type string size 10\n    \
                 http-request track-sc0 path\n    server s1 {address} {first}\n    server s2 {address} {second}\n",
                address = origin.address()
            )
        };
        let proxy = Proxy::start(driver, &config("weight 10", "disabled"));
        proxy.client("fe").get("/seen", "");
        proxy.admin("set server be/s1 weight 5");
        proxy.admin("disable server be/s1");
        assert_eq!(proxy.client("fe").get("/", "").status, 503);
        let requests = || proxy.stat("be", "FRONTEND", "req_tot");
        assert!(wait_until(LIMIT, || requests() == "2"));
        change(&proxy, &config("weight 10", ""));
        assert_eq!(requests(), "2", "counters go on");
        proxy.wait_status("be", "s2", "no check");
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
        proxy.wait_status("be", "s1", "MAINT");
        assert_eq!(proxy.stat("be", "s1", "weight"), "5", "changed at run time, and not in the file");
        assert!(proxy.admin("show table be").contains("key=/seen"), "{}", proxy.admin("show table be"));
        proxy.admin("enable server be/s1");
        // Checks come and go; what one brought down does not stay down without it.
        change(&proxy, &config("weight 10", "check port 1 inter 20ms fall 1"));
        proxy.wait_status("be", "s2", "DOWN");
        change(&proxy, &config("weight 10", ""));
        proxy.wait_status("be", "s2", "no check");
        change(&proxy, &config("weight 20", "disabled"));
        proxy.wait_status("be", "s2", "MAINT");
        assert_eq!(proxy.stat("be", "s1", "weight"), "20");
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
    });
}

#[test]
fn what_only_a_restart_changes_is_told() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let config = |global: &str| {
            format!(
                "global\n    {global}\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    server s1 {}\n",
                origin.address()
            )
        };
        let proxy = Proxy::start(driver, &config("nbthread 1"));
        proxy.rewrite(&config("nbthread 2"));
        let (succeeded, said) = proxy.ask_reload();
        assert!(
            succeeded && said.contains("'nbthread' has changed: that takes effect at the next restart"),
            "{said}"
        );
        assert!(proxy.admin("show startup-logs").contains("'nbthread' has changed"));
        assert_eq!(proxy.client("fe").get("/", "").status, 200);
        // No process of that number, or none that can be asked.
        let pid = std::process::id().to_string();
        let asked =
            std::process::Command::new(env!("CARGO_BIN_EXE_haring")).args(["reload", &pid]).output().unwrap();
        assert_eq!(asked.status.code(), Some(1));
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(said.contains(&format!("cannot ask process {pid} to reload: 'integration")), "{said}");
        assert!(
            said.contains("is running under that number, and it is no Haring that can be reloaded"),
            "{said}"
        );
        // The greatest number that Linux gives is 4,194,304.
        let asked =
            std::process::Command::new(env!("CARGO_BIN_EXE_haring")).args(["reload", "4194305"]).output();
        let said = String::from_utf8_lossy(&asked.unwrap().stderr).into_owned();
        assert!(said.contains("there is no such process"), "{said}");
    });
}

#[test]
fn a_process_without_rights_is_read_for() {
    // Only root can give up rights.
    if std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap_or(1) != 0
    {
        return;
    }
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let config = |value: &str| {
            format!(
                "global\n    chroot @dir@/jail\n    uid 65534\n    gid 65534\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    \
                 http-response set-header x-value {value}\n    http-response set-header x-map %[str(k),map(@dir@/a.map)]\n    \
                 server s1 {}\n",
                origin.address()
            )
        };
        let builder = Proxy::build(driver);
        std::fs::create_dir(builder.path("jail")).unwrap();
        builder.write("a.map", "k first\n");
        let proxy = builder.start(&config("first"));
        let get = || {
            let answer = proxy.client("fe").get("/", "");
            ["x-value", "x-map"].map(|name| answer.header(name).map(str::to_owned).unwrap_or_default())
        };
        assert_eq!(get(), ["first", "first"]);
        proxy.folder().write("a.map", "k second\n");
        proxy.rewrite(&config("second"));
        // The process itself sees its jail only.
        proxy.signal(libc::SIGUSR2);
        let failure = "Could not open configuration file\nCannot load configuration file/directory";
        assert!(
            wait_until(LIMIT, || failure.lines().any(|text| proxy.stderr().contains(text))),
            "{}",
            proxy.stderr()
        );
        assert!(wait_until(LIMIT, || proxy.stderr().contains("Reload failed")));
        assert_eq!(get(), ["first", "first"]);
        let (succeeded, said) = proxy.ask_reload();
        assert!(succeeded, "{said}");
        assert_eq!(get(), ["second", "second"]);
        proxy.rewrite("global\n    nonsense\n");
        let (succeeded, said) = proxy.ask_reload();
        assert!(!succeeded && said.contains("unknown keyword 'nonsense'"), "{said}");
        assert_eq!(get(), ["second", "second"]);
    });
}

#[test]
fn an_asker_that_says_nothing_keeps_no_other_from_a_reload() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let config = |text: &str| {
        format!(
            "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n    \
             http-request return status 200 content-type text/plain string {text}\n"
        )
    };
    let proxy = Proxy::start(Driver::Epoll, &config("first"));
    let place = SocketAddr::from_abstract_name(format!("haring-reload-{}", proxy.pid())).unwrap();
    let _silent: Vec<_> = (0..5).map(|_| UnixStream::connect_addr(&place).unwrap()).collect();
    change(&proxy, &config("second"));
    assert_eq!(proxy.client("fe").get("/", "").text(), "second");
}
