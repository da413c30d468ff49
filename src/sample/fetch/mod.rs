//! Sample fetches, one row each (manual, sections 7.3.2 to 7.3.6).
//!
//! A row says what the fetch is called, what it takes, what it yields, which data it needs and
//! what it is for; its function stands in the same file. [`TABLE`] joins the rows.

pub mod configured;
pub mod conn;
pub mod cookie;
pub mod distcc;
pub mod header;
pub mod hello;
pub mod internal;
pub mod payload;
pub mod proxy_protocol;
pub mod request;
pub mod response;
pub mod state;
pub mod table;
pub(crate) mod target;
pub mod tls;
pub mod transport;
pub mod variables;

use super::arg::{Arg, ArgType, Check};
use super::expr::Phase;
use super::facts::Context;
use super::value::{Type, Value};

/// Which data a fetch needs, and so when it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing: constants.
    Constant,
    /// The process or the live state.
    Internal,
    /// The client connection and its frontend.
    Client,
    /// Bytes received from the client and not parsed.
    RequestBuffer,
    /// Request header fields, the target, the body: gone once the request was sent.
    RequestHeaders,
    /// What is remembered of a request to its end.
    Request,
    /// The backend.
    Backend,
    /// The server chosen.
    Server,
    /// The connection to the server.
    ServerConnection,
    /// Bytes received from the server and not parsed.
    ResponseBuffer,
    /// Response header fields.
    ResponseHeaders,
    /// What is remembered of a response to its end.
    Response,
    /// Header fields of whichever message is at hand.
    EitherHeaders,
    /// Bytes of whichever direction is at hand.
    EitherBuffer,
    /// Figures about the transaction that grow to its end.
    Statistics,
}

impl Source {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Source::Constant => "constant",
            Source::Internal => "internal state",
            Source::Client => "client address",
            Source::RequestBuffer => "request buffer",
            Source::RequestHeaders => "HTTP request headers",
            Source::Request => "HTTP request",
            Source::Backend => "backend",
            Source::Server => "server",
            Source::ServerConnection => "server address",
            Source::ResponseBuffer => "response buffer",
            Source::ResponseHeaders => "HTTP response headers",
            Source::Response => "HTTP response",
            Source::EitherHeaders => "HTTP request headers,HTTP response headers",
            Source::EitherBuffer => "request buffer,response buffer",
            Source::Statistics => "transaction statistics",
        }
    }
    /// Whether its data exist in a phase.
    pub fn exists_in(self, phase: Phase) -> bool {
        use Phase::*;
        let request = matches!(phase, TcpRequestContent | HttpRequest | Switching);
        let response = matches!(phase, TcpResponseContent | HttpResponse | HttpAfterResponse);
        match self {
            Source::Constant => true,
            Source::Internal => phase != Config,
            // A check has no client; see `Fetch::is_empty_in`.
            Source::Client => !matches!(phase, Config | Check),
            Source::RequestBuffer | Source::RequestHeaders => request,
            Source::Request | Source::Statistics => request || response || phase == Log,
            Source::Backend => request || response || matches!(phase, Log | Check),
            // `Switching` covers what happens after the server is chosen, too (`stick`, `use-server`).
            Source::Server => response || matches!(phase, Switching | Log | Check),
            Source::ServerConnection => response || matches!(phase, Log | Check),
            Source::ResponseBuffer | Source::ResponseHeaders => response || phase == Check,
            Source::Response => response || matches!(phase, Log | Check),
            Source::EitherHeaders | Source::EitherBuffer => request || response || phase == Check,
        }
    }
    /// What to do instead, if there is something.
    pub fn advice(self, phase: Phase) -> Option<&'static str> {
        let late = matches!(
            phase,
            Phase::Log | Phase::TcpResponseContent | Phase::HttpResponse | Phase::HttpAfterResponse
        );
        match self {
            Source::RequestHeaders | Source::RequestBuffer | Source::EitherHeaders if late => Some(
                "keep it while the request is there: 'http-request set-var(txn.name) ...' or 'capture', \
                 then use 'var(txn.name)' here",
            ),
            Source::ResponseHeaders if phase == Phase::Log => {
                Some("keep it with 'http-response set-var(txn.name) ...', then use 'var(txn.name)' here")
            }
            _ => None,
        }
    }
}

/// The function behind a fetch.
pub type Get = for<'a> fn(&'a [Arg], &Context<'a>) -> Option<Value<'a>>;
/// The function that gives every value in turn until its receiver says it has seen enough.
pub type Each = for<'a> fn(&'a [Arg], &Context<'a>, &mut dyn FnMut(Value<'a>) -> bool);

/// One fetch.
#[derive(Debug)]
pub struct Fetch {
    /// Its name.
    pub name: &'static str,
    /// What its arguments must be.
    pub args: &'static [ArgType],
    /// How many of them must be given.
    pub required: usize,
    /// What it yields.
    pub output: Type,
    /// Which data it needs.
    pub source: Source,
    /// What it is for.
    pub doc: &'static str,
    /// Evaluates it.
    pub get: Get,
    /// Gives every value, where there may be several.
    pub each: Option<Each>,
    /// Checks and completes the arguments.
    pub check: Option<Check>,
    /// Whether more bytes may change a value that is there already.
    pub grows: fn(&[Arg]) -> bool,
    /// Whether no more bytes can give it a value that it lacks now.
    pub hopeless: fn(&[Arg], &Context<'_>) -> bool,
    /// Whether it is about waiting for more.
    pub waits: bool,
}

impl Fetch {
    /// Whether it is allowed in a phase although it never has a value there: what configurations
    /// say of a client in health checks has always passed, other than what needs its frontend.
    pub fn is_empty_in(&self, phase: Phase) -> bool {
        const FRONTEND: &[&str] =
            &["fe_", "so_", "dst_conn", "fc_pp_tlv", "fc_settings", "cur_", "ssl_", "req.ssl_", "fs."];
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| self.name.starts_with(prefix));
        phase == Phase::Check
            && match self.source {
                Source::Client => !starts(FRONTEND),
                _ => starts(&["sc_", "sc0_", "sc1_", "sc2_"]),
            }
    }
    /// A row without arguments.
    pub const fn new(name: &'static str, output: Type, source: Source, doc: &'static str, get: Get) -> Fetch {
        Fetch {
            name,
            args: &[],
            required: 0,
            output,
            source,
            doc,
            get,
            each: None,
            check: None,
            grows: |_| false,
            hopeless: |_, _| false,
            waits: false,
        }
    }
    /// With arguments, the first `required` of which must be given.
    pub const fn args(mut self, required: usize, args: &'static [ArgType]) -> Fetch {
        self.args = args;
        self.required = required;
        self
    }
    /// With a way to give every value.
    pub const fn each(mut self, each: Each) -> Fetch {
        self.each = Some(each);
        self
    }
    /// With a check of the arguments.
    pub const fn check(mut self, check: Check) -> Fetch {
        self.check = Some(check);
        self
    }
    /// Whose value may change with more bytes.
    pub const fn grows(mut self, grows: fn(&[Arg]) -> bool) -> Fetch {
        self.grows = grows;
        self
    }
    /// Whose absence may be final.
    pub const fn hopeless(mut self, hopeless: fn(&[Arg], &Context<'_>) -> bool) -> Fetch {
        self.hopeless = hopeless;
        self
    }
    /// That is about waiting for more.
    pub const fn waits(mut self) -> Fetch {
        self.waits = true;
        self
    }
}

/// Every fetch, by source file.
pub const TABLE: &[&[Fetch]] = &[
    conn::TABLE,
    proxy_protocol::TABLE,
    transport::TABLE,
    request::TABLE,
    header::TABLE,
    cookie::TABLE,
    response::TABLE,
    payload::TABLE,
    hello::TABLE,
    distcc::TABLE,
    tls::TABLE,
    tls::CLIENT_CERTIFICATE,
    tls::FRONTEND_CERTIFICATE,
    tls::SERVER_CERTIFICATE,
    state::TABLE,
    configured::TABLE,
    internal::TABLE,
    variables::TABLE,
    table::TABLE,
    super::counters::FETCHES,
];

/// The fetch called `name`.
pub fn find(name: &str) -> Option<&'static Fetch> {
    TABLE.iter().flat_map(|rows| rows.iter()).find(|row| row.name == name)
}

/// The names of all fetches.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|rows| rows.iter()).map(|row| row.name)
}

/// Why a fetch that HAProxy has is not here.
pub fn why_absent(name: &str) -> Option<&'static str> {
    const HTX: &str = "it looks into HAProxy's internal form of messages, which does not exist here";
    const STREAMS: &str = "it tells of a multiplexed stream's inside, which does not exist here";
    const DEVICES: &str = "it needs a device detection library, which is not built in";
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if name.starts_with("internal.htx") {
        Some(HTX)
    } else if starts(&["fs.", "bs."]) {
        Some(STREAMS)
    } else if starts(&["fcgi.", "spoe."]) {
        Some(
            "it belongs to a protocol of HAProxy's filters and applications, which this version does not speak",
        )
    } else if starts(&["51d.", "da-csv-fetch", "wurfl-"]) {
        Some(DEVICES)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_unique_and_explained() {
        let mut names: Vec<_> = names().collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1], "there are two rows of this name");
        }
        for row in TABLE.iter().flat_map(|rows| rows.iter()) {
            assert!(!row.doc.is_empty() && row.required <= row.args.len(), "{}", row.name);
        }
    }
}
