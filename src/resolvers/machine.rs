//! Resolves the names of one `resolvers` section without I/O.
//!
//! The driver says which requesters want which name ([`Machine::server`], [`Machine::service`],
//! [`Machine::rule`]), what came ([`Machine::received`], [`Machine::unsent`]) and what time it is
//! ([`Machine::tick`]), and takes what is to be done from [`Machine::output`]: datagrams and events.
//!
//! Requesters of the same name share a resolution. All name servers are asked at once, and the first valid
//! answer ends it; of errors the last one counts. Then the other family is asked for, then the first one again,
//! until `resolve_retries` is used up (manual, section 5.3.2). An error changes nothing while the last valid
//! answer is younger than its `hold` period.

mod table;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use self::table::{Query, Resolution, Table};
use super::counters::Counter;
use super::ids::Ids;
use super::options::{Options, Prefer};
use super::ports::Ports;
use super::records::{Choice, Chooser, Records};
use super::{Resolvers, Transport};
use crate::base::clock::Millis;
use crate::wire::dns::{self, Answer, Families, Fault, Kind, Name, Reading};

/// Resolutions that one [`Machine::tick`] has ask: the others follow shortly, so that many names do not ask in one
/// burst, which buffers on the way would cut.
const ASKS_MAX: usize = 64;
/// What those wait that were left over, in milliseconds.
const ASK_PAUSE_MS: Millis = 4;
/// Names that rules have asked for and that are in work or remembered.
const RULE_NAMES_MAX: usize = 10_000;
/// Records of a name that servers use, and of one that only rules ask for: clients choose those names.
const RECORDS_MAX: usize = 1024;
const RULE_RECORDS_MAX: usize = 64;
/// The stand-in for a port of questions over TCP.
pub const STREAM: u32 = 0;

/// A server, a service or a rule that wants a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequesterId(pub u64);

/// A server that takes its host, port and address from a service record; the driver numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u64);

/// How the last resolution of a name ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Status {
    None,
    Valid,
    Nx,
    Refused,
    Timeout,
    Other,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Send {
        /// To this name server, by its place in the section.
        nameserver: usize,
        /// From this port; [`STREAM`] is over TCP.
        port: u32,
        /// The number of the question, for [`Machine::unsent`].
        id: u16,
        /// The message, without the length that TCP puts before it.
        bytes: Vec<u8>,
    },
    /// Close a port: nothing is expected there any more.
    Close {
        /// Of the questions to this name server.
        nameserver: usize,
        /// The port.
        port: u32,
    },
    /// Tell someone.
    Event(Event),
}

/// What has come of a resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A valid answer came: the server chooses an address with [`Machine::choose`].
    Answered {
        /// The server.
        requester: RequesterId,
        /// The name server that answered; `None` for requesters that share the answer with the first.
        nameserver: Option<usize>,
    },
    /// No valid answer came.
    Failed {
        /// The server.
        requester: RequesterId,
        /// What came.
        status: Status,
        /// The `hold` period still runs: nothing changes.
        is_held: bool,
    },
    /// A rule's name is resolved, or not.
    Ruled {
        /// The rule's run.
        requester: RequesterId,
        /// The address.
        address: Option<IpAddr>,
    },
    /// A slot has this service; it is told again with every answer.
    Assigned {
        /// The slot.
        slot: Slot,
        /// The host.
        target: Name,
        /// Its port.
        port: u16,
        /// Its share, 0 to 65535.
        weight: u16,
        /// Addresses of the host that came along; without any the host is resolved by itself.
        addresses: Vec<IpAddr>,
    },
    /// A slot has no service any more.
    Released {
        /// The slot.
        slot: Slot,
    },
}

/// The answer to a rule that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is known.
    Known(Option<IpAddr>),
    /// [`Event::Ruled`] will tell.
    Waits(RequesterId),
    /// Too many names are in work.
    Full,
}

/// The host and port that a slot had from the service before, when a reload has begun its resolution anew.
pub type Former = Option<(Name, u16)>;

type Free = (Slot, Former);

/// What a requester is.
#[derive(Debug)]
enum Role {
    Server {
        group: u64,
        options: Arc<Options>,
    },
    /// The slots without a service, those that wait longest first.
    Service {
        free: VecDeque<Free>,
    },
    Rule {
        prefer: Prefer,
    },
}

#[derive(Debug)]
struct Requester {
    resolution: u64,
    role: Role,
}

impl Requester {
    fn is_lasting(&self) -> bool {
        !matches!(self.role, Role::Rule { .. })
    }
}

/// The resolutions of a section.
#[derive(Debug)]
pub struct Machine {
    settings: Arc<Resolvers>,
    families: Families,
    ids: Ids,
    ports: Vec<Ports>,
    table: Table,
    outputs: VecDeque<Output>,
    /// No resolution asks before that: enough have just asked.
    paused_until: Millis,
    /// See [`Machine::inherit`].
    inheritance: HashMap<(Name, Kind), Records>,
}

/// What a server wants of a name.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its backend: the servers of one share no address.
    pub group: u64,
    /// What counts when an address is chosen.
    pub options: Arc<Options>,
    /// The address that it has, and keeps if an answer has it.
    pub had: Had,
}

/// The address that a server has when it begins to want a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Had {
    /// None.
    Nothing,
    /// One from elsewhere: the configuration, the system's resolver, a state file. All servers of a name may
    /// have got the same one.
    First(IpAddr),
    /// One that name servers had told for it.
    Told(IpAddr),
}

impl Machine {
    /// A machine for the name servers of a section.
    pub fn new(settings: Arc<Resolvers>, families: Families) -> Machine {
        let ports = settings.nameservers.iter().map(|_| Ports::default()).collect();
        let (ids, table) = (Ids::default(), Table::default());
        let inheritance = HashMap::new();
        Machine {
            settings,
            families,
            ids,
            ports,
            table,
            outputs: VecDeque::new(),
            paused_until: 0,
            inheritance,
        }
    }

    /// Which families are asked for from now on.
    pub fn set_families(&mut self, families: Families) {
        self.families = families;
    }

    /// Goes on with what another machine knows of names that servers and services want, until
    /// [`Machine::forget_inheritance`]: names that are entered meanwhile begin with it.
    pub fn inherit(&mut self, before: &Machine) {
        self.inheritance = before.table.lasting_records();
    }
    /// What no name has taken over is forgotten.
    pub fn forget_inheritance(&mut self) {
        self.inheritance = HashMap::new();
    }
    /// The address that the records have for a server; another one may have been set by hand.
    pub fn used_by(&self, id: RequesterId) -> Option<IpAddr> {
        self.table.records_of(id)?.used_by(id)
    }

    /// Resolves the name of a server of the backend `group` until [`Machine::leave`].
    pub fn server(&mut self, name: Name, server: Wish, now: Millis) -> RequesterId {
        let Wish { group, options, had } = server;
        let (kind, allow_duplicates) = (options.prefer.kind(self.families), options.allow_duplicates);
        let id = self.enter(name, kind, Role::Server { group, options }, now);
        let (address, shares) = match had {
            Had::Nothing => return id,
            Had::First(address) => (address, false),
            Had::Told(address) => (address, allow_duplicates),
        };
        if let Some(at) = self.table.requester(id).map(|requester| requester.resolution) {
            let chooser = Chooser { requester: id, group };
            self.table.resolution(at).records.claim(chooser, address, shares);
        }
        id
    }

    /// Resolves the name of a service for these slots, which keep what they had as long as the service has it.
    pub fn service(&mut self, name: Name, slots: Vec<(Slot, Former)>, now: Millis) -> RequesterId {
        self.enter(name, Kind::Srv, Role::Service { free: slots.into() }, now)
    }

    /// Resolves a name once, for a rule.
    pub fn rule(&mut self, name: Name, prefer: Prefer, now: Millis) -> Ruling {
        let kind = prefer.kind(self.families);
        if let Some(id) = self.table.find(&name, kind) {
            let fresh_ms = self.settings.hold.valid;
            let families = self.families;
            let resolution = self.table.resolution(id);
            if resolution.is_fresh(now, fresh_ms) && !resolution.running {
                return Ruling::Known(Self::ruling(resolution, prefer, families));
            }
        } else if self.table.rule_names() >= RULE_NAMES_MAX {
            return Ruling::Full;
        }
        Ruling::Waits(self.enter(name, kind, Role::Rule { prefer }, now))
    }

    fn enter(&mut self, name: Name, kind: Kind, role: Role, now: Millis) -> RequesterId {
        let resolution = self.table.find(&name, kind).unwrap_or_else(|| {
            let records = self.inheritance.remove(&(name.clone(), kind));
            let id = self.table.create(name, kind, now);
            self.table.resolution(id).records = records.unwrap_or_default();
            id
        });
        let id = self.table.add_requester(Requester { resolution, role });
        self.schedule(resolution, now);
        id
    }

    /// The requester leaves. A valid answer that rules have asked for is remembered for `hold valid`.
    pub fn leave(&mut self, id: RequesterId, now: Millis) {
        let Some((requester, is_last)) = self.table.remove_requester(id) else { return };
        let resolution = self.table.resolution(requester.resolution);
        for slot in resolution.records.detach(id) {
            self.outputs.push_back(Output::Event(Event::Released { slot }));
        }
        if !is_last {
            return;
        }
        let is_rule = matches!(requester.role, Role::Rule { .. });
        if is_rule
            && resolution.status == Status::Valid
            && self.settings.hold.valid > 0
            && !resolution.running
        {
            self.schedule(requester.resolution, now);
        } else {
            self.table.remove(requester.resolution);
        }
    }

    /// Resolves a name soon, unless its answer is younger than `hold valid`: a server cannot be reached.
    pub fn trigger(&mut self, id: RequesterId, now: Millis) {
        let Some(at) = self.table.requester(id).map(|requester| requester.resolution) else { return };
        let fresh_ms = self.settings.hold.valid;
        let resolution = self.table.resolution(at);
        if resolution.running || resolution.is_fresh(now, fresh_ms) {
            return;
        }
        resolution.resolved_at = None;
        self.schedule(at, now);
    }

    /// Lets a server choose among the addresses of its name; `current` is the one it has.
    pub fn choose(&mut self, id: RequesterId, current: Option<IpAddr>) -> Choice {
        let families = self.families;
        let Some(requester) = self.table.requester(id) else { return Choice::Keep };
        let Role::Server { group, options } = &requester.role else { return Choice::Keep };
        let (chooser, options) = (Chooser { requester: id, group: *group }, options.clone());
        let at = requester.resolution;
        self.table.resolution(at).records.choose(&options, families, Some(chooser), current)
    }

    /// Counts that an answer of a name server has changed a server's address.
    pub fn count_update(&self, nameserver: usize) {
        self.count(nameserver, Counter::Update);
    }

    /// What is to be done next.
    pub fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Machine::tick`] has something to do.
    pub fn due(&self) -> Option<Millis> {
        let late_ms = self.settings.timeout_retry_ms;
        let ports = self.ports.iter().filter_map(|ports| ports.due(late_ms)).min();
        let asks = self.table.due().map(|due| due.max(self.paused_until));
        asks.into_iter().chain(ports).min()
    }

    /// Asks, asks again and gives up, as the time demands.
    pub fn tick(&mut self, now: Millis) {
        let late_ms = self.settings.timeout_retry_ms;
        for nameserver in 0..self.ports.len() {
            while let Some(port) = self.ports[nameserver].retire(now, late_ms) {
                self.outputs.push_back(Output::Close { nameserver, port });
            }
        }
        if now < self.paused_until {
            return;
        }
        let mut asks = 0;
        // Those left over keep their places: the one that has waited longest asks first.
        while asks < ASKS_MAX
            && let Some(id) = self.table.pop_due(now)
        {
            let resolution = self.table.resolution(id);
            if !resolution.running && resolution.requesters.is_empty() {
                self.table.remove(id);
            } else {
                asks += 1;
                if resolution.running { self.retry(id, now) } else { self.start(id, now) }
            }
        }
        if asks == ASKS_MAX {
            self.paused_until = now + ASK_PAUSE_MS;
        }
    }

    fn count(&self, nameserver: usize, counter: Counter) {
        self.settings.nameservers[nameserver].counters.add(counter);
    }

    /// Sets when a resolution is to be looked at next.
    fn schedule(&mut self, id: u64, now: Millis) {
        let settings = &self.settings;
        let resolution = self.table.resolution(id);
        let due = if resolution.running {
            resolution.asked_at + settings.timeout_retry_ms.max(1)
        } else if resolution.requesters.is_empty() {
            resolution.resolved_at.map_or(now, |at| at + settings.hold.valid)
        } else {
            resolution.resolved_at.map_or(now, |at| at + settings.timeout_resolve_ms.max(1))
        };
        self.table.set_due(id, due);
    }

    fn start(&mut self, id: u64, now: Millis) {
        let retries = self.settings.retries;
        let resolution = self.table.resolution(id);
        resolution.running = true;
        resolution.kind = resolution.preferred;
        resolution.tries_left = retries.saturating_sub(1);
        self.ask(id, now);
    }

    /// Asks all name servers.
    fn ask(&mut self, id: u64, now: Millis) {
        let families = self.families;
        let resolution = self.table.resolution(id);
        // A family that is not wanted any more is not asked for.
        if let Some(other) = other_family(resolution.kind)
            && !families.want(resolution.kind)
            && families.want(other)
        {
            resolution.kind = other;
        }
        resolution.begin_round(now);
        let (name, kind, round) = (resolution.name.clone(), resolution.kind, resolution.round);
        for nameserver in 0..self.settings.nameservers.len() {
            let port = match self.settings.nameservers[nameserver].transport {
                Transport::Udp => self.ports[nameserver].take(now),
                Transport::Tcp => STREAM,
            };
            self.send(Query { resolution: id, kind, round }, &name, nameserver, port);
        }
        let kept_max = QUERIES_KEPT_MAX * self.settings.nameservers.len();
        self.table.forget_oldest_queries(id, kept_max);
        self.schedule(id, now);
    }

    fn send(&mut self, query: Query, name: &Name, nameserver: usize, port: u32) {
        let Some(number) = self.table.free_number(nameserver, port, &mut self.ids) else {
            self.count(nameserver, Counter::SendError);
            return;
        };
        let bytes = dns::query(number, name, query.kind, self.settings.payload_max);
        self.table.resolution(query.resolution).asked += 1;
        self.table.add_query((nameserver, port, number), query);
        self.count(nameserver, Counter::Sent);
        self.outputs.push_back(Output::Send { nameserver, port, id: number, bytes });
    }

    /// A question could not be sent.
    pub fn unsent(&mut self, nameserver: usize, port: u32, id: u16, now: Millis) {
        let Some(query) = self.table.take_query((nameserver, port, id)) else { return };
        self.count(nameserver, Counter::SendError);
        self.settings.nameservers[nameserver].counters.take_back(Counter::Sent);
        if port != STREAM {
            self.ports[nameserver].give_up(port);
            self.outputs.push_back(Output::Close { nameserver, port });
        }
        let resolution = self.table.resolution(query.resolution);
        if query.round == resolution.round {
            resolution.asked = resolution.asked.saturating_sub(1);
            if resolution.answered > 0 {
                self.after_fault(query.resolution, now);
            }
        }
    }

    /// A message came from a name server to a port, or over TCP.
    pub fn received(&mut self, nameserver: usize, port: u32, bytes: &[u8], now: Millis) {
        let transport = self.settings.nameservers[nameserver].transport;
        // What did not fit into a datagram may be as long as TCP allows.
        if bytes.len() > usize::from(self.settings.payload_max)
            && !(port == STREAM && transport == Transport::Udp)
        {
            return self.count(nameserver, Counter::TooBig);
        }
        let Some(number) = dns::id(bytes) else { return self.count(nameserver, Counter::Invalid) };
        let key = (nameserver, port, number);
        let Some(query) = self.table.query(key) else { return self.count(nameserver, Counter::Outdated) };
        let name = self.table.resolution(query.resolution).name.clone();
        let reading = dns::read(bytes, &name, query.kind, self.families);
        match reading {
            // Whatever sent it, the answer may still come.
            Reading::Foreign => self.count(nameserver, Counter::Invalid),
            Reading::Fault(Fault::Truncated) if port != STREAM => {
                self.count(nameserver, Counter::Truncated);
                self.table.take_query(key);
                if query.round == self.table.resolution(query.resolution).round {
                    let resolution = self.table.resolution(query.resolution);
                    resolution.asked = resolution.asked.saturating_sub(1);
                }
                self.send(query, &name, nameserver, STREAM);
            }
            Reading::Fault(fault) => {
                self.table.take_query(key);
                self.fault(nameserver, query, fault, now);
            }
            Reading::Answer(answer) => {
                self.table.take_query(key);
                self.answer(nameserver, query.resolution, &answer, now);
            }
        }
    }

    fn fault(&mut self, nameserver: usize, query: Query, fault: Fault, now: Millis) {
        let (status, counter) = match fault {
            Fault::Invalid => (Status::Other, Counter::Invalid),
            Fault::NxDomain => (Status::Nx, Counter::Nx),
            Fault::Refused => (Status::Refused, Counter::Refused),
            Fault::Empty => (Status::Other, Counter::AnyError),
            Fault::Alias => (Status::Other, Counter::CnameError),
            Fault::Truncated => (Status::Other, Counter::Truncated),
            Fault::Other => (Status::Other, Counter::Other),
        };
        self.count(nameserver, counter);
        let resolution = self.table.resolution(query.resolution);
        // An error that comes late speaks of a question that was asked again meanwhile.
        if query.round == resolution.round {
            resolution.status = status;
            resolution.answered += 1;
            self.after_fault(query.resolution, now);
        }
    }

    /// When all name servers have failed, the other family is asked for; then the time-out decides.
    fn after_fault(&mut self, id: u64, now: Millis) {
        let is_both = self.families.v4 && self.families.v6;
        let resolution = self.table.resolution(id);
        if resolution.answered < resolution.asked {
            return;
        }
        if resolution.kind != resolution.preferred {
            if resolution.tries_left == 0 {
                self.fail(id, now);
            }
        } else if let Some(other) = other_family(resolution.kind).filter(|_| is_both) {
            resolution.kind = other;
            self.ask(id, now);
        }
    }

    /// The time to wait for answers is over.
    fn retry(&mut self, id: u64, now: Millis) {
        for nameserver in self.table.silent(id) {
            self.count(nameserver, Counter::Timeout);
        }
        let families = self.families;
        let resolution = self.table.resolution(id);
        if resolution.tries_left == 0 {
            if resolution.answered == 0 {
                resolution.status = Status::Timeout;
            }
            return self.fail(id, now);
        }
        let other = other_family(resolution.kind).filter(|kind| families.want(*kind));
        match other {
            Some(other) if resolution.answered > 0 && resolution.kind == resolution.preferred => {
                resolution.kind = other;
            }
            _ => {
                resolution.kind = resolution.preferred;
                resolution.tries_left -= 1;
            }
        }
        self.ask(id, now);
    }

    /// Gives a resolution up until its next time.
    fn fail(&mut self, id: u64, now: Millis) {
        let hold = self.settings.hold;
        let resolution = self.table.end(id, now);
        let hold_ms = match resolution.status {
            Status::Nx => hold.nx,
            Status::Refused => hold.refused,
            Status::Timeout => hold.timeout,
            Status::None | Status::Valid | Status::Other => hold.other,
        };
        let is_held = now < resolution.valid_at.saturating_add(hold_ms);
        let (status, requesters) = (resolution.status, resolution.requesters.clone());
        if !is_held {
            for (service, slot) in resolution.records.clear() {
                self.release(service, slot);
            }
        }
        for requester in requesters {
            let event = match self.table.requester(requester).map(|requester| &requester.role) {
                Some(Role::Server { .. }) => Event::Failed { requester, status, is_held },
                Some(Role::Rule { .. }) => Event::Ruled { requester, address: None },
                Some(Role::Service { .. }) => {
                    if !is_held {
                        self.forget_former(requester);
                    }
                    continue;
                }
                None => continue,
            };
            self.outputs.push_back(Output::Event(event));
        }
        self.schedule(id, now);
    }

    /// What slots had before is not theirs any more.
    fn forget_former(&mut self, service: RequesterId) {
        if let Some(Role::Service { free }) = self.table.requester_mut(service).map(|found| &mut found.role) {
            for (slot, former) in free.iter_mut() {
                if former.take().is_some() {
                    self.outputs.push_back(Output::Event(Event::Released { slot: *slot }));
                }
            }
        }
    }

    fn release(&mut self, service: RequesterId, slot: Slot) {
        if let Some(Role::Service { free }) = self.table.requester_mut(service).map(|found| &mut found.role) {
            free.push_back((slot, None));
        }
        self.outputs.push_back(Output::Event(Event::Released { slot }));
    }

    fn answer(&mut self, nameserver: usize, id: u64, answer: &Answer, now: Millis) {
        self.count(nameserver, Counter::Valid);
        if answer.aliases > 0 {
            self.count(nameserver, Counter::Cname);
        }
        let obsolete_ms = self.settings.hold.obsolete;
        let families = self.families;
        let max = if self.table.is_for_rules(id) { RULE_RECORDS_MAX } else { RECORDS_MAX };
        let resolution = self.table.end(id, now);
        resolution.status = Status::Valid;
        resolution.valid_at = now;
        resolution.records.merge(answer, now, max);
        let released = resolution.records.expire(now, obsolete_ms);
        let requesters = resolution.requesters.clone();
        for (service, slot) in released {
            self.release(service, slot);
        }
        let mut answered_by = Some(nameserver);
        for requester in requesters {
            let event = match self.table.requester(requester).map(|requester| &requester.role) {
                Some(Role::Server { .. }) => Event::Answered { requester, nameserver: answered_by.take() },
                Some(Role::Rule { prefer }) => {
                    let prefer = *prefer;
                    let address = Self::ruling(self.table.resolution(id), prefer, families);
                    Event::Ruled { requester, address }
                }
                Some(Role::Service { .. }) => {
                    self.assign(requester, id);
                    continue;
                }
                None => continue,
            };
            self.outputs.push_back(Output::Event(event));
        }
        self.schedule(id, now);
    }

    fn ruling(resolution: &mut Resolution, prefer: Prefer, families: Families) -> Option<IpAddr> {
        let options = Options { prefer, ..Options::default() };
        match resolution.records.choose(&options, families, None, None) {
            Choice::Take(address) => Some(address),
            Choice::Keep | Choice::Nothing => None,
        }
    }

    /// Gives the servers of a service to slots: each keeps the one it has, new ones take the next free one.
    fn assign(&mut self, requester: RequesterId, id: u64) {
        let mut free = self.take_free(requester);
        let slot_of = |slots: &[(RequesterId, Slot)]| {
            slots.iter().find(|(owner, _)| *owner == requester).map(|(_, slot)| *slot)
        };
        let services = &mut self.table.resolution(id).records.services;
        for service in services.iter_mut().filter(|service| slot_of(&service.slots).is_none()) {
            let had = |(_, former): &Free| {
                former.as_ref().is_some_and(|(host, port)| *host == service.target && *port == service.port)
            };
            if let Some((slot, _)) = free.iter().position(had).and_then(|at| free.remove(at)) {
                service.slots.push((requester, slot));
            }
        }
        self.put_back(requester, free);
        self.forget_former(requester);
        let mut free = self.take_free(requester);
        for service in &mut self.table.resolution(id).records.services {
            let known = slot_of(&service.slots);
            let Some(slot) = known.or_else(|| free.pop_front().map(|(slot, _)| slot)) else { continue };
            if known.is_none() {
                service.slots.push((requester, slot));
            }
            self.outputs.push_back(Output::Event(Event::Assigned {
                slot,
                target: service.target.clone(),
                port: service.port,
                weight: service.weight,
                addresses: service.addresses.clone(),
            }));
        }
        self.put_back(requester, free);
    }

    fn take_free(&mut self, requester: RequesterId) -> VecDeque<Free> {
        match self.table.requester_mut(requester).map(|found| &mut found.role) {
            Some(Role::Service { free }) => std::mem::take(free),
            _ => VecDeque::new(),
        }
    }

    fn put_back(&mut self, requester: RequesterId, slots: VecDeque<Free>) {
        if let Some(Role::Service { free }) = self.table.requester_mut(requester).map(|found| &mut found.role)
        {
            *free = slots;
        }
    }
}

/// Questions of one resolution to one name server whose answers are still welcome.
const QUERIES_KEPT_MAX: usize = 8;

fn other_family(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::A => Some(Kind::Aaaa),
        Kind::Aaaa => Some(Kind::A),
        Kind::Srv => None,
    }
}
