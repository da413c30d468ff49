//! What the runtime API, the log sink and map write-back keep between two moments.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::control::log_sink;
use crate::control::map_writeback::Pending;

/// Part of [`crate::control::Control`]; `Default` is the state at the start.
#[derive(Debug, Default)]
pub struct Shared {
    /// What is shared with the log writer, rings above all.
    pub log: Arc<log_sink::Shared>,
    /// Maps that wait to be written back.
    pub pending: RefCell<Pending>,
    /// What was reported while the configuration was loaded (`show startup-logs`).
    pub startup_logs: RefCell<String>,
    /// Whether the process is stopping.
    pub stopping: Cell<bool>,
    /// `set rate-limit`: limits per second as changed at run time.
    pub connection_rate_limit: Cell<Option<u32>>,
    /// See `connection_rate_limit`.
    pub session_rate_limit: Cell<Option<u32>>,
}
