//! Files as people have them.

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// A certificate and its key in PEM.
fn pair(name: &str, algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let key = KeyPair::generate_for(algorithm).expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

fn file(text: &str) -> File<'_> {
    File { path: "/etc/site.pem", bytes: text.as_bytes() }
}

fn load(text: &str) -> Result<Identity, String> {
    let found = Material::parse(file(text)).and_then(|material| material.identity("/etc/site.pem"));
    found.map_err(|error| error.to_string())
}

/// What OpenSSL makes of the arguments, with `input` as what it reads.
fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).expect("PEM")
}

#[test]
fn certificate_and_key_in_any_order() {
    let (certificate, key) = pair("a.example", &rcgen::PKCS_ECDSA_P256_SHA256);
    let (intermediate, _) = pair("ca.example", &rcgen::PKCS_ECDSA_P256_SHA256);
    let parameters = "-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n";
    let curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    for (parts, chain, notices) in [
        (vec![&*certificate, &key], 1, 0),
        (vec![&*key, &certificate], 1, 0),
        (vec![&*certificate, &key, &intermediate], 2, 0),
        (
            vec!["Bag Attributes\n    friendlyName: a\n", &*certificate, "text\n", parameters, curve, &key],
            1,
            1,
        ),
    ] {
        let text = parts.concat();
        for text in [text.clone(), text.replace('\n', "\r\n"), text.trim_end().to_owned()] {
            let identity = load(&text).expect("an identity");
            assert_eq!((identity.certified.cert.len(), identity.notices.len()), (chain, notices), "{text}");
            assert_eq!(identity.certified.cert[0].as_ref(), identity.leaf.der());
        }
    }
}

#[test]
fn formats_of_keys() {
    let (certificate, key) = pair("a.example", &rcgen::PKCS_RSA_SHA256);
    let traditional = openssl(&["rsa", "-traditional"], &key);
    assert!(traditional.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    load(&(certificate.clone() + &traditional)).expect("PKCS#1");
    for algorithm in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P521_SHA512]
    {
        let (certificate, key) = pair("a.example", algorithm);
        let old = openssl(&["ec"], &key);
        assert!(old.starts_with("-----BEGIN EC PRIVATE KEY-----"));
        load(&(certificate.clone() + &old)).expect("SEC1");
        load(&(certificate + &key)).expect("PKCS#8");
    }
    let (certificate, key) = pair("a.example", &rcgen::PKCS_ED25519);
    load(&(certificate + &key)).expect("Ed25519");
    // Both ways of encrypting a key are told.
    let (certificate, key) = pair("a.example", &rcgen::PKCS_RSA_SHA256);
    let encrypted = openssl(&["rsa", "-traditional", "-aes128", "-passout", "pass:secret"], &key);
    assert!(encrypted.contains("Proc-Type"));
    let modern = openssl(&["pkcs8", "-topk8", "-v2", "aes128", "-passout", "pass:secret"], &key);
    assert!(modern.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    for key in [encrypted, modern] {
        let error = load(&(certificate.clone() + &key)).expect_err("an encrypted key");
        assert!(
            error.contains("the private key is encrypted")
                && error.contains("openssl pkey -in /etc/site.pem"),
            "{error}"
        );
    }
}

#[test]
fn a_certificate_of_version_1() {
    let (_, key) = pair("a.example", &rcgen::PKCS_ECDSA_P256_SHA256);
    let dir = std::env::temp_dir().join(format!("haring-pem-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let path = dir.join("key");
    std::fs::write(&path, &key).expect("a file");
    let path = path.to_str().expect("text");
    let request = openssl(&["req", "-new", "-key", path, "-subj", "/CN=old"], "");
    // 'openssl x509 -req' without extensions writes version 1.
    let certificate = openssl(&["x509", "-req", "-signkey", path], &request);
    std::fs::remove_dir_all(&dir).expect("it is there");
    let identity = load(&(certificate + &key)).expect("an identity");
    assert_eq!(identity.leaf.version(), 1);
}

#[test]
fn mistakes() {
    let (certificate, key) = pair("a.example", &rcgen::PKCS_ECDSA_P256_SHA256);
    let (other, other_key) = pair("b.example", &rcgen::PKCS_ECDSA_P256_SHA256);
    let cut: String = certificate.lines().take(4).map(|line| format!("{line}\n")).collect();
    let weak = openssl(&["genrsa", "1024"], "");
    let small = openssl(&["req", "-new", "-x509", "-key", "/dev/stdin", "-subj", "/CN=a"], &weak);
    for (text, expected) in [
        (
            String::new(),
            "there is no certificate in this file; it must have a block '-----BEGIN CERTIFICATE-----'",
        ),
        (key.clone(), "there is no certificate in this file"),
        (
            certificate.clone(),
            "there is no private key in this file; append the key to the file, or put it into '/etc/site.pem.key'",
        ),
        (
            certificate.clone() + &other_key,
            "the private key does not belong to the certificate; put the key beside",
        ),
        (other.clone() + &certificate + &key, "the certificate in line 11 is the key's: put it first"),
        (cut.clone() + &key, "line 1: '-----BEGIN CERTIFICATE-----' has no end before the next block"),
        (cut, "line 1: '-----BEGIN CERTIFICATE-----' has no end; add"),
        (certificate.replace("END CERTIFICATE", "END X509 CRL"), "ends as 'X509 CRL'"),
        (
            certificate.replacen("MII", "M!I", 1),
            "line 1: the text of '-----BEGIN CERTIFICATE-----' is no Base64",
        ),
        (certificate.replacen("MII", "MIA", 1), "line 1: this is no X.509 certificate in DER"),
        (
            certificate.clone() + &key.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
            "a key of the format 'OPENSSH PRIVATE KEY'",
        ),
        (small + &weak, "the RSA key has 1024 bits, which are not taken; keys may be RSA of 2048"),
        (
            certificate.clone() + &key.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
            "the private key cannot be used",
        ),
    ] {
        let error = load(&text).expect_err(expected);
        assert!(error.starts_with("'/etc/site.pem'") && error.contains(expected), "{error}\n{expected}");
    }
    let large = vec![b'\n'; FILE_MAX + 1];
    assert!(Material::parse(File { path: "large", bytes: &large }).is_err());
}

#[test]
fn a_key_of_its_own_file() {
    let (certificate, key) = pair("a.example", &rcgen::PKCS_ECDSA_P256_SHA256);
    let mut material = Material::parse(file(&certificate)).expect("a certificate");
    assert!(!material.has_key());
    let error = material
        .add_key(File { path: "/etc/site.pem.key", bytes: certificate.as_bytes() })
        .expect_err("no key");
    assert_eq!(error.path, "/etc/site.pem.key");
    material.add_key(File { path: "/etc/site.pem.key", bytes: key.as_bytes() }).expect("a key");
    material.identity("/etc/site.pem").expect("an identity");
}

#[test]
fn bundles_and_public_keys() {
    let (one, key) = pair("a.example", &rcgen::PKCS_ECDSA_P256_SHA256);
    let (two, rsa) = pair("b.example", &rcgen::PKCS_RSA_SHA256);
    assert_eq!(authorities(file(&format!("# roots\n{one}\n{key}{two}"))).expect("a bundle").len(), 2);
    let trusted = openssl(&["x509", "-trustout", "-addtrust", "serverAuth"], &one);
    assert!(trusted.starts_with("-----BEGIN TRUSTED"));
    assert_eq!(
        authorities(file(&trusted)).expect("a bundle")[0].der(),
        authorities(file(&one)).expect("a bundle")[0].der()
    );
    assert!(authorities(file(&key)).expect_err("no certificate").what.contains("no certificate"));
    assert!(lists(file(&one)).expect_err("no list").what.contains("no revocation list"));
    let spki = openssl(&["pkey", "-pubout"], &rsa);
    let bare = openssl(&["rsa", "-RSAPublicKey_out"], &rsa);
    assert!(bare.starts_with("-----BEGIN RSA PUBLIC KEY-----"));
    let expected = authorities(file(&two)).expect("a certificate")[0].public_key_info().to_vec();
    assert_eq!(public_key(file(&spki)).expect("a key"), expected);
    assert_eq!(public_key(file(&bare)).expect("a key"), expected);
    assert!(public_key(file(&two)).expect_err("no key").what.contains("no public key"));
}
