//! Signatures: of certificates, of CRLs, of handshakes, checked with the provider's algorithms.

use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;

use super::super::certificate::{self, KeyKind};
use super::super::der::{Reader, tag};

/// The provider's algorithms.
pub fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    &crate::tls::provider().signature_verification_algorithms
}

/// What became of checking a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the key's.
    Good,
    /// It is not.
    Bad,
    /// The algorithm is not known here, or it does not go with such a key.
    Unsupported,
}

/// Something signed: algorithms are the contents of AlgorithmIdentifiers.
pub struct Signed<'a> {
    /// Of the key.
    pub key_algorithm: &'a [u8],
    /// The key's bytes.
    pub key: &'a [u8],
    /// Of the signature.
    pub algorithm: &'a [u8],
    /// What was signed.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl Signed<'_> {
    /// Checks the signature.
    pub fn check(&self) -> Outcome {
        let known = algorithms().all.iter();
        let known = known.filter(|known| {
            known.public_key_alg_id().as_ref() == self.key_algorithm
                && known.signature_alg_id().as_ref() == self.algorithm
        });
        let mut outcome = Outcome::Unsupported;
        for algorithm in known {
            if algorithm.verify_signature(self.key, self.message, self.signature).is_ok() {
                return Outcome::Good;
            }
            outcome = Outcome::Bad;
        }
        outcome
    }
    /// As [`Signed::check`], of a CRL: there RSA with SHA-1 is taken too. An attacker that could forge such a signature
    /// could hide that a certificate was revoked, but CAs in use still sign so.
    pub fn check_list(&self) -> Outcome {
        const SHA1_WITH_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05";
        if certificate::key_kind(self.key_algorithm) != KeyKind::Rsa
            || Reader::new(self.algorithm).expect(tag::OID) != Some(SHA1_WITH_RSA)
        {
            return self.check();
        }
        let algorithm = &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, self.key);
        match key.verify(self.message, self.signature) {
            Ok(()) => Outcome::Good,
            Err(_) => Outcome::Bad,
        }
    }
}

/// Whether a handshake's signature by `scheme` is the key's. The key is a whole SubjectPublicKeyInfo, from a
/// certificate of any version. TLS 1.2 does not bind ECDSA's hash to a curve; TLS 1.3 does (the first algorithm).
pub fn check_handshake(
    spki: &[u8],
    scheme: SignatureScheme,
    message: &[u8],
    signature: &[u8],
    is_13: bool,
) -> bool {
    let Some((key_algorithm, key)) = certificate::public_key(spki) else { return false };
    let Some((_, candidates)) = algorithms().mapping.iter().find(|(known, _)| *known == scheme) else {
        return false;
    };
    if is_13
        && matches!(
            scheme,
            SignatureScheme::RSA_PKCS1_SHA256
                | SignatureScheme::RSA_PKCS1_SHA384
                | SignatureScheme::RSA_PKCS1_SHA512
        )
    {
        return false;
    }
    let candidates = candidates.iter().take(if is_13 { 1 } else { usize::MAX });
    let mut fitting = candidates.filter(|candidate| candidate.public_key_alg_id().as_ref() == key_algorithm);
    fitting.any(|candidate| candidate.verify_signature(key, message, signature).is_ok())
}

/// Whether a key has less than 112 bits of security, as OpenSSL's level 2 asks for: RSA below 2048 bits,
/// curves below 224.
pub fn is_weak_key(algorithm: &[u8], key: &[u8]) -> bool {
    let bits = certificate::key_bits(algorithm, key);
    match certificate::key_kind(algorithm) {
        KeyKind::Rsa | KeyKind::RsaPss => bits < 2048,
        KeyKind::Ec => bits < 224,
        KeyKind::Dsa => true,
        KeyKind::Ed25519 | KeyKind::Ed448 | KeyKind::Other => false,
    }
}

/// Whether a signature's hash has less than 112 bits of security: MD5, SHA-1 and older ones.
pub fn is_weak_hash(algorithm: &[u8]) -> bool {
    let mut parts = Reader::new(algorithm);
    let oid = parts.expect(tag::OID).unwrap_or_default();
    match oid {
        // RSASSA-PSS tells its hash in [0]; SHA-1 if it does not.
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => {
            const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";
            let hash = parts.sequence().and_then(|mut parameters| parameters.expect(tag::constructed(0)));
            let hash = hash.and_then(|hash| Reader::new(hash).sequence()?.expect(tag::OID));
            hash.is_none_or(|hash| hash == SHA1)
        }
        // RSA with MD2, MD4, MD5, SHA-1; ECDSA and DSA with SHA-1.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 2..=5]
        | b"\x2a\x86\x48\xce\x3d\x04\x01"
        | b"\x2a\x86\x48\xce\x38\x04\x03" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weakness() {
        let rsa = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01";
        let rsa = |last: u8| [&rsa[..], &[last, 5, 0]].concat();
        assert!(is_weak_hash(&rsa(4)) && is_weak_hash(&rsa(5)));
        assert!(!is_weak_hash(&rsa(11)) && !is_weak_hash(&rsa(14)));
        // RSASSA-PSS without parameters, with SHA-256.
        assert!(is_weak_hash(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x00"));
        let sha256 = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x0f\xa0\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
        assert!(!is_weak_hash(sha256));
        // A modulus of 1024 and one of 2048 bits.
        let key = |bytes: usize| {
            let modulus = [&[0x02, 0x82, (bytes >> 8) as u8, bytes as u8][..], &vec![0xff; bytes]].concat();
            [&[0x30, 0x82, (modulus.len() >> 8) as u8, modulus.len() as u8][..], &modulus].concat()
        };
        let algorithm = rsa(1);
        assert!(is_weak_key(&algorithm, &key(128)));
        assert!(!is_weak_key(&algorithm, &key(256)));
        assert!(is_weak_key(&algorithm, b""));
    }
}
