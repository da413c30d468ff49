//! `option checkcache`: a response that sets a cookie must not be one that caches keep (manual, section
//! 4.2; RFC 9111 section 3).

use crate::http::h1::as_sent::AsSent;
use crate::http::{Method, Response, list};

/// Statuses whose responses caches may keep unless they are told otherwise (RFC 9110 section 15.1).
const CACHEABLE: [u16; 11] = [200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501];

/// Whether a cache may keep the cookie that a response sets.
pub fn leaks_cookie(sent: &AsSent, response: &Response) -> bool {
    let fields = &response.fields;
    if !fields.contains(b"set-cookie") {
        return false;
    }
    if fields.first(b"pragma").is_some_and(|value| value.eq_ignore_ascii_case(b"no-cache")) {
        return false;
    }
    let safe = matches!(sent.method, Method::Get | Method::Head | Method::Options | Method::Trace);
    let mut cacheable = safe && CACHEABLE.contains(&response.status);
    let mut cookie = cacheable;
    let (mut is_stale, mut has_lifetime) = (false, false);
    for directive in fields.all(b"cache-control").flat_map(list::items) {
        let begins = |name: &str| {
            directive.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        };
        let is = |name: &str| directive.eq_ignore_ascii_case(name.as_bytes());
        if is("public") {
            (cacheable, cookie) = (true, true);
        } else if is("max-age=0") {
            is_stale = true; // s-maxage may say otherwise
        } else if is("no-cache=\"set-cookie\"") {
            cookie = false;
        } else if ["private", "no-cache", "no-store"]
            .iter()
            .any(|name| is(name) || begins(&format!("{name}=")))
            || is("s-maxage=0")
        {
            (cacheable, cookie) = (false, false);
        } else if begins("s-maxage") {
            (has_lifetime, is_stale) = (true, false);
        } else if begins("max-age") {
            has_lifetime = true;
        }
    }
    let has_validator =
        || [&b"expires"[..], b"etag", b"last-modified"].iter().any(|name| fields.contains(name));
    cacheable && cookie && !is_stale && (has_lifetime || has_validator())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_must_not_be_kept() {
        const COOKIE: (&str, &str) = ("Set-Cookie", "a=b");
        let control = |value| ("Cache-Control", value);
        for (method, status, fields, expected) in [
            ("GET", 200, &[COOKIE, control("max-age=5")][..], true),
            ("GET", 200, &[control("max-age=5")], false),
            ("GET", 200, &[COOKIE], false),
            ("GET", 200, &[COOKIE, ("ETag", "x")], true),
            ("GET", 200, &[COOKIE, ("Expires", "x"), ("Pragma", "no-cache")], false),
            ("GET", 302, &[COOKIE, ("ETag", "x")], false),
            ("GET", 302, &[COOKIE, ("ETag", "x"), control("public")], true),
            ("POST", 200, &[COOKIE, ("ETag", "x")], false),
            ("POST", 200, &[COOKIE, ("ETag", "x"), control("public")], true),
            ("GET", 200, &[COOKIE, ("ETag", "x"), control("private")], false),
            ("GET", 200, &[COOKIE, ("ETag", "x"), control("foo, no-store")], false),
            ("GET", 200, &[COOKIE, ("ETag", "x"), control("max-age=0")], false),
            ("GET", 200, &[COOKIE, control("max-age=0, s-maxage=3")], true),
            ("GET", 200, &[COOKIE, ("ETag", "x"), control("s-maxage=0")], false),
            ("GET", 200, &[COOKIE, ("ETag", "x"), control("no-cache")], false),
            ("GET", 200, &[COOKIE, ("ETag", "x"), control("no-cache=\"set-cookie\"")], false),
            ("GET", 200, &[COOKIE, ("ETag", "x"), control("no-cache=\"set-cookie,x\"")], false),
        ] {
            let sent = AsSent { method: Method::from_token(method.as_bytes()), ..AsSent::default() };
            let mut response = Response::default();
            response.set_status(status, b"");
            for (name, value) in fields {
                response.fields.append(name.as_bytes(), value.as_bytes());
            }
            assert_eq!(leaks_cookie(&sent, &response), expected, "{method} {status} {fields:?}");
        }
    }
}
