//! Counters without contention: each core adds to its own cache lines, a reader adds them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::base::core_id;

/// A set of `N` counters, one block per core.
#[derive(Debug)]
pub struct Counters<const N: usize> {
    blocks: Box<[CachePadded<Block<N>>]>,
}

#[derive(Debug)]
struct Block<const N: usize>([AtomicU64; N]);

impl<const N: usize> Counters<N> {
    /// Counters for `cores` data threads and the control thread.
    pub fn new(cores: usize) -> Self {
        let block = || CachePadded::new(Block(std::array::from_fn(|_| AtomicU64::new(0))));
        Counters { blocks: (0..=cores).map(|_| block()).collect() }
    }
    /// Adds `n` on the calling core. Only that core writes its block, so no locked operation is needed.
    #[inline]
    pub fn add(&self, field: usize, n: u64) {
        let block = &self.blocks[core_id::current().min(self.blocks.len() - 1)];
        let cell = &block.0[field];
        cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// Raises a maximum on the calling core.
    #[inline]
    pub fn raise(&self, field: usize, value: u64) {
        let block = &self.blocks[core_id::current().min(self.blocks.len() - 1)];
        if block.0[field].load(Relaxed) < value {
            block.0[field].store(value, Relaxed);
        }
    }
    /// The sum over all cores.
    pub fn sum(&self, field: usize) -> u64 {
        self.blocks.iter().fold(0, |sum, block| sum.wrapping_add(block.0[field].load(Relaxed)))
    }
    /// The highest of all cores.
    pub fn max(&self, field: usize) -> u64 {
        self.blocks.iter().map(|block| block.0[field].load(Relaxed)).max().unwrap_or(0)
    }
    /// Sets a counter to zero on every core (`clear counters`); an event counted meanwhile may survive.
    pub fn clear(&self, field: usize) {
        for block in &self.blocks {
            block.0[field].store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_what_each_thread_added() {
        let counters = std::sync::Arc::new(Counters::<2>::new(4));
        let threads: Vec<_> = (1..=4)
            .map(|core| {
                let counters = counters.clone();
                std::thread::spawn(move || {
                    core_id::set_current(core);
                    for _ in 0..1000 {
                        counters.add(1, 2);
                    }
                    counters.raise(0, core as u64);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((counters.sum(1), counters.max(0)), (8000, 4));
    }
}
