//! `stick-table` and `stick` (manual, sections 4.2 and 11.1).
//!
//! Any line may name any table, and what a table stores depends on the lines that name it: a `stick` rule
//! makes its table remember servers. So [`declare`] walks all proxies before the first expression
//! is read: it gathers the tables, then the names that `stick` rules use, and only then makes the
//! tables. The rows' own parsers run later and find them ready.

use std::collections::{HashMap, HashSet};

use super::ProxyParser;
use crate::base::units::{self, TimeUnit};
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::syntax::{Section, Word};
use crate::config::words::{self, Words};
use crate::diag::{Span, did_you_mean};
use crate::model::proxy::StickRule;
use crate::sample::expr::Phase;
use crate::sample::{Expr, table_key};
use crate::state::table::data::{ARRAY_MAX, Shape};
use crate::state::table::{Data, KeyType, ServerKeyType, Settings, Stored};

keywords! {
    /// Stick tables and their rules.
    pub TABLE: ProxyParser, "11.1";
    "stick-table" "type <type> size <size> [expire <expire>] [nopurge] [recv-only] [srvkey <srvkey>] [write-to <wtable>] [brates-factor <factor>] [store <data_type>]*" PROXIES => Parse(declared), "A table of what is known of clients.";
    "stick match" "<pattern> [table <table>] [{ if | unless } <condition>]" BACKEND => Parse(on_match), "Looks a client's server up.";
    "stick on" "<pattern> [table <table>] [{ if | unless } <condition>]" BACKEND => Parse(on), "Looks a client's server up and remembers it.";
    "stick store-request" "<pattern> [table <table>] [{ if | unless } <condition>]" BACKEND => Parse(store_request), "Remembers a client's server.";
    "stick store" "<pattern> [table <table>] [{ if | unless } <condition>]" BACKEND => Parse(store_request), "The same as 'stick store-request'.";
    "stick store-response" "<pattern> [table <table>] [{ if | unless } <condition>]" BACKEND => Parse(store_response), "Remembers a client's server by something of the response.";
}

/// Keys of texts and blocks without `len` are that long (manual, section 11.1).
const KEY_LENGTH: usize = 32;

/// More entries than this have no place in a table: rows are numbered with 32 bits.
const SIZE_MAX: u64 = u32::MAX as u64;

/// Words after `stick-table`, for suggestions.
const OPTIONS: &[&str] = &[
    "type",
    "size",
    "expire",
    "nopurge",
    "recv-only",
    "peers",
    "srvkey",
    "write-to",
    "brates-factor",
    "store",
];

/// What a line says, where, and whose it is.
struct Declared {
    settings: Settings,
    span: Span,
    /// `frontend`, `backend` or `proxy`.
    owner: &'static str,
    write_to: Option<Span>,
}

/// The row's own turn: [`declare`] has read the line and told its mistakes.
fn declared(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    words.take_rest();
    draft.table = loading.named.tables.get(&*draft.name).cloned();
}

fn on_match(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let rule = rule(draft, words, Phase::Switching, (true, false), loading);
    draft.stick_request.extend(rule);
}

fn on(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let rule = rule(draft, words, Phase::Switching, (true, true), loading);
    draft.stick_request.extend(rule);
}

fn store_request(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let rule = rule(draft, words, Phase::Switching, (false, true), loading);
    draft.stick_request.extend(rule);
}

fn store_response(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let rule = rule(draft, words, Phase::HttpResponse, (false, true), loading);
    draft.stick_response.extend(rule);
}

/// What follows `stick match` and its like.
fn rule(
    draft: &Draft,
    words: &mut Words<'_>,
    phase: Phase,
    (matches, stores): (bool, bool),
    loading: &mut Loading<'_>,
) -> Option<StickRule> {
    let pattern = words.expect(loading.report, "a fetch method")?;
    let mut context = loading.context(phase, Some(&draft.name), &draft.acls);
    let key = Expr::parse(&pattern.text, pattern.span, &mut context)?;
    let (name, span) = match words.take("table") {
        false => (&*draft.name, words.span()),
        true => {
            let word = words.expect(loading.report, "the name of a table after 'table'")?;
            (word.text.as_str(), word.span)
        }
    };
    let Some(table) = loading.named.tables.get(name).cloned() else {
        let message = format!("Proxy '{}': unable to find stick-table '{name}'", draft.name);
        let near = loading.nearest(name, loading.named.tables.keys().map(String::as_str));
        let found = loading.report.alert(span, message);
        match near {
            Some(near) => found.help(format!("did you mean '{near}'?")),
            None => found.help("declare it with 'stick-table' in this backend, or name one with 'table'"),
        };
        return None;
    };
    if !table_key::fits(key.output(), table.settings.key) {
        let message =
            format!("Proxy '{}': type of fetch not usable with type of stick-table '{name}'", draft.name);
        let help = format!(
            "its keys are of type '{}', this is '{}'",
            table.settings.key.name(),
            key.output().name()
        );
        loading.report.alert(pattern.span, message).help(help);
        return None;
    }
    let condition = draft.condition(words, phase, loading).ok()?;
    Some(StickRule { key, table, matches, stores, condition })
}

/// Reads every `stick-table` line and makes the tables.
pub fn declare(sections: &[Section], loading: &mut Loading<'_>) {
    let mut order = Vec::new();
    let mut tables: HashMap<&str, Declared> = HashMap::new();
    let mut remember_servers = HashSet::new();
    for section in sections {
        let head = &section.head.words;
        let owner = match head[0].text.as_str() {
            "frontend" => "frontend",
            "backend" => "backend",
            "listen" => "proxy",
            _ => continue,
        };
        let Some(name) = head.get(1) else { continue };
        let name = name.text.as_str();
        for line in &section.lines {
            match line.words[0].text.as_str() {
                "stick-table" => {
                    let mut words = Words::new(line, 1);
                    if let Some(known) = tables.get(name) {
                        let message = format!(
                            "stick-table name '{name}' conflicts with table declared in {} '{name}' at {}",
                            known.owner,
                            loading.place(known.span)
                        );
                        loading.report.alert(line.span, message);
                    } else if let Some((settings, write_to)) = settings(&mut words, loading) {
                        order.push(name);
                        tables.insert(name, Declared { settings, span: line.span, owner, write_to });
                    }
                }
                "stick" => {
                    let mut rest = line.words.iter().skip_while(|word| word.text != "table");
                    remember_servers.insert(rest.nth(1).map_or(name, |word| word.text.as_str()));
                }
                _ => {}
            }
        }
    }
    check_copies(&tables, &order, loading);
    for name in order {
        let Some(Declared { mut settings, .. }) = tables.remove(name) else { continue };
        if remember_servers.contains(name) {
            for data in [Data::ServerId, Data::ServerKey] {
                if !settings.stored.iter().any(|stored| stored.data == data) {
                    settings.stored.push(Stored { data, count: 1, period_ms: 0 });
                }
            }
        }
        settings.stored.sort_by_key(|stored| stored.data);
        let table = loading.registry.table(name, settings);
        loading.named.tables.insert(name.to_owned(), table);
    }
}

/// Whether every `write-to` names a table that can take the copies.
fn check_copies(tables: &HashMap<&str, Declared>, order: &[&str], loading: &mut Loading<'_>) {
    for name in order {
        let table = &tables[name];
        let (Some(target), Some(span)) = (table.settings.write_to.as_deref(), table.write_to) else {
            continue;
        };
        let message = match tables.get(target) {
            None => format!("write-to: table '{target}' doesn't exist"),
            Some(other) if other.settings.write_to.is_some() => {
                format!("write-to: table '{target}' is already used as a source table")
            }
            Some(other) if other.settings.key.name() != table.settings.key.name() => format!(
                "write-to: cannot mix table types ('{target}' has '{}' type and '{name}' has '{}' type)",
                other.settings.key.name(),
                table.settings.key.name()
            ),
            Some(other) if other.settings.key != table.settings.key => format!(
                "write-to: cannot mix key sizes ('{target}' has '{}' key_size and '{name}' has '{}' key_size)",
                other.settings.key.size(),
                table.settings.key.size()
            ),
            Some(_) => continue,
        };
        let help = did_you_mean(target, order.iter().copied());
        let found = loading.report.alert(span, message);
        if let (Some(help), false) = (help, tables.contains_key(target)) {
            found.help(help);
        }
    }
}

/// Reads what follows `stick-table`; `None` after a mistake, which was told.
fn settings(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<(Settings, Option<Span>)> {
    let mut settings = Settings {
        key: KeyType::Ip,
        size: 0,
        expire_ms: None,
        nopurge: false,
        stored: Vec::new(),
        server_key: ServerKeyType::Name,
        write_to: None,
        brates_factor: 1,
    };
    let (mut has_type, mut write_to) = (false, None);
    while let Some(word) = words.take_word() {
        match word.text.as_str() {
            "type" => {
                settings.key = key_type(words, loading)?;
                has_type = true;
            }
            "size" => {
                let value = value(word, words, loading)?;
                let size = words::size(value, "size", loading.report)?;
                if size > SIZE_MAX {
                    let message = format!("stick-table: 'size' is at most {SIZE_MAX} entries, got {size}");
                    loading.report.alert(value.span, message);
                    return None;
                }
                settings.size = size as usize;
            }
            "expire" => {
                let value = value(word, words, loading)?;
                // 0 is "never", as if it were not there.
                settings.expire_ms =
                    Some(words::time_ms(value, "expire", loading.report)?).filter(|ms| *ms > 0);
            }
            "nopurge" => settings.nopurge = true,
            // What it changes is what peers tell, and there are none.
            "recv-only" => {}
            "peers" => {
                let value = value(word, words, loading)?;
                let message = format!("stick-table: unknown peers section '{}'", value.text);
                loading.report.alert(value.span, message).help(
                    "peers are not available yet; without 'peers' the table is kept on this node alone",
                );
                return None;
            }
            "srvkey" => {
                let text = words.text();
                settings.server_key = match text {
                    Some("name") => ServerKeyType::Name,
                    Some("addr") => ServerKeyType::Address,
                    other => {
                        let message =
                            format!("stick-table : unknown server key type '{}'", other.unwrap_or(""));
                        loading.report.alert(words.last_span(), message).help("use 'name' or 'addr'");
                        return None;
                    }
                };
            }
            // Copies are made of what peers tell, so it is checked and nothing more.
            "write-to" => {
                let Some(target) = words.take_word() else {
                    loading.report.alert(word.span, "stick-table : write-to requires table name");
                    return None;
                };
                settings.write_to = Some(target.text.as_str().into());
                write_to = Some(target.span);
            }
            "brates-factor" => {
                let value = value(word, words, loading)?;
                let factor = words::size(value, "brates-factor", loading.report)?;
                if !(1..=1024).contains(&factor) {
                    let message = "stick-table: argument 'brates-factor' must be greater than 0 and lower or \
                                   equal than 1024";
                    loading.report.alert(value.span, message);
                    return None;
                }
                settings.brates_factor = factor as u32;
            }
            "store" => {
                let Some(list) = words.take_word() else {
                    loading.report.alert(word.span, "stick-table: missing argument after 'store'");
                    return None;
                };
                store(list, &mut settings.stored, loading)?;
            }
            other => {
                let help = did_you_mean(other, OPTIONS.iter().copied());
                let found =
                    loading.report.alert(word.span, format!("stick-table: unknown argument '{other}'"));
                help.into_iter().for_each(|help| {
                    found.help(help);
                });
                return None;
            }
        }
    }
    if settings.size == 0 {
        loading
            .report
            .alert(words.span(), "stick-table: missing size")
            .help("'size 100k' keeps 102400 entries");
        return None;
    }
    if !has_type {
        let found = loading.report.alert(words.span(), "stick-table: missing type");
        found.help("'type ipv4', 'ipv6', 'integer', 'string len <n>' or 'binary len <n>'");
        return None;
    }
    Some((settings, write_to))
}

/// The word after an option.
fn value<'w>(option: &Word, words: &mut Words<'w>, loading: &mut Loading<'_>) -> Option<&'w Word> {
    let word = words.take_word();
    if word.is_none() {
        loading.report.alert(option.span, format!("stick-table: missing argument after '{}'", option.text));
    }
    word
}

/// What follows `type`.
fn key_type(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<KeyType> {
    const TYPES: &[&str] = &["ip", "ipv4", "ipv6", "integer", "string", "binary"];
    let name = words.text().unwrap_or("");
    let of_length: fn(usize) -> KeyType = match name {
        "ip" | "ipv4" => return Some(KeyType::Ip),
        "ipv6" => return Some(KeyType::Ipv6),
        "integer" => return Some(KeyType::Integer),
        "string" => KeyType::String,
        "binary" => KeyType::Binary,
        _ => {
            let help = did_you_mean(name, TYPES.iter().copied());
            let message = format!("stick-table: unknown type '{name}'");
            let found = loading.report.alert(words.last_span(), message);
            help.into_iter().for_each(|help| {
                found.help(help);
            });
            return None;
        }
    };
    if !words.take("len") {
        return Some(of_length(KEY_LENGTH));
    }
    match words.text().and_then(|len| len.parse::<u16>().ok()).filter(|len| *len > 0) {
        Some(len) => Some(of_length(len.into())),
        None => {
            let message = "'len' expects a positive integer argument";
            loading.report.alert(words.last_span(), message).help("at most 65535");
            None
        }
    }
}

/// A comma-separated list of data with their arguments.
fn store(word: &Word, stored: &mut Vec<Stored>, loading: &mut Loading<'_>) -> Option<()> {
    let mut rest = word.text.as_str();
    while !rest.is_empty() {
        let name_end = rest.find(['(', ',']).unwrap_or(rest.len());
        let name = &rest[..name_end];
        rest = &rest[name_end..];
        let arguments = match rest.strip_prefix('(') {
            None => None,
            Some(inner) => {
                let Some((arguments, after)) = inner.split_once(')') else {
                    let message =
                        format!("stick-table: missing closing parenthesis after store option '{name}'");
                    loading.report.alert(word.span, message);
                    return None;
                };
                rest = after;
                Some(arguments)
            }
        };
        rest = match rest.strip_prefix(',') {
            Some(after) => after,
            None if rest.is_empty() => rest,
            None => {
                loading.report.alert(
                    word.span,
                    format!("stick-table: unexpected '{rest}' after store option '{name}'"),
                );
                return None;
            }
        };
        let Some(data) = Data::named(name) else {
            let help = did_you_mean(name, Data::ALL.iter().map(|data| data.name()));
            let found =
                loading.report.alert(word.span, format!("stick-table: unknown store option '{name}'"));
            help.into_iter().for_each(|help| {
                found.help(help);
            });
            return None;
        };
        if stored.iter().any(|known| known.data == data) {
            let message = format!("stick-table: store option '{name}' already enabled, ignored");
            loading.report.warning(word.span, message);
            continue;
        }
        match one(data, arguments) {
            Ok(datum) => stored.push(datum),
            Err((message, help)) => {
                let found =
                    loading.report.alert(word.span, format!("stick-table: {message} store option '{name}'"));
                if !help.is_empty() {
                    found.help(help);
                }
                return None;
            }
        }
    }
    // The array's first elements are what the older names mean.
    for (array, olds, names) in [
        (Data::Gpt, &[Data::Gpt0][..], "gpt0"),
        (Data::Gpc, &[Data::Gpc0, Data::Gpc1], "gpc[0/1]"),
        (Data::GpcRate, &[Data::Gpc0Rate, Data::Gpc1Rate], "gpc[0/1]_rate"),
    ] {
        let has = |data| stored.iter().any(|known: &Stored| known.data == data);
        if has(array) && olds.iter().any(|old| has(*old)) {
            let message = format!(
                "stick-table: simultaneous usage of '{0}' and '{names}' in a same table is not permitted as '{0}' \
                 overrides '{names}'",
                array.name()
            );
            loading.report.alert(word.span, message);
            return None;
        }
    }
    Some(())
}

/// A datum with its arguments; else what is wrong, ending before "store option", and what to do.
fn one(data: Data, arguments: Option<&str>) -> Result<Stored, (String, &'static str)> {
    let missing = || ("missing argument to".to_owned(), "");
    let mut arguments = arguments.into_iter().flat_map(|arguments| arguments.split(','));
    let mut count = 1;
    if data.is_array() {
        count = arguments.next().ok_or_else(missing)?.parse().unwrap_or(0);
        if !(1..=ARRAY_MAX).contains(&count) {
            return Err((format!("array size is out of allowed range (1-{ARRAY_MAX}) for"), ""));
        }
    }
    let mut period_ms = 0;
    if data.shape() == Shape::Rate {
        let text = arguments.next().ok_or_else(missing)?;
        period_ms = match units::parse_time(text, TimeUnit::Millisecond) {
            Ok(period) if period > 0 => period as u32,
            Ok(_) => return Err(("a period of 0 has no rate in".to_owned(), "write it as '10s'")),
            Err(error) => return Err((format!("{error} in the period of"), "write it as '10s'")),
        };
    }
    match arguments.next() {
        Some(_) => Err(("unexpected argument to".to_owned(), "")),
        None => Ok(Stored { data, count, period_ms }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{finds, load_text};
    use crate::diag::Level::{Alert, Warning};

    #[test]
    fn mistakes_in_tables_are_told() {
        for (line, level, message) in [
            ("size 1k", Alert, "missing type"),
            ("type ip", Alert, "missing size"),
            ("type ipp size 1k", Alert, "unknown type 'ipp'"),
            ("type string len 0 size 1k", Alert, "'len' expects a positive integer argument"),
            ("type ip size 1k expir 3s", Alert, "did you mean 'expire'?"),
            ("type ip size 1x", Alert, "unexpected character 'x'"),
            ("type ip size 8g", Alert, "'size' is at most"),
            ("type ip size 1k expire 1000h", Alert, "timer overflow"),
            ("type ip size 1k peers p", Alert, "peers are not available yet"),
            ("type ip size 1k srvkey id", Alert, "unknown server key type 'id'"),
            ("type ip size 1k brates-factor 1025", Alert, "lower or equal than 1024"),
            ("type ip size 1k write-to u", Alert, "write-to: table 'u' doesn't exist"),
            ("type ip size 1k write-to t", Alert, "already used as a source table"),
            ("type ip size 1k store gpc0,gpc0", Warning, "store option 'gpc0' already enabled, ignored"),
            ("type ip size 1k store gpc0 store gpc(2)", Alert, "simultaneous usage of 'gpc' and 'gpc[0/1]'"),
            ("type ip size 1k store gpt(2),gpt0", Alert, "simultaneous usage of 'gpt' and 'gpt0'"),
            ("type ip size 1k store gpc_rate(2,1s),gpc1_rate(1s)", Alert, "as 'gpc_rate' overrides"),
            ("type ip size 1k store gpc", Alert, "missing argument to store option 'gpc'"),
            ("type ip size 1k store gpc(101)", Alert, "allowed range (1-100) for store option 'gpc'"),
            ("type ip size 1k store gpc_rate(1)", Alert, "missing argument to store option 'gpc_rate'"),
            ("type ip size 1k store conn_rate", Alert, "missing argument to store option 'conn_rate'"),
            ("type ip size 1k store conn_rate(3x)", Alert, "unexpected character 'x'"),
            ("type ip size 1k store conn_rate(0)", Alert, "a period of 0"),
            ("type ip size 1k store conn_rate(3s", Alert, "missing closing parenthesis"),
            ("type ip size 1k store conn_cur(3)", Alert, "unexpected argument to store option 'conn_cur'"),
            ("type ip size 1k store gpc0_rat(3s)", Alert, "did you mean 'gpc0_rate'?"),
            ("type ip size 1k\nstick on src tabel x", Alert, ""),
            ("type ip size 1k\nstick on src table x", Alert, ""),
            ("type ip size 1k\nstick on res.hdr(x)", Alert, ""),
            ("type ip size 1k\nstick store-response req.hdr(x)", Alert, ""),
            ("type integer size 1k\nstick on req.payload(0,4)", Alert, ""),
            ("type ip size 1k\nstick on src if nope", Alert, ""),
            ("type ip size 1k store gpc0\nstick-table type ip size 1", Alert, ""),
        ] {
            let at = if message.is_empty() { 3 } else { 2 };
            finds(&format!("backend t\nstick-table {line}"), &[(level, at, message)]);
        }
    }

    #[test]
    fn rules_make_their_tables_remember_servers() {
        let text = "listen l\nbind :1\ntimeout client 1s\ntimeout connect 1s\ntimeout server 1s\n\
                    server s 127.0.0.1:1\nstick on src\nstick store-response res.payload(0,4) table b\n\
                    stick-table type ip size 10\nbackend b\nstick-table type binary len 4 size 10 store gpc0\n\
                    backend c\nstick-table type ip size 10";
        let (model, report) = load_text(text);
        assert!(report.diagnostics.is_empty(), "{:?}", report.diagnostics);
        let model = model.unwrap();
        let stored: Vec<Vec<&str>> = (model.proxies.iter())
            .map(|proxy| {
                let stored = &proxy.table.as_ref().unwrap().settings.stored;
                stored.iter().map(|stored| stored.data.name()).collect()
            })
            .collect();
        let expected: [&[&str]; 3] =
            [&["server_id", "server_key"], &["server_id", "gpc0", "server_key"], &[]];
        assert_eq!(stored, expected);
        let rules = (&model.proxies[0].stick_request, &model.proxies[0].stick_response);
        assert!(rules.0[0].matches && rules.0[0].stores && !rules.1[0].matches && rules.1[0].stores);
        assert_eq!(&*rules.1[0].table.name, "b");
    }

    #[test]
    fn tables_are_what_their_lines_say() {
        let text = "backend t\nstick-table type string len 8 size 1k expire 30m nopurge recv-only srvkey addr \
                    brates-factor 8 store http_req_rate(10s),gpc(3) store conn_cur write-to u\n\
                    backend u\nstick-table type string len 8 size 2m";
        let (model, report) = load_text(text);
        assert!(report.diagnostics.is_empty(), "{:?}", report.diagnostics);
        let model = model.unwrap();
        let table = model.proxies[0].table.clone().unwrap();
        let stored = |data, count, period_ms| Stored { data, count, period_ms };
        assert_eq!(
            table.settings,
            Settings {
                key: KeyType::String(8),
                size: 1024,
                expire_ms: Some(1_800_000),
                nopurge: true,
                stored: vec![
                    stored(Data::ConnCur, 1, 0),
                    stored(Data::HttpReqRate, 1, 10_000),
                    stored(Data::Gpc, 3, 0)
                ],
                server_key: ServerKeyType::Address,
                write_to: Some("u".into()),
                brates_factor: 8,
            }
        );
        assert_eq!(&*table.name, "t");
        assert_eq!(model.proxies[1].table.as_ref().unwrap().settings.size, 2 << 20);
    }
}
