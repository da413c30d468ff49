//! Statistics: rows once, rendered as CSV, JSON, HTML.
#![forbid(unsafe_code)]

pub mod servers_state;
