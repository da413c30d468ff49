//! Entries of stick tables that a session or a transaction tracks (manual, section 4.4,
//! `track-sc0`).
//!
//! A [`Tracker`] is one of them: its table counts a connection while it lives, and takes it back
//! when it is dropped, however that comes about (the end, an abort, a panic). Which events are
//! counted when is decided elsewhere; how an event changes an entry stands here.

use smallvec::SmallVec;

use super::table::{Data, Entry};
use crate::base::clock::{self, Millis};

/// Something that is counted in every tracked entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection passed its first rules and became a session.
    Session,
    /// An HTTP request began, valid or not.
    Request,
    /// An HTTP error that the client caused.
    ClientError,
    /// An HTTP failure of the server.
    ServerFailure,
    /// Bytes from the client.
    BytesIn(u64),
    /// Bytes to the client.
    BytesOut(u64),
}

/// Counts an event in an entry, whose life begins anew if its table stores such events.
pub fn count(entry: &Entry, event: Event, now: Millis) {
    let factor = u64::from(entry.table().settings.brates_factor.max(1));
    let (counter, rate, n, events) = match event {
        Event::Session => (Data::SessCnt, Data::SessRate, 1, 1),
        Event::Request => (Data::HttpReqCnt, Data::HttpReqRate, 1, 1),
        Event::ClientError => (Data::HttpErrCnt, Data::HttpErrRate, 1, 1),
        Event::ServerFailure => (Data::HttpFailCnt, Data::HttpFailRate, 1, 1),
        Event::BytesIn(n) => (Data::BytesInCnt, Data::BytesInRate, n, n.div_ceil(factor)),
        Event::BytesOut(n) => (Data::BytesOutCnt, Data::BytesOutRate, n, n.div_ceil(factor)),
    };
    let stored = entry.with(now, |cells| {
        let counted = cells.add(counter, 0, n).is_some();
        cells.add(rate, 0, events).is_some() || counted
    });
    if stored {
        entry.touch(now);
    }
}

/// An entry that is tracked under a number: `track-sc0` is number 0.
#[derive(Debug)]
struct Tracker {
    number: u8,
    entry: Entry,
}

impl Tracker {
    fn begin(number: u8, entry: Entry, now: Millis) -> Tracker {
        entry.with(now, |cells| {
            for data in [Data::ConnCur, Data::ConnCnt, Data::ConnRate] {
                cells.add(data, 0, 1);
            }
        });
        entry.touch(now);
        Tracker { number, entry }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let now = clock::cached().millis();
        if self.entry.with(now, |cells| cells.take(Data::ConnCur, 0, 1)).is_some() {
            self.entry.touch(now);
        }
    }
}

/// The tracked entries of a session or of a transaction.
#[derive(Debug, Default)]
pub struct Tracked(SmallVec<[Tracker; 3]>);

impl Tracked {
    /// Whether nothing is tracked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The entry tracked under a number.
    pub fn get(&self, number: u8) -> Option<&Entry> {
        self.0.iter().find(|tracker| tracker.number == number).map(|tracker| &tracker.entry)
    }
    /// Tracks an entry under a number, and counts a connection in it. The number must be free.
    pub fn begin(&mut self, number: u8, entry: Entry, now: Millis) {
        debug_assert!(self.get(number).is_none(), "a number is tracked once");
        self.0.push(Tracker::begin(number, entry, now));
    }
    /// Counts an event in all of them.
    pub fn count(&self, event: Event, now: Millis) {
        for tracker in &self.0 {
            count(&tracker.entry, event, now);
        }
    }
}

/// Tables for tests.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;

    use crate::state::Table;
    use crate::state::table::data::Shape;
    use crate::state::table::testing::settings;
    use crate::state::table::{Data, KeyType, Settings, Stored};

    /// A table that stores these data: rates over 10 seconds, arrays of three.
    pub(crate) fn table(name: &str, key: KeyType, stored: &str) -> Arc<Table> {
        let stored = stored.split(' ').filter(|name| !name.is_empty()).map(|name| {
            let data = *Data::ALL.iter().find(|data| data.name() == name).expect("a datum");
            let count = if data.is_array() { 3 } else { 1 };
            let period_ms = if data.shape() == Shape::Rate { 10_000 } else { 0 };
            Stored { data, count, period_ms }
        });
        let stored: Vec<_> = stored.collect();
        let settings = Settings { expire_ms: Some(60_000), ..settings(key, 100, &stored) };
        Table::new(name, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::table;
    use super::*;
    use crate::state::table::KeyType;

    #[test]
    fn a_connection_is_counted_while_its_tracker_lives() {
        let table =
            table("t", KeyType::Ip, "conn_cur conn_cnt conn_rate http_req_cnt bytes_in_cnt bytes_in_rate");
        let entry = table.find_or_create(b"\x7f\0\0\x01", 5_000).unwrap();
        let read = |data| entry.get(data, 0, 5_000).unwrap();
        let mut tracked = Tracked::default();
        assert!(tracked.is_empty() && tracked.get(1).is_none());
        tracked.begin(1, entry.clone(), 5_000);
        assert_eq!(tracked.get(1), Some(&entry));
        assert_eq!([Data::ConnCur, Data::ConnCnt, Data::ConnRate].map(read), [1, 1, 1]);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut other = Tracked::default();
            other.begin(0, entry.clone(), 5_000);
            assert_eq!(read(Data::ConnCur), 2);
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_eq!([Data::ConnCur, Data::ConnCnt].map(read), [1, 2]);
        for event in [Event::Request, Event::ClientError, Event::BytesIn(1500), Event::BytesOut(9)] {
            tracked.count(event, 5_000);
        }
        assert_eq!([Data::HttpReqCnt, Data::BytesInCnt, Data::BytesInRate].map(read), [1, 1500, 1500]);
        drop(tracked);
        assert_eq!([Data::ConnCur, Data::ConnCnt].map(read), [0, 2]);
    }

    #[test]
    fn rates_of_bytes_count_in_units_of_the_factor() {
        let mut settings = table("t", KeyType::Ip, "bytes_out_rate").settings.clone();
        settings.brates_factor = 1024;
        let table = crate::state::Table::new("t", settings);
        let entry = table.find_or_create(b"\x7f\0\0\x01", 0).unwrap();
        count(&entry, Event::BytesOut(1025), 0);
        assert_eq!(entry.get(Data::BytesOutRate, 0, 0), Some(2), "rounded up");
    }
}
