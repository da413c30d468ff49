//! The bounded queue from data threads to the log writer. What does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};

use crossbeam_queue::ArrayQueue;

use super::target::Targets;

/// One line on its way.
#[derive(Debug)]
pub struct Line {
    /// Where it goes.
    pub targets: Targets,
    /// Syslog level, 0 (emerg) to 7 (debug).
    pub level: u8,
    /// Wall clock microseconds of the event.
    pub wall_us: u64,
    /// The tag (`log-tag`), by default the program's name.
    pub tag: Arc<str>,
    /// The message, without a line end.
    pub message: Vec<u8>,
    /// RFC 5424 structured data (`log-format-sd`), if any.
    pub structured_data: Option<Vec<u8>>,
}

impl Line {
    /// The bytes that it holds, roughly.
    fn weight(&self) -> usize {
        const OVERHEAD: usize = size_of::<Line>() + 32;
        OVERHEAD + self.message.len() + self.structured_data.as_ref().map_or(0, Vec::len)
    }
}

/// The queue; one for the process. It is bounded in lines and in bytes, since a line may be as long as a
/// buffer several times over.
pub struct LogQueue {
    lines: ArrayQueue<Line>,
    bytes: AtomicUsize,
    bytes_max: usize,
    dropped: AtomicU64,
    writer_sleeps: AtomicBool,
    doorbell: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for LogQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogQueue").field("len", &self.lines.len()).finish_non_exhaustive()
    }
}

impl LogQueue {
    /// A queue of `capacity` lines and so many bytes; `doorbell` wakes the writer.
    pub fn new(capacity: usize, bytes_max: usize, doorbell: impl Fn() + Send + Sync + 'static) -> Self {
        LogQueue {
            lines: ArrayQueue::new(capacity),
            bytes: AtomicUsize::new(0),
            bytes_max,
            dropped: AtomicU64::new(0),
            writer_sleeps: AtomicBool::new(false),
            doorbell: Box::new(doorbell),
        }
    }
    /// Hands a line over, or drops and counts it. Never blocks.
    pub fn send(&self, line: Line) {
        if line.targets.is_empty() {
            return;
        }
        let weight = line.weight();
        let fits = self.bytes.fetch_add(weight, Relaxed) + weight <= self.bytes_max;
        if !fits || self.lines.push(line).is_err() {
            self.bytes.fetch_sub(weight, Relaxed);
            self.drop_some(1);
        }
        if self.writer_sleeps.swap(false, SeqCst) {
            (self.doorbell)();
        }
    }
    /// Takes the next line (the writer).
    pub fn take(&self) -> Option<Line> {
        let line = self.lines.pop()?;
        self.bytes.fetch_sub(line.weight(), Relaxed);
        Some(line)
    }
    /// Counts lines that a target did not take.
    pub fn drop_some(&self, count: u64) {
        self.dropped.fetch_add(count, Relaxed);
    }
    /// Wakes the writer.
    pub fn ring(&self) {
        (self.doorbell)();
    }
    /// The writer is about to sleep; false if lines came meanwhile.
    pub fn prepare_sleep(&self) -> bool {
        self.writer_sleeps.store(true, SeqCst);
        self.lines.is_empty() || !self.writer_sleeps.swap(false, SeqCst)
    }
    /// Lines dropped so far (`DroppedLogs` in `show info`).
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::target;

    fn line(len: usize) -> Line {
        Line {
            targets: target::events("stderr"),
            level: 6,
            wall_us: 0,
            tag: "t".into(),
            message: vec![b'x'; len],
            structured_data: None,
        }
    }

    #[test]
    fn is_bounded_in_lines_and_in_bytes() {
        for (capacity, bytes, len, kept) in
            [(10, 1 << 20, 1, 10), (1000, 100_000, 9_000, 10), (10, 100, 101, 0)]
        {
            let queue = LogQueue::new(capacity, bytes, || {});
            (0..20).for_each(|_| queue.send(line(len)));
            assert_eq!(queue.dropped(), 20 - kept);
            // What was taken makes room.
            assert_eq!(std::iter::from_fn(|| queue.take()).count() as u64, kept);
            (0..20).for_each(|_| queue.send(line(len)));
            assert_eq!(std::iter::from_fn(|| queue.take()).count() as u64, kept);
        }
    }
}
