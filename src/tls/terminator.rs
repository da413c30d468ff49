//! What a `bind ... ssl` line answers clients with: certificates, each with its settings, and the choice among
//! them.
//!
//! A handshake reads the current selection and keeps what it found; a certificate that is replaced while running
//! is a new selection. So new handshakes see a change at once and old sessions never do.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello as RustlsHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme, SupportedProtocolVersion};

use super::ciphers;
use super::material::Material;
use super::options::{Options, Version, WITH_CLIENTS};
use super::selection::{Found, Names, Selection};
use super::sessions::Sessions;
use super::tickets::{TicketKeys, Tickets};
use super::verify::verifier::ClientVerifier;
use crate::wire::client_hello::{ClientHello, Extension};

/// How long a session can be resumed (`tune.ssl.lifetime`), in seconds, unless it is set.
pub const LIFETIME_S: u32 = 300;
/// How many sessions are kept for clients that resume by id (`tune.ssl.cachesize`), unless it is set.
pub const SESSIONS: usize = 20_000;

/// A certificate of a line and what holds for it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The certificate.
    pub material: Arc<Material>,
    /// The names it is for, if the certificate does not say that itself.
    pub filters: Option<Names>,
    /// The settings of its own, over those of the line.
    pub options: Options,
    /// It serves clients that ask for nothing known (`default-crt`).
    pub is_default: bool,
    /// How clients' certificates are verified, if they are.
    pub verifier: Option<Arc<ClientVerifier>>,
}

/// What a line says once for all its certificates.
#[derive(Clone, Debug)]
pub struct Line {
    /// The settings of entries that have none of their own.
    pub options: Options,
    /// `strict-sni`: clients that ask for nothing known are refused.
    pub strict: bool,
    /// `no-tls-tickets`.
    pub tickets: bool,
    /// `prefer-client-ciphers`.
    pub prefers_client: bool,
    /// HTTP is spoken, so that it is offered where nothing is said about protocols.
    pub is_http: bool,
    /// `tune.ssl.lifetime`, in seconds.
    pub lifetime_s: u32,
    /// `tune.ssl.cachesize`.
    pub sessions_max: usize,
    /// `tls-ticket-keys`; random ones otherwise.
    pub ticket_keys: Option<Arc<TicketKeys>>,
}

/// A candidate: a certificate with its settings, ready to be used.
#[derive(Clone)]
struct Candidate {
    material: Arc<Material>,
    config: Arc<ServerConfig>,
    verifier: Option<Arc<ClientVerifier>>,
}

struct Current {
    selection: Selection,
    candidates: Vec<Candidate>,
    entries: Vec<Entry>,
}

/// The settings that a client is answered with.
#[derive(Clone)]
pub struct Chosen {
    /// The certificate.
    pub material: Arc<Material>,
    /// For [`super::session::Session::server`].
    pub config: Arc<ServerConfig>,
    /// How the client's certificate is verified, if it is.
    pub verifier: Option<Arc<ClientVerifier>>,
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen").field("material", &self.material).finish_non_exhaustive()
    }
}

/// Why a client is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name that it asks for is not served here (`strict-sni`).
    UnknownName,
}

impl Refusal {
    /// The alert that tells the client, as a record.
    pub fn alert(self) -> [u8; 7] {
        const FATAL: u8 = 2;
        const UNRECOGNIZED_NAME: u8 = 112;
        [21, 3, 3, 0, 2, FATAL, UNRECOGNIZED_NAME]
    }
    /// In words.
    pub fn words(self) -> &'static str {
        "no certificate for the name that the client asked for"
    }
}

/// See the module.
pub struct Terminator {
    line: Line,
    keys: Arc<TicketKeys>,
    current: ArcSwap<Current>,
}

impl fmt::Debug for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminator").field("entries", &self.current.load().entries).finish_non_exhaustive()
    }
}

/// One certificate, whatever the client says: the choice was made before.
#[derive(Debug)]
struct Single(Arc<CertifiedKey>);

impl ResolvesServerCert for Single {
    fn resolve(&self, _: RustlsHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Terminator {
    /// A line with these certificates.
    ///
    /// # Errors
    /// Settings that cannot be, in words.
    pub fn new(line: Line, entries: Vec<Entry>) -> Result<Terminator, String> {
        let keys = line.ticket_keys.clone().unwrap_or_else(|| Arc::new(TicketKeys::random()));
        let current = Current::build(&line, &keys, entries)?;
        Ok(Terminator { line, keys, current: ArcSwap::from_pointee(current) })
    }
    /// Its certificates in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.current.load().entries.clone()
    }
    /// Replaces its certificates.
    ///
    /// # Errors
    /// Settings that cannot be; nothing has changed then.
    pub fn replace(&self, entries: Vec<Entry>) -> Result<(), String> {
        let current = Current::build(&self.line, &self.keys, entries)?;
        self.current.store(Arc::new(current));
        Ok(())
    }
    /// Its settings.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// What a client is answered with.
    ///
    /// # Errors
    /// It is to be refused.
    pub fn choose(&self, hello: &ClientHello<'_>) -> Result<Chosen, Refusal> {
        let name = hello.server_name().map(|place| hello.bytes(place));
        let schemes = hello.numbers(Extension::SignatureAlgorithms).map(|place| hello.bytes(place));
        let schemes: Vec<SignatureScheme> = schemes
            .unwrap_or(Cow::Borrowed(&[]))
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]).into())
            .collect();
        let current = self.current.load();
        let place = match current.selection.find(name.as_deref(), &schemes) {
            Found::Named(place) => place,
            // A client that asks for no name is refused as well (manual, section 5.1 `strict-sni`).
            Found::Default(place) if !self.line.strict || current.has_explicit_default() => place,
            Found::Default(_) | Found::Nothing => return Err(Refusal::UnknownName),
        };
        let Candidate { material, config, verifier } = current.candidates[place as usize].clone();
        Ok(Chosen { material, config: without_strange_protocols(config, hello), verifier })
    }
}

/// The configuration without protocols if the client knows none of them: the session goes on without any, as
/// OpenSSL's does, where rustls would refuse it.
fn without_strange_protocols(config: Arc<ServerConfig>, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
    let (mut offers, mut common) = (false, false);
    hello.protocols(|place| {
        offers = true;
        common = config.alpn_protocols.iter().any(|ours| **ours == *hello.bytes(place.clone()));
        common
    });
    if !offers || common || config.alpn_protocols.is_empty() {
        return config;
    }
    let mut without = (*config).clone();
    without.alpn_protocols.clear();
    Arc::new(without)
}

impl Current {
    fn build(line: &Line, keys: &Arc<TicketKeys>, entries: Vec<Entry>) -> Result<Current, String> {
        let mut selection = Selection::default();
        let mut candidates = Vec::with_capacity(entries.len());
        let mut configs: HashMap<Options, ServerConfig> = HashMap::new();
        for entry in &entries {
            let options = entry.options.over(&line.options);
            let base = match configs.get(&options) {
                Some(base) => base.clone(),
                None => {
                    let base = base_config(line, &options, keys, entry.verifier.as_ref())?;
                    configs.insert(options.clone(), base.clone());
                    base
                }
            };
            let mut config = base;
            config.cert_resolver = Arc::new(Single(entry.material.certified.clone()));
            let own = Names { wanted: entry.material.names.clone(), excluded: Vec::new() };
            let place = selection.add(entry.material.kind, entry.filters.as_ref().unwrap_or(&own));
            if entry.is_default {
                selection.add_default(place);
            }
            let (material, verifier) = (entry.material.clone(), entry.verifier.clone());
            candidates.push(Candidate { material, config: Arc::new(config), verifier });
        }
        if !selection.has_default() && !candidates.is_empty() && !line.strict {
            // The first certificate, and those that differ from it in the kind of their key only.
            let first = base_name(&entries[0].material.name).to_owned();
            for (place, entry) in entries.iter().enumerate() {
                if place == 0 || (base_name(&entry.material.name) == first && first != *entry.material.name) {
                    selection.add_default(place as u32);
                }
            }
        }
        Ok(Current { selection, candidates, entries })
    }
    fn has_explicit_default(&self) -> bool {
        self.entries.iter().any(|entry| {
            entry.is_default
                || entry.filters.as_ref().is_some_and(|names| names.wanted.iter().any(|name| &**name == "*"))
        })
    }
}

/// The name of a bundle without the kind of the key.
fn base_name(name: &str) -> &str {
    [".rsa", ".ecdsa", ".dsa"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// The versions that options allow, for rustls.
pub(super) fn versions(options: &Options) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let versions: Vec<_> = options
        .versions()
        .into_iter()
        .map(|version| match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        })
        .collect();
    if versions.is_empty() {
        return Err("no version of TLS is left between the oldest and the newest one".to_owned());
    }
    Ok(versions)
}

/// The cryptography that options leave.
pub(super) fn provider(options: &Options) -> Result<Arc<CryptoProvider>, String> {
    if options.ciphers.is_none() && options.suites.is_none() && options.curves.is_none() {
        return Ok(super::provider().clone());
    }
    let mut provider = CryptoProvider::clone(super::provider());
    if options.ciphers.is_some() || options.suites.is_some() {
        let known = std::mem::take(&mut provider.cipher_suites);
        let (new, old): (Vec<_>, Vec<_>) = known.into_iter().partition(|suite| suite.tls13().is_some());
        provider.cipher_suites = match &options.suites {
            Some(text) => {
                ciphers::ciphersuites(text).map_err(|error| format!("'ciphersuites' : {error}"))?.chosen
            }
            None => new,
        };
        provider.cipher_suites.extend(match &options.ciphers {
            Some(text) => ciphers::ciphers(text).map_err(|error| format!("'ciphers' : {error}"))?.chosen,
            None => old,
        });
    }
    if let Some(text) = &options.curves {
        provider.kx_groups = ciphers::curves(text).map_err(|error| format!("'curves' : {error}"))?.chosen;
    }
    Ok(Arc::new(provider))
}

/// A configuration without a certificate.
fn base_config(
    line: &Line,
    options: &Options,
    keys: &Arc<TicketKeys>,
    verifier: Option<&Arc<ClientVerifier>>,
) -> Result<ServerConfig, String> {
    let provider = provider(options)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(options)?)
        .map_err(|error| error.to_string())?;
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
    };
    let mut config = builder.with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    let default: &[&[u8]] = if line.is_http { &[b"h2", b"http/1.1"] } else { &[] };
    config.alpn_protocols = options.offered(line.is_http.then_some(WITH_CLIENTS), default);
    config.ignore_client_order = !line.prefers_client;
    config.send_tls13_tickets = 2;
    if line.tickets {
        let (keys, policy) = (keys.clone(), policy(options));
        config.ticketer = Arc::new(Tickets { keys, policy, lifetime_s: line.lifetime_s });
    }
    // A client that knows no tickets resumes by id.
    config.session_storage = match line.sessions_max {
        0 => Arc::new(NoServerSessionStorage {}),
        most => Arc::new(Sessions::new(most, line.lifetime_s)),
    };
    Ok(config)
}

/// What a session has proved once it stands: a session of another policy must not be resumed as one of this.
fn policy(options: &Options) -> [u8; 32] {
    let proved = format!(
        "{:?} {:?} {:?} {:?}",
        options.verify, options.authorities, options.more_authorities, options.revoked
    );
    let digest = digest::digest(&digest::SHA256, proved.as_bytes());
    let mut policy = [0; 32];
    policy.copy_from_slice(digest.as_ref());
    policy
}

#[cfg(test)]
mod tests;
