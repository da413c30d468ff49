//! Fetches of what lies below a connection's addresses: the kernel's figures, the listener, and how a
//! connection is shared (manual, section 7.3.3).
//!
//! HTTP/1 and TCP carry one stream per connection, which is what the fetches of streams answer.

use std::sync::atomic::Ordering::Relaxed;

use super::{Fetch, Source};
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Http2Facts;
use crate::sample::facts::{Context, TcpFigures};
use crate::sample::value::{Type, Value};

use Source::{Client, ServerConnection};

const UNIT: &[ArgType] = &[ArgType::Str];

const fn time(name: &'static str, source: Source, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, source, doc, get).args(0, UNIT).check(check_unit)
}
const fn figure(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Client, doc, get).args(0, UNIT).check(check_no_unit)
}
const fn number(name: &'static str, source: Source, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, source, doc, get)
}

const RTT: &str = "The mean round trip time of the connection, in 'ms' or 'us'.";
const RTTVAR: &str = "The variance of the connection's round trip time, in 'ms' or 'us'.";
const STREAMS: &str = "How many streams are open on the connection; 1 unless it speaks HTTP/2.";
const STREAMS_MAX: &str = "How many streams may be open on the connection; 1 unless it speaks HTTP/2.";
const GLITCHES: &str =
    "What the peer did on an HTTP/2 connection that sound peers do not do, so far; 0 on others.";

/// Rows.
pub const TABLE: &[Fetch] = &[
    time("fc_rtt", Client, RTT, fc_rtt),
    time("fc_rttvar", Client, RTTVAR, fc_rttvar),
    time("bc_rtt", ServerConnection, RTT, bc_rtt),
    time("bc_rttvar", ServerConnection, RTTVAR, bc_rttvar),
    figure("fc_unacked", "Segments sent to the client and not acknowledged.", fc_unacked),
    figure("fc_sacked", "Segments that the client acknowledged selectively.", fc_sacked),
    figure("fc_retrans", "Segments being retransmitted to the client.", fc_retrans),
    figure("fc_fackets", "Segments that the client acknowledged by forward acknowledgement.", fc_fackets),
    figure("fc_lost", "Segments to the client taken for lost.", fc_lost),
    figure(
        "fc_reordering",
        "How far segments of the client's connection were seen out of order.",
        fc_reordering,
    ),
    Fetch::new(
        "fc_saved_syn",
        Type::Bin,
        Client,
        "The client's first packet, which listeners keep with 'tcp-ss'; absent, since none does.",
        |_, _| None,
    ),
    Fetch::new(
        "fc_src_is_local",
        Type::Bool,
        Client,
        "Whether the connection comes from a loopback address or one of the proxy's own.",
        fc_src_is_local,
    ),
    Fetch::new(
        "fc_dst_is_local",
        Type::Bool,
        Client,
        "Whether the connection goes to an address of this machine, which it does unless intercepted.",
        fc_dst_is_local,
    ),
    number("dst_conn", Client, "Connections on the same listener, this one included.", dst_conn),
    number("fc_nb_streams", Client, STREAMS, streams),
    number("bc_nb_streams", ServerConnection, STREAMS, one),
    number("fc_settings_streams_limit", Client, STREAMS_MAX, streams_max),
    number("bc_settings_streams_limit", ServerConnection, STREAMS_MAX, one),
    number("fc_glitches", Client, GLITCHES, glitches),
    number("bc_glitches", ServerConnection, GLITCHES, none),
    Fetch::new(
        "bc_reused",
        Type::Bool,
        ServerConnection,
        "Whether the server connection has served other requests before.",
        bc_reused,
    ),
];

fn check_unit(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.as_slice().text(0) {
        b"" | b"ms" | b"us" => Ok(()),
        other => Err(format!("expects 'us' or 'ms', got '{}'", String::from_utf8_lossy(other))),
    }
}
/// Counters have no unit. HAProxy has always let one pass; it warns that it means nothing.
fn check_no_unit(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    if !args.is_empty() {
        let message = format!("'{}' takes no argument: it returns a counter", check.keyword);
        check.context.report.warning(check.span, message);
        args.clear();
    }
    Ok(())
}

fn client<'a>(context: &Context<'a>) -> Option<TcpFigures> {
    (context.process.sockets.tcp_figures)(context.session?.transport.socket?)
}
fn server<'a>(context: &Context<'a>) -> Option<TcpFigures> {
    (context.process.sockets.tcp_figures)(context.txn.server_socket?)
}
fn in_unit<'a>(us: u32, args: &[Arg]) -> Option<Value<'a>> {
    let us = i64::from(us);
    // Milliseconds are rounded.
    Some(Value::Int(if args.text(0) == b"us" { us } else { (us + 500) / 1000 }))
}
fn fc_rtt<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    in_unit(client(context)?.rtt_us, args)
}
fn fc_rttvar<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    in_unit(client(context)?.rtt_variance_us, args)
}
fn bc_rtt<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    in_unit(server(context)?.rtt_us, args)
}
fn bc_rttvar<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    in_unit(server(context)?.rtt_variance_us, args)
}

macro_rules! figures {
    ($($function:ident $field:ident),*) => {
        $(fn $function<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            Some(Value::Int(client(context)?.$field.into()))
        })*
    };
}
figures!(
    fc_unacked unacked, fc_sacked sacked, fc_retrans retrans, fc_fackets fackets, fc_lost lost,
    fc_reordering reordering
);

fn fc_src_is_local<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (source, destination) = context.session?.connection_addresses(context.txn);
    let source = source?.ip().to_canonical();
    let own = destination.map(|address| address.ip().to_canonical());
    Some(Value::Bool(source.is_loopback() || own == Some(source)))
}
fn fc_dst_is_local<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.session?.connection_addresses(context.txn).1.map(|_| Value::Bool(true))
}
fn dst_conn<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let connections = context.session?.transport.listener_connections.as_ref()?;
    Some(Value::Int(connections.load(Relaxed).into()))
}
fn one<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(1))
}
/// What is seen of a client's HTTP/2 connection; `other` on one that speaks something else.
fn of_http2<'a>(context: &Context<'a>, other: u32, get: impl Fn(&Http2Facts) -> u32) -> Option<Value<'a>> {
    let facts = context.session?.transport.http2.as_deref();
    Some(Value::Int(facts.map_or(other, get).into()))
}
fn streams<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    of_http2(context, 1, |facts| facts.streams.get())
}
fn streams_max<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    of_http2(context, 1, |facts| facts.streams_max)
}
fn glitches<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    of_http2(context, 0, |facts| facts.glitches.get())
}
fn none<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(0))
}
fn bc_reused<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(context.txn.server_reused))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample::expr::Phase;
    use crate::sample::facts::{SocketProbe, Transport};
    use crate::sample::testing::{World, alert, check, check_in};

    #[test]
    fn what_the_system_tells() {
        let mut world = World::default();
        let names = ["fc_rtt", "fc_rttvar(us)", "fc_unacked", "dst_conn", "fc_saved_syn"];
        check(&world, &names.map(|name| (name, "-")));
        // Descriptor 7 is the client's, 8 the server's.
        world.process.sockets = SocketProbe {
            tcp_figures: |socket| {
                let rtt_us = if socket == 7 { 1499 } else { 500 };
                Some(TcpFigures { rtt_us, rtt_variance_us: 250, unacked: 2, lost: 3, ..Default::default() })
            },
        };
        world.session.transport =
            Transport { socket: Some(7), listener_connections: Some(Arc::new(5.into())), http2: None };
        check(
            &world,
            &[
                ("fc_rtt", "1"),
                ("fc_rtt(us)", "1499"),
                ("fc_rttvar(ms)", "0"),
                ("fc_unacked", "2"),
                ("fc_sacked", "0"),
                ("fc_lost", "3"),
                ("dst_conn", "5"),
                ("fc_nb_streams", "1"),
                ("fc_settings_streams_limit", "1"),
                ("fc_glitches", "0"),
                ("fc_src_is_local", "0"),
                ("fc_dst_is_local", "1"),
            ],
        );
        check_in(&world, Phase::HttpResponse, &[("bc_rtt", "-"), ("bc_reused", "0")]);
        world.txn.server_socket = Some(8);
        world.txn.server_reused = true;
        check_in(
            &world,
            Phase::HttpResponse,
            &[("bc_rtt", "1"), ("bc_rttvar(us)", "250"), ("bc_reused", "1")],
        );
        assert!(alert("fc_rtt(s)", Phase::HttpRequest).0.contains("expects 'us' or 'ms', got 's'"));
    }
}
