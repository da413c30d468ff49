//! What a connection tells its user.

use crate::http::h2::stream::By;
use crate::http::h2::{Reason, StreamId};
use crate::http::{Fields, Request, Response};

/// Where [`super::Conn::received`] leaves the head that an event is about, to be swapped out. One for all
/// connections of a thread is enough: what is in it means nothing after the next call.
#[derive(Debug, Default)]
pub struct Heads {
    /// Of [`Event::Request`].
    pub request: Request,
    /// Of [`Event::Interim`] and [`Event::Response`].
    pub response: Response,
    /// Of [`Event::Trailers`].
    pub trailers: Fields,
}

/// Something that happened. `stream` stays known until [`super::Conn::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// A client asks; the head is in [`Heads::request`].
    Request {
        /// A new stream.
        stream: StreamId,
        /// No body follows.
        end: bool,
        /// The length given for the body.
        length: Option<u64>,
    },
    /// A 1xx response; its head is in [`Heads::response`].
    Interim {
        /// The request's.
        stream: StreamId,
    },
    /// A final response; its head is in [`Heads::response`]. One that grants an extended CONNECT has become a 101.
    Response {
        /// The request's.
        stream: StreamId,
        /// No body follows.
        end: bool,
        /// The length given for the body; of a response without one, for the body that GET would have had.
        length: Option<u64>,
    },
    /// A piece of a body. It counts against the stream's window until [`super::Conn::taken`]; what the consumer does
    /// not take at once has to be given to [`super::Conn::hold`], all of it when something is held already.
    Data {
        /// The message's.
        stream: StreamId,
        /// May be empty when the message ends.
        bytes: &'b [u8],
        /// Nothing follows.
        end: bool,
    },
    /// The end of a message, with fields in [`Heads::trailers`].
    Trailers {
        /// The message's.
        stream: StreamId,
    },
    /// The stream is over before its time: nothing more comes and nothing can be sent. NO_ERROR behind a complete
    /// response means that its server does not want the rest of the request.
    Reset {
        /// Which.
        stream: StreamId,
        /// The code sent or received.
        reason: Reason,
        /// Which side ended it.
        by: By,
        /// The server has not looked at the request: any request may be sent again.
        can_retry: bool,
        /// For logs; what the peer did wrong if this side ended it.
        why: &'static str,
    },
    /// A request was refused here: malformed (400, the stream is reset; the preface as a request is answered),
    /// too large (431, answered), or too many at once (503, the stream is reset). There is nothing to release.
    Refused {
        /// Which.
        stream: StreamId,
        /// What an HTTP/1 client would have been answered.
        status: u16,
        /// For logs.
        why: &'static str,
    },
    /// The peer's first settings are here: [`super::Conn::slots`] is what it allows from now on.
    Settings,
    /// The peer will look at no stream above `last`, and wants no new one.
    GoAway {
        /// The last one.
        last: StreamId,
        /// Why.
        reason: Reason,
    },
    /// `max-frames-at-once` or `max-rst-at-once` is reached: let others run, then go on with the rest of the bytes.
    Pause,
    /// The connection is over: write what is staged, close, and end all streams. Told once.
    Failed {
        /// The code sent, or received.
        reason: Reason,
        /// For logs.
        why: &'static str,
    },
}

/// What happened on a connection since it was last asked, for `show stat`'s `h2_*` and for glitches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// HEADERS frames.
    pub headers_received: u32,
    /// DATA frames.
    pub data_received: u32,
    /// SETTINGS frames.
    pub settings_received: u32,
    /// RST_STREAM frames.
    pub resets_received: u32,
    /// GOAWAY frames.
    pub goaways_received: u32,
    /// Errors that ended the connection.
    pub connection_errors: u32,
    /// Errors that ended a stream.
    pub stream_errors: u32,
    /// RST_STREAM frames sent.
    pub resets_sent: u32,
    /// GOAWAY frames sent.
    pub goaways_sent: u32,
    /// Streams that the peer or this side has opened.
    pub streams: u32,
    /// Glitches.
    pub glitches: u32,
}
