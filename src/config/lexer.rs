//! One line of a configuration -> words: quotes, escapes, comments, environment variables (manual,
//! sections 2.2 and 2.3).
//!
//! It knows no keyword. The idea that keeps it fast: most words hold nothing special, so a word is
//! first scanned as a plain run and copied at once; only a word in which a quote, a backslash or an
//! escape turns up goes through the careful path, byte by byte.

use super::environment::Environment;
use super::syntax::Word;
use crate::base::text::{RAW_MARK, encode_raw};
use crate::diag::{FileId, Report, Span};

/// Words a line may have.
pub const WORDS_MAX: usize = 64;

/// Where a line stands, for spans and for the pseudo-variables `.LINE`, `.FILE` and `.SECTION`.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The file's number in the source map.
    pub file: FileId,
    /// The file's name.
    pub file_name: &'a str,
    /// The line's number from 1.
    pub line: u32,
    /// The name of the section it is in, if any.
    pub section: Option<&'a str>,
}

impl Place<'_> {
    /// Text that stands in no file: the condition of `-cc`, a runtime command.
    pub const NOWHERE: Place<'static> = Place { file: u32::MAX, file_name: "", line: 0, section: None };

    /// The bytes `start..end` of this line.
    pub fn span(&self, start: usize, end: usize) -> Span {
        if self.line == 0 {
            return Span::NONE;
        }
        Span { file: self.file, line: self.line, start: start as u32, end: end as u32 }
    }
}

/// What ended the reading of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexErrorKind {
    /// A quote is not closed.
    UnmatchedQuote,
    /// `${NAME` is not closed.
    UnmatchedBrace,
    /// `$` is followed by what cannot start a name.
    VariableName,
    /// `\x` is not followed by two hexadecimal digits.
    Hexadecimal,
    /// `${NAME[` is not followed by `*]`.
    WordExpansion,
    /// More than [`WORDS_MAX`] words.
    TooManyWords,
    /// A word is not UTF-8, on a line whose keyword needs it to be ([`raw_words`]).
    NotUtf8,
    /// `\x00`, which no word can hold.
    Nul,
}

/// A mistake in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexError {
    /// Which.
    pub kind: LexErrorKind,
    /// The byte of the line where it starts, from 0.
    pub position: usize,
}

impl LexError {
    /// The mistake in HAProxy's words, without its place.
    pub fn text(&self) -> &'static str {
        match self.kind {
            LexErrorKind::UnmatchedQuote => "unmatched quote",
            LexErrorKind::UnmatchedBrace => "unmatched brace in environment variable name",
            LexErrorKind::VariableName => "forbidden first char in environment variable name",
            LexErrorKind::Hexadecimal => "truncated or invalid hexadecimal sequence",
            LexErrorKind::WordExpansion => "truncated or invalid word expansion sequence",
            LexErrorKind::TooManyWords => "too many words, truncating after word 64",
            LexErrorKind::NotUtf8 => "word that is not valid UTF-8",
            LexErrorKind::Nul => "NUL character inside a word",
        }
    }

    /// What to do about it, where the mistake alone does not tell.
    fn help(&self) -> Option<&'static str> {
        match self.kind {
            LexErrorKind::VariableName => {
                Some("inside double quotes '$' starts a variable: write '\\$' or use single quotes")
            }
            LexErrorKind::TooManyWords => {
                Some("move the list into a file (ACL: '-f <file>') or split the line")
            }
            LexErrorKind::NotUtf8 => Some("save the file as UTF-8"),
            LexErrorKind::Nul => Some("a configuration cannot hold NUL bytes"),
            _ => None,
        }
    }

    /// Adds the mistake to a report.
    pub fn report(&self, place: &Place<'_>, line_len: usize, report: &mut Report) {
        let end = match self.kind {
            LexErrorKind::UnmatchedQuote | LexErrorKind::UnmatchedBrace => line_len,
            _ => self.position + 1,
        };
        let diagnostic = report.alert(
            place.span(self.position, end.max(self.position + 1)),
            match self.kind {
                LexErrorKind::TooManyWords => format!("{}, position {}", self.text(), self.position + 1),
                _ => format!("{} at position {}", self.text(), self.position + 1),
            },
        );
        diagnostic.excerpt = true;
        diagnostic.help = self.help().map(str::to_string);
    }
}

/// The words of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lexed {
    /// In order; an empty one is a word too.
    pub words: Vec<Word>,
    /// The first empty word: its number from 0, the byte where it starts, and the unset variable
    /// that emptied it.
    pub empty: Option<EmptyWord>,
}

/// Why a word is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmptyWord {
    /// Its number from 0.
    pub index: usize,
    /// The byte of the line to point at.
    pub position: usize,
    /// The variable that is not set, if that is the cause.
    pub variable: Option<String>,
}

/// Reads a line of a configuration file. Line ends (LF, CR) and NUL end it.
pub fn line(text: &[u8], place: &Place<'_>, environment: &Environment<'_>) -> Result<Lexed, LexError> {
    Lexer::new(text, place, environment, true).run()
}

/// Lines that may hold bytes which are not UTF-8: those that carry expressions and formats. There a
/// word is decoded by [`crate::base::text::decode_raw`] wherever it becomes bytes; elsewhere words
/// are names and paths, which are text.
const RAW_LINES: &[&str] = &[
    "acl",
    "error-log-format",
    "http-after-response",
    "http-check",
    "http-request",
    "http-response",
    "log-format",
    "log-format-sd",
    "redirect",
    "stick",
    "tcp-check",
    "tcp-request",
    "tcp-response",
    "unique-id-format",
    "use-server",
    "use_backend",
];

/// The first word that is not UTF-8 on a line where it has to be.
pub fn raw_words(words: &[Word]) -> Option<&Word> {
    let keyword =
        words.iter().map(|word| word.text.as_str()).find(|text| !matches!(*text, "no" | "default"))?;
    if RAW_LINES.contains(&keyword) {
        return None;
    }
    words.iter().find(|word| word.text.contains(RAW_MARK))
}

/// Reads a condition of the command line: as a line, but `#` is an ordinary character.
pub fn condition(text: &[u8], environment: &Environment<'_>) -> Result<Lexed, LexError> {
    Lexer::new(text, &Place::NOWHERE, environment, false).run()
}

/// `isspace()` in the C locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Bytes that end a plain run.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    let bytes = b" \t\n\r\x0b\x0c\0#\"'\\";
    while i < bytes.len() {
        table[bytes[i] as usize] = true;
        i += 1;
    }
    table
};

struct Lexer<'a> {
    text: &'a [u8],
    place: &'a Place<'a>,
    environment: &'a Environment<'a>,
    comments: bool,
    at: usize,
    words: Vec<Word>,
    empty: Option<EmptyWord>,
    /// Bytes of the word under way.
    word: Vec<u8>,
    /// Whether a word is under way; it may still be empty.
    started: bool,
    /// Where it started.
    start: usize,
    /// The first variable without a value in it: where its name stands, and the name.
    unset: Option<(usize, String)>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a [u8], place: &'a Place<'a>, environment: &'a Environment<'a>, comments: bool) -> Self {
        Lexer {
            text,
            place,
            environment,
            comments,
            at: 0,
            words: Vec::new(),
            empty: None,
            word: Vec::new(),
            started: false,
            start: 0,
            unset: None,
        }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn fail<T>(&self, kind: LexErrorKind, position: usize) -> Result<T, LexError> {
        Err(LexError { kind, position })
    }

    fn run(mut self) -> Result<Lexed, LexError> {
        loop {
            while is_space(self.peek(0)) && !matches!(self.peek(0), b'\n' | b'\r') {
                self.at += 1;
            }
            if self.at_end() {
                break;
            }
            // The plain run: no special byte up to the word's end.
            let from = self.at;
            let len = self.text[from..].iter().position(|b| SPECIAL[*b as usize]);
            let end = len.map_or(self.text.len(), |len| from + len);
            let stop = self.text.get(end).copied().unwrap_or(0);
            if stop == 0 || is_space(stop) || (stop == b'#' && self.comments) {
                let text = encode_raw(&self.text[from..end]);
                self.at = end;
                self.push(text, from)?;
                continue;
            }
            self.start = from;
            self.started = false;
            self.word.extend_from_slice(&self.text[from..end]);
            self.started |= end > from;
            self.at = end;
            self.rest_of_word()?;
            self.end_word()?;
        }
        Ok(Lexed { words: self.words, empty: self.empty })
    }

    fn at_end(&self) -> bool {
        matches!(self.peek(0), 0 | b'\n' | b'\r') || (self.peek(0) == b'#' && self.comments)
    }

    fn push(&mut self, text: String, start: usize) -> Result<(), LexError> {
        if self.words.len() == WORDS_MAX {
            return self.fail(LexErrorKind::TooManyWords, start);
        }
        self.words.push(Word { text, span: self.place.span(start, self.at) });
        Ok(())
    }

    /// Ends the word under way, if one is.
    fn end_word(&mut self) -> Result<(), LexError> {
        let unset = self.unset.take();
        if !self.started {
            return Ok(());
        }
        self.started = false;
        if self.word.is_empty() && self.empty.is_none() {
            let (position, variable) = match unset {
                Some((position, name)) => (position, Some(name)),
                None => (self.start, None),
            };
            self.empty = Some(EmptyWord { index: self.words.len(), position, variable });
        }
        let start = self.start;
        let word = std::mem::take(&mut self.word);
        if word.contains(&0) {
            return self.fail(LexErrorKind::Nul, start);
        }
        self.push(encode_raw(&word), start)
    }

    /// Reads on to an unquoted space, a comment or the line's end.
    fn rest_of_word(&mut self) -> Result<(), LexError> {
        /// The quote that is open.
        struct Open {
            quote: u8,
            at: usize,
            /// Nothing was written since.
            empty: bool,
        }
        let mut open: Option<Open> = None;
        loop {
            let byte = self.peek(0);
            if matches!(byte, 0 | b'\n' | b'\r') {
                return match open {
                    Some(open) => self.fail(LexErrorKind::UnmatchedQuote, open.at),
                    None => Ok(()),
                };
            }
            match &mut open {
                None if is_space(byte) || (byte == b'#' && self.comments) => return Ok(()),
                None if byte == b'"' || byte == b'\'' => {
                    open = Some(Open { quote: byte, at: self.at, empty: true });
                    self.at += 1;
                }
                Some(o) if byte == o.quote => {
                    self.started |= o.empty; // `""` makes an empty word
                    open = None;
                    self.at += 1;
                }
                Some(o) if o.quote == b'\'' => {
                    o.empty = false;
                    self.emit(byte);
                    self.at += 1;
                }
                o if byte == b'\\' => {
                    let in_double = o.is_some();
                    if let Some(o) = o {
                        o.empty = false;
                    }
                    self.escape(in_double)?;
                }
                Some(o) if byte == b'$' => {
                    // An array that is empty leaves no word behind, not even an empty one.
                    o.empty &= !self.variable()?;
                }
                o => {
                    if let Some(o) = o {
                        o.empty = false;
                    }
                    self.emit(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn emit(&mut self, byte: u8) {
        self.started = true;
        self.word.push(byte);
    }

    /// A backslash outside single quotes.
    fn escape(&mut self, in_double: bool) -> Result<(), LexError> {
        let next = self.peek(1);
        let (byte, len) = match next {
            b' ' | b'\\' | b'\'' | b'"' => (next, 2),
            b'#' if self.comments => (b'#', 2),
            b't' => (b'\t', 2),
            b'n' => (b'\n', 2),
            b'r' => (b'\r', 2),
            b'$' if in_double => (b'$', 2),
            b'x' => {
                let digit = |byte: u8| (byte as char).to_digit(16);
                match (digit(self.peek(2)), digit(self.peek(3))) {
                    (Some(high), Some(low)) => ((high << 4 | low) as u8, 4),
                    _ => return self.fail(LexErrorKind::Hexadecimal, self.at),
                }
            }
            // Any other pair stays as it is, so that `\d` and `\1` reach regular expressions.
            _ => (b'\\', 1),
        };
        self.emit(byte);
        self.at += len;
        Ok(())
    }

    /// A variable inside double quotes. Tells whether it was an array (`[*]`).
    fn variable(&mut self) -> Result<bool, LexError> {
        self.at += 1;
        let brace = (self.peek(0) == b'{').then_some(self.at);
        if brace.is_some() {
            self.at += 1;
        }
        let first = self.peek(0);
        if !first.is_ascii_alphabetic() && first != b'_' && first != b'.' {
            return self.fail(LexErrorKind::VariableName, self.at);
        }
        let name_at = self.at;
        if first == b'.' {
            self.at += 1;
        }
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == b'_' {
            self.at += 1;
        }
        let name = std::str::from_utf8(&self.text[name_at..self.at]).expect("ASCII");
        let mut value = match name {
            ".LINE" => Some(self.place.line.to_string()),
            ".FILE" => Some(self.place.file_name.to_string()),
            ".SECTION" => Some(self.place.section.unwrap_or_default().to_string()),
            _ if first == b'.' => return self.fail(LexErrorKind::VariableName, name_at),
            _ => self.environment.get(name),
        };
        let mut array = false;
        if let Some(brace) = brace {
            if self.peek(0) == b'[' {
                if self.peek(1) != b'*' || self.peek(2) != b']' {
                    return self.fail(LexErrorKind::WordExpansion, self.at);
                }
                array = true;
                self.at += 3;
            }
            if self.peek(0) == b'-' {
                let from = self.at + 1;
                let rest = self.text.get(from..).unwrap_or_default();
                let Some(len) = rest.iter().position(|b| *b == b'}') else {
                    return self.fail(LexErrorKind::UnmatchedBrace, brace);
                };
                if value.is_none() {
                    value = Some(String::from_utf8_lossy(&rest[..len]).into_owned());
                }
                self.at = from + len;
            }
            if self.peek(0) != b'}' {
                return self.fail(LexErrorKind::UnmatchedBrace, brace);
            }
            self.at += 1;
        }
        match value {
            Some(value) if array => {
                for byte in value.bytes() {
                    if is_space(byte) {
                        self.end_word()?;
                    } else {
                        self.emit(byte);
                    }
                }
            }
            Some(value) => {
                self.started |= !value.is_empty();
                self.word.extend_from_slice(value.as_bytes());
            }
            None if array => {}
            None => {
                // It counts as a word although nothing is in it.
                self.started = true;
                if self.unset.is_none() {
                    self.unset = Some((name_at, name.to_string()));
                }
            }
        }
        Ok(array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Memory;

    fn check(text: &str, expected: Result<&[&str], (LexErrorKind, usize)>) {
        let world = Memory::default()
            .variable("ONE", "1")
            .variable("EMPTY", "")
            .variable("LIST", "a b  c")
            .variable("PADDED", " x ");
        let environment = Environment::bare(&world);
        let place = Place { file: 0, file_name: "f.cfg", line: 7, section: Some("www") };
        let result = line(text.as_bytes(), &place, &environment);
        let words = result.as_ref().map(|l| l.words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>());
        match (words, expected) {
            (Ok(words), Ok(expected)) => assert_eq!(words, expected, "{text:?}"),
            (Err(error), Err(expected)) => assert_eq!((error.kind, error.position), expected, "{text:?}"),
            (got, expected) => panic!("{text:?}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn words_quotes_and_escapes() {
        for (text, expected) in [
            ("", &[][..]),
            ("# all comment", &[]),
            ("global#comment", &["global"]),
            ("a\tb\u{b}c\u{c}d", &["a", "b", "c", "d"]),
            ("bind *:80 # x", &["bind", "*:80"]),
            ("a 'b # c' d", &["a", "b # c", "d"]),
            (r#"a"b c"'d e'f"#, &["ab cd ef"]),
            (r#"'' """#, &["", ""]),
            (r"a\ b a\#b a\'b a\\b", &["a b", "a#b", "a'b", r"a\b"]),
            (r"\d\1\.\$", &[r"\d\1\.\$"]),
            (r#""\$x" '\$x' '\ '"#, &["$x", r"\$x", r"\ "]),
            (r"\x41\x42 \t", &["AB", "\t"]),
            (r#""it's" 'say "x"'"#, &["it's", "say \"x\""]),
            ("crlf line\r", &["crlf", "line"]),
            ("\u{e9}t\u{e9}", &["\u{e9}t\u{e9}"]),
            ("stop\0here", &["stop"]),
        ] {
            check(text, Ok(expected));
        }
    }

    #[test]
    fn variables() {
        for (text, expected) in [
            (r#"$ONE '$ONE' "$ONE" "${ONE}x""#, &["$ONE", "$ONE", "1", "1x"][..]),
            (r#""${NONE-5s}" "${ONE-5s}" "${EMPTY-5s}x""#, &["5s", "1", "x"]),
            (r#""fd@${ONE}""#, &["fd@1"]),
            (r#""${LIST[*]}" z"#, &["a", "b", "c", "z"]),
            (r#"x"${LIST[*]}"y"#, &["xa", "b", "cy"]),
            (r#""${EMPTY[*]}" z "${NONE[*]}""#, &["z"]),
            (r#"a"${PADDED[*]}"b"#, &["a", "x", "b"]),
            (r#""${NONE[*]-p q}""#, &["p", "q"]),
            (r#""${.LINE}:${.FILE}:${.SECTION}""#, &["7:f.cfg:www"]),
            (r#""$EMPTY""#, &[""]),
            (r#""$NONE""#, &[""]),
        ] {
            check(text, Ok(expected));
        }
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, kind, position) in [
            (r#"a "b"#, LexErrorKind::UnmatchedQuote, 2),
            ("a 'b\r'", LexErrorKind::UnmatchedQuote, 2),
            (r#""${ONE""#, LexErrorKind::UnmatchedBrace, 2),
            (r#""${ONE-x""#, LexErrorKind::UnmatchedBrace, 2),
            (r#""$5""#, LexErrorKind::VariableName, 2),
            (r#""${.NOPE}""#, LexErrorKind::VariableName, 3),
            (r"x \xZZ", LexErrorKind::Hexadecimal, 2),
            (r"\x4", LexErrorKind::Hexadecimal, 0),
            (r#""${ONE[1]}""#, LexErrorKind::WordExpansion, 6),
            (r"a\x00", LexErrorKind::Nul, 0),
        ] {
            check(text, Err((kind, position)));
        }
        let many = vec!["w"; WORDS_MAX + 1].join(" ");
        check(&many, Err((LexErrorKind::TooManyWords, 2 * WORDS_MAX)));
        let world = Memory::default();
        let environment = Environment::bare(&world);
        let just = vec!["w"; WORDS_MAX].join(" ");
        assert_eq!(line(just.as_bytes(), &Place::NOWHERE, &environment).unwrap().words.len(), WORDS_MAX);
    }

    #[test]
    fn spans_and_empty_words() {
        let world = Memory::default();
        let environment = Environment::bare(&world);
        let place = Place { file: 3, file_name: "f", line: 9, section: None };
        let lexed = line(br#"  log "$NONE" 'a b'"#, &place, &environment).unwrap();
        let spans: Vec<(u32, u32)> = lexed.words.iter().map(|w| (w.span.start, w.span.end)).collect();
        assert_eq!(spans, [(2, 5), (6, 13), (14, 19)]);
        assert_eq!(lexed.empty, Some(EmptyWord { index: 1, position: 8, variable: Some("NONE".into()) }));
    }

    #[test]
    fn a_condition_has_no_comments() {
        let world = Memory::default();
        let environment = Environment::bare(&world);
        let words = condition(br##"streq(a,"#b")"##, &environment).unwrap().words;
        assert_eq!(words[0].text, "streq(a,#b)");
        assert_eq!(condition(b"a # b", &environment).unwrap().words.len(), 3);
    }
}
