//! What is left of proxies' keywords: listening, sources, headers, features that are not there
//! (manual, section 4.2).

use super::ProxyParser;
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;

keywords! {
    /// The rest.
    pub TABLE: ProxyParser, "4.2";
    "bind" "<address>[, ...] [param*]" FRONTEND => Parse(super::bind::line), "Where to listen.";
    "source" "<addr>[:<port>] [usesrc ...] [interface <name>]" BACK => Parse(source), "The address that connections to servers come from.";
    "http-send-name-header" "[<header>]" BACK => Refused("sending the server's name to the server is not available yet; 'http-request set-header' can send any other value"), "Tells servers their own name in a header field.";
    "load-server-state-from-file" "{ global | local | none }" BACK => Parse(load_state), "Take servers' state of an earlier process from a file.";
    "server-state-file-name" "[{ use-backend-name | <file> }]" BACK => NoAction("local state files are read by 'load-server-state-from-file local' only, which is refused"), "The name of a backend's own state file.";
    "compression" "algo | algo-req | algo-res | type | type-req | type-res | offload | minsize-req | minsize-res | direction ..." ALL => Refused("compression is not available yet"), "Compresses bodies.";
    "filter" "<name> [param*]" PROXIES => Refused("filters are not available yet"), "Adds a filter.";
    "filter-sequence" "{ request | response } <filter_list>" PROXIES => Refused("filters are not available yet"), "The order of filters.";
    "crt" "<cert> [options...]" FRONTEND => Refused("TLS is not available yet"), "A certificate.";
    "ssl-f-use" "[<option> ...]" FRONTEND => Refused("TLS is not available yet"), "A certificate.";
    "email-alert from" "<emailaddr>" ALL => Refused("email alerts are not available yet"), "The sender of alerts.";
    "email-alert level" "<level>" ALL => Refused("email alerts are not available yet"), "The least urgent level that is mailed.";
    "email-alert mailers" "<section>" ALL => Refused("email alerts are not available yet"), "Who sends alerts.";
    "email-alert myhostname" "<hostname>" ALL => Refused("email alerts are not available yet"), "The name given to mailers.";
    "email-alert to" "<emailaddr>" ALL => Refused("email alerts are not available yet"), "Who gets alerts.";
    "use-fcgi-app" "<name>" BACKEND => Refused("FastCGI is not available yet"), "Speaks FastCGI to servers.";
    "log-steps" "<steps>" FRONT => Refused("'log-steps' is not available yet"), "The moments at which a line is logged.";
    "appsession" "<cookie> ..." ALL => Removed("use stick tables or 'cookie' instead"), "Keeps clients on servers by an application's cookie.";
}

/// `source` of a backend or of a server: the address; the rest of the line says what is not there.
pub fn source_address(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<std::net::SocketAddr> {
    let word = words
        .expect(loading.report, "<addr>[:<port>], and optionally 'usesrc' <addr>, and 'interface' <name>")?;
    let address = crate::config::words::source(word, loading);
    while let Some(option @ ("usesrc" | "interface")) = words.peek() {
        words.take_word();
        let message = format!("'source' : '{option}' is not available yet");
        loading.report.alert(words.last_span(), message);
        words.take_word();
    }
    address
}

fn source(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(address) = source_address(words, loading) {
        draft.source = Some(address);
    }
    words.end(loading.report);
}

fn load_state(_: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    match words.text() {
        Some("none") => {}
        Some("global" | "local") => {
            let message = "'load-server-state-from-file' is not available yet";
            loading.report.alert(words.last_span(), message);
        }
        other => {
            let message = format!(
                "'load-server-state-from-file' expects 'global', 'local' or 'none'. Got '{}'",
                other.unwrap_or("")
            );
            loading.report.alert(words.last_span(), message);
        }
    }
    words.end(loading.report);
}
