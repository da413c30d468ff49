//! The Prometheus exporter as a service: a request for metrics, and the answer part by part.
//!
//! The answer may be long and takes its time to make. It goes out in parts, each a chunk, and after
//! each part the other sessions of this core have their turn.

use std::task::Poll;

use super::exchange::{End, Exchange};
use super::wait::{self, WriteError};
use crate::base::clock;
use crate::http::h1::chunked;
use crate::http::h1::framing::Body;
use crate::http::reply::Reply;
use crate::net::executor;
use crate::net::timer::NEVER;
use crate::stats::info::Source;
use crate::stats::prometheus::{Asked, CONTENT_TYPE, Scrape};

/// About so many bytes make a part: some hundred samples, well below a millisecond.
const PART_BYTES: usize = 32 * 1024;

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
                self.metrics = Some(Box::new(asked));
                let reply = Reply { status: 200, ..Reply::default() };
                self.local(
                    reply.with_field(b"cache-control", b"no-cache").with_field(b"content-type", CONTENT_TYPE),
                )
            }
            None => {
                let end = self.local(Reply::error(400));
                End { may_keep_alive: false, ..end }
            }
        }
    }

    /// Writes the metrics.
    pub(super) async fn send_metrics(&mut self, asked: &Asked, framing: Body) -> Result<(), WriteError> {
        let core = self.core.clone();
        let ticket = self.client.entry.ticket.clone();
        let timeout = self.frontend.timeouts.client_ms;
        let info = (core.setup.info)();
        let process = &*core.setup.process;
        let source = Source { info: &info, process, model: &core.model, now: clock::cached(), float: false };
        let mut scrape = Scrape::new(asked, source);
        let (mut part, mut bytes) = (Vec::new(), Vec::new());
        loop {
            part.clear();
            bytes.clear();
            let more = scrape.fill(&mut part, PART_BYTES);
            match framing {
                Body::Chunked => {
                    // A chunk of no bytes would be the last.
                    if !part.is_empty() {
                        chunked::write_size_line(part.len(), &mut bytes);
                        bytes.extend_from_slice(&part);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    if !more {
                        bytes.extend_from_slice(chunked::LAST_CHUNK);
                        bytes.extend_from_slice(b"\r\n");
                    }
                }
                _ => std::mem::swap(&mut bytes, &mut part),
            }
            wait::write_all(&core, &ticket, timeout, &mut self.client.stream, &bytes, false).await?;
            self.txn.bytes_to_client += bytes.len() as u64;
            if !more {
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
        }
    }
}
