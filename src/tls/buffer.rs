//! Room for TLS records, pooled per thread: leased while it holds bytes, so that a session that idles has none.
//!
//! A whole record must be there before a byte of it can be read, and its largest form is a little more than
//! the buffers of `tune.bufsize` bytes that plain connections use.

use std::cell::RefCell;

/// The longest record: header, 16384 bytes, and what sealing may add (RFC 5246 section 6.2.3; RFC 8446 section
/// 5.2 allows less).
pub const RECORD_MAX: usize = 5 + 16384 + 2048;

/// Free rooms that a thread keeps; more go back to the allocator.
const POOL_MAX: usize = 64;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Gives this thread's free rooms back to the allocator.
pub fn trim() {
    POOL.with(|pool| *pool.borrow_mut() = Vec::new());
}

/// Bytes `start..end` of a leased room; none is leased while it is empty.
#[derive(Debug, Default)]
pub struct RecordBuffer {
    /// As long as it is wide; what is not filled has no meaning.
    room: Vec<u8>,
    start: usize,
    end: usize,
}

impl RecordBuffer {
    /// The bytes in it.
    pub fn filled(&self) -> &[u8] {
        &self.room[self.start..self.end]
    }
    /// The same, to be decrypted in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.start..self.end]
    }
    /// How many bytes are in it.
    pub fn len(&self) -> usize {
        self.end - self.start
    }
    /// Whether it holds nothing, and no room.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
    /// How many bytes it has room for, those included that it holds; 0 while it is empty.
    pub fn room(&self) -> usize {
        self.room.len()
    }
    /// Free room of at least `least` bytes behind the bytes. What is put there counts from [`RecordBuffer::add`]
    /// on; a caller that puts nothing there calls [`RecordBuffer::consume`] to let an unused room go.
    pub fn free(&mut self, least: usize) -> &mut [u8] {
        if self.room.is_empty() {
            let pooled = POOL.with(|pool| pool.borrow_mut().pop());
            self.room = pooled.unwrap_or_else(|| vec![0; RECORD_MAX]);
        }
        if self.room.len() - self.end < least {
            self.room.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.room.len() - self.end < least {
                self.room.resize(self.end + least, 0);
            }
        }
        &mut self.room[self.end..]
    }
    /// Counts `count` bytes that were put into the free room.
    pub fn add(&mut self, count: usize) {
        self.end = (self.end + count).min(self.room.len());
    }
    /// Drops `count` bytes from the front; lets the room go when none is left.
    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.start == self.end {
            self.release();
        }
    }
    fn release(&mut self) {
        (self.start, self.end) = (0, 0);
        let room = std::mem::take(&mut self.room);
        if room.len() != RECORD_MAX {
            return; // it had to grow for a long handshake message, which is rare
        }
        // The pool is gone while a thread ends; the room is then simply freed.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOL_MAX {
                pool.push(room);
            }
        });
    }
}

impl Drop for RecordBuffer {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut RecordBuffer, bytes: &[u8]) {
        buffer.free(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        buffer.add(bytes.len());
    }

    #[test]
    fn a_room_is_leased_while_there_are_bytes() {
        trim();
        let mut buffer = RecordBuffer::default();
        assert_eq!(buffer.room(), 0);
        put(&mut buffer, b"abcdef");
        buffer.consume(2);
        assert_eq!((buffer.filled(), buffer.room()), (&b"cdef"[..], RECORD_MAX));
        put(&mut buffer, &[7; RECORD_MAX]);
        assert_eq!(buffer.len(), RECORD_MAX + 4, "it grows for what must be whole");
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty() && buffer.room() == 0);
        assert_eq!(POOL.with_borrow(Vec::len), 0, "a room that grew is not kept");
        put(&mut buffer, b"x");
        drop(buffer);
        assert_eq!(POOL.with_borrow(Vec::len), 1);
    }

    #[test]
    fn an_unused_room_goes_back() {
        trim();
        let mut buffer = RecordBuffer::default();
        assert_eq!(buffer.free(1).len(), RECORD_MAX);
        buffer.consume(0);
        assert_eq!((buffer.room(), POOL.with_borrow(Vec::len)), (0, 1));
    }
}
