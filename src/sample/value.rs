//! What expressions yield, and the casts between types (manual, section 7.2).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::http::Method;

/// A typed value (manual, section 7.2 lists the casts between them).
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A boolean; as a string `1` or `0`.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// Text (bytes of any kind).
    Str(Cow<'a, [u8]>),
    /// A binary block; as a string, what stands before its first NUL byte.
    Bin(Cow<'a, [u8]>),
    /// An HTTP method.
    Method(Method, Cow<'a, [u8]>),
}

/// The type of a value, for checks at load time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    /// Anything (variables, for instance): casts decide at run time.
    Any,
    Bool,
    Int,
    Ip,
    Str,
    Bin,
    Method,
}

impl Type {
    /// Whether a value of this type can be cast to `to`, at least for some values.
    pub fn casts_to(self, to: Type) -> bool {
        use Type::*;
        match (self, to) {
            (Any, _) | (_, Any) => true,
            (a, b) if a == b => true,
            (Bool, Int | Str | Bin) => true,
            (Int, Bool | Ip | Str | Bin) => true,
            (Ip, Int | Str | Bin) => true,
            (Str, _) => true,
            (Bin, Str | Method) => true,
            (Method, Str | Bin) => true,
            _ => false,
        }
    }
    /// Its name in messages and in the reference.
    pub fn name(self) -> &'static str {
        match self {
            Type::Any => "any",
            Type::Bool => "bool",
            Type::Int => "sint",
            Type::Ip => "addr",
            Type::Str => "str",
            Type::Bin => "bin",
            Type::Method => "meth",
        }
    }
}

impl<'a> Value<'a> {
    /// Text that lives as long as its source.
    #[inline]
    pub fn text(bytes: &'a [u8]) -> Value<'a> {
        Value::Str(Cow::Borrowed(bytes))
    }
    /// Text made for the purpose.
    #[inline]
    pub fn string(bytes: Vec<u8>) -> Value<'a> {
        Value::Str(Cow::Owned(bytes))
    }
    /// Its type.
    pub fn kind(&self) -> Type {
        match self {
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Ip(_) => Type::Ip,
            Value::Str(_) => Type::Str,
            Value::Bin(_) => Type::Bin,
            Value::Method(..) => Type::Method,
        }
    }
    /// The value as another type; `None` where that has no meaning.
    pub fn cast(self, to: Type) -> Option<Value<'a>> {
        let same = matches!(
            (&self, to),
            (_, Type::Any)
                | (Value::Bool(_), Type::Bool)
                | (Value::Int(_), Type::Int)
                | (Value::Ip(_), Type::Ip)
                | (Value::Str(_), Type::Str)
                | (Value::Bin(_), Type::Bin)
                | (Value::Method(..), Type::Method)
        );
        if same {
            return Some(self);
        }
        match to {
            Type::Any => Some(self),
            Type::Bool => match self {
                Value::Int(n) => Some(Value::Bool(n != 0)),
                Value::Str(text) => leading_int(&text).map(|n| Value::Bool(n != 0)),
                _ => None,
            },
            Type::Int => self.as_int().map(Value::Int),
            Type::Ip => self.as_ip().map(Value::Ip),
            Type::Str => match self {
                Value::Bin(Cow::Borrowed(bytes)) => Some(Value::text(until_nul(bytes))),
                Value::Bin(Cow::Owned(mut bytes)) => {
                    bytes.truncate(until_nul(&bytes).len());
                    Some(Value::string(bytes))
                }
                Value::Method(_, token) => Some(Value::Str(token)),
                other => {
                    let mut out = Vec::with_capacity(24);
                    other.write(&mut out);
                    Some(Value::string(out))
                }
            },
            Type::Bin => Some(Value::Bin(match self {
                Value::Str(bytes) | Value::Bin(bytes) | Value::Method(_, bytes) => bytes,
                Value::Bool(flag) => Cow::Owned(i64::from(flag).to_be_bytes().to_vec()),
                Value::Int(n) => Cow::Owned(n.to_be_bytes().to_vec()),
                Value::Ip(IpAddr::V4(v4)) => Cow::Owned(v4.octets().to_vec()),
                Value::Ip(IpAddr::V6(v6)) => Cow::Owned(v6.octets().to_vec()),
            })),
            Type::Method => match self {
                Value::Str(token) | Value::Bin(token) => {
                    Some(Value::Method(Method::from_token(&token), token))
                }
                _ => None,
            },
        }
    }
    /// The value as a number.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Bool(flag) => Some(i64::from(*flag)),
            Value::Ip(IpAddr::V4(v4)) => Some(i64::from(u32::from(*v4))),
            Value::Str(text) => leading_int(text),
            _ => None,
        }
    }
    /// The value as an address.
    pub fn as_ip(&self) -> Option<IpAddr> {
        match self {
            Value::Ip(address) => Some(*address),
            Value::Int(n) => Some(Ipv4Addr::from(*n as u32).into()),
            Value::Str(text) => parse_ip(text),
            _ => None,
        }
    }
    /// The value as a truth.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            Value::Int(n) => Some(*n != 0),
            Value::Str(text) => leading_int(text).map(|n| n != 0),
            _ => None,
        }
    }
    /// Its bytes, if it is made of bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(bytes) | Value::Bin(bytes) | Value::Method(_, bytes) => Some(bytes),
            _ => None,
        }
    }
    /// The bytes that were made for it; 0 for what lies elsewhere already.
    pub fn made_len(&self) -> usize {
        match self {
            Value::Str(Cow::Owned(bytes)) | Value::Bin(Cow::Owned(bytes)) => bytes.len(),
            _ => 0,
        }
    }
    /// Its text, at most `len` bytes of it.
    pub fn cut(mut self, len: usize) -> Value<'a> {
        if let Value::Str(Cow::Owned(bytes)) | Value::Bin(Cow::Owned(bytes)) = &mut self {
            bytes.truncate(len);
        }
        self
    }
    /// Its bytes as a string or a block, whatever it was.
    pub fn into_bytes(self, to: Type) -> Option<Cow<'a, [u8]>> {
        match self.cast(to)? {
            Value::Str(bytes) | Value::Bin(bytes) | Value::Method(_, bytes) => Some(bytes),
            _ => None,
        }
    }
    /// Appends it as a string, without an allocation of its own.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Bool(flag) => out.push(b'0' + u8::from(*flag)),
            Value::Int(n) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
            Value::Ip(address) => write_ip(*address, out),
            Value::Str(bytes) | Value::Method(_, bytes) => out.extend_from_slice(bytes),
            Value::Bin(bytes) => out.extend_from_slice(until_nul(bytes)),
        }
    }
    /// The same value, kept beyond its source.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Bool(flag) => Value::Bool(flag),
            Value::Int(n) => Value::Int(n),
            Value::Ip(address) => Value::Ip(address),
            Value::Str(bytes) => Value::Str(Cow::Owned(bytes.into_owned())),
            Value::Bin(bytes) => Value::Bin(Cow::Owned(bytes.into_owned())),
            Value::Method(method, token) => Value::Method(method, Cow::Owned(token.into_owned())),
        }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}

/// Appends an address as text.
pub fn write_ip(address: IpAddr, out: &mut Vec<u8>) {
    use std::io::Write;
    match address {
        IpAddr::V4(v4) => {
            for (at, octet) in v4.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        // Writing to a vector cannot fail. An IPv4-compatible address is written as inet_ntop() does.
        IpAddr::V6(v6) => match v6.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                let v4 = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
                drop(write!(out, "::{v4}"));
            }
            _ => drop(write!(out, "{v6}")),
        },
    }
}

/// The number a string begins with, saturating; 0 if it begins with none, `None` if it is empty.
pub fn leading_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [] => return None,
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut n: i64 = 0;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        let next = n
            .checked_mul(10)
            .and_then(|n| if negative { n.checked_sub(digit) } else { n.checked_add(digit) });
        n = next.unwrap_or(if negative { i64::MIN } else { i64::MAX });
    }
    Some(n)
}

/// The number that a whole string is, saturating: an optional sign and digits.
pub fn whole_int(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.iter().all(u8::is_ascii_digit) { leading_int(text) } else { None }
}

/// The address that a whole string names.
pub fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    match text.parse::<Ipv4Addr>() {
        Ok(v4) => Some(v4.into()),
        Err(_) => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_as_the_manual_lists_them() {
        let ip = || Value::Ip("10.0.0.1".parse().unwrap());
        let cases = [
            (Value::Bool(true), Type::Str, Some(Value::text(b"1"))),
            (Value::Bool(true), Type::Ip, None),
            (Value::Int(-7), Type::Str, Some(Value::text(b"-7"))),
            (Value::Int(0x0a00_0001), Type::Ip, Some(ip())),
            (Value::Int(2), Type::Bool, Some(Value::Bool(true))),
            (ip(), Type::Str, Some(Value::text(b"10.0.0.1"))),
            (ip(), Type::Int, Some(Value::Int(0x0a00_0001))),
            (ip(), Type::Bin, Some(Value::Bin(Cow::Borrowed(&[10, 0, 0, 1])))),
            (ip(), Type::Bool, None),
            (Value::text(b"12abc"), Type::Int, Some(Value::Int(12))),
            (Value::text(b"abc"), Type::Int, Some(Value::Int(0))),
            (Value::text(b""), Type::Int, None),
            (Value::text(b"10.0.0.1"), Type::Ip, Some(ip())),
            (Value::text(b"10.0.0"), Type::Ip, None),
            (Value::Bin(Cow::Borrowed(b"ab\0cd")), Type::Str, Some(Value::text(b"ab"))),
            (Value::Bin(Cow::Borrowed(b"12")), Type::Int, None),
            (Value::text(b"PUT"), Type::Method, Some(Value::Method(Method::Put, Cow::Borrowed(b"PUT")))),
        ];
        for (value, to, expected) in cases {
            let from = value.kind();
            assert_eq!(value.clone().cast(to), expected, "{value:?} to {to:?}");
            assert!(expected.is_none() || from.casts_to(to), "{from:?} to {to:?} is allowed at load");
        }
        assert!(!Type::Bin.casts_to(Type::Int) && Type::Any.casts_to(Type::Ip));
    }

    #[test]
    fn addresses_are_written_as_inet_ntop_does() {
        for text in ["10.0.0.1", "::", "::1", "::1.2.3.4", "::ffff:1.2.3.4", "2001:db8::1", "1:0:2::3"] {
            let mut out = Vec::new();
            write_ip(parse_ip(text.as_bytes()).unwrap(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }

    #[test]
    fn numbers_saturate() {
        assert_eq!(leading_int(b"99999999999999999999"), Some(i64::MAX));
        assert_eq!(leading_int(b"-99999999999999999999x"), Some(i64::MIN));
        assert_eq!(leading_int(b"+5"), Some(5));
    }
}
