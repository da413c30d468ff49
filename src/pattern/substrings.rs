//! Patterns sought anywhere in a text (`-m sub`): one pass over the text, whatever their lengths.
//!
//! An automaton of all patterns (Aho and Corasick's) is stepped byte by byte; beside each of its states
//! stands the oldest pattern that ends there, so that nothing is listed. Automatons do not change. What is
//! added while running is compared one by one until it is enough for an automaton of its own, which takes up
//! those that are not much larger: adding costs little, and a lookup walks few of them. What was removed is
//! passed over until its automaton is made anew.

use std::collections::HashSet;
use std::sync::Arc;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, PatternID};
use rustc_hash::FxHashMap;

use super::index::same;

/// Patterns that are compared one by one before they become an automaton.
const LOOSE_MAX: usize = 16;
/// The part of an automaton's patterns that may have been removed before it is made anew: one in so many.
const REMOVED_SHARE: usize = 4;

/// The patterns, by reference; the lower is the older.
#[derive(Clone, Debug)]
pub(super) struct Substrings {
    ignore_case: bool,
    /// From the largest to the smallest.
    levels: Vec<Arc<Level>>,
    loose: Vec<(u64, Box<[u8]>)>,
    removed: Arc<HashSet<u64>>,
    /// Not everything is there yet: automatons are made by [`Self::settle`].
    loading: bool,
}

/// An automaton and what it was made of.
#[derive(Debug)]
struct Level {
    automaton: Option<NFA>,
    /// In order of their references; the empty ones apart.
    patterns: Vec<(u64, Box<[u8]>)>,
    /// The oldest pattern that ends in a state, by its place above.
    oldest: FxHashMap<StateID, u32>,
    /// The empty patterns, which are in every text.
    empty: Vec<u64>,
}

impl Level {
    fn new(mut patterns: Vec<(u64, Box<[u8]>)>, ignore_case: bool) -> Level {
        patterns.sort_unstable_by_key(|(id, _)| *id);
        let empty = patterns.iter().filter(|(_, key)| key.is_empty()).map(|(id, _)| *id).collect();
        patterns.retain(|(_, key)| !key.is_empty());
        let keys = patterns.iter().map(|(_, key)| key);
        // It fails beyond 2^31 bytes of patterns: they are compared one by one then.
        let automaton = NFA::builder().ascii_case_insensitive(ignore_case).build(keys).ok();
        let mut oldest = FxHashMap::default();
        if let Some(automaton) = &automaton
            && let Ok(start) = automaton.start_state(Anchored::No)
        {
            // Every state is the beginning of a pattern, so that walking these meets all.
            for (_, key) in &patterns {
                let mut state = start;
                for byte in key {
                    state = automaton.next_state(Anchored::No, state, *byte);
                    if automaton.is_match(state) {
                        oldest.entry(state).or_insert_with(|| {
                            let ends = 0..automaton.match_len(state);
                            ends.map(|at| automaton.match_pattern(state, at).as_u32()).min().unwrap_or(0)
                        });
                    }
                }
            }
        }
        Level { automaton, patterns, oldest, empty }
    }

    /// The oldest pattern in `text` that is not removed.
    fn find(&self, text: &[u8], removed: &HashSet<u64>, ignore_case: bool) -> Option<u64> {
        let id = |place: u32| self.patterns[place as usize].0;
        let mut best = self.empty.iter().copied().find(|id| !removed.contains(id));
        let mut take = |id: u64| best = Some(best.map_or(id, |best| best.min(id)));
        let Some(automaton) = &self.automaton else {
            let found =
                self.patterns.iter().find(|(id, key)| !removed.contains(id) && is_in(key, text, ignore_case));
            return found.map(|(id, _)| *id).into_iter().chain(best).min();
        };
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return best };
        for byte in text {
            state = automaton.next_state(Anchored::No, state, *byte);
            if !automaton.is_match(state) {
                continue;
            }
            let Some(place) = self.oldest.get(&state) else { continue };
            if removed.is_empty() || !removed.contains(&id(*place)) {
                take(id(*place));
                if *place == 0 {
                    break;
                }
            } else {
                let ends = (0..automaton.match_len(state)).map(|at| automaton.match_pattern(state, at));
                let others =
                    ends.map(|place: PatternID| id(place.as_u32())).filter(|id| !removed.contains(id));
                others.min().into_iter().for_each(&mut take);
            }
        }
        best
    }
}

fn is_in(key: &[u8], text: &[u8], ignore_case: bool) -> bool {
    match ignore_case {
        false => memchr::memmem::find(text, key).is_some(),
        true => key.is_empty() || text.windows(key.len()).any(|part| same(part, key, true)),
    }
}

impl Substrings {
    /// None yet.
    pub(super) fn new(ignore_case: bool) -> Substrings {
        Substrings {
            ignore_case,
            levels: Vec::new(),
            loose: Vec::new(),
            removed: Arc::default(),
            loading: true,
        }
    }
    /// Adds a pattern.
    pub(super) fn insert(&mut self, id: u64, key: &[u8]) {
        self.loose.push((id, key.into()));
        if !self.loading && self.loose.len() > LOOSE_MAX {
            self.merge(|level, size| level.patterns.len() <= 2 * size);
        }
    }
    /// Removes a pattern.
    pub(super) fn remove(&mut self, id: u64) {
        let before = self.loose.len();
        self.loose.retain(|(other, _)| *other != id);
        if self.loose.len() < before {
            return;
        }
        Arc::make_mut(&mut self.removed).insert(id);
        let all: usize = self.levels.iter().map(|level| level.patterns.len()).sum();
        if self.removed.len() > LOOSE_MAX.max(all / REMOVED_SHARE) {
            self.merge(|_, _| true);
        }
    }
    /// Everything that was known beforehand is there.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.loading) && self.loose.len() > LOOSE_MAX {
            self.merge(|_, _| false);
        }
    }
    /// Makes an automaton of the loose patterns and of those of the smallest levels, as long as these are `taken`.
    fn merge(&mut self, taken: impl Fn(&Level, usize) -> bool) {
        let mut patterns = std::mem::take(&mut self.loose);
        while let Some(level) = self.levels.pop_if(|level| taken(level, patterns.len())) {
            let kept = level.patterns.iter().filter(|(id, _)| !self.removed.contains(id));
            patterns.extend(kept.cloned());
            let empty = level.empty.iter().filter(|id| !self.removed.contains(id));
            patterns.extend(empty.map(|id| (*id, Box::default())));
        }
        if self.levels.is_empty() {
            self.removed = Arc::default();
        }
        self.levels.push(Arc::new(Level::new(patterns, self.ignore_case)));
    }
    /// The oldest pattern in `text`.
    pub(super) fn find(&self, text: &[u8]) -> Option<u64> {
        let loose =
            self.loose.iter().filter(|(_, key)| is_in(key, text, self.ignore_case)).map(|(id, _)| *id);
        let levels = self.levels.iter().filter_map(|level| level.find(text, &self.removed, self.ignore_case));
        loose.chain(levels).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a list that is walked would give.
    fn slowly(patterns: &[(u64, Vec<u8>)], text: &[u8], ignore_case: bool) -> Option<u64> {
        patterns.iter().filter(|(_, key)| is_in(key, text, ignore_case)).map(|(id, _)| *id).min()
    }

    #[test]
    fn changes_while_running_are_seen_at_once() {
        for ignore_case in [false, true] {
            let mut rng = crate::base::rng::Rng::new(7);
            let mut random = |below: u64| rng.next_u64() % below;
            let (mut all, mut sought) = (Vec::new(), Substrings::new(ignore_case));
            for step in 1..3000u64 {
                if step == 500 {
                    sought.settle();
                }
                if step < 500 || random(3) > 0 {
                    let key: Vec<u8> = (0..1 + random(9)).map(|_| b"abAB"[random(4) as usize]).collect();
                    sought.insert(step, &key);
                    all.push((step, key));
                } else if !all.is_empty() {
                    // The oldest are those that answers name.
                    let at = random(all.len().min(40) as u64) as usize;
                    sought.remove(all.remove(at).0);
                }
                if step > 500 && step.is_multiple_of(7) {
                    let text: Vec<u8> = (0..random(12)).map(|_| b"abAB"[random(4) as usize]).collect();
                    assert_eq!(sought.find(&text), slowly(&all, &text, ignore_case), "{step} {text:?}");
                }
            }
            assert!(sought.levels.len() < 12 && sought.loose.len() <= LOOSE_MAX);
        }
    }

    #[test]
    fn an_empty_pattern_is_everywhere() {
        let mut sought = Substrings::new(false);
        for n in 0..100u64 {
            sought.insert(n, if n == 50 { b"" } else { b"zz" });
        }
        sought.settle();
        assert_eq!(
            (sought.find(b"abc"), sought.find(b"zz"), sought.find(b"")),
            (Some(50), Some(0), Some(50))
        );
        sought.insert(100, b"");
        sought.remove(50);
        assert_eq!(sought.find(b"abc"), Some(100));
    }
}
