//! PCRE2's spelling of a pattern in the words of the `regex` crate, where both can mean the same.
//!
//! A list of what is known to mean the same, not of what differs: a construct that is not on it sends the
//! whole pattern to PCRE2. So a spelling that only looks alike (`a++`, `\v`, `\<`, `[a&&b]`, `(?R)`) is never
//! taken for what the other language calls by it. The outcome is ASCII: bytes are written `\xHH`, which is
//! also how PCRE2 without UTF mode sees a multi-byte character.

/// A pattern for the `regex` crate with Unicode off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Linear {
    /// Its text.
    pub text: String,
    /// Whether it has an end that also matches before a final newline (`$`, `\Z`).
    pub ends: bool,
}

/// The same pattern for the `regex` crate, or `None` if that is not known to exist.
pub(super) fn linear(pattern: &[u8]) -> Option<Linear> {
    let mut translation =
        Translation { rest: pattern, out: String::with_capacity(pattern.len() + 16), ends: false };
    translation.run()?;
    Some(Linear { text: translation.out, ends: translation.ends })
}

/// A pattern in ASCII, for bytes that are no text.
pub(super) fn in_ascii(pattern: &[u8]) -> String {
    let mut out = String::new();
    for byte in pattern {
        match byte {
            0..0x80 => out.push(*byte as char),
            _ => push_hex(&mut out, *byte),
        }
    }
    out
}

/// What to write instead of a pattern that back-tracks.
pub(super) fn advice(pattern: &[u8]) -> &'static str {
    let has = |what: &str| memchr::memmem::find(pattern, what.as_bytes()).is_some();
    if has("(?=") || has("(?!") || has("(?<=") || has("(?<!") {
        "a second ACL, negated with '!' where the pattern says (?!...), tests the same without look-around"
    } else if has("++") || has("*+") || has("?+") || has("}+") || has("(?>") {
        "where nothing back-tracks, '+' does what '++' does and '(?:' what '(?>' does"
    } else if has("\\K") {
        "put what stands before '\\K' into a group and refer to it as '\\1' in the replacement"
    } else {
        "if the subject comes from clients, keep it short or compare it by other means"
    }
}

fn push_hex(out: &mut String, byte: u8) {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    out.push_str("\\x");
    out.push(digit(byte >> 4));
    out.push(digit(byte & 15));
}

fn push_literal(out: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || byte == b'_' {
        out.push(byte as char);
    } else {
        push_hex(out, byte);
    }
}

/// Names in `[:name:]` that both languages know alike.
const CLASSES: [&[u8]; 14] = [
    b"alpha", b"digit", b"alnum", b"upper", b"lower", b"space", b"blank", b"punct", b"print", b"graph",
    b"cntrl", b"xdigit", b"word", b"ascii",
];

/// What stands between the brackets of a class.
enum Member {
    /// One byte: it may begin or end a range.
    Byte(u8),
    /// Several, written already.
    Set(&'static str),
    /// Nothing (`\E`).
    Nothing,
}

struct Translation<'p> {
    rest: &'p [u8],
    out: String,
    ends: bool,
}

impl<'p> Translation<'p> {
    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
    fn take(&mut self, what: &[u8]) -> bool {
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn run(&mut self) -> Option<()> {
        // Whether a quantifier has something to repeat.
        let mut repeatable = false;
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => self.escape()?,
                b'[' => self.class()?,
                b'(' => {
                    self.group()?;
                    repeatable = false;
                    continue;
                }
                b'|' => {
                    self.out.push('|');
                    repeatable = false;
                    continue;
                }
                b'*' | b'+' | b'?' => {
                    self.repeat(repeatable, byte as char, b"")?;
                    repeatable = false;
                    continue;
                }
                b'{' => {
                    if let Some(len) = quantifier(self.rest) {
                        let (inside, rest) = self.rest.split_at(len);
                        self.rest = rest;
                        self.repeat(repeatable, '{', inside)?;
                        repeatable = false;
                        continue;
                    }
                    push_literal(&mut self.out, b'{');
                }
                b'$' => self.end()?,
                b'.' | b'^' | b')' => self.out.push(byte as char),
                _ => push_literal(&mut self.out, byte),
            }
            repeatable = true;
        }
        Some(())
    }

    /// A quantifier, perhaps lazy. Possessive ones, and those of quantifiers, are PCRE2's.
    fn repeat(&mut self, repeatable: bool, first: char, inside: &[u8]) -> Option<()> {
        if !repeatable {
            return None;
        }
        self.out.push(first);
        self.out.extend(inside.iter().map(|byte| *byte as char));
        if self.take(b"?") {
            self.out.push('?');
        }
        let again = matches!(self.rest.first(), Some(b'+' | b'*' | b'?'))
            || (self.rest.first() == Some(&b'{') && quantifier(&self.rest[1..]).is_some());
        if again { None } else { Some(()) }
    }

    /// `$` and `\Z`. What follows one inside a sequence could still match the newline; rare enough.
    fn end(&mut self) -> Option<()> {
        self.ends = true;
        self.out.push('$');
        if matches!(self.rest.first(), None | Some(b')' | b'|')) { Some(()) } else { None }
    }

    fn group(&mut self) -> Option<()> {
        if self.rest.first() == Some(&b'*') {
            return None;
        }
        if !self.take(b"?") {
            self.out.push('(');
            return Some(());
        }
        if self.take(b"#") {
            let end = self.rest.iter().position(|byte| *byte == b')')?;
            self.rest = &self.rest[end + 1..];
            return Some(());
        }
        let named = self.take(b"P<")
            || (!self.rest.starts_with(b"<=") && !self.rest.starts_with(b"<!") && self.take(b"<"));
        if named {
            let end = self.rest.iter().position(|byte| *byte == b'>')?;
            let (name, rest) = self.rest.split_at(end + 1);
            self.rest = rest;
            self.out.push_str("(?P<");
            self.out.push_str(std::str::from_utf8(name).ok()?);
            return Some(());
        }
        // (?i) (?s-i: (?: — other letters mean other things in the two languages.
        let end = self.rest.iter().position(|byte| matches!(byte, b')' | b':'))?;
        let (flags, rest) = self.rest.split_at(end + 1);
        if !flags[..end].iter().all(|flag| matches!(flag, b'i' | b's' | b'-'))
            || flags == b")"
            || flags[..end].ends_with(b"-")
        {
            return None;
        }
        self.rest = rest;
        self.out.push_str("(?");
        self.out.push_str(std::str::from_utf8(flags).ok()?);
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        let byte = self.next()?;
        match byte {
            b'd' | b'D' | b'w' | b'W' | b's' | b'S' | b'b' | b'B' | b'A' | b'z' | b'n' | b'r' | b't'
            | b'f' | b'a' => {
                self.out.push('\\');
                self.out.push(byte as char);
            }
            b'Z' => self.end()?,
            b'h' => self.out.push_str("[\\t \\xa0]"),
            b'H' => self.out.push_str("[^\\t \\xa0]"),
            b'v' => self.out.push_str("[\\n-\\r\\x85]"),
            b'V' => self.out.push_str("[^\\n-\\r\\x85]"),
            b'N' => self.out.push_str("[^\\n]"),
            b'e' => push_hex(&mut self.out, 0x1b),
            b'x' => {
                let byte = self.hex()?;
                push_hex(&mut self.out, byte);
            }
            b'Q' => {
                let end = memchr::memmem::find(self.rest, b"\\E");
                let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                text.iter().for_each(|byte| push_literal(&mut self.out, *byte));
                self.rest = rest.strip_prefix(b"\\E").unwrap_or(rest);
                if text.is_empty() {
                    return None;
                }
            }
            _ if byte.is_ascii_alphanumeric() => return None,
            _ => push_literal(&mut self.out, byte),
        }
        Some(())
    }

    /// What follows `\x`: up to two digits, or any number in braces.
    fn hex(&mut self) -> Option<u8> {
        let number = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        if self.take(b"{") {
            let end = self.rest.iter().position(|byte| *byte == b'}')?;
            let digits = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            return number(digits).filter(|_| digits.iter().all(u8::is_ascii_hexdigit));
        }
        let len = self.rest.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        if len == 0 { Some(0) } else { number(digits) }
    }

    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.take(b"^") {
            self.out.push('^');
        }
        if self.take(b"]") {
            // A range from `]` is too odd to follow.
            if self.rest.first() == Some(&b'-') {
                return None;
            }
            push_hex(&mut self.out, b']');
        }
        loop {
            if self.take(b"]") {
                self.out.push(']');
                return Some(());
            }
            let low = match self.member()? {
                Member::Byte(low) => low,
                Member::Set(set) => {
                    self.out.push_str(set);
                    continue;
                }
                Member::Nothing => continue,
            };
            push_literal(&mut self.out, low);
            let is_range = self.rest.first() == Some(&b'-') && self.rest.get(1) != Some(&b']');
            if is_range {
                self.next();
                match self.member()? {
                    Member::Byte(high) if low <= high => {
                        self.out.push('-');
                        push_literal(&mut self.out, high);
                    }
                    Member::Set(set) => {
                        push_literal(&mut self.out, b'-');
                        self.out.push_str(set);
                    }
                    _ => return None,
                }
            }
        }
    }

    fn member(&mut self) -> Option<Member> {
        let byte = self.next()?;
        if byte == b'[' && matches!(self.rest.first(), Some(b':' | b'.' | b'=')) {
            return self.named_class();
        }
        if byte != b'\\' {
            return Some(Member::Byte(byte));
        }
        Some(match self.next()? {
            b'd' => Member::Set("\\d"),
            b'D' => Member::Set("\\D"),
            b'w' => Member::Set("\\w"),
            b'W' => Member::Set("\\W"),
            b's' => Member::Set("\\s"),
            b'S' => Member::Set("\\S"),
            b'h' => Member::Set("\\t \\xa0"),
            b'v' => Member::Set("\\n-\\r\\x85"),
            b'n' => Member::Byte(b'\n'),
            b'r' => Member::Byte(b'\r'),
            b't' => Member::Byte(b'\t'),
            b'f' => Member::Byte(0x0c),
            b'a' => Member::Byte(0x07),
            b'b' => Member::Byte(0x08),
            b'e' => Member::Byte(0x1b),
            b'x' => Member::Byte(self.hex()?),
            b'E' => Member::Nothing,
            byte if byte.is_ascii_alphanumeric() => return None,
            byte => Member::Byte(byte),
        })
    }

    /// `[:alpha:]`, `[:^digit:]`; without its end, the bracket is a bracket.
    fn named_class(&mut self) -> Option<Member> {
        let close = [self.rest[0], b']'];
        let Some(end) = memchr::memmem::find(&self.rest[1..], &close) else {
            return Some(Member::Byte(b'['));
        };
        let name = &self.rest[1..1 + end];
        let is_name = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'^';
        if self.rest[0] == b':' && !name.iter().all(is_name) {
            return Some(Member::Byte(b'['));
        }
        let (negated, name) = name.strip_prefix(b"^").map_or((false, name), |name| (true, name));
        let known = CLASSES.contains(&name);
        if !known || self.rest[0] != b':' {
            return None;
        }
        self.rest = &self.rest[end + 3..];
        self.out.push_str(if negated { "[:^" } else { "[:" });
        self.out.push_str(std::str::from_utf8(name).ok()?);
        self.out.push_str(":]");
        Some(Member::Set(""))
    }
}

/// The length of `2}`, `2,}`, `2,3}` or `,3}` behind a brace; any other brace is itself.
fn quantifier(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| *byte == b'}')?;
    let inside = &text[..end];
    let (low, high) = match inside.iter().position(|byte| *byte == b',') {
        Some(at) => (&inside[..at], &inside[at + 1..]),
        None => (inside, inside),
    };
    let are_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    let is_one = are_digits(low) && are_digits(high) && !(low.is_empty() && high.is_empty());
    is_one.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_alike_but_means_another_thing_stays_with_pcre2() {
        for pattern in [
            "a++", "a*+", "a{2}+", "a?+", "(?R)", "(?x)a b", "(?U)a+", "(?m)^a", "\\1", "\\K", "\\R",
            "(*UTF)a", "a$b",
        ] {
            assert_eq!(linear(pattern.as_bytes()), None, "{pattern}");
        }
        for (pattern, expected) in [
            ("a.b", "a.b"),
            ("a/b", "a\\x2fb"),
            ("[a&&b]", "[a\\x26\\x26b]"),
            ("a{", "a\\x7b"),
            ("\\<", "\\x3c"),
        ] {
            let found = linear(pattern.as_bytes()).map(|linear| linear.text);
            assert_eq!(found.as_deref(), Some(expected), "{pattern}");
        }
    }
}
