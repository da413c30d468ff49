//! A second opinion: what our checker takes, webpki must take too.
//!
//! It is not asked about chains that it refuses by design: a leaf of version 1 or 2, a leaf that is a CA, a root
//! that it cannot parse, more than [`INTERMEDIATES_MAX`] intermediates, names that are equal but not byte by
//! byte, CAs that issued themselves a new key, constraints of other names than hosts'. Nor is it asked about
//! revocation and host names, where it has other rules.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};

use super::constraints::Constraints;
use super::signature::algorithms;
use super::{Policy, Purpose, VerifyError};
use crate::tls::certificate::Certificate;

/// webpki's own limit.
const INTERMEDIATES_MAX: usize = 6;

/// Whether it is asked.
fn is_asked(chain: &[Arc<Certificate>], untrusted: usize) -> bool {
    let leaf = &chain[0];
    let is_authority = leaf.extensions.basic.is_some_and(|basic| basic.is_ca);
    let constraints = chain.iter().filter_map(|certificate| certificate.constraints());
    leaf.version() == 3
        && !is_authority
        && untrusted > 0
        && chain.len() <= INTERMEDIATES_MAX + 2
        && !chain.iter().rev().skip(1).any(|certificate| certificate.is_self_issued())
        && chain.windows(2).all(|pair| pair[0].issuer() == pair[1].subject())
        && constraints.filter_map(Constraints::parse).all(|constraints| constraints.is_of_hosts())
}

/// What webpki has against a chain that was found good: an error to refuse it with.
pub(super) fn objection(
    policy: &Policy,
    chain: &[Arc<Certificate>],
    untrusted: usize,
    now: i64,
) -> Option<VerifyError> {
    if !is_asked(chain, untrusted) {
        return None;
    }
    let (leaf, root) = (&chain[0], &chain[chain.len() - 1]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.der())).ok()?;
    let between = chain[1..chain.len().max(2) - 1].iter();
    let others: Vec<_> = between.map(|certificate| CertificateDer::from(certificate.der())).collect();
    let end_entity = CertificateDer::from(leaf.der());
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.max(0) as u64));
    let accepted = match policy.purpose {
        Purpose::Server => ParsedCertificate::try_from(&end_entity).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &others, now, algorithms().all)
        }),
        Purpose::Client => {
            let provider = Arc::clone(crate::tls::provider());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().ok()?;
            verifier.verify_client_cert(&end_entity, &others, now).map(|_| ())
        }
    };
    accepted.err().map(|_| VerifyError::UNSPECIFIED)
}
