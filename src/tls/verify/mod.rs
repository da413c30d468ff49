//! Whether a chain of certificates is to be trusted: an own checker with OpenSSL's numbers, depths and order
//! of errors, because HAProxy's configurations name these, ignore some of them and log them.
//!
//! A check is a walk through stages (the path, extensions, keys, revocation, signatures and times, name
//! constraints), each of which reports what is wrong. A report of a kind that the policy ignores is
//! remembered and the walk goes on; any other ends it. Finding a path costs at most [`SIGNATURES_MAX`]
//! signatures, and the chain's length and the certificates sent are bounded, so that no chain is expensive.
//!
//! What this checker accepts without ignoring anything is shown to webpki too, and must be accepted there:
//! an error in one of the two is then no hole. Chains that webpki cannot read stay outside ([`opinion`]).

pub mod cache;
pub(crate) mod constraints;
pub mod error;
mod extensions;
pub mod host;
mod opinion;
mod path;
mod revocation;
pub mod signature;
mod trust;
pub mod verifier;

#[cfg(test)]
mod random;
#[cfg(test)]
mod table;

use std::sync::Arc;

use super::certificate::Certificate;
pub use error::{ErrorSet, VerifyError};
pub use trust::Trust;

/// Certificates between a leaf and its root (OpenSSL's default for the depth of verification).
pub const DEPTH_MAX: usize = 100;
/// Certificates sent beside the leaf.
pub const SENT_MAX: usize = 100;
/// Signatures checked to choose among issuers of the same name.
pub const SIGNATURES_MAX: usize = 100;

/// What a certificate is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A client shows it.
    Client,
    /// A server shows it.
    Server,
}

/// How chains are judged.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The side that shows the certificate.
    pub purpose: Purpose,
    /// Roots and revocation lists.
    pub trust: Arc<Trust>,
    /// Errors of the leaf that are let through (`crt-ignore-err`).
    pub ignored_of_leaf: ErrorSet,
    /// Errors above the leaf that are let through (`ca-ignore-err`).
    pub ignored_of_authorities: ErrorSet,
}

/// An error and how far above the leaf it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub error: VerifyError,
    /// 0 is the leaf.
    pub depth: u8,
}

/// What became of a check.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Why the chain is refused; nothing if it is taken.
    pub refused: Option<Fault>,
    /// The last error (`ssl_c_verify`), let through or not.
    pub last: Option<VerifyError>,
    /// The leaf's first error (`ssl_c_err`).
    pub leaf_error: Option<VerifyError>,
    /// The first error above the leaf (`ssl_c_ca_err`, `ssl_c_ca_err_depth`).
    pub authority_error: Option<Fault>,
    /// The top of the path that was found, which is a root if the chain is taken (`ssl_c_r_dn`).
    pub top: Option<Arc<Certificate>>,
    /// The first second (since the epoch) at which the verdict may be another.
    pub until: i64,
    /// How many signatures were checked to find it: what the check cost.
    pub signatures: usize,
}

/// The walk ends: the policy does not ignore what was reported.
struct Refused;

/// One walk.
struct Walk<'a> {
    policy: &'a Policy,
    now: i64,
    /// From the leaf up.
    chain: Vec<Arc<Certificate>>,
    /// How many of the chain, from the leaf, do not come from the trust store.
    untrusted: usize,
    verdict: Verdict,
    /// For tests: every report.
    #[cfg(test)]
    reports: Vec<Fault>,
}

/// Judges what a peer sent: its certificate, then others in any order, all in DER. `now` is in seconds since
/// the epoch.
pub fn check(policy: &Policy, leaf: &[u8], others: &[&[u8]], now: i64) -> Verdict {
    let mut walk = Walk::new(policy, now);
    let _ = walk.run(leaf, others);
    walk.verdict.top = walk.chain.last().cloned();
    walk.verdict
}

impl<'a> Walk<'a> {
    fn new(policy: &'a Policy, now: i64) -> Walk<'a> {
        Walk {
            policy,
            now,
            chain: Vec::new(),
            untrusted: 1,
            verdict: Verdict { until: i64::MAX, ..Verdict::default() },
            #[cfg(test)]
            reports: Vec::new(),
        }
    }
    fn run(&mut self, leaf: &[u8], others: &[&[u8]]) -> Result<(), Refused> {
        if others.len() > SENT_MAX {
            return self.refuse(VerifyError::CERT_CHAIN_TOO_LONG, 0);
        }
        let Ok(leaf) = Certificate::parse(leaf) else { return self.refuse(VerifyError::UNSPECIFIED, 0) };
        let mut sent = Vec::with_capacity(others.len());
        for (depth, other) in others.iter().enumerate() {
            match Certificate::parse(other) {
                Ok(other) => sent.push(Arc::new(other)),
                Err(_) => return self.refuse(VerifyError::UNSPECIFIED, depth + 1),
            }
        }
        self.chain.push(Arc::new(leaf));
        if self.chain[0].extensions.is_invalid {
            return self.refuse(VerifyError::INVALID_EXTENSION, 0);
        }
        if signature::is_weak_key(self.chain[0].key_algorithm(), self.chain[0].key()) {
            self.report(VerifyError::EE_KEY_TOO_SMALL, 0)?;
        }
        self.build_path(&sent)?;
        self.check_extensions()?;
        self.check_keys()?;
        self.check_revocation()?;
        self.check_signatures()?;
        self.check_constraints()?;
        if self.verdict.last.is_none()
            && let Some(error) = opinion::objection(self.policy, &self.chain, self.untrusted, self.now)
        {
            return self.refuse(error, 0);
        }
        Ok(())
    }
    /// Takes down an error. The walk goes on if the policy ignores it.
    fn report(&mut self, error: VerifyError, depth: usize) -> Result<(), Refused> {
        let fault = Fault { error, depth: depth as u8 };
        self.verdict.last = Some(error);
        #[cfg(test)]
        self.reports.push(fault);
        let ignored = if depth == 0 {
            self.verdict.leaf_error.get_or_insert(error);
            self.policy.ignored_of_leaf
        } else {
            self.verdict.authority_error.get_or_insert(fault);
            self.policy.ignored_of_authorities
        };
        if ignored.contains(error) {
            return Ok(());
        }
        self.verdict.refused = Some(fault);
        Err(Refused)
    }
    /// Takes down an error that nothing ignores: without it there is nothing to go on with.
    fn refuse(&mut self, error: VerifyError, depth: usize) -> Result<(), Refused> {
        let _ = self.report(error, depth);
        self.verdict.refused = Some(Fault { error, depth: depth as u8 });
        Err(Refused)
    }
    /// Notes that the verdict may change at this second.
    fn changes_at(&mut self, second: Option<i64>) {
        if let Some(second) = second.filter(|second| *second > self.now) {
            self.verdict.until = self.verdict.until.min(second);
        }
    }
    /// Keys of issuers, and hashes of all signatures but the root's.
    fn check_keys(&mut self) -> Result<(), Refused> {
        for depth in 0..self.chain.len() {
            let certificate = self.chain[depth].clone();
            if depth > 0 && signature::is_weak_key(certificate.key_algorithm(), certificate.key()) {
                self.report(VerifyError::CA_KEY_TOO_SMALL, depth)?;
            }
            if depth + 1 < self.chain.len() && signature::is_weak_hash(certificate.signature_algorithm()) {
                self.report(VerifyError::CA_MD_TOO_WEAK, depth)?;
            }
        }
        Ok(())
    }
    /// Signatures and times, from the root down.
    fn check_signatures(&mut self) -> Result<(), Refused> {
        let mut depth = self.chain.len() - 1;
        let mut issuer = self.chain[depth].clone();
        let mut subject = issuer.clone();
        let mut is_own_issuer = true;
        if !path::may_have_issued(&issuer, &issuer) {
            if depth == 0 {
                self.report(VerifyError::UNABLE_TO_VERIFY_LEAF_SIGNATURE, 0)?;
            } else {
                depth -= 1;
                subject = self.chain[depth].clone();
                is_own_issuer = false;
            }
        }
        loop {
            // The signature of a root by itself says nothing.
            if !is_own_issuer {
                self.check_signature(&issuer, &subject, depth)?;
            }
            self.check_time(&subject, depth)?;
            if depth == 0 {
                return Ok(());
            }
            depth -= 1;
            is_own_issuer = false;
            issuer = subject;
            subject = self.chain[depth].clone();
        }
    }
    fn check_signature(
        &mut self,
        issuer: &Certificate,
        subject: &Certificate,
        depth: usize,
    ) -> Result<(), Refused> {
        if issuer.lacks_usage(super::certificate::key_usage::KEY_CERT_SIGN) {
            self.report(VerifyError::KEYUSAGE_NO_CERTSIGN, depth + 1)?;
        }
        self.verdict.signatures += 1;
        match path::check_signature(issuer, subject) {
            signature::Outcome::Good => Ok(()),
            signature::Outcome::Bad => self.report(VerifyError::CERT_SIGNATURE_FAILURE, depth),
            signature::Outcome::Unsupported => {
                self.report(VerifyError::UNSUPPORTED_SIGNATURE_ALGORITHM, depth)
            }
        }
    }
    fn check_time(&mut self, certificate: &Certificate, depth: usize) -> Result<(), Refused> {
        self.changes_at(certificate.valid_from);
        self.changes_at(certificate.valid_to);
        match certificate.valid_from {
            None => self.report(VerifyError::ERROR_IN_CERT_NOT_BEFORE_FIELD, depth)?,
            Some(from) if from > self.now => self.report(VerifyError::CERT_NOT_YET_VALID, depth)?,
            Some(_) => {}
        }
        match certificate.valid_to {
            None => self.report(VerifyError::ERROR_IN_CERT_NOT_AFTER_FIELD, depth),
            // As in OpenSSL, the last second is past the end.
            Some(to) if to <= self.now => self.report(VerifyError::CERT_HAS_EXPIRED, depth),
            Some(_) => Ok(()),
        }
    }
    /// The names of each certificate against the constraints of all above it.
    fn check_constraints(&mut self) -> Result<(), Refused> {
        for depth in (0..self.chain.len()).rev() {
            if depth != 0 && self.chain[depth].is_self_issued() {
                continue;
            }
            for above in (depth + 1..self.chain.len()).rev() {
                let authority = self.chain[above].clone();
                let Some(contents) = authority.constraints() else { continue };
                let found = match constraints::Constraints::parse(contents) {
                    Some(constraints) => constraints.check(&self.chain[depth], depth == 0),
                    None => Err(VerifyError::INVALID_EXTENSION),
                };
                if let Err(error) = found {
                    self.report(error, depth)?;
                }
            }
        }
        Ok(())
    }
}

impl Certificate {
    /// Whether it has keyUsage and that has none of these bits.
    fn lacks_usage(&self, bits: u16) -> bool {
        self.extensions.key_usage.is_some_and(|usage| usage & bits == 0)
    }
    /// Whether it is valid at `now`.
    fn is_current(&self, now: i64) -> bool {
        self.valid_from.is_some_and(|from| from <= now) && self.valid_to.is_some_and(|to| to > now)
    }
}
