//! Runs health and agent checks over sockets, one task per server.

use std::rc::Rc;

use super::Control;

/// Starts the checks of every server of the model; they run until the runtime ends.
pub fn start(_control: &Rc<Control>) {}
