//! Walking through the words of one line: taking arguments, converting them, and saying what is
//! wrong with them in place.

use crate::base::units::{self, TimeError, TimeUnit};
use crate::diag::{Report, Span};
use crate::model::server::SourceAddress;

use super::address;
use super::loading::Loading;
use super::syntax::{Line, Prefix, Word};

/// Keywords after whose arguments HAProxy ignores what is left of the line.
const IGNORES_MORE: &[&str] = &[
    "anonkey",
    "balance",
    "capture cookie",
    "clitcpka-cnt",
    "clitcpka-idle",
    "clitcpka-intvl",
    "declare capture",
    "default-path",
    "dynamic-cookie-key",
    "guid",
    "hard-stop-after",
    "hash-balance-factor",
    "hash-preserve-affinity",
    "hash-type",
    "http-send-name-header",
    "load-server-state-from-file",
    "log-send-hostname",
    "max-keep-alive-queue",
    "numa-cpu-mapping",
    "option redispatch",
    "persist rdp-cookie",
    "rate-limit sessions",
    "server-state-base",
    "server-state-file",
    "set-var",
    "set-var-fmt",
    "size",
    "srvtcpka-cnt",
    "srvtcpka-idle",
    "srvtcpka-intvl",
    "stats auth",
    "stats enable",
    "stats hide-version",
    "stats realm",
    "stats refresh",
    "stats scope",
    "stats show-legends",
    "stats show-modules",
    "stats show-node",
    "stats show-version",
    "stats timeout",
    "stats uri",
    "tcp-request inspect-delay",
    "tcp-response inspect-delay",
    "tune.vars.global-max-size",
    "tune.vars.proc-max-size",
    "tune.vars.reqres-max-size",
    "tune.vars.sess-max-size",
    "tune.vars.txn-max-size",
    "unique-id-header",
    "warn-blocked-traffic-after",
];

/// The words of a line and how far they have been read.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// The line.
    pub line: &'a Line,
    at: usize,
    name_end: usize,
}

impl<'a> Words<'a> {
    /// Starts after the first `taken` words, which are the keyword.
    pub fn new(line: &'a Line, taken: usize) -> Self {
        Words { line, at: taken, name_end: taken }
    }
    /// The keyword: the words that were taken at the start, joined by blanks.
    pub fn keyword(&self) -> String {
        self.line.texts()[..self.name_end.min(self.line.words.len())].join(" ")
    }
    /// Whether `no` stood before the keyword.
    pub fn is_negated(&self) -> bool {
        self.line.prefix == Prefix::No
    }
    /// The line's place.
    pub fn span(&self) -> Span {
        self.line.span
    }
    /// The place of the word read last, or of the line.
    pub fn last_span(&self) -> Span {
        self.last().map_or(self.line.span, |word| word.span)
    }
    /// The word read last.
    pub fn last(&self) -> Option<&'a Word> {
        self.line.words.get(self.at.checked_sub(1)?)
    }
    /// The next word, if any; it is taken.
    pub fn take_word(&mut self) -> Option<&'a Word> {
        let word = self.line.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }
    /// The next word's text, if any; it is taken.
    pub fn text(&mut self) -> Option<&'a str> {
        self.take_word().map(|word| word.text.as_str())
    }
    /// The next word's text, not taken.
    pub fn peek(&self) -> Option<&'a str> {
        self.line.words.get(self.at).map(|word| word.text.as_str())
    }
    /// Takes the next word if it is `text`.
    pub fn take(&mut self, text: &str) -> bool {
        let found = self.peek() == Some(text);
        self.at += usize::from(found);
        found
    }
    /// What is left, as text; nothing is taken.
    pub fn rest(&self) -> Vec<&'a str> {
        self.line.words[self.at.min(self.line.words.len())..].iter().map(|word| word.text.as_str()).collect()
    }
    /// What is left, taken.
    pub fn take_rest(&mut self) -> Vec<&'a str> {
        let rest = self.rest();
        self.at = self.line.words.len();
        rest
    }
    /// The place of what is left.
    pub fn rest_span(&self) -> Span {
        match (self.line.words.get(self.at), self.line.words.last()) {
            (Some(first), Some(last)) => Span { end: last.span.end, ..first.span },
            _ => self.line.span,
        }
    }
    /// Whether all words were taken.
    pub fn is_done(&self) -> bool {
        self.at >= self.line.words.len()
    }

    /// The next word, or an alert that `what` is missing.
    pub fn expect(&mut self, report: &mut Report, what: &str) -> Option<&'a Word> {
        let word = self.take_word();
        if word.is_none() {
            let message = format!("'{}' expects {what}", self.keyword());
            report.alert(self.line.span, message);
        }
        word
    }
    /// A whole number, or an alert.
    pub fn integer(&mut self, report: &mut Report) -> Option<i64> {
        let word = self.expect(report, "an integer argument")?;
        integer(word, &self.keyword(), report)
    }
    /// A number that must not be negative, or an alert.
    pub fn unsigned(&mut self, report: &mut Report) -> Option<u32> {
        let word = self.expect(report, "an integer argument")?;
        unsigned(word, &self.keyword(), report)
    }
    /// A duration in milliseconds, or an alert.
    pub fn time_ms(&mut self, report: &mut Report) -> Option<u64> {
        let word = self.expect(report, "a time as argument")?;
        time_ms(word, &self.keyword(), report)
    }
    /// A duration in seconds, or an alert.
    pub fn time_s(&mut self, report: &mut Report) -> Option<u64> {
        let word = self.expect(report, "a time as argument")?;
        time_s(word, &self.keyword(), report)
    }
    /// A size in bytes, or an alert.
    pub fn size(&mut self, report: &mut Report) -> Option<u64> {
        let word = self.expect(report, "a size as argument")?;
        size(word, &self.keyword(), report)
    }
    /// `on` or `off`, or an alert.
    pub fn on_off(&mut self, report: &mut Report) -> Option<bool> {
        let word = self.expect(report, "'on' or 'off'")?;
        match word.text.as_str() {
            "on" => Some(true),
            "off" => Some(false),
            other => {
                report.alert(
                    word.span,
                    format!("'{}' expects either 'on' or 'off' but got '{other}'", self.keyword()),
                );
                None
            }
        }
    }
    /// An alert if words are left, or a notice where HAProxy ignores them.
    pub fn end(&mut self, report: &mut Report) {
        if IGNORES_MORE.contains(&self.keyword().as_str()) {
            return self.ignore_rest(report);
        }
        if let Some(word) = self.line.words.get(self.at) {
            let message = format!("'{}' cannot handle unexpected argument '{}'", self.keyword(), word.text);
            report.alert(word.span, message);
            self.at = self.line.words.len();
        }
    }
    /// A notice if words are left: HAProxy ignores them, so they stop no configuration that it loads.
    pub fn ignore_rest(&mut self, report: &mut Report) {
        if let Some(word) = self.line.words.get(self.at) {
            let message = format!("'{}' ignores the unexpected argument '{}'", self.keyword(), word.text);
            report.notice(word.span, message).help("quote a value that contains blanks, or remove the word");
            self.at = self.line.words.len();
        }
    }
}

/// Bytes of a GUID at most.
const GUID_MAX: usize = 127;

/// Whether a text may be a GUID (manual, section 4.2 `guid`).
pub fn check_guid(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > GUID_MAX {
        return Err(format!("a GUID has 1 to {GUID_MAX} characters"));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.:".contains(*c)) {
        Some(found) => Err(format!("character '{found}' is not permitted in a GUID")),
        None => Ok(()),
    }
}

/// A word as a whole number, or an alert.
pub fn integer(word: &Word, keyword: &str, report: &mut Report) -> Option<i64> {
    match word.text.parse() {
        Ok(number) => Some(number),
        Err(_) => {
            report.alert(word.span, format!("'{keyword}' expects an integer argument, got '{}'", word.text));
            None
        }
    }
}

/// A word as a number of 32 bits that is not negative, or an alert.
pub fn unsigned(word: &Word, keyword: &str, report: &mut Report) -> Option<u32> {
    match word.text.parse() {
        Ok(number) => Some(number),
        Err(_) => {
            report.alert(
                word.span,
                format!("'{keyword}' expects a positive integer argument, got '{}'", word.text),
            );
            None
        }
    }
}

/// A word as a number within bounds, or an alert.
pub fn within(
    word: &Word,
    keyword: &str,
    bounds: std::ops::RangeInclusive<i64>,
    report: &mut Report,
) -> Option<i64> {
    let number = integer(word, keyword, report)?;
    if bounds.contains(&number) {
        return Some(number);
    }
    report.alert(
        word.span,
        format!("'{keyword}' expects a number from {} to {}, got {number}", bounds.start(), bounds.end()),
    );
    None
}

/// A word as a duration in milliseconds, or an alert.
pub fn time_ms(word: &Word, keyword: &str, report: &mut Report) -> Option<u64> {
    time(word, keyword, TimeUnit::Millisecond, report)
}

/// A word as a duration in seconds, or an alert.
pub fn time_s(word: &Word, keyword: &str, report: &mut Report) -> Option<u64> {
    time(word, keyword, TimeUnit::Second, report)
}

fn time(word: &Word, keyword: &str, unit: TimeUnit, report: &mut Report) -> Option<u64> {
    match units::parse_time(&word.text, unit) {
        Ok(value) => Some(value),
        // HAProxy takes the value and warns of what follows it.
        Err(error @ TimeError::Trailing { value, .. }) => {
            report.warning(word.span, format!("'{keyword}' : {error}"));
            Some(value)
        }
        Err(TimeError::Overflow) => {
            let (name, about) = match unit {
                TimeUnit::Second => ("s", "~68 years"),
                _ => ("ms", "~24.8 days"),
            };
            let message = format!(
                "timer overflow in argument '{}' to '{keyword}' (maximum value is 2147483647 {name} or {about})",
                word.text
            );
            report.alert(word.span, message);
            None
        }
        Err(TimeError::Unexpected(character)) => {
            let character = character.map_or(String::new(), String::from);
            report.alert(word.span, format!("unexpected character '{character}' in '{keyword}'"));
            None
        }
    }
}

/// A word as a size in bytes, or an alert.
pub fn size(word: &Word, keyword: &str, report: &mut Report) -> Option<u64> {
    match units::parse_size(&word.text) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            report.alert(word.span, format!("'{keyword}' : {error} in '{}'", word.text));
            None
        }
    }
}

/// A word as the address that connections come from, or an alert.
pub fn source(word: &Word, loading: &mut Loading<'_>) -> Option<SourceAddress> {
    match address::parse_source(&word.text, &loading.scope()) {
        Ok(address) => Some(address),
        Err(error) => {
            loading.address_error("'source' : ", word.span, error);
            None
        }
    }
}
