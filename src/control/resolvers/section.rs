//! One `resolvers` section at work: its machine, its sockets, and the servers and rules behind its requesters.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::streams::Streams;
use super::{assigned, forget_rule, released};
use crate::base::clock::{self, Millis};
use crate::control::Control;
use crate::control::servers::endpoint;
use crate::resolvers::Resolvers;
use crate::resolvers::machine::{
    Event, Former, Machine, Output, RequesterId, Ruling, STREAM, Slot, Status, Wish,
};
use crate::resolvers::options::Prefer;
use crate::resolvers::records::Choice;
use crate::state::ServerState;
use crate::wire::dns::{Families, Name};

/// How long the task sleeps when nothing is due: somebody wakes it.
const IDLE: Duration = Duration::from_secs(3600);

/// Errors in a row after which a port is not read any more.
const READ_ERRORS_MAX: u32 = 100;

/// A socket that asks one name server.
struct Port {
    socket: Rc<UdpSocket>,
    reader: JoinHandle<()>,
}

/// See the module.
pub(super) struct Section {
    settings: Arc<Resolvers>,
    control: Weak<Control>,
    own: Weak<Section>,
    machine: RefCell<Machine>,
    /// By name server and number.
    ports: RefCell<HashMap<(usize, u32), Port>>,
    /// By name server.
    streams: Vec<Rc<Streams>>,
    servers: RefCell<HashMap<RequesterId, Arc<ServerState>>>,
    slots: RefCell<Vec<Arc<ServerState>>>,
    /// The cores and numbers of rules that wait.
    rules: RefCell<HashMap<RequesterId, (usize, u64)>>,
    wake: Notify,
}

fn now() -> Millis {
    clock::read().millis()
}

impl Section {
    /// A section that has nothing to do yet.
    pub(super) fn new(control: &Rc<Control>, settings: Arc<Resolvers>, families: Families) -> Rc<Section> {
        Rc::new_cyclic(|own| Section {
            control: Rc::downgrade(control),
            own: own.clone(),
            machine: RefCell::new(Machine::new(settings.clone(), families)),
            ports: RefCell::default(),
            streams: (0..settings.nameservers.len())
                .map(|at| Rc::new(Streams::new(own.clone(), at, &settings)))
                .collect(),
            servers: RefCell::default(),
            slots: RefCell::default(),
            rules: RefCell::default(),
            wake: Notify::new(),
            settings,
        })
    }

    /// Keeps the time.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            let due = self.machine.borrow().due();
            let wait = due.map_or(IDLE, |due| Duration::from_millis(due.saturating_sub(now())));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.wake.notified() => {}
            }
            self.machine.borrow_mut().tick(now());
            self.carry_out();
        }
    }

    /// Its settings.
    pub(super) fn settings(&self) -> &Resolvers {
        &self.settings
    }

    /// Closes all sockets.
    pub(super) fn close(&self) {
        self.ports.borrow_mut().drain().for_each(|(_, port)| port.reader.abort());
        self.streams.iter().for_each(|streams| streams.close());
    }

    /// Which families are asked for from now on.
    pub(super) fn set_families(&self, families: Families) {
        self.machine.borrow_mut().set_families(families);
    }

    /// Goes on with what a section of the model before knows, until [`Section::forget_inheritance`].
    pub(super) fn inherit(&self, before: &Section) {
        self.machine.borrow_mut().inherit(&before.machine.borrow());
    }
    /// Every requester has begun.
    pub(super) fn forget_inheritance(&self) {
        self.machine.borrow_mut().forget_inheritance();
    }
    /// The address that name servers have told for a server.
    pub(super) fn used_by(&self, requester: RequesterId) -> Option<IpAddr> {
        self.machine.borrow().used_by(requester)
    }

    /// Resolves the host of a server from now on.
    pub(super) fn add_server(&self, host: Name, wish: Wish, state: &Arc<ServerState>) -> RequesterId {
        let requester = self.machine.borrow_mut().server(host, wish, now());
        self.servers.borrow_mut().insert(requester, state.clone());
        self.wake.notify_one();
        requester
    }
    /// A slot for a server of a service.
    pub(super) fn add_slot(&self, state: &Arc<ServerState>) -> Slot {
        let mut slots = self.slots.borrow_mut();
        slots.push(state.clone());
        Slot(slots.len() as u64 - 1)
    }
    /// Resolves a service for these slots from now on.
    pub(super) fn add_service(&self, service: Name, slots: Vec<(Slot, Former)>) {
        self.machine.borrow_mut().service(service, slots, now());
        self.wake.notify_one();
    }
    /// Asks for a name once.
    pub(super) fn rule(&self, name: Name, prefer: Prefer) -> Ruling {
        self.machine.borrow_mut().rule(name, prefer, now())
    }
    /// Notes which core waits.
    pub(super) fn add_rule(&self, requester: RequesterId, core: usize, token: u64) {
        self.rules.borrow_mut().insert(requester, (core, token));
        self.wake.notify_one();
    }
    /// A rule does not wait any more.
    pub(super) fn leave_rule(&self, requester: RequesterId) {
        self.rules.borrow_mut().remove(&requester);
        self.leave(requester);
    }
    /// A requester is not there any more.
    pub(super) fn leave(&self, requester: RequesterId) {
        self.servers.borrow_mut().remove(&requester);
        self.machine.borrow_mut().leave(requester, now());
        self.wake.notify_one();
    }
    /// A server cannot be reached.
    pub(super) fn trigger(&self, requester: RequesterId) {
        self.machine.borrow_mut().trigger(requester, now());
        self.wake.notify_one();
    }

    /// A message came.
    pub(super) fn received(&self, nameserver: usize, port: u32, bytes: &[u8]) {
        self.machine.borrow_mut().received(nameserver, port, bytes, now());
        self.carry_out();
        self.wake.notify_one();
    }
    /// A message could not be sent.
    pub(super) fn unsent(&self, nameserver: usize, port: u32, id: u16) {
        self.machine.borrow_mut().unsent(nameserver, port, id, now());
        self.carry_out();
        self.wake.notify_one();
    }

    /// Does what the machine has put out; what that brings about in it, too.
    fn carry_out(&self) {
        let Some(control) = self.control.upgrade() else { return };
        loop {
            // Taken before it is done: doing it may come back here.
            let output = self.machine.borrow_mut().output();
            match output {
                None => return,
                Some(Output::Send { nameserver, port: STREAM, id, bytes }) => {
                    if !self.streams[nameserver].send(id, &bytes) {
                        self.machine.borrow_mut().unsent(nameserver, STREAM, id, now());
                    }
                }
                Some(Output::Send { nameserver, port, id, bytes }) => {
                    if self.send(nameserver, port, &bytes).is_err() {
                        self.machine.borrow_mut().unsent(nameserver, port, id, now());
                    }
                }
                Some(Output::Close { nameserver, port }) => {
                    if let Some(port) = self.ports.borrow_mut().remove(&(nameserver, port)) {
                        port.reader.abort();
                    }
                }
                Some(Output::Event(event)) => self.tell(&control, event),
            }
        }
    }

    fn send(&self, nameserver: usize, port: u32, bytes: &[u8]) -> std::io::Result<()> {
        let known = self.ports.borrow().get(&(nameserver, port)).map(|port| port.socket.clone());
        let socket = match known {
            Some(socket) => socket,
            None => self.open(nameserver, port)?,
        };
        // Not as tokio sends, which waits for a new socket to be known as writable first.
        let socket = socket2::SockRef::from(&*socket);
        // An error of an earlier datagram (no socket listens there) is told once, by the next one.
        let sent = socket.send(bytes).or_else(|_| socket.send(bytes))?;
        if sent == bytes.len() { Ok(()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
    }

    /// Opens a socket whose port the system draws at random; it takes what comes from the name server only.
    fn open(&self, nameserver: usize, number: u32) -> std::io::Result<Rc<UdpSocket>> {
        let address = self.settings.nameservers[nameserver].address;
        let any = match address.ip() {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let socket = std::net::UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(address)?;
        let socket = Rc::new(UdpSocket::from_std(socket)?);
        let reader = read(self.own.clone(), socket.clone(), nameserver, number, self.settings.payload_max);
        let port = Port { socket: socket.clone(), reader: tokio::task::spawn_local(reader) };
        self.ports.borrow_mut().insert((nameserver, number), port);
        Ok(socket)
    }

    fn tell(&self, control: &Rc<Control>, event: Event) {
        match event {
            Event::Answered { requester, nameserver } => self.answered(control, requester, nameserver),
            Event::Failed { is_held: true, .. } => {}
            Event::Failed { requester, status, is_held: false } => {
                let cause = match status {
                    Status::Nx => "DNS NX status",
                    Status::Timeout => "DNS timeout status",
                    Status::Refused => "DNS refused status",
                    Status::None | Status::Valid | Status::Other => "unspecified DNS error",
                };
                if let Some(state) = self.server(requester) {
                    endpoint::lost(control, &state, cause);
                }
            }
            Event::Ruled { requester, address } => {
                let waits = self.rules.borrow().get(&requester).copied();
                if let Some((core, token)) = waits {
                    control.cores.resolved(core, token, address);
                    forget_rule(core, token);
                }
            }
            Event::Assigned { slot, target, port, weight, addresses } => {
                if let Some(state) = self.slot(slot) {
                    assigned(control, &state, &target, port, weight, &addresses);
                }
            }
            Event::Released { slot } => {
                if let Some(state) = self.slot(slot) {
                    released(control, &state);
                }
            }
        }
    }

    fn server(&self, requester: RequesterId) -> Option<Arc<ServerState>> {
        self.servers.borrow().get(&requester).cloned()
    }

    fn slot(&self, slot: Slot) -> Option<Arc<ServerState>> {
        self.slots.borrow().get(slot.0 as usize).cloned()
    }

    fn answered(&self, control: &Control, requester: RequesterId, nameserver: Option<usize>) {
        let Some(state) = self.server(requester) else { return };
        let current = state.endpoint.load().ip();
        let choice = self.machine.borrow_mut().choose(requester, current);
        match choice {
            Choice::Keep => {}
            Choice::Take(address) => {
                let by = match nameserver {
                    Some(at) => format!("{}/{}", self.settings.name, self.settings.nameservers[at].name),
                    None => "DNS cache".to_owned(),
                };
                if let Some(at) = nameserver {
                    self.machine.borrow().count_update(at);
                }
                endpoint::resolved(control, &state, address, None, &by);
            }
            Choice::Nothing => {
                endpoint::lost(control, &state, "No IP for server ");
            }
        }
    }
}

/// Reads what comes to a port until it is closed.
async fn read(section: Weak<Section>, socket: Rc<UdpSocket>, nameserver: usize, port: u32, payload_max: u16) {
    // One byte more tells what is too long.
    let mut buffer = vec![0; usize::from(payload_max) + 1];
    let mut errors = 0;
    while errors < READ_ERRORS_MAX {
        let received = socket.recv(&mut buffer).await;
        let Some(section) = section.upgrade() else { return };
        match received {
            Ok(len) => {
                errors = 0;
                section.received(nameserver, port, &buffer[..len]);
            }
            // That no socket listens there is no answer: the time-out decides.
            Err(_) => errors += 1,
        }
    }
}
