//! Status codes and their default reason phrases (RFC 9110 section 15).

/// The reason phrase of a status code; empty if it has none.
pub fn reason(_status: u16) -> &'static str {
    ""
}
