//! One shard of a stick table: its rows, its index and their order of age, behind one lock.
//!
//! A row is a run of 32-bit words in a chunk of rows: a head, the key, the data. Nothing is
//! allocated per row, so that a million addresses with three rates cost some 70 bytes each; links
//! (the index's chains, the list by age) are row numbers. A chunk never moves, so growing copies
//! nothing.
//!
//! All rows of a table live equally long, hence the list by age is also the order in which they
//! expire: its oldest end is where rows are dropped, and nothing else is looked at. A row in use
//! that is met there goes to the youngest end instead, so that it is not met again and again; if it
//! is over, it counts as gone from the moment that no session holds it, though its memory comes back later.

use crate::base::clock::Millis;

/// No row.
const NONE: u32 = u32::MAX;
/// The reference count of a row that is free.
const FREE: u32 = u32::MAX;

/// Rows of a chunk: 2^9.
const CHUNK_SHIFT: u32 = 9;
/// Rows of a chunk.
pub(super) const CHUNK_ROWS: usize = 1 << CHUNK_SHIFT;
/// Rows in use that one search for an old one steps over before it gives up: all of a small table.
const STEPS_MAX: usize = 8192;

// The words of a row's head.
/// The next row of the same slot of the index, or the next free row.
const CHAIN: usize = 0;
const OLDER: usize = 1;
const NEWER: usize = 2;
/// How many hold the row, or [`FREE`].
const REFERENCES: usize = 3;
/// When it expires, as the low word of the time: lives are shorter than 2^31 ms, and what is over
/// is swept every second.
const EXPIRES: usize = 4;
const HEAD_WORDS: usize = 5;

/// The shape of a table's rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Words of the key.
    pub key: usize,
    /// Words of the data.
    pub data: usize,
    /// Rows of a chunk; fewer in small tables.
    pub chunk_rows: usize,
    /// How long a row lives.
    pub life_ms: Option<u32>,
}

impl Layout {
    fn width(self) -> usize {
        HEAD_WORDS + self.key + self.data
    }
}

#[derive(Debug)]
pub(super) struct Shard {
    layout: Layout,
    chunks: Vec<Box<[u32]>>,
    /// Rows that were ever made; those of a free list among them.
    made: u32,
    free: u32,
    /// The first row of each slot; their number is a power of two.
    index: Vec<u32>,
    len: usize,
    /// Rows that a session holds.
    held: usize,
    oldest: u32,
    newest: u32,
}

impl Shard {
    pub(super) fn new(layout: Layout) -> Shard {
        Shard {
            layout,
            chunks: Vec::new(),
            made: 0,
            free: NONE,
            index: Vec::new(),
            len: 0,
            held: 0,
            oldest: NONE,
            newest: NONE,
        }
    }
    /// Rows in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }
    /// Row numbers lie below this.
    pub(super) fn rows(&self) -> u32 {
        self.made
    }
    /// Bytes that rows and index take.
    pub(super) fn memory(&self) -> usize {
        let words: usize = self.chunks.iter().map(|chunk| chunk.len()).sum();
        4 * (words + self.index.capacity())
            + std::mem::size_of::<Box<[u32]>>() * self.chunks.capacity()
            + std::mem::size_of::<Shard>()
    }
    fn row(&self, row: u32) -> &[u32] {
        let at = (row as usize % CHUNK_ROWS) * self.layout.width();
        &self.chunks[row as usize >> CHUNK_SHIFT][at..at + self.layout.width()]
    }
    fn row_mut(&mut self, row: u32) -> &mut [u32] {
        let at = (row as usize % CHUNK_ROWS) * self.layout.width();
        &mut self.chunks[row as usize >> CHUNK_SHIFT][at..at + self.layout.width()]
    }
    /// The key of a row.
    pub(super) fn key(&self, row: u32) -> &[u32] {
        &self.row(row)[HEAD_WORDS..HEAD_WORDS + self.layout.key]
    }
    /// The data of a row.
    pub(super) fn data(&mut self, row: u32) -> &mut [u32] {
        let from = HEAD_WORDS + self.layout.key;
        &mut self.row_mut(row)[from..]
    }
    /// Whether a row of this number is in use.
    pub(super) fn is_used(&self, row: u32) -> bool {
        row < self.made && self.row(row)[REFERENCES] != FREE
    }
    /// How many hold a row.
    pub(super) fn references(&self, row: u32) -> u32 {
        self.row(row)[REFERENCES]
    }
    /// Counts one more that holds a row.
    pub(super) fn hold(&mut self, row: u32) {
        let references = &mut self.row_mut(row)[REFERENCES];
        *references += 1;
        self.held += usize::from(*references == 1);
    }
    /// Counts one less.
    pub(super) fn release(&mut self, row: u32) {
        let references = &mut self.row_mut(row)[REFERENCES];
        debug_assert!(*references != 0 && *references != FREE, "a row is released that nobody holds");
        *references = references.saturating_sub(1);
        self.held -= usize::from(*references == 0);
    }
    /// How long a row has to live; 0 if rows do not expire.
    pub(super) fn remaining_ms(&self, row: u32, now: Millis) -> u32 {
        match self.layout.life_ms {
            Some(_) => (self.row(row)[EXPIRES].wrapping_sub(now as u32) as i32).max(0) as u32,
            None => 0,
        }
    }
    fn is_over(&self, row: u32, now: Millis) -> bool {
        let left = self.row(row)[EXPIRES].wrapping_sub(now as u32) as i32;
        self.layout.life_ms.is_some() && left <= 0
    }
    /// Begins a row's life anew.
    pub(super) fn touch(&mut self, row: u32, now: Millis) {
        if let Some(life) = self.layout.life_ms {
            self.row_mut(row)[EXPIRES] = (now as u32).wrapping_add(life);
        }
        self.move_to_newest(row);
    }
    fn move_to_newest(&mut self, row: u32) {
        if self.newest != row {
            self.unlink(row);
            self.link_newest(row);
        }
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.index.len() - 1)
    }
    /// The row of a key. One whose life is over and that no session holds is not found.
    pub(super) fn find(&self, key: &[u32], hash: u64, now: Millis) -> Option<u32> {
        self.find_any(key, hash).filter(|row| !self.is_past(*row, now))
    }
    /// The row of a key, its life begun anew: one that was over is as if it had just been made.
    pub(super) fn renew(&mut self, key: &[u32], hash: u64, now: Millis) -> Option<u32> {
        let row = self.find_any(key, hash)?;
        if self.is_past(row, now) {
            self.data(row).fill(0);
        }
        self.touch(row, now);
        Some(row)
    }
    /// Whether a row's life is over and no session holds it.
    pub(super) fn is_past(&self, row: u32, now: Millis) -> bool {
        self.references(row) == 0 && self.is_over(row, now)
    }
    fn find_any(&self, key: &[u32], hash: u64) -> Option<u32> {
        if self.index.is_empty() {
            return None;
        }
        let mut row = self.index[self.slot(hash)];
        while row != NONE {
            let words = self.row(row);
            if &words[HEAD_WORDS..HEAD_WORDS + key.len()] == key {
                return Some(row);
            }
            row = words[CHAIN];
        }
        None
    }
    /// A row for a key that has none: its data are zero, no session holds it yet.
    pub(super) fn insert(
        &mut self,
        key: &[u32],
        hash: u64,
        now: Millis,
        hash_of: impl Fn(&[u32]) -> u64,
    ) -> u32 {
        if self.len >= self.index.len() {
            self.grow_index(&hash_of);
        }
        let row = self.take_free();
        let slot = self.slot(hash);
        let next = std::mem::replace(&mut self.index[slot], row);
        let from = HEAD_WORDS + key.len();
        let words = self.row_mut(row);
        words[CHAIN] = next;
        words[REFERENCES] = 0;
        words[HEAD_WORDS..from].copy_from_slice(key);
        words[from..].fill(0);
        self.len += 1;
        self.link_newest(row);
        self.touch(row, now);
        row
    }
    fn take_free(&mut self) -> u32 {
        if self.free != NONE {
            let row = self.free;
            self.free = self.row(row)[CHAIN];
            return row;
        }
        let row = self.made;
        if (row as usize).is_multiple_of(CHUNK_ROWS) {
            self.chunks.push(vec![0; self.layout.chunk_rows * self.layout.width()].into_boxed_slice());
        }
        self.made += 1;
        row
    }
    fn grow_index(&mut self, hash_of: &impl Fn(&[u32]) -> u64) {
        let slots = (self.index.len() * 2).max(16);
        self.index.clear();
        self.index.reserve_exact(slots);
        self.index.resize(slots, NONE);
        for row in 0..self.made {
            if self.is_used(row) {
                let slot = self.slot(hash_of(self.key(row)));
                let next = std::mem::replace(&mut self.index[slot], row);
                self.row_mut(row)[CHAIN] = next;
            }
        }
    }
    /// Forgets a row that no session holds.
    pub(super) fn remove(&mut self, row: u32, hash_of: impl Fn(&[u32]) -> u64) {
        let slot = self.slot(hash_of(self.key(row)));
        let next = self.row(row)[CHAIN];
        if self.index[slot] == row {
            self.index[slot] = next;
        } else {
            let mut before = self.index[slot];
            while self.row(before)[CHAIN] != row {
                before = self.row(before)[CHAIN];
            }
            self.row_mut(before)[CHAIN] = next;
        }
        self.unlink(row);
        self.len -= 1;
        let free = self.free;
        let words = self.row_mut(row);
        words[REFERENCES] = FREE;
        words[CHAIN] = free;
        self.free = row;
        // A table that was emptied gives its memory back.
        if self.len == 0 && self.chunks.len() > 1 {
            *self = Shard::new(self.layout);
        }
    }

    /// Forgets the oldest row that no session holds: one whose life is over, or `any`. Whether there was one.
    pub(super) fn evict(&mut self, now: Millis, any: bool, hash_of: impl Fn(&[u32]) -> u64) -> bool {
        if self.held == self.len {
            return false;
        }
        for _ in 0..self.len.min(STEPS_MAX) {
            let row = self.oldest;
            if !any && !self.is_over(row, now) {
                return false;
            }
            if self.references(row) == 0 {
                self.remove(row, hash_of);
                return true;
            }
            self.move_to_newest(row);
        }
        false
    }

    fn unlink(&mut self, row: u32) {
        let (older, newer) = (self.row(row)[OLDER], self.row(row)[NEWER]);
        match older {
            NONE => self.oldest = newer,
            older => self.row_mut(older)[NEWER] = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.row_mut(newer)[OLDER] = older,
        }
    }
    fn link_newest(&mut self, row: u32) {
        let older = std::mem::replace(&mut self.newest, row);
        let words = self.row_mut(row);
        words[OLDER] = older;
        words[NEWER] = NONE;
        match older {
            NONE => self.oldest = row,
            older => self.row_mut(older)[NEWER] = row,
        }
    }
}
