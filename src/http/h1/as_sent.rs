//! What of a request, as it stood on one side's wire, decides about the messages of that side.
//!
//! Rules rewrite a request between the two sides. How the answer is framed towards the client, whether it is
//! invited to send its body, whether its connection stays: that follows what the client sent. How the
//! server's answer is read, and whether it may switch protocols: that follows what the server got. So each
//! side keeps a value of its own, taken from the message while it is that side's.

use super::persist;
use crate::http::{Known, Method, Request, Text, Version};

/// A request as one side knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsSent {
    /// The method.
    pub method: Method,
    /// Its token, in the arena of the request's fields.
    pub method_text: Text,
    /// The version.
    pub version: Version,
    /// It asks to switch protocols.
    pub upgrade: bool,
    /// Its sender waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
}

impl AsSent {
    /// What a request asks as it stands now.
    pub fn of(request: &Request) -> AsSent {
        AsSent {
            method: request.method,
            method_text: request.method_text,
            version: request.version,
            upgrade: persist::request_upgrades(request),
            // HTTP/1.0 knows no interim answers.
            expects_continue: request.version >= Version::Http11
                && request.fields.all_known(Known::Expect).any(|v| v.eq_ignore_ascii_case(b"100-continue")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::head::{Limits, parse_request};

    #[test]
    fn each_side_keeps_what_it_knows() {
        let head = b"HEAD / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n";
        let mut request = Request::default();
        let limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: false };
        parse_request(head, &mut request, &limits).unwrap();
        let client = AsSent::of(&request);
        request.set_method(b"GET");
        request.fields.remove(b"expect");
        request.fields.append(b"connection", b"upgrade");
        request.fields.append(b"upgrade", b"foo");
        let server = AsSent::of(&request);
        assert_eq!((client.method, client.expects_continue, client.upgrade), (Method::Head, true, false));
        assert_eq!((server.method, server.expects_continue, server.upgrade), (Method::Get, false, true));
        assert_eq!(request.fields.bytes(client.method_text), b"HEAD");
        request.version = Version::Http10;
        request.fields.append(b"expect", b"100-continue");
        assert!(!AsSent::of(&request).expects_continue);
    }
}
