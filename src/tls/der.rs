//! A reader of DER (X.690): elements one after the other, as slices of the input.
//!
//! Nothing is copied and nothing recurses, so that the work is linear in the bytes and no input can
//! make it panic. Structures (certificates, CRLs, OCSP responses, keys) are read by their own files.

/// Tag numbers as they stand in the first byte.
pub mod tag {
    #![allow(missing_docs)]
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const TELETEX_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const VISIBLE_STRING: u8 = 0x1a;
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// `[n]`, primitive.
    pub const fn context(n: u8) -> u8 {
        0x80 | n
    }
    /// `[n]`, constructed.
    pub const fn constructed(n: u8) -> u8 {
        0xa0 | n
    }
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its first byte; numbers above 30 do not occur in what is read here and are refused.
    pub tag: u8,
    /// What it holds.
    pub contents: &'a [u8],
    /// All of it, with tag and length.
    pub whole: &'a [u8],
}

/// Elements of a sequence that are still to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over the contents of a sequence, or over a whole file.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }
    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
    /// The tag of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }
    /// The next element, if a well-formed one is there.
    pub fn element(&mut self) -> Option<Element<'a>> {
        let (&tag, after) = self.rest.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, after) = after.split_first()?;
        let (length, head) = match first {
            0..=0x7f => (usize::from(first), 2),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let bytes = after.get(..count)?;
                let length = bytes.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
                // DER takes the shortest form.
                if length < 0x80 || bytes[0] == 0 {
                    return None;
                }
                (length, 2 + count)
            }
            _ => return None,
        };
        let end = head.checked_add(length)?;
        let whole = self.rest.get(..end)?;
        self.rest = &self.rest[end..];
        Some(Element { tag, contents: &whole[head..], whole })
    }
    /// The contents of the next element if it has this tag; otherwise nothing is read.
    pub fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.peek() != Some(tag) {
            return None;
        }
        self.element().map(|element| element.contents)
    }
    /// The contents of the next element, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.optional(tag)
    }
    /// The whole of the next element, which must have this tag.
    pub fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.peek() != Some(tag) {
            return None;
        }
        self.element().map(|element| element.whole)
    }
    /// The elements of the next one, which must be a sequence.
    pub fn sequence(&mut self) -> Option<Reader<'a>> {
        self.expect(tag::SEQUENCE).map(Reader::new)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Element<'a>;
    /// Ends at the first malformed element; [`Reader::is_empty`] then tells that something is left.
    fn next(&mut self) -> Option<Element<'a>> {
        self.element()
    }
}

/// The bytes of a BIT STRING of whole bytes, as keys and signatures are.
pub fn bits(contents: &[u8]) -> Option<&[u8]> {
    contents.strip_prefix(&[0])
}

/// The first 16 flags of a BIT STRING, the first in the lowest bit.
pub fn flags(contents: &[u8]) -> Option<u16> {
    let (&unused, bytes) = contents.split_first()?;
    if unused > 7 || bytes.is_empty() && unused > 0 {
        return None;
    }
    let flags = bytes.iter().take(2).enumerate();
    Some(flags.fold(0, |sum, (at, byte)| sum | u16::from(byte.reverse_bits()) << (8 * at)))
}

/// A BOOLEAN.
pub fn boolean(contents: &[u8]) -> Option<bool> {
    match contents {
        [0] => Some(false),
        [_] => Some(true),
        _ => None,
    }
}

/// An INTEGER from 0 to `u32::MAX`.
pub fn unsigned(contents: &[u8]) -> Option<u32> {
    if contents.is_empty() || contents[0] >= 0x80 {
        return None;
    }
    let digits = contents.strip_prefix(&[0]).unwrap_or(contents);
    (digits.len() <= 4).then(|| digits.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

/// The bits of a positive INTEGER's magnitude: the size of a modulus.
pub fn bit_length(contents: &[u8]) -> usize {
    let digits = &contents[contents.iter().take_while(|byte| **byte == 0).count()..];
    digits.first().map_or(0, |first| digits.len() * 8 - first.leading_zeros() as usize)
}

/// An object identifier in dotted numbers; nothing if it is malformed.
pub fn dotted(oid: &[u8]) -> Option<String> {
    use std::fmt::Write;
    if oid.last().is_none_or(|last| last & 0x80 != 0) {
        return None;
    }
    let (mut text, mut number, mut is_first) = (String::new(), 0u64, true);
    for byte in oid {
        number = number.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if is_first {
            let root = (number / 40).min(2);
            let _ = write!(text, "{root}.{}", number - root * 40);
            is_first = false;
        } else {
            let _ = write!(text, ".{number}");
        }
        number = 0;
    }
    Some(text)
}

/// Seconds since the epoch of a UTCTime or GeneralizedTime. As in OpenSSL, seconds may be missing and a
/// distance from UTC may stand in place of `Z`.
pub fn time(element: Element<'_>) -> Option<i64> {
    let text = element.contents;
    let (year, rest) = match element.tag {
        tag::UTC_TIME => {
            let year = two(text)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        tag::GENERALIZED_TIME => (two(text)? * 100 + two(text.get(2..)?)?, text.get(4..)?),
        _ => return None,
    };
    let (month, day) = (two(rest)?, two(rest.get(2..)?)?);
    let (hour, minute) = (two(rest.get(4..)?)?, two(rest.get(6..)?)?);
    let mut rest = rest.get(8..)?;
    let mut second = 0;
    if rest.first().is_some_and(u8::is_ascii_digit) {
        second = two(rest)?;
        rest = rest.get(2..)?;
    }
    if element.tag == tag::GENERALIZED_TIME && rest.first() == Some(&b'.') {
        let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = rest.get(1 + digits..).filter(|_| digits > 0)?;
    }
    let offset = match rest {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), distance @ ..] if distance.len() == 4 => {
            let minutes = two(distance)? * 60 + two(&distance[2..])?;
            if *sign == b'+' { minutes * 60 } else { -minutes * 60 }
        }
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if day < 1 || day > days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - offset)
}

/// Two decimal digits.
fn two(text: &[u8]) -> Option<i64> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => {
            Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
        }
        _ => None,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar; years count from March so that a leap day is last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements() {
        let mut reader = Reader::new(b"\x30\x03\x02\x01\x05\x04\x00\x05\x00");
        assert_eq!(reader.sequence().expect("a sequence").expect(tag::INTEGER), Some(&b"\x05"[..]));
        assert_eq!(reader.optional(tag::INTEGER), None);
        assert_eq!(reader.expect(tag::OCTET_STRING), Some(&b""[..]));
        assert_eq!(reader.element().map(|element| element.whole), Some(&b"\x05\x00"[..]));
        assert!(reader.is_empty() && reader.element().is_none());
        let long = [&b"\x04\x81\x80"[..], &[7; 128]].concat();
        assert_eq!(Reader::new(&long).expect(tag::OCTET_STRING).map(<[u8]>::len), Some(128));
        // Too short, not the shortest length, an indefinite length, a tag number in several bytes.
        for wrong in [
            &b"\x04\x02a"[..],
            b"\x04",
            b"\x04\x81\x01a",
            b"\x04\x80a\0\0",
            b"\x1f\x81\x01\x00",
            b"\x04\x84\xff\xff\xff\xff",
        ] {
            assert_eq!(Reader::new(wrong).element(), None, "{wrong:x?}");
        }
    }

    #[test]
    fn numbers_and_flags() {
        for (contents, expected) in [
            (&b"\x00"[..], Some(0)),
            (b"\x7f", Some(127)),
            (b"\x00\xff\xff\xff\xff", Some(u32::MAX)),
            (b"\x01\x00\x00\x00\x00", None),
            (b"\xff", None),
            (b"", None),
        ] {
            assert_eq!(unsigned(contents), expected, "{contents:x?}");
        }
        // digitalSignature, keyCertSign; decipherOnly stands in the second byte.
        for (contents, expected) in [
            (&b"\x02\x84"[..], Some(0b10_0001)),
            (b"\x07\x00\x80", Some(0b1_0000_0000)),
            (b"\x00", Some(0)),
            (b"", None),
            (b"\x08\x01", None),
        ] {
            assert_eq!(flags(contents), expected, "{contents:x?}");
        }
        assert_eq!(bit_length(b"\x00\x80\x00"), 16);
        assert_eq!(bit_length(b"\x01"), 1);
        assert_eq!(bit_length(b"\x00"), 0);
    }

    #[test]
    fn identifiers() {
        for (oid, expected) in [
            (&b"\x55\x04\x03"[..], Some("2.5.4.3")),
            (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", Some("1.2.840.113549.1.1.11")),
            (b"\x88\x37\x01", Some("2.999.1")),
            (b"\x2a\x86", None),
            (b"", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", None),
        ] {
            assert_eq!(dotted(oid).as_deref(), expected, "{oid:x?}");
        }
    }

    #[test]
    fn times() {
        for (kind, text, expected) in [
            (tag::UTC_TIME, "700101000000Z", Some(0)),
            (tag::UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (tag::UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (tag::UTC_TIME, "2611301530Z", Some(1_796_052_600)),
            (tag::UTC_TIME, "261130153000+0100", Some(1_796_049_000)),
            (tag::GENERALIZED_TIME, "20000229120000Z", Some(951_825_600)),
            (tag::GENERALIZED_TIME, "20000229120000.5Z", Some(951_825_600)),
            (tag::GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (tag::GENERALIZED_TIME, "20010229120000Z", None),
            (tag::UTC_TIME, "701301000000Z", None),
            (tag::UTC_TIME, "700101240000Z", None),
            (tag::UTC_TIME, "700101000000", None),
            (tag::UTC_TIME, "7001010000Zx", None),
            (tag::UTC_TIME, "", None),
            (tag::OCTET_STRING, "700101000000Z", None),
        ] {
            let element = Element { tag: kind, contents: text.as_bytes(), whole: b"" };
            assert_eq!(time(element), expected, "{text}");
        }
    }
}
