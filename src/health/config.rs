//! The directives that describe checks: `option httpchk` and its kin, `http-check`, `tcp-check`.

use std::sync::Arc;

use super::{CheckSpec, ServerCheck};
use crate::diag::Span;
use crate::sample::ParseContext;

/// The `option`s that choose a kind of check, for the keyword tables.
pub const OPTIONS: &[&str] = &[
    "httpchk",
    "tcp-check",
    "smtpchk",
    "mysql-check",
    "pgsql-check",
    "redis-check",
    "ldap-check",
    "ssl-hello-chk",
];

/// The check directives of one backend, gathered in order (those of its defaults first).
#[derive(Debug, Default)]
pub struct CheckDirectives {}

impl CheckDirectives {
    /// `option httpchk ...`: `words` start with the option's name; `no` undoes it.
    pub fn option(&mut self, _no: bool, _words: &[&str], _span: Span, _context: &mut ParseContext<'_>) {}
    /// `http-check ...`: `words` start after the keyword.
    pub fn http_check(&mut self, _words: &[&str], _span: Span, _context: &mut ParseContext<'_>) {}
    /// `tcp-check ...`: `words` start after the keyword.
    pub fn tcp_check(&mut self, _words: &[&str], _span: Span, _context: &mut ParseContext<'_>) {}
    /// Ends the gathering: checks what only the whole tells, and makes the script all servers of the backend share.
    pub fn finish(self, _span: Span, _context: &mut ParseContext<'_>) -> CheckScript {
        CheckScript {}
    }
}

/// The script that the servers of a backend share.
#[derive(Clone, Debug)]
pub struct CheckScript {}

impl CheckScript {
    /// The check of one server.
    pub fn for_server(&self, server: ServerCheck) -> Arc<CheckSpec> {
        Arc::new(CheckSpec { server })
    }
}

/// The agent check of one server (`agent-check`).
pub fn agent(server: ServerCheck) -> Arc<CheckSpec> {
    Arc::new(CheckSpec { server })
}
