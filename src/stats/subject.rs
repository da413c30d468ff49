//! The objects that rows are about, with what several columns share worked out once.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Kind;
use super::status;
use crate::base::clock::Now;
use crate::model::{Bind, Model, Proxy, Server};
use crate::state::ServerState;
use crate::state::server::{CheckReport, Endpoint, admin};

/// What a whole rendering looks at.
pub struct View<'m> {
    /// The configuration.
    pub model: &'m Model,
    /// When.
    pub now: Now,
    /// Wall clock seconds of the process's start: the age of what never changed.
    pub started_s: u64,
    /// `maxconn` of the process: the limit of frontends without one.
    pub maxconn: u32,
    /// Show addresses, cookies and algorithms (`stats show-legends`; operators on the runtime API).
    pub legends: bool,
    /// The backend's status tells how many of its servers are up (`up`, `no-maint`).
    pub count_servers: bool,
    shared: Rc<Shared>,
}

/// What takes a look at the whole model to find, and holds as long as the model does: a rendering that is made in
/// parts works it out once.
#[derive(Debug)]
pub struct Shared {
    fullconn: Vec<u32>,
    tracking: HashMap<*const ServerState, Arc<ServerState>>,
}

impl Shared {
    /// Works it out.
    pub fn of(model: &Model, maxconn: u32) -> Rc<Shared> {
        let servers = model.proxies.iter().flat_map(|proxy| proxy.servers.iter());
        let tracking = servers
            .filter_map(|server| server.track.as_ref().map(|to| (Arc::as_ptr(&server.state), to.clone())))
            .collect();
        Rc::new(Shared { fullconn: model.fullconn(maxconn), tracking })
    }
}

/// The most steps a chain of `track` is followed; the configuration refuses loops.
const TRACK_STEPS_MAX: usize = 64;

impl<'m> View<'m> {
    /// A view of `model`, with what was worked out of it before.
    pub fn new(model: &'m Model, now: Now, started_s: u64, maxconn: u32, shared: Rc<Shared>) -> View<'m> {
        View { model, now, started_s, maxconn, legends: false, count_servers: false, shared }
    }
    /// `maxconn` of a frontend now.
    pub fn frontend_limit(&self, proxy: &Proxy) -> u32 {
        match (proxy.state.maxconn.load(Relaxed), proxy.maxconn) {
            (0, 0) => self.maxconn,
            (0, configured) => configured,
            (changed, _) => changed,
        }
    }
    /// `fullconn` of a backend.
    pub fn fullconn(&self, proxy: &Proxy) -> u32 {
        self.shared.fullconn.get(proxy.index as usize).copied().unwrap_or(0)
    }
    /// The server whose checks decide about `state`: the end of its chain of `track`.
    pub fn checked<'s>(&'s self, state: &'s Arc<ServerState>) -> &'s Arc<ServerState> {
        let mut at = state;
        for _ in 0..TRACK_STEPS_MAX {
            match self.shared.tracking.get(&Arc::as_ptr(at)) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }
    /// Seconds since a wall clock second; since the start if it is 0.
    pub fn age(&self, second: u64) -> u32 {
        let since = if second == 0 { self.started_s } else { second };
        self.now.wall_secs().saturating_sub(since) as u32
    }
}

/// One object of the statistics.
pub struct Subject<'a> {
    /// What the rendering shares.
    pub view: &'a View<'a>,
    /// The proxy it is, or is in.
    pub proxy: &'a Proxy,
    /// What it is.
    pub of: Of<'a>,
}

/// The kinds of objects, with their facts.
pub enum Of<'a> {
    /// The proxy's frontend side.
    Frontend,
    /// A listening address.
    Listener(&'a Bind),
    /// A server.
    Server(Box<ServerFacts<'a>>),
    /// The proxy's backend side.
    Backend(BackendFacts),
}

/// What the columns of a server look at.
pub struct ServerFacts<'a> {
    /// Its state.
    pub state: &'a Arc<ServerState>,
    /// Its `server` line; none for one added at run time.
    pub config: Option<&'a Server>,
    /// Its own health check.
    pub check: Arc<CheckReport>,
    /// Its agent check.
    pub agent: Arc<CheckReport>,
    /// The health check that decides: its own, or the tracked server's.
    pub deciding: Arc<CheckReport>,
    /// The agent check that decides.
    pub deciding_agent: Arc<CheckReport>,
    /// Whether the server at the end of its chain of `track` is up.
    pub deciding_is_up: bool,
    /// Where it is reached.
    pub endpoint: Arc<Endpoint>,
}

/// What the columns of a backend look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BackendFacts {
    /// Active servers that can take sessions.
    pub active: u32,
    /// Backup servers that can take sessions.
    pub backup: u32,
    /// Servers that are not down.
    pub up: u32,
    /// All servers.
    pub servers: u32,
    /// Effective weight of those that balancing uses now.
    pub weight: u32,
    /// Their user weight.
    pub user_weight: u32,
}

impl<'a> Subject<'a> {
    /// The frontend side of a proxy.
    pub fn frontend(view: &'a View<'a>, proxy: &'a Proxy) -> Subject<'a> {
        Subject { view, proxy, of: Of::Frontend }
    }
    /// A listening address of a proxy.
    pub fn listener(view: &'a View<'a>, proxy: &'a Proxy, bind: &'a Bind) -> Subject<'a> {
        Subject { view, proxy, of: Of::Listener(bind) }
    }
    /// A server of a proxy.
    pub fn server(
        view: &'a View<'a>,
        proxy: &'a Proxy,
        state: &'a Arc<ServerState>,
        config: Option<&'a Server>,
    ) -> Subject<'a> {
        let deciding = view.checked(state);
        let facts = ServerFacts {
            state,
            config,
            check: state.check.load_full(),
            agent: state.agent.load_full(),
            deciding: deciding.check.load_full(),
            deciding_agent: deciding.agent.load_full(),
            deciding_is_up: deciding.operational() != crate::state::server::Operational::Stopped,
            endpoint: state.endpoint.load_full(),
        };
        Subject { view, proxy, of: Of::Server(Box::new(facts)) }
    }
    /// The backend side of a proxy.
    pub fn backend(
        view: &'a View<'a>,
        proxy: &'a Proxy,
        servers: impl Iterator<Item = (&'a Arc<ServerState>, Option<&'a Server>)>,
    ) -> Subject<'a> {
        Subject { view, proxy, of: Of::Backend(backend_facts(proxy, servers)) }
    }
    /// What kind of object it is.
    pub fn kind(&self) -> Kind {
        match self.of {
            Of::Frontend => Kind::Frontend,
            Of::Listener(_) => Kind::Listener,
            Of::Server(_) => Kind::Server,
            Of::Backend(_) => Kind::Backend,
        }
    }
    /// The server's facts, if it is one.
    pub fn as_server(&self) -> Option<&ServerFacts<'a>> {
        match &self.of {
            Of::Server(facts) => Some(facts),
            _ => None,
        }
    }
    /// Its number among its kind (`sid`).
    pub fn number(&self) -> u32 {
        match &self.of {
            Of::Frontend | Of::Backend(_) => 0,
            Of::Listener(bind) => bind.id,
            Of::Server(facts) => facts.state.id.load(Relaxed),
        }
    }
    /// Its name (`svname`).
    pub fn name(&self) -> std::borrow::Cow<'a, str> {
        match &self.of {
            Of::Frontend => "FRONTEND".into(),
            Of::Backend(_) => "BACKEND".into(),
            Of::Listener(bind) => match &bind.name {
                Some(name) => name.to_string().into(),
                None => format!("sock-{}", bind.id).into(),
            },
            Of::Server(facts) => (&*facts.state.name).into(),
        }
    }
    /// Its status in words.
    pub fn status(&self) -> std::borrow::Cow<'static, str> {
        match &self.of {
            Of::Frontend => status::frontend(self.proxy).into(),
            Of::Listener(_) => status::listener(self.proxy).into(),
            Of::Server(facts) => status::server(facts),
            Of::Backend(facts) => status::backend(facts, self.view.count_servers),
        }
    }
}

fn backend_facts<'a>(
    proxy: &Proxy,
    servers: impl Iterator<Item = (&'a Arc<ServerState>, Option<&'a Server>)>,
) -> BackendFacts {
    let mut facts = BackendFacts::default();
    let mut weights = [(0, 0); 2];
    let mut first_backup = None;
    for (state, config) in servers {
        facts.servers += 1;
        if state.operational() != crate::state::server::Operational::Stopped {
            facts.up += 1;
        }
        if !state.is_eligible() {
            continue;
        }
        let is_backup = config.is_some_and(|server| server.backup);
        let (effective, user) = (shown_weight(state), state.user_weight());
        if is_backup {
            facts.backup += 1;
            first_backup.get_or_insert((effective, user));
        } else {
            facts.active += 1;
        }
        let sum = &mut weights[usize::from(is_backup)];
        *sum = (sum.0 + effective, sum.1 + user);
    }
    // Backups serve only when no active server is left, and then the first alone unless
    // `option allbackups` (manual, section 4.2).
    (facts.weight, facts.user_weight) = match (facts.active, proxy.balance.all_backups) {
        (0, false) => first_backup.unwrap_or_default(),
        (0, true) => weights[1],
        _ => weights[0],
    };
    facts
}

/// The effective weight in whole units, rounded up.
pub fn shown_weight(state: &ServerState) -> u32 {
    state.effective_weight().div_ceil(16)
}

/// Whether a server is in maintenance for any reason.
pub fn in_maintenance(state: &ServerState) -> bool {
    state.admin() & admin::MAINT != 0
}
