//! The ring of `hash-type consistent` and `balance random`: HAProxy's, node for node.
//!
//! Each server stands on a circle of 2^32 places, once per 1/16 of its weight, at places that follow
//! from its number (or its address) alone. A key goes to the nearest node on either side, so that a
//! server that comes or goes moves only the keys around its own nodes.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Candidate, HashKey};
use crate::base::hash;
use crate::base::id::ServerId;
use crate::state::server::Endpoint;

/// Nodes of a server of the highest weight, 256: numbers of servers are spread by it.
const NODES_PER_SERVER_MAX: u32 = 256 * 16;

/// The nodes in the order of their places.
#[derive(Debug, Default)]
pub(super) struct Ring {
    places: Arc<[u32]>,
    /// The server of each node, by its place among the candidates.
    servers: Arc<[u32]>,
    /// What the nodes of each candidate were made of.
    origins: Vec<Origin>,
}

/// What the nodes of a server are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    server: ServerId,
    /// Where they start.
    start: u32,
    /// How many they are.
    count: u32,
}

impl Ring {
    /// The ring of `candidates`, of which those that can be chosen are listed with their weights in 1/16.
    ///
    /// It is made from the one `before`: with many servers the nodes are a million, and making and sorting them
    /// at each change of a weight would hold the thread for tens of milliseconds. Only the nodes of servers
    /// that have changed are made; the others are in their order already.
    pub(super) fn new(
        candidates: &[Candidate],
        usable: impl Iterator<Item = (usize, u32)>,
        before: Option<&Ring>,
    ) -> Ring {
        let origin = |candidate: &Candidate| Origin { server: candidate.state.ident, start: 0, count: 0 };
        let mut origins: Vec<Origin> = candidates.iter().map(origin).collect();
        for (index, count) in usable {
            origins[index] = Origin { start: server_key(&candidates[index]), count, ..origins[index] };
        }
        let known = before.map(|before| (before, before.successors(&origins)));
        let mut is_known = vec![false; origins.len()];
        for index in known.iter().flat_map(|(_, successors)| successors.iter().flatten()) {
            is_known[*index as usize] = true;
        }
        let mut fresh: Vec<(u32, u32)> = Vec::new();
        for (index, origin) in origins.iter().enumerate().filter(|(index, _)| !is_known[*index]) {
            let node = |number| (hash::avalanche(origin.start.wrapping_add(number)), index as u32);
            fresh.extend((0..origin.count).map(node));
        }
        if let Some((before, successors)) = &known
            && fresh.is_empty()
            && before.keeps_its_nodes(successors)
        {
            return Ring { places: before.places.clone(), servers: before.servers.clone(), origins };
        }
        // Of nodes at the same place, the one of the first server comes first.
        fresh.sort_unstable();
        let total: usize = origins.iter().map(|origin| origin.count as usize).sum();
        let (mut places, mut servers) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let mut fresh = fresh.into_iter().peekable();
        let mut push = |(place, server)| {
            places.push(place);
            servers.push(server);
        };
        if let Some((before, successors)) = &known {
            for (place, server) in before.places.iter().zip(&*before.servers) {
                let Some(server) = successors[*server as usize] else { continue };
                while let Some(node) = fresh.next_if(|node| *node < (*place, server)) {
                    push(node);
                }
                push((*place, server));
            }
        }
        fresh.for_each(&mut push);
        Ring { places: places.into(), servers: servers.into(), origins }
    }

    /// The place now of each server whose nodes are the same; none if servers have changed their order, on which
    /// the order of nodes at one place depends.
    fn successors(&self, now: &[Origin]) -> Vec<Option<u32>> {
        let mut at = 0;
        let mut successors = Vec::with_capacity(self.origins.len());
        let mut places: Option<FxHashMap<ServerId, usize>> = None;
        for then in &self.origins {
            // Mostly the lists are the same, or one server has come or gone.
            if now.get(at).is_none_or(|now| now.server != then.server) {
                let places = places.get_or_insert_with(|| {
                    now.iter().enumerate().map(|(at, now)| (now.server, at)).collect()
                });
                match places.get(&then.server) {
                    Some(&place) if place > at => at = place,
                    Some(_) => return vec![None; self.origins.len()],
                    None => {
                        successors.push(None);
                        continue;
                    }
                }
            }
            successors.push((now[at] == *then).then_some(at as u32));
            at += 1;
        }
        successors
    }

    /// Whether all servers that have nodes are where they were.
    fn keeps_its_nodes(&self, successors: &[Option<u32>]) -> bool {
        let mut rows = self.origins.iter().zip(successors).enumerate();
        rows.all(|(at, (origin, now))| origin.count == 0 || *now == Some(at as u32))
    }

    /// The number of the node nearest to `hash`, the one before it if two are equally near.
    pub(super) fn nearest(&self, hash: u32) -> usize {
        let after = self.places.partition_point(|&place| place < hash);
        let next = if after == self.places.len() { 0 } else { after };
        let previous = if next == 0 { self.places.len() - 1 } else { next - 1 };
        let back = hash.wrapping_sub(self.places[previous]);
        let ahead = self.places[next].wrapping_sub(hash);
        if back <= ahead { previous } else { next }
    }

    /// The servers of the nodes, in the order of the nodes.
    pub(super) fn servers(&self) -> &[u32] {
        &self.servers
    }
}

/// Where a server's nodes start from (manual, section 5.2 `hash-key`).
fn server_key(candidate: &Candidate) -> u32 {
    let by_id = candidate.id.wrapping_mul(NODES_PER_SERVER_MAX);
    let endpoint = candidate.state.endpoint.load();
    let address = match &**endpoint {
        Endpoint::Inet { address, .. } => Some(*address),
        Endpoint::Unix(_) | Endpoint::Unresolved { .. } => None,
    };
    match (&candidate.hash_key, address) {
        // HAProxy hashes the bytes of the number as they stand in network order.
        (HashKey::Id32, _) => hash::avalanche(candidate.id.swap_bytes()),
        (HashKey::Guid(guid), _) => hash::xxh32(guid.as_bytes(), 0),
        (HashKey::Addr, Some(address)) => address_key(address.ip(), 0),
        (HashKey::AddrPort, Some(address)) => {
            address_key(address.ip(), hash::avalanche(u32::from(address.port())))
        }
        (HashKey::Id | HashKey::Addr | HashKey::AddrPort, _) => by_id,
    }
}

fn address_key(address: IpAddr, seed: u32) -> u32 {
    match address {
        IpAddr::V4(v4) => hash::avalanche(seed.wrapping_add(u32::from_le_bytes(v4.octets()))),
        IpAddr::V6(v6) => hash::xxh32(&v6.octets(), seed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::ServerState;

    fn candidates(ids: impl Iterator<Item = u32>) -> Vec<Candidate> {
        ids.map(|id| Candidate {
            state: Arc::new(ServerState::new("b", "s", 1)),
            index: 0,
            id,
            backup: false,
            hash_key: HashKey::Id,
        })
        .collect()
    }

    /// The ring of all these, each with this weight in 1/16.
    fn of_all(candidates: &[Candidate], weight: u32, before: Option<&Ring>) -> Ring {
        Ring::new(candidates, (0..candidates.len()).map(|at| (at, weight)), before)
    }

    /// The server to which each of some keys goes.
    fn homes(candidates: &[Candidate], ring: &Ring) -> Vec<ServerId> {
        let key = |number: u32| hash::avalanche(number.wrapping_mul(0x9e37_79b9));
        let home = |number| ring.servers()[ring.nearest(key(number))] as usize;
        (0..10_000).map(|number| candidates[home(number)].state.ident).collect()
    }

    #[test]
    fn servers_that_come_and_go_leave_the_ring_of_the_others() {
        let mut list = candidates(1..=30);
        let mut current = of_all(&list, 160, None);
        let extra = candidates(31..=40);
        // Of the middle, of both ends, added behind; and another order, which begins anew.
        for step in 0..8 {
            match step {
                0 => drop(list.remove(10)),
                1 => drop(list.remove(0)),
                2 => drop(list.pop()),
                3 => list.extend(extra.iter().cloned()),
                4 => list.swap(3, 9),
                5 => list.insert(4, extra[0].clone()),
                6 => drop(list.drain(5..20)),
                _ => list.clear(),
            }
            current = of_all(&list, 160, Some(&current));
            let anew = of_all(&list, 160, None);
            assert_eq!((&current.places, &current.servers), (&anew.places, &anew.servers), "{step}");
        }
        // A server that cannot be chosen yet costs nothing.
        let mut list = candidates(1..=5);
        let before = of_all(&list, 160, None);
        list.extend(candidates(6..=6));
        let after = Ring::new(&list, (0..5).map(|at| (at, 160)), Some(&before));
        assert!(Arc::ptr_eq(&before.places, &after.places));
    }

    #[test]
    fn a_server_more_moves_its_share_of_keys_only() {
        for hash_key in
            [HashKey::Id, HashKey::Id32, HashKey::Addr, HashKey::AddrPort, HashKey::Guid("".into())]
        {
            let mut list = candidates(1..=11);
            for (at, candidate) in list.iter_mut().enumerate() {
                let address = ([10, 0, 0, 1 + at as u8], 8000 + at as u16).into();
                let endpoint = Endpoint::Inet { address, port_offset: None };
                candidate.state.endpoint.store(Arc::new(endpoint));
                candidate.hash_key = match hash_key {
                    HashKey::Guid(_) => HashKey::Guid(format!("server-{at}").into()),
                    ref other => other.clone(),
                };
            }
            let ten = homes(&list[..10], &of_all(&list[..10], 16 * 10, None));
            let eleven = homes(&list, &of_all(&list, 16 * 10, None));
            let moved = ten.iter().zip(&eleven).filter(|(before, after)| before != after).count();
            let to_new = eleven.iter().filter(|home| **home == list[10].state.ident).count();
            assert_eq!(moved, to_new, "{hash_key:?}: keys move to the new server only");
            assert!(moved > 0 && moved <= 1500, "{hash_key:?}: {moved} of 10000 moved");
            // Numbers follow the order of lines; what places a server by anything else does not.
            let (mut other, renumbered) = (list.clone(), !matches!(hash_key, HashKey::Id | HashKey::Id32));
            other.reverse();
            if renumbered {
                for (at, candidate) in other.iter_mut().enumerate() {
                    candidate.id = 1 + at as u32;
                }
            }
            assert_eq!(homes(&other, &of_all(&other, 16 * 10, None)), eleven, "{hash_key:?}");
        }
    }

    #[test]
    fn a_ring_made_from_another_is_the_one_made_anew() {
        let candidates = candidates((0..20).map(|index| 3 * index + 1));
        let mut weights = [16 * 10; 20];
        let ring = |weights: &[u32], before: Option<&Ring>| {
            let usable = weights.iter().copied().enumerate().filter(|(_, weight)| *weight > 0);
            Ring::new(&candidates, usable, before)
        };
        let mut current = ring(&weights, None);
        assert_eq!(current.places.len(), 20 * 160);
        // A weight, a server that goes, one that comes back, all of them, none.
        for (at, weight) in [(3, 16), (0, 0), (19, 0), (7, 1), (0, 160), (3, 4096), (12, 159)] {
            weights[at] = weight;
            current = ring(&weights, Some(&current));
            let anew = ring(&weights, None);
            assert_eq!((&current.places, &current.servers), (&anew.places, &anew.servers), "{at} {weight}");
        }
        for all in [[0; 20], [48; 20]] {
            current = ring(&all, Some(&current));
            assert_eq!(current.servers, ring(&all, None).servers);
        }
    }
}
