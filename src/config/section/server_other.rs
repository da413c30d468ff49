//! Options of `server` lines that are read over, with the reason, or refused (manual, section 5.2).

use super::server::ServerParser;
use crate::config::keyword::keywords;

keywords! {
    /// Options without an effect here.
    pub TABLE: ServerParser, "5.2";
    "ssl" "" SERVER => Refused("TLS is not available yet"), "Speaks TLS to the server.";
    "allow-0rtt" "" SERVER => NoAction("it has no effect without 'ssl'"), "Sends early data.";
    "alpn" "<protocols>" SERVER => NoAction("it has no effect without 'ssl'"), "Protocols that TLS may negotiate.";
    "ca-file" "<cafile>" SERVER => NoAction("it has no effect without 'ssl'"), "Who signs the server's certificate.";
    "cc" "<algo>" SERVER => Refused("choosing the congestion control of connections is not available yet"), "The congestion control of connections.";
    "check-alpn" "<protocols>" SERVER => NoAction("it has no effect without 'check-ssl'"), "Protocols that TLS may negotiate in checks.";
    "check-pool-conn-name" "<name>" SERVER => NoAction("checks open connections of their own"), "Names the connections that checks use again.";
    "check-proto" "<name>" SERVER => Refused("health checks speak HTTP/1 only"), "The protocol of health checks.";
    "check-reuse-pool" "" SERVER => NoAction("checks open connections of their own"), "Lets checks use idle connections.";
    "check-sni" "<sni>" SERVER => NoAction("it has no effect without 'check-ssl'"), "The name given to TLS in checks.";
    "check-sni-auto" "" SERVER => NoAction("it has no effect without 'check-ssl'"), "Takes the name given to TLS from the check.";
    "check-ssl" "" SERVER => Refused("TLS is not available yet"), "Speaks TLS in checks.";
    "check-via-socks4" "" SERVER => Refused("SOCKS4 is not available"), "Checks through a SOCKS4 proxy.";
    "ciphers" "<ciphers>" SERVER => NoAction("it has no effect without 'ssl'"), "Ciphers up to TLS 1.2.";
    "ciphersuites" "<ciphersuites>" SERVER => NoAction("it has no effect without 'ssl'"), "Ciphers of TLS 1.3.";
    "client-sigalgs" "<sigalgs>" SERVER => NoAction("it has no effect without 'ssl'"), "Signatures of clients.";
    "crl-file" "<crlfile>" SERVER => NoAction("it has no effect without 'ssl'"), "Revoked certificates.";
    "crt" "<cert>" SERVER => NoAction("it has no effect without 'ssl'"), "The certificate shown to the server.";
    "curves" "<curves>" SERVER => NoAction("it has no effect without 'ssl'"), "Elliptic curves.";
    "force-sslv3" "" SERVER => NoAction("it has no effect without 'ssl'"), "SSLv3 only.";
    "force-tlsv10" "" SERVER => NoAction("it has no effect without 'ssl'"), "TLS 1.0 only.";
    "force-tlsv11" "" SERVER => NoAction("it has no effect without 'ssl'"), "TLS 1.1 only.";
    "force-tlsv12" "" SERVER => NoAction("it has no effect without 'ssl'"), "TLS 1.2 only.";
    "force-tlsv13" "" SERVER => NoAction("it has no effect without 'ssl'"), "TLS 1.3 only.";
    "healthcheck" "<name>" SERVER => Refused("'healthcheck' sections are not available yet"), "Takes the check from a section.";
    "idle-ping" "<delay>" SERVER => NoAction("only HTTP/2 has pings, and it is not spoken yet"), "Pings idle connections.";
    "init-state" "{ fully-up | up | down | fully-down | none }" SERVER => Refused("choosing the first state of a server is not available yet"), "The state before the first check.";
    "ktls" "{ on | off }" SERVER => NoAction("it has no effect without 'ssl'"), "TLS in the kernel.";
    "log-bufsize" "<bufsize>" SERVER => NoAction("it has no effect outside 'mode log', which is refused"), "The buffer of log servers.";
    "log-proto" "{ legacy | octet-count }" SERVER => NoAction("it has no effect outside 'mode log', which is refused"), "The framing of log servers.";
    "namespace" "<name>" SERVER => Refused("network name spaces are not available yet"), "Connects from a network name space.";
    "no-check-reuse-pool" "" SERVER => NoAction("checks open connections of their own"), "Undoes 'check-reuse-pool'.";
    "no-check-sni-auto" "" SERVER => NoAction("it has no effect without 'check-ssl'"), "Undoes 'check-sni-auto'.";
    "no-check-ssl" "" SERVER => NoAction("TLS is never spoken in checks"), "Undoes 'check-ssl'.";
    "no-renegotiate" "" SERVER => NoAction("it has no effect without 'ssl'"), "Refuses renegotiation.";
    "no-sni-auto" "" SERVER => NoAction("it has no effect without 'ssl'"), "Undoes 'sni-auto'.";
    "no-ssl" "" SERVER => NoAction("TLS is never spoken"), "Undoes 'ssl'.";
    "no-ssl-reuse" "" SERVER => NoAction("it has no effect without 'ssl'"), "Sessions of TLS are not resumed.";
    "no-sslv3" "" SERVER => NoAction("it has no effect without 'ssl'"), "No SSLv3.";
    "no-tls-tickets" "" SERVER => NoAction("it has no effect without 'ssl'"), "No session tickets.";
    "no-tlsv10" "" SERVER => NoAction("it has no effect without 'ssl'"), "No TLS 1.0.";
    "no-tlsv11" "" SERVER => NoAction("it has no effect without 'ssl'"), "No TLS 1.1.";
    "no-tlsv12" "" SERVER => NoAction("it has no effect without 'ssl'"), "No TLS 1.2.";
    "no-tlsv13" "" SERVER => NoAction("it has no effect without 'ssl'"), "No TLS 1.3.";
    "no-verifyhost" "" SERVER => NoAction("it has no effect without 'ssl'"), "Undoes 'verifyhost'.";
    "npn" "<protocols>" SERVER => NoAction("it has no effect without 'ssl'"), "Protocols that TLS may negotiate, the old way.";
    "pool-conn-name" "<expr>" SERVER => NoAction("without TLS all connections to a server that may be shared are alike"), "Names connections, so that only those of a name are used again.";
    "proto" "<name>" SERVER => Parse(proto), "The protocol without negotiation.";
    "quic-cc-algo" "<algo>" SERVER => Refused("QUIC is not available yet"), "The congestion control of QUIC.";
    "renegotiate" "" SERVER => NoAction("it has no effect without 'ssl'"), "Takes renegotiation.";
    "resolve-net" "<network>[,<network>]*" SERVER => NoAction("it has no effect without 'resolvers', which is refused"), "Networks to prefer among a name's addresses.";
    "resolve-opts" "{ allow-dup-ip | ignore-weight | prevent-dup-ip }[,...]" SERVER => NoAction("it has no effect without 'resolvers', which is refused"), "How a name's addresses are chosen.";
    "resolve-prefer" "{ ipv4 | ipv6 }" SERVER => NoAction("it has no effect without 'resolvers', which is refused"), "The family to prefer among a name's addresses.";
    "resolvers" "<id>" SERVER => Refused("resolving names while running is not available yet; names are resolved once at start"), "Follows the addresses of the server's name.";
    "shard" "<shard>" SERVER => NoAction("it has no effect outside 'peers' sections"), "The shard of a peer.";
    "sigalgs" "<sigalgs>" SERVER => NoAction("it has no effect without 'ssl'"), "Signatures.";
    "sni" "<expression>" SERVER => NoAction("it has no effect without 'ssl'"), "The name given to TLS.";
    "sni-auto" "" SERVER => NoAction("it has no effect without 'ssl'"), "Takes the name given to TLS from the request.";
    "socks4" "<addr>:<port>" SERVER => Refused("SOCKS4 is not available"), "Connects through a SOCKS4 proxy.";
    "ssl-max-ver" "<version>" SERVER => NoAction("it has no effect without 'ssl'"), "The newest TLS version.";
    "ssl-min-ver" "<version>" SERVER => NoAction("it has no effect without 'ssl'"), "The oldest TLS version.";
    "ssl-reuse" "" SERVER => NoAction("it has no effect without 'ssl'"), "Sessions of TLS are resumed.";
    "tcp-md5sig" "<password>" SERVER => Refused("TCP MD5 signatures are not available yet"), "Signs segments.";
    "tls-tickets" "" SERVER => NoAction("it has no effect without 'ssl'"), "Session tickets.";
    "usesrc" "<address>" SERVER => Refused("it is an option of 'source' and stands behind its address"), "The address shown to the server.";
    "verify" "{ none | required }" SERVER => NoAction("it has no effect without 'ssl'"), "Whether the server's certificate is verified.";
    "verifyhost" "<hostname>" SERVER => NoAction("it has no effect without 'ssl'"), "The name that the certificate must have.";
    "ws" "{ auto | h1 | h2 }" SERVER => NoAction("WebSockets go over HTTP/1 to servers in any case"), "The protocol of WebSockets.";
}

fn proto(
    _: &mut super::server::ServerSettings,
    words: &mut crate::config::words::Words<'_>,
    loading: &mut crate::config::loading::Loading<'_>,
) {
    let Some(word) = super::bind::value(words, loading) else { return };
    match word.text.as_str() {
        // What is spoken anyway.
        "h1" | "none" => {}
        "h2" => {
            loading.report.alert(word.span, "'proto' : HTTP/2 is not available yet");
        }
        "fcgi" => {
            loading.report.alert(word.span, "'proto' : FastCGI is not available yet");
        }
        other => {
            let message = format!("'proto' : unknown MUX protocol '{other}'");
            loading.report.alert(word.span, message).help("only 'h1' is available");
        }
    }
}
