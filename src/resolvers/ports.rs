//! Local ports of the questions to one name server.
//!
//! A port that stays makes half of what a forger has to guess known, one per question costs a socket per
//! question. So a port serves a few questions for a short time, and stays open behind that for answers that
//! come late.

use std::collections::VecDeque;

use crate::base::clock::Millis;

/// Questions that one port sends.
const QUESTIONS_MAX: u32 = 64;
/// How long a port is used for new questions, in milliseconds.
const USED_MS: Millis = 500;
/// Ports of one name server at once; beyond that the newest one is used on.
const PORTS_MAX: usize = 256;

#[derive(Debug)]
struct Port {
    number: u32,
    since: Millis,
    last: Millis,
    questions: u32,
}

/// The ports of one name server, the one in use last. 0 is no port: it stands for TCP.
#[derive(Debug, Default)]
pub(super) struct Ports {
    open: VecDeque<Port>,
    made: u32,
}

impl Ports {
    /// The port for a question.
    pub(super) fn take(&mut self, now: Millis) -> u32 {
        let is_spent = |port: &Port| port.questions >= QUESTIONS_MAX || now >= port.since + USED_MS;
        if self.open.back().is_none_or(is_spent) && self.open.len() < PORTS_MAX || self.open.is_empty() {
            self.made = self.made.wrapping_add(1).max(1);
            self.open.push_back(Port { number: self.made, since: now, last: now, questions: 0 });
        }
        self.open.back_mut().map_or(0, |port| {
            port.questions += 1;
            port.last = now;
            port.number
        })
    }
    /// The next port that is not needed any more: nothing was sent from it for `late_ms`.
    pub(super) fn retire(&mut self, now: Millis, late_ms: Millis) -> Option<u32> {
        let port = self.open.front()?;
        (now >= port.last + late_ms.max(USED_MS)).then(|| self.open.pop_front())?.map(|port| port.number)
    }
    /// When the next port may be retired.
    pub(super) fn due(&self, late_ms: Millis) -> Option<Millis> {
        self.open.front().map(|port| port.last + late_ms.max(USED_MS))
    }
    /// A port has failed: it is not used again.
    pub(super) fn give_up(&mut self, number: u32) {
        self.open.retain(|port| port.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_change_by_use_and_by_time() {
        let mut ports = Ports::default();
        let first = ports.take(1000);
        assert!((1..QUESTIONS_MAX).all(|_| ports.take(1000) == first));
        let second = ports.take(1000);
        assert_ne!(second, first);
        assert_eq!(ports.take(1499), second);
        let third = ports.take(1500);
        assert!(![first, second].contains(&third));
        // They stay open for late answers.
        assert_eq!(ports.due(2000), Some(3000));
        assert_eq!((ports.retire(2999, 2000), ports.retire(3000, 2000)), (None, Some(first)));
        assert_eq!((ports.retire(3498, 2000), ports.retire(3499, 2000)), (None, Some(second)));
        ports.give_up(third);
        assert_eq!(ports.due(2000), None);
    }

    #[test]
    fn ports_are_bounded() {
        let mut ports = Ports::default();
        let used: std::collections::HashSet<u32> = (0..100_000).map(|_| ports.take(1000)).collect();
        assert_eq!(used.len(), PORTS_MAX);
    }
}
