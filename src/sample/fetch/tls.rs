//! Fetches of TLS connections (manual, section 7.3.4). A connection without TLS is told to have none, and all
//! that only TLS knows is absent then: configurations ask this way whether to redirect to https, whichever
//! listeners they have.
//!
//! Everything hangs together by name: a prefix says which connection or certificate is meant.

use std::borrow::Cow;

use super::{Fetch, Source};
use crate::sample::arg::{Arg, ArgType, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::tls::certificate::{Certificate, KeyKind};
use crate::tls::connection::TlsFacts;
use crate::tls::facts;

use ArgType::{Int, Str};
use Source::{Client, ServerConnection};

/// `<entry>,<occ>,<format>` of a distinguished name.
const NAME_PART: &[ArgType] = &[Str, Int, Str];

const fn asked(name: &'static str, source: Source, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, Type::Bool, source, doc, get)
}
const fn known(name: &'static str, output: Type, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, output, Client, doc, get)
}
const fn known_back(name: &'static str, output: Type, doc: &'static str, get: super::Get) -> Fetch {
    Fetch::new(name, output, ServerConnection, doc, get)
}
const fn front(name: &'static str, output: Type, doc: &'static str) -> Fetch {
    Fetch::new(name, output, Client, doc, absent)
}
const fn back(name: &'static str, output: Type, doc: &'static str) -> Fetch {
    Fetch::new(name, output, ServerConnection, doc, absent)
}
const fn filtered(name: &'static str, output: Type, doc: &'static str) -> Fetch {
    front(name, output, doc).args(0, &[Int])
}

const SECRET: &str = "A secret of the TLS session, for decrypting captures; absent without TLS.";
const ERROR: &str = "The error of the TLS connection; absent without TLS.";

/// The rows of a certificate: the client's, the frontend's own, the server's.
macro_rules! certificate {
    ($whose_fn:ident: $der:literal $subject:literal $issuer:literal $key:literal $after:literal $before:literal
     $serial:literal $sha1:literal $signature:literal $version:literal, $whose:literal) => {
        &[
            known(
                $der,
                Type::Bin,
                concat!($whose, " certificate in DER; absent without TLS."),
                $whose_fn::der,
            ),
            known(
                $subject,
                Type::Str,
                concat!("The subject of ", $whose, " certificate; absent without TLS."),
                $whose_fn::subject,
            )
            .args(0, NAME_PART)
            .check(check_name_format),
            known(
                $issuer,
                Type::Str,
                concat!("The issuer of ", $whose, " certificate; absent without TLS."),
                $whose_fn::issuer,
            )
            .args(0, NAME_PART)
            .check(check_name_format),
            known(
                $key,
                Type::Str,
                concat!("The key's algorithm in ", $whose, " certificate; absent without TLS."),
                $whose_fn::key_algorithm,
            ),
            known(
                $after,
                Type::Str,
                concat!("The end of ", $whose, " certificate's life; absent without TLS."),
                $whose_fn::not_after,
            ),
            known(
                $before,
                Type::Str,
                concat!("The start of ", $whose, " certificate's life; absent without TLS."),
                $whose_fn::not_before,
            ),
            known(
                $serial,
                Type::Bin,
                concat!("The serial number of ", $whose, " certificate; absent without TLS."),
                $whose_fn::serial,
            ),
            known(
                $sha1,
                Type::Bin,
                concat!("The SHA-1 of ", $whose, " certificate; absent without TLS."),
                $whose_fn::sha1,
            ),
            known(
                $signature,
                Type::Str,
                concat!("The signature's algorithm in ", $whose, " certificate; absent without TLS."),
                $whose_fn::signature_algorithm,
            ),
            known(
                $version,
                Type::Int,
                concat!("The version of ", $whose, " certificate; absent without TLS."),
                $whose_fn::version,
            ),
        ]
    };
}

/// Rows of the client's certificate.
pub const CLIENT_CERTIFICATE: &[Fetch] = certificate!(
    of_client: "ssl_c_der" "ssl_c_s_dn" "ssl_c_i_dn" "ssl_c_key_alg" "ssl_c_notafter" "ssl_c_notbefore"
    "ssl_c_serial" "ssl_c_sha1" "ssl_c_sig_alg" "ssl_c_version", "the client's"
);
/// Rows of the certificate that the frontend presents.
pub const FRONTEND_CERTIFICATE: &[Fetch] = certificate!(
    of_frontend: "ssl_f_der" "ssl_f_s_dn" "ssl_f_i_dn" "ssl_f_key_alg" "ssl_f_notafter" "ssl_f_notbefore"
    "ssl_f_serial" "ssl_f_sha1" "ssl_f_sig_alg" "ssl_f_version", "the frontend's"
);
/// Rows of the server's certificate. HAProxy lets them be used wherever the client is known.
pub const SERVER_CERTIFICATE: &[Fetch] = certificate!(
    of_server: "ssl_s_der" "ssl_s_s_dn" "ssl_s_i_dn" "ssl_s_key_alg" "ssl_s_notafter" "ssl_s_notbefore"
    "ssl_s_serial" "ssl_s_sha1" "ssl_s_sig_alg" "ssl_s_version", "the server's"
);

/// Rows.
pub const TABLE: &[Fetch] = &[
    asked("ssl_fc", Client, "Whether the client's connection uses TLS.", fc),
    asked("ssl_fc_has_sni", Client, "Whether the client's TLS hello told a server name.", fc_has_sni),
    asked("ssl_fc_is_resumed", Client, "Whether the client's TLS session was resumed.", fc_is_resumed),
    asked("ssl_bc", ServerConnection, "Whether the connection to the server uses TLS.", bc),
    asked(
        "ssl_bc_is_resumed",
        ServerConnection,
        "Whether the TLS session with the server was resumed.",
        bc_is_resumed,
    ),
    // Of the client's connection.
    known(
        "ssl_fc_has_crt",
        Type::Bool,
        "Whether the client presented a certificate; absent without TLS.",
        fc_has_crt,
    ),
    known(
        "ssl_fc_has_early",
        Type::Bool,
        "Whether early data were received and may be replayed; absent without TLS.",
        fc_has_no_early,
    ),
    known(
        "ssl_fc_early_rcvd",
        Type::Bool,
        "Whether early data were received; absent without TLS.",
        fc_has_no_early,
    ),
    known(
        "ssl_fc_alg_keysize",
        Type::Int,
        "The bits of the symmetric algorithm; absent without TLS.",
        fc_key_size,
    ),
    known("ssl_fc_use_keysize", Type::Int, "The bits of the key in use; absent without TLS.", fc_key_size),
    known("ssl_fc_alpn", Type::Str, "The protocol that ALPN chose; absent without TLS.", fc_protocol_name),
    front("ssl_fc_npn", Type::Str, "The protocol that NPN chose; absent without TLS."),
    known("ssl_fc_cipher", Type::Str, "The name of the cipher; absent without TLS.", fc_suite),
    known("ssl_fc_curve", Type::Str, "The name of the key agreement's curve; absent without TLS.", fc_group),
    known("ssl_fc_protocol", Type::Str, "The name of the TLS version; absent without TLS.", fc_version),
    front("ssl_fc_protocol_hello_id", Type::Int, "The version of the client's hello; absent without TLS."),
    known(
        "ssl_fc_sni",
        Type::Str,
        "The server name that the client's TLS hello told; absent without TLS.",
        fc_name,
    ),
    known(
        "ssl_fc_crtname",
        Type::Str,
        "The name of the certificate presented; absent without TLS.",
        fc_certificate_name,
    ),
    front("ssl_fc_ech_status", Type::Str, "How the encrypted hello fared; absent without TLS."),
    front("ssl_fc_ech_outer_sni", Type::Str, "The name in the outer hello; absent without TLS."),
    front("ssl_fc_session_id", Type::Bin, "The TLS session's id; absent without TLS."),
    front("ssl_fc_session_key", Type::Bin, "The TLS session's master key; absent without TLS."),
    front("ssl_fc_unique_id", Type::Bin, "The TLS unique id; absent without TLS."),
    front("ssl_fc_client_random", Type::Bin, "The random of the client's hello; absent without TLS."),
    front("ssl_fc_server_random", Type::Bin, "The random of the server's hello; absent without TLS."),
    known("ssl_fc_err", Type::Int, ERROR, fc_error),
    known("ssl_fc_err_str", Type::Str, ERROR, fc_error_words),
    front("ssl_fc_cipherlist_xxh", Type::Int, "A hash of the client's ciphers; absent without TLS."),
    filtered("ssl_fc_cipherlist_bin", Type::Bin, "The client's ciphers; absent without TLS."),
    filtered("ssl_fc_cipherlist_hex", Type::Str, "The client's ciphers in hexadecimal; absent without TLS."),
    filtered("ssl_fc_cipherlist_str", Type::Str, "The client's ciphers by name; absent without TLS."),
    filtered("ssl_fc_extlist_bin", Type::Bin, "The extensions of the client's hello; absent without TLS."),
    filtered("ssl_fc_eclist_bin", Type::Bin, "The client's groups; absent without TLS."),
    front("ssl_fc_ecformats_bin", Type::Bin, "The client's point formats; absent without TLS."),
    filtered("ssl_fc_supported_versions_bin", Type::Bin, "The client's versions; absent without TLS."),
    filtered("ssl_fc_sigalgs_bin", Type::Bin, "The client's signature algorithms; absent without TLS."),
    front("ssl_fc_client_early_traffic_secret", Type::Str, SECRET),
    front("ssl_fc_client_handshake_traffic_secret", Type::Str, SECRET),
    front("ssl_fc_server_handshake_traffic_secret", Type::Str, SECRET),
    front("ssl_fc_client_traffic_secret_0", Type::Str, SECRET),
    front("ssl_fc_server_traffic_secret_0", Type::Str, SECRET),
    front("ssl_fc_exporter_secret", Type::Str, SECRET),
    front("ssl_fc_early_exporter_secret", Type::Str, SECRET),
    // Of the client's certificate beyond what every certificate has.
    known(
        "ssl_c_used",
        Type::Bool,
        "Whether the TLS session uses a client certificate; absent without TLS.",
        client_used,
    ),
    known(
        "ssl_c_verify",
        Type::Int,
        "The outcome of verifying the client's certificate; absent without TLS.",
        client_verify,
    ),
    known(
        "ssl_c_err",
        Type::Int,
        "The error of verifying the client's certificate; absent without TLS.",
        client_error,
    ),
    known(
        "ssl_c_ca_err",
        Type::Int,
        "The error above the client's certificate; absent without TLS.",
        client_authority_error,
    ),
    known(
        "ssl_c_ca_err_depth",
        Type::Int,
        "How far above the client's certificate; absent without TLS.",
        client_authority_depth,
    ),
    known(
        "ssl_c_chain_der",
        Type::Bin,
        "The client's certificates in DER; absent without TLS.",
        client_chain,
    ),
    known(
        "ssl_c_san",
        Type::Str,
        "The alternative names in the client's certificate; absent without TLS.",
        client_alternative_names,
    ),
    known(
        "ssl_c_policies",
        Type::Str,
        "The policies in the client's certificate; absent without TLS.",
        client_policies,
    )
    .args(0, &[Str]),
    known(
        "ssl_c_r_dn",
        Type::Str,
        "The subject of the client certificate's root; absent without TLS.",
        client_root,
    )
    .args(0, NAME_PART)
    .check(check_name_format),
    known(
        "ssl_s_chain_der",
        Type::Bin,
        "The server's certificates in DER; absent without TLS.",
        server_chain,
    ),
    // Of the connection to the server.
    known_back(
        "ssl_bc_alg_keysize",
        Type::Int,
        "The bits of the symmetric algorithm to the server; absent without TLS.",
        bc_key_size,
    ),
    known_back(
        "ssl_bc_use_keysize",
        Type::Int,
        "The bits of the key to the server; absent without TLS.",
        bc_key_size,
    ),
    known_back(
        "ssl_bc_alpn",
        Type::Str,
        "The protocol that ALPN chose with the server; absent without TLS.",
        bc_protocol_name,
    ),
    back("ssl_bc_npn", Type::Str, "The protocol that NPN chose with the server; absent without TLS."),
    known_back(
        "ssl_bc_cipher",
        Type::Str,
        "The name of the cipher to the server; absent without TLS.",
        bc_suite,
    ),
    known_back(
        "ssl_bc_curve",
        Type::Str,
        "The curve of the key agreement with the server; absent without TLS.",
        bc_group,
    ),
    known_back(
        "ssl_bc_protocol",
        Type::Str,
        "The TLS version to the server; absent without TLS.",
        bc_version,
    ),
    known_back("ssl_bc_sni", Type::Str, "The server name told to the server; absent without TLS.", bc_name),
    back("ssl_bc_session_id", Type::Bin, "The id of the TLS session with the server; absent without TLS."),
    back(
        "ssl_bc_session_key",
        Type::Bin,
        "The master key of the TLS session with the server; absent without TLS.",
    ),
    back("ssl_bc_unique_id", Type::Bin, "The TLS unique id of the server's connection; absent without TLS."),
    back("ssl_bc_client_random", Type::Bin, "The random of the hello to the server; absent without TLS."),
    back("ssl_bc_server_random", Type::Bin, "The random of the server's hello; absent without TLS."),
    back("ssl_bc_err", Type::Int, ERROR),
    back("ssl_bc_err_str", Type::Str, ERROR),
    front("ssl_bc_client_early_traffic_secret", Type::Str, SECRET),
    front("ssl_bc_client_handshake_traffic_secret", Type::Str, SECRET),
    front("ssl_bc_server_handshake_traffic_secret", Type::Str, SECRET),
    front("ssl_bc_client_traffic_secret_0", Type::Str, SECRET),
    front("ssl_bc_server_traffic_secret_0", Type::Str, SECRET),
    front("ssl_bc_exporter_secret", Type::Str, SECRET),
    front("ssl_bc_early_exporter_secret", Type::Str, SECRET),
];

/// RFC 2253 is the one format besides the default.
fn check_name_format(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.get(2) {
        Some(Arg::Str(format)) if !matches!(&format[..], b"" | b"rfc2253") => Err(format!(
            "only rfc2253 or an empty value are supported (got '{}')",
            String::from_utf8_lossy(format)
        )),
        _ => Ok(()),
    }
}

/// TLS of the client's connection.
fn client<'a>(context: &Context<'a>) -> Option<&'a TlsFacts> {
    context.session?.connection.as_ref()?.tls.as_deref()
}
/// TLS of the connection to the server.
fn server<'a>(context: &Context<'a>) -> Option<&'a TlsFacts> {
    context.txn.server_tls.as_deref()
}

/// What both sides' connections are asked.
macro_rules! of_connection {
    ($side:ident: $is:ident $is_resumed:ident $key_size:ident $protocol_name:ident $suite:ident $group:ident
     $version:ident $name:ident) => {
        fn $is<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            Some(Value::Bool($side(context).is_some()))
        }
        fn $is_resumed<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            Some(Value::Bool($side(context).is_some_and(|tls| tls.agreed.is_resumed)))
        }
        fn $key_size<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            Some(Value::Int($side(context)?.key_bits().into()))
        }
        fn $protocol_name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            Some(Value::Str(Cow::Borrowed($side(context)?.agreed.protocol.as_deref()?)))
        }
        fn $suite<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            text($side(context)?.suite())
        }
        fn $group<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            text($side(context)?.group()?)
        }
        fn $version<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            text($side(context)?.version())
        }
        fn $name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            Some(Value::Str(Cow::Borrowed($side(context)?.name.as_deref()?)))
        }
    };
}

of_connection!(client: fc fc_is_resumed fc_key_size fc_protocol_name fc_suite fc_group fc_version fc_name);
of_connection!(server: bc bc_is_resumed bc_key_size bc_protocol_name bc_suite bc_group bc_version bc_name);

fn text<'a>(text: &'static str) -> Option<Value<'a>> {
    Some(Value::Str(Cow::Borrowed(text.as_bytes())))
}
/// What a certificate is asked; `$der` finds its bytes.
macro_rules! of_certificate {
    ($module:ident, $der:ident) => {
        mod $module {
            use super::*;

            fn leaf(context: &Context<'_>) -> Option<Certificate> {
                Certificate::parse($der(context)?).ok()
            }
            pub(super) fn der<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                Some(Value::Bin(Cow::Borrowed($der(context)?)))
            }
            pub(super) fn subject<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                name_part(leaf(context)?.subject(), args)
            }
            pub(super) fn issuer<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                name_part(leaf(context)?.issuer(), args)
            }
            pub(super) fn key_algorithm<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                text(key_algorithm_name(leaf(context)?.key_kind())?)
            }
            pub(super) fn not_after<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                owned(facts::not_after(&leaf(context)?)?)
            }
            pub(super) fn not_before<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                owned(facts::not_before(&leaf(context)?)?)
            }
            pub(super) fn serial<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                Some(Value::Bin(Cow::Owned(facts::serial(&leaf(context)?))))
            }
            pub(super) fn sha1<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                Some(Value::Bin(Cow::Owned(facts::sha1($der(context)?).to_vec())))
            }
            pub(super) fn signature_algorithm<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                text(facts::signature_algorithm(&leaf(context)?)?)
            }
            pub(super) fn version<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
                Some(Value::Int(leaf(context)?.version().into()))
            }
        }
    };
}

of_certificate!(of_client, client_der);
of_certificate!(of_frontend, frontend_der);
of_certificate!(of_server, server_der);

fn client_der<'a>(context: &Context<'a>) -> Option<&'a [u8]> {
    client(context)?.peer.first().map(|der| &**der)
}
fn frontend_der<'a>(context: &Context<'a>) -> Option<&'a [u8]> {
    client(context)?.shown.as_ref().map(|shown| shown.leaf.der())
}
fn server_der<'a>(context: &Context<'a>) -> Option<&'a [u8]> {
    server(context)?.peer.first().map(|der| &**der)
}

/// The algorithm of a key by OpenSSL's name of its identifier.
fn key_algorithm_name(kind: KeyKind) -> Option<&'static str> {
    Some(match kind {
        KeyKind::Rsa => "rsaEncryption",
        KeyKind::RsaPss => "RSASSA-PSS",
        KeyKind::Ec => "id-ecPublicKey",
        KeyKind::Dsa => "dsaEncryption",
        KeyKind::Ed25519 => "ED25519",
        KeyKind::Ed448 => "ED448",
        KeyKind::Other => return None,
    })
}

fn owned<'a>(bytes: &[u8]) -> Option<Value<'a>> {
    Some(Value::Str(Cow::Owned(bytes.to_vec())))
}

/// The part of a name that `<entry>,<occ>,<format>` ask for.
fn name_part<'a>(name: &[u8], args: &[Arg]) -> Option<Value<'a>> {
    let word = |at: usize| match args.get(at) {
        Some(Arg::Str(text)) => &text[..],
        _ => b"",
    };
    let occurrence = match args.get(1) {
        Some(Arg::Int(number)) => *number,
        _ => 1,
    };
    owned(&facts::distinguished(name, word(0), occurrence, word(2))?)
}

fn client_used<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    client(context).map(|tls| Value::Bool(!tls.peer.is_empty()))
}

/// A number of what verifying the client's certificate came to; 0 where nothing was verified.
macro_rules! of_verdict {
    ($name:ident $field:ident) => {
        fn $name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            let checked = client(context)?.checked.as_ref();
            Some(Value::Int(checked.map_or(0, |checked| checked.$field).into()))
        }
    };
}

of_verdict!(client_verify result);
of_verdict!(client_error leaf_error);
of_verdict!(client_authority_error authority_error);
of_verdict!(client_authority_depth authority_depth);

fn client_chain<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    chain(client(context)?)
}
fn server_chain<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    chain(server(context)?)
}
fn chain<'a>(tls: &TlsFacts) -> Option<Value<'a>> {
    let chain = facts::chain_der(tls.peer.iter().map(|der| &**der));
    (!chain.is_empty()).then_some(Value::Bin(Cow::Owned(chain)))
}
fn client_alternative_names<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    owned(facts::alternative_names(&Certificate::parse(client_der(context)?).ok()?)?.as_bytes())
}
fn client_policies<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    owned(facts::policies(&Certificate::parse(client_der(context)?).ok()?)?.as_bytes())
}
fn client_root<'a>(args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    name_part(client(context)?.checked.as_ref()?.root.as_deref()?, args)
}

fn fc_has_sni<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(client(context).is_some_and(|tls| tls.name.is_some())))
}
fn fc_has_crt<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    // A session that was resumed shows none again.
    client(context).map(|tls| Value::Bool(!tls.peer.is_empty() && !tls.agreed.is_resumed))
}
fn fc_has_no_early<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    client(context).map(|_| Value::Bool(false))
}
fn fc_certificate_name<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Str(Cow::Borrowed(client(context)?.shown.as_ref()?.name.as_bytes())))
}
/// The handshake's failure, numbered as a whole: the codes of OpenSSL are those of its own sources.
fn fc_error<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let own = context.session?.connection.as_ref()?;
    match (&own.failure, &own.tls) {
        (Some(_), _) => Some(Value::Int(1)),
        (None, Some(_)) => Some(Value::Int(0)),
        (None, None) => None,
    }
}
fn fc_error_words<'a>(_: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let failure = context.session?.connection.as_ref()?.failure.as_ref()?;
    Some(Value::Str(Cow::Borrowed(failure.as_bytes())))
}
fn absent<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    None
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check, check_in};

    #[test]
    fn connections_without_tls() {
        let world = World::request("GET / HTTP/1.1", &["Host: h"]);
        check(
            &world,
            &[
                ("ssl_fc", "0"),
                ("ssl_fc_has_sni", "0"),
                ("ssl_fc_is_resumed", "0"),
                ("ssl_fc_has_crt", "-"),
                ("ssl_fc_sni", "-"),
                ("ssl_fc_sni,lower", "-"),
                ("ssl_fc_cipherlist_bin(1),hex", "-"),
                ("ssl_c_used", "-"),
                ("ssl_c_verify", "-"),
                ("ssl_c_s_dn(CN)", "-"),
                ("ssl_c_s_dn(CN,1,rfc2253)", "-"),
                ("ssl_c_sha1,hex", "-"),
                ("ssl_f_sha1,hex", "-"),
                ("ssl_s_i_dn", "-"),
            ],
        );
        check_in(&world, Phase::HttpResponse, &[("ssl_bc", "0"), ("ssl_bc_protocol", "-")]);
        let (message, _) = alert("ssl_c_s_dn(CN,1,rfc1234)", Phase::HttpRequest);
        assert!(message.contains("only rfc2253"), "{message}");
    }
}
