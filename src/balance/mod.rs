//! Chooses a server: an algorithm over candidates, and a key where it hashes.
//!
//! Each core keeps a [`Picker`] per backend and makes it anew when the backend's generation has
//! moved. A picker is a pure function of the servers' state, so every core, and the process after a
//! restart, chooses alike; what must be shared (the round-robin cursor, served counts) lies in
//! [`crate::state`].
//!
//! Making a picker sorts and lists; picking looks at one entry of a list in the common case. For the
//! same servers and keys the choices are HAProxy's, with two exceptions, both in favour of a request
//! that would fail or wait: a redispatched request leaves its server under map-based hashing too, and
//! `random` looks on when what it drew is full. `random` draws by the weights themselves, where HAProxy draws
//! a place on its ring, whose arcs follow them roughly only.
#![forbid(unsafe_code)]

mod cycle;
mod pick;
mod ring;

use std::sync::Arc;

use crate::base::hash;
use crate::base::id::ServerIndex;
use crate::state::{ProxyState, ServerState};
use ring::Ring;

/// `balance`: how to choose (manual, section 4.2). What the key is belongs to the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Algorithm {
    #[default]
    RoundRobin,
    StaticRoundRobin,
    LeastConn,
    First,
    /// `random(draws)`.
    Random {
        draws: u32,
    },
    /// Every algorithm that hashes a key: `source`, `uri`, `url_param`, `hdr`, `rdp-cookie`, `hash`.
    Hash,
}

/// `hash-type <method> <function> <modifier>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashType {
    /// `consistent` rather than `map-based`.
    pub consistent: bool,
    /// The function.
    pub function: HashFunction,
    /// `avalanche`.
    pub avalanche: bool,
}

/// The function of `hash-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HashFunction {
    #[default]
    Sdbm,
    Djb2,
    Wt6,
    Crc32,
    None,
}

impl HashType {
    /// The hash of a key. Without a function the key is a number in text, which is its own hash.
    pub fn hash(self, key: &[u8]) -> u32 {
        self.finish(match self.function {
            HashFunction::Sdbm => hash::sdbm(key),
            HashFunction::Djb2 => hash::djb2(key),
            HashFunction::Wt6 => hash::wt6(key),
            HashFunction::Crc32 => hash::crc32(key),
            HashFunction::None => number(key) as u32,
        })
    }

    /// Spreads a hash if `avalanche` asks for it.
    fn finish(self, hash: u32) -> u32 {
        if self.avalanche { hash::avalanche(hash) } else { hash }
    }
}

/// The decimal number at the start of a text, kept within 64 bits; 0 without one.
fn number(text: &[u8]) -> i64 {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(sign * i64::from(digit - b'0')))
}

/// What a picker needs to know of a server beyond its state.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its live state.
    pub state: Arc<ServerState>,
    /// Its place in the backend.
    pub index: ServerIndex,
    /// Its number (`id`), which places it on the consistent ring.
    pub id: u32,
    /// `backup`.
    pub backup: bool,
    /// What places it on the ring.
    pub hash_key: HashKey,
}

/// `hash-key`: what places a server on the ring of consistent hashing (manual, section 5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HashKey {
    /// Its number, scaled so that neighbours do not overlap.
    #[default]
    Id,
    /// Its number as it is.
    Id32,
    /// Its IP address.
    Addr,
    /// Its IP address and port.
    AddrPort,
    /// Its GUID, which is this one.
    Guid(Arc<str>),
}

/// The settings of a backend that balancing looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// How keys are hashed.
    pub hash: HashType,
    /// `hash-balance-factor` in percent; 0 is off.
    pub hash_balance_factor: u32,
    /// `option allbackups`.
    pub all_backups: bool,
}

/// `hash-preserve-affinity`: when a key leaves the server that the ring gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// Never for its load.
    #[default]
    Always,
    /// When the server is at its `maxconn`.
    MaxConn,
    /// When the server's queue is at its `maxqueue`, too.
    MaxQueue,
}

/// A backend's servers, arranged for choosing.
#[derive(Debug)]
pub struct Picker {
    /// The generation it was made for.
    pub generation: u32,
    candidates: Vec<Candidate>,
    settings: Settings,
    affinity: Affinity,
    /// The candidates that can be chosen, in their order.
    usable: Vec<Usable>,
    /// The place among those of each candidate.
    places: Vec<u32>,
    table: Table,
}

/// One server that can be chosen.
#[derive(Clone, Copy, Debug)]
struct Usable {
    /// Its place among the candidates.
    candidate: u32,
    /// Its weight in 1/16.
    weight: u32,
    /// The weights of those before it, for sharing out slots by `hash-balance-factor`.
    weight_before: u32,
    /// Its `maxqueue`, for [`Affinity::MaxQueue`]; 0 is no limit.
    maxqueue: u32,
}

/// What an algorithm looks up; numbers are places in [`Picker::usable`], in a ring those of candidates.
#[derive(Debug)]
enum Table {
    /// Round robin, static-rr and map-based hashing.
    List(Vec<u32>),
    /// Consistent hashing.
    Ring(Ring),
    /// random draws a part of the sum of the weights; `even` when all weigh the same.
    Weights { even: bool, draws: u32 },
    /// leastconn looks at the servers themselves.
    Servers,
}

/// What a single choice may look at.
pub struct Pick<'a> {
    /// The backend, for its cursor and its load.
    pub backend: &'a ProxyState,
    /// The hashed or raw key of hashing algorithms; `None` falls back to round robin.
    pub key: Option<Key<'a>>,
    /// A server not to choose again (redispatch), unless it is the only one.
    pub avoid: Option<ServerIndex>,
    /// Random numbers for `random`.
    pub rng: &'a mut crate::base::rng::Rng,
}

/// The key of a hashing algorithm.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// Bytes to hash (`uri`, `hdr`, `url_param`, `hash`).
    Bytes(&'a [u8]),
    /// A hash made by the caller from address words (`source`), see [`crate::base::hash::address`];
    /// `avalanche` is applied to it here.
    Hash(u32),
}

impl Picker {
    /// Arranges the servers of a backend as they are now.
    pub fn new(generation: u32, candidates: Vec<Candidate>, settings: Settings) -> Self {
        Self::after(None, generation, candidates, settings)
    }

    /// The same with what was arranged before, for the parts that have not changed.
    pub fn after(
        before: Option<&Picker>,
        generation: u32,
        candidates: Vec<Candidate>,
        settings: Settings,
    ) -> Self {
        let usable = usable(&candidates, settings.all_backups);
        let table = table(&candidates, &usable, settings, before);
        let mut places = vec![u32::MAX; candidates.len()];
        for (place, one) in usable.iter().enumerate() {
            places[one.candidate as usize] = place as u32;
        }
        Picker { generation, candidates, settings, affinity: Affinity::Always, usable, places, table }
    }

    /// Has consistent hashing leave full servers as `hash-preserve-affinity` says; `maxqueue` gives
    /// the limit of a server's queue, 0 for none.
    pub fn with_affinity(mut self, affinity: Affinity, maxqueue: impl Fn(ServerIndex) -> u32) -> Self {
        self.affinity = affinity;
        for one in &mut self.usable {
            one.maxqueue = maxqueue(self.candidates[one.candidate as usize].index);
        }
        self
    }

    /// How many servers can be chosen.
    pub fn len(&self) -> usize {
        self.usable.len()
    }

    /// Whether no server can be chosen.
    pub fn is_empty(&self) -> bool {
        self.usable.is_empty()
    }

    /// Chooses; `None` when no server is usable. A server at its `maxconn` may be chosen only when
    /// all are (the caller then queues), or by a hash, whose keys belong to their server.
    pub fn pick(&self, pick: &mut Pick<'_>) -> Option<ServerIndex> {
        let place = match self.usable.len() {
            0 => return None,
            1 => 0,
            _ => self.choose(pick),
        };
        Some(self.candidate(place).index)
    }
}

/// The servers in question: the active ones that take new sessions or, when there is none, the
/// first backup that does, or all of them (manual, section 4.2 `option allbackups`).
fn usable(candidates: &[Candidate], all_backups: bool) -> Vec<Usable> {
    let of_kind = |backup| {
        let mut sum = 0;
        let eligible = move |(_, candidate): &(usize, &Candidate)| {
            candidate.backup == backup && candidate.state.is_eligible()
        };
        candidates.iter().enumerate().filter(eligible).map(move |(place, candidate)| {
            let weight = candidate.state.effective_weight();
            let weight_before = sum;
            sum += weight;
            Usable { candidate: place as u32, weight, weight_before, maxqueue: 0 }
        })
    };
    let active: Vec<Usable> = of_kind(false).collect();
    if !active.is_empty() {
        return active;
    }
    of_kind(true).take(if all_backups { usize::MAX } else { 1 }).collect()
}

fn table(candidates: &[Candidate], usable: &[Usable], settings: Settings, before: Option<&Picker>) -> Table {
    let of = |one: &Usable| &candidates[one.candidate as usize];
    match (settings.algorithm, settings.hash.consistent) {
        (Algorithm::RoundRobin, _) => {
            let weights: Vec<u32> = usable.iter().map(|one| one.weight).collect();
            Table::List(cycle::round_robin(&weights))
        }
        (Algorithm::StaticRoundRobin, _) | (Algorithm::Hash, false) => {
            // The map knows no warming up: its weights are whole.
            let divisor = cycle::divisor(candidates.iter().map(|one| one.state.initial_weight()));
            let weights: Vec<u32> =
                usable.iter().map(|one| of(one).state.user_weight().div_ceil(divisor)).collect();
            Table::List(cycle::map(&weights))
        }
        (Algorithm::Hash, true) => {
            let before = before.and_then(|before| match &before.table {
                Table::Ring(ring) => Some(ring),
                _ => None,
            });
            let chosen = usable.iter().map(|one| (one.candidate as usize, one.weight));
            Table::Ring(Ring::new(candidates, chosen, before))
        }
        (Algorithm::Random { draws }, _) => {
            let even = usable.windows(2).all(|pair| pair[0].weight == pair[1].weight);
            Table::Weights { even, draws }
        }
        (Algorithm::First, _) => {
            let mut order: Vec<u32> = (0..usable.len() as u32).collect();
            order.sort_by_key(|&place| of(&usable[place as usize]).id);
            Table::List(order)
        }
        (Algorithm::LeastConn, _) => Table::Servers,
    }
}
