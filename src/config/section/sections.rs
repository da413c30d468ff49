//! Sections that are not `global` and not proxies: `http-errors`, `ring`, and those that are known
//! but not there yet (manual, section 12).

use std::collections::HashMap;

use super::error;
use crate::config::loading::Loading;
use crate::config::syntax::{Line, Section};
use crate::config::words::Words;
use crate::diag::did_you_mean;
use crate::model::RingSettings;

/// A kind of section.
#[derive(Debug)]
pub struct SectionKind {
    /// Its keyword.
    pub name: &'static str,
    /// What follows it on its line.
    pub args: &'static str,
    /// The section of HAProxy's manual.
    pub manual: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Why it is refused; `None` if it is read.
    pub refused: Option<&'static str>,
}

const fn row(
    name: &'static str,
    args: &'static str,
    manual: &'static str,
    doc: &'static str,
    refused: Option<&'static str>,
) -> SectionKind {
    SectionKind { name, args, manual, doc, refused }
}

/// Every kind of section.
pub const TABLE: &[SectionKind] = &[
    row("global", "", "3", "Settings of the process.", None),
    row("defaults", "[<name>] [from <defaults>]", "4", "Settings that proxies start from.", None),
    row("frontend", "<name> [from <defaults>]", "4", "Accepts connections.", None),
    row("backend", "<name> [from <defaults>]", "4", "Forwards to servers.", None),
    row("listen", "<name> [from <defaults>]", "4", "A frontend and a backend in one.", None),
    row("userlist", "<name>", "12.2", "Users and their passwords.", None),
    row("http-errors", "<name>", "12.4", "Answers to errors, to be named by proxies.", None),
    row("ring", "<name>", "12.5", "A buffer in memory for log lines.", None),
    row("resolvers", "<name>", "5.3", "Name servers that are asked while running.", None),
    row(
        "peers",
        "<name>",
        "11",
        "Nodes that share stick tables.",
        Some("peers are not available yet; stick tables of proxies are kept on this node alone"),
    ),
    row("cache", "<name>", "6", "A cache of responses.", Some("caching is not available yet")),
    row("mailers", "<name>", "12.3", "Who sends email alerts.", Some("email alerts are not available yet")),
    row(
        "log-forward",
        "<name>",
        "12.6",
        "Forwards syslog messages.",
        Some("forwarding of syslog messages is not available yet"),
    ),
    row(
        "log-profile",
        "<name>",
        "8.3.5",
        "Log formats by moment.",
        Some("log profiles are not available yet"),
    ),
    row(
        "program",
        "<name>",
        "-",
        "A program that runs beside the workers.",
        Some("programs are not available; let the service manager start them"),
    ),
    row("fcgi-app", "<name>", "10", "A FastCGI application.", Some("FastCGI is not available yet")),
    row(
        "crt-store",
        "[<name>]",
        "12.7",
        "Certificates by name.",
        Some("stores of certificates are not available yet; name the files with 'crt' or a 'crt-list'"),
    ),
    row(
        "acme",
        "<name>",
        "12.8",
        "Certificates from an authority.",
        Some("fetching certificates is not available yet"),
    ),
    row("traces", "", "12.1", "Traces for developers.", Some("traces are not available")),
    row("namespace_list", "", "-", "Network name spaces.", Some("network name spaces are not available yet")),
    row(
        "healthcheck",
        "<name>",
        "12",
        "A health check, to be named by servers.",
        Some("'healthcheck' sections are not available yet"),
    ),
];

/// Reads a section that is not `global` and not a proxy; false if it is one of those.
pub fn read(section: &Section, loading: &mut Loading<'_>) -> bool {
    let keyword = &section.head.words[0];
    match keyword.text.as_str() {
        "global" | "defaults" | "frontend" | "backend" | "listen" => return false,
        "userlist" => super::userlist::read(section, loading),
        "http-errors" => http_errors(section, loading),
        "ring" => ring(section, loading),
        "resolvers" => super::resolvers::read(section, loading),
        other => {
            let kind = TABLE.iter().find(|kind| kind.name == other);
            let why = kind.and_then(|kind| kind.refused).unwrap_or("no such section is known");
            loading.report.alert(keyword.span, format!("section '{other}': {why}"));
        }
    }
    true
}

/// The name on a section's head line, or an alert.
pub fn name(section: &Section, loading: &mut Loading<'_>) -> Option<String> {
    let keyword = &section.head.words[0].text;
    let Some(name) = section.head.words.get(1) else {
        loading.report.alert(section.head.span, format!("'{keyword}' expects <name> as arguments"));
        return None;
    };
    if let Some(bad) = name.text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.:".contains(*c)) {
        let message = format!("character '{bad}' is not permitted in '{keyword}' name '{}'", name.text);
        loading.report.alert(name.span, message);
        return None;
    }
    if let Some(extra) = section.head.words.get(2) {
        match keyword.as_str() {
            "http-errors" | "resolvers" => {
                let message = format!("'{keyword}' ignores the unexpected argument '{}'", extra.text);
                loading.report.notice(extra.span, message);
            }
            _ => {
                let message = format!("'{keyword}' cannot handle unexpected argument '{}'", extra.text);
                loading.report.alert(extra.span, message);
            }
        }
    }
    Some(name.text.clone())
}

/// Reports an unknown keyword of a section.
pub fn unknown(line: &Line, keyword: &str, section: &str, known: &[&str], loading: &mut Loading<'_>) {
    let near = crate::diag::closest(keyword, known.iter().copied());
    let message = match near {
        Some(near) => {
            format!("unknown keyword '{keyword}' in '{section}' section; did you mean '{near}' maybe ?")
        }
        None => format!("unknown keyword '{keyword}' in '{section}' section"),
    };
    loading.report.alert(line.words[0].span, message);
}

fn http_errors(section: &Section, loading: &mut Loading<'_>) {
    let Some(name) = name(section, loading) else { return };
    if loading.http_errors.contains_key(&name) {
        loading.report.alert(section.head.span, format!("'http-errors' section '{name}' already exists"));
        return;
    }
    let mut pages = HashMap::new();
    for line in &section.lines {
        let keyword = line.words[0].text.as_str();
        if keyword != "errorfile" {
            unknown(line, keyword, "http-errors", &["errorfile"], loading);
            continue;
        }
        let mut words = Words::new(line, 1);
        if let Some(status) = error::status(&mut words, loading)
            && let Some(page) = error::page(&mut words, loading)
        {
            words.ignore_rest(loading.report);
            pages.insert(status, page);
        }
    }
    loading.http_errors.insert(name, pages);
}

/// The size of a ring without `size`, as in HAProxy.
const RING_SIZE: u64 = 16_384;

fn ring(section: &Section, loading: &mut Loading<'_>) {
    const KEYWORDS: &[&str] =
        &["backing-file", "description", "format", "maxlen", "size", "server", "timeout", "log-tag"];
    let Some(name) = name(section, loading) else { return };
    let mut ring = RingSettings { size: RING_SIZE, description: name.clone(), ..RingSettings::default() };
    ring.place = loading.rings.len();
    for line in &section.lines {
        let mut words = Words::new(line, 1);
        match line.words[0].text.as_str() {
            "size" => {
                match words.size(loading.report) {
                    Some(0) => {
                        loading.report.alert(words.last_span(), "invalid size '0' for a ring");
                    }
                    Some(bytes) => ring.size = bytes,
                    None => {}
                }
                words.end(loading.report);
            }
            "description" => match words.text() {
                Some(text) => ring.description = text.to_owned(),
                None => {
                    let message = "'description' expects a text as its argument";
                    loading.report.alert(line.words[0].span, message);
                }
            },
            "format" => {
                let name = words.text().unwrap_or("");
                match super::log::FORMATS.iter().find(|(known, _)| *known == name) {
                    Some((_, format)) => ring.format = Some(*format),
                    None => {
                        let message = format!("unknown sink format '{name}'");
                        let help = did_you_mean(name, super::log::FORMATS.iter().map(|(known, _)| *known));
                        let found = loading.report.alert(words.last_span(), message);
                        found.help = help;
                    }
                }
            }
            "maxlen" => {
                match words.unsigned(loading.report) {
                    Some(0) => {
                        loading.report.alert(words.last_span(), "invalid length '0' for the lines of a ring");
                    }
                    len => ring.len = len.map(|len| len as usize),
                }
                words.end(loading.report);
            }
            keyword @ ("backing-file" | "server" | "timeout" | "log-tag") => {
                let message = format!("'{keyword}' in 'ring' sections is not available yet");
                loading.report.alert(line.words[0].span, message);
            }
            other => unknown(line, other, "ring", KEYWORDS, loading),
        }
    }
    loading.named.rings.insert(name.clone());
    if loading.rings.insert(name.clone(), ring).is_some() {
        loading.report.alert(section.head.span, format!("ring '{name}' has the same name as another ring"));
    }
}
