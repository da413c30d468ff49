//! Answers that the proxy makes itself, and what becomes of the client connection after them.

use super::exchange::{End, Exchange, Next, UploadState};
use super::{packets, wait};
use crate::base::clock;
use crate::http::h1::encode;
use crate::http::h1::framing::Body;
use crate::http::reply::Reply;
use crate::http::status;
use crate::http::{Method, Version};
use crate::model::Proxy;
use crate::model::proxy::StatsPage;
use crate::net::Buffer;
use crate::net::buffer::Filled;
use crate::rules::RuleSet;
use crate::sample::facts::{Direction, Ended, EndedIn};
use std::sync::Arc;

/// Bytes of an unread request that are read and thrown away so that the answer arrives: closing with
/// unread bytes would reset the connection under it (RFC 9112 section 9.6).
const DRAIN_BYTES_MAX: usize = 256 * 1024;
/// How long that may take.
const DRAIN_MS: u64 = 1000;

impl Exchange<'_> {
    /// Carries an end out.
    pub(super) async fn answer(&mut self, end: End) -> Next {
        self.assigned = None;
        // An empty `errorfile` (`/dev/null`) asks for no answer.
        // A redirection to an error page (`errorloc`) is logged with the error's status.
        if let Some(reply) = end.reply.as_ref().filter(|_| self.txn.status == 0) {
            self.txn.status = reply.status;
        }
        let reply = end.reply.filter(|reply| reply.raw.as_ref().is_none_or(|file| !file.is_empty()));
        let Some(reply) = reply else {
            if end.silent {
                self.drop_silently();
            }
            self.txn.time.end_us = clock::cached().mono_us;
            return Next::Close;
        };
        let body_left = self.unread_body();
        let body = self.streamed.take();
        // Its length is known when it is over; an older client sees that by the end of the connection.
        let streamed = body.as_ref().map(|_| match self.txn.request.version {
            Version::Http10 => Body::UntilClose,
            Version::Http11 => Body::Chunked,
        });
        let stays = end.may_keep_alive
            && streamed != Some(Body::UntilClose)
            && self.keep_alive
            && !reply.close
            && body_left == Some(0)
            && !self.core.stopping.get();
        let bytes = self.encode_reply(&reply, stays, streamed);
        self.txn.bytes_to_client += bytes.len() as u64;
        let ticket = self.client.entry.ticket.clone();
        let timeout = self.frontend.timeouts.client_ms;
        let ends = !stays && streamed.is_none();
        let mut written =
            wait::write_all(self.core, &ticket, timeout, &mut self.client.stream, &bytes, ends).await;
        if let (Ok(()), Some(mut body), Some(framing)) = (&written, body, streamed)
            && self.txn.request.method != Method::Head
            && status::allows_body(self.txn.status)
        {
            written = self.send_streamed(&mut body, framing).await;
        }
        self.txn.time.end_us = clock::cached().mono_us;
        if written.is_err() {
            return Next::Close;
        }
        if stays {
            return Next::KeepAlive;
        }
        if body_left != Some(0) || self.txn.bad_request {
            self.drain().await;
        }
        Next::Close
    }

    /// How much of the request body was not read yet, after taking what is at hand out of the
    /// buffer; `None` when it cannot be told.
    fn unread_body(&mut self) -> Option<u64> {
        match (self.upload_state, self.request_body) {
            (UploadState::Done, _) => return Some(0),
            (UploadState::Partial, body) if !body.is_empty() => return None,
            _ => {}
        }
        match self.request_body {
            Body::None | Body::Length(0) => Some(0),
            Body::Length(length) => {
                let buffer = self.client.buffer.as_mut()?;
                let have = (buffer.len() as u64).min(length);
                if have == length {
                    buffer.consume(usize::try_from(have).unwrap_or(usize::MAX));
                    return Some(0);
                }
                Some(length - have)
            }
            Body::Chunked | Body::UntilClose => None,
        }
    }

    /// Makes the response head of a reply, runs the after-response rules over it, and gives its bytes.
    /// A body that will be streamed brings its framing; the reply's own has a known length.
    fn encode_reply(&mut self, reply: &Reply, stays: bool, streamed: Option<Body>) -> Vec<u8> {
        let parsed;
        let reply = match reply.raw.as_deref().map(Reply::from_errorfile) {
            Some(Ok(from_file)) => {
                parsed = from_file;
                &parsed
            }
            _ => reply,
        };
        let txn = &mut *self.txn;
        txn.response.clear();
        let reason = match &reply.reason {
            Some(reason) => reason.as_slice(),
            None => status::reason(reply.status).as_bytes(),
        };
        txn.response.set_status(reply.status, reason);
        for (name, value) in &reply.fields {
            txn.response.fields.append(name, value);
        }
        txn.has_response = true;
        txn.request_vars.clear();
        // What never was a request is refused before any rule (manual, section 4.2 `http-after-response`).
        let frontend = (!txn.bad_request).then_some(self.frontend);
        let backend = self.backend.filter(|backend| !Arc::ptr_eq(backend, self.frontend));
        for proxy in [backend, frontend].into_iter().flatten() {
            // An answer that was refused once is not refused again: only the edits count here.
            let _ = self.run_rules(&proxy.http_after_response, 0, RuleSet::HttpAfterResponse);
        }
        let txn = &mut *self.txn;
        if txn.response.status != reply.status {
            txn.status = txn.response.status; // a rule has changed it
        }
        let mode = match (stays, txn.request.version) {
            (false, _) => encode::Connection::Close,
            (true, crate::http::Version::Http10) => encode::Connection::KeepAlive,
            (true, crate::http::Version::Http11) => encode::Connection::Default,
        };
        let mut bytes = Vec::with_capacity(256 + reply.body.len());
        let framed = match (streamed, reply.status) {
            (Some(framing), _) => framing,
            (None, 100..=199 | 204) => Body::None,
            (None, 304) if reply.body.is_empty() => Body::None,
            (None, _) => Body::Length(reply.body.len() as u64),
        };
        encode::response(&txn.response, framed, mode, &mut bytes);
        self.adjust_case(&mut bytes);
        let txn = &*self.txn;
        let bare = txn.request.method == Method::Head && txn.has_request;
        if !bare && matches!(framed, Body::Length(_)) {
            bytes.extend_from_slice(&reply.body);
        }
        bytes
    }

    /// `silent-drop`: the client must not learn that the connection is over.
    fn drop_silently(&mut self) {
        packets::drop_silently(&self.client.stream, self.rst_ttl);
    }

    /// Ends our direction and reads what the client still sends, within bounds.
    pub(super) async fn drain(&mut self) {
        self.client.stream.shutdown_write();
        let deadline = clock::cached().millis() + DRAIN_MS;
        let ticket = self.client.entry.ticket.clone();
        let mut left = DRAIN_BYTES_MAX;
        self.client.buffer = None;
        while left > 0 {
            let mut buffer = Buffer::lease();
            match buffer.fill(&self.client.stream) {
                Ok(Filled::Bytes { count, .. }) => left = left.saturating_sub(count),
                Ok(Filled::Nothing) => {
                    drop(buffer);
                    let wait = wait::readable(self.core, &ticket, deadline, &mut self.client.stream);
                    if wait.await.is_err() {
                        return;
                    }
                }
                Ok(Filled::End | Filled::Full) | Err(_) => return,
            }
        }
    }

    /// The statistics page.
    pub(super) async fn statistics(&mut self, proxy: &Arc<Proxy>, page: &StatsPage) -> Result<End, End> {
        let allowed = {
            let context = self.context(Direction::Request);
            page.admin.iter().any(|condition| condition.holds(&context))
        };
        if self.txn.request.method == Method::Post {
            self.buffer_body(0, self.frontend.timeouts.client_ms).await?;
            self.refuse_broken_off()?;
        }
        self.txn.by_service = true;
        let outcome = crate::stats::page::serve(
            &self.txn.request,
            &self.txn.body,
            page,
            proxy,
            &self.core.model,
            allowed,
        );
        for order in outcome.orders {
            (self.core.setup.page_orders)(order);
        }
        self.served_by("<STATS>");
        let reply = match outcome.dump {
            Some(dump) => self.stream(dump, outcome.reply),
            None => outcome.reply,
        };
        let end = self.local(reply);
        self.txn.ended_in = EndedIn::Request;
        self.txn.ended = Ended::Local;
        Ok(end)
    }
}
