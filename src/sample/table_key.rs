//! Values -> keys of stick tables, and back (manual, sections 7.2 and 11.1).
//!
//! Every user of tables (`stick` and `track-sc` rules, fetches, converters, the runtime API) comes
//! here, so that a key that one of them wrote is found by the others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::value::{Type, Value, write_ip};
use crate::state::Table;
use crate::state::table::{Key, KeyType};

/// Whether values of this type can be keys of such tables, at least some of them.
pub fn fits(output: Type, key: KeyType) -> bool {
    output.casts_to(match key {
        KeyType::Ip | KeyType::Ipv6 => Type::Ip,
        KeyType::Integer => Type::Int,
        KeyType::String(_) => Type::Str,
        KeyType::Binary(_) => Type::Bin,
    })
}

/// The key that a value is in a table; `None` if it can be none (a text that names no address, an
/// IPv6 address in a table of IPv4 addresses).
pub fn key_of(table: &Table, value: &Value<'_>) -> Option<Key> {
    match table.settings.key {
        KeyType::Ip => Some(Key::from_slice(&v4_of(value.as_ip()?)?.octets())),
        KeyType::Ipv6 => Some(Key::from_slice(&v6_of(value.as_ip()?).octets())),
        // 32 bits of whatever number it is.
        KeyType::Integer => Some(Key::from_slice(&(value.as_int()? as u32).to_be_bytes())),
        KeyType::String(len) => {
            let mut key = match value.bytes() {
                Some(bytes) => {
                    let until_nul = |bytes: &[u8]| memchr::memchr(0, bytes).unwrap_or(bytes.len());
                    let end = if matches!(value, Value::Bin(_)) { until_nul(bytes) } else { bytes.len() };
                    Key::from_slice(&bytes[..end.min(len)])
                }
                None => {
                    let mut text = Vec::with_capacity(48);
                    value.write(&mut text);
                    Key::from_slice(&text)
                }
            };
            key.truncate(len);
            Some(key)
        }
        KeyType::Binary(len) => {
            let mut key = match (value.bytes(), value) {
                (Some(bytes), _) => Key::from_slice(&bytes[..bytes.len().min(len)]),
                (None, Value::Ip(IpAddr::V4(v4))) => Key::from_slice(&v4.octets()),
                (None, Value::Ip(IpAddr::V6(v6))) => Key::from_slice(&v6.octets()),
                (None, other) => Key::from_slice(&other.as_int()?.to_be_bytes()),
            };
            key.resize(len, 0);
            Some(key)
        }
    }
}

/// The value that a stored key stands for.
pub fn value_of(key: KeyType, bytes: &[u8]) -> Value<'_> {
    match key {
        KeyType::Ip => {
            Value::Ip(<[u8; 4]>::try_from(bytes).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from).into())
        }
        KeyType::Ipv6 => {
            Value::Ip(<[u8; 16]>::try_from(bytes).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from).into())
        }
        KeyType::Integer => Value::Int(bytes.try_into().map_or(0, u32::from_be_bytes).into()),
        KeyType::String(_) => Value::text(bytes),
        KeyType::Binary(_) => Value::Bin(bytes.into()),
    }
}

/// Appends a stored key as `show table` writes it: blocks in hexadecimal, texts with their odd
/// bytes escaped.
pub fn write_key(key: KeyType, bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    match (key, value_of(key, bytes)) {
        (_, Value::Ip(address)) => write_ip(address, out),
        (KeyType::Binary(_), _) => {
            for byte in bytes {
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        (KeyType::String(_), _) => {
            for &byte in bytes {
                let short = match byte {
                    b'\t' => b't',
                    b'\n' => b'n',
                    b'\r' => b'r',
                    0x1b => b'e',
                    b'\\' | b' ' | b'=' => byte,
                    b'!'..=b'~' => {
                        out.push(byte);
                        continue;
                    }
                    _ => {
                        let digit = |nibble: u8| HEX[usize::from(nibble)];
                        out.extend([b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
                        continue;
                    }
                };
                out.extend([b'\\', short]);
            }
        }
        (_, value) => value.write(out),
    }
}

/// The IPv4 address that an address is or wraps: mapped and compatible ones (RFC 4291) and 6to4
/// (RFC 3056).
fn v4_of(address: IpAddr) -> Option<Ipv4Addr> {
    let v6 = match address {
        IpAddr::V4(v4) => return Some(v4),
        IpAddr::V6(v6) => v6.octets(),
    };
    let quad = |at: usize| Ipv4Addr::new(v6[at], v6[at + 1], v6[at + 2], v6[at + 3]);
    match v6[..12] {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Some(quad(12)),
        [0x20, 0x02, ..] => Some(quad(2)),
        _ => None,
    }
}

/// An address in a table of IPv6 addresses.
fn v6_of(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::table::testing;

    #[test]
    fn values_become_keys() {
        let ip = |text: &str| Value::Ip(text.parse().unwrap());
        for (key, value, expected) in [
            (KeyType::Ip, ip("10.0.0.1"), Some(&[10, 0, 0, 1][..])),
            (KeyType::Ip, ip("::ffff:10.0.0.1"), Some(&[10, 0, 0, 1])),
            (KeyType::Ip, ip("2002:a00:1::"), Some(&[10, 0, 0, 1])),
            (KeyType::Ip, ip("2001:db8::1"), None),
            (KeyType::Ip, Value::text(b"10.0.0.1"), Some(&[10, 0, 0, 1])),
            (KeyType::Ip, Value::Int(0x0a00_0001), Some(&[10, 0, 0, 1])),
            (KeyType::Ip, Value::text(b"x"), None),
            (KeyType::Ipv6, ip("10.0.0.1"), Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1])),
            (KeyType::Integer, Value::text(b"258x"), Some(&[0, 0, 1, 2])),
            (KeyType::Integer, Value::Int(-1), Some(&[255, 255, 255, 255])),
            (KeyType::Integer, Value::Bool(true), Some(&[0, 0, 0, 1])),
            (KeyType::Integer, Value::Bin(b"1".into()), None),
            (KeyType::String(4), Value::text(b"abcdef"), Some(b"abcd")),
            (KeyType::String(4), Value::text(b""), Some(b"")),
            (KeyType::String(4), Value::Bin(b"ab\0c".into()), Some(b"ab")),
            (KeyType::String(4), ip("10.0.0.1"), Some(b"10.0")),
            (KeyType::String(4), Value::Int(123_456), Some(b"1234")),
            (KeyType::Binary(4), Value::text(b"ab"), Some(b"ab\0\0")),
            (KeyType::Binary(4), Value::Bin(b"abcdef".into()), Some(b"abcd")),
            (KeyType::Binary(9), Value::Int(1), Some(&[0, 0, 0, 0, 0, 0, 0, 1, 0])),
        ] {
            let table = testing::table(key, 10, &[]);
            let found = key_of(&table, &value);
            assert_eq!(found.as_deref(), expected, "{value:?} in {key:?}");
            assert!(found.is_none() || fits(value.kind(), key), "{value:?} in {key:?} is allowed at load");
        }
        assert!(!fits(Type::Bin, KeyType::Integer) && !fits(Type::Bool, KeyType::Ip));
    }

    #[test]
    fn keys_are_shown() {
        for (key, bytes, expected) in [
            (KeyType::Ip, &[10, 0, 0, 1][..], "10.0.0.1"),
            (KeyType::Ipv6, &[0; 16], "::"),
            (KeyType::Integer, &[255, 255, 255, 255], "4294967295"),
            (KeyType::String(32), b"a b=\x01\\", "a\\ b\\=\\x01\\\\"),
            (KeyType::Binary(3), b"\x01\xab ", "01AB20"),
        ] {
            let mut out = Vec::new();
            write_key(key, bytes, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
