//! Fetches of what a proxy is configured to do and what rules made of it: time-outs, retries, the
//! default backend (manual, section 7.3.3). A time-out that is not set is 0.

use std::sync::Arc;

use super::state::backend;
use super::{Fetch, Source};
use crate::sample::arg::Arg;
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::state::proxy::Configured;

use Source::{Backend, Client};

const fn of_backend(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Backend, doc, get)
}
const fn of_frontend(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Client, doc, get)
}

/// Rows.
pub const TABLE: &[Fetch] = &[
    of_backend("be_connect_timeout", "The backend's 'timeout connect' in milliseconds.", be_connect),
    of_backend("be_queue_timeout", "The backend's 'timeout queue' in milliseconds.", be_queue),
    of_backend("be_server_timeout", "The backend's 'timeout server' in milliseconds.", be_server),
    of_backend("be_tarpit_timeout", "The backend's 'timeout tarpit' in milliseconds.", be_tarpit),
    of_backend("be_tunnel_timeout", "The backend's 'timeout tunnel' in milliseconds.", be_tunnel),
    of_backend("be_max_retries", "The backend's 'retries'.", be_retries),
    of_frontend("fe_client_timeout", "The frontend's 'timeout client' in milliseconds.", fe_client),
    of_frontend("fe_tarpit_timeout", "The frontend's 'timeout tarpit' in milliseconds.", fe_tarpit),
    Fetch::new("fe_defbe", Type::Str, Client, "The name of the frontend's default backend.", default_backend),
    of_frontend("cur_client_timeout", "The client time-out in force, in milliseconds.", cur_client),
    of_frontend("cur_tarpit_timeout", "The tarpit time-out in force, in milliseconds.", cur_tarpit),
    of_backend("cur_connect_timeout", "The connect time-out in force, in milliseconds.", cur_connect),
    of_backend("cur_queue_timeout", "The queue time-out in force, in milliseconds.", cur_queue),
    of_backend("cur_server_timeout", "The server time-out in force, in milliseconds.", cur_server),
    of_backend("cur_tunnel_timeout", "The tunnel time-out in force, in milliseconds.", cur_tunnel),
    of_backend("cur_max_retries", "The number of retries in force.", cur_retries),
];

fn of<'a>(context: &Context<'a>) -> Option<arc_swap::Guard<Arc<Configured>>> {
    Some(backend(context)?.configured.load())
}
fn frontend<'a>(context: &Context<'a>) -> Option<arc_swap::Guard<Arc<Configured>>> {
    Some(context.session?.frontend.configured.load())
}
fn millis<'a>(timeout: Option<u64>) -> Option<Value<'a>> {
    Some(Value::Int(timeout.unwrap_or(0) as i64))
}

/// A function for the proxy's own value, and one for what a rule may have set instead.
macro_rules! timeouts {
    ($($own:ident $current:ident $proxy:ident $configured:ident $set:ident),*) => {
        $(
            fn $own<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                millis($proxy(context)?.$configured)
            }
            fn $current<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                match context.txn.timeouts.$set {
                    None => $own(args, context),
                    set => millis(set),
                }
            }
        )*
    };
}
timeouts!(
    be_connect cur_connect of connect_timeout_ms connect_ms,
    be_queue cur_queue of queue_timeout_ms queue_ms,
    be_server cur_server of server_timeout_ms server_ms,
    be_tarpit cur_tarpit of tarpit_timeout_ms tarpit_ms,
    be_tunnel cur_tunnel of tunnel_timeout_ms tunnel_ms,
    fe_client cur_client frontend client_timeout_ms client_ms
);

fn fe_tarpit<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    millis(frontend(context)?.tarpit_timeout_ms)
}
fn be_retries<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(of(context)?.retries.into()))
}
fn cur_retries<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    match context.txn.timeouts.retries {
        Some(retries) => Some(Value::Int(retries.into())),
        None => be_retries(args, context),
    }
}
fn default_backend<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let name = frontend(context)?.default_backend.clone()?;
    Some(Value::string(name.into_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample::testing::{World, check};

    #[test]
    fn what_holds() {
        let mut world = World::request("GET / HTTP/1.1", &[]);
        check(&world, &[("be_server_timeout", "0"), ("cur_tunnel_timeout", "0"), ("fe_defbe", "-")]);
        world.session.frontend.configured.store(Arc::new(Configured {
            client_timeout_ms: Some(10),
            tarpit_timeout_ms: Some(11),
            default_backend: Some("app".into()),
            ..Default::default()
        }));
        let backend = world.registry.proxy("app");
        backend.configured.store(Arc::new(Configured {
            server_timeout_ms: Some(20),
            tunnel_timeout_ms: Some(21),
            connect_timeout_ms: Some(22),
            queue_timeout_ms: Some(23),
            tarpit_timeout_ms: Some(24),
            retries: 3,
            ..Default::default()
        }));
        world.txn.backend = Some(backend);
        world.txn.timeouts.server_ms = Some(99);
        world.txn.timeouts.client_ms = Some(98);
        world.txn.timeouts.retries = Some(5);
        check(
            &world,
            &[
                ("fe_client_timeout", "10"),
                ("fe_tarpit_timeout", "11"),
                ("fe_defbe", "app"),
                ("be_server_timeout", "20"),
                ("be_tunnel_timeout", "21"),
                ("be_connect_timeout", "22"),
                ("be_queue_timeout", "23"),
                ("be_tarpit_timeout", "24"),
                ("be_max_retries", "3"),
                ("cur_max_retries", "5"),
                ("cur_server_timeout", "99"),
                ("cur_client_timeout", "98"),
                ("cur_tunnel_timeout", "21"),
                ("cur_connect_timeout", "22"),
                ("cur_queue_timeout", "23"),
                ("cur_tarpit_timeout", "24"),
            ],
        );
    }
}
