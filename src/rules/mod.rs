//! Rule sets: `tcp-request`, `tcp-response`, `http-request`, `http-response`, `http-after-response`.
//!
//! A rule is an action under a condition. Running a set is a plain function over the transaction;
//! it yields a [`Verdict`] and never does I/O. Actions are rows of [`keyword::TABLE`].
#![forbid(unsafe_code)]

pub mod arguments;
pub mod keyword;
pub mod redirect;
pub mod reply;
pub mod run;

use crate::diag::{FileId, Span};
use crate::http::reply::Reply;
use crate::sample::{Condition, SessionFacts, TransactionFacts};

/// Which list a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum RuleSet {
    TcpConnection,
    TcpSession,
    TcpContent,
    TcpResponse,
    HttpRequest,
    HttpResponse,
    HttpAfterResponse,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// What it does.
    pub action: keyword::Action,
    /// When; `None` is always.
    pub condition: Option<Condition>,
    /// The file it stands in, for `last_rule_file`.
    pub file: std::sync::Arc<str>,
    /// Where it stands.
    pub span: Span,
}

/// What a rule set decided.
#[derive(Debug)]
pub enum Verdict {
    /// The end of the list was reached.
    Continue,
    /// A final `accept`/`allow`: skip the rest of this list.
    Allow,
    /// More bytes are needed before rule number `rule` can decide; run again from there.
    WaitData {
        /// Where to resume.
        rule: usize,
    },
    /// `wait-for-body`: read until the body is complete or `at_least` bytes came, or `timeout_ms` passed.
    WaitBody {
        /// Where to resume afterwards.
        rule: usize,
        /// Enough bytes; 0 is the whole body or a full buffer.
        at_least: u64,
        /// The most to wait, in milliseconds.
        timeout_ms: u64,
    },
    /// Answer with this and stop (`return`, `redirect`, `auth`): counted as intercepted.
    Respond(Box<Reply>),
    /// Refuse: an explicit reply, or the proxy's error page for `status`.
    Deny {
        /// The status (403 by default, 502 for responses).
        status: u16,
        /// The reply given in the rule, if any.
        reply: Option<Box<Reply>>,
    },
    /// As `Deny`, after the tarpit time-out.
    Tarpit {
        /// The status (500 by default).
        status: u16,
        /// The reply given in the rule, if any.
        reply: Option<Box<Reply>>,
    },
    /// Close without an answer (`reject`).
    Reject,
    /// Drop without telling the client (`silent-drop`).
    SilentDrop,
    /// Hand the request to an internal service.
    Service(Service),
    /// A rule failed in a way that makes the transaction invalid: answer 500 (400 from a rewrite of the request).
    Invalid,
}

/// Services inside the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Service {
    PrometheusExporter,
    Stats,
}

/// What actions may change beyond the transaction; the engine applies it afterwards.
#[derive(Debug, Default)]
pub struct Effects {
    /// `set-timeout server|tunnel|client`, in milliseconds.
    pub server_timeout_ms: Option<u64>,
    /// See `server_timeout_ms`.
    pub tunnel_timeout_ms: Option<u64>,
    /// See `server_timeout_ms`.
    pub client_timeout_ms: Option<u64>,
    /// `disable-l7-retry`.
    pub no_l7_retry: bool,
    /// Rewrites that failed (`wrew`).
    pub failed_rewrites: u64,
}

/// What a run may read and change.
pub struct Run<'a> {
    /// Which list this is.
    pub set: RuleSet,
    /// The client connection.
    pub session: &'a mut SessionFacts,
    /// The transaction.
    pub txn: &'a mut TransactionFacts,
    /// Process facts for expressions.
    pub process: &'a crate::sample::facts::ProcessFacts,
    /// The turn's clock.
    pub now: crate::base::clock::Now,
    /// Bytes an edited head may reach (`tune.bufsize`).
    pub head_max: usize,
    /// What else to do.
    pub effects: &'a mut Effects,
}

/// The file a diagnostic's span names.
pub type File = FileId;
