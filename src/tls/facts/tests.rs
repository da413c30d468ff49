//! Facts of certificates, some of them beside OpenSSL's.

use super::*;
use crate::tls::testing::{ListSpec, NOW, Spec, name as common, oid, seq, tlv};

fn read(spec: &Spec) -> Certificate {
    Certificate::parse(&spec.der()).expect("a certificate")
}

#[test]
fn names() {
    let name = common("a.example");
    for (entry, occurrence, format, expected) in [
        ("", 1, "", Some("/CN=a.example")),
        ("", 0, "rfc2253", Some("CN=a.example")),
        ("CN", 1, "", Some("a.example")),
        ("CN", -1, "rfc2253", Some("a.example")),
        ("CN", 2, "", None),
        ("OU", 1, "", None),
        ("", 1, "other", None),
    ] {
        let found = distinguished(&name, entry.as_bytes(), occurrence, format.as_bytes());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{entry} {occurrence} {format}");
    }
}

#[test]
fn numbers_and_times() {
    let mut spec = Spec::new("a.example", 0, "CA", 1).valid(NOW, NOW + 1);
    spec.serial = 0x80;
    let certificate = read(&spec);
    assert_eq!(serial(&certificate), [0x80]);
    assert_eq!(not_before(&certificate), Some(&b"270115080000Z"[..]));
    assert_eq!(not_after(&certificate), Some(&b"270115080001Z"[..]));
    assert_eq!(readable_time(NOW), "Jan 15 08:00:00 2027 GMT");
    assert_eq!(readable_time(951_782_400), "Feb 29 00:00:00 2000 GMT");
    assert_eq!(readable_time(i64::MAX), "Bad time value");
    assert_eq!(key_algorithm(&certificate).as_deref(), Some("EC256"));
    assert_eq!(signature_algorithm(&certificate), Some("ecdsa-with-SHA256"));
    assert_eq!((certificate.version(), read(&spec.old()).version()), (3, 1));
    for (integer, expected) in [
        (&b"\x00\x80"[..], &b"\x80"[..]),
        (b"\xff", b"\x01"),
        (b"\x80", b"\x80"),
        (b"\x00", b"\x00"),
        (b"\x00\x00\x01", b"\x01"),
    ] {
        assert_eq!(magnitude(integer), expected, "{integer:x?}");
    }
    // UTCTime of the other century and times that are cut.
    for (kind, text, expected) in [
        (tag::UTC_TIME, "491231235959Z", Some("491231235959Z")),
        (tag::UTC_TIME, "501231235959Z", None),
        (tag::UTC_TIME, "491231", None),
        (tag::GENERALIZED_TIME, "20501231235959Z", Some("501231235959Z")),
        (tag::GENERALIZED_TIME, "21501231235959Z", None),
    ] {
        assert_eq!(short_time((kind, text.as_bytes())), expected.map(str::as_bytes), "{text}");
    }
}

#[test]
fn names_of_other_kinds() {
    let upn = [oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xa0, &tlv(0x0c, b"user@example"))].concat();
    let strange = [oid("1.2.3"), tlv(0xa0, &tlv(0x04, b"x"))].concat();
    let names: &[(u8, &[u8])] = &[
        (0x82, b"a.example"),
        (0x87, &[192, 0, 2, 1]),
        (0x87, &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (0x87, &[1]),
        (0x86, b"http://a.example/"),
        (0x81, b"a@example"),
        (0xa4, &common("dir")),
        (0x88, b"\x2a\x03"),
        (0xa0, &upn),
        (0xa0, &strange),
    ];
    let certificate = read(&Spec::new("a", 0, "CA", 1).names(names));
    assert_eq!(
        alternative_names(&certificate).as_deref(),
        Some(
            "DNS:a.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, IP Address:<invalid>, \
             URI:http://a.example/, email:a@example, DirName:CN = dir, Registered ID:1.2.3, \
             othername:UPN:user@example, othername:1.2.3:<unsupported>"
        )
    );
    assert_eq!(alternative_names(&read(&Spec::new("a", 0, "CA", 1))), None);
}

#[test]
fn certificate_policies() {
    let list = seq(&[seq(&[oid("2.5.29.32.0")]), seq(&[oid("0.4.0.1862.1.4"), seq(&[])])]);
    let certificate = read(&Spec::new("a", 0, "CA", 1).with("2.5.29.32", false, list));
    assert_eq!(policies(&certificate).as_deref(), Some("2.5.29.32.0, 0.4.0.1862.1.4"));
    assert!(has_policy(&certificate, "0.4.0.1862.1.4") && !has_policy(&certificate, "0.4.0.1862.1"));
    let bare = read(&Spec::new("a", 0, "CA", 1));
    assert!(policies(&bare).is_none() && !has_policy(&bare, "2.5.29.32.0"));
}

#[test]
fn descriptions() {
    let spec = Spec::new("a.example", 0, "CA", 1).names(&[(0x82, b"a.example"), (0x82, b"b.example")]);
    let certificate = read(&spec);
    let text = describe(&certificate);
    let print = hex(&sha1(certificate.der()));
    let expected = format!(
        "Serial: 64\nnotBefore: Nov 26 08:00:00 2026 GMT\nnotAfter: Mar  6 08:00:00 2027 GMT\n\
         Subject Alternative Name: DNS:a.example, DNS:b.example\nAlgorithm: EC256\nSHA1 FingerPrint: {print}\n\
         Subject: /CN=a.example\nIssuer: /CN=CA\n"
    );
    assert_eq!(text, expected);
    let chain = chain_der([&b"ab"[..], b"c"]);
    assert_eq!(chain, b"abc");
    let list = Crl::parse(&ListSpec::new("CA", 1, &[5, 4096, 300]).der()).expect("a list");
    assert_eq!(
        describe_list(&list, 2),
        "Version 1\nSignature Algorithm: ecdsa-with-SHA256\nIssuer: /CN=CA\nLast Update: Jan  5 08:00:00 2027 GMT\n\
         Next Update: Jan 25 08:00:00 2027 GMT\nRevoked Certificates:\n    Serial Number: 05\n        \
         Revocation Date: Jan  5 08:00:00 2027 GMT\n    Serial Number: 1000\n        \
         Revocation Date: Jan  5 08:00:00 2027 GMT\n    ... and 1 more\n"
    );
    let empty = Crl::parse(&ListSpec::new("CA", 1, &[]).der()).expect("a list");
    assert!(describe_list(&empty, 2).ends_with("No Revoked Certificates.\n"));
}
