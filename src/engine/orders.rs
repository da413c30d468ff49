//! What the control thread may ask of the data threads.
//!
//! It stands here, beside its only real implementation, since the control room looks down on this
//! one; tests of the control room put a recorder in its place.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::fault::Point;
use crate::base::id::{ListenerId, ServerId};
use crate::model::Model;
use crate::net::timer::Kill;
use crate::state::{ProxyState, ServerState};

/// Takes an answer to the thread that asked.
pub type Tell<T> = Box<dyn FnOnce(Vec<T>) + Send>;

/// The most sessions that a core tells of at once: it has others to serve.
pub const SESSIONS_AT_ONCE: usize = 256;

/// The core, from 0, that has given a session its number.
pub fn core_of(number: u64, cores: usize) -> usize {
    (number % cores.max(1) as u64) as usize
}

/// A proxy or server by name and number.
pub type Named = (Arc<str>, u32);

/// A session in progress, for `show sess`.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Its number.
    pub number: u64,
    /// Its thread, from 1.
    pub thread: usize,
    /// The client.
    pub source: Option<SocketAddr>,
    /// Name, number and address of the listener.
    pub listener: (Option<Arc<str>>, u32, String),
    /// The frontend, and whether it is in HTTP mode.
    pub frontend: (Named, bool),
    /// The backend, and whether it is in HTTP mode.
    pub backend: Option<(Named, bool)>,
    /// The server and its address.
    pub server: Option<(Named, String)>,
    /// How long it has lasted, in milliseconds.
    pub age_ms: u64,
    /// What is left of the time-out that it is under, in milliseconds; negative once that has passed.
    pub expires_ms: Option<i64>,
    /// Whether it waits for another request.
    pub is_idle: bool,
    /// Whether it was ordered to end.
    pub is_killed: bool,
    /// Requests or connections that have ended, and their bytes from and to the client.
    pub ended: (u64, u64, u64),
}

/// A listening socket that a core gives to another process.
#[derive(Debug)]
pub struct Given {
    /// A duplicate of it.
    pub fd: OwnedFd,
    /// The interface that it is bound to.
    pub interface: Option<String>,
    /// Its line: sockets that threads share have the same and are the same.
    pub line: ListenerId,
    /// Whether the threads share one socket.
    pub is_shared: bool,
}

/// What can be asked of the data threads.
pub trait Cores {
    /// Closes every session on a server (`on-marked-down shutdown-sessions`, `shutdown sessions server`).
    fn shutdown_server_sessions(&self, server: &Arc<ServerState>, why: Kill);
    /// Gives waiting requests of a backend all places that are free, since a server came up or a limit rose;
    /// with no server left they are told so.
    fn wake_queue(&self, backend: &Arc<ProxyState>);
    /// Has the requests that wait for a server choose again, since it went away or takes its own only; tells
    /// how many they are.
    fn hand_on_queue(&self, _server: &Arc<ServerState>) -> u32 {
        0
    }
    /// Puts a model in force that was made from the one before; `gone` is the server that it does not have any more.
    fn change_model(&self, _model: &Arc<Model>, _gone: Option<ServerId>) {}
    /// Closes the idle connections of a server that takes none any more.
    fn close_idle(&self, _server: &Arc<ServerState>) {}
    /// Stops accepting on a frontend for now (`disable frontend`), sockets kept.
    fn pause_frontend(&self, frontend: &Arc<ProxyState>);
    /// Accepts again.
    fn resume_frontend(&self, frontend: &Arc<ProxyState>);
    /// Stops a frontend for good (`shutdown frontend`).
    fn stop_frontend(&self, frontend: &Arc<ProxyState>);
    /// Hands some sessions of a core over, those with the next numbers behind `after` in their order, at most
    /// [`SESSIONS_AT_ONCE`]: from that core's thread, when it comes to it.
    fn sessions(&self, core: usize, after: u64, tell: Tell<Shown>);
    /// Hands over how many idle connections a core keeps per server.
    fn idle(&self, core: usize, tell: Tell<(ServerId, u32)>);
    /// Has a core give duplicates of its listening sockets; it never shuts them down from then on, only leaves them.
    fn give_listeners(&self, _core: usize, tell: Tell<Given>) {
        tell(Vec::new());
    }
    /// Answers a core, counted from 1, that waits for the address of a name under that number.
    fn resolved(&self, _core: usize, _token: u64, _address: Option<std::net::IpAddr>) {}
    /// Ends the session of that number; [`core_of`] tells whose it is.
    fn shutdown_session(&self, _number: u64) {}
    /// Puts a limit of the whole process in force; false if it cannot be changed at run time.
    fn limit_process(&self, _limit: ProcessLimit) -> bool {
        false
    }
    /// Stops accepting everywhere and ends the process when the last session has (SIGUSR1).
    fn soft_stop(&self);
    /// Gives memory that waits for reuse back (SIGQUIT).
    fn trim(&self) {}
    /// What went wrong inside the data threads so far.
    fn accidents(&self) -> Accidents {
        Accidents::default()
    }
    /// Makes the next connection that comes to this point panic (`debug dev panic`).
    fn order_fault(&self, _point: Point) {}
}

/// What went wrong inside the data threads and was survived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accidents {
    /// Panics, each of which has cost a connection.
    pub panics: u32,
    /// Threads whose ring has failed and that go on with epoll.
    pub rings_failed: usize,
}

impl Accidents {
    /// The driver as it was chosen, and what has become of it.
    pub fn driver(&self, chosen: &str, threads: usize) -> String {
        match self.rings_failed {
            0 => chosen.to_owned(),
            failed => format!("{chosen}; {failed} of {threads} threads fell back to epoll"),
        }
    }
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
