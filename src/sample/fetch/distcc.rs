//! Fetches of distcc messages in unparsed bytes (manual, section 7.3.5; distcc's doc/protocol-1.txt).
//!
//! A message is a row of tokens: four letters, then a number of eight hexadecimal digits, which for all but a
//! few tokens is the length of the body that follows.

use std::borrow::Cow;

use super::payload::unparsed;
use super::{Fetch, Source};
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

const TOKEN: &[ArgType] = &[ArgType::Str, ArgType::Int];
/// Letters and digits of a token.
const HEADER: usize = 12;
/// Tokens whose number is not a length.
const BODILESS: [&[u8]; 5] = [b"ARGC", b"DIST", b"NFIL", b"STAT", b"DONE"];

/// Rows.
pub const TABLE: &[Fetch] = &[
    Fetch::new(
        "distcc_param",
        Type::Int,
        Source::EitherBuffer,
        "The number of a distcc token, its first or occurrence <occ> from 1.",
        param,
    )
    .args(1, TOKEN)
    .check(check_token),
    Fetch::new(
        "distcc_body",
        Type::Bin,
        Source::EitherBuffer,
        "The body of a distcc token, its first or occurrence <occ> from 1, as far as it has come.",
        body,
    )
    .args(1, TOKEN)
    .check(check_token),
];

fn check_token(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    if args.as_slice().text(0).len() != 4 {
        return Err("token name must be exactly 4 characters".into());
    }
    Ok(())
}

/// The token's number, and its body as far as it is there.
fn token<'a>(args: &[Arg], context: &Context<'a>) -> Option<(u32, &'a [u8])> {
    let mut rest = unparsed(context.direction, context)?;
    let mut left = args.int(1).max(1);
    loop {
        let (header, after) = rest.split_at_checked(HEADER)?;
        let digits = header[4..].iter().all(u8::is_ascii_hexdigit).then_some(&header[4..])?;
        let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        let name = &header[..4];
        let len = if BODILESS.contains(&name) { 0 } else { number as usize };
        if name == args.text(0) {
            left -= 1;
            if left == 0 {
                return Some((number, &after[..len.min(after.len())]));
            }
        }
        rest = after.get(len..)?;
    }
}

fn param<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    token(args, context).map(|(number, _)| Value::Int(number.into()))
}
fn body<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    token(args, context).map(|(_, body)| Value::Bin(Cow::Borrowed(body)))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check_in};

    #[test]
    fn tokens() {
        let mut world = World::default();
        world.txn.request_payload = b"DIST00000001ARGC00000002ARGV00000002ccARGV00000005hello".to_vec();
        check_in(
            &world,
            Phase::TcpRequestContent,
            &[
                ("distcc_param(DIST)", "1"),
                ("distcc_param(ARGC)", "2"),
                ("distcc_param(ARGV)", "2"),
                ("distcc_param(ARGV,2)", "5"),
                ("distcc_body(ARGV)", "cc"),
                ("distcc_body(ARGV,2)", "hello"),
                ("distcc_param(ARGV,3)", "-"),
                ("distcc_param(DOTI)", "-"),
            ],
        );
        world.txn.request_payload = b"DIST0000000xARGC00000002".to_vec();
        check_in(&world, Phase::TcpRequestContent, &[("distcc_param(ARGC)", "-")]);
        let (message, _) = alert("distcc_param(DIS)", Phase::TcpRequestContent);
        assert!(message.contains("exactly 4 characters"), "{message}");
    }
}
