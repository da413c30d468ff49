//! What a client must say before its session begins: the PROXY protocol header (`accept-proxy`,
//! `tcp-request connection expect-proxy`), then its part of the TLS handshake (`ssl`).
//!
//! The header may come in as many segments as it likes; what comes behind it stays in the client's
//! buffer for HTTP or the tunnel. A connection that fails here never was a session: it is counted
//! as a connection only, and has a log line of its own kind (manual, section 8.2.5).

use std::rc::Rc;
use std::sync::Arc;

use super::Core;
use super::finish;
use super::http::Client;
use super::wait;
use crate::base::clock::{self, Millis};
use crate::model::Proxy;
use crate::net::buffer::Filled;
use crate::net::secure::Broken;
use crate::net::timer::Stop;
use crate::net::{Buffer, Then};
use crate::sample::connection::ConnectionError;
use crate::tls::buffer::RecordBuffer;
use crate::tls::connection::{Checked, TlsFacts};
use crate::tls::counters::Counted;
use crate::tls::session::{Failure, Session, words};
use crate::tls::terminator::{Chosen, Terminator};
use crate::tls::verify::verifier;
use crate::wire::client_hello::{ClientHello, Found};
use crate::wire::proxy_protocol::{self, Progress};

/// What a handshake that failed is told as.
type Failed = (ConnectionError, Option<Box<str>>);

/// The TLS alert for a hello that cannot be read (RFC 8446 section 6.2), as a record.
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// Goes through the TLS handshake; false closes.
pub(super) async fn terminate_tls(
    core: &Rc<Core>,
    frontend: &Proxy,
    client: &mut Client,
    terminator: &Terminator,
) -> bool {
    let (limit, rate) = {
        let snapshot = client.entry.snapshot.get();
        (snapshot.model.global.maxsslconn, snapshot.model.global.maxsslrate)
    };
    let counters = &core.setup.process.tls;
    while let Err(delay_ms) =
        if rate == 0 { Ok(()) } else { counters.clients_window.take(clock::cached().millis(), rate) }
    {
        if wait::sleep(core, &client.entry.ticket, delay_ms).await.is_err() {
            return false;
        }
    }
    let result = match counters.enter(limit) {
        Some(counted) => handshake(core, frontend, client, terminator, counted).await,
        None => Err(Some((ConnectionError::SSL_TOO_MANY, None))),
    };
    match result {
        Ok(facts) => {
            let took = clock::cached().millis().saturating_sub(client.session.accepted.millis());
            client.session.handshake_ms = u32::try_from(took).unwrap_or(u32::MAX);
            client.session.own_connection().tls = Some(facts);
            true
        }
        Err(None) => false,
        Err(Some((error, failure))) => {
            let own = client.session.own_connection();
            (own.error, own.failure) = (error, failure);
            finish::log_embryonic(core, frontend, &client.session, error);
            false
        }
    }
}

/// An error of `None` is not worth a word: the connection was told to die.
async fn handshake(
    core: &Rc<Core>,
    frontend: &Proxy,
    client: &mut Client,
    terminator: &Terminator,
    counted: Counted,
) -> Result<Arc<TlsFacts>, Option<Failed>> {
    let timeouts = &frontend.timeouts;
    let deadline = wait::after(timeouts.client_hs_ms.or(timeouts.client_ms));
    let (chosen, name) = await_hello(core, client, terminator, deadline).await?;
    let failed = |failure: &Failure| (ConnectionError::SSL_HANDSHAKE, Some(words(failure).into()));
    let session = Session::server(chosen.config).map_err(|failure| Some(failed(&failure)))?;
    let received = client.buffer.take();
    let received = received.as_ref().map_or(&[][..], |buffer| buffer.filled());
    client.stream.secure(session, received, RecordBuffer::default());
    let stream = &mut client.stream;
    let done =
        wait::until(core, &client.entry.ticket, deadline, |context| stream.poll_handshake(context)).await;
    match done {
        Ok(Ok(())) => {}
        Ok(Err(Broken::Failed(failure))) => {
            return Err(Some(refused_by_us(&failure).unwrap_or_else(|| failed(&failure))));
        }
        Ok(Err(Broken::TooLong)) => {
            let words = "a message of the handshake is too long".into();
            return Err(Some((ConnectionError::SSL_HANDSHAKE, Some(words))));
        }
        Ok(Err(Broken::Closed | Broken::Socket(_))) => return Err(Some((ConnectionError::SSL_ABORT, None))),
        Err(Stop::Timeout) => return Err(Some((ConnectionError::SSL_TIMEOUT, None))),
        Err(Stop::Killed(_)) => return Err(None),
    }
    let session = client.stream.session().ok_or(None)?;
    let agreed = session.agreed().ok_or(None)?;
    let peer: Box<[Box<[u8]>]> = session.peer_certificates().iter().map(|der| Box::from(&**der)).collect();
    // Found again rather than kept: a session that was resumed is judged by today's lists and times.
    let checked = chosen.verifier.map(|verifier| {
        let now = clock::cached().wall_secs() as i64;
        let verdict = verifier.judge(session.peer_certificates(), now);
        verdict.map_or_else(Checked::default, |verdict| Checked::of(&verdict))
    });
    let now = clock::cached().millis();
    core.setup.process.tls.count(true, agreed.is_resumed, now);
    Ok(Arc::new(TlsFacts { agreed, name, shown: Some(chosen.material), peer, checked, counted }))
}

/// Why we have refused the client's certificate, if that is what the handshake failed by.
fn refused_by_us(failure: &Failure) -> Option<Failed> {
    if !failure.is_of_certificate() {
        return None;
    }
    let fault = verifier::take_last()?.verdict.refused?;
    let error = match fault.depth {
        0 => ConnectionError::SSL_CRT_FAIL,
        _ => ConnectionError::SSL_CA_FAIL,
    };
    Some((error, Some(fault.error.words().into())))
}

/// Reads the client's hello and chooses what it is answered with. The hello stays in the client's buffer.
async fn await_hello(
    core: &Rc<Core>,
    client: &mut Client,
    terminator: &Terminator,
    deadline: Millis,
) -> Result<(Chosen, Option<Box<[u8]>>), Option<Failed>> {
    let failure = |words: &str| Some((ConnectionError::SSL_HANDSHAKE, Some(words.into())));
    loop {
        let bytes = client.buffer.as_ref().map_or(&[][..], |buffer| buffer.filled());
        let is_empty = bytes.is_empty();
        match ClientHello::parse(bytes) {
            Found::Complete(hello) => {
                let name = hello.server_name().map(|place| Box::from(&*hello.bytes(place)));
                let chosen = terminator.choose(&hello).map_err(|refusal| {
                    let _ = client.stream.try_write(&refusal.alert(), Then::Nothing);
                    failure(refusal.words())
                })?;
                return Ok((chosen, name));
            }
            Found::Partial => {}
            Found::Foreign => {
                let words = not_a_hello(bytes);
                if bytes.first() == Some(&22) {
                    let _ = client.stream.try_write(&DECODE_ERROR, Then::Nothing);
                }
                return Err(failure(words));
            }
        }
        let buffer = client.buffer.get_or_insert_with(Buffer::lease);
        match buffer.fill(&mut client.stream) {
            Ok(Filled::Bytes { .. }) => continue,
            Ok(Filled::End) if is_empty => return Err(Some((ConnectionError::SSL_EMPTY, None))),
            Ok(Filled::End) | Err(_) => return Err(Some((ConnectionError::SSL_ABORT, None))),
            Ok(Filled::Full) => return Err(failure("the client's hello is longer than a buffer")),
            Ok(Filled::Nothing) if is_empty => client.buffer = None,
            Ok(Filled::Nothing) => {}
        }
        match wait::readable(core, &client.entry.ticket, deadline, &mut client.stream).await {
            Ok(()) => {}
            Err(Stop::Timeout) => return Err(Some((ConnectionError::SSL_TIMEOUT, None))),
            Err(Stop::Killed(_)) => return Err(None),
        }
    }
}

/// What bytes are that are no hello, in OpenSSL's words where it has some.
fn not_a_hello(bytes: &[u8]) -> &'static str {
    const METHODS: &[&[u8]] =
        &[b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"PATC", b"CONN", b"PRI ", b"TRAC"];
    if METHODS.iter().any(|method| bytes.starts_with(&method[..method.len().min(bytes.len())])) {
        return "http request: a client spoke plain HTTP to a port that speaks TLS";
    }
    match bytes.first() {
        Some(22) => "the client's hello is malformed",
        _ => "wrong version number: what the client sent is no TLS",
    }
}

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
        match buffer.fill(&mut client.stream) {
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
