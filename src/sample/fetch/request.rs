//! Fetches of HTTP requests but for their header fields (manual, section 7.3.6).

use std::borrow::Cow;

use super::header::{as_number, fields};
use super::target;
use super::{Fetch, Source};
use crate::base::hash;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::{Context, Direction};
use crate::sample::value::{Type, Value, leading_int, parse_ip};

use ArgType::{Int, Str, UserList};
use Source::{Request, RequestHeaders};

const NAME: &[ArgType] = &[Str];
const PARAMETER: &[ArgType] = &[Str, Str, Str];

const fn text(name: &'static str, source: Source, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Str, source, doc, get)
}

const URLP_DOC: &str =
    "The value of a query parameter, by default the first one; <delim> ends the path, 'i' ignores case.";
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
    Fetch::new("url32", Type::Int, RequestHeaders, "A 32-bit hash of Host, the path and the query.", url32),
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
    // Authentication by the Authorization field.
    Fetch::new(
        "http_auth",
        Type::Bool,
        RequestHeaders,
        "Whether user and password of a Basic Authorization field are in <userlist>.",
        auth,
    )
    .args(1, &[UserList]),
    text(
        "http_auth_group",
        RequestHeaders,
        "The user of a Basic Authorization field whose password is right; an ACL compares the user's groups.",
        auth_group,
    )
    .args(1, &[UserList]),
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
    text("capture.req.uri", Request, "Path and query of the request as received.", capture_req_uri),
    text("capture.req.ver", Request, "The version as received: HTTP/1.0 or HTTP/1.1.", capture_req_ver),
];

fn path<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    present(target::path(request_target(context)?))
}

fn pathq<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    present(target::path_and_query(request_target(context)?))
}

/// A path that there is: neither an authority alone nor `*` has one.
fn present(path: &[u8]) -> Option<Value<'_>> {
    (!path.is_empty() && path != b"*").then_some(Value::text(path))
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
    let query = target::query(target)?;
    // A question mark alone is not given back.
    let with_mark = args.text(0) == b"with_qm" && !query.is_empty();
    Some(Value::text(if with_mark { &target[target.len() - query.len() - 1..] } else { query }))
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
    let (_, port) = url_host_port(context)?;
    let is_https = request_target(context)?.get(..6).is_some_and(|s| s.eq_ignore_ascii_case(b"https:"));
    let default = if is_https { 443 } else { 80 };
    Some(Value::Int(port.and_then(leading_int).unwrap_or(default)))
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
    let path = target::path_and_query(request_target(context)?);
    let path = if path.starts_with(b"/") { path } else { b"" };
    Some(Value::Int(i64::from(hash32(context, path))))
}

fn and_source<'a>(hash: u32, context: &Context<'_>) -> Option<Value<'a>> {
    let mut block = hash.to_be_bytes().to_vec();
    let source = Value::Ip(context.session?.source?.ip());
    block.extend_from_slice(&source.into_bytes(Type::Bin)?);
    Some(Value::Bin(Cow::Owned(block)))
}

fn base32_src<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    and_source(base32(args, context)?.as_int()? as u32, context)
}

fn url32_src<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    and_source(url32(args, context)?.as_int()? as u32, context)
}

/// Gives the value of every parameter called `name` (or of all, without a name); it is empty for what
/// has no `=`.
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

/// The same for queries and bodies, where what has no `=` is no parameter (manual, `url_param`).
fn assigned<'t>(
    text: &'t [u8],
    name: &[u8],
    ignore_case: bool,
    separators: &[u8],
    mut each: impl FnMut(&'t [u8]) -> bool,
) {
    for pair in text.split(|byte| separators.contains(byte)) {
        let Some(at) = memchr::memchr(b'=', pair) else { continue };
        let (key, value) = (&pair[..at], &pair[at + 1..]);
        let found = name.is_empty() || key == name || ignore_case && key.eq_ignore_ascii_case(name);
        if found && each(value) {
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
    let separators = [b'&', b';', args.text(1).first().copied().unwrap_or(b'?')];
    let ignore_case = args.text(2).first() == Some(&b'i');
    assigned(query, args.text(0), ignore_case, &separators, |value| each(Value::text(value)));
}

fn urlp_val<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    urlp(args, context)?.bytes().map(|value| Value::Int(as_number(value)))
}

fn method<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    // The client's, whatever `set-method` made of it since, as in HAProxy.
    let (asked, fields) = (context.txn.as_sent(), &context.txn.request.fields);
    context
        .txn
        .has_request
        .then(|| Value::Method(asked.method, Cow::Borrowed(fields.bytes(asked.method_text))))
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
        let ignore_case = args.text(1).first() == Some(&b'i');
        assigned(&context.txn.body, args.text(0), ignore_case, b"&;", |value| {
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

fn auth<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    // Without credentials there is no value, which in an ACL is as good as a no.
    let (decoded, colon) = basic(context)?;
    let user = args.userlist(0)?.authenticate(&decoded[..colon], &decoded[colon + 1..]);
    Some(Value::Bool(user.is_some()))
}

fn auth_group<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (mut decoded, colon) = basic(context)?;
    args.userlist(0)?.authenticate(&decoded[..colon], &decoded[colon + 1..])?;
    decoded.truncate(colon);
    Some(Value::string(decoded))
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
    context.txn.captured(Direction::Request, slot).map(Value::Str)
}

fn capture_req_method<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.logged_request().map(|line| Value::text(line.method))
}

fn capture_req_uri<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    present(target::path_and_query(context.txn.logged_request()?.target))
}

fn capture_req_ver<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.has_request.then(|| Value::text(context.txn.request.version.token().as_bytes()))
}

#[cfg(test)]
mod tests {
    use crate::sample::testing::{World, check};

    #[test]
    fn targets_and_authorization() {
        let world = World::request(
            "POST /a/b?x=1&Y=two&x=3 HTTP/1.0",
            &["Host: example.com:8080", "Authorization: Basic dXNlcjpwYTpzcw=="],
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
    fn parameters() {
        let world = World::request("GET /p;a=1;d=2?a=3&bare&n=4x&e=&A=5 HTTP/1.1", &["Host: h"]);
        check(
            &world,
            &[
                ("urlp(a)", "3"),
                ("urlp(a,;)", "1"),
                ("urlp(d,;)", "2?a=3"),
                ("urlp(a,/)", "1"),
                ("urlp(bare)", "-"),
                ("urlp(e)", ""),
                ("urlp_val(n)", "4"),
                ("urlp_val(e)", "0"),
                ("urlp_val(bare)", "-"),
                ("urlp(A)", "5"),
                ("urlp", "3"),
            ],
        );
    }

    #[test]
    fn targets_without_a_path() {
        for (line, path, base) in [
            ("OPTIONS * HTTP/1.1", "-", "h"),
            ("CONNECT h:443 HTTP/1.1", "-", "h"),
            ("GET /? HTTP/1.1", "/", "h/"),
        ] {
            let world = World::request(line, &["Host: h"]);
            check(
                &world,
                &[("path", path), ("base", base), ("query(with_qm)", if path == "/" { "" } else { "-" })],
            );
        }
    }

    #[test]
    fn absolute_targets() {
        let world = World::request("GET http://10.0.0.1:81/x HTTP/1.1", &["Host: 10.0.0.1:81"]);
        check(
            &world,
            &[
                ("url_ip", "10.0.0.1"),
                ("url_port", "81"),
                ("path", "/x"),
                ("query", "-"),
                ("capture.req.uri", "/x"),
            ],
        );
    }
}
