//! `option forwardfor` and `option originalto`: tells the server where the client is and which
//! address it connected to (manual, section 4.2).

use std::net::{IpAddr, SocketAddr};

use crate::http::Fields;
use crate::model::Proxy;
use crate::model::proxy::ForwardFor;

/// Adds the fields that the frontend or the backend asks for.
///
/// A listen passes the same proxy twice. Each side may except networks; the backend's field name
/// wins, since the field is for its servers.
pub fn add(
    frontend: &Proxy,
    backend: &Proxy,
    source: Option<SocketAddr>,
    destination: Option<SocketAddr>,
    fields: &mut Fields,
) {
    let sides = |pick: fn(&Proxy) -> Option<&ForwardFor>| (pick(frontend), pick(backend));
    let (front, back) = sides(|proxy| proxy.options.forwardfor.as_ref());
    // `if-none` counts only when every side that adds the field says it.
    let only_if_none = [front, back].into_iter().flatten().all(|side| side.if_none);
    add_one(front, back, only_if_none, source, fields);
    let (front, back) = sides(|proxy| proxy.options.originalto.as_ref());
    add_one(front, back, false, destination, fields);
}

fn add_one(
    front: Option<&ForwardFor>,
    back: Option<&ForwardFor>,
    only_if_none: bool,
    address: Option<SocketAddr>,
    fields: &mut Fields,
) {
    let Some(header) = back.or(front).map(|side| side.header.as_bytes()) else { return };
    let Some(address) = address.map(|address| address.ip()) else { return };
    let sides = [front, back];
    let mut excepted = sides.into_iter().flatten().filter_map(|side| side.except);
    if excepted.any(|(network, prefix)| is_in(address, network, prefix)) {
        return;
    }
    if only_if_none && fields.contains(header) {
        return;
    }
    let mut text = Text::default();
    // Sixty-four bytes hold any address, so writing cannot fail.
    let _ = std::fmt::write(&mut text, format_args!("{address}"));
    fields.append(header, text.bytes());
}

/// Whether `address` lies in `network/prefix`. IPv4 addresses mapped into IPv6 are IPv6 ones.
pub fn is_in(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0);
            (u32::from(address) ^ u32::from(network)) & mask == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix.into())).unwrap_or(0);
            (u128::from(address) ^ u128::from(network)) & mask == 0
        }
        _ => false,
    }
}

/// An address as text without an allocation.
struct Text {
    bytes: [u8; 64],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Text { bytes: [0; 64], len: 0 }
    }
}

impl Text {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;

    fn side(except: Option<&str>, if_none: bool, header: &str) -> Option<ForwardFor> {
        let except = except.map(|text| {
            let (address, prefix) = text.split_once('/').unwrap();
            (address.parse().unwrap(), prefix.parse().unwrap())
        });
        Some(ForwardFor { header: header.into(), except, if_none })
    }

    fn check(
        front: Option<ForwardFor>,
        back: Option<ForwardFor>,
        source: &str,
        sent: &[(&str, &str)],
        added: Option<(&str, &str)>,
    ) {
        let (mut frontend, mut backend) = (testing::proxy("fe"), testing::proxy("be"));
        let label = format!("{front:?} {back:?} {source} {sent:?}");
        frontend.options.forwardfor = front;
        backend.options.forwardfor = back;
        let mut fields = Fields::default();
        for (name, value) in sent {
            fields.append(name.as_bytes(), value.as_bytes());
        }
        let source = SocketAddr::new(source.parse().unwrap(), 1);
        add(&frontend, &backend, Some(source), None, &mut fields);
        let new: Vec<_> = fields.iter().skip(sent.len()).collect();
        let expected: Vec<_> = added.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        assert_eq!(new, expected, "{label}");
    }

    #[test]
    fn says_where_the_client_is() {
        let name = "X-Forwarded-For";
        let plain = || side(None, false, name);
        let present = &[(name, "10.0.0.1")];
        check(None, None, "127.0.0.1", &[], None);
        check(None, plain(), "127.0.0.2", &[], Some((name, "127.0.0.2")));
        check(plain(), None, "2001:db8::1:0:0:1", &[], Some((name, "2001:db8::1:0:0:1")));
        check(plain(), side(None, false, "X-Client"), "127.0.0.1", &[], Some(("X-Client", "127.0.0.1")));
        for (network, source, excepted) in [
            ("127.0.0.1/32", "127.0.0.1", true),
            ("10.0.0.1/25", "10.0.0.127", true),
            ("10.0.0.1/25", "10.0.0.128", false),
            ("0.0.0.0/0", "192.0.2.9", true),
            ("2001:db8:1f89::/48", "2001:db8:1f89::1", true),
            ("2001:db8:1f89::/48", "2001:db8:1f90::1", false),
            ("127.0.0.1/32", "::1", false),
        ] {
            let added = (!excepted).then_some((name, source));
            check(None, side(Some(network), false, name), source, &[], added);
            check(side(Some(network), false, name), plain(), source, &[], added);
        }
        check(None, side(None, true, name), "127.0.0.1", present, None);
        check(None, side(None, true, name), "127.0.0.1", &[], Some((name, "127.0.0.1")));
        check(plain(), side(None, true, name), "127.0.0.1", present, Some((name, "127.0.0.1")));
    }

    #[test]
    fn says_what_the_client_connected_to() {
        let (frontend, mut backend) = (testing::proxy("fe"), testing::proxy("be"));
        backend.options.originalto = side(Some("10.0.0.0/8"), false, "X-Original-To");
        for (destination, expected) in [("192.0.2.7:80", Some(&b"192.0.2.7"[..])), ("10.2.3.4:80", None)] {
            let mut fields = Fields::default();
            add(&frontend, &backend, None, Some(destination.parse().unwrap()), &mut fields);
            assert_eq!(fields.first(b"x-original-to"), expected, "{destination}");
        }
    }
}
