//! What a `server ... ssl` line is reached with: settings, our certificate, sessions to resume.
//!
//! Sessions are kept per core and server, so that no core waits for another, and per name that was asked for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue,
    Tls12Resumption, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, NamedGroup, SignatureScheme};

use super::buffer::RecordBuffer;
use super::material::Material;
use super::options::{Options, WITH_SERVERS};
use super::session::{Failure, Session};
use super::terminator::versions;
use super::verify::Policy;
use super::verify::verifier::ServerVerifier;
use crate::base::core_id;

/// Names whose sessions a core keeps for one server.
const NAMES_PER_CORE: usize = 32;

/// The settings of a server's line.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Versions, suites, protocols.
    pub options: Options,
    /// Whether the server's certificate is verified, and how.
    pub verification: Verification,
    /// `crt`: what is shown to a server that asks for a certificate.
    pub certificate: Option<Arc<Material>>,
    /// `no-ssl-reuse`: every handshake is a full one.
    pub never_resumes: bool,
    /// `no-tls-tickets`
    pub no_tickets: bool,
    /// HTTP is spoken to the server: of the protocols in `alpn`, only those are offered that are spoken.
    pub is_http: bool,
    /// How many cores there are.
    pub cores: usize,
}

/// How a server's certificate is verified.
#[derive(Clone, Debug, Default)]
pub enum Verification {
    /// `verify none`: the server proves that it has the key of its certificate, whosever that is.
    #[default]
    None,
    /// `verify required`: by this policy, for the name that was asked for, else for the given one (`verifyhost`).
    Required(Policy, Option<Arc<str>>),
}

/// Sessions of one server.
#[derive(Debug)]
struct PerCore(Vec<ClientSessionMemoryCache>);

impl PerCore {
    fn own(&self) -> Option<&ClientSessionMemoryCache> {
        // The control thread, whose checks come here too, is number 0.
        self.0.get(core_id::current())
    }
}

impl ClientSessionStore for PerCore {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        if let Some(own) = self.own() {
            own.set_kx_hint(name, group);
        }
    }
    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.own()?.kx_hint(name)
    }
    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if let Some(own) = self.own() {
            own.set_tls12_session(name, value);
        }
    }
    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.own()?.tls12_session(name)
    }
    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        if let Some(own) = self.own() {
            own.remove_tls12_session(name);
        }
    }
    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        if let Some(own) = self.own() {
            own.insert_tls13_ticket(name, value);
        }
    }
    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.own()?.take_tls13_ticket(name)
    }
}

/// Our certificate, whatever authorities the server names: so does OpenSSL.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// See the module.
pub struct Connector {
    current: ArcSwap<Current>,
    settings: Settings,
}

struct Current {
    config: Arc<ClientConfig>,
    /// The same for connections without a server name.
    nameless: Arc<ClientConfig>,
    certificate: Option<Arc<Material>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// What the settings make.
    ///
    /// # Errors
    /// Settings that cannot be, in words.
    pub fn new(settings: Settings) -> Result<Connector, String> {
        let current = ArcSwap::from_pointee(Current::build(&settings)?);
        Ok(Connector { current, settings })
    }

    /// Whether the authorities of this file are named, whether or not anything is verified.
    pub fn trusts(&self, name: &str) -> bool {
        self.settings.options.authorities.as_deref() == Some(name)
    }
    /// Whether servers are shown the certificate of this name.
    pub fn shows(&self, name: &str) -> bool {
        self.current.load().certificate.as_ref().is_some_and(|shown| *shown.name == *name)
    }
    /// Takes a certificate in the place of the one of its name, if that is shown; sessions begin anew then.
    pub fn renew(&self, material: &Arc<Material>) {
        if !self.shows(&material.name) {
            return;
        }
        let settings = Settings { certificate: Some(material.clone()), ..self.settings.clone() };
        // The settings made one before, and only the certificate is another.
        if let Ok(current) = Current::build(&settings) {
            self.current.store(Arc::new(current));
        }
    }

    /// A session that asks for `name`, or for none if that is no host name; its hello is put into `output`.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn session(&self, name: Option<&[u8]>, output: &mut RecordBuffer) -> Result<Session, Failure> {
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        let host = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let current = self.current.load();
        match host {
            Some(name @ ServerName::DnsName(_)) => Session::client(current.config.clone(), name, output),
            address => {
                let nobody = || ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED));
                Session::client(current.nameless.clone(), address.unwrap_or_else(nobody), output)
            }
        }
    }
}

impl Current {
    fn build(settings: &Settings) -> Result<Current, String> {
        let options = &settings.options;
        let provider = super::terminator::provider(options)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(options)?)
            .map_err(|error| error.to_string())?;
        let verifier = |uses_name| match &settings.verification {
            Verification::None => Arc::new(ServerVerifier::none()),
            Verification::Required(policy, host) => {
                Arc::new(ServerVerifier::required(policy.clone(), host.as_deref(), uses_name))
            }
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier(true));
        let mut config = match &settings.certificate {
            Some(material) => builder.with_client_cert_resolver(Arc::new(Always(material.certified.clone()))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = options.offered(settings.is_http.then_some(WITH_SERVERS), &[]);
        config.resumption = match settings.never_resumes {
            true => Resumption::disabled(),
            false => {
                let caches = (0..=settings.cores).map(|_| ClientSessionMemoryCache::new(NAMES_PER_CORE));
                Resumption::store(Arc::new(PerCore(caches.collect()))).tls12_resumption(
                    match settings.no_tickets {
                        true => Tls12Resumption::SessionIdOnly,
                        false => Tls12Resumption::SessionIdOrTickets,
                    },
                )
            }
        };
        let mut nameless = config.clone();
        nameless.enable_sni = false;
        nameless.dangerous().set_certificate_verifier(verifier(false));
        Ok(Current {
            config: Arc::new(config),
            nameless: Arc::new(nameless),
            certificate: settings.certificate.clone(),
        })
    }
}
