//! Documentation of every keyword, gathered from the tables that define them.
//!
//! It holds no text of its own: each table gives its rows as [`DocEntry`]s, and a new table is one
//! more line in [`TABLES`].

pub use crate::base::doc::DocEntry;

use super::{condition, preprocess};

/// Every table of keywords.
const TABLES: &[fn() -> Vec<DocEntry>] =
    &[|| preprocess::documentation().collect(), || condition::documentation().collect()];

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
    fn finds_rows_of_every_table() {
        for (keyword, expected) in [(".if", 1), ("streq", 1), ("str", 0), ("no such keyword", 0)] {
            assert_eq!(lookup(keyword).len(), expected, "{keyword}");
        }
        assert!(all().iter().all(|entry| !entry.text.is_empty() && !entry.signature.is_empty()));
    }
}
