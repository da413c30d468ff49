//! Converters that read MQTT packets (manual, `mqtt_is_valid` and `mqtt_field_value`): CONNECT and
//! CONNACK, the first that each side sends, of versions 3.1, 3.1.1 and 5.0.
//!
//! A packet is read once into a list of its fields; what does not read is invalid. One that is not
//! all there yields nothing yet, so that content inspection waits for more.

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

/// Rows.
pub const TABLE: &[Converter] = &[
    Converter::new("mqtt_is_valid", Type::Bin, Type::Bool, "Whether the bytes are an MQTT packet.", is_valid)
        .settles(),
    Converter::new(
        "mqtt_field_value",
        Type::Bin,
        Type::Str,
        "A field of an MQTT CONNECT or CONNACK packet by name, or a property by number.",
        field_value,
    )
    .args(2, &[ArgType::Str, ArgType::Str])
    .check(check_field)
    .settles(),
];

/// The kinds of packets by number, from 1.
const PACKETS: [&str; 15] = [
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];
const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const VERSION_5: u8 = 5;

/// Fields without a property number.
const FIELDS: [&str; 10] = [
    "flags",
    "protocol_name",
    "protocol_version",
    "client_identifier",
    "will_topic",
    "will_payload",
    "username",
    "password",
    "keepalive",
    "reason_code",
];
const FLAGS: usize = 0;
const PROTOCOL_NAME: usize = 1;
const PROTOCOL_VERSION: usize = 2;
const CLIENT_IDENTIFIER: usize = 3;
const WILL_TOPIC: usize = 4;
const WILL_PAYLOAD: usize = 5;
const USERNAME: usize = 6;
const PASSWORD: usize = 7;
const KEEPALIVE: usize = 8;
const REASON_CODE: usize = 9;
/// The fields that a CONNACK has.
const OF_CONNACK: [usize; 3] = [FLAGS, PROTOCOL_VERSION, REASON_CODE];

/// What a property's value is (MQTT 5.0, section 2.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 0 or 1.
    Flag,
    Two,
    /// Two bytes that are not 0.
    TwoPositive,
    Four,
    FourPositive,
    Text,
    /// Text that is not empty.
    TextPresent,
    /// A name and a value; may be repeated.
    Pair,
}

/// A property: its number, its kind, and where it may stand.
struct Property(u8, Kind, &'static [Place]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Connect,
    Will,
    Connack,
}
use Place::{Connack, Connect, Will};

const AUTHENTICATION_METHOD: u8 = 21;
const AUTHENTICATION_DATA: u8 = 22;
const USER_PROPERTY: u8 = 38;
/// The manual's table calls the will delay 18, MQTT calls it 24; both are understood in a CONNECT.
const WILL_DELAY: u8 = 24;
const WILL_DELAY_OF_MANUAL: u8 = 18;

const PROPERTIES: [Property; 25] = [
    Property(1, Kind::Flag, &[Will]),
    Property(2, Kind::Four, &[Will]),
    Property(3, Kind::Text, &[Will]),
    Property(8, Kind::Text, &[Will]),
    Property(9, Kind::Text, &[Will]),
    Property(17, Kind::Four, &[Connect, Connack]),
    Property(18, Kind::TextPresent, &[Connack]),
    Property(19, Kind::Two, &[Connack]),
    Property(AUTHENTICATION_METHOD, Kind::Text, &[Connect, Connack]),
    Property(AUTHENTICATION_DATA, Kind::Text, &[Connect, Connack]),
    Property(23, Kind::Flag, &[Connect]),
    Property(WILL_DELAY, Kind::Four, &[Will]),
    Property(25, Kind::Flag, &[Connect]),
    Property(26, Kind::Text, &[Connack]),
    Property(28, Kind::Text, &[Connack]),
    Property(31, Kind::Text, &[Connack]),
    Property(33, Kind::TwoPositive, &[Connect, Connack]),
    Property(34, Kind::Two, &[Connect, Connack]),
    Property(36, Kind::Flag, &[Connack]),
    Property(37, Kind::Flag, &[Connack]),
    Property(USER_PROPERTY, Kind::Pair, &[Connect, Will, Connack]),
    Property(39, Kind::FourPositive, &[Connect, Connack]),
    Property(40, Kind::Flag, &[Connack]),
    Property(41, Kind::Flag, &[Connack]),
    Property(42, Kind::Flag, &[Connack]),
];

fn property(number: u8) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.0 == number)
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content<'p> {
    Number(u32),
    Text(&'p [u8]),
}

/// What a packet holds.
#[derive(Debug, Default)]
struct Packet<'p> {
    kind: u8,
    version: u8,
    has_will: bool,
    fields: [Option<Content<'p>>; FIELDS.len()],
    properties: Vec<(u8, Content<'p>)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    More,
    Invalid,
}

/// What is left to read; each step fails where the bytes end.
struct Reader<'p>(&'p [u8]);

impl<'p> Reader<'p> {
    fn take(&mut self, len: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
    fn number(&mut self, len: usize) -> Option<u32> {
        Some(self.take(len)?.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
    }
    fn text(&mut self) -> Option<&'p [u8]> {
        let len = self.number(2)?;
        self.take(len as usize)
    }
    /// A number of seven bits a byte, four bytes at most.
    fn varint(&mut self) -> Option<usize> {
        let mut n = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.number(1)?;
            n |= (byte as usize & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }
    fn properties(&mut self, place: Place, found: &mut Vec<(u8, Content<'p>)>) -> Option<()> {
        let len = self.varint()?;
        let mut list = Reader(self.take(len)?);
        while !list.0.is_empty() {
            let number = list.number(1)? as u8;
            let Property(_, kind, places) = property(number)?;
            if !places.contains(&place) {
                return None;
            }
            let content = match kind {
                Kind::Flag => Content::Number(list.number(1).filter(|flag| *flag <= 1)?),
                Kind::Two => Content::Number(list.number(2)?),
                Kind::TwoPositive => Content::Number(list.number(2).filter(|n| *n != 0)?),
                Kind::Four => Content::Number(list.number(4)?),
                Kind::FourPositive => Content::Number(list.number(4).filter(|n| *n != 0)?),
                Kind::Text => Content::Text(list.text()?),
                Kind::TextPresent => Content::Text(list.text().filter(|text| !text.is_empty())?),
                Kind::Pair => {
                    list.text()?;
                    list.text()?;
                    continue;
                }
            };
            if found.iter().any(|(other, _)| *other == number) {
                return None;
            }
            found.push((number, content));
        }
        Some(())
    }
}

/// Reads a packet; only CONNECT and CONNACK are understood.
fn read(bytes: &[u8]) -> Result<Packet<'_>, Fault> {
    if bytes.len() < 2 {
        return Err(Fault::More);
    }
    let kind = bytes[0] >> 4;
    if bytes[0] & 0xf != 0 || !matches!(kind, CONNECT | CONNACK) {
        return Err(Fault::Invalid);
    }
    let mut reader = Reader(&bytes[1..]);
    let len = match reader.varint() {
        Some(len) => len,
        // Four bytes that all say that another follows.
        None if bytes.len() > 4 => return Err(Fault::Invalid),
        None => return Err(Fault::More),
    };
    let body = reader.take(len).ok_or(Fault::More)?;
    let mut packet = Packet { kind, ..Packet::default() };
    let mut reader = Reader(body);
    let read =
        if kind == CONNECT { connect(&mut reader, &mut packet) } else { connack(&mut reader, &mut packet) };
    match read {
        Some(()) if reader.0.is_empty() => Ok(packet),
        _ => Err(Fault::Invalid),
    }
}

/// MQTT 5.0, section 3.1.
fn connect<'p>(reader: &mut Reader<'p>, packet: &mut Packet<'p>) -> Option<()> {
    let name = reader.text()?;
    if !name.eq_ignore_ascii_case(b"MQTT") && !name.eq_ignore_ascii_case(b"MQIsdp") {
        return None;
    }
    packet.version = reader.number(1).filter(|version| (3..=5).contains(version))? as u8;
    let flags = reader.number(1)?;
    let (has_will, will_qos, will_retain) = (flags & 0x04 != 0, flags & 0x18, flags & 0x20 != 0);
    // The lowest bit is reserved, and a quality of service belongs to a will.
    if flags & 0x01 != 0 || will_qos == 0x18 && !has_will && !will_retain {
        return None;
    }
    packet.has_will = has_will;
    packet.fields[FLAGS] = Some(Content::Number(flags));
    packet.fields[PROTOCOL_NAME] = Some(Content::Text(name));
    packet.fields[PROTOCOL_VERSION] = Some(Content::Number(u32::from(packet.version)));
    packet.fields[KEEPALIVE] = Some(Content::Number(reader.number(2)?));
    if packet.version == VERSION_5 {
        reader.properties(Connect, &mut packet.properties)?;
        if packet.text(AUTHENTICATION_DATA).is_some() && packet.text(AUTHENTICATION_METHOD).is_none() {
            return None;
        }
    }
    packet.fields[CLIENT_IDENTIFIER] = Some(Content::Text(reader.text()?));
    if has_will {
        if packet.version == VERSION_5 {
            reader.properties(Will, &mut packet.properties)?;
        }
        packet.fields[WILL_TOPIC] = Some(Content::Text(reader.text()?));
        packet.fields[WILL_PAYLOAD] = Some(Content::Text(reader.text()?));
    }
    if flags & 0x80 != 0 {
        packet.fields[USERNAME] = Some(Content::Text(reader.text()?));
    }
    if flags & 0x40 != 0 {
        packet.fields[PASSWORD] = Some(Content::Text(reader.text()?));
    }
    Some(())
}

/// MQTT 5.0, section 3.2; before that version it ends after two bytes.
fn connack<'p>(reader: &mut Reader<'p>, packet: &mut Packet<'p>) -> Option<()> {
    packet.version = if reader.0.len() == 2 { 4 } else { VERSION_5 };
    packet.fields[FLAGS] = Some(Content::Number(reader.number(1).filter(|flags| flags & 0xfe == 0)?));
    packet.fields[REASON_CODE] = Some(Content::Number(reader.number(1)?));
    packet.fields[PROTOCOL_VERSION] = Some(Content::Number(u32::from(packet.version)));
    if packet.version == VERSION_5 {
        reader.properties(Connack, &mut packet.properties)?;
    }
    Some(())
}

impl<'p> Packet<'p> {
    fn text(&self, number: u8) -> Option<&'p [u8]> {
        self.properties.iter().find_map(|(found, content)| match content {
            Content::Text(text) if *found == number && !text.is_empty() => Some(*text),
            _ => None,
        })
    }
    /// A property; one of version 5.0 that is a number and not given is 0.
    fn property(&self, number: u8) -> Option<Content<'p>> {
        let found = self.properties.iter().find(|(other, _)| *other == number);
        if let Some((_, content)) = found {
            return Some(*content);
        }
        let Property(_, kind, places) = property(number)?;
        let has_place = match self.kind {
            CONNACK => places.contains(&Connack),
            _ => places.contains(&Connect) || self.has_will,
        };
        let is_number = !matches!(kind, Kind::Text | Kind::TextPresent | Kind::Pair);
        (self.version == VERSION_5 && has_place && is_number).then_some(Content::Number(0))
    }
}

fn is_valid<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    match read(value.bytes()?) {
        Ok(_) => Some(Value::Bool(true)),
        Err(Fault::Invalid) => Some(Value::Bool(false)),
        Err(Fault::More) => None,
    }
}

/// Arguments become the packet's number and either a field's place or, negated, a property.
fn check_field(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let text = |at: usize| String::from_utf8_lossy(args.as_slice().text(at)).into_owned();
    let (packet, field) = (text(0), text(1));
    let number = PACKETS.iter().position(|name| name.eq_ignore_ascii_case(&packet)).map(|at| at + 1);
    let number = number.or_else(|| packet.parse().ok().filter(|number| (1..=15).contains(number)));
    let number = number.ok_or_else(|| format!("Unknown MQTT type '{packet}'"))? as u8;
    if !matches!(number, CONNECT | CONNACK) {
        let message = format!(
            "MQTT type '{packet}' is never the first packet, so that nothing is found: only CONNECT and CONNACK can be read"
        );
        check.context.report.warning(check.span, message);
        *args = vec![Arg::Int(i64::from(number)), Arg::Int(0)];
        return Ok(());
    }
    let is_connack = number == CONNACK;
    let named = FIELDS.iter().position(|name| name.eq_ignore_ascii_case(&field));
    let named = named.filter(|at| if is_connack { OF_CONNACK.contains(at) } else { *at != REASON_CODE });
    let by_number = || {
        let wanted = match field.parse().ok()? {
            WILL_DELAY_OF_MANUAL if !is_connack => WILL_DELAY,
            other => other,
        };
        let Property(_, kind, places) = property(wanted)?;
        let belongs = places.iter().any(|place| (*place == Connack) == is_connack);
        (belongs && *kind != Kind::Pair).then(|| -i64::from(wanted))
    };
    let place = named
        .map(|at| at as i64)
        .or_else(by_number)
        .ok_or_else(|| format!("Unknown MQTT field name '{field}' for packet type '{packet}'"))?;
    *args = vec![Arg::Int(i64::from(number)), Arg::Int(place)];
    Ok(())
}

fn field_value<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let packet = read(value.bytes()?).ok().filter(|packet| i64::from(packet.kind) == args.int(0))?;
    let content = match args.int(1) {
        place @ 0.. => packet.fields[place as usize],
        property => packet.property(u8::try_from(-property).ok()?),
    };
    match content? {
        Content::Number(n) => Some(Value::string(itoa::Buffer::new().format(n).as_bytes().to_vec())),
        Content::Text(text) => (!text.is_empty()).then(|| Value::string(text.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};

    #[test]
    fn packets() {
        // 3.1.1: flags user, password, will; keepalive 60; "cl", "wt", "wp", "us", "pw".
        const V4: &str = "101e 00044d515454 04 c6 003c 0002636c 00027774 00027770 00027573 00027077 ";
        // 5.0: session expiry 10, receive maximum 5, user property; client "c".
        const V5: &str = "101e 00044d515454 05 02 000a 10 110000000a 210005 26000161000162 0a 000163";
        const ACK4: &str = "20020105";
        const ACK5: &str = "200d 0000 0a 1200026964 1f00026f6b";
        let v5 = "101d 00044d515454 05 02 000a 0f 110000000a 210005 26000161000162 000163";
        for (bytes, converters, expected) in [
            (V4, "mqtt_is_valid", "1"),
            (V4, "mqtt_field_value(connect,flags)", "198"),
            (V4, "mqtt_field_value(1,protocol_name)", "MQTT"),
            (V4, "mqtt_field_value(CONNECT,Protocol_Version)", "4"),
            (V4, "mqtt_field_value(connect,keepalive)", "60"),
            (V4, "mqtt_field_value(connect,client_identifier)", "cl"),
            (V4, "mqtt_field_value(connect,will_topic)", "wt"),
            (V4, "mqtt_field_value(connect,will_payload)", "wp"),
            (V4, "mqtt_field_value(connect,username)", "us"),
            (V4, "mqtt_field_value(connect,password)", "pw"),
            (V4, "mqtt_field_value(connect,17)", "-"),
            (V4, "mqtt_field_value(connack,flags)", "-"),
            (v5, "mqtt_is_valid", "1"),
            (v5, "mqtt_field_value(connect,17)", "10"),
            (v5, "mqtt_field_value(connect,33)", "5"),
            (v5, "mqtt_field_value(connect,39)", "0"),
            (v5, "mqtt_field_value(connect,21)", "-"),
            (v5, "mqtt_field_value(connect,18)", "-"),
            (v5, "mqtt_field_value(connect,username)", "-"),
            (V5, "mqtt_is_valid", "0"),
            (ACK4, "mqtt_field_value(connack,flags)", "1"),
            (ACK4, "mqtt_field_value(2,reason_code)", "5"),
            (ACK4, "mqtt_field_value(2,protocol_version)", "4"),
            (ACK5, "mqtt_field_value(connack,18)", "id"),
            (ACK5, "mqtt_field_value(connack,31)", "ok"),
            (ACK5, "mqtt_field_value(connack,19)", "0"),
            ("10", "mqtt_is_valid", "-"),
            ("101e0004", "mqtt_is_valid", "-"),
            ("10ffffffff01", "mqtt_is_valid", "0"),
            ("110200", "mqtt_is_valid", "0"),
            ("30020000", "mqtt_is_valid", "0"),
            ("20020205", "mqtt_is_valid", "0"),
            ("474554202f", "mqtt_is_valid", "0"),
        ] {
            check(&World::default(), &[(&format!("bin({}),{converters}", bytes.replace(' ', "")), expected)]);
        }
        for (text, message) in [
            ("bin(00),mqtt_field_value(hello,flags)", "Unknown MQTT type 'hello'"),
            ("bin(00),mqtt_field_value(connect,reason_code)", "Unknown MQTT field name 'reason_code'"),
            ("bin(00),mqtt_field_value(connack,username)", "Unknown MQTT field name 'username'"),
            ("bin(00),mqtt_field_value(connect,36)", "Unknown MQTT field name '36'"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
