//! Cookie persistence: which server the request's cookie names, and what the response's
//! `Set-Cookie` becomes (manual, section 4.2 `cookie`).
//!
//! Two steps share a [`RequestCookie`]: [`on_request`] once the backend is known, [`on_response`]
//! when the server answered. Between them the choice of a server may differ from the cookie's, and
//! then the cookie is renewed. Both write their letter of `%tsc` into the transaction.

use std::borrow::Cow;

use super::cookie_date;
use super::cookie_items::{Item, items, set_cookie};
use crate::base::clock::Now;
use crate::base::hash::xxh64;
use crate::base::id::ServerIndex;
use crate::http::{Fields, Method};
use crate::model::proxy::{Cookie, CookieMode};
use crate::model::{Proxy, Server};
use crate::sample::TransactionFacts;
use crate::sample::facts::{CookieRequest, CookieResponse};
use crate::state::server::Endpoint;

/// Between the server's name and the application's value in prefix mode.
const PREFIX_DELIMITER: u8 = b'~';
/// Between the server's name and its dates.
const DATE_DELIMITER: u8 = b'|';
/// Dates further in the future than this are ignored rather than believed: a day covers a wrong
/// time zone without keeping a wrong clock's cookies for ever.
const FUTURE_MAX_S: u64 = 86_400;

/// How far persistence counts for this transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Persistence {
    /// `ignore-persist` holds: the cookie is neither believed nor set.
    pub ignore: bool,
    /// `force-persist` holds: even a server that is down is used.
    pub force: bool,
    /// A server was assigned already (`use-server`).
    pub assigned: bool,
}

/// What the request's cookie said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCookie {
    /// The server it names, if that one may be used.
    pub server: Option<ServerIndex>,
    /// The first server whose value it has, whether or not that one may be used now.
    named: Option<ServerIndex>,
    /// The third letter of `%tsc`.
    pub letter: CookieRequest,
    /// When the client was first seen, in seconds since the epoch.
    pub first_seen_s: Option<u64>,
    /// When it was last seen.
    pub last_seen_s: Option<u64>,
}

/// The value that names `server` in the backend's cookie: its own, or one made from its address
/// (`dynamic`).
pub fn value_of<'a>(cookie: &Cookie, server: &'a Server) -> Option<Cow<'a, [u8]>> {
    if let Some(own) = &server.cookie {
        return Some(Cow::Borrowed(own.as_bytes()));
    }
    let key = cookie.dynamic_key.as_ref()?;
    let Endpoint::Inet { address, .. } = **server.state.endpoint.load() else { return None };
    let mut bytes = key.as_bytes().to_vec();
    match address.ip() {
        std::net::IpAddr::V4(v4) => bytes.extend_from_slice(&v4.octets()),
        std::net::IpAddr::V6(v6) => bytes.extend_from_slice(&v6.octets()),
    }
    bytes.extend_from_slice(&u32::from(address.port()).to_be_bytes());
    Some(Cow::Owned(format!("{:016x}", xxh64(&bytes, 0)).into_bytes()))
}

/// Reads the persistence cookie of the request and takes it out where the server must not see it.
///
/// Runs after the backend's request rules, and also before a denial so that logs tell.
pub fn on_request(
    backend: &Proxy,
    persistence: Persistence,
    txn: &mut TransactionFacts,
    now: Now,
) -> RequestCookie {
    let Some(cookie) = &backend.cookie else { return RequestCookie::default() };
    let mut found = RequestCookie { letter: CookieRequest::None, ..RequestCookie::default() };
    let mut index = 0;
    while index < txn.request.fields.list().len() {
        let fields = &txn.request.fields;
        let field = fields.list()[index];
        if !fields.bytes(field.name).eq_ignore_ascii_case(b"cookie") {
            index += 1;
            continue;
        }
        let value = fields.bytes(field.value);
        for item in items(value).filter(|item| item.name == cookie.name.as_bytes()) {
            if let Some(value) = item.value {
                judge(backend, cookie, persistence, value, now, &mut found);
            }
        }
        match rewritten(cookie, value) {
            None => index += 1,
            Some(rest) if rest.is_empty() => txn.request.fields.remove_at(index),
            Some(rest) => {
                txn.request.fields.set_value(index, &rest);
                index += 1;
            }
        }
    }
    txn.cookie_request = found.letter;
    txn.cookie_response = CookieResponse::None;
    found
}

/// Judges one occurrence of the cookie.
fn judge(
    backend: &Proxy,
    cookie: &Cookie,
    persistence: Persistence,
    value: &[u8],
    now: Now,
    found: &mut RequestCookie,
) {
    let mut name = if cookie.mode == CookieMode::Prefix {
        value.split(|byte| *byte == PREFIX_DELIMITER).next().unwrap_or_default()
    } else {
        let mut parts = value.splitn(3, |byte| *byte == DATE_DELIMITER);
        let name = parts.next().unwrap_or_default();
        if let Some(seconds) = parts.next().and_then(cookie_date::decode) {
            found.last_seen_s = Some(seconds);
        }
        if let Some(seconds) = parts.next().and_then(cookie_date::decode) {
            found.first_seen_s = Some(seconds);
        }
        name
    };
    let is_over = |date: Option<u64>, limit: Option<u64>| match (date, limit) {
        (Some(date), Some(limit)) => {
            let now = now.wall_secs();
            now.saturating_sub(date) > limit || date.saturating_sub(now) > FUTURE_MAX_S
        }
        _ => false,
    };
    if is_over(found.first_seen_s, cookie.maxlife_s) {
        found.letter = CookieRequest::Old;
        (found.first_seen_s, found.last_seen_s) = (None, None);
        name = b"";
    } else if is_over(found.last_seen_s, cookie.maxidle_s) {
        found.letter = CookieRequest::Expired;
        (found.first_seen_s, found.last_seen_s) = (None, None);
        name = b"";
    }
    let is_skipped = persistence.ignore || persistence.assigned || found.server.is_some();
    let of_value = |server: &std::sync::Arc<Server>| value_of(cookie, server).as_deref() == Some(name);
    let named = match name.is_empty() || persistence.ignore || found.server.is_some() {
        true => None,
        false => backend.servers.iter().position(of_value).map(|index| index as ServerIndex),
    };
    found.named = named.or(found.named);
    if let Some(first) = named
        && !is_skipped
        && choose(backend, cookie, persistence, first, found)
    {
        return;
    }
    let is_settled =
        matches!(found.letter, CookieRequest::Down | CookieRequest::Expired | CookieRequest::Old);
    if !is_settled {
        found.letter = if is_skipped { CookieRequest::Unused } else { CookieRequest::Invalid };
    }
}

/// Chooses among the servers that share the value of the `first` one; false when none may be used.
///
/// Several may share it, so that a backup takes over a server's clients: the first that runs wins.
fn choose(
    backend: &Proxy,
    cookie: &Cookie,
    persistence: Persistence,
    first: ServerIndex,
    found: &mut RequestCookie,
) -> bool {
    let servers = backend.servers.get(first as usize..).unwrap_or_default();
    let Some(value) = servers.first().and_then(|server| value_of(cookie, server)) else { return false };
    for (index, server) in (first..).zip(servers) {
        if value_of(cookie, server).as_deref() != Some(&*value) {
            continue;
        }
        let is_running = server.state.is_running();
        found.letter = if is_running { CookieRequest::Valid } else { CookieRequest::Down };
        if is_running || backend.options.persist || persistence.force {
            found.server = Some(index);
            return true;
        }
    }
    false
}

/// Chooses again by a cookie that [`on_request`] has read, since servers have changed during a wait.
pub fn again(
    backend: &Proxy,
    persistence: Persistence,
    txn: &mut TransactionFacts,
    found: &mut RequestCookie,
) {
    let (Some(cookie), Some(first)) = (&backend.cookie, found.named) else { return };
    found.server = None;
    if !(persistence.ignore || persistence.assigned) {
        choose(backend, cookie, persistence, first, found);
        txn.cookie_request = found.letter;
    }
}

/// The value of a `Cookie` field as the server gets it, if that differs: without the cookie
/// (insert and indirect), or with the application's part of it only (prefix).
fn rewritten(cookie: &Cookie, value: &[u8]) -> Option<Vec<u8>> {
    let is_ours = |item: &Item<'_>| item.value.is_some() && item.name == cookie.name.as_bytes();
    if cookie.mode == CookieMode::Prefix {
        let has_prefix =
            |item: &Item<'_>| is_ours(item) && item.value.is_some_and(|v| v.contains(&PREFIX_DELIMITER));
        items(value).find(has_prefix)?;
        let mut rest = Vec::with_capacity(value.len());
        for item in items(value) {
            if has_prefix(&item) {
                let own = item.value.unwrap_or_default();
                let cut = own.iter().position(|byte| *byte == PREFIX_DELIMITER).unwrap_or(0);
                rest.extend_from_slice(&value[item.start..item.value_start]);
                rest.extend_from_slice(&own[cut + 1..]);
            } else {
                rest.extend_from_slice(&value[item.start..item.end]);
            }
        }
        return Some(rest);
    }
    if cookie.mode != CookieMode::Insert || !cookie.indirect {
        return None;
    }
    items(value).find(is_ours)?;
    let mut rest = Vec::with_capacity(value.len());
    let mut is_cut = false;
    for item in items(value) {
        // The attributes of a cookie go with it (RFC 2109 section 4.3.4).
        is_cut = is_ours(&item) || is_cut && item.is_attribute();
        if is_cut {
            continue;
        }
        if rest.is_empty() {
            let piece = &value[item.start..item.end];
            let blanks = piece.iter().take_while(|b| matches!(b, b';' | b',' | b' ' | b'\t')).count();
            rest.extend_from_slice(&piece[blanks..]);
        } else {
            rest.extend_from_slice(&value[item.start..item.end]);
        }
    }
    Some(rest)
}

/// Gives the response its persistence cookie.
///
/// `server` is the one that answered; `is_direct` tells that it was chosen by persistence
/// (`request.server` or `use-server`) and not anew since.
pub fn on_response(
    backend: &Proxy,
    server: Option<&Server>,
    request: &RequestCookie,
    is_direct: bool,
    persistence: Persistence,
    txn: &mut TransactionFacts,
    now: Now,
) {
    let Some(cookie) = &backend.cookie else { return };
    if !persistence.ignore {
        edit_servers_cookies(cookie, server, is_direct, txn);
    }
    let Some(server) = server else { return };
    let is_preserved = cookie.preserve && txn.cookie_response == CookieResponse::Passive;
    if cookie.mode != CookieMode::Insert || is_preserved || persistence.ignore {
        return;
    }
    if cookie.postonly && txn.as_sent().method != Method::Post {
        return;
    }
    let now_s = now.wall_secs();
    let is_date_due = (cookie.maxidle_s.is_some() || request.last_seen_s.is_some())
        && request.last_seen_s.is_none_or(|seen| seen < now_s);
    let is_first_due = cookie.maxlife_s.is_some() != request.first_seen_s.is_some();
    if is_direct && !is_date_due && !is_first_due {
        return;
    }
    let own = value_of(cookie, server);
    let line = inserted(cookie, own.as_deref(), request, now_s);
    txn.response.fields.append(b"set-cookie", &line);
    txn.cookie_response =
        if own.is_some() && is_direct { CookieResponse::Updated } else { CookieResponse::Inserted };
    if cookie.nocache && is_cacheable(txn) {
        // `private` is understood by every cache, `no-cache="set-cookie"` is not.
        txn.response.fields.append(b"cache-control", b"private");
    }
}

/// The `Set-Cookie` that names a server, or removes the cookie when the server has none.
fn inserted(cookie: &Cookie, own: Option<&[u8]>, request: &RequestCookie, now_s: u64) -> Vec<u8> {
    let mut line = cookie.name.as_bytes().to_vec();
    line.push(b'=');
    match own {
        None => line.extend_from_slice(b"; Expires=Thu, 01-Jan-1970 00:00:01 GMT"),
        Some(own) => {
            line.extend_from_slice(own);
            if cookie.maxidle_s.is_some() || cookie.maxlife_s.is_some() {
                line.push(DATE_DELIMITER);
                line.extend_from_slice(&cookie_date::encode(now_s));
            }
            if cookie.maxlife_s.is_some() {
                line.push(DATE_DELIMITER);
                let first =
                    request.first_seen_s.map_or(cookie_date::encode(now_s), cookie_date::encode_exact);
                line.extend_from_slice(&first);
            }
        }
    }
    line.extend_from_slice(b"; path=/");
    for domain in &cookie.domains {
        line.extend_from_slice(b"; domain=");
        line.extend_from_slice(domain.as_bytes());
    }
    for (is_set, text) in [(cookie.httponly, &b"; HttpOnly"[..]), (cookie.secure, b"; Secure")] {
        if is_set {
            line.extend_from_slice(text);
        }
    }
    for attribute in &cookie.attributes {
        line.extend_from_slice(b"; ");
        line.extend_from_slice(attribute.as_bytes());
    }
    line
}

/// Passes, drops or changes the cookies that the server set under the persistence cookie's name.
fn edit_servers_cookies(
    cookie: &Cookie,
    server: Option<&Server>,
    is_direct: bool,
    txn: &mut TransactionFacts,
) {
    let own = server.and_then(|server| value_of(cookie, server));
    let is_dropped = server.is_some() && cookie.mode == CookieMode::Insert || is_direct && cookie.indirect;
    let mut index = 0;
    while index < txn.response.fields.list().len() {
        let fields = &txn.response.fields;
        let field = fields.list()[index];
        let value = fields.bytes(field.value);
        let item = match fields.bytes(field.name).eq_ignore_ascii_case(b"set-cookie") {
            true => set_cookie(value).filter(|item| item.name == cookie.name.as_bytes()),
            false => None,
        };
        let Some(item) = item else {
            index += 1;
            continue;
        };
        txn.cookie_response = CookieResponse::Passive;
        if cookie.preserve {
            index += 1;
            continue;
        }
        if is_dropped {
            txn.response.fields.remove_at(index);
            txn.cookie_response = CookieResponse::Deleted;
            continue;
        }
        if let (Some(own), CookieMode::Rewrite | CookieMode::Prefix) = (own.as_deref(), cookie.mode) {
            let old = item.value.unwrap_or_default();
            let mut changed = value[..item.value_start].to_vec();
            changed.extend_from_slice(own);
            if cookie.mode == CookieMode::Prefix {
                changed.push(PREFIX_DELIMITER);
                changed.extend_from_slice(&value[item.value_start..]);
            } else {
                changed.extend_from_slice(&value[item.value_start + old.len()..]);
            }
            txn.response.fields.set_value(index, &changed);
            txn.cookie_response = CookieResponse::Rewritten;
        }
        index += 1;
    }
}

/// Whether a cache may keep the response (RFC 9111 section 3): only then `nocache` has to say no.
fn is_cacheable(txn: &TransactionFacts) -> bool {
    let fields = &txn.response.fields;
    let is_safe =
        matches!(txn.as_sent().method, Method::Get | Method::Head | Method::Options | Method::Trace);
    let by_default = [200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501];
    let mut cacheable = is_safe && by_default.contains(&txn.response.status);
    if fields.first(b"pragma").is_some_and(|value| value.eq_ignore_ascii_case(b"no-cache")) {
        return false;
    }
    let mut is_fresh = false;
    let mut zero_age = false;
    for word in directives(fields) {
        let word = word.to_ascii_lowercase();
        match &word[..] {
            b"public" => cacheable = true,
            b"max-age=0" => zero_age = true,
            b"no-cache=\"set-cookie\"" => {}
            b"private" | b"no-cache" | b"no-store" | b"s-maxage=0" => cacheable = false,
            other => {
                let starts = |name: &[u8]| other.starts_with(name);
                if starts(b"private=") || starts(b"no-cache=") || starts(b"no-store=") {
                    cacheable = false;
                } else if starts(b"s-maxage") {
                    (is_fresh, zero_age) = (true, false);
                } else if starts(b"max-age") {
                    is_fresh = true;
                }
            }
        }
    }
    let has_validator = ["expires", "etag", "last-modified"];
    cacheable && !zero_age && (is_fresh || has_validator.iter().any(|n| fields.contains(n.as_bytes())))
}

/// The comma-separated directives of every `Cache-Control` field.
fn directives(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    fields
        .all(b"cache-control")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(crate::base::text::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;
    use crate::state::server::Operational;

    const NOW: Now = Now { mono_us: 0, wall_us: 1_700_000_000_000_000 };

    fn backend(cookie: Cookie) -> Proxy {
        let mut backend = testing::proxy("be");
        for (name, value) in [("s1", Some("one")), ("s2", Some("two")), ("s3", None)] {
            let mut server = testing::server("be", name);
            server.cookie = value.map(Into::into);
            backend.push(server);
        }
        backend.cookie = Some(cookie);
        backend
    }

    fn cookie(mode: CookieMode) -> Cookie {
        Cookie {
            name: "S".into(),
            mode,
            indirect: false,
            nocache: false,
            postonly: false,
            preserve: false,
            httponly: false,
            secure: false,
            domains: Vec::new(),
            maxidle_s: None,
            maxlife_s: None,
            attributes: Vec::new(),
            dynamic_key: None,
        }
    }

    fn indirect(mode: CookieMode) -> Cookie {
        Cookie { indirect: true, ..cookie(mode) }
    }

    fn ask(backend: &Proxy, field: &str) -> (TransactionFacts, RequestCookie) {
        let mut txn = TransactionFacts::default();
        txn.request.fields.append(b"Cookie", field.as_bytes());
        let found = on_request(backend, Persistence::default(), &mut txn, NOW);
        (txn, found)
    }

    #[test]
    fn the_request_names_a_server() {
        use CookieRequest::{Invalid, Valid};
        for (setting, field, server, letter, forwarded) in [
            (cookie(CookieMode::Insert), "S=two", Some(1), Valid, Some("S=two")),
            (indirect(CookieMode::Insert), "S=two", Some(1), Valid, None),
            (indirect(CookieMode::Insert), "a=1; S=two; b=2", Some(1), Valid, Some("a=1; b=2")),
            (indirect(CookieMode::Insert), "S=two; $Path=/; b=2", Some(1), Valid, Some("b=2")),
            (indirect(CookieMode::Insert), "b=2; S=two", Some(1), Valid, Some("b=2")),
            (indirect(CookieMode::Insert), "S=what", None, Invalid, None),
            (indirect(CookieMode::Insert), "S=", None, Invalid, None),
            (indirect(CookieMode::Insert), "s=two", None, CookieRequest::None, Some("s=two")),
            (cookie(CookieMode::Prefix), "x=1; S=two~app; y=2", Some(1), Valid, Some("x=1; S=app; y=2")),
            (cookie(CookieMode::Prefix), "S=app", None, Invalid, Some("S=app")),
            (cookie(CookieMode::Rewrite), "S=one", Some(0), Valid, Some("S=one")),
            (cookie(CookieMode::Insert), "S=one|ZVPxA", Some(0), Valid, Some("S=one|ZVPxA")),
        ]
            as [(Cookie, &str, Option<u32>, CookieRequest, Option<&str>); 12]
        {
            let (txn, found) = ask(&backend(setting), field);
            assert_eq!((found.server, found.letter), (server, letter), "{field}");
            assert_eq!(txn.cookie_request, letter, "{field}");
            let sent = txn.request.fields.first(b"cookie").map(|v| std::str::from_utf8(v).unwrap());
            assert_eq!(sent, forwarded, "{field}");
        }
    }

    #[test]
    fn dates_end_persistence() {
        use CookieRequest::{Expired, Old, Valid};
        let dated = |idle: Option<u64>, life: Option<u64>| Cookie {
            maxidle_s: idle,
            maxlife_s: life,
            ..cookie(CookieMode::Insert)
        };
        let at = |offset: i64| {
            let seconds = NOW.wall_secs().checked_add_signed(offset).unwrap();
            String::from_utf8(cookie_date::encode(seconds).to_vec()).unwrap()
        };
        for (setting, value, letter) in [
            (dated(Some(100), None), format!("S=one|{}", at(-40)), Valid),
            (dated(Some(100), None), format!("S=one|{}", at(-200)), Expired),
            (dated(Some(100), None), format!("S=one|{}", at(90_000)), Expired),
            (dated(Some(100), Some(500)), format!("S=one|{}|{}", at(-40), at(-600)), Old),
            (dated(Some(100), Some(500)), format!("S=one|{}|{}", at(-40), at(-300)), Valid),
        ] {
            let (_, found) = ask(&backend(setting), &value);
            assert_eq!(found.letter, letter, "{value}");
            assert_eq!(found.server.is_some(), letter == Valid, "{value}");
        }
    }

    #[test]
    fn a_server_that_is_down() {
        let mut backend = backend(cookie(CookieMode::Insert));
        backend.servers[0].state.set_operational(Operational::Stopped);
        let (_, found) = ask(&backend, "S=one");
        assert_eq!((found.server, found.letter), (None, CookieRequest::Down));
        backend.options.persist = true;
        let (_, found) = ask(&backend, "S=one");
        assert_eq!((found.server, found.letter), (Some(0), CookieRequest::Down));
        backend.options.persist = false;
        let mut twin = testing::server("be", "twin");
        twin.cookie = Some("one".into());
        backend.push(twin);
        let (_, found) = ask(&backend, "S=one");
        assert_eq!((found.server, found.letter), (Some(3), CookieRequest::Valid));
        let mut txn = TransactionFacts::default();
        txn.request.fields.append(b"cookie", b"S=two");
        let ignored = Persistence { ignore: true, ..Persistence::default() };
        let found = on_request(&backend, ignored, &mut txn, NOW);
        assert_eq!((found.server, found.letter), (None, CookieRequest::Unused));
    }

    /// Answers `field` with what server `index` sets and returns the response's fields and letter.
    fn answer(
        setting: Cookie,
        field: &str,
        index: usize,
        is_direct: bool,
        sets: &[(&str, &str)],
    ) -> (Vec<String>, CookieResponse) {
        let backend = backend(setting);
        let (mut txn, found) = ask(&backend, field);
        txn.response.status = 200;
        for (name, value) in sets {
            txn.response.fields.append(name.as_bytes(), value.as_bytes());
        }
        let server = &backend.servers[index];
        on_response(&backend, Some(server), &found, is_direct, Persistence::default(), &mut txn, NOW);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let lines = txn.response.fields.iter().map(|(n, v)| format!("{}: {}", text(n), text(v)));
        (lines.collect(), txn.cookie_response)
    }

    #[test]
    fn the_response_gets_its_cookie() {
        use CookieResponse::*;
        let insert = || indirect(CookieMode::Insert);
        let check = |setting, field: &str, index, direct, sets: &[(&str, &str)], lines: &[&str], letter| {
            let found = answer(setting, field, index, direct, sets);
            assert_eq!(found, (lines.iter().map(|l| l.to_string()).collect(), letter), "{field} {sets:?}");
        };
        check(insert(), "S=what", 0, false, &[], &["set-cookie: S=one; path=/"], Inserted);
        check(insert(), "S=one", 0, true, &[], &[], None);
        check(
            insert(),
            "",
            2,
            false,
            &[],
            &["set-cookie: S=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/"],
            Inserted,
        );
        check(insert(), "S=one", 0, true, &[("Set-Cookie", "S=mine")], &[], Deleted);
        let kept = Cookie { preserve: true, ..insert() };
        check(kept, "", 0, false, &[("Set-Cookie", "S=mine")], &["Set-Cookie: S=mine"], Passive);
        check(
            cookie(CookieMode::Rewrite),
            "",
            1,
            false,
            &[("Set-Cookie", "S=mine; path=/x"), ("Set-Cookie", "T=1")],
            &["Set-Cookie: S=two; path=/x", "Set-Cookie: T=1"],
            Rewritten,
        );
        check(
            cookie(CookieMode::Prefix),
            "",
            1,
            false,
            &[("Set-Cookie", "S=mine; path=/x")],
            &["Set-Cookie: S=two~mine; path=/x"],
            Rewritten,
        );
        check(
            cookie(CookieMode::Passive),
            "",
            1,
            false,
            &[("Set-Cookie", "S=two")],
            &["Set-Cookie: S=two"],
            Passive,
        );
        let full = Cookie {
            httponly: true,
            secure: true,
            domains: vec!["a.example".into(), "b.example".into()],
            attributes: vec!["SameSite=None".into()],
            maxidle_s: Some(60),
            maxlife_s: Some(600),
            ..insert()
        };
        check(
            full,
            "",
            0,
            false,
            &[],
            &[
                "set-cookie: S=one|ZVPxA|ZVPxA; path=/; domain=a.example; domain=b.example; HttpOnly; Secure; SameSite=None",
            ],
            Inserted,
        );
        let private = || Cookie { nocache: true, ..insert() };
        check(
            private(),
            "",
            0,
            false,
            &[("ETag", "x")],
            &["ETag: x", "set-cookie: S=one; path=/", "cache-control: private"],
            Inserted,
        );
        check(private(), "", 0, false, &[], &["set-cookie: S=one; path=/"], Inserted);
        let idle = || Cookie { maxidle_s: Some(1000), ..insert() };
        check(idle(), "S=one|ZVPwA", 0, true, &[], &["set-cookie: S=one|ZVPxA; path=/"], Updated);
        check(idle(), "S=one|ZVPxA", 0, true, &[], &[], None);
        let post = Cookie { postonly: true, ..insert() };
        check(post, "", 0, false, &[], &[], None);
    }

    #[test]
    fn a_dynamic_cookie_follows_the_address() {
        let mut server = testing::server("be", "s1");
        server.cookie = None;
        let endpoint = Endpoint::Inet { address: "127.0.0.1:8080".parse().unwrap(), port_offset: None };
        server.state.endpoint.store(endpoint.into());
        let setting = Cookie { dynamic_key: Some("key".into()), ..cookie(CookieMode::Insert) };
        let expected = format!("{:016x}", xxh64(b"key\x7f\x00\x00\x01\x00\x00\x1f\x90", 0));
        assert_eq!(value_of(&setting, &server).as_deref(), Some(expected.as_bytes()));
    }
}
