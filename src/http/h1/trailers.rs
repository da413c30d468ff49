//! Trailer fields (RFC 9110 section 6.5): parsed, cleared of what may not stand there, written.
//!
//! They are never merged into the header section: a field in a trailer must not frame, route or
//! authenticate a message that has been judged already (RFC 9110 section 6.5.1).

use super::head::Refusal;
use super::scan;
use crate::http::{Fields, Known};

/// Fields in a trailer section.
pub const TRAILER_FIELDS_MAX: usize = 64;

/// Names dropped from trailers besides those that [`Known`] tells apart.
const FORBIDDEN: &[&[u8]] = &[
    b"age",
    b"content-encoding",
    b"content-range",
    b"date",
    b"expires",
    b"forwarded",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"max-forwards",
    b"pragma",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"range",
    b"retry-after",
    b"vary",
    b"warning",
    b"www-authenticate",
    b"x-real-ip",
];

/// Parses a trailer section with the empty line that ends it (`trailers_start..end` of
/// [`super::chunked::Event::End`]) into `fields` (cleared first), leaving forbidden fields out.
pub fn parse(section: &[u8], fields: &mut Fields) -> Result<(), Refusal> {
    fields.clear();
    if section == b"\r\n" {
        return Ok(());
    }
    scan::trailers(section, fields)?;
    if fields.list().len() > TRAILER_FIELDS_MAX {
        return Err(Refusal { status: 400, reason: "too many trailer fields", offset: section.len() });
    }
    fields.remove_where(|name, _| is_forbidden(name));
    Ok(())
}

/// Whether a field of that name may not stand in a trailer.
pub fn is_forbidden(name: &[u8]) -> bool {
    Known::of(name) != Known::Other || FORBIDDEN.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Writes a trailer section and the empty line after it.
pub fn write(fields: &Fields, out: &mut Vec<u8>) {
    for (name, value) in fields.iter() {
        super::encode::field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_may_stand_there() {
        let mut fields = Fields::default();
        let section = b"Content-Length: 5\r\nX-Sum: 1\r\nhost: a\r\nETag: \"x\"\r\nAuthorization: y\r\n\r\n";
        parse(section, &mut fields).unwrap();
        let mut out = Vec::new();
        write(&fields, &mut out);
        assert_eq!(out.escape_ascii().to_string(), r#"X-Sum: 1\r\nETag: \"x\"\r\n\r\n"#);
    }

    #[test]
    fn refuses_what_is_no_section() {
        let many = "a: b\r\n".repeat(TRAILER_FIELDS_MAX + 1) + "\r\n";
        for section in ["a\r\n\r\n", " a: b\r\n\r\n", "a : b\r\n\r\n", "a: \x00\r\n\r\n", "a: b\r\n", &many] {
            assert!(parse(section.as_bytes(), &mut Fields::default()).is_err(), "{section:?}");
        }
    }
}
