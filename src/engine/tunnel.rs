//! A tunnel: bytes both ways until both directions have ended (TCP mode, 101, CONNECT).
//!
//! It may idle for hours, so it is small: two pumps without buffers and four limits.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Core;
use super::body::{Pump, PumpError, Splice};
use super::fault::Point;
use super::idle::OpenPlace;
use super::select::Assigned;
use super::silence::{self, Awaited, Limits, Side};
use crate::base::clock::Millis;
use crate::model::Proxy;
use crate::net::Stream;
use crate::net::timer::{Stop, Ticket};
use crate::rules::Effects;
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
    limits: Limits,
    /// What is left to a side whose own direction is ended towards it (`client-fin`, `server-fin`).
    fin: (Millis, Millis),
    up_over: bool,
    /// The server took no more before the client had ended.
    server_left: bool,
    down_over: bool,
}

impl Tunnel {
    /// A tunnel that begins.
    pub fn new(up: Pump, down: Pump, frontend: &Proxy, backend: &Proxy, effects: &Effects) -> Tunnel {
        let mut limits = Limits::of(effects, frontend, backend);
        if let Some(both) = effects.tunnel_timeout_ms.or(backend.timeouts.tunnel_ms) {
            (limits.client, limits.server) = (both, both);
        }
        let fin = (
            frontend.timeouts.client_fin_ms.unwrap_or(limits.client),
            backend.timeouts.server_fin_ms.unwrap_or(limits.server),
        );
        Tunnel { up, down, limits, fin, up_over: false, server_left: false, down_over: false }
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
        let (deadline, late) = self.next(client, server);
        match core.wheel.check(ticket, deadline, context.waker()) {
            None => Poll::Pending,
            Some(Stop::Killed(kill)) => Poll::Ready((super::wait::killed(kill), EndedIn::Data)),
            Some(Stop::Timeout) => Poll::Ready((late.timed_out(), EndedIn::Data)),
        }
    }

    /// When the tunnel is to be polled at the latest, for its silence or to look at a reader, and whom it waits
    /// for. A side whose direction has ended towards it has a limit of its own (manual, section 4.2
    /// `timeout client-fin`, `timeout server-fin`).
    fn next(&mut self, client: &Stream, server: &Stream) -> (Millis, Side) {
        let mut limits = self.limits;
        if self.down_over {
            limits.client = self.fin.0;
        }
        if self.up_over {
            limits.server = self.fin.1;
        }
        let up = (!self.up_over).then(|| Awaited::by(&mut self.up, Side::Client, server, &limits));
        let down = (!self.down_over).then(|| Awaited::by(&mut self.down, Side::Server, client, &limits));
        silence::next(&[up, down], &limits, self.up.last_ms.max(self.down.last_ms))
    }
}

/// A tunnel that stands, with all that it holds.
pub struct Established {
    /// The backend.
    pub backend: Arc<Proxy>,
    /// The server's side.
    pub stream: Stream,
    /// The connection's place on the server, where they are counted.
    pub place: Option<OpenPlace>,
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
        let server = &self.assigned.server().state.counters;
        let backend = &self.backend.state.backend;
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
