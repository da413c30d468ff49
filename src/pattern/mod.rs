//! Matchers behind ACLs and maps, and the files that fill them.
//!
//! A [`PatternSet`] is an immutable list of patterns, each with a key, perhaps a value, and a
//! reference that never changes. It answers "which pattern matches this?" for any [`Kind`] that
//! was prepared. It knows neither expressions nor sessions: subjects are bytes, numbers and
//! addresses. Changing a set means making the next one, which shares all but the touched shard
//! with its predecessor, so that readers never wait (see [`crate::state::maps`]).
#![forbid(unsafe_code)]

pub mod file;
mod index;
mod parse;
mod regex;
mod set;
mod substrings;
mod table;

pub use self::regex::{BadReplacement, Captures, Regex};
pub use index::BadPattern;
pub use parse::{parse_int_range, parse_ip_prefix, parse_masked_v4, parse_version_range, unhex};
pub use set::{Entry, Hit, PatternSet, Place};

use std::net::IpAddr;

/// How a pattern is compared with what is looked up (manual, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Patterns are ignored: existence is enough.
    Found,
    /// The value is true.
    Bool,
    /// A number or a range of numbers.
    Int,
    /// An address or a network.
    Ip,
    /// The same bytes, given in hexadecimal.
    Bin,
    /// A length, or a range of lengths.
    Len,
    /// The same string.
    Str,
    /// The string begins with the pattern; the longest wins.
    Beg,
    /// The string contains the pattern.
    Sub,
    /// The pattern is one or more whole parts of a path.
    Dir,
    /// The pattern is one or more whole parts of a domain name.
    Dom,
    /// The string ends with the pattern.
    End,
    /// A regular expression.
    Reg,
    /// A regular expression whose groups the map's value refers to.
    Regm,
}

/// What a kind looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing in particular.
    Any,
    /// A boolean.
    Bool,
    /// A number.
    Int,
    /// An address.
    Ip,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// Every kind by the name that `-m` and `map_<name>` give it.
    pub const NAMES: [(&'static str, Kind); 14] = [
        ("found", Kind::Found),
        ("bool", Kind::Bool),
        ("int", Kind::Int),
        ("ip", Kind::Ip),
        ("bin", Kind::Bin),
        ("len", Kind::Len),
        ("str", Kind::Str),
        ("beg", Kind::Beg),
        ("sub", Kind::Sub),
        ("dir", Kind::Dir),
        ("dom", Kind::Dom),
        ("end", Kind::End),
        ("reg", Kind::Reg),
        ("regm", Kind::Regm),
    ];

    /// The kind that a name means.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::NAMES.iter().find(|(other, _)| *other == name).map(|(_, kind)| *kind)
    }
    /// Its name.
    pub fn name(self) -> &'static str {
        Kind::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
    /// What it looks at.
    pub fn input(self) -> Input {
        match self {
            Kind::Found => Input::Any,
            Kind::Bool => Input::Bool,
            Kind::Int => Input::Int,
            Kind::Ip => Input::Ip,
            _ => Input::Bytes,
        }
    }
}

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A string or a binary block.
    Bytes(&'a [u8]),
    /// A number, or a boolean as 0 or 1.
    Int(i64),
    /// An address.
    Ip(IpAddr),
}
