//! `option forwarded`: one field that tells the server what it cannot see (RFC 7239; manual, section
//! 4.2).

use std::net::{IpAddr, SocketAddr};

use crate::model::proxy::{Forwarded, ForwardedNode, ForwardedPart};
use crate::sample::{Context, Expr, Value};

/// The value of the field for a request.
pub fn value(option: &Forwarded, context: &Context<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    if option.proto {
        // What the client speaks; TLS would make it https.
        out.extend_from_slice(b"proto=http");
    }
    let host = match &option.host {
        ForwardedPart::None => None,
        ForwardedPart::Own => Some(context.txn.request.fields.first(b"host").unwrap_or_default().to_vec()),
        ForwardedPart::Expr(expr) => Some(text(expr, context).unwrap_or_default()),
    };
    if let Some(host) = host {
        parameter(&mut out, b"host=\"");
        if is_host(&host) {
            out.extend_from_slice(&host);
        }
        out.push(b'"');
    }
    let session = context.session;
    node(&mut out, b"by=", &option.by, session.and_then(|session| session.destination), context);
    node(&mut out, b"for=", &option.of, session.and_then(|session| session.source), context);
    out
}

fn parameter(out: &mut Vec<u8>, name: &[u8]) {
    if !out.is_empty() {
        out.push(b';');
    }
    out.extend_from_slice(name);
}

fn node(
    out: &mut Vec<u8>,
    name: &[u8],
    node: &ForwardedNode,
    own: Option<SocketAddr>,
    context: &Context<'_>,
) {
    let wanted = match &node.name {
        ForwardedPart::None => return,
        ForwardedPart::Own => own.map(|own| address(own.ip())),
        ForwardedPart::Expr(expr) => named(expr, context),
    };
    let wanted = wanted.unwrap_or_else(|| b"unknown".to_vec());
    let port = match &node.port {
        ForwardedPart::None => None,
        ForwardedPart::Own => Some(own.map(|own| own.port().to_string().into_bytes())),
        ForwardedPart::Expr(expr) => Some(text(expr, context).and_then(port_or_obfuscated)),
    };
    parameter(out, name);
    // RFC 7239 section 6: brackets and colons need quotes.
    let quoted = port.is_some() || wanted.starts_with(b"[");
    if quoted {
        out.push(b'"');
    }
    out.extend_from_slice(&wanted);
    if let Some(Some(port)) = port {
        out.push(b':');
        out.extend_from_slice(&port);
    }
    if quoted {
        out.push(b'"');
    }
}

fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.to_string().into_bytes(),
        IpAddr::V6(address) => format!("[{address}]").into_bytes(),
    }
}

fn text(expr: &Expr, context: &Context<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    expr.eval(context)?.write(&mut out);
    Some(out)
}

/// A node's name from an expression: an address, `unknown`, or an obfuscated one.
fn named(expr: &Expr, context: &Context<'_>) -> Option<Vec<u8>> {
    if let Value::Ip(found) = expr.eval(context)? {
        return Some(address(found));
    }
    let found = text(expr, context)?;
    let plain = std::str::from_utf8(&found).ok()?;
    let bare = plain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(found) = bare.unwrap_or(plain).parse::<IpAddr>() {
        return Some(address(found));
    }
    if plain == "unknown" { Some(found) } else { obfuscated(found) }
}

fn port_or_obfuscated(text: Vec<u8>) -> Option<Vec<u8>> {
    let is_port = std::str::from_utf8(&text).is_ok_and(|text| text.parse::<u16>().is_ok());
    if is_port { Some(text) } else { obfuscated(text) }
}

/// An obfuscated identifier begins with an underscore (RFC 7239 section 6.3), added where it lacks.
fn obfuscated(mut text: Vec<u8>) -> Option<Vec<u8>> {
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    if text.is_empty() || !text.iter().all(is_valid) {
        return None;
    }
    if text[0] != b'_' {
        text.insert(0, b'_');
    }
    Some(text)
}

/// Whether a host, with or without a port, may stand in quotes.
fn is_host(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;
    use ForwardedPart::{None, Own};

    fn check(option: Forwarded, expected: &str) {
        let found = testing::with_context("/", |context| value(&option, context));
        assert_eq!(String::from_utf8_lossy(&found), expected, "{option:?}");
    }

    #[test]
    fn tells_what_is_asked_for() {
        let node = |name, port| ForwardedNode { name, port };
        let nothing = || node(None, None);
        let front = |proto, host, by, of| Forwarded { proto, host, by, of };
        check(front(true, None, nothing(), node(Own, None)), "proto=http;for=192.0.2.1");
        check(front(false, None, nothing(), node(Own, Own)), "for=\"192.0.2.1:4000\"");
        check(front(false, Own, nothing(), nothing()), "host=\"\"");
    }

    #[test]
    fn names_and_ports_are_made_valid() {
        for (text, expected) in [
            ("haproxy", Some("_haproxy")),
            ("_haproxy", Some("_haproxy")),
            ("a b", Option::None),
            ("", Option::None),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(obfuscated(text.as_bytes().to_vec()), expected, "{text}");
        }
        assert_eq!(port_or_obfuscated(b"80".to_vec()), Some(b"80".to_vec()));
        assert_eq!(port_or_obfuscated(b"web".to_vec()), Some(b"_web".to_vec()));
        assert_eq!(address("::1".parse().unwrap()), b"[::1]");
        assert!(is_host(b"[::1]:80") && !is_host(b"a\"b"));
    }
}
