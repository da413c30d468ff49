//! Runs a [`Script`] without I/O: says what it wants next, is told what happened, ends with a finding.
//!
//! The driver asks [`Machine::next`], does what it says, reports back with [`Machine::connected`],
//! [`Machine::received`] or [`Machine::closed`], and asks again. What goes wrong outside (a refused
//! connection, a time-out) it hands to [`Machine::fail`], which words it as HAProxy does.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::agent;
use super::http_check::{self, Reading, render};
use super::matching::header;
use super::script::{Code, Connect, Emit, Expect, Kind, Note, Pattern, Port, Rule, Script, Step};
use super::status::{Finding, Status};
use super::wording::{kind_of_pattern, place};
use super::{CheckSpec, hello, variables};
use crate::base::clock::Now;
use crate::http::Method;
use crate::sample::facts::{Context, Direction, ProcessFacts, TransactionFacts};
use crate::sample::proxy_header::ProxyHeader;
use crate::sample::vars::Vars;
use crate::sample::{Expr, Value};
use crate::state::{ProxyState, ServerState};

/// What the machine looks at besides the bytes.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// When.
    pub now: Now,
    /// Facts of the process.
    pub process: &'a ProcessFacts,
    /// The server is down: a 404 cannot bring it into the stopping state.
    pub is_stopped: bool,
    /// The value of `X-Haproxy-Server-State`, when the script sends it.
    pub server_state: Option<&'a str>,
}

/// What must happen next.
#[derive(Debug, PartialEq)]
pub enum Want {
    /// Close what is open and connect.
    Connect(Target),
    /// Send these bytes.
    Write(Vec<u8>),
    /// Read more bytes.
    Read,
    /// An agent has spoken: carry it out, then record its finding.
    Agent(agent::Reply),
    /// It is over.
    Done(Finding),
}

/// Where to connect, as far as the script says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Another address than the check's.
    pub address: Option<IpAddr>,
    /// Another port than the check's.
    pub port: Option<u16>,
    /// Close politely rather than by a reset.
    pub linger: bool,
    /// Data or the end follow at once: the acknowledgement can wait for them.
    pub holds_ack: bool,
    /// TLS is spoken, with this name told to the server.
    pub tls: Option<Option<Arc<str>>>,
}

/// What went wrong outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be attempted, or it failed; the text says why.
    Connection(String),
    /// There is nowhere to connect to.
    NoTarget(String),
    /// An established connection broke.
    Broken(String),
    /// TLS could not be agreed on.
    Handshake(String),
    /// Time is over.
    Timeout,
}

/// One run of a check.
#[derive(Debug)]
pub struct Machine {
    pub(super) spec: Arc<CheckSpec>,
    /// The rule to run next.
    pub(super) position: usize,
    /// The last rule that did I/O: messages name it.
    current: Option<usize>,
    is_connected: bool,
    /// TLS is being agreed on, or was.
    is_secure: bool,
    must_read: bool,
    pub(super) input: Vec<u8>,
    is_closed: bool,
    input_max: usize,
    reading: Reading,
    method: Method,
    pub(super) code: u32,
    facts: TransactionFacts,
    body: Vec<u8>,
    variables: Vars,
}

/// What judging an answer gave.
pub(super) enum Verdict {
    Continue,
    Wait,
    Stop(Finding),
    Agent(agent::Reply),
}

impl Machine {
    /// A run of `spec` that reads at most `input_max` bytes of an answer.
    pub fn new(spec: Arc<CheckSpec>, input_max: usize) -> Machine {
        Machine {
            spec,
            position: 0,
            current: None,
            is_connected: false,
            is_secure: false,
            must_read: true,
            input: Vec::new(),
            is_closed: false,
            input_max,
            reading: Reading::Head,
            method: Method::default(),
            code: 0,
            facts: TransactionFacts::default(),
            body: Vec::new(),
            variables: Vars::default(),
        }
    }

    /// The PROXY protocol header with which the connection asked for begins, if it does.
    pub fn proxy_header(
        &self,
        env: &Env<'_>,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
    ) -> Option<Vec<u8>> {
        let Step::Connect(connect) = &self.spec.script.rules.get(self.position)?.step else { return None };
        let server = &self.spec.server;
        let is_agent = self.spec.script.kind == Kind::Agent;
        if !(connect.send_proxy || (connect.default && server.send_proxy && !is_agent)) {
            return None;
        }
        let context = context(&self.facts, &self.variables, env);
        let mut header = Vec::new();
        match &server.proxy_header {
            Some(ours) => ours.for_check(local, peer, &context, &mut header),
            None => ProxyHeader::default().for_check(local, peer, &context, &mut header),
        }
        Some(header)
    }

    /// The server that the check is about: expressions may ask.
    pub fn about(mut self, backend: Option<Arc<ProxyState>>, server: Arc<ServerState>) -> Machine {
        self.facts.backend = backend;
        self.facts.server = Some(server);
        self
    }

    /// The socket of the connection asked for, with its own address and the server's.
    pub fn dialled(&mut self, socket: Option<i32>, local: Option<SocketAddr>, peer: Option<SocketAddr>) {
        self.facts.server_socket = socket;
        self.facts.backend_source = local;
        self.facts.backend_destination = peer;
    }

    /// The socket is connected, and TLS comes next.
    pub fn shakes_hands(&mut self) {
        self.is_secure = true;
    }
    /// The connection asked for stands.
    pub fn connected(&mut self) {
        self.is_connected = true;
        self.position += 1;
    }
    /// Bytes came.
    pub fn received(&mut self, bytes: &[u8]) {
        let room = self.input_max.saturating_sub(self.input.len());
        self.input.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.must_read = false;
    }
    /// No more bytes will come.
    pub fn closed(&mut self) {
        self.is_closed = true;
        self.must_read = false;
    }
    /// Whether the other side has closed: a reset would have no effect.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }
    /// Whether an answer has begun: an error afterwards ends it rather than spoils it.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }
    /// How many bytes it would still take.
    pub fn room(&self) -> usize {
        self.input_max.saturating_sub(self.input.len())
    }

    /// What must happen next.
    pub fn next(&mut self, env: &Env<'_>) -> Want {
        let spec = self.spec.clone();
        let script = &*spec.script;
        while let Some(rule) = script.rules.get(self.position) {
            self.code = 0;
            match &rule.step {
                Step::Connect(connect) => {
                    self.current = Some(self.position);
                    self.is_connected = false;
                    self.is_secure = false;
                    self.reset_input();
                    return Want::Connect(self.target(connect, env));
                }
                Step::Emit(emit) => {
                    self.current = Some(self.position);
                    self.reset_input();
                    match self.bytes(emit, rule, env) {
                        Ok(bytes) => {
                            self.position += 1;
                            if !bytes.is_empty() {
                                return Want::Write(bytes);
                            }
                        }
                        Err(finding) => return Want::Done(finding),
                    }
                }
                Step::Expect(expect) => {
                    self.current = Some(self.position);
                    if self.must_read {
                        return Want::Read;
                    }
                    match self.judge(script, rule, expect, env) {
                        Verdict::Continue => self.position += 1,
                        Verdict::Wait => {
                            self.current = Some(expect.head);
                            self.position = expect.head;
                            self.must_read = true;
                            return Want::Read;
                        }
                        Verdict::Stop(finding) => return Want::Done(finding),
                        Verdict::Agent(reply) => return Want::Agent(reply),
                    }
                }
                Step::Set(set) => {
                    variables::set(set, &context(&self.facts, &self.variables, env));
                    self.position += 1;
                }
                Step::Unset(variable) => {
                    variable.unset(&context(&self.facts, &self.variables, env));
                    self.position += 1;
                }
                Step::Comment => self.position += 1,
            }
        }
        Want::Done(self.success(script, env))
    }

    fn reset_input(&mut self) {
        self.input.clear();
        self.is_closed = false;
        self.must_read = true;
        self.reading = Reading::Head;
        self.body.clear();
    }

    fn target(&self, connect: &Connect, env: &Env<'_>) -> Target {
        let port = match &connect.port {
            Port::Server => None,
            Port::Fixed(port) => Some(*port),
            Port::Expr(expr) => number(expr, &context(&self.facts, &self.variables, env))
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0),
        };
        let (address, linger, holds_ack) = (connect.address, connect.linger, connect.holds_ack);
        Target { address, port, linger, holds_ack, tls: self.tls(connect, env) }
    }

    /// Whether a connection speaks TLS, and the name that it tells then.
    fn tls(&self, connect: &Connect, env: &Env<'_>) -> Option<Option<Arc<str>>> {
        let is_agent = self.spec.script.kind == Kind::Agent;
        let server = self.spec.server.tls.as_ref().filter(|_| !is_agent)?;
        let by_server = connect.default && server.is_default;
        if !connect.tls && !by_server {
            return None;
        }
        let of_line = || server.name.clone().filter(|_| connect.default);
        let of_host = || {
            let rest = self.spec.script.rules.get(self.position..)?;
            let request = rest.iter().find_map(|rule| match &rule.step {
                Step::Emit(Emit::Http(request)) => Some(request),
                _ => None,
            })?;
            let context = context(&self.facts, &self.variables, env);
            let host = request.field("host", &context)?;
            let host = String::from_utf8(host).ok()?;
            host.split(':').next().filter(|host| !host.is_empty()).map(Arc::from)
        };
        let takes_host = connect.implicit && server.takes_host;
        Some(connect.tls_name.clone().or_else(of_line).or_else(|| takes_host.then(of_host).flatten()))
    }

    fn bytes(&mut self, emit: &Emit, rule: &Rule, env: &Env<'_>) -> Result<Vec<u8>, Finding> {
        let context = context(&self.facts, &self.variables, env);
        Ok(match emit {
            Emit::Bytes(bytes) => bytes.clone(),
            Emit::Text(format) => render(format, &context),
            Emit::Hex(format) => unhex(&render(format, &context)).ok_or_else(|| {
                let text =
                    format!("tcp-check send : failed to build log-format string at step {}", rule.index + 1);
                Finding::new(Status::L7Response, text)
            })?,
            Emit::Http(request) => {
                self.method = Method::from_token(request.method.as_deref().unwrap_or("OPTIONS").as_bytes());
                request.bytes(&context, env.server_state.filter(|_| self.spec.script.send_state))
            }
            Emit::ClientHello => hello::client_hello(env.now.wall_secs() as u32),
        })
    }

    /// The end of a script whose every step succeeded.
    fn success(&mut self, script: &Script, env: &Env<'_>) -> Finding {
        let current = self.current.and_then(|at| script.rules.get(at));
        match current.map(|rule| &rule.step) {
            Some(Step::Expect(expect)) => {
                if self.is_conditional_404(script, env) {
                    return self.finding(Status::L7OkConditional, String::new());
                }
                let info = match &expect.on_success {
                    Some(note) => self.note(note, env),
                    None if script.kind == Kind::Tcp => "(tcp-check)".to_owned(),
                    None => String::new(),
                };
                self.set_code(expect, env);
                self.finding(expect.ok_status.unwrap_or(Status::L7Ok), info)
            }
            Some(Step::Connect(connect)) => {
                let status = if self.is_secure { Status::L6Ok } else { Status::L4Ok };
                self.finding(status, if connect.implicit { "" } else { "(tcp-check)" }.to_owned())
            }
            _ => self.finding(Status::L7Ok, "(tcp-check)".to_owned()),
        }
    }

    fn is_conditional_404(&self, script: &Script, env: &Env<'_>) -> bool {
        script.disable_on_404 && !env.is_stopped && self.reading_head() && self.facts.response.status == 404
    }

    fn reading_head(&self) -> bool {
        matches!(self.reading, Reading::Body | Reading::Complete | Reading::BadBody)
    }

    pub(super) fn finding(&self, status: Status, mut info: String) -> Finding {
        // Servers speak in C strings: what follows a NUL is another field (PostgreSQL's errors).
        if let Some(end) = info.find('\0') {
            info.truncate(end);
        }
        Finding { status, code: self.code, info, duration_ms: None }
    }

    fn note(&self, note: &Note, env: &Env<'_>) -> String {
        match note {
            Note::Fixed(text) => text.to_string(),
            Note::Format(format) => {
                let text = render(format, &context(&self.facts, &self.variables, env));
                String::from_utf8_lossy(&text).into_owned()
            }
            Note::FirstLine { skip } => {
                let rest = self.input.get(*skip..).unwrap_or_default();
                let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
                let line = String::from_utf8_lossy(&rest[..end]);
                // Behind a code blanks may stand; a line as a whole is shown as it is.
                if *skip == 0 { line.into_owned() } else { line.trim_start_matches(' ').to_owned() }
            }
        }
    }

    fn set_code(&mut self, expect: &Expect, env: &Env<'_>) {
        let code = match &expect.code {
            None => None,
            Some(Code::Digits(count)) => self
                .input
                .get(..*count)
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| digits.parse().ok()),
            Some(Code::Expr(expr)) => number(expr, &context(&self.facts, &self.variables, env))
                .and_then(|code| u32::try_from(code).ok()),
        };
        if let Some(code) = code {
            self.code = code;
        }
    }

    fn judge(&mut self, script: &Script, rule: &Rule, expect: &Expect, env: &Env<'_>) -> Verdict {
        let is_last = self.is_closed || self.room() == 0;
        if script.kind == Kind::Http {
            self.judge_http(script, rule, expect, is_last, env)
        } else {
            self.facts.response_payload.clone_from(&self.input);
            self.judge_bytes(script, rule, expect, is_last, env)
        }
    }

    fn judge_bytes(
        &mut self,
        script: &Script,
        rule: &Rule,
        expect: &Expect,
        is_last: bool,
        env: &Env<'_>,
    ) -> Verdict {
        let fail = Some(expect.error_status.unwrap_or(Status::L7Response));
        if !is_last {
            let needed = match &expect.pattern {
                Pattern::Bytes { data, .. } => data.len(),
                _ => 0,
            };
            if self.input.len() < needed.max(expect.min_recv.unwrap_or(0)) {
                return Verdict::Wait;
            }
        }
        let matched = match &expect.pattern {
            Pattern::Bytes { data, .. } => contains(&self.input, data),
            Pattern::Regex { regex, binary: false } => regex.is_match(&self.input),
            Pattern::Regex { regex, binary: true } => regex.is_match(hex(&self.input).as_bytes()),
            Pattern::Format { format, binary } => {
                let mut data = render(format, &context(&self.facts, &self.variables, env));
                if data.is_empty() {
                    return self.stop_with(
                        rule,
                        expect,
                        "log-format string evaluated to an empty string",
                        env,
                    );
                }
                if *binary {
                    match unhex(&data) {
                        Some(bytes) => data = bytes,
                        None => {
                            let text = "Failed to parse hexastring resulting of eval of a log-format string";
                            return self.stop_with(rule, expect, text, env);
                        }
                    }
                }
                if self.input.len() < data.len() && !is_last {
                    return Verdict::Wait;
                }
                contains(&self.input, &data)
            }
            Pattern::Mysql { .. } | Pattern::Ldap | Pattern::Agent if self.input.is_empty() => false,
            Pattern::Mysql { after_handshake } => {
                return self.judge_mysql(script, rule, expect, *after_handshake, is_last, env);
            }
            Pattern::Ldap => return self.judge_ldap(rule, expect, is_last, env),
            Pattern::Agent => {
                return match agent::line(&self.input) {
                    Some(line) => Verdict::Agent(agent::parse(line)),
                    None if !is_last && self.input.len() < agent::LINE_MAX => Verdict::Wait,
                    None => Verdict::Stop(
                        self.finding(Status::Checked, "Ignoring incomplete line from agent".to_owned()),
                    ),
                };
            }
            // The others look at HTTP, and the configuration lets none of them in here.
            _ => false,
        };
        if !matched && !is_last && expect.min_recv.is_none() {
            return Verdict::Wait;
        }
        if matched != expect.inverted {
            return Verdict::Continue;
        }
        self.stop(script, rule, expect, fail, matched, "", env)
    }

    fn judge_http(
        &mut self,
        script: &Script,
        rule: &Rule,
        expect: &Expect,
        is_last: bool,
        env: &Env<'_>,
    ) -> Verdict {
        self.reading =
            http_check::read(&self.input, self.method, is_last, &mut self.facts.response, &mut self.body);
        let is_last = is_last || self.reading == Reading::Complete;
        self.facts.has_response = self.reading_head();
        match self.reading {
            // It does not speak HTTP, or said nothing: no answer that an expectation could judge.
            Reading::Invalid | Reading::Head if is_last || self.reading == Reading::Invalid => {
                return Verdict::Stop(self.finding(Status::SocketError, String::new()));
            }
            Reading::Invalid | Reading::Head => return Verdict::Wait,
            Reading::BadBody => {
                return self.stop(script, rule, expect, Some(Status::L7Response), false, "", env);
            }
            Reading::Body | Reading::Complete => {}
        }
        self.facts.response_payload.clone_from(&self.body);
        let status = u32::from(self.facts.response.status);
        self.code = status;
        if self.is_conditional_404(script, env) {
            return Verdict::Continue;
        }
        // The reason phrase explains a status that was not expected.
        let reason = match expect.on_error {
            None => String::from_utf8_lossy(self.facts.response.reason()).into_owned(),
            Some(_) => String::new(),
        };
        match &expect.pattern {
            Pattern::Status(ranges) => {
                let matched = ranges.iter().any(|(low, high)| (*low..=*high).contains(&status));
                self.decide(script, rule, expect, Status::L7Status, matched, &reason, env)
            }
            Pattern::StatusRegex(regex) => {
                let matched = regex.is_match(status.to_string().as_bytes());
                self.decide(script, rule, expect, Status::L7Status, matched, &reason, env)
            }
            Pattern::Header { name, value, full } => {
                let context = context(&self.facts, &self.variables, env);
                match header(&self.facts, &context, name, value.as_ref(), *full) {
                    Some(matched) => {
                        self.decide(script, rule, expect, Status::L7Status, matched, &reason, env)
                    }
                    None => {
                        self.stop_with(rule, expect, "log-format string evaluated to an empty string", env)
                    }
                }
            }
            Pattern::Body(_) | Pattern::BodyRegex(_) | Pattern::BodyFormat(_) => {
                self.judge_body(script, rule, expect, is_last, env)
            }
            // The others look at plain bytes, and the configuration lets none of them in here.
            _ => self.stop(script, rule, expect, None, false, "", env),
        }
    }

    fn judge_body(
        &mut self,
        script: &Script,
        rule: &Rule,
        expect: &Expect,
        is_last: bool,
        env: &Env<'_>,
    ) -> Verdict {
        let own = |text: &'static str| if expect.on_error.is_none() { text } else { "" };
        if self.body.is_empty() {
            if !is_last {
                return Verdict::Wait;
            }
            let text = own("HTTP content check could not find a response body");
            return self.stop(script, rule, expect, expect.error_status, false, text, env);
        }
        let mut formatted = Vec::new();
        let literal: Option<&[u8]> = match &expect.pattern {
            Pattern::Body(data) => Some(data),
            Pattern::BodyFormat(format) => {
                formatted = render(format, &context(&self.facts, &self.variables, env));
                if formatted.is_empty() {
                    return self.stop_with(
                        rule,
                        expect,
                        "log-format string evaluated to an empty string",
                        env,
                    );
                }
                Some(&formatted)
            }
            _ => None,
        };
        let needed = literal.map_or(0, <[u8]>::len).max(expect.min_recv.unwrap_or(0));
        if !is_last && self.body.len() < needed {
            return Verdict::Wait;
        }
        let matched = match (&expect.pattern, literal) {
            (_, Some(data)) => contains(&self.body, data),
            (Pattern::BodyRegex(regex), None) => regex.is_match(&self.body),
            _ => false,
        };
        if !matched && !is_last && expect.min_recv.is_none() {
            return Verdict::Wait;
        }
        let text = own(if expect.inverted {
            "HTTP check matched unwanted content"
        } else {
            "HTTP content check did not match"
        });
        drop(formatted);
        self.decide(script, rule, expect, Status::L7Response, matched, text, env)
    }

    fn decide(
        &mut self,
        script: &Script,
        rule: &Rule,
        expect: &Expect,
        default: Status,
        matched: bool,
        info: &str,
        env: &Env<'_>,
    ) -> Verdict {
        if matched != expect.inverted {
            return Verdict::Continue;
        }
        self.stop(script, rule, expect, Some(expect.error_status.unwrap_or(default)), matched, info, env)
    }

    pub(super) fn stop_with(&mut self, rule: &Rule, expect: &Expect, info: &str, env: &Env<'_>) -> Verdict {
        let script = self.spec.clone();
        self.stop(&script.script, rule, expect, Some(Status::L7Response), false, info, env)
    }

    /// A failed expectation in words: what is given, else `on-error`, else the generic text; then the comment.
    pub(super) fn stop(
        &mut self,
        script: &Script,
        rule: &Rule,
        expect: &Expect,
        status: Option<Status>,
        matched: bool,
        info: &str,
        env: &Env<'_>,
    ) -> Verdict {
        let step = rule.index + 1;
        let is_empty = match script.kind {
            Kind::Http => !self.reading_head(),
            _ => self.input.is_empty(),
        };
        let mut text = if !info.is_empty() {
            info.to_owned()
        } else if let Some(note) = &expect.on_error {
            self.note(note, env)
        } else if is_empty {
            format!("TCPCHK got an empty response at step {step}")
        } else if !matches!(script.kind, Kind::Tcp | Kind::Http) {
            String::new()
        } else {
            let said = if matched && script.kind == Kind::Tcp {
                "TCPCHK matched unwanted content"
            } else {
                "TCPCHK did not match content"
            };
            format!("{said}{} at step {step}", kind_of_pattern(&expect.pattern))
        };
        if let Some(comment) = &rule.comment {
            text.push_str(" comment: ");
            text.push_str(comment);
        }
        self.set_code(expect, env);
        Verdict::Stop(self.finding(status.unwrap_or(Status::L7Response), text))
    }

    /// What went wrong outside, in words and as a status.
    pub fn fail(&self, failure: &Failure) -> Finding {
        let script = &*self.spec.script;
        let current = self.current.and_then(|at| script.rules.get(at));
        let place = if script.kind == Kind::Tcp { place(current) } else { String::new() };
        let (status, text) = match failure {
            Failure::NoTarget(text) => (Status::SocketError, text.as_str()),
            Failure::Connection(text) => (Status::L4Connection, text.as_str()),
            Failure::Broken(text) => (Status::SocketError, text.as_str()),
            Failure::Handshake(text) => (Status::L6Response, text.as_str()),
            Failure::Timeout if self.is_secure && !self.is_connected => (Status::L6Timeout, ""),
            Failure::Timeout if !self.is_connected => (Status::L4Timeout, ""),
            Failure::Timeout => {
                let own = match current.map(|rule| &rule.step) {
                    Some(Step::Expect(expect)) => expect.timeout_status,
                    _ => None,
                };
                (own.unwrap_or(Status::L7Timeout), "")
            }
        };
        Finding { status, code: self.code, info: format!("{text}{place}"), duration_ms: None }
    }
}

/// A context for expressions in checks: the answer, the variables, no session.
fn context<'a>(facts: &'a TransactionFacts, variables: &'a Vars, env: &Env<'a>) -> Context<'a> {
    Context {
        session: None,
        txn: facts,
        direction: Direction::Response,
        now: env.now,
        process: env.process,
        check_vars: Some(variables),
    }
}

/// An expression's value as a number, if it is one.
fn number(expr: &Expr, context: &Context<'_>) -> Option<i64> {
    match expr.eval(context)? {
        Value::Int(number) => Some(number),
        Value::Bool(value) => Some(i64::from(value)),
        Value::Str(text) | Value::Bin(text) => {
            let text = std::str::from_utf8(&text).ok()?;
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().ok()
        }
        Value::Ip(_) | Value::Method(..) => None,
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The bytes that hexadecimal text stands for.
pub(super) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    if text.len().is_multiple_of(2) { text.chunks(2).map(pair).collect() } else { None }
}

#[cfg(test)]
mod tests;
