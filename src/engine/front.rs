//! The client's side of an exchange: the request as it comes, and what is known of its sender.

use super::body::Pump;
use super::wait_body::BodyCopy;
use crate::http::h1::framing::Body;

/// How far the request body has come on its way to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UploadState {
    /// It is unread, but for what the client's buffer holds.
    #[default]
    NotBegun,
    /// A part of it is gone.
    Partial,
    /// It is gone; the client's buffer holds what came behind it.
    Done,
}

/// The request of an exchange as its client sends it.
#[derive(Default)]
pub(super) struct Front {
    /// How its body is framed.
    pub(super) body: Body,
    /// How far the body has come.
    pub(super) upload_state: UploadState,
    /// Bytes received from the client, those included that came behind the request.
    pub(super) received: u64,
    /// The upload that an answer cut short, while its rest can still be read.
    pub(super) unfinished: Option<Box<Pump>>,
    /// How far the body was decoded for rules.
    pub(super) copy: BodyCopy,
    /// The client was told to send its body.
    pub(super) invited: bool,
    /// Whether the client lets its connection live on.
    pub(super) keep_alive: bool,
    /// A pipelined request was seen behind this one: the watch for an abort is over.
    pub(super) has_more: bool,
    /// The client left while its body was awaited here: rules have their say, but no server sees the request,
    /// as in HAProxy.
    pub(super) broken_off: bool,
}
