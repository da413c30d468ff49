//! What can be asked of an entry of a stick table, in its four forms (manual, sections 7.3.1 and
//! 7.3.3): `sc_conn_cnt(0)` and `sc0_conn_cnt` of a tracked entry, `src_conn_cnt` of the client's
//! address, and the converter `table_conn_cnt` of any key.
//!
//! A question is asked in one place; [`FETCHES`] and [`CONVERTERS`] are its rows. An entry that
//! does not exist answers 0, as the manual says; a datum that the table does not store answers
//! nothing. What fits no family has rows of its own in `fetch::table` and `conv::table`.

use std::sync::Arc;

use super::arg::{Arg, ArgType, Args};
use super::conv::Converter;
use super::facts::Context;
use super::fetch::{Fetch, Source};
use super::table_key::key_of;
use super::value::{Type, Value};
use crate::base::clock::Millis;
use crate::state::Table;
use crate::state::table::data::Cells;
use crate::state::table::{Data, Entry};

/// A question: which data answer it.
trait Question {
    /// Whether it changes the entry, and makes one of a key that has none.
    const CHANGES: bool;
    /// The answer, and the change if it is one.
    fn ask(cells: &mut Cells<'_>, index: usize, table: &Table) -> Option<u64>;
}

/// Declares the questions and their rows: those about one datum, then those about an element of
/// an array, whose number comes first among the arguments.
///
/// A line is the question's type, its name after `sc_` and `src_`, its name after `table_`,
/// whether it changes the entry, the answer, and what it is.
macro_rules! questions {
    (
        one {$(
            $one:ident $one_fetch:literal $one_conv:literal $one_changes:literal $one_ask:expr, $one_doc:literal;
        )*}
        arrays {$(
            $many:ident $many_fetch:literal $many_conv:literal $many_changes:literal $many_ask:expr,
            $many_doc:literal;
        )*}
    ) => {
        $(questions!(question $one $one_changes $one_ask);)*
        $(questions!(question $many $many_changes $many_ask);)*

        /// The rows of the fetches.
        pub const FETCHES: &[Fetch] = &[
            $(
                Fetch::new(concat!("sc_", $one_fetch), Type::Int, Source::Internal,
                    concat!("Of an entry tracked by its number, or of the same key in another table: ", $one_doc), of_tracked::<$one>)
                    .args(1, &[ArgType::Int, ArgType::Table]),
                Fetch::new(concat!("sc0_", $one_fetch), Type::Int, Source::Internal,
                    concat!("Of the entry tracked as number 0: ", $one_doc), of_number::<$one, 0>)
                    .args(0, &[ArgType::Table]),
                Fetch::new(concat!("sc1_", $one_fetch), Type::Int, Source::Internal,
                    concat!("Of the entry tracked as number 1: ", $one_doc), of_number::<$one, 1>)
                    .args(0, &[ArgType::Table]),
                Fetch::new(concat!("sc2_", $one_fetch), Type::Int, Source::Internal,
                    concat!("Of the entry tracked as number 2: ", $one_doc), of_number::<$one, 2>)
                    .args(0, &[ArgType::Table]),
                Fetch::new(concat!("src_", $one_fetch), Type::Int, Source::Client,
                    concat!("Of the client's address: ", $one_doc), of_source::<$one>)
                    .args(1, &[ArgType::Table]),
            )*
            $(
                Fetch::new(concat!("sc_", $many_fetch), Type::Int, Source::Internal,
                    concat!("Of an entry tracked by its number, or of the same key in another table: ", $many_doc), of_tracked_array::<$many>)
                    .args(2, &[ArgType::Int, ArgType::Int, ArgType::Table]),
                Fetch::new(concat!("src_", $many_fetch), Type::Int, Source::Client,
                    concat!("Of the client's address: ", $many_doc), of_source_array::<$many>)
                    .args(2, &[ArgType::Int, ArgType::Table]),
            )*
        ];

        /// The rows of the converters.
        pub const CONVERTERS: &[Converter] = &[
            $(
                Converter::new(concat!("table_", $one_conv), Type::Any, Type::Int,
                    concat!("Of the value as a key of a table: ", $one_doc), of_value::<$one>)
                    .args(1, &[ArgType::Table]),
            )*
            $(
                Converter::new(concat!("table_", $many_conv), Type::Any, Type::Int,
                    concat!("Of the value as a key of a table: ", $many_doc), of_value_array::<$many>)
                    .args(2, &[ArgType::Int, ArgType::Table]),
            )*
        ];
    };
    (question $name:ident $changes:literal $ask:expr) => {
        struct $name;
        impl Question for $name {
            const CHANGES: bool = $changes;
            fn ask(cells: &mut Cells<'_>, index: usize, table: &Table) -> Option<u64> {
                let ask: fn(&mut Cells<'_>, usize, &Table) -> Option<u64> = $ask;
                ask(cells, index, table)
            }
        }
    };
}

questions! {
    one {
    BytesInRate "bytes_in_rate" "bytes_in_rate" false |cells, _, table| byte_rate(cells, Data::BytesInRate, table), "bytes from clients per period.";
    BytesOutRate "bytes_out_rate" "bytes_out_rate" false |cells, _, table| byte_rate(cells, Data::BytesOutRate, table), "bytes to clients per period.";
    ClearGpc0 "clr_gpc0" "clr_gpc0" true |cells, _, _| clear(cells, Data::Gpc0, 0), "the counter gpc0, which is cleared.";
    ClearGpc1 "clr_gpc1" "clr_gpc1" true |cells, _, _| clear(cells, Data::Gpc1, 1), "the counter gpc1, which is cleared.";
    ConnCnt "conn_cnt" "conn_cnt" false |cells, _, _| cells.get(Data::ConnCnt, 0), "connections so far.";
    ConnCur "conn_cur" "conn_cur" false |cells, _, _| cells.get(Data::ConnCur, 0), "connections now.";
    ConnRate "conn_rate" "conn_rate" false |cells, _, _| cells.get(Data::ConnRate, 0), "connections per period.";
    GetGpc0 "get_gpc0" "gpc0" false |cells, _, _| either(cells, Data::Gpc0, Data::Gpc, 0), "the counter gpc0.";
    GetGpc1 "get_gpc1" "gpc1" false |cells, _, _| either(cells, Data::Gpc1, Data::Gpc, 1), "the counter gpc1.";
    GetGpt0 "get_gpt0" "gpt0" false |cells, _, _| either(cells, Data::Gpt0, Data::Gpt, 0), "the tag gpt0.";
    GlitchCnt "glitch_cnt" "glitch_cnt" false |cells, _, _| cells.get(Data::GlitchCnt, 0), "glitches of connections so far.";
    GlitchRate "glitch_rate" "glitch_rate" false |cells, _, _| cells.get(Data::GlitchRate, 0), "glitches of connections per period.";
    Gpc0Rate "gpc0_rate" "gpc0_rate" false |cells, _, _| either(cells, Data::Gpc0Rate, Data::GpcRate, 0), "increments of gpc0 per period.";
    Gpc1Rate "gpc1_rate" "gpc1_rate" false |cells, _, _| either(cells, Data::Gpc1Rate, Data::GpcRate, 1), "increments of gpc1 per period.";
    HttpErrCnt "http_err_cnt" "http_err_cnt" false |cells, _, _| cells.get(Data::HttpErrCnt, 0), "HTTP errors of clients so far.";
    HttpErrRate "http_err_rate" "http_err_rate" false |cells, _, _| cells.get(Data::HttpErrRate, 0), "HTTP errors of clients per period.";
    HttpFailCnt "http_fail_cnt" "http_fail_cnt" false |cells, _, _| cells.get(Data::HttpFailCnt, 0), "HTTP failures of servers so far.";
    HttpFailRate "http_fail_rate" "http_fail_rate" false |cells, _, _| cells.get(Data::HttpFailRate, 0), "HTTP failures of servers per period.";
    HttpReqCnt "http_req_cnt" "http_req_cnt" false |cells, _, _| cells.get(Data::HttpReqCnt, 0), "HTTP requests so far.";
    HttpReqRate "http_req_rate" "http_req_rate" false |cells, _, _| cells.get(Data::HttpReqRate, 0), "HTTP requests per period.";
    IncGpc0 "inc_gpc0" "inc_gpc0" true |cells, _, _| Some(increment(cells, 0).unwrap_or(0)), "the counter gpc0 after it was incremented.";
    IncGpc1 "inc_gpc1" "inc_gpc1" true |cells, _, _| Some(increment(cells, 1).unwrap_or(0)), "the counter gpc1 after it was incremented.";
    KbytesIn "kbytes_in" "kbytes_in" false |cells, _, _| Some(cells.get(Data::BytesInCnt, 0)? >> 10), "kilobytes from clients so far.";
    KbytesOut "kbytes_out" "kbytes_out" false |cells, _, _| Some(cells.get(Data::BytesOutCnt, 0)? >> 10), "kilobytes to clients so far.";
    SessCnt "sess_cnt" "sess_cnt" false |cells, _, _| cells.get(Data::SessCnt, 0), "sessions so far: connections that passed the connection rules.";
    SessRate "sess_rate" "sess_rate" false |cells, _, _| cells.get(Data::SessRate, 0), "sessions per period: connections that passed the connection rules.";
    }
    arrays {
    ClearGpc "clr_gpc" "clr_gpc" true |cells, at, _| swap_out(cells, Data::Gpc, at), "an element of the array gpc, which is cleared.";
    GetGpc "get_gpc" "gpc" false |cells, at, _| cells.get(Data::Gpc, at), "an element of the array gpc.";
    GetGpt "get_gpt" "gpt" false |cells, at, _| cells.get(Data::Gpt, at), "an element of the array gpt.";
    GpcRate "gpc_rate" "gpc_rate" false |cells, at, _| cells.get(Data::GpcRate, at), "increments of an element of the array gpc per period.";
    IncGpc "inc_gpc" "inc_gpc" true |cells, at, _| Some(add_gpc(cells, at, 1).unwrap_or(0)), "an element of the array gpc after it was incremented.";
    }
}

/// A rate of bytes, which is kept in units of `brates-factor`.
fn byte_rate(cells: &Cells<'_>, data: Data, table: &Table) -> Option<u64> {
    Some(cells.get(data, 0)? * u64::from(table.settings.brates_factor.max(1)))
}

/// A datum of old, or the element of the array that stands in for it.
fn either(cells: &Cells<'_>, single: Data, array: Data, at: usize) -> Option<u64> {
    cells.get(single, 0).or_else(|| cells.get(array, at))
}

fn clear(cells: &mut Cells<'_>, single: Data, at: usize) -> Option<u64> {
    swap_out(cells, single, 0).or_else(|| swap_out(cells, Data::Gpc, at))
}

fn swap_out(cells: &mut Cells<'_>, data: Data, at: usize) -> Option<u64> {
    let old = cells.get(data, at)?;
    cells.set(data, at, 0)?;
    Some(old)
}

/// Adds to an element of the array `gpc` and to its rate; the new value of the one that is stored,
/// `None` if neither is.
pub fn add_gpc(cells: &mut Cells<'_>, at: usize, n: u64) -> Option<u64> {
    let rate = cells.add(Data::GpcRate, at, n);
    cells.add(Data::Gpc, at, n).or(rate)
}

/// Increments `gpc0` or `gpc1` and its rate, or the elements that stand in for them; as
/// [`add_gpc`].
pub fn increment(cells: &mut Cells<'_>, at: usize) -> Option<u64> {
    let (counter, rate) = if at == 0 { (Data::Gpc0, Data::Gpc0Rate) } else { (Data::Gpc1, Data::Gpc1Rate) };
    let rate = cells.add(rate, 0, 1).or_else(|| cells.add(Data::GpcRate, at, 1));
    cells.add(counter, 0, 1).or_else(|| cells.add(Data::Gpc, at, 1)).or(rate)
}

fn answer<Q: Question>(entry: &Entry, index: usize, now: Millis) -> Option<u64> {
    let answer = entry.with(now, |cells| Q::ask(cells, index, entry.table()));
    if Q::CHANGES {
        entry.touch(now);
    }
    answer
}

/// The answer of a tracked entry; of its key in `other`, if that is given.
fn tracked<'a, Q: Question>(
    number: i64,
    index: i64,
    other: Option<&Arc<Table>>,
    context: &Context<'a>,
) -> Option<Value<'a>> {
    let entry = context.tracked(number)?;
    let index = usize::try_from(index).ok()?;
    let now = context.now.millis();
    let answer = match other {
        None => answer::<Q>(entry, index, now)?,
        Some(table) => match in_other(entry, table, now)? {
            Some(entry) => answer::<Q>(&entry, index, now)?,
            None => 0,
        },
    };
    Some(Value::Int(answer as i64))
}

/// The entry of the same key in another table, if it has one; `None` if the tables' keys differ.
pub(super) fn in_other(entry: &Entry, table: &Arc<Table>, now: Millis) -> Option<Option<Entry>> {
    (entry.table().settings.key == table.settings.key).then(|| table.find(&entry.key(), now))
}

/// The answer for a value as a key of a table.
fn keyed<Q: Question>(
    table: &Arc<Table>,
    value: &Value<'_>,
    index: i64,
    context: &Context<'_>,
) -> Option<Value<'static>> {
    let now = context.now.millis();
    let index = usize::try_from(index).ok()?;
    let entry = key_of(table, value).and_then(|key| match Q::CHANGES {
        true => table.find_or_create(&key, now),
        false => table.find(&key, now),
    });
    let answer = match entry {
        Some(entry) => answer::<Q>(&entry, index, now)?,
        None => 0,
    };
    Some(Value::Int(answer as i64))
}

/// The client's address as a key.
pub(super) fn source<'a>(context: &Context<'a>) -> Option<Value<'a>> {
    context.session?.source.map(|address| Value::Ip(address.ip()))
}

fn of_tracked<'a, Q: Question>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    tracked::<Q>(args.int(0), 0, args.table(1), context)
}
fn of_number<'a, Q: Question, const NUMBER: i64>(
    args: &'a [Arg],
    context: &Context<'a>,
) -> Option<Value<'a>> {
    tracked::<Q>(NUMBER, 0, args.table(0), context)
}
fn of_source<'a, Q: Question>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    keyed::<Q>(args.table(0)?, &source(context)?, 0, context)
}
fn of_tracked_array<'a, Q: Question>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    tracked::<Q>(args.int(1), args.int(0), args.table(2), context)
}
fn of_source_array<'a, Q: Question>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    keyed::<Q>(args.table(1)?, &source(context)?, args.int(0), context)
}
fn of_value<'a, Q: Question>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    keyed::<Q>(args.table(0)?, &value, 0, context)
}
fn of_value_array<'a, Q: Question>(
    value: Value<'a>,
    args: &'a [Arg],
    context: &Context<'a>,
) -> Option<Value<'a>> {
    keyed::<Q>(args.table(1)?, &value, args.int(0), context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};
    use crate::state::table::KeyType;
    use crate::state::tracked::testing::table;

    /// Every datum that a row reads, under the name after `sc_` by which it is read.
    const ALL: &str = "gpt0 gpc0 gpc0_rate conn_cnt conn_rate conn_cur sess_cnt sess_rate http_req_cnt \
        http_req_rate http_err_cnt http_err_rate bytes_in_cnt bytes_in_rate bytes_out_cnt bytes_out_rate gpc1 \
        gpc1_rate http_fail_cnt http_fail_rate gpc gpc_rate gpt glitch_cnt glitch_rate";

    /// A world whose client is in the proxy's own table with a value of its own in every datum.
    fn world() -> World {
        let mut world = World::request("GET / HTTP/1.1", &[]);
        for (name, stored) in [("web", ALL), ("other", ALL), ("few", "gpc gpc_rate gpt")] {
            world.named.tables.insert(name.into(), table(name, KeyType::Ip, stored));
        }
        world.named.tables.insert("texts".into(), table("texts", KeyType::String(8), ALL));
        world
    }

    fn fill(world: &World, name: &str) -> Entry {
        let now = world.now.millis();
        let entry = world.named.tables[name].find_or_create(&[192, 0, 2, 1], now).unwrap();
        entry.with(now, |cells| {
            for (n, data) in (1..).zip(Data::ALL) {
                let shift = if data.name().ends_with("bytes_in_cnt") { 10 } else { 0 };
                for at in 0..3 {
                    cells.set(*data, at, (n * 10 + at as u64) << shift);
                }
            }
        });
        entry
    }

    #[test]
    fn every_question_has_its_forms_and_reads_its_datum() {
        let mut world = world();
        let entry = fill(&world, "web");
        let now = world.now.millis();
        // The connection that tracking counts is taken out again, to compare with what was filled in.
        world.txn.tracked.begin(0, entry.clone(), now);
        for data in [Data::ConnCur, Data::ConnCnt] {
            entry.with(now, |cells| cells.take(data, 0, 1));
        }
        fill(&world, "web");
        let value = |name: &str| {
            let at = Data::ALL.iter().position(|data| data.name() == name).expect(name);
            ((at + 1) * 10) as i64
        };
        for (name, conv, datum) in [
            ("bytes_in_rate", "bytes_in_rate", "bytes_in_rate"),
            ("bytes_out_rate", "bytes_out_rate", "bytes_out_rate"),
            ("conn_cnt", "conn_cnt", "conn_cnt"),
            ("conn_cur", "conn_cur", "conn_cur"),
            ("conn_rate", "conn_rate", "conn_rate"),
            ("get_gpc0", "gpc0", "gpc0"),
            ("get_gpc1", "gpc1", "gpc1"),
            ("get_gpt0", "gpt0", "gpt0"),
            ("glitch_cnt", "glitch_cnt", "glitch_cnt"),
            ("glitch_rate", "glitch_rate", "glitch_rate"),
            ("gpc0_rate", "gpc0_rate", "gpc0_rate"),
            ("gpc1_rate", "gpc1_rate", "gpc1_rate"),
            ("http_err_cnt", "http_err_cnt", "http_err_cnt"),
            ("http_err_rate", "http_err_rate", "http_err_rate"),
            ("http_fail_cnt", "http_fail_cnt", "http_fail_cnt"),
            ("http_fail_rate", "http_fail_rate", "http_fail_rate"),
            ("http_req_cnt", "http_req_cnt", "http_req_cnt"),
            ("http_req_rate", "http_req_rate", "http_req_rate"),
            ("kbytes_in", "kbytes_in", "bytes_in_cnt"),
            ("sess_cnt", "sess_cnt", "sess_cnt"),
            ("sess_rate", "sess_rate", "sess_rate"),
        ] {
            let expected = value(datum).to_string();
            let forms = [
                format!("sc_{name}(0)"),
                format!("sc_{name}(0,web)"),
                format!("sc0_{name}"),
                format!("sc0_{name}(web)"),
                format!("src_{name}"),
                format!("src_{name}(web)"),
                format!("src,table_{conv}"),
                format!("src,table_{conv}(web)"),
            ];
            for form in &forms {
                check(&world, &[(form, &expected)]);
            }
            // The other table has no entry; nothing is tracked as number 1; the last
            // table stores nothing of the kind.
            let absent = [
                (format!("sc0_{name}(other)"), "0"),
                (format!("src_{name}(other)"), "0"),
                (format!("src,table_{conv}(other)"), "0"),
                (format!("sc1_{name}"), "-"),
                (format!("sc_{name}(7)"), "-"),
                (format!("sc_{name}(-1)"), "-"),
                (format!("sc0_{name}(texts)"), "-"),
                (format!("str(no address),table_{conv}(web)"), "0"),
            ];
            for (form, expected) in &absent {
                check(&world, &[(form, expected)]);
            }
        }
        for (name, conv, datum) in
            [("get_gpc", "gpc", "gpc"), ("get_gpt", "gpt", "gpt"), ("gpc_rate", "gpc_rate", "gpc_rate")]
        {
            let expected = (value(datum) + 2).to_string();
            for form in [
                format!("sc_{name}(2,0)"),
                format!("sc_{name}(2,0,web)"),
                format!("src_{name}(2)"),
                format!("src_{name}(2,web)"),
                format!("src,table_{conv}(2)"),
                format!("src,table_{conv}(2,web)"),
            ] {
                check(&world, &[(&form, &expected)]);
            }
            check(&world, &[(&format!("sc_{name}(3,0)"), "-"), (&format!("src_{name}(9,other)"), "0")]);
        }
        assert_eq!(entry.references(), 2, "what was looked up was given back");
    }

    #[test]
    fn counters_of_old_fall_back_on_arrays() {
        let world = world();
        fill(&world, "few");
        let at = |data: Data| (Data::ALL.iter().position(|d| *d == data).unwrap() + 1) * 10;
        check(
            &world,
            &[
                ("src_get_gpc0(few)", &at(Data::Gpc).to_string()),
                ("src_get_gpc1(few)", &(at(Data::Gpc) + 1).to_string()),
                ("src_gpc1_rate(few)", &(at(Data::GpcRate) + 1).to_string()),
                ("src_get_gpt0(few)", &at(Data::Gpt).to_string()),
                ("src_conn_cnt(few)", "-"),
                ("src_inc_gpc1(few)", &(at(Data::Gpc) + 2).to_string()),
                ("src_clr_gpc1(few)", &(at(Data::Gpc) + 2).to_string()),
                ("src_get_gpc(1,few)", "0"),
                ("src_gpc1_rate(few)", &(at(Data::GpcRate) + 2).to_string()),
            ],
        );
    }

    #[test]
    fn what_changes_an_entry_makes_one() {
        let world = world();
        check(
            &world,
            &[
                ("src_clr_gpc0(other)", "0"),
                ("src,in_table(other)", "1"),
                ("src,in_table(web)", "0"),
                ("src_inc_gpc0", "1"),
                ("src,table_inc_gpc0", "2"),
                ("src_gpc0_rate", "2"),
                ("src,table_inc_gpc(1)", "1"),
                ("src_inc_gpc(1)", "2"),
                ("src_get_gpc(1)", "2"),
                ("src_clr_gpc(1)", "2"),
                ("src_clr_gpc0", "2"),
                ("src_clr_gpc0", "0"),
                ("src_gpc0_rate", "2"),
                ("str(127.0.0.9),table_inc_gpc1(web)", "1"),
                ("sc0_inc_gpc0", "-"),
            ],
        );
        assert_eq!(world.named.tables["web"].len(), 2);
    }

    #[test]
    fn tables_must_exist() {
        for (text, expected) in [
            ("src_conn_cnt(nowhere)", "unable to find table 'nowhere'"),
            ("src_conn_cnt", "proxy 'web' has no stick-table"),
            ("src,table_gpc(1)", "proxy 'web' has no stick-table"),
            ("src_get_gpc", "type 'integer' expected"),
            ("sc_conn_cnt", "type 'integer' expected"),
            ("sc0_conn_cnt(x)", "unable to find table 'x'"),
        ] {
            let (message, _) = alert(text, Phase::HttpRequest);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
