//! The path from a leaf to a root: at each step an issuer from the trust store if it has one, otherwise one
//! of the certificates sent, each of which is used once. Trusted is what ends at a self-signed certificate of the
//! store; CAs of the store that issued each other end as a chain that is too long, as with OpenSSL.

use std::sync::Arc;

use super::signature::{Outcome, Signed};
use super::{DEPTH_MAX, Refused, SIGNATURES_MAX, VerifyError, Walk};
use crate::tls::certificate::Certificate;

/// Whether, by names, key identifiers and algorithms, `issuer` may have issued `subject`.
pub(super) fn may_have_issued(issuer: &Certificate, subject: &Certificate) -> bool {
    issuer.canonical_subject() == subject.canonical_issuer()
        && !issuer.extensions.is_invalid
        && issuer.fits_authority_of(subject)
        && issuer.key_can_have_signed(subject)
}

/// Whether the signature of `subject` is by `issuer`'s key.
pub(super) fn check_signature(issuer: &Certificate, subject: &Certificate) -> Outcome {
    // What the issuer signed must be what the signature is read as.
    if subject.signature_algorithm() != subject.signed_algorithm() {
        return Outcome::Bad;
    }
    let signed = Signed {
        key_algorithm: issuer.key_algorithm(),
        key: issuer.key(),
        algorithm: subject.signature_algorithm(),
        message: subject.signed(),
        signature: subject.signature(),
    };
    signed.check()
}

impl Walk<'_> {
    /// Extends the chain from its leaf as far as it goes.
    pub(super) fn build_path(&mut self, sent: &[Arc<Certificate>]) -> Result<(), Refused> {
        let mut budget = SIGNATURES_MAX;
        let mut left: Vec<Arc<Certificate>> = sent.to_vec();
        let mut is_trusted = false;
        // A root may follow on the last of those that are allowed.
        while self.chain.len() <= DEPTH_MAX + 1 {
            let last = self.chain.len() - 1;
            let top = self.chain[last].clone();
            let trust = self.policy.trust.clone();
            if top.is_self_signed() {
                // A self-signed certificate is trusted only if it is in the store as it stands.
                is_trusted =
                    trust.with_subject(top.canonical_subject()).any(|known| known.der() == top.der());
                if is_trusted {
                    self.untrusted = self.untrusted.min(last);
                }
                break;
            }
            let candidates = trust.with_subject(top.canonical_issuer());
            if let Some(issuer) = self.choose(candidates, &top, &mut budget) {
                is_trusted = issuer.is_self_signed();
                self.chain.push(issuer);
                // Above a certificate of the store, none of those sent counts.
                left.clear();
                if is_trusted {
                    break;
                }
                continue;
            }
            let Some(issuer) = self.choose(left.iter(), &top, &mut budget) else { break };
            left.retain(|other| !Arc::ptr_eq(other, &issuer));
            self.chain.push(issuer);
            self.untrusted = self.chain.len();
        }
        if is_trusted {
            return Ok(());
        }
        let last = self.chain.len() - 1;
        let error = if self.chain.len() > DEPTH_MAX + 1 {
            VerifyError::CERT_CHAIN_TOO_LONG
        } else if !self.chain[last].is_self_signed() {
            if self.untrusted < self.chain.len() {
                VerifyError::UNABLE_TO_GET_ISSUER_CERT
            } else {
                VerifyError::UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            }
        } else if last == 0 {
            VerifyError::DEPTH_ZERO_SELF_SIGNED_CERT
        } else {
            VerifyError::SELF_SIGNED_CERT_IN_CHAIN
        };
        self.report(error, last)
    }

    /// The issuer of `top` among the candidates: one that is valid now and whose key signed it if there is
    /// one, else the one that stays valid longest. A single candidate's signature is checked later with all others.
    fn choose<'c>(
        &mut self,
        candidates: impl Iterator<Item = &'c Arc<Certificate>>,
        top: &Certificate,
        budget: &mut usize,
    ) -> Option<Arc<Certificate>> {
        let mut candidates: Vec<_> = candidates.filter(|candidate| may_have_issued(candidate, top)).collect();
        if candidates.len() < 2 {
            return candidates.pop().cloned();
        }
        for candidate in &candidates {
            self.changes_at(candidate.valid_from);
            self.changes_at(candidate.valid_to);
        }
        let mut current = candidates.iter().filter(|candidate| candidate.is_current(self.now)).peekable();
        let first = current.peek().map(|first| Arc::clone(first));
        for candidate in current {
            if *budget == 0 {
                break;
            }
            *budget -= 1;
            self.verdict.signatures += 1;
            if check_signature(candidate, top) == Outcome::Good {
                return Some(Arc::clone(candidate));
            }
        }
        first.or_else(|| candidates.into_iter().max_by_key(|candidate| candidate.valid_to).cloned())
    }
}
