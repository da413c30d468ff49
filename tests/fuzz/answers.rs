//! Answers of name servers: whatever the bytes are, no address is taken over that the message does not give the
//! name, and the machine behind the codec stays in order.
//!
//! What a message gives a name is found here once more, by the plainest reader that does.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use haring::diag::Span;
use haring::resolvers::machine::{Event, Had, Machine, Output, Slot, Wish};
use haring::resolvers::records::Choice;
use haring::resolvers::{Nameserver, Resolvers, Transport};
use haring::wire::dns::{self, Families, Kind, Name, Reading};

/// Words that mutation strews in.
pub const WORDS: &[&str] = &[
    "\x03web\x04test\0",
    "\x04evil\x04test\0",
    "\x05_http\x04_tcp\x04test\0",
    "\0\x01\0\x01",
    "\0\x1c\0\x01",
    "\0\x21\0\x01",
    "\0\x05\0\x01",
    "\0\x04\n\x06\x06\x06",
    "\0\0\0<\0\x04",
    "\0\0\u{29}",
];

const HOST: &str = "web.test";
const SERVICE: &str = "_http._tcp.test";

/// Feeds the codec and the machine.
pub fn run(bytes: &[u8]) {
    for (name, kind) in [(HOST, Kind::A), (HOST, Kind::Aaaa), (SERVICE, Kind::Srv)] {
        let asked = Name::parse(name).expect("a name");
        let Reading::Answer(answer) = dns::read(bytes, &asked, kind, Families::BOTH) else { continue };
        let given = Given::of(bytes, name).expect("what was taken for an answer can be read");
        assert!(answer.addresses.len() <= dns::RECORDS_MAX && answer.services.len() <= dns::RECORDS_MAX);
        assert!(answer.addresses.iter().all(|address| given.addresses.contains(address)), "{answer:?}");
        for service in &answer.services {
            let of_host = |address: &IpAddr| given.more.contains(&(service.target.to_string(), *address));
            assert!(given.services.contains(&(service.target.to_string(), service.port)), "{answer:?}");
            assert!(service.addresses.iter().all(of_host), "{answer:?}");
        }
    }
    feed(bytes);
}

/// Answers all questions of a section with the bytes, under their own numbers.
fn feed(bytes: &[u8]) {
    let mut settings = Resolvers::new("dns", Span::NONE);
    settings.payload_max = 4096;
    settings.nameservers.push(Nameserver {
        name: "ns".into(),
        transport: Transport::Udp,
        address: ([127, 0, 0, 1], 53).into(),
        connections_max: 0,
        counters: Arc::default(),
    });
    let mut machine = Machine::new(Arc::new(settings), Families::BOTH);
    let wish = Wish { group: 1, options: Arc::default(), had: Had::Nothing };
    let server = machine.server(Name::parse(HOST).expect("a name"), wish, 1000);
    machine.service(Name::parse(SERVICE).expect("a name"), vec![(Slot(0), None), (Slot(1), None)], 1000);
    let given = Given::of(bytes, HOST);
    let mut now = 1000;
    for _ in 0..3 {
        machine.tick(now);
        while let Some(output) = machine.output() {
            match output {
                Output::Send { nameserver, port, id, .. } => {
                    let mut answer = bytes.to_vec();
                    if let Some(number) = answer.get_mut(..2) {
                        number.copy_from_slice(&id.to_be_bytes());
                    }
                    machine.received(nameserver, port, &answer, now);
                }
                Output::Event(Event::Answered { .. }) => {
                    if let Choice::Take(address) = machine.choose(server, None) {
                        let is_given = given.as_ref().is_some_and(|given| given.addresses.contains(&address));
                        assert!(is_given, "{address} of another name");
                    }
                }
                Output::Event(_) | Output::Close { .. } => {}
            }
        }
        now += 1000;
    }
}

/// What a message says of a name.
struct Given {
    /// The addresses that records along a chain of aliases give it.
    addresses: HashSet<IpAddr>,
    /// Hosts and ports of its services.
    services: HashSet<(String, u16)>,
    /// Hosts and addresses in the last section.
    more: HashSet<(String, IpAddr)>,
}

impl Given {
    fn of(bytes: &[u8], name: &str) -> Option<Given> {
        let count = |at: usize| number(bytes, at).map(usize::from);
        let (questions, counts) = (count(4)?, [count(6)?, count(8)?, count(10)?]);
        let mut at = 12;
        for _ in 0..questions {
            at = name_at(bytes, at)?.1 + 4;
        }
        let mut names = HashSet::from([name.to_owned()]);
        let mut given = Given { addresses: HashSet::new(), services: HashSet::new(), more: HashSet::new() };
        for (section, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                // What comes behind the answers may be damaged.
                let Some((owner, start)) = name_at(bytes, at) else { return (section > 0).then_some(given) };
                let Some((kind, length)) = number(bytes, start).zip(number(bytes, start + 8)) else {
                    return (section > 0).then_some(given);
                };
                let data = bytes.get(start + 10..start + 10 + usize::from(length));
                let Some(data) = data else { return (section > 0).then_some(given) };
                let found = match kind {
                    1 => data.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
                    28 => data.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
                    _ => None,
                };
                if let Some(address) = found {
                    if section == 0 && names.contains(&owner) {
                        given.addresses.insert(address);
                    } else if section == 2 {
                        given.more.insert((owner, address));
                    }
                } else if kind == 5 && section == 0 && names.contains(&owner) {
                    names.extend(name_at(bytes, start + 10).map(|(target, _)| target));
                } else if kind == 33 && section == 0 && names.contains(&owner) {
                    let target = name_at(bytes, start + 16).map(|(target, _)| target);
                    given.services.extend(target.zip(number(bytes, start + 14)));
                }
                at = start + 10 + usize::from(length);
            }
        }
        Some(given)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A name in lower case, and where it ends.
fn name_at(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut at, mut end) = (start, None);
    let mut labels = Vec::new();
    for _ in 0..bytes.len() + 1 {
        let length = *bytes.get(at)?;
        if length & 0xc0 == 0xc0 {
            end = end.or(Some(at + 2));
            at = usize::from(number(bytes, at)? & 0x3fff);
        } else if length == 0 {
            return Some((labels.join("."), end.unwrap_or(at + 1)));
        } else {
            let label = bytes.get(at + 1..at + 1 + usize::from(length))?;
            labels.push(String::from_utf8_lossy(label).to_lowercase());
            at += 1 + usize::from(length);
        }
    }
    None
}
