//! Whom a session waits for, since when, and how long that may take.
//!
//! Every limit of inactivity is asked for here, so that what a rule has set (`set-timeout`) holds wherever a
//! side is waited for, and so that the side that is blamed is the side that was waited for.

use super::body::{Blocked, Pump};
use crate::base::clock::Millis;
use crate::model::Proxy;
use crate::net::timer::NEVER;
use crate::rules::Effects;
use crate::sample::facts::Ended;

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

/// `timeout http-request` for what is read behind the head: without one, `timeout client` as it is now.
pub fn request_ms(effects: &Effects, proxy: &Proxy, frontend: &Proxy) -> Option<u64> {
    proxy.timeouts.http_request_ms.or(client_ms(effects, frontend))
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

/// One direction's wait, or a wait for a side to speak at all.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    side: Side,
    /// When bytes last moved in this direction.
    since: Millis,
    /// It is waited for bytes of the side, rather than for room.
    speaks: bool,
}

impl Awaited {
    /// The side speaks next; nothing has moved since.
    pub fn words_of(side: Side, since: Millis) -> Awaited {
        Awaited { side, since, speaks: true }
    }
    /// Whom a pump from `source` waits for.
    pub fn by(pump: &Pump, source: Side) -> Awaited {
        let speaks = pump.blocked == Blocked::Source;
        Awaited { side: if speaks { source } else { source.other() }, since: pump.last_ms, speaks }
    }
    /// When the time of this wait is over. A side that is sent something takes it, and so shows that it lives;
    /// one that takes nothing any more does not live by what it says.
    fn due(&self, limits: &Limits, last_ms: Millis) -> Millis {
        let (limit, alone) = limits.of_side(self.side);
        let since = if self.speaks && !alone { last_ms } else { self.since };
        since.saturating_add(limit)
    }
}

/// When a session has waited for too long, and for whom. `last_ms` is when bytes last moved in any direction.
pub fn due(waits: &[Option<Awaited>], limits: &Limits, last_ms: Millis) -> (Millis, Side) {
    let dues = waits.iter().flatten().map(|wait| (wait.due(limits, last_ms), wait.side));
    dues.min_by_key(|(due, side)| (*due, *side == Side::Server)).unwrap_or((NEVER, Side::Server))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(side: Side, speaks: bool, since: Millis) -> Option<Awaited> {
        Some(Awaited { side, since, speaks })
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
}
