//! Documentation of every keyword, gathered from the tables that define them.
//!
//! It holds no text of its own: each table gives its rows as [`DocEntry`]s, and a new table is one
//! more line in [`TABLES`].

pub use crate::base::doc::DocEntry;

use super::{condition, preprocess, section};
use crate::rules;
use crate::sample::arg::ArgType;
use crate::sample::{conv, fetch};

/// Every table of keywords.
const TABLES: &[fn() -> Vec<DocEntry>] = &[
    || preprocess::documentation().collect(),
    || condition::documentation().collect(),
    section::documentation,
    || rules::keyword::TABLE.iter().map(|row| row.document()).collect(),
    fetches,
    converters,
];

fn fetches() -> Vec<DocEntry> {
    let rows = fetch::TABLE.iter().flat_map(|rows| rows.iter());
    let entry = |row: &fetch::Fetch| DocEntry {
        name: row.name,
        kind: "fetch",
        signature: format!("{} : {}", with_arguments(row.name, row.required, row.args), row.output.name()),
        sections: Vec::new(),
        text: format!("{} Needs: {}.", row.doc, row.source.name()),
    };
    rows.map(entry).collect()
}

fn converters() -> Vec<DocEntry> {
    let rows = conv::TABLE.iter().flat_map(|rows| rows.iter());
    let entry = |row: &conv::Converter| {
        let output = if row.same_output { "same" } else { row.output.name() };
        let call = with_arguments(row.name, row.required, row.args);
        DocEntry {
            name: row.name,
            kind: "converter",
            signature: format!("{call} : {} -> {output}", row.input.name()),
            sections: Vec::new(),
            text: row.doc.to_owned(),
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

/// The entries that `keyword` names: the exact ones if there are any, else those that start with it.
pub fn lookup(keyword: &str) -> Vec<DocEntry> {
    let mut found: Vec<DocEntry> = all().into_iter().filter(|entry| entry.answers_to(keyword)).collect();
    if found.iter().any(|entry| entry.name == keyword) {
        found.retain(|entry| entry.name == keyword);
    }
    found
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
            assert!(lookup(keyword).iter().any(|entry| entry.kind == kind), "{keyword}");
        }
    }

    #[test]
    fn finds_rows_of_every_table() {
        for (keyword, expected) in [(".if", 1), ("streq", 1), ("str", 1), ("no such keyword", 0)] {
            assert_eq!(lookup(keyword).len(), expected, "{keyword}");
        }
        assert!(all().iter().all(|entry| !entry.text.is_empty() && !entry.signature.is_empty()));
    }
}
