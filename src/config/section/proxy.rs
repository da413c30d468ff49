//! What is left of proxies' keywords: listening, sources, headers, features that are not there
//! (manual, section 4.2).

use crate::model::proxy::SavedState;
use std::sync::Arc;

use super::ProxyParser;
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::model::server::{SourceAddress, UseSource};
use crate::sample::acl::AclSet;
use crate::sample::expr::{Expr, Phase};

keywords! {
    /// The rest.
    pub TABLE: ProxyParser, "4.2";
    "bind" "<address>[, ...] [param*]" FRONTEND => Parse(super::bind::line), "Where to listen.";
    "source" "<addr>[:<port>[-<port>]] [usesrc ...] [interface <name>]" BACK => Parse(source), "The address that connections to servers come from.";
    "http-send-name-header" "<header>" BACK => Parse(send_name_header), "Tells servers their own name in a header field.";
    "load-server-state-from-file" "{ global | local | none }" BACK => Parse(load_state), "Take servers' state of an earlier process from a file that 'show servers state' wrote.";
    "server-state-file-name" "[{ use-backend-name | <file> }]" BACK => Parse(state_file_name), "The name of a backend's own state file; the backend's name unless another is given.";
    "compression" "algo | algo-req | algo-res | type | type-req | type-res | offload | minsize-req | minsize-res | direction ..." ALL => Refused("compression is not available yet"), "Compresses bodies.";
    "filter" "<name> [param*]" PROXIES => Refused("filters are not available yet"), "Adds a filter.";
    "filter-sequence" "{ request | response } <filter_list>" PROXIES => Refused("filters are not available yet"), "The order of filters.";
    "crt" "<cert> [options...]" FRONTEND => Refused("it is an option of 'bind' lines, and of 'ssl-f-use', which is not available yet"), "A certificate.";
    "ssl-f-use" "[<option> ...]" FRONTEND => Refused("it is not available yet; name certificates on the 'bind' lines"), "A certificate.";
    "email-alert from" "<emailaddr>" ALL => Refused("email alerts are not available yet"), "The sender of alerts.";
    "email-alert level" "<level>" ALL => Refused("email alerts are not available yet"), "The least urgent level that is mailed.";
    "email-alert mailers" "<section>" ALL => Refused("email alerts are not available yet"), "Who sends alerts.";
    "email-alert myhostname" "<hostname>" ALL => Refused("email alerts are not available yet"), "The name given to mailers.";
    "email-alert to" "<emailaddr>" ALL => Refused("email alerts are not available yet"), "Who gets alerts.";
    "use-fcgi-app" "<name>" BACKEND => Refused("FastCGI is not available yet"), "Speaks FastCGI to servers.";
    "log-steps" "<steps>" FRONT => Refused("'log-steps' is not available yet"), "The moments at which a line is logged.";
    "appsession" "<cookie> ..." ALL => Removed("use stick tables or 'cookie' instead"), "Keeps clients on servers by an application's cookie.";
}

/// `source` of a backend or of a server.
#[derive(Clone, Debug, Default)]
pub struct SourceLine {
    /// The address connected from.
    pub address: Option<SourceAddress>,
    /// The address shown to the server instead.
    pub shown: Option<UseSource>,
    /// The interface connected through.
    pub interface: Option<Arc<str>>,
}

/// Parses the words after `source`; the last of those that say the same counts.
pub fn source_line(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<SourceLine> {
    let word = words
        .expect(loading.report, "<addr>[:<port>], and optionally 'usesrc' <addr>, and 'interface' <name>")?;
    let address = crate::config::words::source(word, loading)?;
    let mut line = SourceLine { address: Some(address), ..SourceLine::default() };
    while let Some(option @ ("usesrc" | "interface")) = words.peek() {
        words.take_word();
        if option == "usesrc" {
            line.shown = Some(use_source(words, loading)?);
        } else {
            line.interface = Some(words.expect(loading.report, "an interface name")?.text.as_str().into());
        }
    }
    Some(line)
}

/// Whose address `usesrc` shows.
fn use_source(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<UseSource> {
    let what = "<addr>[:<port>], 'client', 'clientip', or 'hdr_ip(name,#)'";
    let word = words.expect(loading.report, what)?;
    Some(match word.text.as_str() {
        "client" => UseSource::Client,
        "clientip" => UseSource::ClientIp,
        text if text.starts_with("hdr_ip(") => {
            let text = format!("req.{text}");
            let known = AclSet::default();
            let mut context = loading.context(Phase::Switching, None, &known);
            UseSource::Header(Arc::new(Expr::parse(&text, word.span, &mut context)?))
        }
        _ => {
            let source = crate::config::words::source(word, loading)?;
            if source.has_range() {
                loading
                    .report
                    .alert(word.span, format!("'usesrc' : port range not permitted here in '{}'", word.text));
                return None;
            }
            UseSource::Address(source.next())
        }
    })
}

fn source(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(line) = source_line(words, loading) {
        draft.source = line;
    }
    words.end(loading.report);
}

fn send_name_header(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    const FORBIDDEN: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];
    let Some(word) = words.expect(loading.report, "a header name") else { return };
    let name = word.text.to_ascii_lowercase();
    if FORBIDDEN.contains(&&*name) {
        let message = format!(
            "'http-send-name-header' cannot be used on a listener header such as 'Host', 'Content-length', \
             'Transfer-encoding' or 'Connection': '{}'",
            word.text
        );
        loading.report.alert(word.span, message);
        return;
    }
    draft.send_name_header = Some(name.into());
    words.end(loading.report);
}

fn state_file_name(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.state_file = words.text().filter(|name| *name != "use-backend-name").map(Into::into);
    words.end(loading.report);
}

fn load_state(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    match words.text() {
        Some("none") => draft.saved_state = SavedState::None,
        Some("global") => draft.saved_state = SavedState::Global,
        Some("local") => draft.saved_state = SavedState::Local("".into()),
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
