//! The control thread: checks, runtime API, log writing. tokio lives here only.
//!
//! It decides and data threads read: everything it changes lies in [`crate::state`] behind atomics,
//! or goes to the cores as a [`Cores`] command.

pub mod admin;
pub mod checks;
pub mod log_sink;
pub mod map_orders;
pub mod map_writeback;
#[cfg(test)]
pub(crate) mod mock;
pub mod ring;
pub mod servers;

use std::cell::RefCell;
use std::sync::Arc;

use crate::base::clock::Now;
use crate::log::queue::LogQueue;
use crate::model::Model;
use crate::sample::facts::ProcessFacts;
use crate::state::{ProxyState, ServerState};

/// What the control thread can ask of the data threads. The engine implements it.
pub trait Cores {
    /// Closes every session on a server (`on-marked-down shutdown-sessions`, `shutdown sessions server`).
    fn shutdown_server_sessions(&self, server: &Arc<ServerState>);
    /// Lets waiting requests of a backend try again, since a server or a slot came free.
    fn wake_queue(&self, backend: &Arc<ProxyState>);
    /// Stops accepting on a frontend for now (`disable frontend`), sockets kept.
    fn pause_frontend(&self, frontend: &Arc<ProxyState>);
    /// Accepts again.
    fn resume_frontend(&self, frontend: &Arc<ProxyState>);
    /// Stops a frontend for good (`shutdown frontend`).
    fn stop_frontend(&self, frontend: &Arc<ProxyState>);
    /// The sessions in progress, for `show sess`: one line of text each.
    fn list_sessions(&self) -> Vec<String>;
    /// Ends the session that [`Cores::list_sessions`] shows by this identifier; false if there is none.
    fn shutdown_session(&self, _id: &str) -> bool {
        false
    }
    /// Puts a limit of the whole process in force; false if it cannot be changed at run time.
    fn limit_process(&self, _limit: ProcessLimit) -> bool {
        false
    }
    /// Stops accepting everywhere and ends the process when the last session has (SIGUSR1).
    fn soft_stop(&self);
}

/// A limit of the whole process that the runtime API changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessLimit {
    /// `set maxconn global`.
    Connections(u32),
    /// `set rate-limit connections global`, per second; 0 is none.
    ConnectionRate(u32),
    /// `set rate-limit sessions global`, per second; 0 is none.
    SessionRate(u32),
}

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
