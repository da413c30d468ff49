//! DNS messages (RFC 1035, 2782, 6891): the questions that are asked, and what is believed of the answers.
//!
//! The codec is the crate simple-dns. What stands here is the judgement: a message that does not repeat the
//! question is not an answer to it, records count only if a chain of aliases leads to them from the name that
//! was asked for, and names other than host names are not taken over.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, TYPE};

/// Bytes of a message's head.
pub const HEAD_BYTES: usize = 12;
/// Bytes of the longest question behind the head: a name, its type and class.
const QUESTION_BYTES_MAX: usize = 255 + 4;
/// Bytes of the smallest record.
const RECORD_BYTES_MIN: usize = 11;
/// Bits of the third byte: it is a response; the kind of operation; it was cut off.
const RESPONSE: u8 = 0x80;
const OPERATION: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
/// The most aliases between a name and its addresses.
pub const ALIASES_MAX: usize = 16;
/// The most addresses or services that are taken from one answer.
pub const RECORDS_MAX: usize = 1024;

/// A host name or a service's name as it is asked for: labels of letters, digits, hyphens and underscores, in
/// lower case, without the dot at the end.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// Reads a name; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Name, &'static str> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() || text.len() > 253 {
            return Err("a name has 1 to 253 characters");
        }
        for label in text.split('.') {
            if label.is_empty() || label.len() > 63 {
                return Err("a name's labels have 1 to 63 characters");
            }
            if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                return Err("a name has letters, digits, hyphens and underscores only");
            }
        }
        Ok(Name(text.to_ascii_lowercase().into()))
    }
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Whether it names a service rather than a host (RFC 2782: it begins with an underscore).
    pub fn is_service(&self) -> bool {
        self.0.starts_with('_')
    }
    fn of(wire: &simple_dns::Name<'_>) -> Option<Name> {
        let labels: Option<Vec<&str>> = wire
            .as_bytes()
            .map(|label| std::str::from_utf8(label).ok().filter(|l| !l.contains('.')))
            .collect();
        Name::parse(&labels?.join(".")).ok()
    }
    fn is(&self, wire: &simple_dns::Name<'_>) -> bool {
        let mut own = self.0.split('.');
        wire.as_bytes().all(|label| own.next().is_some_and(|own| own.as_bytes().eq_ignore_ascii_case(label)))
            && own.next().is_none()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

fn same(one: &simple_dns::Name<'_>, other: &simple_dns::Name<'_>) -> bool {
    one.get_labels().len() == other.get_labels().len()
        && one.as_bytes().zip(other.as_bytes()).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    fn wire(self) -> TYPE {
        match self {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
            Kind::Srv => TYPE::SRV,
        }
    }
}

/// Which families of addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// Both.
    pub const BOTH: Families = Families { v4: true, v6: true };

    /// Whether this is to be asked for.
    pub fn want(self, kind: Kind) -> bool {
        match kind {
            Kind::A => self.v4,
            Kind::Aaaa => self.v6,
            Kind::Srv => true,
        }
    }
    /// Whether an address is of one of them.
    pub fn take(self, address: &IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its host.
    pub target: Name,
    /// Its port.
    pub port: u16,
    /// Its share, 0 to 65535.
    pub weight: u16,
    /// The addresses of the host that came along.
    pub addresses: Vec<IpAddr>,
}

/// A valid answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Addresses of the name, in their order.
    pub addresses: Vec<IpAddr>,
    /// Servers of the service, in their order.
    pub services: Vec<Service>,
    /// How many aliases led there.
    pub aliases: usize,
}

/// What is wrong with an answer to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It breaks the format.
    Invalid,
    /// There is no such name.
    NxDomain,
    /// The name server does not serve us.
    Refused,
    /// It has no records.
    Empty,
    /// A chain of aliases leads nowhere.
    Alias,
    /// It did not fit.
    Truncated,
    /// Another error of the name server.
    Other,
}

/// What a message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// No answer to the question: whatever sent it, the answer may still come.
    Foreign,
    /// An answer that is of no use.
    Fault(Fault),
    /// An answer.
    Answer(Answer),
}

/// A question as a datagram. `payload_max` is the size of answers that is announced, in bytes.
pub fn query(id: u16, name: &Name, kind: Kind, payload_max: u16) -> Vec<u8> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(simple_dns::Question::new(
        simple_dns::Name::new_unchecked(name.as_str()),
        QTYPE::TYPE(kind.wire()),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: payload_max, version: 0 });
    // Writing into memory cannot fail for a name that was checked.
    packet.build_bytes_vec().unwrap_or_default()
}

/// The number of a message.
pub fn id(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))
}

/// Reads a message that has the number of the question `(name, kind)`.
pub fn read(bytes: &[u8], name: &Name, kind: Kind, families: Families) -> Reading {
    let Some(head) = bytes.get(..HEAD_BYTES) else { return Reading::Foreign };
    let count = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let (questions, answers) = (count(4), count(6));
    if head[2] & RESPONSE == 0 || head[2] & OPERATION != 0 || questions > 1 {
        return Reading::Foreign;
    }
    let code = head[3] & 0x0f;
    let repeats = questions == 1 && repeats_question(bytes, name, kind);
    // Some name servers send an error without the question.
    if !(repeats || questions == 0 && code != 0) {
        return Reading::Foreign;
    }
    match code {
        0 => {}
        3 => return Reading::Fault(Fault::NxDomain),
        5 => return Reading::Fault(Fault::Refused),
        _ => return Reading::Fault(Fault::Other),
    }
    if head[2] & TRUNCATED != 0 {
        return Reading::Fault(Fault::Truncated);
    }
    if answers == 0 {
        return Reading::Fault(Fault::Empty);
    }
    let mut result = judge(bytes, kind == Kind::Srv, name, kind, families);
    if kind == Kind::Srv && result == Err(Fault::Invalid) {
        result = judge(bytes, false, name, kind, families);
    }
    match result {
        Ok(answer) => Reading::Answer(answer),
        Err(fault) => Reading::Fault(fault),
    }
}

/// Whether a message has exactly the question that was asked.
fn repeats_question(bytes: &[u8], name: &Name, kind: Kind) -> bool {
    let mut head = bytes[..bytes.len().min(HEAD_BYTES + QUESTION_BYTES_MAX)].to_vec();
    // The reserved bit is ignored (RFC 1035 section 4.1.1); of the sections only the first is read.
    head[3] &= !0x40;
    head[6..HEAD_BYTES].fill(0);
    let Ok(packet) = Packet::parse(&head) else { return false };
    packet.opcode() == OPCODE::StandardQuery
        && packet.questions.iter().all(|question| {
            name.is(&question.qname)
                && question.qtype == QTYPE::TYPE(kind.wire())
                && question.qclass == QCLASS::CLASS(CLASS::IN)
        })
}

/// Reads the records, with or without the sections behind the answers: a name server may have put into them
/// what the codec does not know.
fn judge(
    bytes: &[u8],
    additional: bool,
    name: &Name,
    kind: Kind,
    families: Families,
) -> Result<Answer, Fault> {
    let mut copy = bytes.to_vec();
    copy[3] &= !0x40;
    if !additional {
        copy[8..HEAD_BYTES].fill(0);
    }
    let count = |at: usize| usize::from(u16::from_be_bytes([copy[at], copy[at + 1]]));
    let records = count(6) + count(8) + count(10);
    // The codec makes room for what is announced before it looks.
    if records > 2 * RECORDS_MAX || records * RECORD_BYTES_MIN > copy.len() {
        return Err(Fault::Invalid);
    }
    let packet = Packet::parse(&copy).map_err(|_| Fault::Invalid)?;
    match kind {
        // Codes above 15 stand in the OPT record (RFC 6891 section 6.1.3).
        _ if packet.rcode() != RCODE::NoError => Err(Fault::Other),
        Kind::Srv => services(&packet, name, families),
        Kind::A | Kind::Aaaa => addresses(&packet, name, families),
    }
}

/// The address that a record holds.
fn address(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.address.into())),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.address.into())),
        _ => None,
    }
}

/// Follows the chain of aliases; gives each record that belongs to its end to `take`. Returns the aliases.
fn walk<'p>(
    packet: &'p Packet<'p>,
    name: &Name,
    mut take: impl FnMut(&'p RData<'p>),
) -> Result<usize, Fault> {
    let mut alias: Option<&simple_dns::Name<'_>> = None;
    let mut aliases = 0;
    for (at, record) in packet.answers.iter().enumerate() {
        // Signatures and DNAME records stand between the others and are owned by other names.
        if !matches!(record.rdata, RData::A(_) | RData::AAAA(_) | RData::SRV(_) | RData::CNAME(_)) {
            continue;
        }
        let belongs = alias.map_or_else(|| name.is(&record.name), |alias| same(alias, &record.name));
        if !belongs {
            return Err(if at == 0 { Fault::Invalid } else { Fault::Alias });
        }
        if record.class != CLASS::IN {
            return Err(Fault::Invalid);
        }
        match &record.rdata {
            RData::CNAME(target) => {
                aliases += 1;
                if aliases > ALIASES_MAX || at + 1 == packet.answers.len() {
                    return Err(Fault::Alias);
                }
                alias = Some(&target.0);
            }
            data => take(data),
        }
    }
    Ok(aliases)
}

fn addresses(packet: &Packet<'_>, name: &Name, families: Families) -> Result<Answer, Fault> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let aliases = walk(packet, name, |data| {
        if let Some(found) = address(data)
            && families.take(&found)
            && addresses.len() < RECORDS_MAX
            && !addresses.contains(&found)
        {
            addresses.push(found);
        }
    })?;
    Ok(Answer { addresses, services: Vec::new(), aliases })
}

fn services(packet: &Packet<'_>, name: &Name, families: Families) -> Result<Answer, Fault> {
    let mut services: Vec<Service> = Vec::new();
    let aliases = walk(packet, name, |data| {
        let RData::SRV(srv) = data else { return };
        // The root as target says that there is no such service (RFC 2782); other names are not for us.
        let Some(target) = Name::of(&srv.target) else { return };
        let known = |known: &Service| known.target == target && known.port == srv.port;
        if services.len() < RECORDS_MAX && !services.iter().any(known) {
            services.push(Service { target, port: srv.port, weight: srv.weight, addresses: Vec::new() });
        }
    })?;
    let mut hosts: HashMap<Name, Vec<IpAddr>> = HashMap::new();
    for record in packet.additional_records.iter().filter(|record| record.class == CLASS::IN) {
        let Some(found) = address(&record.rdata).filter(|found| families.take(found)) else { continue };
        let Some(host) = Name::of(&record.name) else { continue };
        let known = hosts.entry(host).or_default();
        if known.len() < ADDRESSES_MAX && !known.contains(&found) {
            known.push(found);
        }
    }
    for service in &mut services {
        service.addresses = hosts.get(&service.target).cloned().unwrap_or_default();
    }
    Ok(Answer { addresses: Vec::new(), services, aliases })
}

/// The most addresses of one server of a service.
const ADDRESSES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{AAAA, CNAME, SRV};

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn wire(text: &str) -> simple_dns::Name<'_> {
        simple_dns::Name::new_unchecked(text)
    }

    fn record<'a>(owner: &'a str, data: RData<'a>) -> ResourceRecord<'a> {
        ResourceRecord::new(wire(owner), CLASS::IN, 60, data)
    }

    fn a(text: &str) -> RData<'static> {
        match text.parse().unwrap() {
            IpAddr::V4(v4) => RData::A(simple_dns::rdata::A { address: v4.into() }),
            IpAddr::V6(v6) => RData::AAAA(AAAA { address: v6.into() }),
        }
    }

    fn cname(target: &str) -> RData<'_> {
        RData::CNAME(CNAME(wire(target)))
    }

    fn srv(target: &str, port: u16, weight: u16) -> RData<'_> {
        RData::SRV(SRV { priority: 1, weight, port, target: wire(target) })
    }

    /// The answer to `query(7, ...)` with these records.
    fn reply<'a>(
        question: (&str, Kind),
        answers: Vec<ResourceRecord<'a>>,
        more: Vec<ResourceRecord<'a>>,
    ) -> Vec<u8> {
        let query = query(7, &name(question.0), question.1, 512);
        let mut packet = Packet::parse(&query).unwrap().into_reply();
        packet.answers = answers;
        packet.additional_records = more;
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(bytes: &[u8], kind: Kind, expected: Reading) {
        let asked = if kind == Kind::Srv { "_http._tcp.test" } else { "web.test" };
        assert_eq!(read(bytes, &name(asked), kind, Families::BOTH), expected);
    }

    fn addresses_are(texts: &[&str], aliases: usize) -> Reading {
        Reading::Answer(Answer { addresses: ips(texts), services: Vec::new(), aliases })
    }

    #[test]
    fn names_are_host_names() {
        for (text, expected) in [("Web.Test.", Some("web.test")), ("_http._tcp.a-b", Some("_http._tcp.a-b"))]
        {
            assert_eq!(Name::parse(text).ok().as_ref().map(Name::as_str), expected);
        }
        let long = "a".repeat(64);
        for text in ["", ".", "a..b", ".a", "a b", "a/b", "ü.test", &long, &"a.".repeat(128)] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn questions_announce_the_size_of_answers() {
        let bytes = query(0x1234, &name("web.test"), Kind::Aaaa, 4096);
        let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03web\x04test\x00\x00\x1c\x00\x01\
            \x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn addresses_are_found_behind_aliases() {
        let plain = reply(
            ("web.test", Kind::A),
            vec![record("WEB.test", a("10.0.0.1")), record("web.test", a("::1"))],
            vec![],
        );
        check(&plain, Kind::A, addresses_are(&["10.0.0.1", "::1"], 0));
        let v4 = Families { v4: true, v6: false };
        assert_eq!(read(&plain, &name("web.test"), Kind::A, v4), addresses_are(&["10.0.0.1"], 0));
        let chain = vec![
            record("web.test", cname("b.test")),
            record("b.test", cname("c.test")),
            record("c.test", a("10.0.0.1")),
        ];
        check(&reply(("web.test", Kind::A), chain, vec![]), Kind::A, addresses_are(&["10.0.0.1"], 2));
    }

    #[test]
    fn records_of_other_names_are_not_believed() {
        for (records, fault) in [
            (vec![record("evil.test", a("6.6.6.6"))], Fault::Invalid),
            (vec![record("web.test", a("10.0.0.1")), record("evil.test", a("6.6.6.6"))], Fault::Alias),
            (vec![record("web.test", cname("b.test"))], Fault::Alias),
            (vec![record("web.test", cname("b.test")), record("web.test", a("6.6.6.6"))], Fault::Alias),
            (vec![], Fault::Empty),
        ] {
            check(&reply(("web.test", Kind::A), records, vec![]), Kind::A, Reading::Fault(fault));
        }
        let mut endless: Vec<_> =
            (0..ALIASES_MAX + 1).map(|_| record("web.test", cname("web.test"))).collect();
        endless.push(record("web.test", a("6.6.6.6")));
        check(&reply(("web.test", Kind::A), endless, vec![]), Kind::A, Reading::Fault(Fault::Alias));
    }

    #[test]
    fn messages_without_the_question_are_not_answers() {
        let good = reply(("web.test", Kind::A), vec![record("web.test", a("10.0.0.1"))], vec![]);
        check(
            &reply(("evil.test", Kind::A), vec![record("web.test", a("6.6.6.6"))], vec![]),
            Kind::A,
            Reading::Foreign,
        );
        check(
            &reply(("web.test", Kind::Aaaa), vec![record("web.test", a("::6"))], vec![]),
            Kind::A,
            Reading::Foreign,
        );
        for (at, bits) in [(2, 0x80), (2, 0x08), (5, 0x01), (5, 0x02)] {
            let mut other = good.clone();
            other[at] ^= bits;
            check(&other, Kind::A, Reading::Foreign);
        }
        check(&good[..11], Kind::A, Reading::Foreign);
        check(&good[..20], Kind::A, Reading::Foreign);
        check(&good[..good.len() - 1], Kind::A, Reading::Fault(Fault::Invalid));
    }

    #[test]
    fn errors_are_told_apart() {
        let good = reply(("web.test", Kind::A), vec![record("web.test", a("10.0.0.1"))], vec![]);
        for (code, fault) in [(1, Fault::Other), (2, Fault::Other), (3, Fault::NxDomain), (5, Fault::Refused)]
        {
            let mut error = good.clone();
            error[3] |= code;
            check(&error, Kind::A, Reading::Fault(fault));
            // Without a question, as some name servers have it.
            let mut bare = error[..HEAD_BYTES].to_vec();
            bare[4..].fill(0);
            check(&bare, Kind::A, Reading::Fault(fault));
        }
        let mut cut = good.clone();
        cut[2] |= TRUNCATED;
        check(&cut, Kind::A, Reading::Fault(Fault::Truncated));
        let mut boast = good.clone();
        boast[6] = 0xff;
        check(&boast, Kind::A, Reading::Fault(Fault::Invalid));
    }

    #[test]
    fn services_bring_their_addresses_along() {
        let asked = ("_http._tcp.test", Kind::Srv);
        let answers = vec![
            record("_http._tcp.test", srv("a.test", 80, 0)),
            record("_http._tcp.test", srv("B.test", 81, 300)),
            record("_http._tcp.test", srv("b.test", 81, 300)),
            record("_http._tcp.test", srv("", 82, 1)),
            record("_http._tcp.test", srv("bad name.test", 83, 1)),
        ];
        let more = vec![record("b.test", a("10.0.0.2")), record("evil.test", a("6.6.6.6"))];
        let service = |target: &str, port, weight, addresses: &[&str]| Service {
            target: name(target),
            port,
            weight,
            addresses: ips(addresses),
        };
        let services = vec![service("a.test", 80, 0, &[]), service("b.test", 81, 300, &["10.0.0.2"])];
        let good = reply(asked, answers, more);
        check(&good, Kind::Srv, Reading::Answer(Answer { services, ..Answer::default() }));
        // What stands behind the answers and cannot be read costs what it brings, no more.
        let mut odd = reply(
            asked,
            vec![record("_http._tcp.test", srv("a.test", 80, 0))],
            vec![record("a.test", a("10.0.0.1"))],
        );
        odd.pop();
        let services = vec![service("a.test", 80, 0, &[])];
        check(&odd, Kind::Srv, Reading::Answer(Answer { services, ..Answer::default() }));
    }

    #[test]
    fn compression_leads_nowhere_in_circles() {
        let mut good = reply(("web.test", Kind::A), vec![record("web.test", a("10.0.0.1"))], vec![]);
        let at = good.windows(2).position(|two| two[0] & 0xc0 == 0xc0).unwrap();
        for target in [at, at + 1, good.len(), 0x3fff, 11] {
            good[at..at + 2].copy_from_slice(&(0xc000 | target as u16).to_be_bytes());
            check(&good, Kind::A, Reading::Fault(Fault::Invalid));
        }
    }
}
