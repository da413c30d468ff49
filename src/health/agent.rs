//! What an agent answers: a line of words about health, administration, weight and `maxconn`
//! (manual, section 5.2 `agent-check`).

use super::status::Status;

/// An administrative word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Admin {
    Ready,
    Drain,
    Maint,
}

/// An understood answer. Words of one category override each other: the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// `up`, `down`, `stopped`, `fail` as written, and what it means.
    pub health: Option<(String, Status)>,
    /// `ready`, `drain`, `maint`.
    pub admin: Option<Admin>,
    /// `N%` or `weight:N`.
    pub weight: Option<String>,
    /// `maxconn:N`.
    pub maxconn: Option<String>,
    /// The first word that means nothing.
    pub unknown: Option<String>,
    /// What stands after `#`.
    pub description: String,
}

/// The most bytes of an answer's line.
pub const LINE_MAX: usize = 4096;

/// The line in `input`: `None` while its end has not come.
pub fn line(input: &[u8]) -> Option<&[u8]> {
    input.iter().position(|byte| matches!(byte, b'\r' | b'\n')).map(|end| &input[..end])
}

/// Reads a line.
pub fn parse(line: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(line);
    let (words, description) = match text.split_once('#') {
        // A sharp inside a word belongs to it.
        Some((words, rest)) if words.is_empty() || words.ends_with([' ', '\t', ',']) => (words, rest.trim()),
        _ => (&*text, ""),
    };
    let mut reply = Reply { description: description.to_owned(), ..Reply::default() };
    for word in words.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "up" => reply.health = Some((word.to_owned(), Status::L7Ok)),
            "down" | "stopped" | "fail" => reply.health = Some((word.to_owned(), Status::L7Status)),
            "ready" => reply.admin = Some(Admin::Ready),
            "drain" => reply.admin = Some(Admin::Drain),
            "maint" => reply.admin = Some(Admin::Maint),
            _ if lower.starts_with(|c: char| c.is_ascii_digit()) && lower.contains('%') => {
                reply.weight = Some(word.to_owned());
            }
            _ if lower.starts_with("maxconn:") => reply.maxconn = Some(word["maxconn:".len()..].to_owned()),
            _ if lower.starts_with("weight:") => reply.weight = Some(word["weight:".len()..].to_owned()),
            _ => reply.unknown = reply.unknown.take().or_else(|| Some(word.to_owned())),
        }
    }
    reply
}

impl Reply {
    /// The status to record and its text, once the orders were carried out; `warning` is what they answered.
    pub fn finding(&self, warning: Option<&str>) -> (Status, String) {
        let odd = self.unknown.as_deref().or(warning);
        match &self.health {
            Some((word, status)) => {
                // The description of a failure must not be hidden by a slip in another word.
                let plain = self.description.is_empty() || *status == Status::L7Ok;
                let note = if plain { odd.unwrap_or(&self.description) } else { &self.description };
                let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
                (*status, format!("via agent : {word}{note}"))
            }
            None => match (&self.unknown, warning) {
                (Some(word), _) => (Status::Checked, format!("agent reports an error : {word}")),
                (None, Some(text)) => (Status::Checked, format!("agent warns : {text}")),
                (None, None) => (Status::Checked, String::new()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_the_words() {
        let reply = parse(b"Up 50%,maxconn:30 drain down ready # overloaded, sorry");
        assert_eq!(reply.health, Some(("down".into(), Status::L7Status)));
        assert_eq!((reply.weight.as_deref(), reply.maxconn.as_deref()), (Some("50%"), Some("30")));
        assert_eq!((reply.admin, &*reply.description), (Some(Admin::Ready), "overloaded, sorry"));
        assert_eq!(line(b"up"), None);
        assert_eq!(line(b"up\r\nx"), Some(&b"up"[..]));
    }

    #[test]
    fn words_its_findings() {
        for (text, warning, expected) in [
            ("up", None, (Status::L7Ok, "via agent : up")),
            ("stopped # maintenance", Some("w"), (Status::L7Status, "via agent : stopped (maintenance)")),
            ("up bogus # fine", None, (Status::L7Ok, "via agent : up (bogus)")),
            ("fail bogus", None, (Status::L7Status, "via agent : fail (bogus)")),
            ("bogus 10%", None, (Status::Checked, "agent reports an error : bogus")),
            ("10%", Some("too much"), (Status::Checked, "agent warns : too much")),
            ("weight:7", None, (Status::Checked, "")),
        ] {
            let (status, info) = parse(text.as_bytes()).finding(warning);
            assert_eq!((status, &*info), expected, "{text}");
        }
    }
}
