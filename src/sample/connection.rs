//! What a connection itself shows, apart from what its session makes of it: its own addresses once
//! they differ, what came in a PROXY protocol header, and what went wrong.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::tls::connection::TlsFacts;
use crate::wire::proxy_protocol::{Fields, Mistake};

/// Facts of a client connection that most connections do without: they are boxed, so that an idle
/// one pays a pointer for them.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFacts {
    /// The peer's address (`fc_src`); only `tcp-request connection` rules change it.
    pub source: Option<SocketAddr>,
    /// The address that the peer connected to (`fc_dst`).
    pub destination: Option<SocketAddr>,
    /// The fields of the PROXY protocol header it began with, if it did.
    pub proxy_header: Option<Box<[u8]>>,
    /// Why it failed.
    pub error: ConnectionError,
    /// What TLS says of that, in words.
    pub failure: Option<Box<str>>,
    /// Its TLS, if it has one.
    pub tls: Option<Arc<TlsFacts>>,
}

impl ConnectionFacts {
    /// The fields of its PROXY protocol header; none without one.
    pub fn proxy_fields(&self) -> Fields<'_> {
        Fields::new(self.proxy_header.as_deref().unwrap_or_default())
    }
}

/// Why a connection failed, by HAProxy's number (manual, section 7.3.3 `fc_err_str`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionError(u8);

macro_rules! errors {
    ($($number:literal $constant:ident $text:literal)*) => {
        impl ConnectionError {
            $(#[doc = $text] pub const $constant: ConnectionError = ConnectionError($number);)*
        }
        /// Number, name, message.
        const ERRORS: &[(u8, &str, &str)] = &[$(($number, stringify!($constant), $text)),*];
    };
}

errors! {
    2 PROC_FDLIM "Too many sockets on the process"
    3 SYS_FDLIM "Too many sockets on the system"
    4 SYS_MEMLIM "Out of system buffers"
    6 SOCK_ERR "General socket error"
    8 CANT_BIND "Can't bind to source address"
    9 FREE_PORTS "Out of local source ports on the system"
    10 ADDR_INUSE "Local source address already in use"
    11 PRX_EMPTY "Connection closed while waiting for PROXY protocol header"
    12 PRX_ABORT "Connection error while waiting for PROXY protocol header"
    13 PRX_TIMEOUT "Timeout while waiting for PROXY protocol header"
    14 PRX_TRUNCATED "Truncated PROXY protocol header received"
    15 PRX_NOT_HDR "Received something which does not look like a PROXY protocol header"
    16 PRX_BAD_HDR "Received an invalid PROXY protocol header"
    17 PRX_BAD_PROTO "Received an unhandled protocol in the PROXY protocol header"
    24 SSL_EMPTY "Connection closed during SSL handshake"
    25 SSL_ABORT "Connection error during SSL handshake"
    26 SSL_TIMEOUT "Timeout during SSL handshake"
    27 SSL_TOO_MANY "Too many SSL connections"
    30 SSL_CA_FAIL "SSL client CA chain cannot be verified"
    31 SSL_CRT_FAIL "SSL client certificate not trusted"
    34 SSL_HANDSHAKE "SSL handshake failure"
    43 SSL_FATAL "SSL fatal error"
    46 EREFUSED "ECONNREFUSED returned by OS"
    47 ERESET "ECONNRESET returned by OS"
    48 EUNREACH "ENETUNREACH returned by OS"
    49 ENOMEM "ENOMEM returned by OS"
    50 EBADF "EBADF returned by OS"
    51 EFAULT "EFAULT returned by OS"
    52 EINVAL "EINVAL returned by OS"
    53 ENCONN "ENCONN returned by OS"
    54 ENSOCK "ENSOCK returned by OS"
    55 ENOBUFS "ENOBUFS returned by OS"
    56 EPIPE "EPIPE returned by OS"
}

impl ConnectionError {
    /// Nothing went wrong.
    pub const NONE: ConnectionError = ConnectionError(0);

    /// HAProxy's number; 0 for no error.
    pub fn number(self) -> u8 {
        self.0
    }
    /// Its name; empty for no error.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.1)
    }
    /// Its message.
    pub fn message(self) -> &'static str {
        self.row().map_or("Success", |row| row.2)
    }
    fn row(self) -> Option<&'static (u8, &'static str, &'static str)> {
        ERRORS.iter().find(|row| row.0 == self.0)
    }
    /// What a header that cannot be used makes of its connection.
    pub fn of_header(mistake: Mistake) -> ConnectionError {
        match mistake {
            Mistake::NotHeader => ConnectionError::PRX_NOT_HDR,
            Mistake::Malformed => ConnectionError::PRX_BAD_HDR,
            Mistake::UnknownProtocol => ConnectionError::PRX_BAD_PROTO,
        }
    }
    /// Whether the client simply did not say anything: `option dontlognull` keeps quiet about it.
    pub fn is_silence(self) -> bool {
        [
            ConnectionError::NONE,
            ConnectionError::PRX_EMPTY,
            ConnectionError::PRX_ABORT,
            ConnectionError::SSL_EMPTY,
            ConnectionError::SSL_ABORT,
        ]
        .contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_numbers_and_texts() {
        for (error, number, name, message) in [
            (ConnectionError::NONE, 0, "", "Success"),
            (ConnectionError::PRX_NOT_HDR, 15, "PRX_NOT_HDR", "Received something which does not look like"),
            (ConnectionError::EREFUSED, 46, "EREFUSED", "ECONNREFUSED returned by OS"),
        ] {
            assert_eq!((error.number(), error.name()), (number, name));
            assert!(error.message().starts_with(message));
        }
        assert!(ERRORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
