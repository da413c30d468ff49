//! Resolves names while requests are served: the sockets and timers around [`crate::resolvers::machine`], and
//! what its events mean for servers and rules.
//!
//! One task per `resolvers` section keeps the time; a task per socket reads. All of it runs on the control
//! thread: data threads see a server's address change as they see any other change of it, and ask for a name
//! only where a rule says so ([`crate::engine::resolve`]).

mod section;
mod streams;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use self::section::Section;
use super::Control;
use super::servers::endpoint;
use crate::engine::resolve::ResolveOrder;
use crate::model::server::Resolution;
use crate::resolvers::counters::Counters;
use crate::resolvers::machine::{Former, Had, RequesterId, Ruling, Slot, Wish};
use crate::resolvers::options::Prefer;
use crate::resolvers::{Nameserver, Resolvers};
use crate::state::ServerState;
use crate::state::server::{Endpoint, admin};
use crate::wire::dns::Name;

/// How often the system is asked whether IPv6 has a route, for `dns-accept-family auto`.
const ROUTE_CHECK: Duration = Duration::from_secs(30);

/// A server whose name is resolved.
struct Bound {
    section: Rc<Section>,
    resolution: Arc<Resolution>,
    /// Its backend, for [`crate::resolvers::machine::Machine::server`].
    group: u64,
    /// The requester that resolves its host now.
    requester: Option<RequesterId>,
    /// It takes host and port from a service.
    slot: Option<Slot>,
}

/// A rule that waits, and what it asked for.
struct RuleWait {
    section: Rc<Section>,
    requester: RequesterId,
    resolvers: Arc<Resolvers>,
    name: Name,
    prefer: Prefer,
}

#[derive(Default)]
struct Resolving {
    sections: HashMap<String, Rc<Section>>,
    servers: HashMap<*const ServerState, Bound>,
    /// The waits of rules by core and number.
    rules: HashMap<(usize, u64), RuleWait>,
    tasks: Vec<JoinHandle<()>>,
}

thread_local! {
    static RESOLVING: RefCell<Resolving> = RefCell::default();
}

fn with<T>(act: impl FnOnce(&mut Resolving) -> T) -> T {
    RESOLVING.with(|resolving| act(&mut resolving.borrow_mut()))
}

/// Starts to resolve what the model in force names; call it again when another one is. Counters of name servers
/// go on, servers keep their addresses until an answer says otherwise, and rules that wait are asked for anew.
pub fn start(control: &Rc<Control>) {
    let before = with(std::mem::take);
    before.close();
    let model = control.model();
    let accept = model.global.accept_family;
    let families = accept.families(accept.auto && v6_is_routed());
    for resolvers in &model.resolvers {
        for nameserver in &resolvers.nameservers {
            if let Some(counters) = before.counters(&resolvers.name, nameserver) {
                nameserver.counters.take_over(counters);
            }
        }
    }
    let sections: HashMap<String, Rc<Section>> = model
        .resolvers
        .iter()
        .map(|settings| (settings.name.to_string(), Section::new(control, settings.clone(), families)))
        .collect();
    for (name, section) in &sections {
        if let Some(before) = before.sections.get(name) {
            section.inherit(before);
        }
    }
    let mut tasks: Vec<_> =
        sections.values().map(|section| tokio::task::spawn_local(section.clone().run())).collect();
    if accept.auto && !sections.is_empty() {
        let sections: Vec<_> = sections.values().cloned().collect();
        tasks.push(tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(ROUTE_CHECK).await;
                let families = accept.families(v6_is_routed());
                sections.iter().for_each(|section| section.set_families(families));
            }
        }));
    }
    with(|resolving| {
        resolving.sections = sections;
        resolving.tasks = tasks;
    });
    for (group, proxy) in model.proxies.iter().enumerate().filter(|(_, proxy)| !proxy.disabled) {
        let mut services: HashMap<(&str, &Name), Vec<(Slot, Former)>> = HashMap::new();
        for server in &proxy.servers {
            let Some(resolution) = &server.resolution else { continue };
            let Some(section) =
                with(|resolving| resolving.sections.get(&*resolution.resolvers.name).cloned())
            else {
                continue;
            };
            let mut bound = Bound {
                section: section.clone(),
                resolution: resolution.clone(),
                group: group as u64,
                requester: None,
                slot: None,
            };
            match &resolution.service {
                Some(service) => {
                    let slot = section.add_slot(&server.state);
                    bound.slot = Some(slot);
                    services
                        .entry((&resolution.resolvers.name, service))
                        .or_default()
                        .push((slot, former(&server.state)));
                }
                None => {
                    let host = server.state.hostname.load_full();
                    let host = host.as_deref().and_then(|host| Name::parse(host).ok());
                    let had = match before.used_by(&server.state) {
                        Some(told) => Had::Told(told),
                        None => current(&server.state),
                    };
                    bound.requester = host.map(|host| {
                        let wish = Wish { had, ..bound.wish() };
                        section.add_server(host, wish, &server.state)
                    });
                }
            }
            with(|resolving| resolving.servers.insert(Arc::as_ptr(&server.state), bound));
        }
        for ((name, service), slots) in services {
            if let Some(section) = with(|resolving| resolving.sections.get(name).cloned()) {
                section.add_service(service.clone(), slots);
            }
        }
    }
    with(|resolving| resolving.sections.values().for_each(|section| section.forget_inheritance()));
    for ((core, token), wait) in before.rules {
        let RuleWait { resolvers, name, prefer, .. } = wait;
        carry_out(control, ResolveOrder::Ask { core, token, resolvers, name, prefer });
    }
}

impl Resolving {
    /// Ends all resolutions.
    fn close(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.sections.values().for_each(|section| section.close());
    }
    /// The address that name servers have told for a server.
    fn used_by(&self, state: &Arc<ServerState>) -> Option<IpAddr> {
        let bound = self.servers.get(&Arc::as_ptr(state))?;
        bound.section.used_by(bound.requester?)
    }
    /// The counters that a name server of a section had.
    fn counters(&self, section: &str, nameserver: &Nameserver) -> Option<&Counters> {
        let nameservers = &self.sections.get(section)?.settings().nameservers;
        let is_same =
            |known: &&Nameserver| known.name == nameserver.name && known.address == nameserver.address;
        nameservers.iter().find(is_same).map(|known| &*known.counters)
    }
}

impl Bound {
    /// What the server wants of its name if it has no address.
    fn wish(&self) -> Wish {
        Wish { group: self.group, options: self.resolution.options.clone(), had: Had::Nothing }
    }
}

/// The address that a server has, unless its name has none.
fn current(state: &ServerState) -> Had {
    let is_known = state.admin() & admin::RMAINT == 0;
    state.endpoint.load().ip().filter(|_| is_known).map_or(Had::Nothing, Had::First)
}

/// The host and port that a service has given a server before.
fn former(state: &ServerState) -> Former {
    let host = Name::parse(state.hostname.load().as_deref()?).ok()?;
    match &**state.endpoint.load() {
        Endpoint::Inet { address, .. } => Some((host, address.port())),
        Endpoint::Unresolved { port, .. } => Some((host, *port)),
        Endpoint::Unix(_) => None,
    }
}

/// Whether the system has a route for public IPv6 addresses; nothing is sent.
fn v6_is_routed() -> bool {
    UdpSocket::bind("[::]:0").is_ok_and(|socket| socket.connect("[2001::]:53").is_ok())
}

/// A server cannot be reached: it may be somewhere else.
pub fn trigger(state: &Arc<ServerState>) {
    let found = with(|resolving| {
        let bound = resolving.servers.get(&Arc::as_ptr(state))?;
        Some((bound.section.clone(), bound.requester?))
    });
    if let Some((section, requester)) = found {
        section.trigger(requester);
    }
}

/// `set server b/s fqdn N`: the line about it.
pub fn set_name(state: &Arc<ServerState>, name: &str, by: &str) -> Result<String, NoName> {
    let bound = with(|resolving| {
        let bound = resolving.servers.get(&Arc::as_ptr(state))?;
        Some((bound.slot.is_some(), bound.section.clone(), bound.wish()))
    });
    let (is_slot, section, wish) = bound.ok_or(NoName::NotResolved)?;
    if is_slot {
        return Err(NoName::OfService);
    }
    let (line, name) = endpoint::set_name(state, name, by).map_err(NoName::Refused)?;
    let requester = section.add_server(name, wish, state);
    replace_requester(state, Some(requester));
    Ok(line)
}

/// Why a server cannot have a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoName {
    /// Its line has no `resolvers`.
    NotResolved,
    /// A service names it.
    OfService,
    /// In the words of the answer.
    Refused(String),
}

/// Has a server's host resolved by another requester, or by none.
fn replace_requester(state: &Arc<ServerState>, requester: Option<RequesterId>) {
    let old = with(|resolving| {
        let bound = resolving.servers.get_mut(&Arc::as_ptr(state))?;
        let old = std::mem::replace(&mut bound.requester, requester)?;
        Some((bound.section.clone(), old))
    });
    if let Some((section, old)) = old {
        section.leave(old);
    }
}

/// What a service says of a server.
fn assigned(
    control: &Control,
    state: &Arc<ServerState>,
    target: &Name,
    port: u16,
    weight: u16,
    addresses: &[IpAddr],
) {
    let Some((section, resolution, wish, is_resolved)) = with(|resolving| {
        let bound = resolving.servers.get(&Arc::as_ptr(state))?;
        Some((bound.section.clone(), bound.resolution.clone(), bound.wish(), bound.requester.is_some()))
    }) else {
        return;
    };
    if state.hostname.load().is_none()
        && let Ok((line, _)) = endpoint::set_name(state, target.as_str(), "SRV record")
    {
        endpoint::log_name(control, state, &line);
    }
    match resolution.options.pick(addresses, state.endpoint.load().ip()) {
        Some(address) => {
            replace_requester(state, None);
            endpoint::resolved(control, state, address, Some(port), "DNS additional record");
        }
        None => {
            endpoint::set_port(control, state, port);
            if !is_resolved {
                let wish = Wish { had: current(state), ..wish };
                let requester = section.add_server(target.clone(), wish, state);
                replace_requester(state, Some(requester));
            }
        }
    }
    // 0 to 65535 become 0 to 256, and only 0 becomes 0.
    let weight = u32::from(weight).div_ceil(256);
    if !resolution.options.ignore_weight && weight != state.user_weight() {
        // An algorithm with static weights keeps its own.
        let _ = super::servers::set_weight(control, state, &weight.to_string());
    }
}

/// A service has no use for a server any more.
fn released(control: &Control, state: &Arc<ServerState>) {
    replace_requester(state, None);
    endpoint::released(control, state);
}

/// Carries out what a rule on a data thread asks for.
pub fn carry_out(control: &Rc<Control>, order: ResolveOrder) {
    match order {
        ResolveOrder::Ask { core, token, resolvers, name, prefer } => {
            let section = with(|resolving| resolving.sections.get(&*resolvers.name).cloned());
            let ruling = section.as_ref().map(|section| section.rule(name.clone(), prefer));
            match (section, ruling) {
                (Some(section), Some(Ruling::Waits(requester))) => {
                    section.add_rule(requester, core, token);
                    let wait = RuleWait { section, requester, resolvers, name, prefer };
                    with(|resolving| resolving.rules.insert((core, token), wait));
                }
                (_, Some(Ruling::Known(address))) => control.cores.resolved(core, token, address),
                _ => control.cores.resolved(core, token, None),
            }
        }
        ResolveOrder::Forget { core, token } => forget_rule(core, token),
    }
}

/// The wait of a rule is over.
fn forget_rule(core: usize, token: u64) {
    if let Some(wait) = with(|resolving| resolving.rules.remove(&(core, token))) {
        wait.section.leave_rule(wait.requester);
    }
}
