//! ACLs and conditions: named or anonymous tests, joined by and, or, not (manual, section 7).

use super::expr::ParseContext;
use super::facts::Context;
use crate::diag::Span;

/// The named ACLs of one proxy; the same name twice means "or".
#[derive(Debug, Default)]
pub struct AclSet {}

impl AclSet {
    /// Parses the words after `acl` (name, criterion, flags, patterns) and adds the ACL.
    pub fn add(&mut self, _words: &[&str], _span: Span, _context: &mut ParseContext<'_>) {}
}

/// `if` or `unless` and what follows.
#[derive(Debug)]
pub struct Condition {}

/// Three-valued truth: TCP content rules must wait for more bytes before some tests can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Truth {
    No,
    /// It may still change: the data it needs have not arrived.
    Unknown,
    Yes,
}

impl Condition {
    /// Parses the words from `if` or `unless` on; on a mistake reports it and returns `None`.
    pub fn parse(_words: &[&str], _span: Span, _context: &mut ParseContext<'_>) -> Option<Condition> {
        None
    }
    /// Whether it holds; what cannot be known yet counts as no.
    pub fn holds(&self, context: &Context<'_>) -> bool {
        self.test(context) == Truth::Yes
    }
    /// Whether it holds, or cannot be known yet.
    pub fn test(&self, _context: &Context<'_>) -> Truth {
        Truth::No
    }
}
