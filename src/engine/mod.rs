//! One core: its runtime, what it owns, and the tasks that run on it.
//!
//! A data thread owns its sockets, buffers, idle server connections and deadlines; it reads the
//! model and the shared state, and is told things through its mailbox. Sessions are tasks: [`http`] (with
//! [`exchange`] for each request) and [`tcp`] each read from top to bottom.

pub mod accept;
pub mod body;
mod borrow;
mod capture;
pub mod connect;
pub mod core;
pub mod exchange;
pub mod fault;
pub mod finish;
mod front;
mod h2;
mod handshake;
pub mod http;
pub mod idle;
pub mod mailbox;
pub mod orders;
mod packets;
pub mod queue;
mod reach;
pub mod redispatch;
pub mod reply;
pub mod resolve;
mod request;
mod request_rules;
pub mod response;
mod response_rules;
mod rule_list;
pub mod select;
pub mod silence;
pub mod snapshot;
mod streamed;
pub mod tcp;
pub mod threads;
pub mod tunnel;
pub mod upstream;
pub mod wait;
mod wait_body;

pub use self::core::Core;
