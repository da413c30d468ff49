//! Keywords that are read and do nothing: each reason that a row gives is shown to be true, by what is refused, by a
//! test, or because there is nothing to see.

use super::load_text;
use crate::config::keyword::{Does, Keyword};
use crate::config::section;

/// What shows a reason.
enum Shown {
    /// What the keyword belongs to is refused: lines of `global`, or of a proxy.
    Refused(&'static str),
    /// A test: its file and its name.
    By(&'static str, &'static str),
    /// It is about the inside of HAProxy, of OpenSSL or of another system; nothing can be seen from outside.
    Inside,
    /// It is about speed or memory alone, and says what is done in its place.
    Cost,
}

use Shown::{By, Cost, Inside, Refused};

const PROXY: &str =
    "listen l\nmode http\nbind :1\ntimeout client 1s\ntimeout server 1s\ntimeout connect 1s\n";

/// The reasons by how they begin.
const REASONS: &[(&str, Shown)] = &[
    // What is refused as a whole.
    ("compression is refused", Refused("compression algo gzip")),
    ("Lua is refused", Refused("global lua-load /x.lua")),
    ("peers are refused", Refused("section peers p")),
    ("QUIC is not spoken", Refused("bind quic4@:2 ssl crt /x")),
    ("it makes QUIC tokens", Refused("bind quic4@:2 ssl crt /x")),
    ("HTTP/2 is not spoken to servers yet", Refused("server s 1.1.1.1:1 proto h2")),
    ("only HTTP/2 has pings", Refused("server s 1.1.1.1:1 proto h2")),
    ("streams are limited by", By("tests/integration/http2.rs", "limits_of_the_configuration_are_announced")),
    ("a threshold of glitches ends", By("tests/hostile/http2/floods.txt", "[glitches]")),
    (
        "errors of peers end in no log line",
        By("tests/integration/http2.rs", "what_is_malformed_ends_its_stream_and_is_counted"),
    ),
    ("there is no internal HTTP client", Refused("global lua-load /x.lua")),
    ("it is for datagrams of 'mode log'", Refused("mode log")),
    ("it has no effect outside 'mode log'", Refused("mode log")),
    ("it is for datagrams of 'log-forward'", Refused("section log-forward f")),
    ("it has no effect outside 'peers'", Refused("section peers p")),
    ("it has no effect outside 'crt-store'", Refused("section crt-store s")),
    ("it has no effect without 'acme'", Refused("section acme a")),
    ("it has no effect without 'generate-certificates'", Refused("bind :2 ssl crt /x generate-certificates")),
    ("no directive that starts programs", Refused("option external-check")),
    ("the features that would use it are refused", Refused("section acme a")),
    ("OCSP answers are not fetched", Refused("global ocsp-update.mode on")),
    // What is done whether it is asked for or not.
    ("no early data are", By("tests/integration/tls.rs", "early_data_are_neither_taken_nor_sent")),
    ("SSLv3 is not spoken", By("tests/integration/tls.rs", "what_is_no_tls_is_told_and_limited_in_time")),
    ("TLS 1.0 is not spoken", By("tests/integration/tls.rs", "what_is_no_tls_is_told_and_limited_in_time")),
    ("TLS 1.1 is not spoken", By("tests/integration/tls.rs", "what_is_no_tls_is_told_and_limited_in_time")),
    (
        "clients negotiate protocols by ALPN",
        By("tests/integration/tls.rs", "requests_are_served_in_both_versions_and_in_steps"),
    ),
    (
        "servers negotiate protocols by ALPN",
        By("tests/integration/tls.rs", "servers_are_reached_by_tls_with_names_and_resumed_sessions"),
    ),
    ("chains are sent as their files have them", Inside),
    (
        "every data thread has a socket of its own",
        By("tests/integration/addresses.rs", "every_thread_has_a_socket_of_its_own_whatever_shards_say"),
    ),
    (
        "a thread with many connections hands",
        By("tests/integration/limits.rs", "connections_that_stay_are_spread_and_counted_once"),
    ),
    ("checks run on the control thread", By("tests/tidy.rs", "the_library_is_in_order")),
    ("checks open connections of their own", By("tests/integration/tls.rs", "checks_speak_tls")),
    (
        "buffers are bounded by connections",
        By("tests/integration/tls.rs", "idle_clients_hold_no_buffer_and_die_with_a_word"),
    ),
    (
        "a waiting request pins no buffer",
        By("tests/integration/tls.rs", "idle_clients_hold_no_buffer_and_die_with_a_word"),
    ),
    (
        "malformed messages end their connection",
        By("tests/integration/hostile/requests.rs", "every_request_is_refused_or_sent_on_with_one_reading"),
    ),
    (
        "a message with both Content-Length",
        By("tests/integration/hostile/requests.rs", "every_request_is_refused_or_sent_on_with_one_reading"),
    ),
    (
        "the reader has done it",
        By("tests/integration/signals.rs", "variables_of_the_configuration_are_the_processs_own"),
    ),
    (
        "counters live on over reloads",
        By("tests/integration/reload.rs", "servers_keep_what_the_file_does_not_change"),
    ),
    ("a reload starts no process", By("tests/integration/reload.rs", "tunnels_and_queued_requests_live_on")),
    ("there is one process", By("tests/integration/reload.rs", "tunnels_and_queued_requests_live_on")),
    (
        "every piece is forwarded as soon",
        By("tests/integration/http.rs", "trailers_pieces_and_pipelining_reach_the_server_as_they_were_meant"),
    ),
    (
        "idle connections to servers belong to the pool",
        By("tests/integration/pools.rs", "a_borrowed_connection_goes_where_the_request_wants"),
    ),
    (
        "a request leaves its server's connection",
        By("tests/integration/http.rs", "a_connection_may_prefer_its_last_server"),
    ),
    (
        "WebSockets go over HTTP/1",
        By("tests/integration/rewrites.rs", "a_tunnel_stands_only_where_both_sides_agree_on_it"),
    ),
    (
        "idle connections are bounded per server",
        By("tests/integration/pools.rs", "strictly_counted_connections_are_never_more_than_maxconn"),
    ),
    (
        "hellos are kept as long",
        By("tests/integration/sni.rs", "backends_are_chosen_by_the_name_in_the_hello"),
    ),
    ("secrets of sessions are not kept", By("docs/differences.md", "_secret")),
    ("at most 32 key updates", Inside),
    ("the runtime API does not anonymise", By("docs/differences.md", "anonymised")),
    ("the runtime API has its own limit", By("src/control/admin/line.rs", "payloads_end_at_their_mark")),
    ("what is deprecated is read without it", By("docs/compatibility.md", "Accepted without effect")),
    // Costs.
    ("records are sealed in this process", Cost),
    ("the drivers sleep", Cost),
    ("the allocator gives memory back", Cost),
    ("the allocator caches", Cost),
    ("answers made here are written without", Cost),
    ("there is one size of buffers", Cost),
    ("defaults sections are kept as text", Cost),
    ("forwarding has one path", Cost),
    ("the kernel's default is kept", Cost),
    ("the kernel sizes its buffers", Cost),
    ("the kernel's table grows", Cost),
    ("patterns are looked up", Cost),
    ("certificates are sent uncompressed", Cost),
    ("a hint for the kernel", Cost),
    ("memory is never freed piece by piece", Cost),
    ("the greatest values cost nothing", Cost),
    ("all sessions are served alike", Cost),
    ("how long a task holds its thread", Cost),
    ("the queue to the log writer", Cost),
    ("rules yield by themselves", Cost),
    ("every data thread is pinned", Cost),
    ("there is one data thread per usable CPU", Cost),
    ("threads run on all usable CPUs", Cost),
    ("lines are carried out once all are read", Cost),
    // Insides.
    ("it is about another operating system", Inside),
    ("it is internal to HAProxy", Inside),
    ("it is for developers of HAProxy", Inside),
    ("it groups listeners in HAProxy", Inside),
    ("poll(2) is never used", Inside),
    ("the driver chooses", Inside),
    ("the epoll driver asks", Inside),
    ("there is no profiler inside", Inside),
    ("there is one internal representation", Inside),
    ("threads are not grouped", Inside),
    ("names are resolved by the system's resolver", Inside),
    ("OpenSSL is not used", Inside),
    ("Diffie-Hellman over finite fields", Inside),
    ("a session is never negotiated anew", Inside),
];

fn is_refused(what: &str) -> bool {
    let text = match (what.strip_prefix("global "), what.strip_prefix("section ")) {
        (Some(line), _) => format!("global\n{line}\n{PROXY}"),
        (_, Some(line)) => format!("{line}\n{PROXY}"),
        _ => format!("{PROXY}{what}\n"),
    };
    load_text(&text).0.is_none()
}

fn check<F>(tables: &[&[Keyword<F>]]) {
    let home = env!("CARGO_MANIFEST_DIR");
    for row in tables.iter().flat_map(|table| table.iter()) {
        let Does::NoAction(reason) = row.does else { continue };
        let known = REASONS.iter().find(|(start, _)| reason.starts_with(start));
        let (_, shown) = known.unwrap_or_else(|| {
            panic!("'{}': show that '{reason}' is true, and add how to the list of reasons", row.name)
        });
        match shown {
            Refused(what) => assert!(is_refused(what), "'{}': '{reason}', but '{what}' loads", row.name),
            By(file, name) => {
                let text = std::fs::read_to_string(format!("{home}/{file}"));
                let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
                let is_there = if file.ends_with(".rs") {
                    text.contains(&format!("fn {name}"))
                } else {
                    text.contains(name)
                };
                assert!(is_there, "'{}': '{name}' is not in {file}", row.name);
            }
            Inside | Cost => {}
        }
    }
}

#[test]
fn the_reasons_of_rows_without_effect_are_shown() {
    check(section::PROXY_TABLES);
    check(section::global::TABLES);
    check(&[section::bind::TABLE, section::bind_tls::TABLE]);
    check(&[
        section::server::TABLE,
        section::server_proxy_protocol::TABLE,
        section::server_other::TABLE,
        section::server_tls::TABLE,
    ]);
    assert!(!is_refused("server s 1.1.1.1:1"), "what is not refused is seen");
}
