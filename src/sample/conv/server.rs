//! Converters that tell the state of what the input names: a backend, a server, a frontend (manual,
//! `nbsrv`, `srv_is_up`, `srv_queue`, `fe_exists`).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Converter;
use crate::sample::arg::{Arg, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::state::proxy::side;
use crate::state::{ProxyState, Registry, ServerState};

const fn row(name: &'static str, output: Type, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Str, output, doc, apply).check(check)
}

/// Rows.
pub const TABLE: &[Converter] = &[
    row("nbsrv", Type::Int, "How many servers of the backend of this name can be used.", nbsrv),
    row("srv_is_up", Type::Bool, "Whether the server of this name, or backend/name, is up.", srv_is_up),
    row("srv_queue", Type::Int, "Requests queued on the server of this name, or backend/name.", srv_queue),
    row("fe_exists", Type::Bool, "Whether there is a frontend of this name.", fe_exists),
];

/// Keeps what names are looked up in: all live objects, and the proxy that the rule belongs to.
fn check(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    args.push(Arg::Registry(check.context.registry.root().clone()));
    if let Some(own) = check.context.proxy {
        args.push(Arg::Proxy(check.context.registry.proxy(own)));
    }
    Ok(())
}

fn registry(args: &[Arg]) -> Option<&Arc<Registry>> {
    match args.first() {
        Some(Arg::Registry(registry)) => Some(registry),
        _ => None,
    }
}

fn proxy(args: &[Arg], name: &str, wanted: u8) -> Option<Arc<ProxyState>> {
    registry(args)?.find_proxy(name).filter(|proxy| proxy.sides.load(Relaxed) & wanted != 0)
}

fn server(value: &Value<'_>, args: &[Arg]) -> Option<Arc<ServerState>> {
    let name = std::str::from_utf8(value.bytes()?).ok()?;
    let (backend, name) = match (name.split_once('/'), args.get(1)) {
        (Some((backend, name)), _) => (proxy(args, backend, side::BACKEND)?, name),
        (None, Some(Arg::Proxy(own))) => (own.clone(), name),
        _ => return None,
    };
    backend.servers.load().iter().find(|server| *server.name == *name).cloned()
}

fn nbsrv<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let name = std::str::from_utf8(value.bytes()?).ok()?;
    Some(Value::Int(proxy(args, name, side::BACKEND)?.usable_servers() as i64))
}
fn srv_is_up<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(server(&value, args)?.is_running()))
}
fn srv_queue<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(server(&value, args)?.queue.len())))
}
fn fe_exists<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let name = std::str::from_utf8(value.bytes()?).ok();
    Some(Value::Bool(name.is_some_and(|name| proxy(args, name, side::FRONTEND).is_some())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{World, check};

    #[test]
    fn names_are_looked_up() {
        let world = World::default();
        world.registry.proxy("web").sides.store(side::FRONTEND | side::BACKEND, Relaxed);
        let backend = world.registry.proxy("pool");
        backend.sides.store(side::BACKEND, Relaxed);
        let (one, _) = world.registry.server("pool", "s1");
        backend.servers.store(Arc::new(vec![one]));
        let (own, _) = world.registry.server("web", "s9");
        world.registry.proxy("web").servers.store(Arc::new(vec![own]));
        check(
            &world,
            &[
                ("str(web),fe_exists", "1"),
                ("str(pool),fe_exists", "0"),
                ("str(nope),fe_exists", "0"),
                ("str(pool),nbsrv", "1"),
                ("str(nope),nbsrv", "-"),
                ("str(pool/s1),srv_is_up", "1"),
                ("str(s9),srv_is_up", "1"),
                ("str(s1),srv_is_up", "-"),
                ("str(pool/s2),srv_is_up", "-"),
                ("str(pool/s1),srv_queue", "0"),
                ("str(nope/s1),srv_queue", "-"),
            ],
        );
        // What comes later is found too.
        world.registry.proxy("late").sides.store(side::FRONTEND, Relaxed);
        check(&world, &[("str(late),fe_exists", "1")]);
    }
}
