//! The table of actions: name, where it is allowed, documentation, parser.

use super::{Rule, RuleSet};
use crate::diag::Span;
use crate::sample::ParseContext;

/// What a rule does.
#[derive(Debug)]
pub enum Action {
    /// `allow`, `accept`
    Allow,
}

/// Parses the words after `http-request` and its kin (action, arguments, condition).
pub fn parse(_set: RuleSet, _words: &[&str], _span: Span, _context: &mut ParseContext<'_>) -> Option<Rule> {
    None
}
