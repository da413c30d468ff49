//! Converters of JSON Web Tokens (manual, `jwt_header_query`, `jwt_payload_query`, `jwt_verify`). The queries
//! take a token at its word; the others verify its signature, and nothing else of it.

use base64::Engine;

use super::Converter;
use super::encode::URL;
use super::json;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::sample::vars::VarName;
use crate::tls::jws::{self, Algorithm, Key};
use crate::tls::pem;

const fn row(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Bin, Type::Any, doc, apply).args(0, &[ArgType::Str, ArgType::Str]).check(check)
}
const fn verifying(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Bin, Type::Int, doc, apply).args(2, &[ArgType::Str, ArgType::Str])
}

/// Rows.
pub const TABLE: &[Converter] = &[
    row("jwt_header_query", "A token's header, or what is at a JSON path in it.", header),
    row("jwt_payload_query", "A token's payload, or what is at a JSON path in it.", payload),
    verifying(
        "jwt_verify",
        "1 if a token's signature is right by an algorithm and a secret, or the public key in a file; 0 if it is \
         not, below 0 if it cannot be told. A variable may hold the algorithm and a secret, but no path.",
        verify,
    )
    .check(check_verify),
    verifying(
        "jwt_verify_cert",
        "As 'jwt_verify', by the public key of a certificate file, as it is when the configuration is loaded.",
        verify_cert,
    )
    .check(check_verify_cert),
];

/// A variable, or an algorithm that exists.
fn check_algorithm(arg: &mut Arg) -> Result<Option<Algorithm>, String> {
    let Arg::Str(text) = arg else { return Ok(None) };
    let name = String::from_utf8_lossy(text).into_owned();
    if let Ok(variable) = VarName::parse(&name) {
        *arg = Arg::Variable(variable);
        return Ok(None);
    }
    let known = Algorithm::parse(name.as_bytes());
    known.map(Some).ok_or_else(|| format!("unknown JWT algorithm: '{name}'"))
}

/// After the check, the arguments are the algorithm, the secret (or a variable) and the public key, which is
/// empty if the file of that name has none.
fn check_verify(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let algorithm = check_algorithm(&mut args[0])?;
    let text = args.as_slice().text(1).to_vec();
    let path = String::from_utf8_lossy(&text).into_owned();
    let mut public = Vec::new();
    if let Ok(variable) = VarName::parse(&path) {
        if algorithm.is_some_and(Algorithm::is_public) {
            return Err(format!(
                "'{path}' is a variable, but a public key is loaded with the configuration: name its file"
            ));
        }
        args[1] = Arg::Variable(variable);
    } else if algorithm.is_none_or(Algorithm::is_public) {
        // If a variable tells the algorithm, this may be a path or a secret.
        let read = check.context.files.read(&path).map_err(|error| format!("'{path}': {error}"));
        let key = read.and_then(|bytes| {
            let found = pem::public_key(pem::File { path: &path, bytes: &bytes });
            found.map_err(|error| error.to_string())
        });
        match key {
            Ok(key) => public = key,
            Err(error) if algorithm.is_some() => return Err(error),
            Err(_) => {}
        }
    }
    args.push(Arg::Str(public.into()));
    Ok(())
}

fn check_verify_cert(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let algorithm = check_algorithm(&mut args[0])?;
    if matches!(algorithm, Some(Algorithm::Hmac(_))) {
        return Err(
            "a certificate goes with RS, PS and ES algorithms, not with HMAC: use 'jwt_verify'".into()
        );
    }
    let path = String::from_utf8_lossy(args.as_slice().text(1)).into_owned();
    if VarName::parse(&path).is_ok() {
        return Err(format!(
            "'{path}' is a variable, but certificates are loaded with the configuration: name a file"
        ));
    }
    let bytes = check.context.files.read(&path).map_err(|error| format!("'{path}': {error}"))?;
    let found =
        pem::authorities(pem::File { path: &path, bytes: &bytes }).map_err(|error| error.to_string())?;
    args[1] = Arg::Str(found[0].public_key_info().into());
    Ok(())
}

/// What the first argument tells.
fn algorithm<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<std::borrow::Cow<'a, [u8]>> {
    match args.first()? {
        Arg::Variable(name) => Some(name.get(context)?.into_bytes(Type::Str)?.into_owned().into()),
        _ => Some(args.text(0).into()),
    }
}

fn verify<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let name = algorithm(args, context)?;
    let public = args.text(2);
    let is_public = Algorithm::parse(&name).is_some_and(Algorithm::is_public);
    let held;
    let key = match args.get(1)? {
        _ if is_public && !public.is_empty() => Key::Public(public),
        _ if is_public => Key::Unknown,
        Arg::Variable(name) => {
            held = name.get(context)?.into_bytes(Type::Str)?;
            Key::Secret(&held)
        }
        _ => Key::Secret(args.text(1)),
    };
    Some(Value::Int(jws::verify(value.bytes()?, &name, key) as i64))
}

fn verify_cert<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let name = algorithm(args, context)?;
    Some(Value::Int(jws::verify(value.bytes()?, &name, Key::Public(args.text(1))) as i64))
}

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
    use rcgen::{CertificateParams, KeyPair};

    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, alert_in, check};
    use crate::sample::{Value, vars::VarName};

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
    #[test]
    fn signatures() {
        const HEAD: &str =
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwiaWF0IjoxNTE2MjM5MDIyfQ";
        let key = KeyPair::generate().expect("a key");
        let certificate =
            CertificateParams::new(Vec::new()).expect("no names").self_signed(&key).expect("one");
        let world =
            World::default().file("/key.pem", &key.public_key_pem()).file("/cert.pem", &certificate.pem());
        let set = |name: &str, value: &'static [u8]| {
            assert!(VarName::parse(name).unwrap().set(&world.context(), Value::text(value)));
        };
        set("txn.jwt_hs256", b"HS256");
        set("txn.jwt_es256", b"ES256");
        set("txn.jwt_secret", b"secret");
        for (signature, converter, expected) in [
            ("YQ", "jwt_verify(HS256,other)", "0"),
            ("!", "jwt_verify(HS256,secret)", "-3"),
            ("", "jwt_verify(none,x)", "1"),
            ("YQ", "jwt_verify(none,x)", "0"),
            ("YWI", "jwt_verify(ES256,/key.pem)", "0"),
            ("YQ", "jwt_verify(ES256,/key.pem)", "-3"),
            ("YWI", "jwt_verify(txn.jwt_es256,/key.pem)", "0"),
            ("YWI", "jwt_verify(txn.jwt_es256,/other.pem)", "-5"),
            ("YWI", "jwt_verify(txn.jwt_es256,txn.jwt_secret)", "-5"),
            ("YWI", "jwt_verify(txn.jwt_hs256,/key.pem)", "0"),
            ("YWI", "jwt_verify(txn.jwt_none,/key.pem)", "-"),
            ("YWI", "jwt_verify(HS256,txn.jwt_none)", "-"),
            ("YWI", "jwt_verify(txn.jwt_secret,txn.jwt_secret)", "-1"),
            ("YWI", "jwt_verify_cert(ES256,/cert.pem)", "0"),
            ("YWI", "jwt_verify_cert(txn.jwt_hs256,/cert.pem)", "-2"),
        ] {
            check(&world, &[(&format!("str({HEAD}.{signature}),{converter}"), expected)]);
        }
        // A right one: its code is made by the converter of codes.
        let code = format!("str({HEAD}),hmac(sha256,txn.jwt_key),ub64enc,set-var(txn.jwt_code)");
        set("txn.jwt_key", b"c2VjcmV0");
        let token = format!("str({HEAD}.),concat(,txn.jwt_code)");
        check(&world, &[(&format!("{code},length"), "43")]);
        for converter in ["jwt_verify(HS256,secret)", "jwt_verify(txn.jwt_hs256,txn.jwt_secret)"] {
            check(&world, &[(&format!("{token},{converter}"), "1")]);
        }
        for (converter, message) in [
            ("jwt_verify(HS255,secret)", "unknown JWT algorithm: 'HS255'"),
            ("jwt_verify(ES256,/absent.pem)", "'/absent.pem'"),
            ("jwt_verify(ES256,/cert.pem)", "there is no public key in this file"),
            ("jwt_verify(ES256,txn.jwt_path)", "name its file"),
            ("jwt_verify_cert(ES256,/key.pem)", "there is no certificate in this file"),
            ("jwt_verify_cert(HS256,/cert.pem)", "not with HMAC"),
            ("jwt_verify_cert(ES256,txn.path)", "name a file"),
            ("jwt_verify(HS256)", "missing arguments"),
        ] {
            let (found, _) = alert_in(&world, &format!("str(a),{converter}"), Phase::HttpRequest);
            assert!(found.contains(message), "{converter}: {found}");
        }
    }
}
