//! `normalize-uri`: brings a part of the request target into one of several equal forms (RFC 3986
//! section 6.2.2; manual, section 4.4).
//!
//! Each normalizer is a plain function over one part of the target and does one thing, so that a
//! configuration chooses exactly what its servers can bear.

use super::action::{Action, TargetPart};
use super::arguments::{Arguments, Mistake};
use super::parse::Parsed;
use super::rewrite::{self, Failed};
use crate::http::{Request, uri};
use crate::sample::ParseContext;
use crate::sample::expr::EXPOSE;

/// What is brought into a normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalizer {
    /// `fragment-encode`: `#` becomes `%23`.
    FragmentEncode,
    /// `fragment-strip`: `#` and what follows goes.
    FragmentStrip,
    /// `path-merge-slashes`: several slashes become one.
    MergeSlashes,
    /// `path-strip-dot`: segments of one dot go.
    StripDot,
    /// `path-strip-dotdot`: segments of two dots go with the segment before them.
    StripDotDot {
        /// Those at the beginning, which have none before them, go too.
        full: bool,
    },
    /// `percent-decode-unreserved`: encoded letters, digits and `-._~` are decoded.
    DecodeUnreserved {
        /// What is no encoding makes the request invalid.
        strict: bool,
    },
    /// `percent-to-uppercase`: the digits of encodings become upper case.
    UpperCase {
        /// See `DecodeUnreserved`.
        strict: bool,
    },
    /// `query-sort-by-name`: parameters in the order of their names.
    SortQuery,
}

/// Why a target has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A `strict` normalizer met an encoding that is none: the request is invalid.
    Malformed,
    /// The result does not fit.
    Failed,
}

impl From<Failed> for Refused {
    fn from(_: Failed) -> Self {
        Refused::Failed
    }
}

/// Parses the words after `normalize-uri`.
pub fn parse(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    use Normalizer::*;
    const CHOICES: [(&str, Normalizer); 8] = [
        ("fragment-encode", FragmentEncode),
        ("fragment-strip", FragmentStrip),
        ("path-merge-slashes", MergeSlashes),
        ("path-strip-dot", StripDot),
        ("path-strip-dotdot", StripDotDot { full: false }),
        ("percent-decode-unreserved", DecodeUnreserved { strict: false }),
        ("percent-to-uppercase", UpperCase { strict: false }),
        ("query-sort-by-name", SortQuery),
    ];
    if !context.named.experimental {
        return Err(Mistake::Says("it is experimental".into(), Some(EXPOSE.into())));
    }
    if arguments.is_over() {
        return Mistake::says("missing argument <normalizer>");
    }
    let mut normalizer = arguments.take_choice("unknown normalizer", &CHOICES)?;
    match &mut normalizer {
        StripDotDot { full } => *full = arguments.take_if("full"),
        DecodeUnreserved { strict } | UpperCase { strict } => *strict = arguments.take_if("strict"),
        _ => {}
    }
    Ok(Action::NormalizeUri(normalizer))
}

impl Normalizer {
    /// Applies it to a request; a target without a path (`*`) stays as it is.
    pub fn apply(self, request: &mut Request, max: usize) -> Result<(), Refused> {
        use Normalizer::*;
        let Some(whole) = uri::path_and_query(request.target()) else { return Ok(()) };
        let mark = memchr::memchr(b'?', whole);
        let (part, text) = match self {
            MergeSlashes | StripDot | StripDotDot { .. } => {
                (TargetPart::Path, &whole[..mark.unwrap_or(whole.len())])
            }
            SortQuery => match mark {
                Some(mark) => (TargetPart::Query, &whole[mark + 1..]),
                None => return Ok(()),
            },
            _ => (TargetPart::PathAndQuery, whole),
        };
        let changed = match self {
            FragmentEncode => replace_byte(text, b'#', b"%23"),
            FragmentStrip => text[..memchr::memchr(b'#', text).unwrap_or(text.len())].to_vec(),
            MergeSlashes => merge_slashes(text),
            StripDot => strip_dot(text),
            StripDotDot { full } => strip_dotdot(text, full),
            DecodeUnreserved { strict } => decode_unreserved(text, strict)?,
            UpperCase { strict } => to_uppercase(text, strict)?,
            SortQuery => sort_query(text),
        };
        if changed != text {
            rewrite::set_target(request, part, &changed, max)?;
        }
        Ok(())
    }
}

fn replace_byte(text: &[u8], byte: u8, by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &found in text {
        if found == byte { out.extend_from_slice(by) } else { out.push(found) }
    }
    out
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    out.dedup_by(|next, before| *next == b'/' && *before == b'/');
    out
}

fn strip_dot(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut segments = path.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        if segment != b"." {
            out.extend_from_slice(segment);
            if segments.peek().is_some() {
                out.push(b'/');
            }
        }
    }
    out
}

fn strip_dotdot(path: &[u8], full: bool) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut beyond = 0; // steps up from the root
    let mut last: &[u8] = b"";
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment == b".." {
            beyond += usize::from(kept.pop().is_none());
        } else if is_last {
            last = segment;
        } else {
            kept.push(segment);
        }
    }
    let mut out = Vec::with_capacity(path.len());
    if !full {
        out.extend(b"/..".repeat(beyond));
    }
    out.push(b'/');
    for segment in kept {
        out.extend_from_slice(segment);
        out.push(b'/');
    }
    out.extend_from_slice(last);
    out
}

/// The byte that the two digits at the start of `text` encode.
fn encoded(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    Some((digit(0)? << 4 | digit(1)?) as u8)
}

fn decode_unreserved(text: &[u8], strict: bool) -> Result<Vec<u8>, Refused> {
    each_encoding(text, strict, |out, digits, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend_from_slice(digits);
        }
    })
}

fn to_uppercase(text: &[u8], strict: bool) -> Result<Vec<u8>, Refused> {
    each_encoding(text, strict, |out, digits, _| {
        out.push(b'%');
        out.extend(digits.iter().map(u8::to_ascii_uppercase));
    })
}

/// Copies `text`; `write` writes each encoding, given its digits and what they stand for.
fn each_encoding(
    text: &[u8],
    strict: bool,
    write: impl Fn(&mut Vec<u8>, &[u8], u8),
) -> Result<Vec<u8>, Refused> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let found = text[at];
        at += 1;
        if found != b'%' {
            out.push(found);
        } else if let Some(byte) = encoded(&text[at..]) {
            write(&mut out, &text[at..at + 2], byte);
            at += 2;
        } else if strict {
            return Err(Refused::Malformed);
        } else {
            out.push(found);
        }
    }
    Ok(out)
}

fn sort_query(query: &[u8]) -> Vec<u8> {
    let mut parameters: Vec<&[u8]> = query.split(|byte| *byte == b'&').collect();
    parameters.sort_by_key(|parameter| parameter.split(|byte| *byte == b'=').next());
    parameters.join(&b'&')
}

#[cfg(test)]
mod tests {
    use super::*;
    use Normalizer::*;

    fn check(normalizer: Normalizer, target: &str, expected: Result<&str, Refused>) {
        let mut request = Request::default();
        request.set_target(target.as_bytes());
        let result = normalizer.apply(&mut request, 1000);
        let result = result.map(|()| String::from_utf8_lossy(request.target()).into_owned());
        assert_eq!(result, expected.map(str::to_owned), "{normalizer:?} {target}");
    }

    #[test]
    fn each_brings_its_part_into_a_normal_form() {
        let (dotdot, full) = (StripDotDot { full: false }, StripDotDot { full: true });
        let (decode, upper) = (DecodeUnreserved { strict: false }, UpperCase { strict: false });
        for (normalizer, before, after) in [
            (FragmentEncode, "/#foo?a#b", "/%23foo?a%23b"),
            (FragmentStrip, "/#foo?a#b", "/"),
            (FragmentStrip, "/foo?a#b", "/foo?a"),
            (MergeSlashes, "//", "/"),
            (MergeSlashes, "/foo//bar?a//b", "/foo/bar?a//b"),
            (StripDot, "/.", "/"),
            (StripDot, "/./bar/", "/bar/"),
            (StripDot, "/a/./a", "/a/a"),
            (StripDot, "/.well-known/?x/./y", "/.well-known/?x/./y"),
            (dotdot, "/foo/../", "/"),
            (dotdot, "/foo/../bar/", "/bar/"),
            (dotdot, "/foo/bar/../", "/foo/"),
            (dotdot, "/foo/bar/..", "/foo/"),
            (dotdot, "/../bar/", "/../bar/"),
            (dotdot, "/bar/../../", "/../"),
            (dotdot, "/foo//../", "/foo/"),
            (dotdot, "/foo/%2E%2E/", "/foo/%2E%2E/"),
            (dotdot, "/foo/..bar?q=/../", "/foo/..bar?q=/../"),
            (full, "/../bar/", "/bar/"),
            (full, "/bar/../../x", "/x"),
            (full, "http://h/a/../b?c", "http://h/b?c"),
            (decode, "/%61dmin", "/admin"),
            (decode, "/foo%3Fbar=baz%", "/foo%3Fbar=baz%"),
            (decode, "/%%36%36", "/%66"),
            (decode, "/%ZZ?%7E", "/%ZZ?~"),
            (upper, "/%6f%zz", "/%6F%zz"),
            (SortQuery, "/?c=3&a=1&b=2", "/?a=1&b=2&c=3"),
            (SortQuery, "/?aaa=3&a=1&aa=2", "/?a=1&aa=2&aaa=3"),
            (SortQuery, "/?a=3&b=4&a=1&b=5&a=2", "/?a=3&a=1&a=2&b=4&b=5"),
            (SortQuery, "*", "*"),
        ] {
            check(normalizer, before, Ok(after));
        }
        for target in ["/%%36%36", "/%ZZ", "/%4"] {
            check(DecodeUnreserved { strict: true }, target, Err(Refused::Malformed));
            check(UpperCase { strict: true }, target, Err(Refused::Malformed));
        }
    }
}
