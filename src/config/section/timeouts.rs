//! `timeout` lines and their old names (manual, section 4.2).

use super::ProxyParser;
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::model::proxy::Timeouts;

keywords! {
    /// Times that a proxy waits.
    pub TABLE: ProxyParser, "4.2";
    "timeout check" "<timeout>" BACK => Parse(|d, w, l| set(d, w, l, |t| &mut t.check_ms)), "How long a health check may wait for its answer once connected.";
    "timeout client" "<timeout>" FRONT => Parse(|d, w, l| set(d, w, l, |t| &mut t.client_ms)), "How long a client may be silent. A frontend in HTTP mode without this line has 1m, and 10s for 'timeout http-request'; 0 is without limit.";
    "timeout client-fin" "<timeout>" FRONT => Parse(|d, w, l| set(d, w, l, |t| &mut t.client_fin_ms)), "How long a client may be silent once its connection is half closed.";
    "timeout client-hs" "<timeout>" FRONT => Parse(|d, w, l| set(d, w, l, |t| &mut t.client_hs_ms)), "How long a client may take for handshakes: its PROXY protocol header, then TLS.";
    "timeout connect" "<timeout>" BACK => Parse(|d, w, l| set(d, w, l, |t| &mut t.connect_ms)), "How long to wait for a connection to a server.";
    "timeout http-keep-alive" "<timeout>" ALL => Parse(|d, w, l| set(d, w, l, |t| &mut t.http_keep_alive_ms)), "How long to wait for a client's next request.";
    "timeout http-request" "<timeout>" ALL => Parse(|d, w, l| set(d, w, l, |t| &mut t.http_request_ms)), "How long a client may take to send a request's head, however it trickles; without this line, 'timeout client' bounds the whole head.";
    "timeout queue" "<timeout>" BACK => Parse(|d, w, l| set(d, w, l, |t| &mut t.queue_ms)), "How long a request may wait for a free server.";
    "timeout server" "<timeout>" BACK => Parse(|d, w, l| set(d, w, l, |t| &mut t.server_ms)), "How long a server may be silent.";
    "timeout server-fin" "<timeout>" BACK => Parse(|d, w, l| set(d, w, l, |t| &mut t.server_fin_ms)), "How long a server may be silent once its connection is half closed.";
    "timeout tarpit" "<timeout>" ALL => Parse(|d, w, l| set(d, w, l, |t| &mut t.tarpit_ms)), "How long to hold a request that was tarpitted.";
    "timeout tunnel" "<timeout>" BACK => Parse(|d, w, l| set(d, w, l, |t| &mut t.tunnel_ms)), "How long both sides of a tunnel may be silent.";
    "clitimeout" "<timeout>" FRONT => Removed("use 'timeout client'"), "How long a client may be silent.";
    "contimeout" "<timeout>" BACK => Removed("use 'timeout connect'"), "How long to wait for a connection to a server.";
    "srvtimeout" "<timeout>" BACK => Removed("use 'timeout server'"), "How long a server may be silent.";
}

/// The most that a number without a unit may be to be taken for seconds by mistake.
const SUSPICIOUS_MS: u64 = 100;

fn set(
    draft: &mut Draft,
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    of: fn(&mut Timeouts) -> &mut Option<u64>,
) {
    let keyword = words.keyword();
    if words.is_done() {
        loading.report.alert(words.span(), format!("'{keyword}' expects an integer value (in milliseconds)"));
        return;
    }
    let Some(value) = words.time_ms(loading.report) else { return };
    let text = &words.line.words[2].text;
    if (1..SUSPICIOUS_MS).contains(&value) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!(
            "'{keyword} {value}' in {} is suspiciously small for a value in milliseconds. \
             Please use an explicit unit ('{value}ms') if that was the intent",
            draft.title()
        );
        loading.report.warning(words.last_span(), message);
    }
    words.end(loading.report);
    // Zero is "no time-out" (manual, section 4.2 "timeout client").
    *of(&mut draft.timeouts) = (value != 0).then_some(value);
    match &*keyword {
        "timeout client" => draft.timeouts.client_unlimited = value == 0,
        "timeout http-request" => draft.timeouts.http_request_unlimited = value == 0,
        _ => {}
    }
}
