//! Converters around the `Forwarded` header field (RFC 7239; manual, `rfc7239_*`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value, write_ip};

const fn row(name: &'static str, output: Type, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Str, output, doc, apply)
}

/// Rows.
pub const TABLE: &[Converter] = &[
    row("rfc7239_is_valid", Type::Bool, "Whether it is a value of the Forwarded field.", is_valid),
    row("rfc7239_field", Type::Str, "A parameter of a Forwarded value: proto, host, for or by.", field)
        .args(1, &[ArgType::Str]),
    row("rfc7239_n2nn", Type::Any, "The address or the name in a node of a Forwarded value.", node_name),
    row("rfc7239_n2np", Type::Any, "The port in a node of a Forwarded value.", node_port),
    Converter::new("rfc7239_nn", Type::Any, Type::Str, "An address or a name as a node's name.", to_name),
    Converter::new("rfc7239_np", Type::Any, Type::Str, "A number or a name as a node's port.", to_port),
];

/// What is left of a value to read.
struct Reader<'v>(&'v [u8]);

impl<'v> Reader<'v> {
    fn eat(&mut self, prefix: &[u8]) -> bool {
        let rest = self.0.strip_prefix(prefix);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
    /// The bytes up to the first that does not belong, `max` at most.
    fn run(&mut self, max: usize, belongs: impl Fn(u8) -> bool) -> &'v [u8] {
        let len = self.0.iter().take(max).take_while(|byte| belongs(**byte)).count();
        let (run, rest) = self.0.split_at(len);
        self.0 = rest;
        run
    }
    fn port(&mut self) -> Option<u16> {
        let digits = self.run(usize::MAX, |byte| byte.is_ascii_digit());
        let port = std::str::from_utf8(digits).ok()?.parse::<u16>().ok();
        port.filter(|port| *port != 0)
    }
    fn obfuscated(&mut self) -> Option<&'v [u8]> {
        let name = self.run(usize::MAX, is_obfuscated);
        (!name.is_empty()).then_some(name)
    }
    fn ipv4(&mut self) -> Option<Ipv4Addr> {
        let text = self.run(15, |byte| byte.is_ascii_digit() || byte == b'.');
        std::str::from_utf8(text).ok()?.parse().ok()
    }
    fn ipv6(&mut self) -> Option<Ipv6Addr> {
        if !self.eat(b"[") {
            return None;
        }
        let text = self.run(45, |byte| byte.is_ascii_alphanumeric() || byte == b':');
        let address = std::str::from_utf8(text).ok()?.parse().ok()?;
        self.eat(b"]").then_some(address)
    }
    fn node(&mut self, quoted: bool) -> Option<Node<'v>> {
        let start = self.0;
        let name = if self.eat(b"_") {
            Name::Obfuscated(self.obfuscated()?)
        } else if self.0.first() == Some(&b'u') {
            self.eat(b"unknown").then_some(Name::Unknown)?
        } else if quoted && self.0.first() == Some(&b'[') {
            Name::Address(IpAddr::V6(self.ipv6()?))
        } else {
            Name::Address(IpAddr::V4(self.ipv4()?))
        };
        let mut port = Port::None;
        if self.0.first() == Some(&b':') {
            // A colon is no character of a token, so that a port needs quotes.
            if !quoted {
                return None;
            }
            self.eat(b":");
            port = if self.eat(b"_") {
                Port::Obfuscated(self.obfuscated()?)
            } else {
                Port::Number(self.port()?)
            };
        }
        Some(Node { raw: &start[..start.len() - self.0.len()], name, port })
    }
    fn host(&mut self, quoted: bool) -> Option<&'v [u8]> {
        let start = self.0;
        if start.is_empty() {
            return None;
        }
        if quoted && start[0] == b'[' {
            self.ipv6()?;
        } else {
            self.run(usize::MAX, |byte| byte.is_ascii_alphanumeric() || byte == b'.');
        }
        if self.0.first() == Some(&b':') {
            if !quoted {
                return None;
            }
            self.eat(b":");
            self.port()?;
        }
        Some(&start[..start.len() - self.0.len()])
    }
}

fn is_obfuscated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

#[derive(Clone, Copy, Debug)]
enum Name<'v> {
    Unknown,
    Obfuscated(&'v [u8]),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
enum Port<'v> {
    None,
    Obfuscated(&'v [u8]),
    Number(u16),
}

#[derive(Clone, Copy, Debug)]
struct Node<'v> {
    raw: &'v [u8],
    name: Name<'v>,
    port: Port<'v>,
}

/// The parameters that are understood; a value with another is not valid, since it cannot be
/// trusted.
#[derive(Debug, Default)]
struct Forwarded<'v> {
    from: Option<&'v [u8]>,
    by: Option<&'v [u8]>,
    host: Option<&'v [u8]>,
    proto: Option<&'v [u8]>,
}

/// Reads a value of the field. It ends where all parameters were seen.
fn parse(value: &[u8]) -> Option<Forwarded<'_>> {
    let mut reader = Reader(value);
    let mut found = Forwarded::default();
    let mut seen = 0;
    while !reader.0.is_empty() && seen < 4 {
        if seen > 0 && !reader.eat(b";") {
            return None;
        }
        let name = [&b"for="[..], b"by=", b"host=", b"proto="].into_iter().find(|name| reader.eat(name))?;
        let quoted = name != b"proto=" && reader.eat(b"\"");
        let slot = match name {
            b"for=" => &mut found.from,
            b"by=" => &mut found.by,
            b"host=" => &mut found.host,
            _ => &mut found.proto,
        };
        let value = match name {
            b"for=" | b"by=" => reader.node(quoted)?.raw,
            b"host=" => reader.host(quoted)?,
            _ if reader.eat(b"https") => b"https",
            _ => reader.eat(b"http").then_some(&b"http"[..])?,
        };
        if quoted && !reader.eat(b"\"") || slot.replace(value).is_some() {
            return None;
        }
        seen += 1;
    }
    (seen > 0).then_some(found)
}

fn is_valid<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(parse(value.bytes()?).is_some()))
}

fn field<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let found = parse(value.bytes()?)?;
    let text = match args.text(0) {
        b"for" => found.from,
        b"by" => found.by,
        b"host" => found.host,
        b"proto" => found.proto,
        _ => None,
    };
    Some(Value::string(text?.to_vec()))
}

/// A node that is the whole text, as it would stand between quotes.
fn whole_node(text: &[u8]) -> Option<Node<'_>> {
    Reader(text).node(true)
}

fn with_underscore<'a>(name: &[u8]) -> Value<'a> {
    Value::string([b"_", name].concat())
}

fn node_name<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(match whole_node(value.bytes()?)?.name {
        Name::Unknown => Value::text(b"unknown"),
        Name::Obfuscated(name) => with_underscore(name),
        Name::Address(address) => Value::Ip(address),
    })
}

fn node_port<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    match whole_node(value.bytes()?)?.port {
        Port::None => None,
        Port::Obfuscated(name) => Some(with_underscore(name)),
        Port::Number(port) => Some(Value::Int(i64::from(port))),
    }
}

/// A text as an obfuscated identifier (RFC 7239 section 6.3).
fn obfuscate<'a>(value: Value<'a>) -> Option<Value<'a>> {
    let text = value.into_bytes(Type::Str)?;
    text.iter().all(|byte| is_obfuscated(*byte)).then(|| with_underscore(&text))
}

fn to_name<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    match value {
        Value::Ip(address) => {
            let mut out = Vec::new();
            let is_v6 = address.is_ipv6();
            out.extend(is_v6.then_some(b'['));
            write_ip(address, &mut out);
            out.extend(is_v6.then_some(b']'));
            Some(Value::string(out))
        }
        other if other.bytes().is_some_and(<[u8]>::is_empty) => Some(Value::text(b"unknown")),
        other => obfuscate(other),
    }
}

fn to_port<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    match value {
        // As the unsigned number of 32 bits that a port would be.
        Value::Int(n) => Some(Value::string((n as u32).to_string().into_bytes())),
        other if other.bytes().is_some_and(<[u8]>::is_empty) => None,
        other => obfuscate(other),
    }
}

#[cfg(test)]
mod tests {
    use crate::sample::testing::{World, check};

    #[test]
    fn forwarded_values() {
        const ALL: &str = r#"proto=https;host="haproxy.org:80";for="127.0.0.1:9999";by="[::1]:_p""#;
        for (value, converters, expected) in [
            (ALL, "rfc7239_is_valid", "1"),
            (ALL, "rfc7239_field(proto)", "https"),
            (ALL, "rfc7239_field(host)", "haproxy.org:80"),
            (ALL, "rfc7239_field(for)", "127.0.0.1:9999"),
            (ALL, "rfc7239_field(by)", "[::1]:_p"),
            (ALL, "rfc7239_field(secret)", "-"),
            (ALL, "rfc7239_field(for),rfc7239_n2nn", "127.0.0.1"),
            (ALL, "rfc7239_field(for),rfc7239_n2np,add(1)", "10000"),
            (ALL, "rfc7239_field(by),rfc7239_n2nn", "::1"),
            (ALL, "rfc7239_field(by),rfc7239_n2np", "_p"),
            ("for=127.0.0.1;proto=http", "rfc7239_is_valid", "1"),
            ("for=127.0.0.1;proto=http", "rfc7239_field(by)", "-"),
            ("for=127.0.0.1:80", "rfc7239_is_valid", "0"),
            ("for=::1", "rfc7239_is_valid", "0"),
            ("for=_a;for=_b", "rfc7239_is_valid", "0"),
            ("for=unknown", "rfc7239_is_valid", "1"),
            ("for=u", "rfc7239_is_valid", "0"),
            ("proto=custom", "rfc7239_is_valid", "0"),
            ("proto=http;", "rfc7239_is_valid", "0"),
            ("proto=http, proto=http", "rfc7239_is_valid", "0"),
            (r#"host="a.b:0""#, "rfc7239_is_valid", "0"),
            (r#"host="a.b:80"#, "rfc7239_is_valid", "0"),
            ("host=a.b", "rfc7239_is_valid", "1"),
            ("secret=1", "rfc7239_is_valid", "0"),
            ("", "rfc7239_is_valid", "0"),
            ("[ab:cd:ff:ff:ff:ff:ff:ff]:9998", "rfc7239_n2nn", "ab:cd:ff:ff:ff:ff:ff:ff"),
            ("[ab:cd:ff:ff:ff:ff:ff:ff]:9998", "rfc7239_n2np", "9998"),
            ("_name:_port", "rfc7239_n2nn", "_name"),
            ("_name:_port", "rfc7239_n2np", "_port"),
            ("unknown", "rfc7239_n2nn", "unknown"),
            ("unknown", "rfc7239_n2np", "-"),
            ("?", "rfc7239_n2nn", "-"),
            ("test", "rfc7239_nn", "_test"),
            ("te st", "rfc7239_nn", "-"),
            ("", "rfc7239_nn", "unknown"),
            ("test", "rfc7239_np", "_test"),
            ("", "rfc7239_np", "-"),
        ] {
            check(&World::default(), &[(&format!("str('{value}'),{converters}"), expected)]);
        }
        check(
            &World::default(),
            &[
                ("ipv6(ab:cd:ff:ff:ff:ff:ff:ff),rfc7239_nn", "[ab:cd:ff:ff:ff:ff:ff:ff]"),
                ("ipv4(10.0.0.1),rfc7239_nn", "10.0.0.1"),
                ("int(12),rfc7239_np", "12"),
                ("int(12),rfc7239_nn", "_12"),
            ],
        );
    }
}
