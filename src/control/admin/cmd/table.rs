//! Stick tables: look at them and change them (manual: management, section 9.3).

use std::fmt::Write;
use std::sync::Arc;

use crate::base::clock;
use crate::control::admin::{Call, Command, Flow, PART_BYTES, Parts};
use crate::model::bind::CliLevel::{Operator, User};
use crate::sample::Value;
use crate::sample::table_key;
use crate::state::Table;
use crate::state::table::data::Shape;
use crate::state::table::{Cells, Cursor, Data, Entry, Key, KeyType, Removal, Shown};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "table"], arguments: "[<table> [data.<type> <op> <value> | key <key> | ptr <ptr>]]", text: "report table usage stats or dump this table's contents", level: User, run: show },
    Command { words: &["set", "table"], arguments: "<table> [key <key> | ptr <ptr>] [data.<type> <value>]*", text: "update or create a table entry's data", level: Operator, run: set },
    Command { words: &["clear", "table"], arguments: "<table> [data.<type> <op> <value> | key <key> | ptr <ptr>]", text: "remove an entry from a table", level: Operator, run: clear },
];

/// The most conditions on data, all of which must hold.
const FILTERS_MAX: usize = 4;

/// The most looks at some entries that one part of an answer takes: those that no filter lets through take their
/// time as well.
const LOOKS_MAX: usize = 64;

/// What a command does with the entries it names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Show,
    Set,
    Clear,
}

impl Does {
    fn expected(self) -> &'static str {
        match self {
            Does::Show => {
                "Optional argument only supports \"data.<store_data_type>\" <operator> <value> or key <key> or ptr \
                 <ptr>"
            }
            Does::Set => {
                "Required arguments: <table> key <key> [data.<store_data_type> <value>]* or <table> ptr <ptr> \
                 [data.<store_data_type> <value>]*"
            }
            Does::Clear => {
                "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key> or \
                 <table> ptr <ptr>"
            }
        }
    }
    /// The refusal of keys that have no text form to be named by.
    fn not_binary(self) -> &'static str {
        match self {
            Does::Show => {
                "Showing keys from tables of type other than ip, ipv6, string and integer is not supported"
            }
            Does::Set => {
                "Inserting keys into tables of type other than ip, ipv6, string and integer is not supported"
            }
            Does::Clear => {
                "Removing keys from tables of type other than ip, ipv6, string and integer is not supported"
            }
        }
    }
}

/// A datum of a table: `data.gpc0`, `data.gpc[3]`.
#[derive(Clone, Copy)]
struct Datum {
    data: Data,
    index: usize,
}

/// A condition on a datum.
struct Filter {
    datum: Datum,
    holds: fn(&i128, &i128) -> bool,
    value: i64,
}

fn show(call: &mut Call<'_>) -> Flow {
    run(call, Does::Show)
}

fn set(call: &mut Call<'_>) -> Flow {
    run(call, Does::Set)
}

fn clear(call: &mut Call<'_>) -> Flow {
    run(call, Does::Clear)
}

fn run(call: &mut Call<'_>, does: Does) -> Flow {
    let now = clock::read().millis();
    let model = call.control.model();
    if call.bytes(2).is_empty() {
        if does != Does::Show {
            return call.error(does.expected());
        }
        for table in model.tables() {
            table.sweep(now);
            head(call, table);
        }
        return Flow::Done;
    }
    let Some(table) = model.tables().find(|table| table.name.as_bytes() == call.bytes(2)) else {
        return call.error("No such table");
    };
    table.sweep(now);
    let outcome = match call.arg(3) {
        "key" => by_key(call, does, table),
        "ptr" => by_id(call, does, table),
        "" if does != Does::Set => return all(call, does, table, Vec::new()),
        word if word.starts_with("data.") && does == Does::Set => {
            Err("content-based lookup is only supported with the \"show\" and \"clear\" actions".to_owned())
        }
        word if word.starts_with("data.") => match filters(call, table) {
            Ok(filters) => return all(call, does, table, filters),
            Err(text) => Err(text),
        },
        _ => Err(does.expected().to_owned()),
    };
    match outcome {
        Ok(()) => Flow::Done,
        Err(text) => call.error(&text),
    }
}

/// Every entry that the filters let through.
fn all(call: &mut Call<'_>, does: Does, table: &Arc<Table>, filters: Vec<Filter>) -> Flow {
    let now = clock::read().millis();
    if does == Does::Clear {
        table.remove_where(now, |shown| passes(shown, table, &filters));
        return Flow::Done;
    }
    head(call, table);
    if call.session.level < Operator {
        call.print("# contents not dumped due to insufficient privileges\n");
        return Flow::Done;
    }
    let table = table.clone();
    let mut cursor = Cursor::default();
    Flow::Parts(Parts::new(move |out| {
        let mut looks = 0;
        while out.len() < PART_BYTES && looks < LOOKS_MAX {
            looks += 1;
            let more = table.each(&mut cursor, now, |shown| {
                if passes(shown, &table, &filters) {
                    line(&table, shown, 0, out);
                }
            });
            if !more {
                return false;
            }
        }
        true
    }))
}

fn by_key(call: &mut Call<'_>, does: Does, table: &Arc<Table>) -> Result<(), String> {
    if call.bytes(4).is_empty() {
        return Err("Key value expected".to_owned());
    }
    let key = table_key::key_of(table, &Value::text(call.bytes(4))).ok_or("Invalid key")?;
    if matches!(table.settings.key, KeyType::Binary(_)) {
        return Err(does.not_binary().to_owned());
    }
    let now = clock::read().millis();
    match does {
        Does::Show => {
            if let Some(entry) = table.find(&key, now) {
                show_one(call, table, &entry);
            }
            Ok(())
        }
        Does::Set => set_one(call, table, &key),
        Does::Clear => removed(table.remove(&key, now)),
    }
}

fn by_id(call: &mut Call<'_>, does: Does, table: &Arc<Table>) -> Result<(), String> {
    let Some(digits) = call.arg(4).strip_prefix("0x") else {
        return Err("Pointer expected (0xffff notation)".to_owned());
    };
    let id = u64::from_str_radix(digits, 16).map_err(|_| "Malformed ptr.")?;
    let entry = table.by_id(id).ok_or("No entry can be found matching ptr.")?;
    if matches!(table.settings.key, KeyType::Binary(_)) {
        return Err(does.not_binary().to_owned());
    }
    match does {
        Does::Show => {
            show_one(call, table, &entry);
            Ok(())
        }
        Does::Set => set_one(call, table, &entry.key()),
        Does::Clear => {
            drop(entry);
            removed(table.remove_id(id))
        }
    }
}

fn removed(removal: Removal) -> Result<(), String> {
    match removal {
        Removal::InUse => Err("Entry currently in use, cannot remove".to_owned()),
        Removal::Gone | Removal::Absent => Ok(()),
    }
}

fn show_one(call: &mut Call<'_>, table: &Arc<Table>, entry: &Entry) {
    // Its key and its data are the operator's business only.
    if !call.may(Operator) {
        return;
    }
    head(call, table);
    entry.show(clock::read().millis(), |shown| line(table, shown, 1, call.out));
}

/// Gives an entry data, in the order of the words; those before a mistake keep their effect.
fn set_one(call: &Call<'_>, table: &Arc<Table>, key: &Key) -> Result<(), String> {
    let now = clock::read().millis();
    let entry = table.find_or_create(key, now).ok_or("Unable to allocate a new entry")?;
    for at in (5..call.words.len()).step_by(2) {
        let Some(name) = call.arg(at).strip_prefix("data.") else {
            return Err("\"data.<type>\" followed by a value expected".to_owned());
        };
        let datum = datum(name).ok_or("Unknown data type")?;
        if !table.stores(datum.data) {
            return Err("Data type not stored in this table".to_owned());
        }
        if datum.data == Data::ServerKey {
            return Err("'server_key' is learned by 'stick' rules only; set 'server_id' instead".to_owned());
        }
        let value = integer(call.arg(at + 1)).ok_or("Require a valid integer value to store")?;
        let value = match datum.data.shape() {
            Shape::Wide => value as u64,
            Shape::Counter | Shape::Rate => u64::from(value as u32),
        };
        entry
            .with(now, |cells| cells.set(datum.data, datum.index, value))
            .ok_or("index out of range in this data array")?;
    }
    Ok(())
}

/// `data.<type> <op> <value>`, up to four times.
fn filters(call: &Call<'_>, table: &Table) -> Result<Vec<Filter>, String> {
    let mut filters = Vec::new();
    let mut at = 3;
    while at < call.words.len() && filters.len() < FILTERS_MAX {
        let says = |text: &str| format!("Filter entry #{}: {text}", filters.len() + 1);
        let name = call.arg(at).strip_prefix("data.").unwrap_or("");
        let datum = datum(name).ok_or_else(|| says("Unknown data type"))?;
        if !table.stores(datum.data) {
            return Err(says("Data type not stored in this table"));
        }
        let holds: fn(&i128, &i128) -> bool = match call.arg(at + 1) {
            "eq" => PartialEq::eq,
            "ne" => PartialEq::ne,
            "le" => PartialOrd::le,
            "ge" => PartialOrd::ge,
            "lt" => PartialOrd::lt,
            "gt" => PartialOrd::gt,
            _ => {
                return Err(says(
                    "Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"",
                ));
            }
        };
        let value = integer(call.arg(at + 2))
            .ok_or_else(|| says("Require a valid integer value to compare against"))?;
        filters.push(Filter { datum, holds, value });
        at += 3;
    }
    if at < call.words.len() {
        let before = call.arg(at - 1);
        return Err(format!("Detected extra data in filter, {}th word of input, after '{before}'", at + 1));
    }
    Ok(filters)
}

fn passes(shown: &Shown<'_>, table: &Table, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| {
        let value = value(&shown.cells, table, filter.datum);
        value.is_some_and(|value| (filter.holds)(&value.into(), &filter.value.into()))
    })
}

/// The datum of a name: `gpc0`, or an element of an array, `gpc[3]`.
fn datum(name: &str) -> Option<Datum> {
    match name.split_once('[') {
        None => Data::named(name).map(|data| Datum { data, index: 0 }),
        Some((name, index)) => {
            let data = Data::named(name).filter(|data| data.is_array())?;
            Some(Datum { data, index: index.strip_suffix(']')?.parse().ok()? })
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A datum's value as it is shown: rates of bytes in bytes.
fn value(cells: &Cells<'_>, table: &Table, datum: Datum) -> Option<u64> {
    let value = cells.get(datum.data, datum.index)?;
    Some(match datum.data {
        Data::BytesInRate | Data::BytesOutRate => value * u64::from(table.settings.brates_factor),
        _ => value,
    })
}

fn head(call: &mut Call<'_>, table: &Table) {
    call.print(format!(
        "# table: {}, type: {}, size:{}, used:{}\n",
        table.name,
        table.settings.key.name(),
        table.settings.size,
        table.len()
    ));
}

/// One entry; `own` of its holders are this command.
fn line(table: &Table, shown: &mut Shown<'_>, own: u32, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(128);
    // Writing to a string cannot fail.
    let _ = write!(text, "0x{:x}: key=", shown.id);
    out.extend_from_slice(text.as_bytes());
    table_key::write_key(table.settings.key, &shown.key, out);
    text.clear();
    let _ = write!(text, " use={} exp={} shard=0", shown.references - own, shown.remaining_ms);
    for stored in &table.settings.stored {
        for index in 0..usize::from(stored.count) {
            text.push(' ');
            let name = stored.data.name();
            if stored.data.is_array() {
                // `gpc_rate`: the number stands before what follows the first word.
                let (first, rest) = name.split_at(name.find('_').unwrap_or(name.len()));
                let _ = write!(text, "{first}{index}{rest}");
            } else {
                text.push_str(name);
            }
            if stored.data.shape() == Shape::Rate {
                let _ = write!(text, "({})", stored.period_ms);
            }
            let value = value(&shown.cells, table, Datum { data: stored.data, index }).unwrap_or(0);
            let _ = match stored.data {
                Data::ServerKey => write!(text, "={}", table.text_of(value as u32).as_deref().unwrap_or("-")),
                _ => write!(text, "={value}"),
            };
        }
    }
    text.push('\n');
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::control::Control;
    use crate::control::mock::{ask, control_with};
    use crate::model::bind::CliLevel::{Operator, User};
    use crate::state::table::{Stored, testing};

    fn control(tables: &[Arc<Table>]) -> Rc<Control> {
        control_with(|model| {
            for (proxy, table) in model.proxies.iter_mut().zip(tables) {
                Arc::get_mut(proxy).unwrap().table = Some(table.clone());
            }
        })
    }

    fn counters(data: &[(Data, u16)]) -> Vec<Stored> {
        data.iter()
            .map(|&(data, count)| {
                let period_ms = if data.shape() == Shape::Rate { 10_000 } else { 0 };
                Stored { data, count, period_ms }
            })
            .collect()
    }

    /// Lines without the entries' numbers, sorted.
    fn shown(text: &str) -> String {
        let mut lines: Vec<_> = text
            .lines()
            .map(|line| match line.strip_prefix("0x").and_then(|line| line.split_once(' ')) {
                Some((_, rest)) => rest,
                None => line,
            })
            .collect();
        lines.sort_unstable();
        lines.join("\n")
    }

    #[test]
    fn entries_are_shown_set_and_cleared() {
        let stored = counters(&[
            (Data::Gpc0, 1),
            (Data::ConnRate, 1),
            (Data::BytesOutCnt, 1),
            (Data::Gpt, 2),
            (Data::GpcRate, 2),
        ]);
        let control = control(&[
            testing::table(KeyType::Ip, 10, &stored),
            Table::new("u", testing::settings(KeyType::String(8), 1_000, &[])),
        ]);
        let used = |n| format!("# table: t, type: ip, size:10, used:{n}");
        let entry = |key, gpc0, rate, bytes: u64, gpt, gpc_rate| {
            format!(
                "key={key} use=0 exp=0 shard=0 gpc0={gpc0} conn_rate(10000)={rate} bytes_out_cnt={bytes} gpt0=0 \
                 gpt1={gpt} gpc0_rate(10000)={gpc_rate} gpc1_rate(10000)=0"
            )
        };
        let one = entry("10.0.0.1", 5, 7, 1u64 << 40, 3, 9);
        let two = entry("10.0.0.2", 2, 0, 0, 0, 0);
        let both = format!("{}\n{one}\n{two}", used(2));
        for (line, expected) in [
            ("show table", format!("{}\n# table: u, type: string, size:1000, used:0", used(0))),
            ("show table nope", "No such table".into()),
            ("set table", Does::Set.expected().into()),
            ("clear table", Does::Clear.expected().into()),
            ("set table t", Does::Set.expected().into()),
            ("show table t nope", Does::Show.expected().into()),
            (
                "set table t data.gpc0 eq 1",
                "content-based lookup is only supported with the \"show\" and \"clear\" actions".into(),
            ),
            ("set table t key", "Key value expected".into()),
            ("set table t key x", "Invalid key".into()),
            (
                "set table t key 10.0.0.1 data.gpc0 5 data.conn_rate 7 data.bytes_out_cnt 1099511627776 \
                 data.gpt[1] 3 data.gpc_rate[0] 9",
                String::new(),
            ),
            ("set table t key ::ffff:10.0.0.2 data.gpc0 2", String::new()),
            ("set table t key 10.0.0.2 gpc0 2", "\"data.<type>\" followed by a value expected".into()),
            ("set table t key 10.0.0.2 data.gpx 2", "Unknown data type".into()),
            ("set table t key 10.0.0.2 data.gpc1 2", "Data type not stored in this table".into()),
            ("set table t key 10.0.0.2 data.gpc0 x", "Require a valid integer value to store".into()),
            ("set table t key 10.0.0.2 data.gpt[2] 1", "index out of range in this data array".into()),
            ("show table t", both.clone()),
            ("show table t key 10.0.0.1", format!("{}\n{one}", used(2))),
            ("show table t key 10.0.0.9", String::new()),
            ("show table t data.gpc0 gt 2", format!("{}\n{one}", used(2))),
            ("show table t data.gpc0 gt 1 data.conn_rate lt 7", format!("{}\n{two}", used(2))),
            ("show table t data.gpt[1] eq 3", format!("{}\n{one}", used(2))),
            ("show table t data.gpc0 ge 2 data.gpc0 le 5 data.gpc0 ne 3 data.gpc0 ne 4", both),
            ("show table t data.gpx eq 3", "Filter entry #1: Unknown data type".into()),
            (
                "show table t data.gpc0 eq 1 data.gpc1 eq 3",
                "Filter entry #2: Data type not stored in this table".into(),
            ),
            (
                "show table t data.gpc0 = 1",
                "Filter entry #1: Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\""
                    .into(),
            ),
            (
                "show table t data.gpc0 eq",
                "Filter entry #1: Require a valid integer value to compare against".into(),
            ),
            (
                "show table t data.gpc0 ge 2 data.gpc0 le 5 data.gpc0 ne 3 data.gpc0 ne 4 data.gpc0 eq 1",
                "Detected extra data in filter, 16th word of input, after '4'".into(),
            ),
            ("clear table t data.gpc0 eq 5", String::new()),
            ("show table t", format!("{}\n{two}", used(1))),
            ("clear table t key 10.0.0.2", String::new()),
            ("clear table t key 10.0.0.2", String::new()),
            ("show table t", used(0)),
            ("set table u key a\\ b=c", String::new()),
            (
                "show table u",
                "# table: u, type: string, size:1000, used:1\nkey=a\\ b\\=c use=0 exp=0 shard=0".into(),
            ),
            ("clear table u", String::new()),
            ("show table u", "# table: u, type: string, size:1000, used:0".into()),
        ] {
            assert_eq!(shown(&ask(&control, Operator, line)), expected, "{line}");
        }
    }

    #[test]
    fn entries_have_numbers_and_holders() {
        let table = testing::table(KeyType::Integer, 10, &counters(&[(Data::Gpc0, 1)]));
        let held = table.find_or_create(&7u32.to_be_bytes(), 1).unwrap();
        let control = control(&[table]);
        let ask = |line: &str| ask(&control, Operator, line);
        let text = ask("show table t");
        let ptr = text.lines().nth(1).unwrap().split(':').next().unwrap().to_owned();
        assert!(text.contains(": key=7 use=1 exp=0 shard=0 gpc0=0\n"), "{text}");
        assert_eq!(ask(&format!("set table t ptr {ptr} data.gpc0 4")), "");
        assert!(ask(&format!("show table t ptr {ptr}")).ends_with("key=7 use=1 exp=0 shard=0 gpc0=4\n"));
        for command in [format!("clear table t ptr {ptr}"), "clear table t key 7".to_owned()] {
            assert_eq!(ask(&command), "Entry currently in use, cannot remove\n");
        }
        drop(held);
        assert_eq!(ask(&format!("clear table t ptr {ptr}")), "");
        assert_eq!(ask(&format!("clear table t ptr {ptr}")), "No entry can be found matching ptr.\n");
        assert_eq!(ask("show table t ptr 12"), "Pointer expected (0xffff notation)\n");
        assert_eq!(ask("show table t ptr 0xz"), "Malformed ptr.\n");
    }

    #[test]
    fn users_see_no_contents_and_blocks_have_no_names() {
        let table = testing::table(KeyType::Binary(4), 10, &[]);
        table.find_or_create(b"ab c", 1).unwrap();
        let control = control(&[table]);
        let head = "# table: t, type: binary, size:10, used:1\n";
        assert_eq!(
            ask(&control, User, "show table t"),
            format!("{head}# contents not dumped due to insufficient privileges\n")
        );
        assert_eq!(ask(&control, User, "clear table t"), "Permission denied\n");
        assert!(ask(&control, Operator, "show table t").contains("key=61622063 use=0"));
        for (command, does) in [("show", Does::Show), ("set", Does::Set), ("clear", Does::Clear)] {
            let answer = ask(&control, Operator, &format!("{command} table t key abcd"));
            assert_eq!(answer, format!("{}\n", does.not_binary()));
        }
    }
}
