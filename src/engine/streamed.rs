//! Answers of services inside the proxy, statistics and metrics, part by part.
//!
//! Such an answer may be long and takes its time to make. It goes out in parts, each a chunk: the next part is made
//! when the client has taken the one before, and after each the other sessions of this core have their turn. What
//! fits one part is an answer like any other, with its length.

use std::task::Poll;

use super::exchange::{End, Exchange};
use super::wait::{self, WriteError};
use crate::base::clock::{self, Now};
use crate::http::h1::chunked;
use crate::http::h1::framing::Body;
use crate::http::reply::Reply;
use crate::net::timer::NEVER;
use crate::net::{Then, executor};
use crate::stats::Parts;
use crate::stats::info::{InfoFacts, Source};
use crate::stats::prometheus::{Asked, CONTENT_TYPE, Scrape};

/// About so many bytes make a part: some hundred samples, well below a millisecond.
const PART_BYTES: usize = 32 * 1024;

/// The body of an answer under way.
pub(super) struct Streamed {
    parts: Box<dyn Parts>,
    info: InfoFacts,
    now: Now,
    /// The part that comes next.
    part: Vec<u8>,
    /// Whether others may follow it.
    more: bool,
}

impl Exchange<'_> {
    /// Notes for the log that a service inside the proxy answers. It is there at once: no time
    /// passes in a queue, for a connection, or until its response.
    pub(super) fn served_by(&mut self, service: &'static str) {
        self.txn.service = Some(service);
        let now_us = clock::cached().mono_us;
        let time = &mut self.txn.time;
        (time.queued_us, time.connected_us, time.response_us) = (now_us, now_us, now_us);
    }

    /// `use-service prometheus-exporter`: the head of the answer; the metrics follow it.
    pub(super) fn exporter(&mut self) -> End {
        self.served_by("<PROMEX>");
        match Asked::parse(self.txn.request.target()) {
            Some(asked) => {
                let reply = Reply { status: 200, ..Reply::default() };
                let reply =
                    reply.with_field(b"cache-control", b"no-cache").with_field(b"content-type", CONTENT_TYPE);
                self.stream(Box::new(Scrape::new(asked)), reply)
            }
            None => {
                let end = self.local(Reply::error(400));
                end.closing()
            }
        }
    }

    /// Begins an answer: its body goes into the reply if one part holds it, and follows the reply otherwise.
    pub(super) fn stream(&mut self, parts: Box<dyn Parts>, reply: Reply) -> End {
        let info = (self.core.setup.info)();
        let mut streamed = Streamed { parts, info, now: clock::cached(), part: Vec::new(), more: true };
        self.fill(&mut streamed);
        if !streamed.more {
            return self.local(Reply { body: streamed.part, ..reply });
        }
        self.local(reply).followed_by(Box::new(streamed))
    }

    fn fill(&self, streamed: &mut Streamed) {
        let process = &*self.core.setup.process;
        let model = &self.snapshot.model;
        let source = Source { info: &streamed.info, process, model, now: streamed.now, float: false };
        streamed.part.clear();
        streamed.more = streamed.parts.fill(&source, &mut streamed.part, PART_BYTES);
    }

    /// Writes the body of an answer.
    pub(super) async fn send_streamed(
        &mut self,
        streamed: &mut Streamed,
        framing: Body,
    ) -> Result<(), WriteError> {
        let core = self.core.clone();
        let ticket = self.client.entry.ticket.clone();
        let timeout = self.client_timeout_ms();
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            match framing {
                Body::Chunked => {
                    // A chunk of no bytes would be the last.
                    if !streamed.part.is_empty() {
                        chunked::write_size_line(streamed.part.len(), &mut bytes);
                        bytes.extend_from_slice(&streamed.part);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    if !streamed.more {
                        bytes.extend_from_slice(chunked::LAST_CHUNK);
                        bytes.extend_from_slice(b"\r\n");
                    }
                }
                _ => std::mem::swap(&mut bytes, &mut streamed.part),
            }
            wait::write_all(&core, &ticket, timeout, &mut self.client.stream, &bytes, Then::Nothing).await?;
            self.txn.bytes_to_client += bytes.len() as u64;
            if !streamed.more {
                return Ok(());
            }
            let mut others_ran = false;
            let turn = wait::until(&core, &ticket, NEVER, |context| {
                if std::mem::replace(&mut others_ran, true) {
                    return Poll::Ready(());
                }
                executor::yield_now(context);
                Poll::Pending
            });
            turn.await.map_err(WriteError::Stopped)?;
            self.fill(streamed);
        }
    }
}
