//! Handshakes with certificates of versions 1 and 3, taken and refused.

use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig, ServerConfig, SupportedProtocolVersion};

use super::*;
use crate::tls::buffer::RecordBuffer;
use crate::tls::provider;
use crate::tls::session::{Failure, Received, Session};
use crate::tls::testing::{DAY, Spec, pkcs8};
use crate::tls::verify::{ErrorSet, Purpose, Trust};

/// Now, as rustls has it.
fn now() -> i64 {
    UnixTime::now().as_secs() as i64
}

/// Keys by number.
const ROOT: usize = 0;
const CLIENT: usize = 1;
const SERVER: usize = 2;

fn root() -> Spec {
    Spec::authority("Root", ROOT, "Root", ROOT).valid(now() - DAY, now() + DAY)
}
fn issued(name: &str, key: usize) -> Spec {
    Spec::new(name, key, "Root", ROOT).valid(now() - DAY, now() + DAY)
}
fn policy(purpose: Purpose, root: &[u8], ignored: ErrorSet) -> Policy {
    let root = Arc::new(Certificate::parse(root).expect("a root"));
    Policy {
        purpose,
        trust: Arc::new(Trust::new(vec![root], Vec::new())),
        ignored_of_leaf: ignored,
        ignored_of_authorities: ErrorSet::EMPTY,
    }
}
/// A certificate with its key.
fn certified(der: &[u8], key: usize) -> Arc<SingleCertAndKey> {
    let key = PrivateKeyDer::Pkcs8(pkcs8(key).into());
    let key = provider().key_provider.load_private_key(key).expect("a key");
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![CertificateDer::from(der.to_vec())], key)))
}

struct Ends {
    client: Session,
    server: Session,
    to_server: RecordBuffer,
    to_client: RecordBuffer,
    /// What each side's last check found.
    by_client: Option<Checked>,
    by_server: Option<Checked>,
}

/// A handshake to its end; the failure of the side that failed first.
fn shake(
    server: ServerConfig,
    client: ClientConfig,
    name: &'static str,
) -> Result<Ends, (Failure, Option<Checked>)> {
    take_last();
    let mut to_server = RecordBuffer::default();
    let name = ServerName::try_from(name).expect("a name");
    let client = Session::client(Arc::new(client), name, &mut to_server).expect("a session");
    let server = Session::server(Arc::new(server)).expect("a session");
    let mut ends = Ends {
        client,
        server,
        to_server,
        to_client: RecordBuffer::default(),
        by_client: None,
        by_server: None,
    };
    for _ in 0..4 {
        while ends
            .server
            .receive(&mut ends.to_server, &mut ends.to_client)
            .map_err(|error| (error, take_last()))?
            != Received::NeedsMore
        {}
        ends.by_server = take_last().or(ends.by_server);
        while ends
            .client
            .receive(&mut ends.to_client, &mut ends.to_server)
            .map_err(|error| (error, take_last()))?
            != Received::NeedsMore
        {}
        ends.by_client = take_last().or(ends.by_client);
    }
    assert!(!ends.client.is_handshaking() && !ends.server.is_handshaking());
    Ok(ends)
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Of a server that asks for certificates.
fn asking(verifier: ClientVerifier, version: &'static SupportedProtocolVersion) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(&[version]).expect("a version");
    let der = issued("localhost", SERVER).der();
    builder.with_client_cert_verifier(Arc::new(verifier)).with_cert_resolver(certified(&der, SERVER))
}
/// Of a client that trusts whomever, with a certificate or without.
fn showing(der: Option<&[u8]>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(&VERSIONS).expect("versions");
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(ServerVerifier::none()));
    match der {
        Some(der) => builder.with_client_cert_resolver(certified(der, CLIENT)),
        None => builder.with_no_client_auth(),
    }
}

#[test]
fn clients() {
    let root_der = root().der();
    let verifier = |is_required, ignored| {
        let policy = policy(Purpose::Client, &root_der, ignored);
        let named = policy.trust.certificates().to_vec();
        ClientVerifier::new(policy, is_required, &named)
    };
    let expiry = ErrorSet::EMPTY.with(VerifyError::CERT_HAS_EXPIRED);
    let sound = issued("client", CLIENT);
    let expired = sound.clone().valid(now() - 2 * DAY, now() - DAY);
    for version in VERSIONS {
        for spec in [sound.clone(), sound.clone().old()] {
            let der = spec.der();
            let ends =
                shake(asking(verifier(true, ErrorSet::EMPTY), version), showing(Some(&der)), "localhost");
            let ends = ends.map_err(|(error, _)| error).expect("a handshake");
            assert_eq!(ends.server.peer_certificates()[0].as_ref(), &der[..]);
            let checked = ends.by_server.expect("a check");
            assert!(checked.verdict.last.is_none() && checked.refused.is_empty());
            assert_eq!(checked.verdict.top.as_ref().expect("a root").der(), &root_der[..]);
        }
        // Expired: refused, or let through and remembered; told again later from what rustls keeps.
        let der = expired.der();
        let (error, checked) =
            shake(asking(verifier(true, ErrorSet::EMPTY), version), showing(Some(&der)), "localhost")
                .map(|_| ())
                .expect_err("refused");
        assert_eq!(error.error(), &Error::InvalidCertificate(CertificateError::Expired));
        let checked = checked.expect("a check");
        assert_eq!(checked.verdict.refused, Some(Fault { error: VerifyError::CERT_HAS_EXPIRED, depth: 0 }));
        assert_eq!(checked.refused[0].as_ref(), &der[..]);
        let ends = shake(asking(verifier(true, expiry), version), showing(Some(&der)), "localhost");
        let ends = ends.map_err(|(error, _)| error).expect("a handshake");
        let found = ends.by_server.expect("a check").verdict;
        assert_eq!((found.refused, found.leaf_error), (None, Some(VerifyError::CERT_HAS_EXPIRED)));
        let again = verifier(true, expiry).judge(ends.server.peer_certificates(), now()).expect("a verdict");
        assert_eq!(again.last, Some(VerifyError::CERT_HAS_EXPIRED));
        // None at all: taken if it is optional.
        let ends = shake(asking(verifier(false, ErrorSet::EMPTY), version), showing(None), "localhost");
        let ends = ends.map_err(|(error, _)| error).expect("a handshake");
        assert!(ends.server.peer_certificates().is_empty() && ends.by_server.is_none());
        assert!(verifier(false, ErrorSet::EMPTY).judge(&[], now()).is_none());
        let (error, checked) =
            shake(asking(verifier(true, ErrorSet::EMPTY), version), showing(None), "localhost")
                .map(|_| ())
                .expect_err("refused");
        assert!(checked.is_none(), "{error}");
        // A certificate with another's key.
        let foreign = issued("client", SERVER).der();
        let (error, _) =
            shake(asking(verifier(true, ErrorSet::EMPTY), version), showing(Some(&foreign)), "localhost")
                .map(|_| ())
                .expect_err("refused");
        assert_eq!(error.error(), &Error::InvalidCertificate(CertificateError::BadSignature));
    }
}

#[test]
fn servers() {
    let root_der = root().der();
    let shows = |der: &[u8], version| {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_protocol_versions(&[version]).expect("a version");
        builder.with_no_client_auth().with_cert_resolver(certified(der, SERVER))
    };
    let checks = |verifier: ServerVerifier| {
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_protocol_versions(&VERSIONS).expect("versions");
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
    };
    let required =
        |host, sni| ServerVerifier::required(policy(Purpose::Server, &root_der, ErrorSet::EMPTY), host, sni);
    let named = issued("ignored.example", SERVER).names(&[(0x82, b"a.example")]).der();
    let common = issued("a.example", SERVER).der();
    let selfish =
        Spec::new("a.example", SERVER, "a.example", SERVER).valid(now() - DAY, now() + DAY).old().der();
    let wrong_name = Some(CertificateError::NotValidForName);
    for version in VERSIONS {
        for (der, verifier, name, expected) in [
            (&named, required(None, true), "a.example", None),
            (&named, required(None, true), "b.example", wrong_name.clone()),
            (&named, required(None, false), "b.example", None),
            (&named, required(Some("a.example"), false), "b.example", None),
            (&named, required(Some("a.example"), false), "192.0.2.1", None),
            (&named, required(Some("b.example"), false), "a.example", wrong_name.clone()),
            (&named, required(Some("b.example"), true), "a.example", None),
            (&named, required(Some("ignored.example"), false), "192.0.2.1", wrong_name.clone()),
            (&common, required(Some("a.example"), false), "192.0.2.1", None),
            (&selfish, required(None, false), "a.example", Some(CertificateError::UnknownIssuer)),
            (&selfish, ServerVerifier::none(), "a.example", None),
        ] {
            let found = shake(shows(der, version), checks(verifier), name);
            match (found.map(|ends| ends.by_client), expected) {
                (Ok(checked), None) => {
                    assert!(checked.is_none_or(|checked| checked.verdict.refused.is_none()))
                }
                (Err((error, checked)), Some(expected)) => {
                    let is_name = expected == CertificateError::NotValidForName;
                    assert_eq!(error.error(), &Error::InvalidCertificate(expected));
                    let refused = checked.expect("a check").verdict.refused.expect("a fault");
                    assert_eq!(refused.error == VerifyError::HOSTNAME_MISMATCH, is_name);
                }
                (found, expected) => panic!("{name}: {found:?}, not {expected:?}"),
            }
        }
        // 'verify none' takes any certificate, but not with another's key.
        let foreign = issued("a.example", CLIENT).der();
        let found = shake(shows(&foreign, version), checks(ServerVerifier::none()), "a.example").map(|_| ());
        let (error, _) = found.expect_err("refused");
        assert_eq!(error.error(), &Error::InvalidCertificate(CertificateError::BadSignature));
        assert_eq!(error.alert(), None::<AlertDescription>);
    }
}

#[test]
fn names_of_authorities() {
    let root = Arc::new(Certificate::parse(&root().der()).expect("a root"));
    let policy = || policy(Purpose::Client, root.der(), ErrorSet::EMPTY);
    let twice = ClientVerifier::new(policy(), true, &[Arc::clone(&root), Arc::clone(&root)]);
    assert_eq!(twice.root_hint_subjects().len(), 1);
    assert_eq!(twice.root_hint_subjects()[0].as_ref(), root.subject());
    let many: Vec<_> = (0..2000)
        .map(|at| {
            Arc::new(
                Certificate::parse(&Spec::new(&format!("A long name {at}"), 0, "x", 0).der()).expect("a CA"),
            )
        })
        .collect();
    assert!(ClientVerifier::new(policy(), true, &many).root_hint_subjects().is_empty());
}
