//! Comma-separated field values (RFC 9110 section 5.6.1).

use crate::base::text::trim;

/// The members of a list, trimmed, empty ones included; a comma within a quoted string separates
/// nothing.
pub fn items(value: &[u8]) -> Items<'_> {
    Items { rest: Some(value) }
}

/// See [`items`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = item_end(rest);
        self.rest = rest.get(end + 1..);
        Some(trim(&rest[..end]))
    }
}

/// Where the first member of a list ends: at its comma or at the end of the value.
pub fn item_end(value: &[u8]) -> usize {
    let Some(first) = memchr::memchr2(b',', b'"', value) else { return value.len() };
    if value[first] == b',' {
        return first;
    }
    let (mut quoted, mut escaped) = (false, false);
    for (index, &byte) in value.iter().enumerate().skip(first) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return index,
            _ => {}
        }
    }
    value.len()
}

/// Whether a list has the member `token`, in any case.
pub fn contains(value: &[u8], token: &[u8]) -> bool {
    if value.len() <= token.len() {
        return value.eq_ignore_ascii_case(token);
    }
    items(value).any(|item| item.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_outside_quotes_only() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[""]),
            ("a", &["a"]),
            (" a , b,,c ", &["a", "b", "", "c"]),
            ("a,", &["a", ""]),
            (r#"a="x,y", b"#, &[r#"a="x,y""#, "b"]),
            (r#""x\",y",b"#, &[r#""x\",y""#, "b"]),
            (r#""open, b"#, &[r#""open, b"#]),
        ];
        for (value, expected) in cases {
            let found: Vec<_> = items(value.as_bytes()).map(|i| str::from_utf8(i).unwrap()).collect();
            assert_eq!(found, *expected, "{value:?}");
        }
        assert!(contains(b"Keep-Alive, CLOSE", b"close"));
        assert!(!contains(b"closed", b"close"));
    }
}
