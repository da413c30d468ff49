//! Cookies in requests and responses (RFC 6265): find, extract, remove, rewrite in place.
//!
//! The grammar is what HAProxy reads, which is what has been in use: in a request pairs end at `;` or
//! `,`, blanks around name and value do not count, quotes hold separators together, attributes
//! that start with `$` (RFC 2109) belong to the cookie before them. In a response each `Set-Cookie`
//! holds one cookie, and what follows it is its attributes. Names are compared case and all.
//!
//! Edits move spans in the message's arena, so that the cookies around keep their bytes.

use super::{Fields, Known, Text};

/// One cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value, quotes included.
    pub value: &'a [u8],
}

/// Where a cookie stands; any edit of the message's fields makes it stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of its field.
    pub field: usize,
    /// Its value in the arena.
    pub value: Text,
}

/// The cookies of a request in order, over all its `Cookie` fields.
pub fn in_request(fields: &Fields) -> impl Iterator<Item = Cookie<'_>> {
    fields.all_known(Known::Cookie).flat_map(|value| Pairs::new(value).filter_map(|pair| pair.cookie(value)))
}

/// The cookies that a response sets, in order.
pub fn in_response(fields: &Fields) -> impl Iterator<Item = Cookie<'_>> {
    fields.all_known(Known::SetCookie).filter_map(|value| set_cookie(value).cookie(value))
}

/// The value of the first cookie of that name in a request.
pub fn request_value<'a>(fields: &'a Fields, name: &[u8]) -> Option<&'a [u8]> {
    in_request(fields).find(|cookie| cookie.name == name).map(|cookie| cookie.value)
}

/// The value of the first cookie of that name that a response sets.
pub fn response_value<'a>(fields: &'a Fields, name: &[u8]) -> Option<&'a [u8]> {
    in_response(fields).find(|cookie| cookie.name == name).map(|cookie| cookie.value)
}

/// The first cookie whose `name=value` starts with `prefix`, as `capture cookie` takes it.
pub fn captured<'a>(fields: &'a Fields, kind: Known, prefix: &[u8]) -> Option<&'a [u8]> {
    let is_request = kind == Known::Cookie;
    fields.all_known(kind).find_map(|value| {
        let mut pairs = Pairs::new(value);
        let first = (!is_request).then(|| set_cookie(value));
        first.into_iter().chain(std::iter::from_fn(|| is_request.then(|| pairs.next())?)).find_map(|pair| {
            let (_, value_end) = pair.value?;
            Some(&value[pair.start..value_end]).filter(|whole| whole.starts_with(prefix))
        })
    })
}

/// Where the first cookie of that name stands in a request.
pub fn find_in_request(fields: &Fields, name: &[u8]) -> Option<Place> {
    find(fields, Known::Cookie, |value| {
        Pairs::new(value).find(|pair| pair.cookie(value).is_some_and(|cookie| cookie.name == name))
    })
}

/// Where the first cookie of that name stands in a response.
pub fn find_in_response(fields: &Fields, name: &[u8]) -> Option<Place> {
    find(fields, Known::SetCookie, |value| {
        Some(set_cookie(value)).filter(|pair| pair.cookie(value).is_some_and(|cookie| cookie.name == name))
    })
}

fn find(fields: &Fields, kind: Known, look: impl Fn(&[u8]) -> Option<Pair>) -> Option<Place> {
    if !fields.has(kind) {
        return None;
    }
    fields.list().iter().enumerate().filter(|(_, field)| field.known == kind).find_map(|(index, field)| {
        let (start, end) = look(fields.bytes(field.value))?.value?;
        Some(Place { field: index, value: Text::new(field.value.start() + start, end - start) })
    })
}

/// Gives a cookie another value (`cookie ... rewrite`).
pub fn set_value(fields: &mut Fields, place: Place, value: &[u8]) {
    splice(fields, place.field, place.value, value);
}

/// Puts bytes before a cookie's value (`cookie ... prefix`, in responses).
pub fn prepend(fields: &mut Fields, place: Place, prefix: &[u8]) {
    splice(fields, place.field, Text::new(place.value.start(), 0), prefix);
}

/// Takes the first `count` bytes off a cookie's value (`cookie ... prefix`, in requests).
pub fn drop_front(fields: &mut Fields, place: Place, count: usize) {
    let count = count.min(place.value.len());
    splice(fields, place.field, Text::new(place.value.start(), count), b"");
}

/// Replaces `cut`, a piece of the value of field number `index`, by other bytes.
fn splice(fields: &mut Fields, index: usize, cut: Text, bytes: &[u8]) {
    let whole = fields.list()[index].value;
    let start = fields.arena_len();
    fields.store_again(whole.start()..cut.start());
    fields.store(bytes);
    fields.store_again(cut.end()..whole.end());
    fields.set_value_text(index, Text::new(start, fields.arena_len() - start));
}

/// Removes every cookie of that name from a request, and the fields that hold no other; tells how
/// many there were.
pub fn remove_from_request(fields: &mut Fields, name: &[u8]) -> usize {
    let mut removed = 0;
    if !fields.has(Known::Cookie) {
        return 0;
    }
    for index in (0..fields.list().len()).rev() {
        if fields.list()[index].known == Known::Cookie {
            removed += remove_from_field(fields, index, name);
        }
    }
    removed
}

fn remove_from_field(fields: &mut Fields, index: usize, name: &[u8]) -> usize {
    let whole = fields.list()[index].value;
    let value = fields.bytes(whole);
    let is_meant = |pair: &Pair| pair.cookie(value).is_some_and(|cookie| cookie.name == name);
    let removed = Pairs::new(value).filter(is_meant).count();
    if removed == 0 {
        return 0;
    }
    let others = Pairs::new(value).any(|pair| !pair.is_attribute && !is_meant(&pair));
    if !others {
        fields.remove_at(index);
        return removed;
    }
    let start = fields.arena_len();
    let (mut after, mut removing) = (None, false);
    while let Some(pair) = next_pair(fields.bytes(whole), after) {
        after = Some(pair.end);
        if !pair.is_attribute {
            removing = pair.cookie(fields.bytes(whole)).is_some_and(|cookie| cookie.name == name);
        }
        if !removing {
            // The separator before it goes along, unless nothing stands before it any more.
            let from = if fields.arena_len() > start { pair.separator } else { pair.start };
            fields.store_again(whole.start() + from..whole.start() + pair.end);
        }
    }
    fields.set_value_text(index, Text::new(start, fields.arena_len() - start));
    removed
}

/// One pair of a `Cookie` value, by offsets into it.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// Where the separator before it stands; its own start for the first one.
    separator: usize,
    /// Where its name starts.
    start: usize,
    /// Where its name ends.
    name_end: usize,
    /// Start and end of its value, if it has a `=`.
    value: Option<(usize, usize)>,
    /// Where the next separator stands, or the end of all.
    end: usize,
    /// Its name starts with `$`.
    is_attribute: bool,
}

impl Pair {
    /// The pair as a cookie, which it is not without a `=` or as an attribute.
    fn cookie(self, value: &[u8]) -> Option<Cookie<'_>> {
        let (start, end) = self.value.filter(|_| !self.is_attribute)?;
        Some(Cookie { name: &value[self.start..self.name_end], value: &value[start..end] })
    }
}

struct Pairs<'a> {
    value: &'a [u8],
    /// The separator at which the last pair ended.
    after: Option<usize>,
}

impl<'a> Pairs<'a> {
    fn new(value: &'a [u8]) -> Pairs<'a> {
        Pairs { value, after: None }
    }
}

impl Iterator for Pairs<'_> {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        let pair = next_pair(self.value, self.after)?;
        self.after = Some(pair.end);
        Some(pair)
    }
}

/// The pair after the separator that stands at `after`, or the first one.
fn next_pair(value: &[u8], after: Option<usize>) -> Option<Pair> {
    let from = after.map_or(0, |separator| separator + 1);
    if after.unwrap_or(0) >= value.len() {
        return None;
    }
    Some(Pair { separator: after.unwrap_or(0), ..pair_at(value, from, b",") })
}

/// The one cookie of a `Set-Cookie` value; a comma may stand in its name.
fn set_cookie(value: &[u8]) -> Pair {
    pair_at(value, 0, b"")
}

fn pair_at(value: &[u8], from: usize, separators: &[u8]) -> Pair {
    let start = from + blanks(&value[from..]);
    let ends_name = |byte: &u8| matches!(byte, b'=' | b';') || separators.contains(byte);
    let name_stop = value[start..].iter().position(ends_name).map_or(value.len(), |at| start + at);
    let name_end = trimmed_end(value, start, name_stop);
    let is_attribute = value.get(start) == Some(&b'$');
    if value.get(name_stop) != Some(&b'=') {
        return Pair { separator: from, start, name_end, value: None, end: name_stop, is_attribute };
    }
    let value_start = name_stop + 1 + blanks(&value[name_stop + 1..]);
    let end = value_start + value_end(&value[value_start..]);
    let value = Some((value_start, trimmed_end(value, value_start, end)));
    Pair { separator: from, start, name_end, value, end, is_attribute }
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

fn trimmed_end(value: &[u8], start: usize, end: usize) -> usize {
    end - value[start..end].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Where a value ends: at the first `,` or `;` outside quotes.
fn value_end(bytes: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b';' if !quoted => return index,
            _ => {}
        }
    }
    bytes.len()
}

/// The digits of [`encode_date`].
const DATE_DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A date as persistence cookies carry it (`maxidle`, `maxlife`): Unix time in steps of 4 seconds, in
/// five digits of base 64, the highest first.
pub fn encode_date(wall_s: u64) -> [u8; 5] {
    let steps = wall_s >> 2;
    std::array::from_fn(|digit| DATE_DIGITS[(steps >> (24 - 6 * digit)) as usize & 63])
}

/// The Unix time that starts a text, as [`encode_date`] wrote it.
pub fn decode_date(text: &[u8]) -> Option<u64> {
    let digits = text.get(..5)?;
    let steps = digits.iter().try_fold(0_u64, |steps, digit| {
        let value = DATE_DIGITS.iter().position(|known| known == digit)?;
        Some(steps << 6 | value as u64)
    })?;
    Some(steps << 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &str, values: &[&str]) -> Fields {
        let mut fields = Fields::default();
        fields.append(b"Host", b"a");
        for value in values {
            fields.append(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn show<'a>(cookies: impl Iterator<Item = Cookie<'a>>) -> String {
        let one = |c: Cookie<'_>| {
            format!("{}={}", String::from_utf8_lossy(c.name), String::from_utf8_lossy(c.value))
        };
        cookies.map(one).collect::<Vec<_>>().join("|")
    }

    fn values(fields: &Fields) -> Vec<String> {
        fields.iter().skip(1).map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    #[test]
    fn reads_requests() {
        for (values, expected) in [
            (&["a=1; b=2"][..], "a=1|b=2"),
            (&["a=1;b=2,c=3", "d=4"], "a=1|b=2|c=3|d=4"),
            (&["  a  =  1 x  ; b = \"y;z\" "], "a=1 x|b=\"y;z\""),
            (&["$Version=1; a=1; $Path=/; b=2"], "a=1|b=2"),
            (&["flag; a=; =x;; b==1"], "a=|=x|b==1"),
            (&["a=\"x\\\"; y\"; b=2"], "a=\"x\\\"; y\"|b=2"),
            (&["", ";", "a=1;"], "a=1"),
        ] {
            assert_eq!(show(in_request(&fields("Cookie", values))), expected, "{values:?}");
        }
        let fields = fields("cookie", &["a=1", "b=2; a=3"]);
        assert_eq!(request_value(&fields, b"a"), Some(&b"1"[..]));
        assert_eq!(request_value(&fields, b"A"), None);
    }

    #[test]
    fn reads_responses() {
        let fields = fields(
            "Set-Cookie",
            &[
                "SRV=s1; path=/; SRV=x",
                " T = v ; Expires=Thu, 01-Jan-1970 00:00:01 GMT",
                "a,b=c, d",
                "flag; x=y",
            ],
        );
        assert_eq!(show(in_response(&fields)), "SRV=s1|T=v|a,b=c");
        assert_eq!(response_value(&fields, b"T"), Some(&b"v"[..]));
        assert_eq!(response_value(&fields, b"path"), None);
    }

    #[test]
    fn removes_from_requests() {
        for (before, count, after) in [
            (&["SRV=x"][..], 1, &[][..]),
            (&["SRV=x; a=1"], 1, &["a=1"]),
            (&["a=1; SRV=x"], 1, &["a=1"]),
            (&["a=1; SRV=x; b=2"], 1, &["a=1; b=2"]),
            (&["SRV=x;SRV=y;a=1;SRV=z"], 3, &["a=1"]),
            (&["a=1; SRV=x; $Path=/; b=2; $Path=/b"], 1, &["a=1; b=2; $Path=/b"]),
            (&["$Version=1; SRV=x"], 1, &[]),
            (&["SRVX=1; XSRV=2; srv=3"], 0, &["SRVX=1; XSRV=2; srv=3"]),
            (&["SRV=x", "a=1", "b=2; SRV=y"], 2, &["a=1", "b=2"]),
            (&["SRV=\"a;b\"; c=d"], 1, &["c=d"]),
            (&["flag; SRV=x"], 1, &["flag"]),
        ] {
            let mut fields = fields("Cookie", before);
            assert_eq!(remove_from_request(&mut fields, b"SRV"), count, "{before:?}");
            assert_eq!(values(&fields), after, "{before:?}");
        }
    }

    #[test]
    fn rewrites_in_place() {
        let mut request = fields("Cookie", &["a=1; SRV=s1~opaque; b=2"]);
        let place = find_in_request(&request, b"SRV").unwrap();
        assert_eq!(request.bytes(place.value), b"s1~opaque");
        drop_front(&mut request, place, 3);
        assert_eq!(values(&request), ["a=1; SRV=opaque; b=2"]);
        let mut response = fields("Set-Cookie", &["x=y", "SRV = v ; path=/"]);
        let place = find_in_response(&response, b"SRV").unwrap();
        prepend(&mut response, place, b"s1~");
        assert_eq!(values(&response), ["x=y", "SRV = s1~v ; path=/"]);
        let place = find_in_response(&response, b"SRV").unwrap();
        set_value(&mut response, place, b"s2");
        assert_eq!(values(&response), ["x=y", "SRV = s2 ; path=/"]);
        assert_eq!(find_in_response(&response, b"path"), None);
    }

    #[test]
    fn captures_by_the_beginning() {
        let request = fields("Cookie", &["a=1; ASPSESSIONXYZ=42 ; b=2"]);
        assert_eq!(captured(&request, Known::Cookie, b"ASPSESSION"), Some(&b"ASPSESSIONXYZ=42"[..]));
        assert_eq!(captured(&request, Known::Cookie, b"b=3"), None);
        let response = fields("Set-Cookie", &["x=y", "ASPSESSIONXYZ=42; path=/"]);
        assert_eq!(captured(&response, Known::SetCookie, b"ASP"), Some(&b"ASPSESSIONXYZ=42"[..]));
        assert_eq!(captured(&response, Known::SetCookie, b"path"), None);
    }

    #[test]
    fn dates() {
        for (wall_s, text) in [(0, "AAAAA"), (4, "AAAAB"), (1_700_000_000, "ZVPxA")] {
            assert_eq!(str::from_utf8(&encode_date(wall_s)).unwrap(), text);
            assert_eq!(decode_date(text.as_bytes()), Some(wall_s));
        }
        for text in ["", "AAAA", "AAAA!"] {
            assert_eq!(decode_date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let mut rng = crate::base::rng::Rng::new(17);
        for _ in 0..20_000 {
            let value: Vec<_> = (0..rng.below(24)).map(|_| b"ab=;, \"\\$"[rng.below(9) as usize]).collect();
            let mut fields = Fields::default();
            fields.append(b"Cookie", &value);
            fields.append(b"Set-Cookie", &value);
            let count = in_request(&fields).filter(|cookie| cookie.name == b"a").count();
            let others = in_request(&fields).filter(|cookie| cookie.name != b"a").count();
            let _ = (in_response(&fields).count(), captured(&fields, Known::Cookie, b"a"));
            assert_eq!(remove_from_request(&mut fields, b"a"), count);
            assert_eq!(in_request(&fields).count(), others, "{}", value.escape_ascii());
        }
    }
}
