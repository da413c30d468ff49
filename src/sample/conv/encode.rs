//! Converters between encodings (manual, section 7.3.1).

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

use ArgType::{Int, Str};

/// Bits that are left over after the last byte do not count, whatever they are.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
const ANY_PADDING: GeneralPurposeConfig =
    LENIENT.with_decode_padding_mode(DecodePaddingMode::Indifferent).with_encode_padding(false);
pub(super) const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
pub(super) const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// Rows.
pub const TABLE: &[Converter] = &[
    Converter::new("base64", Type::Bin, Type::Str, "Base64 text of the bytes.", base64),
    Converter::new("b64dec", Type::Str, Type::Bin, "The bytes that Base64 text means.", b64dec),
    Converter::new("ub64enc", Type::Bin, Type::Str, "URL-safe Base64 text of the bytes.", ub64enc),
    Converter::new("ub64dec", Type::Str, Type::Bin, "The bytes that URL-safe Base64 text means.", ub64dec),
    Converter::new("hex", Type::Bin, Type::Str, "The bytes in hexadecimal capitals.", hex),
    Converter::new("hex2i", Type::Str, Type::Int, "The number that hexadecimal digits mean.", hex2i),
    Converter::new("base2", Type::Bin, Type::Str, "The bytes in binary digits.", base2),
    Converter::new(
        "be2hex",
        Type::Bin,
        Type::Str,
        "The bytes in hexadecimal, in chunks between separators.",
        be2hex,
    )
    .args(0, &[Str, Int, Int])
    .check(check_be2hex),
    Converter::new("be2dec", Type::Bin, Type::Str, "Chunks of bytes as decimal numbers, big-endian.", be2dec)
        .args(2, &[Str, Int, Int])
        .check(check_dec),
    Converter::new(
        "le2dec",
        Type::Bin,
        Type::Str,
        "Chunks of bytes as decimal numbers, little-endian.",
        le2dec,
    )
    .args(2, &[Str, Int, Int])
    .check(check_dec),
    Converter::new(
        "url_dec",
        Type::Str,
        Type::Str,
        "Undoes URL encoding; '+' is a space after '?', or anywhere with 1.",
        url_dec,
    )
    .args(0, &[Int]),
    Converter::new("url_enc", Type::Str, Type::Str, "URL encoding of what a query may not carry.", url_enc)
        .args(0, &[Str])
        .check(check_url_enc),
    Converter::new(
        "has_ctl",
        Type::Bin,
        Type::Bool,
        "Whether there are control characters of a mask, 'any', or 'http'; all but TAB by default.",
        has_ctl,
    )
    .args(0, &[Str])
    .check(check_has_ctl),
];

fn base64<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::string(STANDARD.encode(value.bytes()?).into_bytes()))
}
fn b64dec<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    STANDARD.decode(value.bytes()?).ok().map(|bytes| Value::Bin(Cow::Owned(bytes)))
}
fn ub64enc<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::string(URL.encode(value.bytes()?).into_bytes()))
}
fn ub64dec<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    URL.decode(value.bytes()?).ok().map(|bytes| Value::Bin(Cow::Owned(bytes)))
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn hex<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let mut out = Vec::new();
    push_hex(value.bytes()?, &mut out);
    Some(Value::string(out))
}

fn hex2i<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let mut n = 0i64;
    for byte in value.bytes()? {
        n = n << 4 | i64::from((*byte as char).to_digit(16)?);
    }
    Some(Value::Int(n))
}

/// The bits of each byte as digits, made once: a buffer may hold thousands of bytes.
static EIGHT_BITS: [[u8; 8]; 256] = {
    let mut all = [[b'0'; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            all[byte][bit] += (byte >> (7 - bit) & 1) as u8;
            bit += 1;
        }
        byte += 1;
    }
    all
};

fn base2<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let bytes = value.bytes()?;
    let mut out = Vec::with_capacity(8 * bytes.len());
    for byte in bytes {
        out.extend_from_slice(&EIGHT_BITS[usize::from(*byte)]);
    }
    Some(Value::string(out))
}

/// Chunks of the configured size; with `truncate`, whole ones only.
fn chunks(bytes: &[u8], size: usize, truncate: bool) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(size.max(1)).filter(move |chunk| !truncate || chunk.len() == size)
}

fn check_be2hex(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let (size, truncate) = (args.as_slice().int(1), args.as_slice().int(2));
    if size <= 0 && (!args.as_slice().text(0).is_empty() || truncate != 0) {
        return Err(format!("chunk_size needs to be positive ({size})"));
    }
    if !(0..=1).contains(&truncate) {
        return Err(format!("Unsupported truncate value ({truncate})"));
    }
    Ok(())
}

fn be2hex<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    // Chunks can be told from each other only by a separator, or by what is cut off.
    let is_whole = args.text(0).is_empty() && args.int(2) == 0;
    let size = if is_whole { usize::MAX } else { usize::try_from(args.int(1)).ok()? };
    let bytes = value.bytes()?;
    let mut out = Vec::with_capacity(2 * bytes.len());
    for (at, chunk) in chunks(bytes, size, args.int(2) == 1).enumerate() {
        if at > 0 {
            out.extend_from_slice(args.text(0));
        }
        push_hex(chunk, &mut out);
    }
    Some(Value::string(out))
}

fn check_dec(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let (size, truncate) = (args.as_slice().int(1), args.as_slice().int(2));
    if !(1..=8).contains(&size) {
        return Err(format!("chunk_size out of [1..8] range ({size})"));
    }
    if !(0..=1).contains(&truncate) {
        return Err(format!("Unsupported truncate value ({truncate})"));
    }
    Ok(())
}

fn decimal<'a>(value: &Value<'_>, args: &[Arg], little: bool) -> Option<Value<'a>> {
    let mut out = Vec::new();
    for (at, chunk) in chunks(value.bytes()?, args.int(1) as usize, args.int(2) == 1).enumerate() {
        if at > 0 {
            out.extend_from_slice(args.text(0));
        }
        let join = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        let n = if little { chunk.iter().rev().fold(0, join) } else { chunk.iter().fold(0, join) };
        out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }
    Some(Value::string(out))
}
fn be2dec<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    decimal(&value, args, false)
}
fn le2dec<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    decimal(&value, args, true)
}

fn url_dec<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    if !value.bytes()?.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(value);
    }
    let text = value.bytes()?;
    let mut in_form = args.int(0) != 0;
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'+' if in_form => out.push(b' '),
            b'%' => {
                let digit = |at: usize| text.get(at).and_then(|byte| (*byte as char).to_digit(16));
                out.push((digit(at + 1)? << 4 | digit(at + 2)?) as u8);
                at += 2;
            }
            byte => {
                in_form |= byte == b'?';
                out.push(byte);
            }
        }
        at += 1;
    }
    Some(Value::string(out))
}

fn check_url_enc(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.as_slice().text(0) {
        b"" | b"query" => Ok(()),
        other => Err(format!("unexpected encode type '{}'", String::from_utf8_lossy(other))),
    }
}

/// Unreserved characters stay (RFC 3986 section 2.3).
fn url_enc<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut rest = value.bytes()?;
    let mut out = Vec::with_capacity(rest.len());
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte)) {
        let [high, low] = [rest[at] >> 4, rest[at] & 15].map(|digit| DIGITS[usize::from(digit)]);
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'%', high, low]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    Some(Value::string(out))
}

/// A bit for each character below space, and bit 32 for DEL.
const CONTROLS: i64 = 0x1_ffff_ffff;

fn check_has_ctl(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let text = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    let mask = match &*text {
        "" => CONTROLS & !(1 << b'\t'),
        "any" => CONTROLS,
        "http" => 1 << b'\r' | 1 << b'\n' | 1,
        number => {
            let parsed = match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
                Some(digits) => i64::from_str_radix(digits, 16),
                None => number.parse(),
            };
            parsed.map_err(|_| {
                format!("cannot parse value '{number}'; expecting an integer value (decimal or hex with '0x' prefix)")
            })?
        }
    };
    if mask & !CONTROLS != 0 {
        return Err(format!("unsupported excess bits 0x{:x} in argument value {text}", mask & !CONTROLS));
    }
    *args = vec![Arg::Int(mask)];
    Ok(())
}

fn has_ctl<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let mask = args.int(0);
    let is_wanted = |byte: &u8| match byte {
        0..=0x1f => mask & 1 << byte != 0,
        0x7f => mask & 1 << 32 != 0,
        _ => false,
    };
    Some(Value::Bool(value.bytes()?.iter().any(is_wanted)))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};

    #[test]
    fn encodings() {
        check(
            &World::default(),
            &[
                ("str(ab?),base64", "YWI/"),
                ("str(YWI/),b64dec", "ab?"),
                ("str(!!),b64dec", "-"),
                ("str('a>?'),ub64enc", "YT4_"),
                ("str(a),ub64enc", "YQ"),
                ("str(YQ),ub64dec", "a"),
                ("str(YQ==),ub64dec", "a"),
                ("str(YR),ub64dec", "a"),
                ("str(YR==),b64dec", "a"),
                ("str(aZ),hex", "615A"),
                ("str(ff),hex2i", "255"),
                ("str(fg),hex2i", "-"),
                ("str(a),base2", "01100001"),
                ("str(0123456789),be2hex,lower", "30313233343536373839"),
                ("str(0123456789),be2hex(:,1)", "30:31:32:33:34:35:36:37:38:39"),
                ("str(0123456789),be2hex(--,3)", "303132--333435--363738--39"),
                ("str(0123456789),be2hex(.,3,1)", "303132.333435.363738"),
                ("str(''),be2hex(:,1)", ""),
                ("bin(01020304050607),be2dec(:,2)", "258:772:1286:7"),
                ("bin(01020304050607),be2dec(-,2,1)", "258-772-1286"),
                ("bin(01020304),le2dec(:,2)", "513:1027"),
                ("str('/bla+%20?foo%3Dbar%2B42+42%20'),url_dec", "/bla+ ?foo=bar+42 42 "),
                ("str('/bla+%20?foo%3Dbar%2B42+42%20'),url_dec(1)", "/bla  ?foo=bar+42 42 "),
                ("str('a%2'),url_dec", "-"),
                ("str('a b/é&='),url_enc", "a%20b%2F%C3%A9%26%3D"),
                ("str(ab),has_ctl", "0"),
                ("bin(6109),has_ctl", "0"),
                ("bin(6109),has_ctl(any)", "1"),
                ("bin(6109),has_ctl(0x200)", "1"),
                ("bin(6109),has_ctl(512)", "1"),
                ("bin(6108),has_ctl", "1"),
                ("bin(6108),has_ctl(http)", "0"),
                ("bin(0d),has_ctl(http)", "1"),
                ("bin(7f),has_ctl(0x100000000)", "1"),
                ("bin(7f),has_ctl(0xffffffff)", "0"),
                ("str(abc),be2hex('',0)", "616263"),
                ("bin(0102030405060708),be2hex(,3,1)", "010203040506"),
            ],
        );
        for (text, message) in [
            ("str(a),be2hex(:)", "chunk_size needs to be positive (0)"),
            ("str(a),be2dec(:,9)", "chunk_size out of [1..8] range (9)"),
            ("str(a),be2hex(:,1,2)", "Unsupported truncate value (2)"),
            ("str(a),has_ctl(xyz)", "cannot parse value 'xyz'"),
            (
                "str(a),has_ctl(0x200000000)",
                "unsupported excess bits 0x200000000 in argument value 0x200000000",
            ),
            ("str(a),be2hex(,0,1)", "chunk_size needs to be positive (0)"),
            ("str(a),url_enc(path)", "unexpected encode type 'path'"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
