//! Redirections: `redirect` and `http-request redirect` (manual, section 4.2 `redirect`).

use crate::diag::Span;
use crate::sample::{Condition, ParseContext};

/// A parsed redirection.
#[derive(Debug)]
pub struct Redirect {}

/// Parses the words after `redirect` (kind, target, options, condition); on a mistake reports it
/// and returns `None`.
pub fn parse(
    _words: &[&str],
    _span: Span,
    _context: &mut ParseContext<'_>,
) -> Option<(Redirect, Option<Condition>)> {
    None
}
