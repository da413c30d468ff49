//! Regular expressions as HAProxy's users write them: PCRE2's language over bytes (manual, section 7.1.4).
//!
//! Nearly every pattern in use has a meaning that needs no back-tracking. [`spelling`] rewrites such a
//! pattern for the `regex` crate, whose time is linear in the subject, so that no client can make a match
//! slow. What is left (look-around, back-references, possessive and atomic groups, recursion...) runs on
//! PCRE2 itself, interpreted and with a limit on its steps: one that is reached counts as no match, and
//! [`Regex::warning`] names the pattern for the diagnostics.
//!
//! Groups and what `\0` to `\9` stand for in replacements live here too, for every rule, converter and map.

mod spelling;
mod successive;

pub(super) use successive::Successive;

use regex::bytes as linear;

/// The most steps of one match that back-tracks; PCRE2 takes some ten nanoseconds for one. Its own
/// default is ten times that, which would hold up every other connection of the core for too long.
const STEPS_MAX: u32 = 1_000_000;
/// Groups that a replacement can name: `\0` to `\9`.
const GROUPS_MAX: usize = 10;

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub struct Regex {
    text: Box<[u8]>,
    engine: Engine,
    /// What measures searches for all matches.
    gauge: Option<Box<successive::Gauge>>,
}

#[derive(Clone, Debug)]
enum Engine {
    /// `ends` tells that it contains `$` or `\Z`, which also match before a final newline.
    Linear {
        regex: linear::Regex,
        ends: bool,
    },
    BackTracking(Box<pcre2::bytes::Regex>),
}

/// A replacement that cannot be made: a backslash at its end, or `\x` without two digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadReplacement;

/// What the groups of a match hold.
#[derive(Clone, Copy, Debug)]
pub struct Captures<'s> {
    subject: &'s [u8],
    groups: [Option<(usize, usize)>; GROUPS_MAX],
}

impl Regex {
    /// Compiles a pattern; the error says where it is wrong.
    pub fn new(pattern: impl AsRef<[u8]>, ignore_case: bool) -> Result<Regex, String> {
        let text = pattern.as_ref();
        let linear = spelling::linear(text).and_then(|linear| {
            let built =
                linear::RegexBuilder::new(&linear.text).unicode(false).case_insensitive(ignore_case).build();
            built.ok().map(|regex| Engine::Linear { regex, ends: linear.ends })
        });
        let engine = match linear {
            Some(engine) => engine,
            None => Engine::BackTracking(Box::new(back_tracking(text, ignore_case, STEPS_MAX)?)),
        };
        Ok(Regex { text: text.into(), engine, gauge: None })
    }

    /// The same, made ready for [`Regex::successive`]; `ignore_case` is that of [`Regex::new`].
    pub fn for_all_matches(mut self, ignore_case: bool) -> Result<Regex, String> {
        self.gauge = Some(Box::new(successive::Gauge::new(&self, ignore_case)?));
        Ok(self)
    }

    /// Searches in `subject` whose sum has a bound; `groups` tells that groups beside 0 are wanted.
    pub fn successive<'r, 's>(&'r self, subject: &'s [u8], groups: bool) -> Successive<'r, 's> {
        Successive::new(self, subject, groups)
    }

    /// Its text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether it matches somewhere in `subject`.
    #[inline]
    pub fn is_match(&self, subject: &[u8]) -> bool {
        match &self.engine {
            Engine::Linear { regex, ends } => {
                regex.is_match(subject)
                    || before_newline(*ends, subject).is_some_and(|shorter| regex.is_match(shorter))
            }
            // An error is a limit that was reached.
            Engine::BackTracking(regex) => regex.is_match(subject).unwrap_or(false),
        }
    }

    /// The groups of the first match.
    pub fn captures<'s>(&self, subject: &'s [u8]) -> Option<Captures<'s>> {
        let groups = match &self.engine {
            Engine::Linear { regex, ends } => {
                let shorter =
                    before_newline(*ends, subject).and_then(|shorter| linear_groups(regex, shorter));
                leftmost(linear_groups(regex, subject), shorter)
            }
            Engine::BackTracking(regex) => back_tracking_groups(regex, subject, 0).ok().flatten(),
        };
        groups.map(|groups| Captures { subject, groups })
    }

    /// What is worth knowing about a pattern that back-tracks, and what to write instead.
    pub fn warning(&self) -> Option<(String, String)> {
        let Engine::BackTracking(_) = self.engine else { return None };
        let text = String::from_utf8_lossy(&self.text);
        let message = format!(
            "regex '{text}' needs back-tracking: it runs on PCRE2 and gives up, as if it did not match, after \
             {STEPS_MAX} steps"
        );
        Some((message, spelling::advice(&self.text).to_owned()))
    }
}

/// The subject without its final newline, for a pattern whose end also matches there.
#[inline]
fn before_newline(ends: bool, subject: &[u8]) -> Option<&[u8]> {
    if ends { subject.strip_suffix(b"\n") } else { None }
}

type Groups = [Option<(usize, usize)>; GROUPS_MAX];

/// The first `count` groups, as `get` tells them.
fn groups_of(count: usize, get: impl Fn(usize) -> Option<(usize, usize)>) -> Groups {
    let mut groups = [None; GROUPS_MAX];
    groups.iter_mut().enumerate().take(count).for_each(|(index, group)| *group = get(index));
    groups
}

/// The match in the whole subject, or in the one without its final newline: the leftmost wins, as if both
/// were sought at once.
fn leftmost(whole: Option<Groups>, shorter: Option<Groups>) -> Option<Groups> {
    match (whole, shorter) {
        (Some(whole), Some(shorter)) if shorter[0].map(|m| m.0) < whole[0].map(|m| m.0) => Some(shorter),
        (whole, shorter) => whole.or(shorter),
    }
}

fn linear_groups(regex: &linear::Regex, subject: &[u8]) -> Option<Groups> {
    let mut locations = regex.capture_locations();
    regex.captures_read(&mut locations, subject)?;
    Some(groups_of(locations.len(), |index| locations.get(index)))
}

/// An error is a limit that was reached.
fn back_tracking_groups(
    regex: &pcre2::bytes::Regex,
    subject: &[u8],
    start: usize,
) -> Result<Option<Groups>, pcre2::Error> {
    let mut locations = regex.capture_locations();
    let found = regex.captures_read_at(&mut locations, subject, start)?;
    Ok(found.map(|_| groups_of(locations.len(), |index| locations.get(index))))
}

fn back_tracking(pattern: &[u8], ignore_case: bool, steps_max: u32) -> Result<pcre2::bytes::Regex, String> {
    let limit = format!("(*LIMIT_MATCH={steps_max})");
    let text = match std::str::from_utf8(pattern) {
        Ok(text) => text.to_owned(),
        Err(_) => spelling::in_ascii(pattern),
    };
    let built = pcre2::bytes::RegexBuilder::new().caseless(ignore_case).build(&format!("{limit}{text}"));
    built.map_err(|error| {
        let shown = error.to_string();
        // "PCRE2: error compiling pattern at offset 17: missing closing parenthesis"
        let reason = shown.splitn(3, ": ").last().unwrap_or(&shown);
        let offset = error.offset().unwrap_or(0).saturating_sub(limit.len());
        let pattern = String::from_utf8_lossy(pattern);
        format!("regex '{pattern}' is invalid (error={reason}, erroffset={offset})")
    })
}

impl<'s> Captures<'s> {
    /// What group `index` holds; nothing if it took no part in the match.
    pub fn get(&self, index: usize) -> Option<&'s [u8]> {
        let (start, end) = self.range(index)?;
        self.subject.get(start..end)
    }
    /// Where in the subject group `index` lies. `\K` can put the start behind the end: such a match is
    /// empty and at its end.
    pub fn range(&self, index: usize) -> Option<(usize, usize)> {
        let (start, end) = self.groups.get(index).copied().flatten()?;
        Some((start.min(end), end))
    }
    /// A replacement with its references resolved: `\0` to `\9` are groups, `\xHH` is a byte, and any
    /// other escaped byte stands for itself.
    pub fn expand(&self, template: &[u8]) -> Result<Vec<u8>, BadReplacement> {
        let mut out = Vec::with_capacity(template.len());
        self.expand_to(template, &mut out).map(|()| out)
    }
    /// The same, at the end of `out`.
    pub fn expand_to(&self, template: &[u8], out: &mut Vec<u8>) -> Result<(), BadReplacement> {
        let mut bytes = template.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            match bytes.next().ok_or(BadReplacement)? {
                digit @ b'0'..=b'9' => {
                    out.extend_from_slice(self.get(usize::from(digit - b'0')).unwrap_or_default());
                }
                b'x' => {
                    let mut digit = || (bytes.next()? as char).to_digit(16);
                    let high = digit().ok_or(BadReplacement)?;
                    out.push((high << 4 | digit().ok_or(BadReplacement)?) as u8);
                }
                other => out.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `pattern` matches in `subject`, and whether it needed back-tracking.
    fn find(pattern: &[u8], ignore_case: bool, subject: &[u8]) -> (Option<(usize, usize)>, bool) {
        let regex = Regex::new(pattern, ignore_case)
            .unwrap_or_else(|error| panic!("{}: {error}", pattern.escape_ascii()));
        let found = regex.captures(subject).and_then(|captures| captures.range(0));
        assert_eq!(regex.is_match(subject), found.is_some(), "{}", pattern.escape_ascii());
        (found, regex.warning().is_some())
    }

    #[test]
    fn means_what_pcre2_means() {
        let patterns: &[&[u8]] = &[
            b"^/a\\.b/[0-9]+$",
            b"\\/",
            b"a\\hb",
            b"a\\Hb",
            b"\\v",
            b"a\\Nb",
            b"(?i)ABC",
            b"(?i:a)bc",
            b"\\d+$",
            b"^\\w+\\Z",
            b"abc\\z",
            b"a$\\n",
            b"^.*$",
            b"[[:alpha:]]+",
            b"[^[:digit:]]+",
            b"[]a]+",
            b"[^]a]+",
            b"[a[]+",
            b"[a&&b]+",
            b"[\\w-]+",
            b"[+--]",
            b"[\\]\\\\]",
            b"[\\x41-\\x43]",
            b"[\\b]",
            b"\\x41",
            b"\\x{62}",
            b"\\<b\\>",
            b"a{",
            b"a{,",
            b"a{x}",
            b"{x}a",
            b"a{2}",
            b"a{1,}",
            b"\\Qa.b\\E+",
            b"(?#note)b",
            b"(?<n>b)c",
            b"(?P<n>b)c",
            b"\xc3\xa9+",
            b"[\xa0-\xff]+",
            b"\\xff",
            b"(?s)a.b",
            b"a.b",
            b"x*",
            b"(a|ab)(c|bcd)(d*)",
            b"(?<=a)b",
            b"a(?!c)",
            b"(a)\\1",
            b"a++b",
            b"(?>a+)b",
            b"a\\Kb",
            b"\\Ra",
            b"(?m)^b$",
            b"(?|(a)|(b))",
            b"\\bfoo\\b",
            b"\\Bb",
            b"]",
            b"}",
            b"a b",
            b"#",
            b"\\e",
            b"\\101",
            b"a??b",
            b"\\s+",
            b"[\\h]b",
            b"(a$|b)",
            b"\\Ab",
            b"a?$",
            b"(?-i)a",
            b"\\x4",
            b"^a|b$",
        ];
        let subjects: &[&[u8]] = &[
            b"",
            b"abc",
            b"ABC",
            b"abc\n",
            b"a\nb",
            b"a b",
            b"a\tb",
            b"a\xa0b",
            b"\xff\xfe",
            b"\xc3\xa9\xa9",
            b"aab",
            b"aabaab",
            b"/a.b/77",
            b"/a.b/77\n",
            b"12",
            b"12\n",
            b"\n",
            b"a\n",
            b"[&]-c",
            b"a{x}",
            b"a{,",
            b"{x}a",
            b"a.b",
            b"a.bb",
            b"<b>",
            b"A-1",
            b"\x0b\x85",
            b"foo bar",
            b"\x08",
            b"\x1b[",
            b"\x04",
            b"#]}\\",
            b"abcd",
            b"aa",
            b",+-",
            b"\r\na",
        ];
        for pattern in patterns {
            for ignore_case in [false, true] {
                let text =
                    std::str::from_utf8(pattern).map_or_else(|_| spelling::in_ascii(pattern), str::to_owned);
                let pcre = pcre2::bytes::RegexBuilder::new().caseless(ignore_case).build(&text).unwrap();
                for subject in subjects {
                    let expected = pcre.find(subject).unwrap().map(|m| (m.start(), m.end()));
                    assert_eq!(
                        find(pattern, ignore_case, subject).0,
                        expected,
                        "{} on {}",
                        pattern.escape_ascii(),
                        subject.escape_ascii()
                    );
                }
            }
        }
    }

    #[test]
    fn backtracks_only_where_it_must() {
        for (pattern, expected) in [
            ("^/api/v[0-9]+/\\w+\\.(png|jpe?g)$", false),
            ("(?i)^(www\\.)?example\\.(com|org)(:[0-9]+)?$", false),
            ("^([^\\ :]*)\\ /static/(.*)", false),
            ("a\\hb\\/\\Z", false),
            ("(?=x)", true),
            ("(a)\\1", true),
            ("a++b", true),
            ("(?>a)b", true),
        ] {
            let regex = Regex::new(pattern, false).unwrap();
            assert_eq!(regex.warning().is_some(), expected, "{pattern}");
        }
        let (message, advice) = Regex::new("a++b", false).unwrap().warning().unwrap();
        assert!(message.starts_with("regex 'a++b' needs back-tracking"), "{message}");
        assert!(advice.contains("'+'"), "{advice}");
    }

    #[test]
    fn a_limit_that_is_reached_is_no_match() {
        let regex = Regex::new("^(a+)+(?!b)c$", false).unwrap();
        assert!(regex.is_match(b"aac"));
        assert!(!regex.is_match(&[b'a'; 60]));
    }

    #[test]
    fn says_why_and_where() {
        for (pattern, expected) in [
            ("(", "regex '(' is invalid (error=missing closing parenthesis, erroffset=1)"),
            ("a**", "a**"),
            ("*a", "error=quantifier does not follow a repeatable item, erroffset=0"),
            ("[z-a]", "range out of order in character class"),
            ("\\u0041", "\\u"),
        ] {
            match Regex::new(pattern, false) {
                Err(error) => assert!(error.contains(expected), "{pattern}: {error}"),
                // PCRE2 takes a repeated quantifier as one of a group.
                Ok(_) => assert_eq!(pattern, "a**"),
            }
        }
    }

    #[test]
    fn puts_groups_in() {
        let regex = Regex::new("^(a+)(x)?-(.*)$", false).unwrap();
        let captures = regex.captures(b"aa-b\\c").unwrap();
        for (template, expected) in [
            ("<\\1|\\2|\\3|\\9>", Ok("<aa||b\\c|>")),
            ("\\0", Ok("aa-b\\c")),
            ("\\x41\\.\\\\", Ok("A.\\")),
            ("a\\", Err(BadReplacement)),
            ("\\x4", Err(BadReplacement)),
        ] {
            let expanded = captures.expand(template.as_bytes());
            assert_eq!(expanded, expected.map(|text| text.as_bytes().to_vec()), "{template}");
        }
    }
}
