//! Integration tests: the real binary with real origins and clients, one module per feature.

mod balance;
mod command_line;
mod configuration;
mod converters;
mod documentation;
mod examples;
mod faults;
mod fetches;
mod health;
mod http;
mod limits;
mod logging;
mod messages;
mod metrics;
mod proxy_protocol;
mod rate_limit;
mod rules;
mod runtime;
mod seeds;
mod signals;
mod sni;
mod support;
mod tables;
mod tcp;
mod termination;
mod timeouts;
