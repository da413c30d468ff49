//! What a pattern's text means to the kinds that do not compare it as it stands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A number `n`, or a range `a:b`, `a:`, `:b`; a dash separates as well, so that `-5` is a range up to 5
/// (manual, section 7.1.2).
pub fn parse_int_range(text: &[u8]) -> Option<(i64, i64)> {
    range(text, |number| number.parse().ok())
}

/// A version `n.m` or a range of them, as numbers of which the upper half is the first part.
pub fn parse_version_range(text: &[u8]) -> Option<(i64, i64)> {
    range(text, |version| {
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        Some(i64::from(major.parse::<u16>().ok()?) << 16 | i64::from(minor.parse::<u16>().ok()?))
    })
}

fn range(text: &[u8], number: impl Fn(&str) -> Option<i64>) -> Option<(i64, i64)> {
    let text = std::str::from_utf8(text).ok()?;
    match text.split_once([':', '-']) {
        None => number(text).map(|n| (n, n)),
        Some(("", "")) => None,
        Some(("", high)) => Some((i64::MIN, number(high)?)),
        Some((low, "")) => Some((number(low)?, i64::MAX)),
        Some((low, high)) => Some((number(low)?, number(high)?)).filter(|(low, high)| low <= high),
    }
}

/// An address, or a network as `address/length` or `address/mask` (manual, section 7.1.6);
/// `10.12` is the address 10.0.0.12: the last part fills what is left.
pub fn parse_ip_prefix(text: &[u8]) -> Option<(IpAddr, u8)> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    };
    let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    if let Ok(v6) = address.parse::<Ipv6Addr>() {
        let len = match mask {
            None => 128,
            Some(mask) => mask.parse::<u8>().ok().filter(|len| *len <= 128)?,
        };
        let kept = if len == 0 { 0 } else { u128::from(v6) & (u128::MAX << (128 - len)) };
        return Some((Ipv6Addr::from(kept).into(), len));
    }
    let v4 = parse_short_v4(address)?;
    let len = match mask {
        None => 32,
        Some(mask) => match mask.parse::<u8>() {
            Ok(len) => Some(len).filter(|len| *len <= 32)?,
            Err(_) => {
                let bits = u32::from(mask.parse::<Ipv4Addr>().ok()?);
                // Only masks of leading ones name a network.
                Some(bits.leading_ones()).filter(|ones| bits.count_ones() == *ones)? as u8
            }
        },
    };
    let kept = if len == 0 { 0 } else { u32::from(v4) & (u32::MAX << (32 - len)) };
    Some((Ipv4Addr::from(kept).into(), len))
}

/// An IPv4 address and a mask that is no prefix: `10.0.0.1/255.0.0.255`.
pub fn parse_masked_v4(text: &[u8]) -> Option<(u32, u32)> {
    let (address, mask) = std::str::from_utf8(text).ok()?.split_once('/')?;
    Some((u32::from(parse_short_v4(address)?), u32::from(mask.parse::<Ipv4Addr>().ok()?)))
}

/// `127.1`, `10.2.3` leave out zeros: the last number fills what is left.
fn parse_short_v4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.');
    let last = parts.next_back()?;
    let mut octets = [0u8; 4];
    let mut count = 0;
    for part in parts {
        *octets.get_mut(count)? = number(part)?.try_into().ok()?;
        count += 1;
    }
    let last = number(last)?;
    if count > 3 || u64::from(last) >> (8 * (4 - count)) != 0 {
        return None;
    }
    return Some(Ipv4Addr::from(u32::from_be_bytes(octets) | last));

    fn number(part: &str) -> Option<u32> {
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    }
}

/// The bytes that hexadecimal digits name; `None` if there is anything else or an odd digit.
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, expected) in [
            ("127.0.0.1/8", Some(("127.0.0.0", 8))),
            ("10.1.2.3", Some(("10.1.2.3", 32))),
            ("10.12/8", Some(("10.0.0.0", 8))),
            ("192.168.1", Some(("192.168.0.1", 32))),
            ("127.1", Some(("127.0.0.1", 32))),
            ("10.256", Some(("10.0.1.0", 32))),
            ("256.1", None),
            ("", None),
            ("192.168.5.0/255.255.255.0", Some(("192.168.5.0", 24))),
            ("192.168.5.0/255.0.255.0", None),
            ("2001:db8::1/32", Some(("2001:db8::", 32))),
            ("::1", Some(("::1", 128))),
            ("0.0.0.0/0", Some(("0.0.0.0", 0))),
            ("1.2.3.4/33", None),
            ("1.2.3.4.5", None),
            ("host", None),
        ] {
            let expected = expected.map(|(a, len): (&str, u8)| (a.parse::<IpAddr>().unwrap(), len));
            assert_eq!(parse_ip_prefix(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn ranges_and_hexadecimal() {
        for (text, expected) in [
            ("5", Some((5, 5))),
            ("3-7", Some((3, 7))),
            ("-3", Some((i64::MIN, 3))),
            (":-1", Some((i64::MIN, -1))),
            ("-3:7", None),
            ("7:3", None),
            (":10", Some((i64::MIN, 10))),
            ("1024:", Some((1024, i64::MAX))),
            (":", None),
            ("a", None),
        ] {
            assert_eq!(parse_int_range(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(parse_version_range(b"3:3.1"), Some((3 << 16, 3 << 16 | 1)));
        assert_eq!(parse_version_range(b"3.x"), None);
        assert_eq!(parse_masked_v4(b"10.0.0.1/255.0.0.255"), Some((0x0a00_0001, 0xff00_00ff)));
        assert_eq!(unhex(b"00fF"), Some(vec![0, 255]));
        assert_eq!((unhex(b"0"), unhex(b"zz")), (None, None));
    }
}
