//! The certificates of a process by name, their users, and how they are replaced while it runs.
//!
//! Only the control thread comes here. A change is prepared apart, as a transaction, and published when it is
//! committed: new handshakes see the whole change, and a change that cannot be leaves everything as it was.

pub mod authorities;
mod succession;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};

use super::certificate::Certificate;
use super::connector::Connector;
use super::material::Material;
use super::pem::{File, authorities, belongs, private_key, sent_chain};
use super::terminator::{Entry, Terminator};

/// The endings of names that stand for a part of a certificate.
const PARTS: &[&str] = &[".key", ".issuer", ".ocsp", ".sctl"];

/// A line of a `crt-list`.
#[derive(Clone, Debug)]
pub struct ListLine {
    /// The certificate's name.
    pub certificate: String,
    /// What stands behind it, as it is written.
    pub rest: String,
    /// Its number in the file; 0 if it was added at run time.
    pub number: usize,
    /// What it made.
    pub entry: Entry,
}

/// A list of certificates, or a directory of them, and the lines that use it.
#[derive(Debug, Default)]
struct List {
    lines: Vec<ListLine>,
    users: Vec<Arc<Terminator>>,
    /// What its file held.
    source: Source,
    /// The certificates and numbers of lines that were taken out at run time.
    removed: Vec<(String, usize)>,
}

/// What a file held when it was read, to tell whether a reload brings anything new.
pub type Source = u64;

/// A change that is prepared.
#[derive(Clone, Default)]
struct Draft {
    chain: Option<Vec<CertificateDer<'static>>>,
    key: Option<Arc<dyn SigningKey>>,
    issuers: Option<Vec<CertificateDer<'static>>>,
    ocsp: Option<Vec<u8>>,
}

#[derive(Default)]
struct Inner {
    /// Nothing within for a name that was made at run time and has no contents yet.
    certificates: BTreeMap<String, Option<Arc<Material>>>,
    /// What the files of certificates held.
    sources: BTreeMap<String, Source>,
    /// Certificates that were made or replaced at run time.
    changed: BTreeSet<String>,
    /// `crt-base`
    base: Option<String>,
    transaction: Option<(String, Draft)>,
    terminators: Vec<Arc<Terminator>>,
    /// Of the models that are in use.
    connectors: Vec<Weak<Connector>>,
    lists: BTreeMap<String, List>,
    authorities: authorities::Authorities,
}

/// See the module.
#[derive(Default)]
pub struct Store(Mutex<Inner>);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// A certificate in the store.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its contents, if it has some.
    pub material: Option<Arc<Material>>,
    /// Whether a listener or a server uses it.
    pub is_used: bool,
}

impl Store {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    /// Takes a certificate in, while a configuration is loaded.
    pub fn add(&self, material: Arc<Material>, source: Source) {
        let mut inner = self.inner();
        let name = material.name.to_string();
        inner.sources.insert(name.clone(), source);
        inner.certificates.insert(name, Some(material));
    }
    /// Notes where certificates are whose names do not say it (`crt-base`).
    pub fn set_base(&self, base: Option<String>) {
        self.inner().base = base;
    }
    /// Notes a listener's use.
    pub fn add_terminator(&self, terminator: &Arc<Terminator>) {
        self.inner().terminators.push(terminator.clone());
    }
    /// Notes a server's use.
    pub fn add_connector(&self, connector: &Arc<Connector>) {
        let mut inner = self.inner();
        if inner.connectors.len() == inner.connectors.capacity() {
            inner.connectors.retain(|known| known.strong_count() > 0);
            let alive = inner.connectors.len();
            inner.connectors.reserve(alive.max(16));
        }
        inner.connectors.push(Arc::downgrade(connector));
    }
    /// How many uses by servers are known, those that are over and not yet forgotten included.
    pub fn connectors(&self) -> usize {
        self.inner().connectors.len()
    }
    /// Notes a list and one of its users.
    pub fn add_list(&self, name: &str, (lines, source): &(Vec<ListLine>, Source), user: &Arc<Terminator>) {
        let mut inner = self.inner();
        let list = inner.lists.entry(name.to_owned()).or_default();
        list.lines.clone_from(lines);
        list.source = *source;
        list.users.push(user.clone());
    }

    /// The names of certificates, and of the one that is being changed.
    pub fn names(&self) -> (Vec<String>, Option<String>) {
        let inner = self.inner();
        let transaction = inner.transaction.as_ref().map(|(name, _)| name.clone());
        (inner.certificates.keys().cloned().collect(), transaction)
    }
    /// The name of the certificate that a line of a `crt-list` means: `crt-base` holds for it as for lines of the
    /// file, but not for a certificate that was made at run time under the name as it stands.
    pub fn resolve(&self, path: &str) -> String {
        let inner = self.inner();
        let below = inner.base.as_ref().filter(|_| !path.starts_with('/'));
        let below = below.map(|base| format!("{base}/{path}"));
        match below {
            Some(below) if inner.certificates.contains_key(&below) => below,
            Some(below) if !inner.certificates.contains_key(path) => below,
            _ => path.to_owned(),
        }
    }
    /// A certificate by name.
    pub fn get(&self, name: &str) -> Option<Stored> {
        let inner = self.inner();
        let material = inner.certificates.get(name)?.clone();
        Some(Stored { material, is_used: inner.is_used(name) })
    }
    /// The certificate that the transaction would make of a name.
    ///
    /// # Errors
    /// It cannot be, in words.
    pub fn prepared(&self, name: &str) -> Option<Result<Material, String>> {
        let inner = self.inner();
        let (of, draft) = inner.transaction.as_ref()?;
        (of == name).then(|| inner.build(name, draft))
    }

    /// Makes a name without contents.
    ///
    /// # Errors
    /// There is one.
    pub fn create(&self, name: &str) -> Result<(), String> {
        let mut inner = self.inner();
        if inner.certificates.contains_key(name) {
            return Err(format!("Certificate '{name}' already exists!"));
        }
        inner.certificates.insert(name.to_owned(), None);
        inner.changed.insert(name.to_owned());
        Ok(())
    }
    /// Prepares a part of a certificate; the name of the certificate, and whether a transaction has begun by that.
    ///
    /// # Errors
    /// The name is unknown, another certificate is being changed, or the contents cannot be used; what was prepared
    /// before stays.
    pub fn prepare(&self, name: &str, payload: &[u8]) -> Result<(String, bool), String> {
        let mut inner = self.inner();
        let (owner, part) = inner.owner(name).ok_or_else(|| {
            format!("Can't replace a certificate which is not referenced by the configuration!\nCan't update {name}!")
        })?;
        if let Some((of, _)) = inner.transaction.as_ref().filter(|(of, _)| *of != owner) {
            return Err(format!(
                "The ongoing transaction is about '{of}' but you are trying to set '{owner}'\nCan't update {owner}!"
            ));
        }
        let mut draft = inner.transaction.as_ref().map(|(_, draft)| draft.clone()).unwrap_or_default();
        draft.set(&owner, part, payload).map_err(|error| format!("{error}\nCan't update {owner}!"))?;
        let begins = inner.transaction.is_none();
        inner.transaction = Some((owner.clone(), draft));
        Ok((owner, begins))
    }
    /// Forgets what was prepared.
    ///
    /// # Errors
    /// Nothing was, of that name.
    pub fn abort(&self, name: &str) -> Result<(), String> {
        self.inner().take(name).map(drop)
    }
    /// Publishes what was prepared.
    ///
    /// # Errors
    /// Nothing was, or it cannot be used; everything stays as it was.
    pub fn commit(&self, name: &str) -> Result<(), String> {
        let mut inner = self.inner();
        let (name, draft) = inner.take(name)?;
        let built = inner.build(&name, &draft);
        let material = match built {
            Ok(material) => Arc::new(material),
            Err(error) => {
                inner.transaction = Some((name, draft)); // it may be completed
                return Err(error);
            }
        };
        inner.publish(&name, &material)
    }
    /// Forgets a certificate that nothing uses.
    ///
    /// # Errors
    /// It is used, or unknown.
    pub fn delete(&self, name: &str) -> Result<(), String> {
        let mut inner = self.inner();
        if !inner.certificates.contains_key(name) {
            return Err(format!("Can't remove the certificate: certificate '{name}' doesn't exist!"));
        }
        if inner.is_used(name) {
            return Err(format!(
                "Can't remove the certificate: certificate '{name}' in use, can't be deleted!"
            ));
        }
        inner.certificates.remove(name);
        inner.changed.remove(name);
        Ok(())
    }

    /// The names of lists.
    pub fn lists(&self) -> Vec<String> {
        self.inner().lists.keys().cloned().collect()
    }
    /// The lines of a list.
    pub fn list(&self, name: &str) -> Option<Vec<ListLine>> {
        self.inner().lists.get(name).map(|list| list.lines.clone())
    }
    /// Adds a line to a list.
    ///
    /// # Errors
    /// There is no such list, or its users cannot take the line; nothing has changed then.
    pub fn extend_list(&self, name: &str, line: ListLine) -> Result<(), String> {
        let mut inner = self.inner();
        let Some(list) = inner.lists.get_mut(name) else {
            return Err(format!("crt-list '{name}' does not exist!"));
        };
        change(&list.users, |entries| entries.push(line.entry.clone()))?;
        list.lines.push(line);
        Ok(())
    }
    /// Takes a line out of a list: the one of this number, or the first one of the certificate.
    ///
    /// # Errors
    /// There is none.
    pub fn shrink_list(&self, name: &str, certificate: &str, number: Option<usize>) -> Result<(), String> {
        let mut inner = self.inner();
        let Some(list) = inner.lists.get_mut(name) else {
            return Err(format!("Can't delete the entry: crt-list '{name}' does not exist!"));
        };
        let found = list.lines.iter().position(|line| {
            line.certificate == certificate && number.is_none_or(|number| line.number == number)
        });
        let Some(at) = found else {
            return Err("Can't delete the entry: no corresponding certificate found!".to_owned());
        };
        let gone = &list.lines[at].entry;
        change(&list.users, |entries| {
            let same =
                |entry: &Entry| entry.material.name == gone.material.name && entry.filters == gone.filters;
            if let Some(at) = entries.iter().rposition(same) {
                entries.remove(at);
            }
        })?;
        let gone = list.lines.remove(at);
        if gone.number > 0 {
            list.removed.push((gone.certificate, gone.number));
        }
        Ok(())
    }
}

/// Changes the entries of several listeners, or of none.
fn change(users: &[Arc<Terminator>], act: impl Fn(&mut Vec<Entry>)) -> Result<(), String> {
    let mut done = Vec::new();
    for user in users {
        let before = user.entries();
        let mut after = before.clone();
        act(&mut after);
        if let Err(error) = user.replace(after) {
            for (user, before) in done {
                let user: &Arc<Terminator> = user;
                let _ = user.replace(before);
            }
            return Err(error);
        }
        done.push((user, before));
    }
    Ok(())
}

impl Inner {
    fn is_used(&self, name: &str) -> bool {
        let by_listener = |terminator: &Arc<Terminator>| {
            terminator.entries().iter().any(|entry| *entry.material.name == *name)
        };
        self.terminators.iter().any(by_listener)
            || self.connectors.iter().filter_map(Weak::upgrade).any(|connector| connector.shows(name))
    }
    /// Has every user of a name show another certificate.
    fn publish(&mut self, name: &str, material: &Arc<Material>) -> Result<(), String> {
        let mut done: Vec<(Arc<Terminator>, Vec<Entry>)> = Vec::new();
        for terminator in &self.terminators {
            let before = terminator.entries();
            if !before.iter().any(|entry| *entry.material.name == *name) {
                continue;
            }
            let mut after = before.clone();
            after.iter_mut().filter(|entry| *entry.material.name == *name).for_each(|entry| {
                entry.material = material.clone();
            });
            if let Err(error) = terminator.replace(after) {
                for (terminator, before) in done {
                    let _ = terminator.replace(before);
                }
                return Err(error);
            }
            done.push((terminator.clone(), before));
        }
        for connector in self.connectors.iter().filter_map(Weak::upgrade) {
            connector.renew(material);
        }
        for list in self.lists.values_mut() {
            for line in list.lines.iter_mut().filter(|line| *line.entry.material.name == *name) {
                line.entry.material = material.clone();
            }
        }
        self.changed.insert(name.to_owned());
        self.certificates.insert(name.to_owned(), Some(material.clone()));
        Ok(())
    }
    /// The certificate that a name belongs to, and which part of it is meant.
    fn owner(&self, name: &str) -> Option<(String, &'static str)> {
        if self.certificates.contains_key(name) {
            return Some((name.to_owned(), ""));
        }
        let (stem, part) = PARTS.iter().find_map(|part| Some((name.strip_suffix(part)?, *part)))?;
        // `ssl-load-extra-del-ext` has the parts stand beside the name without its ending.
        [stem.to_owned(), format!("{stem}.crt")]
            .into_iter()
            .find(|owner| self.certificates.contains_key(owner))
            .map(|owner| (owner, part))
    }
    fn take(&mut self, name: &str) -> Result<(String, Draft), String> {
        match self.transaction.take_if(|(of, _)| of == name) {
            Some(transaction) => Ok(transaction),
            None => Err(match &self.transaction {
                Some((of, _)) => {
                    format!("The ongoing transaction is about '{of}' but you are trying to set '{name}'")
                }
                None => "No ongoing transaction!".to_owned(),
            }),
        }
    }
    /// What a draft makes of the certificate that is there.
    fn build(&self, name: &str, draft: &Draft) -> Result<Material, String> {
        let before = self.certificates.get(name).and_then(Option::as_ref);
        let mut chain = match (&draft.chain, before) {
            (Some(chain), _) => chain.clone(),
            (None, Some(before)) => before.certified.cert.clone(),
            (None, None) => return Err(format!("'{name}' has no certificate yet: set one first")),
        };
        let key = match (&draft.key, before) {
            (Some(key), _) => key.clone(),
            (None, Some(before)) => before.certified.key.clone(),
            (None, None) => return Err(format!("'{name}' has no private key yet: set one first")),
        };
        let leaf = Certificate::parse(&chain[0]).map_err(str::to_owned)?;
        if !belongs(&*key, &leaf) {
            return Err(format!("inconsistencies between private key and certificate loaded '{name}'"));
        }
        if let (1, Some(issuers)) = (chain.len(), &draft.issuers) {
            chain.extend(issuers.iter().cloned());
        }
        let mut certified = CertifiedKey::new(chain, key);
        // The response for another certificate says nothing about this one.
        certified.ocsp = match (&draft.ocsp, &draft.chain, before) {
            (Some(ocsp), _, _) => Some(ocsp.clone()),
            (None, None, Some(before)) => before.certified.ocsp.clone(),
            _ => None,
        };
        Material::of(name, certified, leaf, Vec::new())
    }
}

impl Draft {
    fn set(&mut self, name: &str, part: &str, payload: &[u8]) -> Result<(), String> {
        let file = File { path: name, bytes: payload };
        let ders = |list: Vec<Arc<Certificate>>| -> Vec<CertificateDer<'static>> {
            list.iter().map(|one| one.der().to_vec().into()).collect()
        };
        match part {
            "" => {
                let chain = sent_chain(file).map_err(|error| error.to_string())?;
                self.chain = Some(ders(chain));
                if let Some(key) = private_key(file).map_err(|error| error.to_string())? {
                    self.key = Some(key);
                }
            }
            ".key" => {
                let key = private_key(file).map_err(|error| error.to_string())?;
                self.key = Some(key.ok_or("unable to load the private key: there is none in the payload")?);
            }
            ".issuer" => self.issuers = Some(ders(authorities(file).map_err(|error| error.to_string())?)),
            ".ocsp" => {
                use base64::Engine as _;
                let text: Vec<u8> =
                    payload.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
                let der = base64::engine::general_purpose::STANDARD.decode(text);
                self.ocsp = Some(der.map_err(|_| "the OCSP response must be DER in base64".to_owned())?);
            }
            _ => {
                return Err(
                    "lists of SCTs beside certificates are not sent: certificates carry their own".to_owned()
                );
            }
        }
        Ok(())
    }
}
