//! A hash table of packed entries, cut into shards that successive versions share.
//!
//! A shard keeps its entries one after the other in one block of bytes (reference, lengths, key,
//! value) and a table of 32-bit slots, each an offset and eight bits of the hash. A million
//! entries of 45 bytes so cost about 70 bytes each, and a lookup touches a slot and an entry.
//! A change copies one shard of some hundred entries; everything else is shared by `Arc`.
//!
//! Keys are hashed with ASCII case folded, so that one table serves lookups with and without
//! case; the comparison decides. The hash can be continued byte by byte: a lookup by beginning
//! hashes its subject once.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

/// Entries that a shard should hold on average; what one change has to copy.
const SHARD_ENTRIES: usize = 512;
/// The most shards: a reference carries 16 bits of the hash.
const SHARD_BITS_MAX: u32 = 16;
/// Bytes in front of an entry's key: reference, key length, value length.
const HEADER: usize = 16;
/// Offsets count units of this many bytes.
const UNIT: usize = 4;
/// Slots keep 24 bits of offset, one value being "empty".
const DATA_MAX: usize = ((1 << 24) - 2) * UNIT;
/// The longest key or value; keeps a shard far from its limit.
pub(super) const TEXT_MAX: usize = 1 << 20;

const _: () = assert!(HEADER.is_multiple_of(UNIT) && TEXT_MAX * 16 < DATA_MAX);

/// A hash in the making: eight bytes at a time, the last ones waiting for their block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash {
    state: u64,
    block: u64,
    waiting: u32,
}

/// ASCII capitals of eight bytes made small.
#[inline]
fn fold_case(block: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = block & (0x7f * ONES);
    let from_a = low + (0x80 - b'A' as u64) * ONES;
    let beyond_z = low + (0x7f - b'Z' as u64) * ONES;
    let capitals = (from_a ^ beyond_z) & !block & (0x80 * ONES);
    block | (capitals >> 2)
}

#[inline]
fn mix(value: u64) -> u64 {
    let wide = u128::from(value) * u128::from(0x9e37_79b9_7f4a_7c15u64);
    (wide >> 64) as u64 ^ wide as u64
}

impl Hash {
    /// The hash of nothing. The seed differs per process: a client that can add keys by requests must not
    /// be able to choose ones that collide.
    #[inline]
    pub(super) fn new() -> Hash {
        static SEED: OnceLock<u64> = OnceLock::new();
        let state = *SEED.get_or_init(|| RandomState::new().hash_one(0x4a52_494eu32));
        Hash { state, block: 0, waiting: 0 }
    }
    /// Continues it by one byte.
    #[inline]
    pub(super) fn push(mut self, byte: u8) -> Hash {
        self.block |= u64::from(byte.to_ascii_lowercase()) << (8 * self.waiting);
        self.waiting += 1;
        if self.waiting == 8 {
            self = Hash { state: mix(self.state ^ self.block), block: 0, waiting: 0 };
        }
        self
    }
    /// Continues it by bytes.
    #[inline]
    pub(super) fn extend(mut self, mut bytes: &[u8]) -> Hash {
        while self.waiting != 0
            && let [byte, rest @ ..] = bytes
        {
            self = self.push(*byte);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<8>();
        for block in blocks {
            self.state = mix(self.state ^ fold_case(u64::from_le_bytes(*block)));
        }
        rest.iter().fold(self, |hash, byte| hash.push(*byte))
    }
    #[inline]
    fn finish(self) -> u64 {
        mix(mix(self.state ^ self.block) ^ u64::from(self.waiting))
    }
}

/// One entry as it lies in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed<'a> {
    /// Its reference: the order of addition above 16 bits of its primary key's hash.
    pub id: u64,
    /// Its key.
    pub key: &'a [u8],
    /// Its value; empty if it has none.
    pub value: &'a [u8],
}

/// Where an entry lies in one version of a table; places are ordered as their entries were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    id: u64,
    shard: u32,
    offset: u32,
}

const _: () = assert!(DATA_MAX <= u32::MAX as usize && SHARD_BITS_MAX <= u32::BITS);

#[derive(Clone, Debug, Default)]
struct Shard {
    slots: Box<[u32]>,
    data: Vec<u8>,
    len: usize,
}

impl Shard {
    fn at(&self, offset: usize) -> (Packed<'_>, usize) {
        let head = &self.data[offset..offset + HEADER];
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let id = u64::from(number(0)) | u64::from(number(4)) << 32;
        let (key_len, value_len) = (number(8) as usize, number(12) as usize);
        let key_start = offset + HEADER;
        let value_start = key_start + key_len;
        let end = value_start + value_len;
        let packed =
            Packed { id, key: &self.data[key_start..value_start], value: &self.data[value_start..end] };
        (packed, end.next_multiple_of(UNIT))
    }
    fn iter(&self) -> impl Iterator<Item = Packed<'_>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            (offset < self.data.len()).then(|| {
                let (packed, next) = self.at(offset);
                offset = next;
                packed
            })
        })
    }
    fn place(&mut self, hash: u64, offset: usize) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = tag(hash) | ((offset / UNIT) as u32 + 1);
    }
    /// Appends an entry; false when the shard is full.
    fn insert(&mut self, hash: u64, entry: Packed<'_>) -> bool {
        let offset = self.data.len();
        if offset + HEADER + entry.key.len() + entry.value.len() > DATA_MAX {
            return false;
        }
        self.data.extend_from_slice(&entry.id.to_le_bytes());
        self.data.extend_from_slice(&(entry.key.len() as u32).to_le_bytes());
        self.data.extend_from_slice(&(entry.value.len() as u32).to_le_bytes());
        self.data.extend_from_slice(entry.key);
        self.data.extend_from_slice(entry.value);
        self.data.resize(self.data.len().next_multiple_of(UNIT), 0);
        self.len += 1;
        // At most 7/8 full, so that a probe ends soon.
        if self.len * 8 > self.slots.len() * 7 {
            self.reslot((self.len * 2).next_power_of_two().max(4));
        } else {
            self.place(hash, offset);
        }
        true
    }
    /// Builds the slots anew, in the order of the data: equal keys keep their order of addition.
    fn reslot(&mut self, slots: usize) {
        self.slots = vec![0; slots].into();
        let mut offset = 0;
        while offset < self.data.len() {
            let (packed, next) = self.at(offset);
            let hash = Hash::new().extend(packed.key).finish();
            self.place(hash, offset);
            offset = next;
        }
    }
    #[inline]
    fn find(&self, hash: u64, mut matches: impl FnMut(&[u8]) -> bool) -> Option<Packed<'_>> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let tag = tag(hash);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot & 0xff00_0000 == tag {
                let (packed, _) = self.at(((slot & 0x00ff_ffff) as usize - 1) * UNIT);
                if matches(packed.key) {
                    return Some(packed);
                }
            }
            at = (at + 1) & mask;
        }
    }
}

fn tag(hash: u64) -> u32 {
    // Bits that neither the shard (the top 16) nor the slot (the low ones) is chosen by.
    (hash >> 16) as u32 & 0xff00_0000
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    shards: Vec<Arc<Shard>>,
    bits: u32,
    len: usize,
}

impl Table {
    /// An empty table that will hold about `expected` entries.
    pub(super) fn new(expected: usize) -> Table {
        let wanted = expected.div_ceil(SHARD_ENTRIES).max(1).next_power_of_two();
        let bits = wanted.trailing_zeros().min(SHARD_BITS_MAX);
        Table { shards: vec![Arc::default(); 1 << bits], bits, len: 0 }
    }
    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }
    fn shard_of(&self, hash16: u16) -> usize {
        usize::from(hash16) >> (16 - self.bits)
    }
    /// The 16 bits of a key's hash that a reference carries.
    pub(super) fn hash16(key: &[u8]) -> u16 {
        (Hash::new().extend(key).finish() >> 48) as u16
    }
    /// Adds an entry; false when it does not fit.
    pub(super) fn insert(&mut self, entry: Packed<'_>) -> bool {
        // Twice the wanted size on average: cut anew, so that a change keeps copying little.
        if self.len >= (SHARD_ENTRIES * 2) << self.bits && self.bits < SHARD_BITS_MAX {
            self.reshard();
        }
        let hash = Hash::new().extend(entry.key).finish();
        let shard = self.shard_of((hash >> 48) as u16);
        let fits = Arc::make_mut(&mut self.shards[shard]).insert(hash, entry);
        self.len += usize::from(fits);
        fits
    }
    fn reshard(&mut self) {
        let mut wider = Table::new(self.len * 2);
        for packed in self.iter() {
            wider.insert(packed);
        }
        wider.shrink();
        *self = wider;
    }
    /// Gives back what growing has reserved.
    pub(super) fn shrink(&mut self) {
        for shard in &mut self.shards {
            if shard.data.capacity() > shard.data.len() + 64 {
                Arc::make_mut(shard).data.shrink_to_fit();
            }
        }
    }
    /// Changes the entries of `key` for which `change` says so: `Keep`, `Drop` or a new value.
    /// Tells how many were changed or dropped.
    pub(super) fn edit<'v>(&mut self, hash16: u16, mut change: impl FnMut(Packed<'_>) -> Edit<'v>) -> usize {
        let at = self.shard_of(hash16);
        let old = &self.shards[at];
        let mut fresh = Shard { slots: Box::default(), data: Vec::with_capacity(old.data.len()), len: 0 };
        let mut changed = 0;
        let mut dropped = 0;
        for packed in old.iter() {
            let kept = match change(packed) {
                Edit::Keep => packed,
                Edit::Value(value) => {
                    changed += 1;
                    Packed { value, ..packed }
                }
                Edit::Drop => {
                    dropped += 1;
                    continue;
                }
            };
            let hash = Hash::new().extend(kept.key).finish();
            // The shard held it before; only a longer value could overflow, and then it stays.
            if !fresh.insert(hash, kept) {
                fresh.insert(hash, packed);
            }
        }
        if changed + dropped > 0 {
            self.shards[at] = Arc::new(fresh);
            self.len -= dropped;
        }
        changed + dropped
    }
    /// The first entry whose key has this hash and pleases `matches`.
    #[inline]
    pub(super) fn find(&self, hash: Hash, matches: impl FnMut(&[u8]) -> bool) -> Option<Packed<'_>> {
        let hash = hash.finish();
        self.shards[self.shard_of((hash >> 48) as u16)].find(hash, matches)
    }
    /// The entry with reference `id`, whose low 16 bits tell the shard.
    pub(super) fn by_id(&self, id: u64) -> Option<Packed<'_>> {
        self.shards[self.shard_of(id as u16)].iter().find(|packed| packed.id == id)
    }
    /// The entries of the shard that `hash16` falls into.
    pub(super) fn near(&self, hash16: u16) -> impl Iterator<Item = Packed<'_>> {
        self.shards[self.shard_of(hash16)].iter()
    }
    /// Every entry, shard by shard: in order of addition only while there is one shard.
    pub(super) fn iter(&self) -> impl Iterator<Item = Packed<'_>> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
    /// Where the entries of one shard lie; `None` past the last shard.
    pub(super) fn places(&self, shard: usize) -> Option<impl Iterator<Item = Place>> {
        let owner = self.shards.get(shard)?;
        let mut offset = 0;
        Some(std::iter::from_fn(move || {
            (offset < owner.data.len()).then(|| {
                let (packed, next) = owner.at(offset);
                let place = Place { id: packed.id, shard: shard as u32, offset: offset as u32 };
                offset = next;
                place
            })
        }))
    }
    /// The entry at a place of this version of the table.
    pub(super) fn at(&self, place: Place) -> Packed<'_> {
        self.shards[place.shard as usize].at(place.offset as usize).0
    }
    /// Bytes it takes.
    pub(super) fn memory(&self) -> usize {
        let shard =
            |s: &Arc<Shard>| s.data.capacity() + s.slots.len() * 4 + std::mem::size_of::<Shard>() + 24;
        self.shards.iter().map(shard).sum::<usize>() + std::mem::size_of::<Table>()
    }
}

/// What [`Table::edit`] does to an entry.
pub(super) enum Edit<'v> {
    /// Nothing.
    Keep,
    /// Take it out.
    Drop,
    /// Give it this value.
    Value(&'v [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'t>(table: &'t Table, key: &[u8]) -> Option<&'t [u8]> {
        table.find(Hash::new().extend(key), |other| other == key).map(|packed| packed.value)
    }

    #[test]
    fn keeps_what_it_is_given_while_it_grows_and_changes() {
        let mut table = Table::new(0);
        for n in 0..5000u64 {
            let (key, value) = (format!("Key{n}"), format!("v{n}"));
            let id = n << 16 | u64::from(Table::hash16(key.as_bytes()));
            assert!(table.insert(Packed { id, key: key.as_bytes(), value: value.as_bytes() }));
        }
        assert_eq!((table.len(), table.iter().count()), (5000, 5000));
        assert!(table.shards.len() > 4, "it was cut anew while growing");
        for n in [0, 17, 4999] {
            assert_eq!(find(&table, format!("Key{n}").as_bytes()), Some(format!("v{n}").as_bytes()));
        }
        assert_eq!(find(&table, b"key17"), None, "the comparison minds the case, the hash does not");
        let old = table.clone();
        let change =
            |packed: Packed<'_>| if packed.key == b"Key17" { Edit::Value(b"new") } else { Edit::Keep };
        assert_eq!(table.edit(Table::hash16(b"Key17"), change), 1);
        assert_eq!((find(&table, b"Key17"), find(&old, b"Key17")), (Some(&b"new"[..]), Some(&b"v17"[..])));
        let dropped =
            table.edit(
                Table::hash16(b"Key18"),
                |packed| {
                    if packed.key == b"Key18" { Edit::Drop } else { Edit::Keep }
                },
            );
        assert_eq!((dropped, table.len(), find(&table, b"Key18")), (1, 4999, None));
        let id = 19 << 16 | u64::from(Table::hash16(b"Key19"));
        assert_eq!(table.by_id(id).map(|packed| packed.key), Some(&b"Key19"[..]));
    }

    #[test]
    fn the_tag_tells_keys_apart() {
        let tags: std::collections::HashSet<u32> =
            (0..100u8).map(|n| tag(Hash::new().extend(&[n]).finish())).collect();
        assert!(tags.len() > 50 && tags.iter().all(|tag| tag & 0x00ff_ffff == 0));
    }

    #[test]
    fn a_hash_is_the_same_in_any_pieces_and_case() {
        let text = b"Some-Key.With/More than SIXTEEN@[`{ \xc1\xda bytes";
        let whole = Hash::new().extend(text).finish();
        for cut in 0..text.len() {
            assert_eq!(Hash::new().extend(&text[..cut]).extend(&text[cut..]).finish(), whole);
        }
        assert_eq!(text.iter().fold(Hash::new(), |hash, byte| hash.push(*byte)).finish(), whole);
        assert_eq!(Hash::new().extend(&text.to_ascii_lowercase()).finish(), whole);
        assert_ne!(Hash::new().extend(b"a").finish(), Hash::new().extend(b"a\0").finish());
    }

    #[test]
    fn equal_keys_keep_their_order() {
        let mut table = Table::new(0);
        for id in 0..9u64 {
            table.insert(Packed { id, key: b"same", value: &[id as u8] });
        }
        assert_eq!(find(&table, b"same"), Some(&[0u8][..]));
    }
}
