//! Whether a connection outlives a message (RFC 9112 section 9.3), and upgrades (RFC 9110 section 7.8).

use crate::http::{Request, Response};

/// Whether the client allows its connection to serve another request.
pub fn client_keeps_alive(_request: &Request) -> bool {
    true
}

/// Whether the server allows its connection to serve another request.
pub fn server_keeps_alive(_response: &Response) -> bool {
    true
}

/// Whether the request asks to upgrade its connection (`Connection: upgrade` and an `Upgrade`
/// field with a protocol other than h2c).
pub fn request_upgrades(_request: &Request) -> bool {
    false
}

/// Whether a 101 response grants an upgrade.
pub fn response_upgrades(_response: &Response) -> bool {
    false
}
