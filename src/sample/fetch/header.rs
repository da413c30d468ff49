//! Fetches of header fields and cookies: `hdr` and `cook` with their families (manual, section
//! 7.3.6).

use std::borrow::Cow;

use super::request::split_port;
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
const COOK_DOC: &str = "The value of a request cookie; without a name, of the first cookie.";

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
    // Cookies.
    text("cook", RequestHeaders, COOK_DOC, req_cook).args(0, NAME).each(each_req_cook),
    text("req.cook", RequestHeaders, COOK_DOC, req_cook).args(0, NAME).each(each_req_cook),
    text("cookie", EitherHeaders, "The value of a cookie of the message at hand.", cookie)
        .args(0, NAME)
        .each(each_cookie),
    Fetch::new("cook_cnt", Type::Int, RequestHeaders, "How often the cookie occurs.", req_cook_cnt)
        .args(0, NAME),
    Fetch::new("req.cook_cnt", Type::Int, RequestHeaders, "How often the cookie occurs.", req_cook_cnt)
        .args(0, NAME),
    Fetch::new("cook_val", Type::Int, RequestHeaders, "A request cookie as a number.", req_cook_val)
        .args(0, NAME),
    Fetch::new("req.cook_val", Type::Int, RequestHeaders, "A request cookie as a number.", req_cook_val)
        .args(0, NAME),
    text(
        "req.cook_names",
        RequestHeaders,
        "The names of all cookies, joined by ',' or <delim>.",
        req_cook_names,
    )
    .args(0, NAME),
];

/// The fields of the message that `direction` names, if it is there.
pub(crate) fn fields<'a>(direction: Direction, context: &Context<'a>) -> Option<&'a Fields> {
    match direction {
        Direction::Request => context.txn.has_request.then_some(&context.txn.request.fields),
        Direction::Response => context.txn.has_response.then_some(&context.txn.response.fields),
    }
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
    for (_, value) in fields.iter().filter(|(key, _)| name.is_empty() || key.eq_ignore_ascii_case(name)) {
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
fn comma(text: &[u8]) -> usize {
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

fn as_address(value: &[u8]) -> Option<Value<'static>> {
    let (host, _) = split_port(value);
    parse_ip(host).map(Value::Ip)
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
            leading_int(value_at(fields($direction(context), context)?, args, false)?).map(Value::Int)
        }
        pub(crate) fn $each_val<'a>(
            args: &'a [Arg],
            context: &Context<'a>,
            each: &mut dyn FnMut(Value<'a>) -> bool,
        ) {
            each_value($direction(context), args, context, false, &mut |value| {
                leading_int(value).is_some_and(|n| each(Value::Int(n)))
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
    let count = fields.iter().filter(|(key, _)| name.is_empty() || key.eq_ignore_ascii_case(name)).count();
    Some(Value::Int(count as i64))
}

pub(crate) fn hdr_names<'a>(
    direction: Direction,
    args: &'a [Arg],
    context: &Context<'a>,
) -> Option<Value<'a>> {
    let delimiter = args.text(0).first().copied().unwrap_or(b',');
    let mut out = Vec::new();
    for (at, (name, _)) in fields(direction, context)?.iter().enumerate() {
        if at > 0 {
            out.push(delimiter);
        }
        out.extend(name.iter().map(u8::to_ascii_lowercase));
    }
    Some(Value::string(out))
}

pub(crate) fn hdrs<'a>(direction: Direction, context: &Context<'a>) -> Option<Value<'a>> {
    let mut out = Vec::new();
    for (name, value) in fields(direction, context)?.iter() {
        out.extend(name.iter().map(u8::to_ascii_lowercase));
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
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
fn req_hdrs<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    hdrs(Direction::Request, context)
}

// --- cookies -------------------------------------------------------------------------------

/// Every cookie of a message, as name and value.
fn cookies<'a>(
    direction: Direction,
    context: &Context<'a>,
    mut each: impl FnMut(&'a [u8], &'a [u8]) -> bool,
) {
    let Some(fields) = fields(direction, context) else { return };
    let is_request = direction == Direction::Request;
    let name: &[u8] = if is_request { b"cookie" } else { b"set-cookie" };
    for (_, line) in fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)) {
        // After the first `;` of a Set-Cookie come attributes.
        let parts = if is_request { usize::MAX } else { 1 };
        for pair in line.split(|byte| *byte == b';').take(parts) {
            let pair = crate::base::text::trim(pair);
            let Some(at) = memchr::memchr(b'=', pair) else { continue };
            let value = crate::base::text::trim(&pair[at + 1..]);
            let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
            if each(crate::base::text::trim(&pair[..at]), value) {
                return;
            }
        }
    }
}

/// The last cookie of the name, or the first of all without a name.
pub(crate) fn cook<'a>(direction: Direction, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let wanted = args.text(0);
    let mut found = None;
    cookies(direction, context, |name, value| {
        if wanted.is_empty() || name == wanted {
            found = Some(value);
        }
        wanted.is_empty()
    });
    found.map(Value::text)
}

pub(crate) fn each_cook<'a>(
    direction: Direction,
    args: &'a [Arg],
    context: &Context<'a>,
    each: &mut dyn FnMut(Value<'a>) -> bool,
) {
    let wanted = args.text(0);
    cookies(direction, context, |name, value| {
        (wanted.is_empty() || name == wanted) && each(Value::text(value))
    });
}

pub(crate) fn cook_cnt<'a>(
    direction: Direction,
    args: &'a [Arg],
    context: &Context<'a>,
) -> Option<Value<'a>> {
    fields(direction, context)?;
    let wanted = args.text(0);
    let mut count = 0;
    cookies(direction, context, |name, _| {
        count += i64::from(wanted.is_empty() || name == wanted);
        false
    });
    Some(Value::Int(count))
}

pub(crate) fn cook_names<'a>(
    direction: Direction,
    args: &'a [Arg],
    context: &Context<'a>,
) -> Option<Value<'a>> {
    fields(direction, context)?;
    let delimiter = args.text(0).first().copied().unwrap_or(b',');
    let mut out = Vec::new();
    cookies(direction, context, |name, _| {
        if !out.is_empty() {
            out.push(delimiter);
        }
        out.extend_from_slice(name);
        false
    });
    Some(Value::string(out))
}

fn req_cook<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cook(Direction::Request, args, context)
}
fn each_req_cook<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
    each_cook(Direction::Request, args, context, each);
}
fn cookie<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cook(context.direction, args, context)
}
fn each_cookie<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
    each_cook(context.direction, args, context, each);
}
fn req_cook_cnt<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cook_cnt(Direction::Request, args, context)
}
fn req_cook_val<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    req_cook(args, context)?.as_int().map(Value::Int)
}
fn req_cook_names<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cook_names(Direction::Request, args, context)
}

#[cfg(test)]
mod tests {
    use crate::sample::testing::{World, check};

    #[test]
    fn headers_and_cookies() {
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
                ("req.hdr_ip(x-forwarded-for)", "2001:db8::1"),
                ("req.hdr_val(host)", "0"),
                ("req.hdr_names", "host,x-list,x-list,x-forwarded-for,cookie,cookie,x-empty"),
                ("cook(id)", "2"),
                ("req.cook(lang)", "fr"),
                ("cook", "1"),
                ("cook_cnt(id)", "2"),
                ("req.cook_val(id)", "2"),
                ("req.cook_names", "id,lang,id"),
            ],
        );
    }
}
