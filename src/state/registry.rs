//! Every live object by name. A model that is built asks here first, so that counters, health,
//! maps and tables of what it has in common with its predecessor live on.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, Weak};

use arc_swap::ArcSwap;

use super::maps::LiveMap;
use super::table::Settings;
use super::{ProxyState, ServerState, Table};
use crate::base::core_id;
use crate::diag::Span;

/// The live objects. Only configuration loading and the control thread come here, but for
/// [`Registry::find_proxy`].
///
/// A load works on a stage ([`Registry::stage`]): what is there is found, what is new is made in the stage, and
/// belongs to the process when the load has succeeded ([`Registry::commit`]).
#[derive(Debug)]
pub struct Registry {
    cores: AtomicUsize,
    inner: Mutex<Inner>,
    /// A copy of the list of proxies for data threads, which take no lock.
    index: ArcSwap<Index>,
    /// Raised by each change of the list: an index of another version is old.
    version: AtomicUsize,
    /// What a stage stands on.
    base: Option<Arc<Registry>>,
}

/// Proxies by name, as they were at a version of the list.
#[derive(Debug, Default)]
struct Index {
    version: usize,
    proxies: HashMap<String, Arc<ProxyState>>,
}

#[derive(Debug, Default)]
struct Inner {
    proxies: HashMap<String, Arc<ProxyState>>,
    servers: HashMap<(String, String), Arc<ServerState>>,
    maps: HashMap<String, Arc<LiveMap>>,
    /// Maps and ACLs in order of appearance.
    patterns: Vec<Listed>,
    /// The patterns of lines by what tells them apart.
    lines: HashMap<String, Weak<LiveMap>>,
    /// By name; held weakly, so that a table lives as long as a model that declares it.
    tables: HashMap<String, Vec<Weak<Table>>>,
    references: Vec<Reference>,
}

/// A place in the list of maps and ACLs.
#[derive(Debug)]
enum Listed {
    /// A file: it stays for those that come later.
    File(Arc<LiveMap>),
    /// The patterns of a line: they live as long as an ACL has them.
    Line(Weak<LiveMap>),
}

/// A proxy or server that an expression names. It may be declared further down, so the step that ends
/// the load checks these with [`Registry::take_references`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Whether a frontend is meant; else a backend.
    pub frontend: bool,
    /// The proxy's name.
    pub proxy: String,
    /// The server's name, if a server is meant.
    pub server: Option<String>,
    /// The keyword that refers to it (`nbsrv`, `srv_conn`).
    pub keyword: &'static str,
    /// Where.
    pub span: Span,
}

impl Registry {
    /// An empty one for a process of `cores` data threads.
    pub fn new(cores: usize) -> Arc<Self> {
        Arc::new(Self::on(None, cores))
    }
    /// A stage for one load: nothing that it makes is known here before [`Registry::commit`].
    pub fn stage(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self::on(Some(self.clone()), self.cores()))
    }
    fn on(base: Option<Arc<Registry>>, cores: usize) -> Registry {
        Registry {
            cores: AtomicUsize::new(cores),
            inner: Mutex::default(),
            index: ArcSwap::default(),
            version: AtomicUsize::new(1),
            base,
        }
    }
    /// The process's registry: of a stage, the one that it stands on.
    pub fn root(self: &Arc<Self>) -> &Arc<Self> {
        self.base.as_ref().unwrap_or(self)
    }
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    /// What a stage has made is the process's from now on.
    pub fn commit(&self) {
        let Some(base) = &self.base else { return };
        let new = std::mem::take(&mut *self.inner());
        let mut known = base.inner();
        known.proxies.extend(new.proxies);
        known.servers.extend(new.servers);
        known.maps.extend(new.maps);
        known.patterns.extend(new.patterns);
        known.lines.extend(new.lines);
        for (name, tables) in new.tables {
            known.tables.entry(name).or_default().extend(tables);
        }
        base.version.fetch_add(1, Release);
    }
    /// Forgets what nothing holds any more: neither a model, nor a session that began under an older one.
    pub fn sweep(&self) {
        let mut inner = self.inner();
        self.index.store(Arc::default());
        inner.proxies.retain(|_, proxy| Arc::strong_count(proxy) > 1);
        inner.servers.retain(|_, server| Arc::strong_count(server) > 1);
        // The list of patterns holds a file, too.
        inner.maps.retain(|_, map| Arc::strong_count(map) > 2);
        inner.patterns.retain(|listed| match listed {
            Listed::File(map) => Arc::strong_count(map) > 1,
            Listed::Line(patterns) => patterns.strong_count() > 0,
        });
        inner.lines.retain(|_, patterns| patterns.strong_count() > 0);
        inner.tables.retain(|_, tables| {
            tables.retain(|table| table.strong_count() > 0);
            !tables.is_empty()
        });
        self.version.fetch_add(1, Release);
    }
    /// How many data threads counters are made for.
    pub fn cores(&self) -> usize {
        self.cores.load(Relaxed)
    }
    /// Sets for how many data threads counters are made from now on. Only the first load may call it:
    /// what exists already is sized for the threads that run.
    pub fn set_cores(&self, cores: usize) {
        self.cores.store(cores.clamp(1, core_id::CORES_MAX), Relaxed);
    }
    /// Whether nothing was made yet: the first load.
    pub fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.proxies.is_empty() && inner.servers.is_empty()
    }
    /// What `find` finds here or in what this stands on.
    fn known<T>(&self, find: impl Fn(&Inner) -> Option<T>) -> Option<T> {
        let below = self.base.as_ref().and_then(|base| find(&base.inner()));
        below.or_else(|| find(&self.inner()))
    }
    /// The proxy called `name`, made if it is new.
    pub fn proxy(&self, name: &str) -> Arc<ProxyState> {
        if let Some(found) = self.known(|inner| inner.proxies.get(name).cloned()) {
            return found;
        }
        let made = Arc::new(ProxyState::new(name, self.cores()));
        self.inner().proxies.insert(name.to_owned(), made.clone());
        self.version.fetch_add(1, Release);
        made
    }
    /// The proxy called `name`, if there is one: for names that come at run time. Takes the lock only
    /// for the first name after the list of proxies has changed.
    pub fn find_proxy(&self, name: &str) -> Option<Arc<ProxyState>> {
        let index = self.index.load();
        if index.version == self.version.load(Acquire) {
            return index.proxies.get(name).cloned();
        }
        let inner = self.inner();
        let version = self.version.load(Acquire);
        self.index.store(Arc::new(Index { version, proxies: inner.proxies.clone() }));
        inner.proxies.get(name).cloned()
    }
    /// The server `backend/name`, made if it is new; the flag tells whether it was.
    pub fn server(&self, backend: &str, name: &str) -> (Arc<ServerState>, bool) {
        let key = (backend.to_owned(), name.to_owned());
        if let Some(found) = self.known(|inner| inner.servers.get(&key).cloned()) {
            return (found, false);
        }
        let made = Arc::new(ServerState::new(backend, name, self.cores()));
        self.inner().servers.insert(key, made.clone());
        (made, true)
    }
    /// Takes a server in that was made apart, in place of one of that name.
    pub fn insert_server(&self, server: &Arc<ServerState>) {
        let key = (server.backend.to_string(), server.name.to_string());
        self.inner().servers.insert(key, server.clone());
    }
    /// Forgets a server: the next one of that name begins anew.
    pub fn forget_server(&self, server: &ServerState) {
        self.inner().servers.remove(&(server.backend.to_string(), server.name.to_string()));
    }
    /// Forgets a proxy: the next one of that name begins anew.
    pub fn forget_proxy(&self, proxy: &ProxyState) {
        self.inner().proxies.remove(&*proxy.name);
        self.version.fetch_add(1, Release);
    }
    /// The map or ACL file called `name` (a path, or `virt@...`), made empty if it is new; the flag
    /// tells whether it was, and so must be filled.
    pub fn map(&self, name: &str, is_map: bool) -> (Arc<LiveMap>, bool) {
        if let Some(found) = self.known(|inner| inner.maps.get(name).cloned()) {
            return (found, false);
        }
        let made = Arc::new(LiveMap::new(name, is_map));
        let mut inner = self.inner();
        inner.maps.insert(name.to_owned(), made.clone());
        inner.patterns.push(Listed::File(made.clone()));
        (made, true)
    }
    /// The patterns of a line, made if none are the same: `identity` tells where they stand and what they
    /// are. So a line that a `defaults` section gives to many proxies is one, and a line that a reload
    /// leaves as it was keeps what was changed in it.
    pub fn line_patterns(&self, identity: String, make: impl FnOnce() -> LiveMap) -> Arc<LiveMap> {
        if let Some(found) = self.known(|inner| inner.lines.get(&identity).and_then(Weak::upgrade)) {
            return found;
        }
        let made = Arc::new(make());
        let mut inner = self.inner();
        inner.patterns.push(Listed::Line(Arc::downgrade(&made)));
        inner.lines.insert(identity, Arc::downgrade(&made));
        made
    }
    /// The stick table called `name` with these settings: the one that a model in force has, with its
    /// contents, else an empty one. A load that fails leaves the running model's table alone.
    pub fn table(&self, name: &str, settings: Settings) -> Arc<Table> {
        let same = self.known(|inner| {
            let mut tables = inner.tables.get(name)?.iter().filter_map(Weak::upgrade);
            tables.find(|table| table.settings == settings)
        });
        same.unwrap_or_else(|| {
            let made = Table::new(name, settings);
            let mut inner = self.inner();
            let tables = inner.tables.entry(name.to_owned()).or_default();
            tables.retain(|table| table.strong_count() > 0);
            tables.push(Arc::downgrade(&made));
            made
        })
    }
    /// Notes that an expression names a proxy or a server.
    pub fn add_reference(&self, reference: Reference) {
        self.inner().references.push(reference);
    }
    /// The proxies and servers named since the last call, to be checked when all are known.
    pub fn take_references(&self) -> Vec<Reference> {
        std::mem::take(&mut self.inner().references)
    }
    /// Every map and ACL with its number, ascending: the one that `-u` gives, or the next that is free in
    /// order of appearance. Maps and ACLs share the numbers.
    pub fn maps(&self) -> Vec<(u32, Arc<LiveMap>)> {
        let mut inner = self.inner();
        inner.patterns.retain(|listed| match listed {
            Listed::File(_) => true,
            Listed::Line(patterns) => patterns.strong_count() > 0,
        });
        inner.lines.retain(|_, patterns| patterns.strong_count() > 0);
        let live: Vec<Arc<LiveMap>> = inner
            .patterns
            .iter()
            .filter_map(|listed| match listed {
                Listed::File(map) => Some(map.clone()),
                Listed::Line(patterns) => patterns.upgrade(),
            })
            .collect();
        let given: HashSet<u32> = live.iter().filter_map(|map| map.wanted_id).collect();
        let mut free = (0..).filter(|id| !given.contains(id));
        let number = |map: Arc<LiveMap>| Some((map.wanted_id.or_else(|| free.next())?, map));
        let mut numbered: Vec<_> = live.into_iter().filter_map(number).collect();
        numbered.sort_by_key(|(id, _)| *id);
        numbered
    }
    /// Puts what the last load has read of maps and ACL files in force, where it differs from what there is.
    pub fn apply_staged_maps(&self) {
        for (_, map) in self.maps() {
            map.apply_staged();
        }
    }
    /// Forgets the same, since the load has failed.
    pub fn discard_staged_maps(&self) {
        for (_, map) in self.maps() {
            map.discard_staged();
        }
    }
    /// The map or ACL file called `name`.
    pub fn map_by_name(&self, name: &str) -> Option<Arc<LiveMap>> {
        self.inner().maps.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Kind, PatternSet};
    use crate::state::table::KeyType;
    use crate::state::table::testing::settings;

    #[test]
    fn maps_and_acls_share_their_numbers() {
        let registry = Registry::new(1);
        let line = |text: &str, id| {
            let make = || LiveMap::of_line(id, text, PatternSet::default(), Kind::Str, false);
            registry.line_patterns(text.to_owned(), make)
        };
        let first = line("first", None);
        registry.map("a.map", true);
        let third = line("third", Some(1));
        assert!(Arc::ptr_eq(&first, &line("first", None)), "the same line is the same ACL");
        let shown = || {
            let name =
                |map: &LiveMap| if map.name.is_empty() { map.description() } else { map.name.to_string() };
            registry.maps().iter().map(|(id, map)| format!("{id} {}", name(map))).collect::<Vec<_>>()
        };
        assert_eq!(shown(), ["0 first", "1 third", "2 a.map"]);
        drop(first);
        assert_eq!(shown(), ["0 a.map", "1 third"], "an ACL that no configuration has any more is gone");
        drop(third);
    }

    #[test]
    fn tables_live_on_while_their_settings_stay() {
        let registry = Registry::new(1);
        let first = registry.table("t", settings(KeyType::Ip, 10, &[]));
        first.find_or_create(&[1, 2, 3, 4], 1).unwrap();
        // Another size makes another table; going back finds the first one, which is still in force.
        let other = registry.table("t", settings(KeyType::Ip, 20, &[]));
        assert!(other.is_empty() && other.settings.size == 20);
        assert_eq!(registry.table("t", settings(KeyType::Ip, 10, &[])).len(), 1);
        drop(first);
        assert!(registry.table("t", settings(KeyType::Ip, 10, &[])).is_empty());
    }
    #[test]
    fn what_a_stage_makes_is_known_when_it_is_committed() {
        let registry = Registry::new(1);
        let old = registry.proxy("old");
        let (kept, _) = registry.server("old", "s");
        for commits in [false, true] {
            let stage = registry.stage();
            assert!(
                Arc::ptr_eq(&stage.proxy("old"), &old) && Arc::ptr_eq(&stage.server("old", "s").0, &kept)
            );
            let made = (stage.proxy("new"), stage.server("new", "s").0, stage.map("/m", true).0);
            assert!(Arc::ptr_eq(&stage.proxy("new"), &made.0), "a stage knows what it has made");
            assert!(registry.find_proxy("new").is_none() && registry.map_by_name("/m").is_none());
            if commits {
                stage.commit();
                assert!(registry.find_proxy("new").is_some_and(|found| Arc::ptr_eq(&found, &made.0)));
                assert!(Arc::ptr_eq(&registry.server("new", "s").0, &made.1));
                registry.sweep();
                assert_eq!(registry.maps().len(), 1, "it is held");
            }
        }
        registry.sweep();
        assert!(registry.find_proxy("new").is_none() && registry.maps().is_empty());
        assert!(registry.find_proxy("old").is_some_and(|found| Arc::ptr_eq(&found, &old)));
        assert_ne!(registry.proxy("new").ident, old.ident);
    }
}
