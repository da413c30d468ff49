//! Checks against real sockets, from the first connection to the log lines.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::base::clock;
use crate::base::id::ServerId;
use crate::control::servers::{self, AdminOrder, CheckKind};
use crate::control::{Control, Cores};
use crate::engine::orders::{Shown, Tell};
use crate::health::observe::{Observe, record_l4};
use crate::health::{CheckSpec, ServerCheck, script_for_tests};
use crate::log::queue::LogQueue;
use crate::log::target::{Address, Format, Target};
use crate::model::Model;
use crate::net::timer::Kill;
use crate::sample::facts::ProcessFacts;
use crate::state::server::{Endpoint, Operational};
use crate::state::{ProxyState, ServerState};
use crate::stats::{fixture, servers_state};

/// Data threads that only remember what they were asked.
#[derive(Default)]
struct Recorder(Rc<RefCell<Vec<String>>>);

impl Cores for Recorder {
    fn shutdown_server_sessions(&self, server: &Arc<ServerState>, _: Kill) {
        self.0.borrow_mut().push(format!("shutdown {}", server.name));
    }
    fn wake_queue(&self, _backend: &Arc<ProxyState>) {}
    fn pause_frontend(&self, _frontend: &Arc<ProxyState>) {}
    fn resume_frontend(&self, _frontend: &Arc<ProxyState>) {}
    fn stop_frontend(&self, _frontend: &Arc<ProxyState>) {}
    fn sessions(&self, _: usize, _: u64, tell: Tell<Shown>) {
        tell(Vec::new());
    }
    fn idle(&self, _: usize, tell: Tell<(ServerId, u32)>) {
        tell(Vec::new());
    }
    fn soft_stop(&self) {}
}

/// A control thread over a backend `be` with the given servers.
struct Bench {
    control: Rc<Control>,
    asked: Rc<RefCell<Vec<String>>>,
}

/// What a test says about a server.
#[derive(Default)]
struct Line {
    port: u16,
    backup: bool,
    check: Option<Arc<CheckSpec>>,
    agent: Option<Arc<CheckSpec>>,
    tracks: Option<usize>,
    slowstart_ms: u64,
    shutdown_on_down: bool,
    /// With one, connections are observed.
    error_limit: u32,
}

fn spec(lines: &[&str], inter_ms: u64) -> Option<Arc<CheckSpec>> {
    let server = ServerCheck { inter_ms, rise: 1, fall: 1, ..ServerCheck::default() };
    Some(script_for_tests(lines).0.for_server(server))
}

impl Bench {
    fn new(lines: Vec<Line>, log_checks: bool) -> Bench {
        let mut model = fixture::model();
        let registry = model.registry.clone();
        let mut backend = fixture::proxy(&registry, "be", 3, 1);
        backend.is_backend = true;
        backend.options.log_health_checks = log_checks;
        backend.log = Arc::new([Arc::new(Target {
            span: crate::diag::Span::NONE,
            address: Address::Fd(1),
            format: Format::Raw,
            len: 1024,
            facility: 0,
            level: 7,
            level_min: 0,
            sampling: None,
            seen: 0.into(),
        })]);
        for (at, line) in lines.into_iter().enumerate() {
            let name = format!("s{}", at + 1);
            let made = fixture::server(&registry, "be", &name, at as u32 + 1, line.backup);
            let address = ([127, 0, 0, 1], line.port).into();
            made.state.endpoint.store(Arc::new(Endpoint::Inet { address, port_offset: None }));
            let mut made = Arc::into_inner(made).expect("just made");
            made.check = line.check;
            made.agent = line.agent;
            made.slowstart_ms = line.slowstart_ms;
            made.shutdown_sessions_on_down = line.shutdown_on_down;
            if line.error_limit > 0 {
                (made.observe, made.error_limit) = (Observe::Layer4, line.error_limit);
            }
            made.track = line.tracks.map(|at| {
                let tracked: &Arc<crate::model::Server> = &backend.servers[at];
                tracked.state.clone()
            });
            backend.push(Arc::new(made));
        }
        let states = backend.servers.iter().map(|server| server.state.clone()).collect();
        backend.state.servers.store(Arc::new(states));
        model.proxies[1] = Arc::new(backend);
        model.global.quiet = true;
        let recorder = Recorder::default();
        let asked = recorder.0.clone();
        let control = Rc::new(Control {
            model: RefCell::new(Arc::new(model)),
            log: Arc::new(LogQueue::new(64, 1 << 20, || {})),
            process: Arc::new(ProcessFacts::default()),
            cores: Box::new(recorder),
            started: clock::read(),
            driver: String::new(),
            threads: 1,
            maxconn: 100.into(),
            descriptors_max: 1024,
            admin: Default::default(),
        });
        Bench { control, asked }
    }
    fn model(&self) -> Arc<Model> {
        self.control.model()
    }
    fn state(&self, at: usize) -> Arc<ServerState> {
        self.model().proxies[1].servers[at].state.clone()
    }
    /// The log lines so far: level and text, durations as `N`.
    fn lines(&self) -> Vec<(u8, String)> {
        let mut lines = Vec::new();
        while let Some(line) = self.control.log.take() {
            let mut text = String::from_utf8(line.message).expect("text");
            if let Some(at) = text.find("duration: ") {
                let start = at + "duration: ".len();
                let end = start + text[start..].find("ms").expect("a unit");
                text.replace_range(start..end, "N");
            }
            lines.push((line.level, text));
        }
        lines
    }
    /// The next line, waited for.
    async fn line(&self) -> (u8, String) {
        for _ in 0..400 {
            if let Some(line) = self.lines().into_iter().next() {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no line came");
    }
    /// The columns of `show servers state` from the address on, without the age.
    fn row(&self, at: usize) -> String {
        let model = self.model();
        let proxy = &model.proxies[1];
        let row = servers_state::row(proxy, &proxy.servers[at], clock::read().wall_secs());
        let words: Vec<&str> = row.split(' ').collect();
        [&words[5..9], &words[10..15]].concat().join(" ")
    }
}

fn in_local_set(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        test().await;
        super::stop_all();
    });
}

/// A server that accepts, answers each connection the same way, and closes.
async fn answering(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            if !answer.is_empty() {
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    port
}

/// A port without a listener.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").port()
}

fn line(level: u8, text: &str) -> (u8, String) {
    (level, text.to_owned())
}

#[test]
fn a_check_passes_and_maintenance_comes_and_goes() {
    in_local_set(async || {
        let port = answering("").await;
        let bench = Bench::new(
            vec![Line { port, check: spec(&[], 50), ..Line::default() }, Line { port, ..Line::default() }],
            true,
        );
        let state = bench.state(0);
        super::start(&bench.control);
        assert_eq!(bench.row(1), "2 0 1 1 1 0 1 0 0", "no check");
        let passed = "Health check for server be/s1 succeeded, reason: Layer4 check passed, \
                      check duration: Nms, status: 1/1 UP.";
        assert_eq!(bench.line().await, line(5, passed));
        assert_eq!(bench.row(0), "2 0 1 1 6 3 1 6 0");
        servers::set_admin(&bench.control, &bench.state(1), AdminOrder::Drain, "");
        let drain = "Server be/s2 enters drain state. 1 active and 0 backup servers online. \
                     0 sessions requeued, 0 total in queue.";
        assert_eq!(bench.lines(), [line(5, drain)]);

        servers::set_admin(&bench.control, &state, AdminOrder::Maint, "");
        let down = "Server be/s1 is going DOWN for maintenance. 0 active and 0 backup servers left. \
                    0 sessions active, 0 requeued, 0 remaining in queue.";
        assert_eq!(bench.lines(), [line(1, down), line(0, "backend be has no server available!")]);
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert_eq!(bench.row(0), "0 1 1 1 6 3 0 14 0");
        assert_eq!(bench.lines(), [], "no checks in maintenance");

        servers::set_admin(&bench.control, &state, AdminOrder::Ready, "");
        assert_eq!(bench.lines(), [line(5, "Server be/s1 is UP/READY (leaving forced maintenance).")]);
        let checked = "2 0 1 1 6 3 1 6 0";
        for _ in 0..1000 {
            if bench.row(0) == checked {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(bench.row(0), checked);
        let backend = &bench.model().proxies[1].state;
        assert!(backend.is_up.load(Relaxed));
        assert_eq!((backend.down_transitions.load(Relaxed), state.down_transitions.load(Relaxed)), (1, 1));
    });
}

#[test]
fn a_plain_check_does_not_disturb_the_server() {
    in_local_set(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let accepted = Rc::new(std::cell::Cell::new(0));
        let count = accepted.clone();
        tokio::task::spawn_local(async move {
            while listener.accept().await.is_ok() {
                count.set(count.get() + 1);
            }
        });
        let bench = Bench::new(vec![Line { port, check: spec(&[], 10), ..Line::default() }], true);
        super::start(&bench.control);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(bench.lines().len(), 1, "it passed, and passed again");
        assert_eq!(accepted.get(), 0, "the reset came before the handshake's last segment");
    });
}

#[test]
fn failures_are_told_with_their_reason() {
    in_local_set(async || {
        let refused = closed_port().await;
        let broken = answering("HTTP/1.0 503 Busy\r\n\r\n").await;
        let bench = Bench::new(
            vec![
                Line { port: refused, check: spec(&[], 1500), shutdown_on_down: true, ..Line::default() },
                Line {
                    port: broken,
                    check: spec(&["option httpchk"], 2000),
                    backup: true,
                    ..Line::default()
                },
            ],
            false,
        );
        super::start(&bench.control);
        let text = "Server be/s1 is DOWN, reason: Layer4 connection problem, info: \"ECONNREFUSED returned by OS (Connection refused)\", \
                    check duration: Nms. 0 active and 1 backup servers left. Running on backup. \
                    0 sessions active, 0 requeued, 0 remaining in queue.";
        assert_eq!(bench.line().await, line(1, text));
        assert_eq!(*bench.asked.borrow(), ["shutdown s1"]);
        assert_eq!(bench.row(0), "0 0 1 1 8 2 0 6 0");
        let text = "Backup Server be/s2 is DOWN, reason: Layer7 wrong status, code: 503, info: \"Busy\", \
                    check duration: Nms. 0 active and 0 backup servers left. \
                    0 sessions active, 0 requeued, 0 remaining in queue.";
        assert_eq!(bench.line().await, line(1, text));
        assert_eq!(bench.state(1).failed_checks.load(Relaxed), 1);
    });
}

#[test]
fn the_first_check_after_a_start_decides_whatever_rise_and_fall() {
    in_local_set(async || {
        let spec = |inter_ms| {
            let server = ServerCheck { inter_ms, rise: 3, fall: 4, ..ServerCheck::default() };
            Some(script_for_tests(&[]).0.for_server(server))
        };
        let down = Line { port: closed_port().await, check: spec(400), ..Line::default() };
        let up = Line { port: answering("").await, check: spec(400), ..Line::default() };
        let bench = Bench::new(vec![down, up, Line { tracks: Some(0), ..Line::default() }], false);
        for at in 0..2 {
            let line = bench.model().proxies[1].servers[at].clone();
            line.state.adopt(&Arc::new(crate::state::server::Configured {
                resolves: false,
                added: false,
                init_state: Default::default(),
                id: line.id,
                endpoint: Endpoint::clone(&line.state.endpoint.load()),
                hostname: None,
                weight: 1,
                minconn: 0,
                maxqueue: 0,
                backup: false,
                maxconn: 0,
                disabled: false,
                check: Some((3, 4)),
                agent: None,
            }));
        }
        super::start(&bench.control);
        assert!(bench.line().await.1.starts_with("Server be/s1 is DOWN, reason: Layer4 connection problem"));
        assert_eq!(bench.state(0).failed_checks.load(Relaxed), 1);
        assert_eq!(bench.state(2).operational(), Operational::Stopped, "it tracks the first");
        for _ in 0..400 {
            if bench.state(1).check.load().health == 6 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("one success did not make it fully up");
    });
}

#[test]
fn nobody_answers_at_a_broadcast_address_or_in_time() {
    in_local_set(async || {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = silent.local_addr().expect("an address").port();
        let lines = ["option tcp-check", "tcp-check connect", "tcp-check expect string x"];
        let (script, _) = script_for_tests(&lines);
        let slow = ServerCheck {
            inter_ms: 2000,
            rise: 1,
            fall: 1,
            timeout_check_ms: Some(5),
            ..ServerCheck::default()
        };
        let nowhere = ServerCheck {
            inter_ms: 2000,
            rise: 1,
            fall: 1,
            addr: Some([255, 255, 255, 255].into()),
            ..ServerCheck::default()
        };
        let plain = script_for_tests(&[]).0;
        let bench = Bench::new(
            vec![
                Line { port, check: Some(plain.for_server(nowhere)), ..Line::default() },
                Line { port, check: Some(script.for_server(slow)), ..Line::default() },
            ],
            true,
        );
        super::start(&bench.control);
        let (_, text) = bench.line().await;
        assert!(
            text.contains("problem, info: \"General socket error (Network is unreachable)\", check"),
            "{text}"
        );
        let (_, text) = bench.line().await;
        let expected = "reason: Layer7 timeout, info: \" at step 2 of tcp-check (expect string 'x')\", check";
        assert!(text.contains(expected), "{text}");
    });
}

#[test]
fn agents_order_and_followers_follow() {
    in_local_set(async || {
        let port = answering("75%,maxconn:30 down # why not\n").await;
        let agent = ServerCheck {
            inter_ms: 5000,
            rise: 1,
            fall: 1,
            agent_send: Some(b"hello\n".to_vec()),
            ..ServerCheck::default()
        };
        let bench = Bench::new(
            vec![
                Line { port, agent: Some(crate::health::config::agent(agent)), ..Line::default() },
                Line { port, tracks: Some(0), ..Line::default() },
            ],
            false,
        );
        bench.state(0).set_initial_weight(100);
        super::start(&bench.control);
        assert_eq!(bench.row(0), "2 0 100 100 1 0 1 0 22");
        let lines = loop {
            let lines = bench.lines();
            if !lines.is_empty() {
                break lines;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let left = "backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.";
        let text = format!(
            "Server be/s1 is DOWN, reason: Layer7 wrong status, code: 0, info: \"via agent : down (why not)\", \
             check duration: Nms. 1 active and 0 {left}"
        );
        let follower = format!("Server be/s2 is DOWN via be/s1. 0 active and 0 {left}");
        let empty = line(0, "backend be has no server available!");
        assert_eq!(lines, [(1, text), (1, follower), empty]);
        assert_eq!(bench.state(1).operational(), Operational::Stopped);
        let state = bench.state(0);
        assert_eq!((state.user_weight(), state.maxconn.load(Relaxed)), (75, 30));
        assert!(servers::set_agent(&bench.control, &state, "up").is_ok());
        assert_eq!(state.operational(), Operational::Running);
        assert_eq!(bench.state(1).operational(), Operational::Running);
    });
}

#[test]
fn errors_of_traffic_count_as_failed_checks() {
    in_local_set(async || {
        let port = answering("").await;
        let line_of = Line { port, check: spec(&[], 60_000), error_limit: 2, ..Line::default() };
        let bench = Bench::new(vec![line_of], false);
        super::start(&bench.control);
        tokio::time::sleep(Duration::from_millis(30)).await;
        let state = bench.state(0);
        for _ in 0..2 {
            record_l4(&state, Observe::Layer4, 2, false);
        }
        let text = "Server be/s1 is DOWN, reason: Health analyze, info: \"Detected 2 consecutive errors, \
                    last one was: L4 unsuccessful connection\". 0 active and 0 backup servers left. \
                    0 sessions active, 0 requeued, 0 remaining in queue.";
        assert_eq!(bench.line().await, line(1, text));
        assert_eq!(state.failed_hana.load(Relaxed), 1);
    });
}

#[test]
fn checks_go_where_they_are_told_to_go() {
    in_local_set(async || {
        let (dead, alive) = (closed_port().await, answering("").await);
        let bench = Bench::new(vec![Line { port: dead, check: spec(&[], 20), ..Line::default() }], true);
        super::start(&bench.control);
        let state = bench.state(0);
        assert!(bench.line().await.1.contains("failed"));
        bench.lines();
        let set = |address, port| servers::set_check_target(&state, CheckKind::Health, address, port);
        assert_eq!(set(Some("nowhere"), None), Err("invalid addr 'nowhere'".to_owned()));
        assert_eq!(set(None, Some("x")), Err("provided port is not an integer".to_owned()));
        assert_eq!(set(Some("127.0.0.1"), Some(&alive.to_string())), Ok(()));
        assert!(bench.line().await.1.contains("succeeded"));
        assert_eq!(state.operational(), Operational::Running);
        let agent = servers::set_check_target(&state, CheckKind::Agent, None, Some("1"));
        assert_eq!(agent, Err("agent checks are not enabled on this server".to_owned()));
    });
}

#[test]
fn orders_of_the_runtime_api() {
    in_local_set(async || {
        let bench = Bench::new(vec![Line { port: 9, ..Line::default() }], false);
        super::start(&bench.control);
        let (control, state) = (&bench.control, bench.state(0));
        for (text, expected) in [
            ("7", Ok(7)),
            ("50%", Ok(5)),
            ("257", Err("Absolute weight can only be between 0 and 256 inclusive.")),
            ("-1%", Err("Relative weight must be positive.")),
            ("", Err("Require <weight> or <weight%>.")),
            ("x", Err("Empty weight string empty or preceded by garbage")),
            ("5x", Err("Trailing garbage in weight string")),
        ] {
            state.set_initial_weight(10);
            let result = servers::set_weight(control, &state, text).map(|()| state.user_weight());
            assert_eq!(result, expected.map_err(str::to_owned), "{text}");
        }
        let address = |address, port| {
            servers::endpoint::set_address(control, &state, address, port, "stats socket command")
        };
        for (ip, port, expected) in [
            (
                Some("127.0.0.2"),
                Some("80"),
                "IP changed from '127.0.0.1' to '127.0.0.2', port changed from '9' to '80' by 'stats socket command'",
            ),
            (Some("127.0.0.2"), None, "nothing changed"),
            (None, Some("+3"), "port changed from '80' to '+3' by 'stats socket command'"),
        ] {
            assert_eq!(address(ip, port).as_deref(), Ok(expected));
        }
        assert_eq!(address(Some("x"), None), Err("Invalid addr 'x'".to_owned()));
        for port in ["65536", "99999", "-65536", "+99999999999", "x"] {
            let refused = Err(format!("problem converting port '{port}' to an int"));
            assert_eq!(address(Some("127.0.0.3"), Some(port)), refused);
        }
        assert_eq!(address(Some("127.0.0.2"), Some("+3")).as_deref(), Ok("nothing changed"));
        assert!(servers::set_health(control, &state, "down").is_ok());
        let text = "Server be/s1 is DOWN, changed from CLI. 0 active and 0 backup servers left. \
                    0 sessions active, 0 requeued, 0 remaining in queue.";
        assert_eq!(bench.lines()[0], line(1, text));
        let refused = servers::enable_check(&state, CheckKind::Health, true);
        assert_eq!(refused, Err("Health check was not configured on this server, cannot enable.".to_owned()));
    });
}

#[test]
fn drain_and_maintenance_in_turn() {
    in_local_set(async || {
        let followers = Line { port: 9, tracks: Some(0), ..Line::default() };
        let bench = Bench::new(vec![Line { port: 9, ..Line::default() }, followers], false);
        super::start(&bench.control);
        let (control, state) = (&bench.control, bench.state(0));
        let texts = || bench.lines().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let online = "backup servers online. 0 sessions requeued, 0 total in queue.";
        servers::set_admin(control, &state, AdminOrder::Drain, "");
        assert_eq!(
            texts(),
            [
                format!("Server be/s1 enters drain state. 1 active and 0 {online}"),
                format!("Server be/s2 enters drain state via be/s1. 0 active and 0 {online}"),
                "backend be has no server available!".to_owned(),
            ]
        );
        servers::set_admin(control, &state, AdminOrder::Maint, "why");
        let left = "backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.";
        assert_eq!(
            texts(),
            [
                format!("Server be/s1 is going DOWN for maintenance (why). 0 active and 0 {left}"),
                format!("Server be/s2 is going DOWN for maintenance (why) via be/s1. 0 active and 0 {left}"),
            ],
        );
        assert_eq!((state.admin(), bench.state(1).admin()), (0x01, 0x02));
        servers::set_admin(control, &state, AdminOrder::Drain, "");
        assert_eq!(
            texts(),
            [
                "Server be/s1 is UP/DRAIN (leaving forced maintenance).",
                "Server be/s1 remains in forced drain mode.",
                "Server be/s2 is UP/DRAIN (leaving maintenance).",
                "Server be/s2 remains in drain mode via be/s1.",
            ]
        );
        servers::set_admin(control, &state, AdminOrder::Ready, "");
        assert_eq!(
            texts(),
            ["Server be/s1 is UP (leaving forced drain).", "Server be/s2 is UP (leaving drain) via be/s1."]
        );
        assert_eq!((state.admin(), bench.state(1).admin()), (0, 0));
    });
}

#[test]
fn a_slow_start_takes_its_time() {
    in_local_set(async || {
        let bench = Bench::new(vec![Line { port: 9, slowstart_ms: 60_000, ..Line::default() }], false);
        super::start(&bench.control);
        let state = bench.state(0);
        state.set_user_weight(100);
        servers::set_admin(&bench.control, &state, AdminOrder::Maint, "");
        servers::set_admin(&bench.control, &state, AdminOrder::Ready, "");
        assert_eq!((state.operational(), state.throttle_percent.load(Relaxed)), (Operational::Starting, 1));
        assert_eq!(state.effective_weight(), 16);
        servers::set_admin(&bench.control, &state, AdminOrder::Maint, "");
        assert_eq!(state.operational(), Operational::Stopped);
    });
}
