//! Certificate revocation lists (RFC 5280, section 5), of version 1 as of version 2.
//!
//! A list may name a million certificates, so its entries are kept as places in its DER, sorted by
//! serial number: 12 bytes each beside the DER.

use std::fmt;

use super::certificate::{self, AuthorityKey, Place};
use super::der::{self, Reader, tag};
use super::name;

/// The largest CRL taken; the largest in the public web's PKI have some 10 MB.
pub const CRL_MAX: usize = 64 * 1024 * 1024;

/// Extensions are few; more are an attack on code that compares them with each other.
const EXTENSIONS_MAX: usize = 64;

/// What issuingDistributionPoint says (RFC 5280, section 5.2.5).
#[derive(Default)]
pub(crate) struct Scope {
    /// The names of the distribution point, the contents of GeneralNames.
    names: Option<Place>,
    /// Only certificates of users.
    pub(crate) only_users: bool,
    /// Only those of CAs.
    pub(crate) only_authorities: bool,
    /// Only attribute certificates.
    pub(crate) only_attributes: bool,
    /// Not for all reasons of revocation.
    pub(crate) some_reasons: bool,
    /// Of certificates of other issuers too.
    pub(crate) is_indirect: bool,
}

/// A CRL.
pub struct Crl {
    der: Box<[u8]>,
    tbs: Place,
    inner_algorithm: Place,
    outer_algorithm: Place,
    signature: Place,
    issuer: Place,
    canonical_issuer: Box<[u8]>,
    pub(crate) this_update: Option<i64>,
    /// Nothing if the list has none; `Some(None)` if it is malformed.
    pub(crate) next_update: Option<Option<i64>>,
    version: u8,
    /// The entries' sequence, in the order of the list.
    entries: Place,
    /// Serial numbers and whether the entry takes a revocation back (reason removeFromCRL), sorted.
    revoked: Vec<(Place, bool)>,
    authority: Option<AuthorityKey>,
    pub(crate) scope: Option<Scope>,
    pub(crate) is_delta: bool,
    pub(crate) has_unknown_critical: bool,
}

impl Crl {
    /// Reads a list. The error says in words what is wrong.
    pub fn parse(der: &[u8]) -> Result<Crl, &'static str> {
        if der.len() > CRL_MAX {
            return Err("the CRL has more than 64 MiB");
        }
        parse(der).ok_or("this is no X.509 CRL in DER")
    }
    /// The whole of it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// The bytes that the issuer signed.
    pub fn signed(&self) -> &[u8] {
        self.tbs.get(&self.der)
    }
    /// The algorithm of the signature as the contents of an AlgorithmIdentifier.
    pub fn signature_algorithm(&self) -> &[u8] {
        self.outer_algorithm.get(&self.der)
    }
    /// The same as it is signed.
    pub(crate) fn signed_algorithm(&self) -> &[u8] {
        self.inner_algorithm.get(&self.der)
    }
    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        self.signature.get(&self.der)
    }
    /// The issuer's name, a whole SEQUENCE.
    pub fn issuer(&self) -> &[u8] {
        self.issuer.get(&self.der)
    }
    /// The issuer's name in the form for comparing.
    pub fn canonical_issuer(&self) -> &[u8] {
        &self.canonical_issuer
    }
    /// When it was made, in seconds since the epoch.
    pub fn made(&self) -> Option<i64> {
        self.this_update
    }
    /// When the next one is due, in seconds since the epoch.
    pub fn next(&self) -> Option<i64> {
        self.next_update.flatten()
    }
    /// 1 or 2.
    pub fn version(&self) -> u8 {
        self.version
    }
    /// Serial numbers (contents of INTEGER) and times of revocation, in the order of the list.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], Option<i64>)> {
        Reader::new(self.entries.get(&self.der)).filter_map(|entry| {
            let mut entry = Reader::new(entry.contents);
            Some((entry.expect(tag::INTEGER)?, entry.element().and_then(der::time)))
        })
    }
    /// How many certificates it names.
    pub fn len(&self) -> usize {
        self.revoked.len()
    }
    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }
    /// Whether it names this serial number (contents of INTEGER), and whether that takes a revocation back.
    pub(crate) fn find(&self, serial: &[u8]) -> Option<bool> {
        let found = self.revoked.binary_search_by(|(place, _)| place.get(&self.der).cmp(serial));
        found.ok().map(|at| self.revoked[at].1)
    }
    /// The key identifier of authorityKeyIdentifier.
    pub(crate) fn authority_key_id(&self) -> Option<&[u8]> {
        self.authority.as_ref()?.key.map(|place| place.get(&self.der))
    }
    pub(crate) fn authority_serial(&self) -> Option<&[u8]> {
        self.authority.as_ref()?.serial.map(|place| place.get(&self.der))
    }
    pub(crate) fn authority_issuer(&self) -> Option<&[u8]> {
        self.authority.as_ref()?.issuer.as_deref()
    }
    /// The names of its distribution point.
    pub(crate) fn point(&self) -> Option<Reader<'_>> {
        Some(Reader::new(self.scope.as_ref()?.names?.get(&self.der)))
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = name::rfc2253(self.issuer()).unwrap_or_default();
        f.debug_struct("Crl").field("issuer", &issuer).field("entries", &self.len()).finish_non_exhaustive()
    }
}

fn parse(bytes: &[u8]) -> Option<Crl> {
    let place = |part: &[u8]| Place::of(part, bytes);
    let mut outer = Reader::new(bytes);
    let mut parts = outer.sequence()?;
    let tbs = parts.whole(tag::SEQUENCE)?;
    let outer_algorithm = parts.expect(tag::SEQUENCE)?;
    let signature = der::bits(parts.expect(tag::BIT_STRING)?)?;
    let mut fields = Reader::new(tbs).sequence()?;
    let version =
        fields.optional(tag::INTEGER).map_or(Some(0), der::unsigned).filter(|version| *version <= 1)?;
    let inner_algorithm = fields.expect(tag::SEQUENCE)?;
    let issuer = fields.whole(tag::SEQUENCE)?;
    let this_update = der::time(fields.element()?);
    let has_next = matches!(fields.peek(), Some(tag::UTC_TIME | tag::GENERALIZED_TIME));
    let next_update = if has_next { Some(der::time(fields.element()?)) } else { None };
    let mut has_unknown_critical = false;
    let mut revoked = Vec::new();
    let list = fields.optional(tag::SEQUENCE).unwrap_or(&bytes[..0]);
    let mut entries = Reader::new(list);
    while !entries.is_empty() {
        let mut entry = entries.sequence()?;
        let serial = entry.expect(tag::INTEGER)?;
        entry.element()?;
        let (is_removed, is_strange) = entry_extensions(entry.optional(tag::SEQUENCE).unwrap_or_default())?;
        has_unknown_critical |= is_strange;
        revoked.push((place(serial), is_removed));
    }
    revoked.sort_by(|(a, _), (b, _)| a.get(bytes).cmp(b.get(bytes)));
    let mut crl = Crl {
        tbs: place(tbs),
        inner_algorithm: place(inner_algorithm),
        outer_algorithm: place(outer_algorithm),
        signature: place(signature),
        issuer: place(issuer),
        canonical_issuer: name::canonical(issuer)?.into(),
        this_update,
        next_update,
        version: version as u8 + 1,
        entries: place(list),
        revoked,
        authority: None,
        scope: None,
        is_delta: false,
        has_unknown_critical,
        der: bytes.into(),
    };
    if let Some(list) = fields.optional(tag::constructed(0)) {
        crl.take_extensions(Reader::new(list).expect(tag::SEQUENCE)?, bytes)?;
    }
    (outer.is_empty() && parts.is_empty() && fields.is_empty()).then_some(crl)
}

impl Crl {
    fn take_extensions(&mut self, list: &[u8], der: &[u8]) -> Option<()> {
        let mut list = Reader::new(list);
        let mut seen: Vec<&[u8]> = Vec::new();
        while !list.is_empty() {
            let (oid, is_critical, value) = extension(&mut list)?;
            // None stands there twice, and there are few.
            if seen.contains(&oid) || seen.len() >= EXTENSIONS_MAX {
                return None;
            }
            seen.push(oid);
            let mut value = Reader::new(value);
            match oid {
                b"\x55\x1d\x23" => {
                    self.authority = Some(certificate::authority_key(value.expect(tag::SEQUENCE)?, der)?);
                }
                b"\x55\x1d\x1c" => self.scope = Some(scope(value.expect(tag::SEQUENCE)?, der)?),
                b"\x55\x1d\x1b" => self.is_delta = true,
                // cRLNumber binds nothing here.
                b"\x55\x1d\x14" => {}
                _ => self.has_unknown_critical |= is_critical,
            }
        }
        Some(())
    }
}

/// The OID, criticality and value of the next extension.
fn extension<'a>(list: &mut Reader<'a>) -> Option<(&'a [u8], bool, &'a [u8])> {
    let mut extension = list.sequence()?;
    let oid = extension.expect(tag::OID)?;
    let is_critical = match extension.optional(tag::BOOLEAN) {
        Some(critical) => der::boolean(critical)?,
        None => false,
    };
    Some((oid, is_critical, extension.expect(tag::OCTET_STRING)?))
}

/// Whether an entry takes a revocation back, and whether it has a critical extension that is not known
/// (certificateIssuer, which indirect CRLs have, is one).
fn entry_extensions(list: &[u8]) -> Option<(bool, bool)> {
    let mut list = Reader::new(list);
    let (mut is_removed, mut is_strange) = (false, false);
    while !list.is_empty() {
        let (oid, is_critical, value) = extension(&mut list)?;
        if oid == b"\x55\x1d\x15" {
            is_removed = Reader::new(value).expect(tag::ENUMERATED) == Some(&[8]);
        } else {
            is_strange |= is_critical;
        }
    }
    Some((is_removed, is_strange))
}

fn scope(contents: &[u8], der: &[u8]) -> Option<Scope> {
    let mut scope = Scope::default();
    let mut parts = Reader::new(contents);
    while let Some(part) = parts.element() {
        let flag = || part.contents != [0];
        match part.tag {
            0xa0 => {
                // A name relative to the issuer's is not read: such a list fits no certificate.
                let names = Reader::new(part.contents).expect(tag::constructed(0)).unwrap_or_default();
                let names = if names.is_empty() { &part.contents[..0] } else { names };
                scope.names = Some(Place::of(names, der));
            }
            0x81 => scope.only_users = flag(),
            0x82 => scope.only_authorities = flag(),
            0x83 => scope.some_reasons = true,
            0x84 => scope.is_indirect = flag(),
            0x85 => scope.only_attributes = flag(),
            _ => return None,
        }
    }
    parts.is_empty().then_some(scope)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
        CrlIssuingDistributionPoint, CrlScope, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
        RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
    };

    use super::*;

    fn list(serials: &[u64], scope: Option<CrlScope>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
        let issuer = Issuer::new(params, KeyPair::generate().expect("a key"));
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: (*serial == 7).then_some(RevocationReason::RemoveFromCrl),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2026, 2, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: scope.map(|scope| CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec!["http://a.example/crl".into()] },
                scope: Some(scope),
            }),
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&issuer).expect("a CRL").der().to_vec()
    }

    #[test]
    fn entries_are_found() {
        let der = list(&[300, 7, 128, 5], None);
        let crl = Crl::parse(&der).expect("a CRL");
        assert_eq!((crl.len(), crl.made(), crl.next()), (4, Some(1_767_225_600), Some(1_769_904_000)));
        for (serial, expected) in [
            (&b"\x05"[..], Some(false)),
            (b"\x07", Some(true)),
            (b"\x00\x80", Some(false)),
            (b"\x01\x2c", Some(false)),
            (b"\x06", None),
            (b"\x80", None),
            (b"", None),
        ] {
            assert_eq!(crl.find(serial), expected, "{serial:x?}");
        }
        assert!(crl.authority_key_id().is_some() && !crl.has_unknown_critical && !crl.is_delta);
        assert!(crl.scope.is_none() && Crl::parse(&list(&[], None)).expect("a CRL").is_empty());
        for at in 0..der.len() {
            assert!(Crl::parse(&der[..at]).is_err(), "a piece of {at} bytes");
        }
    }

    #[test]
    fn extensions_stand_there_once() {
        use crate::tls::testing::{ListSpec, int};
        let once = ListSpec::new("CA", 0, &[1]).with("2.5.29.20", false, int(1));
        assert_eq!(Crl::parse(&once.der()).expect("a CRL").version(), 2);
        assert!(Crl::parse(&once.with("2.5.29.20", false, int(2)).der()).is_err());
    }

    #[test]
    fn scopes() {
        let crl = Crl::parse(&list(&[1], Some(CrlScope::UserCertsOnly))).expect("a CRL");
        let scope = crl.scope.as_ref().expect("a scope");
        assert!(
            scope.only_users && !scope.only_authorities && !scope.is_indirect && !crl.has_unknown_critical
        );
        let names: Vec<_> = crl.point().expect("a point").map(|name| name.contents).collect();
        assert_eq!(names, [b"http://a.example/crl"]);
        let crl = Crl::parse(&list(&[1], Some(CrlScope::CaCertsOnly))).expect("a CRL");
        assert!(crl.scope.expect("a scope").only_authorities);
    }
}
