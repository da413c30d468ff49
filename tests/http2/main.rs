//! HTTP/2 connections without sockets: hostile sequences of frames by table (`tests/hostile/http2`), and talks
//! with another implementation.

mod hostile;
mod peers;
mod script;
#[path = "../hostile/text.rs"]
mod text;
