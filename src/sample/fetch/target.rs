//! The parts of a request target that fetches and logs name (RFC 9112 section 3.2).

/// What follows scheme and authority: path and query. Empty when there is none (`CONNECT`'s
/// authority, `http://host`); `*` is its own path.
pub(crate) fn path_and_query(target: &[u8]) -> &[u8] {
    match target {
        [b'/', ..] | b"*" => target,
        _ => match memchr::memmem::find(target, b"://") {
            Some(at) if is_scheme(&target[..at]) => {
                let rest = &target[at + 3..];
                let end =
                    rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
                if rest.get(end) == Some(&b'/') { &rest[end..] } else { b"" }
            }
            _ => b"",
        },
    }
}

/// The authority of an absolute-form target, or of `CONNECT`'s.
pub(crate) fn authority(target: &[u8]) -> Option<&[u8]> {
    match target {
        [b'/', ..] | b"*" | [] => None,
        _ => match memchr::memmem::find(target, b"://") {
            Some(at) if is_scheme(&target[..at]) => {
                let rest = &target[at + 3..];
                let end =
                    rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
                Some(&rest[..end])
            }
            _ => Some(target),
        },
    }
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// The part in front of the query.
pub(crate) fn path(target: &[u8]) -> &[u8] {
    let both = path_and_query(target);
    &both[..memchr::memchr(b'?', both).unwrap_or(both.len())]
}

/// The part after the first `?`, if there is one.
pub(crate) fn query(target: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'?', target).map(|at| &target[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_every_form() {
        for (target, p, pq, q, a) in [
            ("/a/b?c=d", "/a/b", "/a/b?c=d", Some("c=d"), None),
            ("/", "/", "/", None, None),
            ("http://h:80/r/4?q=4", "/r/4", "/r/4?q=4", Some("q=4"), Some("h:80")),
            ("http://h", "", "", None, Some("h")),
            ("http://h#frag", "", "", None, Some("h")),
            ("http://h/abc#frag", "/abc#frag", "/abc#frag", None, Some("h")),
            ("*", "*", "*", None, None),
            ("host:443", "", "", None, Some("host:443")),
        ] {
            let bytes = target.as_bytes();
            assert_eq!(path(bytes), p.as_bytes(), "{target}");
            assert_eq!(path_and_query(bytes), pq.as_bytes(), "{target}");
            assert_eq!(query(bytes), q.map(str::as_bytes), "{target}");
            assert_eq!(authority(bytes), a.map(str::as_bytes), "{target}");
        }
    }
}
