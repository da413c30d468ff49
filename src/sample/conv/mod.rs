//! Converters, one row each (manual, section 7.3.1).
//!
//! A row says what the converter is called, what it takes and yields, and what it is for; its
//! function stands in the same file. [`TABLE`] joins the rows.

pub mod addr;
pub mod crypt;
pub mod date;
pub mod encode;
pub mod fix;
pub mod flow;
pub mod forwarded;
pub mod hash;
pub mod json;
pub mod jwt;
pub mod map;
pub mod mqtt;
pub mod number;
pub mod packet;
pub mod protobuf;
pub mod server;
pub mod table;
pub mod text;
pub mod vars;

use super::arg::{Arg, ArgType, Check};
use super::facts::Context;
use super::value::{Type, Value};

/// The function behind a converter. Its value has the row's input type already.
pub type Apply = for<'a> fn(Value<'a>, &'a [Arg], &Context<'a>) -> Option<Value<'a>>;

/// One converter.
#[derive(Debug)]
pub struct Converter {
    /// Its name.
    pub name: &'static str,
    /// What its arguments must be.
    pub args: &'static [ArgType],
    /// How many of them must be given.
    pub required: usize,
    /// What it takes.
    pub input: Type,
    /// What it yields.
    pub output: Type,
    /// Whether it yields what it took, whatever that was.
    pub same_output: bool,
    /// Whether a value that it yields is final, though its input still grows.
    pub settles: bool,
    /// Whether a text that outgrows a buffer is cut to it; others then have no value.
    pub cuts: bool,
    /// What it is for.
    pub doc: &'static str,
    /// Does it.
    pub apply: Apply,
    /// Checks and completes the arguments.
    pub check: Option<Check>,
}

impl Converter {
    /// A row without arguments.
    pub const fn new(
        name: &'static str,
        input: Type,
        output: Type,
        doc: &'static str,
        apply: Apply,
    ) -> Converter {
        Converter {
            name,
            args: &[],
            required: 0,
            input,
            output,
            same_output: false,
            settles: false,
            cuts: false,
            doc,
            apply,
            check: None,
        }
    }
    /// With arguments, the first `required` of which must be given.
    pub const fn args(mut self, required: usize, args: &'static [ArgType]) -> Converter {
        self.args = args;
        self.required = required;
        self
    }
    /// With a check of the arguments.
    pub const fn check(mut self, check: Check) -> Converter {
        self.check = Some(check);
        self
    }
    /// That has waited for all that it needs when it yields something.
    pub const fn settles(mut self) -> Converter {
        self.settles = true;
        self
    }
    /// Whose text is cut to a buffer.
    pub const fn cuts(mut self) -> Converter {
        self.cuts = true;
        self
    }
    /// That hands on what it takes.
    pub const fn same_output(mut self) -> Converter {
        self.same_output = true;
        self
    }
}

/// Every converter, by source file.
pub const TABLE: &[&[Converter]] = &[
    text::TABLE,
    number::TABLE,
    hash::TABLE,
    encode::TABLE,
    date::TABLE,
    addr::TABLE,
    map::TABLE,
    json::TABLE,
    jwt::TABLE,
    vars::TABLE,
    flow::TABLE,
    server::TABLE,
    crypt::TABLE,
    forwarded::TABLE,
    packet::TABLE,
    protobuf::TABLE,
    fix::TABLE,
    mqtt::TABLE,
    table::TABLE,
    super::counters::CONVERTERS,
];

/// The converter called `name`.
pub fn find(name: &str) -> Option<&'static Converter> {
    TABLE.iter().flat_map(|rows| rows.iter()).find(|row| row.name == name)
}

/// The names of all converters.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|rows| rows.iter()).map(|row| row.name)
}

/// Why a converter that HAProxy has is not here.
pub fn why_absent(name: &str) -> Option<&'static str> {
    if name.starts_with("jwt_decrypt_") {
        Some("this version verifies tokens, but decrypts none")
    } else if matches!(name, "51d.single" | "da-csv-conv") {
        Some("it needs a vendor's device database, which this version does not read")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_unique_and_explained() {
        let mut names: Vec<_> = names().collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1], "there are two rows of this name");
        }
        for row in TABLE.iter().flat_map(|rows| rows.iter()) {
            assert!(row.doc.len() > 10 && row.required <= row.args.len(), "{}", row.name);
        }
    }
}
