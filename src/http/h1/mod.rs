//! HTTP/1.0 and HTTP/1.1 on the wire (RFC 9112): bytes to messages and back.

pub mod as_sent;
pub mod case;
pub mod chunked;
pub mod encode;
pub mod framing;
pub mod head;
pub mod persist;
pub mod trailers;

mod scan;
mod target;
