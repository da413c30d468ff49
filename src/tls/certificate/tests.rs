//! What is read out of certificates, beside what another parser reads.

use rcgen::{
    BasicConstraints as Basic, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::prelude::FromDer;

use super::*;

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::new(vec!["a.example".into(), "*.b.example".into()]).expect("names");
    params.distinguished_name.push(DnType::OrganizationName, "Some Company");
    params.subject_alt_names.push(SanType::IpAddress("192.0.2.1".parse().expect("an address")));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority() -> (rcgen::Certificate, rcgen::Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, "Root");
    params.is_ca = IsCa::Ca(Basic::Constrained(2));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate, rcgen::Issuer::new(params, key))
}

#[test]
fn a_root_and_its_leaf() {
    let (root, issuer) = authority();
    let key = KeyPair::generate().expect("a key");
    let leaf = leaf().signed_by(&key, &issuer).expect("a certificate");
    let (root, leaf) =
        (Certificate::parse(root.der()).expect("a root"), Certificate::parse(leaf.der()).expect("a leaf"));
    assert_eq!((root.version(), root.key_kind(), root.key_bits()), (3, KeyKind::Ec, 384));
    assert_eq!(root.basic_constraints(), Some(BasicConstraints { is_ca: true, path_length: Some(2) }));
    assert_eq!(root.extensions.key_usage, Some(key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN));
    assert!(root.is_self_issued() && root.is_self_signed());
    assert!(!leaf.is_self_issued() && !leaf.is_self_signed());
    assert_eq!(leaf.canonical_issuer(), root.canonical_subject());
    assert_eq!(leaf.authority_key_id(), root.subject_key_id());
    assert!(root.fits_authority_of(&leaf) && root.key_can_have_signed(&leaf));
    assert_eq!(leaf.extensions.extended, Some(extended::SERVER));
    assert_eq!(leaf.extensions.key_usage, Some(key_usage::DIGITAL_SIGNATURE));
    let names: Vec<_> = leaf.alternative_names().map(|name| (name.tag, name.contents)).collect();
    assert_eq!(names, [(0x82, &b"a.example"[..]), (0x82, b"*.b.example"), (0x87, b"\xc0\0\x02\x01")]);
    assert_eq!(leaf.signature_algorithm(), leaf.signed_algorithm());
    assert!(!leaf.extensions.is_invalid && !leaf.extensions.has_unknown_critical);
}

/// What ours accepts, `x509-parser` accepts too, and both read the same.
fn agree(der: &[u8]) -> bool {
    let Ok(ours) = Certificate::parse(der) else { return false };
    let Ok((rest, theirs)) = x509_parser::certificate::X509Certificate::from_der(der) else { return false };
    assert!(rest.is_empty());
    assert_eq!(ours.serial(), theirs.raw_serial());
    assert_eq!(u32::from(ours.version()) - 1, theirs.version().0);
    assert_eq!((ours.subject(), ours.issuer()), (theirs.subject().as_raw(), theirs.issuer().as_raw()));
    assert_eq!(ours.public_key_info(), theirs.public_key().raw);
    assert_eq!(ours.signed(), theirs.tbs_certificate.as_ref());
    assert_eq!(ours.signature(), &*theirs.signature_value.data);
    if let Some(expires) = ours.expires() {
        assert_eq!(expires, theirs.validity().not_after.timestamp());
    }
    if let (Ok(Some(basic)), false) = (theirs.basic_constraints(), ours.extensions.is_invalid) {
        let ours = ours.basic_constraints().map(|basic| (basic.is_ca, basic.path_length));
        assert_eq!(ours, Some((basic.value.ca, basic.value.path_len_constraint)));
    }
    true
}

#[test]
fn another_parser_reads_the_same_of_changed_certificates() {
    let (root, issuer) = authority();
    let key = KeyPair::generate().expect("a key");
    let leaf = leaf().signed_by(&key, &issuer).expect("a certificate");
    let mut both = 0;
    for der in [root.der().as_ref(), leaf.der().as_ref()] {
        assert!(agree(der));
        for at in 0..der.len() {
            for change in [0x01, 0x20, 0x80, 0xff] {
                let mut changed = der.to_vec();
                changed[at] ^= change;
                both += usize::from(agree(&changed));
            }
            assert!(Certificate::parse(&der[..at]).is_err(), "a piece of {at} bytes");
        }
    }
    assert!(both > 1000, "{both}");
}

#[test]
fn marks() {
    let (_, issuer) = authority();
    let key = KeyPair::generate().expect("a key");
    let with = |extensions: &[(&[u64], bool, &[u8])]| {
        let mut params = leaf();
        for (oid, critical, content) in extensions {
            let mut extension = rcgen::CustomExtension::from_oid_content(oid, content.to_vec());
            extension.set_criticality(*critical);
            params.custom_extensions.push(extension);
        }
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let certificate = Certificate::parse(certificate.der()).expect("a certificate");
        (certificate.extensions.is_invalid, certificate.extensions.has_unknown_critical)
    };
    assert_eq!(with(&[]), (false, false));
    assert_eq!(with(&[(&[1, 2, 3], false, b"\x05\x00")]), (false, false));
    assert_eq!(with(&[(&[1, 2, 3], true, b"\x05\x00")]), (false, true));
    assert_eq!(with(&[(&[1, 2, 3], false, b""), (&[1, 2, 3], false, b"")]), (true, false));
    // policyConstraints may be critical; basicConstraints must be a sequence.
    assert_eq!(with(&[(&[2, 5, 29, 36], true, b"\x30\x00")]), (false, false));
    assert_eq!(with(&[(&[2, 5, 29, 19], true, b"\x05\x00")]), (true, false));
    assert_eq!(with(&[(&[2, 5, 29, 19], true, b"\x30\x00\x05\x00")]), (true, false));
}

#[test]
fn sizes_of_keys() {
    for (algorithm, expected) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, (KeyKind::Ec, 256)),
        (&rcgen::PKCS_ECDSA_P384_SHA384, (KeyKind::Ec, 384)),
        (&rcgen::PKCS_ECDSA_P521_SHA512, (KeyKind::Ec, 521)),
        (&rcgen::PKCS_ED25519, (KeyKind::Ed25519, 253)),
        (&rcgen::PKCS_RSA_SHA256, (KeyKind::Rsa, 2048)),
    ] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = leaf().self_signed(&key).expect("a certificate");
        let certificate = Certificate::parse(certificate.der()).expect("a certificate");
        assert_eq!((certificate.key_kind(), certificate.key_bits()), expected);
        assert!(certificate.is_self_signed());
    }
}
