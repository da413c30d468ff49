//! Fetches of cookies: `cook` and its family (manual, section 7.3.6).
//!
//! Cookies are read as HAProxy has always read them, which is older than RFC 6265: a comma ends a value as a
//! semicolon does, quotes protect both and stay, what begins with `$` is an attribute, and a name without
//! `=` is no cookie. In a response each part between commas of a `Set-Cookie` is one cookie; what follows
//! its first semicolon belongs to it.

use super::header::{as_number, comma, fields};
use super::{Fetch, Source};
use crate::base::text::trim;
use crate::sample::arg::{Arg, ArgType, Args};
use crate::sample::facts::{Context, Direction};
use crate::sample::value::{Type, Value};

use Direction::{Request, Response};
use Source::{EitherHeaders, RequestHeaders, ResponseHeaders};

const NAME: &[ArgType] = &[ArgType::Str];

const fn value(name: &'static str, source: Source, get: super::Get, each: super::Each) -> Fetch {
    Fetch::new(
        name,
        Type::Str,
        source,
        "The value of a cookie, the last of that name; without a name, of the first cookie. An ACL looks at each.",
        get,
    )
    .args(0, NAME)
    .each(each)
}
const fn count(name: &'static str, source: Source, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, source, "How often the cookie occurs.", get).args(0, NAME)
}
const fn number(name: &'static str, source: Source, get: super::Get, each: super::Each) -> Fetch {
    Fetch::new(name, Type::Int, source, "The value of a cookie as a number.", get).args(0, NAME).each(each)
}
const fn names(name: &'static str, source: Source, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Str, source, "The names of all cookies, joined by ',' or <delim>.", get)
        .args(0, NAME)
}

/// Rows.
pub const TABLE: &[Fetch] = &[
    value("cook", RequestHeaders, req_cook, each_req_cook),
    value("req.cook", RequestHeaders, req_cook, each_req_cook),
    value("cookie", EitherHeaders, cookie, each_cookie),
    value("res.cook", ResponseHeaders, res_cook, each_res_cook),
    value("scook", ResponseHeaders, res_cook, each_res_cook),
    value("set-cookie", ResponseHeaders, res_cook, each_res_cook),
    count("cook_cnt", RequestHeaders, req_count),
    count("req.cook_cnt", RequestHeaders, req_count),
    count("res.cook_cnt", ResponseHeaders, res_count),
    count("scook_cnt", ResponseHeaders, res_count),
    number("cook_val", RequestHeaders, req_number, each_req_number),
    number("req.cook_val", RequestHeaders, req_number, each_req_number),
    number("res.cook_val", ResponseHeaders, res_number, each_res_number),
    number("scook_val", ResponseHeaders, res_number, each_res_number),
    names("req.cook_names", RequestHeaders, req_names),
    names("res.cook_names", ResponseHeaders, res_names),
];

/// Where a value ends: at a comma or semicolon outside quotes.
fn value_end(text: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b';' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

/// The first cookie in `text` called `wanted` (or the first at all, without a name), and what follows it.
fn next_cookie<'f>(
    direction: Direction,
    mut text: &'f [u8],
    wanted: &[u8],
) -> Option<(&'f [u8], &'f [u8], &'f [u8])> {
    let is_list = direction == Request;
    while text.len() > wanted.len() + 1 {
        let name_end = text
            .iter()
            .position(|byte| matches!(byte, b'=' | b';') || is_list && *byte == b',')
            .unwrap_or(text.len());
        let name = trim(&text[..name_end]);
        let has_value = text.get(name_end) == Some(&b'=');
        let end = if has_value { name_end + 1 + value_end(&text[name_end + 1..]) } else { name_end };
        let value = text.get(name_end + 1..end).map_or(&b""[..], trim);
        text = text.get(end + 1..).unwrap_or_default();
        if name.first() == Some(&b'$') || !has_value {
            continue;
        }
        if wanted.is_empty() || name == wanted {
            return Some((name, value, text));
        }
        if !is_list {
            break;
        }
    }
    None
}

fn lines<'a>(direction: Direction, context: &Context<'a>) -> impl Iterator<Item = &'a [u8]> {
    let name: &[u8] = if direction == Request { b"cookie" } else { b"set-cookie" };
    let fields = fields(direction, context).map(|fields| fields.iter());
    let lines = fields.into_iter().flatten().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value)
}

/// Gives the value of every cookie of that name until `each` has seen enough.
fn cookies<'a>(
    direction: Direction,
    context: &Context<'a>,
    wanted: &[u8],
    mut each: impl FnMut(&'a [u8]) -> bool,
) {
    for line in lines(direction, context) {
        let mut start = 0;
        while start < line.len() {
            let end = start + comma(&line[start..]);
            let mut rest = trim(&line[start..end]);
            while let Some((_, value, after)) = next_cookie(direction, rest, wanted) {
                if each(value) {
                    return;
                }
                rest = after;
            }
            start = end + 1;
        }
    }
}

fn cook<'a>(direction: Direction, args: &[Arg], context: &Context<'a>) -> Option<&'a [u8]> {
    let wanted = args.text(0);
    let mut found = None;
    cookies(direction, context, wanted, |value| {
        found = Some(value);
        wanted.is_empty()
    });
    found
}
fn counted<'a>(direction: Direction, args: &[Arg], context: &Context<'a>) -> Option<Value<'a>> {
    fields(direction, context)?;
    let mut count = 0;
    cookies(direction, context, args.text(0), |_| {
        count += 1;
        false
    });
    Some(Value::Int(count))
}
fn named<'a>(direction: Direction, args: &[Arg], context: &Context<'a>) -> Option<Value<'a>> {
    fields(direction, context)?;
    let delimiter = args.text(0).first().copied().unwrap_or(b',');
    let mut out = Vec::new();
    for mut line in lines(direction, context) {
        while let Some((name, _, after)) = next_cookie(direction, line, b"") {
            if !out.is_empty() {
                out.push(delimiter);
            }
            out.extend_from_slice(name);
            // The rest of a Set-Cookie line is attributes.
            line = if direction == Request { after } else { b"" };
        }
    }
    Some(Value::string(out))
}

/// The functions of one direction.
macro_rules! direction {
    ($direction:expr, $cook:ident $each_cook:ident $count:ident $number:ident $each_number:ident $names:ident) => {
        fn $cook<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            cook($direction, args, context).map(Value::text)
        }
        fn $each_cook<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
            cookies($direction, context, args.text(0), |value| each(Value::text(value)));
        }
        fn $count<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            counted($direction, args, context)
        }
        fn $number<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            cook($direction, args, context).map(|value| Value::Int(as_number(value)))
        }
        fn $each_number<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
            cookies($direction, context, args.text(0), |value| each(Value::Int(as_number(value))));
        }
        fn $names<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            named($direction, args, context)
        }
    };
}
direction!(Request, req_cook each_req_cook req_count req_number each_req_number req_names);
direction!(Response, res_cook each_res_cook res_count res_number each_res_number res_names);

fn cookie<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    cook(context.direction, args, context).map(Value::text)
}
fn each_cookie<'a>(args: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
    cookies(context.direction, context, args.text(0), |value| each(Value::text(value)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, check, check_in};

    #[test]
    fn request_cookies() {
        let world = World::request(
            "GET / HTTP/1.1",
            &[
                "Cookie: id=1; lang=fr; bare; $Path=/; q=\"x;y\"; sp = v w ;empty=; n=5x",
                "Cookie: id=2,after=3",
            ],
        );
        check(
            &world,
            &[
                ("cook(id)", "2"),
                ("req.cook(lang)", "fr"),
                ("cookie(after)", "3"),
                ("cook(q)", "\"x;y\""),
                ("cook(sp)", "v w"),
                ("cook(empty)", ""),
                ("cook(bare)", "-"),
                ("cook($Path)", "-"),
                ("cook(ID)", "-"),
                ("cook", "1"),
                ("cook_cnt(id)", "2"),
                ("cook_cnt(bare)", "0"),
                ("req.cook_cnt", "8"),
                ("req.cook_val(id)", "2"),
                ("cook_val(n)", "5"),
                ("cook_val(empty)", "0"),
                ("cook_val(none)", "-"),
                ("req.cook_names", "id,lang,q,sp,empty,n,id,after"),
                ("req.cook_names(;),field(2,;)", "lang"),
            ],
        );
    }

    #[test]
    fn response_cookies() {
        let mut world = World::request("GET / HTTP/1.1", &["Cookie: s=request"]);
        world.respond(200, &["Set-Cookie: s=1; Path=/; Max-Age=3", "Set-Cookie: t=2"]);
        world.direction = Response;
        check_in(
            &world,
            Phase::HttpResponse,
            &[
                ("res.cook(s)", "1"),
                ("set-cookie(s)", "1"),
                ("scook(Path)", "-"),
                ("cookie(t)", "2"),
                ("res.cook_val(t)", "2"),
                ("res.cook_cnt(s)", "1"),
                ("res.cook_names", "s,t"),
            ],
        );
    }
}
