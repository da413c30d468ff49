//! What was made or changed at run time and does not outlive a reload, in sentences for the answer and the log.

use std::sync::Arc;

use crate::model::Model;
use crate::state::maps::LiveMap;
use crate::state::table::Settings;

/// Stick tables that begin empty because their lines have changed.
pub(super) fn of_tables(before: &Model, now: &Model) -> Vec<String> {
    let mut lost = Vec::new();
    for table in before.tables().filter(|table| !table.is_empty()) {
        let Some(next) = now.tables().find(|next| next.name == table.name) else { continue };
        if Arc::ptr_eq(next, table) {
            continue;
        }
        lost.push(format!(
            "the stick table '{}' begins empty, and its {} entries are forgotten: {} changed",
            table.name,
            table.len(),
            differences(&table.settings, &next.settings)
        ));
    }
    lost
}

/// Servers that were added at run time and that no file has.
pub(super) fn of_servers(before: &Model, now: &Model) -> Vec<String> {
    let mut lost = Vec::new();
    for proxy in &before.proxies {
        for server in proxy.servers.iter().filter(|server| server.configured.added) {
            let next = now.backend(&proxy.name);
            if next.is_none_or(|next| next.servers.iter().all(|known| known.name != server.name)) {
                let name = format!("{}/{}", proxy.name, server.name);
                lost.push(format!(
                    "the server '{name}' is gone: it was added at run time, and no file has it"
                ));
            }
        }
    }
    lost
}

/// The words of a `stick-table` line whose values differ.
fn differences(before: &Settings, now: &Settings) -> String {
    let words = [
        ("type", before.key != now.key),
        ("size", before.size != now.size),
        ("expire", before.expire_ms != now.expire_ms),
        ("nopurge", before.nopurge != now.nopurge),
        ("store", before.stored != now.stored),
        ("srvkey", before.server_key != now.server_key),
        ("write-to", before.write_to != now.write_to),
        ("brates-factor", before.brates_factor != now.brates_factor),
    ];
    let changed: Vec<String> =
        words.iter().filter(|(_, differs)| *differs).map(|(word, _)| format!("'{word}'")).collect();
    format!("{} {}", changed.join(", "), if changed.len() == 1 { "has" } else { "have" })
}

/// Maps and ACL files that hold something that their files do not.
pub(super) fn changed_maps(model: &Model) -> Vec<Arc<LiveMap>> {
    let maps = model.registry.maps().into_iter().map(|(_, map)| map);
    maps.filter(|map| map.is_dirty() && !map.name.is_empty()).collect()
}

/// Those of them that were read anew from their files.
pub(super) fn of_maps(changed: &[Arc<LiveMap>]) -> Vec<String> {
    let read = changed.iter().filter(|map| !map.is_dirty());
    read.map(|map| {
        format!("the file '{}' has changed and is read anew: what was set at run time is gone", map.name)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::table::KeyType;
    use crate::state::table::testing::settings;

    #[test]
    fn every_setting_of_a_table_has_its_word() {
        let line = || settings(KeyType::Ip, 10, &[]);
        let differing: [(&str, Settings); 8] = [
            ("'type' has", settings(KeyType::Integer, 10, &[])),
            ("'size' has", settings(KeyType::Ip, 11, &[])),
            ("'expire' has", Settings { expire_ms: Some(7), ..line() }),
            ("'nopurge' has", Settings { nopurge: !line().nopurge, ..line() }),
            ("'write-to' has", Settings { write_to: Some("t".into()), ..line() }),
            ("'brates-factor' has", Settings { brates_factor: line().brates_factor + 1, ..line() }),
            ("'type', 'size' have", settings(KeyType::Integer, 11, &[])),
            (" have", line()),
        ];
        for (expected, other) in differing {
            assert_eq!(differences(&line(), &other), expected);
        }
    }
}
