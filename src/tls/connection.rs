//! What a connection shows of its TLS, for fetches and logs, under the names that OpenSSL has for it.

use std::sync::Arc;

use super::counters::Counted;
use super::material::Material;
use super::session::Agreed;
use super::suites;
use super::verify::{Verdict, VerifyError};

/// Facts of one side's TLS.
#[derive(Debug)]
pub struct TlsFacts {
    /// What both sides agreed on.
    pub agreed: Agreed,
    /// The server name that the client told.
    pub name: Option<Box<[u8]>>,
    /// The certificate that was shown to the peer, if one was.
    pub shown: Option<Arc<Material>>,
    /// The certificates of the peer in DER, its own first.
    pub peer: Box<[Box<[u8]>]>,
    /// What verifying them came to, if they were verified.
    pub checked: Option<Checked>,
    /// Its place in the count of connections.
    pub counted: Counted,
}

/// What verifying the peer's certificates came to, in OpenSSL's numbers; 0 where nothing was wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// `ssl_c_verify`
    pub result: u8,
    /// `ssl_c_err`
    pub leaf_error: u8,
    /// `ssl_c_ca_err`
    pub authority_error: u8,
    /// `ssl_c_ca_err_depth`
    pub authority_depth: u8,
    /// The subject of the root, in DER (`ssl_c_r_dn`).
    pub root: Option<Box<[u8]>>,
}

impl Checked {
    /// What a verdict says.
    pub fn of(verdict: &Verdict) -> Checked {
        let number = |error: Option<VerifyError>| error.map_or(0, VerifyError::number);
        Checked {
            result: number(verdict.last),
            leaf_error: number(verdict.leaf_error),
            authority_error: number(verdict.authority_error.map(|fault| fault.error)),
            authority_depth: verdict.authority_error.map_or(0, |fault| fault.depth),
            root: verdict.top.as_ref().map(|top| top.subject().into()),
        }
    }
}

impl TlsFacts {
    /// The version (`TLSv1.3`).
    pub fn version(&self) -> &'static str {
        suites::version_name(self.agreed.version).unwrap_or("unknown")
    }
    /// OpenSSL's name of the cipher suite.
    pub fn suite(&self) -> &'static str {
        suites::suite_name(self.agreed.suite).unwrap_or("(NONE)")
    }
    /// The bits of the symmetric key.
    pub fn key_bits(&self) -> u32 {
        suites::key_bits(self.agreed.suite)
    }
    /// The name of the group of the key exchange.
    pub fn group(&self) -> Option<&'static str> {
        suites::group_name(self.agreed.group?)
    }
}
