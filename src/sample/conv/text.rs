//! Converters of text (manual, section 7.3.1).

use std::borrow::Cow;

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::fetch::request::parameters;
use crate::sample::value::{Type, Value, leading_int};

use ArgType::{Int, IntOrVariable, Regex, Str};

const fn row(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Str, Type::Str, doc, apply)
}

/// Rows.
pub const TABLE: &[Converter] = &[
    row("lower", "Turns ASCII letters into small ones.", lower),
    row("upper", "Turns ASCII letters into capitals.", upper),
    Converter::new("length", Type::Str, Type::Int, "How many bytes the string has.", length),
    Converter::new(
        "bytes",
        Type::Bin,
        Type::Bin,
        "The bytes from <offset> on, <length> of them at most.",
        bytes,
    )
    .args(1, &[IntOrVariable, IntOrVariable])
    .check(check_bytes),
    row(
        "field",
        "Field number <index> between delimiters, empty ones counted; negative from the end.",
        field,
    )
    .args(2, &[Int, Str, Int])
    .check(check_place),
    row("word", "Word number <index> between delimiters, empty ones skipped; negative from the end.", word)
        .args(2, &[Int, Str, Int])
        .check(check_place),
    row("param", "The value of a parameter of a query-like string.", param)
        .args(1, &[Str, Str])
        .check(check_param),
    row(
        "regsub",
        "Replaces what the regex matches: the first match, or all with 'g'; 'i' ignores case. With 'g' there is no \
         value if the searches would together read far more than the string: some sixteen times its length, or \
         256 kB.",
        regsub,
    )
    .cuts()
    .args(2, &[Regex, Str, Str])
    .check(check_regsub),
    row("ltrim", "Takes the given characters off the start.", ltrim).args(1, &[Str]),
    row("rtrim", "Takes the given characters off the end.", rtrim).args(1, &[Str]),
    row("cut_crlf", "Cuts the string at its first line end.", cut_crlf),
    row("host_only", "The host of a 'host:port' string, in small letters.", host_only),
    Converter::new(
        "port_only",
        Type::Str,
        Type::Int,
        "The port of a 'host:port' string, 0 without one.",
        port_only,
    ),
    row("reverse", "The string backwards.", reverse),
    row("reverse_dom", "The parts of a domain name backwards.", reverse_dom),
    row("language", "The best of a ';'-separated list of languages for an Accept-Language value.", language)
        .args(1, &[Str, Str]),
    Converter::new("iif", Type::Bool, Type::Str, "The first text for true, the second for false.", iif)
        .args(2, &[Str, Str]),
];

/// The part of `value` that `cut` leaves, borrowed if the value is.
pub(super) fn part<'a>(value: Value<'a>, cut: impl Fn(&[u8]) -> Option<(usize, usize)>) -> Option<Value<'a>> {
    let (start, end) = cut(value.bytes()?)?;
    let take = |bytes: Cow<'a, [u8]>| match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[start..end]),
        Cow::Owned(mut bytes) => {
            bytes.truncate(end);
            bytes.drain(..start);
            Cow::Owned(bytes)
        }
    };
    Some(match value {
        Value::Str(bytes) => Value::Str(take(bytes)),
        Value::Bin(bytes) => Value::Bin(take(bytes)),
        other => other,
    })
}

fn lower<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    // Most text is in small letters already, and then nothing is copied.
    if !value.bytes()?.iter().any(u8::is_ascii_uppercase) {
        return Some(value);
    }
    let mut bytes = value.into_bytes(Type::Str)?.into_owned();
    bytes.make_ascii_lowercase();
    Some(Value::string(bytes))
}

fn upper<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let mut bytes = value.into_bytes(Type::Str)?.into_owned();
    bytes.make_ascii_uppercase();
    Some(Value::string(bytes))
}

fn length<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(value.bytes()?.len() as i64))
}

fn check_bytes(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    if matches!(args.first(), Some(Arg::Int(n)) if *n < 0) {
        return Err("expects a non-negative integer".into());
    }
    // A length of nothing can only be a mistake; one that a variable holds may be 0.
    if matches!(args.get(1), Some(Arg::Int(n)) if *n <= 0) {
        return Err("expects a positive integer".into());
    }
    Ok(())
}

fn bytes<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let start = usize::try_from(args.number(0, context)?).ok()?;
    let count = match args.get(1) {
        None => usize::MAX,
        Some(_) => usize::try_from(args.number(1, context)?).ok()?,
    };
    part(value, |bytes| {
        let start = start.min(bytes.len());
        Some((start, start + count.min(bytes.len() - start)))
    })
}

fn check_place(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    if args.as_slice().int(0) == 0 {
        return Err("Unexpected value 0 for index".into());
    }
    if args.as_slice().text(1).is_empty() {
        return Err("Empty separators list".into());
    }
    Ok(())
}

/// What `count` pieces from number `index` on span. A count of 0, or more than there are, reaches to
/// the end of the whole (its beginning when counting backwards), delimiters there included.
fn span_of(pieces: &[(usize, usize)], index: i64, count: i64, whole: usize) -> Option<(usize, usize)> {
    let len = pieces.len() as i64;
    if index > 0 {
        let first = pieces.get(usize::try_from(index - 1).ok()?)?;
        let last = (index - 1).saturating_add(count - 1);
        let end = if count <= 0 || last >= len { whole } else { pieces[last as usize].1 };
        Some((first.0, end))
    } else {
        let at = len.checked_add(index).filter(|at| *at >= 0)?;
        let first = at.saturating_sub(count - 1);
        let start = if count <= 0 || first < 0 { 0 } else { pieces[first as usize].0 };
        Some((start, pieces[at as usize].1))
    }
}

fn count_of(args: &[Arg]) -> i64 {
    args.get(2).map_or(1, |_| args.int(2))
}

fn field<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let delimiters = args.text(1);
    part(value, |text| {
        let mut pieces = Vec::new();
        let mut start = 0;
        for (at, byte) in text.iter().enumerate() {
            if delimiters.contains(byte) {
                pieces.push((start, at));
                start = at + 1;
            }
        }
        pieces.push((start, text.len()));
        span_of(&pieces, args.int(0), count_of(args), text.len())
    })
}

fn word<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let delimiters = args.text(1);
    part(value, |text| {
        let mut pieces = Vec::new();
        let mut start = None;
        for (at, byte) in text.iter().enumerate() {
            match (delimiters.contains(byte), start) {
                (true, Some(began)) => {
                    pieces.push((began, at));
                    start = None;
                }
                (false, None) => start = Some(at),
                _ => (),
            }
        }
        pieces.extend(start.map(|began| (began, text.len())));
        span_of(&pieces, args.int(0), count_of(args), text.len())
    })
}

/// The delimiter is one character, or `0xHH`.
fn check_param(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let delimiter = match args.as_slice().text(1) {
        b"" if args.len() < 2 => b'&',
        [one] => *one,
        [b'0', b'x', digits @ ..] if digits.len() == 2 => {
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            u8::from_str_radix(digits, 16)
                .map_err(|_| "Delimiter must be either exactly 1 character, or 0xHH for an ASCII code .")?
        }
        _ => return Err("Delimiter must be either exactly 1 character, or 0xHH for an ASCII code .".into()),
    };
    args.truncate(1);
    args.push(Arg::Str([delimiter].into()));
    Ok(())
}

fn param<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    part(value, |text| {
        let mut found = None;
        parameters(text, args.text(0), false, args.text(1), |value| {
            // A piece of the text: its place follows from where it lies.
            let start = (value.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
            found = Some(if value.is_empty() { (0, 0) } else { (start, start + value.len()) });
            true
        });
        found
    })
}

fn check_regsub(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let flags = args.as_slice().text(2).to_vec();
    if let Some(flag) = flags.iter().find(|flag| !matches!(flag, b'i' | b'g')) {
        return Err(format!("invalid regex flag '{}', only 'i' and 'g' are supported", *flag as char));
    }
    if args.as_slice().text(0).is_empty() {
        return Err("the regex is empty".into());
    }
    let ignore_case = flags.contains(&b'i');
    let mut regex = check.context.regex(args.as_slice().text(0), ignore_case, check.span)?;
    if flags.contains(&b'g') {
        regex = regex.for_all_matches(ignore_case)?;
    }
    args[0] = Arg::Regex(Box::new(regex));
    args.truncate(2);
    args.push(Arg::Int(i64::from(flags.contains(&b'g'))));
    Ok(())
}

/// As sed does it. Where the regex matches nothing in front of a character, that character is kept
/// and the search goes on after it, so that 'x*' replaced by '-' makes '-a-b-' of 'ab'.
fn regsub<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let Some(Arg::Regex(regex)) = args.first() else { return None };
    let everywhere = args.int(2) != 0;
    let replaced = {
        let text = value.bytes()?;
        let mut out = Vec::new();
        let mut at = 0;
        let mut matched = false;
        let len_max = context.process.limits.buffer;
        let template = args.text(1);
        let mut searches = regex.successive(text, template.contains(&b'\\'));
        while (everywhere || !matched) && out.len() <= len_max {
            let Some(captures) = searches.find(at).ok()? else { break };
            let Some((start, end)) = captures.range(0) else { break };
            matched = true;
            out.extend_from_slice(&text[at..start.max(at)]);
            captures.expand_to(template, &mut out).ok()?;
            let from = at;
            at = end;
            if from == text.len() {
                break;
            }
            if end == from {
                out.push(text[from]);
                at += 1;
            }
        }
        matched.then(|| {
            out.extend_from_slice(&text[at..]);
            out
        })
    };
    Some(replaced.map_or(value, Value::string))
}

fn ltrim<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    part(value, |text| {
        let start = text.iter().position(|byte| !args.text(0).contains(byte)).unwrap_or(text.len());
        Some((start, text.len()))
    })
}

fn rtrim<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    part(value, |text| {
        let end = text.iter().rposition(|byte| !args.text(0).contains(byte)).map_or(0, |at| at + 1);
        Some((0, end))
    })
}

fn cut_crlf<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    part(value, |text| Some((0, memchr::memchr2(b'\r', b'\n', text).unwrap_or(text.len()))))
}

fn host_only<'a>(value: Value<'a>, _: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let host = part(value, |text| Some((0, port_colon(text).unwrap_or(text.len()))))?;
    lower(host, &[], context)
}

/// Where the colon before a port stands: the last, unless it is within the brackets of an IPv6
/// address.
fn port_colon(text: &[u8]) -> Option<usize> {
    memchr::memrchr2(b':', b']', text).filter(|at| text[*at] == b':')
}

fn port_only<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let text = value.bytes()?;
    let port = port_colon(text).map_or(&b""[..], |at| &text[at + 1..]);
    let number = if port.starts_with(b"-") || port.starts_with(b"+") { None } else { leading_int(port) };
    Some(Value::Int(i64::from(number.unwrap_or(0) as u32)))
}

fn reverse<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let mut bytes = value.into_bytes(Type::Str)?.into_owned();
    bytes.reverse();
    Some(Value::string(bytes))
}

fn reverse_dom<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let text = value.bytes()?;
    let labels: Vec<&[u8]> =
        text.strip_suffix(b".").unwrap_or(text).split(|byte| *byte == b'.').rev().collect();
    // A name with an empty label is none.
    labels.iter().all(|label| !label.is_empty()).then(|| Value::string(labels.join(&b'.')))
}

/// RFC 9110 section 12.5.4: the range with the highest weight that one of the offered languages
/// matches, the first of those with the same.
fn language<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let mut best: (u32, &'a [u8]) = (0, b"");
    for range in value.bytes()?.split(|byte| *byte == b',') {
        let range = range.trim_ascii_start();
        let end = range.iter().position(|byte| *byte == b';' || byte.is_ascii_whitespace());
        let (tag, rest) = range.split_at(end.unwrap_or(range.len()));
        let offered = args.text(0).split(|byte| *byte == b';').find(|offered| matches_range(tag, offered));
        let rest = rest.trim_ascii_start();
        // Anything but parameters after the tag makes it unusable.
        let (Some(offered), true) = (offered, rest.is_empty() || rest[0] == b';') else { continue };
        let weight = quality(rest);
        if weight > best.0 && !tag.is_empty() {
            best = (weight, offered);
            if weight == QUALITY_MAX {
                break;
            }
        }
    }
    let found = if best.1.is_empty() { args.text(1) } else { best.1 };
    (!found.is_empty()).then_some(Value::text(found))
}

/// A weight of 1, in thousandths.
const QUALITY_MAX: u32 = 1000;

/// Whether a range is the offered language, or a variant of it.
fn matches_range(range: &[u8], offered: &[u8]) -> bool {
    range.strip_prefix(offered).is_some_and(|rest| rest.is_empty() || rest[0] == b'-')
}

/// The weight in `;q=0.5`, which may have spaces around its parts; 1 if there is none.
fn quality(parameters: &[u8]) -> u32 {
    let mut rest = parameters;
    for expected in b";q=" {
        match rest.trim_ascii_start() {
            [byte, tail @ ..] if byte == expected => rest = tail,
            _ => return QUALITY_MAX,
        }
    }
    let digit =
        |at: usize| rest.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'));
    rest = rest.trim_ascii_start();
    let Some(whole) = digit(0) else { return QUALITY_MAX };
    let mut weight = whole * QUALITY_MAX;
    if rest.get(1) == Some(&b'.') {
        for (at, worth) in [(2, 100), (3, 10), (4, 1)] {
            let Some(digit) = digit(at) else { break };
            weight += digit * worth;
        }
    }
    weight.min(QUALITY_MAX)
}

fn iif<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(args.text(usize::from(!value.as_bool()?))))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};
    use crate::sample::{Value, vars::VarName};

    #[test]
    fn texts() {
        let world = World::default();
        for (name, n) in [("txn.conv_one", 1), ("txn.conv_three", 3), ("txn.conv_minus", -1)] {
            VarName::parse(name).unwrap().set(&world.context(), Value::Int(n));
        }
        check(
            &world,
            &[
                ("str(AbC),lower", "abc"),
                ("str(AbC),upper", "ABC"),
                ("str(abc),length", "3"),
                ("str(012345),bytes(0)", "012345"),
                ("str(012345),bytes(1,3)", "123"),
                ("str(012345),bytes(99)", ""),
                ("str(012345),bytes(2,7)", "2345"),
                ("str(012345),bytes", "012345"),
                ("str(012345),bytes(99999999999999999999)", ""),
                ("str(a_b_),word(1,_,5)", "a_b_"),
                ("str(_a_b),word(-1,_,5)", "_a_b"),
                ("str(_a_b_),word(1,_,2)", "a_b"),
                ("str(012345),bytes(txn.conv_one,txn.conv_three)", "123"),
                ("str(012345),bytes(txn.conv_minus)", "-"),
                ("str(012345),bytes(1,txn.conv_absent)", "-"),
                ("str(/foo/bar/baz),field(3,/)", "bar"),
                ("str(/foo//bar),field(3,/)", ""),
                ("str(/foo),field(3,/)", "-"),
                ("str(f1_f2_f3__f5),field(5,_)", "f5"),
                ("str(f1_f2_f3__f5),field(2,_,0)", "f2_f3__f5"),
                ("str(f1_f2_f3__f5),field(2,_,2)", "f2_f3"),
                ("str(f1_f2_f3__f5),field(-2,_,3)", "f2_f3_"),
                ("str(f1_f2_f3__f5),field(-3,_,0)", "f1_f2_f3"),
                ("str(/foo//bar/baz),word(2,/)", "bar"),
                ("str(/foo),word(2,/)", "-"),
                ("str(w1_w2_w3__w4),word(4,_)", "w4"),
                ("str(w1_w2_w3__w4),word(2,_,0)", "w2_w3__w4"),
                ("str(w1_w2_w3__w4),word(3,_,2)", "w3__w4"),
                ("str(w1_w2_w3__w4),word(-2,_,3)", "w1_w2_w3"),
                ("str(w1_w2_w3__w4),word(-3,_,0)", "w1_w2"),
                ("str('a=b&test=t&c=d'),param(test)", "t"),
                ("str('a=b&test&c=d'),param(test)", ""),
                ("str('testing=1'),param(test)", "-"),
                ("str('a=1;b=2'),param(b,;)", "2"),
                ("str('a=1;b=2'),param(b,0x3b)", "2"),
                ("str(xaxa),regsub(a,b)", "xbxa"),
                ("str(xaxA),regsub(a,b,gi)", "xbxb"),
                ("str(ab),regsub(x*,-,g)", "-a-b-"),
                ("str(ab),regsub(x*,-)", "-ab"),
                ("str(baac),regsub(a*,-,g)", "-b--c-"),
                ("str(abc),regsub('$',-,g)", "abc--"),
                ("str(''),regsub('^',-,g)", "-"),
                ("str(aaa),regsub('^a',-,g)", "-aa"),
                ("str(ab),regsub(b,'[\\0]')", "a[b]"),
                ("str(a),regsub(a,'\\x41\\n')", "An"),
                ("str(/u/12),regsub('^/u/([0-9]+)$','id=\\1')", "id=12"),
                ("str(xxaxx),ltrim(x)", "axx"),
                ("str(xxaxx),rtrim(x)", "xxa"),
                ("str(\"a\\r\\nb\"),cut_crlf", "a"),
                ("str(H.Example:80),host_only", "h.example"),
                ("str(''),host_only", ""),
                ("str(a:b:80),host_only", "a:b"),
                ("str(a:b:80),port_only", "80"),
                ("str('[::1]'),port_only", "0"),
                ("str(h:8x),port_only", "8"),
                ("str(h:x),port_only", "0"),
                ("str('[::1]:80'),host_only", "[::1]"),
                ("str(h:80),port_only", "80"),
                ("str(h),port_only", "0"),
                ("str('[::1]:8443'),port_only", "8443"),
                ("str(abc),reverse", "cba"),
                ("str(www.example.com),reverse_dom", "com.example.www"),
                ("str(example.com.),reverse_dom", "com.example"),
                ("str(.example.com),reverse_dom", "-"),
                ("str(a..b),reverse_dom", "-"),
                ("str(a..),reverse_dom", "-"),
                ("str(.),reverse_dom", "-"),
                ("str(''),reverse_dom", "-"),
                ("str(''),reverse", ""),
                ("str('fr;q=0.3, en;q=0.8'),language(fr;en;de)", "en"),
                ("str(es),language(fr;en,dflt)", "dflt"),
                ("str(es),language(fr;en)", "-"),
                ("str('fr-CA,en;q=0.9'),language(en;fr)", "fr"),
                ("str('fr-CA'),language(en;fr;fr-CA)", "fr"),
                ("str('fr'),language(fr-CA)", "-"),
                ("str('FR'),language(fr)", "-"),
                ("str('*'),language(fr)", "-"),
                ("str('fr;q=0,en;q=0.001'),language(fr;en)", "en"),
                ("str('fr ; q = 0.2 , en;q=0.2'),language(en;fr)", "fr"),
                ("str('fr x, en'),language(en;fr)", "en"),
                ("str('fr;level=1;q=0.1,en;q=0.9'),language(en;fr)", "fr"),
                ("bool(true),iif(yes,no)", "yes"),
                ("int(0),iif(yes,no)", "no"),
            ],
        );
        for (text, message) in [
            ("str(a),field(0,/)", "Unexpected value 0 for index"),
            ("str(a),word(1,'')", "Empty separators list"),
            ("str(a),regsub(a,b,x)", "invalid regex flag 'x', only 'i' and 'g' are supported"),
            ("str(a),regsub('(',b)", "is invalid"),
            ("str(a),param(x,ab)", "Delimiter must be either exactly 1 character"),
            ("str(a),bytes(-1)", "expects a non-negative integer"),
            ("str(a),bytes(0,-1)", "expects a positive integer"),
            ("str(a),bytes(0,0)", "expects a positive integer"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }

    #[test]
    fn a_regsub_whose_matches_are_too_dear_has_no_value() {
        let world = World::request("GET / HTTP/1.1", &[&format!("X: {}", "a".repeat(13_000))]);
        check(
            &world,
            &[
                ("req.hdr(x),regsub('a.*c|a',x,g),length", "-"),
                ("req.hdr(x),regsub('a.*c|a',xy),length", "13001"),
                ("req.hdr(x),regsub('a',x,g),length", "13000"),
                ("req.hdr(x),regsub('a(?=.*c)|a',x,g),length", "-"),
            ],
        );
    }
}
