//! What a hashing algorithm hashes: the bytes that HAProxy would hash, so that both send a client
//! to the same server (manual, section 4.2 `balance`).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::balance;
use crate::base::hash;
use crate::base::id::ServerIndex;
use crate::http::{Method, list, uri};
use crate::model::proxy::BalanceKey;
use crate::model::{Proxy, Server};
use crate::sample::{Context, Value};
use crate::state::server::Endpoint;

/// A key that may own the bytes that it hands to the picker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// Bytes to hash.
    Bytes(Cow<'a, [u8]>),
    /// A hash made from address words.
    Hash(u32),
}

impl Key<'_> {
    /// The form that [`balance::Pick`] takes.
    pub fn as_pick(&self) -> balance::Key<'_> {
        match self {
            Key::Bytes(bytes) => balance::Key::Bytes(bytes),
            Key::Hash(hash) => balance::Key::Hash(*hash),
        }
    }
}

/// The key of this transaction; `None` when the data are absent: then the choice is round robin.
///
/// `numbers_as_text` is for `hash-type ... none`, which reads the key as a number.
pub fn of<'a>(setting: &'a BalanceKey, numbers_as_text: bool, context: &Context<'a>) -> Option<Key<'a>> {
    let txn = context.txn;
    let request = txn.has_request.then_some(&txn.request);
    let borrowed = |bytes: &'a [u8]| Key::Bytes(Cow::Borrowed(bytes));
    match setting {
        BalanceKey::None => None,
        BalanceKey::Source => {
            let source = context.session?.source?;
            Some(Key::Hash(hash::address(source.ip())))
        }
        BalanceKey::Uri { whole, len, depth, path_only } => {
            let target = request?.target();
            let start = if *path_only { uri::path_and_query(target).unwrap_or_default() } else { target };
            Some(borrowed(uri_part(start, *whole, *len, *depth)))
        }
        BalanceKey::UrlParam { name, .. } => {
            let request = request?;
            let target = request.target();
            let in_query = uri::query(target).and_then(|query| parameter(query, name.as_bytes(), |_| true));
            let value = match in_query {
                None if context.txn.as_sent().method == Method::Post => {
                    parameter(&txn.body, name.as_bytes(), is_token_byte)
                }
                found => found,
            };
            value.map(borrowed)
        }
        BalanceKey::Header { name, domain_only } => {
            let value = request?.fields.first(name.as_bytes())?;
            let value = list::items(value).next().unwrap_or_default();
            if value.is_empty() {
                return None;
            }
            Some(borrowed(if *domain_only { main_domain(value) } else { value }))
        }
        BalanceKey::RdpCookie(name) => rdp_cookie(&txn.request_payload, name.as_bytes()).map(borrowed),
        BalanceKey::Expr(expr) => expr.eval(context).and_then(|value| bytes_of(value, numbers_as_text)),
    }
}

/// The part of a URI that counts: up to the query unless `whole`, at most `len` bytes (0: all), and
/// `depth` directories (0: all).
fn uri_part(uri: &[u8], whole: bool, len: usize, depth: usize) -> &[u8] {
    let uri = if len > 0 { &uri[..len.min(uri.len())] } else { uri };
    let mut slashes = 0;
    let end = uri.iter().position(|byte| match byte {
        b'/' => {
            slashes += 1;
            // The first slash opens the path: directory number `depth` ends at slash `depth` + 1.
            depth > 0 && slashes == depth + 1
        }
        b'?' => !whole,
        _ => false,
    });
    &uri[..end.unwrap_or(uri.len())]
}

/// The value of a parameter in `a=1&b=2`; `None` too when a byte of it fails `is_allowed`. The
/// value of a body may also end at white space.
fn parameter<'a>(text: &'a [u8], name: &[u8], is_allowed: fn(u8) -> bool) -> Option<&'a [u8]> {
    for pair in text.split(|byte| *byte == b'&') {
        let Some(value) = pair.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) else {
            continue;
        };
        let end = value.iter().position(|byte| !is_allowed(*byte)).unwrap_or(value.len());
        let is_broken = value.get(end).is_some_and(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        return (!is_broken).then_some(&value[..end]);
    }
    None
}

/// `tchar` of RFC 9110 section 5.6.2: what HAProxy lets stand in a URI-encoded body.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `example` of `www.example.com`: from the second dot from the right to the last one
/// (`use_domain_only`). A name without a dot is taken whole.
fn main_domain(host: &[u8]) -> &[u8] {
    let Some(end) = host.iter().rposition(|byte| *byte == b'.') else { return host };
    let start = host[..end].iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    &host[start..end]
}

/// The value of the cookie of an RDP connection request (the `Cookie: name=value` line behind TPKT
/// and X.224 headers); an empty `name` takes any.
pub fn rdp_cookie<'a>(payload: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    /// TPKT version 3 and its length, then X.224: length, CR code, two references, class.
    const HEADERS_LEN: usize = 11;
    let rest = payload.get(HEADERS_LEN..)?;
    let line_len = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..line_len];
    let prefix = line.get(..7)?;
    if !prefix.eq_ignore_ascii_case(b"cookie:") {
        return None;
    }
    let pair = line[7..].trim_ascii_start();
    let equal = pair.iter().position(|byte| *byte == b'=')?;
    let value = &pair[equal + 1..];
    let is_named = name.is_empty() || pair[..equal].eq_ignore_ascii_case(name);
    (is_named && !value.is_empty()).then_some(value)
}

/// The server that the cookie of an RDP request names (`persist rdp-cookie`): `ADDRESS.PORT.`, an
/// IPv4 address and a port, each the number that its bytes in network order make on a
/// little-endian machine.
pub fn rdp_server(backend: &Proxy, payload: &[u8]) -> Option<ServerIndex> {
    let name = backend.persist_rdp_cookie.as_ref()?;
    let value = std::str::from_utf8(rdp_cookie(payload, name.as_bytes())?).ok()?;
    let mut parts = value.split('.');
    let address: u32 = parts.next()?.parse().ok()?;
    let port: u16 = parts.next()?.parse().ok()?;
    parts.next()?;
    let wanted = SocketAddr::from((address.to_le_bytes(), port.swap_bytes()));
    let is_it = |server: &Arc<Server>| {
        let is_there =
            matches!(**server.state.endpoint.load(), Endpoint::Inet { address, .. } if address == wanted);
        is_there && (server.state.is_running() || backend.options.persist)
    };
    backend.servers.iter().position(is_it).map(|index| index as ServerIndex)
}

/// The bytes of a value: binary where it has a binary form, for every hash function but `none`.
fn bytes_of(value: Value<'_>, numbers_as_text: bool) -> Option<Key<'_>> {
    let text = |text: String| Cow::Owned(text.into_bytes());
    let bytes = match value {
        Value::Str(bytes) | Value::Bin(bytes) | Value::Method(_, bytes) => bytes,
        Value::Bool(flag) if numbers_as_text => text(u8::from(flag).to_string()),
        Value::Int(number) if numbers_as_text => text(number.to_string()),
        Value::Ip(address) if numbers_as_text => text(address.to_string()),
        Value::Bool(flag) => Cow::Owned(i64::from(flag).to_be_bytes().to_vec()),
        Value::Int(number) => Cow::Owned(number.to_be_bytes().to_vec()),
        Value::Ip(std::net::IpAddr::V4(v4)) => Cow::Owned(v4.octets().to_vec()),
        Value::Ip(std::net::IpAddr::V6(v6)) => Cow::Owned(v6.octets().to_vec()),
    };
    Some(Key::Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::TransactionFacts;
    use crate::sample::facts::{Direction, ProcessFacts};
    use crate::session::testing;

    fn key_of(setting: &BalanceKey, txn: &TransactionFacts) -> Option<Key<'static>> {
        let session = testing::session();
        let process = ProcessFacts::default();
        let context = Context {
            session: Some(&session),
            txn,
            direction: Direction::Request,
            now: Default::default(),
            process: &process,
            check_vars: None,
        };
        of(setting, false, &context).map(|key| match key {
            Key::Bytes(bytes) => Key::Bytes(Cow::Owned(bytes.into_owned())),
            Key::Hash(hash) => Key::Hash(hash),
        })
    }

    fn check(setting: BalanceKey, target: &str, fields: &[(&str, &str)], body: &str, expected: Option<&str>) {
        let mut txn = TransactionFacts { has_request: true, ..TransactionFacts::default() };
        txn.request.set_target(target.as_bytes());
        if !body.is_empty() {
            txn.request.set_method(b"POST");
            txn.body = body.as_bytes().to_vec();
        }
        for (name, value) in fields {
            txn.request.fields.append(name.as_bytes(), value.as_bytes());
        }
        let expected = expected.map(|text| Key::Bytes(Cow::Owned(text.as_bytes().to_vec())));
        assert_eq!(key_of(&setting, &txn), expected, "{setting:?} {target} {fields:?} {body}");
    }

    #[test]
    fn uri_parts() {
        let uri = |whole, len, depth, path_only| BalanceKey::Uri { whole, len, depth, path_only };
        check(uri(false, 0, 0, false), "/a/b/c?x=1", &[], "", Some("/a/b/c"));
        check(uri(true, 0, 0, false), "/a/b/c?x=1", &[], "", Some("/a/b/c?x=1"));
        check(uri(false, 3, 0, false), "/a/b/c?x=1", &[], "", Some("/a/"));
        check(uri(false, 0, 1, false), "/a/b/c?x=1", &[], "", Some("/a"));
        check(uri(false, 0, 2, false), "/a/b/c?x=1", &[], "", Some("/a/b"));
        check(uri(false, 0, 0, false), "http://h/a?x", &[], "", Some("http://h/a"));
        check(uri(false, 0, 0, true), "http://h/a?x", &[], "", Some("/a"));
        check(uri(false, 0, 0, true), "*", &[], "", Some(""));
    }

    #[test]
    fn parameters() {
        let parameter = |check_post| BalanceKey::UrlParam { name: "id".into(), check_post };
        check(parameter(false), "/?a=1&id=7&b=2", &[], "", Some("7"));
        check(parameter(false), "/?uid=1", &[], "", None);
        check(parameter(false), "/id=3", &[], "", None);
        check(parameter(true), "/", &[], "x=1&id=9\r\n", Some("9"));
        check(parameter(true), "/?id=1", &[], "id=9", Some("1"));
        check(parameter(false), "/", &[], "id=9", Some("9"));
        check(parameter(true), "/", &[], "id=\u{1}9", None);
    }

    #[test]
    fn headers() {
        let header = |domain_only| BalanceKey::Header { name: "host".into(), domain_only };
        check(header(false), "/", &[("Host", "www.example.com:80")], "", Some("www.example.com:80"));
        check(header(false), "/", &[("Host", "")], "", None);
        check(header(false), "/", &[("Host", "a, b")], "", Some("a"));
        check(header(false), "/", &[], "", None);
        check(header(true), "/", &[("Host", "www.example.com")], "", Some("example"));
        check(header(true), "/", &[("Host", "example.com")], "", Some("example"));
        check(header(true), "/", &[("Host", "localhost")], "", Some("localhost"));
    }

    #[test]
    fn expressions() {
        let expr = |text: &str| BalanceKey::Expr(testing::expr(text));
        check(expr("path"), "/a/b?c", &[], "", Some("/a/b"));
        check(expr("req.hdr(x)"), "/a/b", &[], "", None);
        let txn = TransactionFacts::default();
        let key = key_of(&expr("int(258)"), &txn);
        assert_eq!(key, Some(Key::Bytes(Cow::Borrowed(&[0, 0, 0, 0, 0, 0, 1, 2]))));
        let key = key_of(&expr("src"), &txn);
        assert_eq!(key, Some(Key::Bytes(Cow::Borrowed(&[192, 0, 2, 1]))));
    }

    #[test]
    fn addresses_are_hashed_by_words() {
        let txn = TransactionFacts::default();
        assert_eq!(key_of(&BalanceKey::Source, &txn), Some(Key::Hash(0xc000_0201)));
        assert_eq!(key_of(&BalanceKey::None, &txn), None);
    }

    #[test]
    fn rdp_cookies() {
        let request = |line: &str| [&b"\x03\x00\x00\x2a\x25\xe0\0\0\0\0\0"[..], line.as_bytes()].concat();
        for (line, name, expected) in [
            ("Cookie: mstshash=user\r\n", "mstshash", Some(&b"user"[..])),
            ("cookie: MSTS=1.2.3\r\n", "", Some(b"1.2.3")),
            ("Cookie: mstshash=user\r\n", "msts", None),
            ("Cookie: mstshash=user", "mstshash", None),
        ] {
            assert_eq!(rdp_cookie(&request(line), name.as_bytes()), expected, "{line}");
        }
        assert_eq!(rdp_cookie(b"GET / HTTP/1.1\r\n\r\n", b""), None);
    }

    #[test]
    fn rdp_cookies_name_servers() {
        let mut backend = testing::proxy("be");
        for address in ["10.0.0.1:3389", "10.0.0.2:3389"] {
            let server = testing::server("be", address);
            let endpoint = Endpoint::Inet { address: address.parse().unwrap(), port_offset: None };
            server.state.endpoint.store(endpoint.into());
            backend.push(server);
        }
        backend.persist_rdp_cookie = Some("msts".into());
        let payload = |value: &str| [&[0; 11][..], format!("Cookie: msts={value}\r\n").as_bytes()].concat();
        // 0x0200000a is 10.0.0.2 and 0x3d0d is 3389, both with their bytes turned round.
        assert_eq!(rdp_server(&backend, &payload("33554442.15629.0000")), Some(1));
        assert_eq!(rdp_server(&backend, &payload("33554442.15629")), None);
        assert_eq!(rdp_server(&backend, &payload("33554443.15629.0000")), None);
        backend.servers[1].state.set_operational(crate::state::server::Operational::Stopped);
        assert_eq!(rdp_server(&backend, &payload("33554442.15629.0000")), None);
    }
}
