//! Second views of a set: for kinds that do not compare a pattern's text as it stands.
//!
//! Addresses, numbers and words become entries of another [`Table`] under what they mean, so that
//! a million of them cost a few probes; ranges and regular expressions are lists in order.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::substrings::Substrings;
use super::table::{Edit, Hash, Packed, Table};
use super::{Kind, Regex, Subject, parse_int_range, parse_ip_prefix, parse_masked_v4, unhex};

/// Why a pattern cannot be used with a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern(pub String);

/// How many patterns have which length.
#[derive(Clone, Debug, Default)]
pub(super) struct Lengths(Vec<(u32, u32)>);

impl Lengths {
    /// Counts one more of `len`.
    pub(super) fn add(&mut self, len: usize) {
        let len = len as u32;
        match self.0.binary_search_by_key(&len, |(len, _)| *len) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => self.0.insert(at, (len, 1)),
        }
    }
    /// Counts one less of `len`.
    pub(super) fn remove(&mut self, len: usize) {
        if let Ok(at) = self.0.binary_search_by_key(&(len as u32), |(len, _)| *len) {
            self.0[at].1 -= 1;
            if self.0[at].1 == 0 {
                self.0.remove(at);
            }
        }
    }
    /// The lengths that occur, ascending.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + Clone + '_ {
        self.0.iter().map(|(len, _)| *len as usize)
    }
    /// Whether `len` occurs.
    pub(super) fn contains(&self, len: usize) -> bool {
        self.0.binary_search_by_key(&(len as u32), |(len, _)| *len).is_ok()
    }
}

/// An entry of a list.
#[derive(Clone, Debug)]
pub(super) struct Listed<T> {
    id: u64,
    what: T,
    value: Arc<[u8]>,
}

pub(super) type List<T> = Vec<Listed<T>>;

/// What the patterns of several parts begin with: `a` and `a/b` of `a/b/c`. A text is compared no further than
/// some pattern goes along with it, whatever the longest one is.
#[derive(Clone, Debug)]
pub(super) struct Heads {
    known: Table,
    /// Patterns that were removed since all heads were last gathered.
    removed: usize,
}

/// Patterns that may be removed before heads are gathered anew, beside as many as there are.
const HEADS_SPARE: usize = 1000;

impl Heads {
    fn new(expected: usize) -> Heads {
        Heads { known: Table::new(expected), removed: 0 }
    }
    fn add(&mut self, word: &[u8], delimiters: &[u8]) {
        let ends = word.iter().enumerate().filter(|(_, byte)| delimiters.contains(byte));
        for (end, _) in ends {
            let head = &word[..end];
            if self.known.find(Hash::new().extend(head), |known| known == head).is_none() {
                self.known.insert(Packed { id: 0, key: head, value: b"" });
            }
        }
    }
    /// A pattern is not in `patterns` any more. A head too many costs a step, so they go together.
    fn forget(&mut self, patterns: &Table, delimiters: &[u8]) {
        self.removed += 1;
        if self.removed > HEADS_SPARE + patterns.len() {
            *self = Heads::new(patterns.len());
            patterns.iter().for_each(|packed| self.add(packed.key, delimiters));
        }
    }
    fn contain(&self, hash: Hash, head: &[u8], ignore_case: bool) -> bool {
        self.known.find(hash, |known| same(known, head, ignore_case)).is_some()
    }
}

/// What an index found.
pub(super) struct Found<'a> {
    pub id: u64,
    pub value: &'a [u8],
    pub regex: Option<&'a Regex>,
}

/// A second view.
#[derive(Clone, Debug)]
pub(super) enum Index {
    Number {
        singles: Table,
        ranges: List<(i64, i64)>,
    },
    /// Networks; and, in order, what has a mask that is no prefix.
    Ip {
        lengths: [Lengths; 2],
        table: Table,
        masked: List<(u32, u32)>,
    },
    Bytes(Table),
    Words {
        delimiters: &'static [u8],
        ignore_case: bool,
        lengths: Lengths,
        table: Table,
        heads: Heads,
    },
    Regex {
        ignore_case: bool,
        list: List<Regex>,
    },
    /// References only: the primary table has the values.
    Parts(Substrings),
}

/// What separates the parts of paths and domain names.
const PATH_DELIMITERS: &[u8] = b"/?";
const DOMAIN_DELIMITERS: &[u8] = b"/?.:";

impl Index {
    /// An empty view for `kind`, or `None` if the primary table serves that kind.
    pub(super) fn new(kind: Kind, ignore_case: bool, expected: usize) -> Option<Index> {
        let table = || Table::new(expected);
        let words = |delimiters| Index::Words {
            delimiters,
            ignore_case,
            lengths: Lengths::default(),
            table: Table::new(expected),
            heads: Heads::new(expected),
        };
        Some(match kind {
            // Existence and truth are compared with no pattern.
            Kind::Found | Kind::Bool | Kind::Str | Kind::Beg | Kind::End => return None,
            Kind::Sub => Index::Parts(Substrings::new(ignore_case)),
            Kind::Int | Kind::Len => Index::Number { singles: table(), ranges: Vec::new() },
            Kind::Ip => Index::Ip { lengths: Default::default(), table: table(), masked: Vec::new() },
            Kind::Bin => Index::Bytes(table()),
            Kind::Dir => words(PATH_DELIMITERS),
            Kind::Dom => words(DOMAIN_DELIMITERS),
            Kind::Reg | Kind::Regm => Index::Regex { ignore_case, list: Vec::new() },
        })
    }

    /// Whether `key` can be a pattern of this view.
    pub(super) fn check(&self, key: &[u8]) -> Result<(), BadPattern> {
        let text = || String::from_utf8_lossy(key).into_owned();
        let bad = |what: &str| Err(BadPattern(format!("'{}' is not {what}", text())));
        match self {
            Index::Number { .. } if parse_int_range(key).is_none() => {
                bad(if key.iter().any(|b| b":-".contains(b)) || key.is_empty() {
                    "a valid number range"
                } else {
                    "a number"
                })
            }
            Index::Ip { .. } if parse_ip_prefix(key).is_none() && parse_masked_v4(key).is_none() => {
                bad("a valid IPv4 or IPv6 address")
            }
            Index::Bytes(_) if unhex(key).is_none() => bad("a valid hexadecimal string"),
            Index::Regex { ignore_case, .. } => Regex::new(key, *ignore_case).map(drop).map_err(BadPattern),
            _ => Ok(()),
        }
    }

    /// Adds a pattern that [`Index::check`] accepted.
    pub(super) fn insert(&mut self, id: u64, key: &[u8], value: &[u8]) {
        match self {
            Index::Number { singles, ranges } => match parse_int_range(key) {
                Some((low, high)) if low == high => {
                    singles.insert(Packed { id, key: &low.to_be_bytes(), value });
                }
                range => push(ranges, id, range, value),
            },
            Index::Ip { lengths, table, masked } => match Prefix::of_pattern(key) {
                Some(prefix) => {
                    lengths[usize::from(prefix.family)].add(usize::from(prefix.len));
                    table.insert(Packed { id, key: prefix.bytes(), value });
                }
                None => push(masked, id, parse_masked_v4(key), value),
            },
            Index::Bytes(table) => {
                table.insert(Packed { id, key: &unhex(key).unwrap_or_default(), value });
            }
            Index::Words { delimiters, lengths, table, heads, .. } => {
                let word = strip(key, delimiters);
                if !word.is_empty() {
                    lengths.add(word.len());
                    table.insert(Packed { id, key: word, value });
                    heads.add(word, delimiters);
                }
            }
            Index::Regex { ignore_case, list } => {
                push(list, id, Regex::new(key, *ignore_case).ok(), value);
            }
            Index::Parts(parts) => parts.insert(id, key),
        }
    }

    /// Changes or removes the pattern `id`, whose text is `key`.
    pub(super) fn edit(&mut self, id: u64, key: &[u8], value: Option<&[u8]>) {
        fn in_list<T>(list: &mut List<T>, id: u64, value: Option<&[u8]>) {
            match value {
                Some(value) => list.iter_mut().filter(|e| e.id == id).for_each(|e| e.value = value.into()),
                None => list.retain(|entry| entry.id != id),
            }
        }
        let in_table = |table: &mut Table, key: &[u8]| {
            table.edit(Table::hash16(key), |packed| match value {
                _ if packed.id != id => Edit::Keep,
                Some(value) => Edit::Value(value),
                None => Edit::Drop,
            })
        };
        match self {
            Index::Number { singles, ranges } => match parse_int_range(key) {
                Some((low, high)) if low == high => {
                    in_table(singles, &low.to_be_bytes());
                }
                _ => in_list(ranges, id, value),
            },
            Index::Ip { lengths, table, masked } => match Prefix::of_pattern(key) {
                Some(prefix) => {
                    if in_table(table, prefix.bytes()) > 0 && value.is_none() {
                        lengths[usize::from(prefix.family)].remove(usize::from(prefix.len));
                    }
                }
                None => in_list(masked, id, value),
            },
            Index::Bytes(table) => {
                in_table(table, &unhex(key).unwrap_or_default());
            }
            Index::Words { delimiters, lengths, table, heads, .. } => {
                let word = strip(key, delimiters);
                if in_table(table, word) > 0 && value.is_none() {
                    heads.forget(table, delimiters);
                    lengths.remove(word.len());
                }
            }
            Index::Regex { list, .. } => in_list(list, id, value),
            Index::Parts(parts) => {
                if value.is_none() {
                    parts.remove(id);
                }
            }
        }
    }

    /// The pattern that matches `subject`.
    pub(super) fn find(&self, subject: Subject<'_>) -> Option<Found<'_>> {
        match (self, subject) {
            (Index::Number { singles, ranges }, subject) => {
                let n = match subject {
                    Subject::Int(n) => n,
                    Subject::Bytes(bytes) => bytes.len() as i64,
                    Subject::Ip(_) => return None,
                };
                let single = exact(singles, &n.to_be_bytes());
                let range = first(ranges, |(low, high)| (*low..=*high).contains(&n));
                match (single, range) {
                    (Some(a), Some(b)) => Some(if a.id < b.id { a } else { b }),
                    (a, b) => a.or(b),
                }
            }
            (Index::Ip { lengths, table, masked }, Subject::Ip(address)) => {
                find_address(lengths, table, address).or_else(|| find_masked(masked, address))
            }
            (Index::Bytes(table), Subject::Bytes(bytes)) => exact(table, bytes),
            (Index::Words { .. }, Subject::Bytes(bytes)) => self.find_word(bytes),
            (Index::Regex { list, .. }, Subject::Bytes(bytes)) => list
                .iter()
                .find(|entry| entry.what.is_match(bytes))
                .map(|entry| Found { id: entry.id, value: &entry.value, regex: Some(&entry.what) }),
            _ => None,
        }
    }

    /// Tries every run of whole parts that some pattern begins with; the first pattern wins.
    fn find_word(&self, subject: &[u8]) -> Option<Found<'_>> {
        let Index::Words { delimiters, ignore_case, lengths, table, heads } = self else { return None };
        let longest = lengths.iter().next_back()?;
        let mut best: Option<Packed<'_>> = None;
        let mut may_start = true;
        for (start, byte) in subject.iter().enumerate() {
            let is_delimiter = delimiters.contains(byte);
            if may_start && !is_delimiter {
                let mut hash = Hash::new();
                for (end, byte) in subject.iter().enumerate().skip(start).take(longest) {
                    hash = hash.push(*byte);
                    if subject.get(end + 1).is_some_and(|next| !delimiters.contains(next)) {
                        continue;
                    }
                    let word = &subject[start..=end];
                    if lengths.contains(word.len()) {
                        let found = table.find(hash, |key| same(key, word, *ignore_case));
                        best = earlier(best, found);
                    }
                    if !heads.contain(hash, word, *ignore_case) {
                        break;
                    }
                }
            }
            may_start = is_delimiter;
        }
        best.map(|packed| Found { id: packed.id, value: packed.value, regex: None })
    }

    /// The reference of the pattern that is in `text`, for a view that knows parts of texts.
    pub(super) fn find_part(&self, text: &[u8]) -> Option<u64> {
        if let Index::Parts(parts) = self { parts.find(text) } else { None }
    }

    /// Its regular expressions, if it has such.
    pub(super) fn regexes(&self) -> impl Iterator<Item = &Regex> {
        let list: &[Listed<Regex>] = if let Index::Regex { list, .. } = self { list } else { &[] };
        list.iter().map(|entry| &entry.what)
    }

    /// Gives back what growing has reserved.
    pub(super) fn shrink(&mut self) {
        match self {
            Index::Number { singles: table, .. } | Index::Ip { table, .. } | Index::Bytes(table) => {
                table.shrink()
            }
            Index::Words { table, heads, .. } => {
                table.shrink();
                heads.known.shrink();
            }
            Index::Regex { .. } => (),
            Index::Parts(parts) => parts.settle(),
        }
    }
}

fn push<T>(list: &mut List<T>, id: u64, what: Option<T>, value: &[u8]) {
    list.extend(what.map(|what| Listed { id, what, value: value.into() }));
}

fn first<T>(list: &List<T>, matches: impl Fn(&T) -> bool) -> Option<Found<'_>> {
    let entry = list.iter().find(|entry| matches(&entry.what))?;
    Some(Found { id: entry.id, value: &entry.value, regex: None })
}

fn exact<'t>(table: &'t Table, key: &[u8]) -> Option<Found<'t>> {
    let packed = table.find(Hash::new().extend(key), |other| other == key)?;
    Some(Found { id: packed.id, value: packed.value, regex: None })
}

fn strip<'k>(mut key: &'k [u8], delimiters: &[u8]) -> &'k [u8] {
    while let [byte, rest @ ..] = key
        && delimiters.contains(byte)
    {
        key = rest;
    }
    while let [rest @ .., byte] = key
        && delimiters.contains(byte)
    {
        key = rest;
    }
    key
}

/// A network as a key: its length, then its address.
struct Prefix {
    family: bool,
    len: u8,
    packed: [u8; 17],
}

impl Prefix {
    fn of_pattern(key: &[u8]) -> Option<Prefix> {
        parse_ip_prefix(key).map(|(address, len)| Prefix::new(address, len))
    }
    fn new(address: IpAddr, len: u8) -> Prefix {
        let mut packed = [0; 17];
        packed[0] = len;
        match address {
            IpAddr::V4(v4) => packed[1..5].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => packed[1..17].copy_from_slice(&v6.octets()),
        }
        let mut prefix = Prefix { family: address.is_ipv6(), len, packed };
        prefix.mask(len);
        prefix
    }
    /// Keeps the first `len` bits.
    fn mask(&mut self, len: u8) {
        self.len = len;
        self.packed[0] = len;
        let (whole, rest) = (usize::from(len / 8), len % 8);
        if let Some(byte) = self.packed[1..].get_mut(whole) {
            *byte &= !(0xffu16 >> rest) as u8;
        }
        self.packed[1..].iter_mut().skip(whole + 1).for_each(|byte| *byte = 0);
    }
    /// Families differ in length, so that `0.0.0.0/0` is not `::/0`.
    fn bytes(&self) -> &[u8] {
        &self.packed[..if self.family { 17 } else { 5 }]
    }
}

/// The longest network that holds `address`; an IPv4 address is also sought among the IPv6
/// networks as a mapped one, and the other way round (manual, section 7.1.6).
fn find_address<'t>(lengths: &[Lengths; 2], table: &'t Table, address: IpAddr) -> Option<Found<'t>> {
    let seek = |address: IpAddr| {
        let mut prefix = Prefix::new(address, if address.is_ipv4() { 32 } else { 128 });
        lengths[usize::from(prefix.family)].iter().rev().find_map(|len| {
            prefix.mask(len as u8);
            exact(table, prefix.bytes())
        })
    };
    seek(address).or_else(|| match address {
        IpAddr::V4(v4) => seek(v4.to_ipv6_mapped().into()),
        IpAddr::V6(v6) => embedded_v4(v6).and_then(seek),
    })
}

/// The first odd mask that fits an IPv4 address, be it embedded in one of IPv6.
fn find_masked(masked: &List<(u32, u32)>, address: IpAddr) -> Option<Found<'_>> {
    if masked.is_empty() {
        return None;
    }
    let v4 = match address {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => match embedded_v4(v6)? {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(_) => return None,
        },
    };
    first(masked, |(wanted, mask)| (u32::from(v4) ^ wanted) & mask == 0)
}

/// The IPv4 address in a mapped, compatible or 6to4 address.
pub(super) fn embedded_v4(v6: Ipv6Addr) -> Option<IpAddr> {
    let segments = v6.segments();
    if segments[0] == 0x2002 {
        let [a, b] = segments[1].to_be_bytes();
        let [c, d] = segments[2].to_be_bytes();
        return Some(IpAddr::from([a, b, c, d]));
    }
    v6.to_ipv4().map(IpAddr::V4)
}

/// The one that was added first.
pub(super) fn earlier<'t>(a: Option<Packed<'t>>, b: Option<Packed<'t>>) -> Option<Packed<'t>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.id < a.id { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// Whether two strings are the same.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8], ignore_case: bool) -> bool {
    if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b }
}
