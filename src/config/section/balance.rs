//! How a backend chooses a server: `balance`, `hash-type` and their kin (manual, section 4.2).

use super::ProxyParser;
use crate::balance::Affinity;
use crate::balance::{Algorithm, HashFunction, HashType};
use crate::config::draft::{BalanceDraft, Draft};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::model::proxy::BalanceKey;
use crate::sample::Expr;
use crate::sample::expr::Phase;

keywords! {
    /// Balancing.
    pub TABLE: ProxyParser, "4.2";
    "balance" "<algorithm> [<arguments>]" BACK => Parse(balance), "How a server is chosen.";
    "hash-balance-factor" "<factor>" BACK => Parse(balance_factor), "How far a server may be above the mean load before a consistent hash passes it over, in percent.";
    "hash-preserve-affinity" "{ always | maxconn | maxqueue }" BACK => Parse(preserve_affinity), "When a hash may leave a server that is full.";
    "hash-type" "<method> [<function> [avalanche]]" BACK => Parse(hash_type), "How keys are mapped to servers.";
}

/// The algorithms, for suggestions and explanations.
pub const ALGORITHMS: &[(&str, &str)] = &[
    ("roundrobin", "Each server in turn, as often as its weight says; weights may change at run time."),
    ("static-rr", "Each server in turn, by weights that do not change at run time."),
    ("leastconn", "The server with the fewest connections for its weight: for long sessions."),
    ("first", "The first server, in the order of their numbers, that has a free connection slot."),
    ("source", "By a hash of the client's address: the same client reaches the same server."),
    ("uri", "By a hash of the path, or of the whole URI with 'whole': for caches."),
    ("url_param", "By a hash of a parameter of the query, or of a form with 'check_post'."),
    ("hdr", "By a hash of a header field: 'hdr(name)'."),
    ("random", "The least loaded of some servers drawn at random by weight: 'random(draws)'."),
    ("rdp-cookie", "By a hash of a cookie of the RDP protocol: 'rdp-cookie(name)'."),
    ("hash", "By a hash of a sample expression: 'hash <expr>'."),
];

fn balance(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.take_word() else {
        // `balance` alone is round robin, as HAProxy has it.
        draft.balance = None;
        return;
    };
    let (name, argument) = match word.text.split_once('(') {
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(argument) => (name, Some(argument)),
            None => {
                loading.report.alert(word.span, format!("balance {name} : missing closing parenthesis"));
                return;
            }
        },
        None => (word.text.as_str(), None),
    };
    let plain = |algorithm, name| Some((algorithm, BalanceKey::None, name, false));
    let chosen = match name {
        "roundrobin" => plain(Algorithm::RoundRobin, "roundrobin"),
        "static-rr" => plain(Algorithm::StaticRoundRobin, "static-rr"),
        "leastconn" => plain(Algorithm::LeastConn, "leastconn"),
        "first" => plain(Algorithm::First, "first"),
        "source" => Some((Algorithm::Hash, BalanceKey::Source, "source", false)),
        "random" => match argument.map_or(Ok(2), str::parse::<u32>) {
            Ok(draws) if draws >= 1 => plain(Algorithm::Random { draws }, "random"),
            _ => {
                loading.report.alert(word.span, "balance random : number of draws must be at least 1");
                None
            }
        },
        "uri" => uri(words, loading).map(|key| (Algorithm::Hash, key, "uri", true)),
        "url_param" => url_param(words, loading).map(|key| (Algorithm::Hash, key, "url_param", true)),
        "hdr" => header(argument, words, loading).map(|key| (Algorithm::Hash, key, "hdr", true)),
        "rdp-cookie" => match argument {
            Some("") => {
                loading.report.alert(word.span, "balance rdp-cookie : missing cookie name");
                None
            }
            name => {
                let name = name.unwrap_or("mstshash").into();
                Some((Algorithm::Hash, BalanceKey::RdpCookie(name), "rdp-cookie", false))
            }
        },
        "hash" => expression(draft, words, loading).map(|key| (Algorithm::Hash, key, "hash", false)),
        "log-hash" | "log-sticky" | "sticky" => {
            let message = format!("balance '{name}' is for 'mode log', which is not available yet");
            loading.report.alert(word.span, message);
            return;
        }
        _ => {
            let help = crate::diag::did_you_mean(name, ALGORITHMS.iter().map(|(name, _)| *name));
            let found = loading.report.alert(
                word.span,
                "balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', \
                 'hash', 'hdr(name)', 'rdp-cookie(name)', 'log-hash' and 'sticky' options",
            );
            if let Some(help) = help {
                found.help(help);
            }
            return;
        }
    };
    if let Some((algorithm, key, name, needs_http)) = chosen {
        words.end(loading.report);
        draft.balance = Some(BalanceDraft { algorithm, key, name, needs_http });
    }
}

fn uri(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<BalanceKey> {
    let (mut whole, mut len, mut depth, mut path_only) = (false, 0, 0, false);
    while let Some(word) = words.take_word() {
        match word.text.as_str() {
            "whole" => whole = true,
            "path-only" => path_only = true,
            option @ ("len" | "depth") => {
                let value = words.text().unwrap_or("");
                let Some(number) = value.parse::<usize>().ok().filter(|number| *number > 0) else {
                    let message =
                        format!("balance uri : '{option}' expects a positive integer (got '{value}')");
                    loading.report.alert(words.last_span(), message);
                    return None;
                };
                *(if option == "len" { &mut len } else { &mut depth }) = number;
            }
            other => {
                let message = format!(
                    "balance uri only accepts parameters 'len', 'depth', 'path-only', and 'whole' (got '{other}')"
                );
                loading.report.alert(word.span, message);
                return None;
            }
        }
    }
    Some(BalanceKey::Uri { whole, len, depth, path_only })
}

fn url_param(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<BalanceKey> {
    let Some(name) = words.text() else {
        loading.report.alert(words.span(), "balance url_param requires an URL parameter name");
        return None;
    };
    let check_post = words.take("check_post");
    if !check_post && let Some(word) = words.take_word() {
        let message = format!("balance url_param only accepts 'check_post' modifier (got '{}')", word.text);
        loading.report.alert(word.span, message);
        return None;
    }
    // An old second argument, the bytes to wait for: HAProxy takes and ignores it.
    if words.peek().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit())) {
        words.take_word();
    }
    Some(BalanceKey::UrlParam { name: name.into(), check_post })
}

fn header(argument: Option<&str>, words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<BalanceKey> {
    let Some(name) = argument.filter(|name| !name.is_empty()) else {
        loading.report.alert(words.last_span(), "balance hdr requires an http header field name");
        return None;
    };
    let domain_only = words.take("use_domain_only");
    if !domain_only && let Some(word) = words.take_word() {
        let message = format!("balance hdr only accepts 'use_domain_only' modifier (got '{}')", word.text);
        loading.report.alert(word.span, message);
        return None;
    }
    Some(BalanceKey::Header { name: name.into(), domain_only })
}

fn expression(draft: &Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<BalanceKey> {
    let Some(word) = words.take_word() else {
        loading.report.alert(words.span(), "balance hash requires a sample expression");
        return None;
    };
    let mut context = loading.context(Phase::Switching, Some(&draft.name), &draft.acls);
    Expr::parse(&word.text, word.span, &mut context).map(BalanceKey::Expr)
}

fn balance_factor(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(factor) = words.unsigned(loading.report) else { return };
    if factor != 0 && factor <= 100 {
        loading.report.alert(words.last_span(), "'hash-balance-factor' must be 0 or greater than 100");
        return;
    }
    draft.hash_balance_factor = factor;
    words.end(loading.report);
}

fn preserve_affinity(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.hash_preserve_affinity = match words.text() {
        Some("always") => Affinity::Always,
        Some("maxconn") => Affinity::MaxConn,
        Some("maxqueue") => Affinity::MaxQueue,
        _ => {
            let message = "'hash-preserve-affinity' only supports 'always', 'maxconn' and 'maxqueue'";
            loading.report.alert(words.last_span(), message);
            return;
        }
    };
    words.end(loading.report);
}

fn hash_type(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let consistent = match words.text() {
        Some("consistent") => true,
        Some("map-based") => false,
        Some("avalanche") => {
            let message = "experimental feature 'hash-type avalanche' is not supported anymore, please use \
                           'hash-type map-based sdbm avalanche' instead";
            loading.report.alert(words.last_span(), message);
            return;
        }
        _ => {
            let message = "'hash-type' only supports 'consistent' and 'map-based'";
            loading.report.alert(words.last_span(), message);
            return;
        }
    };
    let mut hash = HashType { consistent, function: HashFunction::Sdbm, avalanche: consistent };
    if let Some(function) = words.text() {
        hash.function = match function {
            "sdbm" => HashFunction::Sdbm,
            "djb2" => HashFunction::Djb2,
            "wt6" => HashFunction::Wt6,
            "crc32" => HashFunction::Crc32,
            "none" => HashFunction::None,
            _ => {
                let message = "'hash-type' only supports 'sdbm', 'djb2', 'crc32', or 'wt6' hash functions";
                loading.report.alert(words.last_span(), message);
                return;
            }
        };
        // A function that is named is taken as it is: only the default one comes with avalanche.
        hash.avalanche = words.take("avalanche");
        if !hash.avalanche
            && let Some(word) = words.take_word()
        {
            let message = "'hash-type' only supports 'avalanche' as a modifier for hash functions";
            loading.report.alert(word.span, message);
            return;
        }
    }
    draft.hash = hash;
    words.end(loading.report);
}
