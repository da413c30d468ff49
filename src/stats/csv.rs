//! Statistics as comma-separated values (management manual, section 9.1).

use super::columns::TABLE;
use super::{Subject, Value};

/// Ends the fixed columns in every line; columns of modules would follow it.
const MARK: &[u8] = b"-,";

/// The header line.
pub fn header(out: &mut Vec<u8>) {
    out.extend_from_slice(b"# ");
    for column in TABLE {
        out.extend_from_slice(column.name.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(MARK);
    out.push(b'\n');
}

/// One object's line.
pub fn line(subject: &Subject<'_>, out: &mut Vec<u8>) {
    for column in TABLE {
        match column.value(subject) {
            Value::Text(text) => quote(&text, out),
            value => value.write_plain(out),
        }
        out.push(b',');
    }
    out.extend_from_slice(MARK);
    out.push(b'\n');
}

/// Appends text; in double quotes when it holds a comma, a quote or a line end. Quotes are doubled,
/// line feeds become spaces, carriage returns and trailing spaces go.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    let needs_quotes = text.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | b',' | b'"'));
    if needs_quotes {
        out.push(b'"');
    }
    let start = out.len();
    for byte in text.bytes() {
        match byte {
            b'\n' => out.push(b' '),
            b'\r' => {}
            b'"' => out.extend_from_slice(b"\"\""),
            other => out.push(other),
        }
    }
    while out.len() > start && out.last() == Some(&b' ') {
        out.pop();
    }
    if needs_quotes {
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_tools_expect() {
        for (text, expected) in [
            ("plain text", "plain text"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines\n", "\"two lines\""),
            ("trailing  ", "trailing"),
            ("", ""),
        ] {
            let mut out = Vec::new();
            quote(text, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn header_has_the_mark_at_its_end() {
        let mut out = Vec::new();
        header(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,"));
        assert!(text.ends_with(",resbout,cache_hint_hits,-,\n"));
    }
}
