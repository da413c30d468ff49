//! Choices of a line, over hellos as clients write them.

use super::*;
use crate::tls::material::testing::{of_kind, pem};
use crate::tls::material::{Beside, KeyKind};
use crate::wire::client_hello::testing::hello;

fn material(name: &str, names: &[&str]) -> Arc<Material> {
    let (certificate, key) = pem(names[0], names);
    Arc::new(Material::load(name, (certificate + &key).as_bytes(), Beside::default()).unwrap())
}

fn entry(material: &Arc<Material>, filters: Option<&str>) -> Entry {
    Entry {
        material: material.clone(),
        filters: filters.and_then(|text| Names::of_filters(text.split_whitespace())),
        options: Options::default(),
        is_default: false,
        verifier: None,
    }
}

fn line() -> Line {
    Line {
        options: Options::default(),
        strict: false,
        tickets: true,
        prefers_client: false,
        is_http: true,
        lifetime_s: LIFETIME_S,
        sessions_max: 100,
        ticket_keys: None,
    }
}

fn asking(name: &str) -> Vec<u8> {
    let mut list = vec![0, 0, name.len() as u8];
    list.extend(name.bytes());
    let mut data = (list.len() as u16).to_be_bytes().to_vec();
    data.extend(list);
    hello(&[(0, &data), (13, &[0, 4, 4, 3, 8, 4])])
}

fn chosen(terminator: &Terminator, name: &str) -> Result<String, Refusal> {
    let bytes = asking(name);
    let hello = ClientHello::parse(&bytes).complete().expect("a hello");
    terminator.choose(&hello).map(|chosen| chosen.material.name.to_string())
}

#[test]
fn the_name_decides_and_strictness_refuses() {
    let (a, b) = (material("a", &["a.com", "*.a.com"]), material("b", &["b.com"]));
    let entries = vec![entry(&a, None), entry(&b, None), entry(&b, Some("c.com"))];
    let terminator = Terminator::new(line(), entries.clone()).unwrap();
    for (name, expected) in [("a.com", "a"), ("x.a.com", "a"), ("b.com", "b"), ("c.com", "b"), ("d.com", "a")]
    {
        assert_eq!(chosen(&terminator, name).as_deref(), Ok(expected), "{name}");
    }
    let strict = Terminator::new(Line { strict: true, ..line() }, entries.clone()).unwrap();
    assert_eq!(chosen(&strict, "b.com").as_deref(), Ok("b"));
    assert_eq!(chosen(&strict, "d.com"), Err(Refusal::UnknownName));
    let mut with_default = entries.clone();
    with_default[1].is_default = true;
    let strict = Terminator::new(Line { strict: true, ..line() }, with_default).unwrap();
    assert_eq!(chosen(&strict, "d.com").as_deref(), Ok("b"), "an explicit default serves");
    // What is replaced is seen at once.
    let fresh = material("fresh", &["a.com"]);
    terminator.replace(vec![entry(&fresh, None)]).unwrap();
    assert_eq!(chosen(&terminator, "x.y").as_deref(), Ok("fresh"));
}

#[test]
fn bundles_serve_each_client_by_its_signatures() {
    let load = |name: &str, kind| {
        let (certificate, key) = of_kind("a.com", &["a.com"], kind);
        Arc::new(Material::load(name, (certificate + &key).as_bytes(), Beside::default()).unwrap())
    };
    let ecdsa = load("a.pem.ecdsa", &rcgen::PKCS_ECDSA_P256_SHA256);
    let ed25519 = load("a.pem.rsa", &rcgen::PKCS_ED25519);
    assert_eq!(ed25519.kind, KeyKind::Ed25519);
    let terminator = Terminator::new(line(), vec![entry(&ed25519, None), entry(&ecdsa, None)]).unwrap();
    assert_eq!(chosen(&terminator, "a.com").as_deref(), Ok("a.pem.ecdsa"));
    assert_eq!(chosen(&terminator, "unknown").as_deref(), Ok("a.pem.ecdsa"), "defaults are a bundle too");
}

#[test]
fn limits_that_leave_nothing_are_told() {
    let options = Options { oldest_is_13: Some(true), newest_is_13: Some(false), ..Options::default() };
    let error = Terminator::new(Line { options, ..line() }, vec![entry(&material("a", &["a"]), None)]);
    assert!(error.unwrap_err().contains("no version"));
}

#[test]
fn unknown_protocols_do_not_refuse_a_client() {
    let terminator = Terminator::new(line(), vec![entry(&material("a", &["a.com"]), None)]).unwrap();
    for (list, expected) in [(&b"\x02h3"[..], 0), (b"\x02h3\x08http/1.1", 2), (b"\x02h2", 2)] {
        let mut data = (list.len() as u16).to_be_bytes().to_vec();
        data.extend(list);
        let bytes = hello(&[(16, &data), (13, &[0, 2, 4, 3])]);
        let hello = ClientHello::parse(&bytes).complete().unwrap();
        assert_eq!(terminator.choose(&hello).unwrap().config.alpn_protocols.len(), expected);
    }
}

#[test]
fn ten_thousand_certificates_are_found_among() {
    let one = material("a", &["a.com"]);
    let entries: Vec<Entry> = (0..10_000).map(|n| entry(&one, Some(&format!("host{n}.com")))).collect();
    let terminator = Terminator::new(line(), entries).unwrap();
    assert!(chosen(&terminator, "host9999.com").is_ok());
}
