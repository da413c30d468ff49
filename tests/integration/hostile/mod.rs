//! Hostile messages, seen from outside: a corpus of requests and responses (`tests/hostile`), the real binary
//! between, and at either end a reader that shares no code with it.
//!
//! What counts is not the answer alone but what the other side receives: nothing, or messages that can be read
//! in one way only. So every case is followed by a harmless request over the same server connection, and the
//! proxy marks every request with its own field, which a smuggled one lacks.
//!
//! `HOSTILE_CASE=te-` runs the cases whose names hold that.

mod cases;
mod client;
mod oracle;
mod origins;
mod recorder;
mod requests;
mod responses;
mod streams;
#[path = "../../hostile/text.rs"]
mod text;

/// What the proxy said of panics it caught: each costs a connection and tells where.
fn panics(proxy: &crate::support::Proxy) -> Vec<String> {
    proxy.stderr().lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
}
