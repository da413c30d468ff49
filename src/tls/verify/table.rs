//! Chains that are wrong in every way, beside what OpenSSL says of them: the same errors, at the same
//! depths, in the same order.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::VerifyError as E;
use super::*;
use crate::tls::crl::Crl;
pub(super) use crate::tls::testing::DAY;
use crate::tls::testing::{ListSpec, NOW, Spec, int, name, oid, pem, seq, tlv};

/// A chain and what it is checked with.
pub(super) struct Case {
    pub(super) title: &'static str,
    pub(super) purpose: Purpose,
    pub(super) leaf: Vec<u8>,
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) lists: Option<Vec<Vec<u8>>>,
    /// The errors, which OpenSSL must agree with.
    pub(super) expected: Vec<(E, u8)>,
}

/// A case to be told in few words.
fn case(title: &'static str, leaf: &Spec, sent: &[&Spec], roots: &[&Spec], expected: &[(E, u8)]) -> Case {
    let all = |specs: &[&Spec]| specs.iter().map(|spec| spec.der()).collect();
    Case {
        title,
        purpose: Purpose::Client,
        leaf: leaf.der(),
        sent: all(sent),
        roots: all(roots),
        lists: None,
        expected: expected.to_vec(),
    }
}

impl Case {
    /// With the leaf in the trust store, instead of other roots.
    fn trusted(mut self) -> Case {
        self.roots = vec![self.leaf.clone()];
        self
    }
    fn server(mut self) -> Case {
        self.purpose = Purpose::Server;
        self
    }
    fn lists(mut self, lists: &[&ListSpec]) -> Case {
        self.lists = Some(lists.iter().map(|list| list.der()).collect());
        self
    }
    /// Ours, with the errors that `openssl verify` goes on after.
    pub(super) fn ours(&self, ignored: ErrorSet) -> (Verdict, Vec<(E, u8)>) {
        let parse = |der: &Vec<u8>| Arc::new(Certificate::parse(der).expect("a root"));
        let lists = self.lists.iter().flatten().map(|der| Arc::new(Crl::parse(der).expect("a list")));
        let mut trust = Trust::new(self.roots.iter().map(parse).collect(), lists.collect());
        if self.lists.is_some() {
            trust = trust.checking_revocation();
        }
        let policy = Policy {
            purpose: self.purpose,
            trust: Arc::new(trust),
            ignored_of_leaf: ignored,
            ignored_of_authorities: ignored,
        };
        let sent: Vec<&[u8]> = self.sent.iter().map(Vec::as_slice).collect();
        let mut walk = Walk::new(&policy, NOW);
        let _ = walk.run(&self.leaf, &sent);
        let reports = walk.reports.iter().map(|fault| (fault.error, fault.depth)).collect();
        (walk.verdict, reports)
    }
    /// All of it, for trying by hand.
    pub(super) fn pem(&self) -> String {
        let part = |title: &str, label: &str, list: &[Vec<u8>]| {
            format!("{title}:\n{}", list.iter().map(|der| pem(label, der)).collect::<String>())
        };
        let lists = part("lists", "X509 CRL", self.lists.as_deref().unwrap_or_default());
        let leaf = part("leaf", "CERTIFICATE", std::slice::from_ref(&self.leaf));
        let (sent, roots) =
            (part("sent", "CERTIFICATE", &self.sent), part("roots", "CERTIFICATE", &self.roots));
        format!("{:?}\n{leaf}{sent}{roots}{lists}", self.purpose)
    }
    /// OpenSSL's errors and depths.
    pub(super) fn openssl(&self) -> Vec<(u8, u8)> {
        let dir = Directory::new();
        let certificates =
            |list: &[Vec<u8>]| list.iter().map(|der| pem("CERTIFICATE", der)).collect::<String>();
        let mut command = Command::new("openssl");
        let time = NOW.to_string();
        let purpose = if self.purpose == Purpose::Client { "sslclient" } else { "sslserver" };
        command.args(["verify", "-no-CApath", "-no-CAstore", "-auth_level", "2", "-attime", &time]);
        command.args(["-purpose", purpose, "-CAfile"]).arg(dir.file("roots", &certificates(&self.roots)));
        if !self.sent.is_empty() {
            command.arg("-untrusted").arg(dir.file("sent", &certificates(&self.sent)));
        }
        if let Some(lists) = &self.lists {
            command.args(["-crl_check", "-crl_check_all"]);
            if !lists.is_empty() {
                let lists: String = lists.iter().map(|der| pem("X509 CRL", der)).collect();
                command.arg("-CRLfile").arg(dir.file("lists", &lists));
            }
        }
        command.arg(dir.file("leaf", &pem("CERTIFICATE", &self.leaf)));
        let output = command.output().expect("openssl runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut found = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("error ")) {
            let words: Vec<&str> = line.split([' ', ':']).collect();
            if let [number, "at", depth, "depth", "lookup", ..] = words[..] {
                found.push((number.parse().expect("a number"), depth.parse().expect("a depth")));
            }
        }
        assert!(!found.is_empty() || output.status.success(), "{}: {text}", self.title);
        found
    }
}

/// Alternative names of one sort or another.
pub(super) fn leaf_names(sort: usize) -> Vec<(u8, &'static [u8])> {
    match sort {
        0 => vec![(0x82, b"a.example")],
        1 => vec![(0x82, b"b.other"), (0x87, &[10, 0, 0, 1])],
        _ => vec![(0x86, b"http://a.example/")],
    }
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("haring-verify-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}
impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The errors after which `openssl verify` goes on.
pub(super) fn tolerated() -> ErrorSet {
    let errors = [
        E::CERT_HAS_EXPIRED,
        E::DEPTH_ZERO_SELF_SIGNED_CERT,
        E::INVALID_CA,
        E::PATH_LENGTH_EXCEEDED,
        E::INVALID_PURPOSE,
        E::CRL_HAS_EXPIRED,
        E::CRL_NOT_YET_VALID,
        E::UNHANDLED_CRITICAL_EXTENSION,
    ];
    errors.into_iter().fold(ErrorSet::EMPTY, ErrorSet::with)
}

fn check_all(cases: Vec<Case>) {
    for case in cases {
        let expected: Vec<_> = case.expected.iter().map(|(error, depth)| (error.number(), *depth)).collect();
        let (_, reports) = case.ours(tolerated());
        let ours: Vec<_> = reports.iter().map(|(error, depth)| (error.number(), *depth)).collect();
        assert_eq!(ours, expected, "{}: ours, then what was expected", case.title);
        assert_eq!(case.openssl(), expected, "{}: OpenSSL's, then what was expected", case.title);
        // Without ignoring anything, the first one ends it.
        let (verdict, reports) = case.ours(ErrorSet::EMPTY);
        let first = case.expected.first().map(|(error, depth)| Fault { error: *error, depth: *depth });
        assert_eq!((verdict.refused, reports.len()), (first, usize::from(first.is_some())), "{}", case.title);
        assert_eq!(verdict.last, first.map(|first| first.error), "{}", case.title);
    }
}

/// Keys by their roles.
const ROOT: usize = 0;
const MIDDLE: usize = 1;
const LEAF: usize = 2;
const OTHER: usize = 3;
const LOWER: usize = 4;

fn root() -> Spec {
    Spec::authority("Root", ROOT, "Root", ROOT)
}
fn middle() -> Spec {
    Spec::authority("Middle", MIDDLE, "Root", ROOT)
}
fn leaf() -> Spec {
    Spec::new("leaf.example", LEAF, "Middle", MIDDLE)
}
/// A leaf that the root issued.
fn direct() -> Spec {
    Spec::new("leaf.example", LEAF, "Root", ROOT)
}
fn key_id(key: u8) -> Vec<u8> {
    tlv(0x04, &[key; 4])
}
fn issuer_key_id(key: u8) -> Vec<u8> {
    seq(&[tlv(0x80, &[key; 4])])
}
/// keyUsage with one byte of flags.
fn usage(flags: u8) -> Vec<u8> {
    tlv(0x03, &[0, flags])
}
fn purposes(list: &[&str]) -> Vec<u8> {
    seq(&list.iter().map(|id| oid(id)).collect::<Vec<_>>())
}
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const ANY_PURPOSE: &str = "2.5.29.37.0";

#[test]
fn paths() {
    let (root, middle, leaf, direct) = (root(), middle(), leaf(), direct());
    let stranger = Spec::authority("Stranger", OTHER, "Stranger", OTHER);
    // The same name and key under another issuer, and the same name with another key.
    let crossed = Spec::authority("Middle", MIDDLE, "Stranger", OTHER);
    let mimic = Spec::authority("Root", OTHER, "Root", OTHER);
    let selfish = Spec::new("selfish.example", LEAF, "selfish.example", LEAF);
    let authority_leaf = Spec::authority("ca.example", LEAF, "ca.example", LEAF);
    let expired_root = Spec { serial: 7, ..root.clone().valid(NOW - 9 * DAY, NOW - DAY) };
    check_all(vec![
        case("sound", &leaf, &[&middle], &[&root], &[]),
        case("sound, directly", &direct, &[], &[&root], &[]),
        case("root sent too", &leaf, &[&middle, &root], &[&root], &[]),
        case("in any order", &leaf, &[&root, &stranger, &middle], &[&root], &[]),
        case("the store has the intermediate", &leaf, &[], &[&root, &middle], &[]),
        case(
            "names in another case",
            &Spec { issuer: name("  mIDDLE "), ..leaf.clone() },
            &[&middle],
            &[&root],
            &[],
        ),
        case("no issuer", &leaf, &[], &[&root], &[(E::UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0)]),
        case("no root", &leaf, &[&middle], &[&stranger], &[(E::UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 1)]),
        case("the store ends early", &leaf, &[], &[&middle], &[(E::UNABLE_TO_GET_ISSUER_CERT, 1)]),
        case("an unknown root", &leaf, &[&middle, &root], &[&stranger], &[(E::SELF_SIGNED_CERT_IN_CHAIN, 2)]),
        case("self-signed", &selfish, &[], &[&root], &[(E::DEPTH_ZERO_SELF_SIGNED_CERT, 0)]),
        case("self-signed and trusted", &selfish, &[], &[], &[]).trusted(),
        case("a CA as leaf, trusted", &authority_leaf, &[], &[], &[]).trusted(),
        case("a root's double", &leaf, &[&middle, &mimic], &[&root], &[]),
        case("only a root's double", &mimic, &[], &[&root], &[(E::DEPTH_ZERO_SELF_SIGNED_CERT, 0)]),
        case("crossed", &leaf, &[&crossed, &middle], &[&root], &[(E::UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 1)]),
        case("crossed, known", &leaf, &[&crossed, &middle], &[&root, &stranger], &[]),
        case("an expired root beside a good one", &leaf, &[&middle], &[&expired_root, &root], &[]),
        case("only an expired root", &leaf, &[&middle], &[&expired_root], &[(E::CERT_HAS_EXPIRED, 2)]),
    ]);
}

#[test]
fn key_identifiers() {
    let told = |spec: Spec| spec.with("2.5.29.35", false, issuer_key_id(1));
    let root_of =
        |id: u8, key: usize| Spec::authority("Root", key, "Root", key).with("2.5.29.14", false, key_id(id));
    let by_serial = |serial: u64| {
        let issuer = tlv(0xa1, &tlv(0xa4, &name("Root")));
        direct().with("2.5.29.35", false, seq(&[issuer, tlv(0x82, &int(serial)[2..])]))
    };
    check_all(vec![
        case("fits", &told(direct()), &[], &[&root_of(1, ROOT)], &[]),
        case("chosen by it", &told(direct()), &[], &[&root_of(2, OTHER), &root_of(1, ROOT)], &[]),
        case(
            "another",
            &told(direct()),
            &[],
            &[&root_of(2, ROOT)],
            &[(E::UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0)],
        ),
        case("the issuer has none", &told(direct()), &[], &[&root()], &[]),
        case("serial fits", &by_serial(100), &[], &[&root()], &[]),
        case("another serial", &by_serial(99), &[], &[&root()], &[(E::UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0)]),
    ]);
}

#[test]
fn times_and_signatures() {
    let (past, future) = ((NOW - 9 * DAY, NOW - DAY), (NOW + DAY, NOW + 9 * DAY));
    let expired = |spec: Spec| spec.valid(past.0, past.1);
    let modulus = tlv(0x02, &[&[0][..], &[0xff; 128]].concat());
    let small = crate::tls::pem::wrap_rsa(&seq(&[modulus, int(65_537)]));
    let (small_leaf, small_middle) =
        (Spec { spki: small.clone(), ..leaf() }, Spec { spki: small, ..middle() });
    let by_small = Spec { algorithm: "1.2.840.113549.1.1.11", ..leaf() };
    let edge = |from, to| direct().valid(from, to);
    check_all(vec![
        case("small key", &small_leaf, &[&middle()], &[&root()], &[(E::EE_KEY_TOO_SMALL, 0)]),
        case("a CA's small key", &by_small, &[&small_middle], &[&root()], &[(E::CA_KEY_TOO_SMALL, 1)]),
        case("expired", &expired(leaf()), &[&middle()], &[&root()], &[(E::CERT_HAS_EXPIRED, 0)]),
        case(
            "all expired",
            &expired(leaf()),
            &[&expired(middle())],
            &[&expired(root())],
            &[(E::CERT_HAS_EXPIRED, 2), (E::CERT_HAS_EXPIRED, 1), (E::CERT_HAS_EXPIRED, 0)],
        ),
        case(
            "not yet",
            &leaf().valid(future.0, future.1),
            &[&middle()],
            &[&root()],
            &[(E::CERT_NOT_YET_VALID, 0)],
        ),
        case(
            "CA not yet",
            &leaf(),
            &[&middle().valid(future.0, future.1)],
            &[&root()],
            &[(E::CERT_NOT_YET_VALID, 1)],
        ),
        case("first second", &edge(NOW, NOW + DAY), &[], &[&root()], &[]),
        case("last second", &edge(NOW - DAY, NOW + 1), &[], &[&root()], &[]),
        case("a second late", &edge(NOW - DAY, NOW), &[], &[&root()], &[(E::CERT_HAS_EXPIRED, 0)]),
        case("a second early", &edge(NOW + 1, NOW + DAY), &[], &[&root()], &[(E::CERT_NOT_YET_VALID, 0)]),
        case("bad signature", &leaf().broken(), &[&middle()], &[&root()], &[(E::CERT_SIGNATURE_FAILURE, 0)]),
        case(
            "CA's bad signature",
            &leaf(),
            &[&middle().broken()],
            &[&root()],
            &[(E::CERT_SIGNATURE_FAILURE, 1)],
        ),
        case("root's bad signature", &leaf(), &[&middle()], &[&root().broken()], &[]),
        case(
            "signed by another",
            &Spec { signer: OTHER, ..leaf() },
            &[&middle()],
            &[&root()],
            &[(E::CERT_SIGNATURE_FAILURE, 0)],
        ),
        case(
            "expired and bad",
            &expired(leaf()).broken(),
            &[&middle()],
            &[&root()],
            &[(E::CERT_SIGNATURE_FAILURE, 0)],
        ),
        case(
            "weak hash",
            &Spec { algorithm: "1.2.840.10045.4.1", ..leaf() },
            &[&middle()],
            &[&root()],
            &[(E::CA_MD_TOO_WEAK, 0)],
        ),
    ]);
}

#[test]
fn authorities() {
    let plain = Spec::new("Middle", MIDDLE, "Root", ROOT);
    let constrained = |spec: Spec, ca: bool, length: Option<u64>| {
        let mut parts = Vec::new();
        if ca {
            parts.push(tlv(0x01, &[0xff]));
        }
        parts.extend(length.map(int));
        spec.with("2.5.29.19", true, seq(&parts))
    };
    let bare_root = || Spec::new("Root", ROOT, "Root", ROOT);
    let lower = Spec::authority("Lower", LOWER, "Middle", MIDDLE);
    let deep = Spec::new("leaf.example", LEAF, "Lower", LOWER);
    // Issued by the old key to the new one of the same CA.
    let identified = |spec: Spec, own: u8, issuer: u8| {
        spec.with("2.5.29.14", false, key_id(own)).with("2.5.29.35", false, issuer_key_id(issuer))
    };
    let self_issued = identified(Spec::authority("Middle", LOWER, "Middle", MIDDLE), 2, 1);
    let below_self_issued = identified(Spec::new("leaf.example", LEAF, "Middle", LOWER), 3, 2);
    let short = identified(constrained(plain.clone(), true, Some(0)), 1, 0);
    let (invalid, length) = (E::INVALID_CA, E::PATH_LENGTH_EXCEEDED);
    check_all(vec![
        case("no CA", &leaf(), &[&plain], &[&root()], &[(invalid, 1), (E::INVALID_PURPOSE, 1)]),
        case(
            "CA:FALSE",
            &leaf(),
            &[&constrained(plain.clone(), false, None)],
            &[&root()],
            &[(invalid, 1), (E::INVALID_PURPOSE, 1)],
        ),
        case(
            "old CA",
            &leaf(),
            &[&plain.clone().old()],
            &[&root()],
            &[(invalid, 1), (E::INVALID_PURPOSE, 1)],
        ),
        case("old root", &leaf(), &[&middle()], &[&bare_root().old()], &[]),
        case("old leaf", &leaf().old(), &[&middle()], &[&root()], &[]),
        case(
            "root without basicConstraints",
            &leaf(),
            &[&middle()],
            &[&bare_root()],
            &[(invalid, 2), (E::INVALID_PURPOSE, 2)],
        ),
        case("root by keyUsage", &direct(), &[], &[&bare_root().with("2.5.29.15", true, usage(0x04))], &[]),
        case(
            "CA by keyUsage",
            &leaf(),
            &[&plain.clone().with("2.5.29.15", true, usage(0x04))],
            &[&root()],
            &[(invalid, 1)],
        ),
        case(
            "CA that may not sign",
            &leaf(),
            &[&middle().with("2.5.29.15", true, usage(0x80))],
            &[&root()],
            &[(invalid, 1), (E::INVALID_PURPOSE, 1), (E::KEYUSAGE_NO_CERTSIGN, 1)],
        ),
        case(
            "path length kept",
            &deep,
            &[&lower, &middle()],
            &[&constrained(bare_root(), true, Some(2))],
            &[],
        ),
        case(
            "path length exceeded",
            &deep,
            &[&lower, &middle()],
            &[&constrained(bare_root(), true, Some(1))],
            &[(length, 3)],
        ),
        case(
            "path length 0",
            &deep,
            &[&lower, &constrained(plain.clone(), true, Some(0))],
            &[&root()],
            &[(length, 2)],
        ),
        case(
            "path length 0 of the issuer",
            &leaf(),
            &[&constrained(plain.clone(), true, Some(0))],
            &[&root()],
            &[],
        ),
        case("self-issued does not count", &below_self_issued, &[&self_issued, &short], &[&root()], &[]),
    ]);
}

#[test]
fn purposes_and_extensions() {
    let with = |list: &[&str]| leaf().with("2.5.29.37", false, purposes(list));
    let (purpose, unknown) = (E::INVALID_PURPOSE, E::UNHANDLED_CRITICAL_EXTENSION);
    let strange = |spec: Spec, critical| spec.with("1.2.3.4", critical, vec![5, 0]);
    let netscape = |flags: u8| leaf().with("2.16.840.1.113730.1.1", false, tlv(0x03, &[0, flags]));
    let (middle, root) = (middle(), root());
    check_all(vec![
        case("client", &with(&[CLIENT_AUTH]), &[&middle], &[&root], &[]),
        case("server as client", &with(&[SERVER_AUTH]), &[&middle], &[&root], &[(purpose, 0)]),
        case("client as server", &with(&[CLIENT_AUTH]), &[&middle], &[&root], &[(purpose, 0)]).server(),
        case("server", &with(&[SERVER_AUTH]), &[&middle], &[&root], &[]).server(),
        case("both", &with(&[CLIENT_AUTH, SERVER_AUTH]), &[&middle], &[&root], &[]),
        case("any", &with(&[ANY_PURPOSE]), &[&middle], &[&root], &[(purpose, 0)]),
        case(
            "CA's purpose",
            &leaf(),
            &[&middle.clone().with("2.5.29.37", false, purposes(&[SERVER_AUTH]))],
            &[&root],
            &[(purpose, 1)],
        ),
        case("usage fits", &leaf().with("2.5.29.15", true, usage(0x80)), &[&middle], &[&root], &[]),
        case(
            "usage does not fit",
            &leaf().with("2.5.29.15", true, usage(0x20)),
            &[&middle],
            &[&root],
            &[(purpose, 0)],
        ),
        case("servers may encipher", &leaf().with("2.5.29.15", true, usage(0x20)), &[&middle], &[&root], &[])
            .server(),
        case("Netscape's client", &netscape(0x80), &[&middle], &[&root], &[]),
        case("Netscape's server", &netscape(0x40), &[&middle], &[&root], &[(purpose, 0)]),
        case("unknown", &strange(leaf(), false), &[&middle], &[&root], &[]),
        case("unknown and critical", &strange(leaf(), true), &[&middle], &[&root], &[(unknown, 0)]),
        case(
            "a CA's unknown and critical",
            &leaf(),
            &[&strange(middle.clone(), true)],
            &[&root],
            &[(unknown, 1)],
        ),
        case(
            "a proxy's",
            &leaf().with("1.3.6.1.5.5.7.1.14", false, seq(&[seq(&[oid("1.3.6.1.5.5.7.21.1")])])),
            &[&middle],
            &[&root],
            &[(E::PROXY_CERTIFICATES_NOT_ALLOWED, 0)],
        ),
    ]);
}

#[test]
fn name_constraints() {
    let subtree = |tag: u8, base: &[u8]| seq(&[tlv(tag, base)]);
    let permit =
        |subtrees: &[Vec<u8>]| middle().with("2.5.29.30", true, seq(&[tlv(0xa0, &subtrees.concat())]));
    let exclude =
        |subtrees: &[Vec<u8>]| middle().with("2.5.29.30", true, seq(&[tlv(0xa1, &subtrees.concat())]));
    let named = |tag: u8, contents: &[u8]| leaf().names(&[(tag, contents)]);
    let dns = |text: &str| named(0x82, text.as_bytes());
    let (permitted, excluded) = (E::PERMITTED_VIOLATION, E::EXCLUDED_VIOLATION);
    let example = [subtree(0x82, b"example")];
    let ten = [subtree(0x87, &[10, 0, 0, 0, 255, 0, 0, 0])];
    let bounded = [seq(&[tlv(0x82, b"example"), tlv(0x80, &[1])])];
    let root = root();
    check_all(vec![
        case("permitted", &dns("a.example"), &[&permit(&example)], &[&root], &[]),
        case("not permitted", &dns("a.other"), &[&permit(&example)], &[&root], &[(permitted, 0)]),
        case("common name permitted", &leaf(), &[&permit(&example)], &[&root], &[]),
        case(
            "common name not permitted",
            &Spec { subject: name("leaf.other"), ..leaf() },
            &[&permit(&example)],
            &[&root],
            &[(permitted, 0)],
        ),
        case("excluded", &dns("a.example"), &[&exclude(&example)], &[&root], &[(excluded, 0)]),
        case("not excluded", &dns("a.other"), &[&exclude(&example)], &[&root], &[]),
        case("another kind", &named(0x87, &[1, 2, 3, 4]), &[&permit(&example)], &[&root], &[]),
        case("address permitted", &named(0x87, &[10, 2, 3, 4]), &[&permit(&ten)], &[&root], &[]),
        case(
            "address not permitted",
            &named(0x87, &[11, 2, 3, 4]),
            &[&permit(&ten)],
            &[&root],
            &[(permitted, 0)],
        ),
        case("address excluded", &named(0x87, &[10, 2, 3, 4]), &[&exclude(&ten)], &[&root], &[(excluded, 0)]),
        case("directory", &leaf(), &[&permit(&[subtree(0xa4, &name("Leaf.example"))])], &[&root], &[]),
        case(
            "another directory",
            &leaf(),
            &[&permit(&[subtree(0xa4, &name("Other"))])],
            &[&root],
            &[(permitted, 0)],
        ),
        case("minimum", &dns("a.example"), &[&permit(&bounded)], &[&root], &[(E::SUBTREE_MINMAX, 0)]),
    ]);
}

#[test]
fn revocation() {
    let (root, middle, leaf) = (root(), middle(), leaf());
    let lists = |leafs: &[u64], middles: &[u64]| {
        (ListSpec::new("Middle", MIDDLE, leafs), ListSpec::new("Root", ROOT, middles))
    };
    let (low, high) = lists(&[], &[]);
    let chain = |title, leaf: &Spec, expected: &[(E, u8)]| case(title, leaf, &[&middle], &[&root], expected);
    let expired_leaf = leaf.clone().valid(NOW - 9 * DAY, NOW - DAY);
    let (low_revoked, high_revoked) = lists(&[102], &[101]);
    let dated = |from, to| ListSpec { from, to, ..low.clone() };
    let scope = |flag: u8| low_revoked.clone().with("2.5.29.28", true, seq(&[tlv(flag, &[0xff])]));
    let told =
        |id: u8| low.clone().with("2.5.29.35", false, issuer_key_id(id)).with("2.5.29.20", false, int(1));
    let named_middle = middle.clone().with("2.5.29.14", false, key_id(1));
    let quiet_middle = middle.clone().with("2.5.29.15", true, usage(0x04));
    let older = ListSpec { from: NOW - 9 * DAY, to: NOW - 2 * DAY, ..low_revoked.clone() };
    let (missing, revoked) = (E::UNABLE_TO_GET_CRL, E::CERT_REVOKED);
    check_all(vec![
        chain("none revoked", &leaf, &[]).lists(&[&low, &high]),
        chain("no list at all", &leaf, &[(missing, 0)]).lists(&[]),
        chain("no list of the root", &leaf, &[(missing, 1)]).lists(&[&low]),
        chain("no list of the leaf's issuer", &leaf, &[(missing, 0)]).lists(&[&high]),
        chain("revoked", &leaf, &[(revoked, 0)]).lists(&[&low_revoked, &high]),
        chain("CA revoked", &leaf, &[(revoked, 1)]).lists(&[&low, &high_revoked]),
        chain("expired and revoked", &expired_leaf, &[(revoked, 0)]).lists(&[&low_revoked, &high]),
        chain("expired", &expired_leaf, &[(E::CERT_HAS_EXPIRED, 0)]).lists(&[&low, &high]),
        chain("list expired", &leaf, &[(E::CRL_HAS_EXPIRED, 0)])
            .lists(&[&dated(NOW - 9 * DAY, NOW - DAY), &high]),
        chain("list of tomorrow", &leaf, &[(E::CRL_NOT_YET_VALID, 0)])
            .lists(&[&dated(NOW + DAY, NOW + 9 * DAY), &high]),
        chain("list's bad signature", &leaf, &[(E::CRL_SIGNATURE_FAILURE, 0)])
            .lists(&[&ListSpec { is_broken: true, ..low.clone() }, &high]),
        chain("list signed by another", &leaf, &[(E::CRL_SIGNATURE_FAILURE, 0)])
            .lists(&[&ListSpec { signer: OTHER, ..low.clone() }, &high]),
        chain("an old and a new list", &leaf, &[]).lists(&[&older, &low, &high]),
        chain("list of users", &leaf, &[(revoked, 0)]).lists(&[&scope(0x81), &high]),
        chain("list of CAs", &leaf, &[(E::DIFFERENT_CRL_SCOPE, 0)]).lists(&[&scope(0x82), &high]),
        chain("list of attributes", &leaf, &[(E::DIFFERENT_CRL_SCOPE, 0)]).lists(&[&scope(0x85), &high]),
        chain("indirect list", &leaf, &[(missing, 0)]).lists(&[&scope(0x84), &high]),
        chain("unknown and critical", &leaf, &[(E::UNHANDLED_CRITICAL_CRL_EXTENSION, 0)])
            .lists(&[&low.clone().with("1.2.3.4", true, vec![5, 0]), &high]),
        case("list's key fits", &leaf, &[&named_middle], &[&root], &[]).lists(&[&told(1), &high]),
        case("list's key is another", &leaf, &[&named_middle], &[&root], &[(missing, 0)])
            .lists(&[&told(2), &high]),
        case("issuer may not sign lists", &leaf, &[&quiet_middle], &[&root], &[(E::KEYUSAGE_NO_CRL_SIGN, 0)])
            .lists(&[&low, &high]),
    ]);
}

/// Ignored errors of the leaf and above it, and what is remembered of them.
#[test]
fn ignored_errors() {
    let expired = |spec: Spec| spec.valid(NOW - 9 * DAY, NOW - DAY);
    let all_expired = case("", &expired(leaf()), &[&expired(middle())], &[&expired(root())], &[]);
    let no_issuer = case("", &leaf(), &[], &[&root()], &[]);
    let judge = |case: &Case, of_leaf: ErrorSet, of_authorities: ErrorSet| {
        let roots = case.roots.iter().map(|der| Arc::new(Certificate::parse(der).expect("a root"))).collect();
        let policy = Policy {
            purpose: Purpose::Client,
            trust: Arc::new(Trust::new(roots, Vec::new())),
            ignored_of_leaf: of_leaf,
            ignored_of_authorities: of_authorities,
        };
        let sent: Vec<&[u8]> = case.sent.iter().map(Vec::as_slice).collect();
        check(&policy, &case.leaf, &sent, NOW)
    };
    let expiry = ErrorSet::EMPTY.with(E::CERT_HAS_EXPIRED);
    let fault = |error, depth| Some(Fault { error, depth });
    let verdict = judge(&all_expired, expiry, expiry);
    assert_eq!(verdict.refused, None);
    assert_eq!((verdict.last, verdict.leaf_error), (Some(E::CERT_HAS_EXPIRED), Some(E::CERT_HAS_EXPIRED)));
    assert_eq!(verdict.authority_error, fault(E::CERT_HAS_EXPIRED, 2));
    let verdict = judge(&all_expired, expiry, ErrorSet::EMPTY);
    assert_eq!((verdict.refused, verdict.leaf_error), (fault(E::CERT_HAS_EXPIRED, 2), None));
    let verdict = judge(&all_expired, ErrorSet::EMPTY, ErrorSet::ALL);
    assert_eq!(verdict.refused, fault(E::CERT_HAS_EXPIRED, 0));
    // A leaf alone: that its issuer is missing, then that its signature cannot be checked.
    let verdict = judge(&no_issuer, ErrorSet::ALL, ErrorSet::EMPTY);
    assert_eq!((verdict.refused, verdict.leaf_error), (None, Some(E::UNABLE_TO_GET_ISSUER_CERT_LOCALLY)));
    assert_eq!(verdict.last, Some(E::UNABLE_TO_VERIFY_LEAF_SIGNATURE));
    let top = verdict.top.expect("the leaf").der().to_vec();
    assert_eq!(top, no_issuer.leaf);
}

/// Bounds: chains as long as they may be, and one more; many issuers of one name.
#[test]
fn bounds() {
    let link = |at: usize| Spec::authority(&format!("CA {at}"), ROOT, &format!("CA {}", at + 1), ROOT);
    let chain = |count: usize| {
        let top = Spec::authority(&format!("CA {count}"), ROOT, &format!("CA {count}"), ROOT);
        let sent: Vec<Spec> = (0..count).map(link).collect();
        case("", &Spec::new("leaf", LEAF, "CA 0", ROOT), &sent.iter().collect::<Vec<_>>(), &[&top], &[])
    };
    assert_eq!(chain(DEPTH_MAX).ours(ErrorSet::EMPTY).0.refused.map(|fault| fault.error), None);
    assert_eq!(chain(DEPTH_MAX).openssl(), []);
    let long = chain(DEPTH_MAX + 1).ours(ErrorSet::ALL).0;
    assert_eq!(long.refused, Some(Fault { error: E::CERT_CHAIN_TOO_LONG, depth: 0 }));
    // 99 CAs of the same name, one of which signed: found among them, and refused if it is not.
    let double = |at: u64| Spec { serial: at, ..Spec::authority("Middle", OTHER, "Root", ROOT) };
    let doubles: Vec<Spec> = (0..99).map(double).collect();
    let mut sent: Vec<&Spec> = doubles.iter().collect();
    let missing = case("", &leaf(), &sent, &[&root()], &[]).ours(ErrorSet::EMPTY).0;
    assert_eq!(missing.refused, Some(Fault { error: E::CERT_SIGNATURE_FAILURE, depth: 0 }));
    assert!((99..=SIGNATURES_MAX + 3).contains(&missing.signatures), "{}", missing.signatures);
    let middle = middle();
    sent.push(&middle);
    assert_eq!(case("", &leaf(), &sent, &[&root()], &[]).ours(ErrorSet::EMPTY).0.refused, None);
    // What is no certificate at all.
    let mut garbage = case("", &leaf(), &[&middle], &[&root()], &[]);
    garbage.sent[0].truncate(100);
    assert_eq!(garbage.ours(ErrorSet::ALL).0.refused, Some(Fault { error: E::UNSPECIFIED, depth: 1 }));
}
