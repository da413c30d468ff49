//! Request targets (RFC 9112 section 3.2) and what URIs are made of (RFC 3986): parts and
//! percent-encoding.
//!
//! Nothing here decides whether a target is acceptable: that is [`super::h1::head`]'s. The parts
//! are HAProxy's: its path starts at the first `/` (or at `?` or `#` if an absolute form has no
//! path) and its authority carries no user information.

/// The parts of a request target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// `http://`, with its delimiter, as received.
    pub scheme: Option<&'a [u8]>,
    /// Host and port, without `user:password@`.
    pub authority: Option<&'a [u8]>,
    /// Where `authority` starts in the target.
    pub authority_start: usize,
    /// Path, query and fragment; `None` for `*`, an authority, or an absolute form without any.
    pub path_and_query: Option<&'a [u8]>,
}

/// Splits a target into its parts.
pub fn split(target: &[u8]) -> Parts<'_> {
    match target.first() {
        None | Some(b'*') => Parts::default(),
        Some(b'/') => Parts { path_and_query: Some(target), ..Parts::default() },
        Some(_) => {
            let scheme = scheme(target);
            let rest_start = scheme.map_or(0, <[u8]>::len);
            let rest = &target[rest_start..];
            let length =
                rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
            let user = memchr::memrchr(b'@', &rest[..length]).map_or(0, |at| at + 1);
            Parts {
                scheme,
                authority: Some(&rest[user..length]),
                authority_start: rest_start + user,
                path_and_query: (scheme.is_some() && length < rest.len()).then_some(&rest[length..]),
            }
        }
    }
}

/// The scheme of an absolute form, with `://` (RFC 3986 section 3.1).
fn scheme(target: &[u8]) -> Option<&[u8]> {
    if !target.first()?.is_ascii_alphabetic() {
        return None;
    }
    let is_in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let length = target.iter().position(|byte| !is_in_scheme(byte))?;
    target[length..].starts_with(b"://").then(|| &target[..length + 3])
}

/// The path with the query, as `pathq` gives it.
pub fn path_and_query(target: &[u8]) -> Option<&[u8]> {
    split(target).path_and_query
}

/// The path without the query, as `path` gives it: it ends at the first `?`.
pub fn path(target: &[u8]) -> Option<&[u8]> {
    path_and_query(target).map(|both| memchr::memchr(b'?', both).map_or(both, |end| &both[..end]))
}

/// What follows the first `?`; `None` without one.
pub fn query(target: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'?', target).map(|mark| &target[mark + 1..])
}

/// The host of an authority or a `Host` value, and the port if a colon stands before it (it may be
/// empty).
pub fn host_and_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    match authority.len().checked_sub(digits + 1) {
        Some(colon) if authority[colon] == b':' => (&authority[..colon], Some(&authority[colon + 1..])),
        _ => (authority, None),
    }
}

/// Whether a port need not be written after `scheme` (RFC 3986 section 6.2.3); without a scheme
/// (CONNECT) both 80 and 443 count.
pub fn is_default_port(scheme: Option<&[u8]>, port: &[u8]) -> bool {
    match (scheme, port) {
        (_, b"") => true,
        (None, b"80" | b"443") => true,
        (Some(scheme), b"80") => scheme.eq_ignore_ascii_case(b"http://"),
        (Some(scheme), b"443") => scheme.eq_ignore_ascii_case(b"https://"),
        _ => false,
    }
}

/// Whether an authority holds a byte that could change its meaning when it is put together anew:
/// controls, spaces, 8-bit bytes, `# / ? @ \`, brackets other than around an IP literal, and the
/// comma, which separates list members in a `Host` value.
pub fn authority_has_forbidden_byte(authority: &[u8]) -> bool {
    let mut open = false;
    for (index, &byte) in authority.iter().enumerate() {
        match byte {
            b'[' if index == 0 => open = true,
            b']' if open && matches!(authority.get(index + 1), None | Some(b':')) => open = false,
            b'[' | b']' | b',' | b'#' | b'/' | b'?' | b'@' | b'\\' => return true,
            0x21..=0x7e => {}
            _ => return true,
        }
    }
    open
}

/// Decodes `%XX` (and `+` as a space if `plus_is_space`) onto `out`; `None` and nothing appended
/// if a `%` is not followed by two hexadecimal digits.
pub fn decode(bytes: &[u8], plus_is_space: bool, out: &mut Vec<u8>) -> Option<()> {
    let before = out.len();
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        out.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let digits = tail
                    .first()
                    .zip(tail.get(1))
                    .and_then(|(&high, &low)| Some((hex_digit(high)? << 4) | hex_digit(low)?));
                let Some(decoded) = digits else {
                    out.truncate(before);
                    return None;
                };
                rest = &tail[2..];
                decoded
            }
            other => *other,
        });
    }
    Some(())
}

/// The value of a hexadecimal digit.
#[inline]
pub fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Option<&[u8]>) -> &str {
        bytes.map_or("-", |bytes| str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn splits_targets() {
        // target, scheme, authority, path, query
        let cases = [
            ("/", "-", "-", "/", "-"),
            ("/a/b?c=d", "-", "-", "/a/b", "c=d"),
            ("*", "-", "-", "-", "-"),
            ("host:443", "-", "host:443", "-", "-"),
            ("http://host", "http://", "host", "-", "-"),
            ("http://u:p@host:80/x", "http://", "host:80", "/x", "-"),
            ("http://a@b@host/@x", "http://", "host", "/@x", "-"),
            ("HTTPS://host?a=b", "HTTPS://", "host", "", "a=b"),
            ("http://host#f", "http://", "host", "#f", "-"),
            ("1http://host/", "-", "1http:", "-", "-"),
            ("http:/host", "-", "http:", "-", "-"),
        ];
        for (target, scheme, authority, path_expected, query_expected) in cases {
            let bytes = target.as_bytes();
            let parts = split(bytes);
            assert_eq!(text(parts.scheme), scheme, "{target}");
            assert_eq!(text(parts.authority), authority, "{target}");
            assert_eq!(text(path(bytes)), path_expected, "{target}");
            assert_eq!(text(query(bytes)), query_expected, "{target}");
        }
    }

    #[test]
    fn splits_ports() {
        for (authority, host, port) in [
            ("a", "a", "-"),
            ("a:80", "a", "80"),
            ("a:", "a", ""),
            (":80", "", "80"),
            ("[::1]", "[::1]", "-"),
            ("[::1]:8080", "[::1]", "8080"),
            ("8080", "8080", "-"),
            ("", "", "-"),
        ] {
            let (found_host, found_port) = host_and_port(authority.as_bytes());
            assert_eq!((text(Some(found_host)), text(found_port)), (host, port), "{authority}");
        }
    }

    #[test]
    fn judges_authorities() {
        for (authority, forbidden) in [
            ("example.com:80", false),
            ("[2001:db8::1]", false),
            ("[::1]:80", false),
            ("a b", true),
            ("a,b", true),
            ("a[b]", true),
            ("[::1", true),
            ("::1]", true),
            ("a@b", true),
            ("a/b", true),
            ("é", true),
        ] {
            assert_eq!(authority_has_forbidden_byte(authority.as_bytes()), forbidden, "{authority}");
        }
    }

    #[test]
    fn decodes() {
        for (input, plus, expected) in [
            ("a%20b+c", false, "a b+c"),
            ("a%20b+c", true, "a b c"),
            ("%41%6a", false, "Aj"),
            ("%4", false, "-"),
            ("%zz", false, "-"),
        ] {
            let mut out = b">".to_vec();
            let found = decode(input.as_bytes(), plus, &mut out).map(|()| &out[1..]);
            assert_eq!(text(found), expected, "{input}");
        }
    }
}
