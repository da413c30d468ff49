//! Responses that the proxy makes itself: errors, redirects, `errorfile`s, whatever rules return.
//!
//! A reply says nothing about the connection beyond [`Reply::close`]; the code that writes it knows
//! whether the request was read to its end.

use super::h1::framing::{self, Body};
use super::h1::head::{Limits, Progress, parse_response};
use super::{Known, Response, status};

/// A response ready to be written: the bytes of its head and body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status, for logs and counters.
    pub status: u16,
    /// Header fields besides those that frame the message, in order. What they say of the connection is meant.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body; its length becomes `Content-Length`.
    pub body: Vec<u8>,
    /// The reason phrase, if not the status's own.
    pub reason: Option<Vec<u8>>,
    /// A whole raw response given by an `errorfile`; when set, it is written as it stands and the
    /// connection closes unless the file's own fields say otherwise.
    pub raw: Option<std::sync::Arc<[u8]>>,
    /// Close the connection after it.
    pub close: bool,
}

/// The statuses that HAProxy has a page for, with its reason and sentence: users match on them in
/// monitors and tests. They are also those that `errorfile` and `errorloc` may replace.
const PAGES: &[(u16, &str, &str)] = &[
    (200, "OK", "Service ready."),
    (400, "Bad request", "Your browser sent an invalid request."),
    (401, "Unauthorized", "You need a valid user and password to access this content."),
    (403, "Forbidden", "Request forbidden by administrative rules."),
    (404, "Not Found", "The resource could not be found."),
    (
        405,
        "Method Not Allowed",
        "A request was made of a resource using a request method not supported by that resource.",
    ),
    (407, "Unauthorized", "You need a valid user and password to access this content."),
    (408, "Request Time-out", "Your browser didn't send a complete request in time."),
    (410, "Gone", "The resource is no longer available and will not be available again."),
    (413, "Payload Too Large", "The request entity exceeds the maximum allowed."),
    (414, "URI Too Long", "The URI provided was too long for the server to process."),
    (421, "Misdirected Request", "Request sent to a non-authoritative server."),
    (422, "Unprocessable Content", "The server cannot process the contained instructions."),
    (425, "Too Early", "Your browser sent early data."),
    (429, "Too Many Requests", "You have sent too many requests in a given amount of time."),
    (431, "Request Header Fields Too Large", "Request Header Fields Too Large."),
    (500, "Internal Server Error", "An internal server error occurred."),
    (
        501,
        "Not Implemented",
        "The server does not support the functionality required to fulfill the request.",
    ),
    (502, "Bad Gateway", "The server returned an invalid or incomplete response."),
    (503, "Service Unavailable", "No server is available to handle this request."),
    (504, "Gateway Time-out", "The server didn't respond in time."),
];

impl Reply {
    /// HAProxy's built-in answer of an error or redirect status (manual, section 4.2 `errorfile`);
    /// a reply without a body for a status that has no page.
    pub fn error(status: u16) -> Reply {
        let Some((_, reason, sentence)) = PAGES.iter().find(|page| page.0 == status) else {
            return Reply { status, close: status == 505, ..Reply::default() };
        };
        let body = format!("<html><body><h1>{status} {reason}</h1>\n{sentence}\n</body></html>\n");
        Reply {
            status,
            reason: Some(reason.as_bytes().to_vec()),
            fields: vec![
                (b"cache-control".to_vec(), b"no-cache".to_vec()),
                (b"content-type".to_vec(), b"text/html".to_vec()),
            ],
            body: body.into_bytes(),
            close: matches!(status, 400 | 408),
            raw: None,
        }
    }

    /// Reads an `errorfile`: a whole HTTP response. An empty file is the wish to answer nothing.
    pub fn from_errorfile(file: &[u8]) -> Result<Reply, String> {
        if file.is_empty() {
            return Ok(Reply { raw: Some([].into()), close: true, ..Reply::default() });
        }
        let mut head = Response::default();
        let limits = Limits { fields_max: 101, bytes_max: usize::MAX, accept_unsafe: false };
        let len = match parse_response(file, &mut head, &limits) {
            Ok(Progress::Complete { len }) => len,
            Ok(Progress::Partial) => {
                return Err(format!(
                    "unable to parse headers (error offset: {}): the empty line after them is missing",
                    file.len()
                ));
            }
            Err(refusal) => {
                let at = refusal.offset;
                return Err(format!("unable to parse headers (error offset: {at}): {}", refusal.reason));
            }
        };
        if head.status < 200 && head.status != 101 {
            return Err(format!("invalid http status code for an error message ({})", head.status));
        }
        let body = &file[len..];
        match framing::described(&head).map_err(|refusal| refusal.reason.to_string())? {
            Body::Chunked => return Err("chunk-encoded payload not supported".into()),
            _ if !status::allows_body(head.status) && !body.is_empty() => {
                return Err("message payload not expected".into());
            }
            Body::Length(0) if !body.is_empty() => return Err("message payload not expected".into()),
            Body::Length(length) if length != body.len() as u64 && status::allows_body(head.status) => {
                return Err(format!(
                    "payload size does not match the announced content-length ({} != {length})",
                    body.len()
                ));
            }
            _ => {}
        }
        // The sender adds the length of the payload; what the file says of the connection is kept.
        let is_own = |known| !matches!(known, Known::ContentLength | Known::TransferEncoding);
        let kept = head.fields.list().iter().filter(|field| is_own(field.known));
        let fields = kept
            .map(|field| (head.fields.bytes(field.name).to_vec(), head.fields.bytes(field.value).to_vec()))
            .collect();
        Ok(Reply {
            status: head.status,
            fields,
            body: body.to_vec(),
            reason: Some(head.reason().to_vec()).filter(|reason| !reason.is_empty()),
            raw: None,
            close: false,
        })
    }

    /// Adds a header field.
    pub fn with_field(mut self, name: &[u8], value: &[u8]) -> Reply {
        self.fields.push((name.to_vec(), value.to_vec()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_pages_are_haproxys() {
        let page = Reply::error(503);
        assert_eq!(page.reason.as_deref(), Some(&b"Service Unavailable"[..]));
        assert_eq!(
            String::from_utf8_lossy(&page.body),
            "<html><body><h1>503 Service Unavailable</h1>\n\
             No server is available to handle this request.\n</body></html>\n"
        );
        // The lengths that HAProxy announces.
        for (status, length) in [
            (200, 58),
            (400, 90),
            (401, 112),
            (403, 93),
            (404, 83),
            (405, 147),
            (407, 112),
            (408, 110),
            (410, 114),
            (413, 106),
            (414, 110),
            (421, 104),
            (422, 116),
            (425, 80),
            (429, 117),
            (431, 105),
            (500, 97),
            (501, 135),
            (502, 107),
            (503, 107),
            (504, 92),
        ] {
            assert_eq!(Reply::error(status).body.len(), length, "{status}");
        }
        assert_eq!(PAGES.len(), 21);
        assert!(Reply::error(505).body.is_empty());
        for (status, close) in [(400, true), (403, false), (408, true), (503, false), (505, true)] {
            assert_eq!(Reply::error(status).close, close, "{status}");
        }
    }

    #[test]
    fn errorfiles() {
        let file = b"HTTP/1.0 503 Sorry\r\nConnection: close\r\nX-A: b\r\n\r\n<html>";
        let reply = Reply::from_errorfile(file).unwrap();
        let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        assert_eq!(reply.fields, [field("Connection", "close"), field("X-A", "b")]);
        assert_eq!((reply.reason.as_deref(), &reply.body[..]), (Some(&b"Sorry"[..]), &b"<html>"[..]));
        assert_eq!(Reply::from_errorfile(b"").unwrap().raw.as_deref(), Some(&[][..]));
        for (file, expected) in [
            ("<html>", "unable to parse headers (error offset: 0): invalid HTTP version"),
            ("HTTP/1.1 503 x\r\n", "the empty line after them is missing"),
            ("HTTP/1.1 100 x\r\n\r\n", "invalid http status code for an error message (100)"),
            ("HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n", "chunk-encoded payload not supported"),
            ("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\nabc", "message payload not expected"),
            ("HTTP/1.1 204 x\r\n\r\nabc", "message payload not expected"),
            ("HTTP/1.1 503 x\r\nContent-Length: 5\r\n\r\nabc", "(3 != 5)"),
        ] {
            let error = Reply::from_errorfile(file.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{file:?}: {error}");
        }
    }
}
