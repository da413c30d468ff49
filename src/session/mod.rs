//! The life of a connection and of a transaction as decisions without I/O.
#![forbid(unsafe_code)]
