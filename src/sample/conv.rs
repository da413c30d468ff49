//! Converters, one row each.
