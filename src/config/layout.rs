//! The look of a configuration: `haring fmt`.
//!
//! It moves white space and nothing else. Words are kept as they are written, quotes and all; a line
//! that the lexer would refuse is left alone to the byte; comments stay, and of several
//! blank lines in a row one. Sections
//! start at the margin, their lines one step in, the lines of an `.if` one more.

use super::read::SECTIONS;

/// One step of indentation.
const STEP: usize = 4;
/// Columns that a tab counts for when an old indentation is judged.
const TAB: usize = 8;

/// What a line is, with the parts to be kept.
#[derive(Debug, PartialEq, Eq)]
enum Row<'a> {
    Blank,
    Comment(&'a [u8]),
    /// Words as written and the comment after them.
    Words(Vec<&'a [u8]>, Option<&'a [u8]>),
    /// Not to be touched.
    Raw(&'a [u8]),
}

/// The text in its canonical layout. Formatting it again changes nothing.
pub fn format(bytes: &[u8]) -> Vec<u8> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let rows: Vec<Row<'_>> = lines.iter().map(|line| row(line)).collect();
    // For each line: whether the next one that says something starts a section.
    let mut section_follows = vec![false; rows.len()];
    let mut follows = false;
    for (index, row) in rows.iter().enumerate().rev() {
        section_follows[index] = follows;
        match row {
            Row::Words(words, _) if !is_directive(words[0]) => follows = is_section(words[0]),
            Row::Raw(_) => follows = false,
            _ => {}
        }
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut depth = 0_usize;
    // What the lines of an open section are indented by; blocks around sections shift them.
    let mut inside = 0_usize;
    let mut blocks: Vec<usize> = Vec::new();
    // Blank lines part what stands around them: one does, and there is nothing to part at the ends.
    let mut parted = true;
    let last = rows.iter().rposition(|row| *row != Row::Blank);
    for (index, row) in rows.iter().enumerate() {
        let is_blank = *row == Row::Blank;
        if is_blank && (parted || last.is_none_or(|last| index > last)) {
            continue;
        }
        parted = is_blank;
        let section = inside + depth;
        let head = depth;
        match row {
            Row::Blank => {}
            Row::Raw(line) => out.extend_from_slice(line),
            Row::Comment(comment) => {
                let was = columns(lines[index]);
                let outer = section_follows[index] && was <= head * STEP;
                indent(&mut out, if outer { head } else { section });
                out.extend_from_slice(comment);
            }
            Row::Words(words, comment) => {
                let step = match words[0] {
                    b".if" => {
                        let at = if section_follows[index] { head } else { section };
                        blocks.push(at);
                        depth += 1;
                        at
                    }
                    b".elif" | b".else" => blocks.last().copied().unwrap_or(section),
                    b".endif" => {
                        depth = depth.saturating_sub(1);
                        blocks.pop().unwrap_or(section)
                    }
                    word if is_section(word) => {
                        inside = 1;
                        head
                    }
                    _ => section,
                };
                indent(&mut out, step);
                out.extend_from_slice(&words.join(&b' '));
                if let Some(comment) = comment {
                    out.push(b' ');
                    out.extend_from_slice(comment);
                }
            }
        }
        out.push(b'\n');
    }
    out
}

/// A word as it must be written to be read back as it is.
pub fn quote(word: &str) -> String {
    let special = |c: char| c.is_whitespace() || c.is_control() || "\"'\\#$".contains(c);
    if !word.is_empty() && !word.contains(special) {
        return word.to_string();
    }
    if !word.contains('\'') && !word.contains(['\n', '\r']) {
        return format!("'{word}'");
    }
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' | '$' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ => out.push(c),
        }
    }
    out + "\""
}

fn indent(out: &mut Vec<u8>, steps: usize) {
    out.resize(out.len() + steps * STEP, b' ');
}

fn is_section(word: &[u8]) -> bool {
    SECTIONS.iter().any(|section| section.as_bytes() == word)
}

fn is_directive(word: &[u8]) -> bool {
    word.first() == Some(&b'.')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c)
}

/// How far a line was indented.
fn columns(line: &[u8]) -> usize {
    line.iter()
        .take_while(|b| is_space(**b))
        .fold(0, |column, b| if *b == b'\t' { column / TAB * TAB + TAB } else { column + 1 })
}

/// Takes a line apart without changing a byte of its words.
fn row(line: &[u8]) -> Row<'_> {
    let body = line.strip_suffix(b"\r").unwrap_or(line);
    // What follows a carriage return or a NUL is not read at all; that is not for us to mend.
    if body.iter().any(|b| matches!(b, b'\r' | 0)) {
        return Row::Raw(line);
    }
    let start = body.iter().position(|b| !is_space(*b)).unwrap_or(body.len());
    if start == body.len() {
        return Row::Blank;
    }
    if body[start] == b'[' {
        return Row::Raw(line);
    }
    let mut words = Vec::new();
    let mut word = None;
    let mut quoted = None;
    let mut at = start;
    while at < body.len() {
        let byte = body[at];
        match quoted {
            None if is_space(byte) => words.extend(word.take().map(|from| &body[from..at])),
            None if byte == b'#' => break,
            _ => {
                word.get_or_insert(at);
                match byte {
                    b'\\' if quoted != Some(b'\'') => at += 1,
                    b'"' | b'\'' if quoted.is_none() => quoted = Some(byte),
                    _ if quoted == Some(byte) => quoted = None,
                    _ => {}
                }
            }
        }
        at += 1;
    }
    if quoted.is_some() {
        return Row::Raw(line);
    }
    let end = at.min(body.len());
    words.extend(word.map(|from| &body[from..end]));
    let comment = (end < body.len()).then(|| body[end..].trim_ascii_end());
    match (words.is_empty(), comment) {
        (true, Some(comment)) => Row::Comment(comment),
        (true, None) => Row::Blank,
        (false, comment) => Row::Words(words, comment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;
    use crate::config::lexer::{self, Place};
    use crate::config::testing::Memory;

    /// What the lexer makes of each line that says something.
    fn meaning(text: &[u8]) -> Vec<Result<Vec<String>, lexer::LexErrorKind>> {
        let world = Memory::default();
        let environment = Environment::bare(&world);
        text.split(|b| *b == b'\n')
            .map(|line| {
                lexer::line(line, &Place::NOWHERE, &environment)
                    .map(|lexed| lexed.words.into_iter().map(|word| word.text).collect::<Vec<_>>())
                    .map_err(|error| error.kind)
            })
            .filter(|line| line.as_ref().map_or(true, |words| !words.is_empty()))
            .collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let formatted = format(text.as_bytes());
        assert_eq!(String::from_utf8_lossy(&formatted), expected, "{text:?}");
        assert_eq!(format(&formatted), formatted, "formatting again changes nothing");
        assert_eq!(meaning(&formatted), meaning(text.as_bytes()), "the meaning is kept");
    }

    #[test]
    fn sections_and_lines() {
        check("", "");
        check(
            "# top\nglobal\n\tmaxconn   1\n\n\n  # in\n log  stdout  # why\n# about www\nfrontend www\nbind :80#x\n",
            "# top\nglobal\n    maxconn 1\n\n    # in\n    log stdout # why\n# about www\nfrontend www\n    bind :80 #x\n",
        );
        check("global\r\n maxconn 1\r\n", "global\n    maxconn 1\n");
        check("global\nmaxconn 1", "global\n    maxconn 1\n");
        check("  orphan  line\nglobal\n", "orphan line\nglobal\n");
        check("\n\n", "");
        check("\n\nglobal\n\n \n\t\n maxconn 1\n\n\n", "global\n\n    maxconn 1\n");
    }

    #[test]
    fn quotes_and_escapes_stay() {
        check(
            "frontend x\n acl a  path  'a  b'   \"c  # d\"  e\\ \\ f\\#g \\\n",
            "frontend x\n    acl a path 'a  b' \"c  # d\" e\\ \\ f\\#g \\\n",
        );
        check("global\n log \"a\\\"  b\"  'c\\'  d\n", "global\n    log \"a\\\"  b\" 'c\\' d\n");
        check(
            "global\n  bad  \"unclosed   quote\n  ok   1\n",
            "global\n  bad  \"unclosed   quote\n    ok 1\n",
        );
        check("[scope]  \nglobal\n", "[scope]  \nglobal\n");
        check("global\n  a  b\rc  d\n", "global\n  a  b\rc  d\n");
    }

    #[test]
    fn blocks() {
        check(
            "global\n.if 1\nmaxconn 1\n.if 0\na\n.endif\n.else\n# c\nb\n.endif\nd\n",
            "global\n    .if 1\n        maxconn 1\n        .if 0\n            a\n        .endif\n    .else\n        # c\n        b\n    .endif\n    d\n",
        );
        check(
            "global\n a\n.if feature(X)\nfrontend f\nbind :1\n.endif\nbackend b\nmode tcp\n",
            "global\n    a\n.if feature(X)\n    frontend f\n        bind :1\n.endif\nbackend b\n    mode tcp\n",
        );
        check(".endif\n.endif\nglobal\n", ".endif\n.endif\nglobal\n");
    }

    #[test]
    fn nonsense_is_stable() {
        let mut seed = 7_u32;
        let alphabet = b"a# \t\"'\\\n\r$.[{}global\n.if\n.endif\nfrontend";
        for _ in 0..3000 {
            let text: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    alphabet[(seed >> 16) as usize % alphabet.len()]
                })
                .collect();
            let once = format(&text);
            assert_eq!(format(&once), once, "{:?}", String::from_utf8_lossy(&text));
            assert_eq!(meaning(&once), meaning(&text), "{:?}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn quoted_words_read_back() {
        let world = Memory::default();
        let environment = Environment::bare(&world);
        for word in ["plain", "a b", "it's", "a\\d$x \"y\" 'z'", "#", "tab\there", "l\nf"] {
            let lexed = lexer::line(quote(word).as_bytes(), &Place::NOWHERE, &environment).unwrap();
            assert_eq!(lexed.words.len(), 1, "{word:?}");
            assert_eq!(lexed.words[0].text, word);
        }
    }
}
