//! The only door to the system's clocks.
//!
//! A data thread reads the clocks once per turn and keeps the answer in [`Now`]; everything above
//! the line gets times as arguments.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the process started (monotonic).
pub type Millis = u64;

/// Both clocks, read at the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic microseconds since the process started.
    pub mono_us: u64,
    /// Microseconds since the Unix epoch.
    pub wall_us: u64,
}

impl Now {
    /// Monotonic milliseconds.
    #[inline]
    pub fn millis(self) -> Millis {
        self.mono_us / 1000
    }
    /// Seconds since the Unix epoch.
    #[inline]
    pub fn wall_secs(self) -> u64 {
        self.wall_us / 1_000_000
    }
}

static START: OnceLock<Instant> = OnceLock::new();

thread_local! {
    static TURN: Cell<Now> = const { Cell::new(Now { mono_us: 0, wall_us: 0 }) };
}

/// Reads both clocks.
pub fn read() -> Now {
    let start = *START.get_or_init(Instant::now);
    // The process's age may start at zero; deadlines of zero mean "none", so it starts at 1 s.
    let mono_us = start.elapsed().as_micros() as u64 + 1_000_000;
    let wall_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
    Now { mono_us, wall_us }
}

/// Reads both clocks and keeps the answer for this thread's turn.
pub fn refresh() -> Now {
    let now = read();
    TURN.with(|cell| cell.set(now));
    now
}

/// The answer of the last [`refresh`] on this thread (reads the clocks if there was none).
#[inline]
pub fn cached() -> Now {
    let now = TURN.with(Cell::get);
    if now.mono_us == 0 { refresh() } else { now }
}
