//! Edits of heads: fields and the request line.
//!
//! Every edit keeps the head within its limit or does nothing and says so: that is a failed
//! rewrite, which `strict-mode` turns into an error.

use super::action::{NameMatch, TargetPart};
use crate::http::{Fields, Request, Response, list, uri};
use crate::pattern::{BadReplacement, Regex};

/// An edit that was not made: the head would outgrow its limit, or the replacement is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

impl From<BadReplacement> for Failed {
    fn from(_: BadReplacement) -> Failed {
        Failed
    }
}

/// Bytes a field takes beyond its name and value: `: ` and the line's end.
const FIELD_OVERHEAD: usize = 4;

/// Bytes of a head's fields on the wire.
fn wire_len(fields: &Fields) -> usize {
    fields.iter().map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD).sum()
}

/// Fails if `added` more bytes would bring the fields over `max`.
fn room_for(fields: &Fields, added: usize, max: usize) -> Result<(), Failed> {
    // The arena holds at least what the list names, so it answers most calls without a walk.
    let bound = fields.arena_len() + fields.list().len() * FIELD_OVERHEAD + added;
    if bound <= max || wire_len(fields) + added <= max { Ok(()) } else { Err(Failed) }
}

/// Adds a field.
pub(super) fn add(fields: &mut Fields, name: &[u8], value: &[u8], max: usize) -> Result<(), Failed> {
    room_for(fields, name.len() + value.len() + FIELD_OVERHEAD, max)?;
    fields.append(name, value);
    Ok(())
}

/// Replaces every field called `name` by one.
pub(super) fn set(fields: &mut Fields, name: &[u8], value: &[u8], max: usize) -> Result<(), Failed> {
    let added = name.len() + value.len() + FIELD_OVERHEAD;
    let freed: usize = fields.all(name).map(|old| name.len() + old.len() + FIELD_OVERHEAD).sum();
    room_for(fields, added.saturating_sub(freed), max)?;
    fields.set(name, value);
    Ok(())
}

/// Removes the fields that are meant.
pub(super) fn remove(fields: &mut Fields, names: &NameMatch) {
    fields.remove_where(|name, _| names.matches(name));
}

/// Replaces the values of every field called `name` that match: whole values, or each element of
/// the comma-separated list (`by_element`).
pub(super) fn replace_values(
    fields: &mut Fields,
    name: &[u8],
    regex: &Regex,
    template: &[u8],
    by_element: bool,
    max: usize,
) -> Result<(), Failed> {
    for index in 0..fields.list().len() {
        let field = fields.list()[index];
        if !fields.bytes(field.name).eq_ignore_ascii_case(name) {
            continue;
        }
        let value = fields.bytes(field.value);
        let changed = match by_element {
            true => replace_elements(value, regex, template)?,
            false => match regex.captures(value) {
                Some(captures) => Some(captures.expand(template)?),
                None => None,
            },
        };
        if let Some(changed) = changed {
            room_for(fields, changed.len().saturating_sub(value.len()), max)?;
            fields.set_value(index, &changed);
        }
    }
    Ok(())
}

/// Replaces the elements that match, with the blanks around them; those around others stay. `None` when
/// none does.
fn replace_elements(value: &[u8], regex: &Regex, template: &[u8]) -> Result<Option<Vec<u8>>, Failed> {
    let mut changed: Option<Vec<u8>> = None;
    let mut start = 0;
    loop {
        let end = start + list::item_end(&value[start..]);
        let element = &value[start..end];
        let text = crate::base::text::trim(element);
        match (regex.captures(text), &mut changed) {
            (Some(captures), changed) => {
                let out = changed.get_or_insert_with(|| value[..start].to_vec());
                captures.expand_to(template, out)?;
            }
            (None, Some(out)) => out.extend_from_slice(element),
            (None, None) => {}
        }
        if let Some(out) = &mut changed {
            out.extend_from_slice(value.get(end..end + 1).unwrap_or_default());
        }
        if end >= value.len() {
            return Ok(changed);
        }
        start = end + 1;
    }
}

/// Gives a part of the request line another text.
pub(super) fn set_target(
    request: &mut Request,
    part: TargetPart,
    text: &[u8],
    max: usize,
) -> Result<(), Failed> {
    // What is replaced makes way: the new target counts, or the new method beside the target there is.
    let room = |len: usize| room_for(&request.fields, len, max);
    match part {
        TargetPart::Method if text.is_empty() => return Err(Failed),
        TargetPart::Method => {
            room(text.len() + request.target().len())?;
            request.set_method(text);
        }
        TargetPart::Uri => {
            room(text.len())?;
            request.set_target(text);
            // It is meant as it is written, for HTTP/1 servers too.
            request.has_parts = false;
            follow_authority(request);
        }
        TargetPart::Path | TargetPart::PathAndQuery | TargetPart::Query => {
            let changed = with_part(request.target(), part, text);
            room(changed.len())?;
            request.set_target(&changed);
        }
    }
    Ok(())
}

/// Gives a response another status and reason, which makes way for the new one.
pub(super) fn set_status(
    response: &mut Response,
    status: u16,
    reason: &[u8],
    max: usize,
) -> Result<(), Failed> {
    room_for(&response.fields, reason.len().saturating_sub(response.reason().len()), max)?;
    response.set_status(status, reason);
    Ok(())
}

/// A target with another path or query.
fn with_part(target: &[u8], part: TargetPart, text: &[u8]) -> Vec<u8> {
    let path = uri::path_and_query(target);
    let start = path.map_or(0, |path| target.len() - path.len());
    let mark = memchr::memchr(b'?', &target[start..]).map(|at| start + at);
    let (head, tail): (&[u8], &[u8]) = match part {
        // Without a path (`*`) the whole target makes way.
        TargetPart::Path => (&target[..start], &target[mark.unwrap_or(target.len())..]),
        TargetPart::Query => {
            let head = &target[..mark.map_or(target.len(), |mark| mark + 1)];
            if mark.is_none() && !text.is_empty() {
                return [head, b"?", text].concat();
            }
            (head, b"")
        }
        _ => (&target[..start], b""),
    };
    [head, text, tail].concat()
}

/// After `set-uri`: the authority of an absolute form is the host (RFC 9112 section 3.2.2).
fn follow_authority(request: &mut Request) {
    let parts = uri::split(request.target());
    let Some(authority) = parts.authority.filter(|authority| parts.scheme.is_some() && !authority.is_empty())
    else {
        return;
    };
    let authority = authority.to_vec();
    let is_host =
        |fields: &Fields, index: usize| fields.bytes(fields.list()[index].name).eq_ignore_ascii_case(b"host");
    for index in 0..request.fields.list().len() {
        if is_host(&request.fields, index) {
            request.fields.set_value(index, &authority);
        }
    }
}

/// After the `Host` field changed: an absolute form takes it as its authority.
pub(super) fn follow_host(request: &mut Request) {
    let parts = uri::split(request.target());
    let (Some(authority), Some(host)) = (parts.authority, request.fields.first(b"host")) else { return };
    if parts.scheme.is_none() || authority == host {
        return;
    }
    let target = request.target();
    let end = parts.authority_start + authority.len();
    let changed = [&target[..parts.authority_start], host, &target[end..]].concat();
    request.set_target(&changed);
}

/// Replaces a part of the target if it matches; nothing happens otherwise.
pub(super) fn replace_target(
    request: &mut Request,
    part: TargetPart,
    regex: &Regex,
    template: &[u8],
    max: usize,
) -> Result<(), Failed> {
    let target = request.target();
    let text = match part {
        TargetPart::Path => uri::path(target),
        TargetPart::PathAndQuery => uri::path_and_query(target),
        _ => Some(target),
    };
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(()) };
    let Some(captures) = regex.captures(text) else { return Ok(()) };
    let changed = captures.expand(template)?;
    set_target(request, part, &changed, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1000;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        lines.iter().for_each(|(name, value)| fields.append(name.as_bytes(), value.as_bytes()));
        fields
    }

    fn text(fields: &Fields) -> Vec<String> {
        let part = |bytes| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|(name, value)| format!("{}: {}", part(name), part(value))).collect()
    }

    #[test]
    fn what_is_replaced_makes_way() {
        // Each is longer than half of the limit, before and after.
        let long = "a".repeat(700);
        let all = Regex::new("^a", false).unwrap();
        for by_element in [false, true] {
            let mut cookie = fields(&[("cookie", &long)]);
            let template = if by_element { &b"b"[..] } else { b"b\\0" };
            assert_eq!(replace_values(&mut cookie, b"Cookie", &all, template, by_element, MAX), Ok(()));
        }
        let mut cookie = fields(&[("cookie", &long)]);
        assert_eq!(set(&mut cookie, b"cookie", "b".repeat(800).as_bytes(), MAX), Ok(()));
        assert_eq!(set(&mut cookie, b"cookie", "b".repeat(1000).as_bytes(), MAX), Err(Failed));
        let mut request = Request::default();
        request.set_target(format!("/{long}?{}", "q".repeat(200)).as_bytes());
        let longer = "p".repeat(750);
        for (part, text) in [
            (TargetPart::Path, format!("/{long}")),
            (TargetPart::Query, "q".repeat(100)),
            (TargetPart::PathAndQuery, format!("/{longer}")),
            (TargetPart::Uri, format!("/{longer}")),
            (TargetPart::Method, "OPTIONS".to_owned()),
        ] {
            assert_eq!(set_target(&mut request, part, text.as_bytes(), MAX), Ok(()), "{part:?}");
        }
        let too_long = "p".repeat(MAX + 1);
        assert_eq!(set_target(&mut request, TargetPart::Path, too_long.as_bytes(), MAX), Err(Failed));
    }

    #[test]
    fn names_match_in_five_ways() {
        let regex = NameMatch::Regex(Regex::new("^x.reg.$", false).unwrap());
        for (names, name, expected) in [
            (&NameMatch::Exact(b"x-a"[..].into()), "X-A", true),
            (&NameMatch::Exact(b"x-a"[..].into()), "x-ab", false),
            (&NameMatch::Prefix(b"x-b"[..].into()), "X-Beg1", true),
            (&NameMatch::Suffix(b"end1"[..].into()), "x-END1", true),
            (&NameMatch::Suffix(b"end1"[..].into()), "x-end2", false),
            (&NameMatch::Suffix(b"longer-than-it"[..].into()), "it", false),
            (&NameMatch::Contains(b"sub"[..].into()), "x-Sub1", true),
            (&regex, "X-Reg1", true),
            (&regex, "X-Reg12", false),
        ] {
            assert_eq!(names.matches(name.as_bytes()), expected, "{names:?} {name}");
        }
    }

    #[test]
    fn values_are_replaced() {
        let check = |by_element, pattern: &str, template: &str, before: &[(&str, &str)], after: &[&str]| {
            let mut fields = fields(before);
            let regex = Regex::new(pattern, false).unwrap();
            replace_values(&mut fields, b"x-a", &regex, template.as_bytes(), by_element, MAX).unwrap();
            assert_eq!(text(&fields), after, "{pattern} {template}");
        };
        check(false, "foo=([^;]*)", r"bar=\1", &[("X-A", "a; foo=7; b")], &["X-A: bar=7"]);
        check(false, "none", "x", &[("X-A", "a")], &["X-A: a"]);
        check(false, "(b)?c", r"[\1\x41\\]", &[("X-A", "c"), ("x-a", "bc")], &["X-A: [A\\]", "x-a: [bA\\]"]);
        check(
            true,
            "^192\\.(.*)$",
            r"10.\1",
            &[("X-A", "192.0.0.1, 172.1,192.2 ,\"192.3, x\"")],
            &["X-A: 10.0.0.1, 172.1,10.2,\"192.3, x\""],
        );
        check(true, "^$", "e", &[("X-A", "a, ,b")], &["X-A: a,e,b"]);
    }

    #[test]
    fn a_head_has_a_limit() {
        let mut head = fields(&[("a", "1")]);
        assert_eq!(add(&mut head, b"name", b"value", 10), Err(Failed));
        assert_eq!(text(&head), ["a: 1"]);
        assert_eq!(add(&mut head, b"name", b"value", 19), Ok(()));
        for _ in 0..50 {
            // The arena grows with each edit, the head does not.
            assert_eq!(set(&mut head, b"name", b"other", 19), Ok(()));
        }
    }

    #[test]
    fn targets_change_in_parts() {
        use TargetPart::*;
        for (before, part, to, after) in [
            ("/a?x=1", Path, "/b", "/b?x=1"),
            ("/a", Path, "/b", "/b"),
            ("http://h/a?x", Path, "/b", "http://h/b?x"),
            ("*", Path, "/b", "/b"),
            ("/a?x=1", PathAndQuery, "/b?y", "/b?y"),
            ("http://h/a?x", PathAndQuery, "/b", "http://h/b"),
            ("/a?x=1", Query, "y=2", "/a?y=2"),
            ("/a", Query, "y=2", "/a?y=2"),
            ("/a", Query, "", "/a"),
            ("/a?x", Query, "", "/a?"),
            ("/a?x", Uri, "/z", "/z"),
        ] {
            let mut request = Request::default();
            request.set_target(before.as_bytes());
            set_target(&mut request, part, to.as_bytes(), MAX).unwrap();
            assert_eq!(String::from_utf8_lossy(request.target()), after, "{before} {part:?} {to}");
        }
    }

    #[test]
    fn host_and_authority_stay_alike() {
        let mut request = Request::default();
        request.set_target(b"http://old:80/x");
        request.fields.append(b"Host", b"old:80");
        request.has_parts = true;
        set_target(&mut request, TargetPart::Uri, b"http://new/y", MAX).unwrap();
        assert!(!request.has_parts);
        assert_eq!(request.fields.first(b"host"), Some(&b"new"[..]));
        request.fields.set(b"host", b"third");
        follow_host(&mut request);
        assert_eq!(request.target(), b"http://third/y");
        request.set_target(b"/y");
        follow_host(&mut request);
        assert_eq!(request.target(), b"/y");
    }

    #[test]
    fn targets_are_replaced_by_patterns() {
        for (before, part, pattern, template, after) in [
            ("/req1?p=1", TargetPart::Path, "(.*)", r"/foo\1", "/foo/req1?p=1"),
            (
                "/foo/bar?app=regtest&p=1",
                TargetPart::PathAndQuery,
                r"/([^?]*)\?app=([^&]*)&?(.*)",
                r"/\2/\1?\3",
                "/regtest/foo/bar?p=1",
            ),
            ("http://h/a", TargetPart::Uri, "^http://([^/]*)(.*)", r"https://\1\2", "https://h/a"),
            ("/a", TargetPart::Path, "zzz", "x", "/a"),
        ] {
            let mut request = Request::default();
            request.set_target(before.as_bytes());
            let regex = Regex::new(pattern, false).unwrap();
            replace_target(&mut request, part, &regex, template.as_bytes(), MAX).unwrap();
            assert_eq!(String::from_utf8_lossy(request.target()), after, "{before} {pattern}");
        }
    }
}
