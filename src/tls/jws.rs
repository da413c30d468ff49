//! Signatures of JSON Web Tokens (RFC 7515, RFC 7518 section 3) in their compact form.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::Mac;

use super::certificate::{self, KeyKind};

/// URL-safe Base64 with or without its padding.
const URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An algorithm by its name in the `alg` member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// No signature at all.
    None,
    /// HMAC with SHA-2 of these bits.
    Hmac(u16),
    /// RSA with PKCS#1 padding.
    Rsa(u16),
    /// RSA with PSS padding.
    Pss(u16),
    /// ECDSA on the curve that goes with the hash.
    Ecdsa(u16),
}

impl Algorithm {
    /// `RS256` and so on; nothing if RFC 7518 has no such algorithm for signatures.
    pub fn parse(name: &[u8]) -> Option<Algorithm> {
        if name == b"none" {
            return Some(Algorithm::None);
        }
        let (kind, bits) = name.split_at_checked(2)?;
        let bits = match bits {
            b"256" => 256,
            b"384" => 384,
            b"512" => 512,
            _ => return None,
        };
        match kind {
            b"HS" => Some(Algorithm::Hmac(bits)),
            b"RS" => Some(Algorithm::Rsa(bits)),
            b"PS" => Some(Algorithm::Pss(bits)),
            b"ES" => Some(Algorithm::Ecdsa(bits)),
            _ => None,
        }
    }
    /// Whether it takes a public key.
    pub fn is_public(self) -> bool {
        matches!(self, Algorithm::Rsa(_) | Algorithm::Pss(_) | Algorithm::Ecdsa(_))
    }
    fn verification(self) -> Option<(&'static dyn VerificationAlgorithm, KeyKind)> {
        Some(match self {
            Algorithm::Rsa(256) => (&signature::RSA_PKCS1_2048_8192_SHA256, KeyKind::Rsa),
            Algorithm::Rsa(384) => (&signature::RSA_PKCS1_2048_8192_SHA384, KeyKind::Rsa),
            Algorithm::Rsa(_) => (&signature::RSA_PKCS1_2048_8192_SHA512, KeyKind::Rsa),
            Algorithm::Pss(256) => (&signature::RSA_PSS_2048_8192_SHA256, KeyKind::Rsa),
            Algorithm::Pss(384) => (&signature::RSA_PSS_2048_8192_SHA384, KeyKind::Rsa),
            Algorithm::Pss(_) => (&signature::RSA_PSS_2048_8192_SHA512, KeyKind::Rsa),
            Algorithm::Ecdsa(256) => (&signature::ECDSA_P256_SHA256_FIXED, KeyKind::Ec),
            Algorithm::Ecdsa(384) => (&signature::ECDSA_P384_SHA384_FIXED, KeyKind::Ec),
            Algorithm::Ecdsa(_) => (&signature::ECDSA_P521_SHA512_FIXED, KeyKind::Ec),
            Algorithm::None | Algorithm::Hmac(_) => return None,
        })
    }
}

/// What a signature is checked with.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// A shared secret.
    Secret(&'a [u8]),
    /// A whole SubjectPublicKeyInfo.
    Public(&'a [u8]),
    /// A public key was asked for that is not known.
    Unknown,
}

/// What became of the check: HAProxy's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The signature is the key's.
    Success = 1,
    /// It is not.
    Failure = 0,
    /// There is no such algorithm.
    UnknownAlgorithm = -1,
    /// The algorithm does not go with such a key.
    UnmanagedAlgorithm = -2,
    /// This is no token of three parts.
    InvalidToken = -3,
    /// The public key is not known.
    UnknownKey = -5,
}

/// Checks the signature of `header.claims.signature`.
pub fn verify(token: &[u8], algorithm: &[u8], key: Key<'_>) -> Outcome {
    let Some(algorithm) = Algorithm::parse(algorithm) else { return Outcome::UnknownAlgorithm };
    let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
    let (Some(_), Some(end), None) = (dots.next(), dots.next(), dots.next()) else {
        return Outcome::InvalidToken;
    };
    let (signed, encoded) = (&token[..end], &token[end + 1..]);
    if algorithm == Algorithm::None {
        return if encoded.is_empty() { Outcome::Success } else { Outcome::Failure };
    }
    let Ok(signature) = URL.decode(encoded) else { return Outcome::InvalidToken };
    if signature.is_empty() {
        return Outcome::InvalidToken;
    }
    match (algorithm, key) {
        (Algorithm::Hmac(bits), Key::Secret(secret)) => {
            if is_code(bits, secret, signed, &signature) {
                Outcome::Success
            } else {
                Outcome::Failure
            }
        }
        (Algorithm::Hmac(_), _) => Outcome::UnmanagedAlgorithm,
        (_, Key::Public(spki)) => public(algorithm, spki, signed, &signature),
        (_, Key::Secret(_) | Key::Unknown) => Outcome::UnknownKey,
    }
}

fn public(algorithm: Algorithm, spki: &[u8], signed: &[u8], signature: &[u8]) -> Outcome {
    let Some((verification, kind)) = algorithm.verification() else { return Outcome::UnmanagedAlgorithm };
    let Some((key_algorithm, key)) = certificate::public_key(spki) else { return Outcome::UnknownKey };
    if kind == KeyKind::Ec && signature.len() % 2 == 1 {
        return Outcome::InvalidToken;
    }
    let fits = certificate::key_kind(key_algorithm) == kind;
    if fits && UnparsedPublicKey::new(verification, key).verify(signed, signature).is_ok() {
        return Outcome::Success;
    }
    Outcome::Failure
}

/// Whether this is the code of the message; the time taken does not tell how much of it is right.
fn is_code(bits: u16, secret: &[u8], message: &[u8], code: &[u8]) -> bool {
    fn run<M: Mac + hmac::digest::KeyInit>(secret: &[u8], message: &[u8], code: &[u8]) -> bool {
        let Ok(mut mac) = <M as Mac>::new_from_slice(secret) else { return false };
        mac.update(message);
        mac.verify_slice(code).is_ok()
    }
    match bits {
        256 => run::<hmac::Hmac<sha2::Sha256>>(secret, message, code),
        384 => run::<hmac::Hmac<sha2::Sha384>>(secret, message, code),
        _ => run::<hmac::Hmac<sha2::Sha512>>(secret, message, code),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{EcdsaKeyPair, RsaKeyPair};
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::tls::certificate::Certificate;

    /// SubjectPublicKeyInfo of a generated key.
    fn public_of(key: &KeyPair) -> Vec<u8> {
        let certificate =
            CertificateParams::new(Vec::new()).expect("no names").self_signed(key).expect("a certificate");
        Certificate::parse(certificate.der()).expect("a certificate").public_key_info().to_vec()
    }
    fn token(signature: &[u8]) -> Vec<u8> {
        [&b"e30.e30."[..], URL.encode(signature).as_bytes()].concat()
    }

    #[test]
    fn examples_of_the_rfc() {
        // RFC 7515, appendix A.1.
        let token = b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                      eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                      dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let secret = URL
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .expect("Base64");
        assert_eq!(verify(token, b"HS256", Key::Secret(&secret)), Outcome::Success);
        assert_eq!(verify(token, b"HS512", Key::Secret(&secret)), Outcome::Failure);
        assert_eq!(verify(token, b"HS256", Key::Secret(b"other")), Outcome::Failure);
        assert_eq!(verify(token, b"HS256", Key::Public(b"")), Outcome::UnmanagedAlgorithm);
        assert_eq!(verify(token, b"RS256", Key::Unknown), Outcome::UnknownKey);
        assert_eq!(verify(token, b"RS257", Key::Unknown), Outcome::UnknownAlgorithm);
        assert_eq!(verify(token, b"A128KW", Key::Unknown), Outcome::UnknownAlgorithm);
    }

    #[test]
    fn public_keys() {
        let random = SystemRandom::new();
        for (name, algorithm, signing, half) in [
            ("ES256", &rcgen::PKCS_ECDSA_P256_SHA256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING, 32),
            ("ES384", &rcgen::PKCS_ECDSA_P384_SHA384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING, 48),
            ("ES512", &rcgen::PKCS_ECDSA_P521_SHA512, &signature::ECDSA_P521_SHA512_FIXED_SIGNING, 66),
        ] {
            let key = KeyPair::generate_for(algorithm).expect("a key");
            let pair = EcdsaKeyPair::from_pkcs8(signing, &key.serialize_der()).expect("a key");
            let made = pair.sign(&random, b"e30.e30").expect("a signature");
            assert_eq!(made.as_ref().len(), 2 * half);
            let public = public_of(&key);
            assert_eq!(
                verify(&token(made.as_ref()), name.as_bytes(), Key::Public(&public)),
                Outcome::Success
            );
            assert_eq!(
                verify(&token(&made.as_ref()[1..]), name.as_bytes(), Key::Public(&public)),
                Outcome::InvalidToken
            );
            assert_eq!(verify(&token(made.as_ref()), b"RS256", Key::Public(&public)), Outcome::Failure);
        }
        let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        let public = public_of(&key);
        let pair = RsaKeyPair::from_pkcs8(&key.serialize_der()).expect("a key");
        let encodings: [(&str, &'static dyn signature::RsaEncoding); 6] = [
            ("RS256", &signature::RSA_PKCS1_SHA256),
            ("RS384", &signature::RSA_PKCS1_SHA384),
            ("RS512", &signature::RSA_PKCS1_SHA512),
            ("PS256", &signature::RSA_PSS_SHA256),
            ("PS384", &signature::RSA_PSS_SHA384),
            ("PS512", &signature::RSA_PSS_SHA512),
        ];
        for (name, encoding) in encodings {
            let mut made = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, b"e30.e30", &mut made).expect("a signature");
            for (other, _) in encodings {
                let expected = if name == other { Outcome::Success } else { Outcome::Failure };
                assert_eq!(
                    verify(&token(&made), other.as_bytes(), Key::Public(&public)),
                    expected,
                    "{name} {other}"
                );
            }
            assert_eq!(verify(&token(&made), b"ES256", Key::Public(&public)), Outcome::Failure);
            assert_eq!(verify(&token(&made), name.as_bytes(), Key::Public(b"no key")), Outcome::UnknownKey);
        }
    }

    #[test]
    fn tokens_that_are_none() {
        let key = Key::Secret(b"secret");
        for (token, algorithm, expected) in [
            ("a.b.", "none", Outcome::Success),
            ("a.b.c", "none", Outcome::Failure),
            ("a.b.", "HS256", Outcome::InvalidToken),
            ("a.b", "HS256", Outcome::InvalidToken),
            ("a.b.c.d.e", "HS256", Outcome::InvalidToken),
            ("", "HS256", Outcome::InvalidToken),
            ("a.b.!", "HS256", Outcome::InvalidToken),
            ("a.b.YQ", "HS256", Outcome::Failure),
            ("a.b.YQ", "", Outcome::UnknownAlgorithm),
        ] {
            assert_eq!(verify(token.as_bytes(), algorithm.as_bytes(), key), expected, "{token} {algorithm}");
        }
    }
}
