//! Binds every listening socket before any thread starts, so that a port that is taken is an error
//! at start with its line of the configuration.
//!
//! Three steps, so that a start that fails leaves a process that serves the same addresses untouched: first
//! all addresses are bound, then the paths of Unix sockets are taken over, and last, when nothing can fail any
//! more, the sockets listen. Ports are bound beside the predecessor's by SO_REUSEPORT.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::files::cause;
use super::hand_over::Taken;
use crate::base::id::ListenerId;
use crate::control::admin::Grant;
use crate::diag::{Report, Span};
use crate::engine::accept::{BindLine, Socket};
use crate::model::{Bind, BindAddress, Model, Proxy};
use crate::state::proxy::FrontendStatus;
use crate::sys::process::{is_alive, remove_in, set_ownership, signal};
use crate::sys::socket::{self, BindOptions};

/// `backlog` unless the configuration or `net.core.somaxconn` says otherwise: the kernel caps it.
const BACKLOG_DEFAULT: u32 = 65535;
/// How long to wait before an address in use is tried again.
const BUSY_STEP: Duration = Duration::from_millis(10);
/// How often it is tried again beside processes that are asked to pause, as HAProxy does.
const BUSY_TRIES_HAND_OVER: u32 = 200;
/// How often it is tried again at an ordinary start: a process that was killed holds its addresses until
/// the kernel has taken all of it down.
const BUSY_TRIES: u32 = 50;

/// How often it is tried again at a reload: the data threads close what the reload before has given up in their own
/// time.
const BUSY_TRIES_RELOAD: u32 = 20;

/// The sockets of every data thread, and those of the runtime API.
pub struct Bound {
    /// One list per thread.
    pub cores: Vec<Vec<Socket>>,
    /// `stats socket` lines.
    pub admin: Vec<(OwnedFd, BindAddress, Grant)>,
    /// Sockets of the lists above that do not listen yet.
    quiet: Vec<Quiet>,
    paths: Vec<Replaced>,
}

/// A socket that is bound and does not listen yet.
struct Quiet {
    fd: RawFd,
    backlog: i32,
    span: Span,
    whose: String,
    is_path: bool,
}

/// A Unix socket that was bound beside its path.
struct Replaced {
    temporary: PathBuf,
    path: PathBuf,
    /// What the path led to before, until the start has succeeded, and its folder, which may be out of reach
    /// by its name then.
    backup: Option<(PathBuf, std::fs::File)>,
    span: Span,
}

/// The processes whose addresses this one takes over.
#[derive(Debug, Default)]
pub struct Predecessors {
    pids: Vec<i32>,
    /// Some process is known to share the addresses.
    expected: bool,
    paused: bool,
}

impl Predecessors {
    /// Those of `pids` that are there still (`-sf`, `-st`); `expected` if others share the addresses as well.
    pub fn new(pids: impl IntoIterator<Item = i32>, expected: bool) -> Predecessors {
        let pids: Vec<i32> = pids.into_iter().filter(|pid| is_alive(*pid)).collect();
        Predecessors { expected: expected || !pids.is_empty(), pids, paused: false }
    }
    /// Asks them to pause, once: a process that cannot share its port gives it free then. False if none is
    /// there to be asked.
    fn pause(&mut self) -> bool {
        if !self.paused {
            self.paused = true;
            self.pids.retain(|pid| signal(*pid, libc::SIGTTOU).is_ok());
        }
        !self.pids.is_empty()
    }
    /// Has them go on as if nothing had happened.
    fn resume(&self) {
        if self.paused {
            for pid in &self.pids {
                let _ = signal(*pid, libc::SIGTTIN); // it has ended by itself
            }
        }
    }
}

/// An address to bind.
struct Item<'a> {
    /// None for the runtime API.
    proxy: Option<&'a Arc<Proxy>>,
    bind: &'a Bind,
    outcome: Option<io::Result<Made>>,
}

/// What was bound for an address.
struct Made {
    fds: Vec<OwnedFd>,
    path: Option<PathBuf>,
    /// They are duplicates of one socket.
    is_one: bool,
}

/// Looks at the inherited descriptors that the configuration names, without taking them.
pub fn look(model: &Model, report: &mut Report) {
    for (proxy, bind) in lines(model) {
        let BindAddress::Fd(fd) = bind.address else { continue };
        if let Err(error) = socket::check_listener(fd) {
            cannot_bind(proxy, bind, &error, report);
        }
    }
}

/// Every `bind` line of a frontend that is enabled and every `stats socket`, which has no proxy.
fn lines(model: &Model) -> impl Iterator<Item = (Option<&Arc<Proxy>>, &Bind)> {
    let frontends = model.proxies.iter().filter(|proxy| proxy.is_frontend && !proxy.disabled);
    let of_frontends = frontends.flat_map(|proxy| proxy.binds.iter().map(move |bind| (Some(proxy), bind)));
    of_frontends.chain(model.global.stats_sockets.iter().map(|bind| (None, bind)))
}

/// Whose the line is, for messages.
fn owner(proxy: Option<&Arc<Proxy>>) -> String {
    match proxy {
        Some(proxy) if proxy.is_backend => format!("proxy {}", proxy.name),
        Some(proxy) => format!("frontend {}", proxy.name),
        None => "stats socket".to_owned(),
    }
}

fn cannot_bind(proxy: Option<&Arc<Proxy>>, bind: &Bind, error: &io::Error, report: &mut Report) {
    let (whose, address) = (owner(proxy), text(&bind.address));
    let message = format!("{whose}: cannot bind socket ({}) for [{address}]", cause(error));
    let diagnostic = report.alert(bind.span, message);
    if error.kind() == io::ErrorKind::AddrInUse {
        diagnostic.help("another process listens there: stop it, or choose another address");
    }
}

/// Binds everything that was not `taken` from another process; what fails is reported with its line.
pub fn bind_all(
    model: &Arc<Model>,
    threads: usize,
    taken: &mut Taken,
    old: &mut Predecessors,
    report: &mut Report,
) -> Bound {
    let mut items: Vec<Item<'_>> =
        lines(model).map(|(proxy, bind)| Item { proxy, bind, outcome: None }).collect();
    check_threads(&items, threads, report);
    if report.has_alerts() {
        items.clear();
    }
    let tries = if old.pids.is_empty() { BUSY_TRIES } else { BUSY_TRIES_HAND_OVER };
    let share = !model.global.no_reuseport;
    for attempt in 0..=tries {
        let (mut busy, mut hopeless) = (false, false);
        for item in items.iter_mut().filter(|item| !matches!(item.outcome, Some(Ok(_)))) {
            let threads = if item.proxy.is_some() { serving(item.bind, threads).len() } else { 1 };
            let options = options(item.bind, share);
            let outcome = open(&item.bind.address, &options, threads, taken, old.expected);
            if let Err(error) = &outcome {
                let in_use = error.kind() == io::ErrorKind::AddrInUse;
                busy |= in_use;
                hopeless |= !in_use;
            }
            item.outcome = Some(outcome);
        }
        // A start that fails for another reason disturbs no running process.
        if !busy || hopeless || attempt == tries || (!old.pids.is_empty() && !old.pause()) {
            break;
        }
        std::thread::sleep(BUSY_STEP);
    }
    let bound = collect(model, items, threads, report);
    if report.has_alerts() {
        bound.withdraw();
        old.resume();
    } else {
        // Each was a listening socket, or there were alerts.
        inherited(model).into_iter().for_each(socket::release_inherited);
    }
    bound
}

/// Lines whose `thread` names no thread that there is.
fn check_threads(items: &[Item<'_>], threads: usize, report: &mut Report) {
    for item in items.iter().filter(|item| item.proxy.is_some() && serving(item.bind, threads).is_empty()) {
        let message = format!("'thread' names none of the {threads} threads that there are");
        report.alert(item.bind.span, message).help("set 'nbthread', or name threads from 1 on");
    }
}

/// What a reload makes of the listeners that there are: the lines of the new model that go on with the sockets of
/// one of the `current` ones, and sockets for the others. What cannot be bound is reported with its line.
pub fn rebind(
    current: &[Arc<BindLine>],
    model: &Arc<Model>,
    threads: usize,
    report: &mut Report,
) -> (Vec<Arc<BindLine>>, Bound) {
    let is_stopped = |line: &&Arc<BindLine>| {
        line.proxy.state.frontend_status.load(Relaxed) == FrontendStatus::Stopped as u8
    };
    let mut left: Vec<_> = current.iter().filter(|line| !is_stopped(line)).collect();
    let (mut kept, mut items) = (Vec::new(), Vec::new());
    for proxy in model.proxies.iter().filter(|proxy| proxy.is_frontend && !proxy.disabled) {
        for bind in &proxy.binds {
            let Some(at) = left.iter().position(|line| is_same_socket(&line.bind, bind)) else {
                items.push(Item { proxy: Some(proxy), bind, outcome: None });
                continue;
            };
            let line = left.remove(at);
            let is_same_frontend = line.proxy.state.ident == proxy.state.ident;
            kept.push(Arc::new(BindLine {
                ident: line.ident,
                model: model.clone(),
                proxy: proxy.clone(),
                bind: bind.clone(),
                connections: if is_same_frontend { line.connections.clone() } else { Arc::default() },
                address: line.address,
                everywhere: line.everywhere,
            }));
        }
    }
    check_threads(&items, threads, report);
    let port_of = |bind: &Bind| match &bind.address {
        BindAddress::Inet(address) => Some(address.port()),
        _ => None,
    };
    let own_ports: BTreeSet<_> = current.iter().filter_map(|line| port_of(&line.bind)).collect();
    for item in &mut items {
        if matches!(item.bind.address, BindAddress::Fd(_)) {
            let message = format!("[{}] can be inherited at the start only", text(&item.bind.address));
            report.alert(item.bind.span, message).help("restart the process, or keep the line as it was");
        }
        if report.has_alerts() {
            continue;
        }
        let serving = serving(item.bind, threads).len();
        let options = options(item.bind, !model.global.no_reuseport);
        // Beside a socket of this process's own no other listener can be told apart.
        let expected = port_of(item.bind).is_some_and(|port| own_ports.contains(&port));
        for attempt in 0..=BUSY_TRIES_RELOAD {
            let outcome = open(&item.bind.address, &options, serving, &mut Taken::default(), expected);
            let is_busy = matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
            item.outcome = Some(outcome);
            if !is_busy || attempt == BUSY_TRIES_RELOAD {
                break;
            }
            std::thread::sleep(BUSY_STEP);
        }
    }
    let bound = collect(model, items, threads, report);
    (kept, bound)
}

/// Whether a socket that was made for a line serves another one as it is.
fn is_same_socket(made_for: &Bind, bind: &Bind) -> bool {
    let options = |bind: &Bind| {
        (
            (bind.v6only, bind.transparent, bind.interface.clone(), bind.tcp_fast_open, bind.defer_accept),
            (bind.tcp_user_timeout_ms, bind.mss, bind.threads.clone()),
            (bind.unix_mode, bind.unix_uid, bind.unix_gid),
        )
    };
    made_for.address == bind.address && options(made_for) == options(bind)
}

/// Sorts what was bound by its users, and reports what was not.
fn collect(model: &Arc<Model>, items: Vec<Item<'_>>, threads: usize, report: &mut Report) -> Bound {
    let mut bound = Bound {
        cores: (0..threads).map(|_| Vec::new()).collect(),
        admin: Vec::new(),
        quiet: Vec::new(),
        paths: Vec::new(),
    };
    for Item { proxy, bind, outcome } in items {
        let whose = owner(proxy);
        let made = match outcome {
            Some(Ok(made)) => made,
            Some(Err(error)) => {
                cannot_bind(proxy, bind, &error, report);
                continue;
            }
            None => continue,
        };
        let is_path = matches!(bind.address, BindAddress::Unix(_));
        let backlog = backlog(bind, proxy.and_then(|proxy| proxy.backlog));
        // Sockets that threads share listen all at once, and inherited ones do already.
        let quiet = match bind.address {
            BindAddress::Inet(_) => made.fds.len(),
            BindAddress::Unix(_) | BindAddress::Abstract(_) => 1,
            BindAddress::Fd(_) => 0,
        };
        for fd in made.fds.iter().take(quiet).map(AsRawFd::as_raw_fd) {
            bound.quiet.push(Quiet { fd, backlog, span: bind.span, whose: whose.clone(), is_path });
        }
        if let (Some(temporary), BindAddress::Unix(path)) = (made.path, &bind.address) {
            if let Err(error) = set_ownership(&temporary, bind.unix_uid, bind.unix_gid, bind.unix_mode) {
                let what = format!("{whose}: cannot set owner or mode of the socket: {}", cause(&error));
                report.alert(bind.span, what);
            }
            bound.paths.push(Replaced { temporary, path: path.clone(), backup: None, span: bind.span });
        }
        let Some(proxy) = proxy else {
            let grant = Grant { level: bind.level, exposes_listeners: bind.expose_fd };
            bound.admin.extend(made.fds.into_iter().map(|fd| (fd, bind.address.clone(), grant)));
            continue;
        };
        let served_by = serving(bind, threads);
        // A socket for any address, or for others' (`transparent`), learns it with each connection.
        let address = made.fds.first().and_then(|fd| socket::local_address(fd.as_raw_fd()));
        let line = Arc::new(BindLine {
            ident: ListenerId::next(),
            model: model.clone(),
            proxy: proxy.clone(),
            bind: bind.clone(),
            connections: Arc::default(),
            address: address.filter(|address| !(address.ip().is_unspecified() || bind.transparent)),
            everywhere: served_by.len() == threads,
        });
        let shared = !matches!(bind.address, BindAddress::Inet(_));
        for (fd, core) in made.fds.into_iter().zip(served_by.into_iter().cycle()) {
            let among_threads = made.is_one;
            bound.cores[core].push(Socket { fd, line: line.clone(), shared, backlog, among_threads });
        }
    }
    bound
}

impl Bound {
    /// Takes the paths of Unix sockets over: from now on they lead here. To be called while they can be
    /// reached (`chroot`).
    pub fn take_paths(&mut self, report: &mut Report) {
        for quiet in self.quiet.iter().filter(|quiet| quiet.is_path) {
            quiet.listen(report);
        }
        for replaced in &mut self.paths {
            let backup = beside(&replaced.path, "bak");
            let _ = std::fs::remove_file(&backup);
            let folder = replaced.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = std::fs::File::open(folder.unwrap_or(Path::new(".")));
            replaced.backup = match (std::fs::hard_link(&replaced.path, &backup), folder) {
                (Ok(()), Ok(folder)) => Some((backup, folder)),
                (Ok(()), Err(_)) => {
                    let _ = std::fs::remove_file(&backup);
                    None
                }
                (Err(_), _) => None, // no process was there
            };
            if let Err(error) = std::fs::rename(&replaced.temporary, &replaced.path) {
                let message =
                    format!("cannot bind socket ({}) for [{}]", cause(&error), replaced.path.display());
                report.alert(replaced.span, message);
            }
        }
        if report.has_alerts() {
            self.withdraw();
        }
    }
    /// The start has failed: the paths lead to their previous owners again.
    pub fn withdraw(&self) {
        for replaced in &self.paths {
            let _ = std::fs::remove_file(&replaced.temporary);
            if let Some((backup, _)) = &replaced.backup {
                let _ = std::fs::rename(backup, &replaced.path);
            }
        }
    }
    /// The start has come so far that the paths need not be given back. The rights of the start are needed,
    /// its root directory is not.
    pub fn keep_paths(&mut self) {
        for (backup, folder) in self.paths.iter_mut().filter_map(|replaced| replaced.backup.take()) {
            let name = backup.file_name().unwrap_or_default();
            let _ = remove_in(folder.as_raw_fd(), name); // it is only a leftover
        }
    }
    /// Has the sockets listen.
    pub fn listen(&self, report: &mut Report) {
        for quiet in self.quiet.iter().filter(|quiet| !quiet.is_path) {
            quiet.listen(report);
        }
    }
}

impl Quiet {
    fn listen(&self, report: &mut Report) {
        if let Err(error) = socket::listen(self.fd, self.backlog) {
            let message = format!("{}: cannot listen to socket ({})", self.whose, cause(&error));
            let diagnostic = report.alert(self.span, message);
            if error.kind() == io::ErrorKind::AddrInUse {
                diagnostic.help("another line of this configuration, or another process, has this address");
            }
        }
    }
}

/// The descriptors the configuration names, each once.
fn inherited(model: &Model) -> BTreeSet<RawFd> {
    let fd = |(_, bind): (_, &Bind)| if let BindAddress::Fd(fd) = bind.address { Some(fd) } else { None };
    lines(model).filter_map(fd).collect()
}

/// Places of the threads that serve a listener; none if its line names only threads that there are not.
fn serving(bind: &Bind, threads: usize) -> Vec<usize> {
    if bind.threads.is_empty() {
        return (0..threads).collect();
    }
    let there: BTreeSet<usize> = bind.threads.iter().filter(|n| **n <= threads).map(|n| n - 1).collect();
    there.into_iter().collect()
}

fn backlog(bind: &Bind, proxy_backlog: Option<u32>) -> i32 {
    let backlog = bind.backlog.or(proxy_backlog).unwrap_or(BACKLOG_DEFAULT);
    i32::try_from(backlog).unwrap_or(i32::MAX)
}

fn options(bind: &Bind, reuse_port: bool) -> BindOptions {
    BindOptions {
        reuse_port,
        v6only: bind.v6only,
        transparent: bind.transparent,
        interface: bind.interface.clone(),
        tcp_fast_open: bind.tcp_fast_open.then(|| backlog(bind, None)),
        defer_accept: bind.defer_accept,
        user_timeout_ms: bind.tcp_user_timeout_ms,
        mss: bind.mss,
    }
}

/// One socket per thread: with SO_REUSEPORT for TCP, shared ones otherwise. `expected`: another process may
/// have the address, and this one joins it.
fn open(
    address: &BindAddress,
    options: &BindOptions,
    threads: usize,
    taken: &mut Taken,
    expected: bool,
) -> io::Result<Made> {
    let share = |first: OwnedFd| -> io::Result<Vec<OwnedFd>> {
        let mut made = Vec::new();
        for _ in 1..threads {
            made.push(first.try_clone()?);
        }
        made.push(first);
        Ok(made)
    };
    let mut temporary = None;
    let given = taken.claim(address, options);
    if !given.is_empty() {
        return complete(given, address, options, threads);
    }
    let is_one = !options.reuse_port || !matches!(address, BindAddress::Inet(_));
    let fds = match address {
        BindAddress::Inet(address) if !options.reuse_port => share(socket::bind_inet(*address, options)?)?,
        BindAddress::Inet(address) => {
            if !expected {
                probe(*address, options)?;
            }
            let all: io::Result<Vec<OwnedFd>> =
                (0..threads).map(|_| socket::bind_inet(*address, options)).collect();
            all?
        }
        BindAddress::Unix(path) => {
            let beside = beside(path, "tmp");
            let _ = std::fs::remove_file(&beside);
            let fd = socket::bind_unix(beside.as_os_str().as_bytes())?;
            temporary = Some(beside);
            share(fd)?
        }
        BindAddress::Abstract(name) => {
            let mut path = vec![0];
            path.extend_from_slice(name);
            share(socket::bind_unix(&path)?)?
        }
        BindAddress::Fd(fd) => {
            let all: io::Result<Vec<OwnedFd>> = (0..threads).map(|_| socket::adopt_listener(*fd)).collect();
            all?
        }
    };
    Ok(Made { fds, path: temporary, is_one })
}

/// Sockets that another process had for an address: all of them are kept, since connections wait in each, and
/// every thread has at least one.
fn complete(
    mut fds: Vec<OwnedFd>,
    address: &BindAddress,
    options: &BindOptions,
    threads: usize,
) -> io::Result<Made> {
    let mut is_one = false;
    while fds.len() < threads {
        let beside = match address {
            BindAddress::Inet(address) if options.reuse_port => socket::bind_inet(*address, options).ok(),
            _ => None,
        };
        // A socket that its owner did not mean to share is shared by the threads.
        is_one |= beside.is_none();
        fds.push(match beside {
            Some(fd) => fd,
            None => fds[0].try_clone()?,
        });
    }
    Ok(Made { fds, path: None, is_one })
}

/// Binds once without sharing, to see whether a process listens there: one of the same user would be
/// joined silently. It does not listen, so that no connection meets it.
fn probe(address: std::net::SocketAddr, options: &BindOptions) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let alone = BindOptions { reuse_port: false, tcp_fast_open: None, ..options.clone() };
    socket::bind_inet(address, &alone).map(drop)
}

/// A name of this process's own beside a path.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{suffix}", std::process::id()));
    name.into()
}

fn text(address: &BindAddress) -> String {
    match address {
        BindAddress::Inet(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
        BindAddress::Fd(fd) => format!("fd@{fd}"),
    }
}
