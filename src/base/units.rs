//! Durations and sizes as configurations write them (`5s`, `16k`) and as statistics show them
//! (`1d2h`).
//!
//! Values come out as whole numbers of the keyword's own unit, because that is what the manual
//! promises ("timeout" counts milliseconds, "stats refresh" seconds) and what rounding refers to.

use std::fmt;

/// The unit of a number that is written without one, and of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum TimeUnit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
}

impl TimeUnit {
    /// Every unit with its suffix, longest suffix first.
    const SUFFIXES: [(&'static str, TimeUnit); 6] = [
        ("us", TimeUnit::Microsecond),
        ("ms", TimeUnit::Millisecond),
        ("s", TimeUnit::Second),
        ("m", TimeUnit::Minute),
        ("h", TimeUnit::Hour),
        ("d", TimeUnit::Day),
    ];

    /// Microseconds in one.
    const fn micros(self) -> u64 {
        match self {
            TimeUnit::Microsecond => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Second => 1_000_000,
            TimeUnit::Minute => 60_000_000,
            TimeUnit::Hour => 3_600_000_000,
            TimeUnit::Day => 86_400_000_000,
        }
    }
}

/// Values from here on are an overflow, whatever the unit (manual, section 2.5).
const TIME_LIMIT: u64 = 1 << 31;

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// This character does not belong there; `None` when the text ends too early.
    Unexpected(Option<char>),
    /// The value is 2^31 or more.
    Overflow,
    /// A character follows the unit. HAProxy warns and takes the value all the same.
    Trailing {
        /// The character.
        character: char,
        /// The value without what follows.
        value: u64,
    },
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeError::Unexpected(Some(character)) => write!(f, "unexpected character '{character}'"),
            TimeError::Unexpected(None) => f.write_str("missing number"),
            TimeError::Overflow => f.write_str("timer overflow (maximum value is 2147483647)"),
            TimeError::Trailing { character, .. } => write!(
                f,
                "unexpected character '{character}' after the timer value, only (us=microseconds,ms=milliseconds,s=seconds,m=minutes,h=hours,d=days) are supported"
            ),
        }
    }
}

impl std::error::Error for TimeError {}

/// Reads a duration as a whole number of `unit`, rounding up; a number alone counts in `unit`.
pub fn parse_time(text: &str, unit: TimeUnit) -> Result<u64, TimeError> {
    let micros = |number: u64, of: TimeUnit| number.checked_mul(of.micros()).ok_or(TimeError::Overflow);
    let (number, suffix) = split_number(text).map_err(|error| match error {
        SizeError::Unexpected(character) => TimeError::Unexpected(character),
        SizeError::Overflow => TimeError::Overflow,
    })?;
    let (written, after) = if suffix.is_empty() {
        (unit, "")
    } else {
        TimeUnit::SUFFIXES
            .iter()
            .find_map(|(name, unit)| Some((*unit, suffix.strip_prefix(name)?)))
            .ok_or(TimeError::Unexpected(suffix.chars().next()))?
    };
    let value = micros(number, written)?.div_ceil(unit.micros());
    if value >= TIME_LIMIT {
        return Err(TimeError::Overflow);
    }
    match after.chars().next() {
        Some(character) => Err(TimeError::Trailing { character, value }),
        None => Ok(value),
    }
}

/// Why a text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// This character does not belong there; `None` when the text ends too early.
    Unexpected(Option<char>),
    /// The value does not fit.
    Overflow,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizeError::Unexpected(Some(character)) => write!(f, "unexpected character '{character}'"),
            SizeError::Unexpected(None) => f.write_str("missing number"),
            SizeError::Overflow => f.write_str("size too large"),
        }
    }
}

impl std::error::Error for SizeError {}

/// Suffixes of sizes and the bits they shift by.
const SIZES: [(char, u32); 5] = [('k', 10), ('m', 20), ('g', 30), ('t', 40), ('p', 50)];

/// Reads a size in bytes: `k`, `m`, `g`, `t`, `p` of either case count in 1024s.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let (number, suffix) = split_number(text)?;
    let mut rest = suffix.chars();
    let Some(letter) = rest.next() else { return Ok(number) };
    let shift = SIZES
        .iter()
        .find(|(known, _)| *known == letter.to_ascii_lowercase())
        .ok_or(SizeError::Unexpected(Some(letter)))?
        .1;
    if let Some(extra) = rest.next() {
        return Err(SizeError::Unexpected(Some(extra)));
    }
    number.checked_mul(1 << shift).ok_or(SizeError::Overflow)
}

/// The leading number and what follows.
fn split_number(text: &str) -> Result<(u64, &str), SizeError> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    if len == 0 {
        return Err(SizeError::Unexpected(text.chars().next()));
    }
    let number = text[..len].parse().map_err(|_| SizeError::Overflow)?;
    Ok((number, &text[len..]))
}

/// A duration with the largest unit that divides it: `5s`, `1500ms`, `0`.
pub fn print_time_ms(ms: u64) -> String {
    if ms == 0 {
        return "0".to_string();
    }
    let micros = u128::from(ms) * 1000;
    let (suffix, unit) = TimeUnit::SUFFIXES
        .iter()
        .rev()
        .find(|(_, unit)| micros.is_multiple_of(u128::from(unit.micros())))
        .expect("microseconds divide everything");
    format!("{}{suffix}", micros / u128::from(unit.micros()))
}

#[cfg(test)]
mod tests {
    use super::TimeUnit::*;
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, unit, expected) in [
            ("5s", Millisecond, Ok(5_000)),
            ("5", Millisecond, Ok(5)),
            ("5", Second, Ok(5)),
            ("0", Second, Ok(0)),
            ("1us", Millisecond, Ok(1)),
            ("1001us", Millisecond, Ok(2)),
            ("1500ms", Second, Ok(2)),
            ("61s", Minute, Ok(2)),
            ("2m", Second, Ok(120)),
            ("1h", Millisecond, Ok(3_600_000)),
            ("24d", Millisecond, Ok(2_073_600_000)),
            ("25d", Millisecond, Err(TimeError::Overflow)),
            ("25d", Second, Ok(2_160_000)),
            ("2147483647", Millisecond, Ok(2_147_483_647)),
            ("2147483648", Millisecond, Err(TimeError::Overflow)),
            ("99999999999999999999", Second, Err(TimeError::Overflow)),
            ("9999999999999999999d", Second, Err(TimeError::Overflow)),
            ("", Second, Err(TimeError::Unexpected(None))),
            ("-1", Second, Err(TimeError::Unexpected(Some('-')))),
            ("1.5s", Second, Err(TimeError::Unexpected(Some('.')))),
            ("1u", Second, Err(TimeError::Unexpected(Some('u')))),
            ("1x", Second, Err(TimeError::Unexpected(Some('x')))),
            ("1h30m", Second, Err(TimeError::Trailing { character: '3', value: 3_600 })),
            ("5sec", Second, Err(TimeError::Trailing { character: 'e', value: 5 })),
        ] {
            assert_eq!(parse_time(text, unit), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_printed() {
        for (text, expected) in [
            ("1000", Ok(1000)),
            ("16k", Ok(16_384)),
            ("16K", Ok(16_384)),
            ("2m", Ok(2 << 20)),
            ("3G", Ok(3 << 30)),
            ("16kb", Err(SizeError::Unexpected(Some('b')))),
            ("k", Err(SizeError::Unexpected(Some('k')))),
            ("", Err(SizeError::Unexpected(None))),
            ("17000000000000g", Err(SizeError::Overflow)),
            ("18446744073709551616", Err(SizeError::Overflow)),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_printed() {
        for (ms, expected) in
            [(0, "0"), (1, "1ms"), (1_500, "1500ms"), (5_000, "5s"), (60_000, "1m"), (172_800_000, "2d")]
        {
            assert_eq!(print_time_ms(ms), expected);
            assert_eq!(parse_time(expected, Millisecond), Ok(ms), "and back");
        }
    }
}
