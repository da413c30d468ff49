//! What expressions yield.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::http::Method;

/// A typed value (manual, section 7.2 lists the casts between them).
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A boolean; as a string `1` or `0`.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// Text (bytes of any kind).
    Str(Cow<'a, [u8]>),
    /// A binary block; as a string, hexadecimal.
    Bin(Cow<'a, [u8]>),
    /// An HTTP method.
    Method(Method, Cow<'a, [u8]>),
}

/// The type of a value, for checks at load time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    /// Anything (variables, for instance): casts decide at run time.
    Any,
    Bool,
    Int,
    Ip,
    Str,
    Bin,
    Method,
}
