//! Codecs of other protocols, without I/O.
#![forbid(unsafe_code)]

pub mod proxy_protocol;
pub mod client_hello;
pub mod dns;
pub mod socket_transfer;
pub mod syslog;
