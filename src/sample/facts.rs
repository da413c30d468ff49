//! What is known about a session and a transaction: all that expressions, rules and logs may see.
//!
//! The engine and the session phases write these; expressions read them through [`Context`].

use std::borrow::Cow;
use std::cell::Cell;
use std::cell::OnceCell;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, OnceLock};

use super::connection::{ConnectionError, ConnectionFacts};
use super::vars::{VarLimits, Vars};
use crate::base::clock::{Millis, Now};
use crate::http::h1::as_sent::AsSent;
use crate::http::status_set::CountedStatuses;
use crate::http::{Request, Response};
use crate::state::table::Entry;
use crate::state::tracked::Event;
use crate::state::{ProxyState, ServerState, Tracked};
use crate::tls::connection::TlsFacts;
use crate::tls::counters::TlsCounters;

/// Facts of one client connection.
#[derive(Debug)]
pub struct SessionFacts {
    /// Process-wide number of the session, for `%rt` and unique ids.
    pub number: u64,
    /// The frontend that accepted it.
    pub frontend: Arc<ProxyState>,
    /// Whether the frontend is in HTTP mode.
    pub is_http: bool,
    /// The listener's number (`so_id`) in its frontend.
    pub listener_id: u32,
    /// The listener's name (`so_name`, `%fp` text), if configured.
    pub listener_name: Option<Arc<str>>,
    /// The client's address as rules and logs see it (PROXY protocol, `set-src` change it).
    pub source: Option<SocketAddr>,
    /// The address the client connected to, filled in when the frontend needs it.
    pub destination: Option<SocketAddr>,
    /// What the connection itself shows, once that is more than the addresses above.
    pub connection: Option<Rc<ConnectionFacts>>,
    /// When it was accepted.
    pub accepted: Now,
    /// How long handshakes took before the session began, in milliseconds (`%Th`).
    pub handshake_ms: u32,
    /// Requests seen on it so far, the current one included.
    pub requests: u64,
    /// `sess.` variables, once there is one; streams of a connection share them.
    pub vars: OnceCell<Rc<Vars>>,
    /// Bytes received from and sent to the client over its life.
    pub bytes_in: u64,
    /// See `bytes_in`.
    pub bytes_out: u64,
    /// What lies below the session, for fetches that ask the system about it.
    pub transport: Transport,
    /// Entries of stick tables tracked by its connection and session rules, to its end.
    pub tracked: Option<Rc<Tracked>>,
}

/// The client connection's socket and the listener it came through.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// The descriptor, open as long as the session lives.
    pub socket: Option<i32>,
    /// Connections on the same listener (`dst_conn`).
    pub listener_connections: Option<Arc<AtomicU32>>,
    /// What is seen of the connection if the client speaks HTTP/2.
    pub http2: Option<Rc<Http2Facts>>,
}

/// Facts of a client connection that carries streams, as they are now.
#[derive(Debug, Default)]
pub struct Http2Facts {
    /// What the client did that sound ones do not do, so far (`fc_glitches`).
    pub glitches: Cell<u32>,
    /// Streams that are open (`fc_nb_streams`).
    pub streams: Cell<u32>,
    /// Streams that may be open at once; 0 for no limit (`fc_settings_streams_limit`).
    pub streams_max: u32,
}

/// What the kernel knows of a TCP connection (`tcp_info`); times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFigures {
    /// Mean round trip time.
    pub rtt_us: u32,
    /// Its variance.
    pub rtt_variance_us: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Segments acknowledged selectively.
    pub sacked: u32,
    /// Segments taken for lost.
    pub lost: u32,
    /// Segments being retransmitted.
    pub retrans: u32,
    /// Segments acknowledged by forward acknowledgement.
    pub fackets: u32,
    /// How far segments were seen out of order.
    pub reordering: u32,
}

/// What rules of a transaction set in the place of a proxy's own: time-outs in milliseconds
/// (`set-timeout`) and `retries` (`set-retries`).
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Overrides {
    pub client_ms: Option<u64>,
    pub server_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub queue_ms: Option<u64>,
    pub tarpit_ms: Option<u64>,
    pub tunnel_ms: Option<u64>,
    pub retries: Option<u32>,
}

impl SessionFacts {
    /// The connection's own facts, told apart from the session's from now on.
    pub fn own_connection(&mut self) -> &mut ConnectionFacts {
        let (source, destination) = (self.source, self.destination);
        let own = self
            .connection
            .get_or_insert_with(|| Rc::new(ConnectionFacts { source, destination, ..Default::default() }));
        Rc::make_mut(own)
    }
    /// The `sess.` variables.
    pub fn vars(&self) -> &Rc<Vars> {
        self.vars.get_or_init(Rc::default)
    }
    /// Those of a stream that shares the connection.
    pub fn of_stream(&self) -> SessionFacts {
        self.vars(); // one for all
        SessionFacts {
            number: self.number,
            frontend: self.frontend.clone(),
            is_http: self.is_http,
            listener_id: self.listener_id,
            listener_name: self.listener_name.clone(),
            source: self.source,
            destination: self.destination,
            connection: self.connection.clone(),
            accepted: self.accepted,
            handshake_ms: self.handshake_ms,
            requests: self.requests,
            vars: self.vars.clone(),
            bytes_in: 0,
            bytes_out: 0,
            transport: self.transport.clone(),
            tracked: self.tracked.clone(),
        }
    }
    /// The connection's own source and destination (`fc_src`, `fc_dst`), whatever the session or a
    /// transaction of it made of them.
    pub fn connection_addresses(&self, txn: &TransactionFacts) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match (&self.connection, txn.session_addresses) {
            (Some(own), _) => (own.source, own.destination),
            (None, Some(before)) => before,
            (None, None) => (self.source, self.destination),
        }
    }
    /// A session of `frontend` of which only the beginning is known.
    pub fn new(frontend: Arc<ProxyState>, accepted: Now) -> Self {
        SessionFacts {
            number: 0,
            frontend,
            is_http: false,
            listener_id: 0,
            listener_name: None,
            source: None,
            destination: None,
            connection: None,
            accepted,
            handshake_ms: 0,
            requests: 0,
            vars: OnceCell::new(),
            bytes_in: 0,
            bytes_out: 0,
            transport: Transport::default(),
            tracked: None,
        }
    }
}

/// Which side ended a session (the first letter of `%ts`; manual, section 8.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// `-`: normally.
    #[default]
    Normally,
    /// `C`: aborted by the client.
    Client,
    /// `S`: aborted or refused by the server.
    Server,
    /// `P`: by the proxy (deny, limit, protocol check).
    Proxy,
    /// `L`: locally processed (redirect, return, stats).
    Local,
    /// `R`: a resource was exhausted.
    Resource,
    /// `I`: an internal error.
    Internal,
    /// `D`: the server was marked down.
    Down,
    /// `U`: a backup gave way to an active server.
    Up,
    /// `K`: killed by an operator.
    Killed,
    /// `c`: a client-side time-out.
    ClientTimeout,
    /// `s`: a server-side time-out.
    ServerTimeout,
}

impl Ended {
    /// Whether the session was ordered to end: nothing is tried again then.
    pub fn by_order(self) -> bool {
        matches!(self, Ended::Killed | Ended::Down | Ended::Up)
    }
    /// The first letter of `%ts`.
    pub fn letter(self) -> u8 {
        match self {
            Ended::Normally => b'-',
            Ended::Client => b'C',
            Ended::Server => b'S',
            Ended::Proxy => b'P',
            Ended::Local => b'L',
            Ended::Resource => b'R',
            Ended::Internal => b'I',
            Ended::Down => b'D',
            Ended::Up => b'U',
            Ended::Killed => b'K',
            Ended::ClientTimeout => b'c',
            Ended::ServerTimeout => b's',
        }
    }
}

/// In which phase it ended (the second letter of `%ts`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndedIn {
    /// `-`: after the last transfer.
    #[default]
    Nothing,
    /// `R`: waiting for a request.
    Request,
    /// `Q`: queued.
    Queue,
    /// `C`: connecting to the server.
    Connect,
    /// `H`: waiting for response headers.
    Headers,
    /// `D`: transferring data.
    Data,
    /// `L`: sending last data to the client.
    Last,
    /// `T`: tarpitted.
    Tarpit,
}

impl EndedIn {
    /// The second letter of `%ts`.
    pub fn letter(self) -> u8 {
        match self {
            EndedIn::Nothing => b'-',
            EndedIn::Request => b'R',
            EndedIn::Queue => b'Q',
            EndedIn::Connect => b'C',
            EndedIn::Headers => b'H',
            EndedIn::Data => b'D',
            EndedIn::Last => b'L',
            EndedIn::Tarpit => b'T',
        }
    }
}

/// How the cookie of the request was found (third letter of `%tsc`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CookieRequest {
    /// `-`: not applicable.
    #[default]
    NotApplicable,
    None,
    Invalid,
    Down,
    Valid,
    Expired,
    Old,
    Unused,
}

impl CookieRequest {
    /// The third letter of `%tsc`.
    pub fn letter(self) -> u8 {
        match self {
            CookieRequest::NotApplicable => b'-',
            CookieRequest::None => b'N',
            CookieRequest::Invalid => b'I',
            CookieRequest::Down => b'D',
            CookieRequest::Valid => b'V',
            CookieRequest::Expired => b'E',
            CookieRequest::Old => b'O',
            CookieRequest::Unused => b'U',
        }
    }
}

/// What was done about the cookie in the response (fourth letter of `%tsc`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CookieResponse {
    /// `-`: not applicable.
    #[default]
    NotApplicable,
    /// `N`: none provided by the server, none inserted.
    None,
    Inserted,
    Updated,
    Passive,
    Rewritten,
    Deleted,
}

impl CookieResponse {
    /// The fourth letter of `%tsc`.
    pub fn letter(self) -> u8 {
        match self {
            CookieResponse::NotApplicable => b'-',
            CookieResponse::None => b'N',
            CookieResponse::Inserted => b'I',
            CookieResponse::Updated => b'U',
            CookieResponse::Passive => b'P',
            CookieResponse::Rewritten => b'R',
            CookieResponse::Deleted => b'D',
        }
    }
}

/// Monotonic microseconds of a transaction's milestones; 0 when not reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Milestones {
    /// Where the transaction's time begins: the end of the one before on the same connection, from
    /// which `%Ti` counts; 0 for the first, which begins when the session was accepted.
    pub start_us: u64,
    /// First byte of the request (start of `%TR`).
    pub first_byte_us: u64,
    /// The same moment on the wall clock, for `%tr` and `%t`.
    pub first_byte_wall_us: u64,
    /// The request head was complete.
    pub request_us: u64,
    /// It left the queue (or never queued) and connecting began.
    pub queued_us: u64,
    /// The server connection stood.
    pub connected_us: u64,
    /// The response head was complete.
    pub response_us: u64,
    /// The last byte was transferred.
    pub end_us: u64,
}

/// Facts of one request and its response, or of one TCP session.
#[derive(Debug, Default)]
pub struct TransactionFacts {
    /// TLS of the connection to the server, if it has one.
    pub server_tls: Option<Arc<TlsFacts>>,
    /// The request head (HTTP mode).
    pub request: Request,
    /// Whether `request` holds a complete, valid head.
    pub has_request: bool,
    /// See [`TransactionFacts::as_sent`].
    pub sent_by_client: Option<AsSent>,
    /// The response head.
    pub response: Response,
    /// Whether `response` holds a complete head.
    pub has_response: bool,
    /// Request body bytes at hand (with `option http-buffer-request` or `wait-for-body`), decoded.
    pub body: Vec<u8>,
    /// Whether `body` is the whole body.
    pub body_complete: bool,
    /// Response body bytes at hand (`http-response wait-for-body`), decoded.
    pub response_body: Vec<u8>,
    /// Whether `response_body` is the whole body.
    pub response_body_complete: bool,
    /// The announced length of the request body, if any.
    pub body_length: Option<u64>,
    /// Bytes received from the client and not yet forwarded (TCP content inspection).
    pub request_payload: Vec<u8>,
    /// Bytes received from the server and not yet forwarded (TCP content inspection).
    pub response_payload: Vec<u8>,
    /// No more request bytes will come for inspection (buffer full, closed, or delay over): `WAIT_END`.
    pub inspection_over: bool,
    /// The backend chosen, once it is.
    pub backend: Option<Arc<ProxyState>>,
    /// The server chosen, once it is.
    pub server: Option<Arc<ServerState>>,
    /// The service inside the proxy that answered in place of a server, as logs name it (`<STATS>`).
    pub service: Option<&'static str>,
    /// The source address used towards the server (`%bi`, `bc_src`).
    pub backend_source: Option<SocketAddr>,
    /// The server's address (`%si`, `bc_dst`).
    pub backend_destination: Option<SocketAddr>,
    /// Why the last attempt to connect to a server failed (`bc_err`).
    pub backend_error: ConnectionError,
    /// `txn.` variables.
    pub vars: Vars,
    /// `req.` variables.
    pub request_vars: Vars,
    /// `res.` variables.
    pub response_vars: Vars,
    /// Captured request data by slot (`capture request header`, `http-request capture`).
    pub request_captures: Vec<Option<Box<[u8]>>>,
    /// Captured response data by slot.
    pub response_captures: Vec<Option<Box<[u8]>>>,
    /// The most bytes that each request capture slot keeps.
    pub request_capture_sizes: Vec<usize>,
    /// The most bytes that each response capture slot keeps.
    pub response_capture_sizes: Vec<usize>,
    /// Captured request cookie (`capture cookie`).
    pub request_cookie: Option<Box<[u8]>>,
    /// Captured response cookie.
    pub response_cookie: Option<Box<[u8]>>,
    /// Milestones, for the timers.
    pub time: Milestones,
    /// The first letter of `%ts`.
    pub ended: Ended,
    /// The second letter of `%ts`.
    pub ended_in: EndedIn,
    /// The third letter of `%tsc`.
    pub cookie_request: CookieRequest,
    /// The fourth letter of `%tsc`.
    pub cookie_response: CookieResponse,
    /// The status sent to the client, or 0 if none was (`%ST` prints -1).
    pub status: u16,
    /// Bytes received from the client for this transaction (`%U`).
    pub bytes_from_client: u64,
    /// Bytes sent to the client for this transaction (`%B`).
    pub bytes_to_client: u64,
    /// Bytes sent to the server for this transaction.
    pub bytes_to_server: u64,
    /// Bytes received from the server for this transaction.
    pub bytes_from_server: u64,
    /// The socket of the server connection, while it is this transaction's.
    pub server_socket: Option<i32>,
    /// The server connection served others before (`bc_reused`).
    pub server_reused: bool,
    /// Calls of its task before it began (`cpu_calls`).
    pub calls_before: u32,
    /// Time-outs and retries that rules set.
    pub timeouts: Overrides,
    /// Connection retries (`%rc`); a redispatch sets `redispatched`.
    pub retries: u32,
    /// The server was chosen anew after failures: `%rc` gets a `+`.
    pub redispatched: bool,
    /// Requests before it in the server's queue (`%sq`).
    pub server_queue: u32,
    /// Requests before it in the backend's queue (`%bq`).
    pub backend_queue: u32,
    /// The session's source and destination before a rule of this transaction changed them: the
    /// next transaction starts from those again.
    pub session_addresses: Option<(Option<SocketAddr>, Option<SocketAddr>)>,
    /// The log line is written before the end (`option logasap`): figures that still grow get a `+`.
    pub logged_early: bool,
    /// Its unique id, once made.
    pub unique_id: Option<Box<[u8]>>,
    /// Set by `http-request set-log-level`: a syslog level, or `Some(None)` for silent.
    pub log_level: Option<Option<u8>>,
    /// File and line of the last rule that decided (`last_rule_file`, `last_rule_line`).
    pub last_rule: Option<(Arc<str>, u32)>,
    /// File and line of the rule that waits for more data (`waiting_entity`).
    pub waiting_rule: Option<(Arc<str>, u32)>,
    /// The request line as received, cut at `tune.http.logurilen`: what `%r` prints whatever rules
    /// make of the request. Empty: the request as it stands now is printed.
    pub request_line: Vec<u8>,
    /// Whether the bytes so far are not valid HTTP: `%r` prints `<BADREQ>`.
    pub bad_request: bool,
    /// Whether an inner service answered it (the statistics page), rather than a server or a rule.
    pub by_service: bool,
    /// What converters captured in the middle of an evaluation, newest last, until it is put into
    /// the slots by [`TransactionFacts::settle_captures`].
    pub fresh_captures: RefCell<Vec<FreshCapture>>,
    /// The frontend's connections now, for `%fc` etc., taken when the log line is made.
    pub conn_counts: ConnectionCounts,
    /// Entries of stick tables that its own rules track, to its end.
    pub tracked: Tracked,
}

/// `%ac/%fc/%bc/%sc`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionCounts {
    /// Connections of the process.
    pub process: u32,
    /// Of the frontend.
    pub frontend: u32,
    /// Of the backend.
    pub backend: u32,
    /// Of the server.
    pub server: u32,
}

/// What a converter captured.
#[derive(Debug)]
pub struct FreshCapture {
    /// For which message's slots.
    pub of: Direction,
    /// The slot.
    pub slot: usize,
    /// The text, cut to the slot's size.
    pub text: Box<[u8]>,
}

/// The parts of a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// The method's token.
    pub method: &'a [u8],
    /// The request target.
    pub target: &'a [u8],
    /// `HTTP/1.1`; empty if the line was cut before it.
    pub version: &'a [u8],
}

impl TransactionFacts {
    /// What the client asked, as it sent it: everything about the messages towards the client, and about their
    /// framing above all, follows this, whatever rules make of the request.
    pub fn as_sent(&self) -> AsSent {
        self.sent_by_client.unwrap_or_else(|| AsSent::of(&self.request))
    }
    /// The request line as it was received, if there was a request.
    pub fn logged_request(&self) -> Option<RequestLine<'_>> {
        if self.request_line.is_empty() {
            let request = &self.request;
            return self.has_request.then(|| RequestLine {
                method: request.method_bytes(),
                target: request.target(),
                version: request.version.token().as_bytes(),
            });
        }
        let mut parts = self.request_line.splitn(3, |byte| *byte == b' ');
        let mut next = || parts.next().unwrap_or_default();
        Some(RequestLine { method: next(), target: next(), version: next() })
    }
    fn slots(&self, of: Direction) -> &[Option<Box<[u8]>>] {
        match of {
            Direction::Request => &self.request_captures,
            Direction::Response => &self.response_captures,
        }
    }
    /// Keeps a text in a slot in the middle of an evaluation; false if there is no such slot.
    pub fn capture(&self, of: Direction, slot: usize, text: &[u8]) -> bool {
        let sizes = match of {
            Direction::Request => &self.request_capture_sizes,
            Direction::Response => &self.response_capture_sizes,
        };
        let Some(len) = sizes.get(slot) else { return false };
        let text = text[..text.len().min(*len)].into();
        self.fresh_captures.borrow_mut().push(FreshCapture { of, slot, text });
        true
    }
    /// What a slot holds now.
    pub fn captured(&self, of: Direction, slot: usize) -> Option<Cow<'_, [u8]>> {
        let fresh = self.fresh_captures.borrow();
        match fresh.iter().rev().find(|fresh| (fresh.of, fresh.slot) == (of, slot)) {
            Some(fresh) => Some(Cow::Owned(fresh.text.to_vec())),
            None => self.slots(of).get(slot)?.as_deref().map(Cow::Borrowed),
        }
    }
    /// How many slots there are.
    pub fn capture_slots(&self, of: Direction) -> usize {
        self.slots(of).len()
    }
    /// Puts what converters captured into the slots; to be called before a slot is written.
    pub fn settle_captures(&mut self) {
        for fresh in self.fresh_captures.get_mut().drain(..) {
            let slots = match fresh.of {
                Direction::Request => &mut self.request_captures,
                Direction::Response => &mut self.response_captures,
            };
            if let Some(place) = slots.get_mut(fresh.slot) {
                *place = Some(fresh.text);
            }
        }
    }
    /// Makes it ready for the next request of the same connection; buffers keep their capacity.
    pub fn reset(&mut self) {
        let mut fresh = TransactionFacts::default();
        std::mem::swap(&mut fresh.request, &mut self.request);
        std::mem::swap(&mut fresh.response, &mut self.response);
        std::mem::swap(&mut fresh.body, &mut self.body);
        std::mem::swap(&mut fresh.request_line, &mut self.request_line);
        std::mem::swap(&mut fresh.vars, &mut self.vars);
        std::mem::swap(&mut fresh.request_vars, &mut self.request_vars);
        std::mem::swap(&mut fresh.response_vars, &mut self.response_vars);
        std::mem::swap(&mut fresh.fresh_captures, &mut self.fresh_captures);
        std::mem::swap(&mut fresh.request_captures, &mut self.request_captures);
        std::mem::swap(&mut fresh.response_captures, &mut self.response_captures);
        std::mem::swap(&mut fresh.request_capture_sizes, &mut self.request_capture_sizes);
        std::mem::swap(&mut fresh.response_capture_sizes, &mut self.response_capture_sizes);
        fresh.request.clear();
        fresh.response.clear();
        fresh.body.clear();
        fresh.request_line.clear();
        fresh.vars.clear();
        fresh.request_vars.clear();
        fresh.response_vars.clear();
        fresh.fresh_captures.get_mut().clear();
        fresh.request_captures.clear();
        fresh.response_captures.clear();
        fresh.request_capture_sizes.clear();
        fresh.response_capture_sizes.clear();
        *self = fresh;
    }
}

/// The entry that a session or its transaction tracks under a number.
pub fn tracked<'a>(session: &'a SessionFacts, txn: &'a TransactionFacts, number: u8) -> Option<&'a Entry> {
    txn.tracked.get(number).or_else(|| session.tracked.as_ref()?.get(number))
}

/// Counts an event in every entry that a session and its transaction track. A number is tracked by
/// one of the two only, so that nothing is counted twice.
#[inline]
pub fn count_tracked(session: &SessionFacts, txn: &TransactionFacts, event: Event, now: Millis) {
    txn.tracked.count(event, now);
    if let Some(tracked) = &session.tracked {
        tracked.count(event, now);
    }
}

/// Which message an expression looks at when its fetch does not say (`hdr` in a response rule).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Direction {
    Request,
    Response,
}

/// All that an expression may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The client connection; absent in health checks.
    pub session: Option<&'a SessionFacts>,
    /// The transaction.
    pub txn: &'a TransactionFacts,
    /// Which message comes first.
    pub direction: Direction,
    /// When.
    pub now: Now,
    /// Facts that belong to the process rather than to a session.
    pub process: &'a ProcessFacts,
    /// `check.` variables, in health checks.
    pub check_vars: Option<&'a Vars>,
}

impl<'a> Context<'a> {
    /// The entry tracked under a number.
    pub fn tracked(&self, number: i64) -> Option<&'a Entry> {
        tracked(self.session?, self.txn, u8::try_from(number).ok()?)
    }
}

/// Facts of the process, for `hostname`, `pid`, `nbproc`, `%H`, `proc.` variables...
#[derive(Debug, Default)]
pub struct ProcessFacts {
    /// The host's name.
    pub hostname: String,
    /// Process id.
    pub pid: u32,
    /// Connections of the process now.
    pub connections: std::sync::atomic::AtomicU32,
    /// Requests since the start.
    pub requests: std::sync::atomic::AtomicU64,
    /// Map and ACL entries added at run time.
    pub patterns_added: std::sync::atomic::AtomicU64,
    /// Map and ACL entries removed at run time.
    pub patterns_freed: std::sync::atomic::AtomicU64,
    /// Milliseconds from the start until the process was ready.
    pub boot_ms: std::sync::atomic::AtomicU64,
    /// Invalid messages captured for `show errors` since the start.
    pub invalid_messages: std::sync::atomic::AtomicU32,
    /// What rules took for host names, and what is none.
    pub failed_resolutions: std::sync::atomic::AtomicU64,
    /// `node` of the global section, or the host's name.
    pub node: String,
    /// `http-err-codes`, `http-fail-codes`.
    pub counted_statuses: CountedStatuses,
    /// `proc.` variables.
    pub vars: std::sync::Mutex<Vec<(u32, Value)>>,
    /// Where `debug` lines go.
    pub events: Events,
    /// Whether the process is stopping.
    pub stopping: AtomicBool,
    /// `-m`: the memory that the process may use, in mebibytes; 0 is no limit.
    pub memory_limit_mb: u64,
    /// Commands of `debug dev` that were carried out.
    pub debug_commands: std::sync::atomic::AtomicU64,
    /// Warnings given so far, from the reading of the configuration on.
    pub warnings: std::sync::atomic::AtomicU64,
    /// How to ask the system about a connection.
    pub sockets: SocketProbe,
    /// What values may grow to.
    pub limits: ValueLimits,
    /// TLS connections and handshakes.
    pub tls: Arc<TlsCounters>,
}

/// What values may grow to.
#[derive(Clone, Copy, Debug)]
pub struct ValueLimits {
    /// `tune.bufsize`: bytes of what a converter or a format makes.
    pub buffer: usize,
    /// Bytes of variables.
    pub vars: VarLimits,
}

impl Default for ValueLimits {
    fn default() -> Self {
        ValueLimits { buffer: 16_384, vars: VarLimits::default() }
    }
}

/// Takes a line for a ring, `stdout` or `stderr`. It must not block.
pub type Teller = Box<dyn Fn(&str, Vec<u8>) + Send + Sync>;

/// The way of events from expressions to their writer; they are lost before it is set.
#[derive(Default)]
pub struct Events(OnceLock<Teller>);

impl Events {
    /// Sets the writer of the lines; the first call counts.
    pub fn set(&self, teller: Teller) {
        // A second one would be a second process.
        let _ = self.0.set(teller);
    }
    /// Hands over a line for the sink of this name.
    pub fn tell(&self, sink: &str, line: Vec<u8>) {
        if let Some(teller) = self.0.get() {
            teller(sink, line);
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("is_set", &self.0.get().is_some()).finish()
    }
}

/// What the system tells of a socket. The functions come from a module that may make system calls; without
/// them nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct SocketProbe {
    /// Figures of a TCP connection.
    pub tcp_figures: fn(i32) -> Option<TcpFigures>,
}

impl Default for SocketProbe {
    fn default() -> Self {
        SocketProbe { tcp_figures: |_| None }
    }
}

/// A value that a process variable can keep.
pub type Value = super::Value<'static>;
