//! Which stream may send DATA: those that want to are served in turn, a quantum each, as far as the connection's
//! window and the staged bytes allow. Priorities of peers are not looked at (RFC 9113 section 5.3.2).
//!
//! A turn reserves what it allows. So no more streams are woken than can send, and a stream that comes in
//! between without a turn gets only what no other one waits for.

use std::collections::VecDeque;

use super::{Conn, OUTPUT_MAX};
use crate::base::clock::Millis;
use crate::http::h2::StreamId;
use crate::http::h2::stream::{Stall, Stream, Wait};

/// What a stream may send in one turn, in bytes.
const QUANTUM: usize = 16_384;
/// Less space than this for staged bytes is not given away: it would make small frames.
const SPACE_MIN: usize = 4096;
/// A stream that gets rid of so many bytes within the time allowed does not stall.
const STALL_BYTES: usize = 4096;

/// The streams that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queue: VecDeque<StreamId>,
    /// What the turns given and not used allow in total, in bytes.
    reserved: usize,
    /// Streams whose stall is timed.
    stalled: u32,
}

impl Turns {
    pub(super) fn push(&mut self, id: StreamId) {
        self.queue.push_back(id);
    }
    /// Takes a stream out of all accounts.
    pub(super) fn leave(&mut self, id: StreamId, stream: &mut Stream) {
        match std::mem::take(&mut stream.wait) {
            Wait::Turn(allowed) => self.reserved -= allowed as usize,
            Wait::Queued => self.queue.retain(|other| *other != id),
            Wait::None | Wait::Window => {}
        }
        self.end_stall(stream);
    }
    fn end_stall(&mut self, stream: &mut Stream) {
        if stream.stall.take().is_some() {
            self.stalled -= 1;
        }
    }
    pub(super) fn rest(&mut self) {
        self.queue.shrink_to(0);
    }
    pub(super) fn has_stalls(&self) -> bool {
        self.stalled > 0
    }
}

impl Conn {
    /// Bytes of DATA that can be staged and that the connection's window allows, turns included.
    fn room(&self) -> usize {
        let space = OUTPUT_MAX.saturating_sub(self.output().len());
        if space < SPACE_MIN { 0 } else { self.window.left().min(space) }
    }
    /// A stream that wanted to send and may do so now. To be called until there is none, after [`Conn::received`] and
    /// after [`Conn::wrote`]; the stream is to call [`Conn::send_data`], with nothing if it has nothing any more.
    pub fn next_writable(&mut self) -> Option<StreamId> {
        while let Some(id) = self.turns.queue.front().copied() {
            let room = self.room().saturating_sub(self.turns.reserved);
            let stream = self.streams.get_mut(&id).filter(|stream| stream.wait == Wait::Queued);
            match stream {
                None => {}
                Some(stream) if stream.window.left() == 0 => stream.wait = Wait::Window,
                Some(_) if room == 0 => return None,
                Some(stream) => {
                    let allowed = room.min(QUANTUM).min(stream.window.left());
                    stream.wait = Wait::Turn(allowed as u32);
                    self.turns.reserved += allowed;
                    self.turns.queue.pop_front();
                    return Some(id);
                }
            }
            self.turns.queue.pop_front();
        }
        None
    }
    /// How much of `wanted` bytes a stream may send now. Its turn is used up.
    pub(super) fn allow(&mut self, id: StreamId, wanted: usize) -> usize {
        let room = self.room();
        let is_free = self.turns.queue.is_empty();
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        let share = match stream.wait {
            Wait::Turn(allowed) => {
                self.turns.reserved -= allowed as usize;
                stream.wait = Wait::None;
                // Where no other stream waits, a turn is no limit.
                let unreserved = room.saturating_sub(self.turns.reserved);
                if is_free { unreserved } else { unreserved.min(allowed as usize) }
            }
            Wait::None if is_free => room.saturating_sub(self.turns.reserved),
            Wait::None | Wait::Queued | Wait::Window => 0,
        };
        // Its window may have grown since it went to wait.
        if stream.wait == Wait::Window && stream.window.left() > 0 {
            stream.wait = Wait::Queued;
            self.turns.queue.push_back(id);
        }
        wanted.min(share).min(stream.window.left())
    }
    /// A stream has sent `sent` bytes and, if `waits`, has more. It is told when it may go on.
    pub(super) fn after_sending(&mut self, id: StreamId, sent: usize, waits: bool, now: Millis) {
        let window = self.window.left();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !waits {
            self.turns.leave(id, stream);
            return;
        }
        if stream.wait == Wait::None {
            stream.wait = if stream.window.left() == 0 { Wait::Window } else { Wait::Queued };
            if stream.wait == Wait::Queued {
                self.turns.queue.push_back(id);
            }
        }
        let by_peer = stream.window.left() == 0 || window == 0;
        match &mut stream.stall {
            None if by_peer => {
                stream.stall = Some(Stall { since: now, sent: 0 });
                self.turns.stalled += 1;
            }
            None => {}
            Some(stall) => {
                stall.sent += sent;
                if stall.sent >= STALL_BYTES || !by_peer {
                    self.turns.end_stall(stream);
                    if by_peer {
                        stream.stall = Some(Stall { since: now, sent: 0 });
                        self.turns.stalled += 1;
                    }
                }
            }
        }
    }
    /// When the stream that stalls longest has stalled for too long.
    pub(super) fn stall_deadline(&self) -> Option<Millis> {
        if self.settings.stall_timeout == 0 || !self.turns.has_stalls() {
            return None;
        }
        let since = self.streams.values().filter_map(|stream| stream.stall).map(|stall| stall.since).min()?;
        Some(since + self.settings.stall_timeout)
    }
    #[cfg(test)]
    pub(super) fn turns_queued(&self) -> usize {
        self.turns.queue.len()
    }
    #[cfg(test)]
    pub(super) fn turns_reserved(&self) -> usize {
        self.turns.reserved
    }
}
