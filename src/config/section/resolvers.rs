//! `resolvers` sections (manual, section 5.3.2).

use std::sync::Arc;

use crate::config::address;
use crate::config::draft::{Draft, Kind};
use crate::config::loading::Loading;
use crate::config::syntax::{Line, Section, Word};
use crate::config::words::{self, Words};
use crate::diag::Span;
use crate::resolvers::{Nameserver, Resolvers, Transport};
use crate::wire::dns::HEAD_BYTES;

use super::server::{self, ServerSettings};

/// Where the system names its name servers.
const SYSTEM: &str = "/etc/resolv.conf";
/// The port of name servers.
const PORT: u16 = 53;
/// The section that is there without being written.
const DEFAULT: &str = "default";
/// The most name servers of a section: each is asked for each name.
const NAMESERVERS_MAX: usize = 64;

/// The lines of a section: name, arguments, documentation.
pub const KEYWORDS: &[(&str, &str, &str)] = &[
    ("accepted_payload_size", "<nb>", "The size of answers that is announced to name servers, in bytes."),
    (
        "hold",
        "{ valid | nx | timeout | refused | other | obsolete } <period>",
        "How long the last valid answer stays in force after an answer of that kind.",
    ),
    (
        "nameserver",
        "<name> <address>:<port> [param*]",
        "A name server, asked by datagrams unless its address begins with 'tcp@'.",
    ),
    ("parse-resolv-conf", "", "Adds the name servers of /etc/resolv.conf."),
    ("resolve_retries", "<nb>", "Questions after which a resolution fails."),
    (
        "timeout",
        "{ resolve | retry } <time>",
        "The time between two resolutions of a name, and between two questions.",
    ),
];

/// Reads one section.
pub fn read(section: &Section, loading: &mut Loading<'_>) {
    let Some(name) = section.head.words.get(1) else {
        loading.report.alert(section.head.span, "missing name for resolvers section");
        return;
    };
    if super::sections::name(section, loading).is_none() {
        return;
    }
    if let Some(known) = loading.resolvers.iter().find(|known| *known.name == *name.text) {
        let message = format!(
            "resolvers '{}' has same name as another resolvers (declared at {})",
            name.text,
            loading.place(known.span)
        );
        loading.report.alert(name.span, message);
        return;
    }
    let mut resolvers = Resolvers::new(&name.text, section.head.span);
    let mut places = Vec::new();
    for line in &section.lines {
        let mut words = Words::new(line, 1);
        match line.words[0].text.as_str() {
            "nameserver" => nameserver(&mut resolvers, &mut places, &mut words, loading),
            "parse-resolv-conf" => {
                words.ignore_rest(loading.report);
                system(&mut resolvers, &mut places, line, loading);
            }
            "hold" => hold(&mut resolvers, &mut words, loading),
            "timeout" => timeout(&mut resolvers, &mut words, loading),
            "accepted_payload_size" => {
                let bounds = HEAD_BYTES as i64..=65535;
                if let Some(size) = number(&mut words, bounds, loading) {
                    resolvers.payload_max = size as u16;
                }
            }
            "resolve_retries" => {
                if let Some(count) = number(&mut words, 1..=i64::from(i32::MAX), loading) {
                    resolvers.retries = count as u32;
                }
            }
            "resolution_pool_size" => {
                let message = "'resolution_pool_size' directive is not supported anymore (it never appeared in a \
                               stable release)";
                loading.report.alert(line.words[0].span, message).help("remove the line");
            }
            other => {
                let known: Vec<&str> = KEYWORDS.iter().map(|(name, ..)| *name).collect();
                super::sections::unknown(line, other, "resolvers", &known, loading);
            }
        }
    }
    if resolvers.nameservers.is_empty() && !loading.report.has_alerts() {
        let message = format!("resolvers '{}' has no nameservers configured!", resolvers.name);
        loading.report.warning(section.head.span, message);
    }
    add(resolvers, loading);
}

/// Makes the section `default` from the system's name servers, unless one is written; a system without any is no
/// mistake.
pub fn add_default(loading: &mut Loading<'_>) {
    if loading.resolvers.iter().any(|known| &*known.name == DEFAULT) {
        return;
    }
    let mut resolvers = Resolvers::new(DEFAULT, Span::NONE);
    resolvers.is_implicit = true;
    if let Ok(bytes) = loading.file(SYSTEM) {
        for (_, found) in system_nameservers(&bytes) {
            if let Ok(nameserver) = found
                && resolvers.nameservers.len() < NAMESERVERS_MAX
                && !resolvers.nameservers.iter().any(|known| known.name == nameserver.name)
            {
                resolvers.nameservers.push(nameserver);
            }
        }
    }
    if !resolvers.nameservers.is_empty() {
        add(resolvers, loading);
    }
}

fn add(resolvers: Resolvers, loading: &mut Loading<'_>) {
    let resolvers = Arc::new(resolvers);
    loading.named.resolvers.insert(resolvers.name.to_string(), resolvers.clone());
    loading.resolvers.push(resolvers);
}

/// `nameserver <name> <address>:<port> [param*]`
fn nameserver(
    resolvers: &mut Resolvers,
    places: &mut Vec<(Box<str>, String)>,
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
) {
    let (Some(name), Some(place)) = (words.take_word(), words.take_word()) else {
        let message = "'nameserver' expects <name> and <addr>[:<port>] as arguments";
        loading.report.alert(words.span(), message);
        return;
    };
    if let Some(bad) = name.text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.:".contains(*c)) {
        let message = format!("character '{bad}' is not permitted in server name '{}'", name.text);
        loading.report.alert(name.span, message);
        return;
    }
    if let Some((_, place)) = places.iter().find(|(known, _)| **known == *name.text) {
        let message =
            format!("nameserver '{}' has same name as another nameserver (declared at {place})", name.text);
        loading.report.alert(name.span, message);
        return;
    }
    let (transport, address) = match address::parse_nameserver(&place.text, &loading.scope()) {
        Ok(found) => found,
        Err(error) => {
            loading.address_error(&format!("'nameserver {}' : ", name.text), place.span, error);
            return;
        }
    };
    let mut connections_max = 0;
    match transport {
        Transport::Udp => words.ignore_rest(loading.report),
        Transport::Tcp => {
            let mut settings = ServerSettings::default();
            let draft = Draft::new(Kind::Listen, &resolvers.name, words.span());
            let options = words.rest_span();
            server::options(&mut settings, &draft, words, &format!("nameserver {}", name.text), loading);
            connections_max = settings.maxconn;
            if let Some(span) = settings.tls.ssl {
                let message =
                    format!("'nameserver {}' : TLS to name servers is not available yet", name.text);
                loading.report.alert(span, message).help("ask a local resolver that speaks it");
            }
            if settings.source.address.is_some() {
                let message =
                    format!("'nameserver {}' : 'source' is not available yet for name servers", name.text);
                loading.report.alert(options, message).help("remove it: the system chooses the address");
            }
        }
    }
    if resolvers.nameservers.len() >= NAMESERVERS_MAX {
        let message = format!("resolvers '{}' has more than {NAMESERVERS_MAX} nameservers", resolvers.name);
        loading
            .report
            .alert(name.span, message)
            .help("all of them are asked for each name; keep the nearest ones");
        return;
    }
    places.push((name.text.as_str().into(), loading.place(name.span)));
    resolvers.nameservers.push(Nameserver {
        name: name.text.as_str().into(),
        transport,
        address,
        connections_max,
        counters: Arc::default(),
    });
}

/// The name servers of the system's file, each with the number of its line; what is wrong with a line otherwise.
fn system_nameservers(bytes: &[u8]) -> Vec<(usize, Result<Nameserver, String>)> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some(rest) = line.strip_prefix("nameserver") else { continue };
        if !(rest.is_empty() || rest.starts_with([' ', '\t', '\r'])) {
            continue;
        }
        let entry = match rest.split_whitespace().next() {
            None => Err("nameserver line is missing address".to_owned()),
            Some(text) => match text.parse() {
                Ok(address) => Ok(Nameserver {
                    name: text.into(),
                    transport: Transport::Udp,
                    address: std::net::SocketAddr::new(address, PORT),
                    connections_max: 0,
                    counters: Arc::default(),
                }),
                Err(_) => {
                    Err(format!("address '{text}' could not be recognized, nameserver will be excluded"))
                }
            },
        };
        found.push((at + 1, entry));
    }
    found
}

/// `parse-resolv-conf`
fn system(
    resolvers: &mut Resolvers,
    places: &mut Vec<(Box<str>, String)>,
    line: &Line,
    loading: &mut Loading<'_>,
) {
    let span = line.words[0].span;
    let bytes = match loading.file(SYSTEM) {
        Ok(bytes) => bytes,
        Err(why) => {
            loading
                .report
                .alert(span, format!("failed to open {SYSTEM}: {why}"))
                .help("write the name servers with 'nameserver' lines where the system has no such file");
            return;
        }
    };
    for (number, found) in system_nameservers(&bytes) {
        let complaint = match found {
            Ok(nameserver) => match places.iter().find(|(known, _)| *known == nameserver.name) {
                None if resolvers.nameservers.len() >= NAMESERVERS_MAX => {
                    format!(
                        "there are more than {NAMESERVERS_MAX} nameservers, '{}' is excluded",
                        nameserver.name
                    )
                }
                None => {
                    places.push((nameserver.name.clone(), format!("{SYSTEM}:{number}")));
                    resolvers.nameservers.push(nameserver);
                    continue;
                }
                Some((name, place)) => format!(
                    "generated name for {SYSTEM} nameserver '{name}' conflicts with another nameserver (declared at \
                     {place}), it appears to be a duplicate and will be excluded"
                ),
            },
            Err(complaint) => complaint,
        };
        loading.report.warning(span, format!("parsing [{SYSTEM}:{number}] : {complaint}"));
    }
}

fn number(
    words: &mut Words<'_>,
    bounds: std::ops::RangeInclusive<i64>,
    loading: &mut Loading<'_>,
) -> Option<i64> {
    let keyword = words.keyword();
    let Some(word) = words.take_word() else {
        loading.report.alert(words.span(), format!("'{keyword}' expects <nb> as argument"));
        return None;
    };
    let number = words::integer(word, &keyword, loading.report)?;
    if !bounds.contains(&number) {
        let message = format!(
            "'{keyword}' must be between {} and {} inclusive (was {})",
            bounds.start(),
            bounds.end(),
            word.text
        );
        loading.report.alert(word.span, message);
        return None;
    }
    words.ignore_rest(loading.report);
    Some(number)
}

/// `hold <status> <period>`
fn hold(resolvers: &mut Resolvers, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let (Some(event), Some(period)) = (words.take_word(), words.take_word()) else {
        let message = "'hold' expects an <event> and a <time> as arguments";
        loading
            .report
            .alert(words.span(), message)
            .help("<event> can be either 'valid', 'nx', 'refused', 'timeout', 'other' or 'obsolete'");
        return;
    };
    let Some(ms) = words::time_ms(period, "hold", loading.report) else { return };
    let hold = &mut resolvers.hold;
    match event.text.as_str() {
        "nx" => hold.nx = ms,
        "other" => hold.other = ms,
        "refused" => hold.refused = ms,
        "timeout" => hold.timeout = ms,
        "valid" => hold.valid = ms,
        "obsolete" => hold.obsolete = ms,
        other => {
            let message = format!(
                "'hold' unknown <event>: '{other}', expects either 'nx', 'refused', 'timeout', 'valid', 'obsolete' \
                 or 'other'"
            );
            loading.report.alert(event.span, message);
            return;
        }
    }
    warn_if_small(&format!("hold {}", event.text), period, ms, loading);
    words.ignore_rest(loading.report);
}

/// `timeout <event> <time>`
fn timeout(resolvers: &mut Resolvers, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(event) = words.take_word() else {
        let message = "'timeout' expects 'retry' or 'resolve' and <time> as arguments";
        loading.report.alert(words.span(), message);
        return;
    };
    let place = match event.text.as_str() {
        "retry" => &mut resolvers.timeout_retry_ms,
        "resolve" => &mut resolvers.timeout_resolve_ms,
        other => {
            let message =
                format!("'timeout' expects 'retry' or 'resolve' and <time> as arguments got '{other}'");
            loading.report.alert(event.span, message);
            return;
        }
    };
    let Some(time) = words.take_word() else {
        let message = format!("'timeout {}' expects <time> as argument", event.text);
        loading.report.alert(words.span(), message);
        return;
    };
    let name = format!("timeout {}", event.text);
    let Some(ms) = words::time_ms(time, &name, loading.report) else { return };
    *place = ms;
    warn_if_small(&name, time, ms, loading);
    words.ignore_rest(loading.report);
}

/// The least number of milliseconds that is not taken for a slip when no unit stands with it.
const SMALL_MS: u64 = 100;

fn warn_if_small(name: &str, word: &Word, ms: u64, loading: &mut Loading<'_>) {
    if ms > 0 && ms < SMALL_MS && word.text.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!(
            "'{name} {ms}' looks suspiciously small for a value in milliseconds. Please use an explicit unit \
             ('{ms}ms') if that was the intent"
        );
        loading.report.warning(word.span, message);
    }
}
