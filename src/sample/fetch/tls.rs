//! Fetches of TLS connections (manual, section 7.3.4) as connections without TLS answer them: it is
//! told that there is no TLS, and all that only TLS knows is absent. Configurations ask this way whether to
//! redirect to https, whichever listeners they have.
//!
//! Everything hangs together by name: a prefix says which connection or certificate is meant.

use super::{Fetch, Source};
use crate::sample::arg::{Arg, ArgType, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

use ArgType::{Int, Str};
use Source::{Client, ServerConnection};

/// `<entry>,<occ>,<format>` of a distinguished name.
const NAME_PART: &[ArgType] = &[Str, Int, Str];

const fn said_no(name: &'static str, source: Source, doc: &'static str) -> Fetch {
    Fetch::new(name, Type::Bool, source, doc, no)
}
const fn front(name: &'static str, output: Type, doc: &'static str) -> Fetch {
    Fetch::new(name, output, Client, doc, absent)
}
const fn back(name: &'static str, output: Type, doc: &'static str) -> Fetch {
    Fetch::new(name, output, ServerConnection, doc, absent)
}
const fn distinguished(name: &'static str, doc: &'static str) -> Fetch {
    front(name, Type::Str, doc).args(0, NAME_PART).check(check_name_format)
}
const fn filtered(name: &'static str, output: Type, doc: &'static str) -> Fetch {
    front(name, output, doc).args(0, &[Int])
}

const SECRET: &str = "A secret of the TLS session, for decrypting captures; absent without TLS.";
const ERROR: &str = "The error of the TLS connection; absent without TLS.";

/// The rows of a certificate: the client's, the frontend's own, the server's.
macro_rules! certificate {
    ($der:literal $subject:literal $issuer:literal $key:literal $after:literal $before:literal $serial:literal
     $sha1:literal $signature:literal $version:literal, $whose:literal) => {
        &[
            front($der, Type::Bin, concat!($whose, " certificate in DER; absent without TLS.")),
            distinguished($subject, concat!("The subject of ", $whose, " certificate; absent without TLS.")),
            distinguished($issuer, concat!("The issuer of ", $whose, " certificate; absent without TLS.")),
            front(
                $key,
                Type::Str,
                concat!("The key's algorithm in ", $whose, " certificate; absent without TLS."),
            ),
            front(
                $after,
                Type::Str,
                concat!("The end of ", $whose, " certificate's life; absent without TLS."),
            ),
            front(
                $before,
                Type::Str,
                concat!("The start of ", $whose, " certificate's life; absent without TLS."),
            ),
            front(
                $serial,
                Type::Bin,
                concat!("The serial number of ", $whose, " certificate; absent without TLS."),
            ),
            front($sha1, Type::Bin, concat!("The SHA-1 of ", $whose, " certificate; absent without TLS.")),
            front(
                $signature,
                Type::Str,
                concat!("The signature's algorithm in ", $whose, " certificate; absent without TLS."),
            ),
            front(
                $version,
                Type::Int,
                concat!("The version of ", $whose, " certificate; absent without TLS."),
            ),
        ]
    };
}

/// Rows of the client's certificate.
pub const CLIENT_CERTIFICATE: &[Fetch] = certificate!(
    "ssl_c_der" "ssl_c_s_dn" "ssl_c_i_dn" "ssl_c_key_alg" "ssl_c_notafter" "ssl_c_notbefore" "ssl_c_serial"
    "ssl_c_sha1" "ssl_c_sig_alg" "ssl_c_version", "the client's"
);
/// Rows of the certificate that the frontend presents.
pub const FRONTEND_CERTIFICATE: &[Fetch] = certificate!(
    "ssl_f_der" "ssl_f_s_dn" "ssl_f_i_dn" "ssl_f_key_alg" "ssl_f_notafter" "ssl_f_notbefore" "ssl_f_serial"
    "ssl_f_sha1" "ssl_f_sig_alg" "ssl_f_version", "the frontend's"
);
/// Rows of the server's certificate. HAProxy lets them be used wherever the client is known.
pub const SERVER_CERTIFICATE: &[Fetch] = certificate!(
    "ssl_s_der" "ssl_s_s_dn" "ssl_s_i_dn" "ssl_s_key_alg" "ssl_s_notafter" "ssl_s_notbefore" "ssl_s_serial"
    "ssl_s_sha1" "ssl_s_sig_alg" "ssl_s_version", "the server's"
);

/// Rows.
pub const TABLE: &[Fetch] = &[
    said_no("ssl_fc", Client, "Whether the client's connection uses TLS."),
    said_no("ssl_fc_has_sni", Client, "Whether the client's TLS hello told a server name."),
    said_no("ssl_fc_is_resumed", Client, "Whether the client's TLS session was resumed."),
    said_no("ssl_bc", ServerConnection, "Whether the connection to the server uses TLS."),
    said_no("ssl_bc_is_resumed", ServerConnection, "Whether the TLS session with the server was resumed."),
    // Of the client's connection.
    front("ssl_fc_has_crt", Type::Bool, "Whether the client presented a certificate; absent without TLS."),
    front(
        "ssl_fc_has_early",
        Type::Bool,
        "Whether early data were received and may be replayed; absent without TLS.",
    ),
    front("ssl_fc_early_rcvd", Type::Bool, "Whether early data were received; absent without TLS."),
    front("ssl_fc_alg_keysize", Type::Int, "The bits of the symmetric algorithm; absent without TLS."),
    front("ssl_fc_use_keysize", Type::Int, "The bits of the key in use; absent without TLS."),
    front("ssl_fc_alpn", Type::Str, "The protocol that ALPN chose; absent without TLS."),
    front("ssl_fc_npn", Type::Str, "The protocol that NPN chose; absent without TLS."),
    front("ssl_fc_cipher", Type::Str, "The name of the cipher; absent without TLS."),
    front("ssl_fc_curve", Type::Str, "The name of the key agreement's curve; absent without TLS."),
    front("ssl_fc_protocol", Type::Str, "The name of the TLS version; absent without TLS."),
    front("ssl_fc_protocol_hello_id", Type::Int, "The version of the client's hello; absent without TLS."),
    front("ssl_fc_sni", Type::Str, "The server name that the client's TLS hello told; absent without TLS."),
    front("ssl_fc_crtname", Type::Str, "The name of the certificate presented; absent without TLS."),
    front("ssl_fc_ech_status", Type::Str, "How the encrypted hello fared; absent without TLS."),
    front("ssl_fc_ech_outer_sni", Type::Str, "The name in the outer hello; absent without TLS."),
    front("ssl_fc_session_id", Type::Bin, "The TLS session's id; absent without TLS."),
    front("ssl_fc_session_key", Type::Bin, "The TLS session's master key; absent without TLS."),
    front("ssl_fc_unique_id", Type::Bin, "The TLS unique id; absent without TLS."),
    front("ssl_fc_client_random", Type::Bin, "The random of the client's hello; absent without TLS."),
    front("ssl_fc_server_random", Type::Bin, "The random of the server's hello; absent without TLS."),
    front("ssl_fc_err", Type::Int, ERROR),
    front("ssl_fc_err_str", Type::Str, ERROR),
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
    front("ssl_c_used", Type::Bool, "Whether the TLS session uses a client certificate; absent without TLS."),
    front(
        "ssl_c_verify",
        Type::Int,
        "The outcome of verifying the client's certificate; absent without TLS.",
    ),
    front("ssl_c_err", Type::Int, "The error of verifying the client's certificate; absent without TLS."),
    front("ssl_c_ca_err", Type::Int, "The error above the client's certificate; absent without TLS."),
    front("ssl_c_ca_err_depth", Type::Int, "How far above the client's certificate; absent without TLS."),
    front("ssl_c_chain_der", Type::Bin, "The client's certificates in DER; absent without TLS."),
    front("ssl_c_san", Type::Str, "The alternative names in the client's certificate; absent without TLS."),
    front("ssl_c_policies", Type::Str, "The policies in the client's certificate; absent without TLS.")
        .args(0, &[Str]),
    distinguished("ssl_c_r_dn", "The subject of the client certificate's root; absent without TLS."),
    front("ssl_s_chain_der", Type::Bin, "The server's certificates in DER; absent without TLS."),
    // Of the connection to the server.
    back(
        "ssl_bc_alg_keysize",
        Type::Int,
        "The bits of the symmetric algorithm to the server; absent without TLS.",
    ),
    back("ssl_bc_use_keysize", Type::Int, "The bits of the key to the server; absent without TLS."),
    back("ssl_bc_alpn", Type::Str, "The protocol that ALPN chose with the server; absent without TLS."),
    back("ssl_bc_npn", Type::Str, "The protocol that NPN chose with the server; absent without TLS."),
    back("ssl_bc_cipher", Type::Str, "The name of the cipher to the server; absent without TLS."),
    back("ssl_bc_curve", Type::Str, "The curve of the key agreement with the server; absent without TLS."),
    back("ssl_bc_protocol", Type::Str, "The TLS version to the server; absent without TLS."),
    back("ssl_bc_sni", Type::Str, "The server name told to the server; absent without TLS."),
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

fn no<'a>(_: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(false))
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
