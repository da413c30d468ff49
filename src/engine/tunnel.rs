//! A tunnel: bytes both ways until both directions have ended (TCP mode, 101, CONNECT).
//!
//! It may idle for hours, so it is small: two pumps without buffers and four limits.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Core;
use super::body::{Blocked, Pump, PumpError, Splice};
use super::fault::Point;
use super::select::Assigned;
use crate::base::clock::Millis;
use crate::model::Proxy;
use crate::net::Stream;
use crate::net::timer::{NEVER, Stop, Ticket};
use crate::sample::TransactionFacts;
use crate::sample::facts::{Ended, EndedIn};
use crate::state::proxy::be;
use crate::state::server::counter;

/// When bytes towards the server are spliced: both proxies have a say (manual, section 4.2 `option splice-auto`).
pub(super) fn splices_up(frontend: &Proxy, backend: &Proxy) -> Splice {
    Splice::of([frontend, backend].iter().any(|p| p.options.splice_auto || p.options.splice_request))
}

/// When bytes towards the client are spliced.
pub(super) fn splices_down(frontend: &Proxy, backend: &Proxy) -> Splice {
    Splice::of([frontend, backend].iter().any(|p| p.options.splice_auto || p.options.splice_response))
}

/// Both directions, and how long each side may be silent.
pub struct Tunnel {
    /// From the client to the server.
    pub up: Pump,
    /// From the server to the client.
    pub down: Pump,
    /// Limits in milliseconds; [`NEVER`] is none.
    client_idle: Millis,
    server_idle: Millis,
    client_fin: Millis,
    server_fin: Millis,
    up_over: bool,
    /// The server took no more before the client had ended.
    server_left: bool,
    down_over: bool,
    /// Whose life only its own bytes show (`option independent-streams`): the client's, the server's.
    own_life: (bool, bool),
}

impl Tunnel {
    /// A tunnel that begins; `timeout_ms` is what a rule set as its time-out.
    pub fn new(up: Pump, down: Pump, frontend: &Proxy, backend: &Proxy, timeout_ms: Option<u64>) -> Tunnel {
        let (front, back) = (&frontend.timeouts, &backend.timeouts);
        let both = timeout_ms.or(back.tunnel_ms);
        let client = both.or(front.client_ms);
        let server = both.or(back.server_ms);
        let limit = |ms: Option<u64>| ms.unwrap_or(NEVER);
        Tunnel {
            up,
            down,
            client_idle: limit(client),
            server_idle: limit(server),
            client_fin: limit(front.client_fin_ms.or(client)),
            server_fin: limit(back.server_fin_ms.or(server)),
            up_over: false,
            server_left: false,
            down_over: false,
            own_life: (frontend.options.independent_streams, backend.options.independent_streams),
        }
    }

    /// Runs until both directions have ended, or one breaks, or it is silent for too long. A direction
    /// whose source ends is closed towards its destination while the other goes on (half-close).
    pub async fn run(
        &mut self,
        core: &Core,
        ticket: &Rc<Ticket>,
        client: &mut Stream,
        server: &mut Stream,
    ) -> (Ended, EndedIn) {
        core.setup.fault.strike(Point::Tunnel);
        std::future::poll_fn(|context| self.poll(core, ticket, client, server, context)).await
    }

    fn poll(
        &mut self,
        core: &Core,
        ticket: &Rc<Ticket>,
        client: &mut Stream,
        server: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<(Ended, EndedIn)> {
        if !self.up_over
            && let Poll::Ready(result) = self.up.poll(context, client, server)
        {
            match result {
                Ok(()) => {
                    self.up_over = true;
                    server.shutdown_write();
                }
                // What the server said before it left is still to be read.
                Err(PumpError::DestinationBroken) => (self.up_over, self.server_left) = (true, true),
                Err(_) => return Poll::Ready((Ended::Client, EndedIn::Data)),
            }
        }
        if !self.down_over
            && let Poll::Ready(result) = self.down.poll(context, server, client)
        {
            match result {
                Ok(()) => {
                    self.down_over = true;
                    client.shutdown_write();
                }
                Err(PumpError::DestinationBroken) => return Poll::Ready((Ended::Client, EndedIn::Data)),
                Err(_) => return Poll::Ready((Ended::Server, EndedIn::Data)),
            }
        }
        if self.up_over && self.down_over {
            return Poll::Ready(match self.server_left {
                true => (Ended::Server, EndedIn::Data),
                false => (Ended::Normally, EndedIn::Nothing),
            });
        }
        let deadline = self.deadline();
        match core.wheel.check(ticket, deadline, context.waker()) {
            None => Poll::Pending,
            Some(Stop::Killed(kill)) => Poll::Ready((super::wait::killed(kill), EndedIn::Data)),
            Some(Stop::Timeout) => Poll::Ready((self.silent_side(), EndedIn::Data)),
        }
    }

    /// When the tunnel has been silent for too long.
    fn deadline(&self) -> Millis {
        let both = self.up.last_ms.max(self.down.last_ms).saturating_add(self.limit());
        if self.up_over || self.down_over {
            return both;
        }
        let own = |asked: bool, pump: &Pump, limit: Millis| match asked {
            true => pump.last_ms.saturating_add(limit),
            false => NEVER,
        };
        let client = own(self.own_life.0, &self.up, self.client_idle);
        both.min(client).min(own(self.own_life.1, &self.down, self.server_idle))
    }

    /// How long nothing may move. Traffic in either direction keeps both sides alive; a side that is
    /// half closed has its own limit.
    fn limit(&self) -> Millis {
        match (self.up_over, self.down_over) {
            (false, false) => self.client_idle.min(self.server_idle),
            (true, _) => self.client_fin,
            (_, true) => self.server_fin,
        }
    }

    /// Whose time-out it was.
    fn silent_side(&self) -> Ended {
        let client = match (self.up_over, self.down_over) {
            (false, false) => match self.own_life {
                (true, false) => true,
                (false, true) => false,
                _ => self.client_idle <= self.server_idle,
            },
            (up_over, _) => up_over && self.down.blocked == Blocked::Destination,
        };
        if client { Ended::ClientTimeout } else { Ended::ServerTimeout }
    }
}

/// A tunnel that stands, with all that it holds.
pub struct Established {
    /// The backend.
    pub backend: Arc<Proxy>,
    /// The server's side.
    pub stream: Stream,
    /// The slot on the server.
    pub assigned: Assigned,
    /// The directions.
    pub tunnel: Tunnel,
}

impl Established {
    /// Adds what the tunnel moved, and how it ended, to the counts.
    pub(super) fn account(&self, outcome: (Ended, EndedIn), txn: &mut TransactionFacts) {
        (txn.ended, txn.ended_in) = outcome;
        txn.bytes_from_client += self.tunnel.up.bytes_in;
        txn.bytes_to_client += self.tunnel.down.bytes_out;
        txn.bytes_to_server += self.tunnel.up.bytes_out;
        txn.bytes_from_server += self.tunnel.down.bytes_in;
        txn.server_socket = None;
        let server = &self.assigned.server.state.counters;
        let backend = &self.backend.state.backend;
        server.add(counter::BYTES_IN, self.tunnel.up.bytes_out);
        server.add(counter::BYTES_OUT, self.tunnel.down.bytes_out);
        match txn.ended {
            Ended::Client => {
                server.add(counter::CLIENT_ABORTS, 1);
                backend.add(be::CLIENT_ABORTS, 1);
            }
            Ended::Server => {
                server.add(counter::SERVER_ABORTS, 1);
                backend.add(be::SERVER_ABORTS, 1);
            }
            _ => {}
        }
    }
}
