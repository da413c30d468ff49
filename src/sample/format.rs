//! Log-format strings (manual, section 8.2.6): compiled once, evaluated per line or per header.

use super::expr::ParseContext;
use super::facts::Context;
use crate::diag::Span;

/// A compiled format string.
#[derive(Debug, Default)]
pub struct LogFormat {}

impl LogFormat {
    /// Compiles `text`; on a mistake reports it and returns `None`.
    pub fn parse(_text: &str, _span: Span, _context: &mut ParseContext<'_>) -> Option<LogFormat> {
        None
    }
    /// Appends the formatted text; with `dash_for_empty` an absent value prints `-`, as logs want it.
    pub fn write(&self, _context: &Context<'_>, _dash_for_empty: bool, _out: &mut Vec<u8>) {}
}
