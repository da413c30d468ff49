//! Lists of header fields in one binary value: `add-headers-bin`, `set-headers-bin`,
//! `del-headers-bin` (manual, section 4.4).
//!
//! Each text stands behind its length; an empty name, and for fields an empty value behind it, ends
//! the list. Lengths below 240 are one byte; longer ones go on in bytes of seven bits.

use super::action::{Action, NameMatch};
use super::arguments::{Arguments, Mistake};
use super::parse::Parsed;
use super::rewrite::{self, Failed};
use crate::http::{Fields, Known};
use crate::sample::ParseContext;
use crate::sample::value::Type;

/// What to do with the fields of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add them.
    Add(Box<[u8]>),
    /// Put them in the place of those of the same name.
    Set(Box<[u8]>),
    /// Remove the fields that the list names.
    Delete(Method),
}

/// How `del-headers-bin` compares names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Exact,
    Prefix,
    Suffix,
    Contains,
}

/// Parses the words after one of the three actions.
pub fn parse(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let expr = arguments.take_expr("expects at least 1 argument", context)?;
    if !expr.output().casts_to(Type::Bin) {
        return Mistake::says("expects an expression that yields a binary list of fields");
    }
    if arguments.action == "del-headers-bin" {
        let mut method = Method::Exact;
        if arguments.take_if("-m") {
            let choices = [
                ("str", Method::Exact),
                ("beg", Method::Prefix),
                ("end", Method::Suffix),
                ("sub", Method::Contains),
            ];
            if arguments.is_over() {
                return Mistake::says("-m flag expects exactly 1 argument");
            }
            method = arguments.take_choice("-m with unsupported matching method", &choices)?;
        }
        return Ok(Action::ChangeFields(expr, Change::Delete(method)));
    }
    let mut prefix: Box<[u8]> = Box::default();
    if arguments.take_if("prefix") {
        if arguments.is_over() {
            return Mistake::says("'prefix' expects a text as argument");
        }
        prefix = arguments.take("")?.as_bytes().into();
    }
    Ok(match arguments.action {
        "add-headers-bin" => Action::ChangeFields(expr, Change::Add(prefix)),
        _ => Action::ChangeFields(expr, Change::Set(prefix)),
    })
}

impl Change {
    /// Makes the change that a list asks for; fields that come before a fault in it are changed.
    pub fn apply(&self, list: &[u8], fields: &mut Fields, max: usize) -> Result<(), Failed> {
        let mut rest = list;
        loop {
            let name = take_text(&mut rest)?;
            if let Change::Delete(method) = self {
                if name.is_empty() {
                    return Ok(());
                }
                if !is_framing(name) {
                    rewrite::remove(fields, &method.matching(name));
                }
                continue;
            }
            let value = take_text(&mut rest)?;
            if name.is_empty() {
                return if value.is_empty() { Ok(()) } else { Err(Failed) };
            }
            let (Change::Add(prefix) | Change::Set(prefix)) = self else { return Err(Failed) };
            // What frames the message was decided when it was read.
            if is_framing(name) || !name.starts_with(prefix) {
                continue;
            }
            // A line break would smuggle fields or a whole message behind this one.
            if name.iter().any(|byte| !super::parse::is_token_byte(*byte))
                || value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'))
            {
                return Err(Failed);
            }
            match self {
                Change::Set(_) => rewrite::set(fields, name, value, max)?,
                _ => rewrite::add(fields, name, value, max)?,
            }
        }
    }
}

impl Method {
    fn matching(self, name: &[u8]) -> NameMatch {
        let name = name.into();
        match self {
            Method::Exact => NameMatch::Exact(name),
            Method::Prefix => NameMatch::Prefix(name),
            Method::Suffix => NameMatch::Suffix(name),
            Method::Contains => NameMatch::Contains(name),
        }
    }
}

/// Fields that frame the message or belong to its connection: a list leaves them as they are.
fn is_framing(name: &[u8]) -> bool {
    matches!(
        Known::of(name),
        Known::ContentLength
            | Known::TransferEncoding
            | Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Upgrade
            | Known::Te
    ) || [&b"expect"[..], b"trailer"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Takes a length and the text behind it.
fn take_text<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Failed> {
    let len = usize::try_from(take_number(rest)?).map_err(|_| Failed)?;
    let (text, behind) = rest.split_at_checked(len).ok_or(Failed)?;
    *rest = behind;
    Ok(text)
}

fn take_number(rest: &mut &[u8]) -> Result<u64, Failed> {
    let mut take = || {
        let (first, behind) = rest.split_first().ok_or(Failed)?;
        *rest = behind;
        Ok::<u64, Failed>(u64::from(*first))
    };
    let mut number = take()?;
    if number < 240 {
        return Ok(number);
    }
    for shift in (4..64).step_by(7) {
        let byte = take()?;
        number = number.wrapping_add(byte << shift);
        if byte < 128 {
            return Ok(number);
        }
    }
    Err(Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<u8> {
        texts.iter().flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect()
    }

    fn check(change: &Change, list: &[u8], expected: Result<&[&str], Failed>) {
        let mut fields = Fields::default();
        for (name, value) in [("Host", "h"), ("X-A", "1"), ("X-B", "2")] {
            fields.append(name.as_bytes(), value.as_bytes());
        }
        let result = change.apply(list, &mut fields, 1000).map(|()| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            fields.iter().map(|(name, value)| text(name) + ":" + &text(value)).collect::<Vec<_>>()
        });
        let expected = expected.map(|list| list.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(result, expected, "{change:?} {list:?}");
    }

    #[test]
    fn lists_change_fields() {
        let (add, set) = (Change::Add(Box::default()), Change::Set(Box::default()));
        let two = list(&["x-a", "3", "y", "4", "content-length", "5", "", ""]);
        check(&add, &two, Ok(&["Host:h", "X-A:1", "X-B:2", "x-a:3", "y:4"]));
        check(&set, &two, Ok(&["Host:h", "X-B:2", "x-a:3", "y:4"]));
        check(&Change::Add(b"x-"[..].into()), &two, Ok(&["Host:h", "X-A:1", "X-B:2", "x-a:3"]));
        let names = list(&["x-", ""]);
        check(&Change::Delete(Method::Exact), &names, Ok(&["Host:h", "X-A:1", "X-B:2"]));
        check(&Change::Delete(Method::Prefix), &names, Ok(&["Host:h"]));
        check(&Change::Delete(Method::Suffix), &list(&["b", ""]), Ok(&["Host:h", "X-A:1"]));
        check(&Change::Delete(Method::Contains), &list(&["os", ""]), Ok(&["X-A:1", "X-B:2"]));
    }

    #[test]
    fn faulty_lists_fail() {
        let add = Change::Add(Box::default());
        for faulty in [
            list(&["x-a", "3"]),
            list(&["x-a", "3", "", "4"]),
            list(&["x-a", "3\r\ny: 4", "", ""]),
            list(&["x a", "3", "", ""]),
            vec![5, b'x'],
            vec![255; 20],
        ] {
            check(&add, &faulty, Err(Failed));
        }
    }

    #[test]
    fn long_texts_have_long_lengths() {
        let long = "v".repeat(300);
        // 300 is 240 and (300 - 240) >> 4 in the next byte, the low four bits in the first.
        let length = [(300u32 as u8) | 240, ((300 - 240) >> 4) as u8];
        let text = [&list(&["n"])[..], &length, long.as_bytes(), &list(&["", ""])].concat();
        let expected = format!("n:{long}");
        check(&Change::Add(Box::default()), &text, Ok(&["Host:h", "X-A:1", "X-B:2", &expected]));
    }
}
