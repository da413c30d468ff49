//! From a validated model to a running process.

use std::sync::Arc;

use super::args::Options;
use super::check::{self, Loaded};
use super::console::Console;
use super::run;
use crate::diag::{Level, Report};
use crate::model::Global;

/// Memory of a process without connections, in MiB: threads, the configuration, pools.
const BASE_MB: u64 = 16;
/// Bytes of a connection beside its buffers: its task, its transaction, its server connection.
const CONNECTION_BYTES: u64 = 4096;

/// How many connections fit into a limit on memory (`-m`): each with a buffer for either direction.
///
/// The limit is kept by accepting no more than that, not by a limit of the kernel's (setrlimit): there the
/// allocator's reservations would count, and sessions would be closed that could have waited.
fn connections_within(megabytes: u64, bufsize: u64) -> Result<u32, String> {
    let left = megabytes.saturating_sub(BASE_MB) << 20;
    match u32::try_from(left / (2 * bufsize + CONNECTION_BYTES)).unwrap_or(u32::MAX) {
        0 => Err(format!("-m {megabytes}: no connection fits; use {} or more", BASE_MB + 1)),
        count => Ok(count),
    }
}

/// What a process that keeps all rights is told.
fn warn_of_root(global: &Global, console: &Console) {
    if !crate::sys::process::is_root() {
        return;
    }
    if global.chroot.is_none() {
        let text = "started as root without 'chroot': an intruder would see the whole file system. Set 'chroot' \
                    to an empty directory, or to '/' to say that this is meant.";
        console.message(Level::Warning, text);
    }
    if global.uid.is_none() {
        let text = "started as root without 'user' or 'uid': the process keeps all rights. Set 'user' to one \
                    without any, or 'user root' to say that this is meant.";
        console.message(Level::Warning, text);
    }
}

/// Starts the process on `loaded`; returns when it ends, with its exit code, or with the reason why it
/// did not start.
pub fn start(options: &Options, loaded: Loaded, console: &Console) -> Result<u8, String> {
    if !check::has_listener(&loaded.model) {
        return Err(
            "[haring] no listener: neither a 'bind' line nor a 'stats socket' is there to serve".into()
        );
    }
    let mut model = loaded.model;
    model.global.maxconn = options.maxconn.or(model.global.maxconn);
    model.global.quiet |= options.is_silent();
    model.global.no_reuseport |= options.switches.no_reuseport;
    let connections_by_memory = match options.memory_mb {
        Some(megabytes) => Some(connections_within(megabytes, model.global.bufsize as u64)?),
        None => None,
    };
    if let (Some(fit), Some(wanted)) = (connections_by_memory, model.global.maxconn)
        && fit < wanted
    {
        console.message(Level::Warning, &format!("-m: {fit} connections fit, not {wanted} ('maxconn')"));
    }
    for (given, level, what) in [
        (
            !options.master_sockets.is_empty(),
            Level::Warning,
            "-S: there is no master process, so no socket of a master appears. Commands for workers go to a \
             'stats socket'; 'reload' and '@<worker>' are not available.",
        ),
        (options.proxy_maxconn.is_some(), Level::Notice, "-N: set 'maxconn' in the configuration instead"),
    ] {
        if given {
            console.message(level, what);
        }
    }
    let run_options = run::Options {
        daemon: options.daemon,
        foreground: options.foreground || options.debug,
        pidfile: options.pidfile.clone(),
        master_worker: options.master_worker || options.systemd || model.global.master_worker,
        finish: options.finish.clone(),
        terminate: options.terminate.clone(),
        // HAProxy's own scripts name /dev/null for "no process".
        old_socket: options.old_socket.clone().filter(|path| path != "/dev/null"),
        connections_by_memory,
        command_line: options.clone(),
    };
    let mut report = Report::of_start(loaded.report);
    warn_of_root(&model.global, console);
    let now_s = crate::base::clock::read().wall_secs();
    crate::control::servers::saved::restore(&model, now_s, |path| std::fs::read(path), &mut report);
    if !report.diagnostics.is_empty() {
        console.report(&report);
        report.clear();
    }
    Ok(run::serve(Arc::new(model), &run_options, &mut report, console))
}

#[cfg(test)]
mod tests {
    use super::connections_within;

    #[test]
    fn memory_bounds_connections() {
        for (megabytes, bufsize, expected) in
            [(16, 16384, None), (17, 16384, Some(28)), (100, 16384, Some(2389)), (100, 32768, Some(1264))]
        {
            assert_eq!(connections_within(megabytes, bufsize).ok(), expected, "{megabytes} {bufsize}");
        }
    }
}
