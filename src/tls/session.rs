//! One TLS connection, apart from its socket: bytes received go in, plaintext comes out; plaintext goes in, bytes
//! to send come out. The facade over rustls' unbuffered connections, and the only module that names them.
//!
//! Nothing is buffered here beyond what rustls must keep: the caller owns the room for records in both
//! directions ([`RecordBuffer`]) and gives it back whenever it is empty. Plaintext comes record by record, so
//! that a reader that does not read holds one record of it at most.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, ReadEarlyData, UnbufferedStatus,
};
use rustls::{AlertDescription, ClientConfig, CommonState, HandshakeKind, ServerConfig};

use super::buffer::RecordBuffer;

/// The most plaintext that one record carries (RFC 8446 section 5.1).
pub const PLAINTEXT_MAX: usize = 1 << 14;
/// What a record adds to its plaintext at most, a little more than any of the suites needs.
const OVERHEAD: usize = 64;

/// A connection of either side.
enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// A TLS connection.
pub struct Session {
    connection: Connection,
    /// How many of the received bytes rustls has looked at and needs to see again: the beginning of a record
    /// or of a message.
    seen: usize,
    /// The peer has ended its direction, or the session has failed.
    ended: bool,
    failed: bool,
}

/// What received bytes were.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// One record of the application's bytes.
    Plaintext(Vec<u8>),
    /// Nothing yet: what is left is the beginning of something.
    NeedsMore,
    /// The peer has ended its direction (`close_notify`).
    Ended,
}

/// Why a session cannot go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure(rustls::Error);

impl Failure {
    /// What rustls says.
    pub fn error(&self) -> &rustls::Error {
        &self.0
    }
    /// Whether it is our refusal of the peer's certificate.
    pub fn is_of_certificate(&self) -> bool {
        matches!(self.0, rustls::Error::InvalidCertificate(_))
    }
    /// The alert with which the peer ended the session, if it was the peer.
    pub fn alert(&self) -> Option<AlertDescription> {
        match self.0 {
            rustls::Error::AlertReceived(alert) => Some(alert),
            _ => None,
        }
    }
}

impl From<rustls::Error> for Failure {
    fn from(error: rustls::Error) -> Failure {
        Failure(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version, as it is written on the wire (0x0303, 0x0304).
    pub version: u16,
    /// The number of the cipher suite.
    pub suite: u16,
    /// The number of the group of the key exchange; none for a session that was resumed without one.
    pub group: Option<u16>,
    /// The session was resumed.
    pub is_resumed: bool,
    /// The protocol that ALPN chose.
    pub protocol: Option<Box<[u8]>>,
}

/// What differs between the sides.
trait Side {
    type Data;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn early(state: ReadEarlyData<'_, '_, Self::Data>) -> Vec<u8>;
    /// Whether records wait to be encoded.
    fn has_to_say(&self) -> bool;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
    fn early(mut state: ReadEarlyData<'_, '_, Self::Data>) -> Vec<u8> {
        match state.next_record() {
            Some(Ok(record)) => record.payload.to_vec(),
            _ => Vec::new(),
        }
    }
    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
    fn early(_: ReadEarlyData<'_, '_, Self::Data>) -> Vec<u8> {
        Vec::new() // servers send none
    }
    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

impl Session {
    /// The side that was connected to; `config` is what was chosen for this client.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn server(config: Arc<ServerConfig>) -> Result<Session, Failure> {
        let connection = Connection::Server(UnbufferedServerConnection::new(config)?);
        Ok(Session { connection, seen: 0, ended: false, failed: false })
    }
    /// The side that connects. Its hello is put into `output`.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        output: &mut RecordBuffer,
    ) -> Result<Session, Failure> {
        let connection = Connection::Client(UnbufferedClientConnection::new(config, name)?);
        let mut session = Session { connection, seen: 0, ended: false, failed: false };
        session.receive(&mut RecordBuffer::default(), output)?;
        Ok(session)
    }

    /// Takes bytes off `input` until they give plaintext, or until nothing more can be made of them. What the
    /// session itself has to say (its part of the handshake, tickets, an alert when it fails) is put
    /// behind `output`, which is to be sent whatever comes back.
    ///
    /// # Errors
    /// The peer broke the protocol, was refused, or gave up; the session is over.
    pub fn receive(
        &mut self,
        input: &mut RecordBuffer,
        output: &mut RecordBuffer,
    ) -> Result<Received, Failure> {
        if self.ended {
            input.consume(usize::MAX);
            return Ok(Received::Ended);
        }
        let received = match &mut self.connection {
            Connection::Server(connection) => receive(connection, input, output),
            Connection::Client(connection) => receive(connection, input, output),
        };
        self.seen = match received {
            Ok(Received::NeedsMore) => input.len(),
            _ => 0,
        };
        self.failed = received.is_err();
        self.ended = self.failed || received == Ok(Received::Ended);
        received
    }

    /// Seals the next piece of `bytes` and puts it behind `output`; how many bytes of plaintext that were: all, or
    /// as many as one record carries. `input` holds what was received and not used.
    ///
    /// # Errors
    /// The handshake is not over, or the session is.
    pub fn seal(
        &mut self,
        input: &mut RecordBuffer,
        bytes: &[u8],
        output: &mut RecordBuffer,
    ) -> Result<usize, Failure> {
        let piece = &bytes[..bytes.len().min(PLAINTEXT_MAX)];
        self.write(input, output, Write::Sealed(piece))?;
        Ok(piece.len())
    }

    /// Tells the peer that nothing more follows (`close_notify`). A session whose handshake is not over has
    /// nothing to tell.
    pub fn close(&mut self, input: &mut RecordBuffer, output: &mut RecordBuffer) {
        let _ = self.write(input, output, Write::Close);
    }

    fn write(
        &mut self,
        input: &mut RecordBuffer,
        output: &mut RecordBuffer,
        what: Write<'_>,
    ) -> Result<(), Failure> {
        if self.failed {
            return Err(Failure(rustls::Error::General("the session has failed".to_owned())));
        }
        let seen = &mut input.filled_mut()[..self.seen];
        match &mut self.connection {
            Connection::Server(connection) => write(connection, seen, output, what),
            Connection::Client(connection) => write(connection, seen, output, what),
        }
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Server(connection) => connection,
            Connection::Client(connection) => connection,
        }
    }
    /// Whether this is the side that was connected to.
    pub fn is_server(&self) -> bool {
        matches!(self.connection, Connection::Server(_))
    }
    /// Whether the handshake is not over yet.
    pub fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }
    /// What was agreed on, once the handshake is over.
    pub fn agreed(&self) -> Option<Agreed> {
        let common = self.common();
        if common.is_handshaking() {
            return None;
        }
        Some(Agreed {
            version: common.protocol_version()?.into(),
            suite: common.negotiated_cipher_suite()?.suite().into(),
            group: common.negotiated_key_exchange_group().map(|group| group.name().into()),
            is_resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            protocol: common.alpn_protocol().map(Box::from),
        })
    }
    /// The certificates that the peer showed, its own first.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.common().peer_certificates().unwrap_or_default()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.connection {
            Connection::Server(_) => "server",
            Connection::Client(_) => "client",
        };
        f.debug_struct("Session").field("side", &side).field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// What is written.
#[derive(Clone, Copy)]
enum Write<'a> {
    Sealed(&'a [u8]),
    Close,
}

fn receive<S: Side>(
    side: &mut S,
    input: &mut RecordBuffer,
    output: &mut RecordBuffer,
) -> Result<Received, Failure> {
    loop {
        let UnbufferedStatus { mut discard, state } = side.process(input.filled_mut());
        let found = match state {
            Err(error) => {
                drain(side, output);
                input.consume(usize::MAX);
                return Err(Failure(error));
            }
            Ok(ConnectionState::ReadTraffic(mut records)) => match records.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    Some(Received::Plaintext(record.payload.to_vec()))
                }
                Some(Err(error)) => return Err(Failure(error)),
                None => None,
            },
            Ok(ConnectionState::ReadEarlyData(records)) => Some(Received::Plaintext(S::early(records))),
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(output, |room| data.encode(room));
                None
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done(); // the caller sends what stands in the output
                None
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                input.consume(usize::MAX);
                return Ok(Received::Ended);
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                Some(Received::NeedsMore)
            }
            // The enumeration may grow; what it grows by is nothing that was asked for.
            Ok(_) => Some(Received::NeedsMore),
        };
        input.consume(discard);
        match found {
            Some(Received::Plaintext(bytes)) if bytes.is_empty() => {}
            Some(found) => return Ok(found),
            None => {}
        }
    }
}

/// Takes what a failed session still has to say: its alert. It may not look at any input again: of what it had
/// not come to, rustls remembers places only.
fn drain<S: Side>(side: &mut S, output: &mut RecordBuffer) {
    while side.has_to_say() {
        match side.process(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => encode(output, |room| data.encode(room)),
            _ => return,
        }
    }
}

fn encode(output: &mut RecordBuffer, mut act: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let mut room = 0;
    loop {
        match act(output.free(room)) {
            Ok(count) => return output.add(count),
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                room = required_size;
            }
            Err(EncodeError::AlreadyEncoded) => return,
        }
    }
}

fn write<S: Side>(
    side: &mut S,
    seen: &mut [u8],
    output: &mut RecordBuffer,
    what: Write<'_>,
) -> Result<(), Failure> {
    let mut room = OVERHEAD;
    if let Write::Sealed(bytes) = what {
        room += bytes.len();
    }
    loop {
        let mut traffic = match side.process(seen).state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(output, |room| data.encode(room));
                continue;
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                continue;
            }
            Ok(ConnectionState::PeerClosed) => continue, // it may be written to still
            Ok(ConnectionState::WriteTraffic(traffic)) => traffic,
            Err(error) => return Err(Failure(error)),
            Ok(_) => return Err(Failure(rustls::Error::HandshakeNotComplete)),
        };
        loop {
            let free = output.free(room);
            let written = match what {
                Write::Sealed(bytes) => traffic.encrypt(bytes, free),
                Write::Close => traffic.queue_close_notify(free),
            };
            match written {
                Ok(count) => {
                    output.add(count);
                    return Ok(());
                }
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    room = required_size;
                }
                Err(EncryptError::EncryptExhausted) => return Err(Failure(rustls::Error::EncryptError)),
            }
        }
    }
}

/// A failure in the words that people look for in logs, OpenSSL's where it has some.
pub fn words(failure: &Failure) -> Cow<'static, str> {
    use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible as Lacks};
    let words = match &failure.0 {
        Error::AlertReceived(alert) => {
            return format!("the peer sent the alert '{}'", alert_name(*alert)).into();
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "wrong version number",
        Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => "unsupported protocol",
        Error::PeerIncompatible(Lacks::NoCipherSuitesInCommon) => "no shared cipher",
        Error::PeerIncompatible(Lacks::NoKxGroupsInCommon) => "no suitable key share",
        Error::PeerIncompatible(Lacks::NoSignatureSchemesInCommon) => "no shared signature algorithms",
        Error::PeerIncompatible(
            Lacks::Tls12NotOffered
            | Lacks::Tls12NotOfferedOrEnabled
            | Lacks::Tls13RequiredForQuic
            | Lacks::SupportedVersionsExtensionRequired
            | Lacks::ServerDoesNotSupportTls12Or13,
        ) => "unsupported protocol",
        // What TLS 1.1 and older lack comes to light before their version does.
        Error::PeerIncompatible(
            Lacks::SignatureAlgorithmsExtensionRequired
            | Lacks::NamedGroupsExtensionRequired
            | Lacks::ExtendedMasterSecretExtensionRequired,
        ) => "unsupported protocol (the peer offers TLS 1.1 or older, or TLS 1.2 without its extensions)",
        Error::NoApplicationProtocol => "no application protocol",
        Error::NoCertificatesPresented => "peer did not return a certificate",
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "certificate verify failed: certificate has expired"
        }
        Error::InvalidCertificate(CertificateError::Revoked) => {
            "certificate verify failed: certificate revoked"
        }
        Error::InvalidCertificate(error) => {
            return format!("certificate verify failed: {error}").into();
        }
        Error::DecryptError => "decryption failed or bad record mac",
        error => return error.to_string().into(),
    };
    words.into()
}

/// The name of an alert as RFC 8446 section 6 writes it.
fn alert_name(alert: AlertDescription) -> String {
    let name = format!("{alert:?}");
    let mut words = String::with_capacity(name.len() + 4);
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() && !name[..at].ends_with(|c: char| c.is_ascii_uppercase()) {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests;
