//! Fetches of what a PROXY protocol header said, and of failed connections (manual, section 7.3.3).

use super::{Fetch, Source};
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::connection::ConnectionError;
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::wire::proxy_protocol::kind;

use Source::{Client, ServerConnection};

/// Rows.
pub const TABLE: &[Fetch] = &[
    Fetch::new(
        "fc_pp_authority",
        Type::Str,
        Client,
        "The host name in the client's PROXY protocol header.",
        authority,
    ),
    Fetch::new(
        "fc_pp_tlv",
        Type::Str,
        Client,
        "The fields of a type, a number up to 255 or a name, in the client's PROXY protocol header. The types \
         within the one about TLS are found, too.",
        field,
    )
    .args(1, &[ArgType::Str])
    .each(each_field)
    .check(check_kind),
    Fetch::new(
        "fc_pp_unique_id",
        Type::Str,
        Client,
        "The unique id in the client's PROXY protocol header.",
        unique_id,
    ),
    Fetch::new(
        "fc_rcvd_proxy",
        Type::Bool,
        Client,
        "Whether the client's connection began with a PROXY protocol header.",
        received,
    ),
    Fetch::new(
        "fc_err",
        Type::Int,
        Client,
        "The number of the error that ended the client's connection before its session began; 0 for none.",
        fc_err,
    ),
    Fetch::new("fc_err_name", Type::Str, Client, "The name of that error; empty for none.", fc_err_name),
    Fetch::new("fc_err_str", Type::Str, Client, "That error in words.", fc_err_str),
    Fetch::new(
        "bc_err",
        Type::Int,
        ServerConnection,
        "The number of the error that the last connection to a server failed with; 0 for none.",
        bc_err,
    ),
    Fetch::new(
        "bc_err_name",
        Type::Str,
        ServerConnection,
        "The name of that error; empty for none.",
        bc_err_name,
    ),
    Fetch::new("bc_err_str", Type::Str, ServerConnection, "That error in words.", bc_err_str),
];

/// The values of a type of fields.
fn values<'a>(context: &Context<'a>, wanted: u8) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
    let connection = context.session?.connection.as_deref()?;
    Some(connection.proxy_fields().of_kind(wanted))
}

fn first<'a>(context: &Context<'a>, wanted: u8) -> Option<Value<'a>> {
    values(context, wanted)?.next().map(Value::text)
}

fn authority<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    first(context, kind::AUTHORITY)
}
fn unique_id<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    first(context, kind::UNIQUE_ID)
}
fn field<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    first(context, args.int(0) as u8)
}
fn each_field<'a>(args: &'a [Arg], context: &Context<'a>, take: &mut dyn FnMut(Value<'a>) -> bool) {
    for value in values(context, args.int(0) as u8).into_iter().flatten() {
        if take(Value::text(value)) {
            return;
        }
    }
}

/// Turns the name or the number of a type into the number.
fn check_kind(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let text = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    let named = kind::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text)).map(|(_, kind)| *kind);
    let Some(number) = named.or_else(|| number(&text)) else {
        let names: Vec<&str> = kind::NAMES.iter().map(|(name, _)| *name).collect();
        return Err(format!("expects a number up to 255 or one of {}, got '{text}'", names.join(", ")));
    };
    args[0] = Arg::Int(i64::from(number));
    Ok(())
}

/// A type written as C does: `234`, `0xEA`, `0352`.
pub(crate) fn number(text: &str) -> Option<u8> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let plain = !digits.starts_with('+');
    u8::from_str_radix(digits, radix).ok().filter(|_| plain)
}

fn received<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let connection = context.session?.connection.as_deref();
    Some(Value::Bool(connection.is_some_and(|connection| connection.proxy_header.is_some())))
}

fn client_error(context: &Context<'_>) -> Option<ConnectionError> {
    Some(context.session?.connection.as_deref().map_or(ConnectionError::NONE, |connection| connection.error))
}
fn server_error(context: &Context<'_>) -> Option<ConnectionError> {
    let txn = context.txn;
    let tried = txn.time.connected_us != 0
        || txn.server_socket.is_some()
        || txn.backend_error != ConnectionError::NONE;
    tried.then_some(txn.backend_error)
}
fn fc_err<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(client_error(context)?.number())))
}
fn fc_err_name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(client_error(context)?.name().as_bytes()))
}
fn fc_err_str<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(client_error(context)?.message().as_bytes()))
}
fn bc_err<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(server_error(context)?.number())))
}
fn bc_err_name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(server_error(context)?.name().as_bytes()))
}
fn bc_err_str<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(server_error(context)?.message().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, check, check_in};

    #[test]
    fn fields_of_a_header() {
        let mut world = World::default();
        check(&world, &[("fc_rcvd_proxy", "0"), ("fc_pp_authority", "-"), ("fc_pp_tlv(2)", "-")]);
        check(&world, &[("fc_err", "0"), ("fc_err_name", ""), ("fc_err_str", "Success")]);
        let own = world.session.own_connection();
        own.proxy_header =
            Some(Box::from(&b"\x02\0\x05a.net\xea\0\x01x\x05\0\x02id\x02\0\x01b\xea\0\x01y"[..]));
        own.error = ConnectionError::PRX_BAD_HDR;
        check(
            &world,
            &[
                ("fc_rcvd_proxy", "1"),
                ("fc_pp_authority", "a.net"),
                ("fc_pp_unique_id", "id"),
                ("fc_pp_tlv(2)", "a.net"),
                ("fc_pp_tlv(authority)", "a.net"),
                ("fc_pp_tlv(UNIQUE_ID)", "id"),
                ("fc_pp_tlv(0xEA)", "x"),
                ("fc_pp_tlv(0352)", "x"),
                ("fc_pp_tlv(234)", "x"),
                ("fc_pp_tlv(NOOP)", "-"),
                ("fc_err", "16"),
                ("fc_err_name", "PRX_BAD_HDR"),
                ("fc_err_str", "Received an invalid PROXY protocol header"),
            ],
        );
        let mut all = Vec::new();
        each_field(&[Arg::Int(0xea)], &world.context(), &mut |value| {
            all.push(value.bytes().map(<[u8]>::to_vec));
            false
        });
        assert_eq!(all, [Some(b"x".to_vec()), Some(b"y".to_vec())]);
    }

    #[test]
    fn types_are_numbers_as_in_c() {
        for (text, expected) in [
            ("0", Some(0)),
            ("255", Some(255)),
            ("0xff", Some(255)),
            ("010", Some(8)),
            ("256", None),
            ("-1", None),
            ("+1", None),
            ("0x", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn errors_towards_servers() {
        let mut world = World::default();
        check_in(&world, Phase::Log, &[("bc_err", "-"), ("bc_err_str", "-")]);
        world.txn.backend_error = ConnectionError::EREFUSED;
        check_in(
            &world,
            Phase::Log,
            &[("bc_err", "46"), ("bc_err_name", "EREFUSED"), ("bc_err_str", "ECONNREFUSED returned by OS")],
        );
    }
}
