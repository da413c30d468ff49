//! The forms of the statistics page: which servers, what to do with them.

use std::sync::Arc;

use super::status::is_enabled;
use crate::model::{Model, Server};
use crate::state::ServerState;

/// What a user may order for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Action {
    Ready,
    Drain,
    Maint,
    DisableHealth,
    EnableHealth,
    HealthUp,
    HealthNolb,
    HealthDown,
    DisableAgent,
    EnableAgent,
    AgentUp,
    AgentDown,
    Shutdown,
}

/// Every action: its word in the form, its text in the menu.
pub const ACTIONS: &[(Action, &str, &str)] = &[
    (Action::Ready, "ready", "Set state to READY"),
    (Action::Drain, "drain", "Set state to DRAIN"),
    (Action::Maint, "maint", "Set state to MAINT"),
    (Action::DisableHealth, "dhlth", "Health: disable checks"),
    (Action::EnableHealth, "ehlth", "Health: enable checks"),
    (Action::HealthUp, "hrunn", "Health: force UP"),
    (Action::HealthNolb, "hnolb", "Health: force NOLB"),
    (Action::HealthDown, "hdown", "Health: force DOWN"),
    (Action::DisableAgent, "dagent", "Agent: disable checks"),
    (Action::EnableAgent, "eagent", "Agent: enable checks"),
    (Action::AgentUp, "arunn", "Agent: force UP"),
    (Action::AgentDown, "adown", "Agent: force DOWN"),
    (Action::Shutdown, "shutdown", "Kill sessions"),
];

/// Words that older scripts send, with what they mean now.
const OLD_WORDS: &[(&str, Action)] = &[
    ("enable", Action::Ready),
    ("disable", Action::Maint),
    ("stop", Action::Drain),
    ("start", Action::Ready),
];

/// One order for the control thread.
#[derive(Clone, Debug)]
pub struct PageOrder {
    /// The server.
    pub server: Arc<ServerState>,
    /// What to do.
    pub action: Action,
}

/// How a form ended, in the words of `;st=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Outcome {
    Done,
    None,
    Part,
    Errp,
    Excd,
    Deny,
    Ival,
    Unkn,
}

/// Every outcome with its word and the message the page shows.
const OUTCOMES: &[(Outcome, &str, &str)] = &[
    (Outcome::Done, "DONE", "The action was carried out."),
    (Outcome::None, "NONE", "Nothing has changed."),
    (
        Outcome::Part,
        "PART",
        "The action was carried out in part: some server names are unknown or did not allow it.",
    ),
    (
        Outcome::Errp,
        "ERRP",
        "Nothing was done: the action, the backend or every server is unknown or did not allow it.",
    ),
    (Outcome::Excd, "EXCD", "Nothing was done: the form was too large. Choose fewer servers at a time."),
    (Outcome::Deny, "DENY", "The action was denied."),
    (Outcome::Ival, "IVAL", "The request was not valid (unsupported method or body)."),
    (Outcome::Unkn, "UNKN", "Unexpected result."),
];

impl Outcome {
    /// Its word in `;st=`.
    pub fn word(self) -> &'static str {
        OUTCOMES.iter().find(|row| row.0 == self).map_or("UNKN", |row| row.1)
    }
    /// Its message.
    pub fn message(self) -> &'static str {
        OUTCOMES.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }
    /// The outcome a word names.
    pub fn parse(word: &[u8]) -> Outcome {
        OUTCOMES.iter().find(|row| row.1.as_bytes() == word).map_or(Outcome::Unkn, |row| row.0)
    }
}

/// Reads a form: `s=<server>&...&action=<word>&b=<backend name or #number>`, in any order; where an
/// `action` or `b` is repeated, the last counts. `names` are the proxies the page may show (all if
/// empty).
pub fn read(body: &[u8], is_whole: bool, model: &Model, names: &[Box<str>]) -> (Outcome, Vec<PageOrder>) {
    if !is_whole {
        return (Outcome::Excd, Vec::new());
    }
    let mut servers = Vec::new();
    let (mut backend, mut action) = (None, None);
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let key = decode(&pair[..at]);
        let value = decode(pair.get(at + 1..).unwrap_or_default());
        let value = String::from_utf8_lossy(&value).into_owned();
        match key.as_slice() {
            b"s" => servers.push(value),
            b"b" => backend = Some(value),
            b"action" => action = Some(value),
            _ => {}
        }
    }
    let (Some(backend), Some(word)) = (backend, action) else {
        // Without a server there is nothing to be wrong about.
        let outcome = if servers.is_empty() { Outcome::None } else { Outcome::Errp };
        return (outcome, Vec::new());
    };
    let Some(action) = parse_action(&word) else { return (Outcome::Errp, Vec::new()) };
    let found = match backend.strip_prefix('#') {
        Some(number) => {
            let number: Option<u32> = number.parse().ok();
            model.proxies.iter().find(|proxy| proxy.is_backend && Some(proxy.id) == number)
        }
        None => model.backend(&backend),
    };
    let in_scope = |name: &str| names.is_empty() || names.iter().any(|wanted| **wanted == *name);
    let proxy = match found {
        Some(proxy) if in_scope(&proxy.name) => proxy,
        // With a scope, an unknown name must look like a forbidden one.
        _ if !names.is_empty() => return (Outcome::Deny, Vec::new()),
        _ => return (Outcome::Errp, Vec::new()),
    };
    let total = servers.len();
    let live = proxy.state.servers.load();
    let mut orders = Vec::new();
    for name in servers {
        let config = proxy.servers.iter().find(|server| *server.name == *name).map(|server| &**server);
        let state =
            config.map(|server| &server.state).or_else(|| live.iter().find(|state| *state.name == *name));
        if let Some(server) = state.filter(|state| is_possible(action, state, config)) {
            orders.push(PageOrder { server: server.clone(), action });
        }
    }
    let outcome = match (total, orders.len()) {
        (0, _) => Outcome::None,
        (_, 0) => Outcome::Errp,
        (total, done) if total == done => Outcome::Done,
        _ => Outcome::Part,
    };
    (outcome, orders)
}

fn parse_action(word: &str) -> Option<Action> {
    let known = ACTIONS.iter().find(|row| row.1 == word).map(|row| row.0);
    known.or_else(|| OLD_WORDS.iter().find(|row| row.0 == word).map(|row| row.1))
}

fn is_possible(action: Action, state: &ServerState, config: Option<&Server>) -> bool {
    match action {
        Action::Ready | Action::Drain | Action::Maint | Action::Shutdown => true,
        Action::DisableHealth | Action::EnableHealth => state.check.load().configured,
        Action::HealthUp | Action::HealthNolb | Action::HealthDown => {
            config.is_none_or(|server| server.track.is_none())
        }
        Action::DisableAgent | Action::EnableAgent => state.agent.load().configured,
        Action::AgentUp | Action::AgentDown => is_enabled(&state.agent.load()),
    }
}

/// Undoes percent encoding and `+` of form data.
pub fn decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match (byte, digit(bytes.get(at)), digit(bytes.get(at + 1))) {
            (b'+', ..) => out.push(b' '),
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            _ => out.push(*byte),
        }
    }
    out
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_form_data() {
        for (encoded, plain) in
            [("a+b", "a b"), ("%23c%2f", "#c/"), ("100%", "100%"), ("%zz", "%zz"), ("%4", "%4")]
        {
            assert_eq!(decode(encoded.as_bytes()), plain.as_bytes(), "{encoded}");
        }
        assert_eq!(decode(encode("a b;é\"<").as_bytes()), "a b;é\"<".as_bytes());
    }

    #[test]
    fn outcomes_have_distinct_words() {
        for (outcome, word, _) in OUTCOMES {
            assert_eq!(Outcome::parse(word.as_bytes()), *outcome);
            assert_eq!(outcome.word(), *word);
        }
        assert_eq!(Outcome::parse(b"<script>"), Outcome::Unkn);
    }
}
