//! Converters that look their input up in a stick table and are not one of a family (manual,
//! section 7.3.1). The families are in [`crate::sample::counters`].

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args};
use crate::sample::facts::Context;
use crate::sample::table_key::key_of;
use crate::sample::value::{Type, Value};
use crate::state::table::{Data, Entry};

const fn row(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Any, Type::Int, doc, apply).args(1, &[ArgType::Table])
}

/// Rows.
pub const TABLE: &[Converter] = &[
    Converter::new("in_table", Type::Any, Type::Bool, "Whether the table has an entry for it.", in_table)
        .args(1, &[ArgType::Table]),
    row("table_expire", "Milliseconds until its entry in a table expires, else the default value.", expire)
        .args(1, &[ArgType::Table, ArgType::Int]),
    row("table_idle", "Milliseconds since its entry in a table was refreshed, else the default value.", idle)
        .args(1, &[ArgType::Table, ArgType::Int]),
    row("table_server_id", "The number of the server that 'stick' rules keep for it; 0 if none.", server_id),
    row("table_trackers", "How many sessions and transactions hold its entry in a table.", trackers),
];

fn find(value: &Value<'_>, args: &[Arg], context: &Context<'_>) -> Option<Entry> {
    let table = args.table(0)?;
    table.find(&key_of(table, value)?, context.now.millis())
}

fn in_table<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(find(&value, args, context).is_some()))
}

/// The default value that is the second argument.
fn default<'a>(args: &'a [Arg]) -> Option<Value<'a>> {
    args.get(1).map(|_| Value::Int(args.int(1)))
}

fn expire<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    match find(&value, args, context) {
        None => default(args),
        Some(entry) => Some(Value::Int(entry.expires_in(context.now.millis()).unwrap_or(0) as i64)),
    }
}

fn idle<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let Some(entry) = find(&value, args, context) else { return default(args) };
    let whole = entry.table().settings.expire_ms.unwrap_or(0);
    let left = entry.expires_in(context.now.millis()).unwrap_or(0);
    Some(Value::Int(whole.saturating_sub(left) as i64))
}

fn server_id<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let id = match find(&value, args, context) {
        None => 0,
        Some(entry) => entry.get(Data::ServerId, 0, context.now.millis())?,
    };
    Some(Value::Int(id as i64))
}

fn trackers<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    // Less this look itself.
    let held = find(&value, args, context).map_or(0, |entry| entry.references() - 1);
    Some(Value::Int(held.into()))
}

#[cfg(test)]
mod tests {
    use crate::sample::testing::{World, alert_in, check};
    use crate::state::table::{Data, KeyType};
    use crate::state::tracked::testing::table;

    #[test]
    fn keys_are_looked_up() {
        let mut world = World::default();
        let own = table("web", KeyType::Ip, "server_id");
        world.named.tables.insert("web".into(), own.clone());
        world.named.tables.insert("few".into(), table("few", KeyType::Ip, ""));
        let absent = [
            ("src,in_table", "0"),
            ("src,table_expire", "-"),
            ("src,table_expire(web,77)", "77"),
            ("src,table_expire(,-7)", "-7"),
            ("src,table_idle(web)", "-"),
            ("src,table_idle(web,78)", "78"),
            ("src,table_server_id", "0"),
            ("src,table_trackers(web)", "0"),
            ("str(x),in_table(web)", "0"),
            ("str(x),table_idle(web,1)", "1"),
        ];
        check(&world, &absent);
        let now = world.now.millis();
        let entry = own.find_or_create(&[192, 0, 2, 1], now - 2_000).unwrap();
        entry.with(now, |cells| cells.set(Data::ServerId, 0, 3));
        check(
            &world,
            &[
                ("src,in_table", "1"),
                ("src,table_expire", "58000"),
                ("src,table_expire(web,77)", "58000"),
                ("src,table_idle", "2000"),
                ("src,table_server_id", "3"),
                ("src,table_trackers(web)", "1"),
            ],
        );
        drop(entry);
        check(&world, &[("src,table_trackers", "0"), ("str(192.0.2.1),in_table", "1")]);
        let few = world.named.tables["few"].find_or_create(&[192, 0, 2, 1], now);
        check(&world, &[("src,table_server_id(few)", "-"), ("src,table_trackers(few)", "1")]);
        drop(few);
    }

    #[test]
    fn mistakes_are_told() {
        let mut world = World::default();
        world.named.tables.insert("other".into(), table("other", KeyType::Ip, ""));
        for (text, expected) in [
            ("src,in_table", "proxy 'web' has no stick-table"),
            ("src,in_table(othre)", "unable to find table 'othre', did you mean 'other'?"),
            ("src,table_expire(other,x)", "failed to parse 'x' as type 'integer'"),
        ] {
            let (message, _) = alert_in(&world, text, crate::sample::expr::Phase::HttpRequest);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
