//! Models small enough for the tests of this module.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diag::Span;
use crate::model::{Model, Proxy, Server, Shared};
use crate::rules::testing::parsing;
use crate::sample::expr::Phase;
use crate::sample::facts::{Direction, ProcessFacts};
use crate::sample::{Condition, Context, Expr, LogFormat, SessionFacts, TransactionFacts};
use crate::state::{ProxyState, ServerState};

/// A proxy that is both sides, in HTTP mode, without anything else.
pub(crate) fn proxy(name: &str) -> Proxy {
    let mut proxy = Proxy::bare(Arc::new(ProxyState::new(name, 1)));
    (proxy.is_frontend, proxy.is_backend) = (true, true);
    proxy
}

/// A running server.
pub(crate) fn server(backend: &str, name: &str) -> Server {
    Server::bare(Arc::new(ServerState::new(backend, name, 1)))
}

/// A model without proxies.
pub(crate) fn model() -> Model {
    Model::new(Shared::bare(crate::state::Registry::new(1)), Vec::new(), HashMap::new())
}

/// What expressions see of a GET of `target`.
pub(crate) fn with_context<T>(target: &str, look: impl FnOnce(&Context<'_>) -> T) -> T {
    let mut txn = TransactionFacts { has_request: true, ..TransactionFacts::default() };
    txn.request.set_target(target.as_bytes());
    let (session, process) = (session(), ProcessFacts::default());
    look(&Context {
        session: Some(&session),
        txn: &txn,
        direction: Direction::Request,
        now: Default::default(),
        process: &process,
        check_vars: None,
    })
}

/// A condition: the words from `if` on.
pub(crate) fn condition(text: &str) -> Condition {
    let words: Vec<&str> = text.split(' ').collect();
    let (condition, told) = parsing(|context| {
        context.phase = Phase::Switching;
        Condition::parse(&words, Span::NONE, context)
    });
    condition.unwrap_or_else(|| panic!("{text}: {told:?}"))
}

/// A format.
pub(crate) fn format(text: &str) -> LogFormat {
    let (format, told) = parsing(|context| {
        context.phase = Phase::Switching;
        LogFormat::parse(text, Span::NONE, context)
    });
    format.unwrap_or_else(|| panic!("{text}: {told:?}"))
}

/// An expression.
pub(crate) fn expr(text: &str) -> Expr {
    let (expr, told) = parsing(|context| {
        context.phase = Phase::Switching;
        Expr::parse(text, Span::NONE, context)
    });
    expr.unwrap_or_else(|| panic!("{text}: {told:?}"))
}

/// A session from 192.0.2.1:4000 to 192.0.2.2:80.
pub(crate) fn session() -> SessionFacts {
    SessionFacts {
        number: 1,
        frontend: Arc::new(ProxyState::new("fe", 1)),
        is_http: true,
        listener_id: 1,
        listener_name: None,
        source: Some(([192, 0, 2, 1], 4000).into()),
        destination: Some(([192, 0, 2, 2], 80).into()),
        connection: None,
        handshake_ms: 0,
        accepted: Default::default(),
        requests: 1,
        vars: Default::default(),
        bytes_in: 0,
        bytes_out: 0,
        transport: Default::default(),
        tracked: None,
    }
}
