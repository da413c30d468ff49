//! One HTTP/2 connection, of either side: bytes in, events out; calls in, staged bytes out.
//!
//! ```text
//! bytes of the socket ──► received() ──► events          send_*(), open() ► output() ► socket
//!                            ▲ taken(), hold(), held()                 next_writable() ► a stream that may send DATA
//!                          deadline(), tick()              release() when the user is done with a stream
//! ```
//!
//! The user owns the socket, the clock and one task per stream. It reads while [`Conn::wants_input`], gives what it
//! reads to [`Conn::received`], writes what [`Conn::output`] has, wakes the streams that [`Conn::next_writable`] names,
//! and calls [`Conn::tick`] when [`Conn::deadline`] has passed. It closes when [`Conn::is_done`].
//!
//! # Memory
//!
//! An idle connection holds this struct and the two dynamic tables, which are allocated with their first entries.
//! Beyond that, in bytes, and never more (vectors may have allocated twice as much):
//!
//! | What | Bound |
//! | --- | --- |
//! | a frame of which a part has come | `frame_size` |
//! | a header block of which fragments have come | `buffer_size` and one frame |
//! | bodies that wait for their consumers | `receive_buffer`, at least 65,535, in all streams together |
//! | staged DATA | [`OUTPUT_MAX`], and as much again of what is written already |
//! | staged heads | twice [`OUTPUT_MAX`], then input waits; and those of the streams in the table |
//! | staged answers to frames | [`REPLIES_MAX`] and what answers one frame: then input waits |
//! | dynamic tables | twice `header_table_size` and twice 4096, plus 16 of each entry |
//! | the table of streams | `streams_max`: one that is reset counts until its user has released it |
//! | numbers of streams that have ended | [`ENDED_MAX`] |

mod control;
mod data;
mod end;
mod event;
mod input;
mod section;
mod send;
mod turns;

pub use event::{Counts, Event, Heads};
pub use send::{CannotOpen, Claim, Gone, Opening};

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::flood::Flood;
use super::flow::{ReceiveWindow, SendWindow};
use super::frame::PREFACE;
use super::hpack::{Decoder, Encoder};
use super::settings::{Peer, Settings, WINDOW};
use super::stream::{By, Stream};
use super::{Reason, Role, StreamId};
use crate::base::clock::Millis;
use end::Leaving;
use input::Input;
use section::Pending;
use turns::Turns;

/// Bytes of DATA that are staged at most.
pub const OUTPUT_MAX: usize = 64 << 10;
/// Bytes of answers to frames that may be staged until no more frames are read.
pub const REPLIES_MAX: usize = 16 << 10;
/// How many ended streams are remembered, to tell late frames from wrong ones.
pub const ENDED_MAX: usize = 64;

/// A connection. See the module for how to drive it and for what it holds.
#[derive(Debug)]
pub struct Conn {
    role: Role,
    settings: Arc<Settings>,
    peer: Peer,
    decoder: Decoder,
    encoder: Encoder,
    streams: FxHashMap<StreamId, Stream>,
    /// Streams that count against the limit of concurrent ones.
    open: u32,
    /// Streams whose peer still sends.
    receiving: u32,
    /// The highest stream that the peer has opened.
    last_peer: StreamId,
    /// The next stream to be opened here.
    next_own: u32,
    /// Streams of the peer above this are not looked at.
    last_accepted: StreamId,
    ended: VecDeque<Ended>,
    window: SendWindow,
    receive: ReceiveWindow,
    input: Input,
    pending: Option<Box<Pending>>,
    events: VecDeque<Event<'static>>,
    output: Vec<u8>,
    /// How much of `output` is written.
    written: usize,
    /// Bytes of answers to frames staged since `output` was last empty.
    replies: usize,
    turns: Turns,
    flood: Flood,
    leaving: Leaving,
    /// The peer has said GOAWAY.
    peer_leaves: bool,
    /// The peer's first settings are here.
    has_settings: bool,
    /// The peer has acknowledged the settings of this side.
    is_acknowledged: bool,
    /// Glitches beyond the threshold end the connection.
    ends_for_glitches: bool,
    frames_now: u32,
    resets_now: u32,
    /// When bytes last came.
    heard: Millis,
    /// When the idle ping that is not answered was sent.
    pinged: Option<Millis>,
    counts: Counts,
    /// Of the glitches, those that [`Conn::take_counts`] has told.
    glitches_told: u32,
}

/// A stream that is not in the table any more.
#[derive(Clone, Copy, Debug)]
struct Ended {
    id: StreamId,
    /// This side has reset it: the peer may not know yet.
    reset_here: bool,
}

impl Conn {
    /// A connection to a client. Its settings are staged.
    pub fn server(settings: Arc<Settings>, now: Millis) -> Conn {
        let streams = settings.streams_max;
        Conn::new(Role::Server, settings, streams, now)
    }
    /// A connection to a client that is told a lower number of concurrent streams than is taken: `rq-load` of
    /// `tune.h2.fe.max-concurrent-streams`.
    pub fn server_under_load(settings: Arc<Settings>, streams: u32, now: Millis) -> Conn {
        Conn::new(Role::Server, settings, streams, now)
    }
    /// A connection to a server. The preface and settings are staged; requests may follow at once.
    pub fn client(settings: Arc<Settings>, now: Millis) -> Conn {
        Conn::new(Role::Client, settings, 0, now)
    }
    fn new(role: Role, settings: Arc<Settings>, streams: u32, now: Millis) -> Conn {
        let mut output = Vec::new();
        if role == Role::Client {
            output.extend_from_slice(PREFACE);
        }
        settings.write(role, streams, &mut output);
        Conn {
            role,
            peer: Peer::default(),
            decoder: Decoder::new(settings.header_table_size as usize),
            encoder: Encoder::default(),
            streams: FxHashMap::default(),
            open: 0,
            receiving: 0,
            last_peer: StreamId::CONNECTION,
            next_own: 1,
            last_accepted: StreamId::MAX,
            ended: VecDeque::new(),
            window: SendWindow::new(WINDOW),
            receive: ReceiveWindow::new(WINDOW),
            input: Input::new(role),
            pending: None,
            events: VecDeque::new(),
            output,
            written: 0,
            replies: 0,
            turns: Turns::default(),
            flood: Flood::new(settings.glitches_threshold, now),
            leaving: Leaving::No,
            peer_leaves: false,
            has_settings: false,
            is_acknowledged: false,
            ends_for_glitches: true,
            frames_now: 0,
            resets_now: 0,
            heard: now,
            pinged: None,
            counts: Counts::default(),
            glitches_told: 0,
            settings,
        }
    }

    /// Bytes to be written now, in order.
    pub fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }
    /// `len` bytes of [`Conn::output`] are written.
    pub fn wrote(&mut self, len: usize) {
        self.written = (self.written + len).min(self.output.len());
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
            self.replies = 0;
        } else if self.written >= self.output.len() / 2 {
            // A peer that never takes everything must not make the vector grow.
            self.output.drain(..self.written);
            self.written = 0;
        }
    }
    /// Gives back memory that an idle connection does not need. To be called before a long wait.
    pub fn rest(&mut self) {
        if self.output.is_empty() {
            self.output = Vec::new();
        }
        if self.streams.is_empty() {
            self.streams = FxHashMap::default();
        }
        self.events.shrink_to(0);
        self.turns.rest();
    }
    /// Whether bytes of the peer should be read: not while it does not take the answers that it causes, and not while
    /// as many streams as it may open wait to be released.
    pub fn wants_input(&self) -> bool {
        !self.is_over() && !self.is_backed_up() && !self.is_crowded()
    }
    /// Whether the peer does not take what its frames and requests bring about.
    fn is_backed_up(&self) -> bool {
        self.replies >= REPLIES_MAX || self.output().len() >= 2 * OUTPUT_MAX
    }
    /// How a stream ended before its time, if it did: what [`Event::Reset`] has told, or the connection's end.
    pub fn cut_short(&self, stream: StreamId) -> Option<(Reason, By)> {
        let closed = self.streams.get(&stream)?.closed?;
        Some((closed.reason, closed.by))
    }
    /// How many streams the user has not released.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }
    /// Whether the user may forget the connection: nothing is left to be sent, and no stream will come.
    pub fn is_done(&self) -> bool {
        let leaves = match self.leaving {
            Leaving::No => self.peer_leaves,
            Leaving::Asked { .. } => false,
            Leaving::Told { .. } | Leaving::Over => true,
        };
        leaves && self.output().is_empty() && (self.streams.is_empty() || self.is_over())
    }
    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        let glitches =
            self.flood.glitches() - std::mem::replace(&mut self.glitches_told, self.flood.glitches());
        Counts { glitches, ..std::mem::take(&mut self.counts) }
    }
    /// How many glitches there were (`fc_glitches`, `bc_glitches`).
    pub fn glitches(&self) -> u32 {
        self.flood.glitches()
    }
    /// Whether glitches beyond the threshold end the connection: not as long as the thread is idle enough
    /// (`tune.glitches.kill.cpu-usage`).
    pub fn end_for_glitches(&mut self, ends: bool) {
        self.ends_for_glitches = ends;
    }
    /// Something that a sound peer does not do.
    fn glitch(&mut self) {
        self.flood.glitch();
    }
    /// Whether the connection has failed.
    fn is_over(&self) -> bool {
        matches!(self.leaving, Leaving::Over)
    }
    /// Whether a stream was never opened by the side that could open it.
    fn is_idle(&self, id: StreamId) -> bool {
        if id.is_of_client() == (self.role == Role::Server) {
            id > self.last_peer
        } else {
            id.0 >= self.next_own || !id.is_of_client()
        }
    }
    /// How a stream ended that is not in the table any more, if that is known.
    fn ended(&self, id: StreamId) -> Option<Ended> {
        self.ended.iter().rev().find(|ended| ended.id == id).copied()
    }
}

/// What ends a stream or the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The connection.
    Connection(Reason, &'static str),
    /// A stream, which may have ended already.
    Stream(StreamId, Reason, &'static str),
}

impl From<super::flood::TooMuch> for Fault {
    fn from(much: super::flood::TooMuch) -> Fault {
        Fault::Connection(Reason::ENHANCE_YOUR_CALM, much.0)
    }
}

#[cfg(test)]
mod tests;
