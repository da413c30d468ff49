//! Files of authorities (`ca-file`) by name: those that the configuration has read, and those that were made at run
//! time for servers that are added.
//!
//! A file that a line of the configuration uses is read anew by a reload, not here.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::Store;
use crate::tls::certificate::Certificate;
use crate::tls::pem::{self, File};

/// The most certificates of one name: a file that is added to again and again must end somewhere.
const CERTIFICATES_MAX: usize = 10_000;

/// Certificates of one name.
pub type Certificates = Vec<Arc<Certificate>>;

/// A name, and how many certificates it has.
pub type Counted = (String, usize);

/// See the module.
#[derive(Default)]
pub(super) struct Authorities {
    by_name: BTreeMap<String, Known>,
    transaction: Option<(String, Certificates)>,
}

#[derive(Default)]
struct Known {
    certificates: Arc<Certificates>,
    /// A line of the configuration names it.
    is_of_load: bool,
}

/// What `show ssl ca-file` tells of a name.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its certificates.
    pub certificates: Arc<Certificates>,
    /// Whether something uses it.
    pub is_used: bool,
}

impl Store {
    /// Notes what a line of the configuration trusts.
    pub fn add_authorities(&self, name: &str, certificates: &Certificates) {
        let known = Known { certificates: Arc::new(certificates.clone()), is_of_load: true };
        self.inner().authorities.by_name.insert(name.to_owned(), known);
    }
    /// The certificates of a name, if it is known and has some.
    pub fn authorities(&self, name: &str) -> Option<Arc<Certificates>> {
        let known = self.inner().authorities.by_name.get(name)?.certificates.clone();
        (!known.is_empty()).then_some(known)
    }
    /// Every name with the number of its certificates, and the same of the transaction.
    pub fn list_authorities(&self) -> (Vec<Counted>, Option<Counted>) {
        let inner = self.inner();
        let of = &inner.authorities;
        let transaction = of.transaction.as_ref().map(|(name, made)| (name.clone(), made.len()));
        (
            of.by_name.iter().map(|(name, known)| (name.clone(), known.certificates.len())).collect(),
            transaction,
        )
    }
    /// A name, or the transaction about it.
    pub fn show_authorities(&self, name: &str) -> Option<Shown> {
        let inner = self.inner();
        if let Some(name) = name.strip_prefix('*') {
            let (of, certificates) = inner.authorities.transaction.as_ref()?;
            let shown = Shown { certificates: Arc::new(certificates.clone()), is_used: false };
            return (of == name).then_some(shown);
        }
        let known = inner.authorities.by_name.get(name)?;
        let certificates = known.certificates.clone();
        Some(Shown { certificates, is_used: known.is_of_load || inner.trusts(name) })
    }
    /// A name without certificates.
    ///
    /// # Errors
    /// There is one.
    pub fn create_authorities(&self, name: &str) -> Result<(), String> {
        let mut inner = self.inner();
        if inner.authorities.by_name.contains_key(name) {
            return Err(format!("CA file '{name}' already exists!"));
        }
        inner.authorities.by_name.insert(name.to_owned(), Known::default());
        Ok(())
    }
    /// Prepares certificates for a name: in place of those it has, or beside them. Whether that begins a transaction.
    ///
    /// # Errors
    /// The name is unknown or in use, another transaction is in progress, or the text holds no certificates.
    pub fn prepare_authorities(&self, name: &str, payload: &[u8], adds: bool) -> Result<bool, String> {
        let read =
            pem::authorities(File { path: name, bytes: payload }).map_err(|error| error.to_string())?;
        let mut inner = self.inner();
        let used = inner.trusts(name);
        let of = &mut inner.authorities;
        let Some(known) = of.by_name.get(name) else {
            return Err("Trying to update a CA file that was not loaded!".to_owned());
        };
        if known.is_of_load || used {
            return Err(format!(
                "CA file '{name}' is in use: change the file and reload, or make another one with 'new ssl ca-file'."
            ));
        }
        if let Some((other, _)) = of.transaction.as_ref().filter(|(other, _)| other != name) {
            return Err(format!(
                "The ongoing transaction is about '{other}' but you are trying to set '{name}'"
            ));
        }
        let begins = of.transaction.is_none();
        let present = Certificates::clone(&known.certificates);
        let (_, prepared) = of.transaction.get_or_insert_with(|| (name.to_owned(), present));
        let kept = if adds { prepared.len() } else { 0 };
        if kept + read.len() > CERTIFICATES_MAX {
            return Err(format!("CA file '{name}' would have more than {CERTIFICATES_MAX} certificates."));
        }
        prepared.truncate(kept);
        prepared.extend(read);
        Ok(begins)
    }
    /// Puts what is prepared in force.
    ///
    /// # Errors
    /// Nothing is prepared for the name.
    pub fn commit_authorities(&self, name: &str) -> Result<(), String> {
        let prepared = self.end_transaction(name, "commit")?;
        let mut inner = self.inner();
        let known = inner.authorities.by_name.entry(name.to_owned()).or_default();
        known.certificates = Arc::new(prepared);
        Ok(())
    }
    /// Forgets what is prepared.
    ///
    /// # Errors
    /// Nothing is prepared for the name.
    pub fn abort_authorities(&self, name: &str) -> Result<(), String> {
        self.end_transaction(name, "abort").map(drop)
    }
    fn end_transaction(&self, name: &str, verb: &str) -> Result<Certificates, String> {
        let mut inner = self.inner();
        match inner.authorities.transaction.take() {
            Some((of, prepared)) if of == name => Ok(prepared),
            Some((of, prepared)) => {
                let text =
                    format!("The ongoing transaction is about '{of}' but you are trying to {verb} '{name}'");
                inner.authorities.transaction = Some((of, prepared));
                Err(text)
            }
            None => Err("No ongoing transaction!".to_owned()),
        }
    }
    /// Goes on with what was made at run time in the store of the model before; a file of that name wins.
    pub(super) fn keep_authorities(&self, before: &Store) {
        let (known, transaction) = {
            let inner = before.inner();
            let made = inner.authorities.by_name.iter().filter(|(_, known)| !known.is_of_load);
            let made = made.map(|(name, known)| (name.clone(), known.certificates.clone()));
            (made.collect::<Vec<_>>(), inner.authorities.transaction.clone())
        };
        let mut inner = self.inner();
        let of = &mut inner.authorities;
        for (name, certificates) in known {
            of.by_name.entry(name).or_insert(Known { certificates, is_of_load: false });
        }
        let is_free = |name: &String| of.by_name.get(name).is_some_and(|known| !known.is_of_load);
        of.transaction = transaction.filter(|(name, _)| is_free(name));
    }
    /// Forgets a name that nothing uses.
    ///
    /// # Errors
    /// It is used, changed, or unknown.
    pub fn delete_authorities(&self, name: &str) -> Result<(), String> {
        let mut inner = self.inner();
        let used = inner.trusts(name);
        let of = &mut inner.authorities;
        let Some(known) = of.by_name.get(name) else {
            return Err(format!("CA file '{name}' doesn't exist!"));
        };
        if known.is_of_load || used {
            return Err(format!("CA file '{name}' in use, can't be deleted!"));
        }
        if of.transaction.as_ref().is_some_and(|(other, _)| other == name) {
            return Err(format!("CA file '{name}' is being changed: abort that first."));
        }
        of.by_name.remove(name);
        Ok(())
    }
}

impl super::Inner {
    /// Whether a server that was added trusts what is in a file.
    fn trusts(&self, name: &str) -> bool {
        self.connectors.iter().filter_map(Weak::upgrade).any(|connector| connector.trusts(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{self, Spec};

    #[test]
    fn authorities_are_made_changed_and_deleted() {
        let store = Store::default();
        let first = testing::pem("CERTIFICATE", &Spec::authority("CA", 1, "CA", 1).der());
        let payload = first.as_bytes();
        store.add_authorities("file", &pem::authorities(File { path: "x", bytes: payload }).unwrap());
        for refused in [
            store.prepare_authorities("none", payload, false).err(),
            store.prepare_authorities("file", payload, false).err(),
            store.create_authorities("file").err(),
            store.delete_authorities("file").err(),
            store.delete_authorities("none").err(),
            store.commit_authorities("file").err(),
        ] {
            assert!(refused.is_some());
        }
        store.create_authorities("new").unwrap();
        assert!(store.authorities("new").is_none(), "it has none yet");
        assert!(store.prepare_authorities("new", b"no certificate", false).is_err());
        assert_eq!(store.prepare_authorities("new", payload, false), Ok(true));
        assert_eq!(store.prepare_authorities("new", payload, true), Ok(false));
        assert_eq!(store.list_authorities().1, Some(("new".to_owned(), 2)));
        assert!(store.commit_authorities("file").unwrap_err().contains("about 'new'"));
        assert!(store.delete_authorities("new").is_err());
        store.commit_authorities("new").unwrap();
        assert_eq!(store.authorities("new").unwrap().len(), 2);
        assert_eq!(store.prepare_authorities("new", payload, false), Ok(true));
        assert_eq!(store.show_authorities("*new").unwrap().certificates.len(), 1);
        store.abort_authorities("new").unwrap();
        assert_eq!(store.list_authorities(), (vec![("file".to_owned(), 1), ("new".to_owned(), 2)], None));
        let next = Store::default();
        next.keep_authorities(&store);
        assert_eq!(next.list_authorities().0, [("new".to_owned(), 2)], "a reload reads the files anew");
        store.delete_authorities("new").unwrap();
        assert!(store.show_authorities("new").is_none() && store.show_authorities("file").unwrap().is_used);
    }
}
