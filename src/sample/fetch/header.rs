//! Fetches of header fields: `hdr` with its family (manual, section 7.3.6).

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Fetch, Source};
use crate::http::Fields;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::{Context, Direction};
use crate::sample::value::{Type, Value, leading_int, parse_ip};

use ArgType::{Int, Str};
use Source::{EitherHeaders, RequestHeaders};

const NAME: &[ArgType] = &[Str];
const NAME_AND_PLACE: &[ArgType] = &[Str, Int];

const fn text(name: &'static str, source: Source, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Str, source, doc, get)
}

const HDR_DOC: &str = "The value of a header field, cut at commas: the last one, or number <occ> (negative from the \
                       end). An ACL looks at each.";
const FHDR_DOC: &str =
    "The whole value of a header field line, commas included: the last one, or number <occ>.";
const HDR_CNT_DOC: &str = "How many comma-separated values the header field has.";
const HDR_IP_DOC: &str = "The value of a header field as an address, a port after it being left out.";
const HDR_VAL_DOC: &str = "The value of a header field as a number.";

/// Rows.
pub const TABLE: &[Fetch] = &[
    // The hdr family: `hdr` is of whichever message is at hand, `req.hdr` of the request.
    text("hdr", EitherHeaders, HDR_DOC, hdr).args(0, NAME_AND_PLACE).each(each_hdr).check(check_hdr),
    Fetch::new("hdr_cnt", Type::Int, EitherHeaders, HDR_CNT_DOC, hdr_cnt).args(0, NAME),
    Fetch::new("hdr_ip", Type::Ip, EitherHeaders, HDR_IP_DOC, hdr_ip)
        .args(0, NAME_AND_PLACE)
        .each(each_hdr_ip)
        .check(check_hdr),
    Fetch::new("hdr_val", Type::Int, EitherHeaders, HDR_VAL_DOC, hdr_val)
        .args(0, NAME_AND_PLACE)
        .each(each_hdr_val)
        .check(check_hdr),
    text("req.hdr", RequestHeaders, HDR_DOC, req_hdr)
        .args(0, NAME_AND_PLACE)
        .each(each_req_hdr)
        .check(check_hdr),
    text("req.header", RequestHeaders, "An alias of 'req.hdr'.", req_hdr)
        .args(0, NAME_AND_PLACE)
        .each(each_req_hdr)
        .check(check_hdr),
    Fetch::new("req.hdr_cnt", Type::Int, RequestHeaders, HDR_CNT_DOC, req_hdr_cnt).args(0, NAME),
    Fetch::new("req.hdr_ip", Type::Ip, RequestHeaders, HDR_IP_DOC, req_hdr_ip)
        .args(0, NAME_AND_PLACE)
        .each(each_req_hdr_ip)
        .check(check_hdr),
    Fetch::new("req.hdr_val", Type::Int, RequestHeaders, HDR_VAL_DOC, req_hdr_val)
        .args(0, NAME_AND_PLACE)
        .each(each_req_hdr_val)
        .check(check_hdr),
    text(
        "req.hdr_names",
        RequestHeaders,
        "The names of all header fields, joined by ',' or <delim>.",
        req_hdr_names,
    )
    .args(0, NAME),
    text("req.fhdr", RequestHeaders, FHDR_DOC, req_fhdr)
        .args(0, NAME_AND_PLACE)
        .each(each_req_fhdr)
        .check(check_hdr),
    Fetch::new(
        "req.fhdr_cnt",
        Type::Int,
        RequestHeaders,
        "How many lines the header field has.",
        req_fhdr_cnt,
    )
    .args(0, NAME),
    Fetch::new(
        "req.hdrs",
        Type::Bin,
        RequestHeaders,
        "All header fields as they go over the wire.",
        req_hdrs,
    ),
    Fetch::new(
        "req.hdrs_bin",
        Type::Bin,
        RequestHeaders,
        "All header fields as lengths and bytes.",
        req_hdrs_bin,
    ),
];

/// The fields of the message that `direction` names, if it is there.
pub(crate) fn fields<'a>(direction: Direction, context: &Context<'a>) -> Option<&'a Fields> {
    match direction {
        Direction::Request => context.txn.has_request.then_some(&context.txn.request.fields),
        Direction::Response => context.txn.has_response.then_some(&context.txn.response.fields),
    }
}

/// The fields as rules see them: without what `Connection` says at either end of `close` and
/// `keep-alive`. Whether a connection persists is each hop's own matter; HAProxy takes that away before any
/// rule, and a line that says nothing else wholly.
pub(crate) fn visible(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().filter_map(|(name, value)| match name.eq_ignore_ascii_case(b"connection") {
        false => Some((name, value)),
        true => Some((name, without_persistence(value))).filter(|(_, value)| !value.is_empty()),
    })
}

fn without_persistence(mut value: &[u8]) -> &[u8] {
    let is_persistence = |token: &[u8]| {
        let token = crate::base::text::trim(token);
        token.is_empty() || [&b"close"[..], b"keep-alive"].iter().any(|t| token.eq_ignore_ascii_case(t))
    };
    while let Some(at) = memchr::memchr(b',', value).filter(|at| is_persistence(&value[..*at])) {
        value = &value[at + 1..];
    }
    while let Some(at) = memchr::memrchr(b',', value).filter(|at| is_persistence(&value[at + 1..])) {
        value = &value[..at];
    }
    if is_persistence(value) { b"" } else { crate::base::text::trim(value) }
}

/// The furthest place from the end that a header may be asked for.
const PLACE_MIN: i64 = -10;

pub(crate) fn check_hdr(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.get(1) {
        Some(Arg::Int(place)) if *place < PLACE_MIN => Err(format!("occurrence must be >= {PLACE_MIN}")),
        Some(Arg::Int(_)) if args.as_slice().text(0).is_empty() => {
            Err("a header name is needed to select one".into())
        }
        _ => Ok(()),
    }
}

/// Every value of the field, cut at commas outside quotes unless `whole`. Without a name, of all.
fn values<'f>(fields: &'f Fields, name: &[u8], whole: bool, mut each: impl FnMut(&'f [u8]) -> bool) {
    for (_, value) in visible(fields).filter(|(key, _)| name.is_empty() || key.eq_ignore_ascii_case(name)) {
        if whole {
            // A rule may have left blanks at the ends, which are no part of a value (RFC 9110 section 5.5).
            if each(crate::base::text::trim(value)) {
                return;
            }
            continue;
        }
        let mut start = 0;
        loop {
            let end = start + comma(&value[start..]);
            if each(crate::base::text::trim(&value[start..end])) {
                return;
            }
            if end >= value.len() {
                break;
            }
            start = end + 1;
        }
    }
}

/// Where the list element that `text` begins with ends.
pub(crate) fn comma(text: &[u8]) -> usize {
    let mut quoted = false;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b',' if !quoted => return at,
            _ => (),
        }
        at += 1;
    }
    text.len()
}

/// The value at the place that the arguments give: the last one by default.
fn value_at<'f>(fields: &'f Fields, args: &[Arg], whole: bool) -> Option<&'f [u8]> {
    let name = args.text(0);
    let place = match args.int(1) {
        0 => -1,
        place => place,
    };
    let mut found = None;
    if place > 0 {
        let mut left = place;
        values(fields, name, whole, |value| {
            left -= 1;
            if left == 0 {
                found = Some(value);
            }
            left == 0
        });
        return found;
    }
    // From the end: the last ones seen, in a ring as long as places go back.
    let back = (-place) as usize;
    let mut ring: [&[u8]; -PLACE_MIN as usize] = Default::default();
    let mut seen = 0;
    values(fields, name, whole, |value| {
        ring[seen % ring.len()] = value;
        seen += 1;
        false
    });
    (seen >= back).then(|| ring[(seen - back) % ring.len()])
}

fn each_value<'a>(
    direction: Direction,
    args: &'a [Arg],
    context: &Context<'a>,
    whole: bool,
    each: &mut dyn FnMut(&'a [u8]) -> bool,
) {
    let Some(fields) = fields(direction, context) else { return };
    if args.int(1) != 0 {
        // A place was asked for: there is one value only.
        if let Some(value) = value_at(fields, args, whole) {
            each(value);
        }
        return;
    }
    values(fields, args.text(0), whole, each);
}

/// An address as RFC 7239 section 6 writes it, or an IPv4 one with a port; nothing else passes (manual,
/// `req.hdr_ip`).
fn as_address(value: &[u8]) -> Option<Value<'static>> {
    let is_port = |port: &[u8]| std::str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok());
    let host = match value {
        [b'[', host @ .., b']'] => return parse_ip(host).filter(IpAddr::is_ipv6).map(Value::Ip),
        _ => match value.iter().position(|byte| *byte == b':') {
            Some(at) if is_port(&value[at + 1..]) && parse_ip(&value[..at]).is_some() => &value[..at],
            _ => value,
        },
    };
    parse_ip(host).map(Value::Ip)
}

/// The number a value begins with; 0 if it begins with none, or is empty.
pub(crate) fn as_number(value: &[u8]) -> i64 {
    leading_int(value).unwrap_or(0)
}

/// One direction's functions of the family.
macro_rules! header_family {
    ($direction:expr, $hdr:ident $each_hdr:ident $cnt:ident $ip:ident $each_ip:ident $val:ident $each_val:ident) => {
        pub(crate) fn $hdr<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            value_at(fields($direction(context), context)?, args, false).map(Value::text)
        }
        pub(crate) fn $each_hdr<'a>(
            args: &'a [Arg],
            context: &Context<'a>,
            each: &mut dyn FnMut(Value<'a>) -> bool,
        ) {
            each_value($direction(context), args, context, false, &mut |value| each(Value::text(value)));
        }
        pub(crate) fn $cnt<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            let mut count = 0;
            values(fields($direction(context), context)?, args.text(0), false, |_| {
                count += 1;
                false
            });
            Some(Value::Int(count))
        }
        pub(crate) fn $ip<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            as_address(value_at(fields($direction(context), context)?, args, false)?)
        }
        pub(crate) fn $each_ip<'a>(
            args: &'a [Arg],
            context: &Context<'a>,
            each: &mut dyn FnMut(Value<'a>) -> bool,
        ) {
            each_value($direction(context), args, context, false, &mut |value| {
                as_address(value).is_some_and(|address| each(address))
            });
        }
        pub(crate) fn $val<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            value_at(fields($direction(context), context)?, args, false)
                .map(|value| Value::Int(as_number(value)))
        }
        pub(crate) fn $each_val<'a>(
            args: &'a [Arg],
            context: &Context<'a>,
            each: &mut dyn FnMut(Value<'a>) -> bool,
        ) {
            each_value($direction(context), args, context, false, &mut |value| {
                each(Value::Int(as_number(value)))
            });
        }
    };
}

fn at_hand(context: &Context<'_>) -> Direction {
    context.direction
}
fn of_request(_: &Context<'_>) -> Direction {
    Direction::Request
}
pub(crate) fn of_response(_: &Context<'_>) -> Direction {
    Direction::Response
}
header_family!(at_hand, hdr each_hdr hdr_cnt hdr_ip each_hdr_ip hdr_val each_hdr_val);
header_family!(of_request, req_hdr each_req_hdr req_hdr_cnt req_hdr_ip each_req_hdr_ip req_hdr_val each_req_hdr_val);
header_family!(of_response, res_hdr each_res_hdr res_hdr_cnt res_hdr_ip each_res_hdr_ip res_hdr_val each_res_hdr_val);

pub(crate) fn fhdr<'a>(direction: Direction, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    value_at(fields(direction, context)?, args, true).map(Value::text)
}

pub(crate) fn each_fhdr<'a>(
    direction: Direction,
    args: &'a [Arg],
    context: &Context<'a>,
    each: &mut dyn FnMut(Value<'a>) -> bool,
) {
    each_value(direction, args, context, true, &mut |value| each(Value::text(value)));
}

pub(crate) fn fhdr_cnt<'a>(
    direction: Direction,
    args: &'a [Arg],
    context: &Context<'a>,
) -> Option<Value<'a>> {
    let name = args.text(0);
    let fields = fields(direction, context)?;
    let count = visible(fields).filter(|(key, _)| name.is_empty() || key.eq_ignore_ascii_case(name)).count();
    Some(Value::Int(count as i64))
}

pub(crate) fn hdr_names<'a>(
    direction: Direction,
    args: &'a [Arg],
    context: &Context<'a>,
) -> Option<Value<'a>> {
    let delimiter = args.text(0).first().copied().unwrap_or(b',');
    let mut out = Vec::new();
    for (at, (name, _)) in visible(fields(direction, context)?).enumerate() {
        if at > 0 {
            out.push(delimiter);
        }
        out.extend(name.iter().map(u8::to_ascii_lowercase));
    }
    Some(Value::string(out))
}

pub(crate) fn hdrs<'a>(direction: Direction, context: &Context<'a>) -> Option<Value<'a>> {
    let mut out = Vec::new();
    for (name, value) in visible(fields(direction, context)?) {
        out.extend(name.iter().map(u8::to_ascii_lowercase));
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Some(Value::Bin(Cow::Owned(out)))
}

/// A length as HAProxy's peers and agents encode it: below 240 one byte; otherwise four bits of the first
/// byte's, then seven of each following byte's (HAProxy's doc/peers-v2.0.txt).
fn put_length(mut n: u64, out: &mut Vec<u8>) {
    if n < 240 {
        out.push(n as u8);
        return;
    }
    out.push(n as u8 | 0xf0);
    n = (n - 240) >> 4;
    while n >= 128 {
        out.push(n as u8 | 0x80);
        n = (n - 128) >> 7;
    }
    out.push(n as u8);
}

pub(crate) fn hdrs_bin<'a>(direction: Direction, context: &Context<'a>) -> Option<Value<'a>> {
    let mut out = Vec::new();
    for (name, value) in visible(fields(direction, context)?) {
        put_length(name.len() as u64, &mut out);
        out.extend(name.iter().map(u8::to_ascii_lowercase));
        put_length(value.len() as u64, &mut out);
        out.extend_from_slice(value);
    }
    // An empty name with an empty value ends the list.
    out.extend([0, 0]);
    Some(Value::Bin(Cow::Owned(out)))
}

fn req_fhdr<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    fhdr(Direction::Request, args, context)
}
fn each_req_fhdr<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
    each_fhdr(Direction::Request, args, context, each);
}
fn req_fhdr_cnt<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    fhdr_cnt(Direction::Request, args, context)
}
fn req_hdr_names<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    hdr_names(Direction::Request, args, context)
}
fn req_hdrs_bin<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    hdrs_bin(Direction::Request, context)
}
fn req_hdrs<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    hdrs(Direction::Request, context)
}

#[cfg(test)]
mod tests {
    use crate::sample::testing::{World, check};

    #[test]
    fn persistence_is_no_matter_of_rules() {
        for (line, seen, count) in [
            ("Connection: close", "-", "1"),
            ("Connection: Keep-Alive", "-", "1"),
            ("Connection: keep-alive, Upgrade", "Upgrade", "2"),
            ("Connection: Upgrade , close,", "Upgrade", "2"),
            ("Connection: x-a, X-B", "x-a, X-B", "2"),
            ("Connection-Id: close", "-", "2"),
        ] {
            let world = World::request("GET / HTTP/1.1", &["Host: h", line]);
            check(&world, &[("req.fhdr(connection)", seen), ("req.fhdr_cnt", count)]);
        }
    }

    #[test]
    fn headers() {
        let world = World::request(
            "GET / HTTP/1.1",
            &[
                "Host: example.com:8080",
                "X-List: a, b ,\"c,d\"",
                "X-List: e",
                "X-Forwarded-For: 192.0.2.7:1234, [2001:db8::1]:80",
                "Cookie: id=1; lang=fr",
                "Cookie: id=2",
                "X-Empty:",
                "X-Client: 192.0.2.7:99999, 2001:db8::2, [2001:db8::1]",
                "Connection: keep-alive",
            ],
        );
        check(
            &world,
            &[
                ("hdr(x-list)", "e"),
                ("req.hdr(X-List,1)", "a"),
                ("req.hdr(X-List,3)", "\"c,d\""),
                ("req.hdr(X-List,-3)", "b"),
                ("req.hdr(X-List,9)", "-"),
                ("req.hdr(X-Empty)", ""),
                ("req.header(host)", "example.com:8080"),
                ("req.fhdr(x-list,1)", "a, b ,\"c,d\""),
                ("req.hdr_cnt(x-list)", "4"),
                ("req.fhdr_cnt(x-list)", "2"),
                ("req.hdr_cnt(absent)", "0"),
                ("hdr_ip(x-forwarded-for,1)", "192.0.2.7"),
                ("req.hdr_ip(x-forwarded-for,2)", "-"),
                ("req.hdr_ip(x-client)", "2001:db8::1"),
                ("req.hdr_ip(x-client,2)", "2001:db8::2"),
                ("req.hdr_ip(x-client,1)", "-"),
                ("req.hdr_val(x-empty)", "0"),
                ("req.hdr(connection)", "-"),
                ("req.hdrs_bin,hex,bytes(0,18)", "04686F737410657861"),
                ("req.hdr_val(host)", "0"),
                ("req.hdr_names", "host,x-list,x-list,x-forwarded-for,cookie,cookie,x-empty,x-client"),
            ],
        );
    }
}
