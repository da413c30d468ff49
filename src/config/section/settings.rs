//! Plain settings of proxies: modes, limits, names (manual, section 4.2).

use super::ProxyParser;
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::{Words, integer, within};
use crate::model::Mode;
use crate::model::proxy::{HttpReuse, RetryOn};

keywords! {
    /// Settings.
    pub TABLE: ProxyParser, "4.2";
    "mode" "{ tcp | http | log | spop }" ALL => Parse(mode), "What is spoken: HTTP, or anything over TCP.";
    "maxconn" "<conns>" FRONT => Parse(maxconn), "How many connections at most; the others wait in the listener.";
    "fullconn" "<conns>" BACK => Parse(fullconn), "The load at which servers get their full 'maxconn'.";
    "backlog" "<conns>" FRONT => Parse(backlog), "How many connections may wait for being accepted.";
    "rate-limit sessions" "<rate>" FRONT => Parse(rate_limit), "How many sessions at most are accepted per second.";
    "retries" "<value>" BACK => Parse(retries), "How often a failed connection is tried again.";
    "retry-on" "[<event> ...]" BACK => Parse(retry_on), "Which failures make a request be tried again.";
    "http-reuse" "{ never | safe | aggressive | always }" BACK => Parse(http_reuse), "Whether connections to servers are shared by clients.";
    "max-keep-alive-queue" "<number>" BACK => NoAction("a request leaves its server's connection whenever another server is free"), "How many requests may wait for a server before a new one leaves its connection for another server.";
    "max-session-srv-conns" "<number>" FRONT => NoAction("idle connections to servers belong to the pool, not to client sessions"), "How many idle connections to servers a client session may keep.";
    "id" "<value>" PROXIES => Parse(id), "A fixed number for statistics.";
    "description" "<string>" PROXIES => Parse(description), "A text for the statistics page.";
    "guid" "<string>" PROXIES => Parse(guid), "A name that is unique in all proxies and servers. Accepted without effect: objects are known by their names over reloads.";
    "disabled" "" ALL => Parse(|d, w, l| disabled(d, w, l, true)), "The proxy does not start.";
    "enabled" "" ALL => Parse(|d, w, l| disabled(d, w, l, false)), "The proxy starts although its defaults say 'disabled'.";
    "monitor-uri" "<uri>" FRONT => Parse(monitor_uri), "Answers requests for this by itself.";
    "clitcpka-cnt" "<count>" FRONT => Parse(|d, w, l| set(w, l, |n| d.options.clitcpka_cnt = n)), "How many keep-alive probes may be lost.";
    "clitcpka-idle" "<timeout>" FRONT => Parse(|d, w, l| set_s(w, l, |n| d.options.clitcpka_idle_s = n)), "How long a connection is idle before it is probed.";
    "clitcpka-intvl" "<timeout>" FRONT => Parse(|d, w, l| set_s(w, l, |n| d.options.clitcpka_intvl_s = n)), "The time between keep-alive probes.";
    "srvtcpka-cnt" "<count>" BACK => Parse(|d, w, l| set(w, l, |n| d.options.srvtcpka_cnt = n)), "How many keep-alive probes may be lost.";
    "srvtcpka-idle" "<timeout>" BACK => Parse(|d, w, l| set_s(w, l, |n| d.options.srvtcpka_idle_s = n)), "How long a connection is idle before it is probed.";
    "srvtcpka-intvl" "<timeout>" BACK => Parse(|d, w, l| set_s(w, l, |n| d.options.srvtcpka_intvl_s = n)), "The time between keep-alive probes.";
    "bind-process" "<set>" ALL => Removed("there is a single process; remove the line"), "Processes that serve a proxy.";
    "grace" "<time>" ALL => Removed("use the global 'grace' or 'hard-stop-after'"), "How long a stopping proxy goes on.";
    "redispatch" "" BACK => Removed("use 'option redispatch'"), "Lets a retried connection go to another server.";
    "redisp" "" BACK => Removed("use 'option redispatch'"), "Lets a retried connection go to another server.";
    "dispatch" "<address>" BACK => Removed("create a server with the same address: 'server dispatch <address>'"), "Where everything goes.";
    "transparent" "" BACK => Removed("create a server with address 0.0.0.0"), "Connects to the address that the client asked for.";
}

fn mode(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.take_word() else {
        loading.report.alert(words.span(), "unknown proxy mode ''");
        return;
    };
    match word.text.as_str() {
        "tcp" => draft.mode = Mode::Tcp,
        "http" => draft.mode = Mode::Http,
        "health" => {
            let message =
                "'mode health' doesn't exist anymore. Please use 'http-request return status 200' instead";
            loading.report.alert(word.span, message);
        }
        other @ ("log" | "spop" | "haterm" | "syslog") => {
            loading.report.alert(word.span, format!("'mode {other}' is not available yet"));
        }
        other => {
            let help = crate::diag::did_you_mean(other, ["tcp", "http"]);
            let found = loading.report.alert(word.span, format!("unknown proxy mode '{other}'"));
            if let Some(help) = help {
                found.help(help);
            }
        }
    }
    words.end(loading.report);
}

/// Takes a number for a setting.
fn set(words: &mut Words<'_>, loading: &mut Loading<'_>, mut to: impl FnMut(Option<u32>)) {
    if let Some(number) = words.unsigned(loading.report) {
        to(Some(number));
    }
    words.end(loading.report);
}

/// Takes a time in seconds for a setting.
fn set_s(words: &mut Words<'_>, loading: &mut Loading<'_>, mut to: impl FnMut(Option<u32>)) {
    if let Some(seconds) = words.time_s(loading.report) {
        to(u32::try_from(seconds).ok());
    }
    words.end(loading.report);
}

fn maxconn(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    set(words, loading, |n| draft.maxconn = n.unwrap_or(0));
}

fn fullconn(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    set(words, loading, |n| draft.fullconn = n.filter(|n| *n > 0));
}

fn backlog(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    set(words, loading, |n| draft.backlog = n.filter(|n| *n > 0));
}

fn rate_limit(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    set(words, loading, |n| draft.rate_limit_sessions = n.unwrap_or(0));
}

fn retries(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    set(words, loading, |n| draft.retries = n.unwrap_or(0));
}

fn retry_on(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    /// The statuses that may be retried on (manual, section 4.2 "retry-on").
    const STATUSES: &[u16] = &[401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504];
    const EVENTS: &[&str] = &[
        "none",
        "conn-failure",
        "empty-response",
        "junk-response",
        "response-timeout",
        "0rtt-rejected",
        "all-retryable-errors",
    ];
    let mut on = RetryOn {
        conn_failure: false,
        empty_response: false,
        junk_response: false,
        response_timeout: false,
        statuses: Vec::new(),
    };
    if words.is_done() {
        loading.report.alert(words.span(), "'retry-on' expects at least one keyword to be specified");
        return;
    }
    while let Some(word) = words.take_word() {
        match word.text.as_str() {
            "none" => {
                if words.line.words.len() > 2 {
                    let message = "'retry-on' 'none' keyword only usable alone";
                    loading.report.alert(word.span, message);
                }
            }
            "conn-failure" => on.conn_failure = true,
            "empty-response" => on.empty_response = true,
            "junk-response" => on.junk_response = true,
            "response-timeout" => on.response_timeout = true,
            // Early data are not taken, so none is ever rejected.
            "0rtt-rejected" => {}
            "all-retryable-errors" => {
                on.conn_failure = true;
                on.empty_response = true;
                on.junk_response = true;
                on.response_timeout = true;
                on.statuses.extend([500, 502, 503, 504]);
            }
            other => match other.parse().ok().filter(|status| STATUSES.contains(status)) {
                Some(status) => on.statuses.push(status),
                None => {
                    let help = crate::diag::did_you_mean(other, EVENTS.iter().copied());
                    let message = format!("'retry-on' : unknown keyword '{other}'");
                    let found = loading.report.alert(word.span, message);
                    if let Some(help) = help {
                        found.help(help);
                    }
                }
            },
        }
    }
    on.statuses.sort_unstable();
    on.statuses.dedup();
    draft.retry_on = on;
}

fn http_reuse(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.http_reuse = match words.text() {
        Some("never") => HttpReuse::Never,
        Some("safe") => HttpReuse::Safe,
        Some("aggressive") => HttpReuse::Aggressive,
        Some("always") => HttpReuse::Always,
        _ => {
            let message = "'http-reuse' only supports 'never', 'safe', 'aggressive', 'always'";
            loading.report.alert(words.last_span(), message);
            return;
        }
    };
    words.end(loading.report);
}

fn id(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "an integer argument") else { return };
    let Some(value) = integer(word, "id", loading.report) else { return };
    if value <= 0 {
        loading.report.alert(word.span, "custom id has to be > 0");
        return;
    }
    if let Some(earlier) = draft.id {
        loading.report.alert(word.span, format!("'id' : the proxy has the custom id {earlier} already"));
    }
    draft.id = within(word, "id", 1..=i64::from(i32::MAX), loading.report).map(|id| id as u32);
    words.end(loading.report);
}

fn guid(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(word) = words.expect(loading.report, "a name as argument") {
        draft.guid = loading.guid("guid", word).map(Into::into);
    }
    words.end(loading.report);
}

fn description(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.is_done() {
        loading.report.alert(words.span(), "'description' expects a string argument");
        return;
    }
    draft.description = Some(words.take_rest().join(" "));
}

fn disabled(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>, value: bool) {
    words.end(loading.report);
    draft.disabled = value;
}

fn monitor_uri(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    match words.text() {
        Some(uri) => draft.monitor_uri = Some(uri.into()),
        None => {
            loading.report.alert(words.span(), "'monitor-uri' expects an URI");
        }
    }
    words.end(loading.report);
}
