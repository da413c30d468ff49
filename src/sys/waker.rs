//! Wakers that are numbers: a task's place, carried in the waker's data word, without a count.
//!
//! A waker made here may be used on its own thread only for its effect; on another it does nothing
//! (it may still be cloned and dropped anywhere, since there is nothing behind it).

use std::task::{RawWaker, RawWakerVTable, Waker};

thread_local! {
    static WAKE: std::cell::Cell<fn(usize)> = const { std::cell::Cell::new(|_| {}) };
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| RawWaker::new(data, &VTABLE),
    |data| wake(data as usize),
    |data| wake(data as usize),
    |_| {},
);

fn wake(number: usize) {
    // A thread that ends has no tasks left to wake.
    let _ = WAKE.try_with(|wake| wake.get()(number));
}

/// Sets what waking does on this thread.
pub fn install(wake: fn(usize)) {
    WAKE.with(|cell| cell.set(wake));
}

/// A waker of task `number` on this thread.
pub fn make(number: usize) -> Waker {
    // SAFETY: the data word is a number and never dereferenced; cloning copies it, dropping does
    // nothing, waking passes it to a function; all of that is sound on any thread.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::without_provenance(number), &VTABLE)) }
}
