//! What was sent to a name server and what came from it: one row per counter.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter: its place in [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs)]
pub enum Counter {
    Sent,
    SendError,
    Valid,
    Update,
    Cname,
    CnameError,
    AnyError,
    Nx,
    Timeout,
    Refused,
    Other,
    Invalid,
    TooBig,
    Truncated,
    Outdated,
}

/// A row of [`ROWS`].
#[derive(Debug)]
pub struct Row {
    /// The counter.
    pub counter: Counter,
    /// Its name in statistics.
    pub name: &'static str,
    /// Its name in `show resolvers`.
    pub shown: &'static str,
    /// HAProxy's description.
    pub text: &'static str,
}

const fn row(counter: Counter, name: &'static str, shown: &'static str, text: &'static str) -> Row {
    Row { counter, name, shown, text }
}

/// Every counter in the order in which they are shown.
pub const ROWS: &[Row] = &[
    row(Counter::Sent, "sent", "sent", "Sent"),
    row(Counter::SendError, "send_error", "snd_error", "Send error"),
    row(Counter::Valid, "valid", "valid", "Valid"),
    row(Counter::Update, "update", "update", "Update"),
    row(Counter::Cname, "cname", "cname", "CNAME"),
    row(Counter::CnameError, "cname_error", "cname_error", "CNAME error"),
    row(Counter::AnyError, "any_err", "any_err", "Any errors"),
    row(Counter::Nx, "nx", "nx", "NX"),
    row(Counter::Timeout, "timeout", "timeout", "Timeout"),
    row(Counter::Refused, "refused", "refused", "Refused"),
    row(Counter::Other, "other", "other", "Other"),
    row(Counter::Invalid, "invalid", "invalid", "Invalid"),
    row(Counter::TooBig, "too_big", "too_big", "Too big"),
    row(Counter::Truncated, "truncated", "truncated", "Truncated"),
    row(Counter::Outdated, "outdated", "outdated", "Outdated"),
];

/// The counters of a name server; only the control thread adds to them.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; ROWS.len()]);

impl Counters {
    /// Adds one.
    pub fn add(&self, counter: Counter) {
        self.0[counter as usize].fetch_add(1, Relaxed);
    }
    /// Takes one back: what was counted as sent was not.
    pub fn take_back(&self, counter: Counter) {
        let _ = self.0[counter as usize].fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
    }
    /// Its value.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Relaxed)
    }
    /// Goes on where the counters of the same name server stood before a reload.
    pub fn take_over(&self, before: &Counters) {
        for (own, before) in self.0.iter().zip(&before.0) {
            own.fetch_add(before.load(Relaxed), Relaxed);
        }
    }
    /// Sets all to zero.
    pub fn clear(&self) {
        self.0.iter().for_each(|counter| counter.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_counters() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.counter as usize, at, "{}", row.name);
        }
        let counters = Counters::default();
        counters.add(Counter::Outdated);
        counters.take_back(Counter::Sent);
        assert_eq!((counters.get(Counter::Outdated), counters.get(Counter::Sent)), (1, 0));
    }
}
