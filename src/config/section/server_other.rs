//! Options of `server` lines that are read over, with the reason, or refused (manual, section 5.2).

use super::server::ServerParser;
use crate::config::keyword::keywords;

keywords! {
    /// Options without an effect here.
    pub TABLE: ServerParser, "5.2";
    "cc" "<algo>" SERVER => Refused("choosing the congestion control of connections is not available yet"), "The congestion control of connections.";
    "check-pool-conn-name" "<name>" SERVER => NoAction("checks open connections of their own"), "Names the connections that checks use again.";
    "check-proto" "<name>" SERVER => Refused("health checks speak HTTP/1 only"), "The protocol of health checks.";
    "check-reuse-pool" "" SERVER => NoAction("checks open connections of their own"), "Lets checks use idle connections.";
    "check-via-socks4" "" SERVER => Refused("SOCKS4 is not available"), "Checks through a SOCKS4 proxy.";
    "healthcheck" "<name>" SERVER => Refused("'healthcheck' sections are not available yet"), "Takes the check from a section.";
    "idle-ping" "<delay>" SERVER => NoAction("only HTTP/2 has pings, and it is not spoken to servers yet"), "Pings idle connections.";
    "log-bufsize" "<bufsize>" SERVER => NoAction("it has no effect outside 'mode log', which is refused"), "The buffer of log servers.";
    "log-proto" "{ legacy | octet-count }" SERVER => NoAction("it has no effect outside 'mode log', which is refused"), "The framing of log servers.";
    "namespace" "<name>" SERVER => Refused("network name spaces are not available yet"), "Connects from a network name space.";
    "no-check-reuse-pool" "" SERVER => NoAction("checks open connections of their own"), "Undoes 'check-reuse-pool'.";
    "pool-conn-name" "<expr>" SERVER => Refused("idle connections are told apart by their address and SNI; an expression of your own is not available yet ('http-reuse never' shares none)"), "Names connections, so that only those of a name are used again.";
    "proto" "<name>" SERVER => Parse(proto), "The protocol without negotiation.";
    "quic-cc-algo" "<algo>" SERVER => Refused("QUIC is not available yet"), "The congestion control of QUIC.";
    "shard" "<shard>" SERVER => NoAction("it has no effect outside 'peers' sections"), "The shard of a peer.";
    "socks4" "<addr>:<port>" SERVER => Refused("SOCKS4 is not available"), "Connects through a SOCKS4 proxy.";
    "tcp-md5sig" "<password>" SERVER => Refused("TCP MD5 signatures are not available yet"), "Signs segments.";
    "usesrc" "<address>" SERVER => Refused("it is an option of 'source' and stands behind its address"), "The address shown to the server.";
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
            loading.report.alert(word.span, "'proto' : HTTP/2 to servers is not available yet");
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
