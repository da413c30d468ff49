//! What other threads tell a core: a queue and a doorbell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};

use crossbeam_queue::SegQueue;

use super::accept::{BindLine, Socket};
use super::borrow::Handed;
use super::idle::Wanted;
use super::orders::{Given, Shown, Tell};
use crate::base::id::{ListenerId, ServerId};
use crate::model::Model;
use crate::net::timer::Kill;
use crate::state::{ProxyState, ServerState};
use crate::sys::event::Doorbell;

/// One order.
pub enum Order {
    /// A queued request may go on.
    Wake {
        /// Its key in [`super::queue::Waiting`].
        token: u64,
    },
    /// Close every session on a server.
    ShutdownServer(Arc<ServerState>, Kill),
    /// Close the session of that number.
    ShutdownSession(u64),
    /// Serve a connection that another core has accepted and counted.
    Adopt {
        /// The line by which it came.
        line: Arc<BindLine>,
        /// The connection.
        fd: std::os::fd::OwnedFd,
        /// The client's address.
        source: Option<std::net::SocketAddr>,
    },
    /// Give an idle server connection to another core, or say that there is none.
    Lend {
        /// Which.
        wanted: Wanted,
        /// To which server.
        server: Arc<ServerState>,
        /// The core that asks.
        borrower: usize,
        /// Its key for the answer.
        token: u64,
    },
    /// The answer to [`Order::Lend`].
    Lent {
        /// The key of the question.
        token: u64,
        /// The connection, if there was one.
        connection: Option<Box<Handed>>,
    },
    /// The address of a name that a rule waits for, if it has one.
    Resolved {
        /// The key of the question.
        token: u64,
        /// The address.
        address: Option<std::net::IpAddr>,
    },
    /// Close an idle connection of a server: another core needs its place.
    CloseIdle(ServerId),
    /// Use another model for what begins from now on.
    Model {
        /// The model, which has been adopted.
        model: Arc<Model>,
        /// The listeners of this core that it has; all others close.
        doors: Vec<Door>,
    },
    /// Use a model that was made from the one in force: a server or a backend has come or gone, all else stays.
    Change {
        /// The model.
        model: Arc<Model>,
        /// A server that is no more: what is kept about it goes.
        gone: Option<ServerId>,
    },
    /// Close idle connections of a server that takes none any more.
    CloseAllIdle(ServerId),
    /// Stop accepting on a frontend, sockets kept.
    Pause(Arc<ProxyState>),
    /// Accept again.
    Resume(Arc<ProxyState>),
    /// Close a frontend's listeners.
    StopFrontend(Arc<ProxyState>),
    /// Tell of the sessions behind that number.
    ListSessions(u64, Tell<Shown>),
    /// Give duplicates of the listening sockets to another process.
    GiveListeners(Tell<Given>),
    /// Tell how many idle connections are kept per server.
    CountIdle(Tell<(ServerId, u32)>),
    /// Accept no more, close idle connections, end when the last session has.
    SoftStop,
    /// Give memory that waits for reuse back.
    Trim,
    /// End now.
    Stop,
}

/// A listener of a core under another model.
pub enum Door {
    /// One that goes on with its socket.
    Keep {
        /// The listener.
        ident: ListenerId,
        /// What the model says of it.
        line: Arc<BindLine>,
    },
    /// A new one.
    Open(Socket),
}

/// The mailbox of one core, shared with everybody.
pub struct Mailbox {
    orders: SegQueue<Order>,
    doorbell: Doorbell,
    rung: AtomicBool,
    /// Client connections of the core now, for spreading and for the end of a soft stop.
    pub connections: AtomicU32,
    /// Set once the core has closed its listeners for good: no connection is added after that.
    pub closed: AtomicBool,
    /// Set once the core has ended.
    pub ended: AtomicBool,
    /// Panics that were caught on the core.
    pub panics: AtomicU32,
    /// Set once the core's ring has failed and epoll has taken its place.
    pub fell_back: AtomicBool,
}

impl Mailbox {
    /// An empty one.
    pub fn new() -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Mailbox {
            orders: SegQueue::new(),
            doorbell: Doorbell::new()?,
            rung: AtomicBool::new(false),
            connections: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            panics: AtomicU32::new(0),
            fell_back: AtomicBool::new(false),
        }))
    }
    /// Leaves an order; rings only if the core has not been rung since it last looked.
    pub fn send(&self, order: Order) {
        self.orders.push(order);
        if !self.rung.swap(true, SeqCst) {
            self.doorbell.ring();
        }
    }
    /// Ends a wait of the core, with nothing to do for it.
    pub fn wake(&self) {
        self.doorbell.ring();
    }
    /// Takes the next order.
    pub fn take(&self) -> Option<Order> {
        self.orders.pop()
    }
    /// The core is about to take orders.
    pub fn answer(&self) {
        self.doorbell.answer();
        self.rung.store(false, SeqCst);
    }
    /// A descriptor of the doorbell to wait on.
    pub fn doorbell(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.doorbell.duplicate()
    }
}
