//! The dynamic table (RFC 7541 sections 2.3.2 and 4): what was sent before, the newest first.

use std::collections::VecDeque;

/// What an entry takes beside its bytes (RFC 7541 section 4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;

/// Entries within a bound in bytes. It allocates with its first entry, and holds at most twice its bound.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Names and values of the entries, the oldest first, behind bytes of entries that are gone.
    bytes: Vec<u8>,
    /// The oldest first.
    entries: VecDeque<Entry>,
    /// As RFC 7541 section 4.1 counts.
    size: usize,
    max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name_len: u32,
    value_len: u32,
    /// Of the name: what is looked for is compared with it first.
    hash: u32,
}

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Name and value, at this place.
    Field(usize),
    /// The name alone, at this place.
    Name(usize),
}

impl Entry {
    fn len(self) -> usize {
        (self.name_len + self.value_len) as usize
    }
    fn size(self) -> usize {
        self.len() + ENTRY_OVERHEAD
    }
}

impl Table {
    /// One for entries of `max` bytes.
    pub(super) fn new(max: usize) -> Table {
        Table { max, ..Table::default() }
    }
    /// Its bound in bytes.
    pub(super) fn max(&self) -> usize {
        self.max
    }
    /// Gives it another bound.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
        self.make_room(0);
        if self.entries.is_empty() {
            self.bytes = Vec::new();
            self.entries = VecDeque::new();
        }
    }
    /// The entry at `place`, 0 being the newest.
    pub(super) fn get(&self, place: usize) -> Option<(&[u8], &[u8])> {
        let at = self.entries.len().checked_sub(place + 1)?;
        Some(self.field(*self.entries.get(at)?))
    }
    fn field(&self, entry: Entry) -> (&[u8], &[u8]) {
        let start = entry.start as usize;
        self.bytes[start..start + entry.len()].split_at(entry.name_len as usize)
    }
    /// The newest entry with this name, and with this value if there is one.
    pub(super) fn find(&self, name: &[u8], value: &[u8]) -> Option<Found> {
        let hash = hash(name);
        let mut found = None;
        for (place, entry) in self.entries.iter().rev().enumerate() {
            if entry.hash != hash {
                continue;
            }
            let (its_name, its_value) = self.field(*entry);
            if its_name == name {
                if its_value == value {
                    return Some(Found::Field(place));
                }
                found = found.or(Some(Found::Name(place)));
            }
        }
        found
    }
    /// Adds an entry, which pushes old ones out; one that does not fit at all empties the table (section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let mut entry =
            Entry { start: 0, name_len: name.len() as u32, value_len: value.len() as u32, hash: hash(name) };
        self.make_room(entry.size());
        if entry.size() > self.max {
            return;
        }
        if self.bytes.len() + entry.len() > self.max * 2 {
            self.compact();
        }
        entry.start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += entry.size();
        self.entries.push_back(entry);
    }
    fn make_room(&mut self, size: usize) {
        while self.size + size > self.max {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size -= oldest.size();
        }
    }
    /// Moves the entries to the start, over what is gone.
    fn compact(&mut self) {
        let start = self.entries.front().map_or(self.bytes.len(), |oldest| oldest.start as usize);
        self.bytes.drain(..start);
        for entry in &mut self.entries {
            entry.start -= start as u32;
        }
    }
    /// Bytes that it has allocated.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}

fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn the_newest_is_first_and_the_oldest_goes() {
        let mut table = Table::new(100);
        table.insert(b"a", b"1");
        table.insert(b"b", b"2");
        assert_eq!(table.get(0), Some((&b"b"[..], &b"2"[..])));
        assert_eq!(table.get(1), Some((&b"a"[..], &b"1"[..])));
        assert_eq!(table.get(2), None);
        assert_eq!(table.find(b"a", b"1"), Some(Found::Field(1)));
        assert_eq!(table.find(b"a", b"2"), Some(Found::Name(1)));
        assert_eq!(table.find(b"c", b"2"), None);
        table.insert(b"c", b"3");
        assert_eq!((table.get(1), table.get(2)), (Some((&b"b"[..], &b"2"[..])), None), "three do not fit");
        table.insert(b"long", &[b'x'; 100]);
        assert_eq!(table.get(0), None, "what does not fit empties the table");
        table.insert(b"d", b"4");
        table.set_max(0);
        assert_eq!((table.get(0), table.allocated()), (None, 0));
    }

    #[test]
    fn it_holds_what_a_plain_list_would_and_no_more_memory_than_it_says() {
        let mut rng = Rng::new(4);
        let mut table = Table::new(600);
        let mut list: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for step in 0..20_000 {
            if rng.below(50) == 0 {
                table.set_max(rng.below(700) as usize);
            }
            let name = vec![b'n'; rng.below(40) as usize + 1];
            let value = format!("{step}").repeat(rng.below(30) as usize).into_bytes();
            table.insert(&name, &value);
            list.insert(0, (name, value));
            let mut size = 0;
            list.retain(|(name, value)| {
                size += name.len() + value.len() + ENTRY_OVERHEAD;
                size <= table.max()
            });
            for (place, (name, value)) in list.iter().enumerate() {
                assert_eq!(table.get(place), Some((&name[..], &value[..])));
            }
            assert_eq!(table.get(list.len()), None);
            assert!(table.bytes.len() <= 1400);
        }
    }
}
