//! The written forms of addresses: `bind`, `server`, `log`, `source`, `stats socket` (manual,
//! sections 2.9 and 5).
//!
//! One reader ([`form`]) splits a text into kind of socket, family, host and port; the functions
//! here say which of those each directive takes. Nothing is opened; host names are resolved through
//! the [`World`]. Unquoted `$NAME` and `${NAME}` are expanded in addresses (and nowhere else), as
//! HAProxy does.

mod form;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use self::form::{Family, Form, Kind};
use super::environment::Environment;
use super::{Settings, World};
use crate::log::target;
use crate::model::BindAddress;
use crate::model::server::SourceAddress;
use crate::resolvers::Transport;
use crate::state::server::Endpoint;

/// Bytes in `sun_path` besides the NUL that ends or starts it.
const UNIX_PATH_MAX: usize = 107;
/// Bytes that a temporary name beside a bound path may need: `.<pid>.<bak|tmp>`.
const UNIX_SUFFIX: usize = 10;
/// The port of syslog, for `log` without one.
const SYSLOG_PORT: u16 = 514;

/// What reading an address may need beyond its text.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Variables for `$NAME`.
    pub environment: &'a Environment<'a>,
    /// Resolves host names.
    pub world: &'a dyn World,
    /// `-dr`.
    pub settings: &'a Settings,
    /// `unix-bind prefix`: stands before the paths of Unix sockets that are bound.
    pub unix_prefix: &'a str,
}

impl<'a> Scope<'a> {
    /// A scope without a prefix for Unix sockets.
    pub fn new(environment: &'a Environment<'a>, world: &'a dyn World, settings: &'a Settings) -> Self {
        Scope { environment, world, settings, unix_prefix: "" }
    }

    fn resolve(&self, host: &str, form: &Form, whole: &str) -> Result<IpAddr, AddressError> {
        let failed = |cause: String| AddressError {
            message: format!("invalid address: '{host}' in '{whole}'"),
            help: Form::help(host).or(Some(cause)),
        };
        if !is_hostname(host) {
            return Err(failed("it is neither an address nor a host name".into()));
        }
        let addresses = self
            .world
            .resolve(host)
            .map_err(|error| failed(format!("'{host}' does not resolve: {error}")))?;
        addresses
            .into_iter()
            .find(|address| form.takes(address))
            .ok_or_else(|| failed(format!("'{host}' has no address of that family")))
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("unix_prefix", &self.unix_prefix).finish_non_exhaustive()
    }
}

/// Why a text is no address here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// In HAProxy's words.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl AddressError {
    fn new(message: impl Into<String>) -> Self {
        AddressError { message: message.into(), help: None }
    }

    fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        AddressError { message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AddressError {}

/// Where a `server` line points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The address; [`Endpoint::Unresolved`] for a host name until [`ServerAddress::resolve`].
    pub endpoint: Endpoint,
    /// The host name given instead of an address.
    pub hostname: Option<String>,
    /// The port as written; 0 without one and for Unix sockets.
    pub port: u16,
    /// The shift of the client's destination port: `Some(0)` when no port was written, `Some(n)`
    /// for `+n` and `-n`, `None` when the port is fixed.
    pub port_offset: Option<i32>,
    /// The form, for the family that a name must resolve to.
    family_v4: bool,
    family_v6: bool,
}

impl ServerAddress {
    /// Whether the name is one of a service, which names hosts and ports (RFC 2782), rather than of a host.
    pub fn is_service(&self) -> bool {
        self.hostname.as_deref().is_some_and(|name| name.starts_with('_'))
    }
    /// Resolves the host name, if that is not done yet. With `-dr` a name that does not resolve
    /// leaves the endpoint unresolved and is no error.
    pub fn resolve(&mut self, scope: &Scope<'_>) -> Result<(), AddressError> {
        let (Some(host), Endpoint::Unresolved { .. }) = (&self.hostname, &self.endpoint) else {
            return Ok(());
        };
        let family = match (self.family_v4, self.family_v6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        };
        let form = Form { kind: None, family, mptcp: false, rest: String::new() };
        match scope.resolve(host, &form, host) {
            Ok(address) => {
                let address = SocketAddr::new(address, self.port);
                self.endpoint = Endpoint::Inet { address, port_offset: self.port_offset };
                Ok(())
            }
            Err(_) if scope.settings.no_resolve => Ok(()),
            Err(error) => Err(AddressError {
                message: format!("could not resolve address '{host}'"),
                help: error.help.map(|help| {
                    format!("{help}; 'init-addr last,libc,none' starts without it, -dr checks without it")
                }),
            }),
        }
    }
}

/// The addresses of a `bind` or `stats socket` line: a list separated by commas, port ranges
/// expanded. The list is never empty.
pub fn parse_bind(text: &str, scope: &Scope<'_>) -> Result<Vec<BindAddress>, AddressError> {
    let mut addresses = Vec::new();
    for part in text.split(',') {
        bind_part(part, scope, &mut addresses)?;
    }
    Ok(addresses)
}

fn bind_part(text: &str, scope: &Scope<'_>, out: &mut Vec<BindAddress>) -> Result<(), AddressError> {
    let form = Form::parse(text, scope.environment)?;
    stream_only(&form, text)?;
    match form.family {
        Family::Unix => {
            let path = format!("{}{}", scope.unix_prefix, form.rest);
            limit_path(path.len() + UNIX_SUFFIX, UNIX_SUFFIX, text)?;
            out.push(BindAddress::Unix(PathBuf::from(path)));
        }
        Family::Abstract | Family::AbstractZ => {
            out.push(BindAddress::Abstract(abstract_name(&form, text)?));
        }
        Family::Fd => out.push(BindAddress::Fd(form.fd(text)?)),
        Family::Any | Family::V4 | Family::V6 => {
            let (host, port) = form.host_port();
            let missing = || {
                AddressError::with_help(
                    format!("missing port specification in '{text}'"),
                    format!("write '{text}:80' for example; a Unix socket's path starts with '/' or 'unix@'"),
                )
            };
            let ports = ports(port.filter(|port| !port.is_empty()).ok_or_else(missing)?, text)?;
            let Ports::Fixed(first, last) = ports else {
                return Err(AddressError::new(format!("port offset not permitted here in '{text}'")));
            };
            if first == 0 {
                return Err(AddressError::new(format!("invalid port '{first}'")));
            }
            let address = match form.literal(host) {
                Some(address) => address,
                None => scope.resolve(host, &form, text)?,
            };
            out.extend((first..=last).map(|port| BindAddress::Inet(SocketAddr::new(address, port))));
        }
        Family::Sockpair | Family::Rhttp => return Err(unsupported(&form, text)),
    }
    Ok(())
}

/// The address of a `server` line. A host name is not resolved yet: whether and how is up to
/// `init-addr`.
pub fn parse_server(text: &str, scope: &Scope<'_>) -> Result<ServerAddress, AddressError> {
    let form = Form::parse(text, scope.environment)?;
    stream_only(&form, text)?;
    let plain = |endpoint| ServerAddress {
        endpoint,
        hostname: None,
        port: 0,
        port_offset: None,
        family_v4: form.family == Family::V4,
        family_v6: form.family == Family::V6,
    };
    match form.family {
        Family::Unix => {
            limit_path(form.rest.len(), 0, text)?;
            Ok(plain(Endpoint::Unix(form.rest.as_bytes().into())))
        }
        Family::Abstract | Family::AbstractZ => {
            let mut name = vec![0];
            name.extend(abstract_name(&form, text)?);
            Ok(plain(Endpoint::Unix(name.into())))
        }
        Family::Fd => Err(AddressError::new(format!("a file descriptor is not acceptable here in '{text}'"))),
        Family::Sockpair | Family::Rhttp => Err(unsupported(&form, text)),
        Family::Any | Family::V4 | Family::V6 => {
            let (host, port) = form.host_port();
            let (port, port_offset) = match port {
                None | Some("") => (0, Some(0)),
                Some(port) => match ports(port, text)? {
                    Ports::Fixed(0, 0) => (0, Some(0)),
                    Ports::Fixed(first, last) if first == last => (first, None),
                    Ports::Fixed(..) => {
                        return Err(AddressError::new(format!("port range not permitted here in '{text}'")));
                    }
                    Ports::Offset(offset) => (0, Some(offset)),
                },
            };
            let mut server = plain(Endpoint::Unresolved { port, port_offset });
            (server.port, server.port_offset) = (port, port_offset);
            match form.literal(host) {
                Some(address) => {
                    let address = SocketAddr::new(address, port);
                    server.endpoint = Endpoint::Inet { address, port_offset };
                }
                None if is_hostname(host) => server.hostname = Some(host.to_string()),
                None => {
                    return Err(AddressError {
                        message: format!("invalid address: '{host}' in '{text}'"),
                        help: Form::help(host),
                    });
                }
            }
            Ok(server)
        }
    }
}

/// Where a `log` line sends to.
pub fn parse_log(text: &str, scope: &Scope<'_>) -> Result<target::Address, AddressError> {
    match text {
        "stdout" => return Ok(target::Address::Fd(1)),
        "stderr" => return Ok(target::Address::Fd(2)),
        _ => {}
    }
    if let Some(name) = text.strip_prefix("ring@") {
        return Ok(target::Address::Ring(name.to_string()));
    }
    if text.starts_with("backend@") {
        return Err(AddressError::with_help(
            format!("log backends are not supported: '{text}'"),
            "log to a 'ring', a file descriptor, a Unix socket or over UDP",
        ));
    }
    let form = Form::parse(text, scope.environment)?;
    if matches!(form.kind, Some(Kind::Stream | Kind::Quic)) {
        return Err(AddressError::with_help(
            format!("stream-type address not acceptable in '{text}'"),
            "logs go over UDP or to a datagram Unix socket",
        ));
    }
    match form.family {
        Family::Unix => {
            limit_path(form.rest.len(), 0, text)?;
            Ok(target::Address::Unix(form.rest))
        }
        Family::Fd => Ok(target::Address::Fd(form.fd(text)?)),
        Family::Abstract | Family::AbstractZ | Family::Sockpair | Family::Rhttp => {
            Err(unsupported(&form, text))
        }
        Family::Any | Family::V4 | Family::V6 => {
            let (address, port, last) = one_address(&form, text, scope)?;
            if port != last {
                return Err(AddressError::new(format!("port range not permitted here in '{text}'")));
            }
            Ok(target::Address::Udp(SocketAddr::new(address, if port == 0 { SYSLOG_PORT } else { port })))
        }
    }
}

/// The address of a name server, which needs a port; datagrams unless a prefix says otherwise.
pub fn parse_nameserver(text: &str, scope: &Scope<'_>) -> Result<(Transport, SocketAddr), AddressError> {
    let form = Form::parse(text, scope.environment)?;
    let transport = match form.kind {
        Some(Kind::Stream) => {
            stream_only(&form, text)?;
            Transport::Tcp
        }
        Some(Kind::Quic) => return Err(AddressError::new(format!("QUIC is not available yet: '{text}'"))),
        Some(Kind::Datagram) | None => Transport::Udp,
    };
    if !matches!(form.family, Family::Any | Family::V4 | Family::V6) {
        return Err(AddressError::with_help(
            format!("only an IP address is acceptable here in '{text}'"),
            "name servers are asked over UDP, or over TCP with 'tcp@'",
        ));
    }
    let (address, first, last) = one_address(&form, text, scope)?;
    if first == 0 {
        return Err(AddressError::with_help(
            format!("missing port specification in '{text}'"),
            format!("name servers listen on port 53: '{text}:53'"),
        ));
    }
    if first != last {
        return Err(AddressError::new(format!("port range not permitted here in '{text}'")));
    }
    Ok((transport, SocketAddr::new(address, first)))
}

/// The address of `source`: where connections to servers come from; port 0 is any.
pub fn parse_source(text: &str, scope: &Scope<'_>) -> Result<SourceAddress, AddressError> {
    let form = Form::parse(text, scope.environment)?;
    stream_only(&form, text)?;
    match form.family {
        Family::Any | Family::V4 | Family::V6 => {
            let (address, first, last) = one_address(&form, text, scope)?;
            Ok(SourceAddress::new(address, first, last))
        }
        _ => Err(AddressError::new(format!("only an IP address is acceptable here in '{text}'"))),
    }
}

/// An address without a port, as `addr` of a check takes it.
pub fn parse_host(text: &str, scope: &Scope<'_>) -> Result<IpAddr, AddressError> {
    let form = Form::parse(text, scope.environment)?;
    match form.family {
        Family::Any | Family::V4 | Family::V6 => {}
        _ => return Err(AddressError::new(format!("only an IP address is acceptable here in '{text}'"))),
    }
    match form.literal(&form.rest) {
        Some(address) => Ok(address),
        None => scope.resolve(&form.rest, &form, text),
    }
}

/// One IP address, resolved, and its range of ports (0 without any).
fn one_address(form: &Form, text: &str, scope: &Scope<'_>) -> Result<(IpAddr, u16, u16), AddressError> {
    let (host, port) = form.host_port();
    let (first, last) = match port {
        None | Some("") => (0, 0),
        Some(port) => match ports(port, text)? {
            Ports::Fixed(first, last) => (first, last),
            Ports::Offset(_) => {
                return Err(AddressError::new(format!("port offset not permitted here in '{text}'")));
            }
        },
    };
    match form.literal(host) {
        Some(address) => Ok((address, first, last)),
        None => Ok((scope.resolve(host, form, text)?, first, last)),
    }
}

enum Ports {
    Fixed(u16, u16),
    Offset(i32),
}

/// `80`, `80-90`, `+1000`, `-1000`.
fn ports(port: &str, text: &str) -> Result<Ports, AddressError> {
    let number = |digits: &str| -> Result<u32, AddressError> {
        if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_digit()) {
            return Err(AddressError::new(format!(
                "invalid character '{wrong}' in port number '{digits}' in '{text}'"
            )));
        }
        digits
            .parse()
            .ok()
            .filter(|number| *number <= 65535)
            .ok_or_else(|| AddressError::new(format!("invalid port '{digits}'")))
    };
    if let Some(offset) = port.strip_prefix('+') {
        return Ok(Ports::Offset(number(offset)? as i32));
    }
    if let Some(offset) = port.strip_prefix('-') {
        return Ok(Ports::Offset(-(number(offset)? as i32)));
    }
    let (first, last) = port.split_once('-').unwrap_or((port, port));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(AddressError::new(format!("invalid port range '{first}-{last}'")));
    }
    Ok(Ports::Fixed(first as u16, last as u16))
}

/// Refuses datagrams, QUIC and Multipath TCP.
fn stream_only(form: &Form, text: &str) -> Result<(), AddressError> {
    match form.kind {
        Some(Kind::Datagram) => {
            Err(AddressError::new(format!("dgram-type address not acceptable in '{text}'")))
        }
        Some(Kind::Quic) => Err(AddressError::with_help(
            format!("QUIC is not available yet: '{text}'"),
            "this build has no QUIC: guard the line with '.if feature(QUIC)'",
        )),
        _ if form.mptcp => Err(AddressError::with_help(
            format!("unsupported MPTCP address '{text}'"),
            "Multipath TCP is not supported: use 'tcp@'",
        )),
        _ => Ok(()),
    }
}

fn unsupported(form: &Form, text: &str) -> AddressError {
    let (name, help) = match form.family {
        Family::Sockpair => (
            "socketpair",
            "sockpair@ passes connections between HAProxy processes; use 'fd@' for an inherited listener",
        ),
        Family::Rhttp => ("reverse HTTP", "rhttp@ is experimental in HAProxy and not available here"),
        _ => ("abstract socket", "use the path of a Unix socket"),
    };
    AddressError::with_help(format!("unsupported {name} address '{text}'"), help)
}

fn limit_path(len: usize, reserved: usize, text: &str) -> Result<(), AddressError> {
    if len > UNIX_PATH_MAX {
        let max = UNIX_PATH_MAX - reserved;
        return Err(AddressError::new(format!("socket path '{text}' too long (max {max})")));
    }
    Ok(())
}

/// The bytes after the leading NUL: `abns@` fills the whole `sun_path`, `abnsz@` ends with the name.
fn abstract_name(form: &Form, text: &str) -> Result<Vec<u8>, AddressError> {
    limit_path(form.rest.len(), 0, text)?;
    let mut name = form.rest.clone().into_bytes();
    if form.family == Family::Abstract {
        name.resize(UNIX_PATH_MAX, 0);
    }
    Ok(name)
}

/// Whether a resolver may be asked about it.
fn is_hostname(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Memory;

    fn with_scope<T>(ask: impl FnOnce(&Scope<'_>) -> T) -> T {
        let world = Memory::default()
            .variable("PORT", "8080")
            .variable("HOST", "10.0.0.9")
            .host("web", &["192.0.2.7", "2001:db8::7"]);
        let environment = Environment::bare(&world);
        let settings = Settings::default();
        ask(&Scope::new(&environment, &world, &settings))
    }

    #[test]
    fn bind_addresses() {
        for (text, expected) in [
            ("*:80", &["0.0.0.0:80"][..]),
            (":80", &["0.0.0.0:80"]),
            (":::80", &["[::]:80"]),
            ("ipv6@:80", &["[::]:80"]),
            ("::1:80", &["[::1]:80"]),
            ("[::1]:80", &["[::1]:80"]),
            ("127.0.0.1:60000-60002", &["127.0.0.1:60000", "127.0.0.1:60001", "127.0.0.1:60002"]),
            (":80,:81", &["0.0.0.0:80", "0.0.0.0:81"]),
            ("stream+ipv4@*:443", &["0.0.0.0:443"]),
            ("tcp6@web:443", &["[2001:db8::7]:443"]),
            ("web:443", &["192.0.2.7:443"]),
            ("*:$PORT", &["0.0.0.0:8080"]),
            ("${HOST}:${PORT}", &["10.0.0.9:8080"]),
        ] {
            let expected: Vec<BindAddress> =
                expected.iter().map(|a| BindAddress::Inet(a.parse().unwrap())).collect();
            assert_eq!(with_scope(|scope| parse_bind(text, scope)), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("/run/x.sock", BindAddress::Unix("/run/x.sock".into())),
            ("unix@x.sock", BindAddress::Unix("x.sock".into())),
            ("fd@7", BindAddress::Fd(7)),
            ("stream+fd@7", BindAddress::Fd(7)),
            ("abnsz@name", BindAddress::Abstract(b"name".to_vec())),
        ] {
            assert_eq!(with_scope(|scope| parse_bind(text, scope)), Ok(vec![expected]), "{text}");
        }
        let padded = with_scope(|scope| parse_bind("abns@n", scope)).unwrap();
        let [BindAddress::Abstract(name)] = padded.as_slice() else { panic!("{padded:?}") };
        assert_eq!((name.len(), name[0], name[1]), (UNIX_PATH_MAX, b'n', 0));
    }

    #[test]
    fn bind_refuses() {
        for (text, part) in [
            ("*", "missing port"),
            ("127.0.0.1", "missing port"),
            ("*:0", "invalid port"),
            ("*:70000", "invalid port"),
            ("*:80x", "invalid character 'x'"),
            ("*:90-80", "invalid port range"),
            ("*:+5", "port offset"),
            ("nowhere:80", "invalid address: 'nowhere'"),
            ("ipv4@[::1]:80", "invalid address"),
            ("fd@x", "not a valid integer"),
            ("fd@-1", "not a valid integer"),
            ("sockpair@3", "unsupported socketpair"),
            ("quic4@:443", "QUIC is not available yet"),
            ("quic+fd@3", "QUIC is not available yet"),
            ("udp@:53", "dgram-type"),
            ("$NONE", "empty address"),
            ("$NONE,:80", "empty address"),
            (":80,", "empty address"),
            ("mptcp@:80", "MPTCP"),
        ] {
            let error = with_scope(|scope| parse_bind(text, scope)).expect_err(text);
            assert!(error.message.contains(part), "{text}: {error}");
        }
        let long = format!("/{}", "x".repeat(200));
        assert!(with_scope(|scope| parse_bind(&long, scope)).unwrap_err().message.contains("(max 97)"));
    }

    #[test]
    fn server_addresses() {
        let inet =
            |address: &str, port_offset| Endpoint::Inet { address: address.parse().unwrap(), port_offset };
        for (text, endpoint, hostname, port, port_offset) in [
            ("10.0.0.1:80", inet("10.0.0.1:80", None), None, 80, None),
            ("10.0.0.1", inet("10.0.0.1:0", Some(0)), None, 0, Some(0)),
            ("10.0.0.1:+1000", inet("10.0.0.1:0", Some(1000)), None, 0, Some(1000)),
            ("10.0.0.1:-80", inet("10.0.0.1:0", Some(-80)), None, 0, Some(-80)),
            ("[::1]:80", inet("[::1]:80", None), None, 80, None),
            ("web:80", Endpoint::Unresolved { port: 80, port_offset: None }, Some("web"), 80, None),
            ("/run/s", Endpoint::Unix((*b"/run/s").into()), None, 0, None),
            ("abnsz@s", Endpoint::Unix((*b"\0s").into()), None, 0, None),
        ] {
            let server = with_scope(|scope| parse_server(text, scope)).expect(text);
            assert_eq!(server.endpoint, endpoint, "{text}");
            assert_eq!(server.hostname.as_deref(), hostname, "{text}");
            assert_eq!((server.port, server.port_offset), (port, port_offset), "{text}");
        }
        for (text, part) in [
            ("fd@3", "file descriptor"),
            ("a b:80", "invalid address"),
            ("10.0.0.1:80-90", "port range"),
            ("ipv4/x:80", "invalid address"),
        ] {
            let error = with_scope(|scope| parse_server(text, scope)).expect_err(text);
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn server_names_resolve_or_not() {
        with_scope(|scope| {
            let mut web = parse_server("ipv6@web:80", scope).unwrap();
            web.resolve(scope).unwrap();
            let address = "[2001:db8::7]:80".parse().unwrap();
            assert_eq!(web.endpoint, Endpoint::Inet { address, port_offset: None });
            let mut none = parse_server("none:80", scope).unwrap();
            assert_eq!(none.resolve(scope).unwrap_err().message, "could not resolve address 'none'");
            let lenient = Settings { no_resolve: true, ..Settings::default() };
            none.resolve(&Scope { settings: &lenient, ..*scope }).unwrap();
            assert!(!none.endpoint.is_resolved());
        });
    }

    #[test]
    fn log_and_source_addresses() {
        for (text, expected) in [
            ("stdout", target::Address::Fd(1)),
            ("fd@2", target::Address::Fd(2)),
            ("/dev/log", target::Address::Unix("/dev/log".into())),
            ("ring@r", target::Address::Ring("r".into())),
            ("127.0.0.1", target::Address::Udp("127.0.0.1:514".parse().unwrap())),
            ("web:1514", target::Address::Udp("192.0.2.7:1514".parse().unwrap())),
            ("udp@[::1]:5", target::Address::Udp("[::1]:5".parse().unwrap())),
        ] {
            assert_eq!(with_scope(|scope| parse_log(text, scope)), Ok(expected), "{text}");
        }
        assert!(with_scope(|scope| parse_log("tcp@127.0.0.1:514", scope)).is_err());
        for (text, expected) in [("*", "0.0.0.0:0"), ("10.1.1.1:99", "10.1.1.1:99")] {
            let source = with_scope(|scope| parse_source(text, scope)).unwrap();
            assert!(!source.has_range(), "{text}");
            assert_eq!(source.next(), expected.parse().unwrap(), "{text}");
        }
        let range = with_scope(|scope| parse_source("10.1.1.1:65534-65535", scope)).unwrap();
        let ports: Vec<u16> = (0..4).map(|_| range.next().port()).collect();
        assert_eq!(ports, [65534, 65535, 65534, 65535], "each connection takes the next port");
        assert_eq!(with_scope(|scope| parse_host("::1", scope)), Ok("::1".parse().unwrap()));
    }
}
