//! Chains put together at random, beside what OpenSSL says of them. `VERIFY_CHAINS` sets how many.

use super::table::{Case, DAY, leaf_names, tolerated};
use super::*;
use crate::tls::testing::{Extension, ListSpec, NOW, Spec, int, name, oid, seq, tlv};

/// A few of them with every run of the tests.
const CHAINS: usize = 60;

/// splitmix64: the same seed gives the same chains.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
    fn choose<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// One thing changed in a certificate.
fn change(random: &mut Random, spec: &mut Spec) {
    // With extensions it has version 3; OpenSSL would take them in version 1 too, and webpki not.
    let mut set = |id: &'static str, critical: bool, value: Vec<u8>| {
        spec.version = 3;
        spec.extensions.retain(|Extension(known, ..)| *known != id);
        spec.extensions.push(Extension(id, critical, value));
    };
    match random.below(15) {
        0 => (spec.from, spec.to) = (NOW - 9 * DAY, NOW - DAY),
        1 => (spec.from, spec.to) = (NOW + DAY, NOW + 9 * DAY),
        2 => spec.is_broken = true,
        3 => spec.signer = random.below(5),
        4 => *spec = spec.clone().old(),
        5 => {
            let length = random.below(4) as u64;
            let value = if length == 3 { seq(&[]) } else { seq(&[tlv(0x01, &[0xff]), int(length)]) };
            set("2.5.29.19", true, value);
        }
        6 => set("2.5.29.15", true, tlv(0x03, &[0, random.choose(&[0x04, 0x02, 0x06, 0x80, 0x20, 0x86])])),
        7 => {
            let purposes = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4", "2.5.29.37.0"];
            set("2.5.29.37", false, seq(&[oid(random.choose(&purposes))]));
        }
        8 => set("1.2.3.4", random.one_in(2), vec![5, 0]),
        9 => {
            let base = random.choose(&[&b"example"[..], b"other", b".example", b"a.example", b""]);
            let subtree = seq(&[tlv(0x82, base)]);
            set("2.5.29.30", true, seq(&[tlv(random.choose(&[0xa0, 0xa1]), &subtree)]));
        }
        10 => set("2.5.29.14", false, tlv(0x04, &[random.below(3) as u8; 4])),
        11 => set("2.5.29.35", false, seq(&[tlv(0x80, &[random.below(3) as u8; 4])])),
        12 => spec.algorithm = "1.2.840.10045.4.1",
        13 => set("2.16.840.1.113730.1.1", false, tlv(0x03, &[0, random.choose(&[0x80, 0x40, 0x04, 0x01])])),
        _ => spec.issuer = name(random.choose(&["Root", "Middle", "Lower", "MIDDLE", "Nobody"])),
    }
}

/// One thing changed in a list.
fn change_list(random: &mut Random, list: &mut ListSpec) {
    let mut set = |id: &'static str, critical: bool, value: Vec<u8>| {
        list.extensions.retain(|Extension(known, ..)| *known != id);
        list.extensions.push(Extension(id, critical, value));
    };
    match random.below(8) {
        0 => (list.from, list.to) = (NOW - 9 * DAY, NOW - DAY),
        1 => (list.from, list.to) = (NOW + DAY, NOW + 9 * DAY),
        2 => list.is_broken = true,
        3 => list.signer = random.below(5),
        4 => set("2.5.29.35", false, seq(&[tlv(0x80, &[random.below(3) as u8; 4])])),
        5 => set("2.5.29.28", true, seq(&[tlv(random.choose(&[0x81, 0x82, 0x84, 0x85]), &[0xff])])),
        6 => set("1.2.3.4", random.one_in(2), vec![5, 0]),
        _ => list.issuer = name(random.choose(&["Root", "Middle", "Lower"])),
    }
}

fn case(random: &mut Random) -> Case {
    let (root, middle, lower, leaf) = (0, 1, 2, 3);
    let mut specs = vec![
        Spec::new("leaf.example", leaf, "Lower", lower),
        Spec::authority("Lower", lower, "Middle", middle),
        Spec::authority("Middle", middle, "Root", root),
        Spec::authority("Root", root, "Root", root),
    ];
    if random.one_in(2) {
        specs[0] = specs[0].clone().names(&leaf_names(random.below(3)));
    }
    if random.one_in(3) {
        // A shorter chain.
        specs.remove(1);
        specs[0].issuer = name("Middle");
        specs[0].signer = middle;
    }
    for _ in 0..random.below(4) {
        let at = random.below(specs.len());
        change(random, &mut specs[at]);
    }
    let certificates: Vec<Vec<u8>> = specs.iter().map(Spec::der).collect();
    let last = certificates.len() - 1;
    let mut sent = certificates[1..last].to_vec();
    let mut roots = vec![certificates[last].clone()];
    match random.below(6) {
        0 => roots.push(certificates[1].clone()),
        1 => roots = vec![Spec::authority("Stranger", 4, "Stranger", 4).der()],
        2 => sent.push(certificates[last].clone()),
        3 if random.one_in(2) => drop(sent.pop()),
        _ => {}
    }
    if random.one_in(2) {
        sent.reverse();
    }
    let lists = random.one_in(2).then(|| {
        let revoked =
            |random: &mut Random, key: u64| if random.one_in(3) { vec![key + 100] } else { Vec::new() };
        let mut lists = vec![
            ListSpec::new("Lower", lower, &revoked(random, 3)),
            ListSpec::new("Middle", middle, &revoked(random, 2)),
            ListSpec::new("Root", root, &revoked(random, 1)),
        ];
        for _ in 0..random.below(3) {
            let at = random.below(lists.len());
            change_list(random, &mut lists[at]);
        }
        if random.one_in(8) {
            lists.pop();
        }
        lists.iter().map(ListSpec::der).collect()
    });
    Case {
        title: "random",
        purpose: random.choose(&[Purpose::Client, Purpose::Server]),
        leaf: certificates[0].clone(),
        sent,
        roots,
        lists,
        expected: Vec::new(),
    }
}

#[test]
fn chains_at_random_as_openssl_has_them() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let count = asked("VERIFY_CHAINS").unwrap_or(CHAINS);
    let mut random = Random(asked("VERIFY_SEED").unwrap_or(1) as u64);
    let mut kinds = std::collections::BTreeMap::new();
    for at in 0..count {
        let case = case(&mut random);
        let (_, reports) = case.ours(tolerated());
        let ours: Vec<_> = reports.iter().map(|(error, depth)| (error.number(), *depth)).collect();
        let theirs = case.openssl();
        assert_eq!(ours, theirs, "ours, then OpenSSL's, of chain {at}:\n{}", case.pem());
        *kinds.entry(ours).or_insert(0) += 1;
    }
    // The chains are not all of one kind.
    assert!(kinds.len() > 10 || count < CHAINS, "{kinds:?}");
}
