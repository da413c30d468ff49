//! Fetches of live state: backends, servers, frontends (manual, section 7.3.2).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Fetch, Source};
use crate::sample::arg::{Arg, ArgType, Args};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::state::places::free_slots;
use crate::state::{ProxyState, ServerState};

use Source::{Backend, Internal, Server};

const fn of_backend(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Internal, doc, get).args(1, &[ArgType::Backend])
}
const fn of_frontend(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Internal, doc, get).args(1, &[ArgType::Frontend])
}
const fn of_server(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Internal, doc, get).args(1, &[ArgType::Server])
}

/// Rows.
pub const TABLE: &[Fetch] = &[
    of_backend("nbsrv", "How many servers of the backend can be used.", nbsrv),
    of_backend("be_conn", "Sessions on the backend.", be_conn),
    of_backend(
        "be_conn_free",
        "Sessions the backend's servers can still take; -1 without a limit.",
        connections_free,
    ),
    of_backend("be_sess_rate", "New sessions a second on the backend.", be_sess_rate),
    of_backend("queue", "Requests queued in the backend and on its servers.", queue),
    of_backend("avg_queue", "Queued requests per usable server, rounded up.", avg_queue),
    of_backend(
        "connslots",
        "Sessions and queue places that the backend's servers can still take; -1 without a limit.",
        connection_slots,
    ),
    of_frontend("fe_conn", "Connections on the frontend.", fe_conn),
    of_frontend("fe_req_rate", "Requests a second on the frontend.", fe_req_rate),
    of_frontend("fe_sess_rate", "New sessions a second on the frontend.", fe_sess_rate),
    of_server("srv_conn", "Sessions on the server.", srv_conn),
    of_server("srv_conn_free", "Sessions the server can still take; -1 without a limit.", srv_conn_free),
    of_server("srv_queue", "Requests queued on the server.", srv_queue),
    of_server("srv_sess_rate", "New sessions a second on the server.", srv_sess_rate),
    of_server("srv_weight", "The server's weight now, out of its initial weight.", srv_weight),
    of_server("srv_iweight", "The server's initial weight.", srv_iweight),
    of_server("srv_uweight", "The server's weight as set by the user.", srv_uweight),
    Fetch::new(
        "srv_is_up",
        Type::Bool,
        Internal,
        "Whether the server is up and not in maintenance.",
        srv_is_up,
    )
    .args(1, &[ArgType::Server]),
    Fetch::new("be_id", Type::Int, Backend, "The number of the backend.", be_id),
    Fetch::new("be_name", Type::Str, Backend, "The name of the backend.", be_name),
    Fetch::new("srv_id", Type::Int, Server, "The number of the server chosen.", srv_id),
    Fetch::new("srv_name", Type::Str, Server, "The name of the server chosen.", srv_name),
];

fn int<'a>(n: impl Into<i64>) -> Option<Value<'a>> {
    Some(Value::Int(n.into()))
}

fn nbsrv<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(args.proxy(0)?.usable_servers() as i64)
}
fn be_conn<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(args.proxy(0)?.backend_current.load(Relaxed))
}

/// What the servers in charge can still take; one without a limit makes it -1 (the manual's word for "cannot
/// be told").
fn connections_free<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let backend = args.proxy(0)?;
    let in_charge = backend.in_charge();
    let now = context.now.millis();
    let servers = backend.servers.load();
    let free = servers.iter().filter(|server| in_charge.has(server)).map(|server| {
        let free = free_slots(backend, server, now)?;
        Some(i64::from(free))
    });
    int(free.sum::<Option<i64>>().unwrap_or(-1))
}
/// What all servers that are not down can take together with their queues, by their configured limits
/// (manual, section 7.3.2 `connslots`); -1 if one has no limit.
fn connection_slots<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let left = |server: &Arc<ServerState>| {
        let limits = [&server.maxconn, &server.maxqueue].map(|limit| i64::from(limit.load(Relaxed)));
        let used = i64::from(server.served.load(Relaxed)) + i64::from(server.queue.len());
        (limits[0] != 0 && limits[1] != 0).then_some(limits[0] + limits[1] - used)
    };
    let servers = args.proxy(0)?.servers.load();
    let running = servers.iter().filter(|server| server.is_running());
    int(running.map(left).sum::<Option<i64>>().unwrap_or(-1))
}
fn be_sess_rate<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    int(args.proxy(0)?.backend_session_rate.read(context.now.millis()))
}
fn total_queue(backend: &ProxyState) -> i64 {
    let servers = backend.servers.load();
    i64::from(backend.queue.len()) + servers.iter().map(|server| i64::from(server.queue.len())).sum::<i64>()
}
fn queue<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(total_queue(args.proxy(0)?))
}
fn avg_queue<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let backend = args.proxy(0)?;
    let (queued, usable) = (total_queue(backend), backend.usable_servers() as i64);
    // Without a server the manual wants twice what waits.
    int(if usable == 0 { queued * 2 } else { (queued + usable - 1) / usable })
}
fn fe_conn<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(args.proxy(0)?.frontend_current.load(Relaxed))
}
fn fe_req_rate<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    int(args.proxy(0)?.frontend_request_rate.read(context.now.millis()))
}
fn fe_sess_rate<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    int(args.proxy(0)?.frontend_session_rate.read(context.now.millis()))
}
fn srv_conn<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(args.server(0)?.served.load(Relaxed))
}
fn srv_conn_free<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (Some(Arg::Server(backend, _)), server) = (args.first(), args.server(0)?) else { return None };
    int(free_slots(backend, &server, context.now.millis()).map_or(-1, i64::from))
}
fn srv_queue<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(args.server(0)?.queue.len())
}
fn srv_sess_rate<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    int(args.server(0)?.session_rate.read(context.now.millis()))
}
fn srv_weight<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(args.server(0)?.effective_weight().div_ceil(16))
}
fn srv_iweight<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(args.server(0)?.initial_weight())
}
fn srv_uweight<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    int(args.server(0)?.user_weight())
}
fn srv_is_up<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    // A server that was removed is not up.
    Some(Value::Bool(args.server(0).is_some_and(|server| server.is_running())))
}

/// The backend, which is the frontend itself until one is chosen.
pub(crate) fn backend<'a>(context: &Context<'a>) -> Option<&'a Arc<ProxyState>> {
    context.txn.backend.as_ref().or_else(|| context.session.map(|session| &session.frontend))
}
fn be_id<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    int(backend(context)?.id.load(Relaxed))
}
fn be_name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(backend(context)?.name.as_bytes()))
}
fn srv_id<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    int(context.txn.server.as_ref()?.id.load(Relaxed))
}
fn srv_name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(context.txn.server.as_ref()?.name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, check, check_in};
    use crate::state::server::Operational;

    #[test]
    fn backends_and_servers() {
        let mut world = World::default();
        let backend = world.registry.proxy("app");
        let servers: Vec<_> = ["s1", "s2"].iter().map(|name| world.registry.server("app", name).0).collect();
        backend.servers.store(Arc::new(servers.clone()));
        backend.backend_current.store(7, Relaxed);
        servers[0].served.store(3, Relaxed);
        servers[0].maxconn.store(10, Relaxed);
        servers[1].maxconn.store(5, Relaxed);
        servers[1].set_initial_weight(20);
        check(
            &world,
            &[
                ("nbsrv(app)", "2"),
                ("be_conn(app)", "7"),
                ("be_conn_free(app)", "12"),
                ("connslots(app)", "-1"),
                ("queue(app)", "0"),
                ("avg_queue(app)", "0"),
                ("srv_conn(app/s1)", "3"),
                ("srv_conn_free(app/s1)", "7"),
                ("srv_is_up(app/s1)", "1"),
                ("srv_is_up(app/s9)", "0"),
                ("srv_queue(app/s1)", "0"),
                ("srv_weight(app/s2)", "20"),
                ("srv_iweight(app/s2)", "20"),
                ("fe_conn", "0"),
                ("be_name", "web"),
            ],
        );
        servers[1].set_operational(Operational::Stopped);
        check(&world, &[("nbsrv(app)", "1"), ("srv_is_up(app/s2)", "0"), ("be_conn_free(app)", "7")]);
        // A backup takes nothing while an active server does; `connslots` counts every server that is not down.
        servers[1].set_operational(Operational::Running);
        servers[1].backup.store(true, Relaxed);
        servers[0].maxqueue.store(4, Relaxed);
        servers[1].maxqueue.store(1, Relaxed);
        servers[0].minconn.store(2, Relaxed);
        backend.fullconn.store(20, Relaxed);
        let counted = [
            ("nbsrv(app)", "1"),
            ("be_conn_free(app)", "0"),
            ("srv_conn_free(app/s1)", "0"),
            ("connslots(app)", "17"),
        ];
        check(&world, &counted);
        servers[0].set_operational(Operational::Stopped);
        check(&world, &[("nbsrv(app)", "1"), ("be_conn_free(app)", "5"), ("connslots(app)", "6")]);
        servers[0].set_operational(Operational::Running);
        world.txn.backend = Some(backend);
        world.txn.server = Some(servers[0].clone());
        check_in(&world, Phase::Log, &[("be_name", "app"), ("srv_name", "s1"), ("srv_id", "0")]);
        let named = world.registry.take_references();
        assert!(
            named.iter().any(|r| r.proxy == "app" && r.server.as_deref() == Some("s9")),
            "they can be checked"
        );
    }
}
