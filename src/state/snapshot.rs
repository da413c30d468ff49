//! Invalid messages as they were received, for `show errors`: the last request of each frontend and the last
//! response of each backend, no more than a buffer of each.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// An invalid message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its number among all that the process has seen.
    pub event: u32,
    /// When, in microseconds of the wall clock.
    pub wall_us: u64,
    /// The client.
    pub source: Option<SocketAddr>,
    /// Name and number of the other proxy: the backend of a request, the frontend of a response.
    pub other: Option<(Box<str>, u32)>,
    /// Name and number of the server.
    pub server: Option<(Box<str>, u32)>,
    /// What was received.
    pub bytes: Box<[u8]>,
    /// The size of the buffer it was in.
    pub buffer_size: usize,
    /// Where in `bytes` it went wrong.
    pub position: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// The last invalid messages of a proxy.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// The last request that its frontend refused.
    pub request: ArcSwapOption<Snapshot>,
    /// The last response that its backend refused.
    pub response: ArcSwapOption<Snapshot>,
}

/// The longest line of a dump.
const LINE_MAX: usize = 80;

impl Snapshot {
    /// Appends one line of the bytes in readable form, from `from` on, and gives where the next one begins. A line
    /// ends behind a line feed or where it is full; what goes on with a line of the message has a `+`.
    pub fn write_line(&self, from: usize, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let is_new = from == 0 || self.bytes.get(from - 1) == Some(&b'\n');
        out.extend_from_slice(format!("  {from:05}{} ", if is_new { ' ' } else { '+' }).as_bytes());
        let mut at = from;
        while let Some(&byte) = self.bytes.get(at) {
            let escaped = match byte {
                b'\t' => "\\t".into(),
                b'\n' => "\\n".into(),
                b'\r' => "\\r".into(),
                0x1b => "\\e".into(),
                b'\\' => "\\\\".into(),
                b' '..=b'~' => char::from(byte).to_string(),
                other => format!("\\x{other:02X}"),
            };
            // Room for the line feed.
            if out.len() - start + escaped.len() >= LINE_MAX {
                break;
            }
            out.extend_from_slice(escaped.as_bytes());
            at += 1;
            if byte == b'\n' {
                break;
            }
        }
        out.push(b'\n');
        at
    }
}

/// Keeps the last `bytes` of a message that fit `buffer_size`, and where in them it went wrong.
impl Snapshots {
    /// Keeps a request in place of the one before.
    pub fn keep_request(&self, snapshot: Snapshot) {
        self.request.store(Some(Arc::new(snapshot)));
    }
    /// Keeps a response in place of the one before.
    pub fn keep_response(&self, snapshot: Snapshot) {
        self.response.store(Some(Arc::new(snapshot)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_line_by_line() {
        let mut bytes = b"GET / HTTP/1.1\r\nA: \x01\x80\\ \t\x1b".to_vec();
        bytes.extend_from_slice(&[b'x'; 80]);
        bytes.extend_from_slice(b"\r\n\r\n");
        let snapshot = Snapshot {
            event: 0,
            wall_us: 0,
            source: None,
            other: None,
            server: None,
            bytes: bytes.into(),
            buffer_size: 16384,
            position: 0,
            reason: "",
        };
        let (mut out, mut at) = (Vec::new(), 0);
        while at < snapshot.bytes.len() {
            at = snapshot.write_line(at, &mut out);
        }
        let expected = format!(
            "  00000  GET / HTTP/1.1\\r\\n\n  00016  A: \\x01\\x80\\\\ \\t\\e{}\n  00077+ {}\\r\\n\n  00107  \\r\\n\n",
            "x".repeat(52),
            "x".repeat(28)
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
