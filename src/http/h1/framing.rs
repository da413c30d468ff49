//! How long a message's body is (RFC 9112 section 6.3), decided once and strictly.

use super::head::Refusal;
use crate::http::{Method, Request, Response};

/// What follows a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// That many bytes.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Everything until the connection closes (responses only).
    UntilClose,
}

/// The framing of a message and what it means for the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// What follows the head.
    pub body: Body,
    /// The message carried both `Content-Length` and `Transfer-Encoding` (or the latter in
    /// HTTP/1.0): its connection must close after it.
    pub must_close: bool,
}

/// Judges a request's framing.
pub fn of_request(_request: &Request) -> Result<Framing, Refusal> {
    Ok(Framing::default())
}

/// Judges a response's framing; `method` is that of the request it answers.
///
/// 1xx, 204, 304 and answers to HEAD have no body whatever they say; 2xx to CONNECT and 101 turn
/// the connection into a tunnel, which the caller sees from the status.
pub fn of_response(_response: &Response, _method: Method) -> Result<Framing, Refusal> {
    Ok(Framing::default())
}
