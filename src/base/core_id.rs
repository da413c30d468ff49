//! Which data thread is running: the index of its counters, queues and pools.

use std::cell::Cell;

/// The most data threads a process may have; sizes the blocks of [`crate::state::counter`].
pub const CORES_MAX: usize = 256;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The calling thread's index: `1..=nbthread` on data threads, 0 on the control thread.
#[inline]
pub fn current() -> usize {
    CURRENT.with(Cell::get)
}

/// Names the calling thread; called once, when a data thread starts.
pub fn set_current(index: usize) {
    assert!(index <= CORES_MAX);
    CURRENT.with(|cell| cell.set(index));
}
