//! The bounded queue from data threads to the log writer. What does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

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

/// The queue; one for the process.
pub struct LogQueue {
    lines: ArrayQueue<Line>,
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
    /// A queue of `capacity` lines; `doorbell` wakes the writer.
    pub fn new(capacity: usize, doorbell: impl Fn() + Send + Sync + 'static) -> Self {
        LogQueue {
            lines: ArrayQueue::new(capacity),
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
        if self.lines.push(line).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
        if self.writer_sleeps.swap(false, SeqCst) {
            (self.doorbell)();
        }
    }
    /// Takes the next line (the writer).
    pub fn take(&self) -> Option<Line> {
        self.lines.pop()
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
