//! HTTP messages (RFC 9110), their HTTP/1 form (RFC 9112) and HTTP/2 (RFC 9113), without I/O and without a clock.
//!
//! A head is one arena of bytes and a list of spans into it ([`message`]): parsing copies the
//! head once, an edit appends to the arena and moves a span, and encoding walks the list. Fields
//! that decide framing and persistence never pass through that list to the other side: they are
//! judged once ([`h1::framing`], [`h1::persist`]) and written anew ([`h1::encode`]).
#![forbid(unsafe_code)]

pub mod h1;
pub mod h2;
pub mod known;
pub mod list;
pub mod message;
pub mod method;
pub mod reply;
pub mod status;
pub mod status_set;
pub mod uri;

pub use known::Known;
pub use message::{Fields, Request, Response, Text, Version};
pub use method::Method;
