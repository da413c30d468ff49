//! Faults on order: panics in chosen places, so that tests and operators see what one costs.
//!
//! `debug dev panic` arms one fault for the whole process; the first connection (or thread) that comes to
//! the named place takes it. Looking costs one load of a value that nobody writes.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A place where a fault can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Point {
    /// A request's head has been read.
    Request = 1,
    /// A connection to the server stands and its slot is held.
    Connect,
    /// The head of a response has been read.
    Response,
    /// A TCP session is about to carry bytes.
    Tunnel,
    /// The data thread itself, outside of any connection.
    Thread,
}

/// Names of the places, as `debug dev panic` takes them.
pub const POINTS: [(&str, Point); 5] = [
    ("request", Point::Request),
    ("connect", Point::Connect),
    ("response", Point::Response),
    ("tunnel", Point::Tunnel),
    ("thread", Point::Thread),
];

/// The fault that is ordered, if any; shared by all data threads.
#[derive(Debug, Default)]
pub struct Fault(AtomicU8);

impl Fault {
    /// Orders one; it replaces one that nobody has met yet.
    pub fn order(&self, point: Point) {
        self.0.store(point as u8, Relaxed);
    }
    /// Panics if a fault is ordered for this place; whoever comes first takes it.
    #[inline]
    pub fn strike(&self, point: Point) {
        if self.0.load(Relaxed) == point as u8 {
            self.take(point);
        }
    }
    #[cold]
    fn take(&self, point: Point) {
        if self.0.compare_exchange(point as u8, 0, Relaxed, Relaxed).is_ok() {
            panic!("ordered by 'debug dev panic' at {point:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn strikes_once_and_only_where_it_was_ordered() {
        let fault = Fault::default();
        let struck = |point| catch_unwind(AssertUnwindSafe(|| fault.strike(point))).is_err();
        for (_, point) in POINTS {
            assert!(!struck(point), "nothing is ordered");
        }
        for (_, point) in POINTS {
            fault.order(point);
            for (_, other) in POINTS.iter().filter(|(_, other)| *other != point) {
                assert!(!struck(*other), "{other:?} for {point:?}");
            }
            assert!(struck(point) && !struck(point));
        }
    }
}
