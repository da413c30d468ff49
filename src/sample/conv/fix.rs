//! Converters that read FIX messages, which are lists of `tag=value` fields that each end with SOH
//! (manual, `fix_is_valid` and `fix_tag_value`; FIX is the Financial Information eXchange).
//!
//! A message that is not all there yields nothing yet, so that content inspection waits for more.

use super::Converter;
use super::text::part;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

/// Rows.
pub const TABLE: &[Converter] = &[
    Converter::new("fix_is_valid", Type::Bin, Type::Bool, "Whether the bytes are a FIX message.", is_valid)
        .settles(),
    Converter::new("fix_tag_value", Type::Bin, Type::Bin, "The value of a FIX message's tag.", tag_value)
        .args(1, &[ArgType::Str])
        .check(check_tag)
        .settles(),
];

const DELIMITER: u8 = 1;
/// The least that can be a message.
const MESSAGE_MIN: usize = 26;

const BEGIN_STRING: u32 = 8;
const BODY_LENGTH: u32 = 9;
const CHECK_SUM: u32 = 10;
const MSG_TYPE: u32 = 35;

/// Tags that may be given by name.
const TAGS: [(&str, u32); 6] = [
    ("BeginString", BEGIN_STRING),
    ("BodyLength", BODY_LENGTH),
    ("CheckSum", CHECK_SUM),
    ("MsgType", MSG_TYPE),
    ("SenderCompID", 49),
    ("TargetCompID", 56),
];

/// Versions and the greatest tag that each knows; all of 5.0 announce themselves as FIXT.1.1.
const VERSIONS: [(&[u8], u32); 6] = [
    (b"FIX.4.0", 140),
    (b"FIX.4.1", 211),
    (b"FIX.4.2", 446),
    (b"FIX.4.3", 659),
    (b"FIX.4.4", 956),
    (b"FIXT.1.1", 1621),
];

/// Why there is no next field.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// Its end is not there yet.
    More,
    Invalid,
}

/// The tag and the value that `rest` begins with, and what follows.
fn field(rest: &[u8]) -> Result<(u32, &[u8], &[u8]), Fault> {
    let equals = memchr::memchr(b'=', rest).ok_or(Fault::More)?;
    let end = memchr::memchr(DELIMITER, &rest[equals..]).ok_or(Fault::More)? + equals;
    let (tag, value) = (&rest[..equals], &rest[equals + 1..end]);
    let tag = number(tag).filter(|tag| *tag != 0).ok_or(Fault::Invalid)?;
    if value.is_empty() { Err(Fault::Invalid) } else { Ok((tag, value, &rest[end + 1..])) }
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a message is valid, or [`Fault::More`] if that cannot be told yet.
fn validate(message: &[u8]) -> Result<(), Fault> {
    if message.len() < MESSAGE_MIN {
        return Err(Fault::More);
    }
    let (mut rest, mut sum, mut tag_max) = (message, 0u8, u32::MAX);
    let (mut body_length, mut body) = (0, 0);
    for place in 1.. {
        let at = message.len() - rest.len();
        let (tag, value, next) = field(rest)?;
        let is_user_defined = (10000..=19999).contains(&tag);
        if tag > tag_max && !is_user_defined {
            return Err(Fault::Invalid);
        }
        let end = message.len() - next.len();
        match place {
            1 if tag == BEGIN_STRING => {
                let version = VERSIONS.iter().find(|(name, _)| *name == value);
                tag_max = version.ok_or(Fault::Invalid)?.1;
            }
            2 if tag == BODY_LENGTH => {
                body_length = number(value).filter(|len| *len != 0).ok_or(Fault::Invalid)? as usize;
                body = end;
            }
            3 if tag == MSG_TYPE => (),
            4.. if tag == CHECK_SUM => {
                let is_right = at - body == body_length
                    && value.len() == 3
                    && number(value).is_some_and(|given| given == u32::from(sum));
                return if is_right { Ok(()) } else { Err(Fault::Invalid) };
            }
            4.. => (),
            _ => return Err(Fault::Invalid),
        }
        sum = message[at..end].iter().fold(sum, |sum, byte| sum.wrapping_add(*byte));
        rest = next;
    }
    Err(Fault::More)
}

fn is_valid<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    match validate(value.bytes()?) {
        Ok(()) => Some(Value::Bool(true)),
        Err(Fault::Invalid) => Some(Value::Bool(false)),
        Err(Fault::More) => None,
    }
}

fn check_tag(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let name = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    let named = TAGS.iter().find(|(known, _)| *known == name).map(|(_, tag)| *tag);
    let tag = named.or_else(|| number(name.as_bytes()).filter(|tag| *tag != 0));
    args[0] = Arg::Int(i64::from(tag.ok_or_else(|| format!("Unknown FIX tag name '{name}'"))?));
    Ok(())
}

fn tag_value<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    part(value, |message| {
        let mut rest = message;
        loop {
            let (tag, value, next) = field(rest).ok()?;
            if i64::from(tag) == args.int(0) {
                let end = message.len() - next.len() - 1;
                return Some((end - value.len(), end));
            }
            if tag == CHECK_SUM {
                return None;
            }
            rest = next;
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};

    /// A message with the length and the sum that its body makes.
    fn message(version: &str, body: &str) -> Vec<u8> {
        let mut text = format!("8={version}|9={}|{body}", body.len()).replace('|', "\u{1}").into_bytes();
        let sum = text.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        text.extend(format!("10={sum:03}\u{1}").bytes());
        text
    }

    #[test]
    fn messages() {
        let good = message("FIX.4.2", "35=A|49=CLIENT|56=SERVER|");
        for (bytes, valid, sender) in [
            (good.clone(), "1", "CLIENT"),
            (message("FIXT.1.1", "35=A|49=CLIENT|1621=x|"), "1", "CLIENT"),
            (message("FIX.4.0", "35=A|49=CLIENT|141=x|"), "0", "CLIENT"),
            (message("FIX.4.0", "35=A|49=CLIENT|10001=x|"), "1", "CLIENT"),
            (message("FIX.9.0", "35=A|49=CLIENT|"), "0", "CLIENT"),
            (message("FIX.4.2", "49=CLIENT|35=A|"), "0", "CLIENT"),
            (message("FIX.4.2", "35=A|49=|"), "0", "-"),
            (message("FIX.4.2", "35=A|x=1|49=CLIENT|"), "0", "-"),
            (message("FIX.4.2", "35=A|58=no sender|"), "1", "-"),
            (good[..good.len() - 1].to_vec(), "-", "CLIENT"),
            (good[..20].to_vec(), "-", "-"),
            ([&good[..good.len() - 2], b"x\x01"].concat(), "0", "CLIENT"),
            ([&good[..], b"trailing"].concat(), "1", "CLIENT"),
            (b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_vec(), "-", "-"),
            (vec![], "-", "-"),
        ] {
            let mut world = World::default();
            world.txn.request_payload = bytes.clone();
            world.txn.inspection_over = true;
            for (converter, expected) in [
                ("fix_is_valid", valid),
                ("fix_tag_value(49)", sender),
                ("fix_tag_value(SenderCompID)", sender),
            ] {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                check(&world, &[(&format!("bin({hex}),{converter}"), expected)]);
            }
        }
        let (found, _) = alert("bin(00),fix_tag_value(Sender)", Phase::HttpRequest);
        assert!(found.contains("Unknown FIX tag name 'Sender'"), "{found}");
    }
}
