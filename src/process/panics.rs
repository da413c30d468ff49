//! What a panic says, without waiting for a reader.
//!
//! Rust's own hook writes to standard error and blocks if that is a full pipe without a reader: the thread whose
//! connection made the panic would serve no client any more. So the message goes through the log writer, whose
//! queue is bounded and never blocks.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, set_hook};
use std::sync::Arc;

use crate::control::log_sink::tell_queue;
use crate::diag::{Level, render_line};
use crate::log::queue::LogQueue;
use crate::sys::log_fd;

/// Takes the place of Rust's hook.
pub fn install(log: &Arc<LogQueue>) {
    let log = log.clone();
    set_hook(Box::new(move |info| {
        let text = describe(info);
        match std::thread::current().name() {
            // A data thread goes on after it, and the writer with it.
            Some(name) if name.starts_with("haring/") => {
                tell_queue(&log, Level::Alert, &text);
            }
            // The writer itself, or the control thread, with which the process may end.
            _ => {
                let line = render_line(Level::Alert, std::process::id(), &text);
                let _ = log_fd::write_if_ready(libc::STDERR_FILENO, line.as_bytes());
            }
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let payload = info.payload();
    let said = payload.downcast_ref::<&str>().copied();
    let said =
        said.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)");
    let mut text = format!("thread '{name}' panicked at {place}: {said}");
    // Only with RUST_BACKTRACE.
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("\n{trace}"));
    }
    text
}
