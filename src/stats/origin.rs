//! Whether a form may come from another site: a browser sends it with the user's credentials, whichever site wrote it.

use crate::base::text;
use crate::http::{Request, uri};

/// Whether a request that changes something comes from a page of another site.
///
/// `Origin` counts; without it `Referer` does. The authority in it (host and port as written) must be the one
/// that the request names as its `Host`. A request with neither was not sent by a page (a script or a monitor),
/// or by a browser that hides both, whose user then authenticates by hand. `Sec-Fetch-Site`, which browsers send
/// where the connection is secure, may refuse in addition; it never excuses.
pub fn is_cross_site(request: &Request) -> bool {
    let host = request.fields.first(b"host").map(text::trim);
    let differs = |value: &[u8]| match (authority(text::trim(value)), host) {
        (Some(named), Some(host)) => named.is_empty() || !named.eq_ignore_ascii_case(host),
        _ => true,
    };
    let said = if request.fields.all(b"origin").next().is_some() { &b"origin"[..] } else { b"referer" };
    request.fields.all(said).any(differs)
        || request
            .fields
            .all(b"sec-fetch-site")
            .any(|site| !matches!(text::trim(site), b"same-origin" | b"none"))
}

/// Host and port of a URI as written, without user information. `None` for what is no URI, such as the `null`
/// of a page that has no origin to tell (RFC 6454 section 7).
fn authority(text: &[u8]) -> Option<&[u8]> {
    let parts = uri::split(text);
    parts.scheme.and(parts.authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(fields: &[(&str, &str)]) -> bool {
        let mut request = Request::default();
        for (name, value) in fields {
            request.fields.append(name.as_bytes(), value.as_bytes());
        }
        is_cross_site(&request)
    }

    #[test]
    fn the_authority_must_be_the_host() {
        for (host, origin, crosses) in [
            ("lb.internal:22003", "http://lb.internal:22003", false),
            ("lb.internal:22003", "https://lb.internal:22003", false),
            ("LB.internal", "http://lb.INTERNAL", false),
            ("lb.internal", " http://lb.internal ", false),
            ("lb.internal:22003", "http://evil.internal", true),
            ("lb.internal:22003", "http://lb.internal", true),
            ("lb.internal", "http://lb.internal:22003", true),
            ("lb.internal:1", "http://lb.internal:2", true),
            ("lb.internal", "http://lb.internal.evil", true),
            ("lb.internal", "http://evil.lb.internal", true),
            ("lb.internal", "http://lb.internal@evil", true),
            ("lb.internal", "http://evil/?x=@lb.internal", true),
            ("lb.internal", "http://evil/lb.internal", true),
            ("lb.internal", "http://evil#@lb.internal", true),
            ("lb.internal", "null", true),
            ("lb.internal", "", true),
            ("lb.internal", "/", true),
            ("lb.internal", "*", true),
            ("lb.internal", "http://", true),
            ("lb.internal", "http:///", true),
            ("", "http://", true),
            ("", "null", true),
            ("null", "null", true),
            ("lb.internal", "lb.internal", true),
            ("lb.internal", "//lb.internal/", true),
            ("[::1]:22003", "http://[::1]:22003", false),
            ("[2001:DB8::1]", "http://[2001:db8::1]", false),
            ("[::1]:22003", "http://[::2]:22003", true),
            ("[::1]", "http://[::1]:22003", true),
        ] {
            assert_eq!(refuses(&[("Host", host), ("Origin", origin)]), crosses, "{origin} to {host}");
            assert_eq!(refuses(&[("Host", host), ("oRIGIN", origin)]), crosses, "{origin} to {host}");
            // A page's address stands where its origin does not.
            let referer = [("Host", host), ("Referer", origin)];
            assert_eq!(refuses(&referer), crosses, "from {origin} to {host}");
        }
    }

    #[test]
    fn the_origin_counts_before_the_referer() {
        let (own, evil) = ("http://lb/stats;up?scope=a", "http://evil/lb");
        for (fields, crosses) in [
            (&[("Host", "lb")][..], false),
            (&[][..], false),
            (&[("Origin", "http://lb")], true),
            (&[("Host", "lb"), ("Referer", own)], false),
            (&[("Host", "lb"), ("Referer", evil)], true),
            (&[("Host", "lb"), ("Origin", "http://lb"), ("Referer", evil)], false),
            (&[("Host", "lb"), ("Origin", "http://evil"), ("Referer", own)], true),
            (&[("Host", "lb"), ("Origin", "null"), ("Referer", own)], true),
            (&[("Host", "lb"), ("Origin", ""), ("Referer", own)], true),
            (&[("Host", "lb"), ("Origin", "http://lb"), ("Origin", "http://evil")], true),
            (&[("Host", "lb"), ("Sec-Fetch-Site", "same-origin")], false),
            (&[("Host", "lb"), ("Sec-Fetch-Site", "none")], false),
            (&[("Host", "lb"), ("Sec-Fetch-Site", "cross-site")], true),
            (&[("Host", "lb"), ("Sec-Fetch-Site", "same-site")], true),
            (&[("Host", "lb"), ("Origin", "http://lb"), ("Sec-Fetch-Site", "cross-site")], true),
            (&[("Host", "lb"), ("Origin", "http://evil"), ("Sec-Fetch-Site", "same-origin")], true),
        ] {
            assert_eq!(refuses(fields), crosses, "{fields:?}");
        }
    }
}
