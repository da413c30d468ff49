//! JSON.
use super::Converter;
/// A step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into an object's member.
    Member(String),
    /// Into an array's element.
    Element(usize),
}
/// Rows.
pub const TABLE: &[Converter] = &[];
