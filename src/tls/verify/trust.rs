//! Roots and revocation lists that a policy trusts.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::tls::certificate::Certificate;
use crate::tls::crl::Crl;

/// Certificates of `ca-file` and `ca-verify-file`, and the lists of `crl-file`.
pub struct Trust {
    id: u64,
    certificates: Vec<Arc<Certificate>>,
    /// Places of the above by canonical subject.
    by_subject: HashMap<Box<[u8]>, Vec<u32>>,
    lists: Vec<Arc<Crl>>,
    lists_by_issuer: HashMap<Box<[u8]>, Vec<u32>>,
    checks_revocation: bool,
}

impl Trust {
    /// With these certificates, and with revocation checked against the lists if there are any.
    pub fn new(certificates: Vec<Arc<Certificate>>, lists: Vec<Arc<Crl>>) -> Trust {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let index = |keys: &mut dyn Iterator<Item = &[u8]>| {
            let mut index: HashMap<Box<[u8]>, Vec<u32>> = HashMap::new();
            for (at, key) in keys.enumerate() {
                index.entry(key.into()).or_default().push(at as u32);
            }
            index
        };
        let by_subject = index(&mut certificates.iter().map(|certificate| certificate.canonical_subject()));
        let lists_by_issuer = index(&mut lists.iter().map(|list| list.canonical_issuer()));
        Trust {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            checks_revocation: !lists.is_empty(),
            certificates,
            by_subject,
            lists,
            lists_by_issuer,
        }
    }
    /// With revocation checked although there is no list: `crl-file` names a file that has none.
    pub fn checking_revocation(mut self) -> Trust {
        self.checks_revocation = true;
        self
    }
    /// A number that no other store of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }
    /// Whether revocation is checked.
    pub fn checks_revocation(&self) -> bool {
        self.checks_revocation
    }
    /// The certificates in the order given.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }
    /// The revocation lists in the order given.
    pub fn lists(&self) -> &[Arc<Crl>] {
        &self.lists
    }
    /// Certificates with this canonical subject.
    pub(super) fn with_subject<'a>(&'a self, subject: &[u8]) -> impl Iterator<Item = &'a Arc<Certificate>> {
        let places = self.by_subject.get(subject).map_or(&[][..], Vec::as_slice);
        places.iter().map(|at| &self.certificates[*at as usize])
    }
    /// Lists with this canonical issuer.
    pub(super) fn lists_of<'a>(&'a self, issuer: &[u8]) -> impl Iterator<Item = &'a Arc<Crl>> {
        let places = self.lists_by_issuer.get(issuer).map_or(&[][..], Vec::as_slice);
        places.iter().map(|at| &self.lists[*at as usize])
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Trust");
        f.field("certificates", &self.certificates.len()).field("lists", &self.lists.len()).finish()
    }
}
