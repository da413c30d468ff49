//! All matches of one subject, with a bound to what seeking them costs.
//!
//! One search is linear, but as many of them as the subject has bytes are not: `a.*c|a` reads every 'a' up to
//! the end, for a 'c' that could follow. How far a search reads depends on the pattern and the subject, and
//! the engines do not tell. So each search is first taken to read all of the rest. Where that sum would pass
//! the bound, an automaton that only counts follows the next searches and tells what they read.

use pcre2::bytes as back_tracking;
use regex::bytes as linear;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Input, nfa::thompson, util::syntax};

use super::{Captures, Engine, GROUPS_MAX, Regex, before_newline};

/// Searches to the end of a subject, in all; for what may have read that far and for what has.
const WHOLE_SEARCHES: usize = 16;
/// What a shorter subject counts as: its searches cost little.
const SUBJECT_MIN: usize = 16384;
/// Steps of a back-tracking search that is cheap.
const CHEAP_STEPS: u32 = 64;
/// Searches of one subject that take more steps.
const DEAR_SEARCHES: usize = 8;

/// What measures the searches of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Gauge {
    /// Follows a linear search.
    Automaton(Box<DFA>),
    /// The pattern itself, with a low limit of steps.
    Cheap(Box<back_tracking::Regex>),
}

/// The matches are too dear to find: the bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooDear;

impl Gauge {
    /// The one for `engine`, whose pattern in the engine's own spelling is `text`.
    pub(super) fn new(regex: &Regex, ignore_case: bool) -> Result<Gauge, String> {
        match &regex.engine {
            Engine::Linear { regex, .. } => {
                let automaton = DFA::builder()
                    .configure(DFA::config().skip_cache_capacity_check(true))
                    .syntax(syntax::Config::new().unicode(false).utf8(false).case_insensitive(ignore_case))
                    .thompson(thompson::Config::new().utf8(false))
                    .build(regex.as_str());
                automaton.map(|automaton| Gauge::Automaton(Box::new(automaton))).map_err(|e| e.to_string())
            }
            Engine::BackTracking(_) => {
                let cheap = super::back_tracking(&regex.text, ignore_case, CHEAP_STEPS)?;
                Ok(Gauge::Cheap(Box::new(cheap)))
            }
        }
    }
}

/// Searches in one subject, each from where the caller says.
#[derive(Debug)]
pub struct Successive<'r, 's> {
    regex: &'r Regex,
    subject: &'s [u8],
    /// Room for groups, if those beside the whole match are wanted.
    locations: Option<linear::CaptureLocations>,
    /// What the searches up to now may have read.
    presumed: usize,
    /// What those after them have read.
    read: usize,
    cache: Option<Cache>,
    dear: usize,
}

impl<'r, 's> Successive<'r, 's> {
    pub(super) fn new(regex: &'r Regex, subject: &'s [u8], groups: bool) -> Self {
        let locations = match &regex.engine {
            Engine::Linear { regex, .. } if groups => Some(regex.capture_locations()),
            _ => None,
        };
        Successive { regex, subject, locations, presumed: 0, read: 0, cache: None, dear: 0 }
    }

    /// The first match that starts at `start` or later.
    pub fn find(&mut self, start: usize) -> Result<Option<Captures<'s>>, TooDear> {
        match (&self.regex.engine, self.regex.gauge.as_deref()) {
            (Engine::Linear { regex, ends }, gauge) => {
                self.charge(gauge, *ends, start)?;
                let whole = self.linear(regex, self.subject, start);
                let shorter = before_newline(*ends, self.subject)
                    .filter(|shorter| start <= shorter.len())
                    .and_then(|shorter| self.linear(regex, shorter, start));
                let groups = super::leftmost(whole, shorter);
                Ok(groups.map(|groups| Captures { subject: self.subject, groups }))
            }
            (Engine::BackTracking(full), gauge) => {
                if let Some(Gauge::Cheap(cheap)) = gauge {
                    match super::back_tracking_groups(cheap, self.subject, start) {
                        Ok(groups) => {
                            return Ok(groups.map(|groups| Captures { subject: self.subject, groups }));
                        }
                        Err(_) => self.dear += 1,
                    }
                    if self.dear > DEAR_SEARCHES {
                        return Err(TooDear);
                    }
                }
                let groups = super::back_tracking_groups(full, self.subject, start).ok().flatten();
                Ok(groups.map(|groups| Captures { subject: self.subject, groups }))
            }
        }
    }

    fn linear(&mut self, regex: &linear::Regex, subject: &[u8], start: usize) -> Option<super::Groups> {
        let Some(locations) = &mut self.locations else {
            let found = regex.find_at(subject, start)?;
            let mut groups = [None; GROUPS_MAX];
            groups[0] = Some((found.start(), found.end()));
            return Some(groups);
        };
        regex.captures_read_at(locations, subject, start)?;
        Some(super::groups_of(locations.len(), |index| locations.get(index)))
    }

    /// Counts the search from `start`, before it is made.
    fn charge(&mut self, gauge: Option<&Gauge>, ends: bool, start: usize) -> Result<(), TooDear> {
        let bound = self.subject.len().max(SUBJECT_MIN) * WHOLE_SEARCHES;
        let rest = self.subject.len().saturating_sub(start);
        if self.presumed + rest <= bound {
            self.presumed += rest;
            return Ok(());
        }
        let Some(Gauge::Automaton(automaton)) = gauge else { return Err(TooDear) };
        let cache = self.cache.get_or_insert_with(|| automaton.create_cache());
        self.read += read(automaton, cache, self.subject, start);
        if let Some(shorter) = before_newline(ends, self.subject).filter(|shorter| start <= shorter.len()) {
            self.read += read(automaton, cache, shorter, start);
        }
        if self.read > bound { Err(TooDear) } else { Ok(()) }
    }
}

/// How many bytes a search from `start` reads.
fn read(automaton: &DFA, cache: &mut Cache, subject: &[u8], start: usize) -> usize {
    let rest = &subject[start..];
    let Ok(mut state) = automaton.start_state_forward(cache, &Input::new(subject).range(start..)) else {
        return rest.len();
    };
    for (at, byte) in rest.iter().enumerate() {
        match automaton.next_state(cache, state, *byte) {
            Ok(next) if !next.is_dead() && !next.is_quit() => state = next,
            Ok(_) => return at + 1,
            Err(_) => return rest.len(),
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often `pattern` matches in `subject`, if that is not too dear, and what its searches read beyond
    /// what they were taken to.
    fn count(pattern: &str, subject: &[u8]) -> (Result<usize, TooDear>, usize) {
        let regex = Regex::new(pattern, false).unwrap().for_all_matches(false).unwrap();
        let mut searches = regex.successive(subject, true);
        let (mut at, mut found) = (0, 0);
        loop {
            match searches.find(at) {
                Ok(Some(captures)) => {
                    found += 1;
                    at = captures.range(0).unwrap().1;
                }
                Ok(None) => return (Ok(found), searches.read),
                Err(TooDear) => return (Err(TooDear), searches.read),
            }
        }
    }

    #[test]
    fn what_all_searches_read_is_bounded() {
        let subject = [b'a'; 13_000];
        let bound = WHOLE_SEARCHES * SUBJECT_MIN;
        // Each search reads up to the end for a 'c', or for what a newline at the end hides.
        for (pattern, end) in [("a.*c|a", ""), ("a[^b]*b|a", ""), ("(a.*c$|a)", "\n"), ("a(?=.*c)|a", "")] {
            let subject = [&subject[..], end.as_bytes()].concat();
            let (found, read) = count(pattern, &subject);
            assert_eq!(found, Err(TooDear), "{pattern}");
            assert!(read <= bound + 2 * subject.len(), "{pattern}: {read}");
        }
        // These read little more than what they match, so each match is found, however many there are.
        for (pattern, expected) in [
            ("a", 13_000),
            ("a{1,3}", 4334),
            ("[a-z]+", 1),
            ("(a)", 13_000),
            ("a$|a", 13_000),
            ("a(?=a)", 12_999),
        ] {
            assert_eq!(count(pattern, &subject).0, Ok(expected), "{pattern}");
        }
        let words = "ab  ".repeat(3_000);
        assert_eq!(count("\\s+", words.as_bytes()).0, Ok(3_000));
        assert_eq!(count("(\\w+)\\s+", words.as_bytes()).0, Ok(3_000));
        // A pattern that reads far is no harm in a short subject.
        assert_eq!(count("a.*c|a", &subject[..500]).0, Ok(500));
    }
}
