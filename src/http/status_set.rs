//! Sets of status codes: which count as errors of clients and as failures of servers (manual,
//! section 3.1, `http-err-codes` and `http-fail-codes`).

/// The lowest status that a set can hold.
const LOWEST: u16 = 100;
/// The highest.
const HIGHEST: u16 = 599;

/// A set of status codes from 100 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    /// No status.
    pub const fn new() -> StatusSet {
        StatusSet([0; 8])
    }
    /// The statuses from `first` to `last`.
    const fn range(first: u16, last: u16) -> StatusSet {
        let mut set = StatusSet::new();
        let mut status = first;
        while status <= last {
            let at = (status - LOWEST) as usize;
            set.0[at / 64] |= 1 << (at % 64);
            status += 1;
        }
        set
    }
    /// Without the statuses of another set.
    const fn without(mut self, other: StatusSet) -> StatusSet {
        let mut at = 0;
        while at < self.0.len() {
            self.0[at] &= !other.0[at];
            at += 1;
        }
        self
    }
    /// Whether it holds a status.
    pub const fn contains(&self, status: u16) -> bool {
        if status < LOWEST || status > HIGHEST {
            return false;
        }
        let at = (status - LOWEST) as usize;
        self.0[at / 64] & 1 << (at % 64) != 0
    }
    /// Changes it as a word of the configuration says: `400,402-444` is all there is from now on,
    /// `+500` adds, `-450` removes. An error says what is wrong with the word.
    pub fn change(&mut self, word: &str) -> Result<(), String> {
        let (sign, ranges) = match word.as_bytes().first() {
            Some(sign @ (b'+' | b'-')) => (Some(*sign), &word[1..]),
            _ => (None, word),
        };
        let mut named = StatusSet::new();
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let status = |text: &str| {
                text.parse()
                    .ok()
                    .filter(|status| (LOWEST..=HIGHEST).contains(status))
                    .ok_or_else(|| format!("'{text}' in '{word}' is not a status from {LOWEST} to {HIGHEST}"))
            };
            let (first, last) = (status(first)?, status(last)?);
            if last < first {
                return Err(format!("'{range}' in '{word}' ends before it begins"));
            }
            let range = StatusSet::range(first, last);
            named.0.iter_mut().zip(range.0).for_each(|(all, one)| *all |= one);
        }
        match sign {
            None => *self = named,
            Some(b'-') => *self = self.without(named),
            Some(_) => self.0.iter_mut().zip(named.0).for_each(|(all, one)| *all |= one),
        }
        Ok(())
    }
}

impl Default for StatusSet {
    fn default() -> Self {
        StatusSet::new()
    }
}

/// The statuses that stick tables count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedStatuses {
    /// Errors of clients: `http_err_cnt`.
    pub errors: StatusSet,
    /// Failures of servers: `http_fail_cnt`.
    pub failures: StatusSet,
}

impl Default for CountedStatuses {
    fn default() -> Self {
        // A client can provoke 501 and 505.
        let provoked = [StatusSet::range(501, 501), StatusSet::range(505, 505)];
        CountedStatuses {
            errors: StatusSet::range(400, 499),
            failures: StatusSet::range(500, 599).without(provoked[0]).without(provoked[1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], inside: &[u16], outside: &[u16]) {
        let mut set = CountedStatuses::default().errors;
        for word in words {
            set.change(word).unwrap();
        }
        for status in inside {
            assert!(set.contains(*status), "{words:?}: {status}");
        }
        for status in outside {
            assert!(!set.contains(*status), "{words:?}: {status}");
        }
    }

    #[test]
    fn words_replace_extend_and_reduce() {
        check(&[], &[400, 404, 499], &[0, 99, 399, 500, 600]);
        check(&["400,402-444,446"], &[400, 402, 444, 446], &[401, 445, 447]);
        check(&["400-499", "-450", "+500"], &[449, 451, 500], &[450, 501]);
        check(&["-450-459"], &[449, 460], &[450, 459]);
        check(&["+501,505"], &[404, 501, 505], &[502]);
        let failures = CountedStatuses::default().failures;
        assert_eq!([500, 501, 502, 505, 599].map(|s| failures.contains(s)), [true, false, true, false, true]);
        for wrong in ["", "+", "99", "600", "410-400", "4xx", "400,,401"] {
            assert!(StatusSet::new().change(wrong).is_err(), "{wrong}");
        }
    }
}
