//! Converters from and to JSON (manual, section 7.3.1).

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

use ArgType::Str;

/// Rows.
pub const TABLE: &[Converter] = &[
    Converter::new(
        "json",
        Type::Str,
        Type::Str,
        "The string as JSON wants it between quotes, read as <input-code>.",
        json,
    )
    .args(0, &[Str])
    .check(check_json),
    Converter::new(
        "json_query",
        Type::Str,
        Type::Any,
        "The value at a path such as '$.a.b[0]'; 'int' for numbers.",
        json_query,
    )
    .args(1, &[Str, Str])
    .check(check_query),
];

/// A step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into an object's member.
    Member(String),
    /// Into an array's element.
    Element(usize),
}

/// The numbers that JSON readers agree on (RFC 8259 section 6).
const INT_MAX: i64 = (1 << 53) - 1;

fn check_json(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.as_slice().text(0) {
        b"" | b"ascii" | b"utf8" | b"utf8s" | b"utf8p" | b"utf8ps" => Ok(()),
        _ => Err(
            "Unexpected input code type. Allowed value are 'ascii', 'utf8', 'utf8s', 'utf8p' and 'utf8ps'"
                .into(),
        ),
    }
}

fn json<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let code = args.text(0);
    let bytes = value.bytes()?;
    let mut out = Vec::with_capacity(bytes.len() + 8);
    if matches!(code, b"" | b"ascii") {
        bytes.iter().for_each(|byte| push_char(u32::from(*byte), &mut out));
        return Some(Value::string(out));
    }
    // "s" drops what is wrong, "p" accepts characters that take more bytes than needed, and
    // without "s" anything else that is wrong is fatal.
    let (silent, permissive) = (code.ends_with(b"s"), code.starts_with(b"utf8p"));
    let mut rest = bytes;
    while !rest.is_empty() {
        let (decoded, len) = decode(rest, permissive);
        match decoded {
            // \uXXXX holds no more than 16 bits.
            Some(c) if c <= 0xffff => push_char(c, &mut out),
            _ if silent => (),
            _ => return None,
        }
        rest = &rest[len..];
    }
    Some(Value::string(out))
}

/// The UTF-8 character that `bytes` begins with, if it is one, and the bytes to go on after.
fn decode(bytes: &[u8], accepts_overlong: bool) -> (Option<u32>, usize) {
    let (len, bits, least) = match bytes[0] {
        byte @ 0..0x80 => return (Some(u32::from(byte)), 1),
        byte @ 0xc0..0xe0 => (2, byte & 0x1f, 0x80),
        byte @ 0xe0..0xf0 => (3, byte & 0x0f, 0x800),
        byte @ 0xf0..0xf8 => (4, byte & 0x07, 0x1_0000),
        _ => return (None, 1),
    };
    let following = bytes[1..].iter().take(len - 1).take_while(|byte| **byte & 0xc0 == 0x80).count();
    if following < len - 1 {
        return (None, following + 1);
    }
    let c = bytes[1..len].iter().fold(u32::from(bits), |c, byte| c << 6 | u32::from(byte & 0x3f));
    let is_valid = (c >= least || accepts_overlong) && char::from_u32(c).is_some();
    (is_valid.then_some(c), len)
}

fn push_char(c: u32, out: &mut Vec<u8>) {
    match c {
        0x22 | 0x5c | 0x2f => out.extend([b'\\', c as u8]),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        0x0a => out.extend_from_slice(b"\\n"),
        0x0d => out.extend_from_slice(b"\\r"),
        0x09 => out.extend_from_slice(b"\\t"),
        0x20..0x7f => out.push(c as u8),
        _ => out.extend_from_slice(format!("\\u{c:04x}").as_bytes()),
    }
}

/// `$`, then `.name` (a dot in it after a backslash) and `[number]`.
fn path(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(member) = rest.strip_prefix('.') {
            let mut name = String::new();
            let mut chars = member.char_indices();
            let mut end = member.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => name.extend(chars.next().map(|(_, c)| c)),
                    '.' | '[' => {
                        end = at;
                        break;
                    }
                    c => name.push(c),
                }
            }
            steps.push(Step::Member(name));
            rest = &member[end..];
        } else {
            let element = rest.strip_prefix('[')?;
            let end = element.find(']')?;
            steps.push(Step::Element(element[..end].parse().ok()?));
            rest = &element[end + 1..];
        }
    }
    Some(steps)
}

pub(super) fn check_query(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let text = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    if text.is_empty() {
        return Err("json_path must not be empty".into());
    }
    let is_int = match args.as_slice().text(1) {
        b"" => false,
        b"int" => true,
        _ => return Err("output_type only supports \"int\" as argument".into()),
    };
    *args = match path(&text) {
        Some(steps) => vec![Arg::JsonPath(steps.into()), Arg::Int(i64::from(is_int))],
        None => {
            let message = format!("json_path '{text}' never finds anything: it looks like '$.a.b[0]'");
            check.context.report.warning(check.span, message);
            vec![Arg::Int(0)]
        }
    };
    Ok(())
}

fn json_query<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let Some(Arg::JsonPath(steps)) = args.first() else { return None };
    query(value.bytes()?, steps, args.int(1) == 1)
}

/// What is at a path in a JSON text; a number as an integer if `as_int`, else as text.
pub(super) fn query<'a>(text: &[u8], steps: &[Step], as_int: bool) -> Option<Value<'a>> {
    // What follows the value is not looked at.
    let mut at = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>().next()?.ok()?;
    for step in steps.iter() {
        at = match step {
            Step::Member(name) => {
                serde_json::from_str::<HashMap<String, &RawValue>>(at.get()).ok()?.remove(name)?
            }
            Step::Element(index) => *serde_json::from_str::<Vec<&RawValue>>(at.get()).ok()?.get(*index)?,
        };
    }
    let raw = at.get();
    match raw.as_bytes().first()? {
        b't' => Some(Value::Bool(true)),
        b'f' => Some(Value::Bool(false)),
        b'"' => serde_json::from_str::<String>(raw).ok().map(|text| Value::string(text.into_bytes())),
        b'[' => Some(Value::string(raw.as_bytes().to_vec())),
        b'-' | b'0'..=b'9' if as_int => {
            let whole = raw.split(['.', 'e', 'E']).next()?.parse().ok()?;
            (-INT_MAX..=INT_MAX).contains(&whole).then_some(Value::Int(whole))
        }
        b'-' | b'0'..=b'9' => Some(Value::string(general(raw.parse().ok()?).into_bytes())),
        _ => None,
    }
}

/// A number with six significant digits, as C's `%g` prints it.
fn general(n: f64) -> String {
    const DIGITS: i32 = 6;
    let scientific = format!("{n:.*e}", DIGITS as usize - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        return trim(&format!("{n:.*}", (DIGITS - 1 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Expr;
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check, told};
    use crate::sample::vars::VarName;

    #[test]
    fn escapes() {
        let world = World::default();
        VarName::parse("txn.json_bad").unwrap().set(&world.context(), Value::text(b"-\xe0-"));
        VarName::parse("txn.json_long").unwrap().set(&world.context(), Value::text(b"a\xc0\xafb"));
        check(
            &world,
            &[
                ("str('foo 1/2'),json", "foo 1\\/2"),
                ("var(txn.json_bad),json", "-\\u00e0-"),
                ("var(txn.json_bad),json(utf8)", "-"),
                ("var(txn.json_bad),json(utf8s)", "--"),
                ("var(txn.json_bad),json(utf8p)", "-"),
                ("var(txn.json_bad),json(utf8ps)", "--"),
                ("var(txn.json_long),json(utf8)", "-"),
                ("var(txn.json_long),json(utf8s)", "ab"),
                ("var(txn.json_long),json(utf8p)", "a\\/b"),
                ("str('é'),json(utf8)", "\\u00e9"),
                ("str(\"a\\tb\"),json", "a\\tb"),
            ],
        );
    }

    #[test]
    fn queries() {
        let mut world = World::request("POST / HTTP/1.1", &["Host: h"]);
        world.txn.body = br#"{"iss":"a/b","n":4,"neg":-4,"d":4.5,"t":true,"f":false,"my.key":"v","z":null,
            "l":["v1", "v2"],"o":{"p":[{"q":7}]},"big":9007199254740993,"e":1234567.0,"s":0.00001}"#
            .to_vec();
        check(
            &world,
            &[
                ("req.body,json_query('$.iss')", "a/b"),
                ("req.body,json_query('$.n',int),add(1)", "5"),
                ("req.body,json_query('$.neg',\"int\"),add(1)", "-3"),
                ("req.body,json_query('$.d')", "4.5"),
                ("req.body,json_query('$.n')", "4"),
                ("req.body,json_query('$.t')", "1"),
                ("req.body,json_query('$.f')", "0"),
                ("req.body,json_query($.my\\\\.key)", "v"),
                ("req.body,json_query('$.l')", "[\"v1\", \"v2\"]"),
                ("req.body,json_query('$.l[1]')", "v2"),
                ("req.body,json_query('$.o.p[0].q')", "7"),
                ("req.body,json_query('$.big',int)", "-"),
                ("req.body,json_query('$.e')", "1.23457e+06"),
                ("req.body,json_query('$.s')", "1e-05"),
                ("req.body,json_query('$.z')", "-"),
                ("req.body,json_query('$.o')", "-"),
                ("req.body,json_query('$.none')", "-"),
                ("str(no json),json_query('$.a')", "-"),
                ("str('{\"a\":1} and more'),json_query('$.a')", "1"),
                ("str('{\"a\":1'),json_query('$.a')", "-"),
            ],
        );
        let (expr, report) = world.parsing(Phase::HttpRequest, |context| {
            Expr::parse("str(a),json_query('a')", crate::diag::Span::NONE, context)
        });
        assert!(expr.is_some() && told(&report).contains("json_path 'a' never finds anything"));
        for (text, message) in [
            ("str(a),json_query('')", "json_path must not be empty"),
            ("str(a),json_query('$.a',str)", "output_type only supports \"int\" as argument"),
            ("str(a),json(utf16)", "Unexpected input code type"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
