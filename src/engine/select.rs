//! The choice of a server: use-server, then the cookie, then balancing; and the wait for a slot.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::Core;
use super::core::SessionEntry;
use super::queue::{self, QueueOf, QueuePlace};
use super::snapshot::Snapshot;
use super::wait;
use crate::balance::{Key, Pick};
use crate::base::clock::{self, Millis};
use crate::base::id::{ProxyIndex, ServerId, ServerIndex};
use crate::model::{Proxy, Server};
use crate::net::timer::{Kill, Stop};
use crate::rules::Priority;
use crate::state::places::effective_maxconn;
use crate::state::queue::{Fate, Rank};
use crate::state::server::counter;

/// A slot on a server, given back when dropped.
///
/// It holds the snapshot that has the server: a reference to the server of its own would be counted in memory that
/// all cores write.
pub struct Assigned {
    /// The server's place in the backend.
    pub index: ServerIndex,
    backend: ProxyIndex,
    snapshot: Rc<Snapshot>,
}

impl Assigned {
    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.snapshot.proxy(self.backend).servers[self.index as usize]
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        let backend = &self.snapshot.proxy(self.backend).state;
        queue::release(&self.snapshot.mailboxes, backend, &self.server().state);
    }
}

/// Why no server was assigned.
#[derive(Debug, PartialEq, Eq)]
pub enum NoServer {
    /// What the request waited for has gone, or may have: the caller decides anew whom persistence wants and
    /// asks again, with the same [`Wait`].
    ChooseAgain,
    /// None is up.
    NoneUp,
    /// The queue it would wait in is full.
    QueueFull,
    /// `timeout queue` passed.
    QueueTimeout,
    /// The client went away while it waited.
    ClientGone,
    /// The session was killed while it waited.
    Killed(Kill),
}

/// What is wanted.
pub struct Wish<'a> {
    /// The model under which the request began.
    pub snapshot: &'a Rc<Snapshot>,
    /// The backend.
    pub backend: &'a Arc<Proxy>,
    /// The server that persistence or use-server demands.
    pub preferred: Option<u32>,
    /// The key of a hashing algorithm.
    pub key: Option<Key<'a>>,
    /// The server that failed just now.
    pub avoid: Option<u32>,
    /// The longest wait in a queue, if a rule set it.
    pub timeout_ms: Option<u64>,
    /// Where it comes in a queue.
    pub priority: Priority,
}

/// A request's wait, which goes on when it has to choose again: it keeps its rank, and what is left of
/// `timeout queue`.
#[derive(Default)]
pub struct Wait {
    /// Its place, while it has one.
    place: Option<QueuePlace>,
    rank: Option<Rank>,
    deadline: Option<Millis>,
    /// How many requests the queues served meanwhile, for the log.
    pub positions: QueuePositions,
}

/// Requests that queues served before this one, itself included, for the log (manual, section 8.2.3 `%sq`
/// and `%bq`).
#[derive(Clone, Copy, Debug, Default)]
pub struct QueuePositions {
    /// In the queues of servers.
    pub server: u32,
    /// In the backend's queue.
    pub backend: u32,
}

impl Wait {
    /// A wait that goes on counting where an earlier one of the request ended.
    pub fn after(server: u32, backend: u32) -> Wait {
        Wait { positions: QueuePositions { server, backend }, ..Wait::default() }
    }

    /// Counts what was served in a place that is given up or was granted.
    fn account(&mut self, place: &QueuePlace) {
        let count = match place.is_bound() {
            true => &mut self.positions.server,
            false => &mut self.positions.backend,
        };
        *count += place.served_meanwhile();
    }

    /// Leaves the queue, if it is in one other than `of`; a slot that was granted just then is returned.
    fn leave(&mut self, of: Option<&QueueOf>) -> Option<ServerId> {
        let mut place = self.place.take_if(|place| of.is_none_or(|of| !place.is_in(of)))?;
        let granted = place.leave();
        self.account(&place);
        granted
    }
}

/// How a server was chosen.
#[derive(Clone, Copy)]
struct Choice {
    index: u32,
    /// It is waited for; else any server will do.
    bound: bool,
    /// Persistence wants it although it is down.
    forced: bool,
}

impl Choice {
    fn make(core: &Core, wish: &Wish<'_>) -> Option<Choice> {
        let backend = wish.backend;
        if let Some(index) = wish.preferred {
            let forced = !backend.servers[index as usize].state.is_running();
            return Some(Choice { index, bound: true, forced });
        }
        let pick = || {
            wish.snapshot.picker(backend).pick(&mut Pick {
                backend: &backend.state,
                key: wish.key,
                avoid: wish.avoid,
                rng: &mut core.rng.borrow_mut(),
            })
        };
        let mut index = pick()?;
        if !backend.servers[index as usize].state.is_eligible() {
            // Its state has changed in this moment, and the cores are not told yet.
            wish.snapshot.forget_picker(backend);
            index = pick()?;
        }
        Some(Choice { index, bound: wish.key.is_some(), forced: false })
    }

    /// Whether the server may be used as it is now: what was decided before a wait is asked again after it.
    fn holds(&self, wish: &Wish<'_>, index: u32) -> bool {
        let server = &wish.backend.servers[index as usize].state;
        match wish.preferred {
            Some(_) => self.forced || server.is_running(),
            None => server.is_eligible(),
        }
    }
}

/// Assigns a server with a slot on it, waiting in a queue if it must.
pub async fn assign(
    core: &Rc<Core>,
    entry: &SessionEntry,
    wish: Wish<'_>,
    wait: &mut Wait,
    mut client_gone: impl FnMut(&mut Context<'_>) -> bool,
) -> Result<Assigned, NoServer> {
    let backend = wish.backend;
    let mailboxes = &core.setup.mailboxes;
    let give_back = |granted: ServerId| {
        if let Some((_, server)) = backend.server(granted) {
            queue::release(mailboxes, &backend.state, &server.state);
        }
    };
    // Queues grant by identity, since they outlive models.
    let usable = |choice: &Choice, granted: ServerId| {
        let (index, _) = backend.server(granted)?;
        (choice.holds(&wish, index) && !(choice.bound && index != choice.index)).then_some(index)
    };
    let now = clock::cached().millis();
    if backend.state.has_moving_limits() {
        // This request is a part of the load, which raises the limits of others as well.
        queue::fill_all(mailboxes, &backend.state, now);
    }
    let Some(choice) = Choice::make(core, &wish) else {
        if let Some(granted) = wait.leave(None) {
            give_back(granted);
        }
        return Err(NoServer::NoneUp);
    };
    let (index, server) = (choice.index, &backend.servers[choice.index as usize]);
    let of = || match choice.bound {
        true => QueueOf::Server(server.state.clone()),
        false => QueueOf::Backend(backend.state.clone()),
    };
    if wait.place.is_some()
        && let Some(granted) = wait.leave(Some(&of()))
    {
        if let Some(index) = usable(&choice, granted) {
            return Ok(assigned(&wish, index));
        }
        give_back(granted);
    }
    if let Some(place) = &mut wait.place {
        place.confirm();
    } else {
        let limit = effective_maxconn(&backend.state, &server.state, now);
        // Who waits already comes first, or a stream of newcomers would starve the queue.
        let free = server.state.queue.is_empty()
            && (!backend.state.queue.concerns(server.state.ident)
                || choice.bound && !backend.state.takes_new(&server.state));
        if (limit == 0 || free) && server.state.try_take_slot(limit) {
            return Ok(assigned(&wish, index));
        }
        if choice.bound && server.maxqueue > 0 && server.state.queue.len() >= server.maxqueue {
            return Err(NoServer::QueueFull);
        }
        let rank = *wait.rank.get_or_insert_with(|| queue::rank(&backend.state, wish.priority));
        wait.place = Some(QueuePlace::take(core, of(), rank, backend));
    }
    let timeout_ms = wish.timeout_ms.or(backend.timeouts.queue_ms).or(backend.timeouts.connect_ms);
    let deadline = *wait.deadline.get_or_insert_with(|| wait::after(timeout_ms));
    let Some(place) = &mut wait.place else { return Err(NoServer::NoneUp) };
    // A slot freed between the attempt and the queueing has woken nobody.
    if choice.bound {
        queue::fill(mailboxes, &backend.state, &server.state, now);
    } else if place.first {
        queue::fill_all(mailboxes, &backend.state, now);
    }
    // Nor was it told of a change of the server in that time.
    if choice.bound && !choice.holds(&wish, index) {
        return Err(NoServer::ChooseAgain);
    }
    let mut gone = false;
    let waited = wait::until(core, &entry.ticket, deadline, |context| {
        if let Poll::Ready(fate) = place.poll(context) {
            return Poll::Ready(fate);
        }
        gone = client_gone(context);
        if gone { Poll::Ready(Fate::Waits) } else { Poll::Pending }
    })
    .await;
    let error = match waited {
        Ok(Fate::Granted(granted)) => {
            if let Some(place) = wait.place.take() {
                wait.account(&place);
            }
            if let Some(index) = usable(&choice, granted) {
                return Ok(assigned(&wish, index));
            }
            give_back(granted);
            return Err(NoServer::ChooseAgain);
        }
        Ok(Fate::Doubted) => return Err(NoServer::ChooseAgain),
        Ok(Fate::Waits) => NoServer::ClientGone,
        Err(Stop::Timeout) => NoServer::QueueTimeout,
        Err(Stop::Killed(kill)) => NoServer::Killed(kill),
    };
    if let Some(granted) = wait.leave(None) {
        give_back(granted);
    }
    Err(error)
}

/// Wraps a slot that is taken already.
fn assigned(wish: &Wish<'_>, index: ServerIndex) -> Assigned {
    let server = &wish.backend.servers[index as usize].state;
    let now = clock::cached();
    server.counters.add(counter::SESSIONS, 1);
    server.session_rate.add(now.millis(), 1);
    server.last_session_s.store(now.wall_secs() as i64, Relaxed);
    Assigned { index, backend: wish.backend.index, snapshot: wish.snapshot.clone() }
}
