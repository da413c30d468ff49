//! Statistics: rows once, rendered as CSV, JSON, typed lines, HTML and for Prometheus.
//!
//! A [`columns::TABLE`] row is the one definition of a column: its name, what it means, on which
//! objects it is, how tools should aggregate it, and how its value is found. [`rows`] walks the
//! model with a [`subject::View`] and hands each object to a renderer; nothing is kept between two
//! objects, so ten thousand servers cost one row of memory.
#![forbid(unsafe_code)]

pub mod columns;
pub mod csv;
pub mod field;
pub mod html;
pub mod info;
pub mod json;
pub mod origin;
pub mod page;
pub mod post;
pub mod prometheus;
pub mod rows;
pub mod servers_state;
pub mod status;
pub mod subject;
pub mod typed;

pub use field::{Column, Kind, Value};
pub use rows::Filter;
pub use subject::{Subject, View};

#[cfg(test)]
pub(crate) mod fixture;
