//! **Haring** replaces HAProxy on Linux: it reads an unmodified `haproxy.cfg` and runs it on a
//! thread-per-core io_uring (or epoll) engine.
//!
//! The map of the modules. A module imports only what stands above it in this list, which is the
//! order of the declarations below; `tests/tidy.rs` holds it up.
//!
//! ```text
//!  base       ids, clock, units (5s, 16k), hashes, rates, seeded random numbers
//!  diag       source map, spans, diagnostics, rendering, "did you mean"
//!  http       messages; http/h1: head, framing, chunked, encode, persist      sans-IO
//!             http/h2: frames, HPACK, streams, windows, ceilings               sans-IO
//!  wire       syslog frames, PROXY protocol, ClientHello, DNS                 sans-IO
//!  tls        sessions over bytes, certificates, ciphers, chains              sans-IO
//!  pattern    matchers behind ACLs and maps; map files
//!  state      what changes while running: server state, live maps, counters, queues
//!  resolvers  names that are resolved while running: questions, retries, choice    sans-IO
//!  sample     typed expressions: fetches, converters, ACLs, log formats, variables
//!  log        finished sessions: timers, formats; the queue to the log writer
//!  balance    choose a server from candidates and a key
//!  rules      actions, rule sets, the verdict
//!  health     check machines: rise/fall, schedules, scripts
//!  model      the typed, validated, immutable configuration
//!  stats      rows -> CSV, JSON, HTML, Prometheus
//!  config     haproxy.cfg text -> tokens -> syntax -> Model, or diagnostics
//!  session    decisions about one connection and one transaction
//!  ---------- decisions above, doing below ----------------------------------
//!  sys        every unsafe block and raw system call
//!  net        streams, listeners, buffers, splice, idle pools, timers
//!  engine     one core: accept, http, h2, tcp, upstream, drain
//!  control    checks, resolvers, admin (runtime API), log sink     (tokio lives here only)
//!  process    command line, start, signals -> main
//! ```
//!
//! Above the line there is no async, no socket, no file and no clock but `base::clock`.
#![warn(unreachable_pub)]

pub mod base;
pub mod diag;
pub mod http;
pub mod wire;
pub mod tls;
pub mod pattern;
pub mod state;
pub mod resolvers;
pub mod sample;
pub mod log;
pub mod balance;
pub mod rules;
pub mod health;
pub mod model;
pub mod stats;
pub mod config;
pub mod session;

pub mod sys;
pub mod net;
pub mod engine;
pub mod control;
pub mod process;
