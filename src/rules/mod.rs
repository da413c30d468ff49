//! Rule sets: `tcp-request`, `tcp-response`, `http-request`, `http-response`, `http-after-response`.
//!
//! A rule is an action under a condition. Running a set is a plain function over the transaction;
//! it yields a [`Verdict`] and never does I/O. Actions are rows of [`keyword::TABLE`].
#![forbid(unsafe_code)]

pub mod action;
pub mod arguments;
pub mod header_list;
pub mod keyword;
pub mod normalize;
mod parse;
pub mod redirect;
pub mod reply;
mod rewrite;
#[cfg(test)]
pub(crate) mod testing;
pub mod run;
pub mod track;

use std::sync::Arc;

use self::action::{Action, Slot};
use crate::diag::Span;
use crate::http::reply::Reply;
use crate::sample::facts::{Direction, Overrides};
use crate::sample::{Condition, SessionFacts, TransactionFacts};
use crate::wire::dns::Name;

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

impl RuleSet {
    /// The words that open a line of this list.
    pub fn name(self) -> &'static str {
        match self {
            RuleSet::TcpConnection => "tcp-request connection",
            RuleSet::TcpSession => "tcp-request session",
            RuleSet::TcpContent => "tcp-request content",
            RuleSet::TcpResponse => "tcp-response content",
            RuleSet::HttpRequest => "http-request",
            RuleSet::HttpResponse => "http-response",
            RuleSet::HttpAfterResponse => "http-after-response",
        }
    }
    /// Which message a list looks at first.
    pub fn direction(self) -> Direction {
        match self {
            RuleSet::TcpResponse | RuleSet::HttpResponse | RuleSet::HttpAfterResponse => Direction::Response,
            _ => Direction::Request,
        }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// What it does.
    pub action: keyword::Action,
    /// When; `None` is always.
    pub condition: Option<Condition>,
    /// The file it stands in, for `last_rule_file`.
    pub file: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

impl Rule {
    /// Whether the rule itself asks for contents of the connection, which come after it was accepted.
    pub fn asks_contents(&self) -> bool {
        use crate::sample::fetch::Source::{Client, Constant, Internal};
        let expr = match &self.action {
            Action::Capture(expr, _) => expr,
            Action::Track(track) => &track.key,
            _ => return false,
        };
        !matches!(expr.source(), Constant | Internal | Client)
    }
    /// The size of the capture slot that the rule wants for itself (`capture ... len N`), while it
    /// has none. The proxy that the rule belongs to must be a frontend; it makes a slot of that
    /// size behind those it has and tells its number by [`Self::assign_capture`].
    pub fn wanted_capture(&self) -> Option<usize> {
        match &self.action {
            Action::Capture(_, Slot::New { len, number: None }) => Some(*len),
            _ => None,
        }
    }
    /// Tells the rule the number of the slot that [`Self::wanted_capture`] asked for.
    pub fn assign_capture(&mut self, slot: usize) {
        if let Action::Capture(_, Slot::New { number, .. }) = &mut self.action {
            *number = Some(slot);
        }
    }
    /// The `http-errors` section and the status whose page the rule answers with (`errorfiles`),
    /// while it does not know the page; [`Self::give_section`] tells it.
    pub fn wanted_section(&self) -> Option<(&str, u16)> {
        match &self.action {
            Action::Deny(spec) | Action::Tarpit(spec) | Action::Return(spec) => spec.wanted_section(),
            _ => None,
        }
    }
    /// Tells the rule the page that [`Self::wanted_section`] asked for; `None` if the section has
    /// none for that status: then the answer is empty.
    pub fn give_section(&mut self, page: Option<Arc<[u8]>>) {
        if let Action::Deny(spec) | Action::Tarpit(spec) | Action::Return(spec) = &mut self.action {
            spec.give_section(page);
        }
    }
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
    /// Drop without telling the client (`silent-drop`); the hop limit of the reset if one was given.
    SilentDrop(Option<u8>),
    /// `pause`: wait that long, then go on.
    Pause {
        /// Where to resume afterwards.
        rule: usize,
        /// How long, in milliseconds.
        time_ms: u64,
    },
    /// `do-resolve`: ask for the name's address, keep it, then go on.
    Resolve {
        /// Where to resume afterwards.
        rule: usize,
        /// Whom to ask, and where the address goes.
        ask: Arc<action::ResolveName>,
        /// The name.
        name: Name,
    },
    /// `early-hint`: send the fields of [`Effects::early_hints`] in a response of status 103.
    SendHints {
        /// Where to resume afterwards.
        rule: usize,
    },
    /// `do-log`: write a log line.
    Log {
        /// Where to resume afterwards.
        rule: usize,
    },
    /// `switch-mode http`: go on in HTTP mode.
    SwitchToHttp,
    /// The request cannot be used: answer 400 (`normalize-uri ... strict`).
    BadRequest,
    /// Ask for a name and a password in this realm.
    Unauthorized(Box<str>),
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
    /// An error that ended a list has been counted.
    pub internal_error: bool,
    /// `set-timeout connect|queue|tarpit`, in milliseconds.
    pub connect_timeout_ms: Option<u64>,
    /// See `connect_timeout_ms`.
    pub queue_timeout_ms: Option<u64>,
    /// See `connect_timeout_ms`.
    pub tarpit_timeout_ms: Option<u64>,
    /// `tcp-response content close`: close the server's connection at once.
    pub close_server: bool,
    /// `expect-proxy`: the connection begins with a PROXY protocol header.
    pub expects_proxy_header: bool,
    /// The reply of [`Verdict::Respond`] stands for the proxy's own error page for its status
    /// (`return default-errorfiles`).
    pub error_page: bool,
    /// `set-retries`.
    pub retries: Option<u32>,
    /// `set-priority-class`, `set-priority-offset`.
    pub priority: Priority,
    /// `set-fc-mark`, `set-fc-tos`; the engine takes them when the rules have run.
    pub client_packets: PacketFields,
    /// `set-bc-mark`, `set-bc-tos`.
    pub server_packets: PacketFields,
    /// Fields of the 103 response in the making (`early-hint`).
    pub early_hints: crate::http::Fields,
    /// Changes of maps and ACL files for the control thread, in order.
    pub map_orders: Vec<MapOrder>,
    /// `strict-mode off` holds in the list that runs; it outlives a wait in its middle.
    rewrites_may_fail: bool,
    /// Memory for texts in the making.
    scratch: Vec<u8>,
}

impl Effects {
    /// The request goes on to another backend than the `listen` whose rules ran: what they said about
    /// the server's side was meant for that one (manual, section 4.4 `set-retries`).
    pub fn leave_listen(&mut self, overrides: &mut Overrides) {
        self.retries = None;
        self.server_timeout_ms = None;
        self.tunnel_timeout_ms = None;
        self.connect_timeout_ms = None;
        self.queue_timeout_ms = None;
        *overrides = Overrides {
            client_ms: overrides.client_ms,
            tarpit_ms: overrides.tarpit_ms,
            ..Overrides::default()
        };
    }
}

/// Where a request comes in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priority {
    /// Lower classes come first.
    pub class: i16,
    /// Milliseconds by which it comes later than its arrival says.
    pub offset_ms: i32,
}

/// What the kernel puts on packets; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketFields {
    /// The mark.
    pub mark: Option<u32>,
    /// The TOS byte.
    pub tos: Option<u8>,
}

/// A change of a map or an ACL file that a rule asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapOrder {
    /// The file, as the runtime API names it.
    pub file: Arc<str>,
    /// What to do.
    pub change: MapChange,
    /// The key, or the ACL's pattern.
    pub key: Box<[u8]>,
    /// The value, for [`MapChange::Set`].
    pub value: Box<[u8]>,
}

/// What to do with a key of a map or a pattern of an ACL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapChange {
    /// `set-map`: change the value, or add the key.
    Set,
    /// `del-map`: remove the key.
    DeleteKey,
    /// `add-acl`: add the pattern unless it is there.
    Add,
    /// `del-acl`: remove the pattern.
    DeletePattern,
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
