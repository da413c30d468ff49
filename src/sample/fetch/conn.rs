//! Fetches of connections (manual, section 7.3.3).

use std::net::SocketAddr;

use super::{Fetch, Source};
use crate::http::Version;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

use Source::{Client, ServerConnection};

const fn address(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Ip, Client, doc, get)
}
const fn number(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Client, doc, get)
}

/// Rows.
pub const TABLE: &[Fetch] = &[
    address("src", "The client's address, as PROXY protocol or 'set-src' gave it.", src),
    number("src_port", "The client's port.", src_port),
    address("dst", "The address that the client connected to.", dst),
    number("dst_port", "The port that the client connected to.", dst_port),
    address("fc_src", "The address that the connection itself comes from.", fc_src),
    number("fc_src_port", "The port that the connection itself comes from.", fc_src_port),
    address("fc_dst", "The address that the connection itself goes to.", fc_dst),
    number("fc_dst_port", "The port that the connection itself goes to.", fc_dst_port),
    Fetch::new(
        "fc_http_major",
        Type::Int,
        Client,
        "The client connection's HTTP major version: 1.",
        http_major,
    ),
    Fetch::new(
        "src_is_local",
        Type::Bool,
        Client,
        "Whether the client's address is a loopback one or the proxy's own.",
        src_is_local,
    ),
    Fetch::new(
        "dst_is_local",
        Type::Bool,
        Client,
        "Whether the destination is an address of this machine, which it is unless intercepted.",
        dst_is_local,
    ),
    Fetch::new(
        "accept_date",
        Type::Int,
        Client,
        "When the connection was accepted, in s, 'ms' or 'us' since 1970.",
        accept_date,
    )
    .args(0, &[ArgType::Str])
    .check(check_unit),
    Fetch::new(
        "request_date",
        Type::Int,
        Source::Request,
        "When the request began, in s, 'ms' or 'us' since 1970.",
        request_date,
    )
    .args(0, &[ArgType::Str])
    .check(check_unit),
    number("so_id", "The number of the listener that accepted the connection.", so_id),
    Fetch::new(
        "so_name",
        Type::Str,
        Client,
        "The name of the listener that accepted the connection.",
        so_name,
    ),
    number("fe_id", "The number of the frontend.", fe_id),
    Fetch::new("fe_name", Type::Str, Client, "The name of the frontend.", fe_name),
    Fetch::new("bc_src", Type::Ip, ServerConnection, "The address used towards the server.", bc_src),
    Fetch::new("bc_src_port", Type::Int, ServerConnection, "The port used towards the server.", bc_src_port),
    Fetch::new("bc_dst", Type::Ip, ServerConnection, "The server's address.", bc_dst),
    Fetch::new("bc_dst_port", Type::Int, ServerConnection, "The server's port.", bc_dst_port),
    Fetch::new(
        "bc_http_major",
        Type::Int,
        ServerConnection,
        "The server connection's HTTP major version: 1.",
        bc_http_major,
    ),
    Fetch::new(
        "bc_be_queue",
        Type::Int,
        ServerConnection,
        "Requests before this one in the backend's queue.",
        bc_be_queue,
    ),
    Fetch::new(
        "bc_srv_queue",
        Type::Int,
        ServerConnection,
        "Requests before this one in the server's queue.",
        bc_srv_queue,
    ),
];

fn ip<'a>(address: Option<SocketAddr>) -> Option<Value<'a>> {
    // A listener of both families shows IPv4 clients as mapped addresses, here as in every log, field and header.
    address.map(|address| Value::Ip(address.ip()))
}
fn port<'a>(address: Option<SocketAddr>) -> Option<Value<'a>> {
    address.map(|address| Value::Int(i64::from(address.port())))
}

fn src<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    ip(context.session?.source)
}
fn src_port<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    port(context.session?.source)
}
fn dst<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    ip(context.session?.destination)
}
fn dst_port<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    port(context.session?.destination)
}
fn fc_src<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    ip(context.session?.connection_addresses(context.txn).0)
}
fn fc_src_port<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    port(context.session?.connection_addresses(context.txn).0)
}
fn fc_dst<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    ip(context.session?.connection_addresses(context.txn).1)
}
fn fc_dst_port<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    port(context.session?.connection_addresses(context.txn).1)
}
fn http_major<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.session?;
    let is_http2 = context.txn.sent_by_client.is_some_and(|sent| sent.version == Version::Http2);
    Some(Value::Int(if is_http2 { 2 } else { 1 }))
}
fn bc_http_major<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.backend_destination.map(|_| Value::Int(1))
}
fn src_is_local<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let session = context.session?;
    let source = session.source?.ip().to_canonical();
    let own = session.destination.map(|address| address.ip().to_canonical());
    Some(Value::Bool(source.is_loopback() || own == Some(source)))
}
fn dst_is_local<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    // The connection itself ends on this machine; an address that a header or a rule told may not.
    let session = context.session?;
    let destination = session.destination?.ip().to_canonical();
    let own = session.connection_addresses(context.txn).1.map(|address| address.ip().to_canonical());
    Some(Value::Bool(destination.is_loopback() || own == Some(destination)))
}

fn check_unit(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.as_slice().text(0) {
        b"" | b"s" | b"ms" | b"us" => Ok(()),
        other => Err(format!("expects 's', 'ms' or 'us', got '{}'", String::from_utf8_lossy(other))),
    }
}

/// Microseconds in the unit that the argument names.
pub(crate) fn in_unit(us: u64, unit: &[u8]) -> i64 {
    (match unit {
        b"us" => us,
        b"ms" => us / 1000,
        _ => us / 1_000_000,
    }) as i64
}

fn accept_date<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(in_unit(context.session?.accepted.wall_us, args.text(0))))
}
fn request_date<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let began = match context.txn.time.first_byte_wall_us {
        0 => context.session?.accepted.wall_us,
        began => began,
    };
    Some(Value::Int(in_unit(began, args.text(0))))
}

fn so_id<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(context.session?.listener_id)))
}
fn so_name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.session?.listener_name.as_deref().map(|name| Value::text(name.as_bytes()))
}
fn fe_id<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let id = &context.session?.frontend.id;
    Some(Value::Int(i64::from(id.load(std::sync::atomic::Ordering::Relaxed))))
}
fn fe_name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(context.session?.frontend.name.as_bytes()))
}

fn bc_src<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    ip(context.txn.backend_source)
}
fn bc_src_port<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    port(context.txn.backend_source)
}
fn bc_dst<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    ip(context.txn.backend_destination)
}
fn bc_dst_port<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    port(context.txn.backend_destination)
}
fn bc_be_queue<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(context.txn.backend_queue)))
}
fn bc_srv_queue<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(context.txn.server_queue)))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, check, check_in};

    #[test]
    fn connections() {
        let mut world = World::default();
        let own = world.session.own_connection();
        own.source = Some("198.51.100.9:5".parse().unwrap());
        own.destination = Some("198.51.100.8:6".parse().unwrap());
        world.session.listener_id = 4;
        world.session.listener_name = Some("door".into());
        check(
            &world,
            &[
                ("src", "192.0.2.1"),
                ("src_port", "50000"),
                ("dst", "127.0.0.1"),
                ("dst_port", "80"),
                ("fc_src", "198.51.100.9"),
                ("fc_src_port", "5"),
                ("fc_dst", "198.51.100.8"),
                ("fc_dst_port", "6"),
                ("fc_http_major", "1"),
                ("src_is_local", "0"),
                ("accept_date", "1700000000"),
                ("accept_date(ms)", "1700000000123"),
                ("so_id", "4"),
                ("so_name", "door"),
                ("fe_name", "web"),
                ("fe_id", "2"),
            ],
        );
        world.txn.backend_destination = Some("[2001:db8::2]:8080".parse().unwrap());
        check_in(&world, Phase::Log, &[("bc_dst", "2001:db8::2"), ("bc_dst_port", "8080"), ("bc_src", "-")]);
    }
}
