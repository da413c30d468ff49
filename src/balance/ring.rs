//! The ring of `hash-type consistent` and `balance random`: HAProxy's, node for node.
//!
//! Each server stands on a circle of 2^32 places, once per 1/16 of its weight, at places that follow
//! from its number (or its address) alone. A key goes to the nearest node on either side, so that a
//! server that comes or goes moves only the keys around its own nodes.

use std::net::IpAddr;

use super::Candidate;
use crate::base::hash;
use crate::state::server::Endpoint;

/// Nodes of a server of the highest weight, 256: numbers of servers are spread by it.
const NODES_PER_SERVER_MAX: u32 = 256 * 16;

/// The nodes in the order of their places.
#[derive(Debug, Default)]
pub(super) struct Ring {
    places: Vec<u32>,
    /// The server of each node, by its place among the candidates.
    servers: Vec<u32>,
    /// What the nodes of each candidate were made of: where they start, and how many they are.
    origins: Vec<(u32, u32)>,
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
        let mut origins = vec![(0, 0); candidates.len()];
        for (index, weight) in usable {
            origins[index] = (server_key(&candidates[index]), weight);
        }
        let before = before.filter(|before| before.origins.len() == origins.len());
        let stays: Vec<bool> = match before {
            Some(before) => origins.iter().zip(&before.origins).map(|(now, then)| now == then).collect(),
            None => vec![false; origins.len()],
        };
        let mut fresh: Vec<(u32, u32)> = Vec::new();
        for (index, (start, count)) in origins.iter().enumerate().filter(|(index, _)| !stays[*index]) {
            let node = |number| (hash::avalanche(start.wrapping_add(number)), index as u32);
            fresh.extend((0..*count).map(node));
        }
        // Of nodes at the same place, the one of the first server comes first.
        fresh.sort_unstable();
        let total: usize = origins.iter().map(|(_, count)| *count as usize).sum();
        let (mut places, mut servers) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let mut fresh = fresh.into_iter().peekable();
        let mut push = |(place, server)| {
            places.push(place);
            servers.push(server);
        };
        for (place, server) in before.iter().flat_map(|ring| ring.places.iter().zip(&ring.servers)) {
            if !stays[*server as usize] {
                continue;
            }
            while let Some(node) = fresh.next_if(|node| *node < (*place, *server)) {
                push(node);
            }
            push((*place, *server));
        }
        fresh.for_each(&mut push);
        Ring { places, servers, origins }
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
    match (candidate.hash_key.as_deref(), address) {
        // HAProxy hashes the bytes of the number as they stand in network order.
        (Some("id32"), _) => hash::avalanche(candidate.id.swap_bytes()),
        (Some("addr"), Some(address)) => address_key(address.ip(), 0),
        (Some("addr-port"), Some(address)) => {
            address_key(address.ip(), hash::avalanche(u32::from(address.port())))
        }
        _ => by_id,
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
    use std::sync::Arc;

    use super::*;
    use crate::state::ServerState;

    #[test]
    fn a_ring_made_from_another_is_the_one_made_anew() {
        let candidates: Vec<_> = (0..20)
            .map(|index| Candidate {
                state: Arc::new(ServerState::new("b", "s", 1)),
                index,
                id: 3 * index + 1,
                backup: false,
                hash_key: None,
            })
            .collect();
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
