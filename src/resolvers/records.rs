//! What is known of a name: its records with the time at which they were seen last, and their users.
//!
//! A name server may give some of a name's addresses at a time, so a record stays for a while after answers
//! have it no more (`hold obsolete`), and a server keeps its address as long as the record stays.

use std::collections::HashSet;
use std::net::IpAddr;

use super::machine::{RequesterId, Slot};
use super::options::Options;
use crate::base::clock::Millis;
use crate::wire::dns::{Answer, Families, Name};

/// What a choice among addresses came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The address in use stays.
    Keep,
    /// This one.
    Take(IpAddr),
    /// There is none to be had.
    Nothing,
}

/// The server that chooses, and its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chooser {
    /// The server.
    pub requester: RequesterId,
    /// Its backend.
    pub group: u64,
}

#[derive(Clone, Debug)]
struct Address {
    address: IpAddr,
    seen: Millis,
    users: Vec<Chooser>,
}

/// A server of a service.
#[derive(Clone, Debug)]
pub struct ServiceRecord {
    /// Its host.
    pub target: Name,
    /// Its port.
    pub port: u16,
    /// Its share, 0 to 65535.
    pub weight: u16,
    /// Addresses of the host that came along.
    pub addresses: Vec<IpAddr>,
    addresses_seen: Millis,
    seen: Millis,
    /// The servers it was given to.
    pub slots: Vec<(RequesterId, Slot)>,
}

/// The records of one name.
#[derive(Debug, Default)]
pub struct Records {
    addresses: Vec<Address>,
    /// The servers of a service.
    pub services: Vec<ServiceRecord>,
    /// Where the next choice begins, so that not all take the first address.
    next: usize,
    /// The addresses that servers had when they began to want the name: theirs once an answer has them.
    claims: Vec<Claim>,
}

/// The address that a server has when it begins to want a name.
#[derive(Debug)]
struct Claim {
    chooser: Chooser,
    address: IpAddr,
    /// Others of its backend may have the same one.
    shares: bool,
}

impl Records {
    /// The same records, without users.
    pub fn unused(&self) -> Records {
        let mut addresses = self.addresses.clone();
        addresses.iter_mut().for_each(|known| known.users.clear());
        let mut services = self.services.clone();
        services.iter_mut().for_each(|known| known.slots.clear());
        Records { addresses, services, next: self.next, claims: Vec::new() }
    }

    /// The address that a server uses.
    pub fn used_by(&self, requester: RequesterId) -> Option<IpAddr> {
        let has_it = |known: &&Address| known.users.iter().any(|user| user.requester == requester);
        let used = self.addresses.iter().find(has_it).map(|known| known.address);
        let claim = self.claims.iter().find(|claim| claim.chooser.requester == requester);
        used.or(claim.map(|claim| claim.address))
    }

    /// A server that begins to want the name has an address already; if it `shares`, others of its backend may have
    /// the same one.
    pub fn claim(&mut self, chooser: Chooser, address: IpAddr, shares: bool) {
        self.claims.push(Claim { chooser, address, shares });
    }

    /// Gives servers the addresses that they had before, where these are known; of several servers of a backend
    /// that had the same one, the first keeps it. To be called before a server chooses.
    fn settle_claims(&mut self) {
        for claim in std::mem::take(&mut self.claims) {
            let Some(known) = self.addresses.iter_mut().find(|known| known.address == claim.address) else {
                continue;
            };
            if claim.shares || !known.users.iter().any(|user| user.group == claim.chooser.group) {
                known.users.push(claim.chooser);
            }
        }
    }

    /// Takes an answer over; of each kind at most `max` records are known at a time.
    pub fn merge(&mut self, answer: &Answer, now: Millis, max: usize) {
        let known: HashSet<IpAddr> = self.addresses.iter().map(|known| known.address).collect();
        let given: HashSet<IpAddr> = answer.addresses.iter().copied().collect();
        for known in self.addresses.iter_mut().filter(|known| given.contains(&known.address)) {
            known.seen = now;
        }
        for address in answer.addresses.iter().filter(|address| !known.contains(*address)) {
            if self.addresses.len() >= max && !self.forget_oldest(now) {
                break;
            }
            self.addresses.push(Address { address: *address, seen: now, users: Vec::new() });
        }
        for service in &answer.services {
            let is_same =
                |known: &&mut ServiceRecord| known.target == service.target && known.port == service.port;
            let is_full = self.services.len() >= max;
            match self.services.iter_mut().find(is_same) {
                Some(known) => {
                    known.seen = now;
                    known.weight = service.weight;
                    if !service.addresses.is_empty() {
                        known.addresses.clone_from(&service.addresses);
                        known.addresses_seen = now;
                    }
                }
                None if is_full => {}
                None => self.services.push(ServiceRecord {
                    target: service.target.clone(),
                    port: service.port,
                    weight: service.weight,
                    addresses: service.addresses.clone(),
                    addresses_seen: now,
                    seen: now,
                    slots: Vec::new(),
                }),
            }
        }
    }

    /// Makes room for an address that came now; false if all came now.
    fn forget_oldest(&mut self, now: Millis) -> bool {
        let Some((at, oldest)) = self.addresses.iter().enumerate().min_by_key(|(_, known)| known.seen) else {
            return false;
        };
        if oldest.seen >= now {
            return false;
        }
        self.addresses.remove(at);
        true
    }

    /// Forgets what answers have no more since `obsolete_ms`. Servers whose address goes choose again at the next
    /// occasion; slots whose service goes are returned.
    pub fn expire(&mut self, now: Millis, obsolete_ms: Millis) -> Vec<(RequesterId, Slot)> {
        let is_kept = |seen: Millis| seen.saturating_add(obsolete_ms) >= now;
        self.addresses.retain(|known| is_kept(known.seen));
        let mut released = Vec::new();
        self.services.retain_mut(|known| {
            if !is_kept(known.addresses_seen) {
                known.addresses.clear();
            }
            if !is_kept(known.seen) {
                released.append(&mut known.slots);
                return false;
            }
            true
        });
        released
    }

    /// Forgets everything; returns the slots that had a service.
    pub fn clear(&mut self) -> Vec<(RequesterId, Slot)> {
        self.addresses.clear();
        self.services.drain(..).flat_map(|service| service.slots).collect()
    }

    /// Nothing of this requester is left; returns the slots it had.
    pub fn detach(&mut self, requester: RequesterId) -> Vec<Slot> {
        for known in &mut self.addresses {
            known.users.retain(|user| user.requester != requester);
        }
        self.claims.retain(|claim| claim.chooser.requester != requester);
        let mut released = Vec::new();
        for service in &mut self.services {
            service.slots.retain(|(owner, slot)| {
                if *owner == requester {
                    released.push(*slot);
                }
                *owner != requester
            });
        }
        released
    }

    /// Chooses an address. A server that uses one that is still known keeps it; else family, network, whether
    /// another server of the backend has it and the address in use decide, in this order.
    pub fn choose(
        &mut self,
        options: &Options,
        families: Families,
        chooser: Option<Chooser>,
        current: Option<IpAddr>,
    ) -> Choice {
        self.settle_claims();
        let uses = |known: &Address| chooser.is_some_and(|chooser| known.users.contains(&chooser));
        if self.addresses.iter().any(uses) {
            return Choice::Keep;
        }
        let len = self.addresses.len();
        let mut best: Option<(u32, usize)> = None;
        for step in 0..len {
            let at = (self.next + step) % len;
            let known = &self.addresses[at];
            if !families.take(&known.address) {
                continue;
            }
            let is_shared =
                chooser.is_some_and(|chooser| known.users.iter().any(|user| user.group == chooser.group));
            if is_shared && !options.allow_duplicates {
                continue;
            }
            let score = options.score(&known.address)
                + if is_shared { 0 } else { 2 }
                + u32::from(current == Some(known.address));
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, at));
            }
        }
        let Some((_, at)) = best else { return Choice::Nothing };
        self.next = at + 1;
        let known = &mut self.addresses[at];
        known.users.extend(chooser);
        if current == Some(known.address) { Choice::Keep } else { Choice::Take(known.address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolvers::options::Prefer;
    use crate::wire::dns::Service;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn answer(addresses: &[&str]) -> Answer {
        Answer { addresses: addresses.iter().map(|text| ip(text)).collect(), ..Answer::default() }
    }

    fn server(number: u64) -> Option<Chooser> {
        Some(Chooser { requester: RequesterId(number), group: 1 })
    }

    #[test]
    fn servers_of_a_backend_share_no_address_and_keep_theirs() {
        let mut records = Records::default();
        let options = Options { prefer: Prefer::V4, ..Options::default() };
        records.merge(&answer(&["10.0.0.1", "10.0.0.2"]), 1000, 100);
        let choose = |records: &mut Records, number, current: Option<&str>| {
            records.choose(&options, Families::BOTH, server(number), current.map(ip))
        };
        assert_eq!(choose(&mut records, 1, None), Choice::Take(ip("10.0.0.1")));
        assert_eq!(choose(&mut records, 2, None), Choice::Take(ip("10.0.0.2")));
        assert_eq!(choose(&mut records, 3, None), Choice::Nothing);
        // The next answer lacks one of them and has another.
        records.merge(&answer(&["10.0.0.2", "10.0.0.3"]), 2000, 100);
        assert!(records.expire(2000, 0).is_empty());
        assert_eq!(choose(&mut records, 2, Some("10.0.0.2")), Choice::Keep);
        assert_eq!(choose(&mut records, 1, Some("10.0.0.1")), Choice::Take(ip("10.0.0.3")));
        assert_eq!(choose(&mut records, 3, None), Choice::Nothing);
        // Another backend may have the same addresses.
        let other = Some(Chooser { requester: RequesterId(9), group: 2 });
        assert_eq!(records.choose(&options, Families::BOTH, other, Some(ip("10.0.0.2"))), Choice::Keep);
    }

    #[test]
    fn addresses_that_servers_had_are_theirs_whoever_chooses_first() {
        let mut records = Records::default();
        let options = Options::default();
        // Two had the same one: a name that the system's resolver had told, say.
        for (number, address) in [(3, "10.0.0.1"), (4, "10.0.0.1"), (5, "10.0.0.9")] {
            records.claim(server(number).unwrap(), ip(address), false);
        }
        assert_eq!(records.used_by(RequesterId(3)), Some(ip("10.0.0.1")));
        records.merge(&answer(&["10.0.0.1", "10.0.0.2"]), 1000, 100);
        let choose = |records: &mut Records, number, current: Option<&str>| {
            records.choose(&options, Families::BOTH, server(number), current.map(ip))
        };
        assert_eq!(choose(&mut records, 1, None), Choice::Take(ip("10.0.0.2")));
        assert_eq!(choose(&mut records, 2, None), Choice::Nothing);
        assert_eq!(choose(&mut records, 3, Some("10.0.0.1")), Choice::Keep);
        assert_eq!(choose(&mut records, 4, Some("10.0.0.1")), Choice::Nothing);
        assert_eq!(choose(&mut records, 5, Some("10.0.0.9")), Choice::Nothing);
        assert!(records.claims.is_empty());
        assert_eq!(records.used_by(RequesterId(1)), Some(ip("10.0.0.2")));
        assert_eq!(records.unused().used_by(RequesterId(1)), None);
    }

    #[test]
    fn records_stay_for_a_while() {
        let mut records = Records::default();
        let options = Options::default();
        records.merge(&answer(&["10.0.0.1"]), 1000, 100);
        assert_eq!(records.choose(&options, Families::BOTH, server(1), None), Choice::Take(ip("10.0.0.1")));
        records.merge(&answer(&["10.0.0.2"]), 2000, 100);
        records.expire(2000, 1000);
        assert_eq!(records.choose(&options, Families::BOTH, server(1), None), Choice::Keep);
        records.merge(&answer(&["10.0.0.2"]), 2001, 100);
        records.expire(2001, 1000);
        assert_eq!(records.choose(&options, Families::BOTH, server(1), None), Choice::Take(ip("10.0.0.2")));
    }

    #[test]
    fn the_number_of_records_is_bounded() {
        let mut records = Records::default();
        for round in 0..100u32 {
            let many = (0..100).map(|at| IpAddr::V4((round * 100 + at).into())).collect();
            records.merge(&Answer { addresses: many, ..Answer::default() }, 1000 + u64::from(round), 150);
            assert!(records.addresses.len() <= 150);
        }
        assert!(records.addresses.iter().any(|known| known.address == IpAddr::V4((99 * 100 + 99).into())));
        let services = (0..300)
            .map(|port| Service { target: Name::parse("a").unwrap(), port, weight: 0, addresses: Vec::new() })
            .collect();
        records.merge(&Answer { services, ..Answer::default() }, 5000, 150);
        assert_eq!(records.services.len(), 150);
    }

    #[test]
    fn the_current_address_and_the_order_decide_last() {
        let mut records = Records::default();
        let options = Options { allow_duplicates: true, ..Options::default() };
        records.merge(&answer(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]), 1000, 100);
        assert_eq!(
            records.choose(&options, Families::BOTH, server(1), Some(ip("10.0.0.3"))),
            Choice::Keep,
            "known from before"
        );
        assert_eq!(records.choose(&options, Families::BOTH, server(2), None), Choice::Take(ip("10.0.0.1")));
        assert_eq!(records.choose(&options, Families::BOTH, server(3), None), Choice::Take(ip("10.0.0.2")));
        assert_eq!(records.choose(&options, Families::BOTH, server(4), None), Choice::Take(ip("10.0.0.3")));
        let none = Families { v4: false, v6: true };
        assert_eq!(records.choose(&options, none, server(5), None), Choice::Nothing);
        assert!(records.detach(RequesterId(1)).is_empty());
    }
}
