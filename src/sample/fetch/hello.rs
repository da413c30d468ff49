//! Fetches of TLS hello messages that only pass by (manual, section 7.3.5): `req.ssl_sni` and its
//! family, for routing in TCP mode. They have no value in HTTP mode, whose bytes are HTTP.

use super::{Fetch, Source};
use crate::sample::arg::Arg;
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::wire::client_hello::{self, ClientHello, Extension, Found};

use Source::{RequestBuffer, ResponseBuffer};

/// A fetch of the client's hello. Bytes that are no hello will not become one.
const fn hello(name: &'static str, output: Type, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, output, RequestBuffer, doc, get).hopeless(no_hello)
}
const fn hello_type(name: &'static str, source: Source, get: super::Get) -> Fetch {
    Fetch::new(
        name,
        Type::Int,
        source,
        "The type of the TLS handshake message that the bytes are: 1 for a client's hello, 2 for a server's.",
        get,
    )
    .hopeless(no_message)
}

const SNI_DOC: &str = "The server name that the client's TLS hello asks for, as it is written there.";
const VERSION_DOC: &str = "The highest version that the client's TLS hello offers: major * 65536 + minor. An ACL takes MAJOR.MINOR.";

/// Rows.
pub const TABLE: &[Fetch] = &[
    hello_type("req.ssl_hello_type", RequestBuffer, req_hello_type),
    hello_type("req_ssl_hello_type", RequestBuffer, req_hello_type),
    hello_type("res.ssl_hello_type", ResponseBuffer, res_hello_type),
    hello_type("rep_ssl_hello_type", ResponseBuffer, res_hello_type),
    Fetch::new("req.ssl_ver", Type::Int, RequestBuffer, VERSION_DOC, version).hopeless(no_version),
    Fetch::new("req_ssl_ver", Type::Int, RequestBuffer, VERSION_DOC, version).hopeless(no_version),
    hello("req.ssl_sni", Type::Str, SNI_DOC, sni),
    hello("req_ssl_sni", Type::Str, SNI_DOC, sni),
    hello(
        "req.ssl_alpn",
        Type::Str,
        "The protocols that the client's TLS hello offers by ALPN: the first one, in an ACL each.",
        alpn,
    )
    .each(each_alpn),
    hello(
        "req.ssl_cipherlist",
        Type::Bin,
        "The cipher suites of the client's TLS hello, two bytes each.",
        ciphers,
    ),
    hello(
        "req.ssl_supported_groups",
        Type::Bin,
        "The groups that the client's TLS hello supports, two bytes each.",
        supported_groups,
    ),
    hello(
        "req.ssl_sigalgs",
        Type::Bin,
        "The signature algorithms of the client's TLS hello, two bytes each.",
        signature_algorithms,
    ),
    hello(
        "req.ssl_keyshare_groups",
        Type::Bin,
        "The groups that the client's TLS hello has a key share for, two bytes each.",
        key_share_groups,
    ),
    hello("req.ssl_ec_ext", Type::Bool, "True if the client's TLS hello tells its elliptic curves.", curves),
    hello(
        "req.ssl_st_ext",
        Type::Int,
        "What the client's TLS hello says of session tickets: 0 nothing, 1 that it wants one, 2 one it has.",
        session_ticket,
    ),
];

fn request<'a>(context: &Context<'a>) -> Option<&'a [u8]> {
    let session = context.session?;
    (!session.is_http).then_some(&context.txn.request_payload)
}
fn response<'a>(context: &Context<'a>) -> Option<&'a [u8]> {
    let session = context.session?;
    (!session.is_http).then_some(&context.txn.response_payload)
}

fn is_foreign<T>(found: Option<Found<T>>) -> bool {
    matches!(found, None | Some(Found::Foreign))
}
fn no_hello(_: &[Arg], context: &Context<'_>) -> bool {
    match request(context).map(ClientHello::parse) {
        // One without the extension will not get it.
        Some(Found::Complete(_)) => true,
        found => is_foreign(found),
    }
}
fn no_version(_: &[Arg], context: &Context<'_>) -> bool {
    is_foreign(request(context).map(client_hello::offered_version))
}
fn no_message(_: &[Arg], context: &Context<'_>) -> bool {
    use crate::sample::facts::Direction::{Request, Response};
    let bytes = match context.direction {
        Request => request(context),
        Response => response(context),
    };
    is_foreign(bytes.map(client_hello::message_type))
}

fn type_of<'a>(bytes: &[u8]) -> Option<Value<'a>> {
    client_hello::message_type(bytes).complete().map(|kind| Value::Int(kind.into()))
}
fn req_hello_type<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    type_of(request(context)?)
}
fn res_hello_type<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    type_of(response(context)?)
}
fn version<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (major, minor) = client_hello::offered_version(request(context)?).complete()?;
    Some(Value::Int(i64::from(major) << 16 | i64::from(minor)))
}

fn parsed<'a>(context: &Context<'a>) -> Option<ClientHello<'a>> {
    ClientHello::parse(request(context)?).complete()
}
fn sni<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let hello = parsed(context)?;
    Some(Value::Str(hello.bytes(hello.server_name()?)))
}
fn alpn<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let mut first = None;
    each_alpn(args, context, &mut |value| {
        first = Some(value);
        true
    });
    first
}
fn each_alpn<'a>(_: &'a [Arg], context: &Context<'a>, each: &mut dyn FnMut(Value<'a>) -> bool) {
    if let Some(hello) = parsed(context) {
        hello.protocols(|place| each(Value::Str(hello.bytes(place))));
    }
}
fn ciphers<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let hello = parsed(context)?;
    Some(Value::Bin(hello.bytes(hello.ciphers())))
}
fn supported_groups<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let hello = parsed(context)?;
    Some(Value::Bin(hello.bytes(hello.numbers(Extension::SupportedGroups)?)))
}
fn signature_algorithms<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let hello = parsed(context)?;
    Some(Value::Bin(hello.bytes(hello.numbers(Extension::SignatureAlgorithms)?)))
}
fn key_share_groups<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bin(parsed(context)?.key_share_groups()?.into()))
}
fn curves<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    parsed(context)?.extension(Extension::SupportedGroups).map(|_| Value::Bool(true))
}
fn session_ticket<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let hello = parsed(context)?;
    if !hello.has_extensions() {
        return None;
    }
    Some(Value::Int(match hello.extension(Extension::SessionTicket) {
        None => 0,
        Some(ticket) if ticket.is_empty() => 1,
        Some(_) => 2,
    }))
}

#[cfg(test)]
mod tests {
    use crate::sample::acl::Truth;
    use crate::sample::condition::Condition;
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, check_in};
    use crate::wire::client_hello::testing::{hello, server_name};

    #[test]
    fn hellos() {
        let mut world = World::default();
        let name = server_name("www.Example.org");
        world.txn.request_payload = hello(&[
            (0, &name),
            (10, b"\0\x02\0\x1d"),
            (13, b"\0\x02\x04\x03"),
            (16, b"\0\x0c\x02h2\x08http/1.1"),
            (35, b""),
            (51, b"\0\x06\0\x1d\0\x02ab"),
        ]);
        world.txn.response_payload = b"\x16\x03\x03\0\x04\x02\0\0\0".to_vec();
        let cases = [
            ("req.ssl_hello_type", "1"),
            ("req_ssl_hello_type", "1"),
            ("req.ssl_ver", "196611"),
            ("req.ssl_sni", "www.Example.org"),
            ("req_ssl_sni,lower", "www.example.org"),
            ("req.ssl_alpn", "h2"),
            ("req.ssl_cipherlist,hex", "13010A0A"),
            ("req.ssl_supported_groups,hex", "001D"),
            ("req.ssl_sigalgs,hex", "0403"),
            ("req.ssl_keyshare_groups,hex", "001D"),
            ("req.ssl_ec_ext", "1"),
            ("req.ssl_st_ext", "1"),
        ];
        check_in(&world, Phase::TcpRequestContent, &cases);
        check_in(
            &world,
            Phase::TcpResponseContent,
            &[("res.ssl_hello_type", "2"), ("rep_ssl_hello_type", "2")],
        );
        world.session.is_http = true;
        check_in(&world, Phase::TcpRequestContent, &cases.map(|(text, _)| (text, "-")));
        world.session.is_http = false;
        world.txn.request_payload = hello(&[]);
        check_in(
            &world,
            Phase::Switching,
            &[("req.ssl_sni", "-"), ("req.ssl_ec_ext", "-"), ("req.ssl_st_ext", "0")],
        );
    }

    #[test]
    fn rules_wait_for_a_hello_and_for_nothing_else() {
        let name = server_name("a.example");
        let whole = hello(&[(0, &name)]);
        let mut world = World::default();
        for (payload, is_hello, has_name) in [
            (&b""[..], Truth::Unknown, Truth::Unknown),
            (&whole[..9], Truth::Unknown, Truth::Unknown),
            (&whole[..], Truth::Yes, Truth::Yes),
            (&hello(&[])[..], Truth::Yes, Truth::No),
            (b"GET / HTTP/1.1\r\n", Truth::No, Truth::No),
        ] {
            world.txn.request_payload = payload.to_vec();
            for (text, expected) in
                [("if { req.ssl_hello_type 1 }", is_hello), ("if { req.ssl_sni -i A.Example }", has_name)]
            {
                let words: Vec<_> = text.split(' ').collect();
                let (condition, _) = world.parsing(Phase::TcpRequestContent, |context| {
                    Condition::parse(&words, crate::diag::Span::NONE, context)
                });
                assert_eq!(condition.unwrap().test(&world.context()), expected, "{text} of {payload:?}");
            }
        }
    }
}
