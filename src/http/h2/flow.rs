//! Flow control (RFC 9113 section 5.2): what may be sent, and what may come.
//!
//! A receiving window is opened as its consumer takes bytes, never before: what is here and not taken, and what the
//! peer may still send, are together never more than the window's size.

use super::settings::WINDOW_MAX;

/// A window would grow beyond 2^31-1, or the peer sent more than it may: FLOW_CONTROL_ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded;

/// What this side may send.
#[derive(Clone, Copy, Debug)]
pub struct SendWindow(i64);

impl SendWindow {
    /// One of `size` bytes.
    pub fn new(size: u32) -> SendWindow {
        SendWindow(i64::from(size))
    }
    /// Bytes that may be sent now.
    pub fn left(self) -> usize {
        self.0.max(0) as usize
    }
    /// `len` bytes are sent; no more than [`SendWindow::left`].
    pub fn sent(&mut self, len: usize) {
        debug_assert!(len <= self.left());
        self.0 -= len as i64;
    }
    /// The peer lets `increment` more bytes come.
    pub fn open(&mut self, increment: u32) -> Result<(), Exceeded> {
        self.shift(i64::from(increment))
    }
    /// The peer has changed the initial size of all windows; the window may become negative (section 6.9.2).
    pub fn shift(&mut self, by: i64) -> Result<(), Exceeded> {
        self.0 += by;
        if self.0 > i64::from(WINDOW_MAX) { Err(Exceeded) } else { Ok(()) }
    }
}

/// What the peer may send.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWindow {
    /// Bytes that may still come; negative after a smaller initial size, until enough was taken.
    left: i64,
    /// Bytes that have come and are not taken.
    held: u32,
}

impl ReceiveWindow {
    /// One in which `size` bytes may come.
    pub fn new(size: u32) -> ReceiveWindow {
        ReceiveWindow { left: i64::from(size), held: 0 }
    }
    /// Whether `len` bytes may come.
    pub fn fits(self, len: u32) -> bool {
        len == 0 || self.left >= i64::from(len)
    }
    /// `len` bytes have come.
    pub fn received(&mut self, len: u32) -> Result<(), Exceeded> {
        self.left -= i64::from(len);
        self.held += len;
        if self.left < 0 && len > 0 { Err(Exceeded) } else { Ok(()) }
    }
    /// `len` of them are taken.
    pub fn taken(&mut self, len: u32) {
        debug_assert!(len <= self.held);
        self.held = self.held.saturating_sub(len);
    }
    /// No consumer will take what is held any more; how much that is.
    pub fn abandon(&mut self) -> u32 {
        std::mem::take(&mut self.held)
    }
    /// Bytes that have come and are not taken.
    pub fn held(self) -> u32 {
        self.held
    }
    /// How many more bytes the peer is to be told it may send, so that the window has `size` bytes; none as long as
    /// it is too little to be worth a frame.
    pub fn grant(&mut self, size: u32) -> Option<u32> {
        let missing = i64::from(size.min(WINDOW_MAX)) - i64::from(self.held) - self.left;
        // Half of the window, or whatever there is to a peer that cannot send.
        let is_worth_it = missing >= i64::from(size / 2).max(1) || (missing > 0 && self.left <= 0);
        if !is_worth_it {
            return None;
        }
        let increment = missing.min(i64::from(WINDOW_MAX)) as u32;
        self.left += i64::from(increment);
        Some(increment)
    }
    /// The initial size of all windows has changed by so much, and the peer has acknowledged it.
    pub fn shift(&mut self, by: i64) {
        self.left += by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn windows_to_send_may_be_negative_and_not_too_large() {
        let mut window = SendWindow::new(10);
        window.sent(8);
        window.shift(-5).unwrap();
        assert_eq!(window.left(), 0);
        window.open(3).unwrap();
        assert_eq!(window.left(), 0);
        window.open(1).unwrap();
        assert_eq!(window.left(), 1);
        window.open(WINDOW_MAX - 1).unwrap();
        assert_eq!(window.open(1), Err(Exceeded));
    }

    #[test]
    fn a_window_opens_when_half_of_it_is_taken() {
        let mut window = ReceiveWindow::new(100);
        window.received(60).unwrap();
        assert_eq!(window.grant(100), None, "nothing is taken yet");
        window.taken(49);
        assert_eq!(window.grant(100), None);
        window.taken(1);
        assert_eq!(window.grant(100), Some(50));
        assert_eq!(window.grant(100), None);
        assert_eq!(window.held(), 10);
        window.received(90).unwrap();
        assert_eq!(window.received(1), Err(Exceeded));
    }

    #[test]
    fn a_peer_that_cannot_send_is_told_of_each_byte() {
        let mut window = ReceiveWindow::new(100);
        window.received(100).unwrap();
        window.taken(1);
        assert_eq!(window.grant(100), Some(1));
        let mut window = ReceiveWindow::new(100);
        window.received(60).unwrap();
        window.shift(-80);
        assert_eq!(window.grant(20), None, "40 bytes too many are here");
        window.taken(60);
        assert_eq!(window.grant(20), Some(60), "of which 40 pay for the smaller window");
        window.received(20).unwrap();
        assert!(window.received(1).is_err());
    }

    #[test]
    fn what_is_held_and_may_come_is_never_more_than_the_size() {
        let mut rng = Rng::new(8);
        for _ in 0..200 {
            let first = rng.below(1000) as u32 + 1;
            let (mut window, mut largest) = (ReceiveWindow::new(first), first);
            let mut told = u64::from(first);
            let mut sent = 0;
            for _ in 0..200 {
                let size = rng.below(2000) as u32 + 1;
                largest = largest.max(size);
                let len = rng.below(told - sent + 1) as u32;
                window.received(len).unwrap();
                sent += u64::from(len);
                window.taken(rng.below(u64::from(window.held()) + 1) as u32);
                told += u64::from(window.grant(size).unwrap_or(0));
                assert_eq!(window.left as u64, told - sent);
                assert!(window.left as u64 + u64::from(window.held()) <= u64::from(largest));
            }
            window.taken(window.held());
            window.grant(largest);
            assert!(window.left > 0, "a consumer that takes everything gets more");
        }
    }
}
