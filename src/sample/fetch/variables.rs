//! The fetch that writes variables out (manual, section 7.3.2): `dump_all_vars`. A single one is `var`'s.

use super::{Fetch, Source};
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value, write_ip};
use crate::sample::vars::Scope;

use ArgType::Str;

/// Rows.
pub const TABLE: &[Fetch] = &[Fetch::new(
    "dump_all_vars",
    Type::Str,
    Source::Internal,
    "The variables of <scope> whose names begin with <prefix>, as name=value, joined by ', ' or <delim>.",
    dump,
)
.args(0, &[Str, Str, Str])
.check(check_scope)];

/// Scopes in the order in which they are written.
const SCOPES: [(&str, Scope); 5] = [
    ("sess", Scope::Sess),
    ("txn", Scope::Txn),
    ("req", Scope::Req),
    ("res", Scope::Res),
    ("proc", Scope::Proc),
];

fn check_scope(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let scope = args.as_slice().text(0);
    if scope.is_empty() || SCOPES.iter().any(|(name, _)| name.as_bytes() == scope) {
        return Ok(());
    }
    Err(format!(
        "scope must be 'sess', 'txn', 'req', 'res' or 'proc', got '{}'",
        String::from_utf8_lossy(scope)
    ))
}

fn dump<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (scope, prefix) = (args.text(0), args.text(1));
    let delimiter = if args.len() > 2 { args.text(2) } else { b", " };
    let mut out = Vec::new();
    for (name, of) in SCOPES.iter().filter(|(name, _)| scope.is_empty() || name.as_bytes() == scope) {
        of.each(context, |variable, value| {
            if !variable.as_bytes().starts_with(prefix) {
                return;
            }
            if !out.is_empty() {
                out.extend_from_slice(delimiter);
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'.');
            out.extend_from_slice(variable.as_bytes());
            out.push(b'=');
            write(value, &mut out);
        });
    }
    Some(Value::string(out))
}

/// A value as the manual's list of types writes it.
fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Int(_) => value.write(out),
        Value::Ip(address) => write_ip(*address, out),
        Value::Bin(bytes) => {
            out.push(b'x');
            for byte in bytes.iter() {
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
        }
        Value::Str(text) | Value::Method(_, text) => {
            out.push(b'"');
            for byte in text.iter() {
                match byte {
                    b'"' | b'\\' => out.extend([b'\\', *byte]),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    8 => out.extend_from_slice(b"\\b"),
                    0 => out.extend_from_slice(b"\\0"),
                    other => out.push(*other),
                }
            }
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};
    use crate::sample::vars::VarName;

    #[test]
    fn variables_are_written_out() {
        let world = World::request("GET / HTTP/1.1", &[]);
        for (name, value) in [
            ("txn.dumped_name", Value::text(b"John \"Doe\"\n")),
            ("txn.dumped_bin", Value::Bin(b"Hello"[..].into())),
            ("txn.dumped_n", Value::Int(42)),
            ("txn.dumped_yes", Value::Bool(true)),
            ("sess.dumped_ip", Value::Ip("192.168.1.1".parse().unwrap())),
            ("req.dumped_m", Value::Method(Method::Get, b"GET"[..].into())),
        ] {
            assert!(VarName::parse(name).unwrap().set(&world.context(), value));
        }
        check(
            &world,
            &[
                (
                    "dump_all_vars(txn)",
                    "txn.dumped_name=\"John \\\"Doe\\\"\\n\", txn.dumped_bin=x48656c6c6f, txn.dumped_n=42, \
                     txn.dumped_yes=true",
                ),
                (
                    "dump_all_vars(txn,dumped_n,'; ')",
                    "txn.dumped_name=\"John \\\"Doe\\\"\\n\"; txn.dumped_n=42",
                ),
                ("dump_all_vars(sess)", "sess.dumped_ip=192.168.1.1"),
                ("dump_all_vars(req)", "req.dumped_m=\"GET\""),
                ("dump_all_vars(res)", ""),
                ("dump_all_vars(,dumped_y)", "txn.dumped_yes=true"),
            ],
        );
        assert!(alert("dump_all_vars(tx)", Phase::HttpRequest).0.contains("scope must be"));
    }
}
