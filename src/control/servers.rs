//! Changes of servers' state: every way a server goes up, down, into maintenance or drain, changes
//! weight or address, with HAProxy's log lines and all consequences (tracking, queues, sessions).
//!
//! The only writer of [`ServerState`]'s health, administrative state, weight and address.

use std::sync::Arc;

use super::Control;
use crate::state::ServerState;

/// `set server b/s state ...`, `enable|disable server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AdminOrder {
    Ready,
    Drain,
    Maint,
}

/// Carries out an administrative order.
pub fn set_admin(_control: &Control, _server: &Arc<ServerState>, _order: AdminOrder, _cause: &str) {}

/// `set server b/s weight ...`: `text` is `N` or `N%` (of the initial weight).
pub fn set_weight(_control: &Control, _server: &Arc<ServerState>, _text: &str) -> Result<(), String> {
    Ok(())
}

/// `set server b/s health up|stopping|down`.
pub fn set_health(_control: &Control, _server: &Arc<ServerState>, _word: &str) -> Result<(), String> {
    Ok(())
}

/// `set server b/s addr A [port P]`: the answer to print.
pub fn set_address(
    _control: &Control,
    _server: &Arc<ServerState>,
    _address: Option<&str>,
    _port: Option<&str>,
    _by: &str,
) -> Result<String, String> {
    Ok(String::new())
}
