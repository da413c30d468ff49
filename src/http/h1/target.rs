//! What a request is addressed to: the four forms of the target (RFC 9112 section 3.2), its
//! agreement with `Host`, and normalisation by scheme (RFC 3986 section 6.2.3).
//!
//! Servers that disagree with the proxy on the host of a request are how requests get routed past
//! access rules, so a disagreement between target and `Host` is refused, default ports apart.

use super::head::Refusal;
use crate::http::uri::{self, Parts};
use crate::http::{Known, Method, Request};

/// Judges target and `Host`, and leaves both normalised and `Host` at most once.
pub(super) fn judge(request: &mut Request, accept_unsafe: bool) -> Result<(), Refusal> {
    judge_host(request, accept_unsafe)?;
    let bad_target = |request: &Request, reason| Err(Refusal::new(400, reason, request.target.start()));
    let target = request.target();
    if target == b"*" {
        // RFC 9112 section 3.2.4: for OPTIONS; unknown methods may know better.
        if !matches!(request.method, Method::Options | Method::Other) {
            return bad_target(request, "asterisk form with a method other than OPTIONS");
        }
        if request.method_bytes() == b"PRI" {
            return bad_target(request, "HTTP/2 preface on an HTTP/1 connection");
        }
        return Ok(());
    }
    let parts = uri::split(target);
    let is_connect = request.method == Method::Connect;
    match (parts.scheme, parts.authority) {
        (None, None) if target.starts_with(b"*") => bad_target(request, "invalid request target"),
        (None, None) if is_connect => bad_target(request, "CONNECT needs an authority as its target"),
        (None, None) => Ok(()),
        (None, Some(_)) if !is_connect => bad_target(request, "invalid request target"),
        (Some(_), _) if is_connect => bad_target(request, "CONNECT needs an authority as its target"),
        // Whatever is accepted beside: the authority may become the Host field, which has no lenient form.
        (_, Some(authority)) if uri::authority_has_forbidden_byte(authority) => {
            bad_target(request, "invalid character in the authority")
        }
        // RFC 3986 section 3.2.2: a colon stands in an address in brackets or before the port. Without its
        // default port `h::80` would be `h:`, which the next reader takes for `h`.
        (_, Some(authority)) if has_stray_colon(uri::host_and_port(authority).0) => {
            bad_target(request, "invalid host in the authority")
        }
        // RFC 9112 section 3.2.3: host and port alone. A path behind them, or a user in front, would be left to
        // the next hop to make sense of.
        (None, Some(authority)) if authority.len() != target.len() => {
            bad_target(request, "CONNECT needs an authority as its target")
        }
        (None, Some(_)) => judge_connect(request, accept_unsafe),
        (Some(_), _) => judge_absolute(request, accept_unsafe),
    }
}

/// Whether a host, user information in front allowed, has a colon outside brackets.
fn has_stray_colon(host: &[u8]) -> bool {
    let start = memchr::memrchr(b'@', host).map_or(0, |at| at + 1);
    let host = &host[start..];
    !host.starts_with(b"[") && host.contains(&b':')
}

/// RFC 9112 section 3.2: more than one `Host`, or an invalid one, is refused. HAProxy takes several
/// equal ones for one, which is left to `accept-invalid` options; it asks for none in HTTP/1.1
/// either, which plain clients and health checks rely on, and neither does this.
fn judge_host(request: &mut Request, accept_unsafe: bool) -> Result<(), Refusal> {
    if !request.fields.has(Known::Host) {
        return Ok(());
    }
    let list = request.fields.list();
    let refuse = |reason, at: usize| Err(Refusal::new(400, reason, at));
    let mut first: Option<(usize, &[u8])> = None;
    let mut repeated = false;
    for (index, field) in list.iter().enumerate().filter(|(_, field)| field.known == Known::Host) {
        let value = request.fields.bytes(field.value);
        match first {
            None if uri::authority_has_forbidden_byte(value) => {
                return refuse("invalid character in Host", field.value.start());
            }
            None => first = Some((index, value)),
            Some((_, host)) if !host.eq_ignore_ascii_case(value) => {
                return refuse("several Host fields that differ", field.name.start());
            }
            Some(_) if !accept_unsafe => return refuse("several Host fields", field.name.start()),
            Some(_) => repeated = true,
        }
    }
    if let (true, Some((keep, _))) = (repeated, first) {
        for index in (keep + 1..request.fields.list().len()).rev() {
            if request.fields.list()[index].known == Known::Host {
                request.fields.remove_at(index);
            }
        }
    }
    Ok(())
}

/// RFC 9112 section 3.2.3: the target of CONNECT is `host:port`, and `Host` names the same.
fn judge_connect(request: &mut Request, accept_unsafe: bool) -> Result<(), Refusal> {
    let refuse = |reason, offset| {
        if accept_unsafe { Ok(()) } else { Err(Refusal::new(400, reason, offset)) }
    };
    let authority = uri::split(request.target()).authority.unwrap_or_default();
    let (uri_host, uri_port) = uri::host_and_port(authority);
    let uri_port = uri_port.unwrap_or_default();
    if uri_port.is_empty() {
        return refuse("CONNECT target without a port", request.target.start());
    }
    let Some(index) = host_index(request) else { return Ok(()) };
    let value = request.fields.list()[index].value;
    let (host, port) = uri::host_and_port(request.fields.bytes(value));
    let port = port.unwrap_or_default();
    let is_default = uri::is_default_port(None, uri_port);
    let same_port = if port.is_empty() { is_default } else { port == uri_port };
    if !same_port || !host.eq_ignore_ascii_case(uri_host) {
        return refuse("CONNECT target and Host differ", value.start());
    }
    if !port.is_empty() && is_default {
        let normal = crate::http::Text::new(value.start(), host.len());
        request.fields.set_value_text(index, normal);
    }
    Ok(())
}

/// An absolute form: `Host` must name the same authority, a default port apart; the default port
/// and an absent path are normalised in both.
fn judge_absolute(request: &mut Request, accept_unsafe: bool) -> Result<(), Refusal> {
    let index = host_index(request);
    let Parts { scheme, authority, authority_start, path_and_query } = uri::split(request.target());
    let authority = authority.unwrap_or_default();
    if let Some(index) = index {
        let value = request.fields.list()[index].value;
        let host = request.fields.bytes(value);
        if !authority.eq_ignore_ascii_case(host)
            && !same_but_for_port(scheme, authority, host)
            && !accept_unsafe
        {
            return Err(Refusal::new(400, "request target and Host differ", value.start()));
        }
    }
    let kept = match uri::host_and_port(authority) {
        (host, Some(port)) if uri::is_default_port(scheme, port) => host.len(),
        _ => authority.len(),
    };
    // RFC 3986 section 6.2.3: an empty path is `/`; to OPTIONS it means the server as a whole.
    let add_path = path_and_query.is_none() && request.method != Method::Options;
    if kept == authority.len() && !add_path {
        return Ok(());
    }
    let path_len = path_and_query.map_or(0, <[u8]>::len);
    let path_start = authority_start + authority.len();
    let target = request.target;
    let fields = &mut request.fields;
    let normal = fields.arena_len();
    fields.store_again(target.start()..target.start() + authority_start + kept);
    fields.store_again(target.start() + path_start..target.start() + path_start + path_len);
    if add_path {
        fields.store(b"/");
    }
    request.target = crate::http::Text::new(normal, fields.arena_len() - normal);
    if let Some(index) = index {
        fields.set_value_text(index, crate::http::Text::new(normal + authority_start, kept));
    }
    Ok(())
}

/// Whether an authority and a `Host` value differ only in that one has its scheme's default port
/// (or an empty one) and the other has the other or none.
fn same_but_for_port(scheme: Option<&[u8]>, authority: &[u8], host: &[u8]) -> bool {
    let (uri_host, uri_port) = uri::host_and_port(authority);
    let (host, port) = uri::host_and_port(host);
    let is_default = |port: Option<&[u8]>| port.is_none_or(|port| uri::is_default_port(scheme, port));
    (uri_port.is_some() || port.is_some())
        && is_default(uri_port)
        && is_default(port)
        && uri_host.eq_ignore_ascii_case(host)
}

fn host_index(request: &Request) -> Option<usize> {
    if !request.fields.has(Known::Host) {
        return None;
    }
    request.fields.list().iter().position(|field| field.known == Known::Host)
}
