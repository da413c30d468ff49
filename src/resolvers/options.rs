//! What a server wants of a name's addresses (`resolve-prefer`, `resolve-net`, `resolve-opts`).

use std::net::IpAddr;

use crate::wire::dns::{Families, Kind};

/// The family that is taken if both are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Prefer {
    V4,
    #[default]
    V6,
}

impl Prefer {
    /// The question that is asked first.
    pub fn kind(self, families: Families) -> Kind {
        match (families.v4, families.v6, self) {
            (true, false, _) | (true, true, Prefer::V4) => Kind::A,
            _ => Kind::Aaaa,
        }
    }
    fn is(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Prefer::V4)
    }
}

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// The bits that its addresses have in common.
    pub length: u8,
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: &IpAddr) -> bool {
        let shift = |bits: u32| bits.saturating_sub(u32::from(self.length));
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u32::from(own) ^ u32::from(*other)).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (u128::from(own) ^ u128::from(*other)).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The most networks of one server, as in HAProxy.
pub const NETWORKS_MAX: usize = 5;

/// What a server wants of a name's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `resolve-prefer`.
    pub prefer: Prefer,
    /// `resolve-net`.
    pub networks: Vec<Network>,
    /// `resolve-opts allow-dup-ip`: another server of the backend may have the same address.
    pub allow_duplicates: bool,
    /// `resolve-opts ignore-weight`.
    pub ignore_weight: bool,
}

impl Options {
    /// How welcome an address is, by family and network; an address that more counts for is taken first.
    pub fn score(&self, address: &IpAddr) -> u32 {
        let family = if self.prefer.is(address) { 8 } else { 0 };
        let network = if self.networks.iter().any(|network| network.contains(address)) { 4 } else { 0 };
        family + network
    }
    /// The address that a server takes of those that came along with its record: the one it has, unless another
    /// is more welcome.
    pub fn pick(&self, addresses: &[IpAddr], current: Option<IpAddr>) -> Option<IpAddr> {
        let score = |address: &IpAddr| 2 * self.score(address) + u32::from(current == Some(*address));
        let best = addresses.iter().map(score).max()?;
        addresses.iter().copied().find(|address| score(address) == best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str, length: u8) -> Network {
        Network { address: text.parse().unwrap(), length }
    }

    #[test]
    fn networks_contain_their_addresses() {
        for (network, address, expected) in [
            (network("10.0.0.0", 8), "10.255.0.1", true),
            (network("10.0.0.0", 8), "11.0.0.1", false),
            (network("0.0.0.0", 0), "192.0.2.1", true),
            (network("192.0.2.1", 32), "192.0.2.1", true),
            (network("192.0.2.1", 32), "192.0.2.0", false),
            (network("2001:db8::", 32), "2001:db8:1::1", true),
            (network("::", 0), "2001:db8:1::1", true),
            (network("::", 0), "10.0.0.1", false),
        ] {
            assert_eq!(network.contains(&address.parse().unwrap()), expected, "{network:?} {address}");
        }
    }

    #[test]
    fn the_address_in_use_stays_unless_another_is_more_welcome() {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let options =
            Options { networks: vec![network("10.0.0.0", 8)], prefer: Prefer::V4, ..Options::default() };
        for (addresses, current, expected) in [
            (&["192.0.2.1", "192.0.2.2"][..], None, Some("192.0.2.1")),
            (&["192.0.2.1", "192.0.2.2"], Some("192.0.2.2"), Some("192.0.2.2")),
            (&["192.0.2.1", "10.0.0.2"], Some("192.0.2.1"), Some("10.0.0.2")),
            (&["::1", "192.0.2.1"], Some("::1"), Some("192.0.2.1")),
            (&[], Some("::1"), None),
        ] {
            let parse = |text: Option<&str>| text.map(|text| text.parse::<IpAddr>().unwrap());
            let picked = options.pick(&ips(addresses), parse(current));
            assert_eq!(picked, parse(expected), "{addresses:?} {current:?}");
        }
    }
}
