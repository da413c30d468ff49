//! Rules parsed and run in memory, for the tests of this module.

use std::collections::HashMap;
use std::sync::Arc;

use super::keyword;
use super::{Effects, Rule, RuleSet, Run, Verdict, run};
use crate::base::clock::Now;
use crate::diag::{Report, Source, Span};
use crate::sample::acl::AclSet;
use crate::sample::expr::{Files, Named, Phase};
use crate::sample::facts::ProcessFacts;
use crate::sample::{ParseContext, SessionFacts, TransactionFacts};
use crate::state::table::KeyType;
use crate::state::tracked::testing::table;
use crate::state::{ProxyState, Registry, Table};

/// Files that exist: each holds its own name and a format.
struct Memory;

impl Files for Memory {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        match path {
            "/empty" => Ok(Vec::new()),
            "/page" => Ok(b"HTTP/1.1 403 No\r\n\r\n".to_vec()),
            "/text" => Ok(b"path is %[path]\n".to_vec()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

/// The words of a line; single quotes keep blanks.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().expect("never empty").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

thread_local! {
    static TABLES: HashMap<String, Arc<Table>> = ["web", "other"]
        .map(|name| {
            let stored = "conn_cur conn_cnt http_req_cnt http_err_cnt http_fail_cnt gpc0 gpc1 gpc gpc_rate gpt";
            (name.to_owned(), table(name, KeyType::Ip, stored))
        })
        .into();
}

/// The stick tables of a test, which its rules share: the proxy's own, `web`, and `other`.
pub(crate) fn tables() -> Named {
    Named { tables: TABLES.with(Clone::clone), experimental: true, ..Named::default() }
}

/// Calls a parser with a context; returns what it made and what was reported.
pub(crate) fn parsing<T>(parse: impl FnOnce(&mut ParseContext<'_>) -> T) -> (T, Vec<String>) {
    let registry = Registry::new(1);
    let acls = AclSet::default();
    let mut report = Report::default();
    report.sources.push(Source { name: "test.cfg".into(), lines: Vec::new() });
    let made = parse(&mut ParseContext {
        report: &mut report,
        registry: &registry,
        files: &Memory,
        phase: Phase::Config,
        proxy: Some("web"),
        acls: &acls,
        named: &tables(),
    });
    let told = report.diagnostics.into_iter().map(|found| match found.help {
        Some(help) => format!("{} ({help})", found.message),
        None => found.message,
    });
    (made, told.collect())
}

/// A rule that must be right; it stands in line `line`.
pub(crate) fn rule(set: RuleSet, text: &str, line: u32) -> Rule {
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let span = Span { file: 0, line, start: 0, end: 0 };
    let (rule, told) = parsing(|context| keyword::parse(set, &words, span, context));
    rule.unwrap_or_else(|| panic!("{text}: {told:?}"))
}

/// What is said about a rule.
pub(crate) fn told(set: RuleSet, text: &str) -> Vec<String> {
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let span = Span { file: 0, line: 1, start: 0, end: 0 };
    let (rule, told) = parsing(|context| keyword::parse(set, &words, span, context));
    assert!(rule.is_none() || told.iter().all(|text| !text.contains("error")), "{text}: {told:?}");
    told
}

/// A session with a request, and what rules did to it.
pub(crate) struct Bench {
    pub session: SessionFacts,
    pub txn: TransactionFacts,
    pub process: ProcessFacts,
    pub effects: Effects,
    pub head_max: usize,
}

impl Bench {
    /// A GET of a target with fields.
    pub(crate) fn get(target: &str, fields: &[(&str, &str)]) -> Bench {
        let mut txn = TransactionFacts { has_request: true, ..TransactionFacts::default() };
        txn.request.set_method(b"GET");
        txn.request.set_target(target.as_bytes());
        for (name, value) in fields {
            txn.request.fields.append(name.as_bytes(), value.as_bytes());
        }
        let source = Some(([192, 0, 2, 1], 4000).into());
        Bench {
            session: SessionFacts {
                number: 1,
                frontend: Arc::new(ProxyState::new("fe", 1)),
                is_http: true,
                listener_id: 1,
                listener_name: None,
                source,
                destination: Some(([192, 0, 2, 2], 80).into()),
                connection: None,
                handshake_ms: 0,
                accepted: Now::default(),
                requests: 1,
                vars: Default::default(),
                bytes_in: 0,
                bytes_out: 0,
                transport: Default::default(),
                tracked: None,
            },
            txn,
            process: ProcessFacts::default(),
            effects: Effects::default(),
            head_max: 15_000,
        }
    }
    /// Gives it a response.
    pub(crate) fn respond(mut self, status: u16, fields: &[(&str, &str)]) -> Bench {
        self.txn.has_response = true;
        self.txn.response.set_status(status, b"");
        for (name, value) in fields {
            self.txn.response.fields.append(name.as_bytes(), value.as_bytes());
        }
        self
    }
    /// Runs rules that stand in lines 1, 2, ...
    pub(crate) fn run(&mut self, set: RuleSet, lines: &[&str]) -> Verdict {
        let rules: Vec<_> = lines.iter().zip(1..).map(|(text, line)| rule(set, text, line)).collect();
        self.run_from(set, &rules, 0)
    }
    /// Runs rules from one on.
    pub(crate) fn run_from(&mut self, set: RuleSet, rules: &[Rule], from: usize) -> Verdict {
        let mut run = Run {
            set,
            session: &mut self.session,
            txn: &mut self.txn,
            process: &self.process,
            now: Now::default(),
            head_max: self.head_max,
            effects: &mut self.effects,
        };
        run::run(rules, from, &mut run)
    }
    /// The request's fields as lines.
    pub(crate) fn request_lines(&self) -> Vec<String> {
        lines(&self.txn.request.fields)
    }
    /// The response's fields as lines.
    pub(crate) fn response_lines(&self) -> Vec<String> {
        lines(&self.txn.response.fields)
    }
}

fn lines(fields: &crate::http::Fields) -> Vec<String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}
