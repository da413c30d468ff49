//! Stick tables: what is remembered of a key (an address, a cookie) between sessions (manual,
//! section 11.1).
//!
//! A [`Table`] is spread over shards, each behind a short lock: an update is a few words, so that
//! counters (`gpc0`, `conn_cur`) are exact however many cores write. An [`Entry`] is a place in a
//! table that its holder has pinned: it is neither expired nor evicted before it is dropped.
//!
//! Keys are bytes here; `sample` turns values into them.

pub mod data;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use smallvec::SmallVec;

pub use data::{Data, Stored};

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
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    index: HashMap<Key, u32>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    key: Key,
    references: u32,
    expires_at: Millis,
    words: Box<[u32]>,
}

impl Table {
    /// An empty one.
    pub fn new(name: &str, settings: Settings) -> Arc<Table> {
        Arc::new(Table { name: name.into(), settings, shards: Box::new([Mutex::default()]) })
    }
    /// Whether it stores this.
    pub fn stores(&self, data: Data) -> bool {
        self.settings.stored.iter().any(|stored| stored.data == data)
    }
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.shards.iter().enumerate().map(|(at, _)| self.lock(at).index.len()).sum()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The entry of a key, pinned. Does not lengthen its life: [`Entry::touch`] does.
    pub fn find(self: &Arc<Self>, key: &[u8], _now: Millis) -> Option<Entry> {
        let mut shard = self.lock(0);
        let row = *shard.index.get(key)?;
        shard.rows[row as usize].references += 1;
        Some(Entry { table: self.clone(), shard: 0, row })
    }
    /// The entry of a key, pinned and made if it is new, its life begun anew; `None` if the table
    /// is full and nothing can be forgotten.
    pub fn find_or_create(self: &Arc<Self>, key: &[u8], now: Millis) -> Option<Entry> {
        if let Some(found) = self.find(key, now) {
            found.touch(now);
            return Some(found);
        }
        let mut shard = self.lock(0);
        let row = shard.rows.len() as u32;
        let words = data::words_of(&self.settings.stored);
        shard.index.insert(key.into(), row);
        shard.rows.push(Row {
            key: key.into(),
            references: 1,
            expires_at: now + self.settings.expire_ms.unwrap_or(u64::MAX / 2),
            words: vec![0; words].into(),
        });
        Some(Entry { table: self.clone(), shard: 0, row })
    }
}

/// A pinned entry of a table.
#[derive(Debug)]
pub struct Entry {
    table: Arc<Table>,
    shard: u32,
    row: u32,
}

impl Entry {
    /// Its table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }
    /// Its key in stored form.
    pub fn key(&self) -> Key {
        self.table.lock(self.shard as usize).rows[self.row as usize].key.clone()
    }
    /// Begins its life anew.
    pub fn touch(&self, now: Millis) {
        if let Some(expire) = self.table.settings.expire_ms {
            self.table.lock(self.shard as usize).rows[self.row as usize].expires_at = now + expire;
        }
    }
    /// How many hold it, this one included (`use=` of `show table`).
    pub fn references(&self) -> u32 {
        self.table.lock(self.shard as usize).rows[self.row as usize].references
    }
    /// Milliseconds until it expires; `None` if it never does.
    pub fn expires_in(&self, now: Millis) -> Option<u64> {
        self.table.settings.expire_ms?;
        let shard = self.table.lock(self.shard as usize);
        Some(shard.rows[self.row as usize].expires_at.saturating_sub(now))
    }
    /// Reads and changes several of its data under one lock.
    pub fn with<T>(&self, now: Millis, change: impl FnOnce(&mut data::Cells<'_>) -> T) -> T {
        let mut shard = self.table.lock(self.shard as usize);
        let words = &mut shard.rows[self.row as usize].words;
        change(&mut data::Cells::new(&self.table.settings.stored, words, now))
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
}

impl Clone for Entry {
    fn clone(&self) -> Entry {
        self.table.lock(self.shard as usize).rows[self.row as usize].references += 1;
        Entry { table: self.table.clone(), shard: self.shard, row: self.row }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.lock(self.shard as usize).rows[self.row as usize].references -= 1;
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
    pub fn table(key: KeyType, size: usize, stored: &[Stored]) -> Arc<Table> {
        Table::new("t", settings(key, size, stored))
    }
    /// Settings of such a table.
    pub fn settings(key: KeyType, size: usize, stored: &[Stored]) -> Settings {
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
