//! Statistics: rows once, rendered as CSV, JSON, typed lines, HTML and for Prometheus.
//!
//! A [`columns::TABLE`] row is the one definition of a column: its name, what it means, on which
//! objects it is, how tools should aggregate it, and how its value is found. [`rows`] walks the
//! model with a [`subject::View`] and hands each object to a renderer; nothing is kept between two
//! objects, and [`dump`] makes its text part by part, so ten thousand servers cost one part of memory.
#![forbid(unsafe_code)]

pub mod columns;
pub mod csv;
pub mod dump;
pub mod field;
pub mod html;
pub mod info;
pub mod json;
pub mod origin;
pub mod page;
pub mod post;
pub mod prometheus;
pub mod resolvers;
pub mod rows;
pub mod servers_state;
pub mod status;
pub mod subject;
pub mod typed;

pub use field::{Column, Kind, Value};
pub use rows::Filter;
pub use subject::{Subject, View};

/// An answer that is made part by part, as its reader takes it: no more of it is in memory than one part, however
/// long it is and however slow the reader.
pub trait Parts {
    /// Appends what comes next until `out` holds `bytes_max` bytes, or less if finding it takes its time; says
    /// whether more may follow. No part passes `bytes_max` by more than one object's text.
    fn fill(&mut self, source: &info::Source<'_>, out: &mut Vec<u8>, bytes_max: usize) -> bool;
}

#[cfg(test)]
pub(crate) mod fixture;
