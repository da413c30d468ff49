//! Documentation of every keyword, gathered from the tables that define them.
//!
//! It holds no text of its own: each table gives its rows as [`DocEntry`]s, and a new table is one
//! more line in [`TABLES`].

pub use crate::base::doc::{DocEntry, Support};

use super::{condition, preprocess, section};
use crate::rules;
use crate::sample::arg::ArgType;
use crate::sample::{acl, conv, fetch, format};
use crate::state::table::Data;
use crate::state::table::data::Shape;

/// Every table of keywords.
const TABLES: &[fn() -> Vec<DocEntry>] = &[
    || preprocess::documentation().collect(),
    || condition::documentation().collect(),
    section::documentation,
    || rules::keyword::TABLE.iter().map(|row| row.document()).collect(),
    fetches,
    converters,
    aliases,
    stored,
    acls,
];

/// ACLs that need no declaration, and flags of those that are declared.
fn acls() -> Vec<DocEntry> {
    let predefined = acl::PREDEFINED.iter().map(|(name, words)| DocEntry {
        name: (*name).into(),
        kind: "acl",
        signature: (*name).to_owned(),
        sections: vec!["predefined"],
        text: format!("The same as 'acl {name} {}'.", words.join(" ")),
        support: Support::Full,
    });
    predefined.collect()
}

/// `%` aliases of log formats.
fn aliases() -> Vec<DocEntry> {
    let entry = |alias: &format::Alias| DocEntry {
        name: alias.name.into(),
        kind: "log alias",
        signature: format!("%{}", alias.name),
        sections: Vec::new(),
        text: format!("In a log format: {}.", alias.doc),
        support: Support::Full,
    };
    format::ALIASES.iter().map(entry).collect()
}

/// What a stick table can store.
fn stored() -> Vec<DocEntry> {
    let entry = |data: &Data| DocEntry {
        name: data.name().into(),
        kind: "stick-table data",
        signature: match (data.is_array(), data.shape()) {
            (true, Shape::Rate) => format!("{}(<elements>,<period>)", data.name()),
            (true, _) => format!("{}(<elements>)", data.name()),
            (false, Shape::Rate) => format!("{}(<period>)", data.name()),
            (false, _) => data.name().to_owned(),
        },
        sections: vec!["stick-table ... store"],
        text: data.doc().to_owned(),
        support: Support::Full,
    };
    Data::ALL.iter().map(entry).collect()
}

fn fetches() -> Vec<DocEntry> {
    let rows = fetch::TABLE.iter().flat_map(|rows| rows.iter());
    let entry = |row: &fetch::Fetch| DocEntry {
        name: row.name.into(),
        kind: "fetch",
        signature: format!("{} : {}", with_arguments(row.name, row.required, row.args), row.output.name()),
        sections: Vec::new(),
        text: format!("{} Needs: {}.", row.doc, row.source.name()),
        support: Support::Full,
    };
    rows.map(entry).collect()
}

fn converters() -> Vec<DocEntry> {
    let rows = conv::TABLE.iter().flat_map(|rows| rows.iter());
    let entry = |row: &conv::Converter| {
        let output = if row.same_output { "same" } else { row.output.name() };
        let call = with_arguments(row.name, row.required, row.args);
        DocEntry {
            name: row.name.into(),
            kind: "converter",
            signature: format!("{call} : {} -> {output}", row.input.name()),
            sections: Vec::new(),
            text: row.doc.to_owned(),
            support: Support::Full,
        }
    };
    rows.map(entry).collect()
}

/// `name(<a>,<b>[,<c>])`: what may be left out stands in brackets.
fn with_arguments(name: &str, required: usize, arguments: &[ArgType]) -> String {
    let mut out = name.to_owned();
    for (at, argument) in arguments.iter().enumerate() {
        let optional = at >= required;
        out.push_str(match (at, optional) {
            (0, false) => "(",
            (0, true) => "[(",
            (_, false) => ",",
            (_, true) => "[,",
        });
        out.push_str(&format!("<{}>", argument.name()));
        if at > 0 && optional {
            out.push(']');
        }
    }
    if !arguments.is_empty() {
        out.push_str(if required == 0 { ")]" } else { ")" });
    }
    out
}

/// Everything that is documented.
pub fn all() -> Vec<DocEntry> {
    TABLES.iter().flat_map(|table| table()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_show_what_may_be_left_out() {
        use ArgType::{Int, Str};
        for (required, arguments, expected) in [
            (0, &[][..], "f"),
            (1, &[Str][..], "f(<string>)"),
            (0, &[Str][..], "f[(<string>)]"),
            (1, &[Str, Int][..], "f(<string>[,<integer>])"),
            (2, &[Str, Int][..], "f(<string>,<integer>)"),
            (0, &[Str, Int][..], "f[(<string>[,<integer>])]"),
        ] {
            assert_eq!(with_arguments("f", required, arguments), expected);
        }
        for (keyword, kind) in [("req.hdr", "fetch"), ("lower", "converter"), ("deny", "action")] {
            assert!(all().iter().any(|entry| entry.name == keyword && entry.kind == kind), "{keyword}");
        }
    }

    #[test]
    fn rows_of_every_table_are_there() {
        for (keyword, expected) in [(".if", 1), ("streq", 1), ("str", 1), ("no such keyword", 0)] {
            assert_eq!(all().iter().filter(|entry| entry.name == keyword).count(), expected, "{keyword}");
        }
        assert!(all().iter().all(|entry| !entry.text.is_empty() && !entry.signature.is_empty()));
    }
}
