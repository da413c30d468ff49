//! An address text taken apart: kind of socket, family, host and port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::AddressError;
use crate::config::environment::Environment;
use crate::diag::closest;

/// What sort of socket and transport a text asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes over a stream socket.
    Stream,
    /// Datagrams.
    Datagram,
    /// A stream over datagrams.
    Quic,
}

/// Which family a text asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4 or IPv6, as the text shows.
    Any,
    V4,
    V6,
    Unix,
    /// Abstract name space, padded with NULs to the whole `sun_path`.
    Abstract,
    /// Abstract name space, as long as the name.
    AbstractZ,
    Fd,
    Sockpair,
    Rhttp,
}

/// A text without its prefixes.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// The kind of socket a prefix forced.
    pub kind: Option<Kind>,
    pub family: Family,
    /// Multipath TCP was asked for.
    pub mptcp: bool,
    /// What follows the prefixes, with variables expanded.
    pub rest: String,
}

/// Prefixes that force the kind of socket, with any family after them (manual, section 2.9.2).
const KINDS: &[(&str, Kind)] =
    &[("stream+", Kind::Stream), ("dgram+", Kind::Datagram), ("quic+", Kind::Quic)];

/// Prefixes of families and protocols (manual, sections 2.9.1 and 2.9.3).
const FAMILIES: &[(&str, Family, Option<Kind>)] = &[
    ("unix@", Family::Unix, None),
    ("uxdg@", Family::Unix, Some(Kind::Datagram)),
    ("uxst@", Family::Unix, Some(Kind::Stream)),
    ("abns@", Family::Abstract, None),
    ("abnsz@", Family::AbstractZ, None),
    ("ip@", Family::Any, None),
    ("ipv4@", Family::V4, None),
    ("ipv6@", Family::V6, None),
    ("tcp@", Family::Any, Some(Kind::Stream)),
    ("tcp4@", Family::V4, Some(Kind::Stream)),
    ("tcp6@", Family::V6, Some(Kind::Stream)),
    ("mptcp@", Family::Any, Some(Kind::Stream)),
    ("mptcp4@", Family::V4, Some(Kind::Stream)),
    ("mptcp6@", Family::V6, Some(Kind::Stream)),
    ("udp@", Family::Any, Some(Kind::Datagram)),
    ("udp4@", Family::V4, Some(Kind::Datagram)),
    ("udp6@", Family::V6, Some(Kind::Datagram)),
    ("quic4@", Family::V4, Some(Kind::Quic)),
    ("quic6@", Family::V6, Some(Kind::Quic)),
    ("fd@", Family::Fd, None),
    ("sockpair@", Family::Sockpair, None),
    ("rhttp@", Family::Rhttp, None),
];

impl Form {
    /// Expands variables and takes the prefixes off.
    pub(super) fn parse(text: &str, environment: &Environment<'_>) -> Result<Form, AddressError> {
        let expanded = expand(text, environment);
        if expanded.is_empty() {
            return Err(AddressError::new(format!(
                "'{text}' resolves to an empty address (environment variable missing?)"
            )));
        }
        let mut rest = expanded.as_str();
        let mut kind = None;
        if let Some((prefix, forced)) = KINDS.iter().find(|(prefix, _)| rest.starts_with(prefix)) {
            kind = Some(*forced);
            rest = &rest[prefix.len()..];
        }
        let mut family = if rest.starts_with('/') { Family::Unix } else { Family::Any };
        let mut mptcp = false;
        if let Some((prefix, named, forced)) = FAMILIES.iter().find(|(p, ..)| rest.starts_with(p)) {
            family = *named;
            kind = forced.or(kind);
            mptcp = prefix.starts_with("mptcp");
            rest = &rest[prefix.len()..];
        }
        Ok(Form { kind, family, mptcp, rest: rest.to_string() })
    }

    /// Host and port of an IP form, cut at the last colon that is not inside brackets.
    pub(super) fn host_port(&self) -> (&str, Option<&str>) {
        match self.rest.rfind([':', ']']) {
            Some(at) if self.rest.as_bytes()[at] == b':' => (&self.rest[..at], Some(&self.rest[at + 1..])),
            _ => (&self.rest, None),
        }
    }

    /// The number of a descriptor.
    pub(super) fn fd(&self, whole: &str) -> Result<i32, AddressError> {
        let number: Option<i32> = self.rest.parse().ok().filter(|number| *number >= 0);
        number.ok_or_else(|| {
            AddressError::new(format!("file descriptor '{}' is not a valid integer in '{whole}'", self.rest))
        })
    }

    /// The IP address that `host` is, without asking anyone; `None` for a name.
    pub(super) fn literal(&self, host: &str) -> Option<IpAddr> {
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if host.is_empty() || host == "*" {
            return Some(match self.family {
                Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
                _ => Ipv4Addr::UNSPECIFIED.into(),
            });
        }
        if let Some(inner) = bracketed {
            return (self.family != Family::V4).then(|| inner.parse::<Ipv6Addr>().ok())?.map(Into::into);
        }
        host.parse::<IpAddr>().ok().filter(|address| self.takes(address))
    }

    /// Whether an address is of the family asked for.
    pub(super) fn takes(&self, address: &IpAddr) -> bool {
        match self.family {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
            _ => true,
        }
    }

    /// What may have been meant by a host that is none.
    pub(super) fn help(host: &str) -> Option<String> {
        if let Some((prefix, _)) = host.split_once('@') {
            let prefix = format!("{prefix}@");
            return closest(&prefix, FAMILIES.iter().map(|(known, ..)| *known))
                .map(|known| format!("did you mean '{known}'?"));
        }
        host.contains(':').then(|| "write an IPv6 address in brackets: '[::1]:80'".to_string())
    }
}

/// Expands `$NAME` and `${NAME}`; an unset one becomes nothing. No defaults and no escapes here:
/// those belong to double quotes.
fn expand(text: &str, environment: &Environment<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.starts_with('{');
        let name_at = usize::from(braced);
        let len = rest[name_at..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len() - name_at);
        let name = &rest[name_at..name_at + len];
        out.push_str(&environment.get(name).unwrap_or_default());
        rest = &rest[name_at + len..];
        if braced {
            rest = rest.strip_prefix('}').unwrap_or(rest);
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Memory;

    #[test]
    fn prefixes_come_off() {
        let world = Memory::default().variable("P", "80").variable("F", "ipv4");
        let environment = Environment::bare(&world);
        for (text, kind, family, rest) in [
            ("*:80", None, Family::Any, "*:80"),
            ("/x", None, Family::Unix, "/x"),
            ("stream+unix@x", Some(Kind::Stream), Family::Unix, "x"),
            ("uxdg@x", Some(Kind::Datagram), Family::Unix, "x"),
            ("dgram+tcp4@h:1", Some(Kind::Stream), Family::V4, "h:1"),
            ("quic+fd@3", Some(Kind::Quic), Family::Fd, "3"),
            ("$F@h:${P}1$", None, Family::V4, "h:801"),
            ("${P:$NONE}x", None, Family::Any, "80:}x"),
        ] {
            let form = Form::parse(text, &environment).unwrap();
            assert_eq!((form.kind, form.family, form.rest.as_str()), (kind, family, rest), "{text}");
        }
    }

    #[test]
    fn hosts_and_ports_part() {
        for (text, expected) in [
            ("h:80", ("h", Some("80"))),
            ("h", ("h", None)),
            (":80", ("", Some("80"))),
            ("::1:80", ("::1", Some("80"))),
            ("[::1]:80", ("[::1]", Some("80"))),
            ("[::1]", ("[::1]", None)),
            ("h:", ("h", Some(""))),
        ] {
            let form = Form { kind: None, family: Family::Any, mptcp: false, rest: text.into() };
            assert_eq!(form.host_port(), expected, "{text}");
        }
    }
}
