//! `option` lines that are not checks (manual, section 4.2).

use std::net::IpAddr;

use super::ProxyParser;
use crate::config::draft::{Draft, FormatText};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::syntax::Prefix;
use crate::config::words::Words;
use crate::log::formats;
use crate::model::proxy::{
    ConnectionMode, ForwardFor, Forwarded, ForwardedNode, ForwardedPart, Options, RestrictNames,
};
use crate::sample::expr::{Expr, Phase};

keywords! {
    /// Options that `no` switches off and `default` resets.
    pub SWITCHES: ProxyParser, "4.2";
    "option abortonclose" "" ALL => Parse(abortonclose), "Give up a request whose client left before a server answered. On by default in HTTP mode.";
    "option accept-unsafe-violations-in-http-request" "" FRONT => Parse(|d, w, l| http(d, w, l, |o| &mut o.accept_unsafe_request)), "Let requests pass whose syntax is wrong but whose meaning is plain.";
    "option accept-unsafe-violations-in-http-response" "" BACK => Parse(|d, w, l| http(d, w, l, |o| &mut o.accept_unsafe_response)), "Let responses pass whose syntax is wrong but whose meaning is plain.";
    "option accept-invalid-http-request" "" FRONT => Parse(accept_invalid_request), "The old name of 'option accept-unsafe-violations-in-http-request'.";
    "option accept-invalid-http-response" "" BACK => Parse(accept_invalid_response), "The old name of 'option accept-unsafe-violations-in-http-response'.";
    "option allbackups" "" BACK => Parse(all_backups), "Use all backup servers at once when no other server is left, rather than the first one only.";
    "option assume-rfc6587-ntf" "" FRONT => Refused("syslog over TCP ('mode log', 'log-forward') is not available yet"), "Take every syslog frame for one that ends with a line feed.";
    "option checkcache" "" BACK => Parse(|d, w, l| http(d, w, l, |o| &mut o.checkcache)), "Block responses that a cache may keep and that set a cookie.";
    "option clitcpka" "" FRONT => Parse(|d, w, l| flag(d, w, l, |o| &mut o.clitcpka)), "TCP keep-alive probes towards clients.";
    "option contstats" "" FRONT => Refused("bytes are counted when a session ends; counting them meanwhile is not available yet"), "Count bytes while sessions last, rather than at their end.";
    "option disable-h2-upgrade" "" FRONT => Parse(|d, w, l| flag(d, w, l, |o| &mut o.disable_h2_upgrade)), "Refuse the implicit upgrade to HTTP/2.";
    "option dont-parse-log" "" FRONT => Refused("syslog over TCP ('mode log', 'log-forward') is not available yet"), "Forward syslog messages as they came.";
    "option dontlog-normal" "" FRONT => Parse(|d, w, l| flag(d, w, l, |o| &mut o.dontlog_normal)), "Log only sessions that went wrong.";
    "option dontlognull" "" FRONT => Parse(|d, w, l| flag(d, w, l, |o| &mut o.dontlognull)), "Do not log connections that carried nothing.";
    "option h1-case-adjust-bogus-client" "" FRONT => Parse(|d, w, l| http(d, w, l, |o| &mut o.adjust_case_client)), "Write header names to clients in the case that 'h1-case-adjust' gives them.";
    "option h1-case-adjust-bogus-server" "" BACK => Parse(|d, w, l| http(d, w, l, |o| &mut o.adjust_case_server)), "Write header names to servers in the case that 'h1-case-adjust' gives them.";
    "option http-buffer-request" "" ALL => Parse(|d, w, l| http(d, w, l, |o| &mut o.http_buffer_request)), "Wait for the body of a request, or a full buffer, before going on.";
    "option http-drop-request-trailers" "" BACK => Parse(|d, w, l| http(d, w, l, |o| &mut o.drop_request_trailers)), "Do not forward the trailers of requests.";
    "option http-drop-response-trailers" "" FRONT => Parse(|d, w, l| http(d, w, l, |o| &mut o.drop_response_trailers)), "Do not forward the trailers of responses.";
    "option http-ignore-probes" "" FRONT => Parse(|d, w, l| http(d, w, l, |o| &mut o.http_ignore_probes)), "Say nothing to and log nothing of connections that send no request.";
    "option http-keep-alive" "" ALL => Parse(|d, w, l| connection_mode(d, w, l, ConnectionMode::KeepAlive)), "Keep connections on both sides for more requests. The default.";
    "option http-no-delay" "" ALL => NoAction("every piece is forwarded as soon as it comes, always"), "Forward every piece of a message as soon as it comes.";
    "option http-pretend-keepalive" "" BACK => Parse(|d, w, l| http(d, w, l, |o| &mut o.http_pretend_keepalive)), "Do not tell servers that the connection will be closed.";
    "option http-server-close" "" ALL => Parse(|d, w, l| connection_mode(d, w, l, ConnectionMode::ServerClose)), "Close the connection to the server after each response, keep the client's.";
    "option http-use-htx" "" ALL => NoAction("there is one internal representation of messages, nothing to switch"), "An old switch between internal representations.";
    "option http-use-proxy-header" "" FRONT => Refused("Proxy-Connection is not available"), "Use Proxy-Connection instead of Connection.";
    "option httpclose" "" ALL => Parse(|d, w, l| connection_mode(d, w, l, ConnectionMode::Close)), "Close both connections after each response.";
    "option idle-close-on-response" "" FRONT => Parse(|d, w, l| http(d, w, l, |o| &mut o.idle_close_on_response)), "While stopping, let idle clients send one more request rather than closing on them.";
    "option independent-streams" "" ALL => Parse(|d, w, l| flag(d, w, l, |o| &mut o.independent_streams)), "Let data in one direction not count as life in the other.";
    "option log-health-checks" "" BACK => Parse(|d, w, l| flag(d, w, l, |o| &mut o.log_health_checks)), "Log every change of the result of a health check.";
    "option log-separate-errors" "" FRONT => Parse(|d, w, l| flag(d, w, l, |o| &mut o.log_separate_errors)), "Raise the level of the log lines of failed sessions to 'err'.";
    "option logasap" "" FRONT => Parse(|d, w, l| flag(d, w, l, |o| &mut o.logasap)), "Log as soon as the response's head is known, rather than at the end.";
    "option nolinger" "" ALL => Parse(|d, w, l| flag(d, w, l, |o| &mut o.nolinger)), "Reset connections rather than closing them.";
    "option persist" "" BACK => Parse(|d, w, l| flag(d, w, l, |o| &mut o.persist)), "Try a server that a cookie names even while it is down.";
    "option prefer-last-server" "" BACK => Parse(|d, w, l| http(d, w, l, |o| &mut o.prefer_last_server)), "Stay with the server of the client connection's previous request if possible.";
    "option socket-stats" "" FRONT => Parse(|d, w, l| flag(d, w, l, |o| &mut o.socket_stats)), "Statistics per listener.";
    "option splice-auto" "" ALL => Parse(|d, w, l| flag(d, w, l, |o| &mut o.splice_auto)), "Forward in the kernel where it may help. Bodies from 128 kB and steady streams are forwarded so without it; `nosplice` forbids that.";
    "option splice-request" "" ALL => Parse(|d, w, l| flag(d, w, l, |o| &mut o.splice_request)), "Forward requests in the kernel.";
    "option splice-response" "" ALL => Parse(|d, w, l| flag(d, w, l, |o| &mut o.splice_response)), "Forward responses in the kernel.";
    "option srvtcpka" "" BACK => Parse(|d, w, l| flag(d, w, l, |o| &mut o.srvtcpka)), "TCP keep-alive probes towards servers.";
    "option tcp-smart-accept" "" FRONT => NoAction("a hint for the kernel, which saves that packet by itself when the answer comes soon"), "Save an acknowledgement packet on accepted connections.";
    "option tcp-smart-connect" "" BACK => NoAction("a hint for the kernel, which saves that packet by itself when the request comes soon"), "Save an acknowledgement packet on connections to servers.";
    "option redispatch" "[<interval>]" BACK => Parse(redispatch), "Let a retried connection go to another server.";
    "option forwarded" "[proto] [host | host-expr <expr>] [by | by-expr <expr>] [by_port | by_port-expr <expr>] [for | for-expr <expr>] [for_port | for_port-expr <expr>]" BACK => Parse(forwarded), "Add a Forwarded header to requests.";
    "option use-small-buffers" "[queue] [l7-retries] [check]" BACK => NoAction("a waiting request pins no buffer here"), "Keep waiting requests in small buffers.";
}

keywords! {
    /// Options with arguments, or that nothing switches off.
    pub TABLE: ProxyParser, "4.2";
    "option forwardfor" "[except <network>] [header <name>] [if-none]" ALL => Parse(forwardfor), "Add the client's address to requests in X-Forwarded-For.";
    "option originalto" "[except <network>] [header <name>]" ALL => Parse(originalto), "Add the address that the client connected to in X-Original-To.";
    "option http-restrict-req-hdr-names" "{ preserve | delete | reject }" ALL => Parse(restrict_names), "What to do with header names of other characters than letters, digits and dashes.";
    "option httplog" "[clf|json]" ALL => Parse(httplog), "Log HTTP requests, in the usual format, in the common log format, or as one line of JSON each, which HAProxy does not have.";
    "option httpslog" "" ALL => Parse(httpslog), "Log HTTP requests with what is known of TLS.";
    "option tcplog" "[clf]" ALL => Parse(tcplog), "Log connections with their timers and counters.";
    "option tcpka" "" ALL => Parse(tcpka), "TCP keep-alive probes on both sides.";
    "option forceclose" "" ALL => Removed("please just remove it, or use 'option httpclose' if absolutely needed"), "Close both connections after each response.";
    "option http-tunnel" "" ALL => Removed("please just remove it, it shouldn't be needed"), "Treat all that follows the first request as opaque.";
    "option http_proxy" "" ALL => Removed("combine 'http-request set-dst' and 'http-request set-uri' instead"), "Act as a forward proxy.";
    "option transparent" "" BACK => Removed("create a server with address 0.0.0.0 instead"), "Connect to the address that the client asked for.";
}

/// Refuses `no` and `default` before an option that has no opposite.
pub(super) fn plain(words: &Words<'_>, loading: &mut Loading<'_>) -> bool {
    if words.line.prefix == Prefix::None {
        return true;
    }
    let option = words.line.words.get(1).map_or("", |word| word.text.as_str());
    loading.report.alert(words.span(), format!("negation/default is not supported for option '{option}'"));
    false
}

/// Sets a switch: on, off with `no`, its default (off) with `default`.
fn flag(
    draft: &mut Draft,
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    of: fn(&mut Options) -> &mut bool,
) {
    words.end(loading.report);
    *of(&mut draft.options) = words.line.prefix == Prefix::None;
}

/// As [`flag`], and remembers that the option means nothing outside HTTP mode.
fn http(
    draft: &mut Draft,
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    of: fn(&mut Options) -> &mut bool,
) {
    flag(draft, words, loading, of);
    if let Some(row) = super::proxy_index().get(&words.keyword()) {
        draft.http_options.retain(|name| *name != row.name);
        if words.line.prefix == Prefix::None {
            draft.http_options.push(row.name);
        }
    }
}

fn accept_invalid_request(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    deprecated(words, "accept-unsafe-violations-in-http-request", loading);
    flag(draft, words, loading, |o| &mut o.accept_unsafe_request);
}

fn accept_invalid_response(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    deprecated(words, "accept-unsafe-violations-in-http-response", loading);
    flag(draft, words, loading, |o| &mut o.accept_unsafe_response);
}

fn deprecated(words: &Words<'_>, modern: &str, loading: &mut Loading<'_>) {
    let option = &words.line.words[1].text;
    let message =
        format!("option '{option}' is deprecated. please use 'option {modern}' if absolutely needed");
    loading.report.warning(words.span(), message);
}

fn abortonclose(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    words.end(loading.report);
    draft.abortonclose = match words.line.prefix {
        Prefix::None => Some(true),
        Prefix::No => Some(false),
        Prefix::Default => None,
    };
}

fn all_backups(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    words.end(loading.report);
    draft.all_backups = words.line.prefix == Prefix::None;
}

/// `no` undoes only the mode it names: a later section may have chosen another.
fn connection_mode(
    draft: &mut Draft,
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    mode: ConnectionMode,
) {
    words.end(loading.report);
    match words.line.prefix {
        Prefix::None => draft.options.connection_mode = mode,
        Prefix::No if draft.options.connection_mode == mode => {
            draft.options.connection_mode = ConnectionMode::default();
        }
        Prefix::No => {}
        Prefix::Default => {
            plain(words, loading);
        }
    }
}

fn redispatch(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.line.prefix != Prefix::None {
        draft.redispatch_after = 0;
        return;
    }
    draft.redispatch_after = match words.is_done() {
        // The last retry only.
        true => -1,
        false if words.peek().is_some_and(|text| text.parse::<i64>().is_err()) => {
            words.ignore_rest(loading.report);
            -1
        }
        false => {
            words.integer(loading.report).map_or(-1, |n| n.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
        }
    };
    words.end(loading.report);
}

fn tcpka(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if plain(words, loading) {
        words.end(loading.report);
        draft.options.clitcpka = true;
        draft.options.srvtcpka = true;
    }
}

fn forwardfor(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(value) = forward(words, "X-Forwarded-For", true, loading) {
        draft.options.forwardfor = Some(value);
    }
}

fn originalto(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(value) = forward(words, "X-Original-To", false, loading) {
        draft.options.originalto = Some(value);
    }
}

fn forwarded(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.line.prefix != Prefix::None {
        draft.options.forwarded = None;
        return;
    }
    let nothing = || ForwardedNode { name: ForwardedPart::None, port: ForwardedPart::None };
    let mut option = Forwarded { proto: false, host: ForwardedPart::None, by: nothing(), of: nothing() };
    if words.is_done() {
        option.proto = true;
        option.of.name = ForwardedPart::Own;
    }
    while let Some(word) = words.take_word() {
        if word.text == "proto" {
            option.proto = true;
            continue;
        }
        let (name, is_expr) = match word.text.strip_suffix("-expr") {
            Some(name) => (name, true),
            None => (word.text.as_str(), false),
        };
        let part = match name {
            "host" => &mut option.host,
            "by" => &mut option.by.name,
            "by_port" => &mut option.by.port,
            "for" => &mut option.of.name,
            "for_port" => &mut option.of.port,
            _ => {
                let message = format!(
                    "unknown argument '{}' for 'option forwarded': it takes 'proto', 'host', 'by', 'by_port', 'for', \
                     'for_port', and all but the first with '-expr' and an expression",
                    word.text
                );
                loading.report.alert(word.span, message);
                return;
            }
        };
        *part = ForwardedPart::Own;
        if is_expr {
            let Some(expr) = words.expect(loading.report, "an expression") else { return };
            let mut context = loading.context(Phase::HttpRequest, Some(&draft.name), &draft.acls);
            let Some(expr) = Expr::parse(&expr.text, expr.span, &mut context) else { return };
            *part = ForwardedPart::Expr(expr);
        }
    }
    for node in [&mut option.by, &mut option.of] {
        // A port alone says nothing (manual, section 4.2).
        if matches!(node.name, ForwardedPart::None) {
            node.port = ForwardedPart::None;
        }
    }
    draft.options.forwarded = Some(option.into());
}

fn forward(
    words: &mut Words<'_>,
    header: &str,
    may_be_conditional: bool,
    loading: &mut Loading<'_>,
) -> Option<ForwardFor> {
    if !plain(words, loading) {
        return None;
    }
    let option = words.keyword();
    let mut value = ForwardFor { header: header.into(), except: None, if_none: false };
    while let Some(word) = words.take_word() {
        match word.text.as_str() {
            "except" => {
                let network = words.text().and_then(network);
                if network.is_none() {
                    let message = format!("'{option} except' expects <address>[/mask] as argument");
                    loading.report.alert(words.last_span(), message);
                    return None;
                }
                value.except = network;
            }
            "header" => match words.text() {
                Some(name) => value.header = name.into(),
                None => {
                    let message = format!("'{option} header' expects <header_name> as argument");
                    loading.report.alert(word.span, message);
                    return None;
                }
            },
            "if-none" if may_be_conditional => value.if_none = true,
            _ => {
                let values = if may_be_conditional {
                    "'except', 'header' and 'if-none'"
                } else {
                    "'except' and 'header'"
                };
                loading
                    .report
                    .alert(word.span, format!("'{option}' only supports optional values: {values}"));
                return None;
            }
        }
    }
    Some(value)
}

/// `address[/prefix]`, with a length or a dotted mask.
pub fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = match mask {
        None => bits,
        Some(mask) => match mask.parse::<u8>() {
            Ok(length) => length,
            Err(_) => {
                let mask = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
                (mask.leading_ones() == mask.count_ones()).then(|| mask.count_ones() as u8)?
            }
        },
    };
    (length <= bits).then_some((address, length))
}

fn restrict_names(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if !plain(words, loading) {
        return;
    }
    draft.options.http_restrict_names = match words.text() {
        Some("preserve") => RestrictNames::Preserve,
        Some("delete") => RestrictNames::Delete,
        Some("reject") => RestrictNames::Reject,
        other => {
            let problem = match other {
                Some(text) => format!("invalid parameter '{text}'"),
                None => "missing parameter".to_owned(),
            };
            let message = format!(
                "{problem}. option 'http-restrict-req-hdr-names' expects 'preserve', 'reject' or 'delete' option"
            );
            loading.report.alert(words.last_span(), message);
            return;
        }
    };
    words.end(loading.report);
}

fn httplog(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.take("clf") {
        log_format(draft, words, loading, "option httplog clf", formats::HTTP_CLF);
    } else if words.take("json") {
        log_format(draft, words, loading, "option httplog json", formats::HTTP_JSON);
    } else {
        log_format(draft, words, loading, "option httplog", formats::HTTP);
    }
}

fn httpslog(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    log_format(draft, words, loading, "option httpslog", formats::HTTPS);
}

fn tcplog(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.take("clf") {
        log_format(draft, words, loading, "option tcplog clf", formats::TCP_CLF);
    } else {
        log_format(draft, words, loading, "option tcplog", formats::TCP);
    }
}

fn log_format(
    draft: &mut Draft,
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    option: &'static str,
    text: &'static str,
) {
    if !plain(words, loading) {
        return;
    }
    if let Some(word) = words.take_word() {
        let name = &words.line.words[1].text;
        let known = if name == "httplog" { "options 'clf' and 'json'" } else { "option 'clf'" };
        let message = format!("keyword '{name}' only supports {known}");
        loading.report.alert(word.span, message);
        return;
    }
    super::log::set_format(
        draft,
        words,
        loading,
        FormatText { text: text.into(), span: words.span(), option: Some(option) },
    );
}
