//! The table of keywords: one row per word that a configuration may use.
//!
//! A row says the keyword's name, its arguments, where it may stand, which section of the manual
//! describes it, what it is for, and what happens when it is met: a parser runs, or no action is
//! needed (with the reason), or the feature is not there (the configuration is refused, never half
//! obeyed), or it was removed long ago (with what to write instead). Diagnostics, suggestions and
//! `haring doc` all come from these rows, so a keyword exists in exactly one place.
//!
//! The tables themselves are in [`super::section`], by family.

use std::collections::HashMap;

/// Where a keyword may stand: a set of section kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places(pub u8);

impl Places {
    /// `global`.
    pub const GLOBAL: Places = Places(1);
    /// `defaults`.
    pub const DEFAULTS: Places = Places(2);
    /// `defaults` with a name only.
    pub const NAMED_DEFAULTS: Places = Places(4);
    /// `frontend`, and the frontend side of `listen`.
    pub const FRONTEND: Places = Places(8);
    /// `backend`, and the backend side of `listen`.
    pub const BACKEND: Places = Places(16);
    /// `bind` lines.
    pub const BIND: Places = Places(32);
    /// `server`, `default-server` and `server-template` lines.
    pub const SERVER: Places = Places(64);

    /// `defaults`, `frontend`, `backend`, `listen`.
    pub const ALL: Places = Places(2 | 8 | 16);
    /// `defaults`, `frontend`, `listen`.
    pub const FRONT: Places = Places(2 | 8);
    /// `defaults`, `backend`, `listen`.
    pub const BACK: Places = Places(2 | 16);
    /// `frontend`, `backend`, `listen`.
    pub const PROXIES: Places = Places(8 | 16);
    /// Named `defaults`, `frontend`, `backend`, `listen`.
    pub const RULES: Places = Places(4 | 8 | 16);
    /// Named `defaults`, `frontend`, `listen`.
    pub const FRONT_RULES: Places = Places(4 | 8);
    /// Named `defaults`, `backend`, `listen`.
    pub const BACK_RULES: Places = Places(4 | 16);

    /// Whether the sets have a place in common.
    pub const fn meets(self, other: Places) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the sections, for documentation.
    pub fn names(self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (place, name) in [
            (Places::GLOBAL, "global"),
            (Places::DEFAULTS, "defaults"),
            (Places::NAMED_DEFAULTS, "named defaults"),
            (Places::FRONTEND, "frontend"),
            (Places::PROXIES, "listen"),
            (Places::BACKEND, "backend"),
            (Places::BIND, "bind"),
            (Places::SERVER, "server"),
        ] {
            if self.meets(place) {
                names.push(name);
            }
        }
        names
    }
}

/// What happens when a keyword is met.
#[derive(Clone, Copy, Debug)]
pub enum Does<F: 'static> {
    /// Its parser runs.
    Parse(F),
    /// Accepted; the text says why there is nothing to do.
    NoAction(&'static str),
    /// The feature is not built in (yet): the configuration cannot be used as it is meant.
    Refused(&'static str),
    /// HAProxy dropped it; the text says what to write instead.
    Removed(&'static str),
}

/// One keyword.
#[derive(Debug)]
pub struct Keyword<F: 'static> {
    /// Its name as written; two words where the second one selects (`option httplog`).
    pub name: &'static str,
    /// Its arguments as the manual writes them.
    pub args: &'static str,
    /// Where it may stand.
    pub places: Places,
    /// The section of HAProxy's manual that describes it.
    pub manual: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// What happens.
    pub does: Does<F>,
}

/// Keywords by name.
pub struct Index<F: 'static> {
    by_name: HashMap<&'static str, &'static Keyword<F>>,
}

impl<F> Index<F> {
    /// Indexes the rows of tables.
    pub fn new(tables: &[&'static [Keyword<F>]]) -> Self {
        let mut by_name = HashMap::new();
        for row in tables.iter().flat_map(|table| table.iter()) {
            let earlier = by_name.insert(row.name, row);
            debug_assert!(earlier.is_none(), "keyword '{}' has two rows", row.name);
        }
        Index { by_name }
    }
    /// The row called `name`.
    pub fn get(&self, name: &str) -> Option<&'static Keyword<F>> {
        self.by_name.get(name).copied()
    }
    /// The name nearest to a mistyped one among rows that may stand in `places`. Old keywords are
    /// not suggested; two-word names are suggested only for two-word mistakes.
    pub fn closest(&self, name: &str, places: Places) -> Option<&'static str> {
        let two_words = name.contains(' ');
        // Sorted, so that of two equally near names the same one is suggested every time.
        let mut names: Vec<&'static str> = self
            .by_name
            .values()
            .filter(|row| row.places.meets(places) && !matches!(row.does, Does::Removed(_)))
            .map(|row| row.name)
            .filter(|candidate| candidate.contains(' ') == two_words)
            .collect();
        names.sort_unstable();
        crate::diag::closest(name, names)
    }
}

/// Writes a table of keywords: `"name" "arguments" places => effect, "documentation";`, all rows
/// from one section of the manual.
macro_rules! keywords {
    ($(#[$meta:meta])* $vis:vis $table:ident: $parser:ty, $manual:literal;
     $($name:literal $args:literal $place:ident => $does:ident($what:expr), $doc:literal;)*) => {
        $(#[$meta])*
        $vis const $table: &[$crate::config::keyword::Keyword<$parser>] = &[$(
            $crate::config::keyword::Keyword {
                name: $name,
                args: $args,
                places: $crate::config::keyword::Places::$place,
                manual: $manual,
                doc: $doc,
                does: $crate::config::keyword::Does::$does($what),
            },
        )*];
    };
}
pub(crate) use keywords;
