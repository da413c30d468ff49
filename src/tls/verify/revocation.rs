//! Revocation: each certificate of the chain is looked for in its issuer's list, which must be there, be
//! signed by that issuer, be current and be about such certificates. The root is no exception.

use std::sync::Arc;

use super::signature::{Outcome, Signed};
use super::{Refused, VerifyError, Walk};
use crate::tls::certificate::{Certificate, key_usage};
use crate::tls::crl::Crl;
use crate::tls::der::{Reader, tag};

/// How well a list fits a certificate; the greatest is used, and of equal ones the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    is_understood: bool,
    is_in_scope: bool,
    is_current: bool,
    /// Of the same fit, the newest.
    made: Option<i64>,
}

impl Walk<'_> {
    /// Looks each certificate up, from the leaf to the root.
    pub(super) fn check_revocation(&mut self) -> Result<(), Refused> {
        if !self.policy.trust.checks_revocation() {
            return Ok(());
        }
        for depth in 0..self.chain.len() {
            self.check_revoked(depth)?;
        }
        Ok(())
    }

    fn check_revoked(&mut self, depth: usize) -> Result<(), Refused> {
        let certificate = self.chain[depth].clone();
        if certificate.extensions.is_proxy {
            return Ok(());
        }
        let issuer = self.chain[(depth + 1).min(self.chain.len() - 1)].clone();
        let trust = self.policy.trust.clone();
        let lists = trust.lists_of(certificate.canonical_issuer());
        let fitting = lists.filter_map(|list| Some((self.fit(list, &certificate, &issuer)?, list)));
        let Some((fit, list)) = fitting.reduce(|best, next| if next.0 > best.0 { next } else { best }) else {
            return self.report(VerifyError::UNABLE_TO_GET_CRL, depth);
        };
        let list = Arc::clone(list);
        self.changes_at(list.this_update);
        self.changes_at(list.next_update.flatten());
        if issuer.lacks_usage(key_usage::CRL_SIGN) {
            self.report(VerifyError::KEYUSAGE_NO_CRL_SIGN, depth)?;
        }
        if !fit.is_in_scope {
            self.report(VerifyError::DIFFERENT_CRL_SCOPE, depth)?;
        }
        if !fit.is_current {
            self.report_time(&list, depth)?;
        }
        self.verdict.signatures += 1;
        let signed = Signed {
            key_algorithm: issuer.key_algorithm(),
            key: issuer.key(),
            algorithm: list.signature_algorithm(),
            message: list.signed(),
            signature: list.signature(),
        };
        if list.signature_algorithm() != list.signed_algorithm() || signed.check_list() != Outcome::Good {
            self.report(VerifyError::CRL_SIGNATURE_FAILURE, depth)?;
        }
        if list.has_unknown_critical {
            self.report(VerifyError::UNHANDLED_CRITICAL_CRL_EXTENSION, depth)?;
        }
        // An entry that takes a revocation back means nothing outside of delta lists, which are not used.
        if list.find(certificate.serial()) == Some(false) {
            self.report(VerifyError::CERT_REVOKED, depth)?;
        }
        Ok(())
    }

    /// How the list fits; nothing if it cannot be used for the certificate at all.
    fn fit(&self, list: &Crl, certificate: &Certificate, issuer: &Certificate) -> Option<Fit> {
        let scope = list.scope.as_ref();
        if list.is_delta || scope.is_some_and(|scope| scope.is_indirect || scope.some_reasons) {
            return None;
        }
        let differs =
            |told: Option<&[u8]>, own: Option<&[u8]>| matches!((told, own), (Some(a), Some(b)) if a != b);
        if issuer.canonical_subject() != list.canonical_issuer()
            || differs(list.authority_key_id(), issuer.subject_key_id())
            || differs(list.authority_serial(), Some(issuer.serial()))
            || differs(list.authority_issuer(), Some(issuer.canonical_issuer()))
        {
            return None;
        }
        let is_authority = certificate.extensions.basic.is_some_and(|basic| basic.is_ca);
        let is_in_scope = scope.is_none_or(|scope| {
            let is_excluded = if is_authority { scope.only_users } else { scope.only_authorities };
            !scope.only_attributes && !is_excluded
        }) && list.point().is_none_or(|point| shares_point(point, certificate));
        Some(Fit {
            is_understood: !list.has_unknown_critical,
            is_in_scope,
            is_current: list.this_update.is_some_and(|made| made <= self.now)
                && list.next_update.is_none_or(|next| next.is_some_and(|next| next > self.now)),
            made: list.this_update,
        })
    }

    fn report_time(&mut self, list: &Crl, depth: usize) -> Result<(), Refused> {
        match list.this_update {
            None => self.report(VerifyError::ERROR_IN_CRL_LAST_UPDATE_FIELD, depth)?,
            Some(made) if made > self.now => self.report(VerifyError::CRL_NOT_YET_VALID, depth)?,
            Some(_) => {}
        }
        match list.next_update {
            Some(None) => self.report(VerifyError::ERROR_IN_CRL_NEXT_UPDATE_FIELD, depth),
            Some(Some(next)) if next <= self.now => self.report(VerifyError::CRL_HAS_EXPIRED, depth),
            Some(Some(_)) | None => Ok(()),
        }
    }
}

/// Whether the certificate names one of the list's distribution points (RFC 5280, section 6.3.3 (b)).
fn shares_point(point: Reader<'_>, certificate: &Certificate) -> bool {
    let names: Vec<&[u8]> = point.map(|name| name.whole).collect();
    let mut points = Reader::new(certificate.distribution_points().unwrap_or_default());
    points.any(|told| {
        let place = Reader::new(told.contents).expect(tag::constructed(0)).unwrap_or_default();
        let told = Reader::new(Reader::new(place).expect(tag::constructed(0)).unwrap_or_default());
        { told }.any(|name| names.contains(&name.whole))
    })
}
