//! The life of a connection and of a transaction as decisions without I/O.
//!
//! Each file is one decision; the engine makes them in its order. They read the model and the facts, write
//! into the transaction, and return what to do.
#![forbid(unsafe_code)]

pub mod addresses;
pub mod balance_key;
pub mod cacheability;
pub mod captures;
pub mod cookie;
mod cookie_date;
mod cookie_items;
pub mod error_page;
pub mod forwarded;
pub mod rfc7239;
pub mod sticking;
pub mod switching;
#[cfg(test)]
pub(crate) mod testing;
pub mod tracking;
pub mod unique_id;
