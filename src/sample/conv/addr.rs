//! Rows.
use super::Converter;
/// Rows.
pub const TABLE: &[Converter] = &[];
