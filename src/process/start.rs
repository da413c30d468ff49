//! From a validated model to a running process.

use std::cell::RefCell;
use std::sync::Arc;

use super::args::Options;
use super::check::{self, Loaded};
use super::console::Console;
use super::run;
use crate::diag::Report;

/// Starts the process on `loaded`; returns when it ends, with its exit code, or with the reason why it
/// did not start.
pub fn start(options: &Options, loaded: Loaded) -> Result<u8, String> {
    if !check::has_listener(&loaded.model) {
        return Err(
            "[haring] no listener: neither a 'bind' line nor a 'stats socket' is there to serve".into()
        );
    }
    let mut model = loaded.model;
    model.global.maxconn = options.maxconn.or(model.global.maxconn);
    model.global.quiet |= options.is_silent();
    let run_options = run::Options {
        daemon: options.daemon,
        foreground: options.foreground || options.debug,
        pidfile: options.pidfile.clone(),
        master_worker: options.master_worker || options.systemd || model.global.master_worker,
        finish: options.finish.clone(),
        terminate: options.terminate.clone(),
        warnings: u64::from(loaded.warnings),
    };
    let console = Console::new(options);
    let report = RefCell::new(Report::default());
    let code =
        run::serve(Arc::new(model), &run_options, &mut report.borrow_mut(), |report| console.report(report));
    Ok(code)
}
