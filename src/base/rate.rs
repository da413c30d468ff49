//! Events per period, measured over a sliding window of one period.
//!
//! Two counters, of the current and of the previous period, estimate the rate without a list of
//! events: the previous one counts for the share of it that the window still covers.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

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

/// Width of a bucket of [`Window`].
const BUCKET_MS: u64 = 8;
/// Buckets of a second, and the one that fills: what happened at any time of the last second is in them.
const BUCKETS: usize = (PERIOD_MS / BUCKET_MS) as usize + 1;
const _: () = assert!(PERIOD_MS.is_multiple_of(BUCKET_MS));

/// A limit of events per second, checked and counted in one step and exact across threads: in no second do
/// more than the limit pass.
///
/// A lock and not atomics: it is taken for a few instructions, and only where a limit is set.
#[derive(Debug)]
pub struct Window(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    counts: [u32; BUCKETS],
    sum: u32,
    /// The number of the bucket that fills, counted from the clock's zero.
    newest: u64,
}

impl Default for Window {
    fn default() -> Self {
        Window(Mutex::new(Buckets { counts: [0; BUCKETS], sum: 0, newest: 0 }))
    }
}

impl Buckets {
    fn turn(&mut self, now: Millis) {
        let bucket = now / BUCKET_MS;
        for step in (self.newest + 1..=bucket).take(BUCKETS) {
            self.sum -= std::mem::take(&mut self.counts[step as usize % BUCKETS]);
        }
        self.newest = self.newest.max(bucket);
    }
}

impl Window {
    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    /// Counts an event if fewer than `limit` happened within the last second.
    ///
    /// # Errors
    /// The milliseconds after which the next one may happen.
    pub fn take(&self, now: Millis, limit: u32) -> Result<(), Millis> {
        let mut buckets = self.buckets();
        buckets.turn(now);
        let newest = buckets.newest;
        if buckets.sum < limit {
            buckets.counts[newest as usize % BUCKETS] += 1;
            buckets.sum += 1;
            return Ok(());
        }
        let full = |bucket: &u64| buckets.counts[*bucket as usize % BUCKETS] > 0;
        let oldest = (newest.saturating_sub(BUCKETS as u64 - 1)..=newest).find(full).unwrap_or(newest);
        Err(((oldest + BUCKETS as u64) * BUCKET_MS).saturating_sub(now).max(1))
    }
    /// Takes back an event that was counted at `then`: it came to nothing.
    pub fn give_back(&self, then: Millis) {
        let mut buckets = self.buckets();
        let bucket = then / BUCKET_MS;
        let place = bucket as usize % BUCKETS;
        if bucket + BUCKETS as u64 > buckets.newest && buckets.counts[place] > 0 {
            buckets.counts[place] -= 1;
            buckets.sum -= 1;
        }
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

    #[test]
    fn no_second_sees_more_than_the_limit() {
        for limit in [1, 10, 300] {
            let window = Window::default();
            // Tries at every millisecond, several at once.
            let mut passed = Vec::new();
            let mut now = 70_003;
            while now < 76_000 {
                match window.take(now, limit) {
                    Ok(()) => passed.push(now),
                    Err(delay) => {
                        assert!(delay <= 1008, "{delay}");
                        assert!(window.take(now, limit).is_err());
                        now += delay.min(7);
                    }
                }
            }
            for (first, later) in passed.iter().zip(passed.iter().skip(limit as usize)) {
                assert!(later - first >= 1000, "{limit}: {first} and {later}");
            }
            assert!(passed.len() >= 5 * limit as usize, "{limit}: {}", passed.len());
        }
    }

    #[test]
    fn the_delay_is_exact_and_what_came_to_nothing_does_not_count() {
        let window = Window::default();
        assert_eq!(window.take(80_000, 2), Ok(()));
        assert_eq!(window.take(80_500, 2), Ok(()));
        let delay = window.take(80_600, 2).unwrap_err();
        assert!(window.take(80_600 + delay - 1, 2).is_err() && window.take(80_600 + delay, 2).is_ok());
        window.give_back(80_600 + delay);
        assert!(window.take(80_600 + delay, 2).is_ok());
        window.give_back(1); // long ago
        assert!(window.take(80_600 + delay, 2).is_err());
    }

    #[test]
    fn the_limit_is_exact_across_threads() {
        let window = Window::default();
        let passed = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        passed.fetch_add(u32::from(window.take(90_000, 100).is_ok()), Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.load(Relaxed), 100);
    }
}
