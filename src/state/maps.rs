//! Live contents of map and ACL files: looked up without a lock by every core, changed by the
//! control thread and by rules.
//!
//! The contents are an immutable [`PatternSet`] behind an atomic pointer. A change makes the next
//! set, which shares all but a few hundred entries with its predecessor, and publishes it: a
//! lookup costs one atomic load and never waits, and a change to a million entries costs
//! microseconds. All expressions that name a file share its contents; each asks for the match
//! kind it needs ([`LiveMap::use_as`]), and the set keeps a view for it from then on.
//!
//! Changes wait for each other behind a lock that is held for microseconds: a caller with many entries adds
//! them in slices ([`LiveMap::add_all`]), and what reads all of them reads a version without it.
//!
//! Nothing here touches a file: loading gets text, and write-back takes [`LiveMap::render`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::{ArcSwap, Guard};

use crate::pattern::file::lines;
use crate::pattern::{BadPattern, Kind, PatternSet};

/// Versions prepared and not yet committed; more than any sane updater leaves behind.
const PREPARED_MAX: usize = 64;
/// Bytes of a description after which further users are not named.
const DESCRIPTION_MAX: usize = 4096;

/// The contents of one map or ACL file, shared by every expression that names it, or the patterns that
/// an ACL's line holds itself.
#[derive(Debug)]
pub struct LiveMap {
    /// The number that `-u` gives it in `show map` / `show acl`; others are numbered by the registry.
    pub wanted_id: Option<u32>,
    /// The file's name as configured: its identifier in the runtime API. Patterns of a line have none.
    pub name: Box<str>,
    /// A map has values; a list of patterns has none.
    pub is_map: bool,
    current: ArcSwap<PatternSet>,
    dirty: AtomicBool,
    /// The control thread was told of a change and has not looked yet.
    announced: AtomicBool,
    /// Whether it is no longer what the configuration brought.
    changed: AtomicBool,
    used_by_acls: AtomicBool,
    used_by_maps: AtomicBool,
    control: Mutex<Control>,
}

/// What only changes need; the lock orders them.
#[derive(Debug, Default)]
struct Control {
    /// What it is and where it is used, as `show map` / `show acl` describe it.
    description: String,
    /// The ways in which it is looked up, in the order of their appearance.
    uses: Vec<(Kind, bool)>,
    /// The version that readers see, and the number of the newest one made.
    current_version: u32,
    next_version: u32,
    prepared: BTreeMap<u32, PatternSet>,
    /// Comments and blank lines in front of the first pattern, kept for write-back.
    preamble: Vec<u8>,
    /// What the file held when it was loaded, to tell whether a reload brings anything new.
    loaded: Option<u64>,
    /// The contents that a reload brings once its configuration is accepted.
    staged: Option<(PatternSet, Vec<u8>, u64)>,
}

/// A line of a file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number from 1.
    pub line: u32,
    /// What is wrong.
    pub error: BadPattern,
}

/// What [`LiveMap::set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upsert {
    /// The key was new.
    Added,
    /// So many entries got the value.
    Changed(usize),
}

impl LiveMap {
    /// An empty one.
    pub fn new(name: &str, is_map: bool) -> Self {
        LiveMap {
            wanted_id: None,
            name: name.into(),
            is_map,
            current: ArcSwap::default(),
            dirty: AtomicBool::new(false),
            announced: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            used_by_acls: AtomicBool::new(!is_map),
            used_by_maps: AtomicBool::new(is_map),
            control: Mutex::default(),
        }
    }
    /// The patterns of an ACL's line, which are looked up in one way only.
    pub fn of_line(
        wanted_id: Option<u32>,
        description: &str,
        patterns: PatternSet,
        kind: Kind,
        ignore_case: bool,
    ) -> Self {
        let mut made = LiveMap::new("", false);
        made.wanted_id = wanted_id;
        made.current.store(Arc::new(patterns));
        let control = made.control.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        control.description = description.to_owned();
        control.uses.push((kind, ignore_case));
        made
    }
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The contents now. Lock-free; hold it no longer than a lookup.
    #[inline]
    pub fn load(&self) -> Guard<Arc<PatternSet>> {
        self.current.load()
    }
    /// The contents now, to keep: what `show map` walks through.
    pub fn snapshot(&self) -> Arc<PatternSet> {
        self.current.load_full()
    }
    /// The contents of a version that was prepared, or of the current one.
    pub fn version(&self, version: u32) -> Option<Arc<PatternSet>> {
        let control = self.control();
        if version == control.current_version {
            return Some(self.snapshot());
        }
        control.prepared.get(&version).cloned().map(Arc::new)
    }
    /// Whether it was changed since the configuration was loaded: until then, an expression that kept the patterns that
    /// it was made of needs not ask for its contents.
    #[inline]
    pub fn is_changed(&self) -> bool {
        self.changed.load(Acquire)
    }
    /// Notes a use: an ACL or a map, and where, for the description.
    pub fn describe(&self, by_map: bool, file: &str, line: u32) {
        let (flag, user) = match by_map {
            true => (&self.used_by_maps, "map"),
            false => (&self.used_by_acls, "acl"),
        };
        flag.store(true, Release);
        let mut control = self.control();
        let place = format!("by {user} at file '{file}' line {line}");
        if control.description.is_empty() {
            control.description = format!("pattern loaded from file '{}' used {place}", self.name);
        } else if control.description.len() < DESCRIPTION_MAX && !control.description.contains(&place) {
            control.description.push_str(", ");
            control.description.push_str(&place);
        }
    }
    /// What it is and where it is used.
    pub fn description(&self) -> String {
        self.control().description.clone()
    }
    /// Whether a map, or an ACL, uses it.
    pub fn is_used_by(&self, maps: bool) -> bool {
        if maps { self.used_by_maps.load(Acquire) } else { self.used_by_acls.load(Acquire) }
    }
    /// Counts as used by ACLs too: a map that an ACL names with `-M`.
    pub fn also_used_by_acls(&self) {
        self.used_by_acls.store(true, Release);
    }
    /// The ways in which it is looked up, each with whether case is ignored.
    pub fn uses(&self) -> Vec<(Kind, bool)> {
        self.control().uses.clone()
    }
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.load().len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The version that readers see (`curr_ver`).
    pub fn current_version(&self) -> u32 {
        self.control().current_version
    }
    /// The number of the newest version made (`next_ver`).
    pub fn next_version(&self) -> u32 {
        self.control().next_version
    }

    /// Takes the text of its file. The first text fills the map at once; a later one that differs
    /// from what was loaded waits for [`LiveMap::apply_staged`], since a configuration that turns
    /// out broken must change nothing. The same text again changes nothing: what was changed at
    /// run time stays.
    pub fn load_text(&self, text: &[u8]) -> Result<(), BadLine> {
        let digest = crate::base::hash::xxh64(text, 0);
        let mut control = self.control();
        let staged = control.staged.as_ref().map(|(_, _, digest)| *digest);
        if staged.or(control.loaded) == Some(digest) {
            return Ok(());
        }
        let current = self.current.load();
        let mut set = current.emptied(memchr::memchr_iter(b'\n', text).count());
        let mut preamble_lines = None;
        for line in lines(text, self.is_map) {
            preamble_lines.get_or_insert(line.number as usize - 1);
            set.add(line.key, line.value).map_err(|error| BadLine { line: line.number, error })?;
        }
        set.shrink();
        let preamble: Vec<u8> = text
            .split_inclusive(|byte| *byte == b'\n')
            .take(preamble_lines.unwrap_or(0))
            .flatten()
            .copied()
            .collect();
        if control.loaded.is_some() {
            control.staged = Some((set, preamble, digest));
        } else {
            control.preamble = preamble;
            control.loaded = Some(digest);
            self.current.store(Arc::new(set));
        }
        Ok(())
    }
    /// Publishes what a reload has brought, if anything; tells whether it did.
    pub fn apply_staged(&self) -> bool {
        let mut control = self.control();
        let Some((set, preamble, digest)) = control.staged.take() else { return false };
        control.preamble = preamble;
        control.loaded = Some(digest);
        control.prepared.clear();
        self.current.store(Arc::new(set));
        self.changed.store(true, Release);
        self.dirty.store(false, Release);
        true
    }
    /// Forgets what a refused reload has brought.
    pub fn discard_staged(&self) {
        self.control().staged = None;
    }
    /// Makes it answer lookups of this kind; fails on the first entry that has no meaning there.
    pub fn use_as(&self, kind: Kind, ignore_case: bool) -> Result<(), BadPattern> {
        let mut control = self.control();
        let mut set = PatternSet::clone(&self.current.load());
        set.prepare(kind, ignore_case)?;
        if let Some((staged, _, _)) = &mut control.staged {
            staged.prepare(kind, ignore_case)?;
        }
        for prepared in control.prepared.values_mut() {
            prepared.prepare(kind, ignore_case)?;
        }
        if !control.uses.contains(&(kind, ignore_case)) {
            control.uses.push((kind, ignore_case));
        }
        self.current.store(Arc::new(set));
        Ok(())
    }

    /// Changes the current version and publishes the outcome.
    fn change<T>(&self, change: impl FnOnce(&mut PatternSet) -> T) -> T {
        let _control = self.control();
        let mut set = PatternSet::clone(&self.current.load());
        let outcome = change(&mut set);
        self.current.store(Arc::new(set));
        self.changed.store(true, Release);
        self.dirty.store(true, Release);
        outcome
    }
    /// Adds an entry at the end, beside others of the same key (`add map`, `add acl`).
    pub fn add(&self, key: &[u8], value: &[u8]) -> Result<u64, BadPattern> {
        self.change(|set| set.add(key, value))
    }
    /// Adds entries with one publication: how many, and why the next one could not be added.
    pub fn add_all<'t>(
        &self,
        entries: impl Iterator<Item = (&'t [u8], &'t [u8])>,
    ) -> (usize, Result<(), BadPattern>) {
        let mut added = 0;
        let outcome = self.change(|set| {
            for (key, value) in entries {
                set.add(key, value)?;
                added += 1;
            }
            Ok(())
        });
        (added, outcome)
    }
    /// Gives every entry of this key another value, or adds one if there is none (`set map`).
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<Upsert, BadPattern> {
        self.change(|set| match set.set(key, value) {
            0 => set.add(key, value).map(|_| Upsert::Added),
            changed => Ok(Upsert::Changed(changed)),
        })
    }
    /// Gives the entry of this reference another value; false if there is none.
    pub fn set_by_id(&self, id: u64, value: &[u8]) -> bool {
        self.change(|set| set.set_by_id(id, value))
    }
    /// Removes every entry of this key; tells how many there were (`del map`).
    pub fn remove(&self, key: &[u8]) -> usize {
        self.change(|set| set.remove(key))
    }
    /// Removes the entry of this reference; false if there is none.
    pub fn remove_by_id(&self, id: u64) -> bool {
        self.change(|set| set.remove_by_id(id))
    }
    /// Removes every entry (`clear map`).
    pub fn clear(&self) {
        self.change(|set| *set = set.emptied(0));
    }

    /// Makes a new, empty version that readers do not see yet; returns its number (`prepare map`).
    pub fn prepare(&self) -> u32 {
        let mut control = self.control();
        control.next_version = control.next_version.wrapping_add(1).max(1);
        let (version, empty) = (control.next_version, self.current.load().emptied(0));
        control.prepared.insert(version, empty);
        if control.prepared.len() > PREPARED_MAX {
            control.prepared.pop_first();
        }
        version
    }
    /// Adds an entry to a version (`add map @<ver>`); `None` if there is no such version.
    pub fn add_to(&self, version: u32, key: &[u8], value: &[u8]) -> Option<Result<u64, BadPattern>> {
        if version == self.current_version() {
            return Some(self.add(key, value));
        }
        self.control().prepared.get_mut(&version).map(|set| set.add(key, value))
    }
    /// Drops a prepared version, or empties the current one (`clear map @<ver>`); false if there
    /// is no such version.
    pub fn clear_version(&self, version: u32) -> bool {
        if version == self.current_version() {
            self.clear();
            return true;
        }
        self.control().prepared.remove(&version).is_some()
    }
    /// Makes a prepared version the one that readers see, and drops all older ones
    /// (`commit map @<ver>`); false if there is no such version.
    pub fn commit(&self, version: u32) -> bool {
        let Some(mut set) = self.control().prepared.remove(&version) else { return false };
        set.shrink();
        let mut control = self.control();
        control.prepared = control.prepared.split_off(&version);
        control.current_version = version;
        self.current.store(Arc::new(set));
        self.changed.store(true, Release);
        self.dirty.store(true, Release);
        true
    }

    /// Whether it was changed since it was loaded or last written back.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Acquire)
    }
    /// Whether it was changed, once: the caller writes it back.
    pub fn take_dirty(&self) -> bool {
        self.dirty.swap(false, AcqRel)
    }
    /// Whether the control thread must be told of a change: it has not been since it [heard](Self::heard).
    pub fn announce(&self) -> bool {
        !self.announced.swap(true, AcqRel)
    }
    /// The control thread looks at the change now.
    pub fn heard(&self) {
        self.announced.store(false, Release);
    }
    /// It could not be written back.
    pub fn set_dirty(&self) {
        self.dirty.store(true, Release);
    }
    /// The text that would load as what it holds now. The caller writes it to the file, and the
    /// next load finds nothing new in it. A change of the map does not wait for it.
    pub fn render(&self) -> Rendered {
        let (mut text, set) = {
            let control = self.control();
            (control.preamble.clone(), self.snapshot())
        };
        let (mut left_out, mut example) = (0, None);
        let mut line = Vec::new();
        for entry in set.entries() {
            line.clear();
            if entry.key.starts_with(b"#") {
                line.push(b' '); // a blank in front does not count, and what follows is no comment
            }
            line.extend_from_slice(entry.key);
            if self.is_map {
                line.push(b' ');
                line.extend_from_slice(entry.value);
            }
            // A file cannot say everything that a map can hold, such as a key with a blank.
            let mut read = lines(&line, self.is_map);
            let same = read.next().is_some_and(|read| read.key == entry.key && read.value == entry.value);
            if same && read.next().is_none() {
                text.extend_from_slice(&line);
                text.push(b'\n');
            } else {
                left_out += 1;
                example.get_or_insert_with(|| entry.key.to_vec());
            }
        }
        self.control().loaded = Some(crate::base::hash::xxh64(&text, 0));
        Rendered { text, left_out, example }
    }
}

/// A map as the text of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: Vec<u8>,
    /// Entries that no line of a file can say.
    pub left_out: usize,
    /// The key of the first of them.
    pub example: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Subject;

    fn get(map: &LiveMap, key: &str) -> Option<String> {
        map.load()
            .find(Kind::Str, false, Subject::Bytes(key.as_bytes()))
            .map(|hit| String::from_utf8_lossy(hit.value).into_owned())
    }

    fn map(text: &str) -> LiveMap {
        let map = LiveMap::new("hosts.map", true);
        map.load_text(text.as_bytes()).unwrap();
        map
    }

    #[test]
    fn changes_by_key_and_reference() {
        let map = map("a 1\nb 2\n");
        assert!(!map.is_dirty());
        assert_eq!(map.set(b"a", b"one"), Ok(Upsert::Changed(1)));
        assert_eq!(map.set(b"c", b"3"), Ok(Upsert::Added), "a missing key is added");
        assert_eq!((get(&map, "a"), get(&map, "c")), (Some("one".into()), Some("3".into())));
        let id = map.snapshot().by_key(b"b").unwrap().id;
        assert!(map.set_by_id(id, b"two") && map.remove_by_id(id) && !map.remove_by_id(id));
        assert_eq!((get(&map, "b"), map.remove(b"a"), map.len()), (None, 1, 1));
        assert!(map.take_dirty() && !map.take_dirty());
        map.clear();
        assert!(map.is_empty());
    }

    #[test]
    fn versions_swap_at_once() {
        let map = map("a 1\n");
        let version = map.prepare();
        assert_eq!((version, map.current_version(), map.next_version()), (1, 0, 1));
        assert!(map.add_to(version, b"a", b"2").unwrap().is_ok());
        assert!(map.add_to(9, b"a", b"2").is_none());
        assert_eq!(get(&map, "a").as_deref(), Some("1"), "not committed yet");
        assert!(map.commit(version) && !map.commit(version));
        assert_eq!((get(&map, "a").as_deref(), map.current_version()), (Some("2"), 1));
    }

    #[test]
    fn writes_back_what_it_would_load() {
        let map = map("# sites\n\na 1\nb two words\n# late\n");
        assert_eq!(map.add(b"c", b"3").map(|_| ()), Ok(()));
        let text = map.render().text;
        assert_eq!(text, b"# sites\n\na 1\nb two words\nc 3\n");
        map.load_text(&text).unwrap();
        assert!(!map.apply_staged(), "its own text brings nothing new");
    }

    #[test]
    fn what_a_line_cannot_say_is_left_out_and_counted() {
        for (is_map, entries, expected, left_out) in [
            (true, &[("#a", "1"), ("b", "#2"), ("c", "")][..], " #a 1\nb #2\nc \n", 0),
            (true, &[("Mozilla 5.0", "1"), ("a", "two words"), ("t\tb", "1")], "a two words\n", 2),
            (true, &[("a", " x"), ("b", "x\ny"), ("", "x"), ("c\r", "x"), ("d", "x")], "d x\n", 4),
            (false, &[("two words", ""), ("#x", ""), (" a", ""), ("a ", "")], "two words\n #x\na \n", 1),
        ] {
            let map = LiveMap::new("m", is_map);
            let pairs = entries.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()));
            assert_eq!(map.add_all(pairs), (entries.len(), Ok(())));
            let rendered = map.render();
            assert_eq!(String::from_utf8_lossy(&rendered.text), expected);
            assert_eq!(rendered.left_out, left_out, "{expected}");
            let again = LiveMap::new("m", is_map);
            again.load_text(&rendered.text).unwrap();
            assert_eq!(again.render().text, rendered.text);
            assert_eq!(again.len() + left_out, entries.len());
        }
    }

    #[test]
    fn a_reload_applies_only_new_text_and_only_when_told() {
        let map = map("a 1\n");
        map.set(b"a", b"runtime").unwrap();
        map.load_text(b"a 1\n").unwrap();
        assert!(!map.apply_staged());
        assert_eq!(get(&map, "a").as_deref(), Some("runtime"), "the file is the same: the change stays");
        map.load_text(b"a 2\n").unwrap();
        assert_eq!(get(&map, "a").as_deref(), Some("runtime"));
        map.discard_staged();
        assert!(!map.apply_staged());
        map.load_text(b"a 2\n").unwrap();
        assert!(map.apply_staged());
        assert_eq!(get(&map, "a").as_deref(), Some("2"));
    }

    #[test]
    fn a_view_lives_through_changes_and_versions() {
        let map = map("10.0.0.0/8 ten\n");
        map.use_as(Kind::Ip, false).unwrap();
        assert!(map.use_as(Kind::Int, false).is_err(), "a network is no number");
        let find = |text: &str| {
            let set = map.load();
            let subject = Subject::Ip(text.parse().unwrap());
            set.find(Kind::Ip, false, subject).map(|hit| hit.value.to_vec())
        };
        map.add(b"10.1.0.0/16", b"more").unwrap();
        assert_eq!((find("10.1.1.1"), find("10.2.1.1")), (Some(b"more".to_vec()), Some(b"ten".to_vec())));
        let version = map.prepare();
        map.add_to(version, b"10.2.0.0/16", b"new").unwrap().unwrap();
        map.commit(version);
        assert_eq!((find("10.1.1.1"), find("10.2.1.1")), (None, Some(b"new".to_vec())));
        assert!(map.add(b"x", b"").is_err());
    }

    #[test]
    fn many_entries_cost_little_memory() {
        let text: String =
            (0..50_000).map(|n| format!("customer-{n:08}.example.com shard-web-{:05}\n", n)).collect();
        let map = map(&text);
        let each = map.load().memory() / map.len();
        assert!(each <= 150, "{each} bytes an entry");
        assert_eq!(get(&map, "customer-00031415.example.com").as_deref(), Some("shard-web-31415"));
    }
}
