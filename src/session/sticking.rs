//! Stickiness by stick tables: which server the entry of a request's key names, and what is kept
//! once the server is known (manual, section 4.2 `stick`).
//!
//! Two steps share [`Stores`]: [`on_request`] before a server is chosen, [`on_response`] when it
//! answered, since a redispatch may have changed it meanwhile. Entries may come from another
//! configuration or from the runtime API, so a server is found by what identifies it and never by its
//! place.

use std::net::SocketAddr;
use std::sync::Arc;

use super::cookie::Persistence;
use crate::base::clock::Millis;
use crate::base::id::ServerIndex;
use crate::model::proxy::StickRule;
use crate::model::{Proxy, Server};
use crate::sample::Context;
use crate::sample::table_key;
use crate::state::Table;
use crate::state::server::Endpoint;
use crate::state::table::{Cells, Data, Key, ServerKeyType};

/// The most entries that one transaction keeps, as in HAProxy.
const STORES_MAX: usize = 8;

/// Where the server of a transaction is to be kept.
#[derive(Debug, Default)]
pub struct Stores(Vec<(Arc<Table>, Key)>);

impl Stores {
    /// Whether nothing is to be kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Whether a table already has its turn, in those from number `from` on: the first rule that finds a
    /// key in the request (or in the response) decides, so that rules can be listed from exact to coarse.
    fn has(&self, from: usize, table: &Arc<Table>) -> bool {
        self.0.iter().skip(from).any(|(known, _)| Arc::ptr_eq(known, table))
    }
    fn push(&mut self, table: &Arc<Table>, key: Key) {
        if self.0.len() < STORES_MAX {
            self.0.push((table.clone(), key));
        }
    }
}

/// Runs the request's rules: the server that an entry names, if none is `assigned` yet, and what to keep.
///
/// An entry that is found begins its life anew whether or not its server is used.
pub fn on_request(
    backend: &Proxy,
    persistence: Persistence,
    assigned: bool,
    context: &Context<'_>,
    stores: &mut Stores,
) -> Option<ServerIndex> {
    let now = context.now.millis();
    let mut found = None;
    for rule in &backend.stick_request {
        if rule.stores && stores.has(0, &rule.table) {
            continue;
        }
        let Some(key) = key(rule, context) else { continue };
        if rule.matches
            && let Some(entry) = rule.table.find(&key, now)
        {
            if !assigned && found.is_none() {
                let number = |data| entry.get(data, 0, now).unwrap_or(0) as u32;
                let index = server(backend, &rule.table, number(Data::ServerKey), number(Data::ServerId));
                found = index.filter(|index| {
                    let running = backend.servers[*index as usize].state.is_running();
                    running || backend.options.persist || persistence.force
                });
            }
            entry.touch(now);
        }
        if rule.stores {
            stores.push(&rule.table, key);
        }
    }
    found
}

/// Runs the response's rules, then keeps the server in every table that wants it.
pub fn on_response(backend: &Proxy, server: &Server, context: &Context<'_>, stores: &mut Stores) {
    let of_request = stores.0.len();
    for rule in &backend.stick_response {
        if !stores.has(of_request, &rule.table)
            && let Some(key) = key(rule, context)
        {
            stores.push(&rule.table, key);
        }
    }
    let now = context.now.millis();
    for (table, key) in stores.0.drain(..) {
        if !server.non_stick {
            store(&table, &key, server, now);
        }
    }
}

/// What a rule takes, if its condition holds.
fn key(rule: &StickRule, context: &Context<'_>) -> Option<Key> {
    if rule.condition.as_ref().is_some_and(|condition| !condition.holds(context)) {
        return None;
    }
    table_key::key_of(&rule.table, &rule.key.eval(context)?)
}

fn store(table: &Table, key: &[u8], server: &Server, now: Millis) {
    let text = match table.settings.server_key {
        ServerKeyType::Name => Some(table.number_of(&server.name)),
        ServerKeyType::Address => address(server).map(|address| table.number_of(&address.to_string())),
    };
    let keep = |cells: &mut Cells<'_>| {
        cells.set(Data::ServerId, 0, server.id.into());
        if let Some(number) = text {
            cells.set(Data::ServerKey, 0, number.into());
        }
    };
    // A table that is full and may forget nothing learns nothing: that is what 'nopurge' asks for.
    let _ = table.update(key, now, keep);
}

/// The server of an entry: by its key, and where that leads nowhere by its id.
fn server(backend: &Proxy, table: &Table, key: u32, id: u32) -> Option<ServerIndex> {
    let position = |is_it: &dyn Fn(&Server) -> bool| {
        // Ids count from 1 in order, unless the configuration says otherwise.
        let guess = id.wrapping_sub(1) as usize;
        let right = backend.servers.get(guess).is_some_and(|server| is_it(server));
        if right { Some(guess) } else { backend.servers.iter().position(|server| is_it(server)) }
    };
    let by_key = table.text_of(key).and_then(|text| match table.settings.server_key {
        ServerKeyType::Name => position(&|server| *server.name == *text),
        ServerKeyType::Address => {
            let wanted: SocketAddr = text.parse().ok()?;
            position(&|server| address(server) == Some(wanted))
        }
    });
    by_key.or_else(|| position(&|server| server.id == id)).map(|index| index as ServerIndex)
}

/// The address of a server now.
fn address(server: &Server) -> Option<SocketAddr> {
    match **server.state.endpoint.load() {
        Endpoint::Inet { address, .. } => Some(address),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;
    use crate::state::server::Operational;
    use crate::state::table::{KeyType, Settings, Stored};

    fn table(server_key: ServerKeyType) -> Arc<Table> {
        let stored = [Data::ServerId, Data::ServerKey].map(|data| Stored { data, count: 1, period_ms: 0 });
        let settings = Settings {
            key: KeyType::String(32),
            size: 10,
            expire_ms: Some(1_000),
            nopurge: false,
            stored: stored.into(),
            server_key,
            write_to: None,
            brates_factor: 1,
        };
        Table::new("t", settings)
    }

    fn rule(table: &Arc<Table>, key: &str, (matches, stores): (bool, bool)) -> StickRule {
        StickRule { key: testing::expr(key), table: table.clone(), matches, stores, condition: None }
    }

    /// A backend of servers s1, s2, s3 whose ids are out of order.
    fn backend(rules: Vec<StickRule>) -> Proxy {
        let mut backend = testing::proxy("be");
        for (name, id) in [("s1", 2), ("s2", 1), ("s3", 7)] {
            let mut server = testing::server("be", name);
            server.id = id;
            let address = SocketAddr::from(([10, 0, 0, 1], id as u16));
            server.state.endpoint.store(Arc::new(Endpoint::Inet { address, port_offset: None }));
            backend.push(server);
        }
        backend.stick_request = rules;
        backend
    }

    /// What a request for `target` finds, after which `server` answers it.
    fn transaction(backend: &Proxy, target: &str, server: usize) -> Option<ServerIndex> {
        testing::with_context(target, |context| {
            let mut stores = Stores::default();
            let found = on_request(backend, Persistence::default(), false, context, &mut stores);
            on_response(backend, &backend.servers[server], context, &mut stores);
            assert!(stores.is_empty());
            found
        })
    }

    #[test]
    fn the_server_that_answered_is_found_again() {
        for server_key in [ServerKeyType::Name, ServerKeyType::Address] {
            let table = table(server_key);
            let backend = backend(vec![rule(&table, "path", (true, true))]);
            assert_eq!(transaction(&backend, "/a", 2), None);
            assert_eq!(transaction(&backend, "/b", 1), None);
            assert_eq!(transaction(&backend, "/a", 0), Some(2), "{server_key:?}");
            assert_eq!(transaction(&backend, "/a", 0), Some(0), "the last one that answered");
            assert_eq!(transaction(&backend, "/b", 1), Some(1));
        }
    }

    #[test]
    fn a_server_that_is_down_is_used_only_by_force() {
        let table = table(ServerKeyType::Name);
        let mut backend = backend(vec![rule(&table, "path", (true, true))]);
        transaction(&backend, "/a", 2);
        backend.servers[2].state.set_operational(Operational::Stopped);
        let forced = Persistence { force: true, ..Persistence::default() };
        let find = |backend: &Proxy, persistence, assigned| {
            testing::with_context("/a", |context| {
                on_request(backend, persistence, assigned, context, &mut Stores::default())
            })
        };
        assert_eq!(find(&backend, Persistence::default(), false), None);
        assert_eq!(find(&backend, forced, false), Some(2));
        assert_eq!(find(&backend, forced, true), None, "use-server or the cookie come first");
        backend.options.persist = true;
        assert_eq!(find(&backend, Persistence::default(), false), Some(2));
    }

    #[test]
    fn the_first_rule_of_a_table_decides_what_is_kept() {
        let table = table(ServerKeyType::Name);
        let rules =
            [("url_param(a)", (false, true)), ("url_param(b)", (false, true)), ("path", (true, false))];
        let backend = backend(rules.map(|(key, does)| rule(&table, key, does)).into());
        transaction(&backend, "/x?b=2", 1);
        transaction(&backend, "/x?a=1&b=3", 1);
        let is_known = |key: &[u8]| table.find(key, 1).is_some();
        assert_eq!([&b"1"[..], b"2", b"3", b"/x"].map(is_known), [true, true, false, false]);
    }

    #[test]
    fn non_stick_servers_are_not_learned() {
        let table = table(ServerKeyType::Name);
        let mut backend = backend(vec![rule(&table, "path", (true, true))]);
        let mut server = testing::server("be", "backup");
        server.non_stick = true;
        backend.push(server);
        transaction(&backend, "/a", 3);
        assert!(table.is_empty());
        transaction(&backend, "/a", 0);
        assert_eq!(transaction(&backend, "/a", 3), Some(0), "what was known stays");
        assert_eq!(transaction(&backend, "/a", 3), Some(0));
    }

    #[test]
    fn entries_lead_by_id_where_they_have_no_key() {
        let table = table(ServerKeyType::Name);
        let backend = backend(vec![rule(&table, "path", (true, false))]);
        for (id, expected) in [(2, Some(0)), (1, Some(1)), (7, Some(2)), (0, None), (9, None)] {
            table.update(b"/a", 1, |cells| cells.set(Data::ServerId, 0, id));
            assert_eq!(transaction(&backend, "/a", 0), expected, "{id}");
        }
    }
}
