//! Expressions, conditions and log lines over one request.

use std::io;
use std::sync::Arc;

use divan::{Bencher, black_box};
use haring::base::clock::Now;
use haring::diag::{Report, Span};
use haring::http::h1::head::{Limits, parse_request};
use haring::log::formats;
use haring::sample::acl::AclSet;
use haring::sample::condition::Condition;
use haring::sample::expr::{Files, Named, Phase};
use haring::sample::facts::{Direction, ProcessFacts};
use haring::sample::{Context, Expr, LogFormat, ParseContext, SessionFacts, TransactionFacts};
use haring::state::Registry;

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

const NOW: Now = Now { mono_us: 12_000_000, wall_us: 1_700_000_010_123_456 };

/// What rules look at.
struct Facts {
    registry: Arc<Registry>,
    session: SessionFacts,
    txn: TransactionFacts,
    process: ProcessFacts,
}

impl Facts {
    fn new() -> Facts {
        let registry = Registry::new(1);
        let mut session = SessionFacts::new(registry.proxy("web"), NOW);
        session.is_http = true;
        session.source = Some("192.0.2.1:50000".parse().expect("an address"));
        let mut txn = TransactionFacts::default();
        let head =
            b"GET /v1/items?id=42&sort=up HTTP/1.1\r\nHost: WWW.Example.com:8080\r\nUser-Agent: bench\r\n\
            Accept: */*\r\nCookie: session=abc; theme=dark\r\n\r\n";
        let limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: false };
        parse_request(head, &mut txn.request, &limits).expect("a head");
        txn.has_request = true;
        Facts { registry, session, txn, process: ProcessFacts::default() }
    }

    fn context(&self) -> Context<'_> {
        Context {
            session: Some(&self.session),
            txn: &self.txn,
            direction: Direction::Request,
            now: NOW,
            process: &self.process,
            check_vars: None,
        }
    }

    fn parse<T>(&self, phase: Phase, parse: impl FnOnce(&mut ParseContext<'_>) -> Option<T>) -> T {
        let mut report = Report::default();
        let made = parse(&mut ParseContext {
            report: &mut report,
            registry: &self.registry,
            files: &NoFiles,
            phase,
            proxy: Some("web"),
            acls: &AclSet::default(),
            named: &Named::default(),
        });
        made.unwrap_or_else(|| panic!("{:?}", report.diagnostics))
    }
}

#[divan::bench(args = [
    "path",
    "req.hdr(host)",
    "req.hdr(host),lower,field(1,:)",
    "url_param(id),add(1),mul(3)",
    "req.cook(theme),upper,concat(-,txn.none,x)",
    "src,ipmask(24)",
])]
fn expression(bencher: Bencher, text: &str) {
    let facts = Facts::new();
    let expression = facts.parse(Phase::HttpRequest, |context| Expr::parse(text, Span::NONE, context));
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        black_box(&expression).eval_string(&facts.context(), &mut out)
    });
}

#[divan::bench(args = [
    "{ path_beg /api /v1 /v2 }",
    "{ hdr(host) -i example.com www.example.com:8080 shop.example.com }",
    "{ src 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 192.0.2.0/24 }",
    "{ path_reg ^/v[0-9]+/items }",
    "{ method GET } !{ path_sub /../ } { url_param(id) -m int ge 10 }",
])]
fn condition(bencher: Bencher, text: &str) {
    let facts = Facts::new();
    let words: Vec<&str> = std::iter::once("if").chain(text.split(' ')).collect();
    let condition = facts.parse(Phase::HttpRequest, |context| Condition::parse(&words, Span::NONE, context));
    assert!(condition.holds(&facts.context()), "{text}");
    bencher.bench_local(|| black_box(&condition).holds(&facts.context()));
}

#[divan::bench(args = ["tcp", "http", "json"])]
fn log_line(bencher: Bencher, name: &str) {
    let facts = Facts::new();
    let text = match name {
        "tcp" => formats::TCP,
        "http" => formats::HTTP,
        _ => formats::HTTP_JSON,
    };
    let format = facts.parse(Phase::Log, |context| LogFormat::parse(text, Span::NONE, context));
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        black_box(&format).write(&facts.context(), true, &mut out);
        out.len()
    });
}
