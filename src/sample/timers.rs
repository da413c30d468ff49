//! The timers of a transaction, in milliseconds (manual, section 8.4); -1 for what was not reached.

use super::facts::Context;

/// The milestones of one transaction and how they relate.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// Where the transaction's time begins.
    start: u64,
    /// The same, behind the handshakes.
    accepted: u64,
    first_byte: u64,
    request: u64,
    queued: u64,
    connected: u64,
    response: u64,
    end: u64,
    is_http: bool,
}

fn between(from: u64, to: u64) -> i64 {
    if from == 0 || to == 0 { -1 } else { (to / 1000) as i64 - (from / 1000) as i64 }
}

impl Timers {
    /// Those of the transaction at hand. What has not ended yet ends now.
    pub fn of(context: &Context<'_>) -> Timers {
        let time = &context.txn.time;
        let accepted = context.session.map_or(time.first_byte_us, |session| session.accepted.mono_us);
        let is_http = context.session.is_some_and(|session| session.is_http);
        // A later request of a connection starts where the one before ended, which is when this
        // transaction's facts were reset: the idle time is counted from the session's figures only
        // for the first request.
        let start = match time.start_us {
            0 => accepted,
            start => start,
        };
        let handshake_ms = match (time.start_us, context.session) {
            (0, Some(session)) => session.handshake_ms,
            _ => 0,
        };
        let accepted = start + u64::from(handshake_ms) * 1000;
        Timers {
            start,
            accepted,
            first_byte: time.first_byte_us.max(accepted),
            request: if is_http { time.request_us } else { accepted },
            queued: time.queued_us,
            connected: time.connected_us,
            response: time.response_us,
            end: if time.end_us == 0 { context.now.mono_us } else { time.end_us },
            is_http,
        }
    }
    /// `%Th`: handshakes before the session began.
    pub fn handshake(&self) -> i64 {
        between(self.start, self.accepted)
    }
    /// `%Ti`: idle before the request's first byte.
    pub fn idle(&self) -> i64 {
        if self.is_http { between(self.accepted, self.first_byte) } else { 0 }
    }
    /// `%TR`: from the request's first byte to the end of its head.
    pub fn request(&self) -> i64 {
        if self.is_http { between(self.first_byte, self.request) } else { 0 }
    }
    /// `%Tq` = `%Th` + `%Ti` + `%TR`.
    pub fn until_request(&self) -> i64 {
        if self.is_http { between(self.start, self.request) } else { 0 }
    }
    /// `%Tw`: in queues. A tarpit counts as one although its request never counts as complete.
    pub fn queue(&self) -> i64 {
        between(if self.request == 0 { self.first_byte } else { self.request }, self.queued)
    }
    /// `%Tc`: connecting to the server.
    pub fn connect(&self) -> i64 {
        between(self.queued, self.connected)
    }
    /// `%Tr`: from the connection to the response's head.
    pub fn response(&self) -> i64 {
        between(self.connected, self.response)
    }
    /// `%Td`: transferring data.
    pub fn data(&self) -> i64 {
        between(if self.is_http { self.response } else { self.connected }, self.end)
    }
    /// `%Ta`: the active time of the request, from its first byte to the end.
    pub fn active(&self) -> i64 {
        between(self.first_byte, self.end)
    }
    /// `%Tt`: everything.
    pub fn total(&self) -> i64 {
        between(self.start, self.end)
    }
    /// `%Tu` = `%Tt` - `%Ti`: as the user saw it.
    pub fn user(&self) -> i64 {
        self.total() - self.idle().max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::World;

    #[test]
    fn relate_as_the_manual_draws_them() {
        let mut world = World::request("GET / HTTP/1.1", &[]);
        let start = world.session.accepted.mono_us;
        let time = &mut world.txn.time;
        time.first_byte_us = start + 5_000;
        time.request_us = start + 8_000;
        time.queued_us = start + 10_000;
        time.connected_us = start + 11_000;
        time.response_us = start + 31_000;
        time.end_us = start + 41_000;
        let t = Timers::of(&world.context());
        let all =
            [t.idle(), t.request(), t.queue(), t.connect(), t.response(), t.data(), t.active(), t.total()];
        assert_eq!(all, [5, 3, 2, 1, 20, 10, 36, 41]);
        assert_eq!((t.until_request(), t.user()), (8, 36));
        world.session.handshake_ms = 3;
        let t = Timers::of(&world.context());
        let all = [t.handshake(), t.idle(), t.request(), t.until_request(), t.total(), t.user()];
        assert_eq!(all, [3, 2, 3, 8, 41, 39]);
        world.txn.time.connected_us = 0;
        world.txn.time.response_us = 0;
        let t = Timers::of(&world.context());
        assert_eq!((t.connect(), t.response(), t.data()), (-1, -1, -1), "not reached");
        world.txn.time.request_us = 0;
        let t = Timers::of(&world.context());
        assert_eq!((t.request(), t.queue()), (-1, 5), "held, and never complete");
    }
}
