//! Latencies counted in buckets whose width grows with the value, as HdrHistogram does: 128 buckets for each
//! power of two, so that a percentile is exact to less than one percent from nanoseconds to minutes.

/// Buckets for each power of two.
const STEPS: u64 = 128;

/// How often each latency was seen.
#[derive(Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// The bucket of a value.
fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let shift = value.ilog2() - STEPS.ilog2();
    (u64::from(shift + 1) * STEPS + ((value >> shift) - STEPS)) as usize
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((bucket % STEPS + STEPS + 1) << shift) - 1
}

impl Histogram {
    /// Counts a value.
    pub fn add(&mut self, value: u64) {
        let at = bucket(value);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// The value that `share` (0 to 1) of all values do not pass; 0 without any.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest(at).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_bucket_and_buckets_are_narrow() {
        for value in
            (0..70_000).chain((1..40).flat_map(|power| [(1u64 << power) - 1, 1 << power, 3 << power]))
        {
            let top = highest(bucket(value));
            assert!(top >= value && top - value <= value / STEPS, "{value}: {top}");
            assert!(bucket(value) == 0 || highest(bucket(value) - 1) < value, "{value}");
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in 1..=100 {
            histogram.add(value);
        }
        for (share, expected) in [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)] {
            assert_eq!(histogram.quantile(share), expected, "{share}");
        }
    }
}
