//! Fetches of stick tables that are not one of a family (manual, sections 7.3.2 and 7.3.3). The
//! families are in [`crate::sample::counters`].

use std::sync::Arc;

use super::{Fetch, Get, Source};
use crate::sample::arg::{Arg, ArgType, Args};
use crate::sample::counters::{in_other, source};
use crate::sample::facts::Context;
use crate::sample::table_key::{key_of, value_of};
use crate::sample::value::{Type, Value};
use crate::state::Table;
use crate::state::table::{Data, Entry};

use Source::{Client, Internal};

const KEY: &str = "The key of a tracked entry.";
const TRACKED: &str = "Whether an entry is tracked under a number.";
const TRACKERS: &str = "How many sessions and transactions hold a tracked entry.";

const fn key(name: &'static str, get: Get) -> Fetch {
    Fetch::new(name, Type::Any, Internal, KEY, get)
}
const fn is_tracked(name: &'static str, get: Get) -> Fetch {
    Fetch::new(name, Type::Bool, Internal, TRACKED, get).args(0, &[ArgType::Table])
}
const fn trackers(name: &'static str, get: Get) -> Fetch {
    Fetch::new(name, Type::Int, Internal, TRACKERS, get).args(0, &[ArgType::Table])
}
const fn of_table(name: &'static str, doc: &'static str, get: Get) -> Fetch {
    Fetch::new(name, Type::Int, Internal, doc, get).args(1, &[ArgType::Table])
}

/// Rows.
pub const TABLE: &[Fetch] = &[
    key("sc_key", |args, context| key_of_number(args.int(0), context)).args(1, &[ArgType::Int]),
    key("sc0_key", |_, context| key_of_number(0, context)),
    key("sc1_key", |_, context| key_of_number(1, context)),
    key("sc2_key", |_, context| key_of_number(2, context)),
    is_tracked("sc_tracked", |args, context| tracks(args.int(0), args.table(1), context))
        .args(1, &[ArgType::Int, ArgType::Table]),
    is_tracked("sc0_tracked", |args, context| tracks(0, args.table(0), context)),
    is_tracked("sc1_tracked", |args, context| tracks(1, args.table(0), context)),
    is_tracked("sc2_tracked", |args, context| tracks(2, args.table(0), context)),
    trackers("sc_trackers", |args, context| trackers_of(args.int(0), args.table(1), context))
        .args(1, &[ArgType::Int, ArgType::Table]),
    trackers("sc0_trackers", |args, context| trackers_of(0, args.table(0), context)),
    trackers("sc1_trackers", |args, context| trackers_of(1, args.table(0), context)),
    trackers("sc2_trackers", |args, context| trackers_of(2, args.table(0), context)),
    Fetch::new(
        "src_updt_conn_cnt",
        Type::Int,
        Client,
        "Counts a connection of the client's address, and tells how many that makes.",
        update_connections,
    )
    .args(1, &[ArgType::Table]),
    of_table("table_avl", "How many entries the table can still take.", available),
    of_table("table_cnt", "How many entries the table has.", count),
];

fn key_of_number<'a>(number: i64, context: &Context<'a>) -> Option<Value<'a>> {
    let entry = context.tracked(number)?;
    Some(value_of(entry.table().settings.key, &entry.key()).into_owned())
}

fn tracks<'a>(number: i64, table: Option<&Arc<Table>>, context: &Context<'a>) -> Option<Value<'a>> {
    // Of another table only its keys' type is asked, as HAProxy does it.
    let same_keys = |entry: &Entry| table.is_none_or(|t| t.settings.key == entry.table().settings.key);
    Some(Value::Bool(context.tracked(number).is_some_and(same_keys)))
}

fn trackers_of<'a>(number: i64, table: Option<&Arc<Table>>, context: &Context<'a>) -> Option<Value<'a>> {
    let entry = context.tracked(number)?;
    let held = match table {
        None => entry.references(),
        // Less this look itself.
        Some(table) => {
            in_other(entry, table, context.now.millis())?.map_or(0, |entry| entry.references() - 1)
        }
    };
    Some(Value::Int(held.into()))
}

fn update_connections<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let table = args.table(0)?;
    let now = context.now.millis();
    let key = key_of(table, &source(context)?)?;
    let entry = table.find_or_create(&key, now)?;
    Some(Value::Int(entry.add(Data::ConnCnt, 0, 1, now)? as i64))
}

fn available<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let table = args.table(0)?;
    Some(Value::Int(table.settings.size.saturating_sub(table.len()) as i64))
}
fn count<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(args.table(0)?.len() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{World, check};
    use crate::state::Tracked;
    use crate::state::table::KeyType;
    use crate::state::tracked::testing::table;

    #[test]
    fn tracked_entries_tell_their_keys_and_trackers() {
        for (kind, value, shown) in [
            (KeyType::Ip, "192.0.2.7", "192.0.2.7"),
            (KeyType::Ipv6, "2001:db8::7", "2001:db8::7"),
            (KeyType::Ipv6, "192.0.2.7", "::ffff:192.0.2.7"),
            (KeyType::Integer, "7000", "7000"),
            (KeyType::String(5), "abcdefg", "abcde"),
            (KeyType::Binary(4), "ab", "ab"),
        ] {
            let mut world = World::default();
            let (own, other) = (table("web", kind, "conn_cur"), table("other", kind, ""));
            let key = key_of(&own, &Value::text(value.as_bytes())).unwrap();
            world.session.tracked = Some(std::rc::Rc::default());
            let entry = own.find_or_create(&key, 0).unwrap();
            std::rc::Rc::get_mut(world.session.tracked.as_mut().unwrap()).unwrap().begin(1, entry, 0);
            world.named.tables.insert("other".into(), other.clone());
            world.named.tables.insert("texts".into(), table("texts", KeyType::String(99), ""));
            check(
                &world,
                &[
                    ("sc1_key", shown),
                    ("sc_key(1)", shown),
                    ("sc0_key", "-"),
                    ("sc1_tracked", "1"),
                    ("sc_tracked(1,other)", "1"),
                    ("sc1_tracked(texts)", "0"),
                    ("sc_tracked(0)", "0"),
                    ("sc1_trackers", "1"),
                    ("sc_trackers(1,other)", "0"),
                    ("sc_trackers(0)", "-"),
                    ("sc1_trackers(texts)", "-"),
                ],
            );
            let mut more = Tracked::default();
            more.begin(0, own.find(&key, 0).unwrap(), 0);
            let held = other.find_or_create(&key, 0);
            check(&world, &[("sc1_trackers", "2"), ("sc1_conn_cur", "2"), ("sc1_trackers(other)", "1")]);
            drop((more, held));
            check(&world, &[("sc1_trackers", "1"), ("sc1_conn_cur", "1"), ("sc1_trackers(other)", "0")]);
        }
    }

    #[test]
    fn what_the_transaction_tracks_comes_first() {
        let mut world = World::default();
        let own = table("web", KeyType::Integer, "");
        let entry = |n: u32| own.find_or_create(&n.to_be_bytes(), 0).unwrap();
        let mut tracked = Tracked::default();
        tracked.begin(0, entry(1), 0);
        world.session.tracked = Some(std::rc::Rc::new(tracked));
        world.txn.tracked.begin(1, entry(2), 0);
        check(&world, &[("sc0_key", "1"), ("sc1_key", "2"), ("sc2_key", "-")]);
    }

    #[test]
    fn tables_count_their_entries() {
        let mut world = World::default();
        world.named.tables.insert("web".into(), table("web", KeyType::Ip, "conn_cnt"));
        world.named.tables.insert("none".into(), table("none", KeyType::Ip, ""));
        check(
            &world,
            &[
                ("table_cnt", "0"),
                ("src_updt_conn_cnt", "1"),
                ("src_updt_conn_cnt(web)", "2"),
                ("src_updt_conn_cnt(none)", "-"),
                ("src_conn_cnt", "2"),
                ("table_cnt(web)", "1"),
                ("table_avl", "99"),
            ],
        );
        world.session.source = None;
        check(&world, &[("src_updt_conn_cnt", "-"), ("src_conn_cnt", "-")]);
    }
}
