//! Start and stop of the serving process, each as a list of steps in order.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::listeners::{self, Bound};
use crate::base::clock;
use crate::control::admin::socket::AdminListener;
use crate::control::{self, Control};
use crate::diag::{Level, Report, Span};
use crate::engine::core::{ProcessRates, Setup};
use crate::engine::finish::default_tag;
use crate::engine::mailbox::Mailbox;
use crate::engine::threads::{CoreHandles, Threads, accidents};
use crate::log::queue::{Line, LogQueue};
use crate::model::global::Driver;
use crate::model::{BindAddress, Model};
use crate::net::driver;
use crate::sample::facts::{ProcessFacts, SocketProbe};
use crate::stats::info::InfoFacts;
use crate::sys;

/// Lines the queue to the log writer holds; what does not fit is dropped and counted.
const LOG_QUEUE_LINES: usize = 16 * 1024;
/// Descriptors the process needs beside connections and listeners.
const DESCRIPTORS_RESERVED: u64 = 64;
/// How often a soft stop looks whether the last session has ended.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// What the command line says about running.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `-D`.
    pub daemon: bool,
    /// `-db`: never go to the background.
    pub foreground: bool,
    /// `-p`.
    pub pidfile: Option<String>,
    /// `-W`, `-Ws`.
    pub master_worker: bool,
    /// `-sf`: processes to finish once this one serves.
    pub finish: Vec<i32>,
    /// `-st`: processes to terminate once this one serves.
    pub terminate: Vec<i32>,
    /// Warnings given while loading.
    pub warnings: u64,
    /// Connections that fit into the memory the process may use (`-m`).
    pub connections_by_memory: Option<u32>,
}

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// SIGINT, SIGTERM.
    Now(i32),
    /// SIGUSR1, and the last session has ended.
    Drained,
}

/// Runs a configuration until a signal ends it. Findings of the start go to `report`, which
/// `show_report` prints when the start fails.
pub fn serve(model: Arc<Model>, options: &Options, report: &mut Report, show_report: impl Fn(&Report)) -> u8 {
    let started = clock::read();
    let threads = model.registry.cores();
    let Bound { cores: sockets, admin } = listeners::bind_all(&model, threads, report);
    let choice = match driver::choose(wanted_driver(&model)) {
        Ok(choice) => Some(choice),
        Err(message) => {
            report.alert(Span::NONE, message);
            None
        }
    };
    let (Some(choice), false) = (choice, report.has_alerts()) else {
        show_report(report);
        return 1;
    };
    // Before `chroot`, behind which the manager's socket has no path.
    let manager = Manager::find();
    let daemon = (options.daemon || model.global.daemon) && !options.foreground;
    // Before root, who may raise limits, is given up.
    let reserved = DESCRIPTORS_RESERVED + listener_count(&sockets);
    let descriptors_max = raise_descriptor_limit(&model, reserved, report);
    if report.has_alerts() {
        show_report(report);
        return 1;
    }
    if report.has_warnings() {
        show_report(report);
        *report = Report::default();
    }
    if let Err(message) = enter_background_and_identity(&model, options, daemon) {
        report.alert(Span::NONE, message);
        show_report(report);
        return 1;
    }
    let by_descriptors = descriptors_max.saturating_sub(reserved) / 2;
    let maxconn = model.global.maxconn.unwrap_or(u32::try_from(by_descriptors).unwrap_or(u32::MAX));
    let maxconn = maxconn.min(options.connections_by_memory.unwrap_or(u32::MAX));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("[ALERT]    ({}) : cannot start the control thread: {error}", std::process::id());
            return 1;
        }
    };
    let local = tokio::task::LocalSet::new();
    let start = Start { model, options, sockets, admin, choice, started, descriptors_max, maxconn, manager };
    local.block_on(&runtime, start.run())
}

/// Raises the limit on descriptors to what `ulimit-n` says or `maxconn` needs beside the `reserved` ones;
/// returns the limit in force. A system that refuses is a warning, or an alert with `strict-limits`.
///
/// HAProxy refuses to start unless it is told not to (since 2.3). Here connections wait in the system's queue
/// while descriptors are short, so a configuration made for another machine serves.
fn raise_descriptor_limit(model: &Model, reserved: u64, report: &mut Report) -> u64 {
    let global = &model.global;
    // A connection and one to its server.
    let needed = global.maxconn.map(|maxconn| 2 * u64::from(maxconn));
    let wanted = global.ulimit_n.or(needed.map(|needed| needed + reserved)).filter(|wanted| *wanted > 0);
    let limit = sys::process::raise_descriptor_limit(wanted);
    // The reserve is generous: that it does not fit whole is no reason to refuse what else does.
    let least = global.ulimit_n.or(needed).unwrap_or(0);
    if limit < least {
        let message =
            format!("cannot raise the limit on descriptors to {}, it is {limit}", wanted.unwrap_or(least));
        let level = if global.strict_limits { Level::Alert } else { Level::Warning };
        report.push(level, Span::NONE, message).help(
            "raise the hard limit ('ulimit -Hn', LimitNOFILE of systemd, fs.nr_open), or lower 'maxconn'; beyond \
             the limit connections wait",
        );
    } else if let (Some(set), Some(needed), Some(maxconn)) = (global.ulimit_n, needed, global.maxconn)
        && set < needed
    {
        let message =
            format!("'ulimit-n {set}' is too low for 'maxconn {maxconn}', which needs {needed} descriptors");
        report.warning(Span::NONE, message).help("raise or remove 'ulimit-n', or lower 'maxconn'");
    }
    limit
}

/// The driver the configuration wants; `HARING_DRIVER` decides where it does not say.
fn wanted_driver(model: &Model) -> Driver {
    match (model.global.driver, std::env::var("HARING_DRIVER").as_deref()) {
        (Driver::Auto, Ok("io_uring")) => Driver::IoUring,
        (Driver::Auto, Ok("epoll")) => Driver::Epoll,
        (driver, _) => driver,
    }
}

fn listener_count(sockets: &[Vec<crate::engine::accept::Socket>]) -> u64 {
    // Each listener has a second descriptor for its wait.
    2 * sockets.iter().map(Vec::len).sum::<usize>() as u64
}

/// Forks to the background, writes the pid file, gives up root: in this order, since the pid file's
/// folder may be out of reach afterwards.
fn enter_background_and_identity(model: &Model, options: &Options, daemon: bool) -> Result<(), String> {
    if daemon {
        sys::process::daemonize().map_err(|error| format!("cannot go to the background: {error}"))?;
    }
    let pidfile = options.pidfile.as_ref().map(std::path::PathBuf::from).or_else(|| {
        // As HAProxy: `pidfile` of the configuration counts only for a daemon or a master.
        (daemon || options.master_worker).then(|| model.global.pidfile.clone()).flatten()
    });
    if let Some(path) = pidfile {
        std::fs::write(&path, format!("{}\n", std::process::id()))
            .map_err(|error| format!("cannot write pid file {}: {error}", path.display()))?;
    }
    if let Some(root) = &model.global.chroot {
        sys::process::change_root(root)
            .map_err(|error| format!("cannot chroot to {}: {error}", root.display()))?;
    }
    let (uid, gid) = (model.global.uid, model.global.gid);
    sys::process::change_identity(uid, gid)
        .map_err(|error| format!("cannot become uid {uid:?}, gid {gid:?}: {error}"))?;
    if !model.global.insecure_setuid {
        sys::process::forbid_new_privileges().map_err(|error| {
            format!("cannot give up new privileges ('insecure-setuid-wanted' keeps them): {error}")
        })?;
    }
    if model.global.dumpable {
        sys::process::allow_core_dumps().map_err(|error| format!("cannot allow core dumps: {error}"))?;
    }
    Ok(())
}

/// All that the control thread starts with.
struct Start<'a> {
    model: Arc<Model>,
    options: &'a Options,
    sockets: Vec<Vec<crate::engine::accept::Socket>>,
    admin: Vec<(std::os::fd::OwnedFd, BindAddress, crate::model::bind::CliLevel)>,
    choice: driver::Choice,
    started: clock::Now,
    descriptors_max: u64,
    maxconn: u32,
    manager: Manager,
}

impl Start<'_> {
    async fn run(self) -> u8 {
        let model = self.model;
        let threads = self.sockets.len();
        let hostname = sys::process::hostname();
        let process = Arc::new(ProcessFacts {
            node: model.global.node.clone().unwrap_or_else(|| hostname.clone()),
            hostname,
            pid: std::process::id(),
            sockets: SocketProbe { tcp_figures: sys::socket::tcp_figures },
            counted_statuses: model.global.counted_statuses,
            ..ProcessFacts::default()
        });
        model.global.set_variables(&process);
        let log_bell = Arc::new(tokio::sync::Notify::new());
        let ring = log_bell.clone();
        let log = Arc::new(LogQueue::new(LOG_QUEUE_LINES, move || ring.notify_one()));
        let events = log.clone();
        process.events.set(Box::new(move |sink: &str, line: Vec<u8>| {
            events.send(Line {
                targets: crate::log::target::events(sink),
                level: 7,
                wall_us: clock::cached().wall_us,
                tag: "".into(),
                message: line,
                structured_data: None,
            });
        }));
        let mailboxes: std::io::Result<Arc<[_]>> = (0..threads).map(|_| Mailbox::new()).collect();
        let mailboxes = match mailboxes {
            Ok(mailboxes) => mailboxes,
            Err(error) => return failed(&format!("cannot make the threads' mailboxes: {error}")),
        };
        let maxconn = Arc::new(AtomicU32::new(self.maxconn));
        model.apply_fullconn(self.maxconn);
        let driver = describe(&self.choice);
        let (page_sender, mut page_orders) = tokio::sync::mpsc::unbounded_channel();
        let (map_sender, mut map_orders) = tokio::sync::mpsc::unbounded_channel();
        let rates = Arc::new(ProcessRates::default());
        rates.connections_max.store(model.global.maxconnrate, Relaxed);
        rates.sessions_max.store(model.global.maxsessrate, Relaxed);
        let facts = InfoSource {
            threads,
            started: self.started,
            maxconn: maxconn.clone(),
            descriptors_max: self.descriptors_max,
            driver: driver.clone(),
            mailboxes: mailboxes.clone(),
            log: log.clone(),
            warnings: self.options.warnings,
            model: model.clone(),
        };
        let setup = Setup {
            model: model.clone(),
            process: process.clone(),
            log: log.clone(),
            driver: self.choice.clone(),
            mailboxes,
            maxconn: maxconn.clone(),
            rates: rates.clone(),
            page_orders: Arc::new(move |order| {
                let _ = page_sender.send(order);
            }),
            map_orders: Arc::new(move |order| {
                let _ = map_sender.send(order);
            }),
            info: Arc::new(move || facts.make()),
            log_tag: default_tag(model.global.log_tag.as_deref()),
            fault: Arc::default(),
        };
        let cpus: Vec<Vec<usize>> = (1..=threads)
            .map(|thread| {
                let mapped = model.global.cpu_map.iter().find(|(mapped, _)| *mapped == thread);
                mapped.map(|(_, cpus)| cpus.clone()).unwrap_or_default()
            })
            .collect();
        let cpus = if model.global.cpu_map.is_empty() { spread(threads) } else { cpus };
        // Signals are taken before anything can send one.
        let signals = Signals::take();
        let mut signals = match signals {
            Ok(signals) => signals,
            Err(error) => return failed(&format!("cannot take signals: {error}")),
        };
        let running = match Threads::start(&setup, self.sockets, &cpus) {
            Ok(running) => running,
            Err(error) => return failed(&format!("cannot start data threads: {error}")),
        };
        let control = Rc::new(Control {
            model: RefCell::new(model.clone()),
            log: log.clone(),
            process,
            cores: Box::new(running.cores()),
            started: self.started,
            driver: driver.clone(),
            threads,
            maxconn: Cell::new(self.maxconn),
            descriptors_max: self.descriptors_max,
            admin: control::admin::Shared::default(),
        });
        control.admin.warnings.set(self.options.warnings);
        let sink = tokio::task::spawn_local(control::log_sink::run(control.clone(), log_bell));
        control::checks::start(&control);
        let admin = self.admin.into_iter().map(|(fd, address, level)| {
            let listener = match address {
                BindAddress::Unix(_) | BindAddress::Abstract(_) => AdminListener::Unix(fd.into()),
                BindAddress::Inet(_) | BindAddress::Fd(_) => AdminListener::Tcp(fd.into()),
            };
            (listener, level)
        });
        tokio::task::spawn_local(control::admin::socket::serve(control.clone(), admin.collect()));
        tokio::task::spawn_local(control::tables::run(control.clone()));
        let orders = control.clone();
        tokio::task::spawn_local(async move {
            while let Some(order) = page_orders.recv().await {
                control::admin::page_orders::carry_out(&orders, &order);
            }
        });
        let changes = control.clone();
        tokio::task::spawn_local(async move {
            while let Some(order) = map_orders.recv().await {
                control::map_orders::carry_out(&changes, &order);
            }
        });
        for pid in &self.options.finish {
            let _ = sys::process::signal(*pid, libc::SIGUSR1);
        }
        for pid in &self.options.terminate {
            let _ = sys::process::signal(*pid, libc::SIGTERM);
        }
        self.manager.tell(&format!("READY=1\nMAINPID={}\nSTATUS=Ready.\n", std::process::id()));
        control.admin.boot_ms.set(clock::read().millis().saturating_sub(self.started.millis()));
        if !model.global.quiet && !model.global.daemon {
            notice(&format!("{threads} data thread(s), driver {driver}"));
            super::welcome::show(&model);
        }
        let end = signals.wait(&control, &running.cores()).await;
        self.manager.tell("STOPPING=1");
        running.stop();
        sink.abort();
        control::log_sink::drain(&control);
        control::map_writeback::flush(&control);
        match end {
            // A master that is interrupted reports its workers' end by signal.
            End::Now(libc::SIGINT) if self.options.master_worker => 128 + libc::SIGINT as u8,
            _ => 0,
        }
    }
}

/// Pins thread i to the i-th usable CPU, when there are not more threads than CPUs.
fn spread(threads: usize) -> Vec<Vec<usize>> {
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    if threads > cpus.len() || threads < 2 {
        return Vec::new();
    }
    cpus.iter().map(|cpu| vec![cpu.id]).collect()
}

fn describe(choice: &driver::Choice) -> String {
    format!("{} ({})", if choice.uring { "io_uring" } else { "epoll" }, choice.reason)
}

fn notice(message: &str) {
    eprintln!("[NOTICE]   ({}) : {message}", std::process::id());
}

fn failed(message: &str) -> u8 {
    eprintln!("[ALERT]    ({}) : {message}", std::process::id());
    1
}

/// The way to the service manager, if there is one (sd_notify).
struct Manager(Option<UnixDatagram>);

impl Manager {
    fn find() -> Manager {
        Manager(std::env::var_os("NOTIFY_SOCKET").and_then(|path| Self::connect(&path).ok()))
    }

    fn connect(path: &std::ffi::OsStr) -> std::io::Result<UnixDatagram> {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        let socket = UnixDatagram::unbound()?;
        match path.as_bytes() {
            [b'@', name @ ..] => {
                socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
            }
            _ => socket.connect(path)?,
        }
        Ok(socket)
    }

    fn tell(&self, text: &str) {
        let Some(socket) = &self.0 else { return };
        let _ = socket.send(text.as_bytes()); // a manager that does not listen is none
    }
}

/// Makes the facts of `show info` wherever they are asked for.
struct InfoSource {
    threads: usize,
    started: clock::Now,
    maxconn: Arc<AtomicU32>,
    descriptors_max: u64,
    driver: String,
    mailboxes: Arc<[Arc<Mailbox>]>,
    log: Arc<LogQueue>,
    warnings: u64,
    model: Arc<Model>,
}

impl InfoSource {
    fn make(&self) -> InfoFacts {
        InfoFacts {
            threads: self.threads,
            started: self.started,
            maxconn: self.maxconn.load(Relaxed),
            descriptors_max: self.descriptors_max,
            driver: accidents(&self.mailboxes).driver(&self.driver, self.threads),
            logs_dropped: self.log.dropped(),
            warnings: self.warnings,
            connection_rate_limit: self.model.global.maxconnrate,
            session_rate_limit: self.model.global.maxsessrate,
            ..InfoFacts::default()
        }
    }
}

/// The signals of the manual (management, section 4).
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    user1: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    user2: tokio::signal::unix::Signal,
}

impl Signals {
    fn take() -> std::io::Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the end, and does on the way what the other signals ask.
    async fn wait(&mut self, control: &Rc<Control>, cores: &CoreHandles) -> End {
        let mut stopping = false;
        let hard_stop = control.model().global.hard_stop_after_ms;
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            let drained = async {
                if !stopping {
                    return std::future::pending().await;
                }
                while cores.connections() > 0 {
                    if deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline) {
                        return;
                    }
                    tokio::time::sleep(DRAIN_LOOK).await;
                }
            };
            tokio::select! {
                _ = self.interrupt.recv() => return End::Now(libc::SIGINT),
                _ = self.terminate.recv() => return End::Now(libc::SIGTERM),
                () = drained => return End::Drained,
                _ = self.user1.recv() => {
                    if !stopping {
                        stopping = true;
                        control.admin.stopping.set(true);
                        control.process.stopping.store(true, Relaxed);
                        deadline = hard_stop.map(|ms| tokio::time::Instant::now() + Duration::from_millis(ms));
                        control.cores.soft_stop();
                    }
                }
                _ = self.hangup.recv() => super::welcome::dump_servers(&control.model()),
                _ = self.user2.recv() => notice("reload is not available yet: restart to apply a new configuration"),
            }
        }
    }
}
