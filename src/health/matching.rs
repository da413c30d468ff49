//! `http-check expect hdr`: fields of a response by name and value.

use super::script::{Matcher, Text};
use crate::sample::facts::{Context, TransactionFacts};

/// Whether a field of that name has that value; `None` when a pattern's format gave nothing.
pub(super) fn header(
    facts: &TransactionFacts,
    context: &Context<'_>,
    name: &Matcher,
    value: Option<&Matcher>,
    full: bool,
) -> Option<bool> {
    let name = name.render(context)?;
    let value = match value {
        Some(matcher) => Some(matcher.render(context)?),
        None => None,
    };
    for (field, content) in facts.response.fields.iter() {
        if !name.matches(field, true) {
            continue;
        }
        let Some(value) = &value else { return Some(true) };
        let matched = if full {
            value.matches(content, false)
        } else {
            parts(content).any(|part| value.matches(part, false))
        };
        if matched {
            return Some(true);
        }
    }
    Some(false)
}

/// The parts of a value between commas, trimmed; commas inside quotes do not separate (RFC 9110 section 5.6.1).
fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    value
        .split(move |byte| {
            let separates = *byte == b',' && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            separates
        })
        .map(crate::base::text::trim)
}

enum Rendered<'a> {
    Is(Vec<u8>),
    Begins(Vec<u8>),
    Ends(Vec<u8>),
    Contains(Vec<u8>),
    Regex(&'a crate::pattern::Regex),
}

impl Matcher {
    fn render(&self, context: &Context<'_>) -> Option<Rendered<'_>> {
        let text = |text: &Text| {
            let bytes = text.render(context);
            (!bytes.is_empty() || matches!(text, Text::Literal(_))).then_some(bytes)
        };
        Some(match self {
            Matcher::Is(pattern) => Rendered::Is(text(pattern)?),
            Matcher::Begins(pattern) => Rendered::Begins(text(pattern)?),
            Matcher::Ends(pattern) => Rendered::Ends(text(pattern)?),
            Matcher::Contains(pattern) => Rendered::Contains(text(pattern)?),
            Matcher::Regex(regex) => Rendered::Regex(regex),
        })
    }
}

impl Rendered<'_> {
    fn matches(&self, bytes: &[u8], ignore_case: bool) -> bool {
        let same = |a: &[u8], b: &[u8]| if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
        match self {
            Rendered::Is(text) => same(bytes, text),
            Rendered::Begins(text) => bytes.get(..text.len()).is_some_and(|start| same(start, text)),
            Rendered::Ends(text) => {
                bytes.len() >= text.len() && same(&bytes[bytes.len() - text.len()..], text)
            }
            Rendered::Contains(text) => {
                text.is_empty() || bytes.windows(text.len()).any(|window| same(window, text))
            }
            Rendered::Regex(regex) => regex.is_match(bytes),
        }
    }
}
