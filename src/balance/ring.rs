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
pub struct Ring {
    places: Vec<u32>,
    /// The server of each node, by its place among the usable ones.
    servers: Vec<u32>,
}

impl Ring {
    /// The ring of servers with their weights in 1/16.
    pub fn new<'a>(servers: impl Iterator<Item = (&'a Candidate, u32)>) -> Ring {
        let mut nodes: Vec<(u32, u32)> = Vec::new();
        for (index, (candidate, weight)) in servers.enumerate() {
            let base = server_key(candidate);
            nodes.extend((0..weight).map(|node| (hash::avalanche(base.wrapping_add(node)), index as u32)));
        }
        // Stable: of nodes at the same place, the one of the first server comes first.
        nodes.sort_by_key(|node| node.0);
        Ring {
            places: nodes.iter().map(|node| node.0).collect(),
            servers: nodes.iter().map(|node| node.1).collect(),
        }
    }

    /// The number of the node nearest to `hash`, the one before it if two are equally near.
    pub fn nearest(&self, hash: u32) -> usize {
        let after = self.places.partition_point(|&place| place < hash);
        let next = if after == self.places.len() { 0 } else { after };
        let previous = if next == 0 { self.places.len() - 1 } else { next - 1 };
        let back = hash.wrapping_sub(self.places[previous]);
        let ahead = self.places[next].wrapping_sub(hash);
        if back <= ahead { previous } else { next }
    }

    /// The servers of the nodes, in the order of the nodes.
    pub fn servers(&self) -> &[u32] {
        &self.servers
    }
}

/// Where a server's nodes start from (manual, section 5.2 `hash-key`).
fn server_key(candidate: &Candidate) -> u32 {
    let by_id = candidate.id.wrapping_mul(NODES_PER_SERVER_MAX);
    let endpoint = candidate.state.endpoint.load();
    let address = match &**endpoint {
        Endpoint::Inet { address, .. } => Some(*address),
        Endpoint::Unix(_) | Endpoint::Unresolved => None,
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
