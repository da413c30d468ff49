//! Buffers of `tune.bufsize` bytes, pooled per core, leased only while there are bytes.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};

use super::Stream;

/// Free buffers a core keeps; more are given back to the allocator.
const POOL_MAX: usize = 256;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static SIZE: Cell<usize> = const { Cell::new(16384) };
}

/// Sets the size of this core's buffers (`tune.bufsize`), once, before any is leased.
pub fn configure(size: usize) {
    SIZE.with(|cell| cell.set(size));
}

/// Gives this core's free buffers back to the allocator.
pub fn trim() {
    POOL.with(|pool| *pool.borrow_mut() = Vec::new());
    SCRATCH.with(|pool| *pool.borrow_mut() = Vec::new());
    crate::tls::buffer::trim();
}

/// A leased buffer: bytes `start..end` are filled. It goes back to its core's pool when dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty one from the pool.
    pub fn lease() -> Buffer {
        let size = SIZE.with(Cell::get);
        let pooled = POOL.with(|pool| pool.borrow_mut().pop());
        let bytes = pooled.filter(|b| b.len() == size).unwrap_or_else(|| vec![0; size].into_boxed_slice());
        Buffer { bytes, start: 0, end: 0 }
    }
    /// How many bytes a buffer of this core holds.
    pub fn lease_size() -> usize {
        SIZE.with(Cell::get)
    }
    /// The bytes in it.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
    /// How many bytes are in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }
    /// Whether nothing is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
    /// Whether no more fits behind what is in it, even after moving it to the front.
    pub fn is_full(&self) -> bool {
        self.len() == self.bytes.len()
    }
    /// Whether what is in it reaches to its end: there may be more to read.
    pub fn reaches_end(&self) -> bool {
        self.end == self.bytes.len()
    }
    /// Drops `count` bytes from the front.
    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
    /// Drops all.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
    /// Drops what stands behind the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.start + len.min(self.len());
    }
    /// Appends as much of `bytes` as fits; returns how much did.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        self.make_room();
        let count = bytes.len().min(self.bytes.len() - self.end);
        self.bytes[self.end..self.end + count].copy_from_slice(&bytes[..count]);
        self.end += count;
        count
    }
    fn make_room(&mut self) {
        if self.start > 0 && (self.end == self.bytes.len() || self.start > self.bytes.len() / 2) {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
    /// Receives once into the free space.
    pub fn fill(&mut self, stream: &mut Stream) -> io::Result<Filled> {
        self.make_room();
        let free = &mut self.bytes[self.end..];
        if free.is_empty() {
            return Ok(Filled::Full);
        }
        let wanted = free.len();
        loop {
            match stream.try_read(free) {
                Ok(0) => return Ok(Filled::End),
                Ok(count) => {
                    self.end += count;
                    return Ok(Filled::Bytes { count, drained: count < wanted });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Filled::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Bytes being put together, in memory that a core reuses: empty it holds none.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u8>);

/// The capacity of a new one: most heads fit.
const SCRATCH_BYTES: usize = 1024;
/// Free allocations that a core keeps, and the largest of them.
const SCRATCH_MAX: usize = 64;
const SCRATCH_BYTES_MAX: usize = 32 * 1024;

impl Scratch {
    /// Empties it and gives its memory back to the core.
    pub fn give_back(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        if bytes.capacity() == 0 || bytes.capacity() > SCRATCH_BYTES_MAX {
            return;
        }
        bytes.clear();
        let _ = SCRATCH.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < SCRATCH_MAX {
                pool.push(bytes);
            }
        });
    }
}

impl std::ops::Deref for Scratch {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        if self.0.capacity() == 0 {
            let pooled = SCRATCH.with(|pool| pool.borrow_mut().pop());
            self.0 = pooled.unwrap_or_else(|| Vec::with_capacity(SCRATCH_BYTES));
        }
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// What a receive gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// So many bytes; `drained` when the socket had no more at that moment.
    Bytes {
        /// How many.
        count: usize,
        /// Fewer than asked for: asking again at once would only give an error.
        drained: bool,
    },
    /// The peer has ended its direction.
    End,
    /// Nothing is there now.
    Nothing,
    /// The buffer is full.
    Full,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // The pool is gone while a thread ends; the buffer is then simply freed.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOL_MAX {
                pool.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::DerefMut;

    #[test]
    fn room_comes_back_empty_unless_it_is_too_large() {
        for (room, kept) in [(10, 1), (SCRATCH_BYTES_MAX, 1), (SCRATCH_BYTES_MAX + 1, 0)] {
            SCRATCH.with_borrow_mut(Vec::clear);
            let mut scratch = Scratch::default();
            assert_eq!(scratch.capacity(), 0, "an empty one holds no room");
            scratch.resize(room, b'x');
            drop(scratch);
            assert_eq!(SCRATCH.with_borrow(Vec::len), kept, "{room}");
            assert!(Scratch::default().deref_mut().is_empty());
        }
    }

    #[test]
    fn keeps_bytes_in_order_while_room_is_made() {
        configure(8);
        let mut buffer = Buffer::lease();
        assert_eq!(buffer.append(b"abcdefghij"), 8);
        assert!(buffer.is_full());
        buffer.consume(6);
        assert_eq!(buffer.append(b"1234567"), 6);
        assert_eq!(buffer.filled(), b"gh123456");
        buffer.truncate(3);
        assert_eq!(buffer.filled(), b"gh1");
    }
}
