//! The checker as rustls asks for it: of clients' certificates on a bind line, of servers' certificates.
//!
//! rustls' interface has no room for what fetches and logs want to know. So a check leaves its result with
//! the thread, where the driver of the session takes it at once ([`take_last`]); what is to be told of a
//! session later, be it resumed, is found again from the certificates that rustls keeps
//! ([`ClientVerifier::judge`]).

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme,
};

use super::cache::check_cached;
use super::{Fault, Policy, Verdict, VerifyError, host, signature};
use crate::tls::certificate::Certificate;
use crate::tls::der::Reader;

/// Bytes of CA names sent to clients; TLS 1.2 has room for 64 KiB.
const HINTS_MAX: usize = 32 * 1024;

/// What the last check of a peer's certificates on this thread found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was found.
    pub verdict: Rc<Verdict>,
    /// The certificates, if they were refused: rustls then keeps none, and the log may ask for their facts.
    pub refused: Vec<CertificateDer<'static>>,
}

thread_local! {
    static LAST: RefCell<Option<Checked>> = const { RefCell::new(None) };
}

/// The result of the last check on this thread, once. To be taken right after the session was given bytes;
/// nothing is there if these bytes led to no check.
pub fn take_last() -> Option<Checked> {
    LAST.with(|last| last.borrow_mut().take())
}

fn leave(verdict: &Rc<Verdict>, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) {
    let owned = |der: &CertificateDer<'_>| der.clone().into_owned();
    let refused = match verdict.refused {
        Some(_) => std::iter::once(leaf).chain(others).map(owned).collect(),
        None => Vec::new(),
    };
    LAST.with(|last| *last.borrow_mut() = Some(Checked { verdict: Rc::clone(verdict), refused }));
}

/// A number for each policy, so that verdicts of one are none of another.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn judge(number: u64, policy: &Policy, chain: (&[u8], &[CertificateDer<'_>]), now: i64) -> Rc<Verdict> {
    let others: Vec<&[u8]> = chain.1.iter().map(AsRef::as_ref).collect();
    check_cached(number, policy, chain.0, &others, now)
}

/// The error with which rustls tells the peer by OpenSSL's choice of alerts, as near as rustls has it.
fn as_rustls(fault: Fault) -> Error {
    let error = match fault.error {
        VerifyError::CERT_HAS_EXPIRED | VerifyError::CRL_HAS_EXPIRED => CertificateError::Expired,
        VerifyError::CERT_NOT_YET_VALID | VerifyError::CRL_NOT_YET_VALID => CertificateError::NotValidYet,
        VerifyError::CERT_REVOKED => CertificateError::Revoked,
        VerifyError::UNABLE_TO_GET_ISSUER_CERT
        | VerifyError::UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        | VerifyError::UNABLE_TO_VERIFY_LEAF_SIGNATURE
        | VerifyError::DEPTH_ZERO_SELF_SIGNED_CERT
        | VerifyError::SELF_SIGNED_CERT_IN_CHAIN
        | VerifyError::CERT_CHAIN_TOO_LONG
        | VerifyError::PATH_LENGTH_EXCEEDED
        | VerifyError::INVALID_CA => CertificateError::UnknownIssuer,
        VerifyError::UNABLE_TO_GET_CRL => CertificateError::UnknownRevocationStatus,
        VerifyError::CERT_SIGNATURE_FAILURE | VerifyError::CRL_SIGNATURE_FAILURE => {
            CertificateError::BadSignature
        }
        VerifyError::INVALID_PURPOSE => CertificateError::InvalidPurpose,
        VerifyError::UNHANDLED_CRITICAL_EXTENSION => CertificateError::UnhandledCriticalExtension,
        VerifyError::HOSTNAME_MISMATCH | VerifyError::IP_ADDRESS_MISMATCH => {
            CertificateError::NotValidForName
        }
        _ => CertificateError::BadEncoding,
    };
    error.into()
}

/// The handshake's signature, by the key of a certificate of any version.
fn check_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    is_13: bool,
) -> Result<HandshakeSignatureValid, Error> {
    let certificate = Certificate::parse(certificate).map_err(|_| CertificateError::BadEncoding)?;
    if !signature::algorithms().mapping.iter().any(|(scheme, _)| *scheme == signed.scheme) {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    let key = certificate.public_key_info();
    if signature::check_handshake(key, signed.scheme, message, signed.signature(), is_13) {
        return Ok(HandshakeSignatureValid::assertion());
    }
    Err(CertificateError::BadSignature.into())
}

/// The methods that both traits have.
macro_rules! handshakes {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            check_handshake(message, cert, dss, false)
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            check_handshake(message, cert, dss, true)
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            signature::algorithms().supported_schemes()
        }
    };
}

/// `verify optional` and `verify required` of a bind line.
pub struct ClientVerifier {
    number: u64,
    policy: Policy,
    is_required: bool,
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    /// With the names of these CAs sent to clients, so that they find a fitting certificate: those of `ca-file`,
    /// or none at all with `no-ca-names`.
    pub fn new(policy: Policy, is_required: bool, named: &[Arc<Certificate>]) -> ClientVerifier {
        let mut left = HINTS_MAX;
        let mut hints: Vec<DistinguishedName> = Vec::new();
        for certificate in named {
            let contents = Reader::new(certificate.subject()).element().map_or(&[][..], |name| name.contents);
            let hint = DistinguishedName::in_sequence(contents);
            if hints.iter().any(|known| known.as_ref() == hint.as_ref()) {
                continue;
            }
            // More than fit are too many for clients to choose by: none are sent.
            let Some(rest) = left.checked_sub(hint.as_ref().len() + 2) else {
                hints.clear();
                break;
            };
            left = rest;
            hints.push(hint);
        }
        ClientVerifier { number: next_number(), policy, is_required, hints }
    }
    /// How chains are judged.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
    /// What a session's certificates (its own first) are worth now; from the thread's cache if it can be.
    /// Nothing if the client showed none.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: i64) -> Option<Rc<Verdict>> {
        let (leaf, others) = chain.split_first()?;
        Some(judge(self.number, &self.policy, (leaf, others), now))
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = judge(self.number, &self.policy, (end_entity, intermediates), now.as_secs() as i64);
        leave(&verdict, end_entity, intermediates);
        match verdict.refused {
            Some(fault) => Err(as_rustls(fault)),
            None => Ok(ClientCertVerified::assertion()),
        }
    }
    handshakes!();
}

/// `verify required` of a server line, or `verify none`.
pub struct ServerVerifier {
    number: u64,
    /// Nothing with `verify none`.
    policy: Option<Policy>,
    host: Option<Box<str>>,
    uses_sni: bool,
}

impl ServerVerifier {
    /// `verify none`: any certificate will do, but the server must have its key.
    pub fn none() -> ServerVerifier {
        ServerVerifier { number: 0, policy: None, host: None, uses_sni: false }
    }
    /// `verify required`. The certificate must be for the name sent as SNI, if one is sent (`uses_sni`: rustls'
    /// name of the server is that one), else for `verifyhost` if that is set. Otherwise its names do not matter.
    pub fn required(policy: Policy, verify_host: Option<&str>, uses_sni: bool) -> ServerVerifier {
        ServerVerifier {
            number: next_number(),
            policy: Some(policy),
            host: verify_host.map(Into::into),
            uses_sni,
        }
    }
    /// Whether the certificate must be for a name and is not.
    fn is_of_another(&self, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
        let host = match name {
            ServerName::DnsName(name) if self.uses_sni => Some(name.as_ref()),
            _ => self.host.as_deref(),
        };
        host.is_some_and(|host| !Certificate::parse(leaf).is_ok_and(|leaf| host::is_for(&leaf, host)))
    }
}

impl fmt::Debug for ServerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("ServerVerifier");
        f.field("policy", &self.policy).field("host", &self.host).field("uses_sni", &self.uses_sni).finish()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(policy) = &self.policy else { return Ok(ServerCertVerified::assertion()) };
        let mut verdict = judge(self.number, policy, (end_entity, intermediates), now.as_secs() as i64);
        if verdict.refused.is_none() && self.is_of_another(end_entity, server_name) {
            let error = VerifyError::HOSTNAME_MISMATCH;
            let refused = Some(Fault { error, depth: 0 });
            let with_name =
                Verdict { refused, last: Some(error), leaf_error: Some(error), ..(*verdict).clone() };
            verdict = Rc::new(with_name);
        }
        leave(&verdict, end_entity, intermediates);
        match verdict.refused {
            Some(fault) => Err(as_rustls(fault)),
            None => Ok(ServerCertVerified::assertion()),
        }
    }
    handshakes!();
}

#[cfg(test)]
mod tests;
