//! Converters that look into a JSON Web Token (manual, `jwt_header_query`, `jwt_payload_query`). The
//! token is taken at its word: nothing is verified here.

use base64::Engine;

use super::Converter;
use super::encode::URL;
use super::json;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

const fn row(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Bin, Type::Any, doc, apply).args(0, &[ArgType::Str, ArgType::Str]).check(check)
}

/// Rows.
pub const TABLE: &[Converter] = &[
    row("jwt_header_query", "A token's header, or what is at a JSON path in it.", header),
    row("jwt_payload_query", "A token's payload, or what is at a JSON path in it.", payload),
];

fn check(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    if args.as_slice().text(0).is_empty() {
        args.clear();
        return Ok(());
    }
    json::check_query(args, check)
}

/// The part of this number, decoded and looked into.
fn query<'a>(value: &Value<'_>, args: &[Arg], part: usize) -> Option<Value<'a>> {
    let encoded = value.bytes()?.split(|byte| *byte == b'.').nth(part)?;
    let decoded = URL.decode(encoded).ok()?;
    match args.first() {
        Some(Arg::JsonPath(steps)) => json::query(&decoded, steps, args.int(1) == 1),
        None => Some(Value::string(decoded)),
        Some(_) => None,
    }
}

fn header<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    query(&value, args, 0)
}
fn payload<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    query(&value, args, 1)
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};

    #[test]
    fn tokens() {
        // {"alg":"HS256","typ":"JWT"} . {"sub":"1234567890","iat":1516239022} . no signature
        const TOKEN: &str =
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwiaWF0IjoxNTE2MjM5MDIyfQ.x";
        for (token, converters, expected) in [
            (TOKEN, "jwt_header_query", "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
            (TOKEN, "jwt_header_query('$.alg')", "HS256"),
            (TOKEN, "jwt_header_query('$.kid')", "-"),
            (TOKEN, "jwt_payload_query('$.sub')", "1234567890"),
            (TOKEN, "jwt_payload_query('$.iat','int'),add(1)", "1516239023"),
            ("eyJhIjoxfQ", "jwt_header_query('$.a')", "1"),
            ("eyJhIjoxfQ", "jwt_payload_query('$.a')", "-"),
            ("?.?.?", "jwt_header_query", "-"),
            ("", "jwt_payload_query", "-"),
        ] {
            check(&World::default(), &[(&format!("str({token}),{converters}"), expected)]);
        }
        let (found, _) = alert("str(a),jwt_header_query('$.a',float)", Phase::HttpRequest);
        assert!(found.contains("output_type only supports \"int\" as argument"), "{found}");
    }
}
