//! The machine's memory: resolutions by name, their requesters, questions under way, and when each is due.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{Requester, RequesterId, Status};
use crate::base::clock::Millis;
use crate::resolvers::ids::Ids;
use crate::resolvers::records::Records;
use crate::wire::dns::{Kind, Name};

/// A question under way: the name server, the port (or [`super::STREAM`]) and the number.
pub(super) type QueryKey = (usize, u32, u16);

/// What a question was about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    /// Its resolution.
    pub(super) resolution: u64,
    /// What was asked for.
    pub(super) kind: Kind,
    /// The round of the resolution in which it was asked.
    pub(super) round: u64,
}

/// A name that is resolved.
#[derive(Debug)]
pub(super) struct Resolution {
    /// The name.
    pub(super) name: Name,
    /// What is asked for first.
    pub(super) preferred: Kind,
    /// What is asked for now.
    pub(super) kind: Kind,
    /// How it ended last.
    pub(super) status: Status,
    /// Questions are under way.
    pub(super) running: bool,
    /// How often it may still ask again.
    pub(super) tries_left: u32,
    /// Counts the times at which all name servers were asked.
    pub(super) round: u64,
    /// Name servers that were asked in this round.
    pub(super) asked: usize,
    /// Those that have answered with an error.
    pub(super) answered: usize,
    /// When they were asked.
    pub(super) asked_at: Millis,
    /// When it ended last.
    pub(super) resolved_at: Option<Millis>,
    /// When a valid answer came last; at first, when it began.
    pub(super) valid_at: Millis,
    /// Its requesters, in order of arrival.
    pub(super) requesters: Vec<RequesterId>,
    /// What is known.
    pub(super) records: Records,
    queries: VecDeque<QueryKey>,
    due: Option<Millis>,
}

impl Resolution {
    /// Whether what is known is younger than `fresh_ms`.
    pub(super) fn is_fresh(&self, now: Millis, fresh_ms: Millis) -> bool {
        self.status == Status::Valid && self.resolved_at.is_some_and(|at| now < at.saturating_add(fresh_ms))
    }
    /// All name servers are about to be asked.
    pub(super) fn begin_round(&mut self, now: Millis) {
        self.round += 1;
        (self.asked, self.answered, self.asked_at) = (0, 0, now);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    resolutions: HashMap<u64, Resolution>,
    by_question: HashMap<(Name, Kind), u64>,
    requesters: HashMap<RequesterId, Requester>,
    queries: HashMap<QueryKey, Query>,
    timers: BTreeSet<(Millis, u64)>,
    /// Requesters that are servers or services.
    lasting: usize,
    numbers: u64,
}

/// How often a free number is looked for before the question is given up.
const NUMBER_TRIES: usize = 100;

impl Table {
    fn next(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
    /// The resolution of a name.
    pub(super) fn find(&self, name: &Name, kind: Kind) -> Option<u64> {
        self.by_question.get(&(name.clone(), kind)).copied()
    }
    /// A new resolution, without requesters.
    pub(super) fn create(&mut self, name: Name, preferred: Kind, now: Millis) -> u64 {
        let id = self.next();
        self.by_question.insert((name.clone(), preferred), id);
        self.resolutions.insert(
            id,
            Resolution {
                name,
                preferred,
                kind: preferred,
                status: Status::None,
                running: false,
                tries_left: 0,
                round: 0,
                asked: 0,
                answered: 0,
                asked_at: now,
                resolved_at: None,
                valid_at: now,
                requesters: Vec::new(),
                records: Records::default(),
                queries: VecDeque::new(),
                due: None,
            },
        );
        id
    }
    /// A resolution that exists: ids come from this table and go with the resolution.
    pub(super) fn resolution(&mut self, id: u64) -> &mut Resolution {
        self.resolutions.get_mut(&id).expect("whoever holds an id of a resolution is gone before it")
    }
    /// Forgets a resolution, its questions and its time.
    pub(super) fn remove(&mut self, id: u64) {
        let Some(resolution) = self.resolutions.remove(&id) else { return };
        self.by_question.remove(&(resolution.name, resolution.preferred));
        for key in resolution.queries {
            self.queries.remove(&key);
        }
        if let Some(due) = resolution.due {
            self.timers.remove(&(due, id));
        }
    }
    /// Ends the questions of a resolution.
    pub(super) fn end(&mut self, id: u64, now: Millis) -> &mut Resolution {
        let resolution = self.resolutions.get_mut(&id).expect("the resolution that ends exists");
        for key in resolution.queries.drain(..) {
            self.queries.remove(&key);
        }
        resolution.running = false;
        resolution.kind = resolution.preferred;
        resolution.resolved_at = Some(now);
        resolution
    }
    /// Names that only rules want, or wanted; names that several servers share count for less than they are.
    pub(super) fn rule_names(&self) -> usize {
        self.resolutions.len().saturating_sub(self.lasting)
    }
    /// Whether only rules want the name.
    pub(super) fn is_for_rules(&self, id: u64) -> bool {
        let Some(resolution) = self.resolutions.get(&id) else { return true };
        let is_rule =
            |id: &RequesterId| self.requesters.get(id).is_none_or(|requester| !requester.is_lasting());
        resolution.requesters.iter().all(is_rule)
    }

    /// What is known of the names that servers and services want, without users.
    pub(super) fn lasting_records(&self) -> HashMap<(Name, Kind), Records> {
        let lasting = self.resolutions.iter().filter(|(id, _)| !self.is_for_rules(**id));
        lasting.map(|(_, known)| ((known.name.clone(), known.preferred), known.records.unused())).collect()
    }
    /// The records of a requester's name.
    pub(super) fn records_of(&self, id: RequesterId) -> Option<&Records> {
        let requester = self.requesters.get(&id)?;
        self.resolutions.get(&requester.resolution).map(|resolution| &resolution.records)
    }

    /// Adds a requester of a name.
    pub(super) fn add_requester(&mut self, requester: Requester) -> RequesterId {
        let id = RequesterId(self.next());
        self.resolution(requester.resolution).requesters.push(id);
        self.lasting += usize::from(requester.is_lasting());
        self.requesters.insert(id, requester);
        id
    }
    /// A requester.
    pub(super) fn requester(&self, id: RequesterId) -> Option<&Requester> {
        self.requesters.get(&id)
    }
    /// A requester.
    pub(super) fn requester_mut(&mut self, id: RequesterId) -> Option<&mut Requester> {
        self.requesters.get_mut(&id)
    }
    /// Removes a requester, and tells whether it was the last one of its name.
    pub(super) fn remove_requester(&mut self, id: RequesterId) -> Option<(Requester, bool)> {
        let requester = self.requesters.remove(&id)?;
        self.lasting -= usize::from(requester.is_lasting());
        let resolution = self.resolution(requester.resolution);
        resolution.requesters.retain(|known| *known != id);
        let is_last = resolution.requesters.is_empty();
        Some((requester, is_last))
    }

    /// A number that no question from this port has.
    pub(super) fn free_number(&self, nameserver: usize, port: u32, ids: &mut Ids) -> Option<u16> {
        let is_free = |number: &u16| !self.queries.contains_key(&(nameserver, port, *number));
        std::iter::repeat_with(|| ids.next()).take(NUMBER_TRIES).find(is_free)
    }
    /// A question goes out.
    pub(super) fn add_query(&mut self, key: QueryKey, query: Query) {
        self.resolution(query.resolution).queries.push_back(key);
        self.queries.insert(key, query);
    }
    /// A question under way.
    pub(super) fn query(&self, key: QueryKey) -> Option<Query> {
        self.queries.get(&key).copied()
    }
    /// A question is answered, or could not be sent.
    pub(super) fn take_query(&mut self, key: QueryKey) -> Option<Query> {
        let query = self.queries.remove(&key)?;
        self.resolution(query.resolution).queries.retain(|known| *known != key);
        Some(query)
    }
    /// Keeps the newest `max` questions of a resolution.
    pub(super) fn forget_oldest_queries(&mut self, id: u64, max: usize) {
        let Some(resolution) = self.resolutions.get_mut(&id) else { return };
        while resolution.queries.len() > max {
            if let Some(key) = resolution.queries.pop_front() {
                self.queries.remove(&key);
            }
        }
    }
    /// The name servers that have not answered in this round.
    pub(super) fn silent(&self, id: u64) -> Vec<usize> {
        let Some(resolution) = self.resolutions.get(&id) else { return Vec::new() };
        let is_current =
            |key: &&QueryKey| self.queries.get(*key).is_some_and(|query| query.round == resolution.round);
        resolution.queries.iter().filter(is_current).map(|key| key.0).collect()
    }

    /// Sets when a resolution is to be looked at.
    pub(super) fn set_due(&mut self, id: u64, due: Millis) {
        let Some(resolution) = self.resolutions.get_mut(&id) else { return };
        if let Some(old) = resolution.due.replace(due) {
            self.timers.remove(&(old, id));
        }
        self.timers.insert((due, id));
    }
    /// When the next resolution is to be looked at.
    pub(super) fn due(&self) -> Option<Millis> {
        self.timers.first().map(|(due, _)| *due)
    }
    /// The next resolution that is to be looked at now.
    pub(super) fn pop_due(&mut self, now: Millis) -> Option<u64> {
        let (due, id) = *self.timers.first()?;
        if due > now {
            return None;
        }
        self.timers.pop_first();
        self.resolution(id).due = None;
        Some(id)
    }
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize, usize) {
        (self.resolutions.len(), self.requesters.len(), self.queries.len(), self.timers.len())
    }
}
