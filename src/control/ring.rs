//! `ring` sections: the last log lines, in memory, for `show events`.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

/// A ring's size where its section gives none.
pub const SIZE_DEFAULT: u64 = 1 << 20;

/// The newest lines within a number of bytes; older ones make room.
#[derive(Debug)]
pub struct Ring {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    bytes_max: usize,
    /// The number of the line after the newest.
    next: u64,
    dropped: u64,
    news: Arc<Notify>,
}

impl Ring {
    /// An empty ring of `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Ring {
        let bytes_max = usize::try_from(bytes_max.max(1)).unwrap_or(usize::MAX);
        Ring { lines: VecDeque::new(), bytes: 0, bytes_max, next: 0, dropped: 0, news: Arc::default() }
    }
    /// Adds a line; one that is longer than the ring is dropped and counted.
    pub fn push(&mut self, line: &[u8]) {
        if line.len() > self.bytes_max {
            self.dropped += 1;
            return;
        }
        while self.bytes + line.len() > self.bytes_max {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
        }
        self.bytes += line.len();
        self.lines.push_back(line.to_vec());
        self.next += 1;
        self.news.notify_waiters();
    }
    /// Appends the lines from number `from` on, each followed by `end`; returns the next number.
    pub fn read(&self, from: u64, end: u8, out: &mut Vec<u8>) -> u64 {
        let oldest = self.next - self.lines.len() as u64;
        let skip = from.saturating_sub(oldest) as usize;
        for line in self.lines.iter().skip(skip) {
            out.extend_from_slice(line);
            out.push(end);
        }
        self.next
    }
    /// The number of the line after the newest.
    pub fn next(&self) -> u64 {
        self.next
    }
    /// Lines that did not fit.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
    /// Notified when a line comes.
    pub fn news(&self) -> Arc<Notify> {
        self.news.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_within_its_size() {
        let mut ring = Ring::new(10);
        for line in ["aaaa", "bbbb", "cccc"] {
            ring.push(line.as_bytes());
        }
        ring.push(b"much too long");
        let read = |from| {
            let mut out = Vec::new();
            (ring.read(from, b'\n', &mut out), String::from_utf8(out).unwrap())
        };
        assert_eq!(read(0), (3, "bbbb\ncccc\n".into()));
        assert_eq!(read(2), (3, "cccc\n".into()));
        assert_eq!(read(3), (3, String::new()));
        assert_eq!(ring.dropped(), 1);
    }
}
