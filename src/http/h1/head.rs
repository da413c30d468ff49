//! Bytes -> request or response head.
//!
//! The contract: parsing starts anew at each call with all the bytes of the head so far; it
//! refuses what RFC 9112 forbids and repairs nothing unless the named HAProxy option asks.

use crate::http::{Request, Response};

/// What bounds a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `tune.http.maxhdr`: fields in a head.
    pub fields_max: usize,
    /// `tune.bufsize - tune.maxrewrite`: bytes in a head.
    pub bytes_max: usize,
    /// `option accept-unsafe-violations-in-http-request|response`.
    pub accept_unsafe: bool,
}

/// How far a parse came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The head has not ended yet; read more.
    Partial,
    /// The head takes the first `len` bytes.
    Complete {
        /// Bytes from the start of the buffer to the first one after the head.
        len: usize,
    },
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status to answer with (400, 413, 414, 422, 431, 501, 505; 502 for responses).
    pub status: u16,
    /// What is wrong, for `show errors` and logs.
    pub reason: &'static str,
    /// Where in the buffer.
    pub offset: usize,
}

/// Parses a request head at the start of `bytes` into `request` (cleared first).
pub fn parse_request(_bytes: &[u8], _request: &mut Request, _limits: &Limits) -> Result<Progress, Refusal> {
    Ok(Progress::Partial)
}

/// Parses a response head at the start of `bytes` into `response` (cleared first).
pub fn parse_response(
    _bytes: &[u8],
    _response: &mut Response,
    _limits: &Limits,
) -> Result<Progress, Refusal> {
    Ok(Progress::Partial)
}
