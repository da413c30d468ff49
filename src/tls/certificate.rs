//! X.509 certificates, read once into what checking a chain and telling of a certificate need.
//!
//! The reader takes what OpenSSL takes, with versions 1 and 2: it is no judge. A certificate is kept as
//! its DER with places into it. An extension that is malformed or stands there twice only marks the
//! certificate, and the checker refuses marked ones.

use std::fmt;

use super::der::{self, Reader, tag};
use super::name;

/// The largest certificate taken. Real ones have 1 to 5 KB; RFC 5280 sets no limit.
pub const CERTIFICATE_MAX: usize = 100 * 1024;

/// A place in the DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    start: u32,
    end: u32,
}

impl Place {
    /// Where `part`, a slice of `whole`, stands in it.
    pub(crate) fn of(part: &[u8], whole: &[u8]) -> Place {
        let start = (part.as_ptr().addr() - whole.as_ptr().addr()) as u32;
        Place { start, end: start + part.len() as u32 }
    }
    pub(crate) fn get(self, whole: &[u8]) -> &[u8] {
        &whole[self.start as usize..self.end as usize]
    }
}

/// Bits of keyUsage that the checker asks for (RFC 5280, section 4.2.1.3).
pub mod key_usage {
    #![allow(missing_docs)]
    pub const DIGITAL_SIGNATURE: u16 = 1 << 0;
    pub const KEY_ENCIPHERMENT: u16 = 1 << 2;
    pub const KEY_AGREEMENT: u16 = 1 << 4;
    pub const KEY_CERT_SIGN: u16 = 1 << 5;
    pub const CRL_SIGN: u16 = 1 << 6;
}

/// Bits of extendedKeyUsage; other purposes than these set none.
pub mod extended {
    #![allow(missing_docs)]
    pub const SERVER: u8 = 1 << 0;
    pub const CLIENT: u8 = 1 << 1;
    /// Server Gated Cryptography, which old servers' certificates have instead.
    pub const GATED: u8 = 1 << 2;
    pub const OCSP_SIGNING: u8 = 1 << 3;
}

/// Bits of Netscape's certificate type.
pub mod netscape {
    #![allow(missing_docs)]
    pub const CLIENT: u16 = 1 << 0;
    pub const SERVER: u16 = 1 << 1;
    pub const SSL_CA: u16 = 1 << 5;
    pub const ANY_CA: u16 = 0b111 << 5;
}

/// The family of a key or of the algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with PKCS#1 or PSS signatures.
    Rsa,
    /// RSA for PSS signatures only.
    RsaPss,
    /// ECDSA.
    Ec,
    /// DSA.
    Dsa,
    /// Ed25519.
    Ed25519,
    /// Ed448.
    Ed448,
    /// Something else.
    Other,
}

/// authorityKeyIdentifier.
#[derive(Clone)]
pub(crate) struct AuthorityKey {
    pub(crate) key: Option<Place>,
    /// The canonical form of the issuer's issuer.
    pub(crate) issuer: Option<Box<[u8]>>,
    pub(crate) serial: Option<Place>,
}

/// basicConstraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether it may issue certificates.
    pub is_ca: bool,
    /// How many CAs may stand between it and a leaf.
    pub path_length: Option<u32>,
}

/// A certificate.
pub struct Certificate {
    der: Box<[u8]>,
    tbs: Place,
    serial: Place,
    inner_algorithm: Place,
    issuer: Place,
    subject: Place,
    spki: Place,
    key_algorithm: Place,
    key: Place,
    outer_algorithm: Place,
    signature: Place,
    not_before: (u8, Place),
    not_after: (u8, Place),
    canonical_issuer: Box<[u8]>,
    canonical_subject: Box<[u8]>,
    version: u8,
    /// Seconds since the epoch; nothing if malformed.
    pub(crate) valid_from: Option<i64>,
    pub(crate) valid_to: Option<i64>,
    pub(crate) extensions: Extensions,
}

/// The extensions that mean something here.
#[derive(Clone, Default)]
pub(crate) struct Extensions {
    pub(crate) basic: Option<BasicConstraints>,
    pub(crate) key_usage: Option<u16>,
    pub(crate) extended: Option<u8>,
    pub(crate) netscape: Option<u16>,
    pub(crate) subject_key: Option<Place>,
    pub(crate) authority: Option<AuthorityKey>,
    pub(crate) alternative_names: Option<Place>,
    pub(crate) constraints: Option<Place>,
    pub(crate) policies: Option<Place>,
    pub(crate) distribution_points: Option<Place>,
    pub(crate) access: Option<Place>,
    pub(crate) is_proxy: bool,
    pub(crate) has_unknown_critical: bool,
    /// One of them is malformed or stands there twice.
    pub(crate) is_invalid: bool,
}

impl Certificate {
    /// Reads a certificate. The error says in words what is wrong.
    pub fn parse(der: &[u8]) -> Result<Certificate, &'static str> {
        if der.len() > CERTIFICATE_MAX {
            return Err("the certificate has more than 100 KiB");
        }
        parse(der).ok_or("this is no X.509 certificate in DER")
    }
    /// The whole of it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    fn at(&self, place: Place) -> &[u8] {
        place.get(&self.der)
    }
    /// The bytes that the issuer signed.
    pub fn signed(&self) -> &[u8] {
        self.at(self.tbs)
    }
    /// 1, 2 or 3.
    pub fn version(&self) -> u8 {
        self.version
    }
    /// The serial number as INTEGER.
    pub fn serial(&self) -> &[u8] {
        self.at(self.serial)
    }
    /// The algorithm of the signature as the contents of an AlgorithmIdentifier.
    pub fn signature_algorithm(&self) -> &[u8] {
        self.at(self.outer_algorithm)
    }
    /// The same as it is signed; a sound certificate has it equal.
    pub fn signed_algorithm(&self) -> &[u8] {
        self.at(self.inner_algorithm)
    }
    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        self.at(self.signature)
    }
    /// The issuer's name, a whole SEQUENCE.
    pub fn issuer(&self) -> &[u8] {
        self.at(self.issuer)
    }
    /// The subject's name, a whole SEQUENCE.
    pub fn subject(&self) -> &[u8] {
        self.at(self.subject)
    }
    /// The issuer's name in the form for comparing.
    pub fn canonical_issuer(&self) -> &[u8] {
        &self.canonical_issuer
    }
    /// The subject's name in the form for comparing.
    pub fn canonical_subject(&self) -> &[u8] {
        &self.canonical_subject
    }
    /// SubjectPublicKeyInfo, a whole SEQUENCE.
    pub fn public_key_info(&self) -> &[u8] {
        self.at(self.spki)
    }
    /// The key's algorithm as the contents of an AlgorithmIdentifier.
    pub fn key_algorithm(&self) -> &[u8] {
        self.at(self.key_algorithm)
    }
    /// The key's bytes.
    pub fn key(&self) -> &[u8] {
        self.at(self.key)
    }
    /// The start of its life as it is written (tag, text).
    pub fn not_before(&self) -> (u8, &[u8]) {
        (self.not_before.0, self.at(self.not_before.1))
    }
    /// The end of its life as it is written (tag, text).
    pub fn not_after(&self) -> (u8, &[u8]) {
        (self.not_after.0, self.at(self.not_after.1))
    }
    /// The end of its life in seconds since the epoch.
    pub fn expires(&self) -> Option<i64> {
        self.valid_to
    }
    /// The start of its life in seconds since the epoch.
    pub fn begins(&self) -> Option<i64> {
        self.valid_from
    }
    /// basicConstraints, if it has that.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.extensions.basic
    }
    /// subjectKeyIdentifier.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key.map(|place| self.at(place))
    }
    /// The key identifier of authorityKeyIdentifier.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.extensions.authority.as_ref()?.key.map(|place| self.at(place))
    }
    pub(crate) fn authority_serial(&self) -> Option<&[u8]> {
        self.extensions.authority.as_ref()?.serial.map(|place| self.at(place))
    }
    /// The names of subjectAltName: the tag tells each one's kind. Empty if it has no such extension.
    pub fn alternative_names(&self) -> Reader<'_> {
        Reader::new(self.extensions.alternative_names.map_or(&[], |place| self.at(place)))
    }
    /// The contents of nameConstraints.
    pub(crate) fn constraints(&self) -> Option<&[u8]> {
        self.extensions.constraints.map(|place| self.at(place))
    }
    /// The contents of certificatePolicies.
    pub fn policies(&self) -> Option<&[u8]> {
        self.extensions.policies.map(|place| self.at(place))
    }
    /// The contents of cRLDistributionPoints.
    pub(crate) fn distribution_points(&self) -> Option<&[u8]> {
        self.extensions.distribution_points.map(|place| self.at(place))
    }
    /// The contents of authorityInfoAccess.
    pub fn access(&self) -> Option<&[u8]> {
        self.extensions.access.map(|place| self.at(place))
    }
    /// Whether subject and issuer are the same.
    pub fn is_self_issued(&self) -> bool {
        self.canonical_subject == self.canonical_issuer
    }
    /// Whether it looks signed by its own key: as OpenSSL, by names, key identifiers and algorithm.
    pub fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.fits_authority_of(self) && self.key_can_have_signed(self)
    }
    /// Whether this one is what `subject`'s authorityKeyIdentifier tells of.
    pub(crate) fn fits_authority_of(&self, subject: &Certificate) -> bool {
        let Some(authority) = &subject.extensions.authority else { return true };
        let differs =
            |told: Option<&[u8]>, own: Option<&[u8]>| matches!((told, own), (Some(a), Some(b)) if a != b);
        !differs(subject.authority_key_id(), self.subject_key_id())
            && !differs(subject.authority_serial(), Some(self.serial()))
            && !differs(authority.issuer.as_deref(), Some(self.canonical_issuer()))
    }
    /// Whether the family of this one's key is that of `subject`'s signature.
    pub(crate) fn key_can_have_signed(&self, subject: &Certificate) -> bool {
        match (self.key_kind(), signature_kind(subject.signature_algorithm())) {
            (_, KeyKind::Other) => false,
            (KeyKind::Rsa, KeyKind::RsaPss) => true,
            (key, signature) => key == signature,
        }
    }
    /// The family of the key.
    pub fn key_kind(&self) -> KeyKind {
        key_kind(self.key_algorithm())
    }
    /// The size of the key as people tell it: the modulus of RSA, the field of a curve. 0 if unknown.
    pub fn key_bits(&self) -> usize {
        key_bits(self.key_algorithm(), self.key())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = name::rfc2253(self.subject()).unwrap_or_default();
        f.debug_struct("Certificate").field("subject", &subject).finish_non_exhaustive()
    }
}

/// The family of a key by the contents of its AlgorithmIdentifier.
pub fn key_kind(algorithm: &[u8]) -> KeyKind {
    match Reader::new(algorithm).expect(tag::OID).unwrap_or_default() {
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" => KeyKind::Rsa,
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => KeyKind::RsaPss,
        b"\x2a\x86\x48\xce\x3d\x02\x01" => KeyKind::Ec,
        b"\x2a\x86\x48\xce\x38\x04\x01" => KeyKind::Dsa,
        b"\x2b\x65\x70" => KeyKind::Ed25519,
        b"\x2b\x65\x71" => KeyKind::Ed448,
        _ => KeyKind::Other,
    }
}

/// The family of a signature by the contents of its AlgorithmIdentifier.
pub fn signature_kind(algorithm: &[u8]) -> KeyKind {
    let oid = Reader::new(algorithm).expect(tag::OID).unwrap_or_default();
    match oid {
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => KeyKind::RsaPss,
        // PKCS#1 with MD2, MD4, MD5, SHA-1 and the members of SHA-2.
        _ if matches!(oid, [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 2..=5 | 11..=16]) => KeyKind::Rsa,
        _ if oid.starts_with(b"\x2a\x86\x48\xce\x3d\x04") => KeyKind::Ec,
        b"\x2a\x86\x48\xce\x38\x04\x03" | b"\x60\x86\x48\x01\x65\x03\x04\x03\x02" => KeyKind::Dsa,
        b"\x2b\x65\x70" => KeyKind::Ed25519,
        b"\x2b\x65\x71" => KeyKind::Ed448,
        _ => KeyKind::Other,
    }
}

/// The size of a key as people tell it; 0 if unknown.
pub fn key_bits(algorithm: &[u8], key: &[u8]) -> usize {
    match key_kind(algorithm) {
        KeyKind::Rsa | KeyKind::RsaPss => {
            let modulus = Reader::new(key).sequence().and_then(|mut key| key.expect(tag::INTEGER));
            modulus.map_or(0, der::bit_length)
        }
        KeyKind::Ec => curve(algorithm).map_or(0, |(_, bits)| bits),
        KeyKind::Ed25519 => 253,
        KeyKind::Ed448 => 448,
        KeyKind::Dsa | KeyKind::Other => 0,
    }
}

/// The curve of an elliptic key: OpenSSL's name and the bits of its field.
pub fn curve(algorithm: &[u8]) -> Option<(&'static str, usize)> {
    let mut parts = Reader::new(algorithm);
    parts.expect(tag::OID)?;
    Some(match parts.expect(tag::OID)? {
        b"\x2a\x86\x48\xce\x3d\x03\x01\x07" => ("prime256v1", 256),
        b"\x2b\x81\x04\x00\x22" => ("secp384r1", 384),
        b"\x2b\x81\x04\x00\x23" => ("secp521r1", 521),
        b"\x2b\x81\x04\x00\x0a" => ("secp256k1", 256),
        b"\x2b\x81\x04\x00\x21" => ("secp224r1", 224),
        b"\x2a\x86\x48\xce\x3d\x03\x01\x01" => ("prime192v1", 192),
        b"\x2b\x24\x03\x03\x02\x08\x01\x01\x07" => ("brainpoolP256r1", 256),
        b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0b" => ("brainpoolP384r1", 384),
        b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0d" => ("brainpoolP512r1", 512),
        _ => return None,
    })
}

/// Whether an elliptic key tells its curve by name, not by explicit parameters.
pub(crate) fn names_curve(algorithm: &[u8]) -> bool {
    let mut parts = Reader::new(algorithm);
    parts.expect(tag::OID).is_some() && parts.peek() == Some(tag::OID)
}

fn parse(bytes: &[u8]) -> Option<Certificate> {
    let mut outer = Reader::new(bytes);
    let certificate = outer.element().filter(|element| element.tag == tag::SEQUENCE)?;
    if !outer.is_empty() {
        return None;
    }
    let mut parts = Reader::new(certificate.contents);
    let tbs = parts.element().filter(|element| element.tag == tag::SEQUENCE)?;
    let outer_algorithm = parts.expect(tag::SEQUENCE)?;
    let signature = der::bits(parts.expect(tag::BIT_STRING)?)?;
    if !parts.is_empty() {
        return None;
    }
    let mut fields = Reader::new(tbs.contents);
    let version = match fields.optional(tag::constructed(0)) {
        Some(version) => der::unsigned(Reader::new(version).expect(tag::INTEGER)?)?,
        None => 0,
    };
    let serial = fields.expect(tag::INTEGER).filter(|serial| !serial.is_empty())?;
    let inner_algorithm = fields.expect(tag::SEQUENCE)?;
    let issuer = fields.whole(tag::SEQUENCE)?;
    let mut validity = fields.sequence()?;
    let (not_before, not_after) = (validity.element()?, validity.element()?);
    let subject = fields.whole(tag::SEQUENCE)?;
    let spki = fields.whole(tag::SEQUENCE)?;
    let (key_algorithm, key) = public_key(spki)?;
    fields.optional(tag::context(1));
    fields.optional(tag::context(2));
    let place = |part: &[u8]| Place::of(part, bytes);
    let extensions = match fields.optional(tag::constructed(3)) {
        Some(list) => extensions(Reader::new(list).expect(tag::SEQUENCE)?, bytes)?,
        None => Extensions::default(),
    };
    if !fields.is_empty() || version > 2 {
        return None;
    }
    Some(Certificate {
        tbs: place(tbs.whole),
        serial: place(serial),
        inner_algorithm: place(inner_algorithm),
        issuer: place(issuer),
        subject: place(subject),
        spki: place(spki),
        key_algorithm: place(key_algorithm),
        key: place(key),
        outer_algorithm: place(outer_algorithm),
        signature: place(signature),
        not_before: (not_before.tag, place(not_before.contents)),
        not_after: (not_after.tag, place(not_after.contents)),
        canonical_issuer: name::canonical(issuer)?.into(),
        canonical_subject: name::canonical(subject)?.into(),
        version: version as u8 + 1,
        valid_from: der::time(not_before),
        valid_to: der::time(not_after),
        extensions,
        der: bytes.into(),
    })
}

/// The parts of a whole SubjectPublicKeyInfo: the contents of its AlgorithmIdentifier, and the key's bytes.
pub fn public_key(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = Reader::new(spki).sequence()?;
    let algorithm = parts.expect(tag::SEQUENCE)?;
    let key = der::bits(parts.expect(tag::BIT_STRING)?)?;
    parts.is_empty().then_some((algorithm, key))
}

/// Extensions are few; more are an attack on code that compares them with each other.
const EXTENSIONS_MAX: usize = 64;

fn extensions(list: &[u8], der: &[u8]) -> Option<Extensions> {
    let mut found = Extensions::default();
    let mut list = Reader::new(list);
    let mut seen: Vec<&[u8]> = Vec::new();
    while !list.is_empty() {
        let mut extension = list.sequence()?;
        let oid = extension.expect(tag::OID)?;
        let is_critical = match extension.optional(tag::BOOLEAN) {
            Some(critical) => der::boolean(critical)?,
            None => false,
        };
        let value = extension.expect(tag::OCTET_STRING)?;
        if seen.len() >= EXTENSIONS_MAX {
            return None;
        }
        if seen.contains(&oid) {
            found.is_invalid = true;
            continue;
        }
        seen.push(oid);
        match found.take(oid, value, der) {
            Some(true) => {}
            Some(false) => found.has_unknown_critical |= is_critical,
            None => found.is_invalid = true,
        }
    }
    Some(found)
}

impl Extensions {
    /// Takes one in. Nothing if it is malformed, false if it is not among those that may be critical.
    fn take(&mut self, oid: &[u8], value: &[u8], der: &[u8]) -> Option<bool> {
        let mut value = Reader::new(value);
        let place = |part: &[u8]| Place::of(part, der);
        match oid {
            // subjectKeyIdentifier and authorityKeyIdentifier are never critical.
            b"\x55\x1d\x0e" => {
                self.subject_key = Some(place(value.expect(tag::OCTET_STRING)?));
                return value.is_empty().then_some(false);
            }
            b"\x55\x1d\x23" => {
                self.authority = Some(authority_key(value.expect(tag::SEQUENCE)?, der)?);
                return value.is_empty().then_some(false);
            }
            b"\x2b\x06\x01\x05\x05\x07\x01\x01" => {
                self.access = Some(place(value.expect(tag::SEQUENCE)?));
                return value.is_empty().then_some(false);
            }
            b"\x55\x1d\x0f" => self.key_usage = Some(der::flags(value.expect(tag::BIT_STRING)?)?),
            b"\x55\x1d\x11" => {
                let names = value.expect(tag::SEQUENCE)?;
                let mut each = Reader::new(names);
                while !each.is_empty() {
                    each.element()?;
                }
                self.alternative_names = Some(place(names));
            }
            b"\x55\x1d\x13" => {
                let mut parts = value.sequence()?;
                let is_ca = match parts.optional(tag::BOOLEAN) {
                    Some(is_ca) => der::boolean(is_ca)?,
                    None => false,
                };
                let path_length = match parts.optional(tag::INTEGER) {
                    Some(length) => Some(der::unsigned(length)?),
                    None => None,
                };
                parts.is_empty().then_some(())?;
                self.basic = Some(BasicConstraints { is_ca, path_length });
            }
            b"\x55\x1d\x1e" => self.constraints = Some(place(value.expect(tag::SEQUENCE)?)),
            b"\x55\x1d\x1f" => self.distribution_points = Some(place(value.expect(tag::SEQUENCE)?)),
            b"\x55\x1d\x20" => self.policies = Some(place(value.expect(tag::SEQUENCE)?)),
            b"\x55\x1d\x25" => {
                let mut purposes = 0;
                let mut list = value.sequence()?;
                while !list.is_empty() {
                    purposes |= purpose(list.expect(tag::OID)?);
                }
                self.extended = Some(purposes);
            }
            b"\x60\x86\x48\x01\x86\xf8\x42\x01\x01" => {
                self.netscape = Some(der::flags(value.expect(tag::BIT_STRING)?)?);
            }
            b"\x2b\x06\x01\x05\x05\x07\x01\x0e" => {
                self.is_proxy = true;
                return Some(true);
            }
            // policyMappings, policyConstraints, inhibitAnyPolicy: no policy is asked for, so they bind nothing.
            // OCSP no check: no responder is asked.
            b"\x55\x1d\x21" | b"\x55\x1d\x24" | b"\x55\x1d\x36" | b"\x2b\x06\x01\x05\x05\x07\x30\x01\x05" => {
                return Some(true);
            }
            _ => return Some(false),
        }
        value.is_empty().then_some(true)
    }
}

fn purpose(oid: &[u8]) -> u8 {
    match oid {
        b"\x2b\x06\x01\x05\x05\x07\x03\x01" => extended::SERVER,
        b"\x2b\x06\x01\x05\x05\x07\x03\x02" => extended::CLIENT,
        b"\x2b\x06\x01\x05\x05\x07\x03\x09" => extended::OCSP_SIGNING,
        b"\x2b\x06\x01\x04\x01\x82\x37\x0a\x03\x03" | b"\x60\x86\x48\x01\x86\xf8\x42\x04\x01" => {
            extended::GATED
        }
        _ => 0,
    }
}

/// authorityKeyIdentifier from its contents (RFC 5280, section 4.2.1.1).
pub(crate) fn authority_key(contents: &[u8], der: &[u8]) -> Option<AuthorityKey> {
    let mut parts = Reader::new(contents);
    let key = parts.optional(tag::context(0));
    let names = Reader::new(parts.optional(tag::constructed(1)).unwrap_or_default());
    let issuer = match { names }.find(|name| name.tag == tag::constructed(4)) {
        Some(directory) => Some(name::canonical(directory.contents)?),
        None => None,
    };
    let serial = parts.optional(tag::context(2));
    let place = |part: &[u8]| Place::of(part, der);
    parts.is_empty().then(|| AuthorityKey {
        key: key.map(place),
        issuer: issuer.map(Vec::into_boxed_slice),
        serial: serial.map(place),
    })
}

#[cfg(test)]
mod tests;
