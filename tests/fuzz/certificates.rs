//! Targets of TLS: certificates and lists, the files they come in, responses, lists of ciphers, tokens.

use std::sync::Arc;

use haring::tls::certificate::Certificate;
use haring::tls::crl::Crl;
use haring::tls::der::Reader;
use haring::tls::verify::{self, ErrorSet, Policy, Purpose, Trust};
use haring::tls::{ciphers, facts, jws, name, ocsp, pem};

pub const DER_WORDS: &[&str] = &[
    "0\0",
    "\u{1}\u{1}\0",
    "\u{2}\u{1}\u{1}",
    "\u{3}\u{2}\0\u{4}",
    "\u{4}\u{2}0\0",
    "\u{6}\u{3}U\u{1d}\u{13}",
    "\u{6}\u{3}U\u{1d}\u{1e}",
    "\u{6}\u{3}U\u{4}\u{3}",
    "\u{17}\r260101000000Z",
    "\u{18}\u{f}20990101000000Z",
    "\u{1e}\u{2}\0a",
    "*.example",
    "a@.example",
];
pub const PEM_WORDS: &[&str] = &[
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\n",
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN X509 CRL-----\n",
    "-----",
    "Proc-Type: 4,ENCRYPTED\n",
    "\r\n",
    "\n\n",
    "====",
    "MIIB",
];
pub const TOKEN_WORDS: &[&str] = &[".", "..", "e30", "=", "-_"];
pub const CIPHER_WORDS: &[&str] = &[
    ":",
    "!",
    "-",
    "+",
    "@STRENGTH",
    "@SECLEVEL=5",
    "ALL",
    "AES128",
    "aRSA",
    "ECDHE-RSA-CHACHA20-POLY1305",
    ",",
];

/// A moment at which the corpus of certificates is valid.
const CERTIFICATES_VALID: i64 = 1_800_000_000;

/// Takes the elements of the input for a chain: the leaf, then what was sent, the last of it trusted; lists of
/// revocation among them count. Nothing is trusted that is not issued by what is trusted, what one
/// purpose costs is bounded, and what is told of a certificate is told of any.
pub fn chain(bytes: &[u8]) {
    let elements: Vec<&[u8]> = Reader::new(bytes).map(|element| element.whole).collect();
    let lists: Vec<_> = elements.iter().filter_map(|der| Crl::parse(der).ok().map(Arc::new)).collect();
    let chain: Vec<&[u8]> = elements.iter().copied().filter(|der| Crl::parse(der).is_err()).collect();
    let Some((leaf, sent)) = chain.split_first() else { return };
    for list in &lists {
        assert!(facts::describe_list(list, 10).len() < 100 * bytes.len() + 1000);
    }
    if let Ok(certificate) = Certificate::parse(leaf) {
        assert_eq!(certificate.der(), *leaf);
        tell(&certificate);
    }
    let root = chain.last().and_then(|der| Certificate::parse(der).ok()).map(Arc::new);
    let trust = Arc::new(Trust::new(root.clone().into_iter().collect(), lists));
    for purpose in [Purpose::Client, Purpose::Server] {
        for ignored in [ErrorSet::EMPTY, ErrorSet::ALL] {
            let policy = Policy {
                purpose,
                trust: Arc::clone(&trust),
                ignored_of_leaf: ignored,
                ignored_of_authorities: ignored,
            };
            let verdict = verify::check(&policy, leaf, sent, CERTIFICATES_VALID);
            let found = (verdict.signatures, verdict.until > CERTIFICATES_VALID);
            assert!(found.0 <= verify::SIGNATURES_MAX + 3 * (sent.len() + 2) && found.1, "{verdict:?}");
            if verdict.last.is_none() {
                let top = verdict.top.as_ref().expect("a chain that is trusted has a top");
                assert_eq!(Some(top.der()), root.as_deref().map(Certificate::der));
            }
            assert!(verdict.refused.is_none() || verdict.last == verdict.refused.map(|fault| fault.error));
        }
    }
}

/// Asks for everything that is told of a certificate.
fn tell(certificate: &Certificate) {
    let lines = facts::describe(certificate).len();
    assert!(lines <= 20 * certificate.der().len() + 1000);
    for (name, format) in [(certificate.subject(), &b""[..]), (certificate.issuer(), b"rfc2253")] {
        facts::distinguished(name, b"", 0, format);
        facts::distinguished(name, b"CN", -1, format);
        assert!(name::canonical(name).is_some(), "a name that was read has a canonical form");
    }
    facts::policies(certificate);
    facts::not_after(certificate);
    facts::signature_algorithm(certificate);
    ocsp::responder(certificate);
    assert!(!verify::host::is_for(certificate, ""));
    verify::host::is_for(certificate, "a.example");
    verify::host::is_for(certificate, "10.1.2.3");
}

/// Reads a file as each kind of file; blocks are no longer than the file.
pub fn pem_file(bytes: &[u8]) {
    let file = pem::File { path: "file", bytes };
    if let Ok(blocks) = pem::blocks(file) {
        let total: usize = blocks.iter().map(|block| block.der.len()).sum();
        assert!(total <= bytes.len());
    }
    if let Ok(material) = pem::Material::parse(file)
        && let Ok(identity) = material.identity("file")
    {
        assert_eq!(identity.certified.cert[0].as_ref(), identity.leaf.der());
    }
    for error in [pem::authorities(file).err(), pem::lists(file).err(), pem::public_key(file).err()] {
        assert!(error.is_none_or(|error| error.to_string().starts_with("'file'")));
    }
}

/// Reads an OCSP response; no beginning of it may be taken for one.
pub fn ocsp_response(bytes: &[u8]) {
    let whole = ocsp::Response::parse(bytes);
    if let Ok(response) = whole {
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 16) {
            let part = ocsp::Response::parse(&bytes[..cut]);
            assert!(part.is_err(), "read after {cut} of {} bytes", bytes.len());
        }
        assert!(response.describe().len() <= 20 * bytes.len() + 1000 && response.id.key().len() < 400);
        assert_eq!(response.check(Some(&response.id), 0), response.check(None, 0));
    }
}

/// Reads a text as each kind of list: what is chosen is chosen once.
pub fn cipher_string(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for found in [ciphers::ciphers(text), ciphers::ciphersuites(text)].into_iter().flatten() {
        let mut numbers: Vec<u16> = found.chosen.iter().map(|suite| suite.suite().into()).collect();
        numbers.sort_unstable();
        assert!(!numbers.is_empty() && numbers.windows(2).all(|pair| pair[0] != pair[1]), "{text}");
    }
    if let Ok(found) = ciphers::curves(text) {
        let mut numbers: Vec<u16> = found.chosen.iter().map(|group| group.name().into()).collect();
        numbers.sort_unstable();
        assert!(!numbers.is_empty() && numbers.windows(2).all(|pair| pair[0] != pair[1]), "{text}");
    }
    let _ = ErrorSet::parse(text);
}

/// Verifies a token by each algorithm: none but the right secret fits, and none is needed for none.
pub fn token(bytes: &[u8]) {
    for algorithm in ["HS256", "HS384", "HS512", "RS256", "PS384", "ES256", "ES512", "none", "x"] {
        let found = jws::verify(bytes, algorithm.as_bytes(), jws::Key::Secret(b"another secret"));
        assert!(found != jws::Outcome::Success || algorithm == "none", "{algorithm}");
    }
    jws::verify(bytes, b"ES256", jws::Key::Public(bytes));
}
