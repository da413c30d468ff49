//! Certificates and revocation lists for tests, made field by field: of any version, with any extension,
//! wrong in any way, which generators of sound certificates do not offer.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// The moment at which tests take place: in January 2027.
pub(crate) const NOW: i64 = 1_800_000_000;
/// A day.
pub(crate) const DAY: i64 = 86_400;

/// An element.
pub(crate) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = (contents.len() as u32).to_be_bytes();
    let head = match contents.len() {
        0..=0x7f => vec![tag, length[3]],
        0x80..=0xff => vec![tag, 0x81, length[3]],
        0x100..=0xffff => vec![tag, 0x82, length[2], length[3]],
        _ => vec![tag, 0x83, length[1], length[2], length[3]],
    };
    [&head, contents].concat()
}
/// A sequence of elements.
pub(crate) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}
/// A positive INTEGER.
pub(crate) fn int(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let sign: &[u8] = if bytes[start] >= 0x80 { &[0] } else { &[] };
    tlv(0x02, &[sign, &bytes[start..]].concat())
}
/// An OBJECT IDENTIFIER from its dotted numbers.
pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    let numbers: Vec<u64> = dotted.split('.').map(|number| number.parse().expect("a number")).collect();
    let mut out = Vec::new();
    for number in std::iter::once(numbers[0] * 40 + numbers[1]).chain(numbers[2..].iter().copied()) {
        let groups = (0..10).rev().map(|at| (number >> (7 * at)) as u8 & 0x7f);
        let mut groups: Vec<u8> = groups.skip_while(|group| *group == 0).collect();
        if groups.is_empty() {
            groups.push(0);
        }
        let last = groups.len() - 1;
        groups[..last].iter_mut().for_each(|group| *group |= 0x80);
        out.extend(groups);
    }
    tlv(0x06, &out)
}
/// A GeneralizedTime.
pub(crate) fn time(seconds: i64) -> Vec<u8> {
    let text = jiff::Timestamp::from_second(seconds).expect("a time").strftime("%Y%m%d%H%M%SZ").to_string();
    tlv(0x18, text.as_bytes())
}
/// A name with this common name; with none at all if that is empty.
pub(crate) fn name(common: &str) -> Vec<u8> {
    if common.is_empty() {
        return seq(&[]);
    }
    seq(&[tlv(0x31, &seq(&[oid("2.5.4.3"), tlv(0x0c, common.as_bytes())]))])
}

/// One of a few keys (ECDSA on P-256), made once.
pub(crate) fn key(at: usize) -> &'static EcdsaKeyPair {
    static KEYS: OnceLock<Vec<EcdsaKeyPair>> = OnceLock::new();
    let make = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    &KEYS.get_or_init(|| (0..8).map(|_| make()).collect())[at]
}
/// Such a key in PKCS#8.
pub(crate) fn pkcs8(at: usize) -> Vec<u8> {
    key(at).to_pkcs8v1().expect("a key").as_ref().to_vec()
}
/// SubjectPublicKeyInfo of such a key.
pub(crate) fn spki(at: usize) -> Vec<u8> {
    let algorithm = seq(&[oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")]);
    let key = [&[0], key(at).public_key().as_ref()].concat();
    seq(&[algorithm, tlv(0x03, &key)])
}

/// An extension.
#[derive(Clone)]
pub(crate) struct Extension(pub(crate) &'static str, pub(crate) bool, pub(crate) Vec<u8>);

/// What a certificate is made of.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) version: u8,
    pub(crate) serial: u64,
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    /// The number of the key that signs.
    pub(crate) signer: usize,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) algorithm: &'static str,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) is_broken: bool,
}

impl Spec {
    /// Of version 3, valid for a hundred days around now, without extensions.
    pub(crate) fn new(subject: &str, key: usize, issuer: &str, signer: usize) -> Spec {
        Spec {
            version: 3,
            serial: key as u64 + 100,
            subject: name(subject),
            issuer: name(issuer),
            spki: spki(key),
            signer,
            from: NOW - 50 * DAY,
            to: NOW + 50 * DAY,
            algorithm: "1.2.840.10045.4.3.2",
            extensions: Vec::new(),
            is_broken: false,
        }
    }
    /// A CA.
    pub(crate) fn authority(subject: &str, key: usize, issuer: &str, signer: usize) -> Spec {
        Spec::new(subject, key, issuer, signer).with("2.5.29.19", true, seq(&[tlv(0x01, &[0xff])]))
    }
    /// With one more extension.
    pub(crate) fn with(mut self, oid: &'static str, is_critical: bool, value: Vec<u8>) -> Spec {
        self.extensions.push(Extension(oid, is_critical, value));
        self
    }
    /// With the names of subjectAltName: (tag, contents).
    pub(crate) fn names(self, names: &[(u8, &[u8])]) -> Spec {
        let names: Vec<_> = names.iter().map(|(tag, contents)| tlv(*tag, contents)).collect();
        self.with("2.5.29.17", false, seq(&names))
    }
    /// Valid in this time only.
    pub(crate) fn valid(mut self, from: i64, to: i64) -> Spec {
        (self.from, self.to) = (from, to);
        self
    }
    /// Of version 1: without extensions.
    pub(crate) fn old(mut self) -> Spec {
        self.version = 1;
        self.extensions.clear();
        self
    }
    /// With a signature that is none.
    pub(crate) fn broken(mut self) -> Spec {
        self.is_broken = true;
        self
    }
    /// The certificate in DER.
    pub(crate) fn der(&self) -> Vec<u8> {
        let algorithm = seq(&[oid(self.algorithm)]);
        let mut fields = vec![
            int(self.serial),
            algorithm.clone(),
            self.issuer.clone(),
            seq(&[time(self.from), time(self.to)]),
            self.subject.clone(),
            self.spki.clone(),
        ];
        if self.version > 1 {
            fields.insert(0, tlv(0xa0, &int(u64::from(self.version) - 1)));
        }
        if !self.extensions.is_empty() {
            fields.push(tlv(0xa3, &extensions(&self.extensions)));
        }
        sign(seq(&fields), algorithm, self.signer, self.is_broken)
    }
}

fn extensions(list: &[Extension]) -> Vec<u8> {
    let each = |Extension(id, is_critical, value): &Extension| {
        let critical = if *is_critical { tlv(0x01, &[0xff]) } else { Vec::new() };
        seq(&[oid(id), critical, tlv(0x04, value)])
    };
    seq(&list.iter().map(each).collect::<Vec<_>>())
}

fn sign(signed: Vec<u8>, algorithm: Vec<u8>, signer: usize, is_broken: bool) -> Vec<u8> {
    let message: &[u8] = if is_broken { b"something else" } else { &signed };
    let signature = key(signer).sign(&SystemRandom::new(), message).expect("a signature");
    let signature = tlv(0x03, &[&[0], signature.as_ref()].concat());
    seq(&[signed, algorithm, signature])
}

/// What a revocation list is made of.
#[derive(Clone)]
pub(crate) struct ListSpec {
    pub(crate) issuer: Vec<u8>,
    pub(crate) signer: usize,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) serials: Vec<u64>,
    /// With any, it has version 2.
    pub(crate) extensions: Vec<Extension>,
    pub(crate) is_broken: bool,
}

impl ListSpec {
    /// Of version 1, valid for twenty days around now.
    pub(crate) fn new(issuer: &str, signer: usize, serials: &[u64]) -> ListSpec {
        ListSpec {
            issuer: name(issuer),
            signer,
            from: NOW - 10 * DAY,
            to: NOW + 10 * DAY,
            serials: serials.to_vec(),
            extensions: Vec::new(),
            is_broken: false,
        }
    }
    /// With one more extension.
    pub(crate) fn with(mut self, oid: &'static str, is_critical: bool, value: Vec<u8>) -> ListSpec {
        self.extensions.push(Extension(oid, is_critical, value));
        self
    }
    /// The list in DER.
    pub(crate) fn der(&self) -> Vec<u8> {
        let algorithm = seq(&[oid("1.2.840.10045.4.3.2")]);
        let mut fields = vec![algorithm.clone(), self.issuer.clone(), time(self.from), time(self.to)];
        if !self.extensions.is_empty() {
            fields.insert(0, int(1));
        }
        if !self.serials.is_empty() {
            let entry = |serial: &u64| seq(&[int(*serial), time(self.from)]);
            fields.push(seq(&self.serials.iter().map(entry).collect::<Vec<_>>()));
        }
        if !self.extensions.is_empty() {
            fields.push(tlv(0xa0, &extensions(&self.extensions)));
        }
        sign(seq(&fields), algorithm, self.signer, self.is_broken)
    }
}

/// A PEM block.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
