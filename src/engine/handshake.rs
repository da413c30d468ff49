//! What a client must say before its session begins: the PROXY protocol header (`accept-proxy`,
//! `tcp-request connection expect-proxy`).
//!
//! The header may come in as many segments as it likes; what comes behind it stays in the client's
//! buffer for HTTP or the tunnel. A connection that fails here never was a session: it is counted
//! as a connection only, and has a log line of its own kind (manual, section 8.2.5).

use std::rc::Rc;

use super::Core;
use super::finish;
use super::http::Client;
use super::wait;
use crate::base::clock;
use crate::model::Proxy;
use crate::net::Buffer;
use crate::net::buffer::Filled;
use crate::net::timer::Stop;
use crate::sample::connection::ConnectionError;
use crate::wire::proxy_protocol::{self, Progress};

/// Reads the PROXY protocol header and makes its addresses the session's; false closes.
pub(super) async fn receive_proxy_header(core: &Rc<Core>, frontend: &Proxy, client: &mut Client) -> bool {
    let error = match read(core, frontend, client).await {
        Ok(()) => return true,
        Err(None) => return false,
        Err(Some(error)) => error,
    };
    // What was received may be half a header: its addresses are not believed, the real ones hold.
    client.session.own_connection().error = error;
    finish::log_embryonic(core, frontend, &client.session, error);
    false
}

/// An error of `None` is not worth a word: the connection was told to die.
async fn read(core: &Rc<Core>, frontend: &Proxy, client: &mut Client) -> Result<(), Option<ConnectionError>> {
    let accepted_ms = client.session.accepted.millis();
    let timeouts = &frontend.timeouts;
    let deadline = wait::after(timeouts.client_hs_ms.or(timeouts.client_ms));
    loop {
        let bytes = client.buffer.as_ref().map_or(&[][..], |buffer| buffer.filled());
        let is_empty = bytes.is_empty();
        match proxy_protocol::parse(bytes) {
            Ok(Progress::Complete { header, len }) => {
                let (addresses, fields) = (header.addresses, Box::from(header.fields.as_bytes()));
                client.session.own_connection().proxy_header = Some(fields);
                if let Some((source, destination)) = addresses {
                    client.session.source = Some(source);
                    client.session.destination = Some(destination);
                }
                let took = clock::cached().millis().saturating_sub(accepted_ms);
                client.session.handshake_ms = u32::try_from(took).unwrap_or(u32::MAX);
                if let Some(buffer) = &mut client.buffer {
                    buffer.consume(len);
                }
                if client.buffer.as_ref().is_some_and(Buffer::is_empty) {
                    client.buffer = None;
                }
                return Ok(());
            }
            Ok(Progress::Partial) => {}
            Err(mistake) => return Err(Some(ConnectionError::of_header(mistake))),
        }
        let buffer = client.buffer.get_or_insert_with(Buffer::lease);
        match buffer.fill(&client.stream) {
            Ok(Filled::Bytes { .. }) => continue,
            Ok(Filled::End) if is_empty => return Err(Some(ConnectionError::PRX_EMPTY)),
            // A header longer than a buffer will never be whole.
            Ok(Filled::End | Filled::Full) => return Err(Some(ConnectionError::PRX_TRUNCATED)),
            Err(_) => return Err(Some(ConnectionError::PRX_ABORT)),
            Ok(Filled::Nothing) if is_empty => client.buffer = None,
            Ok(Filled::Nothing) => {}
        }
        match wait::readable(core, &client.entry.ticket, deadline, &mut client.stream).await {
            Ok(()) => {}
            Err(Stop::Timeout) => return Err(Some(ConnectionError::PRX_TIMEOUT)),
            Err(Stop::Killed(_)) => return Err(None),
        }
    }
}
