//! Converters that hand on what they get and do something beside it: `debug` tells it, `when` lets
//! it pass under a condition, `capture-req` and `capture-res` keep it (manual, section 7.3.1).

use super::Converter;
use crate::sample::acl::Truth;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::{Context, Direction, Ended};
use crate::sample::value::{Type, Value};

use ArgType::{Int, Str};

/// Rows.
pub const TABLE: &[Converter] = &[
    Converter::new("debug", Type::Any, Type::Any, "Tells the value to a ring, stdout or stderr.", debug)
        .args(0, &[Str, Str])
        .check(check_debug)
        .same_output(),
    Converter::new("when", Type::Any, Type::Any, "Lets the value pass if the condition holds.", when)
        .args(1, &[Str, Str])
        .check(check_when),
    Converter::new(
        "capture-req",
        Type::Str,
        Type::Str,
        "Keeps the string in a request slot.",
        capture_request,
    )
    .args(1, &[Int]),
    Converter::new(
        "capture-res",
        Type::Str,
        Type::Str,
        "Keeps the string in a response slot.",
        capture_response,
    )
    .args(1, &[Int]),
];

// --- debug ---------------------------------------------------------------------------------

/// Where it goes when nothing is said.
pub const RING_DEFAULT: &str = "buf0";

fn check_debug(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let to = String::from_utf8_lossy(args.as_slice().text(1)).into_owned();
    let to = if to.is_empty() { RING_DEFAULT } else { &to };
    let rings = &check.context.named.rings;
    if !matches!(to, RING_DEFAULT | "stdout" | "stderr") && !rings.contains(to) {
        let near = crate::diag::closest(to, rings.iter().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
        return Err(format!("unable to find sink '{to}': it is 'buf0', 'stdout', 'stderr' or a ring{hint}"));
    }
    let prefix = args.as_slice().text(0).to_vec();
    *args = vec![Arg::Str(prefix.into()), Arg::Str(to.as_bytes().into())];
    Ok(())
}

fn debug<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let mut line = b"[debug] ".to_vec();
    line.extend_from_slice(args.text(0));
    line.extend_from_slice(b": type=");
    let kind = match &value {
        Value::Ip(address) if address.is_ipv4() => "ipv4",
        Value::Ip(_) => "ipv6",
        other => other.kind().name(),
    };
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b" <");
    let start = line.len();
    value.write(&mut line);
    for byte in &mut line[start..] {
        if !matches!(byte, b' '..=b'~') {
            *byte = b'.';
        }
    }
    line.push(b'>');
    context.process.events.tell(std::str::from_utf8(args.text(1)).unwrap_or(RING_DEFAULT), line);
    Some(value)
}

// --- when ----------------------------------------------------------------------------------

/// The conditions, by their place.
const CONDITIONS: [&str; 7] = ["stopping", "normal", "error", "forwarded", "toapplet", "processed", "acl"];

fn check_when(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let given = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    let (negated, name) = match given.strip_prefix('!') {
        Some(name) => (true, name),
        None => (false, &*given),
    };
    let place = CONDITIONS.iter().position(|known| *known == name).ok_or_else(|| {
        format!("expects a supported keyword among {{{}}} but got '{name}'", CONDITIONS.join(","))
    })?;
    let mut checked = vec![Arg::Int(i64::from(negated)), Arg::Int(place as i64)];
    if name == "acl" {
        let acl = String::from_utf8_lossy(args.as_slice().text(1)).into_owned();
        if acl.is_empty() {
            return Err("'acl' selector requires an extra argument with the ACL name".into());
        }
        let context = &*check.context;
        let found = context.acls.get(&acl, context.registry, context.place(check.span));
        let found = found.ok_or_else(|| format!("ACL '{acl}' not found"))?;
        checked.push(Arg::Acls([(false, found)].into()));
    }
    *args = checked;
    Ok(())
}

fn when<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let txn = context.txn;
    let forwarded = txn.backend_destination.is_some();
    let to_applet = txn.by_service;
    // As `option dontlog-normal` tells what went wrong.
    let error = txn.redispatched
        || !matches!(txn.ended, Ended::Normally | Ended::Local)
        || txn.ended == Ended::Normally && txn.retries > 0
        || txn.status >= 500;
    let holds = match CONDITIONS.get(args.int(1) as usize).copied()? {
        "stopping" => context.process.stopping.load(std::sync::atomic::Ordering::Relaxed),
        "normal" => !error,
        "error" => error,
        "forwarded" => forwarded,
        "toapplet" => to_applet,
        "processed" => forwarded || to_applet,
        _ => match args.get(2) {
            Some(Arg::Acls(acls)) => acls.iter().all(|(_, acl)| acl.test(context, true) == Truth::Yes),
            _ => false,
        },
    };
    (holds != (args.int(0) == 1)).then_some(value)
}

// --- captures ------------------------------------------------------------------------------

/// Keeps the text in a slot; without such a slot there is no value, as in HAProxy.
fn capture<'a>(value: Value<'a>, args: &[Arg], context: &Context<'a>, of: Direction) -> Option<Value<'a>> {
    let slot = usize::try_from(args.int(0)).ok()?;
    context.txn.capture(of, slot, value.bytes()?).then_some(value)
}
fn capture_request<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    capture(value, args, context, Direction::Request)
}
fn capture_response<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    capture(value, args, context, Direction::Response)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check, check_in};

    #[test]
    fn debug_tells_what_passes() {
        let mut world = World::default();
        world.named.rings.insert("trace".into());
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let teller = told.clone();
        world.process.events.set(Box::new(move |to: &str, line: Vec<u8>| {
            teller.lock().unwrap().push(format!("{to} {}", String::from_utf8_lossy(&line)));
        }));
        check(
            &world,
            &[
                ("str(abc),debug(pfx),upper", "ABC"),
                ("int(7),debug(,stderr),add(1)", "8"),
                ("bin(41ff0042),debug(x,trace),hex", "41FF0042"),
                ("ipv6(::1),debug(a,stdout)", "::1"),
                ("bool(true),debug", "1"),
            ],
        );
        let expected = [
            "buf0 [debug] pfx: type=str <abc>",
            "stderr [debug] : type=sint <7>",
            "trace [debug] x: type=bin <A.>",
            "stdout [debug] a: type=ipv6 <::1>",
            "buf0 [debug] : type=bool <1>",
        ];
        assert_eq!(*told.lock().unwrap(), expected);
        let (found, _) = alert("str(a),debug(p,nope)", Phase::HttpRequest);
        assert!(found.contains("unable to find sink 'nope'"), "{found}");
    }

    #[test]
    fn when_lets_pass() {
        let mut world = World::request("GET / HTTP/1.1", &["Host: h"]);
        check(
            &world,
            &[
                ("str(a),when(normal)", "a"),
                ("str(a),when(error)", "-"),
                ("str(a),when(!error)", "a"),
                ("str(a),when(stopping)", "-"),
                ("str(a),when(forwarded)", "-"),
                ("str(a),when(!processed)", "a"),
                ("str(a),when(acl,TRUE)", "a"),
                ("str(a),when(!acl,METH_GET)", "-"),
                ("int(1),when(normal),add(1)", "2"),
            ],
        );
        world.txn.status = 503;
        world.txn.backend_destination = Some("127.0.0.1:80".parse().unwrap());
        world.process.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
        check(
            &world,
            &[
                ("str(a),when(error)", "a"),
                ("str(a),when(normal)", "-"),
                ("str(a),when(stopping)", "a"),
                ("str(a),when(forwarded)", "a"),
                ("str(a),when(processed)", "a"),
                ("str(a),when(toapplet)", "-"),
            ],
        );
        for (text, message) in [
            ("str(a),when(never)", "expects a supported keyword among {stopping,normal,"),
            ("str(a),when(acl)", "'acl' selector requires an extra argument"),
            ("str(a),when(acl,nope)", "ACL 'nope' not found"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }

    #[test]
    fn captures_are_seen_at_once() {
        let mut world = World::request("GET / HTTP/1.1", &["Host: h"]);
        world.txn.request_captures = vec![Some(b"old".as_slice().into()), None];
        world.txn.request_capture_sizes = vec![10, 3];
        check(
            &world,
            &[
                ("str(abcdef),capture-req(1)", "abcdef"),
                ("capture.req.hdr(1)", "abc"),
                ("capture.req.hdr(0)", "old"),
                ("str(new),capture-req(0),upper", "NEW"),
                ("capture.req.hdr(0)", "new"),
                ("str(x),capture-req(2)", "-"),
                ("str(x),capture-req(-1)", "-"),
                ("str(x),capture-res(0)", "-"),
            ],
        );
        world.txn.settle_captures();
        assert_eq!(world.txn.request_captures[1].as_deref(), Some(&b"abc"[..]));
        check_in(&world, Phase::Log, &[("capture.req.hdr(1)", "abc")]);
    }
}
