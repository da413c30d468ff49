//! Streams, buffers, timers, and the core's own runtime: an executor over readiness.
//!
//! The driver (io_uring or epoll) tells when a descriptor is worth a try; bytes move by direct
//! non-blocking system calls. So an idle connection pins no buffer, a wait that is given up loses
//! no byte, and both drivers run the same code.

pub mod acceptor;
pub mod buffer;
pub mod descriptors;
pub mod driver;
pub mod executor;
pub mod reactor;
pub mod secure;
pub mod splice;
pub mod stream;
pub mod timer;

pub use acceptor::Acceptor;
pub use buffer::Buffer;
pub use stream::{Departure, Detached, Stream, Substream, Then};
