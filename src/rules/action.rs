//! What rules do, parsed and ready to run.

use std::net::IpAddr;
use std::sync::Arc;

use super::header_list::Change;
use super::normalize::Normalizer;
use super::redirect::Redirect;
use super::reply::ReplySpec;
use super::track::{CounterChange, Track};
use super::{MapChange, Service};
use crate::pattern::Regex;
use crate::resolvers::Resolvers;
use crate::resolvers::options::Prefer;
use crate::sample::vars::{SetCondition, VarName};
use crate::sample::{Context, Expr, LogFormat, Value};

/// What a rule does.
#[derive(Debug)]
pub enum Action {
    /// `accept`, `allow`: ends the list.
    Allow,
    /// `deny`.
    Deny(Box<ReplySpec>),
    /// `tarpit`.
    Tarpit(Box<ReplySpec>),
    /// `return`.
    Return(Box<ReplySpec>),
    /// `redirect`.
    Redirect(Box<Redirect>),
    /// `auth`, with its realm.
    Auth(Box<str>),
    /// `reject`.
    Reject,
    /// `silent-drop`, with the hop limit of the reset that `rst-ttl` asks for.
    SilentDrop(Option<u8>),
    /// `close`: ends the server's connection and the list.
    CloseServer,
    /// `use-service`.
    UseService(Service),
    /// `add-header`.
    AddHeader(Box<[u8]>, LogFormat),
    /// `set-header`.
    SetHeader(Box<[u8]>, LogFormat),
    /// `del-header`.
    DelHeader(NameMatch),
    /// `replace-header`.
    ReplaceHeader(Box<[u8]>, Regex, LogFormat),
    /// `replace-value`.
    ReplaceValue(Box<[u8]>, Regex, LogFormat),
    /// `set-method`, `set-path`, ...
    SetTarget(TargetPart, LogFormat),
    /// `replace-path`, `replace-pathq`, `replace-uri`.
    ReplaceTarget(TargetPart, Regex, LogFormat),
    /// `set-status`, with its reason if one is given.
    SetStatus(u16, Option<Box<str>>),
    /// `set-var`.
    SetVar(VarName, Box<[SetCondition]>, Expr),
    /// `set-var-fmt`.
    SetVarFormat(VarName, Box<[SetCondition]>, LogFormat),
    /// `unset-var`.
    UnsetVar(VarName),
    /// `capture`.
    Capture(Expr, Slot),
    /// `set-log-level`; `None` is silent.
    SetLogLevel(Option<u8>),
    /// `set-src`.
    SetSource(Expr),
    /// `set-src-port`.
    SetSourcePort(Expr),
    /// `set-dst`.
    SetDestination(Expr),
    /// `set-dst-port`.
    SetDestinationPort(Expr),
    /// `set-timeout`.
    SetTimeout(TimeoutKind, Delay),
    /// `disable-l7-retry`.
    DisableRetry,
    /// `strict-mode`.
    StrictMode(bool),
    /// `wait-for-body`.
    WaitForBody {
        /// The most to wait.
        time_ms: u64,
        /// Enough bytes; 0 is the whole body.
        at_least: u64,
    },
    /// `set-map`, `del-map`, `add-acl`, `del-acl`.
    ChangeMap(Arc<str>, MapChange, LogFormat, Option<LogFormat>),
    /// `add-headers-bin`, `set-headers-bin`, `del-headers-bin`.
    ChangeFields(Expr, Change),
    /// `normalize-uri`.
    NormalizeUri(Normalizer),
    /// `pause`.
    Pause(Delay),
    /// `early-hint`.
    EarlyHint(Box<[u8]>, LogFormat),
    /// `do-log`.
    Log,
    /// `set-retries`.
    SetRetries(Number),
    /// `set-priority-class`.
    SetPriorityClass(Expr),
    /// `set-priority-offset`.
    SetPriorityOffset(Expr),
    /// `set-fc-mark`, `set-fc-tos`, `set-bc-mark`, `set-bc-tos` and their older names.
    SetPacketField(Side, PacketField, Number),
    /// `switch-mode http`.
    SwitchToHttp,
    /// `wait-for-handshake`: nothing to do, since no data comes before the end of a handshake.
    WaitForHandshake,
    /// `expect-proxy`.
    ExpectProxy,
    /// `set-nice`: nothing to do, since a core has no run queue whose order it could change.
    SetNice,
    /// `do-resolve`.
    Resolve(Arc<ResolveName>),
    /// `track-sc0`, `track-sc1`, ...
    Track(Box<Track>),
    /// `sc-inc-gpc0` and its kin, on the entry tracked under this number.
    ChangeCounter(u8, CounterChange),
}

impl Action {
    /// Whether the rule ends its list whenever its condition holds.
    pub fn is_final(&self) -> bool {
        match self {
            Action::Redirect(redirect) => !redirect.may_be_skipped(),
            Action::Allow
            | Action::Deny(_)
            | Action::Tarpit(_)
            | Action::Return(_)
            | Action::Auth(_)
            | Action::Reject
            | Action::SilentDrop(_)
            | Action::SwitchToHttp
            | Action::CloseServer
            | Action::UseService(_) => true,
            _ => false,
        }
    }
}

/// What `do-resolve` resolves, and into which variable.
#[derive(Debug)]
pub struct ResolveName {
    /// Where the address goes.
    pub variable: VarName,
    /// Whose name servers are asked.
    pub resolvers: Arc<Resolvers>,
    /// The family to prefer.
    pub prefer: Prefer,
    /// Yields the name.
    pub name: Expr,
}

impl ResolveName {
    /// Keeps the address; without one the variable stays as it is.
    pub fn keep(&self, address: Option<IpAddr>, context: &Context<'_>) {
        if let Some(address) = address {
            self.variable.set(context, Value::Ip(address));
        }
    }
}

/// Which fields `del-header` means.
#[derive(Debug)]
pub enum NameMatch {
    /// `-m str`, the default.
    Exact(Box<[u8]>),
    /// `-m beg`.
    Prefix(Box<[u8]>),
    /// `-m end`.
    Suffix(Box<[u8]>),
    /// `-m sub`.
    Contains(Box<[u8]>),
    /// `-m reg`.
    Regex(Regex),
}

impl NameMatch {
    /// Whether a field called `name` is meant; case does not count, except in a regular expression.
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            NameMatch::Exact(text) => name.eq_ignore_ascii_case(text),
            NameMatch::Prefix(text) => {
                name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
            }
            NameMatch::Suffix(text) => name
                .len()
                .checked_sub(text.len())
                .is_some_and(|start| name[start..].eq_ignore_ascii_case(text)),
            NameMatch::Contains(text) => {
                text.is_empty() || name.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text))
            }
            // Names are lower case to HAProxy, whatever the sender wrote.
            NameMatch::Regex(regex) => regex.is_match(&name.to_ascii_lowercase()),
        }
    }
}

/// A part of the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TargetPart {
    Method,
    /// The path without the query.
    Path,
    /// The path with the query.
    PathAndQuery,
    /// The query without `?`.
    Query,
    /// The whole target.
    Uri,
}

/// Where a rule captures to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `len N`: a slot of its own, which the proxy makes; until then it has no number.
    New {
        /// The most bytes kept.
        len: usize,
        /// Its number, once [`super::Rule::assign_capture`] gave it one.
        number: Option<usize>,
    },
    /// `id N`: a slot declared elsewhere.
    Declared(usize),
}

/// Which time-out `set-timeout` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TimeoutKind {
    Client,
    Connect,
    Queue,
    Server,
    Tarpit,
    Tunnel,
}

/// A duration, known at load or found per request (in milliseconds).
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Delay {
    Millis(u64),
    Expr(Expr),
}

/// A number, known at load or found per request.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Number {
    Fixed(u32),
    Expr(Expr),
}

/// Whose packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those to the client.
    Client,
    /// Those to the server.
    Server,
}

/// What the kernel puts on packets of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketField {
    /// The mark that netfilter and routing see.
    Mark,
    /// The TOS byte, or traffic class.
    Tos,
}
