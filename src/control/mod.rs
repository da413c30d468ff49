//! The control thread: checks, runtime API, log writing. tokio lives here only.
//!
//! It decides and data threads read: everything it changes lies in [`crate::state`] behind atomics,
//! or goes to the cores as a [`Cores`] command.

pub mod admin;
pub mod checks;
mod log_outputs;
pub mod log_sink;
pub mod map_orders;
pub mod map_writeback;
#[cfg(test)]
pub(crate) mod mock;
pub mod resolvers;
pub mod ring;
pub mod servers;
pub mod tables;

use std::cell::RefCell;
use std::sync::Arc;

use crate::base::clock::Now;
pub use crate::engine::orders::{Cores, ProcessLimit};
use crate::log::queue::LogQueue;
use crate::model::Model;
use crate::sample::facts::ProcessFacts;

/// What every part of the control thread shares.
pub struct Control {
    /// The configuration in force; a reload replaces it.
    pub model: RefCell<Arc<Model>>,
    /// The way to the log writer.
    pub log: Arc<LogQueue>,
    /// Process facts.
    pub process: Arc<ProcessFacts>,
    /// The data threads.
    pub cores: Box<dyn Cores>,
    /// When the process started.
    pub started: Now,
    /// The driver in use and why, for `show info`.
    pub driver: String,
    /// Data threads.
    pub threads: usize,
    /// `maxconn` in force.
    pub maxconn: std::cell::Cell<u32>,
    /// The process's limit on descriptors.
    pub descriptors_max: u64,
    /// What the runtime API, the log sink and map write-back keep.
    pub admin: admin::Shared,
}

impl Control {
    /// The configuration in force.
    pub fn model(&self) -> Arc<Model> {
        self.model.borrow().clone()
    }
}
