//! Tells the world about changes: log lines to the backend's targets, and the same text on stderr.

use super::super::{Control, log_sink};
use super::View;
use crate::base::clock;
use crate::diag::Level;
use crate::health::status;
use crate::log::queue::Line;
use crate::model::Proxy;
use crate::state::server::Operational;

/// Syslog levels of the lines.
#[allow(missing_docs)]
pub mod level {
    pub const EMERG: u8 = 0;
    pub const ALERT: u8 = 1;
    pub const NOTICE: u8 = 5;
}

/// Sends a line to the log targets of the server's backend and a copy to stderr.
pub fn say(control: &Control, view: &View, level: u8, text: &str) {
    let label = if level == level::EMERG { Level::Alert } else { Level::Warning };
    // What a server said may be in it.
    let mut line = text.as_bytes().to_vec();
    crate::base::text::one_line(&mut line, 0);
    let text = &*crate::base::text::lossy(&line);
    log_sink::tell(control, label, text);
    if let Some(proxy) = &view.proxy {
        log(control, proxy, level, text);
    }
}

/// Sends a line to the log targets of a proxy.
pub fn log(control: &Control, proxy: &Proxy, level: u8, text: &str) {
    let tag = proxy.log_tag.clone().unwrap_or_else(|| control.model().global.tag());
    let mut message = text.as_bytes().to_vec();
    crate::base::text::one_line(&mut message, 0);
    control.log.send(Line {
        targets: proxy.log.clone(),
        level,
        wall_us: clock::read().wall_us,
        tag,
        message,
        structured_data: None,
    });
}

/// Why a server changed its operational state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// It was told before, or it follows another server.
    None,
    /// The health check's report says it.
    Health,
    /// The agent's report says it.
    Agent,
    /// A text, such as `changed from CLI`.
    Text(&'a str),
}

impl View {
    /// `Server be/srv`, `Backup Server be/srv`.
    pub fn title(&self) -> String {
        let backup = if self.is_backup() { "Backup " } else { "" };
        format!("{backup}Server {}", self.state.full_name())
    }
    /// `, reason: ...`.
    pub fn cause(&self, cause: Cause<'_>) -> String {
        match cause {
            Cause::None => String::new(),
            Cause::Health => status::reason(&self.state.check.load()),
            Cause::Agent => status::reason(&self.state.agent.load()),
            Cause::Text(text) => format!(", {text}"),
        }
    }
    /// ` via be/srv` for a server that follows another, unless the change was forced on it.
    pub fn via(&self, forced: bool) -> String {
        match self.server.as_ref().and_then(|server| server.track.as_ref()) {
            Some(tracked) if !forced => format!(" via {}", tracked.full_name()),
            _ => String::new(),
        }
    }
    /// How many servers are left or online, and what became of the sessions.
    pub fn balance_of(&self, requeued: u32) -> String {
        let (active, backup) = self.usable();
        let fallback = if backup > 0 && active == 0 { " Running on backup." } else { "" };
        let queued = self.state.queue.len();
        let served = self.state.served.load(std::sync::atomic::Ordering::Relaxed);
        if self.state.operational() == Operational::Stopped || self.is_in_maintenance() {
            format!(
                ". {active} active and {backup} backup servers left.{fallback} {served} sessions active, \
                 {requeued} requeued, {queued} remaining in queue"
            )
        } else {
            format!(
                ". {active} active and {backup} backup servers online.{fallback} {requeued} sessions requeued, \
                 {queued} total in queue"
            )
        }
    }
}
