//! Stick tables: what is remembered of a key (an address, a cookie) between sessions (manual,
//! section 11.1).
//!
//! A [`Table`] is spread over shards, each behind a short lock: an update is a few words, so that
//! counters (`gpc0`, `conn_cur`) are exact however many cores write. An [`Entry`] is a place in a
//! table that its holder has pinned: it is neither expired nor evicted before it is dropped.
//!
//! What holds across cores: there are never more than `size` entries, and all of `size` can be
//! used. When a table is full, the entry that goes is the oldest one that no session holds; in a table
//! of more than 8191 entries, the oldest one of a shard.
//!
//! Keys are bytes here; `sample` turns values into them.

pub mod data;
mod shard;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use crossbeam_utils::CachePadded;
use smallvec::SmallVec;

pub use data::{Cells, Data, Stored};
use shard::{CHUNK_ROWS, Layout, Shard};

use crate::base::clock::Millis;

/// A key in its stored form: 4 or 16 bytes of an address, 4 of an integer (big endian), or text
/// and bytes cut to the table's length.
pub type Key = SmallVec<[u8; 24]>;

/// What a table's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// IPv4 addresses.
    Ip,
    /// IPv6 addresses.
    Ipv6,
    /// 32-bit integers.
    Integer,
    /// Texts of at most so many bytes.
    String(usize),
    /// Exactly so many bytes: longer keys are cut, shorter ones filled with zeros.
    Binary(usize),
}

impl KeyType {
    /// Its name after `type`, as the runtime API shows it.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Ip => "ip",
            KeyType::Ipv6 => "ipv6",
            KeyType::Integer => "integer",
            KeyType::String(_) => "string",
            KeyType::Binary(_) => "binary",
        }
    }
    /// The most bytes of a key.
    pub fn size(self) -> usize {
        match self {
            KeyType::Ip | KeyType::Integer => 4,
            KeyType::Ipv6 => 16,
            KeyType::String(len) | KeyType::Binary(len) => len,
        }
    }
}

/// How `stick` rules remember a server (`srvkey`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerKeyType {
    /// By its name.
    #[default]
    Name,
    /// By its address and port.
    Address,
}

/// What a `stick-table` line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `type`
    pub key: KeyType,
    /// `size`: the most entries.
    pub size: usize,
    /// `expire`, in milliseconds.
    pub expire_ms: Option<u64>,
    /// `nopurge`: a full table takes no new key rather than forgetting an old one.
    pub nopurge: bool,
    /// `store`, in the order of [`Data`].
    pub stored: Vec<Stored>,
    /// `srvkey`
    pub server_key: ServerKeyType,
    /// `write-to`: the table that copies go to.
    pub write_to: Option<Box<str>>,
    /// `brates-factor`: bytes that the rates of bytes count as one.
    pub brates_factor: u32,
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Its name: its proxy's, or `peers/name`.
    pub name: Box<str>,
    /// What its line says.
    pub settings: Settings,
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    /// Entries in all shards, and those about to be made.
    used: AtomicUsize,
    seed: RandomState,
    names: RwLock<Names>,
}

/// Texts of `server_key`, numbered from 1; they are the servers of a backend, so they are few.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

/// A key in the words of a row.
type KeyWords = SmallVec<[u32; 12]>;

/// Entries of a shard at least: in smaller tables the oldest one of all is what goes when one must.
const SHARD_ENTRIES_MIN: usize = 4096;
/// Shards of the largest tables: more than cores that meet in one lock often.
const SHARDS_MAX: usize = 64;
/// Expired entries that making a new one forgets on the way: more than one, so that they become fewer.
const EXPIRED_PER_NEW: usize = 2;
/// Entries that a walk of a table looks at under one lock.
const WALK_BATCH: u32 = 64;

/// Where a walk over a table is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    shard: usize,
    row: u32,
}

impl Table {
    /// An empty one.
    pub fn new(name: &str, settings: Settings) -> Arc<Table> {
        let key = match settings.key {
            // The length stands before the text.
            KeyType::String(len) => 1 + len.div_ceil(4),
            other => other.size().div_ceil(4),
        };
        let layout = Layout {
            key,
            data: data::words_of(&settings.stored),
            chunk_rows: settings.size.clamp(1, CHUNK_ROWS),
            life_ms: settings.expire_ms.map(|ms| ms.min(i32::MAX as u64) as u32),
        };
        let shards = (settings.size / SHARD_ENTRIES_MIN).clamp(1, SHARDS_MAX);
        let shards = 1 << shards.ilog2();
        Arc::new(Table {
            name: name.into(),
            settings,
            shards: (0..shards).map(|_| CachePadded::new(Mutex::new(Shard::new(layout)))).collect(),
            used: AtomicUsize::new(0),
            seed: RandomState::new(),
            names: RwLock::default(),
        })
    }
    /// Whether it stores this.
    pub fn stores(&self, data: Data) -> bool {
        self.settings.stored.iter().any(|stored| stored.data == data)
    }
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    fn hash(&self, key: &[u32]) -> u64 {
        self.seed.hash_one(key)
    }
    /// The shard of a hash: by its upper half, since the lower one chooses the slot within the shard.
    fn shard_of(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.shards.len() - 1)
    }
    fn words(&self, key: &[u8]) -> KeyWords {
        let size = self.settings.key.size();
        let key = &key[..key.len().min(size)];
        let mut words = KeyWords::new();
        if let KeyType::String(_) = self.settings.key {
            words.push(key.len() as u32);
        }
        for at in (0..size).step_by(4) {
            let mut word = [0; 4];
            let part = &key[at.min(key.len())..(at + 4).min(key.len())];
            word[..part.len()].copy_from_slice(part);
            words.push(u32::from_be_bytes(word));
        }
        words
    }
    fn key_of(&self, words: &[u32]) -> Key {
        let (len, words) = match self.settings.key {
            KeyType::String(_) => (words[0] as usize, &words[1..]),
            other => (other.size(), words),
        };
        let mut key: Key = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        key.truncate(len);
        key
    }
    /// How many entries there are; those that expired and were not swept yet among them.
    pub fn len(&self) -> usize {
        (0..self.shards.len()).map(|at| self.lock(at).len()).sum()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes that it takes.
    pub fn memory(&self) -> usize {
        std::mem::size_of::<Table>()
            + (0..self.shards.len()).map(|at| 128 + self.lock(at).memory()).sum::<usize>()
    }

    /// Reads and changes the data of a key without making it, under one lock. Does not lengthen its life.
    pub fn with<T>(&self, key: &[u8], now: Millis, change: impl FnOnce(&mut Cells<'_>) -> T) -> Option<T> {
        let words = self.words(key);
        let hash = self.hash(&words);
        let mut shard = self.lock(self.shard_of(hash));
        let row = shard.find(&words, hash, now)?;
        Some(change(&mut Cells::new(&self.settings.stored, shard.data(row), now)))
    }
    /// As [`Table::with`], but the entry is made if it is new and its life begins anew; `None` if the
    /// table is full and nothing can be forgotten.
    pub fn update<T>(&self, key: &[u8], now: Millis, change: impl FnOnce(&mut Cells<'_>) -> T) -> Option<T> {
        let (_, mut shard, row) = self.place(key, now)?;
        Some(change(&mut Cells::new(&self.settings.stored, shard.data(row), now)))
    }
    /// The entry of a key, pinned. Does not lengthen its life: [`Entry::touch`] does.
    pub fn find(self: &Arc<Self>, key: &[u8], now: Millis) -> Option<Entry> {
        let words = self.words(key);
        let hash = self.hash(&words);
        let at = self.shard_of(hash);
        let mut shard = self.lock(at);
        let row = shard.find(&words, hash, now)?;
        shard.hold(row);
        Some(Entry { table: self.clone(), shard: at as u32, row })
    }
    /// The entry of a key, pinned and made if it is new, its life begun anew; `None` if the table
    /// is full and nothing can be forgotten.
    pub fn find_or_create(self: &Arc<Self>, key: &[u8], now: Millis) -> Option<Entry> {
        let (at, mut shard, row) = self.place(key, now)?;
        shard.hold(row);
        Some(Entry { table: self.clone(), shard: at as u32, row })
    }

    /// The row of a key, found or made, its life begun anew, and the lock that guards it.
    fn place(&self, key: &[u8], now: Millis) -> Option<(usize, MutexGuard<'_, Shard>, u32)> {
        let words = self.words(key);
        let hash = self.hash(&words);
        let at = self.shard_of(hash);
        let mut shard = self.lock(at);
        if let Some(row) = shard.renew(&words, hash, now) {
            return Some((at, shard, row));
        }
        for _ in 0..EXPIRED_PER_NEW {
            if shard.evict(now, false, |key| self.hash(key)) {
                self.used.fetch_sub(1, Relaxed);
            }
        }
        // An evicted row leaves its place to the new one: `used` does not change.
        if !self.reserve() && !shard.evict(now, !self.settings.nopurge, |key| self.hash(key)) {
            // Nothing can go here; another shard may give a place. Never two locks at once.
            drop(shard);
            let mut others = (0..self.shards.len()).filter(|other| *other != at);
            if !others.any(|other| self.lock(other).evict(now, !self.settings.nopurge, |key| self.hash(key)))
            {
                return None;
            }
            shard = self.lock(at);
            if let Some(row) = shard.renew(&words, hash, now) {
                self.used.fetch_sub(1, Relaxed);
                return Some((at, shard, row));
            }
        }
        let row = shard.insert(&words, hash, now, |key| self.hash(key));
        Some((at, shard, row))
    }
    /// Takes a place of `size`, if one is left.
    fn reserve(&self) -> bool {
        let more = |used| (used < self.settings.size).then_some(used + 1);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Forgets entries whose life is over. To be called every now and then; entries that are over are not
    /// found before either, but take their place.
    pub fn sweep(&self, now: Millis) {
        if self.settings.expire_ms.is_none() {
            return;
        }
        for at in 0..self.shards.len() {
            loop {
                let mut shard = self.lock(at);
                let gone =
                    (0..WALK_BATCH).take_while(|_| shard.evict(now, false, |key| self.hash(key))).count();
                self.used.fetch_sub(gone, Relaxed);
                if gone < WALK_BATCH as usize {
                    break;
                }
            }
        }
    }
    /// Shows some entries in turn, those behind `cursor`, and moves it on; false behind the last one. Others may
    /// change the table meanwhile: what is there from beginning to end is shown once.
    pub fn each(&self, cursor: &mut Cursor, now: Millis, mut show: impl FnMut(&mut Shown<'_>)) -> bool {
        self.walk(cursor, now, |shown| {
            show(shown);
            false
        })
    }
    /// Shows every entry.
    #[cfg(test)]
    fn every(&self, now: Millis, mut show: impl FnMut(&mut Shown<'_>)) {
        let mut cursor = Cursor::default();
        while self.each(&mut cursor, now, &mut show) {}
    }
    /// Forgets the entries that no session holds and that `wanted` chooses.
    pub fn remove_where(&self, now: Millis, mut wanted: impl FnMut(&mut Shown<'_>) -> bool) {
        let mut cursor = Cursor::default();
        while self.walk(&mut cursor, now, &mut wanted) {}
    }
    fn walk(&self, cursor: &mut Cursor, now: Millis, mut goes: impl FnMut(&mut Shown<'_>) -> bool) -> bool {
        if cursor.shard >= self.shards.len() {
            return false;
        }
        let mut shard = self.lock(cursor.shard);
        let end = shard.rows().min(cursor.row + WALK_BATCH);
        for row in cursor.row..end {
            // Emptied, it gave its rows back.
            if !shard.is_used(row) || shard.is_past(row, now) {
                continue;
            }
            if goes(&mut self.shown(&mut shard, cursor.shard, row, now)) {
                self.remove_row(&mut shard, row);
            }
        }
        *cursor = match end >= shard.rows() {
            true => Cursor { shard: cursor.shard + 1, row: 0 },
            false => Cursor { row: end, ..*cursor },
        };
        true
    }
    fn shown<'s>(&'s self, shard: &'s mut Shard, at: usize, row: u32, now: Millis) -> Shown<'s> {
        Shown {
            // Never 0, which reads as nothing.
            id: (u64::from(row) + 1) << 16 | at as u64,
            key: self.key_of(shard.key(row)),
            references: shard.references(row),
            remaining_ms: shard.remaining_ms(row, now),
            cells: Cells::new(&self.settings.stored, shard.data(row), now),
        }
    }
    /// Forgets the entry of a key.
    pub fn remove(&self, key: &[u8], now: Millis) -> Removal {
        let words = self.words(key);
        let hash = self.hash(&words);
        let mut shard = self.lock(self.shard_of(hash));
        match shard.find(&words, hash, now) {
            Some(row) => self.remove_row(&mut shard, row),
            None => Removal::Absent,
        }
    }
    /// Forgets the entry that [`Shown::id`] named.
    pub fn remove_id(&self, id: u64) -> Removal {
        let Some((at, row)) = self.place_of(id) else { return Removal::Absent };
        let mut shard = self.lock(at);
        match shard.is_used(row) {
            true => self.remove_row(&mut shard, row),
            false => Removal::Absent,
        }
    }
    fn remove_row(&self, shard: &mut Shard, row: u32) -> Removal {
        if shard.references(row) > 0 {
            return Removal::InUse;
        }
        shard.remove(row, |key| self.hash(key));
        self.used.fetch_sub(1, Relaxed);
        Removal::Gone
    }
    fn place_of(&self, id: u64) -> Option<(usize, u32)> {
        let at = (id & 0xffff) as usize;
        let row = u32::try_from((id >> 16).checked_sub(1)?).ok()?;
        (at < self.shards.len()).then_some((at, row))
    }
    /// The entry that [`Shown::id`] named, pinned, if it is still in use.
    pub fn by_id(self: &Arc<Self>, id: u64) -> Option<Entry> {
        let (at, row) = self.place_of(id)?;
        let mut shard = self.lock(at);
        if !shard.is_used(row) {
            return None;
        }
        shard.hold(row);
        drop(shard);
        Some(Entry { table: self.clone(), shard: at as u32, row })
    }

    /// The number that stands for a text in `server_key`.
    pub fn number_of(&self, text: &str) -> u32 {
        let known = |names: &Names| names.numbers.get(text).copied();
        if let Some(number) = known(&self.names.read().unwrap_or_else(|poisoned| poisoned.into_inner())) {
            return number;
        }
        let mut names = self.names.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(number) = known(&names) {
            return number;
        }
        names.texts.push(text.into());
        let number = names.texts.len() as u32;
        names.numbers.insert(text.into(), number);
        number
    }
    /// The text that a number of `server_key` stands for; `None` for 0, which is nothing.
    pub fn text_of(&self, number: u32) -> Option<Box<str>> {
        let names = self.names.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        names.texts.get((number as usize).checked_sub(1)?).cloned()
    }
}

/// What came of forgetting an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Gone,
    /// A session holds it.
    InUse,
    /// There was none.
    Absent,
}

/// An entry as a walk of the table sees it.
pub struct Shown<'a> {
    /// Names the entry for [`Table::by_id`].
    pub id: u64,
    /// Its key.
    pub key: Key,
    /// How many hold it.
    pub references: u32,
    /// How long it has to live, in milliseconds; 0 if entries do not expire.
    pub remaining_ms: u32,
    /// Its data.
    pub cells: Cells<'a>,
}

/// A pinned entry of a table.
#[derive(Debug)]
pub struct Entry {
    table: Arc<Table>,
    shard: u32,
    row: u32,
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.table.lock(self.shard as usize)
    }
    /// Its table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }
    /// Its key in stored form.
    pub fn key(&self) -> Key {
        self.table.key_of(self.lock().key(self.row))
    }
    /// Begins its life anew.
    pub fn touch(&self, now: Millis) {
        self.lock().touch(self.row, now);
    }
    /// How many hold it, this one included (`use=` of `show table`).
    pub fn references(&self) -> u32 {
        self.lock().references(self.row)
    }
    /// Milliseconds until it expires; `None` if it never does.
    pub fn expires_in(&self, now: Millis) -> Option<u64> {
        self.table.settings.expire_ms?;
        Some(self.lock().remaining_ms(self.row, now).into())
    }
    /// Reads and changes several of its data under one lock.
    pub fn with<T>(&self, now: Millis, change: impl FnOnce(&mut Cells<'_>) -> T) -> T {
        change(&mut Cells::new(&self.table.settings.stored, self.lock().data(self.row), now))
    }
    /// A counter's value, or a rate's events per period; `index` is 0 but for arrays. `None` if
    /// the table does not store it.
    pub fn get(&self, data: Data, index: usize, now: Millis) -> Option<u64> {
        self.with(now, |cells| cells.get(data, index))
    }
    /// Adds to a counter or counts events of a rate; the new value. `None` if it is not stored.
    pub fn add(&self, data: Data, index: usize, n: u64, now: Millis) -> Option<u64> {
        self.with(now, |cells| cells.add(data, index, n))
    }
    /// Shows it; the count of holders has this one in it.
    pub fn show<T>(&self, now: Millis, show: impl FnOnce(&mut Shown<'_>) -> T) -> T {
        let mut shard = self.lock();
        show(&mut self.table.shown(&mut shard, self.shard as usize, self.row, now))
    }
}

impl Clone for Entry {
    fn clone(&self) -> Entry {
        self.lock().hold(self.row);
        Entry { table: self.table.clone(), shard: self.shard, row: self.row }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.lock().release(self.row);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        Arc::ptr_eq(&self.table, &other.table) && (self.shard, self.row) == (other.shard, other.row)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A table of `size` keys without expiry.
    pub(crate) fn table(key: KeyType, size: usize, stored: &[Stored]) -> Arc<Table> {
        Table::new("t", settings(key, size, stored))
    }
    /// Settings of such a table.
    pub(crate) fn settings(key: KeyType, size: usize, stored: &[Stored]) -> Settings {
        Settings {
            key,
            size,
            expire_ms: None,
            nopurge: false,
            stored: stored.to_vec(),
            server_key: ServerKeyType::Name,
            write_to: None,
            brates_factor: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{settings, table};
    use super::*;

    fn counter(data: Data) -> Stored {
        Stored { data, count: 1, period_ms: 0 }
    }
    fn rate(data: Data) -> Stored {
        Stored { data, count: 1, period_ms: 10_000 }
    }
    fn keys(table: &Table, now: Millis) -> Vec<u32> {
        let mut keys = Vec::new();
        table.every(now, |shown| keys.push(u32::from_be_bytes(shown.key[..].try_into().unwrap())));
        keys.sort_unstable();
        keys
    }
    fn make(table: &Arc<Table>, key: u32, now: Millis) -> bool {
        table.find_or_create(&key.to_be_bytes(), now).is_some()
    }

    #[test]
    fn the_oldest_that_nobody_holds_makes_room() {
        let full = table(KeyType::Integer, 3, &[counter(Data::Gpc0)]);
        let held = full.find_or_create(&1u32.to_be_bytes(), 1).unwrap();
        assert!((2..=3).all(|key| make(&full, key, u64::from(key))));
        held.touch(4);
        assert_eq!((held.references(), held.expires_in(4)), (1, None));
        assert!(make(&full, 2, 5), "used again, it is the youngest");
        assert!(make(&full, 4, 6));
        assert_eq!(keys(&full, 6), [1, 2, 4]);
        assert!(make(&full, 5, 7), "1 is the oldest, but it is held");
        assert_eq!(keys(&full, 7), [1, 4, 5]);
        assert_eq!(full.len(), 3);
        let all: Vec<_> = [4u32, 5].map(|key| full.find(&key.to_be_bytes(), 8).unwrap()).into();
        assert!(!make(&full, 6, 9), "all are held");
        drop(all);
        assert!(make(&full, 6, 9));
    }

    #[test]
    fn nopurge_forgets_nothing_but_what_expired() {
        let mut settings = settings(KeyType::Integer, 2, &[]);
        (settings.nopurge, settings.expire_ms) = (true, Some(100));
        let full = Table::new("t", settings);
        assert!(make(&full, 1, 1_000) && make(&full, 2, 1_050));
        assert!(!make(&full, 3, 1_060));
        assert!(make(&full, 3, 1_100), "1 is over");
        assert_eq!(keys(&full, 1_100), [2, 3]);
    }

    #[test]
    fn lives_end_but_not_of_what_is_held() {
        let mut settings = settings(KeyType::Integer, 10, &[counter(Data::Gpc0)]);
        settings.expire_ms = Some(100);
        // Across the wrap of the low word of the time.
        let start = (1 << 32) - 150;
        let table = Table::new("t", settings);
        let held = table.find_or_create(&1u32.to_be_bytes(), start).unwrap();
        held.add(Data::Gpc0, 0, 7, start);
        assert!(make(&table, 2, start + 60) && make(&table, 3, start + 90));
        assert_eq!(keys(&table, start + 159), [1, 2, 3]);
        assert!(table.find(&2u32.to_be_bytes(), start + 160).is_none());
        table.sweep(start + 160);
        assert_eq!((table.len(), table.used.load(Relaxed)), (2, 2));
        // The sweep met it in use and left it; it is over, yet found as long as it is held.
        let find = |now| table.with(&1u32.to_be_bytes(), now, |cells| cells.get(Data::Gpc0, 0));
        assert_eq!((held.expires_in(start + 160), find(start + 160)), (Some(0), Some(Some(7))));
        drop(held);
        assert_eq!(find(start + 160), None);
        // Over but not swept, it is made anew with nothing left of it.
        let anew = |cells: &mut Cells<'_>| cells.add(Data::Gpc0, 0, 1);
        assert_eq!(table.update(&1u32.to_be_bytes(), start + 260, anew), Some(Some(1)));
        table.sweep(start + 1000);
        assert_eq!((table.len(), table.used.load(Relaxed)), (0, 0));
    }

    #[test]
    fn keys_come_back_as_they_went() {
        for (key, bytes, expected) in [
            (KeyType::Ip, &[10, 0, 0, 1][..], &[10, 0, 0, 1][..]),
            (KeyType::Ipv6, &[7; 16], &[7; 16]),
            (KeyType::String(5), b"ab", b"ab"),
            (KeyType::String(5), b"", b""),
            (KeyType::String(5), b"abcdefg", b"abcde"),
            (KeyType::Binary(6), b"abcdef", b"abcdef"),
        ] {
            let table = table(key, 10, &[]);
            let entry = table.find_or_create(bytes, 1).unwrap();
            assert_eq!(&entry.key()[..], expected, "{key:?}");
            assert_eq!(table.find(expected, 1), Some(entry));
        }
        let strings = table(KeyType::String(8), 10, &[]);
        let _entries = [&b"a"[..], b"a\0", b""].map(|key| strings.find_or_create(key, 1));
        assert_eq!(strings.len(), 3);
    }

    #[test]
    fn entries_are_named_and_removed() {
        let table = table(KeyType::Integer, 10, &[counter(Data::Gpc0)]);
        assert!((0..4).all(|key| make(&table, key, 1)));
        let mut ids = Vec::new();
        table.every(1, |shown| ids.push((shown.id, shown.key.clone())));
        for (id, key) in &ids {
            assert_eq!(&table.by_id(*id).unwrap().key(), key);
        }
        let held = table.by_id(ids[0].0).unwrap();
        assert_eq!(table.remove(&ids[0].1, 1), Removal::InUse);
        assert_eq!(table.remove_id(ids[1].0), Removal::Gone);
        assert_eq!(table.remove_id(ids[1].0), Removal::Absent);
        assert!(table.by_id(ids[1].0).is_none() && table.by_id(u64::MAX).is_none());
        assert_eq!(table.remove(&ids[2].1, 1), Removal::Gone);
        table.remove_where(1, |_| true);
        assert_eq!(keys(&table, 1).len(), 1);
        drop(held);
        table.remove_where(1, |_| true);
        assert!(table.is_empty() && table.used.load(Relaxed) == 0);
    }

    #[test]
    fn texts_have_numbers() {
        let table = table(KeyType::Integer, 10, &[]);
        assert_eq!([table.number_of("a"), table.number_of("b"), table.number_of("a")], [1, 2, 1]);
        assert_eq!(table.text_of(2).as_deref(), Some("b"));
        assert_eq!((table.text_of(0), table.text_of(3)), (None, None));
    }

    #[test]
    fn counters_are_exact_and_size_holds_among_threads() {
        const THREADS: u32 = 4;
        const ROUNDS: u32 = 5_000;
        let stored = [counter(Data::ConnCur), counter(Data::Gpc0)];
        let shared = table(KeyType::Integer, 100, &stored);
        let crowded = table(KeyType::Integer, 8_192, &[]);
        assert_eq!(crowded.shards.len(), 2);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (shared, crowded) = (&shared, &crowded);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let key = (round % 10).to_be_bytes();
                        let entry = shared.find_or_create(&key, 1).unwrap();
                        entry.add(Data::Gpc0, 0, 1, 1);
                        entry.add(Data::ConnCur, 0, 1, 1);
                        entry.with(1, |cells| cells.take(Data::ConnCur, 0, 1));
                        let key = (round * THREADS + thread).to_be_bytes();
                        assert!(crowded.update(&key, 1, |_| ()).is_some());
                    }
                });
            }
        });
        let mut seen = (0, 0, 0);
        shared.every(1, |shown| {
            let get = |data| shown.cells.get(data, 0).unwrap();
            seen = (seen.0 + get(Data::Gpc0), seen.1 + get(Data::ConnCur), seen.2 + shown.references);
        });
        assert_eq!(seen, (u64::from(THREADS * ROUNDS), 0, 0));
        assert_eq!(
            (crowded.len(), crowded.used.load(Relaxed)),
            (8_192, 8_192),
            "full, and no more than that"
        );
    }

    /// A table does whatever a list of pairs does, however keys come and go.
    #[test]
    fn a_table_is_a_list_of_pairs() {
        let table = table(KeyType::Integer, 600, &[counter(Data::Gpc0)]);
        let mut model: Vec<(u32, u64)> = Vec::new();
        let mut random = 12_345_u64;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = (random >> 40) as u32 % 1_000;
            let at = model.iter().position(|(known, _)| *known == key);
            if random >> 33 & 7 == 0 {
                let expected = if at.is_some() { Removal::Gone } else { Removal::Absent };
                assert_eq!(table.remove(&key.to_be_bytes(), 1), expected, "{step}");
                at.map(|at| model.remove(at));
                continue;
            }
            let count = at.map_or(1, |at| model.remove(at).1 + 1);
            if model.len() == 600 {
                model.remove(0);
            }
            model.push((key, count));
            let found = table.update(&key.to_be_bytes(), 1, |cells| cells.add(Data::Gpc0, 0, 1));
            assert_eq!(found, Some(Some(count)), "{step}");
        }
        let mut expected: Vec<u32> = model.iter().map(|(key, _)| *key).collect();
        expected.sort_unstable();
        assert_eq!(keys(&table, 1), expected);
    }

    #[test]
    fn an_entry_takes_few_bytes() {
        const ENTRIES: u32 = 250_000;
        let rates = [rate(Data::ConnRate), rate(Data::HttpReqRate), rate(Data::HttpErrRate)];
        for (key, bytes_max) in [(KeyType::Ip, 75), (KeyType::Ipv6, 90)] {
            let table = table(key, ENTRIES as usize, &rates);
            for n in 0..ENTRIES {
                let mut key = [0; 16];
                key[..4].copy_from_slice(&n.to_be_bytes());
                table.update(&key, 1, |_| ());
            }
            assert_eq!(table.len(), ENTRIES as usize);
            let each = table.memory() / ENTRIES as usize;
            assert!(each <= bytes_max, "{each} bytes each for {key:?}");
        }
    }
}
