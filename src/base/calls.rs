//! How often the task that runs was called: what `cpu_calls` tells of a request.

use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<u32> = const { Cell::new(0) };
}

/// Calls of the task that runs on this thread, the present one included.
#[inline]
pub fn current() -> u32 {
    CURRENT.with(Cell::get)
}

/// Sets the name of the caller before it runs a task.
#[inline]
pub fn set_current(calls: u32) {
    CURRENT.with(|cell| cell.set(calls));
}
