//! Changes of maps and ACL files that rules ask for (`http-request set-map` and its kin).
//!
//! The data thread carries a change out itself, before its request goes on: so the next request, on any core,
//! meets it. A change takes microseconds, and so does whatever else changes the same map. The control thread
//! learns only that a map has changed, once until it has looked: the way to it is no longer than the list of maps.

use std::sync::Arc;

use crate::rules::{MapChange, MapOrder};
use crate::state::Registry;
use crate::state::maps::LiveMap;

/// Carries a change out; returns the map if it changed and the control thread has not been told so. A pattern that
/// the map's use refuses (no regular expression, say) changes nothing.
pub fn carry_out(registry: &Registry, order: &MapOrder) -> Option<Arc<LiveMap>> {
    let (_, name) = crate::pattern::file::source(&order.file);
    let map = registry.map_by_name(name)?;
    let changed = match order.change {
        MapChange::Set => map.set(&order.key, &order.value).is_ok(),
        MapChange::Add => map.load().by_key(&order.key).is_none() && map.add(&order.key, b"").is_ok(),
        MapChange::DeleteKey | MapChange::DeletePattern => {
            map.load().by_key(&order.key).is_some() && map.remove(&order.key) > 0
        }
    };
    (changed && map.announce()).then_some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_there_at_once_and_told_once() {
        let registry = Registry::new(1);
        let map = registry.map("/m", true).0;
        let order = |change, key: &str, value: &str| MapOrder {
            file: "/m".into(),
            change,
            key: key.as_bytes().into(),
            value: value.as_bytes().into(),
        };
        let value = || map.load().by_key(b"k").map(|entry| entry.value.to_vec());
        assert!(carry_out(&registry, &order(MapChange::DeleteKey, "k", "")).is_none(), "nothing changes");
        assert!(carry_out(&registry, &order(MapChange::Set, "k", "1")).is_some());
        assert_eq!(value(), Some(b"1".to_vec()));
        assert!(carry_out(&registry, &order(MapChange::Set, "k", "2")).is_none(), "it is known already");
        assert_eq!(value(), Some(b"2".to_vec()));
        map.heard();
        assert!(carry_out(&registry, &order(MapChange::DeleteKey, "k", "")).is_some());
        assert_eq!(value(), None);
        let elsewhere = MapOrder { file: "/n".into(), ..order(MapChange::Set, "k", "1") };
        assert!(carry_out(&registry, &elsewhere).is_none());
    }
}
