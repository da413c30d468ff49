//! What a check found, and what it means for the server: statuses, the rise/fall count, log texts.
//!
//! A server's health is a number from 0 to `rise + fall - 1`: below `rise` it is down, from there
//! on it is up (manual, section 5.2 `rise`, `fall`). A success counts up and jumps to the top when
//! it reaches `rise`; a failure counts down and falls to 0 below `rise`. Nothing here changes a
//! server: [`apply`] keeps the count in the [`CheckReport`], the control thread draws the consequences.

use crate::state::server::CheckReport;

/// How a check ended, numbered as `show servers state` prints it (`srv_check_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Status {
    #[default]
    Unknown = 0,
    Initializing = 1,
    Started = 2,
    /// An agent said nothing about health.
    Checked = 3,
    /// `observe` saw too many errors.
    Observed = 4,
    SocketError = 5,
    L4Ok = 6,
    L4Timeout = 7,
    L4Connection = 8,
    L6Ok = 9,
    L6Timeout = 10,
    L6Response = 11,
    L7Timeout = 12,
    L7Response = 13,
    L7Ok = 15,
    L7OkConditional = 16,
    L7Status = 17,
}

/// What a status says about the server, numbered as `srv_check_result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Outcome {
    Unknown = 0,
    Neutral = 1,
    Failed = 2,
    Passed = 3,
    /// Passed, but the server wants no new sessions.
    ConditionallyPassed = 4,
}

/// Bits of `srv_check_state` and `srv_agent_state`.
pub mod flag {
    /// A check is running.
    pub const IN_PROGRESS: u8 = 0x01;
    /// This kind of check is configured.
    pub const CONFIGURED: u8 = 0x02;
    /// It is switched on.
    pub const ENABLED: u8 = 0x04;
    /// It is suspended by maintenance (health checks only).
    pub const PAUSED: u8 = 0x08;
    /// It is an agent check.
    pub const AGENT: u8 = 0x10;
}

/// The most bytes of information a report keeps.
const INFO_MAX: usize = 127;

impl Status {
    const TABLE: &'static [(Status, Outcome, &'static str, &'static str)] = &[
        (Status::Unknown, Outcome::Unknown, "UNK", "Unknown"),
        (Status::Initializing, Outcome::Unknown, "INI", "Initializing"),
        (Status::Started, Outcome::Unknown, "UNK", "Unknown"),
        (Status::Checked, Outcome::Neutral, "CHECKED", "No status change"),
        (Status::Observed, Outcome::Failed, "HANA", "Health analyze"),
        (Status::SocketError, Outcome::Failed, "SOCKERR", "Socket error"),
        (Status::L4Ok, Outcome::Passed, "L4OK", "Layer4 check passed"),
        (Status::L4Timeout, Outcome::Failed, "L4TOUT", "Layer4 timeout"),
        (Status::L4Connection, Outcome::Failed, "L4CON", "Layer4 connection problem"),
        (Status::L6Ok, Outcome::Passed, "L6OK", "Layer6 check passed"),
        (Status::L6Timeout, Outcome::Failed, "L6TOUT", "Layer6 timeout"),
        (Status::L6Response, Outcome::Failed, "L6RSP", "Layer6 invalid response"),
        (Status::L7Timeout, Outcome::Failed, "L7TOUT", "Layer7 timeout"),
        (Status::L7Response, Outcome::Failed, "L7RSP", "Layer7 invalid response"),
        (Status::L7Ok, Outcome::Passed, "L7OK", "Layer7 check passed"),
        (Status::L7OkConditional, Outcome::ConditionallyPassed, "L7OKC", "Layer7 check conditionally passed"),
        (Status::L7Status, Outcome::Failed, "L7STS", "Layer7 wrong status"),
    ];

    fn row(self) -> &'static (Status, Outcome, &'static str, &'static str) {
        Self::TABLE.iter().find(|row| row.0 == self).unwrap_or(&Self::TABLE[0])
    }
    /// Every status.
    pub fn all() -> impl Iterator<Item = Status> {
        Self::TABLE.iter().map(|row| row.0)
    }
    /// The status with that number; what is not known is [`Status::Unknown`].
    pub fn from_number(number: u8) -> Status {
        Self::TABLE.iter().find(|row| row.0 as u8 == number).map_or(Status::Unknown, |row| row.0)
    }
    /// What it says about the server.
    pub fn outcome(self) -> Outcome {
        self.row().1
    }
    /// Its short name in statistics.
    pub fn label(self) -> &'static str {
        self.row().2
    }
    /// Its text in logs.
    pub fn description(self) -> &'static str {
        self.row().3
    }
    /// Whether a layer 5 to 7 code comes with it.
    pub fn has_code(self) -> bool {
        self >= Status::L7Ok
    }
}

/// The end of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// How it ended.
    pub status: Status,
    /// The layer-7 code, an HTTP status for instance; shown only with statuses that have one.
    pub code: u32,
    /// What else there is to know; may be empty.
    pub info: String,
    /// How long it took; `None` when nothing was measured.
    pub duration_ms: Option<u64>,
}

impl Finding {
    /// A finding without a code.
    pub fn new(status: Status, info: impl Into<String>) -> Finding {
        Finding { status, code: 0, info: info.into(), duration_ms: None }
    }
}

/// The report of a check that has not run yet.
pub fn initial(rise: u32, fall: u32, configured: bool, agent: bool) -> CheckReport {
    let mut flags = 0;
    if configured {
        flags = flag::CONFIGURED | flag::ENABLED | if agent { flag::AGENT } else { 0 };
    }
    CheckReport {
        status: Status::Initializing as u8,
        label: Status::Initializing.label(),
        description: Status::Initializing.description(),
        // Up, but the first failure brings it down.
        health: rise as i32,
        rise: rise as i32,
        fall: fall as i32,
        configured,
        enabled: configured,
        state_flags: flags,
        ..CheckReport::default()
    }
}

/// Whether the count stands on the good side.
pub fn is_up(report: &CheckReport) -> bool {
    report.health >= report.rise
}

/// The highest health: one more success changes nothing.
pub fn health_max(report: &CheckReport) -> i32 {
    report.rise + report.fall - 1
}

/// A check starts: no result until it ends.
pub fn begin(report: &mut CheckReport) {
    report.result = Outcome::Unknown as u8;
    report.info.clear();
    report.state_flags |= flag::IN_PROGRESS;
}

/// What [`apply`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Worth a line with `option log-health-checks`: another status than before, or the count moved.
    pub progress: bool,
    /// A failure that counts in `chkfail`.
    pub counted_failure: bool,
}

/// Enters a finding and moves the count.
pub fn apply(report: &mut CheckReport, finding: &Finding, agent: bool) -> Applied {
    let status = finding.status;
    let mut applied = Applied { progress: report.status != status as u8, counted_failure: false };
    report.status = status as u8;
    report.label = status.label();
    report.description = status.description();
    report.code = status.has_code().then_some(finding.code);
    report.info = cut(&finding.info);
    report.duration_ms = finding.duration_ms;
    report.state_flags &= !flag::IN_PROGRESS;
    let outcome = status.outcome();
    if outcome != Outcome::Unknown {
        report.result = outcome as u8;
    }
    match outcome {
        Outcome::Neutral => applied.progress = false,
        Outcome::Failed => {
            // An agent that cannot be reached says nothing about the server (manual, `agent-check`).
            if (!agent || status.has_code()) && report.health > 0 {
                applied = Applied { progress: true, counted_failure: true };
                report.health -= 1;
                if report.health < report.rise {
                    report.health = 0;
                }
            }
        }
        Outcome::Passed | Outcome::ConditionallyPassed => {
            if report.health < health_max(report) {
                applied.progress = true;
                report.health += 1;
                if report.health >= report.rise {
                    report.health = health_max(report);
                }
            }
        }
        Outcome::Unknown => {}
    }
    applied
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(INFO_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// `, reason: ...` with code, information and duration, as it stands in several log lines.
pub fn reason(report: &CheckReport) -> String {
    use std::fmt::Write as _;
    let status = Status::from_number(report.status);
    let mut text = format!(", reason: {}", status.description());
    if status.has_code() {
        let _ = write!(text, ", code: {}", report.code.unwrap_or(0));
    }
    if !report.info.is_empty() {
        let _ = write!(text, ", info: \"{}\"", encode(&report.info));
    }
    if let Some(duration) = report.duration_ms {
        let _ = write!(text, ", check duration: {duration}ms");
    }
    text
}

/// The text with all that could confuse a reader of logs as `<XX>`.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && !matches!(byte, b'<' | b'>' | b'"') {
            out.push(byte as char);
        } else {
            let _ = write!(out, "<{byte:02X}>");
        }
    }
    out
}

/// The line of `option log-health-checks`, without its final dot.
pub fn log_line(report: &CheckReport, server: &str, backup: bool, agent: bool, weight: u32) -> String {
    let up = is_up(report);
    let (step, of) =
        if up { (report.health - report.rise + 1, report.fall) } else { (report.health, report.rise) };
    let conditional = report.result == Outcome::ConditionallyPassed as u8;
    format!(
        "{} check for {}server {server} {}{}{}, status: {step}/{of} {}",
        if agent { "Agent" } else { "Health" },
        if backup { "backup " } else { "" },
        if conditional { "conditionally " } else { "" },
        if report.result >= Outcome::Passed as u8 { "succeeded" } else { "failed" },
        reason(report),
        match (up, weight) {
            (true, 0) => "DRAIN",
            (true, _) => "UP",
            (false, _) => "DOWN",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(status: Status) -> Finding {
        Finding { status, code: 503, info: "say \"<a>\"\n".into(), duration_ms: Some(7) }
    }

    #[test]
    fn counts_up_and_down_like_the_manual_says() {
        use Status::*;
        // rise 2, fall 3: 0..=4; starts at 2, one failure from down.
        let mut report = initial(2, 3, true, false);
        let steps = [
            (L4Ok, 4, true),
            (L4Ok, 4, false),
            (L4Connection, 3, true),
            (L4Connection, 2, true),
            (L4Ok, 4, true),
            (L4Connection, 3, true),
            (L4Connection, 2, true),
            (L4Connection, 0, true),
            (L4Connection, 0, false),
            (L7OkConditional, 1, true),
            (L4Timeout, 0, true),
            (L4Ok, 1, true),
            (L4Ok, 4, true),
            (Checked, 4, false),
        ];
        for (at, (status, health, progress)) in steps.into_iter().enumerate() {
            let applied = apply(&mut report, &finding(status), false);
            assert_eq!((report.health, applied.progress), (health, progress), "step {at}");
        }
    }

    #[test]
    fn an_agent_out_of_reach_changes_nothing() {
        let mut report = initial(1, 1, true, true);
        assert!(!apply(&mut report, &finding(Status::L4Connection), true).counted_failure);
        assert_eq!((report.health, report.state_flags), (1, 0x16));
        assert!(apply(&mut report, &finding(Status::L7Status), true).counted_failure);
        assert_eq!(report.health, 0);
    }

    #[test]
    fn numbers_and_words_are_those_of_the_runtime_api() {
        for (number, label) in
            [(1, "INI"), (6, "L4OK"), (8, "L4CON"), (12, "L7TOUT"), (15, "L7OK"), (17, "L7STS")]
        {
            let status = Status::from_number(number);
            assert_eq!((status as u8, status.label()), (number, label));
        }
        assert_eq!(Status::from_number(14), Status::Unknown);
    }

    #[test]
    fn writes_the_log_line() {
        let mut report = initial(1, 1, true, false);
        apply(&mut report, &finding(Status::L7Status), false);
        assert_eq!(
            log_line(&report, "be/srv", true, false, 1),
            "Health check for backup server be/srv failed, reason: Layer7 wrong status, code: 503, \
             info: \"say <22><3C>a<3E><22><0A>\", check duration: 7ms, status: 0/1 DOWN"
        );
        let passed = Finding { duration_ms: Some(0), ..Finding::new(Status::L4Ok, "") };
        apply(&mut report, &passed, false);
        assert_eq!(
            log_line(&report, "be/srv", false, false, 1),
            "Health check for server be/srv succeeded, reason: Layer4 check passed, \
             check duration: 0ms, status: 1/1 UP"
        );
        let finding = Finding { duration_ms: None, ..finding(Status::L7OkConditional) };
        apply(&mut report, &finding, true);
        let line = log_line(&report, "be/srv", false, true, 0);
        assert!(line.starts_with("Agent check for server be/srv conditionally succeeded, reason"), "{line}");
        assert!(line.ends_with("\", status: 1/1 DRAIN"), "{line}");
    }
}
