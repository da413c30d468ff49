//! Two renderings: rustc's for a person at a terminal, HAProxy's one line for everything else.

use super::{Diagnostic, Report};

/// HAProxy's one-line form.
pub fn render_haproxy(_report: &Report, _diagnostic: &Diagnostic, _pid: u32) -> String {
    String::new()
}

/// The form with the source line underlined.
pub fn render_rich(_report: &Report, _diagnostic: &Diagnostic, _color: bool) -> String {
    String::new()
}
