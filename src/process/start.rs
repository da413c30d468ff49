//! From a validated model to a running process.

use std::cell::RefCell;
use std::sync::Arc;

use super::args::Options;
use super::check::{self, Loaded};
use super::console::Console;
use super::run;
use crate::diag::{Level, Report};

/// Starts the process on `loaded`; returns when it ends, with its exit code, or with the reason why it
/// did not start.
pub fn start(options: &Options, loaded: Loaded) -> Result<u8, String> {
    if !check::has_listener(&loaded.model) {
        return Err(
            "[haring] no listener: neither a 'bind' line nor a 'stats socket' is there to serve".into()
        );
    }
    let console = Console::new(options);
    let mut model = loaded.model;
    model.global.maxconn = options.maxconn.or(model.global.maxconn);
    model.global.quiet |= options.is_silent();
    if let Some(megabytes) = options.memory_mb {
        crate::sys::process::limit_memory(megabytes << 20)
            .map_err(|error| format!("-m {megabytes}: {error}"))?;
    }
    for (given, what) in [
        (
            !options.master_sockets.is_empty(),
            "-S: one process plays master and worker; use its 'stats socket'",
        ),
        (
            options.old_socket.is_some(),
            "-x: sockets are not taken over from another process yet; they are bound anew",
        ),
        (options.proxy_maxconn.is_some(), "-N: set 'maxconn' in the configuration instead"),
    ] {
        if given && !options.is_silent() {
            console.message(Level::Notice, what);
        }
    }
    let run_options = run::Options {
        daemon: options.daemon,
        foreground: options.foreground || options.debug,
        pidfile: options.pidfile.clone(),
        master_worker: options.master_worker || options.systemd || model.global.master_worker,
        finish: options.finish.clone(),
        terminate: options.terminate.clone(),
        warnings: u64::from(loaded.warnings),
    };
    let report = RefCell::new(Report::default());
    let code =
        run::serve(Arc::new(model), &run_options, &mut report.borrow_mut(), |report| console.report(report));
    Ok(code)
}
