//! Fetches of HTTP requests (manual, section 7.3.6), and of header fields in general.

use std::borrow::Cow;

use super::target;
use super::{Fetch, Source};
use crate::base::hash;
use crate::http::Fields;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::{Context, Direction};
use crate::sample::value::{Type, Value, leading_int, parse_ip};

use ArgType::{Int, Str};
use Source::{EitherHeaders, Request, RequestHeaders};

const NAME: &[ArgType] = &[Str];
const NAME_AND_PLACE: &[ArgType] = &[Str, Int];
const PARAMETER: &[ArgType] = &[Str, Str, Str];

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
const URLP_DOC: &str =
    "The value of a query parameter, by default the first one; <delim> ends the path, 'i' ignores case.";
const COOK_DOC: &str = "The value of a request cookie; without a name, of the first cookie.";
const BODY_DOC: &str = "The body bytes received so far ('option http-buffer-request', 'wait-for-body').";

/// Rows.
pub const TABLE: &[Fetch] = &[
    text("path", RequestHeaders, "The path of the request target, without its query.", path),
    text("pathq", RequestHeaders, "The path of the request target with its query.", pathq),
    text(
        "query",
        RequestHeaders,
        "The query of the request target, without '?' unless 'with_qm' is given.",
        query,
    )
    .args(0, NAME)
    .check(check_query),
    text("url", RequestHeaders, "The request target as it stands.", url),
    Fetch::new(
        "url_ip",
        Type::Ip,
        RequestHeaders,
        "The address that an absolute request target names.",
        url_ip,
    ),
    Fetch::new(
        "url_port",
        Type::Int,
        RequestHeaders,
        "The port that an absolute request target names.",
        url_port,
    ),
    Fetch::new(
        "url32",
        Type::Int,
        RequestHeaders,
        "A 32-bit hash of Host and the whole request target.",
        url32,
    ),
    Fetch::new(
        "url32+src",
        Type::Bin,
        RequestHeaders,
        "'url32' and the client's address, as one block.",
        url32_src,
    ),
    text("base", RequestHeaders, "The Host field and the path, joined.", base),
    text("baseq", RequestHeaders, "The Host field, the path and the query, joined.", baseq),
    Fetch::new("base32", Type::Int, RequestHeaders, "A 32-bit hash of 'base'.", base32),
    Fetch::new(
        "base32+src",
        Type::Bin,
        RequestHeaders,
        "'base32' and the client's address, as one block.",
        base32_src,
    ),
    text("urlp", RequestHeaders, URLP_DOC, urlp).args(0, PARAMETER).each(each_urlp),
    text("url_param", RequestHeaders, URLP_DOC, urlp).args(0, PARAMETER).each(each_urlp),
    Fetch::new("urlp_val", Type::Int, RequestHeaders, "A query parameter as a number.", urlp_val)
        .args(0, PARAMETER),
    Fetch::new("method", Type::Method, Request, "The request method.", method),
    text("req.ver", Request, "The request's HTTP version, such as 1.1.", version),
    text("req_ver", Request, "The request's HTTP version, such as 1.1.", version),
    Fetch::new("req.proto_http", Type::Bool, Request, "Whether the data are an HTTP request.", proto_http),
    Fetch::new("req_proto_http", Type::Bool, Request, "Whether the data are an HTTP request.", proto_http),
    Fetch::new(
        "http_first_req",
        Type::Bool,
        Request,
        "Whether this is the connection's first request.",
        first_req,
    ),
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
    // The body.
    Fetch::new("req.body", Type::Bin, RequestHeaders, BODY_DOC, body),
    Fetch::new(
        "req.body_len",
        Type::Int,
        RequestHeaders,
        "How many body bytes were received so far.",
        body_len,
    ),
    Fetch::new(
        "req.body_size",
        Type::Int,
        RequestHeaders,
        "The body's announced length, or what was received.",
        body_size,
    ),
    Fetch::new(
        "req.body_param",
        Type::Bin,
        RequestHeaders,
        "A parameter of a form-encoded body.",
        body_param,
    )
    .args(0, &[Str, Str])
    .each(each_body_param),
    // Authentication by the Authorization field; user lists are not looked at.
    text("http_auth_type", RequestHeaders, "The scheme of the Authorization field.", auth_type),
    text("http_auth_user", RequestHeaders, "The user of a Basic Authorization field.", auth_user),
    text("http_auth_pass", RequestHeaders, "The password of a Basic Authorization field.", auth_pass),
    text(
        "http_auth_bearer",
        RequestHeaders,
        "The token of a Bearer Authorization field, or of field <name>.",
        auth_bearer,
    )
    .args(0, NAME),
    // What was captured.
    text("capture.req.hdr", Request, "The request capture in slot <idx>.", capture_req_hdr).args(1, &[Int]),
    text("capture.req.method", Request, "The method as received.", capture_req_method),
    text("capture.req.uri", Request, "The request target as received.", capture_req_uri),
    text("capture.req.ver", Request, "The version as received: HTTP/1.0 or HTTP/1.1.", capture_req_ver),
];

fn path<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(target::path(request_target(context)?)).filter(|path| !path.is_empty()).map(Value::text)
}

fn pathq<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(target::path_and_query(request_target(context)?)).filter(|path| !path.is_empty()).map(Value::text)
}

fn request_target<'a>(context: &Context<'a>) -> Option<&'a [u8]> {
    context.txn.has_request.then(|| context.txn.request.target())
}

fn check_query(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.as_slice().text(0) {
        b"" | b"with_qm" => Ok(()),
        other => Err(format!("supported options are: 'with_qm' (got '{}')", String::from_utf8_lossy(other))),
    }
}

fn query<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let target = request_target(context)?;
    let query = target::query(target);
    Some(match args.text(0) {
        b"with_qm" => Value::text(query.map_or(b"", |query| &target[target.len() - query.len() - 1..])),
        _ => Value::text(query.unwrap_or(b"")),
    })
}

fn url<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    request_target(context).map(Value::text)
}

fn url_host_port<'a>(context: &Context<'a>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let authority = target::authority(request_target(context)?)?;
    let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or(authority);
    Some(split_port(host))
}

/// Host and port; brackets belong to neither.
pub(crate) fn split_port(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    if let [b'[', rest @ ..] = host
        && let Some(end) = memchr::memchr(b']', rest)
    {
        return (&rest[..end], rest[end + 1..].strip_prefix(b":"));
    }
    match memchr::memchr(b':', host) {
        Some(at) if memchr::memchr(b':', &host[at + 1..]).is_none() => (&host[..at], Some(&host[at + 1..])),
        _ => (host, None),
    }
}

fn url_ip<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    parse_ip(url_host_port(context)?.0).map(Value::Ip)
}

fn url_port<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    leading_int(url_host_port(context)?.1?).map(Value::Int)
}

/// Host and then `rest`; only `rest` without a Host.
fn with_host<'a>(context: &Context<'a>, rest: &'a [u8]) -> Cow<'a, [u8]> {
    match context.txn.request.fields.first(b"host") {
        Some(host) if !host.is_empty() => Cow::Owned([host, rest].concat()),
        _ => Cow::Borrowed(rest),
    }
}

fn base<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let path = target::path(request_target(context)?);
    let path = if path.starts_with(b"/") { path } else { b"" };
    Some(Value::Str(with_host(context, path))).filter(|value| value.bytes() != Some(b""))
}

fn baseq<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let path = target::path_and_query(request_target(context)?);
    let path = if path.starts_with(b"/") { path } else { b"" };
    Some(Value::Str(with_host(context, path))).filter(|value| value.bytes() != Some(b""))
}

/// HAProxy's 32-bit hash of a request: Host, then the path or the target, by sdbm and avalanche.
fn hash32(context: &Context<'_>, rest: &[u8]) -> u32 {
    hash::avalanche(hash::sdbm(&with_host(context, rest)))
}

fn base32<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let path = target::path(request_target(context)?);
    let path = if path.starts_with(b"/") { path } else { b"" };
    Some(Value::Int(i64::from(hash32(context, path))))
}

fn url32<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(hash32(context, request_target(context)?))))
}

fn and_source<'a>(hash: u32, context: &Context<'_>) -> Option<Value<'a>> {
    let mut block = hash.to_be_bytes().to_vec();
    let source = Value::Ip(context.session?.source?.ip().to_canonical());
    block.extend_from_slice(&source.into_bytes(Type::Bin)?);
    Some(Value::Bin(Cow::Owned(block)))
}

fn base32_src<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    and_source(base32(args, context)?.as_int()? as u32, context)
}

fn url32_src<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    and_source(url32(args, context)?.as_int()? as u32, context)
}

/// Gives the value of every parameter called `name` (or of all, without a name).
pub(crate) fn parameters<'t>(
    text: &'t [u8],
    name: &[u8],
    ignore_case: bool,
    separators: &[u8],
    mut each: impl FnMut(&'t [u8]) -> bool,
) {
    for pair in text.split(|byte| separators.contains(byte)) {
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        let found = name.is_empty() || key == name || ignore_case && key.eq_ignore_ascii_case(name);
        if found && !key.is_empty() && each(value) {
            return;
        }
    }
}

fn query_by_delimiter<'a>(args: &[Arg], context: &Context<'a>) -> Option<&'a [u8]> {
    let target = request_target(context)?;
    let delimiter = args.text(1).first().copied().unwrap_or(b'?');
    memchr::memchr(delimiter, target).map(|at| &target[at + 1..])
}

fn urlp<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let mut found = None;
    each_urlp(args, context, &mut |value| {
        found = Some(value);
        true
    });
    found
}

fn each_urlp<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
    let Some(query) = query_by_delimiter(args, context) else { return };
    let separators: &[u8] = if args.text(1).first().is_some_and(|byte| *byte == b';') { b"&;" } else { b"&" };
    let separators = if args.text(1).is_empty() { b"&;" } else { separators };
    parameters(query, args.text(0), args.text(2) == b"i", separators, |value| each(Value::text(value)));
}

fn urlp_val<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    urlp(args, context)?.as_int().map(Value::Int)
}

fn method<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let request = &context.txn.request;
    context.txn.has_request.then(|| Value::Method(request.method, Cow::Borrowed(request.method_bytes())))
}

fn version<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_request.then(|| Value::text(context.txn.request.version.number().as_bytes()))
}

fn proto_http<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_request.then_some(Value::Bool(true))
}

fn first_req<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(context.session?.requests <= 1))
}

// --- header fields -------------------------------------------------------------------------

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
            if each(value) {
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

// --- body ----------------------------------------------------------------------------------

fn body<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_request.then_some(Value::Bin(Cow::Borrowed(&context.txn.body)))
}

fn body_len<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_request.then_some(Value::Int(context.txn.body.len() as i64))
}

fn body_size<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let received = context.txn.body.len() as u64;
    context
        .txn
        .has_request
        .then(|| Value::Int(context.txn.body_length.unwrap_or(received).max(received) as i64))
}

fn body_param<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let mut found = None;
    each_body_param(args, context, &mut |value| {
        found = Some(value);
        true
    });
    found
}

fn each_body_param<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
    if context.txn.has_request {
        let ignore_case = args.text(1) == b"i";
        parameters(&context.txn.body, args.text(0), ignore_case, b"&", |value| {
            each(Value::Bin(Cow::Borrowed(value)))
        });
    }
}

// --- authorization -------------------------------------------------------------------------

fn authorization<'a>(context: &Context<'a>, field: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let value = fields(Direction::Request, context)?.first(field)?;
    let at = memchr::memchr(b' ', value)?;
    Some((&value[..at], crate::base::text::trim(&value[at..])))
}

fn auth_type<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    authorization(context, b"authorization").map(|(scheme, _)| Value::text(scheme))
}

fn basic(context: &Context<'_>) -> Option<(Vec<u8>, usize)> {
    use base64::Engine;
    let (scheme, credentials) = authorization(context, b"authorization")?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(credentials).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    Some((decoded, colon))
}

fn auth_user<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (mut decoded, colon) = basic(context)?;
    decoded.truncate(colon);
    Some(Value::string(decoded))
}

fn auth_pass<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    basic(context).map(|(mut decoded, colon)| Value::string(decoded.split_off(colon + 1)))
}

fn auth_bearer<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let field = args.text(0);
    let field = if field.is_empty() { b"authorization" } else { field };
    let (scheme, token) = authorization(context, field)?;
    scheme.eq_ignore_ascii_case(b"bearer").then(|| Value::text(token))
}

// --- captures ------------------------------------------------------------------------------

fn capture_req_hdr<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let slot = usize::try_from(args.int(0)).ok()?;
    context.txn.request_captures.get(slot)?.as_deref().map(Value::text)
}

fn capture_req_method<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.logged_request().map(|line| Value::text(line.method))
}

fn capture_req_uri<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.logged_request().map(|line| Value::text(line.target))
}

fn capture_req_ver<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_request.then(|| Value::text(context.txn.request.version.token().as_bytes()))
}

#[cfg(test)]
mod tests {
    use crate::sample::testing::{World, check};

    #[test]
    fn targets_headers_and_cookies() {
        let world = World::request(
            "POST /a/b?x=1&Y=two&x=3 HTTP/1.0",
            &[
                "Host: example.com:8080",
                "X-List: a, b ,\"c,d\"",
                "X-List: e",
                "X-Forwarded-For: 192.0.2.7:1234, [2001:db8::1]:80",
                "Cookie: id=1; lang=fr",
                "Cookie: id=2",
                "Authorization: Basic dXNlcjpwYTpzcw==",
                "X-Empty:",
            ],
        );
        check(
            &world,
            &[
                ("path", "/a/b"),
                ("pathq", "/a/b?x=1&Y=two&x=3"),
                ("query", "x=1&Y=two&x=3"),
                ("query(with_qm)", "?x=1&Y=two&x=3"),
                ("url", "/a/b?x=1&Y=two&x=3"),
                ("base", "example.com:8080/a/b"),
                ("baseq", "example.com:8080/a/b?x=1&Y=two&x=3"),
                ("urlp(x)", "1"),
                ("url_param(y)", "-"),
                ("urlp(y,?,i)", "two"),
                ("urlp_val(x)", "1"),
                ("urlp", "1"),
                ("method", "POST"),
                ("req.ver", "1.0"),
                ("req.proto_http", "1"),
                ("http_first_req", "1"),
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
                ("req.hdr_names", "host,x-list,x-list,x-forwarded-for,cookie,cookie,authorization,x-empty"),
                ("cook(id)", "2"),
                ("req.cook(lang)", "fr"),
                ("cook", "1"),
                ("cook_cnt(id)", "2"),
                ("req.cook_val(id)", "2"),
                ("req.cook_names", "id,lang,id"),
                ("http_auth_type", "Basic"),
                ("http_auth_user", "user"),
                ("http_auth_pass", "pa:ss"),
                ("http_auth_bearer", "-"),
                ("capture.req.method", "POST"),
                ("capture.req.uri", "/a/b?x=1&Y=two&x=3"),
                ("capture.req.ver", "HTTP/1.0"),
            ],
        );
    }

    #[test]
    fn bodies_and_captures() {
        let mut world = World::request("POST / HTTP/1.1", &["Host: h"]);
        world.txn.body = b"a=1&b=2&a=3".to_vec();
        world.txn.body_length = Some(100);
        world.txn.request_captures = vec![Some(b"cap".as_slice().into()), None];
        check(
            &world,
            &[
                ("req.body", "a=1&b=2&a=3"),
                ("req.body_len", "11"),
                ("req.body_size", "100"),
                ("req.body_param(b)", "2"),
                ("req.body_param(B,i)", "2"),
                ("req.body_param(c)", "-"),
                ("capture.req.hdr(0)", "cap"),
                ("capture.req.hdr(1)", "-"),
            ],
        );
    }

    #[test]
    fn absolute_targets() {
        let world = World::request("GET http://10.0.0.1:81/x HTTP/1.1", &["Host: 10.0.0.1:81"]);
        check(&world, &[("url_ip", "10.0.0.1"), ("url_port", "81"), ("path", "/x"), ("query", "")]);
    }
}
