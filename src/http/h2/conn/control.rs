//! Frames about the connection and its streams: SETTINGS, PING, GOAWAY, WINDOW_UPDATE, RST_STREAM, PRIORITY.

use super::end::Leaving;
use super::{Conn, Event, Fault};
use crate::base::clock::Millis;
use crate::http::h2::flood::SMALL_DATA;
use crate::http::h2::frame::{self, FrameHead, Kind, flag};
use crate::http::h2::settings::{WINDOW, WINDOW_MAX};
use crate::http::h2::stream::{By, Wait};
use crate::http::h2::{Reason, Role, StreamId};

/// What the PINGs of this side carry, by what they are for.
pub(super) const PING_IDLE: [u8; 8] = *b"idle\0\0\0\0";
pub(super) const PING_LEAVING: [u8; 8] = *b"leaving\0";

impl Conn {
    /// Stages the answer to a frame.
    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.output.len();
        write(&mut self.output);
        self.replies += self.output.len() - before;
    }
    /// Section 6.5.
    pub(super) fn settings(&mut self, head: FrameHead, payload: &[u8], now: Millis) -> Result<(), Fault> {
        self.counts.settings_received += 1;
        if head.has(flag::ACK) {
            if !std::mem::replace(&mut self.is_acknowledged, true) {
                let by = i64::from(self.settings.window.min(WINDOW_MAX)) - i64::from(WINDOW);
                let mut receiving = Vec::new();
                for (id, stream) in &mut self.streams {
                    stream.receive.shift(by);
                    if stream.receiving {
                        receiving.push(*id);
                    }
                }
                // What was taken under the larger window may leave nothing of this one: the peer would wait for ever.
                receiving.sort_unstable();
                receiving.into_iter().for_each(|id| self.grant(id));
                return Ok(());
            }
            // There is nothing that this could acknowledge.
            return Ok(self.flood.idle_frame(now)?);
        }
        let is_first = !std::mem::replace(&mut self.has_settings, true);
        if !is_first {
            self.flood.idle_frame(now)?;
        }
        let before = self.peer.window;
        self.peer.update(payload, self.role).map_err(|(reason, why)| Fault::Connection(reason, why))?;
        self.encoder.set_table_max(self.peer.header_table_size as usize);
        self.shift_windows(i64::from(self.peer.window) - i64::from(before), is_first)?;
        self.reply(|out| frame::write(Kind::SETTINGS, flag::ACK, StreamId::CONNECTION, &[], out));
        if is_first {
            self.events.push_back(Event::Settings);
        }
        Ok(())
    }
    /// Section 6.9.2.
    fn shift_windows(&mut self, by: i64, is_first: bool) -> Result<(), Fault> {
        if by < 0 && !is_first {
            self.glitch();
        }
        if by == 0 {
            return Ok(());
        }
        for (id, stream) in &mut self.streams {
            if stream.window.shift(by).is_err() {
                let why = "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large";
                return Err(Fault::Connection(Reason::FLOW_CONTROL_ERROR, why));
            }
            if stream.wait == Wait::Window && stream.window.left() > 0 {
                stream.wait = Wait::Queued;
                self.turns.push(*id);
            }
        }
        Ok(())
    }
    /// Section 6.7.
    pub(super) fn ping(&mut self, head: FrameHead, payload: &[u8], now: Millis) -> Result<(), Fault> {
        let payload: [u8; 8] = payload.try_into().unwrap_or_default();
        if !head.has(flag::ACK) {
            self.flood.idle_frame(now)?;
            self.reply(|out| frame::write_ping(flag::ACK, payload, out));
        } else if payload == PING_LEAVING && matches!(self.leaving, Leaving::Asked { .. }) {
            self.leave();
        } else if payload == PING_IDLE && self.pinged.take().is_some() {
        } else {
            self.flood.idle_frame(now)?;
        }
        Ok(())
    }
    /// Section 6.8.
    pub(super) fn goaway(&mut self, payload: &[u8], now: Millis) -> Result<(), Fault> {
        self.counts.goaways_received += 1;
        self.flood.idle_frame(now)?;
        let last = StreamId(frame::number(payload) & StreamId::MAX.0);
        let reason = Reason(frame::number(&payload[4..]));
        self.peer_leaves = true;
        if self.role == Role::Client {
            let mut refused: Vec<_> = self.streams.keys().copied().filter(|id| *id > last).collect();
            refused.sort_unstable();
            for id in refused {
                if self.streams.get(&id).is_some_and(|stream| stream.is_open()) {
                    self.close(id, Reason::REFUSED_STREAM, By::Peer, "the server has said GOAWAY");
                }
            }
        }
        self.events.push_back(Event::GoAway { last, reason });
        Ok(())
    }
    /// Section 6.9.
    pub(super) fn window_update(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Millis,
    ) -> Result<(), Fault> {
        let increment = frame::number(payload) & WINDOW_MAX;
        let id = head.stream;
        // Each can cost a frame of DATA as small as it is.
        if increment < SMALL_DATA {
            self.flood.small_frame(now);
        }
        const NONE: &str = "WINDOW_UPDATE of 0";
        const MUCH: &str = "WINDOW_UPDATE makes a window too large";
        if id == StreamId::CONNECTION {
            if increment == 0 {
                return Err(Fault::Connection(Reason::PROTOCOL_ERROR, NONE));
            }
            let much = Fault::Connection(Reason::FLOW_CONTROL_ERROR, MUCH);
            return self.window.open(increment).map_err(|_| much);
        }
        if self.is_idle(id) {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream"));
        }
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.is_open()) else {
            return Ok(self.flood.idle_frame(now)?);
        };
        if increment == 0 {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR, NONE));
        }
        stream.window.open(increment).map_err(|_| Fault::Stream(id, Reason::FLOW_CONTROL_ERROR, MUCH))?;
        if stream.wait == Wait::Window && stream.window.left() > 0 {
            stream.wait = Wait::Queued;
            self.turns.push(id);
        }
        Ok(())
    }
    /// Section 6.4.
    pub(super) fn reset_received(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Millis,
    ) -> Result<Option<Event<'static>>, Fault> {
        self.counts.resets_received += 1;
        let id = head.stream;
        if self.is_idle(id) {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR, "RST_STREAM on an idle stream"));
        }
        self.flood.reset(now)?;
        self.resets_now += 1;
        if self.settings.resets_at_once != 0 && self.resets_now >= self.settings.resets_at_once {
            self.pause();
        }
        let reason = Reason(frame::number(payload));
        let Some(stream) = self.streams.get(&id).filter(|stream| stream.closed.is_none()) else {
            return Ok(None);
        };
        // HAProxy: a reset before the request had a chance.
        if self.role == Role::Server && !stream.answered {
            self.glitch();
        }
        self.close(id, reason, By::Peer, "reset by the peer");
        Ok(None)
    }
    /// Section 6.3: the advice is checked and ignored.
    pub(super) fn priority(&mut self, head: FrameHead, payload: &[u8], now: Millis) -> Result<(), Fault> {
        self.flood.idle_frame(now)?;
        self.check_dependency(head.stream, payload)
    }
    /// RFC 7540 section 5.3.1, which peers of that age still follow.
    pub(super) fn check_dependency(&self, id: StreamId, payload: &[u8]) -> Result<(), Fault> {
        if frame::number(payload) & StreamId::MAX.0 == id.0 {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR, "stream that depends on itself"));
        }
        Ok(())
    }
}
