//! TLS as decisions about bytes: sessions, certificates, ciphers, chains. No socket and no file is touched here.
//!
//! [`session`] is the one module that names rustls' connections: it takes the bytes that a socket gave and
//! tells what they were, and seals what is to be sent. `net` moves the bytes, so that a data thread, a health
//! check and a test drive the same session. What is chosen before a session exists (which certificate and
//! which settings answer a client's hello) is chosen from our own reading of the hello, since rustls'
//! unbuffered connections start with their configuration.
//!
//! The module stands high in the house, unlike what does the sending: the configuration is checked against
//! certificates, and fetches read facts of sessions and certificates.
//!
//! Two providers of cryptography would be one too many: everything asks [`provider`].
#![forbid(unsafe_code)]

pub mod buffer;
pub mod certificate;
pub mod ciphers;
pub mod connection;
pub mod connector;
pub mod counters;
pub mod crl;
pub mod der;
pub mod facts;
pub mod jws;
pub mod material;
pub mod name;
pub mod ocsp;
pub mod options;
pub mod pem;
pub mod selection;
pub mod session;
pub mod sessions;
pub mod store;
pub mod suites;
pub mod terminator;
pub mod tickets;
pub mod verify;

#[cfg(test)]
pub(crate) mod testing;

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

/// The provider of all cryptography in TLS: AWS-LC, with every suite and group that it has.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}
