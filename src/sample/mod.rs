//! Typed expressions: what a rule, a log line or a balancing key takes from a session.
//!
//! An [`Expr`] is a fetch and a chain of converters, checked when the configuration is loaded:
//! unknown names, bad arguments and data that does not exist in the phase at hand are diagnostics
//! there, never surprises at run time. Fetches and converters are rows of tables
//! ([`fetch::TABLE`], [`conv::TABLE`]), each with its documentation.
#![forbid(unsafe_code)]
// Checks of arguments have one signature, whether or not they change the list.
#![allow(clippy::ptr_arg)]

pub mod acl;
pub mod arg;
pub mod condition;
pub mod connection;
pub mod conv;
pub mod counters;
mod encoding;
pub mod expr;
pub mod facts;
pub mod fetch;
pub mod format;
mod format_alias;
pub mod proxy_header;
#[cfg(test)]
pub(crate) mod testing;
pub mod table_key;
pub mod timers;
pub mod password;
pub mod userlist;
pub mod value;
pub mod vars;

pub use acl::{AclSet, Condition};
pub use expr::{Expr, ParseContext};
pub use facts::{Context, SessionFacts, TransactionFacts};
pub use format::LogFormat;
pub(crate) use format_alias::write_accept_date;
pub use value::Value;

/// The model keeps these and every core reads them.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Expr>();
    shared::<Condition>();
    shared::<AclSet>();
    shared::<LogFormat>();
};
