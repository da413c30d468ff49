//! Questions over TCP to one name server (RFC 7766): connections that are kept for a while, with a few questions
//! on each at a time.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::section::Section;
use crate::resolvers::Resolvers;
use crate::resolvers::machine::STREAM;
use crate::wire::dns;

/// Questions on a connection at a time, as in HAProxy.
const QUESTIONS_MAX: usize = 4;
/// Connections without a limit of the name server's own (`maxconn`).
const CONNECTIONS_MAX: usize = 16;
/// Questions that wait for a connection.
const WAITING_MAX: usize = 1024;
/// How long a connection without questions is kept.
const IDLE: Duration = Duration::from_secs(5);
/// Bounds of how long a question may stay unanswered before its connection is given up.
const STALE_MIN: Duration = Duration::from_secs(1);
const STALE_MAX: Duration = Duration::from_secs(30);
/// Bytes of the longest message, with the length before it.
const MESSAGE_MAX: usize = 2 + 65535;

/// What a connection and the senders of its questions share.
#[derive(Default)]
struct Connection {
    /// Messages to be written.
    queue: RefCell<VecDeque<Vec<u8>>>,
    /// Questions that are not answered, and since when.
    open: RefCell<HashMap<u16, Instant>>,
    wake: Notify,
}

/// The connections to one name server.
pub(super) struct Streams {
    section: Weak<Section>,
    nameserver: usize,
    address: SocketAddr,
    connections_max: usize,
    connect_limit: Duration,
    stale: Duration,
    connections: RefCell<Vec<(Rc<Connection>, JoinHandle<()>)>>,
    waiting: RefCell<VecDeque<(u16, Vec<u8>)>>,
}

impl Streams {
    /// No connections yet.
    pub(super) fn new(section: Weak<Section>, nameserver: usize, settings: &Resolvers) -> Streams {
        let own = &settings.nameservers[nameserver];
        let retries_ms = settings.timeout_retry_ms.saturating_mul(u64::from(settings.retries));
        Streams {
            section,
            nameserver,
            address: own.address,
            connections_max: match own.connections_max {
                0 => CONNECTIONS_MAX,
                limit => limit as usize,
            },
            connect_limit: Duration::from_millis(settings.timeout_resolve_ms).clamp(STALE_MIN, STALE_MAX),
            stale: Duration::from_millis(retries_ms).clamp(STALE_MIN, STALE_MAX),
            connections: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    /// Sends a question when a connection has room for it; false if too many wait already.
    pub(super) fn send(self: &Rc<Self>, id: u16, message: &[u8]) -> bool {
        let Ok(len) = u16::try_from(message.len()) else { return false };
        let mut framed = Vec::with_capacity(2 + message.len());
        framed.extend_from_slice(&len.to_be_bytes());
        framed.extend_from_slice(message);
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        waiting.push_back((id, framed));
        drop(waiting);
        self.distribute();
        true
    }

    /// Closes all connections.
    pub(super) fn close(&self) {
        self.connections.borrow_mut().drain(..).for_each(|(_, task)| task.abort());
    }

    /// Gives those that wait to connections that have room, and opens more where that is allowed.
    fn distribute(self: &Rc<Self>) {
        loop {
            let Some((id, message)) = self.waiting.borrow_mut().pop_front() else { return };
            let has_room = |connection: &Rc<Connection>| {
                let open = connection.open.borrow();
                open.len() < QUESTIONS_MAX && !open.contains_key(&id)
            };
            let found = self
                .connections
                .borrow()
                .iter()
                .map(|(known, _)| known)
                .find(|known| has_room(known))
                .cloned();
            let connection = match found {
                Some(connection) => connection,
                None if self.connections.borrow().len() < self.connections_max => self.connect(),
                None => return self.waiting.borrow_mut().push_front((id, message)),
            };
            connection.open.borrow_mut().insert(id, Instant::now());
            connection.queue.borrow_mut().push_back(message);
            connection.wake.notify_one();
        }
    }

    fn connect(self: &Rc<Self>) -> Rc<Connection> {
        let connection = Rc::new(Connection::default());
        let task = self.clone().serve(connection.clone());
        self.connections.borrow_mut().push((connection.clone(), tokio::task::spawn_local(task)));
        connection
    }

    /// The life of a connection.
    async fn serve(self: Rc<Self>, connection: Rc<Connection>) {
        let _ = self.talk(&connection).await;
        self.connections.borrow_mut().retain(|(known, _)| !Rc::ptr_eq(known, &connection));
        let lost: Vec<u16> = connection.open.borrow_mut().drain().map(|(id, _)| id).collect();
        if let Some(section) = self.section.upgrade() {
            lost.into_iter().for_each(|id| section.unsent(self.nameserver, STREAM, id));
        }
        self.distribute();
    }

    async fn talk(self: &Rc<Self>, connection: &Connection) -> std::io::Result<()> {
        let connecting = TcpStream::connect(self.address);
        let mut stream = tokio::time::timeout(self.connect_limit, connecting).await??;
        stream.set_nodelay(true)?;
        let mut input = Vec::new();
        let mut used = Instant::now();
        loop {
            let next = connection.queue.borrow_mut().pop_front();
            if let Some(message) = next {
                tokio::time::timeout(self.stale, stream.write_all(&message)).await??;
                continue;
            }
            let oldest = connection.open.borrow().values().min().copied();
            let end = oldest.map_or(used + IDLE, |since| since + self.stale);
            tokio::select! {
                read = stream.read_buf(&mut input) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    used = Instant::now();
                    self.take_messages(connection, &mut input);
                    input.reserve(512);
                }
                () = connection.wake.notified() => {}
                () = tokio::time::sleep_until(end) => return Ok(()),
            }
        }
    }

    /// Hands whole messages on.
    fn take_messages(self: &Rc<Self>, connection: &Connection, input: &mut Vec<u8>) {
        const _: () = assert!(MESSAGE_MAX == 2 + u16::MAX as usize);
        let mut from = 0;
        while let Some(len) = input.get(from..from + 2) {
            let end = from + 2 + usize::from(u16::from_be_bytes([len[0], len[1]]));
            let Some(message) = input.get(from + 2..end) else { break };
            if let Some(id) = dns::id(message) {
                connection.open.borrow_mut().remove(&id);
            }
            if let Some(section) = self.section.upgrade() {
                section.received(self.nameserver, STREAM, message);
            }
            from = end;
        }
        input.drain(..from);
        self.distribute();
    }
}
