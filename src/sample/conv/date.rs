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
    Converter::new(name, Type::Int, Type::Str, doc, apply).args(1, FORMAT).check(check_format)
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

/// `%N` and `%3N` are fractions of a second; strftime has no such thing, and [`strtime`] calls
/// them `%f`, whose dot is not wanted.
fn format(at: &Zoned, format: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(format).ok()?;
    let mut prepared = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at_percent) = rest.find('%') {
        prepared.push_str(&rest[..at_percent]);
        let directive = &rest[at_percent + 1..];
        let digits = directive.bytes().take_while(u8::is_ascii_digit).count();
        if directive[digits..].starts_with('N') {
            let width = directive[..digits].parse().unwrap_or(9usize).clamp(1, 9);
            let nanoseconds = format!("{:09}", at.subsec_nanosecond());
            prepared.push_str(&nanoseconds[..width]);
            rest = &directive[digits + 1..];
        } else {
            // A pair is copied whole, so that `%%N` is a percent sign and an N.
            let end = directive.char_indices().nth(1).map_or(directive.len(), |(end, _)| end);
            prepared.push('%');
            prepared.push_str(&directive[..end]);
            rest = &directive[end..];
        }
    }
    prepared.push_str(rest);
    strtime::format(&prepared, at).ok().map(String::into_bytes)
}

fn check_format(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let text = args.as_slice().text(0);
    match format(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), text) {
        Some(_) => Ok(()),
        None => Err(format!("'{}' is not a format that strftime() knows", String::from_utf8_lossy(text))),
    }
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
    let seconds = value.as_int()?.checked_add(args.int(0))?.div_euclid(per_second);
    let at = Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC);
    format(&at, b"%a, %d %b %Y %H:%M:%S GMT").map(Value::string)
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
                ("int(784111777123),http_date(0,ms)", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("int(784111777),http_date(3)", "Sun, 06 Nov 1994 08:49:40 GMT"),
                ("int(784111777),utime(%Y-%m-%d %H:%M:%S %z)", "1994-11-06 08:49:37 +0000"),
                ("int(784111777),utime(%H:%M:%S,-7)", "08:49:30"),
                ("int(784111777123),ms_utime(%d/%b/%Y:%H:%M:%S.%3N)", "06/Nov/1994:08:49:37.123"),
                ("int(784111777123456),us_utime(%S.%N)", "37.123456000"),
                ("int(1),utime(%%N%%)", "%N%"),
                ("str('Sun, 06 Nov 1994 08:49:37 GMT'),date", "784111777"),
                ("str('Sunday, 06-Nov-94 08:49:37 GMT'),date", "784111777"),
                ("str('yesterday'),date", "-"),
            ],
        );
        for (text, message) in [
            ("int(1),utime('%!')", "is not a format that strftime() knows"),
            ("int(1),http_date(0,h)", "expects 's', 'ms' or 'us', got 'h'"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
