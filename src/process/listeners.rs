//! Binds every listening socket before any thread starts, so that a port that is taken is an error
//! at start with its line of the configuration.

use std::collections::BTreeSet;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::diag::Report;
use crate::engine::accept::Socket;
use crate::model::bind::CliLevel;
use crate::model::{Bind, BindAddress, Model, Proxy};
use crate::sys::process::set_ownership;
use crate::sys::socket::{self, ListenOptions};

/// `backlog` unless the configuration or `net.core.somaxconn` says otherwise: the kernel caps it.
const BACKLOG_DEFAULT: u32 = 65535;

/// The sockets of every data thread, and those of the runtime API.
pub struct Bound {
    /// One list per thread.
    pub cores: Vec<Vec<Socket>>,
    /// `stats socket` lines.
    pub admin: Vec<(OwnedFd, BindAddress, CliLevel)>,
}

/// Binds everything; what fails is reported with its line.
pub fn bind_all(model: &Model, threads: usize, report: &mut Report) -> Bound {
    let mut cores: Vec<Vec<Socket>> = (0..threads).map(|_| Vec::new()).collect();
    for proxy in model.proxies.iter().filter(|proxy| proxy.is_frontend && !proxy.disabled) {
        for bind in &proxy.binds {
            bind_one(proxy, bind, &mut cores, report);
        }
    }
    let mut admin = Vec::new();
    for bind in &model.global.stats_sockets {
        match open(&bind.address, &options(bind, None), 1) {
            Ok(mut made) => {
                if let Err(error) = own(bind) {
                    report.alert(bind.span, format!("cannot set owner or mode of stats socket: {error}"));
                }
                if let Some(fd) = made.pop() {
                    admin.push((fd, bind.address.clone(), bind.level));
                }
            }
            Err(error) => {
                report
                    .alert(bind.span, format!("cannot bind stats socket [{}]: {error}", text(&bind.address)));
            }
        }
    }
    if !report.has_alerts() {
        // Each was a listening socket, or there were alerts.
        inherited(model).into_iter().for_each(socket::release_inherited);
    }
    Bound { cores, admin }
}

/// The descriptors the configuration names, each once.
fn inherited(model: &Model) -> BTreeSet<RawFd> {
    let frontends = model.proxies.iter().filter(|proxy| proxy.is_frontend && !proxy.disabled);
    frontends
        .flat_map(|proxy| proxy.binds.iter())
        .chain(&model.global.stats_sockets)
        .filter_map(|bind| match &bind.address {
            BindAddress::Fd(fd) => Some(*fd),
            _ => None,
        })
        .collect()
}

fn bind_one(proxy: &Arc<Proxy>, bind: &Bind, cores: &mut [Vec<Socket>], report: &mut Report) {
    let serving = serving(bind, cores.len());
    match open(&bind.address, &options(bind, proxy.backlog), serving.len()) {
        Ok(made) => {
            if let Err(error) = own(bind) {
                report.alert(bind.span, format!("cannot set owner or mode of the socket: {error}"));
            }
            let bind = Arc::new(bind.clone());
            let connections = Arc::default();
            for (fd, core) in made.into_iter().zip(serving) {
                let connections = Arc::clone(&connections);
                cores[core].push(Socket { fd, proxy: proxy.clone(), bind: bind.clone(), connections });
            }
        }
        Err(error) => {
            let side = if proxy.is_backend { "proxy" } else { "frontend" };
            let message = format!(
                "Starting {side} {}: cannot bind socket ({error}) for [{}]",
                proxy.name,
                text(&bind.address)
            );
            let diagnostic = report.alert(bind.span, message);
            if error.kind() == std::io::ErrorKind::AddrInUse {
                diagnostic.help("another process listens there: stop it, or choose another port");
            }
        }
    }
}

/// Places of the threads that serve a listener. As in HAProxy, one that names none of those that there are
/// is served by a single one: its numbers are taken modulo the threads.
fn serving(bind: &Bind, threads: usize) -> Vec<usize> {
    if bind.threads.is_empty() {
        return (0..threads).collect();
    }
    let there: BTreeSet<usize> = bind.threads.iter().filter(|n| **n <= threads).map(|n| n - 1).collect();
    if there.is_empty() {
        return bind.threads.iter().map(|n| (n - 1) % threads).take(1).collect();
    }
    there.into_iter().collect()
}

fn options(bind: &Bind, proxy_backlog: Option<u32>) -> ListenOptions {
    let backlog = bind.backlog.or(proxy_backlog).unwrap_or(BACKLOG_DEFAULT);
    ListenOptions {
        backlog: i32::try_from(backlog).unwrap_or(i32::MAX),
        reuse_port: true,
        v6only: bind.v6only,
        transparent: bind.transparent,
        interface: bind.interface.clone(),
        tcp_fast_open: bind.tcp_fast_open,
        defer_accept: bind.defer_accept,
        user_timeout_ms: bind.tcp_user_timeout_ms,
        mss: bind.mss,
    }
}

/// One socket per thread: with SO_REUSEPORT for TCP, shared ones otherwise.
fn open(address: &BindAddress, options: &ListenOptions, threads: usize) -> std::io::Result<Vec<OwnedFd>> {
    let share = |first: OwnedFd| -> std::io::Result<Vec<OwnedFd>> {
        let mut made = Vec::new();
        for _ in 1..threads {
            made.push(first.try_clone()?);
        }
        made.push(first);
        Ok(made)
    };
    match address {
        BindAddress::Inet(address) => {
            // Without this, a process of the same user that listens already would be joined silently.
            probe(*address, options)?;
            (0..threads).map(|_| socket::listen_inet(*address, options)).collect()
        }
        BindAddress::Unix(path) => share(listen_path(path, options.backlog)?),
        BindAddress::Abstract(name) => {
            let mut path = vec![0];
            path.extend_from_slice(name);
            share(socket::listen_unix(&path, options.backlog)?)
        }
        BindAddress::Fd(fd) => (0..threads).map(|_| socket::adopt_listener(*fd)).collect(),
    }
}

/// Binds once without sharing, to see whether the address is free.
fn probe(address: std::net::SocketAddr, options: &ListenOptions) -> std::io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let alone = ListenOptions { reuse_port: false, tcp_fast_open: false, ..options.clone() };
    socket::listen_inet(address, &alone).map(drop)
}

/// A Unix socket in place of a stale one of the same path: made beside it and renamed over it, so
/// that there is no moment without one.
fn listen_path(path: &Path, backlog: i32) -> std::io::Result<OwnedFd> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = Path::new(&beside);
    let _ = std::fs::remove_file(beside);
    let fd = socket::listen_unix(beside.as_os_str().as_bytes(), backlog)?;
    std::fs::rename(beside, path).inspect_err(|_| {
        let _ = std::fs::remove_file(beside);
    })?;
    Ok(fd)
}

fn own(bind: &Bind) -> std::io::Result<()> {
    match &bind.address {
        BindAddress::Unix(path) => set_ownership(path, bind.unix_uid, bind.unix_gid, bind.unix_mode),
        _ => Ok(()),
    }
}

fn text(address: &BindAddress) -> String {
    match address {
        BindAddress::Inet(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
        BindAddress::Fd(fd) => format!("fd@{fd}"),
    }
}
