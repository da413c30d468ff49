//! Converters that take a field out of a Protocol Buffers message (manual, `protobuf` and
//! `ungrpc`): the wire format of <https://protobuf.dev/programming-guides/encoding/>.

use super::Converter;
use super::text::part;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

/// Rows.
pub const TABLE: &[Converter] = &[
    Converter::new(
        "protobuf",
        Type::Bin,
        Type::Any,
        "A field of a Protocol Buffers message by its dotted number; a number if <type> says so.",
        protobuf,
    )
    .args(1, &[ArgType::Str, ArgType::Str])
    .check(check),
    Converter::new("ungrpc", Type::Bin, Type::Any, "As 'protobuf', in the messages of a gRPC body.", ungrpc)
        .args(1, &[ArgType::Str, ArgType::Str])
        .check(check),
];

/// The bytes of a varint of 64 bits at most.
const VARINT_MAX: usize = 10;

/// How a field lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Varint,
    Bits64,
    Delimited,
    Bits32,
}

/// A type, how it lies on the wire, and what its bits mean as a number.
type Meaning = (&'static str, Wire, fn(u64) -> i64);

const TYPES: [Meaning; 14] = [
    ("int32", Wire::Varint, |bits| bits as i64),
    ("int64", Wire::Varint, |bits| bits as i64),
    ("uint32", Wire::Varint, |bits| bits as i64),
    ("uint64", Wire::Varint, |bits| bits as i64),
    ("bool", Wire::Varint, |bits| bits as i64),
    ("enum", Wire::Varint, |bits| bits as i64),
    ("sint32", Wire::Varint, zigzag),
    ("sint64", Wire::Varint, zigzag),
    ("fixed64", Wire::Bits64, |bits| bits as i64),
    ("sfixed64", Wire::Bits64, |bits| bits as i64),
    ("double", Wire::Bits64, |bits| f64::from_bits(bits) as i64),
    ("fixed32", Wire::Bits32, |bits| bits as i64),
    ("sfixed32", Wire::Bits32, |bits| i64::from(bits as i32)),
    ("float", Wire::Bits32, |bits| f32::from_bits(bits as u32) as i64),
];

fn zigzag(bits: u64) -> i64 {
    (bits >> 1) as i64 ^ -((bits & 1) as i64)
}

/// Brings the number to big-endian blocks of four bytes, the type to its place in [`TYPES`].
fn check(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let text = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    let numbers = numbers.ok_or_else(|| {
        format!("failed to parse '{text}' as a field number: it looks like '1' or '48.59.1'")
    })?;
    let kind = match args.get(1) {
        None => -1,
        Some(_) => {
            let name = String::from_utf8_lossy(args.as_slice().text(1)).into_owned();
            let at = TYPES.iter().position(|(known, ..)| *known == name);
            at.ok_or_else(|| format!("Wrong protocol buffer type '{name}'"))? as i64
        }
    };
    *args = vec![Arg::Numbers(numbers.into()), Arg::Int(kind)];
    Ok(())
}

/// The varint that `rest` begins with, and what follows.
fn varint(rest: &[u8]) -> Option<(u64, &[u8])> {
    let len = rest.iter().take(VARINT_MAX).position(|byte| byte & 0x80 == 0)? + 1;
    let bits = rest[..len].iter().rev().fold(0u64, |bits, byte| bits << 7 | u64::from(byte & 0x7f));
    Some((bits, &rest[len..]))
}

/// Where the field of this path lies in a message, and how.
fn find<'m>(mut message: &'m [u8], path: &[u32]) -> Option<(&'m [u8], Wire)> {
    let (last, mut depth) = (path.len().checked_sub(1)?, 0);
    while !message.is_empty() {
        let (key, rest) = varint(message)?;
        let (wire, content, next) = match key & 7 {
            0 => {
                let (_, next) = varint(rest)?;
                (Wire::Varint, &rest[..rest.len() - next.len()], next)
            }
            1 => (Wire::Bits64, rest.get(..8)?, &rest[8..]),
            2 => {
                let (len, rest) = varint(rest)?;
                let len = usize::try_from(len).ok()?;
                (Wire::Delimited, rest.get(..len)?, &rest[len..])
            }
            5 => (Wire::Bits32, rest.get(..4)?, &rest[4..]),
            // Groups, which are deprecated, and what does not exist.
            _ => return None,
        };
        if key >> 3 != u64::from(path[depth]) {
            message = next;
        } else if depth == last {
            return Some((content, wire));
        } else if wire == Wire::Delimited {
            (message, depth) = (content, depth + 1);
        } else {
            return None;
        }
    }
    None
}

/// The field as the arguments want it; `from` tells where messages start.
fn field<'a>(value: Value<'a>, args: &[Arg], grpc: bool) -> Option<Value<'a>> {
    let Some(Arg::Numbers(path)) = args.first() else { return None };
    let kind = usize::try_from(args.int(1)).ok();
    let look = |bytes: &[u8]| -> Option<(usize, usize, Wire)> {
        let place = |(content, wire): (&[u8], Wire)| {
            let start = content.as_ptr() as usize - bytes.as_ptr() as usize;
            (start, start + content.len(), wire)
        };
        if !grpc {
            return find(bytes, path).map(place);
        }
        // A flag for compression and four bytes of length before each message.
        let mut rest = bytes;
        while rest.len() > 5 {
            let len = u32::from_be_bytes(rest[1..5].try_into().ok()?) as usize;
            let message = rest.get(5..5 + len)?;
            if let Some(found) = find(message, path) {
                return Some(place(found));
            }
            rest = &rest[5 + len..];
        }
        None
    };
    let (start, end, wire) = look(value.bytes()?)?;
    let Some((_, wanted, meaning)) = kind.and_then(|kind| TYPES.get(kind)) else {
        return part(value, |_| Some((start, end)));
    };
    if *wanted != wire {
        return None;
    }
    let content = &value.bytes()?[start..end];
    let bits = match wire {
        Wire::Varint => varint(content)?.0,
        _ => content.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte)),
    };
    Some(Value::Int(meaning(bits)))
}

fn protobuf<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    field(value, args, false)
}
fn ungrpc<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    field(value, args, true)
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};

    #[test]
    fn fields() {
        // 1: 150; 2: "hi"; 3: fixed32 -1; 4: double 2.5; 5: { 1: 7, 6: { 2: 300 } }; 7: float 1.5
        const MESSAGE: &str = "089601 12026869 1dffffffff 210000000000000440 2a07080732 03 10ac02 3d0000c03f";
        let grpc = "00 00000002 0801 00 00000003 089601".replace(' ', "");
        let message = MESSAGE.replace(' ', "");
        for (converters, expected) in [
            ("protobuf(1),hex", "9601"),
            ("protobuf(1,int32)", "150"),
            ("protobuf(1,sint64)", "75"),
            ("protobuf(1,fixed32)", "-"),
            ("protobuf(2)", "hi"),
            ("protobuf(2,int32)", "-"),
            ("protobuf(3,fixed32)", "4294967295"),
            ("protobuf(3,sfixed32)", "-1"),
            ("protobuf(4,double)", "2"),
            ("protobuf(4),hex", "0000000000000440"),
            ("protobuf(5.1,uint64)", "7"),
            ("protobuf(5.6.2,int64)", "300"),
            ("protobuf(5),protobuf(6),protobuf(2,int64)", "300"),
            ("protobuf(1.1)", "-"),
            ("protobuf(7,float)", "1"),
            ("protobuf(8)", "-"),
        ] {
            check(&World::default(), &[(&format!("bin({message}),{converters}"), expected)]);
        }
        for (bytes, converters, expected) in [
            (&*grpc, "ungrpc(1,int32)", "1"),
            ("000000000008", "ungrpc(1,int32)", "-"),
            ("0000000002080100000000031205", "ungrpc(2)", "-"),
            ("000000000108000000000208 02", "ungrpc(1,int32)", "2"),
            ("08ffffffffffffffffff01", "protobuf(1,int64)", "-1"),
            ("08ffffffffffffffffffff01", "protobuf(1,int64)", "-"),
            ("0a05aa", "protobuf(1)", "-"),
            ("0baa", "protobuf(1)", "-"),
        ] {
            check(&World::default(), &[(&format!("bin({}),{converters}", bytes.replace(' ', "")), expected)]);
        }
        for (text, message) in [
            ("bin(00),protobuf(1.x)", "failed to parse '1.x' as a field number"),
            ("bin(00),protobuf(1.)", "failed to parse '1.' as a field number"),
            ("bin(00),ungrpc(1,string)", "Wrong protocol buffer type 'string'"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
