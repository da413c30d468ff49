//! Strings of real configurations, and what OpenSSL itself makes of them.

use std::process::Command;

use super::*;
use crate::tls::suites::suite_name;

const INTERMEDIATE: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
     ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
     DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";
const OLD: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
     ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:\
     DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:\
     ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:\
     ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:\
     AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA";

fn names(suites: &[SupportedCipherSuite]) -> Vec<&'static str> {
    suites.iter().map(|suite| suite_name(suite.suite().into()).expect("a name")).collect()
}

/// What OpenSSL selects of the six.
fn openssl(text: &str) -> Vec<String> {
    let output = Command::new("openssl").args(["ciphers", "-tls1_2", text]).output().expect("openssl runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let known = |name: &&str| SUITES.iter().any(|suite| suite.name == *name);
    text.trim().split(':').filter(known).map(str::to_owned).collect()
}

#[test]
fn as_openssl_has_it() {
    for text in [
        "DEFAULT",
        "ALL",
        "HIGH",
        "HIGH:!aNULL:!MD5",
        "HIGH:MEDIUM:!aNULL:!MD5:!RC4",
        INTERMEDIATE,
        OLD,
        "ECDHE+AESGCM:DHE+AESGCM:ECDHE+CHACHA20:DHE+CHACHA20",
        "ECDH+AESGCM:DH+AESGCM:ECDH+AES256:DH+AES256:ECDH+AES128:DH+AES:RSA+AESGCM:RSA+AES:!aNULL:!MD5:!DSS:ECDHE",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256,ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305",
        "kECDHE:!aECDSA",
        "EECDH+CHACHA20:EECDH+AES128:EECDH+AES256",
        "ALL:!ECDSA",
        "ALL:-AESGCM",
        "ALL:-AESGCM:AES128",
        "ALL:-AESGCM:ALL",
        "ALL:+AES256",
        "ALL:+AES256:+aRSA",
        "AES128:AES256:CHACHA20:@STRENGTH",
        "AES128:CHACHA20:AES256:@STRENGTH",
        "AES128:@STRENGTH:AES256",
        "ALL:!AES256:AES256:@STRENGTH",
        "AESGCM:!SHA256",
        "SHA256:SHA384",
        "TLSv1.2",
        "TLSv1.2+aRSA:!CHACHA20",
        "aRSA+SHA384+ECDHE",
        "DEFAULT:@SECLEVEL=1",
        "DEFAULT@SECLEVEL=2",
        "ALL:COMPLEMENTOFDEFAULT:!eNULL",
        "aECDSA+AES128:aRSA+AES128:AES256+SHA384",
        "!AES128:ALL",
        "AES:!AES",
    ] {
        // OpenSSL takes '@' only behind a separator; people write it without.
        let asked = text.replace("T@", "T:@");
        let expected = openssl(&asked);
        match ciphers(&asked) {
            Ok(found) => {
                assert_eq!(names(&found.chosen), expected, "{text}");
                assert!(found.warnings.is_empty(), "{text} {:?}", found.warnings);
            }
            Err(error) => {
                assert!(
                    expected.is_empty() && error.contains("selects no cipher of TLS 1.2"),
                    "{text} {expected:?}"
                );
            }
        }
    }
}

#[test]
fn single_words_as_openssl_has_them() {
    let words =
        SUITES.iter().flat_map(|suite| suite.words.iter().copied()).chain(OTHER_WORDS.iter().copied());
    for word in words.filter(|word| !word.starts_with("SUITEB")) {
        let found = ciphers(word).map(|found| names(&found.chosen).join(":"));
        assert_eq!(found.unwrap_or_default(), openssl(word).join(":"), "{word}");
    }
}

#[test]
fn strings_of_mozilla_load_without_noise() {
    for text in [INTERMEDIATE, OLD] {
        let found = ciphers(text).expect("suites");
        assert_eq!((found.chosen.len(), found.warnings.len()), (6, 0), "{text}");
    }
    assert_eq!(ciphers(INTERMEDIATE).expect("suites").skipped.len(), 3);
    let modern = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
    let found = ciphersuites(modern).expect("suites");
    assert_eq!(names(&found.chosen).join(":"), modern);
    assert!(found.warnings.is_empty() && found.skipped.is_empty());
    let groups = curves("X25519:prime256v1:secp384r1").expect("groups");
    assert_eq!(groups.chosen.len(), 3);
}

#[test]
fn mistakes_in_ciphers() {
    let found = ciphers("ECDHE-RSA-AES128-GCM-SHA265:HIGH:@STRONG").expect("suites");
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
    assert!(found.warnings[0].contains("'ECDHE-RSA-AES128-GCM-SHA265' is no cipher"));
    assert_eq!(ciphers("PROFILE=SYSTEM").expect("suites").chosen.len(), 6);
    for text in ["", "RC4", "AES128-SHA:DHE-RSA-AES256-SHA", "ALL:!ALL", "nonsense", "kRSA"] {
        let error = ciphers(text).expect_err(text);
        assert!(error.contains("selects no cipher of TLS 1.2 that exists here"), "{error}");
    }
    assert!(ciphers(&"A:".repeat(TEXT_MAX)).expect_err("too long").contains("more than"));
}

#[test]
fn suites_of_tls_13() {
    let found = ciphersuites("TLS13-AES-256-GCM-SHA384:TLS_AES_128_CCM_SHA256:TLS_AES_256_GCM_SHA384:x")
        .expect("suites");
    assert_eq!(names(&found.chosen), ["TLS_AES_256_GCM_SHA384"]);
    assert_eq!((found.skipped.len(), found.warnings.len()), (1, 1));
    for text in ["", "TLS_AES_128_CCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"] {
        assert!(ciphersuites(text).expect_err(text).contains("names no cipher suite of TLS 1.3"), "{text}");
    }
}

#[test]
fn groups_by_their_names() {
    let name = |group: &Group| u16::from(group.name());
    for (text, expected, skipped, warnings) in [
        ("X25519:P-256", &[0x1d, 0x17][..], 0, 0),
        ("P-521:P-384:prime256v1:secp256r1", &[0x18, 0x17], 1, 0),
        ("?X25519MLKEM768/*x25519:MLKEM1024", &[0x11ec, 0x1d, 0x202], 0, 0),
        ("auto", &[0x11ec, 0x1d, 0x17, 0x18], 0, 0),
        ("X25519:P-255", &[0x1d], 0, 1),
    ] {
        let found = curves(text).expect("groups");
        let chosen: Vec<u16> = found.chosen.iter().map(name).collect();
        assert_eq!(
            (&chosen[..], found.skipped.len(), found.warnings.len()),
            (expected, skipped, warnings),
            "{text}"
        );
    }
    for text in ["secp521r1", "", "ffdhe2048:x448"] {
        assert!(curves(text).expect_err(text).contains("names no group"), "{text}");
    }
}

#[test]
fn versions() {
    type Words<'a> = &'a [(&'a str, &'a str)];
    for (words, expected) in [
        (&[][..] as Words<'_>, Ok((true, true))),
        (&[("ssl-min-ver", "TLSv1.3")], Ok((false, true))),
        (&[("ssl-max-ver", "TLSv1.2")], Ok((true, false))),
        (&[("ssl-min-ver", "TLSv1.0")], Ok((true, true))),
        (&[("no-tlsv13", ""), ("no-sslv3", ""), ("no-tlsv10", "")], Ok((true, false))),
        (&[("no-tlsv12", "")], Ok((false, true))),
        (&[("force-tlsv12", "")], Ok((true, false))),
        (&[("force-tlsv13", "")], Ok((false, true))),
        (&[("ssl-min-ver", "TLSv1.2"), ("no-tlsv12", "")], Ok((true, true))),
        (&[("no-tlsv12", ""), ("no-tlsv13", "")], Err("leave no version")),
        (&[("ssl-min-ver", "TLSv1.3"), ("ssl-max-ver", "TLSv1.2")], Err("above 'ssl-max-ver'")),
        (&[("ssl-max-ver", "TLSv1.1")], Err("'ssl-max-ver TLSv1.1' leaves no version")),
        (&[("force-tlsv10", "")], Err("'force-tlsv10' leaves no version")),
        (&[("ssl-min-ver", "TLSv1.4")], Err("'TLSv1.4' is no version")),
        (&[("ssl-min-ver", "")], Err("needs a version")),
        (&[("no-tlsv14", "")], Err("says nothing about versions")),
    ] {
        let mut versions = Versions::default();
        let set = words.iter().try_for_each(|(word, argument)| versions.set(word, argument).map(|_| ()));
        let found = set.and_then(|()| versions.chosen());
        match (found, expected) {
            (Ok(found), Ok((has_12, has_13))) => {
                let has = |version| found.iter().any(|found| found.version == version);
                use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};
                assert_eq!((has(TLSv1_2), has(TLSv1_3)), (has_12, has_13), "{words:?}");
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (found, expected) => panic!("{words:?}: {found:?}, not {expected:?}"),
        }
    }
    let mut line = Versions::default();
    assert!(line.set("ssl-min-ver", "TLSv1.1").expect("taken").expect("a notice").contains("means TLSv1.2"));
    assert!(line.warning().is_none());
    line.set("no-tlsv12", "").expect("taken");
    assert!(line.warning().is_some());
    let mut defaults = Versions::default();
    defaults.set("ssl-max-ver", "TLSv1.2").expect("taken");
    assert_eq!(Versions::default().or(defaults), defaults);
    assert_eq!(line.or(defaults).chosen().expect("versions").len(), 1);
    assert!(Versions::is_word("no-tlsv13") && !Versions::is_word("no-tls-tickets"));
}
