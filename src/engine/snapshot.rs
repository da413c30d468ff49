//! A model as one core uses it: what runs holds the snapshot that it began with, what begins takes the newest.
//!
//! Places of proxies and servers are those of the snapshot's model. They are never taken from one snapshot to
//! another: what outlives a model is named by its identity ([`crate::base::id`]) or holds its live state.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use super::mailbox::Mailbox;
use crate::balance::{Candidate, Picker};
use crate::base::id::ProxyIndex;
use crate::model::{Model, Proxy};

/// A model with what a core makes of it.
pub struct Snapshot {
    /// The model.
    pub model: Arc<Model>,
    /// Every core's mailbox.
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// The tag of log lines without one of their own.
    pub tag: Arc<str>,
    pickers: RefCell<Vec<Slot>>,
}

/// What there is of a backend's picker.
#[derive(Clone, Default)]
enum Slot {
    #[default]
    Empty,
    /// One that was made for the backend as it is in this model.
    Made(Rc<Picker>),
    /// One of the model before, whose places mean other servers: the next one is made from it.
    Former(Rc<Picker>),
}

/// The snapshot that a session uses now: a pointer alone, since every idle connection has one.
pub struct SnapshotCell(Cell<Option<Rc<Snapshot>>>);

impl SnapshotCell {
    /// One that holds a snapshot.
    pub fn new(snapshot: Rc<Snapshot>) -> SnapshotCell {
        SnapshotCell(Cell::new(Some(snapshot)))
    }
    /// The snapshot.
    pub fn get(&self) -> Rc<Snapshot> {
        let held = self.0.take();
        self.0.set(held.clone());
        held.expect("it is put back at once")
    }
    /// Takes another one.
    pub fn set(&self, snapshot: Rc<Snapshot>) {
        self.0.set(Some(snapshot));
    }
}

impl Snapshot {
    /// A snapshot that nothing was made for yet.
    pub fn new(model: Arc<Model>, mailboxes: &Arc<[Arc<Mailbox>]>) -> Rc<Snapshot> {
        Rc::new(Snapshot {
            tag: model.global.tag(),
            pickers: RefCell::new(vec![Slot::Empty; model.proxies.len()]),
            mailboxes: mailboxes.clone(),
            model,
        })
    }
    /// One of a model that was made from this one's: the pickers of backends that both have go on.
    pub fn changed(&self, model: Arc<Model>) -> Rc<Snapshot> {
        let mut pickers = self.pickers.borrow().clone();
        pickers.resize(model.proxies.len(), Slot::Empty);
        for (slot, (now, then)) in pickers.iter_mut().zip(model.proxies.iter().zip(&self.model.proxies)) {
            if Arc::ptr_eq(now, then) {
                continue;
            }
            *slot = match std::mem::take(slot) {
                Slot::Made(picker) | Slot::Former(picker) if now.state.ident == then.state.ident => {
                    Slot::Former(picker)
                }
                _ => Slot::Empty,
            };
        }
        Rc::new(Snapshot {
            tag: self.tag.clone(),
            pickers: RefCell::new(pickers),
            mailboxes: self.mailboxes.clone(),
            model,
        })
    }
    /// The proxy at a place of the model.
    pub fn proxy(&self, index: ProxyIndex) -> &Arc<Proxy> {
        &self.model.proxies[index as usize]
    }
    /// The frontend that a frontend of any model is in this one; `None` if this one does not have it, or has it
    /// disabled or in another mode.
    pub fn frontend(&self, other: &Proxy) -> Option<&Arc<Proxy>> {
        let at_its_place = self.model.proxies.get(other.index as usize);
        if let Some(same) = at_its_place.filter(|proxy| std::ptr::eq(&***proxy, other)) {
            return Some(same);
        }
        // It may have other servers now, if it is a listen.
        let at_its_place = at_its_place.filter(|proxy| proxy.state.ident == other.state.ident);
        let found = match at_its_place {
            Some(same) => same,
            None => self.proxy(*self.model.frontends.get(&*other.name)?),
        };
        let is_it = found.state.ident == other.state.ident && found.mode == other.mode;
        (is_it && !found.disabled).then_some(found)
    }
    /// A picker for a backend of this model as its servers are now.
    pub fn picker(&self, backend: &Proxy) -> Rc<Picker> {
        let generation = backend.state.generation.load(Acquire);
        let mut pickers = self.pickers.borrow_mut();
        let slot = &mut pickers[backend.index as usize];
        let before = match slot {
            Slot::Made(picker) if picker.generation == generation => return picker.clone(),
            Slot::Made(picker) | Slot::Former(picker) => Some(&**picker),
            Slot::Empty => None,
        };
        let candidates = backend.servers.iter().enumerate().map(|(index, server)| Candidate {
            state: server.state.clone(),
            index: index as u32,
            id: server.id,
            backup: server.backup,
            hash_key: server.hash_key.clone(),
        });
        let picker = Picker::after(before, generation, candidates.collect(), backend.balance);
        let maxqueue = |index| backend.servers[index as usize].maxqueue;
        let made = Rc::new(picker.with_affinity(backend.hash_preserve_affinity, maxqueue));
        *slot = Slot::Made(made.clone());
        made
    }
    /// Has the next [`Snapshot::picker`] of a backend look at its servers anew.
    pub fn forget_picker(&self, backend: &Proxy) {
        self.pickers.borrow_mut()[backend.index as usize] = Slot::Empty;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;

    #[test]
    fn a_change_leaves_the_pickers_of_other_backends() {
        let mut model = testing::model();
        for (index, name) in ["a", "b"].into_iter().enumerate() {
            let mut proxy = testing::proxy(name);
            proxy.index = index as u32;
            for server in ["s1", "s2", "s3"] {
                proxy.push(testing::server(name, server));
            }
            proxy.adopt_servers();
            model.proxies.push(proxy.into());
        }
        let before = Snapshot::new(Arc::new(model), &Vec::new().into());
        let pickers = [0, 1].map(|index| before.picker(before.proxy(index)));
        let proxy = before.proxy(0);
        let fewer = Arc::new(proxy.with_servers(proxy.servers[1..].to_vec()));
        let after = before.changed(Arc::new(before.model.with_proxy(fewer.clone())));
        // Even before the servers' generation has moved: the places of the former picker are others.
        let picker = after.picker(after.proxy(0));
        assert!(!Rc::ptr_eq(&picker, &pickers[0]));
        assert_eq!(picker.len(), 2);
        assert!(Rc::ptr_eq(&after.picker(after.proxy(1)), &pickers[1]), "nothing has changed there");
        assert!(Rc::ptr_eq(&before.picker(before.proxy(0)), &pickers[0]), "what began before goes on");
        fewer.adopt_servers();
        assert_eq!(after.picker(after.proxy(0)).len(), 2);
        assert!(after.frontend(before.proxy(0)).is_some_and(|found| Arc::ptr_eq(found, &fewer)));
    }
}
