//! The configuration as it is meant: typed, validated, immutable.
//!
//! `config` makes one per load and everything else reads it through an `Arc`. What changes while
//! running lies in [`crate::state`]; a model holds handles to it.
#![forbid(unsafe_code)]

mod bare;
pub mod bind;
pub mod global;
pub mod maker;
pub mod proxy;
pub mod server;

use std::collections::{HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

pub use bind::{Bind, BindAddress};
pub use global::Global;
pub use proxy::{Mode, Proxy};
pub use server::Server;

use crate::base::id::{ModelId, ProxyIndex};
use crate::state::Registry;
use crate::wire::syslog::Format;

/// A whole configuration: proxies, and what all of them use.
///
/// Servers and backends that come and go while running make another model of the one in force
/// ([`Model::with_proxy`]), which has all that did not change in common with it.
#[derive(Debug)]
pub struct Model {
    shared: Arc<Shared>,
    /// Frontends, backends and listens in order of declaration, then backends that were added while running. A
    /// place of a backend that was deleted has a proxy that is neither side.
    pub proxies: Vec<Arc<Proxy>>,
    /// Backend sides by name.
    pub backends: Arc<HashMap<String, ProxyIndex>>,
}

/// What one load of the configuration says beside proxies.
#[derive(Debug)]
pub struct Shared {
    /// What tells the load from all others.
    pub ident: ModelId,
    /// The `global` sections.
    pub global: Global,
    /// Frontend sides by name.
    pub frontends: HashMap<String, ProxyIndex>,
    /// The live objects that it uses.
    pub registry: Arc<Registry>,
    /// `ring` sections by name.
    pub rings: HashMap<String, RingSettings>,
    /// `resolvers` sections in order of declaration; `default` is the last one unless it is written.
    pub resolvers: Vec<Arc<crate::resolvers::Resolvers>>,
    /// `userlist` sections by name.
    pub userlists: HashMap<String, Arc<crate::sample::userlist::UserList>>,
    /// `http-errors` sections by name: pages by status.
    pub http_errors: HashMap<String, HashMap<u16, Arc<proxy::ErrorPage>>>,
    /// The certificates that it uses, by name.
    pub certificates: Arc<crate::tls::store::Store>,
    /// Makes what is added while running.
    pub maker: Option<Arc<dyn maker::Maker>>,
    /// Backends and servers that expressions name: they cannot be deleted.
    pub references: HashSet<(String, Option<String>)>,
    /// Every named ACL, whether a rule uses it or not: the runtime API shows them and changes their patterns.
    pub acls: Vec<crate::sample::acl::AclSet>,
}

/// A `ring` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingSettings {
    /// Its place among the sections.
    pub place: usize,
    /// Its capacity in bytes.
    pub size: u64,
    /// What it is for; its name if nothing is said.
    pub description: String,
    /// The header of its lines, whatever their `log` line asks for; none unless one is set.
    pub format: Option<Format>,
    /// Bytes of a line at most, its header included; none is what its `log` line allows.
    pub len: Option<usize>,
}

impl Deref for Model {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl DerefMut for Model {
    /// While a model is built, no other has parts of it.
    fn deref_mut(&mut self) -> &mut Shared {
        Arc::get_mut(&mut self.shared).expect("what one model only has")
    }
}

impl Model {
    /// A model of proxies and of backends by name.
    pub fn new(shared: Shared, proxies: Vec<Arc<Proxy>>, backends: HashMap<String, ProxyIndex>) -> Model {
        Model { shared: Arc::new(shared), proxies, backends: Arc::new(backends) }
    }
    /// The same model with another proxy in the place of one.
    pub fn with_proxy(&self, proxy: Arc<Proxy>) -> Model {
        let mut proxies = self.proxies.clone();
        let index = proxy.index as usize;
        proxies[index] = proxy;
        Model { shared: self.shared.clone(), proxies, backends: self.backends.clone() }
    }
    /// The place that the next backend gets: one whose backend was deleted, or a new one.
    pub fn free_place(&self) -> ProxyIndex {
        let is_free = |proxy: &Arc<Proxy>| !proxy.is_frontend && !proxy.is_backend;
        self.proxies.iter().position(is_free).unwrap_or(self.proxies.len()) as ProxyIndex
    }
    /// The same model with a backend more, at its place.
    pub fn with_backend(&self, backend: Arc<Proxy>) -> Model {
        let mut proxies = self.proxies.clone();
        let mut backends = HashMap::clone(&self.backends);
        backends.insert(backend.name.to_string(), backend.index);
        match proxies.get_mut(backend.index as usize) {
            Some(place) => *place = backend,
            None => proxies.push(backend),
        }
        Model { shared: self.shared.clone(), proxies, backends: Arc::new(backends) }
    }
    /// The same model without a backend. Its place stays, since the places of others are known.
    pub fn without_backend(&self, backend: &Proxy) -> Model {
        let mut proxies = self.proxies.clone();
        let mut backends = HashMap::clone(&self.backends);
        backends.remove(&*backend.name);
        proxies[backend.index as usize] = Arc::new(Proxy::vacant(backend.index));
        while proxies.last().is_some_and(|last| !last.is_frontend && !last.is_backend) {
            proxies.pop();
        }
        Model { shared: self.shared.clone(), proxies, backends: Arc::new(backends) }
    }
    /// The backend called `name`.
    pub fn backend(&self, name: &str) -> Option<&Arc<Proxy>> {
        self.backends.get(name).map(|index| &self.proxies[*index as usize])
    }

    /// The stick tables, the one declared last first, as HAProxy lists them.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<crate::state::Table>> {
        self.proxies.iter().rev().filter_map(|proxy| proxy.table.as_ref())
    }

    /// `fullconn` of every proxy by its place: as configured, or a tenth of the `maxconn` of all frontends that
    /// name it, `maxconn` of the process for those without one (manual, section 4.2 `fullconn`). Names that
    /// are made at run time are not counted.
    pub fn fullconn(&self, maxconn: u32) -> Vec<u32> {
        let mut reach = vec![0u64; self.proxies.len()];
        for frontend in self.proxies.iter().filter(|proxy| proxy.is_frontend && !proxy.disabled) {
            let limit = u64::from(if frontend.maxconn == 0 { maxconn } else { frontend.maxconn });
            let named = frontend.use_backend.iter().filter_map(|line| match line.target {
                proxy::BackendTarget::Static(index) => Some(index),
                proxy::BackendTarget::Dynamic(_) => None,
            });
            let own = frontend.is_backend.then_some(frontend.index);
            let mut used: Vec<_> = named.chain(frontend.default_backend.or(own)).collect();
            used.sort_unstable();
            used.dedup();
            for index in used {
                if let Some(sum) = reach.get_mut(index as usize) {
                    *sum += limit;
                }
            }
        }
        let rows = self.proxies.iter().zip(reach);
        rows.map(|(proxy, sum)| proxy.fullconn.unwrap_or(sum.div_ceil(10).max(1) as u32)).collect()
    }

    /// Puts `fullconn` of every backend in force.
    pub fn apply_fullconn(&self, maxconn: u32) {
        for (proxy, fullconn) in self.proxies.iter().zip(self.fullconn(maxconn)) {
            proxy.state.fullconn.store(fullconn, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Makes the live objects what this model says they are: their numbers, their servers, and what
    /// the configuration and its files changed. To be called once, when the model comes into force; a proxy
    /// that is new has been given all this when the model was built.
    pub fn adopt(&self) {
        self.registry.apply_staged_maps();
        for proxy in &self.proxies {
            proxy.adopt();
        }
    }
}
