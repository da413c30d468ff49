//! A check as a list of steps: connect, send, expect, and variables in between.
//!
//! Every kind of check is such a list, so that one machine ([`super::machine`]) runs them all:
//! `option smtpchk` differs from a hand-written `tcp-check` only in the origin of the steps and in how
//! failures are worded.

use std::net::IpAddr;
use std::sync::Arc;

use super::http_check::Request;
use super::status::Status;
use crate::pattern::Regex;
use crate::sample::vars::{SetCondition, VarName};
use crate::sample::{Expr, LogFormat};

/// Whose words a script speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A connection that stands is enough.
    #[default]
    Plain,
    /// `option tcp-check`: failures name the step.
    Tcp,
    /// `option httpchk`.
    Http,
    /// `option smtpchk`, `mysql-check`... : the protocol's own words.
    Protocol,
    /// `agent-check`.
    Agent,
}

/// The steps of a check and what holds for all of them.
#[derive(Debug, Default)]
pub struct Script {
    /// Whose words it speaks.
    pub kind: Kind,
    /// The steps in order; the first that does I/O is a connect.
    pub rules: Vec<Rule>,
    /// `http-check disable-on-404`.
    pub disable_on_404: bool,
    /// `http-check send-state`.
    pub send_state: bool,
}

/// One step.
#[derive(Debug)]
pub struct Rule {
    /// Its place among the written ones, from 0; messages count from 1.
    pub index: usize,
    /// `comment`.
    pub comment: Option<Box<str>>,
    /// What it does.
    pub step: Step,
}

/// What a step does.
#[derive(Debug)]
pub enum Step {
    /// Opens a connection; one that stands is closed first.
    Connect(Connect),
    /// Sends bytes.
    Emit(Emit),
    /// Waits for an answer and judges it.
    Expect(Box<Expect>),
    /// `set-var`, `set-var-fmt`.
    Set(SetVariable),
    /// `unset-var`.
    Unset(VarName),
    /// `comment` on its own: belongs to the steps after it. Gone when the script is finished.
    Comment,
}

impl Step {
    /// Whether it talks to the server.
    pub fn is_io(&self) -> bool {
        matches!(self, Step::Connect(_) | Step::Emit(_) | Step::Expect(_))
    }
}

/// `connect`.
#[derive(Debug, Default)]
pub struct Connect {
    /// It was not written: it stands before the first step.
    pub implicit: bool,
    /// `default`: the settings of the server line apply.
    pub default: bool,
    /// `linger`: close politely rather than by a reset.
    pub linger: bool,
    /// `send-proxy`: begin with a PROXY protocol header whatever the server line says.
    pub send_proxy: bool,
    /// `ssl`: speak TLS whatever the server line says.
    pub tls: bool,
    /// `alpn`: what TLS offers.
    pub tls_protocols: Option<Arc<str>>,
    /// `sni`: the name that TLS tells.
    pub tls_name: Option<Arc<str>>,
    /// `port`.
    pub port: Port,
    /// `addr`.
    pub address: Option<IpAddr>,
    /// Data or the end follow at once: the kernel need not hurry with its acknowledgement.
    pub holds_ack: bool,
}

/// The port to connect to.
#[derive(Debug, Default)]
pub enum Port {
    /// That of the check, or of the server.
    #[default]
    Server,
    /// This one.
    Fixed(u16),
    /// Computed at each check; 0 or nothing falls back on the server's.
    Expr(Expr),
}

/// What to send.
#[derive(Debug)]
pub enum Emit {
    /// `send`, `send-binary`.
    Bytes(Vec<u8>),
    /// `send-lf`.
    Text(LogFormat),
    /// `send-binary-lf`: the text is hexadecimal.
    Hex(LogFormat),
    /// `http-check send`.
    Http(Box<Request>),
    /// The ClientHello of `option ssl-hello-chk`, with the time of day in it.
    ClientHello,
}

/// What to expect.
#[derive(Debug)]
pub struct Expect {
    /// What is compared, and how.
    pub pattern: Pattern,
    /// `!`: the pattern must not match.
    pub inverted: bool,
    /// `min-recv`: bytes needed before the pattern may be judged; with it, a mismatch is final.
    pub min_recv: Option<usize>,
    /// `ok-status`.
    pub ok_status: Option<Status>,
    /// `error-status`.
    pub error_status: Option<Status>,
    /// `tout-status`.
    pub timeout_status: Option<Status>,
    /// `on-success`.
    pub on_success: Option<Note>,
    /// `on-error`.
    pub on_error: Option<Note>,
    /// `status-code`.
    pub code: Option<Code>,
    /// Where judging resumes when more bytes came: the first inverted one of a chain of expects.
    pub head: usize,
}

impl Expect {
    /// An expectation without options.
    pub fn new(pattern: Pattern) -> Expect {
        Expect {
            pattern,
            inverted: false,
            min_recv: None,
            ok_status: None,
            error_status: None,
            timeout_status: None,
            on_success: None,
            on_error: None,
            code: None,
            head: 0,
        }
    }
}

/// What an answer is compared with.
#[derive(Debug)]
pub enum Pattern {
    /// `string`, `binary`: these bytes anywhere.
    Bytes {
        /// The bytes.
        data: Vec<u8>,
        /// Whether they were written as hexadecimal.
        binary: bool,
    },
    /// `rstring`, and `rbinary`, which matches the bytes as upper-case hexadecimal.
    Regex {
        /// The expression.
        regex: Regex,
        /// `rbinary`.
        binary: bool,
    },
    /// `string-lf`, `binary-lf`.
    Format {
        /// The format.
        format: LogFormat,
        /// `binary-lf`: its text is hexadecimal.
        binary: bool,
    },
    /// `status`: ranges, both ends included.
    Status(Vec<(u32, u32)>),
    /// `rstatus`.
    StatusRegex(Regex),
    /// `hdr`, `fhdr`.
    Header {
        /// Which field.
        name: Matcher,
        /// What value; `None`: that it is there is enough.
        value: Option<Matcher>,
        /// `fhdr`: the whole value, rather than each part between commas.
        full: bool,
    },
    /// `string` on a response body.
    Body(Vec<u8>),
    /// `rstring` on a response body.
    BodyRegex(Regex),
    /// `string-lf` on a response body.
    BodyFormat(LogFormat),
    /// A MySQL packet: the handshake, or what follows it.
    Mysql {
        /// Skip the handshake packet and judge the one after it.
        after_handshake: bool,
    },
    /// An LDAP bind response.
    Ldap,
    /// An agent's line.
    Agent,
}

/// How a header's name or value is compared.
#[derive(Debug)]
pub enum Matcher {
    /// `-m str`.
    Is(Text),
    /// `-m beg`.
    Begins(Text),
    /// `-m end`.
    Ends(Text),
    /// `-m sub`.
    Contains(Text),
    /// `-m reg`.
    Regex(Regex),
}

/// A text that may have to be computed.
#[derive(Debug)]
pub enum Text {
    /// As it stands.
    Literal(Vec<u8>),
    /// `-lf`.
    Format(LogFormat),
}

/// What a log line says about a result.
#[derive(Debug)]
pub enum Note {
    /// `on-success`, `on-error`.
    Format(LogFormat),
    /// A fixed text.
    Fixed(Box<str>),
    /// What the server said: from that byte on, without leading spaces, up to the end of the line.
    FirstLine {
        /// Bytes to skip.
        skip: usize,
    },
}

/// The code shown with a result.
#[derive(Debug)]
pub enum Code {
    /// `status-code`.
    Expr(Expr),
    /// The number in the first bytes of the answer, as SMTP has it.
    Digits(usize),
}

/// `set-var` and `set-var-fmt`.
#[derive(Debug)]
pub struct SetVariable {
    /// The variable.
    pub variable: VarName,
    /// What must all hold for it to be set.
    pub conditions: Vec<SetCondition>,
    /// Its new value.
    pub value: NewValue,
}

/// Where a variable's new value comes from.
#[derive(Debug)]
pub enum NewValue {
    /// `set-var`.
    Expr(Expr),
    /// `set-var-fmt`.
    Format(LogFormat),
}
