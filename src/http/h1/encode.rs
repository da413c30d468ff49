//! Head -> bytes. Framing and persistence fields are written anew, never copied.

use super::framing::Body;
use crate::http::{Request, Response};

/// The `Connection` field to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connection {
    /// None: what the version implies.
    #[default]
    Default,
    /// `close`.
    Close,
    /// `keep-alive` (towards HTTP/1.0 peers).
    KeepAlive,
    /// `Upgrade`, beside the message's own `Upgrade` field, which is kept only in this case.
    Upgrade,
}

/// Appends the head of a request as it goes to a server.
pub fn request(_request: &Request, _body: Body, _connection: Connection, _out: &mut Vec<u8>) {}

/// Appends the head of a response as it goes to a client.
///
/// `body` frames what will follow; for a response without a body to HEAD or a 304 pass the body
/// its fields described so that `Content-Length` survives.
pub fn response(_response: &Response, _body: Body, _connection: Connection, _out: &mut Vec<u8>) {}
