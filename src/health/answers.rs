//! Answers of protocols that no pattern describes: MySQL packets, LDAP bind responses.

use super::machine::{Env, Machine, Verdict};
use super::script::{Expect, Rule, Script};
use super::status::Status;

impl Machine {
    /// Judges a MySQL packet: the handshake, or the one after it.
    pub(super) fn judge_mysql(
        &mut self,
        script: &Script,
        rule: &Rule,
        expect: &Expect,
        after_handshake: bool,
        is_last: bool,
        env: &Env<'_>,
    ) -> Verdict {
        let start = if after_handshake { mysql_packet_len(&self.input).unwrap_or(usize::MAX) } else { 0 };
        let packet = self.input.get(start..).unwrap_or_default();
        let len = mysql_packet_len(packet).filter(|len| *len > 4 && packet.len() >= *len);
        if len.is_none() {
            if !is_last {
                return Verdict::Wait;
            }
            return self.stop(script, rule, expect, Some(Status::L7Response), false, "", env);
        }
        if packet[4] == 0xff {
            // An error packet: its code, then its text.
            let code = packet.get(5..7).map_or(0, |code| u32::from(u16::from_le_bytes([code[0], code[1]])));
            let text = String::from_utf8_lossy(packet.get(7..).unwrap_or_default()).into_owned();
            self.code = code;
            return self.stop(script, rule, expect, Some(Status::L7Status), false, &text, env);
        }
        let is_final = !script.rules[self.position + 1..].iter().any(|rule| rule.step.is_io());
        if !is_final {
            return Verdict::Continue;
        }
        // The version of the server stands after the handshake's protocol number.
        let version = self.input.get(5..).unwrap_or_default();
        let end = version.iter().position(|byte| *byte == 0).unwrap_or(version.len());
        let version = String::from_utf8_lossy(&version[..end]).into_owned();
        Verdict::Stop(self.finding(expect.ok_status.unwrap_or(Status::L7Ok), version))
    }

    /// Judges a bind response.
    pub(super) fn judge_ldap(
        &mut self,
        rule: &Rule,
        expect: &Expect,
        is_last: bool,
        env: &Env<'_>,
    ) -> Verdict {
        let spec = self.spec.clone();
        match ldap_result(&self.input) {
            Ldap::Short if !is_last => Verdict::Wait,
            Ldap::Short => self.stop(&spec.script, rule, expect, Some(Status::L7Response), false, "", env),
            Ldap::Foreign => self.stop_with(rule, expect, "Not LDAPv3 protocol", env),
            Ldap::Result(0) => {
                Verdict::Stop(self.finding(expect.ok_status.unwrap_or(Status::L7Ok), "Success".to_owned()))
            }
            Ldap::Result(code) => {
                self.code = u32::from(code);
                let text = "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9";
                self.stop(&spec.script, rule, expect, Some(Status::L7Status), false, text, env)
            }
        }
    }
}

/// Length of the packet at the start, its head included.
pub(super) fn mysql_packet_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..4)?;
    Some(4 + (usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16))
}

/// What an LDAP server said.
pub(super) enum Ldap {
    /// More bytes are needed.
    Short,
    /// It is not LDAPv3.
    Foreign,
    /// The result code; 0 is success.
    Result(u8),
}

/// The result code of a bind response (RFC 4511 sections 4.1.9, 4.2.2); its first byte is known to be a sequence.
pub(super) fn ldap_result(bytes: &[u8]) -> Ldap {
    let mut rest = bytes.get(1..).unwrap_or_default();
    let Some(&length) = rest.first() else { return Ldap::Short };
    let mut head = 1;
    let mut message = usize::from(length);
    if length & 0x80 != 0 {
        let count = usize::from(length & 0x7f);
        // Only lengths of two and four bytes are met in the wild.
        if count != 2 && count != 4 {
            return Ldap::Foreign;
        }
        let Some(digits) = rest.get(1..1 + count) else { return Ldap::Short };
        message = digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        head += count;
    }
    rest = rest.get(head..).unwrap_or_default();
    if rest.len() < message || rest.len() < 5 {
        return Ldap::Short;
    }
    // messageID 1, then the bind response.
    if !rest.starts_with(b"\x02\x01\x01\x61") {
        return Ldap::Foreign;
    }
    rest = &rest[4..];
    let skip = 1 + if rest[0] & 0x80 != 0 { usize::from(rest[0] & 0x7f) } else { 0 };
    match rest.get(skip..skip + 3) {
        Some([0x0a, 0x01, code]) => Ldap::Result(*code),
        Some(_) => Ldap::Foreign,
        None => Ldap::Short,
    }
}
