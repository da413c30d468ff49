//! The client's side of an exchange: the request as it comes, and what is known of its sender.

use std::rc::Rc;

use super::body::{Pump, Trailers};
use super::exchange::Exchange;
use super::h2::Http2Stream;
use super::wait::{self, WriteError};
use super::wait_body::BodyCopy;
use crate::http::Response;
use crate::http::h1::encode::{self, Connection};
use crate::http::h1::framing::{Body, Delivery};
use crate::net::Then;

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

/// What a client connection speaks.
pub(super) enum Wire {
    /// HTTP/1: one exchange after the other on the connection's own stream.
    H1,
    /// HTTP/2: one of the connection's streams, which ends with its exchange.
    H2(Rc<Http2Stream>),
}

impl Wire {
    /// The stream of an HTTP/2 connection that it is.
    pub(super) fn http2(&self) -> Option<Rc<Http2Stream>> {
        match self {
            Wire::H1 => None,
            Wire::H2(stream) => Some(stream.clone()),
        }
    }
    /// Whether the client's connection ends with the exchange, or carries others beside it.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Wire::H2(_))
    }
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

/// The head of a final answer, as far as the client's wire matters.
pub(super) struct Head {
    /// What it says of the body, and what follows it.
    pub(super) delivery: Delivery,
    /// What HTTP/1 says of the connection.
    pub(super) connection: Connection,
}

impl Exchange<'_> {
    /// Sends an interim response; its bytes.
    pub(super) async fn send_interim(&mut self, response: &Response) -> Result<u64, WriteError> {
        if let Wire::H2(stream) = &self.client.wire {
            return stream.send_interim(response).map_err(|_| WriteError::Broken);
        }
        let mut bytes = Vec::with_capacity(256);
        encode::response(response, Body::None, Connection::Default, &mut bytes);
        self.adjust_case(&mut bytes);
        let ticket = self.client.entry.ticket.clone();
        let timeout = self.client_timeout_ms();
        let stream = &mut self.client.stream;
        wait::write_all(self.core, &ticket, timeout, stream, &bytes, Then::Nothing).await?;
        Ok(bytes.len() as u64)
    }

    /// Puts the head of the response in front of what a pump sends to the client; how many of that pump's bytes
    /// it has.
    pub(super) fn stage_head(&mut self, pump: &mut Pump, head: &Head) -> Result<usize, WriteError> {
        let told = head.delivery.told;
        if let Some(stream) = self.client.wire.http2() {
            let ends = head.delivery.body == Body::None;
            let sent = stream.send_head(&self.txn.response, told, ends);
            self.txn.bytes_to_client += sent.map_err(|_| WriteError::Broken)? as u64;
            return Ok(0);
        }
        let bytes = pump.stage_head(|out| encode::response(&self.txn.response, told, head.connection, out));
        self.adjust_case(bytes);
        Ok(bytes.len())
    }

    /// What becomes of the trailers of a response.
    pub(super) fn trailers_to_client(&self) -> Trailers {
        match &self.client.wire {
            _ if self.frontend.options.drop_response_trailers => Trailers::Nowhere,
            Wire::H1 => Trailers::InChunks,
            Wire::H2(_) => Trailers::Apart,
        }
    }

    /// How the body of a response leaves: HTTP/2 frames it outside of its bytes.
    pub(super) fn framing_to_client(&self, body: Body) -> Body {
        match (&self.client.wire, body) {
            (Wire::H2(_), Body::Chunked) => Body::UntilClose,
            (_, body) => body,
        }
    }
}
