//! The cookies of a `Cookie` field with their places, so that one can be cut out of it.
//!
//! Not a cookie jar: names and values are borrowed as they stand. A value ends at a comma or a
//! semicolon outside quotes, as HAProxy has always read it, although RFC 6265 knows no comma.

use crate::base::text::trim;

/// One cookie, or something else between two delimiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// Where it starts in the field: at its delimiter, or at 0.
    pub start: usize,
    /// Where it ends: at the next delimiter, or at the field's end.
    pub end: usize,
    /// What stands before `=`, trimmed.
    pub name: &'a [u8],
    /// What stands after `=`, trimmed; `None` without a `=`.
    pub value: Option<&'a [u8]>,
    /// Where the value starts in the field.
    pub value_start: usize,
}

impl Item<'_> {
    /// RFC 2109 attributes of the cookie before (`$Path`, ...): they go where it goes.
    pub(super) fn is_attribute(&self) -> bool {
        self.name.first() == Some(&b'$')
    }
}

/// The items of a field's value in order.
pub(super) fn items(value: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut at = 0;
    let mut first = true;
    std::iter::from_fn(move || {
        if at >= value.len() {
            return None;
        }
        let start = at;
        let name_start = if first { start } else { start + 1 };
        first = false;
        let head_end = end_of(value, name_start, b"=,;");
        let item = if value.get(head_end) == Some(&b'=') {
            let value_start = skip_blanks(value, head_end + 1);
            let end = value_end(value, value_start);
            Item {
                start,
                end,
                name: trim(&value[name_start..head_end]),
                value: Some(trim(&value[value_start..end])),
                value_start,
            }
        } else {
            let name = trim(&value[name_start..head_end]);
            Item { start, end: head_end, name, value: None, value_start: head_end }
        };
        at = item.end;
        Some(item)
    })
}

/// Where an unquoted comma or semicolon ends the value that starts at `start`.
pub(super) fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b';' if !quoted => return index,
            _ => {}
        }
    }
    bytes.len()
}

/// The name and the value of a `Set-Cookie` field, and where the value stands in it.
pub(super) fn set_cookie(value: &[u8]) -> Option<Item<'_>> {
    let head_end = end_of(value, 0, b"=;");
    if value.get(head_end) != Some(&b'=') {
        return None;
    }
    let value_start = skip_blanks(value, head_end + 1);
    let end = value_end(value, value_start);
    let name = trim(&value[..head_end]);
    Some(Item { start: 0, end, name, value: Some(trim(&value[value_start..end])), value_start })
}

fn end_of(bytes: &[u8], start: usize, delimiters: &[u8]) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.iter().position(|byte| delimiters.contains(byte)).map_or(bytes.len(), |at| start + at)
}

fn skip_blanks(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &str, expected: &[(&str, Option<&str>)]) {
        let found: Vec<_> = items(field.as_bytes())
            .map(|item| {
                let text = |bytes| std::str::from_utf8(bytes).unwrap();
                (text(item.name), item.value.map(text))
            })
            .collect();
        assert_eq!(found, expected, "{field}");
    }

    #[test]
    fn finds_names_and_values() {
        check("a=1", &[("a", Some("1"))]);
        check("a=1; b=2", &[("a", Some("1")), ("b", Some("2"))]);
        check("a = 1 ;b=", &[("a", Some("1")), ("b", Some(""))]);
        check("a; b=2", &[("a", None), ("b", Some("2"))]);
        check("a=\"x;y\"; b=2", &[("a", Some("\"x;y\"")), ("b", Some("2"))]);
        check("a=1, $Path=/", &[("a", Some("1")), ("$Path", Some("/"))]);
        check("a=1;", &[("a", Some("1")), ("", None)]);
        check(";;", &[("", None), ("", None), ("", None)]);
        check("", &[]);
    }

    #[test]
    fn set_cookie_stops_at_its_attributes() {
        let item = set_cookie(b"S = x ; path=/").unwrap();
        assert_eq!((item.name, item.value, item.value_start), (&b"S"[..], Some(&b"x"[..]), 4));
        assert!(set_cookie(b"Secure; a=b").is_none());
    }
}
