//! Ends: of halves, of streams, of the connection; and time (RFC 9113 sections 5.4 and 6.8).

use super::control::{PING_IDLE, PING_LEAVING};
use super::{Conn, ENDED_MAX, Ended, Event, Fault};
use crate::base::clock::Millis;
use crate::http::h2::frame;
use crate::http::h2::stream::{By, Closed};
use crate::http::h2::{Reason, Role, Settings, StreamId};

/// How far the end of the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// The client was asked to open no more streams; those on their way are still taken.
    Asked {
        since: Millis,
    },
    /// The last stream was named. Streams above it are ignored, or end the connection where they are more than
    /// `tune.h2.fe.max-total-streams` allows.
    Told {
        is_limit: bool,
    },
    /// Nothing is read or sent any more but what is staged.
    Over,
}

/// How long a client that does not answer may open streams after it was asked not to, in milliseconds.
const GRACE: Millis = 1000;

impl Conn {
    /// Asks the peer to open no more streams and lets those that are open come to their end. Called again, it does
    /// not wait for streams that are on their way.
    pub fn shut_down(&mut self, now: Millis) {
        match self.leaving {
            Leaving::No if self.role == Role::Server => {
                self.leaving = Leaving::Asked { since: now };
                self.stage_goaway(StreamId::MAX, Reason::NO_ERROR);
                frame::write_ping(0, PING_LEAVING, &mut self.output);
            }
            Leaving::No | Leaving::Asked { .. } => self.leave(),
            Leaving::Told { .. } | Leaving::Over => {}
        }
    }
    /// Names the last stream that will be looked at.
    pub(super) fn leave(&mut self) {
        self.leaving = Leaving::Told { is_limit: false };
        self.last_accepted = self.last_accepted.min(self.last_peer);
        self.stage_goaway(self.last_accepted, Reason::NO_ERROR);
    }
    fn stage_goaway(&mut self, last: StreamId, reason: Reason) {
        self.counts.goaways_sent += 1;
        frame::write_goaway(last, reason, &mut self.output);
    }
    /// Ends the connection at once.
    pub fn abort(&mut self, reason: Reason, why: &'static str) {
        if self.is_over() {
            return;
        }
        self.leaving = Leaving::Over;
        self.stage_goaway(self.last_peer, reason);
        self.pending = None;
        let mut ids: Vec<_> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.shut(id, reason, By::Here);
        }
        self.events.push_back(Event::Failed { reason, why });
    }
    /// The socket has come to its end or broke: no frame will come or go.
    pub fn hung_up(&mut self) {
        if self.is_over() {
            return;
        }
        self.leaving = Leaving::Over;
        self.output = Vec::new();
        self.written = 0;
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for id in ids {
            self.shut(id, Reason::CANCEL, By::Peer);
        }
    }
    /// Carries out what a fault asks for.
    pub(super) fn fault(&mut self, fault: Fault, now: Millis) {
        self.glitch();
        match fault {
            Fault::Connection(reason, why) => {
                self.counts.connection_errors += 1;
                self.abort(reason, why);
            }
            // There is no stream yet that could be reset (section 5.4.2).
            Fault::Stream(id, reason, why) if self.is_idle(id) => {
                self.fault(Fault::Connection(reason, why), now);
            }
            Fault::Stream(id, reason, why) => {
                self.counts.stream_errors += 1;
                if let Err(much) = self.flood.reset(now) {
                    return self.fault(much.into(), now);
                }
                let Some(stream) = self.streams.get(&id) else {
                    self.stage_late_reset(id, reason);
                    return;
                };
                // Complete in both directions: there is nothing left to end.
                if stream.closed.is_none() {
                    self.stage_reset(id, reason);
                    self.close(id, reason, By::Here, why);
                } else {
                    self.stage_late_reset(id, reason);
                }
            }
        }
        self.judge_glitches(now);
    }
    /// Answers a frame for a stream that is over; its answer waits for the peer to take it.
    fn stage_late_reset(&mut self, id: StreamId, reason: Reason) {
        let before = self.output.len();
        self.stage_reset(id, reason);
        self.replies += self.output.len() - before;
    }
    /// HAProxy: a graceful end at three quarters of the threshold, and a hard one.
    pub(super) fn judge_glitches(&mut self, now: Millis) {
        if self.is_over() {
            return;
        }
        if self.flood.is_intolerable() && self.ends_for_glitches {
            self.counts.connection_errors += 1;
            self.abort(Reason::ENHANCE_YOUR_CALM, "too many glitches");
        } else if self.flood.is_suspect() && self.leaving == Leaving::No {
            self.shut_down(now);
        }
    }
    /// The peer has ended its half.
    pub(super) fn end_receiving(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.receiving) else { return };
        stream.receiving = false;
        stream.complete = true;
        self.receiving -= 1;
        self.open -= u32::from(!stream.sending);
        if self.role == Role::Client {
            self.flood.completed();
        }
    }
    /// This side has ended its half.
    pub(super) fn end_sending(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.sending) else { return };
        stream.sending = false;
        self.turns.leave(id, stream);
        self.open -= u32::from(!stream.receiving);
        if self.role == Role::Server {
            self.flood.completed();
        }
    }
    /// Ends both halves, and tells.
    pub(super) fn close(&mut self, id: StreamId, reason: Reason, by: By, why: &'static str) {
        self.shut(id, reason, by);
        let can_retry = self.role == Role::Client && by == By::Peer && reason == Reason::REFUSED_STREAM;
        self.events.push_back(Event::Reset { stream: id, reason, by, can_retry, why });
    }
    /// Ends both halves. What a peer had sent completely stays for the consumer.
    pub(super) fn shut(&mut self, id: StreamId, reason: Reason, by: By) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.closed.is_none()) else { return };
        self.open -= u32::from(stream.is_open());
        self.receiving -= u32::from(stream.receiving);
        let mut held = 0;
        if !stream.complete || by == By::Here {
            stream.forget();
            held = stream.receive.abandon();
        }
        (stream.receiving, stream.sending) = (false, false);
        stream.closed = Some(Closed { reason, by });
        self.turns.leave(id, stream);
        self.pay_back(held);
    }
    /// Remembers a stream that leaves the table.
    pub(super) fn remember(&mut self, id: StreamId, reset_here: bool) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(Ended { id, reset_here });
    }
    /// `tune.h2.fe.max-total-streams`: asks the client to go after so many streams, and lets as many more come as may
    /// be on their way.
    pub(super) fn renew_after_total(&mut self, id: StreamId) {
        let total = self.settings.streams_total;
        if total == 0 || self.leaving != Leaving::No || id.0.div_ceil(2) < total {
            return;
        }
        let more = match self.settings.streams_max {
            0 => Settings::default().streams_max,
            max => max,
        };
        let more = more.saturating_mul(2);
        self.leaving = Leaving::Told { is_limit: true };
        self.last_accepted = StreamId(id.0.saturating_add(more)).min(StreamId::MAX);
        self.stage_goaway(self.last_accepted, Reason::NO_ERROR);
    }
    /// A request above the last stream named: it was on its way, or the client does not listen.
    pub(super) fn beyond_the_last(&mut self, now: Millis) -> Result<(), Fault> {
        if self.leaving == (Leaving::Told { is_limit: true }) {
            let why = "more streams than max-total-streams";
            return Err(Fault::Connection(Reason::ENHANCE_YOUR_CALM, why));
        }
        Ok(self.flood.idle_frame(now)?)
    }
    /// When [`Conn::tick`] has something to do.
    pub fn deadline(&self) -> Option<Millis> {
        let grace = match self.leaving {
            Leaving::Asked { since } => Some(since + GRACE),
            Leaving::Over => return None,
            _ => None,
        };
        [grace, self.idle_deadline(), self.stall_deadline()].into_iter().flatten().min()
    }
    fn idle_deadline(&self) -> Option<Millis> {
        let delay = self.settings.idle_ping;
        let is_idle = delay != 0 && self.streams.is_empty();
        is_idle.then(|| self.pinged.unwrap_or(self.heard) + delay)
    }
    /// Does what is due. Events may follow: [`Conn::received`] has them, with or without bytes.
    pub fn tick(&mut self, now: Millis) {
        if self.is_over() {
            return;
        }
        if let Leaving::Asked { since } = self.leaving
            && now >= since + GRACE
        {
            self.leave();
        }
        if self.idle_deadline().is_some_and(|deadline| now >= deadline) {
            if self.pinged.is_some() {
                return self.abort(Reason::NO_ERROR, "no answer to PING");
            }
            self.pinged = Some(now);
            frame::write_ping(0, PING_IDLE, &mut self.output);
        }
        if self.stall_deadline().is_some_and(|deadline| now >= deadline) {
            self.end_stalls(now);
        }
    }
    /// Windows that are kept closed keep memory of this side and of servers (the second half of CVE-2026-49975).
    fn end_stalls(&mut self, now: Millis) {
        let timeout = self.settings.stall_timeout;
        let is_late = |since: Millis| now >= since + timeout;
        let late =
            self.streams.iter().filter(|(_, stream)| stream.stall.is_some_and(|stall| is_late(stall.since)));
        let mut late: Vec<_> = late.map(|(id, _)| *id).collect();
        late.sort_unstable();
        for id in late {
            self.stage_reset(id, Reason::CANCEL);
            self.close(id, Reason::CANCEL, By::Here, "the peer keeps its window closed");
        }
    }
}
