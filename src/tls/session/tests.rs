//! Sessions against rustls' buffered connections, byte by byte and at once.

use std::io::{Read, Write};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::{
    ClientConnection, DigitallySignedStruct, ServerConnection, SignatureScheme, SupportedProtocolVersion,
};

use super::*;

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crate::tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

fn server_config(version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(crate::tls::provider().clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn client_config() -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(crate::tls::provider().clone())
        .with_protocol_versions(BOTH)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn name() -> ServerName<'static> {
    ServerName::try_from("example.com").unwrap()
}

/// One end with its buffers.
struct End {
    session: Session,
    input: RecordBuffer,
    output: RecordBuffer,
    plaintext: Vec<u8>,
    result: Result<bool, Failure>,
}

impl End {
    fn server(version: &'static SupportedProtocolVersion) -> End {
        let session = Session::server(server_config(version)).unwrap();
        End::of(session, RecordBuffer::default())
    }
    fn of(session: Session, output: RecordBuffer) -> End {
        End { session, input: RecordBuffer::default(), output, plaintext: Vec::new(), result: Ok(false) }
    }
    /// Takes bytes in steps of `step`; the first failure stays.
    fn take(&mut self, bytes: &[u8], step: usize) {
        for piece in bytes.chunks(step) {
            self.input.free(piece.len())[..piece.len()].copy_from_slice(piece);
            self.input.add(piece.len());
            loop {
                match self.session.receive(&mut self.input, &mut self.output) {
                    Ok(Received::Plaintext(bytes)) => self.plaintext.extend(bytes),
                    Ok(Received::NeedsMore) => break,
                    Ok(Received::Ended) => {
                        self.result = Ok(true);
                        break;
                    }
                    Err(failure) => {
                        self.result = Err(failure);
                        return;
                    }
                }
            }
        }
    }
    fn sends(&mut self) -> Vec<u8> {
        let bytes = self.output.filled().to_vec();
        self.output.consume(usize::MAX);
        assert_eq!(self.output.room(), 0, "what is sent needs no room");
        bytes
    }
    fn says(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.session.seal(&mut self.input, bytes, &mut self.output).unwrap();
            assert!(count > 0);
            bytes = &bytes[count..];
        }
    }
}

/// Moves bytes between a session and a buffered peer until both are silent.
fn talk(end: &mut End, peer: &mut rustls::Connection, step: usize) {
    loop {
        let mut to_end = Vec::new();
        while peer.wants_write() {
            peer.write_tls(&mut to_end).unwrap();
        }
        end.take(&to_end, step);
        let to_peer = end.sends();
        for piece in to_peer.chunks(step) {
            let mut rest = piece;
            while !rest.is_empty() {
                peer.read_tls(&mut rest).unwrap();
                if peer.process_new_packets().is_err() {
                    return;
                }
            }
        }
        if to_end.is_empty() && to_peer.is_empty() {
            return;
        }
    }
}

fn read(peer: &mut rustls::Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = peer.reader().read_to_end(&mut bytes); // it would block at the end
    bytes
}

#[test]
fn both_sides_and_versions_talk_in_steps_of_any_size() {
    let long: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
    for version in BOTH {
        for step in [1, 7, usize::MAX] {
            let long = if step == 1 { &long[..20_000] } else { &long[..] };
            let client = ClientConnection::new(client_config(), name()).unwrap();
            let mut server = End::server(version);
            let mut hello = RecordBuffer::default();
            let session = Session::client(client_config(), name(), &mut hello).unwrap();
            let client_end = End::of(session, hello);
            let buffered = ServerConnection::new(server_config(version)).unwrap();
            for (end, peer) in [
                (&mut server, &mut rustls::Connection::from(client)),
                (&mut { client_end }, &mut rustls::Connection::from(buffered)),
            ] {
                talk(end, peer, step);
                let agreed = end.session.agreed().expect("the handshake is over");
                assert_eq!(agreed.version, u16::from(version.version));
                assert_eq!(agreed.protocol.as_deref(), Some(&b"http/1.1"[..]));
                assert!(!agreed.is_resumed && agreed.group.is_some());
                peer.writer().write_all(b"ping").unwrap();
                talk(end, peer, step);
                assert_eq!(end.plaintext, b"ping");
                end.says(long);
                let sealed = end.sends();
                assert!(sealed.len() > long.len());
                let mut got = Vec::new();
                for mut piece in sealed.chunks(step.min(4000)) {
                    while !piece.is_empty() {
                        peer.read_tls(&mut piece).unwrap();
                        peer.process_new_packets().unwrap();
                    }
                    got.extend(read(peer));
                }
                assert!(got == *long, "{version:?} in steps of {step}");
                assert!(end.input.is_empty() && end.input.room() == 0, "an idle session holds no room");
                peer.send_close_notify();
                talk(end, peer, step);
                assert_eq!(end.result, Ok(true), "the peer has ended its direction");
                end.says(b"bye");
                end.session.close(&mut end.input, &mut end.output);
                talk(end, peer, step);
                assert_eq!(read(peer), b"bye", "a direction outlives the other");
                let mut more = [0];
                assert_eq!(peer.reader().read(&mut more).unwrap(), 0, "close_notify was sent");
            }
        }
    }
}

#[test]
fn keys_change_while_half_a_record_waits() {
    let mut end = End::server(&rustls::version::TLS13);
    let mut peer = rustls::Connection::from(ClientConnection::new(client_config(), name()).unwrap());
    talk(&mut end, &mut peer, usize::MAX);
    for round in 0..3 {
        peer.refresh_traffic_keys().unwrap();
        peer.writer().write_all(b"after").unwrap();
        let mut bytes = Vec::new();
        while peer.wants_write() {
            peer.write_tls(&mut bytes).unwrap();
        }
        // Half of it, an answer, the rest: the answer must not disturb what waits.
        let half = bytes.len() - 3;
        end.take(&bytes[..half], usize::MAX);
        assert!(!end.input.is_empty());
        end.says(b"meanwhile");
        end.take(&bytes[half..], usize::MAX);
        talk(&mut end, &mut peer, usize::MAX);
        assert_eq!(end.plaintext, b"after".repeat(round + 1));
        assert_eq!(read(&mut peer), b"meanwhile");
    }
}

#[test]
fn what_is_no_tls_fails_with_an_alert_and_in_words() {
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "wrong version number"),
        (&[22, 3, 1, 0, 4, 9, 0, 0, 0][..], "received unexpected handshake message"),
        (&[21, 3, 1, 0, 2, 2, 40][..], "the peer sent the alert 'handshake failure'"),
        (&[0; 40], "wrong version number"),
    ] {
        for step in [1, usize::MAX] {
            let mut end = End::server(&rustls::version::TLS13);
            end.take(bytes, step);
            let failure = end.result.clone().expect_err("it is no TLS");
            assert!(words(&failure).contains(expected), "{} for {bytes:?}", words(&failure));
            let sent = end.sends();
            assert!(sent.is_empty() == failure.alert().is_some(), "an alert answers, but not an alert");
            assert!(sent.is_empty() || sent[0] == 21, "{sent:?}");
            assert!(end.input.is_empty(), "nothing waits behind a failure");
            end.result = Ok(false);
            end.take(b"more", 1);
            assert_eq!(end.result, Ok(true), "it is over");
        }
    }
}

#[test]
fn a_broken_record_and_a_record_too_long_end_the_session() {
    for broken in [true, false] {
        let mut end = End::server(&rustls::version::TLS13);
        let mut peer = rustls::Connection::from(ClientConnection::new(client_config(), name()).unwrap());
        talk(&mut end, &mut peer, usize::MAX);
        let bytes = if broken {
            peer.writer().write_all(b"x").unwrap();
            let mut bytes = Vec::new();
            peer.write_tls(&mut bytes).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        } else {
            vec![23, 3, 3, 0xff, 0xff]
        };
        end.take(&bytes, usize::MAX);
        assert!(end.result.is_err() && !end.sends().is_empty());
        assert!(end.session.seal(&mut end.input, b"x", &mut end.output).is_err());
    }
}
