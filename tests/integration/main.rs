//! Integration tests: the real binary with real origins and clients, one module per feature.

mod command_line;
mod seeds;
mod support;
