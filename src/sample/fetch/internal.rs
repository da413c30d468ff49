//! Fetches of constants, of the process, and of the transaction's own figures (manual, section
//! 7.3.2).

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use super::conn::in_unit;
use super::{Fetch, Source};
use crate::base::rng::Rng;
use crate::pattern::unhex;
use crate::sample::acl::Truth;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::timers::Timers;
use crate::sample::value::{Type, Value};

use ArgType::{Int, Ipv4, Ipv6, Str, Variable};
use Source::{Client, Constant, Internal, ServerConnection, Statistics};

const fn timer(name: &'static str, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Statistics, doc, get)
}

/// A figure of the profiler, which HAProxy reports as 0 while it does not run.
const fn measured(name: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Int, Internal, "A profiler's figure: 0, since there is none inside.", get)
}

/// Rows.
pub const TABLE: &[Fetch] = &[
    Fetch::new("always_true", Type::Bool, Constant, "True.", always_true),
    Fetch::new("always_false", Type::Bool, Constant, "False.", always_false),
    Fetch::new("str", Type::Str, Constant, "The text given.", constant_str).args(1, &[Str]),
    Fetch::new("int", Type::Int, Constant, "The number given.", constant_int).args(1, &[Int]),
    Fetch::new("bool", Type::Bool, Constant, "The truth given: true, false, 1 or 0.", constant_bool)
        .args(1, &[Str])
        .check(check_bool),
    Fetch::new("ipv4", Type::Ip, Constant, "The IPv4 address given.", constant_ip).args(1, &[Ipv4]),
    Fetch::new("ipv6", Type::Ip, Constant, "The IPv6 address given.", constant_ip).args(1, &[Ipv6]),
    Fetch::new("bin", Type::Bin, Constant, "The bytes given in hexadecimal.", constant_bin)
        .args(1, &[Str])
        .check(check_bin),
    Fetch::new("meth", Type::Method, Constant, "The method given.", constant_meth).args(1, &[Str]),
    Fetch::new("var", Type::Any, Constant, "The value of a variable, or the default given.", var)
        .args(1, &[Variable, Str]),
    Fetch::new("env", Type::Str, Constant, "The environment variable, as it was at start.", env)
        .args(1, &[Str])
        .check(check_env),
    Fetch::new(
        "date",
        Type::Int,
        Constant,
        "The time now, moved by <offset>, in s, 'ms' or 'us' since 1970.",
        date,
    )
    .args(0, &[Int, Str])
    .check(check_date),
    Fetch::new("date_us", Type::Int, Constant, "The microseconds of the time now.", date_us),
    Fetch::new("rand", Type::Int, Constant, "A random number, below <range> if given.", rand).args(0, &[Int]),
    Fetch::new("uuid", Type::Str, Constant, "A fresh UUID of version 4 or 7.", uuid)
        .args(0, &[Int])
        .check(check_uuid),
    Fetch::new("hostname", Type::Str, Constant, "The machine's name.", hostname),
    Fetch::new("pid", Type::Int, Constant, "The process's number.", pid),
    Fetch::new("nbproc", Type::Int, Constant, "How many processes share the work: 1.", one),
    Fetch::new("proc", Type::Int, Constant, "The number of the process among them: 1.", one),
    Fetch::new("thread", Type::Int, Constant, "The data thread at work, from 0.", thread),
    Fetch::new("tgroup", Type::Int, Constant, "The group of the data thread at work: 1.", one),
    Fetch::new("quic_enabled", Type::Bool, Constant, "Whether QUIC is served: no.", always_false),
    Fetch::new("act_conn", Type::Int, Constant, "Connections of the process.", act_conn),
    Fetch::new("uptime", Type::Int, Constant, "Seconds since the start.", uptime),
    Fetch::new(
        "acl",
        Type::Bool,
        Internal,
        "Whether all the named ACLs hold; '!' in front of a name negates it.",
        acl,
    )
    .args(1, &[Str; 12])
    .check(check_acl),
    Fetch::new("unique-id", Type::Str, Client, "The unique id made by 'unique-id-format'.", unique_id),
    Fetch::new(
        "last_rule_file",
        Type::Str,
        Internal,
        "The file of the last rule that decided.",
        last_rule_file,
    ),
    Fetch::new(
        "last_rule_line",
        Type::Int,
        Internal,
        "The line of the last rule that decided.",
        last_rule_line,
    ),
    Fetch::new(
        "last_entity",
        Type::Str,
        Internal,
        "Where the last rule that decided stands: its file and line.",
        last_entity,
    ),
    Fetch::new(
        "waiting_entity",
        Type::Str,
        Internal,
        "Where the rule stands that waits for more data: its file and line.",
        waiting_entity,
    ),
    Fetch::new(
        "term_events",
        Type::Str,
        Internal,
        "HAProxy's events at the end of each layer, for its developers; '-' says there are none.",
        term_events,
    ),
    Fetch::new("prio_class", Type::Int, Internal, "The class in the queue: 0, the normal one.", zero),
    Fetch::new("prio_offset", Type::Int, Internal, "The offset in the queue: 0, none.", zero),
    measured("cpu_ns_avg", zero),
    measured("cpu_ns_tot", zero),
    measured("lat_ns_avg", zero),
    measured("lat_ns_tot", zero),
    measured("cpu_usage_thr", zero),
    measured("cpu_usage_grp", zero),
    measured("cpu_usage_proc", zero),
    Fetch::new(
        "cpu_calls",
        Type::Int,
        Internal,
        "How often the request was worked at, from its first byte or its predecessor's end.",
        calls,
    ),
    Fetch::new("stopping", Type::Bool, Internal, "Whether the process is stopping.", stopping),
    Fetch::new(
        "internal.strm.is_htx",
        Type::Bool,
        Internal,
        "Whether messages are parsed: HTTP mode.",
        is_parsed,
    ),
    Fetch::new("txn.id32", Type::Int, Internal, "A number of the session, 32 bits.", id32),
    Fetch::new(
        "txn.sess_term_state",
        Type::Str,
        Internal,
        "How the session ended, as '%ts' has it.",
        term_state,
    ),
    Fetch::new("txn.conn_retries", Type::Int, ServerConnection, "Connection retries.", conn_retries),
    Fetch::new(
        "txn.redispatched",
        Type::Bool,
        ServerConnection,
        "Whether another server was chosen after failures.",
        redispatched,
    ),
    Fetch::new(
        "bytes_in",
        Type::Int,
        Statistics,
        "Bytes received from the client, as '%U' has it.",
        bytes_in,
    ),
    Fetch::new("req.bytes_in", Type::Int, Statistics, "Bytes received from the client.", bytes_in),
    Fetch::new("req.bytes_out", Type::Int, Statistics, "Bytes sent to the server.", bytes_to_server),
    Fetch::new("res.bytes_in", Type::Int, Statistics, "Bytes received from the server.", bytes_from_server),
    Fetch::new("bytes_out", Type::Int, Statistics, "Bytes sent to the client, as '%B' has it.", bytes_out),
    Fetch::new("res.bytes_out", Type::Int, Statistics, "Bytes sent to the client.", bytes_out),
    timer("fc.timer.handshake", "Milliseconds of handshakes, as '%Th' has it.", timer_handshake),
    timer("req.timer.idle", "Milliseconds idle before the request, as '%Ti' has it.", timer_idle),
    timer("req.timer.hdr", "Milliseconds to receive the request's head, as '%TR' has it.", timer_request),
    timer("req.timer.tq", "Handshake, idle time and request, as '%Tq' has it.", timer_tq),
    timer("req.timer.queue", "Milliseconds in queues, as '%Tw' has it.", timer_queue),
    timer("bc.timer.connect", "Milliseconds to connect to the server, as '%Tc' has it.", timer_connect),
    timer("res.timer.hdr", "Milliseconds to receive the response's head, as '%Tr' has it.", timer_response),
    timer("res.timer.data", "Milliseconds to transfer the response, as '%Td' has it.", timer_data),
    timer("txn.timer.total", "Milliseconds of the active request, as '%Ta' has it.", timer_active),
    timer("txn.timer.user", "Milliseconds as the user saw them, as '%Tu' has it.", timer_user),
    timer("fc.timer.total", "Milliseconds of the whole session, as '%Tt' has it.", timer_total),
];

fn always_true<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(true))
}
fn always_false<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(false))
}
fn one<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(1))
}
fn zero<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(0))
}
fn calls<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let since = crate::base::calls::current().saturating_sub(context.txn.calls_before);
    Some(Value::Int(since.into()))
}
fn constant_str<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(args.text(0)))
}
fn constant_int<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(args.int(0)))
}
fn check_bool(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let truth = match args.as_slice().text(0) {
        text if text.eq_ignore_ascii_case(b"true") || text == b"1" => 1,
        text if text.eq_ignore_ascii_case(b"false") || text == b"0" => 0,
        _ => return Err("Expects 'true', 'false', '0' or '1'".into()),
    };
    args[0] = Arg::Int(truth);
    Ok(())
}
fn constant_bool<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(args.int(0) != 0))
}
fn constant_ip<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    match args.first()? {
        Arg::Ip(address) => Some(Value::Ip(*address)),
        _ => None,
    }
}
fn check_bin(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let bytes = unhex(args.as_slice().text(0)).ok_or("an even number of hexadecimal digits is expected")?;
    args[0] = Arg::Str(bytes.into());
    Ok(())
}
fn constant_bin<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bin(Cow::Borrowed(args.text(0))))
}
fn constant_meth<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Value::text(args.text(0)).cast(Type::Method)
}

fn var<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let found = args.variable(0)?.get(context);
    found.or_else(|| args.get(1).map(|_| Value::text(args.text(1))))
}

/// The environment is read when the configuration is: it does not change afterwards, and nothing
/// here may touch what other threads may change.
fn check_env(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let name = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    match check.context.files.variable(&name) {
        Some(value) => args[0] = Arg::Str(value.into_bytes().into()),
        None => args.clear(),
    }
    Ok(())
}
fn env<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    args.first().map(|_| Value::text(args.text(0)))
}

fn check_date(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.as_slice().text(1) {
        b"" | b"s" | b"ms" | b"us" => Ok(()),
        other => Err(format!("expects 's', 'ms' or 'us', got '{}'", String::from_utf8_lossy(other))),
    }
}
fn date<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(in_unit(context.now.wall_us, args.text(1)).wrapping_add(args.int(0))))
}
fn date_us<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int((context.now.wall_us % 1_000_000) as i64))
}

/// Random bits for `rand` and `uuid`, seeded per thread from the system's entropy.
fn random() -> u64 {
    thread_local! {
        static RNG: RefCell<Rng> = RefCell::new(Rng::new(RandomState::new().hash_one(0u64)));
    }
    RNG.with(|rng| rng.borrow_mut().next_u64())
}
fn rand<'a>(args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let bits = random() >> 32;
    Some(Value::Int(match args.int(0) {
        0 => bits as i64,
        range => ((i128::from(bits) * i128::from(range)) >> 32) as i64,
    }))
}
fn check_uuid(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.first() {
        None | Some(Arg::Int(4 | 7)) => Ok(()),
        _ => Err(format!("Unsupported UUID version: '{}'", args.as_slice().int(0))),
    }
}
fn uuid<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (mut high, mut low) = (random(), random());
    let version = if args.int(0) == 7 { 7 } else { 4 };
    if version == 7 {
        high = ((context.now.wall_us / 1000) << 16) | (high & 0xffff);
    }
    high = high & !0xf000 | version << 12;
    low = low & !(3 << 62) | 2 << 62;
    let text = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    );
    Some(Value::string(text.into_bytes()))
}
fn hostname<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(context.process.hostname.as_bytes()))
}
fn pid<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(context.process.pid)))
}
fn thread<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(crate::base::core_id::current().saturating_sub(1) as i64))
}
fn act_conn<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(context.process.connections.load(Relaxed))))
}
fn uptime<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    // The monotonic clock stands at one second when the process starts.
    Some(Value::Int((context.now.mono_us / 1_000_000).saturating_sub(1) as i64))
}

fn check_acl(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let mut terms = Vec::new();
    for arg in args.iter() {
        let Arg::Str(word) = arg else { continue };
        let word = String::from_utf8_lossy(word).into_owned();
        let (negated, name) = match word.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, &*word),
        };
        let context = &*check.context;
        let found = context.acls.get(name, context.registry, context.place(check.span));
        terms.push((negated, found.ok_or_else(|| format!("ACL '{name}' not found"))?));
    }
    *args = vec![Arg::Acls(terms.into())];
    Ok(())
}
fn acl<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let Some(Arg::Acls(terms)) = args.first() else { return None };
    let holds = terms.iter().all(|(negated, acl)| (acl.test(context, true) == Truth::Yes) != *negated);
    Some(Value::Bool(holds))
}

fn unique_id<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.unique_id.as_deref().map(Value::text)
}
fn last_rule_file<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.last_rule.as_ref().map(|(file, _)| Value::text(file.as_bytes()))
}
fn last_rule_line<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    context.txn.last_rule.as_ref().map(|(_, line)| Value::Int(i64::from(*line)))
}
fn place<'a>(rule: Option<&(std::sync::Arc<str>, u32)>) -> Option<Value<'a>> {
    rule.map(|(file, line)| Value::string(format!("{file}:{line}").into_bytes()))
}
fn last_entity<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    place(context.txn.last_rule.as_ref())
}
fn waiting_entity<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    place(context.txn.waiting_rule.as_ref())
}
fn term_events<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::text(b"-"))
}
fn stopping<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(context.process.stopping.load(Relaxed)))
}
fn is_parsed<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(context.session?.is_http))
}
fn bytes_to_server<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(context.txn.bytes_to_server as i64))
}
fn bytes_from_server<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(context.txn.bytes_from_server as i64))
}
fn id32<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int((context.session?.number & 0xffff_ffff) as i64))
}
fn term_state<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let letters = [context.txn.ended.letter(), context.txn.ended_in.letter()];
    Some(Value::string(letters.to_vec()))
}
fn conn_retries<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(context.txn.retries)))
}
fn redispatched<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(context.txn.redispatched))
}
fn bytes_in<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(context.txn.bytes_from_client as i64))
}
fn bytes_out<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(context.txn.bytes_to_client as i64))
}

macro_rules! timers {
    ($($function:ident $timer:ident),*) => {
        $(fn $function<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            Some(Value::Int(Timers::of(context).$timer()))
        })*
    };
}
timers!(
    timer_handshake handshake, timer_idle idle, timer_request request, timer_tq until_request, timer_queue queue,
    timer_connect connect, timer_response response, timer_data data, timer_user user, timer_active active,
    timer_total total
);

/// The address that an argument holds; used by converters, too.
pub(crate) fn address_of(arg: Option<&Arg>) -> Option<IpAddr> {
    match arg? {
        Arg::Ip(address) => Some(*address),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::facts::{Ended, EndedIn};
    use crate::sample::testing::{World, alert, check, check_in, parse};
    use crate::sample::vars::VarName;
    use crate::sample::{Value, value::Type};

    #[test]
    fn constants_and_process() {
        let world = World::default();
        VarName::parse("txn.set").unwrap().set(&world.context(), Value::Int(5));
        check(
            &world,
            &[
                ("always_true", "1"),
                ("always_false", "0"),
                ("str(a b)", "a b"),
                ("str('a,b)')", "a,b)"),
                ("int(-3)", "-3"),
                ("bool(true)", "1"),
                ("ipv4(10.0.0.1)", "10.0.0.1"),
                ("ipv6(2001:db8::1)", "2001:db8::1"),
                ("bin(6162)", "ab"),
                ("meth(POST)", "POST"),
                ("var(txn.set)", "5"),
                ("var(txn.unset_here)", "-"),
                ("var(txn.unset_here,dflt)", "dflt"),
                ("env(HARING_SURELY_UNSET)", "-"),
                ("date", "1700000010"),
                ("date(-10)", "1700000000"),
                ("date(0,ms)", "1700000010123"),
                ("date_us", "123456"),
                ("hostname", "box"),
                ("pid", "4242"),
                ("nbproc", "1"),
                ("proc", "1"),
                ("uptime", "11"),
                ("last_rule_file", "-"),
                ("unique-id", "-"),
            ],
        );
        for (text, message) in [
            ("bool(maybe)", "Expects 'true', 'false', '0' or '1'"),
            ("uuid(3)", "Unsupported UUID version: '3'"),
            ("date(0,h)", "expects 's', 'ms' or 'us', got 'h'"),
            ("acl(nope)", "ACL 'nope' not found"),
            ("ipv4(x)", "failed to parse 'x' as type 'IPv4 address' at position 1"),
        ] {
            assert!(alert(text, Phase::HttpRequest).0.contains(message), "{text}");
        }
    }

    #[test]
    fn random_values() {
        let world = World::default();
        for _ in 0..50 {
            let n = parse("rand(3)", Phase::Config).eval(&world.context()).unwrap().as_int().unwrap();
            assert!((0..3).contains(&n));
        }
        for (text, version) in [("uuid", b'4'), ("uuid()", b'4'), ("uuid(7)", b'7')] {
            let expr = parse(text, Phase::Config);
            let uuid = expr.eval(&world.context()).unwrap().into_bytes(Type::Str).unwrap().into_owned();
            assert_eq!((uuid.len(), uuid[14], uuid[8]), (36, version, b'-'));
            assert!(b"89ab".contains(&uuid[19]));
        }
    }

    #[test]
    fn figures_of_the_transaction() {
        let mut world = World::request("GET / HTTP/1.1", &[]);
        world.txn.last_rule = Some(("a.cfg".into(), 12));
        world.txn.waiting_rule = Some(("b.cfg".into(), 7));
        world.txn.bytes_to_server = 50;
        world.txn.calls_before = 3;
        crate::base::calls::set_current(7);
        world.txn.bytes_from_server = 60;
        world.process.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
        world.txn.ended = Ended::Server;
        world.txn.ended_in = EndedIn::Headers;
        world.txn.bytes_to_client = 99;
        world.txn.retries = 2;
        world.txn.redispatched = true;
        check_in(
            &world,
            Phase::Log,
            &[
                ("last_rule_file", "a.cfg"),
                ("last_rule_line", "12"),
                ("last_entity", "a.cfg:12"),
                ("waiting_entity", "b.cfg:7"),
                ("term_events", "-"),
                ("cpu_calls", "4"),
                ("cpu_ns_tot", "0"),
                ("prio_class", "0"),
                ("stopping", "1"),
                ("internal.strm.is_htx", "1"),
                ("req.bytes_out", "50"),
                ("res.bytes_in", "60"),
                ("res.bytes_out", "99"),
                ("txn.sess_term_state", "SH"),
                ("bytes_out", "99"),
                ("txn.conn_retries", "2"),
                ("txn.redispatched", "1"),
                ("acl(TRUE,!FALSE)", "1"),
                ("acl(TRUE,FALSE)", "0"),
            ],
        );
    }
}
