//! Fetches of bytes not parsed yet (manual, section 7.3.5).

use std::borrow::Cow;

use super::{Fetch, Source};
use crate::http::Fields;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::{Context, Direction};
use crate::sample::value::{Type, Value, leading_int};

use ArgType::{Int, Str};
use Source::{EitherBuffer, RequestBuffer, ResponseBuffer};

const PAYLOAD_DOC: &str = "<length> bytes from <offset> on; a length of 0 is all that is there.";
const LV_DOC: &str = "A block whose length stands at <offset1> in <length> bytes, big-endian; the block follows, or \
                      stands at <offset2>.";
const RDP_DOC: &str = "The cookie of an RDP connection request, by name or the first.";
const LEN_DOC: &str = "How many bytes are there and not parsed.";

const fn grows(name: &'static str, source: Source, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Bin, source, doc, get)
        .args(2, &[Int, Int])
        .check(check_payload)
        .grows(is_open_ended)
}
const fn lv(name: &'static str, source: Source, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Bin, source, LV_DOC, get).args(2, &[Int, Int, Str]).check(check_lv)
}
const fn len(name: &'static str, source: Source, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, source, LEN_DOC, get).grows(|_| true)
}

/// Rows.
pub const TABLE: &[Fetch] = &[
    len("req.len", RequestBuffer, req_len),
    len("req_len", RequestBuffer, req_len),
    len("res.len", ResponseBuffer, res_len),
    grows("payload", EitherBuffer, PAYLOAD_DOC, payload),
    grows("req.payload", RequestBuffer, PAYLOAD_DOC, req_payload),
    grows("res.payload", ResponseBuffer, PAYLOAD_DOC, res_payload),
    lv("payload_lv", EitherBuffer, payload_lv),
    lv("req.payload_lv", RequestBuffer, req_payload_lv),
    lv("res.payload_lv", ResponseBuffer, res_payload_lv),
    Fetch::new("req.rdp_cookie", Type::Str, RequestBuffer, RDP_DOC, rdp_cookie).args(0, &[Str]),
    Fetch::new("rdp_cookie", Type::Str, RequestBuffer, RDP_DOC, rdp_cookie).args(0, &[Str]),
    Fetch::new(
        "req.rdp_cookie_cnt",
        Type::Int,
        RequestBuffer,
        "How many RDP cookies there are: 0 or 1.",
        rdp_cookie_cnt,
    )
    .args(0, &[Str]),
    Fetch::new(
        "rdp_cookie_cnt",
        Type::Int,
        RequestBuffer,
        "How many RDP cookies there are: 0 or 1.",
        rdp_cookie_cnt,
    )
    .args(0, &[Str]),
    Fetch::new(
        "wait_end",
        Type::Bool,
        Source::Internal,
        "True when content inspection is over, not before.",
        wait_end,
    )
    .waits(),
];

/// The bytes at hand that are not parsed. In HTTP mode there are none: the parser has taken them all.
pub(crate) fn unparsed<'a>(direction: Direction, context: &Context<'a>) -> Option<&'a [u8]> {
    let is_http = context.session.is_some_and(|session| session.is_http);
    (!is_http).then_some(match direction {
        Direction::Request => &context.txn.request_payload,
        Direction::Response => &context.txn.response_payload,
    })
}

fn check_payload(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    if args.iter().any(|arg| matches!(arg, Arg::Int(n) if *n < 0)) {
        return Err("offset and length must not be negative".into());
    }
    Ok(())
}

fn is_open_ended(args: &[Arg]) -> bool {
    args.int(1) == 0
}

fn cut<'a>(direction: Direction, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let bytes = unparsed(direction, context)?;
    let (offset, length) = (args.int(0) as usize, args.int(1) as usize);
    let end = if length == 0 { bytes.len() } else { offset.checked_add(length)? };
    let block = bytes.get(offset..end)?;
    (!block.is_empty()).then_some(Value::Bin(Cow::Borrowed(block)))
}
fn payload<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cut(context.direction, args, context)
}
fn req_payload<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cut(Direction::Request, args, context)
}
fn res_payload<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cut(Direction::Response, args, context)
}

fn check_lv(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    if args.as_slice().int(0) < 0 {
        return Err("offset1 must not be negative".into());
    }
    if !(1..=8).contains(&args.as_slice().int(1)) {
        return Err("length value must be between 1 and 8".into());
    }
    let offset = args.as_slice().text(2);
    let digits = offset.strip_prefix(b"+").or_else(|| offset.strip_prefix(b"-")).unwrap_or(offset);
    if !digits.iter().all(u8::is_ascii_digit) || digits.is_empty() && !offset.is_empty() {
        return Err("payload offset2 is not a number".into());
    }
    Ok(())
}

fn cut_lv<'a>(direction: Direction, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let bytes = unparsed(direction, context)?;
    let (at, width) = (args.int(0) as usize, args.int(1) as usize);
    let after = at.checked_add(width)?;
    let length = bytes.get(at..after)?.iter().fold(0usize, |n, byte| n << 8 | usize::from(*byte));
    // A sign makes the second offset relative to the end of the length.
    let start = match args.text(2) {
        b"" => after,
        [b'+' | b'-', ..] => after.checked_add_signed(leading_int(args.text(2))? as isize)?,
        absolute => leading_int(absolute)? as usize,
    };
    let block = bytes.get(start..start.checked_add(length)?)?;
    (!block.is_empty()).then_some(Value::Bin(Cow::Borrowed(block)))
}
fn payload_lv<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cut_lv(context.direction, args, context)
}
fn req_payload_lv<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cut_lv(Direction::Request, args, context)
}
fn res_payload_lv<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cut_lv(Direction::Response, args, context)
}

/// About what a message takes in HTTP mode: its fields and what came of its body. HAProxy's figure is of
/// that kind, and not exact either; it tells something from nothing.
fn message(fields: &Fields, body: &[u8]) -> usize {
    fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + body.len()
}
fn req_len<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let txn = context.txn;
    let len = match unparsed(Direction::Request, context) {
        Some(bytes) => bytes.len(),
        None if txn.has_request => {
            let request = &txn.request;
            request.method_bytes().len() + request.target().len() + message(&request.fields, &txn.body)
        }
        None => 0,
    };
    Some(Value::Int(len as i64))
}
fn res_len<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let txn = context.txn;
    let len = match unparsed(Direction::Response, context) {
        Some(bytes) => bytes.len(),
        None if txn.has_response => message(&txn.response.fields, &txn.response_body),
        None => 0,
    };
    Some(Value::Int(len as i64))
}

/// The start of an X.224 connection request: a TPKT header, then the request, then
/// `Cookie: <name>=<value>` and CRLF ([MS-RDPBCGR] section 2.2.1.1).
fn rdp<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<&'a [u8]> {
    const HEADERS: usize = 11;
    let bytes = unparsed(Direction::Request, context)?;
    if bytes.first() != Some(&3) || bytes.get(5)? & 0xf0 != 0xe0 {
        return None;
    }
    let rest = bytes.get(HEADERS..)?.strip_prefix(b"Cookie:")?;
    let rest = crate::base::text::trim(&rest[..memchr::memchr(b'\r', rest)?]);
    let at = memchr::memchr(b'=', rest)?;
    let name = args.text(0);
    (name.is_empty() || name.eq_ignore_ascii_case(&rest[..at])).then(|| &rest[at + 1..])
}
fn rdp_cookie<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    rdp(args, context).map(Value::text)
}
fn rdp_cookie_cnt<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(rdp(args, context).is_some())))
}

fn wait_end<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, check, check_in};

    #[test]
    fn payloads() {
        let mut world = World::default();
        world.txn.request_payload = b"\x00\x03abcdef".to_vec();
        check_in(
            &world,
            Phase::TcpRequestContent,
            &[
                ("req.len", "8"),
                ("req.payload(2,3)", "abc"),
                ("req.payload(2,0)", "abcdef"),
                ("req.payload(2,9)", "-"),
                ("payload(2,1)", "a"),
                ("req.payload_lv(0,2)", "abc"),
                ("req.payload_lv(0,2,+1)", "bcd"),
                ("req.payload_lv(0,2,5)", "def"),
                ("req.rdp_cookie", "-"),
            ],
        );
        let http = World::request("GET / HTTP/1.1", &["Host: h"]);
        check(&http, &[("req.len", "9"), ("req.payload(0,0)", "-"), ("req.payload_lv(0,1)", "-")]);
        world.txn.request_payload = b"\x03\0\0\x2a\x25\xe0\0\0\0\0\0Cookie: mstshash=user\r\n\x01".to_vec();
        check_in(
            &world,
            Phase::TcpRequestContent,
            &[("req.rdp_cookie(mstshash)", "user"), ("rdp_cookie(other)", "-"), ("rdp_cookie_cnt", "1")],
        );
    }
}
