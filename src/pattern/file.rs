//! Map and ACL files: what their names and lines mean (manual, section 7.1 and `map`).

/// How a file is named: `path`, `file@path`, `opt@path` or `virt@name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// It must exist.
    File(&'a str),
    /// It may be missing, and is empty then.
    Optional(&'a str),
    /// It lives in memory only.
    Virtual,
}

/// The source that a name means, and the name it has in the runtime API.
pub fn source(name: &str) -> (Source<'_>, &str) {
    if let Some(path) = name.strip_prefix("file@") {
        (Source::File(path), path)
    } else if let Some(path) = name.strip_prefix("opt@") {
        (Source::Optional(path), path)
    } else if name.starts_with("virt@") {
        (Source::Virtual, name)
    } else {
        (Source::File(name), name)
    }
}

/// One line that is neither blank nor a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number from 1.
    pub number: u32,
    /// The pattern: the first word of a map's line, the whole of another's.
    pub key: &'a [u8],
    /// What follows the first word, trimmed; empty in a file without values.
    pub value: &'a [u8],
}

/// The lines of a file. Lines end with LF or CRLF; a `#` as their first byte makes a comment. Blanks in
/// front never count; those at the end belong to a list's pattern, but to no map's value.
pub fn lines(text: &[u8], is_map: bool) -> impl Iterator<Item = Line<'_>> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    text.split(|byte| *byte == b'\n').enumerate().filter_map(move |(index, line)| {
        if line.starts_with(b"#") {
            return None;
        }
        let line = line.split(|byte| *byte == b'\r').next().unwrap_or(line);
        let start = line.iter().position(|byte| !is_blank(byte))?;
        let line = &line[start..];
        let number = index as u32 + 1;
        if !is_map {
            return Some(Line { number, key: line, value: b"" });
        }
        let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(0, |at| at + 1);
        let line = &line[..end];
        let key_end = line.iter().position(is_blank).unwrap_or(line.len());
        let value_start =
            line[key_end..].iter().position(|b| !is_blank(b)).map_or(line.len(), |at| key_end + at);
        Some(Line { number, key: &line[..key_end], value: &line[value_start..] })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_as_maps_and_lists() {
        let text = b"# comment\n\n  key1   value one  \r\nkey2\n\tkey3\tv\n #x y\nlast l";
        let read = |is_map| {
            lines(text, is_map)
                .map(|l| format!("{}:{}={}", l.number, l.key.escape_ascii(), l.value.escape_ascii()))
                .collect::<Vec<_>>()
        };
        assert_eq!(read(true), ["3:key1=value one", "4:key2=", "5:key3=v", "6:#x=y", "7:last=l"]);
        assert_eq!(read(false), ["3:key1   value one  =", "4:key2=", "5:key3\\tv=", "6:#x y=", "7:last l="]);
    }

    #[test]
    fn names() {
        for (name, expected) in [
            ("/etc/a.map", (Source::File("/etc/a.map"), "/etc/a.map")),
            ("file@a", (Source::File("a"), "a")),
            ("opt@/x", (Source::Optional("/x"), "/x")),
            ("virt@hosts", (Source::Virtual, "virt@hosts")),
        ] {
            assert_eq!(source(name), expected);
        }
    }
}
