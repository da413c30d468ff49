//! Options of servers about their names: which name servers are asked while running, and which of a name's
//! addresses are wanted (manual, sections 5.2 and 5.3).

use std::sync::Arc;

use super::bind::value;
use super::server::{ServerDraft, ServerParser, ServerSettings};
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::diag::{Span, did_you_mean};
use crate::model::server::Resolution;
use crate::pattern::parse_ip_prefix;
use crate::resolvers::options::{NETWORKS_MAX, Network, Options, Prefer};
use crate::wire::dns::Name;

keywords! {
    /// The options.
    pub TABLE: ServerParser, "5.2";
    "resolve-net" "<network>[,<network>]*" SERVER => Parse(networks), "Networks to prefer among a name's addresses.";
    "resolve-opts" "{ allow-dup-ip | ignore-weight | prevent-dup-ip }[,...]" SERVER => Parse(choices), "How a name's addresses are chosen: 'allow-dup-ip', 'prevent-dup-ip', 'ignore-weight'.";
    "resolve-prefer" "{ ipv4 | ipv6 }" SERVER => Parse(prefer), "The family to prefer among a name's addresses: 'ipv4' or 'ipv6'.";
    "resolvers" "<id>" SERVER => Parse(resolvers), "The section whose name servers tell the addresses of the server's name while running.";
}

/// What the options of a line say.
#[derive(Clone, Debug, Default)]
pub struct ResolveSettings {
    /// `resolvers`.
    pub resolvers: Option<(Box<str>, Span)>,
    options: Options,
}

fn resolvers(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(word) = value(words, loading) {
        settings.resolve.resolvers = Some((word.text.as_str().into(), word.span));
    }
}

fn prefer(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.resolve.options.prefer = match word.text.as_str() {
        "ipv4" => Prefer::V4,
        "ipv6" => Prefer::V6,
        other => {
            let message = format!("'resolve-prefer' expects either ipv4 or ipv6 as argument, got '{other}'");
            loading.report.alert(word.span, message);
            return;
        }
    };
}

fn choices(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    let options = &mut settings.resolve.options;
    for choice in word.text.split(',').filter(|choice| !choice.is_empty()) {
        match choice {
            "allow-dup-ip" => options.allow_duplicates = true,
            "prevent-dup-ip" => options.allow_duplicates = false,
            "ignore-weight" => options.ignore_weight = true,
            other => {
                let message = format!(
                    "'resolve-opts' : unknown resolve-opts option '{other}', supported methods are 'allow-dup-ip', \
                     'ignore-weight', and 'prevent-dup-ip'"
                );
                let help = did_you_mean(other, ["allow-dup-ip", "ignore-weight", "prevent-dup-ip"]);
                loading.report.alert(word.span, message).help = help;
                return;
            }
        }
    }
}

fn networks(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    let networks = &mut settings.resolve.options.networks;
    for text in word.text.split(',').filter(|text| !text.is_empty()) {
        if networks.len() >= NETWORKS_MAX {
            loading.report.alert(word.span, format!("'resolve-net' exceed {NETWORKS_MAX} networks"));
            return;
        }
        match parse_ip_prefix(text.as_bytes()) {
            Some((address, length)) => networks.push(Network { address, length }),
            None => {
                loading.report.alert(word.span, format!("'resolve-net' invalid network '{text}'"));
                return;
            }
        }
    }
}

/// What the server's name is resolved with while running, if it is.
pub fn finish(line: &ServerDraft, draft: &Draft, loading: &mut Loading<'_>) -> Option<Arc<Resolution>> {
    let settings = &line.settings.resolve;
    let (name, span) = settings.resolvers.as_ref()?;
    let prefix = format!("{} '{}', server '{}'", draft.kind.word(), draft.name, line.name);
    let Some(resolvers) = loading.named.resolvers.get(&**name).cloned() else {
        // It may stand in a line that could not be read, whose mistake is reported.
        if !loading.lost_lines {
            let near = loading.nearest(name, loading.named.resolvers.keys().map(String::as_str));
            let message = format!("{prefix}: unable to find required resolvers '{name}'");
            let found = loading.report.alert(*span, message);
            if let Some(near) = near {
                found.help(format!("did you mean '{near}'?"));
            }
        }
        return None;
    };
    let host = match line.address.hostname.as_deref().map(Name::parse) {
        None => None,
        Some(Ok(host)) => Some(host),
        Some(Err(why)) => {
            let message = format!("{prefix}: unable to set DNS resolution: {why}");
            loading.report.alert(line.span, message);
            return None;
        }
    };
    let service = host.filter(Name::is_service);
    Some(Arc::new(Resolution { resolvers, options: Arc::new(settings.options.clone()), service }))
}
