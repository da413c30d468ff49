//! What a stick table stores beside its keys (manual, section 11.1, `store`), and the words it
//! takes.
//!
//! A counter is one word or two, a rate three: the period's start, the events of the current
//! period and of the one before (see [`crate::base::rate`]); arrays repeat that.

use crate::base::clock::Millis;

/// The most elements of an array (manual, section 11.1).
pub const ARRAY_MAX: u16 = 100;

/// The shape of a datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One word.
    Counter,
    /// Two words, low one first.
    Wide,
    /// Three words.
    Rate,
}

/// Declares the data in their order.
macro_rules! data {
    ($($kind:ident $name:literal $shape:ident $array:literal $doc:literal;)*) => {
        /// A datum of an entry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Data {
            $(#[doc = $doc] $kind,)*
        }
        impl Data {
            /// Every datum, in order.
            pub const ALL: &[Data] = &[$(Data::$kind),*];
            /// Its name after `store`.
            pub fn name(self) -> &'static str {
                match self { $(Data::$kind => $name,)* }
            }
            /// The one called so.
            pub fn named(name: &str) -> Option<Data> {
                match name {
                    $($name => Some(Data::$kind),)*
                    // As it was called at first.
                    "server_name" => Some(Data::ServerKey),
                    _ => None,
                }
            }
            /// Its shape.
            pub fn shape(self) -> Shape {
                match self { $(Data::$kind => Shape::$shape,)* }
            }
            /// Whether it is an array: `gpc(n)`.
            pub fn is_array(self) -> bool {
                match self { $(Data::$kind => $array,)* }
            }
            /// What it is.
            pub fn doc(self) -> &'static str {
                match self { $(Data::$kind => $doc,)* }
            }
        }
    };
}

data! {
    ServerId "server_id" Counter false "The number of the server that 'stick' rules remember.";
    Gpt0 "gpt0" Counter false "A tag.";
    Gpc0 "gpc0" Counter false "A general purpose counter.";
    Gpc0Rate "gpc0_rate" Rate false "The rate at which gpc0 grows.";
    ConnCnt "conn_cnt" Counter false "Connections accepted.";
    ConnRate "conn_rate" Rate false "Connections accepted per period.";
    ConnCur "conn_cur" Counter false "Connections now.";
    SessCnt "sess_cnt" Counter false "Sessions accepted.";
    SessRate "sess_rate" Rate false "Sessions accepted per period.";
    HttpReqCnt "http_req_cnt" Counter false "HTTP requests.";
    HttpReqRate "http_req_rate" Rate false "HTTP requests per period.";
    HttpErrCnt "http_err_cnt" Counter false "HTTP errors of the client (4xx).";
    HttpErrRate "http_err_rate" Rate false "HTTP errors of the client per period.";
    BytesInCnt "bytes_in_cnt" Wide false "Bytes from the client.";
    BytesInRate "bytes_in_rate" Rate false "Bytes from the client per period.";
    BytesOutCnt "bytes_out_cnt" Wide false "Bytes to the client.";
    BytesOutRate "bytes_out_rate" Rate false "Bytes to the client per period.";
    Gpc1 "gpc1" Counter false "A second general purpose counter.";
    Gpc1Rate "gpc1_rate" Rate false "The rate at which gpc1 grows.";
    ServerKey "server_key" Counter false "The key of the server that 'stick' rules remember: a number given to its text.";
    HttpFailCnt "http_fail_cnt" Counter false "HTTP failures of the server (5xx but 501 and 505).";
    HttpFailRate "http_fail_rate" Rate false "HTTP failures of the server per period.";
    Gpt "gpt" Counter true "An array of tags.";
    Gpc "gpc" Counter true "An array of general purpose counters.";
    GpcRate "gpc_rate" Rate true "The rates at which the counters of the array grow.";
    GlitchCnt "glitch_cnt" Counter false "Glitches of the front connection.";
    GlitchRate "glitch_rate" Rate false "Glitches of the front connection per period.";
}

/// A datum that a table stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which.
    pub data: Data,
    /// Elements of an array; 1 otherwise.
    pub count: u16,
    /// The period of a rate, in milliseconds; 0 otherwise.
    pub period_ms: u32,
}

impl Stored {
    fn words_each(&self) -> usize {
        match self.data.shape() {
            Shape::Counter => 1,
            Shape::Wide => 2,
            Shape::Rate => 3,
        }
    }
}

/// How many words the data of an entry take.
pub fn words_of(stored: &[Stored]) -> usize {
    stored.iter().map(|stored| stored.words_each() * usize::from(stored.count)).sum()
}

/// The data of one entry, under its lock.
pub struct Cells<'a> {
    stored: &'a [Stored],
    words: &'a mut [u32],
    now: Millis,
}

impl<'a> Cells<'a> {
    pub(super) fn new(stored: &'a [Stored], words: &'a mut [u32], now: Millis) -> Cells<'a> {
        Cells { stored, words, now }
    }
    fn place(&self, data: Data, index: usize) -> Option<(Stored, usize)> {
        let mut at = 0;
        for stored in self.stored {
            if stored.data == data {
                return (index < usize::from(stored.count))
                    .then(|| (*stored, at + index * stored.words_each()));
            }
            at += stored.words_each() * usize::from(stored.count);
        }
        None
    }
    /// A counter's value or a rate's events per period.
    pub fn get(&self, data: Data, index: usize) -> Option<u64> {
        let (stored, at) = self.place(data, index)?;
        Some(match data.shape() {
            Shape::Counter => self.words[at].into(),
            Shape::Wide => u64::from(self.words[at]) | u64::from(self.words[at + 1]) << 32,
            Shape::Rate => rate_of(&self.words[at..at + 3], stored.period_ms, self.now as u32).into(),
        })
    }
    /// Gives a counter a value; a rate is given that many events in its current period.
    pub fn set(&mut self, data: Data, index: usize, value: u64) -> Option<()> {
        let (_, at) = self.place(data, index)?;
        match data.shape() {
            Shape::Counter => self.words[at] = value.min(u32::MAX.into()) as u32,
            Shape::Wide => {
                self.words[at] = value as u32;
                self.words[at + 1] = (value >> 32) as u32;
            }
            Shape::Rate => {
                self.words[at] = self.now as u32;
                self.words[at + 1] = value.min(u32::MAX.into()) as u32;
                self.words[at + 2] = 0;
            }
        }
        Some(())
    }
    /// Adds to a counter or counts events; the new value.
    pub fn add(&mut self, data: Data, index: usize, n: u64) -> Option<u64> {
        let (stored, at) = self.place(data, index)?;
        if data.shape() == Shape::Rate {
            let words = &mut self.words[at..at + 3];
            turn(words, stored.period_ms, self.now as u32);
            words[1] = words[1].saturating_add(n.min(u32::MAX.into()) as u32);
            return Some(rate_of(words, stored.period_ms, self.now as u32).into());
        }
        let old = self.get(data, index)?;
        let new = match data.shape() {
            Shape::Counter => u64::from((old as u32).saturating_add(n.min(u32::MAX.into()) as u32)),
            _ => old.wrapping_add(n),
        };
        self.set(data, index, new)?;
        Some(new)
    }
    /// Takes from a counter, not below 0 (`conn_cur`).
    pub fn take(&mut self, data: Data, index: usize, n: u64) -> Option<u64> {
        let new = self.get(data, index)?.saturating_sub(n);
        self.set(data, index, new)?;
        Some(new)
    }
}

/// Begins the period that `now` lies in.
fn turn(words: &mut [u32], period_ms: u32, now: u32) {
    let age = now.wrapping_sub(words[0]);
    if age < period_ms {
        return;
    }
    // One period later the current one is the last one; later than that nothing is left of it.
    words[2] = if age < period_ms.saturating_mul(2) { words[1] } else { 0 };
    words[1] = 0;
    words[0] = if age < period_ms.saturating_mul(2) { words[0].wrapping_add(period_ms) } else { now };
}

/// Events over the last period.
fn rate_of(words: &[u32], period_ms: u32, now: u32) -> u32 {
    let mut turned = [words[0], words[1], words[2]];
    turn(&mut turned, period_ms, now);
    let remaining = period_ms - now.wrapping_sub(turned[0]).min(period_ms);
    let last = u64::from(turned[2]) * u64::from(remaining) / u64::from(period_ms.max(1));
    turned[1].saturating_add(last as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_rates_share_an_entry() {
        let stored = [
            Stored { data: Data::ConnCur, count: 1, period_ms: 0 },
            Stored { data: Data::HttpReqRate, count: 1, period_ms: 10_000 },
            Stored { data: Data::BytesInCnt, count: 1, period_ms: 0 },
            Stored { data: Data::Gpc, count: 3, period_ms: 0 },
        ];
        let mut words = vec![0; words_of(&stored)];
        let mut cells = Cells::new(&stored, &mut words, 1_000_000);
        assert_eq!(cells.add(Data::HttpReqRate, 0, 10), Some(10));
        assert_eq!(cells.add(Data::BytesInCnt, 0, 1 << 40), Some(1 << 40));
        assert_eq!(cells.add(Data::Gpc, 2, 7), Some(7));
        assert_eq!(cells.add(Data::Gpc, 3, 7), None);
        assert_eq!(cells.take(Data::ConnCur, 0, 1), Some(0));
        let cells = Cells::new(&stored, &mut words, 1_015_000);
        assert_eq!(cells.get(Data::HttpReqRate, 0), Some(5), "half of the last period is still covered");
        let cells = Cells::new(&stored, &mut words, 1_030_000);
        assert_eq!(cells.get(Data::HttpReqRate, 0), Some(0));
    }
}
