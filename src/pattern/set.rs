//! The set itself: entries, the table that strings are sought in, and the second views.

use smallvec::SmallVec;

use super::index::{BadPattern, Index, Lengths, earlier, same};
pub use super::table::Place;
use super::table::{Edit, Hash, Packed, TEXT_MAX, Table};
use super::{Kind, Regex, Subject};

/// Up to this many patterns are compared one by one: cheaper than probing every substring.
const LINEAR_MAX: usize = 8;

/// One pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its reference, the same as long as it lives; greater ones are newer.
    pub id: u64,
    /// Its text.
    pub key: &'a [u8],
    /// Its value; empty if it has none.
    pub value: &'a [u8],
}

/// The pattern that matched.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    /// Its reference.
    pub id: u64,
    /// Its value; empty if it has none.
    pub value: &'a [u8],
    /// Its regular expression, if it is one: for values that refer to groups.
    pub regex: Option<&'a Regex>,
}

/// Patterns and their values. Cloning is cheap: clones share what they do not change.
#[derive(Clone, Debug)]
pub struct PatternSet {
    table: Table,
    lengths: Lengths,
    views: Vec<(Kind, bool, Index)>,
    added: u64,
}

impl Default for PatternSet {
    fn default() -> Self {
        PatternSet::with_capacity(0)
    }
}

impl PatternSet {
    /// An empty set that will hold about `expected` patterns.
    pub fn with_capacity(expected: usize) -> PatternSet {
        PatternSet { table: Table::new(expected), lengths: Lengths::default(), views: Vec::new(), added: 0 }
    }
    /// An empty set that is prepared for the same kinds; its references continue this one's.
    pub fn emptied(&self, expected: usize) -> PatternSet {
        let mut fresh = PatternSet::with_capacity(expected);
        fresh.added = self.added;
        for (kind, ignore_case, _) in &self.views {
            fresh
                .views
                .extend(Index::new(*kind, *ignore_case, expected).map(|index| (*kind, *ignore_case, index)));
        }
        fresh
    }
    /// The kinds it was prepared for, each with whether case is ignored.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, bool)> {
        self.views.iter().map(|(kind, ignore_case, _)| (*kind, *ignore_case))
    }
    /// Regular expressions of a kind that back-track.
    pub fn slow_regexes(&self, kind: Kind, ignore_case: bool) -> impl Iterator<Item = &Regex> {
        let views = self.views.iter().filter(move |(k, i, _)| (*k, *i) == (kind, ignore_case));
        views.flat_map(|(_, _, index)| index.regexes()).filter(|regex| regex.warning().is_some())
    }
    /// How many patterns it has.
    pub fn len(&self) -> usize {
        self.table.len()
    }
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Makes it answer lookups of `kind`; fails on the first pattern that has no meaning there.
    pub fn prepare(&mut self, kind: Kind, ignore_case: bool) -> Result<(), BadPattern> {
        if self.views.iter().any(|(k, i, _)| (*k, *i) == (kind, ignore_case)) {
            return Ok(());
        }
        let Some(mut index) = Index::new(kind, ignore_case, self.len()) else { return Ok(()) };
        for entry in self.entries() {
            index.check(entry.key)?;
            index.insert(entry.id, entry.key, entry.value);
        }
        index.shrink();
        self.views.push((kind, ignore_case, index));
        Ok(())
    }
    /// Adds a pattern at the end, beside others of the same text; returns its reference.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<u64, BadPattern> {
        if key.len() > TEXT_MAX || value.len() > TEXT_MAX {
            return Err(BadPattern(format!("pattern or value longer than {TEXT_MAX} bytes")));
        }
        for (_, _, index) in &self.views {
            index.check(key)?;
        }
        let id = (self.added + 1) << 16 | u64::from(Table::hash16(key));
        if !self.table.insert(Packed { id, key, value }) {
            return Err(BadPattern("too many patterns of the same text".into()));
        }
        self.added += 1;
        self.lengths.add(key.len());
        for (_, _, index) in &mut self.views {
            index.insert(id, key, value);
        }
        Ok(id)
    }
    /// Gives every pattern of this text another value; tells how many there are.
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> usize {
        self.edit(|entry| entry.key == key, Table::hash16(key), Some(value))
    }
    /// Gives the pattern of this reference another value; false if there is none.
    pub fn set_by_id(&mut self, id: u64, value: &[u8]) -> bool {
        self.edit(|entry| entry.id == id, id as u16, Some(value)) > 0
    }
    /// Removes every pattern of this text; tells how many there were.
    pub fn remove(&mut self, key: &[u8]) -> usize {
        self.edit(|entry| entry.key == key, Table::hash16(key), None)
    }
    /// Removes the pattern of this reference; false if there is none.
    pub fn remove_by_id(&mut self, id: u64) -> bool {
        self.edit(|entry| entry.id == id, id as u16, None) > 0
    }
    fn edit(&mut self, matches: impl Fn(Packed<'_>) -> bool, hash16: u16, value: Option<&[u8]>) -> usize {
        let value = value.filter(|value| value.len() <= TEXT_MAX);
        let touched: Vec<(u64, Vec<u8>)> = self
            .table
            .near(hash16)
            .filter(|packed| matches(*packed))
            .map(|packed| (packed.id, packed.key.to_vec()))
            .collect();
        if touched.is_empty() {
            return 0;
        }
        self.table.edit(hash16, |packed| match value {
            _ if !matches(packed) => Edit::Keep,
            Some(value) => Edit::Value(value),
            None => Edit::Drop,
        });
        for (id, key) in &touched {
            if value.is_none() {
                self.lengths.remove(key.len());
            }
            self.views.iter_mut().for_each(|(_, _, index)| index.edit(*id, key, value));
        }
        touched.len()
    }
    /// The pattern with this reference.
    pub fn by_id(&self, id: u64) -> Option<Entry<'_>> {
        self.table.by_id(id).map(entry)
    }
    /// The first pattern of exactly this text.
    pub fn by_key(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.table.find(Hash::new().extend(key), |other| other == key).map(entry)
    }
    /// Every pattern in order of addition.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        let mut all: Vec<_> = self.table.iter().map(entry).collect();
        all.sort_unstable_by_key(|entry| entry.id);
        all
    }
    /// Where the patterns of one shard lie, in no order; `None` past the last shard. With [`Self::at`] a long list
    /// is walked piece by piece, in the order of the places once they are sorted: that of addition.
    pub fn places(&self, shard: usize) -> Option<impl Iterator<Item = Place>> {
        self.table.places(shard)
    }
    /// The pattern at a place of this version of the set.
    pub fn at(&self, place: Place) -> Entry<'_> {
        entry(self.table.at(place))
    }
    /// Gives back what growing has reserved.
    pub fn shrink(&mut self) {
        self.table.shrink();
        self.views.iter_mut().for_each(|(_, _, index)| index.shrink());
    }
    /// Bytes that the entries take, without second views.
    pub fn memory(&self) -> usize {
        self.table.memory()
    }

    /// The pattern that matches `subject`: the longest for beginnings and networks, else the
    /// first one added. Kinds with a view of their own must have been [prepared](Self::prepare).
    pub fn find(&self, kind: Kind, ignore_case: bool, subject: Subject<'_>) -> Option<Hit<'_>> {
        let packed = match (kind, subject) {
            (Kind::Found, _) => self.table.iter().next(),
            (Kind::Str, Subject::Bytes(text)) => {
                self.table.find(Hash::new().extend(text), |key| same(key, text, ignore_case))
            }
            (Kind::Sub, Subject::Bytes(text)) if self.len() > LINEAR_MAX => {
                let (_, _, index) = self.views.iter().find(|(k, i, _)| (*k, *i) == (kind, ignore_case))?;
                self.table.by_id(index.find_part(text)?)
            }
            (Kind::Beg | Kind::End | Kind::Sub, Subject::Bytes(text)) => {
                if self.len() <= LINEAR_MAX {
                    self.find_linear(kind, ignore_case, text)
                } else {
                    self.find_part(kind, ignore_case, text)
                }
            }
            _ => {
                let (_, _, index) = self.views.iter().find(|(k, i, _)| (*k, *i) == (kind, ignore_case))?;
                return index.find(subject).map(|f| Hit { id: f.id, value: f.value, regex: f.regex });
            }
        };
        packed.map(|packed| Hit { id: packed.id, value: packed.value, regex: None })
    }

    fn find_linear(&self, kind: Kind, ignore_case: bool, text: &[u8]) -> Option<Packed<'_>> {
        let mut best: Option<Packed<'_>> = None;
        for packed in self.table.iter() {
            let key = packed.key;
            let matches = match kind {
                Kind::Beg => text.get(..key.len()).is_some_and(|head| same(head, key, ignore_case)),
                Kind::End => {
                    key.len() <= text.len() && same(&text[text.len() - key.len()..], key, ignore_case)
                }
                _ if !ignore_case => memchr::memmem::find(text, key).is_some(),
                _ => key.is_empty() || text.windows(key.len()).any(|part| part.eq_ignore_ascii_case(key)),
            };
            if matches {
                best = match best {
                    Some(old) if kind == Kind::Beg && old.key.len() < packed.key.len() => Some(packed),
                    old => earlier_or_longer(kind, old, packed),
                };
            }
        }
        best
    }

    fn find_part(&self, kind: Kind, ignore_case: bool, text: &[u8]) -> Option<Packed<'_>> {
        let seek = |hash: Hash, part: &[u8]| self.table.find(hash, |key| same(key, part, ignore_case));
        match kind {
            Kind::Beg => {
                // The longest wins: it is sought first, since in a large set each probe is a cache miss.
                let mut parts: SmallVec<[(usize, Hash); 32]> = SmallVec::new();
                let (mut hash, mut hashed) = (Hash::new(), 0);
                for len in self.lengths.iter().take_while(|len| *len <= text.len()) {
                    hash = hash.extend(&text[hashed..len]);
                    hashed = len;
                    parts.push((len, hash));
                }
                parts.iter().rev().find_map(|(len, hash)| seek(*hash, &text[..*len]))
            }
            Kind::End => self.lengths.iter().take_while(|len| *len <= text.len()).fold(None, |best, len| {
                let part = &text[text.len() - len..];
                earlier(best, seek(Hash::new().extend(part), part))
            }),
            // The others have views of their own.
            _ => None,
        }
    }
}

/// Of two linear matches: beginnings keep the longer, other kinds the older.
fn earlier_or_longer<'t>(kind: Kind, old: Option<Packed<'t>>, new: Packed<'t>) -> Option<Packed<'t>> {
    if kind == Kind::Beg && old.is_some() { old } else { earlier(old, Some(new)) }
}

fn entry(packed: Packed<'_>) -> Entry<'_> {
    Entry { id: packed.id, key: packed.key, value: packed.value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    /// A set of `patterns` (each its own value) among `noise` others, prepared for `kind`.
    fn set(kind: Kind, ignore_case: bool, patterns: &[&str], noise: usize) -> PatternSet {
        let mut set = PatternSet::default();
        for pattern in patterns {
            set.add(pattern.as_bytes(), pattern.as_bytes()).unwrap();
        }
        for n in 0..noise {
            let other = match kind {
                Kind::Ip => format!("99.{}.{}.7", n / 256, n % 256),
                Kind::Int | Kind::Len => format!("{}", 1_000_000 + n),
                Kind::Bin => format!("{n:08x}"),
                _ => format!("^~noise-{n}"),
            };
            set.add(other.as_bytes(), b"noise").unwrap();
        }
        set.prepare(kind, ignore_case).unwrap();
        set
    }

    fn check(kind: Kind, ignore_case: bool, patterns: &[&str], cases: &[(&str, Option<&str>)]) {
        for noise in [0, 40, 3000] {
            let set = set(kind, ignore_case, patterns, noise);
            for (text, expected) in cases {
                let subject = match kind {
                    Kind::Int => Subject::Int(text.parse().unwrap()),
                    Kind::Ip => Subject::Ip(text.parse::<IpAddr>().unwrap()),
                    _ => Subject::Bytes(text.as_bytes()),
                };
                let hit = set.find(kind, ignore_case, subject).map(|hit| String::from_utf8_lossy(hit.value));
                assert_eq!(hit.as_deref(), *expected, "{kind:?} {text} among {noise}");
            }
        }
    }

    #[test]
    fn strings_and_their_parts() {
        check(Kind::Str, false, &["Foo", "bar"], &[("Foo", Some("Foo")), ("foo", None), ("ba", None)]);
        check(Kind::Str, true, &["Foo"], &[("fOO", Some("Foo")), ("fo", None)]);
        let begs = ["/", "/api", "/api/v2"];
        check(
            Kind::Beg,
            false,
            &begs,
            &[
                ("/api/v2/x", Some("/api/v2")),
                ("/api/v", Some("/api")),
                ("/x", Some("/")),
                ("/API", Some("/")),
                ("", None),
            ],
        );
        check(Kind::Beg, true, &["/api"], &[("/APIx", Some("/api"))]);
        check(Kind::End, false, &[".png", ".jpg"], &[("/a.jpg", Some(".jpg")), ("jpg", None)]);
        check(Kind::End, true, &[".png"], &[("/a.PNG", Some(".png"))]);
        let subs = ["two", "one"];
        check(Kind::Sub, false, &subs, &[("a one two", Some("two")), ("xonex", Some("one")), ("on e", None)]);
        check(Kind::Sub, true, &subs, &[("xONEx", Some("one")), ("o", None)]);
    }

    #[test]
    fn whole_parts() {
        let dirs = ["/static/", "a/b"];
        check(
            Kind::Dir,
            false,
            &dirs,
            &[
                ("/x/static/y", Some("/static/")),
                ("/static", Some("/static/")),
                ("/statics", None),
                ("/x/a/b?q", Some("a/b")),
                ("/xa/b", None),
            ],
        );
        check(
            Kind::Dom,
            true,
            &["example.com", ".www."],
            &[
                ("Example.COM", Some("example.com")),
                ("a.example.com:80", Some("example.com")),
                ("myexample.com", None),
                ("www.x", Some(".www.")),
            ],
        );
    }

    #[test]
    fn parts_are_found_as_a_walk_of_the_list_would_find_them() {
        let mut rng = crate::base::rng::Rng::new(3);
        let mut random = |below: u64| rng.next_u64() % below;
        let text = |random: &mut dyn FnMut(u64) -> u64, most: u64| -> Vec<u8> {
            (0..1 + random(most)).map(|_| b"aAb/.?:"[random(7) as usize]).collect()
        };
        for (kind, delimiters) in [(Kind::Dir, &b"/?"[..]), (Kind::Dom, b"/?.:")] {
            let mut sought = PatternSet::default();
            sought.prepare(kind, true).unwrap();
            let mut listed: Vec<(u64, Vec<u8>)> = Vec::new();
            for step in 0..6000 {
                if random(2) == 0 || listed.len() < 5 {
                    let key = text(&mut random, 7);
                    listed.push((sought.add(&key, b"").unwrap(), key));
                } else {
                    let (id, _) = listed.swap_remove(random(listed.len() as u64) as usize);
                    assert!(sought.remove_by_id(id));
                }
                let subject = text(&mut random, 12);
                let is_end = |at: usize| subject.get(at).is_none_or(|byte| delimiters.contains(byte));
                let matches = |key: &[u8]| {
                    let from = key.iter().position(|byte| !delimiters.contains(byte));
                    let Some(from) = from else { return false };
                    let to = key.iter().rposition(|byte| !delimiters.contains(byte)).unwrap_or(0);
                    let word = &key[from..=to];
                    (0..subject.len()).any(|start| {
                        let begins = start == 0 || delimiters.contains(&subject[start - 1]);
                        let part = subject.get(start..start + word.len());
                        begins
                            && is_end(start + word.len())
                            && part.is_some_and(|part| part.eq_ignore_ascii_case(word))
                    })
                };
                let expected = listed.iter().filter(|(_, key)| matches(key)).map(|(id, _)| *id).min();
                let found = sought.find(kind, true, Subject::Bytes(&subject)).map(|hit| hit.id);
                assert_eq!(found, expected, "{step} {:?}", String::from_utf8_lossy(&subject));
            }
        }
    }

    #[test]
    fn numbers_addresses_and_blocks() {
        check(
            Kind::Int,
            false,
            &["5", "10:20", "15", ":0"],
            &[("5", Some("5")), ("15", Some("10:20")), ("-7", Some(":0")), ("21", None)],
        );
        check(Kind::Len, false, &["3", "5:"], &[("abc", Some("3")), ("abcdef", Some("5:")), ("", None)]);
        check(
            Kind::Ip,
            false,
            &["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "0.0.0.0/1"],
            &[
                ("10.1.2.3", Some("10.1.2.3")),
                ("10.1.9.9", Some("10.1.0.0/16")),
                ("10.9.9.9", Some("10.0.0.0/8")),
                ("2001:db8:1::9", Some("2001:db8::/32")),
                ("::ffff:10.1.2.3", Some("10.1.2.3")),
                ("192.168.0.1", None),
                ("2001:db9::", None),
            ],
        );
        check(Kind::Bin, false, &["6162"], &[("ab", Some("6162")), ("6162", None)]);
    }

    #[test]
    fn regular_expressions() {
        check(Kind::Reg, false, &["^/a/[0-9]+$", "b"], &[("/a/12", Some("^/a/[0-9]+$")), ("xb", Some("b"))]);
        check(Kind::Reg, true, &["^abc"], &[("ABCd", Some("^abc")), ("xabc", None)]);
        let mut bad = PatternSet::default();
        bad.add(b"(", b"").unwrap();
        assert!(bad.prepare(Kind::Reg, false).is_err());
    }

    #[test]
    fn changes_reach_every_view() {
        let mut set = set(Kind::Ip, false, &["10.0.0.0/8", "10.1.0.0/16"], 40);
        let old = set.clone();
        let find = |set: &PatternSet| {
            let subject = Subject::Ip("10.1.2.3".parse().unwrap());
            set.find(Kind::Ip, false, subject).map(|hit| (hit.id, hit.value.to_vec()))
        };
        assert_eq!(set.set(b"10.1.0.0/16", b"new"), 1);
        assert_eq!(find(&set).unwrap().1, b"new");
        assert_eq!(find(&old).unwrap().1, b"10.1.0.0/16", "the old version stays as it was");
        let id = set.by_key(b"10.1.0.0/16").unwrap().id;
        assert_eq!(find(&set).unwrap().0, id);
        assert!(set.remove_by_id(id) && !set.remove_by_id(id));
        assert_eq!(find(&set).unwrap().1, b"10.0.0.0/8");
        assert!(set.add(b"nonsense", b"").is_err(), "it is no address");
        assert_eq!((set.len(), set.entries().len()), (41, 41));
    }
}
