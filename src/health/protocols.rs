//! The scripts of the protocol checks: `option smtpchk`, `mysql-check` and so on (manual, section 4.2).

use super::machine::unhex;
use super::script::{Code, Connect, Emit, Expect, Kind, Note, Pattern, Rule, Script, Step};
use super::status::Status;
use crate::pattern::Regex;

/// Numbers the steps and makes a script of them.
fn script(steps: Vec<Step>) -> Script {
    let rules =
        steps.into_iter().enumerate().map(|(index, step)| Rule { index, comment: None, step }).collect();
    Script { kind: Kind::Protocol, rules, ..Script::default() }
}

fn polite_connect() -> Step {
    Step::Connect(Connect { default: true, linger: true, ..Connect::default() })
}

fn send(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Emit(Emit::Bytes(bytes.into()))
}

fn regex(text: &str, binary: bool) -> Pattern {
    let regex = Regex::new(text, false).unwrap_or_else(|_| never_matches());
    Pattern::Regex { regex, binary }
}

/// Every pattern here is a constant that the tests compile; this only spares a panic.
fn never_matches() -> Regex {
    Regex::new(r"\b\B", false).expect("a constant that compiles")
}

fn expect(pattern: Pattern) -> Expect {
    Expect::new(pattern)
}

fn fixed(text: &str) -> Option<Note> {
    Some(Note::Fixed(text.into()))
}

/// `option redis-check`.
pub(super) fn redis() -> Script {
    script(vec![
        send(*b"*1\r\n$4\r\nPING\r\n"),
        Step::Expect(Box::new(Expect {
            error_status: Some(Status::L7Status),
            on_error: Some(Note::FirstLine { skip: 0 }),
            on_success: fixed("Redis server is ok"),
            ..expect(Pattern::Bytes { data: b"+PONG\r\n".to_vec(), binary: false })
        })),
    ])
}

/// `option ssl-hello-chk`.
pub(super) fn ssl_hello() -> Script {
    script(vec![
        Step::Emit(Emit::ClientHello),
        Step::Expect(Box::new(Expect {
            min_recv: Some(5),
            ok_status: Some(Status::L6Ok),
            error_status: Some(Status::L6Response),
            timeout_status: Some(Status::L6Timeout),
            ..expect(regex("^1[56]", true))
        })),
    ])
}

/// `option smtpchk`; `greeting` is the command without its line end.
pub(super) fn smtp(greeting: &str) -> Script {
    let said = || Some(Note::FirstLine { skip: 4 });
    let code = || Some(Code::Digits(3));
    let judged = |pattern: &str, min_recv, on_success| {
        Step::Expect(Box::new(Expect {
            min_recv,
            error_status: Some(Status::L7Status),
            on_error: said(),
            on_success,
            code: code(),
            ..expect(regex(pattern, false))
        }))
    };
    script(vec![
        polite_connect(),
        Step::Expect(Box::new(Expect {
            min_recv: Some(4),
            error_status: Some(Status::L7Response),
            on_error: Some(Note::FirstLine { skip: 0 }),
            ..expect(regex("^[0-9]{3}[ \r]", false))
        })),
        judged("^2[0-9]{2}[ \r]", Some(4), None),
        send(format!("{greeting}\r\n")),
        judged("^(2[0-9]{2}-[^\r]*\r\n)*2[0-9]{2}[ \r]", None, said()),
        // A polite end, which some servers insist on.
        send(*b"QUIT\r\n"),
        judged("^2[0-9]{2}[- \r]", Some(4), said()),
    ])
}

/// `option pgsql-check user <name>`.
pub(super) fn pgsql(user: &str) -> Script {
    // A start-up message of protocol 3.0 with the one parameter "user".
    let mut message = Vec::new();
    message.extend_from_slice(&(15 + user.len() as u32).to_be_bytes());
    message.extend_from_slice(&[0, 3, 0, 0]);
    message.extend_from_slice(b"user\0");
    message.extend_from_slice(user.as_bytes());
    message.extend_from_slice(b"\0\0");
    script(vec![
        polite_connect(),
        send(message),
        Step::Expect(Box::new(Expect {
            inverted: true,
            min_recv: Some(5),
            error_status: Some(Status::L7Response),
            on_error: Some(Note::FirstLine { skip: 6 }),
            ..expect(regex("^E", false))
        })),
        // An authentication request of whatever method.
        Step::Expect(Box::new(Expect {
            min_recv: Some(9),
            error_status: Some(Status::L7Status),
            on_success: fixed("PostgreSQL server is ok"),
            on_error: fixed("PostgreSQL unknown error"),
            ..expect(regex("^52000000[A-Z0-9]{2}000000(00|02|03|04|05|06|07|09|0A)", true))
        })),
    ])
}

/// How a MySQL client introduces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MysqlClient {
    /// `pre-41`.
    Before41,
    /// `post-41`, the default.
    Since41,
    /// `post-80`.
    Since80,
}

/// `option mysql-check [user <name> [...]]`.
pub(super) fn mysql(user: Option<(&str, MysqlClient)>) -> Script {
    let judge = |after_handshake| Step::Expect(Box::new(Expect::new(Pattern::Mysql { after_handshake })));
    let mut steps = vec![polite_connect()];
    match user {
        None => steps.push(judge(false)),
        Some((user, client)) => {
            steps.push(send(mysql_login(user, client)));
            steps.push(judge(false));
            steps.push(judge(true));
        }
    }
    script(steps)
}

fn mysql_login(user: &str, client: MysqlClient) -> Vec<u8> {
    let mut payload = Vec::new();
    match client {
        // Capabilities, the largest packet.
        MysqlClient::Before41 => payload.extend_from_slice(&[0x00, 0x80, 0x00, 0x00, 0x01]),
        MysqlClient::Since41 => payload.extend_from_slice(&[0x00, 0x82, 0x00, 0x00]),
        // With the capability to name the authentication plugin.
        MysqlClient::Since80 => payload.extend_from_slice(&[0x00, 0x82, 0x08, 0x00]),
    }
    if client != MysqlClient::Before41 {
        // The largest packet, UTF-8, and 23 bytes of nothing.
        payload.extend_from_slice(&[0x00, 0x80, 0x00, 0x01, 0x21]);
        payload.extend_from_slice(&[0; 23]);
    }
    payload.extend_from_slice(user.as_bytes());
    payload.extend_from_slice(&[0, 0]); // the name's end; no password
    if client == MysqlClient::Since80 {
        payload.extend_from_slice(b"mysql_native_password\0");
    }
    let mut packet = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    packet.push(1);
    packet.extend_from_slice(&payload);
    packet.extend_from_slice(&[1, 0, 0, 0, 1]); // COM_QUIT
    packet
}

/// `option ldap-check`: an anonymous bind.
pub(super) fn ldap() -> Script {
    script(vec![
        send(unhex(b"300C020101600702010304008000").unwrap_or_default()),
        Step::Expect(Box::new(Expect {
            min_recv: Some(14),
            on_error: fixed("Not LDAPv3 protocol"),
            ..expect(regex("^30", true))
        })),
        Step::Expect(Box::new(Expect::new(Pattern::Ldap))),
    ])
}

/// `agent-check`, with what `agent-send` says.
pub(super) fn agent(greeting: Option<&[u8]>) -> Script {
    let mut steps = Vec::new();
    if let Some(greeting) = greeting {
        steps.push(send(greeting));
    }
    steps.push(Step::Expect(Box::new(Expect::new(Pattern::Agent))));
    Script { kind: Kind::Agent, ..script(steps) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for made in [redis(), ssl_hello(), smtp("HELO x"), pgsql("u"), ldap()] {
            for rule in &made.rules {
                if let Step::Expect(expect) = &rule.step
                    && let Pattern::Regex { regex, .. } = &expect.pattern
                {
                    assert_ne!(regex.text(), never_matches().text());
                }
            }
        }
    }

    #[test]
    fn logins_have_the_lengths_they_announce() {
        for (client, expected) in
            [(MysqlClient::Before41, 14), (MysqlClient::Since41, 41), (MysqlClient::Since80, 63)]
        {
            let packet = mysql_login("haproxy", client);
            assert_eq!((packet[0], packet[3]), (expected, 1), "{client:?}");
            assert_eq!(packet.len(), 4 + usize::from(expected) + 5);
        }
        let made = pgsql("bob");
        let Step::Emit(Emit::Bytes(message)) = &made.rules[1].step else { panic!("sends") };
        assert_eq!(&message[..4], &(message.len() as u32).to_be_bytes());
    }
}
