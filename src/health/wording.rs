//! How failures name the step they happened at, word for word as HAProxy does.

use super::machine::hex;
use super::script::{Connect, Pattern, Port, Rule, Step};

/// ` at step N of tcp-check (...)`.
pub(super) fn place(current: Option<&Rule>) -> String {
    let Some(rule) = current else { return " at step 1 of tcp-check".to_owned() };
    let mut text = match &rule.step {
        Step::Connect(connect) if connect.implicit => {
            return " at initial connection step of tcp-check".to_owned();
        }
        Step::Connect(Connect { port: Port::Fixed(port), .. }) => format!(" (connect port {port})"),
        Step::Connect(_) => " (connect)".to_owned(),
        Step::Emit(_) => " (send)".to_owned(),
        Step::Expect(expect) => format!(" (expect {})", expected(&expect.pattern)),
        _ => String::new(),
    };
    text.insert_str(0, &format!(" at step {} of tcp-check", rule.index + 1));
    if let Some(comment) = &rule.comment {
        text.push_str(&format!(" comment: '{comment}'"));
    }
    text
}

fn expected(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Bytes { data, binary: false } => format!("string '{}'", String::from_utf8_lossy(data)),
        Pattern::Bytes { data, binary: true } => format!("binary '{}'", hex(data)),
        Pattern::Regex { binary: false, .. } => "regex".to_owned(),
        Pattern::Regex { binary: true, .. } => "binary regex".to_owned(),
        Pattern::Format { binary: false, .. } => "log-format string".to_owned(),
        Pattern::Format { binary: true, .. } => "log-format binary".to_owned(),
        Pattern::Status(_) => "HTTP status codes".to_owned(),
        Pattern::StatusRegex(_) => "HTTP status regex".to_owned(),
        Pattern::Header { .. } => "HTTP header pattern".to_owned(),
        Pattern::Body(data) => format!("HTTP body content '{}'", String::from_utf8_lossy(data)),
        Pattern::BodyRegex(_) => "HTTP body regex".to_owned(),
        Pattern::BodyFormat(_) => "log-format HTTP body".to_owned(),
        Pattern::Mysql { .. } | Pattern::Ldap | Pattern::Agent => "custom function".to_owned(),
    }
}

/// How the generic text of a failure names what was compared.
pub(super) fn kind_of_pattern(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Bytes { data, binary: false } | Pattern::Body(data) => {
            format!(" '{}'", String::from_utf8_lossy(data))
        }
        Pattern::Bytes { binary: true, .. } => " (binary)".to_owned(),
        Pattern::Regex { binary: false, .. } | Pattern::StatusRegex(_) | Pattern::BodyRegex(_) => {
            " (regex)".to_owned()
        }
        Pattern::Regex { binary: true, .. } => " (binary regex)".to_owned(),
        Pattern::Format { binary: false, .. } | Pattern::BodyFormat(_) => " (log-format string)".to_owned(),
        Pattern::Format { binary: true, .. } => " (log-format binary)".to_owned(),
        // HAProxy forgets the space here, and scripts may look for its text.
        Pattern::Status(_) => "(status codes)".to_owned(),
        Pattern::Header { .. } => " (header pattern)".to_owned(),
        Pattern::Mysql { .. } | Pattern::Ldap | Pattern::Agent => " (custom function)".to_owned(),
    }
}
