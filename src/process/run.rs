//! Start and stop of the serving process, each as a list of steps in order.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::*};

use arc_swap::ArcSwap;

use super::console::Console;
use super::files::cause;
use super::hand_over::Taken;
use super::listeners::{self, Bound, Predecessors};
use super::manager::Manager;
use super::reload::Reloader;
use super::signals::{Around, End, Signals};
use super::{args, reload_request};
use crate::base::clock;
use crate::control::admin::socket::AdminListener;
use crate::control::{self, Control, log_sink};
use crate::diag::{Level, Report, Span};
use crate::engine::accept::BindLine;
use crate::engine::core::{ProcessRates, Setup};
use crate::engine::mailbox::Mailbox;
use crate::engine::threads::{Threads, accidents};
use crate::log::queue::{Line, LogQueue};
use crate::model::global::Driver;
use crate::model::{BindAddress, Model};
use crate::net::driver;
use crate::sample::facts::{ProcessFacts, SocketProbe, ValueLimits};
use crate::stats::info::InfoFacts;
use crate::sys;
use crate::sys::event::Doorbell;

/// Lines the queue to the log writer holds; what does not fit is dropped and counted.
const LOG_QUEUE_LINES: usize = 16 * 1024;
/// Bytes the same queue holds.
const LOG_QUEUE_BYTES: usize = 16 << 20;
/// Descriptors the process needs beside connections and listeners.
const DESCRIPTORS_RESERVED: u64 = 64;
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
    /// `-x`: the runtime API of a process whose listening sockets are taken over.
    pub old_socket: Option<String>,
    /// Connections that fit into the memory the process may use (`-m`).
    pub connections_by_memory: Option<u32>,
    /// The whole command line, for reloads.
    pub command_line: args::Options,
}

/// Runs a configuration until a signal ends it. Findings of the start go to `report`, which the console shows.
pub fn serve(model: Arc<Model>, options: &Options, report: &mut Report, console: &Console) -> u8 {
    let started = clock::read();
    let threads = model.registry.cores();
    if !sys::memory::reserve(model.global.bufsize) {
        report.warning(
            Span::NONE,
            "there is no memory for a reserve: an allocation that fails ends the process",
        );
    }
    let pids = options.finish.iter().chain(&options.terminate).copied();
    let mut given = match options.old_socket.as_deref().map(Taken::from_process).transpose() {
        Ok(given) => given.unwrap_or_default(),
        Err(message) => {
            report
                .alert(Span::NONE, message)
                .help("without -x the ports are bound beside the other process's own");
            console.report(report);
            return 1;
        }
    };
    let mut old = Predecessors::new(pids, options.old_socket.is_some());
    let mut bound = listeners::bind_all(&model, threads, &mut given, &mut old, report);
    let choice = match driver::choose(wanted_driver(&model)) {
        Ok(choice) => Some(choice),
        Err(message) => {
            report.alert(Span::NONE, message);
            None
        }
    };
    let (Some(choice), false) = (choice, report.has_alerts()) else {
        bound.withdraw();
        console.report(report);
        return 1;
    };
    // Before `chroot`, behind which the manager's socket has no path.
    let manager = Manager::find();
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let directory = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
    change_environment(&model);
    let daemon = (options.daemon || model.global.daemon) && !options.foreground;
    // Before the rights of root, which raise limits, are given up.
    let reserved = DESCRIPTORS_RESERVED + listener_count(&bound.cores);
    let descriptors_max = raise_descriptor_limit(&model, reserved, report);
    if report.has_alerts() {
        bound.withdraw();
        console.report(report);
        return 1;
    }
    if report.has_warnings() {
        console.report(report);
        report.clear();
    }
    let mut taken = enter_background(&model, options, daemon);
    if taken.is_ok() {
        bound.take_paths(report);
    }
    if taken.is_ok() && !report.has_alerts() {
        taken = enter_root(&model).and_then(|()| {
            bound.keep_paths();
            enter_priority(&model)?;
            enter_identity(&model)
        });
    }
    if let Err(message) = taken {
        report.alert(Span::NONE, message);
    }
    if report.has_alerts() {
        bound.withdraw();
        console.report(report);
        return 1;
    }
    let by_descriptors = descriptors_max.saturating_sub(reserved) / 2;
    let maxconn_default = u32::try_from(by_descriptors).unwrap_or(u32::MAX);
    let maxconn = model.global.maxconn.unwrap_or(maxconn_default);
    let maxconn = maxconn.min(options.connections_by_memory.unwrap_or(u32::MAX));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("[ALERT]    ({}) : cannot start the control thread: {error}", std::process::id());
            return 1;
        }
    };
    bound.listen(report);
    if report.has_alerts() {
        console.report(report);
        return 1;
    }
    let Bound { cores: sockets, admin, .. } = bound;
    let local = tokio::task::LocalSet::new();
    let start = Start {
        model,
        options,
        sockets,
        admin,
        choice,
        started,
        descriptors_max,
        maxconn,
        maxconn_default,
        environment,
        directory,
        manager: Rc::new(manager),
        console,
    };
    local.block_on(&runtime, start.run())
}

/// Puts the variables of the configuration into the process's environment. There is no other thread yet.
fn change_environment(model: &Model) {
    let mut variables = model.global.environment.clone();
    let sockets: Vec<String> =
        model.global.stats_sockets.iter().map(|bind| bind.address.to_string()).collect();
    if !sockets.is_empty() {
        variables.changes.push(("HAPROXY_CLI".into(), Some(sockets.join(";"))));
    }
    sys::process::change_environment(variables.reset, &variables.changes);
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
    // Each listener may have a second descriptor for its wait.
    2 * sockets.iter().map(Vec::len).sum::<usize>() as u64
}

/// Forks to the background and writes the pid file.
fn enter_background(model: &Model, options: &Options, daemon: bool) -> Result<(), String> {
    let pidfile = options.pidfile.as_ref().map(std::path::PathBuf::from).or_else(|| {
        // As HAProxy: `pidfile` of the configuration counts only for a daemon or a master.
        (daemon || options.master_worker).then(|| model.global.pidfile.clone()).flatten()
    });
    // Opened while a failure can still be reported to the operator.
    let pidfile = pidfile.map(|path| {
        let file = std::fs::File::create(&path);
        file.map_err(|error| format!("Cannot create pidfile {}: {}", path.display(), cause(&error)))
    });
    let pidfile = pidfile.transpose()?;
    if daemon {
        sys::process::daemonize().map_err(|error| format!("cannot go to the background: {error}"))?;
    }
    match pidfile {
        Some(mut file) => writeln!(file, "{}", std::process::id())
            .map_err(|error| format!("Cannot write pidfile: {}", cause(&error))),
        None => Ok(()),
    }
}

/// Enters the root directory.
fn enter_root(model: &Model) -> Result<(), String> {
    let Some(root) = &model.global.chroot else { return Ok(()) };
    sys::process::change_root(root).map_err(|error| format!("cannot chroot to {}: {error}", root.display()))
}

/// Sets the priority that all threads inherit.
fn enter_priority(model: &Model) -> Result<(), String> {
    let Some(nice) = model.global.nice else { return Ok(()) };
    sys::process::set_priority(nice.into())
        .map_err(|error| format!("cannot set the priority {nice} ('tune.renice.runtime'): {}", cause(&error)))
}

/// Gives up root.
fn enter_identity(model: &Model) -> Result<(), String> {
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
    admin: Vec<(std::os::fd::OwnedFd, BindAddress, control::admin::Grant)>,
    choice: driver::Choice,
    started: clock::Now,
    descriptors_max: u64,
    maxconn: u32,
    maxconn_default: u32,
    environment: HashMap<String, String>,
    directory: String,
    manager: Rc<Manager>,
    console: &'a Console,
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
            memory_limit_mb: self.options.command_line.memory_mb.unwrap_or(0),
            limits: ValueLimits { buffer: model.global.bufsize, vars: model.global.var_limits },
            ..ProcessFacts::default()
        });
        model.adopt();
        model.global.set_variables(&process);
        process.warnings.store(self.console.warnings(), Relaxed);
        let log_bell = match Doorbell::new() {
            Ok(bell) => Arc::new(bell),
            Err(error) => return failed(&format!("cannot make the log writer's doorbell: {error}")),
        };
        let ring = log_bell.clone();
        let log = Arc::new(LogQueue::new(LOG_QUEUE_LINES, LOG_QUEUE_BYTES, move || ring.ring()));
        super::panics::install(&log);
        let events = log.clone();
        process.events.set(Box::new(move |sink: &str, mut line: Vec<u8>| {
            crate::base::text::one_line(&mut line, 0);
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
        let registry = model.registry.clone();
        let (map_sender, mut changed_maps) = tokio::sync::mpsc::unbounded_channel();
        let (resolve_sender, mut resolve_orders) = tokio::sync::mpsc::unbounded_channel();
        let (failure_sender, failures) = tokio::sync::mpsc::unbounded_channel();
        let rates = Arc::new(ProcessRates::default());
        rates.connections_max.store(model.global.maxconnrate, Relaxed);
        rates.sessions_max.store(model.global.maxsessrate, Relaxed);
        let in_force = Arc::new(ArcSwap::new(model.clone()));
        let facts = InfoSource {
            threads,
            started: self.started,
            maxconn: maxconn.clone(),
            descriptors_max: self.descriptors_max,
            driver: driver.clone(),
            mailboxes: mailboxes.clone(),
            log: log.clone(),
            process: process.clone(),
            model: in_force.clone(),
            rates: rates.clone(),
        };
        let setup = Setup {
            model: in_force.clone(),
            process: process.clone(),
            log: log.clone(),
            driver: self.choice.clone(),
            mailboxes,
            maxconn: maxconn.clone(),
            rates: rates.clone(),
            page_orders: Arc::new(move |order| {
                let _ = page_sender.send(order);
            }),
            map_orders: Arc::new(move |order: crate::rules::MapOrder| {
                if let Some(map) = control::map_orders::carry_out(&registry, &order) {
                    let _ = map_sender.send(map); // the process is ending, and writes back what is dirty
                }
            }),
            resolve_orders: Arc::new(move |order| {
                let _ = resolve_sender.send(order); // the process is ending: no rule waits any more
            }),
            info: Arc::new(move || facts.make()),
            fault: Arc::default(),
            failures: Arc::new(move |failure| {
                let _ = failure_sender.send(failure); // the process is ending already
            }),
        };
        let cpus: Vec<Vec<usize>> = (1..=threads)
            .map(|thread| {
                let mapped = model.global.cpu_map.iter().find(|(mapped, _)| *mapped == thread);
                mapped.map(|(_, cpus)| cpus.clone()).unwrap_or_default()
            })
            .collect();
        let cpus = if model.global.cpu_map.is_empty() { spread(threads) } else { cpus };
        // Signals are taken before anything can send one.
        let signals = Signals::take(failures);
        let mut signals = match signals {
            Ok(signals) => signals,
            Err(error) => return failed(&format!("cannot take signals: {error}")),
        };
        // Before anyone is told that the process is ready: 'haring reload' may follow at once, and waits then.
        let askers = reload_request::listen();
        let mut lines: Vec<Arc<BindLine>> = Vec::new();
        for socket in self.sockets.iter().flatten() {
            if !lines.iter().any(|known| Arc::ptr_eq(known, &socket.line)) {
                lines.push(socket.line.clone());
            }
        }
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
        control.admin.startup_logs.replace(self.console.said());
        let loaded = model.registry.maps().iter().map(|(_, map)| map.len() as u64).sum();
        control.process.patterns_added.store(loaded, Relaxed);
        let shared = control.admin.log.clone();
        let writer = log_sink::Setup::new(&model, log.clone(), log_bell, shared, std::process::id());
        if let Err(error) = log_sink::start(writer) {
            return failed(&format!("cannot start the log writer: {error}"));
        }
        control::checks::start(&control);
        control::resolvers::start(&control);
        let admin = self.admin.into_iter().map(|(fd, address, level)| {
            let listener = match address {
                BindAddress::Unix(_) | BindAddress::Abstract(_) => AdminListener::Unix(fd.into()),
                BindAddress::Inet(_) | BindAddress::Fd(_) => AdminListener::Tcp(fd.into()),
            };
            (listener, level)
        });
        let api = tokio::task::spawn_local(control::admin::socket::serve(control.clone(), admin.collect()));
        tokio::task::spawn_local(control::tables::run(control.clone()));
        let orders = control.clone();
        tokio::task::spawn_local(async move {
            while let Some(order) = page_orders.recv().await {
                control::admin::page_orders::carry_out(&orders, &order);
            }
        });
        let asked = control.clone();
        tokio::task::spawn_local(async move {
            while let Some(order) = resolve_orders.recv().await {
                control::resolvers::carry_out(&asked, order);
            }
        });
        let changes = control.clone();
        tokio::task::spawn_local(async move {
            while let Some(map) = changed_maps.recv().await {
                map.heard();
                control::map_writeback::changed(&changes, &map);
            }
        });
        for pid in &self.options.finish {
            let _ = sys::process::signal(*pid, libc::SIGUSR1);
        }
        for pid in &self.options.terminate {
            let _ = sys::process::signal(*pid, libc::SIGTERM);
        }
        self.manager.tell(&format!("READY=1\nMAINPID={}\nSTATUS=Ready.\n", std::process::id()));
        let boot_ms = clock::read().millis().saturating_sub(self.started.millis());
        control.process.boot_ms.store(boot_ms, Relaxed);
        log_sink::tell(&control, Level::Notice, &format!("{threads} data thread(s), driver {driver}"));
        super::welcome::show(&control);
        let cores = running.cores();
        let is_master = self.options.master_worker;
        let reloader = Rc::new(Reloader {
            options: self.options.command_line.clone(),
            environment: self.environment,
            directory: self.directory,
            control: control.clone(),
            cores: cores.clone(),
            in_force,
            lines: RefCell::new(lines),
            manager: self.manager.clone(),
            maxconn_default: self.maxconn_default,
            connections_by_memory: self.options.connections_by_memory,
            turn: tokio::sync::Mutex::default(),
        });
        match askers {
            Ok(listener) => {
                tokio::task::spawn_local(reload_request::answer(listener, reloader.clone()));
            }
            Err(error) => {
                let text =
                    format!("'haring reload' cannot ask this process ({}); SIGUSR2 can", cause(&error));
                log_sink::tell(&control, Level::Warning, &text);
            }
        }
        let around = Around { cores: &cores, reloader, is_master, api };
        let end = signals.wait(&control, &around).await;
        self.manager.tell("STOPPING=1");
        // New connections are refused from now on.
        around.api.abort();
        if let End::Failed(why) = &end {
            log_sink::tell(&control, Level::Alert, why);
        }
        running.stop();
        control::map_writeback::flush(&control);
        log_sink::finish(&control.admin.log, &control.log);
        match end {
            // A master that is interrupted reports its workers' end by signal.
            End::Now(libc::SIGINT) if is_master => 128 + libc::SIGINT as u8,
            End::Now(_) | End::Drained => 0,
            End::Failed(_) => 1,
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

fn failed(message: &str) -> u8 {
    eprintln!("[ALERT]    ({}) : {message}", std::process::id());
    1
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
    process: Arc<ProcessFacts>,
    model: Arc<ArcSwap<Model>>,
    rates: Arc<ProcessRates>,
}

impl InfoSource {
    fn make(&self) -> InfoFacts {
        InfoFacts {
            threads: self.threads,
            started: self.started,
            boot_ms: self.process.boot_ms.load(Relaxed),
            maxconn: self.maxconn.load(Relaxed),
            maxconn_hard: self.model.load().global.maxconn.unwrap_or(0).max(self.maxconn.load(Relaxed)),
            memory_bytes: crate::sys::process::resident_bytes(),
            stopping: self.process.stopping.load(Relaxed),
            patterns_added: self.process.patterns_added.load(Relaxed),
            patterns_freed: self.process.patterns_freed.load(Relaxed),
            descriptors_max: self.descriptors_max,
            driver: accidents(&self.mailboxes).driver(&self.driver, self.threads),
            logs_dropped: self.log.dropped(),
            warnings: self.process.warnings.load(Relaxed),
            connection_rate_limit: self.rates.connections_max.load(Relaxed),
            session_rate_limit: self.rates.sessions_max.load(Relaxed),
        }
    }
}
