//! Converters that read Ethernet, IP and TCP headers (manual, section 7.3.1: `eth.*`, `ip.*`,
//! `tcp.*`), made for what `fc_saved_syn` yields.
//!
//! The input is a client's packet, so every place is read through a checked access: what is not
//! there makes the converter yield nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Converter;
use super::text::part;
use crate::sample::arg::{Arg, ArgType, Args};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

const fn int(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Bin, Type::Int, doc, apply)
}
const fn bin(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Bin, Type::Bin, doc, apply)
}
const fn addr(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Bin, Type::Ip, doc, apply)
}

/// Rows.
pub const TABLE: &[Converter] = &[
    bin("eth.data", "What follows the header of an Ethernet frame and its VLAN tags.", eth_data),
    bin("eth.dst", "The six bytes of an Ethernet frame's destination.", eth_dst),
    bin("eth.hdr", "The header of an Ethernet frame with its VLAN tags.", eth_hdr),
    int("eth.proto", "The EtherType of an Ethernet frame, after any VLAN tag.", eth_proto),
    bin("eth.src", "The six bytes of an Ethernet frame's source.", eth_src),
    int("eth.vlan", "The last VLAN of an Ethernet frame.", eth_vlan),
    bin("ip.data", "What follows an IP header, its options and extensions.", ip_data),
    int("ip.df", "Whether an IP packet may not be fragmented; always 1 with IPv6.", ip_df),
    addr("ip.dst", "The destination address of an IP packet.", ip_dst),
    bin("ip.fp", "A fingerprint of a SYN; <mode> adds TTL (1), TCP options (2), source (4).", ip_fp)
        .args(0, &[ArgType::Int]),
    bin("ip.hdr", "An IP header with its options and extensions.", ip_hdr),
    int("ip.proto", "The number of the protocol in an IP packet: 6 is TCP, 17 UDP.", ip_proto),
    addr("ip.src", "The source address of an IP packet.", ip_src),
    int("ip.tos", "The type of service, or traffic class, of an IP packet.", ip_tos),
    int("ip.ttl", "The time to live, or hop limit, of an IP packet.", ip_ttl),
    int("ip.ver", "The version of an IP packet: 4 or 6.", ip_ver),
    int("tcp.dst", "The destination port of a TCP header.", tcp_dst),
    int("tcp.flags", "The flags of a TCP header as a number.", tcp_flags),
    int("tcp.options.mss", "The maximum segment size that a TCP header offers, or 0.", tcp_mss),
    int("tcp.options.sack", "Whether a TCP header permits selective acknowledgements.", tcp_sack),
    int("tcp.options.tsopt", "Whether a TCP header has a timestamp.", tcp_tsopt),
    int("tcp.options.tsval", "The timestamp value of a TCP header, or 0.", tcp_tsval),
    int("tcp.options.wscale", "The window scale of a TCP header, or 0.", tcp_wscale),
    int("tcp.options.wsopt", "Whether a TCP header has a window scale.", tcp_wsopt),
    bin("tcp.options_list", "The kinds of a TCP header's options, a byte each.", tcp_options),
    int("tcp.seq", "The sequence number of a TCP header.", tcp_seq),
    int("tcp.src", "The source port of a TCP header.", tcp_src),
    int("tcp.win", "The window of a TCP header, unscaled.", tcp_win),
];

fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Rows whose function takes the bytes and yields a number.
macro_rules! numbers {
    ($($function:ident |$bytes:ident| $result:expr;)*) => {
        $(fn $function<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
            let $bytes = value.bytes()?;
            Some(Value::Int(i64::from($result)))
        })*
    };
}
/// Rows whose function takes the bytes and yields where a part of them starts and ends.
macro_rules! parts {
    ($($function:ident |$bytes:ident| $result:expr;)*) => {
        $(fn $function<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
            part(value, |$bytes| $result)
        })*
    };
}

// --- Ethernet ------------------------------------------------------------------------------

/// What the EtherType 0x8100 announces: a VLAN tag of four bytes.
const VLAN: u16 = 0x8100;

/// Where the EtherType stands, and the last VLAN before it. Something must follow the header.
fn ether_type(frame: &[u8]) -> Option<(usize, u16)> {
    let (mut at, mut vlan) = (12, 0);
    while at + 2 < frame.len() {
        if word(frame, at)? != VLAN {
            return Some((at, vlan));
        }
        vlan = word(frame, at + 2)? & 0xfff;
        at += 4;
    }
    None
}

parts!(
    eth_data |frame| ether_type(frame).map(|(at, _)| (at + 2, frame.len()));
    eth_hdr |frame| ether_type(frame).map(|(at, _)| (0, at + 2));
    eth_dst |frame| (frame.len() >= 6).then_some((0, 6));
    eth_src |frame| (frame.len() >= 12).then_some((6, 12));
);
numbers!(
    eth_proto |frame| word(frame, ether_type(frame)?.0)?;
    eth_vlan |frame| ether_type(frame).map(|(_, vlan)| vlan).filter(|vlan| *vlan != 0)?;
);

// --- IP ------------------------------------------------------------------------------------

const IPV6_HEADER: usize = 40;

fn version(packet: &[u8]) -> Option<u8> {
    byte(packet, 0).map(|byte| byte >> 4).filter(|version| matches!(version, 4 | 6))
}

/// The length of the header with options or extensions, and the protocol that follows.
fn ip_header(packet: &[u8]) -> Option<(usize, u8)> {
    if version(packet)? == 4 {
        let len = usize::from(byte(packet, 0)? & 0xf) * 4;
        return (len >= 20 && packet.len() >= len).then_some((len, byte(packet, 9)?));
    }
    if packet.len() < IPV6_HEADER {
        return None;
    }
    let (mut len, mut next) = (IPV6_HEADER, byte(packet, 6)?);
    while !matches!(next, 6 | 17) {
        next = byte(packet, len)?;
        len += usize::from(byte(packet, len + 1)?) * 8 + 8;
    }
    (packet.len() >= len).then_some((len, next))
}

fn ip_protocol(packet: &[u8]) -> Option<u8> {
    match version(packet)? {
        4 => byte(packet, 9),
        _ => ip_header(packet).map(|(_, next)| next),
    }
}

/// One of the two addresses: `v4` and `v6` tell where it stands.
fn address(packet: &[u8], v4: usize, v6: usize) -> Option<IpAddr> {
    if version(packet)? == 4 {
        return long(packet, v4).filter(|_| packet.len() >= 20).map(|bits| Ipv4Addr::from(bits).into());
    }
    let bytes: [u8; 16] = packet.get(v6..v6 + 16).filter(|_| packet.len() >= IPV6_HEADER)?.try_into().ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

fn ttl(packet: &[u8]) -> Option<u8> {
    match version(packet)? {
        4 => byte(packet, 8).filter(|_| packet.len() >= 20),
        _ => byte(packet, 7).filter(|_| packet.len() >= IPV6_HEADER),
    }
}

fn service(packet: &[u8]) -> Option<u8> {
    match version(packet)? {
        4 => byte(packet, 1),
        _ => word(packet, 0).map(|bits| (bits >> 4) as u8),
    }
}

fn unfragmented(packet: &[u8]) -> Option<u8> {
    match version(packet)? {
        4 => byte(packet, 6).map(|flags| flags >> 6 & 1),
        _ => Some(1),
    }
}

parts!(
    ip_data |packet| ip_header(packet).map(|(len, _)| (len, packet.len()));
    ip_hdr |packet| ip_header(packet).map(|(len, _)| (0, len));
);
numbers!(
    ip_df |packet| unfragmented(packet)?;
    ip_proto |packet| ip_protocol(packet)?;
    ip_tos |packet| service(packet)?;
    ip_ttl |packet| ttl(packet)?;
    ip_ver |packet| byte(packet, 0)? >> 4;
);
fn ip_dst<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    address(value.bytes()?, 16, 24).map(Value::Ip)
}
fn ip_src<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    address(value.bytes()?, 12, 8).map(Value::Ip)
}

// --- TCP -----------------------------------------------------------------------------------

/// The header of a segment that begins with a whole one.
fn tcp_header(segment: &[u8]) -> Option<&[u8]> {
    let len = usize::from(byte(segment, 12)? >> 4) * 4;
    if len < 20 { None } else { segment.get(..len) }
}

/// The options of a whole header: the kind of each and all its bytes. One that reaches beyond the
/// header is told with the bytes that are there, and ends the list, as does an end mark.
fn options(header: &[u8]) -> impl Iterator<Item = (u8, &[u8], bool)> {
    let mut at = 20;
    std::iter::from_fn(move || {
        let kind = byte(header, at).filter(|kind| *kind != 0)?;
        let len = match kind {
            1 => Some(1),
            _ => byte(header, at + 1).map(usize::from).filter(|len| *len > 1),
        };
        let from = at;
        let end = len.map_or(usize::MAX, |len| from + len);
        at = end;
        let is_whole = end <= header.len();
        Some((kind, &header[from..end.min(header.len())], is_whole))
    })
}

/// The option of this kind in a header, if it is whole.
fn option(header: &[u8], kind: u8) -> Option<&[u8]> {
    options(header).find(|(found, _, is_whole)| *found == kind && *is_whole).map(|(_, bytes, _)| bytes)
}

/// A field of the fixed part, all of which must be there.
fn fixed(segment: &[u8]) -> Option<&[u8]> {
    segment.get(..20)
}

numbers!(
    tcp_src |segment| word(fixed(segment)?, 0)?;
    tcp_dst |segment| word(fixed(segment)?, 2)?;
    tcp_seq |segment| long(fixed(segment)?, 4)?;
    tcp_flags |segment| byte(fixed(segment)?, 13)?;
    tcp_win |segment| word(fixed(segment)?, 14)?;
    tcp_mss |segment| option(tcp_header(segment)?, 2).and_then(|bytes| word(bytes, 2)).unwrap_or(0);
    tcp_wscale |segment| option(tcp_header(segment)?, 3).and_then(|bytes| byte(bytes, 2)).unwrap_or(0);
    tcp_wsopt |segment| u8::from(option(tcp_header(segment)?, 3).is_some());
    tcp_sack |segment| u8::from(option(tcp_header(segment)?, 4).is_some());
    tcp_tsopt |segment| u8::from(option(tcp_header(segment)?, 8).is_some());
    tcp_tsval |segment| option(tcp_header(segment)?, 8).and_then(|bytes| long(bytes, 2)).unwrap_or(0);
);
fn tcp_options<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let kinds: Vec<u8> = options(tcp_header(value.bytes()?)?).map(|(kind, ..)| kind).collect();
    Some(Value::Bin(kinds.into()))
}

/// The fingerprint that the manual draws under `ip.fp`.
fn fingerprint(packet: &[u8], mode: i64) -> Option<Vec<u8>> {
    let is_v6 = version(packet)? == 6;
    let (ip_len, _) = ip_header(packet)?;
    let announced = match is_v6 {
        true => IPV6_HEADER + usize::from(word(packet, 4)?),
        false => usize::from(word(packet, 2)?),
    };
    let has_extensions = match is_v6 {
        true => !matches!(byte(packet, 6)?, 6 | 17),
        false => byte(packet, 0)? & 0xf != 5,
    };
    let header = tcp_header(&packet[ip_len..])?;
    let has_data = announced.checked_sub(ip_len + header.len())? > 0;
    let ttl = ttl(packet)?;
    let ttl_class = match ttl {
        0..=32 => 0,
        33..=64 => 1,
        65..=128 => 2,
        _ => 3,
    };
    let (mut segment_size, mut scale, mut seen, mut kinds) = (0, 0, 0u8, Vec::new());
    for (kind, bytes, is_whole) in options(header) {
        if !is_whole {
            break;
        }
        kinds.push(kind);
        match kind {
            2 => segment_size = word(bytes, 2).unwrap_or(segment_size),
            // 1 to 15, so that 0 means that there is none.
            3 => scale = byte(bytes, 2).map_or(scale, |shift| shift.min(14) + 1),
            _ => (),
        }
        if kind >= 2 {
            seen |= 1 << if kind < 9 { kind - 2 } else { 7 };
        }
    }
    let mut out = vec![
        service(packet)?,
        u8::from(is_v6) << 7
            | unfragmented(packet)? << 6
            | ttl_class << 4
            | u8::from(has_extensions) << 3
            | u8::from(has_data) << 2
            | byte(header, 13)? >> 6,
        (header.len() << 2) as u8 | scale,
    ];
    out.extend(word(header, 14)?.to_be_bytes());
    out.extend(segment_size.to_be_bytes());
    out.push(seen);
    if mode & 1 != 0 {
        out.push(ttl);
    }
    if mode & 2 != 0 {
        out.append(&mut kinds);
    }
    if mode & 4 != 0 {
        match address(packet, 12, 8)? {
            IpAddr::V4(v4) => out.extend(v4.octets()),
            IpAddr::V6(v6) => out.extend(v6.octets()),
        }
    }
    Some(out)
}

fn ip_fp<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    fingerprint(value.bytes()?, args.int(0)).map(|bytes| Value::Bin(bytes.into()))
}

#[cfg(test)]
mod tests {
    use crate::sample::testing::{World, check};

    /// A SYN from 10.0.0.1:4660 to 10.0.0.2:80: TTL 64, no fragments, ECE and CWR, window 0xfaf0,
    /// MSS 1460, selective acknowledgements, a timestamp, a scale of 7.
    const V4: &str = "4500003c12344000 4006abcd0a0000010a000002";
    const SYN: &str = "12340050010203040000000 0a0c2faf000000000";
    const OPTIONS: &str = "020405b4 0402 080a0000002a00000000 01 030307";
    const V6: &str = "6123456700280640 20010db8000000000000000000000001 20010db8000000000000000000000002";

    fn case(layers: &[&str], converters: &str) -> String {
        format!("bin({}),{converters}", layers.concat().replace(' ', ""))
    }

    #[test]
    fn frames() {
        let frame = "0102030405060708090a0b0c";
        let tagged = "8100a064 81002014";
        for (layers, converters, expected) in [
            (&[frame, "0800", "45"][..], "eth.proto", "2048"),
            (&[frame, "0800", "45"], "eth.dst,hex", "010203040506"),
            (&[frame, "0800", "45"], "eth.src,hex", "0708090A0B0C"),
            (&[frame, "0800", "45"], "eth.hdr,hex", "0102030405060708090A0B0C0800"),
            (&[frame, "0800", "45"], "eth.data,hex", "45"),
            (&[frame, "0800", "45"], "eth.vlan", "-"),
            (&[frame, tagged, "86dd", "60"], "eth.vlan", "20"),
            (&[frame, tagged, "86dd", "60"], "eth.proto", "34525"),
            (&[frame, tagged, "86dd", "60"], "eth.data,hex", "60"),
            (&[frame, "0800"], "eth.proto", "-"),
            (&[frame, "8100a0"], "eth.vlan", "-"),
            (&["01020304"], "eth.dst", "-"),
        ] {
            check(&World::default(), &[(&case(layers, converters), expected)]);
        }
    }

    #[test]
    fn packets() {
        for (layers, converters, expected) in [
            (&[V4, SYN][..], "ip.ver", "4"),
            (&[V4, SYN], "ip.src", "10.0.0.1"),
            (&[V4, SYN], "ip.dst", "10.0.0.2"),
            (&[V4, SYN], "ip.proto", "6"),
            (&[V4, SYN], "ip.ttl", "64"),
            (&[V4, SYN], "ip.tos", "0"),
            (&[V4, SYN], "ip.df", "1"),
            (&[V4, SYN], "ip.hdr,hex,length", "40"),
            (&[V4, SYN], "ip.data,tcp.src", "4660"),
            (&[V6, SYN], "ip.ver", "6"),
            (&[V6, SYN], "ip.src", "2001:db8::1"),
            (&[V6, SYN], "ip.dst", "2001:db8::2"),
            (&[V6, SYN], "ip.tos", "18"),
            (&[V6, SYN], "ip.ttl", "64"),
            (&[V6, SYN], "ip.data,tcp.dst", "80"),
            (&["45000000"], "ip.src", "-"),
            (&["50"], "ip.src", "-"),
            (&["50"], "ip.ver", "5"),
            (&["41", &"00".repeat(30)], "ip.hdr", "-"),
            // Extensions that never end.
            (&[&V6.replace("0640", "0040"), "0000"], "ip.data", "-"),
        ] {
            check(&World::default(), &[(&case(layers, converters), expected)]);
        }
    }

    #[test]
    fn segments() {
        for (layers, converters, expected) in [
            (&[SYN, OPTIONS][..], "tcp.src", "4660"),
            (&[SYN, OPTIONS], "tcp.dst", "80"),
            (&[SYN, OPTIONS], "tcp.seq", "16909060"),
            (&[SYN, OPTIONS], "tcp.flags", "194"),
            (&[SYN, OPTIONS], "tcp.win", "64240"),
            (&[SYN, OPTIONS], "tcp.options.mss", "1460"),
            (&[SYN, OPTIONS], "tcp.options.sack", "1"),
            (&[SYN, OPTIONS], "tcp.options.tsopt", "1"),
            (&[SYN, OPTIONS], "tcp.options.tsval", "42"),
            (&[SYN, OPTIONS], "tcp.options.wscale", "7"),
            (&[SYN, OPTIONS], "tcp.options.wsopt", "1"),
            (&[SYN, OPTIONS], "tcp.options_list,hex", "0204080103"),
            (&[SYN], "tcp.options.mss", "-"),
            (&[SYN], "tcp.win", "64240"),
            (&[SYN, "00", &"00".repeat(19)], "tcp.options.mss", "0"),
            (&[SYN, "0200", &"00".repeat(18)], "tcp.options_list,hex", "02"),
            (&[SYN, "02ff", &"00".repeat(18)], "tcp.options.mss", "0"),
            (&[V4, SYN, OPTIONS], "ip.fp,hex", "0053A8FAF005B447"),
            (&[V4, SYN, OPTIONS], "ip.fp(7),hex", "0053A8FAF005B4474002040801030A000001"),
            (&[V6, SYN, OPTIONS], "ip.fp(1),hex", "12D3A8FAF005B44740"),
            (&[V4, SYN], "ip.fp", "-"),
        ] {
            check(&World::default(), &[(&case(layers, converters), expected)]);
        }
    }
}
