//! The tables of keywords, by family, and the doors to them.
//!
//! A family is a file: its table and the parsers of its rows. Nothing here walks sections; that is
//! [`super::build`]'s.

pub mod balance;
pub mod bind;
pub mod bind_tls;
pub mod capture;
pub mod check;
pub mod cookie;
pub mod error;
pub mod global;
pub mod global_tls;
pub mod log;
pub mod options;
pub mod proxy;
pub mod resolvers;
pub mod rules;
pub mod server;
pub mod server_other;
pub mod server_proxy_protocol;
pub mod server_resolve;
pub mod server_tls;
pub mod settings;
pub mod sections;
pub mod stats;
pub mod stick;
pub mod timeouts;
pub mod tune;
pub mod userlist;

use std::sync::OnceLock;

use super::draft::Draft;
use super::keyword::{Does, Index, Keyword};
use super::loading::Loading;
use super::words::Words;
use crate::base::doc::{DocEntry, Support};

/// Reads a line of a proxy.
pub type ProxyParser = fn(&mut Draft, &mut Words<'_>, &mut Loading<'_>);

/// Every keyword of proxies.
pub const PROXY_TABLES: &[&[Keyword<ProxyParser>]] = &[
    proxy::TABLE,
    settings::TABLE,
    rules::TABLE,
    stick::TABLE,
    options::SWITCHES,
    options::TABLE,
    timeouts::TABLE,
    balance::TABLE,
    cookie::TABLE,
    log::TABLE,
    stats::TABLE,
    capture::TABLE,
    check::TABLE,
    error::TABLE,
    server::LINES,
];

/// The first words that a second one completes: the row's name is both.
pub const PROXY_FAMILIES: &[&str] = &[
    "option",
    "timeout",
    "stats",
    "capture",
    "declare",
    "tcp-request",
    "tcp-response",
    "http-check",
    "tcp-check",
    "stick",
    "email-alert",
    "monitor",
    "persist",
    "rate-limit",
    "external-check",
];

/// Keywords of proxies by name.
pub fn proxy_index() -> &'static Index<ProxyParser> {
    static INDEX: OnceLock<Index<ProxyParser>> = OnceLock::new();
    INDEX.get_or_init(|| Index::new(PROXY_TABLES))
}

/// Keywords of `global` by name.
pub fn global_index() -> &'static Index<global::GlobalParser> {
    static INDEX: OnceLock<Index<global::GlobalParser>> = OnceLock::new();
    INDEX.get_or_init(|| Index::new(global::TABLES))
}

/// Keywords of `bind` lines by name.
pub fn bind_index() -> &'static Index<bind::BindParser> {
    static INDEX: OnceLock<Index<bind::BindParser>> = OnceLock::new();
    INDEX.get_or_init(|| Index::new(&[bind::TABLE, bind_tls::TABLE]))
}

/// Every keyword of `server` lines.
const SERVER_TABLES: [&[Keyword<server::ServerParser>]; 5] = [
    server::TABLE,
    server_proxy_protocol::TABLE,
    server_resolve::TABLE,
    server_other::TABLE,
    server_tls::TABLE,
];

/// The options of servers that are taken, in the order of their tables.
pub fn server_options() -> impl Iterator<Item = &'static str> {
    let rows = SERVER_TABLES.iter().flat_map(|table| table.iter());
    rows.filter(|row| matches!(row.does, Does::Parse(_) | Does::NoAction(_))).map(|row| row.name)
}

/// Keywords of `server` lines by name.
pub fn server_index() -> &'static Index<server::ServerParser> {
    static INDEX: OnceLock<Index<server::ServerParser>> = OnceLock::new();
    INDEX.get_or_init(|| Index::new(&SERVER_TABLES))
}

/// Every directive, for documentation.
pub fn documentation() -> Vec<DocEntry> {
    let mut entries = Vec::new();
    PROXY_TABLES.iter().for_each(|table| describe(table, "directive", &mut entries));
    global::TABLES.iter().for_each(|table| describe(table, "directive", &mut entries));
    [bind::TABLE, bind_tls::TABLE].iter().for_each(|table| describe(table, "bind option", &mut entries));
    SERVER_TABLES.iter().for_each(|table| describe(table, "server option", &mut entries));
    entries.extend(resolvers::KEYWORDS.iter().map(|(name, args, doc)| DocEntry {
        name: (*name).into(),
        kind: "directive",
        signature: signature(name, args),
        sections: vec!["resolvers"],
        text: (*doc).to_owned(),
        support: Support::Full,
    }));
    entries.extend(sections::TABLE.iter().map(|kind| DocEntry {
        name: kind.name.into(),
        kind: "section",
        signature: signature(kind.name, kind.args),
        sections: Vec::new(),
        text: kind.doc.to_owned(),
        support: kind.refused.map_or(Support::Full, Support::Refused),
    }));
    entries
}

fn describe<F>(table: &[Keyword<F>], kind: &'static str, entries: &mut Vec<DocEntry>) {
    entries.extend(table.iter().map(|row| DocEntry {
        name: row.name.into(),
        kind,
        signature: signature(row.name, row.args),
        sections: row.places.names(),
        text: row.doc.to_owned(),
        support: match row.does {
            Does::Parse(_) => Support::Full,
            Does::NoAction(why) => Support::NoAction(why),
            Does::Refused(why) => Support::Refused(why),
            Does::Removed(instead) => Support::Removed(instead),
        },
    }));
}

fn signature(name: &str, args: &str) -> String {
    if args.is_empty() { name.to_owned() } else { format!("{name} {args}") }
}
