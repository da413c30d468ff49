//! Changes of maps and ACL files that rules ask for (`http-request set-map` and its kin).

use std::rc::Rc;

use super::{Control, map_writeback};
use crate::rules::{MapChange, MapOrder};

/// Carries a change out. A pattern that the map's use refuses (no regular expression, say) changes nothing.
pub fn carry_out(control: &Rc<Control>, order: &MapOrder) {
    let (_, name) = crate::pattern::file::source(&order.file);
    let Some(map) = &control.model().registry.map_by_name(name) else { return };
    let changed = match order.change {
        MapChange::Set => map.set(&order.key, &order.value).is_ok(),
        MapChange::Add => map.load().by_key(&order.key).is_none() && map.add(&order.key, b"").is_ok(),
        MapChange::DeleteKey | MapChange::DeletePattern => map.remove(&order.key) > 0,
    };
    if changed {
        map_writeback::changed(control, map);
    }
}
