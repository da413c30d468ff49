//! Numbers of questions that cannot be foreseen.

use std::hash::{BuildHasher, RandomState};

/// A keyed hash of a counter: the key is the system's randomness, so that an attacker that has seen earlier numbers
/// does not know the next one (RFC 5452 section 4.3).
#[derive(Debug, Default)]
pub(super) struct Ids {
    key: RandomState,
    count: u64,
}

impl Ids {
    /// The next number.
    pub(super) fn next(&mut self) -> u16 {
        self.count += 1;
        self.key.hash_one(self.count) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_from_process_to_process_and_cover_the_range() {
        let mut one = Ids::default();
        let mut other = Ids::default();
        let drawn: Vec<u16> = (0..1000).map(|_| one.next()).collect();
        assert!(drawn.iter().any(|id| *id != other.next()));
        let high = drawn.iter().filter(|id| **id >= 0x8000).count();
        assert!((400..600).contains(&high), "{high} of 1000 in the upper half");
    }
}
