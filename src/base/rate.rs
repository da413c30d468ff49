//! Events per period, measured over a sliding window of one period.
//!
//! Two counters, of the current and of the previous period, estimate the rate without a list of
//! events: the previous one counts for the share of it that the window still covers.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::base::clock::Millis;

/// A rate with one writer at a time; readers may be elsewhere.
///
/// Several writers lose no memory safety, only an event now and then around the turn of a
/// period; where exactness matters, give each core its own and add them.
#[derive(Debug, Default)]
pub struct Rate {
    period_start_s: AtomicU32,
    current: AtomicU32,
    previous: AtomicU32,
    max: AtomicU32,
}

/// The period of the rates in the statistics: one second.
const PERIOD_MS: u64 = 1000;

impl Rate {
    fn turn(&self, now: Millis) {
        let second = (now / PERIOD_MS) as u32;
        let start = self.period_start_s.load(Relaxed);
        if start == second {
            return;
        }
        let last = if second.wrapping_sub(start) == 1 { self.current.load(Relaxed) } else { 0 };
        self.previous.store(last, Relaxed);
        self.current.store(0, Relaxed);
        self.period_start_s.store(second, Relaxed);
    }

    /// Counts `n` events and returns the rate with them.
    pub fn add(&self, now: Millis, n: u32) -> u32 {
        self.turn(now);
        self.current.fetch_add(n, Relaxed);
        let rate = self.read(now);
        if rate > self.max.load(Relaxed) {
            self.max.store(rate, Relaxed);
        }
        rate
    }

    /// Events per second over the last second.
    pub fn read(&self, now: Millis) -> u32 {
        let second = (now / PERIOD_MS) as u32;
        let age = second.wrapping_sub(self.period_start_s.load(Relaxed));
        let (current, previous) = match age {
            0 => (self.current.load(Relaxed), self.previous.load(Relaxed)),
            1 => (0, self.current.load(Relaxed)),
            _ => (0, 0),
        };
        let remaining = PERIOD_MS - now % PERIOD_MS;
        current + (u64::from(previous) * remaining / PERIOD_MS) as u32
    }

    /// The highest rate seen.
    pub fn max(&self) -> u32 {
        self.max.load(Relaxed)
    }

    /// Forgets the highest rate (`clear counters`).
    pub fn clear_max(&self) {
        self.max.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_over_a_sliding_second() {
        let rate = Rate::default();
        for now in 5000..5010 {
            rate.add(now, 1);
        }
        assert_eq!(rate.read(5010), 10);
        assert_eq!(rate.read(6000), 10, "the whole last second is still covered");
        assert_eq!(rate.read(6500), 5, "half of it is");
        assert_eq!(rate.read(8000), 0);
        assert_eq!(rate.max(), 10);
    }
}
