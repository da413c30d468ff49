//! Fetches of HTTP responses (manual, section 7.3.6).

use std::borrow::Cow;

use super::header::{
    check_hdr, each_fhdr, each_res_hdr, each_res_hdr_ip, each_res_hdr_val, fhdr, fhdr_cnt, fields, hdr_names,
    hdrs, hdrs_bin, res_hdr, res_hdr_cnt, res_hdr_ip, res_hdr_val,
};
use super::{Fetch, Source};
use crate::sample::arg::{Arg, ArgType, Args};
use crate::sample::facts::{Context, Direction};
use crate::sample::value::{Type, Value, leading_int};

use ArgType::{Int, Str};
use Source::{Response, ResponseHeaders};

const NAME: &[ArgType] = &[Str];
const NAME_AND_PLACE: &[ArgType] = &[Str, Int];

const HDR_DOC: &str = "The value of a response header field, cut at commas: the last one, or number <occ>.";
const STATUS_DOC: &str = "The status code of the response.";
const VER_DOC: &str = "The response's HTTP version, such as 1.1.";

const fn headers(name: &'static str) -> Fetch {
    Fetch::new(name, Type::Str, ResponseHeaders, HDR_DOC, res_hdr)
        .args(0, NAME_AND_PLACE)
        .each(each_res_hdr)
        .check(check_hdr)
}
const fn count(name: &'static str) -> Fetch {
    Fetch::new(name, Type::Int, ResponseHeaders, "How many values the response field has.", res_hdr_cnt)
        .args(0, NAME)
}
const fn address(name: &'static str) -> Fetch {
    Fetch::new(name, Type::Ip, ResponseHeaders, "The value of a response field as an address.", res_hdr_ip)
        .args(0, NAME_AND_PLACE)
        .each(each_res_hdr_ip)
        .check(check_hdr)
}
const fn number(name: &'static str) -> Fetch {
    Fetch::new(name, Type::Int, ResponseHeaders, "The value of a response field as a number.", res_hdr_val)
        .args(0, NAME_AND_PLACE)
        .each(each_res_hdr_val)
        .check(check_hdr)
}
/// Rows.
pub const TABLE: &[Fetch] = &[
    Fetch::new("status", Type::Int, Response, STATUS_DOC, status),
    Fetch::new("txn.status", Type::Int, Response, "The status code sent to the client.", txn_status),
    Fetch::new("server_status", Type::Int, Response, "The status code that the server sent.", status),
    Fetch::new("res.ver", Type::Str, ResponseHeaders, VER_DOC, version),
    Fetch::new("resp_ver", Type::Str, ResponseHeaders, VER_DOC, version),
    headers("res.hdr"),
    headers("res.header"),
    headers("shdr"),
    count("res.hdr_cnt"),
    count("shdr_cnt"),
    address("res.hdr_ip"),
    address("shdr_ip"),
    number("res.hdr_val"),
    number("shdr_val"),
    Fetch::new(
        "res.hdr_names",
        Type::Str,
        ResponseHeaders,
        "The names of all response fields, joined.",
        res_hdr_names,
    )
    .args(0, NAME),
    Fetch::new("res.fhdr", Type::Str, ResponseHeaders, "The whole value of a response field line.", res_fhdr)
        .args(0, NAME_AND_PLACE)
        .each(each_res_fhdr)
        .check(check_hdr),
    Fetch::new(
        "res.fhdr_cnt",
        Type::Int,
        ResponseHeaders,
        "How many lines the response field has.",
        res_fhdr_cnt,
    )
    .args(0, NAME),
    Fetch::new(
        "res.hdrs",
        Type::Bin,
        ResponseHeaders,
        "All response fields as they go over the wire.",
        res_hdrs,
    ),
    Fetch::new(
        "res.hdrs_bin",
        Type::Bin,
        ResponseHeaders,
        "All response fields as lengths and bytes.",
        res_hdrs_bin,
    ),
    Fetch::new(
        "res.body",
        Type::Bin,
        ResponseHeaders,
        "The body bytes received so far ('http-response wait-for-body').",
        body,
    ),
    Fetch::new(
        "res.body_len",
        Type::Int,
        ResponseHeaders,
        "How many body bytes were received so far.",
        body_len,
    ),
    Fetch::new(
        "res.body_size",
        Type::Int,
        ResponseHeaders,
        "The body's announced length, or what was received.",
        body_size,
    ),
    Fetch::new("res.comp", Type::Bool, Response, "Whether the response was compressed here: no.", no),
    Fetch::new(
        "res.comp_algo",
        Type::Str,
        Response,
        "How the response was compressed here; absent if it was not.",
        |_, _| None,
    ),
    Fetch::new("res.cache_hit", Type::Bool, Response, "Whether the response is a cache's: no.", no),
    Fetch::new(
        "res.cache_name",
        Type::Str,
        Response,
        "The cache that the response is from; absent if there is none.",
        |_, _| None,
    ),
    Fetch::new("capture.res.hdr", Type::Str, Response, "The response capture in slot <idx>.", capture_hdr)
        .args(1, &[Int]),
    Fetch::new(
        "capture.res.ver",
        Type::Str,
        Response,
        "The version as received: HTTP/1.0 or HTTP/1.1.",
        capture_ver,
    ),
];

fn status<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let status = context.txn.response.status;
    (status != 0).then(|| Value::Int(i64::from(status)))
}

fn txn_status<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    match context.txn.status {
        0 => status(args, context),
        sent => Some(Value::Int(i64::from(sent))),
    }
}

fn version<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_response.then(|| Value::text(context.txn.response.version.number().as_bytes()))
}

fn no<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(false))
}

fn body<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_response.then_some(Value::Bin(Cow::Borrowed(&context.txn.response_body)))
}

fn body_len<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_response.then_some(Value::Int(context.txn.response_body.len() as i64))
}

fn body_size<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let received = context.txn.response_body.len() as i64;
    let announced = fields(Direction::Response, context)?.first(b"content-length");
    Some(Value::Int(announced.and_then(leading_int).map_or(received, |announced| announced.max(received))))
}

fn capture_ver<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_response.then(|| Value::text(context.txn.response.version.token().as_bytes()))
}

fn capture_hdr<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let slot = usize::try_from(args.int(0)).ok()?;
    context.txn.captured(Direction::Response, slot).map(Value::Str)
}

fn res_fhdr<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    fhdr(Direction::Response, args, context)
}
fn each_res_fhdr<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
    each_fhdr(Direction::Response, args, context, each);
}
fn res_fhdr_cnt<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    fhdr_cnt(Direction::Response, args, context)
}
fn res_hdr_names<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    hdr_names(Direction::Response, args, context)
}
fn res_hdrs<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    hdrs(Direction::Response, context)
}
fn res_hdrs_bin<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    hdrs_bin(Direction::Response, context)
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::facts::Direction;
    use crate::sample::testing::{World, check_in};

    #[test]
    fn responses() {
        let mut world = World::request("GET / HTTP/1.1", &["Host: h", "X: request"]);
        world.respond(404, &["X: a,b", "Set-Cookie: s=1; Path=/; Max-Age=3", "Set-Cookie: t=2", "Age: 7"]);
        world.direction = Direction::Response;
        world.txn.response_body = b"abc".to_vec();
        world.txn.response_captures = vec![Some(b"r0".as_slice().into())];
        check_in(
            &world,
            Phase::HttpResponse,
            &[
                ("status", "404"),
                ("res.body", "abc"),
                ("res.body_len", "3"),
                ("res.body_size", "3"),
                ("res.comp", "0"),
                ("res.cache_hit", "0"),
                ("res.cache_name", "-"),
                ("txn.status", "404"),
                ("res.ver", "1.1"),
                ("capture.res.ver", "HTTP/1.1"),
                ("hdr(x)", "b"),
                ("res.hdr(x,1)", "a"),
                ("res.header(x)", "b"),
                ("res.fhdr(x)", "a,b"),
                ("shdr_cnt(x)", "2"),
                ("res.fhdr_cnt(x)", "1"),
                ("res.hdr_val(age)", "7"),
                ("capture.res.hdr(0)", "r0"),
                ("res.hdr_names", "x,set-cookie,set-cookie,age"),
            ],
        );
    }
}
