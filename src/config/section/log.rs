//! `log` lines and log formats (manual, sections 4.2 and 8).

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::ProxyParser;
use crate::config::address;
use crate::config::draft::{Draft, FormatText, LogLine};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::syntax::Prefix;
use crate::config::words::Words;
use crate::log::target::{Address, Format, Sampling, Target};

keywords! {
    /// Logs.
    pub TABLE: ProxyParser, "4.2";
    "log" "{ global | <target> [len <length>] [format <format>] [sample <ranges>:<size>] <facility> [<level> [<minlevel>]] }" ALL => Parse(log), "Where log lines go; 'no log' forgets what was inherited.";
    "log-format" "<fmt>" ALL => Parse(log_format), "What a log line says.";
    "log-format-sd" "<fmt>" ALL => Parse(log_format_sd), "The structured data of RFC 5424 log lines.";
    "error-log-format" "<fmt>" ALL => Parse(error_log_format), "What the log line of a failed connection says.";
    "log-tag" "<string>" ALL => Parse(log_tag), "The program's name in log lines.";
    "unique-id-format" "<fmt>" ALL => Parse(unique_id_format), "How the identifier of a request is made.";
    "unique-id-header" "<name>" FRONT => Parse(unique_id_header), "The header field that takes a request's identifier to the server.";
}

/// Facilities in order of their numbers (manual, section 4.2 "log").
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// Levels in order of their numbers.
const LEVELS: &[&str] = &["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

pub(super) const FORMATS: &[(&str, Format)] = &[
    ("local", Format::Local),
    ("rfc3164", Format::Rfc3164),
    ("rfc5424", Format::Rfc5424),
    ("priority", Format::Priority),
    ("short", Format::Short),
    ("timed", Format::Timed),
    ("iso", Format::Iso),
    ("raw", Format::Raw),
];

/// Longest line without `len`.
const LINE_MAX: usize = 1024;

fn log(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.line.prefix != Prefix::None {
        if !words.is_done() {
            loading.report.alert(words.span(), "'no log' does not expect arguments");
        }
        draft.log.clear();
        return;
    }
    if words.rest() == ["global"] {
        if !draft.log.iter().any(|line| matches!(line, LogLine::Global)) {
            draft.log.push(LogLine::Global);
        }
        return;
    }
    if let Some(target) = target(words, "or global ", loading) {
        draft.log.push(LogLine::Target(Arc::new(target)));
    }
}

/// The words after `log` as a target.
pub fn target(words: &mut Words<'_>, or_global: &str, loading: &mut Loading<'_>) -> Option<Target> {
    if words.rest().len() < 2 {
        let message = format!("'log' expects <address> and <facility> {or_global}as arguments");
        loading.report.alert(words.span(), message);
        return None;
    }
    let place = words.take_word()?;
    let mut target = Target {
        address: Address::Fd(2),
        span: place.span,
        format: Format::default(),
        len: LINE_MAX,
        facility: 0,
        level: 7,
        level_min: 0,
        sampling: None,
        seen: AtomicU32::new(0),
    };
    if words.take("len") {
        let len = words.text().unwrap_or("");
        match len.parse().ok().filter(|len| (80..=65535).contains(len)) {
            Some(len) => target.len = len,
            None => {
                let message = format!("'log' : invalid log length '{len}', must be between 80 and 65535");
                loading.report.alert(words.last_span(), message);
                return None;
            }
        }
    }
    if words.take("format") {
        let name = words.text().unwrap_or("");
        match FORMATS.iter().find(|(known, _)| *known == name) {
            Some((_, format)) => target.format = *format,
            None => {
                unknown(name, "log format", FORMATS.iter().map(|(known, _)| *known), words, loading);
                return None;
            }
        }
    }
    if words.take("sample") {
        match sampling(words.text().unwrap_or("")) {
            Ok(sampling) => target.sampling = Some(sampling),
            Err(error) => {
                loading.report.alert(words.last_span(), format!("'log' : {error}"));
                return None;
            }
        }
    }
    if words.take("profile") {
        loading.report.alert(words.last_span(), "'log' : log profiles are not available yet");
        return None;
    }
    let facility = words.text().unwrap_or("");
    match FACILITIES.iter().position(|known| *known == facility) {
        Some(number) => target.facility = number as u8,
        None => {
            unknown(facility, "log facility", FACILITIES.iter().copied(), words, loading);
            return None;
        }
    }
    for (slot, what) in
        [(&mut target.level, "optional log level"), (&mut target.level_min, "optional minimum log level")]
    {
        let Some(name) = words.text() else { break };
        match level(name) {
            Some(number) => *slot = number,
            None => {
                unknown(name, what, LEVELS.iter().copied(), words, loading);
                return None;
            }
        }
    }
    if let Some(word) = words.take_word() {
        loading.report.alert(word.span, format!("'log' : cannot handle unexpected argument '{}'", word.text));
        return None;
    }
    match address::parse_log(&place.text, &loading.scope()) {
        Ok(address) => target.address = address,
        Err(error) => {
            loading.address_error("'log' : ", place.span, error);
            return None;
        }
    }
    Some(target)
}

/// A level's number by its name.
pub fn level(name: &str) -> Option<u8> {
    LEVELS.iter().position(|known| *known == name).map(|number| number as u8)
}

fn unknown(
    name: &str,
    what: &str,
    known: impl Iterator<Item = &'static str>,
    words: &Words<'_>,
    loading: &mut Loading<'_>,
) {
    let help = crate::diag::did_you_mean(name, known);
    let found = loading.report.alert(words.last_span(), format!("'log' : unknown {what} '{name}'"));
    if let Some(help) = help {
        found.help(help);
    }
}

/// `<range>[,<range>...]:<size>`, a range being `<n>` or `<low>-<high>`.
fn sampling(text: &str) -> Result<Sampling, String> {
    let (list, size) = text.split_once(':').ok_or("Missing sample size")?;
    let mut ranges = Vec::new();
    for range in list.split(',') {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (Ok(low), Ok(high)) = (low.parse::<u32>(), high.parse::<u32>()) else {
            return Err(format!("invalid sampling range '{range}'"));
        };
        if low == 0 || high < low {
            return Err(format!("invalid sampling range '{range}'"));
        }
        ranges.push((low, high));
    }
    ranges.sort_unstable();
    if let Some(pair) = ranges.windows(2).find(|pair| pair[1].0 <= pair[0].1) {
        return Err(format!(
            "ranges are overlapping: {}-{} and {}-{}",
            pair[0].0, pair[0].1, pair[1].0, pair[1].1
        ));
    }
    let highest = ranges.last().map_or(0, |range| range.1);
    match size.parse::<u32>() {
        Ok(size) if size >= highest => Ok(Sampling { ranges, size }),
        Ok(size) if size > 0 => Err(format!(
            "sample size {size} should be greater or equal to {highest} the maximum of the high ranges limits"
        )),
        _ => Err(format!("wrong sample size '{size}' for sample range '{text}'")),
    }
}

/// Sets the log format, with HAProxy's warnings where the line has no effect.
pub(super) fn set_format(
    draft: &mut Draft,
    words: &Words<'_>,
    loading: &mut Loading<'_>,
    format: FormatText,
) {
    let name = format.option.unwrap_or("log-format");
    if draft.kind.is_defaults()
        && !draft.inheriting
        && let Some(old) = &draft.log_format
    {
        let old = old.option.unwrap_or("log-format");
        let message = format!("'{name}' overrides previous '{old}' in 'defaults' section");
        loading.report.warning(words.span(), message);
    }
    if only_frontends(draft, name, words, loading) {
        draft.log_format = Some(format);
    }
}

/// Warns about a line that a backend has no use for.
fn only_frontends(draft: &Draft, name: &str, words: &Words<'_>, loading: &mut Loading<'_>) -> bool {
    if draft.kind.is_defaults() || draft.kind.is_frontend() {
        return true;
    }
    if !draft.inheriting {
        let name = name.strip_suffix(" clf").unwrap_or(name);
        let message = format!("backend '{}' : '{name}' directive is ignored in backends", draft.name);
        loading.report.warning(words.span(), message);
    }
    false
}

/// The one argument of a format keyword.
fn format(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<FormatText> {
    let keyword = words.keyword();
    let Some(word) = words.take_word() else {
        loading.report.alert(words.span(), format!("{keyword} expects an argument"));
        return None;
    };
    if !words.is_done() {
        let message = format!("{keyword} expects only one argument, don't forget to escape spaces!");
        loading.report.alert(words.rest_span(), message).help("put the whole format between double quotes");
        return None;
    }
    Some(FormatText { text: word.text.as_str().into(), span: word.span, option: None })
}

fn log_format(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(text) = format(words, loading) {
        set_format(draft, words, loading, text);
    }
}

fn log_format_sd(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(text) = format(words, loading)
        && only_frontends(draft, "log-format-sd", words, loading)
    {
        draft.log_format_sd = Some(text);
    }
}

fn error_log_format(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(text) = format(words, loading)
        && only_frontends(draft, "error-log-format", words, loading)
    {
        draft.error_log_format = Some(text);
    }
}

fn unique_id_format(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(text) = format(words, loading) {
        draft.unique_id_format = Some(text);
    }
}

fn unique_id_header(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(name) = words.expect(loading.report, "an argument") {
        draft.unique_id_header = Some(name.text.as_str().into());
    }
    words.end(loading.report);
}

fn log_tag(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(tag) = words.expect(loading.report, "a tag for use in syslog") {
        draft.log_tag = Some(tag.text.as_str().into());
    }
    words.ignore_rest(loading.report);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_ranges_are_checked() {
        for (text, expected) in [
            ("1:10", Ok((vec![(1, 1)], 10))),
            ("5-6,1-3:6", Ok((vec![(1, 3), (5, 6)], 6))),
            ("1-3", Err("Missing sample size")),
            (
                "1-3:2",
                Err("sample size 2 should be greater or equal to 3 the maximum of the high ranges limits"),
            ),
            ("1-3,2:5", Err("ranges are overlapping: 1-3 and 2-2")),
            ("3-1:5", Err("invalid sampling range '3-1'")),
        ] {
            let got = sampling(text).map(|s| (s.ranges, s.size));
            assert_eq!(got, expected.map_err(str::to_owned), "{text}");
        }
    }
}
