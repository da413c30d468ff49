//! The allocator beside allocating.

/// Gives memory that waits for reuse on this thread back to the system.
pub fn give_back() {
    // SAFETY: no memory is handed over; it may be called at any time on any thread.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
