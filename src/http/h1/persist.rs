//! Whether a connection outlives a message (RFC 9112 section 9.3), upgrades (RFC 9110 section 7.8),
//! and the fields that belong to one connection only (RFC 9110 section 7.6.1).

use crate::http::{Fields, Known, Request, Response, Version, list};

/// Whether the client allows its connection to serve another request.
pub fn client_keeps_alive(request: &Request) -> bool {
    keeps_alive(&request.fields, request.version)
}

/// Whether the server allows its connection to serve another request.
pub fn server_keeps_alive(response: &Response) -> bool {
    keeps_alive(&response.fields, response.version)
}

/// RFC 9112 section 9.3: `close` wins; HTTP/1.1 persists, HTTP/1.0 if it says `keep-alive`.
fn keeps_alive(fields: &Fields, version: Version) -> bool {
    !names(fields, b"close") && (version >= Version::Http11 || names(fields, b"keep-alive"))
}

/// Whether a rule or an error file has the connection end after this message: `Connection: close` that was
/// written here. What a peer says of its connection is read from the message as it came, before rules see it.
pub fn closes(fields: &Fields) -> bool {
    fields.written(Known::Connection).any(|value| list::contains(value, b"close"))
}

/// Whether the request asks to upgrade its connection (`Connection: upgrade` and an `Upgrade`
/// field with a protocol other than h2c).
pub fn request_upgrades(request: &Request) -> bool {
    upgrades(&request.fields)
}

/// Whether a 101 response grants an upgrade.
pub fn response_upgrades(response: &Response) -> bool {
    response.status == 101 && upgrades(&response.fields)
}

fn upgrades(fields: &Fields) -> bool {
    fields.has(Known::Upgrade)
        && names(fields, b"upgrade")
        && fields.all_known(Known::Upgrade).flat_map(list::items).any(is_upgradable)
}

/// Whether a protocol of an `Upgrade` field goes through. HTTP/2 does not: the proxy would lose
/// sight of the requests within (the h2c smuggling class).
pub(super) fn is_upgradable(protocol: &[u8]) -> bool {
    !protocol.is_empty() && !protocol.eq_ignore_ascii_case(b"h2c") && !protocol.eq_ignore_ascii_case(b"h2")
}

/// Whether `Connection` names `option`.
pub fn names(fields: &Fields, option: &[u8]) -> bool {
    fields.has(Known::Connection)
        && fields.all_known(Known::Connection).any(|value| list::contains(value, option))
}

/// Removes the fields that `Connection` names: they were meant for this hop alone (RFC 9110 section
/// 7.6.1). Fields that frame, route, authenticate or trace a message stay even if named, so that a
/// client cannot have the next hop miss what the proxy decided on; those of the connection itself
/// are left to the encoder, which never copies them.
pub fn drop_nominated(fields: &mut Fields) {
    if !fields.has(Known::Connection) {
        return;
    }
    // Looked up by their hash: options times fields would be a cost that a client chooses.
    let mut names: Vec<(u64, usize)> = Vec::new();
    let mut doomed: Vec<bool> = Vec::new();
    let is_usual = |value: &[u8]| PERSISTENCE.iter().any(|option| value.eq_ignore_ascii_case(option));
    let values = fields.all_known(Known::Connection).filter(|value| !is_usual(value));
    for option in values.flat_map(list::items) {
        if !is_droppable(option) {
            continue;
        }
        if doomed.is_empty() {
            doomed.resize(fields.list().len(), false);
            let hashes = fields.iter().enumerate().map(|(index, (name, _))| (folded_hash(name), index));
            names.extend(hashes);
            names.sort_unstable();
        }
        let hash = folded_hash(option);
        let first = names.partition_point(|(other, _)| *other < hash);
        for (_, index) in names[first..].iter().take_while(|(other, _)| *other == hash) {
            doomed[*index] |= fields.bytes(fields.list()[*index].name).eq_ignore_ascii_case(option);
        }
    }
    if doomed.contains(&true) {
        let mut doomed = doomed.iter();
        fields.remove_where(|_, _| doomed.next() == Some(&true));
    }
}

/// What most `Connection` fields consist of: options that name no field.
const PERSISTENCE: [&[u8]; 2] = [b"keep-alive", b"close"];

/// A hash of a name in any case.
fn folded_hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

fn is_droppable(option: &[u8]) -> bool {
    const PROTECTED: &[&[u8]] =
        &[b"forwarded", b"via", b"x-real-ip", b"proxy-authorization", b"www-authenticate", b"date"];
    const PROTECTED_PREFIXES: &[&[u8]] = &[b"x-forwarded-", b"content-"];
    let has_prefix =
        |prefix: &&[u8]| option.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    !option.is_empty()
        && !option.eq_ignore_ascii_case(b"close")
        && Known::of(option) == Known::Other
        && !PROTECTED.iter().any(|name| option.eq_ignore_ascii_case(name))
        && !PROTECTED_PREFIXES.iter().any(has_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in list {
            fields.append(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn persistence() {
        use Version::*;
        for (connection, version, expected) in [
            (None, Http11, true),
            (None, Http10, false),
            (Some("close"), Http11, false),
            (Some("keep-alive"), Http10, true),
            (Some("Keep-Alive, Close"), Http11, false),
            (Some("foo, CLOSE"), Http10, false),
            (Some("closed"), Http11, true),
        ] {
            let list: Vec<_> = connection.map(|value| ("connection", value)).into_iter().collect();
            let request = Request { version, fields: fields(&list), ..Request::default() };
            assert_eq!(client_keeps_alive(&request), expected, "{connection:?} {version:?}");
        }
    }

    #[test]
    fn upgrade() {
        for (connection, upgrade, expected) in [
            ("Upgrade", "websocket", true),
            ("keep-alive, upgrade", "h2c, websocket", true),
            ("Upgrade", "h2c", false),
            ("close", "websocket", false),
            ("Upgrade", "", false),
        ] {
            let fields = fields(&[("Connection", connection), ("Upgrade", upgrade)]);
            let request = Request { fields: fields.clone(), ..Request::default() };
            assert_eq!(request_upgrades(&request), expected, "{connection} {upgrade}");
            let response = Response { status: 101, fields: fields.clone(), ..Response::default() };
            assert_eq!(response_upgrades(&response), expected, "{connection} {upgrade}");
            let response = Response { status: 200, fields, ..Response::default() };
            assert!(!response_upgrades(&response));
        }
    }

    #[test]
    fn nominated_fields_go_and_protected_ones_stay() {
        let mut found = fields(&[
            ("Connection", "close, X-Hop, x-forwarded-for, HTTP2-Settings"),
            ("connection", "Host, X-Auth, X-Forwarded-User, Content-Type"),
            ("Host", "a"),
            ("x-hop", "1"),
            ("X-AUTH", "2"),
            ("X-Forwarded-For", "3"),
            ("X-Forwarded-User", "4"),
            ("HTTP2-Settings", "5"),
            ("Content-Type", "6"),
        ]);
        drop_nominated(&mut found);
        let names: Vec<_> = found.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
        let expected =
            ["Connection", "connection", "Host", "X-Forwarded-For", "X-Forwarded-User", "Content-Type"];
        assert_eq!(names, expected);
    }
}
