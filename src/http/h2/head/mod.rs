//! Heads: field sections to messages and back (RFC 9113 section 8), as HAProxy translates them.
//!
//! What is malformed ends its stream and not the connection, as long as the block could be decompressed; so a block
//! is always read to its end. A message that came by HTTP/2 looks to rules like one that came by HTTP/1: the authority
//! is the `Host` field, cookies are one field, and a WebSocket is a GET with `Upgrade`.

mod request;
mod response;
mod trailers;
mod write;

pub use request::{RequestHead, request};
pub use response::{ResponseHead, response};
pub use trailers::trailers;
pub use write::{RequestLine, write_request, write_response, write_trailers};

use super::hpack::{Block, Error};
use crate::base::text::trim;
use crate::http::{Fields, Known};

/// Why a head is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// The block cannot be decompressed: an error of the connection.
    Block(Error),
    /// The message is malformed (RFC 9113 section 8.1.1): an error of the stream.
    Malformed(&'static str),
    /// It is a request that HTTP knows and that this side answers with 400.
    Denied(&'static str),
    /// It is larger than this side takes; requests can be answered with 431.
    TooLarge,
}

impl From<Error> for Bad {
    fn from(error: Error) -> Bad {
        Bad::Block(error)
    }
}

/// How strictly heads are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// `option accept-unsafe-violations-in-http-request|response`.
    pub accept_unsafe: bool,
    /// Extended CONNECT was announced to the peer.
    pub extended_connect: bool,
}

/// Reads a section by `read` and the rest of its block whatever comes of it.
fn whole<T>(
    mut block: Block<'_>,
    fields: &mut Fields,
    read: impl FnOnce(&mut Block<'_>, &mut Fields) -> Result<T, Bad>,
) -> Result<T, Bad> {
    let outcome = read(&mut block, fields);
    if let Err(Bad::Block(_)) = outcome {
        return outcome;
    }
    let start = fields.arena_len();
    while block.next(fields)?.is_some() {
        fields.truncate_arena(start);
    }
    if block.overflowed() { Err(Bad::TooLarge) } else { outcome }
}

/// What is seen of `content-length` fields.
#[derive(Clone, Copy, Debug, Default)]
struct Length(Option<u64>);

/// The largest `Content-Length`: sizes are summed and some peers keep them signed.
const LENGTH_MAX: u64 = i64::MAX as u64;

impl Length {
    /// Takes a field's value: a number, or equal ones in a list. Whether it is the first field.
    fn take(&mut self, value: &[u8]) -> Result<bool, Bad> {
        let is_first = self.0.is_none();
        for item in value.split(|byte| *byte == b',') {
            let number = number(trim(item)).ok_or(Bad::Malformed("invalid content-length"))?;
            if self.0.is_some_and(|length| length != number) {
                return Err(Bad::Malformed("content-length fields that differ"));
            }
            self.0 = Some(number);
        }
        Ok(is_first)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let digit = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit).filter(|number| *number <= LENGTH_MAX)
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, digit))?
}

/// Judges a regular field (sections 8.2.1 and 8.2.2).
fn judge(name: &[u8], value: &[u8], rules: Rules) -> Result<Known, Bad> {
    if name.is_empty() || !name.iter().all(|byte| is_name_byte(*byte)) {
        return Err(Bad::Malformed("invalid character in a field name"));
    }
    judge_value(value, rules)?;
    let known = Known::of(name);
    match known {
        Known::Connection
        | Known::ProxyConnection
        | Known::KeepAlive
        | Known::Upgrade
        | Known::TransferEncoding => Err(Bad::Malformed("field of a connection")),
        Known::Te if !value.eq_ignore_ascii_case(b"trailers") => {
            Err(Bad::Malformed("te with something other than trailers"))
        }
        _ => Ok(known),
    }
}

/// Section 8.2.1. Controls other than those three are not HTTP either (RFC 9110 section 5.5); HAProxy lets them pass,
/// here it takes the option to accept violations.
fn judge_value(value: &[u8], rules: Rules) -> Result<(), Bad> {
    // Without an early end the loop takes many bytes at once; what it finds is rare, and looked at again.
    let is_control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    let has_control = value.iter().fold(false, |found, byte| found | is_control(*byte));
    if has_control && (!rules.accept_unsafe || value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'))) {
        return Err(Bad::Malformed("invalid character in a field value"));
    }
    if !rules.accept_unsafe && trim(value).len() != value.len() {
        return Err(Bad::Malformed("blank around a field value"));
    }
    Ok(())
}

/// A token's characters without upper case.
fn is_name_byte(byte: u8) -> bool {
    is_token_byte(byte) && !byte.is_ascii_uppercase()
}

fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// By byte: whether it may stand in a token (RFC 9110 section 5.6.2).
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests;
