//! What a reload keeps of certificates and lists that were changed while the process ran.
//!
//! A file that is what it was keeps what was made of it at run time, as map files do. A file that has changed wins;
//! what is lost by that is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{List, ListLine, Source, Store};
use crate::tls::material::Material;

/// The changes that were made to a store.
#[derive(Default)]
struct Changes {
    certificates: Vec<(String, Option<Arc<Material>>, Option<Source>)>,
    lists: Vec<ListChanges>,
}

struct ListChanges {
    name: String,
    source: Source,
    added: Vec<ListLine>,
    removed: Vec<(String, usize)>,
}

impl Store {
    /// Goes on with what was changed in the store of the model before; what cannot be kept is returned, in
    /// sentences.
    pub fn succeed(&self, before: &Store) -> Vec<String> {
        let mut lost = Vec::new();
        self.keep_authorities(before);
        let changes = before.changes();
        for (name, material, source) in changes.certificates {
            lost.extend(self.keep_certificate(&name, material, source));
        }
        for list in changes.lists {
            lost.extend(self.keep_list(list));
        }
        let transaction = before.inner().transaction.clone();
        if let Some((name, draft)) = transaction {
            let mut inner = self.inner();
            if inner.certificates.contains_key(&name) {
                inner.transaction = Some((name, draft));
            } else {
                lost.push(format!(
                    "the transaction for the certificate '{name}' is dropped: nothing uses it any more"
                ));
            }
        }
        lost
    }

    fn changes(&self) -> Changes {
        let inner = self.inner();
        let certificates = inner.changed.iter().map(|name| {
            let material = inner.certificates.get(name).cloned().flatten();
            (name.clone(), material, inner.sources.get(name).copied())
        });
        Changes { certificates: certificates.collect(), lists: list_changes(&inner.lists) }
    }

    /// Keeps a certificate that was made or replaced at run time; `source` is what its file held.
    fn keep_certificate(
        &self,
        name: &str,
        material: Option<Arc<Material>>,
        source: Option<Source>,
    ) -> Option<String> {
        let mut inner = self.inner();
        let read = inner.sources.get(name).copied();
        match (read, source, material) {
            // It was made at run time and belongs to no file.
            (None, None, material) => {
                inner.certificates.insert(name.to_owned(), material);
                inner.changed.insert(name.to_owned());
                None
            }
            (None, Some(_), _) => Some(format!(
                "the certificate '{name}', which was replaced at run time, is dropped: nothing uses it any more"
            )),
            (_, _, None) => None,
            (read, source, Some(material)) if read == source => {
                let kept = inner.publish(name, &material);
                let why = kept.err()?;
                Some(format!("the certificate '{name}' is that of its file again: {why}"))
            }
            (_, _, Some(material)) => {
                let read = inner.certificates.get(name).cloned().flatten();
                if read.is_some_and(|read| shows_the_same(&read, &material)) {
                    return None;
                }
                Some(format!(
                    "the file of the certificate '{name}' has changed and is read anew: what was set at run time is gone"
                ))
            }
        }
    }

    /// Changes the lines of a list as they were changed at run time.
    fn keep_list(&self, list: ListChanges) -> Option<String> {
        let ListChanges { name, source, added, removed } = list;
        let changes = format!("{} lines added and {} deleted at run time", added.len(), removed.len());
        let read = self.inner().lists.get(&name).map(|list| list.source);
        match read {
            None => return Some(format!("crt-list '{name}' is used no more: {changes} are forgotten")),
            Some(read) if read != source => {
                return Some(format!(
                    "the file of crt-list '{name}' has changed and is read anew: {changes} are gone"
                ));
            }
            Some(_) => {}
        }
        let mut failed = Vec::new();
        for (certificate, number) in removed {
            let gone = self.shrink_list(&name, &certificate, Some(number));
            failed.extend(gone.err().map(|why| format!("'{certificate}' stays ({why})")));
        }
        for mut line in added {
            let certificate = line.certificate.clone();
            let kept = match self.get(&certificate).and_then(|stored| stored.material) {
                Some(material) => {
                    line.entry.material = material;
                    self.extend_list(&name, line)
                }
                None => Err("the certificate is not there any more".to_owned()),
            };
            failed.extend(kept.err().map(|why| format!("'{certificate}' is dropped ({why})")));
        }
        (!failed.is_empty()).then(|| format!("crt-list '{name}': {}", failed.join(", ")))
    }
}

fn list_changes(lists: &BTreeMap<String, List>) -> Vec<ListChanges> {
    let changes = lists.iter().map(|(name, list)| ListChanges {
        name: name.clone(),
        source: list.source,
        added: list.lines.iter().filter(|line| line.number == 0).cloned().collect(),
        removed: list.removed.clone(),
    });
    changes.filter(|list| !list.added.is_empty() || !list.removed.is_empty()).collect()
}

/// Whether clients see no difference: the key belongs to the certificate.
fn shows_the_same(one: &Material, other: &Material) -> bool {
    one.certified.cert == other.certified.cert && one.certified.ocsp == other.certified.ocsp
}
