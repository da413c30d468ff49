//! Keeps invalid messages for `show errors`.

use std::sync::atomic::Ordering::Relaxed;

use super::exchange::Exchange;
use super::idle::ServerConnection;
use crate::base::clock;
use crate::http::h1::chunked::BadChunk;
use crate::http::h1::head::Refusal;
use crate::model::Proxy;
use crate::state::Snapshot;

/// What is wrong with a message, and where.
pub(super) struct Fault {
    reason: &'static str,
    position: usize,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault { reason: refusal.reason, position: refusal.offset }
    }
}

impl From<BadChunk> for Fault {
    fn from(bad: BadChunk) -> Fault {
        Fault { reason: bad.reason, position: bad.offset }
    }
}

impl Fault {
    /// A body whose trailer section, which begins here, is none.
    pub(super) fn trailers(position: usize) -> Fault {
        Fault { reason: "invalid trailer section", position }
    }
    /// A message that may not be, whatever stands in it.
    pub(super) fn at_start(reason: &'static str) -> Fault {
        Fault { reason, position: 0 }
    }
    /// A message that begins well and does not fit the buffer.
    pub(super) fn too_long(bytes: &[u8]) -> Fault {
        Fault { reason: "message does not fit in the buffer", position: bytes.len() }
    }
}

impl Exchange<'_> {
    /// Keeps what was received of a request that is refused.
    pub(super) fn capture_request(&self, bytes: &[u8], fault: impl Into<Fault>) {
        let other = self.in_backend().then(|| self.backend());
        let snapshot = self.snapshot(bytes, fault.into(), other.map(|proxy| &**proxy), None);
        self.frontend.state.snapshots.keep_request(snapshot);
    }

    /// Keeps what was received of a response that is refused.
    pub(super) fn capture_response(
        &self,
        connection: &ServerConnection,
        bytes: &[u8],
        fault: impl Into<Fault>,
    ) {
        let snapshot = self.snapshot(bytes, fault.into(), Some(self.frontend), Some(connection));
        self.backend().state.snapshots.keep_response(snapshot);
    }

    fn snapshot(
        &self,
        bytes: &[u8],
        fault: Fault,
        other: Option<&Proxy>,
        connection: Option<&ServerConnection>,
    ) -> Snapshot {
        Snapshot {
            event: self.core.setup.process.invalid_messages.fetch_add(1, Relaxed),
            wall_us: clock::cached().wall_us,
            source: self.client.session.source,
            other: other.map(|proxy| (proxy.name.as_ref().into(), proxy.id)),
            server: connection.map(|connection| {
                let state = &connection.server.state;
                (state.name.as_ref().into(), state.id.load(Relaxed))
            }),
            bytes: bytes.into(),
            buffer_size: self.snapshot.model.global.bufsize,
            position: fault.position.min(bytes.len()),
            reason: fault.reason,
        }
    }
}
