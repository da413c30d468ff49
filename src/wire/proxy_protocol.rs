//! The PROXY protocol, versions 1 and 2: the header in which a proxy names its client to the next
//! one (doc/proxy-protocol.txt of HAProxy; sections below are that document's).
//!
//! [`parse`] takes what has come so far and says whether the header is complete, needs more bytes,
//! or is none: it decides as early as the bytes allow, keeps nothing between calls and copies
//! nothing. [`write_v1`] and [`V2Writer`] make headers. What it is not: a judgement on whose header
//! is believed, nor the place where its facts are kept.
//!
//! The parser is strict, since what it takes becomes the address that rules trust: one space
//! between words, numbers without leading zeros, lengths that add up, a checksum that holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::base::hash::crc32c;

/// The longest header of version 1, its line end included (section 2.1).
const V1_LEN_MAX: usize = 107;
/// What every header of version 1 begins with.
const V1_BEGIN: &[u8] = b"PROXY ";
/// What every header of version 2 begins with: bytes that no text protocol sends (section 2.2).
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED_LEN: usize = 16;
/// The version in the upper half of the byte behind the signature.
const V2_VERSION: u8 = 0x20;
/// The sender speaks for itself.
const COMMAND_LOCAL: u8 = 0;
/// The sender speaks for a client.
const COMMAND_PROXY: u8 = 1;
/// Stream over IPv4, over IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// The longest value of a field; HAProxy's limit, since every connection may carry such fields.
const VALUE_LEN_MAX: usize = 1024;
/// The longest host name and the longest unique id, HAProxy's limits too.
const AUTHORITY_LEN_MAX: usize = 255;
const UNIQUE_ID_LEN_MAX: usize = 128;
/// The bit field and the verification's result before the fields within a TLS field (2.2.6).
const SSL_FIXED_LEN: usize = 5;

/// Types of fields (section 2.2.1).
pub mod kind {
    /// The protocol that TLS negotiated.
    pub const ALPN: u8 = 0x01;
    /// The host name that the client asked for.
    pub const AUTHORITY: u8 = 0x02;
    /// The checksum of the header.
    pub const CRC32C: u8 = 0x03;
    /// Padding.
    pub const NOOP: u8 = 0x04;
    /// An id of the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// What is known of the client's TLS; fields of its own are in it.
    pub const SSL: u8 = 0x20;
    /// Within [`SSL`]: the version.
    pub const SSL_VERSION: u8 = 0x21;
    /// Within [`SSL`]: the common name of the client's certificate.
    pub const SSL_CN: u8 = 0x22;
    /// Within [`SSL`]: the cipher.
    pub const SSL_CIPHER: u8 = 0x23;
    /// Within [`SSL`]: the algorithm that signed the certificate.
    pub const SSL_SIG_ALG: u8 = 0x24;
    /// Within [`SSL`]: the algorithm of the certificate's key.
    pub const SSL_KEY_ALG: u8 = 0x25;
    /// The network name space.
    pub const NETNS: u8 = 0x30;

    /// Types by the names that configurations use.
    pub const NAMES: &[(&str, u8)] = &[
        ("ALPN", ALPN),
        ("AUTHORITY", AUTHORITY),
        ("CRC32C", CRC32C),
        ("NETNS", NETNS),
        ("NOOP", NOOP),
        ("SSL", SSL),
        ("SSL_CIPHER", SSL_CIPHER),
        ("SSL_CN", SSL_CN),
        ("SSL_KEY_ALG", SSL_KEY_ALG),
        ("SSL_SIG_ALG", SSL_SIG_ALG),
        ("SSL_VERSION", SSL_VERSION),
        ("UNIQUE_ID", UNIQUE_ID),
    ];
}

/// What is wrong with bytes that should be a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// They are something else.
    NotHeader,
    /// They begin like a header and are not one.
    Malformed,
    /// A protocol that has no meaning for a stream.
    UnknownProtocol,
}

/// How far the header has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// All of it is there.
    Complete {
        /// The header.
        header: Header<'a>,
        /// How many bytes it takes; what follows belongs to the client.
        len: usize,
    },
    /// More bytes are needed.
    Partial,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The client's address and the one it connected to. `None`: the connection's own hold, since
    /// the sender speaks for itself (LOCAL) or for a client that is not on an IP network.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Its fields; none in version 1.
    pub fields: Fields<'a>,
}

/// Reads the header at the start of `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Progress<'_>, Mistake> {
    if begins_like(bytes, V1_BEGIN) {
        return if bytes.len() < V1_BEGIN.len() { Ok(Progress::Partial) } else { parse_v1(bytes) };
    }
    if begins_like(bytes, V2_SIGNATURE) {
        return parse_v2(bytes);
    }
    Err(Mistake::NotHeader)
}

/// Whether `bytes` begin with `start`, or may once there are more of them.
fn begins_like(bytes: &[u8], start: &[u8]) -> bool {
    let shared = bytes.len().min(start.len());
    bytes[..shared] == start[..shared]
}

/// `PROXY TCP4 <source> <destination> <port> <port>` (section 2.1).
fn parse_v1(bytes: &[u8]) -> Result<Progress<'_>, Mistake> {
    let words = &bytes[V1_BEGIN.len()..];
    let protocols: [&[u8]; 4] = [b"TCP4 ", b"TCP6 ", b"UNKNOWN ", b"UNKNOWN\r"];
    let Some(protocol) = protocols.into_iter().find(|protocol| begins_like(words, protocol)) else {
        return Err(Mistake::UnknownProtocol);
    };
    let window = &bytes[..bytes.len().min(V1_LEN_MAX)];
    let Some(end) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if bytes.len() < V1_LEN_MAX { Ok(Progress::Partial) } else { Err(Mistake::Malformed) };
    };
    match (window[end], window.get(end + 1)) {
        (b'\r', Some(b'\n')) => {}
        (b'\r', None) if bytes.len() < V1_LEN_MAX => return Ok(Progress::Partial),
        _ => return Err(Mistake::Malformed),
    }
    let line = &window[V1_BEGIN.len()..end];
    let addresses = match protocol {
        b"TCP4 " => Some(v1_addresses::<Ipv4Addr>(line).ok_or(Mistake::Malformed)?),
        b"TCP6 " => Some(v1_addresses::<Ipv6Addr>(line).ok_or(Mistake::Malformed)?),
        // Whatever stands behind it is not to be looked at.
        _ => None,
    };
    Ok(Progress::Complete { header: Header { addresses, fields: Fields { bytes: &[] } }, len: end + 2 })
}

fn v1_addresses<T>(line: &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    T: std::str::FromStr + Into<IpAddr>,
{
    let mut words = std::str::from_utf8(line).ok()?.split(' ').skip(1);
    let source: T = words.next()?.parse().ok()?;
    let destination: T = words.next()?.parse().ok()?;
    let (source_port, destination_port) = (v1_port(words.next()?)?, v1_port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    Some((SocketAddr::new(source.into(), source_port), SocketAddr::new(destination.into(), destination_port)))
}

fn v1_port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if plain { word.parse().ok() } else { None }
}

/// The binary header (section 2.2).
fn parse_v2(bytes: &[u8]) -> Result<Progress<'_>, Mistake> {
    let Some(version_command) = bytes.get(V2_SIGNATURE.len()) else { return Ok(Progress::Partial) };
    if version_command & 0xf0 != V2_VERSION {
        return Err(Mistake::NotHeader);
    }
    let command = version_command & 0x0f;
    if !matches!(command, COMMAND_LOCAL | COMMAND_PROXY) {
        return Err(Mistake::Malformed);
    }
    let Some(&[family, high, low]) = bytes.get(V2_SIGNATURE.len() + 1..V2_FIXED_LEN) else {
        return Ok(Progress::Partial);
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let is_local = command == COMMAND_LOCAL;
    let known = family >> 4 <= 3 && family & 0x0f <= 2;
    if !known && !is_local {
        return Err(Mistake::UnknownProtocol);
    }
    let addresses_len = match family >> 4 {
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    };
    if len < addresses_len && !is_local {
        return Err(Mistake::Malformed);
    }
    let total = V2_FIXED_LEN + len;
    let Some(whole) = bytes.get(..total) else { return Ok(Progress::Partial) };
    let (block, fields) = whole[V2_FIXED_LEN..].split_at(addresses_len.min(len));
    // Of a LOCAL header the family and the addresses are to be ignored, and so they are of what
    // is no stream over IP: the connection's own addresses hold.
    let addresses = match (is_local, family) {
        (false, TCP4) => v2_addresses::<4>(block),
        (false, TCP6) => v2_addresses::<16>(block),
        _ => None,
    };
    check_fields(whole, total - fields.len())?;
    Ok(Progress::Complete { header: Header { addresses, fields: Fields { bytes: fields } }, len: total })
}

/// Two addresses of `N` bytes, then two ports.
fn v2_addresses<const N: usize>(block: &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let &[a, b, c, d] = rest.first_chunk::<4>()?;
    Some((
        SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes([a, b])),
        SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes([c, d])),
    ))
}

/// Whether the fields from `start` on end where the header does, and hold what their types demand.
fn check_fields(whole: &[u8], start: usize) -> Result<(), Mistake> {
    let mut at = start;
    let mut checksum = None;
    while at < whole.len() {
        let (kind, value) = field(&whole[at..]).ok_or(Mistake::Malformed)?;
        let value_at = at + 3;
        at = value_at + value.len();
        let len_max = match kind {
            kind::AUTHORITY => AUTHORITY_LEN_MAX,
            kind::UNIQUE_ID => UNIQUE_ID_LEN_MAX,
            _ => VALUE_LEN_MAX,
        };
        if value.len() > len_max {
            return Err(Mistake::Malformed);
        }
        if kind == kind::CRC32C {
            let sum = <[u8; 4]>::try_from(value).map_err(|_| Mistake::Malformed)?;
            if checksum.replace((value_at, u32::from_be_bytes(sum))).is_some() {
                return Err(Mistake::Malformed);
            }
        }
    }
    let Some((at, announced)) = checksum else { return Ok(()) };
    // The sum is made with the field itself as zeros (section 2.2.3).
    let mut copy = whole.to_vec();
    copy[at..at + 4].fill(0);
    if crc32c(&copy) == announced { Ok(()) } else { Err(Mistake::Malformed) }
}

/// The field at the start of `bytes`, if it is whole.
fn field(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    Some((kind, rest.get(..usize::from(u16::from_be_bytes([high, low])))?))
}

/// The fields of a header in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Fields in the form in which [`Fields::as_bytes`] gave them.
    pub fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes }
    }
    /// As they stood in the header, to be kept.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }
    /// The values of a type in order. The types that only occur within the field about TLS are
    /// looked for there.
    pub fn of_kind(self, wanted: u8) -> impl Iterator<Item = &'a [u8]> {
        self.flat_map(move |(kind, value)| {
            let inner = if kind == kind::SSL { value.get(SSL_FIXED_LEN..).unwrap_or_default() } else { &[] };
            let own = (kind == wanted).then_some(value);
            let inner =
                Fields { bytes: inner }.filter(move |(kind, _)| *kind == wanted && wanted != kind::SSL);
            own.into_iter().chain(inner.map(|(_, value)| value))
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u8, &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let found = field(self.bytes)?;
        self.bytes = &self.bytes[3 + found.1.len()..];
        Some(found)
    }
}

/// Brings both addresses into the family that can tell both; `None` when one is not known.
fn common(source: Option<SocketAddr>, destination: Option<SocketAddr>) -> Option<(SocketAddr, SocketAddr)> {
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    let (source, destination) = (source?, destination?);
    Some(match source.is_ipv4() == destination.is_ipv4() {
        true => (source, destination),
        false => (mapped(source), mapped(destination)),
    })
}

/// Appends a header of version 1. What cannot be told in IP addresses is `UNKNOWN`.
pub fn write_v1(source: Option<SocketAddr>, destination: Option<SocketAddr>, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let Some((source, destination)) = common(source, destination) else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    // Writing to a vector does not fail.
    let _ = write!(out, "PROXY {protocol} {from} {to} {} {}\r\n", source.port(), destination.port());
}

/// Makes a header of version 2 at the end of a vector.
pub struct V2Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    checksum_at: Option<usize>,
}

impl<'a> V2Writer<'a> {
    /// Begins a header: for a client, or LOCAL where an address is not known.
    pub fn begin(
        source: Option<SocketAddr>,
        destination: Option<SocketAddr>,
        out: &'a mut Vec<u8>,
    ) -> V2Writer<'a> {
        let start = out.len();
        let addresses = common(source, destination);
        let (command, family) = match &addresses {
            None => (COMMAND_LOCAL, 0),
            Some((source, _)) => (COMMAND_PROXY, if source.is_ipv4() { TCP4 } else { TCP6 }),
        };
        out.extend_from_slice(V2_SIGNATURE);
        out.extend_from_slice(&[V2_VERSION | command, family, 0, 0]);
        if let Some((source, destination)) = addresses {
            for ip in [source.ip(), destination.ip()] {
                match ip {
                    IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
                    IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
                }
            }
            out.extend_from_slice(&source.port().to_be_bytes());
            out.extend_from_slice(&destination.port().to_be_bytes());
        }
        V2Writer { out, start, checksum_at: None }
    }
    /// Appends a field; one that the header's length could not count is left out.
    pub fn field(&mut self, kind: u8, value: &[u8]) {
        let len = self.out.len() - self.start - V2_FIXED_LEN;
        if len + 3 + value.len() > usize::from(u16::MAX) {
            return;
        }
        self.out.push(kind);
        self.out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.out.extend_from_slice(value);
    }
    /// Appends the checksum, which [`V2Writer::finish`] computes.
    pub fn checksum(&mut self) {
        let before = self.out.len();
        self.field(kind::CRC32C, &[0; 4]);
        if self.out.len() > before {
            self.checksum_at = Some(before + 3);
        }
    }
    /// Ends the header.
    pub fn finish(self) {
        let header = &mut self.out[self.start..];
        let len = (header.len() - V2_FIXED_LEN) as u16;
        header[V2_FIXED_LEN - 2..V2_FIXED_LEN].copy_from_slice(&len.to_be_bytes());
        if let Some(at) = self.checksum_at {
            let sum = crc32c(header).to_be_bytes();
            self.out[at..at + 4].copy_from_slice(&sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [V2_SIGNATURE, &[version_command, family], &len, rest].concat()
    }
    const INET: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 0, 80];

    /// Every header is also given byte by byte: it must stay partial to its last byte, and bytes
    /// behind it must not matter.
    fn check(bytes: &[u8], expected: Result<Option<(&str, &str)>, Mistake>) {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let parsed = parse(bytes);
        let expected = match expected {
            Err(mistake) => {
                assert_eq!(parsed, Err(mistake), "{shown:?}");
                // A mistake may be seen earlier, but nothing shorter is complete.
                for end in 0..bytes.len() {
                    assert!(
                        !matches!(parse(&bytes[..end]), Ok(Progress::Complete { .. })),
                        "{shown:?} {end}"
                    );
                }
                return;
            }
            Ok(addresses) => addresses.map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())),
        };
        match parsed {
            Ok(Progress::Complete { header, len }) => {
                assert_eq!((header.addresses, len), (expected, bytes.len()), "{shown:?}");
            }
            other => panic!("{shown:?}: {other:?}"),
        }
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(Progress::Partial), "{shown:?} cut at {end}");
        }
        let more = [bytes, b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert!(
            matches!(parse(&more), Ok(Progress::Complete { len, .. }) if len == bytes.len()),
            "{shown:?}"
        );
    }

    #[test]
    fn version_1() {
        use Mistake::*;
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert_eq!(long.len(), V1_LEN_MAX);
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY TCP6 {all} {all} 65535 65535\r\n");
        let (client, server) = (format!("[{all}]:65535"), format!("[{all}]:65535"));
        for (line, expected) in [
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 50000 80\r\n",
                Ok(Some(("192.0.2.1:50000", "198.51.100.2:80"))),
            ),
            (
                "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
                Ok(Some(("0.0.0.0:0", "255.255.255.255:65535"))),
            ),
            ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Ok(Some(("[2001:db8::1]:1", "[::1]:2")))),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Ok(Some(("[::ffff:192.0.2.1]:1", "[::1]:2")))),
            (&longest, Ok(Some((&client, &server)))),
            ("PROXY UNKNOWN\r\n", Ok(None)),
            ("PROXY UNKNOWN ::1 ::1 1 2\r\n", Ok(None)),
            (&long, Ok(None)),
            ("GET / HTTP/1.1\r\n", Err(NotHeader)),
            ("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Err(NotHeader)),
            ("PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n", Err(NotHeader)),
            ("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", Err(UnknownProtocol)),
            ("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Err(UnknownProtocol)),
            ("PROXY UNKNOWNX\r\n", Err(UnknownProtocol)),
            ("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Err(UnknownProtocol)),
            ("PROXY TCP4\r\n", Err(UnknownProtocol)),
            ("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", Err(Malformed)),
            ("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP6 [::1] ::1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", Err(Malformed)),
            (&format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)), Err(Malformed)),
        ] {
            check(line.as_bytes(), expected);
        }
    }

    #[test]
    fn version_2() {
        use Mistake::*;
        let address = Ok(Some(("192.0.2.1:50000", "198.51.100.2:80")));
        let mut inet6 = vec![0; 36];
        (inet6[15], inet6[31], inet6[33], inet6[35]) = (1, 2, 3, 4);
        let with = |fields: &[u8]| v2(0x21, TCP4, &[INET, fields].concat());
        for (bytes, expected) in [
            (v2(0x21, TCP4, INET), address),
            (v2(0x21, TCP6, &inet6), Ok(Some(("[::1]:3", "[::2]:4")))),
            (v2(0x20, 0, &[]), Ok(None)),
            (v2(0x20, 0, &[4, 0, 1, 9]), Ok(None)),
            (v2(0x20, TCP4, INET), Ok(None)),
            (v2(0x20, 0xff, &[]), Ok(None)),
            (v2(0x20, TCP4, &[1, 2, 3]), Ok(None)),
            (v2(0x21, 0, &[]), Ok(None)),
            (v2(0x21, 0, &[4, 0, 0]), Ok(None)),
            (v2(0x21, 0x12, INET), Ok(None)),
            (v2(0x21, 0x31, &[7; 216]), Ok(None)),
            (with(b"\x02\0\x05a.net\xea\0\0"), address),
            (with(&[&[0xea, 4, 0][..], &[7; 1024]].concat()), address),
            (v2(0x11, TCP4, INET), Err(NotHeader)),
            (v2(0x22, TCP4, INET), Err(Malformed)),
            (v2(0x21, 0x41, INET), Err(UnknownProtocol)),
            (v2(0x21, 0x13, INET), Err(UnknownProtocol)),
            (v2(0x21, TCP4, &INET[..11]), Err(Malformed)),
            (v2(0x21, TCP6, &inet6[..35]), Err(Malformed)),
            (v2(0x21, 0x31, &[7; 215]), Err(Malformed)),
            (with(&[2]), Err(Malformed)),
            (with(&[2, 0]), Err(Malformed)),
            (with(&[2, 0, 5, 1, 2, 3, 4]), Err(Malformed)),
            (with(&[2, 0, 4, 1, 2, 3, 4, 9]), Err(Malformed)),
            (with(&[2, 0xff, 0xff, 1]), Err(Malformed)),
            (with(&[&[2, 1, 0][..], &[b'a'; 256]].concat()), Err(Malformed)),
            (with(&[&[5, 0, 129][..], &[b'a'; 129]].concat()), Err(Malformed)),
            (with(&[&[0xea, 4, 1][..], &[7; 1025]].concat()), Err(Malformed)),
            (with(&[3, 0, 4, 0, 0, 0, 0]), Err(Malformed)),
            (with(&[3, 0, 3, 0, 0, 0]), Err(Malformed)),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Err(NotHeader)),
        ] {
            check(&bytes, expected);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let address = |text: &str| (!text.is_empty()).then(|| text.parse::<SocketAddr>().unwrap());
        for (source, destination, line, read) in [
            ("192.0.2.1:5", "198.51.100.2:80", "TCP4 192.0.2.1 198.51.100.2 5 80", true),
            ("[2001:db8::1]:5", "[::1]:80", "TCP6 2001:db8::1 ::1 5 80", true),
            ("192.0.2.1:5", "[::1]:80", "TCP6 ::ffff:192.0.2.1 ::1 5 80", true),
            ("[::1]:5", "192.0.2.1:80", "TCP6 ::1 ::ffff:192.0.2.1 5 80", true),
            ("", "192.0.2.1:80", "UNKNOWN", false),
            ("192.0.2.1:80", "", "UNKNOWN", false),
            ("", "", "UNKNOWN", false),
        ] {
            let (source, destination) = (address(source), address(destination));
            let mut v1 = Vec::new();
            write_v1(source, destination, &mut v1);
            assert_eq!(String::from_utf8_lossy(&v1), format!("PROXY {line}\r\n"));
            for checksum in [false, true] {
                let mut v2 = b"before".to_vec();
                let mut writer = V2Writer::begin(source, destination, &mut v2);
                writer.field(kind::AUTHORITY, b"a.example");
                if checksum {
                    writer.checksum();
                }
                writer.field(0xea, b"");
                writer.finish();
                let bytes = &v2[6..];
                assert_eq!(bytes[12], if read { 0x21 } else { 0x20 });
                match (parse(&v1).unwrap(), parse(bytes).unwrap()) {
                    (Progress::Complete { header: one, .. }, Progress::Complete { header: two, len }) => {
                        assert_eq!((one.addresses, len), (two.addresses, bytes.len()));
                        assert_eq!(one.addresses.is_some(), read);
                        assert_eq!(two.fields.count(), 2 + usize::from(checksum));
                        assert_eq!(two.fields.of_kind(kind::AUTHORITY).collect::<Vec<_>>(), [b"a.example"]);
                    }
                    other => panic!("{other:?}"),
                }
                if checksum {
                    // Every bit counts.
                    for at in [13, 17, bytes.len() - 1] {
                        let mut broken = bytes.to_vec();
                        broken[at] ^= 1;
                        assert!(!matches!(parse(&broken), Ok(Progress::Complete { .. })), "byte {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_field_that_does_not_fit_is_left_out() {
        let mut out = Vec::new();
        let mut writer = V2Writer::begin(None, None, &mut out);
        writer.field(0xe0, &vec![1; 65000]);
        writer.field(0xe1, &vec![2; 600]);
        writer.field(0xe2, &[3]);
        writer.finish();
        let kinds: Vec<u8> = Fields::new(&out[16..]).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [0xe0, 0xe2]);
    }

    #[test]
    fn fields_within_the_one_about_tls_are_found() {
        let ssl = [&[0x20, 0, 5 + 10 + 4, 1, 0, 0, 0, 0][..], b"\x21\0\x07TLSv1.3", b"\x22\0\x01n"].concat();
        let fields = [&[0xea, 0, 1, b'x'][..], &ssl, &[0xea, 0, 1, b'y'], &[0x20, 0, 2, 1, 0]].concat();
        let fields = Fields::new(&fields);
        let of = |kind| fields.of_kind(kind).map(|value| value.to_vec()).collect::<Vec<_>>();
        assert_eq!(of(0xea), [b"x", b"y"]);
        assert_eq!(of(kind::SSL_VERSION), [b"TLSv1.3"]);
        assert_eq!(of(kind::SSL_CN), [b"n"]);
        assert_eq!(of(kind::SSL).len(), 2);
        assert_eq!(of(kind::ALPN).len(), 0);
    }
}
