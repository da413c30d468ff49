//! An expression: a fetch and its converters, parsed, checked and evaluated.

use std::sync::Arc;

use super::facts::Context;
use super::value::{Type, Value};
use crate::diag::{Report, Span};
use crate::state::Registry;

/// What parsing an expression may need beyond its text.
pub struct ParseContext<'a> {
    /// Findings go here.
    pub report: &'a mut Report,
    /// Live objects: maps, proxies, servers that arguments name.
    pub registry: &'a Arc<Registry>,
    /// Reads a file (a map, an ACL's patterns); tests give memory.
    pub files: &'a dyn Files,
    /// Where the expression is used: decides which data exist.
    pub phase: Phase,
    /// The proxy that the expression belongs to (`nbsrv` without an argument), if any.
    pub proxy: Option<&'a str>,
    /// Named ACLs known so far in this proxy.
    pub acls: &'a super::acl::AclSet,
}

/// Reads files for the configuration.
pub trait Files {
    /// The bytes of a file.
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>>;
}

/// Where an expression is evaluated, in order of a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Phase {
    /// Global section, `-cc`, `set-var` of `proc.`.
    Config,
    TcpConnection,
    TcpSession,
    TcpRequestContent,
    HttpRequest,
    /// `use_backend`, `use-server`, `balance hash`, `stick`, ...: request data of either mode.
    Switching,
    TcpResponseContent,
    HttpResponse,
    HttpAfterResponse,
    /// Log formats: everything that was known.
    Log,
    /// `http-check`, `tcp-check`.
    Check,
}

/// A checked expression.
#[derive(Debug)]
pub struct Expr {
    /// Its text as written.
    pub text: Box<str>,
}

impl Expr {
    /// Parses `text`; on a mistake reports it at `span` and returns `None`.
    pub fn parse(_text: &str, _span: Span, _context: &mut ParseContext<'_>) -> Option<Expr> {
        None
    }
    /// The type it yields.
    pub fn output(&self) -> Type {
        Type::Any
    }
    /// Its value; `None` when the data are absent.
    pub fn eval<'a>(&'a self, _context: &Context<'a>) -> Option<Value<'a>> {
        None
    }
}
