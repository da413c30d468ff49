//! PEM files (RFC 7468) as HAProxy takes them: certificates and a key in any order, with parameters, text
//! and other blocks between them.
//!
//! Files are given as bytes with their paths, and every error says what is wrong, in which file and line,
//! and what to do about it. Whether a key belongs to a certificate is decided by their public keys, so that
//! certificates of version 1 do as well.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use super::certificate::{self, Certificate};
use super::crl::Crl;
use super::der::Reader;

/// The largest file of certificates and keys; one with revocation lists may be as large as [`LISTS_MAX`].
pub const FILE_MAX: usize = 16 * 1024 * 1024;
/// The largest file of revocation lists.
pub const LISTS_MAX: usize = 128 * 1024 * 1024;
/// The longest chain that is sent with a certificate.
pub const CHAIN_MAX: usize = 100;

/// A file: its path, for messages, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// As the configuration names it.
    pub path: &'a str,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemError {
    /// Which file.
    pub path: String,
    /// The line of the block, from 1; 0 if the whole file is meant.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.path)?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        write!(f, ": {}", self.what)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for PemError {}

impl File<'_> {
    fn error(&self, line: usize, what: impl Into<String>, help: impl Into<String>) -> PemError {
        PemError { path: self.path.into(), line, what: what.into(), help: help.into() }
    }
    fn check_size(&self, max: usize) -> Result<(), PemError> {
        if self.bytes.len() <= max {
            return Ok(());
        }
        let what = format!("the file has {} bytes, more than the {max} that are read", self.bytes.len());
        Err(self.error(0, what, "name a file of certificates in PEM format"))
    }
}

/// One block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// `CERTIFICATE`, `PRIVATE KEY` and so on.
    pub label: String,
    /// What the Base64 text means.
    pub der: Vec<u8>,
    /// The line of its BEGIN, from 1.
    pub line: usize,
    /// The old headers of an encrypted key (RFC 1421) stand before its text.
    pub is_encrypted: bool,
}

/// The blocks of a file in their order. Text outside of blocks is stepped over.
///
/// # Errors
/// A block has no end, another end than its beginning, or text that is no Base64.
pub fn blocks(file: File<'_>) -> Result<Vec<Block>, PemError> {
    let mut found = Vec::new();
    let mut lines = file.bytes.split(|byte| *byte == b'\n').enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(label) = boundary(line, b"-----BEGIN ") else { continue };
        let mut text = Vec::new();
        let (mut is_encrypted, mut is_header) = (false, false);
        loop {
            let Some((_, line)) = lines.next() else {
                let what = format!("'-----BEGIN {label}-----' has no end");
                return Err(file.error(
                    at + 1,
                    what,
                    format!("add '-----END {label}-----', or copy the file anew"),
                ));
            };
            if let Some(end) = boundary(line, b"-----END ") {
                if end != label {
                    let what = format!("'-----BEGIN {label}-----' ends as '{end}'");
                    return Err(file.error(at + 1, what, "copy the file anew"));
                }
                break;
            }
            if boundary(line, b"-----BEGIN ").is_some() {
                let what = format!("'-----BEGIN {label}-----' has no end before the next block");
                return Err(file.error(at + 1, what, "copy the file anew"));
            }
            let line = line.trim_ascii();
            // Headers end at an empty line; one that is continued starts with a space.
            is_header = if line.contains(&b':') { true } else { is_header && !line.is_empty() };
            if is_header {
                is_encrypted |= line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
            } else {
                text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
            }
        }
        let Ok(der) = STANDARD.decode(&text) else {
            let what = format!("the text of '-----BEGIN {label}-----' is no Base64");
            return Err(file.error(at + 1, what, "copy the file anew"));
        };
        found.push(Block { label, der, line: at + 1, is_encrypted });
    }
    Ok(found)
}

/// The label of a line that starts or ends a block.
fn boundary(line: &[u8], start: &[u8]) -> Option<String> {
    let label = line.trim_ascii().strip_prefix(start)?.strip_suffix(b"-----")?;
    (label.is_ascii() && label.len() <= 64).then(|| String::from_utf8_lossy(label).into_owned())
}

impl Block {
    fn is_certificate(&self) -> bool {
        matches!(&*self.label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
    }
    fn is_key(&self) -> bool {
        self.label == "PRIVATE KEY" || self.label.ends_with(" PRIVATE KEY")
    }
    /// The certificate's DER; what a TRUSTED CERTIFICATE tells beside that is left off.
    fn certificate(&self, file: File<'_>) -> Result<Certificate, PemError> {
        let first = Reader::new(&self.der).element().map_or(&self.der[..], |element| element.whole);
        let der = if self.label == "TRUSTED CERTIFICATE" { first } else { &self.der };
        Certificate::parse(der).map_err(|what| file.error(self.line, what, "export it anew in PEM format"))
    }
    fn key(&self, file: File<'_>) -> Result<PrivateKeyDer<'static>, PemError> {
        let der = self.der.clone();
        if self.is_encrypted || self.label == "ENCRYPTED PRIVATE KEY" {
            let help = format!(
                "store it decrypted ('openssl pkey -in {0} -out {0}.key') in a file that only root may read: \
                 nobody can be asked for a passphrase",
                file.path
            );
            return Err(file.error(self.line, "the private key is encrypted", help));
        }
        match &*self.label {
            "PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs8(der.into())),
            "RSA PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs1(der.into())),
            "EC PRIVATE KEY" => Ok(PrivateKeyDer::Sec1(der.into())),
            label => {
                let what = format!("a key of the format '{label}' cannot be used");
                Err(file.error(self.line, what, "convert it with 'openssl pkey', or 'ssh-keygen -p -m PEM'"))
            }
        }
    }
}

/// Certificate, chain and key that belong together.
pub struct Identity {
    /// What rustls presents, without an OCSP response.
    pub certified: Arc<CertifiedKey>,
    /// The leaf, read.
    pub leaf: Certificate,
    /// Things to tell the administrator that do not stand in the way.
    pub notices: Vec<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

/// What a file of `crt` holds, before the key is required.
pub struct Material {
    /// The leaf, then its chain in the order of the file, each with its line.
    certificates: Vec<(CertificateDer<'static>, usize)>,
    leaf: Option<Certificate>,
    key: Option<(PrivateKeyDer<'static>, usize)>,
    has_dh_parameters: bool,
}

impl Material {
    /// Reads certificates and key. The first certificate is the leaf.
    ///
    /// # Errors
    /// A block cannot be read, the key is encrypted or of a format that cannot be used.
    pub fn parse(file: File<'_>) -> Result<Material, PemError> {
        file.check_size(FILE_MAX)?;
        let mut found =
            Material { certificates: Vec::new(), leaf: None, key: None, has_dh_parameters: false };
        for block in blocks(file)? {
            if block.is_certificate() {
                if found.certificates.len() > CHAIN_MAX {
                    let what = format!("the file has more than {CHAIN_MAX} certificates");
                    return Err(file.error(
                        block.line,
                        what,
                        "a chain has a leaf and its intermediates only",
                    ));
                }
                let certificate = block.certificate(file)?;
                let der = CertificateDer::from(certificate.der().to_vec());
                found.certificates.push((der, block.line));
                found.leaf.get_or_insert(certificate);
            } else if block.is_key() {
                // As OpenSSL does, the first key counts.
                if found.key.is_none() {
                    found.key = Some((block.key(file)?, block.line));
                }
            } else if block.label == "DH PARAMETERS" {
                found.has_dh_parameters = true;
            }
        }
        Ok(found)
    }
    /// The leaf, if the file has a certificate.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.leaf.as_ref()
    }
    /// Whether the file has a key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }
    /// Adds the chain of another file: `issuers-chain-path`, or the `.issuer` file of HAProxy's bundles.
    pub fn add_chain(&mut self, chain: impl IntoIterator<Item = CertificateDer<'static>>) {
        self.certificates.extend(chain.into_iter().map(|der| (der, 0)));
    }
    /// How many certificates there are beside the leaf.
    pub fn chain_len(&self) -> usize {
        self.certificates.len().saturating_sub(1)
    }
    /// Takes the key of a file of its own (`.key`) if this one has none.
    ///
    /// # Errors
    /// As in [`Material::parse`]; or the file has no key.
    pub fn add_key(&mut self, file: File<'_>) -> Result<(), PemError> {
        if self.key.is_none() {
            self.key = Material::parse(file)?.key;
            if self.key.is_none() {
                let help = "it must have a block '-----BEGIN PRIVATE KEY-----'";
                return Err(file.error(0, "there is no private key in this file", help));
            }
        }
        Ok(())
    }
    /// Joins them, if the key is the leaf's.
    ///
    /// # Errors
    /// Something is missing, the key cannot be used, or it is another certificate's.
    pub fn identity(self, path: &str) -> Result<Identity, PemError> {
        let file = File { path, bytes: b"" };
        let Some(leaf) = self.leaf else {
            let help = "it must have a block '-----BEGIN CERTIFICATE-----'; convert DER with 'openssl x509 -inform DER'";
            return Err(file.error(0, "there is no certificate in this file", help));
        };
        let Some((key, line)) = self.key else {
            let help = format!("append the key to the file, or put it into '{path}.key'");
            return Err(file.error(0, "there is no private key in this file", help));
        };
        if let Some(what) = weakness(&leaf) {
            return Err(file.error(line, what, USABLE_KEYS));
        }
        let key = usable_key(key).map_err(|what| file.error(line, what, USABLE_KEYS))?;
        if !belongs(&*key, &leaf) {
            let others = self.certificates.iter().skip(1);
            let mut other =
                others.filter(|(der, _)| Certificate::parse(der).is_ok_and(|other| belongs(&*key, &other)));
            let help = match other.next() {
                Some((_, line)) => format!("the certificate in line {line} is the key's: put it first"),
                None => "put the key beside its own certificate ('openssl x509 -noout -pubkey' and \
                         'openssl pkey -pubout' print the same for a pair)"
                    .into(),
            };
            return Err(file.error(line, "the private key does not belong to the certificate", help));
        }
        let mut notices = Vec::new();
        if self.has_dh_parameters {
            notices.push(format!(
                "'{path}': DH PARAMETERS are not used: key exchange is by elliptic curves or ML-KEM only"
            ));
        }
        let chain = self.certificates.into_iter().map(|(der, _)| der).collect();
        Ok(Identity { certified: Arc::new(CertifiedKey::new(chain, key)), leaf, notices })
    }
}

/// Which keys can be used.
const USABLE_KEYS: &str = "keys may be RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, and Ed25519; make another one \
     ('openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048') and have its certificate issued anew";
/// The bits of the shortest and the longest RSA key that the library signs with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why the key of a certificate cannot be used whatever it is, if that is so.
fn weakness(certificate: &Certificate) -> Option<String> {
    let is_rsa = matches!(certificate.key_kind(), certificate::KeyKind::Rsa | certificate::KeyKind::RsaPss);
    let bits = certificate.key_bits();
    (is_rsa && !RSA_BITS.contains(&bits)).then(|| format!("the RSA key has {bits} bits, which are not taken"))
}

/// A key with which signatures can be made.
fn usable_key(key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, String> {
    super::provider()
        .key_provider
        .load_private_key(key)
        .map_err(|_| "the private key cannot be used".to_owned())
}

/// The first private key of a file, ready to sign; nothing if there is none.
///
/// # Errors
/// It cannot be used.
pub fn private_key(file: File<'_>) -> Result<Option<Arc<dyn SigningKey>>, PemError> {
    file.check_size(FILE_MAX)?;
    let blocks = blocks(file)?;
    let Some(block) = blocks.iter().find(|block| block.is_key()) else { return Ok(None) };
    usable_key(block.key(file)?).map(Some).map_err(|what| file.error(block.line, what, USABLE_KEYS))
}

/// Whether the private key is of the certificate's public key.
pub fn belongs(key: &dyn SigningKey, certificate: &Certificate) -> bool {
    let Some(spki) = key.public_key() else { return false };
    certificate::public_key(&spki).is_some_and(|(_, key)| key == certificate.key())
}

/// The certificates that come as a payload instead of a file: a leaf, then its chain.
///
/// # Errors
/// There is none, or one cannot be read or used.
pub fn sent_chain(file: File<'_>) -> Result<Vec<Arc<Certificate>>, PemError> {
    file.check_size(FILE_MAX)?;
    if !blocks(file)?.iter().any(Block::is_certificate) {
        let help = "it must have a block '-----BEGIN CERTIFICATE-----' (PEM), and an empty line ends it";
        return Err(file.error(0, "the payload holds no certificate", help));
    }
    let chain = authorities(file)?;
    match weakness(&chain[0]) {
        Some(what) => Err(file.error(0, what, USABLE_KEYS)),
        None => Ok(chain),
    }
}

/// The certificates of a CA file; there must be at least one.
///
/// # Errors
/// A block cannot be read, or there is no certificate.
pub fn authorities(file: File<'_>) -> Result<Vec<Arc<Certificate>>, PemError> {
    file.check_size(FILE_MAX)?;
    let mut found = Vec::new();
    for block in blocks(file)?.iter().filter(|block| block.is_certificate()) {
        found.push(Arc::new(block.certificate(file)?));
    }
    if found.is_empty() {
        let help = "it must have a block '-----BEGIN CERTIFICATE-----' for each CA";
        return Err(file.error(0, "there is no certificate in this file", help));
    }
    Ok(found)
}

/// The revocation lists of a file; there must be at least one.
///
/// # Errors
/// A block cannot be read, or there is no list.
pub fn lists(file: File<'_>) -> Result<Vec<Arc<Crl>>, PemError> {
    file.check_size(LISTS_MAX)?;
    let mut found = Vec::new();
    for block in blocks(file)?.iter().filter(|block| block.label == "X509 CRL") {
        let list = Crl::parse(&block.der);
        found.push(Arc::new(
            list.map_err(|what| file.error(block.line, what, "export it anew in PEM format"))?,
        ));
    }
    if found.is_empty() {
        let help =
            "it must have a block '-----BEGIN X509 CRL-----'; convert DER with 'openssl crl -inform DER'";
        return Err(file.error(0, "there is no revocation list in this file", help));
    }
    Ok(found)
}

/// The public key of a file, a whole SubjectPublicKeyInfo: of a `PUBLIC KEY` or `RSA PUBLIC KEY` block.
///
/// # Errors
/// A block cannot be read, or there is no public key.
pub fn public_key(file: File<'_>) -> Result<Vec<u8>, PemError> {
    file.check_size(FILE_MAX)?;
    let help = "it must have a block '-----BEGIN PUBLIC KEY-----' or '-----BEGIN RSA PUBLIC KEY-----'";
    for block in blocks(file)? {
        let spki = match &*block.label {
            "PUBLIC KEY" => block.der,
            "RSA PUBLIC KEY" => wrap_rsa(&block.der),
            _ => continue,
        };
        if certificate::public_key(&spki).is_none() {
            return Err(file.error(block.line, "this is no public key in DER", help));
        }
        return Ok(spki);
    }
    Err(file.error(0, "there is no public key in this file", help))
}

/// SubjectPublicKeyInfo around an RSAPublicKey (RFC 8017, appendix A.1).
pub(crate) fn wrap_rsa(key: &[u8]) -> Vec<u8> {
    const ALGORITHM: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let wrap = |tag: u8, contents: &[u8]| {
        let length = (contents.len() as u32).to_be_bytes();
        let head = match contents.len() {
            0..=0x7f => vec![tag, length[3]],
            0x80..=0xff => vec![tag, 0x81, length[3]],
            0x100..=0xffff => vec![tag, 0x82, length[2], length[3]],
            _ => vec![tag, 0x84, length[0], length[1], length[2], length[3]],
        };
        [&head[..], contents].concat()
    };
    wrap(0x30, &[ALGORITHM, &wrap(0x03, &[&[0], key].concat())].concat())
}

#[cfg(test)]
mod tests;
