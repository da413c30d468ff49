//! Whom a session waits for, since when, and how long that may take.
//!
//! Every limit of inactivity is asked for here, so that what a rule has set (`set-timeout`) holds wherever a
//! side is waited for, and so that the side that is blamed is the side that was waited for.

use super::body::{Blocked, Pump};
use crate::base::clock::{self, Millis};
use crate::model::Proxy;
use crate::net::Stream;
use crate::net::timer::NEVER;
use crate::rules::Effects;
use crate::sample::facts::Ended;

/// How often a reader is looked at within its time-out.
const LOOKS: u64 = 8;

/// A side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

impl Side {
    /// How a session ends that waited for this side in vain.
    pub fn timed_out(self) -> Ended {
        match self {
            Side::Client => Ended::ClientTimeout,
            Side::Server => Ended::ServerTimeout,
        }
    }
    fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// `timeout client` as it is now: the configuration's, or what a rule has set.
pub fn client_ms(effects: &Effects, frontend: &Proxy) -> Option<u64> {
    effects.client_timeout_ms.or(frontend.timeouts.client_ms)
}

/// `timeout server` as it is now.
pub fn server_ms(effects: &Effects, backend: &Proxy) -> Option<u64> {
    effects.server_timeout_ms.or(backend.timeouts.server_ms)
}

/// When a client that sends a part of a request has taken too long: it may be silent for `client_ms` after its
/// last bytes, and the part as a whole must be there before `whole`.
pub fn client_due(whole: Millis, client_ms: Option<u64>, last_ms: Millis) -> Millis {
    whole.min(client_ms.map_or(NEVER, |ms| last_ms.saturating_add(ms)))
}

/// How long each side may be silent; [`NEVER`] is for ever.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The client's side.
    pub client: Millis,
    /// The server's side.
    pub server: Millis,
    /// Sides whose life only their own bytes show (`option independent-streams`).
    client_alone: bool,
    server_alone: bool,
}

impl Limits {
    /// Those of an exchange.
    pub fn of(effects: &Effects, frontend: &Proxy, backend: &Proxy) -> Limits {
        Limits {
            client: client_ms(effects, frontend).unwrap_or(NEVER),
            server: server_ms(effects, backend).unwrap_or(NEVER),
            client_alone: frontend.options.independent_streams,
            server_alone: backend.options.independent_streams,
        }
    }

    fn of_side(&self, side: Side) -> (Millis, bool) {
        match side {
            Side::Client => (self.client, self.client_alone),
            Side::Server => (self.server, self.server_alone),
        }
    }
}

/// What a reader takes of a full socket. The kernel tells of room only once a third of its buffer is free,
/// which may be more than a slow reader takes within its time-out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drain {
    /// What was not acknowledged at the last look.
    left: Option<usize>,
    /// When the last look was, or the last write.
    at: Millis,
}

impl Drain {
    /// Whether the reader has taken anything between two looks; looks if it is time to. `last_ms` is when
    /// bytes last moved.
    pub fn look(
        &mut self,
        now: Millis,
        last_ms: Millis,
        limit: Millis,
        left: impl FnOnce() -> Option<usize>,
    ) -> bool {
        if self.at < last_ms {
            *self = Drain { left: None, at: last_ms }; // there is more to take than there was
        }
        if now < self.next(limit) {
            return false;
        }
        self.at = now;
        let before = std::mem::replace(&mut self.left, left());
        matches!((before, self.left), (Some(before), Some(left)) if left < before)
    }
    /// When the next look is.
    pub fn next(&self, limit: Millis) -> Millis {
        self.at.saturating_add((limit / LOOKS).max(1))
    }
}

/// One direction's wait, or a wait for a side to speak at all.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    side: Side,
    /// When bytes last moved in this direction.
    since: Millis,
    /// It is waited for bytes of the side, rather than for room.
    speaks: bool,
    /// When to look whether the side takes anything.
    look: Millis,
}

impl Awaited {
    /// The side speaks next; nothing has moved since.
    pub fn words_of(side: Side, since: Millis) -> Awaited {
        Awaited { side, since, speaks: true, look: NEVER }
    }
    /// Whom a pump from `source` to `destination` waits for.
    pub fn by(pump: &mut Pump, source: Side, destination: &Stream, limits: &Limits) -> Awaited {
        if pump.blocked == Blocked::Source {
            return Awaited::words_of(source, pump.last_ms);
        }
        let side = source.other();
        let (limit, _) = limits.of_side(side);
        let mut look = NEVER;
        if limit != NEVER {
            let now = clock::cached().millis();
            if pump.drain.look(now, pump.last_ms, limit, || destination.unacknowledged()) {
                pump.last_ms = now;
            }
            look = pump.drain.next(limit);
        }
        Awaited { side, since: pump.last_ms, speaks: false, look }
    }
    /// When the time of this wait is over. A side that is sent something takes it, and so shows that it lives;
    /// one that takes nothing any more does not live by what it says.
    fn due(&self, limits: &Limits, last_ms: Millis) -> Millis {
        let (limit, alone) = limits.of_side(self.side);
        let since = if self.speaks && !alone { last_ms } else { self.since };
        since.saturating_add(limit)
    }
}

/// When a session is to be polled at the latest: when it has waited for too long, or to look at a reader; and
/// for whom it waits.
pub fn next(waits: &[Option<Awaited>], limits: &Limits, last_ms: Millis) -> (Millis, Side) {
    let (due, side) = due(waits, limits, last_ms);
    (waits.iter().flatten().map(|wait| wait.look).fold(due, Millis::min), side)
}

/// When a session has waited for too long, and for whom. `last_ms` is when bytes last moved in any direction.
fn due(waits: &[Option<Awaited>], limits: &Limits, last_ms: Millis) -> (Millis, Side) {
    let dues = waits.iter().flatten().map(|wait| (wait.due(limits, last_ms), wait.side));
    dues.min_by_key(|(due, side)| (*due, *side == Side::Server)).unwrap_or((NEVER, Side::Server))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(side: Side, speaks: bool, since: Millis) -> Option<Awaited> {
        Some(Awaited { side, since, speaks, look: NEVER })
    }

    #[test]
    fn the_side_that_is_waited_for_is_blamed_in_its_own_time() {
        use Side::{Client, Server};
        let limits = |client, server| Limits { client, server, client_alone: false, server_alone: false };
        for (what, waits, limits, last, expected) in [
            (
                "both may speak",
                [wait(Client, true, 10), wait(Server, true, 20)],
                limits(100, 200),
                20,
                (120, Client),
            ),
            (
                "equal limits",
                [wait(Client, true, 10), wait(Server, true, 20)],
                limits(100, 100),
                20,
                (120, Client),
            ),
            (
                "the server is due first",
                [wait(Client, true, 10), wait(Server, true, 20)],
                limits(150, 100),
                20,
                (120, Server),
            ),
            // The client takes nothing, so the server cannot be expected to speak.
            (
                "a stalled reader",
                [wait(Client, true, 10), wait(Client, false, 20)],
                limits(150, 100),
                20,
                (170, Client),
            ),
            (
                "a stalled reader that sends",
                [wait(Client, true, 90), wait(Client, false, 20)],
                limits(150, 100),
                90,
                (170, Client),
            ),
            (
                "a stalled server",
                [wait(Server, false, 20), wait(Server, true, 15)],
                limits(150, 100),
                20,
                (120, Server),
            ),
            (
                "the other direction is over",
                [None, wait(Server, true, 20)],
                limits(10, 100),
                30,
                (130, Server),
            ),
            (
                "no limit",
                [wait(Client, true, 10), wait(Server, true, 20)],
                limits(NEVER, NEVER),
                20,
                (NEVER, Client),
            ),
        ] {
            assert_eq!(due(&waits, &limits, last), expected, "{what}");
        }
        let alone = Limits { client_alone: true, ..limits(100, 100) };
        let waits = [wait(Client, true, 10), wait(Server, true, 90)];
        assert_eq!(due(&waits, &alone, 90), (110, Client), "independent streams");
    }

    /// When a reader of which `left` says what it has not taken is given up, and after how many looks.
    fn given_up_at(limit: Millis, left: impl Fn(Millis) -> usize) -> (Option<Millis>, u32) {
        let (mut drain, mut last, mut looks) = (Drain::default(), 1000, 0);
        let limits = Limits { client: limit, server: NEVER, client_alone: false, server_alone: false };
        let mut now = last;
        while now < 100_000 {
            let looked = || {
                looks += 1;
                Some(left(now))
            };
            if drain.look(now, last, limit, looked) {
                last = now;
            }
            let look = drain.next(limit);
            let waits = [Some(Awaited { side: Side::Client, since: last, speaks: false, look })];
            if due(&waits, &limits, last).0 <= now {
                return (Some(now), looks);
            }
            let next = next(&waits, &limits, last).0;
            assert!(next > now, "it would be polled for ever");
            now = next;
        }
        (None, looks)
    }

    #[test]
    fn a_reader_that_takes_something_lives_and_one_that_stops_has_one_time_out() {
        // It takes a byte now and then, which makes no room that the kernel would tell of.
        let (given_up, looks) = given_up_at(800, |now| 1_000_000 - (now / 400) as usize);
        assert_eq!(given_up, None);
        assert!(looks <= 99_000 / 100 + 1, "{looks}");
        // It takes nothing: its time runs from the last write.
        assert_eq!(given_up_at(800, |_| 5).0, Some(1800));
        // It stops at 3000: its time runs from there, as precisely as it is looked at.
        let given_up = given_up_at(800, |now| 1_000_000 - now.min(3000) as usize).0;
        assert!(given_up.is_some_and(|at| (3800..=3900).contains(&at)), "{given_up:?}");
        // Short limits are no endless loop.
        assert_eq!(given_up_at(1, |_| 5).0, Some(1001));
    }
}
