//! OCSP responses (RFC 6960) as servers staple them: read for their validity and for `show ssl ocsp-response`.
//!
//! The signature is the client's to check: an attacker that could put a forged response beside a certificate could put
//! another certificate there too.

use std::fmt::Write;

use sha1::{Digest, Sha1};

use super::certificate::Certificate;
use super::der::{self, Reader, tag};
use super::facts::{hex, readable_time};
use super::name;

/// The largest response taken; real ones have 0.3 to 3 KB, and TLS has room for 16 MiB.
pub const RESPONSE_MAX: usize = 64 * 1024;
/// How far in the future a response may have been made, in seconds: clocks differ.
const SKEW: i64 = 300;

/// What a response says of its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked then, in seconds since the epoch, for a reason by number.
    Revoked(i64, Option<u8>),
    /// The responder does not know the certificate.
    Unknown,
}

/// A certificate as OCSP names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateId {
    /// The OID of the hash.
    pub algorithm: Vec<u8>,
    /// Of the issuer's name.
    pub issuer_name: Vec<u8>,
    /// Of the issuer's key.
    pub issuer_key: Vec<u8>,
    /// The contents of INTEGER.
    pub serial: Vec<u8>,
}

const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";

impl CertificateId {
    /// Of a certificate, by SHA-1 as HAProxy and nearly all responders name it.
    pub fn of(certificate: &Certificate, issuer: &Certificate) -> CertificateId {
        CertificateId {
            algorithm: SHA1.to_vec(),
            issuer_name: Sha1::digest(certificate.issuer()).to_vec(),
            issuer_key: Sha1::digest(issuer.key()).to_vec(),
            serial: certificate.serial().to_vec(),
        }
    }
    /// The key by which `show ssl ocsp-response` lists and finds responses: the DER in hexadecimal.
    pub fn key(&self) -> String {
        let wrap = |kind: u8, contents: &[u8]| [&[kind, contents.len() as u8], contents].concat();
        let algorithm = wrap(tag::SEQUENCE, &[wrap(tag::OID, &self.algorithm), vec![5, 0]].concat());
        let parts = [
            algorithm,
            wrap(tag::OCTET_STRING, &self.issuer_name),
            wrap(tag::OCTET_STRING, &self.issuer_key),
            wrap(tag::INTEGER, &self.serial),
        ];
        hex(&wrap(tag::SEQUENCE, &parts.concat())).to_ascii_lowercase()
    }
    /// The lines that tell of it, each behind `indent`.
    pub fn describe(&self, indent: &str) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{indent}Issuer Name Hash: {}", hex(&self.issuer_name));
        let _ = writeln!(out, "{indent}Issuer Key Hash: {}", hex(&self.issuer_key));
        let serial = self.serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(&self.serial);
        let _ = writeln!(out, "{indent}Serial Number: {}", hex(serial));
        out
    }
}

/// A response about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Whom it is about.
    pub id: CertificateId,
    /// What it says.
    pub status: Status,
    /// When it was found to be so, in seconds since the epoch.
    pub this_update: i64,
    /// Until when, in seconds since the epoch.
    pub next_update: Option<i64>,
    /// When it was signed.
    pub produced: i64,
    /// The signer: a name, or the hash of a key.
    pub responder: String,
}

impl Response {
    /// Reads a response in DER.
    ///
    /// # Errors
    /// In words, what it is instead of a successful response about one certificate.
    pub fn parse(der: &[u8]) -> Result<Response, String> {
        if der.len() > RESPONSE_MAX {
            return Err(format!("the OCSP response has more than {RESPONSE_MAX} bytes"));
        }
        let basic = basic_response(der)?;
        read(basic).ok_or_else(|| "unable to parse the OCSP response".to_owned())?
    }
    /// Whether it may be stapled at `now`, to a certificate with this id (any, if that is not known).
    ///
    /// # Errors
    /// In words, why not.
    pub fn check(&self, id: Option<&CertificateId>, now: i64) -> Result<(), String> {
        if self.status == Status::Unknown {
            return Err("OCSP single response: certificate status is unknown".into());
        }
        let Some(next) = self.next_update else {
            return Err("OCSP single response: missing nextupdate".into());
        };
        if self.this_update > now + SKEW {
            return Err(format!(
                "OCSP single response: not valid before {}",
                readable_time(self.this_update)
            ));
        }
        if next + SKEW < now {
            return Err(format!("OCSP single response: no longer valid since {}", readable_time(next)));
        }
        if id.is_some_and(|id| *id != self.id) {
            return Err("OCSP single response: Certificate ID does not match certificate and issuer".into());
        }
        Ok(())
    }
    /// What `show ssl ocsp-response <id>` prints.
    pub fn describe(&self) -> String {
        let mut out = String::from(
            "OCSP Response Data:\n    OCSP Response Status: successful (0x0)\n    Response Type: Basic OCSP Response\n    \
             Version: 1 (0x0)\n",
        );
        let _ = writeln!(out, "    Responder Id: {}", self.responder);
        let _ = writeln!(out, "    Produced At: {}", readable_time(self.produced));
        out.push_str("    Responses:\n    Certificate ID:\n");
        let hash = match &self.id.algorithm[..] {
            SHA1 => "sha1".to_owned(),
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x01" => "sha256".to_owned(),
            other => der::dotted(other).unwrap_or_default(),
        };
        let _ = writeln!(out, "      Hash Algorithm: {hash}");
        out.push_str(&self.id.describe("      "));
        let _ = match self.status {
            Status::Good => writeln!(out, "    Cert Status: good"),
            Status::Unknown => writeln!(out, "    Cert Status: unknown"),
            Status::Revoked(time, reason) => {
                let _ =
                    writeln!(out, "    Cert Status: revoked\n    Revocation Time: {}", readable_time(time));
                match reason {
                    Some(reason) => {
                        writeln!(out, "    Revocation Reason: {} (0x{reason:x})", reason_name(reason))
                    }
                    None => Ok(()),
                }
            }
        };
        let _ = writeln!(out, "    This Update: {}", readable_time(self.this_update));
        if let Some(next) = self.next_update {
            let _ = writeln!(out, "    Next Update: {}", readable_time(next));
        }
        out
    }
}

/// The reasons of RFC 5280, section 5.3.1.
fn reason_name(reason: u8) -> &'static str {
    match reason {
        0 => "unspecified",
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        8 => "removeFromCRL",
        _ => "(UNKNOWN)",
    }
}

/// The BasicOCSPResponse of a successful response.
fn basic_response(der: &[u8]) -> Result<&[u8], String> {
    let unreadable = || "unable to parse the OCSP response".to_owned();
    let mut outer = Reader::new(der);
    let mut parts = outer.sequence().filter(|_| outer.is_empty()).ok_or_else(unreadable)?;
    let status = parts.expect(tag::ENUMERATED).ok_or_else(unreadable)?;
    if status != [0] {
        let name = match status {
            [1] => "malformedrequest",
            [2] => "internalerror",
            [3] => "trylater",
            [5] => "sigrequired",
            [6] => "unauthorized",
            _ => "unknown",
        };
        return Err(format!("OCSP response status not successful ({name})"));
    }
    let bytes = parts.expect(tag::constructed(0)).and_then(|bytes| Reader::new(bytes).sequence());
    let mut bytes = bytes.ok_or_else(unreadable)?;
    if bytes.expect(tag::OID) != Some(b"\x2b\x06\x01\x05\x05\x07\x30\x01\x01") {
        return Err("the OCSP response is not a basic one".into());
    }
    bytes.expect(tag::OCTET_STRING).ok_or_else(unreadable)
}

/// Nothing if it is malformed; an error if it is about more certificates than one.
fn read(basic: &[u8]) -> Option<Result<Response, String>> {
    let mut parts = Reader::new(basic).sequence()?;
    let mut data = parts.sequence()?;
    data.optional(tag::constructed(0));
    let responder = data.element()?;
    let responder = match responder.tag {
        0xa1 => name::spaced(responder.contents)?,
        0xa2 => hex(Reader::new(responder.contents).expect(tag::OCTET_STRING)?),
        _ => return None,
    };
    let produced = der::time(data.element()?)?;
    let mut responses = data.sequence()?;
    let mut single = responses.sequence()?;
    if !responses.is_empty() {
        let count = 1 + responses.count();
        return Some(Err(format!(
            "OCSP response ignored because contains multiple single responses ({count})"
        )));
    }
    let mut id = single.sequence()?;
    let id = CertificateId {
        algorithm: id.sequence()?.expect(tag::OID)?.to_vec(),
        issuer_name: id.expect(tag::OCTET_STRING)?.to_vec(),
        issuer_key: id.expect(tag::OCTET_STRING)?.to_vec(),
        serial: id.expect(tag::INTEGER)?.to_vec(),
    };
    // Lengths of one byte, as keys are written.
    let is_short = |part: &Vec<u8>| part.len() <= 32;
    if ![&id.algorithm, &id.issuer_name, &id.issuer_key].into_iter().all(is_short) || id.serial.len() > 24 {
        return None;
    }
    let status = single.element()?;
    let status = match status.tag {
        0x80 => Status::Good,
        0xa1 => {
            let mut revoked = Reader::new(status.contents);
            let time = der::time(revoked.element()?)?;
            let reason =
                revoked.optional(tag::constructed(0)).and_then(|reason| Reader::new(reason).element());
            Status::Revoked(time, reason.and_then(|reason| reason.contents.first().copied()))
        }
        0x82 => Status::Unknown,
        _ => return None,
    };
    let this_update = der::time(single.element()?)?;
    let next_update = match single.optional(tag::constructed(0)) {
        Some(next) => Some(der::time(Reader::new(next).element()?)?),
        None => None,
    };
    Some(Ok(Response { id, status, this_update, next_update, produced, responder }))
}

/// The responder's address in a certificate: the first URI of OCSP in its authorityInfoAccess.
pub fn responder(certificate: &Certificate) -> Option<&str> {
    let mut places = Reader::new(certificate.access()?);
    places.find_map(|place| {
        let mut parts = Reader::new(place.contents);
        let method = parts.expect(tag::OID)?;
        let uri = parts.optional(tag::context(6))?;
        (method == b"\x2b\x06\x01\x05\x05\x07\x30\x01").then(|| std::str::from_utf8(uri).ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate;
    use crate::tls::testing::{NOW, Spec, int, name as common, oid, seq, time, tlv};

    fn id() -> Vec<u8> {
        let algorithm = seq(&[oid("1.3.14.3.2.26"), vec![5, 0]]);
        seq(&[algorithm, tlv(0x04, &[1; 20]), tlv(0x04, &[2; 20]), int(0x1000)])
    }
    fn wrap(singles: &[Vec<u8>]) -> Vec<u8> {
        let data = seq(&[tlv(0xa1, &common("ocsp.example")), time(NOW), seq(singles)]);
        let basic = seq(&[data, seq(&[oid("1.2.840.10045.4.3.2")]), tlv(0x03, &[0, 1])]);
        let bytes = seq(&[oid("1.3.6.1.5.5.7.48.1.1"), tlv(0x04, &basic)]);
        seq(&[tlv(0x0a, &[0]), tlv(0xa0, &bytes)])
    }
    fn single(status: Vec<u8>, next: Option<i64>) -> Vec<u8> {
        let next = next.map_or_else(Vec::new, |next| tlv(0xa0, &time(next)));
        seq(&[id(), status, time(NOW), next])
    }
    fn good() -> Vec<u8> {
        wrap(&[single(tlv(0x80, &[]), Some(NOW + 1000))])
    }

    #[test]
    fn a_good_response() {
        let response = Response::parse(&good()).expect("a response");
        assert_eq!(response.status, Status::Good);
        assert_eq!((response.this_update, response.next_update), (NOW, Some(NOW + 1000)));
        assert_eq!(response.check(None, NOW), Ok(()));
        assert_eq!(response.check(Some(&response.id.clone()), NOW + 1000 + SKEW), Ok(()));
        assert!(
            response
                .check(None, NOW + 1001 + SKEW)
                .expect_err("old")
                .contains("no longer valid since Jan 15")
        );
        assert!(response.check(None, NOW - 1 - SKEW).expect_err("early").contains("not valid before"));
        let other = CertificateId { serial: vec![1], ..response.id.clone() };
        assert!(response.check(Some(&other), NOW).expect_err("another").contains("does not match"));
        assert_eq!(
            response.id.key(),
            format!("303b300906052b0e03021a05000414{}0414{}02021000", "01".repeat(20), "02".repeat(20))
        );
        assert_eq!(
            response.describe(),
            format!(
                "OCSP Response Data:\n    OCSP Response Status: successful (0x0)\n    Response Type: Basic OCSP Response\n    \
                 Version: 1 (0x0)\n    Responder Id: CN = ocsp.example\n    Produced At: Jan 15 08:00:00 2027 GMT\n    \
                 Responses:\n    Certificate ID:\n      Hash Algorithm: sha1\n      Issuer Name Hash: {}\n      \
                 Issuer Key Hash: {}\n      Serial Number: 1000\n    Cert Status: good\n    \
                 This Update: Jan 15 08:00:00 2027 GMT\n    Next Update: Jan 15 08:16:40 2027 GMT\n",
                "01".repeat(20),
                "02".repeat(20)
            )
        );
    }

    #[test]
    fn other_responses() {
        let revoked = tlv(0xa1, &[time(NOW - 5), tlv(0xa0, &tlv(0x0a, &[1]))].concat());
        let response = Response::parse(&wrap(&[single(revoked, Some(NOW + 1))])).expect("a response");
        assert_eq!(response.status, Status::Revoked(NOW - 5, Some(1)));
        assert!(response.describe().contains("Revocation Reason: keyCompromise (0x1)"));
        let unknown = Response::parse(&wrap(&[single(tlv(0x82, &[]), Some(NOW + 1))])).expect("a response");
        assert!(unknown.check(None, NOW).expect_err("unknown").contains("status is unknown"));
        let endless = Response::parse(&wrap(&[single(tlv(0x80, &[]), None)])).expect("a response");
        assert!(endless.check(None, NOW).expect_err("endless").contains("missing nextupdate"));
        let two = single(tlv(0x80, &[]), Some(NOW + 1));
        assert!(
            Response::parse(&wrap(&[two.clone(), two]))
                .expect_err("two")
                .contains("multiple single responses (2)")
        );
        assert!(Response::parse(&seq(&[tlv(0x0a, &[3])])).expect_err("later").contains("trylater"));
        assert!(Response::parse(b"").is_err() && Response::parse(&vec![0; RESPONSE_MAX + 1]).is_err());
        let der = good();
        for at in 0..der.len() {
            assert!(Response::parse(&der[..at]).is_err(), "a piece of {at} bytes");
        }
    }

    #[test]
    fn of_certificates() {
        let place = seq(&[oid("1.3.6.1.5.5.7.48.1"), tlv(0x86, b"http://ocsp.example/")]);
        let other = seq(&[oid("1.3.6.1.5.5.7.48.2"), tlv(0x86, b"http://ca.example/")]);
        let read = |spec: Spec| Certificate::parse(&spec.der()).expect("a certificate");
        let certificate =
            read(Spec::new("a", 0, "CA", 1).with("1.3.6.1.5.5.7.1.1", false, seq(&[other, place])));
        assert_eq!(responder(&certificate), Some("http://ocsp.example/"));
        assert_eq!(responder(&read(Spec::new("a", 0, "CA", 1))), None);
        let issuer = read(Spec::authority("CA", 1, "CA", 1));
        let id = CertificateId::of(&certificate, &issuer);
        assert_eq!((id.serial.as_slice(), id.issuer_name.len()), (certificate.serial(), 20));
        assert_eq!(id.issuer_name, Sha1::digest(common("CA")).to_vec());
        assert!(certificate::public_key(issuer.public_key_info()).is_some());
    }
}
