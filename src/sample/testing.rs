//! A small world to evaluate expressions in, for the tests of this module.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::acl::AclSet;
use super::expr::{Expr, Files, ParseContext, Phase};
use super::facts::{Context, Direction, ProcessFacts, SessionFacts, TransactionFacts};
use crate::base::clock::Now;
use crate::diag::{Level, Report, Span};
use crate::http::{Request, Response, Version};
use crate::state::Registry;

/// Files in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<String, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A session, a transaction and what surrounds them.
#[derive(Debug)]
pub(crate) struct World {
    pub registry: Arc<Registry>,
    pub files: Memory,
    pub acls: AclSet,
    /// Tables and userlists.
    pub named: crate::sample::expr::Named,
    pub session: SessionFacts,
    pub txn: TransactionFacts,
    pub process: ProcessFacts,
    pub direction: Direction,
    pub now: Now,
}

impl Default for World {
    fn default() -> Self {
        let registry = Registry::new(1);
        let frontend = registry.proxy("web");
        frontend.id.store(2, std::sync::atomic::Ordering::Relaxed);
        let accepted = Now { mono_us: 2_000_000, wall_us: 1_700_000_000_123_456 };
        World {
            session: SessionFacts {
                number: 1,
                frontend,
                is_http: false,
                listener_id: 1,
                listener_name: None,
                source: Some("192.0.2.1:50000".parse().unwrap()),
                destination: Some("127.0.0.1:80".parse().unwrap()),
                connection: None,
                handshake_ms: 0,
                accepted,
                requests: 1,
                vars: Default::default(),
                bytes_in: 0,
                bytes_out: 0,
                transport: Default::default(),
                tracked: None,
            },
            registry,
            files: Memory::default(),
            acls: AclSet::default(),
            named: Default::default(),
            txn: TransactionFacts::default(),
            process: ProcessFacts {
                hostname: "box".into(),
                pid: 4242,
                node: "box".into(),
                ..Default::default()
            },
            direction: Direction::Request,
            now: Now { mono_us: 12_000_000, wall_us: 1_700_000_010_123_456 },
        }
    }
}

impl World {
    /// A world with an HTTP request in it.
    pub(crate) fn request(line: &str, fields: &[&str]) -> World {
        let mut world = World::default();
        world.session.is_http = true;
        let mut request = Request::default();
        let mut parts = line.splitn(3, ' ').map(str::as_bytes);
        request.set_method(parts.next().unwrap());
        request.set_target(parts.next().unwrap());
        request.version = if parts.next() == Some(b"HTTP/1.0") { Version::Http10 } else { Version::Http11 };
        for field in fields {
            let (name, value) = field.split_once(':').unwrap();
            request.fields.append(name.as_bytes(), value.trim().as_bytes());
        }
        world.txn.request = request;
        world.txn.has_request = true;
        world
    }
    /// Puts a response into it.
    pub(crate) fn respond(&mut self, status: u16, fields: &[&str]) {
        let mut response = Response::default();
        response.set_status(status, b"");
        for field in fields {
            let (name, value) = field.split_once(':').unwrap();
            response.fields.append(name.as_bytes(), value.trim().as_bytes());
        }
        self.txn.response = response;
        self.txn.has_response = true;
    }
    /// Puts a file into it.
    pub(crate) fn file(mut self, path: &str, text: &str) -> World {
        self.files.0.insert(path.into(), text.into());
        self
    }
    /// What expressions see of it.
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            session: Some(&self.session),
            txn: &self.txn,
            direction: self.direction,
            now: self.now,
            process: &self.process,
            check_vars: None,
        }
    }
    /// Parses something in it; returns that and what was reported.
    pub(crate) fn parsing<T>(
        &self,
        phase: Phase,
        parse: impl FnOnce(&mut ParseContext<'_>) -> T,
    ) -> (T, Report) {
        let mut report = Report::default();
        let outcome = parse(&mut ParseContext {
            report: &mut report,
            registry: &self.registry,
            files: &self.files,
            phase,
            proxy: Some("web"),
            acls: &self.acls,
            named: &self.named,
        });
        (outcome, report)
    }
}

/// The findings as one text.
pub(crate) fn told(report: &Report) -> String {
    let all: Vec<_> = report.diagnostics.iter().map(|found| found.message.as_str()).collect();
    all.join("\n")
}

/// Parses an expression that must be right.
pub(crate) fn parse(text: &str, phase: Phase) -> Expr {
    parse_in(&World::default(), text, phase)
}

fn parse_in(world: &World, text: &str, phase: Phase) -> Expr {
    let (expr, report) = world.parsing(phase, |context| Expr::parse(text, Span::NONE, context));
    expr.unwrap_or_else(|| panic!("{text}: {}", told(&report)))
}

/// The alert and the help that an expression causes; empty if it is right.
pub(crate) fn alert(text: &str, phase: Phase) -> (String, String) {
    alert_in(&World::default(), text, phase)
}

/// As [`alert`], in a world of files.
pub(crate) fn alert_in(world: &World, text: &str, phase: Phase) -> (String, String) {
    let (expr, report) = world.parsing(phase, |context| Expr::parse(text, Span::NONE, context));
    let found = report.diagnostics.first();
    assert_eq!(expr.is_none(), found.is_some_and(|found| found.level == Level::Alert), "{text}");
    found.map_or_else(Default::default, |f| (f.message.clone(), f.help.clone().unwrap_or_default()))
}

/// Evaluates expressions of the request; `-` stands for absence.
pub(crate) fn check(world: &World, cases: &[(&str, &str)]) {
    check_in(world, Phase::HttpRequest, cases);
}

/// Evaluates expressions of a phase; `-` stands for absence.
pub(crate) fn check_in(world: &World, phase: Phase, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let expr = parse_in(world, text, phase);
        let mut out = Vec::new();
        if !expr.eval_string(&world.context(), &mut out) {
            out = b"-".to_vec();
        }
        assert_eq!(String::from_utf8_lossy(&out), *expected, "{text}");
    }
}
