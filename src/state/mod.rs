//! What changes while the process runs, shared by cores and reloads: server state, live maps,
//! counters, queues. The [`Registry`] keeps them by name, so that a new model adopts what an
//! older one left.
#![forbid(unsafe_code)]

pub mod counter;
pub mod maps;
pub mod places;
pub mod proxy;
pub mod queue;
pub mod registry;
pub mod server;
pub mod snapshot;
pub mod table;
pub mod tracked;

pub use proxy::ProxyState;
pub use registry::Registry;
pub use server::ServerState;
pub use snapshot::Snapshot;
pub use table::Table;
pub use tracked::Tracked;
