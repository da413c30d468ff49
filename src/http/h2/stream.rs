//! One stream (RFC 9113 section 5.1): which halves are open, its windows, and what its consumer has not taken.

use super::Reason;
use super::flow::{ReceiveWindow, SendWindow};
use crate::base::clock::Millis;

/// How a stream ended before both sides had sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) reason: Reason,
    pub(super) by: By,
}

/// Which side did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The peer.
    Peer,
    /// This side.
    Here,
}

/// Whether a stream waits for leave to send DATA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wait {
    #[default]
    None,
    /// In the queue of the connection.
    Queued,
    /// It was told that it may send so many bytes.
    Turn(u32),
    /// Its own window is closed.
    Window,
}

/// A time in which the peer's windows kept the stream from sending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    pub(super) since: Millis,
    /// Bytes that went out nevertheless.
    pub(super) sent: usize,
}

/// A stream of the table. It stays there until its user releases it, closed or not.
#[derive(Debug)]
pub(super) struct Stream {
    /// The peer has not ended its half.
    pub(super) receiving: bool,
    /// This side has not ended its half.
    pub(super) sending: bool,
    pub(super) closed: Option<Closed>,
    /// The final head of the peer was received.
    pub(super) has_head: bool,
    /// The final head of a response was sent.
    pub(super) answered: bool,
    /// The peer has sent everything: what is held is whole.
    pub(super) complete: bool,
    /// A request of HEAD: its response has no body.
    pub(super) is_head: bool,
    /// A CONNECT: a response of 2xx makes it a tunnel.
    pub(super) is_connect: bool,
    /// What an extended CONNECT asks for: the protocol, and the accept that its client will want to see.
    pub(super) upgrade: Option<Box<Upgrade>>,
    pub(super) window: SendWindow,
    pub(super) receive: ReceiveWindow,
    /// Bytes of body that are still to come, where a length was given.
    pub(super) body_left: Option<u64>,
    pub(super) wait: Wait,
    pub(super) stall: Option<Stall>,
    /// Bytes that wait for the consumer, from `held_start` on.
    held: Vec<u8>,
    held_start: usize,
}

/// What a granted extended CONNECT becomes for HTTP/1.
#[derive(Debug, Default)]
pub(super) struct Upgrade {
    pub(super) protocol: Vec<u8>,
    pub(super) accept: Option<String>,
}

impl Stream {
    pub(super) fn new(window: u32, receive: u32) -> Stream {
        Stream {
            receiving: true,
            sending: true,
            closed: None,
            has_head: false,
            answered: false,
            complete: false,
            is_head: false,
            is_connect: false,
            upgrade: None,
            window: SendWindow::new(window),
            receive: ReceiveWindow::new(receive),
            body_left: None,
            wait: Wait::None,
            stall: None,
            held: Vec::new(),
            held_start: 0,
        }
    }
    /// Whether the stream counts against the limit of concurrent ones (section 5.1.2).
    pub(super) fn is_open(&self) -> bool {
        self.closed.is_none() && (self.receiving || self.sending)
    }
    /// What waits for the consumer.
    pub(super) fn held(&self) -> &[u8] {
        &self.held[self.held_start..]
    }
    /// Keeps bytes for the consumer.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        // What moves is never more than what is gone: moving costs no more than taking did.
        if self.held_start > self.held.len() / 2 && self.held.len() + bytes.len() > self.held.capacity() {
            self.held.drain(..self.held_start);
            self.held_start = 0;
        }
        self.held.extend_from_slice(bytes);
    }
    /// The consumer has taken `len` bytes, of those that are kept if there are any.
    pub(super) fn taken(&mut self, len: usize) {
        self.held_start = (self.held_start + len).min(self.held.len());
        if self.held_start == self.held.len() {
            self.forget();
        }
    }
    /// Drops what is kept.
    pub(super) fn forget(&mut self) {
        self.held = Vec::new();
        self.held_start = 0;
    }
    /// Takes `len` bytes off the announced length: whether they fit.
    pub(super) fn counts(&mut self, len: u64) -> bool {
        match &mut self.body_left {
            None => true,
            Some(left) => match left.checked_sub(len) {
                Some(less) => {
                    *left = less;
                    true
                }
                None => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_out_in_order() {
        let mut stream = Stream::new(10, 10);
        stream.hold(b"abc");
        stream.taken(1);
        stream.hold(b"def");
        assert_eq!(stream.held(), b"bcdef");
        stream.taken(5);
        assert_eq!((stream.held(), stream.held.capacity()), (&b""[..], 0));
        stream.taken(3);
        stream.hold(b"x");
        assert_eq!(stream.held(), b"x", "what was never kept is not taken from it");
    }

    #[test]
    fn lengths_are_counted() {
        let mut stream = Stream::new(10, 10);
        assert!(stream.counts(1000));
        stream.body_left = Some(5);
        assert!(stream.counts(3) && !stream.counts(3) && stream.counts(2));
        assert_eq!(stream.body_left, Some(0));
    }
}
