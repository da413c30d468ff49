//! TLS for tests: certificates made on the spot, and a client that speaks HTTP/1.1 over rustls.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use super::client::Response;

/// A certificate that signs itself.
pub struct Certificate {
    /// In DER.
    pub der: CertificateDer<'static>,
    /// In PEM, without the key.
    pub pem: String,
    /// Its key in PEM.
    pub key_pem: String,
    key_der: Vec<u8>,
}

impl Certificate {
    /// For these names, the first one being its common name too.
    pub fn new(names: &[&str]) -> Certificate {
        Certificate::with(names, |_| {})
    }
    /// The same, with parameters changed.
    pub fn with(names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> Certificate {
        let list: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(list).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, names[0]);
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        Certificate {
            der: made.der().clone(),
            pem: made.pem(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }
    /// The settings of a client that shows it.
    pub fn client_config(&self) -> ClientConfig {
        let key = PrivateKeyDer::try_from(self.key_der.clone()).unwrap();
        builder(rustls::ALL_VERSIONS).with_client_auth_cert(vec![self.der.clone()], key).unwrap()
    }
    /// Certificate and key in one text.
    pub fn both(&self) -> String {
        format!("{}{}", self.pem, self.key_pem)
    }
}

/// Takes any certificate; what it was is seen afterwards.
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
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}

fn builder(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
}

/// The settings of a client that takes any certificate.
pub fn client_config(versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    builder(versions).with_no_client_auth()
}

/// A TLS client.
pub struct SecureClient {
    /// Its session.
    pub session: ClientConnection,
    /// Its socket.
    pub socket: TcpStream,
    received: Vec<u8>,
    /// How many bytes a write to the socket has.
    step: usize,
}

impl SecureClient {
    /// Connects and shakes hands, asking for `name`; `step` bytes at a time.
    pub fn try_connect(
        address: SocketAddr,
        name: &str,
        config: Arc<ClientConfig>,
        step: usize,
    ) -> std::io::Result<SecureClient> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(config, name).unwrap();
        let mut client = SecureClient { session, socket, received: Vec::new(), step };
        while client.session.is_handshaking() {
            client.flush()?;
            if client.session.is_handshaking() {
                client.read_some()?;
            }
        }
        client.flush()?;
        Ok(client)
    }
    /// The same, which must work, with both versions.
    pub fn connect(address: SocketAddr, name: &str) -> SecureClient {
        let config = Arc::new(client_config(rustls::ALL_VERSIONS));
        SecureClient::try_connect(address, name, config, usize::MAX).unwrap()
    }
    /// Sends what the session has to say.
    pub fn flush(&mut self) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut bytes)?;
        }
        for piece in bytes.chunks(self.step.max(1)) {
            self.socket.write_all(piece)?;
        }
        Ok(())
    }
    /// Reads from the socket once and decrypts; false at its end.
    fn read_some(&mut self) -> std::io::Result<bool> {
        let mut bytes = vec![0; if self.step == 1 { 100 } else { 16384 }];
        let count = self.socket.read(&mut bytes)?;
        let mut rest = &bytes[..count];
        while !rest.is_empty() {
            self.session.read_tls(&mut rest)?;
            let taken = self.session.process_new_packets();
            self.take();
            if let Err(error) = taken {
                let _ = self.flush();
                return Err(std::io::Error::new(ErrorKind::InvalidData, error));
            }
        }
        if count == 0 && self.session.is_handshaking() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(count > 0)
    }
    /// Reads from the socket once; whether plaintext is there.
    pub fn step(&mut self) -> std::io::Result<bool> {
        self.read_some()?;
        Ok(!self.received.is_empty())
    }
    fn take(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = self.session.reader().read(&mut bytes) {
            self.received.extend_from_slice(&bytes[..count]);
        }
    }
    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        for piece in bytes.as_ref().chunks(16384) {
            self.session.writer().write_all(piece).unwrap();
            self.flush().unwrap();
        }
    }
    /// Reads so many bytes.
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.read_some().unwrap(), "it ended after {} of {count} bytes", self.received.len());
        }
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest)
    }
    /// Reads until the end; whether `close_notify` came before it.
    pub fn read_to_end(&mut self) -> (Vec<u8>, bool) {
        while self.read_some().unwrap_or(false) {}
        let told = matches!(self.session.reader().read(&mut [0]), Ok(0));
        (std::mem::take(&mut self.received), told)
    }
    /// Asks for a path and reads the answer, whose length must be told.
    pub fn get(&mut self, path: &str, header_lines: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n{header_lines}\r\n"));
        self.response()
    }
    /// Reads an answer, whose length must be told.
    pub fn response(&mut self) -> Response {
        let end = loop {
            match super::client::find(&self.received, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(self.read_some().unwrap(), "it ended within a head: {:?}", self.received),
            }
        };
        let head = String::from_utf8(self.read_exact(end)).unwrap();
        let length = super::client::header_values(&head, "content-length");
        let body = self.read_exact(length.first().map_or(0, |length| length.parse().unwrap()));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Response { status, head, body, truncated: false }
    }
    /// The certificate that the proxy showed.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.session.peer_certificates().unwrap()[0].clone().into_owned()
    }
    /// Ends our direction.
    pub fn finish_sending(&mut self) {
        self.session.send_close_notify();
        self.flush().unwrap();
        self.socket.shutdown(std::net::Shutdown::Write).unwrap();
    }
}
