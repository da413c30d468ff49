//! A certificate with its chain and its key, as files give them.

use std::fmt;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use super::certificate::{self, Certificate};
use super::der::tag;
use super::name;
use super::pem::{File, Material as Parsed, authorities};

/// The kind of a key, by which one of several certificates for a name is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum KeyKind {
    Rsa,
    Ecdsa,
    Ed25519,
}

/// A certificate that can be shown, and what is known of it.
pub struct Material {
    /// The name of its file, or the one it was given.
    pub name: Box<str>,
    /// Chain and key.
    pub certified: Arc<CertifiedKey>,
    /// The certificate itself, read.
    pub leaf: Certificate,
    /// The kind of its key.
    pub kind: KeyKind,
    /// The names it is for, in lower case: DNS names among the alternative ones, then the common name.
    pub names: Vec<Box<str>>,
    /// From when to when it is valid, in seconds since the Unix epoch.
    pub not_before: i64,
    /// See `not_before`.
    pub not_after: i64,
    /// Things to tell about it that do not stand in its way.
    pub notices: Vec<String>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out of it.
        f.debug_struct("Material")
            .field("name", &self.name)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// What the files beside a certificate hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// `.key`
    pub key: Option<File<'a>>,
    /// `.issuer`: certificates that complete a chain.
    pub issuer: Option<File<'a>>,
    /// `.ocsp`: a response in DER.
    pub ocsp: Option<&'a [u8]>,
}

impl Material {
    /// Reads the PEM text of a certificate, and of the files beside it.
    ///
    /// # Errors
    /// What is wrong with which of them, and what to do.
    pub fn load(name: &str, text: &[u8], beside: Beside<'_>) -> Result<Material, String> {
        let words = |error: super::pem::PemError| error.to_string();
        let mut parsed = Parsed::parse(File { path: name, bytes: text }).map_err(words)?;
        if let Some(key) = beside.key {
            parsed.add_key(key).map_err(words)?;
        }
        if let Some(issuer) = beside.issuer
            && parsed.chain_len() == 0
        {
            let chain = authorities(issuer).map_err(words)?;
            parsed.add_chain(chain.iter().map(|one| one.der().to_vec().into()));
        }
        let identity = parsed.identity(name).map_err(words)?;
        let mut certified = Arc::unwrap_or_clone(identity.certified);
        certified.ocsp = beside.ocsp.filter(|response| !response.is_empty()).map(<[u8]>::to_vec);
        Material::of(name, certified, identity.leaf, identity.notices)
    }

    /// What a chain and its key make; `leaf` is the first certificate of the chain.
    ///
    /// # Errors
    /// The key is of a kind that cannot be used.
    pub fn of(
        name: &str,
        certified: CertifiedKey,
        leaf: Certificate,
        notices: Vec<String>,
    ) -> Result<Material, String> {
        let kind = match leaf.key_kind() {
            certificate::KeyKind::Rsa | certificate::KeyKind::RsaPss => KeyKind::Rsa,
            certificate::KeyKind::Ec => KeyKind::Ecdsa,
            certificate::KeyKind::Ed25519 => KeyKind::Ed25519,
            other => return Err(format!("'{name}': keys of the kind {other:?} cannot be used")),
        };
        Ok(Material {
            name: name.into(),
            certified: Arc::new(certified),
            kind,
            names: names(&leaf),
            not_before: leaf.begins().unwrap_or(i64::MIN),
            not_after: leaf.expires().unwrap_or(i64::MAX),
            leaf,
            notices,
        })
    }
}

impl KeyKind {
    /// Whether a client that takes these signatures can verify one of this kind.
    pub fn fits(self, schemes: &[SignatureScheme]) -> bool {
        schemes.iter().any(|scheme| match self {
            KeyKind::Rsa => matches!(
                scheme,
                SignatureScheme::RSA_PKCS1_SHA256
                    | SignatureScheme::RSA_PKCS1_SHA384
                    | SignatureScheme::RSA_PKCS1_SHA512
                    | SignatureScheme::RSA_PSS_SHA256
                    | SignatureScheme::RSA_PSS_SHA384
                    | SignatureScheme::RSA_PSS_SHA512
            ),
            KeyKind::Ecdsa => matches!(
                scheme,
                SignatureScheme::ECDSA_NISTP256_SHA256
                    | SignatureScheme::ECDSA_NISTP384_SHA384
                    | SignatureScheme::ECDSA_NISTP521_SHA512
            ),
            KeyKind::Ed25519 => *scheme == SignatureScheme::ED25519,
        })
    }
}

/// The names that a certificate is for.
fn names(certificate: &Certificate) -> Vec<Box<str>> {
    const DNS: u8 = tag::context(2);
    let mut names: Vec<Box<str>> = Vec::new();
    let mut add = |name: &str| {
        let name = name.to_ascii_lowercase().into_boxed_str();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    };
    for name in certificate.alternative_names().filter(|name| name.tag == DNS) {
        if let Ok(name) = std::str::from_utf8(name.contents) {
            add(name);
        }
    }
    let entries = name::entries(certificate.subject()).unwrap_or_default();
    for entry in entries.iter().filter(|entry| entry.oid == name::COMMON_NAME) {
        if let Some(name) = name::utf8(entry.value) {
            add(&name);
        }
    }
    names
}

#[cfg(test)]
pub(crate) mod testing {
    use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm};

    /// The PEM text of a certificate that signs itself, and of its key.
    pub(crate) fn pem(common_name: &str, names: &[&str]) -> (String, String) {
        of_kind(common_name, names, &PKCS_ECDSA_P256_SHA256)
    }
    pub(crate) fn of_kind(
        common_name: &str,
        names: &[&str],
        kind: &'static SignatureAlgorithm,
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate_for(kind).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::pem;
    use super::*;

    #[test]
    fn parts_come_in_any_order_and_names_are_found() {
        let (certificate, key) = pem("Example.com", &["www.example.com", "*.Example.org"]);
        for text in [
            format!("{certificate}{key}"),
            format!("{key}{certificate}"),
            format!("subject=/CN=x\nissuer=y\n{certificate}some text\n{key}"),
        ] {
            let material = Material::load("a.pem", text.as_bytes(), Beside::default()).unwrap();
            let names: Vec<&str> = material.names.iter().map(|name| &**name).collect();
            assert_eq!(names, ["www.example.com", "*.example.org", "example.com"]);
            assert_eq!(material.kind, KeyKind::Ecdsa);
            assert!(material.not_before < material.not_after);
        }
        let key = File { path: "a.pem.key", bytes: key.as_bytes() };
        let beside = Beside { key: Some(key), ocsp: Some(b"x"), ..Beside::default() };
        let material = Material::load("a.pem", certificate.as_bytes(), beside).unwrap();
        assert_eq!(material.certified.ocsp.as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn mistakes_are_told_in_words() {
        let (certificate, key) = pem("a", &[]);
        let other = pem("b", &[]).1;
        for (text, expected) in [
            (String::new(), "there is no certificate"),
            (key.clone(), "there is no certificate"),
            (certificate.clone(), "there is no private key"),
            (format!("{certificate}{other}"), "does not belong to the certificate"),
        ] {
            let error = Material::load("x", text.as_bytes(), Beside::default()).unwrap_err();
            assert!(error.contains(expected), "{error} for {text}");
        }
    }
}
