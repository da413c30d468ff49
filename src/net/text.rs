//! Room for the heads of messages, pooled per core: each request writes two, and neither should ask the
//! allocator.

use std::cell::RefCell;

/// Room that a fresh one has: most heads fit.
const ROOM: usize = 1024;
/// Larger ones are given back to the allocator.
const ROOM_MAX: usize = 8 * 1024;
/// Free ones a core keeps.
const POOL_MAX: usize = 64;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty one from the pool.
pub fn lease() -> Vec<u8> {
    POOL.with(|pool| pool.borrow_mut().pop()).unwrap_or_else(|| Vec::with_capacity(ROOM))
}

/// Gives one back, whatever is in it.
pub fn give_back(mut text: Vec<u8>) {
    if !(ROOM..=ROOM_MAX).contains(&text.capacity()) {
        return;
    }
    text.clear();
    // The pool is gone while a thread ends; the room is then simply freed.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < POOL_MAX {
            pool.push(text);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_empty_unless_it_is_too_small_or_too_large() {
        for (room, kept) in
            [(0, false), (ROOM - 1, false), (ROOM, true), (ROOM_MAX, true), (ROOM_MAX + 1, false)]
        {
            give_back(vec![b'x'; room]);
            assert_eq!(POOL.with_borrow(Vec::len), usize::from(kept), "{room}");
            let leased = lease();
            assert!(leased.is_empty() && leased.capacity() >= ROOM, "{room}");
        }
    }
}
