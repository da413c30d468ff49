//! What a keyword's table row says about itself, in the form that readers of documentation want.
//!
//! Every table of keywords (directives, fetches, converters, actions, runtime commands) can turn a
//! row into a [`DocEntry`]; `haring doc KEYWORD`, completion and the manual are made from those.
//! This is the common shape only: it knows no table and no rule of the domain.

use std::borrow::Cow;

/// One keyword as its documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocEntry {
    /// The keyword as it is written: `option httpchk`, `req.hdr`.
    pub name: Cow<'static, str>,
    /// What sort of keyword it is: `directive`, `fetch`, `converter`, `action`, `command`.
    pub kind: &'static str,
    /// The keyword with its arguments: `timeout connect <time>`.
    pub signature: String,
    /// Where it may stand: sections for a directive, rule sets for an action, phases for a fetch.
    pub sections: Vec<&'static str>,
    /// What it does, in plain words.
    pub text: String,
    /// Whether it does it here.
    pub support: Support,
}

/// What becomes of a keyword of HAProxy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Support {
    /// It works.
    #[default]
    Full,
    /// It is accepted; the text says why nothing needs to be done.
    NoAction(&'static str),
    /// It is refused, with this reason.
    Refused(&'static str),
    /// HAProxy removed it; the text says what to write instead.
    Removed(&'static str),
}

impl Support {
    /// A sentence about anything but full support; empty otherwise.
    pub fn sentence(self) -> String {
        match self {
            Support::Full => String::new(),
            Support::NoAction(why) => format!("Accepted without effect: {why}."),
            Support::Refused(why) => format!("Not available: {why}."),
            Support::Removed(instead) => format!("Removed: {instead}."),
        }
    }
}

impl DocEntry {
    /// Whether `keyword` names this entry: its whole name, or any of its words from the first on
    /// (`timeout` finds `timeout connect`).
    pub fn answers_to(&self, keyword: &str) -> bool {
        self.name
            .strip_prefix(keyword)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' ') || rest.starts_with('('))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_whole_leading_words() {
        for (name, keyword, expected) in [
            ("timeout connect", "timeout", true),
            ("timeout connect", "timeout connect", true),
            ("timeout connect", "time", false),
            ("timeout connect", "connect", false),
            ("map(file)", "map", true),
        ] {
            let entry = DocEntry {
                name: name.into(),
                kind: "directive",
                signature: String::new(),
                sections: Vec::new(),
                text: String::new(),
                support: Support::Full,
            };
            assert_eq!(entry.answers_to(keyword), expected, "{name} {keyword}");
        }
    }
}
