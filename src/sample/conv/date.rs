//! Converters of dates (manual, section 7.3.1).

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

use ArgType::{Int, Str};

const FORMAT: &[ArgType] = &[Str, Int];

const fn row(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Int, Type::Str, doc, apply).args(1, FORMAT)
}

/// Rows.
pub const TABLE: &[Converter] = &[
    row("ltime", "A date in seconds as local time by a strftime format, moved by <offset>.", ltime),
    row("ms_ltime", "A date in milliseconds as local time; %N is the fraction.", ms_ltime),
    row("us_ltime", "A date in microseconds as local time; %N is the fraction.", us_ltime),
    row("utime", "A date in seconds as UTC by a strftime format, moved by <offset>.", utime),
    row("ms_utime", "A date in milliseconds as UTC; %N is the fraction.", ms_utime),
    row("us_utime", "A date in microseconds as UTC; %N is the fraction.", us_utime),
    Converter::new("http_date", Type::Int, Type::Str, "A date as HTTP header fields have it.", http_date)
        .args(0, &[Int, Str])
        .check(check_unit),
    Converter::new(
        "date",
        Type::Str,
        Type::Int,
        "The seconds since 1970 of a date as HTTP fields have it.",
        date,
    ),
];

/// As strftime() of the C locale, directive by directive, with `%N` and `%3N` for fractions of a
/// second. What is no directive is written as it stands.
fn format(at: &Zoned, format: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(format).ok()?;
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent..];
        // Flags and a width; `E` and `O` ask for other forms, which the C locale does not have.
        let flags =
            rest[1..].bytes().take_while(|byte| matches!(byte, b'_' | b'-' | b'^' | b'#' | b'0'..=b'9'));
        let flags = flags.count() + 1;
        let modifier = usize::from(rest[flags..].starts_with(['E', 'O']));
        let Some(directive) = rest[flags + modifier..].chars().next() else { break };
        let end = flags + modifier + directive.len_utf8();
        match directive {
            'N' if modifier == 0 => {
                let width = rest[1..flags].parse().unwrap_or(9usize).clamp(1, 9);
                out.push_str(&format!("{:09}", at.subsec_nanosecond())[..width]);
            }
            _ => {
                let plain = match directive {
                    'c' => "%a %b %e %H:%M:%S %Y".to_owned(),
                    'x' => "%m/%d/%y".to_owned(),
                    'X' => "%H:%M:%S".to_owned(),
                    'r' => "%I:%M:%S %p".to_owned(),
                    directive => format!("{}{directive}", &rest[..flags]),
                };
                match strtime::format(&plain, at) {
                    Ok(written) => out.push_str(&written),
                    Err(_) => out.push_str(&rest[..end]),
                }
            }
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    Some(out.into_bytes())
}

/// The value in units of which `per_second` make a second, moved by the offset.
fn written<'a>(value: &Value<'_>, args: &[Arg], per_second: i64, zone: TimeZone) -> Option<Value<'a>> {
    let moved = value.as_int()?.checked_add(args.int(1))?;
    let us = i128::from(moved) * 1_000_000 / i128::from(per_second);
    let at = Timestamp::from_microsecond(i64::try_from(us).ok()?).ok()?.to_zoned(zone);
    format(&at, args.text(0)).map(Value::string)
}

macro_rules! formats {
    ($($function:ident $per_second:literal $zone:expr;)*) => {
        $(fn $function<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
            written(&value, args, $per_second, $zone)
        })*
    };
}
formats!(
    ltime 1 TimeZone::system();
    ms_ltime 1_000 TimeZone::system();
    us_ltime 1_000_000 TimeZone::system();
    utime 1 TimeZone::UTC;
    ms_utime 1_000 TimeZone::UTC;
    us_utime 1_000_000 TimeZone::UTC;
);

fn check_unit(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.as_slice().text(1) {
        b"" | b"s" | b"ms" | b"us" => Ok(()),
        other => Err(format!("expects 's', 'ms' or 'us', got '{}'", String::from_utf8_lossy(other))),
    }
}

fn http_date<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let per_second = match args.text(1) {
        b"us" => 1_000_000,
        b"ms" => 1_000,
        _ => 1,
    };
    let moved = value.as_int()?.wrapping_add(args.int(0));
    let at = Timestamp::from_second(moved / per_second).ok()?.to_zoned(TimeZone::UTC);
    let mut text = format(&at, b"%a, %d %b %Y %H:%M:%S")?;
    // HAProxy writes the fraction of finer units, though no recipient needs to understand it.
    if !args.text(1).is_empty() && per_second > 1 {
        text.push(b'.');
        text.extend_from_slice((moved % per_second).to_string().as_bytes());
    }
    text.extend_from_slice(b" GMT");
    Some(Value::string(text))
}

/// The three forms of RFC 9110 section 5.6.7.
fn date<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let text = std::str::from_utf8(value.bytes()?).ok()?;
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let parsed = forms.iter().find_map(|form| strtime::parse(form, text).ok()?.to_datetime().ok())?;
    let at = parsed.to_zoned(TimeZone::UTC).ok()?;
    Some(Value::Int(at.timestamp().as_second()))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};

    #[test]
    fn dates() {
        check(
            &World::default(),
            &[
                ("int(784111777),http_date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("int(784111777123),http_date(0,ms)", "Sun, 06 Nov 1994 08:49:37.123 GMT"),
                ("int(784111777),http_date(3)", "Sun, 06 Nov 1994 08:49:40 GMT"),
                ("int(784111777),utime(%Y-%m-%d %H:%M:%S %z)", "1994-11-06 08:49:37 +0000"),
                ("int(784111777),utime(%H:%M:%S,-7)", "08:49:30"),
                ("int(784111777123),ms_utime(%d/%b/%Y:%H:%M:%S.%3N)", "06/Nov/1994:08:49:37.123"),
                ("int(784111777123456),us_utime(%S.%N)", "37.123456000"),
                ("int(1),utime(%%N%%)", "%N%"),
                ("int(784111777),utime(%c)", "Sun Nov  6 08:49:37 1994"),
                ("int(784111777),utime(%x %X %r %Ey)", "11/06/94 08:49:37 08:49:37 AM 94"),
                ("int(784111777),utime(%! %)", "%! %"),
                ("int(784111777),utime(%^a %-d %_d %j %u %w %s)", "SUN 6  6 310 7 0 784111777"),
                ("str('Sun, 06 Nov 1994 08:49:37 GMT'),date", "784111777"),
                ("str('Sunday, 06-Nov-94 08:49:37 GMT'),date", "784111777"),
                ("str('yesterday'),date", "-"),
            ],
        );
        let (found, _) = alert("int(1),http_date(0,h)", Phase::HttpRequest);
        assert!(found.contains("expects 's', 'ms' or 'us', got 'h'"), "{found}");
    }
}
